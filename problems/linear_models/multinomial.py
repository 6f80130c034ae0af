"""Multinomial logistic loss: log sum_c exp(z_c) - z_y, for C margins z = W^T a and a class y in {0, ..., C - 1}.

x holds W, (p, C), row by row; params[2] is C. The derivative in z is p - e_y with p = softmax(z), so

    ||p - e_y||^2 = sum_{c != y} p_c^2 + (1 - p_y)^2 <= 2 (1 - p_y)^2 <= 2,    |(p - e_y)_c| <= 1,

which are slope and slope_inf below; both are approached where another class is far ahead of y.

Rows are taken BLOCK at a time and laid out as columns, so that every loop that counts has a length known to the
compiler and vectorises over rows, however few classes there are; the rows are still in cache for the subgradient.
CSR rows stay rows: each of their elements touches C neighbouring entries of x, and later of the subgradient.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dadapt_convex.oracle import exact_helper, helper, oracle, value
from problems.linear_models.elementary import LN2, exp_of_negative, log1p_and_reciprocal
from problems.linear_models.loss import Loss
from problems.linear_models.passes import regularised

BLOCK = 64


@exact_helper
def log1p_and_reciprocal_beyond_1(t: float) -> tuple[float, float]:
    """(log(1 + t), 1/(1 + t)) for t >= 0: 1 + t = 2^n (1 + e) with 0 <= e < 1, and e = t where n = 0."""
    n = (np.float64(1.0 + t).view(np.int64) >> 52) - 1023
    scale = np.int64((1023 - n) << 52).view(np.float64)  # 2^-n
    log1p, reciprocal = log1p_and_reciprocal(t if n == 0 else (1.0 + t) * scale - 1.0)
    return n * LN2 + log1p, reciprocal * scale


@exact_helper
def softmax(Z: Any, y: Any, scale: float, work: Any, losses: Any) -> None:
    """The loss of each column of margins Z, (C, BLOCK), to `losses`; `scale` times its derivative in their place.

    With z_t the largest margin and s = sum_{c != t} exp(z_c - z_t), the loss is log(1 + s) + (z_t - z_y): both terms
    are nonnegative, so that a tiny loss keeps its digits. So does the derivative: p_c = exp(z_c - z_t) / (1 + s), and
    p_y - 1 = -s / (1 + s) where y = t. Nothing overflows; a margin that is NaN makes the loss NaN. Must not be
    reassociated: log(1 + s) added to z_t before z_y is subtracted would be lost.

    y: (BLOCK,) int64, the classes; work: (4, BLOCK), overwritten.
    """
    C = Z.shape[0]
    top, at, s, q = work[0], work[1], work[2], work[3]
    for i in range(BLOCK):
        top[i], at[i], s[i] = Z[0, i], 0.0, 0.0
    for c in range(1, C):
        for i in range(BLOCK):
            larger = Z[c, i] > top[i]
            top[i] = Z[c, i] if larger else top[i]
            at[i] = c if larger else at[i]
    for i in range(BLOCK):
        losses[i] = top[i] - Z[y[i], i]
    for c in range(C):
        for i in range(BLOCK):
            below = top[i] - Z[c, i]
            e = exp_of_negative(below) if below >= 0.0 else below  # NaN stays NaN
            Z[c, i] = e
            s[i] += 0.0 if at[i] == c else e
    for i in range(BLOCK):
        log1p, reciprocal = log1p_and_reciprocal_beyond_1(s[i])
        losses[i] += log1p
        q[i] = scale * reciprocal
    for c in range(C):
        for i in range(BLOCK):
            Z[c, i] *= q[i]
    for i in range(BLOCK):
        Z[y[i], i] = -s[i] * q[i] if at[i] == y[i] else Z[y[i], i] - scale


@helper
def block_loss(Z: Any, b: Any, first: int, last: int, scale: float, work: Any) -> float:
    """Sum of the losses of rows first, ..., last - 1; softmax for the columns Z of their margins."""
    y, losses = np.zeros(BLOCK, np.int64), np.empty(BLOCK)
    for i in range(first, last):
        y[i - first] = np.int64(b[i])
    softmax(Z, y, scale, work, losses)
    total = 0.0
    for i in range(last - first):  # a loop of its own, see passes.py
        total += losses[i]
    return total


@helper
def to_columns(A: Any, first: int, last: int, columns: Any) -> None:
    """Rows first, ..., last - 1 of A become the first columns of a (p, BLOCK) matrix; zeros behind them."""
    i = first
    while i + 4 <= last:  # four at a time: half a cache line
        k = i - first
        for j in range(A.shape[1]):
            columns[j, k], columns[j, k + 1] = A[i, j], A[i + 1, j]
            columns[j, k + 2], columns[j, k + 3] = A[i + 2, j], A[i + 3, j]
        i += 4
    while i < last:
        for j in range(A.shape[1]):
            columns[j, i - first] = A[i, j]
        i += 1
    for k in range(last - first, BLOCK):
        for j in range(A.shape[1]):
            columns[j, k] = 0.0


@helper
def to_rows(columns: Any, first: int, last: int, A: Any) -> None:
    """The first columns become rows first, ..., last - 1 of A."""
    for i in range(first, last):
        for j in range(A.shape[1]):
            A[i, j] = columns[j, i - first]


@helper
def start(x: Any, g: Any, l2: float) -> None:
    """g <- l2 x, the subgradient before any row: what rows add is divided by m already."""
    for j in range(g.size):
        g[j] = l2 * x[j] if l2 > 0.0 else 0.0


@helper
def margins(columns: Any, W: Any, Z: Any) -> None:
    """Z <- W^T columns, four features at a time: Z is read and written a fourth as often."""
    p, C = W.shape
    for c in range(C):
        for i in range(BLOCK):
            Z[c, i] = 0.0
    j = 0
    while j + 4 <= p:
        for c in range(C):
            w0, w1, w2, w3 = W[j, c], W[j + 1, c], W[j + 2, c], W[j + 3, c]
            for i in range(BLOCK):
                a0, a1, a2, a3 = columns[j, i], columns[j + 1, i], columns[j + 2, i], columns[j + 3, i]
                Z[c, i] += (w0 * a0 + w1 * a1) + (w2 * a2 + w3 * a3)
        j += 4
    while j < p:
        for c in range(C):
            w = W[j, c]
            for i in range(BLOCK):
                Z[c, i] += w * columns[j, i]
        j += 1


@helper
def add_products(columns: Any, R: Any, G: Any) -> None:
    """G += columns R^T, in tiles of 2 features by 4 classes, which share what they read."""
    p, C = G.shape
    c = 0
    while c + 4 <= C:
        j = 0
        while j + 2 <= p:
            s0 = s1 = s2 = s3 = t0 = t1 = t2 = t3 = 0.0
            for i in range(BLOCK):
                a, b = columns[j, i], columns[j + 1, i]
                r0, r1, r2, r3 = R[c, i], R[c + 1, i], R[c + 2, i], R[c + 3, i]
                s0, s1, s2, s3 = s0 + a * r0, s1 + a * r1, s2 + a * r2, s3 + a * r3
                t0, t1, t2, t3 = t0 + b * r0, t1 + b * r1, t2 + b * r2, t3 + b * r3
            G[j, c], G[j, c + 1] = G[j, c] + s0, G[j, c + 1] + s1
            G[j, c + 2], G[j, c + 3] = G[j, c + 2] + s2, G[j, c + 3] + s3
            G[j + 1, c], G[j + 1, c + 1] = G[j + 1, c] + t0, G[j + 1, c + 1] + t1
            G[j + 1, c + 2], G[j + 1, c + 3] = G[j + 1, c + 2] + t2, G[j + 1, c + 3] + t3
            j += 2
        if j < p:
            for k in range(c, c + 4):
                G[j, k] += product(columns, R, j, k)
        c += 4
    while c < C:
        for j in range(p):
            G[j, c] += product(columns, R, j, c)
        c += 1


@helper
def product(columns: Any, R: Any, j: int, c: int) -> float:
    """<row j of columns, row c of R>."""
    s = 0.0
    for i in range(BLOCK):
        s += columns[j, i] * R[c, i]
    return s


@oracle
def dense(x: Any, g: Any, z: Any, data: Any) -> float:
    """Oracle for a dense matrix."""
    A, b, l2 = data.dense, data.b, data.params[0]
    (m, p), C = A.shape, int(data.params[2])
    W, G, margin_rows = x.reshape((p, C)), g.reshape((p, C)), z.reshape((m, C))
    columns, Z, work = np.empty((p, BLOCK)), np.empty((C, BLOCK)), np.empty((4, BLOCK))
    start(x, g, l2)
    total = 0.0
    for first in range(0, m, BLOCK):
        last = min(first + BLOCK, m)
        to_columns(A, first, last, columns)
        margins(columns, W, Z)
        to_rows(Z, first, last, margin_rows)
        total += block_loss(Z, b, first, last, 1.0 / m, work)
        add_products(columns, Z, G)
    return regularised(total / m, x, l2)


@helper
def csr_margins(values: Any, indices: Any, e: int, end: int, x: Any, zi: Any) -> None:
    """zi <- sum of values[e] times row indices[e] of W over the elements e of a row of A, four at a time."""
    C = zi.size
    for c in range(C):
        zi[c] = 0.0
    while e + 4 <= end:
        v0, v1, v2, v3 = values[e], values[e + 1], values[e + 2], values[e + 3]
        w0, w1 = x[indices[e] * C :], x[indices[e + 1] * C :]
        w2, w3 = x[indices[e + 2] * C :], x[indices[e + 3] * C :]
        for c in range(C):
            zi[c] += (v0 * w0[c] + v1 * w1[c]) + (v2 * w2[c] + v3 * w3[c])
        e += 4
    while e < end:
        v, w = values[e], x[indices[e] * C :]
        for c in range(C):
            zi[c] += v * w[c]
        e += 1


@oracle
def csr(x: Any, g: Any, z: Any, data: Any) -> float:
    """Oracle for a CSR matrix: all margins first, as rows of W and of the subgradient would share the cache."""
    values, indices, indptr, b, l2 = data.values, data.indices, data.indptr, data.b, data.params[0]
    m, C = b.size, int(data.params[2])
    margin_rows = z.reshape((m, C))
    for i in range(m):
        csr_margins(values, indices, np.int64(indptr[i]), np.int64(indptr[i + 1]), x, margin_rows[i])
    Z, work, R = np.empty((C, BLOCK)), np.empty((4, BLOCK)), np.empty((BLOCK, C))
    start(x, g, l2)
    total = 0.0
    for first in range(0, m, BLOCK):
        last = min(first + BLOCK, m)
        to_columns(margin_rows, first, last, Z)
        total += block_loss(Z, b, first, last, 1.0 / m, work)
        to_rows(Z, 0, last - first, R)
        for i in range(first, last):
            r = R[i - first]
            for e in range(indptr[i], indptr[i + 1]):
                v, h = values[e], g[indices[e] * C :]
                for c in range(C):
                    h[c] += v * r[c]
    return regularised(total / m, x, l2)


@value
def from_margins(z: Any, x: Any, data: Any) -> float:
    """f from z = (A W).ravel()."""
    b = data.b
    m, C = b.size, int(data.params[2])
    margin_rows = z.reshape((m, C))
    Z, work = np.empty((C, BLOCK)), np.empty((4, BLOCK))
    total = 0.0
    for first in range(0, m, BLOCK):
        last = min(first + BLOCK, m)
        to_columns(margin_rows, first, last, Z)
        total += block_loss(Z, b, first, last, 1.0, work)
    return regularised(total / m, x, data.params[0])


LOSS = Loss(
    name="multinomial_logistic",
    short="multinomial",
    task="multiclass",
    slope=lambda tau: math.sqrt(2.0),
    slope_inf=1.0,
    dense=dense,
    csr=csr,
    value=from_margins,
)
