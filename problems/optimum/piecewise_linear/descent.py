"""Piecewise-linear losses, l2 > 0: descent over sets of rows at their kinks, to the minimiser.

F(x) = sum_i phi_i(<a_i, x>) + c/2 ||x||^2, c = m l2, phi_i(z) = max(lo_i r, hi_i r), r = z - b_i. A state is a set I of
independent rows, the side of every other row, on which its slope u_i is lo_i or hi_i, and a point x with r_i = 0 on I.
On {r_I = 0}, and while the sides hold, F is the quadratic whose minimum is the stationary point

    y = -A^T u / c,   A_I y = b_I, which determines u_I.

If sides are wrong at y, F falls from x towards y, and breaks where rows change sides: the line search passes breaks
until F would rise, as in [1], with the quadratic's slope c ||d||^2 (t - 1), d = y - x. It ends at a break, whose row
joins I, or between two. If no side is wrong, y takes the place of x, and the row whose u_i is farthest outside
[lo_i, hi_i] leaves I. F never rises, and where no u_i is outside, y is the minimiser.

Rows with r_i = 0 outside I make steps of length 0, which can go on for long, or round in circles. With targets b a
little off, by random numbers, there are no such rows (perturbed); the I and the sides that are right for these are
right for b, if the numbers are small enough.

What solves for y is exact (active_set.py) or Floating, here; a wrong choice costs steps and no more.

[1] I. Barrodale, F. D. K. Roberts. An improved algorithm for discrete l1 linear approximation. SIAM J. Numerical
    Analysis 10, 1973. https://doi.org/10.1137/0710069
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from problems.matrix import dense, long_transposed_product, scaled_rows
from problems.optimum.arithmetic.columns import pivots
from problems.optimum.arithmetic.extended import EPS, EPS64, Floats, Indices, Long, Mask, rounded_margins, row_norms
from problems.optimum.dual import box
from problems.optimum.piecewise_linear.vertex import Signs
from problems.problem import LinearModel

# Steps of length 0 in a row after which the descent ends.
PATIENCE = 20
# The relative change of perturbed targets; large enough to tell rows apart after rounding.
OFF = 1e-9
# With at most this many entries A_I is factored by QR, with more A_I A_I^T by Cholesky.
QR_ENTRIES = 2_000_000
# Rows with relative pivots below this count as dependent.
DEPENDENT = 1e-11
# At most this many rows are solved for at once: factors of more take seconds.
MANY = 6000
# Steps of iterative refinement; it ends sooner where residuals stop falling.
REFINEMENTS = 12
# Entries of u that lie outside their box by less may do so by rounding.
ROUNDING = 1e-9


class Stationary(NamedTuple):
    """y for a set of rows and sides, with the signs of its residuals (0 where rounding leaves them open) and u.

    u: (m,), the ends of the boxes outside I; excess: how far u_I lies above (> 0) or below (< 0) its box, in the order
    of rows; exact: what an exact solver adds.
    """

    x: Long
    signs: Signs
    u: Floats
    excess: Floats
    exact: Any = None

    def wrong(self, rows: Indices, upper: Mask) -> Mask:
        """Rows outside I whose residual is not on their side."""
        found = np.where(upper, self.signs < 0, self.signs > 0)
        found[rows] = False
        return found


@dataclass(frozen=True)
class State:
    """A state of the descent.

    rows: I; upper: (m,), outside I whether u_i is hi_i; x: a point with r_I = 0, to rounding.
    last: y and u_I of the last set solved for; done: whether it is the minimiser as far as its solver can tell.
    """

    rows: Indices
    upper: Mask
    x: Long
    last: Stationary | None = None
    done: bool = False


Solver = Callable[[Indices, Mask], Stationary | None]


def descend(model: LinearModel, start: State, solver: Solver, steps: int) -> State:
    """Descend from this state, at most so many steps."""
    rows, upper, x = start.rows, start.upper.copy(), start.x
    last, entered, still = None, None, 0
    for _ in range(steps):
        found = solver(rows, upper)
        if found is None:
            if entered is None:
                break
            # this row depends on the others: its residual is constant, its sign the one seen at y
            upper[entered] = not upper[entered]
            rows, entered = rows[:-1], None
            continue
        last, wrong = found, found.wrong(rows, upper)
        if wrong.any():
            step, entered = _line_search(model, upper, wrong, x, found)
            still = 0 if step > 0 else still + 1
            x = x + step * (found.x - x)
            if entered is not None:
                rows = np.append(rows, entered)
            continue
        x, entered = found.x, None
        outside = np.flatnonzero(found.excess)
        if not outside.size:
            return State(rows, upper, x, found, True)
        if still > PATIENCE:
            break
        leaving = np.argmax(np.abs(found.excess))
        upper[rows[leaving]] = found.excess[leaving] > 0
        rows = np.delete(rows, leaving)
    return State(rows, upper, x, last)


def settled(model: LinearModel, start: State, solver: Solver) -> State:
    """Block pivots: all rows that are wrong at y change their part at once, as long as they become fewer.

    They end at the minimiser or not at all, and only pave the way. Where rows are many each costs as much as a step.
    """
    rows, upper = start.rows, start.upper.copy()
    best, fewest, patience = start, model.b.size + 1, PATIENCE
    while patience:
        found = solver(rows, upper)
        if found is None:
            break
        wrong, outside = found.wrong(rows, upper), found.excess != 0
        count = int(wrong.sum() + outside.sum())
        if count < fewest:
            fewest, patience = count, PATIENCE
            sides = np.where(found.signs == 0, upper, found.signs > 0)
            best = State(rows, sides, found.x, found, not count)
        if not count:
            break
        patience -= 1
        upper[rows[outside]] = found.excess[outside] > 0
        rows = np.concatenate([rows[~outside], np.flatnonzero(wrong)])
        if rows.size > MANY:
            break
        rows = rows[independent(model.A[rows])]
    return best


def perturbed(model: LinearModel) -> LinearModel:
    """The model with targets moved a little at random, so that no x fits more of them than it must."""
    rng = np.random.default_rng(0)
    size = np.maximum(np.abs(model.b), np.abs(model.b).max(initial=0.0) * OFF)
    return replace(model, b=model.b + OFF * size * rng.uniform(-1.0, 1.0, model.b.size))


def _line_search(model: LinearModel, upper: Mask, wrong: Mask, x: Long, y: Stationary) -> tuple[Any, int | None]:
    """(t, the row that joins I or None): the minimum of F at x + t (y - x); rows passed change sides, in place."""
    lo, hi = box(model)
    at = np.flatnonzero(wrong)
    d = y.x - x
    part = model.A[at]
    r = rounded_margins(part, x).value - model.b[at]
    s = rounded_margins(part, d).value
    # at y the side is wrong: the break lies between, wherever rounding puts it
    crosses = s * y.signs[at] > 0
    t = np.clip(np.where(crosses, -r / np.where(crosses, s, 1), 0), 0, 1)
    order = np.lexsort((-np.abs(s), t))
    at, t = at[order], t[order]
    jumps = ((hi - lo)[at] * np.abs(s[order])).astype(np.longdouble)
    drop = model.b.size * np.longdouble(model.l2) * (d @ d)
    if not drop > 0:
        upper[at] = ~upper[at]
        return 1, None
    passed = np.concatenate([[np.longdouble(0)], np.cumsum(jumps)])
    before = drop * (t - 1) + passed[:-1]
    # the first break that ends the descent; it ends before that break, where the slope was positive already
    rising = np.flatnonzero(before + jumps >= 0)
    end = int(rising[0]) if rising.size else at.size
    upper[at[:end]] = ~upper[at[:end]]
    if end == at.size or before[end] > 0:
        return 1 - passed[end] / drop, None
    return t[end], int(at[end])


class Floating:
    """Stationary points in floating point: factors in float64, x and residuals in long double.

    u_I is refined until r_I is a rounding, x = -A^T u / c always, so that no error of the factors stays.
    """

    def __init__(self, model: LinearModel) -> None:
        self.model = model
        self.lo, self.hi = box(model)
        self.c = model.b.size * np.longdouble(model.l2)
        self.size = row_sizes(model.A)
        # u outside I, and A^T u over these rows
        self.u = np.zeros(model.b.size)
        self.sums: Long = np.zeros(model.A.shape[1], dtype=np.longdouble)

    def __call__(self, rows: Indices, upper: Mask) -> Stationary | None:
        self._outside(rows, upper)
        size = self.size[rows]
        A, b = scaled_rows(self.model.A[rows], 1 / size), self.model.b[rows] / size
        w, x = np.zeros(rows.size, dtype=np.longdouble), -self.sums / self.c
        factor = _factor(A) if rows.size else lambda v: v
        if factor is None:
            return None
        best, left = np.inf, 0.0
        for _ in range(REFINEMENTS if rows.size else 0):
            r = rounded_margins(A, x).value - b
            left = float(np.abs(r).max())
            if not left < 0.5 * best:
                break
            best = left
            w = w + self.c * factor(r.astype(np.float64))
            x = -(self.sums + long_transposed_product(A, w)) / self.c
        correction = factor((rounded_margins(A, x).value - b).astype(np.float64))
        x = x - long_transposed_product(A, correction.astype(np.longdouble))
        inner = (w / size).astype(np.float64)
        above, below = inner - self.hi[rows], inner - self.lo[rows]
        excess = np.where(above > ROUNDING, above, np.where(below < -ROUNDING, below, 0.0))
        u = self.u.copy()
        u[rows] = inner
        return Stationary(x, self._signs(x, left), u, excess)

    def _signs(self, x: Long, left: float) -> Signs:
        """Signs of residuals, by float64 where that will do; left: how far, relative to the rows, r_I is off 0."""
        A, b = self.model.A, self.model.b
        r: Any = A @ x.astype(np.float64) - b
        rough = 2 * EPS64 * ((A.shape[1] + 4) * self.size * float(np.linalg.norm(x.astype(np.float64))) + np.abs(b))
        near = np.flatnonzero(np.abs(r) <= rough + 4 * left * self.size)
        signs = np.sign(r).astype(np.int8)
        z = rounded_margins(A[near], x)
        r = z.value - b[near]
        error = z.error + EPS * np.abs(r).astype(np.float64) + 4 * left * self.size[near]
        signs[near] = np.where(np.abs(r) > error, np.sign(r), 0)
        return signs

    def _outside(self, rows: Indices, upper: Mask) -> None:
        """Bring sums up to date: few rows change from one step to the next."""
        u = np.where(upper, self.hi, self.lo)
        u[rows] = 0.0
        changed = np.flatnonzero(u != self.u)
        if changed.size:
            self.sums = self.sums + long_transposed_product(
                self.model.A[changed], u[changed] - self.u[changed].astype(np.longdouble)
            )
            self.u = u


def independent(A: Any) -> Indices:
    """Places of rows of A that span the others to working precision, by a pivoted Cholesky factorisation of A A^T."""
    B = scaled_rows(A, 1 / row_sizes(A))
    return pivots(dense(B @ B.T), DEPENDENT)[0].astype(np.intp)


def shortest(A: Any) -> Callable[[Floats], Floats] | None:
    """v -> the shortest x with A x = v; None where rows are dependent, or nearly."""
    size = row_sizes(A)
    B = scaled_rows(A, 1 / size)
    factor = _factor(B)
    if factor is None:
        return None
    solve = factor
    return lambda v: np.asarray(B.T @ solve(v / size))


def row_sizes(A: Any) -> Floats:
    """Powers of two near the norms of the rows: scaling by them is exact."""
    return np.exp2(np.round(np.log2(np.maximum(row_norms(A), np.finfo(float).tiny))))


def _factor(B: Any) -> Callable[[Floats], Floats] | None:
    """v -> (B B^T)^-1 v for B whose rows have norms near 1; None where these are dependent, or nearly."""
    import scipy.linalg

    N, p = B.shape
    if p < N:
        return None
    if N * p <= QR_ENTRIES:
        # pivoting grades R, and graded triangular systems are solved better than their condition number says
        R, order = scipy.linalg.qr(dense(B).T, mode="r", pivoting=True, check_finite=False)
        R = R[:N]
    else:
        try:
            R, order = scipy.linalg.cholesky(dense(B @ B.T), check_finite=False), np.arange(N)
        except scipy.linalg.LinAlgError:
            return None
    pivots = np.abs(np.diag(R))
    if pivots.min() <= DEPENDENT * pivots.max():
        return None

    def solve(v: Floats) -> Floats:
        half = scipy.linalg.solve_triangular(R, v[order], trans="T", check_finite=False)
        found = np.empty(N)
        found[order] = scipy.linalg.solve_triangular(R, half, check_finite=False)
        return found

    return solve
