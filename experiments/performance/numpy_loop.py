"""D-Adaptation dual averaging for logistic regression as one writes it in NumPy and SciPy; the yardstick.

    f(x) = (1/m) sum log(1 + exp(-b_i <a_i, x>))

Algorithm 1, option I with the plain step, of dadapt_convex/methods/dadapt_dual_averaging.py, with the running averages
of x and of the margins A x. It computes what solve() computes for f, x, d and both averages, and leaves out what
solve() keeps beside these: the sums of the theorems, the best and the selected iterate, the check for NaN.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from dadapt_convex.oracle import Vector


class Outcome(NamedTuple):
    """After `steps` iterations: x_{n+1}, d_{n+1}, the averages over x_0 .. x_n, and f(x_n)."""

    x: Vector
    x_avg: Vector
    z_avg: Vector
    d: float
    f: float


def logistic_loss(z: Vector, b: Vector) -> tuple[float, Vector]:
    """Mean loss and its derivative in each margin (times m), without overflow."""
    u = b * z
    e = np.exp(-np.abs(u))
    f = float(np.mean(np.log1p(e) - np.minimum(u, 0.0)))
    return f, -b * np.where(u > 0.0, e, 1.0) / (1.0 + e)


def dadapt_dual_averaging(A: Any, b: Vector, x0: Vector, steps: int, d0: float) -> Outcome:
    """A: (m, p) ndarray or scipy.sparse.csr_array; its transpose is a view, and for CSR the faster of the two forms."""
    m, transposed = b.size, A.T
    x, s, d, S = x0.copy(), np.zeros_like(x0), d0, 0.0
    x_avg, z_avg, sum_d = np.zeros_like(x0), np.zeros(m), 0.0
    gamma, correction, f = 0.0, 0.0, math.nan
    for k in range(steps):
        z = A @ x
        f, slopes = logistic_loss(z, b)
        g = (transposed @ slopes) / m

        sum_d += d
        x_avg += (d / sum_d) * (x - x_avg)
        z_avg += (d / sum_d) * (z - z_avg)

        g2 = float(g @ g)
        if k == 0:
            gamma = 1.0 / math.sqrt(g2)
        correction += gamma * d * d * g2
        s += d * g
        S += g2
        gamma = 1.0 / math.sqrt(S)
        s_norm2 = float(s @ s)
        d = max(d, (gamma * s_norm2 - correction) / (2.0 * math.sqrt(s_norm2)))
        x = x0 - gamma * s
    return Outcome(x, x_avg, z_avg, d, f)
