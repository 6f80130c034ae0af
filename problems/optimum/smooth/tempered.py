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

from problems.optimum.arithmetic.extended import Floats, row_norms
from problems.optimum.arithmetic.metric import by_qr, product
from problems.optimum.newton import ROUNDING, Newton, Stop
from problems.optimum.smooth.smooth import Logistic, polished

GROWTH = 8.0  # of tau; a few Newton steps then suffice each time
STAGE, LAST = (30, 1e-6), (60, 1e-28)  # steps, and the decrement relative to f at which they stop


def tempered_newton(A_J: Any, b: Floats) -> Floats | None:
    """An approximate minimiser for rows that overlap and independent columns; None where no basis is found."""
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
            y = _Tempered(Logistic(B, b_B, np.minimum(1.0, tau / norms)), STAGE[1]).run(y, STAGE[0]).x
            tau *= GROWTH
        y = _Tempered(Logistic(B, b_B), LAST[1]).run(y, LAST[0]).x
    x = T @ y
    return polished(A_J, b, x) if np.all(np.isfinite(x)) else None


class _Tempered(Newton):
    """Newton's method for the tempered loss, with steps from QR factors; at an end that rounding hides, it gives up."""

    shortest, gives_up = 1e-12, True

    def __init__(self, loss: Logistic, accuracy: float) -> None:
        super().__init__(loss, 0.0)
        self.rows, self.accuracy = loss, accuracy

    def step(self, x: Floats, z: Floats, f: float) -> tuple[Floats, float]:
        """The step by a QR factor of the weighted rows."""
        g = self.loss.gradient(z)
        step = _newton_step(self.rows.A, self.rows.weights(z), g)
        return step, -float(g @ step)

    def stopped(self, x: Floats, z: Floats, f: float, step: Floats, decrement: float) -> Stop | None:
        """Stop at convergence, or where the Hessian has no digits."""
        if not 0 <= decrement < np.inf:
            return Stop(x, step, False)
        if decrement > self.accuracy * f:
            return None
        # where weights have vanished a step can be long although little is expected of it
        good = self.value(self.margins_at(x + step), x + step) <= f + ROUNDING * f
        return Stop(x + step if good else x, step, True)


def _newton_step(B: Floats, weights: Floats, g: Floats) -> Floats:
    """-(B^T W B)^-1 g from a QR factor of W^1/2 B with sorted rows."""
    import scipy.linalg

    weighted = np.sqrt(weights)[:, None] * B
    order = np.argsort(-np.abs(weighted).max(axis=1))
    R, pivots = scipy.linalg.qr(weighted[order], mode="r", pivoting=True)
    n = pivots.size
    R = np.vstack([R[:n], np.zeros((max(0, n - R.shape[0]), n))])
    diagonal = np.abs(np.diag(R))
    # where weights vanish the step is in the other directions alone; tempering brings the weights back
    rank = int(np.count_nonzero(diagonal > 1e-200 * max(diagonal.max(), 1e-100)))
    step = np.zeros(n)
    if rank:
        R = R[:rank, :rank]
        half = scipy.linalg.solve_triangular(R, -g[pivots[:rank]], trans=1, check_finite=False)
        step[pivots[:rank]] = scipy.linalg.solve_triangular(R, half, check_finite=False)
    return step
