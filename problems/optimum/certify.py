"""Certify the optimum of a linear model: check its sizes, look into the cache, take the route of its loss."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import numpy as np

from dadapt_convex.oracle import Vector, notice
from problems.arrays import largest
from problems.matrix import entries, largest_along
from problems.optimum import store
from problems.optimum.certificate import Certificate
from problems.optimum.dual import LOGISTIC, is_soft, kinked
from problems.optimum.smooth.softmax import MULTINOMIAL
from problems.problem import LinearModel, Optimum, Problem

# The last digits of norms and eigenvalues depend on the order of sums in BLAS.
ROOM = 0.01
# Sizes between which the certificates' sums, squares and products stay within float64.
SMALL, LARGE = 1e-100, 1e100
RAISE: dict[str, Any] = {"over": "raise", "invalid": "raise", "divide": "raise"}


def check_sizes(name: str, model: LinearModel, x0: Vector) -> None:
    """Raise ValueError unless b, x0, l2 and the largest entries of all columns of A are 0 or between SMALL and LARGE.

    A smaller entry of a column is a small change of a large one; a column of small entries is a minimiser far away.
    """
    stored = entries(model.A)
    smallest = np.abs(stored).min(initial=math.inf, where=stored != 0)
    columns = largest_along(model.A, axis=0) if smallest < SMALL else np.zeros(1)
    small = columns[(columns > 0) & (columns < SMALL)]
    least = float(small.min(initial=math.inf))
    sizes = {"A": largest(stored), "a column of A": least if small.size else 0.0, "b": largest(model.b)}
    for what, size in {**sizes, "x0": largest(x0), "l2": model.l2}.items():
        if size != 0 and not SMALL <= size <= LARGE:
            kind = "" if what == "l2" else "the largest entry of "
            raise ValueError(
                f"the optimum of {name} cannot be certified: {kind}{what} is {size:.3g}, and sizes must be "
                f"between {SMALL:g} and {LARGE:g}; scale the data to entries near 1."
            )


def certified_optimum(problem: Problem, *, cache: bool = True, radius: float = math.inf) -> Optimum:
    """Bound the infimum of a linear model and the distance of x0 from its minimisers, with proof.

        f_lo <= inf f <= f_hi,   D_lo <= dist(x0, X*) <= D_hi

    f_hi is f, in extended precision and rounded up, at the point x, or the exact minimum rounded; f_lo comes from a
    dual object. Solvers (HiGHS, Clarabel, Newton) only suggest points. What proves the bounds is a certificate, see
    certificate.py; each kind says in its file how.

    Parameters
    ----------
    problem : Problem
        With problem.model; not modified.
    cache : bool
        Whether to look into the cache on disk, and to write there what took long.
    radius : float > 0
        Finite for the optimum over the ball ||x - x0|| <= radius.

    Raises
    ------
    ValueError
        For a problem that is no linear model; for data, x0 or l2 whose sizes are beyond what certificates are computed
        with, see check_sizes.
    RuntimeError
        Where no solver returned a point at all.
    """
    model = problem.model
    if model is None:
        raise ValueError(f"{problem.name} is no linear model; give it find_optimum.")
    check_sizes(problem.name, model, problem.x0)
    begun = time.perf_counter()
    name = store.key(model, problem.x0, radius) if cache else ""
    known = store.load(name) if cache else None
    if known is not None:
        return known
    whole = None
    if math.isfinite(radius):
        whole = problem.optimum() if cache else certified_optimum(problem, cache=False)
    import scipy.linalg  # noqa: F401  brings its own BLAS, which the limit reaches only once it is loaded
    from threadpoolctl import threadpool_limits

    # matrices are small here, and BLAS threads that wait for each other took 8 times as long on a busy machine
    what = f"{problem.name}: certifying the optimum ({problem.m} x {problem.p})"
    try:
        # numbers that over- or underflow prove nothing; routes that can handle them say so in place
        with threadpool_limits(limits=1, user_api="blas"), notice(what), np.errstate(**RAISE):
            optimum = find_optimum(problem, whole, radius)
    except (ArithmeticError, np.linalg.LinAlgError) as error:
        raise ValueError(
            f"the optimum of {problem.name} cannot be certified, as numbers go beyond float64: the largest entry of A "
            f"is {largest(entries(model.A)):.3g}, of b {largest(model.b):.3g}, of x0 {largest(problem.x0):.3g}, and "
            f"the radius {radius:.3g}; bring these sizes nearer to 1."
        ) from error
    optimum = replace(with_room(optimum), seconds=time.perf_counter() - begun)
    if cache:
        store.save(name, optimum)
    return optimum


def with_room(optimum: Optimum) -> Optimum:
    """Widen every interval that rests on norms by ROOM, so that a machine that rounds otherwise arrives within it.

    Intervals over a ball stay as they are.
    """
    certificate = optimum.certificate
    if not isinstance(certificate, Certificate) or certificate.arithmetic != "norms" or math.isfinite(optimum.radius):
        return optimum

    def wider(low: float, high: float) -> tuple[float, float]:
        room = ROOM * (high - low) if math.isfinite(high) else ROOM * low
        return (max(0.0, low - room), high + room) if math.isfinite(room) else (low, high)

    D_lo, D_hi = wider(optimum.D_lo, optimum.D_hi)
    D_inf_lo, D_inf_hi = wider(optimum.D_inf_lo, optimum.D_inf_hi)
    f_lo = max(0.0, optimum.f_lo - ROOM * (optimum.f_hi - optimum.f_lo))
    return replace(optimum, f_lo=f_lo, D_lo=D_lo, D_hi=D_hi, D_inf_lo=D_inf_lo, D_inf_hi=D_inf_hi)


def find_optimum(problem: Problem, whole: Optimum | None, radius: float) -> Optimum:
    """The optimum by the route for this loss."""
    model = problem.model
    assert model is not None
    if whole is not None:
        from problems.optimum.ball.ball import certify_ball

        return certify_ball(problem, model, radius, whole)
    if model.loss == LOGISTIC:
        from problems.optimum.smooth.logistic import certify_logistic

        return certify_logistic(problem, model)
    if model.loss == MULTINOMIAL:
        from problems.optimum.smooth.multinomial import certify_multinomial

        return certify_multinomial(problem, model)
    if is_soft(model):
        from problems.optimum.piecewise_quadratic.stationary import certify_piecewise_quadratic

        return certify_piecewise_quadratic(problem, kinked(model))
    if model.l2 > 0:
        from problems.optimum.piecewise_linear.strongly_convex import certify_strongly_convex

        return certify_strongly_convex(problem, kinked(model))
    from problems.optimum.piecewise_linear.exact_vertex import certify_piecewise

    return certify_piecewise(problem, kinked(model))
