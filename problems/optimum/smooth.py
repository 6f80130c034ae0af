"""Logistic loss: Newton's method, and the proofs at the point where it stops.

Strong convexity (l2 > 0): f(y) >= f(x) + <g, y - x> + l2/2 ||y - x||^2 for all y, so f* >= f(x) - ||g||^2/(2 l2)
and ||x - x*|| <= ||g|| / l2.

Self-concordance (l2 = 0), [1, Proposition 1]: with g and H the gradient and the Hessian at x, R = max ||a_i||,
psi(t) = (exp(-t) + t - 1)/t^2,

    f(y) >= f(x) + <g, y - x> + ||y - x||_H^2 psi(R ||y - x||).

Let mu be the smallest eigenvalue of H. If ||g|| < mu r psi(R r) then f > f(x) on the sphere of radius r, hence
outside it: a minimiser exists within r of x, all are there, and f* >= f(x) - ||g|| r. This is used in
coordinates y = x + E_J T s, where J are independent columns and T makes H nearly the identity: every value of
A y is reached, and a step of length r in s moves x by at most ||T||_F r.

[1] F. Bach. Self-concordant analysis for logistic regression. Electronic J. of Statistics 4, 2010.
    https://doi.org/10.1214/09-EJS521
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from problems.optimum.columns import DENSE
from problems.optimum.extended import EPS, OUTWARD, Bounded, Floats, combination, margins, norm_up, transformed
from problems.optimum.metric import metric, weighted_gram

MAX_NEWTON = 300
# f is known to 1e-16: a predicted decrease (half the squared Newton decrement) below this changes nothing.
CONVERGED = 1e-30
ARMIJO = 0.25  # any constant below 1/2 keeps full Newton steps near the minimiser
CG_STEPS = 1000
EXP_LIMIT = float(np.log(np.finfo(np.longdouble).max)) - 1.0  # the weight of a row beyond is 0 in any case


class Newton(NamedTuple):
    """Where Newton stopped: x, the last step, and whether its decrement went to zero or some row drifts off."""

    x: Floats
    step: Floats
    converged: bool


def newton(A: Any, b: Floats, l2: float, start: Floats, patience: int = MAX_NEWTON) -> Newton:
    """Minimise the mean logistic loss plus l2/2 ||x||^2 by damped Newton steps.

    Stops at convergence, at a point that separates all rows (l2 = 0), or as soon as steps keep moving some
    margins by about 1 while f hardly falls: exp(-t) has Newton step 1 for ever, so those rows drift to infinity.
    """
    m, p = A.shape
    x = start.astype(np.float64).copy()
    step = np.zeros(p)
    z = A @ x
    f = _value(b * z) + l2 / 2 * float(x @ x)
    stalled = 0
    for _ in range(patience):
        if l2 == 0 and np.all(b * z > 0):
            return Newton(x, x, False)
        alpha = _sigmoid(-b * z)
        g = -(A.T @ (b * alpha)) / m + l2 * x
        weights = alpha * (1 - alpha) / m
        if p <= DENSE:
            H = weighted_gram(A, weights)
            H[np.diag_indices(p)] += l2
            step = -_solve(H, g)
        else:
            step = -_conjugate_gradients(A, weights, l2, g)
        decrement = -float(g @ step)
        if not np.isfinite(decrement):
            return Newton(x, np.zeros(p), False)
        if decrement <= CONVERGED:
            return Newton(x + step, step, True)
        moved = A @ step
        if decrement < 1e-7 and np.abs(moved).max() > 0.3:
            return Newton(x, step, False)
        t = 1.0
        while t > 1e-10:
            f_next = _value(b * (z + t * moved)) + l2 / 2 * float((x + t * step) @ (x + t * step))
            if f_next <= f - ARMIJO * t * decrement + 4e-16 * abs(f):
                break
            t /= 2
        x = x + t * step
        z = A @ x
        # at the rounding of f the decrement no longer falls; three full steps more, and stop
        stalled = stalled + 1 if decrement < 1e-14 * max(abs(f), 1e-14) else 0
        f = f_next
        if stalled == 3:
            return Newton(x, step, True)
    return Newton(x, step, False)


def _value(margin: Floats) -> float:
    return float(np.logaddexp(0.0, -margin).mean())


def _sigmoid(t: Floats) -> Floats:
    e = np.exp(-np.abs(t))
    return np.where(t >= 0, 1.0, e) / (1.0 + e)


def _solve(H: Floats, g: Floats) -> Floats:
    """H^-1 g by Cholesky in unit-diagonal scaling; by least squares where H is singular to rounding."""
    import scipy.linalg

    diagonal = np.diag(H)
    scale = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    scaled = H * np.outer(scale, scale)
    try:
        return scale * scipy.linalg.cho_solve(scipy.linalg.cho_factor(scaled), scale * g)
    except np.linalg.LinAlgError:
        return scale * np.linalg.lstsq(scaled, scale * g, rcond=1e-14)[0]


def _conjugate_gradients(A: Any, weights: Floats, l2: float, g: Floats) -> Floats:
    """H^-1 g to a relative residual that falls with ||g||, which keeps Newton's convergence superlinear."""
    import scipy.sparse.linalg

    p = g.size

    def product(v: Floats) -> Floats:
        return A.T @ (weights * (A @ v)) + l2 * v

    H = scipy.sparse.linalg.LinearOperator((p, p), matvec=product, dtype=np.float64)
    rtol = max(1e-12, min(0.1, float(np.linalg.norm(g))))
    return scipy.sparse.linalg.cg(H, g, rtol=rtol, maxiter=CG_STEPS)[0]


def slopes(b: Floats, z: Bounded) -> tuple[Bounded, Floats]:
    """(u, alpha): derivatives u_i = -b_i alpha_i of the losses with error bounds, alpha in float64."""
    t = np.clip(b * z.value, -EXP_LIMIT, EXP_LIMIT)
    alpha = 1 / (1 + np.exp(t))
    # the derivative of alpha is at most min(alpha, 1/4), and of log alpha at most 1
    error = np.abs(alpha).astype(np.float64) * (np.expm1(np.minimum(z.error, 1.0)) + 8 * EPS)
    return Bounded(-b * alpha, error), alpha.astype(np.float64)


def gradient(A: Any, b: Floats, l2: float, x: Any) -> Bounded:
    """The gradient at x with error bounds."""
    u, _ = slopes(b, margins(A, x))
    g = combination(A, u.value)
    m = b.size
    penalty = np.longdouble(l2) * np.asarray(x, dtype=np.longdouble)
    error = OUTWARD * ((g.error + abs(A).T @ u.error) / m + 2 * EPS * np.abs(penalty).astype(np.float64))
    value = g.value / m + penalty
    return Bounded(value, error + 2 * EPS * np.abs(value).astype(np.float64))


class Enclosure(NamedTuple):
    """All minimisers over x + E_J R^q lie within radius of x; f there is at least f(x) - drop."""

    radius: float
    drop: float
    numbers: dict[str, float]


def enclose(A_J: Any, b: Floats, z: Bounded) -> Enclosure | None:
    """Prove that the mean logistic loss has a minimiser in the columns A_J near margins z; None where it fails."""
    m = b.size
    u, alpha = slopes(b, z)
    # log of the weight alpha (1 - alpha) has derivative at most 1 in z
    chart = metric(
        A_J, alpha * (1 - alpha) / m, weight_error=float(np.expm1(min(1.0, 2 * z.error.max(initial=0.0)))) + 1e-14
    )
    if chart is None:
        return None
    g = combination(A_J, u.value)
    g = Bounded(g.value / m, OUTWARD * (g.error + abs(A_J).T @ u.error) / m)
    g_norm = norm_up(transformed(chart.T, g))
    R = float((np.linalg.norm(chart.B, axis=1) + chart.row_errors).max(initial=0.0)) * OUTWARD
    mu = chart.eigenvalue
    r = 2.5 * g_norm / mu  # psi(0) = 1/2 would need 2
    for _ in range(60):
        if g_norm * OUTWARD < mu * r * psi(R * r):
            return Enclosure(chart.reach * r, g_norm * r * OUTWARD, {"g_norm": g_norm, "mu": mu, "R": R, "r": r})
        r = max(2 * r, 1e-300)
    return None


def psi(t: float) -> float:
    """(exp(-t) + t - 1)/t^2, rounded down."""
    if t < 1e-3:
        return (0.5 - t / 6) * (1 - 1e-15)  # the series alternates
    return float(np.expm1(-t) + t) / t**2 * (1 - 1e-9)  # cancellation costs 4e-13 at most
