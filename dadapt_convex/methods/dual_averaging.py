"""Dual averaging with known D and G [1].

    s_0 = 0,  gamma_k = D / (G sqrt(2 (k + 1)))
    for k = 0 .. n:
        s_{k+1} = s_k + lambda_k g_k                lambda_k the schedule, 1 by default
        x_{k+1} = x_0 - gamma_{k+1} s_{k+1}
    Output sum lambda_k x_k / sum lambda_k

Guarantee with lambda = 1: (I3) with gamma_{n+1} = D / (G sqrt(2 (n + 2))) gives, at every n and for dist(x_0, X*) <= D,
f(output) - f* <= D G sqrt(n + 2) sqrt(2) / (n + 1): sqrt(2) times the optimal rate, for all n at once.

[1] Y. Nesterov. Primal-dual subgradient methods for convex problems. Math. Programming 120, 2009.
"""

from __future__ import annotations

import math
from typing import Any

from dadapt_convex.method import SCHEDULE, Method, Real
from dadapt_convex.methods._dual_averaging import SUMS, accumulate, accumulate_gamma
from dadapt_convex.oracle import step
from dadapt_convex.vector import move_from

D = Real("D", "an upper bound on dist(x0, X*), in units of ||x||", low=0.0, known="D")
G = Real("G", "an upper bound on ||g_k||", low=0.0, known="G")


@step
def dual_averaging(
    k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, vectors: Any, scalars: Any, hyper: Any
) -> float:
    """Iteration k; the weight of x_k is lambda_k."""
    x0, s = vectors[0], vectors[1]
    D, G, lam = hyper[0], hyper[1], hyper[2]

    gamma = D / (G * math.sqrt(2.0 * (k + 1)))
    gamma_next = D / (G * math.sqrt(2.0 * (k + 2)))
    s_norm2 = accumulate(lam, gamma, g2, g, s, scalars)
    accumulate_gamma(gamma, gamma_next, s_norm2, scalars)
    move_from(x0, gamma_next, s, x_next)

    scalars[4], scalars[5] = gamma_next, math.sqrt(s_norm2)
    return lam


METHOD = Method(
    name="dual_averaging",
    reference="Nesterov, Math. Programming 120, 2009",
    summary="dual averaging with the step D / (G sqrt(2 (k + 1))), given D and G",
    hyper=(D, G, SCHEDULE),
    vectors=("x0", "s"),
    scalars=(*SUMS, "gamma", "s_norm"),
    step=dual_averaging,
    claims=(
        "dual_averaging_rate",
        "I1",
        "I2",
        "I2_comparator",
        "I3",
        "I3_simple",
        "dual_averaging_rate_best",
        "I3_comparator",
        "regret_comparator",
        "regret",
        "definition_nesterov_gamma",
        "definition_s",
        "definition_dual_averaging",
    ),
)
