"""Two sides compared row by row, with rounding counted against the claim.

With a the sum of the bounds on the rounding of both sides, at a checkpoint and a corner of the intervals of f* and D:

    lhs + a <= rhs                     it holds,
    lhs > rhs + a                      it fails,
    else, with a <= TIGHT_WITHIN rhs   the two sides are equal to within rounding,
    else                               nothing is decided.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dadapt_convex.oracle import Vector
from dadapt_convex.theory.rounded import EPS, Rounded

# Two sides that differ by less than rounding are equal where rounding is at most this part of the right one; of an
# equality, of the larger one. Where more is rounding, as when sums return to 0, an equality says nothing.
TIGHT_WITHIN = 1e-9
# What a side may round where it is computed from plain numbers.
OWN_ROUNDING = 8 * EPS


class Compared(NamedTuple):
    """The result at each row: whether a statement holds, fails or has equal sides, and the ratio of its sides."""

    holds: Any
    fails: Any
    equal: Any
    ratio: Any


def compare(relation: str, lhs: Rounded, rhs: Rounded, unbounded: bool = False) -> Compared:
    """Compare two sides row by row; unbounded: D_hi is infinite, and so may be the right side."""
    with np.errstate(all="ignore"):
        a = lhs.error + rhs.error + OWN_ROUNDING * (np.abs(lhs.value) + np.abs(rhs.value))
        left, right = lhs.value, rhs.value
        known = np.isfinite(left) & np.isfinite(right) & np.isfinite(a)
        within = known & (np.abs(left - right) <= a)
        ratio = ratio_of(left, right)
        if relation == "=":
            size = np.maximum(np.abs(left), np.abs(right))
            equal = within & (a <= TIGHT_WITHIN * size)
            return Compared(equal, known & ~within, equal, ratio)
        beyond = (np.isposinf(right) & np.isfinite(left) & np.isfinite(lhs.error)) if unbounded else False
        holds = (known & (left + a <= right)) | beyond
        equal = within & (a <= TIGHT_WITHIN * np.abs(right))
        return Compared(holds, known & (left > right + a), equal, ratio)


def ratio_of(lhs: Any, rhs: Any) -> Vector:
    """lhs / rhs, of two negative numbers rhs / lhs: above 1 where lhs is larger. 0 for lhs <= 0 <= rhs."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(rhs > 0, lhs / rhs, np.where(lhs > rhs, np.inf, np.where(lhs < 0, rhs / lhs, 0.0)))
        ratio = np.where((lhs < 0) & (rhs < 0), rhs / lhs, ratio)
    ratio = np.where((lhs == rhs) & (lhs != 0) & np.isfinite(lhs), 1.0, ratio)
    return np.where(np.isnan(lhs) | np.isnan(rhs), np.nan, np.maximum(ratio, 0.0))
