"""Values of D, f_star, G and the number of steps for methods that need them and were not given them."""

from __future__ import annotations

import math
from typing import Any

from dadapt_convex.checks import check_interval
from dadapt_convex.method import Known, Method
from dadapt_convex.oracle import Objective
from dadapt_convex.stochastic import Sampling


class NotAvailable(ValueError):
    """The method needs a quantity that this problem does not have: D, where no minimiser exists."""


def known_quantities(problem: Objective, optimum: Any, steps: int, method: Method, drawn: Sampling | None) -> Known:
    """Make a function (name) -> (value, source) that raises ValueError, or NotAvailable, for an unknown value."""

    def certified() -> Any:
        if optimum is not None:
            return optimum
        if not hasattr(problem, "optimum"):
            raise ValueError(f"{method.name} needs D or f_star, and {problem.name} has no optimum(); pass them.")
        own = problem.optimum()
        check_interval(own)
        return own

    def known(what: str) -> tuple[float, str]:
        if what == "steps":
            return steps, "the number of steps"
        if what in ("G", "G_inf"):
            G, G_inf, note = _bounds(problem, drawn)
            # |g_i| <= ||g|| <= G for every entry, where nothing better is known
            bound = min(G, G_inf) if what == "G_inf" else G
            if not (math.isfinite(bound) and bound > 0):
                raise ValueError(
                    f"{method.name} needs {what}, a bound on the subgradients, and that of {problem.name} is "
                    f"{bound}; pass {what}=..."
                )
            return bound, f"the problem's {what} ({note})"
        best = certified()
        if what == "f_star":
            return best.f_lo, "f_lo of the certified optimum"
        if math.isfinite(best.D_hi) and best.D_hi > 0:
            return best.D_hi, "D_hi of the certified optimum"
        attained = getattr(best, "attained", True)
        estimate = getattr(best, "D_estimate", math.inf)
        if attained and math.isfinite(estimate) and estimate > 0:
            return estimate, "the distance to the computed minimiser (no certified upper end)"
        if best.D_hi == 0:
            why = f"x0 of {problem.name} is a minimiser already: D = 0"
        else:
            why = f"{problem.name} has {'no minimiser' if attained is False else f'D_hi = {best.D_hi}'}"
        raise NotAvailable(f"{method.name} needs D, and {why}; pass D=...")

    return known


def _bounds(problem: Objective, drawn: Sampling | None) -> tuple[float, float, str]:
    """G and G_inf of the subgradients that the method will see, and their sources."""
    G, G_inf, note = problem.G, getattr(problem, "G_inf", math.inf), getattr(problem, "G_note", "")
    if drawn is None:
        return G, G_inf, note
    if drawn.batch_size is not None and (of_batches := getattr(problem, "bound_batches", None)) is not None:
        return (*of_batches(problem, drawn.batch_size), f"of every mini-batch of {drawn.batch_size} rows, and the last")
    return G, G_inf, f"{note}; of the full subgradient, no bound on stochastic ones"
