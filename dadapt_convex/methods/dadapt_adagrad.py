"""AdaGrad with D-Adaptation, coordinate-wise [1, Algorithm 3].

    Input x_0, d_0 > 0, G_inf.   s_0 = 0,  a_0 = G_inf in every coordinate,  A_k = diag(a_k)
    for k = 0 .. n:
        g_k in the subdifferential of f at x_k
        lambda_k    = d_k gamma_k                                      gamma_k the schedule (times lr), 1 by default
        s_{k+1}     = s_k + lambda_k g_k
        a_{k+1}^2   = a_k^2 + g_k^2                                    by coordinate
        d_hat_{k+1} = (||s_{k+1}||^2_{A_{k+1}^-1} - sum_{i<=k} lambda_i^2 ||g_i||^2_{A_i^-1}) / (2 ||s_{k+1}||_1)
        d_{k+1}     = max(d_k, d_hat_{k+1})
        x_{k+1}     = x_0 - A_{k+1}^-1 s_{k+1}
    Output sum lambda_k x_k / sum lambda_k

With weight decay w, g_k + w x_k stands for g_k; with momentum beta (0 by default), x_{k+1} = beta x_k + (1 - beta)
(x_0 - A_{k+1}^-1 s_{k+1}).

convention="released", the authors' package: a_0 = 1e-3 needs no G_inf, A = diag(a + eps), A_{i+1} in place of A_i in
the sum, no 1/2 in d_hat, and the output is x_{n+1}. The missing 1/2 lets d grow much sooner (on |x| from d_0 = 1e-6, 50
steps multiply d by 1340 in place of 21) and beyond D_inf; a_0 matters where G_inf is far above the gradients seen. The
package's sums go wrong where s returns to zero; here they do not.

Guarantee (paper, w = beta = 0): for every d_0 <= D_inf, the distance to X* in the maximum norm, and |g_k| <= G_inf,
d_k <= D_inf and f(output) - f* <= (1 + sqrt 3) D_inf d_{n+1} ||a_{n+1}||_1 / sum lambda_k, the paper's
O(p G_inf D_inf / sqrt(n + 1)); see theorem ada_D3_a_priori.

[1] A. Defazio, K. Mishchenko. Learning-Rate-Free Learning by D-Adaptation. ICML 2023, arXiv:2301.07733.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from dadapt_convex.method import SCHEDULE, Method, Real
from dadapt_convex.methods import _hyper
from dadapt_convex.methods._dadaptation import grow
from dadapt_convex.methods._hyper import CONVENTION, GROWTH_RATE, LR, WEIGHT_DECAY
from dadapt_convex.oracle import step

D0 = replace(_hyper.D0, meaning="a lower bound on D_inf, the distance to X* in the maximum norm")
G_INF = Real("G_inf", "a bound on |g_k|, every entry", low=0.0, known="G_inf", when=("convention", "paper"))
EPS = replace(_hyper.EPS, default=1e-6, when=("convention", "released"))
MOMENTUM = replace(_hyper.MOMENTUM, default=0.0)
A0_RELEASED = 1e-3


def init(vectors: Any, scalars: Any, hyper: Any) -> None:
    """D starts at d_0, a^2 at G_inf^2, everything else at zero."""
    scalars[0] = hyper[0]
    vectors[2] = (A0_RELEASED if hyper[5] == 1.0 else hyper[6]) ** 2


@step
def dadapt_adagrad(
    k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, vectors: Any, scalars: Any, hyper: Any
) -> float:
    """Iteration k of Algorithm 3, in one pass over the parameters; the weight of x_k is lambda_k."""
    x0, s, a2 = vectors[0], vectors[1], vectors[2]
    lr, beta, w, growth_rate, released = hyper[1], hyper[2], hyper[3], hyper[4], hyper[5] == 1.0
    eps, gamma = hyper[7], hyper[8]
    d, d_hat = scalars[0], scalars[1]

    lam = d * (lr * gamma)
    g_norm2 = gs = s_norm2 = s_norm1 = dA = a_norm1 = a_norm2 = moved2 = 0.0
    g_inf = scalars[11]
    for i in range(x.size):
        gi = g[i] + w * x[i]
        a_k = math.sqrt(a2[i]) + eps
        a2[i] += gi * gi
        a_next = math.sqrt(a2[i]) + eps
        inverse_k = 1.0 / a_k if a_k > 0.0 else 0.0  # G_inf^2 may underflow: no gradient yet, and s = 0
        inverse_next = 1.0 / a_next if a_next > 0.0 else 0.0
        g_norm2 += gi * gi * (inverse_next if released else inverse_k)
        gs += gi * s[i] * inverse_k
        s[i] += lam * gi
        s_norm2 += s[i] * s[i] * inverse_next
        s_norm1 += abs(s[i])
        dA += s[i] * s[i] * (inverse_next - inverse_k)
        a_norm1 += a_next
        a_norm2 += a2[i]
        g_inf = max(g_inf, abs(gi))
        move = s[i] * inverse_next
        moved2 += move * move
        x_next[i] = beta * x[i] + (1.0 - beta) * (x0[i] - move)
    sum_lambda2_g2 = scalars[2] + lam * lam * g_norm2
    if s_norm1 > 0.0:  # otherwise d_hat is 0/0, and s = 0 says nothing of D_inf
        d_hat = (s_norm2 - sum_lambda2_g2) / (s_norm1 if released else 2.0 * s_norm1)

    scalars[0], scalars[1], scalars[2] = grow(d, d_hat, growth_rate), d_hat, sum_lambda2_g2
    scalars[3] += lam * gs
    scalars[4] += dA
    scalars[5] += g_norm2
    scalars[6], scalars[7], scalars[8], scalars[9] = s_norm1, s_norm2, a_norm1, a_norm2
    scalars[10], scalars[11] = math.sqrt(moved2), g_inf
    return 0.0 if released else lam


METHOD = Method(
    name="dadapt_adagrad",
    title="D-Adapt AdaGrad",
    distance_norm="maximum",
    reference="Defazio & Mishchenko, ICML 2023, Algorithm 3",
    summary="AdaGrad with D-Adaptation, a rate for each coordinate: learning-rate-free, given G_inf",
    hyper=(D0, LR, MOMENTUM, WEIGHT_DECAY, GROWTH_RATE, CONVENTION, G_INF, EPS, SCHEDULE),
    vectors=("x0", "s", "a2"),
    scalars=(
        "d", "d_hat",
        "sum_lambda2_g2",  # sum_{i<=k} lambda_i^2 ||g_i||^2_{A_i^-1}
        "sum_lambda_gs",  # sum_{i<=k} lambda_i <g_i, A_i^-1 s_i>
        "sum_dA_s2",  # sum_{i<=k} (||s_{i+1}||^2_{A_{i+1}^-1} - ||s_{i+1}||^2_{A_i^-1})
        "sum_g2",  # sum_{i<=k} ||g_i||^2_{A_i^-1}
        "s_norm1",
        "s_norm2",  # ||s_{k+1}||^2_{A_{k+1}^-1}
        "a_norm1",  # ||a_{k+1}||_1
        "a_norm2",  # ||a_{k+1}||^2, without eps
        "As_norm",  # ||A_{k+1}^-1 s_{k+1}||
        "g_inf",  # max_{i<=k} |g_i|, every entry
    ),
    init=init,
    step=dadapt_adagrad,
    claims=(
        "ada_D3", "ada_D3_a_priori", "ada_asymptotic", "ada_D3_best", "ada_asymptotic_best",
        "ada_L1", "ada_D1", "ada_D2",
        "ada_I1", "ada_I2", "ada_I2_comparator", "ada_I3", "ada_I3_comparator", "regret_comparator", "regret",
        "ada_definition_d_hat", "ada_definition_a", "definition_d", "definition_dadapt_adagrad",
    ),
)  # fmt: skip
