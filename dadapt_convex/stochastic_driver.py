"""The loops with stochastic gradients: oracle, step and snapshots; compiled once for all methods and problems.

Several checkpoints are passed in one compiled call: what a row of the trace needs is copied when its step is reached,
and f over all rows is computed afterwards.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dadapt_convex.driver import BAD_WEIGHT, DRIVE, GOES_ON, ITERATE, NOT_FINITE, Totals, typed
from dadapt_convex.oracle import FASTMATH, Kernel, Objective, Vector, helper
from dadapt_convex.state import NumbersView, Scalar, borrowed
from dadapt_convex.stochastic import Sampling
from dadapt_convex.transitions import NO_STEP, write_after, write_before
from dadapt_convex.vector import copy, distance_squared, dot, move_average

# Rows whose losses are computed in one call where f is wanted over all of them.
EVALUATED_AT_ONCE = 256
# Numbers that snapshots may hold, and how many snapshots there are at most.
KEPT_NUMBERS, KEPT = 1 << 20, 256


class StochasticTotals(Totals):
    """The driver's totals and those of stochastic loops alone; S is the sum over the gradients of mini-batches."""

    waited = Scalar("steps before the first gradient that is not zero")
    counted = Scalar("steps since the last checkpoint")
    f_mean = Scalar("the mean of f over these")
    taken = Scalar("snapshots taken since the loop was entered")


class Snapshots(NamedTuple):
    """Room for the points and numbers of the next checkpoints.

    x, x_avg : (T, p), x_k and the average; numbers : (T, N), the totals followed by the method's scalars.
    marks : (j,) int64, the next checkpoints, j <= T.
    """

    x: Vector
    x_avg: Vector
    numbers: Vector
    marks: Any

    @classmethod
    def of(cls, count: int, p: int, scalars: int) -> Snapshots:
        """Room for `count` checkpoints, or for as many as memory allows."""
        count = min(count, KEPT, max(1, KEPT_NUMBERS // p))
        numbers = np.zeros((count, len(StochasticTotals.scalars) + scalars))
        return cls(np.zeros((count, p)), np.zeros((count, p)), numbers, np.zeros(0, dtype=np.int64))


class Batches(NamedTuple):
    """The order of the rows, from which mini-batches are taken.

    order : the rows, in the order of epoch `epoch` and of those after it; size : rows in a batch; work : scratch.
    """

    order: Any
    epoch: int
    size: int
    work: Vector


totals_of = NumbersView(StochasticTotals)


@helper
def record_and_step(step: Any, k: int, f: float, books: Any) -> int:
    """Step k from f and g at x_k. As long as all gradients were zero, x stays where it is, but for weight decay."""
    x, x_next = books.iterates[k % 2], books.iterates[(k + 1) % 2]
    g, whole, totals = books.g, books.whole, totals_of(books.totals)
    totals.w = 0.0
    g2 = dot(g, g)
    if not (np.isfinite(f) and np.isfinite(g2)):
        return NOT_FINITE
    totals.f = f
    totals.g2 = g2
    totals.g2_max = max(totals.g2_max, g2)
    totals.counted += 1.0
    totals.f_mean += (f - totals.f_mean) / totals.counted
    if totals.S == 0.0:
        totals.g0_2 = g2
    totals.S += g2
    kept, at = np.int64(totals.whole), 0
    keeps = kept < whole.shape[0] and whole[kept, 0] == k
    if totals.S == 0.0 and not books.decays:
        totals.waited += 1.0
        copy(x, x_next)
        if keeps:
            whole[kept, 0] = NO_STEP
            totals.whole += 1.0
    else:
        i = k - np.int64(totals.waited)
        if keeps:
            at = write_before(whole[kept], i, f, g2, g, x, books.vectors, books.scalars, books.hyper)
        w = step(i, f, g2, g, x, x_next, books.vectors, books.scalars, books.hyper)
        totals.w = w
        if not (w >= 0.0 and np.isfinite(w)):
            return BAD_WEIGHT
        if keeps:
            write_after(whole[kept], at, w, x_next, books.vectors, books.scalars)
            totals.whole += 1.0
        if w > 0.0:
            totals.weight += w
            if books.averages:
                move_average(books.x_avg, x, w / totals.weight)
    totals.done = k + 1
    return GOES_ON


@helper
def snapshot(k: int, books: Any, kept: Any) -> None:
    """Keep x_k and the numbers of a row of the trace; the mean of f starts anew."""
    x, totals = books.iterates[k % 2], totals_of(books.totals)
    at = np.int64(totals.taken)
    totals.x_dist2 = distance_squared(x, books.x0)
    copy(x, kept.x[at])
    if totals.weight > 0.0 and books.averages:
        copy(books.x_avg, kept.x_avg[at])
    numbers = kept.numbers[at]
    copy(books.totals, numbers)
    copy(books.scalars, numbers[books.totals.size :])
    totals.f_mean = totals.counted = 0.0
    totals.taken += 1.0


@helper
def at_mark(k: int, books: Any, kept: Any) -> bool:
    """True where k is the next checkpoint."""
    at = np.int64(totals_of(books.totals).taken)
    return at < kept.marks.size and kept.marks[at] == k


@helper
def drive_batches(
    batch: Any, step: Any, k: int, k_stop: int, data: Any, batches: Any, books: Any, kept: Any, factors: Any
) -> tuple[int, int]:
    """Steps k .. k_stop - 1 with mini-batches; factors: gamma_k from this k on, empty where it does not change."""
    books, kept, batches = borrowed(books), borrowed(kept), borrowed(batches)
    m, size = data.b.size, batches.size
    per_epoch = (m + size - 1) // size
    first = k
    start, in_epoch = (k // per_epoch - batches.epoch) * m, k % per_epoch
    while k < k_stop:
        if factors.size > 0:
            books.hyper[books.scheduled] = factors[k - first]
        begin = start + in_epoch * size
        end = min(begin + size, start + m)
        f = batch(books.iterates[k % 2], books.g, data, batches.order, begin, end, batches.work)
        status = record_and_step(step, k, f, books)
        if status != GOES_ON:
            return k, status
        k += 1
        in_epoch += 1
        if in_epoch == per_epoch:
            start, in_epoch = start + m, 0
        if at_mark(k, books, kept):
            snapshot(k, books, kept)
    return k, GOES_ON


@helper
def drive_noise(
    oracle: Any, step: Any, k: int, k_stop: int, data: Any, noise: Any, z: Any, books: Any, kept: Any, factors: Any
) -> tuple[int, int]:
    """Steps k .. k_stop - 1 with the full subgradient and a row of noise for each."""
    books, kept = borrowed(books), borrowed(kept)
    first, g = k, books.g
    while k < k_stop:
        if factors.size > 0:
            books.hyper[books.scheduled] = factors[k - first]
        f = oracle(books.iterates[k % 2], g, z, data)
        added = noise[k - first]
        for i in range(g.size):
            g[i] += added[i]
        status = record_and_step(step, k, f, books)
        if status != GOES_ON:
            return k, status
        k += 1
        if at_mark(k, books, kept):
            snapshot(k, books, kept)
    return k, GOES_ON


@helper
def shuffle(u: Any, order: Any) -> None:
    """A random order of 0, ..., m - 1 for each row of u, (epochs, m) uniform numbers in [0, 1): Fisher and Yates."""
    epochs, m = u.shape
    for e in range(epochs):
        rows = order[e * m : (e + 1) * m]
        for i in range(m):
            rows[i] = i
        for i in range(m - 1, 0, -1):
            j = np.int64(u[e, i] * (i + 1))  # at most i: 1 - 2^-53 times i + 1 is rounded to less than i + 1
            rows[i], rows[j] = rows[j], rows[i]


@helper
def evaluate(batch: Any, X: Any, data: Any, order: Any, nothing: Any, work: Any, found: Any) -> None:
    """f over all rows, and how many are predicted right, to a row of found for each row of X; order, nothing: empty."""
    m = data.b.size
    for i in range(X.shape[0]):
        found[i, 0] = found[i, 1] = 0.0
    for begin in range(0, m, EVALUATED_AT_ONCE):  # these rows stay in cache for all points
        end = min(begin + EVALUATED_AT_ONCE, m)
        for i in range(X.shape[0]):
            found[i, 0] += (end - begin) * batch(X[i], nothing, data, order, begin, end, work)
            found[i, 1] += work[0]
    for i in range(X.shape[0]):
        found[i, 0] /= m


def _more_types() -> dict[str, Any]:
    from numba import types as t

    vector, matrix, integers = t.Array(t.float64, 1, "C"), t.Array(t.float64, 2, "C"), t.Array(t.int64, 1, "C")
    return {
        "kept": t.NamedTuple([matrix, matrix, matrix, integers], Snapshots),
        "batches": t.NamedTuple([integers, t.int64, t.int64, vector], Batches),
    }


RECORD_AND_STEP = Kernel(record_and_step.python, typed("int step int float books"), FASTMATH)
SNAPSHOT = Kernel(snapshot.python, typed("none int books kept", _more_types), FASTMATH)
DRIVE_BATCHES = Kernel(
    drive_batches.python, typed("pair batch step int int data batches books kept vector", _more_types), FASTMATH
)
DRIVE_NOISE = Kernel(
    drive_noise.python, typed("pair oracle step int int data matrix vector books kept vector", _more_types), FASTMATH
)
SHUFFLE = Kernel(shuffle.python, typed("none matrix integers"), FASTMATH)
EVALUATE = Kernel(evaluate.python, typed("none batch matrix data integers vector vector matrix"), FASTMATH)


def kernels(problem: Objective, step: Kernel, drawn: Sampling | None) -> list[Kernel]:
    """Everything that is compiled for a run of a method with this step."""
    oracle = problem.oracle
    found: list[Kernel | None] = [step, oracle.value]
    if drawn is None:
        found += [oracle.kernel, ITERATE if oracle.kernel is None else DRIVE]
    elif drawn.noise is None:
        found += [DRIVE_BATCHES, SHUFFLE]
    else:
        found += [RECORD_AND_STEP, *([] if oracle.kernel is None else [oracle.kernel, DRIVE_NOISE])]
    if drawn is not None:
        found += [SNAPSHOT, *([] if oracle.batch is None else [oracle.batch, EVALUATE])]
    return [kernel for kernel in found if kernel is not None]
