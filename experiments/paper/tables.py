"""Accuracies, differences and their standard errors: numbers alone, no files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.paper.training import Curves
from experiments.paper.tuning import Score

# Accuracies that differ by less are one share of rows, summed in another order.
SAME_ACCURACY_DIGITS = 9
SAME = 1e-12  # relative: rounding alone, of numbers that are equal


def mean(values: Any) -> float:
    """The mean over seeds; NaN where a run has none."""
    return float(np.mean(values))


def standard_error(values: Any) -> float:
    """The standard error of the mean over seeds: standard deviation over sqrt(n); NaN for a single seed."""
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return math.nan
    if np.ptp(values) <= SAME * np.max(np.abs(values)):
        return 0.0
    return float(np.std(values, ddof=1) / math.sqrt(len(values)))


def finals(curves: Curves) -> tuple[Any, Any]:
    """Accuracy in % and training loss of the last iterates, for each seed."""
    return 100 * curves.accuracy[:, -1], curves.f[:, -1]


def score(curves: Curves | None) -> Score:
    """The score by which the search of a rate chooses."""
    if curves is None:
        return Score(math.nan, math.nan)
    accuracy, loss = finals(curves)
    return Score(round(mean(accuracy), SAME_ACCURACY_DIGITS), mean(loss))


def summary(curves: Curves) -> dict[str, Any]:
    """The columns accuracy, standard_error, loss, loss_standard_error and seeds."""
    accuracy, loss = finals(curves)
    return {
        "accuracy": mean(accuracy),
        "standard_error": standard_error(accuracy),
        "loss": mean(loss),
        "loss_standard_error": standard_error(loss),
        "seeds": len(accuracy),
    }


def paired(adaptive: Curves, tuned: Curves) -> dict[str, Any]:
    """Adaptive minus tuned, seed by seed: both saw equal mini-batches, so their common part cancels."""
    differences = [a - b for a, b in zip(finals(adaptive), finals(tuned), strict=True)]
    names = (("accuracy", "accuracy_standard_error"), ("loss", "loss_standard_error"))
    found: dict[str, Any] = {"seeds": len(differences[0])}
    for (value, error), difference in zip(names, differences, strict=True):
        found[value], found[error] = mean(difference), standard_error(difference)
    return found


def in_errors(difference: float, error: float) -> float | None:
    """A difference in standard errors; None where every seed gave the same and there is no error to divide by."""
    return difference / error if error > 0 else None


ALIKE, ABOVE, BELOW = "alike", "above", "below"
LEVEL = 0.05  # of the two-sided t-test


def beyond(seeds: int) -> float:
    """Standard errors beyond which a mean over so many seeds differs from 0; infinite for a single seed."""
    from scipy.special import stdtrit

    return float(stdtrit(seeds - 1, 1 - LEVEL / 2)) if seeds > 1 else math.inf


def standing(difference: float, error: float, seeds: int) -> str:
    """ABOVE or BELOW where the difference is beyond chance; ALIKE otherwise, or without an error that is known."""
    if math.isnan(error) or not abs(difference) > beyond(seeds) * error:
        return ALIKE
    return ABOVE if difference > 0 else BELOW


def by_standing(rows: Sequence[Mapping[str, Any]], value: str, error: str) -> dict[str, list[str]]:
    """The titles of rows above, below and alike, in their order."""
    found: dict[str, list[str]] = {ABOVE: [], BELOW: [], ALIKE: []}
    for row in rows:
        found[standing(row[value], row[error], row["seeds"])].append(str(row["title"]))
    return found
