"""The value of f at a point, rounded up."""

from __future__ import annotations

from problems.optimum.arithmetic.extended import Floats, up
from problems.optimum.dual import objective_up
from problems.optimum.smooth.softmax import MULTINOMIAL, mean_loss, rows_of
from problems.problem import LinearModel


def value_up(model: LinearModel, x: Floats) -> float:
    """An upper bound on f(x), tight to rounding, for every linear model."""
    if model.loss != MULTINOMIAL:
        return objective_up(model, x)
    f = mean_loss(rows_of(model), x.reshape(-1, model.classes), model.l2)
    return up(f.value + f.error)
