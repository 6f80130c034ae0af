"""Piecewise-linear losses, l2 = 0: an optimal basis (vertex.py), and x0 projected on all minimisers (polyhedron.py)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated

import numpy as np

from problems.matrix import dense
from problems.optimum.arithmetic.extended import Indices
from problems.optimum.arithmetic.rational import Rational, independent, integers, mask
from problems.optimum.certificate import Point, Shape, of_models
from problems.optimum.dual import Kinked, box, is_piecewise_linear, snapped
from problems.optimum.models import reference_pair
from problems.optimum.nothing import unproved
from problems.optimum.piecewise_linear.linear_program import interior_pair, vertex_pair
from problems.optimum.piecewise_linear.polyhedron import Polyhedron
from problems.optimum.piecewise_linear.projected import Projected, projected
from problems.optimum.piecewise_linear.vertex import Vertex, checked_vertex, optimal_vertex
from problems.problem import LinearModel, Optimum, Problem

# With more entries no linear program is attempted: solvers take hours and gigabytes.
LARGEST = 2e8


@dataclass(frozen=True, kw_only=True, eq=False)
class ExactVertex(Projected):
    """An optimal basis: rows, columns, the entries of x outside these, and where u is at the upper end though r is 0.

    euclidean, maximum: see Projected.
    """

    kind = "exact vertex"
    arithmetic = "rational"
    serves = of_models(is_piecewise_linear, penalty=False)
    rows: Annotated[Indices, Shape("r", below="m")]
    columns: Annotated[Indices, Shape("r", below="p")]
    given: Point
    high: Annotated[Indices, Shape("h", below="m")]

    def minimiser(self, model: Kinked) -> tuple[Rational, Fraction, Polyhedron | None]:
        """The vertex of this basis; ValueError where it is not optimal."""
        vertex = checked_vertex(model, self.rows, self.columns, self.given, mask(self.high, model.b.size))
        if vertex is None:
            raise ValueError("rows and columns are no optimal basis")
        return vertex.x, vertex.value, _minimisers(model, vertex)


def certify_piecewise(problem: Problem, model: LinearModel) -> Optimum:
    """The optimum for l2 = 0; a minimiser exists, as f is polyhedral and bounded below."""
    m, p = model.A.shape
    if m * p > LARGEST:
        return _without_proof(problem, f"{m} x {p} entries are too many for the linear program")
    try:
        vertex = _solved(model)
        if vertex is None:
            return _without_proof(problem, "neither HiGHS nor Clarabel came near enough to an optimal basis")
        return _exactly(problem, model, vertex)
    except OverflowError:
        return _without_proof(problem, "numbers beyond extended precision")


def _exactly(problem: Problem, model: LinearModel, vertex: Vertex) -> Optimum:
    """The optimum at this basis, with the distance of x0 from X*."""
    high = np.flatnonzero(vertex.upper & (vertex.signs == 0))
    certificate = ExactVertex(rows=vertex.rows, columns=vertex.columns, given=vertex.given, high=high)
    return projected(problem, certificate, vertex.x, _minimisers(model, vertex))


def _solved(model: LinearModel) -> Vertex | None:
    """An optimal basis, from the first solver whose solution leads to one."""
    for solver in (vertex_pair, interior_pair, reference_pair):
        pair = solver(model)
        vertex = None if pair is None else optimal_vertex(model, pair[0], snapped(*box(model), pair[1]))
        if vertex is not None:
            return vertex
    return None


def _minimisers(model: LinearModel, vertex: Vertex) -> Polyhedron | None:
    """X*; None where the rows on which every minimiser has residual 0 leave one point: then X* is that point."""
    rows, p = np.flatnonzero(vertex.side == 0), model.A.shape[1]
    unique = rows.size >= p and independent(integers(dense(model.A[rows])).rows)[0].size == p
    return None if unique else Polyhedron.of(model, vertex)


def _without_proof(problem: Problem, why: str) -> Optimum:
    """The optimum with the bounds of any case: the losses are not negative, and a minimiser exists."""
    return unproved(problem, np.array(problem.x0), f"not solved: {why}")
