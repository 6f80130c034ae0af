"""The state of a method by name: a method declares it once, and its step reads and writes it.

    class State(dc.State):
        x0 = dc.Vector("the starting point")
        s = dc.Vector("sum_{i<=k} d_i g_i")
        d = dc.Scalar("the lower bound on D", start="d0")

    @dc.step(State, Hyper)
    def my_method(k, f, g2, g, x, x_next, state, hyper):
        ...
        state.d = max(state.d, d_hat)

A step is compiled with the one signature of dadapt_convex.oracle, whatever its state: there the state is the rows of a
matrix and the entries of a vector, and names become addresses (state_llvm.py), at no cost. In plain Python the step
runs on numbers of any type that knows arithmetic: floats, or balls.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Self, overload

import numpy as np

from dadapt_convex.checks import Fault, as_float, check_function, did_you_mean, shown
from dadapt_convex.hyper import Flag, Hyper, Real, Scheduled, declared
from dadapt_convex.oracle import FASTMATH, Helper, Instruction, Kernel
from dadapt_convex.transitions import place

Start = float | str | Callable[[Any], Any]


def absent(name: str, names: Iterable[str]) -> str:
    """The sentence for a name that a step reads or writes and that is none of the state's."""
    names = list(names)
    hint = did_you_mean(name, names)
    return f"the state has no {name!r}; {f'{hint} It has' if hint else 'it has'} {', '.join(names) or 'nothing'}."


def unassigned(name: str) -> str:
    """The sentence for a vector that a step assigns to."""
    return f"the vector {name} of the state is written entry by entry, or as state.{name}[:]."


class Field:
    """A name of the state; see Vector and Scalar."""

    def __init__(self, meaning: str, start: Start = 0.0) -> None:
        if not isinstance(meaning, str):
            raise ValueError(f"the meaning of a name of the state must be a text, got {shown(meaning)}.")
        if not callable(start) and not isinstance(start, str) and (as_float(start) is None or start != start):
            raise ValueError(
                f"start must be a number, the name of a hyper-parameter, or a function of the hyper-parameters, "
                f"got {shown(start)}."
            )
        self.meaning, self.start, self.name = meaning, start, ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = self.name or name

    def starts(self, hyper: Hyper) -> Any:
        """The value before the first step."""
        if callable(self.start):
            return self.start(hyper)
        return getattr(hyper, self.start) if isinstance(self.start, str) else self.start


class Vector(Field):
    """(p,) numbers of the state. The vector x0 is the starting point.

    Parameters
    ----------
    meaning : str
        The formula, in one line.
    start : float, str or callable (hyper) -> float
        The value of every entry before the first step: a number, that of a hyper-parameter, or made from them.
    """

    @overload
    def __get__(self, state: None, owner: type) -> Vector: ...
    @overload
    def __get__(self, state: State, owner: type) -> Any: ...
    def __get__(self, state: State | None, owner: type) -> Any:
        return self if state is None else state.rows[state.vectors.index(self.name)]

    def __set__(self, state: State, value: Any) -> None:
        raise AttributeError(unassigned(self.name))


class Scalar(Field):
    """A number of the state, and a column of the trace unless its name begins with an underscore.

    Values after step k belong to the trace row k + 1, as gamma_{k+1}, d_{k+1}, s_{k+1} do in the papers. Its
    parameters are meaning and start, see Vector.
    """

    @overload
    def __get__(self, state: None, owner: type) -> Scalar: ...
    @overload
    def __get__(self, state: State, owner: type) -> Any: ...
    def __get__(self, state: State | None, owner: type) -> Any:
        return self if state is None else state.numbers[state.scalars.index(self.name)]

    def __set__(self, state: State, value: Any) -> None:
        state.numbers[state.scalars.index(self.name)] = value


class State:
    """Base of the state of a method; its names are those of its bases, then its own, in the order of their lines.

    rows : (len(vectors), p); numbers : (len(scalars),). Arrays, or sequences of any type of number.
    """

    fields: ClassVar[dict[str, Field]] = {}
    vectors: ClassVar[tuple[str, ...]] = ()
    scalars: ClassVar[tuple[str, ...]] = ()

    __slots__ = ("numbers", "rows")
    rows: Any
    numbers: Any

    def __init_subclass__(cls) -> None:
        found = declared(cls, State, Field, "dc.Vector or dc.Scalar")
        for name, value in found.items():
            if name != value.name:
                kind = f"dc.{type(value).__name__}"
                raise ValueError(
                    f"{cls.__qualname__}: {value.name} and {name} are one {kind}; write {kind}(...) for each of them."
                )
        if taken := sorted(set(found) & set(dir(State))):
            raise ValueError(f"{cls.__qualname__}: {', '.join(taken)} means something else here; rename it.")
        first = found.get("x0", Vector(""))
        if not isinstance(first, Vector) or first.start != 0.0:
            raise ValueError(f"{cls.__qualname__}: x0 is where the run starts, a dc.Vector without start=...")
        cls.fields = found
        cls.vectors = tuple(name for name, value in found.items() if isinstance(value, Vector))
        cls.scalars = tuple(name for name, value in found.items() if isinstance(value, Scalar))

    def __init__(self, rows: Any, numbers: Any) -> None:
        object.__setattr__(self, "rows", rows)
        object.__setattr__(self, "numbers", numbers)

    @classmethod
    def of_numbers(cls, numbers: Any) -> Self:
        """A state without vectors."""
        return cls((), numbers)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(absent(name, self.fields))

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.fields:
            raise AttributeError(absent(name, self.fields))
        object.__setattr__(self, name, value)


@dataclass(frozen=True)
class Begin:
    """(vectors, scalars, hyper) -> None: write the state before the first step; the row x0 is the driver's."""

    state: type[State]
    hyper: type[Hyper]

    def __call__(self, vectors: Any, scalars: Any, hyper: Any) -> None:
        """Write every name but x0; Fault where a start of the user's fails, or is no number."""
        state, values = self.state(vectors, scalars), self.hyper(hyper)
        for name, field in self.state.fields.items():
            if name == "x0":
                continue
            try:
                value = field.starts(values)
                if value is None or np.any(value != value):
                    raise ValueError("it is None" if value is None else "it is NaN")
                if isinstance(field, Scalar):
                    setattr(state, name, value)
                else:
                    getattr(state, name)[:] = value
            except Exception as error:
                if not callable(field.start):
                    raise
                what = " ".join(f"{type(error).__name__}: {error}".split())
                raise Fault(f"the start of {name} fails: {what} ({place(error, field.start)})") from error


class View(Instruction):
    """(arrays) -> the named view of them: a class in Python, addresses in compiled functions."""

    def __init__(self, kind: type[State] | type[Hyper]) -> None:
        super().__init__(kind, "dadapt_convex.state_llvm")
        self.kind = kind

    def _parts(self) -> Any:
        return View, (self.kind,)

    @property
    def layout(self) -> tuple[Any, ...]:
        """Everything that the machine code depends on."""
        return (self.kind.vectors, self.kind.scalars) if issubclass(self.kind, State) else self.kind.layout()

    def coded(self, code: Any, given: tuple[Any, ...]) -> tuple[Any, Any]:
        return (code.state_view if issubclass(self.kind, State) else code.hyper_view)(self.layout, *given)

    @property
    def source(self) -> bytes:
        """The source of the instruction, and the layout."""
        return super().source + repr(self.layout).encode()


class NumbersView(View):
    """(numbers) -> a state that has no vectors."""

    def __init__(self, kind: type[State]) -> None:
        super().__init__(kind)
        self.python = kind.of_numbers

    def _parts(self) -> Any:
        return NumbersView, (self.kind,)

    def coded(self, code: Any, given: tuple[Any, ...]) -> tuple[Any, Any]:
        return code.numbers_view(self.layout, *given)


class Borrowed(Instruction):
    """A named tuple of arrays and numbers whose arrays, once compiled, have no owner: nothing counts references.

    Loops borrow their arguments first; their callers keep the arrays.
    """

    def __init__(self) -> None:
        super().__init__(_itself, "dadapt_convex.state_llvm")

    def _parts(self) -> Any:
        return Borrowed, ()

    def coded(self, code: Any, given: tuple[Any, ...]) -> tuple[Any, Any]:
        return code.borrowed(*given)


def _itself(books: Any) -> Any:
    return books


borrowed = Borrowed()


class Step(Kernel):
    """A step that reads and writes its state by name; its attribute python takes arrays in place of the names."""

    def __init__(self, body: Callable[..., Any], state: type[State], hyper: type[Hyper]) -> None:
        check_function("dc.step", body)
        for name, field in state.fields.items():
            if isinstance(field.start, str) and not isinstance(
                getattr(hyper, field.start, None), Real | Flag | Scheduled
            ):
                numbers = [p.name for p in hyper.parameters if isinstance(p, Real | Flag | Scheduled)]
                hint = did_you_mean(field.start, numbers)
                raise ValueError(
                    f"{state.__qualname__}: {name} starts at {field.start!r}, which is no number among the "
                    f"hyper-parameters; {f'{hint} There are' if hint else 'there are'} {', '.join(numbers) or 'none'}."
                )
        self.body, self.state, self.hyper = body, state, hyper
        super().__init__(_unnamed(body, state, hyper), "step", FASTMATH)

    @property
    def written(self) -> Callable[..., Any]:
        return self.body

    def _parts(self) -> Any:
        return Step, (self.body, self.state, self.hyper)


def _unnamed(body: Callable[..., Any], state: type[State], hyper: type[Hyper]) -> Callable[..., Any]:
    """The step with the arrays of dadapt_convex.oracle in place of the names."""
    named, state_of, hyper_of = Helper(body), View(state), View(hyper)

    def step(k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, vectors: Any, scalars: Any, hyper: Any) -> Any:
        return named(k, f, g2, g, x, x_next, state_of(vectors, scalars), hyper_of(hyper))

    takes = inspect.signature(step)  # Numba would ask the function that is wrapped
    functools.update_wrapper(step, body).__signature__ = takes  # type: ignore[attr-defined]
    return step


@overload
def step(state: type[State], hyper: type[Hyper] = ..., /) -> Callable[[Callable[..., Any]], Step]: ...
@overload
def step(state: Callable[..., float], /) -> Kernel: ...
def step(state: Any, hyper: Any = Hyper, /) -> Any:
    """Decorate the step of a method.

        @dc.step(State, Hyper)
        def name(k, f, g2, g, x, x_next, state, hyper): ...

    With @dc.step alone the step takes the arrays themselves, (k, f, g2, g, x, x_next, vectors, scalars, hyper).
    """
    if not (isinstance(state, type) and issubclass(state, State)):
        return Kernel(state, "step", FASTMATH)
    if not (isinstance(hyper, type) and issubclass(hyper, Hyper)):
        raise ValueError(f"the second argument of dc.step must be a class made from dc.Hyper, got {shown(hyper)}.")

    def decorate(body: Callable[..., Any]) -> Step:
        return Step(body, state, hyper)

    return decorate
