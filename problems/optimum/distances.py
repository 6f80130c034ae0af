"""From a minimiser, or a ball that holds one, to intervals for dist(x0, X*)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any

import numpy as np

from problems.optimum.arithmetic.extended import (
    ABOVE,
    BELOW,
    EPS,
    EPS64,
    OUTWARD,
    Bounded,
    Floats,
    distance,
    down,
    largest_difference,
    up,
)
from problems.optimum.arithmetic.rational import Rational, exactly, rounded_down, rounded_up
from problems.optimum.certificate import Point, Proof, Shape
from problems.optimum.solvers import highs

Both = tuple[float, float]  # bounds in the Euclidean and the maximum norm


def in_ball(x0: Floats, f_lo: float, f_hi: float, x: Any, radius: float) -> Proof:
    """Bounds where the only minimiser lies within radius of x."""
    lower, upper = distance(x, x0)
    largest = largest_difference(x, x0)
    return Proof(
        f_lo=f_lo,
        f_hi=f_hi,
        D_lo=max(0.0, down(np.longdouble(lower) - np.longdouble(radius))),
        D_hi=up(np.longdouble(upper) + np.longdouble(radius)),
        D_inf_lo=max(0.0, down(largest * BELOW - np.longdouble(radius))),
        D_inf_hi=up(largest * ABOVE + np.longdouble(radius)),
        attained=True,
        D_estimate=upper,
    )


def gap_radius(f: Bounded, lower: Any, l2: float) -> Any:
    """Within this distance of a point with value f lies the minimiser, by strong convexity, if f* >= lower."""
    return np.sqrt(2 * np.maximum(f.value + f.error - lower, 0) / np.longdouble(l2) * ABOVE)


@dataclass(frozen=True, kw_only=True, eq=False)
class Flattest:
    """The c that makes ||d + N c||_inf least, nearly, and multipliers v: N^T v = 0, <v, d> the minimum."""

    v: Point
    c: Annotated[Floats, Shape("n")]


def distance_modulo(proof: Proof, d: Floats, N: Floats, radius: float, flattest: Flattest | None) -> Proof:
    """Bounds where X* is known to within radius only up to the span of N, whose N^T N >= I; d is x - x0.

    For all c: ||d + N c|| >= ||d|| - ||N^T d||, since the projection of d on the span has norm at most ||N^T d||. In
    the maximum norm, for any v: ||d + N c||_inf ||v||_1 >= <v, d> - |<N^T v, c>|, where only ||N c||_inf <= 2 ||d||_inf
    matters, hence ||c||_inf <= 2 ||d||_inf (N holds a multiple of I).
    """
    if not N.shape[1]:
        return proof
    if flattest is None or flattest.c.shape != N.shape[1:]:
        raise ValueError(f"flattest must hold {d.size} and {N.shape[1]} entries")
    v, c = flattest.v, flattest.c
    largest = float(np.abs(d).max())
    rounding = 2 * (d.size + 2) * EPS64 * largest
    along = float(np.linalg.norm(np.abs(N.T @ d) + rounding * np.abs(N).sum(axis=0))) * OUTWARD
    size = float(np.abs(v).max())
    # every v is allowed at every scale; at this scale nothing underflows
    v = v / size if 1e-200 < size < 1e200 else np.eye(d.size)[0]
    across = float(np.abs(N.T @ v).sum()) + 2 * (d.size + 2) * EPS64 * float(np.abs(N).sum() * np.abs(v).max())
    below = (float(v @ d) - 2 * across * largest) / float(np.abs(v).sum()) - rounding - radius
    above = float(np.abs(d + N @ c).max()) + rounding + 2 * EPS64 * float((np.abs(N) @ np.abs(c)).max() * len(c))
    note = f"X* is an affine space of dimension {N.shape[1]} at least: columns are linearly dependent"
    return proof._replace(
        D_lo=max(0.0, down(np.longdouble(proof.D_lo) - np.longdouble(along))),
        D_inf_lo=max(0.0, below / OUTWARD if below > 0 else 0.0),
        D_inf_hi=min(proof.D_inf_hi, (above + radius) * OUTWARD),
        notes=(*proof.notes, note),
    )


def find_flattest(N: Floats, d: Floats) -> Flattest | None:
    """The flattest d + N c by linear programming (HiGHS); None where N has no columns."""
    p, n = N.shape
    if not n:
        return None
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
            return Flattest(v=v, c=result.x[:n])
    # every v is allowed; this one proves nothing
    return Flattest(v=np.eye(p)[0], c=np.zeros(n))


def exactly_at(x: Rational, value: Fraction, x0: Floats) -> Proof:
    """Bounds from the exact minimum and the only minimiser."""
    return closest(value, [(distances_down(x, x0), distances_up(x, x0))])


def closest(value: Fraction, ends: Sequence[tuple[Both, Both]]) -> Proof:
    """Bounds from the exact minimum and several pairs of bounds on the distance, from below and from above."""
    below, above = zip(((0.0, 0.0), (math.inf, math.inf)), *ends, strict=True)
    D_lo, D_inf_lo = map(max, zip(*below, strict=True))
    D_hi, D_inf_hi = map(min, zip(*above, strict=True))
    f = rounded_down(value), rounded_up(value)
    return Proof(*f, D_lo, D_hi, D_inf_lo, D_inf_hi, attained=True, D_estimate=D_hi)


def distances_up(x: Rational, x0: Floats) -> Both:
    """Upper bounds on ||x - x0|| and ||x - x0||_inf, tight to rounding."""
    size, largest = _lengths(x, x0)
    return up(size.value + size.error), up(largest * ABOVE)


def distances_down(x: Rational, x0: Floats) -> Both:
    """Lower bounds on ||x - x0|| and ||x - x0||_inf, tight to rounding."""
    size, largest = _lengths(x, x0)
    return max(0.0, down(size.value - size.error)), down(largest * (2 - ABOVE))


def _lengths(x: Rational, x0: Floats) -> tuple[Bounded, Any]:
    """Both norms in long double; each entry of x - x0 is rounded once, from the exact difference."""
    start, unit = exactly(x0)
    moved = [n * unit - k * x.denominator for n, k in zip(x.numerators, start, strict=True)]
    d = Rational(moved, x.denominator * unit).long()
    norm = np.sqrt(np.sum(d * d))
    return Bounded(norm, (d.size + 4) * EPS * norm), np.abs(d).max()
