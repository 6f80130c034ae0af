"""Logistic loss of rows that no direction separates: bounds on its infimum, and on the distance to its minimiser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from problems.optimum.arithmetic.columns import Columns, spread
from problems.optimum.arithmetic.extended import OUTWARD, Floats, distance, down, least_squares, margins, total, up
from problems.optimum.arithmetic.metric import LARGEST, small
from problems.optimum.certificate import Certificate, Point, Proof, Shape, model_of, narrow, of_models
from problems.optimum.distances import Flattest, distance_modulo, find_flattest, in_ball
from problems.optimum.dual import LOGISTIC, logistic_losses
from problems.optimum.law import Enclosure
from problems.optimum.nothing import unproved
from problems.optimum.smooth.exact_slopes import dual_point, feasible
from problems.optimum.smooth.reaching import reaching_columns
from problems.optimum.smooth.smooth import enclose, polished, slopes
from problems.optimum.smooth.tempered import tempered_newton
from problems.problem import LinearModel, Optimum, Problem

# Intervals of this width, relative to max(1, f), are narrow enough.
WIDTH = 1e-13


@dataclass(frozen=True)
class Overlap:
    """Bounds on the loss of overlapping rows and a ball that holds a minimiser, from x and slopes u where given.

    attained: True where a minimiser is proved to exist.
    """

    f_lo: float
    f_hi: float
    ball: Enclosure | None
    columns: Columns
    attained: bool | None


def proved_overlap(A: Any, b: Floats, m: int, x: Floats, u: Floats | None, columns: Columns | None = None) -> Overlap:
    """Bounds on the infimum of (1/m) sum phi over these rows: by self-concordance at x, and by u made exact."""
    columns = reaching_columns(A) if columns is None else columns
    z = margins(A, x)
    phi = logistic_losses(b, z)
    F = total(phi.value, phi.error)
    error = F.error * OUTWARD
    f_lo, attained = 0.0, None
    ball = enclose(A[:, columns.J], b, z)
    if ball is not None:
        f_lo, attained = max(0.0, down((F.value - error - b.size * np.longdouble(ball.drop)) / m)), True
    point = None if u is None or not feasible(A) else dual_point(A, b, u, m)
    if point is not None:
        f_lo, attained = max(f_lo, point.f_lo), attained or (True if point.overlap else None)
    return Overlap(f_lo, up((F.value + error) / m), ball, columns, attained)


def overlap(A: Any, b: Floats, m: int, x: Floats, columns: Columns) -> tuple[Overlap, Floats, Floats | None]:
    """(bounds, x, u): the bounds at x, or where they are wide, at what a more careful method makes of it."""
    found = proved_overlap(A, b, m, x, None, columns)
    if not narrow(found, WIDTH) and small(A[:, columns.J]):
        A_J, p = A[:, columns.J], x.size
        inside = columns.J.size == p or not np.any(np.delete(x, columns.J))
        tries = [polished(A_J, b, x[columns.J])] if inside else []
        tempered = tempered_newton(A_J, b)
        for y in [*tries, *([] if tempered is None else [tempered])]:
            other = proved_overlap(A, b, m, spread(y, columns.J, p), None, columns)
            if _better(other, found):
                found, x = other, spread(y, columns.J, p)
    if narrow(found, WIDTH) or not feasible(A):
        return found, x, None
    u = slopes(b, margins(A, x))[0].value.astype(np.float64)
    exact = proved_overlap(A, b, m, x, u, columns)
    return (exact, x, u) if exact.f_lo > found.f_lo else (found, x, None)


def _better(a: Overlap, b: Overlap) -> bool:
    """Whether a is narrower than b; where neither proves anything, whether f is smaller."""
    if a.f_lo == b.f_lo == 0:
        return a.f_hi < b.f_hi
    return a.f_hi - a.f_lo < b.f_hi - b.f_lo


@dataclass(frozen=True, kw_only=True, eq=False)
class SelfConcordance(Certificate):
    """A minimiser enclosed near x, by self-concordance (smooth.py).

    u: slopes that prove more of f_lo, where they do. flattest: where columns depend on others.
    """

    kind = "self-concordance"
    arithmetic = "norms"
    serves = of_models(lambda model: model.loss == LOGISTIC, penalty=False)
    x: Point
    u: Annotated[Floats, Shape("m")] | None = None
    flattest: Flattest | None = None

    def prove(self, problem: Problem) -> Proof:
        """The bounds at x, and by u."""
        model = model_of(problem)
        found = proved_overlap(model.A, model.b, model.b.size, self.x, self.u)
        return _proof(problem.x0, found, self.x, self.flattest)


class ExactSlopes(SelfConcordance):
    """A bound on f from slopes u near those at x that are made exact (exact_slopes.py); no minimiser is enclosed."""

    kind = "exact slopes"


def _proof(x0: Floats, found: Overlap, x: Floats, flattest: Flattest | None) -> Proof:
    """The proof from bounds over all rows, with the distance of x0."""
    columns, ball = found.columns, found.ball
    if ball is None:
        note = "D not proved: the point where f is least was not enclosed" if found.attained else open_question(x.size)
        return Proof(found.f_lo, found.f_hi, attained=found.attained, D_estimate=distance(x, x0)[1], notes=(note,))
    proof = in_ball(x0, found.f_lo, found.f_hi, x, ball.radius)._replace(attained=found.attained)
    if columns.J.size + columns.N.shape[1] < x.size:
        note = "X* is an affine space: columns are linearly dependent; D_lo not proved"
        return proof._replace(D_lo=0.0, D_inf_lo=0.0, notes=(note,))
    return distance_modulo(proof, x - x0, columns.N, ball.radius, flattest)


def open_question(p: int) -> str:
    """A note where neither existence nor absence of a minimiser is proved."""
    why = f"; beyond {LARGEST} columns the curvature of f is not bounded" if p > LARGEST else ""
    return f"whether a minimiser exists is open{why}"


def no_proof(problem: Problem, x: Floats) -> Optimum:
    """The optimum at x with trivial bounds, and a note that says so."""
    return unproved(problem, x, f"no proof succeeded: f_lo is the trivial bound 0, and {open_question(x.size)}")


def attained(problem: Problem, model: LinearModel, columns: Columns, x: Floats) -> Optimum:
    """The optimum at the minimiser nearest to x0, X* being x + null(A), which columns.N spans; or without a proof."""
    x0, N = problem.x0, columns.N
    if N.shape[1]:
        x = x + N @ least_squares(N, x0 - x)
    found, x, u = overlap(model.A, model.b, model.b.size, x, columns)
    if found.ball is None:
        if found.f_lo == 0 and not found.attained:
            return no_proof(problem, x)
        return _proof(x0, found, x, None).optimum(ExactSlopes(x=x, u=u), x)
    spanned = columns.J.size + N.shape[1] == x.size
    flattest = find_flattest(N, x - x0) if spanned else None
    return _proof(x0, found, x, flattest).optimum(SelfConcordance(x=x, u=u, flattest=flattest), x)
