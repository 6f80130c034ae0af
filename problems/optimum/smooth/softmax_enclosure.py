"""Multinomial logistic loss: proof that a minimiser lies near a point, by self-concordance.

Along a line W + t V let v_c = <a_i, V_c>. The loss of a row is log sum_{c in K_i} exp(z_c + t v_c) up to a linear
function of t; its second derivative is the variance of v under the probabilities pi, and its third the third central
moment, at most max_c |v_c - mean| <= max_c v_c - min_c v_c times the variance. So

    |phi'''(t)| <= R ||V|| phi''(t),   R = max over rows, and c, d in K_i, of the norm of V -> <a_i, V_c - V_d>,

first for each row, then for their mean and with the penalty, whose third derivative is 0: this is the hypothesis of [1,
Proposition 1] (smooth.py), which holds then as for two classes. R refers to the norm in the coordinates s of
V_J = T s, J a set of entries of W such that the forms <a_i, V_c - V_d> take all their values there. With the norm of
these forms in s at most r_i for one class d = t of each row, and all c, R <= 2 max r_i by the triangle inequality.

The Hessian is a sum of squares: the variance of v is sum_{c < d} pi_c pi_d (v_c - v_d)^2. Hence probabilities that are
known up to a factor 1 + e give it up to a factor (1 + e)^2, and leaving out squares gives a lower bound. Two ways:

by_squares: only those with d = the likeliest class t, which are at least pi_t >= 1/C times all; they enter metric.py as
rows a_i (e_c - e_t)^T of exact numbers, which tolerates ill-conditioned data.

by_blocks: the Hessian in blocks A^T diag(w_cd) A / m. A sum of n products, blocked, is off by g units times the sum of
the absolute products, g = block + n / block + ..., and that sum is at most sqrt(H_jj H_kk), by the Cauchy-Schwarz
inequality and w_cd^2 <= w_cc w_dd. So H, scaled by powers of two T = diag(1 / d_j), is off by at most g trace in norm.
If its Cholesky factorisation, less s I, succeeds in floating point then its smallest eigenvalue is at least s less
(q + 2) units of the trace [2]. There ||V -> <a_i, V_c - V_d>|| = sqrt(||a_i / d_c||^2 + ||a_i / d_d||^2).

[1] F. Bach. Self-concordant analysis for logistic regression. Electronic J. of Statistics 4, 2010.
    https://doi.org/10.1214/09-EJS521
[2] S. M. Rump. Verification of positive definiteness. BIT 46, 2006. https://doi.org/10.1007/s10543-006-0056-1
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from problems.matrix import dense, squared
from problems.optimum.arithmetic.columns import DENSE
from problems.optimum.arithmetic.extended import EPS64, OUTWARD, Bounded, Floats, Indices
from problems.optimum.arithmetic.metric import Metric, metric
from problems.optimum.arithmetic.null_space import Forms
from problems.optimum.dual import penalised_slope
from problems.optimum.law import Enclosure
from problems.optimum.newton import solve_spd
from problems.optimum.smooth.smooth import enclose_in
from problems.optimum.smooth.softmax import Rows, Softmax, differences, residual, softmax
from problems.optimum.smooth.softmax_newton import DENSE_UNKNOWNS, hessian

# Entries of the squares; memory holds six times as many at once.
SMALL = 12_000_000
# Rows summed before their sums are added up, in the Hessian of a proof.
BLOCK = 64
# Probabilities with a larger relative error count as 0.
CERTAIN = 0.1
HALVINGS = 12
POLISH = 5


def enclose_rows(rows: Rows, at: Indices, W: Any, l2: float = 0.0) -> Enclosure | None:
    """Prove that f_K has a minimiser near W that differs from it in the entries `at` of W.ravel(); None where it fails.

    With l2 > 0 `at` must be all entries.
    """
    if at.size > DENSE_UNKNOWNS:
        return None
    s = softmax(rows, differences(rows, W))
    g = penalised_slope(rows.A, residual(rows, s), rows.m, l2, W)
    few = at.size <= DENSE and int(rows.keep.sum() - rows.y.size) * at.size <= SMALL
    chart = (by_squares if few else by_blocks)(rows, s, at, l2)
    g_at = Bounded(g.value.ravel()[at], g.error.ravel()[at])
    return None if chart is None else enclose_in(chart, g_at, chart.B.shape[0] - (at.size if l2 > 0 else 0))


def _certain(s: Softmax) -> tuple[Floats, float]:
    """Probabilities in float64, 0 where they are uncertain, and the relative error of products of two of them."""
    certain = s.relative <= CERTAIN
    worst = float(s.relative[certain].max(initial=0.0)) + 4 * EPS64
    # (1 + e)^-2 >= 1 - 2 e
    return np.where(certain, s.pi, 0).astype(np.float64), 2 * worst * OUTWARD


def by_squares(rows: Rows, s: Softmax, at: Indices, l2: float) -> Metric | None:
    """The metric of the squares with the likeliest class; norms of the rows of B, doubled, bound those of all pairs."""
    i, c = np.nonzero(rows.keep & (np.arange(rows.C) != s.top[:, None]))
    pi, error = _certain(s)
    weights = pi[i, c] * pi[i, s.top[i]] / rows.m
    squares = dense(Forms(rows.A, i, c, s.top[i], rows.C).matrix()[:, at])
    chart = metric(squares, weights, error + 1e-14, l2)  # for the rounding of products
    return None if chart is None else chart._replace(B=2 * chart.B, row_errors=2 * chart.row_errors)


def by_blocks(rows: Rows, s: Softmax, at: Indices, l2: float) -> Metric | None:
    """The metric of the Hessian in blocks: T = diag(1/d), and B one column, the largest norm of a row's forms."""
    pi, error = _certain(s)
    H = hessian(rows, pi, l2, at, BLOCK)
    diagonal = np.diag(H)
    if not np.all(diagonal > 0):
        return None
    inverse = np.exp2(-np.rint(np.log2(diagonal) / 2))  # scaling by powers of two is exact
    H *= np.outer(inverse, inverse)
    terms = BLOCK + rows.y.size // BLOCK + rows.C + 12
    rounding = terms * EPS64 * float(np.trace(H)) * OUTWARD
    eigenvalue = (smallest_eigenvalue(H) - rounding) * (1 - error) / OUTWARD
    if not eigenvalue > 0:
        return None
    by_class = np.zeros(rows.A.shape[1] * rows.C)
    by_class[at] = inverse**2
    largest = np.asarray(squared(rows.A) @ by_class.reshape(-1, rows.C)).max(axis=1)
    B = np.sqrt(2 * largest)[:, None] * OUTWARD
    if l2 > 0:
        B = np.vstack([B, np.zeros((at.size, 1))])
    return Metric(np.diag(inverse), B, np.zeros(B.shape[0]), float(eigenvalue))


def smallest_eigenvalue(S: Floats) -> float:
    """A lower bound on the smallest eigenvalue of a symmetric matrix, within a factor 2 unless rounding is larger."""
    q = S.shape[0]
    rounding = (q + 4) * EPS64 * float(np.trace(S)) * OUTWARD
    try:
        factor = scipy.linalg.cho_factor(S)
        x: Any = np.random.default_rng(0).normal(size=q)
        for _ in range(8):
            x = scipy.linalg.cho_solve(factor, x / np.linalg.norm(x))
    except np.linalg.LinAlgError:
        return -np.inf
    shift = 0.9 / float(np.linalg.norm(x))
    for _ in range(HALVINGS):
        shifted = S.copy()
        shifted[np.diag_indices(q)] -= shift
        try:
            np.linalg.cholesky(shifted)
        except np.linalg.LinAlgError:
            shift /= 2
            continue
        return shift - rounding
    return -np.inf


def polished(rows: Rows, at: Indices, W: Any, l2: float = 0.0) -> Any:
    """W in long double, after Newton steps with the gradient in extended precision, as long as they lower it."""
    if at.size > DENSE_UNKNOWNS:
        return W
    W = np.asarray(W, dtype=np.longdouble)
    s = softmax(rows, differences(rows, W))
    H = hessian(rows, s.pi.astype(np.float64), l2, at)
    inverse = 1 / np.sqrt(np.where(np.diag(H) > 0, np.diag(H), 1.0))

    def slope(at_W: Any) -> Floats:
        s = softmax(rows, differences(rows, at_W))
        g = penalised_slope(rows.A, residual(rows, s), rows.m, l2, at_W)
        return g.value.ravel()[at].astype(np.float64)

    g = slope(W)
    for _ in range(POLISH):
        step = np.zeros(W.size)
        step[at] = solve_spd(H, g)
        moved = W - step.reshape(W.shape)
        g_moved = slope(moved)
        if not np.linalg.norm(inverse * g_moved) < np.linalg.norm(inverse * g):
            break
        W, g = moved, g_moved
    return W


def halves(W: Any) -> tuple[Floats, Floats]:
    """The entries of W in float64, and what is left of them."""
    high = np.asarray(W, dtype=np.float64)
    return high.ravel(), np.asarray(W - high, dtype=np.float64).ravel()
