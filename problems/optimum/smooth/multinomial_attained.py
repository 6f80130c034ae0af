"""Multinomial logistic loss, l2 = 0, where a minimiser exists: W* + {v 1^T} + null(A) x R^C are all of them.

The point that is enclosed is W + low, two float64 matrices: to 1e-16 ||W|| alone, D would be no sharper than that times
the condition number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from problems.optimum.arithmetic.columns import independent_columns
from problems.optimum.arithmetic.extended import ABOVE, BELOW, EPS, OUTWARD, Floats, Indices, down, least_squares, up
from problems.optimum.certificate import Certificate, Point, Proof, model_of, of_models
from problems.optimum.distances import Flattest, distance_modulo, find_flattest, in_ball
from problems.optimum.law import value_up
from problems.optimum.nothing import Nothing
from problems.optimum.smooth.multinomial_separability import enclosed
from problems.optimum.smooth.softmax import MULTINOMIAL, Rows, mean_loss, rows_of
from problems.optimum.smooth.softmax_enclosure import halves
from problems.problem import Problem


@dataclass(frozen=True, kw_only=True, eq=False)
class MultinomialSelfConcordance(Certificate):
    """A minimiser enclosed near x + low, by self-concordance (softmax_enclosure.py).

    flattest: where columns depend on others.
    """

    kind = "self-concordance"
    arithmetic = "norms"
    serves = of_models(lambda model: model.loss == MULTINOMIAL, penalty=False)
    x: Point
    low: Point
    flattest: Flattest | None = None

    def prove(self, problem: Problem) -> Proof:
        """The enclosure, and from there to X*; nothing where it fails."""
        model = model_of(problem)
        rows = rows_of(model)
        W = self.x.reshape(-1, rows.C)
        center = W.astype(np.longdouble) + self.low.reshape(W.shape)
        ball = enclosed(rows, center)
        if ball is None:
            return Nothing(x=self.x).prove(problem)
        f_lo, f_hi = ball.lower(mean_loss(rows, center)), value_up(model, self.x)
        note = "X* is an affine space: adding a vector to all columns of W changes nothing"
        N = _directions(rows)
        if not N.shape[1]:
            return _in_ball_modulo_shifts(problem.x0, f_lo, f_hi, center, ball.radius)._replace(notes=(note,))
        proof = in_ball(problem.x0, f_lo, f_hi, center.ravel(), ball.radius)._replace(notes=(note,))
        low = float(np.linalg.norm(self.low)) * OUTWARD
        # x stands here for the point of in_ball, from which it differs by low
        radius = up(np.longdouble(ball.radius) + low)
        proof = distance_modulo(proof, self.x - problem.x0, N, radius, self.flattest)
        shift = np.longdouble(low) * np.linalg.norm(N) * OUTWARD
        return proof._replace(D_lo=max(0.0, down(proof.D_lo - shift)))


def enclosed_at(rows: Rows, W: Any, x0: Floats) -> MultinomialSelfConcordance:
    """The certificate at the point of X* nearest to x0, W being another in long double."""
    N = independent_columns(rows.A).N
    start = x0.reshape(W.shape)
    for _ in range(2 if N.shape[1] else 0):
        W = W - N @ least_squares(N, np.asarray(W - start, dtype=np.float64))
    x, low = halves(W - (W - start).mean(axis=1)[:, None])
    return MultinomialSelfConcordance(x=x, low=low, flattest=find_flattest(_directions(rows), x - x0))


def _in_ball_modulo_shifts(x0: Floats, f_lo: float, f_hi: float, center: Any, radius: float) -> Proof:
    """Bounds in a ball where X* holds W + v 1^T with W: D is ||d - mean||, D_inf half a row's largest range.

    d = W - W_0; half the range of a row is what remains of its largest absolute entry after the best shift.
    """
    d = center - x0.reshape(center.shape)
    # the mean and the differences from it are rounded, each by an amount that the largest entry of the row bounds
    rounding = (d.shape[1] + 6) * EPS * np.sqrt(np.longdouble(d.size)) * np.abs(d).max(initial=0.0)
    radius = up(np.longdouble(radius) + rounding)
    centred = (d - d.mean(axis=1)[:, None]).ravel()
    half = np.max(d.max(axis=1) - d.min(axis=1)) / 2
    return in_ball(np.zeros(d.size), f_lo, f_hi, centred, radius)._replace(
        D_inf_lo=max(0.0, down(half * BELOW - np.longdouble(radius))),
        D_inf_hi=up(half * ABOVE + np.longdouble(radius)),
    )


def _directions(rows: Rows) -> Floats:
    """The invariant directions where columns depend on others; none where f is invariant under shifts alone."""
    columns = independent_columns(rows.A)
    if not columns.N.shape[1]:
        return np.zeros((rows.A.shape[1] * rows.C, 0))
    return invariant_directions(columns.N, columns.J, rows.C)


def invariant_directions(N: Floats, J: Indices, C: int) -> Floats:
    """Integers M (p C, n) that span {v 1^T} + null(A) x R^C, null(A) spanned by N, with M^T M >= I.

    M holds 2 N_k e_c^T for all c and s e_j 1^T for j in J. Let them act on (beta, alpha), and N_J be the rows J of N, F
    its Frobenius norm. Rows outside J hold 2 q beta with q >= 1, those in J s alpha_j + 2 (N_J beta_c)_j. Either
    2 F ||beta|| <= (s - 1) ||alpha||, and the latter have norm at least ||alpha||, the former ||beta||; or
    ||alpha|| <= ||beta|| for s >= 1 + 2 F, and the former have norm 2 ||beta||. Likewise ||M c||_inf <= t implies
    |beta| <= t/2 and |alpha| <= (t + t max sum |N_J|) / s <= t for s >= 1 + the largest row sum.
    """
    p = N.shape[0]
    inside = np.abs(N[J])
    s = (
        np.ceil(1 + 2 * max(float(np.linalg.norm(inside)), float(inside.sum(axis=1).max(initial=0.0))))
        if N.size
        else 1.0
    )
    shifts = np.kron(s * np.eye(p)[:, J], np.ones((C, 1)))
    return np.hstack([shifts, np.kron(2 * N, np.eye(C))])
