"""Piecewise-linear losses with l2 > 0 on data too large for interior points: coordinate descent on the dual, as [1].

    minimise ||A^T u||^2 / (2c) + <b, u> over the box lo <= u <= hi,   c = m l2,   x = -A^T u / c:

one u_i at a time, u_i <- clip(u_i + c r_i / ||a_i||^2), r_i = <a_i, x> - b_i, with A^T u kept up to date. What comes
out is a starting point, and where it is not sharpened (descent.py) an honest, wider interval.

[1] C.-J. Hsieh, K.-W. Chang, C.-J. Lin, S. S. Keerthi, S. Sundararajan. A dual coordinate descent method for
    large-scale linear SVM. ICML 2008. https://doi.org/10.1145/1390156.1390208
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from dadapt_convex.oracle import FASTMATH, Kernel
from problems.matrix import parts, sums_of_squares
from problems.optimum.dual import box
from problems.optimum.piecewise_linear.linear_program import Pair
from problems.problem import LinearModel

# Entries of data read in all passes together, which takes some seconds.
BUDGET = 2e9
MAX_PASSES = 3000
# The last pass moves no u_i further than this; boxes have length 1 or 2.
STILL = 1e-7
# Every tenth pass is over all rows, the others over the rows inside their boxes.
FULL = 10


def _pass(
    values: Any, indices: Any, starts: Any, squares: Any, b: Any, lo: Any, hi: Any, order: Any, c: Any, u: Any, v: Any
) -> float:
    """One pass over the rows in this order: changes u and v = A^T u in place, returns the largest move of a u_i."""
    largest = 0.0
    p = v.size
    sparse = indices.size > 0
    for i in order:
        if squares[i] == 0.0:  # phi_i(0) has slope lo_i, hi_i or between, by the sign of -b_i
            u[i] = hi[i] if b[i] < 0.0 else lo[i]
            continue
        begin, end = (starts[i], starts[i + 1]) if sparse else (i * p, (i + 1) * p)
        product = 0.0
        if sparse:
            for k in range(begin, end):
                product += values[k] * v[indices[k]]
        else:
            for k in range(p):
                product += values[begin + k] * v[k]
        new = min(hi[i], max(lo[i], u[i] - (product + c[0] * b[i]) / squares[i]))
        move = new - u[i]
        if move != 0.0:
            u[i] = new
            if sparse:
                for k in range(begin, end):
                    v[indices[k]] += move * values[k]
            else:
                for k in range(p):
                    v[k] += move * values[begin + k]
        largest = max(largest, abs(move))
    return largest


@functools.cache
def _signature() -> Any:
    from numba import types as t

    def stored(dtype: Any) -> Any:
        return t.Array(dtype, 1, "C", readonly=True)

    floats, vector = stored(t.float64), t.Array(t.float64, 1, "C")
    return t.float64(
        floats,
        stored(t.int32),
        stored(t.int64),
        floats,
        floats,
        floats,
        floats,
        stored(t.int64),
        floats,
        vector,
        vector,
    )


run_pass = Kernel(_pass, _signature, FASTMATH)


def descent_pair(model: LinearModel) -> Pair:
    """(x, u) by passes over the rows in random order, seeded."""
    A: Any = model.A
    m, p = A.shape
    lo, hi = box(model)
    stored, *places = parts(A)
    values = np.ascontiguousarray(stored).reshape(-1)
    indices, starts = (np.asarray(at, dtype=t) for at, t in zip(places or ([], []), (np.int32, np.int64), strict=True))
    squares = sums_of_squares(A, axis=1)
    c = np.array([m * model.l2])
    u, v = np.zeros(m), np.zeros(p)
    rng = np.random.default_rng(0)
    left = max(10.0, min(MAX_PASSES, BUDGET / max(values.size, 1)))
    at, passes = np.arange(m), 0
    while left > 0:
        whole = passes % FULL == 0
        order = rng.permutation(np.arange(m) if whole else at).astype(np.int64)
        largest = run_pass(values, indices, starts, squares, model.b, lo, hi, order, c, u, v)
        if whole:
            if largest <= STILL:
                break
            # most rows soon settle at an end of their box
            at = np.flatnonzero((lo < u) & (u < hi))
        left -= order.size / m
        passes += 1
    return -(A.T @ u) / c[0], u
