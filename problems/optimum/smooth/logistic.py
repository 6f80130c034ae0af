"""Logistic loss: the certified optimum in every case."""

from __future__ import annotations

import numpy as np

from problems.optimum.arithmetic.extended import Floats
from problems.optimum.nothing import unproved
from problems.optimum.smooth.logistic_split import Split, rest, split
from problems.optimum.smooth.overlap import attained, open_question, overlap
from problems.optimum.smooth.separability import by_linear_program, two_classes
from problems.optimum.smooth.separable import QuasiSeparable, Separable, far_along
from problems.optimum.smooth.smooth import newton, polished
from problems.optimum.smooth.strong_convexity import StrongConvexity
from problems.problem import LinearModel, Optimum, Problem

# Up to so many rows and columns the linear program is solved in doubt alone.
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
        x, optimum = _separable(problem, model, parts)
        return optimum or _unproved(problem, x)
    x, optimum = attained(problem, model, parts.columns, parts.x)
    optimum = optimum or _unproved(problem, x)
    if optimum.attained or max(A.shape) > LINEAR_PROGRAM:
        return optimum
    # Newton's method may only seem to have converged
    found = by_linear_program(two_classes(A, b))
    if found is None:
        return optimum
    x, other = _separable(problem, model, rest(A, b, found))
    other = other or _unproved(problem, x)
    return other if other.attained is False or other.f_lo > optimum.f_lo else optimum


def _separable(problem: Problem, model: LinearModel, parts: Split) -> tuple[Floats, Optimum | None]:
    """(the point over the other rows, optimum): rows S go to infinity; None where nothing is proved of the others.

    Self-concordance encloses the infimum over the others, or exact slopes bound it from below.
    """
    S, w, _ = parts.separation
    if not parts.R.size:
        x = far_along(model, S, parts.x, w)
        certificate = Separable(x=x, w=w)
    else:
        found, rest, u = overlap(model.A[parts.R], model.b[parts.R], problem.m, parts.x, parts.columns)
        if found.f_lo == 0:
            return rest, None
        x = far_along(model, S, rest, w)
        certificate = QuasiSeparable(x=x, w=w, S=np.flatnonzero(S), rest=rest, u=u)
    return x, certificate.prove(problem).optimum(certificate, x)


def _unproved(problem: Problem, x: Floats) -> Optimum:
    return unproved(problem, x, f"no proof succeeded: f_lo is the trivial bound 0, and {open_question(x.size)}")
