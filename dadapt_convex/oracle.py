"""The one contract between methods and problems.

A problem hands a method an :class:`Oracle`; a method hands the driver a step. All of them are module-level
functions with one explicit signature each, compiled once and passed as first-class functions. The cost of compiling
is then (methods + problems), never their product, and the disk cache always hits:

    oracle(x, g, z, data) -> f              f(x); writes a subgradient to g and the margins A x to z
    value(z, x, data) -> f                  f from the margins z (and x, for what is not a function of A x)
    batch(x, g, data, order, begin, end, work) -> f
                                            the mean over the rows order[begin:end] (an empty order: rows begin, ...,
                                            end - 1) and its subgradient to g, unless g is empty; how many of the rows
                                            are predicted right to work[0]
    step(k, f, g2, g, x, x_next, vectors, scalars, hyper) -> w
                                            reads x_k, f = f(x_k), g = g_k, g2 = ||g_k||^2; writes x_{k+1};
                                            returns the weight of x_k, finite and >= 0; g, x and hyper are read-only

Nothing is compiled, and Numba is not imported, before a function is first called. A plain Python objective
takes the place of the compiled oracle through :attr:`Oracle.function`.

Compiled functions raise nothing: they return numbers, and the driver turns what is not finite into a status.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import inspect
import math
import types
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dadapt_convex.checks import Fault as Fault
from dadapt_convex.checks import as_float as as_float  # part of the contract: problems import these from here
from dadapt_convex.checks import as_int as as_int
from dadapt_convex.checks import check_callable as check_callable
from dadapt_convex.checks import check_function
from dadapt_convex.checks import check_interval as check_interval
from dadapt_convex.checks import check_name as check_name
from dadapt_convex.checks import nearest as nearest
from dadapt_convex.checks import shown as shown
from dadapt_convex.identity import HALF as HALF
from dadapt_convex.identity import code_bytes, digest, global_names, of_function
from dadapt_convex.identity import identity as identity
from dadapt_convex.kept_code import KeptCode, can_be_written, compiled_folder
from dadapt_convex.kept_code import cache_root as cache_root
from dadapt_convex.kept_code import expanded as expanded
from dadapt_convex.notice import notice as notice
from dadapt_convex.notice import say as say
from dadapt_convex.notice import say_once
from dadapt_convex.portable import Portable as Portable
from dadapt_convex.portable import place_of, state_from, state_with

Vector = NDArray[np.float64]
FunctionAndSubgradient = Callable[[Vector], tuple[float, Any]]

# 'nnan' and 'ninf' stay out: they would break isnan and isinf, on which the status "not finite" rests.
FASTMATH = frozenset({"contract", "reassoc", "nsz", "arcp"})
# Division by zero gives inf or nan, as in NumPy, and the status "not finite"; Numba's default raises an exception.
ERROR_MODEL = "numpy"
# Functions of these packages are trusted to stay within their arrays; all others are compiled with bounds checks.
TRUSTED = ("dadapt_convex", "problems", "experiments")


class Data(NamedTuple):
    """The data that a compiled oracle may read; a dense problem leaves the CSR fields empty and conversely.

    dense (m, p) float64; values (nnz,) float64, indices (nnz,) uint32, indptr (m + 1,) uint64: the CSR matrix
    (unsigned numbers spare Numba a test per element for indices that count from the end); b (m,) float64: labels
    or targets; params: the loss's own numbers, in the order its file states.
    """

    dense: Vector
    values: Vector
    indices: NDArray[np.uint32]
    indptr: NDArray[np.uint64]
    b: Vector
    params: Vector

    def __reduce__(self) -> Any:  # arrays that were pickled can be written to
        return _stored, tuple(self)


def _stored(dense: Any, values: Any, indices: Any, indptr: Any, b: Any, params: Any) -> Data:
    return pack(dense=dense, csr=(values, indices, indptr), b=b, params=params)


def pack(
    *,
    dense: Vector | None = None,
    csr: tuple[Any, Any, Any] | None = None,
    b: Any = (),
    params: Any = (),
) -> Data:
    """Bring arrays into the one layout that compiled oracles accept.

    C-contiguous, float64 (indices uint32, indptr uint64), and read-only, so that no kernel writes to the data.
    Nothing is copied that has this layout already.
    """
    if csr is not None and not (isinstance(csr, tuple) and len(csr) == 3):
        raise ValueError(f"csr must be the arrays (values, indices, indptr), got {shown(csr)}.")
    values, indices, indptr = csr if csr is not None else ((), (), ())
    return Data(
        dense=_read_only(np.zeros((0, 0)) if dense is None else dense),
        values=_read_only(values),
        indices=_read_only(indices, np.uint32),
        indptr=_read_only(indptr, np.uint64),
        b=_read_only(b),
        params=_read_only(params),
    )


def _read_only(array: Any, dtype: Any = np.float64) -> Any:
    try:
        given = np.asarray(array)
        if given.size and given.dtype.kind not in "biuf":
            raise TypeError
        view = np.ascontiguousarray(given, dtype=dtype).view()
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"data of an oracle must be arrays of real numbers, got {shown(array)}.") from None
    view.setflags(write=False)
    return view


@dataclass(frozen=True)
class Oracle:
    """f and a subgradient: compiled kernels with their data, or a Python function.

    kernel, value, batch: compiled functions of the signatures above; data: what they read; margins: the length of z;
    work: the number of rows -> how many numbers of scratch, aligned to 64 bytes, a batch of them needs.
    function: x -> (f, g) in plain Python, used when kernel is None; then margins is 0.
    classes: None for targets, 0 for labels that are signs, or the number of classes. Margins predict labels alone.
    """

    kernel: Kernel | None = None
    value: Kernel | None = None
    batch: Kernel | None = None
    work: Callable[[int], int] | None = None
    data: Data | None = None
    margins: int = 0
    function: FunctionAndSubgradient | None = None
    classes: int | None = None

    def __post_init__(self) -> None:
        for what in ("kernel", "value", "batch"):
            kernel, kind = getattr(self, what), "oracle" if what == "kernel" else what
            if kernel is not None and not (isinstance(kernel, Kernel) and kernel.kind == kind):
                raise ValueError(f"{what} of an Oracle must be decorated with dc.oracle.{kind}, got {shown(kernel)}.")
        if self.kernel is None:
            check_callable("the function of an Oracle without a kernel", self.function, "x -> (f, g)")
        if self.data is not None and not isinstance(self.data, Data):
            raise ValueError(f"data of an Oracle must be the result of dc.pack, got {shown(self.data)}.")
        margins = as_int(self.margins)
        if margins is None or margins < 0 or (self.kernel is None and margins):
            raise ValueError(
                f"margins of an Oracle must be the length of z, 0 for a Python function, got {shown(self.margins)}."
            )

    @functools.cached_property
    def identity(self) -> str:
        """A hash of the function: a kernel with the data it reads, or a Python function."""
        if self.kernel is None:
            assert self.function is not None
            return of_function(self.function)
        python = self.kernel.python
        module = f"{python.__module__} {python.__qualname__}"
        kernel = module if place_of(self.kernel, python.__module__) else of_function(python)
        return digest(kernel, *(self.data or ()))

    def __getstate__(self) -> dict[str, Any]:
        return state_with(self, "function")

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state_from(state))

    def __deepcopy__(self, memo: Any) -> Oracle:
        return self  # nothing of it can be changed

    def evaluate(self, x: Vector, g: Vector, z: Vector) -> float:
        """f(x), with a subgradient written to g and the margins to z."""
        if self.kernel is not None:
            return float(self.kernel(x, g, z, self.data))
        assert self.function is not None
        f, g[:] = read_returned(self.function(x.copy()), g.shape)  # it may write to what it is given
        return f

    def value_at(self, x: Vector, z: Vector) -> float:
        """f(x) where z = A x is known already (averaged margins, for a linear model)."""
        if self.value is not None:
            return float(self.value(z, x, self.data))
        return self.evaluate(x, np.empty_like(x), np.empty(self.margins))


def read_returned(returned: Any, shape: tuple[int, ...]) -> tuple[float, Vector]:
    """The f and g that an objective in Python returned, as float64; Fault unless f is real and g has this shape."""
    if not (isinstance(returned, tuple) and len(returned) == 2):
        raise Fault(f"must return the pair (f, g), got {type(returned).__name__} {shown(returned)}")
    f, g = as_float(returned[0]), returned[1]
    if f is None:
        raise Fault(f"must return a real number f and a real vector g, got f = {shown(returned[0])}")
    if type(g) is not np.ndarray or g.dtype != np.float64:
        g = _real_vector(g)
    if g.size != math.prod(shape):
        raise Fault(f"returned a subgradient of shape {g.shape}; x0 has shape {shape}")
    return f, g.reshape(shape)


def _real_vector(g: Any) -> Vector:
    what = shown(g)
    if g is None:
        raise Fault("returned None for a subgradient that must be finite")
    try:
        if np.ma.is_masked(g):
            raise TypeError
        found = np.asarray(g)
        if found.dtype.kind == "O":
            numbers = [as_float(entry) for entry in found.ravel()]
            found = np.array([math.nan if number is None else number for number in numbers]).reshape(found.shape)
            if None in numbers:
                what = shown(np.asarray(g).ravel()[numbers.index(None)])
                raise TypeError
        if found.dtype.kind not in "biuf":
            raise TypeError
    except Exception:  # the conversion to an array is anybody's code
        raise Fault(f"must return a real number f and a real vector g, got g = {what}") from None
    with np.errstate(over="ignore"):  # a long double
        return found.astype(np.float64)


@runtime_checkable
class Objective(Protocol):
    """A problem, as methods see it."""

    @property
    def name(self) -> str: ...
    @property
    def oracle(self) -> Oracle: ...
    @property
    def x0(self) -> Vector: ...
    @property
    def G(self) -> float: ...


def check_objective(problem: Any) -> None:
    """Raise ValueError unless it has a name, an Oracle, a finite x0, and G, a bound that may be infinite."""
    if not isinstance(problem, Objective) or isinstance(problem, type):
        what = "problem must have name, oracle, x0 and G"
        raise ValueError(f"{what}, got {shown(problem)}; problems.get(name) makes one.")
    if not isinstance(problem.name, str):
        raise ValueError(f"the name of a problem must be a text, got {shown(problem.name)}.")
    if not isinstance(problem.oracle, Oracle):
        raise ValueError(f"the oracle of {problem.name} must be a dc.Oracle, got {shown(problem.oracle)}.")
    G = as_float(problem.G)
    if G is None or not G >= 0:
        raise ValueError(f"G of {problem.name} must be a number, or math.inf where unknown, got {shown(problem.G)}.")
    try:
        x0 = np.asarray(problem.x0)
        good = x0.dtype.kind in "biuf" and x0.ndim == 1 and x0.size > 0 and bool(np.isfinite(x0).all())
    except (TypeError, ValueError):
        good = False
    if not good:
        raise ValueError(f"x0 of {problem.name} must be a non-empty finite vector, got {shown(problem.x0)}.")


# ---------------------------------------------------------------------------------------------------------
# Compilation: lazy, once, cached on disk


@functools.cache
def signature(kind: str) -> Any:
    """The explicit Numba signature of "oracle", "value", "batch" or "step"."""
    from numba import types as t

    vector, matrix = t.Array(t.float64, 1, "C"), t.Array(t.float64, 2, "C")

    def stored(dtype: Any, ndim: int = 1) -> Any:
        return t.Array(dtype, ndim, "C", readonly=True)

    floats = stored(t.float64)
    data = t.NamedTuple([stored(t.float64, 2), floats, stored(t.uint32), stored(t.uint64), floats, floats], Data)
    # a step that writes to g, x or hyper does not compile
    return {
        "oracle": t.float64(vector, vector, vector, data),
        "value": t.float64(vector, vector, data),
        "batch": t.float64(vector, vector, data, t.Array(t.int64, 1, "C"), t.int64, t.int64, vector),
        "step": t.float64(t.int64, t.float64, t.float64, floats, floats, vector, matrix, vector, floats),
    }[kind]


class Helper(Portable):
    """A function that kernels call; compiled into each of them, never by itself.

    Numba resolves it as a global of the calling kernel. Calling it from Python runs the plain function.
    """

    def __init__(self, function: Callable[..., Any], fastmath: frozenset[str] = FASTMATH) -> None:
        check_function("dc.helper", function)
        self.python = function
        self.fastmath = fastmath
        functools.update_wrapper(self, function)

    def _function(self) -> Any:
        return self.python

    def _parts(self) -> Any:
        return Helper, (self.python, self.fastmath)

    def __call__(self, *args: Any) -> Any:
        return self.python(*args)

    @functools.cached_property
    def dispatcher(self) -> Any:
        import numba

        # Inlined always: a helper left as a symbol of its own is found in two places, in the kernel's module and, in
        # the process that compiled it, by itself, optimised without the kernel. That process would then sum in
        # another order than every later one, which loads the kernel from the cache.
        options = {"fastmath": set(self.fastmath), "error_model": ERROR_MODEL, "forceinline": True}
        return numba.njit(boundscheck=not trusted(self.python), **options)(self.python)


class Instruction(Portable):
    """A function that kernels call and LLVM knows as an instruction or a few; see dadapt_convex.lanes.

    python: the same for Python; module: where its code is, by the same name, imported when a kernel is compiled.
    """

    def __init__(self, python: Callable[..., Any], module: str) -> None:
        self.python, self.module = python, module
        functools.update_wrapper(self, python)

    def _function(self) -> Any:
        return self.python

    def _parts(self) -> Any:
        return Instruction, (self.python, self.module)

    def __call__(self, *args: Any) -> Any:
        return self.python(*args)

    @functools.cached_property
    def numba_type(self) -> Any:
        import importlib

        from numba.core import types as t
        from numba.core.typing.templates import make_intrinsic_template

        code = importlib.import_module(self.module)

        def define(context: Any, *given: Any) -> Any:
            return self.coded(code, given)

        context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        named = inspect.signature(self.python).parameters.values()  # Numba would make a tuple of *given
        define.__signature__ = inspect.Signature([context, *named])  # type: ignore[attr-defined]
        return t.Function(make_intrinsic_template(self, define, self.python.__name__))

    def coded(self, code: Any, given: tuple[Any, ...]) -> tuple[Any, Any]:
        """(Numba's signature for these types, the function that emits LLVM code), from the module of the code."""
        name = self.python.__name__
        return code.signature(name, given), code.CODE[name]

    @property
    def source(self) -> bytes:
        """The source that the machine code depends on: the whole file, and with it the arithmetic of lanes."""
        return _file_bytes(self.module)


class Kernel(Portable):
    """A function with one explicit signature, compiled at its first call (or by :meth:`compile`)."""

    def __init__(self, function: Callable[..., Any], kind: str | Callable[[], Any], fastmath: frozenset[str]) -> None:
        check_function(f"dc.{kind}" if isinstance(kind, str) else "a kernel", function)
        self.python = function
        self.kind = kind
        self.fastmath = fastmath
        functools.update_wrapper(self, function)

    @property
    def written(self) -> Callable[..., Any]:
        """The function as it was written."""
        return self.python

    def _function(self) -> Any:
        return self.written

    def _parts(self) -> Any:
        return Kernel, (self.python, self.kind, self.fastmath)

    def __call__(self, *args: Any) -> Any:
        return self.compile()(*args)

    @functools.cached_property
    def _dispatcher(self) -> Any:
        import numba

        _teach_numba_helpers()
        sig = signature(self.kind) if isinstance(self.kind, str) else self.kind()
        options: dict[str, Any] = {"fastmath": set(self.fastmath), "nogil": True, "error_model": ERROR_MODEL}
        options["boundscheck"] = not trusted(self.python)
        dispatcher = numba.njit(**options)(self.python)
        self._made_from = fingerprint(self)
        if (kept := self.kept()) is not None:
            from dadapt_convex.kept_code_numba import SealedCache

            dispatcher._cache = SealedCache(self.written, kept)
        with warnings.catch_warnings():
            # first-class functions are marked experimental in Numba; they are what this design rests on
            warnings.simplefilter("ignore", numba.core.errors.NumbaExperimentalFeatureWarning)
            dispatcher.compile(sig)
        dispatcher.disable_compile()
        return dispatcher

    def kept(self) -> KeptCode | None:
        """The place of the machine code on disk; None for a function typed into a console, which has no file."""
        file = Path(inspect.getfile(self.written))
        try:
            source = file.read_bytes()
        except OSError:
            return None
        key = hashlib.sha256(f"{file.absolute()} {self.python.__qualname__} {fingerprint(self)}".encode())
        return KeptCode(compiled_folder() / key.hexdigest()[:16], origin=key.digest() + hashlib.sha256(source).digest())

    def is_compiled(self) -> bool:
        """True where :meth:`compile` did its work before, or finds the machine code on disk."""
        return "_dispatcher" in vars(self) or ((kept := self.kept()) is not None and kept.is_there())

    def renew(self) -> None:
        """Forget machine code that was made from other constants or helpers than the function has now.

        Functions of this project keep theirs.
        """
        if "_dispatcher" not in vars(self) or trusted(self.python) or self._made_from == fingerprint(self):
            return
        for _, value in reached(self.python):
            if isinstance(value, Helper):
                vars(value).pop("dispatcher", None)
        for made in ("_dispatcher", "argument"):
            vars(self).pop(made, None)

    def compile(self) -> Any:
        """The compiled function, for callers that must keep compilation out of a timed region."""
        return self._dispatcher

    @functools.cached_property
    def argument(self) -> Any:
        """The compiled function, to be passed to another.

        A trusted one by its address, as looking that up takes Numba 0.3 ms each time; others as Numba passes them,
        so that their exceptions arrive.
        """
        return _address_kept()(self._dispatcher) if trusted(self.python) else self._dispatcher


def trusted(function: Callable[..., Any]) -> bool:
    """True for a function of this project."""
    return (function.__module__ or "").partition(".")[0] in TRUSTED


@functools.cache
def _address_kept() -> Any:
    from numba.core import types as t
    from numba.extending import typeof_impl

    class AddressKept(t.WrapperAddressProtocol):
        """A function with one signature as Numba's first-class function."""

        def __init__(self, dispatcher: Any) -> None:
            compiled = dispatcher.overloads[dispatcher.signatures[0]]
            self.dispatcher = dispatcher  # keeps the machine code alive
            self._signature = compiled.signature
            self.numba_type = t.FunctionType(compiled.signature)
            self._address = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_cfunc_wrapper_name)

        def __wrapper_address__(self) -> int:
            return self._address

        def signature(self) -> Any:
            return self._signature

    @typeof_impl.register(AddressKept)
    def _typeof(value: Any, context: Any) -> Any:
        return value.numba_type  # Numba would make it anew at each call, in 0.03 ms

    return AddressKept


def oracle(function: Callable[..., float]) -> Kernel:
    """Decorate `oracle(x, g, z, data) -> f`."""
    return Kernel(function, "oracle", FASTMATH)


def value(function: Callable[..., float]) -> Kernel:
    """Decorate `value(z, x, data) -> f`."""
    return Kernel(function, "value", FASTMATH)


def batch(function: Callable[..., float]) -> Kernel:
    """Decorate `batch(x, g, data, order, begin, end, work) -> f`."""
    return Kernel(function, "batch", FASTMATH)


def helper(function: Callable[..., Any]) -> Helper:
    """Decorate a function that compiled functions call."""
    return Helper(function)


def exact_helper(function: Callable[..., Any]) -> Helper:
    """Decorate a helper whose order of operations matters: no reassociation, fused multiply-adds only."""
    return Helper(function, frozenset({"contract"}))


@functools.cache
def _teach_numba_helpers() -> None:
    """Let a kernel name a Helper as a global, call it, and pass it on: Numba sees the dispatcher inside.

    A type of its own, because Numba freezes the address of an ordinary dispatcher that is passed as an argument
    into the machine code, which then cannot be cached on disk. Calls are resolved by type; no value is needed.
    """
    from numba import types as t
    from numba.core.datamodel import models
    from numba.core.imputils import lower_constant
    from numba.extending import register_model, typeof_impl

    class HelperType(t.Dispatcher):
        pass

    register_model(HelperType)(models.OpaqueModel)

    @lower_constant(HelperType)
    def _no_value(context: Any, builder: Any, numba_type: Any, value: Any) -> Any:
        return context.get_dummy_value()

    @typeof_impl.register(Helper)
    def _typeof(value: Helper, context: Any) -> Any:
        return HelperType(value.dispatcher)

    @typeof_impl.register(Instruction)
    def _typeof_instruction(value: Instruction, context: Any) -> Any:
        return value.numba_type


def compile_all(kernels: Iterable[Kernel]) -> None:
    """Compile functions, or load them from disk; say on standard error, once in a process, that some are compiled."""
    kernels = list(dict.fromkeys(kernels))
    for kernel in kernels:
        kernel.renew()
    if missing := sum(not kernel.is_compiled() for kernel in kernels):
        folder = compiled_folder()
        what = f"compiling {missing} function{'s' if missing > 1 else ''}"
        if can_be_written(folder):
            say_once("compiling", f"{what}, once: kept in {folder}")
        else:
            say_once("compiling", f"{what}, in every process: {folder} cannot be written")
    for kernel in kernels:
        kernel.compile()


def compiled_by_numba(value: Any) -> types.FunctionType | None:
    """The Python function of a dispatcher of numba.njit; None for anything else. Numba need not be imported."""
    python = getattr(value, "py_func", None)
    return python if isinstance(python, types.FunctionType) and hasattr(value, "targetoptions") else None


def reached(function: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """Every object that a compiled function names: globals, closures, parts of modules, and all that these name."""
    seen: set[int] = set()

    def visit(function: Any) -> Iterator[tuple[str, Any]]:
        code, module = function.__code__, function.__globals__
        cells = dict(zip(code.co_freevars, (cell.cell_contents for cell in function.__closure__ or ()), strict=True))
        names = sorted({*global_names(code), *cells})
        modules = (module.get(name) for name in names)
        scopes = [cells, module, *(vars(m) for m in modules if isinstance(m, types.ModuleType))]  # vector.dot, say
        for name, target in ((name, scope.get(name)) for name in names for scope in scopes):
            inner = target.python if isinstance(target, Helper) else compiled_by_numba(target)
            if inner is None:
                yield name, target
            elif id(target) not in seen:
                seen.add(id(target))
                yield name, target
                yield from visit(inner)

    return visit(function)


CONSTANTS = (int, float, complex, str, bytes, tuple, range, enum.Enum, np.generic, np.ndarray)


def fingerprint(kernel: Kernel) -> str:
    """A hash of the compiler, its options, and every helper, njit function and constant that the kernel reaches.

    Numba's disk cache is keyed by the kernel's own file alone: without this, editing a helper in another file
    would leave yesterday's machine code in use.
    """
    compiler = f"numba {_version('numba')} {sorted(kernel.fastmath)} {ERROR_MODEL} forceinline {trusted(kernel.python)}"
    digest = hashlib.sha256(compiler.encode() + code_bytes(kernel.python.__code__))
    for name, target in reached(kernel.python):
        if isinstance(target, Helper):
            options = (target.python.__defaults__, sorted(target.fastmath))
            digest.update(code_bytes(target.python.__code__) + repr(options).encode())
        elif isinstance(target, Instruction):
            digest.update(name.encode() + target.source)
        elif (python := compiled_by_numba(target)) is not None:
            options = (python.__defaults__, sorted(map(repr, target.targetoptions.items())))
            digest.update(code_bytes(python.__code__) + repr(options).encode())
        elif isinstance(target, CONSTANTS):  # frozen into the machine code
            content = target.tobytes() if isinstance(target, np.ndarray) else repr(target).encode()
            digest.update(name.encode() + b"=" + content)
    return digest.hexdigest()[:16]


@functools.cache
def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


@functools.cache
def _file_bytes(module: str) -> bytes:
    import importlib.util

    found = importlib.util.find_spec(module)
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).read_bytes()
