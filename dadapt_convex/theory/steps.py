"""Definitions: single iterations held against the papers' recursions, written once more in plain NumPy.

A file of the library writes a method's iteration as a function of `Steps`, the iterations that a run kept whole, all
at once: scalars are columns (T, 1), vectors are (T, p). It returns what x_{k+1}, the state and the weight must be, by
name; `definition` makes a theorem of it, and is told where the state that it reads starts. Nothing of the compiled step
is used.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dadapt_convex.oracle import Vector
from dadapt_convex.run import Run
from dadapt_convex.theory.case import Missing, Values
from dadapt_convex.theory.rounded import EPS, Rounded, rounded
from dadapt_convex.theory.statement import DEFINITION, StepCheck, Theorem, proof_of

# The compiled step sums in another order, divides by multiplying, and fuses; each costs no more than one evaluation.
ORDERS = 4.0
# A length of no more than so many times its error is rounding alone.
ROUNDING_ALONE = 16.0


class Steps:
    """The kept iterations of a run. What the state holds before them is an attribute by its name (steps.d is d_k).

    k, f, g2, factor (the schedule's), weight : (T, 1); x, g, x_next : (T, p); hyper : by name; after : the state
    after the step, by name, with x_next and weight.
    """

    def __init__(self, run: Run) -> None:
        seen, method = run.transitions.columns, run.method
        self.hyper = Values(run.hyper)
        self.k = seen["k"][:, None]
        self.f, self.g2 = Rounded(seen["f"][:, None]), Rounded(seen["g2"][:, None])
        self.x, self.g = Rounded(seen["x"]), Rounded(seen["g"])
        at = method.scheduled
        self.factor = seen["hyper"][:, at, None] if at >= 0 else np.ones_like(self.k)
        self.after: dict[str, Vector] = {"x_next": seen["x_next"], "weight": seen["weight"][:, None]}
        self.before: dict[str, Rounded] = {}
        self.read: set[str] = set()  # names of the state
        for i, name in enumerate(method.vectors):
            self.before[name] = Rounded(seen["vectors"][:, i])
            self.after[name] = seen["vectors_after"][:, i]
        for i, name in enumerate(method.scalars):
            self.before[name] = Rounded(seen["scalars"][:, i, None])
            self.after[name] = seen["scalars_after"][:, i, None]

    def __getattr__(self, name: str) -> Rounded:
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in self.before:
            raise Missing("the state", name, self.before)
        self.read.add(name)
        return self.before[name]

    def after_the_first(self, name: str, first: Any) -> Any:
        """The state by name, and `first` in its place at k = 0, wherever it starts."""
        read = set(self.read)
        later = getattr(self, name)
        self.read = read
        return np.where(self.k == 0, first, later)


def dot(u: Any, v: Any) -> Rounded:
    """<u, v> for each iteration, (T, 1)."""
    return (rounded(u) * v).sum(axis=1, keepdims=True)


def norm(u: Any) -> Rounded:
    """||u||."""
    length: Rounded = np.sqrt(dot(u, u))  # type: ignore[assignment]
    return length


def norm1(u: Any) -> Rounded:
    """||u||_1."""
    return np.abs(rounded(u)).sum(axis=1, keepdims=True)


def rest(beta: Any) -> Rounded:
    """1 - beta, with the error of a compiler that multiplies it out."""
    return Rounded(1 - beta, EPS)


def larger(d: Any, d_hat: Any, growth_rate: float = np.inf) -> Any:
    """d_{k+1} = max(d_k, min(d_hat_{k+1}, growth_rate d_k))."""
    return np.maximum(d, d_hat if growth_rate == np.inf else np.minimum(d_hat, growth_rate * d))


def unless_zero(length: Any, estimate: Any, before: Any) -> Any:
    """The estimate, or the one before where s = 0 and it is 0/0. Nothing is known where s is mere rounding."""
    found = np.where(length.value > 0, estimate, before)
    unknown = (length.error > 0) & (length.value <= ROUNDING_ALONE * length.error)
    return Rounded(found.value, np.where(unknown, np.inf, found.error))


Recursion = Callable[[Steps], Mapping[str, Any]]


def definition(
    statement: str, *, source: str, schedule: str = "any", **start: Callable[[Values], Any]
) -> Callable[[Recursion], Theorem]:
    """Make a definition of a recursion: the values that it returns by name are held against those that the step left.

    Parameters
    ----------
    statement, source, schedule : str
        See Theorem; its name is the function's.
    **start
        By name, from the hyper-parameters: the state before k = 0, where it is not 0 (x0: where the run starts).
    """

    def make(recursion: Recursion) -> Theorem:
        @functools.wraps(recursion)
        def steps(run: Run) -> list[StepCheck]:
            if not len(run.transitions):
                return []
            seen = Steps(run)
            with np.errstate(all="ignore"):
                expected = recursion(seen)
            return [*_left(seen, expected), *_started(seen, {"x0": lambda h: run.x0, **start})]

        return Theorem(
            name=recursion.__name__,
            statement=statement,
            source=source,
            kind=DEFINITION,
            steps=steps,
            schedule=schedule,
            uses_optimum=False,
            proof=proof_of(recursion),
        )

    return make


def d0(h: Values) -> Any:
    """The start of d."""
    return h["d0"]


def _left(seen: Steps, expected: Mapping[str, Any]) -> list[StepCheck]:
    """Each name that the step left against its value from the recursion."""
    found: list[StepCheck] = []
    for name, value in expected.items():
        if name not in seen.after:
            raise Missing("the state", name, seen.after)
        found.extend(_compared(name, seen.k, seen.after[name], rounded(value)))
    return found


def _started(seen: Steps, starts: Mapping[str, Callable[[Values], Any]]) -> list[StepCheck]:
    """The state that the recursion reads, where it starts."""
    found: list[StepCheck] = []
    first = seen.k[:, 0] == 0
    for name in sorted(seen.read) if first.any() else ():
        value = rounded(starts[name](seen.hyper)) if name in starts else Rounded(0.0)
        found.extend(_compared(f"{name} at the start", seen.k[first], seen.before[name].value[first], value))
    return found


def _compared(name: str, ks: Vector, found: Vector, expected: Rounded) -> list[StepCheck]:
    """One check for each iteration: the coordinate that is farthest off."""
    value, error = np.broadcast_to(expected.value, found.shape), np.broadcast_to(expected.error, found.shape)
    with np.errstate(all="ignore"):
        off = np.abs(found - value) / (ORDERS * (error + EPS * np.abs(value)) + 1e-300)
        off = np.where(found == value, 0.0, off)
        off = np.where(np.isnan(off) | (np.isnan(value) & ~np.isnan(found)), np.inf, off)
        off = np.where(~np.isfinite(error) | (np.isnan(value) & np.isnan(found)), np.nan, off)  # nothing is known
    worst = np.argmax(np.where(np.isnan(off), -1.0, off), axis=1)
    worst = np.where(np.isnan(off).all(axis=1), 0, worst)
    rows = np.arange(len(found))
    at = zip(ks[:, 0], found[rows, worst], value[rows, worst], off[rows, worst], strict=True)
    return [StepCheck(int(k), name, float(a), float(b), float(c)) for k, a, b, c in at]
