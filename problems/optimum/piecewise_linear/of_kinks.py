"""The base class of certificates of losses made of kinks."""

from __future__ import annotations

from dataclasses import dataclass

from problems.optimum.certificate import Certificate, model_of
from problems.optimum.dual import Kinked, kinked
from problems.problem import Problem


@dataclass(frozen=True, kw_only=True, eq=False)
class OfKinks(Certificate):
    """A certificate whose rows are those of the model with one kink in each row."""

    def sizes(self, problem: Problem) -> dict[str, int]:
        """The sizes, with m the number of kinks."""
        return {"m": rows(problem).b.size, "p": problem.p}


def rows(problem: Problem) -> Kinked:
    """The model with one kink in each row."""
    return kinked(model_of(problem))
