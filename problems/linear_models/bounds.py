"""Bounds on the subgradients of a linear model, from the slopes of its loss and the norms of its rows."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dadapt_convex.oracle import Vector
from problems.arrays import largest
from problems.matrix import dense, entries, sums_of_squares
from problems.problem import Problem

# Up to this many unknowns (or rows) the spectral norm comes from the Gram matrix; beyond, row norms alone.
GRAM_SIZE = 2000
# A computed norm may be too small by rounding: relative error of the Gram matrix of a million rows is 1e-10.
ROUND_UP = 1.0 + 1e-9
# Between these sizes of entries no sum of squares over- or underflows.
SMALL, LARGE = 1e-100, 1e100


@dataclass(frozen=True)
class BatchBounds:
    """G and G_inf over mini-batches, of which the last of an epoch may be smaller.

    Of n rows the mean loss has subgradients of norm at most slope times the mean of the n largest row norms, which is
    largest for the smallest n; an entry is at most slope_inf times the largest entry.
    """

    slope: float
    slope_inf: float

    def __call__(self, problem: Problem, size: int) -> tuple[float, float]:
        """(G, G_inf) for batches of this size, with the largest l2 ||x|| on the ball of with_bounds added."""
        assert problem.model is not None
        if size >= problem.m:
            return problem.G, problem.G_inf
        A, decay, smallest = problem.model.A, _decay(problem), problem.m % size or size
        sized, exponent = _sized(A)
        longest = np.sort(_row_norms(sized))[-smallest:].mean()
        G = self.slope * _restored(float(longest) * ROUND_UP, exponent)
        G_inf = self.slope_inf * largest(entries(A)) * ROUND_UP
        return G + decay, G_inf + decay


def with_bounds(problem: Problem, slope: float, slope_inf: float) -> Problem:
    """The problem with G, G_inf and their like for mini-batches filled in.

    ||g|| = ||A^T v|| / m with |v_i| <= slope: at most slope times the mean row norm, and at most slope times
    ||A||_2 sqrt(m) / m. An entry of g is the mean of a_ij v_i: at most slope_inf times the mean of |a_ij|. With C
    margins in a row, v_i is a vector and g = A^T V / m a matrix, and the same holds: ||a_i v_i^T||_F = ||a_i|| ||v_i||,
    and ||A^T V||_F <= ||A||_2 ||V||_F with ||V||_F <= slope sqrt(m).

    For l2 > 0: inf f >= 0 on all these losses gives l2/2 ||x*||^2 <= f(x0), so
    D <= R = sqrt(2 f(x0) / l2) + ||x0||; the constant step D / (G sqrt(N)) keeps ||x_k - x*||^2 <= 2 D^2,
    so the ball ||x - x0|| <= (1 + sqrt 2) R holds its iterates, and l2 ||x|| is bounded there.
    """
    assert problem.model is not None
    A, l2 = problem.model.A, problem.model.l2
    m, p = A.shape
    sized, exponent = _sized(A)
    by_rows = float(_row_norms(sized).mean())
    by_norm = _spectral_norm(sized) / math.sqrt(m) if min(m, p) <= GRAM_SIZE else math.inf
    G = slope * _restored(min(by_rows, by_norm) * ROUND_UP, exponent)
    G_inf = slope_inf * _restored(float(np.asarray(abs(sized).mean(axis=0)).max()) * ROUND_UP, exponent)
    G_inf = min(G_inf, G)  # to rounding, where one entry is all there is
    note = "mean row norm" if by_rows <= by_norm else "||A||_2 / sqrt(m)"
    note = f"upper bound, {note}" + (f" times {slope:g}" if slope != 1 else "")
    if l2 > 0:
        R, decay = _ball(problem), _decay(problem)
        G += decay
        G_inf += decay
        note += f", plus l2 ||x|| on the ball ||x - x0|| <= {R:.4g}; with l2 > 0 f is not Lipschitz everywhere"
    return replace(problem, G=G, G_inf=G_inf, G_note=note, bound_batches=BatchBounds(slope, slope_inf))


def _ball(problem: Problem) -> float:
    """The radius around x0 of the ball on which G holds where l2 > 0; see with_bounds."""
    assert problem.model is not None
    start = _norm(problem.x0)
    return (1 + math.sqrt(2)) * (math.sqrt(2 * problem.value(problem.x0) / problem.model.l2) + start)


def _decay(problem: Problem) -> float:
    """l2 times the largest ||x|| on the ball of with_bounds."""
    assert problem.model is not None
    l2 = problem.model.l2
    return l2 * (_ball(problem) + _norm(problem.x0)) if l2 > 0 else 0.0


def _sized(A: Any) -> tuple[Any, int]:
    """(A / 2^e, e) with a largest entry whose squares neither over- nor underflow; e = 0 for any usual A."""
    size = largest(entries(A))
    if size == 0 or SMALL <= size <= LARGE:
        return A, 0
    exponent = math.frexp(size)[1]
    half = exponent // 2  # 2^-e itself may be beyond float64
    return A * 2.0**-half * 2.0 ** (half - exponent), exponent


def _restored(bound: float, exponent: int) -> float:
    """bound 2^e, rounded up; infinite beyond float64."""
    with np.errstate(over="ignore", under="ignore"):
        scaled = float(np.ldexp(bound, exponent))
    return scaled if exponent == 0 or scaled == 0 else math.nextafter(scaled, math.inf)


def _norm(x: Vector) -> float:
    sized, exponent = _sized(x)
    return _restored(float(np.linalg.norm(sized)), exponent)


def _row_norms(A: Any) -> Vector:
    """The Euclidean norm of every row."""
    return np.sqrt(sums_of_squares(A, axis=1))


def _spectral_norm(A: Any) -> float:
    m, p = A.shape
    gram = dense(A.T @ A if p <= m else A @ A.T)
    return math.sqrt(max(0.0, float(np.linalg.eigvalsh(gram)[-1])))
