"""AdaGrad, coordinate-wise, unconstrained.

    a_0 = 0
    for k = 0 .. n:
        a_{k+1}^2 = a_k^2 + g_k^2                          by coordinate; g_k + w x_k with weight decay w
        x_{k+1}   = x_k - lr gamma_k g_k / (a_{k+1} + eps)            gamma_k the schedule, 1 by default
    Output x_{n+1}

The learning rate is tuned by hand; best near the distance to the minimiser in the maximum norm.

Guarantee for the deterministic oracle, w = 0 and a constant rate: theorem adagrad_rate. Its bound has the largest
||x_k - x_0||_inf seen, as the iterates are not kept in a box.

J. Duchi, E. Hazan, Y. Singer. Adaptive subgradient methods for online learning and stochastic optimization. JMLR 12,
2011.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from numpy import sqrt

import dadapt_convex as dc
from dadapt_convex.methods._hyper import EPS, WEIGHT_DECAY


class State(dc.State):
    x0 = dc.Vector("x_0")
    a2 = dc.Vector("a_{k+1}^2")
    a_norm1 = dc.Scalar("||a_{k+1} + eps||_1")
    x_reach = dc.Scalar("max_{i<=k} ||x_i - x_0||_inf")


class Hyper(dc.Hyper):
    lr = dc.Real(meaning="the learning rate, in units of ||x||", default=1e-2, low=0.0)
    eps = replace(EPS, default=1e-10)
    weight_decay = WEIGHT_DECAY
    schedule = dc.SCHEDULE


@dc.step(State, Hyper)
def adagrad(k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, state: State, hyper: Hyper) -> float:
    """Iteration k, in one pass over the parameters; all x_k weigh the same."""
    x0, a2 = state.x0, state.a2
    eps, w = hyper.eps, hyper.weight_decay

    rate = hyper.lr * hyper.schedule
    a_norm1, reach = 0.0, state.x_reach
    for i in range(x.size):
        gi = g[i] + w * x[i]
        a2[i] += gi * gi
        a = sqrt(a2[i]) + eps
        reach = max(reach, abs(x[i] - x0[i]))  # of x_k: the bound speaks of x_0 .. x_n
        x_next[i] = x[i] - rate * gi / a
        a_norm1 += a

    state.a_norm1 = a_norm1
    state.x_reach = reach
    return 1.0


METHOD = dc.Method(
    name="adagrad",
    title="AdaGrad",
    distance_norm="maximum",
    reference="Duchi, Hazan & Singer, JMLR 12, 2011",
    summary="AdaGrad with a rate for each coordinate, scaled by hand",
    step=adagrad,
    averages=False,
    claims=(
        "adagrad_rate", "adagrad_rate_best", "adagrad_reach", "adagrad_first_step", "regret_comparator", "regret",
        "definition_adagrad",
    ),
)  # fmt: skip
