"""Arrays and numbers from callers: copied as real numbers, or refused in a sentence that names the fault."""

from __future__ import annotations

import math
import numbers
from decimal import Decimal
from typing import Any

import numpy as np

from dadapt_convex.oracle import Vector, as_float, shown

# Integers beyond it are not all float64 numbers.
LARGEST_INTEGER = 2**53
# Unknowns: a method keeps ten vectors of this length, or 8 GB.
LARGEST_SIZE = 10**8


def owned(name: str, value: Any) -> Vector:
    """The numbers as a read-only float64 array that shares no memory with `value`; ValueError as in `real`."""
    array = real(name, value)
    # a list has been copied by now, and any other thing may still hold the memory
    mine = np.array(array, dtype=np.float64, order="C", copy=None if isinstance(value, list | tuple) else True)
    mine.setflags(write=False)
    return mine


def real(name: str, value: Any) -> Any:
    """The numbers as an array of floats, integers or bools, which may share memory with `value`.

    Raises ValueError for masked and missing entries, for whatever is no real number (complex numbers, strings, dates,
    records), and for integers that float64 would round.
    """
    if hidden := _masked(value):
        entries = "masked entry" if hidden == 1 else "masked entries"
        raise ValueError(f"{name} has {hidden} {entries}; remove these rows, or fill them in with .filled(...).")
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must hold real numbers, in rows of one length, got {shown(value)}.") from None
    kind = array.dtype.kind
    if kind == "O":
        array = _from_objects(name, array)
    elif kind not in "biuf":
        first = f", the first entry {shown(str(array.ravel()[0]))}" if array.size else ""
        what = "complex ones" if kind == "c" else f"dtype {array.dtype}"
        raise ValueError(f"{name} must hold real numbers, got {what}{first}; convert them to float64 first.")
    elif kind in "iu" and largest(array) >= LARGEST_INTEGER:
        large = array[(array > LARGEST_INTEGER) | (array < -LARGEST_INTEGER)]
        if large.size:
            raise _rounded(name, large.size, int(large[0]))
    if array.dtype.itemsize > 8:  # long double, which may be beyond float64: then infinite, and refused as such
        with np.errstate(over="ignore"):
            array = array.astype(np.float64)
    return array


def number(name: str, value: Any) -> float:
    """One real number, also from an array without axes; ValueError for anything else, True and False too."""
    found = as_float(value)
    if found is None:
        raise ValueError(f"{name} must be a number within float64, got {shown(value)}.")
    return found


def at_least_1(name: str, value: Any) -> int:
    """An integer of at least 1, also one written as a float; ValueError for any other value."""
    found = number(name, value)
    if not found.is_integer() or found < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {shown(value)}.")
    return int(found)


def check_size(what: str, size: int) -> None:
    """Raise ValueError for more unknowns than LARGEST_SIZE, before memory is asked for."""
    if size > LARGEST_SIZE:
        raise ValueError(
            f"{what} asks for {size:.15g} unknowns, and each vector of a run would take {8 * size / 1e9:.3g} GB; at "
            f"most {LARGEST_SIZE} are taken."
        )


def largest(array: Any) -> float:
    """The largest absolute entry; 0 where there is none."""
    return max(float(array.max(initial=0)), -float(array.min(initial=0)))


def _masked(value: Any) -> int:
    """Masked entries, also of masked arrays in a list, which NumPy would unmask."""
    if isinstance(value, list | tuple):
        return sum(_masked(part) for part in value if isinstance(part, list | tuple | np.ma.MaskedArray))
    return int(np.count_nonzero(np.ma.getmaskarray(value))) if isinstance(value, np.ma.MaskedArray) else 0


def _from_objects(name: str, array: Any) -> Vector:
    """Python's numbers as float64: pandas gives columns of several types so, and those that allow missing values."""
    flat = array.ravel().tolist()
    wrong = [v for v in flat if not isinstance(v, numbers.Real | Decimal | np.bool_)]
    if wrong and array.ndim == 0:
        raise ValueError(f"{name} must be an array of real numbers, got {shown(wrong[0])}.")
    if wrong:
        are = "entry that is" if len(wrong) == 1 else "entries that are"
        raise ValueError(
            f"{name} must hold real numbers, got {len(wrong)} {are} none, the first {shown(wrong[0])}; remove these "
            "rows, or put numbers in their place."
        )
    large = [v for v in flat if isinstance(v, numbers.Integral) and abs(int(v)) > LARGEST_INTEGER]
    if large:
        raise _rounded(name, len(large), int(large[0]))
    try:
        return np.array([float(v) for v in flat], dtype=np.float64).reshape(array.shape)
    except (OverflowError, ValueError) as error:  # a fraction beyond float64, a signalling NaN
        raise ValueError(f"{name} must hold finite numbers: {error}.") from None


def _rounded(name: str, count: int, first: int) -> ValueError:
    shown = str(first) if abs(first) < 10**25 else f"one of {math.log10(abs(first)):.0f} digits"
    return ValueError(
        f"{name} has {count} integer{'s' * (count != 1)} beyond 2**53, the first {shown}, which float64 would round; "
        "convert them to float64 first if that is meant."
    )
