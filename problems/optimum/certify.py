"""Which route a problem takes."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

from dadapt_convex.oracle import notice
from problems.optimum import store
from problems.optimum.dual import LOGISTIC
from problems.optimum.softmax import MULTINOMIAL
from problems.problem import LinearModel, Optimum, Problem

# Kinds of certificates that are proved in rational arithmetic: the same everywhere, to the last bit.
EXACT = ("exact vertex", "exact minimiser")
# Bounds that rest on norms and eigenvalues depend on the order of sums in BLAS, in their last digits.
ROOM = 0.01


def certified_optimum(problem: Problem, *, cache: bool = True, radius: float = math.inf) -> Optimum:
    """Bound the infimum of a linear model and the distance of x0 from its minimisers, with proof.

        f_lo <= inf f <= f_hi,   D_lo <= dist(x0, X*) <= D_hi

    f_hi is f, in extended precision and rounded up, at the point x, or the exact minimum rounded; f_lo comes from a
    dual object. Solvers (HiGHS, Clarabel, Newton) only suggest points. What each kind of certificate means stands in
    smooth.py (strong convexity, self-concordance), logistic.py (separable, quasi-separable), multinomial.py (the same
    for several classes), vertex.py and polyhedron.py (exact vertex), active_set.py (exact minimiser) and piecewise.py
    (strong convexity of piecewise-linear losses); over a ball, ball.py.

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
        For a problem that is no linear model.
    RuntimeError
        Where no solver returned a point at all.
    """
    model = problem.model
    if model is None:
        raise ValueError(f"{problem.name} is no linear model; give it find_optimum.")
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
    with threadpool_limits(limits=1, user_api="blas"), notice(what):
        optimum = _prove(problem, one_index_type(model), whole, radius)
    optimum = replace(with_room(optimum), seconds=time.perf_counter() - begun)
    if cache:
        store.save(name, optimum)
    return optimum


def with_room(optimum: Optimum) -> Optimum:
    """Each interval wider by ROOM, so that a check on a machine whose sums round otherwise arrives within it.

    What is proved in rational arithmetic is left as it is, and a ball's optimum, whose sums are in long double.
    """
    if optimum.kind in (*EXACT, "none", "ball") or math.isfinite(optimum.radius):
        return optimum

    def wider(low: float, high: float) -> tuple[float, float]:
        room = ROOM * (high - low) if math.isfinite(high) else ROOM * low
        return (max(0.0, low - room), high + room) if math.isfinite(room) else (low, high)

    D_lo, D_hi = wider(optimum.D_lo, optimum.D_hi)
    D_inf_lo, D_inf_hi = wider(optimum.D_inf_lo, optimum.D_inf_hi)
    f_lo = max(0.0, optimum.f_lo - ROOM * (optimum.f_hi - optimum.f_lo))
    return replace(optimum, f_lo=f_lo, D_lo=D_lo, D_hi=D_hi, D_inf_lo=D_inf_lo, D_inf_hi=D_inf_hi)


def _prove(problem: Problem, model: LinearModel, whole: Optimum | None, radius: float) -> Optimum:
    if whole is not None:
        from problems.optimum.ball import certify_ball

        return certify_ball(problem, model, radius, whole)
    if model.loss == LOGISTIC:
        from problems.optimum.logistic import certify_logistic, certify_logistic_l2

        return certify_logistic_l2(problem, model) if model.l2 > 0 else certify_logistic(problem, model)
    if model.loss == MULTINOMIAL:
        from problems.optimum.multinomial import certify_multinomial

        return certify_multinomial(problem, model)
    from problems.optimum.piecewise import certify_piecewise, certify_piecewise_l2

    return certify_piecewise_l2(problem, model) if model.l2 > 0 else certify_piecewise(problem, model)


def one_index_type(model: LinearModel) -> LinearModel:
    """CSR indices and indptr of one type, which some of scipy's products expect."""
    A: Any = model.A
    if not hasattr(A, "tocsr"):
        return model
    import scipy.sparse

    A = scipy.sparse.csr_array((A.data, A.indices, A.indptr.astype(A.indices.dtype)), shape=A.shape)
    return replace(model, A=A)
