"""The replay: of every run, some iterations are taken once more by the plain Python function of the step."""

from __future__ import annotations

from dadapt_convex.theory.steps import replay
from dadapt_convex.theory.theorem import DEFINITION, Theorem

THEOREMS = (
    Theorem(
        name="replay",
        statement="x_{k+1}, the state and the weight are what the step's plain Python function makes of the same input",
        source="own",
        needs=(),
        steps=replay,
        kind=DEFINITION,
        schedule="any",
        uses_optimum=False,
        about=("*",),
    ),
)
