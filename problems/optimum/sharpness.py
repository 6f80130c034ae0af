"""Piecewise-linear losses: proof that a minimiser lies within a tiny radius of a point.

phi_i(z) = max(lo_i (z - b_i), hi_i (z - b_i)), F = sum_i phi_i(<a_i, x>), residuals r_i = <a_i, x> - b_i at x.
Let u be in the box with slacks s_i = min(u_i - lo_i, hi_i - u_i), and B = A_J T the data in coordinates
x + E_J T y of the columns J. Let sigma <= smallest singular value of diag(s) B and rho = ||B^T u||.

Lemma. For every vector k with rho + ||k|| <= sigma there is u' in the box, |u'_i - u_i| <= s_i, with B^T u' = k.
(k - B^T u = B^T diag(s) eta has a solution with ||eta|| <= ||k - B^T u|| / sigma <= 1.)

Let E = sum_i e_i, e_i = (hi_i - lo_i) |r_i| where s_i > 0; where s_i = 0, e_i = 0 if u_i is the slope of phi_i
at r_i and (hi_i - lo_i) |r_i| otherwise. Then phi_i(z_i) <= u'_i r_i + e_i, and by convexity, with k = kappa d,
kappa = sigma - rho, d the unit vector towards y,

    F(x + E_J T y) >= sum u'_i (r_i + <B_i, y>) >= F(x) - E + kappa ||y||.

So, if rho < sigma, F has a minimiser with ||y|| <= E / kappa, all its minimisers in these coordinates are
there, and min F >= F(x) - E (that needs rho <= sigma only).

Rows with value 0 near x (correctly classified, hinge) may be left out of F: it becomes smaller, so the bound
stays, and a minimiser of the rest at which they still vanish is a minimiser of all.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from problems.optimum.columns import independent_columns
from problems.optimum.dual import box, losses
from problems.optimum.extended import (
    OUTWARD,
    Bounded,
    Floats,
    combination,
    difference,
    down,
    margins,
    norm_up,
    row_norms,
    total,
    transformed,
)
from problems.optimum.metric import Metric, metric
from problems.problem import LinearModel

# Entries of u closer to an end of the box than this are put on it: linear programs are solved to 1e-7 or so.
SNAP = 1e-9


class Sharp(NamedTuple):
    """A minimiser lies within radius of x; f >= f_lo; whole: every minimiser is within radius, up to null(A)."""

    f_lo: float
    radius: float
    u: Floats
    whole: bool
    N: Floats
    numbers: dict[str, float]


def slack(lo: Floats, hi: Floats, u: Floats) -> Floats:
    """Distance of u to the ends of the box, rounded down; 0 exactly at the ends."""
    return np.minimum(u - lo, hi - u) * (1 - 1e-15)


def snapped(lo: Floats, hi: Floats, u: Floats, tolerance: float = SNAP) -> Floats:
    """u clipped into the box, and put on its ends where it is near."""
    u = np.clip(u, lo, hi)
    return np.where(u - lo < tolerance, lo, np.where(hi - u < tolerance, hi, u))


def dropped_rows(lo: Floats, hi: Floats, u: Floats, r: Bounded) -> Any:
    """Rows whose loss is 0 on a neighbourhood of x and whose u is 0."""
    value = r.value.astype(np.float64)
    return (u == 0) & (((lo == 0) & (value < -2 * r.error)) | ((hi == 0) & (value > 2 * r.error)))


def balanced(A_J: Any, lo: Floats, hi: Floats, u: Floats, chart: Metric) -> Floats:
    """Move u within its slacks until A_J^T u = 0 to rounding; three steps, for the rounding of each."""
    weights = np.square(slack(lo, hi, u))
    for _ in range(3):
        residual = transformed(chart.T, combination(A_J, u)).value.astype(np.float64)
        u = np.clip(u - weights * (chart.B @ residual), lo, hi)
    return u


def sharp(model: LinearModel, x: Floats, u: Floats) -> Sharp | None:
    """Prove what the lemma proves at x with u; None where sigma or kappa is not positive."""
    A, b, m = model.A, model.b, model.b.size
    lo, hi = box(model)
    z = margins(A, x)
    r = difference(z, b)
    u = snapped(lo, hi, u)
    out = dropped_rows(lo, hi, u, r)
    kept = np.flatnonzero(~out)
    A_R, lo_R, hi_R, u_R, r_R = A[kept], lo[kept], hi[kept], u[kept], Bounded(r.value[kept], r.error[kept])
    columns = independent_columns(A_R)
    J = columns.pivots if columns.pivots.size == kept.size else columns.J
    A_J = A_R[:, J]
    chart = metric(A_J, np.square(slack(lo_R, hi_R, u_R)))
    if chart is None:
        return None
    u_R = balanced(A_J, lo_R, hi_R, u_R, chart)
    s = slack(lo_R, hi_R, u_R)
    chart = metric(A_J, np.square(s), weight_error=1e-14)
    if chart is None:
        return None
    sigma = float(np.sqrt(chart.eigenvalue)) / OUTWARD
    rho = norm_up(transformed(chart.T, combination(A_J, u_R)))
    kappa = sigma - rho
    if kappa <= 0:
        return None
    value = r_R.value.astype(np.float64)
    is_slope = ((u_R == lo_R) & (value < -2 * r_R.error)) | ((u_R == hi_R) & (value > 2 * r_R.error))
    E = float(np.sum(np.where(is_slope, 0.0, (hi_R - lo_R) * (np.abs(value) + 2 * r_R.error)))) * OUTWARD
    radius = chart.reach * E / kappa * OUTWARD
    # wherever the minimiser lies, the rows left out must still have loss 0
    if np.any(out):
        left = Bounded(r.value[out], r.error[out])
        if np.any(np.abs(left.value).astype(np.float64) <= 2 * left.error + row_norms(A[out]) * radius * OUTWARD):
            return None
    rest = LinearModel(model.loss, A_R, b[kept], 0.0, model.tau)
    phi = losses(rest, Bounded(z.value[kept], z.error[kept]))
    F = total(phi.value, phi.error)
    u[kept] = u_R
    return Sharp(
        f_lo=max(down((F.value - F.error * OUTWARD - E) / m), 0.0),
        radius=radius,
        u=u,
        whole=len(J) + columns.N.shape[1] == A.shape[1],
        N=columns.N,
        numbers={"sigma": sigma, "rho": rho, "E": E, "reach": chart.reach},
    )
