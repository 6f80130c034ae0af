"""Sums over the data in extended precision, with a bound on what rounding can have done to them.

The one allowance used everywhere: a sum of n products, in any order, is off by at most
n * EPS * (sum of the absolute products); EPS is twice the unit roundoff of long double (1.1e-19 on x86-64,
2.2e-16 where long double is double), which leaves room for the few roundings around the sum. Bounds
themselves are computed in float64 and multiplied by OUTWARD. Library functions (exp, log1p) are trusted to
4 EPS relative.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Long = NDArray[np.longdouble]

EPS = float(np.finfo(np.longdouble).eps)
EPS64 = float(np.finfo(np.float64).eps)
OUTWARD = 1.0 + 1e-9  # a bound on an error is itself a float64 sum of at most 4e6 nonnegative terms
BLOCK = 2048  # rows converted to long double at a time


class Bounded(NamedTuple):
    """A value in extended precision and a bound on its error, entry by entry."""

    value: Any
    error: Any


def margins(A: Any, x: Any) -> Bounded:
    """A x."""
    x = np.asarray(x, dtype=np.longdouble)
    size = np.abs(x).astype(np.float64)
    if hasattr(A, "tocsr"):
        value = A.astype(np.longdouble) @ x
        terms = int(np.diff(A.indptr).max(initial=0))
    else:
        value = np.concatenate([A[i : i + BLOCK].astype(np.longdouble) @ x for i in range(0, A.shape[0], BLOCK)])
        terms = A.shape[1]
    return Bounded(value, OUTWARD * (terms + 2) * EPS * (abs(A) @ size))


def combination(A: Any, u: Any) -> Bounded:
    """A^T u."""
    u = np.asarray(u, dtype=np.longdouble)
    size = np.abs(u).astype(np.float64)
    m = A.shape[0]
    if hasattr(A, "tocsr"):
        value = A.T.astype(np.longdouble) @ u
    else:
        value = np.zeros(A.shape[1], dtype=np.longdouble)
        for i in range(0, m, BLOCK):
            value += u[i : i + BLOCK] @ A[i : i + BLOCK].astype(np.longdouble)
    return Bounded(value, OUTWARD * (m + 2) * EPS * (abs(A).T @ size))


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
    """Z - b for an exact b."""
    value = z.value - np.asarray(b, dtype=np.longdouble)
    return Bounded(value, z.error + EPS * np.abs(value).astype(np.float64))


def row_norms(A: Any) -> Floats:
    """Euclidean norms of the rows, rounded up."""
    squares = A.multiply(A) if hasattr(A, "tocsr") else A * A
    return np.sqrt(np.asarray(squares.sum(axis=1)).ravel()) * OUTWARD


def least_squares(A: Any, rhs: Floats, cutoff: float = 1e-13) -> Floats:
    """The shortest minimiser of ||A x - rhs||; singular directions below cutoff count as zero."""
    import scipy.linalg

    A = A.toarray() if hasattr(A, "toarray") else A
    # by a pivoted QR, several times faster than by the SVD
    return scipy.linalg.lstsq(A, rhs, cond=cutoff, lapack_driver="gelsy", check_finite=False)[0]


def norm_up(v: Bounded) -> float:
    """An upper bound on ||v||."""
    return float(np.linalg.norm(np.abs(v.value).astype(np.float64) + v.error)) * OUTWARD


def distance(x: Any, y: Any) -> tuple[float, float]:
    """Bounds on ||x - y||, relative width 1e-15 times the number of entries at most."""
    exact = np.asarray(x, dtype=np.longdouble) - np.asarray(y, dtype=np.longdouble)
    norm = np.sqrt(np.sum(exact * exact))
    slack = (exact.size + 4) * EPS
    return down(norm * (1 - slack)), up(norm * (1 + slack))


def up(value: Any) -> float:
    """The least float64 not below value."""
    rounded = np.float64(value)
    return float(rounded if np.longdouble(rounded) >= value else np.nextafter(rounded, np.inf))


def down(value: Any) -> float:
    """The largest float64 not above value."""
    rounded = np.float64(value)
    return float(rounded if np.longdouble(rounded) <= value else np.nextafter(rounded, -np.inf))
