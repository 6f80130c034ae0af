"""Piecewise-linear losses by linear and quadratic programming: points that look optimal, proved elsewhere.

The dual linear program of min (1/m) sum phi_i(<a_i, x>) is: minimise sum b_i u_i over the box, A^T u = 0.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from problems.matrix import csr, dense, scaled_rows
from problems.optimum.arithmetic.extended import Floats, Indices
from problems.optimum.dual import box, kinked
from problems.optimum.solvers import ROUGH, clarabel, highs
from problems.problem import LinearModel

Pair = tuple[Floats, Floats]
# Row generation ends by itself; this bound is for solvers that return the same point again.
MAX_ROUNDS = 50


def _unit_targets(model: LinearModel) -> tuple[LinearModel, float]:
    """(model with targets of size 1, s): its solutions are x / s and the same u; s is a power of two.

    The losses are homogeneous: f(s x) = s (mean loss at x with targets b / s + s l2/2 ||x||^2). Solvers take numbers
    near 1e20 for infinite.
    """
    s = 2.0 ** float(np.frexp(np.abs(model.b).max(initial=0.0))[1])
    if 1e-3 <= s <= 1e3:
        return model, 1.0
    return replace(model, b=model.b / s, l2=model.l2 * s), s


def vertex_pair(model: LinearModel) -> Pair | None:
    """(x, u) by HiGHS on the dual linear program: a vertex of the dual, x its multipliers."""
    model, s = _unit_targets(model)
    lo, hi = box(model)
    result = highs(model.b, A_eq=model.A.T, b_eq=np.zeros(model.A.shape[1]), bounds=np.column_stack([lo, hi]))
    if result.x is None or result.status != 0:
        return None
    # d(min)/d(rhs): the Lagrangian sum b_i u_i - <x, A^T u>
    return s * np.asarray(result.eqlin.marginals), np.asarray(result.x)


def interior_pair(model: LinearModel) -> Pair | None:
    """(x, u) by Clarabel: near the relative interior of both solution sets; with l2 > 0, the solution.

    minimise (1/m) sum t_i + l2/2 ||x||^2 over (x, t), t_i >= lo_i r_i, t_i >= hi_i r_i; scaled by m. Of soft kinks
    w_i is taken from r_i, at the price w_i^2 / (2 soft).
    """
    import scipy.sparse

    model, s = _unit_targets(model)
    A = csr(model.A)
    b = model.b
    m, p = A.shape
    lo, hi = box(model)
    soft = kinked(model).soft / s
    eye = scipy.sparse.eye_array(m)
    blocks = [[scaled_rows(A, side), -eye] for side in (lo, hi)]
    P = [model.l2 * m * scipy.sparse.eye_array(p), scipy.sparse.csc_array((m, m))]
    if soft:
        blocks = [[*block, -scipy.sparse.diags_array(side)] for block, side in zip(blocks, (lo, hi), strict=True)]
        P.append(eye / soft)
    G = scipy.sparse.vstack([scipy.sparse.hstack(block) for block in blocks], format="csc")
    h = np.concatenate([lo * b, hi * b])
    q = np.zeros(G.shape[1])
    q[p : p + m] = 1.0
    found = clarabel(scipy.sparse.block_diag(P), q, G, h, tolerance=ROUGH)
    if found is None:
        return None
    weights = found[1].reshape(2, m)
    return s * found[0][:p], lo * weights[0] + hi * weights[1]


def project(A: Any, target: Floats, sense: Floats, x0: Floats, norm: str = "euclidean") -> Pair | None:
    """The point nearest to x0 with sense_i (<a_i, x> - target_i) >= 0, or = 0 where sense_i = 0, and multipliers y.

    sense_i y_i >= 0 up to the solver's accuracy; in the Euclidean norm x - x0 = A^T y, in the maximum norm
    ||A^T y||_1 = 1 and y points the same way. The equalities enter at once, other rows as they are violated: few
    of them ever matter.
    """
    solve = _least_euclidean if norm == "euclidean" else _least_maximum
    m, p = A.shape
    equal = independent_rows(A, np.flatnonzero(sense == 0))
    inside = np.zeros(0, dtype=np.intp)
    tolerance = 1e-11 * (1 + np.abs(target))
    gap = sense * (A @ x0 - target)
    x, y, solved = x0, np.zeros(m), not equal.size
    for _ in range(MAX_ROUNDS):
        bad = np.setdiff1d(np.flatnonzero((sense != 0) & (gap < -tolerance)), inside)
        if solved and not bad.size:
            return x, y
        # the most violated, some hundreds at a time
        inside = np.concatenate([inside, bad[np.argsort(gap[bad])][: max(500, 5 * p)]])
        rows = np.concatenate([equal, inside])
        A_rows = A[rows]
        sign = np.concatenate([np.ones(equal.size), -sense[inside]])
        rhs = sign * (target[rows] - A_rows @ x0)
        found = solve(scaled_rows(A_rows, sign), rhs, equal.size)
        if found is None:
            return None
        x, y, solved = x0 + found[0], np.zeros(m), True
        y[rows] = -sign * found[1]
        gap = sense * (A @ x - target)
    return None


def least_distance(A: Any, target: Floats, sense: Floats, x0: Floats, norm: str = "euclidean") -> Pair | None:
    """The projection of `project` in the Euclidean norm, by the active set method of [1, chapter 23].

    min ||z||, G z >= h is the nonnegative least squares problem of (G^T; h^T) u = (0, ..., 0, 1): with the residual
    (r, rho), z = -r / rho, and the multipliers are -u / rho. Slower than interior points, and sharper.

    [1] C. L. Lawson, R. J. Hanson. Solving least squares problems. SIAM, 1995.
    """
    import scipy.optimize

    assert norm == "euclidean"
    equal = sense == 0
    sign = np.concatenate([np.where(equal, 1.0, sense), -np.ones(int(equal.sum()))])
    rows = np.concatenate([np.arange(target.size), np.flatnonzero(equal)])
    D = dense(A)
    G = sign[:, None] * D[rows]
    h = sign * (target - D @ x0)[rows]
    size = np.linalg.norm(G, axis=1)
    kept = size > 0
    G, h, size = G[kept] / size[kept, None], h[kept] / size[kept], size[kept]
    scale = np.abs(h).max(initial=0.0)
    if scale == 0:
        return x0.copy(), np.zeros(target.size)
    E = np.vstack([G.T, h / scale])
    try:
        u, _ = scipy.optimize.nnls(E, np.append(np.zeros(A.shape[1]), 1.0), maxiter=30 * E.shape[1])
    except RuntimeError:  # too many steps
        return None
    residual = E @ u - np.append(np.zeros(A.shape[1]), 1.0)
    if not residual[-1] < 0:
        return None
    y = np.zeros(target.size)
    np.add.at(y, rows[kept], sign[kept] * -u / residual[-1] / size * scale)
    return x0 - residual[:-1] / residual[-1] * scale, y


def independent_rows(A: Any, rows: Indices) -> Indices:
    """Some of the rows that span the others to working precision: solvers stumble over repeated equations."""
    import scipy.linalg

    if not rows.size:
        return rows
    R, order = scipy.linalg.qr(dense(A[rows]).T, mode="r", pivoting=True)
    pivots = np.abs(np.diag(R))
    return np.sort(rows[order[: np.count_nonzero(pivots > 1e-10 * pivots[0])]])


def _least_euclidean(A: Any, rhs: Floats, equalities: int) -> Pair | None:
    """(d, dual) of min ||d||^2 / 2, A d = rhs in the first rows, A d <= rhs in the others."""
    import scipy.sparse

    p = A.shape[1]
    return clarabel(scipy.sparse.eye_array(p), np.zeros(p), A, rhs, equalities)


def _least_maximum(A: Any, rhs: Floats, equalities: int) -> Pair | None:
    """(d, dual) of min ||d||_inf, A d = rhs in the first rows, A d <= rhs in the others."""
    import scipy.sparse

    n, p = A.shape
    eye: Any = scipy.sparse.eye_array(p, format="csr")
    ones: Any = scipy.sparse.csr_array(np.ones((p, 1)))
    A_t = scipy.sparse.hstack([A, scipy.sparse.csr_array((n, 1))], format="csr")
    within: list[Any] = [scipy.sparse.hstack([side * eye, -ones], format="csr") for side in (1.0, -1.0)]
    result = highs(
        np.append(np.zeros(p), 1.0),
        A_ub=scipy.sparse.vstack([A_t[equalities:], *within], format="csr"),
        b_ub=np.append(rhs[equalities:], np.zeros(2 * p)),
        A_eq=A_t[:equalities] if equalities else None,
        b_eq=rhs[:equalities] if equalities else None,
        bounds=(None, None),
    )
    if result.status != 0 or result.x is None:
        return None
    at_equalities = np.asarray(result.eqlin.marginals) if equalities else np.zeros(0)
    return result.x[:p], -np.concatenate([at_equalities, result.ineqlin.marginals[: n - equalities]])
