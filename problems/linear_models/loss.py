"""The declaration of a loss: each file of this folder with a LOSS adds one, and everything else is made from it."""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from dadapt_convex.oracle import Helper, Kernel, Portable, Vector, digest, of_function, shown, trusted
from problems.arrays import number
from problems.data.dataset import Task

# The other arguments of constructors and of names; a loss's own parameters are called otherwise.
TAKEN = frozenset(
    ("loss", "A", "b", "labels", "intercept", "l2", "x0", "name", "facts", "copy", "storage", "positive", "parameters")
)


class Parameter(NamedTuple):
    """A number that a loss takes by name: its default, its meaning, and the interval from low to high that it lies in.

    Both ends are excluded; low is allowed where `closed`.
    """

    default: float
    meaning: str
    low: float = 0.0
    high: float = math.inf
    closed: bool = False

    @property
    def interval(self) -> str:
        """The interval as text, for example "(0, 1)"."""
        return f"{'[' if self.closed else '('}{self.low:g}, {self.high:g})"

    def checked(self, name: str, value: Any) -> float:
        """The value as a float; ValueError outside the interval."""
        value = number(name, value)
        if not (self.low < value < self.high or (self.closed and value == self.low)):
            raise ValueError(f"{name} must be in {self.interval}, got {value!r}; it is {self.meaning}.")
        return value


class Kink(NamedTuple):
    """The convex function max {u r - soft u^2 / 2 : low <= u <= high} of r = z - at, with low <= 0 <= high.

    Its slope is low on the left and high on the right. With soft = 0 it is max(low r, high r); otherwise the slope
    is r / soft in between. at, low, high: a number for each row, or one for all.
    """

    at: Any
    low: Any
    high: Any
    soft: float = 0.0


class Kernels(NamedTuple):
    """The compiled functions of a loss, of the signatures in dadapt_convex.oracle.

    work: (rows, p, classes) -> how many numbers of scratch a batch needs; formula: what they are made from.
    """

    dense: Kernel
    csr: Kernel
    value: Kernel
    batch: Kernel
    work: Callable[[int, int, int], int]
    formula: Helper | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Loss(Portable):
    """A convex loss of the margin z = <a, x> and the label or target b; for "multiclass", of C margins and a class.

    Attributes
    ----------
    name, short : str
        Of its constructor, and as in "lad:diabetes".
    task : str
        "binary", "multiclass" or "regression", which decides what data fit.
    title, formula, where, example : str
        What the documentation of its constructor says: the first line, the loss of row i, what stands in it, and an
        example after `import problems`.
    kernels : Kernels
        Made by passes.kernels from the formula, a compiled helper: (z, b, the loss's own parameters by name) -> (value,
        slope).
    parameters : mapping
        The loss's own, by name, in the order in which the formula takes them.
    kinks : callable (b, **parameters) -> kinks
        The dual of a piecewise-linear or piecewise-quadratic loss: it is the sum of these kinks.
    smooth : callable (model) -> problems.optimum.law.SmoothLaw
        For other losses, what certificates need: value and gradient in extended precision, bounds by duality and by
        self-concordance.
    slopes : (float, float)
        For these, the largest Euclidean norm and the largest absolute entry of the derivative in z.
    """

    name: str
    short: str
    task: Task
    title: str
    formula: str
    example: str
    kernels: Kernels
    where: str = ""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    kinks: Callable[..., Sequence[Kink]] | None = None
    smooth: Callable[[Any], Any] | None = None
    slopes: tuple[float, float] = (math.inf, math.inf)

    def __post_init__(self) -> None:
        for name, own in self.parameters.items():
            if not isinstance(own, Parameter):
                raise TypeError(f"{self.name}: {name} must be a Parameter(default, meaning, ...), got {shown(own)}.")
            own.checked(f"the default of {name}", own.default)
        if taken := sorted(TAKEN & self.parameters.keys()):
            raise TypeError(f"{self.name}: {', '.join(taken)} means something else in linear_problem; rename it.")
        if self.kernels.formula is not None:
            _, _, *taken = inspect.signature(self.kernels.formula.python).parameters
            if taken != list(self.parameters):
                raise TypeError(
                    f"the formula of {self.name} takes (z, b, {', '.join(taken) or 'no more'}), and its parameters are "
                    f"{', '.join(self.parameters) or 'none'}; they must be the same, in the same order."
                )

    def _function(self) -> Any:
        return self.kernels.dense.python

    def checked(self, given: Mapping[str, Any]) -> dict[str, float]:
        """The parameters by name, in their order, with defaults; TypeError for other names, ValueError for values."""
        if other := given.keys() - self.parameters.keys():
            raise TypeError(f"{self.name} takes no parameter {', '.join(map(repr, sorted(other)))}.")
        return {name: own.checked(name, given.get(name, own.default)) for name, own in self.parameters.items()}

    @property
    def identity(self) -> str:
        """The name; of a loss from outside this project, with a hash of its formula and its dual."""
        return self.name if trusted(self._function()) else f"{self.name} {self.content()}"

    def content(self) -> str:
        """A hash of the formula, the dual and all that they refer to: the name stays where they are edited."""
        functions = (self.kernels.formula or self.kernels.dense, self.kinks, self.smooth)
        return digest(*(of_function(function) for function in functions if function is not None), self.slopes)

    def dual(self, b: Vector, parameters: Mapping[str, float]) -> list[Kink]:
        """The kinks for these targets; ValueError unless each is one for every row."""
        assert self.kinks is not None
        kinks: Any = self.kinks(b, **parameters)
        if not (isinstance(kinks, list | tuple) and kinks and all(isinstance(kink, Kink) for kink in kinks)):
            raise ValueError(f"the kinks of {self.name} must be a list of Kink(at, low, high), got {shown(kinks)}.")
        for kink in kinks:
            try:
                at, low, high, _ = np.broadcast_arrays(*kink[:3], b)
                good = at.shape == b.shape and not np.isnan(at).any() and 0 <= kink.soft < math.inf
                good = bool(good and np.all((-math.inf < low) & (low <= 0) & (high >= 0) & (high < math.inf)))
            except (TypeError, ValueError):
                good = False
            if not good:
                raise ValueError(
                    f"a kink of {self.name} has at, low <= 0 and high >= 0, numbers for all {b.size} rows or for each, "
                    f"and soft >= 0, got {shown(kink)}."
                )
        return list(kinks)

    def largest_slopes(self, b: Vector, parameters: Mapping[str, float]) -> tuple[float, float]:
        """Bounds on the Euclidean norm and on the entries of the derivative in z."""
        if self.kinks is None:
            return self.slopes
        kinks = self.dual(b, parameters)
        ends = sum(np.abs(k.low) for k in kinks), sum(np.abs(k.high) for k in kinks)
        largest = max(float(np.max(end)) for end in ends)
        return largest, largest


def losses() -> dict[str, Loss]:
    """All losses by short name."""
    package = importlib.import_module("problems.linear_models")
    modules = (importlib.import_module(f"{package.__name__}.{m.name}") for m in pkgutil.iter_modules(package.__path__))
    found: dict[str, Loss] = {}
    for module in modules:
        loss = getattr(module, "LOSS", None)
        if isinstance(loss, Loss) and found.setdefault(loss.short, loss) is not loss:
            raise ValueError(
                f"{module.__file__}: another loss has the short name {loss.short!r}; give this one another."
            )
    return found
