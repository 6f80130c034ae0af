"""Damped Newton steps: one loop for every smooth loss; a use chooses the step, its length and the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from problems.matrix import weighted_gram
from problems.optimum.arithmetic.columns import DENSE
from problems.optimum.arithmetic.extended import Floats, least_squares

MAX_NEWTON = 300
ARMIJO = 0.25  # any constant below 1/2 keeps full Newton steps near the minimiser
# f is known to 1e-16: a predicted decrease (half the squared Newton decrement) below this changes nothing.
CONVERGED = 1e-30
ROUNDING = 4e-16  # of f, relative
FARTHEST = 1e100  # a step so long comes from a Hessian without digits, and its square would overflow
# Margins that still move so far with a step by which f falls so little drift to infinity.
DRIFTS, DECREASE = 0.3, 1e-7


class SmoothLoss(Protocol):
    """A mean loss in floating point, as a function of margins that are linear in x."""

    def margins(self, x: Floats) -> Floats:
        """z, linear in x."""

    def value(self, z: Floats) -> float:
        """The mean loss."""

    def gradient(self, z: Floats) -> Floats:
        """Its gradient in x."""

    def hessian(self, z: Floats) -> Floats | None:
        """Its Hessian in x, where it is of moderate size."""

    def curvature(self, z: Floats) -> Callable[[Floats], Floats]:
        """Its Hessian in x as a map."""


class RowLoss(ABC):
    """The mean over m rows of a loss of the margin <a_i, x>, from its derivatives."""

    def __init__(self, A: Any) -> None:
        self.A, self.m = A, A.shape[0]

    @abstractmethod
    def slopes(self, z: Floats) -> Floats:
        """First derivatives of the loss, row by row."""

    @abstractmethod
    def weights(self, z: Floats) -> Floats:
        """Second derivatives divided by m: the Hessian in x is A^T diag(weights) A."""

    def margins(self, x: Floats) -> Floats:
        """A x."""
        return np.asarray(self.A @ x)

    def gradient(self, z: Floats) -> Floats:
        """The gradient in x."""
        return self.A.T @ self.slopes(z) / self.m

    def hessian(self, z: Floats) -> Floats | None:
        """The Hessian in x, for up to DENSE columns."""
        return weighted_gram(self.A, self.weights(z)) if self.A.shape[1] <= DENSE else None

    def curvature(self, z: Floats) -> Callable[[Floats], Floats]:
        """The Hessian in x as a map."""
        weights = self.weights(z)
        return lambda v: self.A.T @ (weights * (self.A @ v))


class Stop(NamedTuple):
    """The end of Newton's method: x, the last step, and whether its decrement went to zero.

    still: where some pairs of row and class drift to infinity, the mask (m, C) of those that do not.
    """

    x: Floats
    step: Floats
    converged: bool
    still: Any = None


class Newton:
    """Newton's method for the mean loss plus l2/2 ||x||^2; a use defines the step, its length and when to stop."""

    shortest = 1e-10  # the shortest step, as a part of Newton's; it is taken even where f does not fall
    gives_up = False  # whether to stop there instead, and return the last point

    def __init__(self, loss: SmoothLoss, l2: float) -> None:
        self.loss, self.l2 = loss, l2

    def margins_at(self, x: Floats) -> Floats:
        """The margins at x."""
        return self.loss.margins(x)

    def value(self, z: Floats, x: Floats) -> float:
        """f at x, whose margins are z."""
        return self.loss.value(z) + self.l2 / 2 * (float(x @ x) if x.ndim == 1 else float(np.sum(x * x)))

    def ended(self, z: Floats) -> bool:
        """Whether the margins show that there is no minimiser."""
        return False

    def step(self, x: Floats, z: Floats, f: float) -> tuple[Floats, float]:
        """(step, decrement): the step and the decrease of f along it to first order."""
        raise NotImplementedError

    def stopped(self, x: Floats, z: Floats, f: float, step: Floats, decrement: float) -> Stop | None:
        """The result where this step is the last or none; None to take it as others are taken."""
        raise NotImplementedError

    def drifting(self, x: Floats, step: Floats, moved: Floats, decrement: float) -> Stop | None:
        """The result where margins drift to infinity, None elsewhere; moved: the margins of the step."""
        return None

    def settled(self, f: float, f_next: float, decrement: float) -> bool:
        """Whether the step from f to f_next was the last."""
        return False

    def length(
        self, x: Floats, z: Floats, f: float, step: Floats, moved: Floats, decrement: float
    ) -> tuple[float, float]:
        """(t, f(x + t step)): the first of 1, 1/2, 1/4, ... at which f falls by ARMIJO t decrement."""
        t = 1.0
        while True:
            f_next = self.value(z + t * moved, x + t * step)
            if f_next <= f - ARMIJO * t * decrement + ROUNDING * abs(f):
                return t, f_next
            if t / 2 <= self.shortest:
                return (0.0, f) if self.gives_up else (t / 2, f_next)
            t /= 2

    def run(self, start: Floats, patience: int = MAX_NEWTON) -> Stop:
        """Take steps from start, at most `patience` of them."""
        x = start.astype(np.float64).copy()
        z, step = self.margins_at(x), np.zeros(x.shape)
        f = self.value(z, x)
        for _ in range(patience):
            if self.ended(z):
                return Stop(x, x, False)
            step, decrement = self.step(x, z, f)
            if (stop := self.stopped(x, z, f, step, decrement)) is not None:
                return stop
            moved = self.loss.margins(step)
            if (stop := self.drifting(x, step, moved, decrement)) is not None:
                return stop
            t, f_next = self.length(x, z, f, step, moved, decrement)
            if t == 0.0:
                break
            x = x + t * step
            z = self.margins_at(x)
            last, f = self.settled(f, f_next, decrement), f_next
            if last:
                return Stop(x, step, True)
        return Stop(x, step, False)


class Overlapping(Newton):
    """Newton's method for losses whose rows may be separable: with l2 = 0 there may be no minimiser.

    Stops at convergence; for l2 = 0 also (ended, drifting) at a point that separates all rows, or as soon as steps keep
    moving some margins by about 1 while f hardly falls: exp(-t) has Newton step 1 for ever, so those rows drift to
    infinity. With l2 > 0 they stop in the end, where f can be tiny: then convergence is relative to f.
    """

    converged = CONVERGED

    def __init__(self, loss: SmoothLoss, l2: float) -> None:
        super().__init__(loss, l2)
        self.stalled = 0

    def stopped(self, x: Floats, z: Floats, f: float, step: Floats, decrement: float) -> Stop | None:
        """Stop at convergence, or where the Hessian has no digits."""
        if not np.isfinite(decrement) or np.abs(step).max(initial=0.0) > FARTHEST:
            return Stop(x, np.zeros(x.shape), False)
        return Stop(x + step, step, True) if decrement <= self.converged * (f if self.l2 > 0 else 1.0) else None

    def settled(self, f: float, f_next: float, decrement: float) -> bool:
        """Whether three steps in a row were at the rounding of f, where the decrement no longer falls."""
        small = decrement < 1e-14 * (f if self.l2 > 0 else max(f, 1e-14))
        self.stalled = self.stalled + 1 if small else 0
        return self.stalled == 3


def solve_spd(H: Floats, g: Floats) -> Floats:
    """H^-1 g by Cholesky in unit-diagonal scaling; by least squares where H is singular to rounding."""
    import scipy.linalg

    diagonal = np.diag(H)
    scale = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    scaled = H * np.outer(scale, scale)
    try:
        return scale * scipy.linalg.cho_solve(scipy.linalg.cho_factor(scaled), scale * g)
    except np.linalg.LinAlgError:
        return scale * least_squares(scaled, scale * g)


def conjugate_gradients(
    curvature: Callable[[Floats], Floats], shift: float, g: Floats, rtol: float, steps: int, diagonal: Any = 1.0
) -> Floats:
    """(H + shift)^-1 g to this relative residual, or after so many steps; diagonal: what to scale by."""
    import scipy.sparse.linalg

    def operator(product: Callable[[Floats], Floats]) -> Any:
        return scipy.sparse.linalg.LinearOperator((g.size, g.size), matvec=product, dtype=np.float64)

    H, P = operator(lambda v: curvature(v) + shift * v), operator(lambda v: v / diagonal)
    return scipy.sparse.linalg.cg(H, g, rtol=rtol, maxiter=steps, M=P)[0]
