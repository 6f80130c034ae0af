"""One cell: one method configuration on one problem with one seed; what worker processes do."""

from __future__ import annotations

import contextlib
import functools
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments import store
from experiments.selection import MethodConfig

if TYPE_CHECKING:
    from dadapt_convex import Kernel
    from problems import Problem

NOT_RUN = "not run"
# A process works through the cells of one problem, then of the next; the second place is for the overlap.
PROBLEMS_HELD = 2


@dataclass(frozen=True)
class ProblemKey:
    """A problem as it is told to another process: by name.

    data_hash : the problem's identity. code : a hash of the code and the versions that compute with it (store.code_of).
    """

    name: str
    data_hash: str
    data_dir: str | None = None
    code: str = ""


@dataclass(frozen=True)
class Cell:
    """One run to make."""

    suite: str
    problem: ProblemKey
    config: MethodConfig
    seed: int
    steps: int

    @property
    def identity(self) -> str:
        """A hash of everything the numbers depend on."""
        hyper = [list(pair) for pair in self.config.hyper]
        return store.digest(
            store.FORMAT, self.problem.code, self.suite, self.problem.name, self.problem.data_hash, self.config.name,
            hyper, self.steps, self.seed,
        )  # fmt: skip

    @property
    def key(self) -> dict[str, Any]:
        """The columns that name the cell in every table."""
        return {
            "suite": self.suite,
            "problem": self.problem.name,
            "method": self.config.name,
            "label": self.config.label,
            "seed": self.seed,
        }

    def __str__(self) -> str:
        return f"{self.config.label} on {self.problem.name}" + (f", seed {self.seed}" if self.seed else "")


@dataclass(frozen=True)
class Failure:
    """An exception in a worker, in words; disk: nothing can be stored any more."""

    reason: str
    details: str = ""
    disk: bool = False


@functools.lru_cache(maxsize=PROBLEMS_HELD)
def load(name: str, data_dir: str | None) -> Problem:
    """The problem, loaded once per process for all cells of it that follow each other."""
    import problems

    return problems.get(name, data_dir=data_dir)


def compile_kernel(kernel: Kernel) -> None:
    """Compile a function into the folder of compiled functions."""
    with contextlib.suppress(Exception):  # the cells that need it fail with this exception, and say so
        kernel.compile()


def find_optimum(problem: ProblemKey, out: Path) -> Failure | None:
    """Compute the certified optimum and store it."""
    try:
        with one_thread():
            optimum = load(problem.name, problem.data_dir).optimum()
            store.write_certificate(store.certificate_path(out, problem.name), optimum, code=problem.code)
    except Exception as error:
        return _failure(error)
    return None


def run_cell(cell: Cell, optimum: store.Certified, out: Path) -> Failure | None:
    """Run, judge and store one cell."""
    try:
        with one_thread():
            result = solve_and_check(cell, optimum)
            store.write_cell(out, cell.identity, result)
    except Exception as error:
        return _failure(error)
    return None


def _failure(error: Exception) -> Failure:
    if isinstance(error, store.StoreError):
        return Failure(str(error), disk=True)
    return Failure(f"{type(error).__name__}: {' '.join(str(error).split())}", traceback.format_exc())


def solve_and_check(cell: Cell, optimum: store.Certified) -> store.CellResult:
    """The run with its verdicts; KeyboardInterrupt passes through."""
    import dadapt_convex as dc
    from dadapt_convex.run import INTERRUPTED
    from dadapt_convex.theory import FLOAT64, claims

    method, hyper = cell.config.method, dict(cell.config.hyper)
    if cell.config.stochastic:  # rows where the deterministic methods have theirs
        hyper = {"seed": cell.seed, "checkpoints": "log", **hyper}
    if (optimum.attained is False or optimum.D_hi == 0) and _needs_D(cell.config):
        why = "x0 is a minimiser already" if optimum.D_hi == 0 else "the problem has no minimiser"
        note = f"not run: needs D, and {why}"
        verdicts = [
            {
                "theorem": theorem.name,
                "kind": theorem.kind,
                "verdict": dc.theory.NOT_APPLICABLE,
                "worst_ratio": None,
                "k": None,
                "arithmetic": FLOAT64,
                "note": note,
            }
            for theorem in claims(method)
        ]
        return store.CellResult(NOT_RUN, note, hyper=hyper, verdicts=verdicts)

    run = dc.solve(load(cell.problem.name, cell.problem.data_dir), method, steps=cell.steps, optimum=optimum, **hyper)
    if run.status == INTERRUPTED:  # solve() returns what it has; a cell is whole or not there
        raise KeyboardInterrupt
    table = dc.check(run, optimum)
    trace = None
    if not run.trace.empty:
        trace = store.with_gaps(run.trace, optimum.f_lo, optimum.f_hi)
        trace = store.with_bound(trace, dc.gap_bounds(run, optimum))
    return store.CellResult(
        status=run.status,
        message=run.message,
        trace=trace,
        hyper=dict(run.hyper),
        given=dict(run.given),
        verdicts=[dict(zip(store.VERDICT_COLUMNS, row, strict=True)) for row in _rows(table)],
        seconds=run.seconds,
        compile_seconds=run.compile_seconds,
    )


def _needs_D(config: MethodConfig) -> bool:
    given = dict(config.hyper)
    return any(h.known == "D" and h.name not in given for h in config.method.hyper)


def _rows(table: Any) -> list[list[Any]]:
    return table[list(store.VERDICT_COLUMNS)].astype(object).values.tolist()


def one_thread() -> Any:
    """Keep BLAS to one thread: cells run in parallel, and sums split otherwise round otherwise."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1)
