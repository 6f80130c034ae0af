"""Adam with D-Adaptation [1, Algorithm 5].

    Input x_0, d_0 > 0, beta1, beta2, eps.   m_0 = v_0 = s_0 = r_0 = 0,  b = sqrt(beta2)
    for k = 0 .. n:
        m_{k+1} = beta1 m_k + (1 - beta1) d_k gamma_k g_k                  gamma_k the schedule, 1 by default
        v_{k+1} = beta2 v_k + (1 - beta2) g_k^2
        A_{k+1} = diag(sqrt(v_{k+1}) + eps)
        x_{k+1} = x_k - A_{k+1}^-1 m_{k+1}
        r_{k+1} = b r_k + (1 - b) d_k gamma_k <g_k, A_{k+1}^-1 s_k>
        s_{k+1} = b s_k + (1 - b) d_k gamma_k g_k
        d_hat_{k+1} = r_{k+1} / ((1 - b) ||s_{k+1}||_1)
        d_{k+1} = max(d_k, d_hat_{k+1})
    Output x_{n+1}

No bias correction. No theorem bounds d or the gap: a heuristic that Algorithm 3 motivates.

[1] A. Defazio, K. Mishchenko. Learning-Rate-Free Learning by D-Adaptation. ICML 2023, arXiv:2301.07733.
"""

from __future__ import annotations

import math
from typing import Any

from dadapt_convex.method import SCHEDULE, Method, Real
from dadapt_convex.oracle import step

D0 = Real("d0", "the first estimate of D", default=1e-6, low=0.0)
BETA1 = Real("beta1", "the decay of the mean of gradients", default=0.9, low=0.0, high=1.0, closed=True)
BETA2 = Real("beta2", "the decay of the mean of their squares", default=0.999, low=0.0, high=1.0, closed=True)
EPS = Real("eps", "what is added to sqrt(v)", default=1e-8, low=0.0)


def init(vectors: Any, scalars: Any, hyper: Any) -> None:
    """D starts at d_0, everything else at zero."""
    scalars[0] = hyper[0]


@step
def dadapt_adam(
    k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, vectors: Any, scalars: Any, hyper: Any
) -> float:
    """Iteration k of Algorithm 5, in one pass over the parameters; the output is the last iterate."""
    m, v, s = vectors[0], vectors[1], vectors[2]
    beta1, beta2, eps, gamma = hyper[1], hyper[2], hyper[3], hyper[4]
    d, d_hat, r = scalars[0], scalars[1], scalars[2]

    b = math.sqrt(beta2)
    rate = d * gamma
    into_m, into_v, into_s = (1.0 - beta1) * rate, 1.0 - beta2, (1.0 - b) * rate
    correlation = s_norm1 = 0.0
    for i in range(x.size):
        gi = g[i]
        m[i] = beta1 * m[i] + into_m * gi
        v[i] = beta2 * v[i] + into_v * gi * gi
        inverse = 1.0 / (math.sqrt(v[i]) + eps)
        x_next[i] = x[i] - m[i] * inverse
        correlation += gi * s[i] * inverse
        s[i] = b * s[i] + into_s * gi
        s_norm1 += abs(s[i])
    r = b * r + into_s * correlation
    if s_norm1 > 0.0:
        d_hat = r / ((1.0 - b) * s_norm1)

    scalars[0], scalars[1], scalars[2], scalars[3] = max(d, d_hat), d_hat, r, s_norm1
    return 0.0


METHOD = Method(
    name="dadapt_adam",
    reference="Defazio & Mishchenko, ICML 2023, Algorithm 5",
    summary="Adam with D-Adaptation",
    hyper=(D0, BETA1, BETA2, EPS, SCHEDULE),
    vectors=("m", "v", "s"),
    scalars=("d", "d_hat", "_r", "s_norm1"),
    init=init,
    step=dadapt_adam,
)
