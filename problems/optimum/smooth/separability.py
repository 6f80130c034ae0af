"""Directions that put rows strictly on the right side of classes, and no row on a wrong one.

A pair is a row with the class y and another class c; its form is <a_i, W_y - W_c>. Of two classes one has weight 0, and
the form of row i is b_i <a_i, w>. Let S be the pairs whose form a direction makes positive, R the rest, on which it is
0. All pairs in S: completely separable; some: quasi-completely; none, for every direction: overlapping, and then the
loss has a minimiser. The largest S there is comes from a linear program [1], see positive_rows.

[1] K. Konis. Linear programming algorithms for detecting separated data in binary logistic regression models.
    Thesis, Oxford, 2007.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from problems.matrix import largest_along, rows_of_entries
from problems.optimum.arithmetic.extended import Floats, Mask
from problems.optimum.arithmetic.null_space import Forms, null_vector, positive
from problems.optimum.solvers import positive_rows

# How often the rows and columns of the linear program are scaled in turn.
SCALINGS = 3


class Separation(NamedTuple):
    """S as a mask, the direction w, and whether a direction near w is proved to be positive on S and 0 elsewhere."""

    S: Mask
    w: Floats
    proved: bool


def two_classes(A: Any, b: Floats) -> Forms:
    """The forms b_i <a_i, w> of all rows."""
    zero = np.full(b.size, -1)
    return Forms(A, np.arange(b.size), np.where(b > 0, 0, zero), np.where(b > 0, zero, 0), 1)


def separation(forms: Forms, S: Mask, w: Floats) -> Separation:
    """Move w so that it is exactly zero on the forms outside S (null_space.py), and prove it if possible."""
    try:
        moved = _moved(forms, S, w)
    except ArithmeticError:  # beyond extended precision
        moved = None
    return Separation(S, w if moved is None else moved, moved is not None)


def _moved(forms: Forms, S: Mask, w: Floats) -> Floats | None:
    if not S.any():
        return None
    if S.all():
        return w if positive(forms, w).all() else None
    v = null_vector(forms.at(~S), w)
    long = None if v is None else v.long()
    if long is None or not positive(forms.at(S), long).all():
        return None
    with np.errstate(under="ignore"):
        return np.asarray(long / np.abs(long).max(), dtype=np.float64)


def by_linear_program(forms: Forms, **options: Any) -> Separation | None:
    """The largest S, by HiGHS in rows and columns of one size; None where that fails, or S is empty."""
    M = forms.matrix()
    columns = np.zeros(M.shape[1], dtype=np.int64)
    for _ in range(SCALINGS):
        M.data = np.ldexp(M.data, -_exponents(M, 1)[rows_of_entries(M)])
        sizes = _exponents(M, 0)
        M.data = np.ldexp(M.data, -sizes[M.indices])
        columns += sizes
    # presolve costs more than it saves on one-hot data
    found = positive_rows(M, presolve=False, **options)
    if found is None or not found[0].any():
        return None
    return separation(forms, found[0], np.ldexp(found[1], -columns))


def _exponents(M: Any, axis: int) -> NDArray[np.int64]:
    """e of the largest entries of columns (axis 0) or rows (axis 1), in [2^e, 2^(e+1)); 0 where all are 0."""
    largest = largest_along(M, axis)
    return np.where(largest > 0, np.frexp(largest)[1] - 1, 0).astype(np.int64)
