"""Logistic loss: the rows that a direction sends to infinity, and the minimiser over the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from problems.optimum.arithmetic.columns import DENSE, Columns, spread
from problems.optimum.arithmetic.extended import Floats
from problems.optimum.newton import MAX_NEWTON
from problems.optimum.smooth.opposed import opposed_rows, orthogonal_part
from problems.optimum.smooth.reaching import reaching_columns
from problems.optimum.smooth.separability import Separation, by_linear_program, separation, two_classes
from problems.optimum.smooth.smooth import newton

# Newton steps by conjugate gradients, about a second each, before the search for a direction ends.
WIDE_STEPS = 60
# Newton's step moves rows that drift to infinity by about 1, and others hardly at all.
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
    forms, nothing = two_classes(A, b), Separation(np.zeros(m, dtype=bool), np.zeros(p), False)
    if p > DENSE:
        parts = _split_wide(A, b)
        if parts is not None:
            return parts
    A_J = A[:, columns.J]
    start = np.zeros(columns.J.size)
    wide = columns.J.size > DENSE
    for _ in range(1 if wide else 3):
        stop = newton(A_J, b, 0.0, start, WIDE_STEPS if wide else MAX_NEWTON)
        if stop.converged:
            return Split(nothing, np.arange(m), columns, spread(stop.x, columns.J, p), True)
        S, w = b * (A_J @ stop.x) > 0, stop.x
        if not S.all():
            S, w = b * (A_J @ stop.step) > DRIFTS, stop.step
        found = separation(forms, S, spread(w, columns.J, p))
        if found.proved:
            parts = rest(A, b, found)
            if parts.converged:
                return parts
        start = stop.x + stop.step
    # with many columns the linear program would take hours
    largest = None if wide else by_linear_program(forms)
    if largest is not None:
        return rest(A, b, largest)
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
    found = separation(two_classes(A, b), ~R, onto(stop.x))
    return rest(A, b, found) if found.proved else None


def rest(A: Any, b: Floats, found: Separation) -> Split:
    """The split with this S, and Newton's method on the rows outside."""
    R = np.flatnonzero(~found.S)
    A_R = A[R]
    columns = reaching_columns(A_R)
    if not R.size:
        return Split(found, R, columns, np.zeros(A.shape[1]), True)
    stop = newton(A_R[:, columns.J], b[R], 0.0, np.zeros(columns.J.size))
    return Split(found, R, columns, spread(stop.x, columns.J, A.shape[1]), stop.converged)
