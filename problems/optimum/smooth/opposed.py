"""Equal rows of the data; no direction separates rows that occur with both labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from problems.matrix import dense, nonzero_columns, row_contents
from problems.optimum.arithmetic.extended import Floats, Indices, Mask

# Entries of a dense basis for the span of some rows.
LARGEST = 5e7


def equal_rows(A: Any) -> Indices:
    """For each row the index of the first that equals it."""
    first: dict[bytes, int] = {}
    return np.array([first.setdefault(row, i) for i, row in enumerate(row_contents(A))], dtype=np.intp)


def first_rows(A: Any) -> Indices:
    """Indices of rows that differ from all before them."""
    return np.unique(equal_rows(A))


def opposed_rows(A: Any, b: Floats) -> Mask:
    """The mask of the rows that occur with both labels."""
    index = equal_rows(A)
    both = [np.isin(index, index[b == label]) for label in (-1.0, 1.0)]
    return both[0] & both[1]


def orthogonal_part(A: Any, rows: Any) -> tuple[Any, Callable[[Floats], Floats]] | None:
    """(A P, P) as maps, P the projection on the null space of these rows; None where they are too many.

    Both take vectors, and matrices column by column.
    """
    import scipy.sparse.linalg

    rows, used = distinct(rows)
    if rows.size > LARGEST:
        return None
    basis, _ = np.linalg.qr(rows.T)
    image = np.asarray(A[:, used] @ basis)

    def onto(v: Floats) -> Floats:
        v = v.copy()
        v[used] -= basis @ (basis.T @ v[used])
        return v

    def times(v: Floats) -> Floats:
        return np.asarray(A @ v - image @ (basis.T @ v[used]))

    def transposed_times(u: Floats) -> Floats:
        return onto(np.asarray(A.T @ u))

    operator = scipy.sparse.linalg.LinearOperator(
        A.shape,
        matvec=times,
        rmatvec=transposed_times,
        matmat=times,
        rmatmat=transposed_times,
        dtype=np.float64,
    )
    return operator, onto


def distinct(rows: Any) -> tuple[Floats, Indices]:
    """(values, used): rows that differ from all before them, dense, in the columns where any of them is not 0."""
    rows = rows[first_rows(rows)]
    used = nonzero_columns(rows)
    return dense(rows[:, used]), used
