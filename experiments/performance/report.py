"""The suite `performance`: measurements as tasks, and the files performance.csv and performance.md."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from rich.table import Table

from experiments import provenance, store
from experiments.engine.session import Session, Work
from experiments.engine.task import Task
from experiments.performance import minibatch
from experiments.performance.cases import A9A, BATCH_SIZE, BUILT_IN, FURTHER, MINI_BATCHES, SEED, Case, MiniBatch, build
from experiments.performance.measure import METHOD, SAME_ITERATES, Row, measure
from experiments.performance.processes import process_rows
from experiments.performance.steps import measured as steps_measured
from experiments.suite import BadInput, Options, Suite
from experiments.terminal import table

CSV, MARKDOWN = "performance.csv", "performance.md"
COLUMNS = tuple(field.name for field in fields(Row))

ABOUT = f"""\
CPU times of one thread, all from one run and interleaved (A B C, C B A, ...). `ours` and `reference` are medians
over the rounds; `ratio` is the median of the ratios taken round by round, with the smallest and the largest of them:
reference / ours, but ours / reference for processes. Trust the ratios: a time alone says more of the machine.

- iteration: `{METHOD}` as `solve()` runs it, with f, both averages, the sums of the theorems, the best and
  the selected iterate; compilation excluded. The NumPy/SciPy loop keeps f, x, d and the averages of x and the margins.
- against the limit: the limit is reading the matrix once from where it lives in the caches, plus the loss of m margins
  by the faster of two blocks measured here: this project's and NumPy's. `fraction` is limit / ours.
- loss block: the value and derivative of the logistic loss over m margins.
- mini-batch step: `{minibatch.METHOD}` on multinomial logistic regression in batches of {BATCH_SIZE}, as `solve()`
  runs it: in the paper's convention against a NumPy loop, in the released one against the released package in an
  ordinary PyTorch loop. All take the same batches; `solve()` draws their order in its time, the others are handed it.
- step: `{METHOD}` alone, whose state has names, against its twin that reads and writes arrays by numbers.
- first result: a whole process that solves a problem of 200x30, with an empty and with a filled cache.
"""
MISSED = """\
The kernels are a first version: blocks of rows, a branch-free loss, plain gathers; rows are neither padded nor sorted,
and data whose values are all 1 still read them. Where a target is missed, that is how far they are from it.
"""
NOT_INSTALLED = (
    f"{minibatch.RELEASED_STEP}: left out, because PyTorch or the released package is not installed; "
    f"`{minibatch.INSTALL}` adds it"
)


@dataclass(frozen=True)
class Effort:
    """The extent of a measurement: the cases, and the rounds of each; process_rounds = 0 starts no processes."""

    cases: tuple[Case | MiniBatch, ...]
    rounds: int
    cold_rounds: int
    process_rounds: int


FULL = Effort(cases=(*BUILT_IN, A9A, *FURTHER, *MINI_BATCHES), rounds=15, cold_rounds=2, process_rounds=3)
QUICK = Effort(cases=(*BUILT_IN, A9A, *MINI_BATCHES), rounds=5, cold_rounds=1, process_rounds=1)


class Performance(Work):
    """An effort, one measurement after the other in this process, which must have the machine for itself."""

    tables = (CSV, MARKDOWN)
    page = MARKDOWN

    def __init__(self, suite: Suite, options: Options, effort: Effort | None = None) -> None:
        super().__init__(suite, options)
        self.effort = effort or (QUICK if options.quick else FULL)
        self.jobs = 1
        self.absent: list[str] = []  # sizes left out because their data are absent
        self.rows: list[Row] = []

    def configuration(self) -> dict[str, Any]:
        """The measurements: cases and rounds."""
        return {
            "suite": self.suite.name,
            "rounds": self.effort.rounds,
            "cases": [case.size for case in self.effort.cases if case.size not in self.absent],
            **store.same_code(),
        }

    def open(self) -> contextlib.AbstractContextManager[store.Found]:
        """The directory as it is: earlier results stay until the new ones are there."""
        return store.claimed(self.out, lambda: _find(self.out))

    def announce(self, session: Session) -> None:
        """Say what is measured."""
        session.say(f"{self.suite.name}: {len(self.effort.cases)} sizes, {self.effort.rounds} rounds -> {self.out}")

    def compute(self, session: Session) -> None:
        """Measure; then the tables."""
        effort = self.effort
        cases = {case.size: Task(measured, (case, self.options.data_dir, effort.rounds), case.size)
                 for case in effort.cases}  # fmt: skip
        processes = Task(whole_processes, (effort.cold_rounds, effort.process_rounds), "processes")
        steps = Task(steps_measured, (effort.rounds,), "steps")
        tasks = [steps, *cases.values(), *([processes] if effort.process_rounds else [])]
        outcomes = session.run(tasks, "measurements")
        self.absent = [size for size in cases if outcomes[size] is None]
        self.rows = [row for rows in outcomes.values() if isinstance(rows, list) for row in rows]
        for size in self.absent:
            session.say(f"{size}: no data, left out")
        if _left_out(self.rows):
            session.say(NOT_INSTALLED)
        versions = provenance.versions() | provenance.versions(minibatch.PACKAGES)
        started = session.started.isoformat(timespec="seconds")
        self.facts |= {
            "seeds": [SEED], "data_absent": self.absent, "threads": 1, "started": started, "versions": versions,
        }  # fmt: skip
        about = {"machine": provenance.machine(), "command": self.command}
        store.write_csv(self.out / CSV, [asdict(row) for row in self.rows], COLUMNS)
        store.write_text(self.out / MARKDOWN, markdown(self.rows, self.absent, about))

    def show(self, session: Session) -> bool:
        """Show the rows with a target; returns True where all loops compute equal iterates."""
        session.console.print(terminal_table(self.rows))
        differences = [row for row in self.rows if _compares(row)]
        same = all(row.met == "yes" for row in differences)
        said = "all loops compute equal iterates" if same else "two loops do NOT compute equal iterates"
        worst = max((row.ours for row in differences), default=0.0)
        session.say(f"{said}: largest relative difference {worst:.1e}")
        judged = [row for row in self.rows if row.met and not _compares(row)]
        missed = sum(row.met == "no" for row in judged)
        session.say(f"{missed} of {len(judged)} targets missed; see {self.out / MARKDOWN}")
        return same


def _find(out: Path) -> store.Found:
    """The earlier results; BadInput where they are another suite's."""
    try:
        manifest = store.read_manifest(out) or {}
    except store.Damaged:
        if not (out / CSV).exists():
            raise BadInput(f"{out / store.MANIFEST} is not one of this suite, or damaged; use another --out.") from None
        return store.Found({}, [store.MANIFEST])
    suite = manifest.get("configuration", {}).get("suite", "performance")
    if suite != "performance":
        raise BadInput(f"{out} holds results of the suite {suite}; use another --out.")
    return store.Found(manifest, store.changed_tables(out, manifest))


def measured(case: Case | MiniBatch, data_dir: Path | None, rounds: int) -> list[Row] | None:
    """The rows of a case; None where its data are absent."""
    problem = build(case, data_dir)
    if problem is None:
        return None
    if isinstance(case, MiniBatch):
        return minibatch.measure(case, problem, rounds)
    return measure(case, problem, rounds)


def whole_processes(cold_rounds: int, rounds: int) -> list[Row]:
    """The rows of cold and warm first results, --help and list."""
    with tempfile.TemporaryDirectory() as folder:
        return process_rows(Path(folder), cold_rounds, rounds)


def _compares(row: Row) -> bool:
    """True for a row that compares the results of two loops, not their times."""
    return row.what.startswith(SAME_ITERATES)


def _left_out(rows: Sequence[Row]) -> bool:
    """True where mini-batches were measured without the released package."""
    found = {row.what for row in rows}
    return minibatch.PAPER_STEP in found and minibatch.RELEASED_STEP not in found


# ---------------------------------------------------------------------------------------------------------
# Tables

HEADER = ("what", "size", "ours", "reference", "ratio (min to max)", "limit", "fraction", "target", "met")
LEFT = ("what", "size", "target", "met")


def cells(row: Row) -> tuple[str, ...]:
    """The row as text, under HEADER."""
    ratio = _number(row.ratio)
    if row.ratio_min is not None and row.rounds > 1:
        ratio += f" ({_short(row.ratio_min)} to {_short(row.ratio_max)})"
    return (
        row.what, row.size, f"{_number(row.ours)} {row.unit}", _number(row.reference), ratio,
        _number(row.limit), _number(row.fraction), row.target, row.met,
    )  # fmt: skip


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}" if value < 100 else f"{value:.0f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def terminal_table(rows: Sequence[Row]) -> Table:
    """The rows that have a target, or stand against a reference."""
    shown = table("Performance: medians of interleaved rounds")
    for name in HEADER:
        shown.add_column(name, justify="left" if name in LEFT else "right", no_wrap=True)
    for row in rows:
        if not _compares(row) and (row.target or row.reference is not None):
            shown.add_row(*cells(row), style={"yes": "green", "no": "yellow"}.get(row.met, ""))
    return shown


def markdown(rows: Sequence[Row], absent: Sequence[str], manifest: dict[str, Any]) -> str:
    """performance.md."""
    machine = manifest["machine"]
    lines = ["# Performance", "", f"{machine['cpu']}, {machine['system']}: `{manifest['command']}`", "", ABOUT]
    lines += [_line(HEADER), _line(["---"] * len(HEADER)), *(_line(cells(row)) for row in rows), ""]
    lines += ["## Notes", ""]
    lines += dict.fromkeys(f"- {row.what}: the reference is {row.reference_is}." for row in rows if row.reference_is)
    lines += [f"- {row.what}, {row.size}: {row.note}." for row in rows if row.note]
    lines += [f"- {size}: left out, because there are no data." for size in absent]
    lines += [f"- {NOT_INSTALLED}."] if _left_out(rows) else []
    missed = [row for row in rows if row.met == "no"]
    lines += ["", "## Targets missed", "", MISSED if missed else "None."]
    lines += [f"- {row.what}, {row.size}: asked {row.target}, found {_judged(row)}" for row in missed]
    return "\n".join(lines) + "\n"


def _judged(row: Row) -> str:
    unit = {"ratio": "x", "fraction": " of the limit"}.get(row.target_of, f" {row.unit}")
    return _number(getattr(row, row.target_of)) + unit


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"
