"""The subgradient method with Polyak's step, with known f*.

    for k = 0 .. n:
        x_{k+1} = x_k - h_k g_k,   h_k = gamma_k (f(x_k) - f_star) / ||g_k||^2     gamma_k the schedule, 1 by default
    Output sum gamma_k x_k / sum gamma_k

Guarantee with f_star = f* and gamma = 1: sum_k (f(x_k) - f*)^2 <= D^2 G^2, so f(output) - f* and the best f(x_k) - f*
are at most D G / sqrt(n + 1); |x| attains the sum. See theorem polyak_sum_of_squares, also for another f_star.

B. T. Polyak. Minimization of unsmooth functionals. USSR Comput. Math. Math. Phys. 9, 1969.
"""

from __future__ import annotations

from typing import Any

import dadapt_convex as dc
from dadapt_convex.vector import move_from


class State(dc.State):
    h = dc.Scalar("h_k")
    sum_gap2 = dc.Scalar("sum_{i<=k} (f(x_i) - f_star)^2")
    sum_h = dc.Scalar("sum_{i<=k} h_i")
    sum_h_gap = dc.Scalar("sum_{i<=k} (2 - gamma_i) h_i (f(x_i) - f_star)")


class Hyper(dc.Hyper):
    f_star = dc.Real(meaning="the minimum of f, or a lower bound on it", known="f_star")
    schedule = dc.SCHEDULE


@dc.step(State, Hyper)
def polyak(k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, state: State, hyper: Hyper) -> float:
    """Iteration k; the weight of x_k is gamma_k."""
    gamma, gap = hyper.schedule, f - hyper.f_star
    h = gamma * gap / g2 if g2 > 0.0 else 0.0
    move_from(x, h, g, x_next)

    state.h = h
    state.sum_gap2 += gap * gap
    state.sum_h += h
    state.sum_h_gap += (2.0 - gamma) * h * gap
    return gamma


METHOD = dc.Method(
    name="polyak",
    title="Polyak",
    reference="Polyak, USSR Comput. Math. Math. Phys. 9, 1969",
    summary="the subgradient method with the step (f(x) - f*) / ||g||^2, given f*",
    step=polyak,
    claims=(
        "polyak_rate",
        "polyak_sum_of_squares",
        "polyak_inequality",
        "polyak_rate_best",
        "regret_comparator",
        "regret",
        "definition_polyak",
    ),
)
