"""Smooth losses, l2 > 0: bounds from a point near the minimiser.

Each of f_lo and the radius around the point is the best of three: strong convexity, f* >= f(x) - ||g||^2 / (2 l2) and
||x - x*|| <= ||g|| / l2; the dual point of the slopes at x, which would be as good but does not suffer from the
rounding of large margins; and self-concordance (smooth.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from problems.optimum.arithmetic.extended import ABOVE, down, norm_up, up
from problems.optimum.certificate import Certificate, Point, Proof, model_of, of_models
from problems.optimum.distances import gap_radius, in_ball
from problems.optimum.law import is_smooth, smooth_law, value_up
from problems.problem import Problem


@dataclass(frozen=True, kw_only=True, eq=False)
class StrongConvexity(Certificate):
    """Bounds on f at x, on D at x + low: x alone, to 1e-16, leaves D open by that times the condition number."""

    kind = "strong convexity"
    arithmetic = "norms"
    serves = of_models(is_smooth, penalty=True)
    x: Point
    low: Point | None = None

    def prove(self, problem: Problem) -> Proof:
        """The best of the three bounds."""
        model = model_of(problem)
        center = self.x.astype(np.longdouble) + (0 if self.low is None else self.low)
        law, l2 = smooth_law(model), np.longdouble(model.l2)
        assert law is not None
        f, g_norm = law.value(center), np.longdouble(norm_up(law.gradient(center)))
        lower = law.lower(center)
        radius = gap_radius(f, lower, model.l2)
        balls = [(g_norm / l2, g_norm**2 / (2 * l2) * ABOVE)]
        enclosure = law.enclosure(center)
        if enclosure is not None:
            balls.append((np.longdouble(enclosure.radius), np.longdouble(enclosure.drop)))
        for reach, drop in balls:
            lower, radius = max(lower, f.value - f.error - drop), min(radius, reach)
        return in_ball(problem.x0, max(0.0, down(lower)), value_up(model, self.x), center, up(radius))
