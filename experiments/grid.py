"""Suites of problems x method configurations: cells over the engine, then tables, figures, report and verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dadapt_convex import Kernel
from dadapt_convex.kept_code import compiled_folder
from dadapt_convex.run import FAULTS
from experiments import analysis, report, store
from experiments.cells import NOT_RUN, Cell, CellResult, ProblemKey, compile_kernel, loaded
from experiments.engine.session import Session, Work
from experiments.engine.task import Executor, Failure, Task
from experiments.output import counted
from experiments.selection import MethodConfig, select_methods, select_problems
from experiments.suite import BadInput, Options, Suite

if TYPE_CHECKING:
    from rich.console import Console

    from problems import Optimum

VERDICT_COLUMNS = ("suite", "problem", "method", "label", "seed", *store.VERDICT_COLUMNS)
PROBLEM_COLUMNS = (
    "suite", "problem", "m", "p", "G", "G_exact", "G_note", "G_inf",
    "f_lo", "f_hi", "D_lo", "D_hi", "D_inf_lo", "D_inf_hi", "D_estimate", "attained", "certificate",
    "optimum_seconds", "storage", "source", "sha256", "data_hash", "labels", "notes",
)  # fmt: skip
OF_OPTIMUM = ("f_lo", "f_hi", "D_lo", "D_hi", "D_inf_lo", "D_inf_hi", "D_estimate", "attained")


class Grid(Work):
    """A suite of problems x method configurations.

    keys, configs, cells : the problems, the methods, and each method on each problem with each seed.
    rows : by problem, the columns of problems.csv that need no optimum.
    kernels : what will be compiled: the loop, kernels of the problems, steps of the methods.
    """

    tables = store.TABLES

    def __init__(self, suite: Suite, options: Options) -> None:
        super().__init__(suite, options)
        self.steps = options.steps or suite.steps
        self.seeds = options.seeds or suite.seeds
        for what in ("problems", "methods"):
            if not (getattr(suite, what) or getattr(options, what)):
                raise BadInput(f"suite {suite.name} has no {what}; give it some, or --{what} on the command line.")
        self.configs = select_methods(suite, options.methods)
        self.keys: list[ProblemKey] = []
        self.rows: dict[str, dict[str, Any]] = {}
        self.kernels: list[Kernel] = []
        code = store.code_of(store.same_code())
        for name in select_problems(suite, options.problems, self.steps, options.data_dir):
            problem = loaded(name, self.data_dir)
            self.keys.append(ProblemKey(name, problem.identity, self.data_dir, code))
            self.rows[name] = problem_facts(suite.name, problem)
            for config in self.configs:
                self.kernels += config_kernels(problem, config)
        self.cells = [
            Cell(suite.name, key, config, seed, self.steps)
            for key in self.keys
            for config in self.configs
            for seed in config.seeds(self.seeds)
        ]
        self.facts["cells"] = len(self.cells)

    def configuration(self) -> dict[str, Any]:
        """Everything that must not change within a results directory."""
        return {
            "suite": self.suite.name,
            "steps": self.steps,
            "seeds": self.seeds,
            "problems": {key.name: key.data_hash for key in self.keys},
            "methods": [config.label for config in self.configs],
            **store.same_code(),
        }

    def kept(self) -> Sequence[Task]:
        """The tasks of the optima, whose files are named after the problems."""
        return [key.optimum_task() for key in self.keys]

    def announce(self, session: Session) -> None:
        """Say what will run."""
        session.say(
            f"{self.suite.name}: {counted(len(self.keys), 'problem')} x "
            f"{counted(len(self.configs), 'method configuration')} = {counted(len(self.cells), 'cell')} of "
            f"{self.steps} steps, {counted(self.jobs, 'process', 'es')} -> {self.out}"
        )
        if self.seeds > 1 and not all(config.stochastic for config in self.configs):
            mixed = any(config.stochastic for config in self.configs)
            what = "the deterministic methods run" if mixed else "every method here is deterministic and runs"
            session.say(f"--seeds {self.seeds}: {what} once, with seed 0")

    def compute(self, session: Session) -> None:
        """Make optima, compiled functions and cells; then the tables."""
        out = self.out
        if done := sum(cell.task(None).is_stored(out) for cell in self.cells):
            session.say(f"{done} of {len(self.cells)} cells are there already")
        lost = session.run(self.kept(), "optima")
        lost = {name: session.failures.pop(name) for name, outcome in lost.items() if isinstance(outcome, Failure)}
        optima = {key: _optimum(out, key) for key in self.keys if key.name not in lost}
        tasks = {cell: cell.task(optima[cell.problem]) for cell in self.cells if cell.problem in optima}
        missing = [task for task in tasks.values() if not task.is_stored(out)]
        if missing:
            compile_missing(session, self.kernels)
        session.run(missing, "cells")
        for cell in self.cells:
            if cell.problem.name in lost:
                reason = lost[cell.problem.name]
                session.failures[str(cell)] = Failure(f"no certified optimum: {reason.reason}", reason.details)
        finished = [cell for cell in self.cells if str(cell) not in session.failures]
        results = [(cell, CellResult.of(store.read_rows(out / tasks[cell].file))) for cell in finished]
        optima = {key: _optimum(out, key) for key in optima}  # again: none is claimed whose file has gone meanwhile
        store.write_runs(out / store.RUNS, [(cell.key, result) for cell, result in results])
        store.write_csv(out / store.PROBLEMS, [self._row(key, optima.get(key)) for key in self.keys], PROBLEM_COLUMNS)
        verdicts = [{**cell.key, **verdict} for cell, result in results for verdict in result.verdicts]
        store.write_csv(out / store.VERDICTS, verdicts, VERDICT_COLUMNS)
        session.failures |= {str(cell): Failure(result.message) for cell, result in results if result.status in FAULTS}
        loading = sum(result.compile_seconds for _, result in results)  # once in each process
        session.seconds["compile"] = round(session.seconds.get("compile", 0.0) + loading, 3)
        session.seconds["iterations"] = round(sum(result.seconds for _, result in results), 3)
        self.facts["not_run"] = [str(cell) for cell, result in results if result.status == NOT_RUN]
        self.facts["theorems"] = theorem_texts(self.configs)
        self.facts["methods"] = presentation(self.configs)

    def _row(self, key: ProblemKey, optimum: Optimum | None) -> dict[str, Any]:
        """The row of problems.csv."""
        row = dict(self.rows[key.name])
        if optimum is not None:
            row.update({name: getattr(optimum, name) for name in OF_OPTIMUM})
            row.update(certificate=optimum.kind, optimum_seconds=optimum.seconds)
            row["notes"] = "; ".join(filter(None, [row["notes"], *optimum.notes]))
        return row

    def show(self, session: Session) -> bool:
        """Show the verdicts by method; returns True where no bound is violated."""
        from experiments import terminal

        stored = store.Results.read(self.out)
        rows = analysis.summary_by_method(stored.verdicts, analysis.rates(stored.manifest))
        session.console.print(terminal.summary_table(rows))
        session.say(terminal.LEGEND)
        violated = sum(row["VIOLATED"] for row in rows)
        if violated:
            session.say(f"{counted(violated, 'bound')} VIOLATED: see {self.out / store.VERDICTS}")
        return not violated

    @classmethod
    def files(cls, configuration: Mapping[str, Any]) -> list[str]:
        """Figures and certificates."""
        problems = list(configuration.get("problems", {}))
        figures = [f"{store.FIGURES}/{name}" for name in analysis.figure_files(problems)]
        return [*figures, *map(store.certificate_file, problems)]

    @classmethod
    def draw(cls, out: Path, executor: Executor, console: Console) -> None:
        """Draw every figure."""
        analysis.draw_all(out, executor, console)

    @classmethod
    def report(cls, out: Path) -> None:
        """Write the report."""
        report.write(out)


def _optimum(out: Path, key: ProblemKey) -> Optimum:
    return store.read_certificate(store.certificate_path(out, key.name))[0]


def compile_missing(session: Session, kernels: Sequence[Kernel]) -> None:
    """Fill the cache of compiled functions first: else all tasks that need one would wait for it."""
    missing = [kernel for kernel in dict.fromkeys(kernels) if not kernel.is_compiled()]
    if missing:
        session.say(f"compiling {counted(len(missing), 'function')}, once: kept in {compiled_folder()}")
        session.run([Task(compile_kernel, (kernel,), _name(kernel)) for kernel in missing], "compile")


def config_kernels(problem: Any, config: MethodConfig, **more: Any) -> list[Kernel]:
    """The functions that runs of a configuration on a problem need compiled; BadInput where it cannot run there.

    more : of selection.SAMPLING, beside what the configuration says.
    """
    from dadapt_convex.stochastic import sampling
    from dadapt_convex.stochastic_driver import kernels

    try:
        drawn = sampling(problem, **{"batch_size": None, "noise": None, "seed": 0, **config.sampling, **more})
    except ValueError as error:
        raise BadInput(f"{config.label}: {error}") from None
    return kernels(problem, config.method.step, drawn)


def problem_facts(suite: str, problem: Any) -> dict[str, Any]:
    """The columns of problems.csv that need no optimum."""
    facts = problem.facts
    form = "d" if problem.model is not None and problem.model.classes else "+d"  # a class, or a sign
    labels = ", ".join(f"{label:g} -> {number:{form}}" for label, number in (facts.get("labels") or {}).items())
    return {
        "suite": suite, "problem": problem.name, "m": problem.m, "p": problem.p,
        "G": problem.G, "G_exact": problem.G_exact, "G_note": problem.G_note, "G_inf": problem.G_inf,
        "storage": facts.get("storage", ""), "source": facts.get("source", ""),
        "sha256": facts.get("sha256", ""), "data_hash": problem.identity,
        "labels": labels, "notes": str(facts.get("notes") or ""),
    }  # fmt: skip


def theorem_texts(configs: Sequence[MethodConfig]) -> dict[str, dict[str, Any]]:
    """The statement and source of every theorem judged, and whether figures draw its bound, for tables and report."""
    from dadapt_convex.theory import claims

    return {
        theorem.name: {"statement": theorem.statement, "source": theorem.source, "figure": theorem.figure}
        for config in configs
        for theorem in claims(config.method)
    }


def presentation(configs: Sequence[MethodConfig]) -> dict[str, dict[str, Any]]:
    """The title of every method, the norm of its distance, and the share of D that d reaches, for figures."""
    methods = {config.name: config.method for config in configs}
    return {
        name: {"title": method.title, "distance_norm": method.distance_norm, "d_limit": method.d_limit}
        for name, method in methods.items()
    }


def _name(kernel: Kernel) -> str:
    """The name of a compiled function on lines of progress."""
    return f"{kernel.python.__module__.rpartition('.')[2]}.{kernel.python.__name__}"
