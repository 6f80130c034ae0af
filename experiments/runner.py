"""Runs a suite's grid: cells over processes, each stored when it is finished, then tables, figures and report."""

from __future__ import annotations

import contextlib
import datetime
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dadapt_convex import Kernel
from dadapt_convex.kept_code import compiled_folder
from dadapt_convex.run import FAULTS
from experiments import provenance, store
from experiments.cells import (
    NOT_RUN,
    Cell,
    Failure,
    ProblemKey,
    compile_kernel,
    find_optimum,
    load,
    run_cell,
)
from experiments.processes import Stopped, Work, how_many, workers
from experiments.selection import MethodConfig, select_methods, select_problems
from experiments.suite import BadInput, Options, Suite

OK, PROBLEM = 0, 1

VERDICT_COLUMNS = ("suite", "problem", "method", "label", "seed", *store.VERDICT_COLUMNS)
PROBLEM_COLUMNS = (
    "suite", "problem", "m", "p", "G", "G_exact", "G_note", "G_inf",
    "f_lo", "f_hi", "D_lo", "D_hi", "D_inf_lo", "D_inf_hi", "D_estimate", "attained", "certificate",
    "optimum_seconds", "storage", "source", "sha256", "data_hash", "labels", "notes",
)  # fmt: skip


@dataclass
class Plan:
    """What a command asks for, checked: nothing was written yet."""

    suite: Suite
    options: Options
    steps: int
    configs: list[MethodConfig]
    keys: list[ProblemKey]
    facts: dict[str, dict[str, Any]]  # by problem: the columns of problems.csv that need no optimum
    kernels: list[Kernel]  # what will be compiled: the loop, kernels of the problems, steps of the methods
    out: Path
    cells: list[Cell] = field(default_factory=list)

    @property
    def jobs(self) -> int:
        """The largest number of processes."""
        return how_many(self.options.jobs)

    @property
    def command(self) -> str:
        """What was typed."""
        return shlex.join(["python", "-m", "experiments.run", *self.options.argv])

    def configuration(self) -> dict[str, Any]:
        """Everything that must not change within a results directory."""
        return {
            "suite": self.suite.name,
            "format": store.FORMAT,
            "steps": self.steps,
            "seeds": self.options.seeds,
            "problems": {key.name: key.data_hash for key in self.keys},
            "methods": [config.label for config in self.configs],
            "environment": provenance.environment(),
            "code": provenance.code_fingerprint(),
        }


def plan(suite: Suite, options: Options) -> Plan:
    """Check everything that can be checked before work starts; BadInput with a sentence."""
    steps = options.steps if options.steps is not None else suite.quick_steps if options.quick else suite.steps
    if options.data_dir is not None and not options.data_dir.is_dir():
        raise BadInput(f"--data-dir {options.data_dir} is no directory.")
    how_many(options.jobs)
    configs = select_methods(suite, options.methods)
    names = select_problems(suite, options.problems, steps, options.quick, options.data_dir)
    data_dir = None if options.data_dir is None else str(options.data_dir)
    code = store.code_of({"environment": provenance.environment(), "code": provenance.code_fingerprint()})
    keys, facts, kernels = [], {}, []
    for name in names:
        try:
            problem = load(name, data_dir)
        except (ValueError, OSError, EOFError) as error:
            raise BadInput(str(error) if repr(name) in str(error) else f"{name}: {error}") from None
        keys.append(ProblemKey(name, problem.identity, data_dir, code))
        facts[name] = problem_facts(suite.name, problem, keys[-1].data_hash)
        for config in configs:
            kernels += config_kernels(problem, config)
    # a first look has its own directory: it must not stand in the way of the whole suite, nor the suite in its
    out = options.out or store.DEFAULT_PARENT / (suite.name + ("_quick" if options.quick else ""))
    made = Plan(suite, options, steps, configs, keys, facts, list(dict.fromkeys(kernels)), out)
    made.cells = [
        Cell(suite.name, key, config, seed, steps)
        for key in keys
        for config in configs
        for seed in config.seeds(options.seeds)
    ]
    return made


def config_kernels(problem: Any, config: MethodConfig) -> list[Kernel]:
    """What the runs of a configuration on a problem need compiled; BadInput where it cannot run there."""
    from dadapt_convex.stochastic import sampling
    from dadapt_convex.stochastic_driver import kernels

    try:
        drawn = sampling(problem, **{"batch_size": None, "noise": None, "seed": 0, **config.sampling})
    except ValueError as error:
        raise BadInput(f"{config.label}: {error}") from None
    return kernels(problem, config.method.step, drawn)


def problem_facts(suite: str, problem: Any, hashed: str) -> dict[str, Any]:
    """What problems.csv says of a problem without its optimum."""
    facts = problem.facts
    form = "d" if problem.model is not None and problem.model.classes else "+d"  # a class, or a sign
    labels = ", ".join(f"{label:g} -> {number:{form}}" for label, number in (facts.get("labels") or {}).items())
    return {
        "suite": suite, "problem": problem.name, "m": problem.m, "p": problem.p,
        "G": problem.G, "G_exact": problem.G_exact, "G_note": problem.G_note, "G_inf": problem.G_inf,
        "storage": facts.get("storage", ""), "source": facts.get("source", ""),
        "sha256": facts.get("sha256", ""), "data_hash": hashed,
        "labels": labels, "notes": str(facts.get("notes") or ""),
    }  # fmt: skip


def run_suite(suite: Suite, options: Options) -> int:
    """Run what is missing of the suite's grid and write all files; the exit code."""
    begun, started = time.perf_counter(), datetime.datetime.now(datetime.UTC)
    made = plan(suite, options)
    with store.open_directory(made.out, made.configuration(), options.fresh, named_files) as found:
        from experiments import terminal

        session = _Session(made, terminal.console(), started, begun, found)
        session.announce()
        session.write_manifest("running")
        try:
            session.compute()
            return session.finish()
        except KeyboardInterrupt:
            with contextlib.suppress(store.StoreError):
                session.write_manifest("interrupted")
            raise KeyboardInterrupt(store.what_is_kept(made.out)) from None
        except store.StoreError as error:
            raise BadInput(f"{error}; {store.what_is_kept(made.out)}.") from None
        except Stopped as error:
            session.write_manifest("stopped")
            session.out.print(f"stopped: {error}; {store.what_is_kept(made.out)}.", markup=False, soft_wrap=True)
            return PROBLEM


def named_files(configuration: dict[str, Any]) -> list[str]:
    """The figures and certificates of a configuration, as paths within its directory."""
    from experiments.figure_names import figure_files

    problems = list(configuration.get("problems", {}))
    certificates = [store.certificate_path(Path(), problem) for problem in problems]
    return [*(f"{store.FIGURES}/{name}" for name in figure_files(problems)), *map(str, certificates)]


class _Session:
    """One call of the command on a results directory."""

    def __init__(self, made: Plan, out: Any, started: datetime.datetime, begun: float, found: store.Found) -> None:
        self.plan, self.out, self.started, self.begun, self.found = made, out, started, begun, found
        self.seconds: dict[str, float] = {}
        self.failures: dict[Cell, Failure] = {}
        self.optima: dict[ProblemKey, store.Certified] = {}
        self.files: Mapping[str, str] = found.manifest.get("files", {})
        self.ran = 0

    # -- before

    def announce(self) -> None:
        """Say what will run."""
        made, out = self.plan, self.out
        done = sum(self._stored(cell) for cell in made.cells)
        out.print(
            f"{made.suite.name}: {_count(len(made.keys), 'problem')} x "
            f"{_count(len(made.configs), 'method configuration')} = {_count(len(made.cells), 'cell')} of "
            f"{made.steps} steps, {_count(made.jobs, 'process', 'es')} -> {made.out}",
            markup=False,
            soft_wrap=True,
        )
        if self.found.line:
            out.print(self.found.line, markup=False, soft_wrap=True)
        if done:
            out.print(f"{done} of {len(made.cells)} cells are there already", markup=False)
        if made.options.seeds > 1 and not all(config.stochastic for config in made.configs):
            what = (
                "the deterministic methods run"
                if any(c.stochastic for c in made.configs)
                else "every method here is deterministic and runs"
            )
            out.print(f"--seeds {made.options.seeds}: {what} once, with seed 0", markup=False)

    def _stored(self, cell: Cell) -> bool:
        return store.cell_path(self.plan.out, cell.identity).is_file()

    # -- the work

    def compute(self) -> None:
        """Optima, then cells; what is stored already is left alone."""
        made = self.plan
        missing = [key for key in made.keys if not store.certificate_path(made.out, key.name).is_file()]
        cells = [cell for cell in made.cells if not self._stored(cell)]
        with workers(made.jobs) as work:
            lost: dict[ProblemKey, Failure] = {}
            with self._timed("optima"):
                lost.update(self._each(work, "optima", missing, lambda key: (find_optimum, key, made.out)))
            self.optima = {key: self._optimum(key) for key in made.keys if key not in lost}
            for cell in cells:
                if cell.problem in lost:
                    reason = lost[cell.problem]
                    self.failures[cell] = Failure(f"no certified optimum: {reason.reason}", reason.details)
            with self._timed("compile"):
                if cells:
                    self._compile(work)
            with self._timed("cells"):
                possible = [cell for cell in cells if cell not in self.failures]
                arguments = lambda cell: (run_cell, cell, self.optima[cell.problem], made.out)  # noqa: E731
                self.failures.update(self._each(work, "cells", possible, arguments))
                self.ran = len(possible)

    def _compile(self, work: Work) -> None:
        """Fill the cache of compiled functions, each once; the cells that need one would all wait for it."""
        missing = [kernel for kernel in self.plan.kernels if not kernel.is_compiled()]
        if missing:
            self.out.print(
                f"compiling {_count(len(missing), 'function')}, once: kept in {compiled_folder()}",
                markup=False, soft_wrap=True,
            )  # fmt: skip
            self._each(work, "compile", missing, lambda kernel: (compile_kernel, kernel))

    def _each(
        self, work: Work, what: str, items: Sequence[Any], task: Callable[[Any], tuple[Any, ...]]
    ) -> dict[Any, Failure]:
        from experiments.terminal import progress

        failures = {}
        pending = dict.fromkeys(range(len(items)))  # begun in this order, as many at a time as there are processes

        def waiting() -> str:
            return ", ".join(_name(items[i]) for i in list(pending)[: self.plan.jobs])

        with progress(self.out, what, len(items), waiting) as advance:
            for index, failure in work([task(item) for item in items]):
                pending.pop(index)
                if failure is not None and failure.disk:
                    raise store.StoreError(failure.reason)
                if failure is not None:
                    failures[items[index]] = failure
                advance()
        return failures

    def _optimum(self, key: ProblemKey) -> store.Certified:
        return store.Certified.of(store.read_certificate(store.certificate_path(self.plan.out, key.name))[0])

    @contextlib.contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[what] = round(time.perf_counter() - begun, 3)

    # -- after

    def finish(self) -> int:
        """Tables, figures, report, manifest, summary; the exit code."""
        from experiments import analysis, report, terminal

        made = self.plan
        results = [(cell, store.read_cell(made.out, cell.identity))
                   for cell in made.cells if cell not in self.failures]  # fmt: skip
        for key in self.optima:
            self._optimum(key)  # is there still
        store.write_runs(made.out / store.RUNS, [(cell.key, result) for cell, result in results])
        store.write_csv(made.out / store.PROBLEMS, [self._problem_row(key) for key in made.keys], PROBLEM_COLUMNS)
        verdicts = [{**cell.key, **verdict} for cell, result in results for verdict in result.verdicts]
        store.write_csv(made.out / store.VERDICTS, verdicts, VERDICT_COLUMNS)
        self.files = store.hashes(made.out, store.TABLES)
        for cell, result in results:
            if result.status in FAULTS:
                self.failures[cell] = Failure(result.message)
        loading = sum(result.compile_seconds for _, result in results)  # once in each process
        self.seconds["compile"] = round(self.seconds.get("compile", 0.0) + loading, 3)
        self.seconds["iterations"] = round(sum(result.seconds for _, result in results), 3)
        not_run = [str(cell) for cell, result in results if result.status == NOT_RUN]
        self.write_manifest("finished", not_run)
        with self._timed("figures"):
            analysis.draw_all(made.out, made.jobs, self.out)
        self.write_manifest("finished", not_run)
        report.write(made.out)

        stored = store.Results.read(made.out)
        rows = analysis.summary_by_method(stored.verdicts, analysis.rates(stored.manifest))
        self.out.print(terminal.summary_table(rows))
        self.out.print(terminal.LEGEND, markup=False)
        return self._close(rows)

    def _close(self, rows: list[dict[str, Any]]) -> int:
        say = lambda text: self.out.print(text, markup=False, soft_wrap=True)  # noqa: E731
        for cell, failure in self.failures.items():
            say(f"failed: {cell}: {failure.reason}")
        violated = sum(row["VIOLATED"] for row in rows)
        if violated:
            say(f"{_count(violated, 'bound')} VIOLATED: see {self.plan.out / store.VERDICTS}")
        say(f"report: {self.plan.out / store.REPORT}")
        return PROBLEM if self.failures or violated else OK

    def _problem_row(self, key: ProblemKey) -> dict[str, Any]:
        row = dict(self.plan.facts[key.name])
        optimum = self.optima.get(key)
        if optimum is not None:
            same = ("f_lo", "f_hi", "D_lo", "D_hi", "D_inf_lo", "D_inf_hi", "D_estimate", "attained")
            row.update({name: getattr(optimum, name) for name in same})
            row.update(certificate=optimum.kind, optimum_seconds=optimum.seconds)
            row["notes"] = "; ".join(filter(None, [row["notes"], *optimum.notes]))
        return row

    def write_manifest(self, state: str, not_run: Sequence[str] = ()) -> None:
        """Write what is known by now."""
        made = self.plan
        this = {
            "started": self.started.isoformat(timespec="seconds"),
            "seconds": {**self.seconds, "total": round(time.perf_counter() - self.begun, 3)},
            "cells": self.ran,
            "jobs": made.jobs,
        }
        store.write_manifest(
            made.out,
            {
                "state": state,
                "command": made.command,
                "argv": list(made.options.argv),
                "configuration": made.configuration(),
                "seeds": list(range(made.options.seeds)),
                "cells": len(made.cells),
                "failed": [{"cell": str(cell), "reason": f.reason} for cell, f in self.failures.items()],
                "not_run": list(not_run),
                "files": self.files,
                **provenance.commit(),
                "versions": provenance.versions(),
                "machine": provenance.machine(),
                "theorems": theorem_texts(made.configs) if state == "finished" else {},
                "sessions": [*self.found.manifest.get("sessions", []), this],
            },
        )


def theorem_texts(configs: Sequence[MethodConfig]) -> dict[str, dict[str, Any]]:
    """What tables and report say of every theorem: statement, source, and whether figures draw its bound."""
    import dadapt_convex as dc

    known = dc.theorems()
    claimed = {c for config in configs for c in config.method.claims}
    return {
        theorem.name: {"statement": theorem.statement, "source": theorem.source, "figure": theorem.figure}
        for theorem in [*known.values(), *(c for c in claimed if not isinstance(c, str))]
    }


def _name(item: Any) -> str:
    """Of a problem, a cell or a kernel, as lines on progress show it."""
    if isinstance(item, Kernel):
        return f"{item.python.__module__.rpartition('.')[2]}.{item.python.__name__}"
    return item.name if isinstance(item, ProblemKey) else str(item)


def _count(number: int, what: str, plural: str = "s") -> str:
    return f"{number} {what if number == 1 else what + plural}"
