"""AdaGrad-Norm.

    x_{k+1} = x_k - eta g_k / sqrt(S_k)

The paper of Ward, Wu and Bottou bounds the gradients of smooth functions; the bound here, for convex ones, keeps a
logarithm as long as the iterates are not kept in a ball.

Sources: M. Streeter, H. B. McMahan, Less regret via online conditioning, arXiv:1002.4862, 2010. R. Ward, X. Wu,
L. Bottou, AdaGrad stepsizes: sharp convergence over nonconvex landscapes, ICML 2019.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dadapt_convex.theory.assumptions import known_schedule
from dadapt_convex.theory.case import Case
from dadapt_convex.theory.statement import RATE, Sides, formula, gap_sides, theorem
from dadapt_convex.theory.steps import Steps, definition, dot
from dadapt_convex.theory.variants import of_the_best

WARD = "Ward, Wu & Bottou 2019"


@definition("S_k = S_{k-1} + ||g_k||^2, x_{k+1} = x_k - gamma_k eta g_k/sqrt(S_k), weight of x_k: gamma_k", source=WARD)
def definition_adagrad_norm(t: Steps) -> dict[str, Any]:
    S = t._S + dot(t.g, t.g)
    h = t.factor * t.hyper["eta"] / np.sqrt(S)
    return {"_S": S, "h": h, "x_next": t.x - h * t.g, "weight": t.factor}


@formula("h_n = gamma_n eta / sqrt(S_n)", source=WARD, assumptions=(known_schedule,))
def definition_adagrad_step(c: Case) -> Sides:
    return Sides(c.h, c.factor * c.hyper["eta"] / np.sqrt(c.S))


@theorem(
    "sum (f(x_k) - f*) <= ([D^2 + eta^2 (1 + ln(S_n/S_0))] / (2 eta) + eta) sqrt(S_n)",
    source="own", kind=RATE, iterate="average", figure=True,
)  # fmt: skip
def adagrad_norm_rate(c: Case) -> Sides:
    """Let `r_k = ||x_k - x*||`. First, no iterate is far from `x*`:

        r_{k+1}^2 = r_k^2 - 2 eta <g_k, x_k - x*>/sqrt(S_k) + eta^2 ||g_k||^2/S_k
        <g_k, x_k - x*> >= gap_k >= 0
        sum ||g_k||^2/S_k <= 1 + ln(S_n/S_0)                            1 - 1/z <= ln z, z = S_k/S_{k-1}
        r_k^2 <= r^2 = D^2 + eta^2 (1 + ln(S_n/S_0))                    k <= n + 1

    Then solve the first line for the inner product and sum by parts, where `sqrt(S_k)` is nondecreasing:

        gap_k <= sqrt(S_k) (r_k^2 - r_{k+1}^2)/(2 eta) + eta ||g_k||^2/(2 sqrt(S_k))
        sum sqrt(S_k) (r_k^2 - r_{k+1}^2) <= r^2 sqrt(S_n)
        sum ||g_k||^2/sqrt(S_k) <= 2 sqrt(S_n)
        sum gap_k <= r^2 sqrt(S_n)/(2 eta) + eta sqrt(S_n)
    """
    eta = c.hyper["eta"]
    r2 = c.D**2 + eta**2 * (1 + np.log(c.S / c.g0_norm**2))
    return gap_sides(c, (r2 / (2 * eta) + eta) * np.sqrt(c.S) / c.k)


adagrad_norm_rate_best = of_the_best(adagrad_norm_rate)
