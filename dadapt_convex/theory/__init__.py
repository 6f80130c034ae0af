"""Theorems as objects; check(run, optimum) -> verdicts.

A file of this folder with a tuple THEOREMS adds to the library. A theorem of one's own is passed to `check`, or
stands among the claims of a method of one's own.
"""

from __future__ import annotations

import functools
import importlib
import math
import pkgutil
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from dadapt_convex.checks import check_distinct, did_you_mean, shown
from dadapt_convex.identity import refuse_other_optimum
from dadapt_convex.method import Method
from dadapt_convex.run import OptimumInterval, Run
from dadapt_convex.theory.rounded import Rounded, plain
from dadapt_convex.theory.theorem import (
    DEFINITION,
    FLOAT64,
    LEMMA,
    NOT_APPLICABLE,
    RATE,
    READ_OF_CASE,
    TIGHT,
    UNDECIDED,
    VERIFIED,
    VIOLATED,
    Case,
    D_inf_interval,
    Library,
    Sides,
    Theorem,
    Unmet,
    Verdict,
    bounds_frame,
    check_needs,
    gap_sides,
    judge,
    sides_of,
    spoken_of,
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
    "Theorem",
    "Unmet",
    "Verdict",
    "check",
    "gap_bounds",
    "gap_sides",
    "theorems",
]


@functools.cache
def theorems() -> dict[str, Theorem]:
    """All built-in theorems by name; shown at a prompt it is a table of their statements."""
    modules = (importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__))
    found = [t for m in modules for t in getattr(m, "THEOREMS", ())]
    return Library((t.name, t) for t in found)


def claims(method: Method, extra: Iterable[Theorem | str] = ()) -> list[Theorem]:
    """The theorems that speak of a method's runs: its claims, then those that are about it, then `extra`."""
    named = [_theorem(claim, f"{method.name} claims") for claim in method.claims]
    about = [t for t in theorems().values() if {method.name, "*"} & {*t.about} and t not in named]
    found: list[Theorem] = []
    for theorem in (*named, *about, *(_theorem(claim, "check() was given") for claim in extra)):
        if not any(theorem is other for other in found):
            found.append(theorem)
    check_distinct(f"the theorems about {method.name}", tuple(theorem.name for theorem in found))
    return found


def check_claims(method: Method, extra: Iterable[Theorem | str] = ()) -> None:
    """ValueError for a claim that names no theorem, or one that needs what the method does not have."""
    if hidden := sorted(set(method.scalars) & READ_OF_CASE):
        raise ValueError(
            f"{method.name}: theorems read {', '.join(hidden)} of a case, which is no scalar of the method; rename it."
        )
    for theorem in claims(method, extra):
        check_needs(theorem, [*method.scalars, *method.vectors], method.parameters, method.name)


def _theorem(claim: Theorem | str, who: str) -> Theorem:
    """The theorem itself, or the one of this name; ValueError with the nearest names where there is none."""
    known = theorems()
    if isinstance(claim, Theorem):
        return claim
    if not (isinstance(claim, str) and claim in known):
        hint = did_you_mean(claim, known)
        raise ValueError(f"{who} an unknown theorem {shown(claim)}; {hint}{' ' * bool(hint)}dc.theorems() shows all.")
    return known[claim]


def _given(theorems: Any) -> list[Any]:
    """ValueError where one theorem, or its name, stands in place of several."""
    if isinstance(theorems, Theorem | str | bytes) or not isinstance(theorems, Iterable):
        raise ValueError(f"theorems must be a list of theorems or of their names, got {shown(theorems)}; use brackets.")
    return list(theorems)


def _check_run(run: Any) -> None:
    if not isinstance(run, Run):
        raise ValueError(f"run must be what dc.solve returns, got {shown(run)}.")


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
        corner of the intervals of f* and D; at the corner where it fails least, where VIOLATED); k (that checkpoint);
        arithmetic; note (how many checkpoints were looked at, why nothing is decided, how the run ended if it was not
        completed). VERIFIED: it holds at every checkpoint it speaks of and at all four corners, rounding counted
        against it. TIGHT: the two sides are equal to within rounding somewhere, nowhere worse. VIOLATED: it fails
        somewhere at all corners, beyond rounding. UNDECIDED: none of these. NOT_APPLICABLE: an assumption is not met;
        the note names it. With stochastic gradients bounds are always NOT_APPLICABLE: the note and worst_ratio say how
        often and how far the statement was exceeded at the favourable corner, k where most; definitions have verdicts.
        dadapt_convex/theory/theorem.py states all this exactly.

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
    check_claims(run.method, given)
    verdicts = [judge(theorem, run, optimum) for theorem in claims(run.method, given)]
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
        As check().
    """
    _check_run(run)
    refuse_other_optimum(optimum, run.problem, run.identity, run.x0.size)
    D, D_inf = (hi if math.isfinite(hi) else lo for lo, hi in (
        (optimum.D_lo, optimum.D_hi), D_inf_interval(run, optimum)
    ))  # fmt: skip
    rows: list[dict[str, Any]] = []
    for theorem in claims(run.method):
        if not theorem.figure or judge(theorem, run, optimum).verdict == NOT_APPLICABLE:
            continue
        mask = spoken_of(theorem, Case(run, optimum.f_hi, D, optimum, D_inf, exact=True))
        case = Case(run, optimum.f_hi, D, optimum, D_inf)
        bound = plain(sides_of(theorem, case)[1])
        rows.extend(
            {"theorem": theorem.name, "iterate": theorem.iterate, "k": int(k), "bound": float(b)}
            for k, b in zip(case.k[mask], bound[mask], strict=True)
        )
    return bounds_frame(rows)
