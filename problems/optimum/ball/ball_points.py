"""Approximate minimisers over the ball ||x - x0|| <= R; ball.py proves the bounds at them.

Smooth losses: Newton's method in s = x - x0. Each step minimises the quadratic model over the ball,

    (H + nu I) s' = H s - g,   nu >= 0,   ||s'|| = R or nu = 0,

nu from 1/||s'(nu)|| = 1/R by Newton's method [1, algorithm 7.3.1], and is damped along the segment from s to s',
which stays in the ball.

Piecewise-linear losses: a second-order cone program by Clarabel; then its active set solves the optimality conditions.

[1] A. R. Conn, N. I. M. Gould and Ph. L. Toint. Trust-region methods. SIAM, 2000.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from problems.matrix import csr, scaled_rows, sums_of_squares
from problems.optimum.arithmetic.extended import Floats, combination, distance, least_squares, margins
from problems.optimum.dual import box, kinked, slack, snapped
from problems.optimum.law import smooth_law
from problems.optimum.newton import Newton, SmoothLoss, Stop, conjugate_gradients, solve_spd
from problems.optimum.piecewise_linear.exact_vertex import LARGEST
from problems.optimum.piecewise_linear.linear_program import Pair
from problems.optimum.piecewise_quadratic.points import Soft
from problems.optimum.solvers import ROUGH, clarabel
from problems.problem import LinearModel

# A predicted decrease below this, relative to f, is rounding; one more full step squares the error that is left.
CONVERGED = 1e-16
ON_SPHERE = 1e-12  # relative; the point is scaled onto the sphere in the end
MAX_SECULAR = 60
INTERIOR = 1e-15  # nu below this part of its upper bound: the minimiser lies in the interior
CG_STEPS, CG_ACCURACY = 2000, 1e-12
# Slopes nearer to an end of the box count as at it; each threshold is tried. Clarabel is accurate to about 1e-9.
THRESHOLDS = (1e-6, 1e-4, 1e-8)

Solve = Callable[[float, Floats], Floats]


def on_sphere(x0: Floats, s: Floats, radius: float) -> Floats:
    """x0 + t s in the ball exactly, and on its sphere to rounding if s is."""
    norm = float(np.linalg.norm(s))
    if not 0 < norm < np.inf:
        return x0.copy()
    t = radius / norm if abs(norm - radius) <= 1e-6 * radius else min(1.0, radius / norm)
    for back in (0.0, *2.0 ** np.arange(-52, 0)):
        x = x0 + (t * (1 - back)) * s
        if distance(x, x0)[1] <= radius:
            return x
    return x0.copy()


# ---------------------------------------------------------------------------------------------------------
# Smooth losses


def smooth_loss(model: LinearModel) -> SmoothLoss:
    """The mean loss in floating point."""
    law = smooth_law(model)
    return Soft(kinked(model)) if law is None else law.floating


class _TrustRegion(Newton):
    """Newton's method in s = x - x0 over the ball of this radius."""

    def __init__(self, model: LinearModel, x0: Floats, radius: float) -> None:
        super().__init__(smooth_loss(model), model.l2)
        self.x0, self.radius = x0, radius
        self.start = self.loss.margins(x0)
        self.nu, self.last = 0.0, False

    def margins_at(self, x: Floats) -> Floats:
        """The margins at x0 + s."""
        return self.start + self.loss.margins(x)

    def value(self, z: Floats, x: Floats) -> float:
        """f at x0 + s."""
        return super().value(z, self.x0 + x)

    def step(self, x: Floats, z: Floats, f: float) -> tuple[Floats, float]:
        """The step to the minimiser of the quadratic model over the ball."""
        g = self.loss.gradient(z).ravel() + self.l2 * (self.x0 + x)
        apply, solve = _hessian(self.loss, z, self.l2)
        target, self.nu = _step(apply, solve, g, x, self.radius, self.nu)
        step = target - x
        return step, -float(g @ step)

    def stopped(self, x: Floats, z: Floats, f: float, step: Floats, decrement: float) -> Stop | None:
        """Stop where no decrease is predicted."""
        return None if 0 < decrement < np.inf else Stop(x, step, True)

    def settled(self, f: float, f_next: float, decrement: float) -> bool:
        """Stop one step after the predicted decrease has fallen to rounding."""
        last, self.last = self.last, decrement <= CONVERGED * f_next
        return last


def smooth_point(model: LinearModel, x0: Floats, radius: float) -> Floats:
    """A point of the ball where f is least, nearly."""
    return on_sphere(x0, _TrustRegion(model, x0, radius).run(np.zeros(x0.size)).x, radius)


def _hessian(loss: SmoothLoss, z: Floats, l2: float) -> tuple[Callable[[Floats], Floats], Solve]:
    """(v -> (H + l2 I) v, (nu, v) -> (H + (l2 + nu) I)^-1 v)."""
    H = loss.hessian(z)
    if H is None:
        product = loss.curvature(z)
        return (
            lambda v: product(v) + l2 * v,
            lambda nu, v: conjugate_gradients(product, l2 + nu, v, CG_ACCURACY, CG_STEPS),
        )
    eye = np.eye(H.shape[0])
    H += l2 * eye
    return lambda v: H @ v, lambda nu, v: solve_spd(H + nu * eye, v)


def _step(
    apply: Callable[[Floats], Floats], solve: Solve, g: Floats, s: Floats, radius: float, nu: float
) -> tuple[Floats, float]:
    """(s', nu): the minimiser of the quadratic model at s over the ball, and its multiplier."""
    most = float(np.linalg.norm(apply(s) - g)) / radius  # there ||s'|| <= R
    least, nu = 0.0, nu if 0 < nu < most else most
    high = most
    for _ in range(MAX_SECULAR):
        # for s' - s, not for s': the error of the solution shrinks with it
        target = s - solve(nu, g + nu * s)
        norm = float(np.linalg.norm(target))
        if abs(norm - radius) <= ON_SPHERE * radius or norm == 0:
            break
        if norm > radius:
            least = max(least, nu)
        else:
            high = min(high, nu)
            if high <= INTERIOR * most:
                break
        slope = float(target @ solve(nu, target))
        following = nu + norm * norm / slope * (norm - radius) / radius if slope > 0 else least
        # Newton's method comes from the left for good once it is there; before, it may overshoot
        if not least < following < high:
            following = np.sqrt(least * high) if least > 0 else 1e-3 * high
        nu = following
    return target if norm <= radius else target * (radius / norm), nu


# ---------------------------------------------------------------------------------------------------------
# Piecewise-linear losses


def piecewise_pairs(model: LinearModel, x0: Floats, radius: float) -> list[Pair]:
    """Points of the ball and dual points in the box: x0, the solver's pair, and those of its active sets."""
    model = kinked(model)
    lo, hi = box(model)
    r0 = margins(model.A, x0).value - model.b
    u = np.where(r0 > 0, hi, lo)
    pairs = [(x0.copy(), u)]
    if model.A.shape[0] * model.A.shape[1] > LARGEST:
        return pairs
    found = _cone_program(model, x0, r0.astype(np.float64), radius)
    if found is not None:
        pairs.append((on_sphere(x0, found[0], radius), np.clip(found[1], lo, hi)))
        u = pairs[-1][1]
    for threshold in THRESHOLDS:
        pairs += _active_sets(model, x0, radius, snapped(lo, hi, u, threshold))
    return pairs


def _cone_program(model: LinearModel, x0: Floats, r0: Floats, radius: float) -> Pair | None:
    """(s, u) by Clarabel, in units of R, so that a small ball is as easy as a large one.

    minimise (1/m) sum t_i + <q, s> + l2/2 ||s||^2 over (s, t), t_i >= lo_i r_i, t_i >= hi_i r_i, ||s|| <= 1, with
    r = r0/R + A s; q holds l2 x0 and the rows whose residual keeps its sign all over the ball.
    """
    import scipy.sparse

    A, m, p = csr(model.A), model.b.size, model.A.shape[1]
    lo, hi = box(model)
    reach = np.sqrt(sums_of_squares(A, axis=1))
    open_rows = np.flatnonzero(np.abs(r0) <= 1.001 * radius * reach)
    u = np.where(r0 > 0, hi, lo)
    u[open_rows] = 0.0
    q = A.T @ u + m * model.l2 * x0
    n, A_open, b_open = open_rows.size, A[open_rows], -r0[open_rows] / radius
    eye = scipy.sparse.eye_array(n)
    sides = (lo[open_rows], hi[open_rows])
    G = scipy.sparse.vstack(
        [
            *(scipy.sparse.hstack([scaled_rows(A_open, side), -eye]) for side in sides),
            scipy.sparse.csc_array((1, p + n)),
            scipy.sparse.hstack([-scipy.sparse.eye_array(p), scipy.sparse.csc_array((p, n))]),
        ],
        format="csc",
    )
    h = np.concatenate([*(side * b_open for side in sides), [1.0], np.zeros(p)])
    P = scipy.sparse.block_diag(
        [model.l2 * m * radius * scipy.sparse.eye_array(p), scipy.sparse.csc_array((n, n))], format="csc"
    )
    found = clarabel(P, np.concatenate([q, np.ones(n)]), G, h, ball=p + 1, tolerance=ROUGH)
    if found is None:
        return None
    x, dual = found
    u[open_rows] = sides[0] * dual[:n] + sides[1] * dual[n : 2 * n]
    return radius * x[:p], u


def _active_sets(model: LinearModel, x0: Floats, radius: float, u: Floats) -> list[Pair]:
    """Solve the optimality conditions with the rows I whose u is inside the box; mend I where they fail, and again.

    With q = A_N^T u_N / m + l2 x0 over the other rows: s minimises <q, s> + l2/2 ||s||^2 subject to A_I s = -r0_I and
    ||s|| <= R. It is the shortest solution of the equations plus -alpha P q, P the projection on their null space,
    alpha = 1/l2 or less; and A_I^T u_I / m = -(q + s / alpha). Where the equations have no solution in the ball, a row
    leaves I.
    """
    lo, hi = box(model)
    A, m, l2 = model.A, model.b.size, model.l2
    pairs: list[Pair] = []
    for _ in range(12):
        inner = slack(lo, hi, u) > 0
        rows = np.flatnonzero(inner)
        q = (combination(A, np.where(inner, 0.0, u)).value / m).astype(np.float64) + l2 * x0
        s, along = np.zeros(x0.size), q
        if rows.size:
            A_I = A[rows]
            r_I = (margins(A_I, x0).value - model.b[rows]).astype(np.float64)
            s = -least_squares(A_I, r_I)
            for _ in range(2):
                along = along - least_squares(A_I, A_I @ along)
        room, slope = radius**2 - float(s @ s), float(along @ along)
        if room < 0:
            u = _released(u, rows, A_I, q, s, model)
            continue
        alpha = np.sqrt(room / slope) if slope > 0 else 0.0
        if l2 > 0:
            alpha = min(alpha, 1 / l2)
        s = s - alpha * along
        fixed = u.copy()
        if rows.size and alpha > 0:
            # where rows are dependent, u stays near where it was
            missing = -m * (q + s / alpha) - A_I.T @ u[rows]
            fixed[rows] += least_squares(A_I.T, missing)
        x = on_sphere(x0, s, radius)
        pairs.append((x, np.clip(fixed, lo, hi)))
        r = (margins(A, x).value - model.b).astype(np.float64)
        rounding = 1e-12 * (1 + np.abs(r))
        wrong = ~inner & (((u == hi) & (r < -rounding)) | ((u == lo) & (r > rounding)))
        if not wrong.any() and np.all((fixed >= lo) & (fixed <= hi)):
            break
        u = np.where(wrong, (lo + hi) / 2, pairs[-1][1])
    return pairs


def _released(u: Floats, rows: Any, A_I: Any, q: Floats, s: Floats, model: LinearModel) -> Floats:
    """u with one row less inside its box: the first that comes to an end of it as nu grows from 0.

    At ||s|| the conditions A_I^T u_I / m = -(q + (l2 + nu) s) hold for a range of nu, and at its end a
    smaller ball begins.
    """
    lo, hi = box(model)
    m = model.b.size
    u = u.copy()
    inside = u[rows] + least_squares(A_I.T, -m * (q + model.l2 * s) - A_I.T @ u[rows])
    rate = -m * least_squares(A_I.T, s)
    end = np.where(rate > 0, hi[rows], lo[rows])
    with np.errstate(divide="ignore", invalid="ignore"):
        nu = np.where(rate != 0, (end - inside) / rate, np.inf)
    leaves = int(np.argmin(nu))
    if np.isfinite(nu[leaves]):
        u[rows] = np.clip(inside + max(nu[leaves], 0.0) * rate, lo[rows], hi[rows])
    u[rows[leaves]] = end[leaves]
    return u
