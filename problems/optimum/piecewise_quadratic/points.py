"""Soft kinks: a point near a minimiser, by Newton's method; exact.py makes a minimiser of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from problems.matrix import dense, weighted_gram
from problems.optimum.arithmetic.extended import Floats, Mask
from problems.optimum.dual import Kinked
from problems.optimum.newton import Newton, RowLoss, Stop, solve_spd

# At most STEPS Newton steps with one softness, which starts where every row is inside its box and falls by GROWTH.
STEPS, GROWTH = 100, 8.0
# Added to the Hessian, relative to that of all rows: directions in which no row inside its box moves.
DAMPING = 1e-10
# Columns relatively nearer to others than this count as dependent.
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
        y = _Stage(Soft(replace(model, A=B, soft=soft)), penalty).run(y, STEPS).x
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


class Soft(RowLoss):
    """The mean loss of soft kinks in floating point."""

    def __init__(self, model: Kinked) -> None:
        super().__init__(model.A)
        self.model = model

    def slopes(self, z: Floats) -> Floats:
        """The slopes u."""
        return np.clip((z - self.model.b) / self.model.soft, self.model.lo, self.model.hi)

    def inside(self, z: Floats) -> Mask:
        """Rows strictly inside their boxes."""
        u = self.slopes(z)
        return (self.model.lo < u) & (u < self.model.hi)

    def value(self, z: Floats) -> float:
        """The mean loss."""
        u = self.slopes(z)
        return float(np.mean(u * (z - self.model.b - self.model.soft / 2 * u)))

    def weights(self, z: Floats) -> Floats:
        """1 / (soft m) on the rows inside their boxes, 0 elsewhere."""
        return self.inside(z) / (self.model.soft * self.m)


class _Stage(Newton):
    """Steps of the best length until no row changes its side; where H is singular, along the gradient to one that does.

    The penalty is a matrix in these unknowns.
    """

    def __init__(self, loss: Soft, penalty: Floats) -> None:
        super().__init__(loss, 0.0)
        self.rows, self.penalty = loss, penalty
        self.inside = self.before = np.zeros(loss.m, dtype=bool)
        self.full = False

    def value(self, z: Floats, x: Floats) -> float:
        """f at x."""
        return self.loss.value(z) + float(x @ self.penalty @ x) / 2

    def step(self, x: Floats, z: Floats, f: float) -> tuple[Floats, float]:
        """The step with the Hessian of the rows inside their boxes."""
        self.before, self.inside = self.inside, self.rows.inside(z)
        H = weighted_gram(self.rows.A, self.rows.weights(z)) + self.penalty
        H[np.diag_indices(x.size)] += DAMPING / (self.rows.model.soft * self.rows.m)
        g = self.loss.gradient(z) + self.penalty @ x
        step = -solve_spd(H, g)
        return step, -float(g @ step)

    def stopped(self, x: Floats, z: Floats, f: float, step: Floats, decrement: float) -> Stop | None:
        """Stop where a full step has left every row on its side."""
        at_the_end = self.full and np.array_equal(self.inside, self.before)
        return Stop(x, step, True) if at_the_end or not 0 < decrement < np.inf else None

    def length(
        self, x: Floats, z: Floats, f: float, step: Floats, moved: Floats, decrement: float
    ) -> tuple[float, float]:
        """The t >= 0 where f is least.

        Along the step the slope of f rises with moved_i^2 / (soft m) while row i is inside its box.
        """
        model, at = self.rows.model, np.flatnonzero(moved)
        r = (z - model.b)[at]
        ends = np.array([model.soft * model.lo[at] - r, model.soft * model.hi[at] - r]) / moved[at]
        weights = np.square(moved[at]) / (model.soft * self.rows.m)
        times = np.maximum(np.concatenate([ends.min(axis=0), ends.max(axis=0)]), 0.0)
        order = np.argsort(times)
        times = np.append(0.0, times[order])
        curvature = float(step @ self.penalty @ step)
        rises = curvature + np.append(0.0, np.cumsum(np.concatenate([weights, -weights])[order]))
        slopes = -decrement + np.append(0.0, np.cumsum(rises[:-1] * np.diff(times)))
        rising = np.flatnonzero(slopes >= 0)
        last = int(rising[0]) - 1 if rising.size else slopes.size - 1
        t = float(times[last] - (slopes[last] / rises[last] if rises[last] > 0 else 0.0))
        self.full = abs(t - 1) < 1e-6
        return t, self.value(z + t * moved, x + t * step)
