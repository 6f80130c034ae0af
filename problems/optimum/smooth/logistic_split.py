"""Logistic loss: the rows that a direction sends to infinity, and the minimiser over the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from problems.optimum.arithmetic.columns import DENSE, Columns
from problems.optimum.arithmetic.extended import Floats
from problems.optimum.newton import MAX_NEWTON
from problems.optimum.smooth.opposed import opposed_rows, orthogonal_part
from problems.optimum.smooth.reaching import reaching_columns, spread
from problems.optimum.smooth.separability import Mask, Separation, proved_separation, separation
from problems.optimum.smooth.smooth import newton

# Newton steps by conjugate gradients, each of a second or so, before the search for a direction is given up.
WIDE_STEPS = 60
# Newton's step moves rows that drift to infinity by about 1, others hardly.
DRIFTS = 0.1


@dataclass(frozen=True)
class Split:
    """Rows S that a direction sends to infinity, and the minimiser x of the loss over the rows R outside S.

    converged: whether Newton's method on R converged, which it does when R overlaps. columns: those of A_R.
    """

    separation: Separation
    R: Any
    columns: Columns
    x: Floats
    converged: bool


def split(A: Any, b: Floats) -> Split:
    """Find S among the rows that Newton's steps keep moving away; where that gives no proof, by linear program."""
    m, p = A.shape
    columns = reaching_columns(A)
    nothing = Separation(np.zeros(m, dtype=bool), np.zeros(p), False)
    if p > DENSE:
        parts = _split_wide(A, b)
        if parts is not None:
            return parts
    A_J = A[:, columns.J]
    everything = np.ones(m, dtype=bool)
    start = np.zeros(columns.J.size)
    wide = columns.J.size > DENSE
    for _ in range(1 if wide else 3):
        stop = newton(A_J, b, 0.0, start, WIDE_STEPS if wide else MAX_NEWTON)
        if stop.converged:
            return Split(nothing, np.arange(m), columns, spread(stop.x, columns.J, p), True)
        if np.all(b * (A_J @ stop.x) > 0):
            found = separates(A, b, everything, spread(stop.x, columns.J, p))
        else:
            found = separates(A, b, b * (A_J @ stop.step) > DRIFTS, spread(stop.step, columns.J, p))
        if found.proved:
            parts = rest(A, b, found)
            if parts.converged:
                return parts
        start = stop.x + stop.step
    # with many columns the linear program would take hours
    found = nothing if wide else by_linear_program(A, b)
    if found.S.any():
        return rest(A, b, found)
    return Split(nothing, np.arange(m), columns, spread(stop.x, columns.J, p), False)


def _split_wide(A: Any, b: Floats) -> Split | None:
    """R as the rows that occur with both labels, if all others can be separated: for more columns than DENSE.

    Newton's method in the null space of those rows finds a direction for the others, if there is one.
    """
    R = opposed_rows(A, b)
    if not R.any():
        return None
    S = np.flatnonzero(~R)
    part = orthogonal_part(A[S], A[np.flatnonzero(R)])
    if part is None or not S.size:
        return None
    A_S, onto = part
    stop = newton(A_S, b[S], 0.0, np.zeros(A.shape[1]))
    found = separates(A, b, ~R, onto(stop.x))
    return rest(A, b, found) if found.proved else None


def separates(A: Any, b: Floats, S: Mask, w: Floats) -> Separation:
    """proved_separation in columns scaled by powers of two to a largest entry in [1, 2), which is exact."""
    exponents = _sizes(A, 0)
    scaled = _scaled(A, 1, -exponents) if exponents.any() else A
    with np.errstate(over="ignore", invalid="ignore"):  # a w that float64 cannot hold is refused
        found = proved_separation(scaled, b, S, np.ldexp(w, exponents))
        direction = np.ldexp(found.w, -exponents)
    if not np.all(np.isfinite(direction)):
        return Separation(S, w, False)
    return found._replace(w=direction)


def by_linear_program(A: Any, b: Floats) -> Separation:
    """The same for the largest S, found by a linear program in rows and columns of one size."""
    scaled, exponents = A, np.zeros(A.shape[1], dtype=np.int64)
    for _ in range(3):
        scaled = _scaled(scaled, 0, -_sizes(scaled, 1))
        sizes = _sizes(scaled, 0)
        scaled, exponents = _scaled(scaled, 1, -sizes), exponents + sizes
    found = separation(scaled, b)
    w = np.ldexp(found.w, -exponents)
    return separates(A, b, found.S, w) if found.S.any() else found._replace(w=w)


def _sizes(A: Any, axis: int) -> Any:
    """Exponents e of the largest entries of columns (axis 0) or rows (axis 1), in [2^e, 2^(e+1)); 0 where all are 0."""
    largest = abs(A).max(axis=axis)
    largest = np.asarray(largest.toarray() if hasattr(largest, "toarray") else largest).ravel()
    return np.where(largest > 0, np.frexp(largest)[1] - 1, 0)


def _scaled(A: Any, axis: int, exponents: Any) -> Any:
    """Rows (axis 0) or columns (axis 1) times 2^exponents."""
    if hasattr(A, "tocsr"):
        import scipy.sparse

        every = exponents[A.indices] if axis == 1 else np.repeat(exponents, np.diff(A.indptr))
        return scipy.sparse.csr_array((np.ldexp(A.data, every), A.indices, A.indptr), shape=A.shape)
    return np.ldexp(A, exponents if axis == 1 else exponents[:, None])


def rest(A: Any, b: Floats, found: Separation) -> Split:
    R = np.flatnonzero(~found.S)
    A_R = A[R]
    columns = reaching_columns(A_R)
    if not R.size:
        return Split(found, R, columns, np.zeros(A.shape[1]), True)
    stop = newton(A_R[:, columns.J], b[R], 0.0, np.zeros(columns.J.size))
    return Split(found, R, columns, spread(stop.x, columns.J, A.shape[1]), stop.converged)
