"""Method: hyper-parameters, state, step, and the theorems that a method claims.

A method is a value. The driver owns everything that is not mathematics of the method: the oracle calls, the
averages, the best iterate, the trace. See methods/dadapt_dual_averaging.py for one to copy.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dadapt_convex.checks import (
    LONGEST_NAME,
    Fault,
    as_float,
    as_tuple,
    check_callable,
    check_distinct,
    check_name,
    did_you_mean,
    shown,
)
from dadapt_convex.hyper import SCHEDULE, Choice, Hyper, Parameter, Real, Scheduled
from dadapt_convex.oracle import Kernel, Vector
from dadapt_convex.portable import Portable
from dadapt_convex.state import Begin, State, Step
from dadapt_convex.transitions import place

Known = Callable[[str], tuple[float, str]]
Init = Callable[[Vector, Vector, Vector], None]


def no_init(vectors: Vector, scalars: Vector, hyper: Vector) -> None:
    """All state starts at zero."""


# Norms of the distance from x0 to the minimisers.
NORMS = ("euclidean", "maximum")
# Columns that the driver records for every method; see dadapt_convex.run.
COLUMNS = frozenset(
    ("k", "f", "f_avg", "f_best", "f_mean", "g_norm", "g_max", "g0_norm", "x_dist", "x_next_dist", "S", "weight_sum")
    + ("sum_w2_g2", "sum_w_gx", "sum_w_g", "f_selected", "t", "selected_ratio", "seconds")
)
# Names that a state cannot have: columns of any run, and the results of every step.
TAKEN = COLUMNS | {"epoch", "f_batch", "accuracy", "x_next", "weight"}


@dataclass(frozen=True)
class Method(Portable):
    """A first-order method.

    Attributes
    ----------
    name : str
        The published name; the file bears it too.
    step : Step, or Kernel
        One iteration: a function decorated with dc.step(State, Hyper), see dadapt_convex.state. It must stay finite for
        g_k = 0 once some g_i was not zero. It returns the weight w_k of x_k: finite, and not negative.
    hyper : tuple of Real, Choice, Flag, Pair or SCHEDULE
        From the step's Hyper. Encoded in this order (two entries for a Pair) into the float64 array that steps read.
    vectors : tuple of str
        From the step's State: the names of the rows of a matrix, (len(vectors), p) float64. x0 is filled by the driver.
    scalars : tuple of str
        From the step's State: the names of the entries of a vector. Each is a column of the trace, except those that
        begin with "_". Names of columns that the driver records (COLUMNS) are refused: theorems check one by the other.
    init : callable (vectors, scalars, hyper) -> None
        Writes the initial state in place, where everything but x0 is zero; by default what the State declares. With a
        step of nine arguments hyper, vectors and scalars are given here, and everything starts at zero by default.
    claims : tuple of str or Theorem
        The theorems that `check` applies to its runs: names from dadapt_convex.theory, or one's own.
    select : str or None
        A scalar of the state. The averaged iterate at the k that minimises it is kept too, for the non-asymptotic
        theorems: trace columns f_selected, t, selected_ratio.
    averages : bool
        True: the output is the weighted average. False: the output is the last iterate, and the weights serve only
        the sums of the basic inequalities (f_mean, sum_w2_g2, ...).
    title : str
        The name in figures and tables; left out, the published name with blanks for underscores.
    distance_norm : "euclidean" or "maximum"
        The norm of the distance D that the method's theory speaks of, and that d estimates.
    d_limit : float or None
        The share of D that d reaches at least in the limit, by a theorem.
    """

    name: str
    reference: str
    summary: str
    step: Kernel
    hyper: tuple[Parameter, ...] = ()
    vectors: tuple[str, ...] = ()
    scalars: tuple[str, ...] = ()
    init: Init = no_init
    claims: tuple[Any, ...] = ()
    select: str | None = None
    averages: bool = True
    title: str = ""
    distance_norm: str = "euclidean"
    d_limit: float | None = None
    parameters: Mapping[str, Parameter] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_name("a method's name", self.name)
        if not isinstance(self.step, Kernel) or self.step.kind != "step":
            raise ValueError(f"{self.name}: step must be decorated with dc.step, got {shown(self.step)}.")
        if isinstance(self.step, Step):
            self._declared(self.step.state, self.step.hyper)
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
        """Raise ValueError unless title, distance_norm and d_limit can be shown in figures and tables."""
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

    def _declared(self, state: type[State], hyper: type[Hyper]) -> None:
        """Take the names from the classes of the step; raise ValueError where other names are given here."""
        declared = _names_of(state, hyper)
        # replace(method, step=another) hands on what the classes of the former step declared
        former = _names_of(self.init.state, self.init.hyper) if isinstance(self.init, Begin) else declared
        if self.init is no_init or isinstance(self.init, Begin):
            object.__setattr__(self, "init", Begin(state, hyper))
        for what, value in declared.items():
            if getattr(self, what) not in ((), value, former[what]):
                raise ValueError(f"{self.name}: {what} is declared by the classes of its step; leave {what}=... out.")
            object.__setattr__(self, what, value)

    def start(self, x0: Vector, hyper: Vector) -> tuple[Vector, Vector]:
        """(vectors, scalars) before the first step; ValueError with file and line where the user's code fails."""
        vectors, scalars = np.zeros((len(self.vectors), x0.size)), np.zeros(len(self.scalars))
        if "x0" in self.vectors:
            vectors[self.vectors.index("x0")] = x0
        try:
            self.init(vectors, scalars, hyper)
        except Fault as fault:
            raise ValueError(f"{self.name}: {fault}.") from fault.__cause__
        except Exception as error:
            what = " ".join(f"{type(error).__name__}: {error}".split())
            raise ValueError(f"{self.name}: its init fails: {what} ({place(error, self.init)}).") from error
        if np.isnan(vectors).any() or np.isnan(scalars).any():
            raise ValueError(f"{self.name}: its init leaves NaN in the state.")
        return vectors, scalars

    def _check_hyper(self) -> None:
        """Raise ValueError unless hyper-parameters are distinct, and their conditions name earlier ones."""
        object.__setattr__(self, "hyper", as_tuple(f"{self.name}: hyper", self.hyper, "dc.Real, dc.Choice, ..."))
        for h in self.hyper:
            if not isinstance(h, Parameter):
                raise ValueError(
                    f"{self.name}: hyper holds dc.Real, dc.Choice, dc.Flag, dc.Pair and dc.SCHEDULE, got {shown(h)}."
                )
        check_distinct(f"{self.name}: hyper", tuple(h.name for h in self.hyper))
        before: dict[str, Parameter] = {}
        for h in self.hyper:
            if (h.name == SCHEDULE.name) != isinstance(h, Scheduled):
                raise ValueError(
                    f"{self.name}: the schedule, and nothing else, is called schedule: put dc.SCHEDULE there."
                )
            for word in ("when", "unless"):
                self._check_condition(h, word, before)
            before[h.name] = h
        object.__setattr__(self, "parameters", before)

    def _check_condition(self, h: Parameter, word: str, before: Mapping[str, Parameter]) -> None:
        """Raise ValueError unless `when` and `unless` name an earlier hyper-parameter and one of its values."""
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
        """Raise ValueError unless the names of the state are distinct identifiers, none of them the driver's."""
        for what in ("vectors", "scalars"):
            object.__setattr__(self, what, as_tuple(f"{self.name}: {what}", getattr(self, what), "names"))
        state = (*self.vectors, *self.scalars)
        for name in state:
            if not (isinstance(name, str) and name.isidentifier() and len(name) <= LONGEST_NAME):
                raise ValueError(f"{self.name}: vectors and scalars are named by identifiers, got {shown(name)}.")
        check_distinct(f"{self.name}: vectors and scalars", state)
        if taken := sorted(set(state) & TAKEN):
            raise ValueError(
                f"{self.name}: {', '.join(taken)} of its state are columns of the trace already, or results of every "
                f"step; rename them. A name that begins with _ stays out of the trace."
            )
        if self.select is not None and self.select not in self.scalars:
            raise ValueError(f"{self.name}: select={shown(self.select)} is none of its scalars {self.scalars}.")

    def _function(self) -> Any:
        return self.step.written

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
        """The index of gamma_k in `hyper`; -1 for a method without a schedule."""
        at = 0
        for h in self.hyper:
            if isinstance(h, Scheduled):
                return at
            at += h.width
        return -1

    def encode(self, values: Mapping[str, Any]) -> Vector:
        """The float64 array that compiled steps read."""
        return np.array([number for h in self.hyper for number in np.atleast_1d(h.encode(values[h.name]))])


def _names_of(state: type[State], hyper: type[Hyper]) -> dict[str, Any]:
    """The attributes of a method that the classes of its step declare."""
    return {"hyper": hyper.parameters, "vectors": state.vectors, "scalars": state.scalars}


def _unused(h: Parameter, values: Mapping[str, Any]) -> str:
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


def unregister(method: Method) -> None:
    """Forget a method that `register` made known."""
    if not isinstance(method, Method) or _registered.get(method.name) != method:
        raise ValueError(f"unregister takes a method that was registered, got {shown(method)}.")
    del _registered[method.name]


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
    method = getattr(module, "METHOD", None)
    if not isinstance(method, Method) or method.name != name:
        raise ValueError(f"{module.__file__} must have a METHOD, a dc.Method named {name!r}, got {shown(method)}.")
    return method
