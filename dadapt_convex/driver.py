"""The loop: oracle, averages, best iterate, step; compiled once for all methods and problems.

x_k and x_{k+1} are the rows k and k + 1 (mod 2) of `iterates`, so a run can stop and go on anywhere. What is
counted and recorded is in `totals`, at the indices named below.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dadapt_convex.oracle import FASTMATH, Kernel, helper, signature
from dadapt_convex.vector import copy, distance_squared, dot, move_average

# indices into totals
F = 0  # f(x_k)
G2 = 1  # ||g_k||^2
G2_MAX = 2  # max_{i<=k} ||g_i||^2
S = 3  # sum_{i<=k} ||g_i||^2
WEIGHT = 4  # sum_{i<=k} w_i
F_MEAN = 5  # sum w_i f(x_i) / sum w_i
F_BEST = 6  # min_{i<=k} f(x_i)
X_DIST2 = 7  # ||x_k - x0||^2
SELECTED = 8  # min_{i<=k} of the scalar that selects an averaged iterate
SELECTED_AT = 9  # where it is attained: the paper's t
G0_2 = 10  # ||g_0||^2
DONE = 11  # iterations done, written with everything else: what k is after Ctrl-C
DECAYS = 12  # 1 with weight decay: then a subgradient of 0 ends nothing, as g + w x is not 0
N_TOTALS = 13

# what the loop returns
GOES_ON, CONVERGED, NOT_FINITE = 0, 1, 2


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
    x_best: Any,
    x_sel: Any,
    z_sel: Any,
    vectors: Any,
    scalars: Any,
    hyper: Any,
    select: int,
    totals: Any,
) -> int:
    """Everything in iteration k but the oracle call: record f and g at x_k, average, step to x_{k+1}."""
    g2 = dot(g, g)
    x_dist2 = distance_squared(x, x0)
    if not (np.isfinite(f) and np.isfinite(g2) and np.isfinite(x_dist2)):
        return NOT_FINITE
    totals[F] = f
    totals[G2] = g2
    totals[G2_MAX] = max(totals[G2_MAX], g2)
    totals[S] += g2
    totals[X_DIST2] = x_dist2
    if k == 0:
        totals[G0_2] = g2
    if k == 0 or f < totals[F_BEST]:
        totals[F_BEST] = f
        copy(x, x_best)
    if totals[WEIGHT] == 0.0:  # without any weight yet, the average is the current iterate
        totals[F_MEAN] = f
        copy(x, x_avg)
        copy(z, z_avg)
    if k == 0 and g2 == 0.0 and totals[DECAYS] == 0.0:  # x0 is a minimiser; no step is defined
        totals[DONE] = 1
        return CONVERGED

    w = step(k, f, g2, g, x, x_next, vectors, scalars, hyper)

    totals[WEIGHT] += w
    if totals[WEIGHT] > 0.0:
        share = w / totals[WEIGHT]
        move_average(x_avg, x, share)
        move_average(z_avg, z, share)
        totals[F_MEAN] += share * (f - totals[F_MEAN])
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
    x_best: Any,
    x_sel: Any,
    z_sel: Any,
    vectors: Any,
    scalars: Any,
    hyper: Any,
    select: int,
    totals: Any,
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
            step, k, f, x0, x, g, z, x_next, x_avg, z_avg, x_best, x_sel, z_sel, vectors, scalars, hyper, select, totals
        )
        if status == NOT_FINITE:
            return k, status
        k += 1
        if status != GOES_ON:
            return k, status
    return k, GOES_ON


def _iterate_signature() -> Any:
    from numba import types as t

    step = t.FunctionType(signature("step"))
    vector, matrix = t.Array(t.float64, 1, "C"), t.Array(t.float64, 2, "C")
    state = [vector] * 10 + [matrix, vector, vector, t.int64, vector]
    return t.int64(step, t.int64, t.float64, *state)


def _drive_signature() -> Any:
    from numba import types as t

    oracle, step = t.FunctionType(signature("oracle")), t.FunctionType(signature("step"))
    vector, matrix = t.Array(t.float64, 1, "C"), t.Array(t.float64, 2, "C")
    data = signature("oracle").args[-1]
    state = [vector, matrix, *[vector] * 7, matrix, vector, vector, t.int64, vector, vector, t.int64]
    return t.UniTuple(t.int64, 2)(oracle, step, t.int64, t.int64, data, *state)


ITERATE = Kernel(iterate.python, _iterate_signature, FASTMATH)
DRIVE = Kernel(drive.python, _drive_signature, FASTMATH)
