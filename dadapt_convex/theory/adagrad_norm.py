"""AdaGrad-Norm, x_{k+1} = x_k - eta g_k / sqrt(S_k), unconstrained.

With r_k = ||x_k - x*||: r_{k+1}^2 = r_k^2 - 2 eta <g_k, x_k - x*> / sqrt(S_k) + eta^2 ||g_k||^2 / S_k, so
r_k^2 <= D^2 + eta^2 sum_{i<=n} ||g_i||^2 / S_i <= D^2 + eta^2 (1 + ln(S_n / S_0)) =: r^2 for all k <= n + 1.
Solve for <g_k, x_k - x*> and sum by parts: sum gap_k <= r^2 sqrt(S_n) / (2 eta) + eta/2 sum ||g_k||^2 / sqrt(S_k),
and the last sum is at most 2 sqrt(S_n).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dadapt_convex.theory.steps import Steps, definition, dot
from dadapt_convex.theory.theorem import DEFINITION, RATE, Case, Sides, Theorem, gap_sides, known_schedule, of_the_best


def _rate(c: Case) -> Sides:
    eta = c.hyper["eta"]
    r2 = c.D**2 + eta**2 * (1 + np.log(c.S / c.g0_norm**2))
    return gap_sides(c, (r2 / (2 * eta) + eta) * np.sqrt(c.S) / c.k)


def _step(c: Case) -> Sides:
    return Sides(c.h, c.factor * c.hyper["eta"] / np.sqrt(c.S))


@definition()
def _recursion(t: Steps) -> dict[str, Any]:
    S = t._S + dot(t.g, t.g)
    h = t.factor * t.hyper["eta"] / np.sqrt(S)
    return {"_S": S, "h": h, "x_next": t.x - h * t.g, "weight": t.factor}


STATED: tuple[Theorem, ...] = (
    Theorem(
        name="adagrad_norm_rate",
        kind=RATE,
        statement="sum (f(x_k) - f*) <= ([D^2 + eta^2 (1 + ln(S_n/S_0))] / (2 eta) + eta) sqrt(S_n)",
        source="own",
        needs=("eta",),
        sides=_rate,
        iterate="average",
        figure=True,
    ),
    Theorem(
        name="definition_adagrad_step",
        kind=DEFINITION,
        statement="h_n = gamma_n eta / sqrt(S_n)",
        source="Ward, Wu & Bottou 2019",
        needs=("eta", "h", "schedule"),
        sides=_step,
        relation="=",
        assumptions=(known_schedule,),
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="definition_adagrad_norm",
        kind=DEFINITION,
        statement="S_k = S_{k-1} + ||g_k||^2, x_{k+1} = x_k - gamma_k eta g_k/sqrt(S_k), weight of x_k: gamma_k",
        source="Ward, Wu & Bottou 2019",
        needs=("_S", "eta", "h"),
        steps=_recursion,
        schedule="any",
        uses_optimum=False,
    ),
)
THEOREMS = (
    *STATED,
    *(of_the_best(t) for t in STATED if t.name in ("adagrad_norm_rate",)),
)
