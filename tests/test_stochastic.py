"""Stochastic gradients seen through solve(): noise models, the same batches for all methods, waiting, what is refused.

The compiled mini-batches have tests of their own in test_minibatch.py.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse

import dadapt_convex as dc
import problems
from dadapt_convex.stochastic import LIKELY, NOISES, RARE, UNLIKELY, Noise, Sampling, as_noise

METHODS = dc.methods()
each_method = pytest.mark.parametrize("method", METHODS)
KNOWN = {"D": 2.0, "eta": 2.0, "f_star": 0.1}  # so that no optimum is computed

RNG = np.random.default_rng(11)
A = RNG.standard_normal((45, 6)) * (RNG.random((45, 6)) < 0.7)
B = np.where(A @ RNG.standard_normal(6) + RNG.standard_normal(45) > 0, 1.0, -1.0)


def run(problem, method, **options):
    known = {name: v for name, v in KNOWN.items() if name in dc.get_method(method).parameters}
    return dc.solve(problem, method, **{**known, **options})


# ---------------------------------------------------------------------------------------------------------
# Noise models


@pytest.mark.parametrize("sigma", [1.0, 0.25])
@pytest.mark.parametrize("kind", NOISES)
def test_noise_has_mean_zero_and_its_size(kind, sigma):
    """Standard errors of a mean and of a mean of squares over n draws; five of them are exceeded once in a million."""
    n = 2_000_000
    drawn = Noise(kind, sigma).draw(np.random.default_rng(0), (n, 1)).ravel() / sigma
    p = 0.001
    variance = {"gaussian": 1.0, "sign": 1.0, "skewed": 9 * (1 - p) + 2997**2 * p}[kind]
    fourth = {"gaussian": 3.0, "sign": 1.0, "skewed": 81 * (1 - p) + 2997**4 * p}[kind]
    assert abs(drawn.mean()) < 5 * math.sqrt(variance / n)
    # equal to 1 for every sign: 1e-12 is the rounding of the mean
    assert abs((drawn**2).mean() - variance) < 5 * math.sqrt((fourth - variance**2) / n) + 1e-12 * variance
    values = {"sign": {-1.0, 1.0}, "skewed": {3.0, -2997.0}}.get(kind)
    assert values is None or set(np.unique(drawn)) == values
    assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 5 / math.sqrt(n)


@pytest.mark.parametrize("kind", NOISES)
def test_a_longer_draw_begins_with_a_shorter_one(kind):
    long, short = (Noise(kind, 2.0).draw(np.random.default_rng(4), (rows, 3)) for rows in (50, 20))
    np.testing.assert_array_equal(long[:20], short)


@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize("objective", ["compiled", "python"])
def test_noise_is_added_to_the_subgradient(kind, objective):
    """x_k by NumPy from the same draws; 1e-11, as 80 steps on a function with curvature let rounding grow a little."""
    problem, steps = problems.norm2(4), 80
    if objective == "python":
        problem = problems.from_callable(lambda x, p=problem: (p.value(x), p.subgradient(x)), x0=problem.x0)
    noise = Noise(kind, 0.3).draw(np.random.default_rng(9), (steps, 4))
    x, norms = np.array(problem.x0), []
    for k in range(steps):
        g = problem.subgradient(x) + noise[k]
        norms.append(np.linalg.norm(g))
        x = x - 0.05 * g
    found = run(problem, "sgd", steps=steps, noise=f"{kind}(0.3)", seed=9, lr=0.05, checkpoints="all")
    np.testing.assert_allclose(found.x, x, rtol=1e-11)
    np.testing.assert_allclose(found.trace["g_norm"], norms, rtol=1e-11)
    assert found.trace["f"].iloc[-1] == pytest.approx(problem.value(x), rel=1e-11)
    assert (found.hyper["noise"], found.hyper["seed"]) == (f"{kind}(0.3)", 9)


def test_noise_is_read_from_its_text():
    assert as_noise("gaussian(0.5)") == Noise("gaussian", 0.5)
    assert as_noise(" skewed ( 2 ) ") == Noise("skewed", 2.0)
    assert as_noise(Noise("sign", 1e-3)) == as_noise(str(Noise("sign", 1e-3)))


@pytest.mark.parametrize(
    "noise", ["gaussian", "gaussian()", "gaussian(0)", "gaussian(-1)", "gaussian(nan)", "gaussian(inf)", "gaussian(a)",
              "cauchy(1)", "", 0.5, Noise("cauchy", 1.0), Noise("sign", -1.0)],
)  # fmt: skip
def test_what_is_no_noise_is_refused(noise):
    with pytest.raises(ValueError, match=r"noise must be gaussian\(sigma\), sign\(sigma\), skewed\(sigma\) with sigma"):
        run(problems.norm2(), "sgd", steps=2, noise=noise)


# ---------------------------------------------------------------------------------------------------------
# Mini-batches, whatever the method


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
def test_the_same_seed_gives_the_same_batches_to_every_method(sparse):
    """Targets so far away that the mean f of a batch says which rows it has, wherever x is."""
    targets = 1e9 * 3.0 ** np.arange(13)
    matrix = scipy.sparse.csr_array(np.eye(13)) if sparse else np.eye(13)
    problem = problems.least_absolute_deviation(matrix, targets, intercept=False)
    seen = {}
    for method in METHODS:
        known = {"G": 1.0, "G_inf": 1.0, "f_star": 0.0, "D": 1.0, "eta": 1.0}
        hyper = {n: v for n, v in known.items() if n in dc.get_method(method).parameters}
        if method in ("polyak", "dadapt_dual_averaging"):
            continue  # steps of the size of the gap; G is not read
        seen[method] = run(problem, method, epochs=4, batch_size=5, seed=2, checkpoints="all", **hyper).trace["f_batch"]
    for method, f in seen.items():
        np.testing.assert_allclose(f, seen["sgd"], rtol=1e-6, err_msg=method)
    other = run(problem, "sgd", epochs=4, batch_size=5, seed=3, checkpoints="all").trace["f_batch"]
    assert not np.allclose(other, seen["sgd"], rtol=1e-6)
    # the mean over an epoch, by the sizes of its batches 5, 5, 3, is that over all rows
    means = np.array(seen["sgd"]).reshape(4, 3) @ np.array([5, 5, 3]) / 13
    np.testing.assert_allclose(means, targets.mean(), rtol=1e-6)


@each_method
def test_a_batch_of_all_rows_is_the_deterministic_run(method):
    """Up to the order of summation: 1e-10, as 60 steps of a smooth loss let rounding grow a little."""
    problem = problems.logistic(A, B, l2=0.1)
    options = {"f_star": 0.66} if method == "polyak" else {}  # above the minimum: below it the step is chaotic
    whole = run(problem, method, steps=60, checkpoints="all", **options)
    batches = run(problem, method, epochs=60, batch_size=45, checkpoints="all", **options)
    np.testing.assert_allclose(batches.x, whole.x_next, rtol=0, atol=1e-10)
    averages = dc.get_method(method).averages and whole.trace["weight_sum"].iloc[-1] > 0
    np.testing.assert_allclose(batches.x_avg, whole.x_avg if averages else whole.x_next, rtol=0, atol=1e-10)
    np.testing.assert_allclose(batches.trace["x_dist"], whole.trace["x_next_dist"], rtol=0, atol=1e-10)
    np.testing.assert_allclose(batches.trace["f_batch"], whole.trace["f"], rtol=1e-10)
    np.testing.assert_allclose(
        batches.trace["g_norm"], whole.trace["g_norm"], rtol=1e-8, atol=1e-14
    )  # g is a sum of ones
    for column in ("d", "d_hat", "weight_sum"):
        if column in whole.trace and column in batches.trace:
            np.testing.assert_allclose(batches.trace[column], whole.trace[column], rtol=1e-8, atol=1e-12)


@each_method
@pytest.mark.parametrize("given", [{"batch_size": 8}, {"noise": "gaussian(0.3)"}], ids=str)
def test_a_stochastic_run_is_reproducible_and_depends_on_its_seed(method, given):
    problem = problems.logistic(A, B)
    options = {"f_star": 0.6} if method == "polyak" else {}
    first, again, other = (run(problem, method, epochs=5, seed=s, **given, **options) for s in (3, 3, 4))
    columns = [c for c in first.trace.columns if c != "seconds"]
    np.testing.assert_array_equal(first.trace[columns], again.trace[columns])
    np.testing.assert_array_equal(first.x, again.x)
    assert not np.array_equal(first.x, other.x)
    assert first.hyper["seed"] == 3
    assert first.sampling == Sampling(
        given.get("batch_size"), as_noise(given["noise"]) if "noise" in given else None, 3
    )


@each_method
def test_dense_and_sparse_rows_give_the_same_run(method):
    options = {"f_star": 0.6} if method == "polyak" else {}
    runs = [run(problems.logistic(M, B, l2=0.1), method, epochs=5, batch_size=8, **options)
            for M in (A, scipy.sparse.csr_array(A))]  # fmt: skip
    np.testing.assert_allclose(runs[0].x, runs[1].x, rtol=0, atol=1e-10)  # as above
    np.testing.assert_array_equal(runs[0].trace["accuracy"], runs[1].trace["accuracy"])


# ---------------------------------------------------------------------------------------------------------
# Zero gradients


def flat_rows(first):
    """Rows that are met exactly at x0 = 0, and one that is not: with batches of one row most gradients are zero."""
    targets = np.zeros(12)
    targets[first] = 7.0
    return problems.least_absolute_deviation(np.ones((12, 1)), targets, intercept=False)


@each_method
def test_every_method_waits_for_the_first_gradient_that_is_not_zero(method):
    hyper = {"f_star": 0.0} if method == "polyak" else {}
    hyper |= {"d0": 0.1} if "d0" in dc.get_method(method).parameters else {}
    result = run(flat_rows(5), method, epochs=2, batch_size=1, seed=0, checkpoints="all", **hyper)
    trace = result.trace
    waited = int((trace["S"] == 0).sum())
    assert 2 < waited < 12
    assert result.status == "completed"
    assert len(trace) == 24
    before, after = trace[:waited], trace[waited:]
    assert (before["x_dist"] == 0).all()
    assert (before["g0_norm"] == 0).all()
    assert (after["g0_norm"] == 1).all()
    if method != "subgradient_last_iterate":
        assert after["x_dist"].iloc[0] > 0
    assert np.isfinite(trace.to_numpy()).all()
    if "d" in trace:
        assert (before["d"] == 0.1).all()
    # the step that comes then is told k = 0
    if method == "adam":
        assert after["x_dist"].iloc[0] == pytest.approx(result.hyper["lr"], rel=1e-7)  # eps is 1e-8; corrected bias
    if method == "dadapt_dual_averaging":
        assert after["sum_gamma_g2"].iloc[0] == 1.0  # gamma_0 = 1 / ||g_0||
    if method == "dual_averaging":
        D, G = result.hyper["D"], result.hyper["G"]
        assert after["gamma"].iloc[0] == pytest.approx(D / (G * 2.0), rel=1e-15)  # gamma_1


@each_method
def test_gradients_that_are_all_zero_leave_x_where_it_is(method):
    problem = problems.least_absolute_deviation(np.ones((6, 1)), np.zeros(6), intercept=False)
    known = {"D": 1.0, "G": 1.0, "G_inf": 1.0, "eta": 1.0, "f_star": 0.0}
    hyper = {n: v for n, v in known.items() if n in dc.get_method(method).parameters}
    if method == "dadapt_dual_averaging":
        del hyper["G"]
    result = dc.solve(problem, method, epochs=3, batch_size=4, **hyper)
    assert result.status == "completed"
    assert result.k == 6
    assert result.x.tolist() == result.x_avg.tolist() == [0.0]
    found = dc.check(result, problem.optimum())
    assert set(found["verdict"]) == {"NOT_APPLICABLE"}
    assert (found["note"] == "all gradients were zero").all()


# ---------------------------------------------------------------------------------------------------------
# How a run ends, and what is refused


@pytest.mark.parametrize("epochs", [1, 20])
def test_an_iterate_out_of_range_is_reported_even_after_the_last_step(epochs):
    problem = problems.logistic(np.array([[2.0], [2.0], [-2.0], [-2.0]]), [1, 1, -1, -1], intercept=False)
    result = dc.solve(problem, "sgd", epochs=epochs, batch_size=2, lr=1.5e308, momentum=0.9, checkpoints="all")
    assert result.status == "not finite"
    assert f"k = {result.k}" in result.message
    assert len(result.trace) == result.k >= 2


@pytest.mark.parametrize("method", [m for m in METHODS if "d0" in dc.get_method(m).parameters])
def test_d_that_is_not_finite_is_reported_with_its_step(method):
    """With d_0 = 1e160 ||s||^2 overflows and d_hat is inf / inf, while x is still finite: a maximum would hide it."""
    problem = problems.least_absolute_deviation(A, B)
    d0 = {"dadapt_adam": 1e308, "dadapt_adagrad": 1e308, "prodigy_dual_averaging": 1e140}.get(method, 1e160)
    result = dc.solve(problem, method, epochs=20, batch_size=8, d0=d0, checkpoints="all")
    assert result.status == "not finite"
    assert f"k = {result.k}" in result.message
    assert len(result.trace) == result.k
    assert 1 <= result.k <= 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": 2, "batch_size": 46}, ["batch_size must be at most the number of rows, 45", "got 46"]),
        ({"epochs": 2, "batch_size": 0}, ["batch_size must be an integer of at least 1", "got 0"]),
        ({"epochs": 2, "batch_size": -3}, ["batch_size must be an integer of at least 1"]),
        ({"epochs": 2, "batch_size": 8.0}, ["batch_size must be an integer", "got 8.0"]),
        ({"epochs": 2, "batch_size": True}, ["batch_size must be an integer", "got True"]),
        ({"epochs": 2, "batch_size": 8, "noise": "sign(1)"}, ["give batch_size or noise, not both"]),
        ({"epochs": 0, "batch_size": 8}, ["epochs must be an integer of at least 1", "got 0"]),
        ({"epochs": 2, "steps": 2, "batch_size": 8}, ["give either steps"]),
        ({"epochs": 2, "batch_size": 8, "seed": -1}, ["seed must be a nonnegative integer", "got -1"]),
        ({"epochs": 2, "batch_size": 8, "seed": 1.5}, ["seed must be a nonnegative integer"]),
        ({"steps": 2, "noise": "sign(1)", "seed": None}, ["seed must be a nonnegative integer, got None"]),
        ({"epochs": 2, "batch_size": 8, "schedule": lambda k: 5.0 - k}, ["nonnegative and finite", "at k = 6"]),
    ],
)
def test_wrong_input_is_refused_in_a_sentence(options, words):
    with pytest.raises(ValueError) as raised:
        dc.solve(problems.logistic(A, B), "sgd", **options)
    for word in words:
        assert word in str(raised.value)


@pytest.mark.parametrize("make", [problems.absolute_value, problems.max_abs])
def test_a_problem_without_rows_takes_noise_but_no_batches(make):
    with pytest.raises(ValueError, match=r"has no rows to draw mini-batches from; noise='gaussian\(0.1\)' adds noise"):
        dc.solve(make(), "sgd", steps=5, batch_size=2)
    assert dc.solve(make(), "sgd", steps=5, noise="gaussian(0.1)").k == 5


def test_the_starting_point_is_not_modified():
    start = np.linspace(-1, 1, 7)
    problem = replace(problems.logistic(A, B), x0=start)
    result = dc.solve(problem, "dadapt_adam", epochs=2, batch_size=8)
    np.testing.assert_array_equal(start, np.linspace(-1, 1, 7))
    assert not np.array_equal(result.x, start)


def test_skewed_noise_has_mean_zero_exactly():
    assert (1 - RARE) * LIKELY + RARE * UNLIKELY == 0.0
    drawn = Noise("skewed", 2.0).draw(np.random.default_rng(0), (1000, 1000))
    u = np.random.default_rng(0).random((1000, 1000))
    np.testing.assert_array_equal(drawn, np.where(u < 0.001, -5994.0, 6.0))
