"""The losses in the form that dual points need, in extended precision.

Each loss of a margin z is a maximum over a box: phi_i(z) = max {u z - phi_i*(u) : lo_i <= u <= hi_i}. Hence
every u in the box gives an affine minorant of the mean loss (weak duality, no condition on u but the box):

    (1/m) sum_i phi_i(<a_i, x>) >= <v, x> + c,   v = A^T u / m,   c = -(1/m) sum_i phi_i*(u_i).

A kink (problems.linear_models.loss) has phi_i*(u) = u b_i + soft u^2 / 2; where soft = 0, phi_i(z) is
max(lo_i r, hi_i r) with r = z - b_i. The logistic loss has the box -1 .. 0 (b = 1), 0 .. 1 (b = -1) and, with a = |u|,
phi_i*(u) = a log a + (1 - a) log(1 - a).

A loss of k kinks is a mean of k m rows: A is repeated, and row i of kink j has k times its box. f does not change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Any

import numpy as np

from problems.matrix import stacked
from problems.optimum.arithmetic.extended import (
    ABOVE,
    BLOCK,
    EPS,
    OUTWARD,
    Bounded,
    Floats,
    combination,
    inner,
    margins,
    total,
)
from problems.problem import LinearModel

LOGISTIC = "logistic"
# Entries of u closer than this to an end of the box are moved to it: linear programs are solved to about 1e-7.
SNAP = 1e-9


@dataclass(frozen=True, kw_only=True)
class Kinked(LinearModel):
    """A linear model whose row i has one kink at b_i, with a box of its own; soft is that of all kinks."""

    lo: Floats
    hi: Floats
    soft: float = 0.0

    def at(self, rows: Any) -> Kinked:
        """The mean over these rows alone."""
        return replace(self, A=self.A[rows], b=self.b[rows], lo=self.lo[rows], hi=self.hi[rows])


def kinked(model: LinearModel) -> Kinked:
    """The model of a loss made of kinks, with one kink in each row."""
    if isinstance(model, Kinked):
        return model
    if model.law.kinks is None:
        raise ValueError(f"no dual form is known for the loss {model.loss!r}; it has no kinks.")
    kinks = model.law.dual(model.b, model.parameters)
    m, k = model.b.size, len(kinks)

    def in_turn(values: Sequence[Any]) -> Floats:
        return np.concatenate([np.broadcast_to(np.asarray(v, dtype=np.float64), m) for v in values])

    one: dict[str, Any] = {f.name: getattr(model, f.name) for f in fields(LinearModel)}
    if k > 1:
        one["A"] = stacked(*[model.A] * k)
    lo, hi = in_turn([kink.low for kink in kinks]), in_turn([kink.high for kink in kinks])
    one["b"] = in_turn([kink.at for kink in kinks])
    rows = Kinked(**one, lo=k * lo, hi=k * hi, soft=kinks[0].soft / k)
    if any(kink.soft != kinks[0].soft for kink in kinks):
        raise ValueError(f"the kinks of {model.loss} must be equally soft, got {[kink.soft for kink in kinks]}.")
    if k > 1 and not (_exactly(k, lo, rows.lo) and _exactly(k, hi, rows.hi) and _exactly(k, rows.soft, kinks[0].soft)):
        raise ValueError(f"{k} times the slopes of {model.loss} are not float64 numbers; take 2, 4 or 8 kinks.")
    return rows


def _exactly(k: int, values: Any, multiples: Any) -> bool:
    """Whether the multiples are k times the values, without rounding."""
    pairs = np.unique(np.column_stack([np.ravel(values), np.ravel(multiples)]), axis=0).tolist()
    return all(k * Fraction(value) == Fraction(multiple) for value, multiple in pairs)


def is_piecewise_linear(model: LinearModel) -> bool:
    """Whether the loss is made of kinks, and none of them is soft."""
    return model.law.kinks is not None and model.law.dual(model.b, model.parameters)[0].soft == 0


def is_soft(model: LinearModel) -> bool:
    """Whether the loss is made of soft kinks."""
    return model.law.kinks is not None and not is_piecewise_linear(model)


def box(model: LinearModel) -> tuple[Floats, Floats]:
    """(lo, hi), each (m,); of the model with one kink in each row, where the loss has kinks."""
    if model.loss == LOGISTIC:
        return np.where(model.b > 0, -1.0, 0.0), np.where(model.b > 0, 0.0, 1.0)
    form = kinked(model)
    return form.lo, form.hi


def slack(lo: Floats, hi: Floats, u: Floats) -> Floats:
    """Distance of u to the ends of the box, rounded down; 0 exactly at the ends."""
    return np.minimum(u - lo, hi - u) * (1 - 1e-15)


def snapped(lo: Floats, hi: Floats, u: Floats, tolerance: float = SNAP) -> Floats:
    """u clipped into the box, and put on its ends where it is near."""
    u = np.clip(u, lo, hi)
    return np.where(u - lo < tolerance, lo, np.where(hi - u < tolerance, hi, u))


def form(model: LinearModel) -> LinearModel:
    """The model that losses, conjugates and the box are rows of."""
    return model if model.loss == LOGISTIC else kinked(model)


def losses(model: LinearModel, z: Bounded) -> Bounded:
    """phi_i(z_i), row by row; z has a margin for each row of the form."""
    return logistic_losses(model.b, z) if model.loss == LOGISTIC else _kinked_losses(kinked(model), z)


def logistic_losses(b: Floats, z: Bounded) -> Bounded:
    """log(1 + exp(-b_i z_i))."""
    exponent = -b.astype(np.longdouble) * z.value
    value = np.logaddexp(np.longdouble(0), exponent)
    # the slope is at most 1 and at most exp(-b z) on the way from z to the exact margin
    slope = np.exp(np.minimum(0.0, exponent.astype(np.float64) + z.error))
    return Bounded(value, OUTWARD * (z.error * slope + 8 * EPS * value.astype(np.float64)))


def _kinked_losses(model: Kinked, z: Bounded) -> Bounded:
    lo, hi = model.lo, model.hi
    r = z.value - model.b.astype(np.longdouble)
    size = np.abs(r).astype(np.float64)
    error = z.error + EPS * size
    steep = np.maximum(1.0, np.maximum(-lo, hi))
    if model.soft:
        # any u in the box gives a lower bound; this one is off by a rounding, which counts by its square
        u = np.clip(r / np.longdouble(model.soft), lo, hi)
        value = u * (r - np.longdouble(model.soft) / 2 * u)
        slope = np.minimum(steep, np.abs(u).astype(np.float64) + error / model.soft)
        return Bounded(value, OUTWARD * (error * slope + 8 * EPS * np.abs(u).astype(np.float64) * size))
    # exactly 0 where the loss is flat and the margin safely so
    flat = ((lo == 0) & (r < -error)) | ((hi == 0) & (r > error))
    return Bounded(np.maximum(lo * r, hi * r), np.where(flat, 0.0, steep * (error + EPS * size)))


def objective(model: LinearModel, x: Any) -> Bounded:
    """f(x) with a bound on its error."""
    model = form(model)
    z = margins(model.A, x)
    return penalised(losses(model, z), model.b.size, model.l2, x)


def penalised(phi: Bounded, m: int, l2: float, x: Any) -> Bounded:
    """(1/m) sum phi_i + l2/2 ||x||^2 for an exact x."""
    mean = total(phi.value, phi.error)
    squares = np.square(np.asarray(x, dtype=np.longdouble)).ravel()
    # in blocks: x may have millions of entries
    square = np.add.reduceat(squares, np.arange(0, squares.size, BLOCK)).sum()
    penalty = np.longdouble(l2) / 2 * square
    value = mean.value / m + penalty
    rounding = (min(squares.size, BLOCK) + squares.size // BLOCK + 4) * EPS * float(penalty) + 4 * EPS * float(value)
    return Bounded(value, OUTWARD * (mean.error / m + rounding))


def penalised_slope(A: Any, u: Bounded, m: int, l2: float = 0.0, x: Any = 0.0) -> Bounded:
    """A^T u / m + l2 x, the gradient of f where u are the slopes at an exact x; both vectors or both matrices."""
    g, penalty = combination(A, u), np.longdouble(l2) * np.asarray(x, dtype=np.longdouble)
    value = g.value / m + penalty
    rounding = 2 * EPS * (np.abs(penalty) + np.abs(value)).astype(np.float64)
    return Bounded(value, OUTWARD * (g.error / m + rounding))


def dual_value(model: LinearModel, minorant: Minorant) -> Any:
    """A lower bound on f in long double, l2 > 0."""
    return least(minorant.c.value - minorant.c.error, minorant.v, model.l2)


def least(c: Any, v: Bounded, l2: float) -> Any:
    """A lower bound on min <v, x> + c + l2/2 ||x||^2 = c - ||v||^2 / (2 l2), in long double."""
    size = np.abs(v.value) + v.error
    square = np.sum(np.square(size)) * (1 + np.longdouble((size.size + 4) * EPS))
    return c - square / (2 * np.longdouble(l2)) * ABOVE


def conjugates(model: LinearModel, u: Any) -> Bounded:
    """phi_i*(u_i), row by row; u must lie in the box."""
    u = np.asarray(u, dtype=np.longdouble)
    if model.loss == LOGISTIC:
        return negative_entropy(np.abs(u))
    rows = kinked(model)
    value = u * rows.b.astype(np.longdouble)
    if not rows.soft:
        return Bounded(value, 2 * EPS * np.abs(value).astype(np.float64))
    square = np.longdouble(rows.soft) / 2 * u * u
    return Bounded(value + square, 4 * EPS * (np.abs(value) + square).astype(np.float64))


def negative_entropy(a: Any) -> Bounded:
    """a log a + (1 - a) log(1 - a) for 0 <= a <= 1, in long double: the conjugate of the logistic loss at |u| = a."""
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
        model = form(model)
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

    def at(self, x: Any) -> tuple[Bounded, Any]:
        """(v, a lower bound on <v, x> + c in long double)."""
        product = inner(self.v, x)
        value = product.value + self.c.value
        rounding = 2 * EPS * (np.abs(product.value) + np.abs(self.c.value))
        return self.v, value - np.longdouble(product.error) - np.longdouble(self.c.error) - rounding
