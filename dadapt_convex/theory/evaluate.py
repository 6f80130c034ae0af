"""Calls of a theorem's functions: results are checked, and exceptions become sentences."""

from __future__ import annotations

import traceback
from typing import Any

import numpy as np

from dadapt_convex.checks import as_float, as_int, shown
from dadapt_convex.method import COLUMNS, Method
from dadapt_convex.run import OptimumInterval, Run
from dadapt_convex.theory.case import Case, Missing
from dadapt_convex.theory.rounded import Rounded, rounded
from dadapt_convex.theory.statement import Assumption, StepCheck, Theorem, Unmet
from dadapt_convex.theory.verdict import NOT_APPLICABLE, UNDECIDED


class NotKept(ValueError):
    """A theorem reads what the driver adds up, but not in runs with stochastic gradients."""


class _said_of:
    """Turn an exception of a theorem's own code into a sentence with the theorem, the file and the line."""

    def __init__(self, theorem: Theorem, what: str) -> None:
        self.theorem, self.what = theorem, what

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if not isinstance(error, Exception):
            return
        if isinstance(error, Missing):
            raise error.with_traceback(None) from None
        last = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in last if "dadapt_convex/theory/" not in frame.filename.replace("\\", "/")] or last
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(
            f"theorem {self.theorem.name}: {self.what} fails: {text} ({own[-1].filename}, line {own[-1].lineno})."
        ) from error


def unreadable(theorem: Theorem, error: Missing, method: Method) -> ValueError:
    """The sentence about a theorem that reads what runs of a method do not have."""
    hint = str(error).partition(";")[2]
    end = "" if hint.endswith("?") else "."
    return ValueError(
        f"theorem {theorem.name} reads {error.what} {error.name!r}, which runs of {method.name} do not have;{hint}{end}"
    )


def _not_there(theorem: Theorem, error: Missing, run: Run) -> ValueError:
    if run.sampling is not None and error.name in COLUMNS:
        return NotKept(error.name)
    return unreadable(theorem, error, run.method)


def sides_of(theorem: Theorem, case: Case) -> tuple[Rounded, Rounded]:
    """Both sides at every row of the trace; raise ValueError where the function returns something else."""
    assert theorem.sides is not None
    try:
        with np.errstate(all="ignore"), _said_of(theorem, "sides"):
            both = theorem.sides(case)
    except Missing as error:
        raise _not_there(theorem, error, case.run) from None
    if not (isinstance(both, tuple) and len(both) == 2):
        raise ValueError(f"theorem {theorem.name}: sides must return dc.Sides(lhs, rhs), got {type(both).__name__}.")
    found = []
    for name, side in zip(("lhs", "rhs"), both, strict=True):
        try:
            numbers = rounded(np.asarray(side, dtype=np.float64) if isinstance(side, list | tuple) else side)
            found.append(
                Rounded(np.broadcast_to(numbers.value, case.k.shape), np.broadcast_to(numbers.error, case.k.shape))
            )
        except (TypeError, ValueError):
            raise ValueError(
                f"theorem {theorem.name}: {name} must be a number for each of the {case.k.size} rows of the trace, got "
                f"{type(side).__name__} of shape {np.shape(side)}."
            ) from None
    return found[0], found[1]


def spoken_of(theorem: Theorem, case: Case) -> Any:
    """The checkpoints that the theorem speaks of, as a boolean mask; the case must be exact."""
    if theorem.rows is None:
        return np.ones(case.k.size, dtype=bool)
    try:
        with np.errstate(all="ignore"), _said_of(theorem, "rows"):  # a broken method may hand it anything
            mask = theorem.rows(case)
    except Missing as error:
        raise _not_there(theorem, error, case.run) from None
    mask = np.asarray(mask)
    if mask.dtype != bool or mask.shape != case.k.shape:
        raise ValueError(
            f"theorem {theorem.name}: rows must return true or false for each of the {case.k.size} rows of the trace, "
            f"got {mask.dtype} of shape {mask.shape}."
        )
    return mask


def unmet(theorem: Theorem, assumption: Assumption, run: Run, optimum: OptimumInterval) -> Unmet | None:
    """The answer of one assumption: None where it is met."""
    with np.errstate(all="ignore"), _said_of(theorem, "an assumption"):
        answer = assumption(run, optimum)
    if answer is None or (isinstance(answer, Unmet) and answer.verdict in (NOT_APPLICABLE, UNDECIDED)):
        return answer
    raise ValueError(
        f"theorem {theorem.name}: an assumption returns dc.theory.Unmet(verdict, note) or None, the verdict "
        f"NOT_APPLICABLE or UNDECIDED, got {answer!r}."
    )


def step_checks(theorem: Theorem, run: Run) -> list[StepCheck]:
    """The checks of a definition's single iterations; ValueError for anything else than a list of them."""
    assert theorem.steps is not None
    try:
        with _said_of(theorem, "steps"):
            checks: Any = theorem.steps(run)
    except Missing as error:
        raise unreadable(theorem, error, run.method) from None
    wrong = [c for c in checks if not _is_check(c)] if isinstance(checks, list | tuple) else [checks]
    if wrong:
        raise ValueError(
            f"theorem {theorem.name}: steps must return a list of StepCheck(k, what, found, expected, off), got "
            f"{shown(wrong[0])}."
        )
    return list(checks)


def _is_check(value: Any) -> bool:
    if not isinstance(value, StepCheck) or not isinstance(value.what, str) or as_int(value.k) is None:
        return False
    return None not in (as_float(value.found), as_float(value.expected), as_float(value.off))
