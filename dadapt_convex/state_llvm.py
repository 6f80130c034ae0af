"""Named state and hyper-parameters in compiled steps: Numba's types of them. Imported when a step is compiled.

A state is the address of its matrix, that of its numbers, and p; reading a name is a load, writing it a store, and a
vector is an array without an owner, so that nothing counts references. Hyper-parameters are loaded once, as no step may
write to them.
"""

from __future__ import annotations

from typing import Any

from numba import types as t
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.errors import NumbaTypeError, TypingError
from numba.core.imputils import lower_cast, lower_getattr_generic, lower_setattr_generic
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.core.typing.templates import signature as typed
from numba.extending import register_model
from numba.np.arrayobj import array0d_to_scalar, make_array, populate_array

from dadapt_convex.hyper import absent as absent_hyper
from dadapt_convex.hyper import unwritten
from dadapt_convex.state import absent, unassigned

ROW = t.Array(t.float64, 1, "C")
ITEM = 8  # bytes of a float64


class StateType(t.Type):
    """The state with these vectors and scalars."""

    def __init__(self, vectors: tuple[str, ...], scalars: tuple[str, ...]) -> None:
        self.vectors, self.scalars = vectors, scalars
        super().__init__(name=f"State({','.join(vectors)};{','.join(scalars)})")


@register_model(StateType)
class _StateModel(models.StructModel):
    def __init__(self, manager: Any, kind: StateType) -> None:
        address = t.CPointer(t.float64)
        super().__init__(manager, kind, [("rows", address), ("numbers", address), ("p", t.intp)])


@infer_getattr
class _StateNames(AttributeTemplate):
    key = StateType

    def generic_resolve(self, kind: StateType, name: str) -> Any:
        if name in kind.vectors:
            return ROW
        if name not in kind.scalars:
            raise TypingError(absent(name, (*kind.vectors, *kind.scalars)))
        return t.float64


def _scalar(context: Any, builder: Any, kind: StateType, state: Any, name: str) -> Any:
    """The address of a number."""
    view = cgutils.create_struct_proxy(kind)(context, builder, value=state)
    return builder.gep(view.numbers, [context.get_constant(t.intp, kind.scalars.index(name))])


@lower_getattr_generic(StateType)
def _read(context: Any, builder: Any, kind: StateType, state: Any, name: str) -> Any:
    if name in kind.scalars:
        return builder.load(_scalar(context, builder, kind, state, name))
    view = cgutils.create_struct_proxy(kind)(context, builder, value=state)
    first = builder.mul(view.p, context.get_constant(t.intp, kind.vectors.index(name)))
    row, item = make_array(ROW)(context, builder), context.get_constant(t.intp, ITEM)
    populate_array(
        row, data=builder.gep(view.rows, [first]), shape=[view.p], strides=[item], itemsize=item, meminfo=None
    )
    return row._getvalue()


@lower_setattr_generic(StateType)
def _write(context: Any, builder: Any, sig: Any, args: Any, name: str) -> None:
    kind = sig.args[0]
    if name not in kind.scalars:
        raise TypeError(unassigned(name))
    builder.store(args[1], _scalar(context, builder, kind, args[0], name))


@lower_cast(t.Array, t.float64)
def _array_as_number(context: Any, builder: Any, given: Any, wanted: Any, value: Any) -> Any:
    """Numba's cast, which would take the first entry where a step assigns a whole array to a number of the state."""
    if given.ndim:
        raise NumbaTypeError("a number of the state is set to an array; set it to a number.")
    return array0d_to_scalar(context, builder, given, wanted, value)


class HyperType(t.Type):
    """The hyper-parameters with this layout; see dadapt_convex.hyper.Hyper.layout."""

    def __init__(self, layout: tuple[tuple[str, str, int, int], ...]) -> None:
        self.values = {name: (what, at, option) for name, what, at, option in layout}
        self.width = 1 + max((at + (what == "pair") for what, at, _ in self.values.values()), default=-1)
        super().__init__(name=f"Hyper({layout})")


@register_model(HyperType)
class _HyperModel(models.StructModel):
    def __init__(self, manager: Any, kind: HyperType) -> None:
        numbers: list[tuple[str, Any]] = [(f"at{i}", t.float64) for i in range(kind.width)]
        super().__init__(manager, kind, numbers or [("nothing", t.int8)])


HYPER_VALUES = {"number": t.float64, "flag": t.boolean, "option": t.boolean, "pair": t.UniTuple(t.float64, 2)}


@infer_getattr
class _HyperNames(AttributeTemplate):
    key = HyperType

    def generic_resolve(self, kind: HyperType, name: str) -> Any:
        if name not in kind.values:
            raise TypingError(absent_hyper(name, kind.values))
        return HYPER_VALUES[kind.values[name][0]]


@lower_getattr_generic(HyperType)
def _read_hyper(context: Any, builder: Any, kind: HyperType, hyper: Any, name: str) -> Any:
    what, at, option = kind.values[name]
    view = cgutils.create_struct_proxy(kind)(context, builder, value=hyper)
    number = getattr(view, f"at{at}")
    if what == "pair":
        return context.make_tuple(builder, HYPER_VALUES[what], (number, getattr(view, f"at{at + 1}")))
    if what == "flag":
        return builder.fcmp_unordered("!=", number, context.get_constant(t.float64, 0.0))
    if what == "option":
        return builder.fcmp_ordered("==", number, context.get_constant(t.float64, float(option)))
    return number


@lower_setattr_generic(HyperType)
def _write_hyper(context: Any, builder: Any, sig: Any, args: Any, name: str) -> None:
    raise TypeError(unwritten(name))


# ---------------------------------------------------------------------------------------------------------
# From arrays to views


def state_view(layout: Any, vectors: Any, scalars: Any) -> tuple[Any, Any]:
    """(signature, code) of (vectors, scalars) -> state."""
    kind = StateType(*layout)

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        rows, numbers = (make_array(k)(context, builder, value=v) for k, v in zip(sig.args, args, strict=True))
        view = cgutils.create_struct_proxy(kind)(context, builder)
        view.rows, view.numbers = rows.data, numbers.data
        view.p = cgutils.unpack_tuple(builder, rows.shape)[1]
        return view._getvalue()

    return typed(kind, vectors, scalars), code


def numbers_view(layout: Any, scalars: Any) -> tuple[Any, Any]:
    """(signature, code) of (scalars) -> a state without vectors."""
    kind = StateType(*layout)

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        view = cgutils.create_struct_proxy(kind)(context, builder)
        view.numbers = make_array(sig.args[0])(context, builder, value=args[0]).data
        return view._getvalue()

    return typed(kind, scalars), code


def borrowed(books: Any) -> tuple[Any, Any]:
    """(signature, code) of (named tuple) -> a named tuple whose arrays have no owner, and cost nothing to hand on."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        members = []
        for i, kind in enumerate(books.types):
            member = builder.extract_value(args[0], i)
            if isinstance(kind, t.Array):
                array = make_array(kind)(context, builder, value=member)
                array.meminfo = cgutils.get_null_value(array.meminfo.type)
                array.parent = cgutils.get_null_value(array.parent.type)
                member = array._getvalue()
            members.append(member)
        return context.make_tuple(builder, books, members)

    return typed(books, books), code


def hyper_view(layout: Any, hyper: Any) -> tuple[Any, Any]:
    """(signature, code) of (hyper) -> named hyper-parameters."""
    kind = HyperType(layout)

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        numbers = make_array(sig.args[0])(context, builder, value=args[0])
        view = cgutils.create_struct_proxy(kind)(context, builder)
        for i in range(kind.width):
            place = builder.gep(numbers.data, [context.get_constant(t.intp, i)])
            setattr(view, f"at{i}", builder.load(place))
        return view._getvalue()

    return typed(kind, hyper), code
