"""The recursion for s and the sums of its analysis, shared by the dual averaging methods.

    s_{k+1} = s_k + lambda_k g_k,    x_{k+1} = x_0 - gamma_{k+1} s_{k+1}

The sums are those of theorems I1, I2 and I3.
"""

from __future__ import annotations

from typing import Any

from dadapt_convex.oracle import helper
from dadapt_convex.state import Scalar, State, Vector
from dadapt_convex.vector import add_scaled, dot


class Sums(State):
    """The state of every method of the family: s and the sums."""

    s = Vector("sum_{i<=k} lambda_i g_i")
    sum_gamma_lambda2_g2 = Scalar("sum_{i<=k} gamma_i lambda_i^2 ||g_i||^2")
    sum_gamma_lambda_gs = Scalar("sum_{i<=k} gamma_i lambda_i <g_i, s_i>")
    sum_dgamma_s2 = Scalar("sum_{i<=k} (gamma_{i+1} - gamma_i) ||s_{i+1}||^2")
    sum_gamma_g2 = Scalar("sum_{i<=k} gamma_i ||g_i||^2")


@helper
def add_gradient(state: Any, lam: float, gamma: float, g2: float, g: Any) -> float:
    """s_{k+1} = s_k + lambda_k g_k and the sums up to k; returns ||s_{k+1}||^2."""
    state.sum_gamma_lambda2_g2 += gamma * lam * lam * g2
    state.sum_gamma_lambda_gs += gamma * lam * dot(g, state.s)
    state.sum_gamma_g2 += gamma * g2
    return add_scaled(state.s, lam, g)


@helper
def set_gamma(state: Any, gamma: float, gamma_next: float, s_norm2: float) -> None:
    """gamma_{k+1}, and the sum of (gamma_{i+1} - gamma_i) ||s_{i+1}||^2 up to k."""
    state.sum_dgamma_s2 += (gamma_next - gamma) * s_norm2
    state.gamma = gamma_next
