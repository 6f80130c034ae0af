"""Logistic loss: Newton's method, and the proofs at the point where it stops.

Self-concordance, [1, Proposition 1]: with g and H the gradient and the Hessian at x, R = max ||a_i||,
psi(t) = (exp(-t) + t - 1)/t^2,

    f(y) >= f(x) + <g, y - x> + ||y - x||_H^2 psi(R ||y - x||).

Let mu be the smallest eigenvalue of H. If ||g|| < mu r psi(R r) then f > f(x) on the sphere of radius r, hence
outside it: a minimiser exists within r of x, and all are there. Since psi decreases, f is at least
f(x) - ||g|| t + mu psi(R r) t^2 at a distance t <= r, and f* >= f(x) - ||g||^2 / (4 mu psi(R r)). This is used in
coordinates y = x + E_J T s, where J are independent columns and T makes H nearly the identity: every value of
A y is reached, and a step of length r in s moves x by at most ||T||_F r. With l2 > 0 the inequality holds for the
whole of f and H, psi being at most 1/2; then J are all columns. Where l2 is small beside the curvature of the
losses this is far sharper than strong convexity.

[1] F. Bach. Self-concordant analysis for logistic regression. Electronic J. of Statistics 4, 2010.
    https://doi.org/10.1214/09-EJS521
"""

from __future__ import annotations

from typing import Any

import numpy as np

from problems.optimum.arithmetic.columns import DENSE
from problems.optimum.arithmetic.extended import EPS, OUTWARD, TINY, Bounded, Floats, margins, norm_up, transformed
from problems.optimum.arithmetic.metric import Metric, metric, small
from problems.optimum.dual import penalised_slope
from problems.optimum.law import Enclosure
from problems.optimum.newton import (
    CONVERGED,
    DECREASE,
    DRIFTS,
    MAX_NEWTON,
    Overlapping,
    RowLoss,
    Stop,
    conjugate_gradients,
    solve_spd,
)

# With conjugate gradients one more step is costly; its decrement would be the square of this one.
CONVERGED_BY_CG = 1e-17
CG_STEPS = 1000
POLISH = 6
EXP_LIMIT = float(np.log(np.finfo(np.longdouble).max)) - 1.0  # the weight of a row beyond is 0 in any case


class Logistic(RowLoss):
    """The mean logistic loss in floating point; of sharpness sigma, log(1 + exp(-sigma b z)) / sigma."""

    def __init__(self, A: Any, b: Floats, sigma: Any = 1.0) -> None:
        super().__init__(A)
        self.b, self.sigma = b, sigma

    def value(self, z: Floats) -> float:
        """The mean loss."""
        return float((np.logaddexp(0.0, -self.sigma * self.b * z) / self.sigma).mean())

    def slopes(self, z: Floats) -> Floats:
        """-b alpha, alpha = 1 / (1 + exp(sigma b z))."""
        return -self.b * sigmoid(-self.sigma * self.b * z)

    def weights(self, z: Floats) -> Floats:
        """sigma alpha (1 - alpha) / m."""
        alpha = sigmoid(-self.sigma * self.b * z)
        return self.sigma * alpha * (1 - alpha) / self.m


def sigmoid(t: Floats) -> Floats:
    """1 / (1 + exp(-t))."""
    e = np.exp(-np.abs(t))
    return np.where(t >= 0, 1.0, e) / (1.0 + e)


class _Overlapping(Overlapping):
    """Newton's method for the logistic loss."""

    def __init__(self, A: Any, b: Floats, l2: float) -> None:
        super().__init__(Logistic(A, b), l2)
        self.b, self.accuracy = b, 0.1
        self.converged = CONVERGED if A.shape[1] <= DENSE else CONVERGED_BY_CG

    def ended(self, z: Floats) -> bool:
        """Whether all rows are separated."""
        return self.l2 == 0 and bool(np.all(self.b * z > 0))

    def step(self, x: Floats, z: Floats, f: float) -> tuple[Floats, float]:
        """The step by Cholesky, or by conjugate gradients as accurate as convergence asks."""
        g = self.loss.gradient(z) + self.l2 * x
        H = self.loss.hessian(z)
        if H is None:
            # on text, scaling by the diagonal of H takes more steps
            step = -conjugate_gradients(self.loss.curvature(z), self.l2, g, self.accuracy, CG_STEPS)
        else:
            H[np.diag_indices(x.size)] += self.l2
            step = -solve_spd(H, g)
        return step, -float(g @ step)

    def stopped(self, x: Floats, z: Floats, f: float, step: Floats, decrement: float) -> Stop | None:
        """Stop at convergence, or where the Hessian has no digits; sets the accuracy of the next step."""
        stop = super().stopped(x, z, f, step, decrement)
        if stop is None:
            # an exact step would leave a decrement of the order of its square; this accuracy keeps that speed
            self.accuracy = max(1e-12, min(self.accuracy, np.sqrt(decrement / max(f, CONVERGED))))
        return stop

    def drifting(self, x: Floats, step: Floats, moved: Floats, decrement: float) -> Stop | None:
        """Stop where some margins still move although f hardly falls."""
        drifts = self.l2 == 0 and decrement < DECREASE and np.abs(moved).max() > DRIFTS
        return Stop(x, step, False) if drifts else None


def newton(A: Any, b: Floats, l2: float, start: Floats, patience: int = MAX_NEWTON) -> Stop:
    """Minimise the mean logistic loss plus l2/2 ||x||^2, or stop where rows drift to infinity."""
    return _Overlapping(A, b, l2).run(start, patience)


def slopes(b: Floats, z: Bounded) -> tuple[Bounded, Floats]:
    """(u, weights): derivatives u_i = -b_i alpha_i of the losses with error bounds, and alpha_i (1 - alpha_i).

    The weights, those of the Hessian, are in float64 and belong to the margins z.value.
    """
    t = b * z.value
    alpha = _long_sigmoid(-t)
    # the derivative of log alpha is between -1 and 0; a margin off by more than 1 can be at either end
    near = alpha.astype(np.float64) * (np.expm1(np.minimum(z.error, 1.0)) + 8 * EPS)
    far = _long_sigmoid(z.error - t).astype(np.float64) * OUTWARD
    # 1 - alpha without cancellation
    weights = (alpha * _long_sigmoid(t)).astype(np.float64)
    return Bounded(-b * alpha, np.where(z.error <= 1.0, near, far)), weights


def _long_sigmoid(t: Any) -> Any:
    """1 / (1 + exp(-t)) in long double."""
    return 1 / (1 + np.exp(-np.clip(t, -EXP_LIMIT, EXP_LIMIT)))


def enclose(A: Any, b: Floats, z: Bounded, l2: float = 0.0, x: Any = 0.0) -> Enclosure | None:
    """Prove that f has a minimiser near the point x with margins z; None where it fails.

    For l2 = 0 A holds columns that are independent, and the minimiser differs from x in these; x need not be given.
    """
    if l2 > 0 and A.shape[1] > DENSE:
        return None
    u, weights = slopes(b, z)
    chart = metric(A, weights / b.size, _weight_error(z), l2)
    return None if chart is None else enclose_in(chart, penalised_slope(A, u, b.size, l2, x), b.size)


def polished(A: Any, b: Floats, x: Floats, l2: float = 0.0) -> Floats:
    """x after Newton steps with the gradient in extended precision, as long as they lower it.

    The metric is made anew for each step where that costs little.
    """
    best, size, chart = x, np.inf, None
    for _ in range(POLISH if A.shape[1] <= DENSE else 0):
        u, weights = slopes(b, margins(A, x))
        if chart is None or small(A):
            chart = metric(A, weights / b.size, l2=l2)
        if chart is None:
            break
        slope = transformed(chart.T, penalised_slope(A, u, b.size, l2, x)).value.astype(np.float64)
        if not np.linalg.norm(slope) < size:
            break
        best, size = x, float(np.linalg.norm(slope))
        x = x - chart.T @ slope
    return best


def _weight_error(z: Bounded) -> float:
    """Relative error of the weights alpha (1 - alpha), whose logarithm has derivative at most 1; 1e-14 for rounding."""
    return float(-np.expm1(-2 * z.error.max(initial=0.0))) + 1e-14


def enclose_in(chart: Metric, g: Bounded, m: int) -> Enclosure | None:
    """Grow a ball until f exceeds f(x) on its sphere. m: the rows of the chart that are rows of data."""
    g_norm = norm_up(transformed(chart.T, g))
    R = float((np.linalg.norm(chart.B[:m], axis=1) + chart.row_errors[:m]).max(initial=0.0)) * OUTWARD
    mu = chart.eigenvalue
    r = 2 * (1 + 1e-6) * g_norm / mu  # psi(0) = 1/2
    for _ in range(60):
        curvature = mu * psi(R * r)
        if g_norm * OUTWARD < curvature * r:
            drop = g_norm * min(r, g_norm / (4 * curvature)) * OUTWARD
            return Enclosure(chart.reach * r, max(drop, TINY))
        r = max(1.5 * r, 1e-300)
    return None


def psi(t: float) -> float:
    """(exp(-t) + t - 1)/t^2, rounded down."""
    if t < 1e-3:
        return (0.5 - t / 6) * (1 - 1e-15)  # the series alternates
    if t > 1e100:
        return 0.0  # its square would overflow
    return float(np.expm1(-t) + t) / t**2 * (1 - 1e-9)  # cancellation costs 4e-13 at most
