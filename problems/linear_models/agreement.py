"""A loss from outside this project: its formula, slope and kinks must be one convex function."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dadapt_convex.oracle import Vector, shown, trusted
from problems.linear_models.loss import Kink, Loss

# Of a formula at points some units apart, in which it has some ten operations.
ROUNDING = 1e-9


def check_formula(loss: Loss, b: Vector, parameters: Mapping[str, float]) -> None:
    """Raise ValueError unless the formula is convex with its slope, and the sum of its kinks, at points of some rows.

    Losses of this project have a test instead.
    """
    if loss.kernels.formula is None or trusted(loss.kernels.formula.python):
        return
    kinks = [] if loss.kinks is None else loss.dual(b, parameters)
    for i in sorted({0, b.size // 2, b.size - 1}):
        row = [Kink(*(float(np.broadcast_to(part, b.shape)[i]) for part in k[:3]))._replace(soft=k.soft) for k in kinks]
        ends = [b[i], *(k.at + k.soft * end for k in row for end in (k.low, 0.0, k.high))]
        size = 1.0 + max(map(abs, ends))
        points = sorted({float(end + step * size) for end in ends for step in (-10.0, -1.0, -0.1, 0.0, 0.1, 1.0, 10.0)})
        found = [_at(loss, z, float(b[i]), parameters) for z in points]
        span = points[-1] - points[0]
        room = ROUNDING * max(max(abs(value), abs(slope) * span) for value, slope in found)
        for z, (value, slope) in zip(points, found, strict=True):
            where = f"at z = {z!r}, b = {float(b[i])!r}"
            dual = sum(_kink_value(kink, z) for kink in row) if row else value
            if abs(value - dual) > room:
                raise ValueError(
                    f"the kinks of {loss.name} add up to {dual!r} {where}, and its formula is {value!r}; they must be "
                    "one function."
                )
            for y, (other, _) in zip(points, found, strict=True):
                tangent = value + slope * (y - z)
                if other < tangent - room:
                    raise ValueError(
                        f"the formula of {loss.name} has the slope {slope!r} {where}, and at z = {y!r} its value "
                        f"{other!r} is below the tangent, {tangent!r}; it must be convex, and return (value, slope)."
                    )


def _at(loss: Loss, z: float, b: float, parameters: Mapping[str, float]) -> tuple[float, float]:
    assert loss.kernels.formula is not None
    returned = loss.kernels.formula(z, b, *parameters.values())
    try:
        value, slope = returned
        return float(value), float(slope)
    except (TypeError, ValueError):
        raise ValueError(f"the formula of {loss.name} must return (value, slope), got {shown(returned)}.") from None


def _kink_value(kink: Kink, z: float) -> float:
    r = z - kink.at
    u = (kink.high if r > 0 else kink.low) if kink.soft == 0 else min(max(r / kink.soft, kink.low), kink.high)
    return u * r - 0.5 * kink.soft * u * u
