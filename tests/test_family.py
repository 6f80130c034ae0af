"""The D-Adaptation family and its baselines: agreement with NumPy and the released package, options, edge cases."""

from __future__ import annotations

import inspect
import itertools
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from exhaustive import one_in

import dadapt_convex as dc
import problems
from dadapt_convex.schedules import as_schedule

REFERENCE = Path(__file__).with_name("reference")
sys.path.insert(0, str(REFERENCE))

import numpy_reference  # noqa: E402
from fixed_problems import fixed_problems  # noqa: E402

with np.load(REFERENCE / "released_package.npz") as stored:
    RELEASED = dict(stored)
FIXED = fixed_problems(RELEASED)
each_fixed = pytest.mark.parametrize("fixed", FIXED)

ADAPTED = ["dadapt_gradient_descent", "dadapt_adagrad", "dadapt_sgd", "dadapt_adam"]
BASELINES = ["sgd", "adagrad", "adam"]
GRADIENTS_WITHIN = 40.0  # ||g_k|| on all fixed problems


class Steps:
    """What the compiled step makes of a gradient(k, x): x_0 .. x_n, the scalars after each step, the weights."""

    def __init__(self, name, gradient, x0, steps, factors=None, **hyper):
        method = dc.get_method(name)
        values, _ = method.complete(hyper, lambda what: pytest.fail(f"{what} was not given"))
        encoded, shape = method.encode(values), x0.shape
        vectors, scalars = np.zeros((len(method.vectors), x0.size)), np.zeros(len(method.scalars))
        if "x0" in method.vectors:
            vectors[method.vectors.index("x0")] = x0.ravel()
        method.init(vectors, scalars, encoded)
        self.x, self.weights, records = [x0.ravel().copy()], [], []
        for k in range(steps):
            if factors is not None:
                encoded[method.scheduled] = factors[k]
            g = np.ascontiguousarray(gradient(k, self.x[k].reshape(shape)), dtype=float).ravel()
            x_next = np.full(x0.size, np.nan)
            self.weights.append(method.step(k, float(k), float(g @ g), g, self.x[k], x_next, vectors, scalars, encoded))
            self.x.append(x_next)
            records.append(scalars.copy())
        self.x = np.array(self.x).reshape(-1, *shape)
        self.scalars = dict(zip(method.scalars, np.array(records).T, strict=True))


# ---------------------------------------------------------------------------------------------------------
# Agreement with NumPy

ALL = {
    "d0": [1e-6, 1e-3],
    "growth_rate": [math.inf, 1.02],
    "weight_decay": [0.0, 0.05],
    "momentum": [0.0, 0.9],
    "betas": [(0.9, 0.999), (0.8, 0.99)],
    "eps": [1e-8, 1e-3],
    "decouple": [False, True],
    "bias_correction": [False, True],
    "convention": ["paper", "released"],
    "schedule": ["constant", "stagewise(15)", "warmup(5, cosine)"],
}
BASE_RATE = {"sgd": 0.07, "adam": 0.013, "adagrad": 0.21}


def options(name):
    """Every combination of values of the options that a method has."""
    names = [h.name for h in dc.get_method(name).hyper if h.name in ALL]
    for values in itertools.product(*(ALL[n] for n in names)):
        chosen = dict(zip(names, values, strict=True))
        if name == "dadapt_adagrad" and chosen["convention"] == "paper" and chosen.pop("eps") != ALL["eps"][0]:
            continue  # eps is read only in the released convention
        if chosen.get("decouple") and chosen["weight_decay"] == 0.0:
            continue  # nothing to decouple
        yield chosen


def by_numpy(name, problem, steps, factors, hyper):
    """The same by tests/reference/numpy_reference.py."""
    hyper = dict(hyper)
    del hyper["schedule"]
    released = hyper.pop("convention", "paper") == "released"
    function = getattr(numpy_reference, name.replace("dadapt", "released") if released else name)
    if name != "dadapt_gradient_descent":
        factors = factors * hyper.pop("lr")
    hyper = {key: value for key, value in hyper.items() if key in inspect.signature(function).parameters}
    return function(problem.gradient, problem.x0, steps, gamma=factors, **hyper)


@pytest.mark.parametrize(("name", "fixed"), one_in(3, itertools.product([*ADAPTED, *BASELINES], FIXED)))
def test_every_option_and_schedule_agrees_with_numpy(name, fixed):
    """30 steps, 1e-12 relative to the size of each: rounding of the same recursion in another order."""
    problem, steps, count = FIXED[fixed], 30, 0
    for chosen in options(name):
        factors = as_schedule(chosen["schedule"]).factors(np.arange(steps), steps, 1)
        given = {**chosen}
        if name != "dadapt_gradient_descent":
            given["lr"] = BASE_RATE.get(name, 0.7)
        if name == "dadapt_gradient_descent":
            given["G"] = GRADIENTS_WITHIN
        if name == "dadapt_adagrad" and chosen["convention"] == "paper":
            given["G_inf"] = problem.G_inf
        ours = Steps(name, problem.gradient, problem.x0, steps, factors, **given)
        theirs = by_numpy(name, problem, steps, factors, given)
        np.testing.assert_allclose(ours.x, theirs.x, rtol=0, atol=1e-12 * np.abs(theirs.x).max(), err_msg=str(given))
        if theirs.d is not None:
            np.testing.assert_allclose(ours.scalars["d"], theirs.d[1:], rtol=1e-12, err_msg=str(given))
            size = np.abs(theirs.d_hat).max()
            np.testing.assert_allclose(
                ours.scalars["d_hat"], theirs.d_hat, rtol=0, atol=1e-11 * size, err_msg=str(given)
            )
        expected = np.zeros(steps) if theirs.weights is None else theirs.weights
        if name in ("sgd", "adagrad"):
            expected = given["lr"] * factors if name == "sgd" else np.ones(steps)
        elif name == "dadapt_sgd":
            expected = theirs.d[:-1] * given["lr"] * factors / ours.scalars["G_first"][0]
        np.testing.assert_allclose(ours.weights, expected, rtol=1e-12)
        count += 1
    assert count == {"dadapt_gradient_descent": 12, "dadapt_adagrad": 144, "dadapt_sgd": 96, "dadapt_adam": 576,
                     "sgd": 12, "adagrad": 12, "adam": 36}[name]  # fmt: skip


@pytest.mark.parametrize("name", [*ADAPTED, *BASELINES])
def test_solve_is_these_steps(name):
    """The whole way through solve(), with a schedule: nothing is added to the steps."""
    rng = np.random.default_rng(3)
    problem = problems.least_absolute_deviation(rng.standard_normal((40, 7)), rng.standard_normal(40))
    run = dc.solve(problem, name, steps=60, schedule="warmup(5, cosine)")
    given = {h.name: run.hyper[h.name] for h in dc.get_method(name).hyper if run.hyper[h.name] is not None}
    factors = as_schedule("warmup(5, cosine)").factors(np.arange(60), 60, 1)
    steps = Steps(name, lambda k, x: problem.subgradient(x), np.array(problem.x0), 60, factors, **given)
    # not to the last bit: ||g_k||^2 is summed in another order here
    np.testing.assert_allclose(run.x_next, steps.x[-1], rtol=1e-12, atol=1e-15)
    if dc.get_method(name).averages and sum(steps.weights) > 0:
        average = np.average(steps.x[:-1], axis=0, weights=steps.weights)
        np.testing.assert_allclose(run.x_avg, average, rtol=1e-12, atol=1e-15)
    else:
        np.testing.assert_array_equal(run.x_avg, run.x)
        np.testing.assert_allclose(run.trace["f_avg"], run.trace["f"], rtol=1e-15)  # f from x, and from the margins


# ---------------------------------------------------------------------------------------------------------
# Agreement with the authors' package and with PyTorch: tests/reference/released_package.npz

OPTIMIZERS = {
    "DAdaptSGD": "dadapt_sgd", "DAdaptAdam": "dadapt_adam", "DAdaptAdaGrad": "dadapt_adagrad",
    "SGD": "sgd", "Adam": "adam", "AdamW": "adam", "Adagrad": "adagrad",
}  # fmt: skip
CASES = json.loads(str(RELEASED["cases"]))


def as_ours(case):
    """The case's options under our names."""
    hyper = dict(case["hyper"])
    if "use_bias_correction" in hyper:
        hyper["bias_correction"] = hyper.pop("use_bias_correction")
    if case["optimizer"] in ("DAdaptSGD", "DAdaptAdaGrad"):
        hyper.setdefault("momentum", 0.0)  # the package's default
    if case["optimizer"].startswith("DAdapt"):
        hyper["convention"] = "released"
    if case["optimizer"] == "AdamW":
        hyper["decouple"] = True
    return hyper


@each_fixed
@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda i: f"{CASES[i]['optimizer']}-{i}")
def test_the_released_convention_is_the_released_package(number, fixed):
    """200 steps; 1e-9 relative. The data were chosen so that rounding grows by less than 1e4 on the way."""
    case, problem, steps = CASES[number], FIXED[fixed], 200
    drop = case["divide_lr_by_10_at"]
    factors = np.where(np.arange(steps) < (drop or steps), 1.0, 0.1)
    ours = Steps(OPTIMIZERS[case["optimizer"]], problem.gradient, problem.x0, steps, factors, **as_ours(case))
    x = RELEASED[f"{fixed}/x"][number]
    kept = np.arange(steps + 1) if len(x) == steps + 1 else RELEASED["kept"]
    np.testing.assert_allclose(ours.x[kept], x, rtol=0, atol=1e-9 * np.abs(x).max())
    if case["optimizer"].startswith("DAdapt"):
        adapted = sum(c["optimizer"].startswith("DAdapt") for c in CASES[:number])
        np.testing.assert_allclose(ours.scalars["d"], RELEASED[f"{fixed}/d"][adapted, 1:], rtol=1e-9)
        assert ours.scalars["d"][-1] > 1.2 * ours.scalars["d"][0]  # it has grown: the comparison says something


@pytest.mark.parametrize("name", ["dadapt_adagrad", "dadapt_adam"])
def test_the_conventions_differ(name):
    """What RELEASED.md says of |x|: d = 1.025 against 0.0089 for AdaGrad, 4.90 against 2.68 for Adam."""
    problem = FIXED["absolute_value"]
    given = {"G_inf": 1.0} if name == "dadapt_adagrad" else {}
    d = [
        Steps(name, problem.gradient, problem.x0, 200, convention=c, **g).scalars["d"][-1]
        for c, g in (("paper", given), ("released", {}))
    ]
    assert d == pytest.approx([0.008876, 1.025] if name == "dadapt_adagrad" else [2.679, 4.900], rel=1e-3)


def test_the_conventions_of_sgd_differ_with_weight_decay_alone():
    """The package takes G before the decay is added."""
    problem = FIXED["absolute_value"]

    def d(convention, w):
        hyper = {"convention": convention, "weight_decay": w}
        return Steps("dadapt_sgd", problem.gradient, problem.x0, 200, **hyper).scalars["d"][-1]

    assert d("paper", 0.0) == d("released", 0.0) == pytest.approx(5.787, rel=1e-3)
    assert [d("paper", 0.1), d("released", 0.1)] == pytest.approx([5.451, 4.637], rel=1e-3)


# ---------------------------------------------------------------------------------------------------------
# Invariances


@pytest.mark.parametrize("name", ["dadapt_gradient_descent", "dadapt_sgd", "dadapt_adagrad"])
def test_the_scale_of_f_does_not_matter(name):
    """f -> c f with G or G_inf -> c G; powers of two make it exact. Adam's eps has a scale."""
    problem, c = FIXED["least_absolute_deviation"], 2.0**20
    bound = {"dadapt_gradient_descent": "G", "dadapt_adagrad": "G_inf"}.get(name)

    def run(scale):
        given = {bound: scale * GRADIENTS_WITHIN} if bound else {}
        return Steps(name, lambda k, x: scale * problem.gradient(k, x), problem.x0, 100, **given)

    np.testing.assert_array_equal(run(1.0).x, run(c).x)
    np.testing.assert_array_equal(run(1.0).scalars["d"], run(c).scalars["d"])


@pytest.mark.parametrize("name", ADAPTED)
def test_the_estimate_follows_the_scale_of_x(name):
    """x -> c x with d_0 -> c d_0 and the gradients of x -> f(x / c) times c scales x_k and d_k by c."""
    problem, c = FIXED["absolute_value"], 2.0**10
    given = {"dadapt_gradient_descent": {"G": 1.0}, "dadapt_adagrad": {"G_inf": 1.0}}.get(name, {})
    small = Steps(name, problem.gradient, problem.x0, 100, d0=1e-3, **given)
    large = Steps(name, problem.gradient, c * problem.x0, 100, d0=1e-3 * c, **given)
    np.testing.assert_array_equal(c * small.x, large.x)
    np.testing.assert_array_equal(c * small.scalars["d"], large.scalars["d"])


def test_momentum_zero_makes_sgd_the_subgradient_method():
    problem = problems.max_abs(5)
    plain = dc.solve(problem, "subgradient", steps=50, D=2.0, G=1.0)
    sgd = dc.solve(problem, "sgd", steps=50, lr=2.0 / math.sqrt(50))
    np.testing.assert_allclose(sgd.x_next, plain.x_next, rtol=1e-14)


def test_the_estimate_of_sgd_is_twice_that_of_algorithm_2():
    """The same s and x, with momentum 0: (||s||^2 - sum lambda^2 ||g||^2) / ||s|| without the 1/2."""
    problem = FIXED["least_absolute_deviation"]
    run = Steps("dadapt_sgd", problem.gradient, problem.x0, 60, momentum=0.0)
    s_norm = run.scalars["s_norm"]
    half = (s_norm**2 - run.scalars["sum_lambda2_g2"]) / (2 * s_norm)
    # a difference of terms of the size of ||s||
    np.testing.assert_allclose(run.scalars["d_hat"], 2 * half, rtol=0, atol=1e-12 * s_norm.max())
    np.testing.assert_allclose(s_norm, np.linalg.norm(run.x[1:] - problem.x0, axis=1), rtol=1e-12)


# ---------------------------------------------------------------------------------------------------------
# growth_rate


@pytest.mark.parametrize("name", ADAPTED)
def test_growth_rate_caps_the_growth_of_d(name):
    problem = problems.absolute_value()
    free = dc.solve(problem, name, steps=300, checkpoints="all", d0=1e-3).trace["d"].to_numpy()
    held = dc.solve(problem, name, steps=300, checkpoints="all", d0=1e-3, growth_rate=1.05).trace["d"].to_numpy()
    ratios = held[1:] / held[:-1]
    assert ratios.max() <= 1.05 * (1 + 1e-15)
    if name != "dadapt_adagrad":  # there d grows slower than that by itself
        assert ratios.max() == pytest.approx(1.05, rel=1e-14)
        assert (free[1:] / free[:-1]).max() > 1.1
    frozen = dc.solve(problem, name, steps=300, d0=1e-3, growth_rate=1.0)
    assert (frozen.trace["d"] == 1e-3).all()


# ---------------------------------------------------------------------------------------------------------
# Zero gradients, unused coordinates, numbers out of range


def zero_in_column(x):
    """A coordinate that f does not depend on."""
    return abs(x[0]) + 0.5 * abs(x[2] - 1), np.array([np.sign(x[0]), 0.0, 0.5 * np.sign(x[2] - 1)])


EVERY = [
    pytest.param(name, hyper, id=f"{name}-{'-'.join(map(str, hyper.values())) or 'default'}")
    for name in [*ADAPTED, *BASELINES]
    for hyper in [
        {},
        *([{"convention": "released"}] if "convention" in dc.get_method(name).parameters else []),
        *([{"G_inf": 1e-200}] if name == "dadapt_adagrad" else []),  # G_inf^2 is 0: 0/0 where no gradient was seen
    ]
]


@pytest.mark.parametrize(("name", "hyper"), EVERY)
def test_a_coordinate_without_gradients_stays_where_it_is(name, hyper):
    problem = problems.from_callable(zero_in_column, x0=[1.0, 0.7, 0.0], G=1.2, G_inf=1.0)
    run = dc.solve(problem, name, steps=200, checkpoints="all", **hyper)
    assert run.status == "completed"
    assert run.x_next[1] == 0.7
    assert np.isfinite(run.trace.to_numpy()).all()
    assert not np.array_equal(run.x_next[[0, 2]], [1.0, 0.0])


@pytest.mark.parametrize(("name", "hyper"), EVERY)
def test_columns_of_zeros_in_sparse_data_do_no_harm(name, hyper):
    rng = np.random.default_rng(0)
    A = scipy.sparse.random_array((60, 12), density=0.2, rng=rng).toarray()
    A[:, [3, 7]] = 0.0
    problem = problems.hinge(scipy.sparse.csr_array(A), np.where(rng.random(60) < 0.5, -1.0, 1.0), intercept=False)
    run = dc.solve(problem, name, epochs=20, batch_size=8, **hyper)
    assert run.status == "completed"
    assert np.isfinite(run.trace.to_numpy()).all()
    assert (run.x[[3, 7]] == 0).all()
    assert np.abs(run.x).max() > 0


@pytest.mark.parametrize(("name", "hyper"), EVERY)
def test_s_that_returns_to_zero_is_no_division_by_zero(name, hyper):
    """Gradients 1, -1, 1, -1, then 1: the released package raises or keeps wrong sums there."""
    g = [1.0, -1.0, 1.0, -1.0, *[1.0] * 40]
    bounds = {h.name: 1.0 for h in dc.get_method(name).hyper if h.known and not (h.when and "convention" in hyper)}
    given = {**bounds, **hyper}
    steps = Steps(name, lambda k, x: np.array([g[k]]), np.ones(1), len(g), **given)
    assert np.isfinite(steps.x).all()
    for column, values in steps.scalars.items():
        assert np.isfinite(values).all(), column
    if "d" in steps.scalars:
        assert (np.diff(steps.scalars["d"]) >= 0).all()
        assert steps.scalars["d"][-1] > steps.scalars["d"][0]


@pytest.mark.parametrize(("name", "hyper"), EVERY)
def test_zero_gradients_after_the_first_leave_every_step_finite(name, hyper):
    bounds = {h.name: 1.0 for h in dc.get_method(name).hyper if h.known and not (h.when and "convention" in hyper)}
    g = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, -1.0]
    steps = Steps(name, lambda k, x: np.array([g[k], 0.0]), np.ones(2), len(g), **{**bounds, **hyper})
    assert np.isfinite(steps.x).all()
    for values in steps.scalars.values():
        assert np.isfinite(values).all()


def test_weight_decay_that_cancels_the_first_gradient_is_no_division_by_zero():
    """g_0 + w x_0 = 0: G is that of the first which is not zero."""
    g = [-0.5, -0.5, 1.0, 1.0, 1.0]
    steps = Steps("dadapt_sgd", lambda k, x: np.array([g[k]]), np.ones(1), 5, weight_decay=0.5)
    assert np.isfinite(steps.x).all()
    np.testing.assert_array_equal(steps.x[:3], 1.0)
    assert steps.x[3] < 1.0
    assert steps.scalars["G_first"][-1] == 1.5


@pytest.mark.parametrize("name", ADAPTED)
def test_an_estimate_that_is_not_a_number_ends_the_run_and_is_not_hidden_by_the_maximum(name):
    """||s||^2 overflows where d_0 is 1e200: d_hat is inf / inf there."""
    run = dc.solve(problems.max_abs(3), name, steps=50, d0=1e200, checkpoints="all")
    assert run.status == "not finite"
    assert f"step {run.k}" in run.message
    assert len(run.trace) == run.k > 0


# ---------------------------------------------------------------------------------------------------------
# Hyper-parameters


@pytest.mark.parametrize(
    ("name", "hyper", "words"),
    [
        ("dadapt_adam", {"growth_rate": 0.99}, ["growth_rate must be at least 1, or inf", "got 0.99"]),
        ("dadapt_sgd", {"growth_rate": -math.inf}, ["growth_rate must be at least 1"]),
        ("dadapt_sgd", {"growth_rate": math.nan}, ["growth_rate must be", "got nan"]),
        ("dadapt_adam", {"betas": (0.9, 1.0)}, ["betas must be two numbers in [0, 1)", "got (0.9, 1.0)"]),
        ("dadapt_adam", {"betas": (-0.1, 0.9)}, ["betas must be two numbers in [0, 1)"]),
        ("adam", {"betas": 0.9}, ["betas must be two numbers", "got 0.9"]),
        ("adam", {"betas": (0.9, 0.99, 0.999)}, ["betas must be two numbers"]),
        ("adam", {"betas": "0.9"}, ["betas must be two numbers", "got '0.9'"]),
        ("adam", {"betas": "0.9 high"}, ["betas must be two numbers"]),
        ("adam", {"betas": (0.9, math.nan)}, ["betas must be two numbers"]),
        ("adam", {"betas": (True, False)}, ["betas must be two numbers"]),
        ("adam", {"beta1": 0.9}, ["no hyper-parameter 'beta1'", "did you mean betas"]),
        ("adam", {"betas": None}, ["betas must be two numbers in [0, 1), got None"]),
        ("adam", {"lr": 0.0}, ["lr must be positive and finite", "got 0.0"]),
        ("adam", {"eps": 0.0}, ["eps must be positive and finite"]),
        ("sgd", {"momentum": 1.0}, ["momentum must be in [0, 1)", "got 1.0"]),
        ("sgd", {"weight_decay": -1e-3}, ["weight_decay must be nonnegative and finite", "got -0.001"]),
        ("adam", {"decouple": 1}, ["decouple must be True or False", "got 1"]),
        ("adam", {"decouple": "yes"}, ["decouple must be True or False", "got 'yes'"]),
        ("adam", {"decouple": None}, ["decouple must be True or False, got None"]),
        ("dadapt_adam", {"convention": "package"}, ["convention must be one of 'paper', 'released'"]),
        ("dadapt_adagrad", {"eps": 1e-6}, ["reads eps only with convention='released'"]),
        ("dadapt_adagrad", {"convention": "released", "G_inf": 1.0}, ["reads G_inf only with convention='paper'"]),
        ("dadapt_sgd", {"schedule": "cosin"}, ["unknown schedule 'cosin'", "did you mean cosine"]),
        ("dadapt_sgd", {"d0": 0.0}, ["d0 must be positive and finite"]),
    ],
)
def test_a_wrong_hyper_parameter_is_refused_in_a_sentence(name, hyper, words):
    with pytest.raises(ValueError) as raised:
        dc.solve(problems.norm2(), name, steps=2, **hyper)
    for word in words:
        assert word in str(raised.value)


def test_labels_and_values_record_the_same():
    problem = problems.norm2()
    as_text = dc.solve(problem, "dadapt_adam", steps=9, betas="0.8 0.99", decouple="true", growth_rate=math.inf)
    as_values = dc.solve(problem, "dadapt_adam", steps=9, betas=[0.8, 0.99], decouple=True)
    assert dict(as_text.hyper) == dict(as_values.hyper)
    assert as_text.hyper["betas"] == (0.8, 0.99)
    assert as_text.hyper["decouple"] is True
    np.testing.assert_array_equal(as_text.x_next, as_values.x_next)


def test_G_inf_comes_from_the_problem_or_is_asked_for():
    problem = problems.max_abs(4)
    run = dc.solve(problem, "dadapt_adagrad", steps=5)
    assert run.hyper["G_inf"] == problem.G_inf
    assert "G_inf" in run.given["G_inf"]
    unknown = problems.from_callable(lambda x: (abs(x[0]), np.sign(x)), x0=[1.0])
    with pytest.raises(ValueError, match=r"needs G_inf, a bound on the subgradients.*pass G_inf=\.\.\."):
        dc.solve(unknown, "dadapt_adagrad", steps=5)
    assert dc.solve(unknown, "dadapt_adagrad", steps=5, convention="released").k == 5
