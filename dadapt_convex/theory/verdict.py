"""The words of a verdict, and a row of what check() returns."""

from __future__ import annotations

from typing import NamedTuple

VERIFIED = "VERIFIED"
TIGHT = "TIGHT"
VIOLATED = "VIOLATED"
UNDECIDED = "UNDECIDED"
NOT_APPLICABLE = "NOT_APPLICABLE"
FLOAT64 = "float64"


class Verdict(NamedTuple):
    """A row of what check() returns."""

    theorem: str
    kind: str
    verdict: str
    worst_ratio: float
    k: int
    arithmetic: str
    note: str


class Found(NamedTuple):
    """A verdict as it is found: the row's other columns belong to theorem and run."""

    verdict: str
    worst_ratio: float
    k: int
    note: str
