"""Which rows can be put strictly on the right side by one direction w, no row being put on the wrong side.

Let S be the rows with b_i <a_i, w> > 0, R the rest, all with b_i <a_i, w> >= 0. All rows in S: completely
separable; some: quasi-completely; none, for every w: overlapping, and then the logistic loss has a minimiser.
The largest S there is comes from the linear program [1]

    maximise sum t,   0 <= t <= 1,   t_i <= b_i <a_i, w>,   w free

(directions add, and may be scaled, so at the optimum t is 0 or 1).

[1] K. Konis. Linear programming algorithms for detecting separated data in binary logistic regression models.
    Thesis, Oxford, 2007.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from problems.optimum.columns import Columns, independent_columns
from problems.optimum.extended import EPS64, OUTWARD, Floats, least_squares, margins, row_norms
from problems.optimum.linear_program import highs, scaled_rows
from problems.optimum.metric import metric

Mask = NDArray[np.bool_]
SCALE = 2.0**24  # a direction in a null space of integers is rounded to integers of this size


class Separation(NamedTuple):
    """S as a mask, the direction w, and whether b_i <a_i, w'> > 0 on S, = 0 elsewhere, is proved for a w' near w."""

    S: Mask
    w: Floats
    proved: bool


def separation(A: Any, b: Floats) -> Separation:
    """Find the largest S by linear programming (HiGHS), and prove what can be proved of it."""
    import scipy.sparse

    m, p = A.shape
    constraint = scipy.sparse.hstack([scaled_rows(A, -b), scipy.sparse.eye_array(m)], format="csr")
    cost = np.concatenate([np.zeros(p), -np.ones(m)])
    bounds = np.concatenate([np.tile([-np.inf, np.inf], (p, 1)), np.tile([0.0, 1.0], (m, 1))])
    # presolve costs more than it saves on one-hot data
    result = highs(cost, A_ub=constraint, b_ub=np.zeros(m), bounds=bounds, options={"presolve": False})
    if result.x is None:
        return Separation(np.zeros(m, dtype=bool), np.zeros(p), False)
    S, w = result.x[p:] > 0.5, result.x[:p]
    if not S.any():
        return Separation(S, np.zeros(p), False)
    return proved_separation(A, b, S, w)


def proved_separation(A: Any, b: Floats, S: Mask, w: Floats) -> Separation:
    """Move w so that it is zero on the rows outside S, and prove it if possible.

    With integers N whose columns span a part of null(A_R) exactly, and integers c, w = N c is exact where
    |N| |c| < 2^52: a float64 sum of nonnegative integers that is so small has met no rounding, and no partial sum
    of N c is larger.
    Otherwise, if A_R has full row rank, the exact w' = w - A_R^+ A_R w exists and differs from w by at most
    ||A_R w|| / sigma_min(A_R).
    """
    R = ~S
    A_S = A[np.flatnonzero(S)]
    if not R.any():
        return Separation(S, w, _strict(A, b, w, 0.0))
    A_R = A[np.flatnonzero(R)]
    columns = independent_columns(A_R)
    if columns.N.shape[1]:
        c = least_squares(columns.N, w)
        c = np.rint(c / max(np.abs(c).max(), 1e-300) * SCALE)
        exact = columns.N @ c
        if (np.abs(columns.N) @ np.abs(c)).max() < 2.0**52 and _strict(A_S, b[S], exact, 0.0):
            return Separation(S, exact, True)
    if A_R.shape[0] <= columns.J.size:
        moved = _onto_null_space(A_R, columns, w)
        if moved is not None and _strict(A_S, b[S], moved[0], moved[1]):
            return Separation(S, moved[0], True)
    return Separation(S, w, False)


def _onto_null_space(A_R: Any, columns: Columns, w: Floats) -> tuple[Floats, float] | None:
    """(w, reach): an exact null vector of A_R lies within reach of w; None unless A_R has full row rank."""
    dense = np.asarray(A_R.toarray() if hasattr(A_R, "toarray") else A_R)
    w = w - least_squares(dense, dense @ w)
    chart = metric(dense.T, np.ones(dense.shape[1]))
    if chart is None:
        return None
    residual = margins(A_R, w)
    # with B = A_R^T T, A_R d = -A_R w has the solution d = -B (B^T B)^-1 T^T A_R w, which is no longer than
    # ||T^T A_R w|| / sqrt(eigenvalue)
    size = float(np.linalg.norm(np.abs(chart.T).T @ (np.abs(residual.value).astype(np.float64) + residual.error)))
    return w, size / np.sqrt(chart.eigenvalue) * OUTWARD


def _strict(A: Any, b: Floats, w: Floats, reach: float) -> bool:
    """Whether b_i <a_i, w'> > 0 for all rows and every w' within reach of w."""
    z = margins(A, w)
    return bool(np.all((b * z.value).astype(np.float64) * (1 - EPS64) > z.error + row_norms(A) * reach * OUTWARD))
