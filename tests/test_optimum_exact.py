"""Intervals against optima computed independently, in exact or 50-digit arithmetic, on tiny problems."""

from __future__ import annotations

import itertools
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from elimination import solve
from exhaustive import one_in

import problems
from problems.optimum import certified_optimum, complaints

SEEDS = range(12)
# Widths of these tiny problems are a few roundings of f; 1e-12 is the project's target on large ones.
WIDTH = 1e-12


def data(seed: int, kind: str, task: str) -> tuple[Any, Any, Any]:
    """Small integers (ties, dependent columns, many minimisers) or normal variates."""
    rng = np.random.default_rng(seed)
    m, q = int(rng.integers(4, 9)), int(rng.integers(1, 3))
    A = rng.integers(-2, 3, (m, q)).astype(float) if kind == "integers" else rng.normal(size=(m, q))
    if task == "labels":
        b = np.where(rng.random(m) < 0.5, -1.0, 1.0)
        b[:2] = 1.0, -1.0
    else:
        b = rng.integers(-3, 4, m).astype(float) if kind == "integers" else 3 * rng.normal(size=m)
    return A, b, rng.integers(-3, 4, q + 1).astype(float)


def piecewise(loss: str, seed: int, kind: str) -> Any:
    A, b, x0 = data(seed, kind, "labels" if loss == "hinge" else "targets")
    if loss == "quantile":
        return problems.quantile(A, b, tau=0.3, x0=x0)
    if loss == "epsilon_insensitive":
        return problems.epsilon_insensitive(A, b, epsilon=0.75, x0=x0)
    return getattr(problems, loss)(A, b, x0=x0)


def kinks(model: Any) -> list[list[tuple[Fraction, Fraction, Fraction]]]:
    """(place, slope before, slope behind) of each row's kinks, written down independently of problems.optimum.dual."""
    tau, epsilon = model.parameters.get("tau", 0.5), model.parameters.get("epsilon", 0.0)
    places = {
        "hinge": lambda b: [(b, -1, 0) if b > 0 else (b, 0, 1)],
        "least_absolute_deviation": lambda b: [(b, -1, 1)],
        "quantile": lambda b: [(b, -tau, 1.0 - tau)],
        "epsilon_insensitive": lambda b: [(b - epsilon, -1, 0), (b + epsilon, 0, 1)],
    }
    rows = (places[model.loss](b) for b in model.b.tolist())
    return [[(Fraction(at), Fraction(lo), Fraction(hi)) for at, lo, hi in row] for row in rows]


def exact_value(model: Any, x: list[Fraction]) -> Fraction:
    total = Fraction(0)
    for row, row_kinks in zip(model.A.tolist(), kinks(model), strict=True):
        z = sum((Fraction(a) * v for a, v in zip(row, x, strict=True)), Fraction(0))
        total += sum(max(lo * (z - place), hi * (z - place)) for place, lo, hi in row_kinks)
    return total / len(model.b)


def vertices(model: Any) -> tuple[Fraction, list[list[Fraction]]] | None:
    """(f*, optimal vertices) over all points where p kinks meet; None where there is no such point."""
    rows_of_kinks = zip(model.A.tolist(), kinks(model), strict=True)
    meeting = [([Fraction(v) for v in row], place) for row, places in rows_of_kinks for place, _, _ in places]
    A, b = [row for row, _ in meeting], [place for _, place in meeting]
    found: list[tuple[Fraction, list[Fraction]]] = []
    for rows in itertools.combinations(range(len(A)), len(A[0])):
        x = solve([A[i] for i in rows], [b[i] for i in rows])
        if x is not None:
            found.append((exact_value(model, x), x))
    if not found:
        return None
    least = min(f for f, _ in found)
    return least, [x for f, x in found if f == least]


@pytest.mark.parametrize("kind", ["integers", "reals"])
@pytest.mark.parametrize("loss", ["hinge", "least_absolute_deviation", "quantile", "epsilon_insensitive"])
@pytest.mark.parametrize("seed", one_in(4, SEEDS))
def test_interval_holds_the_exact_optimum_of_piecewise_linear_losses(seed: int, loss: str, kind: str) -> None:
    p = piecewise(loss, seed, kind)
    optimum = certified_optimum(p, cache=False)
    exact = vertices(p.model)
    assert complaints(p, optimum) == []
    if exact is None:  # the kinks do not determine x
        return
    f_star, points = exact
    assert Fraction(optimum.f_lo) <= f_star <= Fraction(optimum.f_hi)
    # the optimum itself is rational and was rounded: neighbours, or equal
    assert optimum.f_hi <= np.nextafter(optimum.f_lo, np.inf)
    squared = min(sum((v - Fraction(s)) ** 2 for v, s in zip(x, p.x0.tolist(), strict=True)) for x in points)
    assert Fraction(optimum.D_lo) ** 2 <= squared
    assert optimum.D_hi - optimum.D_lo <= 1e-8 * optimum.D_hi
    if "more than a point" not in str(optimum.notes):
        assert squared <= Fraction(optimum.D_hi) ** 2
        assert optimum.D_hi <= optimum.D_lo * (1 + 1e-14)
    assert optimum.attained is True


@pytest.mark.parametrize("kind", ["integers", "reals"])
@pytest.mark.parametrize("l2", [0.0, 0.1, 1e-10])
@pytest.mark.parametrize("seed", one_in(4, SEEDS))
def test_interval_holds_the_optimum_of_the_logistic_loss_in_50_digits(seed: int, l2: float, kind: str) -> None:
    A, b, x0 = data(seed, kind, "labels")
    p = problems.logistic(A, b, l2=l2, x0=x0)
    optimum = certified_optimum(p, cache=False)
    assert complaints(p, optimum) == []
    assert optimum.f_hi - optimum.f_lo <= WIDTH
    if optimum.attained is False or "affine space" in str(optimum.notes):
        return
    with localcontext() as context:
        context.prec = 50
        f_star, x_star = newton(p.model, optimum.x)
        assert Decimal(optimum.f_lo) <= f_star <= Decimal(optimum.f_hi)
        D = sum((v - Decimal(s)) ** 2 for v, s in zip(x_star, p.x0.tolist(), strict=True)).sqrt()
        assert Decimal(optimum.D_lo) <= D <= Decimal(optimum.D_hi)
        D_inf = max(abs(v - Decimal(s)) for v, s in zip(x_star, p.x0.tolist(), strict=True))
        assert Decimal(optimum.D_inf_lo) <= D_inf <= Decimal(optimum.D_inf_hi)


def newton(model: Any, start: Any) -> tuple[Decimal, list[Decimal]]:
    """Newton's method in the current decimal precision."""
    A = [[Decimal(v) for v in row] for row in model.A.tolist()]
    b = [Decimal(v) for v in model.b.tolist()]
    m, p, l2 = len(A), len(A[0]), Decimal(model.l2)
    x = [Decimal(v) for v in start.tolist()]
    for _ in range(8):
        t = [-c * sum(a * v for a, v in zip(row, x, strict=True)) for row, c in zip(A, b, strict=True)]
        s = [1 / (1 + (-v).exp()) for v in t]
        g = [sum(-b[i] * s[i] * A[i][j] for i in range(m)) / m + l2 * x[j] for j in range(p)]
        H = [
            [sum(s[i] * (1 - s[i]) * A[i][j] * A[i][k] for i in range(m)) / m + (l2 if j == k else 0) for k in range(p)]
            for j in range(p)
        ]
        step = solve(H, g)
        assert step is not None
        x = [v - d for v, d in zip(x, step, strict=True)]
    t = [-c * sum(a * v for a, v in zip(row, x, strict=True)) for row, c in zip(A, b, strict=True)]
    f = sum((1 + v.exp()).ln() for v in t) / m + l2 / 2 * sum(v * v for v in x)
    return Decimal(f), x


def test_interval_of_D_holds_a_D_that_rounding_to_nearest_would_miss() -> None:
    """Far from x*, the radius around it is far below an ulp of D."""
    q = 2.0**-10
    A = [[1, -1, q], [1, -1, q], [0, -1, 0], [2, 2, 2 * q], [1, -1, q]]
    p = problems.logistic(A, [-1, 1, -1, 1, 1], l2=0.1, intercept=False, x0=[1e6, 2e6, 2e6])
    optimum = certified_optimum(p, cache=False)
    D = Decimal("2999999.39911481179292601")  # by Newton's method in 80 digits
    assert Decimal(optimum.D_lo) < D < Decimal(optimum.D_hi)
    assert optimum.D_hi - optimum.D_lo <= 2e-15 * optimum.D_hi


@pytest.mark.parametrize(("x0", "D"), [(0.0, 2.0), (3.0, 0.0), (10.0, 5.0)])
@pytest.mark.parametrize("order", [1, -1])
def test_D_is_measured_to_the_set_of_minimisers(x0: float, D: float, order: int) -> None:
    """|x - 1| + |x - 2| + |x - 5| + |x - 9|: every x in [2, 5] is a minimiser, f* = 11/4."""
    p = problems.least_absolute_deviation(np.ones((4, 1)), [1.0, 2.0, 5.0, 9.0][::order], intercept=False, x0=[x0])
    optimum = certified_optimum(p, cache=False)
    assert optimum.f_lo <= 2.75 <= optimum.f_hi
    assert optimum.f_hi - optimum.f_lo <= WIDTH
    assert D * (1 - 1e-14) <= optimum.D_lo <= D <= optimum.D_hi <= D * (1 + 1e-14)


@pytest.mark.parametrize("x0", [0.0, 4.0])
def test_separable_hinge_has_exact_minimum_zero_and_D_to_the_feasible_set(x0: float) -> None:
    """max(0, 1 - x) twice: X* = [1, inf)."""
    p = problems.hinge([[1.0], [-1.0]], [1.0, -1.0], intercept=False, x0=[x0])
    optimum = certified_optimum(p, cache=False)
    D = max(0.0, 1.0 - x0)
    assert (optimum.f_lo, optimum.f_hi) == (0.0, 0.0)
    assert optimum.attained is True
    assert D * (1 - 1e-14) <= optimum.D_lo <= D <= optimum.D_hi <= D * (1 + 1e-14)


def test_D_along_a_redundant_column_is_left_out() -> None:
    """Two equal columns: X* is a line, and D the distance to it in both norms."""
    rng = np.random.default_rng(0)
    column = rng.integers(-3, 4, 30).astype(float)
    b = np.where(rng.random(30) < 0.5, -1.0, 1.0)
    once = certified_optimum(problems.logistic(column[:, None], b, intercept=False), cache=False)
    twice = certified_optimum(problems.logistic(np.column_stack([column, column]), b, intercept=False), cache=False)
    assert once.attained is True
    assert twice.attained is True
    for value, low, high in [
        (once.D_estimate / np.sqrt(2), twice.D_lo, twice.D_hi),
        (once.D_estimate / 2, twice.D_inf_lo, twice.D_inf_hi),
    ]:
        assert low <= value * (1 + 1e-12)
        assert high >= value * (1 - 1e-12)
        assert high - low <= 1e-5 * value


def test_data_too_large_for_the_proofs_get_an_honest_interval():
    A = scipy.sparse.random_array((3000, 80_000), density=1e-5, format="csr", rng=np.random.default_rng(0))
    optimum = problems.hinge(A, np.where(np.arange(3000) % 2, 1.0, -1.0)).optimum()
    assert optimum.kind == "none"
    assert (optimum.f_lo, optimum.D_lo) == (0.0, 0.0)
    assert optimum.f_hi >= 1.0
    assert "not solved" in optimum.notes[0]
