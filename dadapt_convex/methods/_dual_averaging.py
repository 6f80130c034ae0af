"""What the dual averaging methods share: the recursion for s and the sums of its analysis.

    s_{k+1} = s_k + lambda_k g_k,    x_{k+1} = x_0 - gamma_{k+1} s_{k+1}

The sums are those of theorems I1, I2 and I3.
"""

from __future__ import annotations

from typing import Any

from dadapt_convex.oracle import helper
from dadapt_convex.vector import add_scaled, dot

# The first scalars of every method of the family, in this order.
SUMS = (
    "sum_gamma_lambda2_g2",  # sum_{i<=k} gamma_i lambda_i^2 ||g_i||^2
    "sum_gamma_lambda_gs",  # sum_{i<=k} gamma_i lambda_i <g_i, s_i>
    "sum_dgamma_s2",  # sum_{i<=k} (gamma_{i+1} - gamma_i) ||s_{i+1}||^2
    "sum_gamma_g2",  # sum_{i<=k} gamma_i ||g_i||^2
)


@helper
def accumulate(lam: float, gamma: float, g2: float, g: Any, s: Any, sums: Any) -> float:
    """s_{k+1} = s_k + lambda_k g_k and the sums up to k; returns ||s_{k+1}||^2."""
    sums[0] += gamma * lam * lam * g2
    sums[1] += gamma * lam * dot(g, s)
    sums[3] += gamma * g2
    return add_scaled(s, lam, g)


@helper
def accumulate_gamma(gamma: float, gamma_next: float, s_norm2: float, sums: Any) -> None:
    """The sum that needs gamma_{k+1}."""
    sums[2] += (gamma_next - gamma) * s_norm2
