"""A task: a call, everything that its result depends on, and the file that keeps the result."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import store

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
        """Whether the directory has the result; store.open_directory() has deleted damaged and foreign files."""
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
