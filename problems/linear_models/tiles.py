"""Products of 16 rows of a matrix with W, (p, C), and back; in registers, see dadapt_convex.lanes.

The rows are laid out as columns, (p, 16): every loop over them is then two vectors long, however few classes there are.
A buffer of this layout is flat; entry (j, i) stands at 16 j + i, and j is rounded up to a multiple of 8.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dadapt_convex.lanes import LANES, load, load_first, splat, store, store_first, transposed
from dadapt_convex.oracle import helper

ROWS = 16
HALF = LANES


@helper
def row_of(order: Any, i: int) -> Any:
    """The i-th row of the order; an empty order is that of the data."""
    return np.int64(order[i] if order.size > 0 else i)


@helper
def rounded_up(n: int) -> int:
    """The next multiple of LANES."""
    return (n + LANES - 1) // LANES * LANES


@helper
def load_some(a: Any, at: int, n: int) -> Any:
    """Load the first n of eight numbers, then zeros; faster than load_first where n is LANES or more."""
    if n >= LANES:
        return load(a, at)
    return load_first(a, at, n)


@helper
def store_some(a: Any, at: int, n: int, u: Any) -> None:
    """Store the first n of eight numbers; faster than store_first where n is LANES or more."""
    if n >= LANES:
        store(a, at, u)
    else:
        store_first(a, at, n, u)


@helper
def to_columns(A: Any, p: int, order: Any, first: int, last: int, columns: Any, at: int) -> None:
    """Copy rows first, ..., last - 1 of the order, at most 16 of p entries, to the columns of the buffer at `at`.

    The last of them fills the columns that are left: numbers as finite as the data.
    """
    for h in range(0, ROWS, HALF):
        i = first + h
        r0 = row_of(order, min(i, last - 1)) * p
        r1 = row_of(order, min(i + 1, last - 1)) * p
        r2 = row_of(order, min(i + 2, last - 1)) * p
        r3 = row_of(order, min(i + 3, last - 1)) * p
        r4 = row_of(order, min(i + 4, last - 1)) * p
        r5 = row_of(order, min(i + 5, last - 1)) * p
        r6 = row_of(order, min(i + 6, last - 1)) * p
        r7 = row_of(order, min(i + 7, last - 1)) * p
        for j in range(0, p, LANES):
            n = p - j
            u = transposed(
                load_some(A, r0 + j, n), load_some(A, r1 + j, n), load_some(A, r2 + j, n), load_some(A, r3 + j, n),
                load_some(A, r4 + j, n), load_some(A, r5 + j, n), load_some(A, r6 + j, n), load_some(A, r7 + j, n),
            )  # fmt: skip
            for k in range(LANES):
                store(columns, at + ROWS * (j + k) + h, u[k])


@helper
def eight_rows(columns: Any, at: int) -> Any:
    """Eight vectors: entries j, ..., j + 7 of the columns i, ..., i + 7 of a buffer, where `at` is 16 j + i."""
    return transposed(
        load(columns, at), load(columns, at + ROWS), load(columns, at + 2 * ROWS), load(columns, at + 3 * ROWS),
        load(columns, at + 4 * ROWS), load(columns, at + 5 * ROWS), load(columns, at + 6 * ROWS),
        load(columns, at + 7 * ROWS),
    )  # fmt: skip


@helper
def to_rows(columns: Any, at: int, C: int, rows: int, A: Any, first: int) -> None:
    """Copy the first `rows` columns of a buffer to rows first, ... of A, (m, C)."""
    for h in range(0, rows, HALF):
        for c in range(0, C, LANES):
            u = eight_rows(columns, at + ROWS * c + h)
            for i in range(min(rows - h, HALF)):
                store_some(A, (first + h + i) * C + c, C - c, u[i])


@helper
def margins(columns: Any, at: int, p: int, W: Any, C: int, Z: Any, to: int) -> None:
    """Z <- W^T columns: four classes by 16 rows at a time, then two, then one."""
    c = 0
    while c + 4 <= C:
        s0 = s1 = s2 = s3 = t0 = t1 = t2 = t3 = splat(0.0)
        for j in range(p):
            a, b, w = load(columns, at + ROWS * j), load(columns, at + ROWS * j + HALF), j * C + c
            w0, w1, w2, w3 = W[w], W[w + 1], W[w + 2], W[w + 3]
            s0, s1, s2, s3 = s0 + a * w0, s1 + a * w1, s2 + a * w2, s3 + a * w3
            t0, t1, t2, t3 = t0 + b * w0, t1 + b * w1, t2 + b * w2, t3 + b * w3
        store(Z, to + ROWS * c, s0)
        store(Z, to + ROWS * c + HALF, t0)
        store(Z, to + ROWS * (c + 1), s1)
        store(Z, to + ROWS * (c + 1) + HALF, t1)
        store(Z, to + ROWS * (c + 2), s2)
        store(Z, to + ROWS * (c + 2) + HALF, t2)
        store(Z, to + ROWS * (c + 3), s3)
        store(Z, to + ROWS * (c + 3) + HALF, t3)
        c += 4
    while c < C:
        d = min(c + 1, C - 1)  # the last class by itself counts twice
        s0 = s1 = t0 = t1 = splat(0.0)
        for j in range(p):
            a, b = load(columns, at + ROWS * j), load(columns, at + ROWS * j + HALF)
            w0, w1 = W[j * C + c], W[j * C + d]
            s0, s1, t0, t1 = s0 + a * w0, s1 + a * w1, t0 + b * w0, t1 + b * w1
        store(Z, to + ROWS * c, s0)
        store(Z, to + ROWS * c + HALF, t0)
        store(Z, to + ROWS * d, s1)
        store(Z, to + ROWS * d + HALF, t1)
        c += 2


@helper
def add_products(columns: Any, at: int, p: int, R: Any, start: int, C: int, G: Any, fresh: bool) -> None:
    """G += columns R^T, or G <- columns R^T where fresh: eight classes of R, of all 16 rows, stay in registers."""
    for c in range(0, C, LANES):
        n = C - c
        r0, r1, r2, r3, r4, r5, r6, r7 = eight_rows(R, start + ROWS * c)
        q0, q1, q2, q3, q4, q5, q6, q7 = eight_rows(R, start + ROWS * c + HALF)
        for j in range(p):
            a, to = at + ROWS * j, j * C + c
            s = splat(0.0) if fresh else load_some(G, to, n)
            s = s + columns[a] * r0 + columns[a + 2] * r2
            s = s + columns[a + 4] * r4 + columns[a + 6] * r6
            s = s + columns[a + 8] * q0 + columns[a + 10] * q2
            s = s + columns[a + 12] * q4 + columns[a + 14] * q6
            t = columns[a + 1] * r1 + columns[a + 3] * r3
            t = t + columns[a + 5] * r5 + columns[a + 7] * r7
            t = t + columns[a + 9] * q1 + columns[a + 11] * q3
            t = t + columns[a + 13] * q5 + columns[a + 15] * q7
            store_some(G, to, n, s + t)
