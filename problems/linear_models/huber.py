"""Huber's loss: r^2 / 2 for |r| <= delta, delta (|r| - delta / 2) beyond, with r = z - b."""

from __future__ import annotations

from dadapt_convex.oracle import helper
from problems.linear_models.loss import Kink, Loss, Parameter
from problems.linear_models.passes import kernels


@helper
def loss(z: float, b: float, delta: float) -> tuple[float, float]:
    """Value and derivative."""
    r = z - b
    if r > delta:
        return delta * (r - 0.5 * delta), delta
    if r < -delta:
        return -delta * (r + 0.5 * delta), -delta
    return 0.5 * r * r, r


KERNELS = kernels(loss)
LOSS = Loss(
    name="huber",
    short="huber",
    task="regression",
    title="Robust regression: the mean Huber loss of a linear model.",
    formula="h(<a_i, x> - b_i)",
    where="h(r) = r^2/2 for |r| <= delta, delta (|r| - delta/2) beyond",
    example="""
    >>> p = problems.huber([[0.0], [1.0], [2.0]], [0.0, 1.0, 5.0], delta=1.0)
    >>> p.m, p.p, round(p.value(p.x0), 4)
    (3, 2, 1.6667)
    >>> optimum = p.optimum()
    >>> round(optimum.f_lo, 4), round(optimum.f_hi, 4)
    (0.25, 0.25)
    """,
    parameters={"delta": Parameter(1.0, "the residual beyond which the loss is linear")},
    kernels=KERNELS,
    kinks=lambda b, delta: [Kink(at=b, low=-delta, high=delta, soft=1.0)],
)
