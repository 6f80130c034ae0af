"""The diagnostic of a stochastic run: how often, and how far, it exceeded a statement about deterministic runs.

There is no verdict, as the analyses need the deterministic oracle. The statement is held against the favourable corner
of the intervals of f* and D alone.
"""

from __future__ import annotations

import math

import numpy as np

from dadapt_convex.run import OptimumInterval, Run
from dadapt_convex.theory.case import Case, D_inf_interval
from dadapt_convex.theory.compare import compare
from dadapt_convex.theory.evaluate import NotKept, sides_of, spoken_of
from dadapt_convex.theory.statement import Theorem
from dadapt_convex.theory.verdict import NOT_APPLICABLE, Found


def diagnostic(theorem: Theorem, run: Run, ends: OptimumInterval) -> Found:
    """The diagnostic: how often, and by what factor, a stochastic run exceeded a deterministic statement."""

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
    at = compare(theorem.relation, left, right)
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
