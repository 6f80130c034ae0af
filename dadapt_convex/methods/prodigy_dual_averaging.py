"""Prodigy in its dual averaging form [1, Algorithm 2].

    Input x_0, d_0 > 0, G.   s_0 = 0,  gamma_0 = 1 / (d_0 G)
    for k = 0 .. n:
        g_k in the subdifferential of f at x_k
        lambda_k    = d_k^2                                          (times the schedule, 1 by default)
        s_{k+1}     = s_k + lambda_k g_k
        d_hat_{k+1} = sum_{i<=k} lambda_i <g_i, x_0 - x_i> / ||s_{k+1}||
        d_{k+1}     = max(d_k, d_hat_{k+1})
        gamma_{k+1} = 1 / sqrt(d_{k+1}^2 G^2 + sum_{i<=k} d_i^2 ||g_i||^2)
        x_{k+1}     = x_0 - gamma_{k+1} s_{k+1}
    Output sum lambda_k x_k / sum lambda_k

As x_0 - x_i = gamma_i s_i, the estimate is option II of D-Adaptation with the weights d_k^2 in place of d_k: later
subgradients, taken with a better d, count for more.

Guarantee without a schedule: for every d_0 <= D = dist(x_0, X*) and ||g_k|| <= G, d_k <= D, and at every n the bound
of theorem prodigy_D3. At the best t <= n, theorem prodigy_rate: for n + 1 >= L = 1 + 2 ln(D/d_0),

    f(output at t) - f* <= 6 D G sqrt(L / (n + 1))

[1] K. Mishchenko, A. Defazio. Prodigy: An Expeditiously Adaptive Parameter-Free Learner. ICML 2024, arXiv:2306.06101.
"""

from __future__ import annotations

from typing import Any

from numpy import inf, sqrt

import dadapt_convex as dc
from dadapt_convex.methods import _hyper
from dadapt_convex.methods._dadaptation import grow
from dadapt_convex.methods._dual_averaging import Sums, add_gradient, set_gamma
from dadapt_convex.vector import move_from


class State(Sums):
    x0 = dc.Vector("x_0")
    d = dc.Scalar("d_{k+1}", start="d0")
    d_hat = dc.Scalar("d_hat_{k+1}")
    gamma = dc.Scalar("gamma_{k+1}", start=lambda hyper: 1.0 / (hyper.d0 * hyper.G))
    s_norm = dc.Scalar("||s_{k+1}||")
    sum_d2_g2 = dc.Scalar("sum_{i<=k} d_i^2 ||g_i||^2")
    _sum_lambda = dc.Scalar("sum_{i<=k} lambda_i")
    d2_over_sum_d2 = dc.Scalar("d_{k+1}^2 / sum_{i<=k} lambda_i")


class Hyper(dc.Hyper):
    d0 = _hyper.D0_BELOW_D
    G = _hyper.G
    schedule = dc.SCHEDULE


@dc.step(State, Hyper)
def prodigy_dual_averaging(
    k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, state: State, hyper: Hyper
) -> float:
    """Iteration k of Algorithm 2; the weight of x_k is lambda_k."""
    d2 = state.d * state.d
    lam = d2 * hyper.schedule
    gamma = state.gamma
    s_norm2 = add_gradient(state, lam, gamma, g2, g)
    s_norm = sqrt(s_norm2)
    if s_norm > 0.0:  # otherwise d_hat is 0/0, and s = 0 says nothing of D
        state.d_hat = state.sum_gamma_lambda_gs / s_norm
    state.d = grow(state.d, state.d_hat, inf)

    state.sum_d2_g2 += d2 * g2
    dG = state.d * hyper.G
    gamma_next = 1.0 / sqrt(dG * dG + state.sum_d2_g2)
    set_gamma(state, gamma, gamma_next, s_norm2)
    move_from(state.x0, gamma_next, state.s, x_next)

    state.s_norm = s_norm
    state._sum_lambda += lam
    state.d2_over_sum_d2 = state.d * state.d / state._sum_lambda
    return lam


METHOD = dc.Method(
    name="prodigy_dual_averaging",
    title="Prodigy dual averaging",
    reference="Mishchenko & Defazio, ICML 2024, Algorithm 2",
    summary="Prodigy's dual averaging form, weights d_k^2: learning-rate-free, given G",
    step=prodigy_dual_averaging,
    select="d2_over_sum_d2",
    claims=(
        "prodigy_D3", "prodigy_D3_best", "prodigy_D3_a_priori", "prodigy_D3_any_d0", "prodigy_selected", "prodigy_rate",
        "L1", "prodigy_D1", "prodigy_kappa",
        "I1", "I2", "I2_comparator", "I3", "I3_simple", "I3_comparator", "regret_comparator", "regret",
        "prodigy_definition_d_hat", "prodigy_definition_gamma", "definition_s", "definition_d",
        "definition_prodigy_dual_averaging",
    ),
)  # fmt: skip
