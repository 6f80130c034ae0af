"""Gradient descent with D-Adaptation [1, Algorithm 2].

    Input x_0, d_0 > 0, G.   s_0 = 0
    for k = 0 .. n:
        g_k in the subdifferential of f at x_k
        lambda_k    = d_k / sqrt(G^2 + sum_{i<=k} ||g_i||^2)                     (times the schedule, 1 by default)
        s_{k+1}     = s_k + lambda_k g_k
        d_hat_{k+1} = (||s_{k+1}||^2 - sum_{i<=k} lambda_i^2 ||g_i||^2) / (2 ||s_{k+1}||)
        d_{k+1}     = max(d_k, min(d_hat_{k+1}, growth_rate d_k))                growth_rate infinite by default
        x_{k+1}     = x_k - lambda_k g_k
    Output sum lambda_k x_k / sum lambda_k

It is dual averaging with gamma_k = 1: x_{k+1} = x_0 - s_{k+1}. The sums that it shares with dual averaging have this
gamma, so that sum_{i<=k} gamma_i lambda_i^2 ||g_i||^2 is the sum in d_hat.

Guarantee without a schedule and with growth_rate infinite: for every d_0 <= D = dist(x_0, X*) and ||g_k|| <= G,
d_k <= D and

    f(output) - f* <= D (d_{n+1} / sum lambda_k) max(1 + sqrt(1 + L), (1 + L)/2),    L = ln(n + 2)

See theorem gd_rate. The paper states O(D G log(n + 2) / sqrt(n + 1)).

[1] A. Defazio, K. Mishchenko. Learning-Rate-Free Learning by D-Adaptation. ICML 2023, arXiv:2301.07733.
"""

from __future__ import annotations

from typing import Any

from numpy import sqrt

import dadapt_convex as dc
from dadapt_convex.methods import _hyper
from dadapt_convex.methods._dadaptation import grow
from dadapt_convex.methods._dual_averaging import Sums, add_gradient
from dadapt_convex.vector import move_from


class State(Sums):
    d = dc.Scalar("d_{k+1}", start="d0")
    d_hat = dc.Scalar("d_hat_{k+1}")
    gamma = dc.Scalar("the gamma of dual averaging, 1", start=1.0)
    s_norm = dc.Scalar("||s_{k+1}||")
    _S = dc.Scalar("sum_{i<=k} ||g_i||^2")
    sum_g2_over = dc.Scalar("sum_{i<=k} ||g_i||^2 / (G^2 + sum_{j<=i} ||g_j||^2)")


class Hyper(dc.Hyper):
    d0 = _hyper.D0_BELOW_D
    G = _hyper.G
    growth_rate = _hyper.GROWTH_RATE
    schedule = dc.SCHEDULE


@dc.step(State, Hyper)
def dadapt_gradient_descent(
    k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, state: State, hyper: Hyper
) -> float:
    """Iteration k of Algorithm 2; the weight of x_k is lambda_k."""
    state._S += g2
    G2_plus_S = hyper.G * hyper.G + state._S
    lam = state.d * hyper.schedule / sqrt(G2_plus_S)
    s_norm2 = add_gradient(state, lam, 1.0, g2, g)
    s_norm = sqrt(s_norm2)
    if s_norm > 0.0:  # otherwise d_hat is 0/0, and s = 0 says nothing of D
        state.d_hat = (s_norm2 - state.sum_gamma_lambda2_g2) / (2.0 * s_norm)
    state.d = grow(state.d, state.d_hat, hyper.growth_rate)
    move_from(x, lam, g, x_next)

    state.s_norm = s_norm
    state.sum_g2_over += g2 / G2_plus_S
    return lam


METHOD = dc.Method(
    name="dadapt_gradient_descent",
    title="D-Adapt gradient descent",
    reference="Defazio & Mishchenko, ICML 2023, Algorithm 2",
    summary="gradient descent with D-Adaptation: learning-rate-free, given G",
    step=dadapt_gradient_descent,
    claims=(
        "gd_D3", "gd_D3_a_priori", "gd_rate", "gd_asymptotic", "gd_D3_best", "gd_asymptotic_best",
        "L1", "L1_half_distance", "gd_D1", "gd_D2",
        "I1", "I2", "I2_comparator", "I3", "I3_simple", "I3_comparator", "regret_comparator", "regret",
        "gd_definition_d_hat", "definition_s",
        "definition_d", "definition_dadapt_gradient_descent",
    ),
)  # fmt: skip
