"""Hinge, least absolute deviation, quantile: from linear and quadratic programs to proved intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from problems.optimum.columns import DENSE, independent_columns
from problems.optimum.distances import distance_modulo, in_ball
from problems.optimum.dual import Minorant, box, dual_value, objective, objective_up
from problems.optimum.extended import (
    ABOVE,
    OUTWARD,
    Floats,
    combination,
    distance,
    down,
    least_squares,
    margins,
    norm_up,
    transformed,
    up,
)
from problems.optimum.linear_program import Pair, dual_centre, interior_pair, project, vertex_pair
from problems.optimum.metric import metric
from problems.optimum.sharpness import Sharp, sharp, slack, snapped
from problems.problem import LinearModel, Optimum, Problem

# Where X* is a polyhedron, x0 is projected on X* shrunk by this much, so that the inequalities hold strictly.
MARGIN = 1e-9
# Slacks of an interior point solution below these count as 0, tried in turn: it is accurate to 1e-8 or so.
PARTITIONS = (1e-6, 1e-4, 1e-9, 1e-3)
# The lower end of D is good enough when it is so close to the distance of a point with f = f_hi.
SETTLED = 1e-4
# The proofs hold pieces of A as dense arrays; beyond this many entries (1.6 GB) nothing is attempted.
DENSE_LIMIT = 2e8
# Among points whose f differs by rounding only, the one nearest to x0 is reported.
SAME = 1e-13
# A dual bound so close to f_hi, relatively, needs no better.
GAP = 1e-12


class Bounds:
    """The best proved so far, end by end, for a problem with l2 = 0."""

    def __init__(self, problem: Problem, model: LinearModel) -> None:
        self.problem, self.model = problem, model
        self.points: list[tuple[float, float, Floats]] = []  # f(x) rounded up, ||x - x0||, x
        self.duals: list[Floats] = []
        self.sharp: tuple[Sharp, Floats, Floats] | None = None  # with the x and u it came from, for D_hi
        self.f_lo = 0.0
        self.D_lo = self.D_inf_lo = 0.0
        self.D_hi = self.D_inf_hi = math.inf
        self.value_at: Pair | None = None  # x and u that prove f_lo
        self.distance_at: Pair | None = None  # x and u that prove D_lo, see check.py

    @property
    def settled(self) -> bool:
        """Whether D is known about as well as it can be: below, and by a point with the least f."""
        least = min((f for f, _, _ in self.points), default=math.inf)
        near = min((D for f, D, _ in self.points if f <= least + SAME * abs(least)), default=math.inf)
        return self.D_lo >= (1 - SETTLED) * near

    def consider(self, x: Floats, u: Floats) -> Floats:
        """Take in what x and u prove; returns u, balanced where that succeeded."""
        f_hi = objective_up(self.model, x)
        self.points.append((f_hi, distance(x, self.problem.x0)[1], x))
        found = sharp(self.model, x, u)
        if found is None:
            self.duals.append(u)
            return u
        near = in_ball(self.problem, found.f_lo, f_hi, x, found.radius, {})
        if found.whole:
            below = distance_modulo(near, self.problem.x0, found.N, found.radius)
            self.D_inf_lo = max(self.D_inf_lo, below.D_inf_lo)
            if below.D_lo > self.D_lo:
                self.D_lo, self.distance_at = below.D_lo, (x, u)
        if self.sharp is None or near.D_hi < self.D_hi:
            self.sharp = found, x, u
        if found.f_lo > self.f_lo:
            self.f_lo, self.value_at = found.f_lo, (x, u)
        self.D_hi, self.D_inf_hi = min(self.D_hi, near.D_hi), min(self.D_inf_hi, near.D_inf_hi)
        return found.u

    def approach(self, u: Floats, norm: str = "euclidean") -> None:
        """Project x0 on X* as u describes it: r_i = 0 where u_i is inside its box, r_i <= 0 (>= 0) at lo (hi).

        The multipliers y, x - x0 = A^T y, lead to the minorant that is steepest towards x0: u - eps y lies in
        the box for small eps > 0, and where A^T u = 0 its slope A^T (u - eps y) / m is eps / m times x0 - x.
        """
        model, x0 = self.model, self.problem.x0
        lo, hi = box(model)
        inside = slack(lo, hi, u) > 0
        sense = np.where(inside, 0.0, np.where(u == hi, 1.0, -1.0))
        target = model.b + MARGIN * (1 + np.abs(model.b)) * sense
        pair = project(model.A, target, sense, x0, norm)
        if pair is None:
            return
        x, y = pair
        active = inside | (sense * y > 1e-6 * max(np.abs(y).max(), 1e-300))
        # the solver is accurate to 1e-9; active rows can be inconsistent by as much, so the equalities alone as well
        refined = [polished(model.A, target, rows, x) for rows in (active, inside)]
        inward = [z for z in refined if np.all(sense * (model.A @ z - target) >= -0.9 * np.abs(target - model.b))]
        x = min(inward, key=lambda z: objective_up(model, z), default=x)
        self.consider(x, u)
        self._tilt(u, y)
        rows = np.flatnonzero(active)
        if rows.size and norm == "euclidean":
            sharper = np.zeros_like(y)
            sharper[rows] = least_squares(model.A[rows].T, x - x0)
            self._tilt(u, sharper)

    def _tilt(self, u: Floats, y: Floats) -> None:
        """Lower bounds from the minorants of u - eps y."""
        lo, hi = box(self.model)
        least, at = min((f, k) for k, (f, _, _) in enumerate(self.points))
        moving = np.abs(y) > 1e-12 * np.abs(y).max(initial=0.0)
        room = np.where(y > 0, u - lo, hi - u)[moving] / np.abs(y[moving])
        room = room[room > 0]
        # beyond the least room some entries are clipped, which can pay where that is tiny
        for step in {0.9 * float(room.min()), *np.quantile(room, [0.05, 0.5])} if room.size else ():
            minorant = Minorant(self.model, u - step * y)
            D_lo = minorant.distance_below(self.problem.x0, least)
            if D_lo > self.D_lo:
                self.D_lo, self.distance_at = D_lo, (self.points[at][2], minorant.u)
            self.D_inf_lo = max(self.D_inf_lo, minorant.distance_below(self.problem.x0, least, ord=1))

    def optimum(self) -> Optimum:
        """Each end of each interval from what proves it best."""
        x0 = self.problem.x0
        least = min(f for f, _, _ in self.points)
        near = [(D, f, k) for k, (f, D, _) in enumerate(self.points) if f <= least + SAME * abs(least)]
        D_estimate, f_hi, k = min(near)
        x, f_lo = self.points[k][2], self.f_lo
        notes = []
        certificate: dict[str, Any] = {"kind": "dual point", "x": x}
        if self.sharp is not None:
            found, centre, u = self.sharp
            kind = "separable" if f_hi == 0 else "sharp minimum"
            certificate = {"kind": kind, "x": centre, "u": u, "radius": found.radius, **found.numbers}
            if not found.whole or found.N.shape[1]:
                notes.append("X* is more than a point")
        else:
            notes.append("D_hi not proved: X* seems to be more than a point, and no exact point of it was enclosed")
        if f_lo < f_hi - GAP * f_hi:
            lower, u = feasible_bound(self.model, self.duals[::-1], f_hi)
            if lower > f_lo:
                f_lo, self.value_at = lower, (x, u)
        for name, pair in (("value", self.value_at), ("distance", self.distance_at)):
            known = (
                self.sharp is not None and pair is not None and pair[0] is self.sharp[1] and pair[1] is self.sharp[2]
            )
            if pair is not None and not known:
                certificate[f"x_{name}"], certificate[f"u_{name}"] = pair
        return Optimum(
            f_lo=f_lo,
            f_hi=f_hi,
            x=x,
            D_lo=self.D_lo,
            D_hi=self.D_hi,
            D_inf_lo=self.D_inf_lo,
            D_inf_hi=self.D_inf_hi,
            attained=True,
            certificate=certificate,
            D_estimate=min(D_estimate, distance(x, x0)[1]),
            notes=tuple(notes),
        )


def _without_proof(problem: Problem, model: LinearModel) -> Optimum:
    """What is true of data too large for these proofs: the losses are not negative, and a minimiser exists."""
    m, p = model.A.shape
    return Optimum(
        f_lo=0.0,
        f_hi=objective_up(model, problem.x0),
        x=np.array(problem.x0),
        D_lo=0.0,
        D_hi=math.inf,
        attained=True,
        certificate={"kind": "none", "x": np.array(problem.x0)},
        notes=(f"not solved: {m} x {p} is more than the {DENSE_LIMIT:.0e} entries that the proofs can hold densely",),
    )


def certify_piecewise(problem: Problem, model: LinearModel) -> Optimum:
    """l2 = 0; a minimiser exists, f being polyhedral and bounded below."""
    m, p = model.A.shape
    if m * p > DENSE_LIMIT:
        return _without_proof(problem, model)
    lo, hi = box(model)
    bounds = Bounds(problem, model)

    def consider(x: Floats, u: Floats) -> Floats:
        return bounds.consider(polished(model.A, model.b, slack(lo, hi, u) > 0, x), u)

    pair = vertex_pair(model)
    if pair is not None:
        x, u = pair[0], consider(pair[0], snapped(lo, hi, pair[1]))
        if bounds.settled:
            return bounds.optimum()
        centre = dual_centre(model, x, u)
        pair = None if centre is None else (x, centre)
    if pair is None:
        pair = interior_pair(model) or _reference_pair(model)
    tried: set[bytes] = set()
    for threshold in PARTITIONS if pair is not None else ():
        assert pair is not None
        u = _equalised(model.A, lo, hi, snapped(lo, hi, pair[1], threshold))
        partition = (slack(lo, hi, u) > 0).tobytes()
        if partition in tried:
            continue
        tried.add(partition)
        u = consider(pair[0], u)
        if not bounds.settled:
            bounds.approach(u)
            if bounds.settled and model.A.shape[1] <= DENSE:
                bounds.approach(u, "maximum")
        if bounds.settled:
            break
    if not bounds.points:
        raise RuntimeError(f"{problem.name}: neither HiGHS nor Clarabel solved the linear program, nor did cvxpy.")
    return bounds.optimum()


def _reference_pair(model: LinearModel) -> Pair | None:
    from problems.optimum.models import solve_reference

    reference = solve_reference(model)
    return None if reference is None else (reference.x, reference.u)


def polished(A: Any, target: Floats, rows: Any, x: Floats) -> Floats:
    """x moved onto <a_i, x> = target_i for these rows, by least squares with residuals in extended precision."""
    rows = np.flatnonzero(rows)
    if not rows.size:
        return x
    A_rows = A[rows]
    for _ in range(3):
        residual = (margins(A_rows, x).value - target[rows]).astype(np.float64)
        x = x - least_squares(A_rows, residual)
    return x


def feasible_bound(model: LinearModel, duals: list[Floats], f_hi: float) -> tuple[float, Floats]:
    """(f_lo, u'): the dual value of a point u' near one of the duals u, minus what making A^T u' = 0 exact can cost.

    Let u0 be in the box with slacks s0, B = A_J T with ||diag(s0) B y|| >= sigma ||y||, and u' = (1 - eps) u +
    eps u0: its slacks are at least eps s0. By the lemma of sharpness.py, if ||B^T u'|| = theta eps sigma with
    theta <= 1, some u'' has A^T u'' = 0 and |u''_i - u'_i| <= theta eps s0_i. u itself is tried first: as it comes
    from here, it has its slacks already.
    """
    lo, hi = box(model)
    m = model.b.size
    centre, rows = _centre(model)
    kept = np.flatnonzero(rows)
    best = (0.0, np.zeros(m))
    if not kept.size:
        return best
    A_R, lo_R, hi_R = model.A[kept], lo[kept], hi[kept]
    A_J = A_R[:, independent_columns(A_R).J]
    s0 = slack(lo_R, hi_R, centre[kept])
    chart = metric(A_J, np.square(s0), weight_error=1e-14)
    if chart is None:
        return best
    sigma = float(np.sqrt(chart.eigenvalue)) / OUTWARD
    moving = s0 > 0

    def proved(mixed: Floats) -> tuple[float, Floats] | None:
        # rounding and correction may have taken some of the slack; entries with s0 = 0 are not moved
        share = float((slack(lo_R, hi_R, mixed)[moving] / s0[moving]).min())
        rho = norm_up(transformed(chart.T, combination(A_J, mixed)))
        if rho > share * sigma:
            return None
        full = np.zeros(m)
        full[kept] = mixed
        minorant = Minorant(model, full)
        cost = rho / sigma * float(np.sum(np.abs(model.b[kept]) * s0)) / m * OUTWARD
        return down(minorant.c.value - minorant.c.error - cost), full

    def mixtures(u: Floats) -> Iterator[Floats]:
        yield np.clip(u[kept], lo_R, hi_R)
        u_R = _equalised(A_R, lo_R, hi_R, u[kept])
        eps = 1e-15
        while eps < 0.1:
            mixed = np.clip((1 - eps) * u_R + eps * centre[kept], lo_R, hi_R)
            for _ in range(3):
                residual = transformed(chart.T, combination(A_J, mixed)).value.astype(np.float64)
                mixed = np.clip(mixed - np.square(s0) * (chart.B @ residual), lo_R, hi_R)
            yield mixed
            eps *= 4

    for u in duals:
        found = next((pair for pair in map(proved, mixtures(u)) if pair is not None), best)
        best = max(best, found, key=lambda pair: pair[0])
        if best[0] >= f_hi - GAP * abs(f_hi):
            break
    return best


def _equalised(A: Any, lo: Floats, hi: Floats, u: Floats) -> Floats:
    """Move the entries of u inside the box until A^T u = 0 as nearly as they can make it."""
    inside = np.flatnonzero(slack(lo, hi, u) > 0)
    if not inside.size:
        return u
    u, A_T = u.copy(), A[inside].T
    for _ in range(3):
        u[inside] -= least_squares(A_T, combination(A, u).value.astype(np.float64))
    return np.clip(u, lo, hi)


def _centre(model: LinearModel) -> tuple[Floats, Any]:
    """(u0, rows): a point inside the box with A^T u0 = 0, on all rows that have one; other entries are 0.

    For hinge, the slopes of the logistic loss at its minimiser, on the rows that no direction separates.
    """
    m = model.b.size
    if model.loss != "hinge":
        return np.zeros(m), np.ones(m, dtype=bool)
    from problems.optimum.logistic import split
    from problems.optimum.smooth import slopes

    parts = split(model.A, model.b)
    u0, rows = np.zeros(m), np.zeros(m, dtype=bool)
    if not parts.R.size:
        return u0, rows
    rows[parts.R] = True
    u0[parts.R] = slopes(model.b[parts.R], margins(model.A[parts.R], parts.x))[0].value.astype(np.float64)
    return u0, rows


def certify_piecewise_l2(problem: Problem, model: LinearModel) -> Optimum:
    """l2 > 0: any u in the box gives f* >= c - ||v||^2 / (2 l2), and ||x - x*||^2 <= 2 (f(x) - f_lo) / l2."""
    # any point and any dual prove something: where no solver returns, begin at 0
    nowhere = np.zeros(model.A.shape[1]), np.zeros(model.b.size)
    points, duals = _active_set(model, *(interior_pair(model) or _reference_pair(model) or nowhere))
    f_hi, at = min((objective_up(model, x), k) for k, x in enumerate(points))
    _, dual_at = max((dual_value(model, Minorant(model, u)), k) for k, u in enumerate(duals))
    x, u = points[at], duals[dual_at]
    f_lo, radius = dual_ball(model, x, u)
    return in_ball(problem, f_lo, f_hi, x, radius, {"kind": "strong convexity", "x": x, "u": u, "radius": radius})


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
            y = polished(A, b, inside, -q / l2)
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
