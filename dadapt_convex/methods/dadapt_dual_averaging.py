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

from typing import Any

from numpy import inf, sqrt

import dadapt_convex as dc
from dadapt_convex.methods._dadaptation import grow
from dadapt_convex.methods._dual_averaging import Sums, add_gradient, set_gamma
from dadapt_convex.methods._hyper import D0_BELOW_D
from dadapt_convex.vector import move_from


class State(Sums):
    x0 = dc.Vector("x_0")
    d = dc.Scalar("d_{k+1}", start="d0")
    d_hat = dc.Scalar("d_hat_{k+1} of the option")
    gamma = dc.Scalar("gamma_{k+1}")
    s_norm = dc.Scalar("||s_{k+1}||")
    _S = dc.Scalar("sum_{i<=k} ||g_i||^2")
    _sum_lambda = dc.Scalar("sum_{i<=k} lambda_i")
    d_over_sum_d = dc.Scalar("d_{k+1} / sum_{i<=k} lambda_i")


class Hyper(dc.Hyper):
    d0 = D0_BELOW_D
    option = dc.Choice(meaning="the estimate of D", options=("I", "II"), default="I")
    step = dc.Choice(meaning="whether G^2 stands in the root of gamma", options=("plain", "modified"), default="plain")
    G = dc.Real(meaning="an upper bound on ||g_k||", low=0.0, known="G", when=("step", "modified"))
    schedule = dc.SCHEDULE


@dc.step(State, Hyper)
def dadapt_dual_averaging(
    k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, state: State, hyper: Hyper
) -> float:
    """Iteration k of Algorithm 1; the weight of x_k is lambda_k."""
    G2 = hyper.G * hyper.G if hyper.step_is_modified else 0.0
    gamma = state.gamma
    if k == 0:
        gamma = 1.0 / hyper.G if hyper.step_is_modified else 1.0 / sqrt(g2)

    lam = state.d * hyper.schedule
    s_norm2 = add_gradient(state, lam, gamma, g2, g)
    s_norm = sqrt(s_norm2)
    state._S += g2
    gamma_next = 1.0 / sqrt(G2 + state._S)
    set_gamma(state, gamma, gamma_next, s_norm2)

    if s_norm > 0.0:  # otherwise d_hat is 0/0, and s = 0 says nothing of D
        if hyper.option_is_I:
            state.d_hat = (gamma_next * s_norm2 - state.sum_gamma_lambda2_g2) / (2.0 * s_norm)
        else:
            state.d_hat = state.sum_gamma_lambda_gs / s_norm
    state.d = grow(state.d, state.d_hat, inf)
    move_from(state.x0, gamma_next, state.s, x_next)

    state.s_norm = s_norm
    state._sum_lambda += lam
    state.d_over_sum_d = state.d / state._sum_lambda
    return lam


METHOD = dc.Method(
    name="dadapt_dual_averaging",
    title="D-Adapt dual averaging",
    d_limit=1 / (1 + 3**0.5),  # the theorem `limit`, where the iterates converge
    reference="Defazio & Mishchenko, ICML 2023, Algorithm 1",
    summary="dual averaging with D-Adaptation: learning-rate-free, needs neither D nor G",
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
