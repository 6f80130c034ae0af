"""The loop: oracle, averages, best iterate, step; compiled once for all methods and problems.

x_k and x_{k+1} are the rows k and k + 1 (mod 2) of `iterates`, so a run can stop and go on anywhere. The loop counts
and records by name, in `Totals`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from dadapt_convex.oracle import FASTMATH, Kernel, Vector, helper, signature
from dadapt_convex.state import NumbersView, Scalar, State, borrowed
from dadapt_convex.transitions import write_after, write_before
from dadapt_convex.vector import add_exactly, add_scaled, copy, distance_and_product, dot, move_average


class Totals(State):
    """The numbers of a run so far. Weights w_i are those of the average; a point of weight 0 has no part in any sum.

    A sum that is read takes two places: the sum, and its rounding.
    """

    f = Scalar("f(x_k)")
    g2 = Scalar("||g_k||^2")
    g2_max = Scalar("max_{i<=k} ||g_i||^2")
    g0_2 = Scalar("||g_0||^2")
    f_best = Scalar("min_{i<=k} f(x_i)")
    x_dist2 = Scalar("||x_k - x0||^2")
    x_dist2_best = Scalar("||x_i - x0||^2 where f was least")
    x_dist2_max = Scalar("max_{i<=k} ||x_i - x0||^2")
    x_dist2_weighed = Scalar("the largest ||x_i - x0||^2 of a point with a weight")
    w = Scalar("w_k")
    selected = Scalar("min_{i<=k} of the scalar that selects an averaged iterate")
    selected_at = Scalar("the k where it is attained: the paper's t")
    done = Scalar("iterations done, written after everything else: k after Ctrl-C")
    wg2 = Scalar("||s_k||^2, s_k = sum_{i<=k} w_i g_i")
    x0_norm = Scalar("||x0||, written before the run")
    whole = Scalar("iterations kept whole so far")

    S = Scalar("sum ||g_i||^2")
    S_lost = Scalar("the rounding of S")
    weight = Scalar("sum w_i")
    weight_lost = Scalar("the rounding of weight")
    w_f = Scalar("sum w_i f(x_i)")
    w_f_lost = Scalar("the rounding of w_f")
    w2_g2 = Scalar("sum w_i^2 ||g_i||^2")
    w2_g2_lost = Scalar("the rounding of w2_g2")
    w_gx = Scalar("sum w_i <g_i, x_i - x0>")
    w_gx_lost = Scalar("the rounding of w_gx")

    # magnitudes, added up plainly
    w_f_size = Scalar("sum w_i |f(x_i)|")
    w_gx_size = Scalar("sum w_i ||g_i|| ||x_i - x0||")
    w_x = Scalar("sum w_i (||x0|| + ||x_i - x0||)")
    w_round = Scalar("sum w_i ||g_i|| (||x0|| + ||x_i - x0||)")
    s_size = Scalar("sum ||s_i||")
    s_x = Scalar("sum ||s_i|| (||x0|| + ||x_i - x0||)")
    x_size = Scalar("sum (||x0|| + ||x_i - x0||) of points with a weight")


class Books(NamedTuple):
    """The arrays and settings of every loop: it reads and writes the arrays, and only reads the settings.

    x0, g, x_avg : (p,); iterates : (2, p); vectors, scalars, hyper : the method's state and hyper-parameters.
    totals : the numbers of Totals, or of a class made from it.
    whole : (T, numbers), rows for the iterations that are kept, their k in the first column.
    scheduled : where gamma_k stands in hyper.
    decays : whether there is weight decay: then a subgradient of 0 ends nothing, as g + w x is not 0.
    averages : whether the output is the weighted average; else it is the last iterate.
    """

    x0: Vector
    iterates: Vector
    g: Vector
    x_avg: Vector
    vectors: Vector
    scalars: Vector
    hyper: Vector
    totals: Vector
    whole: Vector
    scheduled: int
    decays: bool
    averages: bool


class Points(NamedTuple):
    """The arrays that only the deterministic loop has.

    z, z_avg, z_sel : the margins at x_k, at the average, and at the selected average; wg : (p,), sum w_i g_i.
    x_best, x_sel : (p,), the best iterate and the selected average; select : the scalar that selects, or -1.
    """

    z: Vector
    z_avg: Vector
    z_sel: Vector
    wg: Vector
    x_best: Vector
    x_sel: Vector
    select: int


# the reasons why the loop returns
GOES_ON, CONVERGED, NOT_FINITE, BAD_WEIGHT = 0, 1, 2, 3

totals_of = NumbersView(Totals)


@helper
def add_to_sums(w: float, f: float, g2: float, gx: float, x_dist2: float, totals: Any) -> None:
    """Add to the sums of the basic inequalities, and to the magnitudes that bound their rounding."""
    g_norm, x_dist, s_norm = math.sqrt(g2), math.sqrt(x_dist2), math.sqrt(totals.wg2)
    x_size = totals.x0_norm + x_dist
    totals.weight, totals.weight_lost = add_exactly(totals.weight, totals.weight_lost, w)
    totals.w_f, totals.w_f_lost = add_exactly(totals.w_f, totals.w_f_lost, w * f)
    totals.w2_g2, totals.w2_g2_lost = add_exactly(totals.w2_g2, totals.w2_g2_lost, (w * w) * g2)
    totals.w_gx, totals.w_gx_lost = add_exactly(totals.w_gx, totals.w_gx_lost, w * gx)
    totals.w_f_size += w * abs(f)
    totals.w_gx_size += w * (g_norm * x_dist)
    totals.w_x += w * x_size
    totals.w_round += w * (g_norm * x_size)
    totals.x_size += x_size
    totals.s_size += s_norm
    totals.s_x += s_norm * x_size
    totals.x_dist2_weighed = max(totals.x_dist2_weighed, x_dist2)


@helper
def iterate(step: Any, k: int, f: float, books: Any, points: Any) -> int:
    """Do iteration k after its oracle call: record f and g at x_k, average, step to x_{k+1}."""
    x, x_next = books.iterates[k % 2], books.iterates[(k + 1) % 2]
    g, whole, totals = books.g, books.whole, totals_of(books.totals)
    g2 = dot(g, g)
    x_dist2, gx = distance_and_product(x, books.x0, g)
    if not (np.isfinite(f) and np.isfinite(g2) and np.isfinite(x_dist2)):
        return NOT_FINITE
    totals.f = f
    totals.g2 = g2
    totals.g2_max = max(totals.g2_max, g2)
    totals.S, totals.S_lost = add_exactly(totals.S, totals.S_lost, g2)
    totals.x_dist2 = x_dist2
    totals.x_dist2_max = max(totals.x_dist2_max, x_dist2)
    if k == 0:
        totals.g0_2 = g2
    if k == 0 or f < totals.f_best:
        totals.f_best = f
        totals.x_dist2_best = x_dist2
        copy(x, points.x_best)
    if totals.weight == 0.0 or not books.averages:  # without any weight yet, the average is the current iterate
        copy(x, books.x_avg)
        copy(points.z, points.z_avg)
    if k == 0 and g2 == 0.0 and not books.decays:  # x0 is a minimiser; no step is defined
        totals.done = 1
        return CONVERGED

    kept, at = np.int64(totals.whole), 0
    keeps = kept < whole.shape[0] and whole[kept, 0] == k
    if keeps:
        at = write_before(whole[kept], k, f, g2, g, x, books.vectors, books.scalars, books.hyper)
    w = step(k, f, g2, g, x, x_next, books.vectors, books.scalars, books.hyper)
    totals.w = w
    if not (w >= 0.0 and np.isfinite(w)):
        return BAD_WEIGHT
    if keeps:
        write_after(whole[kept], at, w, x_next, books.vectors, books.scalars)
        totals.whole += 1.0
    if w > 0.0:
        totals.wg2 = add_scaled(points.wg, w, g)
        add_to_sums(w, f, g2, gx, x_dist2, totals)
        if books.averages:
            share = w / totals.weight
            move_average(books.x_avg, x, share)
            move_average(points.z_avg, points.z, share)
    if points.select >= 0 and (k == 0 or books.scalars[points.select] < totals.selected):
        totals.selected = books.scalars[points.select]
        totals.selected_at = k
        copy(books.x_avg, points.x_sel)
        copy(points.z_avg, points.z_sel)
    totals.done = k + 1
    if g2 == 0.0 and not books.decays:
        return CONVERGED
    return GOES_ON


@helper
def iterate_once(step: Any, k: int, f: float, books: Any, points: Any) -> int:
    """Do one iteration, for an objective in Python."""
    return iterate(step, k, f, borrowed(books), borrowed(points))


@helper
def drive(
    oracle: Any, step: Any, k: int, k_stop: int, data: Any, books: Any, points: Any, factors: Any
) -> tuple[int, int]:
    """Do iterations k .. k_stop - 1; return (the number of iterations done so far, why it returned).

    factors: gamma_k from this k on; empty where it does not change.
    """
    books, points = borrowed(books), borrowed(points)
    first = k
    while k < k_stop:
        if factors.size > 0:
            books.hyper[books.scheduled] = factors[k - first]
        f = oracle(books.iterates[k % 2], books.g, points.z, data)
        status = iterate(step, k, f, books, points)
        if status >= NOT_FINITE:
            return k, status
        k += 1
        if status != GOES_ON:
            return k, status
    return k, GOES_ON


def numba_types() -> dict[str, Any]:
    """Numba's types of what loops are given, by the words of `typed`."""
    from numba import types as t

    vector, matrix = t.Array(t.float64, 1, "C"), t.Array(t.float64, 2, "C")
    books = [vector, matrix, vector, vector, matrix, vector, vector, vector, matrix, t.int64, t.boolean, t.boolean]
    return {
        "oracle": t.FunctionType(signature("oracle")),
        "batch": t.FunctionType(signature("batch")),
        "step": t.FunctionType(signature("step")),
        "data": signature("oracle").args[-1],
        "vector": vector,
        "matrix": matrix,
        "integers": t.Array(t.int64, 1, "C"),
        "int": t.int64,
        "float": t.float64,
        "pair": t.UniTuple(t.int64, 2),
        "none": t.void,
        "books": t.NamedTuple(books, Books),
        "points": t.NamedTuple([*[vector] * 6, t.int64], Points),
    }


def typed(words: str, more: Any = dict) -> Any:
    """Make the Numba signature in these words, the result first; more: makes further words."""

    def made() -> Any:
        known = {**numba_types(), **more()}
        result, *arguments = (known[word] for word in words.split())
        return result(*arguments)

    return made


ITERATE = Kernel(iterate_once.python, typed("int step int float books points"), FASTMATH)
DRIVE = Kernel(drive.python, typed("pair oracle step int int data books points vector"), FASTMATH)
