"""Piecewise-linear losses, l2 > 0: the duality gap of a point and a dual point in rational arithmetic.

For u in the box and any x

    f* >= q(u) = -(1/m) sum u_i b_i - ||A^T u||^2 / (2 m^2 l2),   l2/2 ||x - x*||^2 <= f(x) - f* <= f(x) - q(u),

    f(x) - q(u) = (1/m) sum (phi_i(r_i) - u_i r_i) + l2/2 ||x + A^T u / (m l2)||^2,   r = A x - b.

No term is negative. A rounding of u counts by its square; one of x by itself, where r_i = 0 at x*. So u is held in
float64 and x as the sum of two float64 vectors, the second of which is found with exact r_i: the gap is then some
1e-30, and nothing is lost in its evaluation. No system is solved in rational arithmetic, and no rank is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from problems.optimum.arithmetic.extended import ABOVE, Floats, Long, up
from problems.optimum.arithmetic.rational import Indices, Rational, integers, products, rounded_up
from problems.optimum.dual import box
from problems.optimum.piecewise_linear.descent import shortest
from problems.optimum.piecewise_linear.vertex import Mask, blocks, dual_sums, exact_residuals, residual_signs
from problems.problem import LinearModel

# Corrections with exact residuals; each gains some 40 bits.
CORRECTIONS = 3


class Gap(NamedTuple):
    """q <= f* <= f, and the minimiser is within radius of x."""

    x: Rational
    q: Fraction
    f: Fraction
    radius: float


def gap_certificate(model: LinearModel, x: Long, u: Floats, corrected: bool = True) -> dict[str, Any]:
    """Arrays for checked_gap.

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
        # scaled, for these are tiny
        scale = Fraction(2) ** (largest.numerator.bit_length() - largest.denominator.bit_length())
        low = low - solve(np.array([float(v / scale) for v in r])) * float(scale)
        high, low = high + low, low - ((high + low) - high)
    return {"rows": rows, "u": u[rows], "high": np.flatnonzero(u == hi), "x": high, "x_low": low}


def checked_gap(model: LinearModel, certificate: Mapping[str, Any]) -> Gap | None:
    """What the arrays of a certificate prove; None where u is not in the box, or the arrays are no such thing."""
    lo, hi = box(model)
    m, p = model.A.shape
    rows, u, high, low = (certificate[k] for k in ("rows", "u", "x", "x_low"))
    if rows.shape != u.shape or high.shape != (p,) or low.shape != (p,) or not model.l2 > 0:
        return None
    if np.unique(rows).size < rows.size or np.any((rows < 0) | (rows >= m)):
        return None
    if not (np.all((lo[rows] <= u) & (u <= hi[rows])) and np.all(np.isfinite(high)) and np.all(np.isfinite(low))):
        return None
    upper = np.zeros(m, dtype=bool)
    upper[certificate["high"]] = True
    x = _sum(high, low)
    f, q = value(model, x), _dual_value(model, rows, upper, u)
    radius = up(np.sqrt(np.longdouble(rounded_up(2 * (f - q) / Fraction(model.l2)))) * ABOVE)
    return Gap(x, q, f, radius)


def value(model: LinearModel, x: Rational) -> Fraction:
    """f(x): rows whose sign is clear by their sum, the others one by one."""
    signs = residual_signs(model, x)[1]
    sums, rest = dual_sums(model, signs > 0, signs != 0)
    along = sum((s * n for s, n in zip(sums, x.numerators, strict=True) if s), Fraction(0))
    square = Fraction(sum(n * n for n in x.numerators), x.denominator**2)
    return (along / x.denominator - rest) / model.b.size + Fraction(model.l2) / 2 * square


def _dual_value(model: LinearModel, rows: Indices, upper: Mask, u: Floats) -> Fraction:
    """q(u), u being given on the rows and an end of the box elsewhere."""
    outside = np.ones(model.b.size, dtype=bool)
    outside[rows] = False
    sums, rest = dual_sums(model, upper, outside)
    sums = [s + v for s, v in zip(sums, _combination(model.A[rows], u), strict=True)]
    rest += sum(
        (Fraction(v) * Fraction(t) for v, t in zip(u.tolist(), model.b[rows].tolist(), strict=True)), Fraction(0)
    )
    unit = max((s.denominator for s in sums), default=1)  # powers of two, every one
    square = Fraction(sum(int(s * unit) ** 2 for s in sums), unit**2)
    m = model.b.size
    return -rest / m - square / (2 * m * m * Fraction(model.l2))


def _combination(A: Any, u: Floats) -> list[Fraction]:
    """A^T u."""
    sums = [Fraction(0)] * A.shape[1]
    for at, columns, part in blocks(A):
        factors, entries = integers(u[None, at]), integers(part.T)
        found = products(entries.rows, factors.rows[0])
        for j, n, e in zip(columns, found, (entries.exponents + factors.exponents[0]).tolist(), strict=True):
            sums[j] += n * Fraction(2) ** e
    return sums


def _sum(high: Floats, low: Floats) -> Rational:
    """high + low."""
    both = integers(np.concatenate([high, low])[None, :])
    exponent = int(both.exponents[0])
    numerators = [
        (a + b) << max(exponent, 0) for a, b in zip(both.rows[0][: high.size], both.rows[0][high.size :], strict=True)
    ]
    return Rational(numerators, 1 << max(-exponent, 0))
