"""The value of f at a point, rounded up."""

from __future__ import annotations

from problems.optimum.arithmetic.extended import Floats, up
from problems.optimum.dual import objective
from problems.optimum.law import smooth_law
from problems.problem import LinearModel


def value_up(model: LinearModel, x: Floats) -> float:
    """An upper bound on f(x), tight to rounding, for every linear model."""
    law = smooth_law(model)
    f = objective(model, x) if law is None else law.value(x)
    return up(f.value + f.error)
