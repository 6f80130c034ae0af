"""What certificates rest on, and that wrong ones are noticed."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import problems
from problems.linear_models.loss import losses
from problems.matrix import weighted_gram
from problems.optimum import certified_optimum, complaints
from problems.optimum.arithmetic.columns import independent_columns
from problems.optimum.arithmetic.extended import EPS64, Bounded, combination, distance, down, margins, up
from problems.optimum.arithmetic.metric import metric
from problems.optimum.certificate import parts
from problems.optimum.dual import Minorant, box, objective
from problems.optimum.models import solve_reference
from problems.optimum.smooth.logistic_split import split
from problems.optimum.smooth.separability import by_linear_program, separation, two_classes
from problems.optimum.smooth.separable import QuasiSeparable
from problems.optimum.smooth.smooth import enclose, psi, slopes
from problems.problem import Optimum

LOSSES = ["logistic", "hinge", "least_absolute_deviation", "quantile", "epsilon_insensitive", "huber"]


def problem(loss: str, *, m: int = 60, q: int = 4, seed: int = 0, l2: float = 0.0, sparse: bool = False) -> Any:
    """Overlapping classes, or a linear model with heavy-tailed noise; a third of the entries are zero."""
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(m, q)) * (rng.random((m, q)) < 2 / 3)
    w = rng.normal(size=q)
    x0 = rng.normal(size=q + 1)
    z = A @ w + rng.standard_t(2, size=m)
    b = np.where(z > 0, 1.0, -1.0) if loss in ("logistic", "hinge") else z
    return getattr(problems, loss)(scipy.sparse.csr_array(A) if sparse else A, b, l2=l2, x0=x0)


@pytest.mark.parametrize("l2", [0.0, 0.05])
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_is_certified_and_agrees_with_cvxpy(loss: str, l2: float) -> None:
    p = problem(loss, l2=l2)
    optimum = certified_optimum(p, cache=False)
    reference = solve_reference(p.model)
    assert reference is not None
    assert reference.accurate
    # Clarabel's tolerances are 1e-8
    assert abs(reference.value - optimum.f_hi) <= 1e-6 * max(1.0, abs(optimum.f_hi))
    assert np.abs(reference.x - optimum.x).max() <= 1e-3
    assert optimum.f_hi - optimum.f_lo <= 1e-12 * optimum.f_hi
    assert optimum.D_hi - optimum.D_lo <= 1e-5 * optimum.D_hi
    assert optimum.attained is True
    assert complaints(p, optimum) == []
    # the reference's own dual point is a certificate, up to its accuracy
    minorant = Minorant(p.model, reference.u)
    value = minorant.c.value - (np.sum(minorant.v.value**2) / (2 * l2) if l2 else 0)
    assert abs(float(value) - optimum.f_hi) <= 1e-5 * max(1.0, optimum.f_hi)


@pytest.mark.parametrize("l2", [0.0, 0.05])
@pytest.mark.parametrize("loss", LOSSES)
def test_sparse_and_dense_data_give_the_same_optimum(loss: str, l2: float) -> None:
    dense, sparse = (certified_optimum(problem(loss, l2=l2, sparse=s), cache=False) for s in (False, True))
    for a, b in [(dense, sparse), (sparse, dense)]:
        assert a.f_lo <= b.f_hi
        assert a.D_lo <= b.D_hi
        assert a.D_inf_lo <= b.D_inf_hi
    assert dense.kind == sparse.kind


@pytest.mark.parametrize("l2", [0.0, 0.05])
@pytest.mark.parametrize("loss", LOSSES)
def test_no_point_lies_below_f_lo_and_minorants_stay_below_f(loss: str, l2: float) -> None:
    p = problem(loss, l2=l2)
    optimum = certified_optimum(p, cache=False)
    rng = np.random.default_rng(1)
    lo, hi = box(p.model)
    minorant = Minorant(p.model, rng.uniform(lo, hi))
    for scale in (1e-9, 1e-4, 1.0, 100.0):
        for _ in range(20):
            x = optimum.x + scale * rng.normal(size=p.p)
            # p.value sums in float64
            assert optimum.f_lo <= p.value(x) * (1 + 1e-14)
            assert float(minorant.at(x)[1]) <= p.value(x) - l2 / 2 * float(x @ x) + 1e-12 * scale


def moved_to(certificate: Any, x: Any) -> Any:
    """The certificate with another point, if it holds one."""
    return replace(certificate, x=x) if hasattr(certificate, "x") else certificate


@pytest.mark.parametrize("l2", [0.0, 0.05])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_tampered_optimum_is_noticed(loss: str, l2: float) -> None:
    p = problem(loss, l2=l2)
    optimum = certified_optimum(p, cache=False)
    f, D = optimum.f_hi, optimum.D_hi
    moved = optimum.x + 1e-3
    for broken in [
        replace(optimum, f_lo=f * (1 + 1e-10), f_hi=f * (1 + 1e-9)),
        replace(optimum, f_hi=f * (1 + 1e-9)),
        replace(optimum, D_lo=D * (1 + 1e-4), D_hi=D * (1 + 1e-3)),
        replace(optimum, D_lo=0.0, D_hi=optimum.D_lo * (1 - 1e-4)),
        replace(optimum, x=moved, certificate=moved_to(optimum.certificate, moved)),
        replace(optimum, attained=False),
    ]:
        assert complaints(p, broken)
    for name, change in [
        ("u", lambda v: 0.9 * v),
        ("rows", lambda v: np.append(v[1:], np.setdiff1d(np.arange(p.m), v)[0])),
        ("rows", lambda v: v[1:]),
        ("columns", lambda v: v[1:]),
        ("w", lambda v: -v),
    ]:
        if getattr(optimum.certificate, name, None) is not None:
            changed = replace(optimum.certificate, **{name: change(getattr(optimum.certificate, name))})
            assert complaints(p, replace(optimum, certificate=changed)), name


# ---------------------------------------------------------------------------------------------------------
# Existence


def labelled(kind: str, rng: np.random.Generator) -> tuple[Any, Any, int]:
    """(A, b, rows that one direction puts strictly on the right side), with an intercept."""
    A = rng.normal(size=(40, 3))
    b = np.where(rng.random(40) < 0.5, 1.0, -1.0)
    if kind == "complete":
        A[:, 0] = b * rng.uniform(0.1, 2.0, size=40)
        return A, b, 40
    if kind == "quasi":  # a rare feature that only one class has
        rare = np.flatnonzero(b > 0)[:5]
        A[:, 0] = 0.0
        A[rare, 0] = 1.0
        return A, b, 5
    return A, b, 0


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("kind", ["complete", "quasi", "overlapping"])
@pytest.mark.parametrize("seed", range(4))
def test_existence_of_a_minimiser_is_decided_as_constructed(seed: int, kind: str, sparse: bool) -> None:
    A, b, rows = labelled(kind, np.random.default_rng(seed))
    p = problems.logistic(scipy.sparse.csr_array(A) if sparse else A, b)
    optimum = certified_optimum(p, cache=False)
    assert complaints(p, optimum) == []
    model = p.model
    by_program = by_linear_program(two_classes(model.A, model.b))
    by_newton = split(model.A, model.b).separation
    assert by_newton.S.sum() == rows
    assert (0 if by_program is None else by_program.S.sum()) == rows
    if not rows:
        assert optimum.attained is True
        assert optimum.D_hi - optimum.D_lo <= 1e-9 * optimum.D_hi
        return
    assert by_program is not None
    assert by_program.proved
    assert by_newton.proved
    assert (optimum.attained, optimum.D_lo, optimum.D_hi) == (False, math.inf, math.inf)
    assert optimum.f_hi - optimum.f_lo <= 1e-15
    assert str(rows) in optimum.notes[0]
    w = optimum.certificate.w
    signed = p.model.b * (p.model.A @ w)
    assert np.sum(signed > 1e-9 * np.abs(signed).max()) == rows
    assert signed.min() >= -1e-9 * np.abs(signed).max()
    if kind == "complete":
        assert optimum.f_lo == 0.0


def test_a_direction_is_not_called_proved_where_rounding_could_turn_it() -> None:
    """The only separating direction is orthogonal to a row of irrational entries: it is not a vector of floats."""
    rng = np.random.default_rng(0)
    a = np.array([math.pi, math.e])
    A = np.vstack([a, -2 * a, a * np.sqrt(2), rng.normal(size=(1, 2))])
    b = np.array([1.0, 1.0, -1.0, 1.0])
    found = by_linear_program(two_classes(A, b))
    assert found is not None
    assert found.S.tolist() == [False, False, False, True]
    assert not found.proved


def test_the_infimum_of_quasi_separable_data_is_that_of_the_rest() -> None:
    A, b, rows = labelled("quasi", np.random.default_rng(0))
    whole = certified_optimum(problems.logistic(A, b), cache=False)
    kept = A[:, 0] == 0
    rest = certified_optimum(problems.logistic(A[kept][:, 1:], b[kept]), cache=False)
    assert rest.attained is True
    share = (40 - rows) / 40
    assert whole.f_lo <= share * rest.f_hi * (1 + 1e-14)
    assert whole.f_hi >= share * rest.f_lo * (1 - 1e-14)


# ---------------------------------------------------------------------------------------------------------
# The parts


def test_columns_are_called_dependent_only_where_they_are_exactly() -> None:
    rng = np.random.default_rng(0)
    one_hot = np.eye(4)[rng.integers(0, 4, 50)]
    A = np.column_stack([one_hot, rng.normal(size=50), np.zeros(50), np.ones(50)])
    for matrix in (A, scipy.sparse.csr_array(A)):
        found = independent_columns(matrix)
        assert found.J.size == 5
        assert found.N.shape == (7, 2)
        assert not np.any(A @ found.N)
        assert np.linalg.svd(found.N, compute_uv=False).min() >= 1
    # equal but for one rounding: kept, not dropped
    B = np.column_stack([A[:, 4], A[:, 4] * 3.0])
    B[7, 1] = np.nextafter(B[7, 1], np.inf)
    assert independent_columns(B).J.size == 2
    assert independent_columns(np.column_stack([A[:, 4], A[:, 4] * 4.0])).J.size == 1


def test_eigenvalue_bound_is_below_the_eigenvalue_and_close() -> None:
    rng = np.random.default_rng(0)
    A = rng.normal(size=(300, 6)) * 10.0 ** np.arange(-3, 3)
    w = 10.0 ** rng.uniform(-8, 0, 300)
    chart = metric(A, w)
    assert chart is not None
    exact = [[Fraction(v) for v in row] for row in chart.T.tolist()]
    columns = list(zip(*exact, strict=True))
    rows = [[Fraction(a) for a in row] for row in A.tolist()]
    B = np.array([[float(sum(a * t for a, t in zip(r, c, strict=True))) for c in columns] for r in rows])
    true = float(np.linalg.eigvalsh(weighted_gram(B, w))[0])
    assert true * (1 - 1e-6) <= chart.eigenvalue <= true * (1 + 1e-12)
    assert metric(np.column_stack([A, A[:, 0] + A[:, 5]]), w) is None


@pytest.mark.parametrize("sparse", [False, True])
def test_error_bounds_hold_the_exact_sums(sparse: bool) -> None:
    rng = np.random.default_rng(0)
    A = rng.normal(size=(40, 7)) * 10.0 ** rng.integers(-8, 8, size=(40, 7))
    x, u = rng.normal(size=7), rng.normal(size=40)
    stored = scipy.sparse.csr_array(A) if sparse else A
    for bounded, rows, weights in [(margins(stored, x), A, x), (combination(stored, u), A.T, u)]:
        for value, error, row in zip(bounded.value, bounded.error, rows.tolist(), strict=True):
            exact = sum(Fraction(a) * Fraction(w) for a, w in zip(row, weights.tolist(), strict=True))
            high = Fraction(float(value)) + Fraction(float(value - np.longdouble(float(value))))
            assert abs(high - exact) <= Fraction(float(error))
            assert error <= 1e-14 * np.abs(np.array(row) * weights).sum()
    low, high_d = distance(x, np.zeros(7))
    squared = sum(Fraction(v) ** 2 for v in x.tolist())
    assert Fraction(low) ** 2 <= squared <= Fraction(high_d) ** 2


def test_psi_is_rounded_down_and_continuous() -> None:
    t = np.concatenate([10.0 ** np.linspace(-12, 2, 300), [1e-3, np.nextafter(1e-3, 0)]])
    long = t.astype(np.longdouble)
    series = sum((-1) ** k * long**k / math.factorial(k + 2) for k in range(25))
    exact = np.where(t < 1.0, series, (np.exp(-long) + long - 1) / long**2)
    values = np.array([psi(float(v)) for v in t])
    assert np.all(values <= exact)
    assert np.all(values >= exact * (1 - 1e-6))


def test_D_is_not_the_distance_to_one_point_where_only_one_combination_is_determined() -> None:
    """|x_1 + 0.3 x_2 - 1|: X* is a line that no integer vector spans."""
    p = problems.least_absolute_deviation([[1.0, 0.3]], [1.0], intercept=False, x0=[5.0, 5.0])
    optimum = certified_optimum(p, cache=False)
    D = (5 + 0.3 * 5 - 1) / math.sqrt(1.09)
    assert D * (1 - 1e-14) <= optimum.D_lo <= D * (1 + 1e-15)
    assert D * (1 - 1e-15) <= optimum.D_hi <= D * (1 + 1e-14)
    # in the maximum norm both entries move by the same amount
    D_inf = (5 + 0.3 * 5 - 1) / 1.3
    assert D_inf * (1 - 1e-8) <= optimum.D_inf_lo <= D_inf * (1 + 1e-15)
    assert D_inf * (1 - 1e-15) <= optimum.D_inf_hi <= D_inf * (1 + 1e-8)


def test_self_concordance_is_not_claimed_where_curvature_falls_too_fast() -> None:
    """Two steep rows give f a large second derivative at 0 only: 2.5 |f'|/f'' = 0.23 there, but x* = 0.56."""
    A = np.concatenate([[[30.0], [30.0]], np.ones((110, 1))])
    b = np.concatenate([[1.0, -1.0], np.ones(100), -np.ones(10)])
    assert enclose(A, b, margins(A, np.zeros(1))) is None
    optimum = certified_optimum(problems.logistic(A, b, intercept=False), cache=False)
    assert 0.5 < optimum.D_lo <= optimum.D_hi < 0.6
    for x in np.linspace(0.2, 0.9, 40):
        ball = enclose(A, b, margins(A, np.array([x])))
        assert ball is None or abs(x - optimum.x[0]) <= ball.radius


def test_a_wrong_direction_is_not_called_proved() -> None:
    A, b, _ = labelled("complete", np.random.default_rng(0))
    w = np.array([1.0, 0.0, 0.0])
    everything = np.ones(40, dtype=bool)
    assert separation(two_classes(A, b), everything, w).proved
    assert not separation(two_classes(A, b), everything, -w).proved
    assert not separation(two_classes(A, b), everything, np.array([0.0, 1.0, 0.0])).proved
    # one margin of 1e-25 beside terms of size 1: not to be told from zero
    A[0] = b[0] * np.array([1.0, 1.0, -1.0])
    assert not separation(two_classes(A, b), everything, np.array([1.0, 1.0, 2.0])).proved


def test_a_direction_is_not_called_proved_where_its_partial_sums_round() -> None:
    """Integers of 2^34 times 2^24: the products round, and cancel to a w that is small and not in the null space.

    The rows are a, -a and +-a: what is zero on the first two is zero on the third, so no w separates it.
    """
    a = np.array([3.0, 25772488722.0, 25771854912.0])
    third = np.array([False, False, True])
    k, n = a[1] / 3, a[2] / 3
    rounded = 0
    for c in range(16776804, 16777216, 7):
        d = -np.rint(k * c / n)
        w = np.array([-(k * c + n * d), c, d])
        rounded += sum(Fraction(v) * Fraction(s) for v, s in zip(a.tolist(), w.tolist(), strict=True)) != 0
        for sign in (1, -1):
            A = np.vstack([a, a, sign * a])
            b = np.array([1.0, -1.0, 1.0])
            assert not separation(two_classes(A, b), third, w).proved
            claimed = Optimum(
                f_lo=0.0,
                f_hi=problems.logistic(A, b, intercept=False).value(np.zeros(3)),
                x=np.zeros(3),
                D_lo=math.inf,
                D_hi=math.inf,
                D_inf_lo=math.inf,
                attained=False,
                certificate=QuasiSeparable(w=w, S=np.array([2]), x=np.zeros(3), rest=np.zeros(3)),
            )
            if c == 16776804:
                found = complaints(problems.logistic(A, b, intercept=False), claimed)
                assert any("attained" in text for text in found)
    assert rounded > 0


def test_up_and_down_leave_room_for_the_rounding_of_extended_precision() -> None:
    one = np.longdouble(1)
    for value in (one, one / 3, -one / 3, 1 + 3 * np.finfo(np.longdouble).eps, one * 1e300, one * 1e-300):
        room = EPS64 / 4 * np.abs(value)
        assert np.longdouble(up(value)) - value >= room
        assert value - np.longdouble(down(value)) >= room
        if np.finfo(np.longdouble).eps < EPS64:
            assert up(value) - down(value) <= 4 * EPS64 * np.abs(value)
    for value in (0.0, math.inf, -math.inf):
        assert up(value) == down(value) == value
    if np.finfo(np.longdouble).max > np.finfo(np.float64).max:
        huge = np.longdouble(np.finfo(np.float64).max) * 4
        assert (up(huge), down(huge)) == (math.inf, np.finfo(np.float64).max)
        assert up(1 / huge / huge) > 0 == down(1 / huge / huge) + math.ulp(0.0)


def test_sums_over_no_rows_are_zero() -> None:
    for A in (np.zeros((0, 3)), scipy.sparse.csr_array((0, 3))):
        assert margins(A, np.ones(3)).value.shape == (0,)
        assert not combination(A, np.zeros(0)).value.any()


@pytest.mark.parametrize("x0", [[0.0, 0.0], [-3e4, -2e4]])
def test_hinge_is_certified_where_no_row_remains_that_no_direction_separates(x0: list[float]) -> None:
    """Separable, but the best point found leaves a loss of 1e-16: the dual bound then has no row to stand on."""
    p = problems.hinge([[1000.0, -10000.0], [1000.0, -4700.0]], [1.0, -1.0], intercept=False, x0=x0)
    optimum = certified_optimum(p, cache=False)
    assert complaints(p, optimum) == []
    assert optimum.f_lo == 0.0 <= optimum.f_hi <= 1e-15


@pytest.mark.parametrize("scale", [1.0, 1e4])
@pytest.mark.parametrize("l2", [1e-5, 1e-8, 1e-11])
def test_separable_data_with_little_l2_have_a_sharp_optimum(l2: float, scale: float) -> None:
    """Newton's steps move margins by 1 many times before l2 stops them; they must not be taken for drift."""
    rng = np.random.default_rng(0)
    A = scale * rng.normal(size=(200, 5))
    p = problems.logistic(A, np.sign(A[:, 0] + 1e-3), l2=l2)
    optimum = certified_optimum(p, cache=False)
    assert complaints(p, optimum) == []
    assert 0 < optimum.f_lo <= optimum.f_hi <= optimum.f_lo * (1 + 1e-14)
    assert optimum.D_lo <= optimum.D_hi <= optimum.D_lo * (1 + 1e-12)


def test_overlapping_data_with_little_l2_have_a_sharp_distance() -> None:
    """g / l2, what strong convexity alone gives, would be 1e-5."""
    p = problem("logistic", l2=1e-11)
    optimum = certified_optimum(p, cache=False)
    assert complaints(p, optimum) == []
    assert optimum.D_hi - optimum.D_lo <= 1e-12 * optimum.D_hi
    assert optimum.f_hi - optimum.f_lo <= 1e-14 * optimum.f_hi


# Integers with ties, repeated columns, enormous or tiny data, x0 far away: u is mixed with the centre of the box, or
# each end of an interval is proved at a different point.
INTRICATE = {
    "equal columns": ("hinge", np.outer([200, 2e-7, 0, -0.1, 1e7, 1, 1e6, -2e4], [1, 2]), [1, -1, -1, 1, 1, 1, -1, 1]),
    "one column of ones": ("hinge", np.ones((3, 1)), [-1, 1, 1]),
    "ties": ("least_absolute_deviation", np.ones((8, 1)), [-2, -1, 1, 3, 0, -3, 1, 0]),
    "tiny": ("least_absolute_deviation", [[1e-14], [1e-13]], [1.9, -2.7]),
    "opposite columns": (
        "least_absolute_deviation",
        [[0, -2, 0], [1, 0, -1], [2, 1, -2], [-1, -2, 1], [0, -2, 0]],
        [3, -3, 0, 2, -2],
    ),
    "tiny hinge": ("hinge", np.full((4, 1), 1e-8), [-1, 1, 1, 1]),
}


@pytest.mark.parametrize("far", [0.0, 3.0, 2e8])
@pytest.mark.parametrize("name", INTRICATE)
def test_own_optima_raise_no_complaint(name: str, far: float) -> None:
    loss, A, b = INTRICATE[name]
    A = np.asarray(A, dtype=float)
    for x0 in (np.full(A.shape[1] + 1, far), far * np.arange(-1.0, A.shape[1])):
        p = getattr(problems, loss)(A, np.asarray(b, dtype=float), x0=x0)
        assert complaints(p, certified_optimum(p, cache=False)) == []


@pytest.mark.parametrize("seed", [2949, 3434, 1090, 2683])
def test_random_data_of_all_scales_raise_no_complaint(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for loss in ("hinge", "least_absolute_deviation", "quantile", "logistic"):
        for l2 in (0.0, 1e-8):
            A = rng.normal(size=(7, 3)) * 10.0 ** rng.integers(-8, 9, size=(7, 1))
            A[:, 2] = -A[:, 0]
            A[3] = 0.0
            b = np.array([1.0, 1, -1, 1, 1, -1, 1]) if loss in ("hinge", "logistic") else rng.normal(size=7)
            p = getattr(problems, loss)(A, b, intercept=False, l2=l2, x0=1e5 * np.array([1.0, -2, -2]))
            optimum = certified_optimum(p, cache=False)
            assert complaints(p, optimum) == []
            assert 0 <= optimum.f_lo <= optimum.f_hi
            assert optimum.D_lo <= optimum.D_hi


@pytest.mark.parametrize("loss", ["hinge", "least_absolute_deviation", "quantile"])
def test_strong_convexity_needs_no_solver(loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clarabel gives up on some data with entries of 1e8 and tiny l2; what is proved then may be little, but holds."""
    p = problem(loss, l2=0.05)
    good = certified_optimum(p, cache=False)
    for name in ("interior_pair", "reference_pair"):
        monkeypatch.setattr(f"problems.optimum.piecewise_linear.strongly_convex.{name}", lambda _: None)
    optimum = certified_optimum(p, cache=False)
    assert complaints(p, optimum) == []
    assert optimum.f_lo <= good.f_hi
    assert good.f_lo <= optimum.f_hi
    assert optimum.D_lo <= good.D_hi
    assert good.D_lo <= optimum.D_hi


NOWHERE: dict[str, Any] = {"interior_pair": lambda _: None}


@pytest.mark.parametrize(
    ("loss", "l2", "file", "failing"),
    [
        ("hinge", 0.0, "piecewise_linear.exact_vertex", {**NOWHERE, "vertex_pair": lambda _: None}),
        ("quantile", 0.05, "piecewise_linear.strongly_convex", {**NOWHERE, "descent_pair": pytest.fail}),
        ("huber", 0.0, "piecewise_quadratic.stationary", {**NOWHERE, "minimiser": lambda _: None, "NEWTON": 0}),
        ("huber", 0.05, "piecewise_quadratic.stationary", {**NOWHERE, "minimiser": lambda _: None, "NEWTON": 0}),
    ],
)
def test_the_cvxpy_reference_serves_where_no_direct_route_returns_a_point(
    loss: str, l2: float, file: str, failing: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    p = problem(loss, l2=l2)
    good = certified_optimum(p, cache=False)
    for name, value in failing.items():
        monkeypatch.setattr(f"problems.optimum.{file}.{name}", value)
    optimum = certified_optimum(p, cache=False)
    assert complaints(p, optimum) == []
    assert optimum.f_lo <= good.f_hi <= optimum.f_hi * (1 + 1e-15)
    assert optimum.f_hi == pytest.approx(good.f_hi, rel=1e-6)  # Clarabel's tolerances are 1e-8


def test_slopes_hold_those_of_every_margin_within_the_error() -> None:
    t = np.array([-60.0, -5.0, 0.0, 5.0, 40.0, 40.0, 300.0])
    error = np.array([0.5, 3.0, 2.0, 0.1, 0.9, 30.0, 5.0])
    u, weights = slopes(np.ones(t.size), Bounded(t.astype(np.longdouble), error))
    for side in (-1, 1):
        exact = -1 / (1 + np.exp((t + side * error).astype(np.longdouble)))
        assert np.all(np.abs(exact - u.value) <= u.error)
    # exp(-|t|) / (1 + exp(-|t|))^2, with no cancellation on either side
    small = np.exp(-np.abs(t))
    assert np.allclose(weights, small / (1 + small) ** 2, rtol=1e-14, atol=0.0)


# ---------------------------------------------------------------------------------------------------------
# The cache


def test_the_cache_returns_what_was_computed(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from problems.optimum import store

    monkeypatch.setenv("DADAPT_CACHE", str(tmp_path))
    monkeypatch.setattr(store, "WORTH_KEEPING", 0.0)
    p = problem("hinge")
    first = certified_optimum(p)
    monkeypatch.setattr("problems.optimum.certify.find_optimum", lambda *_: pytest.fail("the cache was not used"))
    second = certified_optimum(p)
    for name in store.NUMBERS:
        assert getattr(first, name) == getattr(second, name)
    assert (first.attained, first.notes, first.kind) == (second.attained, second.notes, second.kind)
    assert type(first.certificate) is type(second.certificate)
    assert parts(first.certificate).keys() == parts(second.certificate).keys()
    assert np.array_equal(first.x, second.x)
    assert complaints(p, second) == []


@pytest.mark.parametrize("change", ["class", "kind", "less", "more", "format"])
def test_a_kept_certificate_of_a_former_format_is_made_again(
    change: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from problems.data.cache import load_npz, save_npz
    from problems.optimum import store

    monkeypatch.setenv("DADAPT_CACHE", str(tmp_path))
    monkeypatch.setattr(store, "WORTH_KEEPING", 0.0)
    p = problem("hinge")
    with monkeypatch.context() as former:
        if change == "format":  # which is part of the name
            former.setattr(store, "FORMAT", store.FORMAT - 1)
        first = certified_optimum(p)
    (path,) = (tmp_path / "optima").iterdir()
    stored = load_npz(path)
    assert stored is not None
    arrays, meta = stored
    if change == "class":
        meta["certificate"]["class"] = "Gone"
    elif change == "kind":
        meta["certificate"] = {"kind": "exact vertex"}
    elif change == "less":
        del arrays["certificate.given"]
    elif change == "more":
        arrays["certificate.S"] = np.array([0])
    save_npz(path, arrays, meta)
    capfd.readouterr()
    again = certified_optimum(p)
    said = f"{path} was written by other code; the optimum is certified again."
    assert (said in capfd.readouterr().err.splitlines()) is (change != "format")
    for name in {*store.NUMBERS} - {"seconds"}:
        assert getattr(first, name) == getattr(again, name)
    assert parts(first.certificate).keys() == parts(again.certificate).keys()
    assert complaints(p, again) == []
    (kept,) = {*(tmp_path / "optima").iterdir()} - ({path} if change == "format" else set())
    assert store.load(kept.stem) is not None


def test_the_cache_tells_problems_apart() -> None:
    from problems.optimum.store import key

    p = problem("quantile")
    model = p.model
    variants = [
        (model, p.x0),
        (replace(model, l2=1e-3), p.x0),
        (replace(model, parameters={"tau": 0.25}), p.x0),
        (replace(model, law=losses()["lad"], parameters={}), p.x0),
        (replace(model, b=model.b + 1), p.x0),
        (replace(model, A=model.A * 2), p.x0),
        (model, p.x0 + 1),
    ]
    assert len({key(*v) for v in variants}) == len(variants)


def test_extended_value_agrees_with_the_kernels() -> None:
    for loss in LOSSES:
        p = problem(loss, l2=0.3)
        x = np.linspace(-1, 2, p.p)
        f = objective(p.model, x)
        assert abs(float(f.value) - p.value(x)) <= 1e-14 * p.value(x)
        assert f.error <= 1e-13 * float(f.value)


def test_a_problem_without_data_is_refused() -> None:
    with pytest.raises(ValueError, match="no linear model"):
        certified_optimum(problems.absolute_value())
