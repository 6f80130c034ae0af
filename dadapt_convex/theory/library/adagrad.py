"""AdaGrad, its rate tuned by hand.

    a_{k+1}^2 = a_k^2 + g_k^2,    x_{k+1} = x_k - lr g_k/(a_{k+1} + eps) in each coordinate

`D_inf` is the distance of `x_0` from the minimisers in the maximum norm, and `x*` the minimiser at that distance.

Source: J. Duchi, E. Hazan, Y. Singer, Adaptive subgradient methods for online learning and stochastic optimization,
JMLR 12, 2011.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dadapt_convex.theory.assumptions import no_weight_decay
from dadapt_convex.theory.case import Case
from dadapt_convex.theory.rows import first_row
from dadapt_convex.theory.statement import RATE, Sides, gap_sides, theorem
from dadapt_convex.theory.steps import Steps, definition, norm1
from dadapt_convex.theory.variants import of_the_best

DUCHI, OWN = "Duchi, Hazan & Singer 2011", "own"


@definition("a_{k+1}^2 = a_k^2 + g_k^2, x_{k+1} = x_k - lr gamma_k g_k/(a_{k+1} + eps)", source=DUCHI)
def definition_adagrad(t: Steps) -> dict[str, Any]:
    """With weight decay w, `g_k + w x_k` stands for `g_k`."""
    g = t.g + t.hyper["weight_decay"] * t.x
    a2 = t.a2 + g**2
    a = np.sqrt(a2) + t.hyper["eps"]
    reach = np.maximum(t.x_reach, np.abs(t.x - t.x0).max(axis=1, keepdims=True))
    return {
        "a2": a2, "x_next": t.x - t.hyper["lr"] * t.factor * g / a, "a_norm1": norm1(a), "x_reach": reach,
        "weight": np.ones_like(t.k),
    }  # fmt: skip


@theorem(
    "sum (f(x_k) - f*) <= (R^2/(2 lr) + lr) ||a_{n+1} + eps||_1, R = D_inf + max_{k<=n} ||x_k - x_0||_inf",
    source=f"{DUCHI}; own without a bounded set", kind=RATE, assumptions=(no_weight_decay,), comparator=True,
)  # fmt: skip
def adagrad_rate(c: Case) -> Sides:
    """In each coordinate, with `h = lr`, `alpha_k = a_{k+1} + eps` and `e_k = x_k - x*`:

        2 g_k e_k = (alpha_k/h) (e_k^2 - e_{k+1}^2) + h g_k^2/alpha_k
        sum alpha_k (e_k^2 - e_{k+1}^2) <= R^2 alpha_n                  by parts, |e_k| <= R, alpha nondecreasing
        sum g_k^2/alpha_k <= sum g_k^2/a_{k+1} <= 2 a_{n+1} <= 2 alpha_n
        sum g_k e_k <= (R^2/(2 h) + h) alpha_n

    Summed over the coordinates, with `gap_k <= <g_k, x_k - x*>`.
    """
    h = c.hyper["lr"]
    return gap_sides(c, ((c.D_inf + c.x_reach) ** 2 / (2 * h) + h) * c.a_norm1 / c.k)


adagrad_rate_best = of_the_best(adagrad_rate)


@theorem(
    "||x_n - x_0|| <= sqrt(p) max_{k<=n} ||x_k - x_0||_inf",
    source=OWN, schedule="any", uses_optimum=False,
)  # fmt: skip
def adagrad_reach(c: Case) -> Sides:
    """Every vector v of p coordinates has `||v|| <= sqrt(p) ||v||_inf`. The left-hand side is the driver's, the
    right-hand side is the reach that the method records.
    """
    return Sides(c.x_dist, math.sqrt(c.p) * c.x_reach)


@theorem("||x_1 - x_0|| <= sqrt(p) lr", source=OWN, rows=first_row, uses_optimum=False)
def adagrad_first_step(c: Case) -> Sides:
    """In each coordinate:

    lr |g_0|/(|g_0| + eps) <= lr
    """
    return Sides(c.x_next_dist, math.sqrt(c.p) * c.hyper["lr"])
