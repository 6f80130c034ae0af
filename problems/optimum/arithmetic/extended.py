"""Sums over the data in extended precision, with bounds on their rounding errors.

The one allowance used everywhere: a sum of n products, in any order, is off by at most
n * EPS * (sum of the absolute products); EPS is twice the unit roundoff of long double (1.1e-19 on x86-64,
2.2e-16 where long double is double), which leaves room for the few roundings around the sum. Bounds
themselves are computed in float64 and multiplied by OUTWARD. Library functions (exp, log1p) are trusted to
4 EPS relative.

Results leave through up and down, which step STEPS float64 ulps outward, always. Half an ulp is at least 512 EPS
on x86-64, so what is computed in long double needs no further care for up to ROUNDINGS roundings, each relative to
its result. Where a rounding can be large beside the result, a factor ABOVE or BELOW is applied in place: these are
long doubles, for in float64 1 + EPS is 1.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from problems.matrix import dense, is_sparse, long_transposed_product, longest_row, sums_of_squares

Floats = NDArray[np.float64]
Long = NDArray[np.longdouble]
Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]

EPS = float(np.finfo(np.longdouble).eps)
EPS64 = float(np.finfo(np.float64).eps)
OUTWARD = 1.0 + 1e-9  # a bound on an error is itself a float64 sum of at most 4e6 nonnegative terms
ROUNDINGS = 16  # roundings of long double that one call of up or down covers
ABOVE = 1 + ROUNDINGS * np.finfo(np.longdouble).eps
BELOW = 1 - ROUNDINGS * np.finfo(np.longdouble).eps
# Rounding to float64 costs half an ulp, and an ulp of a value is at least EPS64 / 2 of it: 1 on x86-64, 33 where
# long double is double.
STEPS = math.ceil(0.5 + ROUNDINGS * EPS / (EPS64 / 2))
# Margins that are off by more than COARSE, where terms cancel, are computed again exactly if they are few.
COARSE, EXACT_TERMS = 1e-16, 20_000
TINY = 2.0**-1070  # EPS times a float64 sum of products may underflow: a few units of the last place there is
BLOCK = 2048  # rows converted to long double at a time
# Rows whose products are summed before their sums are: n terms in blocks of r cost r + n/r roundings, not n.
ROWS = 128


class Bounded(NamedTuple):
    """A value in extended precision and a bound on its error, entry by entry."""

    value: Any
    error: Any


def margins(A: Any, x: Any) -> Bounded:
    """A x for an exact x; where rows cancel and are few, in exact arithmetic."""
    x = np.asarray(x, dtype=np.longdouble)
    value, error = rounded_margins(A, x)
    coarse = np.flatnonzero(error > COARSE * np.maximum(1.0, np.abs(value).astype(np.float64)))
    if 0 < coarse.size * A.shape[1] <= EXACT_TERMS and np.all(np.asarray(x, dtype=np.float64) == x):
        value[coarse] = _exact_margins(A[coarse], x.astype(np.float64))
        error[coarse] = 2 * EPS * np.abs(value[coarse]).astype(np.float64) + TINY
    return Bounded(value, error)


def rounded_margins(A: Any, x: Any) -> Bounded:
    """A x for an x whose entries may each be one rounding of long double off; zero or at least 1e-300 in size."""
    size = np.abs(x).astype(np.float64)
    value = np.empty(A.shape[0], dtype=np.longdouble)
    for i in range(0, A.shape[0], BLOCK):
        value[i : i + BLOCK] = A[i : i + BLOCK].astype(np.longdouble) @ x
    return Bounded(value, OUTWARD * (longest_row(A) + 3) * EPS * (abs(A) @ size) + TINY)


def _exact_margins(A: Any, x: Floats) -> Long:
    """A x within one rounding, whatever cancels: products of float64 as rationals, whose sum is exact."""
    factors = [Fraction(v) for v in x.tolist()]
    found = np.empty(A.shape[0], dtype=np.longdouble)
    for i, row in enumerate(dense(A).tolist()):
        exact = sum((Fraction(a) * v for a, v in zip(row, factors, strict=True) if a), Fraction(0))
        high = float(exact)
        found[i] = np.longdouble(high) + np.longdouble(float(exact - Fraction(high)))
    return found


def combination(A: Any, u: Any) -> Bounded:
    """A^T u for a vector or a matrix u, exact or Bounded."""
    u, off = u if isinstance(u, Bounded) else (u, None)
    u = np.asarray(u, dtype=np.longdouble)
    m = A.shape[0]
    terms = m + 2 if is_sparse(A) else min(m, ROWS) + m // ROWS + 2
    error = terms * EPS * (abs(A).T @ np.abs(u).astype(np.float64))
    value = long_transposed_product(A, u, ROWS)
    return Bounded(value, OUTWARD * (error if off is None else error + abs(A).T @ off))


def total(terms: Any, errors: Any = 0.0) -> Bounded:
    """The sum of terms that are each off by at most errors."""
    terms = np.asarray(terms, dtype=np.longdouble)
    size = float(np.abs(terms).sum())
    return Bounded(terms.sum(), OUTWARD * (float(np.sum(errors)) + (terms.size + 2) * EPS * size))


def inner(v: Bounded, x: Any) -> Bounded:
    """<v, x> for an exact x."""
    x = np.asarray(x, dtype=np.longdouble)
    size = np.abs(x).astype(np.float64)
    return total(v.value * x, v.error * size + EPS * np.abs(v.value * x).astype(np.float64))


def transformed(T: Any, g: Bounded) -> Bounded:
    """T^T g for an exact matrix T."""
    size = np.abs(g.value).astype(np.float64)
    error = np.abs(T).T @ (g.error + (len(size) + 2) * EPS * size)
    return Bounded(T.T.astype(np.longdouble) @ g.value, OUTWARD * error)


def difference(z: Bounded, b: Any) -> Bounded:
    """z - b for an exact b."""
    value = z.value - np.asarray(b, dtype=np.longdouble)
    return Bounded(value, z.error + EPS * np.abs(value).astype(np.float64))


def row_norms(A: Any) -> Floats:
    """Euclidean norms of the rows, rounded up."""
    return np.sqrt(sums_of_squares(A, axis=1)) * OUTWARD


def least_squares(A: Any, rhs: Floats, cutoff: float = 1e-13) -> Floats:
    """The shortest minimiser of ||A x - rhs||; singular directions below cutoff count as zero."""
    import scipy.linalg

    # by a pivoted QR, several times faster than by the SVD
    return scipy.linalg.lstsq(dense(A), rhs, cond=cutoff, lapack_driver="gelsy", check_finite=False)[0]


def norm_up(v: Bounded) -> float:
    """An upper bound on ||v||, tight to rounding."""
    largest = np.abs(v.value).max(initial=0.0)
    errors = OUTWARD * _norm(np.asarray(v.error, dtype=np.float64))
    if largest == 0 or not np.isfinite(largest):
        return float(largest) + errors
    # scaled, so that no square underflows that counts
    norm = np.sqrt(np.sum(np.square(v.value / largest))) * largest
    return up(norm * (1 + np.longdouble((np.size(v.value) + 6) * EPS)) + np.longdouble(errors))


def _norm(size: Floats) -> float:
    largest = float(size.max(initial=0.0))
    return largest if largest == 0 or not math.isfinite(largest) else float(np.linalg.norm(size / largest)) * largest


def distance(x: Any, y: Any) -> tuple[float, float]:
    """Bounds on ||x - y||, a few ulps apart."""
    d = np.asarray(x, dtype=np.longdouble) - np.asarray(y, dtype=np.longdouble)
    norm = np.sqrt(np.sum(d * d))
    slack = np.longdouble((d.size + 4) * EPS)
    return down(norm * (1 - slack)), up(norm * (1 + slack))


def largest_difference(x: Any, y: Any) -> Any:
    """||x - y||_inf in long double, one rounding from exact."""
    return np.abs(np.asarray(x, dtype=np.longdouble) - np.asarray(y, dtype=np.longdouble)).max()


def up(value: Any) -> float:
    """A float64 above value, by half an ulp at least; 0 and infinities stay."""
    return _outward(value, math.inf)


def down(value: Any) -> float:
    """A float64 below value, by half an ulp at least; 0 and infinities stay."""
    return _outward(value, -math.inf)


def _outward(value: Any, direction: float) -> float:
    if value == 0 or np.isinf(value):
        return float(value)
    with np.errstate(over="ignore", under="ignore"):  # a long double can lie beyond float64
        rounded = np.float64(value)
    for _ in range(STEPS):
        rounded = np.nextafter(rounded, direction)
    return float(rounded)
