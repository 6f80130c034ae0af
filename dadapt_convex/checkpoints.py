"""The number of steps of a run, and the checkpoints of its trace."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from dadapt_convex.checks import as_int, shown

CHECKPOINTS_PER_DECADE = 40
# Larger numbers are slips: 1e12 steps take a day on the smallest problem, 1e7 rows of a trace take 15 GB.
MOST_STEPS, MOST_ROWS = 10**12, 10**7


def number_of_steps(steps: Any, epochs: Any, per_epoch: int) -> int:
    """The number of steps, from steps= or epochs=; raise ValueError unless one of the two is a possible count."""
    if (steps is None) == (epochs is None):
        raise ValueError("give either steps, the number of subgradients, or epochs, of passes over the rows.")
    count = _positive_int("steps", steps) if epochs is None else _positive_int("epochs", epochs) * per_epoch
    if count > MOST_STEPS:
        raise ValueError(f"a run has at most {MOST_STEPS:.0e} steps, which take a day at least, got {shown(count)}.")
    return count


def checkpoint_steps(checkpoints: str | Iterable[int], steps: int, per_epoch: int = 1) -> np.ndarray:
    """The rows of the trace: increasing integers in 1..steps, the last of them steps."""
    if isinstance(checkpoints, str):
        rows = steps if checkpoints == "all" else steps // per_epoch
        if checkpoints in ("all", "epochs") and rows > MOST_ROWS:
            raise ValueError(
                f"checkpoints={checkpoints!r} asks for {rows} rows of the trace, more than {MOST_ROWS:.0e}; 'log' has "
                f"about {CHECKPOINTS_PER_DECADE} per decade."
            )
        if checkpoints == "all":
            return np.arange(1, steps + 1)
        if checkpoints == "epochs":
            return np.union1d(np.arange(per_epoch, steps + 1, per_epoch), [steps])
        if checkpoints == "log":
            count = 2 + int(CHECKPOINTS_PER_DECADE * math.log10(steps))
            return np.unique(np.round(np.geomspace(1, steps, count)).astype(np.int64))
        raise ValueError(f'checkpoints must be "log", "epochs", "all" or integers, got {shown(checkpoints)}.')
    no_dimension = isinstance(checkpoints, np.ndarray) and checkpoints.ndim == 0
    if no_dimension or not isinstance(checkpoints, Iterable) or isinstance(checkpoints, bytes | Mapping):
        raise ValueError(f'checkpoints must be "log", "epochs", "all" or integers, got {shown(checkpoints)}.')
    marks = set()
    for mark in checkpoints:
        number = as_int(mark)
        if number is None or not 1 <= number <= steps:
            raise ValueError(f"checkpoints must be integers from 1 to steps = {steps}, got {shown(mark)}.")
        marks.add(number)
        if len(marks) > MOST_ROWS:
            raise ValueError(f"checkpoints must be at most {MOST_ROWS:.0e}, got more; 'log' has some in each decade.")
    if not marks:
        raise ValueError(f"checkpoints must be integers from 1 to steps = {steps}, got none.")
    return np.array(sorted({*marks, steps}), dtype=np.int64)


def _positive_int(name: str, value: Any) -> int:
    number = as_int(value)
    if number is None or number < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {shown(value)}.")
    return number
