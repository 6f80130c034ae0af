r"""The baselines that are tuned by hand, SGD, AdaGrad and Adam, and the step of Adam with D-Adaptation. Own.

(momentum) m_{k+1} = beta m_k + g_k, x_{k+1} = x_k - h m_{k+1}: with y_k = x_k + beta/(1 - beta) (x_k - x_{k-1}), y_0 =
           x_0, y_{k+1} = y_k - h/(1 - beta) g_k. As <g_k, y_k - x*> >= gap_k + beta/(1 - beta) (f(x_k) - f(x_{k-1})),
           the basic inequality for y, summed, is sum gap_k <= (1 - beta) D^2/(2 h) + h/(2 (1 - beta)) S_n + beta/(1 -
           beta) (f(x_0) - f(x_n)). For beta = 0 h may change: sum h_k gap_k <= D^2/2 + sum h_k^2 ||g_k||^2/2.
(adagrad)  x_{k+1} = x_k - h g_k/alpha_k by coordinate, alpha_k = a_{k+1} + eps nondecreasing: 2 g_k (x_k - x*) =
           (alpha_k/h) ((x_k - x*)^2 - (x_{k+1} - x*)^2) + h g_k^2/alpha_k. Summed by parts, with |x_k - x*| <= R =
           D_inf + max_{k<=n} ||x_k - x_0||_inf and sum g_k^2/a_{k+1} <= 2 a_{n+1}: sum gap_k <= (R^2/(2 h) + h)
           ||alpha_n||_1.
(adam_step) m_{n+1} = (1 - beta1) sum beta1^{n-i} g_i and v_{n+1} = (1 - beta2) sum beta2^{n-i} g_i^2; by Cauchy-Schwarz
           |m_{n+1}|/sqrt(v_{n+1}) <= (1 - beta1)/sqrt(1 - beta2) sqrt(sum_{j<=n} (beta1^2/beta2)^j) in each coordinate,
           whatever the gradients are. Adam multiplies it by its bias correction, at n = 0 to 1. With D-Adaptation
           the g_i in m carry d_i gamma_i <= d_n max gamma.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dadapt_convex.theory.rounded import rounded
from dadapt_convex.theory.steps import Steps, d0, definition, dot, larger, norm, norm1, rest, unless_zero
from dadapt_convex.theory.theorem import (
    DEFINITION,
    RATE,
    Case,
    Sides,
    Theorem,
    after_the_row_before,
    before,
    first_row,
    gap_sides,
    has_weight,
    hyper_is,
    no_weight_decay,
    of_the_best,
    of_the_run,
)

OWN = "own"
DM23 = "Defazio & Mishchenko 2023"


def _basic(c: Case) -> Sides:
    return gap_sides(c, (0.5 * c.D**2 + 0.5 * c.sum_w2_g2) / c.weight_sum)


def _momentum(c: Case) -> Sides:
    h, beta = c.hyper["lr"], c.hyper["momentum"]
    first = (1 - beta) * c.D**2 / (2 * h) + h / (2 * (1 - beta)) * c.S
    return gap_sides(c, (first + beta / (1 - beta) * (c.f_first - c.f)) / c.k)


def _adagrad(c: Case) -> Sides:
    h = c.hyper["lr"]
    return gap_sides(c, ((c.D_inf + c.x_reach) ** 2 / (2 * h) + h) * c.a_norm1 / c.k)


def _adagrad_reach(c: Case) -> Sides:
    return Sides(c.x_dist, math.sqrt(c.p) * c.x_reach)


def _adagrad_first(c: Case) -> Sides:
    """h g_0/(|g_0| + eps) in each coordinate: at most h."""
    return Sides(c.x_next_dist, math.sqrt(c.p) * c.hyper["lr"])


def _adam_ratio(c: Case) -> Any:
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


def _adam_step(c: Case) -> Sides:
    beta1, beta2 = map(rounded, c.hyper["betas"])
    correction = np.sqrt(1 - beta2**c.k) / (1 - beta1**c.k)
    return Sides(c.step_norm, math.sqrt(c.p) * c.hyper["lr"] * correction * _adam_ratio(c))


def _dadapt_adam_step(c: Case) -> Sides:
    d = before(c, c.d, c.hyper["d0"])
    return Sides(c.step_norm, math.sqrt(c.p) * c.hyper["lr"] * d * _adam_ratio(c))


def _definition_adam_d_hat(c: Case) -> Sides:
    b = math.sqrt(c.hyper["betas"][1])
    return Sides(c.d_hat * ((1 - b) * c.s_norm1), c.r)


def _s_not_zero(c: Case) -> Any:
    return c.s_norm1 > 0


@definition()
def _sgd(t: Steps) -> dict[str, Any]:
    h = t.hyper["lr"] * t.factor
    m = t.hyper["momentum"] * t.m + t.g + t.hyper["weight_decay"] * t.x
    return {"m": m, "x_next": t.x - h * m, "weight": h, "f_first": t.after_the_first("f_first", t.f)}


@definition()
def _adagrad_steps(t: Steps) -> dict[str, Any]:
    g = t.g + t.hyper["weight_decay"] * t.x
    a2 = t.a2 + g**2
    a = np.sqrt(a2) + t.hyper["eps"]
    reach = np.maximum(t.x_reach, np.abs(t.x - t.x0).max(axis=1, keepdims=True))
    return {
        "a2": a2, "x_next": t.x - t.hyper["lr"] * t.factor * g / a, "a_norm1": norm1(a), "x_reach": reach,
        "weight": np.ones_like(t.k),
    }  # fmt: skip


@definition()
def _adam(t: Steps) -> dict[str, Any]:
    (beta1, beta2), w, rate = t.hyper["betas"], t.hyper["weight_decay"], t.hyper["lr"] * t.factor
    added, kept = (0.0, 1 - rate * w) if t.hyper["decouple"] else (w, 1.0)
    g = t.g + added * t.x
    m, v = beta1 * t.m + rest(beta1) * g, beta2 * t.v + rest(beta2) * g**2
    m_hat, v_hat = m / rest(beta1 ** (t.k + 1)), v / rest(beta2 ** (t.k + 1))
    move = rate * m_hat / (np.sqrt(v_hat) + t.hyper["eps"])
    return {"m": m, "v": v, "x_next": kept * t.x - move, "step_norm": norm(move), "weight": np.zeros_like(t.k)}


@definition(d=d0)
def _algorithm_5(t: Steps) -> dict[str, Any]:
    """Algorithm 5 with rate, weight decay, bias correction and the released convention."""
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


STATED: tuple[Theorem, ...] = (
    Theorem(
        name="sgd_basic_inequality",
        statement="sum h_k (f(x_k) - f*) <= D^2/2 + 1/2 sum h_k^2 ||g_k||^2, h_k = lr gamma_k, without momentum",
        source="Shor 1985",
        needs=(),
        sides=_basic,
        assumptions=(hyper_is("momentum", 0.0), no_weight_decay),
        rows=has_weight,
        schedule="any",
        comparator=True,
    ),
    Theorem(
        name="sgd_momentum",
        statement="sum (f(x_k) - f*) <= (1 - beta) D^2/(2 lr) + lr S_n/(2 (1 - beta)) "
        "+ beta/(1 - beta) (f(x_0) - f(x_n))",
        source=OWN,
        needs=("f_first", "lr", "momentum"),
        sides=_momentum,
        assumptions=(no_weight_decay,),
        comparator=True,
    ),
    Theorem(
        name="adagrad_rate",
        kind=RATE,
        statement="sum (f(x_k) - f*) <= (R^2/(2 lr) + lr) ||a_{n+1} + eps||_1, "
        "R = D_inf + max_{k<=n} ||x_k - x_0||_inf",
        source="Duchi, Hazan & Singer 2011; own without a bounded set",
        needs=("a_norm1", "lr", "x_reach"),
        sides=_adagrad,
        assumptions=(no_weight_decay,),
        comparator=True,
    ),
    Theorem(
        name="adagrad_reach",
        statement="||x_n - x_0|| <= sqrt(p) max_{k<=n} ||x_k - x_0||_inf",
        source=OWN,
        needs=("x_reach",),
        sides=_adagrad_reach,
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="adagrad_first_step",
        statement="||x_1 - x_0|| <= sqrt(p) lr",
        source=OWN,
        needs=("lr",),
        sides=_adagrad_first,
        rows=first_row,
        uses_optimum=False,
    ),
    Theorem(
        name="adam_step",
        statement="||x_{n+1} - x_n|| <= sqrt(p) lr sqrt(1 - beta2^{n+1})/(1 - beta1^{n+1}) (1 - beta1)/sqrt(1 - beta2) "
        "sqrt(sum_{j<=n} (beta1^2/beta2)^j), decoupled decay aside; sqrt(p) lr at n = 0",
        source=OWN,
        needs=("betas", "lr", "step_norm"),
        sides=_adam_step,
        uses_optimum=False,
    ),
    Theorem(
        name="dadapt_adam_step",
        statement="||x_{n+1} - x_n|| <= sqrt(p) lr d_n (1 - beta1)/sqrt(1 - beta2) sqrt(sum_{j<=n} (beta1^2/beta2)^j), "
        "decoupled decay aside",
        source=OWN,
        needs=("betas", "d", "d0", "lr", "step_norm"),
        sides=_dadapt_adam_step,
        assumptions=(hyper_is("bias_correction", False),),
        rows=after_the_row_before,
        uses_optimum=False,
    ),
    Theorem(
        name="definition_adam_d_hat",
        kind=DEFINITION,
        statement="d_hat_{n+1} = r_{n+1}/((1 - sqrt(beta2)) ||s_{n+1}||_1)",
        source=DM23,
        needs=("betas", "d_hat", "r", "s_norm1"),
        sides=_definition_adam_d_hat,
        relation="=",
        rows=_s_not_zero,
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="definition_sgd",
        kind=DEFINITION,
        statement="m_{k+1} = beta m_k + g_k + w x_k, x_{k+1} = x_k - lr gamma_k m_{k+1}",
        source="Polyak 1964, as in PyTorch",
        needs=("f_first", "lr", "m", "momentum", "weight_decay"),
        steps=_sgd,
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="definition_adagrad",
        kind=DEFINITION,
        statement="a_{k+1}^2 = a_k^2 + g_k^2, x_{k+1} = x_k - lr gamma_k g_k/(a_{k+1} + eps)",
        source="Duchi, Hazan & Singer 2011",
        needs=("a2", "eps", "lr", "weight_decay", "x0", "x_reach", "a_norm1"),
        steps=_adagrad_steps,
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="definition_adam",
        kind=DEFINITION,
        statement="m_{k+1}, v_{k+1} and x_{k+1} = x_k - lr gamma_k m_hat/(sqrt(v_hat) + eps) follow from the state",
        source="Kingma & Ba 2015",
        needs=("betas", "decouple", "eps", "lr", "m", "v", "weight_decay", "step_norm"),
        steps=_adam,
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="definition_dadapt_adam",
        kind=DEFINITION,
        statement="Algorithm 5: m_{k+1}, v_{k+1}, r_{k+1}, s_{k+1}, d_hat_{k+1}, d_{k+1}, x_{k+1} from the state",
        source=DM23,
        needs=(
            "betas",
            "bias_correction",
            "convention",
            "d",
            "d_hat",
            "decouple",
            "eps",
            "growth_rate",
            "lr",
            "m",
            "r",
            "s",
            "v",
            "weight_decay",
            "d0",
            "s_norm1",
            "step_norm",
        ),
        steps=_algorithm_5,
        schedule="any",
        uses_optimum=False,
    ),
)
THEOREMS = (
    *STATED,
    *(of_the_best(t) for t in STATED if t.name in ("adagrad_rate",)),
    *(of_the_run(t) for t in STATED if t.name in ("sgd_basic_inequality",)),
)
