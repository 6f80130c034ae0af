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
(gd_D3_a_priori) Without a schedule q <= d_{n+1}^2 L, L = ln(1 + S_n/G^2), by (gd_D2); 1 + sqrt(1 + L) <= 2 + L/2.
(gd_rate) S_n <= (n + 1) G^2, so L <= ln(n + 2).
(gd_asymptotic) lambda_k >= d_{n+1} / (2 G sqrt(n + 2)) for the k >= nhat, of which there are at least (n + 1)/2.
"""

from __future__ import annotations

import numpy as np

from dadapt_convex.theory.theorem import (
    Case,
    Sides,
    Theorem,
    after_the_row_before,
    before,
    d0_at_most_D,
    gap_sides,
    has_weight,
    identity_sides,
    known_schedule,
    no_growth_cap,
    settled,
    subgradients_within_G,
)

DM23 = "Defazio & Mishchenko 2023"
OWN = "own"


def kappa(c: Case) -> np.ndarray:
    """Q / d_{n+1}^2."""
    return c.sum_gamma_lambda2_g2 / c.d**2


def factor_of(kappa: np.ndarray) -> np.ndarray:
    """max(1 + sqrt(1 + kappa), (1 + kappa)/2)."""
    return np.maximum(1 + np.sqrt(1 + kappa), 0.5 * (1 + kappa))


def _D1(c: Case) -> Sides:
    rhs = c.d * (1 + np.sqrt(1 + kappa(c)))
    return Sides(c.s_norm, rhs, rhs)


def _D2(c: Case) -> Sides:
    rhs = np.log1p(c.S / c.hyper["G"] ** 2)
    return Sides(c.sum_g2_over, rhs, rhs)


def _D3(c: Case) -> Sides:
    return gap_sides(c, c.D * c.d / c.weight_sum * factor_of(kappa(c)))


def _D3_a_priori(c: Case) -> Sides:
    return gap_sides(c, c.D * c.d / c.weight_sum * (2 + 0.5 * np.log1p(c.S / c.hyper["G"] ** 2)))


def _rate(c: Case) -> Sides:
    return gap_sides(c, c.D * c.d / c.weight_sum * (2 + np.log(c.n + 2)))


def _asymptotic(c: Case) -> Sides:
    n = c.n
    return gap_sides(c, 4 * (2 + 0.5 * np.log(n + 2)) * c.D * c.hyper["G"] * np.sqrt(n + 2) / (n + 1))


def _s_not_zero(c: Case) -> np.ndarray:
    return c.s_norm > 0


def _definition_d_hat(c: Case) -> Sides:
    q, s = c.sum_gamma_lambda2_g2, c.s_norm
    return identity_sides(c, c.d_hat, (s**2 - q) / (2 * s), (s**2 + q) / (2 * s))


def _definition_lambda(c: Case) -> Sides:
    lam = c.factor * before(c, c.d, c.hyper["d0"]) / np.sqrt(c.hyper["G"] ** 2 + c.S)
    return identity_sides(c, c.weight_sum - before(c, c.weight_sum), lam, c.weight_sum)


def _definition_growth(c: Case) -> Sides:
    last = before(c, c.d, c.hyper["d0"])
    return identity_sides(c, c.d, np.maximum(last, np.minimum(c.d_hat, c.hyper["growth_rate"] * last)))


THEOREMS = (
    Theorem(
        name="gd_D3",
        statement="f(x_avg) - f* <= D (d_{n+1}/sum lambda_k) max(1 + sqrt(1 + kappa), (1 + kappa)/2), "
        "kappa = sum lambda_k^2 ||g_k||^2 / d_{n+1}^2",
        source=OWN,
        sides=_D3,
        iterate="average",
        assumptions=(d0_at_most_D, no_growth_cap),
        rows=has_weight,
        schedule="any",
        figure=True,
    ),
    Theorem(
        name="gd_D3_a_priori",
        statement="f(x_avg) - f* <= D (d_{n+1}/sum lambda_k) (2 + ln(1 + S_n/G^2)/2)",
        source=OWN,
        sides=_D3_a_priori,
        iterate="average",
        assumptions=(d0_at_most_D, no_growth_cap),
    ),
    Theorem(
        name="gd_rate",
        statement="f(x_avg) - f* <= D (d_{n+1}/sum lambda_k) (2 + ln(n+2))",
        source=OWN,
        sides=_rate,
        iterate="average",
        assumptions=(d0_at_most_D, no_growth_cap, subgradients_within_G),
    ),
    Theorem(
        name="gd_asymptotic",
        statement="f(x_avg) - f* <= (8 + 2 ln(n+2)) D G sqrt(n+2)/(n+1) for n >= 2 nhat, "
        "nhat the first k with d_k >= d_{n+1}/2",
        source=f"{DM23}, constants own",
        sides=_asymptotic,
        iterate="average",
        assumptions=(d0_at_most_D, no_growth_cap, subgradients_within_G),
        rows=settled,
    ),
    Theorem(
        name="gd_D1",
        statement="||x_{n+1} - x_0|| = ||s_{n+1}|| <= d_{n+1} (1 + sqrt(1 + kappa))",
        source=OWN,
        sides=_D1,
        assumptions=(no_growth_cap,),
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="gd_D2",
        statement="sum ||g_k||^2/(G^2 + S_k) <= ln(1 + S_n/G^2)",
        source=DM23,
        sides=_D2,
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="gd_definition_d_hat",
        statement="d_hat_{n+1} = (||s_{n+1}||^2 - sum lambda_k^2 ||g_k||^2)/(2 ||s_{n+1}||), to rounding",
        source=DM23,
        sides=_definition_d_hat,
        rows=_s_not_zero,
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="gd_definition_lambda",
        statement="x_n has the weight lambda_n = d_n gamma_n/sqrt(G^2 + S_n), to rounding",
        source=DM23,
        sides=_definition_lambda,
        assumptions=(known_schedule,),
        schedule="any",
        rows=after_the_row_before,
        uses_optimum=False,
    ),
    Theorem(
        name="definition_growth",
        statement="d_{n+1} = max(d_n, min(d_hat_{n+1}, growth_rate d_n))",
        source=DM23,
        sides=_definition_growth,
        rows=after_the_row_before,
        schedule="any",
        uses_optimum=False,
    ),
)
