"""Interleaved timing of one case, and the rows it gives.

Times are CPU times of this thread: on an idle machine those are wall-clock times, and on a busy one they leave out what
other processes did. Everything timed here runs on one thread and waits for nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dadapt_convex.oracle import Vector
from experiments.performance.cases import FRACTION, LOSS_BLOCK, Case, Target
from problems.matrix import entries

METHOD = "dadapt_dual_averaging"
D0 = 1e-6
# Both loops round differently, every iteration; logistic loss is smooth, so that the differences stay small.
SAME_ITERATES = "same iterates"
SAME = Target("ours", "<=", 1e-10)
SAMPLE_SECONDS = 0.005  # one sample of a kernel lasts at least this long
NUMPY = "NumPy/SciPy loop"

US, NS = 1e6, 1e9


@dataclass(frozen=True)
class Row:
    """One line of the table; None for entries that do not apply.

    ours, reference : medians over the rounds, in `unit`; reference_is says what was measured against.
    ratio, ratio_min, ratio_max : over the rounds. reference / ours for loops and blocks (how many times faster), ours
        / reference for processes.
    limit, fraction : what the machine allows, in `unit`, and the median over the rounds of limit / ours.
    target, target_of, met : the target in words, the column that it bounds, and yes or no.
    """

    what: str
    size: str
    unit: str
    ours: float
    reference: float | None = None
    reference_is: str = ""
    ratio: float | None = None
    ratio_min: float | None = None
    ratio_max: float | None = None
    limit: float | None = None
    fraction: float | None = None
    target: str = ""
    target_of: str = ""
    met: str = ""
    rounds: int = 1
    note: str = ""


def judged(target: Target | None, **fields: Any) -> Row:
    """A row, with its target applied."""
    if target is None:
        return Row(**fields)
    met = "yes" if target.met(fields[target.of]) else "no"
    return Row(**fields, target=str(target), target_of=target.of, met=met)


def spread(ratios: Vector) -> dict[str, float]:
    """The fields for ratios taken round by round."""
    return {"ratio": float(np.median(ratios)), "ratio_min": float(ratios.min()), "ratio_max": float(ratios.max())}


def interleaved(functions: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, Vector]:
    """The results of each function in every round: A B C, C B A, A B C, ..."""
    found: dict[str, list[float]] = {name: [] for name in functions}
    for i in range(rounds):
        for name in list(functions)[:: 1 if i % 2 == 0 else -1]:
            found[name].append(functions[name]())
    return {name: np.array(values) for name, values in found.items()}


def repeated(function: Callable[[int], Any]) -> Callable[[], float]:
    """Seconds of one repetition, from function(repeats), with as many as fill SAMPLE_SECONDS."""
    repeats, took = 1, 0.0
    while took < SAMPLE_SECONDS:
        took = _seconds(function, repeats)
        repeats = max(2 * repeats, int(1.2 * repeats * SAMPLE_SECONDS / took)) if took < SAMPLE_SECONDS else repeats
    return lambda: _seconds(function, repeats) / repeats


def _seconds(function: Callable[[int], Any], repeats: int) -> float:
    begun = time.thread_time()
    function(repeats)
    return time.thread_time() - begun


def measure(case: Case, problem: Any, rounds: int) -> list[Row]:
    """All rows of one case."""
    loops = _Loops(case, problem)
    sparse = problem.facts["storage"] == "csr"
    parts = {"ours": loops.ours, "numpy": loops.numpy, **limit_samples(problem)}
    if sparse:
        parts["passes"] = _passes(problem)
    seconds = interleaved(parts, rounds)
    made: dict[str, Any] = {"size": case.size, "rounds": rounds}
    median = {name: float(np.median(values)) for name, values in seconds.items()}

    transcendental = np.minimum(seconds["project block"], seconds["numpy block"])
    limits = seconds["stream"] + transcendental
    per_row = NS / problem.m
    rows = [
        judged(
            case.speedup, what="iteration", unit="us", ours=US * median["ours"], reference=US * median["numpy"],
            reference_is=NUMPY, **spread(seconds["numpy"] / seconds["ours"]), **made,
        ),
        judged(
            None if sparse else FRACTION, what="against the limit", unit="us", ours=US * median["ours"],
            limit=US * float(np.median(limits)), fraction=float(np.median(limits / seconds["ours"])),
            note=f"read {US * median['stream']:.3g} us + transcendental {US * float(np.median(transcendental)):.3g} us",
            **made,
        ),
        judged(
            LOSS_BLOCK, what="loss block", unit="ns/row", ours=per_row * median["project block"],
            reference=per_row * median["numpy block"], reference_is="NumPy",
            **spread(seconds["numpy block"] / seconds["project block"]), **made,
        ),
    ]  # fmt: skip
    if sparse:
        nnz = entries(problem.model.A).size
        rows.append(
            judged(
                case.passes, what="CSR passes", unit="ns/nnz",
                ours=NS / nnz * median["passes"], limit=NS / nnz * median["stream"],
                fraction=float(np.median(seconds["stream"] / seconds["passes"])),
                note="forward and backward, by the hinge loss at 0, where no slope is 0; limit: reading alone", **made,
            )
        )  # fmt: skip
    size = data_bytes(problem)
    rows += [
        Row(what="read bandwidth", unit="GB/s", ours=size / median["stream"] / 1e9,
            note=f"one core, {size / 1e6:.3g} MB, as much as the matrix has", **made),
        judged(SAME, what=SAME_ITERATES, unit="relative", ours=loops.difference(), reference_is=NUMPY,
               note=f"x, both averages, d and f after {case.steps + 1} iterations", size=case.size),
    ]  # fmt: skip
    return rows


class _Loops:
    """Seconds per iteration of solve()'s compiled loop and of the NumPy loop, on the same run."""

    def __init__(self, case: Case, problem: Any) -> None:
        self.steps, self.problem = case.steps, problem
        self.run: Any = None
        self.outcome: Any = None
        self.ours()  # compiles
        self.numpy()

    def ours(self) -> float:
        """From the first call of `progress`, after one iteration, to the last: the compiled loop and nothing else."""
        import dadapt_convex as dc

        seen: list[tuple[int, float]] = []
        steps = self.steps + 1
        self.run = dc.solve(
            self.problem, METHOD, steps=steps, checkpoints=[1, steps], d0=D0,
            progress=lambda k: seen.append((k, time.thread_time())),
        )  # fmt: skip
        (first, begun), (last, ended) = seen[0], seen[-1]
        return (ended - begun) / (last - first)

    def numpy(self) -> float:
        return _seconds(self._numpy, self.steps + 1) / (self.steps + 1)

    def _numpy(self, steps: int) -> None:
        from experiments.performance import numpy_loop

        model = self.problem.model
        self.outcome = numpy_loop.dadapt_dual_averaging(model.A, model.b, self.problem.x0, steps, D0)

    def difference(self) -> float:
        """The largest relative difference between the two runs."""
        from experiments.performance.numpy_loop import logistic_loss

        last, theirs = self.run.trace.iloc[-1], self.outcome
        pairs = (
            (self.run.x_next, theirs.x), (self.run.x_avg, theirs.x_avg), (last["d"], theirs.d), (last["f"], theirs.f),
            (last["f_avg"], logistic_loss(theirs.z_avg, self.problem.model.b)[0]),
        )  # fmt: skip
        return max(float(np.linalg.norm(np.subtract(a, b)) / np.linalg.norm(b)) for a, b in pairs)


def data_bytes(problem: Any) -> int:
    """The bytes that one pass must read: the matrix as the oracle stores it."""
    data = problem.oracle.data
    return sum(part.nbytes for part in (data.dense, data.values, data.indices, data.indptr))


def limit_samples(problem: Any) -> dict[str, Callable[[], float]]:
    """Seconds for reading as many bytes as the matrix has, and for the loss of m margins, two ways."""
    from experiments.performance import limits, numpy_loop

    data, m = problem.oracle.data, problem.m
    array, out = np.ones(-(-data_bytes(problem) // 8)), np.zeros(8)
    z = np.random.default_rng(0).uniform(-8.0, 8.0, m)  # where neither exp nor log1p has an easy case
    slopes = np.empty(m)
    read, project = limits.stream.compile(), limits.project_block.compile()

    def by_numpy(repeats: int) -> None:
        for _ in range(repeats):
            numpy_loop.logistic_loss(z, data.b)

    return {
        "stream": repeated(lambda repeats: read(array, out, repeats)),
        "project block": repeated(lambda repeats: project(z, slopes, data, repeats)),
        "numpy block": repeated(by_numpy),
    }


def _passes(problem: Any) -> Callable[[], float]:
    """Seconds of one pass over the data whose loss costs next to nothing."""
    import problems

    model = problem.model
    hinge = problems.hinge(model.A, model.b, intercept=False)
    x, g, z = np.zeros(hinge.p), np.empty(hinge.p), np.empty(hinge.m)

    def passes(repeats: int) -> None:
        for _ in range(repeats):
            hinge.oracle.evaluate(x, g, z)

    return repeated(passes)
