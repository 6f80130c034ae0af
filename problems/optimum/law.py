"""A smooth loss as certificates need it, in extended precision with bounds on rounding; and the value of any loss."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np

from problems.optimum.arithmetic.extended import Bounded, Floats, down, up
from problems.optimum.dual import objective
from problems.optimum.newton import SmoothLoss
from problems.problem import LinearModel


class Enclosure(NamedTuple):
    """All minimisers over x + E_J R^q lie within radius of x, J being some unknowns; there f >= f(x) - drop."""

    radius: float
    drop: float

    def lower(self, f: Bounded) -> float:
        """A lower bound on f everywhere, from f at x."""
        return max(0.0, down(f.value - f.error - np.longdouble(self.drop)))


class SmoothLaw(Protocol):
    """f of a linear model whose loss is smooth; x is exact, in float64 or long double.

    floating: the mean loss in floating point, for Newton's method.
    """

    floating: SmoothLoss

    def value(self, x: Any) -> Bounded:
        """f(x)."""

    def gradient(self, x: Any) -> Bounded:
        """The gradient of f at x, an entry for each unknown."""

    def lower(self, x: Any) -> Any:
        """A lower bound on f in long double, l2 > 0: by duality, from the slopes at x."""

    def enclosure(self, x: Any) -> Enclosure | None:
        """A ball around x that holds the minimiser, l2 > 0: by self-concordance; None where that fails."""

    def tangent(self, x: Any, x0: Floats) -> tuple[Bounded, Any]:
        """(v, t): the mean loss is at least <v, y - x0> + t at every y, nearly its tangent at x."""

    def everywhere(self) -> float:
        """A lower bound on f at every point."""


def is_smooth(model: LinearModel) -> bool:
    """Whether the loss declares a law."""
    return model.law.smooth is not None


def smooth_law(model: LinearModel) -> SmoothLaw | None:
    """The law that the file of the loss declares; None for losses of kinks."""
    law: SmoothLaw | None = None if model.law.smooth is None else model.law.smooth(model)
    return law


def value_up(model: LinearModel, x: Floats) -> float:
    """An upper bound on f(x), tight to rounding, for every linear model."""
    law = smooth_law(model)
    f = objective(model, x) if law is None else law.value(x)
    return up(f.value + f.error)
