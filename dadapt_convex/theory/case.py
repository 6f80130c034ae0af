"""Case: a run as a theorem reads it, with f* and D set to one corner of their intervals."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from dadapt_convex.checks import did_you_mean
from dadapt_convex.oracle import Vector
from dadapt_convex.run import OptimumInterval, Run
from dadapt_convex.schedules import as_schedule
from dadapt_convex.theory.columns import columns_of
from dadapt_convex.theory.rounded import EPS, Rounded, plain

# Norms whose squares, and sums of these, are normal numbers with room for their factors.
SMALLEST, LARGEST = 1e-145, 1e145
NORMS = ("d", "s_norm", "s_norm1", "g_max", "x_dist", "x_next_dist", "sum_w_g", "weight_sum")


class Missing(LookupError):
    """A theorem reads what the run does not have."""

    def __init__(self, what: str, name: str, there: Any) -> None:
        self.what, self.name = what, name
        names = sorted(map(str, there))
        super().__init__(f"{what} {name!r}; {did_you_mean(name, names) or 'there are ' + ', '.join(names)}")


class Values(dict[str, Any]):
    """Hyper-parameters by name; Missing for one that the method does not have.

    Numbers are NumPy's: a square of theirs may overflow, and says so by being infinite.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__((name, np.float64(v) if isinstance(v, float) else v) for name, v in values.items())

    def __missing__(self, name: str) -> Any:
        raise Missing("the hyper-parameter", name, self)


class Case:
    """A run seen by a theorem, with f* and D set to one corner of their intervals.

    Columns of the trace are attributes (case.d is d_{n+1} at every checkpoint), with bounds on their rounding unless
    `exact`; n = k - 1. G is the largest ||g_k|| up to each checkpoint: the analyses need no more of the Lipschitz
    constant. D_inf is the distance to the minimisers in the maximum norm. Rows of a stochastic run describe x_{n+1}
    alone and have no mean of f: f at the average takes its place.
    """

    def __init__(
        self, run: Run, f_star: float, D: float, optimum: OptimumInterval, D_inf: float = math.inf, exact: bool = False
    ) -> None:
        self.run = run
        self.hyper = Values(run.hyper)
        self.numbers = columns_of(run)
        self._D, self._D_inf = self._length(D, exact), self._length(D_inf, exact)
        self.known = True  # whether the theorem says that it reads f* and D
        self.optimum = optimum
        self.exact = exact
        self.unbounded = math.isinf(D)  # D has no upper end here
        self.columns = self.numbers.columns
        self.k = self.columns["k"]
        self._f_star = f_star
        self.comparator = False

    def _length(self, D: float, exact: bool) -> Any:
        """A distance to the minimisers; its error is the one that rounded iterates cause in an estimate of it."""
        value = np.float64(D)  # a square of it may overflow, and says so by being infinite
        error = None if exact else self.numbers.of_estimates
        return value if error is None else Rounded(np.full(error.shape, value), error)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in self.columns:
            raise Missing("the trace column", name, self.columns)
        values = self.columns[name]
        return values if self.exact else Rounded(values, self.numbers.error(name))

    @property
    def values(self) -> Case:
        """A copy with plain numbers."""
        other = copy.copy(self)
        other.exact = True
        other._D, other._D_inf = (self._D.value, self._D_inf.value) if isinstance(self._D, Rounded) else (
            self._D, self._D_inf
        )  # fmt: skip
        if other._D.ndim:
            other._D, other._D_inf = other._D[0], other._D_inf[0]
        return other

    def at_comparator(self) -> Case:
        """A copy with u, the best iterate of the run, in place of a minimiser: no optimum is read."""
        other = copy.copy(self)
        other.comparator = True
        other._D, other._D_inf = self.comparator_distance, self.comparator_distance_inf
        other.known = True
        return other

    def _of_optimum(self, name: str, value: Any) -> Any:
        if not self.known:
            raise ValueError(f"it reads {name}, and says uses_optimum=False")
        return value

    @property
    def D(self) -> Any:
        """The distance of x_0 from the minimisers."""
        return self._of_optimum("D", self._D)

    @property
    def D_inf(self) -> Any:
        """The distance of x_0 from the minimisers in the maximum norm."""
        return self._of_optimum("D_inf", self._D_inf)

    @property
    def n(self) -> Vector:
        """The papers' n: n + 1 subgradients are used."""
        return self.k - 1

    @property
    def p(self) -> int:
        """The number of unknowns."""
        return self.run.x0.size

    @property
    def G(self) -> Any:
        """max_{i<=n} ||g_i||."""
        return self.g_max

    @property
    def f_star(self) -> Any:
        """f*; its error is the bound on the rounding of the mean of the gaps."""
        if self.comparator:
            return self.f_comparator + Rounded(np.zeros(self.k.shape), self._of_recursion)
        self._of_optimum("f_star", None)
        values = np.full(self.k.shape, self._f_star)
        return values if self.exact else Rounded(values, self._of_recursion + EPS * np.abs(values))

    @property
    def _of_recursion(self) -> Vector:
        """A bound on the error of the mean of the gaps from rounded iterates and steps; part of it grows with D."""
        fixed, D = self.numbers.error("f_star"), plain(self._D)
        by_D: Any = self.numbers.errors.get("f_star_by_D", 0.0)
        return fixed + np.where(np.isfinite(D), D, 0.0) * by_D

    @property
    def f_average(self) -> Any:
        """sum w_k f(x_k) / sum w_k, by convexity no smaller than f at the averaged iterate.

        Where f at the averaged iterate is larger by more than rounding, the result is that f: the average is none.
        """
        if not self.run.method.averages:
            return self.f_mean
        if self.exact:
            return np.maximum(self.f_mean, self.f_avg)
        mean, at = self.f_mean, self.f_avg
        return np.where(at.value - at.error > mean.value + mean.error, at, mean)

    @property
    def gap_mean(self) -> Any:
        """sum w_k (f(x_k) - f*) / sum w_k."""
        return self.f_average - self.f_star

    @property
    def gap_at_iterates(self) -> Any:
        """gap_mean for statements about the computed x_k alone, whatever recursion made them."""
        if self.exact or not self.numbers.errors:
            return self.gap_mean
        if self.comparator:
            return self.f_average - self.f_comparator
        self._of_optimum("f_star", None)
        values = np.full(self.k.shape, self._f_star)
        return self.f_average - Rounded(values, self.numbers.error("f_mean"))

    @property
    def f_comparator(self) -> Any:
        """f(u), u the best iterate of the whole run."""
        return self.f_best[-1]

    @property
    def comparator_distance(self) -> Any:
        """||u - x_0||."""
        return self._distance(float(np.linalg.norm(self.run.x_best - self.run.x0)))

    @property
    def comparator_distance_inf(self) -> Any:
        """||u - x_0|| in the maximum norm."""
        return self._distance(float(np.abs(self.run.x_best - self.run.x0).max()))

    def _distance(self, value: float) -> Any:
        return value if self.exact else Rounded(value, EPS * (self.p + 8) * value)

    @property
    def factor(self) -> Vector:
        """The schedule's gamma_n; for schedules that are known by their text, see known_schedule."""
        schedule = as_schedule(self.hyper["schedule"])
        return schedule.factors(self.n.astype(np.int64), self.run.steps, self.run.per_epoch)

    @property
    def out_of_range(self) -> Any:
        """Rows where the square of a norm is no normal number, of a norm that is not 0; infinite and NaN count too."""
        found = np.zeros(self.k.size, dtype=bool)
        for name in NORMS:
            size = np.abs(self.columns.get(name, np.ones(1)))
            found = found | ~(size <= LARGEST) | ((size < SMALLEST) & (size > 0))
        with np.errstate(over="ignore", under="ignore"):
            weighed = self.columns["weight_sum"] * self.columns["g_max"]  # the square of sum_w_g may be 0 already
        return found | ~(weighed <= LARGEST) | ((weighed < SMALLEST) & (self.columns["weight_sum"] > 0))


# Names of a case that are no columns.
READ_OF_CASE = frozenset(name for name in dir(Case) if name[0] != "_") | {
    "run", "hyper", "numbers", "known", "optimum", "exact", "unbounded", "columns", "comparator",
}  # fmt: skip


def D_inf_interval(run: Run, optimum: OptimumInterval) -> tuple[float, float]:
    """The interval of D_inf: the optimum's where it has one, and D / sqrt(p) <= D_inf <= D."""
    lo = max(getattr(optimum, "D_inf_lo", 0.0), optimum.D_lo / math.sqrt(run.x0.size))
    return lo, min(getattr(optimum, "D_inf_hi", math.inf), optimum.D_hi)


def corners(run: Run, optimum: OptimumInterval, uses_optimum: bool) -> Iterator[Case]:
    """The run at every corner of [f_lo, f_hi] x [D_lo, D_hi]; D_inf goes with D. One corner where neither is read."""
    D_inf = D_inf_interval(run, optimum)
    ends = [(optimum.D_lo, D_inf[0]), (optimum.D_hi, D_inf[1])]
    values = [optimum.f_lo, optimum.f_hi]
    if not uses_optimum:
        ends, values = ends[:1], values[:1]
    for f_star, (D, largest) in itertools.product(dict.fromkeys(values), dict.fromkeys(ends)):
        case = Case(run, f_star, D, optimum, largest)
        case.known = uses_optimum
        yield case
