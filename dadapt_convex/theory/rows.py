"""The checkpoints that a theorem speaks of: masks over the rows of a case, shared by several theorems."""

from __future__ import annotations

from typing import Any

import numpy as np

from dadapt_convex.theory.case import Case
from dadapt_convex.theory.rounded import rounded


def settled(c: Case) -> Any:
    """`n >= 2 nhat`, nhat the first k with `d_k >= d_{n+1}/2`."""
    # read off the checkpoints, nhat can only be larger and the condition stricter
    first = np.searchsorted(np.maximum.accumulate(c.d), c.d / 2, side="left")
    first = np.minimum(first, c.k.size - 1)  # a broken method's d may be negative
    nhat = np.where(c.hyper["d0"] >= c.d / 2, 0, c.k[first])
    return c.n >= 2 * nhat


def first_row(c: Case) -> Any:
    """`n = 0`."""
    return c.k == 1


def last_row(c: Case) -> Any:
    """the end of the run."""
    return c.k == c.run.k


def has_weight(c: Case) -> Any:
    """some `x_k` has a positive weight."""
    # a schedule may begin with zeros
    return c.weight_sum > 0


def best_is_not_x0(c: Case) -> Any:
    """the best iterate of the run is not `x_0`."""
    return np.broadcast_to(c.comparator_distance > 0, c.k.shape)


def s_not_zero(c: Case) -> Any:
    """`s_{n+1}` is not 0."""
    return c.s_norm > 0


def s_norm1_not_zero(c: Case) -> Any:
    """`s_{n+1}` is not 0."""
    return c.s_norm1 > 0


def after_the_row_before(c: Case) -> Any:
    """one step after the checkpoint before, or `n = 0`."""
    return np.diff(c.k, prepend=0.0) == 1


def before(column: Any, start: float) -> Any:
    """The column one row earlier, `start` at the first."""
    return np.concatenate([rounded([start]), column[:-1]])
