"""Soft kinks: a point near a minimiser, by Newton's method; exact.py makes a minimiser of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from problems.optimum.arithmetic.extended import Floats
from problems.optimum.arithmetic.metric import weighted_gram
from problems.optimum.dual import Kinked
from problems.optimum.piecewise_linear.vertex import dense
from problems.optimum.smooth.smooth import solve_spd

# Newton steps with one softness; it falls by GROWTH from where every row is inside its box.
STEPS, GROWTH = 100, 8.0
# Added to the Hessian, relative to that of all rows: directions in which no row inside its box moves.
DAMPING = 1e-10
# Columns that are this near to others, relatively, count as dependent.
DEPENDENT = 1e-13


def newton_point(model: Kinked) -> Floats:
    """A point near a minimiser, by Newton steps of the best length.

    The unknowns y are those of a basis in which the columns of A, and of the penalty, are orthonormal: x = T y. The
    softness falls in stages from where every row is inside its box: from stage to stage few rows change their side.
    """
    A, b, lo, hi = dense(model.A), model.b, model.lo, model.hi
    T = _basis(A, model.l2)
    B, penalty = A @ T, model.l2 * (T.T @ T)
    y = B.T @ b
    width = np.minimum(np.where(lo < 0, -lo, np.inf), np.where(hi > 0, hi, np.inf))
    soft = max(model.soft, float((np.abs(B @ y - b) / width).max(initial=0.0)))
    while True:
        y = _stage(replace(model, A=B), soft, penalty, y)
        if soft == model.soft:
            return T @ y
        soft = max(model.soft, soft / GROWTH)


def _basis(A: Floats, l2: float) -> Floats:
    """T with as many columns as A has rank, and T^T (A^T A + m l2) T nearly the identity."""
    import scipy.linalg

    m, p = A.shape
    rows = np.vstack([A, np.sqrt(m * l2) * np.eye(p)]) if l2 > 0 else A
    norms = np.linalg.norm(rows, axis=0)
    scale = 1 / np.where(norms > 0, norms, 1.0)
    R, order = scipy.linalg.qr(rows * scale, mode="r", pivoting=True)
    pivots = np.abs(np.diag(R))
    rank = int(np.count_nonzero(pivots > DEPENDENT * pivots.max(initial=0.0)))
    T = np.zeros((p, rank))
    T[order[:rank]] = scipy.linalg.solve_triangular(R[:rank, :rank], np.eye(rank))
    return scale[:, None] * T


def _stage(model: Kinked, soft: float, penalty: Floats, y: Floats) -> Floats:
    """Newton steps until no row changes its side; where H is singular, along the gradient to the next that does."""
    A, b, lo, hi = model.A, model.b, model.lo, model.hi
    m, n = A.shape
    r = A @ y - b
    for _ in range(STEPS):
        u = np.clip(r / soft, lo, hi)
        inside = (lo < u) & (u < hi)
        H = weighted_gram(A, inside / (soft * m)) + penalty
        H[np.diag_indices(n)] += DAMPING / (soft * m)
        g = A.T @ u / m + penalty @ y
        step = -solve_spd(H, g)
        t = _best_length(model, soft, r, A @ step, float(g @ step), float(step @ penalty @ step))
        y = y + t * step
        r = A @ y - b
        u = np.clip(r / soft, lo, hi)
        if t == 0 or (abs(t - 1) < 1e-6 and np.array_equal(inside, (lo < u) & (u < hi))):
            break
    return y


def _best_length(model: Kinked, soft: float, r: Floats, moved: Floats, slope: float, curvature: float) -> float:
    """t >= 0 with the least f(x + t step); slope: that of f along the step at 0, curvature: that of the penalty.

    Along the step the slope of f rises with moved_i^2 / (soft m) while row i is inside its box.
    """
    if not -np.inf < slope < 0:
        return 0.0
    at = np.flatnonzero(moved)
    ends = np.array([soft * model.lo[at] - r[at], soft * model.hi[at] - r[at]]) / moved[at]
    weights = np.square(moved[at]) / (soft * model.b.size)
    times = np.maximum(np.concatenate([ends.min(axis=0), ends.max(axis=0)]), 0.0)
    order = np.argsort(times)
    times = np.append(0.0, times[order])
    rises = curvature + np.append(0.0, np.cumsum(np.concatenate([weights, -weights])[order]))
    slopes = slope + np.append(0.0, np.cumsum(rises[:-1] * np.diff(times)))
    rising = np.flatnonzero(slopes >= 0)
    last = int(rising[0]) - 1 if rising.size else slopes.size - 1
    return float(times[last] - slopes[last] / rises[last]) if rises[last] > 0 else float(times[last])
