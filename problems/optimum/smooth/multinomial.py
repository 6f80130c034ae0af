"""Multinomial logistic loss: the certified optimum in every case.

l2 > 0: the best of strong convexity, f* >= f(W) - ||g||^2 / (2 l2) and ||W - W*|| <= ||g|| / l2, of the dual point of
the softmax residual, and of self-concordance (softmax_enclosure.py).

l2 = 0: completely separable (inf 0, no minimiser), quasi-completely (multinomial_separability.py: the infimum is that
of f_K), or attained. In that case all minimisers are W* + {v 1^T} + null(A) x R^C.

The point that is enclosed is W + low, two float64 matrices: to 1e-16 ||W|| alone, D would be no sharper than that times
the condition number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from problems.optimum.arithmetic.columns import independent_columns
from problems.optimum.arithmetic.extended import (
    ABOVE,
    BELOW,
    EPS,
    OUTWARD,
    Bounded,
    Floats,
    distance,
    down,
    least_squares,
    norm_up,
    up,
)
from problems.optimum.distances import distance_modulo, in_ball
from problems.optimum.proof import Proof
from problems.optimum.smooth.multinomial_repeated import entropy, repeated
from problems.optimum.smooth.multinomial_separability import (
    Split,
    coordinates,
    proved_separation,
    split,
    strictly_separates,
)
from problems.optimum.smooth.softmax import (
    Indices,
    Mask,
    Rows,
    all_rows,
    differences,
    dual_value,
    gradient,
    mean_loss,
    pairs,
    residual,
    restricted,
    softmax,
)
from problems.optimum.smooth.softmax_enclosure import data_matrix, enclose_rows, polished
from problems.optimum.smooth.softmax_newton import DENSE_UNKNOWNS, MAX_NEWTON, growth, newton
from problems.problem import LinearModel, Optimum, Problem

# Margins this large leave a pair's part of its row's loss below 3e-16.
FAR = 36.0
# Newton steps where each takes up to CG_STEPS products with the Hessian. Well-scaled data (tf-idf) need about ten, raw
# counts (news20) about thirty, ten minutes; beyond, the interval is what strong convexity gives at the point reached.
WIDE_NEWTON = 60
Certificate = Mapping[str, Any]


def certify_multinomial(problem: Problem, model: LinearModel) -> Optimum:
    """Find a point, and what its certificate proves."""
    rows = _rows(model)
    if model.l2 > 0:
        return _certified(problem, rows, model.l2, *_strongly_convex_point(rows, model.l2))
    parts = split(rows)
    x0 = problem.x0.reshape(parts.W.shape)
    if parts.S.any() and (parts.proved or parts.converged):
        return _certified(problem, rows, 0.0, *_far_point(rows, parts))
    if parts.at is None or not parts.converged:
        return _certified(problem, rows, 0.0, parts.W, {"kind": "none"})
    W, low = _halves(_nearest(model.A, polished(rows, parts.at, parts.W), x0))
    return _certified(problem, rows, 0.0, W, {"kind": "self-concordance", "low": low.ravel()})


def _rows(model: LinearModel) -> Rows:
    return all_rows(model)._replace(A=data_matrix(model.A))


def _strongly_convex_point(rows: Rows, l2: float) -> tuple[Floats, dict[str, Any]]:
    everything = np.arange(rows.A.shape[1] * rows.C)
    patience = MAX_NEWTON if everything.size <= DENSE_UNKNOWNS else WIDE_NEWTON
    W = newton(rows, l2, np.zeros((rows.A.shape[1], rows.C)), everything, patience).W
    W, low = _halves(polished(rows, everything, W, l2))
    return W, {"kind": "strong convexity", **({"low": low.ravel()} if low.any() else {})}


def _halves(W: Any) -> tuple[Floats, Floats]:
    """W in float64, and what is left of it."""
    high = np.asarray(W, dtype=np.float64)
    return high, np.asarray(W - high, dtype=np.float64)


def _far_point(rows: Rows, parts: Split) -> tuple[Floats, dict[str, Any]]:
    """W + c V, c so large that the margins of the pairs in S are FAR."""
    i, c = pairs(rows)
    S = parts.S[i, c]
    grows = growth(rows, rows.A @ parts.V)[i, c][S]
    missing = FAR - growth(rows, rows.A @ parts.W)[i, c][S]
    with np.errstate(over="ignore", invalid="ignore"):
        far = float((missing[grows > 0] / grows[grows > 0]).max(initial=0.0))
        moved = parts.W + far * parts.V
    x = moved if np.all(np.isfinite(moved)) else parts.W
    if S.all() and parts.proved:
        return x, {"kind": "separable"}
    left = restricted(rows, rows.keep & ~parts.S)
    W = polished(left, parts.at, parts.W) if parts.at is not None and parts.converged else parts.W
    W, low = _halves(W)
    direction = {"w": parts.V.ravel(), "S": np.packbits(parts.S)}
    return x, {"kind": "quasi-separable", **direction, "rest": W.ravel(), "low": low.ravel()}


def _nearest(A: Any, W: Any, x0: Floats) -> Any:
    """The point of X* nearest to x0 in long double, W being another."""
    N = independent_columns(A).N
    W = np.asarray(W, dtype=np.longdouble)
    for _ in range(2 if N.shape[1] else 0):
        W = W - N @ least_squares(N, np.asarray(W - x0, dtype=np.float64))
    return W - (W - x0).mean(axis=1)[:, None]


def _certified(problem: Problem, rows: Rows, l2: float, x: Floats, certificate: dict[str, Any]) -> Optimum:
    """The optimum with what this certificate proves of it."""
    optimum = prove(problem, rows, l2, x, certificate)
    if optimum.kind == "strong convexity" or optimum.attained is not None:
        return optimum
    note = "no proof succeeded: f_lo is what holds at every point, and whether a minimiser exists is open"
    return replace(optimum, notes=(*optimum.notes, note))


def prove_multinomial(problem: Problem, model: LinearModel, optimum: Optimum) -> Proof:
    """What a stored certificate proves, derived again."""
    x = optimum.x.reshape(-1, model.classes)
    near = prove(problem, _rows(model), model.l2, x, dict(optimum.certificate))
    return Proof(near.f_lo, near.f_hi, near.D_lo, near.D_hi, near.D_inf_lo, near.D_inf_hi, near.attained)


def value_up(model: LinearModel, x: Floats) -> float:
    """An upper bound on f(x), tight to rounding."""
    f = mean_loss(_rows(model), x.reshape(-1, model.classes), model.l2)
    return up(f.value + f.error)


def prove(problem: Problem, rows: Rows, l2: float, W: Floats, certificate: dict[str, Any]) -> Optimum:
    """Every number of the optimum from the point and the certificate, by evaluation alone."""
    f = mean_loss(rows, W, l2)
    f_hi = up(f.value + f.error)
    if l2 > 0:
        return _prove_strongly_convex(problem, rows, l2, W, f_hi, certificate)
    kind = certificate["kind"]
    if kind == "self-concordance":
        return _prove_attained(problem, rows, W, f_hi, certificate)
    if kind in ("separable", "quasi-separable"):
        return _prove_no_minimiser(problem, rows, W, f_hi, certificate)
    return _unproved(problem, W, f_hi, certificate, entropy(repeated(rows), rows.m))


def _unproved(problem: Problem, W: Floats, f_hi: float, certificate: Certificate, f_lo: float = 0.0) -> Optimum:
    x = W.ravel()
    estimate = distance(x, problem.x0)[1]
    return Optimum(f_lo, f_hi, x, 0.0, math.inf, attained=None, certificate=certificate, D_estimate=estimate)


def _prove_strongly_convex(
    problem: Problem, rows: Rows, l2: float, W: Floats, f_hi: float, certificate: dict[str, Any]
) -> Optimum:
    center, _ = _center(W, certificate)
    f = mean_loss(rows, center, l2)
    lower = dual_value(rows, np.asarray(center, dtype=np.float64), l2)
    radius = np.sqrt(2 * np.maximum(f.value + f.error - lower, 0) / np.longdouble(l2) * ABOVE)
    U = residual(rows, softmax(rows, differences(rows, center)))
    g = gradient(rows, U, l2, center)
    g_norm = np.longdouble(norm_up(Bounded(g.value.ravel(), g.error.ravel())))
    balls = [(g_norm / np.longdouble(l2), g_norm**2 / (2 * np.longdouble(l2)) * ABOVE)]
    ball = enclose_rows(rows, np.arange(W.size), center, l2)
    if ball is not None:
        balls.append((np.longdouble(ball.radius), np.longdouble(ball.drop)))
    for reach, drop in balls:
        lower, radius = max(lower, f.value - f.error - drop), min(radius, reach)
    optimum = in_ball(problem, max(0.0, down(lower)), f_hi, center.ravel(), up(radius), certificate)
    return replace(optimum, x=W.ravel())


def _center(W: Floats, certificate: Certificate) -> tuple[Any, float]:
    """W + low in long double, and a bound on ||low||."""
    low = certificate.get("low", np.zeros(W.size))
    size = float(np.linalg.norm(low)) * OUTWARD
    if not np.isfinite(size):
        raise ValueError("low must be finite")
    return np.asarray(W, dtype=np.longdouble) + low.reshape(W.shape), size


def _prove_attained(problem: Problem, rows: Rows, W: Floats, f_hi: float, certificate: dict[str, Any]) -> Optimum:
    center, low = _center(W, certificate)
    columns = independent_columns(rows.A)
    at = coordinates(rows)
    ball = None if at is None else enclose_rows(rows, at, center)
    if ball is None:
        return _unproved(problem, W, f_hi, {**certificate, "kind": "none"})
    f = mean_loss(rows, center)
    f_lo = max(0.0, down(f.value - f.error - np.longdouble(ball.drop)))
    certificate = {**certificate, **ball.numbers}
    note = "X* is an affine space: adding a vector to all columns of W changes nothing"
    if not columns.N.shape[1]:
        near = _in_ball_modulo_shifts(problem, f_lo, f_hi, center, ball.radius, certificate)
        return replace(near, x=W.ravel(), notes=(note,))
    near = in_ball(problem, f_lo, f_hi, center.ravel(), ball.radius, certificate)
    N = invariant_directions(columns.N, columns.J, rows.C)
    # distance_modulo takes x for the point that in_ball took; they differ by low
    near = distance_modulo(replace(near, x=W.ravel()), problem.x0, N, up(np.longdouble(ball.radius) + low))
    shift = np.longdouble(low) * np.linalg.norm(N) * OUTWARD
    return replace(near, D_lo=max(0.0, down(near.D_lo - shift)), notes=(note, *near.notes))


def _in_ball_modulo_shifts(
    problem: Problem, f_lo: float, f_hi: float, center: Any, radius: float, certificate: Certificate
) -> Optimum:
    """As in_ball, where X* holds W + v 1^T for all v with each W: D is ||d - mean||, D_inf half a row's largest range.

    d = W - W_0; half the range of a row is what remains of its largest absolute entry after the best shift.
    """
    d = center - problem.x0.reshape(center.shape)
    # the mean and its difference are rounded, each entry by as much as the largest of the row says
    rounding = (d.shape[1] + 6) * EPS * np.sqrt(np.longdouble(d.size)) * np.abs(d).max(initial=0.0)
    radius = up(np.longdouble(radius) + rounding)
    centred = (d - d.mean(axis=1)[:, None]).ravel()
    near = in_ball(replace(problem, x0=np.zeros(d.size)), f_lo, f_hi, centred, radius, certificate)
    half = np.max(d.max(axis=1) - d.min(axis=1)) / 2
    return replace(
        near,
        D_inf_lo=max(0.0, down(half * BELOW - np.longdouble(radius))),
        D_inf_hi=up(half * ABOVE + np.longdouble(radius)),
    )


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


def _prove_no_minimiser(problem: Problem, rows: Rows, W: Floats, f_hi: float, certificate: dict[str, Any]) -> Optimum:
    of_pairs = f"of {int(rows.keep.sum() - rows.y.size)} pairs of a row and another class"
    nowhere: dict[str, Any] = {"D_lo": math.inf, "D_inf_lo": math.inf, "attained": False, "D_estimate": math.inf}
    if certificate["kind"] == "separable":
        optimum = _unproved(problem, W, f_hi, certificate)
        note = f"no minimiser: the data are completely separable, all {of_pairs}"
        return replace(optimum, **nowhere, notes=(note,)) if strictly_separates(rows, W) else optimum
    S = _mask(certificate["S"], rows)
    left = restricted(rows, rows.keep & ~S)
    f_lo = max(_least(left, certificate), entropy(repeated(rows), rows.m))
    optimum = _unproved(problem, W, f_hi, certificate, f_lo)
    if proved_separation(rows, S, certificate["w"].reshape(W.shape)) is None:
        return optimum
    note = f"no minimiser: the data are quasi-completely separable, {int(S.sum())} {of_pairs}"
    found = replace(optimum, **nowhere, notes=(note,))
    return found if f_lo > 0 else replace(found, notes=(*found.notes, "f_lo is the trivial bound 0"))


def _mask(packed: Any, rows: Rows) -> Mask:
    S = np.unpackbits(np.asarray(packed, dtype=np.uint8), count=rows.keep.size).astype(bool).reshape(rows.keep.shape)
    if S[np.arange(rows.y.size), rows.y].any() or not S.any():
        raise ValueError("S must hold pairs of a row and another class than its own")
    return S


def _least(left: Rows, certificate: Certificate) -> float:
    """A lower bound on inf f_K: enclosed near the point "rest", or 0."""
    if left.A.shape[1] * left.C > DENSE_UNKNOWNS:
        return 0.0
    center, _ = _center(certificate["rest"].reshape(-1, left.C), certificate)
    at = coordinates(left)
    ball = None if at is None or not left.y.size else enclose_rows(left, at, center)
    if ball is None:
        return 0.0
    f = mean_loss(left, center)
    return max(0.0, down(f.value - f.error - np.longdouble(ball.drop)))
