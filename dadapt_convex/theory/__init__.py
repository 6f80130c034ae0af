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

import numpy as np

from dadapt_convex.identity import refuse_other_optimum
from dadapt_convex.method import nearest
from dadapt_convex.run import OptimumInterval, Run
from dadapt_convex.theory.theorem import (
    NOT_APPLICABLE,
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
    gap_sides,
    judge,
    spoken_of,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "NOT_APPLICABLE",
    "UNDECIDED",
    "VERIFIED",
    "VIOLATED",
    "Case",
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


def claims(run: Run, extra: Iterable[Theorem | str] = ()) -> list[Theorem]:
    """The theorems that speak of this run: the method's claims, then those that are about it, then `extra`."""
    named = [_theorem(claim, f"{run.method.name} claims") for claim in run.method.claims]
    about = [t for t in theorems().values() if run.method.name in t.about and t not in named]
    return [*named, *about, *(_theorem(claim, "check() was given") for claim in extra)]


def _theorem(claim: Theorem | str, who: str) -> Theorem:
    """The theorem itself, or the one of this name; ValueError with the nearest names where there is none."""
    known = theorems()
    if isinstance(claim, Theorem):
        return claim
    if claim not in known:
        hint = nearest(claim, known) or "there are"
        raise ValueError(f"{who} an unknown theorem {claim!r}; {hint} {', '.join(known)}.")
    return known[claim]


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
        theorem, verdict, worst_ratio (lhs/rhs at the worst checkpoint, at the unfavourable ends of the
        intervals; at the favourable ends where VIOLATED), k (that checkpoint), note. VERIFIED: it holds at every
        checkpoint it speaks of even at the unfavourable ends. VIOLATED: it fails somewhere even at the
        favourable ends. UNDECIDED: neither. NOT_APPLICABLE: an assumption is not met; the note names it. With
        stochastic gradients always NOT_APPLICABLE: the note and worst_ratio say how often and how far the statement
        was exceeded at the favourable ends, k where most.
        Rounding is allowed for as dadapt_convex/theory/theorem.py states.

    Raises
    ------
    ValueError
        Where the optimum is that of another problem, or of the same problem from another x0.
    """
    import pandas as pd

    if optimum is not None:
        refuse_other_optimum(optimum, run.problem, run.identity, run.x0.size)
    verdicts = [judge(theorem, run, optimum) for theorem in claims(run, theorems)]
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
    refuse_other_optimum(optimum, run.problem, run.identity, run.x0.size)
    D, D_inf = (hi if math.isfinite(hi) else lo for lo, hi in (
        (optimum.D_lo, optimum.D_hi), D_inf_interval(run, optimum)
    ))  # fmt: skip
    rows: list[dict[str, Any]] = []
    for theorem in claims(run):
        if not theorem.figure or judge(theorem, run, optimum).verdict == NOT_APPLICABLE:
            continue
        case = Case(run, optimum.f_hi, D, optimum, D_inf)
        mask = spoken_of(theorem, case)
        bound = np.broadcast_to(theorem.sides(case).rhs, mask.shape)
        rows.extend(
            {"theorem": theorem.name, "iterate": theorem.iterate, "k": int(k), "bound": float(b)}
            for k, b in zip(case.k[mask], bound[mask], strict=True)
        )
    return bounds_frame(rows)
