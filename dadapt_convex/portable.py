"""Functions, and values that hold functions, as bytes for other processes.

pickle sends a function by its name, and refuses lambdas, local functions and those whose name a decorator gave to
something else. Here a value that a module holds travels by its name and arrives as that very object; every other one
travels by value, through cloudpickle. Both work with every protocol of pickle, and with joblib and multiprocessing.
"""

from __future__ import annotations

import importlib
import pickle
import sys
from collections.abc import Callable, Mapping
from typing import Any, Self
from weakref import WeakValueDictionary

# Values by the bytes they were sent as: a value that comes back to its process is the value that was sent.
_sent: WeakValueDictionary[bytes, Any] = WeakValueDictionary()


class Portable:
    """Base of immutable values that hold functions: kernels, methods, theorems, schedules."""

    def _function(self) -> Any:
        """The function (or class) in whose module this value is looked for."""
        raise NotImplementedError

    def _parts(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """A function and its arguments that make this value again."""
        return _filled, (type(self), dict(vars(self)))

    def __reduce__(self) -> Any:
        place = place_of(self, getattr(self._function(), "__module__", None))
        if place is not None:
            return _named, place
        payload = dumps(self._parts())
        _sent[payload] = self
        return _valued, (payload,)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self


def place_of(value: Any, module: str | None) -> tuple[str, str, int] | None:
    """(module, name, index in the tuple of this name or -1) where another process finds the value too; else None."""
    import cloudpickle

    by_value = {"__main__", *cloudpickle.list_registry_pickle_by_value()}
    if module is None or module not in sys.modules or module in by_value:
        return None
    for name, held in vars(sys.modules[module]).items():
        if held is value:
            return module, name, -1
        if isinstance(held, tuple):
            for index, item in enumerate(held):
                if item is value:
                    return module, name, index
    return None


def dumps(value: Any) -> bytes:
    """The value as bytes, functions that no module holds included; PicklingError with a sentence."""
    import cloudpickle

    try:
        return cloudpickle.dumps(value)
    except Exception as error:  # __reduce__ and the like are anybody's code
        what = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise pickle.PicklingError(
            f"a function cannot be sent to another process, as it refers to something that cannot ({what}); let the "
            f"function make that itself."
        ) from error


def state_with(value: Any, *functions: str) -> dict[str, Any]:
    """The attributes of a value for __getstate__, those named as bytes."""
    return {k: Bytes(dumps(v)) if k in functions and v is not None else v for k, v in vars(value).items()}


def state_from(state: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that state_with took apart, for __setstate__."""
    return {k: pickle.loads(v) if isinstance(v, Bytes) else v for k, v in state.items()}


class Bytes(bytes):
    """A function as bytes."""


def _named(module: str, name: str, index: int) -> Any:
    held = getattr(importlib.import_module(module), name)
    return held if index < 0 else held[index]


def _valued(payload: bytes) -> Any:
    if payload not in _sent:
        make, arguments = pickle.loads(payload)
        value = make(*arguments)
        return _sent.setdefault(payload, value)
    return _sent[payload]


def _filled(kind: type[Any], state: Mapping[str, Any]) -> Any:
    value = object.__new__(kind)
    value.__dict__.update(state)
    return value
