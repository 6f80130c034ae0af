"""The values of suites that train multinomial logistic regression with mini-batches."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.paper.tuning import Grid
from experiments.suite import Suite

OPTIONS = ("--quick", "--problems", "--epochs", "--seeds", "--data-dir", "--jobs", "--out", "--fresh")


@dataclass(frozen=True)
class Search:
    """A baseline whose rate is searched, and the method without a rate that it is laid beside.

    hyper : further hyper-parameters of the baseline, as in a label.
    """

    tuned: str
    adaptive: str
    grid: Grid
    hyper: str = ""


@dataclass(frozen=True)
class TrainingSuite(Suite):
    """A suite that trains; `problems` are titles of the paper's, none for all that are on this machine.

    searches : baselines and what they are laid beside.
    versions : (name, label, start): the versions of the set-up on which published numbers may depend.
    """

    options: tuple[str, ...] = OPTIONS
    quick_problems: tuple[str, ...] = ("glass", "iris", "vowel", "wine")
    seeds: int = 10
    quick_seeds: int = 3
    epochs: int = 100
    quick_epochs: int = 15
    searches: tuple[Search, ...] = ()
    quick_searches: tuple[Search, ...] = ()
    versions: tuple[tuple[str, str, str], ...] = ()
