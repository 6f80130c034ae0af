"""AdaGrad with D-Adaptation.

    s_{k+1} = s_k + lambda_k g_k,    lambda_k = d_k times rate and schedule, 1 by default
    a_{k+1}^2 = a_k^2 + g_k^2 in each coordinate, a_0 = G_inf,    A_k = diag(a_k)
    x_{k+1} = x_0 - A_{k+1}^-1 s_{k+1}

`D_inf` is the distance of `x_0` from the minimisers in the maximum norm, and `x*` the minimiser at that distance. Inner
products and norms with the index k are those of `A_k^-1`; five numbers have names:

    q = sum lambda_k^2 ||g_k||_k^2,    C = sum lambda_k <g_k, s_k>_k
    w = ||s_{n+1}||_{n+1}^2,           T = ||a_{n+1}||_1
    kappa = q/(T d_{n+1}^2)

Source: [DM23] A. Defazio, K. Mishchenko, Learning-rate-free learning by D-Adaptation, ICML 2023, arXiv:2301.07733,
Algorithm 3.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dadapt_convex.run import OptimumInterval, Run
from dadapt_convex.theory.assumptions import d0_at_most_D_inf, hyper_is, no_growth_cap, no_weight_decay
from dadapt_convex.theory.case import Case, Values
from dadapt_convex.theory.library.dadapt_dual_averaging import factor_of, growth_of
from dadapt_convex.theory.rounded import rounded
from dadapt_convex.theory.rows import has_weight, s_norm1_not_zero, settled
from dadapt_convex.theory.statement import RATE, Sides, Unmet, formula, gap_sides, theorem
from dadapt_convex.theory.steps import Steps, d0, definition, dot, larger, norm, norm1, rest, unless_zero
from dadapt_convex.theory.variants import for_the_best_point, of_the_best
from dadapt_convex.theory.verdict import NOT_APPLICABLE

DM23, OWN = "Defazio & Mishchenko 2023", "own"
FIRST_A = 1e-3  # the released package starts a_k^2 at 1e-6
paper_convention = hyper_is("convention", "paper")
# x_k = x_0 - A_k^-1 s_k, and g_k a subgradient of f, are all that (ada_I1) to (ada_I3) need
PAPER = (paper_convention, hyper_is("momentum", 0.0), no_weight_decay)

# ---------------------------------------------------------------------------------------------------------
# Algorithm 3


def _first_a2(h: Values) -> Any:
    return (FIRST_A if h["convention"] == "released" else h["G_inf"]) ** 2


@definition(
    "Algorithm 3: s_{k+1}, a_{k+1}, d_hat_{k+1}, d_{k+1}, x_{k+1} and the weight lambda_k of x_k follow from the state "
    "at k",
    source=DM23, d=d0, a2=_first_a2,
)  # fmt: skip
def definition_dadapt_adagrad(t: Steps) -> dict[str, Any]:
    """With rate, momentum, weight decay and the released convention, which the paper does not have."""
    h, released = t.hyper, t.hyper["convention"] == "released"
    eps = h["eps"] if released else 0.0
    g = t.g + h["weight_decay"] * t.x
    lam = t.d * (h["lr"] * t.factor)
    a2 = t.a2 + g**2
    a, a_next = rounded(np.sqrt(t.a2) + eps), rounded(np.sqrt(a2) + eps)
    # a = 0 where G_inf^2 underflows and no gradient was seen: s = 0 there
    inverse, inverse_next = (np.where(b.value > 0, 1 / b, 0.0) for b in (a, a_next))
    s = t.s + lam * g
    s_norm1, s_norm2 = norm1(s), dot(s * s, inverse_next)
    g_norm2 = dot(g * g, inverse_next if released else inverse)
    Q = t.sum_lambda2_g2 + lam**2 * g_norm2
    d_hat = unless_zero(s_norm1, (s_norm2 - Q) / (s_norm1 if released else 2 * s_norm1), t.d_hat)
    beta = h["momentum"]
    return {
        "s": s, "a2": a2, "d_hat": d_hat, "d": larger(t.d, d_hat, h["growth_rate"]),
        "x_next": beta * t.x + rest(beta) * (t.x0 - s * inverse_next),
        "weight": np.zeros_like(t.k) if released else lam,
        "sum_lambda2_g2": Q, "sum_lambda_gs": t.sum_lambda_gs + lam * dot(g * t.s, inverse),
        "sum_dA_s2": t.sum_dA_s2 + dot(s * s, inverse_next - inverse), "sum_g2": t.sum_g2 + g_norm2,
        "s_norm1": s_norm1, "s_norm2": s_norm2, "a_norm1": norm1(a_next), "a_norm2": a2.sum(axis=1, keepdims=True),
        "As_norm": norm(s * inverse_next), "g_inf": np.maximum(t.g_inf, np.abs(g).max(axis=1, keepdims=True)),
    }  # fmt: skip


@formula("||a_{n+1}||^2 = p G_inf^2 + S_n", source=DM23, assumptions=(paper_convention, no_weight_decay))
def ada_definition_a(c: Case) -> Sides:
    return Sides(c.a_norm2, c.p * c.hyper["G_inf"] ** 2 + c.S)


@formula(
    "d_hat_{n+1} = (||s_{n+1}||^2_{A_{n+1}^-1} - sum lambda_k^2 ||g_k||^2_{A_k^-1})/(2 ||s_{n+1}||_1), "
    "in the released convention without the 2",
    source=DM23, rows=s_norm1_not_zero,
)  # fmt: skip
def ada_definition_d_hat(c: Case) -> Sides:
    """Multiplied by the length of s, and with no difference of terms that would cancel."""
    twice = 2.0 if c.hyper["convention"] == "paper" else 1.0
    return Sides(twice * c.d_hat * c.s_norm1 + c.sum_lambda2_g2, c.s_norm2)


# ---------------------------------------------------------------------------------------------------------
# The inequalities of dual averaging, by coordinate


@theorem(
    "2 sum lambda_k <g_k, A_k^-1 s_k> = ||s_{n+1}||^2_{A_{n+1}^-1} - sum lambda_k^2 ||g_k||^2_{A_k^-1} "
    "- sum (||s_{k+1}||^2_{A_{k+1}^-1} - ||s_{k+1}||^2_{A_k^-1})",
    source=DM23, relation="=", assumptions=(paper_convention,), schedule="any", uses_optimum=False,
)  # fmt: skip
def ada_I1(c: Case) -> Sides:
    """Expand the square in the norm of k, change to the norm of k + 1, and sum:

    ||s_{k+1}||_{k+1}^2 = ||s_k||_k^2 + 2 lambda_k <g_k, s_k>_k + lambda_k^2 ||g_k||_k^2
                          + (||s_{k+1}||_{k+1}^2 - ||s_{k+1}||_k^2)
    """
    return Sides(2 * c.sum_lambda_gs + c.sum_lambda2_g2, c.s_norm2 - c.sum_dA_s2)


@theorem(
    "sum lambda_k (f(x_k) - f*) <= D_inf ||s_{n+1}||_1 - sum lambda_k <g_k, A_k^-1 s_k>",
    source=DM23, iterate="average", assumptions=PAPER, rows=has_weight, schedule="any", comparator=True,
)  # fmt: skip
def ada_I2(c: Case) -> Sides:
    """By convexity, with `x_k = x_0 - A_k^-1 s_k`:

    sum lambda_k gap_k <= sum lambda_k <g_k, x_k - x*>
                        = <s_{n+1}, x_0 - x*> - C
                       <= ||s_{n+1}||_1 D_inf - C
    """
    return Sides(c.gap_at_iterates, (c.D_inf * c.s_norm1 + c.sum_w_gx) / c.weight_sum)


ada_I2_comparator = for_the_best_point(ada_I2)


@theorem(
    "sum lambda_k (f(x_k) - f*) <= D_inf ||s_{n+1}||_1 + 1/2 sum lambda_k^2 ||g_k||^2_{A_k^-1} "
    "- 1/2 ||s_{n+1}||^2_{A_{n+1}^-1}",
    source=DM23, iterate="average", assumptions=PAPER, rows=has_weight, schedule="any", comparator=True,
)  # fmt: skip
def ada_I3(c: Case) -> Sides:
    """`ada_I2` with C from `ada_I1`, whose last sum is not positive:

    ||s_{k+1}||_{k+1}^2 <= ||s_{k+1}||_k^2                          a is nondecreasing
    -C <= q/2 - w/2
    """
    return _weighted_gap(c, c.D_inf * c.s_norm1 + 0.5 * (c.sum_lambda2_g2 - c.s_norm2))


ada_I3_comparator = for_the_best_point(ada_I3)


def _weighted_gap(c: Case, rhs: Any) -> Sides:
    """sum lambda_k gap_k <= rhs, divided by sum lambda_k."""
    return gap_sides(c, rhs / c.weight_sum)


# ---------------------------------------------------------------------------------------------------------
# d is a lower bound on D_inf, and s is bounded in terms of d


@theorem(
    "d_hat_{n+1} <= D_inf and d_{n+1} <= D_inf",
    source=DM23, assumptions=(*PAPER, d0_at_most_D_inf), schedule="any",
)  # fmt: skip
def ada_L1(c: Case) -> Sides:
    """The gaps in `ada_I3` are not negative:

    0 <= D_inf ||s_{n+1}||_1 + q/2 - w/2
    d_hat_{n+1} = (w - q)/(2 ||s_{n+1}||_1) <= D_inf
    """
    return Sides(np.maximum(c.d, c.d_hat), c.D_inf)


def _kappa(c: Case) -> Any:
    """q/(T d_{n+1}^2)."""
    return c.sum_lambda2_g2 / (c.a_norm1 * c.d**2)


@theorem(
    "||s_{n+1}||_1 <= ||a_{n+1}||_1 d_{n+1} (1 + sqrt(1 + kappa)), "
    "kappa = sum lambda_k^2 ||g_k||^2_{A_k^-1} / (||a_{n+1}||_1 d_{n+1}^2)",
    source=OWN, assumptions=(paper_convention, no_growth_cap), schedule="any", uses_optimum=False,
)  # fmt: skip
def ada_D1(c: Case) -> Sides:
    """The estimate is at most `d_{n+1}`:

    d = d_{n+1},  z = ||s_{n+1}||_1
    z^2 <= T w                                                      Cauchy-Schwarz
    w <= 2 d z + q                                                  d_hat_{n+1} <= d
    z^2 <= 2 T d z + T q
    z <= T d (1 + sqrt(1 + kappa))
    """
    return Sides(c.s_norm1, c.a_norm1 * c.d * growth_of(_kappa(c)))


def gradients_within_G_inf(run: Run, optimum: OptimumInterval) -> Unmet | None:
    """`|g_k| <= G_inf` in every coordinate."""
    seen, G_inf = float(run.rows[-1]["g_inf"]), run.hyper["G_inf"]
    if seen <= G_inf:
        return None
    return Unmet(NOT_APPLICABLE, f"needs |g_k| <= G_inf = {G_inf:.6g}, and {seen:.6g} was seen")


@theorem(
    "sum ||g_k||^2_{A_k^-1} <= 2 ||a_{n+1}||_1",
    source=DM23, assumptions=(paper_convention, gradients_within_G_inf), schedule="any", uses_optimum=False,
)  # fmt: skip
def ada_D2(c: Case) -> Sides:
    """In each coordinate, as `a_0 = G_inf >= |g_k|`:

    a_k^2 = G_inf^2 + sum_{i<k} g_i^2 >= sum_{i<=k} g_i^2
    sum g_k^2/a_k <= 2 sqrt(sum g_k^2) <= 2 a_{n+1}
    """
    return Sides(c.sum_g2, 2 * c.a_norm1)


# ---------------------------------------------------------------------------------------------------------
# The gap


@theorem(
    "f(x_avg) - f* <= D_inf ||a_{n+1}||_1 (d_{n+1}/sum lambda_k) max(1 + sqrt(1 + kappa), (1 + kappa)/2), "
    "kappa = sum lambda_k^2 ||g_k||^2_{A_k^-1} / (||a_{n+1}||_1 d_{n+1}^2)",
    source=OWN, kind=RATE, iterate="average", assumptions=(*PAPER, d0_at_most_D_inf, no_growth_cap), rows=has_weight,
    schedule="any", figure=True,
)  # fmt: skip
def ada_D3(c: Case) -> Sides:
    """Let `d = d_{n+1}` and `u = ||s_{n+1}||_1/T`. The bound of `ada_I3` becomes T times that of `D3` with `gamma = 1`:

        sum lambda_k gap_k <= D_inf T u + q/2 - w/2 <= T (D_inf u + kappa d^2/2 - u^2/2)        w >= T u^2
        u^2 <= 2 d u + kappa d^2                                        ada_D1
        d <= D_inf                                                      ada_L1

    The maximum over u and `D_inf` is that of `D3`.
    """
    return gap_sides(c, c.D_inf * c.a_norm1 * c.d / c.weight_sum * factor_of(_kappa(c)))


ada_D3_best = of_the_best(ada_D3)


@theorem(
    "f(x_avg) - f* <= (1 + sqrt 3) D_inf ||a_{n+1}||_1 d_{n+1}/sum d_k",
    source=OWN, kind=RATE, iterate="average",
    assumptions=(*PAPER, hyper_is("lr", 1.0), d0_at_most_D_inf, no_growth_cap, gradients_within_G_inf),
)  # fmt: skip
def ada_D3_a_priori(c: Case) -> Sides:
    """`ada_D3` with a bound on kappa:

    q <= d_{n+1}^2 sum ||g_k||_k^2 <= 2 T d_{n+1}^2                 lambda_k = d_k <= d_{n+1}, ada_D2
    kappa <= 2
    """
    return gap_sides(c, (1 + math.sqrt(3)) * c.D_inf * c.a_norm1 * c.d / c.weight_sum)


@theorem(
    "f(x_avg) - f* <= 4 (1 + sqrt 3) p D_inf G_inf sqrt(n+2)/(n+1) for n >= 2 nhat, "
    "nhat the first k with d_k >= d_{n+1}/2",
    source=f"{DM23}, constants own", kind=RATE, iterate="average",
    assumptions=(*PAPER, hyper_is("lr", 1.0), d0_at_most_D_inf, no_growth_cap, gradients_within_G_inf), rows=settled,
)  # fmt: skip
def ada_asymptotic(c: Case) -> Sides:
    """The paper states `O(p G_inf D_inf/sqrt(n+1))`. It is `ada_D3_a_priori` with two bounds:

    ||a_{n+1}||_1 <= p G_inf sqrt(n+2)                              |g_k| <= G_inf
    sum d_k >= (n+1) d_{n+1}/4                                      n >= 2 nhat
    """
    n = c.n
    return gap_sides(c, 4 * (1 + math.sqrt(3)) * c.p * c.D_inf * c.hyper["G_inf"] * np.sqrt(n + 2) / (n + 1))


ada_asymptotic_best = of_the_best(ada_asymptotic)
