"""A suite: a value that names problems, methods and the kind of work."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import re
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

WORST_CASE = re.compile(r"hard(?:\[(?P<given>[^\]]*)\])?:drori_teboulle")
COMMANDS = ("list", "report", "certify")
GIVES_M = re.compile(r"(?:^|,)\s*m\s*=")


class BadInput(ValueError):
    """A request that cannot be met; the text says what to do. The command line exits with 2."""


@dataclass(frozen=True)
class Options:
    """The options of the command line; None where one was left out.

    problems, methods : names, labels and shell patterns as typed.
    out : where results go; None for results/<suite>/.
    argv : the arguments as typed, for the manifest.
    """

    quick: bool = False
    problems: tuple[str, ...] | None = None
    methods: tuple[str, ...] | None = None
    steps: int | None = None
    seeds: int | None = None
    epochs: int | None = None
    data_dir: Path | None = None
    jobs: int | None = None
    out: Path | None = None
    fresh: bool = False
    argv: tuple[str, ...] = ()


GRID = ("--quick", "--problems", "--methods", "--steps", "--seeds", "--data-dir", "--jobs", "--out", "--fresh")


@dataclass(frozen=True)
class Suite:
    """Problems and method configurations, or the values that another kind of work takes.

    Attributes
    ----------
    problems : tuple of str
        Names that problems.get() takes; in them N + 1 written as "N+1" stands for the number of steps plus one.
    methods : tuple of str
        Labels: a method's name, then hyper-parameters that differ from the defaults in brackets, as in
        "dadapt_dual_averaging[option=II,step=modified]".
    steps : int
        Subgradients per run.
    seeds : int
        How many where --seeds is not given.
    quick_problems, quick_methods, quick_steps, quick_seeds
        The values in their place with --quick.
    work : str
        "module:class", a subclass of experiments.engine.session.Work: the kind of work.
    options : tuple of str
        The options that it reads, as "--quick"; the command line refuses others.
    resumes : bool
        Whether an interrupted run is resumed.
    """

    name: str
    summary: str
    problems: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    steps: int = 10_000
    seeds: int = 1
    quick_problems: tuple[str, ...] = ()
    quick_methods: tuple[str, ...] = ()
    quick_steps: int = 1_000
    quick_seeds: int = 1
    work: str = "experiments.grid:Grid"
    options: tuple[str, ...] = GRID
    resumes: bool = True

    def kind(self) -> Any:
        """The class of the work; its imports are heavy."""
        module, _, name = self.work.partition(":")
        kind = getattr(importlib.import_module(module), name, None) if importlib.util.find_spec(module) else None
        if kind is None:
            raise BadInput(f"the work of suite {self.name} is a class, 'module:class', and {self.work!r} is none.")
        return kind

    def quickened(self, options: Options) -> Self:
        """The suite, with --quick the quick values that it has, in place of those that are not given."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        asked = [name for name in values if options.quick and getattr(options, name, None) is None]
        return replace(self, **{name: values[f"quick_{name}"] for name in asked if values.get(f"quick_{name}")})

    def problem_names(self, steps: int) -> list[str]:
        """The problems of a run of this many steps."""
        return [with_steps(name, steps) for name in self.problems]


def with_steps(name: str, steps: int) -> str:
    """The problem's name with the number of steps plus one for "N+1" in brackets.

    hard:drori_teboulle gets m = steps + 1 where no m is given: after m steps it is no worst case any more.
    """
    worst = WORST_CASE.fullmatch(name.strip())
    if worst is not None and not GIVES_M.search(worst["given"] or ""):
        name = f"hard[{','.join(filter(None, ['m=N+1', (worst['given'] or '').strip()]))}]:drori_teboulle"
    head, bracket, tail = name.partition("]:")
    return head.replace("=N+1", f"={steps + 1}") + bracket + tail if bracket else name


def suites() -> dict[str, Suite]:
    """All suites by name: each file of experiments/suites with a SUITE is one; BadInput for one that cannot be run."""
    package = importlib.import_module("experiments.suites")
    modules = (importlib.import_module(f"{package.__name__}.{m.name}") for m in pkgutil.iter_modules(package.__path__))
    found: dict[str, Suite] = {}
    for module in modules:
        if hasattr(module, "SUITE"):
            _check(module.SUITE, f"SUITE in {module.__file__}", {*COMMANDS, *found})
            found[module.SUITE.name] = module.SUITE
    return found


def _check(suite: Any, which: str, taken: set[str]) -> None:
    """Raise BadInput unless this is a suite with a new name, lists of distinct names, and positive integers."""
    if not isinstance(suite, Suite):
        raise BadInput(f"{which} must be a Suite, got {suite!r}.")
    if not (isinstance(suite.name, str) and suite.name.isidentifier()) or suite.name in taken:
        raise BadInput(f"{which} needs a name that is an identifier and no other suite or command, got {suite.name!r}.")
    for what in ("problems", "methods", "quick_problems", "quick_methods"):
        names = getattr(suite, what)
        if not (isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)):
            raise BadInput(
                f"{which}: {what} must be a tuple of names, got {names!r}; a single one goes in brackets too."
            )
        if twice := [name for i, name in enumerate(names) if name in names[:i]]:
            raise BadInput(f"{which}: {twice[0]!r} stands twice in {what}; leave one out.")
    for what in ("steps", "seeds", "quick_steps", "quick_seeds"):
        count = getattr(suite, what)
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise BadInput(f"{which}: {what} must be an integer of at least 1, got {count!r}.")
