"""Certificates of an exact minimiser of a loss of kinks, with x0 projected on X* where it is more than a point."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from problems.optimum.arithmetic.rational import Rational
from problems.optimum.certificate import Certificate, Proof, kinks_of
from problems.optimum.distances import closest, distances_up, exactly_at
from problems.optimum.dual import Kinked
from problems.optimum.piecewise_linear.polyhedron import NORMS, Polyhedron, Projection
from problems.problem import Optimum, Problem

# With at most this many columns x0 is projected on X* in the maximum norm too.
MANY = 1000
# Relatively wider intervals for D get a note.
LOOSE = 1e-6


@dataclass(frozen=True, kw_only=True, eq=False)
class Projected(Certificate):
    """An exact minimiser; euclidean, maximum: x0 projected on X* in these norms, where X* is more than a point."""

    euclidean: Projection | None = None
    maximum: Projection | None = None

    @abstractmethod
    def minimiser(self, model: Kinked) -> tuple[Rational, Fraction, Polyhedron | None]:
        """(x, min f, X*): an exact minimiser; X* is None where it is the only one. ValueError where the fields fail."""

    def prove(self, problem: Problem) -> Proof:
        """The exact minimum, and the distance to X*."""
        x0 = problem.x0
        x, value, X = self.minimiser(kinks_of(problem))
        if X is None:
            return exactly_at(x, value, x0)
        near = [part.distances(X, x0) for part in (self.euclidean, self.maximum) if part is not None]
        return closest(value, [((0.0, 0.0), distances_up(x, x0)), *near])


def projected(problem: Problem, certificate: Projected, x: Rational, X: Polyhedron | None) -> Optimum:
    """The optimum by the certificate of the minimiser x, with x0 projected on X*; X is None where x is all of X*."""
    notes = []
    if X is not None:
        notes.append("X* is more than a point")
        # the linear program of the maximum norm takes minutes where there are many columns
        near = {norm: Projection.of(X, problem.x0, norm) for norm in NORMS[: 2 if problem.p <= MANY else 1]}
        known = near["euclidean"]
        x = X.completed(known.rows, known.columns, known.given) or x
        certificate = replace(certificate, euclidean=known, maximum=near.get("maximum"))
    proof = certificate.prove(problem)
    if proof.D_hi > proof.D_lo * (1 + LOOSE):
        notes.append("the solvers' projections of x0 on X* are not accurate enough for a sharp D")
    return proof.optimum(certificate, x.long().astype(np.float64), *notes)
