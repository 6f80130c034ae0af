"""Exact linear algebra over the data: float64 numbers are integers times powers of two.

FLINT solves the systems, by p-adic lifting: 300 equations with 60-bit integers take half a second, 0/1 data a
hundredth of that. Independent rows and columns are found modulo a prime: what is independent there is independent,
and the converse fails with a probability of about n / 2^61, which costs a certificate and never makes one wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from problems.matrix import entries, row_blocks, with_entries
from problems.optimum.arithmetic.extended import Floats, Indices, Long, Mask

PRIME = 2**61 - 1
LONG_RANGE = int(np.finfo(np.longdouble).maxexp) - 400  # binary exponents that leave room for products
LIMB = 30  # bits taken at a time in exact sums: 2^33 terms fit int64
# Entries of data taken at a time as Python integers, which are large.
BLOCK = 1_000_000


class Integers(NamedTuple):
    """A matrix as integers and powers of two: values[i, j] = rows[i][j] * 2**exponents[i]."""

    rows: list[list[int]]
    exponents: NDArray[np.int64]


class Rational(NamedTuple):
    """The vector numerators / denominator; denominator > 0."""

    numerators: list[int]
    denominator: int

    def fractions(self) -> list[Fraction]:
        """The entries as fractions."""
        return [Fraction(n, self.denominator) for n in self.numerators]

    def square(self) -> Fraction:
        """The squared Euclidean norm."""
        return Fraction(sum(n * n for n in self.numerators), self.denominator**2)

    def long(self) -> Long:
        """The entries in long double, each within one rounding."""
        return np.array([long_of(n, self.denominator) for n in self.numerators], dtype=np.longdouble)


def long_of(numerator: int, denominator: int) -> Any:
    """numerator / denominator in long double, within one rounding; OverflowError beyond its range.

    Scaled to a quotient near 1, which Python divides with one rounding, and its remainder with another.
    """
    shift = abs(numerator).bit_length() - denominator.bit_length()
    if abs(shift) > LONG_RANGE:
        raise OverflowError(f"a number near 2**{shift} is beyond extended precision")
    if shift > 0:
        denominator <<= shift
    else:
        numerator <<= -shift
    high = numerator / denominator
    n, d = high.as_integer_ratio()
    low = (numerator * d - n * denominator) / (denominator * d)
    return np.ldexp(np.longdouble(high) + np.longdouble(low), shift)


def integers(values: Floats) -> Integers:
    """Scale each row by a power of two so that it holds integers without a common factor 2."""
    whole, exponent = _odd(values)
    present = whole != 0
    least = np.where(present, exponent, np.iinfo(np.int64).max).min(axis=1, initial=np.iinfo(np.int64).max)
    least = np.where(present.any(axis=1), least, 0)
    shift = np.where(present, exponent - least[:, None], 0)
    if shift.max(initial=0) + np.log2(np.abs(whole).max(initial=1)) < 62:
        rows = (whole << shift).tolist()
    else:
        rows = (whole.astype(object) << shift.astype(object)).tolist()
    return Integers(rows, least)


def exactly(v: Floats) -> Rational:
    """The float64 numbers as a rational vector, without rounding."""
    (numerators,), (exponent,) = integers(v[None, :])
    return Rational([n << max(int(exponent), 0) for n in numerators], 1 << max(-int(exponent), 0))


def _odd(values: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(N, e) with values = N 2^e, N odd or 0; ValueError for other types than float64, whose digits would be lost."""
    if values.dtype != np.float64:
        raise ValueError(f"exact arithmetic takes float64, not {values.dtype}")
    mantissa, exponent = np.frexp(values)
    whole = np.ldexp(mantissa, 53).astype(np.int64)
    lowest = whole & -whole
    zeros = np.where(whole == 0, 0, np.frexp(lowest.astype(np.float64))[1] - 1)
    return whole >> zeros, exponent.astype(np.int64) - 53 + zeros


def independent(matrix: Sequence[Sequence[int]]) -> tuple[Indices, Indices]:
    """(rows, columns): the first rows that are independent of those before them, and as many columns for them."""
    from flint import nmod_mat

    m, p = len(matrix), len(matrix[0]) if len(matrix) else 0
    if not m or not p:
        return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp)
    transposed = nmod_mat(p, m, [row[j] for j in range(p) for row in matrix], PRIME)
    rows = _pivots(transposed)
    reduced = nmod_mat(len(rows), p, [v for i in rows for v in matrix[i]], PRIME)
    return np.array(rows, dtype=np.intp), np.array(_pivots(reduced), dtype=np.intp)


def _pivots(matrix: Any) -> list[int]:
    """Pivot columns of the reduced row echelon form."""
    reduced, rank = matrix.rref()
    found, j = [], 0
    for i in range(rank):
        while int(reduced[i, j]) == 0:
            j += 1
        found.append(j)
        j += 1
    return found


def solve(matrix: Sequence[Sequence[int]], rhs: Sequence[int]) -> Rational | None:
    """The solution of a square system of integers; None where it is singular."""
    from flint import fmpz_mat

    found = solutions(matrix, fmpz_mat(len(rhs), 1, list(rhs)))
    return None if found is None else Rational(found[0][0], found[1])


def solutions(matrix: Sequence[Sequence[int]], rhs: Any) -> tuple[list[list[int]], int] | None:
    """(numerators for each column of rhs, an fmpz_mat; their denominator > 0); None where the matrix is singular."""
    from flint import fmpz_mat

    if not len(matrix) or not rhs.ncols():
        return [[] for _ in range(rhs.ncols())], 1
    try:
        numerators, denominator = fmpz_mat(matrix).solve(rhs).numer_denom()
    except ZeroDivisionError:
        return None
    return [[int(n) for n in column] for column in numerators.transpose().tolist()], int(denominator)


def products(matrix: Sequence[Sequence[int]], vector: Sequence[int]) -> list[int]:
    """The matrix times the vector."""
    from flint import fmpz_mat

    if not len(matrix) or not len(vector):
        return [0] * len(matrix)
    return [int(v) for v in (fmpz_mat(matrix) * fmpz_mat(len(vector), 1, list(vector))).entries()]


def mask(at: Indices, size: int) -> Mask:
    """True at these indices."""
    found = np.zeros(size, dtype=bool)
    found[at] = True
    return found


def column_sums(A: Any, mask: Mask) -> tuple[list[int], int]:
    """(N, e): the sum of these rows of A is N 2^e, exactly.

    The entries are cut into limbs of LIMB bits, whose sums fit int64.
    """
    rows = np.flatnonzero(mask)
    part = A[rows]
    rest = np.array(entries(part), dtype=np.float64)
    total = [0] * A.shape[1]
    whole, exponent = _odd(rest)
    if not np.any(whole):
        return total, 0
    lowest = int(exponent[whole != 0].min())
    limbs = -(-(int(np.frexp(rest)[1].max()) - lowest) // LIMB)
    for k in range(limbs - 1, -1, -1):
        digit = np.trunc(np.ldexp(rest, -(lowest + LIMB * k)))
        rest = rest - np.ldexp(digit, lowest + LIMB * k)
        sums = np.asarray(with_entries(part, digit.astype(np.int64)).sum(axis=0)).ravel()
        total = [t + (int(s) << (LIMB * k)) for t, s in zip(total, sums, strict=True)]
    return total, lowest


def exact_combination(A: Any, u: Floats) -> list[Fraction]:
    """A^T u in exact arithmetic."""
    sums = [Fraction(0)] * A.shape[1]
    for at, columns, part in row_blocks(A, BLOCK):
        factors, transposed = integers(u[None, at]), integers(part.T)
        found = products(transposed.rows, factors.rows[0])
        for j, n, e in zip(columns, found, (transposed.exponents + factors.exponents[0]).tolist(), strict=True):
            sums[j] += n * Fraction(2) ** e
    return sums


def completed(matrix: Sequence[Sequence[int]], rhs: Sequence[int], columns: Indices, given: Floats) -> Rational | None:
    """x with the given entries outside these columns and matrix x = rhs, as many rows; None: singular."""
    known, unit = exactly(np.where(mask(columns, given.size), 0.0, given))
    moved = products(matrix, known)
    found = solve(
        [[row[j] for j in columns] for row in matrix], [v * unit - n for v, n in zip(rhs, moved, strict=True)]
    )
    if found is None:
        return None
    full = [n * found.denominator for n in known]
    for j, n in zip(columns, found.numerators, strict=True):
        full[j] = n
    return Rational(full, found.denominator * unit)


def balanced(
    scaled: Integers, columns: Indices, sums: Sequence[Fraction]
) -> tuple[list[Fraction], dict[int, Fraction]] | None:
    """(u, rest) with A^T u + sums = 0 exactly on these columns; rest: what it is on others, where it is not 0.

    scaled holds A, as many rows as there are columns. The denominators of sums are powers of two. None: singular.
    """
    common = max((v.denominator for v in sums), default=1)
    target = [int(-v * common) for v in sums]
    v = solve([[row[j] for row in scaled.rows] for j in columns], [target[j] for j in columns])
    if v is None:
        return None
    others = np.setdiff1d(np.arange(len(sums)), columns)
    left = products([[row[j] for row in scaled.rows] for j in others], v.numerators)
    rest = {
        int(j): Fraction(n - target[j] * v.denominator, v.denominator * common)
        for j, n in zip(others, left, strict=True)
        if n != target[j] * v.denominator
    }
    # rows of A are 2^exponents times those of scaled
    scale = [Fraction(2) ** int(-e) for e in scaled.exponents]
    return [Fraction(n, v.denominator * common) * s for n, s in zip(v.numerators, scale, strict=True)], rest


def rounded_down(value: Fraction) -> float:
    """The largest float64 that is at most value."""
    near = value.numerator / value.denominator
    return near if Fraction(near) <= value else float(np.nextafter(near, -np.inf))


def rounded_up(value: Fraction) -> float:
    """The smallest float64 that is at least value."""
    return -rounded_down(-value) + 0.0  # not -0
