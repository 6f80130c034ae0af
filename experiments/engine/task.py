"""Tasks: calls, the identities and files of their results, and the executors that run them."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from experiments import store

if TYPE_CHECKING:
    from rich.console import Console

# Seconds of a task of which nothing is known.
UNKNOWN = 10.0


@dataclass(frozen=True)
class Task:
    """A call whose result a file of the results directory keeps.

    function, arguments : what is called in any process; the function of a module, so that it is found there.
    label : the name of the task in messages and on lines of progress.
    identity : a hash of everything that the result depends on; the file holds it.
    file : where the result is kept, within the results directory; empty for a call that is made every time.
    seconds : what the call takes, roughly; the longest begin first.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    label: str
    identity: str = ""
    file: str = ""
    seconds: float = UNKNOWN

    def is_stored(self, out: Path) -> bool:
        """True where the directory has the result; store.open_directory() has deleted damaged and foreign files."""
        return bool(self.file) and (out / self.file).is_file()


@dataclass(frozen=True)
class Failure:
    """An exception in words; disk: nothing can be stored any more."""

    reason: str
    details: str = ""
    disk: bool = False


def perform(task: Task, out: Path) -> Any:
    """Call and store; the Failure, or the result where no file keeps it. KeyboardInterrupt passes through."""
    try:
        with one_thread():
            result = task.function(*task.arguments)
            if not task.file:
                return result
            store.write_result(out / task.file, result, task.identity)
    except store.StoreError as error:
        return Failure(str(error), disk=True)
    except Exception as error:
        return Failure(f"{type(error).__name__}: {' '.join(str(error).split())}", traceback.format_exc())
    return None


def one_thread() -> Any:
    """Keep BLAS to one thread: tasks run in parallel, and sums split otherwise round otherwise."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1)


class Stopped(Exception):
    """The work cannot go on; what is finished is kept."""


class Executor(Protocol):
    """An executor runs tasks, on this machine or on another one.

    jobs : how many run at a time, at most.
    """

    @property
    def jobs(self) -> int: ...

    def submit(self, task: Task, out: Path) -> None:
        """Queue a task of this results directory."""

    def as_completed(self) -> Iterator[tuple[Task, Any]]:
        """Yield each task with the result of perform() as it ends, also tasks submitted meanwhile; raise Stopped."""


def run(tasks: Sequence[Task], out: Path, executor: Executor, console: Console, what: str) -> dict[str, Any]:
    """Run the tasks whose results are not stored yet; returns the result of each, or its Failure, by label.

    what : the word before the bar of progress.

    Raises
    ------
    StoreError
        Nothing can be stored any more.
    Stopped
        The executor cannot go on.
    """
    from experiments.terminal import progress

    missing = sorted((task for task in tasks if not task.is_stored(out)), key=lambda task: -task.seconds)
    for task in missing:
        executor.submit(task, out)
    pending = dict.fromkeys(task.label for task in missing)  # begun in this order
    outcomes: dict[str, Any] = {}

    def waiting() -> str:
        return ", ".join(list(pending)[: executor.jobs])

    with progress(console, what, len(missing), waiting, sum(task.seconds for task in missing)) as advance:
        for task, outcome in executor.as_completed() if missing else ():
            pending.pop(task.label, None)  # compiled functions may share a name
            if isinstance(outcome, Failure) and outcome.disk:
                raise store.StoreError(outcome.reason)
            outcomes[task.label] = outcome
            advance(task.seconds)
    return outcomes
