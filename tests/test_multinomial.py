"""The multinomial logistic loss: numbers against scipy, decimal arithmetic and the binary loss; labels; extremes.

What every loss must pass (convexity, G, differences, storage) is in test_kernels.py and test_problems.py.
Tolerances: a sum of n products is off by at most n eps times the sum of their magnitudes; ROUNDING stands for n = 400
of them, more than any sum here has, where magnitudes are about 1.
"""

from __future__ import annotations

import decimal
import itertools
import math

import numpy as np
import pytest
import scipy.sparse
import scipy.special
from exhaustive import one_in

import dadapt_convex as dc
import problems
from dadapt_convex.hyper import Real
from dadapt_convex.oracle import pack
from problems.linear_models import multinomial as file
from problems.linear_models.tiles import ROWS as BLOCK

EPS = np.finfo(np.float64).eps
ROUNDING = 400 * EPS
STORAGE = pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])


def stored(A, sparse):
    return scipy.sparse.csr_array(A) if sparse else np.asarray(A, dtype=np.float64)


def random_data(m, p, C, seed=0):
    """Half of the entries are zero; every class occurs where there are rows enough."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((m, p)) * (rng.random((m, p)) < 0.5)
    return A, rng.permutation(np.resize(np.arange(C), m)), rng.standard_normal((p, C))


def by_scipy(A, y, W, l2=0.0):
    """f, and its gradient (p, C), written down from the formula."""
    Z, chosen = A @ W, np.eye(W.shape[1])[y]
    f = np.mean(scipy.special.logsumexp(Z, axis=1) - np.sum(Z * chosen, axis=1)) + l2 / 2 * np.sum(W**2)
    return f, A.T @ (scipy.special.softmax(Z, axis=1) - chosen) / len(y) + l2 * W


def one_row_per_margin(Z, y, sparse=False):
    """Rows are unit vectors, so that W = Z gives exactly these margins; the gradient is softmax(Z) - e_y, over m."""
    Z = np.asarray(Z, dtype=np.float64)
    problem = problems.multinomial_logistic(stored(np.eye(len(Z)), sparse), y, intercept=False)
    assert problem.model.classes == Z.shape[1]
    return problem, Z.ravel()


# ---------------------------------------------------------------------------------------------------------
# Against other computations


@STORAGE
@pytest.mark.parametrize("m", [5, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 6])
@pytest.mark.parametrize(("p", "C"), [(1, 2), (3, 3), (4, 4), (7, 5), (10, 2), (33, 11)])
def test_value_and_gradient_equal_scipys_for_every_remainder_of_block_and_tile(m, p, C, sparse):
    C = min(C, m)
    A, y, W = random_data(m, p, C)
    problem = problems.multinomial_logistic(stored(A, sparse), y, intercept=False, l2=0.3)
    f, g = by_scipy(A, y, W, 0.3)
    assert problem.value(W.ravel()) == pytest.approx(f, rel=ROUNDING, abs=0)
    assert problem.subgradient(W.ravel()) == pytest.approx(g.ravel(), rel=0, abs=ROUNDING)
    assert problem.margins(W.ravel()) == pytest.approx((A @ W).ravel(), rel=0, abs=ROUNDING)
    z = np.ascontiguousarray((A @ W).ravel())
    assert problem.oracle.value_at(W.ravel(), z) == pytest.approx(f, rel=ROUNDING, abs=0)


@STORAGE
def test_a_thousand_classes(sparse):
    """As many as aloi has; three rows of each of the first fourteen, one or two of the others."""
    A, y, W = random_data(1014, 12, 1000)
    problem = problems.multinomial_logistic(stored(A, sparse), y, intercept=False)
    assert (problem.p, problem.model.classes, problem.oracle.margins) == (12_000, 1000, 1_014_000)
    f, g = by_scipy(A, y, W)
    assert problem.value(W.ravel()) == pytest.approx(f, rel=1000 * EPS, abs=0)  # 1000 terms in a row
    assert problem.subgradient(W.ravel()) == pytest.approx(g.ravel(), rel=0, abs=ROUNDING)
    assert problem.value(problem.x0) == pytest.approx(math.log(1000), rel=1000 * EPS, abs=0)


@STORAGE
@pytest.mark.parametrize("scale", [0.1, 1.0, 1e3])
def test_two_classes_are_binary_logistic_of_the_difference_of_columns(sparse, scale):
    """f(W) = f_binary(w_1 - w_0), so the gradient is (-g, g)."""
    A, y, W = random_data(150, 6, 2)
    W *= scale
    multi = problems.multinomial_logistic(stored(A, sparse), y, intercept=True)
    binary = problems.logistic(stored(A, sparse), 2.0 * y - 1, intercept=True)
    W = np.vstack([W, [[0.5, -0.25]]])
    u = W[:, 1] - W[:, 0]
    assert multi.value(W.ravel()) == pytest.approx(binary.value(u), rel=ROUNDING, abs=0)
    g = multi.subgradient(W.ravel()).reshape(-1, 2)
    # margins of size `scale` are off by eps of it, and the slope moves by 1/4 of that
    assert g[:, 1] == pytest.approx(binary.subgradient(u), rel=0, abs=ROUNDING * max(1.0, scale))
    assert g[:, 0] == pytest.approx(-g[:, 1], rel=0, abs=ROUNDING)
    # of two columns the derivative is (t, -t), as large as sqrt(2) |t|
    assert math.sqrt(2) * binary.G == pytest.approx(multi.G, rel=1e-15, abs=0)
    assert multi.G_inf == binary.G_inf


def in_decimal(z, y):
    """The loss and its derivative, to 60 digits."""
    with decimal.localcontext() as context:
        context.prec, context.Emin, context.Emax = 60, -999_999, 999_999
        z = [decimal.Decimal(float(v)) for v in z]
        others = [(v - z[y]).exp() for c, v in enumerate(z) if c != y]
        loss = decimal_log1p(sum(others))
        odds = [(v - z[y]).exp() / (1 + sum(others)) for v in z]
        odds[y] = -sum(others) / (1 + sum(others))
        return float(loss), np.array([float(v) for v in odds])


def decimal_log1p(t):
    """1 + t has 60 digits: for tiny t the series instead, whose second neglected term is t^3."""
    return (1 + t).ln() if t > decimal.Decimal("1e-20") else t - t * t / 2


@STORAGE
def test_loss_and_derivative_keep_their_digits_however_small(sparse):
    """Relative errors, row by row, of losses from 1e-300 to 1e3; the largest margin is the class's, or another's."""
    rng = np.random.default_rng(4)
    ahead = [
        (np.roll([lead, *(lead - gap - rng.random(4))], y), y)
        for lead in (-40.0, 0.0, 3.0)
        for gap in (0.0, 1e-3, 1.0, 20, 36, 300, 690)
        for y in range(5)
    ]
    anywhere = [(10.0**e * rng.standard_normal(5), k % 5) for k, e in enumerate(np.linspace(-3, 3, 40))]
    chosen = [([1e6, 1e6 - 30.0, -1e6, 0.0, 1e6 - 45.0], 0), ([0.0] * 5, 3), ([1.0, 1.0, 0.0, -1.0, 1.0], 1)]
    for z, y in [*ahead, *anywhere, *chosen]:
        data = pack(dense=[[1.0]], b=[y], params=(0.0, 5))
        if sparse:
            data = pack(csr=([1.0], [0], [0, 1]), b=[y], params=(0.0, 5))
        g, margins = np.zeros(5), np.zeros(5)
        f = (file.csr if sparse else file.dense)(np.array(z), g, margins, data)
        loss, derivative = in_decimal(z, y)
        # the difference of two margins is off by half an eps of it, which exp makes relative; the rest are roundings
        spread = max(abs(max(z) - v) for v in z if max(z) - v < 708)
        assert abs(f - loss) <= (6 + spread) * EPS * loss, (z, y)
        assert np.all(np.abs(g - derivative) <= (6 + spread) * EPS * np.abs(derivative) + 1e-306), (z, y)
        assert file.from_margins(margins, np.zeros(5), data) == f
        assert np.array_equal(margins, z)


def test_log1p_and_its_reciprocal_over_the_whole_range():
    """To 3 units in the last place, relative to values down to 1e-300."""
    helper = file.log1p_and_reciprocal_beyond_1
    t = np.concatenate([[0.0, 1.0, np.nextafter(1, 0), np.nextafter(1, 2), 3.0], np.logspace(-300, 6, 4001)])
    for value in t:
        log1p, reciprocal = helper(value)
        exact = np.log1p(np.longdouble(value))
        assert abs(log1p - exact) <= 3 * EPS * exact
        assert abs(reciprocal * (1 + np.longdouble(value)) - 1) <= 3 * EPS


@STORAGE
def test_the_entries_of_a_derivative_add_up_to_zero(sparse):
    rng = np.random.default_rng(5)
    Z = rng.standard_normal((120, 7)) * 10.0 ** rng.uniform(-3, 3, (120, 1))
    problem, x = one_row_per_margin(Z, np.resize(np.arange(7), 120), sparse)
    derivatives = 120 * problem.subgradient(x).reshape(120, 7)
    assert np.abs(derivatives.sum(axis=1)).max() <= 8 * EPS  # seven roundings of numbers that add up to 1, and one
    assert np.abs(derivatives).max() <= 1 + EPS
    assert np.linalg.norm(derivatives, axis=1).max() <= math.sqrt(2) * (1 + EPS)


# ---------------------------------------------------------------------------------------------------------
# Extremes


@STORAGE
@pytest.mark.parametrize("far", [1e4, 1e8, 1e307])
def test_large_margins_give_exact_numbers_without_a_warning(sparse, far):
    """Classes so far apart that exp is 0: the loss is the gap, the derivative 0, 1 and -1."""
    Z = [[far, 0, -far], [far, 0, -far], [far, 0, -far], [far, far, -far]]
    problem, x = one_row_per_margin(Z, [0, 1, 2, 1], sparse)
    with np.errstate(all="raise"):
        assert problem.value(x) == pytest.approx((0 + far + 2 * far + math.log(2)) / 4, rel=EPS, abs=0)
        g = 4 * problem.subgradient(x).reshape(4, 3)
    assert np.array_equal(g, [[0, 0, 0], [1, -1, 0], [1, 0, -1], [0.5, -0.5, 0]])


@STORAGE
def test_margins_at_the_end_of_the_range_leave_the_subgradient_finite(sparse):
    """z_t - z_y = 2e308 is beyond float64, so the loss is infinite there, and the slopes are what they are."""
    problem, x = one_row_per_margin(
        [[1e308, -1e308, 0.0], [1e308, 1e308, 1e308], [0, 1e-308, 1.7e308]], [1, 0, 2], sparse
    )
    assert problem.value(x) == math.inf
    third = 1 / 3
    expected = [[1, -1, 0], [third - 1, third, third], [0, 0, 0]]
    assert problem.subgradient(x).reshape(3, 3) * 3 == pytest.approx(np.array(expected), rel=0, abs=4 * EPS)


@STORAGE
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_margin_that_is_not_a_number_makes_the_loss_one(sparse, at):
    """Whichever class it belongs to: a run that overflowed must not go on as if a class had probability 0."""
    for y in ([0, 1, 2], [1, 2, 0], [2, 0, 1]):
        for z in ([3.0, 1.0, 2.0], [1.0, 3.0, 2.0]):
            z[at] = math.nan
            problem, x = one_row_per_margin([z, [0, 0, 0], [0, 0, 0]], y, sparse)
            assert math.isnan(problem.oracle.value_at(x, x.copy()))
            assert math.isnan(problem.value(x))


# ---------------------------------------------------------------------------------------------------------
# The kernels as functions


@STORAGE
def test_compiled_kernels_equal_their_python_functions(sparse):
    A, y, W = random_data(BLOCK + 7, 6, 5)
    oracle = problems.multinomial_logistic(stored(A, sparse), y, intercept=False, l2=0.1).oracle
    x = W.ravel()
    results = []
    for kernel, value in ((oracle.kernel, oracle.value), (oracle.kernel.python, oracle.value.python)):
        g, z = np.zeros(x.size), np.zeros(oracle.margins)
        f = kernel(x, g, z, oracle.data)
        results.append(np.concatenate([[f, value(z, x, oracle.data)], g, z]))
    assert results[0] == pytest.approx(results[1], rel=0, abs=ROUNDING)


@STORAGE
def test_an_evaluation_depends_on_x_alone(sparse):
    """Neither on what the output arrays held, nor on where they lie; x is left alone; every entry is written."""
    A, y, W = random_data(BLOCK + 7, 9, 6)
    oracle = problems.multinomial_logistic(stored(A, sparse), y, intercept=False).oracle
    results = []
    for shift in range(8):
        x, g, z = (np.full(size + shift, np.nan)[shift:] for size in (W.size, W.size, oracle.margins))
        x[:] = W.ravel()
        f = oracle.kernel(x, g, z, oracle.data)
        assert np.array_equal(x, W.ravel())
        results.append(np.concatenate([[f, oracle.value(z, x, oracle.data)], g, z]))
    assert np.all(np.isfinite(results))
    assert all(np.array_equal(results[0], other) for other in results[1:])


# ---------------------------------------------------------------------------------------------------------
# Labels, shapes, bounds


@pytest.mark.parametrize(
    ("labels", "classes", "mapping"),
    [
        ([3, 1, 2, 3], [2, 0, 1, 2], {1: 0, 2: 1, 3: 2}),
        ([-1.0, 1.0, -1.0, 1.0], [0, 1, 0, 1], {-1: 0, 1: 1}),
        ([2, -7, 1e9, 0], [2, 0, 3, 1], {-7: 0, 0: 1, 2: 2, 1e9: 3}),
        (np.array([5, 5, 9, 9], dtype=np.uint8), [0, 0, 1, 1], {5: 0, 9: 1}),
        ([True, False, False, True], [1, 0, 0, 1], {0: 0, 1: 1}),
    ],
)
def test_labels_become_classes_in_ascending_order(labels, classes, mapping):
    problem = problems.multinomial_logistic(np.ones((4, 2)), labels)
    assert problem.model.b.tolist() == classes
    assert problem.model.b.dtype == np.float64
    assert problem.facts["labels"] == mapping
    assert problem.model.classes == len(mapping)
    assert problem.p == 3 * len(mapping)
    assert problem.value(problem.x0) == pytest.approx(math.log(len(mapping)), rel=3 * EPS, abs=0)


@pytest.mark.parametrize(
    ("labels", "options", "words"),
    [
        ([4, 4, 4], {}, ["at least two classes", "only the label 4 in all 3 rows"]),
        ([0.5, 1, 2], {}, ["class labels", "3 distinct targets such as 0.5", "regression"]),
        ([1, 2, np.nan], {}, ["b must be finite", "nan in row 2"]),
        ([1, 2, np.inf], {}, ["b must be finite", "inf in row 2"]),
        (["a", "b", "c"], {}, ["labels must hold real numbers", "'a'", "as numbers"]),
        ([1, 2j, 3], {}, ["labels must hold real numbers", "complex"]),
        ([1, 2], {}, ["3 rows", "2 entries"]),
        ([[1], [2], [3]], {}, ["b must be a non-empty vector", "(3, 1)"]),
        ([1, 2, 3], {"x0": np.zeros(3)}, ["9 entries", "3 x 3", "(3,)"]),
        ([1, 2, 3], {"x0": np.zeros((2, 3))}, ["9 entries", "3 x 3", "(2, 3)"]),
        ([1, 2, 3], {"x0": np.full((3, 3), np.nan)}, ["x0 must be a finite vector"]),
        ([1, 2, 3], {"l2": -1.0}, ["l2 must be nonnegative", "-1.0"]),
    ],
)
def test_labels_and_options_that_do_not_fit_are_refused_in_a_sentence(labels, options, words):
    with pytest.raises(ValueError) as raised:
        problems.multinomial_logistic(np.ones((3, 2)), labels, **options)
    for word in words:
        assert word in str(raised.value)


def test_x0_may_be_a_matrix_or_its_rows_one_after_another():
    A, y, W = random_data(30, 4, 3)
    one, other = (problems.multinomial_logistic(A, y, intercept=False, x0=x0) for x0 in (W, W.ravel()))
    assert np.array_equal(one.x0, other.x0)
    assert one.x0.shape == (12,)
    assert not one.x0.flags.writeable
    W[:] = 0.0
    assert one.x0.any()


def test_losses_of_one_margin_take_no_matrix_for_x0():
    for x0 in (np.zeros((3, 1)), np.zeros((3, 0))):
        with pytest.raises(ValueError, match="x0 must be a finite vector of 3 entries"):
            problems.logistic(np.ones((2, 2)), [1, -1], x0=x0)


def test_the_intercept_is_the_last_row_of_W():
    A, y, W = random_data(40, 3, 4)
    problem = problems.multinomial_logistic(A, y)
    assert (problem.p, problem.model.intercept) == (16, True)
    x = np.vstack([np.zeros((3, 4)), W[:1]]).ravel()
    assert np.array_equal(problem.margins(x).reshape(40, 4), np.tile(W[:1], (40, 1)))


@STORAGE
def test_G_is_nearly_attained_by_more_than_two_classes(sparse):
    """Rows all alike, 48 of 50 in class 0, and class 2 far ahead: their derivatives are e_2 - e_0, the last's is 0."""
    v = np.array([3.0, -4.0])
    problem = problems.multinomial_logistic(stored(np.tile(v, (50, 1)), sparse), [0] * 48 + [1, 2], intercept=False)
    g = problem.subgradient(100 * np.outer(v, [0.0, 0.0, 1.0]).ravel())
    assert g == pytest.approx(np.outer(v, [-48 / 50, -1 / 50, 49 / 50]).ravel(), rel=50 * EPS, abs=0)
    assert math.isclose(problem.G, 5 * math.sqrt(2), rel_tol=2e-9)  # rounded up by 1e-9
    assert math.isclose(problem.G_inf, 4, rel_tol=2e-9)
    assert 0.96 * problem.G < np.linalg.norm(g) <= problem.G
    assert 0.96 * problem.G_inf < np.abs(g).max() <= problem.G_inf


# ---------------------------------------------------------------------------------------------------------
# By name, and under the methods


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("iris", (150, 5, 3)),
        ("wine", (178, 14, 3)),
        ("digits", (1797, 65, 10)),
        ("digits_bins", (1797, 257, 10)),
        ("breast_cancer", (569, 31, 2)),
    ],
)
def test_embedded_sets_by_name(name, shape):
    problem = problems.get(f"multinomial:{name}")
    assert f"multinomial:{name}" in problems.names()
    m, p, C = shape
    assert (problem.m, problem.p, problem.model.classes) == (m, p * C, C)
    assert problem.model.A.shape == (m, p)
    assert list(problem.facts["labels"].values()) == list(range(C))
    assert len(problem.facts["sha256"]) == 64
    W = np.random.default_rng(6).standard_normal((p, C)) / p
    A = problem.model.A if shape[1] != 257 else problem.model.A.toarray()
    f, g = by_scipy(A, problem.model.b.astype(int), W)
    # sums over m rows
    assert problem.value(W.ravel()) == pytest.approx(f, rel=m * EPS, abs=0)
    assert problem.subgradient(W.ravel()) == pytest.approx(g.ravel(), rel=0, abs=m * EPS)


@pytest.mark.parametrize(
    ("name", "m", "p", "C"),
    [("glass.scale", 214, 10, 6), ("sector.scale", 6412, 55198, 105), ("heart_scale", 270, 14, 2)],
)
def test_files_by_name(name, m, p, C, shared_data):
    problem = problems.get(f"multinomial:{name}", data_dir=shared_data)
    assert (problem.m, problem.p, problem.model.classes) == (m, p * C, C)
    assert problem.value(problem.x0) == pytest.approx(math.log(C), rel=m * EPS, abs=0)
    assert np.linalg.norm(problem.subgradient(problem.x0)) <= problem.G


@pytest.mark.parametrize(("method", "sparse"), one_in(3, itertools.product(dc.methods(), [False, True])))
def test_every_method_runs_on_it(method, sparse):
    """200 steps lower f, and the value at the average, from averaged margins, is that of the averaged point."""
    A, y, _ = random_data(90, 5, 4)
    problem = problems.multinomial_logistic(stored(A, sparse), y, l2=0.1)
    unknown = {"D": 1.0, "f_star": 1.0}  # what would be asked of a certified optimum
    hyper = [h for h in dc.get_method(method).hyper if isinstance(h, Real) and h.known in unknown]
    run = dc.solve(problem, method, steps=200, **{h.name: unknown[h.known] for h in hyper})
    assert run.status == "completed"
    assert run.trace["f_best"].iloc[-1] < problem.value(problem.x0)
    # an average of 200 margins
    assert run.trace["f_avg"].iloc[-1] == pytest.approx(problem.value(run.x_avg), rel=200 * EPS, abs=0)
