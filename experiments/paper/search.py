"""The search of a baseline's rate: what to run next, what was tried, and the best."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from experiments.cells import ProblemKey
from experiments.paper import tables, tuning
from experiments.paper.suite import Search
from experiments.paper.training import Finished, Group
from experiments.paper.tuning import Score, rate
from experiments.selection import MethodConfig, parse_method


@functools.cache
def config(label: str) -> MethodConfig:
    """A method configuration by its label."""
    return parse_method(label)


def tuned_group(search: Search, key: ProblemKey, q: int) -> Group:
    """The runs at the rate 10^(q/4)."""
    more = f",{search.hyper}" if search.hyper else ""
    return Group(key, config(f"{search.tuned}[lr={rate(q):g}{more}]"))


def adaptive_group(search: Search, key: ProblemKey) -> Group:
    """The runs without a rate."""
    return Group(key, config(search.adaptive))


def tried(search: Search, key: ProblemKey, finished: Finished) -> dict[int, Score]:
    """The finished runs on a problem, by q."""
    grid = search.grid
    reach = tuning.HALF * (grid.extensions + 1)
    groups = {q: tuned_group(search, key, q) for q in range(grid.first - reach, grid.last + reach + 1)}
    return {q: tables.score(finished[group]) for q, group in groups.items() if group in finished}


def wanted(search: Search, key: ProblemKey, finished: Finished) -> list[Group]:
    """The runs to make next on a problem."""
    return [tuned_group(search, key, q) for q in tuning.next_rates(search.grid, tried(search, key, finished))]


def best(search: Search, key: ProblemKey, finished: Finished) -> Group:
    """The runs at the best rate."""
    return tuned_group(search, key, tuning.best(tried(search, key, finished)))


def rows(search: Search, key: ProblemKey, finished: Finished) -> list[dict[str, Any]]:
    """The rows of tuning.csv of a problem, by rate."""
    scores = tried(search, key, finished)
    winner = tuning.best(scores)
    found = []
    for q in sorted(scores):
        curves = finished[tuned_group(search, key, q)]
        row = {"problem": key.name, "method": search.tuned, "rate": rate(q), "origin": _origin(search, q)}
        row |= {"chosen": "chosen" if q == winner else "", "where": tuning.where(scores) if q == winner else ""}
        if curves is not None:
            row |= tables.summary(curves) | {"note": next(filter(None, curves.messages), "")}
        found.append(row)
    return found


def chosen(search: Search, key: ProblemKey, finished: Finished) -> dict[str, Any]:
    """The row of tuning.csv with the best rate."""
    return next(row for row in rows(search, key, finished) if row["chosen"])


def grids(searches: Sequence[Search]) -> dict[str, str]:
    """The declared rates of every baseline, for the configuration."""
    return {search.tuned: str(search.grid) for search in searches}


def _origin(search: Search, q: int) -> str:
    if (q - search.grid.first) % tuning.HALF:
        return "refined"
    return "declared" if q in search.grid.declared else "extended"
