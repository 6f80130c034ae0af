"""Columns that reach every A x, as few as can be shown."""

from __future__ import annotations

from typing import Any

import numpy as np

from problems.optimum.arithmetic.columns import DENSE, Columns, independent_columns
from problems.optimum.arithmetic.null_space import row_forms, spanning_columns
from problems.optimum.smooth.opposed import distinct, first_rows


def reaching_columns(A: Any) -> Columns:
    """Columns J such that every A x is A x' with x' zero elsewhere, as few as can be shown.

    Beyond DENSE columns: if there are few distinct rows, as many columns as these; that they are independent, and so
    reach everything, is proved where they are used.
    """
    columns = independent_columns(A)
    nothing = np.zeros((A.shape[1], 0))
    if A.shape[1] > DENSE:
        J = _pivots(A)
        return columns if J is None else Columns(J, nothing, J)
    if columns.J.size > columns.pivots.size:
        J = spanning_columns(row_forms(A))
        if J is not None and J.size < columns.J.size:
            return Columns(np.sort(J), nothing, J)
    return columns


def _pivots(A: Any) -> Any:
    import scipy.linalg

    rows = first_rows(A)
    if not 0 < rows.size <= DENSE // 4:
        return None
    values, used = distinct(A[rows])
    _, order = scipy.linalg.qr(values, mode="r", pivoting=True)
    return np.sort(used[order[: rows.size]])
