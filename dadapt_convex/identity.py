"""The identity of a problem: its function and its starting point, for runs and optima to carry.

An identity is 64 hexadecimal digits of SHA-256: 32 of the function, 32 of the starting point. Names do not enter.
"""

from __future__ import annotations

import functools
import hashlib
import io
import secrets
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from dadapt_convex.checks import check_interval, shown

HALF = 32


def identity(function: str, x0: Any) -> str:
    """The identity of the function with this hash, from this starting point."""
    start = np.asarray(x0, dtype=np.float64) + 0.0  # -0.0 and 0.0 are one point
    return function[:HALF] + digest(start)[:HALF]


def digest(*parts: Any) -> str:
    """SHA-256 of texts and arrays."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            found.update(f"{part.shape} {part.dtype.str}".encode())
            found.update(np.ascontiguousarray(part).data)
        else:
            found.update(f"{part!r} ".encode())
    return found.hexdigest()


def refuse_other_optimum(optimum: Any, problem: str, own: str, p: int) -> None:
    """Raise ValueError unless this is an optimum of the problem with this name, identity and number of unknowns.

    An optimum without an identity, made by hand, is taken at its word if its x has p entries.
    """
    check_interval(optimum)
    theirs, name = getattr(optimum, "identity", ""), getattr(optimum, "problem", "")
    if not (isinstance(theirs, str) and isinstance(name, str)):
        raise ValueError(f"problem and identity of the optimum must be texts, got {shown(name)} and {shown(theirs)}.")
    of = f"the optimum is that of {name or 'another problem'}, the problem here is {problem}"
    remedy = "give the optimum() of the problem itself."
    if theirs and own and theirs != own:
        if theirs[:HALF] == own[:HALF]:
            raise ValueError(f"{of} from another x0, and D is the distance from there; {remedy}")
        also = " and another x0" if theirs[HALF:] != own[HALF:] else ""
        raise ValueError(f"{of}: a function of other data or parameters{also}; {remedy}")
    if np.shape(optimum.x) != (p,):
        raise ValueError(f"{of}: its x has shape {np.shape(optimum.x)}, the iterates have ({p},); {remedy}")


def of_function(function: Callable[..., Any]) -> str:
    """A hash of a Python function: its code, and all that it refers to.

    Functions of other modules count by their names. Where something that it refers to cannot be pickled, the hash is
    random: the function then equals itself alone.
    """
    found, seen = hashlib.sha256(), set[int]()
    inner = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    own = {"__main__", getattr(inner, "__module__", None)}

    def visit(value: Any) -> None:
        for name in ("python", "py_func"):  # compiled functions, of this package and of Numba
            if isinstance(python := getattr(value, name, None), types.FunctionType):
                value = python
        if isinstance(value, types.FunctionType):
            found.update(f"{value.__module__} {value.__qualname__}".encode())
            elsewhere = value.__module__ not in own and "<" not in value.__qualname__  # no lambda, no local function
            if not elsewhere and id(value) not in seen:
                seen.add(id(value))
                found.update(code_bytes(value.__code__))
                cells = [cell.cell_contents for cell in value.__closure__ or ()]
                named = {k: value.__globals__.get(k) for k in sorted(global_names(value.__code__))}
                for part in (value.__defaults__, value.__kwdefaults__, cells, named):
                    visit(part)
        elif isinstance(value, types.MethodType):
            visit(value.__func__)
            visit(value.__self__)
        elif isinstance(value, functools.partial):
            visit([value.func, value.args, value.keywords])
        elif isinstance(value, list | tuple):
            found.update(f"{len(value)} of {type(value).__name__}".encode())
            for item in value:
                visit(item)
        elif isinstance(value, dict):
            visit([item for pair in value.items() for item in pair])
        elif isinstance(value, types.ModuleType):
            found.update(value.__name__.encode())
        else:
            _dump(value, found)

    try:
        visit(function)
    except Exception:  # __reduce__ and the like are anybody's code
        return secrets.token_hex(HALF)
    return found.hexdigest()


def _dump(value: Any, found: Any) -> None:
    """Pickle into the hash; classes and functions of scripts are taken by value."""
    import cloudpickle

    class Hashed(io.RawIOBase):
        def write(self, part: Any) -> int:
            found.update(part)
            return len(part)

    cloudpickle.Pickler(Hashed(), protocol=5, buffer_callback=lambda array: found.update(array.raw())).dump(value)


def global_names(code: types.CodeType) -> set[str]:
    """The names that code, and code within it, looks up."""
    inner = (c for c in code.co_consts if isinstance(c, types.CodeType))
    return set(code.co_names).union(*(global_names(c) for c in inner))


def code_bytes(code: types.CodeType) -> bytes:
    """The content of a code object, without the file and the lines that it stands in."""

    def constant(value: Any) -> bytes:
        if isinstance(value, types.CodeType):
            return code_bytes(value)
        return repr(sorted(map(repr, value)) if isinstance(value, frozenset) else value).encode()

    return b"|".join([code.co_code, repr((code.co_names, code.co_varnames)).encode(), *map(constant, code.co_consts)])
