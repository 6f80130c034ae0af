"""Methods: agreement with an independent transcription, purity, invariances."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.sparse
import transcriptions

import dadapt_convex as dc
import problems
from dadapt_convex.hyper import Choice, Real
from dadapt_convex.schedules import as_schedule

# F_STAR lies above the minimum of the logistic problem here, where Polyak's step converges to a level set and is
# stable. At or below the minimum its trajectories are chaotic on smooth functions: no two orders of summation
# agree to 1e-12 after 30 steps (the agreement step by step, below, does not need stability).
D, G, F_STAR = 3.0, 2.5, 0.45


SCHEDULES = ("constant", "warmup(5, cosine(0.1))")


def configurations(names, schedules=SCHEDULES):
    """These methods with every combination of their named options and these schedules."""
    for name in names:
        choices = [h for h in dc.get_method(name).hyper if isinstance(h, Choice)]
        own = ("inverse_sqrt",) if name == "subgradient" else ()
        for *options, schedule in itertools.product(*(c.options for c in choices), (*schedules, *own)):
            chosen = dict(zip((c.name for c in choices), options, strict=True), schedule=schedule)
            yield pytest.param(name, chosen, id="-".join([name, *options, schedule]))


# those of tests/transcriptions.py; the family of Algorithms 2 to 5 and its baselines have tests of their own
TRANSCRIBED = list(configurations(transcriptions.NAMES))
CONFIGURATIONS = list(configurations(dc.methods(), ["constant"]))


def known(problem, name, options, steps):
    """The hyper-parameters that a method must be given, at values that need no optimum."""
    values = {"D": D, "G": G, "G_inf": G, "f_star": F_STAR, "steps": steps}
    given = dict(options)
    for h in dc.get_method(name).hyper:
        if isinstance(h, Real) and h.known is not None and (h.when is None or options[h.when[0]] == h.when[1]):
            given[h.name] = values[h.known]
    if given["schedule"] == "inverse_sqrt":
        del given["N"]
    return given


def transcribed(name, oracle, problem, steps, given):
    """What the transcription makes of the same."""
    factors = as_schedule(given["schedule"]).factors(np.arange(steps), steps, 1)
    hyper = {key: value for key, value in given.items() if key != "schedule"}
    records, values = transcriptions.run(name, oracle, problem.x0, steps, factors, **hyper)
    return records, values, transcriptions.weights(name, records[:-1], factors)


def data(sparse, seed=0, m=120, p=7):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((m, p)) * (rng.random((m, p)) < 0.6)
    b = np.where(A @ rng.standard_normal(p) + rng.standard_normal(m) > 0, 1.0, -1.0)
    return (scipy.sparse.csr_array(A) if sparse else A), b


def logistic_by_numpy(A, b):
    A = np.hstack([np.asarray(A.todense()) if scipy.sparse.issparse(A) else A, np.ones((b.size, 1))])

    def oracle(k, x):
        u = b * (A @ x)
        return np.logaddexp(0, -u).mean(), A.T @ (-b / (1 + np.exp(u))) / b.size

    return oracle


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize(("name", "options"), TRANSCRIBED)
def test_compiled_method_agrees_with_the_transcription_over_1000_steps(name, options, sparse):
    A, b = data(sparse)
    problem, steps = problems.logistic(A, b), 1000 if options["schedule"] == "constant" else 200
    given = known(problem, name, options, steps)
    run = dc.solve(problem, name, steps=steps, checkpoints="all", **given)
    records, values, w = transcribed(name, logistic_by_numpy(A, b), problem, steps, given)

    # 1e-12 relative to the size of each quantity: rounding of the same recursion in another order
    close = {"rtol": 1e-12, "atol": 1e-12}
    np.testing.assert_allclose(run.trace["f"], values, **close)
    np.testing.assert_allclose(run.x, records[-2]["x"], **close)
    np.testing.assert_allclose(run.x_next, records[-1]["x"], **close)
    average = sum(wi * r["x"] for wi, r in zip(w, records[:-1], strict=True)) / w.sum()
    np.testing.assert_allclose(run.x_avg, average, **close)
    np.testing.assert_allclose(run.trace["f_avg"].iloc[-1], logistic_by_numpy(A, b)(0, average)[0], **close)
    if "d" in records[0]:
        for column in ("d", "d_hat"):
            np.testing.assert_allclose(run.trace[column], [r[column] for r in records[1:]], **close)
        np.testing.assert_allclose(run.trace["s_norm"], [np.linalg.norm(r["s"]) for r in records[1:]], **close)


def compiled_steps(problem, name, steps, given):
    """x_0, x_1, ..., and (f_k, g_k), from calls of the compiled step and oracle one by one."""
    method = dc.get_method(name)
    vectors = np.zeros((len(method.vectors), problem.p))
    if "x0" in method.vectors:
        vectors[method.vectors.index("x0")] = problem.x0
    values, _ = method.complete(given, lambda what: pytest.fail(f"{what} was not given"))
    factors = as_schedule(values["schedule"]).factors(np.arange(steps), steps, 1)
    hyper, scalars = method.encode(values), np.zeros(len(method.scalars))
    method.init(vectors, scalars, hyper)
    points, answers = [np.array(problem.x0)], []
    for k in range(steps):
        g, z, x_next = np.zeros(problem.p), np.zeros(problem.oracle.margins), np.zeros(problem.p)
        f = problem.oracle.evaluate(points[-1], g, z)
        answers.append((f, g.copy()))
        hyper[method.scheduled] = factors[k]
        method.step(k, f, float(g @ g), g, points[-1], x_next, vectors, scalars, hyper)
        points.append(x_next)
    return points, answers, dict(zip(method.scalars, scalars, strict=True))


KINKED = [problems.hinge, problems.least_absolute_deviation, problems.quantile]


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("loss", KINKED, ids=lambda f: f.__name__)
@pytest.mark.parametrize(("name", "options"), TRANSCRIBED)
def test_each_step_agrees_with_the_transcription_on_losses_with_kinks(name, options, loss, sparse):
    """Both see the same subgradients: at a kink rounding decides which one an oracle returns."""
    problem, steps = loss(*data(sparse, seed=1)), 150
    given = known(problem, name, options, steps)
    points, answers, scalars = compiled_steps(problem, name, steps, given)
    records, _, _ = transcribed(name, lambda k, x: answers[k], problem, steps, given)
    np.testing.assert_allclose(points, [r["x"] for r in records], rtol=1e-12, atol=1e-12)
    if "d" in scalars:
        np.testing.assert_allclose(scalars["d"], records[-1]["d"], rtol=1e-12)
        np.testing.assert_allclose(scalars["d_hat"], records[-1]["d_hat"], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("name", "options"), CONFIGURATIONS)
def test_the_driver_adds_nothing_to_the_steps(name, options):
    problem = problems.hinge(*data(False))
    given = known(problem, name, options, 60)
    points, _, scalars = compiled_steps(problem, name, 60, given)
    run = dc.solve(problem, name, steps=60, **given)
    # not to the last bit: ||g_k||^2 is summed in another order here
    np.testing.assert_allclose(run.x_next, points[-1], rtol=1e-12, atol=1e-15)
    for column, value in scalars.items():
        if column.startswith("_"):
            assert column not in run.trace.columns
            continue
        np.testing.assert_allclose(run.trace[column].iloc[-1], value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("name", "options"), CONFIGURATIONS)
def test_step_reads_but_does_not_write_its_inputs(name, options):
    method, p = dc.get_method(name), 5
    rng = np.random.default_rng(2)
    hyper = method.encode(method.complete(known(None, name, options, 10), None)[0])
    # nonnegative: among the vectors are sums of squares
    vectors, scalars = np.abs(rng.standard_normal((len(method.vectors), p))), np.zeros(len(method.scalars))
    method.init(vectors, scalars, hyper)
    x, g = rng.standard_normal(p), rng.standard_normal(p)
    before = x.copy(), g.copy(), hyper.copy()
    outcomes = []
    for _ in range(2):
        state = vectors.copy(), scalars.copy(), np.full(p, np.nan)
        w = method.step(0, 1.0, float(g @ g), g, x, state[2], state[0], state[1], hyper)
        outcomes.append((w, *state))
        if "x0" in method.vectors:
            row = method.vectors.index("x0")
            np.testing.assert_array_equal(state[0][row], vectors[row])
    for array, kept in zip((x, g, hyper), before, strict=True):
        np.testing.assert_array_equal(array, kept)
    for first, second in zip(*outcomes, strict=True):
        np.testing.assert_array_equal(first, second)
        assert np.all(np.isfinite(first))


@pytest.mark.parametrize(("name", "options"), CONFIGURATIONS)
def test_step_stays_finite_for_a_zero_subgradient_after_another(name, options):
    """The driver takes one more step when it meets g_k = 0, k > 0, so that the last row is complete."""

    def flat_after_the_first(x):
        return (abs(x[0] - 1.0), [-1.0 if x[0] == 0 else 0.0])

    problem = problems.from_callable(flat_after_the_first, x0=[0.0], G=1.0)
    run = dc.solve(problem, name, steps=5, checkpoints="all", **known(problem, name, options, 5))
    assert run.status == "converged"
    assert run.k == 2
    assert np.isfinite(run.trace.to_numpy()).all()


@pytest.mark.parametrize("option", ["I", "II"])
def test_d0_equal_to_D_is_adagrad_norm_dual_averaging(option):
    """d_hat <= D keeps d at d_0 = D; then lambda = D, gamma = 1/sqrt(S) moves x as lambda = 1, gamma = D/sqrt(S)."""
    problem = problems.absolute_value()
    adapted = dc.solve(problem, "dadapt_dual_averaging", steps=500, d0=1.0, option=option)
    plain = dc.solve(problem, "adagrad_norm_dual_averaging", steps=500, D=1.0)
    np.testing.assert_allclose(adapted.x_avg, plain.x_avg, rtol=1e-12)
    assert adapted.trace["d"].iloc[-1] == 1.0


@pytest.mark.parametrize("scale", [2.0**20, 2.0**-20])
@pytest.mark.parametrize("option", ["I", "II"])
def test_dadaptation_does_not_see_the_scale_of_f(option, scale):
    """Algorithm 1 is invariant under f -> c f; powers of two make it exact in floating point."""
    A, b = data(False)
    base = problems.least_absolute_deviation(A, b)

    def times(c):
        return problems.from_callable(lambda x: (c * base.value(x), c * base.subgradient(x)), x0=base.x0)

    one = dc.solve(times(1.0), "dadapt_dual_averaging", steps=300, option=option)
    other = dc.solve(times(scale), "dadapt_dual_averaging", steps=300, option=option)
    np.testing.assert_array_equal(one.x_avg, other.x_avg)
    np.testing.assert_array_equal(one.trace["d"], other.trace["d"])


@pytest.mark.parametrize("option", ["I", "II"])
def test_dadaptation_follows_the_scale_of_x(option):
    """X -> c x with d_0 -> c d_0 scales every iterate and every d_k by c."""
    c = 2.0**10
    small = dc.solve(problems.absolute_value(1.0), "dadapt_dual_averaging", steps=400, d0=1e-3, option=option)
    large = dc.solve(problems.absolute_value(c), "dadapt_dual_averaging", steps=400, d0=1e-3 * c, option=option)
    np.testing.assert_array_equal(c * small.trace["d"], large.trace["d"])
    np.testing.assert_array_equal(c * small.x_avg, large.x_avg)


def test_dadaptation_works_down_to_d0_1e_minus_30_and_stalls_at_1e_minus_160():
    """||s||^2 underflows at 1e-320: float64 ends there, and d must then stay where it was, not become NaN."""
    problem = problems.absolute_value()
    fine = dc.solve(problem, "dadapt_dual_averaging", steps=20_000, d0=1e-30)
    assert fine.trace["d"].iloc[-1] > 0.3
    stalled = dc.solve(problem, "dadapt_dual_averaging", steps=1000, d0=1e-170)
    assert stalled.status == "completed"
    assert stalled.trace["d"].iloc[-1] == 1e-170


def test_the_toy_problem_of_the_paper():
    """|x| from x_0 = 1, d_0 = 0.1, option II, modified step, G = 1: d rises to about 0.6."""
    problem = problems.absolute_value(1.0)
    run = dc.solve(problem, "dadapt_dual_averaging", steps=1000, d0=0.1, option="II", step="modified")
    assert run.trace["d"].is_monotonic_increasing
    assert 0.58 < run.trace["d"].iloc[-1] < 0.65


@pytest.mark.parametrize(("d0", "worst"), [(1.0, 1.0), (1e-2, 4.248), (1e-6, 8.870), (1e-16, 15.694)])
def test_prodigy_pays_the_root_of_the_logarithm(d0, worst):
    """sup_n sqrt(n + 1) gap / (D G) on |x|, by n = 253, against plain NumPy on |x - 1|: they differ by up to 0.3 %."""
    run = dc.solve(problems.absolute_value(), "prodigy_dual_averaging", steps=500, d0=d0, checkpoints="all")
    assert float((np.sqrt(run.trace["k"]) * run.trace["f_avg"]).max()) == pytest.approx(worst, rel=3e-3, abs=0)


@pytest.mark.parametrize(("d0", "steps"), [(1e-2, 36), (1e-6, 107), (1e-16, 283), (1e-30, 530)])
def test_prodigy_reaches_D_on_a_slope_in_steps_like_the_logarithm(d0, steps):
    """On -x, where every subgradient is -1: the first k with x_k >= D = 1."""
    slope = problems.from_callable(lambda x: (-float(x[0]), np.array([-1.0])), x0=[0.0], G=1.0)
    run = dc.solve(slope, "prodigy_dual_averaging", steps=600, d0=d0, checkpoints="all")
    assert int(run.trace["k"][run.trace["x_next_dist"] >= 1.0].iloc[0]) == steps


def test_prodigy_from_d0_at_least_D_is_dual_averaging_with_D_adaptation():
    """There d stays d_0, and its weights d_0^2 cancel: the modified step of Algorithm 1."""
    problem = problems.get("logistic:iris")  # smooth: rounding decides no tie
    prodigy = dc.solve(problem, "prodigy_dual_averaging", steps=200, d0=50.0)
    other = dc.solve(problem, "dadapt_dual_averaging", step="modified", steps=200, d0=50.0)
    assert prodigy.trace["d"].iloc[-1] == other.trace["d"].iloc[-1] == 50.0
    for name in ("x", "x_avg"):  # rounding of some hundred steps
        assert getattr(prodigy, name) == pytest.approx(getattr(other, name), rel=1e-10, abs=1e-10)
