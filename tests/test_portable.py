"""Problems, runs, optima and methods travel: pickle of every protocol, copies, and other processes."""

from __future__ import annotations

import copy
import functools
import hashlib
import multiprocessing
import pickle
import threading
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import joblib
import numpy as np
import pytest
import scipy.sparse
from exhaustive import exhaustive

import dadapt_convex as dc
import problems
from dadapt_convex.driver import DRIVE
from dadapt_convex.schedules import Custom, as_schedule
from experiments.cells import Cell, ProblemKey
from experiments.selection import parse_method

RNG = np.random.default_rng(3)
A, TARGETS = RNG.standard_normal((12, 3)), RNG.standard_normal(12)
B = np.sign(TARGETS)
METHOD = "dadapt_dual_averaging"


def l1_norm(x):
    return float(np.abs(x).sum()), np.sign(x)


def all_kinds():
    """What makes a problem of every kind, by name. Making one with l2 > 0 compiles."""
    made = {}
    for storage, matrix in (("dense", A), ("csr", scipy.sparse.csr_array(A))):
        for l2 in (0.0, 0.1):
            for make, b in (
                (problems.logistic, B),
                (problems.hinge, B),
                (problems.least_absolute_deviation, TARGETS),
                (problems.quantile, TARGETS),
                (problems.epsilon_insensitive, TARGETS),
                (problems.huber, TARGETS),
                (problems.multinomial_logistic, np.arange(12) % 3),
            ):
                made[f"{make.__name__}-{storage}-{l2}"] = functools.partial(make, matrix, b, l2=l2)
    for make in (problems.absolute_value, problems.norm2, problems.max_abs, problems.drori_teboulle):
        made[make.__name__] = make
    known = problems.Optimum(0.0, 0.0, np.zeros(2), 5.0, 5.0)
    norm = functools.partial(problems.from_callable, x0=[3.0, -4.0], G=2.0, optimum=known)
    made["callable"] = functools.partial(norm, l1_norm)
    made["lambda"] = functools.partial(norm, lambda x: l1_norm(2 * x))
    return made


KINDS = all_kinds()


@functools.cache
def kinds():
    return {name: make() for name, make in KINDS.items()}


def trace_of(problem, method=METHOD, **options):
    return dc.solve(problem, method, steps=40, **options).trace.drop(columns="seconds")


def ways():
    """Every way to a copy in this process."""
    for p in range(pickle.HIGHEST_PROTOCOL + 1):
        always = p in (0, pickle.DEFAULT_PROTOCOL)
        marks = () if always else pytest.mark.exhaustive
        yield pytest.param(lambda v, p=p: pickle.loads(pickle.dumps(v, p)), id=f"protocol {p}", marks=marks)
    yield pytest.param(copy.copy, id="copy")
    yield pytest.param(copy.deepcopy, id="deepcopy")


each_way = pytest.mark.parametrize("travelled", list(ways()))


@each_way
def test_problems_travel_with_all_that_they_know(travelled):
    """After use: compiled kernels, identity and optimum are cached in them."""
    for name, problem in kinds().items():
        expected = trace_of(problem)
        again = travelled(problem)
        assert again.identity == problem.identity, name
        assert trace_of(again).equals(expected), name
        with pytest.raises(ValueError, match="read-only"):
            again.x0[0] = 1.0
        if again.model is not problem.model:
            with pytest.raises(ValueError, match="read-only"):
                (again.model.A.data if hasattr(again.model.A, "tocsr") else again.model.A[0])[0] = 1.0


@pytest.mark.parametrize("name", [name for name in KINDS if "-csr-0.0" in name or "-" not in name])
def test_the_optimum_of_a_problem_that_travelled_is_the_same(name):
    fresh = KINDS[name]()
    found, expected = pickle.loads(pickle.dumps(fresh)).optimum(), fresh.optimum()
    for known in (found, pickle.loads(pickle.dumps(fresh)).optimum()):
        for number in ("f_lo", "f_hi", "D_lo", "D_hi", "D_inf_lo", "D_inf_hi", "attained", "kind", "identity"):
            assert getattr(known, number) == getattr(expected, number), number
        assert np.array_equal(known.x, expected.x)


@each_way
def test_stochastic_runs_of_a_problem_that_travelled_are_the_same(travelled):
    for name in ("logistic-dense-0.1", "multinomial_logistic-csr-0.0"):
        expected = trace_of(kinds()[name], "dadapt_sgd", batch_size=5, checkpoints="all")
        assert trace_of(travelled(kinds()[name]), "dadapt_sgd", batch_size=5, checkpoints="all").equals(expected)
        assert travelled(kinds()[name]).batch_bounds(5) == kinds()[name].batch_bounds(5)


# ---------------------------------------------------------------------------------------------------------
# Methods, theorems, schedules, runs


@dc.helper
def half(c):
    return 0.5 * c


@dc.step
def shrinking_step(k, f, g2, g, x, x_next, vectors, scalars, hyper):
    for i in range(x.size):
        x_next[i] = x[i] - half(hyper[0]) * g[i] / (k + 1.0)
    return 1.0


def at_least_0(case):
    return dc.Sides(-case.f, 0.0)


def lr_below(bound):
    return lambda run, optimum: None if run.hyper["lr"] < bound else dc.theory.Unmet("NOT_APPLICABLE", "needs lr < 2")


OWN_THEOREM = dc.Theorem(
    "own", "f >= 0", "own", sides=at_least_0, uses_optimum=False, schedule="any", assumptions=(lr_below(2.0),)
)
OWN_METHOD = dc.Method(
    name="shrinking",
    reference="own",
    summary="",
    step=shrinking_step,
    hyper=(dc.Real("lr", "the step", 1.0, low=0.0), dc.SCHEDULE),
    claims=(OWN_THEOREM,),
)


def local_method():
    """With nothing that a module holds by name: a local step, helper, initial state and theorem."""

    @dc.helper
    def third(c):
        return c / 3.0

    @dc.step
    def step(k, f, g2, g, x, x_next, vectors, scalars, hyper):
        for i in range(x.size):
            x_next[i] = x[i] - third(1.0) * g[i] / (k + 1.0)
        return 1.0

    lower = dc.Theorem(
        "lower", "f >= 0", "own", sides=lambda case: at_least_0(case), uses_optimum=False, schedule="any"
    )
    return replace(OWN_METHOD, name="local", step=step, init=lambda vectors, scalars, hyper: None, claims=(lower,))


LOCAL_METHOD = local_method()


@each_way
def test_what_a_module_holds_travels_by_name(travelled):
    values = [DRIVE, half, shrinking_step, OWN_METHOD, OWN_THEOREM, *dc.theorems().values()]
    values += [dc.get_method(name) for name in dc.methods()]
    values += [problem.oracle.kernel for problem in kinds().values() if problem.oracle.kernel]
    for value in values:
        assert travelled(value) is value


@each_way
def test_what_no_module_holds_comes_back_to_its_process_as_itself(travelled):
    for value in (LOCAL_METHOD, LOCAL_METHOD.step, LOCAL_METHOD.claims[0], Custom(lambda k: 1.0)):
        assert travelled(value) is value
    assert travelled(as_schedule("warmup(2, cosine)")) == as_schedule("warmup(2, cosine)")


@each_way
def test_runs_travel(travelled):
    problem = kinds()["logistic-csr-0.1"]
    for method in (METHOD, OWN_METHOD, LOCAL_METHOD):
        run = dc.solve(problem, method, steps=30, schedule=lambda k: 1.0 / (k + 1.0))
        found = dc.check(run, problem.optimum())
        again = travelled(run)
        assert again.trace.equals(run.trace)
        assert again.identity == problem.identity
        assert (again.method, again.hyper) == (run.method, run.hyper)
        assert dc.check(again, travelled(problem.optimum())).equals(found)


@each_way
def test_keys_of_dictionaries_stay_equal(travelled):
    config = parse_method("dadapt_sgd[batch_size=4,schedule=cosine]")
    cell = Cell("suite", ProblemKey("hard:abs", "0" * 64), config, 0, 10)
    assert {config: 1, cell: 2} == {travelled(config): 1, travelled(cell): 2}
    assert travelled(config).method is dc.get_method("dadapt_sgd")
    assert list(dict.fromkeys([DRIVE, travelled(DRIVE)])) == [DRIVE]


def test_a_registered_method_goes_with_its_configuration():
    dc.register(LOCAL_METHOD)
    sent = pickle.dumps(parse_method("local[lr=2]"))
    dc.unregister(LOCAL_METHOD)
    assert pickle.loads(sent).method is LOCAL_METHOD


def test_what_cannot_travel_says_so_in_a_sentence():
    lock = threading.Lock()

    def locked(x):
        with lock:
            return l1_norm(x)

    problem = problems.from_callable(locked, x0=[1.0], G=1.0)
    with pytest.raises(pickle.PicklingError, match=r"cannot be sent to another process.*lock"):
        pickle.dumps(problem)
    assert trace_of(copy.deepcopy(problem)).equals(trace_of(problem))


# ---------------------------------------------------------------------------------------------------------
# Other processes


def worked_on(problem, method):
    """What a worker does: the method and the problem come back as parts of the run."""
    run = dc.solve(problem, method, steps=25)
    assert run.identity == problem.identity
    optimum = None if problem.model else problem.optimum()
    return run, dc.check(run, optimum), hashlib.sha256(pickle.dumps(run.x)).hexdigest()


def executor(start):
    if start == "joblib":  # max_nbytes: larger arrays are mapped into the memory of the others
        return lambda tasks: joblib.Parallel(n_jobs=2, max_nbytes=64)(joblib.delayed(worked_on)(*t) for t in tasks)
    context = multiprocessing.get_context(start)

    def run(tasks):
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            return list(pool.map(worked_on, *zip(*tasks, strict=True)))

    return run


@pytest.mark.parametrize("start", ["fork", exhaustive("spawn"), exhaustive("forkserver"), exhaustive("joblib")])
def test_other_processes_get_the_same_numbers(start):
    """With a built-in method or one of one's own in turn; every kind of problem where starting a process is cheap."""
    methods = [dc.get_method(METHOD), OWN_METHOD, LOCAL_METHOD]
    tasks = [(problem, methods[i % 3]) for i, problem in enumerate(kinds().values())]
    tasks = tasks if start in ("fork", "joblib") else tasks[:2] + tasks[-6:]
    expected = [worked_on(*task) for task in tasks]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork of a process with threads
        found = executor(start)(tasks)
    for (run, verdicts, digest), (run0, verdicts0, digest0) in zip(found, expected, strict=True):
        assert digest == digest0
        assert run.trace.drop(columns="seconds").equals(run0.trace.drop(columns="seconds"))
        assert verdicts.equals(verdicts0)
        assert run.method.name == run0.method.name
        assert run.identity == run0.identity
