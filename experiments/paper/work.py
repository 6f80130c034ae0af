"""Groups of runs over processes: what is asked for, how long it will take, and what is there already."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from experiments import store
from experiments.cells import ProblemKey, load
from experiments.paper import sets
from experiments.paper.session import Session, same_code
from experiments.paper.sets import Choice
from experiments.paper.training import BATCH_SIZE, MEASURED, Curves, Group, Task, Training, read, run_task, tasks
from experiments.processes import Work, workers
from experiments.runner import problem_facts
from experiments.selection import select_problems
from experiments.suite import BadInput, Options, Suite

# How a step is timed before the work begins: after a run that compiles, the best of two runs of this many steps with
# one checkpoint, and of two with this many.
TIMED_STEPS, TIMED_CHECKPOINTS = 300, 6
PACE_METHOD = "dadapt_adam"
PERCENT = 100
# A suite holds the curves of some 300 groups in memory, each a row for every seed and epoch: 7 GB of these at most.
MOST_ROWS, BYTES_OF_A_ROW = 10**6, 8 * len(MEASURED)
# Seconds of work below which processes are not worth their start, a few seconds in which they load compiled code.
STARTING_PROCESSES = 6.0

# From the finished groups (None where one failed) to all groups known to be needed by now.
Wanted = Callable[[Mapping[Group, Curves | None]], Sequence[Group]]


@dataclass(frozen=True)
class Pace:
    """Seconds that a step takes on a problem, what each epoch takes besides, and each run."""

    step: float
    epoch: float
    run: float

    def seconds(self, training: Training, m: int, seeds: int) -> float:
        """What these runs will take in one process."""
        return seeds * (training.steps(m) * self.step + training.epochs * self.epoch + self.run)


@dataclass
class Plan:
    """The problems of a suite and how its runs are made, checked; nothing was written yet.

    choices, keys, facts : the same problems in the same order: what they stand for, how they are told to other
        processes, and what problems.csv says of them.
    absent : the paper's problems whose data are not on this machine.
    """

    choices: list[Choice]
    keys: list[ProblemKey]
    facts: list[dict[str, Any]]
    absent: list[str]
    training: Training
    paces: dict[ProblemKey, Pace] = field(default_factory=dict)

    def shape(self, key: ProblemKey) -> tuple[int, int]:
        """Rows and unknowns."""
        facts = self.facts[self.keys.index(key)]
        return facts["m"], facts["p"]

    def tasks(self, group: Group) -> list[Task]:
        """The tasks of a group."""
        return tasks(group, self.training, *self.shape(group.problem))

    def seconds(self, tasks: Sequence[Task]) -> float:
        """What these tasks take in one process, once measure() has been called."""
        return sum(
            self.paces[t.group.problem].seconds(self.training, self.shape(t.group.problem)[0], len(t.seeds))
            for t in tasks
        )

    def configuration(self, suite: str) -> dict[str, Any]:
        """Everything that must not change within a results directory, but the methods."""
        return {
            "suite": suite,
            "epochs": self.training.epochs,
            "seeds": self.training.seeds,
            "batch_size": self.training.batch_size,
            "schedule": self.training.schedule,
            "problems": {key.name: key.data_hash for key in self.keys},
            **same_code(),
        }


def plan(suite: str, options: Options, epochs: int, quick_epochs: int, quick_problems: Sequence[str]) -> Plan:
    """Which problems run, and how; BadInput with a sentence where that cannot be.

    quick_problems : the titles of the paper's problems, and the names of embedded sets, that --quick takes.
    """
    training = Training(epochs=options.epochs or (quick_epochs if options.quick else epochs), seeds=options.seeds)
    rows = training.seeds * training.epochs
    if rows > MOST_ROWS:
        raise BadInput(
            f"--seeds times --epochs must be at most {MOST_ROWS:,}, got {training.seeds} x {training.epochs}: the "
            f"curves of each method and rate would take {rows * BYTES_OF_A_ROW / 1e9:.3g} GB."
        )
    if options.data_dir is not None and not options.data_dir.is_dir():
        raise BadInput(f"--data-dir {options.data_dir} is no directory.")
    chosen, absent = sets.present(options.data_dir)
    if options.data_dir is not None and not chosen and options.problems is None:
        raise BadInput(
            f"none of the paper's files, {sets.examples()}, is in --data-dir {options.data_dir}; give the folder that "
            "holds them, or leave --data-dir out for the embedded sets."
        )
    here = chosen or sets.without_files()
    if options.problems is not None:
        offered = Suite(suite, "", problems=tuple(choice.problem for choice in here))
        names = sets.by_title(options.problems, here)
        chosen, absent = sets.classify(select_problems(offered, names, 1, False, options.data_dir)), []
    elif options.quick:
        chosen = [c for c in here if c.problem.partition(":")[2] in quick_problems or c.title in quick_problems] or here
    else:
        chosen = here
    data_dir = None if options.data_dir is None else str(options.data_dir)
    code = store.code_of(same_code())
    keys, facts = [], []
    for choice in chosen:
        problem = _problem(choice.problem, data_dir)
        keys.append(ProblemKey(choice.problem, problem.identity, data_dir, code))
        about = problem_facts(suite, problem, keys[-1].data_hash)
        facts.append({**about, "title": choice.title, "data": choice.data, "classes": problem.oracle.classes or 2})
    return Plan(chosen, keys, facts, absent, training)


def facts(options: Options, made: Plan) -> dict[str, Any]:
    """What the manifest says of a suite that trains, beside its configuration."""
    return {"quick": options.quick, "absent": made.absent}


def announce(session: Session, made: Plan) -> None:
    """Say which problems run, which do not, and how they differ from the paper's."""
    titles = ", ".join(choice.title for choice in made.choices)
    session.say(
        f"{session.suite}: {titles}; {made.training.epochs} epochs, {made.training.seeds} seeds -> {session.out}"
    )
    if made.absent and all(choice.paper is None for choice in made.choices):
        session.say("no data file of the paper is here: embedded sets, unscaled; --data-dir DIR names the folder")
    elif made.absent:
        session.say(f"skipped, their data are not here: {', '.join(made.absent)}")


def _problem(name: str, data_dir: str | None) -> Any:
    try:
        problem = load(name, data_dir)
    except (ValueError, OSError, EOFError) as error:
        raise BadInput(str(error) if repr(name) in str(error) else f"{name}: {error}") from None
    if problem.model is None or not problem.model.classes:
        raise BadInput(
            f"{name} is no multinomial logistic regression, which this suite trains; take one as multinomial:iris."
        )
    if problem.m < BATCH_SIZE:
        raise BadInput(f"{name} has {problem.m} rows, fewer than the mini-batches of {BATCH_SIZE}.")
    return problem


def measure(made: Plan, methods: Iterable[str]) -> None:
    """Time a few steps on every problem, once everything that these methods need is compiled."""
    import dadapt_convex as dc

    how: dict[str, Any] = {"batch_size": made.training.batch_size, "schedule": made.training.schedule}
    for method in methods:
        dc.solve(load(made.keys[0].name, made.keys[0].data_dir), method, steps=1, **how)
    for key in made.keys:
        problem = load(key.name, key.data_dir)
        dc.solve(problem, PACE_METHOD, steps=1, **how)
        steps: list[float] = []
        besides: dict[int, list[float]] = {1: [], TIMED_CHECKPOINTS: []}
        for checkpoints in 2 * list(besides):
            marks = np.linspace(0, TIMED_STEPS, checkpoints + 1)[1:].astype(int)
            begun = time.perf_counter()
            run = dc.solve(problem, PACE_METHOD, steps=TIMED_STEPS, checkpoints=marks, **how)
            besides[checkpoints].append(time.perf_counter() - begun - run.seconds)
            steps.append(run.seconds / run.k)
        few, many = (min(seconds) for seconds in besides.values())
        epoch = max(many - few, 0.0) / (TIMED_CHECKPOINTS - 1)
        made.paces[key] = Pace(min(steps), epoch, max(few - epoch, 0.0))


def compute(session: Session, made: Plan, wanted: Wanted, expected: float = 1.0) -> dict[Group, Curves]:
    """Run what is missing of all that is wanted, wave by wave; the finished groups.

    expected : how much later waves are expected to add: 1.2 for a fifth of the first. It is said beforehand.
    """
    finished: dict[Group, Curves | None] = {}
    with contextlib.ExitStack() as stack:
        work: Work | None = None
        while new := [group for group in wanted(finished) if group not in finished]:
            pieces = {group: made.tasks(group) for group in new}
            _take_over(session, [task for group in new for task in pieces[group]])
            missing = [task for group in new for task in pieces[group] if not task.path(session.out).is_file()]
            if missing:
                if not made.paces:
                    session.say("compiling once, or loading what was compiled, and timing a few steps")
                    measure(made, {group.config.name: None for group in new})
                _announce(session, made, missing, expected if not finished else 1.0)
                if work is None:
                    short = made.seconds(missing) < STARTING_PROCESSES
                    work = stack.enter_context(workers(1 if short else session.jobs))
                _run(session, made, work, missing, "tuning" if finished else "runs")
            for group in new:
                lost = any(str(task) in session.failures for task in pieces[group])
                finished[group] = (
                    None if lost else Curves.joined(read(task.path(session.out)) for task in pieces[group])
                )
    return {group: curves for group, curves in finished.items() if curves is not None}


def _announce(session: Session, made: Plan, missing: Sequence[Task], expected: float) -> None:
    runs, steps = 0, 0
    for task in missing:
        runs += len(task.seeds)
        steps += len(task.seeds) * made.training.steps(made.shape(task.group.problem)[0])
    seconds = made.seconds(missing) / min(session.jobs, len(missing)) * expected
    more = f", with what the search of rates may add ({expected - 1:.0%})" if expected > 1 else ""
    processes = "1 process" if session.jobs == 1 else f"{session.jobs} processes"
    session.say(
        f"{runs} runs of {made.training.epochs} epochs, {steps:,} steps, {processes}: about {in_words(seconds)}{more}"
    )


def in_words(seconds: float) -> str:
    """A duration for reading."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.1f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _run(session: Session, made: Plan, work: Work, missing: Sequence[Task], what: str) -> None:
    """Longest first: what is short fills the gaps at the end."""
    from experiments.terminal import progress

    order = sorted(missing, key=lambda task: -made.seconds([task]))
    whole = made.seconds(order)
    shown, done = 0, 0.0
    pending = dict.fromkeys(range(len(order)))

    def waiting() -> str:
        return ", ".join(str(order[i].group) for i in list(pending)[: session.jobs])

    with (
        session.timed(f"{what} {len(session.seconds) + 1}"),
        progress(session.console, f"{what}, %", PERCENT, waiting) as advance,
    ):
        for index, failure in work([(run_task, task, session.out) for task in order]):
            pending.pop(index)
            if failure is not None and failure.disk:
                raise store.StoreError(failure.reason)
            if failure is not None:
                session.failures[str(order[index])] = failure
            done += made.seconds([order[index]])
            reached = PERCENT if not pending else int(PERCENT * done / whole)
            for _ in range(reached - shown):
                advance()
            shown = reached


def _take_over(session: Session, wanted: Sequence[Task]) -> None:
    """Copy tasks that another suite of the paper has stored beside this one, made by the same code."""
    missing = [task for task in wanted if not task.path(session.out).is_file()]
    taken, sources, damaged = 0, dict[str, None](), []
    for folder in _siblings(session):
        for task in missing:
            if task.path(folder).is_file() and not task.path(session.out).is_file():
                try:
                    read(task.path(folder))
                    store.write_bytes(task.path(session.out), store.read_sealed(task.path(folder)))
                except store.Damaged:
                    damaged.append(f"{folder.name}/{store.CELLS}/{task.path(folder).name}")
                    continue
                taken += len(task.seeds)
                sources[folder.name] = None
    if damaged:
        session.say(f"damaged or of other runs, not taken over: {store.some(damaged)}")
    if taken:
        session.facts["runs_taken_over"] = session.facts.get("runs_taken_over", 0) + taken
        session.say(f"{taken} runs are taken over from {', '.join(sources)} beside {session.out.name}")


def _siblings(session: Session) -> Iterator[Path]:
    for folder in sorted(session.out.parent.glob("paper_*")):
        if folder != session.out and (folder / store.CELLS).is_dir():
            yield folder
