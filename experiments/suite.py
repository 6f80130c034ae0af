"""What a suite is. A suite is a value: problems, methods and a number of steps; or a function of the options."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

WORST_CASE = re.compile(r"hard(?:\[(?P<given>[^\]]*)\])?:drori_teboulle")
GIVES_M = re.compile(r"(?:^|,)\s*m\s*=")


class BadInput(ValueError):
    """What the caller asked for cannot be done; the text says what to do. The command line exits with 2."""


@dataclass(frozen=True)
class Options:
    """What the command line was given; None where an option was left out.

    problems, methods : names, labels and shell patterns as typed.
    out : where results go; None for results/<suite>/.
    argv : the arguments as typed, for the manifest.
    """

    quick: bool = False
    problems: tuple[str, ...] | None = None
    methods: tuple[str, ...] | None = None
    steps: int | None = None
    seeds: int = 1
    epochs: int | None = None
    data_dir: Path | None = None
    jobs: int | None = None
    out: Path | None = None
    fresh: bool = False
    argv: tuple[str, ...] = ()


@dataclass(frozen=True)
class Suite:
    """A grid of problems and method configurations, or a function.

    Attributes
    ----------
    problems : tuple of str
        Names that problems.get() takes; in them N + 1 written as "N+1" stands for the number of steps plus one.
    methods : tuple of str
        Labels: a method's name, then hyper-parameters that differ from the defaults in brackets, as in
        "dadapt_dual_averaging[option=II,step=modified]".
    steps : int
        Subgradients per run.
    quick_problems, quick_steps
        What --quick takes in their place.
    execute : callable (Options) -> exit code, optional
        In place of the grid. It is called with what the command line was given and owns everything else;
        import what is heavy inside it.
    accepts : tuple of str or None
        The options that `execute` reads, as "--quick"; the command line refuses others. None: those of a grid.
    seeds, quick_seeds : int
        How many where --seeds is not given.
    redraw : callable (results directory) -> None, optional
        What the command `report` does with a directory that `execute` has written.
    resumes : bool
        Whether an interrupted run goes on where it stopped.
    """

    name: str
    summary: str
    problems: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    steps: int = 10_000
    quick_problems: tuple[str, ...] = ()
    quick_steps: int = 1_000
    execute: Callable[[Options], int] | None = None
    accepts: tuple[str, ...] | None = None
    seeds: int = 1
    quick_seeds: int = 1
    redraw: Callable[[Path], None] | None = None
    resumes: bool = True

    def problem_names(self, steps: int, quick: bool = False) -> list[str]:
        """The problems of a run of this many steps."""
        chosen = self.quick_problems if quick and self.quick_problems else self.problems
        return [with_steps(name, steps) for name in chosen]


def with_steps(name: str, steps: int) -> str:
    """The problem's name with what depends on the length of the run: the number for "N+1" in brackets.

    hard:drori_teboulle gets m = steps + 1 where no m is given: after m steps it is no worst case any more.
    """
    worst = WORST_CASE.fullmatch(name.strip())
    if worst is not None and not GIVES_M.search(worst["given"] or ""):
        name = f"hard[{','.join(filter(None, ['m=N+1', (worst['given'] or '').strip()]))}]:drori_teboulle"
    head, bracket, tail = name.partition("]:")
    return head.replace("=N+1", f"={steps + 1}") + bracket + tail if bracket else name


def suites() -> dict[str, Suite]:
    """All suites by name: each file of experiments/suites with a SUITE is one."""
    package = importlib.import_module("experiments.suites")
    modules = (importlib.import_module(f"{package.__name__}.{m.name}") for m in pkgutil.iter_modules(package.__path__))
    found = (m.SUITE for m in modules if hasattr(m, "SUITE"))
    return {suite.name: suite for suite in found}
