"""Multinomial logistic loss without a minimiser: a direction sends pairs of S to infinity.

S and the direction are as in multinomial_separability.py. Completely separable: inf f = 0. Otherwise the infimum is
that of f_K, the loss of the other pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from problems.optimum.arithmetic.extended import Floats, down
from problems.optimum.certificate import Certificate, Point, Proof, Shape, model_of
from problems.optimum.nothing import Nothing
from problems.optimum.smooth.multinomial_repeated import entropy, repeated
from problems.optimum.smooth.multinomial_separability import Split, coordinates, proved_separation, strictly_separates
from problems.optimum.smooth.softmax import MULTINOMIAL, Mask, Rows, mean_loss, pairs, restricted, rows_of
from problems.optimum.smooth.softmax_enclosure import enclose_rows, halves, polished
from problems.optimum.smooth.softmax_newton import DENSE_UNKNOWNS, growth
from problems.optimum.value import value_up
from problems.problem import LinearModel, Problem

# Margins this large leave a pair's part of its row's loss below 3e-16.
FAR = 36.0


@dataclass(frozen=True, kw_only=True, eq=False)
class MultinomialSeparable(Certificate):
    """At x every row's own class leads: f tends to 0 along x, and has no minimiser."""

    kind = "separable"
    arithmetic = "norms"
    x: Point

    @staticmethod
    def serves(model: LinearModel | None) -> bool:
        """For the multinomial logistic loss without a penalty."""
        return model is not None and model.loss == MULTINOMIAL and model.l2 == 0

    def prove(self, problem: Problem) -> Proof:
        """That x does so."""
        model = model_of(problem)
        rows = rows_of(model)
        if not strictly_separates(rows, self.x.reshape(-1, rows.C)):
            return Nothing(x=self.x).prove(problem)
        note = f"no minimiser: the data are completely separable, all {_of_pairs(rows)}"
        f_lo = entropy(repeated(rows), rows.m)
        return _no_minimiser(f_lo, value_up(model, self.x), note)


@dataclass(frozen=True, kw_only=True, eq=False)
class MultinomialQuasiSeparable(MultinomialSeparable):
    """w separates the pairs S, a mask of m C bits, and is 0 on the others. x: a point far along w.

    rest + low: a point where the loss of the other pairs is near its infimum.
    """

    kind = "quasi-separable"
    w: Point
    S: Annotated[NDArray[np.uint8], Shape("bytes of S")]
    rest: Point
    low: Point

    def prove(self, problem: Problem) -> Proof:
        """That w does so, and a bound on the loss of the other pairs."""
        model = model_of(problem)
        rows = rows_of(model)
        S = _mask(self.S, rows)
        f_lo = max(self._least(restricted(rows, rows.keep & ~S)), entropy(repeated(rows), rows.m))
        f_hi = value_up(model, self.x)
        if proved_separation(rows, S, self.w.reshape(-1, rows.C)) is None:
            return Nothing(x=self.x).prove(problem)._replace(f_lo=f_lo)
        note = f"no minimiser: the data are quasi-completely separable, {int(S.sum())} {_of_pairs(rows)}"
        return _no_minimiser(f_lo, f_hi, note, *(() if f_lo > 0 else ("f_lo is the trivial bound 0",)))

    def _least(self, left: Rows) -> float:
        """A lower bound on inf f_K: enclosed near rest + low, or 0."""
        if left.A.shape[1] * left.C > DENSE_UNKNOWNS:
            return 0.0
        center = (self.rest.astype(np.longdouble) + self.low).reshape(-1, left.C)
        at = coordinates(left)
        ball = None if at is None or not left.y.size else enclose_rows(left, at, center)
        if ball is None:
            return 0.0
        f = mean_loss(left, center)
        return max(0.0, down(f.value - f.error - np.longdouble(ball.drop)))


def _no_minimiser(f_lo: float, f_hi: float, *notes: str) -> Proof:
    return Proof(f_lo, f_hi, math.inf, math.inf, math.inf, attained=False, notes=notes)


def _of_pairs(rows: Rows) -> str:
    return f"of {int(rows.keep.sum() - rows.y.size)} pairs of a row and another class"


def _mask(packed: NDArray[np.uint8], rows: Rows) -> Mask:
    S = np.unpackbits(packed, count=rows.keep.size).astype(bool).reshape(rows.keep.shape)
    if S[np.arange(rows.y.size), rows.y].any() or not S.any():
        raise ValueError("S must hold pairs of a row and another class than its own")
    return S


def far_along(rows: Rows, parts: Split) -> MultinomialSeparable:
    """The certificate at W + c V, c so large that the margins of the pairs in S are FAR."""
    i, c = pairs(rows)
    S = parts.S[i, c]
    grows = growth(rows, rows.A @ parts.V)[i, c][S]
    missing = FAR - growth(rows, rows.A @ parts.W)[i, c][S]
    with np.errstate(over="ignore", invalid="ignore"):
        far = float((missing[grows > 0] / grows[grows > 0]).max(initial=0.0))
        moved = parts.W + far * parts.V
    x: Floats = (moved if np.all(np.isfinite(moved)) else parts.W).ravel()
    if S.all() and parts.proved:
        return MultinomialSeparable(x=x)
    left = restricted(rows, rows.keep & ~parts.S)
    W = polished(left, parts.at, parts.W) if parts.at is not None and parts.converged else parts.W
    rest, low = halves(W)
    return MultinomialQuasiSeparable(x=x, w=parts.V.ravel(), S=np.packbits(parts.S), rest=rest, low=low)
