"""The logistic loss in extended precision."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit

from problems.optimum.arithmetic.extended import Bounded, Floats, margins
from problems.optimum.dual import Minorant, dual_value, objective, penalised_slope
from problems.optimum.law import Enclosure
from problems.optimum.smooth.smooth import Logistic, enclose, slopes
from problems.problem import LinearModel


class FarLogistic(Logistic):
    """The logistic loss, with weights that keep their digits at large margins, as over balls of separable data."""

    def slopes(self, z: Floats) -> Floats:
        """-b alpha."""
        return -self.b * expit(-self.b * z)

    def weights(self, z: Floats) -> Floats:
        """alpha (1 - alpha) / m without cancellation."""
        return expit(z) * expit(-z) / self.m


class LogisticLaw:
    """The SmoothLaw (law.py) of the logistic loss."""

    def __init__(self, model: LinearModel) -> None:
        self.model = model
        self.floating = FarLogistic(model.A, model.b)

    def value(self, x: Any) -> Bounded:
        """f(x)."""
        return objective(self.model, x)

    def gradient(self, x: Any) -> Bounded:
        """The gradient at x."""
        A, b = self.model.A, self.model.b
        return penalised_slope(A, slopes(b, margins(A, x))[0], b.size, self.model.l2, x)

    def lower(self, x: Any) -> Any:
        """The lower bound of the dual point of the slopes at x."""
        return dual_value(self.model, self._minorant(x))

    def enclosure(self, x: Any) -> Enclosure | None:
        """The enclosure by self-concordance at x."""
        A, b, l2 = self.model.A, self.model.b, self.model.l2
        return enclose(A, b, margins(A, x), l2, x)

    def tangent(self, x: Any, x0: Floats) -> tuple[Bounded, Any]:
        """The minorant of the slopes at x, rounded: the tangent up to the square of the rounding."""
        return self._minorant(x).at(x0)

    def everywhere(self) -> float:
        """0: the loss is not negative."""
        return 0.0

    def _minorant(self, x: Any) -> Minorant:
        u = slopes(self.model.b, margins(self.model.A, x))[0].value.astype(np.float64)
        return Minorant(self.model, u)
