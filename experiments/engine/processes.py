"""The executor of this machine: processes that end with the program, at Ctrl-C, and when their parent is killed.

joblib's loky runs them. This file adds that one process alone answers Ctrl-C, and that none outlives its parent.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from pathlib import Path
from typing import Any

from dadapt_convex.notice import silence
from experiments.engine.task import Stopped, Task, perform
from experiments.provenance import available_cores
from experiments.suite import BadInput

MOST = 1024  # processes
# A process for so many seconds of work: it starts in a few, in which it loads compiled code.
WORTH_A_PROCESS = 3.0
# Tasks that a process has at hand, the one it works on included: loky stumbles where it is killed with more of them.
AT_HAND = 2
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
     "NUMBA_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
    "1",
)  # fmt: skip


def how_many(asked: int | None) -> int:
    """The number of processes, one per core unless asked otherwise; BadInput beyond MOST."""
    if asked is not None and asked > MOST:
        raise BadInput(f"--jobs must be at most {MOST}, got {asked}; as many as there are cores is usual.")
    return asked or available_cores()


class Processes(contextlib.AbstractContextManager["Processes"]):
    """Processes of this machine: at most `jobs`, no more than there are tasks, and no more than the work is worth.

    One task at a time runs in this process. The others stay for everything in the block and are killed when it is left
    by an exception, Ctrl-C included.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self._queue: deque[tuple[Task, Path]] = deque()
        self._pool: Any = None
        self._size = 1

    def __exit__(self, kind: object, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(kill_workers=kind is not None)

    def submit(self, task: Task, out: Path) -> None:
        """Queue a task of this results directory."""
        self._queue.append((task, out))

    def as_completed(self) -> Iterator[tuple[Task, Any]]:
        """Yield each task with the result of perform() as it ends; raise Stopped where a process was killed."""
        from joblib.externals.loky import BrokenProcessPool

        worth = int(sum(task.seconds for task, _ in self._queue) / WORTH_A_PROCESS)
        self._grow(min(self.jobs, len(self._queue), worth))
        running: dict[Any, Task] = {}
        try:
            while self._queue or running:
                if self._pool is None:
                    task, out = self._queue.popleft()
                    yield task, perform(task, out)
                    continue
                while self._queue and len(running) < AT_HAND * self._size:
                    task, out = self._queue.popleft()
                    running[self._pool.submit(_perform, task, out, os.getpid())] = task
                ended, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in ended:
                    yield running.pop(future), future.result()
        except BrokenProcessPool:
            raise Stopped("a process was killed, perhaps for want of memory; try fewer --jobs") from None

    def _grow(self, size: int) -> None:
        """Start processes until there are `size`; none for a single one."""
        from joblib.externals.loky import ProcessPoolExecutor
        from joblib.externals.loky.backend import resource_tracker

        if size <= self._size:
            return
        if self._pool is not None:
            self._pool.shutdown()
        resource_tracker.ensure_running()  # its start would end the hold on Ctrl-C below
        with interrupt_held():
            self._pool, self._size = ProcessPoolExecutor(size, env=ONE_THREAD), size
            self._pool.submit(os.getpid)  # the processes start here


def _perform(task: Task, out: Path, parent: int) -> Any:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # in a process that was started later than the others
    _end_with(parent)
    with silence():
        return perform(task, out)


@functools.cache
def _end_with(parent: int) -> None:
    """End this process soon after its parent was killed: nobody waits for its result."""

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
