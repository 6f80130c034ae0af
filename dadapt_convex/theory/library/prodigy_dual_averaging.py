"""Prodigy in its dual averaging form.

    s_{k+1} = s_k + lambda_k g_k,    x_{k+1} = x_0 - gamma_{k+1} s_{k+1}
    lambda_k = d_k^2                                times the schedule's factor, 1 by default
    T_k = sum_{i<=k} d_i^2 ||g_i||^2
    gamma_{k+1} = 1/sqrt(d_{k+1}^2 G^2 + T_k),  gamma_0 = 1/(d_0 G)
    B = sum gamma_k lambda_k^2 ||g_k||^2
    C = sum gamma_k lambda_k <g_k, s_k> = sum lambda_k <g_k, x_0 - x_k>
    kappa = gamma_{n+1} B/d_{n+1}^2

The estimate of D is `C/||s_{n+1}||`, option II of D-Adaptation. As d never decreases, gamma never increases, so that
`I1`, `I2`, `I3`, `I3_simple` and `L1` hold as they are, with any schedule. The kappa of D-Adaptation has `d_{n+1}` for
every `lambda_k`; this one has the weights themselves.

Source: [MD24] K. Mishchenko, A. Defazio, Prodigy: an expeditiously adaptive parameter-free learner, ICML 2024,
arXiv:2306.06101, Algorithm 2.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dadapt_convex.theory.assumptions import d0_at_most_D, subgradients_within_G
from dadapt_convex.theory.case import Case
from dadapt_convex.theory.library.dadapt_dual_averaging import factor_of, growth_of
from dadapt_convex.theory.rows import has_weight, s_not_zero
from dadapt_convex.theory.statement import RATE, Sides, formula, gap_sides, theorem
from dadapt_convex.theory.steps import Steps, d0, definition, dot, larger, norm, unless_zero
from dadapt_convex.theory.variants import of_the_best

MD24, OWN = "Mishchenko & Defazio 2024", "own"


@definition(
    "Algorithm 2 of Prodigy: s_{k+1}, d_hat_{k+1}, d_{k+1} = max(d_k, d_hat_{k+1}), gamma_{k+1}, x_{k+1} and the "
    "weight lambda_k of x_k follow from the state at k",
    source=MD24, d=d0, gamma=lambda hyper: 1 / (hyper["d0"] * hyper["G"]),
)  # fmt: skip
def definition_prodigy_dual_averaging(t: Steps) -> dict[str, Any]:
    g2, d2 = dot(t.g, t.g), t.d**2
    lam = d2 * t.factor
    s, T = t.s + lam * t.g, t.sum_d2_g2 + d2 * g2
    s_norm = norm(s)
    C = t.sum_gamma_lambda_gs + t.gamma * lam * dot(t.g, t.s)
    d_hat = unless_zero(s_norm, C / s_norm, t.d_hat)
    d = larger(t.d, d_hat)
    gamma_next = 1 / np.sqrt(d**2 * t.hyper["G"] ** 2 + T)
    return {
        "s": s, "d_hat": d_hat, "d": d, "gamma": gamma_next, "x_next": t.x0 - gamma_next * s, "weight": lam,
        "sum_d2_g2": T, "s_norm": s_norm, "sum_gamma_lambda_gs": C,
        "sum_gamma_lambda2_g2": t.sum_gamma_lambda2_g2 + t.gamma * lam**2 * g2,
        "sum_gamma_g2": t.sum_gamma_g2 + t.gamma * g2,
        "sum_dgamma_s2": t.sum_dgamma_s2 + (gamma_next - t.gamma) * s_norm**2,
        "_sum_lambda": t._sum_lambda + lam, "d2_over_sum_d2": d**2 / (t._sum_lambda + lam),
    }  # fmt: skip


@formula("d_hat_{n+1} = sum gamma_k lambda_k <g_k, s_k>/||s_{n+1}||", source=MD24, rows=s_not_zero)
def prodigy_definition_d_hat(c: Case) -> Sides:
    """Multiplied by the length of s."""
    return Sides(c.d_hat * c.s_norm, c.sum_gamma_lambda_gs)


@formula("gamma_{n+1} = 1/sqrt(d_{n+1}^2 G^2 + T_n)", source=MD24)
def prodigy_definition_gamma(c: Case) -> Sides:
    return Sides(c.gamma, 1 / np.sqrt(c.d**2 * c.hyper["G"] ** 2 + c.sum_d2_g2))


# ---------------------------------------------------------------------------------------------------------
# s is bounded in terms of d


def _kappa(c: Case) -> Any:
    """gamma_{n+1} B/d_{n+1}^2."""
    return c.gamma * c.sum_gamma_lambda2_g2 / c.d**2


@theorem(
    "||x_{n+1} - x_0|| = gamma_{n+1} ||s_{n+1}|| <= d_{n+1} (1 + sqrt(1 + kappa)), "
    "kappa = gamma_{n+1} sum gamma_k lambda_k^2 ||g_k||^2 / d_{n+1}^2",
    source=OWN, schedule="any", uses_optimum=False,
)  # fmt: skip
def prodigy_D1(c: Case) -> Sides:
    """`I1`, whose last sum is not positive, and an estimate of at most `d_{n+1}`:

    d = d_{n+1},  gamma = gamma_{n+1},  y = gamma ||s_{n+1}||,  q = gamma B
    gamma ||s_{n+1}||^2 - B <= 2 C                                  I1
    C <= d ||s_{n+1}||                                              d_hat_{n+1} <= d
    y^2 <= 2 d y + q                                                times gamma
    y <= d (1 + sqrt(1 + q/d^2))
    """
    return Sides(c.gamma * c.s_norm, c.d * growth_of(_kappa(c)))


@theorem(
    "kappa = gamma_{n+1} sum gamma_k lambda_k^2 ||g_k||^2 / d_{n+1}^2 <= 2",
    source=OWN, assumptions=(subgradients_within_G,), uses_optimum=False,
)  # fmt: skip
def prodigy_kappa(c: Case) -> Sides:
    """Compare `gamma_k`, which stops at `T_{k-1}`, with `1/sqrt(T_k)`; `T_{-1} = 0`:

    d_k^2 G^2 + T_{k-1} >= d_k^2 ||g_k||^2 + T_{k-1} = T_k          ||g_k|| <= G
    gamma_k <= 1/sqrt(T_k)
    d_k^4 ||g_k||^2 <= d_{n+1}^2 (T_k - T_{k-1})                    d_k <= d_{n+1}
    (T_k - T_{k-1})/sqrt(T_k) <= 2 (sqrt(T_k) - sqrt(T_{k-1}))      telescopes
    B = sum gamma_k d_k^4 ||g_k||^2 <= 2 d_{n+1}^2 sqrt(T_n)
    gamma_{n+1} <= 1/sqrt(T_n)
    kappa = gamma_{n+1} B/d_{n+1}^2 <= 2
    """
    return Sides(_kappa(c), 2.0)


# ---------------------------------------------------------------------------------------------------------
# The gap at every n


@theorem(
    "f(x_avg) - f* <= D (d_{n+1}/sum lambda_k) (1/gamma_{n+1}) max(1 + sqrt(1 + kappa), (1 + kappa)/2), "
    "kappa = gamma_{n+1} sum gamma_k lambda_k^2 ||g_k||^2 / d_{n+1}^2",
    source=OWN, kind=RATE, iterate="average", assumptions=(d0_at_most_D,), rows=has_weight, schedule="any",
    figure=True,
)  # fmt: skip
def prodigy_D3(c: Case) -> Sides:
    """The proof is that of `D3`. For `y = gamma_{n+1} ||s_{n+1}||`, `d = d_{n+1}` and `q = gamma_{n+1} B`:

        sum lambda_k gap_k <= (D y + q/2 - y^2/2)/gamma_{n+1}           I3
        y^2 <= 2 d y + q                                                prodigy_D1
        d <= D                                                          L1

    The maximum over y and D is that of `D3`, with `q/d^2 = kappa`.
    """
    return _D3_for(c, c.D)


prodigy_D3_best = of_the_best(prodigy_D3)


@theorem(
    "prodigy_D3 for every d_0: f(x_avg) - f* <= max(D, d_0) (d_{n+1}/sum lambda_k) (1/gamma_{n+1}) "
    "max(1 + sqrt(1 + kappa), (1 + kappa)/2)",
    source=OWN, kind=RATE, iterate="average", rows=has_weight, schedule="any",
)  # fmt: skip
def prodigy_D3_any_d0(c: Case) -> Sides:
    """The proof of `prodigy_D3` reads two facts about D, and both hold for `max(D, d_0)` in its place: the right-hand
    side of `I3` grows with D, and

        d_{n+1} = max(d_0, d_hat_1, ..., d_hat_{n+1}) <= max(D, d_0)
    """
    return _D3_for(c, np.maximum(c.D, c.hyper["d0"]))


def _D3_for(c: Case, D: Any) -> Sides:
    return gap_sides(c, D * (c.d / c.weight_sum) / c.gamma * factor_of(_kappa(c)))


@theorem(
    "f(x_avg) - f* <= (1 + sqrt 3) D (d_{n+1}/sum d_k^2) sqrt(d_{n+1}^2 G^2 + T_n)",
    source=OWN, kind=RATE, iterate="average", assumptions=(d0_at_most_D, subgradients_within_G),
)  # fmt: skip
def prodigy_D3_a_priori(c: Case) -> Sides:
    """`prodigy_D3` with kappa from `prodigy_kappa`:

    max(1 + sqrt(1 + 2), 3/2) = 1 + sqrt(3)
    """
    G = c.hyper["G"]
    return gap_sides(c, (1 + math.sqrt(3)) * c.D * (c.d / c.weight_sum) * np.sqrt(c.d**2 * G**2 + c.sum_d2_g2))


# ---------------------------------------------------------------------------------------------------------
# At the best t


@theorem(
    "f(x_avg at t) - f* <= (1 + sqrt 3) D G sqrt(rho (1 + rho)), rho = d_{t+1}^2/sum_{k<=t} d_k^2, "
    "t = argmin_{k<=n} d_{k+1}^2/sum_{i<=k} d_i^2",
    source=OWN, kind=RATE, iterate="selected", assumptions=(d0_at_most_D, subgradients_within_G),
)  # fmt: skip
def prodigy_selected(c: Case) -> Sides:
    """`prodigy_D3_a_priori` at t, with `W = sum_{k<=t} d_k^2` and `rho = d_{t+1}^2/W`:

    T_t <= G^2 W                                                    ||g_k|| <= G
    (d_{t+1}/W) sqrt(d_{t+1}^2 G^2 + T_t) <= G sqrt(rho/W) sqrt(W (rho + 1)) = G sqrt(rho (1 + rho))
    """
    return _at_best(c, c.selected_ratio)


@theorem(
    "f(x_avg at t) - f* <= (1 + sqrt 3) D G sqrt(r (1 + r)), r = (e (D/d_0)^2)^(1/(n+1)) - 1, "
    "t = argmin_{k<=n} d_{k+1}^2/sum_{i<=k} d_i^2; "
    "for n + 1 >= 1 + 2 ln(D/d_0) at most 6 D G sqrt((1 + 2 ln(D/d_0))/(n+1))",
    source=f"{MD24}, constants own", kind=RATE, iterate="selected", assumptions=(d0_at_most_D, subgradients_within_G),
)  # fmt: skip
def prodigy_rate(c: Case) -> Sides:
    """The paper states `O(D G sqrt(log(D/d_0))/sqrt(n+1))`. The proof of `non_asymptotic_lemma_sharper` holds for every
    nondecreasing sequence, and `d_k^2` is one:

        1 + rho <= (e (d_{n+1}/d_0)^2)^(1/(n+1)) <= 1 + r               d_{n+1} <= D, by L1

    The bound of `prodigy_selected` grows with rho. Let `w = ln(1 + r) = (1 + 2 ln(D/d_0))/(n+1)`; then, for `w <= 1`:

        r (1 + r) = (exp(w) - 1) exp(w) <= e (e - 1) w                  (exp(w) - 1)/w grows
        (1 + sqrt 3) sqrt(e (e - 1)) = 5.90...
    """
    return _at_best(c, np.expm1((1 + 2 * np.log(c.D / c.hyper["d0"])) / c.k))


def _at_best(c: Case, rho: Any) -> Sides:
    bound = (1 + math.sqrt(3)) * c.D * c.hyper["G"] * np.sqrt(rho * (1 + rho))
    return gap_sides(c, bound, gap=c.f_selected - c.f_star)
