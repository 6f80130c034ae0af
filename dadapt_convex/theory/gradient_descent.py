r"""Gradient descent with D-Adaptation: [DM23] Defazio & Mishchenko, ICML 2023, Algorithm 2.

x_{k+1} = x_0 - s_{k+1}: dual averaging with gamma = 1 and lambda_k = d_k / sqrt(G^2 + S_k), so (I1), (I2), (I3) and
with them (L1) and (L1/2) of dual_averaging.py and dadaptation.py hold as they are, with any schedule. Below

    q = sum lambda_k^2 ||g_k||^2,    kappa = q / d_{n+1}^2.

(gd_D1) d_hat_{n+1} <= d_{n+1} reads y^2 <= 2 d_{n+1} y + q for y = ||s_{n+1}||, so y <= d_{n+1} (1 + sqrt(1 + kappa)).
(gd_D2) ||g_k||^2 / (G^2 + S_k) <= ln((G^2 + S_k) / (G^2 + S_{k-1})), as 1 - 1/z <= ln z; the sum telescopes.
(gd_D3) By (I3) sum lambda_k gap_k <= D y + q/2 - y^2/2. For D >= y_max = d_{n+1} (1 + sqrt(1 + kappa)) the right-hand
        side grows up to y_max, where it is (D - d_{n+1}) y_max; for D between d_{n+1} and y_max it is at most D^2/2 +
        q/2, and (D^2/2 + q/2)/D is convex in D, hence at most its value at an end. In each case it is at most D
        d_{n+1} max(1 + sqrt(1 + kappa), (1 + kappa)/2), where (L1) gave D >= d_{n+1}. Any schedule.
(gd_D3_a_priori) Without a schedule q <= d_{n+1}^2 L, L = ln(1 + S_n/G^2): lambda_k^2 ||g_k||^2 <= d_{n+1}^2 times a
        term of (gd_D2). The last factor of (gd_D3) grows with kappa. Attained as d_0 -> 0.
(gd_rate) S_n <= (n + 1) G^2, so L <= ln(n + 2).
(gd_asymptotic) lambda_k >= d_{n+1} / (2 G sqrt(n + 2)) for the k >= nhat, of which there are at least (n + 1)/2.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dadapt_convex.theory.steps import Steps, d0, definition, dot, larger, norm, unless_zero
from dadapt_convex.theory.theorem import (
    DEFINITION,
    RATE,
    Case,
    Sides,
    Theorem,
    d0_at_most_D,
    gap_sides,
    has_weight,
    no_growth_cap,
    of_the_best,
    settled,
    subgradients_within_G,
)

DM23 = "Defazio & Mishchenko 2023"
OWN = "own"


def kappa(c: Case) -> Any:
    """Q / d_{n+1}^2."""
    return c.sum_gamma_lambda2_g2 / c.d**2


def factor_of(kappa: Any) -> Any:
    """max(1 + sqrt(1 + kappa), (1 + kappa)/2)."""
    return np.maximum(1 + np.sqrt(1 + kappa), 0.5 * (1 + kappa))


def _logarithm(c: Case) -> Any:
    """ln(1 + S_n/G^2), which bounds kappa without a schedule."""
    return np.log1p(c.S / c.hyper["G"] ** 2)


def _D1(c: Case) -> Sides:
    return Sides(c.s_norm, c.d * (1 + np.sqrt(1 + kappa(c))))


def _D2(c: Case) -> Sides:
    return Sides(c.sum_g2_over, _logarithm(c))


def _D3(c: Case) -> Sides:
    return gap_sides(c, c.D * c.d / c.weight_sum * factor_of(kappa(c)))


def _D3_a_priori(c: Case) -> Sides:
    return gap_sides(c, c.D * c.d / c.weight_sum * factor_of(_logarithm(c)))


def _rate(c: Case) -> Sides:
    return gap_sides(c, c.D * c.d / c.weight_sum * factor_of(np.log(c.n + 2)))


def _asymptotic(c: Case) -> Sides:
    n = c.n
    return gap_sides(c, 4 * factor_of(np.log(n + 2)) * c.D * c.hyper["G"] * np.sqrt(n + 2) / (n + 1))


def _s_not_zero(c: Case) -> Any:
    return c.s_norm > 0


def _definition_d_hat(c: Case) -> Sides:
    """d_hat ||s||, without what would cancel."""
    return Sides(2 * c.d_hat * c.s_norm + c.sum_gamma_lambda2_g2, c.s_norm**2)


@definition(d=d0)
def _algorithm_2(t: Steps) -> dict[str, Any]:
    """Algorithm 2, with the sums of its analysis."""
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


STATED: tuple[Theorem, ...] = (
    Theorem(
        name="gd_D3",
        kind=RATE,
        statement="f(x_avg) - f* <= D (d_{n+1}/sum lambda_k) max(1 + sqrt(1 + kappa), (1 + kappa)/2), "
        "kappa = sum lambda_k^2 ||g_k||^2 / d_{n+1}^2",
        source=OWN,
        needs=("d", "d0", "sum_gamma_lambda2_g2"),
        sides=_D3,
        iterate="average",
        assumptions=(d0_at_most_D, no_growth_cap),
        rows=has_weight,
        schedule="any",
        figure=True,
    ),
    Theorem(
        name="gd_D3_a_priori",
        kind=RATE,
        statement="f(x_avg) - f* <= D (d_{n+1}/sum lambda_k) max(1 + sqrt(1 + L), (1 + L)/2), L = ln(1 + S_n/G^2)",
        source=OWN,
        needs=("G", "d", "d0"),
        sides=_D3_a_priori,
        iterate="average",
        assumptions=(d0_at_most_D, no_growth_cap),
    ),
    Theorem(
        name="gd_rate",
        kind=RATE,
        statement="f(x_avg) - f* <= D (d_{n+1}/sum lambda_k) max(1 + sqrt(1 + L), (1 + L)/2), L = ln(n+2)",
        source=OWN,
        needs=("G", "d", "d0"),
        sides=_rate,
        iterate="average",
        assumptions=(d0_at_most_D, no_growth_cap, subgradients_within_G),
    ),
    Theorem(
        name="gd_asymptotic",
        kind=RATE,
        statement="f(x_avg) - f* <= 4 max(1 + sqrt(1 + L), (1 + L)/2) D G sqrt(n+2)/(n+1), L = ln(n+2), "
        "for n >= 2 nhat, nhat the first k with d_k >= d_{n+1}/2",
        source=f"{DM23}, constants own",
        needs=("G", "d", "d0"),
        sides=_asymptotic,
        iterate="average",
        assumptions=(d0_at_most_D, no_growth_cap, subgradients_within_G),
        rows=settled,
    ),
    Theorem(
        name="gd_D1",
        statement="||x_{n+1} - x_0|| = ||s_{n+1}|| <= d_{n+1} (1 + sqrt(1 + kappa))",
        source=OWN,
        needs=("d", "s_norm", "sum_gamma_lambda2_g2"),
        sides=_D1,
        assumptions=(no_growth_cap,),
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="gd_D2",
        statement="sum ||g_k||^2/(G^2 + S_k) <= ln(1 + S_n/G^2)",
        source=DM23,
        needs=("G", "sum_g2_over"),
        sides=_D2,
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="gd_definition_d_hat",
        kind=DEFINITION,
        statement="d_hat_{n+1} = (||s_{n+1}||^2 - sum lambda_k^2 ||g_k||^2)/(2 ||s_{n+1}||)",
        source=DM23,
        needs=("d_hat", "s_norm", "sum_gamma_lambda2_g2"),
        sides=_definition_d_hat,
        relation="=",
        rows=_s_not_zero,
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="definition_dadapt_gradient_descent",
        kind=DEFINITION,
        statement="Algorithm 2: lambda_k, s_{k+1}, d_hat_{k+1}, d_{k+1} = max(d_k, min(d_hat_{k+1}, growth_rate d_k)), "
        "x_{k+1} and the weight lambda_k of x_k follow from the state at k",
        source=DM23,
        needs=(
            "G",
            "_S",
            "d",
            "d_hat",
            "growth_rate",
            "s",
            "sum_g2_over",
            "sum_gamma_g2",
            "sum_gamma_lambda2_g2",
            "sum_gamma_lambda_gs",
            "d0",
            "gamma",
            "s_norm",
            "sum_dgamma_s2",
        ),
        steps=_algorithm_2,
        schedule="any",
        uses_optimum=False,
    ),
)
THEOREMS = (
    *STATED,
    *(of_the_best(t) for t in STATED if t.name in ("gd_D3", "gd_asymptotic")),
)
