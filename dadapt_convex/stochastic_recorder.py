"""The recorder of runs with stochastic gradients: orders of the rows, noise, and rows of the trace from snapshots."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from dadapt_convex.driver import GOES_ON
from dadapt_convex.oracle import Objective, Vector
from dadapt_convex.recorder import Plan, Recorder
from dadapt_convex.stochastic import rows as rows_of
from dadapt_convex.stochastic_driver import (
    DRIVE_BATCHES,
    DRIVE_NOISE,
    EVALUATE,
    EVALUATED_AT_ONCE,
    RECORD_AND_STEP,
    SHUFFLE,
    SNAPSHOT,
    Batches,
    Snapshots,
    StochasticTotals,
)

COLUMNS = ("k", "epoch", "f", "f_avg", "f_best", "f_batch")
MORE_COLUMNS = ("g_norm", "g_max", "g0_norm", "x_dist", "S", "weight_sum")
# Rows of the orders that are drawn at once, and entries of noise.
DRAWN_AT_ONCE = 200_000
ALIGNMENT = 64  # bytes


class Stochastic(Recorder):
    """A run with mini-batches or noise: the loop passes several checkpoints, and their rows are made afterwards.

    Row k describes x_k, after k steps; f is over all rows of the data.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan, StochasticTotals)
        self.totals: StochasticTotals
        assert plan.drawn is not None
        self.drawn = plan.drawn
        self.kept = Snapshots.of(len(plan.marks), plan.x0.size, len(plan.method.scalars))
        self.snapshot = SNAPSHOT.compile()
        self.z = np.zeros(self.oracle.margins)
        self.best = math.inf  # the least f at a checkpoint
        self.step = plan.method.step.argument
        self.source = _Noisy(self) if plan.drawn.noise is not None else _Batched(self)
        self.evaluation = Evaluation(plan.problem)
        self.judged = self.evaluation(self.kept.x[:0])[1] is not None  # compiles, too
        if self.oracle.value is not None:
            self.oracle.value.compile()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the trace, also of one without a row."""
        return (*COLUMNS, *(("accuracy",) if self.judged else ()), *MORE_COLUMNS, *self.traced, "seconds")

    def loop(self, k: int, k_stop: int) -> tuple[int, int]:
        """Iterations k .. k_stop - 1; returns (iterations done so far, why it returned)."""
        status = GOES_ON
        while k < k_stop and status == GOES_ON:
            k, status = self.source.loop(k, k_stop)
        return k, status

    def reach(self) -> int:
        """The last of the next checkpoints, as many as there is room for."""
        self.kept = self.kept._replace(marks=self.plan.marks[self.passed : self.passed + len(self.kept.numbers)])
        return int(self.kept.marks[-1])

    def record_passed(self, before: int, took: float) -> None:
        """Rows for the checkpoints passed; the time that each was passed at is interpolated."""
        ks = self.kept.marks[: int(self.totals.taken)]
        self._append(ks, self.seconds - took * (self.k - ks) / max(1, self.k - before))
        self.passed += len(ks)

    def record_last(self) -> None:
        """A row where the run ended, if that is no checkpoint."""
        if self.k and not (self.rows and self.rows[-1]["k"] == self.k):
            self.snapshot(self.k, self.books, self.kept)
            self._append(np.array([self.k]), np.array([self.seconds]))

    def points(self) -> dict[str, Any]:
        """x_k: no gradient at x_{k-1} is known that would make it preferable; and the average."""
        x = self.iterate_at(self.k).copy()
        averaged = self.k and self.totals.weight > 0 and self.books.averages
        return {"x": x, "x_avg": (self.books.x_avg if averaged else x).copy(), "x_selected": None}

    def _values_at(self, X: Vector) -> tuple[Vector, Vector | None]:
        """f at each row, and the share of the data's rows predicted right."""
        found: tuple[Vector, Vector | None] = self.unless_at_fault(
            lambda: self.evaluation(X), (np.full(len(X), math.nan), None)
        )
        return found

    def _append(self, ks: Vector, seconds: Vector) -> None:
        """Rows from the first snapshots: x_k, after k steps, and what was seen since the row before."""
        n = len(ks)
        self.totals.taken = 0.0
        if n == 0:
            return
        x, numbers = self.kept.x[:n], self.kept.numbers[:n].T
        t = StochasticTotals.of_numbers(numbers)
        scalars = numbers[len(StochasticTotals.scalars) :]
        f, accuracy = self._values_at(x)
        averaged = (t.weight > 0.0) & self.books.averages
        f_avg = f.copy()
        if averaged.any():
            f_avg[averaged] = self._values_at(self.kept.x_avg[:n][averaged])[0]
        columns = {
            "k": ks,
            "epoch": ks / self.plan.factors.per_epoch,
            "f": f,
            "f_avg": f_avg,
            "f_best": self._best_so_far(f, x),
            "f_batch": t.f_mean,
            **({} if accuracy is None else {"accuracy": accuracy}),
            "g_norm": np.sqrt(t.g2),
            "g_max": np.sqrt(t.g2_max),
            "g0_norm": np.sqrt(t.g0_2),
            "x_dist": np.sqrt(t.x_dist2),
            "S": t.S,
            "weight_sum": t.weight,
            **{name: v for name, v in zip(self.plan.method.scalars, scalars, strict=True) if name[0] != "_"},
            "seconds": seconds,
        }
        values = zip(*(column.tolist() for column in columns.values()), strict=True)
        self.rows += [dict(zip(columns, row, strict=True)) for row in values]

    def _best_so_far(self, f: Vector, x: Vector) -> Vector:
        """The least f at a checkpoint up to each of these; the point is kept."""
        best = np.empty(len(f))
        for i, value in enumerate(f.tolist()):
            if value < self.best:
                self.best, self.x_best = value, x[i].copy()
            best[i] = self.best
        return best


class _Batched:
    """Mini-batches of the rows."""

    def __init__(self, run: Stochastic) -> None:
        oracle, size = run.oracle, run.drawn.batch_size
        assert oracle.batch is not None
        assert oracle.work is not None
        assert size is not None
        self.run, self.size = run, size
        self.orders = Orders(rows_of(run.plan.problem), run.drawn.seed)
        self.work, self.per_epoch = aligned(oracle.work(size)), run.plan.factors.per_epoch
        self.drive, self.batch = DRIVE_BATCHES.compile(), oracle.batch.argument
        SHUFFLE.compile()

    def loop(self, k: int, k_stop: int) -> tuple[int, int]:
        """Steps from k on, as far as the orders that are drawn reach."""
        run, orders = self.run, self.orders
        orders.reach(k // self.per_epoch, (k_stop - 1) // self.per_epoch)
        stop = min(k_stop, orders.end * self.per_epoch)
        batches = Batches(orders.rows, orders.begin, self.size, self.work)
        data, factors = run.oracle.data, run.plan.factors(k, stop)
        k, status = self.drive(self.batch, run.step, k, stop, data, batches, run.books, run.kept, factors)
        return k, status


class _Noisy:
    """The full subgradient with noise, of a compiled objective or one in Python."""

    def __init__(self, run: Stochastic) -> None:
        self.run, self.rng = run, np.random.default_rng(run.drawn.seed)
        self.compiled = (RECORD_AND_STEP if run.oracle.kernel is None else DRIVE_NOISE).compile()
        self.kernel = None if run.oracle.kernel is None else run.oracle.kernel.argument

    def loop(self, k: int, k_stop: int) -> tuple[int, int]:
        """Steps from k on, as many as noise is drawn for."""
        run, p = self.run, self.run.plan.x0.size
        stop = min(k_stop, k + max(1, DRAWN_AT_ONCE // p))
        assert run.drawn.noise is not None
        added, factors = run.drawn.noise.draw(self.rng, (stop - k, p)), run.plan.factors(k, stop)
        if self.kernel is None:
            return self._in_python(k, stop, added, factors)
        data = run.oracle.data
        k, status = self.compiled(
            self.kernel, run.step, k, stop, data, added, run.z, run.books, run.kept, factors
        )  # fmt: skip
        return k, status

    def _in_python(self, k: int, k_stop: int, added: Vector, factors: Vector) -> tuple[int, int]:
        run, books = self.run, self.run.books
        marks = set(run.kept.marks.tolist())
        for i in range(k, k_stop):
            if factors.size:
                books.hyper[books.scheduled] = factors[i - k]
            f = run.evaluate(books.iterates[i % 2], books.g, run.z)
            books.g[:] += added[i - k]
            status = self.compiled(run.step, i, f, books)
            if status != GOES_ON:
                return i, status
            if i + 1 in marks:
                run.snapshot(i + 1, books, run.kept)
        return k_stop, GOES_ON


class Orders:
    """The orders of the rows, epoch by epoch: the same however many are drawn at once."""

    def __init__(self, m: int, seed: int) -> None:
        self.m, self.rng = m, np.random.default_rng(seed)
        self.rows = np.zeros(0, dtype=np.int64)
        self.begin = self.end = 0  # the epochs that `rows` holds

    def reach(self, epoch: int, last: int) -> None:
        """Hold the orders from this epoch on, up to the last one, or to as many as are drawn at once."""
        if epoch >= self.end:
            epochs = min(max(1, DRAWN_AT_ONCE // self.m), last + 1 - epoch)
            self.begin, self.end = self.end, self.end + epochs
            self.rows = np.empty(epochs * self.m, dtype=np.int64)
            SHUFFLE(self.rng.random((epochs, self.m)), self.rows)


def aligned(n: int) -> Vector:
    """n zeros that begin where a cache line does."""
    room = np.zeros(n + ALIGNMENT // 8)
    skipped = -room.ctypes.data % ALIGNMENT // 8
    return room[skipped : skipped + n]


@dataclass
class Evaluation:
    """f over all rows, and the share that is predicted right, at many points in one call."""

    problem: Objective
    work: Vector | None = None

    def __call__(self, X: Vector) -> tuple[Vector, Vector | None]:
        """X : (n, p). Returns f, (n,), and the shares, (n,), or None where labels are no classes."""
        oracle = self.problem.oracle
        if oracle.batch is None or oracle.data is None or oracle.work is None:
            g, z = np.empty(X.shape[1]), np.empty(oracle.margins)
            return np.array([oracle.evaluate(x.copy(), g, z) for x in X]), None
        if self.work is None:
            self.work = aligned(oracle.work(EVALUATED_AT_ONCE))
        found, no_order, nothing = np.empty((len(X), 2)), np.empty(0, dtype=np.int64), np.empty(0)
        EVALUATE(oracle.batch.argument, X, oracle.data, no_order, nothing, self.work, found)
        return found[:, 0], None if oracle.classes is None else found[:, 1] / oracle.data.b.size
