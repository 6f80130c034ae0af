"""The reference: every linear model written in cvxpy, solved by Clarabel.

Used where the direct routes find no point, and by the tests. Its numbers prove nothing: certificates are
computed from its point and its dual by the same code as from any other.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np

from problems.optimum.dual import LOGISTIC, box
from problems.optimum.extended import Floats, margins
from problems.problem import LinearModel


class Reference(NamedTuple):
    """What the solver says: its status, value and point, and slopes u_i in the box at that point's margins.

    accurate: whether the status is "optimal"; an "optimal_inaccurate" point may serve as a start and no more.
    """

    status: str
    accurate: bool
    value: float
    x: Floats
    u: Floats


def cvxpy_problem(model: LinearModel) -> tuple[Any, Any, Any]:
    """(problem, x, residuals' constraint): minimise the mean loss of z = A x plus l2/2 ||x||^2.

    z is a variable of its own, so that the multiplier of z = A x, times -m, is the dual point u.
    """
    import cvxpy as cp

    m, p = model.A.shape
    x, z = cp.Variable(p), cp.Variable(m)
    b = model.b
    if model.loss == LOGISTIC:
        losses = cp.logistic(cp.multiply(-b, z))
    else:
        lo, hi = box(model)
        losses = cp.maximum(cp.multiply(lo, z - b), cp.multiply(hi, z - b))
    objective = cp.sum(losses) / m
    if model.l2 > 0:
        objective += model.l2 / 2 * cp.sum_squares(x)
    link = model.A @ x == z
    return cp.Problem(cp.Minimize(objective), [link]), x, link


def solve_reference(model: LinearModel) -> Reference | None:
    """Solve by Clarabel through cvxpy; None where it returns no point."""
    import cvxpy as cp

    problem, x, link = cvxpy_problem(model)
    with warnings.catch_warnings():
        # "Solution may be inaccurate": the status says so too, and it is looked at below
        warnings.filterwarnings("ignore", message=".*[Ss]olution may be inaccurate.*", category=UserWarning)
        try:
            problem.solve(solver=cp.CLARABEL)
        except cp.error.SolverError:
            return None
    if x.value is None or not np.all(np.isfinite(x.value)):
        return None
    lo, hi = box(model)
    point = np.asarray(x.value, dtype=np.float64)
    multiplier = link.dual_value
    if multiplier is None or not np.all(np.isfinite(multiplier)):
        z = margins(model.A, point).value.astype(np.float64)
        u = np.where(z < model.b, lo, hi)
    else:
        # the Lagrangian loss(z) + <y, A x - z> is stationary in z where y is the slope
        u = np.clip(np.asarray(multiplier) * model.b.size, lo, hi)
    return Reference(str(problem.status), problem.status == "optimal", float(problem.value), point, u)
