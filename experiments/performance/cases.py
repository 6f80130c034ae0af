"""The cases that are measured, and the targets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SEED = 0


@dataclass(frozen=True)
class Target:
    """A bound on one number of a row: its ratio, fraction, or measured value."""

    of: str
    relation: str
    bound: float

    def __str__(self) -> str:
        return f"{self.relation} {self.bound:g}{'x' if self.of == 'ratio' else ''}"

    def met(self, number: float) -> bool:
        """True where the number keeps to the bound."""
        return number >= self.bound if self.relation == ">=" else number <= self.bound


def times(bound: float) -> Target:
    """The target to be so many times faster than the reference."""
    return Target("ratio", ">=", bound)


# As ratios in one run on one machine, except where the unit says otherwise.
FRACTION = Target("fraction", ">=", 0.60)  # of the stream + transcendental limit, dense
LOSS_BLOCK = Target("ours", "<=", 1.6)  # ns per row
CSR_PASSES = Target("ours", "<=", 0.80)  # ns per nonzero, forward and backward, on a9a
COLD = Target("ours", "<=", 4.0)  # s to the first result with nothing compiled
WARM = Target("ratio", "<=", 1.3)  # of a trivial process with one cached function
HELP = Target("ours", "<=", 0.4)  # s


@dataclass(frozen=True)
class Case:
    """Logistic regression of one size.

    source: "dense", "one_hot" (made here, of `shape`), or a problem's name (looked for, left out where absent).
    steps: iterations in one sample, the same for both loops.
    speedup, passes: the targets against the NumPy loop and for CSR forward and backward, where there are any.
    """

    size: str
    source: str
    steps: int
    shape: tuple[int, int] = (0, 0)
    speedup: Target | None = None
    passes: Target | None = None


BUILT_IN = (
    Case("dense 200x30", "dense", 2000, (200, 30), times(10.0)),
    Case("dense 10000x100", "dense", 40, (10_000, 100), times(2.2)),
    # a stand-in for a9a, where there are no data: its shape, its nonzeros a row, its values, its targets
    Case("CSR 32561x123", "one_hot", 12, (32_561, 123), times(2.8), CSR_PASSES),
)
A9A = Case("a9a", "logistic[intercept=false]:a9a", 12, speedup=times(2.8), passes=CSR_PASSES)
FURTHER = (
    Case("w8a", "logistic[intercept=false]:w8a", 8, speedup=times(4.0)),
    Case("mushrooms", "logistic[intercept=false]:mushrooms", 40, speedup=times(4.0)),
    Case("news20", "logistic[intercept=false,positive=1]:news20", 5),
)
NONZEROS_PER_ROW = 14  # of one_hot; a9a has 13.9
BATCH_SIZE = 16


@dataclass(frozen=True)
class MiniBatch:
    """Multinomial logistic regression with an intercept, in batches of BATCH_SIZE.

    source: "clusters" (made here, `shape` and `classes`), or a problem's name.
    steps: in one sample of the loop that is compared with, and in the comparison of the iterates. d must have grown by
        then, and the loops must not have drifted apart: with d too large D-Adapt Adam multiplies a difference, in the
        released convention on letter-like by 30 in 100 steps and by a million in 500.
    speedup: the target against the released package.
    """

    size: str
    source: str
    steps: int
    shape: tuple[int, int] = (0, 0)
    classes: int = 0
    speedup: Target | None = None


MINI_BATCHES = (
    MiniBatch("iris", "multinomial:iris", 200, speedup=times(150.0)),
    MiniBatch("digits", "multinomial:digits", 200, speedup=times(25.0)),
    # of the shape of the LIBSVM site's letter, and of aloi but for its rows, of which it has 108000
    MiniBatch("letter-like", "clusters", 100, (15_000, 16), 26, times(45.0)),
    MiniBatch("aloi-like", "clusters", 200, (10_000, 128), 1000, times(3.0)),
)


def build(case: Case | MiniBatch, data_dir: Path | None) -> Any:
    """The Problem of a case; None where its data are absent."""
    import problems
    from problems.data import DataNotFound

    if isinstance(case, MiniBatch) and case.source == "clusters":
        A, labels = clusters(*case.shape, case.classes)
        return problems.multinomial_logistic(A, labels)
    if case.source == "dense":
        A, b = dense(*case.shape)
        return problems.logistic(A, b, intercept=False)
    if case.source == "one_hot":
        A, b = one_hot(*case.shape)
        return problems.logistic(A, b, intercept=False)
    try:
        return problems.get(case.source, data_dir=data_dir)
    except DataNotFound:
        return None


def dense(m: int, p: int) -> tuple[Any, Any]:
    """Gaussian data; labels from a linear model with noise, so that a minimiser exists."""
    random = np.random.default_rng(SEED)
    A = random.standard_normal((m, p))
    return A, _labels(A @ random.standard_normal(p) / np.sqrt(p), random)


def one_hot(m: int, p: int) -> tuple[Any, Any]:
    """CSR with values 1, as categorical data become: in every row one column of each of 14 groups."""
    import scipy.sparse

    random = np.random.default_rng(SEED)
    groups = min(NONZEROS_PER_ROW, p)
    edges = np.linspace(0, p, groups + 1).astype(np.int32)
    columns = random.integers(edges[:-1], edges[1:], size=(m, groups), dtype=np.int32)
    starts = np.arange(0, m * groups + 1, groups)
    A = scipy.sparse.csr_array((np.ones(m * groups), columns.ravel(), starts), shape=(m, p))
    return A, _labels(A @ random.standard_normal(p) / np.sqrt(groups), random)


def clusters(m: int, p: int, classes: int) -> tuple[Any, Any]:
    """Gaussian data around a centre for each class, which occur equally often."""
    random = np.random.default_rng(SEED)
    labels = random.permutation(np.arange(m) % classes)
    return random.standard_normal((classes, p))[labels] + random.standard_normal((m, p)), labels


def _labels(z: Any, random: np.random.Generator) -> Any:
    return np.where(z + random.standard_normal(z.size) > 0.0, 1.0, -1.0)
