"""The Huber loss: an exact minimiser by another road, the distance to it, and claims that are false."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
import scipy.sparse
from elimination import solve
from exhaustive import one_in

import dadapt_convex as dc
import problems
from problems.optimum import certified_optimum, complaints
from problems.optimum.dual import Minorant, kinked
from problems.optimum.piecewise_linear.linear_program import interior_pair

KINDS = ("real", "integer", "scaled", "duplicates", "low rank", "sparse", "one-hot")


def instance(seed: int) -> Any:
    """Data of every kind: rows that repeat, columns that depend on each other, noise from none to heavy tails."""
    rng = np.random.default_rng(seed)
    kind = KINDS[seed % 7]
    m, q = int(rng.choice([3, 10, 30, 100])), int(rng.choice([1, 3, 8]))
    A = rng.integers(-2, 3, (m, q)).astype(float) if kind == "integer" else rng.normal(size=(m, q))
    if kind == "scaled":
        A *= 10.0 ** rng.uniform(-4, 4, size=q)
    if kind == "duplicates":
        A = A[rng.integers(0, max(2, m // 4), m)]
    if kind == "low rank":
        A = np.round(A[:, : max(1, q // 2)] @ rng.integers(-1, 2, (max(1, q // 2), q)), 3)
    if kind == "one-hot":
        A = np.eye(q)[rng.integers(0, q, m)]
    w = rng.normal(size=q) / (np.abs(A).max(axis=0) if kind == "scaled" else 1.0)
    b = A @ w + float(rng.choice([0.0, 1e-6, 1.0, 10.0])) * rng.standard_t(2, size=m)
    if kind == "integer":
        b = np.round(b)
    l2, delta = float(rng.choice([0.0, 0.0, 1e-3])), float(rng.choice([0.1, 1.0, 10.0]))
    A = scipy.sparse.csr_array(A) if kind == "sparse" else A
    return problems.huber(A, b, delta=delta, l2=l2, x0=10 * rng.normal(size=q + 1))


def by_cvxpy(p: Any, *constraints: Any) -> Any:
    """(the minimum by Clarabel, x) from cvxpy's own Huber function, which is twice ours."""
    x = cp.Variable(p.p)
    loss = cp.sum(cp.huber(p.model.A @ x - p.model.b, p.model.parameters["delta"])) / (2 * p.m)
    program = cp.Problem(
        cp.Minimize(loss + p.model.l2 / 2 * cp.sum_squares(x)), [constraint(x) for constraint in constraints]
    )
    return program.solve(solver=cp.CLARABEL), x.value


@pytest.mark.parametrize("seed", one_in(4, range(105)))
def test_every_kind_of_data_has_an_exact_minimum_and_a_sharp_distance(seed: int) -> None:
    p = instance(seed)
    optimum = certified_optimum(p, cache=False)
    assert optimum.kind == "exact stationary point"
    assert optimum.f_hi <= np.nextafter(optimum.f_lo, math.inf)
    assert optimum.D_hi <= optimum.D_lo * (1 + 1e-6) + 1e-9
    assert optimum.D_inf_hi <= optimum.D_inf_lo * (1 + 1e-6) + 1e-9
    assert optimum.attained is True
    assert complaints(p, optimum) == []
    assert by_cvxpy(p)[0] == pytest.approx(optimum.f_hi, rel=1e-6, abs=1e-6)  # Clarabel's tolerances are 1e-8
    rng = np.random.default_rng(seed)
    for size in (1e-6, 1e-3, 1.0):
        assert p.value(optimum.x + size * rng.normal(size=p.p)) >= optimum.f_lo * (1 - 1e-14)


def value(model: Any, x: list[Fraction]) -> Fraction:
    """F(x) from the formula."""
    delta, total = Fraction(model.parameters["delta"]), Fraction(0)
    for row, b in zip(model.A.tolist(), model.b.tolist(), strict=True):
        r = abs(sum((Fraction(a) * v for a, v in zip(row, x, strict=True)), Fraction(0)) - Fraction(b))
        total += r * r / 2 if r <= delta else delta * (r - delta / 2)
    return total / len(model.b) + Fraction(model.l2) / 2 * sum(v * v for v in x)


def least_of_all_pieces(model: Any) -> tuple[Fraction, list[Fraction]]:
    """(f*, x*) over the stationary points of all quadratics that f may be made of: 3 for each row."""
    A = [[Fraction(v) for v in row] for row in model.A.tolist()]
    b, delta = [Fraction(v) for v in model.b.tolist()], Fraction(model.parameters["delta"])
    p, shift = len(A[0]), len(A) * Fraction(model.l2)
    found = []
    for sides in itertools.product((-1, 0, 1), repeat=len(A)):
        inner = [i for i, side in enumerate(sides) if side == 0]
        H = [[sum((A[i][j] * A[i][k] for i in inner), shift * (j == k)) for k in range(p)] for j in range(p)]
        rhs = [
            sum((A[i][j] * b[i] for i in inner), Fraction(0)) - sum(delta * s * A[i][j] for i, s in enumerate(sides))
            for j in range(p)
        ]
        x = solve(H, rhs)
        if x is not None:
            found.append((value(model, x), x))
    return min(found)


@pytest.mark.parametrize("kind", ["integers", "reals"])
@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("seed", one_in(3, range(9)))
def test_the_interval_holds_the_exact_minimum_over_all_pieces(seed: int, l2: float, kind: str) -> None:
    rng = np.random.default_rng(seed)
    A = rng.integers(-2, 3, (5, 1)).astype(float) if kind == "integers" else rng.normal(size=(5, 1))
    b = rng.integers(-4, 5, 5).astype(float) if kind == "integers" else 3 * rng.normal(size=5)
    p = problems.huber(A, b, delta=0.7, l2=l2, x0=rng.normal(size=2))
    optimum = certified_optimum(p, cache=False)
    f_star, x_star = least_of_all_pieces(p.model)
    assert Fraction(optimum.f_lo) <= f_star <= Fraction(optimum.f_hi)
    assert optimum.f_hi <= np.nextafter(optimum.f_lo, math.inf)
    squared = sum((v - Fraction(s)) ** 2 for v, s in zip(x_star, p.x0.tolist(), strict=True))
    assert Fraction(optimum.D_lo) ** 2 <= squared
    if not optimum.notes:
        assert squared <= Fraction(optimum.D_hi) ** 2
        assert optimum.D_hi <= optimum.D_lo * (1 + 1e-14)


@pytest.mark.parametrize(("x0", "D"), [(-20.0, 21.0), (0.0, 1.0), (1.0, 0.0), (4.0, 0.0), (12.0, 3.0)])
def test_the_minimisers_are_an_interval(x0: float, D: float) -> None:
    """Between the two targets one row pulls up as hard as the other pulls down."""
    p = problems.huber([[1.0], [1.0]], [0.0, 10.0], delta=1.0, intercept=False, x0=[x0])
    optimum = certified_optimum(p, cache=False)
    assert optimum.f_lo == optimum.f_hi == 4.5
    assert optimum.D_lo <= D <= optimum.D_hi
    assert optimum.D_hi - optimum.D_lo <= 1e-6 * max(D, 1e-3)
    assert "more than a point" in optimum.notes[0]
    assert complaints(p, optimum) == []


def test_dependent_columns_leave_a_line_of_minimisers() -> None:
    """x_1 + 2 x_2 = 3 at the minimum: from 0 that is 3 / sqrt 5 away, and 1 in the maximum norm."""
    p = problems.huber([[1.0, 2.0], [1.0, 2.0], [2.0, 4.0]], [2.75, 3.25, 6.0], delta=1.0, intercept=False)
    optimum = certified_optimum(p, cache=False)
    assert optimum.D_lo <= 3 / math.sqrt(5) <= optimum.D_hi
    assert optimum.D_inf_lo <= 1 <= optimum.D_inf_hi
    assert optimum.D_hi <= optimum.D_lo * (1 + 1e-12)
    assert optimum.D_inf_hi <= optimum.D_inf_lo * (1 + 1e-12)
    assert complaints(p, optimum) == []


def test_a_wide_quadratic_is_least_squares_and_a_narrow_one_nearly_absolute_values() -> None:
    wide, lad = problems.get("huber[delta=1000]:diabetes"), problems.get("lad:diabetes").optimum()
    x, *_ = np.linalg.lstsq(wide.model.A, wide.model.b, rcond=None)
    optimum = wide.optimum()
    assert np.abs(optimum.x - x).max() <= 1e-9 * np.abs(x).max()
    assert optimum.f_hi == pytest.approx(np.mean((wide.model.A @ x - wide.model.b) ** 2) / 2, rel=1e-13)
    for delta in (1.0, 0.01):
        narrow = problems.get(f"huber[delta={delta}]:diabetes").optimum()
        assert delta * lad.f_lo - delta**2 / 2 <= narrow.f_hi
        assert narrow.f_lo <= delta * lad.f_hi


@pytest.mark.parametrize("name", ["huber:diabetes", "huber[l2=0.01]:diabetes", "huber[storage=csr]:diabetes"])
def test_what_is_false_is_refused(name: str) -> None:
    p = problems.get(name)
    optimum = certified_optimum(p, cache=False)
    assert complaints(p, optimum) == []
    known: Any = optimum.certificate
    inner, high, low = known.inner, known.high, np.setdiff1d(np.arange(p.m), [*known.inner, *known.high])
    for changed in (
        {"inner": inner[1:]},
        {"inner": np.append(inner, high[0])},
        {"inner": np.append(inner, low[0])},
        {"high": high[1:]},
        {"high": np.append(high, low[0])},
        {"inner": inner + p.m},
        {"given": known.given[1:]},
    ):
        assert complaints(p, replace(optimum, certificate=replace(known, **changed))), changed
    above = np.nextafter(optimum.f_hi, math.inf)
    for claim in (
        {"f_lo": above, "f_hi": above},
        {"f_lo": 0.0, "f_hi": np.nextafter(optimum.f_lo, 0.0)},
        {"D_lo": optimum.D_hi * (1 + 1e-9), "D_hi": math.inf},
        {"D_hi": optimum.D_lo * (1 - 1e-9), "D_lo": 0.0},
        {"attained": False},
    ):
        assert complaints(p, replace(optimum, **claim)), claim
    other = problems.get("huber[delta=1.0000001]:diabetes")
    assert complaints(other, optimum)


def test_the_distance_to_a_polyhedron_cannot_be_forged() -> None:
    p = problems.huber([[1.0], [1.0]], [0.0, 10.0], delta=1.0, intercept=False, x0=[-20.0])
    optimum = certified_optimum(p, cache=False)
    known: Any = optimum.certificate
    for y in (-10 * known.euclidean.multipliers, 0 * known.euclidean.multipliers):
        part = replace(known.euclidean, multipliers=y)
        forged = replace(known, euclidean=part, maximum=part)
        assert complaints(p, replace(optimum, certificate=forged))
    beyond = replace(known.euclidean, given=np.array([0.5]))  # nearer than X*
    forged = replace(known, given=np.array([0.5]), euclidean=beyond, maximum=beyond)
    assert complaints(p, replace(optimum, certificate=forged, D_lo=0.0, D_inf_lo=0.0, D_hi=20.6, D_inf_hi=20.6))


@pytest.mark.parametrize("radius", [0.5, 3.0])
@pytest.mark.parametrize("seed", [0, 5, 6, 15])
def test_over_a_ball(seed: int, radius: float) -> None:
    p = instance(seed)
    optimum = certified_optimum(p, cache=False, radius=radius)
    assert complaints(p, optimum) == []
    assert optimum.f_hi - optimum.f_lo <= 1e-12 * max(1.0, optimum.f_hi)
    f, _ = by_cvxpy(p, lambda x: cp.norm(x - p.x0) <= radius)
    assert f == pytest.approx(optimum.f_hi, rel=1e-6, abs=1e-6)


MINIMISER = "problems.optimum.piecewise_quadratic.stationary.minimiser"


def overlap(a: Any, b: Any) -> bool:
    """Whether all intervals of one optimum meet those of the other."""
    return all(
        getattr(one, low) <= getattr(other, high)
        for one, other in ((a, b), (b, a))
        for low, high in (("f_lo", "f_hi"), ("D_lo", "D_hi"), ("D_inf_lo", "D_inf_hi"))
    )


@pytest.mark.parametrize("options", ["", "[delta=50]", "[l2=0.01]", "[l2=1e-3,storage=csr]", "[delta=0.1,storage=csr]"])
def test_too_large_a_system_leaves_a_ball_around_the_minimiser(options: str, monkeypatch: pytest.MonkeyPatch) -> None:
    p = problems.get(f"huber{options}:diabetes")
    exact = certified_optimum(p, cache=False)
    monkeypatch.setattr(MINIMISER, lambda _: None)
    optimum = certified_optimum(p, cache=False)
    assert optimum.kind == "curvature"
    assert complaints(p, optimum) == []
    assert overlap(optimum, exact)
    assert optimum.f_hi - optimum.f_lo <= 1e-14 * optimum.f_hi
    assert optimum.D_hi - optimum.D_lo <= 1e-7 * optimum.D_hi
    known: Any = optimum.certificate
    moved = known.x + 1e-3 * np.random.default_rng(0).normal(size=p.p)
    assert complaints(p, replace(optimum, certificate=replace(known, x=moved)))
    assert complaints(p, replace(optimum, f_lo=optimum.f_hi * (1 + 1e-12), f_hi=optimum.f_hi * (1 + 1e-11)))
    assert complaints(p, replace(optimum, D_lo=optimum.D_hi * (1 + 1e-8), D_hi=math.inf))


@pytest.mark.parametrize("seed", [14, 27, 1226])
def test_sizes_far_apart_leave_an_exact_minimiser(seed: int) -> None:
    """Newton's method ends on sides whose equations have no solution; an x that fits all rows exists, so f* = 0."""
    rng = np.random.default_rng(seed)
    m, p = int(rng.integers(3, 12)), int(rng.integers(2, 6))
    A = rng.normal(size=(m, p)) * 10.0 ** rng.integers(-9, 10, size=(m, 1)) * 10.0 ** rng.integers(-9, 10, size=(1, p))
    problem = problems.huber(A, rng.integers(-3, 4, size=m).astype(float), delta=0.5, intercept=bool(seed % 2))
    assert m <= problem.p
    optimum = certified_optimum(problem, cache=False)
    assert optimum.kind == "exact stationary point"
    assert optimum.f_lo == optimum.f_hi == 0.0
    assert complaints(problem, optimum) == []


@pytest.mark.parametrize(("l2", "kind"), [(0.0, "none"), (1e-3, "strong convexity")])
def test_where_no_ball_is_found_what_holds_anyway_is_left(l2: float, kind: str, monkeypatch: Any) -> None:
    """Two equal columns: without l2 there is a line of minimisers, and no matrix of such is inverted."""
    rng = np.random.default_rng(0)
    A = rng.normal(size=(30, 1)) @ np.ones((1, 2))
    p = problems.huber(A, A[:, 0] + rng.standard_t(2, size=30), l2=l2)
    exact = certified_optimum(p, cache=False)
    monkeypatch.setattr(MINIMISER, lambda _: None)
    if l2 > 0:
        monkeypatch.setattr("problems.optimum.piecewise_quadratic.stationary.NEWTON", 0)
    optimum = certified_optimum(p, cache=False)
    assert optimum.kind == kind
    assert optimum.attained is True
    assert complaints(p, optimum) == []
    assert overlap(optimum, exact)


@pytest.mark.parametrize("options", ["", "[l2=1e-3]", "[delta=50]"])
def test_interior_points_come_near_the_minimiser(options: str) -> None:
    p = problems.get(f"huber{options}:diabetes")
    optimum = p.optimum()
    pair = interior_pair(kinked(p.model))
    assert pair is not None
    x, u = pair
    assert p.value(x) == pytest.approx(optimum.f_hi, rel=1e-9)
    assert Minorant(kinked(p.model), u).c.value == pytest.approx(optimum.f_hi + p.model.l2 / 2 * (x @ x), rel=1e-6)


@pytest.mark.parametrize("name", ["huber", "svr"])
def test_mini_batches_and_methods_run_on_it(name: str) -> None:
    p = problems.get(f"{name}:diabetes")
    optimum = p.optimum()
    run = dc.solve(p, "dadapt_dual_averaging", steps=300)
    verdicts = dc.check(run, optimum)
    assert not (verdicts["verdict"] == "VIOLATED").any()
    stochastic = dc.solve(p, "dadapt_sgd", steps=60, batch_size=32)
    assert stochastic.status == run.status == "completed"
