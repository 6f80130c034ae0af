"""Dual averaging with the AdaGrad-Norm scaling, with known D.

    s_0 = 0,  gamma_0 = D / ||g_0||
    for k = 0 .. n:
        s_{k+1}     = s_k + lambda_k g_k                lambda_k the schedule, 1 by default
        gamma_{k+1} = D / sqrt(sum_{i<=k} ||g_i||^2)
        x_{k+1}     = x_0 - gamma_{k+1} s_{k+1}
    Output sum lambda_k x_k / sum lambda_k

Guarantee with lambda = 1: sum_k (f(x_k) - f*) <= 1.5 D sqrt(S_n) + D G^2 / (2 ||g_0||), S_n = sum_{k<=n} ||g_k||^2;
theorem adagrad_norm_dual_averaging_rate. It is Algorithm 1 of D-Adaptation with d_0 = D.

[1] M. Streeter, H. B. McMahan. Less regret via online conditioning. arXiv:1002.4862, 2010.
"""

from __future__ import annotations

import math
from typing import Any

from dadapt_convex.method import SCHEDULE, Method, Real
from dadapt_convex.methods._dual_averaging import SUMS, accumulate, accumulate_gamma
from dadapt_convex.oracle import step
from dadapt_convex.vector import move_from

D = Real("D", "an upper bound on dist(x0, X*), in units of ||x||", low=0.0, known="D")


@step
def adagrad_norm_dual_averaging(
    k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, vectors: Any, scalars: Any, hyper: Any
) -> float:
    """Iteration k; the weight of x_k is lambda_k."""
    x0, s = vectors[0], vectors[1]
    D, lam = hyper[0], hyper[1]
    gamma, S = scalars[4], scalars[6]
    if k == 0:
        gamma = D / math.sqrt(g2)

    s_norm2 = accumulate(lam, gamma, g2, g, s, scalars)
    S += g2
    gamma_next = D / math.sqrt(S)
    accumulate_gamma(gamma, gamma_next, s_norm2, scalars)
    move_from(x0, gamma_next, s, x_next)

    scalars[4], scalars[5], scalars[6] = gamma_next, math.sqrt(s_norm2), S
    return lam


METHOD = Method(
    name="adagrad_norm_dual_averaging",
    title="AdaGrad-Norm dual averaging",
    reference="Streeter & McMahan, arXiv:1002.4862, 2010, in dual averaging form",
    summary="dual averaging with the step D / sqrt(sum ||g||^2), given D",
    hyper=(D, SCHEDULE),
    vectors=("x0", "s"),
    scalars=(*SUMS, "gamma", "s_norm", "_S"),
    step=adagrad_norm_dual_averaging,
    claims=(
        "adagrad_norm_dual_averaging_rate",
        "I1",
        "I2",
        "I2_comparator",
        "I3",
        "I3_simple",
        "adagrad_norm_dual_averaging_rate_best",
        "I3_comparator",
        "regret_comparator",
        "regret",
        "definition_adagrad_gamma",
        "definition_s",
        "definition_adagrad_norm_dual_averaging",
    ),
)
