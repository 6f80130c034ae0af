"""The replay of iterations."""

from __future__ import annotations

import math

from dadapt_convex.run import Run
from dadapt_convex.theory.statement import DEFINITION, StepCheck, Theorem
from dadapt_convex.transitions import place, replay_error, replayed, within_range


def taken_again(run: Run) -> list[StepCheck]:
    """The compiled step against its plain Python function, at some of the kept iterations."""
    found = []
    step = run.method.step.python
    for t in replayed(run.transitions):
        try:
            off = replay_error(step, t) if within_range(t) else math.nan
        except Exception as error:
            what = " ".join(f"{type(error).__name__}: {error}".split())
            raise ValueError(
                f"the step of {run.method.name} fails as plain Python: {what} ({place(error, step)})."
            ) from None
        found.append(StepCheck(t.k, "the distance to plain Python in units of rounding", off, 1.0, off))
    return found


replay = Theorem(
    name="replay",
    statement="x_{k+1}, the state and the weight are what the step's plain Python function makes of the same input",
    source="own",
    kind=DEFINITION,
    steps=taken_again,
    schedule="any",
    uses_optimum=False,
    about=("*",),
    proof="The compiled step and its plain Python function have one source; this holds one against the other.",
)
