"""Adam with D-Adaptation [1, Algorithm 5].

    Input x_0, d_0 > 0, beta1, beta2, eps.   m_0 = v_0 = s_0 = r_0 = 0,  b = sqrt(beta2)
    for k = 0 .. n:
        g_k a stochastic subgradient of f at x_k
        m_{k+1} = beta1 m_k + (1 - beta1) d_k gamma_k g_k              gamma_k the schedule (times lr), 1 by default
        v_{k+1} = beta2 v_k + (1 - beta2) g_k^2
        A_{k+1} = diag(sqrt(v_{k+1}) + eps)
        x_{k+1} = x_k - A_{k+1}^-1 m_{k+1}
        r_{k+1} = b r_k + (1 - b) d_k gamma_k <g_k, A_{k+1}^-1 s_k>
        s_{k+1} = b s_k + (1 - b) d_k gamma_k g_k
        d_hat_{k+1} = r_{k+1} / ((1 - b) ||s_{k+1}||_1)
        d_{k+1} = max(d_k, min(d_hat_{k+1}, growth_rate d_k))          growth_rate infinite by default
    Output x_{n+1}

With weight decay w, g_k + w x_k stands for g_k; decoupled, (1 - w d_k gamma_k) x_k for x_k in the update.
bias_correction multiplies gamma_k by sqrt(1 - beta2^{k+1}) / (1 - beta1^{k+1}), as the authors' package can; the paper
has none.

convention="released", the authors' package: A_k in place of A_{k+1} in r, which makes d larger or smaller. After 200
steps from d_0 = 1e-6 it is 4.90 in place of 2.68 on |x|, 4.33 in place of 3.72 with least absolute deviation, and 0.127
in place of 0.224 with multinomial logistic regression (tests/reference/RELEASED.md). Where gamma_k = 0 the package
takes no step; here m, v, s and r decay.

No theorem bounds d or the gap: it is a heuristic that Algorithm 3 motivates. Theorem dadapt_adam_step bounds the length
of a step.

[1] A. Defazio, K. Mishchenko. Learning-Rate-Free Learning by D-Adaptation. ICML 2023, arXiv:2301.07733.
"""

from __future__ import annotations

from typing import Any

from numpy import sqrt

import dadapt_convex as dc
from dadapt_convex.methods import _hyper
from dadapt_convex.methods._dadaptation import grow


class State(dc.State):
    m = dc.Vector("m_{k+1}")
    v = dc.Vector("v_{k+1}")
    s = dc.Vector("s_{k+1}")
    d = dc.Scalar("d_{k+1}", start="d0")
    d_hat = dc.Scalar("d_hat_{k+1}")
    r = dc.Scalar("r_{k+1}")
    s_norm1 = dc.Scalar("||s_{k+1}||_1")
    step_norm = dc.Scalar("||A_{k+1}^-1 m_{k+1}||")


class Hyper(dc.Hyper):
    d0 = _hyper.D0
    lr = _hyper.LR
    betas = _hyper.BETAS
    eps = _hyper.EPS
    weight_decay = _hyper.WEIGHT_DECAY
    decouple = _hyper.DECOUPLE
    growth_rate = _hyper.GROWTH_RATE
    bias_correction = dc.Flag(meaning="whether gamma_k makes up for m_0 = v_0 = 0, as in Adam")
    convention = _hyper.CONVENTION
    schedule = dc.SCHEDULE


@dc.helper
def one_pass(
    released: bool, b: float, rate: float, added: float, kept: float, g: Any, x: Any, x_next: Any, state: State,
    hyper: Hyper,
) -> tuple[float, float, float]:  # fmt: skip
    """x_{k+1}, m, v and s; returns <g_k, A^-1 s_k>, ||s_{k+1}||_1 and ||A_{k+1}^-1 m_{k+1}||^2.

    rate is d_k gamma_k. Weight decay puts g_k + added x_k in place of g_k, and kept x_k in place of x_k.
    """
    m, v, s = state.m, state.v, state.s
    (beta1, beta2), eps = hyper.betas, hyper.eps
    into_m, into_v, into_s = (1.0 - beta1) * rate, 1.0 - beta2, (1.0 - b) * rate
    correlation = s_norm1 = moved2 = 0.0
    for i in range(x.size):
        gi = g[i] + added * x[i]
        if released:  # A_k; a constant when compiled, so no test in the loop
            correlation += gi * s[i] / (sqrt(v[i]) + eps)
        m[i] = beta1 * m[i] + into_m * gi
        v[i] = beta2 * v[i] + into_v * (gi * gi)
        inverse = 1.0 / (sqrt(v[i]) + eps)
        if not released:  # A_{k+1}
            correlation += gi * s[i] * inverse
        move = m[i] * inverse
        x_next[i] = kept * x[i] - move
        moved2 += move * move
        s[i] = b * s[i] + into_s * gi
        s_norm1 += abs(s[i])
    return correlation, s_norm1, moved2


@dc.step(State, Hyper)
def dadapt_adam(k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, state: State, hyper: Hyper) -> float:
    """Iteration k of Algorithm 5, in one pass over the parameters; the output is the last iterate."""
    beta1, beta2 = hyper.betas
    d, r = state.d, state.r
    b = sqrt(beta2)
    rate = d * (hyper.lr * hyper.schedule)
    if hyper.bias_correction:
        rate *= sqrt(1.0 - beta2 ** (k + 1.0)) / (1.0 - beta1 ** (k + 1.0))
    # weight decay: g_k + added x_k for g_k, kept x_k for x_k
    added, kept = (0.0, 1.0 - rate * hyper.weight_decay) if hyper.decouple else (hyper.weight_decay, 1.0)
    if hyper.convention_is_released:
        correlation, s_norm1, moved2 = one_pass(True, b, rate, added, kept, g, x, x_next, state, hyper)
    else:
        correlation, s_norm1, moved2 = one_pass(False, b, rate, added, kept, g, x, x_next, state, hyper)
    state.r = b * r + (1.0 - b) * rate * correlation
    if s_norm1 > 0.0:
        state.d_hat = state.r / ((1.0 - b) * s_norm1)
    state.d = grow(d, state.d_hat, hyper.growth_rate)

    state.s_norm1 = s_norm1
    state.step_norm = sqrt(moved2)
    return 0.0


METHOD = dc.Method(
    name="dadapt_adam",
    title="D-Adapt Adam",
    distance_norm="maximum",
    reference="Defazio & Mishchenko, ICML 2023, Algorithm 5",
    summary="Adam with D-Adaptation: no learning rate",
    step=dadapt_adam,
    claims=(
        "dadapt_adam_step", "definition_adam_d_hat", "definition_d", "definition_dadapt_adam",
    ),
)  # fmt: skip
