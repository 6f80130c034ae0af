"""Checks of arguments, made once; each message says what was wrong, the value received, and what to do."""

from __future__ import annotations

import contextlib
import difflib
import inspect
import itertools
import math
import numbers
import types
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

WIDTH = 60  # characters of a value in a message
LONGEST_NAME = 200
MANY_DIGITS = 40


# Names that hold a misspelt one are suggested where it has so many characters; shorter ones stand in many names.
HOLDS_FROM = 3


class Fault(ValueError):
    """The caller's own code returned something wrong: a run ends with this sentence as its message."""


# What Python or NumPy count among the integers.
NO_NUMBERS = (bool, np.bool, np.timedelta64)


def shown(value: Any, width: int = WIDTH) -> str:
    """The value for a message: at most `width` characters of its repr, on one line, control characters escaped."""
    if isinstance(value, int) and abs(value) >= 10**MANY_DIGITS:
        return f"an integer of about {int(value.bit_length() * math.log10(2)) + 1} digits"
    try:
        text = repr(value)
    except Exception:  # repr is anybody's code, and Python refuses to print long integers
        text = f"<{type(value).__name__}>"
    text = " ".join(text[: 10 * width].split())
    text = "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
    return text if len(text) <= width else f"{text[: width - 3]}..."


def nearest(name: Any, names: Iterable[str], most: int = 3, cutoff: float = 0.5) -> list[str]:
    """The names that a misspelt one may stand for: those that begin with it or hold it, else those that resemble it.

    Upper and lower case are not told apart. cutoff : the least resemblance, from 0 to 1, of difflib.
    """
    if not isinstance(name, str):
        return []
    folded, text = {known.lower(): known for known in names}, name.lower()
    close = sorted((key for key in folded if text in key), key=lambda key: not key.startswith(text))
    if len(text) < HOLDS_FROM or not close:
        close = difflib.get_close_matches(text, folded, n=most, cutoff=cutoff)
    return [folded[key] for key in close[:most]]


def did_you_mean(name: Any, names: Iterable[str]) -> str:
    """The question "did you mean a or b?" for messages; empty where no name is near."""
    close = nearest(name, names)
    return f"did you mean {' or '.join(close)}?" if close else ""


def as_float(value: Any) -> float | None:
    """A real number as float64; None for anything else: texts, bools, vectors, and what float64 does not reach."""
    if type(value) is float:
        return value
    if hasattr(value, "__array__") and not isinstance(value, np.ma.MaskedArray):  # of no dimension; tensors too
        with contextlib.suppress(Exception):  # anybody's code
            value = np.asarray(value)[()]
    if isinstance(value, NO_NUMBERS) or not isinstance(value, numbers.Real | Decimal):
        return None
    try:
        number = float(value)
    except (OverflowError, ValueError):  # an integer or a fraction beyond float64; a signalling NaN
        return None
    return None if math.isinf(number) and value != number else number  # a long double or a decimal beyond float64


def as_int(value: Any) -> int | None:
    """An integer; None for anything else, bools and whole floats too."""
    if isinstance(value, NO_NUMBERS) or not isinstance(value, numbers.Integral):
        return None
    return int(value)


def check_name(what: str, value: Any) -> None:
    """Raise ValueError unless the name is a printable text that is not empty."""
    if not (isinstance(value, str) and value.strip() and value.isprintable() and len(value) <= LONGEST_NAME):
        raise ValueError(
            f"{what} must be a printable text of 1 to {LONGEST_NAME} characters, got {shown(value)}; give it a name."
        )


def as_tuple(what: str, value: Any, of: str) -> tuple[Any, ...]:
    """A list or tuple as a tuple; ValueError for anything else, above all for a text, which has characters."""
    if isinstance(value, list | tuple):
        return tuple(value)
    hint = "a single one goes in brackets too" if value is not None else "leave it out where there are none"
    raise ValueError(f"{what} must be a tuple of {of}, got {shown(value)}; {hint}.")


def check_distinct(what: str, names: tuple[str, ...]) -> None:
    """Raise ValueError where a name stands twice."""
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{what} must have distinct names, got {', '.join(map(shown, twice))} twice; rename one.")


def check_function(what: str, function: Any) -> None:
    """Raise ValueError unless it is a plain Python function: not asynchronous, no generator, no method."""
    kind = type(function).__name__
    if isinstance(function, types.FunctionType):
        if not (inspect.iscoroutinefunction(function) or returns_a_generator(function)):
            return
        kind = "an asynchronous function" if inspect.iscoroutinefunction(function) else "a generator"
    elif isinstance(getattr(function, "py_func", None), types.FunctionType):
        kind = "a function that numba.njit has compiled already; leave @njit out"
    raise ValueError(f"{what} takes a plain Python function, written with def, got {shown(function)}: {kind}.")


def check_callable(what: str, function: Any, takes: str) -> None:
    """Raise ValueError unless it can be called and then returns its result, not a promise of one."""
    promises = inspect.iscoroutinefunction(function) or returns_a_generator(function)
    if promises or not callable(function):
        raise ValueError(f"{what} must be a function {takes}, got {shown(function)}.")


def returns_a_generator(function: Any) -> bool:
    """True for a generator or an asynchronous function: a call runs nothing of it."""
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


# Attributes of an optimum: the ends of intervals, and the ones that an optimum made by hand may leave out.
ENDS = (("f_lo", "f_hi"), ("D_lo", "D_hi"), ("D_inf_lo", "D_inf_hi"))
LEFT_OUT = {"D_inf_lo": 0.0, "D_inf_hi": math.inf, "D_estimate": math.inf, "radius": math.inf}


def check_interval(optimum: Any) -> None:
    """Raise ValueError unless the numbers are in order, the distances not negative, and x finite."""
    numbers_of: dict[str, float] = {}
    for name in (*itertools.chain(*ENDS), "D_estimate", "radius"):
        value: Any = getattr(optimum, name, LEFT_OUT.get(name))
        if as_float(value) is None or isinstance(value, Fraction | Decimal):
            if not hasattr(optimum, name):
                remedy = "give what problem.optimum() returns, or a problems.Optimum"
                raise ValueError(f"an optimum has f_lo, f_hi, D_lo, D_hi and x, got {shown(optimum)}; {remedy}.")
            raise ValueError(f"{name} of the optimum must be a number, got {shown(value)}; convert it with float().")
        numbers_of[name] = float(value)
    for lo, hi in ENDS:
        if not numbers_of[lo] <= numbers_of[hi]:
            raise ValueError(
                f"{lo} = {numbers_of[lo]!r} is not at most {hi} = {numbers_of[hi]!r}; they enclose one number."
            )
    for name in ("D_lo", "D_inf_lo", "D_estimate"):
        if not numbers_of[name] >= 0:
            raise ValueError(f"{name} of the optimum must not be negative, got {numbers_of[name]!r}: it is a distance.")
    if math.isnan(numbers_of["radius"]):
        raise ValueError("radius of the optimum must be that of a ball around x0, or math.inf, got nan.")
    if numbers_of["f_lo"] == math.inf or numbers_of["f_hi"] == -math.inf:
        raise ValueError(f"f_lo = {numbers_of['f_lo']!r}, f_hi = {numbers_of['f_hi']!r} enclose no finite minimum.")
    attained = getattr(optimum, "attained", True)
    if not (attained is None or isinstance(attained, bool | np.bool)):
        raise ValueError(f"attained of the optimum must be True, False or None, got {shown(attained)}.")
    x = getattr(optimum, "x", None)
    if not (isinstance(x, np.ndarray) and x.dtype.kind in "iuf" and np.isfinite(x).all()):
        raise ValueError(f"x of the optimum must be an array of finite numbers, got {shown(x)}.")
