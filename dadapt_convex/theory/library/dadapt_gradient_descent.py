"""Gradient descent with D-Adaptation.

    x_{k+1} = x_k - lambda_k g_k = x_0 - s_{k+1},    s_{k+1} = s_k + lambda_k g_k
    lambda_k = d_k/sqrt(G^2 + S_k)                  times the schedule's factor, 1 by default
    q = sum lambda_k^2 ||g_k||^2,    kappa = q/d_{n+1}^2

It is dual averaging with `gamma = 1`, so that `I1`, `I2`, `I3`, `L1` and `L1_half_distance` hold as they are, with any
schedule. A growth rate may cap d; where it is infinite, `d_{n+1} >= d_hat_{n+1}`.

Source: [DM23] A. Defazio, K. Mishchenko, Learning-rate-free learning by D-Adaptation, ICML 2023, arXiv:2301.07733,
Algorithm 2.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dadapt_convex.theory.assumptions import d0_at_most_D, no_growth_cap, subgradients_within_G
from dadapt_convex.theory.case import Case
from dadapt_convex.theory.library.dadapt_dual_averaging import factor_of, growth_of
from dadapt_convex.theory.rows import has_weight, s_not_zero, settled
from dadapt_convex.theory.statement import RATE, Sides, formula, gap_sides, theorem
from dadapt_convex.theory.steps import Steps, d0, definition, dot, larger, norm, unless_zero
from dadapt_convex.theory.variants import of_the_best

DM23, OWN = "Defazio & Mishchenko 2023", "own"


@definition(
    "Algorithm 2: lambda_k, s_{k+1}, d_hat_{k+1}, d_{k+1} = max(d_k, min(d_hat_{k+1}, growth_rate d_k)), "
    "x_{k+1} and the weight lambda_k of x_k follow from the state at k",
    source=DM23, d=d0,
)  # fmt: skip
def definition_dadapt_gradient_descent(t: Steps) -> dict[str, Any]:
    G, g2 = t.hyper["G"], dot(t.g, t.g)
    S = t._S + g2
    lam = t.d * t.factor / np.sqrt(G**2 + S)
    s = t.s + lam * t.g
    s_norm = norm(s)
    Q = t.sum_gamma_lambda2_g2 + lam**2 * g2
    d_hat = unless_zero(s_norm, (s_norm**2 - Q) / (2 * s_norm), t.d_hat)
    return {
        "s": s, "d_hat": d_hat, "d": larger(t.d, d_hat, t.hyper["growth_rate"]), "x_next": t.x - lam * t.g,
        "weight": lam, "_S": S, "s_norm": s_norm, "sum_gamma_lambda2_g2": Q, "gamma": np.ones_like(t.k),
        "sum_gamma_lambda_gs": t.sum_gamma_lambda_gs + lam * dot(t.g, t.s), "sum_gamma_g2": t.sum_gamma_g2 + g2,
        "sum_dgamma_s2": np.zeros_like(t.k), "sum_g2_over": t.sum_g2_over + g2 / (G**2 + S),
    }  # fmt: skip


@formula("d_hat_{n+1} = (||s_{n+1}||^2 - sum lambda_k^2 ||g_k||^2)/(2 ||s_{n+1}||)", source=DM23, rows=s_not_zero)
def gd_definition_d_hat(c: Case) -> Sides:
    """Multiplied by the length of s, and with no difference of terms that would cancel."""
    return Sides(2 * c.d_hat * c.s_norm + c.sum_gamma_lambda2_g2, c.s_norm**2)


def _kappa(c: Case) -> Any:
    """q/d_{n+1}^2."""
    return c.sum_gamma_lambda2_g2 / c.d**2


@theorem(
    "||x_{n+1} - x_0|| = ||s_{n+1}|| <= d_{n+1} (1 + sqrt(1 + kappa)), kappa = sum lambda_k^2 ||g_k||^2 / d_{n+1}^2",
    source=OWN, assumptions=(no_growth_cap,), schedule="any", uses_optimum=False,
)  # fmt: skip
def gd_D1(c: Case) -> Sides:
    """The estimate is at most `d_{n+1}`:

    d = d_{n+1},  y = ||s_{n+1}||
    y^2 - q <= 2 d y                                                d_hat_{n+1} <= d
    y <= d (1 + sqrt(1 + q/d^2))
    """
    return Sides(c.s_norm, c.d * growth_of(_kappa(c)))


@theorem(
    "sum ||g_k||^2/(G^2 + S_k) <= ln(1 + S_n/G^2)",
    source=DM23, schedule="any", uses_optimum=False,
)  # fmt: skip
def gd_D2(c: Case) -> Sides:
    """`1 - 1/z <= ln z` for `z = (G^2 + S_k)/(G^2 + S_{k-1})`, and the sum telescopes, with `S_{-1} = 0`:

    ||g_k||^2/(G^2 + S_k) <= ln(G^2 + S_k) - ln(G^2 + S_{k-1})
    """
    return Sides(c.sum_g2_over, _logarithm(c))


def _logarithm(c: Case) -> Any:
    """ln(1 + S_n/G^2), which bounds kappa without a schedule."""
    return np.log1p(c.S / c.hyper["G"] ** 2)


@theorem(
    "f(x_avg) - f* <= D (d_{n+1}/sum lambda_k) max(1 + sqrt(1 + kappa), (1 + kappa)/2), "
    "kappa = sum lambda_k^2 ||g_k||^2 / d_{n+1}^2",
    source=OWN, kind=RATE, iterate="average", assumptions=(d0_at_most_D, no_growth_cap), rows=has_weight,
    schedule="any", figure=True,
)  # fmt: skip
def gd_D3(c: Case) -> Sides:
    """The proof is that of `D3` with `gamma = 1`. For `y = ||s_{n+1}||` and `d = d_{n+1}`:

        sum lambda_k gap_k <= D y + q/2 - y^2/2                         I3
        y^2 <= 2 d y + q                                                gd_D1
        d <= D                                                          L1

    The maximum over y and D is that of `D3`, and the schedule enters q alone. On `|x|` the bound is attained as `d_0`
    tends to 0.
    """
    return gap_sides(c, c.D * c.d / c.weight_sum * factor_of(_kappa(c)))


gd_D3_best = of_the_best(gd_D3)


@theorem(
    "f(x_avg) - f* <= D (d_{n+1}/sum lambda_k) max(1 + sqrt(1 + L), (1 + L)/2), L = ln(1 + S_n/G^2)",
    source=OWN, kind=RATE, iterate="average", assumptions=(d0_at_most_D, no_growth_cap),
)  # fmt: skip
def gd_D3_a_priori(c: Case) -> Sides:
    """`gd_D3`, whose last factor grows with kappa, and without a schedule, where
    `lambda_k <= d_{n+1}/sqrt(G^2 + S_k)`:

        q <= d_{n+1}^2 sum ||g_k||^2/(G^2 + S_k) <= d_{n+1}^2 L         gd_D2
    """
    return gap_sides(c, c.D * c.d / c.weight_sum * factor_of(_logarithm(c)))


@theorem(
    "f(x_avg) - f* <= D (d_{n+1}/sum lambda_k) max(1 + sqrt(1 + L), (1 + L)/2), L = ln(n+2)",
    source=OWN, kind=RATE, iterate="average", assumptions=(d0_at_most_D, no_growth_cap, subgradients_within_G),
)  # fmt: skip
def gd_rate(c: Case) -> Sides:
    """`gd_D3_a_priori` with `S_n` at its largest:

    ln(1 + S_n/G^2) <= ln(n+2)                                      ||g_k|| <= G
    """
    return gap_sides(c, c.D * c.d / c.weight_sum * factor_of(np.log(c.n + 2)))


@theorem(
    "f(x_avg) - f* <= 4 max(1 + sqrt(1 + L), (1 + L)/2) D G sqrt(n+2)/(n+1), L = ln(n+2), "
    "for n >= 2 nhat, nhat the first k with d_k >= d_{n+1}/2",
    source=f"{DM23}, constants own", kind=RATE, iterate="average",
    assumptions=(d0_at_most_D, no_growth_cap, subgradients_within_G), rows=settled,
)  # fmt: skip
def gd_asymptotic(c: Case) -> Sides:
    """The paper states `O(D G log(n+2)/sqrt(n+1))`. At least half of the weights are large; then `gd_rate`:

    lambda_k >= d_{n+1}/(2 G sqrt(n+2))                             k >= nhat
    sum lambda_k >= (n+1) d_{n+1}/(4 G sqrt(n+2))                   nhat <= n/2
    """
    n = c.n
    return gap_sides(c, 4 * factor_of(np.log(n + 2)) * c.D * c.hyper["G"] * np.sqrt(n + 2) / (n + 1))


gd_asymptotic_best = of_the_best(gd_asymptotic)
