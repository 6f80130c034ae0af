"""Functions whose optimum is known in closed form, some of them the worst there are.

Each is a function from its parameters to a Problem, listed in HARD. Where the subdifferential at the point is
a set, the oracle's choice is stated: the lower bounds depend on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dadapt_convex.oracle import Kernel, Oracle, oracle, pack
from dadapt_convex.vector import dot
from problems.arrays import check_size
from problems.problem import Optimum, Problem

# Below TINY the reciprocal of a number may overflow; TINY_SHIFT, a power of two, lifts it exactly.
TINY, TINY_SHIFT = 1e-290, 2.0**200


@oracle
def abs_oracle(x: Any, g: Any, z: Any, data: Any) -> float:
    """|x|; 0 at the kink."""
    g[0] = np.sign(x[0])
    return abs(x[0])


def absolute_value(x0: float = 1.0) -> Problem:
    """f(x) = |x| from x0: the paper's toy problem. Optimum 0 at 0, D = |x0|, G = 1."""
    start = np.array([_finite("x0", x0)])
    return _hard("hard:abs", abs_oracle, start, G=1.0, G_inf=1.0, m=2, f_star=0.0, x=np.zeros(1))


@oracle
def norm2_oracle(x: Any, g: Any, z: Any, data: Any) -> float:
    """||x||; 0 at the origin. Scaled, so that neither squares nor 1 / (largest entry) over- or underflow."""
    largest = 0.0
    for i in range(x.size):
        largest = max(largest, abs(x[i]))
    if largest == 0.0 or not np.isfinite(largest):
        for i in range(x.size):
            g[i] = 0.0
        return largest
    shift = TINY_SHIFT if largest < TINY else 1.0
    largest *= shift
    total = 0.0
    for i in range(x.size):
        g[i] = x[i] * shift / largest
        total += g[i] * g[i]
    norm = math.sqrt(total)
    for i in range(x.size):
        g[i] /= norm
    return largest * norm / shift


def norm2(p: int = 20) -> Problem:
    """f(x) = ||x|| in R^p from x0 = (1, ..., 1) / sqrt(p). Optimum 0 at 0, D = 1, G = 1."""
    p = _dimension("p", p)
    start = np.full(p, 1 / math.sqrt(p))
    return _hard("hard:norm2", norm2_oracle, start, G=1.0, G_inf=1.0, m=1, f_star=0.0, x=np.zeros(p))


@oracle
def max_abs_oracle(x: Any, g: Any, z: Any, data: Any) -> float:
    """Max |x_i|; the smallest maximising index, 0 at the origin."""
    best, at = 0.0, 0
    for i in range(x.size):
        g[i] = 0.0
        if abs(x[i]) > best:
            best, at = abs(x[i]), i
    g[at] = np.sign(x[at])
    return best


def max_abs(p: int = 20) -> Problem:
    """f(x) = max_i |x_i| in R^p from x0 = (1, 2, ..., p) / p. Optimum 0 at 0, G = 1."""
    p = _dimension("p", p)
    x0 = np.arange(1, p + 1) / p
    return _hard("hard:max_abs", max_abs_oracle, x0, G=1.0, G_inf=1.0, m=2 * p, f_star=0.0, x=np.zeros(p))


@oracle
def drori_teboulle_oracle(x: Any, g: Any, z: Any, data: Any) -> float:
    """max{G max_i x_i, G ||x|| - D G (1 + 1/sqrt(m))}; the smallest maximising index, the first branch on a tie."""
    D, G = data.params[0], data.params[1]
    m = x.size
    at = 0
    for i in range(m):
        g[i] = 0.0
        if x[i] > x[at]:
            at = i
    norm = math.sqrt(dot(x, x))
    pieces, cone = G * x[at], G * norm - D * G * (1.0 + 1.0 / math.sqrt(m))
    if cone > pieces:
        for i in range(m):
            g[i] = G * x[i] / norm
        return cone
    g[at] = G
    return pieces


def drori_teboulle(m: int = 101, D: float = 1.0, G: float = 1.0) -> Problem:
    """The function on which no method does better than D G / sqrt(m) after m subgradients [1].

    f(x) = max{G max_{i<=m} x_i, G ||x|| - D G (1 + 1/sqrt(m))} in R^m from x0 = 0; f* = -D G / sqrt(m) at
    x_i = -D / sqrt(m), the only minimiser. Every method whose x_k lies in x0 + span{g_0, .., g_{k-1}} has
    f(x_k) - f* >= D G / sqrt(m) for k < m, and so have averages of such iterates.

    [1] Y. Drori, M. Teboulle. An optimal variant of Kelley's cutting-plane method. Math. Programming 160, 2016.
    """
    m = _dimension("m", m)
    D, G = _positive("D", D), _positive("G", G)
    return _hard(
        "hard:drori_teboulle",
        drori_teboulle_oracle,
        np.zeros(m),
        G=G,
        G_inf=G,
        m=m,
        f_star=-D * G / math.sqrt(m),
        x=np.full(m, -D / math.sqrt(m)),
        params=(D, G),
    )


HARD: dict[str, Callable[..., Problem]] = {
    "abs": absolute_value,
    "norm2": norm2,
    "max_abs": max_abs,
    "drori_teboulle": drori_teboulle,
}

# f* and D are closed forms evaluated in float64: a few roundings each.
CLOSED_FORM = 4 * np.finfo(float).eps


def _hard(
    name: str, kernel: Kernel, x0: Any, *, G: float, G_inf: float, m: int, f_star: float, x: Any, params: Any = ()
) -> Problem:
    def closed_form(problem: Problem) -> Optimum:
        # dist is right to an ulp and does not overflow
        D, D_inf = math.dist(x, problem.x0), float(np.abs(x - problem.x0).max())
        return Optimum(
            f_lo=f_star - CLOSED_FORM * abs(f_star),
            f_hi=f_star + CLOSED_FORM * abs(f_star),
            x=x,
            D_lo=D * (1 - CLOSED_FORM),
            D_hi=D * (1 + CLOSED_FORM),
            D_inf_lo=D_inf * (1 - CLOSED_FORM),
            D_inf_hi=D_inf * (1 + CLOSED_FORM),
            certificate={"kind": "closed form"},
            D_estimate=D,
        )

    x0 = np.array(x0, dtype=np.float64)
    x0.setflags(write=False)
    return Problem(
        name=name,
        oracle=Oracle(kernel=kernel, value=None, data=pack(params=params)),
        x0=x0,
        G=G,
        G_inf=G_inf,
        m=m,
        G_note="exact",
        G_exact=True,
        find_optimum=closed_form,
        facts={"storage": "none", "source": "closed form"},
    )


def _finite(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a number, got {value!r}.") from None
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {value!r}.")
    return number


def _positive(name: str, value: Any) -> float:
    number = _finite(name, value)
    if number <= 0:
        raise ValueError(f"{name} must be positive, got {value!r}.")
    return number


def _dimension(name: str, value: Any) -> int:
    number = _finite(name, value)
    if not number.is_integer() or number < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}.")
    check_size(f"{name} = {value!r}", int(number))
    return int(number)
