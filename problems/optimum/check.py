"""A second look at a stored optimum: every number is derived again from the certificate alone, without a solver."""

from __future__ import annotations

import math

import numpy as np

from problems.optimum.certify import one_index_type
from problems.optimum.columns import independent_columns
from problems.optimum.distances import distance_modulo, in_ball
from problems.optimum.dual import LOGISTIC, Minorant, losses, objective_up
from problems.optimum.extended import OUTWARD, down, margins, total
from problems.optimum.logistic import strongly_convex_ball
from problems.optimum.piecewise import dual_ball, feasible_bound
from problems.optimum.separability import proved_separation
from problems.optimum.sharpness import sharp
from problems.optimum.smooth import enclose
from problems.problem import LinearModel, Optimum, Problem

# (f_lo, D_lo, D_hi, attained)
Proved = tuple[float, float, float, bool | None]
# BLAS may sum in another order the second time.
AGAIN = 1e-13


def complaints(problem: Problem, optimum: Optimum) -> list[str]:
    """What the certificate does not prove; empty if it proves every number."""
    assert problem.model is not None
    model = one_index_type(problem.model)
    found: list[str] = []
    f = objective_up(model, optimum.x)
    if not math.isclose(f, optimum.f_hi, rel_tol=AGAIN, abs_tol=0.0):
        found.append(f"f_hi = {optimum.f_hi!r} is not f(x) = {f!r}")
    f_lo, D_lo, D_hi, attained = _proved(problem, model, optimum)
    allowance = AGAIN * max(abs(optimum.f_lo), abs(optimum.f_hi))
    if optimum.f_lo > f_lo + allowance:
        found.append(f"f_lo = {optimum.f_lo!r}, but {f_lo!r} is proved")
    if optimum.D_lo > D_lo * (1 + 1e-9):
        found.append(f"D_lo = {optimum.D_lo!r}, but {D_lo!r} is proved")
    if optimum.D_hi < D_hi * (1 - 1e-9):
        found.append(f"D_hi = {optimum.D_hi!r}, but {D_hi!r} is proved")
    if optimum.attained is not None and optimum.attained is not attained:
        found.append(f"attained = {optimum.attained}, but {attained} is proved")
    return found


def _proved(problem: Problem, model: LinearModel, optimum: Optimum) -> Proved:
    """What the certificate proves."""
    if model.l2 > 0:
        return _strong_convexity(problem, model, optimum)
    if model.loss == LOGISTIC:
        if "w" in optimum.certificate:
            return _no_minimiser(model, optimum)
        return _self_concordance(problem, model, optimum)
    return _piecewise(problem, model, optimum)


def _strong_convexity(problem: Problem, model: LinearModel, optimum: Optimum) -> Proved:
    x = optimum.x
    if model.loss == LOGISTIC:
        f_lo, radius = strongly_convex_ball(model, x)
    else:
        f_lo, radius = dual_ball(model, x, optimum.certificate["u"])
    near = in_ball(problem, f_lo, optimum.f_hi, x, radius, {})
    return f_lo, near.D_lo, near.D_hi, True


def _self_concordance(problem: Problem, model: LinearModel, optimum: Optimum) -> Proved:
    columns = independent_columns(model.A)
    ball = enclose(model.A[:, columns.J], model.b, margins(model.A, optimum.x))
    if ball is None:
        return 0.0, 0.0, math.inf, None
    near = in_ball(problem, 0.0, 0.0, optimum.x, ball.radius, {})
    near = distance_modulo(near, problem.x0, columns.N, ball.radius)
    return optimum.f_hi - ball.drop, near.D_lo, near.D_hi, True


def _no_minimiser(model: LinearModel, optimum: Optimum) -> Proved:
    certificate, m = optimum.certificate, model.b.size
    S = np.zeros(m, dtype=bool)
    S[certificate["S"]] = True
    direction = proved_separation(model.A, model.b, S, certificate["w"])
    nowhere, attained = (math.inf, False) if direction.proved else (0.0, None)
    R = np.flatnonzero(~S)
    if not R.size:
        return 0.0, nowhere, math.inf, attained
    A_R, b_R = model.A[R], model.b[R]
    z = margins(A_R, certificate["x"])
    ball = enclose(A_R[:, independent_columns(A_R).J], b_R, z)
    if ball is None:
        return 0.0, nowhere, math.inf, attained
    phi = losses(LinearModel(model.loss, A_R, b_R), z)
    F = total(phi.value, phi.error)
    least = F.value - F.error * OUTWARD - R.size * np.longdouble(ball.drop)
    return down(least / m), nowhere, math.inf, attained


def _piecewise(problem: Problem, model: LinearModel, optimum: Optimum) -> Proved:
    certificate = optimum.certificate
    x = certificate["x"]
    f_lo, D_lo, D_hi = 0.0, 0.0, math.inf
    found = sharp(model, x, certificate["u"]) if "u" in certificate else None
    if found is not None:
        f_lo = found.f_lo
        near = in_ball(problem, 0.0, 0.0, x, found.radius, {})
        D_hi = near.D_hi
        if found.whole:
            D_lo = distance_modulo(near, problem.x0, found.N, found.radius).D_lo
    # x and u of f_lo, and those of D_lo, are given where they are others: by sharpness there, or by u as a dual point
    if "u_value" in certificate:
        x, u = certificate["x_value"], certificate["u_value"]
        found = sharp(model, x, u)
        f_lo = max(f_lo, 0.0 if found is None else found.f_lo, feasible_bound(model, [u], optimum.f_hi)[0])
    if "u_distance" in certificate:
        x, u = certificate["x_distance"], certificate["u_distance"]
        found = sharp(model, x, u)
        if found is not None and found.whole:
            near = in_ball(problem, 0.0, 0.0, x, found.radius, {})
            D_lo = max(D_lo, distance_modulo(near, problem.x0, found.N, found.radius).D_lo)
        D_lo = max(D_lo, Minorant(model, u).distance_below(problem.x0, objective_up(model, x)))
    return f_lo, D_lo, D_hi, True
