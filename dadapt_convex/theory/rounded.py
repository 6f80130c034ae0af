"""Numbers with a bound on their rounding error; both sides of a theorem are computed in them.

A `Rounded` is an array of values and an array of bounds: the number meant lies within `error` of `value`. It answers
the operators, and the NumPy functions listed below; each adds what it rounds itself. A function that is not listed is a
TypeError, never a float without its error. Comparisons look at the values alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dadapt_convex.oracle import Vector

EPS = float(np.finfo(np.float64).eps)  # twice the relative rounding of an operation
LIBM = 4 * EPS  # the relative rounding of exp, log and powers
SMALLEST_NORMAL = float(np.finfo(np.float64).tiny)
TINIEST = 1e-320  # the loss of a result below the normal numbers


class Rounded(np.lib.mixins.NDArrayOperatorsMixin):
    """value : (...) float64; error : of the same shape, a bound on the distance to the number meant."""

    __slots__ = ("error", "value")
    value: Vector
    error: Vector

    def __init__(self, value: Any, error: Any = 0.0) -> None:
        given = np.asanyarray(value)
        if given.dtype.kind not in "fiu" or isinstance(given, np.ma.MaskedArray):
            raise TypeError(f"a side is made of real numbers, got {type(value).__name__} of type {given.dtype}")
        self.value = np.asarray(given, dtype=np.float64)
        self.error = np.broadcast_to(np.asarray(error, dtype=np.float64), self.value.shape)

    def __repr__(self) -> str:
        return f"Rounded({self.value!r}, within {self.error!r})"

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, at: Any) -> Rounded:
        return Rounded(self.value[at], self.error[at])

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(
            "a plain array would lose the bounds on rounding; use NumPy's functions on the numbers as given"
        )

    def __float__(self) -> float:
        raise TypeError("float() would lose the bound on rounding; use NumPy's functions, numpy.sqrt and not math.sqrt")

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def size(self) -> int:
        return int(self.value.size)

    @property
    def ndim(self) -> int:
        return self.value.ndim

    def sum(self, axis: Any = None, keepdims: bool = False) -> Rounded:
        """The sum, in whatever order it was computed."""
        value = self.value.sum(axis=axis, keepdims=keepdims)
        count = self.value.size / max(1, value.size)
        size = np.abs(self.value).sum(axis=axis, keepdims=keepdims)
        return Rounded(value, self.error.sum(axis=axis, keepdims=keepdims) + EPS * count * size)

    def max(self, axis: Any = None, keepdims: bool = False) -> Rounded:
        """The largest."""
        return Rounded(self.value.max(axis=axis, keepdims=keepdims), self.error.max(axis=axis, keepdims=keepdims))

    def __array_ufunc__(self, ufunc: Any, method: str, *given: Any, **options: Any) -> Any:
        out, where = options.pop("out", None), options.pop("where", True)
        try:
            if ufunc in ON_VALUES and method == "__call__" and out is None:
                return ufunc(*map(plain, given), **options)
            rule = RULES[method][ufunc]
        except KeyError:
            what = f"numpy.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
            raise TypeError(f"the rounding of {what} is not known here; known are {', '.join(known())}") from None
        with np.errstate(all="ignore"):
            result = Rounded(*rule(*map(rounded, given), **options))
        if out is None:
            return result
        (target,) = out
        if not isinstance(target, Rounded):
            raise TypeError("a plain array as out= would lose the bounds on rounding")
        target.value = np.where(where, result.value, target.value)
        target.error = np.where(where, result.error, target.error)
        return target

    def __array_function__(self, function: Any, types: Any, given: Any, options: Any) -> Any:
        if function not in FUNCTIONS:
            name = f"numpy.{function.__name__}"
            raise TypeError(f"the rounding of {name} is not known here; known are {', '.join(known())}")
        return FUNCTIONS[function](*given, **options)


def rounded(x: Any) -> Rounded:
    """A number or an array as Rounded; exact unless it was Rounded already."""
    return x if isinstance(x, Rounded) else Rounded(x)


def plain(x: Any) -> Any:
    """The values without their errors."""
    return x.value if isinstance(x, Rounded) else x


# ---------------------------------------------------------------------------------------------------------
# Functions element by element: (values and errors) -> (value, error)

Rule = Callable[..., tuple[Vector, Vector]]


def _add(a: Rounded, b: Rounded) -> tuple[Vector, Vector]:
    value = a.value + b.value
    return value, a.error + b.error + EPS * np.abs(value)


def _subtract(a: Rounded, b: Rounded) -> tuple[Vector, Vector]:
    return _add(a, Rounded(-b.value, b.error))


def _multiply(a: Rounded, b: Rounded) -> tuple[Vector, Vector]:
    value = a.value * b.value
    error = np.abs(a.value) * b.error + np.abs(b.value) * a.error + a.error * b.error
    return value, error + EPS * np.abs(value) + _lost(value, (a.value != 0) & (b.value != 0))


def _lost(value: Vector, not_zero: Any) -> Vector:
    """A bound on the loss of a result below the normal numbers; an exact 0 has lost nothing."""
    return np.where((np.abs(value) < SMALLEST_NORMAL) & not_zero, TINIEST, 0.0)


def _divide(a: Rounded, b: Rounded) -> tuple[Vector, Vector]:
    value = a.value / b.value
    room = np.abs(b.value) - b.error
    error = (a.error + np.abs(value) * b.error) / np.where(room > 0, room, np.nan)
    return value, np.where(np.isnan(error), np.inf, error) + EPS * np.abs(value) + _lost(value, a.value != 0)


def _monotone(function: Any, low: float) -> Rule:
    """A function that grows, defined from `low` on."""

    def rule(a: Rounded) -> tuple[Vector, Vector]:
        value = function(a.value)
        above = function(np.nextafter(a.value + a.error, np.inf))
        below = function(np.maximum(np.nextafter(a.value - a.error, -np.inf), low))
        error = np.maximum(above - value, value - below) + LIBM * (np.abs(value) + np.abs(above) * (a.error > 0))
        return value, np.where(a.error == 0, LIBM * np.abs(value), error)

    return rule


def _power(a: Rounded, b: Rounded) -> tuple[Vector, Vector]:
    value = np.power(a.value, b.value)
    if np.any(b.error > 0):
        return value, np.full_like(value, np.inf)
    largest = np.abs(a.value) + a.error
    smallest = np.maximum(np.abs(a.value) - a.error, 0.0)
    slope = np.abs(b.value) * np.maximum(np.power(largest, b.value - 1), np.power(smallest, b.value - 1))
    error = np.where(a.error == 0, 0.0, a.error * slope)
    return value, error + LIBM * np.abs(value) + _lost(value, a.value != 0)


def _maximum(a: Rounded, b: Rounded) -> tuple[Vector, Vector]:
    """The maximum; where one side is larger beyond both errors, its error alone."""
    value = np.maximum(a.value, b.value)
    error = np.maximum(a.error, b.error)
    error = np.where(a.value - a.error > b.value + b.error, a.error, error)
    return value, np.where(b.value - b.error > a.value + a.error, b.error, error)


def _minimum(a: Rounded, b: Rounded) -> tuple[Vector, Vector]:
    value, error = _maximum(-a, -b)
    return -value, error


def _square(a: Rounded) -> tuple[Vector, Vector]:
    return _multiply(a, a)


def _accumulated(a: Rounded, axis: int = 0) -> tuple[Vector, Vector]:
    value = np.add.accumulate(a.value, axis=axis)
    size = np.add.accumulate(np.abs(a.value), axis=axis)
    return value, np.add.accumulate(a.error, axis=axis) + EPS * a.value.shape[axis] * size


def _maximum_accumulated(a: Rounded, axis: int = 0) -> tuple[Vector, Vector]:
    return np.maximum.accumulate(a.value, axis=axis), np.maximum.accumulate(a.error, axis=axis)


RULES: dict[str, dict[Any, Rule]] = {
    "__call__": {
        np.add: _add, np.subtract: _subtract, np.multiply: _multiply, np.divide: _divide, np.power: _power,
        np.float_power: _power, np.square: _square, np.maximum: _maximum, np.minimum: _minimum,
        np.negative: lambda a: (-a.value, a.error), np.positive: lambda a: (a.value, a.error),
        np.absolute: lambda a: (np.abs(a.value), a.error), np.fabs: lambda a: (np.abs(a.value), a.error),
        np.reciprocal: lambda a: _divide(Rounded(1.0), a),
        np.sqrt: _monotone(np.sqrt, 0.0), np.cbrt: _monotone(np.cbrt, -np.inf),
        np.exp: _monotone(np.exp, -np.inf), np.expm1: _monotone(np.expm1, -np.inf),
        np.log: _monotone(np.log, 0.0), np.log2: _monotone(np.log2, 0.0), np.log10: _monotone(np.log10, 0.0),
        np.log1p: _monotone(np.log1p, -1.0),
    },
    "accumulate": {np.add: _accumulated, np.maximum: _maximum_accumulated},
}  # fmt: skip
# These say true or false of the values, and have no rounding of their own.
ON_VALUES = {
    np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal, np.isfinite, np.isnan, np.isinf,
    np.sign, np.signbit,
}  # fmt: skip


# ---------------------------------------------------------------------------------------------------------
# Functions of whole arrays


def _like(function: Any) -> Callable[..., Rounded]:
    return lambda a, *more, **_: rounded(function(a.value, *more))


def _of_both(function: Any) -> Callable[..., Rounded]:
    """A function that moves numbers about and changes none."""
    return lambda a, *more, **options: Rounded(function(a.value, *more, **options), function(a.error, *more, **options))


def _where(condition: Any, a: Any, b: Any) -> Rounded:
    a, b = rounded(a), rounded(b)
    return Rounded(np.where(condition, a.value, b.value), np.where(condition, a.error, b.error))


def _concatenate(arrays: Any, axis: int = 0) -> Rounded:
    arrays = [rounded(a) for a in arrays]
    return Rounded(np.concatenate([a.value for a in arrays], axis), np.concatenate([a.error for a in arrays], axis))


def _diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None) -> Rounded:
    a = rounded(a)
    if n != 1 or a.ndim != 1:
        raise TypeError("numpy.diff is known here for vectors and n = 1")
    if prepend is not None:
        a = _concatenate([rounded(np.atleast_1d(prepend)), a])
    return a[1:] - a[:-1]


def _clip(a: Any, low: Any = None, high: Any = None) -> Rounded:
    a = a if low is None else np.maximum(a, low)
    return a if high is None else np.minimum(a, high)


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.where: _where, np.concatenate: _concatenate, np.diff: _diff, np.clip: _clip,
    np.broadcast_to: _of_both(np.broadcast_to), np.reshape: _of_both(np.reshape), np.copy: _of_both(np.copy),
    np.zeros_like: _like(np.zeros_like), np.ones_like: _like(np.ones_like), np.full_like: lambda a, fill, **_: (
        np.zeros_like(a.value) + fill if isinstance(a, Rounded) else np.zeros_like(a) + fill
    ),
    np.sum: lambda a, axis=None, keepdims=False: rounded(a).sum(axis=axis, keepdims=keepdims),
    np.max: lambda a, axis=None, keepdims=False: rounded(a).max(axis=axis, keepdims=keepdims),
    np.cumsum: lambda a, axis=0: np.add.accumulate(a, axis=axis),
    np.shape: lambda a: a.shape, np.size: lambda a: a.size, np.ndim: lambda a: a.ndim,
}  # fmt: skip


def known() -> list[str]:
    """The names of the functions that work on these numbers."""
    return sorted({f.__name__ for f in [*RULES["__call__"], *ON_VALUES, *FUNCTIONS]} | {"maximum.accumulate"})
