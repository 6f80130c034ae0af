"""Exact linear algebra, optimal bases and projections, against fractions and brute force."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from elimination import solve as solve_by_elimination
from exhaustive import one_in

import problems
from problems.optimum import certified_optimum, complaints
from problems.optimum.arithmetic.extended import Bounded
from problems.optimum.arithmetic.rational import (
    Rational,
    column_sums,
    independent,
    integers,
    long_of,
    products,
    rounded_down,
    rounded_up,
    solve,
)
from problems.optimum.certificate import made, parts
from problems.optimum.distances import distances_down, distances_up
from problems.optimum.dual import box, kinked
from problems.optimum.piecewise_linear.linear_program import least_distance, project
from problems.optimum.piecewise_linear.polyhedron import (
    checked_point,
    distances_below,
    implied,
)
from problems.optimum.piecewise_linear.vertex import Vertex, checked_vertex, exact_signs, optimal_vertex, residual_signs

LOSSES = ["hinge", "least_absolute_deviation", "quantile", "epsilon_insensitive"]
# From subnormal to huge, with zeros; frexp and shifts have to agree on all of them.
SCALES = [0, 1, -40, 40, -1060, 900]


def instance(loss: str, seed: int, sparse: bool = False) -> Any:
    rng = np.random.default_rng(seed)
    m, q = 25, 4
    A = np.where(rng.random((m, q)) < 0.3, 0.0, rng.integers(-3, 4, (m, q)) if seed % 2 else rng.normal(size=(m, q)))
    b = A @ rng.normal(size=q) + rng.standard_t(2, size=m)
    b = np.where(b > 0, 1.0, -1.0) if loss == "hinge" else np.round(b, seed % 3)
    return getattr(problems, loss)(scipy.sparse.csr_array(A) if sparse else A, b, x0=rng.normal(size=q + 1))


@pytest.mark.parametrize("exponent", SCALES)
def test_integers_are_the_numbers_themselves(exponent: int) -> None:
    rng = np.random.default_rng(0)
    values = np.ldexp(rng.normal(size=(5, 6)) * (rng.random((5, 6)) < 0.7), exponent)
    values[2] = 0.0
    values[3, 0] = math.ulp(0.0)
    found = integers(values)
    for row, e, expected in zip(found.rows, found.exponents.tolist(), values.tolist(), strict=True):
        assert [Fraction(n) * Fraction(2) ** e for n in row] == [Fraction(v) for v in expected]
    assert integers(np.eye(3) * 0.375).rows == (3 * np.eye(3, dtype=int)).tolist()


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("exponent", SCALES)
def test_column_sums_are_exact(exponent: int, sparse: bool) -> None:
    rng = np.random.default_rng(1)
    A = np.ldexp(rng.normal(size=(60, 3)) * 10.0 ** rng.integers(-12, 12, size=(60, 3)), exponent)
    mask = rng.random(60) < 0.6
    numbers, e = column_sums(scipy.sparse.csr_array(A) if sparse else A, mask)
    for number, column in zip(numbers, A[mask].T.tolist(), strict=True):
        assert number * Fraction(2) ** e == sum(Fraction(v) for v in column)
    assert column_sums(A, np.zeros(60, dtype=bool))[0] == [0, 0, 0]


def test_first_independent_rows_and_their_columns() -> None:
    rows, columns = independent([[0, 2, 4], [0, 1, 2], [0, 0, 0], [1, 0, 0], [5, 1, 2]])
    assert rows.tolist() == [0, 3]
    assert columns.tolist() == [0, 1]
    assert [part.size for part in independent([])] == [0, 0]


def test_systems_are_solved_exactly_and_singular_ones_are_not() -> None:
    A = [[3, 1], [1, 3 * 10**20]]
    x = solve(A, [7, -5])
    assert x is not None
    assert x.denominator > 0
    assert [sum(a * v for a, v in zip(row, x.fractions(), strict=True)) for row in A] == [7, -5]
    assert products(A, x.numerators) == [7 * x.denominator, -5 * x.denominator]
    assert solve([[1, 2], [2, 4]], [1, 2]) is None
    assert solve([], []) == Rational([], 1)


def test_rounding_of_fractions_is_outward_and_tight() -> None:
    for value in (Fraction(1, 3), Fraction(-2, 7), Fraction(10**40, 3), Fraction(5, 4), Fraction(0)):
        low, high = rounded_down(value), rounded_up(value)
        assert Fraction(low) <= value <= Fraction(high)
        assert high <= np.nextafter(low, np.inf)
        assert (low == high) is (Fraction(low) == value)


def test_long_double_is_one_rounding_away() -> None:
    unit = Fraction(float(np.finfo(np.longdouble).eps)) / 2
    for numerator, denominator in ((1, 3), (-(10**30), 7**20), (2**70 + 1, 2**70), (0, 5)):
        value = long_of(numerator, denominator)
        high = float(value)
        exact = Fraction(high) + Fraction(float(value - np.longdouble(high)))
        assert abs(exact - Fraction(numerator, denominator)) <= unit * abs(Fraction(numerator, denominator))


def test_signs_of_residuals_are_those_of_exact_arithmetic() -> None:
    """x = 1/3: 3 x - 1 is 0, and a last place more or less in 3 or 1 decides the sign."""
    A = np.array([[3.0], [np.nextafter(3.0, 4)], [np.nextafter(3.0, 2)], [3.0], [3e-300], [0.0]])
    b = np.array([1.0, 1.0, 1.0, np.nextafter(1.0, 2), 1e-300, 0.0])
    model = problems.least_absolute_deviation(A, b, intercept=False).model
    third = Rational([1], 3)
    exact = [(v > 0) - (v < 0) for v in (Fraction(a) / 3 - Fraction(c) for a, c in zip(A[:, 0], b, strict=True))]
    assert exact[:4] == [0, 1, -1, -1]
    assert residual_signs(model, third)[1].tolist() == exact
    assert exact_signs(model, third, np.arange(6)).tolist() == exact


def test_signs_beyond_extended_precision_are_decided_by_integers() -> None:
    """d (1/d) - 1 is 0, which rounding misses for some d; 1 + 2^-70 - 1 is positive, and 1 - 2^-70 - 1 negative."""
    for d in range(1, 300):
        model = problems.least_absolute_deviation([[float(d)]], [1.0], intercept=False).model
        assert residual_signs(model, Rational([1], d))[1].tolist() == [0]
    tiny = 2.0**-70
    model = problems.least_absolute_deviation([[1.0, tiny], [1.0, -tiny]], [1.0, 1.0], intercept=False).model
    assert residual_signs(model, Rational([1, 1], 1))[1].tolist() == [1, -1]


def dual_of(model: Any, vertex: Vertex) -> list[Fraction]:
    """U by Gauss-Jordan in fractions, independently of vertex.py: from the signs, and A^T u = 0."""
    lo, hi = box(model)
    upper = np.where(vertex.signs == 0, vertex.upper, vertex.signs > 0)
    u = [Fraction(h if up else low) for low, h, up in zip(lo, hi, upper, strict=True)]
    A = [[Fraction(v) for v in row] for row in np.asarray(model.A).tolist()]
    rows, columns = vertex.rows.tolist(), vertex.columns.tolist()
    known = [-sum((u[i] * A[i][j] for i in range(len(A)) if i not in rows), Fraction(0)) for j in columns]
    found = solve_by_elimination([[A[i][j] for i in rows] for j in columns], known)
    assert found is not None
    for i, v in zip(rows, found, strict=True):
        u[i] = v
    return u


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("seed", one_in(4, range(8)))
def test_pivots_lead_from_any_start_to_an_optimal_basis(loss: str, seed: int) -> None:
    """A start that knows nothing: x = 0 and any u; all the work is left to the pivots."""
    p = instance(loss, seed)
    model = kinked(p.model)
    lo, hi = box(model)
    rng = np.random.default_rng(seed)
    vertex = optimal_vertex(model, rng.normal(size=p.p), rng.choice([0.0, 1.0], lo.size) * (hi - lo) + lo)
    assert vertex is not None
    u = dual_of(model, vertex)
    A = [[Fraction(v) for v in row] for row in model.A.tolist()]
    assert all(sum(c * row[j] for c, row in zip(u, A, strict=True)) == 0 for j in range(p.p))
    assert all(Fraction(a) <= v <= Fraction(c) for a, v, c in zip(lo, u, hi, strict=True))
    x = vertex.x.fractions()
    r = [sum(a * v for a, v in zip(row, x, strict=True)) - Fraction(c) for row, c in zip(A, model.b, strict=True)]
    losses = [max(Fraction(a) * v, Fraction(c) * v) for a, v, c in zip(lo, r, hi, strict=True)]
    assert losses == [v * s for v, s in zip(u, r, strict=True)]
    assert sum(losses) / lo.size == vertex.value
    assert abs(float(vertex.value) - certified_optimum(p, cache=False).f_hi) <= 1e-15 * p.value(np.zeros(p.p))


@pytest.mark.parametrize("loss", LOSSES)
def test_other_bases_are_refused(loss: str) -> None:
    p = instance(loss, 0)
    certificate, model = certified_optimum(p, cache=False).certificate, kinked(p.model)
    m = model.b.size
    upper = np.zeros(m, dtype=bool)
    upper[certificate.high] = True
    rows, columns, given = certificate.rows, certificate.columns, certificate.given
    assert checked_vertex(model, rows, columns, given, upper) is not None
    for other in np.setdiff1d(np.arange(m), rows):
        changed = rows.copy()
        changed[0] = other
        found = checked_vertex(model, changed, columns, given, upper)
        assert found is None or found.value == checked_vertex(model, rows, columns, given, upper).value
    for bad in (rows[:-1], rows[::-1] - 100, np.full_like(rows, rows[0]), rows + m, rows.astype(float)):
        with pytest.raises(ValueError, match="must"):
            replace(certificate, rows=bad).check(p)
    for bad in (given[:-1], np.full_like(given, np.nan), given[None, :], given.tolist(), None):
        with pytest.raises(ValueError, match="given must"):
            replace(certificate, given=bad).check(p)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("seed", one_in(3, range(6)))
def test_distances_are_between_those_of_a_quadratic_program_and_a_point(loss: str, seed: int, sparse: bool) -> None:
    """cvxpy projects x0 on {f <= f*}, in both norms, to about 1e-5: the set has no interior."""
    import cvxpy as cp

    p = instance(loss, seed, sparse)
    optimum = certified_optimum(p, cache=False)
    assert complaints(p, optimum) == []
    model = kinked(p.model)
    lo, hi = box(model)
    for ord, low, high in ((2, optimum.D_lo, optimum.D_hi), ("inf", optimum.D_inf_lo, optimum.D_inf_hi)):
        assert low <= high <= low * (1 + 1e-8)
        x = cp.Variable(p.p)
        r = model.A @ x - model.b
        f = cp.sum(cp.maximum(cp.multiply(lo, r), cp.multiply(hi, r))) / lo.size
        task = cp.Problem(cp.Minimize(cp.norm(x - p.x0, ord)), [f <= optimum.f_hi * (1 + 1e-9) + 1e-12])
        task.solve(solver=cp.CLARABEL)
        assert task.value == pytest.approx(high, rel=1e-4)


def test_lower_bounds_on_distances_hold_for_any_multipliers() -> None:
    p = problems.least_absolute_deviation(np.ones((4, 1)), [1.0, 2.0, 5.0, 9.0], intercept=False, x0=[0.0])
    vertex = optimal_vertex(p.model, np.array([2.0]), np.array([1.0, 0.5, -1.0, -1.0]))
    assert vertex is not None
    # X* = [2, 5]
    side, target = vertex.side, Bounded(p.model.b, np.zeros(4))
    rng = np.random.default_rng(0)
    best = 0.0
    for _ in range(300):
        y = rng.normal(size=4) * (rng.random(4) < 0.5)
        low, low_inf = distances_below(p.model, side, y, p.x0, target)
        assert low <= 2.0
        assert low_inf <= 2.0
        best = max(best, low)
    assert best > 2.0 - 1e-12
    assert distances_below(p.model, side, np.zeros(4), p.x0, target) == (0.0, 0.0)


def test_points_outside_the_set_of_minimisers_are_refused() -> None:
    p = problems.least_absolute_deviation(np.ones((4, 1)), [1.0, 2.0, 5.0, 9.0], intercept=False, x0=[0.0])
    certificate = certified_optimum(p, cache=False).certificate
    side = np.array([1, 1, -1, -1], dtype=np.int8)
    none = np.zeros(0, dtype=np.intp)
    for x, inside in (
        (2.0, True),
        (5.0, True),
        (3.7, True),
        (np.nextafter(2.0, 1), False),
        (np.nextafter(5.0, 6), False),
    ):
        assert (checked_point(p.model, side, none, none, np.array([x])) is not None) is inside
    line = problems.least_absolute_deviation([[1.0, 1.0]], [1.0], intercept=False).model
    equal = np.zeros(1, dtype=np.int8)
    for x, inside in (([0.5, 0.5], True), ([0.5, 0.75], False), ([0.5, 0.25], False)):
        assert (checked_point(line, equal, none, none, np.array(x)) is not None) is inside
    near = certificate.euclidean
    point = checked_point(p.model, side, near.rows, near.columns, near.given)
    assert point is not None
    assert point.fractions() == [Fraction(2)]


def test_lengths_of_rational_vectors_are_enclosed() -> None:
    x = Rational([1, -2, 5], 3)
    x0 = np.array([1e20, 0.1, -3e-20])
    d = [v - Fraction(s) for v, s in zip(x.fractions(), x0.tolist(), strict=True)]
    low, high = distances_down(x, x0), distances_up(x, x0)
    assert Fraction(low[0]) ** 2 <= sum(v * v for v in d) <= Fraction(high[0]) ** 2
    assert Fraction(low[1]) <= max(map(abs, d)) <= Fraction(high[1])
    assert high[0] <= low[0] * (1 + 1e-15)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_number_of_the_certificate_matters(loss: str) -> None:
    """Each array changed in one entry: what is proved then does not reach what is stated, or is the same."""
    p = instance(loss, 1)
    if loss == "hinge":  # separable: X* is more than a point
        p = problems.hinge([[1.0, 0.5], [-1.0, 0.25]], [1.0, -1.0], x0=[0.0, 0.0, 0.1])
    optimum = certified_optimum(p, cache=False)
    entries = parts(optimum.certificate)
    assert ("euclidean.rows" in entries) is (loss == "hinge")
    for name, value in entries.items():
        if not isinstance(value, np.ndarray) or not value.size:
            continue
        for k in range(value.size):
            changed = value.copy()
            changed[k] += 1
            found = complaints(p, replace(optimum, certificate=made("ExactVertex", {**entries, name: changed})))
            if not found:  # an equivalent basis, or another minimiser as the vertex
                assert name in ("rows", "columns", "high", "given") or name.endswith((".rows", ".columns"))


@pytest.mark.parametrize("seed", range(6))
def test_both_projections_agree(seed: int) -> None:
    """Interior points and active sets, with equations among the inequalities, rows of zeros and of tiny norm."""
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(12, 5)) * 10.0 ** rng.integers(-3, 4, size=(12, 1))
    A[3] = 0.0
    inner, x0 = rng.normal(size=5), 3 * rng.normal(size=5)
    sense = rng.choice([-1.0, 1.0], 12)
    sense[:2] = 0.0
    target = A @ inner - sense * np.abs(rng.normal(size=12)) * 0.1 * np.linalg.norm(A, axis=1)
    one, other = project(A, target, sense, x0), least_distance(A, target, sense, x0)
    assert one is not None
    assert other is not None
    assert np.linalg.norm(one[0] - x0) == pytest.approx(np.linalg.norm(other[0] - x0), rel=1e-7)
    assert np.all(np.abs(A[:2] @ other[0] - target[:2]) <= 1e-9 * (1 + np.abs(target[:2])))
    assert np.allclose(A.T @ other[1], other[0] - x0, rtol=0, atol=1e-9 * np.linalg.norm(x0))
    assert np.all(sense * other[1] >= 0)


def test_ties_that_hold_at_every_minimiser_are_told_from_those_of_the_vertex() -> None:
    """Hinge on three rows whose conditions x >= 1, x <= 1 and y >= 1 meet: x = 1 always, y = 1 at the vertex only."""
    A = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    model = problems.least_absolute_deviation(A, [1.0, -1.0, 1.0], intercept=False).model
    none = np.zeros(0, dtype=np.intp)
    vertex = Vertex(
        none, none, np.ones(2), np.zeros(3, dtype=bool), Rational([1, 1], 1),
        np.zeros(3, dtype=np.int8), np.ones(3, dtype=np.int8), Fraction(0),
    )  # fmt: skip
    assert implied(model, vertex).tolist() == [True, True, False]


@pytest.mark.parametrize("loss", LOSSES)
def test_a_problem_of_mixed_scale_has_its_exact_minimum(loss: str) -> None:
    """Columns from 1e-8 to 1e8: pivots mend what HiGHS leaves."""
    rng = np.random.default_rng(7)
    for _ in range(15):
        A = rng.normal(size=(20, 5)) * 10.0 ** rng.uniform(-8, 8, size=5)
        b = np.sign(rng.normal(size=20)) if loss == "hinge" else rng.normal(size=20)
        p = getattr(problems, loss)(A, b)
        optimum = certified_optimum(p, cache=False)
        assert optimum.kind == "exact vertex"
        assert optimum.f_hi <= np.nextafter(optimum.f_lo, np.inf)
        assert complaints(p, optimum) == []


def test_a_rounded_point_is_not_taken_for_an_exact_one() -> None:
    """The basis has an x near (2^40, 2^40) that long double rounds, and residuals that cancel to the last bit."""
    X, e = 2.0**40, 2.0**-26
    A = np.array([[0.0, 1.0]] * 3 + [[1.0, -1.0]] * 4)
    b = np.array([X] * 3 + [-e / 2, e / 8, e / 4, e])
    p = problems.least_absolute_deviation(A, b, intercept=False, x0=[X, X])
    rows, columns, given = np.array([0, 6]), np.array([0, 1]), np.zeros(2)
    upper = np.zeros(7, dtype=bool)
    upper[1] = True
    assert checked_vertex(p.model, rows, columns, given, upper) is None
    optimum = certified_optimum(p, cache=False)
    assert complaints(p, optimum) == []
    assert optimum.f_lo > 0


def test_signs_and_lengths_survive_underflow() -> None:
    for d in range(1, 300):
        model = problems.least_absolute_deviation([[d * 2.0**-1020]], [2.0**-1020], intercept=False).model
        assert residual_signs(model, Rational([1], d))[1].tolist() == [0]
    huge = problems.least_absolute_deviation([[1e300], [1e300]], [1e-30, 2e-30], intercept=False).model
    x = Rational([1], 10**330)
    exact = [Fraction(1e300) / 10**330 - Fraction(b) for b in (1e-30, 2e-30)]
    assert residual_signs(huge, x)[1].tolist() == [(v > 0) - (v < 0) for v in exact]
    assert 0 < distances_up(x, np.zeros(1))[0] < 1e-300
    assert long_of(1, 10**330) > 0
    with pytest.raises(OverflowError):
        long_of(1, 10**6000)


def test_a_certificate_serves_its_own_loss_alone() -> None:
    rng = np.random.default_rng(0)
    A, b = rng.normal(size=(30, 3)), rng.choice([-1.0, 1.0], 30)
    for l2 in (0.0, 0.1):
        hinge, logistic = problems.hinge(A, b, l2=l2), problems.logistic(A, b, l2=l2)
        optimum = certified_optimum(hinge, cache=False)
        assert "proves nothing" in complaints(logistic, optimum)[0]
        assert "proves nothing" in complaints(hinge, certified_optimum(logistic, cache=False))[0] or l2 > 0
        assert complaints(hinge, replace(optimum, certificate=None)) == ["the optimum has no certificate"]


@pytest.mark.parametrize("loss", LOSSES)
def test_no_slack_where_the_proof_is_exact(loss: str) -> None:
    p = instance(loss, 0)
    optimum = certified_optimum(p, cache=False)
    f_lo, f_hi = optimum.f_lo, optimum.f_hi
    above = float(np.nextafter(f_lo, np.inf))
    assert complaints(p, replace(optimum, f_lo=above, f_hi=max(above, f_hi)))
    assert complaints(p, replace(optimum, f_hi=f_lo)) or f_lo == f_hi
    assert complaints(p, replace(optimum, D_lo=float(np.nextafter(optimum.D_lo, np.inf)), D_hi=2 * optimum.D_hi))
    # a stated end that is far too wide loosens nothing
    far = 1e18 * np.ones(p.p)
    assert complaints(p, replace(optimum, x=far, f_lo=1000.0, f_hi=p.value(far)))
    with pytest.raises(ValueError, match="D_inf"):
        replace(optimum, D_inf_lo=np.nan, D_inf_hi=np.nan)


def test_enormous_targets_are_scaled_before_a_solver_sees_them() -> None:
    rng = np.random.default_rng(0)
    A, b = rng.normal(size=(40, 3)), rng.normal(size=40)
    for s in (1e-25, 1e16, 1e19, 1e30, 1e60):
        optimum = certified_optimum(problems.least_absolute_deviation(A, s * b), cache=False)
        assert optimum.kind == "exact vertex"
        l2 = certified_optimum(problems.least_absolute_deviation(A, s * b, l2=0.1 / s), cache=False)
        assert l2.kind == "exact minimiser"
