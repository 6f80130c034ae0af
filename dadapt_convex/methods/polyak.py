"""The subgradient method with Polyak's step, with known f*.

    for k = 0 .. n:
        x_{k+1} = x_k - h_k g_k,   h_k = gamma_k (f(x_k) - f_star) / ||g_k||^2     gamma_k the schedule, 1 by default
    Output sum gamma_k x_k / sum gamma_k

Guarantee with f_star = f* and gamma = 1: sum_k (f(x_k) - f*)^2 <= D^2 G^2, so f(output) - f* and the best f(x_k) - f*
are at most D G / sqrt(n + 1); |x| attains the sum. See theorem polyak_sum_of_squares, also
for another f_star.

B. T. Polyak. Minimization of unsmooth functionals. USSR Comput. Math. Math. Phys. 9, 1969.
"""

from __future__ import annotations

from typing import Any

from dadapt_convex.method import SCHEDULE, Method, Real
from dadapt_convex.oracle import step
from dadapt_convex.vector import move_from

F_STAR = Real("f_star", "the minimum of f, or a lower bound on it", known="f_star")


@step
def polyak(k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, vectors: Any, scalars: Any, hyper: Any) -> float:
    """Iteration k; the weight of x_k is gamma_k."""
    f_star, gamma = hyper[0], hyper[1]

    h = gamma * (f - f_star) / g2 if g2 > 0.0 else 0.0
    move_from(x, h, g, x_next)

    scalars[0] = h
    scalars[1] += (f - f_star) * (f - f_star)
    scalars[2] += h
    scalars[3] += (2.0 - gamma) * h * (f - f_star)
    return gamma


METHOD = Method(
    name="polyak",
    title="Polyak",
    reference="Polyak, USSR Comput. Math. Math. Phys. 9, 1969",
    summary="the subgradient method with the step (f(x) - f*) / ||g||^2, given f*",
    hyper=(F_STAR, SCHEDULE),
    vectors=(),
    scalars=("h", "sum_gap2", "sum_h", "sum_h_gap"),
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
