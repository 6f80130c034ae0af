"""exp and log(1 + exp) for compiled losses: without branches, so that LLVM vectorises the loop around them.

Ten times as fast as the C library's, one element at a time. Compiled without reassociation, which would undo the
splitting of ln 2.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dadapt_convex.lanes import power_of_2, rint, where_greater
from dadapt_convex.oracle import exact_helper

LOG2_E = 1.0 / math.log(2.0)
LN2 = math.log(2.0)
# ln 2 in two parts: n * LN2_HIGH is exact for |n| < 2**20, so the reduced argument keeps its digits
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
# exp(-708) is the last that is not subnormal
LARGEST = 708.0
SQRT2_MINUS_1 = math.sqrt(2.0) - 1.0


@exact_helper
def exp_series(r: Any) -> Any:
    """(exp(r) - 1) / r for |r| <= ln(2)/2; the series to r^13 leaves 1e-17."""
    e = 1.0 / 479001600.0 + r * (1.0 / 6227020800.0)
    e = 1.0 / 39916800.0 + r * e
    e = 1.0 / 3628800.0 + r * e
    e = 1.0 / 362880.0 + r * e
    e = 1.0 / 40320.0 + r * e
    e = 1.0 / 5040.0 + r * e
    e = 1.0 / 720.0 + r * e
    e = 1.0 / 120.0 + r * e
    e = 1.0 / 24.0 + r * e
    e = 1.0 / 6.0 + r * e
    e = 0.5 + r * e
    return 1.0 + r * e


@exact_helper
def exp_of_negative(t: float) -> float:
    """exp(-t) for t >= 0; 0 beyond 708, where it would be subnormal.

    exp(-t) = 2^n exp(r), |r| <= ln(2)/2.
    """
    a = -min(t, LARGEST)
    n = np.rint(a * LOG2_E)
    r = (a - n * LN2_HIGH) - n * LN2_LOW
    e = (1.0 + r * exp_series(r)) * np.int64((np.int64(n) + 1023) << 52).view(np.float64)
    return e if t <= LARGEST else 0.0


@exact_helper
def exp_of_negative_lanes(t: Any) -> Any:
    """exp(-t) for eight numbers t >= 0, by the formula of exp_of_negative; NaN stays NaN."""
    a = where_greater(t, LARGEST, -LARGEST, 0.0 - t)
    n = rint(a * LOG2_E)
    r = (a - n * LN2_HIGH) - n * LN2_LOW
    e = (1.0 + r * exp_series(r)) * power_of_2(n)
    return where_greater(t, LARGEST, 0.0, e)


@exact_helper
def atanh_series(s2: Any) -> Any:
    """(atanh(s) - s) / s^3 for s^2 = s2 <= 0.172^2; the series to s^21 leaves 1e-18."""
    t = 1.0 / 19.0 + s2 * (1.0 / 21.0)
    t = 1.0 / 17.0 + s2 * t
    t = 1.0 / 15.0 + s2 * t
    t = 1.0 / 13.0 + s2 * t
    t = 1.0 / 11.0 + s2 * t
    t = 1.0 / 9.0 + s2 * t
    t = 1.0 / 7.0 + s2 * t
    t = 1.0 / 5.0 + s2 * t
    return 1.0 / 3.0 + s2 * t


@exact_helper
def log1p_and_reciprocal(e: float) -> tuple[float, float]:
    """(log(1 + e), 1/(1 + e)) for 0 <= e <= 1, with one division.

    log(1 + e) = 2 atanh(e / (2 + e)), or ln 2 + 2 atanh((e - 1) / (3 + e)) for e > sqrt(2) - 1: the argument s is at
    most 0.172.
    """
    upper = e > SQRT2_MINUS_1
    numerator = e - 1.0 if upper else e
    denominator = e + 3.0 if upper else e + 2.0
    both = 1.0 / ((1.0 + e) * denominator)
    s = numerator * both * (1.0 + e)
    s2 = s * s
    return (LN2 if upper else 0.0) + 2.0 * s * (1.0 + s2 * atanh_series(s2)), both * denominator


@exact_helper
def log1p_and_reciprocal_lanes(e: Any) -> tuple[Any, Any]:
    """(log(1 + e), 1/(1 + e)) for eight numbers 0 <= e <= 1, by the formula of log1p_and_reciprocal."""
    numerator = where_greater(e, SQRT2_MINUS_1, e - 1.0, e)
    denominator = where_greater(e, SQRT2_MINUS_1, e + 3.0, e + 2.0)
    both = 1.0 / ((1.0 + e) * denominator)
    s = numerator * both * (1.0 + e)
    s2 = s * s
    base = where_greater(e, SQRT2_MINUS_1, LN2, 0.0)
    return base + 2.0 * s * (1.0 + s2 * atanh_series(s2)), both * denominator
