"""Tasks over processes that end with the program: at Ctrl-C at once, and when their parent is killed.

joblib's loky runs them; what is added is who answers Ctrl-C, and that no worker outlives its parent.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dadapt_convex.notice import silence
from experiments.provenance import available_cores
from experiments.suite import BadInput


class Stopped(Exception):
    """The work cannot go on; what is finished is kept."""


Task = tuple[Any, ...]  # a function and its arguments
Work = Callable[[Sequence[Task]], Iterator[tuple[int, Any]]]
MOST = 1024  # processes


def how_many(asked: int | None) -> int:
    """The number of processes, one per core unless asked otherwise; BadInput beyond MOST."""
    if asked is not None and asked > MOST:
        raise BadInput(f"--jobs must be at most {MOST}, got {asked}; as many as there are cores is usual.")
    return asked or available_cores()


@contextlib.contextmanager
def workers(jobs: int) -> Iterator[Work]:
    """A function that runs tasks and yields (index, what it returned) as they end.

    It uses at most so many processes, and no more than there are tasks. One task at a time runs in this process. The
    others stay for all calls in the block and are killed when it is left by an exception, Ctrl-C included.
    """
    pool = _Pool()

    def work(tasks: Sequence[Task]) -> Iterator[tuple[int, Any]]:
        needed = min(jobs, len(tasks))
        if needed <= 1:
            return ((i, task[0](*task[1:])) for i, task in enumerate(tasks))
        pool.grow(needed)
        return pool.run(tasks)

    try:
        yield work
    except BaseException:
        pool.kill()
        raise
    finally:
        pool.close()


class _Pool:
    """joblib's processes, as many as were needed so far."""

    def __init__(self) -> None:
        self.size = 0
        self.parallel: Any = None

    def grow(self, size: int) -> None:
        """Start processes until there are so many."""
        import joblib
        from joblib.externals.loky.backend import resource_tracker

        if size <= self.size:
            return
        self.close()
        resource_tracker.ensure_running()  # its start would end the hold on Ctrl-C below
        with joblib.parallel_config(backend="loky", inner_max_num_threads=1), interrupt_held():
            self.parallel = joblib.Parallel(n_jobs=size, batch_size=1, return_as="generator_unordered")
            self.parallel.__enter__()
            self.size = size
            call = joblib.delayed(_call)
            list(self.parallel([call(i, (int,), os.getpid()) for i in range(size)]))  # the processes start here

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Any]]:
        """Run tasks; Stopped where a process was killed."""
        import joblib
        from joblib.externals.loky.process_executor import TerminatedWorkerError

        call = joblib.delayed(_call)
        outcomes = self.parallel(call(i, task, os.getpid()) for i, task in enumerate(tasks))
        try:
            yield from outcomes
        except TerminatedWorkerError:
            raise Stopped("a process was killed, perhaps for want of memory; try fewer --jobs") from None
        finally:
            with warnings.catch_warnings():  # joblib counts the tasks it gives up; the caller says what happened
                warnings.simplefilter("ignore", UserWarning)
                outcomes.close()

    def kill(self) -> None:
        """End the processes at once."""
        if self.parallel is not None:
            self.parallel._backend.abort_everything(ensure_ready=False)

    def close(self) -> None:
        """Give the processes back."""
        if self.parallel is not None:
            self.parallel.__exit__(None, None, None)
            self.parallel = None


def _call(index: int, task: Task, parent: int) -> tuple[int, Any]:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # in a worker that was started later than the others
    _end_with(parent)
    with silence():
        return index, task[0](*task[1:])


@functools.cache
def _end_with(parent: int) -> None:
    """End this process soon after its parent was killed: nobody waits for what it does."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def interrupt_held() -> Iterator[None]:
    """Hold Ctrl-C back: processes started meanwhile never see it, and this one gets it afterwards.

    A terminal sends Ctrl-C to all processes; only this one shall answer.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
