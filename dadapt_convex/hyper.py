"""Hyper-parameters by name: what they mean, which values they may have, and what compiled steps read.

    class Hyper(dc.Hyper):
        d0 = dc.Real(meaning="a lower bound on D", default=1e-6, low=0.0)
        option = dc.Choice(meaning="the estimate of D", options=("I", "II"), default="I")
        schedule = dc.SCHEDULE

A step reads hyper.d0, a number; hyper.option_is_II, true or false; a Flag as true or false, a Pair as two numbers, and
hyper.schedule, the factor gamma_k.
"""

from __future__ import annotations

import contextlib
import functools
import keyword
import math
import types
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dadapt_convex.checks import as_float, as_tuple, check_distinct, check_name, did_you_mean, shown
from dadapt_convex.schedules import as_schedule

# Where a value comes from that the caller does not give.
KNOWN = ("D", "f_star", "G", "G_inf", "steps")
# The arguments of solve() itself, and the entries that a stochastic run records beside the hyper-parameters.
OF_SOLVE = frozenset(
    ("problem", "method", "steps", "epochs", "batch_size", "noise", "seed", "checkpoints", "optimum", "progress")
)


def _check_hyper_name(name: Any) -> None:
    if not (isinstance(name, str) and name.isidentifier() and not keyword.iskeyword(name)):
        raise ValueError(
            f"a hyper-parameter is passed to solve by its name, which must be an identifier, got {shown(name)}."
        )
    check_name("a hyper-parameter", name)
    if name in OF_SOLVE:
        raise ValueError(
            f"a hyper-parameter cannot be called {name}: solve({name}=...) means something else; rename it."
        )


def _check_range(name: str, low: Any, high: Any) -> None:
    ends = as_float(low), as_float(high)
    if None in ends or not low < high:
        raise ValueError(f"{name}: low must be a number below high, got low={shown(low)}, high={shown(high)}.")


class Parameter:
    """Base of the kinds of hyper-parameters; one without a name takes that of the attribute it is assigned to."""

    name: str
    meaning: str
    default: Any = None
    width: ClassVar[int] = 1  # how many numbers compiled steps read
    known: str | None = None
    when: tuple[str, str] | None = None
    unless: tuple[str, str] | None = None

    def __set_name__(self, owner: type, name: str) -> None:
        if not self.name:
            object.__setattr__(self, "name", name)

    def __post_init__(self) -> None:
        if self.name:
            self.check()

    def check(self) -> None:
        """Raise ValueError for an impossible name or default."""

    def encode(self, value: Any) -> Any:
        """The numbers that compiled steps read; ValueError where the value is out of range."""
        raise NotImplementedError

    def recorded(self, value: Any) -> Any:
        """The value as a run records it; ValueError where it is out of range."""
        raise NotImplementedError

    def range(self) -> str:
        raise NotImplementedError

    def __get__(self, hyper: Any, owner: type) -> Any:
        return self if hyper is None else self.read(hyper.numbers, hyper.at[self.name])

    def read(self, numbers: Any, at: int) -> Any:
        """The value from the numbers that compiled steps read, where it begins at `at`."""
        return numbers[at]


@dataclass(frozen=True)
class Real(Parameter):
    """A real hyper-parameter with low < value (or low <= value where closed) < high.

    default None: it must be known, see `known`. known: where it comes from when the caller gives none: "D"
    or "f_star" (the problem's certified optimum), "G" or "G_inf" (the problem), "steps" (the number of steps).
    when: (name, option): in use only with that value of a Choice declared before it; None otherwise.
    unless: (name, value): not in use with that value of a hyper-parameter declared before it.
    infinite: whether the value may be infinite, which then means that it sets no bound.
    """

    name: str = ""
    meaning: str = ""
    default: float | None = None
    low: float = -math.inf
    high: float = math.inf
    closed: bool = False
    known: str | None = None
    when: tuple[str, str] | None = None
    unless: tuple[str, str] | None = None
    infinite: bool = False

    def check(self) -> None:
        _check_hyper_name(self.name)
        _check_range(self.name, self.low, self.high)
        if self.known not in (None, *KNOWN):
            raise ValueError(f"{self.name}: known must be one of {', '.join(KNOWN)} or None, got {shown(self.known)}.")
        for word in ("when", "unless"):
            pair = getattr(self, word)
            if pair is not None and not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)):
                raise ValueError(f"{self.name}: {word} must be a pair (name, value) or None, got {shown(pair)}.")
        if self.default is not None:
            self.encode(self.default)

    def encode(self, value: Any) -> float:
        """The number that compiled steps read (0 for one not in use); ValueError where it is out of range."""
        if value is None and (self.when is not None or self.unless is not None):
            return 0.0
        number = as_float(value)
        if number is None:
            raise ValueError(f"{self.name} must be a number within float64, got {shown(value)}; it is {self.meaning}.")
        above = number >= self.low if self.closed else number > self.low
        inside = self.infinite if number == math.inf else above and number < self.high
        if not inside:
            raise ValueError(f"{self.name} must be {self.range()}, got {shown(value)}; it is {self.meaning}.")
        return number

    def recorded(self, value: Any) -> float:
        return self.encode(value)

    def range(self) -> str:
        if self.infinite:
            return f"{'at least' if self.closed else 'above'} {self.low:g}, or inf"
        if self.low == 0 and self.high == math.inf:
            return "nonnegative and finite" if self.closed else "positive and finite"
        if self.low == -math.inf and self.high == math.inf:
            return "a finite number"
        return f"in {'[' if self.closed else '('}{self.low:g}, {self.high:g})"


@dataclass(frozen=True)
class Choice(Parameter):
    """A hyper-parameter with a few named values; a step asks hyper.name_is_option, true or false."""

    name: str = ""
    meaning: str = ""
    options: tuple[str, ...] = ()
    default: str = ""

    def check(self) -> None:
        _check_hyper_name(self.name)
        object.__setattr__(self, "options", as_tuple(f"{self.name}: options", self.options, "texts"))
        for option in self.options:
            check_name(f"{self.name}: an option", option)
        check_distinct(f"{self.name}: options", self.options)
        self.encode(self.default)

    def encode(self, value: Any) -> float:
        """The index of the option as a float; ValueError where there is no such option."""
        if not (isinstance(value, str) and value in self.options):
            raise ValueError(
                f"{self.name} must be one of {', '.join(map(repr, self.options))}, got {shown(value)}; "
                f"it is {self.meaning}."
            )
        return float(self.options.index(value))

    def recorded(self, value: Any) -> str:
        return str(value)

    def range(self) -> str:
        return " or ".join(self.options)

    def read(self, numbers: Any, at: int) -> Any:
        """AttributeError: a step asks for one option; see absent."""
        raise AttributeError(self.name)


@dataclass(frozen=True)
class Flag(Parameter):
    """A hyper-parameter that is True or False, or the texts "true" and "false" of a label."""

    name: str = ""
    meaning: str = ""
    default: bool = False

    def check(self) -> None:
        _check_hyper_name(self.name)
        self.encode(self.default)

    def encode(self, value: Any) -> float:
        """1 or 0; ValueError for anything else."""
        return float(self.recorded(value))

    def recorded(self, value: Any) -> bool:
        if isinstance(value, bool | np.bool):
            return bool(value)
        if isinstance(value, str) and value.strip().lower() in ("true", "false"):
            return value.strip().lower() == "true"
        raise ValueError(f"{self.name} must be {self.range()}, got {shown(value)}; it is {self.meaning}.")

    def range(self) -> str:
        return "True or False"

    def read(self, numbers: Any, at: int) -> bool:
        return bool(numbers[at] != 0.0)


@dataclass(frozen=True)
class Pair(Parameter):
    """Two numbers in [low, high) under one name, as Adam's betas: a pair, or the text "0.9 0.999" of a label.

    A step reads both, beta1, beta2 = hyper.betas; runs record the tuple.
    """

    name: str = ""
    meaning: str = ""
    default: tuple[float, float] = (0.0, 0.0)
    low: float = -math.inf
    high: float = math.inf

    width: ClassVar[int] = 2

    def check(self) -> None:
        _check_hyper_name(self.name)
        _check_range(self.name, self.low, self.high)
        object.__setattr__(self, "default", self.recorded(self.default))

    def encode(self, value: Any) -> tuple[float, float]:
        """The two numbers; ValueError where they are not two, or one is out of range."""
        return self.recorded(value)

    def recorded(self, value: Any) -> tuple[float, float]:
        numbers: list[float | None] = []
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                numbers = [float(part) for part in value.split()]
        elif isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim == 1):
            numbers = [as_float(part) for part in value]
        match numbers:
            case [float(first), float(second)] if all(self.low <= number < self.high for number in (first, second)):
                return first, second
        raise ValueError(f"{self.name} must be {self.range()}, got {shown(value)}; they are {self.meaning}.")

    def range(self) -> str:
        return f"two numbers in [{self.low:g}, {self.high:g})"

    def read(self, numbers: Any, at: int) -> tuple[Any, Any]:
        return numbers[at], numbers[at + 1]


@dataclass(frozen=True)
class Scheduled(Parameter):
    """The learning-rate schedule: hyper.schedule is gamma_k, which the driver writes there before step k.

    Values are what dadapt_convex.schedules.as_schedule takes; runs record the text.
    """

    name: str = "schedule"
    meaning: str = "the factor gamma_k of the step at k"
    default: str = "constant"

    def encode(self, value: Any) -> float:
        """The placeholder until the driver writes gamma_k."""
        return 1.0

    def recorded(self, value: Any) -> str:
        return str(as_schedule(value))

    def range(self) -> str:
        return "a schedule, such as 'cosine' or 'stagewise(60 80 95)'"


SCHEDULE = Scheduled()


def absent(name: str, names: Iterable[str]) -> str:
    """The sentence for a hyper-parameter that a step reads and that is none of the names it can read."""
    names = list(names)
    if asked := [f"hyper.{other}" for other in names if other.startswith(f"{name}_is_")]:
        return f"a step asks {' or '.join(asked)}, true or false; there is no hyper.{name}."
    hint = did_you_mean(name, names)
    there_are = f"{hint} There are" if hint else "there are"
    return f"there is no hyper-parameter {name!r}; {there_are} {', '.join(names) or 'none'}."


def unwritten(name: str) -> str:
    """The sentence for a hyper-parameter that a step writes."""
    return f"a step reads hyper.{name} and never writes it; a number that changes belongs to the state."


# What may stand beside the names that a class declares.
BESIDE = (types.FunctionType, property, functools.cached_property, classmethod, staticmethod)


def declared(cls: type, base: type, kind: type, made_by: str) -> dict[str, Any]:
    """The values of this kind that a class and its bases declare, by name; ValueError for values of other kinds.

    Functions and properties may stand beside them.
    """
    found: dict[str, Any] = {}
    for owner in reversed(cls.__mro__):
        for name, value in vars(owner).items():
            if isinstance(value, kind):
                found[name] = value
            elif name in found or not (
                issubclass(base, owner)
                or name in vars(base)
                or (name.startswith("__") and name.endswith("__"))
                or isinstance(value, BESIDE)
            ):
                raise ValueError(f"{cls.__qualname__}: {name} must be made by {made_by}, got {shown(value)}.")
    return found


class Hyper:
    """Base of the hyper-parameters of a method: those of its bases, then its own, in the order of their lines.

    numbers : (width of all,) float64, or a sequence of any type of number.
    """

    parameters: ClassVar[tuple[Parameter, ...]] = ()
    at: ClassVar[dict[str, int]] = {}  # by name: the first of its numbers
    options: ClassVar[dict[str, tuple[int, int]]] = {}  # by "name_is_option": where the index stands, and the index

    def __init_subclass__(cls) -> None:
        found = declared(cls, Hyper, Parameter, "dc.Real, dc.Choice, dc.Flag or dc.Pair, or be dc.SCHEDULE")
        for name, parameter in found.items():
            parameter.check()
            if name != parameter.name:
                raise ValueError(
                    f"{cls.__qualname__}: the hyper-parameter {parameter.name} stands under the name {name}; give both "
                    f"one name, as replace(..., name={name!r}) does."
                )
        if taken := sorted(set(found) & {*dir(Hyper), "numbers"}):
            raise ValueError(f"{cls.__qualname__}: {', '.join(taken)} means something else here; rename it.")
        cls.parameters, cls.at, cls.options = tuple(found.values()), {}, {}
        at, taken = 0, []
        for parameter in cls.parameters:
            cls.at[parameter.name] = at
            if isinstance(parameter, Choice):
                asked = {f"{parameter.name}_is_{o}": (at, i) for i, o in enumerate(parameter.options)}
                taken += asked.keys() & cls.options.keys()
                cls.options |= asked
            at += parameter.width
        if taken := sorted([*taken, *(cls.options.keys() & cls.at.keys())]):
            raise ValueError(f"{cls.__qualname__}: {', '.join(taken)} asks for an option already; rename it.")

    numbers: Any

    def __init__(self, numbers: Any) -> None:
        object.__setattr__(self, "numbers", numbers)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(unwritten(name))

    def __getattr__(self, name: str) -> Any:
        if name not in self.options:
            raise AttributeError(absent(name, [value for value, *_ in self.layout()]))
        at, option = self.options[name]
        return bool(self.numbers[at] == option)

    @classmethod
    def layout(cls) -> tuple[tuple[str, str, int, int], ...]:
        """(attribute, "number", "flag", "pair" or "option", where it stands, the index of the option)."""
        kinds = {Flag: "flag", Pair: "pair"}
        values = [(p.name, kinds.get(type(p), "number"), cls.at[p.name], 0) for p in cls.parameters]
        return tuple(v for v, p in zip(values, cls.parameters, strict=True) if not isinstance(p, Choice)) + tuple(
            (name, "option", *where) for name, where in cls.options.items()
        )
