"""Columns that span the range of a matrix, with a proof that the others add nothing.

One-hot data have columns that are sums of others. Where a column is an integer combination of the chosen
ones, divided by a small integer, this is verified in exact arithmetic, and minimising over the chosen columns
is minimising over all. A column whose dependence cannot be verified stays among the chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from problems.matrix import dense
from problems.optimum.arithmetic.extended import Floats, Indices

# Columns are scaled to unit norm. A pivot of their Gram matrix below this marks a candidate for the exact check: the
# column depends on the others, or is so near to them that no certificate in float64 would succeed anyway.
CANDIDATE = 1e-11
DENOMINATORS = (1, 2, 3, 4, 6, 8, 12)
NEAR_INTEGER = 1e-4  # coefficients come from a Gram matrix whose condition number may be 1e10
# With more columns no p by p matrix is formed, and dependent columns are not looked for.
DENSE = 2000
EXACT_WORK = 2_000_000  # rational operations in one verification, at most


@dataclass(frozen=True)
class Columns:
    """Indices J of columns, and N (p, p - |J|) of integers with A N = 0 exactly.

    N holds q e_j (q >= 1) for each column j outside J and combinations of J: its smallest singular value is
    at least 1, and every A x is A x' with x' supported on J. pivots: those of J that are independent to
    working precision; if they are as many as the rows, and really independent, they alone reach every A x.
    """

    J: Indices
    N: Floats
    pivots: Indices


def independent_columns(A: Any) -> Columns:
    """Choose columns J that span the others, as far as that can be proved; none where A has no rows."""
    m, p = A.shape
    none = np.zeros(0, dtype=np.intp)
    if p > DENSE:
        return Columns(none if m == 0 else np.arange(p), np.zeros((p, 0)), none)
    if m == 0:
        return Columns(none, np.eye(p), none)
    gram = dense(A.T @ A)
    norms = np.sqrt(np.diag(gram))
    zero = norms == 0
    scale = np.where(zero, 1.0, norms)
    unit = gram / np.outer(scale, scale)
    chosen, rest = pivots(unit, CANDIDATE)
    vectors: list[Floats] = []
    kept: list[int] = []
    solved = np.zeros((chosen.size, rest.size))
    if rest.size and chosen.size:
        solved = np.linalg.solve(unit[np.ix_(chosen, chosen)], unit[np.ix_(chosen, rest)])
    for k, j in enumerate(rest):
        coefficients = np.zeros(p) if zero[j] else spread(solved[:, k] / scale[chosen] * scale[j], chosen, p)
        n = _integer_null_vector(A, j, coefficients)
        if n is None:
            kept.append(j)
        else:
            vectors.append(n)
    N = np.array(vectors).T if vectors else np.zeros((p, 0))
    return Columns(np.array(sorted([*chosen, *kept]), dtype=np.intp), N, chosen.astype(np.intp))


def spread(values: Floats, at: Any, p: int) -> Floats:
    """A vector of length p with the values at these indices, 0 elsewhere."""
    full = np.zeros(p)
    full[at] = values
    return full


def pivots(gram: Floats, least: float) -> tuple[Indices, Indices]:
    """(columns, others): columns with pivots above least in a Cholesky factorisation of this matrix, ascending."""
    import scipy.linalg

    _, order, rank, _ = scipy.linalg.lapack.dpstrf(gram, tol=least)
    return np.sort(order[:rank] - 1), np.sort(order[rank:] - 1)


def _integer_null_vector(A: Any, j: int, coefficients: Floats) -> Floats | None:
    """Integers n with n_j >= 1 and A n = 0 exactly, from A e_j = A coefficients nearly."""
    for q in DENOMINATORS:
        n = -np.rint(q * coefficients)
        if np.abs(n + q * coefficients).max() > NEAR_INTEGER:
            continue
        n[j] = q
        if exactly_zero(A, n):
            return n
    return None


def exactly_zero(A: Any, n: Floats) -> bool:
    """Whether A n = 0 for integers n, decided in exact arithmetic."""
    support = np.flatnonzero(n)
    part = dense(A[:, support])
    weights = n[support]
    # dyadic rationals of few bits (one-hot, counts, eighths): float64 products and sums are then exact
    shifted = part * 2.0**20
    if np.all(shifted == np.rint(shifted)) and np.abs(shifted).max(initial=0.0) * np.abs(weights).sum() < 2.0**53:
        return not np.any(shifted @ weights)
    if np.abs(part @ weights).max() > 1e-12 * (np.abs(part) @ np.abs(weights)).max() or part.size > EXACT_WORK:
        return False
    integers = [int(w) for w in weights]
    return all(sum(Fraction(a) * w for a, w in zip(row, integers, strict=True)) == 0 for row in part.tolist())
