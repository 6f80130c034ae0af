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

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from problems.optimum.dual import PIECEWISE_LINEAR, box, slack, snapped
from problems.optimum.extended import Floats
from problems.optimum.linear_program import highs
from problems.optimum.rational import Indices, Rational, independent, integers, products, solve
from problems.optimum.vertex import Mask, dense, dual_sums, residual_signs
from problems.problem import LinearModel

# Beyond so many rows the exact system takes minutes.
LARGEST = 300
# Rows whose residual is so small, relatively, may belong to I: a solver's accuracy.
NEAR = 1e-8


@dataclass(frozen=True)
class Minimiser:
    """rows: I; upper: (m,), outside I whether u_i is hi_i; x: the exact minimiser; value: min f."""

    rows: Indices
    upper: Mask
    x: Rational
    value: Fraction


def exact_minimiser(model: LinearModel, x: Floats, u: Floats) -> Minimiser | None:
    """The minimiser, from a solver's x and u; None where none is found."""
    lo, hi = box(model)
    r = model.A @ x - model.b
    near = np.abs(r) <= NEAR * (1 + np.abs(model.b))
    inside = (slack(lo, hi, u) > 0) & near
    upper = np.where(near, hi - u < u - lo, r > 0)
    rows = _independent(model, inside)
    if rows is None:
        basic = _basic(model, near, np.where(near, u, np.where(r > 0, hi, lo)))
        if basic is None:
            return None
        inside, upper = slack(lo, hi, basic) > 0, hi - basic < basic - lo
        rows = np.flatnonzero(inside)
        rows = rows[independent(integers(dense(model.A[rows])).rows)[0]]
    try:
        return checked_minimiser(model, rows, upper)
    except OverflowError:  # numbers beyond extended precision
        return None


def checked_minimiser(model: LinearModel, rows: Indices, upper: Mask) -> Minimiser | None:
    """The minimiser, if these rows and ends of boxes are right."""
    lo, hi = box(model)
    assert model.loss in PIECEWISE_LINEAR
    if np.unique(rows).size < rows.size or rows.size > LARGEST or not model.l2 > 0:
        return None
    found = _solved(model, rows, upper)
    if found is None:
        return None
    x, u_rows, value = found
    if any(v > Fraction(hi[i]) or v < Fraction(lo[i]) for i, v in zip(rows, u_rows, strict=True)):
        return None
    signs = residual_signs(model, x)[1]
    signs[rows] = 0
    agree = np.where(upper, signs >= 0, signs <= 0)
    agree[rows] = True
    return Minimiser(rows, upper, x, value) if agree.all() else None


def _independent(model: LinearModel, inside: Mask) -> Indices | None:
    """These rows, if they are few and independent."""
    rows = np.flatnonzero(inside)
    few = rows.size <= min(LARGEST, model.A.shape[1])
    return rows if few and independent(integers(dense(model.A[rows])).rows)[0].size == rows.size else None


def _basic(model: LinearModel, near: Mask, u: Floats) -> Floats | None:
    """u with the same A^T u and as few entries inside their box as a vertex has: those rows are independent."""
    lo, hi = box(model)
    rows = np.flatnonzero(near)
    A_T = model.A[rows].T
    result = highs(np.zeros(rows.size), A_eq=A_T, b_eq=A_T @ u[rows], bounds=np.column_stack([lo[rows], hi[rows]]))
    if result.x is None or result.status != 0:
        return None
    found = u.copy()
    found[rows] = snapped(lo[rows], hi[rows], result.x)
    return found


def _solved(model: LinearModel, rows: Indices, upper: Mask) -> tuple[Rational, list[Fraction], Fraction] | None:
    """(x, u_I, min f) that belong to these rows and ends of boxes; None where the rows are dependent."""
    A, b, m, l2 = model.A, model.b, model.b.size, Fraction(model.l2)
    p = A.shape[1]
    outside = np.ones(m, dtype=bool)
    outside[rows] = False
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
    square = Fraction(sum(n * n for n in x.numerators), x.denominator**2)
    return x, u, -linear / m - l2 / 2 * square


def _gram(matrix: list[list[int]]) -> list[list[int]]:
    from flint import fmpz_mat

    if not matrix:
        return []
    M = fmpz_mat(matrix)
    return [[int(v) for v in row] for row in (M * M.transpose()).tolist()]
