"""Recorders: the loop of a run, and the rows of its trace.

Two classes have this interface: Deterministic here, and Stochastic in stochastic_recorder.py.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dadapt_convex.checks import Fault
from dadapt_convex.driver import DRIVE, GOES_ON, ITERATE, NOT_FINITE, Books, Points, Totals
from dadapt_convex.method import Method
from dadapt_convex.oracle import Objective, Vector, trusted
from dadapt_convex.schedules import Schedule, factors_of
from dadapt_convex.stochastic import Sampling
from dadapt_convex.transitions import NO_STEP, Transitions, kept_steps, numbers

# The columns that are recorded for every method, in order.
COLUMNS = (
    "k", "f", "f_avg", "f_best", "f_mean", "g_norm", "g_max", "g0_norm", "x_dist", "x_next_dist", "S", "weight_sum",
    "sum_w2_g2", "sum_w_gx", "sum_w_g",
)  # fmt: skip
EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Factors:
    """The schedule of a run, from its number of steps and of steps in an epoch."""

    schedule: Schedule
    steps: int
    per_epoch: int

    def __call__(self, k: int, k_stop: int) -> Vector:
        """gamma_k, ..., gamma_{k_stop - 1}; empty where all are 1."""
        if self.schedule.constant:
            return np.zeros(0)
        return factors_of(self.schedule, np.arange(k, k_stop), self.steps, self.per_epoch)


@dataclass(frozen=True)
class Plan:
    """The request that solve() got, checked.

    hyper : by name, as a run records it; marks : int64, the checkpoints; drawn : None for the deterministic oracle.
    """

    problem: Objective
    method: Method
    x0: Vector
    hyper: dict[str, Any]
    factors: Factors
    marks: Any
    drawn: Sampling | None

    @property
    def steps(self) -> int:
        """The number of subgradients asked for."""
        return self.factors.steps

    def number(self, name: str) -> float:
        """A hyper-parameter that the driver reads too; 0 where the method has no such number, or does not use it."""
        value = self.hyper.get(name)
        return value if isinstance(value, float) else 0.0

    @property
    def amplified(self) -> float:
        """The factor by which momentum amplifies the rounding of an iterate."""
        momentum = self.number("momentum")
        return 1.0 / (1.0 - momentum) if trusted(self.method.step.python) and 0.0 <= momentum < 1.0 else 1.0


class Recorder(ABC):
    """A run in progress: its loop, and the rows of its trace.

    Attributes
    ----------
    rows, errors : list of dict
        The rows of the trace, and bounds on what rounding did to them; see dadapt_convex.run.
    k : int
        Iterations done.
    seconds : float
        Time in iterations so far.
    fault : str
        The sentence about a fault of the objective or the schedule that ended the run.
    asking : bool
        True while the objective or the schedule is at work: an exception now is not one of the step.
    """

    def __init__(self, plan: Plan, totals: type[Totals]) -> None:
        method, x0 = plan.method, plan.x0
        self.plan, self.oracle = plan, plan.problem.oracle
        self.rows: list[dict[str, float]] = []
        self.errors: list[dict[str, float]] = []
        self.k, self.seconds, self.fault, self.asking = 0, 0.0, "", False
        self.passed = 0  # checkpoints
        hyper = method.encode(plan.hyper)
        vectors, scalars = method.start(x0, hyper)
        iterates = np.zeros((2, x0.size))
        iterates[0] = x0
        self.sizes = x0.size, hyper.size, scalars.size, len(vectors)
        self.books = Books(
            x0=x0,
            iterates=iterates,
            g=np.zeros(x0.size),
            x_avg=np.zeros(x0.size),
            vectors=vectors,
            scalars=scalars,
            hyper=hyper,
            totals=np.zeros(len(totals.scalars)),
            whole=self._rows_to_keep(),
            scheduled=method.scheduled,
            decays=plan.number("weight_decay") > 0,
            averages=method.averages,
        )
        self.totals = totals.of_numbers(self.books.totals)
        with np.errstate(over="ignore"):
            self.totals.x0_norm = np.linalg.norm(x0)
        self.x_best = x0.copy()

    def _rows_to_keep(self) -> Vector:
        """Rows for the iterations that are kept whole, with their k."""
        size = numbers(*self.sizes)
        ks = kept_steps(int(self.plan.marks[-1]), size, f"{self.plan.problem.name} {self.plan.method.name}")
        rows = np.empty((ks.size, size))
        rows[:, 0] = ks
        return rows

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """The columns of the trace, also of one without a row."""

    @abstractmethod
    def loop(self, k: int, k_stop: int) -> tuple[int, int]:
        """Iterations k .. k_stop - 1; returns (iterations done so far, why it returned)."""

    @abstractmethod
    def reach(self) -> int:
        """The farthest step that one call of `loop` may go to: the checkpoints it passes are recorded afterwards."""

    @abstractmethod
    def record_passed(self, before: int, took: float) -> None:
        """Rows for the checkpoints passed since k was `before`, in so many seconds."""

    @abstractmethod
    def record_last(self) -> None:
        """A row where the run ended, if that is no checkpoint."""

    @abstractmethod
    def points(self) -> dict[str, Any]:
        """x, x_avg and x_selected of the Run."""

    def iterate_at(self, k: int) -> Vector:
        """x_k, where k is the last or the next."""
        row: Vector = self.books.iterates[k % 2]
        return row

    def scalar(self, name: str) -> float:
        """A number of the method's state; NaN for one that it does not have."""
        names = self.plan.method.scalars
        return float(self.books.scalars[names.index(name)]) if name in names else math.nan

    @property
    def traced(self) -> list[str]:
        """The names of the state that are columns of the trace."""
        return [name for name in self.plan.method.scalars if name[0] != "_"]

    def evaluate(self, x: Vector, g: Vector, z: Vector) -> float:
        """f(x), with a subgradient written to g, of an objective in Python."""
        self.asking = True
        f = self.oracle.evaluate(x, g, z)
        self.asking = False
        return f

    def unless_at_fault(self, evaluate: Callable[[], Any], otherwise: Any) -> Any:
        """f at points of the trace; `otherwise` where the objective has ended the run already."""
        try:
            return evaluate()
        except Fault:
            if self.fault:
                return otherwise
            raise

    def kept_whole(self) -> Transitions:
        """The iterations that were kept whole."""
        rows = self.books.whole[: int(self.totals.whole)]
        return Transitions(rows[rows[:, 0] != NO_STEP], *self.sizes)


class Deterministic(Recorder):
    """A run with the full subgradient: a row is written when the loop stops at its checkpoint."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan, Totals)
        p, m, select = plan.x0.size, self.oracle.margins, plan.method.select
        self.at = Points(
            z=np.zeros(m),
            z_avg=np.zeros(m),
            z_sel=np.zeros(m if select else 0),
            wg=np.zeros(p),
            x_best=self.x_best,
            x_sel=plan.x0.copy() if select else np.zeros(0),
            select=plan.method.scalars.index(select) if select else -1,
        )
        self.step = plan.method.step.argument
        self.compiled = (ITERATE if self.oracle.kernel is None else DRIVE).compile()
        self.kernel = None if self.oracle.kernel is None else self.oracle.kernel.argument
        if self.oracle.value is not None:
            self.oracle.value.compile()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the trace, also of one without a row."""
        selected = ("f_selected", "t", "selected_ratio") if self.at.select >= 0 else ()
        return (*COLUMNS, *self.traced, *selected, "seconds")

    def loop(self, k: int, k_stop: int) -> tuple[int, int]:
        """Iterations k .. k_stop - 1; returns (iterations done so far, why it returned)."""
        factors = self.plan.factors(k, k_stop)
        if self.kernel is not None:
            data = self.oracle.data
            k, status = self.compiled(self.kernel, self.step, k, k_stop, data, self.books, self.at, factors)
            return k, status
        first, books, at, step, compiled = k, self.books, self.at, self.step, self.compiled
        iterates, g, z, hyper, scheduled = books.iterates, books.g, at.z, books.hyper, books.scheduled
        changes = factors.size > 0
        while k < k_stop:
            if changes:
                hyper[scheduled] = factors[k - first]
            f = self.evaluate(iterates[k % 2], g, z)
            status = compiled(step, k, f, books, at)
            if status >= NOT_FINITE:
                return k, status
            k += 1
            if status != GOES_ON:
                return k, status
        return k, GOES_ON

    def reach(self) -> int:
        """The next checkpoint."""
        return int(self.plan.marks[self.passed])

    def record_passed(self, before: int, took: float) -> None:
        """A row, if the loop stopped at a checkpoint."""
        if self.plan.marks[self.passed] == self.k:
            self._append_row()
            self.passed += 1

    def record_last(self) -> None:
        """A row where the run ended, if that is no checkpoint."""
        if self.k and not (self.rows and self.rows[-1]["k"] == self.k):
            self._append_row()

    def points(self) -> dict[str, Any]:
        """x_n, the last point where a subgradient was taken; the average; and the selected average."""
        return {
            "x": self.iterate_at(self.k - 1 if self.k else 0).copy(),
            "x_avg": self.books.x_avg.copy() if self.k else self.plan.x0.copy(),
            "x_selected": self.at.x_sel if self.at.select >= 0 else None,
        }

    def _value_at(self, x: Vector, z: Vector) -> float:
        """f at an average."""
        return float(self.unless_at_fault(lambda: self.oracle.value_at(x, z), math.nan))

    def _append_row(self) -> None:
        """Append a row of the trace, and bounds on its rounding."""
        t, x_next = self.totals, self.iterate_at(self.k)
        with np.errstate(all="ignore"):  # sums may overflow; x_{k+1} may be infinite, and step k + 1 will say so
            S, weight = t.S + t.S_lost, t.weight + t.weight_lost
            f_mean = (t.w_f + t.w_f_lost) / weight if weight > 0 else t.f
            w2_g2, w_gx = t.w2_g2 + t.w2_g2_lost, t.w_gx + t.w_gx_lost
            x_next_dist = float(np.linalg.norm(x_next - self.plan.x0))
        row: dict[str, float] = {
            "k": self.k,
            "f": t.f,
            "f_avg": self._value_at(self.books.x_avg, self.at.z_avg),
            "f_best": t.f_best,
            "f_mean": f_mean,
            "g_norm": math.sqrt(t.g2),
            "g_max": math.sqrt(t.g2_max),
            "g0_norm": math.sqrt(t.g0_2),
            "x_dist": math.sqrt(t.x_dist2),
            "x_next_dist": x_next_dist,
            "S": S,
            "weight_sum": weight,
            "sum_w2_g2": w2_g2,
            "sum_w_gx": w_gx,
            "sum_w_g": math.sqrt(t.wg2),
            **{name: self.scalar(name) for name in self.traced},
        }
        if self.at.select >= 0 and self.k and S > 0:
            row["f_selected"] = self._value_at(self.at.x_sel, self.at.z_sel)
            row["t"] = t.selected_at
            row["selected_ratio"] = t.selected
        row["seconds"] = self.seconds
        self.rows.append({name: float(value) if name != "k" else value for name, value in row.items()})
        self.errors.append(self._errors(row))

    def _errors(self, row: dict[str, float]) -> dict[str, float]:
        """Bounds on what rounding did to the numbers of a row, from magnitudes of weighted points; see Run."""
        t, p, k, problem = self.totals, self.plan.x0.size, self.k, self.plan.problem
        with np.errstate(all="ignore"):
            x0, weight = t.x0_norm, np.float64(row["weight_sum"])
            of_f, of_dot = EPS * (p + self.at.z.size + 8), EPS * (p + 8)
            # margins are rounded before they cancel; elsewhere the subgradients seen say how f varies
            bounded = self.at.z.size > 0 and math.isfinite(problem.G)
            G = np.float64(max(problem.G, row["g_max"]) if bounded else row["g_max"])
            x = np.sqrt([t.x_dist2, t.x_dist2_best, t.x_dist2_max, t.x_dist2_weighed])
            x_size, x_best, x_largest, x_weighed = x0 + x
            # every x_k is rounded, and so is every step from one to the next; where x_{k+1} = x_k - h_k g_k the
            # rounding r_j of a step stays in all later points, as <r_j, s_n - s_j>
            stays = t.x_size * row["sum_w_g"]
            moved = self.plan.amplified * EPS * (4 * t.w_round + 2 * t.s_x + stays)
            moved_by_D = self.plan.amplified * EPS * 2 * t.s_size
            if weight > 0:
                of_mean = of_f * (t.w_f_size + G * t.w_x) / weight
                of_average = of_mean + EPS * (8 + k) * G * t.w_x / weight
                of_gap, of_gap_by_D = of_mean + moved / weight, moved_by_D / weight
            else:
                of_mean = of_average = of_gap = of_f * (abs(row["f"]) + G * x_largest)
                of_gap_by_D = 0.0
            x_next = row["x_next_dist"]
            errors = {
                "f": of_f * (abs(row["f"]) + G * x_size),
                "f_best": of_f * (abs(row["f_best"]) + G * x_best),
                "f_mean": of_mean,
                "f_avg": of_average,
                "f_selected": of_average + of_f * (abs(row.get("f_selected", 0.0)) + G * x_weighed),
                "f_star": of_gap,
                "f_star_by_D": of_gap_by_D,
                "x_dist": of_dot * row["x_dist"],
                "x_next_dist": of_dot * row["x_next_dist"] + EPS * (4 + k) * max(x_largest, x0 + x_next),
                **{name: of_dot * row[name] for name in ("g_norm", "g_max", "g0_norm", "S", "sum_w2_g2")},
                "weight_sum": 4 * EPS * weight,
                "sum_w_gx": of_dot * t.w_gx_size,
                "sum_w_g": of_dot * row["sum_w_g"] + 2 * EPS * t.s_size,
                "moved": moved,
            }  # fmt: skip
        return {name: float(error) for name, error in errors.items()}
