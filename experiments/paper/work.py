"""Suites that train: groups of runs over the engine, reused from neighbouring results directories."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from dadapt_convex import Kernel
from experiments import store
from experiments.analysis import in_all_formats, save_figure
from experiments.cells import ProblemKey, load, loaded
from experiments.engine.session import Session, Work
from experiments.engine.task import Task
from experiments.grid import compile_missing, config_kernels, presentation, problem_facts
from experiments.output import counted
from experiments.paper import files, sets, training
from experiments.paper.suite import TrainingSuite
from experiments.paper.training import BATCH_SIZE, MEASURED, Curves, Finished, Group, Training, same_code
from experiments.selection import select_problems
from experiments.suite import BadInput, Options, Suite

if TYPE_CHECKING:
    from rich.console import Console

    from experiments.engine.task import Executor

# A suite holds the curves of some 300 groups in memory, each a row for every seed and epoch: 7 GB of these at most.
MOST_ROWS, BYTES_OF_A_ROW = 10**6, 8 * len(MEASURED)

Complete = Mapping[Group, Curves]


class OneFigure(Work):
    """A suite with one figure and a page of its own.

    figure : its name.
    """

    figure: ClassVar[str]

    @staticmethod
    def picture(out: Path) -> Any:
        """The figure of a results directory."""
        raise NotImplementedError

    @staticmethod
    def write_page(out: Path) -> None:
        """Write report.html."""
        raise NotImplementedError

    @classmethod
    def files(cls, configuration: Mapping[str, Any]) -> list[str]:
        """The figure."""
        return [f"{store.FIGURES}/{name}" for name in in_all_formats([cls.figure])]

    @classmethod
    def draw(cls, out: Path, executor: Executor, console: Console) -> None:
        """Draw the figure."""
        save_figure(cls.picture(out), out, cls.figure)

    @classmethod
    def report(cls, out: Path) -> None:
        """Write the page."""
        cls.write_page(out)


class TrainingWork(OneFigure):
    """A suite that trains; a subclass names the groups that it wants, and makes their tables.

    choices, keys, rows : the same problems in the same order: what they stand for, how they are told to other
        processes, and their rows of problems.csv.
    """

    suite: TrainingSuite

    def __init__(self, suite: TrainingSuite, options: Options) -> None:
        super().__init__(suite, options)
        self.training = Training(epochs=options.epochs or suite.epochs, seeds=options.seeds or suite.seeds)
        rows = self.training.seeds * self.training.epochs
        if rows > MOST_ROWS:
            raise BadInput(
                f"--seeds times --epochs must be at most {MOST_ROWS:,}, got {self.training.seeds} x "
                f"{self.training.epochs}: the curves of each method and rate would take "
                f"{rows * BYTES_OF_A_ROW / 1e9:.3g} GB."
            )
        self.choices, absent = self._choose()
        self.facts["absent"] = absent
        self.keys: list[ProblemKey] = []
        self.rows: list[dict[str, Any]] = []
        code = store.code_of(same_code())
        for choice in self.choices:
            problem = _multinomial(choice.problem, self.data_dir)
            self.keys.append(ProblemKey(choice.problem, problem.identity, self.data_dir, code))
            about = {"title": choice.title, "data": choice.data, "classes": problem.oracle.classes or 2}
            self.rows.append({**problem_facts(suite.name, problem), **about})

    def _choose(self) -> tuple[list[sets.Choice], list[str]]:
        """The problems to run, and the titles of the paper's problems whose data are not on this machine."""
        options = self.options
        present, absent = sets.present(options.data_dir)
        if options.data_dir is not None and not present and options.problems is None:
            raise BadInput(
                f"none of the paper's files, {sets.examples()}, is in --data-dir {options.data_dir}; give the folder "
                "that holds them, or leave --data-dir out for the embedded sets."
            )
        here = present or sets.without_files()
        if options.problems is not None:
            offered = Suite(self.suite.name, "", problems=tuple(choice.problem for choice in here))
            names = sets.by_title(options.problems, here)
            return sets.classify(select_problems(offered, names, 1, options.data_dir)), []
        titles = self.suite.problems
        return [c for c in here if c.problem.partition(":")[2] in titles or c.title in titles] or here, absent

    def configuration(self) -> dict[str, Any]:
        """Everything that must not change within a results directory, but the methods."""
        return {
            "suite": self.suite.name,
            "epochs": self.training.epochs,
            "seeds": self.training.seeds,
            "batch_size": self.training.batch_size,
            "schedule": self.training.schedule,
            "problems": {key.name: key.data_hash for key in self.keys},
            **same_code(),
        }

    # -- for subclasses

    def wanted(self, finished: Finished) -> Sequence[Group]:
        """All groups known to be needed by now, from the finished ones."""
        raise NotImplementedError

    def write(self, groups: Complete) -> set[str]:
        """Write the suite's own tables of the finished groups; returns the names of the problems in them."""
        raise NotImplementedError

    # -- the work

    def announce(self, session: Session) -> None:
        """Say which problems run, which do not, and how they differ from the paper's."""
        titles = ", ".join(choice.title for choice in self.choices)
        session.say(
            f"{self.suite.name}: {titles}; {self.training.epochs} epochs, {self.training.seeds} seeds -> {self.out}"
        )
        absent = self.facts["absent"]
        if absent and all(choice.paper is None for choice in self.choices):
            session.say("no data file of the paper is here: embedded sets, unscaled; --data-dir DIR names the folder")
        elif absent:
            session.say(f"skipped, their data are not here: {', '.join(absent)}")

    def compute(self, session: Session) -> None:
        """Run the wanted groups that are missing, wave by wave; then write the tables."""
        finished: dict[Group, Curves | None] = {}
        while new := [group for group in dict.fromkeys(self.wanted(finished)) if group not in finished]:
            tasks = [task for group in new for task in self.tasks(group)]
            self._take_over(session, tasks)
            if missing := [task for task in tasks if not task.is_stored(self.out)]:
                self._compile(session, new)
                self._say_how_much(session, missing)
                session.run(missing, "tuning" if finished else "runs")
            finished |= {group: self._curves(session, group) for group in new}
        groups = {group: curves for group, curves in finished.items() if curves is not None}
        named = self.write(groups)
        files.write_curves(self.out, {g: curves for g, curves in groups.items() if g.problem.name in named})
        files.write_table(self.out, store.PROBLEMS, [row for row in self.rows if row["problem"] in named])
        searches = self.suite.searches
        self.facts["pairs"] = [[search.tuned, search.adaptive] for search in searches]
        self.facts["methods"] = presentation([group.config for group in finished])

    def row(self, key: ProblemKey) -> dict[str, Any]:
        """The problem's row of problems.csv."""
        return self.rows[self.keys.index(key)]

    def tasks(self, group: Group) -> list[Task]:
        """The tasks of a group."""
        row = self.row(group.problem)
        return training.tasks(group, self.training, row["m"], row["p"])

    def _curves(self, session: Session, group: Group) -> Curves | None:
        """The stored curves of a group; None where one of its tasks failed."""
        tasks = self.tasks(group)
        if any(task.label in session.failures for task in tasks):
            return None
        return Curves.joined(Curves.of(store.read_rows(self.out / task.file)) for task in tasks)

    def _compile(self, session: Session, groups: Sequence[Group]) -> None:
        """Compile what these groups need."""
        configs = {group.config.name: group.config for group in groups}.values()
        kernels: list[Kernel] = []
        for key in self.keys:
            problem = load(key.name, key.data_dir)
            for config in configs:
                kernels += config_kernels(problem, config, batch_size=self.training.batch_size)
        compile_missing(session, kernels)

    def _say_how_much(self, session: Session, missing: Sequence[Task]) -> None:
        """Say how much is missing."""
        runs = steps = 0
        for task in missing:
            group, training, seeds = task.arguments
            runs += len(seeds)
            steps += len(seeds) * training.steps(self.row(group.problem)["m"])
        processes = counted(self.jobs, "process", "es")
        session.say(f"{runs} runs of {self.training.epochs} epochs, {steps:,} steps, {processes}")

    def _take_over(self, session: Session, wanted: Sequence[Task]) -> None:
        """Copy results that another suite of the paper has stored beside this one, made by the same code."""
        missing = [task for task in wanted if not task.is_stored(self.out)]
        taken, sources, damaged = 0, dict[str, None](), []
        for folder in self._siblings():
            for task in missing:
                theirs, ours = folder / task.file, self.out / task.file
                if theirs.is_file() and not ours.is_file():
                    if not store.holds(theirs, task.identity):
                        damaged.append(f"{folder.name}/{task.file}")
                        continue
                    store.write_bytes(ours, store.read_sealed(theirs))
                    taken += len(task.arguments[-1])
                    sources[folder.name] = None
        if damaged:
            session.say(f"damaged or of other runs, not taken over: {store.some(damaged)}")
        if taken:
            self.facts["runs_taken_over"] = self.facts.get("runs_taken_over", 0) + taken
            session.say(f"{taken} runs are taken over from {', '.join(sources)} beside {self.out.name}")

    def _siblings(self) -> Iterator[Path]:
        for folder in sorted(self.out.parent.glob("paper_*")):
            if folder != self.out and (folder / store.CELLS).is_dir():
                yield folder


def _multinomial(name: str, data_dir: str | None) -> Any:
    problem = loaded(name, data_dir)
    if problem.model is None or not problem.model.classes:
        raise BadInput(
            f"{name} is no multinomial logistic regression, which this suite trains; take one as multinomial:iris."
        )
    if problem.m < BATCH_SIZE:
        raise BadInput(f"{name} has {problem.m} rows, fewer than the mini-batches of {BATCH_SIZE}.")
    return problem
