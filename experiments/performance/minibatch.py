"""The mini-batch loop of D-Adapt Adam against NumPy and against the released package, and the rows they give.

All loops take the same batches. The others are handed the orders of the rows; this project's loop draws them within its
time, at each epoch that a sample enters. (On aloi-like it stays in the first: there that would be 0.1 % of the time.)
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dadapt_convex.oracle import Vector
from dadapt_convex.run import INTERRUPTED
from dadapt_convex.stochastic_recorder import Orders
from experiments.performance.cases import BATCH_SIZE, SEED, MiniBatch, Target
from experiments.performance.measure import SAME_ITERATES, US, Row, interleaved, judged, spread
from experiments.performance.numpy_minibatch import Outcome
from experiments.provenance import version

METHOD = "dadapt_adam"
D0 = 1e-6
SAMPLE_SECONDS = 0.05  # one sample of this project's loop lasts at least this long
FOREVER = 10**9  # steps: the end of the sample ends the loop
PAPER_STEP, RELEASED_STEP = "mini-batch step, paper", "mini-batch step, released"
PACKAGES = "torch", "dadaptation"
INSTALL = "pip install torch==2.13.0 dadaptation==3.2"

Training = Callable[[Iterable[Any], int], Outcome]  # of (orders, steps)


@dataclass(frozen=True)
class Yardstick:
    """A loop to compare with.

    step: the name of its row; convention: of this project's method, with which it computes the same.
    start: (A, labels, classes, d0) -> a training from zero, to be done once. same: how far the iterates may be apart.
    """

    name: str
    step: str
    convention: str
    same: Target
    start: Callable[[Any, Any, int, float], Training]


def released_package() -> Any:
    """The loop in PyTorch; None where PyTorch or the authors' package is not installed."""
    try:
        from experiments.performance import torch_minibatch
    except ModuleNotFoundError as error:
        if error.name not in PACKAGES:
            raise
        return None
    return torch_minibatch.dadapt_adam


def yardsticks() -> list[Yardstick]:
    """The NumPy loop, and the released package where it is installed."""
    from experiments.performance import numpy_minibatch

    def by_numpy(*data: Any) -> Training:
        return functools.partial(numpy_minibatch.dadapt_adam, *data)

    found = [Yardstick("NumPy loop", PAPER_STEP, "paper", Target("ours", "<=", 1e-10), by_numpy)]
    if by_package := released_package():
        name = "the released package, " + " and ".join(f"{package} {version(package)}" for package in PACKAGES)
        found.append(Yardstick(name, RELEASED_STEP, "released", Target("ours", "<=", 1e-9), by_package))
    return found


def measure(case: MiniBatch, problem: Any, rounds: int) -> list[Row]:
    """All rows of one case."""
    pairs = {yardstick.convention: Pair(case, problem, yardstick) for yardstick in yardsticks()}
    parts: dict[str, Callable[[], float]] = {}
    for name, pair in pairs.items():
        parts |= {f"ours, {name}": pair.ours, f"theirs, {name}": pair.theirs}
    seconds = interleaved(parts, rounds)
    rows = (pair.rows(seconds[f"ours, {name}"], seconds[f"theirs, {name}"]) for name, pair in pairs.items())
    return [row for of_pair in rows for row in of_pair]


class _Enough(Exception):
    """A sample has lasted long enough."""


class Pair:
    """Seconds per step of solve()'s compiled loop and of a yardstick, and what both compute in case.steps steps."""

    def __init__(self, case: MiniBatch, problem: Any, yardstick: Yardstick) -> None:
        self.case, self.problem, self.yardstick = case, problem, yardstick
        model = problem.model
        self.data = model.A, model.b.astype(np.int64), model.classes, D0
        self.orders = orders(problem.m, case.steps)
        self.run = self.solve(case.steps)  # compiles
        self.outcome: Any = None
        self.theirs()

    def solve(self, steps: int, progress: Callable[[int], None] | None = None) -> Any:
        import dadapt_convex as dc

        return dc.solve(
            self.problem, METHOD, steps=steps, batch_size=BATCH_SIZE, seed=SEED, checkpoints=[steps], d0=D0,
            convention=self.yardstick.convention, progress=progress,
        )  # fmt: skip

    def ours(self) -> float:
        """From the first call of `progress` to the last: the compiled loop, and the drawing of orders."""
        seen: list[tuple[int, float]] = []

        def progress(k: int) -> None:
            seen.append((k, time.thread_time()))
            if seen[-1][1] - seen[0][1] >= SAMPLE_SECONDS:
                raise _Enough

        try:
            run = self.solve(FOREVER, progress)
        except _Enough:
            (first, begun), (last, ended) = seen[0], seen[-1]
            return (ended - begun) / (last - first)
        raise KeyboardInterrupt if run.status == INTERRUPTED else RuntimeError(run.message)

    def theirs(self) -> float:
        train = self.yardstick.start(*self.data)
        begun = time.thread_time()
        self.outcome = train(self.orders, self.case.steps)
        return (time.thread_time() - begun) / self.case.steps

    def difference(self) -> float:
        """The largest relative difference between the two runs."""
        last, theirs = self.run.trace.iloc[-1], self.outcome
        pairs = (self.run.x_next, theirs.x), (last["d"], theirs.d), (last["f_batch"], theirs.f)
        return max(float(np.linalg.norm(np.subtract(a, b)) / np.linalg.norm(b)) for a, b in pairs)

    def rows(self, ours: Vector, theirs: Vector) -> list[Row]:
        """The time of a step, and whether the iterates agree; ours, theirs: seconds, of each round."""
        case, yardstick, model = self.case, self.yardstick, self.problem.model
        m, p = model.A.shape
        made: dict[str, Any] = {"size": case.size, "reference_is": yardstick.name}
        return [
            judged(
                case.speedup if yardstick.step == RELEASED_STEP else None, what=yardstick.step, unit="us",
                ours=US * float(np.median(ours)), reference=US * float(np.median(theirs)), **spread(theirs / ours),
                rounds=len(ours), **made,
                note=f"{m} rows, {p} columns with the intercept, {model.classes} classes",
            ),
            judged(
                yardstick.same, what=f"{SAME_ITERATES}, {yardstick.convention}", unit="relative",
                ours=self.difference(), **made,
                note=f"x, d and the mean of f after {case.steps} steps, where d is {self.outcome.d:.2g}",
            ),
        ]  # fmt: skip


def orders(m: int, steps: int) -> list[Any]:
    """The orders of the rows that solve() draws, of the epochs that so many steps begin."""
    epochs = -(-steps // -(-m // BATCH_SIZE))
    drawn, found = Orders(m, SEED), []
    for epoch in range(epochs):
        drawn.reach(epoch, epochs - 1)
        found.append(drawn.rows[(epoch - drawn.begin) * m :][:m])
    return found
