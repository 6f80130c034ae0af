"""Adam, its rate tuned by hand.

    m_{k+1} = beta1 m_k + (1 - beta1) g_k,    v_{k+1} = beta2 v_k + (1 - beta2) g_k^2
    m_hat = m_{k+1}/(1 - beta1^{k+1}),    v_hat = v_{k+1}/(1 - beta2^{k+1})
    x_{k+1} = x_k - lr gamma_k m_hat/(sqrt(v_hat) + eps) in each coordinate

Source: D. P. Kingma, J. Ba, Adam: a method for stochastic optimization, ICLR 2015, arXiv:1412.6980.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dadapt_convex.theory.case import Case
from dadapt_convex.theory.rounded import rounded
from dadapt_convex.theory.statement import Sides, theorem
from dadapt_convex.theory.steps import Steps, definition, norm, rest


@definition(
    "m_{k+1}, v_{k+1} and x_{k+1} = x_k - lr gamma_k m_hat/(sqrt(v_hat) + eps) follow from the state",
    source="Kingma & Ba 2015",
)
def definition_adam(t: Steps) -> dict[str, Any]:
    """With weight decay w, `g_k + w x_k` stands for `g_k`; decoupled, `(1 - lr gamma_k w) x_k` for `x_k`."""
    (beta1, beta2), w, rate = t.hyper["betas"], t.hyper["weight_decay"], t.hyper["lr"] * t.factor
    added, kept = (0.0, 1 - rate * w) if t.hyper["decouple"] else (w, 1.0)
    g = t.g + added * t.x
    m, v = beta1 * t.m + rest(beta1) * g, beta2 * t.v + rest(beta2) * g**2
    m_hat, v_hat = m / rest(beta1 ** (t.k + 1)), v / rest(beta2 ** (t.k + 1))
    move = rate * m_hat / (np.sqrt(v_hat) + t.hyper["eps"])
    return {"m": m, "v": v, "x_next": kept * t.x - move, "step_norm": norm(move), "weight": np.zeros_like(t.k)}


@theorem(
    "||x_{n+1} - x_n|| <= sqrt(p) lr sqrt(1 - beta2^{n+1})/(1 - beta1^{n+1}) (1 - beta1)/sqrt(1 - beta2) "
    "sqrt(sum_{j<=n} (beta1^2/beta2)^j), decoupled decay aside; sqrt(p) lr at n = 0",
    source="own", uses_optimum=False,
)  # fmt: skip
def adam_step(c: Case) -> Sides:
    """In each coordinate, whatever the gradients are:

        m_{n+1} = (1 - beta1) sum beta1^{n-i} g_i
        v_{n+1} = (1 - beta2) sum beta2^{n-i} g_i^2
        |sum beta1^{n-i} g_i| <= sqrt(sum_{j<=n} (beta1^2/beta2)^j) sqrt(sum beta2^{n-i} g_i^2)     Cauchy-Schwarz
        |m_{n+1}|/sqrt(v_{n+1}) <= (1 - beta1)/sqrt(1 - beta2) sqrt(sum_{j<=n} (beta1^2/beta2)^j)

    The bias correction multiplies it by `sqrt(1 - beta2^{n+1})/(1 - beta1^{n+1})`, and p coordinates of this size make
    a step of `sqrt(p)` times as much.
    """
    beta1, beta2 = map(rounded, c.hyper["betas"])
    correction = np.sqrt(1 - beta2**c.k) / (1 - beta1**c.k)
    return Sides(c.step_norm, math.sqrt(c.p) * c.hyper["lr"] * correction * largest_ratio(c))


def largest_ratio(c: Case) -> Any:
    """The bound on |m|/sqrt(v) in each coordinate: a geometric sum under the root."""
    beta1, beta2 = map(rounded, c.hyper["betas"])
    if beta1 == 0:
        terms = np.ones_like(c.k)
    elif beta2 == 0:
        terms = np.full_like(c.k, math.inf)
    else:
        ratio = beta1**2 / beta2
        terms = c.k if ratio == 1 else np.expm1(c.k * np.log(ratio)) / (ratio - 1)
    return (1 - beta1) / np.sqrt(1 - beta2) * np.sqrt(terms)
