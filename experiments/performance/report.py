"""The suite from the command line's options to its files: performance.csv, performance.md, manifest.json."""

from __future__ import annotations

import datetime
import shlex
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from rich.table import Table
from threadpoolctl import threadpool_limits

from experiments import provenance, store
from experiments.performance import minibatch
from experiments.performance.cases import A9A, BATCH_SIZE, BUILT_IN, FURTHER, MINI_BATCHES, SEED, Case, MiniBatch, build
from experiments.performance.measure import SAME_ITERATES, Row, measure
from experiments.performance.processes import process_rows
from experiments.suite import BadInput, Options
from experiments.terminal import console, table

CSV, MARKDOWN = "performance.csv", "performance.md"
COLUMNS = tuple(field.name for field in fields(Row))
OK, PROBLEM = 0, 1

ABOUT = f"""\
CPU times of one thread, all from one run and interleaved (A B C, C B A, ...). `ours` and `reference` are medians
over the rounds; `ratio` is the median of the ratios taken round by round, with the smallest and the largest of them:
reference / ours, but ours / reference for processes. Trust the ratios: a time alone says more of the machine.

- iteration: `dadapt_dual_averaging` as `solve()` runs it, with f, both averages, the sums of the theorems, the best and
  the selected iterate; compilation excluded. The NumPy/SciPy loop keeps f, x, d and the averages of x and the margins.
- against the limit: the limit is reading the matrix once from where it lives in the caches, plus the loss of m margins
  by the faster of two blocks measured here: this project's and NumPy's. `fraction` is limit / ours.
- loss block: the value and derivative of the logistic loss over m margins.
- mini-batch step: `dadapt_adam` on multinomial logistic regression in batches of {BATCH_SIZE}, as `solve()` runs it: in
  the paper's convention against a NumPy loop, in the released one against the released package in an ordinary PyTorch
  loop. All take the same batches; `solve()` draws their order in its time, the others are handed it.
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
    """How much is measured: the cases, and how many rounds of each; process_rounds = 0 starts no processes."""

    cases: tuple[Case | MiniBatch, ...]
    rounds: int
    cold_rounds: int
    process_rounds: int


FULL = Effort(cases=(*BUILT_IN, A9A, *FURTHER, *MINI_BATCHES), rounds=15, cold_rounds=2, process_rounds=3)
QUICK = Effort(cases=(*BUILT_IN, A9A, *MINI_BATCHES), rounds=5, cold_rounds=1, process_rounds=1)


def redraw(out: Path) -> None:
    """Nothing: the table is the result."""
    raise BadInput(
        f"{out} holds results of the suite performance, whose table is {MARKDOWN}: there is nothing to redraw."
    )


def execute(options: Options, effort: Effort | None = None) -> int:
    """Measure, write the files, show the table; 1 where two loops do not compute the same."""
    chosen = effort or (QUICK if options.quick else FULL)
    if options.data_dir is not None and not options.data_dir.is_dir():
        raise BadInput(f"--data-dir {options.data_dir} is no directory.")
    out = options.out or store.DEFAULT_PARENT / ("performance_quick" if options.quick else "performance")
    with store.claimed(out, lambda: _find(out)) as found:
        return _measure(out, options, chosen, found)


def _measure(out: Path, options: Options, chosen: Effort, found: store.Found) -> int:
    begun, started = time.perf_counter(), datetime.datetime.now(datetime.UTC)
    terminal = console()
    if found.line:
        terminal.print(found.line, markup=False, soft_wrap=True)
    rows, absent = collect(chosen, options.data_dir, lambda text: terminal.print(text, markup=False))
    manifest = {
        "state": "finished",
        "command": shlex.join(["python", "-m", "experiments.run", *options.argv]),
        "argv": list(options.argv),
        "configuration": {
            "suite": "performance",
            "format": store.FORMAT,
            "rounds": chosen.rounds,
            "cases": [case.size for case in chosen.cases if case.size not in absent],
            "environment": provenance.environment(),
            "code": provenance.code_fingerprint(),
        },
        "seeds": [SEED],
        "data_absent": absent,
        "threads": 1,
        **provenance.commit(),
        "versions": provenance.versions() | provenance.versions(minibatch.PACKAGES),
        "machine": provenance.machine(),
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - begun, 1),
    }
    try:
        store.write_csv(out / CSV, [asdict(row) for row in rows], COLUMNS)
        store.write_text(out / MARKDOWN, markdown(rows, absent, manifest))
        store.write_manifest(out, {**manifest, "files": store.hashes(out, (CSV, MARKDOWN))})
    except store.StoreError as error:
        raise BadInput(f"{error}; use another --out.") from None

    terminal.print(terminal_table(rows))
    differences = [row for row in rows if _compares(row)]
    worst = max(row.ours for row in differences)
    same = all(row.met == "yes" for row in differences)
    terminal.print(
        f"{'all loops compute the same iterates' if same else 'two loops do NOT compute the same'}: "
        f"largest relative difference {worst:.1e}"
    )
    judged = [row for row in rows if row.met and not _compares(row)]
    missed = sum(row.met == "no" for row in judged)
    terminal.print(f"{missed} of {len(judged)} targets missed; see {out / MARKDOWN}", markup=False, soft_wrap=True)
    return OK if same else PROBLEM


def _find(out: Path) -> store.Found:
    """What was there before; BadInput where that is another suite's."""
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


def collect(effort: Effort, data_dir: Path | None, say: Callable[[str], None]) -> tuple[list[Row], list[str]]:
    """All rows, and the sizes left out because their data are absent."""
    rows: list[Row] = []
    absent: list[str] = []
    with threadpool_limits(limits=1):
        for case in effort.cases:
            try:
                problem = build(case, data_dir)
            except ValueError as error:
                raise BadInput(f"{case.source}: {error}") from None
            if problem is None:
                absent.append(case.size)
                say(f"{case.size}: no data, left out")
            elif isinstance(case, MiniBatch):
                say(f"{case.size}: {effort.rounds} rounds, mini-batches")
                rows += minibatch.measure(case, problem, effort.rounds)
            else:
                say(f"{case.size}: {effort.rounds} rounds")
                rows += measure(case, problem, effort.rounds)
    if _left_out(rows):
        say(NOT_INSTALLED)
    if effort.process_rounds:
        say("processes: cold and warm first result, --help, list")
        with tempfile.TemporaryDirectory() as folder:
            rows += process_rows(Path(folder), effort.cold_rounds, effort.process_rounds)
    return rows, absent


def _compares(row: Row) -> bool:
    """Whether the row says that two loops compute the same, and nothing of time."""
    return row.what.startswith(SAME_ITERATES)


def _left_out(rows: Sequence[Row]) -> bool:
    """Whether mini-batches were measured without the released package."""
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
    """What has a target, or stands against a reference."""
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
