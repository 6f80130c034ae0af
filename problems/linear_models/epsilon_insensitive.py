"""Epsilon-insensitive loss: the distance of the margin z from the interval [b - epsilon, b + epsilon].

The ends are the float64 nearest to b - epsilon and b + epsilon, here and wherever an optimum is certified.
"""

from __future__ import annotations

from dadapt_convex.oracle import helper
from problems.linear_models.loss import Kink, Loss, Parameter
from problems.linear_models.passes import kernels


@helper
def loss(z: float, b: float, epsilon: float) -> tuple[float, float]:
    """Value and a subgradient; 0 is taken in the interval and at its ends."""
    above, below = z - (b + epsilon), (b - epsilon) - z
    if above > 0.0:
        return above, 1.0
    if below > 0.0:
        return below, -1.0
    return (0.0 if above <= 0.0 else above), 0.0  # NaN stays NaN


KERNELS = kernels(loss)
LOSS = Loss(
    name="epsilon_insensitive",
    short="svr",
    task="regression",
    title="Support vector regression: the mean epsilon-insensitive loss of a linear model.",
    formula="max(0, |<a_i, x> - b_i| - epsilon)",
    example="""
    >>> p = problems.epsilon_insensitive([[0.0], [1.0], [2.0]], [0.0, 1.0, 5.0], epsilon=0.5)
    >>> p.m, p.p, round(p.value(p.x0), 4)
    (3, 2, 1.6667)
    >>> optimum = p.optimum()
    >>> round(optimum.f_lo, 4), round(optimum.f_hi, 4)
    (0.1667, 0.1667)
    """,
    parameters={"epsilon": Parameter(0.1, "the residual up to which there is no loss", closed=True)},
    kernels=KERNELS,
    kinks=lambda b, epsilon: [Kink(at=b + epsilon, low=0.0, high=1.0), Kink(at=b - epsilon, low=-1.0, high=0.0)],
)
