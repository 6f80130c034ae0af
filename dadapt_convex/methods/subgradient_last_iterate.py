"""The subgradient method with linearly decreasing steps, optimal for the last iterate [1].

    for k = 0 .. n,  N = n + 1:
        x_{k+1} = x_k - h_k g_k,   h_k = gamma_k D (N - 1 - k) / (G N^{3/2})        gamma_k the schedule, 1 by default
    Output x_n

Guarantee, for dist(x_0, X*) <= D and gamma = 1: f(x_n) - f* <= D G / sqrt(n + 1), which no method can improve.

[1] M. Zamani, F. Glineur. Exact convergence rate of the last iterate in subgradient methods. arXiv:2307.11134.
"""

from __future__ import annotations

import math
from typing import Any

from dadapt_convex.method import SCHEDULE, Method, Real
from dadapt_convex.oracle import step
from dadapt_convex.vector import move_from

D = Real("D", "an upper bound on dist(x0, X*), in units of ||x||", low=0.0, known="D")
G = Real("G", "an upper bound on ||g_k||", low=0.0, known="G")
N = Real("N", "the number of steps the schedule is made for", low=0.0, known="steps")


@step
def subgradient_last_iterate(
    k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, vectors: Any, scalars: Any, hyper: Any
) -> float:
    """Iteration k; the average kept beside the last iterate is uniform."""
    D, G, N, gamma = hyper[0], hyper[1], hyper[2], hyper[3]

    h = gamma * D * max(N - 1.0 - k, 0.0) / (G * N * math.sqrt(N))
    move_from(x, h, g, x_next)

    scalars[0] = h
    return 1.0


METHOD = Method(
    name="subgradient_last_iterate",
    reference="Zamani & Glineur, arXiv:2307.11134",
    summary="the subgradient method whose last iterate is optimal after exactly N steps, given D and G",
    hyper=(D, G, N, SCHEDULE),
    vectors=(),
    scalars=("h",),
    step=subgradient_last_iterate,
    claims=(
        "last_iterate_rate",
        "regret_comparator",
        "regret",
        "definition_decreasing_step",
        "definition_subgradient_last_iterate",
    ),
)
