"""Eight float64 numbers that stay in registers, for compiled functions over short rows.

Numba leaves vectorising to LLVM, which asks for every short inner loop anew whether its arrays overlap, and deals with
what a length leaves over one by one: of 16 rows and 3 classes little is left to gain by then. Here a kernel says itself
what is added to what. It is then also added in the same order everywhere.

    u = load(a, at)                 a[at : at + 8], of the entries one after another whatever the shape of a
    u = load_first(a, at, n)        the same of n <= 8 entries; the other lanes are 0, and a is not read there
    store(a, at, u)                 a[at : at + 8] <- u
    store_first(a, at, n, u)        the first n
    u = splat(s)                    s in all lanes; a number among lanes becomes that by itself
    u + v, u - v, u * v, u / v      u + v * w is one instruction
    where_greater(u, v, a, b)       a where u > v, b elsewhere: also where u or v is NaN
    where_equal(u, v, a, b)         a where u = v, b elsewhere
    rint(u)                         the nearest integer
    power_of_2(u)                   2^u for integers u in -1022..1023, the exponents of normal numbers; of NaN, 1
    exponent(u)                     floor(log2 u) for normal u > 0
    t0, ..., t7 = transposed(u0, ..., u7)

Nothing is checked: an index beyond the array reads or overwrites what is there. In Python lanes are arrays of 8; what
LLVM makes of them stands in lanes_llvm.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dadapt_convex.oracle import Instruction

LANES = 8


def instruction(function: Callable[..., Any]) -> Instruction:
    """Decorate the Python equivalent of what lanes_llvm.py has under the same name."""
    return Instruction(function, "dadapt_convex.lanes_llvm")


@instruction
def load(a: Any, at: int) -> Any:
    """Eight entries."""
    return a.reshape(-1)[at : at + LANES].copy()


@instruction
def load_first(a: Any, at: int, n: int) -> Any:
    """n entries, then zeros."""
    u = np.zeros(LANES)
    u[:n] = a.reshape(-1)[at : at + n]
    return u


@instruction
def store(a: Any, at: int, u: Any) -> None:
    """All lanes."""
    a.reshape(-1)[at : at + LANES] = u


@instruction
def store_first(a: Any, at: int, n: int, u: Any) -> None:
    """The first n lanes."""
    a.reshape(-1)[at : at + n] = u[:n]


@instruction
def splat(s: float) -> Any:
    """One number in all lanes."""
    return np.full(LANES, s)


@instruction
def where_greater(u: Any, v: Any, a: Any, b: Any) -> Any:
    """A selection, lane by lane."""
    return np.where(u > v, a, b)


@instruction
def where_equal(u: Any, v: Any, a: Any, b: Any) -> Any:
    """A selection, lane by lane."""
    return np.where(u == v, a, b)


@instruction
def rint(u: Any) -> Any:
    """The nearest integer, halves to even."""
    return np.rint(u)


@instruction
def power_of_2(u: Any) -> Any:
    """2^u, exact."""
    return np.ldexp(1.0, np.nan_to_num(u).astype(np.int64))


@instruction
def exponent(u: Any) -> Any:
    """floor(log2 u) as a float64."""
    return np.frexp(u)[1] - 1.0


@instruction
def transposed(u0: Any, u1: Any, u2: Any, u3: Any, u4: Any, u5: Any, u6: Any, u7: Any) -> Any:
    """Lane i of the k-th result is lane k of the i-th argument."""
    return tuple(np.array((u0, u1, u2, u3, u4, u5, u6, u7)).T.copy())
