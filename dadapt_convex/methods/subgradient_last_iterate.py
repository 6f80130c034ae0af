"""The subgradient method with linearly decreasing steps, optimal for the last iterate [1].

    for k = 0 .. n,  N = n + 1:
        x_{k+1} = x_k - h_k g_k,   h_k = gamma_k D (N - 1 - k) / (G N^{3/2})        gamma_k the schedule, 1 by default
    Output x_n

Guarantee, for dist(x_0, X*) <= D and gamma = 1: f(x_n) - f* <= D G / sqrt(n + 1), which no method can improve.

[1] M. Zamani, F. Glineur. Exact convergence rate of the last iterate in subgradient methods. arXiv:2307.11134.
"""

from __future__ import annotations

from typing import Any

from numpy import sqrt

import dadapt_convex as dc
from dadapt_convex.methods import _hyper
from dadapt_convex.vector import move_from


class State(dc.State):
    h = dc.Scalar("h_k")


class Hyper(dc.Hyper):
    D = _hyper.D
    G = _hyper.G
    N = dc.Real(meaning="the number of steps the schedule is made for", low=0.0, known="steps")
    schedule = dc.SCHEDULE


@dc.step(State, Hyper)
def subgradient_last_iterate(
    k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, state: State, hyper: Hyper
) -> float:
    """Iteration k; the average kept beside the last iterate is uniform."""
    D, G, N = hyper.D, hyper.G, hyper.N
    state.h = hyper.schedule * D * max(N - 1.0 - k, 0.0) / (G * N * sqrt(N))
    move_from(x, state.h, g, x_next)
    return 1.0


METHOD = dc.Method(
    name="subgradient_last_iterate",
    reference="Zamani & Glineur, arXiv:2307.11134",
    summary="the subgradient method whose last iterate is optimal after exactly N steps, given D and G",
    step=subgradient_last_iterate,
    claims=(
        "last_iterate_rate",
        "regret_comparator",
        "regret",
        "definition_decreasing_step",
        "definition_subgradient_last_iterate",
    ),
)
