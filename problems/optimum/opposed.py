"""Rows of the data that occur more than once, and with both labels: no direction separates those."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from problems.optimum.extended import Floats

# Entries of a dense basis for the span of some rows.
LARGEST = 5e7


def _classes(A: Any) -> NDArray[np.intp]:
    """For each row the index of the first that equals it."""
    first: dict[bytes, int] = {}
    found = np.empty(A.shape[0], dtype=np.intp)
    for i in range(A.shape[0]):
        if hasattr(A, "tocsr"):
            at = slice(A.indptr[i], A.indptr[i + 1])
            content = A.indices[at].tobytes() + A.data[at].tobytes()
        else:
            content = A[i].tobytes()
        found[i] = first.setdefault(content, i)
    return found


def first_rows(A: Any) -> NDArray[np.intp]:
    """Indices of rows that differ from all before them."""
    return np.unique(_classes(A))


def opposed_rows(A: Any, b: Floats) -> NDArray[np.bool_]:
    """Those that occur with both labels."""
    index = _classes(A)
    both = [np.isin(index, index[b == label]) for label in (-1.0, 1.0)]
    return both[0] & both[1]


def orthogonal_part(A: Any, rows: Any) -> tuple[Any, Callable[[Floats], Floats]] | None:
    """(A P, P) as maps, P the projection on the null space of these rows; None where they are too many."""
    import scipy.sparse.linalg

    rows = rows[first_rows(rows)]
    if rows.shape[0] * rows.shape[1] > LARGEST:
        return None
    basis, _ = np.linalg.qr(np.asarray(rows.toarray() if hasattr(rows, "toarray") else rows).T)
    image = np.asarray(A @ basis)

    def onto(v: Floats) -> Floats:
        return v - basis @ (basis.T @ v)

    operator = scipy.sparse.linalg.LinearOperator(
        A.shape,
        matvec=lambda v: A @ v - image @ (basis.T @ v),
        rmatvec=lambda u: onto(A.T @ u),
        dtype=np.float64,
    )
    return operator, onto
