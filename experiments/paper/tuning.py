"""The grid search of a learning rate on the mean final accuracy, until the best is interior.

Rates lie on quarters of decades, 10^(q/4), and are known by the integer q. The declared grid takes half decades,
factors of about 3.2. While the best of these stands at an end of the grid, and no rate inside is as accurate, the
grid grows there by half a decade; then the two quarters beside the best are tried. Of equally accurate rates the one
with the smallest training loss is best, of these the smallest rate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

HALF = 2  # quarters of a decade


class Score(NamedTuple):
    """Mean accuracy, in %, and mean training loss of the last iterates; NaN where a run stopped being finite."""

    accuracy: float
    loss: float


@dataclass(frozen=True)
class Grid:
    """The declared rates, as quarters of decades in steps of HALF, and how far it may grow.

    extensions : rates that may be added beyond the declared ones before the search gives up.
    refine : whether the quarters beside the best are tried.
    """

    first: int
    last: int
    extensions: int = 8
    refine: bool = True

    @property
    def declared(self) -> range:
        """The rates tried first."""
        return range(self.first, self.last + 1, HALF)

    def __str__(self) -> str:
        return " ".join(f"{rate(q):g}" for q in self.declared)


def rate(q: int) -> float:
    """10^(q/4) to three digits, as it is used and shown."""
    return float(f"{10 ** (q / 4):.3g}")


def best(tried: Mapping[int, Score]) -> int:
    """The best of the rates tried; runs that were not finite come last."""

    def order(q: int) -> tuple[float, float, int]:
        accuracy, loss = tried[q]
        if math.isnan(accuracy) or math.isnan(loss):
            return math.inf, math.inf, q
        return -accuracy, loss, q

    return min(tried, key=order)


def next_rates(grid: Grid, tried: Mapping[int, Score]) -> list[int]:
    """The rates to try next; none when the search is over."""
    missing = [q for q in grid.declared if q not in tried]
    if missing:
        return missing
    halves = {q: score for q, score in tried.items() if (q - grid.first) % HALF == 0}
    winner, ends = best(halves), (min(halves), max(halves))
    may_grow = len(halves) - len(grid.declared) < grid.extensions
    if winner in ends and may_grow and not _as_accurate_inside(halves, winner):
        return [winner + (HALF if winner == ends[1] else -HALF)]
    if not grid.refine:
        return []
    beside = [winner - HALF // 2, winner + HALF // 2]
    return [q for q in beside if ends[0] < q < ends[1] and q not in tried]


def _as_accurate_inside(tried: Mapping[int, Score], winner: int) -> bool:
    """True where a rate inside the grid is as accurate as the winner: a larger grid would hardly help."""
    inside = [score.accuracy for q, score in tried.items() if min(tried) < q < max(tried)]
    return any(accuracy >= tried[winner].accuracy for accuracy in inside)


INTERIOR = "interior"
PLATEAU = "at an end of the grid, as accurate as rates inside"
AT_AN_END = "at an end of the grid, which may not grow further"


def where(tried: Mapping[int, Score]) -> str:
    """INTERIOR, PLATEAU or AT_AN_END, for the report."""
    winner = best(tried)
    if min(tried) < winner < max(tried):
        return INTERIOR
    return PLATEAU if _as_accurate_inside(tried, winner) else AT_AN_END
