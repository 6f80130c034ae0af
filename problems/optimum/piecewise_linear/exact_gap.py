"""Piecewise-linear losses, l2 > 0: the duality gap of a point and a dual point in rational arithmetic.

For u in the box and any x

    f* >= q(u) = -(1/m) sum u_i b_i - ||A^T u||^2 / (2 m^2 l2),   l2/2 ||x - x*||^2 <= f(x) - f* <= f(x) - q(u),

    f(x) - q(u) = (1/m) sum (phi_i(r_i) - u_i r_i) + l2/2 ||x + A^T u / (m l2)||^2,   r = A x - b.

No term is negative. A rounding of u counts by its square; one of x by itself, where r_i = 0 at x*. So u is held in
float64 and x as the sum of two float64 vectors, the second of which is found with exact r_i: the gap is then some
1e-30, and nothing is lost in its evaluation. No system is solved in rational arithmetic, and no rank is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated

import numpy as np

from problems.optimum.arithmetic.extended import ABOVE, Floats, Indices, Long, Mask, down, up
from problems.optimum.arithmetic.rational import Rational, exact_combination, exactly, mask, rounded_down, rounded_up
from problems.optimum.certificate import Certificate, Point, Proof, Shape, kinks_of, of_models
from problems.optimum.distances import distances_down, distances_up
from problems.optimum.dual import box, is_piecewise_linear
from problems.optimum.piecewise_linear.descent import shortest
from problems.optimum.piecewise_linear.vertex import dual_sums, exact_residuals, residual_signs
from problems.problem import LinearModel, Problem

# Corrections with exact residuals; each gains about 40 bits.
CORRECTIONS = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class DualityGap(Certificate):
    """The point x + x_low, and u: given on some rows, hi_i on the rows high, lo_i on all others."""

    kind = "exact minimiser"
    arithmetic = "rational"
    serves = of_models(is_piecewise_linear, penalty=True)
    rows: Annotated[Indices, Shape("r", below="m")]
    u: Annotated[Floats, Shape("r")]
    high: Annotated[Indices, Shape("h", below="m")]
    x: Point
    x_low: Point

    def prove(self, problem: Problem) -> Proof:
        """q <= f* <= f, and the minimiser is within a radius of the point."""
        model, x0 = kinks_of(problem), problem.x0
        lo, hi = box(model)
        if not np.all((lo[self.rows] <= self.u) & (self.u <= hi[self.rows])):
            raise ValueError("u must lie in the box")
        upper = mask(self.high, model.b.size)
        x = _sum(self.x, self.x_low)
        f, q = value(model, x), _dual_value(model, self.rows, upper, self.u)
        radius = np.longdouble(up(np.sqrt(np.longdouble(rounded_up(2 * (f - q) / Fraction(model.l2)))) * ABOVE))
        below = [max(0.0, down(np.longdouble(d) - radius)) for d in distances_down(x, x0)]
        above = [up(np.longdouble(d) + radius) for d in distances_up(x, x0)]
        f_lo = max(0.0, rounded_down(q))
        ends = below[0], above[0], below[1], above[1]
        return Proof(f_lo, rounded_up(f), *ends, attained=True, D_estimate=above[0])


def duality_gap(model: LinearModel, x: Long, u: Floats, corrected: bool = True) -> DualityGap:
    """The certificate at a point near x.

    x is moved to where r_i = 0 on the rows with u_i inside its box, to twice the digits of float64, if corrected.
    """
    lo, hi = box(model)
    u = np.clip(u, lo, hi)
    rows = np.flatnonzero((lo < u) & (u < hi))
    high = np.asarray(x, dtype=np.float64)
    low = np.asarray(x - high, dtype=np.float64)
    solve = shortest(model.A[rows]) if corrected and rows.size else None
    for _ in range(CORRECTIONS):
        if solve is None:
            break
        r = exact_residuals(model, _sum(high, low), rows)
        largest = max(abs(v) for v in r)
        if not largest:
            break
        # scaled, as these are tiny
        scale = Fraction(2) ** (largest.numerator.bit_length() - largest.denominator.bit_length())
        low = low - solve(np.array([float(v / scale) for v in r])) * float(scale)
        high, low = high + low, low - ((high + low) - high)
    return DualityGap(rows=rows, u=u[rows], high=np.flatnonzero(u == hi), x=high, x_low=low)


def value(model: LinearModel, x: Rational) -> Fraction:
    """f(x): rows whose sign is clear by their sum, the others one by one."""
    signs = residual_signs(model, x)[1]
    sums, rest = dual_sums(model, signs > 0, signs != 0)
    along = sum((s * n for s, n in zip(sums, x.numerators, strict=True) if s), Fraction(0))
    return (along / x.denominator - rest) / model.b.size + Fraction(model.l2) / 2 * x.square()


def _dual_value(model: LinearModel, rows: Indices, upper: Mask, u: Floats) -> Fraction:
    """q(u), u being given on the rows and an end of the box elsewhere."""
    outside = ~mask(rows, model.b.size)
    sums, rest = dual_sums(model, upper, outside)
    sums = [s + v for s, v in zip(sums, exact_combination(model.A[rows], u), strict=True)]
    rest += sum(
        (Fraction(v) * Fraction(t) for v, t in zip(u.tolist(), model.b[rows].tolist(), strict=True)), Fraction(0)
    )
    unit = max((s.denominator for s in sums), default=1)  # powers of two, every one
    square = Fraction(sum(int(s * unit) ** 2 for s in sums), unit**2)
    m = model.b.size
    return -rest / m - square / (2 * m * m * Fraction(model.l2))


def _sum(high: Floats, low: Floats) -> Rational:
    """high + low, without rounding."""
    both, unit = exactly(np.concatenate([high, low]))
    return Rational([a + b for a, b in zip(both[: high.size], both[high.size :], strict=True)], unit)
