"""Hinge loss: max(0, 1 - b z), labels b in {-1, +1}."""

from __future__ import annotations

import numpy as np

from dadapt_convex.oracle import helper
from problems.linear_models.loss import Kink, Loss
from problems.linear_models.passes import kernels


@helper
def loss(z: float, b: float) -> tuple[float, float]:
    """Value and a subgradient; 0 is taken at the kink b z = 1."""
    slack = 1.0 - b * z
    if slack > 0.0:
        return slack, -b
    return (0.0 if slack <= 0.0 else slack), 0.0  # NaN stays NaN


KERNELS = kernels(loss)
LOSS = Loss(
    name="hinge",
    short="hinge",
    task="binary",
    title="Support vector machine: the mean hinge loss of a linear model with two labels.",
    formula="max(0, 1 - b_i <a_i, x>)",
    example="""
    >>> p = problems.hinge([[0.0], [1.0], [2.0], [3.0]], [-1, 1, -1, 1])
    >>> p.m, p.p, p.value(p.x0)
    (4, 2, 1.0)
    >>> optimum = p.optimum()
    >>> round(optimum.f_lo, 4), round(optimum.f_hi, 4)
    (0.6667, 0.6667)
    """,
    kernels=KERNELS,
    # 1 - b z = -b (z - b)
    kinks=lambda b: [Kink(at=b, low=np.where(b > 0, -1.0, 0.0), high=np.where(b > 0, 0.0, 1.0))],
)
