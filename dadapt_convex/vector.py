"""Vector formulas used by more than one compiled function."""

from __future__ import annotations

from typing import Any

from dadapt_convex.oracle import exact_helper, helper


@helper
def dot(u: Any, v: Any) -> float:
    """<u, v>."""
    total = 0.0
    for i in range(u.size):
        total += u[i] * v[i]
    return total


@helper
def copy(source: Any, target: Any) -> None:
    """target <- source."""
    for i in range(source.size):
        target[i] = source[i]


@helper
def move_average(average: Any, x: Any, share: float) -> None:
    """average <- average + share (x - average): a weighted running mean, share = w_k / sum_{i<=k} w_i."""
    for i in range(x.size):
        average[i] += share * (x[i] - average[i])


@helper
def distance_squared(u: Any, v: Any) -> float:
    """||u - v||^2."""
    total = 0.0
    for i in range(u.size):
        total += (u[i] - v[i]) * (u[i] - v[i])
    return total


@helper
def add_scaled(s: Any, c: float, g: Any) -> float:
    """s <- s + c g; returns ||s||^2."""
    total = 0.0
    for i in range(s.size):
        s[i] += c * g[i]
        total += s[i] * s[i]
    return total


@helper
def move_from(x: Any, c: float, g: Any, x_next: Any) -> None:
    """x_next <- x - c g."""
    for i in range(x.size):
        x_next[i] = x[i] - c * g[i]


@helper
def distance_and_product(x: Any, x0: Any, g: Any) -> tuple[float, float]:
    """(||x - x0||^2, <g, x - x0>)."""
    squares = product = 0.0
    for i in range(x.size):
        moved = x[i] - x0[i]
        squares += moved * moved
        product += g[i] * moved
    return squares, product


@exact_helper
def add_exactly(before: float, lost: float, term: float) -> tuple[float, float]:
    """(before + term, lost + what rounding takes from this sum), by Knuth's two-sum."""
    total = before + term
    added = total - before
    return total, lost + ((before - (total - added)) + (term - added))
