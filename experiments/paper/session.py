"""A results directory while a suite of the paper works in it: who may write there, its manifest, its exit code."""

from __future__ import annotations

import contextlib
import datetime
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments import provenance, store
from experiments.cells import Failure
from experiments.figure_names import FORMATS
from experiments.paper.files import FIGURES_OF, TABLES_OF
from experiments.processes import Stopped, how_many
from experiments.suite import BadInput, Options

OK, PROBLEM = 0, 1
TRAINING = "experiments/paper/training.py"  # starting points and what is measured: the numbers depend on it


@dataclass
class Session:
    """One call of a suite on a results directory.

    configuration : everything that must not change within the directory, of which `suite` is the suite's name.
    facts : what the manifest says besides.
    """

    options: Options
    configuration: Mapping[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from experiments import terminal

        self.console = terminal.console()
        self.begun, self.started = time.perf_counter(), datetime.datetime.now(datetime.UTC)
        self.found, self.files = store.Found(), dict[str, str]()
        self.jobs = how_many(self.options.jobs)  # the largest number of processes

    @property
    def suite(self) -> str:
        """The suite's name."""
        return str(self.configuration["suite"])

    @property
    def out(self) -> Path:
        """The results directory; a first look has its own, so as not to stand in the way of the whole suite."""
        return self.options.out or store.DEFAULT_PARENT / (self.suite + ("_quick" if self.options.quick else ""))

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
            self.seconds[what] = round(time.perf_counter() - begun, 3)

    def run(self, body: Callable[[], None]) -> int:
        """Do the work with the directory to itself; the exit code.

        BadInput where it holds other results or cannot be written; KeyboardInterrupt passes through.
        """
        with store.open_directory(self.out, self.configuration, self.options.fresh, files_of) as self.found:
            self.files = self.found.manifest.get("files", {})
            if self.found.line:
                self.say(self.found.line)
            self.write_manifest("running")
            try:
                body()
            except KeyboardInterrupt:
                with contextlib.suppress(store.StoreError):
                    self.write_manifest("interrupted")
                raise KeyboardInterrupt(store.what_is_kept(self.out)) from None
            except store.StoreError as error:
                raise BadInput(f"{error}; {store.what_is_kept(self.out)}.") from None
            except Stopped as error:
                self.write_manifest("stopped")
                self.say(f"stopped: {error}; {store.what_is_kept(self.out)}.")
                return PROBLEM
        for what, failure in self.failures.items():
            self.say(f"failed: {what}: {failure.reason}")
        self.say(f"report: {self.out / store.REPORT}")
        return PROBLEM if self.failures else OK

    def close(self, redraw: Callable[[Path], None]) -> None:
        """Draw and write the report; the manifest before it, which it shows, and after it, with the time that took."""
        self.files = store.hashes(self.out, TABLES_OF[self.suite])
        self.write_manifest("finished")
        with self.timed("figures"):
            redraw(self.out)
        self.write_manifest("finished")

    def write_manifest(self, state: str) -> None:
        """Write what is known by now."""
        this = {
            "started": self.started.isoformat(timespec="seconds"),
            "seconds": {**self.seconds, "total": round(time.perf_counter() - self.begun, 3)},
            "jobs": self.jobs,
        }
        store.write_manifest(
            self.out,
            {
                "state": state,
                "command": shlex.join(["python", "-m", "experiments.run", *self.options.argv]),
                "argv": list(self.options.argv),
                "configuration": self.configuration,
                "seeds": list(range(self.configuration.get("seeds", 0))),
                **self.facts,
                "files": self.files,
                "failed": [{"what": what, "reason": failure.reason} for what, failure in self.failures.items()],
                **provenance.commit(),
                "versions": provenance.versions(),
                "machine": provenance.machine(),
                "sessions": [*self.found.manifest.get("sessions", []), this],
            },
        )


def same_code() -> dict[str, Any]:
    """The part of a configuration that says by what the numbers were made."""
    code = provenance.code_fingerprint(TRAINING)
    return {"format": store.FORMAT, "environment": provenance.environment(), "code": code}


def files_of(configuration: Mapping[str, Any]) -> list[str]:
    """What a run of this configuration leaves beside the files that every suite writes; --fresh deletes it."""
    if configuration.get("suite") in FIGURES_OF:
        suite = configuration["suite"]
        figures = [f"{store.FIGURES}/{name}.{form}" for name in FIGURES_OF[suite] for form in FORMATS]
        return [*TABLES_OF[suite], *figures]
    from experiments.runner import named_files

    return named_files(dict(configuration))
