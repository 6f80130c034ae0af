"""Hinge, least absolute deviation, quantile: from linear and quadratic programs to proved intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from problems.optimum.active_set import checked_minimiser, exact_minimiser
from problems.optimum.distances import in_ball
from problems.optimum.dual import Minorant, box, dual_value, objective, objective_up, slack, snapped
from problems.optimum.extended import ABOVE, Floats, combination, down, least_squares, up
from problems.optimum.linear_program import Pair, interior_pair, vertex_pair
from problems.optimum.polyhedron import (
    NORMS,
    Nearest,
    checked_point,
    distances_below,
    distances_down,
    distances_up,
    nearest,
    polished,
)
from problems.optimum.proof import NOTHING, Proof
from problems.optimum.rational import Rational, independent, integers, rounded_down, rounded_up
from problems.optimum.vertex import Vertex, checked_vertex, dense, optimal_vertex
from problems.problem import LinearModel, Optimum, Problem

# Beyond so many entries no linear program is attempted: solvers take hours, and gigabytes.
LARGEST = 2e8
# Up to so many columns x0 is projected on X* in the maximum norm too.
MANY = 1000
# The active set method for l2 > 0 is attempted up to so many entries; beyond, strong convexity alone.
LARGEST_L2 = 2e7
# A wider interval for D than this, relatively, gets a note.
LOOSE = 1e-6


def certify_piecewise(problem: Problem, model: LinearModel) -> Optimum:
    """l2 = 0: an optimal basis in rational arithmetic (vertex.py), and x0 projected on X* (polyhedron.py).

    A minimiser exists, f being polyhedral and bounded below.
    """
    m, p = model.A.shape
    if m * p > LARGEST:
        return _without_proof(problem, model, f"{m} x {p} entries are too many for the linear program")
    try:
        return _exactly(problem, model) or _without_proof(
            problem, model, "neither HiGHS nor Clarabel came near enough to an optimal basis"
        )
    except OverflowError:
        return _without_proof(problem, model, "numbers beyond extended precision")


def _exactly(problem: Problem, model: LinearModel) -> Optimum | None:
    """An optimal basis with the distance of x0 from X*; None where no basis is found."""
    vertex = _solved(model)
    if vertex is None:
        return None
    certificate: dict[str, Any] = {
        "kind": "exact vertex",
        "rows": vertex.rows,
        "columns": vertex.columns,
        "given": vertex.given,
        "high": np.flatnonzero(vertex.upper & (vertex.signs == 0)),
    }
    point = vertex.x
    notes = []
    if not _unique(model, vertex):
        notes.append("X* is more than a point")
        # the linear program of the maximum norm takes minutes where there are many columns
        norms = NORMS if model.A.shape[1] <= MANY else NORMS[:1]
        found = [nearest(model, vertex, problem.x0, norm) for norm in norms]
        point = found[0].point.x
        for norm, near in zip(norms, found, strict=True):
            certificate |= {f"{norm}_{name}": value for name, value in _stored(near).items()}
    proof = prove_piecewise(model, problem.x0, certificate)
    if proof.D_hi > proof.D_lo * (1 + LOOSE):
        notes.append("the solvers' projections of x0 on X* are not accurate enough for a sharp D")
    x = point.long().astype(np.float64)
    return Optimum(x=x, certificate=certificate, notes=tuple(notes), D_estimate=proof.D_hi, **proof._asdict())


def _solved(model: LinearModel) -> Vertex | None:
    """An optimal basis, from the first solver whose solution leads to one."""
    solvers: tuple[Callable[[LinearModel], Pair | None], ...] = (vertex_pair, interior_pair, _reference_pair)
    for solver in solvers:
        pair = solver(model)
        vertex = None if pair is None else optimal_vertex(model, pair[0], snapped(*box(model), pair[1]))
        if vertex is not None:
            return vertex
    return None


def _unique(model: LinearModel, vertex: Vertex) -> bool:
    """Whether the rows on which every minimiser has residual 0 leave one point: then X* is that point."""
    rows = np.flatnonzero(vertex.side == 0)
    p = model.A.shape[1]
    return rows.size >= p and independent(integers(dense(model.A[rows])).rows)[0].size == p


def _stored(near: Nearest) -> dict[str, Any]:
    at = np.flatnonzero(near.y)
    return {
        "rows": near.point.rows,
        "columns": near.point.columns,
        "given": near.point.given,
        "multipliers_at": at,
        "multipliers": near.y[at],
    }


def prove_piecewise(model: LinearModel, x0: Floats, certificate: Mapping[str, Any]) -> Proof:
    """What a certificate of kind "exact vertex" proves."""
    upper = np.zeros(model.b.size, dtype=bool)
    upper[certificate["high"]] = True
    vertex = checked_vertex(model, certificate["rows"], certificate["columns"], certificate["given"], upper)
    if vertex is None:
        return NOTHING
    if _unique(model, vertex):
        below, above = distances_down(vertex.x, x0), distances_up(vertex.x, x0)
    else:
        ends = [_distance(model, vertex, x0, certificate, n) for n in NORMS if f"{n}_rows" in certificate]
        # each point and each y bounds both distances
        below = max(end[0][0] for end in ends), max(end[0][1] for end in ends)
        above = min(end[1][0] for end in ends), min(end[1][1] for end in ends)
    return _proof(vertex.value, below, above)


def _distance(
    model: LinearModel, vertex: Vertex, x0: Floats, certificate: Mapping[str, Any], norm: str
) -> tuple[tuple[float, float], tuple[float, float]]:
    """(below, above): bounds on the distance to X* in both norms, from the projection in one of them."""
    rows, columns, given, at, values = (
        certificate[f"{norm}_{name}"] for name in ("rows", "columns", "given", "multipliers_at", "multipliers")
    )
    y = np.zeros(model.b.size)
    y[at] = values
    x: Rational | None = checked_point(model, vertex.side, rows, columns, given)
    above = (math.inf, math.inf) if x is None else distances_up(x, x0)
    return distances_below(model, vertex.side, y, x0), above


def _without_proof(problem: Problem, model: LinearModel, why: str) -> Optimum:
    """What is true in any case: the losses are not negative, and a minimiser exists."""
    return Optimum(
        f_lo=0.0,
        f_hi=objective_up(model, problem.x0),
        x=np.array(problem.x0),
        D_lo=0.0,
        D_hi=math.inf,
        attained=True,
        certificate={"kind": "none"},
        notes=(f"not solved: {why}",),
    )


def _reference_pair(model: LinearModel) -> Pair | None:
    from problems.optimum.models import solve_reference

    reference = solve_reference(model)
    return None if reference is None else (reference.x, reference.u)


def certify_piecewise_l2(problem: Problem, model: LinearModel) -> Optimum:
    """l2 > 0: the minimiser in rational arithmetic (active_set.py), or else strong convexity.

    Any u in the box gives f* >= c - ||v||^2 / (2 l2), and ||x - x*||^2 <= 2 (f(x) - f_lo) / l2.
    """
    # any point and any dual prove something: where no solver returns, or none is asked, begin at 0
    m, p = model.A.shape
    nowhere = np.zeros(p), np.zeros(m)
    few = m * p <= LARGEST_L2
    pair = (interior_pair(model) or _reference_pair(model) or nowhere) if few else nowhere
    points, duals = _active_set(model, *pair) if few else ([pair[0]], [pair[1]])
    f_hi, at = min((objective_up(model, x), k) for k, x in enumerate(points))
    _, dual_at = max((dual_value(model, Minorant(model, u)), k) for k, u in enumerate(duals))
    x, u = points[at], duals[dual_at]
    exact = exact_minimiser(model, x, snapped(*box(model), u)) if few else None
    if exact is not None:
        certificate = {"kind": "exact minimiser", "rows": exact.rows, "high": np.flatnonzero(exact.upper)}
        proof = prove_piecewise_l2(model, problem.x0, certificate)
        x = exact.x.long().astype(np.float64)
        return Optimum(x=x, certificate=certificate, D_estimate=proof.D_hi, **proof._asdict())
    f_lo, radius = dual_ball(model, x, u)
    notes = () if few else (f"not solved: {m} x {p} entries are too many for the quadratic program",)
    ball: dict[str, Any] = {"kind": "strong convexity", "x": x, "u": u, "radius": radius}
    return in_ball(problem, f_lo, f_hi, x, radius, ball, *notes)


def prove_piecewise_l2(model: LinearModel, x0: Floats, certificate: Mapping[str, Any]) -> Proof:
    """What a certificate of kind "exact minimiser" proves."""
    upper = np.zeros(model.b.size, dtype=bool)
    upper[certificate["high"]] = True
    found = checked_minimiser(model, certificate["rows"], upper)
    if found is None:
        return NOTHING
    return _proof(found.value, distances_down(found.x, x0), distances_up(found.x, x0))


def _proof(value: Fraction, below: tuple[float, float], above: tuple[float, float]) -> Proof:
    """From the exact minimum and bounds on the distance in both norms."""
    return Proof(rounded_down(value), rounded_up(value), below[0], above[0], below[1], above[1], attained=True)


def dual_ball(model: LinearModel, x: Floats, u: Floats) -> tuple[float, float]:
    """(f_lo, radius) for l2 > 0: f >= f_lo, and the minimiser is within radius of x."""
    f = objective(model, x)
    lower = max(np.longdouble(0), dual_value(model, Minorant(model, u)))
    gap = np.maximum(f.value + f.error - lower, 0)
    return down(lower), up(np.sqrt(2 * gap / np.longdouble(model.l2) * ABOVE))


def _active_set(model: LinearModel, x: Floats, u: Floats) -> tuple[list[Floats], list[Floats]]:
    """Points and duals: the solver's, and those that solve the optimality conditions with the solver's active set.

    With u fixed outside the rows I whose u is inside the box, q = A_N^T u_N / m: minimise l2/2 ||x||^2 + <q, x>
    subject to A_I x = b_I; then A_I^T u_I / m = -(l2 x + q).
    """
    lo, hi = box(model)
    A, b, m, l2 = model.A, model.b, model.b.size, model.l2
    points, duals = [x], [np.clip(u, lo, hi)]
    for threshold in (1e-6, 1e-4, 1e-8):
        v = snapped(lo, hi, u, threshold)
        for _ in range(12):
            inside = slack(lo, hi, v) > 0
            rows = np.flatnonzero(inside)
            q = (combination(A, np.where(inside, 0.0, v)).value / m).astype(np.float64)
            y = polished(model, b, inside, -q / l2)
            fixed = v.copy()
            if rows.size:
                # where rows are dependent, u stays near where it was
                missing = -m * (l2 * y + q) - A[rows].T @ v[rows]
                fixed[rows] += least_squares(A[rows].T, missing)
            points.append(y)
            duals.append(np.clip(fixed, lo, hi))
            r = A @ y - b
            wrong = ((v == hi) & (r < -1e-12)) | ((v == lo) & (r > 1e-12))
            if not wrong.any() and np.all((fixed >= lo) & (fixed <= hi)):
                return points, duals
            v = np.where(wrong, (lo + hi) / 2, duals[-1])
    return points, duals
