"""Adam [1], with weight decay added to the gradient or decoupled (AdamW [2]).

    m_0 = v_0 = 0
    for k = 0 .. n:
        m_{k+1} = beta1 m_k + (1 - beta1) g_k              g_k + w x_k with weight decay w
        v_{k+1} = beta2 v_k + (1 - beta2) g_k^2
        m_hat   = m_{k+1} / (1 - beta1^{k+1}),   v_hat = v_{k+1} / (1 - beta2^{k+1})
        x_{k+1} = x_k - lr gamma_k m_hat / (sqrt(v_hat) + eps)        gamma_k the schedule, 1 by default
                  (1 - lr gamma_k w) x_k - ...                        with decoupled weight decay
    Output x_{n+1}

The learning rate is tuned by hand. No theorem bounds the gap; theorem adam_step bounds the length of a step.

[1] D. P. Kingma, J. Ba. Adam: a method for stochastic optimization. ICLR 2015, arXiv:1412.6980, Algorithm 1.
[2] I. Loshchilov, F. Hutter. Decoupled weight decay regularization. ICLR 2019, arXiv:1711.05101.
"""

from __future__ import annotations

from typing import Any

from numpy import sqrt

import dadapt_convex as dc
from dadapt_convex.methods._hyper import BETAS, DECOUPLE, EPS, WEIGHT_DECAY


class State(dc.State):
    m = dc.Vector("m_{k+1}")
    v = dc.Vector("v_{k+1}")
    step_norm = dc.Scalar("lr gamma_k ||m_hat / (sqrt(v_hat) + eps)||")


class Hyper(dc.Hyper):
    lr = dc.Real(meaning="the learning rate, in units of ||x||", default=1e-3, low=0.0)
    betas = BETAS
    eps = EPS
    weight_decay = WEIGHT_DECAY
    decouple = DECOUPLE
    schedule = dc.SCHEDULE


@dc.step(State, Hyper)
def adam(k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, state: State, hyper: Hyper) -> float:
    """Iteration k, in one pass over the parameters; the output is the last iterate."""
    m, v = state.m, state.v
    (beta1, beta2), eps = hyper.betas, hyper.eps

    rate = hyper.lr * hyper.schedule
    # weight decay: g_k + added x_k for g_k, kept x_k for x_k
    added, kept = (0.0, 1.0 - rate * hyper.weight_decay) if hyper.decouple else (hyper.weight_decay, 1.0)
    t = k + 1.0
    along = rate / (1.0 - beta1**t)  # lr gamma_k m_hat = along m
    root = 1.0 / sqrt(1.0 - beta2**t)  # sqrt(v_hat) = root sqrt(v)
    moved2 = 0.0
    for i in range(x.size):
        gi = g[i] + added * x[i]
        m[i] = beta1 * m[i] + (1.0 - beta1) * gi
        v[i] = beta2 * v[i] + (1.0 - beta2) * (gi * gi)
        move = along * m[i] / (sqrt(v[i]) * root + eps)
        x_next[i] = kept * x[i] - move
        moved2 += move * move

    state.step_norm = sqrt(moved2)
    return 0.0


METHOD = dc.Method(
    name="adam",
    title="Adam",
    reference="Kingma & Ba, ICLR 2015, Algorithm 1; AdamW: Loshchilov & Hutter, ICLR 2019",
    summary="Adam, at a rate tuned by hand",
    step=adam,
    claims=(
        "adam_step", "definition_adam",
    ),
)  # fmt: skip
