r"""Dual averaging with D-Adaptation: [DM23] Defazio & Mishchenko, ICML 2023, Algorithm 1.

lambda_k = d_k (times the schedule's factor: what says "any" schedule holds for every lambda_k >= 0),
gamma_{k+1} = 1/sqrt(S_n) (plain) or 1/sqrt(G^2 + S_n) (modified), B = sum gamma_k lambda_k^2 ||g_k||^2,
kappa = gamma_{n+1} sum gamma_k ||g_k||^2. Proofs of what is marked own:

(L1)   sum lambda_k gap_k >= 0 in (I2) bounds option II by D; (I1) with gamma nonincreasing bounds option I by it.
(L1/2) option I: 2 d_hat ||s|| = gamma ||s||^2 - B <= gamma ||s||^2, and x_{n+1} - x_0 = -gamma s.
(D1)   d_{n+1} >= d_hat of option I (option II is no smaller, by (I1) and gamma nonincreasing), and
       B <= d_{n+1}^2 sum gamma_k ||g_k||^2; with y = gamma_{n+1} ||s_{n+1}||: y^2 <= 2 d_{n+1} y + kappa d_{n+1}^2.
(D2)   plain: ||g_k||^2 (1/sqrt(S_{k-1}) - 1/sqrt(S_k)) telescopes to at most G^2/||g_0||, and
       sum ||g_k||^2/sqrt(S_k) <= 2 sqrt(S_n). Modified: G^2 + S_{k-1} >= S_k, so the first part is not there.
(D3)   by (I3) sum d_k gap_k <= (D y + q/2 - y^2/2)/gamma_{n+1}, q = gamma_{n+1} B <= kappa d_{n+1}^2, under the
       constraint of (D1). Maximise over y and over D >= d_{n+1}, which is (L1). A priori: sqrt(3 + e) <=
       sqrt 3 + e/(2 sqrt 3) for e = G^2/(||g_0|| sqrt(S_n)).
(asymptotic) d_k >= d_{n+1}/2 for k >= nhat, so sum d_k >= (n+1) d_{n+1}/4 when n >= 2 nhat; then (D3) a priori.
       nhat is read off the checkpoints, which can only make it larger and the condition stricter.
(non_asymptotic) the lemma bounds d_{t+1}/sum_{k<=t} d_k; then (D3) a priori at t, D >= d_{n+1}, t <= n.
       sharper: the sums T_k = sum_{i<=k} d_i have T_j >= (j+1) d_0 and grow by 1 + rho a step, d_{n+1} >= rho T_n.
(D3_selected) (D3) a priori at t, whose last factor grows with n. (D3_any_d0) (I3) grows with D, and d_{n+1} <=
       max(D, d_0) holds for every d_0.
(limit) ||x_{n+1} - x_0|| >= ||u - x_0|| - ||x_{n+1} - u|| for every u, in (D1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dadapt_convex.run import OptimumInterval, Run
from dadapt_convex.theory.rounded import plain
from dadapt_convex.theory.steps import Steps, d0, definition, dot, larger, norm, unless_zero
from dadapt_convex.theory.theorem import (
    DEFINITION,
    NOT_APPLICABLE,
    RATE,
    Case,
    Sides,
    Theorem,
    Unmet,
    d0_at_most_D,
    first_row,
    gap_sides,
    hyper_is,
    of_the_best,
    settled,
    subgradients_within_G,
)

DM23 = "Defazio & Mishchenko 2023"
OWN = "own"
MODIFIED = "modified"
# How near the last iterate must be to the computed minimiser for the limit theorem to say something.
NEAR = 0.1


def kappa(c: Case) -> Any:
    """gamma_{n+1} sum_{k<=n} gamma_k ||g_k||^2."""
    return c.gamma * c.sum_gamma_g2


def growth(c: Case) -> Any:
    """1 + sqrt(1 + kappa), at most 1 + sqrt 3 in the limit."""
    return 1 + np.sqrt(1 + kappa(c))


def log2_plus(z: Any) -> Any:
    """max(1, log2 z)."""
    return np.maximum(1.0, np.log2(z))


def per_s(c: Case, numerator: Any) -> Any:
    """numerator / ||s_{n+1}||, and 0 where s = 0: there the method keeps its last estimate."""
    return np.divide(numerator, c.s_norm, out=np.zeros_like(c.s_norm), where=c.s_norm > 0)


def _s_not_zero(c: Case) -> Any:
    return c.s_norm > 0


def _L1(c: Case) -> Sides:
    return Sides(np.maximum(c.d, c.d_hat), c.D)


def _half_distance(c: Case) -> Sides:
    return Sides(c.d_hat, 0.5 * c.x_next_dist)


def _after_the_first(c: Case) -> Any:
    """Without the first step where gamma_1 = gamma_0, as in the plain one: there the two estimates are the same."""
    return (c.s_norm > 0) & ((c.k > 1) | (c.hyper["step"] == MODIFIED))


def _options(c: Case) -> Sides:
    return Sides(c.gamma * c.s_norm**2, c.sum_gamma_lambda2_g2 + 2 * c.sum_gamma_lambda_gs)


def _D1(c: Case) -> Sides:
    return Sides(c.s_norm, c.d / c.gamma * growth(c))


def _D1_kappa(c: Case) -> Sides:
    return Sides(kappa(c), 2.0)


def _D1_distance(c: Case) -> Sides:
    return Sides(c.x_next_dist, c.d * growth(c))


def _D2(c: Case) -> Sides:
    extra = 0.0 if c.hyper["step"] == MODIFIED else c.G**2 / c.g0_norm
    return Sides(c.sum_gamma_g2, 2 * np.sqrt(c.S) + extra)


def _D3_for(c: Case, D: Any) -> Sides:
    factor = np.maximum(growth(c), 0.5 * (1 + kappa(c)))
    return gap_sides(c, D * (c.d / c.weight_sum) / c.gamma * factor)


def _D3(c: Case) -> Sides:
    return _D3_for(c, c.D)


def _D3_any_d0(c: Case) -> Sides:
    return _D3_for(c, np.maximum(c.D, c.hyper["d0"]))


def _a_priori(c: Case) -> Any:
    """What (D2) makes of the last two factors of (D3)."""
    if c.hyper["step"] == MODIFIED:
        return (1 + math.sqrt(3)) * np.sqrt(c.hyper["G"] ** 2 + c.S)
    return (1 + math.sqrt(3)) * np.sqrt(c.S) + 0.5 * c.G**2 / c.g0_norm


def _D3_a_priori(c: Case) -> Sides:
    return gap_sides(c, c.D * (c.d / c.weight_sum) * _a_priori(c))


def _D3_selected(c: Case) -> Sides:
    return gap_sides(c, c.D * c.selected_ratio * _a_priori(c), gap=c.f_selected - c.f_star)


def _largest_gradient(c: Case) -> Any:
    """G: what the modified step was given, else the largest norm seen."""
    return c.hyper["G"] if c.hyper["step"] == MODIFIED else c.G


def _asymptotic(c: Case) -> Sides:
    G, n = _largest_gradient(c), c.n
    return gap_sides(c, 12 * c.D * G / np.sqrt(n + 1) + 8 * c.D * G**2 / ((n + 1) * c.g0_norm))


def _asymptotic_sharper(c: Case) -> Sides:
    G, n = _largest_gradient(c), c.n
    shift = np.sqrt((n + 2) / (n + 1)) if c.hyper["step"] == MODIFIED else 1.0
    first, second = 4 * (1 + math.sqrt(3)) * shift, 2.0
    return gap_sides(c, first * c.D * G / np.sqrt(n + 1) + second * c.D * G**2 / ((n + 1) * c.g0_norm))


def _non_asymptotic(constant: float, shifted: bool) -> Callable[[Case], Sides]:
    def sides(c: Case) -> Sides:
        n = c.n
        shift = np.sqrt((n + 2) / (n + 1)) if shifted else 1.0
        log = log2_plus(c.D / c.hyper["d0"])
        return gap_sides(c, constant * shift * c.D * c.hyper["G"] * log / np.sqrt(n + 1), gap=c.f_selected - c.f_star)

    return sides


def _enough_steps(c: Case) -> np.ndarray:
    """n >= 2 log2(d_{n+1}/d_0), which n >= 2 log2(D/d_0) implies: the lemma needs no more."""
    return c.n >= 2 * np.log2(c.d / c.hyper["d0"])


def _lemma(c: Case) -> Sides:
    return Sides(c.selected_ratio, 4 * log2_plus(c.d / c.hyper["d0"]) / c.k)


def _lemma_sharper(c: Case) -> Sides:
    rho, N = c.selected_ratio, c.n
    j = np.clip(np.round(1 / np.log1p(plain(rho))) - 1, 0, N)  # any j <= N will do
    return Sides(rho * (j + 1) * np.exp((N - j) * np.log1p(rho)), c.d / c.hyper["d0"])


def _definition_gamma(c: Case) -> Sides:
    G2 = c.hyper["G"] ** 2 if c.hyper["step"] == MODIFIED else 0.0
    return Sides(c.gamma, 1 / np.sqrt(G2 + c.S))


def _definition_gamma_0(c: Case) -> Sides:
    return Sides(c.sum_gamma_g2, c.g0_norm**2 / c.hyper["G"] if c.hyper["step"] == MODIFIED else c.g0_norm)


def _definition_d_hat(c: Case) -> Sides:
    """d_hat ||s||, without what would cancel."""
    if c.hyper["option"] == "II":
        return Sides(c.d_hat * c.s_norm, c.sum_gamma_lambda_gs)
    return Sides(2 * c.d_hat * c.s_norm + c.sum_gamma_lambda2_g2, c.gamma * c.s_norm**2)


def _definition_d(c: Case) -> Sides:
    return Sides(c.d, np.maximum.accumulate(np.maximum(c.d, c.hyper["d0"])))


def _definition_weights(c: Case) -> Sides:
    return Sides(c.weight_sum, c.d / c.d_over_sum_d)


@definition(d=d0)
def _algorithm_1(t: Steps) -> dict[str, Any]:
    """Algorithm 1, with the sums of its analysis."""
    modified, g2 = t.hyper["step"] == MODIFIED, dot(t.g, t.g)
    G = t.hyper["G"] if modified else 0.0
    gamma = t.after_the_first("gamma", 1 / G if modified else 1 / np.sqrt(g2))
    lam = t.d * t.factor
    s, S = t.s + lam * t.g, t._S + g2
    gamma_next = 1 / np.sqrt(G * G + S)
    s_norm = norm(s)
    B = t.sum_gamma_lambda2_g2 + gamma * lam**2 * g2
    C = t.sum_gamma_lambda_gs + gamma * lam * dot(t.g, t.s)
    estimate = (gamma_next * s_norm**2 - B) / (2 * s_norm) if t.hyper["option"] == "I" else C / s_norm
    d_hat = unless_zero(s_norm, estimate, t.d_hat)
    d = larger(t.d, d_hat)
    return {
        "s": s, "gamma": gamma_next, "d_hat": d_hat, "d": d, "x_next": t.x0 - gamma_next * s, "weight": lam,
        "_S": S, "s_norm": s_norm, "sum_gamma_lambda2_g2": B, "sum_gamma_lambda_gs": C,
        "sum_gamma_g2": t.sum_gamma_g2 + gamma * g2,
        "sum_dgamma_s2": t.sum_dgamma_s2 + (gamma_next - gamma) * s_norm**2,
        "_sum_lambda": t._sum_lambda + lam, "d_over_sum_d": d / (t._sum_lambda + lam),
    }  # fmt: skip


def _lemma_rows(c: Case) -> np.ndarray:
    return c.k >= 2 * np.log2(c.d / c.hyper["d0"])


def _limit(c: Case) -> Sides:
    u = c.optimum.x
    start, left = float(np.linalg.norm(u - c.run.x0)), float(np.linalg.norm(c.run.x_next - u))
    return Sides(start, c.d * growth(c) + left + (c.x_next_dist - plain(c.x_next_dist)))


def _last_row(c: Case) -> np.ndarray:
    return c.k == c.run.k


def _modified_within_G(run: Run, optimum: OptimumInterval) -> Unmet | None:
    """||g_k|| <= G, for the modified step, whose analysis rests on it; the plain step has no G."""
    return subgradients_within_G(run, optimum) if run.hyper["step"] == MODIFIED else None


def _near_the_minimiser(run: Run, optimum: OptimumInterval) -> Unmet | None:
    distance = float(np.linalg.norm(optimum.x - run.x0))
    left = float(np.linalg.norm(run.x_next - optimum.x))
    if left <= NEAR * distance:
        return None
    note = f"needs convergence to the minimiser: ||x_n - x*|| is {left:.3g}, ||x0 - x*|| is {distance:.3g}"
    return Unmet(NOT_APPLICABLE, note)


STATED: tuple[Theorem, ...] = (
    Theorem(
        name="L1",
        statement="d_hat_{n+1} <= D and d_{n+1} <= D",
        source=DM23,
        needs=("d", "d0", "d_hat"),
        sides=_L1,
        assumptions=(d0_at_most_D,),
        schedule="any",
    ),
    Theorem(
        name="L1_half_distance",
        statement="option I: d_hat_{n+1} <= 1/2 ||x_{n+1} - x_0||",
        source=OWN,
        needs=("d_hat", "s_norm"),
        sides=_half_distance,
        assumptions=(hyper_is("option", "I"),),
        rows=_s_not_zero,
        uses_optimum=False,
        schedule="any",
    ),
    Theorem(
        name="options",
        statement="the estimate of option I is at most that of option II: gamma_{n+1} ||s_{n+1}||^2 <= sum gamma_k "
        "lambda_k^2 ||g_k||^2 + 2 sum gamma_k lambda_k <g_k, s_k>",
        source=DM23,
        needs=("gamma", "s_norm", "sum_gamma_lambda2_g2", "sum_gamma_lambda_gs", "step"),
        sides=_options,
        rows=_after_the_first,
        uses_optimum=False,
        schedule="any",
    ),
    Theorem(
        name="D1",
        statement="||s_{n+1}|| <= (d_{n+1}/gamma_{n+1}) (1 + sqrt(1 + kappa))",
        source=DM23,
        needs=("d", "gamma", "s_norm", "sum_gamma_g2"),
        sides=_D1,
        uses_optimum=False,
    ),
    Theorem(
        name="D1_kappa",
        statement="kappa = gamma_{n+1} sum gamma_k ||g_k||^2 <= 2 for the modified step",
        source=DM23,
        needs=("G", "gamma", "sum_gamma_g2"),
        sides=_D1_kappa,
        assumptions=(hyper_is("step", MODIFIED), subgradients_within_G),
        uses_optimum=False,
        schedule="any",
    ),
    Theorem(
        name="D1_distance",
        statement="||x_{n+1} - x_0|| <= d_{n+1} (1 + sqrt(1 + kappa))",
        source=OWN,
        needs=("d", "gamma", "sum_gamma_g2"),
        sides=_D1_distance,
        uses_optimum=False,
    ),
    Theorem(
        name="D2",
        statement="sum gamma_k ||g_k||^2 <= 2 sqrt(S_n) + G^2/||g_0|| (modified step: without the last term)",
        source=DM23,
        needs=("G", "step", "sum_gamma_g2"),
        sides=_D2,
        assumptions=(_modified_within_G,),
        uses_optimum=False,
        schedule="any",
    ),
    Theorem(
        name="D3",
        kind=RATE,
        statement="f(x_avg) - f* <= D (d_{n+1}/sum d_k) (1/gamma_{n+1}) max(1 + sqrt(1 + kappa), (1 + kappa)/2)",
        source=OWN,
        needs=("d", "d0", "gamma", "sum_gamma_g2"),
        sides=_D3,
        iterate="average",
        assumptions=(d0_at_most_D,),
        figure=True,
    ),
    Theorem(
        name="D3_a_priori",
        kind=RATE,
        statement="f(x_avg) - f* <= D (d_{n+1}/sum d_k) ((1 + sqrt 3) sqrt(S_n) + 0.5 G^2/||g_0||); "
        "modified step: (1 + sqrt 3) sqrt(G^2 + S_n)",
        source=OWN,
        needs=("G", "d", "d0", "step"),
        sides=_D3_a_priori,
        iterate="average",
        assumptions=(d0_at_most_D, _modified_within_G),
    ),
    Theorem(
        name="D3_selected",
        kind=RATE,
        statement="f(x_avg at t) - f* <= D (d_{t+1}/sum_{k<=t} d_k) times the last factor of D3_a_priori at n, "
        "t = argmin d_{k+1}/sum_{i<=k} d_i",
        source=OWN,
        needs=("G", "d0", "step"),
        sides=_D3_selected,
        iterate="selected",
        assumptions=(d0_at_most_D, _modified_within_G),
    ),
    Theorem(
        name="D3_any_d0",
        kind=RATE,
        statement="D3 with max(D, d_0) in place of D, for every d_0",
        source=OWN,
        needs=("d", "d0", "gamma", "sum_gamma_g2"),
        sides=_D3_any_d0,
        iterate="average",
    ),
    Theorem(
        name="asymptotic",
        kind=RATE,
        statement="f(x_avg) - f* <= 12 D G/sqrt(n+1) + 8 D G^2/((n+1) ||g_0||) for n >= 2 nhat, "
        "nhat the first k with d_k >= d_{n+1}/2",
        source=f"{DM23}, constants own",
        needs=("G", "d", "d0", "step"),
        sides=_asymptotic,
        iterate="average",
        assumptions=(d0_at_most_D, _modified_within_G),
        rows=settled,
    ),
    Theorem(
        name="asymptotic_sharper",
        kind=RATE,
        statement="the same with 4 (1 + sqrt 3) (modified step: times sqrt((n+2)/(n+1))) in place of 12, and 2 of 8",
        source=OWN,
        needs=("G", "d", "d0", "step"),
        sides=_asymptotic_sharper,
        iterate="average",
        assumptions=(d0_at_most_D, _modified_within_G),
        rows=settled,
    ),
    Theorem(
        name="non_asymptotic",
        kind=RATE,
        statement="f(x_avg at t) - f* <= 16 D G log2+(D/d_0)/sqrt(n+1), t = argmin d_{k+1}/sum_{i<=k} d_i, "
        "n >= 2 log2(D/d_0), modified step; above D G until n is about 256 log2+(D/d_0)^2",
        source=DM23,
        needs=("G", "d", "d0"),
        sides=_non_asymptotic(16.0, shifted=False),
        iterate="selected",
        assumptions=(hyper_is("step", MODIFIED), subgradients_within_G, d0_at_most_D),
        rows=_enough_steps,
    ),
    Theorem(
        name="non_asymptotic_sharper",
        kind=RATE,
        statement="the same with 4 (1 + sqrt 3) sqrt((n+2)/(n+1)) in place of 16",
        source=OWN,
        needs=("G", "d", "d0"),
        sides=_non_asymptotic(4 * (1 + math.sqrt(3)), shifted=True),
        iterate="selected",
        assumptions=(hyper_is("step", MODIFIED), subgradients_within_G, d0_at_most_D),
        rows=_enough_steps,
    ),
    Theorem(
        name="non_asymptotic_lemma",
        statement="min_{k<=n} d_{k+1}/sum_{i<=k} d_i <= 4 log2+(d_{n+1}/d_0)/(n+1) for n+1 >= 2 log2(d_{n+1}/d_0)",
        source=DM23,
        needs=("d", "d0"),
        sides=_lemma,
        rows=_lemma_rows,
        uses_optimum=False,
    ),
    Theorem(
        name="non_asymptotic_lemma_sharper",
        statement="rho = min_{k<=n} d_{k+1}/sum_{i<=k} d_i: rho (j + 1) (1 + rho)^(n - j) <= d_{n+1}/d_0 "
        "for every j <= n, here j + 1 = 1/ln(1 + rho); so rho <= about (ln(d_{n+1}/d_0) + 1)/(n + 1)",
        source=OWN,
        needs=("d", "d0"),
        sides=_lemma_sharper,
        uses_optimum=False,
    ),
    Theorem(
        name="limit",
        statement="x_n -> x* implies lim d_n >= D/(1 + sqrt 3); at finite n "
        "||u - x_0|| - ||x_{n+1} - u|| <= d_{n+1} (1 + sqrt(1 + kappa)), u the computed minimiser",
        source=DM23,
        needs=("d", "gamma", "sum_gamma_g2"),
        sides=_limit,
        assumptions=(_near_the_minimiser,),
        rows=_last_row,
    ),
    Theorem(
        name="definition_gamma",
        kind=DEFINITION,
        statement="gamma_{n+1} = 1/sqrt(S_n), modified step 1/sqrt(G^2 + S_n)",
        source=DM23,
        needs=("G", "gamma", "step"),
        sides=_definition_gamma,
        relation="=",
        uses_optimum=False,
        schedule="any",
    ),
    Theorem(
        name="definition_gamma_0",
        kind=DEFINITION,
        statement="gamma_0 ||g_0||^2 = ||g_0||, modified step ||g_0||^2/G",
        source=DM23,
        needs=("G", "step", "sum_gamma_g2"),
        sides=_definition_gamma_0,
        relation="=",
        rows=first_row,
        uses_optimum=False,
        schedule="any",
    ),
    Theorem(
        name="definition_d_hat",
        kind=DEFINITION,
        statement="d_hat_{n+1} is the estimate of its option",
        source=DM23,
        needs=("d_hat", "gamma", "option", "s_norm", "sum_gamma_lambda2_g2", "sum_gamma_lambda_gs"),
        sides=_definition_d_hat,
        relation="=",
        rows=_s_not_zero,
        uses_optimum=False,
        schedule="any",
    ),
    Theorem(
        name="definition_d",
        kind=DEFINITION,
        statement="d_{n+1} = max(d_0, d_1, ..., d_{n+1}): the estimate never decreases",
        source=DM23,
        needs=("d", "d0"),
        sides=_definition_d,
        relation="=",
        uses_optimum=False,
        schedule="any",
    ),
    Theorem(
        name="definition_weights",
        kind=DEFINITION,
        statement="x_k has the weight d_k in the average: the weights sum to sum d_k",
        source=DM23,
        needs=("d", "d_over_sum_d"),
        sides=_definition_weights,
        relation="=",
        uses_optimum=False,
        schedule="any",
    ),
    Theorem(
        name="definition_dadapt_dual_averaging",
        kind=DEFINITION,
        statement="Algorithm 1: s_{k+1}, gamma_{k+1}, d_hat_{k+1}, d_{k+1} = max(d_k, d_hat_{k+1}), x_{k+1} and the "
        "weight lambda_k of x_k follow from the state at k",
        source=DM23,
        needs=(
            "G",
            "_S",
            "_sum_lambda",
            "d",
            "d_hat",
            "gamma",
            "option",
            "s",
            "step",
            "sum_dgamma_s2",
            "sum_gamma_g2",
            "sum_gamma_lambda2_g2",
            "sum_gamma_lambda_gs",
            "x0",
            "d0",
            "d_over_sum_d",
            "s_norm",
        ),
        steps=_algorithm_1,
        uses_optimum=False,
        schedule="any",
    ),
)
THEOREMS = (
    *STATED,
    *(of_the_best(t) for t in STATED if t.name in ("D3", "asymptotic_sharper")),
)
