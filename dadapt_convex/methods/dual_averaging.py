"""Dual averaging with known D and G [1].

    s_0 = 0,  gamma_k = D / (G sqrt(2 (k + 1)))
    for k = 0 .. n:
        s_{k+1} = s_k + lambda_k g_k                lambda_k the schedule, 1 by default
        x_{k+1} = x_0 - gamma_{k+1} s_{k+1}
    Output sum lambda_k x_k / sum lambda_k

Guarantee with lambda = 1, for dist(x_0, X*) <= D: at every n, f(output) - f* <= sqrt(2 (n + 2)) D G / (n + 1), about
sqrt(2) times the optimal rate; see theorem dual_averaging_rate.

[1] Y. Nesterov. Primal-dual subgradient methods for convex problems. Math. Programming 120, 2009.
"""

from __future__ import annotations

from typing import Any

from numpy import sqrt

import dadapt_convex as dc
from dadapt_convex.methods import _hyper
from dadapt_convex.methods._dual_averaging import Sums, add_gradient, set_gamma
from dadapt_convex.vector import move_from


class State(Sums):
    x0 = dc.Vector("x_0")
    gamma = dc.Scalar("gamma_{k+1}")
    s_norm = dc.Scalar("||s_{k+1}||")


class Hyper(dc.Hyper):
    D = _hyper.D
    G = _hyper.G
    schedule = dc.SCHEDULE


@dc.step(State, Hyper)
def dual_averaging(k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, state: State, hyper: Hyper) -> float:
    """Iteration k; the weight of x_k is lambda_k."""
    lam = hyper.schedule
    gamma = hyper.D / (hyper.G * sqrt(2.0 * (k + 1)))
    gamma_next = hyper.D / (hyper.G * sqrt(2.0 * (k + 2)))

    s_norm2 = add_gradient(state, lam, gamma, g2, g)
    set_gamma(state, gamma, gamma_next, s_norm2)
    move_from(state.x0, gamma_next, state.s, x_next)

    state.s_norm = sqrt(s_norm2)
    return lam


METHOD = dc.Method(
    name="dual_averaging",
    reference="Nesterov, Math. Programming 120, 2009",
    summary="dual averaging with the step D / (G sqrt(2 (k + 1))), given D and G",
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
