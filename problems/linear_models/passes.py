"""One pass over the data: margins, loss and subgradient; dense and CSR, for any loss of a margin.

A loss is a compiled function (z, b, its own parameters) -> (value, derivative in z) of the margin z and the label or
target b, best without branches. The passes hand it the parameters from the numbers of the problem, which begin with l2.
Rows are taken BLOCK at a time: their margins, then the loss in one loop that vectorises, then their share of the
subgradient while the rows are still in cache.

A loop that both stores and sums must not be: the compiler guards it by a test of whether the arrays overlap, with
margins, so that the order of summation, and with it the last bit of f, would depend on where the heap put them.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from dadapt_convex.oracle import Helper, batch, helper, oracle, shown, value
from dadapt_convex.vector import dot
from problems.linear_models.loss import Kernels
from problems.linear_models.tiles import row_of

BLOCK = 32
# Where things stand in `work`: the number of rows predicted right; the labels, losses and slopes of a block; margins.
CORRECT, LABELS, LOSSES, SLOPES, MARGINS = 0, 8, 8 + BLOCK, 8 + 2 * BLOCK, 8 + 3 * BLOCK


@helper
def dense_rows(x: Any, g: Any, z: Any, data: Any, order: Any, begin: int, end: int, work: Any, loss: Any) -> float:
    """The mean over rows begin, ..., end - 1 of the order, of a dense matrix; its subgradient to g, unless g is empty.

    z : (end - begin,), the margins in that order; work : (MARGINS,) or longer.
    """
    A, b, params = data.dense, data.b, data.params
    p = A.shape[1]
    for j in range(g.size):
        g[j] = 0.0
    work[CORRECT] = total = 0.0
    for first in range(begin, end, BLOCK):
        last = min(first + BLOCK, end)
        for i in range(first, last):
            row, margin = row_of(order, i), 0.0
            for j in range(p):
                margin += A[row, j] * x[j]
            z[i - begin] = margin
        total += block_loss(z, first - begin, last - begin, b, order, begin, params, work, loss)
        if g.size == 0:
            continue
        i = first
        while i + 4 <= last:  # four rows at a time: g is read and written a fourth as often
            s = SLOPES + i - first
            u0, u1, u2, u3 = work[s], work[s + 1], work[s + 2], work[s + 3]
            a0, a1 = A[row_of(order, i)], A[row_of(order, i + 1)]
            a2, a3 = A[row_of(order, i + 2)], A[row_of(order, i + 3)]
            for j in range(p):
                g[j] += (u0 * a0[j] + u1 * a1[j]) + (u2 * a2[j] + u3 * a3[j])
            i += 4
        while i < last:
            a0 = A[row_of(order, i)]
            for j in range(p):
                g[j] += work[SLOPES + i - first] * a0[j]
            i += 1
    return finish(total / (end - begin), 1.0 / (end - begin), x, g, params[0])


@helper
def csr_rows(x: Any, g: Any, z: Any, data: Any, order: Any, begin: int, end: int, work: Any, loss: Any) -> float:
    """dense_rows for a CSR matrix."""
    values, indices, indptr, b, params = data.values, data.indices, data.indptr, data.b, data.params
    for j in range(g.size):
        g[j] = 0.0
    work[CORRECT] = total = 0.0
    for first in range(begin, end, BLOCK):
        last = min(first + BLOCK, end)
        for i in range(first, last):
            row, margin = row_of(order, i), 0.0
            for e in range(indptr[row], indptr[row + 1]):
                margin += values[e] * x[indices[e]]
            z[i - begin] = margin
        total += block_loss(z, first - begin, last - begin, b, order, begin, params, work, loss)
        if g.size == 0:
            continue
        for i in range(first, last):
            row, slope = row_of(order, i), work[SLOPES + i - first]
            if slope != 0.0:
                for e in range(indptr[row], indptr[row + 1]):
                    g[indices[e]] += slope * values[e]
    return finish(total / (end - begin), 1.0 / (end - begin), x, g, params[0])


@helper
def block_loss(
    z: Any, first: int, last: int, b: Any, order: Any, begin: int, params: Any, work: Any, loss: Any
) -> float:
    """Sum the losses at margins z[first:last]; their slopes are written to `work`."""
    total = correct = 0.0
    for i in range(last - first):
        work[LABELS + i] = b[row_of(order, begin + first + i)]
    for i in range(last - first):
        work[LOSSES + i], work[SLOPES + i] = loss(z[first + i], work[LABELS + i], params)
    for i in range(last - first):  # a loop of its own: see above
        total += work[LOSSES + i]
        correct += 1.0 if z[first + i] * work[LABELS + i] > 0.0 else 0.0
    work[CORRECT] += correct
    return total


@helper
def dense_pass(x: Any, g: Any, z: Any, data: Any, loss: Any) -> float:
    """f(x), a subgradient in g and the margins in z, for a dense matrix."""
    return dense_rows(x, g, z, data, np.empty(0, np.int64), 0, data.b.size, np.empty(MARGINS), loss)


@helper
def csr_pass(x: Any, g: Any, z: Any, data: Any, loss: Any) -> float:
    """dense_pass for a CSR matrix."""
    return csr_rows(x, g, z, data, np.empty(0, np.int64), 0, data.b.size, np.empty(MARGINS), loss)


@helper
def some_rows(x: Any, g: Any, data: Any, order: Any, begin: int, end: int, work: Any, loss: Any) -> float:
    """The mean over rows begin, ..., end - 1 of the order and its subgradient, unless g is empty."""
    z = work[MARGINS : MARGINS + end - begin]
    if data.dense.size > 0:
        return dense_rows(x, g, z, data, order, begin, end, work, loss)
    return csr_rows(x, g, z, data, order, begin, end, work, loss)


def rows_work(rows: int, p: int, classes: int) -> int:
    """The length of `work` for a batch of so many rows."""
    return MARGINS + rows


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
        phi, _ = loss(z[i], b[i], params)
        total += phi
    return regularised(total / z.size, x, params[0])


def entries_after_l2(count: int) -> Helper:
    """A compiled function: params -> (params[1], ..., params[count])."""
    if count == 0:
        return helper(_none)
    before = entries_after_l2(count - 1)

    @helper
    def entries(params: Any) -> Any:
        return (*before(params), params[count])

    return entries


def _none(params: Any) -> Any:
    return ()


def kernels(formula: Helper) -> Kernels:
    """The compiled functions of a loss; other processes find them under the name that its file gives them."""
    takes = len(inspect.signature(formula.python).parameters) if isinstance(formula, Helper) else 0
    if takes < 2:
        raise TypeError(f"a formula is decorated with dc.helper and takes (z, b, parameters), got {shown(formula)}.")
    own = entries_after_l2(takes - 2)

    @helper
    def loss(z: float, b: float, params: Any) -> tuple[float, float]:
        return formula(z, b, *own(params))

    def of_the_loss(function: Any) -> Any:
        function.__module__, function.__qualname__ = formula.python.__module__, function.__name__
        return function

    @oracle
    @of_the_loss
    def dense(x: Any, g: Any, z: Any, data: Any) -> float:
        return dense_pass(x, g, z, data, loss)

    @oracle
    @of_the_loss
    def csr(x: Any, g: Any, z: Any, data: Any) -> float:
        return csr_pass(x, g, z, data, loss)

    @value
    @of_the_loss
    def from_margins(z: Any, x: Any, data: Any) -> float:
        return value_pass(z, x, data, loss)

    @batch
    @of_the_loss
    def rows(x: Any, g: Any, data: Any, order: Any, begin: int, end: int, work: Any) -> float:
        return some_rows(x, g, data, order, begin, end, work, loss)

    return Kernels(dense, csr, from_margins, rows, rows_work, formula)
