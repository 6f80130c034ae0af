"""Logistic loss: whether a minimiser exists, and the certified optimum in every case."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from problems.optimum.arithmetic.columns import DENSE, Columns, independent_columns
from problems.optimum.arithmetic.extended import (
    ABOVE,
    OUTWARD,
    Floats,
    distance,
    down,
    least_squares,
    margins,
    norm_up,
    total,
    up,
)
from problems.optimum.arithmetic.metric import LARGEST
from problems.optimum.arithmetic.null_space import row_forms, spanning_columns
from problems.optimum.distances import distance_modulo, in_ball
from problems.optimum.dual import Minorant, dual_value, logistic_losses, objective, objective_up
from problems.optimum.proof import NOTHING, Proof
from problems.optimum.smooth.exact_slopes import dual_point, feasible
from problems.optimum.smooth.opposed import first_rows, opposed_rows, orthogonal_part
from problems.optimum.smooth.separability import Mask, Separation, proved_separation, separation
from problems.optimum.smooth.smooth import (
    MAX_NEWTON,
    Enclosure,
    Newton,
    enclose,
    enclose_l2,
    gradient,
    newton,
    refined,
    slopes,
)
from problems.optimum.smooth.tempered import polished, small, tempered_newton
from problems.problem import LinearModel, Optimum, Problem

# Margins this large leave a row's loss below 3e-20, nothing in float64 beside any other.
FAR = 45.0
# An interval so narrow, relative to max(1, f), needs no better.
WIDTH = 1e-13
# Up to so many rows and columns the linear program is solved in doubt alone.
LINEAR_PROGRAM = 2000
# Newton steps by conjugate gradients, each of a second or so, before the search for a direction is given up.
WIDE_STEPS = 60
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
    columns = reaching_columns(A)
    nothing = Separation(np.zeros(m, dtype=bool), np.zeros(p), False)
    if p > DENSE:
        parts = _split_wide(A, b)
        if parts is not None:
            return parts
    A_J = A[:, columns.J]
    everything = np.ones(m, dtype=bool)
    start = np.zeros(columns.J.size)
    wide = columns.J.size > DENSE
    for _ in range(1 if wide else 3):
        stop = newton(A_J, b, 0.0, start, WIDE_STEPS if wide else MAX_NEWTON)
        if stop.converged:
            return Split(nothing, np.arange(m), columns, spread(stop.x, columns.J, p), True)
        if np.all(b * (A_J @ stop.x) > 0):
            found = separates(A, b, everything, spread(stop.x, columns.J, p))
        else:
            found = separates(A, b, b * (A_J @ stop.step) > DRIFTS, spread(stop.step, columns.J, p))
        if found.proved:
            rest = _rest(A, b, found)
            if rest.converged:
                return rest
        start = stop.x + stop.step
    # with many columns the linear program would take hours
    found = nothing if wide else _by_linear_program(A, b)
    if found.S.any():
        return _rest(A, b, found)
    return Split(nothing, np.arange(m), columns, spread(stop.x, columns.J, p), False)


def _split_wide(A: Any, b: Floats) -> Split | None:
    """R as the rows that occur with both labels, if all others can be separated: for more columns than DENSE.

    Newton's method in the null space of those rows finds a direction for the others, if there is one.
    """
    R = opposed_rows(A, b)
    if not R.any():
        return None
    S = np.flatnonzero(~R)
    part = orthogonal_part(A[S], A[np.flatnonzero(R)])
    if part is None or not S.size:
        return None
    A_S, onto = part
    stop: Newton = newton(A_S, b[S], 0.0, np.zeros(A.shape[1]))
    found = separates(A, b, ~R, onto(stop.x))
    return _rest(A, b, found) if found.proved else None


def separates(A: Any, b: Floats, S: Mask, w: Floats) -> Separation:
    """proved_separation in columns scaled by powers of two to a largest entry in [1, 2), which is exact."""
    exponents = _sizes(A, 0)
    scaled = _scaled(A, 1, -exponents) if exponents.any() else A
    with np.errstate(over="ignore", invalid="ignore"):  # a w that float64 cannot hold is refused
        found = proved_separation(scaled, b, S, np.ldexp(w, exponents))
        direction = np.ldexp(found.w, -exponents)
    if not np.all(np.isfinite(direction)):
        return Separation(S, w, False)
    return found._replace(w=direction)


def _by_linear_program(A: Any, b: Floats) -> Separation:
    """The same for the largest S, found by a linear program in rows and columns of one size."""
    scaled, exponents = A, np.zeros(A.shape[1], dtype=np.int64)
    for _ in range(3):
        scaled = _scaled(scaled, 0, -_sizes(scaled, 1))
        sizes = _sizes(scaled, 0)
        scaled, exponents = _scaled(scaled, 1, -sizes), exponents + sizes
    found = separation(scaled, b)
    w = np.ldexp(found.w, -exponents)
    return separates(A, b, found.S, w) if found.S.any() else found._replace(w=w)


def _sizes(A: Any, axis: int) -> Any:
    """Exponents e of the largest entries of columns (axis 0) or rows (axis 1), in [2^e, 2^(e+1)); 0 where all are 0."""
    largest = abs(A).max(axis=axis)
    largest = np.asarray(largest.toarray() if hasattr(largest, "toarray") else largest).ravel()
    return np.where(largest > 0, np.frexp(largest)[1] - 1, 0)


def _scaled(A: Any, axis: int, exponents: Any) -> Any:
    """Rows (axis 0) or columns (axis 1) times 2^exponents."""
    if hasattr(A, "tocsr"):
        import scipy.sparse

        every = exponents[A.indices] if axis == 1 else np.repeat(exponents, np.diff(A.indptr))
        return scipy.sparse.csr_array((np.ldexp(A.data, every), A.indices, A.indptr), shape=A.shape)
    return np.ldexp(A, exponents if axis == 1 else exponents[:, None])


def _rest(A: Any, b: Floats, found: Separation) -> Split:
    R = np.flatnonzero(~found.S)
    A_R = A[R]
    columns = reaching_columns(A_R)
    if not R.size:
        return Split(found, R, columns, np.zeros(A.shape[1]), True)
    stop = newton(A_R[:, columns.J], b[R], 0.0, np.zeros(columns.J.size))
    return Split(found, R, columns, spread(stop.x, columns.J, A.shape[1]), stop.converged)


def spread(values: Floats, at: Any, p: int) -> Floats:
    """A vector of length p with the values at these indices."""
    full = np.zeros(p)
    full[at] = values
    return full


def reaching_columns(A: Any) -> Columns:
    """Columns J such that every A x is A x' with x' zero elsewhere, as few as can be shown.

    Beyond DENSE columns: if there are few distinct rows, as many columns as these; that they are independent, and so
    reach everything, is proved where they are used.
    """
    columns = independent_columns(A)
    nothing = np.zeros((A.shape[1], 0))
    if A.shape[1] > DENSE:
        J = _pivots(A)
        return columns if J is None else Columns(J, nothing, J)
    if columns.J.size > columns.pivots.size:
        J = spanning_columns(row_forms(A))
        if J is not None and J.size < columns.J.size:
            return Columns(np.sort(J), nothing, J)
    return columns


def _pivots(A: Any) -> Any:
    import scipy.linalg

    if A.shape[0] == 0:
        return None
    rows = A[first_rows(A)]
    if rows.shape[0] > DENSE // 4:
        return None
    used = np.flatnonzero(np.asarray(abs(rows).sum(axis=0)).ravel())
    part = rows[:, used]
    _, order = scipy.linalg.qr(part.toarray() if hasattr(part, "toarray") else part, mode="r", pivoting=True)
    return np.sort(used[order[: rows.shape[0]]])


@dataclass(frozen=True)
class Overlap:
    """What x, and slopes u where given, prove about the loss of overlapping rows: f_lo, and a ball of minimisers.

    attained: True where a minimiser is proved to exist.
    """

    f_lo: float
    f_hi: float
    ball: Enclosure | None
    columns: Columns
    attained: bool | None

    @property
    def narrow(self) -> bool:
        """Whether nothing better is needed."""
        return self.f_hi - self.f_lo <= WIDTH * max(1.0, self.f_hi)


def proved_overlap(A: Any, b: Floats, m: int, x: Floats, u: Floats | None, columns: Columns | None = None) -> Overlap:
    """Bounds on the infimum of (1/m) sum phi over these rows: by self-concordance at x, and by u made exact."""
    columns = reaching_columns(A) if columns is None else columns
    z = margins(A, x)
    phi = logistic_losses(b, z)
    F = total(phi.value, phi.error)
    error = F.error * OUTWARD
    f_lo, attained = 0.0, None
    ball = enclose(A[:, columns.J], b, z)
    if ball is not None:
        f_lo, attained = max(0.0, down((F.value - error - b.size * np.longdouble(ball.drop)) / m)), True
    point = None if u is None or not feasible(A) else dual_point(A, b, u, m)
    if point is not None:
        f_lo, attained = max(f_lo, point.f_lo), attained or (True if point.overlap else None)
    return Overlap(f_lo, up((F.value + error) / m), ball, columns, attained)


def _overlap(A: Any, b: Floats, m: int, x: Floats, columns: Columns) -> tuple[Overlap, Floats, dict[str, Any]]:
    """(bounds, x, certificate): the bounds at x, or where they are wide, at what a more careful method makes of it."""
    found = proved_overlap(A, b, m, x, None, columns)
    if not found.narrow and small(A[:, columns.J]):
        A_J, p = A[:, columns.J], x.size
        inside = columns.J.size == p or not np.any(np.delete(x, columns.J))
        tries = [polished(A_J, b, x[columns.J])] if inside else []
        tempered = tempered_newton(A_J, b)
        for y in [*tries, *([] if tempered is None else [tempered])]:
            other = proved_overlap(A, b, m, spread(y, columns.J, p), None, columns)
            if _better(other, found):
                found, x = other, spread(y, columns.J, p)
    if found.narrow or not feasible(A):
        return found, x, {}
    u = slopes(b, margins(A, x))[0].value.astype(np.float64)
    exact = proved_overlap(A, b, m, x, u, columns)
    return (exact, x, {"u": u}) if exact.f_lo > found.f_lo else (found, x, {})


def _better(a: Overlap, b: Overlap) -> bool:
    """By the width; between points that prove nothing, by f."""
    if a.f_lo == b.f_lo == 0:
        return a.f_hi < b.f_hi
    return a.f_hi - a.f_lo < b.f_hi - b.f_lo


def certify_logistic(problem: Problem, model: LinearModel) -> Optimum:
    """l2 = 0: completely separable (inf 0, no minimiser), quasi-completely (no minimiser), or attained.

    f is at least its part over the rows R, at every x; and x + c w brings the part over S to 0 as c grows. So the
    infimum is that of the part over R, which self-concordance encloses, or exact slopes bound from below.
    """
    parts = split(model.A, model.b)
    if parts.separation.S.any():
        return _separable(problem, model, parts)
    optimum = _attained(problem, model, parts)
    if optimum.attained or max(model.A.shape) > LINEAR_PROGRAM:
        return optimum
    # Newton's method may only seem to have converged
    found = _by_linear_program(model.A, model.b)
    if not found.S.any():
        return optimum
    other = _separable(problem, model, _rest(model.A, model.b, found))
    return other if other.attained is False or other.f_lo > optimum.f_lo else optimum


def _separable(problem: Problem, model: LinearModel, parts: Split) -> Optimum:
    """Rows S go to infinity: the infimum is that over the others."""
    A, b = model.A, model.b
    m, S = b.size, np.flatnonzero(parts.separation.S)
    w, x = parts.separation.w, parts.x
    f_lo = 0.0
    certificate: dict[str, Any] = {"kind": "separable", "w": w, "S": S}
    if parts.R.size:
        found, x, extra = _overlap(A[parts.R], b[parts.R], m, x, parts.columns)
        if found.f_lo == 0:
            return _unproved(problem, model, x)
        f_lo = found.f_lo
        certificate |= {"kind": "quasi-separable", "x": x, **extra}
        if found.ball is not None:
            certificate |= {"radius": found.ball.radius, **found.ball.numbers}
    x = _far_along(model, S, x, w)
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


def _far_along(model: LinearModel, S: Any, x: Floats, w: Floats) -> Floats:
    """x + c w, c so large that the margins of these rows are FAR, those of them that w increases, or where f is least.

    w is rounded, and a large c moves the other rows.
    """
    A_S, b_S = model.A[S], model.b[S]
    growth = b_S * (A_S @ w)
    rows = growth > 0  # all, where w is proved
    with np.errstate(over="ignore"):
        far = float(((FAR - b_S * (A_S @ x))[rows] / growth[rows]).max(initial=0.0))
        points = [moved for c in (far, far / 2, far / 4, 0.0) if np.all(np.isfinite(moved := x + c * w))]
    return min(points, key=lambda y: objective_up(model, y))


def _attained(problem: Problem, model: LinearModel, parts: Split) -> Optimum:
    """Self-concordance at the minimiser nearest to x0: X* = x* + null(A), which columns.N spans."""
    columns, x0, x = parts.columns, problem.x0, parts.x
    N = columns.N
    if N.shape[1]:
        x = x + N @ least_squares(N, x0 - x)
    found, x, extra = _overlap(model.A, model.b, model.b.size, x, columns)
    if found.ball is None and found.attained is None:
        return _unproved(problem, model, x, found, extra)
    certificate: dict[str, Any] = {"kind": "self-concordance" if found.ball else "exact slopes", "x": x, **extra}
    if found.ball is not None:
        certificate |= {"radius": found.ball.radius, **found.ball.numbers}
    return _enclosed(problem, found, x, certificate)


def _enclosed(problem: Problem, found: Overlap, x: Floats, certificate: dict[str, Any]) -> Optimum:
    """The optimum from bounds over all rows."""
    columns, x0 = found.columns, problem.x0
    if found.ball is None:
        note = "D not proved: the point where f is least was not enclosed"
        estimate = distance(x, x0)[1]
        return Optimum(
            found.f_lo, found.f_hi, x, 0.0, math.inf, certificate=certificate, D_estimate=estimate, notes=(note,)
        )
    optimum = in_ball(problem, found.f_lo, found.f_hi, x, found.ball.radius, certificate)
    if columns.J.size + columns.N.shape[1] < x.size:
        note = "X* is an affine space: columns are linearly dependent; D_lo not proved"
        return replace(optimum, D_lo=0.0, D_inf_lo=0.0, notes=(note,))
    return distance_modulo(optimum, x0, columns.N, found.ball.radius)


def prove_attained(problem: Problem, model: LinearModel, certificate: Any) -> Proof:
    """What a certificate without a direction proves."""
    found = proved_overlap(model.A, model.b, model.b.size, certificate["x"], certificate.get("u"))
    near = _enclosed(problem, found, certificate["x"], dict(certificate))
    ends = near.D_lo, near.D_hi, near.D_inf_lo, near.D_inf_hi
    return Proof(near.f_lo, near.f_hi, *ends, found.attained)


def prove_no_minimiser(model: LinearModel, optimum: Optimum) -> Proof:
    """What a certificate with a direction w and the rows S proves."""
    certificate, m = optimum.certificate, model.b.size
    S = np.zeros(m, dtype=bool)
    S[certificate["S"]] = True
    f_hi = objective_up(model, optimum.x)
    proof = NOTHING._replace(f_hi=f_hi)
    if separates(model.A, model.b, S, certificate["w"]).proved:
        proof = proof._replace(D_lo=math.inf, D_inf_lo=math.inf, attained=False)
    R = np.flatnonzero(~S)
    if not R.size:
        return proof
    found = proved_overlap(model.A[R], model.b[R], m, certificate["x"], certificate.get("u"))
    return proof._replace(f_lo=found.f_lo)


def _unproved(
    problem: Problem, model: LinearModel, x: Floats, found: Overlap | None = None, extra: Any = None
) -> Optimum:
    """What is left without a proof that a minimiser exists or not: bounds on f."""
    proved = found is not None and found.f_lo > 0
    what = "whether a minimiser exists is open"
    if model.A.shape[1] > LARGEST:
        what += f"; beyond {LARGEST} columns the curvature of f is not bounded"
    return Optimum(
        f_lo=found.f_lo if found is not None else 0.0,
        f_hi=objective_up(model, x),
        x=x,
        D_lo=0.0,
        D_hi=math.inf,
        attained=None,
        certificate={"kind": "exact slopes" if proved else "none", "x": x, **(extra or {})},
        D_estimate=distance(x, problem.x0)[1],
        notes=(what if proved else f"no proof succeeded: f_lo is the trivial bound 0, and {what}",),
    )
