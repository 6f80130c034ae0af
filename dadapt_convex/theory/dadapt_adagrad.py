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
from typing import Any

import numpy as np

from dadapt_convex.run import OptimumInterval, Run
from dadapt_convex.theory.gradient_descent import factor_of
from dadapt_convex.theory.rounded import rounded
from dadapt_convex.theory.steps import Steps, d0, definition, dot, larger, norm, norm1, rest, unless_zero
from dadapt_convex.theory.theorem import (
    DEFINITION,
    NOT_APPLICABLE,
    RATE,
    Case,
    Sides,
    Theorem,
    Unmet,
    Values,
    d0_at_most_D_inf,
    gap_sides,
    has_weight,
    hyper_is,
    no_growth_cap,
    no_weight_decay,
    of_the_best,
    of_the_run,
    settled,
)

DM23 = "Defazio & Mishchenko 2023"
OWN = "own"
FIRST_A = 1e-3  # the released package starts a_k^2 at 1e-6
# x_k = x_0 - A_k^-1 s_k, and g_k a subgradient of f, are all that (ada_I1) to (ada_I3) need
PAPER = (hyper_is("convention", "paper"), hyper_is("momentum", 0.0), no_weight_decay)


def gradients_within_G_inf(run: Run, optimum: OptimumInterval) -> Unmet | None:
    """|g_k| <= G_inf in every coordinate at every k."""
    seen, G_inf = float(run.rows[-1]["g_inf"]), run.hyper["G_inf"]
    if seen <= G_inf:
        return None
    return Unmet(NOT_APPLICABLE, f"needs |g_k| <= G_inf = {G_inf:.6g}, and {seen:.6g} was seen")


def kappa(c: Case) -> Any:
    """Q / (T d_{n+1}^2)."""
    return c.sum_lambda2_g2 / (c.a_norm1 * c.d**2)


def _weighted_gap(c: Case, rhs: Any) -> Sides:
    """sum lambda_k gap_k <= rhs, divided by sum lambda_k."""
    return gap_sides(c, rhs / c.weight_sum)


def _I1(c: Case) -> Sides:
    return Sides(2 * c.sum_lambda_gs + c.sum_lambda2_g2, c.s_norm2 - c.sum_dA_s2)


def _I2(c: Case) -> Sides:
    return Sides(c.gap_at_iterates, (c.D_inf * c.s_norm1 + c.sum_w_gx) / c.weight_sum)


def _I3(c: Case) -> Sides:
    return _weighted_gap(c, c.D_inf * c.s_norm1 + 0.5 * (c.sum_lambda2_g2 - c.s_norm2))


def _s_not_zero(c: Case) -> Any:
    return c.s_norm1 > 0


def _L1(c: Case) -> Sides:
    return Sides(np.maximum(c.d, c.d_hat), c.D_inf)


def _D1(c: Case) -> Sides:
    return Sides(c.s_norm1, c.a_norm1 * c.d * (1 + np.sqrt(1 + kappa(c))))


def _D2(c: Case) -> Sides:
    return Sides(c.sum_g2, 2 * c.a_norm1)


def _D3(c: Case) -> Sides:
    return gap_sides(c, c.D_inf * c.a_norm1 * c.d / c.weight_sum * factor_of(kappa(c)))


def _D3_a_priori(c: Case) -> Sides:
    return gap_sides(c, (1 + math.sqrt(3)) * c.D_inf * c.a_norm1 * c.d / c.weight_sum)


def _asymptotic(c: Case) -> Sides:
    n = c.n
    return gap_sides(c, 4 * (1 + math.sqrt(3)) * c.p * c.D_inf * c.hyper["G_inf"] * np.sqrt(n + 2) / (n + 1))


def _definition_d_hat(c: Case) -> Sides:
    """d_hat ||s||_1, without what would cancel."""
    twice = 2.0 if c.hyper["convention"] == "paper" else 1.0
    return Sides(twice * c.d_hat * c.s_norm1 + c.sum_lambda2_g2, c.s_norm2)


def _definition_a(c: Case) -> Sides:
    return Sides(c.a_norm2, c.p * c.hyper["G_inf"] ** 2 + c.S)


def _first_a2(h: Values) -> Any:
    return (FIRST_A if h["convention"] == "released" else h["G_inf"]) ** 2


@definition(d=d0, a2=_first_a2)
def _algorithm_3(t: Steps) -> dict[str, Any]:
    """Algorithm 3 with rate, momentum, weight decay and the released convention, and the sums of its analysis."""
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


STATED: tuple[Theorem, ...] = (
    Theorem(
        name="ada_D3",
        kind=RATE,
        statement="f(x_avg) - f* <= D_inf ||a_{n+1}||_1 (d_{n+1}/sum lambda_k) "
        "max(1 + sqrt(1 + kappa), (1 + kappa)/2), "
        "kappa = sum lambda_k^2 ||g_k||^2_{A_k^-1} / (||a_{n+1}||_1 d_{n+1}^2)",
        source=OWN,
        needs=("a_norm1", "d", "d0", "sum_lambda2_g2"),
        sides=_D3,
        iterate="average",
        assumptions=(*PAPER, d0_at_most_D_inf, no_growth_cap),
        rows=has_weight,
        schedule="any",
        figure=True,
    ),
    Theorem(
        name="ada_D3_a_priori",
        kind=RATE,
        statement="f(x_avg) - f* <= (1 + sqrt 3) D_inf ||a_{n+1}||_1 d_{n+1}/sum d_k",
        source=OWN,
        needs=("G_inf", "a_norm1", "d", "d0"),
        sides=_D3_a_priori,
        iterate="average",
        assumptions=(*PAPER, hyper_is("lr", 1.0), d0_at_most_D_inf, no_growth_cap, gradients_within_G_inf),
    ),
    Theorem(
        name="ada_asymptotic",
        kind=RATE,
        statement="f(x_avg) - f* <= 4 (1 + sqrt 3) p D_inf G_inf sqrt(n+2)/(n+1) for n >= 2 nhat, "
        "nhat the first k with d_k >= d_{n+1}/2",
        source=f"{DM23}, constants own",
        needs=("G_inf", "d", "d0"),
        sides=_asymptotic,
        iterate="average",
        assumptions=(*PAPER, hyper_is("lr", 1.0), d0_at_most_D_inf, no_growth_cap, gradients_within_G_inf),
        rows=settled,
    ),
    Theorem(
        name="ada_L1",
        statement="d_hat_{n+1} <= D_inf and d_{n+1} <= D_inf",
        source=DM23,
        needs=("d", "d0", "d_hat"),
        sides=_L1,
        assumptions=(*PAPER, d0_at_most_D_inf),
        schedule="any",
    ),
    Theorem(
        name="ada_I1",
        statement="2 sum lambda_k <g_k, A_k^-1 s_k> = ||s_{n+1}||^2_{A_{n+1}^-1} - sum lambda_k^2 ||g_k||^2_{A_k^-1} "
        "- sum (||s_{k+1}||^2_{A_{k+1}^-1} - ||s_{k+1}||^2_{A_k^-1})",
        source=DM23,
        needs=("s_norm2", "sum_dA_s2", "sum_lambda2_g2", "sum_lambda_gs"),
        sides=_I1,
        relation="=",
        assumptions=(hyper_is("convention", "paper"),),
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="ada_I2",
        statement="sum lambda_k (f(x_k) - f*) <= D_inf ||s_{n+1}||_1 - sum lambda_k <g_k, A_k^-1 s_k>",
        source=DM23,
        needs=("s_norm1",),
        sides=_I2,
        iterate="average",
        assumptions=PAPER,
        rows=has_weight,
        schedule="any",
        comparator=True,
    ),
    Theorem(
        name="ada_I3",
        statement="sum lambda_k (f(x_k) - f*) <= D_inf ||s_{n+1}||_1 + 1/2 sum lambda_k^2 ||g_k||^2_{A_k^-1} "
        "- 1/2 ||s_{n+1}||^2_{A_{n+1}^-1}",
        source=DM23,
        needs=("s_norm1", "s_norm2", "sum_lambda2_g2"),
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
        needs=("a_norm1", "d", "s_norm1", "sum_lambda2_g2"),
        sides=_D1,
        assumptions=(hyper_is("convention", "paper"), no_growth_cap),
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="ada_D2",
        statement="sum ||g_k||^2_{A_k^-1} <= 2 ||a_{n+1}||_1",
        source=DM23,
        needs=("G_inf", "a_norm1", "sum_g2"),
        sides=_D2,
        assumptions=(hyper_is("convention", "paper"), gradients_within_G_inf),
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="ada_definition_d_hat",
        kind=DEFINITION,
        statement="d_hat_{n+1} = (||s_{n+1}||^2_{A_{n+1}^-1} - sum lambda_k^2 ||g_k||^2_{A_k^-1})/(2 ||s_{n+1}||_1), "
        "in the released convention without the 2",
        source=DM23,
        needs=("convention", "d_hat", "s_norm1", "s_norm2", "sum_lambda2_g2"),
        sides=_definition_d_hat,
        relation="=",
        rows=_s_not_zero,
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="ada_definition_a",
        kind=DEFINITION,
        statement="||a_{n+1}||^2 = p G_inf^2 + S_n",
        source=DM23,
        needs=("G_inf", "a_norm2"),
        sides=_definition_a,
        relation="=",
        assumptions=(hyper_is("convention", "paper"), no_weight_decay),
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="definition_dadapt_adagrad",
        kind=DEFINITION,
        statement="Algorithm 3: s_{k+1}, a_{k+1}, d_hat_{k+1}, d_{k+1}, x_{k+1} and the weight lambda_k of x_k follow "
        "from the state at k",
        source=DM23,
        needs=(
            "a2",
            "convention",
            "d",
            "d_hat",
            "eps",
            "g_inf",
            "growth_rate",
            "lr",
            "momentum",
            "s",
            "sum_dA_s2",
            "sum_g2",
            "sum_lambda2_g2",
            "sum_lambda_gs",
            "weight_decay",
            "x0",
            "As_norm",
            "G_inf",
            "a_norm1",
            "a_norm2",
            "d0",
            "s_norm1",
            "s_norm2",
        ),
        steps=_algorithm_3,
        schedule="any",
        uses_optimum=False,
    ),
)
THEOREMS = (
    *STATED,
    *(of_the_best(t) for t in STATED if t.name in ("ada_D3", "ada_asymptotic")),
    *(of_the_run(t) for t in STATED if t.name in ("ada_I2", "ada_I3")),
)
