"""Losses with a dual form, l2 > 0: strong convexity at a point, in extended precision, by any dual point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from problems.optimum.arithmetic.extended import Floats, down, up
from problems.optimum.certificate import Certificate, Point, Proof, Shape, kinks_of, of_models
from problems.optimum.distances import gap_radius, in_ball
from problems.optimum.dual import Minorant, dual_value, objective
from problems.problem import Problem


@dataclass(frozen=True, kw_only=True, eq=False)
class DualBall(Certificate):
    """f* >= q(u) for any u in the box, and the minimiser is within sqrt(2 (f(x) - q(u)) / l2) of any x."""

    kind = "strong convexity"
    arithmetic = "norms"
    serves = of_models(lambda model: model.law.kinks is not None, penalty=True)
    x: Point
    u: Annotated[Floats, Shape("m")]

    def prove(self, problem: Problem) -> Proof:
        """The bounds at x from the dual point u."""
        model = kinks_of(problem)
        f = objective(model, self.x)
        lower = max(np.longdouble(0), dual_value(model, Minorant(model, self.u)))
        radius = up(gap_radius(f, lower, model.l2))
        return in_ball(problem.x0, down(lower), up(f.value + f.error), self.x, radius)
