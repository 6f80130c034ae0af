"""Certificates: numbers and arrays from which the bounds of an optimum follow by evaluation alone, without a solver.

A kind of certificate is a frozen dataclass derived from Certificate. A file with one, anywhere below this folder, is
enough: nothing else lists it. It declares

    kind         the word for it in tables; classes for different losses share one where they prove the same
    arithmetic   what its proof is computed in, which decides how closely a second proof must agree with the first
    serves       whether it can prove anything of this function, as of_models says
    prove        every bound, from the problem and the fields alone

The fields are what is stored, and their types say what each must be:

    x: Point                                         float64, finite, an entry for each unknown
    u: Annotated[Floats, Shape("m")]                 an entry for each row
    rows: Annotated[Indices, Shape("r", below="m")]  different rows; every field of size r has as many entries
    nearest: Projection | None = None                another dataclass of such fields, or absent

Sizes are m rows, with one kink in each if the loss is made of kinks, p unknowns, or a name for one that several
fields share. check() compares all fields with these types, in this one place; parts() and made() take a certificate
apart and put it together again for every file that holds one. Where a file says something else, they raise a ValueError
that says what.

Solvers suggest the fields; the numbers of an optimum are those that prove() returns for them (Proof.optimum), and
check.py compares: load, prove, compare.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import math
import pkgutil
import types
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, get_args, get_origin, get_type_hints

import numpy as np

from problems.optimum.arithmetic.extended import Floats
from problems.optimum.dual import Kinked, kinked
from problems.problem import LinearModel, Optimum, Problem


class Shape(NamedTuple):
    """A vector of `size` entries: finite if they are floats; different and from 0 to below - 1 where that is given."""

    size: str
    below: str = ""


Serves = Callable[[LinearModel | None], bool]
Point = Annotated[Floats, Shape("p")]


class Proof(NamedTuple):
    """Proved bounds: f_lo <= inf f <= f_hi, and on the distance of x0 from the minimisers in both norms.

    attained as in Optimum. D_estimate and notes prove nothing; see Optimum.
    """

    f_lo: float
    f_hi: float
    D_lo: float = 0.0
    D_hi: float = math.inf
    D_inf_lo: float = 0.0
    D_inf_hi: float = math.inf
    attained: bool | None = None
    D_estimate: float = math.inf
    notes: tuple[str, ...] = ()

    def optimum(self, certificate: Certificate, x: Any, *notes: str) -> Optimum:
        """The optimum with these numbers, at the point x, and more notes."""
        numbers = self._replace(notes=(*notes, *self.notes))._asdict()
        return Optimum(x=x, certificate=certificate, radius=certificate.radius, **numbers)


def narrow(found: Any, width: float) -> bool:
    """Whether the bounds f_lo and f_hi of a proof or an optimum are this close, relative to max(1, f)."""
    return math.isfinite(found.f_hi) and bool(found.f_hi - found.f_lo <= width * max(1.0, found.f_hi))


# The losses are not negative.
NOTHING = Proof(0.0, math.inf)


@dataclass(frozen=True, kw_only=True, eq=False)
class Certificate(ABC):
    """Base class of all certificates, as the head of this file describes them.

    arithmetic: "rational": the numbers are the same on every machine; "extended": sums in long double, whose order is
    fixed; "norms": norms and eigenvalues, whose last digits depend on the order of sums in BLAS.
    """

    kind: ClassVar[str]
    arithmetic: ClassVar[Literal["rational", "extended", "norms"]]
    serves: ClassVar[Serves]  # whether it can prove anything of this linear model, or of another function (None)
    radius = math.inf  # of the ball around x0 over which it bounds the minimum; infinite for the whole space

    @abstractmethod
    def prove(self, problem: Problem) -> Proof:
        """The bounds that the fields prove, without a solver; bounds that they do not prove are trivial.

        ValueError where the fields contradict each other or the problem.
        """

    def check(self, problem: Problem) -> None:
        """Raise ValueError unless every field fits its type for this problem, and the kind serves for it."""
        model = problem.model
        if not type(self).serves(model):
            function = "what is no linear model" if model is None else f"{model.loss} with l2 = {model.l2!r}"
            raise ValueError(f"a certificate of kind {self.kind!r} proves nothing for {function}")
        _check(self, self.sizes(problem), "")

    def sizes(self, problem: Problem) -> dict[str, int]:
        """The sizes, named in the types of fields, that the problem determines; m is the number of rows or of kinks."""
        model = problem.model
        m = problem.m if model is None or model.law.kinks is None else kinked(model).b.size
        return {"m": m, "p": problem.p}


def of_models(which: Callable[[LinearModel], bool], penalty: bool | None = None) -> Serves:
    """The `serves` of a kind for linear models of this kind: all of them, or those with l2 > 0 or l2 = 0 alone."""
    return staticmethod(lambda model: model is not None and which(model) and penalty in (None, model.l2 > 0))


def model_of(problem: Problem) -> LinearModel:
    """The problem's linear model, where the kind serves for linear models alone."""
    assert problem.model is not None
    return problem.model


def kinks_of(problem: Problem) -> Kinked:
    """The problem's model with one kink in each row, where the kind serves for losses made of kinks alone."""
    return kinked(model_of(problem))


def classes() -> dict[str, type[Certificate]]:
    """Every class of certificates by its name, from all files below this folder."""
    package = importlib.import_module(__name__.rpartition(".")[0])
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
    return {cls.__name__: cls for cls in _derived(Certificate) if not inspect.isabstract(cls)}


def _derived(cls: type) -> list[type]:
    below: list[type] = cls.__subclasses__()
    return [*below, *(deeper for one in below for deeper in _derived(one))]


def parts(certificate: Any, prefix: str = "") -> dict[str, Any]:
    """The fields that are present, by name; those of a dataclass within it as "name.field"."""
    found: dict[str, Any] = {}
    for field in fields(certificate):
        value = getattr(certificate, field.name)
        if is_dataclass(value):
            found |= parts(value, f"{prefix}{field.name}.")
        elif value is not None:
            found[prefix + field.name] = value
    return found


def made(name: str, entries: Mapping[str, Any]) -> Certificate:
    """The certificate of this class from its parts; ValueError where a name is unknown or a field is missing."""
    cls = classes().get(name)
    if cls is None:
        raise ValueError(f"there is no certificate {name!r}")
    return _made(cls, entries)


def _made(cls: Any, entries: Mapping[str, Any]) -> Any:
    values: dict[str, Any] = {}
    left = set(entries)
    for field, kind in _types(cls).items():
        if is_dataclass(kind.base):
            within = {k.removeprefix(f"{field}."): v for k, v in entries.items() if k.startswith(f"{field}.")}
            left -= {f"{field}.{k}" for k in within}
            if within:
                values[field] = _made(kind.base, within)
        elif field in entries:
            left.discard(field)
            values[field] = entries[field]
        if field not in values and not kind.optional:
            raise ValueError(f"it has no entry {field!r}")
    if left:
        raise ValueError(f"it has an entry {min(left)!r} too many")
    return cls(**values)


class _Type(NamedTuple):
    """The type of a field: a class, or the dtype and the shape of an array."""

    base: Any
    shape: Shape | None
    optional: bool


@functools.cache
def _types(cls: Any) -> dict[str, _Type]:
    hints = get_type_hints(cls, include_extras=True)
    found = {}
    for field in fields(cls):
        hint, shape = hints[field.name], None
        if isinstance(hint, types.UnionType) or type(None) in get_args(hint):
            (hint,) = (arg for arg in get_args(hint) if arg is not type(None))
        if get_origin(hint) is Annotated:
            array, shape = get_args(hint)
            hint = get_args(get_args(array)[1])[0]
        found[field.name] = _Type(hint, shape, field.default is not MISSING)
    return found


def _check(certificate: Any, sizes: dict[str, int], prefix: str) -> None:
    """Compare every field with its type; a dataclass within has sizes of its own, beside those of the problem."""
    own = dict(sizes)
    cls: Any = type(certificate)
    for field, kind in _types(cls).items():
        value, name = getattr(certificate, field), prefix + field
        if value is None and kind.optional:
            continue
        if kind.shape is not None:
            _check_array(name, value, kind.base, kind.shape, own)
        elif is_dataclass(value) and isinstance(value, kind.base):
            _check(value, sizes, f"{name}.")
        elif not isinstance(value, kind.base) or value != value:
            raise ValueError(f"{name} must be a {kind.base.__name__}, got {value!r:.60}")


def _check_array(name: str, value: Any, dtype: Any, shape: Shape, sizes: dict[str, int]) -> None:
    if not isinstance(value, np.ndarray) or value.ndim != 1 or value.dtype != dtype:
        raise ValueError(f"{name} must be a vector of numbers of type {np.dtype(dtype)}")
    if value.size != sizes.setdefault(shape.size, value.size):
        raise ValueError(f"{name} must hold {sizes[shape.size]} numbers, it holds {value.size}")
    if not np.all(np.isfinite(value)):
        raise ValueError(f"{name} must be finite")
    if shape.below:
        end = sizes[shape.below]
        if np.unique(value).size < value.size or np.any((value < 0) | (value >= end)):
            raise ValueError(f"{name} must hold different numbers from 0 to {end - 1}")
