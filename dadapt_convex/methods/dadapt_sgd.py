"""SGD with D-Adaptation, and momentum by primal averaging [1, Algorithm 4].

    Input x_0, d_0 > 0, beta.   s_0 = 0,  z_0 = x_0,  G = ||g_0||
    for k = 0 .. n:
        lambda_k    = d_k gamma_k / G                                  gamma_k the schedule (times lr), 1 by default
        s_{k+1}     = s_k + lambda_k g_k
        z_{k+1}     = z_k - lambda_k g_k                               = x_0 - s_{k+1}
        x_{k+1}     = beta x_k + (1 - beta) z_{k+1}
        d_hat_{k+1} = 2 sum_{i<=k} lambda_i <g_i, s_i> / ||s_{k+1}||
        d_{k+1}     = max(d_k, d_hat_{k+1})
    Output x_{n+1}

With weight decay w, g_k + w x_k stands for g_k. G is the norm of the first gradient that is not zero.
convention="released", the authors' package: G without the weight decay. The two are one recursion for w = 0; the
package's default momentum is 0.

The factor 2 breaks d_hat <= D: on |x| with momentum 0, d rises to 1.114 D. For momentum 0 d_hat <= 2 D stays true; with
momentum 0.9 d comes to stand at up to 6 times D. See theorem sgd_d_hat.

[1] A. Defazio, K. Mishchenko. Learning-Rate-Free Learning by D-Adaptation. ICML 2023, arXiv:2301.07733.
"""

from __future__ import annotations

import math
from typing import Any

from dadapt_convex.method import SCHEDULE, Method
from dadapt_convex.methods._dadaptation import grow
from dadapt_convex.methods._hyper import CONVENTION, D0, GROWTH_RATE, LR, MOMENTUM, WEIGHT_DECAY
from dadapt_convex.oracle import helper, step


def init(vectors: Any, scalars: Any, hyper: Any) -> None:
    """D starts at d_0, everything else at zero."""
    scalars[0] = hyper[0]


@helper
def norm_with_decay(g: Any, w: float, x: Any) -> float:
    """||g + w x||."""
    total = 0.0
    for i in range(g.size):
        total += (g[i] + w * x[i]) * (g[i] + w * x[i])
    return math.sqrt(total)


@step
def dadapt_sgd(
    k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, vectors: Any, scalars: Any, hyper: Any
) -> float:
    """Iteration k of Algorithm 4, in one pass over the parameters; the weight of x_k is lambda_k."""
    x0, s = vectors[0], vectors[1]
    lr, beta, w, growth_rate, released, gamma = hyper[1], hyper[2], hyper[3], hyper[4], hyper[5] == 1.0, hyper[6]
    d, d_hat, G = scalars[0], scalars[1], scalars[6]

    if G == 0.0:
        G = math.sqrt(g2) if released else norm_with_decay(g, w, x)
    lam = d * (lr * gamma) / G if G > 0.0 else 0.0  # 0: g + w x = 0 so far, and s stays 0
    gs = g2_decayed = s_norm2 = 0.0
    for i in range(x.size):
        gi = g[i] + w * x[i]
        gs += gi * s[i]
        g2_decayed += gi * gi
        s[i] += lam * gi
        s_norm2 += s[i] * s[i]
        x_next[i] = beta * x[i] + (1.0 - beta) * (x0[i] - s[i])
    sum_gs = scalars[3] + lam * gs
    s_norm = math.sqrt(s_norm2)
    if s_norm > 0.0:
        d_hat = 2.0 * sum_gs / s_norm

    if k > 0:
        scalars[5] += lam * (scalars[7] - f)
    scalars[0], scalars[1], scalars[2], scalars[3] = grow(d, d_hat, growth_rate), d_hat, s_norm, sum_gs
    scalars[4] += lam * lam * g2_decayed
    scalars[6], scalars[7] = G, f
    return lam


METHOD = Method(
    name="dadapt_sgd",
    title="D-Adapt SGD",
    reference="Defazio & Mishchenko, ICML 2023, Algorithm 4",
    summary="SGD with momentum and D-Adaptation: no learning rate",
    hyper=(D0, LR, MOMENTUM, WEIGHT_DECAY, GROWTH_RATE, CONVENTION, SCHEDULE),
    vectors=("x0", "s"),
    scalars=(
        "d", "d_hat", "s_norm",
        "sum_lambda_gs",  # sum_{i<=k} lambda_i <g_i, s_i>
        "sum_lambda2_g2",  # sum_{i<=k} lambda_i^2 ||g_i||^2
        "sum_lambda_df",  # sum_{1<=i<=k} lambda_i (f(x_{i-1}) - f(x_i))
        "G_first", "_f",
    ),
    init=init,
    step=dadapt_sgd,
    averages=False,
    claims=(
        "sgd_I2", "sgd_d_hat", "sgd_I1", "sgd_I2_comparator", "regret_comparator", "regret",
        "sgd_definition_d_hat", "definition_d", "definition_dadapt_sgd",
    ),
)  # fmt: skip
