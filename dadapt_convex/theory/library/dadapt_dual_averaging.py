"""Dual averaging with D-Adaptation.

    s_{k+1} = s_k + lambda_k g_k,    x_{k+1} = x_0 - gamma_{k+1} s_{k+1}
    lambda_k = d_k                                  times the schedule's factor, 1 by default
    gamma_{k+1} = 1/sqrt(S_k)                       plain step, gamma_0 = 1/||g_0||
    gamma_{k+1} = 1/sqrt(G^2 + S_k)                 modified step, gamma_0 = 1/G
    B = sum gamma_k lambda_k^2 ||g_k||^2
    C = sum gamma_k lambda_k <g_k, s_k>
    kappa = gamma_{n+1} sum gamma_k ||g_k||^2

Option I estimates D by `(gamma_{n+1} ||s_{n+1}||^2 - B)/(2 ||s_{n+1}||)`, option II by `C/||s_{n+1}||`. The
inequalities `I1`, `I2` and `I3` of dual averaging hold as they are. A theorem for any schedule holds for every
`lambda_k >= 0`.

Source: [DM23] A. Defazio, K. Mishchenko, Learning-rate-free learning by D-Adaptation, ICML 2023, arXiv:2301.07733,
Algorithm 1 and its analysis.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dadapt_convex.run import OptimumInterval, Run
from dadapt_convex.theory.assumptions import d0_at_most_D, hyper_is, subgradients_within_G
from dadapt_convex.theory.case import Case
from dadapt_convex.theory.rounded import plain
from dadapt_convex.theory.rows import first_row, last_row, s_not_zero, settled
from dadapt_convex.theory.statement import RATE, Sides, Unmet, formula, gap_sides, theorem
from dadapt_convex.theory.steps import Steps, d0, definition, dot, larger, norm, unless_zero
from dadapt_convex.theory.variants import of_the_best
from dadapt_convex.theory.verdict import NOT_APPLICABLE

DM23, OWN = "Defazio & Mishchenko 2023", "own"
MODIFIED = "modified"
# The limit theorem asks for ||x_{n+1} - u|| of at most a tenth of ||x_0 - u||: its left-hand side is then 0.9 of that.
NEAR = 0.1

# ---------------------------------------------------------------------------------------------------------
# Algorithm 1


@definition(
    "Algorithm 1: s_{k+1}, gamma_{k+1}, d_hat_{k+1}, d_{k+1} = max(d_k, d_hat_{k+1}), x_{k+1} and the "
    "weight lambda_k of x_k follow from the state at k",
    source=DM23, d=d0,
)  # fmt: skip
def definition_dadapt_dual_averaging(t: Steps) -> dict[str, Any]:
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


@formula("gamma_{n+1} = 1/sqrt(S_n), modified step 1/sqrt(G^2 + S_n)", source=DM23)
def definition_gamma(c: Case) -> Sides:
    G2 = c.hyper["G"] ** 2 if c.hyper["step"] == MODIFIED else 0.0
    return Sides(c.gamma, 1 / np.sqrt(G2 + c.S))


@formula("gamma_0 ||g_0||^2 = ||g_0||, modified step ||g_0||^2/G", source=DM23, rows=first_row)
def definition_gamma_0(c: Case) -> Sides:
    return Sides(c.sum_gamma_g2, c.g0_norm**2 / c.hyper["G"] if c.hyper["step"] == MODIFIED else c.g0_norm)


@formula("d_hat_{n+1} is the estimate of its option", source=DM23, rows=s_not_zero)
def definition_d_hat(c: Case) -> Sides:
    """Multiplied by the length of s, and with no difference of terms that would cancel."""
    if c.hyper["option"] == "II":
        return Sides(c.d_hat * c.s_norm, c.sum_gamma_lambda_gs)
    return Sides(2 * c.d_hat * c.s_norm + c.sum_gamma_lambda2_g2, c.gamma * c.s_norm**2)


@formula("d_{n+1} = max(d_0, d_1, ..., d_{n+1}): the estimate never decreases", source=DM23)
def definition_d(c: Case) -> Sides:
    return Sides(c.d, np.maximum.accumulate(np.maximum(c.d, c.hyper["d0"])))


@formula("x_k has the weight d_k in the average: the weights sum to sum d_k", source=DM23)
def definition_weights(c: Case) -> Sides:
    return Sides(c.weight_sum, c.d / c.d_over_sum_d)


# ---------------------------------------------------------------------------------------------------------
# d is a lower bound on D


def _after_the_first_if_plain(c: Case) -> Any:
    """`s_{n+1}` is not 0, and `n >= 1` with the plain step, whose `gamma_1 = gamma_0` makes both sides equal at 0."""
    return (c.s_norm > 0) & ((c.k > 1) | (c.hyper["step"] == MODIFIED))


@theorem(
    "the estimate of option I is at most that of option II: gamma_{n+1} ||s_{n+1}||^2 <= sum gamma_k "
    "lambda_k^2 ||g_k||^2 + 2 sum gamma_k lambda_k <g_k, s_k>",
    source=DM23, rows=_after_the_first_if_plain, uses_optimum=False, schedule="any",
)  # fmt: skip
def options(c: Case) -> Sides:
    """`I1`, whose last sum is not positive as gamma is nonincreasing:

    gamma_{n+1} ||s_{n+1}||^2 = B + 2 C + sum (gamma_{k+1} - gamma_k) ||s_{k+1}||^2
    """
    return Sides(c.gamma * c.s_norm**2, c.sum_gamma_lambda2_g2 + 2 * c.sum_gamma_lambda_gs)


@theorem("d_hat_{n+1} <= D and d_{n+1} <= D", source=DM23, assumptions=(d0_at_most_D,), schedule="any")
def L1(c: Case) -> Sides:
    """The gaps in `I2` are not negative, which bounds option II, and by `options` also option I:

    0 <= sum lambda_k gap_k <= D ||s_{n+1}|| - C
    d_hat_{n+1} <= C/||s_{n+1}|| <= D
    d_{n+1} = max(d_0, d_hat_1, ..., d_hat_{n+1}) <= D              d_0 <= D
    """
    return Sides(np.maximum(c.d, c.d_hat), c.D)


@theorem(
    "option I: d_hat_{n+1} <= 1/2 ||x_{n+1} - x_0||",
    source=OWN, assumptions=(hyper_is("option", "I"),), rows=s_not_zero, uses_optimum=False, schedule="any",
)  # fmt: skip
def L1_half_distance(c: Case) -> Sides:
    """Drop B in the estimate, and use the recursion for x:

    2 d_hat_{n+1} ||s_{n+1}|| = gamma_{n+1} ||s_{n+1}||^2 - B <= gamma_{n+1} ||s_{n+1}||^2
    ||x_{n+1} - x_0|| = gamma_{n+1} ||s_{n+1}||
    """
    return Sides(c.d_hat, 0.5 * c.x_next_dist)


# ---------------------------------------------------------------------------------------------------------
# s is bounded in terms of d


def kappa_of(c: Case) -> Any:
    """gamma_{n+1} sum_{k<=n} gamma_k ||g_k||^2."""
    return c.gamma * c.sum_gamma_g2


def growth_of(kappa: Any) -> Any:
    """1 + sqrt(1 + kappa)."""
    return 1 + np.sqrt(1 + kappa)


@theorem(
    "||s_{n+1}|| <= (d_{n+1}/gamma_{n+1}) (1 + sqrt(1 + kappa))",
    source=DM23, uses_optimum=False,
)  # fmt: skip
def D1(c: Case) -> Sides:
    """By `options`, the estimate of option I is at most `d_{n+1}` with either option:

    d = d_{n+1},  gamma = gamma_{n+1},  y = gamma ||s_{n+1}||,  q = gamma B
    gamma ||s_{n+1}||^2 - B <= 2 d ||s_{n+1}||
    y^2 <= 2 d y + q                                                times gamma
    q <= kappa d^2                                                  lambda_k = d_k <= d
    y <= d (1 + sqrt(1 + kappa))
    """
    return Sides(c.s_norm, c.d / c.gamma * growth_of(kappa_of(c)))


@theorem("||x_{n+1} - x_0|| <= d_{n+1} (1 + sqrt(1 + kappa))", source=OWN, uses_optimum=False)
def D1_distance(c: Case) -> Sides:
    """`D1` with `||x_{n+1} - x_0|| = gamma_{n+1} ||s_{n+1}||`."""
    return Sides(c.x_next_dist, c.d * growth_of(kappa_of(c)))


def _modified_within_G(run: Run, optimum: OptimumInterval) -> Unmet | None:
    """`||g_k|| <= G` with the modified step, for the G that the method was given."""
    return subgradients_within_G(run, optimum) if run.hyper["step"] == MODIFIED else None


@theorem(
    "sum gamma_k ||g_k||^2 <= 2 sqrt(S_n) + G^2/||g_0|| (modified step: without the last term)",
    source=DM23, assumptions=(_modified_within_G,), uses_optimum=False, schedule="any",
)  # fmt: skip
def D2(c: Case) -> Sides:
    """Compare `gamma_k`, which stops at `S_{k-1}`, with `1/sqrt(S_k)`:

        ||g_k||^2/sqrt(S_k) <= 2 (sqrt(S_k) - sqrt(S_{k-1}))            sums to at most 2 sqrt(S_n)
        ||g_k||^2 (1/sqrt(S_{k-1}) - 1/sqrt(S_k)) <= G^2 (1/sqrt(S_{k-1}) - 1/sqrt(S_k))
                                                                        k >= 1, sums to at most G^2/||g_0||

    The modified step has no second part, as `G^2 + S_{k-1} >= S_k`. For the plain step the second part is needed: on
    `max(-0.01 x, 10 (x - 1))` from 0 the left-hand side is 353 times `2 sqrt(S_n)` after three steps.
    """
    extra = 0.0 if c.hyper["step"] == MODIFIED else c.G**2 / c.g0_norm
    return Sides(c.sum_gamma_g2, 2 * np.sqrt(c.S) + extra)


@theorem(
    "kappa = gamma_{n+1} sum gamma_k ||g_k||^2 <= 2 for the modified step",
    source=DM23, assumptions=(hyper_is("step", MODIFIED), subgradients_within_G), uses_optimum=False, schedule="any",
)  # fmt: skip
def D1_kappa(c: Case) -> Sides:
    """`D2` without its last term:

    kappa <= 2 sqrt(S_n)/sqrt(G^2 + S_n) <= 2
    """
    return Sides(kappa_of(c), 2.0)


# ---------------------------------------------------------------------------------------------------------
# The gap at every n


def factor_of(kappa: Any) -> Any:
    """max(1 + sqrt(1 + kappa), (1 + kappa)/2)."""
    return np.maximum(growth_of(kappa), 0.5 * (1 + kappa))


@theorem(
    "f(x_avg) - f* <= D (d_{n+1}/sum d_k) (1/gamma_{n+1}) max(1 + sqrt(1 + kappa), (1 + kappa)/2)",
    source=OWN, kind=RATE, iterate="average", assumptions=(d0_at_most_D,), figure=True,
)  # fmt: skip
def D3(c: Case) -> Sides:
    """Maximise the right-hand side of `I3` under the constraint that `D1` is made of, in the letters of its proof:

        sum d_k gap_k <= (D y + q/2 - y^2/2)/gamma                      I3
        y^2 <= 2 d y + q
        y <= y* = d (1 + sqrt(1 + q/d^2)),  y*^2 = 2 d y* + q
        d <= D                                                          L1

    If `D >= y*`, the first line grows with y up to `y*`, where it is

        (D y* + q/2 - y*^2/2)/gamma = (D - d) y*/gamma <= D y*/gamma

    If `d <= D < y*`, it is largest at `y = D`, where it is `D/gamma` times `(D + q/D)/2`. This is convex in D, so at
    most its larger value at the two ends:

        (d + q/d)/2 = d (1 + q/d^2)/2                                   D = d
        (y* + q/y*)/2 = y* - d = d sqrt(1 + q/d^2)                      D = y*

    In each case, as `q/d^2 <= kappa`:

        sum d_k gap_k <= (D d/gamma) max(1 + sqrt(1 + kappa), (1 + kappa)/2)
    """
    return _D3_for(c, c.D)


D3_best = of_the_best(D3)


@theorem(
    "D3 for every d_0: f(x_avg) - f* <= max(D, d_0) (d_{n+1}/sum d_k) (1/gamma_{n+1}) "
    "max(1 + sqrt(1 + kappa), (1 + kappa)/2)",
    source=OWN, kind=RATE, iterate="average",
)  # fmt: skip
def D3_any_d0(c: Case) -> Sides:
    """The proof of `D3` reads two facts about D, and both hold for `max(D, d_0)` in its place: the right-hand side of
    `I3` grows with D, and

        d_{n+1} = max(d_0, d_hat_1, ..., d_hat_{n+1}) <= max(D, d_0)
    """
    return _D3_for(c, np.maximum(c.D, c.hyper["d0"]))


def _D3_for(c: Case, D: Any) -> Sides:
    return gap_sides(c, D * (c.d / c.weight_sum) / c.gamma * factor_of(kappa_of(c)))


@theorem(
    "f(x_avg) - f* <= D (d_{n+1}/sum d_k) ((1 + sqrt 3) sqrt(S_n) + 0.5 G^2/||g_0||); "
    "modified step: (1 + sqrt 3) sqrt(G^2 + S_n)",
    source=OWN, kind=RATE, iterate="average", assumptions=(d0_at_most_D, _modified_within_G),
)  # fmt: skip
def D3_a_priori(c: Case) -> Sides:
    """`D3` with kappa from `D2`. Modified step, where `kappa <= 2` and `1/gamma_{n+1} = sqrt(G^2 + S_n)`:

        max(1 + sqrt(3), 3/2) = 1 + sqrt(3)

    Plain step, where `1/gamma_{n+1} = sqrt(S_n)`; put `e = G^2/(||g_0|| sqrt(S_n))`:

        kappa <= 2 + e
        1 + sqrt(3 + e) <= 1 + sqrt(3) + e/(2 sqrt(3)) <= 1 + sqrt(3) + e/2
        (3 + e)/2 <= 1 + sqrt(3) + e/2
    """
    return gap_sides(c, c.D * (c.d / c.weight_sum) * _a_priori(c))


@theorem(
    "f(x_avg at t) - f* <= D (d_{t+1}/sum_{k<=t} d_k) times the last factor of D3_a_priori at n, "
    "t = argmin_{k<=n} d_{k+1}/sum_{i<=k} d_i",
    source=OWN, kind=RATE, iterate="selected", assumptions=(d0_at_most_D, _modified_within_G),
)  # fmt: skip
def D3_selected(c: Case) -> Sides:
    """`D3_a_priori` at `t <= n`: its last factor grows with n."""
    return _selected_gap(c, c.D * c.selected_ratio * _a_priori(c))


def _a_priori(c: Case) -> Any:
    """The bound that (D2) puts on the last two factors of (D3)."""
    if c.hyper["step"] == MODIFIED:
        return (1 + math.sqrt(3)) * np.sqrt(c.hyper["G"] ** 2 + c.S)
    return (1 + math.sqrt(3)) * np.sqrt(c.S) + 0.5 * c.G**2 / c.g0_norm


# ---------------------------------------------------------------------------------------------------------
# The asymptotic theorem at finite n


@theorem(
    "f(x_avg) - f* <= 4 (1 + sqrt 3) D G/sqrt(n+1) + 2 D G^2/((n+1) ||g_0||) for n >= 2 nhat, nhat the first k with "
    "d_k >= d_{n+1}/2; modified step: the first term times sqrt((n+2)/(n+1))",
    source=OWN, kind=RATE, iterate="average", assumptions=(d0_at_most_D, _modified_within_G), rows=settled,
)  # fmt: skip
def asymptotic_sharper(c: Case) -> Sides:
    """At least half of the weights are at least half of the last one; then `D3_a_priori`:

    sum d_k >= (n + 1 - nhat) d_{n+1}/2 >= (n+1) d_{n+1}/4          nhat <= n/2
    sqrt(S_n) <= G sqrt(n+1),  sqrt(G^2 + S_n) <= G sqrt(n+2)
    """
    G, n = _largest_gradient(c), c.n
    shift = np.sqrt((n + 2) / (n + 1)) if c.hyper["step"] == MODIFIED else 1.0
    first, second = 4 * (1 + math.sqrt(3)) * shift, 2.0
    return gap_sides(c, first * c.D * G / np.sqrt(n + 1) + second * c.D * G**2 / ((n + 1) * c.g0_norm))


asymptotic_sharper_best = of_the_best(asymptotic_sharper)


@theorem(
    "f(x_avg) - f* <= 12 D G/sqrt(n+1) + 8 D G^2/((n+1) ||g_0||) for n >= 2 nhat, "
    "nhat the first k with d_k >= d_{n+1}/2",
    source=f"{DM23}, constants own", kind=RATE, iterate="average", assumptions=(d0_at_most_D, _modified_within_G),
    rows=settled,
)  # fmt: skip
def asymptotic(c: Case) -> Sides:
    """The paper states `O(D G/sqrt(n+1))`. `asymptotic_sharper` is smaller: its `4 (1 + sqrt 3)` is 10.93, and with the
    modified step, where `G >= ||g_0||`,

        10.93 sqrt(n+2) <= 10.93 (sqrt(n+1) + 1/2) <= 12 sqrt(n+1) + 6 G/||g_0||

    Without its condition it is false: on `|x|` from 1 with `d_0 = 1e-6` it fails for n from 160 to 318.
    """
    G, n = _largest_gradient(c), c.n
    return gap_sides(c, 12 * c.D * G / np.sqrt(n + 1) + 8 * c.D * G**2 / ((n + 1) * c.g0_norm))


def _largest_gradient(c: Case) -> Any:
    """G: with the modified step the one it was given, else the largest norm seen."""
    return c.hyper["G"] if c.hyper["step"] == MODIFIED else c.G


# ---------------------------------------------------------------------------------------------------------
# The non-asymptotic theorem


@theorem(
    "rho = min_{k<=n} d_{k+1}/sum_{i<=k} d_i: rho (j + 1) (1 + rho)^(n - j) <= d_{n+1}/d_0 "
    "for every j <= n, here j + 1 = 1/ln(1 + rho), rounded; hence 1 + rho <= (e d_{n+1}/d_0)^(1/(n+1))",
    source=OWN, uses_optimum=False,
)  # fmt: skip
def non_asymptotic_lemma_sharper(c: Case) -> Sides:
    """Let `T_k = sum_{i<=k} d_i`. It grows by the factor `1 + rho` a step, at least:

        d_{k+1} >= rho T_k                                              k <= n
        T_{k+1} = T_k + d_{k+1} >= (1 + rho) T_k                        k < n
        T_j >= (j + 1) d_0                                              d_i >= d_0
        d_{n+1} >= rho T_n >= rho (1 + rho)^(n - j) (j + 1) d_0

    For the second inequality let `h = ln(1 + rho)`, and let `j + 1` be `1/h` rounded up: `(1 + u)/h` with
    `0 <= u < h`. If `j > n`, then `h < 1/(n+1)`, and the claim holds. If `j <= n`:

        rho (j + 1) (1 + rho)^(n - j) = (rho/h) (1 + u) exp(-u) exp(h (n + 1) - 1)
        (1 + u) exp(-u) >= (1 + h) exp(-h)                              it falls, and u < h
        (rho/h) (1 + h) exp(-h) = (1 + h) (1 - exp(-h))/h >= 1          exp(h) >= 1 + h
        exp(h (n + 1) - 1) <= d_{n+1}/d_0
    """
    rho, N = c.selected_ratio, c.n
    j = np.clip(np.round(1 / np.log1p(plain(rho))) - 1, 0, N)  # any j <= N will do
    return Sides(rho * (j + 1) * np.exp((N - j) * np.log1p(rho)), c.d / c.hyper["d0"])


def _lemma_rows(c: Case) -> Any:
    """`n + 1 >= 2 log2(d_{n+1}/d_0)`."""
    return c.k >= 2 * np.log2(c.d / c.hyper["d0"])


@theorem(
    "min_{k<=n} d_{k+1}/sum_{i<=k} d_i <= 4 log2+(d_{n+1}/d_0)/(n+1) for n+1 >= 2 log2(d_{n+1}/d_0), "
    "log2+(z) = max(1, log2 z)",
    source=DM23, rows=_lemma_rows, uses_optimum=False,
)  # fmt: skip
def non_asymptotic_lemma(c: Case) -> Sides:
    """Let `L = log2+(d_{n+1}/d_0)`, and suppose `rho > 4 L/(n+1)`. In `non_asymptotic_lemma_sharper` take `j + 1` as
    `(n+1)/2` rounded up, and `m = n - j`, which is `(n+1)/2` rounded down:

        rho (j + 1) > 2 L >= 2
        rho (j + 1) (1 + rho)^m <= d_{n+1}/d_0

    Either case contradicts the second line:

        rho >= 1:  2 * 2^m > 2^((n+1)/2) >= d_{n+1}/d_0                 n+1 >= 2 log2(d_{n+1}/d_0)
        rho < 1:   (1 + rho)^m >= 2^(rho m) > 2^(2 L - 1/2)             m >= n/2, rho (n+1)/2 > 2 L
                   2 * 2^(2 L - 1/2) > 2^L >= d_{n+1}/d_0
    """
    return Sides(c.selected_ratio, 4 * log2_plus(c.d / c.hyper["d0"]) / c.k)


def log2_plus(z: Any) -> Any:
    """max(1, log2 z)."""
    return np.maximum(1.0, np.log2(z))


@theorem(
    "f(x_avg at t) - f* <= (1 + sqrt 3) D G sqrt(n+2) ((e D/d_0)^(1/(n+1)) - 1), "
    "t = argmin_{k<=n} d_{k+1}/sum_{i<=k} d_i, modified step; "
    "for n + 1 >= 1 + ln(D/d_0) at most 4.7 sqrt((n+2)/(n+1)) D G (1 + ln(D/d_0))/sqrt(n+1)",
    source=OWN, kind=RATE, iterate="selected",
    assumptions=(hyper_is("step", MODIFIED), subgradients_within_G, d0_at_most_D),
)  # fmt: skip
def non_asymptotic_sharper(c: Case) -> Sides:
    """`D3_a_priori` at t, with the ratio from `non_asymptotic_lemma_sharper`; let `w = (1 + ln(D/d_0))/(n+1)`:

    d_{t+1}/sum_{k<=t} d_k <= (e d_{n+1}/d_0)^(1/(n+1)) - 1 <= exp(w) - 1       L1
    sqrt(G^2 + S_t) <= G sqrt(n+2)
    exp(w) - 1 <= (e - 1) w                                         w <= 1
    (1 + sqrt 3) (e - 1) < 4.7
    """
    ratio = np.expm1((1 + np.log(c.D / c.hyper["d0"])) / c.k)
    return _selected_gap(c, (1 + math.sqrt(3)) * c.D * c.hyper["G"] * np.sqrt(c.n + 2) * ratio)


def _enough_steps(c: Case) -> Any:
    """`n >= 2 log2(d_{n+1}/d_0)`, which `n >= 2 log2(D/d_0)` implies."""
    return c.n >= 2 * np.log2(c.d / c.hyper["d0"])


@theorem(
    "f(x_avg at t) - f* <= 16 D G log2+(D/d_0)/sqrt(n+1), t = argmin_{k<=n} d_{k+1}/sum_{i<=k} d_i, "
    "n >= 2 log2(D/d_0), modified step; above D G until n is about 256 log2+(D/d_0)^2",
    source=DM23, kind=RATE, iterate="selected",
    assumptions=(hyper_is("step", MODIFIED), subgradients_within_G, d0_at_most_D), rows=_enough_steps,
)  # fmt: skip
def non_asymptotic(c: Case) -> Sides:
    """`D3_a_priori` at t, with the ratio from `non_asymptotic_lemma`:

    d_{t+1}/sum_{k<=t} d_k <= 4 log2+(d_{n+1}/d_0)/(n+1) <= 4 log2+(D/d_0)/(n+1)        L1
    sqrt(G^2 + S_t) <= G sqrt(n+2)
    4 (1 + sqrt 3) sqrt((n+2)/(n+1)) <= 10.93 sqrt(2) < 16
    """
    return _selected_gap(c, 16.0 * c.D * c.hyper["G"] * log2_plus(c.D / c.hyper["d0"]) / np.sqrt(c.n + 1))


def _selected_gap(c: Case, bound: Any) -> Sides:
    """The gap of the average at t against its bound."""
    return gap_sides(c, bound, gap=c.f_selected - c.f_star)


# ---------------------------------------------------------------------------------------------------------
# The limit of d


def _near_the_minimiser(run: Run, optimum: OptimumInterval) -> Unmet | None:
    """`x_{n+1}` is near the computed minimiser."""
    distance = float(np.linalg.norm(optimum.x - run.x0))
    left = float(np.linalg.norm(run.x_next - optimum.x))
    if left <= NEAR * distance:
        return None
    note = f"needs convergence to the minimiser: ||x_n - x*|| is {left:.3g}, ||x0 - x*|| is {distance:.3g}"
    return Unmet(NOT_APPLICABLE, note)


@theorem(
    "||u - x_0|| - ||x_{n+1} - u|| <= d_{n+1} (1 + sqrt(1 + kappa)), u the computed minimiser; "
    "hence x_n -> x* implies lim d_n >= D/(1 + sqrt 3) with the modified step, and with the plain step if S_n grows "
    "without bound",
    source=DM23, assumptions=(_near_the_minimiser,), rows=last_row,
)  # fmt: skip
def limit(c: Case) -> Sides:
    """`D1_distance` and the triangle inequality, for every u:

        ||u - x_0|| - ||x_{n+1} - u|| <= ||x_{n+1} - x_0|| <= d_{n+1} (1 + sqrt(1 + kappa))

    For the limit let u be the limit of `x_n`, which is at least D away from `x_0`. With the modified step
    `kappa <= 2`, by `D1_kappa`. With the plain step, by `D2`, `kappa <= 2 + G^2/(||g_0|| sqrt(S_n))`, which tends to 2
    where `S_n` grows without bound.
    """
    u = c.optimum.x
    start, left = float(np.linalg.norm(u - c.run.x0)), float(np.linalg.norm(c.run.x_next - u))
    rounding = c.x_next_dist - plain(c.x_next_dist)  # 0, with the rounding error of the distances
    return Sides(start, c.d * growth_of(kappa_of(c)) + left + rounding)
