"""The distance from x0 to a polyhedron of minimisers that is known exactly.

A dual solution u in rational arithmetic (vertex.py) describes all minimisers:

    X* = {x : r_i = 0 where side_i = 0, side_i r_i >= 0 elsewhere},   r_i = <a_i, x> - b_i,

and so do the boxes of soft kinks (piecewise_quadratic/exact.py), with other targets in place of b.

From above: an exact point of X*. A solver suggests x; its entries on as many columns as there are independent rows
among those with r_i = 0 are solved for again, and the signs of all r_i are decided exactly.

From below: let side_i y_i >= 0 wherever side_i is not 0. For x in X* y_i <a_i, x> >= y_i b_i, so

    <A^T y, x - x0> >= rho = sum_i y_i (b_i - <a_i, x0>),   ||x - x0||_2 >= rho / ||A^T y||_2,

and ||x - x0||_inf >= rho / ||A^T y||_1. At the projection x - x0 = A^T y, and both are equalities.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, NamedTuple

import numpy as np

from problems.matrix import dense, scaled_rows
from problems.optimum.arithmetic.extended import (
    EPS,
    Bounded,
    Floats,
    Indices,
    Mask,
    combination,
    difference,
    down,
    least_squares,
    margins,
    norm_up,
    total,
)
from problems.optimum.arithmetic.rational import Rational, independent, integers
from problems.optimum.certificate import Point, Shape
from problems.optimum.distances import Both, distances_up
from problems.optimum.piecewise_linear.linear_program import least_distance, project
from problems.optimum.piecewise_linear.vertex import Signs, Vertex, residual_signs, solved_point
from problems.optimum.solvers import positive_rows
from problems.problem import LinearModel

# Where no point with exact ties is found, x0 is projected on X* shrunk by MARGIN: the inequalities then hold strictly,
# and D_hi is off by about MARGIN.
MARGIN = 1e-9
# Rows with relatively smaller multipliers do not matter.
MULTIPLIER = 1e-6
# The attempts end where both ends are relatively this close.
SHARP = 1e-9
# With at most this many entries an active set method follows where the interior point method is not sharp.
SMALL = 300_000
NORMS = ("euclidean", "maximum")
# Rows with a wrong sign that are dropped one by one, at most.
DROPS = 20
# Rounds in which violated rows join the active ones.
ROUNDS = 4


@dataclass(frozen=True)
class Polyhedron:
    """X*, with targets known to within rounding.

    start: a point of it; exact: from the rows to have r_i = 0 and a point near X* to a point of X*, or None; completed:
    a point of X* from its parts, or None; interior: the rows with r_i = 0 on all of X*, as far as can be told.
    """

    model: LinearModel
    side: Signs
    target: Bounded
    start: ExactPoint
    exact: Callable[[Mask, Floats], ExactPoint | None]
    completed: Callable[[Indices, Indices, Floats], Rational | None]
    interior: Callable[[], Mask]

    @classmethod
    def of(cls, model: LinearModel, vertex: Vertex) -> Polyhedron:
        """X* of a piecewise-linear loss, from a minimiser that is a vertex."""
        start = ExactPoint(vertex.rows, vertex.columns, vertex.given, vertex.x)
        target = Bounded(model.b, np.zeros(model.b.size))
        exact, completed = partial(_exact, model, vertex.side), partial(checked_point, model, vertex.side)
        return cls(model, vertex.side, target, start, exact, completed, partial(implied, model, vertex))


@dataclass(frozen=True, kw_only=True, eq=False)
class Projection:
    """Parts of a point of X* near x0, and multipliers y that are 0 but at some rows."""

    rows: Annotated[Indices, Shape("r", below="m")]
    columns: Annotated[Indices, Shape("r", below="p")]
    given: Point
    multipliers_at: Annotated[Indices, Shape("y", below="m")]
    multipliers: Annotated[Floats, Shape("y")]

    @classmethod
    def of(cls, X: Polyhedron, x0: Floats, norm: str) -> Projection:
        """Project x0 on X* in this norm, as accurately as solvers can."""
        point, y = nearest(X, x0, norm)
        at = np.flatnonzero(y)
        return cls(rows=point.rows, columns=point.columns, given=point.given, multipliers_at=at, multipliers=y[at])

    def distances(self, X: Polyhedron, x0: Floats) -> tuple[Both, Both]:
        """Bounds from below and from above; the point and y each bound both distances."""
        x, y = X.completed(self.rows, self.columns, self.given), np.zeros(X.side.size)
        y[self.multipliers_at] = self.multipliers
        above = (math.inf, math.inf) if x is None else distances_up(x, x0)
        return distances_below(X.model, X.side, y, x0, X.target), above


class ExactPoint(NamedTuple):
    """An exact point of X*: <a_i, x> = b_i on the rows; given: its entries outside the columns, 0 on them."""

    rows: Indices
    columns: Indices
    given: Floats
    x: Rational


def feasible_point(model: LinearModel, side: Signs, active: Indices, x: Floats) -> ExactPoint | Indices | None:
    """The exact point of X* near x with r_i = 0 on these rows; where it is outside X*, the rows it violates."""
    rows, columns = independent(integers(dense(model.A[active])).rows)
    return _point(model, side, active[rows], columns, x)


def checked_point(model: LinearModel, side: Signs, rows: Indices, columns: Indices, given: Floats) -> Rational | None:
    """The exact point, if it lies in X*."""
    if np.any(given[columns]):
        return None
    point = _point(model, side, rows, columns, given)
    return point.x if isinstance(point, ExactPoint) else None


def _point(model: LinearModel, side: Signs, rows: Indices, columns: Indices, x: Floats) -> ExactPoint | Indices | None:
    given = np.array(x, dtype=np.float64)
    given[columns] = 0.0
    exact = solved_point(integers(np.column_stack([dense(model.A[rows]), model.b[rows]])), columns, given)
    if exact is None:
        return None
    signs = residual_signs(model, exact)[1]
    violated = np.where(side == 0, signs != 0, side * signs < 0)
    return np.flatnonzero(violated) if violated.any() else ExactPoint(rows, columns, given, exact)


def distances_below(model: LinearModel, side: Signs, y: Floats, x0: Floats, target: Bounded) -> Both:
    """Lower bounds on dist(x0, X*) in both norms; entries of y with the wrong sign count as 0."""
    y = np.where(side * y < 0, 0.0, y)
    largest = float(np.abs(y).max(initial=0.0))
    if not 0 < largest < np.inf:
        return 0.0, 0.0
    # the bound does not depend on the scale of y, and now nothing underflows
    y = np.ldexp(y, -int(np.frexp(largest)[1]))
    r = difference(margins(model.A, x0), target.value)
    rho = total(-y * r.value, np.abs(y) * (r.error + target.error) + EPS * np.abs(y * r.value).astype(np.float64))
    slope = combination(model.A, y)
    rise = rho.value - rho.error
    norm, absolute = norm_up(slope), total(np.abs(slope.value), slope.error)
    if not (rise > 0 and 0 < norm < np.inf):
        return 0.0, 0.0
    return down(rise / np.longdouble(norm)), down(rise / (absolute.value + absolute.error))


def nearest(X: Polyhedron, x0: Floats, norm: str) -> tuple[ExactPoint, Floats]:
    """(point, multipliers) of x0 projected on X*; where that fails, the point that is known and zeros."""
    which = NORMS.index(norm)
    model, side, boundary = X.model, X.side, X.target.value.astype(np.float64)
    best, best_y = X.start, np.zeros(model.b.size)
    high, low = distances_up(X.start.x, x0)[which], 0.0
    attempts = [(0.0, project), (0.0, least_distance), (MARGIN, project)]
    for margin, solver in attempts:
        if solver is least_distance and (norm != "euclidean" or model.b.size * model.A.shape[1] > SMALL):
            continue
        # rows with r_i = 0 on all of X* cannot hold strictly
        equal = X.interior() if margin else side == 0
        sense = np.where(equal, 0.0, side)
        target = boundary + margin * (1 + np.abs(boundary)) * sense
        pair = solver(model.A, target, sense, x0, norm)
        if pair is None:
            continue
        x, y = pair
        multipliers = [y]
        supporting = equal | (sense * y > MULTIPLIER * max(np.abs(y).max(), 1e-300))
        if norm == "euclidean":
            sharper, supporting = sharpened(model, target, sense, supporting, x, x0)
            multipliers.append(sharper)
        found = X.exact(equal if margin else supporting, polished(model, target, supporting, x))
        if found is not None and (above := distances_up(found.x, x0)[which]) < high:
            best, high = found, above
        for y in multipliers:
            if (below := distances_below(model, side, y, x0, X.target)[which]) > low:
                best_y, low = y, below
        if high <= low * (1 + SHARP):
            break
    return best, best_y


def implied(model: LinearModel, vertex: Vertex) -> Mask:
    """Rows with r_i = 0 at every minimiser, as far as a linear program can tell.

    At the vertex r_i = 0 on some rows with side_i != 0 as well. The directions d that stay in X* have <a_i, d> = 0
    where side_i = 0 and side_i <a_i, d> >= 0 on those rows.
    """
    equal = vertex.side == 0
    rows = np.flatnonzero((vertex.signs == 0) & ~equal)
    found = positive_rows(scaled_rows(model.A[rows], vertex.side[rows].astype(np.float64)), model.A[equal])
    if found is not None:
        equal[rows[~found[0]]] = True
    return equal


def sharpened(
    model: LinearModel, target: Floats, sense: Floats, supporting: Mask, x: Floats, x0: Floats
) -> tuple[Floats, Mask]:
    """(y, rows): multipliers of the projection on these rows by least squares, without the rows whose sign is wrong."""
    supporting = supporting.copy()
    y = np.zeros_like(target)
    for _ in range(DROPS):
        at = np.flatnonzero(supporting)
        if not at.size:
            break
        y = np.zeros_like(target)
        y[at] = least_squares(model.A[at].T, polished(model, target, supporting, x) - x0)
        wrong = sense * y < 0
        if not wrong.any():
            break
        supporting[np.argmin(sense * y)] = False
    return y, supporting


def _exact(model: LinearModel, side: Signs, active: Mask, x: Floats) -> ExactPoint | None:
    """An exact point of X* near x with r_i = 0 on the active rows, which rows that it violates join."""
    equal = side == 0
    active = active & ~equal
    for _ in range(ROUNDS):
        # where rows depend on each other those with r_i = 0 on all of X* count first
        order = np.concatenate([np.flatnonzero(equal), np.flatnonzero(active)])
        found = feasible_point(model, side, order, x)
        if found is None or isinstance(found, ExactPoint):
            return found
        if (active | equal)[found].all():
            return None
        active[found] = True
    return None


def polished(model: LinearModel, target: Floats, rows: Mask, x: Floats) -> Floats:
    """x moved onto <a_i, x> = target_i for these rows, by least squares with residuals in extended precision."""
    at = np.flatnonzero(rows)
    for _ in range(3 if at.size else 0):
        residual = (margins(model.A[at], x).value - target[at]).astype(np.float64)
        x = x - least_squares(model.A[at], residual)
    return x
