"""AdaGrad with D-Adaptation, coordinate-wise [1, Algorithm 3].

    Input x_0, d_0 > 0, G_inf.   s_0 = 0,  a_0 = G_inf in every coordinate,  A_k = diag(a_k)
    for k = 0 .. n:
        g_k in the subdifferential of f at x_k
        lambda_k    = d_k gamma_k                                      gamma_k the schedule (times lr), 1 by default
        s_{k+1}     = s_k + lambda_k g_k
        a_{k+1}^2   = a_k^2 + g_k^2                                    by coordinate
        d_hat_{k+1} = (||s_{k+1}||^2_{A_{k+1}^-1} - sum_{i<=k} lambda_i^2 ||g_i||^2_{A_i^-1}) / (2 ||s_{k+1}||_1)
        d_{k+1}     = max(d_k, min(d_hat_{k+1}, growth_rate d_k))      growth_rate infinite by default
        x_{k+1}     = x_0 - A_{k+1}^-1 s_{k+1}
    Output sum lambda_k x_k / sum lambda_k

With weight decay w, g_k + w x_k stands for g_k. With momentum beta, 0 by default,

        x_{k+1}     = beta x_k + (1 - beta) (x_0 - A_{k+1}^-1 s_{k+1})

convention="released", the authors' package: a_0 = 1e-3 needs no G_inf, A = diag(a + eps), A_{i+1} in place of A_i in
the sum, no 1/2 in d_hat, and the output is x_{n+1}. Without the 1/2, d grows much sooner (on |x| from d_0 = 1e-6, 50
steps multiply d by 1340 in place of 21) and beyond D_inf; a_0 matters where G_inf is far above the gradients seen. The
package's sums go wrong where s returns to zero; here they do not.

Guarantee with the paper's convention, w = beta = 0, lr = 1, no schedule and growth_rate infinite: for every |g_k| <=
G_inf and d_0 <= D_inf, the distance to X* in the maximum norm, d_k <= D_inf and

    f(output) - f* <= (1 + sqrt 3) D_inf d_{n+1} ||a_{n+1}||_1 / sum lambda_k

See theorem ada_D3_a_priori. The paper states O(p G_inf D_inf / sqrt(n + 1)).

[1] A. Defazio, K. Mishchenko. Learning-Rate-Free Learning by D-Adaptation. ICML 2023, arXiv:2301.07733.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from numpy import sqrt

import dadapt_convex as dc
from dadapt_convex.methods import _hyper
from dadapt_convex.methods._dadaptation import grow

A0_RELEASED = 1e-3  # the package starts a^2 at 1e-6


class State(dc.State):
    x0 = dc.Vector("x_0")
    s = dc.Vector("sum_{i<=k} lambda_i g_i")
    a2 = dc.Vector("a_{k+1}^2", start=lambda h: (A0_RELEASED if h.convention_is_released else h.G_inf) ** 2)
    d = dc.Scalar("d_{k+1}", start="d0")
    d_hat = dc.Scalar("d_hat_{k+1}")
    sum_lambda2_g2 = dc.Scalar("sum_{i<=k} lambda_i^2 ||g_i||^2_{A_i^-1}")
    sum_lambda_gs = dc.Scalar("sum_{i<=k} lambda_i <g_i, A_i^-1 s_i>")
    sum_dA_s2 = dc.Scalar("sum_{i<=k} (||s_{i+1}||^2_{A_{i+1}^-1} - ||s_{i+1}||^2_{A_i^-1})")
    sum_g2 = dc.Scalar("sum_{i<=k} ||g_i||^2_{A_i^-1}")
    s_norm1 = dc.Scalar("||s_{k+1}||_1")
    s_norm2 = dc.Scalar("||s_{k+1}||^2_{A_{k+1}^-1}")
    a_norm1 = dc.Scalar("||a_{k+1} + eps||_1, the trace of A_{k+1}")
    a_norm2 = dc.Scalar("||a_{k+1}||^2")
    As_norm = dc.Scalar("||A_{k+1}^-1 s_{k+1}||")
    g_inf = dc.Scalar("max_{i<=k} ||g_i||_inf")


class Hyper(dc.Hyper):
    d0 = replace(_hyper.D0, meaning="a lower bound on D_inf, the distance to X* in the maximum norm")
    lr = _hyper.LR
    momentum = replace(_hyper.MOMENTUM, default=0.0)
    weight_decay = _hyper.WEIGHT_DECAY
    growth_rate = _hyper.GROWTH_RATE
    convention = _hyper.CONVENTION
    G_inf = dc.Real(meaning="a bound on every entry of |g_k|", low=0.0, known="G_inf", when=("convention", "paper"))
    eps = replace(_hyper.EPS, default=1e-6, when=("convention", "released"))
    schedule = dc.SCHEDULE


@dc.step(State, Hyper)
def dadapt_adagrad(k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, state: State, hyper: Hyper) -> float:
    """Iteration k of Algorithm 3, in one pass over the parameters; the weight of x_k is lambda_k."""
    x0, s, a2 = state.x0, state.s, state.a2
    beta, w, released = hyper.momentum, hyper.weight_decay, hyper.convention_is_released
    eps = hyper.eps  # 0 in the paper's convention

    lam = state.d * (hyper.lr * hyper.schedule)
    g_norm2 = gs = s_norm2 = s_norm1 = dA_s2 = a_norm1 = a_norm2 = As_norm2 = 0.0
    g_inf = state.g_inf
    for i in range(x.size):
        gi = g[i] + w * x[i]
        a_k = sqrt(a2[i]) + eps
        a2[i] += gi * gi
        a_next = sqrt(a2[i]) + eps
        inverse_k = 1.0 / a_k if a_k > 0.0 else 0.0  # G_inf^2 may underflow: no gradient yet, and s = 0
        inverse_next = 1.0 / a_next if a_next > 0.0 else 0.0
        g_norm2 += gi * gi * (inverse_next if released else inverse_k)
        gs += gi * s[i] * inverse_k
        s[i] += lam * gi
        s_norm2 += s[i] * s[i] * inverse_next
        s_norm1 += abs(s[i])
        dA_s2 += s[i] * s[i] * (inverse_next - inverse_k)
        a_norm1 += a_next
        a_norm2 += a2[i]
        g_inf = max(g_inf, abs(gi))
        As = s[i] * inverse_next
        As_norm2 += As * As
        x_next[i] = beta * x[i] + (1.0 - beta) * (x0[i] - As)

    state.sum_lambda2_g2 += lam * lam * g_norm2
    if s_norm1 > 0.0:  # otherwise d_hat is 0/0, and s = 0 says nothing of D_inf
        state.d_hat = (s_norm2 - state.sum_lambda2_g2) / (s_norm1 if released else 2.0 * s_norm1)
    state.d = grow(state.d, state.d_hat, hyper.growth_rate)

    state.sum_lambda_gs += lam * gs
    state.sum_dA_s2 += dA_s2
    state.sum_g2 += g_norm2
    state.s_norm1 = s_norm1
    state.s_norm2 = s_norm2
    state.a_norm1 = a_norm1
    state.a_norm2 = a_norm2
    state.As_norm = sqrt(As_norm2)
    state.g_inf = g_inf
    return 0.0 if released else lam


METHOD = dc.Method(
    name="dadapt_adagrad",
    title="D-Adapt AdaGrad",
    distance_norm="maximum",
    reference="Defazio & Mishchenko, ICML 2023, Algorithm 3",
    summary="AdaGrad with D-Adaptation, a rate for each coordinate: learning-rate-free, given G_inf",
    step=dadapt_adagrad,
    claims=(
        "ada_D3", "ada_D3_a_priori", "ada_asymptotic", "ada_D3_best", "ada_asymptotic_best",
        "ada_L1", "ada_D1", "ada_D2",
        "ada_I1", "ada_I2", "ada_I2_comparator", "ada_I3", "ada_I3_comparator", "regret_comparator", "regret",
        "ada_definition_d_hat", "ada_definition_a", "definition_d", "definition_dadapt_adagrad",
    ),
)  # fmt: skip
