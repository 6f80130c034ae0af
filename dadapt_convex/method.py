"""What a method is: hyper-parameters, state, step, and the theorems it claims.

A method is a value. The driver owns everything that is not mathematics of the method: the oracle calls, the
averages, the best iterate, the trace. See methods/dadapt_dual_averaging.py for one to copy.
"""

from __future__ import annotations

import contextlib
import importlib
import keyword
import math
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from dadapt_convex.checks import (
    LONGEST_NAME,
    as_float,
    as_tuple,
    check_callable,
    check_distinct,
    check_name,
    did_you_mean,
    shown,
)
from dadapt_convex.oracle import Kernel, Vector
from dadapt_convex.portable import Portable
from dadapt_convex.schedules import as_schedule


@dataclass(frozen=True)
class Real:
    """A real hyper-parameter with low < value (or low <= value where closed) < high.

    default None: it must be known, see `known`. known: where it comes from when the caller gives none: "D"
    or "f_star" (the problem's certified optimum), "G" or "G_inf" (the problem), "steps" (the number of steps).
    when: (name, option): in use only with that value of a Choice declared before it; None otherwise.
    unless: (name, value): not in use with that value of a hyper-parameter declared before it.
    infinite: whether the value may be infinite, which then means that it sets no bound.
    """

    name: str
    meaning: str
    default: float | None = None
    low: float = -math.inf
    high: float = math.inf
    closed: bool = False
    known: str | None = None
    when: tuple[str, str] | None = None
    unless: tuple[str, str] | None = None
    infinite: bool = False

    width: ClassVar[int] = 1

    def __post_init__(self) -> None:
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
        """What a run records."""
        return self.encode(value)

    def range(self) -> str:
        """The admissible range in words."""
        if self.infinite:
            return f"{'at least' if self.closed else 'above'} {self.low:g}, or inf"
        if self.low == 0 and self.high == math.inf:
            return "nonnegative and finite" if self.closed else "positive and finite"
        if self.low == -math.inf and self.high == math.inf:
            return "a finite number"
        return f"in {'[' if self.closed else '('}{self.low:g}, {self.high:g})"


@dataclass(frozen=True)
class Choice:
    """A hyper-parameter with a few named values; compiled steps read the index."""

    name: str
    meaning: str
    options: tuple[str, ...]
    default: str

    known: None = None
    when: None = None

    width: ClassVar[int] = 1

    def __post_init__(self) -> None:
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
        """What a run records."""
        return str(value)

    def range(self) -> str:
        """The admissible values in words."""
        return " or ".join(self.options)


@dataclass(frozen=True)
class Flag:
    """A hyper-parameter that is True or False, or the texts "true" and "false" of a label; steps read 1 or 0."""

    name: str
    meaning: str
    default: bool = False

    known: None = None
    when: None = None

    width: ClassVar[int] = 1

    def __post_init__(self) -> None:
        _check_hyper_name(self.name)
        self.encode(self.default)

    def encode(self, value: Any) -> float:
        """1 or 0; ValueError for anything else."""
        return float(self.recorded(value))

    def recorded(self, value: Any) -> bool:
        """What a run records."""
        if isinstance(value, bool | np.bool):
            return bool(value)
        if isinstance(value, str) and value.strip().lower() in ("true", "false"):
            return value.strip().lower() == "true"
        raise ValueError(f"{self.name} must be {self.range()}, got {shown(value)}; it is {self.meaning}.")

    def range(self) -> str:
        """The admissible values in words."""
        return "True or False"


@dataclass(frozen=True)
class Pair:
    """Two numbers in [low, high) under one name, as Adam's betas: a pair, or the text "0.9 0.999" of a label.

    Compiled steps read two entries; runs record the tuple.
    """

    name: str
    meaning: str
    default: tuple[float, float]
    low: float
    high: float

    known: None = None
    when: None = None

    width: ClassVar[int] = 2

    def __post_init__(self) -> None:
        _check_hyper_name(self.name)
        _check_range(self.name, self.low, self.high)
        object.__setattr__(self, "default", self.recorded(self.default))

    def encode(self, value: Any) -> tuple[float, float]:
        """The two numbers; ValueError where they are not two, or one is out of range."""
        return self.recorded(value)

    def recorded(self, value: Any) -> tuple[float, float]:
        """What a run records."""
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
        """The admissible values in words."""
        return f"two numbers in [{self.low:g}, {self.high:g})"


@dataclass(frozen=True)
class Scheduled:
    """The learning-rate schedule: the driver writes gamma_k to its place in `hyper` before step k.

    Values are what dadapt_convex.schedules.as_schedule takes; runs record the text.
    """

    name: str = "schedule"
    meaning: str = "the factor gamma_k of the step at k"
    default: str = "constant"

    known: None = None
    when: None = None

    width: ClassVar[int] = 1

    def encode(self, value: Any) -> float:
        """What stands there until the driver writes gamma_k."""
        return 1.0

    def recorded(self, value: Any) -> str:
        """What a run records; ValueError for what is no schedule."""
        return str(as_schedule(value))

    def range(self) -> str:
        """The admissible values in words."""
        return "a schedule, such as 'cosine' or 'stagewise(60 80 95)'"


# Where a value comes from that the caller does not give.
KNOWN = ("D", "f_star", "G", "G_inf", "steps")
# The arguments of solve() itself, and what a run of stochastic gradients records beside the hyper-parameters.
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


SCHEDULE = Scheduled()
Hyper = Real | Choice | Flag | Pair | Scheduled
Known = Callable[[str], tuple[float, str]]
Init = Callable[[Vector, Vector, Vector], None]


def no_init(vectors: Vector, scalars: Vector, hyper: Vector) -> None:
    """All state starts at zero."""


# Norms of the distance from x0 to the minimisers.
NORMS = ("euclidean", "maximum")
# What the driver records for every method; see dadapt_convex.run.
COLUMNS = frozenset(
    ("k", "f", "f_avg", "f_best", "f_mean", "g_norm", "g_max", "g0_norm", "x_dist", "x_next_dist", "S", "weight_sum")
    + ("sum_w2_g2", "sum_w_gx", "sum_w_g", "f_selected", "t", "selected_ratio", "seconds")
)
# With stochastic gradients too, and what definitions hold beside the state after a step.
TAKEN = COLUMNS | {"epoch", "f_batch", "accuracy", "x_next", "weight"}


@dataclass(frozen=True)
class Method(Portable):
    """A first-order method.

    Attributes
    ----------
    name : str
        The published name; also the file's.
    hyper : tuple of Real, Choice, Flag, Pair or SCHEDULE
        Encoded in this order (two entries for a Pair) into the float64 array `hyper` that the step reads.
    vectors : tuple of str
        Names of the rows of `vectors`, (len(vectors), p) float64. Row "x0" is filled by the driver.
    scalars : tuple of str
        Names of the entries of `scalars`; each is a column of the trace, except those that begin with "_".
        Values after step k belong to the trace row k + 1, as gamma_{k+1}, d_{k+1}, s_{k+1} do in the papers.
        What the driver records by itself (COLUMNS) is not for a method to name: theorems check one by the other.
    step : Kernel
        One iteration; see dadapt_convex.oracle. It must stay finite for g_k = 0 once some g_i was not zero.
        It returns the weight w_k of x_k: finite, and not negative.
    init : callable (vectors, scalars, hyper) -> None
        Sets the initial state in place; everything is zero before.
    claims : tuple of str or Theorem
        The theorems that `check` applies to its runs: names from dadapt_convex.theory, or one's own.
    select : str or None
        A scalar; the averaged iterate at the k that minimises it is kept too (the non-asymptotic theorems
        speak of that iterate): trace columns f_selected, t, selected_ratio.
    averages : bool
        Whether the output is the weighted average; where not, it is the last iterate, and the weights serve the sums
        of the basic inequalities alone (f_mean, sum_w2_g2, ...).
    title : str
        The name in figures and tables; left out, the published name with blanks for underscores.
    distance_norm : "euclidean" or "maximum"
        The norm of the distance D that the method's theory speaks of, and that d estimates.
    d_limit : float or None
        What a theorem says of d at the end of a long run: at least this share of D.
    """

    name: str
    reference: str
    summary: str
    step: Kernel
    hyper: tuple[Hyper, ...] = ()
    vectors: tuple[str, ...] = ("x0",)
    scalars: tuple[str, ...] = ()
    init: Init = no_init
    claims: tuple[Any, ...] = ()
    select: str | None = None
    averages: bool = True
    title: str = ""
    distance_norm: str = "euclidean"
    d_limit: float | None = None
    parameters: Mapping[str, Hyper] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_name("a method's name", self.name)
        if not isinstance(self.step, Kernel) or self.step.kind != "step":
            raise ValueError(f"{self.name}: step must be decorated with dc.step, got {shown(self.step)}.")
        check_callable(f"{self.name}: init", self.init, "(vectors, scalars, hyper) -> None")
        if not isinstance(self.averages, bool):
            raise ValueError(f"{self.name}: averages must be True or False, got {shown(self.averages)}.")
        self._check_presentation()
        self._check_hyper()
        self._check_state()
        object.__setattr__(self, "claims", as_tuple(f"{self.name}: claims", self.claims, "theorems or their names"))
        for claim in self.claims:
            if not isinstance(claim, str | Portable):
                raise ValueError(f"{self.name}: a claim is a Theorem or the name of one, got {shown(claim)}.")

    def _check_presentation(self) -> None:
        """What figures and tables ask."""
        if self.title == "":
            object.__setattr__(self, "title", self.name.replace("_", " "))
        check_name(f"{self.name}: title", self.title)
        if self.distance_norm not in NORMS:
            raise ValueError(
                f"{self.name}: distance_norm must be one of {', '.join(NORMS)}, got {shown(self.distance_norm)}."
            )
        if self.d_limit is not None and not 0 < (as_float(self.d_limit) or 0) <= 1:
            raise ValueError(
                f"{self.name}: d_limit must be a share of D, above 0 and at most 1, got {shown(self.d_limit)}."
            )

    def _check_hyper(self) -> None:
        """Distinct hyper-parameters, each in use for values of those before it."""
        object.__setattr__(self, "hyper", as_tuple(f"{self.name}: hyper", self.hyper, "dc.Real, dc.Choice, ..."))
        for h in self.hyper:
            if not isinstance(h, Hyper):
                raise ValueError(
                    f"{self.name}: hyper holds dc.Real, dc.Choice, dc.Flag, dc.Pair and dc.SCHEDULE, got {shown(h)}."
                )
        check_distinct(f"{self.name}: hyper", tuple(h.name for h in self.hyper))
        before: dict[str, Hyper] = {}
        for h in self.hyper:
            if (h.name == SCHEDULE.name) != isinstance(h, Scheduled):
                raise ValueError(
                    f"{self.name}: the schedule, and nothing else, is called schedule: put dc.SCHEDULE there."
                )
            for word in ("when", "unless"):
                self._check_condition(h, word, before)
            before[h.name] = h
        object.__setattr__(self, "parameters", before)

    def _check_condition(self, h: Hyper, word: str, before: Mapping[str, Hyper]) -> None:
        """`when` and `unless` speak of a value that a hyper-parameter declared before may have."""
        pair = getattr(h, word, None)
        if pair is None:
            return
        name, value = pair
        if name not in before:
            raise ValueError(
                f"{self.name}: {h.name} has {word}={pair!r}, and no hyper-parameter {name!r} is declared before it; "
                f"there are {', '.join(before) or 'none'}."
            )
        if word == "when" and not isinstance(before[name], Choice):
            raise ValueError(f"{self.name}: {h.name} has when={pair!r}, and {name} is no dc.Choice.")
        try:
            recorded = before[name].recorded(value)
            before[name].encode(value)
        except ValueError as error:
            raise ValueError(f"{self.name}: {h.name} has {word}={pair!r}, which never happens: {error}") from None
        if recorded != value:
            raise ValueError(
                f"{self.name}: {h.name} has {word}={pair!r}, which runs record as {recorded!r}; write that."
            )

    def _check_state(self) -> None:
        """Distinct identifiers that the trace has no other meaning for."""
        for what in ("vectors", "scalars"):
            object.__setattr__(self, what, as_tuple(f"{self.name}: {what}", getattr(self, what), "names"))
        state = (*self.vectors, *self.scalars)
        for name in state:
            if not (isinstance(name, str) and name.isidentifier() and len(name) <= LONGEST_NAME):
                raise ValueError(f"{self.name}: vectors and scalars are named by identifiers, got {shown(name)}.")
        check_distinct(f"{self.name}: vectors and scalars", state)
        if taken := sorted(set(state) & TAKEN):
            raise ValueError(
                f"{self.name}: {', '.join(taken)} of its state are columns of the trace already, or what every step "
                f"leaves; rename them. A name that begins with _ stays out of the trace."
            )
        if self.select is not None and self.select not in self.scalars:
            raise ValueError(f"{self.name}: select={shown(self.select)} is none of its scalars {self.scalars}.")

    def _function(self) -> Any:
        return self.step.python

    def complete(self, given: Mapping[str, Any], known: Known) -> tuple[dict[str, Any], dict[str, str]]:
        """All hyper-parameters by name, and for those taken from what is known: where from.

        Raises ValueError for an unknown name or a value out of range; known(what) -> (value, where from) is
        asked only for what was not given.
        """
        for name in given:
            if name not in self.parameters:
                hint = did_you_mean(name, self.parameters)
                raise ValueError(
                    f"{self.name} has no hyper-parameter {shown(name)}; {f'{hint} There are' if hint else 'it has'} "
                    f"{', '.join(self.parameters) or 'none'}."
                )
        values: dict[str, Any] = {}
        origins: dict[str, str] = {}
        for h in self.hyper:
            unused = _unused(h, values)
            if unused:
                if given.get(h.name) is not None:
                    raise ValueError(f"{self.name} reads {h.name} {unused}; leave it out.")
                values[h.name] = None
                continue
            if h.name in given:
                value = given[h.name]
            elif h.known is not None:
                value, origins[h.name] = known(h.known)
            else:
                value = h.default
            if value is None:
                raise ValueError(f"{h.name} must be {h.range()}, got None; it is {h.meaning}.")
            h.encode(value)
            values[h.name] = h.recorded(value)
        return values, origins

    @property
    def scheduled(self) -> int:
        """Where gamma_k stands in `hyper`; -1 for a method without a schedule."""
        at = 0
        for h in self.hyper:
            if isinstance(h, Scheduled):
                return at
            at += h.width
        return -1

    def encode(self, values: Mapping[str, Any]) -> Vector:
        """The float64 array that compiled steps read."""
        return np.array([number for h in self.hyper for number in np.atleast_1d(h.encode(values[h.name]))])


def _unused(h: Hyper, values: Mapping[str, Any]) -> str:
    """In words, where this hyper-parameter counts, if it does not with these values of earlier ones; else ''."""
    if isinstance(h, Real) and h.when is not None and values[h.when[0]] != h.when[1]:
        return f"only with {h.when[0]}={h.when[1]!r}"
    if isinstance(h, Real) and h.unless is not None and values[h.unless[0]] == h.unless[1]:
        return f"only without {h.unless[0]}={h.unless[1]!r}"
    return ""


# ---------------------------------------------------------------------------------------------------------
# The registry: a file in methods/ is a method

_registered: dict[str, Method] = {}


def methods() -> list[str]:
    """The names of all methods, built in and registered."""
    package = importlib.import_module("dadapt_convex.methods")
    built_in = (m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))
    return sorted({*built_in, *_registered})


def register(method: Method) -> Method:
    """Make a method of one's own known by name (it can be passed to `solve` as it is, too)."""
    if not isinstance(method, Method):
        raise ValueError(f"register takes a dc.Method, got {shown(method)}.")
    _registered[method.name] = method
    return method


def get_method(name: str | Method) -> Method:
    """The method of this name; ValueError with the nearest names where there is none."""
    if isinstance(name, Method):
        return name
    if isinstance(name, str) and name in _registered:
        return _registered[name]
    if not (isinstance(name, str) and name in methods()):
        hint = did_you_mean(name, methods())
        raise ValueError(
            f"unknown method {shown(name)}; {f'{hint} There are' if hint else 'there are'} {', '.join(methods())}."
        )
    module = importlib.import_module(f"dadapt_convex.methods.{name}")
    return module.METHOD
