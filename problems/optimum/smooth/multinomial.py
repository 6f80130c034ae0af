"""Multinomial logistic loss: the certified optimum in every case."""

from __future__ import annotations

from typing import Any

import numpy as np

from problems.optimum.certificate import Certificate, model_of
from problems.optimum.newton import MAX_NEWTON
from problems.optimum.nothing import Nothing
from problems.optimum.smooth.multinomial_attained import MultinomialSelfConcordance, enclosed_at
from problems.optimum.smooth.multinomial_separability import Split, split
from problems.optimum.smooth.separable import QuasiSeparable, Separable, far_along
from problems.optimum.smooth.softmax import Rows, pairs, restricted, rows_of
from problems.optimum.smooth.softmax_enclosure import halves, polished
from problems.optimum.smooth.softmax_newton import DENSE_UNKNOWNS, newton
from problems.optimum.smooth.strong_convexity import StrongConvexity
from problems.problem import LinearModel, Optimum, Problem

# Newton steps where each takes up to CG_STEPS products with the Hessian. Well-scaled data (tf-idf) need about ten, raw
# counts (news20) about thirty, ten minutes; beyond, the interval is what strong convexity gives at the point reached.
WIDE_NEWTON = 60
NO_PROOF = "no proof succeeded: f_lo is what holds at every point, and whether a minimiser exists is open"


def certify_multinomial(problem: Problem, model: LinearModel) -> Optimum:
    """The optimum, from a point and its certificate.

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
        return _separable(problem, rows, parts)
    if parts.at is None or not parts.converged:
        return Nothing(x=parts.W.ravel())
    W = np.asarray(polished(rows, parts.at, parts.W), dtype=np.longdouble)
    return enclosed_at(rows, W, problem.x0)


def _separable(problem: Problem, rows: Rows, parts: Split) -> Separable:
    """The certificate with pairs S that go to infinity."""
    S, w, W = parts.S[pairs(rows)], parts.V.ravel(), parts.W
    x = far_along(model_of(problem), S, W.ravel(), w)
    if S.all() and parts.proved:
        return Separable(x=x, w=w)
    if parts.at is not None and parts.converged:
        W = polished(restricted(rows, rows.keep & ~parts.S), parts.at, W)
    rest, low = halves(W)
    return QuasiSeparable(x=x, w=w, S=np.flatnonzero(S), rest=rest, low=low)


def _strongly_convex(rows: Rows, l2: float) -> StrongConvexity:
    everything = np.arange(rows.A.shape[1] * rows.C)
    patience = MAX_NEWTON if everything.size <= DENSE_UNKNOWNS else WIDE_NEWTON
    W = newton(rows, l2, np.zeros((rows.A.shape[1], rows.C)), everything, patience).x
    x, low = halves(polished(rows, everything, W, l2))
    return StrongConvexity(x=x, low=low if low.any() else None)
