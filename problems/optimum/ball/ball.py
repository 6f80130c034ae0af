"""The certified minimum of a linear model over the ball ||x - x0|| <= R: a comparator where no minimiser exists.

An affine minorant <v, y> + c of the mean loss (dual.py, or the tangent at x) leaves a function of y - x0 alone,

    f(y) >= k + <w, y - x0> + l2/2 ||y - x0||^2,   w = v + l2 x0,   k = <v, x0> + c + l2/2 ||x0||^2,

whose minimum over the ball is k - ||w|| t + l2/2 t^2, t = min(R, ||w||/l2). At the solution w = -nu (x - x0), nu >= 0,
and this is f(x); an error in the direction of w counts by its square.

Let X_R be the minimisers over the ball. Where f(y) <= f_hi, with rise = k - f_hi,

    ||w|| t - l2/2 t^2 >= rise for t = ||y - x0||,                     which bounds dist(x0, X_R) from below, and
    ||y - x0 + R w/||w|| ||^2 <= R^2 + t^2 (1 - l2 R/||w||) - 2 R rise/||w||,

so that X_R and x lie in one small cap. Where X* is known instead: X_R is X* within the ball, or lies on the sphere if
X* does not meet the ball, and dist(x0, X_R) = min(D, R) in both cases.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from problems.optimum.arithmetic.extended import (
    ABOVE,
    BELOW,
    EPS,
    Bounded,
    Floats,
    distance,
    down,
    largest_difference,
    norm_up,
    up,
)
from problems.optimum.certificate import Certificate, Point, Proof, Shape, model_of, narrow, of_models
from problems.optimum.dual import Minorant, is_soft, kinked
from problems.optimum.law import smooth_law, value_up
from problems.optimum.piecewise_quadratic.stationary import slopes
from problems.problem import LinearModel, Optimum, Problem

# Intervals of this width, relative to max(1, f), are narrow enough.
WIDTH = 1e-12


@dataclass(frozen=True, kw_only=True, eq=False)
class Ball(Certificate):
    """A point x of the ball, for f_hi, and the minorant of the slopes u, or where u is absent the tangent at x."""

    kind = "ball"
    arithmetic = "extended"
    serves = of_models(lambda _: True)
    radius: float
    x: Point
    u: Annotated[Floats, Shape("m")] | None = None

    def prove(self, problem: Problem) -> Proof:
        """The least value of the minorant over the ball, and the distances that follow."""
        model = model_of(problem)
        if not 0 < self.radius < math.inf:
            raise ValueError(f"radius = {self.radius!r} is not that of a ball")
        if not inside(self.x, problem.x0, self.radius):
            raise ValueError(f"the point x lies outside the ball of radius {self.radius!r}")
        return _bounds(model, problem.x0, self.radius, self.x, self.u, value_up(model, self.x))


def certify_ball(problem: Problem, model: LinearModel, radius: float, unconstrained: Optimum) -> Optimum:
    """The minimum over the ball: the unconstrained one where its point lies there, else from a trust region."""
    candidates = []
    if inside(unconstrained.x, problem.x0, radius):
        candidates.append(within(problem, model, unconstrained, radius))
        if narrow(candidates[0], WIDTH):
            return candidates[0]
    from problems.optimum.ball.ball_points import piecewise_pairs, smooth_point

    x0 = problem.x0
    if smooth_law(model) is not None:
        certificate = Ball(radius=radius, x=smooth_point(model, x0, radius))
    elif is_soft(model):
        x = smooth_point(model, x0, radius)
        certificate = Ball(radius=radius, x=x, u=slopes(kinked(model), x))
    else:
        pairs = piecewise_pairs(model, x0, radius)
        x = min((x for x, _ in pairs), key=lambda x: value_up(model, x))
        f_hi = value_up(model, x)
        u = max((u for _, u in pairs), key=lambda u: _bounds(model, x0, radius, x, u, f_hi).f_lo)
        certificate = Ball(radius=radius, x=x, u=u)
    found = certificate.prove(problem).optimum(certificate, certificate.x)
    if not narrow(found, WIDTH):
        found = replace(found, notes=("the interval over the ball is wider than hoped for",))
    return min([*candidates, found], key=lambda found: found.f_hi - found.f_lo)


def _bounds(model: LinearModel, x0: Floats, radius: float, x: Floats, u: Floats | None, f_hi: float) -> Proof:
    """Bounds from the minorant of u, or from the tangent at x, given f_hi = f(x)."""
    law = smooth_law(model)
    if u is None and law is None:
        raise ValueError(f"without u there is no minorant of the loss {model.loss}")
    v, at_x0 = law.tangent(x, x0) if u is None and law is not None else Minorant(model, u).at(x0)
    l2, R = np.longdouble(model.l2), np.longdouble(radius)
    long = np.asarray(x0, dtype=np.longdouble)
    penalty = l2 * long
    w = Bounded(v.value + penalty, v.error + 2 * EPS * np.abs(penalty).astype(np.float64))
    w = Bounded(w.value, w.error + EPS * np.abs(w.value).astype(np.float64))
    slope = np.longdouble(norm_up(w))
    square = l2 / 2 * np.sum(long * long) * (1 - np.longdouble((x0.size + 4) * EPS))
    k = at_x0 + square - 2 * EPS * (np.abs(at_x0) + square)
    drop = slope * R * ABOVE - l2 / 2 * R * R * BELOW if slope > l2 * R else slope * slope / (2 * l2) * ABOVE
    lower = k - drop - 2 * EPS * (np.abs(k) + drop)
    rise = k - np.longdouble(f_hi)
    rise -= 2 * EPS * (np.abs(k) + np.longdouble(f_hi))
    D_lo, cap = 0.0, radius
    if rise > 0 and slope > 0:
        root = np.sqrt(np.maximum(0, slope * slope * ABOVE - 2 * l2 * rise * BELOW))
        D_lo = min(radius, down(2 * rise / (slope + root) * BELOW))
        beyond = R * R * np.maximum(0, 1 - l2 * R / slope * BELOW)
        square = np.maximum(0, R * R + beyond - 2 * R * rise / slope) + 16 * EPS * R * R
        cap = up(2 * np.sqrt(square) * ABOVE)  # from one point of the cap to another
    largest = largest_difference(x, x0)
    sphere = down(np.longdouble(D_lo) / np.sqrt(np.longdouble(x0.size)) * BELOW)
    return Proof(
        f_lo=max(0.0, down(lower)),
        f_hi=f_hi,
        D_lo=D_lo,
        D_hi=radius,
        D_inf_lo=max(sphere, down(largest * BELOW - np.longdouble(cap))),
        D_inf_hi=min(radius, up(largest * ABOVE + np.longdouble(cap))),
        attained=True,
        D_estimate=distance(x, x0)[1],
    )


def inside(x: Floats, x0: Floats, radius: float) -> bool:
    """Whether ||x - x0|| <= radius, in exact arithmetic."""
    return bool(distance(x, x0)[1] <= radius)


def within(problem: Problem, model: LinearModel, optimum: Optimum, radius: float) -> Optimum:
    """The unconstrained optimum restated for a ball that holds its point x."""
    numbers = Proof(**{name: getattr(optimum, name) for name in Proof._fields})
    proof = restricted(numbers, problem, model, optimum.x, radius)
    return replace(optimum, radius=radius, **proof._asdict())


def restricted(proof: Proof, problem: Problem, model: LinearModel, x: Floats, radius: float) -> Proof:
    """Bounds for the minimisers over a ball, from the bounds for X*; ValueError unless the ball holds x.

    In the maximum norm: a point of X_R on the sphere is R/sqrt(p) away at least; one of X* that is nearest in this norm
    lies in the ball if sqrt(p) times its distance does.
    """
    if not inside(x, problem.x0, radius):
        raise ValueError(f"the point x lies outside the ball of radius {radius!r}")
    root = math.sqrt(problem.p) * (1 + 1e-15)
    D_hi = min(proof.D_hi, radius)
    return proof._replace(
        # f_hi can be the exact minimum, which x attains up to rounding only
        f_hi=proof.f_hi if proof.D_hi <= radius else max(proof.f_hi, value_up(model, x)),
        D_lo=min(proof.D_lo, radius),
        D_hi=D_hi,
        D_inf_lo=proof.D_inf_lo if proof.D_hi <= radius else min(proof.D_inf_lo, radius / root),
        D_inf_hi=proof.D_inf_hi if proof.D_inf_hi * root <= radius else D_hi,
        attained=True,
    )
