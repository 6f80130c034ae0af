"""Losses with a dual form, l2 > 0: strong convexity at a point, in extended precision, by any dual point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from problems.optimum.arithmetic.extended import ABOVE, Floats, down, up
from problems.optimum.certificate import Point, Proof, Shape
from problems.optimum.distances import in_ball
from problems.optimum.dual import Minorant, dual_value, objective
from problems.optimum.piecewise_linear.of_kinks import OfKinks, rows
from problems.problem import LinearModel, Problem


@dataclass(frozen=True, kw_only=True, eq=False)
class DualBall(OfKinks):
    """f* >= q(u) for any u in the box, and the minimiser is within sqrt(2 (f(x) - q(u)) / l2) of any x."""

    kind = "strong convexity"
    arithmetic = "norms"
    x: Point
    u: Annotated[Floats, Shape("m")]

    @staticmethod
    def serves(model: LinearModel | None) -> bool:
        """For losses made of kinks, with a penalty."""
        return model is not None and model.law.kinks is not None and model.l2 > 0

    def prove(self, problem: Problem) -> Proof:
        """The bounds at x from the dual point u."""
        model = rows(problem)
        f = objective(model, self.x)
        lower = max(np.longdouble(0), dual_value(model, Minorant(model, self.u)))
        gap = np.maximum(f.value + f.error - lower, 0)
        radius = up(np.sqrt(2 * gap / np.longdouble(model.l2) * ABOVE))
        return in_ball(problem.x0, down(lower), up(f.value + f.error), self.x, radius)
