"""The LLVM code of dadapt_convex.lanes, and Numba's type of eight lanes. Imported when a kernel is compiled."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types as t
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.imputils import lower_builtin, lower_cast
from numba.core.typeconv import Conversion
from numba.core.typing.templates import ConcreteTemplate, infer_global
from numba.core.typing.templates import signature as typed
from numba.extending import register_model

from dadapt_convex.lanes import LANES

# Sums and products may be fused, in no other order than written.
FLAGS = ("contract",)
# The bits of a float64: what is added to its exponent, and how many come after it.
BIAS, FRACTION = 1023, 52

DOUBLES, INTEGERS = ir.VectorType(ir.DoubleType(), LANES), ir.VectorType(ir.IntType(64), LANES)
WHICH = ir.IntType(32)  # of lanes, in shuffles
ALIGNED = ir.Constant(ir.IntType(32), 8)  # to single numbers


# ---------------------------------------------------------------------------------------------------------
# The type: arithmetic, and numbers that become lanes


class LanesType(t.Type):
    """Eight float64 in a vector register, or in two or four of a smaller machine."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")

    def can_convert_from(self, context: Any, other: Any) -> Any:
        return Conversion.safe if isinstance(other, t.Float | t.Integer) else None


@register_model(LanesType)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, DOUBLES)


LANES_TYPE = LanesType()


@lower_cast(t.Float, LanesType)
@lower_cast(t.Integer, LanesType)
def _cast(context: Any, builder: Any, given: Any, wanted: Any, value: Any) -> Any:
    return _spread(builder, context.cast(builder, value, given, t.float64))


def _teach(operation: Any, name: str) -> None:
    @infer_global(operation)
    class _Template(ConcreteTemplate):
        cases = (typed(LANES_TYPE, LANES_TYPE, LANES_TYPE),)

    @lower_builtin(operation, LanesType, LanesType)
    def _emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return getattr(builder, name)(*args, flags=FLAGS)


_teach(operator.add, "fadd")
_teach(operator.sub, "fsub")
_teach(operator.mul, "fmul")
_teach(operator.truediv, "fdiv")


# ---------------------------------------------------------------------------------------------------------
# Instructions, by the names of lanes.py

Emit = Callable[[Any, Any, Any, Any], Any]
TYPES: dict[str, str] = {}
CODE: dict[str, Emit] = {}


def instruction(words: str) -> Callable[[Emit], Emit]:
    """Decorate the writer of the code of lanes.<its name>; words: the types of result and arguments."""

    def declared(emit: Emit) -> Emit:
        TYPES[emit.__name__], CODE[emit.__name__] = words, emit
        return emit

    return declared


def signature(name: str, given: tuple[Any, ...]) -> Any:
    """The Numba signature; an array is of the type it is given."""
    known = {"lanes": LANES_TYPE, "eight": t.UniTuple(LANES_TYPE, LANES), "int": t.int64, "float": t.float64}
    result, *arguments = TYPES[name].split()
    chosen = [given[i] if word == "array" else known[word] for i, word in enumerate(arguments)]
    return known.get(result, t.void)(*chosen)


def _constants(kind: Any, values: Iterable[int]) -> Any:
    return ir.Constant(ir.VectorType(kind, LANES), list(values))


def _spread(builder: Any, scalar: Any) -> Any:
    """A vector of one scalar."""
    nothing = ir.Constant(ir.VectorType(scalar.type, LANES), ir.Undefined)
    first = builder.insert_element(nothing, scalar, ir.Constant(WHICH, 0))
    return builder.shuffle_vector(first, nothing, _constants(WHICH, [0] * LANES))


def _pointer(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    array = context.make_array(sig.args[0])(context, builder, args[0])
    return builder.bitcast(builder.gep(array.data, [args[1]]), DOUBLES.as_pointer())


def _mask(builder: Any, n: Any) -> Any:
    """Lanes below n."""
    return builder.icmp_signed("<", _constants(ir.IntType(64), range(LANES)), _spread(builder, n))


def _call(builder: Any, name: str, result: Any, args: list[Any]) -> Any:
    kind = ir.FunctionType(result, [value.type for value in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)


@instruction("lanes array int")
def load(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.load(_pointer(context, builder, sig, args), align=8)


@instruction("lanes array int int")
def load_first(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    rest = ir.Constant(DOUBLES, [0.0] * LANES)
    where = _pointer(context, builder, sig, args)
    return _call(builder, "llvm.masked.load.v8f64.p0", DOUBLES, [where, ALIGNED, _mask(builder, args[2]), rest])


@instruction("none array int lanes")
def store(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    builder.store(args[2], _pointer(context, builder, sig, args), align=8)
    return context.get_dummy_value()


@instruction("none array int int lanes")
def store_first(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    where, mask = _pointer(context, builder, sig, args), _mask(builder, args[2])
    _call(builder, "llvm.masked.store.v8f64.p0", ir.VoidType(), [args[3], where, ALIGNED, mask])
    return context.get_dummy_value()


@instruction("lanes float")
def splat(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return _spread(builder, args[0])


@instruction("lanes lanes lanes lanes lanes")
def where_greater(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", args[0], args[1]), args[2], args[3])


@instruction("lanes lanes lanes lanes lanes")
def where_equal(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.select(builder.fcmp_ordered("==", args[0], args[1]), args[2], args[3])


@instruction("lanes lanes")
def rint(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    # not by adding and subtracting 1.5 * 2^52, which a compiler may undo
    return _call(builder, "llvm.rint.v8f64", DOUBLES, list(args))


@instruction("lanes lanes")
def power_of_2(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    number = builder.fcmp_ordered("ord", args[0], args[0])  # converting NaN is undefined
    n = builder.fptosi(builder.select(number, args[0], ir.Constant(DOUBLES, [0.0] * LANES)), INTEGERS)
    shift = _constants(ir.IntType(64), [FRACTION] * LANES)
    return builder.bitcast(builder.shl(builder.add(n, _constants(ir.IntType(64), [BIAS] * LANES)), shift), DOUBLES)


@instruction("lanes lanes")
def exponent(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    shift = _constants(ir.IntType(64), [FRACTION] * LANES)
    biased = builder.lshr(builder.bitcast(args[0], INTEGERS), shift)
    return builder.sitofp(builder.sub(biased, _constants(ir.IntType(64), [BIAS] * LANES)), DOUBLES)


@instruction("eight" + LANES * " lanes")
def transposed(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    """Exchange the off-diagonal blocks of size 1, of 2, and of 4."""
    rows, lanes = list(args), range(LANES)
    for size in (1, 2, 4):
        low = _constants(WHICH, (LANES + c - size if c & size else c for c in lanes))
        high = _constants(WHICH, (LANES + c if c & size else c + size for c in lanes))
        for i in lanes:
            if not i & size:
                pair = rows[i], rows[i + size]
                rows[i], rows[i + size] = (builder.shuffle_vector(*pair, which) for which in (low, high))
    return cgutils.pack_array(builder, rows)
