"""Assumptions shared by several theorems: functions (run, optimum) -> Unmet or None, where met."""

from __future__ import annotations

import math

from dadapt_convex.run import OptimumInterval, Run
from dadapt_convex.schedules import as_schedule
from dadapt_convex.theory.case import D_inf_interval
from dadapt_convex.theory.rounded import EPS
from dadapt_convex.theory.statement import Assumption, Unmet
from dadapt_convex.theory.verdict import NOT_APPLICABLE, UNDECIDED


def hyper_is(name: str, value: str | float) -> Assumption:
    """The hyper-parameter has this value, where the method has it."""

    def assumption(run: Run, optimum: OptimumInterval) -> Unmet | None:
        if run.hyper.get(name, value) == value:
            return None
        return Unmet(NOT_APPLICABLE, f"needs {name}={value!r}, the run has {run.hyper[name]!r}")

    assumption.__doc__ = f"`{name} = {value}`"
    return assumption


no_growth_cap = hyper_is("growth_rate", math.inf)
no_weight_decay = hyper_is("weight_decay", 0.0)


def d0_at_most_D(run: Run, optimum: OptimumInterval) -> Unmet | None:
    """`d_0 <= D`."""
    return _d0_within("D", run.hyper["d0"], optimum.D_lo, optimum.D_hi, optimum)


def d0_at_most_D_inf(run: Run, optimum: OptimumInterval) -> Unmet | None:
    """`d_0 <= D_inf`."""
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


def subgradients_within_G(run: Run, optimum: OptimumInterval) -> Unmet | None:
    """`||g_k|| <= G` for the G that the method was given."""
    seen = float(run.rows[-1]["g_max"])
    G = run.hyper["G"]
    if seen <= G * (1 + EPS * (run.x0.size + 8)):  # the rounding of a norm
        return None
    return Unmet(NOT_APPLICABLE, f"needs ||g_k|| <= G = {G:.6g}, and {seen:.6g} was seen")


def known_schedule(run: Run, optimum: OptimumInterval) -> Unmet | None:
    """the schedule can be made again from its text."""
    text = run.hyper["schedule"]
    try:
        as_schedule(text)
    except ValueError:
        return Unmet(NOT_APPLICABLE, f"needs a schedule that is known by its text, the run has {text!r}")
    return None
