"""Least absolute deviation: |z - b|, targets b."""

from __future__ import annotations

from dadapt_convex.oracle import helper
from problems.linear_models.loss import Kink, Loss
from problems.linear_models.passes import kernels


@helper
def loss(z: float, b: float) -> tuple[float, float]:
    """Value and a subgradient; 0 is taken at the kink z = b."""
    r = z - b
    if r > 0.0:
        return r, 1.0
    if r < 0.0:
        return -r, -1.0
    return abs(r), 0.0  # 0, or NaN


KERNELS = kernels(loss)
LOSS = Loss(
    name="least_absolute_deviation",
    short="lad",
    task="regression",
    title="Least absolute deviation: the mean absolute residual of a linear model.",
    formula="|<a_i, x> - b_i|",
    example="""
    >>> p = problems.least_absolute_deviation([[0.0], [1.0], [2.0]], [0.0, 1.0, 5.0])
    >>> p.m, p.p, p.value(p.x0)
    (3, 2, 2.0)
    >>> optimum = p.optimum()
    >>> optimum.f_lo, optimum.f_hi
    (0.5, 0.5)
    """,
    kernels=KERNELS,
    kinks=lambda b: [Kink(at=b, low=-1.0, high=1.0)],
)
