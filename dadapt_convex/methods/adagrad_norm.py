"""AdaGrad-Norm [1, 2], unconstrained.

    for k = 0 .. n:
        S_k     = sum_{i<=k} ||g_i||^2
        x_{k+1} = x_k - gamma_k eta g_k / sqrt(S_k)        gamma_k the schedule, 1 by default
    Output sum gamma_k x_k / sum gamma_k

Guarantee with gamma = 1: sum_k (f(x_k) - f*) <= ([D^2 + eta^2 (1 + ln(S_n / S_0))] / (2 eta) + eta) sqrt(S_n);
theorem adagrad_norm_rate. The logarithm stays as long as the iterates are not kept in a ball.

[1] M. Streeter, H. B. McMahan. Less regret via online conditioning. arXiv:1002.4862, 2010.
[2] R. Ward, X. Wu, L. Bottou. AdaGrad stepsizes: sharp convergence over nonconvex landscapes. ICML 2019.
"""

from __future__ import annotations

from typing import Any

from numpy import sqrt

import dadapt_convex as dc
from dadapt_convex.vector import move_from


class State(dc.State):
    _S = dc.Scalar("S_k = sum_{i<=k} ||g_i||^2")
    h = dc.Scalar("the step, gamma_k eta / sqrt(S_k)")


class Hyper(dc.Hyper):
    eta = dc.Real(meaning="the scale of the step, in units of ||x||; best near D", low=0.0, known="D")
    schedule = dc.SCHEDULE


@dc.step(State, Hyper)
def adagrad_norm(k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, state: State, hyper: Hyper) -> float:
    """Iteration k; the weight of x_k is gamma_k."""
    state._S += g2
    state.h = hyper.schedule * (hyper.eta / sqrt(state._S))
    move_from(x, state.h, g, x_next)
    return hyper.schedule


METHOD = dc.Method(
    name="adagrad_norm",
    title="AdaGrad-Norm",
    reference="Streeter & McMahan 2010; Ward, Wu & Bottou, ICML 2019",
    summary="the subgradient method with the step eta / sqrt(sum ||g||^2), eta = D by default",
    step=adagrad_norm,
    claims=(
        "adagrad_norm_rate",
        "adagrad_norm_rate_best",
        "regret_comparator",
        "regret",
        "definition_adagrad_step",
        "definition_adagrad_norm",
    ),
)
