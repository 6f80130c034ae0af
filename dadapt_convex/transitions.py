"""Single iterations of a run, kept whole for definitions and the replay, whatever the checkpoints.

A run keeps the first iterations, the last, some in each decade, and one in each of many equal parts. The driver writes
them into the rows of a matrix, see `Transitions`. The replay runs the plain Python function of the step once more on
what the compiled one was given.
"""

from __future__ import annotations

import contextlib
import inspect
import math
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from dadapt_convex.oracle import Vector, helper

PER_DECADE, PARTS = 12, 16
# Numbers that the kept iterations of a run may hold together; two are kept in any case. There are more parts than PARTS
# as long as they hold no more than so many.
KEPT_NUMBERS, PART_NUMBERS = 1 << 21, 1 << 16
# Stands for k where all gradients were zero so far, and no step was taken.
NO_STEP = -1.0
# Coordinates that replays may visit together, and how many there are: plain Python takes microseconds for each.
REPLAYED_COORDINATES, REPLAYED = 4_000, 64
# Inputs are changed at random by up to so many roundings, which shows how rounding changes the outputs; the two outputs
# may differ by so many times this change.
NUDGE, NUDGES, SLACK = 4.0, 3, 64.0
MOSTLY_ROUNDING = 1e-3
# Squares and sums of squares are normal numbers, with room, between these.
SMALLEST_SQUARE, LARGEST_SQUARE = 1e-290, 1e290


@dataclass(frozen=True, repr=False)
class Transition:
    """Iteration k: what the step read, and what it left.

    k : int, as the step was given it; f, g2 : f(x_k), ||g_k||^2; x, g, x_next : (p,) float64.
    hyper : the encoded hyper-parameters, with gamma_k in its place.
    vectors, scalars : the state before; vectors_after, scalars_after : after. weight : what the step returned.
    """

    k: int
    f: float
    g2: float
    x: Vector
    g: Vector
    hyper: Vector
    vectors: Vector
    scalars: Vector
    x_next: Vector
    vectors_after: Vector
    scalars_after: Vector
    weight: float


class Transitions:
    """The kept iterations of a run, in the order of k: a sequence of Transition, and all of them at once by columns.

    rows : (T, numbers(p, ...)) float64, each row in the order in which the driver writes it: k, f, g2, weight; x, g,
        hyper, scalars and vectors before the step; x_next, scalars and vectors after it.
    columns : by the names of Transition: (T,) for numbers, (T, n) for arrays; views of the rows.
    """

    def __init__(self, rows: Vector, p: int, hyper: int, scalars: int, vectors: int) -> None:
        self.rows, self.shape = rows, (p, hyper, scalars, vectors)
        rows.setflags(write=False)
        sizes = {
            "k": 1, "f": 1, "g2": 1, "weight": 1, "x": p, "g": p, "hyper": hyper, "scalars": scalars,
            "vectors": vectors * p, "x_next": p, "scalars_after": scalars, "vectors_after": vectors * p,
        }  # fmt: skip
        columns: dict[str, Vector] = {}
        begin = 0
        for name, size in sizes.items():
            column = rows[:, begin : begin + size]
            begin += size
            if name.startswith("vectors"):
                column = column.reshape(len(rows), vectors, p)
                column.setflags(write=False)
            columns[name] = column[:, 0] if name in ("k", "f", "g2", "weight") else column
        self.columns = types.MappingProxyType(columns)

    def __reduce__(self) -> Any:
        return Transitions, (self.rows.copy(), *self.shape)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> Transition:
        values: dict[str, Any] = {name: column[i] for name, column in self.columns.items()}
        return Transition(**{**values, "k": int(values["k"])})

    def __iter__(self) -> Iterator[Transition]:
        return (self[i] for i in range(len(self)))


def numbers(p: int, hyper: int, scalars: int, vectors: int) -> int:
    """The number of float64 in one iteration."""
    return 4 + 3 * p + hyper + 2 * scalars + 2 * vectors * p


def kept_steps(steps: int, numbers: int, seed: str) -> Vector:
    """The k that are kept of 0 .. steps - 1, increasing; numbers: how many each of them holds.

    Some in each decade, and one in each part of the run, where a method cannot know: of the same seed the same. Where
    these hold too many numbers, the first, the last, and one in each of fewer parts.
    """
    rng, room = np.random.default_rng([*seed.encode(), steps]), max(2, KEPT_NUMBERS // numbers)

    def in_parts(parts: int) -> Any:
        ends = np.linspace(0, steps, min(steps, parts) + 1).astype(np.int64)
        return rng.integers(ends[:-1], ends[1:])

    regular = np.geomspace(1, steps, 2 + int(PER_DECADE * math.log10(steps))).astype(np.int64) - 1
    ks = np.concatenate([[0, 1, 2, steps - 1], regular, in_parts(max(PARTS, PART_NUMBERS // numbers))])
    ks = np.unique(ks[ks < steps])
    return ks if ks.size <= room else np.unique(np.concatenate([[0, steps - 1], in_parts(room - 2)]))


@helper
def write(numbers: Any, row: Any, at: int) -> int:
    """Write numbers one after the other into a row; returns the place after them."""
    for i in range(numbers.size):
        row[at + i] = numbers[i]
    return at + int(numbers.size)


@helper
def write_before(row: Any, k: int, f: float, g2: float, g: Any, x: Any, vectors: Any, scalars: Any, hyper: Any) -> int:
    """Write the inputs of a step; the weight is not known yet. Returns the place after them."""
    row[0], row[1], row[2] = k, f, g2
    at = write(hyper, row, write(g, row, write(x, row, 4)))
    at = write(scalars, row, at)
    for i in range(vectors.shape[0]):
        at = write(vectors[i], row, at)
    return int(at)


@helper
def write_after(row: Any, at: int, w: float, x_next: Any, vectors: Any, scalars: Any) -> None:
    """Write the outcome of a step."""
    row[3] = w
    at = write(scalars, row, write(x_next, row, at))
    for i in range(vectors.shape[0]):
        at = write(vectors[i], row, at)


@dataclass(frozen=True)
class Outcome:
    """The outcome of a step: x_{k+1}, the state after, and the weight of x_k."""

    x_next: Vector
    vectors: Vector
    scalars: Vector
    weight: Vector

    def parts(self) -> tuple[Vector, ...]:
        """The four arrays."""
        return self.x_next, self.vectors, self.scalars, self.weight


def run_step(step: Callable[..., float], t: Transition, x_next: float = 0.0) -> Outcome:
    """Run the step as plain Python on copies of a transition's inputs; g, x and hyper are read-only.

    x_next : what stands in x_{k+1} before the step writes it.
    """
    read_only = [np.array(array) for array in (t.g, t.x, t.hyper)]
    for array in read_only:
        array.setflags(write=False)
    g, x, hyper = read_only
    after = np.full(x.size, x_next)
    vectors, scalars = t.vectors.copy(), t.scalars.copy()
    with np.errstate(all="ignore"):
        weight = step(t.k, t.f, t.g2, g, x, after, vectors, scalars, hyper)
    return Outcome(after, vectors, scalars, np.array([weight], dtype=np.float64))


def within_range(t: Transition) -> bool:
    """True where squares of the step's outcome are normal numbers; beyond, no rounding is relative."""
    sizes = np.abs(np.concatenate([t.scalars_after, [t.weight], [t.f]]))
    sizes = sizes[sizes > 0]
    return not (np.any(sizes < SMALLEST_SQUARE) or np.any(sizes > LARGEST_SQUARE))


def replayed(transitions: Transitions) -> list[Transition]:
    """The transitions that are replayed: spread over the run, as many as REPLAYED_COORDINATES allow."""
    if not len(transitions):
        return []
    count = max(1, min(len(transitions), REPLAYED, REPLAYED_COORDINATES // transitions[0].x.size))
    at = np.unique(np.linspace(len(transitions) - 1, 0, count).astype(np.int64))
    return [transitions[i] for i in at]


def replay_error(step: Callable[..., float], t: Transition) -> float:
    """The largest difference of the compiled step to its plain Python function, in units of the allowed rounding.

    At most 1 where the two agree. The allowed rounding is measured: the function is run again on inputs that are
    changed by a few roundings. Plain Python raises for roots of negative numbers and divisions by zero, where compiled
    code goes on with NaN: then 0 if the compiled step left something that is not finite, else infinite.
    """
    found = Outcome(t.x_next, t.vectors_after, t.scalars_after, np.array([t.weight]))
    try:
        expected = run_step(step, t)
    except (ArithmeticError, ValueError):
        return 0.0 if not all(np.isfinite(part).all() for part in found.parts()) else math.inf
    moved = [np.zeros_like(part) for part in expected.parts()]
    rng = np.random.default_rng(t.k)
    for _ in range(NUDGES):
        nudged = expected
        with contextlib.suppress(ArithmeticError, ValueError):
            nudged = run_step(step, _nudged(t, rng))
        for room, part, there in zip(moved, expected.parts(), nudged.parts(), strict=True):
            with np.errstate(invalid="ignore"):
                np.maximum(room, np.abs(there - part), out=room)
    worst, usual = 0.0, max(float(np.abs(numbers).max(initial=0.0)) for numbers in (t.x, t.vectors, t.scalars))
    for room, part, there in zip(moved, expected.parts(), found.parts(), strict=True):
        with np.errstate(all="ignore"):
            off = np.abs(there - part)
            allowed = SLACK * (room + np.finfo(float).eps * np.maximum(np.abs(part), np.abs(there))) + 1e-300
            ratio = np.where((there == part) | (np.isnan(there) & np.isnan(part)), 0.0, off / allowed)
            # a number that rounding decides, as d_hat when s returns to 0, is not compared
            ratio = np.where(room > MOSTLY_ROUNDING * np.maximum(np.abs(part), usual), 0.0, ratio)
        ratio = np.where(np.isnan(ratio), math.inf, ratio)
        worst = max(worst, float(ratio.max(initial=0.0)))
    return worst


def _nudged(t: Transition, rng: np.random.Generator) -> Transition:
    size = NUDGE * (t.x.size + 16) * np.finfo(float).eps

    def near(array: Vector) -> Vector:
        return array * (1.0 + size * rng.choice((-1.0, 1.0), size=array.shape) * rng.uniform(0.3, 1.0, array.shape))

    with np.errstate(all="ignore"):
        return Transition(
            t.k, t.f * (1 + size), t.g2 * (1 + size), near(t.x), near(t.g),
            np.where(t.hyper == np.round(t.hyper), t.hyper, near(t.hyper)),  # flags, counts and choices stay
            near(t.vectors), near(t.scalars),
            t.x_next, t.vectors_after, t.scalars_after, t.weight,
        )  # fmt: skip


def place(error: BaseException, function: Any) -> str:
    """File and line in a function's file where an exception arose; where the function begins, if it is from outside."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:  # of an object that can be called, or of a function in C
        return type(function).__name__
    line, trace = code.co_firstlineno, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == code.co_filename:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"{code.co_filename}, line {line}"
