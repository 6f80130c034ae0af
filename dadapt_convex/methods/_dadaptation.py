"""The growth of d, shared by the methods with D-Adaptation."""

from __future__ import annotations

from dadapt_convex.oracle import helper


@helper
def grow(d: float, d_hat: float, growth_rate: float) -> float:
    """d_{k+1} = max(d_k, min(d_hat_{k+1}, growth_rate d_k)); NaN where d_hat is, which max() would hide."""
    if d_hat != d_hat:
        return d_hat
    return max(d, min(d_hat, growth_rate * d))
