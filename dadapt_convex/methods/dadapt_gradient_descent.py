"""Gradient descent with D-Adaptation [1, Algorithm 2].

    Input x_0, d_0 > 0, G.   s_0 = 0
    for k = 0 .. n:
        g_k in the subdifferential of f at x_k
        lambda_k    = d_k gamma_k / sqrt(G^2 + sum_{i<=k} ||g_i||^2)         gamma_k the schedule, 1 by default
        s_{k+1}     = s_k + lambda_k g_k
        d_hat_{k+1} = (||s_{k+1}||^2 - sum_{i<=k} lambda_i^2 ||g_i||^2) / (2 ||s_{k+1}||)
        d_{k+1}     = max(d_k, d_hat_{k+1})
        x_{k+1}     = x_k - lambda_k g_k
    Output sum lambda_k x_k / sum lambda_k

It is dual averaging with the step 1 (the column gamma of the trace): x_{k+1} = x_0 - s_{k+1}.

Guarantee: for every d_0 <= D = dist(x_0, X*), d_k <= D and f(output) - f* <= D (d_{n+1} / sum lambda_k) times
max(1 + sqrt(1 + L), (1 + L)/2), L = ln(n + 2): the paper's O(D G log(n + 2) / sqrt(n + 1)); see theorem
gd_rate.

[1] A. Defazio, K. Mishchenko. Learning-Rate-Free Learning by D-Adaptation. ICML 2023, arXiv:2301.07733.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from dadapt_convex.method import SCHEDULE, Method, Real
from dadapt_convex.methods import _hyper
from dadapt_convex.methods._dadaptation import grow
from dadapt_convex.methods._dual_averaging import SUMS, accumulate
from dadapt_convex.oracle import step
from dadapt_convex.vector import move_from

D0 = replace(_hyper.D0, meaning="a lower bound on D = dist(x0, X*), in units of ||x||")
G = Real("G", "an upper bound on ||g_k||", low=0.0, known="G")


def init(vectors: Any, scalars: Any, hyper: Any) -> None:
    """D starts at d_0, gamma at 1, everything else at zero."""
    scalars[4], scalars[6] = hyper[0], 1.0


@step
def dadapt_gradient_descent(
    k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, vectors: Any, scalars: Any, hyper: Any
) -> float:
    """Iteration k of Algorithm 2; the weight of x_k is lambda_k."""
    s = vectors[0]
    G, growth_rate, gamma = hyper[1], hyper[2], hyper[3]
    d, d_hat, S = scalars[4], scalars[5], scalars[8]

    S += g2
    lam = d * gamma / math.sqrt(G * G + S)
    s_norm2 = accumulate(lam, 1.0, g2, g, s, scalars)
    s_norm = math.sqrt(s_norm2)
    if s_norm > 0.0:  # otherwise d_hat is 0/0, and s = 0 says nothing of D
        d_hat = (s_norm2 - scalars[0]) / (2.0 * s_norm)
    move_from(x, lam, g, x_next)

    scalars[4], scalars[5], scalars[7], scalars[8] = grow(d, d_hat, growth_rate), d_hat, s_norm, S
    scalars[9] += g2 / (G * G + S)
    return lam


METHOD = Method(
    name="dadapt_gradient_descent",
    title="D-Adapt gradient descent",
    reference="Defazio & Mishchenko, ICML 2023, Algorithm 2",
    summary="gradient descent with D-Adaptation: learning-rate-free, given G",
    hyper=(D0, G, _hyper.GROWTH_RATE, SCHEDULE),
    vectors=("s",),
    # sum_g2_over: sum_{i<=k} ||g_i||^2 / (G^2 + S_i)
    scalars=(*SUMS, "d", "d_hat", "gamma", "s_norm", "_S", "sum_g2_over"),
    init=init,
    step=dadapt_gradient_descent,
    claims=(
        "gd_D3", "gd_D3_a_priori", "gd_rate", "gd_asymptotic", "gd_D3_best", "gd_asymptotic_best",
        "L1", "L1_half_distance", "gd_D1", "gd_D2",
        "I1", "I2", "I2_comparator", "I3", "I3_simple", "I3_comparator", "regret_comparator", "regret",
        "gd_definition_d_hat", "definition_s",
        "definition_d", "definition_dadapt_gradient_descent",
    ),
)  # fmt: skip
