"""The subgradient method, and Polyak's step.

    x_{k+1} = x_k - h_k g_k

R is the D that the method was given, and N the number of steps that its steps were made for. The theorems hold for
every `D = ||x_0 - x*||`, and for `R = D` they read as in the papers.

Sources: N. Z. Shor, Minimization Methods for Non-Differentiable Functions, Springer, 1985. Y. Drori, M. Teboulle, An
optimal variant of Kelley's cutting-plane method, Math. Programming 160, 2016. M. Zamani, F. Glineur, Exact convergence
rate of the last iterate in subgradient methods, arXiv:2307.11134. B. T. Polyak, Minimization of unsmooth functionals,
USSR Comput. Math. Math. Phys. 9, 1969.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dadapt_convex.run import OptimumInterval, Run
from dadapt_convex.theory.assumptions import subgradients_within_G
from dadapt_convex.theory.case import Case
from dadapt_convex.theory.rounded import rounded
from dadapt_convex.theory.rows import has_weight
from dadapt_convex.theory.statement import RATE, Sides, Unmet, formula, gap_sides, theorem
from dadapt_convex.theory.steps import Steps, definition, dot
from dadapt_convex.theory.variants import for_the_best_point, of_the_best
from dadapt_convex.theory.verdict import NOT_APPLICABLE

SHOR, ZG23, POLYAK = "Shor 1985", "Zamani & Glineur 2023", "Polyak 1969"

# ---------------------------------------------------------------------------------------------------------
# The subgradient method, and its average


@definition(
    "x_{k+1} = x_k - h_k g_k, h_k = gamma_k R/(G sqrt(N)), with schedule 1/sqrt(k+1): gamma_k R/G; "
    "x_k has the weight h_k",
    source=SHOR,
)
def definition_subgradient(t: Steps) -> dict[str, Any]:
    R, G, N = t.hyper["D"], t.hyper["G"], t.hyper["N"]
    h = t.factor * R / G if N is None else t.factor * R / (G * np.sqrt(N))
    return {"h": h, "x_next": t.x - h * t.g, "weight": h}


@formula("h_n = R / (G sqrt(N))", source=SHOR, schedule="constant")
def definition_constant_step(c: Case) -> Sides:
    return Sides(c.h, c.hyper["D"] / (c.hyper["G"] * np.sqrt(c.hyper["N"])))


@formula("h_n = R / (G sqrt(n+1))", source=SHOR, schedule="inverse_sqrt")
def definition_inverse_sqrt_step(c: Case) -> Sides:
    return Sides(c.h, c.hyper["D"] / (c.hyper["G"] * np.sqrt(c.k)))


@theorem(
    "sum w_k (f(x_k) - f*) <= D^2/2 + 1/2 sum w_k^2 ||g_k||^2, for steps w_k = h_k",
    source=SHOR, iterate="average", schedule="any", rows=has_weight, comparator=True,
)  # fmt: skip
def basic_inequality(c: Case) -> Sides:
    """Expand the square of the distance, and sum:

    ||x_{k+1} - x*||^2 = ||x_k - x*||^2 - 2 h_k <g_k, x_k - x*> + h_k^2 ||g_k||^2
    gap_k <= <g_k, x_k - x*>                                        g_k is a subgradient
    2 sum h_k gap_k <= D^2 - ||x_{n+1} - x*||^2 + sum h_k^2 ||g_k||^2
    """
    return gap_sides(c, (0.5 * c.D**2 + 0.5 * c.sum_w2_g2) / c.weight_sum)


basic_inequality_comparator = for_the_best_point(basic_inequality)


@theorem(
    "f(x_avg) - f* <= D^2/(2 h k) + h G^2/2 after any k steps of h = R/(G sqrt(N))",
    source=SHOR, kind=RATE, iterate="average", assumptions=(subgradients_within_G,), figure=True, comparator=True,
)  # fmt: skip
def subgradient_any_k(c: Case) -> Sides:
    """The basic inequality with equal steps, divided by `h k`:

    h sum gap_k <= D^2/2 + k h^2 G^2/2                              ||g_k|| <= G
    """
    R, G, N = c.hyper["D"], c.hyper["G"], c.hyper["N"]
    h = R / (G * np.sqrt(N))
    return gap_sides(c, c.D**2 / (2 * h * c.k) + 0.5 * h * G**2)


subgradient_any_k_best = of_the_best(subgradient_any_k)


def _after_N_steps(c: Case) -> Any:
    """`n + 1 = N`."""
    return c.k == c.hyper["N"]


@theorem(
    "f(x_avg) - f* <= (D^2/R + R) G / (2 sqrt(N)) after N steps of h = R/(G sqrt(N)); D G / sqrt(N) for R = D",
    source="Shor 1985; tight, Drori & Teboulle 2016", kind=RATE, iterate="average",
    assumptions=(subgradients_within_G,), rows=_after_N_steps, comparator=True,
)  # fmt: skip
def subgradient_rate(c: Case) -> Sides:
    """`subgradient_any_k` at `k = N`:

        D^2/(2 h N) = D^2 G/(2 R sqrt(N))
        h G^2/2     = R G/(2 sqrt(N))

    For `R = D` no method that moves in the span of its subgradients does better: Drori and Teboulle's function,
    `max(G max_{i<=N} x_i, G ||x|| - D G (1 + 1/sqrt(N)))` from 0, shows each of them one new coordinate a step, and
    leaves a gap of at least `D G/sqrt(N)`.
    """
    R, G, N = c.hyper["D"], c.hyper["G"], c.hyper["N"]
    return gap_sides(c, 0.5 * (c.D**2 / R + R) * G / np.sqrt(N))


subgradient_rate_best = of_the_best(subgradient_rate)


@theorem(
    "f(x_avg) - f* <= G (D^2/R + R H_{n+1}) / (2 sum_{k<=n} 1/sqrt(k+1)), H the harmonic number; "
    "D G (1 + H_{n+1}) / (2 sum 1/sqrt(k+1)) for R = D",
    source="own", kind=RATE, iterate="average", assumptions=(subgradients_within_G,), schedule="inverse_sqrt",
    figure=True, comparator=True,
)  # fmt: skip
def subgradient_inverse_sqrt_rate(c: Case) -> Sides:
    """The basic inequality with `h_k = R/(G sqrt(k+1))`, divided by the sum of the weights:

    sum h_k^2 ||g_k||^2 <= R^2 sum 1/(k+1) = R^2 H_{n+1}
    sum h_k = (R/G) sum 1/sqrt(k+1)
    """
    R, G = c.hyper["D"], c.hyper["G"]
    return gap_sides(c, G * (c.D**2 / R + R * _harmonic(c.k, 1.0)) / (2 * _harmonic(c.k, 0.5)))


subgradient_inverse_sqrt_rate_best = of_the_best(subgradient_inverse_sqrt_rate)


def _harmonic(k: Any, power: float) -> Any:
    """sum_{i<=k} i^-power at each k."""
    return np.cumsum(rounded(np.arange(1, int(k[-1]) + 1) ** -power))[k.astype(np.int64) - 1]


# ---------------------------------------------------------------------------------------------------------
# The last iterate


@definition("x_{k+1} = x_k - h_k g_k, h_k = gamma_k R (N - 1 - k)/(G N^{3/2})", source=ZG23)
def definition_subgradient_last_iterate(t: Steps) -> dict[str, Any]:
    R, G, N = t.hyper["D"], t.hyper["G"], t.hyper["N"]
    h = t.factor * R * np.maximum(N - 1 - t.k, 0) / (G * np.power(N, 1.5))
    return {"h": h, "x_next": t.x - h * t.g, "weight": np.ones_like(t.k)}


@formula("h_n = R (N - 1 - n) / (G N^{3/2})", source=ZG23, schedule="constant")
def definition_decreasing_step(c: Case) -> Sides:
    R, G, N = c.hyper["D"], c.hyper["G"], c.hyper["N"]
    return Sides(c.h, R * np.maximum(N - c.k, 0) / (G * N**1.5))


@theorem(
    "f(x_n) - f* <= (D^2/R + R) G / (2 sqrt(N)) after N steps, R the D given to the method; D G / sqrt(N) for R = D",
    source="Zamani & Glineur 2023; own for R other than D", kind=RATE, iterate="last",
    assumptions=(subgradients_within_G,), rows=_after_N_steps, figure=True,
)  # fmt: skip
def last_iterate_rate(c: Case) -> Sides:
    """Compare each iterate with a moving point in place of the minimiser:

        c = R/(G N^{3/2}),    h_k = c (N - 1 - k)
        v_k = 1/(N - 1 - k) for k = -1, ..., N - 2,    v_{N-1} = v_{N-2}
        z_{-1} = x*,    v_k z_k = v_{k-1} z_{k-1} + (v_k - v_{k-1}) x_k
        x_k - z_k = (v_{k-1}/v_k) (x_k - z_{k-1})

    By the last line the basic inequality against `z_k`, times `v_k^2`, telescopes. The step at the last point may have
    any length, as nothing is read behind it: take `c` there, so that `h_k v_k = c` for all k.

        v_{k+1}^2 ||x_{k+1} - z_{k+1}||^2 <= v_k^2 ||x_k - z_k||^2 - 2 c v_k (f(x_k) - f(z_k)) + c^2 G^2
        2 c sum_{k<N} v_k (f(x_k) - f(z_k)) <= v_{-1}^2 D^2 + N c^2 G^2
        v_k (f(z_k) - f*) <= sum_{i<=k} (v_i - v_{i-1}) gap_i           f is convex

    Put the third line into the second. The factor of `2 c gap_i` becomes `v_i - (v_i - v_{i-1}) (N - i)`, which is 0
    before the last point and 1 there. With `v_{-1} = 1/N`:

        2 c gap_{N-1} <= D^2/N^2 + N c^2 G^2
        gap_{N-1} <= (D^2/R + R) G/(2 sqrt(N))
    """
    R, G, N = c.hyper["D"], c.hyper["G"], c.hyper["N"]
    return gap_sides(c, 0.5 * (c.D**2 / R + R) * G / np.sqrt(N), gap=c.f - c.f_star)


# ---------------------------------------------------------------------------------------------------------
# Polyak's step; delta = f* - f_star, f_star the minimum that the method was given


@definition(
    "x_{k+1} = x_k - h_k g_k, h_k = gamma_k (f(x_k) - f_star)/||g_k||^2, and x_k has the weight gamma_k", source=POLYAK
)
def definition_polyak(t: Steps) -> dict[str, Any]:
    gap, g2 = t.f - t.hyper["f_star"], dot(t.g, t.g)
    h = np.where(g2.value > 0, t.factor * gap / g2, 0.0)
    return {
        "h": h, "x_next": t.x - h * t.g, "weight": t.factor, "sum_gap2": t.sum_gap2 + gap**2, "sum_h": t.sum_h + h,
        "sum_h_gap": t.sum_h_gap + (2 - t.factor) * h * gap,
    }  # fmt: skip


def _steps_not_negative(c: Case) -> Any:
    """no `f(x_k)` was below `f_star`, so that every `h_k >= 0`."""
    return c.f_best >= c.hyper["f_star"]


@theorem(
    "sum h_k (2 (f(x_k) - f*) - gamma_k (f(x_k) - f_star)) <= D^2, for every schedule gamma and every "
    "f_star <= f(x_k)",
    source="own", rows=_steps_not_negative, schedule="any",
)  # fmt: skip
def polyak_inequality(c: Case) -> Sides:
    """The basic inequality, whose proof multiplies `gap_k` by `h_k >= 0`, with the step put in:

    2 sum h_k gap_k <= D^2 + sum h_k^2 ||g_k||^2
    h_k^2 ||g_k||^2 = gamma_k h_k (f(x_k) - f_star)
    """
    moved = 2 * (c.hyper["f_star"] - c.f_star) * c.sum_h
    return Sides(c.sum_h_gap + moved, c.D**2)


def _f_star_known(run: Run, optimum: OptimumInterval) -> Unmet | None:
    """`f_lo <= f_star <= f_hi`."""
    f_star = run.hyper["f_star"]
    if optimum.f_lo <= f_star <= optimum.f_hi:
        return None
    note = f"needs f_star = f*: {f_star!r} is not in [{optimum.f_lo!r}, {optimum.f_hi!r}]"
    return Unmet(NOT_APPLICABLE, note)


def _above_delta(c: Case) -> Any:
    """every gap so far is at least `|delta|`, wherever `f*` lies in its interval."""
    return c.f_best >= 2 * c.optimum.f_hi - c.hyper["f_star"]


@theorem(
    "sum (f(x_k) - f*)^2 <= D^2 G^2 + (n+1) delta^2, delta = f* - f_star",
    source=POLYAK, assumptions=(_f_star_known,), rows=_above_delta,
)  # fmt: skip
def polyak_sum_of_squares(c: Case) -> Sides:
    """`polyak_inequality` with `gamma = 1`, where `h_k = (gap_k + delta)/||g_k||^2`:

        sum h_k (gap_k - delta) <= D^2
        sum (gap_k^2 - delta^2)/||g_k||^2 <= D^2
        sum (gap_k^2 - delta^2) <= D^2 G^2                              every gap_k >= |delta|

    It is attained on `|x|`. Below `|delta|` the last line may fail, as a negative term is made larger by dropping its
    denominator: the theorem is silent there.
    """
    delta = c.f_star - c.hyper["f_star"]
    lhs = c.sum_gap2 - c.k * delta * (2 * c.gap_mean + delta)
    return Sides(lhs, c.D**2 * c.G**2 + c.k * delta**2)


@theorem(
    "f(x_avg) - f* <= sqrt(D^2 G^2/(n+1) + delta^2), delta = f* - f_star; D G / sqrt(n+1) for delta = 0",
    source=POLYAK, kind=RATE, iterate="average", assumptions=(_f_star_known,), rows=_above_delta, figure=True,
)  # fmt: skip
def polyak_rate(c: Case) -> Sides:
    """The mean of the gaps is at most the root of their mean square, which `polyak_sum_of_squares` bounds."""
    delta = c.f_star - c.hyper["f_star"]
    return gap_sides(c, np.sqrt(c.D**2 * c.G**2 / c.k + delta**2))


polyak_rate_best = of_the_best(polyak_rate)
