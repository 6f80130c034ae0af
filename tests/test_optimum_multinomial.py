"""Certified optima of multinomial logistic regression, and that wrong certificates are noticed."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from exhaustive import one_in
from flint import arb, arb_mat, ctx

import problems
from problems.optimum import certified_optimum, complaints
from problems.optimum.arithmetic.columns import independent_columns
from problems.optimum.arithmetic.null_space import Forms, null_vector, positive, row_forms, spanning_columns, vanishing
from problems.optimum.arithmetic.rational import Rational
from problems.optimum.dual import penalised_slope
from problems.optimum.models import solve_reference
from problems.optimum.nothing import Nothing
from problems.optimum.smooth.multinomial_attained import MultinomialSelfConcordance, invariant_directions
from problems.optimum.smooth.multinomial_separability import by_program, coordinates, split
from problems.optimum.smooth.separable import QuasiSeparable, Separable
from problems.optimum.smooth.softmax import (
    Rows,
    all_rows,
    differences,
    mean_loss,
    residual,
    restricted,
    softmax,
)
from problems.optimum.smooth.softmax_enclosure import by_blocks, by_squares, enclose_rows, polished, smallest_eigenvalue
from problems.optimum.smooth.softmax_newton import Multinomial, hessian, newton, probabilities
from problems.optimum.smooth.strong_convexity import StrongConvexity

KINDS = ["complete", "quasi", "overlapping"]


def instance(kind: str, seed: int, *, m: int = 60, C: int = 3, sparse: bool = False, **options: Any) -> Any:
    """Classes that overlap; or one class apart; or all."""
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(m, 3))
    y = np.concatenate([np.arange(C), rng.integers(0, C, m - C)])
    if kind == "quasi":  # a rare feature that the last class alone has, always
        A[:, 0] = y == C - 1
    if kind == "complete":
        W = rng.normal(size=(3, C))
        y = np.argmax(A @ W, axis=1)
    return problems.multinomial_logistic(scipy.sparse.csr_array(A) if sparse else A, y, **options)


def minimum(model: Any, x0: Any, x: Any) -> tuple[arb, arb]:
    """(f*, D) by Newton's method in ball arithmetic of 200 bits, from a point near by; A of full column rank."""
    C, l2 = model.classes, arb(model.l2)
    A = arb_mat([[arb(v) for v in row] for row in model.A.tolist()])
    (m, p), y, x0 = model.A.shape, model.b.astype(int), x0.reshape(-1, C)
    free = C if model.l2 else C - 1
    W = arb_mat([[arb(w) - (0 if model.l2 else arb(row[-1])) for w in row] for row in x.reshape(-1, C).tolist()])
    f = arb(0)
    for _ in range(20):
        Z = A * W
        pi = [[(Z[i, c] - Z[i, int(y[i])]).exp() for c in range(C)] for i in range(m)]
        f = sum((sum(row, arb(0)).log() for row in pi), arb(0)) / m
        f += l2 / 2 * sum((w * w for w in W.entries()), arb(0))
        pi = [[e / sum(row, arb(0)) for e in row] for row in pi]
        U = arb_mat([[pi[i][c] - int(c == y[i]) for c in range(free)] for i in range(m)])
        G, g, H = A.transpose() * U, arb_mat(p * free, 1), arb_mat(p * free, p * free)
        for c in range(free):
            for j in range(p):
                g[j * free + c, 0] = G[j, c] / m + l2 * W[j, c]
            for d in range(free):
                weighted = [[A[i, k] * pi[i][c] * (int(c == d) - pi[i][d]) / m for k in range(p)] for i in range(m)]
                block = A.transpose() * arb_mat(weighted)
                for j in range(p):
                    for k in range(p):
                        H[j * free + c, k * free + d] = block[j, k] + (l2 if (j, c) == (k, d) else 0)
        step = H.mid().solve(g.mid())
        for j in range(p):
            for c in range(free):
                W[j, c] = (W[j, c] - step[j * free + c, 0]).mid()
    shifted = [[W[j, c] - arb(x0[j, c]) for c in range(C)] for j in range(p)]
    means = [arb(0) if model.l2 else sum(row, arb(0)) / C for row in shifted]
    return f, sum(((v - mean) ** 2 for row, mean in zip(shifted, means, strict=True) for v in row), arb(0)).sqrt()


# ---------------------------------------------------------------------------------------------------------
# Intervals against other means


@pytest.mark.parametrize("l2", [0.0, 1e-6, 0.05])
@pytest.mark.parametrize("seed", one_in(2, range(4)))
def test_f_and_D_hold_the_minimum_in_200_bits(seed: int, l2: float) -> None:
    rng = np.random.default_rng(seed)
    x0 = rng.normal(size=(4, 3))
    p = instance("overlapping", seed, m=25, l2=l2, x0=x0)
    optimum = certified_optimum(p, cache=False)
    before, ctx.prec = ctx.prec, 200
    try:
        f, D = minimum(p.model, p.x0, optimum.x)
        assert arb(optimum.f_lo) <= f
        assert f <= arb(optimum.f_hi)
        assert arb(optimum.D_lo) <= D
        assert arb(optimum.D_hi) >= D
    finally:
        ctx.prec = before
    # half an ulp of f, and roundings outward at both ends
    assert optimum.f_hi - optimum.f_lo <= 4 * np.spacing(optimum.f_hi)
    # along shifts of all classes the curvature is l2, and an error of the gradient counts 1 / l2 times
    assert optimum.D_hi - optimum.D_lo <= (1e-10 if l2 == 1e-6 else 1e-12) * optimum.D_hi
    assert complaints(p, optimum) == []


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("l2", [0.0, 0.05])
def test_the_optimum_agrees_with_cvxpy(l2: float, sparse: bool) -> None:
    p = instance("overlapping", 0, l2=l2, sparse=sparse)
    optimum = certified_optimum(p, cache=False)
    reference = solve_reference(p.model)
    assert reference is not None
    assert reference.accurate
    # Clarabel's tolerances are 1e-8
    assert abs(reference.value - optimum.f_hi) <= 1e-7
    if l2:
        assert np.abs(reference.x - optimum.x).max() <= 1e-3


def test_the_optimum_agrees_with_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    p = problems.get("multinomial[l2=1e-2,intercept=false]:wine")
    optimum = certified_optimum(p, cache=False)
    m = p.m
    fitted = LogisticRegression(C=1 / (1e-2 * m), tol=1e-10, fit_intercept=False, max_iter=5000)
    fitted.fit(p.model.A, p.model.b)
    f = p.value(fitted.coef_.T.ravel())
    # its gradient is below 1e-10 m, and f off by the square of that over l2
    assert optimum.f_lo <= f <= optimum.f_hi + 1e-13
    assert np.abs(fitted.coef_.T.ravel() - optimum.x).max() <= 1e-5


@pytest.mark.parametrize("data", ["breast_cancer", "iris"])
@pytest.mark.parametrize("l2", [0.0, 1e-3])
def test_two_classes_are_the_binary_loss(data: str, l2: float) -> None:
    """f(W) = f_binary(w_1 - w_0); the nearest W has w_1 = -w_0 for x0 = 0: D is D_binary / sqrt 2, and l2 is halved."""
    binary = problems.get(f"logistic[l2={l2}]:{data}" if l2 else f"logistic:{data}")
    A = binary.model.A[:, :-1]
    p = problems.multinomial_logistic(A, binary.model.b, l2=2 * l2)
    optimum, known = certified_optimum(p, cache=False), certified_optimum(binary, cache=False)
    assert optimum.attained is known.attained
    assert optimum.f_lo <= known.f_hi
    assert known.f_lo <= optimum.f_hi
    if known.attained:
        assert optimum.D_lo <= known.D_hi / math.sqrt(2) * (1 + 1e-15)
        assert known.D_lo / math.sqrt(2) <= optimum.D_hi * (1 + 1e-15)
        assert optimum.D_hi - optimum.D_lo <= 1e-9 * optimum.D_hi


@pytest.mark.parametrize("l2", [0.0, 0.01])
@pytest.mark.parametrize("kind", KINDS)
def test_no_point_lies_below_f_lo(kind: str, l2: float) -> None:
    p = instance(kind, 1, l2=l2)
    optimum = certified_optimum(p, cache=False)
    rng = np.random.default_rng(1)
    for scale in (1e-9, 1e-4, 1.0, 100.0):
        for _ in range(30):
            # p.value sums in float64
            assert optimum.f_lo <= p.value(optimum.x + scale * rng.normal(size=p.p)) * (1 + 1e-14)


def test_many_small_problems_of_mixed_scale() -> None:
    """Normal, one-hot, integer, ill-scaled data: no point below f_lo, no complaint, and nearly all are narrow."""
    wide = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        C, q, m = int(rng.integers(2, 5)), int(rng.integers(1, 4)), int(rng.integers(5, 30))
        A = [
            rng.normal(size=(m, q)),
            np.eye(q)[rng.integers(0, q, m)],
            rng.integers(-2, 3, (m, q)).astype(float),
            rng.normal(size=(m, q)) * 10.0 ** rng.integers(-8, 9, q),
            rng.normal(size=(m, q)) * 10.0 ** rng.uniform(-4, 4, (m, 1)),
        ][seed % 5]
        y = np.concatenate([np.arange(C), rng.integers(0, C, m - C)])
        l2 = 0.0 if seed % 3 else 10.0 ** rng.uniform(-6, 0)
        p = problems.multinomial_logistic(A, y, intercept=bool(seed % 2), l2=l2)
        optimum = certified_optimum(p, cache=False)
        assert complaints(p, optimum) == [], seed
        wide += optimum.f_hi - optimum.f_lo > 1e-12 * max(1.0, optimum.f_hi)
        for scale in (1e-6, 1.0):
            x = optimum.x + scale * rng.normal(size=p.p) * max(1.0, np.abs(optimum.x).max())
            assert optimum.f_lo <= p.value(x) * (1 + 1e-12), seed
    # weak l2 beside columns of 1e8 is all that was seen
    assert wide <= 2


# ---------------------------------------------------------------------------------------------------------
# Existence


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_existence_of_a_minimiser_is_decided_as_constructed(seed: int, kind: str, sparse: bool) -> None:
    p = instance(kind, seed, sparse=sparse)
    optimum = certified_optimum(p, cache=False)
    assert complaints(p, optimum) == []
    assert optimum.kind == {"complete": "separable", "quasi": "quasi-separable"}.get(kind, "self-concordance")
    assert optimum.attained is (kind == "overlapping")
    if kind != "overlapping":
        assert optimum.D_lo == optimum.D_hi == optimum.D_inf_lo == math.inf
        assert optimum.f_hi - optimum.f_lo <= 1e-14
    rows = all_rows(p.model)
    count = int(split(rows).S.sum())
    last = np.count_nonzero(rows.y == 2)
    # the last class leaves the other two behind, and they leave it
    expected = {"complete": 2 * p.m, "quasi": 2 * last + (p.m - last), "overlapping": 0}[kind]
    assert count == expected
    program = by_program(rows)
    assert (0 if program is None else int(program.S.sum())) == expected


def test_the_infimum_of_quasi_separable_data_is_that_of_the_classes_that_are_left() -> None:
    p = instance("quasi", 0)
    optimum = certified_optimum(p, cache=False)
    left = p.model.b < 2
    rest = problems.logistic(p.model.A[left][:, 1:3], 2 * p.model.b[left] - 1)
    known = certified_optimum(rest, cache=False)
    assert known.attained
    share = left.mean()
    assert optimum.f_lo <= share * known.f_hi * (1 + 1e-15)
    assert optimum.f_hi >= share * known.f_lo * (1 - 1e-15)


def test_one_hot_data_with_repeated_rows_of_different_labels() -> None:
    """Cells with several classes keep those, so inf f is the mean entropy of the cells."""
    cells = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2])
    y = np.array([0, 1, 1, 2, 2, 0, 1, 2, 2])
    p = problems.multinomial_logistic(np.eye(3)[cells], y, intercept=True)
    optimum = certified_optimum(p, cache=False)
    entropy = 0.0
    for cell in range(3):
        shares = np.bincount(y[cells == cell]) / np.count_nonzero(cells == cell)
        entropy -= np.count_nonzero(cells == cell) / 9 * sum(s * math.log(s) for s in shares if s)
    assert optimum.attained is False
    assert optimum.f_lo <= entropy * (1 + 1e-15)
    assert entropy <= optimum.f_hi * (1 + 1e-15)
    assert optimum.f_hi - optimum.f_lo <= 1e-14


def test_layers_of_directions_are_combined() -> None:
    """Class 2 leaves along the first feature, and class 1 leaves class 0 along the second, on rows of 0 and 1 alone."""
    A = np.array([[1.0, 5.0], [1.0, -7.0], [0.0, 1.0], [0.0, 2.0], [0.0, -1.0], [0.0, -3.0], [0.0, 0.0], [0.0, 0.0]])
    y = np.array([2, 2, 1, 1, 0, 0, 0, 1])
    p = problems.multinomial_logistic(A, y, intercept=True)
    optimum = certified_optimum(p, cache=False)
    assert complaints(p, optimum) == []
    assert optimum.attained is False
    # two rows at the origin with different labels remain
    assert optimum.f_lo <= 2 * math.log(2) / 8 * (1 + 1e-15)
    assert optimum.f_hi - optimum.f_lo <= 1e-14
    assert optimum.f_hi >= 2 * math.log(2) / 8 * (1 - 1e-15)


# ---------------------------------------------------------------------------------------------------------
# Distances


def test_D_is_that_of_the_nearest_minimiser_where_columns_depend_on_each_other() -> None:
    """One-hot columns and an intercept: a null vector of A beside the shifts of all classes."""
    rng = np.random.default_rng(3)
    cells, C = rng.integers(0, 3, 90), 3
    y = rng.integers(0, C, 90)
    x0 = rng.normal(size=(4, C))
    p = problems.multinomial_logistic(np.eye(3)[cells], y, x0=x0)
    optimum = certified_optimum(p, cache=False)
    assert complaints(p, optimum) == []
    # log-odds in each cell are known: project on the affine space of all solutions
    counts = np.array([[np.count_nonzero((cells == k) & (y == c)) for c in range(C)] for k in range(3)])
    forms = np.array(
        [np.kron(row, e) for row in np.unique(p.model.A, axis=0)[::-1] for e in np.eye(C)[1:] - np.eye(C)[0]]
    )
    odds = np.log(counts / counts[:, :1])[:, 1:].ravel()
    D = float(np.linalg.norm(np.linalg.pinv(forms) @ (forms @ x0.ravel() - odds)))
    assert optimum.D_lo <= D * (1 + 1e-13)
    assert optimum.D_hi * (1 + 1e-13) >= D
    assert optimum.D_hi - optimum.D_lo <= 1e-12 * D
    assert 0 < optimum.D_inf_lo <= optimum.D_inf_hi <= optimum.D_inf_lo * (1 + 1e-7)


@pytest.mark.parametrize("norm", [2, math.inf])
def test_shifts_do_not_count(norm: float) -> None:
    p = instance("overlapping", 5, x0=np.arange(12.0).reshape(4, 3))
    moved = instance("overlapping", 5, x0=np.arange(12.0).reshape(4, 3) + np.array([[1.0], [-2.0], [64.0], [0.5]]))
    a, b = certified_optimum(p, cache=False), certified_optimum(moved, cache=False)
    ends = [(o.D_lo, o.D_hi) if norm == 2 else (o.D_inf_lo, o.D_inf_hi) for o in (a, b)]
    assert max(lo for lo, _ in ends) <= min(hi for _, hi in ends)
    assert all(hi - lo <= 1e-12 * hi for lo, hi in ends)


def test_D_inf_is_that_of_the_best_shift() -> None:
    from scipy.optimize import linprog

    p = instance("overlapping", 7, x0=np.arange(12.0).reshape(4, 3) ** 2)
    optimum = certified_optimum(p, cache=False)
    d, shifts = optimum.x - p.x0, np.kron(np.eye(4), np.ones((3, 1)))
    ones = np.ones((12, 1))
    within = np.block([[shifts, -ones], [-shifts, -ones]])
    cost = np.append(np.zeros(4), 1.0)
    program = linprog(cost, A_ub=within, b_ub=np.concatenate([-d, d]), bounds=(None, None))
    # HiGHS solves to 1e-7 at worst
    assert optimum.D_inf_lo * (1 - 1e-7) <= program.fun <= optimum.D_inf_hi * (1 + 1e-7)


def test_a_minimiser_that_is_not_the_nearest_proves_no_other_distance() -> None:
    p = instance("overlapping", 5)
    optimum = certified_optimum(p, cache=False)
    far = optimum.x + np.repeat([8.0, -4.0, 2.0, 1.0], 3)
    assert isinstance(optimum.certificate, MultinomialSelfConcordance)
    proof = replace(optimum.certificate, x=far).prove(p)
    assert proof.D_lo <= optimum.D_hi
    assert optimum.D_lo <= proof.D_hi <= optimum.D_hi * (1 + 1e-12)
    assert proof.D_inf_lo <= optimum.D_inf_hi
    assert optimum.D_inf_lo <= proof.D_inf_hi <= optimum.D_inf_hi * (1 + 1e-12)


def test_invariant_directions_span_and_are_not_short() -> None:
    A = np.column_stack([np.eye(3)[[0, 1, 2, 0, 1]], np.ones(5), np.zeros(5)])
    columns, C = independent_columns(A), 3
    M = invariant_directions(columns.N, columns.J, C)
    assert np.linalg.eigvalsh(M.T @ M)[0] >= 1
    change = (A @ M.T.reshape(-1, 5, C)).transpose(0, 1, 2)
    assert not np.any(change - change[:, :, :1])
    assert np.linalg.matrix_rank(M) == 5 * C - 3 * (C - 1)
    rng = np.random.default_rng(0)
    for _ in range(200):
        c = rng.normal(size=M.shape[1])
        assert np.abs(c).max() <= np.abs(M @ c).max()


# ---------------------------------------------------------------------------------------------------------
# The parts


def random_forms(rng: np.random.Generator) -> Forms:
    m, p, C = rng.integers(1, 8), rng.integers(1, 5), int(rng.integers(1, 4))
    A = np.round(rng.normal(size=(m, p)), 2) * 10.0 ** rng.integers(-8, 8, size=p)
    if rng.random() < 0.5:
        A = rng.integers(-2, 3, size=(m, p)).astype(float)
    k = int(rng.integers(1, 12))
    plus = rng.integers(0, C, k)
    minus = np.where(rng.random(k) < 0.3, -1, (plus + 1) % C) if C > 1 else np.full(k, -1)
    return Forms(scipy.sparse.csr_array(A) if rng.random() < 0.3 else A, rng.integers(0, m, k), plus, minus, C)


def test_null_vectors_and_spanning_columns_are_exact() -> None:
    from flint import fmpq, fmpq_mat

    rng = np.random.default_rng(0)
    for _ in range(150):
        forms = random_forms(rng)
        n = forms.A.shape[1] * forms.C
        M = [[Fraction(v) for v in row] for row in forms.matrix().toarray().tolist()]
        w = rng.normal(size=n)
        v, P = null_vector(forms, w), spanning_columns(forms)
        assert v is not None
        assert P is not None
        assert all(sum(a * b for a, b in zip(row, v.numerators, strict=True)) == 0 for row in M)
        exact = fmpq_mat([[fmpq(a.numerator, a.denominator) for a in row] for row in M])
        assert exact.rank() == P.size
        u = [int(x) for x in rng.integers(-4, 5, n)]
        values = [sum(a * b for a, b in zip(row, u, strict=True)) for row in M]
        assert vanishing(forms, [u]).tolist() == [x == 0 for x in values]
        assert positive(forms, Rational(u, 1).long()).tolist() == [x > 0 for x in values]


def test_a_null_vector_stays_near_what_was_asked_for() -> None:
    rng = np.random.default_rng(1)
    A = rng.normal(size=(5, 9))
    w = rng.normal(size=9)
    w -= np.linalg.pinv(A) @ (A @ w)
    v = null_vector(row_forms(A), w)
    assert v is not None
    near = np.asarray(v.long(), dtype=np.float64)
    # free entries keep 40 bits
    assert np.abs(near / np.abs(near).max() - w / np.abs(w).max()).max() <= 1e-10


def exact_softmax(rows: Rows, W: Any) -> tuple[arb, list[list[arb]]]:
    """(f_K, residual) in ball arithmetic."""
    total, U = arb(0), []
    for i, row in enumerate(np.asarray(rows.A).tolist()):
        z = [sum((arb(a) * arb(w) for a, w in zip(row, col, strict=True)), arb(0)) for col in np.asarray(W).T.tolist()]
        powers = [(v - z[int(rows.y[i])]).exp() if k else arb(0) for v, k in zip(z, rows.keep[i], strict=True)]
        powers[int(rows.y[i])] = arb(1)
        s = sum(powers, arb(0))
        total += s.log()
        others = s - powers[int(rows.y[i])]
        U.append([-others / s if c == rows.y[i] else e / s for c, e in enumerate(powers)])
    return total / rows.m, U


@pytest.mark.parametrize("cancelling", [False, True])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
def test_loss_and_residual_are_within_their_error_bounds(scale: float, cancelling: bool) -> None:
    rng = np.random.default_rng(0)
    A = rng.normal(size=(30, 4)) * 10.0 ** rng.integers(-3, 3, 4)
    if cancelling:  # two columns nearly equal, with opposite weights: margins lose digits, and these errors count
        A[:, 1] = A[:, 0] * (1 + 1e-9 * rng.normal(size=30))
    y = rng.integers(0, 5, 30)
    keep = rng.random((30, 5)) < 0.7
    keep[np.arange(30), y] = True
    rows = Rows(A, y, keep, 30)
    W = scale * rng.normal(size=(4, 5))
    W[1] = np.where(cancelling, -1e9 * scale * W[0], W[1])
    W[0] = np.where(cancelling, 1e9 * scale * W[0], W[0])
    f, s = mean_loss(rows, W), softmax(rows, differences(rows, W))
    U = residual(rows, s)
    before, ctx.prec = ctx.prec, 20_000  # 1 + exp(-5000) among them
    try:
        exact, exact_U = exact_softmax(rows, W)

        def long(v: Any) -> arb:
            high = float(v)
            return arb(high) + arb(float(v - np.longdouble(high)))

        assert abs(exact - long(f.value)) <= arb(float(f.error))
        for i in range(30):
            for c in range(5):
                assert abs(exact_U[i][c] - long(U.value[i, c])) <= arb(float(U.error[i, c]))
    finally:
        ctx.prec = before
    # margins are off by 7 units of |A| |W|, which the loss can be off by once, and the sum of 30 losses by 32 units
    assert f.error <= 100 * np.finfo(np.longdouble).eps * (1 + float((np.abs(A) @ np.abs(W)).max()))


def test_gradient_and_hessian_are_derivatives() -> None:
    p = instance("overlapping", 0, C=4)
    rows = all_rows(p.model)
    rng = np.random.default_rng(0)
    keep = rng.random(rows.keep.shape) < 0.8
    keep[np.arange(p.m), rows.y] = True
    rows = rows._replace(keep=keep)
    W, d, h = rng.normal(size=(4, 4)), rng.normal(size=(4, 4)), 1e-5

    def slope(at: Any) -> Any:
        u = residual(rows, softmax(rows, differences(rows, at)))
        return penalised_slope(rows.A, u, rows.m).value.astype(np.float64)

    f = [float(mean_loss(rows, W + s * h * d).value) for s in (-1, 1)]
    # central differences: h^2 beside the third derivative
    assert (f[1] - f[0]) / (2 * h) == pytest.approx(float(np.sum(slope(W) * d)), abs=1e-9)
    assert Multinomial(rows).value(rows.A @ W) == pytest.approx(float(mean_loss(rows, W).value), rel=1e-14)
    H = hessian(rows, probabilities(rows, rows.A @ W), 0.0, np.arange(16), block=7)
    assert np.abs(H @ d.ravel() - ((slope(W + h * d) - slope(W - h * d)) / (2 * h)).ravel()).max() <= 1e-9


def test_both_ways_to_the_metric_bound_the_curvature_from_below() -> None:
    p = instance("overlapping", 2, C=4)
    rows = all_rows(p.model)
    at = coordinates(rows)
    assert at is not None
    W = polished(rows, at, newton(rows, 0.0, np.zeros((4, 4)), at).x)
    s = softmax(rows, differences(rows, W))
    H = hessian(rows, s.pi.astype(np.float64), 0.0, at)
    for chart, least in ((by_squares(rows, s, at, 0.0), 0.5), (by_blocks(rows, s, at, 0.0), 0.3)):
        assert chart is not None
        eigenvalues = np.linalg.eigvalsh(chart.T.T @ H @ chart.T)
        # by blocks it is within a factor 2; by squares some are dropped, and the metric is made without them
        assert least * eigenvalues[0] * 0.5 <= chart.eigenvalue <= eigenvalues[0] * (1 + 1e-12)
        # the norm of every difference of two classes is bounded
        T = np.zeros((4, 4, at.size))
        T.reshape(16, -1)[at] = chart.T
        by_class = np.einsum("ij,jcs->ics", rows.A, T)
        for c in range(4):
            for d in range(c):
                norms = np.linalg.norm(by_class[:, c] - by_class[:, d], axis=1)
                assert norms.max() <= np.linalg.norm(chart.B, axis=1).max() * (1 + 1e-12)


def test_smallest_eigenvalue_is_bounded_from_below() -> None:
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.normal(size=(40, 40)))[0]
    for least in (1e-3, 1e-8):
        S = Q @ np.diag(np.geomspace(least, 1, 40)) @ Q.T
        assert least / 2.5 <= smallest_eigenvalue((S + S.T) / 2) <= least
    assert smallest_eigenvalue(Q @ np.diag(np.linspace(-1e-3, 1, 40)) @ Q.T) < 0


def test_an_enclosure_holds_the_minimiser_and_is_refused_far_away() -> None:
    p = instance("overlapping", 4)
    rows = all_rows(p.model)
    at = coordinates(rows)
    assert at is not None
    W = polished(rows, at, newton(rows, 0.0, np.zeros((4, 3)), at).x)
    for offset in (1e-6, 1e-3):
        moved = np.asarray(W, dtype=np.float64).copy()
        moved.ravel()[at[0]] += offset
        ball = enclose_rows(rows, at, moved)
        assert ball is not None
        assert offset * 0.1 <= np.linalg.norm(np.asarray(W - moved, dtype=np.float64)) <= ball.radius
        assert mean_loss(rows, moved).value - ball.drop <= mean_loss(rows, W).value
    assert enclose_rows(rows, at, np.asarray(W, dtype=np.float64) + 30 * np.eye(4, 3)) is None


# ---------------------------------------------------------------------------------------------------------
# Certificates


def tampered(optimum: Any) -> list[tuple[str, Any]]:
    """Optima that claim more than is proved, and certificates that were changed."""
    f, D, x = optimum.f_hi, optimum.D_hi, optimum.x + 1e-3 * (1 + np.abs(optimum.x)) * np.cos(np.arange(optimum.x.size))
    changed = [
        ("f_lo", replace(optimum, f_lo=f * (1 + 1e-10) + 1e-12, f_hi=f * (1 + 1e-9) + 1e-9)),
        ("f_hi", replace(optimum, f_lo=0.0, f_hi=max(optimum.f_lo * (1 - 1e-9), f / 2))),
        ("x", replace(optimum, x=x)),
        ("attained", replace(optimum, attained=not optimum.attained)),
    ]
    if math.isfinite(D):
        changed += [
            ("D_lo", replace(optimum, D_lo=D * (1 + 1e-7), D_hi=D * (1 + 1e-3))),
            ("D_hi", replace(optimum, D_lo=0.0, D_hi=optimum.D_lo * (1 - 1e-7))),
            ("D_inf_lo", replace(optimum, D_inf_lo=optimum.D_inf_hi * (1 + 1e-6), D_inf_hi=D)),
            ("D_inf_hi", replace(optimum, D_inf_lo=0.0, D_inf_hi=optimum.D_inf_lo * (1 - 1e-6))),
        ]
    certificate: Any = optimum.certificate
    moves = {"low": lambda v: v + 1e-3 * np.cos(np.arange(v.size)), "w": lambda v: v + np.cos(np.arange(v.size))}
    moves |= {"rest": moves["low"], "S": lambda v: v[1:]}
    changed += [
        (k, replace(optimum, certificate=replace(certificate, **{k: move(getattr(certificate, k))})))
        for k, move in moves.items()
        if getattr(certificate, k, None) is not None
    ]
    changed += [
        (f"without {k}", replace(optimum, certificate=replace(certificate, **{k: None})))
        for k in ("w", "rest", "S")
        if hasattr(certificate, k)
    ]
    x = optimum.x
    others = {
        "separable": Separable(x=x, w=x),
        "quasi-separable": QuasiSeparable(x=x, w=x, S=np.array([0]), rest=x, low=0 * x),
        "self-concordance": MultinomialSelfConcordance(x=x, low=0 * x),
        "none": Nothing(x=x),
        "strong convexity": StrongConvexity(x=x),
    }
    return [*changed, *((k, replace(optimum, certificate=other)) for k, other in others.items() if k != optimum.kind)]


@pytest.mark.parametrize(("kind", "l2"), [*[(kind, 0.0) for kind in KINDS], ("overlapping", 0.05)])
def test_a_tampered_optimum_is_noticed(kind: str, l2: float) -> None:
    p = instance(kind, 2, l2=l2)
    optimum = certified_optimum(p, cache=False)
    assert complaints(p, optimum) == []
    for what, broken in tampered(optimum):
        assert complaints(p, broken), what


def test_the_check_calls_no_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    import scipy.optimize

    found = [(p, certified_optimum(p, cache=False)) for p in (instance(kind, 2) for kind in KINDS)]

    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("a solver was called")

    monkeypatch.setattr(scipy.optimize, "linprog", forbidden)
    monkeypatch.setattr("problems.optimum.smooth.multinomial.newton", forbidden)
    monkeypatch.setattr("problems.optimum.smooth.multinomial_separability.newton", forbidden)
    for p, optimum in found:
        assert complaints(p, optimum) == []


# ---------------------------------------------------------------------------------------------------------
# Real data

REAL = {
    "separable": ["wine", "wine.scale"],
    "quasi-separable": ["iris", "iris.scale", "glass.scale", "pendigits.t"],
    "self-concordance": ["svmguide2", "vehicle.scale", "vowel.scale"],
}


@pytest.mark.parametrize(("kind", "data"), [(kind, data) for kind, sets in REAL.items() for data in sets])
def test_which_sets_have_a_minimiser(kind: str, data: str, shared_data: Path) -> None:
    p = problems.get(f"multinomial:{data}", data_dir=shared_data)
    optimum = certified_optimum(p, cache=False)
    assert optimum.kind == kind
    assert complaints(p, optimum) == []
    assert optimum.f_hi - optimum.f_lo <= 1e-14 * max(1.0, optimum.f_hi)
    if optimum.attained:
        # svmguide2: condition number 1e10
        assert optimum.D_hi - optimum.D_lo <= (1e-8 if data == "svmguide2" else 1e-9) * optimum.D_hi


@pytest.mark.parametrize("data", ["iris.scale", "glass.scale", "svmguide2", "vowel.scale", "satimage.scale"])
def test_strongly_convex_sets_are_certified_to_rounding(data: str, shared_data: Path) -> None:
    m = problems.get(f"multinomial:{data}", data_dir=shared_data).m
    p = problems.get(f"multinomial[l2={1 / m!r}]:{data}", data_dir=shared_data)
    optimum = certified_optimum(p, cache=False)
    assert complaints(p, optimum) == []
    assert optimum.f_hi - optimum.f_lo <= 1e-14 * max(1.0, optimum.f_hi)
    assert optimum.D_hi - optimum.D_lo <= 1e-11 * optimum.D_hi


def test_a_restricted_loss_is_below_the_loss() -> None:
    p = instance("overlapping", 6)
    rows = all_rows(p.model)
    rng = np.random.default_rng(0)
    keep = rng.random(rows.keep.shape) < 0.5
    keep[np.arange(p.m), rows.y] = True
    for scale in (0.1, 1.0, 10.0):
        W = scale * rng.normal(size=(4, 3))
        assert mean_loss(restricted(rows, keep), W).value <= mean_loss(rows, W).value
