"""Verify an optimum from its certificate alone: every number is derived again, without a solver."""

from __future__ import annotations

import math

import numpy as np

from problems.optimum.arithmetic.extended import EPS64, TINY
from problems.optimum.ball.ball import restricted
from problems.optimum.certificate import Certificate, Proof
from problems.optimum.closed_form import ClosedForm
from problems.optimum.law import value_up
from problems.problem import LinearModel, Optimum, Problem

# Errors from fields that fit their types but contradict each other, and from numbers beyond float64.
MALFORMED = (AttributeError, ArithmeticError, AssertionError, ImportError, LookupError, TypeError, ValueError)
# Relative differences between two proofs: BLAS may sum in another order; norms and radii lose more.
AGAIN, AGAIN_DISTANCE = 1e-13, 1e-9
# Roundings of x and of f(x), each of half an ulp, beside the largest terms of the margins.
ULPS = 2


def complaints(problem: Problem, optimum: Optimum) -> list[str]:
    """A sentence for every number that the certificate does not prove; none if it proves all."""
    import scipy.linalg  # noqa: F401  brings its own BLAS, which the limit reaches only once it is loaded
    from threadpoolctl import threadpool_limits

    certificate = optimum.certificate
    if certificate is None and problem.model is None:
        certificate = ClosedForm()
    if not isinstance(certificate, Certificate):
        return ["the optimum has no certificate"]
    try:
        with threadpool_limits(limits=1, user_api="blas"):
            return _complaints(problem, optimum, certificate)
    except MALFORMED as error:
        return [f"the certificate of kind {optimum.kind!r} is malformed: {in_words(error)}"]


def in_words(error: Exception) -> str:
    """The message of an exception on malformed data; a key or an empty text alone would say nothing."""
    text = " ".join(str(error).split())
    if isinstance(error, KeyError):
        return f"it has no entry {text}"
    return text or f"reading it ends in {type(error).__name__}"


def _complaints(problem: Problem, optimum: Optimum, certificate: Certificate) -> list[str]:
    if optimum.x.shape != (problem.p,) or not np.all(np.isfinite(optimum.x)):
        raise ValueError(f"the point x must be {problem.p} finite numbers")
    certificate.check(problem)
    proof = proved(problem, optimum, certificate)
    for low, high in ((proof.f_lo, proof.f_hi), (proof.D_lo, proof.D_hi), (proof.D_inf_lo, proof.D_inf_hi)):
        if not (low == high or low <= high + AGAIN * abs(high)):
            return [f"the certificate contradicts itself: it proves {low!r} below and {high!r} above"]
    exact = certificate.arithmetic == "rational"
    found = []
    for name in ("f_lo", "f_hi", "D_lo", "D_hi", "D_inf_lo", "D_inf_hi"):
        stated, value = getattr(optimum, name), getattr(proof, name)
        slack = 0.0 if exact else (AGAIN if name.startswith("f") else AGAIN_DISTANCE) * abs(value)
        beyond = stated - value if name.endswith("lo") else value - stated
        if not (stated == value or beyond <= slack):  # also where one of them is NaN
            found.append(f"{name} = {stated!r}, but {value!r} is proved")
    if optimum.attained is not None and optimum.attained is not proof.attained:
        found.append(f"attained = {optimum.attained}, but {proof.attained} is proved")
    return found if problem.model is None else [*found, *_at_x(problem.model, optimum, exact)]


def proved(problem: Problem, optimum: Optimum, certificate: Certificate) -> Proof:
    """The bounds that the certificate proves; over the ball, where the optimum is one over a ball."""
    proof = certificate.prove(problem)
    if optimum.radius == certificate.radius or problem.model is None:
        return proof
    if not (optimum.radius > 0 and math.isinf(certificate.radius)):
        raise ValueError(f"radius = {optimum.radius!r} does not go with a certificate of kind {optimum.kind!r}")
    return restricted(proof, problem, problem.model, optimum.x, optimum.radius)


def _at_x(model: LinearModel, optimum: Optimum, exact: bool) -> list[str]:
    """A complaint where f_hi is not f(x)."""
    f = value_up(model, optimum.x)
    rounding = 4 * TINY  # what underflows; f may be exactly 0
    if exact:  # the minimiser was rounded to x
        rounding += ULPS * EPS64 * float(np.mean(abs(model.A) @ np.abs(optimum.x)))
        rounding += ULPS * EPS64 * model.l2 * float(optimum.x @ optimum.x)
    if abs(f - optimum.f_hi) <= AGAIN * abs(f) + rounding:
        return []
    return [f"f(x) = {f!r} at the point x, which is not f_hi = {optimum.f_hi!r}"]
