"""The tuned baselines: a method, its declared grid, and the runs that the search has made so far."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.cells import ProblemKey
from experiments.paper import tables, tuning
from experiments.paper.training import Curves, Group
from experiments.paper.tuning import Grid, Score, rate
from experiments.selection import MethodConfig, parse_method

Finished = Mapping[Group, Curves | None]


@functools.cache
def config(label: str) -> MethodConfig:
    """A method configuration by its label."""
    return parse_method(label)


@dataclass(frozen=True)
class Search:
    """A baseline whose rate is searched, and the method with D-Adaptation that it is laid beside.

    hyper : further hyper-parameters of the baseline, as in a label.
    """

    method: str
    adaptive: str
    grid: Grid
    hyper: str = ""

    def group(self, key: ProblemKey, q: int) -> Group:
        """The runs at the rate 10^(q/4)."""
        more = f",{self.hyper}" if self.hyper else ""
        return Group(key, config(f"{self.method}[lr={rate(q):g}{more}]"))

    def adaptive_group(self, key: ProblemKey) -> Group:
        """The runs with D-Adaptation."""
        return Group(key, config(self.adaptive))

    def tried(self, key: ProblemKey, finished: Finished) -> dict[int, Score]:
        """The finished runs on a problem, by q."""
        reach = tuning.HALF * (self.grid.extensions + 1)
        candidates = range(self.grid.first - reach, self.grid.last + reach + 1)
        groups = {q: self.group(key, q) for q in candidates}
        return {q: tables.score(finished[group]) for q, group in groups.items() if group in finished}

    def wanted(self, keys: Sequence[ProblemKey], finished: Finished) -> list[Group]:
        """What to run next for every problem."""
        return [self.group(key, q) for key in keys for q in tuning.next_rates(self.grid, self.tried(key, finished))]

    def best(self, key: ProblemKey, finished: Finished) -> Group:
        """The runs at the best rate."""
        return self.group(key, tuning.best(self.tried(key, finished)))

    def rows(self, key: ProblemKey, finished: Finished) -> list[dict[str, Any]]:
        """The rows of tuning.csv of a problem, by rate."""
        tried = self.tried(key, finished)
        winner = tuning.best(tried)
        found = []
        for q in sorted(tried):
            curves = finished[self.group(key, q)]
            row = {"problem": key.name, "method": self.method, "rate": rate(q), "origin": self._origin(q)}
            row |= {"chosen": "chosen" if q == winner else "", "where": tuning.where(tried) if q == winner else ""}
            if curves is not None:
                row |= tables.summary(curves) | {"note": next(filter(None, curves.messages), "")}
            found.append(row)
        return found

    def _origin(self, q: int) -> str:
        if (q - self.grid.first) % tuning.HALF:
            return "refined"
        return "declared" if q in self.grid.declared else "extended"
