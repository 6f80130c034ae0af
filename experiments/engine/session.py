"""One call of a suite on a results directory: the stored results, the missing runs, the manifest, the exit code."""

from __future__ import annotations

import contextlib
import datetime
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from experiments import provenance, store
from experiments.engine.processes import Processes, how_many
from experiments.engine.task import Executor, Failure, Stopped, Task, run
from experiments.suite import BadInput, Options, Suite, suites

if TYPE_CHECKING:
    from rich.console import Console

OK, PROBLEM = 0, 1


class Work:
    """The work of a suite, checked: nothing was written yet. Each kind of suite is a class of its own.

    suite : its values, with --quick the quick ones; options : what the command line was given.
    facts : further entries of the manifest.
    tables : the files that figures and report are made from; the manifest has their hashes.
    page : the file for readers.
    """

    tables: ClassVar[tuple[str, ...]]
    page: ClassVar[str] = store.REPORT

    def __init__(self, suite: Suite, options: Options) -> None:
        self.suite, self.options = suite, options
        self.facts: dict[str, Any] = {"quick": options.quick}
        self.jobs = how_many(options.jobs)  # the largest number of processes
        if options.data_dir is not None and not options.data_dir.is_dir():
            raise BadInput(f"--data-dir {options.data_dir} is no directory.")

    @property
    def out(self) -> Path:
        """The results directory; a first look has its own, so as not to stand in the way of the whole suite."""
        return self.options.out or store.DEFAULT_PARENT / (self.suite.name + ("_quick" if self.options.quick else ""))

    @property
    def data_dir(self) -> str | None:
        """The folder of data as a text, for other processes."""
        return None if self.options.data_dir is None else str(self.options.data_dir)

    @property
    def command(self) -> str:
        """The command as it was typed."""
        return shlex.join(["python", "-m", "experiments.run", *self.options.argv])

    def configuration(self) -> dict[str, Any]:
        """Everything that must not change within a results directory, `suite` among it."""
        raise NotImplementedError

    def kept(self) -> Sequence[Task]:
        """Tasks whose files are named after something other than their identity."""
        return ()

    def open(self) -> contextlib.AbstractContextManager[store.Found]:
        """The results directory, of no other process meanwhile; BadInput where it cannot be had."""
        expected = {task.file: task.identity for task in self.kept()}
        return store.open_directory(self.out, self.configuration(), self.options.fresh, files_of, expected)

    def what_is_kept(self) -> str:
        """The end of a sentence on a run that stopped."""
        return store.what_is_kept(self.out) if self.suite.resumes else store.NOTHING_NEW

    def announce(self, session: Session) -> None:
        """Say what will run."""

    def compute(self, session: Session) -> None:
        """Run the tasks and write the tables."""
        raise NotImplementedError

    def show(self, session: Session) -> bool:
        """Show the outcome on the terminal; returns True where all is well, failed tasks apart."""
        return True

    @classmethod
    def files(cls, configuration: Mapping[str, Any]) -> list[str]:
        """The files of such a directory that --fresh deletes, beside tables and what every suite writes."""
        return []

    @classmethod
    def draw(cls, out: Path, executor: Executor, console: Console) -> None:
        """Draw the figures, from the tables alone."""

    @classmethod
    def report(cls, out: Path) -> None:
        """Write report.html, from tables and figures alone."""


class Session:
    """One call at work on its directory: clock, failures, files, manifest.

    found : what the directory held; executor : where tasks run.
    """

    executor: Executor

    def __init__(self, work: Work, found: store.Found) -> None:
        from experiments import terminal

        self.work, self.found, self.out, self.console = work, found, work.out, terminal.console()
        self.begun, self.started = time.perf_counter(), datetime.datetime.now(datetime.UTC)
        self.files: Mapping[str, str] = found.manifest.get("files", {})
        self.failures: dict[str, Failure] = {}
        self.seconds: dict[str, float] = {}
        self.cells = 0

    def say(self, text: str) -> None:
        """A line on standard output, as it stands."""
        self.console.print(text, markup=False, soft_wrap=True)

    @contextlib.contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Record how long the block takes, for the manifest."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[what] = round(self.seconds.get(what, 0.0) + time.perf_counter() - begun, 3)

    def run(self, tasks: Sequence[Task], what: str) -> dict[str, Any]:
        """Run the missing tasks and note the failed ones; returns the result of each, by label."""
        with self.timed(what):
            outcomes = run(tasks, self.out, self.executor, self.console, what)
        self.cells += sum(task.label in outcomes and task.file.startswith(f"{store.CELLS}/") for task in tasks)
        self.failures |= {label: outcome for label, outcome in outcomes.items() if isinstance(outcome, Failure)}
        return outcomes

    def complete(self) -> bool:
        """Do the work: tasks, tables, figures, report; returns True where all is well."""
        work = self.work
        self.write_manifest("running")
        with Processes(work.jobs) as self.executor:
            work.announce(self)
            if self.found.line:
                self.say(self.found.line)
            work.compute(self)
            self.files = store.hashes(self.out, work.tables)
            self.write_manifest("finished")
            with self.timed("figures"):
                work.draw(self.out, self.executor, self.console)
        self.write_manifest("finished")
        work.report(self.out)
        fine = work.show(self)
        for what, failure in self.failures.items():
            self.say(f"failed: {what}: {failure.reason}")
        self.say(f"report: {self.out / work.page}")
        return fine and not self.failures

    def write_manifest(self, state: str) -> None:
        """Write the manifest as far as it is known, unless earlier results stay until the new ones are there."""
        work = self.work
        if state != "finished" and not work.suite.resumes:
            return
        configuration = work.configuration()
        this = {
            "started": self.started.isoformat(timespec="seconds"),
            "seconds": {**self.seconds, "total": round(time.perf_counter() - self.begun, 3)},
            "cells": self.cells,
            "jobs": work.jobs,
        }
        store.write_manifest(
            self.out,
            {
                "state": state,
                "command": work.command,
                "argv": list(work.options.argv),
                "configuration": configuration,
                "seeds": list(range(configuration.get("seeds", 0))),
                "failed": [{"cell": what, "reason": failure.reason} for what, failure in self.failures.items()],
                "files": self.files,
                **provenance.commit(),
                "versions": provenance.versions(),
                "machine": provenance.machine(),
                **work.facts,
                "sessions": [*self.found.manifest.get("sessions", []), this],
            },
        )


def run_suite(suite: Suite, options: Options) -> int:
    """Check the request, run what is missing and write all files; returns the exit code, or raises BadInput."""
    return run_work(suite.kind()(suite.quickened(options), options))


def run_work(work: Work) -> int:
    """Run what is missing and write all files; returns the exit code.

    BadInput where the directory holds other results or cannot be written; KeyboardInterrupt passes through.
    """
    with work.open() as found:
        session = Session(work, found)
        try:
            return OK if session.complete() else PROBLEM
        except KeyboardInterrupt:
            with contextlib.suppress(store.StoreError):
                session.write_manifest("interrupted")
            raise KeyboardInterrupt(work.what_is_kept()) from None
        except store.StoreError as error:
            raise BadInput(f"{error}; {work.what_is_kept()}.") from None
        except Stopped as error:
            session.write_manifest("stopped")
            session.say(f"stopped: {error}; {work.what_is_kept()}.")
            return PROBLEM


def redraw(out: Path) -> None:
    """Draw figures and report again from the stored files; BadInput where there are none, or damaged ones."""
    from experiments import terminal

    configuration = (store.read_manifest(out) or {}).get("configuration", {})
    kind = kind_of(configuration)
    if kind.page != store.REPORT:
        raise BadInput(
            f"{out} holds results of the suite {configuration['suite']}, whose table is {kind.page}: there is nothing "
            "to redraw."
        )
    store.checked_manifest(out, kind.tables)  # before anything is drawn
    if configuration.get("format") != store.FORMAT:
        raise BadInput(
            f"{out} holds results of format {configuration.get('format')}, this program reads {store.FORMAT}; give the "
            "suite's command again with --fresh, or draw with the version that wrote them."
        )
    console = terminal.console()
    with Processes(provenance.available_cores()) as executor:
        kind.draw(out, executor, console)
    kind.report(out)
    console.print(f"report: {out / store.REPORT}", markup=False, soft_wrap=True)


def kind_of(configuration: Mapping[str, Any]) -> type[Work]:
    """The kind of the suite that wrote a directory; a grid where the suite is not known."""
    suite = suites().get(configuration.get("suite", ""), Suite("", ""))
    return suite.kind()


def files_of(configuration: Mapping[str, Any]) -> list[str]:
    """The files of a directory of this configuration, beside those that every suite writes."""
    kind = kind_of(configuration)
    return [*kind.tables, *kind.files(configuration)]
