"""Soft kinks: a minimiser of a piecewise-quadratic function in rational arithmetic.

Row i has the slope u_i = r_i / s, cut to its box [lo_i, hi_i], where r = A x - b, and x is a minimiser if and only if

    A^T u + m l2 x = 0.

Let I be the rows with s lo_i < r_i < s hi_i, and N the others, on which u is an end of the box. Then this is

    (A_I^T A_I + s m l2) x = A_I^T b_I - s A_N^T u_N,

p equations, and with r and u at the solution

    m min f = sum_I r_i^2 / (2 s) + sum_N (u_i r_i - s u_i^2 / 2) + m l2 / 2 ||x||^2.

Newton's method in floating point (points.py) suggests I and the ends; whether they belong to the exact solution is
decided exactly. Where columns of A_I depend on each other and l2 = 0, the entries of x outside independent ones are
given.

The conjugates of the rows are strictly convex, so that u is the same at every minimiser:

    X* = {x : <a_i, x> = <a_i, x*> on I,  r_i >= s hi_i where u_i = hi_i,  r_i <= s lo_i where u_i = lo_i}     (l2 = 0),

a point where A_I has rank p, and otherwise a polyhedron, on which x0 is projected.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from problems.matrix import dense, with_column
from problems.optimum.arithmetic.extended import Floats, Indices
from problems.optimum.arithmetic.rational import BLOCK, Rational, completed, independent, integers, products, solve
from problems.optimum.dual import Kinked
from problems.optimum.piecewise_linear.vertex import Signs, dual_sums, residual_signs
from problems.optimum.piecewise_quadratic.points import newton_point

# The exact system takes seconds up to LARGEST unknowns and WORK multiplications for the Gram matrix.
LARGEST, WORK = 300, 3e9
# Exact systems solved until the sides agree.
ROUNDS = 30


@dataclass(frozen=True)
class Minimiser:
    """A minimiser x, and the minimum.

    solved, given: the sides and the entries that x was solved for with; side: 0 where a row is strictly inside its box
    at x, else its end; unique: whether x is the only minimiser.
    """

    solved: Signs
    given: Floats
    x: Rational
    value: Fraction
    side: Signs
    unique: bool


def feasible(model: Kinked) -> bool:
    """Whether the exact system is of moderate size."""
    m, p = model.A.shape
    return p <= LARGEST and m * p * p <= WORK


def minimiser(model: Kinked) -> Minimiser | None:
    """A minimiser, from Newton's method and a few exact systems; None where these do not agree."""
    x = newton_point(model)
    side = _sides(model.A @ x - model.b, model)
    for _ in range(ROUNDS):
        system = _System.of(model, side)
        solution, left = system.solved(x)
        if any(left):
            side, x = _followed(model, side, x, system.falling(left))
            continue
        found = _minimiser(model, system, x, solution)
        if found is not None:
            return found
        side, x = np.sign(_sides_of(model, solution)), solution.long().astype(np.float64)
    return None


def with_sides(model: Kinked, side: Signs, given: Floats) -> Minimiser | None:
    """The minimiser with these entries where columns are dependent, if these sides are right."""
    system = _System.of(model, side)
    x, left = system.solved(given)
    return None if any(left) else _minimiser(model, system, given, x)


def _minimiser(model: Kinked, system: _System, given: Floats, x: Rational) -> Minimiser | None:
    """The solution x as a minimiser, if every row is where its side says: in its box, or at least at that end."""
    found, side = _sides_of(model, x), system.side
    if not np.all(np.where(side == 0, np.abs(found) <= 1, side * found >= 1)):
        return None
    strict = np.sign(found)
    unique = system.J.size == model.A.shape[1]
    if unique and model.l2 == 0 and np.any(strict != side):
        unique = _pivots(_exact_gram(model, np.flatnonzero(strict == 0))).size == model.A.shape[1]
    return Minimiser(side, given, x, system.value(model, x), strict, unique)


def _sides(r: Floats, model: Kinked) -> Signs:
    """1 where a row is at the upper end of its box, -1 at the lower, 0 inside; r in float64."""
    return np.where(r >= model.soft * model.hi, 1, np.where(r <= model.soft * model.lo, -1, 0)).astype(np.int8)


def _sides_of(model: Kinked, x: Rational) -> Signs:
    """2 above the upper end of the box, 1 at it, 0 inside, -1 and -2 at and below the lower end; exactly.

    r_i - s hi_i is the residual of the row (a_i, hi_i) at (x, -s).
    """
    signs = [residual_signs(*_with_end(model, end, x))[1] for end in (model.lo, model.hi)]
    low, high = signs
    return np.where(high >= 0, 1 + high, np.where(low <= 0, low - 1, 0)).astype(np.int8)


def _with_end(model: Kinked, end: Floats, x: Rational) -> tuple[Kinked, Rational]:
    n, d = model.soft.as_integer_ratio()
    longer = Rational([*(d * v for v in x.numerators), -n * x.denominator], d * x.denominator)
    return replace(model, A=with_column(model.A, end)), longer


@dataclass(frozen=True)
class _System:
    """M x = rhs in integers, which is unit times the equations of these sides, and independent columns J of A_I.

    gram: (A, b)^T (A, b) over I; sums, rest: A_N^T u_N and <u_N, b_N>.
    """

    side: Signs
    gram: list[list[Fraction]]
    sums: list[Fraction]
    rest: Fraction
    M: list[list[int]]
    rhs: list[int]
    J: Indices

    @classmethod
    def of(cls, model: Kinked, side: Signs) -> _System:
        p, soft = model.A.shape[1], Fraction(model.soft)
        gram = _exact_gram(model, np.flatnonzero(side == 0))
        sums, rest = dual_sums(model, side > 0, side != 0)
        shift = soft * model.b.size * Fraction(model.l2)
        matrix = [[gram[i][j] + (shift if i == j else 0) for j in range(p)] for i in range(p)]
        target = [gram[j][p] - soft * v for j, v in enumerate(sums)]
        unit = max(v.denominator for v in [*target, *(v for row in matrix for v in row)])  # powers of two, every one
        M, rhs = [[int(v * unit) for v in row] for row in matrix], [int(v * unit) for v in target]
        return cls(side, gram, sums, rest, M, rhs, np.arange(p) if model.l2 > 0 else _pivots(gram))

    def solved(self, given: Floats) -> tuple[Rational, list[int]]:
        """The x that solves the equations J with the given entries outside J, and rhs - M x times its denominator."""
        x = completed([self.M[i] for i in self.J], [self.rhs[i] for i in self.J], self.J, given)
        assert x is not None  # the columns J of A_I are independent
        return x, [x.denominator * v - n for v, n in zip(self.rhs, products(self.M, x.numerators), strict=True)]

    def value(self, model: Kinked, x: Rational) -> Fraction:
        """f at the solution x."""
        m, p = model.A.shape
        soft, l2, point = Fraction(model.soft), Fraction(model.l2), x.fractions()
        along = sum((v * s for v, s in zip(point, self.sums, strict=True)), Fraction(0))
        square = x.square()
        h = sum((v * row[p] for v, row in zip(point, self.gram, strict=False)), Fraction(0))
        # ||r_I||^2 = x^T G x - 2 h + ||b_I||^2, and x^T G x = h - s <x, A_N^T u_N> - s m l2 ||x||^2
        squares = self.gram[p][p] - h - soft * along - soft * m * l2 * square
        ends = np.where(self.side > 0, model.hi, model.lo)[self.side != 0]
        values, counts = np.unique(ends, return_counts=True)
        of_ends = sum((int(n) * Fraction(v) ** 2 for v, n in zip(values.tolist(), counts, strict=True)), Fraction(0))
        return (squares / (2 * soft) + along - self.rest - soft / 2 * of_ends) / m + l2 / 2 * square

    def falling(self, left: list[int]) -> Floats:
        """A direction d with M d = 0 in which f falls, where the equations have no solution and leave this."""
        j = max(range(len(left)), key=lambda i: abs(left[i]))
        found = solve([[self.M[i][k] for k in self.J] for i in self.J], [-self.M[i][j] for i in self.J])
        assert found is not None  # the columns J of A_I are independent
        d = np.zeros(len(left))
        d[self.J] = found.long().astype(np.float64)
        d[j] = 1.0
        return d if left[j] > 0 else -d


def _followed(model: Kinked, side: Signs, x: Floats, d: Floats) -> tuple[Signs, Floats]:
    """(side, x) where f has fallen along d, on which the rows in I stay, until a row reaches its box and joins I."""
    r, moved = model.A @ x - model.b, model.A @ d
    ends = model.soft * np.where(side > 0, model.hi, model.lo)
    at = np.flatnonzero(side * moved < 0)
    if not at.size:
        return side, x
    times = np.maximum((ends[at] - r[at]) / moved[at], 0.0)
    first = int(np.argmin(times))
    joined = side.copy()
    joined[at[first]] = 0
    return joined, x + times[first] * d


def _pivots(gram: list[list[Fraction]]) -> Indices:
    """Independent columns of A, from (A, b)^T (A, b)."""
    p = len(gram) - 1
    unit = max(v.denominator for row in gram for v in row)
    return independent([[int(v * unit) for v in row[:p]] for row in gram[:p]])[0]


def _exact_gram(model: Kinked, rows: Indices) -> list[list[Fraction]]:
    """(A, b)^T (A, b) over these rows."""
    from flint import fmpz_mat

    p = model.A.shape[1]
    total = [[Fraction(0)] * (p + 1) for _ in range(p + 1)]
    size = max(1, BLOCK // (p + 1))
    for first in range(0, rows.size, size):
        at = rows[first : first + size]
        scaled = integers(np.column_stack([dense(model.A[at]), model.b[at]]).reshape(1, -1))
        M = fmpz_mat(at.size, p + 1, scaled.rows[0])
        unit = Fraction(4) ** int(scaled.exponents[0])
        for row, added in zip(total, (M.transpose() * M).tolist(), strict=True):
            row[:] = [v + int(a) * unit for v, a in zip(row, added, strict=True)]
    return total
