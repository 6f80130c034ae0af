"""Problem and Optimum: a convex function with a starting point, and its certified minimum."""

from __future__ import annotations

import functools
import hashlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from dadapt_convex.oracle import Fault, Oracle, Vector, check_interval, digest, identity, state_from, state_with
from problems.arrays import at_least_1, number, owned, real
from problems.linear_models.loss import Loss
from problems.matrix import nonzeros, read_only

NUMBERS = ("f_lo", "f_hi", "D_lo", "D_hi", "D_inf_lo", "D_inf_hi", "seconds", "D_estimate", "radius")  # of an Optimum
AT_X0 = "x0 is a minimiser"  # a note
HASHED_AT_ONCE = 1 << 22  # entries of a dense matrix


class Kind(Protocol):
    """A certificate; only the word for its kind is read here."""

    @property
    def kind(self) -> str:
        """The word for the certificate in tables."""


@dataclass(frozen=True)
class Optimum:
    """A minimum with proof: intervals for f* and for the distance D to the minimisers.

    Attributes
    ----------
    f_lo, f_hi : float
        f_lo <= inf f <= f_hi. f_hi is f at a point, f_lo the value of a certificate.
    x : (p,) float64
        The point with f(x) = f_hi: a minimiser up to the width of the interval, where one exists.
    D_lo, D_hi : float
        D_lo <= dist(x0, X*) <= D_hi in the Euclidean norm; infinite where no minimiser exists.
    D_inf_lo, D_inf_hi : float
        The same in the maximum norm.
    attained : bool or None
        Whether a minimiser exists; None where neither was proved.
    certificate : Certificate or None
        From it every number is proved again, see problems/optimum/certificate.py; None for an optimum that is known
        otherwise.
    seconds : float
        Time it took; 0 from a closed form.
    D_estimate : float
        The distance to the computed minimiser: a number to run methods with where D_hi is infinite although
        a minimiser exists. Never used in a verdict.
    notes : tuple of str
        What a reader of a report should know.
    radius : float
        Everything above holds over the ball ||x - x0|| <= radius, X* being the minimisers there; infinite for the whole
        space.
    problem, identity : str
        The problem's name and identity, see Problem.identity; Problem.optimum() fills them in. An optimum without an
        identity, made by hand, is believed to be that of the problem it is used with.
    """

    f_lo: float
    f_hi: float
    x: Vector
    D_lo: float
    D_hi: float
    D_inf_lo: float = 0.0
    D_inf_hi: float = math.inf
    attained: bool | None = True
    certificate: Kind | None = None
    seconds: float = 0.0
    D_estimate: float = math.inf
    notes: tuple[str, ...] = ()
    radius: float = math.inf
    problem: str = ""
    identity: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "x", owned("x", self.x))
        for name in NUMBERS:
            object.__setattr__(self, name, number(name, getattr(self, name)))
        check_interval(self)

    @property
    def kind(self) -> str:
        """The kind of certificate, in a word."""
        return "none" if self.certificate is None else self.certificate.kind


@dataclass(frozen=True)
class LinearModel:
    """f(x) = (1/m) sum_i loss(<a_i, x>, b_i) + l2/2 ||x||^2, in the form that certificates are made from.

    A : (m, p) float64 ndarray or scipy.sparse.csr_array, the intercept's column of ones last where there is one.
    b : (m,) float64, labels -1/+1 or 0, ..., classes - 1, or targets, by the task of the loss.
    law : the loss, with its formula and its dual; parameters: the loss's own, by name.
    classes : C for multinomial_logistic, whose x is W.ravel() with W of shape (p, C), a column for each class, and
        whose margins are (A @ W).ravel(); 0 for the losses of one margin <a_i, x>.
    """

    law: Loss
    A: Any
    b: Vector
    l2: float = 0.0
    parameters: Mapping[str, float] = field(default_factory=dict)
    intercept: bool = False
    classes: int = 0

    @property
    def loss(self) -> str:
        """The name of the loss."""
        return self.law.name

    @functools.cached_property
    def identity(self) -> str:
        """A hash of the function, equal for dense and CSR storage of equal numbers."""
        own = sorted(self.parameters.items())
        return digest(self.law.identity, float(self.l2), own, self.classes, _hash_of_matrix(self.A), self.b + 0.0)

    def __setstate__(self, state: dict[str, Any]) -> None:
        # pickle and deepcopy forget that arrays were read-only
        self.__dict__.update(state, A=read_only(state["A"]), b=read_only(state["b"]))


def _hash_of_matrix(A: Any) -> str:
    """A hash of the shape, and of the places and values of the entries that are not 0, row by row."""
    hashes = [hashlib.sha256() for _ in range(3)]
    for found in nonzeros(A, HASHED_AT_ONCE):
        for hashed, array, dtype in zip(hashes, found, (np.int64, np.int64, np.float64), strict=True):
            hashed.update(np.ascontiguousarray(array, dtype=dtype).data)
    m, p = A.shape
    return digest((m, p), *(hashed.hexdigest() for hashed in hashes))


@dataclass(frozen=True, repr=False)
class Problem:
    """A convex function with a starting point and a bound on its subgradients.

    Attributes
    ----------
    name : str
        As in problems.get(name).
    oracle : Oracle
        How f and a subgradient are computed.
    x0 : (p,) float64
        The starting point.
    G : float
        ||g|| <= G for every subgradient the oracle returns; G_note says how it was obtained and where it
        holds, G_exact whether it is the smallest such number.
    G_inf : float
        The same for the largest absolute entry.
    m : int
        Rows of data, or pieces of a max function.
    model : LinearModel or None
        The data, for linear models.
    find_optimum : callable (Problem, radius) -> Optimum
        Closed form, or the certified solver; radius as in optimum().
    bound_batches : callable (Problem, int) -> (float, float), optional
        See batch_bounds.
    facts : mapping
        What results record: source of the data, SHA-256, mapping of labels, ...
    """

    name: str
    oracle: Oracle
    x0: Vector
    G: float
    G_inf: float
    m: int
    G_note: str = ""
    G_exact: bool = False
    model: LinearModel | None = None
    find_optimum: Callable[[Problem, float], Optimum] | None = None
    bound_batches: Callable[[Problem, int], tuple[float, float]] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        """One line, without the data."""
        return f"<Problem {self.name}: m = {self.m}, p = {self.p}, G = {self.G:.4g}>"

    def __post_init__(self) -> None:
        """Copy the starting point: later changes of the caller's array change nothing here."""
        object.__setattr__(self, "x0", owned("x0", self.x0))

    @property
    def p(self) -> int:
        """The number of unknowns."""
        return self.x0.size

    @functools.cached_property
    def identity(self) -> str:
        """64 hexadecimal digits: a hash of the function (data, loss, parameters), and one of x0. The name is no part.

        Runs and optima carry it, and are not taken for those of another problem. For a Python function: of G, the code
        and what it refers to; of a random number where that cannot be told.
        """
        function = self.model.identity if self.model is not None else digest(self.oracle.identity, self.G, self.G_inf)
        return identity(function, self.x0)

    def __getstate__(self) -> dict[str, Any]:
        return state_with(self, "find_optimum", "bound_batches")

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = state_from(state)
        self.__dict__.update(state, x0=read_only(state["x0"]))

    def value(self, x: Any) -> float:
        """f(x)."""
        return self._evaluate(x)[0]

    def subgradient(self, x: Any) -> Vector:
        """A subgradient of f at x, (p,) float64."""
        return self._evaluate(x)[1]

    def batch_bounds(self, size: int) -> tuple[float, float]:
        """G and G_inf of the mini-batches of an epoch, which may exceed those of the mean over all rows.

        They hold for any `size` rows, and any m mod size, as many as the last batch has; with l2 > 0 where G holds, see
        G_note. ValueError for problems without such bounds.
        """
        if self.bound_batches is None:
            raise ValueError(f"{self.name} knows no bounds of mini-batches: it is no linear model.")
        return self.bound_batches(self, at_least_1("size", size))

    def margins(self, x: Any) -> Vector:
        """A x for linear models, (A W).ravel() for the multinomial one, empty for others."""
        return self._evaluate(x)[2]

    def _evaluate(self, x: Any) -> tuple[float, Vector, Vector]:
        # a copy: kernels take writable arrays, and x0 is read-only
        x = np.array(real("x", x), dtype=np.float64, order="C")
        if x.shape != (self.p,):
            raise ValueError(f"{self.name} takes x of shape ({self.p},), got {x.shape}.")
        g, z = np.zeros(self.p), np.zeros(self.oracle.margins)
        try:
            f = self.oracle.evaluate(x, g, z)
        except Fault as error:
            raise ValueError(f"{self.name}(x) {error}.") from None
        return f, g, z

    def optimum(self, radius: float = math.inf) -> Optimum:
        """The certified optimum; computed once, and cached on disk where it took long.

        Parameters
        ----------
        radius : float > 0
            The optimum over the ball ||x - x0|| <= radius, a comparator where no minimiser exists; in units of ||x||.

        Raises
        ------
        ValueError
            Where the problem has no optimum (a Python objective without `optimum=`), radius is not positive, radius
            is finite and less than D_hi for a problem that is no linear model, or data, x0 or l2 have entries of such
            sizes that sums of their squares over- or underflow.
        """
        radius = number("radius", radius)
        if not radius > 0:
            raise ValueError(f"radius must be positive, got {radius!r}; it is that of a ball around x0.")
        if radius not in self._optima:
            self._optima[radius] = self._found(radius)
        return self._optima[radius]

    @functools.cached_property
    def _optima(self) -> dict[float, Optimum]:
        return {}

    def _found(self, radius: float) -> Optimum:
        if self.find_optimum is None:
            raise ValueError(
                f"{self.name} has no certified optimum; give from_callable(optimum=...) an Optimum, or pass "
                f"D=..., f_star=... to the method."
            )
        begun = time.perf_counter()
        optimum = replace(self.find_optimum(self, radius), problem=self.name, identity=self.identity)
        if optimum.D_hi == 0 and AT_X0 not in optimum.notes:
            optimum = replace(optimum, notes=(*optimum.notes, AT_X0))
        return optimum if optimum.seconds else replace(optimum, seconds=time.perf_counter() - begun)

    def renamed(self, name: str, **facts: Any) -> Problem:
        """The problem under another name, with more facts recorded."""
        return replace(self, name=name, facts={**self.facts, **facts})


def within(problem: Problem, optimum: Optimum, radius: float) -> Optimum:
    """The optimum over the ball ||x - x0|| <= radius, which holds a minimiser; ValueError where it may hold none."""
    if radius == math.inf:
        return optimum
    if not optimum.D_hi <= radius:
        raise ValueError(
            f"{problem.name} is no linear model: its optimum over a ball is known where the ball holds a minimiser, "
            f"radius >= {float(optimum.D_hi)!r}, got {radius!r}."
        )
    return replace(optimum, radius=radius)
