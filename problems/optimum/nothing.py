"""The certificate of an optimum of which only the trivial bounds are proved."""

from __future__ import annotations

import math
from dataclasses import dataclass

from problems.optimum.arithmetic.extended import Floats, distance
from problems.optimum.certificate import Certificate, Point, Proof, model_of, of_models
from problems.optimum.law import smooth_law, value_up
from problems.problem import Optimum, Problem


@dataclass(frozen=True, kw_only=True, eq=False)
class Nothing(Certificate):
    """A point x, for f_hi. The losses are not negative, and where they are made of kinks a minimiser exists."""

    kind = "none"
    arithmetic = "extended"
    serves = of_models(lambda _: True, penalty=False)
    x: Point

    def prove(self, problem: Problem) -> Proof:
        """The lower bound of every point, and f at x."""
        model = model_of(problem)
        law = smooth_law(model)
        f_lo = 0.0 if law is None else law.everywhere()
        estimate = distance(self.x, problem.x0)[1] or math.inf
        attained = True if model.law.kinks is not None else None
        return Proof(f_lo, value_up(model, self.x), attained=attained, D_estimate=estimate)


def unproved(problem: Problem, x: Floats, *notes: str) -> Optimum:
    """The optimum at x with trivial bounds."""
    certificate = Nothing(x=x)
    return certificate.prove(problem).optimum(certificate, x, *notes)
