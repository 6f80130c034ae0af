r"""Dual averaging: s_{k+1} = s_k + lambda_k g_k, x_{k+1} = x_0 - gamma_{k+1} s_{k+1}, gamma nonincreasing.

The method's weights are lambda_k; B = sum gamma_k lambda_k^2 ||g_k||^2, C = sum gamma_k lambda_k <g_k, s_k>.

(I1) ||s_{k+1}||^2 - ||s_k||^2 = 2 lambda_k <g_k, s_k> + lambda_k^2 ||g_k||^2, times gamma_k / 2, summed by parts.
(I2) f(x_k) - f* <= <g_k, x_k - x*> and x_k = x_0 - gamma_k s_k, so sum lambda_k gap_k <=
     <s_{n+1}, x_0 - x*> - C <= D ||s_{n+1}|| - C, for the minimiser nearest to x_0; and for any u in place of x*.
(I3) (I2) with C from (I1), dropping sum (gamma_{k+1} - gamma_k) ||s_{k+1}||^2 <= 0; then
     D y - gamma y^2 / 2 <= D^2 / (2 gamma).

Y. Nesterov. Primal-dual subgradient methods for convex problems. Math. Programming 120, 2009.
"""

from __future__ import annotations

import numpy as np

from dadapt_convex.theory.theorem import (
    Case,
    Sides,
    Theorem,
    gap_sides,
    has_weight,
    identity_sides,
    subgradients_within_G,
)

NESTEROV = "Nesterov 2009"


def _identity(c: Case) -> Sides:
    B, C, moved = c.sum_gamma_lambda2_g2, c.sum_gamma_lambda_gs, c.sum_dgamma_s2
    last = c.gamma * c.s_norm**2
    size = np.abs(C) + 0.5 * (last + B + np.abs(moved))
    return identity_sides(c, C, 0.5 * last - 0.5 * B - 0.5 * moved, size)


def _weighted_gap(c: Case, rhs: np.ndarray, size: np.ndarray, f_star: float | None = None) -> Sides:
    """sum lambda_k gap_k <= rhs, divided by sum lambda_k."""
    f_star = c.f_star if f_star is None else f_star
    W = c.weight_sum
    return Sides(c.f_average - f_star, rhs / W, np.abs(c.f_mean) + abs(f_star) + c.G * c.x_size + size / W)


def _by_correlation(c: Case) -> Sides:
    C = c.sum_gamma_lambda_gs
    return _weighted_gap(c, c.D * c.s_norm - C, c.D * c.s_norm + np.abs(C))


def _by_comparator(c: Case) -> Sides:
    """(I2) for u = the best iterate of the whole run: nothing of f* or D enters."""
    radius = float(np.linalg.norm(c.run.x_best - c.run.x0))
    C = c.sum_gamma_lambda_gs
    f_u = float(c.f_best[-1])
    return _weighted_gap(c, radius * c.s_norm - C, radius * c.s_norm + np.abs(C), f_star=f_u)


def _by_norms(c: Case) -> Sides:
    B, last = c.sum_gamma_lambda2_g2, c.gamma * c.s_norm**2
    return _weighted_gap(c, c.D * c.s_norm + 0.5 * B - 0.5 * last, c.D * c.s_norm + 0.5 * (B + last))


def _by_steps(c: Case) -> Sides:
    rhs = c.D**2 / (2 * c.gamma) + 0.5 * c.sum_gamma_lambda2_g2
    return _weighted_gap(c, rhs, rhs)


def _nesterov_rate(c: Case) -> Sides:
    """(I3) with gamma_{n+1} = R / (G sqrt(2 (n + 2))) and sum_{k<=n} 1/sqrt(k + 1) <= 2 sqrt(n + 1)."""
    R, G, n = c.hyper["D"], c.hyper["G"], c.n
    return gap_sides(c, G * (c.D**2 / R * np.sqrt((n + 2) / 2) + R * np.sqrt((n + 1) / 2)) / (n + 1))


def _adagrad_rate(c: Case) -> Sides:
    """(I3) with gamma_{n+1} = R / sqrt(S_n), and sum gamma_k ||g_k||^2 by (D2) of dadaptation.py, times R."""
    R = c.hyper["D"]
    total = c.D**2 * np.sqrt(c.S) / (2 * R) + R * np.sqrt(c.S) + R * c.G**2 / (2 * c.g0_norm)
    return gap_sides(c, total / c.k)


def _position(c: Case) -> Sides:
    return identity_sides(c, c.x_next_dist, c.gamma * c.s_norm, c.gamma * c.s_norm + c.x_size)


def _nesterov_gamma(c: Case) -> Sides:
    return identity_sides(c, c.gamma, c.hyper["D"] / (c.hyper["G"] * np.sqrt(2 * (c.n + 2))))


def _adagrad_gamma(c: Case) -> Sides:
    return identity_sides(c, c.gamma, c.hyper["D"] / np.sqrt(c.S))


THEOREMS = (
    Theorem(
        name="I1",
        statement="-sum gamma_k lambda_k <g_k, s_k> = -1/2 gamma_{n+1} ||s_{n+1}||^2 "
        "+ 1/2 sum gamma_k lambda_k^2 ||g_k||^2 + 1/2 sum (gamma_{k+1} - gamma_k) ||s_{k+1}||^2, to rounding",
        source=NESTEROV,
        sides=_identity,
        uses_optimum=False,
        schedule="any",
    ),
    Theorem(
        name="I2",
        statement="sum lambda_k (f(x_k) - f*) <= D ||s_{n+1}|| - sum gamma_k lambda_k <g_k, s_k>",
        source=NESTEROV,
        sides=_by_correlation,
        iterate="average",
        schedule="any",
        rows=has_weight,
        comparator=True,
    ),
    Theorem(
        name="I2_comparator",
        statement="sum lambda_k (f(x_k) - f(u)) <= ||u - x0|| ||s_{n+1}|| - sum gamma_k lambda_k <g_k, s_k>, "
        "u the best iterate of the run; holds without a minimiser",
        source=NESTEROV,
        sides=_by_comparator,
        iterate="average",
        uses_optimum=False,
        schedule="any",
        rows=has_weight,
    ),
    Theorem(
        name="I3",
        statement="sum lambda_k (f(x_k) - f*) <= D ||s_{n+1}|| + 1/2 sum gamma_k lambda_k^2 ||g_k||^2 "
        "- 1/2 gamma_{n+1} ||s_{n+1}||^2",
        source=NESTEROV,
        sides=_by_norms,
        iterate="average",
        schedule="any",
        rows=has_weight,
        comparator=True,
    ),
    Theorem(
        name="I3_simple",
        statement="sum lambda_k (f(x_k) - f*) <= D^2 / (2 gamma_{n+1}) + 1/2 sum gamma_k lambda_k^2 ||g_k||^2",
        source=NESTEROV,
        sides=_by_steps,
        iterate="average",
        schedule="any",
        rows=has_weight,
        comparator=True,
    ),
    Theorem(
        name="dual_averaging_rate",
        statement="f(x_avg) - f* <= G (D^2/R sqrt((n+2)/2) + R sqrt((n+1)/2)) / (n+1), R the D given to the method; "
        "for R = D at most sqrt(2 (n+2)) D G / (n+1)",
        source=NESTEROV,
        sides=_nesterov_rate,
        iterate="average",
        assumptions=(subgradients_within_G,),
        figure=True,
        comparator=True,
    ),
    Theorem(
        name="adagrad_norm_dual_averaging_rate",
        statement="sum (f(x_k) - f*) <= (D^2/(2R) + R) sqrt(S_n) + R G^2 / (2 ||g_0||), R the D given to the method; "
        "for R = D: 1.5 D sqrt(S_n) + D G^2 / (2 ||g_0||)",
        source="own",
        sides=_adagrad_rate,
        iterate="average",
        figure=True,
        comparator=True,
    ),
    Theorem(
        name="definition_x",
        statement="||x_{n+1} - x_0|| = gamma_{n+1} ||s_{n+1}||, to rounding",
        source=NESTEROV,
        sides=_position,
        uses_optimum=False,
        schedule="any",
    ),
    Theorem(
        name="definition_nesterov_gamma",
        statement="gamma_{n+1} = R / (G sqrt(2 (n+2))), to rounding",
        source=NESTEROV,
        sides=_nesterov_gamma,
        uses_optimum=False,
        schedule="any",
    ),
    Theorem(
        name="definition_adagrad_gamma",
        statement="gamma_{n+1} = R / sqrt(S_n), to rounding",
        source="Streeter & McMahan 2010",
        sides=_adagrad_gamma,
        uses_optimum=False,
        schedule="any",
    ),
)
