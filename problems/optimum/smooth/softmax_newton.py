"""Newton's method for the multinomial logistic loss: points that look optimal, proved elsewhere."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from problems.optimum.arithmetic.extended import Floats
from problems.optimum.smooth.smooth import solve_spd
from problems.optimum.smooth.softmax import Indices, Mask, Rows

MAX_NEWTON = 300
# Up to so many unknowns the Hessian is formed; it takes 8 bytes times their square.
DENSE_UNKNOWNS = 3000
# f is known to 1e-16: a predicted decrease below this changes nothing.
CONVERGED = 1e-30
# With l2 > 0, ||g||^2 below this times l2 f puts f within 1e-18 f of its minimum, by strong convexity.
SHARP = 1e-18
ARMIJO = 0.25  # any constant below 1/2 keeps full Newton steps near the minimiser
CG_STEPS = 500
# Residual of the first linear system, beside its right-hand side.
LOOSE = 0.1
# Pairs on their way to infinity move by about 1 with each step, and what they add to f falls by a factor e; the others
# move by less and less. These are told apart once f hardly falls, and for some steps no pair moves by anything between.
DECREASE, SETTLED = 1e-7, 3
STILL, MOVES, DRIFTS = 1e-3, 1e-2, 0.3
ROWS = 256
FLUSHED = 1e-100


class Newton(NamedTuple):
    """Where Newton stopped: W, the last step, and whether its decrement went to zero.

    still: where it did not because some pairs drift to infinity, the mask (m, C) of those that do not.
    """

    W: Floats
    step: Floats
    converged: bool
    still: Mask | None = None


def newton(
    rows: Rows,
    l2: float,
    start: Floats,
    basis: Any,
    patience: int = MAX_NEWTON,
    enough: float = 0.0,
) -> Newton:
    """Minimise f_K by damped Newton steps.

    Stops at convergence; for l2 = 0 also where each row's own class has the largest margin, or where some pairs drift
    off and all others are still.

    Parameters
    ----------
    basis : (q,) indices or (p C, q) matrix
        Entries of W.ravel(), or vectors, that steps are taken in; for l2 = 0 they span what f_K depends on.
    enough : float >= 0
        By how much the own class must lead for the stop at separation.
    """
    i = np.arange(rows.y.size)
    W = start.astype(np.float64).copy()
    z = rows.A @ W
    step = np.zeros(W.shape)
    f = value(rows, z) + l2 / 2 * float(np.sum(W * W))
    stalled, first = 0, 0.0
    moves: list[Floats] = []
    for _ in range(patience):
        if l2 == 0 and separates(rows, z, enough):
            return Newton(W, W, False)
        pi = probabilities(rows, z)
        U = pi.copy()
        U[i, rows.y] = 0
        U[i, rows.y] = -U.sum(axis=1)
        g = rows.A.T @ U / rows.m + l2 * W
        size = float(np.linalg.norm(g))
        first = first or size or 1.0
        step = _step(rows, pi, l2, g, basis, size / first if l2 > 0 else 1.0)
        decrement = -float(np.sum(g * step))
        if not np.isfinite(decrement):
            return Newton(W, np.zeros(W.shape), False)
        if decrement <= CONVERGED * (f if l2 > 0 else 1.0) or size**2 <= SHARP * l2 * f:
            return Newton(W + step, step, True)
        moved = rows.A @ step
        if l2 == 0:
            moves = [*moves[1 - SETTLED :], np.abs(growth(rows, moved))]
            still = _still(rows, moves) if decrement < DECREASE and len(moves) == SETTLED else None
            if still is not None:
                return Newton(W, step, False, still)
        t = 1.0
        while t > 1e-10:
            f_next = value(rows, z + t * moved) + l2 / 2 * float(np.sum((W + t * step) ** 2))
            if f_next <= f - ARMIJO * t * decrement + 4e-16 * abs(f):
                break
            t /= 2
        W = W + t * step
        z = rows.A @ W
        stalled = stalled + 1 if decrement < 1e-14 * (f if l2 > 0 else max(f, 1e-14)) else 0
        f = f_next
        if stalled == 3:
            return Newton(W, step, True)
    return Newton(W, step, False)


def _step(rows: Rows, pi: Floats, l2: float, g: Floats, basis: Any, progress: float) -> Floats:
    """-H^-1 g in the basis; progress: ||g|| beside what it was at first."""
    if basis.ndim == 2:
        H = basis.T @ hessian(rows, pi, l2, np.arange(g.size)) @ basis
        return -(basis @ solve_spd(H, basis.T @ g.ravel())).reshape(g.shape)
    step = np.zeros(g.size)
    if basis.size <= DENSE_UNKNOWNS:
        step[basis] = -solve_spd(hessian(rows, pi, l2, basis), g.ravel()[basis])
    else:
        step[basis] = -_conjugate_gradients(rows, pi, l2, g, basis, progress)
    return step.reshape(g.shape)


def _still(rows: Rows, moves: list[Floats]) -> Mask | None:
    """Pairs that have hardly moved, if all others have, and some do so to the end."""
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


def value(rows: Rows, z: Floats) -> float:
    """The mean loss at margins z, in float64."""
    gap = np.where(rows.keep, -growth(rows, z), -np.inf)
    top = gap.max(axis=1)
    e = np.exp(gap - top[:, None])
    e[np.arange(top.size), np.argmax(gap, axis=1)] = 0.0
    return float((top + np.log1p(e.sum(axis=1))).sum()) / rows.m


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
        A = rows.A[first : first + block]
        A = A.toarray() if hasattr(A, "toarray") else A
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


def _conjugate_gradients(rows: Rows, pi: Floats, l2: float, g: Floats, at: Indices, progress: float) -> Floats:
    """H^-1 g to a relative residual that falls with sqrt(||g||), preconditioned by the diagonal of H.

    Newton's method then converges with order 1.5.
    """
    import scipy.sparse.linalg

    m = rows.m
    A, squares = rows.A, rows.A.multiply(rows.A) if hasattr(rows.A, "tocsr") else rows.A**2
    diagonal = (squares.T @ (pi * (1 - pi)) / m + l2).ravel()[at]
    diagonal = np.where(diagonal > 0, diagonal, 1.0)

    def product(v: Floats) -> Floats:
        V = np.zeros(g.size)
        V[at] = v
        moved = A @ V.reshape(g.shape)
        moved = pi * (moved - (pi * moved).sum(axis=1)[:, None])
        return (A.T @ moved / m + l2 * V.reshape(g.shape)).ravel()[at]

    n = at.size
    H = scipy.sparse.linalg.LinearOperator((n, n), matvec=product, dtype=np.float64)
    P = scipy.sparse.linalg.LinearOperator((n, n), matvec=lambda v: v / diagonal, dtype=np.float64)
    rtol = LOOSE * np.sqrt(progress)
    return scipy.sparse.linalg.cg(H, g.ravel()[at], rtol=rtol, maxiter=CG_STEPS, M=P)[0]
