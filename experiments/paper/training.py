"""One method on one problem with several seeds: the work of worker processes, and its stored result.

Runs start at random, as the paper's did: it trained a linear layer of PyTorch, whose weights and intercepts are drawn
uniformly from [-1/sqrt(p), 1/sqrt(p)], p the number of features. On unscaled data this matters: D-Adapt Adam on
pendigits ends at 95.8 % of accuracy from there and at 96.2 % from x0 = 0; 95.8 % is published.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments import store
from experiments.cells import ProblemKey, load
from experiments.engine.task import Task
from experiments.selection import MethodConfig

if TYPE_CHECKING:
    from problems import Problem

BATCH_SIZE = 16
# After these shares of the epochs the rate is divided by 10: 60, 80 and 95 of 100.
STAGES = (0.6, 0.8, 0.95)
MEASURED = ("f", "accuracy", "d")
LAYER, ZERO = "layer", "zero"  # starting points
CODE = "experiments/paper/training.py"  # starting points and measurements: the numbers depend on it
# Keeps the random numbers of the starting point apart from those of the mini-batches, default_rng(seed). It stands last
# and is not 0: NumPy fills up seeds with zeros, so that (1, 0) is 1.
STARTS_STREAM = 1
# A task does about so much, in parameters times steps; a step costs as much as COST_OF_A_STEP parameters besides.
# Fixed numbers, not times: an interrupted suite must find the same tasks again.
WORK_OF_A_TASK, COST_OF_A_STEP = 4e8, 200
SECONDS_OF_WORK = 1e-8  # of a unit of it, roughly


def same_code() -> dict[str, Any]:
    """The part of a configuration that names the code of the numbers."""
    return store.same_code(CODE)


@dataclass(frozen=True)
class Training:
    """The set-up that all runs of a suite share."""

    epochs: int
    seeds: int
    batch_size: int = BATCH_SIZE

    @property
    def schedule(self) -> str:
        """The schedule's text: the rate is divided by 10 after each stage."""
        return f"stagewise({' '.join(f'{share * self.epochs:g}' for share in STAGES)})"

    def steps(self, m: int) -> int:
        """Steps of one run on m rows."""
        return self.epochs * -(-m // self.batch_size)


@dataclass(frozen=True)
class Group:
    """A method configuration on a problem, with all seeds; start: LAYER, drawn for each seed, or ZERO."""

    problem: ProblemKey
    config: MethodConfig
    start: str = LAYER

    @property
    def label(self) -> str:
        """The configuration, with the starting point where it is not the usual one."""
        return self.config.label if self.start == LAYER else f"{self.config.label} from x0 = 0"

    def __str__(self) -> str:
        return f"{self.label} on {self.problem.name}"


def tasks(group: Group, training: Training, m: int, p: int) -> list[Task]:
    """A group cut into tasks of about WORK_OF_A_TASK, on a problem of m rows and p unknowns.

    Their identities leave out the suite: suites of the paper share runs.
    """
    key, hyper = group.problem, [list(pair) for pair in group.config.hyper]
    work = training.steps(m) * (p + COST_OF_A_STEP)  # of a seed
    pieces = min(training.seeds, max(1, round(work * training.seeds / WORK_OF_A_TASK)))
    found = []
    for part in np.array_split(np.arange(training.seeds), pieces):
        seeds = tuple(int(seed) for seed in part)
        identity = store.digest(
            "paper", store.FORMAT, key.code, key.name, key.data_hash, group.config.name, hyper, group.start,
            training.epochs, training.batch_size, training.schedule, list(seeds),
        )  # fmt: skip
        label, file = f"{group}, seeds {seeds[0]} to {seeds[-1]}", store.cell_file(identity)
        seconds = SECONDS_OF_WORK * work * len(seeds)
        found.append(Task(train_seeds, (group, training, seeds), label, identity, file, seconds))
    return found


@dataclass(frozen=True)
class Curves:
    """The curves of the runs of a group: a row per seed, a column per epoch; NaN after a run stopped being finite.

    f, accuracy, d : (seeds, epochs) float64
        The training loss and the accuracy over all rows after each epoch, accuracy as a share; d is NaN for methods
        that have none.
    messages : tuple of str
        For each seed, why it did not complete; empty where it did.
    seconds : float
        Time in iterations.
    """

    f: Any
    accuracy: Any
    d: Any
    messages: tuple[str, ...]
    seconds: float = 0.0

    @classmethod
    def joined(cls, parts: Iterable[Curves]) -> Curves:
        """Seeds after seeds."""
        parts = list(parts)
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in MEASURED}
        messages = tuple(message for part in parts for message in part.messages)
        return cls(**columns, messages=messages, seconds=sum(part.seconds for part in parts))

    def rows(self, seeds: Sequence[int]) -> store.Rows:
        """The rows to store: one per seed and epoch, messages and seconds beside them."""
        epochs = self.f.shape[1]
        columns = {
            "seed": np.repeat(np.asarray(seeds), epochs),
            "epoch": np.tile(np.arange(1, epochs + 1), len(seeds)),
            **{name: getattr(self, name).ravel() for name in MEASURED},
        }
        return store.Rows(columns, {"messages": self.messages, "seconds": self.seconds, "seeds": len(seeds)})

    @classmethod
    def of(cls, rows: store.Rows) -> Curves:
        """The curves in stored rows."""
        columns = {name: rows.columns[name].reshape(rows.about["seeds"], -1) for name in MEASURED}
        return cls(**columns, messages=tuple(rows.about["messages"]), seconds=rows.about["seconds"])


# The curves of groups; None where a run of the group failed.
Finished = Mapping[Group, Curves | None]


def train_seeds(group: Group, training: Training, seeds: Sequence[int]) -> store.Rows:
    """Train these seeds: the rows of their curves."""
    return Curves.joined(train(group, training, seed) for seed in seeds).rows(seeds)


def starting_point(problem: Problem, seed: int) -> Any:
    """(p,) float64: where a linear layer of PyTorch starts; problem: a linear model."""
    assert problem.model is not None
    bound = 1 / math.sqrt(problem.model.A.shape[1] - problem.model.intercept)
    return np.random.default_rng((seed, STARTS_STREAM)).uniform(-bound, bound, problem.p)


def train(group: Group, training: Training, seed: int) -> Curves:
    """One run; KeyboardInterrupt passes through."""
    import dadapt_convex as dc
    from dadapt_convex.run import COMPLETED, INTERRUPTED

    problem = load(group.problem.name, group.problem.data_dir)
    if group.start == LAYER:
        problem = replace(problem, x0=starting_point(problem, seed))
    run = dc.solve(
        problem, group.config.method, epochs=training.epochs, batch_size=training.batch_size,
        schedule=training.schedule, seed=seed, **dict(group.config.hyper),
    )  # fmt: skip
    if run.status == INTERRUPTED:  # solve() returns a part of the run; a task is whole or absent
        raise KeyboardInterrupt
    columns = {name: np.full((1, training.epochs), np.nan) for name in MEASURED}
    for row in run.rows:
        if row["k"] % run.per_epoch == 0:  # the last row of a run that stopped may lie within an epoch
            for name in MEASURED:
                columns[name][0, round(row["epoch"]) - 1] = row.get(name, np.nan)
    message = "" if run.status == COMPLETED else f"{run.message}, seed {seed}"
    return Curves(**columns, messages=(message,), seconds=run.seconds)
