"""HiGHS and Clarabel: approximate solutions and multipliers, which prove nothing by themselves."""

from __future__ import annotations

from typing import Any

import numpy as np

from problems.optimum.arithmetic.extended import Floats, Mask

# A tolerance for points that an active set sharpens; asking for more took three times as long on a9a.
ROUGH = 1e-9
HALF = 0.5  # more than this counts as 1 in a solution whose entries are 0 or 1 up to rounding


def highs(cost: Floats, **arguments: Any) -> Any:
    """HiGHS through scipy.optimize.linprog, whose type stubs know no sparse matrices."""
    import scipy.optimize

    linprog: Any = scipy.optimize.linprog
    return linprog(cost, method="highs", **arguments)


def positive_rows(M: Any, equal: Any = None, **options: Any) -> tuple[Mask, Floats] | None:
    """(rows, w): as many rows as can be positive at once in M w >= 0, with equal w = 0; None where HiGHS ends without.

    maximise sum t, 0 <= t <= 1, t <= M w: directions add, and may be scaled, so at the optimum t is 0 or 1.
    """
    import scipy.sparse

    k, n = M.shape
    arguments: dict[str, Any] = {"A_ub": scipy.sparse.hstack([-M, scipy.sparse.eye_array(k)], format="csr")}
    if equal is not None:
        zeros = scipy.sparse.csr_array((equal.shape[0], k))
        arguments |= {
            "A_eq": scipy.sparse.hstack([equal, zeros]),
            "b_eq": np.zeros(equal.shape[0]),
        }
    bounds = np.concatenate([np.tile([-np.inf, np.inf], (n, 1)), np.tile([0.0, 1.0], (k, 1))])
    cost = np.concatenate([np.zeros(n), -np.ones(k)])
    result = highs(cost, b_ub=np.zeros(k), bounds=bounds, options=options, **arguments)
    if result.x is None or result.status != 0:
        return None
    return result.x[n:] > HALF, result.x[:n]


def clarabel(
    P: Any, q: Floats, A: Any, b: Floats, equalities: int = 0, ball: int = 0, tolerance: float = 1e-12
) -> tuple[Floats, Floats] | None:
    """(x, dual) of min 1/2 x'Px + q'x, A x + s = b; None where no finite point is found.

    s = 0 in the first rows, so many as there are equalities, s >= 0 in the others; and in the last `ball` rows s lies
    in a second-order cone. The tolerance by default is beyond what can be had, so that Clarabel goes on as far as it
    can; whatever it stops with is only a starting point.
    """
    import clarabel as solvers
    import scipy.sparse

    settings = solvers.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = tolerance
    sizes = (equalities, b.size - equalities - ball, ball)
    kinds = (solvers.ZeroConeT, solvers.NonnegativeConeT, solvers.SecondOrderConeT)
    cones = [cone(n) for cone, n in zip(kinds, sizes, strict=True) if n]
    P, A = scipy.sparse.csc_matrix(P), scipy.sparse.csc_matrix(A)
    q, b = np.asarray(q, dtype=float), np.asarray(b, dtype=float)
    solution = solvers.DefaultSolver(P, q, A, b, cones, settings).solve()
    x, dual = np.array(solution.x), np.array(solution.z)
    if "nfeasible" in str(solution.status) or not (np.all(np.isfinite(x)) and np.all(np.isfinite(dual))):
        return None
    return x, dual
