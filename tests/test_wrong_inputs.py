"""Wrong input at the Python interface: one sentence that names the value and the remedy, and nothing that can lie."""

from __future__ import annotations

import copy
import functools
import importlib
import inspect
import math
import pickle
import sys
import types
import warnings
from decimal import Decimal
from fractions import Fraction

import numba
import numpy as np
import pytest

import dadapt_convex as dc
import problems
from dadapt_convex.hyper import OF_SOLVE
from dadapt_convex.oracle import fingerprint
from dadapt_convex.stochastic import Noise
from dadapt_convex.theory import StepCheck

PROBLEM = problems.norm2(3)
ROWS = problems.hinge(np.eye(4), [1, -1, 1, -1])
ADAPT = "dadapt_dual_averaging"
ESCAPE = "\x1b[31m"


def refused(*words):
    """One printable sentence of our own, that holds these words; warnings count as output."""

    class Context:
        def __enter__(self):
            self.caught = warnings.catch_warnings()
            self.caught.__enter__()
            warnings.simplefilter("error")

        def __exit__(self, kind, error, trace):
            self.caught.__exit__(None, None, None)
            assert kind is not None, "it was taken"
            assert kind in (ValueError, TypeError), repr(error)
            text = str(error)
            assert text.endswith("."), text
            assert text.isprintable(), text
            assert len(text) < 700, text
            for word in words:
                assert word in text, text
            return True

    return Context()


@functools.cache
def finished():
    return dc.solve(PROBLEM, ADAPT, steps=20)


def descent(k, f, g2, g, x, x_next, vectors, scalars, hyper):
    for i in range(x.size):
        x_next[i] = x[i] - 1e-2 * g[i]
    return 1e-2


STEP = dc.step(descent)


def method(**more):
    return dc.Method(**{"name": "own", "reference": "", "summary": "", "step": STEP, **more})


def theorem(**more):
    def sides(c):
        return dc.Sides(c.f_star, c.f)

    return dc.Theorem(**{"name": "odd", "statement": "", "source": "", "sides": sides, **more})


async def asynchronous(*given):
    return None


def generator(*given):
    yield 1.0


class Held:
    def bound(self, *given):
        return 1.0


def table(*cases):
    """Parameters with ids by number: values may have no text."""
    return [pytest.param(*case, id=str(i)) for i, case in enumerate(cases)]


def each(*values):
    """The same of one parameter."""
    return table(*((value,) for value in values))


# ---------------------------------------------------------------------------------------------------------
# Runs, optima, theorems given to check()


class ByHand:
    """An optimum by its attributes alone."""

    def __init__(self, **more):
        vars(self).update({"f_lo": 0.0, "f_hi": 0.0, "D_lo": 1.0, "D_hi": 2.0, "x": np.zeros(3)})
        vars(self).update(more)


NO_OPTIMA = each(
    (5, "got 5"),
    ("x", "got 'x'"),
    ({}, "got {}"),
    (PROBLEM, "got <Problem"),
    (ByHand(D_lo="5"), "D_lo", "'5'"),
    (ByHand(D_lo=-3.0), "D_lo", "-3.0"),
    (ByHand(D_lo=True), "D_lo", "True"),
    (ByHand(D_lo=10**400), "D_lo", "digits"),
    (ByHand(D_hi=math.nan), "D_hi", "nan"),
    (ByHand(f_lo=1.0), "f_lo = 1.0", "f_hi = 0.0"),
    (ByHand(D_lo=3.0), "D_lo = 3.0", "D_hi = 2.0"),
    (ByHand(f_lo=Decimal(0)), "f_lo", "float()"),
    (ByHand(D_inf_lo="a"), "D_inf_lo"),
    (ByHand(radius=math.nan), "radius", "nan"),
    (ByHand(attained="no"), "attained", "'no'"),
    (ByHand(x=np.array([0.0, math.nan, 0.0])), "x of the optimum", "nan"),
    (ByHand(x=None), "x of the optimum", "None"),
    (ByHand(x=np.zeros(2)), "shape (2,)"),
    (ByHand(identity=5), "identity", "5"),
)


@pytest.mark.parametrize("case", NO_OPTIMA)
def test_what_is_no_optimum_is_refused_wherever_one_is_taken(case):
    wrong, *words = case
    with refused(*words):
        dc.check(finished(), wrong)
    with refused(*words):
        dc.gap_bounds(finished(), wrong)
    for name in ("subgradient", ADAPT):  # the second needs none
        with refused(*words):
            dc.solve(PROBLEM, name, steps=5, optimum=wrong)


@pytest.mark.parametrize(
    ("wrong", "word"),
    table(
        ({"D_lo": "5"}, "D_lo"), ({"D_lo": -3.0}, "-3.0"), ({"f_lo": None}, "f_lo"), ({"D_hi": 1j}, "1j"),
        ({"x": [math.nan]}, "nan"), ({"attained": 1}, "attained"), ({"D_hi": 10**400}, "digits"),
    ),
)  # fmt: skip
def test_an_optimum_is_checked_when_it_is_made(wrong, word):
    with refused(word):
        problems.Optimum(**{"f_lo": 0.0, "f_hi": 0.0, "x": np.zeros(1), "D_lo": 1.0, "D_hi": 1.0, **wrong})


@pytest.mark.parametrize("run", each(5, None, "run", dc.Run))
def test_what_is_no_run_is_refused(run):
    with refused("run must be a Run, the result of dc.solve"):
        dc.check(run, PROBLEM.optimum())
    with refused("run must be a Run, the result of dc.solve"):
        dc.gap_bounds(run, PROBLEM.optimum())


@pytest.mark.parametrize(
    ("given", "words"),
    table(
        (5, ["must be", "got 5"]),
        ("L1", ["got 'L1'", "brackets"]),
        (dc.theorems()["L1"], ["got <Theorem L1", "brackets"]),
        (None, ["got None"]),
        ([5], ["5"]),
        ([["L1"]], ["['L1']"]),
        (["L2"], ["'L2'", "did you mean"]),
        ([ESCAPE * 1000], ["\\x1b[31m", "..."]),
    ),
)
def test_theorems_and_claims_are_lists_of_theorems_or_their_names(given, words):
    with refused("theorem", *words[:1]):
        dc.check(finished(), PROBLEM.optimum(), theorems=given)
    with refused(*(word for word in words if word not in ("must be", "brackets"))):
        dc.solve(PROBLEM, method(claims=given), steps=5)


def test_two_theorems_of_one_name_are_told_apart_or_refused():
    one = theorem()
    assert len(dc.check(finished(), theorems=[one, one]).query("theorem == 'odd'")) == 1
    assert len(dc.check(finished(), theorems=["L1"]).query("theorem == 'L1'")) == 1
    for others in ([one, theorem()], [theorem(name="L1")]):
        with refused("distinct names", "rename"):
            dc.check(finished(), theorems=others)


# ---------------------------------------------------------------------------------------------------------
# Methods


def real(**more):
    return dc.Real(**{"name": "a", "meaning": "m", "default": 1.0, **more})


def choice(**more):
    return dc.Choice(**{"name": "a", "meaning": "m", "options": ("x", "y"), "default": "x", **more})


PLAIN = choice(name="b")


@pytest.mark.parametrize(
    ("wrong", "words"),
    table(
        ({"name": None}, ["name", "None"]),
        ({"name": ""}, ["name", "''"]),
        ({"name": ESCAPE}, ["name", "\\x1b"]),
        ({"name": "n" * 5000}, ["name", "..."]),
        ({"init": 5}, ["init", "got 5"]),
        ({"init": asynchronous}, ["init", "asynchronous"]),
        ({"init": generator}, ["init", "generator"]),
        ({"step": 5}, ["dc.step", "got 5"]),
        ({"step": descent}, ["dc.step"]),
        ({"step": PROBLEM.oracle.kernel}, ["dc.step"]),
        ({"averages": "no"}, ["averages", "'no'"]),
        ({"title": "\x1b"}, ["title", "\\x1b"]),
        ({"distance_norm": "l1"}, ["distance_norm", "euclidean, maximum", "'l1'"]),
        ({"d_limit": 0.0}, ["d_limit", "share of D", "0.0"]),
        ({"d_limit": "all"}, ["d_limit", "'all'"]),
        ({"select": 5}, ["select=5"]),
        ({"claims": "L1"}, ["claims", "'L1'", "brackets"]),
        ({"claims": (5,)}, ["claim", "5"]),
        ({"hyper": (5,)}, ["hyper", "5"]),
        ({"hyper": None}, ["hyper", "None"]),
        ({"hyper": "d0"}, ["hyper", "'d0'"]),
        ({"hyper": real()}, ["hyper", "brackets"]),
        ({"hyper": (real(), real())}, ["distinct", "'a'"]),
        ({"hyper": (real(name="schedule"),)}, ["schedule"]),
        ({"hyper": (real(when=("b", "x")),)}, ["when=('b', 'x')", "no hyper-parameter 'b'"]),
        ({"hyper": (real(unless=("b", 1.0)), real(name="b"))}, ["unless=('b', 1.0)", "declared before"]),
        ({"hyper": (PLAIN, real(when=("b", "z")))}, ["when=('b', 'z')", "never happens"]),
        ({"hyper": (real(name="b"), real(when=("b", 1.0)))}, ["no dc.Choice"]),
        ({"scalars": "d"}, ["scalars", "'d'"]),
        ({"scalars": None}, ["scalars", "None"]),
        ({"scalars": (5,)}, ["identifiers", "5"]),
        ({"scalars": ("a b",)}, ["identifiers", "'a b'"]),
        ({"scalars": ("",)}, ["identifiers", "''"]),
        ({"scalars": ("a", "a")}, ["distinct", "'a'"]),
        ({"scalars": ("f",)}, ["f of its state", "rename"]),
        ({"scalars": ("epoch",)}, ["epoch of its state", "rename"]),
        ({"vectors": "x0"}, ["vectors", "'x0'"]),
        ({"vectors": ("s", "s")}, ["distinct", "'s'"]),
        ({"vectors": ("s",), "scalars": ("s",)}, ["distinct", "'s'"]),
        ({"vectors": ("x_next",)}, ["x_next of its state"]),
        ({"vectors": ([],)}, ["identifiers", "[]"]),
    ),
)
def test_a_method_is_checked_when_it_is_made(wrong, words):
    with refused(*words):
        method(**wrong)


def test_a_scalar_that_theorems_could_not_read_is_refused():
    """c.D is the distance to the minimisers, whatever a method calls so."""
    for name in ("D", "G", "n", "f_star", "hyper"):
        with refused(name, "rename"):
            dc.solve(PROBLEM, method(scalars=(name,)), steps=5)


@pytest.mark.parametrize(
    ("make", "words"),
    table(
        (lambda: real(known="foo"), ["known", "'foo'", "f_star"]),
        (lambda: real(default=-1.0, low=0.0), ["positive", "-1.0"]),
        (lambda: real(default="1"), ["number", "'1'"]),
        (lambda: real(low="0"), ["low", "'0'"]),
        (lambda: real(low=2.0, high=1.0), ["low=2.0", "high=1.0"]),
        (lambda: real(low=math.nan), ["low=nan"]),
        (lambda: real(when="b"), ["when", "'b'"]),
        (lambda: real(name=5), ["identifier", "5"]),
        (lambda: real(name="a b"), ["identifier", "'a b'"]),
        (lambda: real(name="lambda"), ["identifier", "'lambda'"]),
        (lambda: real(name="steps"), ["steps", "rename"]),
        (lambda: choice(options="xy"), ["options", "'xy'"]),
        (lambda: choice(options=()), ["'x'"]),
        (lambda: choice(options=("x", "x")), ["distinct", "'x'"]),
        (lambda: choice(default="z"), ["'z'", "'x', 'y'"]),
        (lambda: dc.Flag("a", "m", 5), ["True or False", "5"]),
        (lambda: dc.Pair("a", "m", (0.5, 3.0), 0.0, 1.0), ["two numbers in [0, 1)", "(0.5, 3.0)"]),
        (lambda: dc.Pair("a", "m", 0.5, 0.0, 1.0), ["two numbers in [0, 1)", "0.5"]),
        (lambda: dc.register(5), ["dc.Method", "5"]),
        (lambda: dc.get_method(["sgd"]), ["unknown method ['sgd']"]),
        (lambda: dc.get_method(ESCAPE * 1000), ["unknown method", "\\x1b"]),
    ),
)
def test_a_hyper_parameter_is_checked_when_it_is_made(make, words):
    with refused(*words):
        make()


def test_names_that_solve_keeps_for_itself_are_those_of_its_arguments():
    parameters = inspect.signature(dc.solve).parameters.values()
    assert {p.name for p in parameters if p.kind != p.VAR_KEYWORD} == OF_SOLVE


@pytest.mark.parametrize(
    "function",
    each(
        5, len, None, "descent", np.sin, Held, Held().bound, functools.partial(descent), asynchronous, generator, STEP,
        numba.njit(descent),
    ),
)  # fmt: skip
@pytest.mark.parametrize("decorate", [dc.step, dc.helper, dc.oracle, dc.value], ids=lambda d: d.__name__)
def test_only_plain_functions_are_compiled(decorate, function):
    with refused(f"dc.{decorate.__name__} takes a plain Python function"):
        decorate(function)


def test_a_lambda_is_a_function_like_any_other():
    half = dc.helper(lambda c: 0.5 * c)
    assert half(3.0) == 1.5
    with refused("own: its step must take the nine arguments"):
        dc.solve(PROBLEM, method(step=dc.step(lambda x: 1.0)), steps=5)


def test_an_init_that_is_no_function_of_python_may_fail_too():
    def init(factor, vectors, scalars, hyper):
        raise LookupError("nothing there")

    with refused("own: its init fails: LookupError: nothing there"):
        dc.solve(PROBLEM, method(init=functools.partial(init, 2.0)), steps=5)


# ---------------------------------------------------------------------------------------------------------
# Theorems


@pytest.mark.parametrize(
    ("wrong", "words"),
    table(
        ({"name": None}, ["name", "None"]),
        ({"name": ""}, ["name", "''"]),
        ({"name": ESCAPE}, ["name", "\\x1b"]),
        ({"needs": 5}, ["needs", "5"]),
        ({"needs": "d"}, ["needs", "'d'"]),
        ({"needs": (5,)}, ["needs", "5"]),
        ({"assumptions": len}, ["assumptions", "len"]),
        ({"assumptions": (5,)}, ["assumption", "5"]),
        ({"rows": 5}, ["rows", "5"]),
        ({"sides": 5}, ["sides", "5"]),
        ({"sides": generator}, ["sides", "generator"]),
        ({"sides": None, "steps": 5}, ["steps", "5"]),
        ({"steps": generator}, ["sides and steps"]),
        ({"relation": ">="}, ["relation", "'>='", "'<=', '='"]),
        ({"relation": ["<="]}, ["relation", "['<=']"]),
        ({"kind": np.zeros(2)}, ["kind", "array"]),
        ({"iterate": None}, ["iterate", "None"]),
        ({"schedule": None}, ["schedule", "None"]),
        ({"about": "sgd"}, ["about", "'sgd'"]),
        ({"about": (5,)}, ["about", "5"]),
        ({"uses_optimum": "no"}, ["uses_optimum", "'no'"]),
        ({"figure": 1}, ["figure", "1"]),
        ({"statement": None}, ["statement", "None"]),
        ({"proof": None}, ["proof", "None"]),
    ),
)
def test_a_theorem_is_checked_when_it_is_made(wrong, words):
    with refused("theorem", *words):
        theorem(**wrong)


def test_a_theorem_names_its_schedule_as_runs_record_it():
    assert theorem(schedule=" linear(0) ").schedule == "linear"


@pytest.mark.parametrize(
    "returned",
    each(
        5, None, "abc", {}, np.zeros(3), [5], [None], [(1, "d", 1.0, 1.0, 0.0)], [StepCheck("1", "d", 1.0, 1.0, 0.0)],
        [StepCheck(1, "d", 1.0, 1.0, None)], [StepCheck(1, "d", "1", 1.0, 0.0)], [StepCheck(1, 5, 1.0, 1.0, 0.0)],
    ),
)  # fmt: skip
def test_steps_of_a_theorem_are_step_checks(returned):
    with refused("theorem odd: steps must return a list of StepCheck"):
        dc.check(finished(), theorems=[theorem(sides=None, steps=lambda run: returned, uses_optimum=False)])


# ---------------------------------------------------------------------------------------------------------
# Numbers

NO_NUMBERS = (
    10**400, -(10**400), 10**5000, Fraction(10**400), Decimal("1e400"), Decimal("sNaN"), np.longdouble("1e4000"), True,
    np.bool(True), "5", b"5", [], {}, 1j, np.complex128(1), np.array([1.0, 2.0]), np.datetime64(5, "s"), object(),
    np.ma.masked, math.nan,
)  # fmt: skip


def mini_batches(**options):
    return dc.solve(ROWS, "sgd", **{"epochs": 2, "batch_size": 2, "lr": 0.1, **options})


NUMERIC = {
    "d0 must be": lambda v: dc.solve(PROBLEM, ADAPT, steps=5, d0=v),
    "growth_rate must be": lambda v: dc.solve(ROWS, "dadapt_sgd", steps=5, growth_rate=v),
    "betas must be": lambda v: dc.solve(ROWS, "adam", steps=5, lr=0.1, betas=(0.9, v)),
    "noise must be": lambda v: dc.solve(ROWS, "sgd", steps=5, lr=0.1, noise=Noise("gaussian", v)),
    "steps": lambda v: dc.solve(PROBLEM, ADAPT, steps=v),
    "batch_size must be": lambda v: mini_batches(batch_size=v),
    "checkpoints must be": lambda v: dc.solve(PROBLEM, ADAPT, steps=5, checkpoints=[v]),
    "schedule must": lambda v: dc.solve(PROBLEM, ADAPT, steps=5, schedule=lambda k: v),
    "end, the factor at the end": lambda v: dc.solve(PROBLEM, ADAPT, steps=5, schedule=dc.schedules.Linear(v)),
    "G must be": lambda v: problems.from_callable(lambda x: (1.0, x), x0=[1.0], G=v),
    "real number f": lambda v: problems.from_callable(lambda x: (1.0 if x[0] < 0 else v, x), x0=[1.0]),
    "radius must be": lambda v: PROBLEM.optimum(radius=v),
    "size must be": lambda v: ROWS.batch_bounds(v),
    "x0 must be": problems.absolute_value,
    "D must be": lambda v: problems.drori_teboulle(m=5, D=v),
    "p must be": problems.norm2,
    "l2 must be": lambda v: problems.hinge(np.eye(2), [1, -1], l2=v),
    "tau must be": lambda v: problems.quantile(np.eye(2), [1, -1], tau=v),
}


@pytest.mark.parametrize("value", each(*NO_NUMBERS))
@pytest.mark.parametrize("words", NUMERIC)
def test_a_number_is_a_number(words, value):
    if words == "size must be" and type(value) is int and value > 1:
        return  # a batch of all rows
    of_nan = {"real number f": "returned f = nan", "G must be": "G and G_inf must be positive"}
    with refused(of_nan.get(words, words) if value is NO_NUMBERS[-1] else words):
        NUMERIC[words](value)


@pytest.mark.parametrize("value", each(*NO_NUMBERS))
def test_a_seed_is_an_integer(value):
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        assert mini_batches(seed=value).status == "completed"
        return
    with refused("seed must be"):
        mini_batches(seed=value)
    with refused("seed must be"):  # also where nothing is drawn
        dc.solve(PROBLEM, ADAPT, steps=5, seed=value)


@pytest.mark.parametrize("value", each(Decimal(2), Fraction(2), np.float32(2), np.int8(2), np.array(2.0)))
def test_a_number_of_any_kind_is_that_number(value):
    assert dc.solve(PROBLEM, ADAPT, steps=5, d0=value).hyper["d0"] == 2.0
    expected = dc.solve(PROBLEM, "sgd", lr=0.5, steps=5).x
    assert np.array_equal(dc.solve(PROBLEM, "sgd", lr=value / 4, steps=5).x, expected)
    halves = dc.solve(PROBLEM, "sgd", lr=1.0, steps=5, schedule=lambda k: value / 4)
    assert np.array_equal(halves.x, expected)


@pytest.mark.parametrize(
    "checkpoints",
    each(
        [[1, 2], [3]], [[1, 2]], {1, 2.5}, {1, "a"}, [1.0], (1, None), {1: 2}, b"ab", [1, True], np.array([[1, 2]]),
        np.array(3), [2**63], [10**5000], range(1, 10**12),
    ),
)  # fmt: skip
def test_checkpoints_are_integers(checkpoints):
    with refused("checkpoints must be"):
        dc.solve(PROBLEM, ADAPT, steps=20, checkpoints=checkpoints)


@pytest.mark.parametrize(("steps", "checkpoints"), [(10**11, "all"), (10**11, "epochs"), (10**13, "log")])
def test_more_rows_or_steps_than_a_run_can_have_are_refused(steps, checkpoints):
    with refused("e+"):
        dc.solve(PROBLEM, ADAPT, steps=steps, checkpoints=checkpoints)


@pytest.mark.parametrize(
    "betas",
    each(
        {0.9, 0.99}, {0.9: 1, 0.8: 1}, (0.9,), (0.9, 0.9, 0.9), [[0.9, 0.9]], b"ab", "0.9", "0.9 x", ("0.9", "0.9"),
        iter([0.9, 0.99]), np.array([[0.9, 0.99]]), [0.9, [0.9]],
    ),
)  # fmt: skip
def test_betas_are_a_pair(betas):
    with refused("betas must be two numbers"):
        dc.solve(ROWS, "adam", steps=3, lr=0.1, betas=betas)


def test_an_argument_that_must_be_called_can_be():
    for progress in (5, "x", []):
        with refused("progress must be a function"):
            dc.solve(PROBLEM, ADAPT, steps=5, progress=progress)
    for function in (5, None, asynchronous):
        with refused("f_and_g must be a function"):
            problems.from_callable(function, x0=[1.0])


class Objective:
    def __init__(self, **more):
        vars(self).update({"name": "o", "oracle": PROBLEM.oracle, "x0": np.ones(3), "G": 1.0, **more})


@pytest.mark.parametrize(
    ("wrong", "word"),
    table(
        ({"oracle": 5}, "dc.Oracle"), ({"x0": None}, "None"), ({"x0": "a"}, "'a'"), ({"x0": [[1], [1, 2]]}, "x0"),
        ({"x0": np.array([1j])}, "1.j"), ({"G": "a"}, "'a'"), ({"G": math.nan}, "nan"), ({"name": None}, "None"),
    ),
)  # fmt: skip
def test_an_objective_of_ones_own_is_checked(wrong, word):
    with refused(word):
        dc.solve(Objective(**wrong), "sgd", lr=0.1, steps=3)


def test_the_optimum_of_an_objective_of_ones_own_is_checked():
    for optimum, word in ((5, "got 5"), (ByHand(D_hi="2"), "D_hi"), (ByHand(D_hi=math.nan), "D_hi = nan")):
        with refused(word):
            dc.solve(Objective(optimum=lambda optimum=optimum: optimum), "subgradient", steps=3)


@pytest.mark.parametrize(
    "given",
    each({"dense": "a"}, {"dense": [[1j]]}, {"b": [[1], [1, 2]]}, {"params": [None]}, {"csr": 5}, {"csr": (1, 2)}),
)
def test_data_of_an_oracle_are_real_numbers(given):
    with refused("got"):
        dc.pack(**given)


def test_an_oracle_has_something_to_call():
    for given in ({}, {"function": 5}, {"kernel": 5}, {"kernel": STEP}, {"function": abs, "margins": 3}):
        with refused("Oracle"):
            dc.Oracle(**given)


# ---------------------------------------------------------------------------------------------------------
# Code of the caller's own that goes wrong during a run


def later(what, good=7):
    """An objective that returns something else from a call on."""
    calls = []

    def f_and_g(x):
        calls.append(1)
        return what(x) if len(calls) > good else (float(np.abs(x).sum()), np.sign(x))

    return problems.from_callable(f_and_g, x0=[1.0, -2.0], G=2.0)


BAD_RETURNS = {
    "NoneType": lambda x: None,
    "tuple (1, 2, 3)": lambda x: (1, 2, 3),
    "list [1.0": lambda x: [1.0, x],
    "shape (3,)": lambda x: (1.0, np.ones(3)),
    "+1.j": lambda x: (1.0, x + 1j),
    "f = 1j": lambda x: (1j, x),
    "f = None": lambda x: (None, x),
    "None for a subgradient": lambda x: (1.0, None),
    "['1', '2']": lambda x: (1.0, ["1", "2"]),
    "g = None": lambda x: (1.0, np.array([1.0, None])),
    "f = array([1.])": lambda x: (np.ones(1), x),
    "digits": lambda x: (10**400, x),
    "masked_array": lambda x: (1.0, np.ma.masked_array(x, [True, False])),
    "[[1], [1, 2]]": lambda x: (1.0, [[1], [1, 2]]),
}
OWN = method()


@pytest.mark.parametrize("options", [{}, {"noise": "sign(0.1)"}, {"checkpoints": "all"}], ids=["log", "noise", "all"])
@pytest.mark.parametrize("chosen", [ADAPT, OWN], ids=["built in", "own"])
@pytest.mark.parametrize("words", BAD_RETURNS)
def test_an_objective_that_returns_something_else_ends_the_run_and_keeps_what_there_is(words, chosen, options):
    run = dc.solve(later(BAD_RETURNS[words]), chosen, steps=40, **options)
    assert run.status == "failed"
    assert words in run.message
    assert f"at step {run.k} (k = {run.k}) callable" in run.message
    assert 1 <= run.k < 40
    assert run.rows[-1]["k"] == run.k
    assert dc.check(run)["note"].str.contains("the run is failed").all()


def test_f_at_an_average_may_be_the_call_that_fails():
    problem = later(lambda x: None, good=2)
    run = dc.solve(problem, "sgd", lr=0.1, steps=5, checkpoints=[1])
    assert (run.status, run.k) == ("failed", 1)
    assert run.rows[0]["f"] == 3.0
    assert math.isnan(run.rows[0]["f_avg"])
    noisy = dc.solve(later(lambda x: None, good=4), "sgd", lr=0.1, steps=5, checkpoints=[1], noise="sign(0.1)")
    assert noisy.status == "failed"
    assert noisy.rows[-1]["k"] == noisy.k


@pytest.mark.parametrize("options", [{}, {"noise": "sign(0.1)"}], ids=["exact", "noise"])
def test_an_objective_may_write_to_the_point_it_is_given(options):
    def l1_norm(x):
        return float(np.abs(x).sum()), np.sign(x)

    def careless(x):
        found = l1_norm(x)
        x[:] = 1e6
        return found

    fine, written = (
        dc.solve(problems.from_callable(f, x0=[1.0, -2.0], G=2.0), ADAPT, steps=60, checkpoints="all", **options)
        for f in (l1_norm, careless)
    )
    for name in ("x0", "x", "x_next", "x_avg", "x_best"):
        assert np.array_equal(getattr(fine, name), getattr(written, name)), name
    assert fine.trace.drop(columns="seconds").equals(written.trace.drop(columns="seconds"))


def test_what_an_objective_raises_says_at_which_step():
    def raises(x):
        raise RuntimeError("no licence")

    for chosen in (ADAPT, OWN):
        with pytest.raises(RuntimeError, match="no licence") as raised:
            dc.solve(later(raises), chosen, steps=40, checkpoints="all")
        assert "callable, at step" in raised.value.__notes__[0]


def test_what_progress_raises_is_not_laid_to_the_step():
    def progress(k):
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        dc.solve(PROBLEM, OWN, steps=30, progress=progress)


class Late(dc.Schedule):
    """Wrong from a call on."""

    def __init__(self, what, good):
        self.what, self.good = what, good

    def factors(self, k, steps, per_epoch):
        self.good -= 1
        return np.ones(len(k)) if self.good >= 0 else self.what(k)


BAD_FACTORS = {
    "fails: ZeroDivisionError": lambda k: 1 / 0,
    "array of real numbers, got None": lambda k: None,
    "array of real numbers, got array([": lambda k: 1j * np.ones(len(k)),
    "a factor for each k, got shape (2, 2)": lambda k: np.ones((2, 2)),
    "nonnegative and finite, got -1.0": lambda k: -np.ones(len(k)),
    "nonnegative and finite, got nan": lambda k: np.full(len(k), np.nan),
}


@pytest.mark.parametrize("words", BAD_FACTORS)
def test_a_schedule_that_goes_wrong_is_refused_or_ends_the_run(words):
    with refused("schedule", words):
        dc.solve(PROBLEM, "sgd", lr=0.1, steps=50, schedule=Late(BAD_FACTORS[words], 0))
    own = dc.solve(PROBLEM, method(hyper=(dc.SCHEDULE,)), steps=50, schedule=Late(BAD_FACTORS[words], 1))
    assert own.status == "failed"
    run = dc.solve(PROBLEM, "sgd", lr=0.1, steps=5000, schedule=Late(BAD_FACTORS[words], 5))
    assert run.status == "failed"
    assert words in run.message
    assert f"at step {run.k} " in run.message
    assert run.rows[-1]["k"] == run.k > 0


# ---------------------------------------------------------------------------------------------------------
# What a finished run holds, and what an identity reaches


@pytest.mark.parametrize(
    "travelled", [lambda run: run, copy.copy, copy.deepcopy, lambda run: pickle.loads(pickle.dumps(run))],
    ids=["itself", "copy", "deepcopy", "pickle"],
)  # fmt: skip
def test_a_run_cannot_be_falsified_by_accident(travelled):
    run = travelled(dc.solve(PROBLEM, ADAPT, steps=30))
    arrays = [run.x0, run.x, run.x_next, run.x_avg, run.x_best, run.x_selected]
    arrays += [value for t in run.transitions for value in vars(t).values() if isinstance(value, np.ndarray)]
    assert len(arrays) > 50
    for array in arrays:
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 0.0
    for recorded in (run.hyper, run.given, run.rows[0], run.errors[-1]):
        with pytest.raises(TypeError, match=r"cannot be changed; dict\(...\) makes a copy"):
            recorded["d0"] = 5.0
        with pytest.raises(TypeError, match="cannot be changed"):
            recorded.update(f=0.0)
    expected = dc.check(finished(), PROBLEM.optimum())["verdict"]
    run.trace.loc[:, :] = 0.0  # the table is the user's
    assert dc.check(run, PROBLEM.optimum())["verdict"].equals(expected)
    assert dict(run.hyper) == run.hyper


def test_the_fingerprint_follows_functions_of_numba(monkeypatch):
    """Steps refuse them, oracles may call them: machine code of yesterday's must not stay in use."""

    def times(c):
        return numba.njit(lambda x: c * x)

    module = types.ModuleType("own")
    monkeypatch.setitem(globals(), "own", module)
    found = []
    for inner in (lambda x: 2.0 * x, lambda x: 3.0 * x, lambda x: 2.0 * x):
        module.inner = numba.njit(inner)
        found.append(fingerprint(uses_numba))
    assert found[0] == found[2] != found[1]
    for c in (2.0, 3.0, 2.0):
        module.inner = times(c)
        found.append(fingerprint(uses_numba))
    assert found[3] == found[5] != found[4]


@dc.oracle
def uses_numba(x, g, z, data):
    g[0] = own.inner(1.0)  # noqa: F821
    return own.inner(x[0])  # noqa: F821


@numba.njit
def unchecked(c):
    return 0.5 * c


@dc.helper
def through_a_helper(c):
    return unchecked(c)


def hidden(k, f, g2, g, x, x_next, vectors, scalars, hyper):
    for i in range(x.size):
        x_next[i] = x[i] - through_a_helper(0.1) * g[i]
    return 1.0


def test_a_step_reaches_no_function_of_numba_through_a_helper():
    with pytest.raises(ValueError, match=r"its step calls unchecked, which .* compiles without bounds checks"):
        dc.solve(PROBLEM, method(step=dc.step(hidden)), steps=5)


@pytest.mark.parametrize("text", ["", "METHOD = 'polyak'\n", "from dadapt_convex.methods.polyak import METHOD\n"])
def test_a_file_of_methods_has_the_method_of_its_name(text, tmp_path, monkeypatch):
    package = importlib.import_module("dadapt_convex.methods")
    (tmp_path / "method_of_a_test.py").write_text(text)
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    with pytest.raises(ValueError, match=r"must have a METHOD, a dc\.Method named 'method_of_a_test', got "):
        dc.get_method("method_of_a_test")
    monkeypatch.delitem(sys.modules, "dadapt_convex.methods.method_of_a_test")


def test_two_theorems_of_the_library_have_two_names(tmp_path, monkeypatch):
    import dadapt_convex.theory.library as package

    (tmp_path / "theorems_of_a_test.py").write_text(
        "from dadapt_convex.theory.statement import theorem\n\n"
        "@theorem('f >= f', source='own')\ndef D3(c):\n    return c.f, c.f\n"
    )
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    package.theorems.cache_clear()
    try:
        with pytest.raises(ValueError, match=r"theorems_of_a_test\.py: another theorem is called D3; rename this one"):
            dc.theorems()
    finally:
        package.theorems.cache_clear()
        sys.modules.pop("dadapt_convex.theory.library.theorems_of_a_test", None)
