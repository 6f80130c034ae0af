"""From a ball that holds a minimiser to intervals for dist(x0, X*)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from problems.optimum.arithmetic.extended import (
    ABOVE,
    BELOW,
    EPS64,
    OUTWARD,
    Floats,
    distance,
    down,
    largest_difference,
    up,
)
from problems.optimum.piecewise_linear.linear_program import highs
from problems.problem import Optimum, Problem


def in_ball(
    problem: Problem, f_lo: float, f_hi: float, x: Floats, radius: float, certificate: Mapping[str, Any], *notes: str
) -> Optimum:
    """The optimum whose only minimiser lies within radius of x."""
    lower, upper = distance(x, problem.x0)
    largest = largest_difference(x, problem.x0)
    return Optimum(
        f_lo=f_lo,
        f_hi=f_hi,
        x=x,
        D_lo=max(0.0, down(np.longdouble(lower) - np.longdouble(radius))),
        D_hi=up(np.longdouble(upper) + np.longdouble(radius)),
        D_inf_lo=max(0.0, down(largest * BELOW - np.longdouble(radius))),
        D_inf_hi=up(largest * ABOVE + np.longdouble(radius)),
        attained=True,
        certificate=certificate,
        D_estimate=upper,
        notes=notes,
    )


def distance_modulo(optimum: Optimum, x0: Floats, N: Floats, radius: float) -> Optimum:
    """The same where X* is known to within radius only up to the span of N, whose N^T N >= I.

    For d = x - x0 and all c: ||d + N c|| >= ||d|| - ||N^T d||, since the projection of d on the span has norm at
    most ||N^T d||. In the maximum norm, for v from a linear program: ||d + N c||_inf ||v||_1 >= <v, d> - |<N^T v, c>|,
    where only ||N c||_inf <= 2 ||d||_inf matters, hence ||c||_inf <= 2 ||d||_inf (N holds a multiple of I).

    v and the flattest d + N c are part of the certificate, as flat_v and flat_c; where they are missing the linear
    program is solved and they are added.
    """
    if not N.shape[1]:
        return optimum
    d = optimum.x - x0
    largest = float(np.abs(d).max())
    rounding = 2 * (d.size + 2) * EPS64 * largest
    along = float(np.linalg.norm(np.abs(N.T @ d) + rounding * np.abs(N).sum(axis=0))) * OUTWARD
    certificate = dict(optimum.certificate)
    if "flat_v" not in certificate:
        certificate["flat_v"], certificate["flat_c"] = _flattest(N, d)
    v, c = certificate["flat_v"], certificate["flat_c"]
    if np.shape(v) != d.shape or np.shape(c) != N.shape[1:]:
        raise ValueError(f"flat_v and flat_c must have {d.size} and {N.shape[1]} entries")
    size = float(np.abs(v).max())
    # any v is allowed, at any scale: at this one nothing underflows
    v = v / size if 1e-200 < size < 1e200 else np.eye(d.size)[0]
    across = float(np.abs(N.T @ v).sum()) + 2 * (d.size + 2) * EPS64 * float(np.abs(N).sum() * np.abs(v).max())
    below = (float(v @ d) - 2 * across * largest) / float(np.abs(v).sum()) - rounding - radius
    flattest = float(np.abs(d + N @ c).max()) + rounding + 2 * EPS64 * float((np.abs(N) @ np.abs(c)).max() * len(c))
    note = f"X* is an affine space of dimension {N.shape[1]} at least: columns are linearly dependent"
    return replace(
        optimum,
        D_lo=max(0.0, down(np.longdouble(optimum.D_lo) - np.longdouble(along))),
        D_inf_lo=max(0.0, below / OUTWARD if below > 0 else 0.0),
        D_inf_hi=min(optimum.D_inf_hi, (flattest + radius) * OUTWARD),
        certificate=certificate,
        notes=(*optimum.notes, note),
    )


def _flattest(N: Floats, d: Floats) -> tuple[Floats, Floats]:
    """(v, c): c minimises ||d + N c||_inf, v are the multipliers: N^T v = 0, ||v||_1 = 1, <v, d> the minimum."""
    p, n = N.shape
    ones = np.ones((p, 1))
    result = highs(
        np.append(np.zeros(n), 1.0),
        A_ub=np.block([[N, -ones], [-N, -ones]]),
        b_ub=np.concatenate([-d, d]),
        bounds=(None, None),
    )
    if result.status == 0 and result.x is not None:
        v = result.ineqlin.marginals[p:] - result.ineqlin.marginals[:p]
        if np.any(v):
            return v, result.x[:n]
    # any v is allowed: this one proves nothing
    return np.eye(p)[0], np.zeros(n)
