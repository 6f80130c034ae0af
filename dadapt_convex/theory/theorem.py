"""Theorems as objects, and the verdict on one.

A theorem says lhs <= rhs at some checkpoints of a run. Both sides depend on what is known of the optimum only
as intervals, f* in [f_lo, f_hi] and D in [D_lo, D_hi]; each side is evaluated at the unfavourable and at the
favourable ends.

The tolerance policy, here and nowhere else. Quantities of a trace are sums over k steps in float64, whose
rounding error is at most k eps times the sum of the absolute values of their terms (recursive summation), and
a few more roundings go into each term. So lhs <= rhs is read as lhs <= rhs + ROUNDING(k) * size, where `size`
adds up the magnitudes of everything that enters either side (so cancellation is accounted for; an iterate is known to
eps (||x0|| + ||x - x0||), and its f to G times that) and

    ROUNDING(k) = 1e-12 + k eps.

Nothing else is added, no gap is clipped, and an interval's width is carried by its two ends alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dadapt_convex.oracle import Vector
from dadapt_convex.run import OptimumInterval, Run

if TYPE_CHECKING:
    import pandas as pd

VERIFIED = "VERIFIED"
VIOLATED = "VIOLATED"
UNDECIDED = "UNDECIDED"
NOT_APPLICABLE = "NOT_APPLICABLE"


def rounding(k: Vector) -> Vector:
    """The relative rounding allowance after k steps."""
    return 1e-12 + k * np.finfo(np.float64).eps


class Case:
    """A run seen by a theorem, with f* and D set to one end of their intervals.

    Columns of the trace are attributes (case.d is d_{n+1} at every checkpoint); n = k - 1; G is the largest
    ||g_k|| seen up to each checkpoint, which is all that the analyses need of the Lipschitz constant.
    """

    def __init__(self, run: Run, f_star: float, D: float, optimum: OptimumInterval) -> None:
        self.run = run
        self.hyper = run.hyper
        self.f_star = f_star
        self.D = D
        self.optimum = optimum
        self.columns = {name: run.trace[name].to_numpy(dtype=np.float64) for name in run.trace.columns}

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
class Theorem:
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
    uses_optimum : bool
        Whether f* or D enters. Then a minimiser must exist.
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
    uses_optimum: bool = True
    figure: bool = False
    about: tuple[str, ...] = ()

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
    """The verdict on one theorem for one run."""

    def unmet(verdict: str, note: str) -> Verdict:
        return Verdict(theorem.name, verdict, math.nan, 0, note)

    if run.trace.empty:
        return unmet(NOT_APPLICABLE, "the run has no checkpoint")
    if run.trace["g0_norm"].iloc[0] == 0.0:
        return unmet(NOT_APPLICABLE, "g_0 = 0: x0 is a minimiser")
    if theorem.uses_optimum:
        if optimum is None:
            return unmet(NOT_APPLICABLE, "f* and D are not known: no optimum was given")
        if optimum.attained is False:
            return unmet(NOT_APPLICABLE, "no minimiser exists, D is infinite")
    ends = optimum if optimum is not None else _Nothing()
    for assumption in theorem.assumptions:
        found = assumption(run, ends)
        if found is not None:
            return unmet(found.verdict, found.note)

    worst, best = _case(run, ends, favourable=False), _case(run, ends, favourable=True)
    mask = spoken_of(theorem, worst)
    if not mask.any():
        return unmet(NOT_APPLICABLE, "it speaks of no checkpoint of this run")
    k = worst.k[mask]
    with np.errstate(all="ignore"):  # D may be infinite at one end; what becomes NaN counts as undefined
        lhs, rhs, size = (np.broadcast_to(v, mask.shape)[mask] for v in theorem.sides(worst))
        lhs_easy, rhs_easy, size_easy = (np.broadcast_to(v, mask.shape)[mask] for v in theorem.sides(best))
        allowance = rounding(k) * size
        holds = lhs <= rhs + allowance
        fails = lhs_easy > rhs_easy + rounding(k) * np.where(np.isfinite(size_easy), size_easy, 0.0)

    ratio = _ratio(lhs, rhs, allowance)
    at = int(np.nanargmax(ratio)) if np.isfinite(ratio).any() else 0
    undefined = np.isnan(lhs) | np.isnan(rhs)
    if fails.any():
        easy = _ratio(lhs_easy, rhs_easy, 0.0)
        at = int(np.flatnonzero(fails)[np.argmax(easy[fails])])
        note = f"fails at {int(fails.sum())} of {k.size} checkpoints, first at k = {int(k[fails][0])}"
        return Verdict(theorem.name, VIOLATED, float(easy[at]), int(k[at]), note)
    if undefined.any():
        return Verdict(
            theorem.name, UNDECIDED, float(ratio[at]), int(k[at]), f"undefined at k = {int(k[undefined][0])}"
        )
    if holds.all():
        note = "" if mask.all() else f"speaks of {k.size} of {mask.size} checkpoints"
        return Verdict(theorem.name, VERIFIED, float(ratio[at]), int(k[at]), note)
    note = "the intervals of f* and D are too wide"
    return Verdict(theorem.name, UNDECIDED, float(ratio[at]), int(k[at]), note)


def spoken_of(theorem: Theorem, case: Case) -> Any:
    """The checkpoints that the theorem speaks of, as a boolean mask."""
    if theorem.rows is None:
        return np.ones(case.k.size, dtype=bool)
    with np.errstate(all="ignore"):  # a broken method may hand it anything
        return np.asarray(theorem.rows(case), dtype=bool)


def _case(run: Run, optimum: OptimumInterval, *, favourable: bool) -> Case:
    f_star = optimum.f_hi if favourable else optimum.f_lo
    D = optimum.D_hi if favourable else optimum.D_lo
    return Case(run, f_star, D, optimum)


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


def hyper_is(name: str, value: str) -> Assumption:
    """The hyper-parameter has this value."""

    def assumption(run: Run, optimum: OptimumInterval) -> Unmet | None:
        if run.hyper[name] == value:
            return None
        return Unmet(NOT_APPLICABLE, f"needs {name}={value!r}, the run has {run.hyper[name]!r}")

    return assumption


def d0_at_most_D(run: Run, optimum: OptimumInterval) -> Unmet | None:
    """d_0 <= D."""
    d0 = run.hyper["d0"]
    if d0 <= optimum.D_lo:
        return None
    if d0 > optimum.D_hi:
        return Unmet(NOT_APPLICABLE, f"needs d0 <= D, and d0 = {d0:g} > D = {optimum.D_hi:.6g}")
    return Unmet(UNDECIDED, f"d0 = {d0:g} may exceed D, known as [{optimum.D_lo:.6g}, {optimum.D_hi:.6g}]")


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
