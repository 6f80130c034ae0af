"""A second look at a stored optimum: every number is derived again from the certificate alone, without a solver."""

from __future__ import annotations

import math

import numpy as np

from problems.optimum.arithmetic.extended import EPS64, TINY
from problems.optimum.ball.ball import inside, proved_ball, restricted, value_up
from problems.optimum.certify import EXACT, one_index_type
from problems.optimum.distances import in_ball
from problems.optimum.dual import LOGISTIC, kinked, objective_up
from problems.optimum.piecewise_linear.piecewise import dual_ball, prove_piecewise, prove_piecewise_l2
from problems.optimum.proof import Proof
from problems.optimum.smooth.logistic import prove_attained, prove_no_minimiser, strongly_convex_ball
from problems.optimum.smooth.multinomial import prove_multinomial
from problems.optimum.smooth.softmax import MULTINOMIAL
from problems.problem import LinearModel, Optimum, Problem

# What arrays of wrong shapes, indices out of range and missing entries lead to.
MALFORMED = (AttributeError, ArithmeticError, AssertionError, ImportError, LookupError, TypeError, ValueError)
# BLAS may sum in another order the second time; norms and radii lose more.
AGAIN, AGAIN_DISTANCE = 1e-13, 1e-9
# Roundings of x and of f(x), each of half an ulp, beside the largest terms of the margins.
ULPS = 2
KINKS = "kinks"  # every loss that is made of them
# (loss, whether l2 > 0): kinds of certificates that can prove something there, over the whole space.
KINDS: dict[tuple[str, bool], tuple[str, ...]] = {
    (LOGISTIC, False): ("self-concordance", "exact slopes", "separable", "quasi-separable", "none"),
    (LOGISTIC, True): ("strong convexity",),
    (MULTINOMIAL, False): ("self-concordance", "separable", "quasi-separable", "none"),
    (MULTINOMIAL, True): ("strong convexity",),
    (KINKS, False): ("exact vertex", "none"),
    (KINKS, True): ("exact minimiser", "strong convexity"),
}


def complaints(problem: Problem, optimum: Optimum) -> list[str]:
    """What the certificate does not prove; empty if it proves every number."""
    import scipy.linalg  # noqa: F401  brings its own BLAS, which the limit reaches only once it is loaded
    from threadpoolctl import threadpool_limits

    assert problem.model is not None
    model = one_index_type(problem.model)
    try:
        with threadpool_limits(limits=1, user_api="blas"):
            return _complaints(problem, model, optimum)
    except MALFORMED as error:
        return [f"the certificate of kind {optimum.kind!r} is malformed: {in_words(error)}"]


def in_words(error: Exception) -> str:
    """What an exception on reading malformed data says; a key or an empty text alone would say nothing."""
    text = " ".join(str(error).split())
    if isinstance(error, KeyError):
        return f"it has no entry {text}"
    return text or f"reading it ends in {type(error).__name__}"


def check_shapes(problem: Problem, model: LinearModel, optimum: Optimum) -> None:
    """Raise ValueError for a point or a certificate whose arrays are not what their names say."""
    m, p = model.b.size, problem.p
    vectors = {"x": p, "low": p, "w": p, "rest": p, "flat_v": p, "x_low": p, "given": model.A.shape[1]}
    arrays = {"the point x": (optimum.x, p)}
    arrays |= {k: (v, vectors[k]) for k, v in optimum.certificate.items() if k in vectors}
    for name, (value, size) in arrays.items():
        if not isinstance(value, np.ndarray) or value.shape != (size,) or value.dtype != np.float64:
            raise ValueError(f"{name} must be {size} float64 numbers")
        if not np.all(np.isfinite(value)):
            raise ValueError(f"{name} must be finite")
    for name in ("u", "S", "rows", "columns", "high", "flat_c"):
        value = optimum.certificate.get(name, np.zeros(0))
        if not isinstance(value, np.ndarray) or value.ndim != 1 or value.dtype.kind not in "iuf":
            raise ValueError(f"{name} must be a vector of numbers")
        if value.dtype.kind == "f" and not np.all(np.isfinite(value)):
            raise ValueError(f"{name} must be finite")
        if name == "u" and value.dtype != np.float64:  # exact arithmetic is told what float64 holds
            raise ValueError(f"u must be of type float64, not {value.dtype}")
    if "S" in optimum.certificate and model.loss == LOGISTIC:
        rows = optimum.certificate["S"]
        if np.unique(rows).size < rows.size or np.any((rows < 0) | (rows >= m)):
            raise ValueError("S must hold rows, each once")
    if not optimum.radius > 0 or (optimum.kind == "ball" and math.isinf(optimum.radius)):
        raise ValueError(f"radius = {optimum.radius!r} does not go with a certificate of kind {optimum.kind!r}")


def _complaints(problem: Problem, model: LinearModel, optimum: Optimum) -> list[str]:
    check_shapes(problem, model, optimum)
    proof = proved(problem, model, optimum)
    for low, high in ((proof.f_lo, proof.f_hi), (proof.D_lo, proof.D_hi), (proof.D_inf_lo, proof.D_inf_hi)):
        if not (low == high or low <= high + AGAIN * abs(high)):
            return [f"the certificate contradicts itself: it proves {low!r} below and {high!r} above"]
    again, again_distance = (0.0, 0.0) if optimum.kind in EXACT else (AGAIN, AGAIN_DISTANCE)
    found = []
    for name in ("f_lo", "D_lo", "D_inf_lo"):
        stated, value = getattr(optimum, name), getattr(proof, name)
        slack = again if name == "f_lo" else again_distance
        if not (stated == value or stated <= value + slack * abs(value)):  # true of NaN too
            found.append(f"{name} = {stated!r}, but {value!r} is proved")
    for name in ("f_hi", "D_hi", "D_inf_hi"):
        stated, value = getattr(optimum, name), getattr(proof, name)
        slack = again if name == "f_hi" else again_distance
        if not (stated == value or stated >= value - slack * abs(value)):
            found.append(f"{name} = {stated!r}, but {value!r} is proved")
    if optimum.attained is not None and optimum.attained is not proof.attained:
        found.append(f"attained = {optimum.attained}, but {proof.attained} is proved")
    f = value_up(model, optimum.x)
    rounding = 4 * TINY  # what underflows; f may be exactly 0
    if optimum.kind in EXACT:  # an exact minimiser was rounded to x
        rounding += ULPS * EPS64 * float(np.mean(abs(model.A) @ np.abs(optimum.x)))
        rounding += ULPS * EPS64 * model.l2 * float(optimum.x @ optimum.x)
    if not abs(f - optimum.f_hi) <= AGAIN * abs(f) + rounding:
        found.append(f"f(x) = {f!r} at the point x, which is not f_hi = {optimum.f_hi!r}")
    return found


def proved(problem: Problem, model: LinearModel, optimum: Optimum) -> Proof:
    """What the certificate proves."""
    if math.isinf(optimum.radius):
        return _proved_everywhere(problem, model, optimum)
    if not inside(optimum.x, problem.x0, optimum.radius):
        raise ValueError(f"the point x lies outside the ball of radius {optimum.radius!r}")
    if optimum.kind == "ball":
        return proved_ball(problem, model, optimum)
    proof = _proved_everywhere(problem, model, optimum)
    if proof.D_hi > optimum.radius:  # the minimiser may lie outside
        proof = proof._replace(f_hi=max(proof.f_hi, value_up(model, optimum.x)))
    return restricted(proof, problem.p, optimum.radius)


def _proved_everywhere(problem: Problem, model: LinearModel, optimum: Optimum) -> Proof:
    if optimum.kind not in KINDS[model.loss if model.law.kinks is None else KINKS, model.l2 > 0]:
        raise ValueError(
            f"a certificate of kind {optimum.kind!r} proves nothing for {model.loss} with l2 = {model.l2!r}"
        )
    if model.loss == MULTINOMIAL:
        return prove_multinomial(problem, model, optimum)
    if optimum.kind == "none":
        return Proof(0.0, objective_up(model, optimum.x), attained=True if model.loss != LOGISTIC else None)
    if model.law.kinks is not None:
        model = kinked(model)
    if optimum.kind == "exact minimiser":
        return prove_piecewise_l2(model, problem.x0, optimum.certificate)
    if model.l2 > 0:
        return _strong_convexity(problem, model, optimum)
    if model.loss == LOGISTIC:
        if "w" in optimum.certificate:
            return prove_no_minimiser(model, optimum)
        return prove_attained(problem, model, optimum.certificate)
    return prove_piecewise(model, problem.x0, optimum.certificate)


def _from(near: Optimum, f_lo: float, f_hi: float) -> Proof:
    return Proof(f_lo, f_hi, near.D_lo, near.D_hi, near.D_inf_lo, near.D_inf_hi, True)


def _strong_convexity(problem: Problem, model: LinearModel, optimum: Optimum) -> Proof:
    x = optimum.x
    if model.loss == LOGISTIC:
        f_lo, radius = strongly_convex_ball(model, x)
    else:
        f_lo, radius = dual_ball(model, x, optimum.certificate["u"])
    f_hi = objective_up(model, x)
    return _from(in_ball(problem, f_lo, f_hi, x, radius, {}), f_lo, f_hi)
