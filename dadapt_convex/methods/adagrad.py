"""AdaGrad, coordinate-wise, unconstrained.

    a_0 = 0
    for k = 0 .. n:
        a_{k+1}^2 = a_k^2 + g_k^2                          by coordinate; g_k + w x_k with weight decay w
        x_{k+1}   = x_k - lr gamma_k g_k / (a_{k+1} + eps)            gamma_k the schedule, 1 by default
    Output x_{n+1}

The learning rate is tuned by hand; best near the distance to the minimiser in the maximum norm.

Guarantee for the deterministic oracle, w = 0 and a constant rate: theorem adagrad_rate, with
the largest ||x_k - x_0||_inf that was seen, as the iterates are not kept in a box.

J. Duchi, E. Hazan, Y. Singer. Adaptive subgradient methods for online learning and stochastic optimization. JMLR 12,
2011.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from dadapt_convex.method import SCHEDULE, Method, Real
from dadapt_convex.methods._hyper import EPS, WEIGHT_DECAY
from dadapt_convex.oracle import step

RATE = Real("lr", "the learning rate, in units of ||x||", default=1e-2, low=0.0)


@step
def adagrad(k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, vectors: Any, scalars: Any, hyper: Any) -> float:
    """Iteration k, in one pass over the parameters; all x_k weigh the same."""
    x0, a2 = vectors[0], vectors[1]
    lr, eps, w, gamma = hyper[0], hyper[1], hyper[2], hyper[3]

    rate = lr * gamma
    a_norm1, reach = 0.0, scalars[1]
    for i in range(x.size):
        gi = g[i] + w * x[i]
        a2[i] += gi * gi
        a = math.sqrt(a2[i]) + eps
        reach = max(reach, abs(x[i] - x0[i]))  # of x_k: the bound speaks of x_0 .. x_n
        x_next[i] = x[i] - rate * gi / a
        a_norm1 += a

    scalars[0], scalars[1] = a_norm1, reach
    return 1.0


METHOD = Method(
    name="adagrad",
    title="AdaGrad",
    distance_norm="maximum",
    reference="Duchi, Hazan & Singer, JMLR 12, 2011",
    summary="AdaGrad with a rate for each coordinate, scaled by hand",
    hyper=(RATE, replace(EPS, default=1e-10), WEIGHT_DECAY, SCHEDULE),
    vectors=("x0", "a2"),
    scalars=("a_norm1", "x_reach"),
    step=adagrad,
    averages=False,
    claims=(
        "adagrad_rate", "adagrad_rate_best", "adagrad_reach", "adagrad_first_step", "regret_comparator", "regret",
        "definition_adagrad",
    ),
)  # fmt: skip
