"""One pass over the data: margins, loss and subgradient; dense and CSR, for any loss of a margin.

A loss is a compiled function (z, b, params) -> (value, derivative in z). Each loss file binds it to these
passes. params[0] is l2.
"""

from __future__ import annotations

from typing import Any

from dadapt_convex.oracle import helper
from dadapt_convex.vector import dot


@helper
def dense_pass(x: Any, g: Any, z: Any, data: Any, loss: Any) -> float:
    """f(x) and a subgradient in g, fused over the rows of a dense matrix: a row is in cache when it is used again."""
    A, b, params = data.dense, data.b, data.params
    m, p = A.shape
    for j in range(p):
        g[j] = 0.0
    total = 0.0
    for i in range(m):
        margin = 0.0
        for j in range(p):
            margin += A[i, j] * x[j]
        z[i] = margin
        value, slope = loss(margin, b[i], params)
        total += value
        for j in range(p):
            g[j] += slope * A[i, j]
    return finish(total / m, 1.0 / m, x, g, params[0])


@helper
def csr_pass(x: Any, g: Any, z: Any, data: Any, loss: Any) -> float:
    """f(x) and a subgradient in g, fused over the rows of a CSR matrix."""
    values, indices, indptr, b, params = data.values, data.indices, data.indptr, data.b, data.params
    m = b.size
    for j in range(g.size):
        g[j] = 0.0
    total = 0.0
    for i in range(m):
        margin = 0.0
        for e in range(indptr[i], indptr[i + 1]):
            margin += values[e] * x[indices[e]]
        z[i] = margin
        value, slope = loss(margin, b[i], params)
        total += value
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
        return f
    for j in range(g.size):
        g[j] = scale * g[j] + l2 * x[j]
    return f + 0.5 * l2 * dot(x, x)


@helper
def value_pass(z: Any, x: Any, data: Any, loss: Any) -> float:
    """f from the margins z = A x."""
    b, params = data.b, data.params
    total = 0.0
    for i in range(z.size):
        value, _ = loss(z[i], b[i], params)
        total += value
    return total / z.size + 0.5 * params[0] * dot(x, x)
