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

import math
from typing import Any

from dadapt_convex.method import SCHEDULE, Method, Real
from dadapt_convex.oracle import step
from dadapt_convex.vector import move_from

ETA = Real("eta", "the scale of the step, in units of ||x||; best near D", low=0.0, known="D")


@step
def adagrad_norm(
    k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, vectors: Any, scalars: Any, hyper: Any
) -> float:
    """Iteration k; the weight of x_k is gamma_k."""
    eta, gamma, S = hyper[0], hyper[1], scalars[0]

    S += g2
    h = gamma * (eta / math.sqrt(S))
    move_from(x, h, g, x_next)

    scalars[0], scalars[1] = S, h
    return gamma


METHOD = Method(
    name="adagrad_norm",
    title="AdaGrad-Norm",
    reference="Streeter & McMahan 2010; Ward, Wu & Bottou, ICML 2019",
    summary="the subgradient method with the step eta / sqrt(sum ||g||^2), eta = D by default",
    hyper=(ETA, SCHEDULE),
    vectors=(),
    scalars=("_S", "h"),
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
