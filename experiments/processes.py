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


class Stopped(Exception):
    """The work cannot go on; what is finished is kept."""


Task = tuple[Any, ...]  # a function and its arguments
Work = Callable[[Sequence[Task]], Iterator[tuple[int, Any]]]


@contextlib.contextmanager
def workers(jobs: int) -> Iterator[Work]:
    """A function that runs tasks and yields (index, what it returned) as they end.

    With one job everything happens in this process. Otherwise in processes that stay for all calls in the block
    and are killed when it is left by an exception, Ctrl-C included.
    """
    if jobs == 1:
        yield lambda tasks: ((i, task[0](*task[1:])) for i, task in enumerate(tasks))
        return
    import joblib
    from joblib.externals.loky.backend import resource_tracker
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    resource_tracker.ensure_running()  # its start would end the hold on Ctrl-C below
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1), interrupt_held():
        parallel = joblib.Parallel(n_jobs=jobs, batch_size=1, return_as="generator_unordered")
        parallel.__enter__()
        call = joblib.delayed(_call)
        list(parallel([call(i, (int,), os.getpid()) for i in range(jobs)]))  # the processes start here

    def work(tasks: Sequence[Task]) -> Iterator[tuple[int, Any]]:
        outcomes = parallel(call(i, task, os.getpid()) for i, task in enumerate(tasks))
        try:
            yield from outcomes
        except TerminatedWorkerError:
            raise Stopped(
                "a process was killed, perhaps for want of memory; try fewer --jobs; finished cells are kept"
            ) from None
        finally:
            with warnings.catch_warnings():  # joblib counts the tasks it gives up; the caller says what happened
                warnings.simplefilter("ignore", UserWarning)
                outcomes.close()

    try:
        yield work
    except BaseException:
        parallel._backend.abort_everything(ensure_ready=False)
        raise
    finally:
        parallel.__exit__(None, None, None)


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
