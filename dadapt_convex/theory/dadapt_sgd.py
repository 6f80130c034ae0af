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

from typing import Any

import numpy as np

from dadapt_convex.theory.dadaptation import per_s
from dadapt_convex.theory.rounded import rounded
from dadapt_convex.theory.steps import Steps, d0, definition, dot, larger, norm, rest, unless_zero
from dadapt_convex.theory.theorem import (
    DEFINITION,
    Case,
    Sides,
    Theorem,
    has_weight,
    no_weight_decay,
    of_the_run,
)

DM23 = "Defazio & Mishchenko 2023"
OWN = "own"


def _by_momentum(c: Case) -> Any:
    """beta/(1 - beta) sum lambda_k (f(x_{k-1}) - f(x_k))."""
    beta = c.hyper["momentum"]
    return beta / (1 - beta) * c.sum_lambda_df


def _I1(c: Case) -> Sides:
    return Sides(c.s_norm**2 - 2 * c.sum_lambda_gs, c.sum_lambda2_g2)  # of the terms, the last does not cancel


def _I2(c: Case) -> Sides:
    return Sides(c.gap_mean, (c.D * c.s_norm - c.sum_lambda_gs + _by_momentum(c)) / c.weight_sum)


def _s_not_zero(c: Case) -> Any:
    return c.s_norm > 0


def _d_hat_bound(c: Case) -> Sides:
    return Sides(c.d_hat, 2 * c.D + 2 * per_s(c, _by_momentum(c)))


def _definition_d_hat(c: Case) -> Sides:
    return Sides(c.d_hat * c.s_norm, 2 * c.sum_lambda_gs)


@definition(d=d0)
def _algorithm_4(t: Steps) -> dict[str, Any]:
    """Algorithm 4 with rate, weight decay and the released convention, and the sums of its analysis."""
    h = t.hyper
    g = t.g + h["weight_decay"] * t.x
    first = norm(t.g if h["convention"] == "released" else g)
    G = rounded(np.where(t.G_first.value == 0, first, t.G_first))
    lam = np.where(G.value > 0, t.d * (h["lr"] * t.factor) / G, 0.0)
    s = t.s + lam * g
    s_norm, C = norm(s), t.sum_lambda_gs + lam * dot(g, t.s)
    d_hat = unless_zero(s_norm, 2 * C / s_norm, t.d_hat)
    beta = h["momentum"]
    return {
        "s": s, "G_first": G, "d_hat": d_hat, "d": larger(t.d, d_hat, h["growth_rate"]), "weight": lam,
        "x_next": beta * t.x + rest(beta) * (t.x0 - s), "s_norm": s_norm, "sum_lambda_gs": C,
        "sum_lambda2_g2": t.sum_lambda2_g2 + lam**2 * dot(g, g), "_f": t.f,
        "sum_lambda_df": t.sum_lambda_df + np.where(t.k > 0, lam * (t._f - t.f), 0.0),
    }  # fmt: skip


STATED: tuple[Theorem, ...] = (
    Theorem(
        name="sgd_I2",
        statement="sum lambda_k (f(x_k) - f*) <= D ||s_{n+1}|| - sum lambda_k <g_k, s_k> "
        "+ beta/(1 - beta) sum lambda_k (f(x_{k-1}) - f(x_k))",
        source=OWN,
        needs=("momentum", "s_norm", "sum_lambda_df", "sum_lambda_gs"),
        sides=_I2,
        assumptions=(no_weight_decay,),
        rows=has_weight,
        schedule="any",
        comparator=True,
    ),
    Theorem(
        name="sgd_d_hat",
        statement="d_hat_{n+1} <= 2 D + 2 beta/(1 - beta) sum lambda_k (f(x_{k-1}) - f(x_k)) / ||s_{n+1}||; "
        "2 D without momentum (D is false)",
        source=OWN,
        needs=("d_hat", "momentum", "s_norm", "sum_lambda_df"),
        sides=_d_hat_bound,
        assumptions=(no_weight_decay,),
        rows=_s_not_zero,
        schedule="any",
    ),
    Theorem(
        name="sgd_I1",
        statement="||s_{n+1}||^2 = 2 sum lambda_k <g_k, s_k> + sum lambda_k^2 ||g_k||^2",
        source=DM23,
        needs=("s_norm", "sum_lambda2_g2", "sum_lambda_gs"),
        sides=_I1,
        relation="=",
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="sgd_definition_d_hat",
        kind=DEFINITION,
        statement="d_hat_{n+1} = 2 sum lambda_k <g_k, s_k> / ||s_{n+1}||",
        source=DM23,
        needs=("d_hat", "s_norm", "sum_lambda_gs"),
        sides=_definition_d_hat,
        relation="=",
        rows=_s_not_zero,
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="definition_dadapt_sgd",
        kind=DEFINITION,
        statement="Algorithm 4: lambda_k, s_{k+1}, x_{k+1}, d_hat_{k+1} and d_{k+1} follow from what was there at k",
        source=DM23,
        needs=(
            "G_first",
            "_f",
            "convention",
            "d",
            "d_hat",
            "growth_rate",
            "lr",
            "momentum",
            "s",
            "sum_lambda2_g2",
            "sum_lambda_df",
            "sum_lambda_gs",
            "weight_decay",
            "x0",
            "d0",
            "s_norm",
        ),
        steps=_algorithm_4,
        schedule="any",
        uses_optimum=False,
    ),
)
THEOREMS = (
    *STATED,
    *(of_the_run(t) for t in STATED if t.name in ("sgd_I2",)),
)
