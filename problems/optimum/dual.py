"""The losses in the form that dual points need, in extended precision.

Each loss of a margin z is a maximum over a box: phi_i(z) = max {u z - phi_i*(u) : lo_i <= u <= hi_i}. Hence
every u in the box gives an affine minorant of the mean loss (weak duality, no condition on u but the box):

    (1/m) sum_i phi_i(<a_i, x>) >= <v, x> + c,   v = A^T u / m,   c = -(1/m) sum_i phi_i*(u_i).

    loss                       lo_i .. hi_i                      phi_i*(u)
    hinge                      -1 .. 0 (b = 1), 0 .. 1 (b = -1)  u b_i
    least_absolute_deviation   -1 .. 1                           u b_i
    quantile                   -tau .. 1 - tau                   u b_i  (1 - tau rounded, as in the kernel)
    logistic                   as hinge                          a log a + (1-a) log(1-a), a = |u|

The first three are phi_i(z) = max(lo_i r, hi_i r) with r = z - b_i (for hinge, 1 - b z = -b (z - b)).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from problems.optimum.arithmetic.extended import (
    ABOVE,
    EPS,
    OUTWARD,
    Bounded,
    Floats,
    combination,
    down,
    inner,
    margins,
    total,
    up,
)
from problems.problem import LinearModel

LOGISTIC = "logistic"
# Entries of u closer to an end of the box than this are put on it: linear programs are solved to 1e-7 or so.
SNAP = 1e-9
PIECEWISE_LINEAR = ("hinge", "least_absolute_deviation", "quantile")


def box(model: LinearModel) -> tuple[Floats, Floats]:
    """(lo, hi), each (m,)."""
    b = model.b
    if model.loss in (LOGISTIC, "hinge"):
        return np.where(b > 0, -1.0, 0.0), np.where(b > 0, 0.0, 1.0)
    if model.loss == "least_absolute_deviation":
        return np.full(b.size, -1.0), np.full(b.size, 1.0)
    if model.loss == "quantile":
        return np.full(b.size, -model.tau), np.full(b.size, 1.0 - model.tau)
    raise ValueError(
        f"no dual form is known for the loss {model.loss!r}; there are logistic, {', '.join(PIECEWISE_LINEAR)}."
    )


def slack(lo: Floats, hi: Floats, u: Floats) -> Floats:
    """Distance of u to the ends of the box, rounded down; 0 exactly at the ends."""
    return np.minimum(u - lo, hi - u) * (1 - 1e-15)


def snapped(lo: Floats, hi: Floats, u: Floats, tolerance: float = SNAP) -> Floats:
    """u clipped into the box, and put on its ends where it is near."""
    u = np.clip(u, lo, hi)
    return np.where(u - lo < tolerance, lo, np.where(hi - u < tolerance, hi, u))


def losses(model: LinearModel, z: Bounded) -> Bounded:
    """phi_i(z_i), row by row."""
    b = model.b.astype(np.longdouble)
    if model.loss == LOGISTIC:
        value = np.logaddexp(np.longdouble(0), -b * z.value)
        # the slope is at most 1 and at most exp(-b z) on the way from z to the exact margin
        slope = np.exp(np.minimum(0.0, (-b * z.value).astype(np.float64) + z.error))
        return Bounded(value, OUTWARD * (z.error * slope + 8 * EPS * value.astype(np.float64)))
    lo, hi = box(model)
    r = z.value - b
    # exactly 0 where the loss is flat and the margin safely so; every slope is at most 1 in absolute value
    error = z.error + EPS * np.abs(r).astype(np.float64)
    flat = ((lo == 0) & (r < -error)) | ((hi == 0) & (r > error))
    return Bounded(np.maximum(lo * r, hi * r), np.where(flat, 0.0, error + EPS * np.abs(r).astype(np.float64)))


def objective(model: LinearModel, x: Any) -> Bounded:
    """f(x)."""
    z = margins(model.A, x)
    phi = losses(model, z)
    mean = total(phi.value, phi.error)
    m = model.b.size
    square = np.sum(np.square(np.asarray(x, dtype=np.longdouble)))
    penalty = np.longdouble(model.l2) / 2 * square
    value = mean.value / m + penalty
    return Bounded(value, OUTWARD * (mean.error / m + (np.size(x) + 4) * EPS * float(penalty) + 4 * EPS * float(value)))


def objective_up(model: LinearModel, x: Any) -> float:
    """An upper bound on f(x), tight to rounding."""
    f = objective(model, x)
    return up(f.value + f.error)


def dual_value(model: LinearModel, minorant: Minorant) -> Any:
    """A lower bound on f in long double, l2 > 0: the minimum c - ||v||^2 / (2 l2) of minorant plus penalty."""
    v = minorant.v
    size = np.abs(v.value) + v.error
    square = np.sum(np.square(size)) * (1 + np.longdouble((size.size + 4) * EPS))
    return minorant.c.value - minorant.c.error - square / (2 * np.longdouble(model.l2)) * ABOVE


def conjugates(model: LinearModel, u: Any) -> Bounded:
    """phi_i*(u_i), row by row; u must lie in the box."""
    u = np.asarray(u, dtype=np.longdouble)
    if model.loss != LOGISTIC:
        value = u * model.b.astype(np.longdouble)
        return Bounded(value, 2 * EPS * np.abs(value).astype(np.float64))
    a = np.abs(u)
    inside = (a > 0) & (a < 1)
    a = np.where(inside, a, 0.5)
    value = np.where(inside, a * np.log(a) + (1 - a) * np.log1p(-a), 0)
    return Bounded(value, 16 * EPS * np.abs(value).astype(np.float64))


class Minorant:
    """The affine minorant <v, x> + c of the mean loss that u gives.

    Parameters
    ----------
    model : LinearModel
        Its l2 is not part of the minorant.
    u : (m,) float64
        Clipped into the box, which is exact.
    """

    def __init__(self, model: LinearModel, u: Any) -> None:
        lo, hi = box(model)
        if np.shape(u) != lo.shape:
            raise ValueError(f"u must hold {lo.size} numbers, got shape {np.shape(u)}")
        self.u: Floats = np.clip(np.asarray(u, dtype=np.float64), lo, hi)
        m = model.b.size
        v = combination(model.A, self.u)
        self.v = Bounded(v.value / m, v.error / m + EPS * np.abs(v.value / m).astype(np.float64))
        phi = conjugates(model, self.u)
        s = total(phi.value, phi.error)
        self.c = Bounded(-s.value / m, s.error / m + EPS * abs(float(s.value)) / m)

    def below(self, x: Any) -> float:
        """A lower bound on <v, x> + c, tight to rounding."""
        product = inner(self.v, x)
        return down(product.value + self.c.value - (product.error + self.c.error) * OUTWARD)
