"""Hinge, least absolute deviation, quantile: from linear and quadratic programs to proved intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from problems.optimum.arithmetic.extended import ABOVE, Floats, down, rounded_margins, up
from problems.optimum.arithmetic.rational import Indices, Rational, independent, integers, rounded_down, rounded_up
from problems.optimum.distances import in_ball
from problems.optimum.dual import Minorant, box, dual_value, kinked, objective, objective_up, snapped
from problems.optimum.piecewise_linear.active_set import checked_minimiser, exact_minimiser
from problems.optimum.piecewise_linear.coordinate_descent import descent_pair
from problems.optimum.piecewise_linear.descent import MANY as MANY_AT_KINKS
from problems.optimum.piecewise_linear.descent import QR_ENTRIES, Floating, State, descend, perturbed, settled
from problems.optimum.piecewise_linear.descent import independent as span
from problems.optimum.piecewise_linear.exact_gap import Gap, checked_gap, gap_certificate
from problems.optimum.piecewise_linear.linear_program import Pair, independent_rows, interior_pair, vertex_pair
from problems.optimum.piecewise_linear.polyhedron import (
    NORMS,
    Nearest,
    checked_point,
    distances_below,
    distances_down,
    distances_up,
    nearest,
    polished,
)
from problems.optimum.piecewise_linear.vertex import Vertex, checked_vertex, dense, optimal_vertex
from problems.optimum.proof import NOTHING, Proof
from problems.problem import LinearModel, Optimum, Problem

# Beyond so many entries no linear program is attempted: solvers take hours, and gigabytes.
LARGEST = 2e8
# Up to so many columns x0 is projected on X* in the maximum norm too.
MANY = 1000
# With l2 > 0 interior points serve up to so many entries; beyond, coordinate descent.
LARGEST_L2 = 2e7
# Steps of the descent in floating point, and operations on the factors of all of them.
STEPS, FLOPS = 1000, 3e10
# Up to so many rows at their kinks the minimiser itself is found at once; beyond, a point near it comes first.
FEW = 100
# Entries of the rows that are sampled, and how many rows they must be for each column.
SAMPLE, TALL = 2e5, 8
# What an interval for f* is to be no wider than, relative to max(1, f).
WIDTH = 1e-14
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
    """l2 > 0: the minimiser in rational arithmetic (active_set.py), or a point so near that f and D are sharp
    (exact_gap.py), or else strong convexity in extended precision.
    """
    # any point and any dual prove something: where no solver returns, or none is asked, begin at 0
    m, p = model.A.shape
    few = m * p <= LARGEST_L2
    pair = (interior_pair(model) or _reference_pair(model)) if few else _sampled_pair(model)
    x, u = pair or descent_pair(model)
    u = np.clip(u, *box(model))
    state = descended(model, x, u)
    try:
        return _sharp(problem, model, state, (x, u))
    except OverflowError:  # numbers beyond extended precision
        f_lo, radius = dual_ball(model, x, u)
        ball: dict[str, Any] = {"kind": "strong convexity", "x": x, "u": u, "radius": radius}
        return in_ball(problem, f_lo, objective_up(model, x), x, radius, ball)


def _sampled_pair(model: LinearModel) -> Pair | None:
    """(x, u) for tall data: the minimiser for some of the rows, and the slopes there; None for other data.

    Coordinate descent is slow where many rows share few unknowns; there some rows tell much of the others.
    """
    m, p = model.A.shape
    few = int(SAMPLE // p)
    if few < TALL * p or few >= m:
        return None
    rows = np.random.default_rng(0).permutation(m)[:few]
    found = interior_pair(kinked(model).at(rows))
    if found is None:
        return None
    lo, hi = box(model)
    return found[0], np.where(model.A @ found[0] > model.b, hi, lo)


def _sharp(problem: Problem, model: LinearModel, state: State, pair: Pair) -> Optimum:
    """The minimiser itself where few rows are at their kinks; else a point near it, if that is as good."""
    certificate: dict[str, Any] = {}
    proof = NOTHING
    if state.rows.size > FEW:
        certificate, proof = _near(model, problem.x0, state, pair)
    if not (_narrow(proof) and _D_is_sharp(proof, certificate["x"])):
        exact = exact_minimiser(model, state)
        if exact is not None:
            certificate = {"kind": "exact minimiser", "rows": exact.rows, "high": np.flatnonzero(exact.upper)}
            proof = _proof(exact.value, distances_down(exact.x, problem.x0), distances_up(exact.x, problem.x0))
            x = exact.x.long().astype(np.float64)
            return Optimum(x=x, certificate=certificate, D_estimate=proof.D_hi, **proof._asdict())
    if not certificate:
        certificate, proof = _near(model, problem.x0, state, pair)
    x, notes = certificate["x"], []
    if not _narrow(proof):
        notes.append("neither the solver nor the descent came near enough to the minimiser")
    elif not _D_is_sharp(proof, x):
        notes.append("with so small an l2 the point is not near enough to the minimiser for a sharp D")
    return Optimum(x=x, certificate=certificate, notes=tuple(notes), D_estimate=proof.D_hi, **proof._asdict())


def _narrow(proof: Proof) -> bool:
    return math.isfinite(proof.f_hi) and proof.f_hi - proof.f_lo <= WIDTH * max(1.0, proof.f_hi)


def _D_is_sharp(proof: Proof, x: Floats) -> bool:
    """Relative to D; or, where x0 is the minimiser or nearly, to x."""
    size = float(np.abs(x).max(initial=0.0))
    return math.isfinite(proof.D_hi) and proof.D_hi <= max(proof.D_lo * (1 + LOOSE), LOOSE**2 * size)


def _near(model: LinearModel, x0: Floats, state: State, pair: Pair) -> tuple[dict[str, Any], Proof]:
    """(certificate, what it proves) of the point and dual point of the descent, or the solver's where better."""
    found = []
    if state.last is not None:
        found.append(gap_certificate(model, state.x, state.last.u, corrected=state.done))
    if not state.done:
        found.append(gap_certificate(model, pair[0].astype(np.longdouble), pair[1], corrected=False))
    certificates = [{"kind": "exact minimiser", **c} for c in found]
    proofs = [prove_piecewise_l2(model, x0, c) for c in certificates]
    best = min(range(len(proofs)), key=lambda k: proofs[k].f_hi - proofs[k].f_lo)
    return certificates[best], proofs[best]


def prove_piecewise_l2(model: LinearModel, x0: Floats, certificate: Mapping[str, Any]) -> Proof:
    """What a certificate of kind "exact minimiser" proves."""
    if "x_low" in certificate:
        return _proof_near(checked_gap(model, certificate), x0)
    upper = np.zeros(model.b.size, dtype=bool)
    upper[certificate["high"]] = True
    found = checked_minimiser(model, certificate["rows"], upper)
    if found is None:
        return NOTHING
    return _proof(found.value, distances_down(found.x, x0), distances_up(found.x, x0))


def _proof_near(gap: Gap | None, x0: Floats) -> Proof:
    """From a point, and the distance within which the minimiser lies."""
    if gap is None:
        return NOTHING
    radius = np.longdouble(gap.radius)
    below = [max(0.0, down(np.longdouble(d) - radius)) for d in distances_down(gap.x, x0)]
    above = [up(np.longdouble(d) + radius) for d in distances_up(gap.x, x0)]
    f_lo = max(0.0, rounded_down(gap.q))
    return Proof(f_lo, rounded_up(gap.f), below[0], above[0], below[1], above[1], attained=True)


def _proof(value: Fraction, below: tuple[float, float], above: tuple[float, float]) -> Proof:
    """From the exact minimum and bounds on the distance in both norms."""
    return Proof(rounded_down(value), rounded_up(value), below[0], above[0], below[1], above[1], attained=True)


def dual_ball(model: LinearModel, x: Floats, u: Floats) -> tuple[float, float]:
    """(f_lo, radius) for l2 > 0: f >= f_lo, and the minimiser is within radius of x."""
    f = objective(model, x)
    lower = max(np.longdouble(0), dual_value(model, Minorant(model, u)))
    gap = np.maximum(f.value + f.error - lower, 0)
    return down(lower), up(np.sqrt(2 * gap / np.longdouble(model.l2) * ABOVE))


def descended(model: LinearModel, x: Floats, u: Floats) -> State:
    """Descent in floating point from a solver's x and u."""
    solver = Floating(model)
    state = _start(model, solver, x, u)
    if state.rows.size > FEW:
        state = settled(model, state, solver)
    if not state.done:
        steps = int(min(STEPS, 10 + FLOPS / (1 + state.rows.size) ** 3))
        state = descend(model, state, solver, steps)
        if not state.done:
            other = perturbed(model)
            state = descend(other, state, Floating(other), steps)
            state = descend(model, state, solver, steps)
    return state


def _start(model: LinearModel, solver: Floating, x: Floats, u: Floats) -> State:
    """The rows with u well inside the box, as far as they are independent, and x moved to where r is 0 on them."""
    lo, hi = box(model)
    depth = np.minimum(u - lo, hi - u)
    upper = hi - u < u - lo
    starts: list[tuple[float, int, Indices, Floats]] = []
    for threshold in (1e-6, 1e-3, np.inf):
        rows = np.flatnonzero(depth > threshold)
        if rows.size * x.size <= QR_ENTRIES:
            rows = independent_rows(model.A, rows)
            there = polished(model, model.b, np.isin(np.arange(u.size), rows), x)
        else:
            if rows.size > MANY_AT_KINKS:
                continue
            rows = rows[span(model.A[rows])]
            found = solver(rows, upper)
            if found is None:
                continue
            there = found.x.astype(np.float64)
        r = model.A @ there - model.b
        f = np.maximum(lo * r, hi * r).mean() + model.l2 / 2 * (there @ there)
        starts.append((f, len(starts), rows, there))
    _, _, rows, there = min(starts)
    r = rounded_margins(model.A, there).value - model.b
    return State(rows, np.where(r == 0, upper, r > 0), there.astype(np.longdouble))
