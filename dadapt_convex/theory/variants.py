"""Theorems made of theorems: the best iterate in place of the average, any point in place of a minimiser."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from dadapt_convex.theory.case import Case
from dadapt_convex.theory.rows import best_is_not_x0
from dadapt_convex.theory.statement import Sides, Theorem


def of_the_best(theorem: Theorem) -> Theorem:
    """The bound of a theorem about the average, on the best iterate."""
    assert theorem.sides is not None
    inequality = theorem.sides

    @functools.wraps(inequality)
    def sides(c: Case) -> Sides:
        return Sides(c.f_best - c.f_star, inequality(c).rhs)

    return replace(
        theorem,
        name=f"{theorem.name}_best",
        statement=f"{theorem.statement}; with min_k f(x_k) in place of the average",
        sides=sides,
        iterate="best",
        figure=False,
        proof=f"The smallest of the gaps is at most their weighted mean, which the proof of `{theorem.name}` bounds.",
    )


def for_the_best_point(theorem: Theorem) -> Theorem:
    """The inequality of a theorem that holds for every point, at the best iterate of the run: no optimum is read."""
    assert theorem.sides is not None
    assert theorem.comparator
    inequality = theorem.sides

    @functools.wraps(inequality)
    def sides(c: Case) -> Sides:
        return inequality(c.at_comparator())

    return replace(
        theorem,
        name=f"{theorem.name}_comparator",
        statement=f"{theorem.statement}; with u, the best iterate of the run, in place of a minimiser",
        sides=sides,
        rows=_both(best_is_not_x0, theorem.rows) if theorem.rows else best_is_not_x0,
        uses_optimum=False,
        comparator=False,
        proof=f"The proof of `{theorem.name}` reads of `x*` only `gap_k <= <g_k, x_k - x*>`, which holds for every u.",
    )


def _both(first: Callable[[Case], Any], second: Callable[[Case], Any]) -> Callable[[Case], Any]:
    """The checkpoints in both masks."""

    def both(c: Case) -> Any:
        return first(c) & second(c)

    both.__doc__ = f"{first.__doc__} and {second.__doc__}".replace(". and", ", and")
    return both
