"""Soft kinks: a ball that holds all minimisers, where the exact system is too large.

Let S be rows strictly inside their boxes at x that stay there as long as ||y - x|| <= rho in coordinates y = x + T t.
Their part of f is a quadratic on that ball, and the other rows are above their tangents. So with g the gradient at x,
and mu the smallest eigenvalue of T^T (A_S^T A_S / (s m) + l2) T,

    f(y) >= f(x) + <T^T g, t> + mu/2 ||t||^2   for ||t|| <= rho.

If 2 ||T^T g|| / mu < rho then f > f(x) on the sphere of that radius, hence outside: all minimisers are within, and f is
at least f(x) - ||T^T g||^2 / (2 mu).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from problems.optimum.arithmetic.extended import (
    ABOVE,
    EPS,
    EPS64,
    OUTWARD,
    Bounded,
    Floats,
    difference,
    margins,
    norm_up,
    transformed,
    up,
)
from problems.optimum.arithmetic.metric import metric
from problems.optimum.certificate import Certificate, Point, Proof, kinks_of, of_models
from problems.optimum.distances import in_ball
from problems.optimum.dual import Kinked, is_soft, objective, penalised_slope
from problems.optimum.law import Enclosure
from problems.problem import Problem

# Rows that might leave their boxes are left out of S, and the ball is looked for again.
ROUNDS = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Enclosed(Certificate):
    """A point x with a ball around it that holds all minimisers."""

    kind = "curvature"
    arithmetic = "norms"
    serves = of_models(is_soft)
    x: Point

    def prove(self, problem: Problem) -> Proof:
        """The bounds from the ball; ValueError where the rows inside their boxes do not curve f in every direction."""
        model = kinks_of(problem)
        f, ball = objective(model, self.x), _enclosure(model, self.x)
        if ball is None:
            raise ValueError("no ball around x holds the minimisers")
        return in_ball(problem.x0, ball.lower(f), up(f.value + f.error), self.x, ball.radius)


def _enclosure(model: Kinked, x: Floats) -> Enclosure | None:
    """The ball around x that holds all minimisers; None where none is found."""
    soft, m = np.longdouble(model.soft), model.b.size
    r = difference(margins(model.A, x), model.b)
    u = np.clip(r.value / soft, model.lo, model.hi)
    slopes = Bounded(u, OUTWARD * (r.error / model.soft + EPS * np.abs(u).astype(np.float64)))
    g = penalised_slope(model.A, slopes, m, model.l2, x)
    room = np.minimum(soft * model.hi - r.value, r.value - soft * model.lo).astype(np.float64)
    size = np.abs(r.value).astype(np.float64) + model.soft * np.maximum(model.hi, -model.lo)
    room = room - OUTWARD * (r.error + 4 * EPS * size + EPS64 * np.abs(room))
    inside = room > 0
    for _ in range(ROUNDS):
        chart = metric(model.A, inside / (model.soft * m), 1e-14, model.l2)
        if chart is None:
            return None
        slope = norm_up(transformed(chart.T, g))
        reach = 2 * (1 + 1e-6) * slope / chart.eigenvalue
        moves = (np.linalg.norm(chart.B[:m], axis=1) + chart.row_errors[:m]) * OUTWARD
        stays = room * (1 - 1e-12) > moves * reach
        if np.all(stays[inside]):
            drop = np.longdouble(slope) ** 2 / (2 * np.longdouble(chart.eigenvalue)) * ABOVE
            return Enclosure(chart.reach * reach * OUTWARD, up(drop))
        inside &= stays
    return None
