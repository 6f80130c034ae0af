"""Newton's method for the multinomial logistic loss: points that look optimal, proved elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from problems.matrix import dense, squared
from problems.optimum.arithmetic.columns import DENSE
from problems.optimum.arithmetic.extended import Floats, Indices, Mask
from problems.optimum.newton import DECREASE, DRIFTS, MAX_NEWTON, Overlapping, Stop, conjugate_gradients, solve_spd
from problems.optimum.smooth.softmax import Rows

# The Hessian is formed for at most this many unknowns; it takes 8 bytes times their square.
DENSE_UNKNOWNS = 3000
# With l2 > 0, ||g||^2 below this times l2 f puts f within 1e-18 f of its minimum, by strong convexity.
SHARP = 1e-18
CG_STEPS = 500
# Residual of the first linear system, relative to its right-hand side.
LOOSE = 0.1
# Pairs on their way to infinity move by about 1 with each step, and what they add to f falls by a factor e; the others
# move by less and less. The two are told apart once f hardly falls and no pair has moved by anything between for
# SETTLED steps.
SETTLED, STILL, MOVES = 3, 1e-3, 1e-2
ROWS = 256
FLUSHED = 1e-100


class Multinomial:
    """The mean multinomial logistic loss in floating point; x is W, (p, C), or W.ravel()."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.size = rows.A.shape[1] * rows.C

    def margins(self, x: Floats) -> Floats:
        """A W."""
        return np.asarray(self.rows.A @ x.reshape(-1, self.rows.C))

    def value(self, z: Floats) -> float:
        """The mean loss."""
        gap = np.where(self.rows.keep, -growth(self.rows, z), -np.inf)
        top = gap.max(axis=1)
        e = np.exp(gap - top[:, None])
        e[np.arange(top.size), np.argmax(gap, axis=1)] = 0.0
        return float((top + np.log1p(e.sum(axis=1))).sum()) / self.rows.m

    def gradient(self, z: Floats) -> Floats:
        """The gradient in W, (p, C)."""
        i, y = np.arange(self.rows.y.size), self.rows.y
        U = probabilities(self.rows, z)
        U[i, y] = 0
        U[i, y] = -U.sum(axis=1)  # 1 minus the probability, without cancellation
        return self.rows.A.T @ U / self.rows.m

    def hessian(self, z: Floats) -> Floats | None:
        """The Hessian in W.ravel(), for up to DENSE unknowns."""
        if self.size > DENSE:
            return None
        return hessian(self.rows, probabilities(self.rows, z), 0.0, np.arange(self.size))

    def curvature(self, z: Floats) -> Callable[[Floats], Floats]:
        """The Hessian as a map of W.ravel()."""
        pi, A = probabilities(self.rows, z), self.rows.A

        def product(v: Floats) -> Floats:
            moved = A @ v.reshape(-1, self.rows.C)
            moved = pi * (moved - (pi * moved).sum(axis=1)[:, None])
            return (A.T @ moved / self.rows.m).ravel()

        return product


class _Overlapping(Overlapping):
    """Newton's method for f_K in a basis; see newton."""

    def __init__(self, rows: Rows, l2: float, basis: Any, enough: float) -> None:
        super().__init__(Multinomial(rows), l2)
        self.rows, self.basis, self.enough = rows, basis, enough
        self.size = self.first = 0.0
        self.moves: list[Floats] = []

    def ended(self, z: Floats) -> bool:
        """Whether each row's own class leads by enough."""
        return self.l2 == 0 and separates(self.rows, z, self.enough)

    def step(self, x: Floats, z: Floats, f: float) -> tuple[Floats, float]:
        """The Newton step in the basis."""
        g = self.loss.gradient(z) + self.l2 * x
        self.size = float(np.linalg.norm(g))
        self.first = self.first or self.size or 1.0
        pi, basis = probabilities(self.rows, z), self.basis
        step: Floats = np.zeros(g.size)
        if basis.ndim == 2:
            H = basis.T @ hessian(self.rows, pi, self.l2, np.arange(g.size)) @ basis
            step = -(basis @ solve_spd(H, basis.T @ g.ravel()))
        elif basis.size <= DENSE_UNKNOWNS:
            step[basis] = -solve_spd(hessian(self.rows, pi, self.l2, basis), g.ravel()[basis])
        else:
            step = -self._conjugate_gradients(z, pi, g.ravel())
        step = step.reshape(g.shape)
        return step, -float(np.sum(g * step))

    def _conjugate_gradients(self, z: Floats, pi: Floats, g: Floats) -> Floats:
        """H^-1 g to a relative residual that falls with sqrt(||g||), scaled by the diagonal of H.

        Newton's method then converges with order 1.5.
        """
        A = self.rows.A
        diagonal = (squared(A).T @ (pi * (1 - pi)) / self.rows.m + self.l2).ravel()
        rtol = LOOSE * np.sqrt(self.size / self.first if self.l2 > 0 else 1.0)
        scale = np.where(diagonal > 0, diagonal, 1.0)
        return conjugate_gradients(self.loss.curvature(z), self.l2, g, rtol, CG_STEPS, scale)

    def stopped(self, x: Floats, z: Floats, f: float, step: Floats, decrement: float) -> Stop | None:
        """Stop at convergence, by the decrement or by the gradient, or where the Hessian has no digits."""
        stop = super().stopped(x, z, f, step, decrement)
        return Stop(x + step, step, True) if stop is None and self.size**2 <= SHARP * self.l2 * f else stop

    def drifting(self, x: Floats, step: Floats, moved: Floats, decrement: float) -> Stop | None:
        """Stop where some pairs drift off and all others are still."""
        if self.l2 > 0:
            return None
        self.moves = [*self.moves[1 - SETTLED :], np.abs(growth(self.rows, moved))]
        still = _still(self.rows, self.moves) if decrement < DECREASE and len(self.moves) == SETTLED else None
        return None if still is None else Stop(x, step, False, still)


def newton(
    rows: Rows,
    l2: float,
    start: Floats,
    basis: Any,
    patience: int = MAX_NEWTON,
    enough: float = 0.0,
) -> Stop:
    """Minimise f_K by damped Newton steps.

    Stops at convergence; for l2 = 0 also where each row's own class has the largest margin, or where some pairs drift
    off and all others are still.

    Parameters
    ----------
    basis : (q,) indices or (p C, q) matrix
        Entries of W.ravel(), or vectors, that steps are taken in; for l2 = 0 they span what f_K depends on. Where they
        are more than DENSE_UNKNOWNS they must be all entries.
    enough : float >= 0
        By how much the own class must lead for the stop at separation.
    """
    return _Overlapping(rows, l2, basis, enough).run(start, patience)


def _still(rows: Rows, moves: list[Floats]) -> Mask | None:
    """The mask of pairs that have hardly moved; None unless all others have, some of them to the end."""
    largest = np.max(moves, axis=0)
    still, moving = largest <= STILL, largest >= MOVES
    return still if moves[-1].max() >= DRIFTS and np.all(still | moving) else None


def growth(rows: Rows, moved: Floats) -> Floats:
    """Change of z_y - z_c for each pair; 0 outside K."""
    return np.where(rows.keep, moved[np.arange(rows.y.size), rows.y][:, None] - moved, 0.0)


def separates(rows: Rows, z: Floats, enough: float = 0.0) -> bool:
    """Whether z_y > z_c + enough for all other classes in K."""
    gap = growth(rows, z)
    gap[np.arange(rows.y.size), rows.y] = np.inf
    return bool(np.all(gap[rows.keep] > enough))


def probabilities(rows: Rows, z: Floats) -> Floats:
    """Softmax over K_i."""
    z = np.where(rows.keep, z, -np.inf)
    e = np.exp(z - z.max(axis=1)[:, None])
    return e / e.sum(axis=1)[:, None]


def hessian(rows: Rows, pi: Floats, l2: float, at: Indices, block: int = ROWS) -> Floats:
    """The Hessian in the entries `at`: blocks A^T diag(w_cd) A / m, w_cc = pi_c (sum of the others), w_cd = -pi_c pi_d.

    The rows are taken `block` at a time. Probabilities below FLUSHED count as 0: products of such would be subnormal,
    which are a hundred times as slow, and without them H is no larger.
    """
    m, C = pi.shape
    pi = np.where(pi < FLUSHED, 0.0, pi)
    p = rows.A.shape[1]
    H = np.zeros((p, C, p, C))
    for first in range(0, m, block):
        A = dense(rows.A[first : first + block])
        q = pi[first : first + block]
        for c in range(C):
            weights = -q[:, c : c + 1] * q[:, c:]
            weights[:, 0] = q[:, c] * (q[:, :c].sum(axis=1) + q[:, c + 1 :].sum(axis=1))
            weighted = (A[:, :, None] * weights[:, None, :]).reshape(A.shape[0], -1)
            H[:, c, :, c:] += (A.T @ weighted).reshape(p, p, C - c)
    for c in range(C):
        H[:, c + 1 :, :, c] = H[:, c, :, c + 1 :].transpose(1, 2, 0)
    H = H.reshape(p * C, p * C) / rows.m
    H = H[np.ix_(at, at)] if at.size < p * C else H
    H[np.diag_indices(at.size)] += l2
    return H
