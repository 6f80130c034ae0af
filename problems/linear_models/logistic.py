"""Binary logistic loss: log(1 + exp(-b z)), labels b in {-1, +1}."""

from __future__ import annotations

from typing import Any

from dadapt_convex.oracle import helper
from problems.linear_models.elementary import exp_of_negative, log1p_and_reciprocal
from problems.linear_models.loss import Loss
from problems.linear_models.passes import kernels


@helper
def loss(z: float, b: float) -> tuple[float, float]:
    """Value and derivative; no overflow and no branch for any z."""
    u = b * z
    e = exp_of_negative(abs(u))
    log1p, reciprocal = log1p_and_reciprocal(e)
    positive = u > 0.0
    return log1p + (0.0 if positive else -u), -b * (e if positive else 1.0) * reciprocal


def smooth(model: Any) -> Any:
    """The loss in extended precision, for certificates."""
    from problems.optimum.smooth.logistic_law import LogisticLaw

    return LogisticLaw(model)


KERNELS = kernels(loss)
LOSS = Loss(
    name="logistic",
    short="logistic",
    task="binary",
    title="Logistic regression: the mean logistic loss of a linear model with two labels.",
    formula="log(1 + exp(-b_i <a_i, x>))",
    example="""
    >>> p = problems.logistic([[0.0], [1.0], [2.0], [3.0]], [-1, 1, -1, 1])
    >>> p.m, p.p, round(p.value(p.x0), 4)
    (4, 2, 0.6931)
    >>> optimum = p.optimum()
    >>> optimum.attained, round(optimum.f_lo, 4), round(optimum.f_hi, 4)
    (True, 0.5869, 0.5869)
    """,
    kernels=KERNELS,
    smooth=smooth,
    slopes=(1.0, 1.0),
)
