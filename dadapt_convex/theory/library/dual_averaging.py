"""Dual averaging with known D.

    s_{k+1} = s_k + lambda_k g_k,    x_{k+1} = x_0 - gamma_{k+1} s_{k+1},    gamma nonincreasing

The method's weights are `w_k = lambda_k`. With gamma constant it is the subgradient method. R is the D that the method
was given. `I1`, `I2` and `I3` hold for all methods of this form. Two sums have names:

    B = sum gamma_k lambda_k^2 ||g_k||^2,    C = sum gamma_k lambda_k <g_k, s_k>

Sources: Y. Nesterov, Primal-dual subgradient methods for convex problems, Math. Programming 120, 2009. M. Streeter,
H. B. McMahan, Less regret via online conditioning, arXiv:1002.4862, 2010.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dadapt_convex.theory.assumptions import subgradients_within_G
from dadapt_convex.theory.case import Case
from dadapt_convex.theory.rows import has_weight
from dadapt_convex.theory.statement import RATE, Sides, formula, gap_sides, theorem
from dadapt_convex.theory.steps import Steps, definition, dot, norm
from dadapt_convex.theory.variants import for_the_best_point, of_the_best

NESTEROV, STREETER = "Nesterov 2009", "Streeter & McMahan 2010"


@theorem(
    "sum w_k (f(x_k) - f*) <= D ||sum w_k g_k|| + sum w_k <g_k, x_k - x_0>, for any method and weights w_k >= 0",
    source="own", iterate="average", schedule="any", rows=has_weight, comparator=True,
)  # fmt: skip
def regret(c: Case) -> Sides:
    """No recursion enters, so it holds for every method:

    gap_k <= <g_k, x_k - x*> = <g_k, x_k - x_0> + <g_k, x_0 - x*>
    sum w_k <g_k, x_0 - x*> <= ||sum w_k g_k|| ||x_0 - x*||
    """
    return Sides(c.gap_at_iterates, (c.D * c.sum_w_g + c.sum_w_gx) / c.weight_sum)


regret_comparator = for_the_best_point(regret)

# ---------------------------------------------------------------------------------------------------------
# The recursion


@formula("||s_{n+1}|| = ||sum w_k g_k||", source=NESTEROV)
def definition_s(c: Case) -> Sides:
    return Sides(c.s_norm, c.sum_w_g)


@theorem(
    "-sum gamma_k lambda_k <g_k, s_k> = -1/2 gamma_{n+1} ||s_{n+1}||^2 "
    "+ 1/2 sum gamma_k lambda_k^2 ||g_k||^2 + 1/2 sum (gamma_{k+1} - gamma_k) ||s_{k+1}||^2",
    source=NESTEROV, relation="=", uses_optimum=False, schedule="any",
)  # fmt: skip
def I1(c: Case) -> Sides:
    """Expand the square, multiply by `gamma_k/2`, and sum by parts, with `s_0 = 0`:

    ||s_{k+1}||^2 - ||s_k||^2 = 2 lambda_k <g_k, s_k> + lambda_k^2 ||g_k||^2
    sum gamma_k (||s_{k+1}||^2 - ||s_k||^2)
        = gamma_{n+1} ||s_{n+1}||^2 - sum (gamma_{k+1} - gamma_k) ||s_{k+1}||^2
    """
    B, C, moved = c.sum_gamma_lambda2_g2, c.sum_gamma_lambda_gs, c.sum_dgamma_s2
    return Sides(C + 0.5 * B, 0.5 * c.gamma * c.s_norm**2 - 0.5 * moved)


@theorem(
    "sum lambda_k (f(x_k) - f*) <= D ||s_{n+1}|| - sum gamma_k lambda_k <g_k, s_k>",
    source=NESTEROV, iterate="average", schedule="any", rows=has_weight, comparator=True,
)  # fmt: skip
def I2(c: Case) -> Sides:
    """`regret` with `w_k = lambda_k`:

        sum lambda_k g_k = s_{n+1}
        x_k - x_0 = -gamma_k s_k

    Both sides are checked at the computed iterates: `-C` is the driver's sum of `w_k <g_k, x_k - x_0>`.
    """
    return Sides(c.gap_at_iterates, (c.D * c.s_norm + c.sum_w_gx) / c.weight_sum)


I2_comparator = for_the_best_point(I2)


@theorem(
    "sum lambda_k (f(x_k) - f*) <= D ||s_{n+1}|| + 1/2 sum gamma_k lambda_k^2 ||g_k||^2 "
    "- 1/2 gamma_{n+1} ||s_{n+1}||^2",
    source=NESTEROV, iterate="average", schedule="any", rows=has_weight, comparator=True,
)  # fmt: skip
def I3(c: Case) -> Sides:
    """`I2` with `-C` from `I1`, whose last sum is dropped:

    sum (gamma_{k+1} - gamma_k) ||s_{k+1}||^2 <= 0                  gamma is nonincreasing
    -C <= B/2 - 1/2 gamma_{n+1} ||s_{n+1}||^2
    """
    return _weighted_gap(c, c.D * c.s_norm + 0.5 * c.sum_gamma_lambda2_g2 - 0.5 * c.gamma * c.s_norm**2)


I3_comparator = for_the_best_point(I3)


@theorem(
    "sum lambda_k (f(x_k) - f*) <= D^2 / (2 gamma_{n+1}) + 1/2 sum gamma_k lambda_k^2 ||g_k||^2",
    source=NESTEROV, iterate="average", schedule="any", rows=has_weight, comparator=True,
)  # fmt: skip
def I3_simple(c: Case) -> Sides:
    """`I3`, whose right-hand side is largest where `y = ||s_{n+1}||` is `D/gamma`:

    D y - gamma y^2/2 <= D^2/(2 gamma)
    """
    return _weighted_gap(c, c.D**2 / (2 * c.gamma) + 0.5 * c.sum_gamma_lambda2_g2)


def _weighted_gap(c: Case, rhs: Any) -> Sides:
    """sum lambda_k gap_k <= rhs, divided by sum lambda_k."""
    return gap_sides(c, rhs / c.weight_sum)


def _averaging(t: Steps, gamma: Any, gamma_next: Any) -> dict[str, Any]:
    """The recursion for s and x, with the sums of (I1)."""
    lam, g2 = t.factor, dot(t.g, t.g)
    s = t.s + lam * t.g
    s_norm = norm(s)
    return {
        "s": s, "s_norm": s_norm, "gamma": gamma_next, "x_next": t.x0 - gamma_next * s, "weight": lam,
        "sum_gamma_lambda2_g2": t.sum_gamma_lambda2_g2 + gamma * lam**2 * g2,
        "sum_gamma_lambda_gs": t.sum_gamma_lambda_gs + gamma * lam * dot(t.g, t.s),
        "sum_gamma_g2": t.sum_gamma_g2 + gamma * g2,
        "sum_dgamma_s2": t.sum_dgamma_s2 + (gamma_next - gamma) * s_norm**2,
    }  # fmt: skip


# ---------------------------------------------------------------------------------------------------------
# Nesterov's gamma, from D and G


@definition(
    "s_{k+1} = s_k + lambda_k g_k, gamma_{k+1} = R/(G sqrt(2 (k+2))), x_{k+1} = x_0 - gamma_{k+1} s_{k+1}, and "
    "x_k has the weight lambda_k",
    source=NESTEROV,
)
def definition_dual_averaging(t: Steps) -> dict[str, Any]:
    R, G = t.hyper["D"], t.hyper["G"]
    gamma, gamma_next = (R / (G * np.sqrt(2 * (t.k + i))) for i in (1, 2))
    return _averaging(t, gamma, gamma_next)


@formula("gamma_{n+1} = R / (G sqrt(2 (n+2)))", source=NESTEROV)
def definition_nesterov_gamma(c: Case) -> Sides:
    return Sides(c.gamma, c.hyper["D"] / (c.hyper["G"] * np.sqrt(2 * (c.n + 2))))


@theorem(
    "f(x_avg) - f* <= G (D^2/R sqrt((n+2)/2) + R sqrt((n+1)/2)) / (n+1), R the D given to the method; "
    "for R = D at most sqrt(2 (n+2)) D G / (n+1)",
    source=NESTEROV, kind=RATE, iterate="average", assumptions=(subgradients_within_G,), figure=True, comparator=True,
)  # fmt: skip
def dual_averaging_rate(c: Case) -> Sides:
    """`I3_simple` with `lambda_k = 1` and `gamma_{k+1} = R/(G sqrt(2 (k+2)))`:

    D^2/(2 gamma_{n+1}) = G (D^2/R) sqrt((n+2)/2)
    B <= G^2 sum gamma_k = (R G/sqrt(2)) sum_{k<=n} 1/sqrt(k+1)     ||g_k|| <= G
    sum_{k<=n} 1/sqrt(k+1) <= 2 sqrt(n+1)
    B/2 <= R G sqrt((n+1)/2)
    """
    R, G, n = c.hyper["D"], c.hyper["G"], c.n
    return gap_sides(c, G * (c.D**2 / R * np.sqrt((n + 2) / 2) + R * np.sqrt((n + 1) / 2)) / (n + 1))


dual_averaging_rate_best = of_the_best(dual_averaging_rate)

# ---------------------------------------------------------------------------------------------------------
# The AdaGrad-Norm gamma, from D alone


@definition(
    "s_{k+1} = s_k + lambda_k g_k, gamma_{k+1} = R/sqrt(S_k), x_{k+1} = x_0 - gamma_{k+1} s_{k+1}, and "
    "x_k has the weight lambda_k",
    source=STREETER,
)
def definition_adagrad_norm_dual_averaging(t: Steps) -> dict[str, Any]:
    R, g2 = t.hyper["D"], dot(t.g, t.g)
    gamma = t.after_the_first("gamma", R / np.sqrt(g2))
    return {**_averaging(t, gamma, R / np.sqrt(t._S + g2)), "_S": t._S + g2}


@formula("gamma_{n+1} = R / sqrt(S_n)", source=STREETER)
def definition_adagrad_gamma(c: Case) -> Sides:
    return Sides(c.gamma, c.hyper["D"] / np.sqrt(c.S))


@theorem(
    "sum (f(x_k) - f*) <= (D^2/(2R) + R) sqrt(S_n) + R G^2 / (2 ||g_0||), R the D given to the method; "
    "for R = D: 1.5 D sqrt(S_n) + D G^2 / (2 ||g_0||)",
    source="own", kind=RATE, iterate="average", figure=True, comparator=True,
)  # fmt: skip
def adagrad_norm_dual_averaging_rate(c: Case) -> Sides:
    """`I3_simple` with `lambda_k = 1`, `gamma_0 = R/||g_0||` and `gamma_{k+1} = R/sqrt(S_k)`:

    D^2/(2 gamma_{n+1}) = D^2 sqrt(S_n)/(2 R)
    B = R (||g_0|| + sum_{1<=k<=n} ||g_k||^2/sqrt(S_{k-1}))
    B <= R (2 sqrt(S_n) + G^2/||g_0||)                              D2 of dual averaging with D-Adaptation
    """
    R = c.hyper["D"]
    total = c.D**2 * np.sqrt(c.S) / (2 * R) + R * np.sqrt(c.S) + R * c.G**2 / (2 * c.g0_norm)
    return gap_sides(c, total / c.k)


adagrad_norm_dual_averaging_rate_best = of_the_best(adagrad_norm_dual_averaging_rate)
