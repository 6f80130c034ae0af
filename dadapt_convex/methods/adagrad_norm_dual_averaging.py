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
    _S = dc.Scalar("sum_{i<=k} ||g_i||^2")


class Hyper(dc.Hyper):
    D = _hyper.D
    schedule = dc.SCHEDULE


@dc.step(State, Hyper)
def adagrad_norm_dual_averaging(
    k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, state: State, hyper: Hyper
) -> float:
    """Iteration k; the weight of x_k is lambda_k."""
    lam = hyper.schedule
    gamma = hyper.D / sqrt(g2) if k == 0 else state.gamma

    s_norm2 = add_gradient(state, lam, gamma, g2, g)
    state._S += g2
    set_gamma(state, gamma, hyper.D / sqrt(state._S), s_norm2)
    move_from(state.x0, state.gamma, state.s, x_next)

    state.s_norm = sqrt(s_norm2)
    return lam


METHOD = dc.Method(
    name="adagrad_norm_dual_averaging",
    title="AdaGrad-Norm dual averaging",
    reference="Streeter & McMahan, arXiv:1002.4862, 2010, in dual averaging form",
    summary="dual averaging with the step D / sqrt(sum ||g||^2), given D",
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
