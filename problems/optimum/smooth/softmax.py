"""The multinomial logistic loss in extended precision, on all classes or on some of them row by row.

With margins z = A W, (m, C), and a set K_i of classes that holds y_i for each row,

    f_K(W) = (1/m) sum_i log sum_{c in K_i} exp(z_ic - z_iy) + l2/2 ||W||_F^2,   y = y_i.

K_i = all classes is the loss itself; fewer give a lower bound on it at every point. Only d_ic = <a_i, w_c - w_y>
counts, and is computed so, which is sharper than z where the w are large and have much in common.

The conjugate: for every row and q in the simplex over K_i, log sum exp(z_c - z_y) >= <q - e_y, z> - sum q_c log q_c.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from problems.matrix import columns_in_use, dense, entries, longest_row
from problems.optimum.arithmetic.extended import BLOCK, EPS, OUTWARD, Bounded, Floats, Indices, Mask, total
from problems.optimum.arithmetic.null_space import Forms
from problems.optimum.dual import least, penalised, penalised_slope
from problems.problem import LinearModel

MULTINOMIAL = "multinomial_logistic"
# TINY is added for terms that underflow; exponents beyond EXPONENT are not used.
EXPONENT = 700.0
TINY = float(np.finfo(np.float64).tiny)


class Rows(NamedTuple):
    """A (n, p), classes y (n,), and keep (n, C): K_i as a mask, keep[i, y_i] always True.

    m >= n: what sums are divided by; rows whose own class is all that is left have no loss and may be left out.
    """

    A: Any
    y: Indices
    keep: Mask
    m: int

    @property
    def C(self) -> int:
        """The number of classes."""
        return self.keep.shape[1]


def all_rows(model: LinearModel) -> Rows:
    """Every row with every class."""
    y = model.b.astype(np.intp)
    return Rows(model.A, y, np.ones((y.size, model.classes), dtype=bool), y.size)


def rows_of(model: LinearModel) -> Rows:
    """Every row with every class, the matrix in the form that products with many classes prefer.

    Dense where that is no larger than twice the sparse form.
    """
    rows, A = all_rows(model), model.A
    return rows._replace(A=dense(A)) if entries(A).size * 3 > A.shape[0] * A.shape[1] else rows


def restricted(rows: Rows, keep: Mask) -> Rows:
    """The rows with the classes `keep`, without the rows that have no class left but their own."""
    left = np.flatnonzero(keep.sum(axis=1) > 1)
    return Rows(rows.A[left], rows.y[left], keep[left], rows.m)


def pairs(rows: Rows) -> tuple[Indices, Indices]:
    """(i, c): the rows and the other classes in K_i."""
    others = rows.keep.copy()
    others[np.arange(rows.y.size), rows.y] = False
    i, c = np.nonzero(others)
    return i, c


def forms_of(rows: Rows) -> Forms:
    """The forms <a_i, V_y - V_c> of all pairs."""
    i, c = pairs(rows)
    return Forms(rows.A, i, rows.y[i], c, rows.C)


def differences(rows: Rows, W: Any) -> Bounded:
    """d_ic = <a_i, w_c - w_y>, (n, C), with error bounds."""
    W = np.asarray(W, dtype=np.longdouble)
    n, terms = rows.y.size, longest_row(rows.A)
    value, error = np.zeros((n, rows.C), dtype=np.longdouble), np.zeros((n, rows.C))
    for k in np.unique(rows.y):
        of_class = np.flatnonzero(rows.y == k)
        for i in range(0, of_class.size, BLOCK):
            at = of_class[i : i + BLOCK]
            A = rows.A[at]
            used = columns_in_use(A)  # wide data: few features occur in the rows of one class
            A, of_A = A[:, used], W[used]
            D = of_A - of_A[:, k : k + 1]  # one rounding
            value[at] = A.astype(np.longdouble) @ D
            error[at] = OUTWARD * (terms + 3) * EPS * (abs(A) @ np.abs(D).astype(np.float64))
    return Bounded(value, error)


class Softmax(NamedTuple):
    """Losses and probabilities of all rows, from the differences d.

    top (n,): the class of the largest d. loss (n,): log sum exp d. pi (n, C): the probabilities, 0 outside K; relative:
    each is off by at most that times itself (infinite: nothing known). wrong (n,): 1 - pi_y as the sum of the others.
    """

    top: Indices
    loss: Bounded
    pi: Any
    relative: Floats
    wrong: Bounded


def softmax(rows: Rows, d: Bounded) -> Softmax:
    """Loss and probabilities of the classes in K_i.

    Let d be off by at most e. L = log sum exp d then changes by at most l = log sum pi_k exp(e_k): upwards that is the
    definition, and downwards -log sum pi_k exp(-e_k) <= sum pi_k e_k <= l, twice by Jensen's inequality. So
    log pi_c = d_c - L is off by at most e_c + l. (Also l <= max e.) With s the sum of exp(d_c - d_top) over the others,
    L = d_top + log(1 + s), two nonnegative terms since d_y = 0. Rounding: (C + 12) EPS, and EPS |d_c - d_top| in the
    exponents.
    """
    n, C = rows.keep.shape
    i = np.arange(n)
    value = np.where(rows.keep, d.value, -np.inf)
    top = np.argmax(value, axis=1)
    below = value - value[i, top][:, None]
    powers = np.exp(below)
    others = powers.copy()
    others[i, top] = 0
    value_of_loss = value[i, top] + np.log1p(others.sum(axis=1))
    pi = powers / powers.sum(axis=1)[:, None]
    e = np.where(rows.keep, d.error + EPS * np.abs(np.where(rows.keep, below, 0)).astype(np.float64), 0.0) * OUTWARD
    worst = e.max(axis=1)
    grown = (pi * np.expm1(np.minimum(e, EXPONENT).astype(np.longdouble))).sum(axis=1)
    change = np.minimum(np.log1p(grown).astype(np.float64) * OUTWARD + TINY, worst)
    change = np.where(worst < EXPONENT, change, worst)
    rounding = (C + 12) * EPS
    loss = Bounded(value_of_loss, OUTWARD * (change + rounding * value_of_loss.astype(np.float64)))
    off = e + change[:, None]
    relative = np.where(off < EXPONENT, np.expm1(np.minimum(off, EXPONENT)) * OUTWARD + rounding, np.inf)
    apart = pi.copy()
    apart[i, rows.y] = 0
    return Softmax(
        top, loss, pi, relative, Bounded(apart.sum(axis=1), _absolute(apart, relative).sum(axis=1) * OUTWARD)
    )


def _absolute(pi: Any, relative: Floats) -> Floats:
    """Absolute errors of probabilities: 1 at most."""
    with np.errstate(invalid="ignore"):
        error = pi.astype(np.float64) * relative + TINY
    return np.where(np.isfinite(relative), np.where(pi == 0, TINY, np.minimum(error, 1.0)), 1.0)


def residual(rows: Rows, s: Softmax) -> Bounded:
    """U = pi - e_y, the derivative of each row's loss; its rows add up to 0 as exact numbers."""
    U, error = s.pi.copy(), _absolute(s.pi, s.relative)
    i = np.arange(rows.y.size)
    U[i, rows.y], error[i, rows.y] = -s.wrong.value, np.minimum(s.wrong.error, 1.0)
    return Bounded(U, np.where(rows.keep, error, 0.0))


def mean_loss(rows: Rows, W: Any, l2: float = 0.0) -> Bounded:
    """f_K(W) with a bound on its error."""
    return penalised(softmax(rows, differences(rows, W)).loss, rows.m, l2, W)


def dual_value(rows: Rows, W: Any, l2: float) -> Any:
    """A lower bound on inf f, l2 > 0, in long double.

    Every q_i in the simplex gives f(W) >= <V, W> - (1/m) sum phi*_i + l2/2 ||W||^2 with V = A^T (q - e_y) / m, whose
    minimum is -(1/m) sum phi*_i - ||V||^2 / (2 l2). q: the probabilities at W as they are computed, divided by their
    exact sum, so that no error of d counts.
    """
    d = differences(rows, W)
    q = softmax(rows, d._replace(error=np.zeros(d.error.shape)))
    V = penalised_slope(rows.A, residual(rows, q), rows.m)
    phi = conjugates(rows, q)
    s = total(-phi.value, phi.error)
    entropy = (s.value - s.error * OUTWARD) / rows.m
    return least(entropy - 4 * EPS * np.abs(entropy), V, l2)


def conjugates(rows: Rows, q: Softmax) -> Bounded:
    """sum_c q_c log q_c <= 0, row by row; log q_y = log1p(-(1 - q_y)) where q_y is near 1."""
    i = np.arange(rows.y.size)
    wrong = q.wrong.value
    pi = np.where(q.pi > 0, q.pi, 1)
    terms = pi * np.log(pi)
    own = q.pi[i, rows.y]
    near = wrong < 0.5
    terms[i, rows.y] = np.where(near, own * np.log1p(-np.where(near, wrong, 0)), terms[i, rows.y])
    # d(q log q) = (1 + log q) dq; dq is relative to q, and for the class y to 1 - q_y as well
    sizes = q.pi.astype(np.float64)
    sizes[i, rows.y] = np.where(near, wrong, own).astype(np.float64)
    off = q.relative.max(axis=1) + (rows.C + 12) * EPS
    return Bounded(terms.sum(axis=1), OUTWARD * (np.abs(terms).astype(np.float64) + sizes).sum(axis=1) * off + TINY)
