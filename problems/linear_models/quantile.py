"""Quantile (pinball) loss: tau r for r >= 0, (tau - 1) r for r < 0, with r = b - z.

The slope 1 - tau is the float64 nearest to it, here and wherever an optimum is certified: for tau = 0.3, 0.7 as
float64 rounds it, and not exactly 1 less the float64 called 0.3.
"""

from __future__ import annotations

from dadapt_convex.oracle import helper
from problems.linear_models.loss import Kink, Loss, Parameter
from problems.linear_models.passes import kernels


@helper
def loss(z: float, b: float, tau: float) -> tuple[float, float]:
    """Value and a subgradient; 0 is taken at the kink z = b."""
    r = b - z
    if r > 0.0:
        return tau * r, -tau
    if r < 0.0:
        return (tau - 1.0) * r, 1.0 - tau
    return abs(r), 0.0  # 0, or NaN


KERNELS = kernels(loss)
LOSS = Loss(
    name="quantile",
    short="quantile",
    task="regression",
    title="Quantile regression: the mean pinball loss of a linear model.",
    formula="max(tau r_i, (tau - 1) r_i)",
    where="r_i = b_i - <a_i, x>",
    example="""
    >>> p = problems.quantile([[0.0], [1.0], [2.0]], [0.0, 1.0, 5.0], tau=0.75)
    >>> p.m, p.p, p.value(p.x0)
    (3, 2, 1.5)
    >>> optimum = p.optimum()
    >>> optimum.f_lo, optimum.f_hi
    (0.125, 0.125)
    """,
    parameters={"tau": Parameter(0.5, "the level of the quantile", high=1.0)},
    kernels=KERNELS,
    kinks=lambda b, tau: [Kink(at=b, low=-tau, high=1.0 - tau)],
)
