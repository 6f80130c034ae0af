"""Adam with D-Adaptation.

    m_{k+1} = beta1 m_k + (1 - beta1) d_k gamma_k g_k,    v_{k+1} = beta2 v_k + (1 - beta2) g_k^2
    x_{k+1} = x_k - m_{k+1}/(sqrt(v_{k+1}) + eps) in each coordinate
    r_{k+1} = b r_k + (1 - b) d_k gamma_k <g_k, s_k/(sqrt(v_{k+1}) + eps)>,    b = sqrt(beta2)
    s_{k+1} = b s_k + (1 - b) d_k gamma_k g_k

Source: [DM23] A. Defazio, K. Mishchenko, Learning-rate-free learning by D-Adaptation, ICML 2023, arXiv:2301.07733,
Algorithm 5.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dadapt_convex.theory.assumptions import hyper_is
from dadapt_convex.theory.case import Case
from dadapt_convex.theory.library.adam import largest_ratio
from dadapt_convex.theory.rows import after_the_row_before, before, s_norm1_not_zero
from dadapt_convex.theory.statement import Sides, formula, theorem
from dadapt_convex.theory.steps import Steps, d0, definition, dot, larger, norm, norm1, rest, unless_zero

DM23, OWN = "Defazio & Mishchenko 2023", "own"


@definition(
    "Algorithm 5: m_{k+1}, v_{k+1}, r_{k+1}, s_{k+1}, d_hat_{k+1}, d_{k+1}, x_{k+1} from the state", source=DM23, d=d0
)
def definition_dadapt_adam(t: Steps) -> dict[str, Any]:
    """With rate, weight decay, bias correction and the released convention, which the paper does not have."""
    h, (beta1, beta2) = t.hyper, t.hyper["betas"]
    b, w, rate = math.sqrt(beta2), h["weight_decay"], t.d * (h["lr"] * t.factor)
    if h["bias_correction"]:
        rate = rate * (np.sqrt(rest(beta2 ** (t.k + 1))) / rest(beta1 ** (t.k + 1)))
    added, kept = (0.0, 1 - rate * w) if h["decouple"] else (w, 1.0)
    g = t.g + added * t.x
    m, v = beta1 * t.m + rest(beta1) * rate * g, beta2 * t.v + rest(beta2) * g**2
    a = np.sqrt(v) + h["eps"]
    seen = np.sqrt(t.v) + h["eps"] if h["convention"] == "released" else a
    r = b * t.r + rest(b) * rate * dot(g, t.s / seen)
    s = b * t.s + rest(b) * rate * g
    s_norm1 = norm1(s)
    d_hat = unless_zero(s_norm1, r / (rest(b) * s_norm1), t.d_hat)
    return {
        "m": m, "v": v, "s": s, "r": r, "s_norm1": s_norm1, "d_hat": d_hat, "d": larger(t.d, d_hat, h["growth_rate"]),
        "x_next": kept * t.x - m / a, "step_norm": norm(m / a), "weight": np.zeros_like(t.k),
    }  # fmt: skip


@formula("d_hat_{n+1} = r_{n+1}/((1 - sqrt(beta2)) ||s_{n+1}||_1)", source=DM23, rows=s_norm1_not_zero)
def definition_adam_d_hat(c: Case) -> Sides:
    b = math.sqrt(c.hyper["betas"][1])
    return Sides(c.d_hat * ((1 - b) * c.s_norm1), c.r)


@theorem(
    "||x_{n+1} - x_n|| <= sqrt(p) lr d_n (1 - beta1)/sqrt(1 - beta2) sqrt(sum_{j<=n} (beta1^2/beta2)^j), "
    "decoupled decay aside",
    source=OWN, assumptions=(hyper_is("bias_correction", False),), rows=after_the_row_before, uses_optimum=False,
)  # fmt: skip
def dadapt_adam_step(c: Case) -> Sides:
    """The proof of `adam_step`, with `lr d_i g_i` for `g_i` in m, where d never decreases:

    lr d_i <= lr d_n                                                i <= n
    """
    d = before(c.d, c.hyper["d0"])
    return Sides(c.step_norm, math.sqrt(c.p) * c.hyper["lr"] * d * largest_ratio(c))
