"""The multinomial logistic loss in extended precision."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from problems.optimum.arithmetic.extended import EPS, OUTWARD, Bounded, Floats, inner
from problems.optimum.dual import penalised_slope
from problems.optimum.law import Enclosure
from problems.optimum.smooth.multinomial_repeated import entropy, repeated
from problems.optimum.smooth.softmax import (
    Rows,
    all_rows,
    differences,
    dual_value,
    mean_loss,
    residual,
    rows_of,
    softmax,
)
from problems.optimum.smooth.softmax_enclosure import enclose_rows
from problems.optimum.smooth.softmax_newton import Multinomial
from problems.problem import LinearModel


class MultinomialLaw:
    """The SmoothLaw (law.py) of the multinomial logistic loss; x is W.ravel()."""

    def __init__(self, model: LinearModel) -> None:
        self.model, self.l2 = model, model.l2
        self.floating = Multinomial(all_rows(model))

    @functools.cached_property
    def rows(self) -> Rows:
        """Every row with every class."""
        return rows_of(self.model)

    def value(self, x: Any) -> Bounded:
        """f(x)."""
        return mean_loss(self.rows, self._matrix(x), self.l2)

    def gradient(self, x: Any) -> Bounded:
        """The gradient at x."""
        return self._gradient(self.rows, x, self.l2)

    def lower(self, x: Any) -> Any:
        """The lower bound of the probabilities at x."""
        return dual_value(self.rows, self._matrix(x).astype(np.float64), self.l2)

    def enclosure(self, x: Any) -> Enclosure | None:
        """The enclosure by self-concordance at x."""
        return enclose_rows(self.rows, np.arange(x.size), self._matrix(x), self.l2)

    def tangent(self, x: Any, x0: Floats) -> tuple[Bounded, Any]:
        """The tangent itself, with the errors of value and gradient."""
        rows = all_rows(self.model)
        v, f = self._gradient(rows, x, 0.0), mean_loss(rows, self._matrix(x))
        d = np.asarray(x0, dtype=np.longdouble) - np.asarray(x, dtype=np.longdouble)
        product = inner(v, d)
        # d is off by EPS of itself, entry by entry
        error = f.error + product.error + EPS * OUTWARD * float(np.sum(np.abs(v.value * d)))
        rounding = 4 * EPS * (np.abs(f.value) + np.abs(product.value))
        return v, f.value + product.value - np.longdouble(error) - rounding

    def everywhere(self) -> float:
        """The loss that equal rows of several classes have at every point."""
        rows = self.rows
        return entropy(repeated(rows), rows.m)

    def _matrix(self, x: Any) -> Any:
        return np.asarray(x).reshape(-1, self.model.classes)

    def _gradient(self, rows: Rows, x: Any, l2: float) -> Bounded:
        W = self._matrix(x)
        g = penalised_slope(rows.A, residual(rows, softmax(rows, differences(rows, W))), rows.m, l2, W)
        return Bounded(g.value.ravel(), g.error.ravel())
