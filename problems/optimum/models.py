"""The reference: every linear model written in cvxpy, solved by Clarabel.

Used where the direct routes find no point, and by the tests. Its numbers prove nothing: certificates are
computed from its point and its dual by the same code as from any other.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np

from problems.optimum.arithmetic.extended import Floats, margins
from problems.optimum.dual import LOGISTIC, box, form, kinked
from problems.optimum.smooth.smooth import slopes
from problems.optimum.smooth.softmax import MULTINOMIAL, all_rows, differences, residual, softmax
from problems.problem import LinearModel


class Reference(NamedTuple):
    """The answer of the solver: its status, value, point and dual point u.

    accurate: whether the status is "optimal"; an "optimal_inaccurate" point may serve as a start and no more.
    """

    status: str
    accurate: bool
    value: float
    x: Floats
    u: Floats


def cvxpy_problem(model: LinearModel) -> tuple[Any, Any, list[Any]]:
    """(problem, x, constraints): minimise the mean loss plus l2/2 ||x||^2.

    Kinks stand as t_i >= lo_i r_i, t_i >= hi_i r_i, whose multipliers are the dual point; a soft one is the least
    max(lo_i v, hi_i v) + (r_i - v)^2 / (2 soft), and has v_i in place of r_i.
    """
    import cvxpy as cp

    model = model if model.loss == MULTINOMIAL else form(model)
    m, p = model.A.shape
    x = cp.Variable((p, model.classes) if model.loss == MULTINOMIAL else p)
    z = model.A @ x
    constraints = []
    if model.loss == MULTINOMIAL:
        own = np.arange(model.classes) == model.b[:, None]
        objective = (cp.sum(cp.log_sum_exp(z, axis=1)) - cp.sum(cp.multiply(own.astype(np.float64), z))) / m
    elif model.loss == LOGISTIC:
        objective = cp.sum(cp.logistic(cp.multiply(-model.b, z))) / m
    else:
        soft = kinked(model).soft
        t, r = cp.Variable(m), z - model.b
        v = cp.Variable(m) if soft else r
        constraints = [t >= cp.multiply(side, v) for side in box(model)]
        objective = cp.sum(t) / m
        if soft:
            objective += cp.sum_squares(r - v) / (2 * soft * m)
    if model.l2 > 0:
        objective += model.l2 / 2 * cp.sum_squares(x)
    return cp.Problem(cp.Minimize(objective), constraints), x, constraints


def solve_reference(model: LinearModel) -> Reference | None:
    """Solve by Clarabel through cvxpy; None where it returns no point."""
    import cvxpy as cp

    problem, x, constraints = cvxpy_problem(model)
    with warnings.catch_warnings():
        # "Solution may be inaccurate": the status says so too, and it is looked at below
        warnings.filterwarnings("ignore", message=".*[Ss]olution may be inaccurate.*", category=UserWarning)
        try:
            problem.solve(solver=cp.CLARABEL)
        except cp.error.SolverError:
            return None
    if x.value is None or not np.all(np.isfinite(x.value)):
        return None
    point = np.asarray(x.value, dtype=np.float64).ravel()
    if model.loss == MULTINOMIAL:
        rows = all_rows(model)
        u = residual(rows, softmax(rows, differences(rows, x.value))).value.astype(np.float64).ravel()
        return Reference(str(problem.status), problem.status == "optimal", float(problem.value), point, u)
    lo, hi = box(model)
    if model.loss == LOGISTIC:
        u = slopes(model.b, margins(model.A, point))[0].value.astype(np.float64)
    else:
        weights = [np.asarray(c.dual_value) * lo.size for c in constraints]
        u = np.clip(lo * weights[0] + hi * weights[1], lo, hi)
    return Reference(str(problem.status), problem.status == "optimal", float(problem.value), point, u)


def reference_pair(model: LinearModel) -> tuple[Floats, Floats] | None:
    """(x, u) of the reference, accurate or not."""
    reference = solve_reference(model)
    return None if reference is None else (reference.x, reference.u)
