"""Learning-rate schedules: factors gamma_k >= 0 of the step, usable with every method.

A schedule is a value with a text form, which the command line takes and results record:

    constant                  1
    stagewise(60 80 95)       1, divided by 10 after 60, 80 and 95 epochs;   stagewise(30 60, divide_by=2)
    linear, linear(0.1)       from 1 down to 0 (to 0.1) along a line
    cosine, cosine(0.1)       the same along half a cosine
    polynomial(2)             (1 - k / steps)^2;                             polynomial(2, end=0.1)
    inverse_sqrt              1 / sqrt(k + 1)
    warmup(5), warmup(5, cosine)   up along a line during 5 epochs, then the other schedule for what is left

k = 0, 1, ... counts steps, of which a run has `steps` and an epoch `per_epoch`: ceil(m / batch_size) with mini-batches,
1 otherwise. The last step is k = steps - 1: linear and cosine come near their end without reaching it, so that no
step is lost. Any function k -> factor is a schedule too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from dadapt_convex.checks import Fault, as_float, did_you_mean, shown
from dadapt_convex.oracle import Vector
from dadapt_convex.portable import Portable
from dadapt_convex.transitions import place

CHECKED_AT_ONCE = 1 << 20


class Schedule(Portable):
    """Base of all schedules: `factors(k, steps, per_epoch)` for an array k."""

    def _function(self) -> Any:
        return type(self)

    def factors(self, k: Any, steps: int, per_epoch: int) -> Vector:
        """gamma_k for each of these k."""
        raise NotImplementedError

    @property
    def constant(self) -> bool:
        """True where every factor is 1."""
        return False

    @property
    def certain(self) -> bool:
        """True where the parameters alone show that every factor is nonnegative and finite."""
        return False


# Of a product that would be a whole number of steps: 0.07 epochs of 100 steps are 7.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Constant(Schedule):
    """gamma_k = 1."""

    def factors(self, k: Any, steps: int, per_epoch: int) -> Vector:
        return np.ones(np.shape(k))

    @property
    def constant(self) -> bool:
        return True

    @property
    def certain(self) -> bool:
        return True

    def __str__(self) -> str:
        return "constant"


@dataclass(frozen=True)
class Stagewise(Schedule):
    """Divided by `divide_by` after each of these numbers of epochs."""

    epochs: tuple[float, ...]
    divide_by: float = 10.0

    def __post_init__(self) -> None:
        given = self.epochs
        several = isinstance(given, list | tuple) or (isinstance(given, np.ndarray) and given.ndim == 1)
        epochs = [as_float(e) for e in given] if several else []
        if not epochs or not all(e is not None and 0 < e < math.inf for e in epochs):
            raise ValueError(f"stagewise takes positive numbers of epochs, got {shown(given)}.")
        object.__setattr__(self, "epochs", tuple(epochs))
        object.__setattr__(self, "divide_by", _positive("divide_by", self.divide_by))

    def factors(self, k: Any, steps: int, per_epoch: int) -> Vector:
        """1 / divide_by^(number of stages that are over)."""
        over = np.searchsorted(np.sort(self.epochs), np.asarray(k) / per_epoch, side="right")
        with np.errstate(over="ignore", divide="ignore"):  # a power out of range: 0, or infinite and refused
            return 1.0 / self.divide_by ** over.astype(np.float64)

    @property
    def certain(self) -> bool:
        return self.divide_by >= 1  # factors decrease

    def __str__(self) -> str:
        epochs = " ".join(map(_text, self.epochs))
        divide_by = "" if self.divide_by == 10 else f", divide_by={_text(self.divide_by)}"
        return f"stagewise({epochs}{divide_by})"


@dataclass(frozen=True)
class Polynomial(Schedule):
    """end + (1 - end) (1 - k / steps)^power."""

    power: float
    end: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "end", _end(self.end))
        object.__setattr__(self, "power", _positive("power", self.power))

    def factors(self, k: Any, steps: int, per_epoch: int) -> Vector:
        return self.end + (1 - self.end) * (1 - np.asarray(k) / steps) ** self.power

    @property
    def certain(self) -> bool:
        return True  # factors lie between end and 1

    def __str__(self) -> str:
        end = "" if self.end == 0 else f", end={_text(self.end)}"
        return f"polynomial({_text(self.power)}{end})"


@dataclass(frozen=True)
class Linear(Schedule):
    """end + (1 - end) (1 - k / steps)."""

    end: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "end", _end(self.end))

    def factors(self, k: Any, steps: int, per_epoch: int) -> Vector:
        return self.end + (1 - self.end) * (1 - np.asarray(k) / steps)

    @property
    def certain(self) -> bool:
        return True  # factors lie between end and 1

    def __str__(self) -> str:
        return "linear" if self.end == 0 else f"linear({_text(self.end)})"


@dataclass(frozen=True)
class Cosine(Schedule):
    """end + (1 - end) (1 + cos(pi k / steps)) / 2."""

    end: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "end", _end(self.end))

    def factors(self, k: Any, steps: int, per_epoch: int) -> Vector:
        return self.end + (1 - self.end) * (1 + np.cos(np.pi * np.asarray(k) / steps)) / 2

    @property
    def certain(self) -> bool:
        return True  # factors lie between end and 1

    def __str__(self) -> str:
        return "cosine" if self.end == 0 else f"cosine({_text(self.end)})"


@dataclass(frozen=True)
class InverseSqrt(Schedule):
    """1 / sqrt(k + 1)."""

    def factors(self, k: Any, steps: int, per_epoch: int) -> Vector:
        return 1 / np.sqrt(np.asarray(k) + 1.0)

    @property
    def certain(self) -> bool:
        return True  # factors lie between 0 and 1

    def __str__(self) -> str:
        return "inverse_sqrt"


@dataclass(frozen=True)
class Warmup(Schedule):
    """(k + 1) / w during the first w = ceil(epochs per_epoch) steps, then `then` from its own k = 0 for the rest."""

    epochs: float
    then: Schedule = Constant()

    def __post_init__(self) -> None:
        object.__setattr__(self, "epochs", _positive("the epochs of warmup", self.epochs))
        object.__setattr__(self, "then", as_schedule(self.then))

    def factors(self, k: Any, steps: int, per_epoch: int) -> Vector:
        k, w = np.asarray(k), math.ceil(self.epochs * per_epoch * (1 - ROUNDING))
        after = self.then.factors(np.maximum(k - w, 0), max(steps - w, 1), per_epoch)
        return np.where(k < w, (k + 1) / w, after)

    @property
    def certain(self) -> bool:
        return self.then.certain

    def __str__(self) -> str:
        then = "" if self.then.constant else f", {self.then}"
        return f"warmup({_text(self.epochs)}{then})"


@dataclass(frozen=True)
class Custom(Schedule):
    """A function k -> gamma_k of one's own."""

    function: Callable[[int], float]

    def factors(self, k: Any, steps: int, per_epoch: int) -> Vector:
        """The function at each k."""
        found = np.empty(np.size(k))
        for at, i in enumerate(np.atleast_1d(k).tolist()):
            value = self.function(i)
            number = as_float(value)
            if number is None:
                raise Fault(f"schedule must give a number for each k, got {shown(value)} from {self} at k = {i}")
            found[at] = number
        return found

    def __str__(self) -> str:
        return f"custom({getattr(self.function, '__name__', type(self.function).__name__)})"


def _end(end: Any) -> float:
    number = as_float(end)
    if number is None or not 0 <= number <= 1:
        raise ValueError(f"end, the factor at the end, must be in [0, 1], got {shown(end)}.")
    return number


def _positive(name: str, value: Any) -> float:
    number = as_float(value)
    if number is None or not 0 < number < math.inf:
        raise ValueError(f"{name} must be positive and finite, got {shown(value)}.")
    return number


def _text(number: float) -> str:
    """The shortest text that reads back as this number."""
    return repr(float(number)).removesuffix(".0")


KINDS: dict[str, type[Any]] = {
    "constant": Constant,
    "stagewise": Stagewise,
    "linear": Linear,
    "cosine": Cosine,
    "polynomial": Polynomial,
    "inverse_sqrt": InverseSqrt,
    "warmup": Warmup,
}
TEXT = re.compile(r"\s*(?P<name>\w+)\s*(?:\((?P<inside>.*)\))?\s*")


def as_schedule(value: Any) -> Schedule:
    """The schedule that a value stands for: a Schedule, its text, a function k -> factor, or None for constant.

    Raises ValueError for anything else.
    """
    if value is None:
        return Constant()
    if isinstance(value, Schedule):
        return value
    if isinstance(value, str):
        return _parsed(value)
    if callable(value):
        return Custom(value)
    raise ValueError(
        f"schedule must be a Schedule, its text, or a function of k, got {shown(value)}; {', '.join(KINDS)} are known."
    )


def _parsed(text: str) -> Schedule:
    match = TEXT.fullmatch(text)
    if match is None or match["name"] not in KINDS:
        hint = did_you_mean(text.partition("(")[0].strip(), KINDS)
        raise ValueError(
            f"unknown schedule {shown(text)}; {f'{hint} There are' if hint else 'there are'} {', '.join(KINDS)}."
        )
    name, kind = match["name"], KINDS[match["name"]]
    given: list[Any] = []
    named: dict[str, float] = {}
    for part in _arguments(match["inside"] or ""):
        key, equals, value = part.partition("=")
        if equals and key.strip().isidentifier():
            if key.strip() in named:
                raise ValueError(f"{key.strip()} stands twice in the schedule {text!r}.")
            named[key.strip()] = _number(value, text)
        elif part[:1].isalpha():
            given.append(_parsed(part))
        else:
            numbers = tuple(_number(word, text) for word in part.split())
            if name == "stagewise":  # epochs may be separated by commas too; divide_by goes by its name
                given = [(*given[0], *numbers)] if given else [numbers]
            else:
                given.append(numbers[0] if len(numbers) == 1 else numbers)
    known = [f.name for f in fields(kind)]
    if len(given) > len(known) or not set(named) <= set(known) - set(known[: len(given)]):
        raise ValueError(f"{name} takes {', '.join(known) or 'nothing'}, got {text!r}.")
    try:
        return kind(*given, **named)
    except TypeError:
        raise ValueError(f"{name} takes {', '.join(known) or 'nothing'}, got {text!r}.") from None


def _arguments(inside: str) -> list[str]:
    """Split at commas that stand in no brackets of their own."""
    parts, depth = [""], 0
    for letter in inside:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def _number(word: str, text: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise ValueError(
            f"{word.strip()!r} in the schedule {text!r} is no number; commas separate it from others, as in "
            "warmup(5, cosine)."
        ) from None


def check_factors(schedule: Schedule, steps: int, per_epoch: int) -> None:
    """Raise ValueError where a factor of the run is negative or not finite, before any work."""
    if schedule.certain:
        return
    for first in range(0, steps, CHECKED_AT_ONCE):
        k = np.arange(first, min(first + CHECKED_AT_ONCE, steps))
        try:
            factors_of(schedule, k, steps, per_epoch)
        except Fault as error:
            raise ValueError(f"{error}.") from error.__cause__


def factors_of(schedule: Schedule, k: Any, steps: int, per_epoch: int) -> Vector:
    """gamma_k for each of these k; Fault where the schedule fails, or one is no number, negative or not finite."""
    try:
        found = schedule.factors(k, steps, per_epoch)
    except Fault:
        raise
    except Exception as error:
        what = shown(error, 200)
        where = place(error, getattr(schedule, "function", type(schedule).factors))
        raise Fault(f"schedule {schedule} fails: {what} ({where})") from error
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "iuf":
        raise Fault(f"schedule must give an array of real numbers, got {shown(found)} from {shown(schedule)}")
    if found.shape != k.shape:
        raise Fault(f"schedule must give a factor for each k, got shape {found.shape} for {k.shape}")
    good = np.isfinite(found) & (found >= 0)
    if not good.all():
        i = int(np.argmin(good))
        raise Fault(f"schedule must be nonnegative and finite, got {found[i]} at k = {k[i]} from {schedule}")
    return np.ascontiguousarray(found, dtype=np.float64)
