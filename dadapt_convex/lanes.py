"""Eight float64 numbers that stay in registers, for compiled functions over short rows.

Numba leaves vectorising to LLVM, which tests for every short inner loop anew whether its arrays overlap, and treats the
rest of a length one by one: with 16 rows and 3 classes this costs nearly all of the gain. Here a kernel itself says
which lanes are added. The order of additions is then equal on every machine.

    u = load(a, at)                 a[at : at + 8], of the entries one after another whatever the shape of a
    u = load_first(a, at, n)        n <= 8 entries; the other lanes are 0, and a is not read there
    store(a, at, u)                 a[at : at + 8] <- u
    store_first(a, at, n, u)        the first n
    u = splat(s)                    s in all lanes; a number among lanes is splatted by itself
    u + v, u - v, u * v, u / v      u + v * w is one instruction
    where_greater(u, v, a, b)       a where u > v, b elsewhere: also where u or v is NaN
    where_equal(u, v, a, b)         a where u = v, b elsewhere
    rint(u)                         the nearest integer
    power_of_2(u)                   2^u for integers u in -1022..1023, the exponents of normal numbers; of NaN, 1
    exponent(u)                     floor(log2 u) for normal u > 0
    t0, ..., t7 = transposed(u0, ..., u7)

Nothing is checked: an index beyond the array reads or overwrites other memory. In Python lanes are arrays of 8; their
LLVM code stands in lanes_llvm.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dadapt_convex.oracle import Instruction

LANES = 8


def instruction(function: Callable[..., Any]) -> Instruction:
    """Decorate the Python equivalent of an instruction; lanes_llvm.py has its code, under its name."""
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
