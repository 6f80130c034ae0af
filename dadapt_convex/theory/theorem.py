"""Theorems as objects, and the verdict on one.

A theorem says lhs <= rhs (or lhs = rhs) at some checkpoints of a run. f* and D are known as intervals, f* in [f_lo,
f_hi] and D in [D_lo, D_hi]: the statement is judged at all four corners, so lower bounds are claims like any other.

Rounding counts against the claim. Both sides are computed in numbers that carry a bound on their rounding error
(dadapt_convex/theory/rounded.py); the bounds on the columns of a trace come from magnitudes that the driver adds up
over the run, never from the author of a theorem. With a the sum of the bounds of both sides, at a checkpoint and corner

    lhs + a <= rhs                     it holds,
    lhs > rhs + a                      it fails,
    else, with a <= TIGHT_WITHIN rhs   the two sides are equal to within rounding,
    else                               nothing is decided.

VERIFIED: it holds at every checkpoint and corner. VIOLATED: it fails at some checkpoint at all corners. TIGHT: the two
sides are equal to within rounding somewhere, and it holds elsewhere. UNDECIDED: else. Nothing else is added, no gap is
clipped. Rows whose squares leave the range of float64, SMALLEST to LARGEST, say nothing: there sums of squares are no
longer within rounding.

An equality is VERIFIED where its sides are equal to within rounding, as that is what it says, and VIOLATED where it
fails to the same side at all corners: else its sides may meet between them. A checkpoint where rounding is more than
TIGHT_WITHIN of both sides, as where a sum returns to 0, says nothing of it; half of them leave it UNDECIDED.

A definition speaks of single iterations, which every run keeps at some k whatever its checkpoints are.

With stochastic gradients there is no verdict: the analyses need the deterministic oracle. What is said then is a
diagnostic: at how many checkpoints the statement was exceeded even at the favourable corner, and by what factor.
"""

from __future__ import annotations

import collections
import copy
import functools
import itertools
import math
import traceback
import types
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dadapt_convex import run as statuses
from dadapt_convex.checks import as_float, as_int, as_tuple, check_callable, check_name, did_you_mean, shown
from dadapt_convex.method import COLUMNS
from dadapt_convex.oracle import Vector
from dadapt_convex.portable import Portable
from dadapt_convex.run import OptimumInterval, Run
from dadapt_convex.schedules import as_schedule
from dadapt_convex.theory.rounded import EPS, Rounded, plain, rounded

if TYPE_CHECKING:
    import pandas as pd

VERIFIED = "VERIFIED"
TIGHT = "TIGHT"
VIOLATED = "VIOLATED"
UNDECIDED = "UNDECIDED"
NOT_APPLICABLE = "NOT_APPLICABLE"
RATE, LEMMA, DEFINITION = "rate", "lemma", "definition"
KINDS = (RATE, LEMMA, DEFINITION)
ITERATES = ("average", "best", "last", "selected", "")
FLOAT64 = "float64"

# Two sides that differ by less than rounding are equal where rounding is at most this part of the right one; of an
# equality, of the larger one. Where more is rounding, as when sums return to 0, an equality says nothing.
TIGHT_WITHIN = 1e-9
# What a side may round where it is computed from plain numbers.
OWN_ROUNDING = 8 * EPS
# Norms whose squares, and sums of these, are normal numbers with room for what they are multiplied by.
SMALLEST, LARGEST = 1e-145, 1e145
NORMS = ("d", "s_norm", "s_norm1", "g_max", "x_dist", "x_next_dist", "sum_w_g", "weight_sum")
# Columns that decrease and do not come from terms that cancel.
DECREASING = ("gamma", "h", "d_over_sum_d", "selected_ratio")
# Estimates of the distance D.
ESTIMATES = ("d", "d_hat")


class Missing(LookupError):
    """A theorem reads what the run does not have."""

    def __init__(self, what: str, name: str, there: Any) -> None:
        self.what, self.name = what, name
        names = sorted(map(str, there))
        super().__init__(f"{what} {name!r}; {did_you_mean(name, names) or 'there are ' + ', '.join(names)}")


class NotKept(ValueError):
    """A theorem reads what the driver adds up, but not in runs with stochastic gradients."""


class Values(dict[str, Any]):
    """Hyper-parameters by name; Missing for one that the method does not have.

    Numbers are NumPy's: a square of theirs may overflow, and says so by being infinite.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__((name, np.float64(v) if isinstance(v, float) else v) for name, v in values.items())

    def __missing__(self, name: str) -> Any:
        raise Missing("the hyper-parameter", name, self)


class Case:
    """A run seen by a theorem, with f* and D set to one corner of their intervals.

    Columns of the trace are attributes (case.d is d_{n+1} at every checkpoint), with bounds on their rounding unless
    `exact`; n = k - 1; G is the largest ||g_k|| seen up to each checkpoint, which is all that the analyses need of the
    Lipschitz constant. D_inf is the distance to the minimisers in the maximum norm. Rows of a stochastic run describe
    x_{n+1} alone, and know no mean of f: f at the average stands for it.
    """

    def __init__(
        self, run: Run, f_star: float, D: float, optimum: OptimumInterval, D_inf: float = math.inf, exact: bool = False
    ) -> None:
        self.run = run
        self.hyper = Values(run.hyper)
        self.numbers = numbers_of(run)
        self._D, self._D_inf = self._length(D, exact), self._length(D_inf, exact)
        self.known = True  # whether the theorem says that it reads f* and D
        self.optimum = optimum
        self.exact = exact
        self.unbounded = math.isinf(D)  # D has no upper end here
        self.columns = self.numbers.columns
        self.k = self.columns["k"]
        self._f_star = f_star
        self.comparator = False

    def _length(self, D: float, exact: bool) -> Any:
        """A distance to the minimisers; its error is what rounding of the iterates may do to an estimate of it."""
        value = np.float64(D)  # a square of it may overflow, and says so by being infinite
        error = None if exact else self.numbers.of_estimates
        return value if error is None else Rounded(np.full(error.shape, value), error)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in self.columns:
            raise Missing("the trace column", name, self.columns)
        values = self.columns[name]
        return values if self.exact else Rounded(values, self.numbers.error(name))

    @property
    def values(self) -> Case:
        """The same case with plain numbers."""
        other = copy.copy(self)
        other.exact = True
        other._D, other._D_inf = (self._D.value, self._D_inf.value) if isinstance(self._D, Rounded) else (
            self._D, self._D_inf
        )  # fmt: skip
        if other._D.ndim:
            other._D, other._D_inf = other._D[0], other._D_inf[0]
        return other

    def at_comparator(self) -> Case:
        """The same run held against u, its best iterate, in place of a minimiser: nothing of the optimum enters."""
        other = copy.copy(self)
        other.comparator = True
        other._D, other._D_inf = self.comparator_distance, self.comparator_distance_inf
        other.known = True
        return other

    def _of_optimum(self, name: str, value: Any) -> Any:
        if not self.known:
            raise ValueError(f"it reads {name}, and says uses_optimum=False")
        return value

    @property
    def D(self) -> Any:
        """The distance of x_0 from the minimisers."""
        return self._of_optimum("D", self._D)

    @property
    def D_inf(self) -> Any:
        """The same in the maximum norm."""
        return self._of_optimum("D_inf", self._D_inf)

    @property
    def n(self) -> Vector:
        """The papers' n: n + 1 subgradients are used."""
        return self.k - 1

    @property
    def p(self) -> int:
        """The number of unknowns."""
        return self.run.x0.size

    @property
    def G(self) -> Any:
        """max_{i<=n} ||g_i||."""
        return self.g_max

    @property
    def f_star(self) -> Any:
        """f*; its error is what rounding may do to the mean of the gaps that it is subtracted in."""
        if self.comparator:
            return self.f_comparator + Rounded(np.zeros(self.k.shape), self._of_recursion)
        self._of_optimum("f_star", None)
        values = np.full(self.k.shape, self._f_star)
        return values if self.exact else Rounded(values, self._of_recursion + EPS * np.abs(values))

    @property
    def _of_recursion(self) -> Vector:
        """What the rounding of iterates and steps may do to the mean of the gaps; part of it grows with D."""
        fixed, D = self.numbers.error("f_star"), plain(self._D)
        by_D: Any = self.numbers.errors.get("f_star_by_D", 0.0)
        return fixed + np.where(np.isfinite(D), D, 0.0) * by_D

    @property
    def f_average(self) -> Any:
        """sum w_k f(x_k) / sum w_k, by convexity no smaller than f at the averaged iterate.

        That instead, where it is larger by more than rounding: then the average is no average.
        """
        if not self.run.method.averages:
            return self.f_mean
        if self.exact:
            return np.maximum(self.f_mean, self.f_avg)
        mean, at = self.f_mean, self.f_avg
        return np.where(at.value - at.error > mean.value + mean.error, at, mean)

    @property
    def gap_mean(self) -> Any:
        """sum w_k (f(x_k) - f*) / sum w_k."""
        return self.f_average - self.f_star

    @property
    def gap_at_iterates(self) -> Any:
        """The same for statements about the computed x_k alone, whatever recursion made them."""
        if self.exact or not self.numbers.errors:
            return self.gap_mean
        if self.comparator:
            return self.f_average - self.f_comparator
        self._of_optimum("f_star", None)
        values = np.full(self.k.shape, self._f_star)
        return self.f_average - Rounded(values, self.numbers.error("f_mean"))

    @property
    def f_comparator(self) -> Any:
        """f(u), u the best iterate of the whole run."""
        return self.f_best[-1]

    @property
    def comparator_distance(self) -> Any:
        """||u - x_0||."""
        return self._distance(float(np.linalg.norm(self.run.x_best - self.run.x0)))

    @property
    def comparator_distance_inf(self) -> Any:
        """||u - x_0|| in the maximum norm."""
        return self._distance(float(np.abs(self.run.x_best - self.run.x0).max()))

    def _distance(self, value: float) -> Any:
        return value if self.exact else Rounded(value, EPS * (self.p + 8) * value)

    @property
    def factor(self) -> Vector:
        """The schedule's gamma_n; for schedules that are known by their text, see known_schedule."""
        schedule = as_schedule(self.hyper["schedule"])
        return schedule.factors(self.n.astype(np.int64), self.run.steps, self.run.per_epoch)

    @property
    def out_of_range(self) -> Any:
        """Rows where the square of a norm is no normal number, of a norm that is not 0; infinite and NaN count too."""
        found = np.zeros(self.k.size, dtype=bool)
        for name in NORMS:
            size = np.abs(self.columns.get(name, np.ones(1)))
            found = found | ~(size <= LARGEST) | ((size < SMALLEST) & (size > 0))
        with np.errstate(over="ignore", under="ignore"):
            weighed = self.columns["weight_sum"] * self.columns["g_max"]  # the square of sum_w_g may be 0 already
        return found | ~(weighed <= LARGEST) | ((weighed < SMALLEST) & (self.columns["weight_sum"] > 0))


# The names that are no columns of a case.
READ_OF_CASE = frozenset(name for name in dir(Case) if name[0] != "_") | {
    "run", "hyper", "numbers", "known", "optimum", "exact", "unbounded", "columns", "comparator",
}  # fmt: skip


class Numbers:
    """The columns of a run's trace as arrays, and bounds on what rounding did to them."""

    def __init__(self, run: Run) -> None:
        # from the rows: the table is the user's, to change as he likes
        columns = {name: np.array([row.get(name, math.nan) for row in run.rows], dtype=float) for name in run.columns}
        if run.sampling is not None:
            columns |= {"x_next_dist": columns["x_dist"], "f_mean": columns["f_avg"]}
        for values in columns.values():
            values.setflags(write=False)
        self.columns = types.MappingProxyType(columns)
        with np.errstate(over="ignore"):
            self.p, self.x0_norm = run.x0.size, float(np.linalg.norm(run.x0))
        recorded = run.errors[0] if run.errors else {}
        self.errors = {name: np.array([errors[name] for errors in run.errors]) for name in recorded}

    def error(self, name: str) -> Vector:
        """A bound for a column; "f_star": on what rounding does to the mean of the gaps.

        For columns of the driver as it recorded them. A method's own number comes from a dot product, or is a sum over
        k: p and k roundings of the largest it has been.
        """
        if name not in self.errors:
            with np.errstate(all="ignore"):
                self.errors[name] = self._gap() if name == "f_star" else self._own(name)
        return self.errors[name]

    def _own(self, name: str) -> Vector:
        k, columns = self.columns["k"], self.columns
        size = np.abs(columns[name])
        error = EPS * (self.p + 16 + k) * (size if name in DECREASING else np.maximum.accumulate(size))
        if name.endswith("_df") and "f_mean" in self.errors:  # it adds up differences of f, of weighted points
            error = error + 2 * columns["weight_sum"] * self.errors["f_mean"]
        return error

    @functools.cached_property
    def of_estimates(self) -> Vector | None:
        """What the rounding of iterates may do to an estimate of D, sum w_i <g_i, x_i - x0>/||s|| up to a factor."""
        if not ("moved" in self.errors and set(ESTIMATES) & set(self.columns)):
            return None
        length = self.columns["sum_w_g"]
        with np.errstate(all="ignore"):
            return 2 * np.where(length > 0, self.errors["moved"] / length, 0.0)

    def _gap(self) -> Vector:
        """Of stochastic runs, where the driver does not add up magnitudes."""
        x_size = self.x0_norm + np.maximum.accumulate(self.columns["x_dist"])
        size = np.abs(self.columns["f_mean"]) + self.columns["g_max"] * x_size
        return EPS * (self.p + 1000 + self.columns["k"]) * size


_numbers: weakref.WeakKeyDictionary[Run, Numbers] = weakref.WeakKeyDictionary()


def numbers_of(run: Run) -> Numbers:
    """Made once for each run."""
    if run not in _numbers:
        _numbers[run] = Numbers(run)
    return _numbers[run]


class Sides(NamedTuple):
    """lhs <= rhs, or lhs = rhs, at every row."""

    lhs: Any
    rhs: Any


def gap_sides(case: Case, bound: Any, gap: Any = None) -> Sides:
    """A bound on a suboptimality gap, by default that of the weighted mean."""
    return Sides(case.gap_mean if gap is None else gap, bound)


class StepCheck(NamedTuple):
    """A number of an iteration held against what it must be: off, in units of rounding, is at most 1 where it is."""

    k: int
    what: str
    found: float
    expected: float
    off: float


class Unmet(NamedTuple):
    """An assumption that is not met (verdict NOT_APPLICABLE), or not known to be (UNDECIDED)."""

    verdict: str
    note: str


Assumption = Callable[[Run, OptimumInterval], Unmet | None]


@dataclass(frozen=True, repr=False)
class Theorem(Portable):
    """A statement about every run of some methods.

    Attributes
    ----------
    name, statement, source : str
        The statement in ASCII mathematics; the source as cited in THEORY, "own" where derived here.
    sides : callable (Case) -> Sides
        Both sides at every row, from the attributes of the case and NumPy's functions.
    kind : str
        "rate" (a bound on the gap of an output), "lemma", or "definition" (an equality that the method must keep).
    relation : str
        "<=" or "=".
    iterate : str
        "average", "best", "last", "selected" (the average at the method's selecting k), or "" where the
        statement is not about a point's gap.
    needs : tuple of str or None
        The names of the method's state and hyper-parameters that are read, beside what the driver records for every
        method; held against the method before a run starts. None: found out when the sides are first computed.
    assumptions : tuple of callables (run, optimum) -> Unmet or None
        Checked before the sides are looked at.
    rows : callable (Case) -> boolean mask, optional
        The checkpoints the statement speaks of; default all.
    schedule : str
        The schedule that the run must have: "constant", the text of another, or "any".
    uses_optimum : bool
        Whether f* or D enters. Then a minimiser must exist.
    comparator : bool
        Whether it holds for every point u, f(u) in place of f* and ||u - x0|| in place of D: then also for the best
        point of a ball, whose f may lie above that of an iterate.
    figure : bool
        Whether the right-hand side is a curve for the convergence figure.
    about : tuple of str
        Methods it speaks of that do not claim it themselves: for theorems added from outside. "*": all.
    steps : callable (Run) -> sequence of StepCheck, optional
        In place of sides, for a definition: single iterations; see dadapt_convex.theory.steps.
    """

    name: str
    statement: str
    source: str
    sides: Callable[[Case], Sides] | None = None
    kind: str = LEMMA
    relation: str = "<="
    iterate: str = ""
    needs: tuple[str, ...] | None = None
    assumptions: tuple[Assumption, ...] = ()
    rows: Callable[[Case], Any] | None = None
    schedule: str = "constant"
    uses_optimum: bool = True
    comparator: bool = False
    figure: bool = False
    about: tuple[str, ...] = ()
    steps: Callable[[Run], Sequence[StepCheck]] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        check_name("a theorem's name", self.name)
        for what in ("assumptions", "about", *(() if self.needs is None else ("needs",))):
            kind = {"assumptions": "functions (run, optimum) -> Unmet or None"}.get(what, "names")
            object.__setattr__(self, what, as_tuple(f"theorem {self.name}: {what}", getattr(self, what), kind))
        for what in ("uses_optimum", "comparator", "figure"):
            if not isinstance(getattr(self, what), bool):
                raise ValueError(
                    f"theorem {self.name}: {what} must be True or False, got {shown(getattr(self, what))}."
                )
        for what in ("statement", "source", "schedule"):
            if not isinstance(getattr(self, what), str):
                raise ValueError(f"theorem {self.name}: {what} must be a text, got {shown(getattr(self, what))}.")
        for assumption in self.assumptions:
            check_callable(f"theorem {self.name}: an assumption", assumption, "(run, optimum) -> Unmet or None")
        if self.rows is not None:
            check_callable(f"theorem {self.name}: rows", self.rows, "of a Case that returns a mask")
        for what, options in (("kind", KINDS), ("iterate", ITERATES), ("relation", ("<=", "="))):
            value = getattr(self, what)
            if not (isinstance(value, str) and value in options):
                raise ValueError(
                    f"theorem {self.name}: {what} must be one of {', '.join(map(repr, options))}, got {shown(value)}."
                )
        if self.schedule != "any":
            try:
                object.__setattr__(self, "schedule", str(as_schedule(self.schedule)))  # as runs record it
            except ValueError as error:
                raise ValueError(f"theorem {self.name}: schedule must be 'any' or a schedule: {error}") from None
        if self.sides is None and self.steps is not None:
            check_callable(f"theorem {self.name}: steps", self.steps, "of a Run that returns StepChecks")
        else:
            check_callable(f"theorem {self.name}: sides", self.sides, "of a Case that returns dc.Sides(lhs, rhs)")
        if self.sides is not None and self.steps is not None:
            raise ValueError(f"theorem {self.name} has sides and steps; leave one of them out.")
        for what in ("needs", "about"):
            if wrong := [name for name in getattr(self, what) or () if not isinstance(name, str)]:
                raise ValueError(f"theorem {self.name}: {what} must be a tuple of names, got {shown(wrong[0])} in it.")

    def _function(self) -> Any:
        return self.sides

    def __repr__(self) -> str:
        return f"<Theorem {self.name}: {self.statement} [{self.source}]>"


class Library(dict[str, Theorem]):
    """Theorems by name; at a prompt, a line for each."""

    def __repr__(self) -> str:
        width = max(map(len, self), default=0)
        return "\n".join(f"{name:<{width}}  {theorem.statement}" for name, theorem in self.items())


class Verdict(NamedTuple):
    """A row of what check() returns."""

    theorem: str
    kind: str
    verdict: str
    worst_ratio: float
    k: int
    arithmetic: str
    note: str


class Found(NamedTuple):
    """A verdict as it is found: the row's other columns belong to theorem and run."""

    verdict: str
    worst_ratio: float
    k: int
    note: str


def judge(theorem: Theorem, run: Run, optimum: OptimumInterval | None) -> Verdict:
    """The verdict on one theorem for one run; a diagnostic for a stochastic one."""
    ends = optimum if optimum is not None else _Nothing()
    unmet = _not_met(theorem, run, optimum, ends)
    if unmet is not None:
        stochastic = run.sampling is not None
        found = Found(NOT_APPLICABLE if stochastic else unmet.verdict, math.nan, 0, unmet.note)
    elif theorem.steps is not None:
        found = _at_steps(theorem, run)
    else:
        found = _diagnostic(theorem, run, ends) if run.sampling is not None else _verdict(theorem, run, ends)
    note = found.note
    if run.status in (*statuses.FAULTS, statuses.INTERRUPTED):
        note = f"{note}; the run is {run.status}: {run.message}"
    return Verdict(theorem.name, theorem.kind, found.verdict, found.worst_ratio, found.k, FLOAT64, note)


def _not_met(
    theorem: Theorem, run: Run, optimum: OptimumInterval | None, ends: OptimumInterval
) -> Unmet | None:  # fmt: skip
    """The first assumption that is not met."""
    if not run.rows:
        return Unmet(NOT_APPLICABLE, "the run has no checkpoint")
    if run.rows[-1]["g0_norm"] == 0.0:
        stands = "all gradients were zero" if run.sampling is not None else "g_0 = 0: x0 is a minimiser"
        return Unmet(NOT_APPLICABLE, stands)
    if theorem.uses_optimum:
        if optimum is None:
            return Unmet(NOT_APPLICABLE, "f* and D are not known: no optimum was given")
        if optimum.attained is False:
            return Unmet(NOT_APPLICABLE, "no minimiser exists, D is infinite")
        if optimum.D_lo == math.inf:
            return Unmet(NOT_APPLICABLE, "D is infinite")
        radius = getattr(optimum, "radius", math.inf)
        if (
            radius < math.inf and not theorem.comparator and not optimum.D_hi < radius
        ):  # a minimiser inside the ball is one of f
            return Unmet(
                NOT_APPLICABLE, f"needs a minimiser of f, and the optimum is that of a ball of radius {radius:g}"
            )
    schedule = run.hyper.get("schedule", "constant")
    if theorem.schedule not in ("any", schedule):
        return Unmet(NOT_APPLICABLE, f"needs schedule={theorem.schedule!r}, the run has {schedule!r}")
    for assumption in theorem.assumptions:
        with np.errstate(all="ignore"), _said_of(theorem, "an assumption"):
            unmet = assumption(run, ends)
        if isinstance(unmet, Unmet) and unmet.verdict in (NOT_APPLICABLE, UNDECIDED):
            return unmet
        if unmet is not None:
            raise ValueError(
                f"theorem {theorem.name}: an assumption returns dc.theory.Unmet(verdict, note) or None, the verdict "
                f"NOT_APPLICABLE or UNDECIDED, got {unmet!r}."
            )
    return None


class _said_of:
    """What a theorem's own code raises becomes a sentence that names it, with file and line."""

    def __init__(self, theorem: Theorem, what: str) -> None:
        self.theorem, self.what = theorem, what

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if not isinstance(error, Exception):
            return
        if isinstance(error, Missing):
            raise error.with_traceback(None) from None
        last = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in last if "dadapt_convex/theory/" not in frame.filename.replace("\\", "/")] or last
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(
            f"theorem {self.theorem.name}: {self.what} fails: {text} ({own[-1].filename}, line {own[-1].lineno})."
        ) from error


def _not_there(theorem: Theorem, error: Missing, run: Run) -> ValueError:
    if run.sampling is not None and error.name in COLUMNS:
        return NotKept(error.name)
    return ValueError(
        f"theorem {theorem.name} reads {error.what} {error.name!r}, which runs of {run.method.name} do not have"
        f"{str(error).partition(';')[1]}{str(error).partition(';')[2]}."
    )


def sides_of(theorem: Theorem, case: Case) -> tuple[Rounded, Rounded]:
    """Both sides at every row of the trace; ValueError in a sentence where they are no such thing."""
    assert theorem.sides is not None
    try:
        with np.errstate(all="ignore"), _said_of(theorem, "sides"):
            both = theorem.sides(case)
    except Missing as error:
        raise _not_there(theorem, error, case.run) from None
    if not (isinstance(both, tuple) and len(both) == 2):
        raise ValueError(f"theorem {theorem.name}: sides must return dc.Sides(lhs, rhs), got {type(both).__name__}.")
    found = []
    for name, side in zip(("lhs", "rhs"), both, strict=True):
        try:
            numbers = rounded(np.asarray(side, dtype=np.float64) if isinstance(side, list | tuple) else side)
            found.append(
                Rounded(np.broadcast_to(numbers.value, case.k.shape), np.broadcast_to(numbers.error, case.k.shape))
            )
        except (TypeError, ValueError):
            raise ValueError(
                f"theorem {theorem.name}: {name} must be a number for each of the {case.k.size} rows of the trace, got "
                f"{type(side).__name__} of shape {np.shape(side)}."
            ) from None
    return found[0], found[1]


def spoken_of(theorem: Theorem, case: Case) -> Any:
    """The checkpoints that the theorem speaks of, as a boolean mask; the case must be exact."""
    if theorem.rows is None:
        return np.ones(case.k.size, dtype=bool)
    try:
        with np.errstate(all="ignore"), _said_of(theorem, "rows"):  # a broken method may hand it anything
            mask = theorem.rows(case)
    except Missing as error:
        raise _not_there(theorem, error, case.run) from None
    mask = np.asarray(mask)
    if mask.dtype != bool or mask.shape != case.k.shape:
        raise ValueError(
            f"theorem {theorem.name}: rows must return true or false for each of the {case.k.size} rows of the trace, "
            f"got {mask.dtype} of shape {mask.shape}."
        )
    return mask


def corners(run: Run, optimum: OptimumInterval, theorem: Theorem) -> Iterator[Case]:
    """The run at every corner of [f_lo, f_hi] x [D_lo, D_hi]; D_inf goes with D."""
    D_inf = D_inf_interval(run, optimum)
    ends = [(optimum.D_lo, D_inf[0]), (optimum.D_hi, D_inf[1])]
    values = [optimum.f_lo, optimum.f_hi]
    if not theorem.uses_optimum:
        ends, values = ends[:1], values[:1]
    for f_star, (D, largest) in itertools.product(dict.fromkeys(values), dict.fromkeys(ends)):
        case = Case(run, f_star, D, optimum, largest)
        case.known = theorem.uses_optimum
        yield case


def _verdict(theorem: Theorem, run: Run, ends: OptimumInterval) -> Found:
    cases = list(corners(run, ends, theorem))
    masks = [spoken_of(theorem, case.values) for case in cases]
    mask = np.any(masks, axis=0)
    if not mask.any():
        return Found(NOT_APPLICABLE, math.nan, 0, "it speaks of no checkpoint of this run")
    k, lost = cases[0].k[mask].astype(np.int64), cases[0].out_of_range[mask]
    holds, equal = np.ones(k.size, bool), np.ones(k.size, bool)
    ratios, failing, larger = [], [], []
    for case, spoken in zip(cases, masks, strict=True):
        lhs, rhs = (side[mask] for side in sides_of(theorem, case))
        seen, silent = _compare(theorem, lhs, rhs, unbounded=case.unbounded), ~spoken[mask]
        holds &= (seen.holds & ~lost) | silent
        equal &= ((seen.holds | seen.equal) & ~lost) | silent
        failing.append(seen.fails & ~lost & ~silent)
        larger.append(lhs.value > rhs.value)
        ratios.append(seen.ratio)
    fails = np.all(failing, axis=0)
    if theorem.relation == "=":  # to the same side at all corners: between others the two sides may meet
        fails &= np.all(larger, axis=0) | ~np.any(larger, axis=0)
    count = f"{k.size} checkpoint{'s' * (k.size > 1)}" + ("" if mask.all() else f" of {mask.size}")
    if fails.any():
        ratio = _farthest(ratios, fails)
        at = int(np.flatnonzero(fails)[np.argmax(np.abs(np.log(np.maximum(ratio[fails], 1e-300))))])
        note = f"fails at {int(fails.sum())} of {count}, first at k = {int(k[fails][0])}"
        return Found(VIOLATED, float(ratio[at]), int(k[at]), note)
    ratio = np.max(ratios, axis=0)
    open_ = ~(holds | equal)
    alone = open_ & ~lost & np.isfinite(ratio) & ~np.any(failing, axis=0)
    if theorem.relation == "=" and alone.any() and (alone == open_).all() and 2 * alone.sum() < k.size:
        count += f", {int(alone.sum())} of them rounding alone"
        ratio[alone], open_[alone] = math.nan, False
    at = int(np.nanargmax(ratio)) if np.isfinite(ratio).any() else 0
    worst = float(ratio[at]), int(k[at])
    if open_.any():
        first = int(k[open_][0])
        why = "f* and D are not known well enough, or rounding is too large"
        if lost.any():
            why, first = "squares leave the range of float64", int(k[lost][0])
        elif np.isnan(ratio[open_]).any():
            why = "undefined"
        return Found(UNDECIDED, *worst, f"{why} at {int(open_.sum())} of {count}, first at k = {first}")
    if theorem.relation == "=" or holds.all():
        return Found(VERIFIED, *worst, count)
    at = int(np.flatnonzero(~holds)[0])
    note = f"both sides are equal to within rounding at {int((~holds).sum())} of {count}"
    return Found(TIGHT, float(ratio[at]), int(k[at]), note)


def _farthest(ratios: list[Vector], fails: Vector) -> Vector:
    """At each row the ratio of the corner where the statement fails least."""
    stacked = np.array(ratios)
    nearest_one = np.argmin(np.abs(np.log(np.maximum(stacked, 1e-300))), axis=0)
    return np.take_along_axis(stacked, nearest_one[None], axis=0)[0]


class _Compared(NamedTuple):
    holds: Any
    fails: Any
    equal: Any
    ratio: Any


def _compare(theorem: Theorem, lhs: Rounded, rhs: Rounded, unbounded: bool) -> _Compared:
    """Row by row; unbounded: D has no upper end here, and a right side without one is no accident."""
    with np.errstate(all="ignore"):
        a = lhs.error + rhs.error + OWN_ROUNDING * (np.abs(lhs.value) + np.abs(rhs.value))
        left, right = lhs.value, rhs.value
        known = np.isfinite(left) & np.isfinite(right) & np.isfinite(a)
        within = known & (np.abs(left - right) <= a)
        ratio = _ratio(left, right)
        if theorem.relation == "=":
            size = np.maximum(np.abs(left), np.abs(right))
            equal = within & (a <= TIGHT_WITHIN * size)
            return _Compared(equal, known & ~within, equal, ratio)
        beyond = (np.isposinf(right) & np.isfinite(left) & np.isfinite(lhs.error)) if unbounded else False
        holds = (known & (left + a <= right)) | beyond
        equal = within & (a <= TIGHT_WITHIN * np.abs(right))
        return _Compared(holds, known & (left > right + a), equal, ratio)


def _at_steps(theorem: Theorem, run: Run) -> Found:
    """The verdict on a definition, from the iterations that were kept."""
    assert theorem.steps is not None
    try:
        with _said_of(theorem, "steps"):
            checks = theorem.steps(run)
    except Missing as error:
        raise ValueError(
            f"theorem {theorem.name} reads {error}, which runs of {run.method.name} do not have."
        ) from None
    _refuse_no_checks(theorem, checks)
    if not checks:
        return Found(NOT_APPLICABLE, math.nan, 0, "no iteration of this run was kept whole")
    kept = f"{len({check.k for check in checks})} of {run.k} iterations"
    decided = [check for check in checks if not math.isnan(check.off)]
    unknown = collections.Counter(check.what for check in checks if math.isnan(check.off))
    all_of = collections.Counter(check.what for check in checks)
    vague = [what for what, count in unknown.items() if 2 * count > all_of[what]]
    if vague and not any(check.off > 1 for check in decided):
        where = f"{unknown[vague[0]]} of {all_of[vague[0]]} iterations"
        return Found(UNDECIDED, math.nan, 0, f"{', '.join(vague)}: not finite, or rounding alone, at {where}")
    worst = max(decided, key=lambda check: check.off)
    ratio = float(_ratio(np.array([worst.found]), np.array([worst.expected]))[0])
    if not worst.off <= 1:
        wrong = {check.k for check in decided if not check.off <= 1}
        note = (
            f"{worst.what} is {worst.found:.17g} and must be {worst.expected:.17g} at k = {worst.k}; "
            f"wrong at {len(wrong)} of {kept}, first at k = {min(wrong)}"
        )
        return Found(VIOLATED, ratio, worst.k, note)
    return Found(VERIFIED, ratio, worst.k, kept)


def _refuse_no_checks(theorem: Theorem, checks: Any) -> None:
    """ValueError for anything else than a list of StepCheck, of numbers."""
    wrong = [c for c in checks if not _is_check(c)] if isinstance(checks, list | tuple) else [checks]
    if wrong:
        raise ValueError(
            f"theorem {theorem.name}: steps must return a list of StepCheck(k, what, found, expected, off), got "
            f"{shown(wrong[0])}."
        )


def _is_check(value: Any) -> bool:
    if not isinstance(value, StepCheck) or not isinstance(value.what, str) or as_int(value.k) is None:
        return False
    return None not in (as_float(value.found), as_float(value.expected), as_float(value.off))


def _diagnostic(theorem: Theorem, run: Run, ends: OptimumInterval) -> Found:
    """How often, and by what factor, a stochastic run exceeded a statement about deterministic ones."""

    def said(note: str, ratio: float = math.nan, k: int = 0) -> Found:
        return Found(NOT_APPLICABLE, ratio, k, f"stochastic gradients, a diagnostic: {note}")

    case = Case(run, ends.f_hi, ends.D_hi, ends, D_inf_interval(run, ends)[1])
    try:
        mask = spoken_of(theorem, Case(run, ends.f_hi, ends.D_hi, ends, exact=True))
        left, right = (side[mask] for side in sides_of(theorem, case))
    except NotKept as error:
        return said(f"none, as stochastic runs do not keep {error}")
    k = case.k[mask]
    if not np.isfinite(right.value).any():
        return said("none, as it speaks of no checkpoint of this run" if not k.size else "none, as D has no upper end")
    at = _compare(theorem, left, right, unbounded=False)
    exceeded = at.fails & ~case.out_of_range[mask]
    worst_at = int(np.nanargmax(at.ratio)) if np.isfinite(at.ratio).any() else 0
    ratio = float(at.ratio[worst_at])
    factor = f"at most {ratio:.3g} times" if math.isfinite(ratio) else "where the bound is not positive"
    worst = f"{factor} (k = {int(k[worst_at])})"
    count = int(exceeded.sum())
    note = f"exceeded at {count} of {k.size} checkpoints, {worst}" if count else f"kept at {_all(k.size)}"
    return said(note, ratio, int(k[worst_at]))


def _all(count: int) -> str:
    return "the only checkpoint" if count == 1 else f"all {count} checkpoints"


def _ratio(lhs: Vector, rhs: Vector) -> Vector:
    """lhs / rhs, of two negative numbers rhs / lhs: above 1 where lhs is larger. 0 for lhs <= 0 <= rhs."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(rhs > 0, lhs / rhs, np.where(lhs > rhs, np.inf, np.where(lhs < 0, rhs / lhs, 0.0)))
        ratio = np.where((lhs < 0) & (rhs < 0), rhs / lhs, ratio)
    ratio = np.where((lhs == rhs) & (lhs != 0) & np.isfinite(lhs), 1.0, ratio)
    return np.where(np.isnan(lhs) | np.isnan(rhs), np.nan, np.maximum(ratio, 0.0))


# ---------------------------------------------------------------------------------------------------------
# What theorems need of a method


def check_needs(theorem: Theorem, columns: Sequence[str], hyper: Iterable[str], method: str) -> None:
    """ValueError where a method lacks a column or hyper-parameter that a theorem declares to need."""
    there = {*columns, *COLUMNS, *hyper}
    absent = [name for name in theorem.needs or () if name not in there]
    if absent:
        raise ValueError(
            f"{method} claims {theorem.name}, which needs {', '.join(absent)}: no state or hyper-parameter of {method} "
            f"has this name; there are {', '.join([*columns, *hyper]) or 'none'}."
        )


def settled(c: Case) -> Any:
    """n >= 2 nhat, nhat = the first k with d_k >= d_{n+1}/2, taken at a checkpoint (or 0)."""
    first = np.searchsorted(np.maximum.accumulate(c.d), c.d / 2, side="left")
    first = np.minimum(first, c.k.size - 1)  # a broken method's d may be negative
    nhat = np.where(c.hyper["d0"] >= c.d / 2, 0, c.k[first])
    return c.n >= 2 * nhat


def first_row(c: Case) -> Any:
    """The checkpoint k = 1."""
    return c.k == 1


def has_weight(c: Case) -> Any:
    """Some x_k has a positive weight: a schedule may begin with zeros."""
    return c.weight_sum > 0


def moved_to_a_better_point(c: Case) -> Any:
    """The best iterate of the run is not x_0, and some x_k has a weight."""
    return has_weight(c) & (c.comparator_distance > 0)


def after_the_row_before(c: Case) -> Any:
    """Checkpoints one step after the one before (or the first, at k = 1): what changed in a step is known there."""
    return np.diff(c.k, prepend=0.0) == 1


def before(c: Case, column: Any, start: float = 0.0) -> Any:
    """The column one row earlier."""
    return np.concatenate([rounded([start]), column[:-1]])


def of_the_best(theorem: Theorem) -> Theorem:
    """The same bound on the best iterate: its gap is at most the weighted mean of the gaps."""
    assert theorem.sides is not None
    sides = theorem.sides
    return replace(
        theorem,
        name=f"{theorem.name}_best",
        statement=f"min_k f(x_k) in place of the average: {theorem.statement}",
        sides=lambda c: Sides(c.f_best - c.f_star, sides(c).rhs),
        iterate="best",
        figure=False,
    )


def of_the_run(theorem: Theorem) -> Theorem:
    """The same inequality for the point u = the best iterate of the run: it needs no minimiser."""
    assert theorem.sides is not None
    assert theorem.comparator
    sides, rows = theorem.sides, theorem.rows
    return replace(
        theorem,
        name=f"{theorem.name}_comparator",
        statement=f"u, the best iterate of the run if that is not x0, in place of a minimiser: {theorem.statement}",
        sides=lambda c: sides(c.at_comparator()),
        rows=lambda c: moved_to_a_better_point(c) & (True if rows is None else rows(c)),
        uses_optimum=False,
        comparator=False,
    )


def D_inf_interval(run: Run, optimum: OptimumInterval) -> tuple[float, float]:
    """What is known of D_inf: the optimum's interval where it has one, and D / sqrt(p) <= D_inf <= D."""
    lo = max(getattr(optimum, "D_inf_lo", 0.0), optimum.D_lo / math.sqrt(run.x0.size))
    return lo, min(getattr(optimum, "D_inf_hi", math.inf), optimum.D_hi)


class _Nothing:
    """No optimum: nothing is known of f* and D."""

    f_lo, f_hi = -math.inf, math.inf
    D_lo, D_hi = 0.0, math.inf
    attained: bool | None = None
    x = np.zeros(0)


# ---------------------------------------------------------------------------------------------------------
# Assumptions shared by several theorems


def hyper_is(name: str, value: str | float) -> Assumption:
    """The hyper-parameter has this value, where the method has it."""

    def assumption(run: Run, optimum: OptimumInterval) -> Unmet | None:
        if run.hyper.get(name, value) == value:
            return None
        return Unmet(NOT_APPLICABLE, f"needs {name}={value!r}, the run has {run.hyper[name]!r}")

    return assumption


def d0_at_most_D(run: Run, optimum: OptimumInterval) -> Unmet | None:
    """d_0 <= D."""
    return _d0_within("D", run.hyper["d0"], optimum.D_lo, optimum.D_hi, optimum)


def d0_at_most_D_inf(run: Run, optimum: OptimumInterval) -> Unmet | None:
    """d_0 <= D_inf."""
    return _d0_within("D_inf", run.hyper["d0"], *D_inf_interval(run, optimum), optimum)


def _d0_within(name: str, d0: float, lo: float, hi: float, optimum: OptimumInterval) -> Unmet | None:
    if d0 <= lo:
        return None
    # the ends of a closed form are the number itself, or the two float64 numbers around it
    around = getattr(optimum, "kind", "") == "closed form" and lo < hi <= math.nextafter(lo, math.inf)
    if d0 > hi or around:
        known = f"{name} = {hi!r}" if lo == hi else f"{name}, which lies between {lo!r} and {hi!r}"
        return Unmet(NOT_APPLICABLE, f"needs d0 <= {name}, and d0 = {d0!r} > {known}")
    return Unmet(UNDECIDED, f"d0 = {d0!r} may exceed {name}, known as [{lo!r}, {hi!r}]")


no_growth_cap = hyper_is("growth_rate", math.inf)
no_weight_decay = hyper_is("weight_decay", 0.0)


def known_schedule(run: Run, optimum: OptimumInterval) -> Unmet | None:
    """The schedule can be made again from its text."""
    text = run.hyper["schedule"]
    try:
        as_schedule(text)
    except ValueError:
        return Unmet(NOT_APPLICABLE, f"needs a schedule that is known by its text, the run has {text!r}")
    return None


def subgradients_within_G(run: Run, optimum: OptimumInterval) -> Unmet | None:
    """||g_k|| <= G at every k, for the G that the method was given."""
    seen = float(run.rows[-1]["g_max"])
    G = run.hyper["G"]
    if seen <= G * (1 + EPS * (run.x0.size + 8)):  # the rounding of a norm
        return None
    return Unmet(NOT_APPLICABLE, f"needs ||g_k|| <= G = {G:.6g}, and {seen:.6g} was seen")


def bounds_frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The rows of gap_bounds as a table."""
    import pandas as pd

    return pd.DataFrame(rows, columns=["theorem", "iterate", "k", "bound"])
