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

from problems.optimum.arithmetic.extended import EPS64, Floats, margins, scaled_rows
from problems.optimum.arithmetic.null_space import null_vector, positive, row_forms
from problems.optimum.solvers import positive_rows

Mask = NDArray[np.bool_]


class Separation(NamedTuple):
    """S as a mask, the direction w, and whether b_i <a_i, w'> > 0 on S, = 0 elsewhere, is proved for a w' near w."""

    S: Mask
    w: Floats
    proved: bool


def separation(A: Any, b: Floats) -> Separation:
    """Find the largest S by linear programming (HiGHS), and prove what can be proved of it."""
    m, p = A.shape
    # presolve costs more than it saves on one-hot data
    found = positive_rows(scaled_rows(A, b), presolve=False)
    if found is None or not found[0].any():
        return Separation(np.zeros(m, dtype=bool), np.zeros(p), False)
    return proved_separation(A, b, *found)


def proved_separation(A: Any, b: Floats, S: Mask, w: Floats) -> Separation:
    """Move w so that it is exactly zero on the rows outside S (null_space.py), and prove it if possible."""
    if not S.any():
        return Separation(S, w, False)
    R = ~S
    if not R.any():
        return Separation(S, w, _strict(A, b, w))
    v = null_vector(row_forms(A[np.flatnonzero(R)]), w)
    at_S = np.flatnonzero(S)
    try:
        if v is None or not positive(row_forms(scaled_rows(A[at_S], b[at_S])), v).all():
            return Separation(S, w, False)
        long = v.long()
    except OverflowError:  # beyond extended precision
        return Separation(S, w, False)
    with np.errstate(under="ignore"):
        return Separation(S, np.asarray(long / np.abs(long).max(), dtype=np.float64), True)


def _strict(A: Any, b: Floats, w: Floats) -> bool:
    """Whether b_i <a_i, w> > 0 for all rows."""
    z = margins(A, w)
    return bool(np.all((b * z.value).astype(np.float64) * (1 - EPS64) > z.error))
