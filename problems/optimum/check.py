"""A second look at a stored optimum: every number is derived again from the certificate alone, without a solver."""

from __future__ import annotations

import math

import numpy as np

from problems.optimum.certify import one_index_type
from problems.optimum.columns import independent_columns
from problems.optimum.distances import distance_modulo, in_ball
from problems.optimum.dual import LOGISTIC, losses, objective_up
from problems.optimum.extended import EPS64, OUTWARD, down, margins, total
from problems.optimum.logistic import strongly_convex_ball
from problems.optimum.piecewise import dual_ball, prove_piecewise
from problems.optimum.proof import NOTHING, Proof
from problems.optimum.separability import proved_separation
from problems.optimum.smooth import enclose
from problems.problem import LinearModel, Optimum, Problem

# What arrays of wrong shapes, indices out of range and missing entries lead to.
MALFORMED = (KeyError, IndexError, TypeError, ValueError, OverflowError)
# BLAS may sum in another order the second time.
AGAIN = 1e-13
# Distances rest on norms and radii, which are loose by more.
AGAIN_DISTANCE = 1e-9
# Roundings of x and of f(x), each of half an ulp, beside the largest terms of the margins.
ULPS = 2


def complaints(problem: Problem, optimum: Optimum) -> list[str]:
    """What the certificate does not prove; empty if it proves every number."""
    assert problem.model is not None
    model = one_index_type(problem.model)
    try:
        proof = proved(problem, model, optimum)
    except MALFORMED as error:
        return [f"the certificate of kind {optimum.kind!r} is malformed: {error!r}"]
    size = AGAIN * max(abs(optimum.f_lo), abs(optimum.f_hi))
    found = [
        f"{name} = {stated!r}, but {proof_value!r} is proved"
        for name, stated, proof_value, false in (
            ("f_lo", optimum.f_lo, proof.f_lo, optimum.f_lo > proof.f_lo + size),
            ("f_hi", optimum.f_hi, proof.f_hi, optimum.f_hi < proof.f_hi - size),
            *(
                (f"{end}_{bound}", stated, value, _beyond(stated, value, bound))
                for end, bound, stated, value in (
                    ("D", "lo", optimum.D_lo, proof.D_lo),
                    ("D", "hi", optimum.D_hi, proof.D_hi),
                    ("D_inf", "lo", optimum.D_inf_lo, proof.D_inf_lo),
                    ("D_inf", "hi", optimum.D_inf_hi, proof.D_inf_hi),
                )
            ),
        )
        if false
    ]
    if optimum.attained is not None and optimum.attained is not proof.attained:
        found.append(f"attained = {optimum.attained}, but {proof.attained} is proved")
    f = objective_up(model, optimum.x)
    # an exact minimiser was rounded to x
    rounding = ULPS * EPS64 * float(np.mean(abs(model.A) @ np.abs(optimum.x)))
    if not abs(f - optimum.f_hi) <= AGAIN * abs(f) + rounding:
        found.append(f"f(x) = {f!r} at the point x, which is not f_hi = {optimum.f_hi!r}")
    return found


def _beyond(stated: float, proof: float, bound: str) -> bool:
    """Whether the stated bound says more than what is proved."""
    if bound == "lo":
        return stated > proof * (1 + AGAIN_DISTANCE)
    return stated < proof * (1 - AGAIN_DISTANCE)


def proved(problem: Problem, model: LinearModel, optimum: Optimum) -> Proof:
    """What the certificate proves."""
    if optimum.kind == "none":
        return Proof(0.0, objective_up(model, optimum.x), attained=True if model.loss != LOGISTIC else None)
    if model.l2 > 0:
        return _strong_convexity(problem, model, optimum)
    if model.loss == LOGISTIC:
        if "w" in optimum.certificate:
            return _no_minimiser(model, optimum)
        return _self_concordance(problem, model, optimum)
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


def _self_concordance(problem: Problem, model: LinearModel, optimum: Optimum) -> Proof:
    columns = independent_columns(model.A)
    ball = enclose(model.A[:, columns.J], model.b, margins(model.A, optimum.x))
    if ball is None:
        return NOTHING
    f_hi = objective_up(model, optimum.x)
    near = in_ball(problem, 0.0, 0.0, optimum.x, ball.radius, {})
    near = distance_modulo(near, problem.x0, columns.N, ball.radius)
    return _from(near, f_hi - ball.drop, f_hi)


def _no_minimiser(model: LinearModel, optimum: Optimum) -> Proof:
    certificate, m = optimum.certificate, model.b.size
    S = np.zeros(m, dtype=bool)
    S[certificate["S"]] = True
    f_hi = objective_up(model, optimum.x)
    direction = proved_separation(model.A, model.b, S, certificate["w"])
    nowhere, attained = (math.inf, False) if direction.proved else (0.0, None)
    proof = Proof(0.0, f_hi, nowhere, math.inf, nowhere, math.inf, attained)
    R = np.flatnonzero(~S)
    if not R.size:
        return proof
    A_R, b_R = model.A[R], model.b[R]
    z = margins(A_R, certificate["x"])
    ball = enclose(A_R[:, independent_columns(A_R).J], b_R, z)
    if ball is None:
        return proof
    phi = losses(LinearModel(model.loss, A_R, b_R), z)
    F = total(phi.value, phi.error)
    least = F.value - F.error * OUTWARD - R.size * np.longdouble(ball.drop)
    return proof._replace(f_lo=down(least / m))
