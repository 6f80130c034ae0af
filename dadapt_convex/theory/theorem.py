"""Theorems as objects, and the verdict on one.

A theorem says lhs <= rhs at some checkpoints of a run. Both sides depend on what is known of the optimum only
as intervals, f* in [f_lo, f_hi] and D in [D_lo, D_hi]; each side is evaluated at the unfavourable and at the
favourable ends.

With stochastic gradients there is no verdict: the analyses need the deterministic oracle. What is said then is a
diagnostic: at how many checkpoints the statement was exceeded even at the favourable ends, and by what factor.

The tolerance policy, here and nowhere else. Quantities of a trace are sums over k steps in float64, whose
rounding error is at most k eps times the sum of the absolute values of their terms (recursive summation), and
a few more roundings go into each term. So lhs <= rhs is read as lhs <= rhs + ROUNDING(k) * size, where `size`
adds up the magnitudes of everything that enters either side (so cancellation is accounted for; an iterate is known to
eps (||x0|| + ||x - x0||), and its f to G times that) and

    ROUNDING(k) = 1e-12 + k eps.

Nothing else is added, no gap is clipped, and an interval's width is carried by its two ends alone. Rows whose squares
leave the range of float64, SMALLEST to LARGEST, say nothing: there sums of squares are no longer within rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dadapt_convex.oracle import Vector
from dadapt_convex.portable import Portable
from dadapt_convex.run import OptimumInterval, Run
from dadapt_convex.schedules import as_schedule

if TYPE_CHECKING:
    import pandas as pd

VERIFIED = "VERIFIED"
VIOLATED = "VIOLATED"
UNDECIDED = "UNDECIDED"
NOT_APPLICABLE = "NOT_APPLICABLE"


# Norms whose squares, and sums of these, are normal numbers with room for what they are multiplied by.
SMALLEST, LARGEST = 1e-145, 1e145
NORMS = ("d", "s_norm", "s_norm1", "g_max", "x_dist", "x_next_dist")


def rounding(k: Vector) -> Vector:
    """The relative rounding allowance after k steps."""
    return 1e-12 + k * np.finfo(np.float64).eps


class Case:
    """A run seen by a theorem, with f* and D set to one end of their intervals.

    Columns of the trace are attributes (case.d is d_{n+1} at every checkpoint); n = k - 1; G is the largest
    ||g_k|| seen up to each checkpoint, which is all that the analyses need of the Lipschitz constant. D_inf is the
    distance to the minimisers in the maximum norm. Rows of a stochastic run describe x_{n+1} alone, and know no mean of
    f: f at the average stands for it.
    """

    def __init__(
        self, run: Run, f_star: float, D: float, optimum: OptimumInterval, D_inf: float = math.inf
    ) -> None:  # fmt: skip
        self.run = run
        self.hyper = run.hyper
        self.f_star = f_star
        self.D = D
        self.D_inf = D_inf
        self.optimum = optimum
        self.columns = {name: run.trace[name].to_numpy(dtype=np.float64) for name in run.trace.columns}
        if run.sampling is not None:
            self.columns |= {"x_next_dist": self.columns["x_dist"], "f_mean": self.columns["f_avg"]}

    def __getattr__(self, name: str) -> Vector:
        try:
            return self.__dict__["columns"][name]
        except KeyError:
            raise AttributeError(f"the trace has no column {name!r}.") from None

    @property
    def n(self) -> Vector:
        """The papers' n: n + 1 subgradients are used."""
        return self.columns["k"] - 1

    @property
    def G(self) -> Vector:
        """max_{i<=n} ||g_i||."""
        return self.columns["g_max"]

    @property
    def f_average(self) -> Vector:
        """sum w_k f(x_k) / sum w_k, by convexity no smaller than f at the averaged iterate; the larger, as computed."""
        return np.maximum(self.columns["f_mean"], self.columns["f_avg"])

    @property
    def factor(self) -> Vector:
        """The schedule's gamma_n; for schedules that are known by their text, see known_schedule."""
        schedule = as_schedule(self.hyper["schedule"])
        return schedule.factors(self.n.astype(np.int64), self.run.steps, self.run.per_epoch)

    @property
    def out_of_range(self) -> Any:
        """Rows where the square of a norm is no normal number, of a norm that is not 0; infinite and NaN count too."""
        found = np.zeros(self.columns["k"].size, dtype=bool)
        for name in NORMS:
            size = np.abs(self.columns.get(name, np.ones(1)))
            found = found | ~(size <= LARGEST) | ((size < SMALLEST) & (size > 0))
        return found

    @property
    def gap_mean(self) -> Vector:
        """sum w_k (f(x_k) - f*) / sum w_k."""
        return self.f_average - self.f_star

    @property
    def x_size(self) -> Vector:
        """What iterates are rounded relative to: ||x0|| + the largest ||x_k - x0|| seen."""
        return float(np.linalg.norm(self.run.x0)) + np.maximum.accumulate(self.columns["x_dist"])

    @property
    def f_size(self) -> Vector:
        """The magnitude of what is subtracted in a gap, and of what f is computed from."""
        return np.abs(self.columns["f_mean"]) + abs(self.f_star) + self.G * self.x_size


class Sides(NamedTuple):
    """lhs <= rhs, and the sum of the magnitudes of the terms on both sides."""

    lhs: Vector
    rhs: Vector
    size: Vector


def gap_sides(case: Case, bound: Any, gap: Vector | None = None) -> Sides:
    """A bound on a suboptimality gap, by default that of the weighted mean."""
    lhs = case.gap_mean if gap is None else gap
    rhs = np.broadcast_to(np.asarray(bound, dtype=np.float64), lhs.shape)
    return Sides(lhs, rhs, case.f_size + np.abs(rhs))


def identity_sides(case: Case, found: Vector, expected: Any, size: Vector | None = None) -> Sides:
    """found = expected, to rounding: the right-hand side is the allowance itself."""
    expected = np.broadcast_to(np.asarray(expected, dtype=np.float64), found.shape)
    size = np.abs(expected) if size is None else size
    return Sides(np.abs(found - expected), rounding(case.k) * size, np.zeros_like(size))


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
        Both sides at every row. Must not decrease in favour of the claim when f* grows or D grows (unless
        uses_optimum is False).
    iterate : str
        "average", "best", "last", "selected" (the average at the method's selecting k), or "" where the
        statement is not about a point's gap.
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
        Methods it speaks of that do not claim it themselves: for theorems added from outside.
    """

    name: str
    statement: str
    source: str
    sides: Callable[[Case], Sides]
    iterate: str = ""
    assumptions: tuple[Assumption, ...] = ()
    rows: Callable[[Case], Any] | None = None
    schedule: str = "constant"
    uses_optimum: bool = True
    comparator: bool = False
    figure: bool = False
    about: tuple[str, ...] = ()

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
    verdict: str
    worst_ratio: float
    k: int
    note: str


def judge(theorem: Theorem, run: Run, optimum: OptimumInterval | None) -> Verdict:
    """The verdict on one theorem for one run; a diagnostic for a stochastic one."""
    ends = optimum if optimum is not None else _Nothing()
    found = _not_met(theorem, run, optimum, ends)
    if found is not None:
        stochastic = run.sampling is not None
        return Verdict(theorem.name, NOT_APPLICABLE if stochastic else found.verdict, math.nan, 0, found.note)
    return _diagnostic(theorem, run, ends) if run.sampling is not None else _verdict(theorem, run, ends)


def _not_met(
    theorem: Theorem, run: Run, optimum: OptimumInterval | None, ends: OptimumInterval
) -> Unmet | None:  # fmt: skip
    """The first assumption that is not met."""
    if run.trace.empty:
        return Unmet(NOT_APPLICABLE, "the run has no checkpoint")
    if run.trace["g0_norm"].iloc[-1] == 0.0:
        stands = "all gradients were zero" if run.sampling is not None else "g_0 = 0: x0 is a minimiser"
        return Unmet(NOT_APPLICABLE, stands)
    if theorem.uses_optimum:
        if optimum is None:
            return Unmet(NOT_APPLICABLE, "f* and D are not known: no optimum was given")
        if optimum.attained is False:
            return Unmet(NOT_APPLICABLE, "no minimiser exists, D is infinite")
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
    return next((unmet for assumption in theorem.assumptions if (unmet := assumption(run, ends))), None)


def _diagnostic(theorem: Theorem, run: Run, ends: OptimumInterval) -> Verdict:
    """How often, and by what factor, a stochastic run exceeded a statement about deterministic ones."""

    def said(note: str, ratio: float = math.nan, k: int = 0) -> Verdict:
        return Verdict(theorem.name, NOT_APPLICABLE, ratio, k, f"stochastic gradients, a diagnostic: {note}")

    case = _case(run, ends, favourable=True)
    try:
        mask = spoken_of(theorem, case)
        with np.errstate(all="ignore"):
            lhs, rhs, size = (np.broadcast_to(v, mask.shape)[mask] for v in theorem.sides(case))
    except AttributeError as error:  # what is selected or averaged otherwise is not kept in these runs
        return said(f"none, as {str(error).removesuffix('.')}")
    k = case.k[mask]
    if not np.isfinite(rhs).any():
        return said("none, as it speaks of no checkpoint of this run" if not k.size else "none, as D has no upper end")
    with np.errstate(all="ignore"):
        exceeded = (lhs > rhs + rounding(k) * np.where(np.isfinite(size), size, 0.0)) & ~case.out_of_range[mask]
    ratio = _ratio(lhs, rhs, rounding(k) * size)
    at = int(np.nanargmax(ratio)) if np.isfinite(ratio).any() else 0
    factor = f"at most {ratio[at]:.3g} times" if np.isfinite(ratio[at]) else "where the bound is not positive"
    worst = f"{factor} (k = {int(k[at])})"
    count = int(exceeded.sum())
    note = f"exceeded at {count} of {k.size} checkpoints, {worst}" if count else f"kept at {_all(k.size)}"
    return said(note, float(ratio[at]), int(k[at]))


def _all(count: int) -> str:
    return "the only checkpoint" if count == 1 else f"all {count} checkpoints"


def _verdict(theorem: Theorem, run: Run, ends: OptimumInterval) -> Verdict:
    worst, best = _case(run, ends, favourable=False), _case(run, ends, favourable=True)
    mask = spoken_of(theorem, worst)
    if not mask.any():
        return Verdict(theorem.name, NOT_APPLICABLE, math.nan, 0, "it speaks of no checkpoint of this run")
    k = worst.k[mask]
    with np.errstate(all="ignore"):  # D may be infinite at one end; what becomes NaN counts as undefined
        lhs, rhs, size = (np.broadcast_to(v, mask.shape)[mask] for v in theorem.sides(worst))
        lhs_easy, rhs_easy, size_easy = (np.broadcast_to(v, mask.shape)[mask] for v in theorem.sides(best))
        allowance = rounding(k) * np.where(np.isfinite(size), size, 0.0)  # of what is not known nothing is allowed
        holds = lhs <= rhs + allowance
        lost = worst.out_of_range[mask]
        fails = (lhs_easy > rhs_easy + rounding(k) * np.where(np.isfinite(size_easy), size_easy, 0.0)) & ~lost

    ratio = _ratio(lhs, rhs, allowance)
    at = int(np.nanargmax(ratio)) if np.isfinite(ratio).any() else 0
    undefined = np.isnan(lhs) | np.isnan(rhs) | lost
    if fails.any():
        easy = _ratio(lhs_easy, rhs_easy, 0.0)
        at = int(np.flatnonzero(fails)[np.argmax(easy[fails])])
        note = f"fails at {int(fails.sum())} of {k.size} checkpoints, first at k = {int(k[fails][0])}"
        return Verdict(theorem.name, VIOLATED, float(easy[at]), int(k[at]), note)
    if undefined.any():
        first = int(k[undefined][0])
        note = f"squares leave the range of float64 at k = {first}" if lost.any() else f"undefined at k = {first}"
        return Verdict(theorem.name, UNDECIDED, float(ratio[at]), int(k[at]), note)
    if holds.all():
        note = "" if mask.all() else f"speaks of {k.size} of {mask.size} checkpoints"
        return Verdict(theorem.name, VERIFIED, float(ratio[at]), int(k[at]), note)
    note = "the intervals of f* and D are too wide"
    return Verdict(theorem.name, UNDECIDED, float(ratio[at]), int(k[at]), note)


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


def after_the_row_before(c: Case) -> Any:
    """Checkpoints one step after the one before (or the first, at k = 1): what changed in a step is known there."""
    return np.diff(c.k, prepend=0.0) == 1


def before(c: Case, column: Vector, start: float = 0.0) -> Vector:
    """The column one row earlier."""
    return np.concatenate([[start], column[:-1]])


def spoken_of(theorem: Theorem, case: Case) -> Any:
    """The checkpoints that the theorem speaks of, as a boolean mask."""
    if theorem.rows is None:
        return np.ones(case.k.size, dtype=bool)
    with np.errstate(all="ignore"):  # a broken method may hand it anything
        return np.asarray(theorem.rows(case), dtype=bool)


def _case(run: Run, optimum: OptimumInterval, *, favourable: bool) -> Case:
    f_star = optimum.f_hi if favourable else optimum.f_lo
    D = optimum.D_hi if favourable else optimum.D_lo
    return Case(run, f_star, D, optimum, D_inf_interval(run, optimum)[1 if favourable else 0])


def D_inf_interval(run: Run, optimum: OptimumInterval) -> tuple[float, float]:
    """What is known of D_inf: the optimum's interval where it has one, and D / sqrt(p) <= D_inf <= D."""
    lo = max(getattr(optimum, "D_inf_lo", 0.0), optimum.D_lo / math.sqrt(run.x0.size))
    return lo, min(getattr(optimum, "D_inf_hi", math.inf), optimum.D_hi)


def _ratio(lhs: Vector, rhs: Vector, allowance: Vector | float) -> Vector:
    """lhs / rhs; 0 where both are zero to rounding or lhs <= 0 <= rhs, infinite where rhs <= 0 < lhs."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(rhs > 0, lhs / rhs, np.where(lhs > rhs, np.inf, 0.0))
    ratio = np.where(np.maximum(lhs, rhs) <= allowance, 0.0, ratio)
    return np.where(np.isnan(lhs) | np.isnan(rhs), np.nan, np.maximum(ratio, 0.0))


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
    return _d0_within("D", run.hyper["d0"], optimum.D_lo, optimum.D_hi)


def d0_at_most_D_inf(run: Run, optimum: OptimumInterval) -> Unmet | None:
    """d_0 <= D_inf."""
    return _d0_within("D_inf", run.hyper["d0"], *D_inf_interval(run, optimum))


def _d0_within(name: str, d0: float, lo: float, hi: float) -> Unmet | None:
    if d0 <= lo:
        return None
    if d0 > hi:
        return Unmet(NOT_APPLICABLE, f"needs d0 <= {name}, and d0 = {d0:g} > {name} = {hi:.6g}")
    return Unmet(UNDECIDED, f"d0 = {d0:g} may exceed {name}, known as [{lo:.6g}, {hi:.6g}]")


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
    seen = float(run.trace["g_max"].iloc[-1])
    G = run.hyper["G"]
    if seen <= G * (1 + 1e-12):
        return None
    return Unmet(NOT_APPLICABLE, f"needs ||g_k|| <= G = {G:.6g}, and {seen:.6g} was seen")


def bounds_frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The rows of gap_bounds as a table."""
    import pandas as pd

    return pd.DataFrame(rows, columns=["theorem", "iterate", "k", "bound"])
