"""A dual point of the logistic loss in rational arithmetic, for small data of any scale.

A dual point of the logistic loss is u with A^T u = 0 and 0 <= -b_i u_i <= 1; then f >= -(1/m) sum phi*(u_i). The slopes
at a point near the minimiser satisfy the equations nearly. Moving r = rank(A) of them, those with the most room, to
where the equations hold exactly costs the square of the move. No condition number enters.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from problems.matrix import dense
from problems.optimum.arithmetic.extended import EPS, OUTWARD, Bounded, Floats, Indices, Long, down, total
from problems.optimum.arithmetic.rational import Integers, balanced, exact_combination, independent, integers, long_of
from problems.optimum.dual import negative_entropy

# Entries of A, and rank, up to which rational arithmetic takes about a second.
ENTRIES, RANK = 30_000, 40
NEGLIGIBLE = 1e-60  # slopes below count as 0: -phi* loses 1e-58


def feasible(A: Any) -> bool:
    """Whether A is small enough for rational arithmetic."""
    m, p = A.shape
    return 0 < m * p <= ENTRIES and min(m, p) <= RANK


class DualPoint(NamedTuple):
    """A lower bound on f; overlap: whether no direction separates the rows, so that a minimiser exists.

    With a_i >= 0 and sum a_i b_i <a_i, w> = 0, terms of one sign vanish, and b_i <a_i, w> = 0 wherever a_i > 0: on all
    rows if all are positive, and w = 0 if they are on p independent rows.
    """

    f_lo: float
    overlap: bool


def dual_point(A: Any, b: Floats, slopes: Floats, m: int) -> DualPoint | None:
    """The bound from slopes u near these with A^T u = 0; None where they leave [0, 1].

    m: the number to divide by, where A holds some of the rows of the data.
    """
    scaled = integers(dense(A))
    a = np.where(-b * slopes > NEGLIGIBLE, np.clip(-b * slopes, 0.0, 1.0), 0.0)
    order = _by_slack(dense(A), a)
    picked, J = independent([scaled.rows[i] for i in order])
    rows = order[picked]
    others = np.setdiff1d(np.arange(b.size), rows)
    found = balanced(_rows(scaled, rows), J, exact_combination(A[others], -b[others] * a[others]))
    if found is None or found[1]:
        return None
    sizes = [-u if label > 0 else u for u, label in zip(found[0], b[rows].tolist(), strict=True)]
    if not all(0 <= size <= 1 for size in sizes):
        return None
    exact: Long = a.astype(np.longdouble)
    exact[rows] = [long_of(size.numerator, size.denominator) for size in sizes]
    phi = _conjugates(np.clip(exact, 0, 1))
    s = total(phi.value, phi.error)
    f_lo = down((-s.value - np.longdouble(s.error)) / m)
    overlap = all(size > 0 for size in sizes) and (rows.size == len(scaled.rows[0]) or bool(np.all(a[others] > 0)))
    return DualPoint(f_lo, overlap)


def _by_slack(A: Floats, a: Floats) -> Indices:
    """The rows in order, by how far their slopes can be moved: a pivoted QR of the rows, scaled by their slack."""
    import scipy.linalg

    room = np.sqrt(a * (1 - a))
    size = np.abs(A * room[:, None]).max(axis=0, initial=0.0)
    weighted = (A * room[:, None]) / np.where(size > 0, size, 1.0)
    _, pivots = scipy.linalg.qr(weighted.T, mode="r", pivoting=True)
    first = pivots[: min(A.shape)]
    rest = np.setdiff1d(np.arange(a.size), first)
    return np.concatenate([first, rest[np.argsort(-room[rest], kind="stable")]]).astype(np.intp)


def _rows(scaled: Integers, rows: Indices) -> Integers:
    return Integers([scaled.rows[i] for i in rows], scaled.exponents[rows])


def _conjugates(a: Long) -> Bounded:
    """phi*(u_i) for |u_i| = a_i in long double, each one rounding from the exact slope."""
    phi = negative_entropy(a)
    inside = (a > 0) & (a < 1)
    safe = np.where(inside, a, 0.5)
    # the derivative log a - log(1 - a), times a rounding of a; of 1 - a, where a rounds to 1, EPS |log EPS| and more
    steep = np.abs(np.log(safe)) + np.abs(np.log1p(-safe)) + 50
    return Bounded(phi.value, OUTWARD * (phi.error + 4 * EPS * (safe * steep).astype(np.float64) * (a > 0)))
