"""The tasks that are missing, longest first, with progress."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments import store
from experiments.engine.executor import Executor
from experiments.engine.task import Failure, Task

if TYPE_CHECKING:
    from rich.console import Console


def run(tasks: Sequence[Task], out: Path, executor: Executor, console: Console, what: str) -> dict[str, Any]:
    """Run the tasks whose results are not stored yet: by label, what each returned, or its Failure.

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
    pending = {task.label: task.seconds for task in missing}  # begun in this order
    outcomes: dict[str, Any] = {}

    def waiting() -> str:
        return ", ".join(list(pending)[: executor.jobs])

    with progress(console, what, len(missing), waiting, sum(pending.values())) as advance:
        for task, outcome in executor.as_completed() if missing else ():
            del pending[task.label]
            if isinstance(outcome, Failure) and outcome.disk:
                raise store.StoreError(outcome.reason)
            outcomes[task.label] = outcome
            advance(task.seconds)
    return outcomes
