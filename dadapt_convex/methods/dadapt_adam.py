"""Adam with D-Adaptation [1, Algorithm 5].

    Input x_0, d_0 > 0, beta1, beta2, eps.   m_0 = v_0 = s_0 = r_0 = 0,  b = sqrt(beta2)
    for k = 0 .. n:
        m_{k+1} = beta1 m_k + (1 - beta1) d_k gamma_k g_k              gamma_k the schedule (times lr), 1 by default
        v_{k+1} = beta2 v_k + (1 - beta2) g_k^2
        A_{k+1} = diag(sqrt(v_{k+1}) + eps)
        x_{k+1} = x_k - A_{k+1}^-1 m_{k+1}
        r_{k+1} = b r_k + (1 - b) d_k gamma_k <g_k, A_{k+1}^-1 s_k>
        s_{k+1} = b s_k + (1 - b) d_k gamma_k g_k
        d_hat_{k+1} = r_{k+1} / ((1 - b) ||s_{k+1}||_1)
        d_{k+1} = max(d_k, d_hat_{k+1})
    Output x_{n+1}

With weight decay w, g_k + w x_k stands for g_k; decoupled, (1 - w d_k gamma_k) x_k for x_k in the update.
bias_correction multiplies gamma_k by sqrt(1 - beta2^{k+1}) / (1 - beta1^{k+1}), as the authors' package can; the paper
has none. convention="released", the authors' package: A_k in r. After 200 steps from d_0 = 1e-6 d is 4.90 there against
2.68 on |x|, 4.33 against 3.72 with least absolute deviation, and 0.127 against 0.224 with multinomial logistic
regression (tests/reference/RELEASED.md): either sign. A step with gamma_k = 0 is no step in the package; here m, v, s
and r decay.

No theorem bounds d or the gap: a heuristic that Algorithm 3 motivates. That of a single step is bounded, see
theorem dadapt_adam_step.

[1] A. Defazio, K. Mishchenko. Learning-Rate-Free Learning by D-Adaptation. ICML 2023, arXiv:2301.07733.
"""

from __future__ import annotations

import math
from typing import Any

from dadapt_convex.method import SCHEDULE, Flag, Method
from dadapt_convex.methods._dadaptation import grow
from dadapt_convex.methods._hyper import BETAS, CONVENTION, D0, DECOUPLE, EPS, GROWTH_RATE, LR, WEIGHT_DECAY
from dadapt_convex.oracle import helper, step

BIAS_CORRECTION = Flag("bias_correction", "whether gamma_k makes up for m_0 = v_0 = 0, as in Adam")


def init(vectors: Any, scalars: Any, hyper: Any) -> None:
    """D starts at d_0, everything else at zero."""
    scalars[0] = hyper[0]


@helper
def one_pass(
    released: bool, beta1: float, beta2: float, b: float, eps: float, rate: float, added: float, kept: float, g: Any,
    x: Any, x_next: Any, m: Any, v: Any, s: Any,
) -> tuple[float, float, float]:  # fmt: skip
    """x_{k+1}, m, v and s; returns <g_k, A^-1 s_k>, ||s_{k+1}||_1 and ||A_{k+1}^-1 m_{k+1}||^2."""
    into_m, into_v, into_s = (1.0 - beta1) * rate, 1.0 - beta2, (1.0 - b) * rate
    correlation = s_norm1 = moved2 = 0.0
    for i in range(x.size):
        gi = g[i] + added * x[i]
        if released:  # known where this is called: two loops without a test in them
            correlation += gi * s[i] / (math.sqrt(v[i]) + eps)
        m[i] = beta1 * m[i] + into_m * gi
        v[i] = beta2 * v[i] + into_v * (gi * gi)
        inverse = 1.0 / (math.sqrt(v[i]) + eps)
        if not released:
            correlation += gi * s[i] * inverse
        move = m[i] * inverse
        x_next[i] = kept * x[i] - move
        moved2 += move * move
        s[i] = b * s[i] + into_s * gi
        s_norm1 += abs(s[i])
    return correlation, s_norm1, moved2


@step
def dadapt_adam(
    k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, vectors: Any, scalars: Any, hyper: Any
) -> float:
    """Iteration k of Algorithm 5, in one pass over the parameters; the output is the last iterate."""
    m, v, s = vectors[0], vectors[1], vectors[2]
    lr, beta1, beta2, eps, w, decouple = hyper[1], hyper[2], hyper[3], hyper[4], hyper[5], hyper[6]
    growth_rate, bias_correction, released, gamma = hyper[7], hyper[8], hyper[9] == 1.0, hyper[10]
    d, d_hat, r = scalars[0], scalars[1], scalars[2]

    b = math.sqrt(beta2)
    rate = d * (lr * gamma)
    if bias_correction:
        rate *= math.sqrt(1.0 - beta2 ** (k + 1.0)) / (1.0 - beta1 ** (k + 1.0))
    added, kept = (0.0, 1.0 - rate * w) if decouple else (w, 1.0)
    if released:
        correlation, s_norm1, moved2 = one_pass(
            True, beta1, beta2, b, eps, rate, added, kept, g, x, x_next, m, v, s
        )  # fmt: skip
    else:
        correlation, s_norm1, moved2 = one_pass(
            False, beta1, beta2, b, eps, rate, added, kept, g, x, x_next, m, v, s
        )  # fmt: skip
    r = b * r + (1.0 - b) * rate * correlation
    if s_norm1 > 0.0:
        d_hat = r / ((1.0 - b) * s_norm1)

    scalars[0], scalars[1], scalars[2], scalars[3] = grow(d, d_hat, growth_rate), d_hat, r, s_norm1
    scalars[4] = math.sqrt(moved2)
    return 0.0


METHOD = Method(
    name="dadapt_adam",
    title="D-Adapt Adam",
    distance_norm="maximum",
    reference="Defazio & Mishchenko, ICML 2023, Algorithm 5",
    summary="Adam with D-Adaptation: no learning rate",
    hyper=(D0, LR, BETAS, EPS, WEIGHT_DECAY, DECOUPLE, GROWTH_RATE, BIAS_CORRECTION, CONVENTION, SCHEDULE),
    vectors=("m", "v", "s"),
    scalars=("d", "d_hat", "r", "s_norm1", "step_norm"),
    init=init,
    step=dadapt_adam,
    claims=(
        "dadapt_adam_step", "definition_adam_d_hat", "definition_d", "definition_dadapt_adam",
    ),
)  # fmt: skip
