"""One cell: one method configuration on one problem with one seed, run in a worker process."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from experiments import store
from experiments.engine.task import Task
from experiments.selection import MethodConfig
from experiments.suite import BadInput

if TYPE_CHECKING:
    import pandas as pd

    from dadapt_convex import Kernel
    from problems import Optimum, Problem

NOT_RUN = "not run"
# A process works through the cells of one problem, then of the next; the second place is for the overlap.
PROBLEMS_HELD = 2
TRACE_OF = {"avg": "f_avg", "best": "f_best", "last": "f"}


@dataclass(frozen=True)
class ProblemKey:
    """A problem by name, for another process.

    data_hash : the problem's identity. code : a hash of the code and the versions that compute with it (store.code_of).
    """

    name: str
    data_hash: str
    data_dir: str | None = None
    code: str = ""

    def optimum_task(self) -> Task:
        """The task that searches its certified optimum."""
        file = store.certificate_file(self.name)
        return Task(find_optimum, (self,), self.name, f"{self.code} {self.data_hash}", file)


@dataclass(frozen=True)
class Cell:
    """One run to make."""

    suite: str
    problem: ProblemKey
    config: MethodConfig
    seed: int
    steps: int

    def task(self, optimum: Optimum | None) -> Task:
        """The task of its run, against the optimum of its problem, which travels without the proof."""
        hyper = [list(pair) for pair in self.config.hyper]
        identity = store.digest(
            store.FORMAT, self.problem.code, self.suite, self.problem.name, self.problem.data_hash, self.config.name,
            hyper, self.steps, self.seed,
        )  # fmt: skip
        light = None if optimum is None else replace(optimum, certificate=None)
        return Task(run_cell, (self, light), str(self), identity, store.cell_file(identity))

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
class CellResult:
    """The outcome of one cell: a trace (None where the method was not run), verdicts, and how it went.

    status : the run's status, or "not run"; message: the status in a sentence.
    hyper, given : all hyper-parameters, and where those came from that the caller did not set.
    verdicts : rows with VERDICT_COLUMNS.
    seconds, compile_seconds : in iterations, and in compiling or loading compiled code.
    """

    status: str
    message: str
    trace: Any = None
    hyper: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=dict)
    verdicts: Sequence[Mapping[str, Any]] = ()
    seconds: float = 0.0
    compile_seconds: float = 0.0

    def rows(self) -> store.Rows:
        """The rows to store."""
        about = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "trace"}
        return store.Rows({} if self.trace is None else {c: self.trace[c].to_numpy() for c in self.trace}, about)

    @classmethod
    def of(cls, rows: store.Rows) -> CellResult:
        """The outcome in stored rows."""
        import pandas as pd

        trace = pd.DataFrame(rows.columns)
        return cls(trace=None if trace.empty else trace, **rows.about)


@functools.lru_cache(maxsize=PROBLEMS_HELD)
def load(name: str, data_dir: str | None) -> Problem:
    """The problem, loaded once per process for all its consecutive cells."""
    import problems

    return problems.get(name, data_dir=data_dir)


def loaded(name: str, data_dir: str | None) -> Problem:
    """The problem that load() returns; BadInput where there is none of this name, or its data do not fit."""
    try:
        return load(name, data_dir)
    except (ValueError, OSError, EOFError) as error:
        raise BadInput(str(error) if repr(name) in str(error) else f"{name}: {error}") from None


def compile_kernel(kernel: Kernel) -> None:
    """Compile a function into the folder of compiled functions."""
    with contextlib.suppress(Exception):  # the cells that need it fail with this exception, and say so
        kernel.compile()


def find_optimum(problem: ProblemKey) -> Optimum:
    """The optimum, with its certificate."""
    return load(problem.name, problem.data_dir).optimum()


def run_cell(cell: Cell, optimum: Optimum) -> store.Rows:
    """Run and judge one cell."""
    return solve_and_check(cell, optimum).rows()


def solve_and_check(cell: Cell, optimum: Optimum) -> CellResult:
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
        return CellResult(NOT_RUN, note, hyper=hyper, verdicts=verdicts)

    run = dc.solve(load(cell.problem.name, cell.problem.data_dir), method, steps=cell.steps, optimum=optimum, **hyper)
    if run.status == INTERRUPTED:  # solve() returns a part of the run; a cell is whole or absent
        raise KeyboardInterrupt
    table = dc.check(run, optimum)
    trace = None
    if not run.trace.empty:
        trace = with_gaps(run.trace, optimum.f_lo, optimum.f_hi)
        trace = with_bound(trace, dc.gap_bounds(run, optimum))
    return CellResult(
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


def with_gaps(trace: pd.DataFrame, f_lo: float, f_hi: float) -> pd.DataFrame:
    """The trace with gap_<iterate>_lo and _hi: f - f_hi and f - f_lo, never clipped, so they may be below 0."""
    gaps = {}
    for iterate in store.ITERATES:
        f = trace[TRACE_OF[iterate]]
        gaps[f"gap_{iterate}_lo"], gaps[f"gap_{iterate}_hi"] = f - f_hi, f - f_lo
    return trace.assign(**gaps)


def with_bound(trace: pd.DataFrame, bounds: pd.DataFrame) -> pd.DataFrame:
    """The trace with the method's main bound on a gap: bound, bound_theorem, bound_iterate."""
    if bounds.empty:
        return trace
    theorem = bounds["theorem"].iloc[0]
    main = bounds[bounds["theorem"] == theorem]
    main = main[main["iterate"] == main["iterate"].iloc[0]]
    bound = main.drop_duplicates("k").set_index("k")["bound"]
    return trace.assign(
        bound=trace["k"].map(bound).astype(float), bound_theorem=theorem, bound_iterate=main["iterate"].iloc[0]
    )
