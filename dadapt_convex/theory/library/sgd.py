"""SGD with momentum, its rate tuned by hand.

    m_{k+1} = beta m_k + g_k,    x_{k+1} = x_k - h_k m_{k+1},    h_k = lr gamma_k

Source: B. T. Polyak, Some methods of speeding up the convergence of iteration methods, USSR Comput. Math. Math.
Phys. 4, 1964.
"""

from __future__ import annotations

from typing import Any

from dadapt_convex.theory.assumptions import hyper_is, no_weight_decay
from dadapt_convex.theory.case import Case
from dadapt_convex.theory.rows import has_weight
from dadapt_convex.theory.statement import Sides, gap_sides, theorem
from dadapt_convex.theory.steps import Steps, definition
from dadapt_convex.theory.variants import for_the_best_point


@definition("m_{k+1} = beta m_k + g_k + w x_k, x_{k+1} = x_k - lr gamma_k m_{k+1}", source="Polyak 1964, as in PyTorch")
def definition_sgd(t: Steps) -> dict[str, Any]:
    h = t.hyper["lr"] * t.factor
    m = t.hyper["momentum"] * t.m + t.g + t.hyper["weight_decay"] * t.x
    return {"m": m, "x_next": t.x - h * m, "weight": h, "f_first": t.after_the_first("f_first", t.f)}


@theorem(
    "sum h_k (f(x_k) - f*) <= D^2/2 + 1/2 sum h_k^2 ||g_k||^2, h_k = lr gamma_k, without momentum",
    source="Shor 1985", assumptions=(hyper_is("momentum", 0.0), no_weight_decay), rows=has_weight, schedule="any",
    comparator=True,
)  # fmt: skip
def sgd_basic_inequality(c: Case) -> Sides:
    """Without momentum the method is the subgradient method with the steps `h_k`; apply `basic_inequality`."""
    return gap_sides(c, (0.5 * c.D**2 + 0.5 * c.sum_w2_g2) / c.weight_sum)


sgd_basic_inequality_comparator = for_the_best_point(sgd_basic_inequality)


@theorem(
    "sum (f(x_k) - f*) <= (1 - beta) D^2/(2 lr) + lr S_n/(2 (1 - beta)) + beta/(1 - beta) (f(x_0) - f(x_n))",
    source="own", assumptions=(no_weight_decay,), comparator=True,
)  # fmt: skip
def sgd_momentum(c: Case) -> Sides:
    """A point ahead of `x_k` takes plain subgradient steps. With `y_0 = x_0` and `h = lr`:

    y_k = x_k + beta/(1 - beta) (x_k - x_{k-1})
    y_{k+1} = y_k - h/(1 - beta) g_k
    sum <g_k, y_k - x*> <= (1 - beta) D^2/(2 h) + h/(2 (1 - beta)) S_n      basic inequality
    <g_k, x_k - x*> >= gap_k
    <g_k, x_k - x_{k-1}> >= f(x_k) - f(x_{k-1})                     telescopes
    """
    h, beta = c.hyper["lr"], c.hyper["momentum"]
    first = (1 - beta) * c.D**2 / (2 * h) + h / (2 * (1 - beta)) * c.S
    return gap_sides(c, (first + beta / (1 - beta) * (c.f_first - c.f)) / c.k)
