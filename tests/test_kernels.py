"""Kernels of the linear models against plain NumPy formulas, and what convexity demands of them.

Tolerances: a sum of n terms in float64 is off by at most n eps times the sum of their magnitudes. With 60 rows and
8 columns that is 2e-14; ROUNDING = 1e-13 leaves room for the roundings inside a term.
"""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np
import pytest
import scipy.sparse
import scipy.special

import problems
from dadapt_convex.oracle import pack
from problems.linear_models import logistic as logistic_file
from problems.linear_models.linear_problem import linear_problem
from problems.linear_models.loss import losses

ROUNDING = 1e-13
TAU, EPSILON, DELTA = 0.9, 0.4, 1.5
OWN = {"quantile": {"tau": TAU}, "svr": {"epsilon": EPSILON}, "huber": {"delta": DELTA}}
L2 = 0.37


def logistic(z, b):
    u = b * z
    return np.logaddexp(0, -u), -b * np.exp(-np.logaddexp(0, u))


def hinge(z, b):
    return np.maximum(0, 1 - b * z), np.where(b * z < 1, -b, 0.0)


def lad(z, b):
    return np.abs(z - b), np.sign(z - b)


def quantile(z, b):
    r = b - z
    return np.maximum(TAU * r, (TAU - 1) * r), np.where(r > 0, -TAU, np.where(r < 0, 1 - TAU, 0.0))


def svr(z, b):
    r = z - b
    return np.maximum(0, np.abs(r) - EPSILON), np.where(np.abs(r) > EPSILON, np.sign(r), 0.0)


def huber(z, b):
    return scipy.special.huber(DELTA, z - b), np.clip(z - b, -DELTA, DELTA)


def multinomial(z, b):
    rows, y = np.arange(b.size), np.unique(b, return_inverse=True)[1]
    p = scipy.special.softmax(z, axis=1)
    p[rows, y] -= 1
    return scipy.special.logsumexp(z, axis=1) - z[rows, y], p


# loss -> value and slope in z, row by row; where the slope jumps, or that of the slope
FORMULAS = {
    "logistic": logistic, "hinge": hinge, "lad": lad, "quantile": quantile, "svr": svr, "huber": huber,
    "multinomial": multinomial,
}  # fmt: skip
KINKS = {
    "hinge": lambda b: [1 / b],
    "lad": lambda b: [b],
    "quantile": lambda b: [b],
    "svr": lambda b: [b - EPSILON, b + EPSILON],
    "huber": lambda b: [b - DELTA, b + DELTA],
}
CLASSES = 5

CASES = [
    pytest.param(
        *case, id="-".join([case[0], "csr" if case[1] else "dense", "ones" if case[2] else "bare", f"l2={case[3]}"])
    )
    for case in itertools.product(sorted(losses()), (False, True), (True, False), (0.0, L2))
]
each_kernel = pytest.mark.parametrize(("loss", "sparse", "intercept", "l2"), CASES)
each_lipschitz_kernel = pytest.mark.parametrize(
    ("loss", "sparse", "intercept"), sorted({tuple(case.values[:3]) for case in CASES})
)


def data(loss, seed=0, m=60, p=7):
    """Half of the entries are zero, rows 0 and 30 and the last are empty, and columns differ in scale."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((m, p)) * (rng.random((m, p)) < 0.5) * 10.0 ** rng.uniform(-1, 1, p)
    A[[0, 30, -1]] = 0.0
    b = 3 * rng.standard_normal(m)
    task = losses()[loss].task
    if task == "multiclass":
        return A, rng.permutation(np.resize(2.0 * np.arange(CLASSES) - 3, m))
    return A, np.sign(b) if task == "binary" else b


@functools.cache
def problem(loss, sparse, intercept=True, l2=0.0):
    A, b = data(loss)
    return make(loss, scipy.sparse.csr_array(A) if sparse else A, b, intercept=intercept, l2=l2)


def make(loss, A, b, **options):
    return linear_problem(losses()[loss], A, b, **options, **OWN.get(loss, {}))


def by_numpy(loss, intercept, l2, x):
    """f, g, and the magnitudes that are added up in each."""
    A, b = data(loss)
    if intercept:
        A = np.hstack([A, np.ones((b.size, 1))])
    z, size_z = A @ unknowns(loss, x), np.abs(A) @ np.abs(unknowns(loss, x))
    # the derivative of the loss is at most 1: an error in z enters f with at most that factor; and the slope of the
    # logistic loss moves by at most 1/4 of it. Huber's derivative is at most DELTA, and moves by all of the error
    gain, curvature = (DELTA, 1) if loss == "huber" else (1, 1 / 4)
    if z.ndim == 2:  # the derivative's entries add up to 2 in absolute value; |p_c (dz_c - <p, dz>)| <= max |dz| / 2
        size_z, gain, curvature = size_z.max(axis=1, keepdims=True), 2, 1 / 2
    values, slopes = FORMULAS[loss](z, b)
    f, g = values.mean() + l2 / 2 * (x @ x), (A.T @ slopes).ravel() / b.size + l2 * x
    size_f = np.abs(values).mean() + gain * size_z.mean() + l2 / 2 * (x @ x)
    size_g = (np.abs(A).T @ (np.abs(slopes) + size_z * curvature)).ravel() / b.size + l2 * np.abs(x)
    return f, g, size_f, size_g


def unknowns(loss, x):
    """x as A is multiplied by it: a matrix with a column for each class where the loss has classes."""
    return x.reshape(-1, CLASSES) if losses()[loss].task == "multiclass" else x


def points(p, n=20, seed=1, exponents=(-3, 3)):
    """Random points near and far: norms over `exponents` decades."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(p) * 10.0**e for e in rng.uniform(*exponents, n)]


def test_every_loss_has_a_formula_here():
    assert set(FORMULAS) == set(losses())
    assert set(KINKS) == {short for short, loss in losses().items() if loss.kinks is not None}


@each_kernel
def test_value_and_subgradient_equal_the_formula(loss, sparse, intercept, l2):
    kernel = problem(loss, sparse, intercept, l2)
    for x in [np.zeros(kernel.p), *points(kernel.p)]:
        f, g, size_f, size_g = by_numpy(loss, intercept, l2, x)
        assert kernel.value(x) == pytest.approx(f, rel=0, abs=ROUNDING * size_f)
        assert np.all(np.abs(kernel.subgradient(x) - g) <= ROUNDING * size_g)


@each_kernel
def test_margins_are_A_x(loss, sparse, intercept, l2):
    kernel, (A, _) = problem(loss, sparse, intercept, l2), data(loss)
    for x in points(kernel.p):
        X, n = unknowns(loss, x), A.shape[1]
        expected, size = A @ X[:n], np.abs(A) @ np.abs(X[:n])
        if intercept:
            expected, size = expected + X[-1], size + np.abs(X[-1])
        assert np.all(np.abs(kernel.margins(x) - expected.ravel()) <= ROUNDING * size.ravel())


@each_kernel
def test_subgradient_inequality(loss, sparse, intercept, l2):
    kernel = problem(loss, sparse, intercept, l2)
    for x, y in itertools.permutations(points(kernel.p, n=12), 2):
        f_x, f_y, g = kernel.value(x), kernel.value(y), kernel.subgradient(x)
        size = abs(f_x) + abs(f_y) + np.abs(g) @ (np.abs(x) + np.abs(y))
        assert f_y >= f_x + g @ (y - x) - ROUNDING * size


@each_kernel
def test_convex_along_lines(loss, sparse, intercept, l2):
    kernel = problem(loss, sparse, intercept, l2)
    for x, y in itertools.pairwise(points(kernel.p, n=12)):
        f_x, f_y = kernel.value(x), kernel.value(y)
        for t in (0.01, 0.3, 0.5, 0.9):
            assert kernel.value(t * x + (1 - t) * y) <= t * f_x + (1 - t) * f_y + ROUNDING * (f_x + f_y)


@each_kernel
def test_subgradient_equals_central_differences_where_smooth(loss, sparse, intercept, l2):
    """With h = 1e-5 they are off by eps f / h = 1e-10 through rounding and h^2 |f'''| = 1e-9 through curvature."""
    kernel, (_, b) = problem(loss, sparse, intercept, l2), data(loss)
    rng, h, tried = np.random.default_rng(2), 1e-5, 0
    while tried < 10:
        x, u = rng.standard_normal(kernel.p), rng.standard_normal(kernel.p)
        before, after = kernel.margins(x - h * u), kernel.margins(x + h * u)
        if any(np.any((before - kink) * (after - kink) < 0) for kink in KINKS.get(loss, lambda b: [])(b)):
            continue
        tried += 1
        difference = (kernel.value(x + h * u) - kernel.value(x - h * u)) / (2 * h)
        assert kernel.subgradient(x) @ u == pytest.approx(difference, rel=1e-7, abs=1e-8)


@each_lipschitz_kernel
def test_subgradients_keep_to_G_near_and_far(loss, sparse, intercept):
    kernel = problem(loss, sparse, intercept)
    subgradients = np.array([kernel.subgradient(x) for x in points(kernel.p, n=400, exponents=(-3, 8))])
    assert np.linalg.norm(subgradients, axis=1).max() <= kernel.G
    assert np.abs(subgradients).max() <= kernel.G_inf


@each_kernel
def test_f_from_averaged_margins_is_f_at_the_averaged_point(loss, sparse, intercept, l2):
    kernel, rng = problem(loss, sparse, intercept, l2), np.random.default_rng(3)
    for scale in (0.1, 1.0, 100.0):
        X, w = scale * rng.standard_normal((50, kernel.p)), rng.random(50)
        x = w @ X / w.sum()
        z = w @ np.array([kernel.margins(row) for row in X]) / w.sum()
        # an average of 50 adds 50 eps of the magnitudes averaged
        size = kernel.value(x) + kernel.G * np.abs(X).sum(axis=1).max()
        assert kernel.oracle.value_at(x, z) == pytest.approx(kernel.value(x), rel=0, abs=ROUNDING * size)


@pytest.mark.parametrize("loss", sorted(losses()))
def test_without_l2_the_norm_of_x_is_not_needed(loss):
    """||x||^2 overflows from 1e154 on, and 0 times infinity is NaN; in an orthogonal direction f is what it was."""
    _, b = data(loss)
    A = np.hstack([np.ones((b.size, 1)), np.zeros((b.size, 1))])
    kernel = make(loss, A, b, intercept=False)
    x = np.zeros(kernel.p)
    f, z = kernel.value(x), kernel.margins(x)
    f_from_margins = kernel.oracle.value_at(x, z)
    x[-1] = 1e200
    assert kernel.value(x) == f
    assert kernel.oracle.value_at(x, z) == f_from_margins


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("loss", sorted(KINKS.keys() - {"huber"}))
def test_zero_is_taken_at_a_kink_and_the_slopes_beside_it(loss, sparse):
    """Rows are unit vectors, so that margins are exact."""
    b = np.array([1.0, -1.0, 1.0, -1.0]) if losses()[loss].task == "binary" else np.array([0.5, -2.0, 3.0, 0.0])
    eye = scipy.sparse.eye_array(4, format="csr") if sparse else np.eye(4)
    kernel = make(loss, eye, b, intercept=False)
    kinks = KINKS[loss](b)
    for kink in kinks:
        assert kernel.value(kink) == 0.0
        assert np.array_equal(kernel.subgradient(kink), np.zeros(4))
    for beside in (np.nextafter(kinks[0], -np.inf), np.nextafter(kinks[-1], np.inf)):
        assert np.array_equal(kernel.subgradient(beside), FORMULAS[loss](beside, b)[1] / 4)
    assert np.all(FORMULAS[loss](kinks[0] - 1, b)[1] != FORMULAS[loss](kinks[-1] + 1, b)[1])  # there is a kink


@pytest.mark.parametrize("margin", [1e4, 1e8, 1e300])
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
def test_logistic_is_exact_and_silent_at_large_margins(sparse, margin):
    A = np.ones((2, 1))
    kernel = problems.logistic(scipy.sparse.csr_array(A) if sparse else A, [1, -1], intercept=False)
    with np.errstate(all="raise"):
        for x in (margin, -margin):  # one row has the loss and slope 0, the other |z| and 1
            assert kernel.value([x]) == margin / 2
            assert kernel.subgradient([x]) == math.copysign(0.5, x)
        for b, z in itertools.product((1.0, -1.0), (margin, -margin)):  # the same function in plain Python
            assert logistic_file.loss(z, b) == (max(0.0, -b * z), -b if b * z < 0 else 0.0)


def test_logistic_keeps_its_small_values():
    """log(1 + exp(-u)) for large u is exp(-u), which log and 1 + e would lose below 1e-16."""
    kernel = problems.logistic([[40.0], [40.0]], [1, -1], intercept=False)
    value, slope = logistic_file.loss(40.0, 1.0)
    assert value == pytest.approx(math.exp(-40), rel=1e-14, abs=0)
    assert slope == pytest.approx(-math.exp(-40), rel=1e-14, abs=0)
    assert kernel.value([1.0]) == pytest.approx(20.0, rel=1e-15, abs=0)


@pytest.mark.parametrize("loss", sorted(losses()))
def test_matrix_of_empty_rows_alone(loss):
    _, b = data(loss)
    kernel = make(loss, scipy.sparse.csr_array((b.size, 3)), b, intercept=False)
    x = np.resize([1.0, -2.0, 3.0], kernel.p)
    assert kernel.value(x) == kernel.value(np.zeros(kernel.p))
    assert np.array_equal(kernel.subgradient(x), np.zeros(kernel.p))
    assert kernel.G == kernel.G_inf == 0.0


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("kind", [scipy.sparse.csr_array, scipy.sparse.csr_matrix], ids=lambda kind: kind.__name__)
def test_unsorted_and_duplicated_csr_entries_are_added_up(kind, index):
    values = np.array([1.0, 2.0, -4.0, 5.0, 0.5, 8.0])
    indices = np.array([2, 0, 2, 1, 1, 0], dtype=index)  # row 0 unsorted with column 2 twice, row 2 column 1 twice
    indptr = np.array([0, 3, 3, 6], dtype=index)
    A = kind((values, indices, indptr), shape=(3, 3))
    dense = np.array([[2.0, 0.0, -3.0], [0.0, 0.0, 0.0], [8.0, 5.5, 0.0]])
    kernel = problems.least_absolute_deviation(A, [1.0, 2.0, 3.0], intercept=False)
    same = problems.least_absolute_deviation(dense, [1.0, 2.0, 3.0], intercept=False)
    x = np.array([0.3, -1.0, 2.0])
    assert kernel.value(x) == same.value(x)
    assert np.array_equal(kernel.subgradient(x), same.subgradient(x))
    assert np.isclose(kernel.G, same.G, rtol=1e-15, atol=0)
    assert np.array_equal(kernel.oracle.data.indices, [0, 2, 0, 1])
    assert np.array_equal(A.data, values)  # what was passed is untouched
    assert np.array_equal(A.indices, [2, 0, 2, 1, 1, 0])


@pytest.mark.parametrize("kind", ["dense", "fortran", "list", "integers", "csr", "csc", "coo"])
@pytest.mark.parametrize("intercept", [True, False])
def test_every_kind_of_matrix_gives_the_same_problem(kind, intercept):
    A, b = np.round(data("hinge")[0]), data("hinge")[1]
    given = {
        "dense": A,
        "fortran": np.asfortranarray(A),
        "list": A.tolist(),
        "integers": A.astype(np.int32),
        "csr": scipy.sparse.csr_array(A),
        "csc": scipy.sparse.csc_matrix(A),
        "coo": scipy.sparse.coo_array(A),
    }[kind]
    kernel, same = (problems.hinge(matrix, b, intercept=intercept) for matrix in (given, A))
    for x in points(kernel.p, n=5):
        assert kernel.value(x) == pytest.approx(same.value(x), rel=ROUNDING, abs=0)
        assert kernel.subgradient(x) == pytest.approx(same.subgradient(x), rel=0, abs=ROUNDING * kernel.G)


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("intercept", [True, False])
def test_read_only_inputs_are_accepted_and_left_as_they_were(sparse, intercept):
    A, b = data("logistic")
    x0 = np.linspace(-1, 1, A.shape[1] + intercept)
    matrix = scipy.sparse.csr_array(A) if sparse else A
    arrays = [b, x0, *((matrix.data, matrix.indices, matrix.indptr) if sparse else (matrix,))]
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.setflags(write=False)
    kernel = problems.logistic(matrix, b, intercept=intercept, l2=L2, x0=x0)
    kernel.subgradient(np.ones(kernel.p))
    kernel.value(kernel.x0)
    for array, copy in zip(arrays, before, strict=True):
        assert np.array_equal(array, copy)
        assert array.dtype == copy.dtype


def test_the_problem_does_not_follow_later_changes_of_b_and_x0():
    A, b = data("logistic")
    x0 = np.ones(A.shape[1])
    kernel = problems.logistic(A, b, intercept=False, x0=x0)
    before = kernel.value(kernel.x0)
    b *= -1
    x0 *= 5
    assert kernel.value(kernel.x0) == before


def test_data_are_stored_once():
    A, b = data("logistic")
    bare = problems.logistic(A, b, intercept=False)
    assert np.shares_memory(bare.oracle.data.dense, bare.model.A)
    with_ones = problems.logistic(A, b)
    assert np.shares_memory(with_ones.oracle.data.dense, with_ones.model.A)

    csr = scipy.sparse.csr_array(A)
    sparse = problems.logistic(csr, b, intercept=False)
    for kernel in (sparse, problems.logistic(csr, b)):
        stored, model = kernel.oracle.data, kernel.model.A
        assert np.shares_memory(stored.values, model.data)
        assert np.shares_memory(stored.indices, model.indices)  # indptr: 64 bits in one, 32 in the other
        assert stored.dense.size == 0
    assert np.shares_memory(bare.oracle.data.b, bare.model.b)


def test_kernels_cannot_write_to_the_data():
    A, b = data("logistic")
    for kernel in (problems.logistic(A, b), problems.logistic(scipy.sparse.csr_array(A), b)):
        assert not any(array.flags.writeable for array in kernel.oracle.data)
    assert A.flags.writeable  # the caller's own array stays theirs


def test_dense_and_csr_agree_on_a_real_data_set(shared_data):
    """a9a: 32561 rows of 14 ones; every sum is off by at most m eps = 7e-12 of its size."""
    sparse, dense = (problems.get(f"logistic[storage={s}]:heart_scale", data_dir=shared_data) for s in ("csr", "dense"))
    large = problems.get("hinge:a9a", data_dir=shared_data)
    for x in points(sparse.p, n=5):
        assert sparse.value(x) == pytest.approx(dense.value(x), rel=1e-12, abs=0)
        assert sparse.subgradient(x) == pytest.approx(dense.subgradient(x), rel=0, abs=1e-12 * dense.G)
    for x in points(large.p, n=5, exponents=(-2, 2)):
        A, b = large.model.A, large.model.b
        values, slopes = hinge(A @ x, b)
        assert large.value(x) == pytest.approx(values.mean(), rel=7e-12, abs=0)
        assert large.subgradient(x) == pytest.approx(A.T @ slopes / b.size, rel=0, abs=7e-12)


def test_logistic_loss_is_accurate_to_a_few_units_in_the_last_place_margin_by_margin():
    """Against long double; its value and derivative are relative to numbers down to 1e-304."""
    t = np.concatenate([np.linspace(-700, 700, 2801), np.linspace(-2, 2, 401), [1e-300, -1e-300]])
    exact = np.logaddexp(np.longdouble(0), -t.astype(np.longdouble))
    slope = -1 / (1 + np.exp(t.astype(np.longdouble)))
    for z, value, derivative in zip(t, exact, slope, strict=True):
        problem_data = pack(dense=[[z]], b=[1.0], params=(0.0, 0.5))
        g, margin = np.zeros(1), np.zeros(1)
        f = logistic_file.LOSS.kernels.dense(np.ones(1), g, margin, problem_data)
        assert abs(f - value) <= 1e-15 * value
        if z != 0:
            assert abs(g[0] / z - derivative) <= 1.5e-15 * abs(derivative)
