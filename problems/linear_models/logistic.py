"""Binary logistic loss: log(1 + exp(-b z)), labels b in {-1, +1}."""

from __future__ import annotations

import math
from typing import Any

from dadapt_convex.oracle import helper, oracle, value
from problems.linear_models.loss import Loss
from problems.linear_models.passes import csr_pass, dense_pass, value_pass


@helper
def loss(z: float, b: float, params: Any) -> tuple[float, float]:
    """Value and derivative, without overflow for any z."""
    u = b * z
    e = math.exp(-abs(u))
    if u > 0.0:
        return math.log1p(e), -b * e / (1.0 + e)
    return math.log1p(e) - u, -b / (1.0 + e)


@oracle
def dense(x: Any, g: Any, z: Any, data: Any) -> float:
    """Oracle for a dense matrix."""
    return dense_pass(x, g, z, data, loss)


@oracle
def csr(x: Any, g: Any, z: Any, data: Any) -> float:
    """Oracle for a CSR matrix."""
    return csr_pass(x, g, z, data, loss)


@value
def from_margins(z: Any, x: Any, data: Any) -> float:
    """f from z = A x."""
    return value_pass(z, x, data, loss)


LOSS = Loss(
    name="logistic",
    short="logistic",
    task="binary",
    slope=lambda tau: 1.0,
    dense=dense,
    csr=csr,
    value=from_margins,
)
