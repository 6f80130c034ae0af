r"""Dual averaging: s_{k+1} = s_k + lambda_k g_k, x_{k+1} = x_0 - gamma_{k+1} s_{k+1}, gamma nonincreasing.

The method's weights are lambda_k; B = sum gamma_k lambda_k^2 ||g_k||^2, C = sum gamma_k lambda_k <g_k, s_k>.

(I1) ||s_{k+1}||^2 - ||s_k||^2 = 2 lambda_k <g_k, s_k> + lambda_k^2 ||g_k||^2, times gamma_k / 2, summed by parts.
(I2) f(x_k) - f* <= <g_k, x_k - x*> and x_k = x_0 - gamma_k s_k, so sum lambda_k gap_k <=
     <s_{n+1}, x_0 - x*> - C <= D ||s_{n+1}|| - C, for the minimiser nearest to x_0; and for any u in place of x*.
     The sums are of w_k = lambda_k: ||s_{n+1}|| = ||sum w_k g_k||, and -C = sum w_k <g_k, x_k - x_0> as the driver adds
     it up, at the computed iterates. (regret) is the same for any method: sum w_k gap_k <= sum w_k <g_k, x_k - u> for
     every u, and no recursion enters.
(I3) (I2) with C from (I1), dropping sum (gamma_{k+1} - gamma_k) ||s_{k+1}||^2 <= 0; then
     D y - gamma y^2 / 2 <= D^2 / (2 gamma).

Y. Nesterov. Primal-dual subgradient methods for convex problems. Math. Programming 120, 2009.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dadapt_convex.theory.steps import Steps, definition, dot, norm
from dadapt_convex.theory.theorem import (
    DEFINITION,
    RATE,
    Case,
    Sides,
    Theorem,
    gap_sides,
    has_weight,
    of_the_best,
    of_the_run,
    subgradients_within_G,
)

NESTEROV = "Nesterov 2009"
# What _averaging reads and compares.
AVERAGED = (
    "s", "x0", "gamma", "s_norm", "sum_dgamma_s2", "sum_gamma_g2", "sum_gamma_lambda2_g2", "sum_gamma_lambda_gs",
)  # fmt: skip


def _identity(c: Case) -> Sides:
    B, C, moved = c.sum_gamma_lambda2_g2, c.sum_gamma_lambda_gs, c.sum_dgamma_s2
    return Sides(C + 0.5 * B, 0.5 * c.gamma * c.s_norm**2 - 0.5 * moved)


def _weighted_gap(c: Case, rhs: Any) -> Sides:
    """sum lambda_k gap_k <= rhs, divided by sum lambda_k."""
    return gap_sides(c, rhs / c.weight_sum)


def _for_every_point(c: Case) -> Sides:
    return Sides(c.gap_at_iterates, (c.D * c.sum_w_g + c.sum_w_gx) / c.weight_sum)


def _by_correlation(c: Case) -> Sides:
    return Sides(c.gap_at_iterates, (c.D * c.s_norm + c.sum_w_gx) / c.weight_sum)


def _by_norms(c: Case) -> Sides:
    return _weighted_gap(c, c.D * c.s_norm + 0.5 * c.sum_gamma_lambda2_g2 - 0.5 * c.gamma * c.s_norm**2)


def _by_steps(c: Case) -> Sides:
    return _weighted_gap(c, c.D**2 / (2 * c.gamma) + 0.5 * c.sum_gamma_lambda2_g2)


def _nesterov_rate(c: Case) -> Sides:
    """(I3) with gamma_{n+1} = R / (G sqrt(2 (n + 2))) and sum_{k<=n} 1/sqrt(k + 1) <= 2 sqrt(n + 1)."""
    R, G, n = c.hyper["D"], c.hyper["G"], c.n
    return gap_sides(c, G * (c.D**2 / R * np.sqrt((n + 2) / 2) + R * np.sqrt((n + 1) / 2)) / (n + 1))


def _adagrad_rate(c: Case) -> Sides:
    """(I3) with gamma_{n+1} = R / sqrt(S_n), and sum gamma_k ||g_k||^2 by (D2) of dadaptation.py, times R."""
    R = c.hyper["D"]
    total = c.D**2 * np.sqrt(c.S) / (2 * R) + R * np.sqrt(c.S) + R * c.G**2 / (2 * c.g0_norm)
    return gap_sides(c, total / c.k)


def _sum_of_subgradients(c: Case) -> Sides:
    return Sides(c.s_norm, c.sum_w_g)


def _nesterov_gamma(c: Case) -> Sides:
    return Sides(c.gamma, c.hyper["D"] / (c.hyper["G"] * np.sqrt(2 * (c.n + 2))))


def _adagrad_gamma(c: Case) -> Sides:
    return Sides(c.gamma, c.hyper["D"] / np.sqrt(c.S))


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


@definition()
def _nesterov_step(t: Steps) -> dict[str, Any]:
    R, G = t.hyper["D"], t.hyper["G"]
    gamma, gamma_next = (R / (G * np.sqrt(2 * (t.k + i))) for i in (1, 2))
    return _averaging(t, gamma, gamma_next)


@definition()
def _adagrad_step(t: Steps) -> dict[str, Any]:
    R, g2 = t.hyper["D"], dot(t.g, t.g)
    gamma = t.after_the_first("gamma", R / np.sqrt(g2))
    return {**_averaging(t, gamma, R / np.sqrt(t._S + g2)), "_S": t._S + g2}


STATED: tuple[Theorem, ...] = (
    Theorem(
        name="regret",
        statement="sum w_k (f(x_k) - f*) <= D ||sum w_k g_k|| + sum w_k <g_k, x_k - x_0>, for any method and weights",
        source="own",
        sides=_for_every_point,
        iterate="average",
        schedule="any",
        rows=has_weight,
        comparator=True,
        needs=(),
    ),
    Theorem(
        name="I1",
        statement="-sum gamma_k lambda_k <g_k, s_k> = -1/2 gamma_{n+1} ||s_{n+1}||^2 "
        "+ 1/2 sum gamma_k lambda_k^2 ||g_k||^2 + 1/2 sum (gamma_{k+1} - gamma_k) ||s_{k+1}||^2",
        source=NESTEROV,
        needs=("gamma", "s_norm", "sum_dgamma_s2", "sum_gamma_lambda2_g2", "sum_gamma_lambda_gs"),
        sides=_identity,
        relation="=",
        uses_optimum=False,
        schedule="any",
    ),
    Theorem(
        name="I2",
        statement="sum lambda_k (f(x_k) - f*) <= D ||s_{n+1}|| - sum gamma_k lambda_k <g_k, s_k>",
        source=NESTEROV,
        needs=("s_norm",),
        sides=_by_correlation,
        iterate="average",
        schedule="any",
        rows=has_weight,
        comparator=True,
    ),
    Theorem(
        name="I3",
        statement="sum lambda_k (f(x_k) - f*) <= D ||s_{n+1}|| + 1/2 sum gamma_k lambda_k^2 ||g_k||^2 "
        "- 1/2 gamma_{n+1} ||s_{n+1}||^2",
        source=NESTEROV,
        needs=("gamma", "s_norm", "sum_gamma_lambda2_g2"),
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
        needs=("gamma", "sum_gamma_lambda2_g2"),
        sides=_by_steps,
        iterate="average",
        schedule="any",
        rows=has_weight,
        comparator=True,
    ),
    Theorem(
        name="dual_averaging_rate",
        kind=RATE,
        statement="f(x_avg) - f* <= G (D^2/R sqrt((n+2)/2) + R sqrt((n+1)/2)) / (n+1), R the D given to the method; "
        "for R = D at most sqrt(2 (n+2)) D G / (n+1)",
        source=NESTEROV,
        needs=("D", "G"),
        sides=_nesterov_rate,
        iterate="average",
        assumptions=(subgradients_within_G,),
        figure=True,
        comparator=True,
    ),
    Theorem(
        name="adagrad_norm_dual_averaging_rate",
        kind=RATE,
        statement="sum (f(x_k) - f*) <= (D^2/(2R) + R) sqrt(S_n) + R G^2 / (2 ||g_0||), R the D given to the method; "
        "for R = D: 1.5 D sqrt(S_n) + D G^2 / (2 ||g_0||)",
        source="own",
        needs=("D",),
        sides=_adagrad_rate,
        iterate="average",
        figure=True,
        comparator=True,
    ),
    Theorem(
        name="definition_nesterov_gamma",
        kind=DEFINITION,
        statement="gamma_{n+1} = R / (G sqrt(2 (n+2)))",
        source=NESTEROV,
        needs=("D", "G", "gamma"),
        sides=_nesterov_gamma,
        relation="=",
        uses_optimum=False,
        schedule="any",
    ),
    Theorem(
        name="definition_adagrad_gamma",
        kind=DEFINITION,
        statement="gamma_{n+1} = R / sqrt(S_n)",
        source="Streeter & McMahan 2010",
        needs=("D", "gamma"),
        sides=_adagrad_gamma,
        relation="=",
        uses_optimum=False,
        schedule="any",
    ),
    Theorem(
        name="definition_s",
        kind=DEFINITION,
        statement="||s_{n+1}|| = ||sum w_k g_k||",
        source=NESTEROV,
        needs=("s_norm",),
        sides=_sum_of_subgradients,
        relation="=",
        uses_optimum=False,
        schedule="any",
    ),
    Theorem(
        name="definition_dual_averaging",
        kind=DEFINITION,
        statement="s_{k+1} = s_k + lambda_k g_k, gamma_{k+1} = R/(G sqrt(2 (k+2))), "
        "x_{k+1} = x_0 - gamma_{k+1} s_{k+1}, and x_k has the weight lambda_k",
        source=NESTEROV,
        needs=("D", "G", *AVERAGED),
        steps=_nesterov_step,
        uses_optimum=False,
        schedule="any",
    ),
    Theorem(
        name="definition_adagrad_norm_dual_averaging",
        kind=DEFINITION,
        statement="s_{k+1} = s_k + lambda_k g_k, gamma_{k+1} = R/sqrt(S_k), x_{k+1} = x_0 - gamma_{k+1} s_{k+1}, and "
        "x_k has the weight lambda_k",
        source="Streeter & McMahan 2010",
        needs=("D", "_S", *AVERAGED),
        steps=_adagrad_step,
        uses_optimum=False,
        schedule="any",
    ),
)
THEOREMS = (
    *STATED,
    *(of_the_best(t) for t in STATED if t.name in ("dual_averaging_rate", "adagrad_norm_dual_averaging_rate")),
    *(of_the_run(t) for t in STATED if t.name in ("regret", "I2", "I3")),
)
