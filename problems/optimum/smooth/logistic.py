"""Logistic loss: the certified optimum in every case."""

from __future__ import annotations

import numpy as np

from problems.optimum.smooth.logistic_split import Split, rest, split
from problems.optimum.smooth.overlap import attained, no_proof, overlap
from problems.optimum.smooth.separability import by_linear_program, two_classes
from problems.optimum.smooth.separable import QuasiSeparable, Separable, far_along
from problems.optimum.smooth.smooth import newton, polished
from problems.optimum.smooth.strong_convexity import StrongConvexity
from problems.problem import LinearModel, Optimum, Problem

# With at most this many rows and columns the linear program is solved where other proofs fail.
LINEAR_PROGRAM = 2000


def certify_logistic(problem: Problem, model: LinearModel) -> Optimum:
    """The optimum: by strong convexity for l2 > 0; else rows are separable (no minimiser), or a minimiser exists."""
    A, b, l2 = model.A, model.b, model.l2
    if l2 > 0:
        x = polished(A, b, newton(A, b, l2, np.zeros(A.shape[1])).x, l2)
        certificate = StrongConvexity(x=x)
        return certificate.prove(problem).optimum(certificate, x)
    parts = split(A, b)
    if parts.separation.S.any():
        return _separable(problem, model, parts)
    optimum = attained(problem, model, parts.columns, parts.x)
    if optimum.attained or max(A.shape) > LINEAR_PROGRAM:
        return optimum
    # Newton's method may have converged in appearance only
    found = by_linear_program(two_classes(A, b))
    if found is None:
        return optimum
    other = _separable(problem, model, rest(A, b, found))
    return other if other.attained is False or other.f_lo > optimum.f_lo else optimum


def _separable(problem: Problem, model: LinearModel, parts: Split) -> Optimum:
    """The optimum where rows S go to infinity; with trivial bounds where nothing is proved of the others.

    Self-concordance encloses the infimum over the others, or exact slopes bound it from below.
    """
    S, w, _ = parts.separation
    if not parts.R.size:
        x = far_along(model, S, parts.x, w)
        certificate = Separable(x=x, w=w)
    else:
        found, rest, u = overlap(model.A[parts.R], model.b[parts.R], problem.m, parts.x, parts.columns)
        if found.f_lo == 0:
            return no_proof(problem, rest)
        x = far_along(model, S, rest, w)
        certificate = QuasiSeparable(x=x, w=w, S=np.flatnonzero(S), rest=rest, u=u)
    return certificate.prove(problem).optimum(certificate, x)
