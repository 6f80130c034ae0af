"""Rows that occur with several labels: no direction separates those, and their loss has a bound of its own.

Let n_c of n equal rows a have the label c. By Gibbs' inequality their losses add up to at least sum_c n_c log(n / n_c),
at every W. So inf f is at least the mean E of these over all groups of equal rows.

Now let V keep <a, V_c> equal over the labels that occur with a, and less for all others, and let it separate every
other row. If rows a of different groups are independent there is a W with <a, W_c> = log n_c for the labels that
occur, and f(W + t V) tends to E. Then inf f = E, and f is above E at each point, because every row has some loss for a
class that does not occur: f has no minimiser.

This decides data with many more columns than rows, text for example, where no Hessian can be formed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from problems.optimum.arithmetic.extended import BELOW, Floats, Indices, Long, Mask, down, row_norms, total
from problems.optimum.arithmetic.null_space import positive
from problems.optimum.arithmetic.rational import Rational, integers, solutions
from problems.optimum.smooth.opposed import distinct, equal_rows, orthogonal_part
from problems.optimum.smooth.softmax import Rows, forms_of

# Bits that V keeps of its entries, relative to the largest.
BITS = 40
# Accuracies of the least squares problem that finds V; the first that separates is taken.
ACCURACIES, LEAST_SQUARES_STEPS = (1e-2, 1e-3, 1e-4, 1e-6), 3000
# n equations for C right-hand sides: n^2 (n + 10 C) multiplications, a second for ten million.
SOLUTION = 400_000_000


class Repeated(NamedTuple):
    """Groups of equal rows with several labels: the first row of each, and counts (n, C) of the labels."""

    first: Indices
    counts: Floats
    group: Indices  # (m,) which group a row belongs to, -1 for none

    def tied(self, rows: Rows) -> Mask:
        """Pairs (i, c) with a label c that occurs with the row, and is not its own."""
        mask = np.zeros(rows.keep.shape, dtype=bool)
        member = np.flatnonzero(self.group >= 0)
        mask[member] = self.counts[self.group[member]] > 0
        mask[member, rows.y[member]] = False
        return mask


def repeated(rows: Rows) -> Repeated:
    """Find the groups of equal rows with several labels."""
    index = equal_rows(rows.A)
    counts = np.zeros((rows.y.size, rows.C))
    np.add.at(counts, (index, rows.y), 1.0)
    first = np.flatnonzero((counts > 0).sum(axis=1) > 1)
    number = np.full(rows.y.size, -1, dtype=np.intp)
    number[first] = np.arange(first.size)
    return Repeated(first, counts[first], number[index])


def entropy(found: Repeated, m: int) -> float:
    """A lower bound on f at every point, with all classes."""
    counts = found.counts.astype(np.longdouble)
    size = counts.sum(axis=1)[:, None]
    some = np.where(counts > 0, counts, size)
    # log(n / n_c) near 1 would lose the digits that the quotient has lost
    terms = counts * np.log1p((size - some) / some)
    losses = total(terms.ravel())
    return max(0.0, down((losses.value - losses.error) * BELOW / m))


def entropy_point(rows: Rows, found: Repeated) -> Floats:
    """W of least norm with <a, W_c> = log n_c for the labels that occur with a."""
    values, used = distinct(rows.A[found.first])
    W = np.zeros((rows.A.shape[1], rows.C))
    W[used] = np.linalg.lstsq(values, np.log(np.maximum(found.counts, 1.0)))[0]
    return W


def direction(rows: Rows, found: Repeated) -> Floats | None:
    """The direction V, up to rounding; None where none is found.

    V_0 puts the labels that occur above the others, V_1 in the null space of those rows separates the others: the sum
    V_0 + t V_1 does both for t large.
    """
    values, used = distinct(rows.A[found.first])
    occurs = (found.counts > 0).astype(np.float64)
    V = np.zeros((rows.A.shape[1], rows.C))
    V[used] = np.linalg.lstsq(values, occurs)[0]
    others = np.flatnonzero(found.group < 0)
    if not others.size:
        return V
    A, y = rows.A[others], rows.y[others]
    rest = _separating(A, y, rows.C, rows.A[found.first])
    if rest is None:
        return None
    lead, gained = _lead(A @ V, y), _lead(A @ rest, y)
    t = float(np.max(np.maximum(1 - lead, 0) / gained))
    return V + max(t, 1.0) * rest if np.isfinite(t) else None


def _separating(A: Any, y: Indices, C: int, repeated_rows: Any) -> Floats | None:
    """V in the null space of the repeated rows such that each of these rows has its own class above all others."""
    import scipy.sparse.linalg

    part = orthogonal_part(A, repeated_rows)
    if part is None:
        return None
    operator, onto = part
    norms = row_norms(A)
    if not norms.all():
        return None
    scale = 1 / norms
    target = scale[:, None] * ((y[:, None] == np.arange(C)) - 1 / C)
    shape = (A.shape[1], C)
    stacked = scipy.sparse.linalg.LinearOperator(
        (target.size, A.shape[1] * C),
        matvec=lambda v: (scale[:, None] * (operator @ v.reshape(shape))).ravel(),
        rmatvec=lambda u: (operator.H @ (scale[:, None] * u.reshape(target.shape))).ravel(),
        dtype=np.float64,
    )
    V = np.zeros(A.shape[1] * C)
    for accuracy in ACCURACIES:
        V = scipy.sparse.linalg.lsmr(
            stacked, target.ravel(), x0=V, atol=0.0, btol=accuracy, maxiter=LEAST_SQUARES_STEPS
        )[0]
        moved = onto(V.reshape(shape))
        if np.all(_lead(A @ moved, y) > 0):
            return moved
    return None


def _lead(z: Floats, y: Indices) -> Floats:
    """The margin by which the own class is above all others, row by row."""
    i = np.arange(y.size)
    others = z.copy()
    others[i, y] = -np.inf
    return np.asarray(z[i, y] - others.max(axis=1))


def exact_direction(rows: Rows, found: Repeated, V: Floats) -> Long | None:
    """A matrix near a multiple of V, within one rounding, under which the labels of each group are exactly equal.

    Entries of V are rounded to BITS; in as many features as there are groups they are then those that make the values
    of the groups what they are to be, which is solved exactly (FLINT). None: those rows are dependent, or too many.
    """
    import scipy.linalg
    from flint import fmpz_mat

    values, used = distinct(rows.A[found.first])
    n, C = found.counts.shape
    size = float(np.abs(V).max(initial=0.0))
    if n > used.size or n**2 * (n + 10 * C) > SOLUTION or not 0 < size < np.inf:
        return None
    V = np.rint(np.ldexp(V, BITS - int(np.frexp(size)[1])))
    # features of well-conditioned columns come first
    order = scipy.linalg.qr(values, mode="r", pivoting=True)[1]
    J, free = np.sort(order[:n]), np.sort(order[n:])
    whole = integers(values)
    # in units of the integers that stand for a row of the data
    with np.errstate(over="ignore", invalid="ignore"):
        wanted = np.ldexp(values @ V[used], -whole.exponents[:, None])
    if not np.all(np.isfinite(wanted)):
        return None
    occurs = found.counts > 0
    mean = np.sum(np.where(occurs, wanted, 0), axis=1) / occurs.sum(axis=1)
    wanted = np.rint(np.where(occurs, mean[:, None], wanted))
    rhs = _matrix(wanted)
    if free.size:
        at_free = fmpz_mat(n, free.size, [row[j] for row in whole.rows for j in free.tolist()])
        rhs -= at_free * _matrix(V[used[free]])
    solved = solutions([[row[j] for j in J.tolist()] for row in whole.rows], rhs)
    if solved is None:
        return None
    exact = V.astype(np.longdouble)
    exact[used[J]] = np.array([Rational(column, solved[1]).long() for column in solved[0]]).T
    return exact


def _matrix(whole: Floats) -> Any:
    from flint import fmpz_mat

    return fmpz_mat([[int(e) for e in row] for row in whole.tolist()])


def proved_direction(rows: Rows, found: Repeated, V: Floats) -> Floats | None:
    """A matrix near a multiple of V that separates exactly the pairs that are not tied, as float64; None: no proof."""
    exact = exact_direction(rows, found, V)
    if exact is None:
        return None
    others = rows._replace(keep=rows.keep & ~found.tied(rows))
    if not positive(forms_of(others), exact.ravel()).all():
        return None
    return np.asarray(exact / np.abs(exact).max(), dtype=np.float64)
