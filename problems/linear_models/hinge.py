"""Hinge loss: max(0, 1 - b z), labels b in {-1, +1}."""

from __future__ import annotations

from typing import Any

from dadapt_convex.oracle import batch, helper, oracle, value
from problems.linear_models.loss import Loss
from problems.linear_models.passes import csr_pass, dense_pass, rows_work, some_rows, value_pass


@helper
def loss(z: float, b: float, params: Any) -> tuple[float, float]:
    """Value and a subgradient; 0 is taken at the kink b z = 1."""
    slack = 1.0 - b * z
    if slack > 0.0:
        return slack, -b
    return (0.0 if slack <= 0.0 else slack), 0.0  # NaN stays NaN


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
    name="hinge",
    short="hinge",
    task="binary",
    slope=lambda tau: 1.0,
    dense=dense,
    csr=csr,
    value=from_margins,
    batch=rows,
    work=rows_work,
)
