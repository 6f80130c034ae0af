"""SGD with D-Adaptation.

    s_{k+1} = s_k + lambda_k g_k,    lambda_k = d_k/||g_0|| times rate and schedule
    z_k = x_0 - s_k,    x_{k+1} = beta x_k + (1 - beta) z_{k+1}
    C = sum lambda_k <g_k, s_k>
    M = beta/(1 - beta) sum_{1<=k<=n} lambda_k (f(x_{k-1}) - f(x_k))

The theorems hold for every `lambda_k >= 0`. The factor 2 in Algorithm 4's estimate, `2 C/||s_{n+1}||`, breaks
`d_hat <= D`: on `|x|` without momentum it rises to 1.114 D. With momentum, M carries d beyond 2 D.

Source: [DM23] A. Defazio, K. Mishchenko, Learning-rate-free learning by D-Adaptation, ICML 2023, arXiv:2301.07733,
Algorithm 4. The paper proves nothing about it; the theorems are own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dadapt_convex.theory.assumptions import no_weight_decay
from dadapt_convex.theory.case import Case
from dadapt_convex.theory.rounded import rounded
from dadapt_convex.theory.rows import has_weight, s_not_zero
from dadapt_convex.theory.statement import Sides, formula, theorem
from dadapt_convex.theory.steps import Steps, d0, definition, dot, larger, norm, rest, unless_zero
from dadapt_convex.theory.variants import for_the_best_point

DM23, OWN = "Defazio & Mishchenko 2023", "own"


@definition(
    "Algorithm 4: lambda_k, s_{k+1}, x_{k+1}, d_hat_{k+1} and d_{k+1} follow from the state at k", source=DM23, d=d0
)
def definition_dadapt_sgd(t: Steps) -> dict[str, Any]:
    """With rate, weight decay and the released convention, which the paper does not have."""
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


@formula("d_hat_{n+1} = 2 sum lambda_k <g_k, s_k> / ||s_{n+1}||", source=DM23, rows=s_not_zero)
def sgd_definition_d_hat(c: Case) -> Sides:
    return Sides(c.d_hat * c.s_norm, 2 * c.sum_lambda_gs)


@theorem(
    "||s_{n+1}||^2 = 2 sum lambda_k <g_k, s_k> + sum lambda_k^2 ||g_k||^2",
    source=DM23, relation="=", schedule="any", uses_optimum=False,
)  # fmt: skip
def sgd_I1(c: Case) -> Sides:
    """Summed over k, with `s_0 = 0`:

    ||s_{k+1}||^2 - ||s_k||^2 = 2 lambda_k <g_k, s_k> + lambda_k^2 ||g_k||^2
    """
    return Sides(c.s_norm**2 - 2 * c.sum_lambda_gs, c.sum_lambda2_g2)  # of the terms, the last does not cancel


@theorem(
    "sum lambda_k (f(x_k) - f*) <= D ||s_{n+1}|| - sum lambda_k <g_k, s_k> "
    "+ beta/(1 - beta) sum lambda_k (f(x_{k-1}) - f(x_k))",
    source=OWN, assumptions=(no_weight_decay,), rows=has_weight, schedule="any", comparator=True,
)  # fmt: skip
def sgd_I2(c: Case) -> Sides:
    """The subgradient is taken at `x_k`, and the sums are about `z_k`:

        gap_k <= <g_k, x_k - x*> = <g_k, x_0 - x*> - <g_k, s_k> + <g_k, x_k - z_k>
        x_k - z_k = beta/(1 - beta) (x_{k-1} - x_k)                     k >= 1, and x_0 = z_0
        <g_k, x_{k-1} - x_k> <= f(x_{k-1}) - f(x_k)

    Times `lambda_k` and summed, with `sum lambda_k <g_k, x_0 - x*> <= D ||s_{n+1}||`.
    """
    return Sides(c.gap_mean, (c.D * c.s_norm - c.sum_lambda_gs + _by_momentum(c)) / c.weight_sum)


sgd_I2_comparator = for_the_best_point(sgd_I2)


@theorem(
    "d_hat_{n+1} <= 2 D + 2 beta/(1 - beta) sum lambda_k (f(x_{k-1}) - f(x_k)) / ||s_{n+1}||; "
    "2 D without momentum (D is false)",
    source=OWN, assumptions=(no_weight_decay,), rows=s_not_zero, schedule="any",
)  # fmt: skip
def sgd_d_hat(c: Case) -> Sides:
    """The gaps in `sgd_I2` are not negative:

    0 <= D ||s_{n+1}|| - C + M
    d_hat_{n+1} = 2 C/||s_{n+1}|| <= 2 D + 2 M/||s_{n+1}||
    """
    return Sides(c.d_hat, 2 * c.D + 2 * _per_s(c, _by_momentum(c)))


def _by_momentum(c: Case) -> Any:
    """M = beta/(1 - beta) sum lambda_k (f(x_{k-1}) - f(x_k))."""
    beta = c.hyper["momentum"]
    return beta / (1 - beta) * c.sum_lambda_df


def _per_s(c: Case, numerator: Any) -> Any:
    """numerator / ||s_{n+1}||, and 0 where s = 0: there the method keeps its last estimate."""
    return np.divide(numerator, c.s_norm, out=np.zeros_like(c.s_norm), where=c.s_norm > 0)
