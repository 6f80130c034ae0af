"""The subgradient method x_{k+1} = x_k - h_k g_k with known D and G, and Polyak's step.

Basic inequality: ||x_{k+1} - x*||^2 = ||x_k - x*||^2 - 2 h_k <g_k, x_k - x*> + h_k^2 ||g_k||^2 and
<g_k, x_k - x*> >= gap_k give sum h_k gap_k <= D^2/2 + 1/2 sum h_k^2 ||g_k||^2. With R the D that the method was
given, h = R/(G sqrt N) makes it D^2/(2 h k) + h G^2/2 per step after k steps, (D^2/R + R) G/(2 sqrt N) after N;
h_k = R/(G sqrt(k+1)) makes it G (D^2/R + R H_{n+1}) / (2 sum 1/sqrt(k+1)).

Last iterate [Zamani & Glineur 2023]: R G/sqrt(N) for every D <= R. For D > R: the worst gap over all convex G-Lipschitz
functions, for given steps, is the value of a maximisation whose objective is linear in f values and Gram matrix and
whose constraints are convex with D^2 as a right-hand side, so it is concave in D^2 and not negative at 0: it grows at
most like D^2, to (D^2/R^2) R G/sqrt(N).

Polyak: with h_k = gamma_k (f(x_k) - f_star)/||g_k||^2 and h_k^2 ||g_k||^2 = gamma_k h_k (f(x_k) - f_star), the same
line summed is sum h_k (2 (f(x_k) - f*) - gamma_k (f(x_k) - f_star)) <= D^2 for every schedule while h_k >= 0. With
gamma = 1 and f_star = f* - delta it reads sum (gap_k^2 - delta^2)/||g_k||^2 <= D^2, and where all gap_k >= |delta|, sum
gap_k^2 <= D^2 G^2 + (n+1) delta^2, and the mean gap is at most the root of the mean square. Below |delta| the
denominators cannot be dropped, so these two speak only of checkpoints up to which every f(x_k) - f_hi was at least
f_hi - f_star.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dadapt_convex.run import OptimumInterval, Run
from dadapt_convex.theory.rounded import rounded
from dadapt_convex.theory.steps import Steps, definition, dot
from dadapt_convex.theory.theorem import (
    DEFINITION,
    NOT_APPLICABLE,
    RATE,
    Case,
    Sides,
    Theorem,
    Unmet,
    gap_sides,
    has_weight,
    of_the_best,
    of_the_run,
    subgradients_within_G,
)


def _harmonic(k: np.ndarray, power: float) -> Any:
    """sum_{i<=k} i^-power at each k."""
    return np.cumsum(rounded(np.arange(1, int(k[-1]) + 1) ** -power))[k.astype(np.int64) - 1]


def _basic(c: Case) -> Sides:
    return gap_sides(c, (0.5 * c.D**2 + 0.5 * c.sum_w2_g2) / c.weight_sum)


def _constant_any_k(c: Case) -> Sides:
    R, G, N = c.hyper["D"], c.hyper["G"], c.hyper["N"]
    h = R / (G * np.sqrt(N))
    return gap_sides(c, c.D**2 / (2 * h * c.k) + 0.5 * h * G**2)


def _constant_at_N(c: Case) -> Sides:
    R, G, N = c.hyper["D"], c.hyper["G"], c.hyper["N"]
    return gap_sides(c, 0.5 * (c.D**2 / R + R) * G / np.sqrt(N))


def _inverse_sqrt(c: Case) -> Sides:
    R, G = c.hyper["D"], c.hyper["G"]
    return gap_sides(c, G * (c.D**2 / R + R * _harmonic(c.k, 1.0)) / (2 * _harmonic(c.k, 0.5)))


def _last(c: Case) -> Sides:
    R, G, N = c.hyper["D"], c.hyper["G"], c.hyper["N"]
    return gap_sides(c, np.maximum(R, c.D**2 / R) * G / np.sqrt(N), gap=c.f - c.f_star)


def _after_N_steps(c: Case) -> np.ndarray:
    return c.k == c.hyper["N"]


def _f_star_known(run: Run, optimum: OptimumInterval) -> Unmet | None:
    """The f_star given to the method lies in [f_lo, f_hi]."""
    f_star = run.hyper["f_star"]
    if optimum.f_lo <= f_star <= optimum.f_hi:
        return None
    note = f"needs f_star = f*: {f_star!r} is not in [{optimum.f_lo!r}, {optimum.f_hi!r}]"
    return Unmet(NOT_APPLICABLE, note)


def _polyak(c: Case) -> Sides:
    delta = c.f_star - c.hyper["f_star"]
    return gap_sides(c, np.sqrt(c.D**2 * c.G**2 / c.k + delta**2))


def _above_delta(c: Case) -> np.ndarray:
    """Every gap so far is at least |f* - f_star|, wherever f* lies in its interval."""
    return c.f_best >= 2 * c.optimum.f_hi - c.hyper["f_star"]


def _steps_not_negative(c: Case) -> Any:
    """No f(x_k) was below f_star, so that every h_k >= 0."""
    return c.f_best >= c.hyper["f_star"]


def _polyak_inequality(c: Case) -> Sides:
    moved = 2 * (c.hyper["f_star"] - c.f_star) * c.sum_h
    return Sides(c.sum_h_gap + moved, c.D**2)


def _constant_step(c: Case) -> Sides:
    return Sides(c.h, c.hyper["D"] / (c.hyper["G"] * np.sqrt(c.hyper["N"])))


def _inverse_sqrt_step(c: Case) -> Sides:
    return Sides(c.h, c.hyper["D"] / (c.hyper["G"] * np.sqrt(c.k)))


def _decreasing_step(c: Case) -> Sides:
    R, G, N = c.hyper["D"], c.hyper["G"], c.hyper["N"]
    return Sides(c.h, R * np.maximum(N - c.k, 0) / (G * N**1.5))


def _polyak_squares(c: Case) -> Sides:
    delta = c.f_star - c.hyper["f_star"]
    lhs = c.sum_gap2 - c.k * delta * (2 * c.gap_mean + delta)
    return Sides(lhs, c.D**2 * c.G**2 + c.k * delta**2)


@definition()
def _subgradient_method(t: Steps) -> dict[str, Any]:
    R, G, N = t.hyper["D"], t.hyper["G"], t.hyper["N"]
    h = t.factor * R / G if N is None else t.factor * R / (G * np.sqrt(N))
    return {"h": h, "x_next": t.x - h * t.g, "weight": h}


@definition()
def _decreasing_steps(t: Steps) -> dict[str, Any]:
    R, G, N = t.hyper["D"], t.hyper["G"], t.hyper["N"]
    h = t.factor * R * np.maximum(N - 1 - t.k, 0) / (G * np.power(N, 1.5))
    return {"h": h, "x_next": t.x - h * t.g, "weight": np.ones_like(t.k)}


@definition()
def _polyak_steps(t: Steps) -> dict[str, Any]:
    gap, g2 = t.f - t.hyper["f_star"], dot(t.g, t.g)
    h = np.where(g2.value > 0, t.factor * gap / g2, 0.0)
    return {
        "h": h, "x_next": t.x - h * t.g, "weight": t.factor, "sum_gap2": t.sum_gap2 + gap**2, "sum_h": t.sum_h + h,
        "sum_h_gap": t.sum_h_gap + (2 - t.factor) * h * gap,
    }  # fmt: skip


STATED: tuple[Theorem, ...] = (
    Theorem(
        name="basic_inequality",
        statement="sum w_k (f(x_k) - f*) <= D^2/2 + 1/2 sum w_k^2 ||g_k||^2, for steps w_k = h_k",
        source="Shor 1985",
        needs=(),
        sides=_basic,
        iterate="average",
        schedule="any",
        rows=has_weight,
        comparator=True,
    ),
    Theorem(
        name="subgradient_rate",
        kind=RATE,
        statement="f(x_avg) - f* <= (D^2/R + R) G / (2 sqrt(N)) after N steps of h = R/(G sqrt(N)); "
        "D G / sqrt(N) for R = D",
        source="Shor 1985; tight, Drori & Teboulle 2016",
        needs=("D", "G", "N"),
        sides=_constant_at_N,
        iterate="average",
        assumptions=(subgradients_within_G,),
        rows=_after_N_steps,
        comparator=True,
    ),
    Theorem(
        name="subgradient_any_k",
        kind=RATE,
        statement="f(x_avg) - f* <= D^2/(2 h k) + h G^2/2 after any k steps of h = R/(G sqrt(N))",
        source="Shor 1985",
        needs=("D", "G", "N"),
        sides=_constant_any_k,
        iterate="average",
        assumptions=(subgradients_within_G,),
        figure=True,
        comparator=True,
    ),
    Theorem(
        name="subgradient_inverse_sqrt_rate",
        kind=RATE,
        statement="f(x_avg) - f* <= G (D^2/R + R H_{n+1}) / (2 sum_{k<=n} 1/sqrt(k+1)); "
        "D G (1 + H_{n+1}) / (2 sum 1/sqrt(k+1)) for R = D",
        source="own",
        needs=("D", "G"),
        sides=_inverse_sqrt,
        iterate="average",
        assumptions=(subgradients_within_G,),
        schedule="inverse_sqrt",
        figure=True,
        comparator=True,
    ),
    Theorem(
        name="last_iterate_rate",
        kind=RATE,
        statement="f(x_n) - f* <= max(R, D^2/R) G / sqrt(N) after N steps, R the D given to the method; "
        "D G / sqrt(N) for R = D",
        source="Zamani & Glineur 2023; own for R < D",
        needs=("D", "G", "N"),
        sides=_last,
        iterate="last",
        assumptions=(subgradients_within_G,),
        rows=_after_N_steps,
        figure=True,
    ),
    Theorem(
        name="polyak_rate",
        kind=RATE,
        statement="f(x_avg) - f* <= sqrt(D^2 G^2/(n+1) + delta^2), delta = f* - f_star; D G / sqrt(n+1) for delta = 0",
        source="Polyak 1969",
        needs=("f_star",),
        sides=_polyak,
        iterate="average",
        assumptions=(_f_star_known,),
        rows=_above_delta,
        figure=True,
    ),
    Theorem(
        name="polyak_sum_of_squares",
        statement="sum (f(x_k) - f*)^2 <= D^2 G^2 + (n+1) delta^2",
        source="Polyak 1969; attained by |x|",
        needs=("f_star", "sum_gap2"),
        sides=_polyak_squares,
        assumptions=(_f_star_known,),
        rows=_above_delta,
    ),
    Theorem(
        name="polyak_inequality",
        statement="sum h_k (2 (f(x_k) - f*) - gamma_k (f(x_k) - f_star)) <= D^2, for every schedule gamma and "
        "every f_star <= f(x_k)",
        source="own",
        needs=("f_star", "sum_h", "sum_h_gap"),
        sides=_polyak_inequality,
        rows=_steps_not_negative,
        schedule="any",
    ),
    Theorem(
        name="definition_constant_step",
        kind=DEFINITION,
        statement="h_n = R / (G sqrt(N))",
        source="Shor 1985",
        needs=("D", "G", "N", "h"),
        sides=_constant_step,
        relation="=",
        uses_optimum=False,
    ),
    Theorem(
        name="definition_inverse_sqrt_step",
        kind=DEFINITION,
        statement="h_n = R / (G sqrt(n+1))",
        source="Shor 1985",
        needs=("D", "G", "h"),
        sides=_inverse_sqrt_step,
        relation="=",
        schedule="inverse_sqrt",
        uses_optimum=False,
    ),
    Theorem(
        name="definition_decreasing_step",
        kind=DEFINITION,
        statement="h_n = R (N - 1 - n) / (G N^{3/2})",
        source="Zamani & Glineur 2023",
        needs=("D", "G", "N", "h"),
        sides=_decreasing_step,
        relation="=",
        uses_optimum=False,
    ),
    Theorem(
        name="definition_subgradient",
        kind=DEFINITION,
        statement="x_{k+1} = x_k - h_k g_k, h_k = gamma_k R/(G sqrt(N)), with schedule 1/sqrt(k+1): gamma_k R/G; "
        "x_k has the weight h_k",
        source="Shor 1985",
        needs=("D", "G", "N", "h"),
        steps=_subgradient_method,
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="definition_subgradient_last_iterate",
        kind=DEFINITION,
        statement="x_{k+1} = x_k - h_k g_k, h_k = gamma_k R (N - 1 - k)/(G N^{3/2})",
        source="Zamani & Glineur 2023",
        needs=("D", "G", "N", "h"),
        steps=_decreasing_steps,
        schedule="any",
        uses_optimum=False,
    ),
    Theorem(
        name="definition_polyak",
        kind=DEFINITION,
        statement="x_{k+1} = x_k - h_k g_k, h_k = gamma_k (f(x_k) - f_star)/||g_k||^2, and x_k has the weight gamma_k",
        source="Polyak 1969",
        needs=("f_star", "sum_gap2", "sum_h", "sum_h_gap", "h"),
        steps=_polyak_steps,
        schedule="any",
        uses_optimum=False,
    ),
)
THEOREMS = (
    *STATED,
    *(of_the_best(t) for t in STATED if t.kind == RATE and t.iterate == "average"),
    *(of_the_run(t) for t in STATED if t.name in ("basic_inequality",)),
)
