"""Newton's method for the logistic loss of small data whose rows and columns differ by powers of ten.

A row of norm n is a kink of width 1/n beside rows of norm 1, and Newton's method jumps across it. So the loss of a
large row is tempered first,

    log(1 + exp(-sigma b z)) / sigma,   sigma = min(1, tau / n),

which keeps its slope far away and widens the kink; tau grows from the smallest n to the largest. The unknowns are those
of an orthogonal basis, and each step comes from a QR factor of the weighted rows, not from a Gram matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from problems.optimum.arithmetic.extended import Floats, margins, row_norms, transformed
from problems.optimum.arithmetic.metric import CAREFUL, by_qr, metric, product
from problems.optimum.smooth.smooth import combined, sigmoid, slopes

GROWTH = 8.0  # of tau; a few Newton steps then suffice each time
STAGE, LAST = (30, 1e-6), (60, 1e-28)  # steps, and the decrement relative to f at which they stop
ARMIJO = 0.25
POLISH = 6


def small(A: Any) -> bool:
    """Whether the QR factors and long doubles used here cost little."""
    m, p = A.shape
    return p > 0 and m * p * p <= CAREFUL


def tempered_newton(A_J: Any, b: Floats) -> Floats | None:
    """A minimiser nearly, for rows that overlap and independent columns; None where no basis is found."""
    norms = row_norms(A_J)
    T = by_qr(A_J, np.where(norms > 0, 1 / np.where(norms > 0, norms, 1.0) ** 2, 0.0))
    if T is None:
        return None
    B = product(A_J, T)[0]
    norms = np.linalg.norm(B, axis=1)
    present = norms > 0
    if not present.any():
        return None
    B, b_B, norms = B[present], b[present], norms[present]
    y, tau = np.zeros(B.shape[1]), float(norms.min())
    with np.errstate(over="ignore", invalid="ignore"):  # in steps that are refused
        while tau < norms.max():
            y = _stage(B, b_B, np.minimum(1.0, tau / norms), y, *STAGE)
            tau *= GROWTH
        y = _stage(B, b_B, np.ones(b_B.size), y, *LAST)
    x = T @ y
    return polished(A_J, b, x) if np.all(np.isfinite(x)) else None


def _stage(B: Floats, b: Floats, sigma: Floats, y: Floats, steps: int, accuracy: float) -> Floats:
    """Damped Newton steps for the tempered loss."""
    m = b.size

    def value(y: Floats) -> float:
        return float(np.mean(np.logaddexp(0.0, -sigma * b * (B @ y)) / sigma))

    f = value(y)
    for _ in range(steps):
        alpha = sigmoid(-sigma * b * (B @ y))
        g = -(B.T @ (b * alpha)) / m
        step = _newton_step(B, sigma * alpha * (1 - alpha) / m, g)
        decrement = -float(g @ step)
        if not 0 <= decrement < np.inf:
            return y
        if decrement <= accuracy * f:
            # where weights have vanished a step can be long although little is expected of it
            return y + step if value(y + step) <= f + 4e-16 * f else y
        t = 1.0
        while t > 1e-12:
            f_next = value(y + t * step)
            if f_next <= f - ARMIJO * t * decrement + 4e-16 * f:
                break
            t /= 2
        else:
            return y
        y, f = y + t * step, f_next
    return y


def _newton_step(B: Floats, weights: Floats, g: Floats) -> Floats:
    """-(B^T W B)^-1 g from a QR factor of W^1/2 B with sorted rows."""
    import scipy.linalg

    weighted = np.sqrt(weights)[:, None] * B
    order = np.argsort(-np.abs(weighted).max(axis=1))
    R, pivots = scipy.linalg.qr(weighted[order], mode="r", pivoting=True)
    n = pivots.size
    R = np.vstack([R[:n], np.zeros((max(0, n - R.shape[0]), n))])
    diagonal = np.abs(np.diag(R))
    # where weights vanish, a step in the other directions alone; tempering brings the weights back
    rank = int(np.count_nonzero(diagonal > 1e-200 * max(diagonal.max(), 1e-100)))
    step = np.zeros(n)
    if rank:
        R = R[:rank, :rank]
        half = scipy.linalg.solve_triangular(R, -g[pivots[:rank]], trans=1, check_finite=False)
        step[pivots[:rank]] = scipy.linalg.solve_triangular(R, half, check_finite=False)
    return step


def polished(A_J: Any, b: Floats, x: Floats) -> Floats:
    """x after Newton steps with the gradient in extended precision, as long as they lower it."""
    best, size = x, np.inf
    for _ in range(POLISH):
        u, weights = slopes(b, margins(A_J, x))
        chart = metric(A_J, weights / b.size)
        if chart is None:
            break
        slope = transformed(chart.T, combined(A_J, u)).value.astype(np.float64)
        if not np.linalg.norm(slope) < size:
            break
        best, size = x, float(np.linalg.norm(slope))
        x = x - chart.T @ slope
    return best
