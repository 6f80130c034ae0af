"""Piecewise-linear losses, l2 > 0: from a solver's point to the certificate that proves most."""

from __future__ import annotations

import math

import numpy as np

from problems.optimum.arithmetic.extended import Floats, Indices, rounded_margins
from problems.optimum.certificate import NOTHING, Proof, narrow
from problems.optimum.distances import exactly_at
from problems.optimum.dual import box, kinked
from problems.optimum.models import reference_pair
from problems.optimum.piecewise_linear.active_set import ExactMinimiser, exact_minimiser
from problems.optimum.piecewise_linear.coordinate_descent import descent_pair
from problems.optimum.piecewise_linear.descent import MANY as MANY_AT_KINKS
from problems.optimum.piecewise_linear.descent import QR_ENTRIES, Floating, State, descend, perturbed, settled
from problems.optimum.piecewise_linear.descent import independent as span
from problems.optimum.piecewise_linear.dual_ball import DualBall
from problems.optimum.piecewise_linear.exact_gap import DualityGap, duality_gap
from problems.optimum.piecewise_linear.linear_program import Pair, independent_rows, interior_pair
from problems.optimum.piecewise_linear.polyhedron import polished
from problems.problem import LinearModel, Optimum, Problem

# Interior points serve for at most this many entries, coordinate descent for more.
LARGEST = 2e7
# At most STEPS steps of the descent in floating point, with FLOPS operations on their factors.
STEPS, FLOPS = 1000, 3e10
# With at most this many rows at their kinks the minimiser itself is found at once; else a point near it comes first.
FEW = 100
# Entries of the rows that are sampled, which must be at least TALL rows for each column.
SAMPLE, TALL = 2e5, 8
# Intervals for f* of this width, relative to max(1, f), are narrow enough.
WIDTH = 1e-14
# D is sharp where D_hi exceeds D_lo relatively by no more than this.
LOOSE = 1e-6


def certify_strongly_convex(problem: Problem, model: LinearModel) -> Optimum:
    """The minimiser in rational arithmetic (active_set.py), or a point so near that f and D are sharp (exact_gap.py).

    Where numbers are beyond extended precision, strong convexity.
    """
    # any point and any dual prove something: where no solver returns, or none is asked, begin at 0
    m, p = model.A.shape
    few = m * p <= LARGEST
    pair = (interior_pair(model) or reference_pair(model)) if few else _sampled_pair(model)
    x, u = pair or descent_pair(model)
    u = np.clip(u, *box(model))
    state = descended(model, x, u)
    try:
        return _sharp(problem, model, state, (x, u))
    except OverflowError:
        ball = DualBall(x=x, u=u)
        return ball.prove(problem).optimum(ball, x)


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
    near, proof = None, NOTHING
    if state.rows.size > FEW:
        near, proof = _near(problem, model, state, pair)
    if near is None or not (narrow(proof, WIDTH) and _D_is_sharp(proof, near.x)):
        exact = exact_minimiser(model, state)
        if exact is not None:
            certificate = ExactMinimiser(rows=exact.rows, high=np.flatnonzero(exact.upper))
            x = exact.x.long().astype(np.float64)
            return exactly_at(exact.x, exact.value, problem.x0).optimum(certificate, x)
    if near is None:
        near, proof = _near(problem, model, state, pair)
    notes = []
    if not narrow(proof, WIDTH):
        notes.append("neither the solver nor the descent came near enough to the minimiser")
    elif not _D_is_sharp(proof, near.x):
        notes.append("with so small an l2 the point is not near enough to the minimiser for a sharp D")
    return proof.optimum(near, near.x, *notes)


def _D_is_sharp(proof: Proof, x: Floats) -> bool:
    """Whether the interval for D is narrow relative to D; or, where x0 is nearly the minimiser, to x."""
    size = float(np.abs(x).max(initial=0.0))
    return math.isfinite(proof.D_hi) and proof.D_hi <= max(proof.D_lo * (1 + LOOSE), LOOSE**2 * size)


def _near(problem: Problem, model: LinearModel, state: State, pair: Pair) -> tuple[DualityGap, Proof]:
    """(certificate, proof) at the point and dual point of the descent, or at the solver's where these are better."""
    found = []
    if state.last is not None:
        found.append(duality_gap(model, state.x, state.last.u, corrected=state.done))
    if not state.done:
        found.append(duality_gap(model, pair[0].astype(np.longdouble), pair[1], corrected=False))
    proved = [(certificate, certificate.prove(problem)) for certificate in found]
    return min(proved, key=lambda one: one[1].f_hi - one[1].f_lo)


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
