"""SGD with D-Adaptation, and momentum by primal averaging [1, Algorithm 4].

    Input x_0, d_0 > 0, beta.   s_0 = 0,  z_0 = x_0,  G = ||g_0||
    for k = 0 .. n:
        g_k a stochastic subgradient of f at x_k
        lambda_k    = d_k gamma_k / G                                  gamma_k the schedule (times lr), 1 by default
        s_{k+1}     = s_k + lambda_k g_k
        z_{k+1}     = z_k - lambda_k g_k                               = x_0 - s_{k+1}
        x_{k+1}     = beta x_k + (1 - beta) z_{k+1}
        d_hat_{k+1} = 2 sum_{i<=k} lambda_i <g_i, s_i> / ||s_{k+1}||
        d_{k+1}     = max(d_k, min(d_hat_{k+1}, growth_rate d_k))      growth_rate infinite by default
    Output x_{n+1}

With weight decay w, g_k + w x_k stands for g_k. Where g_0 = 0, G is the norm of the first gradient that is not zero.
convention="released", the authors' package: G is the norm without the weight decay, so that both conventions are one
recursion for w = 0. The package's default momentum is 0.

The factor 2 breaks d_hat <= D: on |x| d rises to 1.114 D with momentum 0, where d_hat <= 2 D stays true, and to 5.787 D
with momentum 0.9. See theorem sgd_d_hat.

[1] A. Defazio, K. Mishchenko. Learning-Rate-Free Learning by D-Adaptation. ICML 2023, arXiv:2301.07733.
"""

from __future__ import annotations

from typing import Any

from numpy import sqrt

import dadapt_convex as dc
from dadapt_convex.methods import _hyper
from dadapt_convex.methods._dadaptation import grow


class State(dc.State):
    x0 = dc.Vector("x_0")
    s = dc.Vector("sum_{i<=k} lambda_i g_i")
    d = dc.Scalar("d_{k+1}", start="d0")
    d_hat = dc.Scalar("d_hat_{k+1}")
    s_norm = dc.Scalar("||s_{k+1}||")
    sum_lambda_gs = dc.Scalar("sum_{i<=k} lambda_i <g_i, s_i>")
    sum_lambda2_g2 = dc.Scalar("sum_{i<=k} lambda_i^2 ||g_i||^2")
    sum_lambda_df = dc.Scalar("sum_{1<=i<=k} lambda_i (f(x_{i-1}) - f(x_i))")
    G_first = dc.Scalar("G, the norm of the first gradient that is not zero")
    _f = dc.Scalar("f(x_k)")


class Hyper(dc.Hyper):
    d0 = _hyper.D0
    lr = _hyper.LR
    momentum = _hyper.MOMENTUM
    weight_decay = _hyper.WEIGHT_DECAY
    growth_rate = _hyper.GROWTH_RATE
    convention = _hyper.CONVENTION
    schedule = dc.SCHEDULE


@dc.helper
def norm_with_decay(g: Any, w: float, x: Any) -> Any:
    """||g + w x||."""
    total = 0.0
    for i in range(g.size):
        total += (g[i] + w * x[i]) * (g[i] + w * x[i])
    return sqrt(total)


@dc.step(State, Hyper)
def dadapt_sgd(k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, state: State, hyper: Hyper) -> float:
    """Iteration k of Algorithm 4, in one pass over the parameters; the weight of x_k is lambda_k."""
    x0, s = state.x0, state.s
    beta, w = hyper.momentum, hyper.weight_decay

    if state.G_first == 0.0:
        state.G_first = sqrt(g2) if hyper.convention_is_released else norm_with_decay(g, w, x)
    G = state.G_first
    lam = state.d * (hyper.lr * hyper.schedule) / G if G > 0.0 else 0.0  # G = 0 as long as g + w x = 0; s stays 0
    gs = g2_decayed = s_norm2 = 0.0
    for i in range(x.size):
        gi = g[i] + w * x[i]
        gs += gi * s[i]
        g2_decayed += gi * gi
        s[i] += lam * gi
        s_norm2 += s[i] * s[i]
        z = x0[i] - s[i]
        x_next[i] = beta * x[i] + (1.0 - beta) * z

    state.sum_lambda_gs += lam * gs
    s_norm = sqrt(s_norm2)
    if s_norm > 0.0:
        state.d_hat = 2.0 * state.sum_lambda_gs / s_norm
    state.d = grow(state.d, state.d_hat, hyper.growth_rate)

    if k > 0:
        state.sum_lambda_df += lam * (state._f - f)
    state._f = f
    state.s_norm = s_norm
    state.sum_lambda2_g2 += lam * lam * g2_decayed
    return lam


METHOD = dc.Method(
    name="dadapt_sgd",
    title="D-Adapt SGD",
    reference="Defazio & Mishchenko, ICML 2023, Algorithm 4",
    summary="SGD with momentum and D-Adaptation: no learning rate",
    step=dadapt_sgd,
    averages=False,
    claims=(
        "sgd_I2", "sgd_d_hat", "sgd_I1", "sgd_I2_comparator", "regret_comparator", "regret",
        "sgd_definition_d_hat", "definition_d", "definition_dadapt_sgd",
    ),
)  # fmt: skip
