"""One pass over the data: margins, loss and subgradient; dense and CSR, for any loss of a margin.

A loss is a compiled function (z, b, params) -> (value, derivative in z) without branches. Each loss file binds it to
these passes. params[0] is l2. Rows are taken BLOCK at a time: their margins, then the loss in one loop that
vectorises, then their share of the subgradient while the rows are still in cache.

A loop that both stores and sums must not be: the compiler guards it by a test of whether the arrays overlap, with
margins, so that the order of summation, and with it the last bit of f, would depend on where the heap put them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dadapt_convex.oracle import helper
from dadapt_convex.vector import dot

BLOCK = 32


@helper
def dense_pass(x: Any, g: Any, z: Any, data: Any, loss: Any) -> float:
    """f(x) and a subgradient in g, for a dense matrix."""
    A, b, params = data.dense, data.b, data.params
    m, p = A.shape
    for j in range(p):
        g[j] = 0.0
    losses, slopes = np.empty(BLOCK), np.empty(BLOCK)
    total = 0.0
    for first in range(0, m, BLOCK):
        last = min(first + BLOCK, m)
        for i in range(first, last):
            margin = 0.0
            for j in range(p):
                margin += A[i, j] * x[j]
            z[i] = margin
        for i in range(first, last):
            losses[i - first], slopes[i - first] = loss(z[i], b[i], params)
        for i in range(last - first):  # a loop of its own: see above
            total += losses[i]
        i = first
        while i + 4 <= last:  # four rows at a time: g is read and written a fourth as often
            u0, u1, u2, u3 = slopes[i - first], slopes[i - first + 1], slopes[i - first + 2], slopes[i - first + 3]
            for j in range(p):
                g[j] += (u0 * A[i, j] + u1 * A[i + 1, j]) + (u2 * A[i + 2, j] + u3 * A[i + 3, j])
            i += 4
        while i < last:
            for j in range(p):
                g[j] += slopes[i - first] * A[i, j]
            i += 1
    return finish(total / m, 1.0 / m, x, g, params[0])


@helper
def csr_pass(x: Any, g: Any, z: Any, data: Any, loss: Any) -> float:
    """f(x) and a subgradient in g, for a CSR matrix."""
    values, indices, indptr, b, params = data.values, data.indices, data.indptr, data.b, data.params
    m = b.size
    for j in range(g.size):
        g[j] = 0.0
    losses, slopes = np.empty(BLOCK), np.empty(BLOCK)
    total = 0.0
    for first in range(0, m, BLOCK):
        last = min(first + BLOCK, m)
        for i in range(first, last):
            margin = 0.0
            for e in range(indptr[i], indptr[i + 1]):
                margin += values[e] * x[indices[e]]
            z[i] = margin
        for i in range(first, last):
            losses[i - first], slopes[i - first] = loss(z[i], b[i], params)
        for i in range(last - first):  # a loop of its own: see above
            total += losses[i]
        for i in range(first, last):
            slope = slopes[i - first]
            if slope != 0.0:
                for e in range(indptr[i], indptr[i + 1]):
                    g[indices[e]] += slope * values[e]
    return finish(total / m, 1.0 / m, x, g, params[0])


@helper
def finish(f: float, scale: float, x: Any, g: Any, l2: float) -> float:
    """Scale the summed subgradient to that of the mean, and add l2/2 ||x||^2."""
    if l2 == 0.0:
        for j in range(g.size):
            g[j] *= scale
    else:
        for j in range(g.size):
            g[j] = scale * g[j] + l2 * x[j]
    return regularised(f, x, l2)


@helper
def regularised(f: float, x: Any, l2: float) -> float:
    """f + l2/2 ||x||^2; f alone for l2 = 0, where ||x||^2 may overflow and 0 times infinity is NaN."""
    return f if l2 == 0.0 else f + 0.5 * l2 * dot(x, x)


@helper
def value_pass(z: Any, x: Any, data: Any, loss: Any) -> float:
    """f from the margins z = A x."""
    b, params = data.b, data.params
    total = 0.0
    for i in range(z.size):
        value, _ = loss(z[i], b[i], params)
        total += value
    return regularised(total / z.size, x, params[0])
