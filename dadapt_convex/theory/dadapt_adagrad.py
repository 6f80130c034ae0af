r"""AdaGrad with D-Adaptation, coordinate-wise: [DM23] Defazio & Mishchenko, ICML 2023, Algorithm 3.

A_k = diag(a_k) with a_k nondecreasing, x_k = x_0 - A_k^-1 s_k. D_inf is the distance to the minimisers in the maximum
norm. Below <.,.>_k and ||.||_k are those of A_k^-1 and

    q = sum lambda_k^2 ||g_k||_k^2,   C = sum lambda_k <g_k, s_k>_k,   w = ||s_{n+1}||_{n+1}^2,   T = ||a_{n+1}||_1.

(ada_I1) ||s_{k+1}||_{k+1}^2 = ||s_k||_k^2 + 2 lambda_k <g_k, s_k>_k + lambda_k^2 ||g_k||_k^2 + (||s_{k+1}||_{k+1}^2 -
         ||s_{k+1}||_k^2), summed; the last terms are not positive.
(ada_I2) sum lambda_k gap_k <= <s_{n+1}, x_0 - x*> - C <= D_inf ||s_{n+1}||_1 - C, for the minimiser nearest to x_0 in
         the maximum norm; and for any u in place of x*.
(ada_I3) (ada_I2) with C >= w/2 - q/2 from (ada_I1).
(ada_L1) The left-hand side of (ada_I3) is not negative: d_hat_{n+1} = (w - q)/(2 ||s_{n+1}||_1) <= D_inf.
(ada_D1) z = ||s_{n+1}||_1 has z^2 <= T w by Cauchy-Schwarz, and d_hat_{n+1} <= d_{n+1} says w <= 2 d_{n+1} z + q; so
         z <= T d_{n+1} (1 + sqrt(1 + kappa)), kappa = q/(T d_{n+1}^2).
(ada_D2) |g_k| <= G_inf = a_0 makes a_k^2 >= sum_{i<=k} g_i^2 in each coordinate, so sum g_k^2/a_k <= 2 sqrt(sum g_k^2)
         <= 2 a_{n+1}. Hence kappa <= 2 without a schedule.
(ada_D3) By (ada_I3) and z^2 <= T w the sum is at most T (D_inf u + kappa d_{n+1}^2/2 - u^2/2), u = z/T: maximised as in
         (gd_D3) of gradient_descent.py. Any schedule; a priori by (ada_D2).
(ada_asymptotic) T <= p G_inf sqrt(n + 2), and sum d_k >= (n + 1) d_{n+1}/4 when n >= 2 nhat.
"""

from __future__ import annotations

import math

import numpy as np

from dadapt_convex.run import OptimumInterval, Run
from dadapt_convex.theory.gradient_descent import factor_of
from dadapt_convex.theory.theorem import (
    NOT_APPLICABLE,
    Case,
    Sides,
    Theorem,
    Unmet,
    after_the_row_before,
    before,
    d0_at_most_D_inf,
    gap_sides,
    has_weight,
    hyper_is,
    identity_sides,
    known_schedule,
    no_growth_cap,
    no_weight_decay,
    settled,
)

DM23 = "Defazio & Mishchenko 2023"
OWN = "own"
# x_k = x_0 - A_k^-1 s_k, and g_k a subgradient of f, are all that (ada_I1) to (ada_I3) need
PAPER = (hyper_is("convention", "paper"), hyper_is("momentum", 0.0), no_weight_decay)


def gradients_within_G_inf(run: Run, optimum: OptimumInterval) -> Unmet | None:
    """|g_k| <= G_inf in every coordinate at every k."""
    seen, G_inf = float(run.trace["g_inf"].iloc[-1]), run.hyper["G_inf"]
    if seen <= G_inf * (1 + 1e-12):
        return None
    return Unmet(NOT_APPLICABLE, f"needs |g_k| <= G_inf = {G_inf:.6g}, and {seen:.6g} was seen")


def kappa(c: Case) -> np.ndarray:
    """Q / (T d_{n+1}^2)."""
    return c.sum_lambda2_g2 / (c.a_norm1 * c.d**2)


def _weighted_gap(c: Case, rhs: np.ndarray, size: np.ndarray, f_star: float | None = None) -> Sides:
    """sum lambda_k gap_k <= rhs, divided by sum lambda_k."""
    f_star = c.f_star if f_star is None else f_star
    W = c.weight_sum
    return Sides(c.f_average - f_star, rhs / W, np.abs(c.f_mean) + abs(f_star) + c.G * c.x_size + size / W)


def _I1(c: Case) -> Sides:
    w, q, C, moved = c.s_norm2, c.sum_lambda2_g2, c.sum_lambda_gs, c.sum_dA_s2
    return identity_sides(c, C, 0.5 * (w - q - moved), np.abs(C) + 0.5 * (w + q + np.abs(moved)))


def _I2(c: Case) -> Sides:
    first, C = c.D_inf * c.s_norm1, c.sum_lambda_gs
    return _weighted_gap(c, first - C, first + np.abs(C))


def _I2_comparator(c: Case) -> Sides:
    radius = float(np.abs(c.run.x_best - c.run.x0).max())
    first, C = radius * c.s_norm1, c.sum_lambda_gs
    return _weighted_gap(c, first - C, first + np.abs(C), f_star=float(c.f_best[-1]))


def _I3(c: Case) -> Sides:
    first, w, q = c.D_inf * c.s_norm1, c.s_norm2, c.sum_lambda2_g2
    return _weighted_gap(c, first + 0.5 * (q - w), first + 0.5 * (q + w))


def _s_not_zero(c: Case) -> np.ndarray:
    return c.s_norm1 > 0


def _d_hat_size(c: Case) -> np.ndarray:
    """The magnitude of what is subtracted in the estimate."""
    return np.divide(
        c.s_norm2 + c.sum_lambda2_g2, 2 * c.s_norm1, out=np.zeros_like(c.d), where=c.s_norm1 > 0
    )  # fmt: skip


def _L1(c: Case) -> Sides:
    return Sides(np.maximum(c.d, c.d_hat), np.full_like(c.d, c.D_inf), _d_hat_size(c) + c.d)


def _D1(c: Case) -> Sides:
    rhs = c.a_norm1 * c.d * (1 + np.sqrt(1 + kappa(c)))
    return Sides(c.s_norm1, rhs, rhs)


def _D2(c: Case) -> Sides:
    return Sides(c.sum_g2, 2 * c.a_norm1, 2 * c.a_norm1)


def _D3(c: Case) -> Sides:
    return gap_sides(c, c.D_inf * c.a_norm1 * c.d / c.weight_sum * factor_of(kappa(c)))


def _D3_a_priori(c: Case) -> Sides:
    return gap_sides(c, (1 + math.sqrt(3)) * c.D_inf * c.a_norm1 * c.d / c.weight_sum)


def _asymptotic(c: Case) -> Sides:
    n, p = c.n, c.run.x0.size
    return gap_sides(c, 4 * (1 + math.sqrt(3)) * p * c.D_inf * c.hyper["G_inf"] * np.sqrt(n + 2) / (n + 1))


def _definition_d_hat(c: Case) -> Sides:
    half = 0.5 if c.hyper["convention"] == "paper" else 1.0
    return identity_sides(c, c.d_hat, half * (c.s_norm2 - c.sum_lambda2_g2) / c.s_norm1, 2 * _d_hat_size(c))


def _definition_a(c: Case) -> Sides:
    return identity_sides(c, c.a_norm2, c.run.x0.size * c.hyper["G_inf"] ** 2 + c.S)


def _definition_x(c: Case) -> Sides:
    return identity_sides(c, c.x_next_dist, c.As_norm, c.As_norm + c.x_size)


def _definition_lambda(c: Case) -> Sides:
    lam = c.hyper["lr"] * c.factor * before(c, c.d, c.hyper["d0"])
    return identity_sides(c, c.weight_sum - before(c, c.weight_sum), lam, c.weight_sum)


THEOREMS = (
    Theorem(
        name="ada_D3",
        statement="f(x_avg) - f* <= D_inf ||a_{n+1}||_1 (d_{n+1}/sum lambda_k) "
        "max(1 + sqrt(1 + kappa), (1 + kappa)/2), "
        "kappa = sum lambda_k^2 ||g_k||^2_{A_k^-1} / (||a_{n+1}||_1 d_{n+1}^2)",
        source=OWN,
        sides=_D3,
        iterate="average",
        assumptions=(*PAPER, d0_at_most_D_inf, no_growth_cap),
        rows=has_weight,
        schedule="any",
        figure=True,
    ),
    Theorem(
        name="ada_D3_a_priori",
        statement="f(x_avg) - f* <= (1 + sqrt 3) D_inf ||a_{n+1}||_1 d_{n+1}/sum d_k",
        source=OWN,
        sides=_D3_a_priori,
        iterate="average",
        assumptions=(*PAPER, hyper_is("lr", 1.0), d0_at_most_D_inf, no_growth_cap, gradients_within_G_inf),
    ),
    Theorem(
        name="ada_asymptotic",
        statement="f(x_avg) - f* <= 4 (1 + sqrt 3) p D_inf G_inf sqrt(n+2)/(n+1) for n >= 2 nhat, "
        "nhat the first k with d_k >= d_{n+1}/2",
        source=f"{DM23}, constants own",
        sides=_asymptotic,
        iterate="average",
        assumptions=(*PAPER, hyper_is("lr", 1.0), d0_at_most_D_inf, no_growth_cap, gradients_within_G_inf),
        rows=settled,
    ),
    Theorem(
        name="ada_L1",
        statement="d_hat_{n+1} <= D_inf and d_{n+1} <= D_inf",
        source=DM23,
        sides=_L1,
        assumptions=(*PAPER, d0_at_most_D_inf),
        schedule="any",
    ),
    Theorem(
        name="ada_I1",
        statement="2 sum lambda_k <g_k, A_k^-1 s_k> = ||s_{n+1}||^2_{A_{n+1}^-1} - sum lambda_k^2 ||g_k||^2_{A_k^-1} "
        "- sum (||s_{k+1}||^2_{A_{k+1}^-1} - ||s_{k+1}||^2_{A_k^-1}), to rounding",
        source=DM23,
        sides=_I1,
        assumptions=(hyper_is("convention", "paper"),),
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="ada_I2",
        statement="sum lambda_k (f(x_k) - f*) <= D_inf ||s_{n+1}||_1 - sum lambda_k <g_k, A_k^-1 s_k>",
        source=DM23,
        sides=_I2,
        iterate="average",
        assumptions=PAPER,
        rows=has_weight,
        schedule="any",
        comparator=True,
    ),
    Theorem(
        name="ada_I2_comparator",
        statement="sum lambda_k (f(x_k) - f(u)) <= ||u - x0||_inf ||s_{n+1}||_1 - sum lambda_k <g_k, A_k^-1 s_k>, "
        "u the best iterate of the run; holds without a minimiser",
        source=DM23,
        sides=_I2_comparator,
        iterate="average",
        assumptions=PAPER,
        rows=has_weight,
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="ada_I3",
        statement="sum lambda_k (f(x_k) - f*) <= D_inf ||s_{n+1}||_1 + 1/2 sum lambda_k^2 ||g_k||^2_{A_k^-1} "
        "- 1/2 ||s_{n+1}||^2_{A_{n+1}^-1}",
        source=DM23,
        sides=_I3,
        iterate="average",
        assumptions=PAPER,
        rows=has_weight,
        schedule="any",
        comparator=True,
    ),
    Theorem(
        name="ada_D1",
        statement="||s_{n+1}||_1 <= ||a_{n+1}||_1 d_{n+1} (1 + sqrt(1 + kappa))",
        source=OWN,
        sides=_D1,
        assumptions=(hyper_is("convention", "paper"), no_growth_cap),
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="ada_D2",
        statement="sum ||g_k||^2_{A_k^-1} <= 2 ||a_{n+1}||_1",
        source=DM23,
        sides=_D2,
        assumptions=(hyper_is("convention", "paper"), gradients_within_G_inf),
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="ada_definition_d_hat",
        statement="d_hat_{n+1} = (||s_{n+1}||^2_{A_{n+1}^-1} - sum lambda_k^2 ||g_k||^2_{A_k^-1})/(2 ||s_{n+1}||_1), "
        "in the released convention without the 2, to rounding",
        source=DM23,
        sides=_definition_d_hat,
        rows=_s_not_zero,
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="ada_definition_a",
        statement="||a_{n+1}||^2 = p G_inf^2 + S_n, to rounding",
        source=DM23,
        sides=_definition_a,
        assumptions=(hyper_is("convention", "paper"), no_weight_decay),
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="ada_definition_x",
        statement="||x_{n+1} - x_0|| = ||A_{n+1}^-1 s_{n+1}||, to rounding",
        source=DM23,
        sides=_definition_x,
        assumptions=(hyper_is("momentum", 0.0),),
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="ada_definition_lambda",
        statement="x_n has the weight lambda_n = d_n gamma_n (times lr), to rounding",
        source=DM23,
        sides=_definition_lambda,
        assumptions=(hyper_is("convention", "paper"), known_schedule),
        schedule="any",
        rows=after_the_row_before,
        uses_optimum=False,
    ),
)
