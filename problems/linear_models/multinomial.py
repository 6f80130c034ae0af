"""Multinomial logistic loss: log sum_c exp(z_c) - z_y, for C margins z = W^T a and a class y in {0, ..., C - 1}.

x holds W, (p, C), row by row; params[1] is C. The derivative in z is p - e_y with p = softmax(z), so

    ||p - e_y||^2 = sum_{c != y} p_c^2 + (1 - p_y)^2 <= 2 (1 - p_y)^2 <= 2,    |(p - e_y)_c| <= 1,

which are the slopes below; both are approached where another class is far ahead of y.

Rows are taken 16 at a time and laid out as columns, see tiles.py: loops over rows are then two vectors long, however
few classes there are, and sums are added in one order. CSR rows stay rows: each of their elements touches C
neighbouring entries of x, and later of the subgradient.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dadapt_convex.lanes import LANES, exponent, load, power_of_2, splat, store, where_equal, where_greater
from dadapt_convex.oracle import batch, exact_helper, helper, oracle, value
from problems.linear_models.elementary import LN2, exp_of_negative_lanes, log1p_and_reciprocal_lanes
from problems.linear_models.loss import Kernels, Loss
from problems.linear_models.passes import regularised
from problems.linear_models.tiles import (
    HALF,
    ROWS,
    add_products,
    load_some,
    margins,
    rounded_up,
    row_of,
    store_some,
    to_columns,
    to_rows,
)

# With more classes than this, what a CSR row adds up does not stay in registers.
MANY = 4 * LANES
# Where things stand in `work`: the number of rows whose class has the largest margin; of each row of a block its loss,
# its class, the class of the largest margin, and what its derivative is scaled by; the margins (C, 16), which become
# derivatives; and what else a pass needs.
CORRECT, LOSSES, LABELS, TOP, SCALES, MARGINS = 0, *range(LANES, LANES + 5 * ROWS, ROWS)


@exact_helper
def log1p_and_reciprocal_beyond_1(t: Any) -> tuple[Any, Any]:
    """(log(1 + t), 1/(1 + t)) for eight t >= 0: 1 + t = 2^n (1 + e) with 0 <= e < 1, and e = t where n = 0."""
    n = exponent(1.0 + t)
    scale = power_of_2(0.0 - n)
    log1p, reciprocal = log1p_and_reciprocal_lanes(where_equal(n, 0.0, t, (1.0 + t) * scale - 1.0))
    return n * LN2 + log1p, reciprocal * scale


@exact_helper
def softmax(work: Any, C: int, b: Any, order: Any, first: int, last: int, scale: float) -> None:
    """Losses of rows first, ..., last - 1 of the order; margins are replaced by `scale` times the derivatives.

    Without derivatives where scale is 0.

    With z_t the largest margin and s = sum_{c != t} exp(z_c - z_t), the loss is log(1 + s) + (z_t - z_y): both terms
    are nonnegative, so that a tiny loss keeps its digits. So does the derivative: p_c = exp(z_c - z_t) / (1 + s), and
    p_y - 1 = -s / (1 + s) where y = t. Nothing overflows; a margin that is NaN makes the loss NaN. Must not be
    reassociated: log(1 + s) added to z_t before z_y is subtracted would be lost.

    Columns beyond the last row get the derivative 0.
    """
    for i in range(last - first, ROWS):
        work[SCALES + i] = 0.0
    for i in range(last - first):
        y = np.int64(b[row_of(order, first + i)])
        work[SCALES + i] = scale
        work[LABELS + i] = b[row_of(order, first + i)]
        work[LOSSES + i] = work[MARGINS + ROWS * y + i]
    for h in range(0, ROWS, HALF):
        softmax_of_eight(work, C, h, scale > 0.0)
    for i in range(last - first):
        work[CORRECT] += 1.0 if work[TOP + i] == work[LABELS + i] else 0.0


@exact_helper
def softmax_of_eight(work: Any, C: int, h: int, derivatives: bool) -> None:
    """Softmax of eight columns of margins; `work` holds their scales, and z_y where their losses go."""
    z, y = MARGINS + h, load(work, LABELS + h)
    largest, top = load(work, z), splat(0.0)
    for c in range(1, C):
        zc = load(work, z + ROWS * c)
        top = where_greater(zc, largest, c, top)
        largest = where_greater(zc, largest, zc, largest)
    s = splat(0.0)
    for c in range(C):
        e = exp_of_negative_lanes(largest - load(work, z + ROWS * c))
        store(work, z + ROWS * c, e)
        s = s + where_equal(top, c, 0.0, e)
    log1p, reciprocal = log1p_and_reciprocal_beyond_1(s)
    scale = load(work, SCALES + h)
    q = scale * reciprocal
    for c in range(C if derivatives else 0):
        e = load(work, z + ROWS * c)
        of_class = where_equal(top, c, 0.0 - s * q, e * q - scale)
        store(work, z + ROWS * c, where_equal(y, c, of_class, e * q))
    store(work, TOP + h, top)
    store(work, LOSSES + h, (largest - load(work, LOSSES + h)) + log1p)


@helper
def block_loss(work: Any, C: int, b: Any, order: Any, first: int, last: int, scale: float) -> float:
    """Apply softmax to a block of rows; returns the sum of their losses."""
    softmax(work, C, b, order, first, last, scale)
    total = 0.0
    for i in range(last - first):  # a loop of its own, see passes.py
        total += work[LOSSES + i]
    return total


@helper
def start(x: Any, g: Any, l2: float) -> None:
    """Set g to l2 x, the penalty's part; rows add their parts already divided by their number."""
    for j in range(g.size):
        g[j] = l2 * x[j] if l2 > 0.0 else 0.0


@helper
def dense_pass(x: Any, g: Any, z: Any, data: Any, order: Any, begin: int, end: int, work: Any) -> float:
    """The mean over rows begin, ..., end - 1 of the order; its subgradient to g and the margins to z, unless empty."""
    A, b, l2, C = data.dense, data.b, data.params[0], int(data.params[1])
    p, columns, scale = A.shape[1], MARGINS + ROWS * rounded_up(C), 1.0 / (end - begin)
    if g.size > 0 and l2 > 0.0:
        start(x, g, l2)
    work[CORRECT] = total = 0.0
    for first in range(begin, end, ROWS):
        last = min(first + ROWS, end)
        to_columns(A, p, order, first, last, work, columns)
        margins(work, columns, p, x, C, work, MARGINS)
        if z.size > 0:
            to_rows(work, MARGINS, C, last - first, z, first - begin)
        total += block_loss(work, C, b, order, first, last, scale if g.size > 0 else 0.0)
        if g.size > 0:
            add_products(work, columns, p, work, MARGINS, C, g, first == begin and not l2 > 0.0)
    return regularised(total * scale, x, l2)


@helper
def csr_margins(values: Any, indices: Any, e: int, end: int, x: Any, C: int, z: Any, at: int) -> None:
    """z[at : at + C] <- sum of values[e] times row indices[e] of W over the elements e of a row of A."""
    if C > MANY:
        csr_margins_of_many(values, indices, e, end, x, C, z, at)
        return
    for c in range(0, C, LANES):
        s0 = s1 = s2 = s3 = splat(0.0)
        k, n = e, C - c
        while k + 4 <= end:
            s0 = s0 + values[k] * load_some(x, indices[k] * C + c, n)
            s1 = s1 + values[k + 1] * load_some(x, indices[k + 1] * C + c, n)
            s2 = s2 + values[k + 2] * load_some(x, indices[k + 2] * C + c, n)
            s3 = s3 + values[k + 3] * load_some(x, indices[k + 3] * C + c, n)
            k += 4
        while k < end:
            s0 = s0 + values[k] * load_some(x, indices[k] * C + c, n)
            k += 1
        store_some(z, at + c, n, (s0 + s1) + (s2 + s3))


@helper
def csr_margins_of_many(values: Any, indices: Any, k: int, end: int, x: Any, C: int, z: Any, at: int) -> None:
    """csr_margins for many classes: row by row of W as the memory holds them, four at a time."""
    for c in range(C):
        z[at + c] = 0.0
    while k + 4 <= end:
        v0, v1, v2, v3 = values[k], values[k + 1], values[k + 2], values[k + 3]
        w0, w1, w2, w3 = indices[k] * C, indices[k + 1] * C, indices[k + 2] * C, indices[k + 3] * C
        for c in range(0, C, LANES):
            n = C - c
            s = load_some(z, at + c, n) + (v0 * load_some(x, w0 + c, n) + v1 * load_some(x, w1 + c, n))
            store_some(z, at + c, n, s + (v2 * load_some(x, w2 + c, n) + v3 * load_some(x, w3 + c, n)))
        k += 4
    while k < end:
        v, w = values[k], indices[k] * C
        for c in range(0, C, LANES):
            store_some(z, at + c, C - c, load_some(z, at + c, C - c) + v * load_some(x, w + c, C - c))
        k += 1


@helper
def csr_products(values: Any, indices: Any, e: int, end: int, R: Any, at: int, C: int, g: Any) -> None:
    """Row indices[e] of the subgradient += values[e] times R[at : at + C], over the elements e of a row of A."""
    for k in range(e, end):
        v, to, c = values[k], indices[k] * C, 0
        while c + LANES <= C:
            store(g, to + c, load(g, to + c) + v * load(R, at + c))
            c += LANES
        while c < C:
            g[to + c] += v * R[at + c]
            c += 1


@helper
def csr_pass(x: Any, g: Any, z: Any, data: Any, order: Any, begin: int, end: int, work: Any) -> float:
    """dense_pass for CSR rows; all margins come first, so that W and the subgradient do not compete for the cache."""
    values, indices, indptr, b = data.values, data.indices, data.indptr, data.b
    l2, C, scale = data.params[0], int(data.params[1]), 1.0 / (end - begin)
    for i in range(begin, end):
        row = row_of(order, i)
        csr_margins(values, indices, np.int64(indptr[row]), np.int64(indptr[row + 1]), x, C, z, (i - begin) * C)
    if g.size > 0:
        start(x, g, l2)
    work[CORRECT] = total = 0.0
    slopes = MARGINS + ROWS * rounded_up(C)
    R = work[slopes : slopes + ROWS * C]
    for first in range(begin, end, ROWS):
        last = min(first + ROWS, end)
        to_columns(z, C, order[:0], first - begin, last - begin, work, MARGINS)
        total += block_loss(work, C, b, order, first, last, scale if g.size > 0 else 0.0)
        if g.size > 0:
            to_rows(work, MARGINS, C, last - first, R, 0)
            for i in range(first, last):
                e, to = np.int64(indptr[row_of(order, i)]), np.int64(indptr[row_of(order, i) + 1])
                csr_products(values, indices, e, to, R, (i - first) * C, C, g)
    return regularised(total * scale, x, l2)


@helper
def scratch(p: int, C: int) -> int:
    """The length of `work`: room for dense rows as columns, or for the derivatives of 16 CSR rows."""
    return MARGINS + ROWS * (rounded_up(C) + max(rounded_up(p), C))


@oracle
def dense(x: Any, g: Any, z: Any, data: Any) -> float:
    """Oracle for a dense matrix."""
    work = np.empty(scratch(data.dense.shape[1], int(data.params[1])))
    return dense_pass(x, g, z, data, np.empty(0, np.int64), 0, data.b.size, work)


@oracle
def csr(x: Any, g: Any, z: Any, data: Any) -> float:
    """Oracle for a CSR matrix."""
    work = np.empty(scratch(0, int(data.params[1])))
    return csr_pass(x, g, z, data, np.empty(0, np.int64), 0, data.b.size, work)


@batch
def rows(x: Any, g: Any, data: Any, order: Any, begin: int, end: int, work: Any) -> float:
    """Oracle for some rows."""
    if data.dense.size > 0:
        return dense_pass(x, g, work[:0], data, order, begin, end, work)
    C = int(data.params[1])
    z = scratch(0, C)
    return csr_pass(x, g, work[z : z + (end - begin) * C], data, order, begin, end, work)


def rows_work(rows: int, p: int, C: int) -> int:
    """The length of `work` for a batch of so many rows."""
    return max(scratch(p, C), scratch(0, C) + rows * C)


@value
def from_margins(z: Any, x: Any, data: Any) -> float:
    """f from z = (A W).ravel()."""
    b, C = data.b, int(data.params[1])
    m, work, order = b.size, np.empty(scratch(0, C)), np.empty(0, np.int64)
    work[CORRECT] = total = 0.0
    for first in range(0, m, ROWS):
        last = min(first + ROWS, m)
        to_columns(z, C, order, first, last, work, MARGINS)
        total += block_loss(work, C, b, order, first, last, 0.0)
    return regularised(total / m, x, data.params[0])


def smooth(model: Any) -> Any:
    """The loss in extended precision, for certificates."""
    from problems.optimum.smooth.multinomial_law import MultinomialLaw

    return MultinomialLaw(model)


KERNELS = Kernels(dense, csr, from_margins, rows, rows_work)
LOSS = Loss(
    name="multinomial_logistic",
    short="multinomial",
    task="multiclass",
    title="Multinomial logistic regression: the mean cross-entropy of a linear model with C classes.",
    formula="(log sum_c exp(<a_i, w_c>) - <a_i, w_(y_i)>)",
    example="""
    >>> p = problems.multinomial_logistic([[0.0], [1.0], [2.0], [3.0]], [7, 8, 9, 8])
    >>> p.m, p.p, round(p.value(p.x0), 4)
    (4, 6, 1.0986)
    >>> p.facts["labels"]
    {7.0: 0, 8.0: 1, 9.0: 2}
    """,
    kernels=KERNELS,
    smooth=smooth,
    slopes=(math.sqrt(2.0), 1.0),
)
