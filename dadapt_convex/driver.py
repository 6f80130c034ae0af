"""The loop: oracle, averages, best iterate, step; compiled once for all methods and problems.

x_k and x_{k+1} are the rows k and k + 1 (mod 2) of `iterates`, so a run can stop and go on anywhere. What is
counted and recorded is in `totals`, at the indices named below.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dadapt_convex.oracle import FASTMATH, Kernel, helper, signature
from dadapt_convex.transitions import write_after, write_before
from dadapt_convex.vector import add_exactly, add_scaled, copy, distance_and_product, dot, move_average

# Sums that are read take two places each: the sum, and what rounding took from it (vector.add_exactly), see `total`.
# Weights w_i are those of the average; a point of weight 0 adds nothing to what rounding may have done.
F = 0  # f(x_k)
G2 = 1  # ||g_k||^2
G2_MAX = 2  # max_{i<=k} ||g_i||^2
F_BEST = 3  # min_{i<=k} f(x_i)
X_DIST2 = 4  # ||x_k - x0||^2
X_DIST2_BEST = 5  # the same where f was least
X_DIST2_MAX = 6  # the largest
X_DIST2_WEIGHED = 7  # the largest of those with a weight
W = 8  # w_k
SELECTED = 9  # min_{i<=k} of the scalar that selects an averaged iterate
SELECTED_AT = 10  # where it is attained: the paper's t
G0_2 = 11  # ||g_0||^2
DONE = 12  # iterations done, written with everything else: what k is after Ctrl-C
DECAYS = 13  # 1 with weight decay: then a subgradient of 0 ends nothing, as g + w x is not 0
AVERAGES = 14  # 1 where the output is the weighted average, 0 where it is the last iterate
WG2 = 15  # ||s_k||^2, s_k = sum_{i<=k} w_i g_i
X0_NORM = 16  # ||x0||, written before the run
S = 17  # sum ||g_i||^2
WEIGHT = 19  # sum w_i
W_F = 21  # sum w_i f(x_i)
W2_G2 = 23  # sum w_i^2 ||g_i||^2
W_GX = 25  # sum w_i <g_i, x_i - x0>
# Magnitudes, added up plainly.
W_F_SIZE = 27  # sum w_i |f(x_i)|
W_GX_SIZE = 28  # sum w_i ||g_i|| ||x_i - x0||
W_X = 29  # sum w_i (||x0|| + ||x_i - x0||)
W_ROUND = 30  # sum w_i ||g_i|| (||x0|| + ||x_i - x0||)
S_SIZE = 31  # sum ||s_i||
S_X = 32  # sum ||s_i|| (||x0|| + ||x_i - x0||)
X_SIZE = 33  # sum (||x0|| + ||x_i - x0||) of those with a weight
WHOLE = 34  # iterations kept whole so far
N_TOTALS = 35

# what the loop returns
GOES_ON, CONVERGED, NOT_FINITE, BAD_WEIGHT = 0, 1, 2, 3


def total(totals: Any, i: int) -> float:
    """A sum over k that is kept in two places."""
    return float(totals[i] + totals[i + 1])


@helper
def add_to_sums(w: float, f: float, g2: float, gx: float, x_dist2: float, wg2: float, totals: Any) -> None:
    """What every basic inequality needs, and the magnitudes that bound what rounding did to it; wg2: ||s_k||^2."""
    g_norm, x_dist, s_norm = math.sqrt(g2), math.sqrt(x_dist2), math.sqrt(wg2)
    x_size = totals[X0_NORM] + x_dist
    add_exactly(totals, WEIGHT, w)
    add_exactly(totals, W_F, w * f)
    add_exactly(totals, W2_G2, (w * w) * g2)
    add_exactly(totals, W_GX, w * gx)
    totals[W_F_SIZE] += w * abs(f)
    totals[W_GX_SIZE] += w * (g_norm * x_dist)
    totals[W_X] += w * x_size
    totals[W_ROUND] += w * (g_norm * x_size)
    totals[X_SIZE] += x_size
    totals[S_SIZE] += s_norm
    totals[S_X] += s_norm * x_size
    totals[X_DIST2_WEIGHED] = max(totals[X_DIST2_WEIGHED], x_dist2)


@helper
def iterate(
    step: Any,
    k: int,
    f: float,
    x0: Any,
    x: Any,
    g: Any,
    z: Any,
    x_next: Any,
    x_avg: Any,
    z_avg: Any,
    wg: Any,
    x_best: Any,
    x_sel: Any,
    z_sel: Any,
    vectors: Any,
    scalars: Any,
    hyper: Any,
    select: int,
    totals: Any,
    whole: Any,
) -> int:
    """Everything in iteration k but the oracle call: record f and g at x_k, average, step to x_{k+1}.

    whole : (T, numbers) float64, rows for the iterations that are kept, their k in the first column.
    """
    g2 = dot(g, g)
    x_dist2, gx = distance_and_product(x, x0, g)
    if not (np.isfinite(f) and np.isfinite(g2) and np.isfinite(x_dist2)):
        return NOT_FINITE
    totals[F] = f
    totals[G2] = g2
    totals[G2_MAX] = max(totals[G2_MAX], g2)
    add_exactly(totals, S, g2)
    totals[X_DIST2] = x_dist2
    totals[X_DIST2_MAX] = max(totals[X_DIST2_MAX], x_dist2)
    if k == 0:
        totals[G0_2] = g2
    if k == 0 or f < totals[F_BEST]:
        totals[F_BEST] = f
        totals[X_DIST2_BEST] = x_dist2
        copy(x, x_best)
    averages = totals[AVERAGES] == 1.0
    if totals[WEIGHT] == 0.0 or not averages:  # without any weight yet, the average is the current iterate
        copy(x, x_avg)
        copy(z, z_avg)
    if k == 0 and g2 == 0.0 and totals[DECAYS] == 0.0:  # x0 is a minimiser; no step is defined
        totals[DONE] = 1
        return CONVERGED

    kept, at = np.int64(totals[WHOLE]), 0
    keeps = kept < whole.shape[0] and whole[kept, 0] == k
    if keeps:
        at = write_before(whole[kept], k, f, g2, g, x, vectors, scalars, hyper)
    w = step(k, f, g2, g, x, x_next, vectors, scalars, hyper)
    totals[W] = w
    if not (w >= 0.0 and np.isfinite(w)):
        return BAD_WEIGHT
    if keeps:
        write_after(whole[kept], at, w, x_next, vectors, scalars)
        totals[WHOLE] += 1.0
    if w > 0.0:
        totals[WG2] = add_scaled(wg, w, g)
        add_to_sums(w, f, g2, gx, x_dist2, totals[WG2], totals)
        if averages:
            share = w / totals[WEIGHT]
            move_average(x_avg, x, share)
            move_average(z_avg, z, share)
    if select >= 0 and (k == 0 or scalars[select] < totals[SELECTED]):
        totals[SELECTED] = scalars[select]
        totals[SELECTED_AT] = k
        copy(x_avg, x_sel)
        copy(z_avg, z_sel)
    totals[DONE] = k + 1
    if g2 == 0.0 and totals[DECAYS] == 0.0:
        return CONVERGED
    return GOES_ON


@helper
def drive(
    oracle: Any,
    step: Any,
    k: int,
    k_stop: int,
    data: Any,
    x0: Any,
    iterates: Any,
    g: Any,
    z: Any,
    x_avg: Any,
    z_avg: Any,
    wg: Any,
    x_best: Any,
    x_sel: Any,
    z_sel: Any,
    vectors: Any,
    scalars: Any,
    hyper: Any,
    select: int,
    totals: Any,
    whole: Any,
    factors: Any,
    scheduled: int,
) -> tuple[int, int]:
    """Iterations k .. k_stop - 1; returns (the number of iterations done so far, why it returned).

    factors: gamma_k from this k on, for hyper[scheduled]; empty where it does not change.
    """
    first = k
    while k < k_stop:
        if factors.size > 0:
            hyper[scheduled] = factors[k - first]
        x, x_next = iterates[k % 2], iterates[(k + 1) % 2]
        f = oracle(x, g, z, data)
        status = iterate(
            step, k, f, x0, x, g, z, x_next, x_avg, z_avg, wg, x_best, x_sel, z_sel, vectors, scalars, hyper, select,
            totals, whole,
        )  # fmt: skip
        if status >= NOT_FINITE:
            return k, status
        k += 1
        if status != GOES_ON:
            return k, status
    return k, GOES_ON


def _iterate_signature() -> Any:
    from numba import types as t

    step = t.FunctionType(signature("step"))
    vector, matrix = t.Array(t.float64, 1, "C"), t.Array(t.float64, 2, "C")
    state = [vector] * 11 + [matrix, vector, vector, t.int64, vector, matrix]
    return t.int64(step, t.int64, t.float64, *state)


def _drive_signature() -> Any:
    from numba import types as t

    oracle, step = t.FunctionType(signature("oracle")), t.FunctionType(signature("step"))
    vector, matrix = t.Array(t.float64, 1, "C"), t.Array(t.float64, 2, "C")
    data = signature("oracle").args[-1]
    state = [vector, matrix, *[vector] * 8, matrix, vector, vector, t.int64, vector, matrix, vector, t.int64]
    return t.UniTuple(t.int64, 2)(oracle, step, t.int64, t.int64, data, *state)


ITERATE = Kernel(iterate.python, _iterate_signature, FASTMATH)
DRIVE = Kernel(drive.python, _drive_signature, FASTMATH)
