"""Piecewise-linear losses, l2 = 0: a minimiser and a dual solution in rational arithmetic.

phi_i(z) = max(lo_i r, hi_i r), r = z - b_i; F = sum_i phi_i. A basis is a set I of independent rows with as many
columns J on which they are independent. It fixes two exact objects: the point x with <a_i, x> = b_i on I whose
entries outside J are given numbers; and u with u_i = hi_i where r_i > 0 and lo_i where r_i < 0, one of the two where
r_i = 0 outside I, and u_I such that A^T u = 0 on J. If A^T u = 0 on all columns and lo_i <= u_i <= hi_i on I, then
u_i is a slope of phi_i at r_i for every row and 0 is a subgradient of F:

    min F = F(x) = sum_i u_i r_i = -sum_i u_i b_i.

A solver in floating point suggests I and x. Where an entry u_i lies outside its box by a rounding, F falls along the
edge on which r_i leaves 0 and the other rows of I stay: the line search of [1] passes breakpoints until F would rise,
and the row of the last one takes the place of i. Where A^T u is not 0 on a column, F falls along an edge on which all
rows of I stay; the basis then grows. All of this can be wrong without harm but the last test, which is exact.

[1] I. Barrodale, F. D. K. Roberts. An improved algorithm for discrete l1 linear approximation. SIAM J. Numerical
    Analysis 10, 1973. https://doi.org/10.1137/0710069
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from problems.matrix import dense, row_blocks
from problems.optimum.arithmetic.extended import Bounded, Floats, Indices, Mask, rounded_margins
from problems.optimum.arithmetic.rational import (
    BLOCK,
    Integers,
    Rational,
    balanced,
    column_sums,
    completed,
    independent,
    integers,
    mask,
    products,
    solve,
)
from problems.optimum.dual import box
from problems.problem import LinearModel

# Pivots that a solver's roundings may leave to do; each costs as much as a test.
MAX_PIVOTS = 200
# After this many pivots the first row outside its box leaves in place of the worst, which prevents cycles.
PATIENCE = 100
# Rows with a relative residual below this may belong to the basis; solvers are accurate to about 1e-9.
NEAR = 1e-6
# Candidates for each unknown that complete a basis, beside the rows strictly inside their boxes.
CANDIDATES = 4
# Below this, products with the data may underflow where rounding is bounded.
SMALLEST = 1e-290

Signs = NDArray[np.int8]


@dataclass(frozen=True)
class Vertex:
    """An optimal basis, with the minimiser and the sides of all rows that it proves.

    rows, columns : the basis; given: (p,) the entries of x outside the columns, 0 on them.
    upper : (m,), where r_i = 0 outside the basis, whether u_i is hi_i; elsewhere without meaning.
    x : the exact minimiser; signs: (m,), of its residuals.
    side : (m,), -1 where u_i = lo_i (every minimiser has r_i <= 0), 1 where u_i = hi_i (r_i >= 0), 0 where u_i lies
        strictly inside (r_i = 0).
    value : min F / m.
    """

    rows: Indices
    columns: Indices
    given: Floats
    upper: Mask
    x: Rational
    signs: Signs
    side: Signs
    value: Fraction


def optimal_vertex(model: LinearModel, x: Floats, u: Floats) -> Vertex | None:
    """An optimal basis, from a solver's x and u; None where none is found."""
    lo, hi = box(model)
    r = model.A @ x - model.b
    depth = np.minimum(u - lo, hi - u)
    inside = np.flatnonzero(depth > 1e-9)
    inside = inside[np.argsort(-depth[inside], kind="stable")]
    near = np.flatnonzero((np.abs(r) <= NEAR * (1 + np.abs(model.b))) & (depth <= 1e-9))
    near = near[np.argsort(np.abs(r[near]), kind="stable")][: CANDIDATES * model.A.shape[1]]
    candidates = np.concatenate([inside, near])
    rows, columns = independent(integers(dense(model.A[candidates])).rows)
    try:
        return _pivoted(model, candidates[rows], columns, x, hi - u < u - lo)
    except OverflowError:  # numbers beyond extended precision
        return None


def _pivoted(model: LinearModel, rows: Indices, columns: Indices, x: Floats, upper: Mask) -> Vertex | None:
    """Pivot until a basis passes the exact test."""
    upper = upper.copy()
    for k in range(MAX_PIVOTS):
        basis = _Basis.at(model, rows, columns, x, upper)
        if basis is None:
            return None
        outside, slopes = basis.outside(), basis.slopes
        if not outside and not slopes:
            return basis.vertex()
        if slopes:
            column = max(slopes, key=lambda j: abs(slopes[j]))
            direction = basis.along(column, slopes[column])
        else:
            leaving = min(outside) if k >= PATIENCE else max(outside, key=lambda i: outside[i])
            direction = basis.away(leaving)
        entering = basis.line_search(*direction)
        if entering is None:
            return None
        if slopes:
            rows, columns = np.append(rows, entering), np.append(columns, column)
        else:
            upper[rows[leaving]] = basis.u[leaving] > Fraction(box(model)[1][rows[leaving]])
            rows = np.where(np.arange(rows.size) == leaving, entering, rows)
        x = basis.x.long().astype(np.float64)
    return None


def checked_vertex(model: LinearModel, rows: Indices, columns: Indices, given: Floats, upper: Mask) -> Vertex | None:
    """The vertex of this basis, without pivots; None where it is no basis or not optimal."""
    if np.any(given[columns]):
        return None
    basis = _Basis.at(model, rows, columns, given, upper)
    return None if basis is None or basis.outside() or basis.slopes else basis.vertex()


@dataclass
class _Basis:
    """A basis with its exact x and u_I (in the order of rows), and A^T u where that is not 0, by column."""

    model: LinearModel
    rows: Indices
    columns: Indices
    given: Floats
    upper: Mask
    scaled: Integers  # A and b on the rows, each row scaled by a power of two
    x: Rational
    r: Bounded
    signs: Signs
    u: list[Fraction]
    slopes: dict[int, float]
    rest: Fraction  # sum of u_i b_i outside the basis

    @classmethod
    def at(cls, model: LinearModel, rows: Indices, columns: Indices, x: Floats, upper: Mask) -> _Basis | None:
        A, b = model.A, model.b
        given = np.array(x, dtype=np.float64)
        given[columns] = 0.0
        scaled = integers(np.column_stack([dense(A[rows]), b[rows]]))
        exact = solved_point(scaled, columns, given)
        if exact is None:
            return None
        r, signs = residual_signs(model, exact)
        signs[rows] = 0
        outside = ~mask(rows, b.size)
        sums, rest = dual_sums(model, np.where(signs == 0, upper, signs > 0), outside)
        found = balanced(scaled, columns, sums)
        if found is None:
            return None
        u, slopes = found[0], {j: float(rest) for j, rest in found[1].items()}
        return cls(model, rows, columns, given, upper, scaled, exact, r, signs, u, slopes, rest)

    def outside(self) -> dict[int, float]:
        """How far entries of u_I lie outside their box, by place in the basis."""
        lo, hi = box(self.model)
        found = {}
        for i, (row, u) in enumerate(zip(self.rows, self.u, strict=True)):
            excess = max(u - Fraction(hi[row]), Fraction(lo[row]) - u)
            if excess > 0:
                found[i] = float(excess)
        return found

    def away(self, leaving: int) -> tuple[Floats, float]:
        """(d, slope of F along d): the residual of this row leaves 0, the others of the basis stay."""
        rising = self.u[leaving] > Fraction(box(self.model)[1][self.rows[leaving]])
        unit = [0] * len(self.rows)
        unit[leaving] = 1 if rising else -1
        d = self._direction(unit)
        return d, -self.outside()[leaving] * 2.0 ** float(self.scaled.exponents[leaving])

    def along(self, column: int, slope: float) -> tuple[Floats, float]:
        """(d, slope of F along d): this entry of x moves, and those of the columns so that the basis stays."""
        sign = -1 if slope > 0 else 1
        d = self._direction([-sign * row[column] for row in self.scaled.rows])
        d[column] = sign
        return d, -abs(slope)

    def _direction(self, rhs: list[int]) -> Floats:
        d = solve([[row[j] for j in self.columns] for row in self.scaled.rows], rhs)
        assert d is not None  # the same matrix was solved with before
        full = np.zeros(self.model.A.shape[1])
        full[self.columns] = d.long().astype(np.float64)
        return full

    def line_search(self, d: Floats, slope: float) -> int | None:
        """The row whose breakpoint ends the descent along d; rows with r_i = 0 passed on the way change sides.

        In floating point: a wrong choice costs pivots and no more.
        """
        lo, hi = box(self.model)
        s = self.model.A @ d
        s[self.rows] = 0.0
        s[np.abs(s) <= 1e-12 * np.abs(s).max()] = 0.0
        r = np.where(self.signs == 0, 0.0, self.r.value.astype(np.float64))
        side = np.where(self.signs == 0, np.where(self.upper, 1, -1), self.signs)
        crossing = np.flatnonzero(s * side < 0)
        t = -r[crossing] / s[crossing]
        for j in crossing[np.lexsort((-np.abs(s[crossing]), t))]:
            slope += (hi[j] - lo[j]) * abs(s[j])
            if slope >= 0:
                return int(j)
            self.upper[j] = s[j] > 0
        return None

    def vertex(self) -> Vertex:
        lo, hi = box(self.model)
        side = np.where(self.signs == 0, np.where(self.upper, 1, -1), self.signs).astype(np.int8)
        total = self.rest
        for row, u in zip(self.rows, self.u, strict=True):
            side[row] = -1 if u == Fraction(lo[row]) else 1 if u == Fraction(hi[row]) else 0
            total += u * Fraction(self.model.b[row])
        value = -total / self.model.b.size
        return Vertex(self.rows, self.columns, self.given, self.upper, self.x, self.signs, side, value)


def solved_point(scaled: Integers, columns: Indices, given: Floats) -> Rational | None:
    """x with the given entries outside these columns and <a_i, x> = b_i; scaled holds a_i and b_i last."""
    return completed([row[:-1] for row in scaled.rows], [row[-1] for row in scaled.rows], columns, given)


def residual_signs(model: LinearModel, x: Rational) -> tuple[Bounded, Signs]:
    """Residuals in long double, and their exact signs: where the error bound leaves it open, by integers."""
    long = x.long()
    z = rounded_margins(model.A, long)
    value = z.value - model.b.astype(np.longdouble)
    error = z.error + np.abs(value).astype(np.float64) * float(np.finfo(np.longdouble).eps)
    signs = np.sign(value).astype(np.int8)
    size = np.abs(long)
    underflow = bool(np.any((size > 0) & (size < SMALLEST)))  # the error bound is in float64
    unsure = np.flatnonzero(underflow | ~(np.abs(value) > error))
    signs[unsure] = exact_signs(model, x, unsure)
    return Bounded(value, error), signs


def exact_signs(model: LinearModel, x: Rational, rows: Indices) -> Signs:
    """The signs of <a_i, x> - b_i for these rows."""
    return np.array([(n > 0) - (n < 0) for n, _ in _residuals(model, x, rows)], dtype=np.int8)


def exact_residuals(model: LinearModel, x: Rational, rows: Indices) -> list[Fraction]:
    """<a_i, x> - b_i for these rows."""
    return [Fraction(n, x.denominator) * Fraction(2) ** e for n, e in _residuals(model, x, rows)]


def _residuals(model: LinearModel, x: Rational, rows: Indices) -> Iterator[tuple[int, int]]:
    """(n, e) with <a_i, x> - b_i = n 2^e / denominator of x, row by row."""
    for at, columns, part in row_blocks(model.A[rows], BLOCK):
        scaled = integers(np.column_stack([part, model.b[rows[at]]]))
        found = products(scaled.rows, [*(x.numerators[j] for j in columns), -x.denominator])
        yield from zip(found, scaled.exponents.tolist(), strict=True)


def dual_sums(model: LinearModel, upper: Mask, rows: Mask) -> tuple[list[Fraction], Fraction]:
    """(sum of u_i a_i, sum of u_i b_i) over these rows, u_i being hi_i where upper and lo_i elsewhere."""
    lo, hi = box(model)
    u = np.where(upper, hi, lo)
    sums, rest = [Fraction(0)] * model.A.shape[1], Fraction(0)
    for value in np.unique(u[rows & (u != 0)]):
        mask = rows & (u == value)
        numbers, exponent = column_sums(model.A, mask)
        factor = Fraction(value) * Fraction(2) ** exponent
        sums = [total + factor * n for total, n in zip(sums, numbers, strict=True)]
        (number,), exponent = column_sums(model.b[:, None], mask)
        rest += Fraction(value) * Fraction(2) ** exponent * number
    return sums, rest
