"""The certificate of an optimum that the problem states itself: a formula, or what its author knows."""

from __future__ import annotations

from dataclasses import dataclass

from problems.optimum.certificate import Certificate, Proof
from problems.problem import LinearModel, Problem


@dataclass(frozen=True, kw_only=True, eq=False)
class ClosedForm(Certificate):
    """A certificate without fields: the formula of the problem is computed anew."""

    kind = "closed form"
    arithmetic = "rational"

    @staticmethod
    def serves(model: LinearModel | None) -> bool:
        """For problems that are no linear model."""
        return model is None

    def prove(self, problem: Problem) -> Proof:
        """The numbers that the problem states."""
        stated = problem.optimum()
        return Proof(**{name: getattr(stated, name) for name in Proof._fields})
