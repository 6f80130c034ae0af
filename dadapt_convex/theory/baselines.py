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

import numpy as np

from dadapt_convex.theory.theorem import (
    Case,
    Sides,
    Theorem,
    after_the_row_before,
    before,
    first_row,
    hyper_is,
    identity_sides,
    no_weight_decay,
)

OWN = "own"
DM23 = "Defazio & Mishchenko 2023"


def _mean_gap(c: Case, f_mean: np.ndarray, bound: np.ndarray, size: np.ndarray) -> Sides:
    """A bound on a mean of gaps, of which the method keeps the sum; f_size: see Case."""
    return Sides(f_mean - c.f_star, bound, np.abs(f_mean) + abs(c.f_star) + c.G * c.x_size + size)


def _basic(c: Case) -> Sides:
    rhs = (0.5 * c.D**2 + 0.5 * c.sum_h2_g2) / c.sum_h
    return _mean_gap(c, c.sum_h_f / c.sum_h, rhs, rhs)


def _any_step(c: Case) -> np.ndarray:
    return c.sum_h > 0


def _momentum(c: Case) -> Sides:
    h, beta = c.hyper["lr"], c.hyper["momentum"]
    first = (1 - beta) * c.D**2 / (2 * h) + h / (2 * (1 - beta)) * c.S
    share = beta / (1 - beta)
    size = first + share * (np.abs(c.f_first) + np.abs(c.f))
    return _mean_gap(c, c.sum_h_f / c.sum_h, (first + share * (c.f_first - c.f)) / c.k, size / c.k)


def _adagrad(c: Case) -> Sides:
    h = c.hyper["lr"]
    rhs = ((c.D_inf + c.x_reach) ** 2 / (2 * h) + h) * c.a_norm1 / c.k
    return _mean_gap(c, c.sum_f / c.k, rhs, rhs)


def _adagrad_reach(c: Case) -> Sides:
    return Sides(c.x_dist, math.sqrt(c.run.x0.size) * c.x_reach, c.x_size)


def _adagrad_first(c: Case) -> Sides:
    """h g_0/(|g_0| + eps) in each coordinate: at most h."""
    rhs = np.full_like(c.k, math.sqrt(c.run.x0.size) * c.hyper["lr"])
    return Sides(c.x_next_dist, rhs, rhs + c.x_size)


def _adam_ratio(c: Case) -> np.ndarray:
    """The bound on |m|/sqrt(v) in each coordinate: a geometric sum under the root."""
    beta1, beta2 = c.hyper["betas"]
    if beta1 == 0:
        terms = np.ones_like(c.k)
    elif beta2 == 0:
        terms = np.full_like(c.k, math.inf)
    else:
        ratio = beta1**2 / beta2
        terms = c.k if ratio == 1 else np.expm1(c.k * math.log(ratio)) / (ratio - 1)
    return (1 - beta1) / math.sqrt(1 - beta2) * np.sqrt(terms)


def _adam_step(c: Case) -> Sides:
    beta1, beta2 = c.hyper["betas"]
    t = c.k
    correction = np.sqrt(-np.expm1(t * np.log(beta2))) / (-np.expm1(t * np.log(beta1)))
    rhs = math.sqrt(c.run.x0.size) * c.hyper["lr"] * correction * _adam_ratio(c)
    return Sides(c.step_norm, rhs, rhs)


def _dadapt_adam_step(c: Case) -> Sides:
    rhs = math.sqrt(c.run.x0.size) * c.hyper["lr"] * before(c, c.d, c.hyper["d0"]) * _adam_ratio(c)
    return Sides(c.step_norm, rhs, rhs)


def _definition_r_first(c: Case) -> Sides:
    return Sides(np.abs(c.r), np.zeros_like(c.r), np.zeros_like(c.r))


def _definition_adam_d_hat(c: Case) -> Sides:
    b = math.sqrt(c.hyper["betas"][1])
    return identity_sides(c, c.d_hat, c.r / ((1 - b) * c.s_norm1))


def _s_not_zero(c: Case) -> np.ndarray:
    return c.s_norm1 > 0


def _definition_adam_x(c: Case) -> Sides:
    """At the first step; later steps are not along a line."""
    return identity_sides(c, c.x_next_dist, c.step_norm, c.step_norm + c.x_size)


def _adam_moves(c: Case) -> Sides:
    """The triangle inequality."""
    return Sides(np.abs(c.x_next_dist - c.x_dist), c.step_norm, c.step_norm + c.x_size)


THEOREMS = (
    Theorem(
        name="sgd_basic_inequality",
        statement="sum h_k (f(x_k) - f*) <= D^2/2 + 1/2 sum h_k^2 ||g_k||^2, h_k = lr gamma_k, without momentum",
        source="Shor 1985",
        sides=_basic,
        assumptions=(hyper_is("momentum", 0.0), no_weight_decay),
        rows=_any_step,
        schedule="any",
        comparator=True,
    ),
    Theorem(
        name="sgd_momentum",
        statement="sum (f(x_k) - f*) <= (1 - beta) D^2/(2 lr) + lr S_n/(2 (1 - beta)) "
        "+ beta/(1 - beta) (f(x_0) - f(x_n))",
        source=OWN,
        sides=_momentum,
        assumptions=(no_weight_decay,),
        comparator=True,
    ),
    Theorem(
        name="adagrad_rate",
        statement="sum (f(x_k) - f*) <= (R^2/(2 lr) + lr) ||a_{n+1} + eps||_1, "
        "R = D_inf + max_{k<=n} ||x_k - x_0||_inf",
        source="Duchi, Hazan & Singer 2011; own without a bounded set",
        sides=_adagrad,
        assumptions=(no_weight_decay,),
        comparator=True,
    ),
    Theorem(
        name="adagrad_reach",
        statement="||x_n - x_0|| <= sqrt(p) max_{k<=n} ||x_k - x_0||_inf",
        source=OWN,
        sides=_adagrad_reach,
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="adagrad_first_step",
        statement="||x_1 - x_0|| <= sqrt(p) lr",
        source=OWN,
        sides=_adagrad_first,
        rows=first_row,
        uses_optimum=False,
    ),
    Theorem(
        name="adam_step",
        statement="||x_{n+1} - x_n|| <= sqrt(p) lr sqrt(1 - beta2^{n+1})/(1 - beta1^{n+1}) (1 - beta1)/sqrt(1 - beta2) "
        "sqrt(sum_{j<=n} (beta1^2/beta2)^j), decoupled decay aside; sqrt(p) lr at n = 0",
        source=OWN,
        sides=_adam_step,
        uses_optimum=False,
    ),
    Theorem(
        name="dadapt_adam_step",
        statement="||x_{n+1} - x_n|| <= sqrt(p) lr d_n (1 - beta1)/sqrt(1 - beta2) sqrt(sum_{j<=n} (beta1^2/beta2)^j), "
        "decoupled decay aside",
        source=OWN,
        sides=_dadapt_adam_step,
        assumptions=(hyper_is("bias_correction", False),),
        rows=after_the_row_before,
        uses_optimum=False,
    ),
    Theorem(
        name="definition_adam_r",
        statement="r_1 = 0, as s_0 = 0",
        source=DM23,
        sides=_definition_r_first,
        rows=first_row,
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="definition_adam_d_hat",
        statement="d_hat_{n+1} = r_{n+1}/((1 - sqrt(beta2)) ||s_{n+1}||_1), to rounding",
        source=DM23,
        sides=_definition_adam_d_hat,
        rows=_s_not_zero,
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="adam_moves",
        statement="| ||x_{n+1} - x_0|| - ||x_n - x_0|| | <= ||x_{n+1} - x_n||, decoupled decay aside",
        source=OWN,
        sides=_adam_moves,
        assumptions=(hyper_is("decouple", False),),
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="definition_adam_x",
        statement="||x_1 - x_0|| is the length of the first step, to rounding",
        source="Kingma & Ba 2015",
        sides=_definition_adam_x,
        assumptions=(hyper_is("decouple", False),),
        rows=first_row,
        schedule="any",
        uses_optimum=False,
    ),
)
