"""Multinomial logistic loss: the certified optimum in every case."""

from __future__ import annotations

from typing import Any

import numpy as np

from problems.optimum.certificate import Certificate
from problems.optimum.newton import MAX_NEWTON
from problems.optimum.nothing import Nothing
from problems.optimum.smooth.multinomial_attained import MultinomialSelfConcordance, enclosed_at
from problems.optimum.smooth.multinomial_separability import split
from problems.optimum.smooth.multinomial_separable import far_along
from problems.optimum.smooth.softmax import Rows, rows_of
from problems.optimum.smooth.softmax_enclosure import halves, polished
from problems.optimum.smooth.softmax_newton import DENSE_UNKNOWNS, newton
from problems.optimum.smooth.strong_convexity import StrongConvexity
from problems.problem import LinearModel, Optimum, Problem

# Newton steps where each takes up to CG_STEPS products with the Hessian. Well-scaled data (tf-idf) need about ten, raw
# counts (news20) about thirty, ten minutes; beyond, the interval is what strong convexity gives at the point reached.
WIDE_NEWTON = 60
NO_PROOF = "no proof succeeded: f_lo is what holds at every point, and whether a minimiser exists is open"


def certify_multinomial(problem: Problem, model: LinearModel) -> Optimum:
    """Find a point with its certificate.

    l2 > 0: strong convexity. l2 = 0: separable, completely or not (no minimiser), or a minimiser exists.
    """
    rows = rows_of(model)
    certificate: Any = _strongly_convex(rows, model.l2) if model.l2 > 0 else _certificate(problem, rows)
    proof = certificate.prove(problem)
    if proof.attained is None and isinstance(certificate, MultinomialSelfConcordance):
        certificate = Nothing(x=certificate.x)
    return proof.optimum(certificate, certificate.x, *(() if proof.attained is not None else (NO_PROOF,)))


def _certificate(problem: Problem, rows: Rows) -> Certificate:
    parts = split(rows)
    if parts.S.any() and (parts.proved or parts.converged):
        return far_along(rows, parts)
    if parts.at is None or not parts.converged:
        return Nothing(x=parts.W.ravel())
    W = np.asarray(polished(rows, parts.at, parts.W), dtype=np.longdouble)
    return enclosed_at(rows, W, problem.x0)


def _strongly_convex(rows: Rows, l2: float) -> StrongConvexity:
    everything = np.arange(rows.A.shape[1] * rows.C)
    patience = MAX_NEWTON if everything.size <= DENSE_UNKNOWNS else WIDE_NEWTON
    W = newton(rows, l2, np.zeros((rows.A.shape[1], rows.C)), everything, patience).x
    x, low = halves(polished(rows, everything, W, l2))
    return StrongConvexity(x=x, low=low if low.any() else None)
