"""Exact null vectors of linear forms whose coefficients are rows of the data.

A form is W -> <a_i, w_c> - <a_i, w_d> on matrices W (p, C), or <a_i, w_c> alone. Coefficients are float64, that is
integers times powers of two, and vectors hold Python integers. Some forms are chosen that are independent, on as
many entries of W: that square part, nonsingular modulo a prime, is solved exactly (rational.py). Whether the other
forms vanish too is decided modulo primes whose product exceeds every value that they can take; those that do not
join the chosen ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from problems.matrix import (
    column_blocks,
    csr,
    dense,
    entries,
    largest_along,
    nonzero_columns,
    rows_of_entries,
    with_entries,
)
from problems.optimum.arithmetic.extended import EPS, OUTWARD, Floats, Indices, Long, Mask, margins
from problems.optimum.arithmetic.rational import Rational, independent, integers, solutions

Vectors = list[list[int]]
# Bits that a null vector near w keeps of the entries that may be chosen freely.
FREE_BITS = 40
# Columns whose entries are all below this power of two are not scaled.
FAR_DOWN = -500
# Integers in one elimination modulo a prime: a million take half a second.
ELIMINATION = 4_000_000
# n equations with solutions for k right-hand sides: n^2 (n + 10 k) multiplications, a second for ten million.
SOLUTION = 400_000_000
ROUNDS = 6
# Of two residues products, and of these sums of 2^9, are exact in float64.
PRIME_BITS, TERMS = 22, 512


class Forms(NamedTuple):
    """Form k is <a_i, w_plus> - <a_i, w_minus> with i = row[k]; without the term whose class is -1."""

    A: Any
    row: Indices
    plus: Indices
    minus: Indices
    C: int

    def matrix(self) -> Any:
        """(k, p C) CSR, exact; W.ravel() holds the unknowns."""
        import scipy.sparse

        rows = csr(self.A[self.row])
        again = rows_of_entries(rows)
        first = rows.indices.astype(np.int64) * self.C
        plus, minus = self.plus[again] >= 0, self.minus[again] >= 0
        place = np.concatenate([again[plus], again[minus]])
        column = np.concatenate([(first + self.plus[again])[plus], (first + self.minus[again])[minus]])
        values = np.concatenate([rows.data[plus], -rows.data[minus]])
        shape = (self.row.size, self.A.shape[1] * self.C)
        return scipy.sparse.csr_array((values, (place, column)), shape=shape)

    def values(self, product: Any) -> Any:
        """The forms' values from A W."""
        plus, minus = self.terms(product)
        return plus - minus

    def terms(self, product: Any) -> tuple[Any, Any]:
        """The first and the second term of each form from A W."""
        plus, minus = (np.where(of < 0, 0, product[self.row, of]) for of in (self.plus, self.minus))
        return plus, minus

    def at(self, which: Mask) -> Forms:
        """The forms that the mask selects."""
        return self._replace(row=self.row[which], plus=self.plus[which], minus=self.minus[which])


def row_forms(A: Any) -> Forms:
    """The forms <a_i, w> of all rows."""
    m = A.shape[0]
    return Forms(A, np.arange(m), np.zeros(m, dtype=np.intp), np.full(m, -1), 1)


def null_vector(forms: Forms, w: Floats) -> Rational | None:
    """A vector, nearly a multiple of w, on which all forms vanish; None: none is found.

    Entries that others do not determine are those of w, rounded to FREE_BITS where the columns of A are scaled to 1.
    """
    from flint import fmpz_mat

    columns = np.frexp(largest_along(forms.A, axis=0))[1]
    exponent = np.repeat(np.where(columns < FAR_DOWN, 0, columns), forms.C).astype(np.int64)
    scaled = np.ldexp(w, exponent)
    size = float(np.abs(scaled).max(initial=0.0))
    if not 0 < size < np.inf:
        return None
    up = (exponent.max() - exponent).tolist()
    v = [int(n) << k for n, k in zip(np.rint(np.ldexp(scaled / size, FREE_BITS)).tolist(), up, strict=True)]

    def right_hand_side(free: Indices, others: Any) -> Any:
        return others * fmpz_mat(free.size, 1, [v[j] for j in free])

    def completed(part: Solution) -> Vectors:
        full = [n * part.denominator for n in v]
        for j, n in zip(part.chosen.tolist(), part.numerators[0], strict=True):
            full[j] = -n
        return [full]

    found = _completed(forms, right_hand_side, completed, 1)
    return None if found is None else Rational(found[0][0], found[1].denominator)


def spanning_columns(forms: Forms) -> Indices | None:
    """Entries of W such that the forms take all their values on matrices that are zero elsewhere; None: no proof.

    Proved by a null vector for each other entry, whose only nonzero entries are that one and the spanning ones.
    """

    def completed(part: Solution) -> Vectors:
        vectors = []
        for j, numerators in zip(part.free.tolist(), part.numerators, strict=True):
            full = [0] * (forms.A.shape[1] * forms.C)
            for k, n in zip(part.chosen.tolist(), numerators, strict=True):
                full[k] = -n
            full[j] = part.denominator
            vectors.append(full)
        return vectors

    found = _completed(forms, lambda free, others: others, completed, None)
    return None if found is None else found[1].chosen


class Solution(NamedTuple):
    """Entries chosen and free, and for each right-hand side the numerators at the chosen ones."""

    chosen: Indices
    free: Indices
    numerators: Vectors
    denominator: int


def _completed(
    forms: Forms,
    right_hand_side: Callable[[Indices, Any], Any],
    completed: Callable[[Solution], Vectors],
    sides: int | None,
) -> tuple[Vectors, Solution] | None:
    """Vectors on which all forms vanish, completed from a square part of some forms that spans the others.

    right_hand_side(free, others): from the part's columns at the free entries; sides: how many there will be, None
    for as many as free entries.
    """
    from flint import fmpz_mat

    matrix = forms.matrix()
    used = nonzero_columns(matrix)
    shuffled = np.random.default_rng(0).permutation(forms.row.size)
    active = np.sort(shuffled[: 100 + 2 * used.size])  # some more than there are unknowns
    for _ in range(ROUNDS):
        if active.size * used.size > ELIMINATION:
            return None
        rows = integers(dense(matrix[active][:, used])).rows
        pivots, columns = independent(rows)
        free = np.setdiff1d(np.arange(used.size), columns)
        if pivots.size**2 * (pivots.size + 10 * (free.size if sides is None else sides)) > SOLUTION:
            return None
        part = [rows[i] for i in pivots]
        others = fmpz_mat(pivots.size, free.size, [row[j] for row in part for j in free])
        found = solutions([[row[j] for j in columns] for row in part], right_hand_side(used[free], others))
        if found is None:
            return None
        solution = Solution(used[columns], used[free], *found)
        vectors = completed(solution)
        failing = np.flatnonzero(~vanishing(forms, vectors))
        if not failing.size:
            return vectors, solution
        active = np.union1d(active[pivots], failing[np.argsort(shuffled[failing])][: 100 + 2 * used.size])
    return None


def vanishing(forms: Forms, vectors: Vectors) -> Mask:
    """The mask of the forms that vanish on all these vectors of integers, exactly.

    With a_ij = n_ij 2^e_i, n_ij integers, a form's value times 2^-e_i is an integer; it is 0 if it is so modulo
    primes whose product exceeds it. Powers of two are units modulo odd primes, so e_i is not needed there.
    """
    A, used = forms.A, np.unique(forms.row)
    forms = forms._replace(A=A[used], row=np.searchsorted(used, forms.row))
    mantissa, exponent = np.frexp(entries(forms.A))
    whole, exponent = np.ldexp(mantissa, 53).astype(np.int64), exponent.astype(np.int64) - 53
    if not np.any(whole) or not vectors:
        return np.ones(forms.row.size, dtype=bool)
    largest = max((abs(n) for v in vectors for n in v), default=0)
    # |value| 2^-e_i <= 2 sum_j |a_ij| 2^-e_i |v_j|, with one e for all rows
    spread = 53 + int(np.ptp(exponent[whole != 0]))
    bits = spread + largest.bit_length() + math.ceil(math.log2(2 * A.shape[1])) + 1
    good = np.ones(forms.row.size, dtype=bool)
    for prime in _primes(bits):
        matrix = with_entries(forms.A, _residues(whole, exponent, prime))
        V = np.array([[n % prime for n in v] for v in vectors], dtype=np.float64)
        W = V.reshape(len(vectors), A.shape[1], forms.C).transpose(1, 0, 2).reshape(A.shape[1], -1)
        product = _product(matrix, W, prime).reshape(-1, len(vectors), forms.C)
        for k in range(len(vectors)):
            good &= forms.values(product[:, k]) % prime == 0
    return good


def _product(matrix: Any, W: Floats, prime: int) -> Floats:
    """matrix W modulo the prime, TERMS products at a time."""
    product = np.zeros((matrix.shape[0], W.shape[1]))
    for at, block in column_blocks(matrix, TERMS):
        product = (product + block @ W[at]) % prime
    return product


def _residues(whole: NDArray[np.int64], exponent: NDArray[np.int64], prime: int) -> Floats:
    """whole * 2**exponent modulo the prime."""
    levels, which = np.unique(exponent, return_inverse=True)
    powers = np.array([pow(2, int(e), prime) for e in levels], dtype=np.int64)
    return (((whole % prime) * powers[which.reshape(whole.shape)]) % prime).astype(np.float64)


def _primes(bits: int) -> list[int]:
    """Odd primes below 2^PRIME_BITS, from above, whose product has more than so many bits."""
    needed = bits // (PRIME_BITS - 1) + 1
    width = 40 * needed + 200  # primes are 1 in 15 here
    first = 2**PRIME_BITS - width
    candidates = np.ones(width, dtype=bool)
    for d in range(2, 2 ** (PRIME_BITS // 2) + 1):
        candidates[-first % d :: d] = False
    found = first + np.flatnonzero(candidates)
    return found[::-1][:needed].tolist()


def positive(forms: Forms, v: Floats | Long) -> Mask:
    """The mask of the forms proved to be positive at v; entries in long double may each be one rounding off."""
    V = v.reshape(-1, forms.C)
    columns = [margins(forms.A, w) for w in V.T]
    value = np.stack([z.value for z in columns], axis=1)
    error = np.stack([z.error for z in columns], axis=1)
    if v.dtype == np.longdouble:
        error += EPS * OUTWARD * np.asarray(abs(forms.A) @ np.abs(V).astype(np.float64))
    plus, minus = forms.terms(error)
    return (forms.values(value) * (1 - 4 * EPS)).astype(np.float64) > (plus + minus) * OUTWARD
