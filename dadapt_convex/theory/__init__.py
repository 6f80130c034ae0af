"""Theorems as objects; check(run, optimum) -> verdicts.

The theorems stand in `library/`, a file for each family, read beside the papers. A theorem of one's own is passed to
`check`, or stands among the claims of a method of one's own. A theorem is made in statement.py, reads a run through
case.py, and is judged in judge.py and compare.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from dadapt_convex.checks import shown
from dadapt_convex.identity import refuse_other_optimum
from dadapt_convex.run import OptimumInterval, Run
from dadapt_convex.theory.case import Case, D_inf_interval
from dadapt_convex.theory.claims import check_claims, claims, refuse_unreadable
from dadapt_convex.theory.evaluate import sides_of, spoken_of
from dadapt_convex.theory.judge import judge
from dadapt_convex.theory.library import theorems
from dadapt_convex.theory.rounded import Rounded, plain
from dadapt_convex.theory.statement import DEFINITION, LEMMA, RATE, Sides, StepCheck, Theorem, Unmet, gap_sides, theorem
from dadapt_convex.theory.verdict import (
    FLOAT64,
    NOT_APPLICABLE,
    TIGHT,
    UNDECIDED,
    VERIFIED,
    VIOLATED,
    Verdict,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "DEFINITION",
    "FLOAT64",
    "LEMMA",
    "NOT_APPLICABLE",
    "RATE",
    "TIGHT",
    "UNDECIDED",
    "VERIFIED",
    "VIOLATED",
    "Case",
    "Rounded",
    "Sides",
    "StepCheck",
    "Theorem",
    "Unmet",
    "Verdict",
    "check",
    "check_claims",
    "claims",
    "gap_bounds",
    "gap_sides",
    "theorem",
    "theorems",
]


def _given(theorems: Any) -> list[Any]:
    """Raise ValueError where one theorem, or its name, stands in place of several."""
    if isinstance(theorems, Theorem | str | bytes) or not isinstance(theorems, Iterable):
        raise ValueError(f"theorems must be a list of theorems or of their names, got {shown(theorems)}; use brackets.")
    return list(theorems)


def _check_run(run: Any) -> None:
    if not isinstance(run, Run):
        raise ValueError(f"run must be a Run, the result of dc.solve, got {shown(run)}.")


def check(run: Run, optimum: OptimumInterval | None = None, *, theorems: Iterable[Theorem | str] = ()) -> pd.DataFrame:
    """The verdict on every theorem that the run's method claims.

    Parameters
    ----------
    run : Run
    optimum : Optimum, optional
        Without it, theorems that speak of f* or D are NOT_APPLICABLE.
    theorems : iterable of Theorem or str
        More theorems to check: one's own, or names of the library.

    Returns
    -------
    pandas.DataFrame
        theorem; kind ("rate", "lemma" or "definition"); verdict; worst_ratio (lhs/rhs at the worst checkpoint and
        corner of the intervals of f* and D; if VIOLATED, at the corner where it fails least); k (the worst checkpoint);
        arithmetic; note (how many checkpoints were looked at, why nothing is decided, how the run ended if it was not
        completed). VERIFIED: it holds at every checkpoint it speaks of and at all four corners, rounding counted
        against it. TIGHT: the two sides are equal to within rounding somewhere, nowhere worse. VIOLATED: it fails
        somewhere at all corners, beyond rounding. UNDECIDED: none of these. NOT_APPLICABLE: an assumption is not met;
        the note names it. With stochastic gradients bounds are always NOT_APPLICABLE: the note and worst_ratio say how
        often and how far the statement was exceeded at the favourable corner, k where most; definitions have verdicts.
        dadapt_convex/theory/judge.py states all this exactly.

    Raises
    ------
    ValueError
        For a theorem that is unknown, reads what the run does not have, or returns no two sides; for the optimum of
        another problem, or of the same problem from another x0.
    """
    import pandas as pd

    _check_run(run)
    given = _given(theorems)
    if optimum is not None:
        refuse_other_optimum(optimum, run.problem, run.identity, run.x0.size)
    check_claims(run.method)
    for extra in given:
        refuse_unreadable(extra, run.method)
    verdicts = [judge(claim, run, optimum) for claim in claims(run.method, given)]
    return pd.DataFrame(verdicts, columns=list(Verdict._fields))


def gap_bounds(run: Run, optimum: OptimumInterval) -> pd.DataFrame:
    """The right-hand sides that are curves for a convergence figure, the method's main one first.

    Returns
    -------
    pandas.DataFrame
        theorem, iterate ("average", "best" or "last"), k, bound: at D_hi where it is finite, else at D_lo;
        empty where no theorem applies.

    Raises
    ------
    ValueError
        For the optimum of another problem, or of the same problem from another x0.
    """
    import pandas as pd

    _check_run(run)
    refuse_other_optimum(optimum, run.problem, run.identity, run.x0.size)
    D, D_inf = (hi if math.isfinite(hi) else lo for lo, hi in (
        (optimum.D_lo, optimum.D_hi), D_inf_interval(run, optimum)
    ))  # fmt: skip
    rows: list[dict[str, Any]] = []
    for claim in claims(run.method):
        if not claim.figure or judge(claim, run, optimum).verdict == NOT_APPLICABLE:
            continue
        mask = spoken_of(claim, Case(run, optimum.f_hi, D, optimum, D_inf, exact=True))
        case = Case(run, optimum.f_hi, D, optimum, D_inf)
        bound = plain(sides_of(claim, case)[1])
        rows.extend(
            {"theorem": claim.name, "iterate": claim.iterate, "k": int(k), "bound": float(b)}
            for k, b in zip(case.k[mask], bound[mask], strict=True)
        )
    return pd.DataFrame(rows, columns=["theorem", "iterate", "k", "bound"])
