"""Piecewise-linear losses, l2 > 0: the minimiser in rational arithmetic.

phi_i(z) = max(lo_i r, hi_i r), r = z - b_i. The minimiser is x = -A^T u / (m l2) for a dual solution u: u_i = hi_i
where r_i > 0, lo_i where r_i < 0, anything in [lo_i, hi_i] where r_i = 0. Let I be independent rows with r_i = 0
and u given outside I. Then u_I is the solution of

    A_I A_I^T u_I = -m l2 b_I - A_I A_N^T u_N,

and if lo_i <= u_i <= hi_i on I and the signs of all r_i agree with u, x is the minimiser and

    min f = -(1/m) sum_i u_i b_i - l2/2 ||x||^2.

A solver in floating point suggests I and u; the test is exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Annotated

import numpy as np

from problems.matrix import dense
from problems.optimum.arithmetic.extended import TINY, Indices, Mask
from problems.optimum.arithmetic.rational import Rational, independent, integers, mask, products, solve
from problems.optimum.certificate import Certificate, Proof, Shape, kinks_of, of_models
from problems.optimum.distances import exactly_at
from problems.optimum.dual import box, is_piecewise_linear
from problems.optimum.piecewise_linear.descent import State, Stationary, descend
from problems.optimum.piecewise_linear.vertex import dual_sums, residual_signs
from problems.problem import LinearModel, Problem

# With more rows the exact system takes minutes.
LARGEST = 300
# Steps that a solver's roundings may leave to do; each costs as much as a test, all together some minutes.
MAX_STEPS, WORK = 200, 1e8


@dataclass(frozen=True, kw_only=True, eq=False)
class ExactMinimiser(Certificate):
    """The minimiser, given by the rows I and the rows outside where u_i is hi_i."""

    kind = "exact minimiser"
    arithmetic = "rational"
    serves = of_models(is_piecewise_linear, penalty=True)
    rows: Annotated[Indices, Shape("r", below="m")]
    high: Annotated[Indices, Shape("h", below="m")]

    def prove(self, problem: Problem) -> Proof:
        """The exact minimum, and the distance to the minimiser."""
        model = kinks_of(problem)
        upper = mask(self.high, model.b.size)
        found = checked_minimiser(model, self.rows, upper)
        if found is None:
            raise ValueError("rows and high are not those of the minimiser")
        return exactly_at(found.x, found.value, problem.x0)


@dataclass(frozen=True)
class Minimiser:
    """The exact minimiser x and min f; rows: I; upper: (m,), outside I whether u_i is hi_i."""

    rows: Indices
    upper: Mask
    x: Rational
    value: Fraction


def exact_minimiser(model: LinearModel, state: State) -> Minimiser | None:
    """The minimiser, by descent in exact arithmetic from a state near it; None where none is found."""
    try:
        rows = independent(integers(dense(model.A[state.rows])).rows)[0]
        steps = int(min(MAX_STEPS, 1 + WORK / (1 + rows.size) ** 3))
        found = descend(model, replace(state, rows=state.rows[rows]), partial(_stationary, model), steps)
    except OverflowError:  # numbers beyond extended precision
        return None
    if not found.done or found.last is None:
        return None
    return Minimiser(found.rows, found.upper, *found.last.exact)


def _stationary(model: LinearModel, rows: Indices, upper: Mask) -> Stationary | None:
    """The exact stationary point; None where the rows are dependent, or more than LARGEST."""
    found = None if rows.size > LARGEST else _solved(model, rows, upper)
    if found is None:
        return None
    lo, hi = box(model)
    x, u, value = found
    signs = residual_signs(model, x)[1]
    ends = [(Fraction(lo[i]), Fraction(hi[i])) for i in rows]
    excess = [v - min(max(v, low), high) for v, (low, high) in zip(u, ends, strict=True)]
    # whether an entry is 0 is exact, however small it is
    size = [np.copysign(max(abs(float(e)), TINY), float(e)) if e else 0.0 for e in excess]
    inner = np.where(upper, hi, lo)
    inner[rows] = [float(v) for v in u]
    return Stationary(x.long(), signs, inner, np.array(size), (x, value))


def checked_minimiser(model: LinearModel, rows: Indices, upper: Mask) -> Minimiser | None:
    """The minimiser, if these rows and ends of boxes are right."""
    found = _stationary(model, rows, upper)
    if found is None or found.excess.any() or found.wrong(rows, upper).any():
        return None
    return Minimiser(rows, upper, *found.exact)


def _solved(model: LinearModel, rows: Indices, upper: Mask) -> tuple[Rational, list[Fraction], Fraction] | None:
    """(x, u_I, min f) that belong to these rows and ends of boxes; None where the rows are dependent."""
    A, b, m, l2 = model.A, model.b, model.b.size, Fraction(model.l2)
    p = A.shape[1]
    outside = ~mask(rows, m)
    sums, rest = dual_sums(model, upper, outside)
    unit = max([v.denominator for v in sums] + [l2.denominator])  # powers of two, every one
    target = [int(v * unit) for v in sums]
    scaled = integers(np.column_stack([dense(A[rows]), b[rows]]))
    matrix = [row[:p] for row in scaled.rows]
    # rows of A_I are 2^e times those of the matrix M, so w = 2^e u: M M^T w = -m l2 b / 2^e - M A_N^T u_N
    known = products(matrix, target)
    rhs = [-int(m * l2 * unit) * row[p] - n for row, n in zip(scaled.rows, known, strict=True)]
    w = solve(_gram(matrix), rhs)
    if w is None:
        return None
    columns = [[row[j] for row in matrix] for j in range(p)] if matrix else [[] for _ in range(p)]
    slope = products(columns, w.numerators)
    total = [n + t * w.denominator for n, t in zip(slope, target, strict=True)]  # A^T u times unit times denominator
    shrink = m * l2
    x = Rational([-n * shrink.denominator for n in total], w.denominator * unit * shrink.numerator)
    scale = [Fraction(2) ** int(-e) for e in scaled.exponents]
    u = [Fraction(n, w.denominator * unit) * s for n, s in zip(w.numerators, scale, strict=True)]
    linear = rest + sum((v * Fraction(b[i]) for i, v in zip(rows, u, strict=True)), Fraction(0))
    return x, u, -linear / m - l2 / 2 * x.square()


def _gram(matrix: list[list[int]]) -> list[list[int]]:
    from flint import fmpz_mat

    if not matrix:
        return []
    M = fmpz_mat(matrix)
    return [[int(v) for v in row] for row in (M * M.transpose()).tolist()]
