"""The verdict on one theorem for one run.

f* and D are known as intervals, f* in [f_lo, f_hi] and D in [D_lo, D_hi]: the statement is judged at all four corners,
so lower bounds are claims like any other, and at each checkpoint with rounding counted against it (compare.py).

VERIFIED: it holds at every checkpoint and corner. VIOLATED: it fails at some checkpoint at all corners. TIGHT: the two
sides are equal to within rounding somewhere, and it holds elsewhere. UNDECIDED: otherwise. There is no further
tolerance, and no gap is clipped. Rows whose squares leave the range of float64, SMALLEST to LARGEST of case.py, do not
count: there sums of squares are no longer within rounding.

An equality is VERIFIED where its sides are equal to within rounding, and VIOLATED where the left side is larger at all
corners, or smaller at all corners: otherwise the sides may meet between the corners. A checkpoint where rounding is
more than TIGHT_WITHIN of both sides, as where a sum returns to 0, does not count; if half of the checkpoints do not
count, the equality is UNDECIDED.

A definition speaks of single iterations, which every run keeps at some k whatever its checkpoints are
(kept_iterations.py). With stochastic gradients there is no verdict, and a diagnostic in its place (diagnostic.py).
"""

from __future__ import annotations

import math

import numpy as np

from dadapt_convex import run as statuses
from dadapt_convex.oracle import Vector
from dadapt_convex.run import OptimumInterval, Run
from dadapt_convex.theory.case import corners
from dadapt_convex.theory.compare import compare
from dadapt_convex.theory.diagnostic import diagnostic
from dadapt_convex.theory.evaluate import sides_of, spoken_of, unmet
from dadapt_convex.theory.kept_iterations import judge_iterations
from dadapt_convex.theory.statement import Theorem, Unmet
from dadapt_convex.theory.verdict import (
    FLOAT64,
    NOT_APPLICABLE,
    TIGHT,
    UNDECIDED,
    VERIFIED,
    VIOLATED,
    Found,
    Verdict,
)


class _Nothing:
    """No optimum: nothing is known of f* and D."""

    f_lo, f_hi = -math.inf, math.inf
    D_lo, D_hi = 0.0, math.inf
    attained: bool | None = None
    x = np.zeros(0)


def judge(theorem: Theorem, run: Run, optimum: OptimumInterval | None) -> Verdict:
    """The verdict on one theorem for one run; a diagnostic for a stochastic one."""
    ends = optimum if optimum is not None else _Nothing()
    missed = _not_met(theorem, run, optimum, ends)
    if missed is not None:
        stochastic = run.sampling is not None
        found = Found(NOT_APPLICABLE if stochastic else missed.verdict, math.nan, 0, missed.note)
    elif theorem.steps is not None:
        found = judge_iterations(theorem, run)
    else:
        found = diagnostic(theorem, run, ends) if run.sampling is not None else judge_sides(theorem, run, ends)
    note = found.note
    if run.status in (*statuses.FAULTS, statuses.INTERRUPTED):
        note = f"{note}; the run is {run.status}: {run.message}"
    return Verdict(theorem.name, theorem.kind, found.verdict, found.worst_ratio, found.k, FLOAT64, note)


def _not_met(theorem: Theorem, run: Run, optimum: OptimumInterval | None, ends: OptimumInterval) -> Unmet | None:
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
        inside = optimum.D_hi < radius  # a minimiser inside the ball is one of f
        if radius < math.inf and not theorem.comparator and not inside:
            note = f"needs a minimiser of f, and the optimum is that of a ball of radius {radius:g}"
            return Unmet(NOT_APPLICABLE, note)
    schedule = run.hyper.get("schedule", "constant")
    if theorem.schedule not in ("any", schedule):
        return Unmet(NOT_APPLICABLE, f"needs schedule={theorem.schedule!r}, the run has {schedule!r}")
    answers = (unmet(theorem, assumption, run, ends) for assumption in theorem.assumptions)
    return next(filter(None, answers), None)


def judge_sides(theorem: Theorem, run: Run, ends: OptimumInterval) -> Found:
    """The verdict on an inequality or equality of a deterministic run, at all corners."""
    cases = list(corners(run, ends, theorem.uses_optimum))
    masks = [spoken_of(theorem, case.values) for case in cases]
    mask = np.any(masks, axis=0)
    if not mask.any():
        return Found(NOT_APPLICABLE, math.nan, 0, "it speaks of no checkpoint of this run")
    k, lost = cases[0].k[mask].astype(np.int64), cases[0].out_of_range[mask]
    holds, equal = np.ones(k.size, bool), np.ones(k.size, bool)
    ratios, failing, larger = [], [], []
    for case, spoken in zip(cases, masks, strict=True):
        lhs, rhs = (side[mask] for side in sides_of(theorem, case))
        seen, silent = compare(theorem.relation, lhs, rhs, case.unbounded), ~spoken[mask]
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
