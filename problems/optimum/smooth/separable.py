"""Smooth losses without a minimiser: a direction sends pairs of S to infinity, and inf f is that of the others.

f is at least its part over the other pairs, at every point; and along the direction the part of the pairs in S tends to
0. So inf f is that of the other pairs: 0 if there are none (separability.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from problems.optimum.arithmetic.extended import Floats, Indices, Mask
from problems.optimum.arithmetic.null_space import Forms
from problems.optimum.arithmetic.rational import mask
from problems.optimum.certificate import Certificate, Point, Proof, Shape, model_of, of_models
from problems.optimum.dual import LOGISTIC
from problems.optimum.law import is_smooth, smooth_law, value_up
from problems.optimum.smooth.multinomial_separability import of_pairs, others_above, proved_separation
from problems.optimum.smooth.overlap import proved_overlap
from problems.optimum.smooth.separability import separation, two_classes
from problems.optimum.smooth.softmax import forms_of, rows_of
from problems.problem import LinearModel, Problem

# Margins this large leave a pair's loss below 3e-20, nothing in float64 beside any other.
FAR = 45.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Separable(Certificate):
    """w puts every pair strictly right: f tends to its least along w, and has no minimiser. x: a point far along w."""

    kind = "separable"
    arithmetic = "norms"
    serves = of_models(is_smooth, penalty=False)
    x: Point
    w: Point

    def sizes(self, problem: Problem) -> dict[str, int]:
        """The sizes, with `pairs` the number of pairs of a row and another class than its own."""
        return {**super().sizes(problem), "pairs": problem.m * max(1, model_of(problem).classes - 1)}

    def prove(self, problem: Problem) -> Proof:
        """The proof that w separates all pairs."""
        model = model_of(problem)
        return self._proof(model, np.ones(self.sizes(problem)["pairs"], dtype=bool), 0.0)

    def _proof(self, model: LinearModel, S: Mask, f_lo: float) -> Proof:
        """f >= f_lo, and no minimiser if it is proved that w separates S."""
        law = smooth_law(model)
        assert law is not None
        f_lo, f_hi = max(f_lo, law.everywhere()), value_up(model, self.x)
        of = "rows" if model.loss == LOGISTIC else "pairs of a row and another class"
        note = f"the data are {'' if S.all() else 'quasi-'}completely separable, {S.sum()} of {S.size} {of}"
        if not _separates(model, S, self.w):
            return Proof(f_lo, f_hi, notes=(f"to the accuracy of solvers, {note}: not proved",))
        trivial = () if f_lo > 0 or S.all() else ("f_lo is the trivial bound 0",)
        return Proof(
            f_lo, f_hi, math.inf, math.inf, math.inf, attained=False, notes=(f"no minimiser: {note}", *trivial)
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class QuasiSeparable(Separable):
    """w puts the pairs S strictly right and is 0 on the others: inf f is that over the others, and no minimum.

    rest, or rest + low: a point where the others have a loss near its infimum; u: their slopes, where needed.
    """

    kind = "quasi-separable"
    S: Annotated[Indices, Shape("s", below="pairs")]
    rest: Point
    low: Point | None = None
    u: Annotated[Floats, Shape("r")] | None = None

    def prove(self, problem: Problem) -> Proof:
        """The proof that w separates S, and a bound on the loss of the other pairs."""
        model = model_of(problem)
        S = mask(self.S, self.sizes(problem)["pairs"])
        if model.loss == LOGISTIC:
            R = np.flatnonzero(~S)
            return self._proof(model, S, proved_overlap(model.A[R], model.b[R], problem.m, self.rest, self.u).f_lo)
        rows, low = rows_of(model), 0 if self.low is None else self.low
        return self._proof(model, S, others_above(rows, of_pairs(rows, S), self.rest.astype(np.longdouble) + low))


def _separates(model: LinearModel, S: Mask, w: Floats) -> bool:
    """Whether a direction near w is proved to be positive on S and 0 elsewhere."""
    if model.loss == LOGISTIC:
        return separation(two_classes(model.A, model.b), S, w).proved
    rows = rows_of(model)
    return proved_separation(rows, of_pairs(rows, S), w.reshape(-1, rows.C)) is not None


def far_along(model: LinearModel, S: Mask, x: Floats, w: Floats) -> Floats:
    """x + c w, c so large that the margins of these pairs are FAR, those of them that w increases, or where f is least.

    w is rounded, and a large c moves the other pairs.
    """
    forms = _pairs(model).at(S)
    growth, margins = (forms.values(forms.A @ v.reshape(-1, forms.C)) for v in (w, x))
    rows = growth > 0  # all, where w is proved
    with np.errstate(over="ignore", invalid="ignore"):
        far = float(((FAR - margins[rows]) / growth[rows]).max(initial=0.0))
        points = [moved for c in (far, far / 2, far / 4, 0.0) if np.all(np.isfinite(moved := x + c * w))]
    return min(points, key=lambda y: value_up(model, y))


def _pairs(model: LinearModel) -> Forms:
    return two_classes(model.A, model.b) if model.loss == LOGISTIC else forms_of(rows_of(model))
