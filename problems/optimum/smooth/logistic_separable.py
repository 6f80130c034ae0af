"""Logistic loss without a minimiser: a direction sends some rows to infinity, and the infimum is that of the others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from problems.optimum.arithmetic.extended import Floats
from problems.optimum.arithmetic.rational import mask
from problems.optimum.certificate import Certificate, Indices, Point, Proof, Shape, model_of
from problems.optimum.dual import LOGISTIC, objective_up
from problems.optimum.smooth.logistic_split import Split, separates
from problems.optimum.smooth.overlap import overlap, proved_overlap
from problems.problem import LinearModel, Optimum, Problem

# Margins this large leave a row's loss below 3e-20, nothing in float64 beside any other.
FAR = 45.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Separable(Certificate):
    """w puts every row strictly on its side: f tends to 0 along w, and has no minimiser. x: a point far along w."""

    kind = "separable"
    arithmetic = "norms"
    x: Point
    w: Point

    @staticmethod
    def serves(model: LinearModel | None) -> bool:
        """For the logistic loss without a penalty."""
        return model is not None and model.loss == LOGISTIC and model.l2 == 0

    def prove(self, problem: Problem) -> Proof:
        """That w does so."""
        model = model_of(problem)
        everything = np.ones(model.b.size, dtype=bool)
        proved = separates(model.A, model.b, everything, self.w).proved
        return _proof(model, self.x, model.b.size, proved, 0.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class QuasiSeparable(Separable):
    """w puts the rows S strictly on their side and is 0 on the others: inf f is that over the others, and no minimum.

    rest: a point where the others have a loss near its infimum, u: their slopes, where needed.
    """

    kind = "quasi-separable"
    S: Annotated[Indices, Shape("s", below="m")]
    rest: Point
    u: Annotated[Floats, Shape("r")] | None = None

    def prove(self, problem: Problem) -> Proof:
        """That w does so, and a bound on the loss of the other rows."""
        model = model_of(problem)
        S = mask(self.S, model.b.size)
        proved = separates(model.A, model.b, S, self.w).proved
        R = np.flatnonzero(~S)
        found = proved_overlap(model.A[R], model.b[R], model.b.size, self.rest, self.u)
        return _proof(model, self.x, self.S.size, proved, found.f_lo)


def _proof(model: LinearModel, x: Floats, rows: int, proved: bool, f_lo: float) -> Proof:
    """f >= f_lo, and no minimiser if it is proved that a direction separates so many rows."""
    f_hi, m = objective_up(model, x), model.b.size
    note = f"the data are {'quasi-' if rows < m else ''}completely separable, {rows} of {m} rows"
    if not proved:
        return Proof(f_lo, f_hi, notes=(f"to the accuracy of a linear program, {note}: not proved",))
    return Proof(f_lo, f_hi, math.inf, math.inf, math.inf, attained=False, notes=(f"no minimiser: {note}",))


def separable(model: LinearModel, parts: Split) -> tuple[Floats, Optimum | None]:
    """(the point over the other rows, optimum): rows S go to infinity; None where nothing is proved of the others.

    f is at least its part over the rows R, at every x; and x + c w brings the part over S to 0 as c grows. So the
    infimum is that of the part over R, which self-concordance encloses, or exact slopes bound from below.
    """
    A, b = model.A, model.b
    m, S = b.size, np.flatnonzero(parts.separation.S)
    w, rest = parts.separation.w, parts.x
    if not parts.R.size:
        x = _far_along(model, S, rest, w)
        return rest, _proof(model, x, m, parts.separation.proved, 0.0).optimum(Separable(x=x, w=w), x)
    found, rest, u = overlap(A[parts.R], b[parts.R], m, rest, parts.columns)
    if found.f_lo == 0:
        return rest, None
    x = _far_along(model, S, rest, w)
    proof = _proof(model, x, S.size, parts.separation.proved, found.f_lo)
    return rest, proof.optimum(QuasiSeparable(x=x, w=w, S=S, rest=rest, u=u), x)


def _far_along(model: LinearModel, S: Any, x: Floats, w: Floats) -> Floats:
    """x + c w, c so large that the margins of these rows are FAR, those of them that w increases, or where f is least.

    w is rounded, and a large c moves the other rows.
    """
    A_S, b_S = model.A[S], model.b[S]
    growth = b_S * (A_S @ w)
    rows = growth > 0  # all, where w is proved
    with np.errstate(over="ignore"):
        far = float(((FAR - b_S * (A_S @ x))[rows] / growth[rows]).max(initial=0.0))
        points = [moved for c in (far, far / 2, far / 4, 0.0) if np.all(np.isfinite(moved := x + c * w))]
    return min(points, key=lambda y: objective_up(model, y))
