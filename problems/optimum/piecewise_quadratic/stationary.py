"""Soft kinks: an exact minimiser (exact.py), and x0 projected on all minimisers where there are several."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated

import numpy as np

from problems.optimum.arithmetic.extended import EPS, Bounded, Floats, Indices, Mask, rounded_margins
from problems.optimum.arithmetic.rational import Rational
from problems.optimum.certificate import Point, Shape, of_models
from problems.optimum.dual import Kinked, is_soft
from problems.optimum.models import reference_pair
from problems.optimum.nothing import unproved
from problems.optimum.piecewise_linear.dual_ball import DualBall
from problems.optimum.piecewise_linear.linear_program import interior_pair
from problems.optimum.piecewise_linear.polyhedron import ExactPoint, Polyhedron, polished
from problems.optimum.piecewise_linear.projected import Projected, projected
from problems.optimum.piecewise_quadratic.enclosed import Enclosed
from problems.optimum.piecewise_quadratic.exact import Minimiser, feasible, minimiser, with_sides
from problems.optimum.piecewise_quadratic.points import newton_point
from problems.problem import Optimum, Problem

# Where the exact system is too large: Newton's method is run up to NEWTON multiplications, and beyond them a solver is
# asked for a point up to ENTRIES entries.
NEWTON, ENTRIES = 1e11, 2e7


@dataclass(frozen=True, kw_only=True, eq=False)
class ExactStationary(Projected):
    """The rows inside their boxes, those at the upper end, and the entries of x where columns are dependent.

    euclidean, maximum: see Projected.
    """

    kind = "exact stationary point"
    arithmetic = "rational"
    serves = of_models(is_soft)
    inner: Annotated[Indices, Shape("r", below="m")]
    high: Annotated[Indices, Shape("h", below="m")]
    given: Point

    def minimiser(self, model: Kinked) -> tuple[Rational, Fraction, Polyhedron | None]:
        """The exact solution for these rows; ValueError where it is no minimiser."""
        side = np.full(model.b.size, -1, dtype=np.int8)
        side[self.high] = 1
        side[self.inner] = 0
        found = with_sides(model, side, self.given) if feasible(model) else None
        if found is None:
            raise ValueError("inner and high are not those of a minimiser")
        return found.x, found.value, None if found.unique else polyhedron(model, found)


def certify_piecewise_quadratic(problem: Problem, model: Kinked) -> Optimum:
    """The exact minimiser; where that is too large a task, a ball that holds it (enclosed.py).

    Where neither is found: strong convexity (l2 > 0) or nothing.
    """
    try:
        found = minimiser(model) if feasible(model) else None
        if found is not None:
            return _exactly(problem, model, found)
    except OverflowError:  # numbers beyond extended precision
        pass
    x, (m, p) = problem.x0, model.A.shape
    if m * p * p <= NEWTON:
        x = newton_point(model)
        enclosed = Enclosed(x=x)
        with contextlib.suppress(ValueError):
            return enclosed.prove(problem).optimum(enclosed, x)
    elif m * p <= ENTRIES and (pair := interior_pair(model) or reference_pair(model)):
        x = pair[0]
    if model.l2 > 0:
        ball = DualBall(x=x, u=slopes(model, x))
        return ball.prove(problem).optimum(ball, x, "the minimiser was not found in rational arithmetic")
    return unproved(problem, x, "not solved: the minimiser was not found in rational arithmetic")


def slopes(model: Kinked, x: Floats) -> Floats:
    """The slopes u at x, in float64."""
    r = rounded_margins(model.A, np.asarray(x, dtype=np.longdouble)).value - model.b
    return np.clip((r / np.longdouble(model.soft)).astype(np.float64), model.lo, model.hi)


def _exactly(problem: Problem, model: Kinked, found: Minimiser) -> Optimum:
    inner, high = np.flatnonzero(found.solved == 0), np.flatnonzero(found.solved > 0)
    certificate = ExactStationary(inner=inner, high=high, given=found.given)
    return projected(problem, certificate, found.x, None if found.unique else polyhedron(model, found))


def target(model: Kinked, found: Minimiser) -> Bounded:
    """<a_i, x*> inside the boxes, and elsewhere the least or largest <a_i, x> on X*."""
    z = rounded_margins(model.A, found.x.long())
    end = np.where(found.side > 0, model.hi, model.lo).astype(np.longdouble) * np.longdouble(model.soft)
    rounding = 2 * EPS * (np.abs(model.b) + np.abs(end)).astype(np.float64)
    inner = found.side == 0
    return Bounded(np.where(inner, z.value, model.b + end), np.where(inner, z.error, rounding))


def polyhedron(model: Kinked, found: Minimiser) -> Polyhedron:
    """X*, from one of the minimisers."""
    none, boundary = np.zeros(0, dtype=np.intp), target(model, found)
    aim = boundary.value.astype(np.float64)
    start = ExactPoint(none, none, found.given, found.x)

    def completed(_: Indices, __: Indices, given: Floats) -> Rational | None:
        point = with_sides(model, found.side, given)
        return None if point is None else point.x

    def exact(_: Mask, x: Floats) -> ExactPoint | None:
        given = polished(model, aim, found.side == 0, x)
        point = completed(none, none, given)
        return None if point is None else ExactPoint(none, none, given, point)

    return Polyhedron(model, found.side, boundary, start, exact, completed, lambda: found.side == 0)
