"""The subgradient method with known D and G.

    for k = 0 .. n,  N = n + 1:
        x_{k+1} = x_k - h_k g_k
        h_k = gamma_k D / (G sqrt(N))     gamma_k the schedule, 1 by default
        h_k = D / (G sqrt(k + 1))         schedule="inverse_sqrt"
    Output the average of x_0 .. x_n weighted by h_k

Guarantee, for dist(x_0, X*) <= D: with the constant step f(output) - f* <= D G / sqrt(n + 1), a rate that no method
improves; with schedule="inverse_sqrt" f(output) - f* <= D G (1 + H_{n+1}) / (2 sum_{k<=n} 1 / sqrt(k + 1)), H the
harmonic number. See theorems subgradient_rate and subgradient_inverse_sqrt_rate.

N. Z. Shor. Minimization Methods for Non-Differentiable Functions. Springer, 1985.
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
    schedule = dc.SCHEDULE
    N = dc.Real(
        meaning="the number of steps the step is made for", low=0.0, known="steps", unless=("schedule", "inverse_sqrt")
    )


@dc.step(State, Hyper)
def subgradient(k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, state: State, hyper: Hyper) -> float:
    """Iteration k; the weight of x_k is h_k."""
    D, G, N = hyper.D, hyper.G, hyper.N
    # schedule="inverse_sqrt" has no N, here 0; its gamma_k is 1 / sqrt(k + 1)
    state.h = hyper.schedule * (D / (G * sqrt(N)) if N > 0.0 else D / G)
    move_from(x, state.h, g, x_next)
    return state.h


METHOD = dc.Method(
    name="subgradient",
    reference="Shor 1985; the constant step's rate is tight (Drori & Teboulle 2016)",
    summary="the subgradient method, constant or 1/sqrt(k + 1) step, given D and G",
    step=subgradient,
    claims=(
        "subgradient_rate",
        "subgradient_any_k",
        "subgradient_inverse_sqrt_rate",
        "basic_inequality",
        "subgradient_rate_best",
        "subgradient_any_k_best",
        "subgradient_inverse_sqrt_rate_best",
        "basic_inequality_comparator",
        "regret_comparator",
        "regret",
        "definition_constant_step",
        "definition_inverse_sqrt_step",
        "definition_subgradient",
    ),
)
