"""The verdict on a definition, from the iterations that a run kept whole."""

from __future__ import annotations

import collections
import math

import numpy as np

from dadapt_convex.run import Run
from dadapt_convex.theory.compare import ratio_of
from dadapt_convex.theory.evaluate import step_checks
from dadapt_convex.theory.statement import Theorem
from dadapt_convex.theory.verdict import NOT_APPLICABLE, UNDECIDED, VERIFIED, VIOLATED, Found


def judge_iterations(theorem: Theorem, run: Run) -> Found:
    """The verdict on a definition, from the iterations that were kept."""
    checks = step_checks(theorem, run)
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
    ratio = float(ratio_of(np.array([worst.found]), np.array([worst.expected]))[0])
    if not worst.off <= 1:
        wrong = {check.k for check in decided if not check.off <= 1}
        note = (
            f"{worst.what} is {worst.found:.17g} and must be {worst.expected:.17g} at k = {worst.k}; "
            f"wrong at {len(wrong)} of {kept}, first at k = {min(wrong)}"
        )
        return Found(VIOLATED, ratio, worst.k, note)
    return Found(VERIFIED, ratio, worst.k, kept)
