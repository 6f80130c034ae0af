"""Dual averaging with D-Adaptation [1, Algorithm 1].

    Input x_0, d_0 > 0.   s_0 = 0,  gamma_0 = 1 / ||g_0||
    for k = 0 .. n:
        g_k in the subdifferential of f at x_k
        s_{k+1}     = s_k + lambda_k g_k,  lambda_k = d_k         (times the schedule, 1 by default)
        gamma_{k+1} = 1 / sqrt(sum_{i<=k} ||g_i||^2)             (plain step)
                      1 / sqrt(G^2 + sum_{i<=k} ||g_i||^2)       (modified step; gamma_0 = 1 / G)
        d_hat_{k+1} = (gamma_{k+1} ||s_{k+1}||^2 - sum_{i<=k} gamma_i lambda_i^2 ||g_i||^2) / (2 ||s_{k+1}||)   (I)
                      sum_{i<=k} gamma_i lambda_i <g_i, s_i> / ||s_{k+1}||                                       (II)
        d_{k+1}     = max(d_k, d_hat_{k+1})
        x_{k+1}     = x_0 - gamma_{k+1} s_{k+1}
    Output sum lambda_k x_k / sum lambda_k

Guarantee without a schedule: for every d_0 <= D = dist(x_0, X*) and ||g_k|| <= G, f(output) - f* = O(D G /
sqrt(n + 1)), and at every n the bound of theorem D3.

[1] A. Defazio, K. Mishchenko. Learning-Rate-Free Learning by D-Adaptation. ICML 2023, arXiv:2301.07733.
"""

from __future__ import annotations

import math
from typing import Any

from dadapt_convex.method import SCHEDULE, Choice, Method, Real
from dadapt_convex.methods._dadaptation import grow
from dadapt_convex.methods._dual_averaging import SUMS, accumulate, accumulate_gamma
from dadapt_convex.oracle import step
from dadapt_convex.vector import move_from

D0 = Real("d0", "a lower bound on D = dist(x0, X*), in units of ||x||", default=1e-6, low=0.0)
OPTION = Choice("option", "the estimate of D", options=("I", "II"), default="I")
STEP = Choice("step", "whether G^2 stands in the root of gamma", options=("plain", "modified"), default="plain")
G = Real("G", "an upper bound on ||g_k||", low=0.0, known="G", when=("step", "modified"))


def init(vectors: Any, scalars: Any, hyper: Any) -> None:
    """D starts at d_0, everything else at zero."""
    scalars[len(SUMS)] = hyper[0]


@step
def dadapt_dual_averaging(
    k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, vectors: Any, scalars: Any, hyper: Any
) -> float:
    """Iteration k of Algorithm 1; the weight of x_k is lambda_k."""
    x0, s = vectors[0], vectors[1]
    option, modified, G, scheduled = hyper[1], hyper[2] == 1.0, hyper[3], hyper[4]
    d, d_hat, gamma, S, sum_lam = scalars[4], scalars[5], scalars[6], scalars[8], scalars[9]

    G2 = G * G if modified else 0.0
    if k == 0:
        gamma = 1.0 / G if modified else 1.0 / math.sqrt(g2)

    lam = d * scheduled
    s_norm2 = accumulate(lam, gamma, g2, g, s, scalars)
    s_norm = math.sqrt(s_norm2)
    S += g2
    gamma_next = 1.0 / math.sqrt(G2 + S)
    accumulate_gamma(gamma, gamma_next, s_norm2, scalars)

    if s_norm > 0.0:  # otherwise d_hat is 0/0, and s = 0 says nothing of D
        if option == 0.0:
            d_hat = (gamma_next * s_norm2 - scalars[0]) / (2.0 * s_norm)
        else:
            d_hat = scalars[1] / s_norm
    sum_lam += lam
    d_next = grow(d, d_hat, math.inf)
    move_from(x0, gamma_next, s, x_next)

    scalars[4], scalars[5], scalars[6], scalars[7] = d_next, d_hat, gamma_next, s_norm
    scalars[8], scalars[9], scalars[10] = S, sum_lam, d_next / sum_lam
    return lam


METHOD = Method(
    name="dadapt_dual_averaging",
    title="D-Adapt dual averaging",
    d_limit=1 / (1 + math.sqrt(3)),  # the theorem `limit`, where the iterates converge
    reference="Defazio & Mishchenko, ICML 2023, Algorithm 1",
    summary="dual averaging with D-Adaptation: learning-rate-free, needs neither D nor G",
    hyper=(D0, OPTION, STEP, G, SCHEDULE),
    vectors=("x0", "s"),
    scalars=(*SUMS, "d", "d_hat", "gamma", "s_norm", "_S", "_sum_lambda", "d_over_sum_d"),
    init=init,
    step=dadapt_dual_averaging,
    select="d_over_sum_d",
    claims=(
        "D3", "D3_best", "D3_a_priori", "D3_selected", "D3_any_d0",
        "asymptotic", "asymptotic_sharper", "asymptotic_sharper_best",
        "non_asymptotic", "non_asymptotic_sharper", "non_asymptotic_lemma", "non_asymptotic_lemma_sharper", "limit",
        "L1", "L1_half_distance", "options", "D1", "D1_kappa", "D1_distance", "D2",
        "I1", "I2", "I2_comparator", "I3", "I3_simple", "I3_comparator", "regret_comparator", "regret",
        "definition_gamma", "definition_gamma_0", "definition_d_hat", "definition_weights", "definition_s",
        "definition_d", "definition_dadapt_dual_averaging",
    ),
)  # fmt: skip
