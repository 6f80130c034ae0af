"""Soft kinks: an exact minimiser (exact.py), and x0 projected on all minimisers where there are several."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from problems.optimum.arithmetic.extended import EPS, Bounded, Floats, rounded_margins
from problems.optimum.certificate import Indices, Point, Proof, Shape
from problems.optimum.distances import Both, closest, distances_up, exactly_at
from problems.optimum.dual import Kinked, is_soft
from problems.optimum.nothing import unproved
from problems.optimum.piecewise_linear.dual_ball import DualBall
from problems.optimum.piecewise_linear.linear_program import interior_pair, project
from problems.optimum.piecewise_linear.of_kinks import OfKinks, rows
from problems.optimum.piecewise_linear.polyhedron import (
    MARGIN,
    MULTIPLIER,
    NORMS,
    distances_below,
    polished,
    sharpened,
)
from problems.optimum.piecewise_quadratic.enclosed import Enclosed
from problems.optimum.piecewise_quadratic.exact import Minimiser, checked, feasible, minimiser, with_sides
from problems.optimum.piecewise_quadratic.points import newton_point
from problems.problem import LinearModel, Optimum, Problem

# Where the exact system is too large: multiplications up to which Newton's method is run, and entries up to which a
# solver is asked for a point beyond.
NEWTON, ENTRIES = 1e11, 2e7
# A wider interval for D than this, relatively, gets a note.
LOOSE = 1e-6


@dataclass(frozen=True, kw_only=True, eq=False)
class Projection:
    """Entries of a point of X* near x0, and multipliers y that are 0 but at some rows."""

    given: Point
    multipliers_at: Annotated[Indices, Shape("y", below="m")]
    multipliers: Annotated[Floats, Shape("y")]

    def distances(self, model: Kinked, found: Minimiser, x0: Floats) -> tuple[Both, Both]:
        """Bounds from below and from above; the point and y each bound both distances."""
        y = np.zeros(model.b.size)
        y[self.multipliers_at] = self.multipliers
        point = with_sides(model, found.side, self.given)
        above = (math.inf, math.inf) if point is None else distances_up(point.x, x0)
        return distances_below(model, found.side, y, x0, target(model, found)), above


@dataclass(frozen=True, kw_only=True, eq=False)
class ExactStationary(OfKinks):
    """The rows inside their boxes, those at the upper end, and the entries of x where columns are dependent.

    euclidean, maximum: x0 projected on X* in these norms, where X* is more than a point.
    """

    kind = "exact stationary point"
    arithmetic = "rational"
    inner: Annotated[Indices, Shape("r", below="m")]
    high: Annotated[Indices, Shape("h", below="m")]
    given: Point
    euclidean: Projection | None = None
    maximum: Projection | None = None

    @staticmethod
    def serves(model: LinearModel | None) -> bool:
        """For losses of soft kinks."""
        return model is not None and is_soft(model)

    def prove(self, problem: Problem) -> Proof:
        """The exact minimum, and the distance to X*."""
        model, x0 = rows(problem), problem.x0
        found = checked(model, self.inner, self.high, self.given)
        if found is None:
            raise ValueError("inner and high are not those of a minimiser")
        if found.unique:
            return exactly_at(found.x, found.value, x0)
        near = [part.distances(model, found, x0) for part in (self.euclidean, self.maximum) if part is not None]
        return closest(found.value, [((0.0, 0.0), distances_up(found.x, x0)), *near])


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
    elif m * p <= ENTRIES and (pair := interior_pair(model)) is not None:
        x = pair[0]
    if model.l2 > 0:
        ball = DualBall(x=x, u=slopes(model, x))
        return ball.prove(problem).optimum(ball, x, "the minimiser was not found in rational arithmetic")
    return unproved(problem, x, "not solved: the minimiser was not found in rational arithmetic")


def slopes(model: Kinked, x: Floats) -> Floats:
    """u at x, in float64."""
    r = rounded_margins(model.A, np.asarray(x, dtype=np.longdouble)).value - model.b
    return np.clip((r / np.longdouble(model.soft)).astype(np.float64), model.lo, model.hi)


def _exactly(problem: Problem, model: Kinked, found: Minimiser) -> Optimum:
    point, notes, near = found, [], {}
    if not found.unique:
        notes.append("X* is more than a point")
        near = {norm: _projected(model, found, problem.x0, norm) for norm in NORMS}
        point = with_sides(model, found.side, near["euclidean"].given) or found
    side, given = found.solved.side, found.solved.given
    certificate = ExactStationary(inner=np.flatnonzero(side == 0), high=np.flatnonzero(side > 0), given=given, **near)
    proof = certificate.prove(problem)
    if proof.D_hi > proof.D_lo * (1 + LOOSE):
        notes.append("the solvers' projections of x0 on X* are not accurate enough for a sharp D")
    return proof.optimum(certificate, point.x.long().astype(np.float64), *notes)


def target(model: Kinked, found: Minimiser) -> Bounded:
    """<a_i, x*> inside the boxes, and elsewhere the least or largest <a_i, x> on X*."""
    z = rounded_margins(model.A, found.x.long())
    end = np.where(found.side > 0, model.hi, model.lo).astype(np.longdouble) * np.longdouble(model.soft)
    rounding = 2 * EPS * (np.abs(model.b) + np.abs(end)).astype(np.float64)
    inner = found.side == 0
    return Bounded(np.where(inner, z.value, model.b + end), np.where(inner, z.error, rounding))


def _projected(model: Kinked, found: Minimiser, x0: Floats, norm: str) -> Projection:
    """The point of X* nearest to x0 in this norm, as far as solvers can tell.

    First on X* itself; where an inequality then fails by a rounding, on X* shrunk by MARGIN.
    """
    which, boundary = NORMS.index(norm), target(model, found)
    side = found.side.astype(np.float64)
    best, y = found.x.long().astype(np.float64), np.zeros(model.b.size)
    high, low = distances_up(found.x, x0)[which], 0.0
    for margin in (0.0, MARGIN):
        aim = boundary.value.astype(np.float64)
        aim = aim + margin * (1 + np.abs(aim)) * side
        pair = project(model.A, aim, side, x0, norm)
        if pair is None:
            continue
        x, multipliers = pair[0], [pair[1]]
        if norm == "euclidean":
            supporting = (side == 0) | (side * pair[1] > MULTIPLIER * max(np.abs(pair[1]).max(), 1e-300))
            multipliers.append(sharpened(model, aim, side, supporting, x, x0)[0])
        given = polished(model, aim, side == 0, x)
        point = with_sides(model, found.side, given)
        if point is not None and (above := distances_up(point.x, x0)[which]) < high:
            best, high = given, above
        for z in multipliers:
            if (below := distances_below(model, found.side, z, x0, boundary)[which]) > low:
                y, low = z, below
    at = np.flatnonzero(y)
    return Projection(given=best, multipliers_at=at, multipliers=y[at])
