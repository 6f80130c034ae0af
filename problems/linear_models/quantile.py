"""Quantile (pinball) loss: tau r for r >= 0, (tau - 1) r for r < 0, with r = b - z and params[1] = tau.

The slope 1 - tau is the float64 nearest to it, here and wherever an optimum is certified: for tau = 0.3, 0.7 as
float64 rounds it, and not exactly 1 less the float64 called 0.3.
"""

from __future__ import annotations

from typing import Any

from dadapt_convex.oracle import batch, helper, oracle, value
from problems.linear_models.loss import Loss
from problems.linear_models.passes import csr_pass, dense_pass, rows_work, some_rows, value_pass


@helper
def loss(z: float, b: float, params: Any) -> tuple[float, float]:
    """Value and a subgradient; 0 is taken at the kink z = b."""
    r, tau = b - z, params[1]
    if r > 0.0:
        return tau * r, -tau
    if r < 0.0:
        return (tau - 1.0) * r, 1.0 - tau
    return abs(r), 0.0  # 0, or NaN


@oracle
def dense(x: Any, g: Any, z: Any, data: Any) -> float:
    """Oracle for a dense matrix."""
    return dense_pass(x, g, z, data, loss)


@oracle
def csr(x: Any, g: Any, z: Any, data: Any) -> float:
    """Oracle for a CSR matrix."""
    return csr_pass(x, g, z, data, loss)


@batch
def rows(x: Any, g: Any, data: Any, order: Any, begin: int, end: int, work: Any) -> float:
    """Oracle for some rows of either."""
    return some_rows(x, g, data, order, begin, end, work, loss)


@value
def from_margins(z: Any, x: Any, data: Any) -> float:
    """f from z = A x."""
    return value_pass(z, x, data, loss)


LOSS = Loss(
    name="quantile",
    short="quantile",
    task="regression",
    slope=lambda tau: max(tau, 1.0 - tau),
    dense=dense,
    csr=csr,
    value=from_margins,
    batch=rows,
    work=rows_work,
    parameters={"tau": 0.5},
)
