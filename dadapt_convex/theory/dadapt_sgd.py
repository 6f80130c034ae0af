r"""SGD with D-Adaptation: [DM23] Defazio & Mishchenko, ICML 2023, Algorithm 4. Own, for the deterministic oracle.

x_{k+1} = beta x_k + (1 - beta) z_{k+1}, z_k = x_0 - s_k, lambda_k >= 0 of any kind.

(sgd_I2) g_k is a subgradient at x_k: gap_k <= <g_k, x_k - x*> = <g_k, x_0 - x*> - <g_k, s_k> + <g_k, x_k - z_k>. From
         x_k = beta x_{k-1} + (1 - beta) z_k follows x_k - z_k = beta/(1 - beta) (x_{k-1} - x_k) for k >= 1, and x_0 =
         z_0; and <g_k, x_{k-1} - x_k> <= f(x_{k-1}) - f(x_k). Times lambda_k and summed.
(sgd_d_hat) The left-hand side of (sgd_I2) is not negative; divide by ||s_{n+1}||/2. For beta = 0: d_hat <= 2 D.

The factor 2 of Algorithm 4 is what stands between this and d_hat <= D, which fails: on |x| with beta = 0, d_hat rises
to 1.114 D. With momentum the last sum is what carries d beyond 2 D.
"""

from __future__ import annotations

import numpy as np

from dadapt_convex.theory.theorem import (
    Case,
    Sides,
    Theorem,
    after_the_row_before,
    before,
    first_row,
    identity_sides,
    known_schedule,
    no_weight_decay,
)

DM23 = "Defazio & Mishchenko 2023"
OWN = "own"


def _by_momentum(c: Case) -> np.ndarray:
    """beta/(1 - beta) sum lambda_k (f(x_{k-1}) - f(x_k))."""
    beta = c.hyper["momentum"]
    return beta / (1 - beta) * c.sum_lambda_df


def _momentum_size(c: Case) -> np.ndarray:
    """What is subtracted in that sum: lambda_k times values of f."""
    beta = c.hyper["momentum"]
    return 2 * beta / (1 - beta) * c.sum_lambda * _f_seen(c)


def _f_seen(c: Case) -> np.ndarray:
    """|f| is at most this at every x_k so far: f is G-Lipschitz, and x_k at most x_size from 0."""
    return np.abs(c.f) + 2 * c.G * c.x_size


def _I1(c: Case) -> Sides:
    s2, C, q = c.s_norm**2, c.sum_lambda_gs, c.sum_lambda2_g2
    return identity_sides(c, s2, 2 * C + q, s2 + 2 * np.abs(C) + q)


def _I2(c: Case) -> Sides:
    first, C, last = c.D * c.s_norm, c.sum_lambda_gs, _by_momentum(c)
    lhs = c.sum_lambda_f - c.f_star * c.sum_lambda
    size = (_f_seen(c) + abs(c.f_star)) * c.sum_lambda + first + np.abs(C) + _momentum_size(c)
    return Sides(lhs, first - C + last, size)


def _s_not_zero(c: Case) -> np.ndarray:
    return c.s_norm > 0


def _per_s(c: Case, numerator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, c.s_norm, out=np.zeros_like(numerator), where=c.s_norm > 0)


def _d_hat_bound(c: Case) -> Sides:
    rhs = 2 * c.D + 2 * _per_s(c, _by_momentum(c))
    return Sides(c.d_hat, rhs, 2 * c.D + _per_s(c, 2 * np.abs(c.sum_lambda_gs) + _momentum_size(c)))


def _definition_d_hat(c: Case) -> Sides:
    return identity_sides(c, c.d_hat, 2 * _per_s(c, c.sum_lambda_gs))


def _definition_lambda(c: Case) -> Sides:
    lam = c.hyper["lr"] * c.factor * before(c, c.d, c.hyper["d0"]) / c.g0_norm
    return identity_sides(c, c.sum_lambda - before(c, c.sum_lambda), lam, c.sum_lambda)


def _definition_x(c: Case) -> Sides:
    share = 1 - c.hyper["momentum"]
    return identity_sides(c, c.x_next_dist, share * c.s_norm, c.s_norm + c.x_size)


def _whole_or_first(c: Case) -> np.ndarray:
    """Without momentum everywhere, with momentum at the first step: x_1 - x_0 = -(1 - beta) s_1."""
    return np.ones_like(c.k, dtype=bool) if c.hyper["momentum"] == 0 else first_row(c)


THEOREMS = (
    Theorem(
        name="sgd_I2",
        statement="sum lambda_k (f(x_k) - f*) <= D ||s_{n+1}|| - sum lambda_k <g_k, s_k> "
        "+ beta/(1 - beta) sum lambda_k (f(x_{k-1}) - f(x_k))",
        source=OWN,
        sides=_I2,
        assumptions=(no_weight_decay,),
        schedule="any",
        comparator=True,
    ),
    Theorem(
        name="sgd_d_hat",
        statement="d_hat_{n+1} <= 2 D + 2 beta/(1 - beta) sum lambda_k (f(x_{k-1}) - f(x_k)) / ||s_{n+1}||; "
        "2 D without momentum (D is false)",
        source=OWN,
        sides=_d_hat_bound,
        assumptions=(no_weight_decay,),
        rows=_s_not_zero,
        schedule="any",
    ),
    Theorem(
        name="sgd_I1",
        statement="||s_{n+1}||^2 = 2 sum lambda_k <g_k, s_k> + sum lambda_k^2 ||g_k||^2, to rounding",
        source=DM23,
        sides=_I1,
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="sgd_definition_d_hat",
        statement="d_hat_{n+1} = 2 sum lambda_k <g_k, s_k> / ||s_{n+1}||, to rounding",
        source=DM23,
        sides=_definition_d_hat,
        rows=_s_not_zero,
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="sgd_definition_lambda",
        statement="lambda_n = d_n gamma_n / ||g_0|| (times lr), to rounding",
        source=DM23,
        sides=_definition_lambda,
        assumptions=(no_weight_decay, known_schedule),
        schedule="any",
        rows=after_the_row_before,
        uses_optimum=False,
    ),
    Theorem(
        name="sgd_definition_x",
        statement="||x_1 - x_0|| = (1 - beta) ||s_1||; without momentum ||x_{n+1} - x_0|| = ||s_{n+1}||, to rounding",
        source=DM23,
        sides=_definition_x,
        rows=_whole_or_first,
        schedule="any",
        uses_optimum=False,
    ),
)
