"""Logistic loss: whether a minimiser exists, and the certified optimum in every case."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from problems.optimum.columns import Columns, independent_columns
from problems.optimum.distances import distance_modulo, in_ball
from problems.optimum.dual import Minorant, dual_value, losses, objective, objective_up
from problems.optimum.extended import ABOVE, OUTWARD, Floats, distance, down, least_squares, margins, norm_up, total, up
from problems.optimum.separability import Separation, proved_separation, separation
from problems.optimum.smooth import enclose, enclose_l2, gradient, newton, refined, slopes
from problems.problem import LinearModel, Optimum, Problem

# Margins this large leave a row's loss below 3e-20, nothing in float64 beside any other.
FAR = 45.0
# Newton's step moves rows that drift to infinity by about 1, others hardly.
DRIFTS = 0.1


def certify_logistic_l2(problem: Problem, model: LinearModel) -> Optimum:
    """l2 > 0: strong convexity and self-concordance at Newton's point."""
    A, b, l2 = model.A, model.b, model.l2
    x = refined(A, b, l2, newton(A, b, l2, np.zeros(A.shape[1])).x)
    f_lo, radius = strongly_convex_ball(model, x)
    certificate = {"kind": "strong convexity", "x": x, "radius": radius}
    return in_ball(problem, f_lo, objective_up(model, x), x, radius, certificate)


def strongly_convex_ball(model: LinearModel, x: Floats) -> tuple[float, float]:
    """(f_lo, radius), l2 > 0: f >= f_lo, and the minimiser is within radius of x.

    Each is the best of three: strong convexity at x, self-concordance at x, and the dual point of the slopes at x,
    which would be as good as the first but does not suffer from the rounding of large margins.
    """
    A, b, l2 = model.A, model.b, model.l2
    f = objective(model, x)
    u = slopes(b, margins(A, x))[0].value.astype(np.float64)
    lower = dual_value(model, Minorant(model, u))
    radius = np.sqrt(2 * np.maximum(f.value + f.error - lower, 0) / np.longdouble(l2) * ABOVE)
    g_norm = np.longdouble(norm_up(gradient(A, b, l2, x)))
    balls = [(g_norm / np.longdouble(l2), g_norm**2 / (2 * np.longdouble(l2)) * ABOVE)]
    ball = enclose_l2(A, b, l2, x)
    if ball is not None:
        balls.append((np.longdouble(ball.radius), np.longdouble(ball.drop)))
    for reach, drop in balls:
        lower, radius = max(lower, f.value - f.error - drop), min(radius, reach)
    return max(0.0, down(lower)), up(radius)


@dataclass(frozen=True)
class Split:
    """Rows S that a direction sends to infinity, and the minimiser x of the loss over the rows R outside S.

    converged: whether Newton's method on R converged, which it does when R overlaps. columns: those of A_R.
    """

    separation: Separation
    R: Any
    columns: Columns
    x: Floats
    converged: bool


def split(A: Any, b: Floats) -> Split:
    """Find S among the rows that Newton's steps keep moving away; where that gives no proof, by linear program."""
    m, p = A.shape
    columns = independent_columns(A)
    A_J = A[:, columns.J]
    nothing = Separation(np.zeros(m, dtype=bool), np.zeros(p), False)
    everything = np.ones(m, dtype=bool)
    start = np.zeros(columns.J.size)
    for _ in range(3):
        stop = newton(A_J, b, 0.0, start)
        if stop.converged:
            return Split(nothing, np.arange(m), columns, spread(stop.x, columns.J, p), True)
        if np.all(b * (A_J @ stop.x) > 0):
            found = proved_separation(A, b, everything, spread(stop.x, columns.J, p))
        else:
            found = proved_separation(A, b, b * (A_J @ stop.step) > DRIFTS, spread(stop.step, columns.J, p))
        if found.proved:
            rest = _rest(A, b, found)
            if rest.converged:
                return rest
        start = stop.x + stop.step
    found = separation(A, b)
    if found.S.any():
        return _rest(A, b, found)
    return Split(nothing, np.arange(m), columns, spread(stop.x, columns.J, p), False)


def _rest(A: Any, b: Floats, found: Separation) -> Split:
    R = np.flatnonzero(~found.S)
    A_R = A[R]
    columns = independent_columns(A_R)
    if not R.size:
        return Split(found, R, columns, np.zeros(A.shape[1]), True)
    stop = newton(A_R[:, columns.J], b[R], 0.0, np.zeros(columns.J.size))
    return Split(found, R, columns, spread(stop.x, columns.J, A.shape[1]), stop.converged)


def spread(values: Floats, at: Any, p: int) -> Floats:
    """A vector of length p with the values at these indices."""
    full = np.zeros(p)
    full[at] = values
    return full


def certify_logistic(problem: Problem, model: LinearModel) -> Optimum:
    """l2 = 0: completely separable (inf 0, no minimiser), quasi-completely (no minimiser), or attained.

    f is at least its part over the rows R, at every x; and x + c w brings the part over S to 0 as c grows. So the
    infimum is that of the part over R, which self-concordance encloses.
    """
    A, b = model.A, model.b
    m = b.size
    parts = split(A, b)
    S = np.flatnonzero(parts.separation.S)
    if not S.size:
        found = _attained(problem, model, parts.columns, parts.x)
        return found if found is not None else _unproved(problem, model, parts)
    w, x = parts.separation.w, parts.x
    f_lo = 0.0
    certificate: dict[str, Any] = {"kind": "separable", "w": w, "S": S}
    if parts.R.size:
        A_R, b_R = A[parts.R], b[parts.R]
        z = margins(A_R, x)
        ball = enclose(A_R[:, parts.columns.J], b_R, z)
        if ball is None:
            return _unproved(problem, model, parts)
        phi = losses(LinearModel(model.loss, A_R, b_R), z)
        F = total(phi.value, phi.error)
        least = F.value - F.error * OUTWARD - parts.R.size * np.longdouble(ball.drop)
        f_lo = max(0.0, down(least / m))
        certificate = {**certificate, "kind": "quasi-separable", "x": x, "radius": ball.radius, **ball.numbers}
    x = _far_along(A[S], b[S], x, w)
    what = "completely" if not parts.R.size else "quasi-completely"
    proved = parts.separation.proved
    note = f"the data are {what} separable, {S.size} of {m} rows"
    nowhere = math.inf if proved else 0.0
    return Optimum(
        f_lo=f_lo,
        f_hi=objective_up(model, x),
        x=x,
        D_lo=nowhere,
        D_hi=math.inf,
        D_inf_lo=nowhere,
        attained=False if proved else None,
        certificate=certificate,
        notes=(f"no minimiser: {note}" if proved else f"to the accuracy of a linear program, {note}: not proved",),
    )


def _far_along(A_S: Any, b_S: Floats, x: Floats, w: Floats) -> Floats:
    """x + c w, c so large that the margins of these rows are FAR, those of them that w increases."""
    growth = b_S * (A_S @ w)
    rows = growth > 0  # all, where w is proved
    with np.errstate(over="ignore"):
        far = float(((FAR - b_S * (A_S @ x))[rows] / growth[rows]).max(initial=0.0))
        moved = x + far * w
    return moved if np.all(np.isfinite(moved)) else x


def _attained(problem: Problem, model: LinearModel, columns: Columns, x: Floats) -> Optimum | None:
    """Self-concordance at the minimiser nearest to x0: X* = x* + null(A), which columns.N spans."""
    N, x0 = columns.N, problem.x0
    if N.shape[1]:
        x = x + N @ least_squares(N, x0 - x)
    ball = enclose(model.A[:, columns.J], model.b, margins(model.A, x))
    if ball is None:
        return None
    f = objective(model, x)
    certificate = {"kind": "self-concordance", "x": x, "radius": ball.radius, **ball.numbers}
    f_lo = down(f.value - f.error - np.longdouble(ball.drop))
    optimum = in_ball(problem, f_lo, up(f.value + f.error), x, ball.radius, certificate)
    return distance_modulo(optimum, x0, N, ball.radius)


def _unproved(problem: Problem, model: LinearModel, parts: Split) -> Optimum:
    """Nothing but f >= 0 and f at a point."""
    x = parts.x
    return Optimum(
        f_lo=0.0,
        f_hi=objective_up(model, x),
        x=x,
        D_lo=0.0,
        D_hi=math.inf,
        attained=None,
        certificate={"kind": "none", "x": x},
        D_estimate=distance(x, problem.x0)[1],
        notes=("no proof succeeded: f_lo is the trivial bound 0, and whether a minimiser exists is open",),
    )
