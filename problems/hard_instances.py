"""Functions whose optimum is known in closed form, some of them the worst there are.

Each is a function from its parameters to a Problem, listed in HARD. Where the subdifferential at the point is
a set, the oracle's choice is stated: the lower bounds depend on it. f* and D are those of the function of real numbers
with the float64 numbers x0, D and G, which the oracle computes to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dadapt_convex.oracle import Kernel, Oracle, oracle, pack, shown
from dadapt_convex.vector import dot
from problems.arrays import at_least_1, check_size, number
from problems.optimum.closed_form import ClosedForm
from problems.problem import Optimum, Problem, within

# Below TINY the reciprocal of a number may overflow; TINY_SHIFT, a power of two, lifts it exactly.
TINY, TINY_SHIFT = 1e-290, 2.0**200
# Bits of balls: sums of squares of float64 numbers are exact.
BITS = 4400


@oracle
def abs_oracle(x: Any, g: Any, z: Any, data: Any) -> float:
    """|x|; 0 at the kink."""
    g[0] = np.sign(x[0])
    return abs(x[0])


def absolute_value(x0: float = 1.0) -> Problem:
    """The paper's toy problem: f(x) = |x| on the real line.

    Its optimum is 0 at 0, so D = |x0|; G = 1. The subgradient at 0 is 0.

    Parameters
    ----------
    x0 : float
        The starting point; finite.

    Raises
    ------
    ValueError
        An x0 that is no finite number.

    Examples
    --------
    >>> import problems
    >>> problems.absolute_value(x0=-3.0).value([-3.0])
    3.0
    """
    start = np.array([_finite("x0", x0)])
    return _hard("hard:abs", abs_oracle, start, G=1.0, m=2)


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
    """The Euclidean norm: f(x) = ||x|| in R^p from x0 = (1, ..., 1) / sqrt(p), rounded.

    Its optimum is 0 at 0, so D = 1 to rounding; G = 1. The subgradient at 0 is 0.

    Parameters
    ----------
    p : int >= 1
        The number of unknowns.

    Raises
    ------
    ValueError
        A p that is no integer of at least 1.

    Examples
    --------
    >>> import problems
    >>> problems.norm2(p=2).value([3.0, 4.0])
    5.0
    """
    p = _dimension("p", p)
    start = np.full(p, 1 / math.sqrt(p))
    return _hard("hard:norm2", norm2_oracle, start, G=1.0, m=1)


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
    """The largest entry: f(x) = max_i |x_i| in R^p from x0 = (1, 2, ..., p) / p.

    Its optimum is 0 at 0, so D = ||x0||; G = 1. The subgradient is that of the smallest maximising index, 0 at 0.

    Parameters
    ----------
    p : int >= 1
        The number of unknowns.

    Raises
    ------
    ValueError
        A p that is no integer of at least 1.

    Examples
    --------
    >>> import problems
    >>> problems.max_abs(p=3).subgradient([1.0, -2.0, 2.0]).tolist()
    [0.0, -1.0, 0.0]
    """
    p = _dimension("p", p)
    x0 = np.arange(1, p + 1) / p
    return _hard("hard:max_abs", max_abs_oracle, x0, G=1.0, m=2 * p)


@oracle
def drori_teboulle_oracle(x: Any, g: Any, z: Any, data: Any) -> float:
    """max{G max_i x_i, G ||x|| - D G (1 + 1/sqrt(m))}; on a tie the smallest index and the first branch."""
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
    f(x_k) - f* >= D G / sqrt(m) for k < m, and so have averages of such iterates. The subgradient is that of the first
    branch on a tie, and of the smallest maximising index.

    Parameters
    ----------
    m : int >= 1
        The number of unknowns; the bound holds for methods of at most m subgradients.
    D : float > 0
        The distance from x0 to the minimiser, in units of x.
    G : float > 0
        The bound on subgradients, in units of f over those of x.

    Raises
    ------
    ValueError
        An m that is no integer of at least 1; a D or G that is not positive and finite.

    Examples
    --------
    >>> import problems
    >>> problems.drori_teboulle(m=4, D=2.0, G=3.0).optimum().D_estimate
    2.0

    References
    ----------
    [1] Y. Drori, M. Teboulle. An optimal variant of Kelley's cutting-plane method. Math. Programming 160, 2016.
    """
    m = _dimension("m", m)
    D, G = _positive("D", D), _positive("G", G)
    return _hard("hard:drori_teboulle", drori_teboulle_oracle, np.zeros(m), G=G, m=m, params=(D, G))


HARD: dict[str, Callable[..., Problem]] = {
    "abs": absolute_value,
    "norm2": norm2,
    "max_abs": max_abs,
    "drori_teboulle": drori_teboulle,
}


@dataclass(frozen=True)
class Formula:
    """f* = -G c at the only minimiser -c (1, ..., 1), c = D / sqrt(p); at the origin with D = 0."""

    D: float = 0.0
    G: float = 1.0

    def __call__(self, problem: Problem, radius: float) -> Optimum:
        """f*, D and D_inf: the number itself where float64 holds it, else the two next to it; see within.

        ||x0 + c (1, ..., 1)||^2 = ||x0||^2 + 2 c sum_i x0_i + D^2
        """
        from flint import arb, ctx

        with ctx.workprec(BITS):
            c = arb(self.D) / arb(problem.p).sqrt()
            x0 = [arb(v) for v in problem.x0.tolist()]
            f_lo, f_hi = _enclosed(-c * self.G)
            D_lo, D_hi = _enclosed((sum(v * v for v in x0) + 2 * c * sum(x0) + arb(self.D) ** 2).sqrt())
            ends = [_enclosed(abs(arb(float(end)) + c)) for end in (problem.x0.min(), problem.x0.max())]
        optimum = Optimum(
            f_lo=f_lo,
            f_hi=f_hi,
            x=np.full(problem.p, 0.0 - self.D / math.sqrt(problem.p)),
            D_lo=D_lo,
            D_hi=D_hi,
            D_inf_lo=max(low for low, _ in ends),
            D_inf_hi=max(high for _, high in ends),
            certificate=ClosedForm(),
            D_estimate=D_hi,
        )
        return within(problem, optimum, radius)


def _enclosed(ball: Any) -> tuple[float, float]:
    """The largest float64 number that is not above, and the smallest that is not below."""
    from flint import arb

    low = high = float(ball)
    while not arb(low) <= ball:
        low = math.nextafter(low, -math.inf)
    while not arb(high) >= ball:
        high = math.nextafter(high, math.inf)
    return low, high


def _hard(name: str, kernel: Kernel, x0: Any, *, G: float, m: int, params: tuple[float, ...] = ()) -> Problem:
    x0 = np.array(x0, dtype=np.float64)
    x0.setflags(write=False)
    return Problem(
        name=name,
        oracle=Oracle(kernel=kernel, value=None, data=pack(params=params)),
        x0=x0,
        G=G,
        G_inf=G,
        m=m,
        G_note="exact",
        G_exact=True,
        find_optimum=Formula(*params),
        facts={"storage": "none", "source": "closed form"},
    )


def _finite(name: str, value: Any) -> float:
    found = number(name, value)
    if not math.isfinite(found):
        raise ValueError(f"{name} must be finite, got {shown(value)}.")
    return found


def _positive(name: str, value: Any) -> float:
    found = _finite(name, value)
    if found <= 0:
        raise ValueError(f"{name} must be positive, got {shown(value)}.")
    return found


def _dimension(name: str, value: Any) -> int:
    found = at_least_1(name, _finite(name, value))
    check_size(f"{name} = {shown(value)}", found)
    return found
