"""The loops with stochastic gradients: oracle, step and snapshots; compiled once for all methods and problems.

Several checkpoints are passed in one compiled call: what a row of the trace needs is copied when its step is reached,
and f over all rows is computed afterwards. `totals` is the driver's, with three entries more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dadapt_convex.driver import (
    AVERAGES,
    BAD_WEIGHT,
    DECAYS,
    DONE,
    DRIVE,
    G0_2,
    G2,
    G2_MAX,
    GOES_ON,
    ITERATE,
    N_TOTALS,
    NOT_FINITE,
    WEIGHT,
    WHOLE,
    X_DIST2,
    F,
    S,
    W,
)
from dadapt_convex.oracle import FASTMATH, Kernel, Objective, Vector, helper, signature
from dadapt_convex.stochastic import Sampling
from dadapt_convex.transitions import NO_STEP, write_after, write_before
from dadapt_convex.vector import copy, distance_squared, dot, move_average

# Rows of the orders that are drawn at once, and entries of noise.
DRAWN_AT_ONCE = 200_000
# Rows whose losses are computed in one call where f is wanted over all of them.
EVALUATED_AT_ONCE = 256
# Numbers that snapshots may hold, and how many snapshots there are at most.
KEPT_NUMBERS, KEPT = 1 << 20, 256
ALIGNMENT = 64  # bytes

# indices into totals, beside those of the driver
WAITED = N_TOTALS  # steps before the first gradient that is not zero
COUNTED = N_TOTALS + 1  # steps since the last checkpoint
F_MEAN = N_TOTALS + 2  # the mean of f over these
TAKEN = N_TOTALS + 3  # snapshots taken since the loop was entered
N_STOCHASTIC = N_TOTALS + 4


# ---------------------------------------------------------------------------------------------------------
# Compiled


@helper
def record_and_step(
    step: Any, k: int, f: float, g: Any, x: Any, x_next: Any, x_avg: Any, vectors: Any, scalars: Any, hyper: Any,
    totals: Any, whole: Any,
) -> int:  # fmt: skip
    """Step k from f and g at x. As long as all gradients were zero, x stays where it is, but for weight decay."""
    totals[W] = 0.0
    g2 = dot(g, g)
    if not (np.isfinite(f) and np.isfinite(g2)):
        return NOT_FINITE
    totals[F] = f
    totals[G2] = g2
    totals[G2_MAX] = max(totals[G2_MAX], g2)
    totals[COUNTED] += 1.0
    totals[F_MEAN] += (f - totals[F_MEAN]) / totals[COUNTED]
    if totals[S] == 0.0:
        totals[G0_2] = g2
    totals[S] += g2
    kept, at = np.int64(totals[WHOLE]), 0
    keeps = kept < whole.shape[0] and whole[kept, 0] == k
    if totals[S] == 0.0 and totals[DECAYS] == 0.0:
        totals[WAITED] += 1.0
        copy(x, x_next)
        if keeps:
            whole[kept, 0] = NO_STEP
            totals[WHOLE] += 1.0
    else:
        i = k - np.int64(totals[WAITED])
        if keeps:
            at = write_before(whole[kept], i, f, g2, g, x, vectors, scalars, hyper)
        w = step(i, f, g2, g, x, x_next, vectors, scalars, hyper)
        totals[W] = w
        if not (w >= 0.0 and np.isfinite(w)):
            return BAD_WEIGHT
        if keeps:
            write_after(whole[kept], at, w, x_next, vectors, scalars)
            totals[WHOLE] += 1.0
        if w > 0.0:
            totals[WEIGHT] += w
            if totals[AVERAGES] == 1.0:
                move_average(x_avg, x, w / totals[WEIGHT])
    totals[DONE] = k + 1
    return GOES_ON


@helper
def snapshot(
    x: Any, x0: Any, x_avg: Any, scalars: Any, totals: Any, kept_x: Any, kept_avg: Any, kept_numbers: Any
) -> None:
    """Keep x_k and what a row of the trace says; the mean of f starts anew."""
    at = np.int64(totals[TAKEN])
    totals[X_DIST2] = distance_squared(x, x0)
    copy(x, kept_x[at])
    if totals[WEIGHT] > 0.0 and totals[AVERAGES] == 1.0:
        copy(x_avg, kept_avg[at])
    numbers = kept_numbers[at]
    copy(totals, numbers)
    copy(scalars, numbers[totals.size :])
    totals[F_MEAN] = totals[COUNTED] = 0.0
    totals[TAKEN] += 1.0


@helper
def at_mark(k: int, marks: Any, totals: Any) -> bool:
    """Whether k is the next checkpoint."""
    at = np.int64(totals[TAKEN])
    return at < marks.size and marks[at] == k


@helper
def drive_batches(
    batch: Any, step: Any, k: int, k_stop: int, data: Any, order: Any, epoch: int, batch_size: int, work: Any,
    iterates: Any, g: Any, x0: Any, x_avg: Any, vectors: Any, scalars: Any, hyper: Any, totals: Any, whole: Any,
    marks: Any, kept_x: Any, kept_avg: Any, kept_numbers: Any, factors: Any, scheduled: int,
) -> tuple[int, int]:  # fmt: skip
    """Steps k .. k_stop - 1 with mini-batches; order: that of the rows in this epoch and those after it."""
    m = data.b.size
    per_epoch = (m + batch_size - 1) // batch_size
    first = k
    start, in_epoch = (k // per_epoch - epoch) * m, k % per_epoch
    while k < k_stop:
        if factors.size > 0:
            hyper[scheduled] = factors[k - first]
        begin = start + in_epoch * batch_size
        x, x_next = iterates[k % 2], iterates[(k + 1) % 2]
        f = batch(x, g, data, order, begin, min(begin + batch_size, start + m), work)
        status = record_and_step(step, k, f, g, x, x_next, x_avg, vectors, scalars, hyper, totals, whole)
        if status != GOES_ON:
            return k, status
        k += 1
        in_epoch += 1
        if in_epoch == per_epoch:
            start, in_epoch = start + m, 0
        if at_mark(k, marks, totals):
            snapshot(x_next, x0, x_avg, scalars, totals, kept_x, kept_avg, kept_numbers)
    return k, GOES_ON


@helper
def drive_noise(
    oracle: Any, step: Any, k: int, k_stop: int, data: Any, noise: Any, z: Any,
    iterates: Any, g: Any, x0: Any, x_avg: Any, vectors: Any, scalars: Any, hyper: Any, totals: Any, whole: Any,
    marks: Any, kept_x: Any, kept_avg: Any, kept_numbers: Any, factors: Any, scheduled: int,
) -> tuple[int, int]:  # fmt: skip
    """Steps k .. k_stop - 1 with the full subgradient and a row of noise for each."""
    first = k
    while k < k_stop:
        if factors.size > 0:
            hyper[scheduled] = factors[k - first]
        x, x_next = iterates[k % 2], iterates[(k + 1) % 2]
        f = oracle(x, g, z, data)
        added = noise[k - first]
        for i in range(g.size):
            g[i] += added[i]
        status = record_and_step(step, k, f, g, x, x_next, x_avg, vectors, scalars, hyper, totals, whole)
        if status != GOES_ON:
            return k, status
        k += 1
        if at_mark(k, marks, totals):
            snapshot(x_next, x0, x_avg, scalars, totals, kept_x, kept_avg, kept_numbers)
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


def _types() -> dict[str, Any]:
    from numba import types as t

    return {
        "oracle": t.FunctionType(signature("oracle")),
        "batch": t.FunctionType(signature("batch")),
        "step": t.FunctionType(signature("step")),
        "data": signature("oracle").args[-1],
        "vector": t.Array(t.float64, 1, "C"),
        "matrix": t.Array(t.float64, 2, "C"),
        "integers": t.Array(t.int64, 1, "C"),
        "int": t.int64,
        "float": t.float64,
        "pair": t.UniTuple(t.int64, 2),
        "none": t.void,
    }


def _signature(words: str) -> Callable[[], Any]:
    """The Numba signature in the words of _types(), the result first."""

    def made() -> Any:
        known = _types()
        result, *arguments = (known[word] for word in words.split())
        return result(*arguments)

    return made


STATE = "matrix vector vector vector matrix vector vector vector matrix"
MARKS = "integers matrix matrix matrix"
RECORD_AND_STEP = Kernel(
    record_and_step.python,
    _signature("int step int float vector vector vector vector matrix vector vector vector matrix"),
    FASTMATH,
)
SNAPSHOT = Kernel(snapshot.python, _signature("none vector vector vector vector vector matrix matrix matrix"), FASTMATH)
DRIVE_BATCHES = Kernel(
    drive_batches.python,
    _signature(f"pair batch step int int data integers int int vector {STATE} {MARKS} vector int"),
    FASTMATH,
)
DRIVE_NOISE = Kernel(
    drive_noise.python,
    _signature(f"pair oracle step int int data matrix vector {STATE} {MARKS} vector int"),
    FASTMATH,
)
SHUFFLE = Kernel(shuffle.python, _signature("none matrix integers"), FASTMATH)
EVALUATE = Kernel(evaluate.python, _signature("none batch matrix data integers vector vector matrix"), FASTMATH)


# ---------------------------------------------------------------------------------------------------------
# What solve() calls


@dataclass
class Snapshots:
    """What was kept at checkpoints: x_k, the average, and `totals` followed by the method's scalars, a row for each.

    marks : (j,) int64, the next checkpoints, at most len(self).
    """

    x: Vector
    x_avg: Vector
    numbers: Vector
    marks: Any

    @classmethod
    def of(cls, count: int, p: int, scalars: int) -> Snapshots:
        """Room for `count` of them, or for as many as memory allows."""
        count = min(count, KEPT, max(1, KEPT_NUMBERS // p))
        numbers = np.zeros((count, N_STOCHASTIC + scalars))
        return cls(np.zeros((count, p)), np.zeros((count, p)), numbers, np.zeros(0, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.numbers)


Loop = Callable[[int, int], tuple[int, int]]


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


def stochastic_loop(problem: Objective, step: Any, drawn: Sampling, state: Any) -> Loop:
    """(k, k_stop) -> (k, why it returned); step: compiled; state: what solve() keeps, see dadapt_convex.solve."""
    return (_batches_loop if drawn.noise is None else _noise_loop)(problem, step, drawn, state)


class Orders:
    """The orders of the rows, epoch by epoch: the same however many are drawn at once."""

    def __init__(self, m: int, seed: int) -> None:
        self.m, self.rng = m, np.random.default_rng(seed)
        self.rows = np.zeros(0, dtype=np.int64)
        self.begin = self.end = 0  # the epochs that `rows` holds

    def reach(self, epoch: int, last: int) -> None:
        """Hold the orders from this epoch on, up to the last one, or to as many as are drawn at once."""
        if epoch >= self.end:
            epochs = min(max(1, DRAWN_AT_ONCE // self.m), last + 1 - epoch)
            self.begin, self.end = self.end, self.end + epochs
            self.rows = np.empty(epochs * self.m, dtype=np.int64)
            SHUFFLE(self.rng.random((epochs, self.m)), self.rows)


def _batches_loop(problem: Objective, step: Any, drawn: Sampling, state: Any) -> Loop:
    oracle, size = problem.oracle, drawn.batch_size
    assert oracle.batch is not None
    assert oracle.data is not None
    assert oracle.work is not None
    assert size is not None
    data, orders = oracle.data, Orders(oracle.data.b.size, drawn.seed)
    per_epoch, work = drawn.per_epoch(data.b.size), aligned(oracle.work(size))
    drive, batch = DRIVE_BATCHES.compile(), oracle.batch.argument
    SHUFFLE.compile()

    def loop(k: int, k_stop: int) -> tuple[int, int]:
        status = GOES_ON
        while k < k_stop and status == GOES_ON:
            orders.reach(k // per_epoch, (k_stop - 1) // per_epoch)
            stop = min(k_stop, orders.end * per_epoch)
            k, status = drive(
                batch, step, k, stop, data, orders.rows, orders.begin, size, work, *_books(state), *_marks(state),
                state.factors(k, stop), state.scheduled,
            )  # fmt: skip
        return k, status

    return loop


def _noise_loop(problem: Objective, step: Any, drawn: Sampling, state: Any) -> Loop:
    """Of a compiled objective or one in Python."""
    oracle, noise = problem.oracle, drawn.noise
    assert noise is not None
    rng = np.random.default_rng(drawn.seed)
    p = state.x0.size
    record = RECORD_AND_STEP.compile()

    def in_python(k: int, k_stop: int, added: Vector, factors: Vector) -> tuple[int, int]:
        iterates, g, _, *rest = _books(state)
        for i in range(k, k_stop):
            if factors.size:
                state.hyper[state.scheduled] = factors[i - k]
            f = state.evaluate(iterates[i % 2], g, state.z)
            g += added[i - k]
            status = record(step, i, f, g, iterates[i % 2], iterates[(i + 1) % 2], *rest)
            if status != GOES_ON:
                return i, status
            if at_mark(i + 1, state.kept.marks, state.totals):
                keep(state, i + 1)
        return k_stop, GOES_ON

    if oracle.kernel is not None:
        drive, kernel = DRIVE_NOISE.compile(), oracle.kernel.argument

    def loop(k: int, k_stop: int) -> tuple[int, int]:
        status = GOES_ON
        while k < k_stop and status == GOES_ON:
            stop = min(k_stop, k + max(1, DRAWN_AT_ONCE // p))
            added, factors = noise.draw(rng, (stop - k, p)), state.factors(k, stop)
            if oracle.kernel is None:
                k, status = in_python(k, stop, added, factors)
            else:
                k, status = drive(
                    kernel, step, k, stop, oracle.data, added, state.z, *_books(state), *_marks(state),
                    factors, state.scheduled,
                )  # fmt: skip
        return k, status

    return loop


def _books(state: Any) -> tuple[Any, ...]:
    return (
        state.iterates, state.g, state.x0, state.x_avg, state.vectors, state.scalars, state.hyper, state.totals,
        state.whole,
    )  # fmt: skip


def _marks(state: Any) -> tuple[Any, ...]:
    return state.kept.marks, state.kept.x, state.kept.x_avg, state.kept.numbers


def keep(state: Any, k: int) -> None:
    """A snapshot of the state at k."""
    kept = state.kept
    SNAPSHOT(
        state.iterates[k % 2], state.x0, state.x_avg, state.scalars, state.totals, kept.x, kept.x_avg, kept.numbers
    )


def aligned(n: int) -> Vector:
    """n zeros that begin where a cache line does."""
    room = np.zeros(n + ALIGNMENT // 8)
    skipped = -room.ctypes.data % ALIGNMENT // 8
    return room[skipped : skipped + n]


@dataclass
class Evaluation:
    """f over all rows, and the share that is predicted right, at many points in one call."""

    problem: Objective
    work: Vector | None = None

    def __call__(self, X: Vector) -> tuple[Vector, Vector | None]:
        """X : (n, p). Returns f, (n,), and the shares, (n,), or None where labels are no classes."""
        oracle = self.problem.oracle
        if oracle.batch is None or oracle.data is None or oracle.work is None:
            g, z = np.empty(X.shape[1]), np.empty(oracle.margins)
            return np.array([oracle.evaluate(x.copy(), g, z) for x in X]), None
        if self.work is None:
            self.work = aligned(oracle.work(EVALUATED_AT_ONCE))
        found, no_order, nothing = np.empty((len(X), 2)), np.empty(0, dtype=np.int64), np.empty(0)
        EVALUATE(oracle.batch.argument, X, oracle.data, no_order, nothing, self.work, found)
        return found[:, 0], None if oracle.classes is None else found[:, 1] / oracle.data.b.size
