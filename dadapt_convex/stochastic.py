"""Stochastic gradients: mini-batches without replacement, or noise added to the subgradient.

With mini-batches an epoch visits every row once, in an order drawn anew; the last batch holds what is left. The rows
of a batch are gathered into a small problem of the same kind, so that every compiled oracle serves: its f is the mean
loss of the batch, plus the penalty. All of an epoch runs compiled. The same seed gives the same batches to every method.

Noise models add to each entry of the subgradient, independently and with mean zero:

    gaussian(sigma)    sigma times a standard normal number
    sign(sigma)        sigma or -sigma, each with probability 1/2
    skewed(sigma)      3 sigma with probability 0.999, -2997 sigma with probability 0.001; on |x| it drives the estimate
                       d_hat above D, which deterministic subgradients never do
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dadapt_convex.driver import (
    DONE,
    F,
    F_MEAN,
    G0_2,
    G2,
    G2_MAX,
    GOES_ON,
    N_TOTALS,
    NOT_FINITE,
    WEIGHT,
    S,
)
from dadapt_convex.oracle import FASTMATH, Data, Kernel, Objective, Vector, helper, pack, signature
from dadapt_convex.vector import copy, dot, move_average

# Rows of the orders that are drawn at once, and entries of noise.
DRAWN_AT_ONCE = 200_000
LIKELY, UNLIKELY, RARE = 3.0, -2997.0, 0.001

# indices into totals, beside those of the driver
WAITED = N_TOTALS  # steps before the first gradient that is not zero
COUNTED = N_TOTALS + 1  # steps since the last checkpoint; F_MEAN is then the mean of f over these
N_STOCHASTIC = N_TOTALS + 2


@dataclass(frozen=True)
class Noise:
    """A noise model and its size; see the module's text."""

    kind: str
    sigma: float

    def __str__(self) -> str:
        return f"{self.kind}({self.sigma:g})"

    def draw(self, rng: np.random.Generator, shape: tuple[int, int]) -> Vector:
        """Independent entries; a longer draw begins with a shorter one."""
        if self.kind == "gaussian":
            return self.sigma * rng.standard_normal(shape)
        u = rng.random(shape)
        if self.kind == "sign":
            return np.where(u < 0.5, self.sigma, -self.sigma)
        return np.where(u < RARE, UNLIKELY * self.sigma, LIKELY * self.sigma)


NOISES = ("gaussian", "sign", "skewed")
TEXT = re.compile(r"\s*(\w+)\s*\(\s*([^()]+?)\s*\)\s*")


def as_noise(value: Any) -> Noise:
    """The noise model that a text or a Noise stands for; ValueError for anything else."""
    if isinstance(value, str):
        match = TEXT.fullmatch(value)
        try:
            value = Noise(match[1], float(match[2])) if match else value
        except ValueError:
            pass
    if isinstance(value, Noise) and value.kind in NOISES and value.sigma > 0 and math.isfinite(value.sigma):
        return value
    raise ValueError(f"noise must be {', '.join(f'{kind}(sigma)' for kind in NOISES)} with sigma > 0, got {value!r}.")


@dataclass(frozen=True)
class Sampling:
    """Where the randomness comes from: mini-batches of this size, or noise; and its seed."""

    batch_size: int | None
    noise: Noise | None
    seed: int

    def per_epoch(self, m: int) -> int:
        """Steps in an epoch: 1 without mini-batches."""
        return 1 if self.batch_size is None else -(-m // self.batch_size)

    def recorded(self) -> dict[str, Any]:
        """For the record, as hyper-parameters."""
        source = {"batch_size": self.batch_size} if self.batch_size is not None else {"noise": str(self.noise)}
        return {**source, "seed": self.seed}


def sampling(problem: Objective, batch_size: Any, noise: Any, seed: Any) -> Sampling | None:
    """Check what solve() was given; None: the deterministic oracle. ValueError with a sentence."""
    if batch_size is None and noise is None:
        return None
    if batch_size is not None and noise is not None:
        raise ValueError("give batch_size or noise, not both: mini-batches have noise of their own.")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed must be a nonnegative integer, got {seed!r}.")
    if noise is not None:
        return Sampling(None, as_noise(noise), int(seed))
    m = rows(problem)
    if m == 0:
        raise ValueError(f"{problem.name} has no rows to draw mini-batches from; noise='gaussian(0.1)' adds noise.")
    if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 1:
        raise ValueError(f"batch_size must be an integer of at least 1, got {batch_size!r}.")
    if batch_size > m:
        raise ValueError(f"batch_size must be at most the number of rows, {m} in {problem.name}, got {batch_size}.")
    return Sampling(int(batch_size), None, int(seed))


def rows(problem: Objective) -> int:
    """The number of rows that mini-batches can be drawn from; 0 where there are none."""
    oracle = problem.oracle
    return 0 if oracle.kernel is None or oracle.data is None or not oracle.margins else oracle.data.b.size


# ---------------------------------------------------------------------------------------------------------
# Compiled


@helper
def record_and_step(
    step: Any, k: int, f: float, g: Any, x: Any, x_next: Any, x_avg: Any, vectors: Any, scalars: Any, hyper: Any,
    totals: Any,
) -> int:  # fmt: skip
    """Step k from f and g at x. As long as all gradients were zero, x stays where it is."""
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
    if totals[S] == 0.0:
        totals[WAITED] += 1.0
        copy(x, x_next)
    else:
        w = step(k - np.int64(totals[WAITED]), f, g2, g, x, x_next, vectors, scalars, hyper)
        if w > 0.0:
            totals[WEIGHT] += w
            move_average(x_avg, x, w / totals[WEIGHT])
    totals[DONE] = k + 1
    return GOES_ON


@helper
def gather(
    data: Any, order: Any, begin: int, end: int, dense: Any, values: Any, indices: Any, indptr: Any, b: Any
) -> None:
    """Rows order[begin:end] of the data to the first rows of the buffers."""
    e = 0
    for i in range(begin, end):
        row, to = order[i], i - begin
        b[to] = data.b[row]
        if data.dense.size > 0:
            source, target = data.dense[row], dense[to]
            for j in range(source.size):
                target[j] = source[j]
        else:
            for at in range(data.indptr[row], data.indptr[row + 1]):
                values[e] = data.values[at]
                indices[e] = data.indices[at]
                e += 1
            indptr[to + 1] = e


@helper
def drive_batches(
    oracle: Any, step: Any, k: int, k_stop: int, data: Any, order: Any, epoch: int, batch_size: int,
    dense: Any, values: Any, indices: Any, indptr: Any, b: Any, whole: Any, last: Any, z_whole: Any, z_last: Any,
    iterates: Any, g: Any, x_avg: Any, vectors: Any, scalars: Any, hyper: Any, totals: Any, factors: Any, scheduled: int,
) -> tuple[int, int]:  # fmt: skip
    """Steps k .. k_stop - 1 with mini-batches; order: that of the rows in this epoch and those after it.

    whole, last: the buffers as problems of batch_size rows, and of as many as the last batch has.
    """
    m = data.b.size
    per_epoch = (m + batch_size - 1) // batch_size
    first = k
    while k < k_stop:
        if factors.size > 0:
            hyper[scheduled] = factors[k - first]
        start = (k // per_epoch - epoch) * m
        begin = start + (k % per_epoch) * batch_size
        end = min(begin + batch_size, start + m)
        gather(data, order, begin, end, dense, values, indices, indptr, b)
        x, x_next = iterates[k % 2], iterates[(k + 1) % 2]
        if end - begin == batch_size:
            f = oracle(x, g, z_whole, whole)
        else:
            f = oracle(x, g, z_last, last)
        status = record_and_step(step, k, f, g, x, x_next, x_avg, vectors, scalars, hyper, totals)
        if status != GOES_ON:
            return k, status
        k += 1
    return k, GOES_ON


@helper
def drive_noise(
    oracle: Any, step: Any, k: int, k_stop: int, data: Any, noise: Any, z: Any,
    iterates: Any, g: Any, x_avg: Any, vectors: Any, scalars: Any, hyper: Any, totals: Any, factors: Any, scheduled: int,
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
        status = record_and_step(step, k, f, g, x, x_next, x_avg, vectors, scalars, hyper, totals)
        if status != GOES_ON:
            return k, status
        k += 1
    return k, GOES_ON


@helper
def correct(z: Any, b: Any, classes: int) -> int:
    """Rows whose label has the right sign, or whose class has the largest margin (the first such, where several do)."""
    count = 0
    if classes == 0:
        for i in range(b.size):
            count += 1 if z[i] * b[i] > 0.0 else 0
        return count
    for i in range(b.size):
        row, best = z[i * classes : (i + 1) * classes], 0
        for c in range(1, classes):
            best = c if row[c] > row[best] else best
        count += 1 if best == b[i] else 0
    return count


def _types() -> dict[str, Any]:
    from numba import types as t

    return {
        "oracle": t.FunctionType(signature("oracle")),
        "step": t.FunctionType(signature("step")),
        "data": signature("oracle").args[-1],
        "vector": t.Array(t.float64, 1, "C"),
        "matrix": t.Array(t.float64, 2, "C"),
        "fixed": t.Array(t.float64, 1, "C", readonly=True),
        "order": t.Array(t.int64, 1, "C"),
        "indices": t.Array(t.uint32, 1, "C"),
        "indptr": t.Array(t.uint64, 1, "C"),
        "int": t.int64,
        "float": t.float64,
        "pair": t.UniTuple(t.int64, 2),
    }


def _step_signature() -> Any:
    t = _types()
    v = t["vector"]
    return t["int"](t["step"], t["int"], t["float"], v, v, v, v, t["matrix"], v, v, v)


def _batches_signature() -> Any:
    t = _types()
    v, i, data = t["vector"], t["int"], t["data"]
    buffers = [t["matrix"], v, t["indices"], t["indptr"], v, data, data, v, v]
    state = [t["matrix"], v, v, t["matrix"], v, v, v, v, i]
    return t["pair"](t["oracle"], t["step"], i, i, data, t["order"], i, i, *buffers, *state)


def _noise_signature() -> Any:
    t = _types()
    v, i = t["vector"], t["int"]
    state = [t["matrix"], v, v, t["matrix"], v, v, v, v, i]
    return t["pair"](t["oracle"], t["step"], i, i, t["data"], t["matrix"], v, *state)


def _correct_signature() -> Any:
    t = _types()
    return t["int"](t["vector"], t["fixed"], t["int"])


RECORD_AND_STEP = Kernel(record_and_step.python, _step_signature, FASTMATH)
DRIVE_BATCHES = Kernel(drive_batches.python, _batches_signature, FASTMATH)
DRIVE_NOISE = Kernel(drive_noise.python, _noise_signature, FASTMATH)
CORRECT = Kernel(correct.python, _correct_signature, FASTMATH)


# ---------------------------------------------------------------------------------------------------------
# The loops, as solve() calls them


class Batches:
    """The orders of the rows, epoch by epoch, and the buffers that hold a batch."""

    def __init__(self, data: Data, batch_size: int, margins: int, seed: int) -> None:
        m, p = data.b.size, data.dense.shape[1]
        self.data, self.batch_size = data, batch_size
        self.per_epoch = -(-m // batch_size)
        self.rng = np.random.default_rng(seed)
        self.order = np.zeros(0, dtype=np.int64)
        self.begin = self.end = 0  # the epochs that `order` holds
        lengths = np.sort(np.diff(data.indptr).astype(np.int64)) if data.indptr.size else np.zeros(0, dtype=np.int64)
        elements = int(lengths[-batch_size:].sum())
        rest = m % batch_size or batch_size
        self.dense = np.zeros((batch_size if data.dense.size else 0, p))
        self.values, self.indices = np.zeros(elements), np.zeros(elements, dtype=np.uint32)
        self.indptr = np.zeros(batch_size + 1 if elements else 0, dtype=np.uint64)
        self.b = np.zeros(batch_size)
        per_row = margins // m
        self.z_whole, self.z_last = np.zeros(batch_size * per_row), np.zeros(rest * per_row)
        self.whole, self.last = self._view(batch_size), self._view(rest)

    def _view(self, n: int) -> Data:
        """The first n rows of the buffers, as an oracle reads them."""
        csr = (self.values, self.indices, self.indptr[: n + 1]) if self.indptr.size else None
        dense = self.dense[:n] if self.dense.size else None
        return pack(dense=dense, csr=csr, b=self.b[:n], params=self.data.params)

    def arguments(self, k: int) -> tuple[Any, ...]:
        """What the compiled loop is told of the batches from step k on."""
        m = self.data.b.size
        if k // self.per_epoch >= self.end:
            epochs = max(1, DRAWN_AT_ONCE // m)
            self.begin, self.end = self.end, self.end + epochs
            self.order = self.rng.permuted(np.tile(np.arange(m), (epochs, 1)), axis=1).ravel()
        return (
            self.data, self.order, self.begin, self.batch_size, self.dense, self.values, self.indices, self.indptr,
            self.b, self.whole, self.last, self.z_whole, self.z_last,
        )  # fmt: skip

    def up_to(self, k_stop: int) -> int:
        """The last step before k_stop that the present orders reach, plus one."""
        return min(k_stop, self.end * self.per_epoch)


Loop = Callable[[int, int], tuple[int, int]]


def batches_loop(problem: Objective, step: Kernel, drawn: Sampling, state: Any) -> Loop:
    """Steps with mini-batches; state: what solve() keeps, see dadapt_convex.solve."""
    oracle = problem.oracle
    assert oracle.kernel is not None
    assert oracle.data is not None
    assert drawn.batch_size is not None
    batches = Batches(oracle.data, drawn.batch_size, oracle.margins, drawn.seed)
    drive, kernel, compiled = DRIVE_BATCHES.compile(), oracle.kernel.argument, step.argument

    def loop(k: int, k_stop: int) -> tuple[int, int]:
        status = GOES_ON
        while k < k_stop and status == GOES_ON:
            arguments = batches.arguments(k)
            stop = batches.up_to(k_stop)
            k, status = drive(
                kernel, compiled, k, stop, *arguments, *_books(state), state.factors(k, stop), state.scheduled
            )
        return k, status

    return loop


def noise_loop(problem: Objective, step: Kernel, drawn: Sampling, state: Any) -> Loop:
    """Steps with noise added to the subgradient, of a compiled objective or one in Python."""
    oracle, noise = problem.oracle, drawn.noise
    assert noise is not None
    rng = np.random.default_rng(drawn.seed)
    p = state.x0.size
    record, compiled = RECORD_AND_STEP.compile(), step.argument

    def in_python(k: int, k_stop: int, added: Vector, factors: Vector) -> tuple[int, int]:
        for i in range(k, k_stop):
            if factors.size:
                state.hyper[state.scheduled] = factors[i - k]
            iterates, g, *rest = _books(state)
            f = oracle.evaluate(iterates[i % 2].copy(), g, state.z)
            g += added[i - k]
            status = record(compiled, i, f, g, iterates[i % 2], iterates[(i + 1) % 2], *rest)
            if status != GOES_ON:
                return i, status
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
                    kernel, compiled, k, stop, oracle.data, added, state.z, *_books(state), factors, state.scheduled
                )
        return k, status

    return loop


def _books(state: Any) -> tuple[Any, ...]:
    return state.iterates, state.g, state.x_avg, state.vectors, state.scalars, state.hyper, state.totals


def measured(problem: Objective, x: Vector, z: Vector) -> Mapping[str, float]:
    """f at x over all rows, and the accuracy where labels are classes."""
    oracle = problem.oracle
    if oracle.predict is None or oracle.value is None or oracle.data is None:
        return {"f": oracle.evaluate(x.copy(), np.zeros(x.size), z)}
    z = oracle.predict(x)
    found = {"f": oracle.value_at(x, z)}
    if oracle.classes is not None:
        found["accuracy"] = CORRECT(z, oracle.data.b, oracle.classes) / oracle.data.b.size
    return found
