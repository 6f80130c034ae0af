"""solve(): the loop around a method, what it records, how it ends, what it refuses."""

from __future__ import annotations

import itertools
import math
import os
import signal
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse
from exhaustive import one_in

import dadapt_convex as dc
import problems
from dadapt_convex import run as statuses
from dadapt_convex.checkpoints import checkpoint_steps
from dadapt_convex.state import step

RNG = np.random.default_rng(7)
A = RNG.standard_normal((50, 5)) * (RNG.random((50, 5)) < 0.7)
B = np.where(A @ RNG.standard_normal(5) + RNG.standard_normal(50) > 0, 1.0, -1.0)

# What methods that need them are given here, so that no optimum is computed.
GIVEN = {"D": 2.0, "G": 1.5, "G_inf": 1.5, "eta": 2.0, "f_star": 0.1}
METHODS = dc.methods()
SOLVE = sys.modules["dadapt_convex.solve"]  # the package has a function of this name
DADAPT = "dadapt_dual_averaging"


def given(method):
    parameters = dc.get_method(method).parameters
    names = [h.name for h in parameters.values() if h.when is None or parameters[h.when[0]].default == h.when[1]]
    return {name: value for name, value in GIVEN.items() if name in names}


def run(problem, method=DADAPT, steps=50, **options):
    return dc.solve(problem, method, steps=steps, **{**given(method), **options})


def logistic(**options):
    return problems.logistic(A, B, **options)


PROBLEMS = {
    "logistic-dense": logistic(),
    "hinge-csr": problems.hinge(scipy.sparse.csr_array(A), B),
    "max_abs": problems.max_abs(9),
    "python": problems.from_callable(lambda x: (np.abs(x).sum(), np.sign(x)), x0=np.linspace(-1, 2, 4), G=2.0),
}


def name_of(value):
    listed = next((name for name, problem in PROBLEMS.items() if problem is value), None)
    return listed or getattr(value, "name", None) or getattr(value, "__name__", None) or str(value)


each_problem = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
each_method = pytest.mark.parametrize("method", METHODS)
each = pytest.mark.parametrize(
    ("method", "problem"), one_in(3, itertools.product(METHODS, PROBLEMS.values())), ids=name_of
)


def same(first, second):
    """Bit by bit, but for the clock."""
    for name in ("x", "x_next", "x_avg", "x_best"):
        assert np.array_equal(getattr(first, name), getattr(second, name))
    assert (first.x_selected is None) == (second.x_selected is None)
    if first.x_selected is not None:
        assert np.array_equal(first.x_selected, second.x_selected)
    assert (first.k, first.hyper) == (second.k, second.hyper)
    joint = np.intersect1d(first.trace["k"], second.trace["k"])
    rows = [r.trace[r.trace["k"].isin(joint)].drop(columns="seconds").to_numpy() for r in (first, second)]
    assert np.array_equal(*rows)
    assert joint.size


# ---------------------------------------------------------------------------------------------------------
# The same numbers, however they are asked for


@each
def test_a_run_is_deterministic(method, problem):
    same(run(problem, method), run(problem, method))


@each
def test_checkpoints_change_nothing(method, problem):
    every = run(problem, method, checkpoints="all")
    for checkpoints in ("log", [7, 8, 31], [50]):
        same(every, run(problem, method, checkpoints=checkpoints))


@pytest.mark.parametrize("chunk_seconds", [0.0, 1e-5, 10.0])
@pytest.mark.parametrize("problem", [PROBLEMS["logistic-dense"], PROBLEMS["python"]], ids=["compiled", "python"])
def test_chunks_change_nothing(problem, chunk_seconds, monkeypatch):
    expected = run(problem, steps=300)
    monkeypatch.setattr(SOLVE, "CHUNK_SECONDS", chunk_seconds)
    same(expected, run(problem, steps=300))


def abs_in_python(x):
    return abs(x[0]), np.sign(x)


def max_abs_in_python(x):
    at = int(np.argmax(np.abs(x)))
    g = np.zeros_like(x)
    g[at] = np.sign(x[at])
    return abs(x[at]), g


IN_PYTHON = [(problems.absolute_value(0.7), abs_in_python), (problems.max_abs(9), max_abs_in_python)]


@pytest.mark.parametrize(
    ("method", "compiled", "function"),
    one_in(3, ((m, *pair) for m in METHODS for pair in IN_PYTHON)),
    ids=name_of,
)
def test_an_objective_in_python_gives_the_same_bits(method, compiled, function):
    python = problems.from_callable(function, x0=compiled.x0, G=compiled.G)
    expected = run(compiled, method, steps=500, checkpoints="all")
    same(expected, run(python, method, steps=500, checkpoints="all"))


@pytest.mark.parametrize(("method", "sparse"), one_in(3, itertools.product(METHODS, [False, True])))
def test_a_smooth_objective_in_python_agrees_over_500_steps(method, sparse):
    """1e-12: the order of summation differs, and on a smooth function the difference does not grow."""
    compiled = problems.logistic(scipy.sparse.csr_array(A) if sparse else A, B, l2=0.1)
    rows = np.hstack([A, np.ones((B.size, 1))])

    def function(x):
        u = B * (rows @ x)
        f = np.logaddexp(0, -u).mean() + 0.05 * (x @ x)
        return f, rows.T @ (-B / (1 + np.exp(u))) / B.size + 0.1 * x

    python = problems.from_callable(function, x0=compiled.x0, G=compiled.G)
    # above the minimum: below it Polyak's step is chaotic, and no two orders of summation agree after 500 steps
    options = {"f_star": 0.6} if method == "polyak" else {}
    first, second = (run(p, method, steps=500, **options) for p in (compiled, python))
    assert first.x == pytest.approx(second.x, rel=0, abs=1e-12)
    assert first.x_avg == pytest.approx(second.x_avg, rel=0, abs=1e-12)
    columns = first.trace.columns.drop("seconds")
    assert list(second.trace.columns.drop("seconds")) == list(columns)
    for column in columns:
        # a difference of large terms (d_hat) is off by 1e-12 of the terms, not of itself
        assert second.trace[column].to_numpy() == pytest.approx(first.trace[column].to_numpy(), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.float64])
def test_x0_of_any_real_type_is_taken(dtype):
    start = np.array([3, -1, 2], dtype=dtype)
    problem = replace(problems.max_abs(3), x0=start)
    expected = run(replace(problem, x0=start.astype(np.float64)))
    same(expected, run(problem))
    assert expected.x0.dtype == np.float64


@each
def test_the_problem_is_not_modified(method, problem):
    before = problem.x0.copy()
    result = run(problem, method)
    assert np.array_equal(problem.x0, before)
    for name in ("x0", "x", "x_next", "x_avg", "x_best"):
        assert not np.shares_memory(getattr(result, name), problem.x0)


# ---------------------------------------------------------------------------------------------------------
# What is recorded

COMMON = [
    "k", "f", "f_avg", "f_best", "f_mean", "g_norm", "g_max", "g0_norm", "x_dist", "x_next_dist", "S", "sum_w2_g2",
    "sum_w_gx", "sum_w_g",
]  # fmt: skip


@each_method
def test_the_trace_has_the_columns_it_should(method):
    trace = run(logistic(), method, checkpoints="all").trace
    chosen = dc.get_method(method)
    selected = ["f_selected", "t", "selected_ratio"] if chosen.select else []
    public = {name for name in chosen.scalars if not name.startswith("_")}
    expected = {*COMMON, "weight_sum", *public, *selected, "seconds"}
    assert set(trace.columns) == expected
    assert trace["k"].tolist() == list(range(1, 51))
    assert trace["k"].dtype == np.int64
    assert not trace.isna().any(axis=None)
    assert trace["seconds"].is_monotonic_increasing


def iterates(problem, method, n):
    """x_0 .. x_{n-1}, each the last iterate of a run of its own; N keeps schedules that know it the same."""
    N = {"N": n} if "N" in dc.get_method(method).parameters else {}
    return np.array([run(problem, method, steps=k, checkpoints=[k], **N).x for k in range(1, n + 1)])


@each
def test_the_trace_equals_a_recomputation_from_all_iterates(method, problem):
    """Every column of the driver; 1e-12 for sums of 30 terms in another order."""
    n = 30
    result, xs = run(problem, method, steps=n, checkpoints="all"), iterates(problem, method, n)
    weights = np.diff(result.trace["weight_sum"], prepend=0.0)
    values = np.array([problem.value(x) for x in xs])
    norms = np.array([np.linalg.norm(problem.subgradient(x)) for x in xs])
    gs = np.array([problem.subgradient(x) for x in xs])
    averages = xs  # of a method of the last iterate: it stands for the average
    if weights.any() and dc.get_method(method).averages:
        averages = np.cumsum(weights[:, None] * xs, axis=0) / np.cumsum(weights)[:, None]
    means = np.cumsum(weights * values) / np.cumsum(weights) if weights.any() else values
    products = np.sum(gs * (xs - problem.x0), axis=1)
    distances = np.linalg.norm(xs - problem.x0, axis=1)
    expected = {
        "f": values,
        "f_avg": [problem.value(x) for x in averages],
        "f_best": np.minimum.accumulate(values),
        "f_mean": means,
        "g_norm": norms,
        "g_max": np.maximum.accumulate(norms),
        "g0_norm": np.full(n, norms[0]),
        "x_dist": distances,
        "x_next_dist": np.append(distances[1:], np.linalg.norm(result.x_next - problem.x0)),
        "S": np.cumsum(norms**2),
        "sum_w2_g2": np.cumsum(weights**2 * norms**2),
        "sum_w_gx": np.cumsum(weights * products),
        "sum_w_g": np.linalg.norm(np.cumsum(weights[:, None] * gs, axis=0), axis=1),
    }
    assert set(expected) == set(COMMON) - {"k"}
    for column, numbers in expected.items():
        assert result.trace[column].to_numpy() == pytest.approx(numbers, rel=1e-12, abs=1e-13), column
    assert result.x_avg == pytest.approx(averages[-1], rel=1e-12, abs=1e-13)
    assert np.array_equal(result.x, xs[-1])
    assert np.array_equal(result.x_best, xs[np.argmin(values)])
    chosen = dc.get_method(method)
    if chosen.select:
        smallest = [np.argmin(result.trace[chosen.select].to_numpy()[: k + 1]) for k in range(n)]
        assert result.trace["t"].tolist() == smallest
        assert result.trace["selected_ratio"].tolist() == np.minimum.accumulate(result.trace[chosen.select]).tolist()
        assert result.trace["f_selected"].to_numpy() == pytest.approx(
            [problem.value(averages[t]) for t in smallest], rel=1e-12, abs=1e-13
        )


@each
def test_points_returned_belong_to_the_last_row(method, problem):
    """F at the average comes from averaged margins: 1e-12 as above."""
    result = run(problem, method, steps=200)
    last = result.trace.iloc[-1]
    assert last["k"] == result.k == 200
    assert last["f"] == problem.value(result.x)
    assert last["f_best"] == problem.value(result.x_best)
    assert last["f_avg"] == pytest.approx(problem.value(result.x_avg), rel=1e-12, abs=0)
    assert last["f_best"] <= last["f"]
    assert last["f_avg"] <= last["f_mean"] * (1 + 1e-12)  # convexity


@pytest.mark.parametrize("method", [name for name in METHODS if dc.get_method(name).select])
@each_problem
def test_the_selected_point_is_the_average_of_a_run_that_ends_there(method, problem):
    result = run(problem, method, steps=200)
    t = int(result.trace["t"].iloc[-1])
    assert np.array_equal(result.x_selected, run(problem, method, steps=t + 1).x_avg)


def test_a_run_says_what_it_was():
    problem = logistic()
    result = run(problem, steps=12, d0=1e-3, option="II")
    assert (result.problem, result.method.name, result.steps, result.k) == ("logistic", DADAPT, 12, 12)
    assert result.hyper == {"d0": 1e-3, "option": "II", "step": "plain", "G": None, "schedule": "constant"}
    assert result.status == statuses.COMPLETED
    assert "12" in result.message
    assert result.seconds == result.trace["seconds"].iloc[-1] >= 0
    assert result.compile_seconds >= 0


# ---------------------------------------------------------------------------------------------------------
# Checkpoints


def test_checkpoints_are_log_spaced_by_default():
    marks = checkpoint_steps("log", 10_000)
    assert marks[0] == 1
    assert marks[-1] == 10_000
    assert np.all(np.diff(marks) > 0)
    assert 38 <= np.count_nonzero((marks > 1000) & (marks <= 10_000)) <= 42  # about 40 per decade
    assert np.all(marks[1:] <= 10 ** (1 / 40) * marks[:-1] + 1)


@pytest.mark.parametrize(
    ("checkpoints", "rows"),
    [
        ("all", [1, 2, 3, 4, 5]),
        ([2], [2, 5]),
        ([5], [5]),
        ((4, 2, 2, 1), [1, 2, 4, 5]),
        (range(1, 4), [1, 2, 3, 5]),
        (np.array([3, 1], dtype=np.uint8), [1, 3, 5]),
        pytest.param((k for k in (1, 4)), [1, 4, 5], id="a generator"),
    ],
    ids=str,
)
def test_checkpoints_and_the_last_step_have_a_row(checkpoints, rows):
    assert run(problems.norm2(), steps=5, checkpoints=checkpoints).trace["k"].tolist() == rows


@pytest.mark.parametrize("steps", [1, 2, 3, 41])
def test_few_steps_have_few_rows(steps):
    trace = run(problems.norm2(), steps=steps).trace
    assert trace["k"].iloc[[0, -1]].tolist() == [1, steps]
    assert trace["k"].is_unique


@pytest.mark.parametrize("checkpoints", ["every", "", [], [0], [-1, 2], [6], [1.5], [2.0], [True], ["a"], 5])
def test_wrong_checkpoints_are_refused(checkpoints):
    with pytest.raises(ValueError, match=r"checkpoints must be .*got "):
        run(problems.norm2(), steps=5, checkpoints=checkpoints)


# ---------------------------------------------------------------------------------------------------------
# How a run ends


def at_minimiser():
    """Problems whose x0 is a minimiser with the subgradient 0, and not the origin but for one."""
    yield problems.absolute_value(0.0)
    yield problems.from_callable(lambda x: (np.abs(x - 2).sum(), np.sign(x - 2)), x0=np.full(3, 2.0), G=2.0)
    yield problems.logistic([[0.0], [0.0]], [1, -1], intercept=False, x0=[1.5])


@pytest.mark.parametrize("problem", list(at_minimiser()), ids=lambda p: p.name)
@each_method
def test_a_zero_subgradient_at_x0_ends_the_run_there(method, problem):
    result = run(problem, method, checkpoints="all")
    assert result.status == statuses.CONVERGED
    assert "x_0" in result.message
    assert result.k == 1
    assert result.trace["k"].tolist() == [1]
    for x in (result.x, result.x_avg, result.x_best, *([result.x_selected] if result.method.select else [])):
        assert np.array_equal(x, problem.x0)
    assert result.trace[["f", "f_avg", "f_best"]].to_numpy() == pytest.approx(problem.value(problem.x0), rel=0, abs=0)
    assert result.trace[["g_norm", "S", "x_dist"]].to_numpy() == pytest.approx(0.0, abs=0)


def test_a_zero_subgradient_later_ends_the_run_there():
    result = run(problems.absolute_value(-2.0), "polyak", f_star=0.0, checkpoints=[10])
    assert result.status == statuses.CONVERGED
    assert "x_1" in result.message
    assert result.k == 2
    assert result.trace["k"].tolist() == [2]
    assert result.x[0] == result.x_best[0] == 0.0
    assert result.x_avg[0] == -1.0


@each_method
def test_a_zero_subgradient_later_leaves_every_method_finite(method):
    """Hinge: one step over the margin and every slope is 0."""
    problem = problems.hinge([[1.0], [-1.0]], [1, -1], intercept=False)
    result = run(problem, method, steps=2000, checkpoints="all", **({"d0": 2.0} if method == DADAPT else {}))
    assert not result.trace.isna().any(axis=None)
    assert np.isfinite(result.trace.to_numpy()).all()
    if result.status == statuses.CONVERGED:
        assert result.trace["g_norm"].iloc[-1] == 0.0
        assert 1 < result.k < 2000


def breaks_after(x, bad_f=None, bad_g=None):
    """|x| down to 0.5, then what is bad."""
    if x[0] > 0.5:
        return abs(x[0]), np.sign(x)
    return (abs(x[0]) if bad_f is None else bad_f), (np.sign(x) if bad_g is None else np.full(1, bad_g))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["bad_f", "bad_g"])
@each_method
def test_an_objective_that_stops_being_finite_ends_the_run(method, where, bad):
    problem = problems.from_callable(lambda x: breaks_after(x, **{where: bad}), x0=[1.0], G=1.0)
    own = {"d0": 0.1, "lr": 0.1 if "d0" not in dc.get_method(method).parameters else 1.0}
    options = {name: value for name, value in own.items() if name in dc.get_method(method).parameters}
    options |= {"f_star": 0.3} if method == "polyak" else {}
    result = run(problem, method, checkpoints="all", **options)
    assert result.status == statuses.NOT_FINITE
    assert f"at step {result.k}" in result.message
    assert 1 <= result.k < 50
    assert result.trace["k"].tolist() == list(range(1, result.k + 1))
    assert np.isfinite(result.trace.drop(columns="x_next_dist").to_numpy()).all()
    assert result.x[0] > 0.5 >= result.x_next[0]
    assert np.isfinite(result.x_avg).all()
    assert dc.check(result) is not None


@pytest.mark.parametrize("checkpoints", ["log", "all", [40]])
def test_the_last_finite_step_has_a_row(checkpoints):
    problem = problems.from_callable(lambda x: breaks_after(x, bad_f=np.nan), x0=[1.0], G=1.0)
    result = run(problem, "subgradient", D=1.0, G=1.0, checkpoints=checkpoints)
    assert result.trace["k"].iloc[-1] == result.k == 4  # steps of 1 / sqrt(50): x_4 = 0.434


def test_a_function_that_is_not_finite_at_x0_leaves_an_empty_trace():
    """Compiled: the sum of the losses overflows. A Python function is refused by from_callable."""
    problem = problems.least_absolute_deviation(np.ones((4, 1)), np.array([1e308, 1e308, 1e308, -1e308]))
    result = run(problem)
    assert result.status == statuses.NOT_FINITE
    assert result.k == 0
    assert result.trace.empty
    for x in (result.x, result.x_next, result.x_avg, result.x_best, result.x_selected):
        assert np.array_equal(x, problem.x0)
    assert set(dc.check(result)["verdict"]) == {"NOT_APPLICABLE"}


@pytest.mark.parametrize("problem", [problems.absolute_value(), PROBLEMS["python"]], ids=["compiled", "python"])
def test_an_iterate_out_of_range_ends_the_run(problem):
    result = run(problem, d0=1e300)
    assert result.status == statuses.NOT_FINITE
    assert result.k == 1
    assert len(result.trace) == 1
    assert np.array_equal(result.x, problem.x0)


def test_a_steps_division_by_zero_is_a_status_not_an_exception():
    result = dc.solve(problems.norm2(), dc.Method("divides", "", "", step=divides_by_zero), steps=5)
    assert result.status == statuses.NOT_FINITE
    assert result.k == 1


@step
def divides_by_zero(k, f, g2, g, x, x_next, vectors, scalars, hyper):
    for i in range(x.size):
        x_next[i] = 1.0 / (f - f)
    return 1.0


def test_what_the_objective_raises_reaches_the_caller():
    def fails(x):
        if x[0] < 0.5:
            raise RuntimeError("no licence")
        return abs(x[0]), np.sign(x)

    with pytest.raises(RuntimeError, match="no licence"):
        run(problems.from_callable(fails, x0=[1.0], G=1.0), "subgradient")


@pytest.mark.parametrize("problem", [PROBLEMS["max_abs"], PROBLEMS["python"]], ids=["compiled", "python"])
def test_interruption_by_the_progress_callback_keeps_what_was_done(problem):
    seen = []

    def progress(k):
        seen.append(k)
        if k >= 100:
            raise KeyboardInterrupt

    result = run(problem, steps=10**6, progress=progress)
    assert result.status == statuses.INTERRUPTED
    assert result.k == seen[-1] < 10**6
    assert str(result.k) in result.message
    assert result.trace["k"].iloc[-1] == result.k
    same(run(problem, steps=result.k), result)


def test_progress_is_told_increasing_numbers_up_to_the_last():
    seen = []
    run(PROBLEMS["max_abs"], steps=777, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 777


@pytest.fixture
def sigint_raises():
    """A process started in the background ignores SIGINT unless told otherwise."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(os.name != "posix", reason="signals to oneself are POSIX")
@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "python"])
def test_ctrl_c_keeps_exactly_what_was_done(compiled, monkeypatch, sigint_raises):
    """The signal arrives while the loop runs; Python raises it between the loop's end and the next line."""
    monkeypatch.setattr(SOLVE, "CHUNK_SECONDS", 0.5)
    problem = problems.max_abs(9)
    if not compiled:
        problem = problems.from_callable(max_abs_in_python, x0=problem.x0, G=1.0)
    run(problem, steps=1)  # nothing is left to compile: Ctrl-C during compilation reaches the caller
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    result = run(problem, steps=10**9, checkpoints=[10**9])
    assert result.status == statuses.INTERRUPTED
    assert 1 < result.k < 10**9
    same(run(problem, steps=result.k, checkpoints=[result.k]), result)
    assert result.seconds == result.trace["seconds"].iloc[-1] > 0


# ---------------------------------------------------------------------------------------------------------
# What is refused, before any work


@pytest.mark.parametrize("name", ["steps", "epochs"])
@pytest.mark.parametrize("number", [0, -1, 1.5, 5.0, True, "5", np.float64(5)])
def test_steps_and_epochs_are_positive_integers(name, number):
    with pytest.raises(ValueError, match=rf"{name} must be an integer of at least 1, got "):
        dc.solve(problems.norm2(), DADAPT, **{name: number})


def test_either_steps_or_epochs_are_given():
    for given in ({}, {"steps": 5, "epochs": 5}):
        with pytest.raises(ValueError, match="give either steps, the number of subgradients, or epochs"):
            dc.solve(problems.norm2(), DADAPT, **given)


def test_steps_of_any_integer_type_are_taken():
    assert run(problems.norm2(), steps=np.int32(5)).steps == 5


@pytest.mark.parametrize(
    ("method", "hyper", "words"),
    [
        (DADAPT, {"dO": 1.0}, ["no hyper-parameter 'dO'", "did you mean d0?", "d0, option, step, G"]),
        (DADAPT, {"optoin": "I"}, ["no hyper-parameter 'optoin'", "did you mean option?"]),
        (DADAPT, {"learning_rate": 1.0}, ["no hyper-parameter 'learning_rate'", "d0, option, step, G"]),
        (DADAPT, {"d0": 0}, ["d0 must be positive and finite", "got 0", "lower bound on D"]),
        (DADAPT, {"d0": -1.0}, ["d0 must be positive", "got -1.0"]),
        (DADAPT, {"d0": math.nan}, ["d0 must be positive and finite", "got nan"]),
        (DADAPT, {"d0": math.inf}, ["d0 must be positive and finite", "got inf"]),
        (DADAPT, {"d0": "small"}, ["d0 must be a number", "got 'small'"]),
        (DADAPT, {"d0": "1e-6"}, ["d0 must be a number", "got '1e-6'"]),
        (DADAPT, {"d0": True}, ["d0 must be a number", "got True"]),
        (DADAPT, {"d0": [1e-6]}, ["d0 must be a number", "got [1e-06]"]),
        (DADAPT, {"d0": None}, ["d0 must be positive", "got None"]),
        (DADAPT, {"d0": 1j}, ["d0 must be a number", "got 1j"]),
        (DADAPT, {"option": "III"}, ["option must be one of 'I', 'II'", "got 'III'"]),
        (DADAPT, {"option": 1}, ["option must be one of 'I', 'II'", "got 1"]),
        (DADAPT, {"option": None}, ["option must be", "got None"]),
        (DADAPT, {"step": "Modified"}, ["step must be one of 'plain', 'modified'", "got 'Modified'"]),
        (DADAPT, {"G": 1.0}, ["reads G only with step='modified'", "leave it out"]),
        (DADAPT, {"G": 1.0, "step": "plain"}, ["reads G only with step='modified'"]),
        (DADAPT, {"G": 0.0, "step": "modified"}, ["G must be positive", "got 0.0"]),
        (DADAPT, {"G": None, "step": "modified"}, ["G must be positive", "got None"]),
        ("subgradient", {"N": 5, "schedule": "inverse_sqrt"}, ["reads N only without schedule='inverse_sqrt'"]),
        ("subgradient", {"D": math.nan}, ["D must be positive and finite", "got nan"]),
        ("polyak", {"f_star": math.nan}, ["f_star must be a finite number", "got nan"]),
        ("polyak", {"f_star": -math.inf}, ["f_star must be a finite number", "got -inf"]),
    ],
)
def test_a_wrong_hyper_parameter_is_refused_in_a_sentence(method, hyper, words):
    with pytest.raises(ValueError) as raised:
        run(problems.norm2(), method, **hyper)
    for word in words:
        assert word in str(raised.value)


@each_method
def test_nan_is_refused_for_every_number(method):
    for h in dc.get_method(method).hyper:
        if isinstance(h, dc.Real) and h.when is None:
            with pytest.raises(ValueError, match=f"{h.name} must be .*got nan"):
                run(problems.norm2(), method, **{h.name: math.nan})


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("subgradeint", ["unknown method 'subgradeint'", "did you mean subgradient"]),
        ("sgdd", ["unknown method 'sgdd'", *METHODS]),
        ("", ["unknown method ''", *METHODS]),
        (None, ["unknown method None", *METHODS]),
    ],
)
def test_an_unknown_method_is_refused_with_the_nearest_names(name, words):
    with pytest.raises(ValueError) as raised:
        dc.solve(problems.norm2(), name, steps=1)
    for word in words:
        assert word in str(raised.value)


@pytest.mark.parametrize("problem", ["hard:abs", None, lambda x: (0.0, x)])
def test_what_is_no_problem_is_refused(problem):
    with pytest.raises(ValueError, match=r"problem must have name, oracle, x0 and G, got .*problems\.get"):
        run(problem)


@pytest.mark.parametrize("x0", [np.array([]), np.ones((2, 2)), np.array([1.0, np.nan])])
def test_a_starting_point_is_a_finite_vector(x0):
    with pytest.raises(ValueError, match="x0 of hard:norm2 must be a non-empty finite vector"):
        run(replace(problems.norm2(2), x0=x0))


def test_wrong_input_is_refused_before_the_problem_is_touched():
    def untouchable(x):
        raise AssertionError("the objective was called")

    problem = replace(problems.from_callable(abs_in_python, x0=[1.0]), oracle=dc.Oracle(function=untouchable))
    for options in ({"d0": -1.0}, {"option": "III"}, {"steps": 0}, {"checkpoints": "every"}, {"unknown": 1}):
        with pytest.raises(ValueError):
            run(problem, **options)


# ---------------------------------------------------------------------------------------------------------
# What a method must know


def without_minimiser():
    unattained = problems.Optimum(0.0, 1e-9, np.zeros(1), D_lo=math.inf, D_hi=math.inf, attained=False)
    return problems.from_callable(lambda x: (np.exp(-x[0]), -np.exp(-x)), x0=[0.0], G=1.0, optimum=unattained)


@pytest.mark.parametrize("method", [m for m in METHODS if any(h.known == "D" for h in dc.get_method(m).hyper)])
def test_a_method_that_needs_D_is_not_available_without_a_minimiser(method):
    with pytest.raises(dc.NotAvailable, match="needs D, and callable has no minimiser; pass D="):
        dc.solve(without_minimiser(), method, steps=5)
    assert run(without_minimiser(), method, steps=5).status == statuses.COMPLETED


@pytest.mark.parametrize("method", [m for m in METHODS if not any(h.known == "D" for h in dc.get_method(m).hyper)])
def test_other_methods_run_without_a_minimiser(method):
    assert dc.solve(without_minimiser(), method, steps=5).status == statuses.COMPLETED


@pytest.mark.parametrize("method", [m for m in METHODS if any(h.known == "G" for h in dc.get_method(m).hyper)])
def test_a_method_that_needs_G_says_so_where_it_is_unknown(method):
    problem = problems.from_callable(abs_in_python, x0=[1.0])
    options = {"step": "modified"} if method == DADAPT else {}
    options |= {"D": 1.0} if "D" in dc.get_method(method).parameters else {}
    with pytest.raises(ValueError, match=r"needs G.*of callable is inf; pass G="):
        dc.solve(problem, method, steps=5, **options)
    assert dc.solve(problem, method, steps=5, G=1.0, **options).status in (statuses.COMPLETED, statuses.CONVERGED)


def test_a_method_that_needs_an_optimum_says_so_where_there_is_none():
    problem = problems.from_callable(abs_in_python, x0=[1.0], G=1.0)
    for method in ("subgradient", "polyak"):
        with pytest.raises(ValueError, match="no certified optimum"):
            dc.solve(problem, method, steps=5)

    class Bare:
        """An objective by protocol alone: no optimum()."""

        name, oracle, x0, G = "bare", problem.oracle, problem.x0, 1.0

    with pytest.raises(ValueError, match=r"needs D or f_star, and bare has no optimum\(\); pass them"):
        dc.solve(Bare(), "polyak", steps=5)
    assert dc.solve(Bare(), "polyak", steps=5, f_star=0.0).status == statuses.CONVERGED


@pytest.mark.parametrize(
    ("method", "hyper", "expected"),
    [
        ("subgradient", {}, {"D": "D_hi", "G": "the problem's G (exact)", "N": "the number of steps"}),
        ("subgradient", {"D": 1.0, "G": 1.0}, {"N": "the number of steps"}),
        ("subgradient", {"schedule": "inverse_sqrt"}, {"D": "D_hi", "G": "the problem's G"}),
        ("polyak", {}, {"f_star": "f_lo"}),
        ("polyak", {"f_star": 0.0}, {}),
        ("adagrad_norm", {}, {"eta": "D_hi"}),
        (DADAPT, {}, {}),
        (DADAPT, {"step": "modified"}, {"G": "the problem's G (exact)"}),
    ],
)
def test_a_run_says_where_D_G_and_f_star_came_from(method, hyper, expected):
    result = dc.solve(problems.max_abs(3), method, steps=5, **hyper)
    assert set(result.given) == set(expected)
    for name, words in expected.items():
        assert words in result.given[name]


def test_D_is_the_upper_end_and_f_star_the_lower_end_of_what_is_known():
    known = problems.Optimum(f_lo=-0.25, f_hi=0.125, x=np.zeros(1), D_lo=0.5, D_hi=2.0)
    problem = problems.from_callable(abs_in_python, x0=[1.0], G=1.0)
    assert dc.solve(problem, "subgradient", steps=5, optimum=known).hyper["D"] == 2.0
    assert dc.solve(problem, "polyak", steps=5, optimum=known).hyper["f_star"] == -0.25
    open_above = replace(known, D_hi=math.inf, D_estimate=1.5)
    result = dc.solve(problem, "subgradient", steps=5, optimum=open_above)
    assert result.hyper["D"] == 1.5
    assert "no certified upper end" in result.given["D"]


def test_the_optimum_is_asked_for_only_where_it_is_needed():
    def refuse(problem, radius):
        raise AssertionError("the optimum was computed")

    problem = replace(problems.norm2(), find_optimum=refuse)
    for method in METHODS:
        run(problem, method, steps=2)
    with pytest.raises(AssertionError):
        dc.solve(problem, "subgradient", steps=2)


# ---------------------------------------------------------------------------------------------------------
# One's own method and theorem


@step
def gradient_step(k, f, g2, g, x, x_next, vectors, scalars, hyper):
    """x_{k+1} = x_k - h g_k; the weight of x_k is 1."""
    for i in range(x.size):
        x_next[i] = x[i] - hyper[0] * g[i]
    scalars[0] += hyper[0] * g2
    return 1.0


GRADIENT = dc.Method(
    name="gradient_descent",
    reference="Cauchy 1847",
    summary="a constant step h",
    hyper=(dc.Real("h", "the step", default=0.5, low=0.0),),
    scalars=("sum_h_g2",),
    step=gradient_step,
)


@pytest.fixture
def registered():
    yield dc.register(GRADIENT)
    dc.unregister(GRADIENT)


def test_a_method_of_ones_own_runs_by_value_and_by_name(registered):
    assert registered is GRADIENT
    assert "gradient_descent" in dc.methods()
    by_value = dc.solve(logistic(), GRADIENT, steps=100, h=0.25)
    same(by_value, dc.solve(logistic(), "gradient_descent", steps=100, h=0.25))
    x = np.zeros(6)
    for _ in range(99):
        x = x - 0.25 * logistic().subgradient(x)
    assert by_value.x == pytest.approx(x, rel=1e-12, abs=0)
    assert "sum_h_g2" in by_value.trace


def test_a_registered_name_is_offered_and_forgotten_names_are_not(registered):
    with pytest.raises(ValueError, match="did you mean gradient_descent"):
        dc.get_method("gradient_decent")


def test_a_theorem_of_ones_own_is_checked_and_a_wrong_one_is_violated():
    """1-smooth f and h = 1/2: sum h (1 - h/2) ||g_k||^2 <= f(x_0) - f*, an equality in the limit for ||x||^2 / 2."""
    problem = problems.from_callable(
        lambda x: (0.5 * x @ x, x), x0=[3.0, -4.0], optimum=problems.Optimum(0.0, 0.0, np.zeros(2), D_lo=5.0, D_hi=5.0)
    )

    def descent(factor):
        def sides(case):
            lhs, rhs = 0.75 * case.sum_h_g2, factor * (12.5 - case.f_star) + 0 * case.k
            return dc.Sides(lhs, rhs)

        return dc.Theorem(name=f"descent times {factor}", statement="", source="own", sides=sides)

    result = dc.solve(problem, GRADIENT, steps=50)
    verdicts = dc.check(result, problem.optimum(), theorems=[descent(1.0), descent(0.9)]).set_index("theorem")
    assert verdicts.loc["descent times 1.0", "verdict"] in ("VERIFIED", "TIGHT")
    assert verdicts.loc["descent times 0.9", "verdict"] == "VIOLATED"
    assert verdicts.loc["descent times 1.0", "worst_ratio"] == pytest.approx(1.0, rel=1e-12, abs=0)


def test_select_names_a_scalar():
    with pytest.raises(ValueError, match="select='t' is none of its scalars"):
        replace(GRADIENT, select="t")


def test_a_weight_of_0_leaves_an_iterate_out_of_the_average():
    method = replace(GRADIENT, step=weighs_the_last_two)
    third, fourth = (dc.solve(problems.norm2(2), method, steps=steps) for steps in (3, 4))
    assert np.array_equal(third.x_avg, third.x)
    assert fourth.x_avg == pytest.approx((third.x + fourth.x) / 2, rel=1e-15, abs=0)


@step
def weighs_the_last_two(k, f, g2, g, x, x_next, vectors, scalars, hyper):
    for i in range(x.size):
        x_next[i] = x[i] - 0.1 * g[i]
    return 1.0 if k >= 2 else 0.0


# ---------------------------------------------------------------------------------------------------------
# Weight decay, and bounds under mini-batches


@pytest.mark.parametrize(("method", "hyper"), [("sgd", {"lr": 0.3}), ("adam", {"lr": 0.1}), ("dadapt_sgd", {})])
@pytest.mark.parametrize("start", [3.0, 0.5])
def test_with_weight_decay_a_subgradient_of_zero_ends_nothing(method, hyper, start):
    """f = max(|x| - 1, 0): g = 0 on [-1, 1], where the decay goes on to draw x to 0."""
    flat = problems.from_callable(lambda x: (max(abs(x[0]) - 1, 0.0), np.sign(x) * (abs(x) > 1)), x0=[start], G=1.0)
    run = dc.solve(flat, method, steps=400, weight_decay=0.1, **hyper)
    assert (run.status, run.k) == ("completed", 400)
    if method == "sgd":
        x = start
        for _ in range(400):
            x -= 0.3 * (np.sign(x) * (abs(x) > 1) + 0.1 * x)
        assert run.x_next[0] == pytest.approx(x, rel=1e-12)
        noisy = dc.solve(flat, method, steps=400, weight_decay=0.1, noise="sign(1e-300)", **hyper)
        assert noisy.x_next[0] == pytest.approx(x, rel=1e-12)
    without = dc.solve(flat, method, steps=400, **hyper)
    assert without.status == "converged" or without.x_next[0] != run.x_next[0]


def test_with_weight_decay_gradients_that_are_all_zero_do_not_wait():
    A, b = np.eye(4), np.zeros(4)
    b[3] = 1.0
    problem = problems.least_absolute_deviation(A, b, intercept=False, x0=[0.0, 0.0, 0.0, 1.0])
    run = dc.solve(problem, "sgd", epochs=2, batch_size=1, lr=0.5, weight_decay=0.1)
    assert run.x_next[3] < 1.0


@pytest.mark.parametrize(
    ("loss", "l2"),
    one_in(5, itertools.product(["hinge", "logistic", "least_absolute_deviation", "multinomial_logistic"], [0.0, 0.1])),
)
def test_bounds_of_mini_batches_hold_where_those_of_all_rows_do_not(loss, l2):
    rng = np.random.default_rng(3)
    A = rng.standard_normal((50, 5)) * rng.lognormal(0.0, 1.5, (50, 1))
    b = rng.integers(0, 3, 50) if loss == "multinomial_logistic" else np.where(rng.random(50) < 0.5, -1.0, 1.0)
    problem = getattr(problems, loss)(A, b, l2=l2)
    largest = 0.0
    for size in (1, 4, 7, 49):
        G, G_inf = problem.batch_bounds(size)
        run = dc.solve(problem, "sgd", epochs=3, batch_size=size, lr=1e-6, checkpoints="all")
        assert run.trace["g_max"].max() <= G
        entries = dc.solve(problem, "dadapt_adagrad", epochs=3, batch_size=size, d0=1e-9)
        assert entries.trace["g_inf"].max() <= G_inf
        assert (entries.hyper["G_inf"], entries.given["G_inf"]) == (
            min(G, G_inf), f"the problem's G_inf (of every mini-batch of {size} rows, and the last)",
        )  # fmt: skip
        largest = max(largest, run.trace["g_max"].max())
    assert largest > problem.G  # the bound for all rows is none for few of them
    assert problem.batch_bounds(50) == (problem.G, problem.G_inf)
    noisy = dc.solve(problem, "dadapt_gradient_descent", steps=5, noise="gaussian(1)")
    assert "no bound on stochastic ones" in noisy.given["G"]


def test_where_batches_have_no_bounds_those_of_all_rows_are_taken_and_said_to_be_none():
    problem = replace(problems.hinge(np.eye(4), [1, -1, 1, -1]), bound_batches=None)
    run = dc.solve(problem, "dadapt_gradient_descent", epochs=2, batch_size=2)
    assert run.hyper["G"] == problem.G
    assert "no bound on stochastic ones" in run.given["G"]


def test_a_problem_without_rows_has_no_bounds_of_batches():
    with pytest.raises(ValueError, match="no linear model"):
        problems.absolute_value().batch_bounds(1)


def test_a_subgradient_whose_square_underflows_is_not_taken_for_zero():
    tiny = problems.from_callable(lambda x: (1e-200 * abs(x).sum(), 1e-200 * np.sign(x)), x0=[1.0], G=1e-200)
    run = dc.solve(tiny, "subgradient", D=1.0, steps=5)
    assert run.status == "failed"
    assert run.message == "||g||^2 at x_0 is 0 in float64, and g is not; multiply f by a large number"
