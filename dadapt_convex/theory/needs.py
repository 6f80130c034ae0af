"""The names that a theorem reads and a method lacks, found by trying the theorem before the first run.

The functions of the theorem are called on a made-up run of the method: three checkpoints where every column is 1, and
three iterations where every number is 1. Each option of the method is tried, so that both branches of
`if c.hyper["option"] == "I"` are seen. Only the names that the theorem reads matter, not the values.
"""

from __future__ import annotations

import functools
import itertools
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from dadapt_convex.hyper import Choice, Flag, Parameter
from dadapt_convex.method import COLUMNS, Method
from dadapt_convex.run import COMPLETED, Run
from dadapt_convex.theory.case import Case, Missing
from dadapt_convex.theory.statement import Theorem
from dadapt_convex.transitions import Transitions, numbers

ROWS = 3  # the first is special, and so may the last be
MOST_SETTINGS = 64  # of the options of a method


class _Ones:
    """An optimum of which every number is 1."""

    f_lo = f_hi = D_lo = D_hi = 1.0
    attained: bool | None = True
    x = np.ones(1)


class _Asked(dict[str, Any]):
    """Numbers by name; Missing for a name that is not there."""

    what = ""

    def __missing__(self, name: str) -> Any:
        raise Missing(self.what, name, self)


class _Hyper(_Asked):
    what = "the hyper-parameter"


class _Row(_Asked):
    what = "the trace column"


def absent(theorem: Theorem, method: Method) -> list[Missing]:
    """The names that a theorem reads, or declares to need, and a method lacks: an error for each, none raised."""
    there = {*method.scalars, *method.vectors, *method.parameters, *COLUMNS}
    found = {name: Missing("the state", name, there) for name in theorem.needs if name not in there}
    if not theorem.about:  # a theorem about methods that it names itself reads names that they all have
        for values in itertools.islice(_settings(method), MOST_SETTINGS):
            found = {**_absent_with(theorem, method, values), **found}
    return list(found.values())


def _settings(method: Method) -> Iterator[dict[str, Any]]:
    """Values of the hyper-parameters, one set for every combination of a method's options."""
    usual = {h.name: _usual(h) for h in method.hyper}
    options = [
        [(h.name, value) for value in (h.options if isinstance(h, Choice) else (False, True))]
        for h in method.hyper
        if isinstance(h, Choice | Flag)
    ]
    return ({**usual, **dict(chosen)} for chosen in itertools.product(*options))


def _usual(h: Parameter) -> Any:
    if h.default is None:
        return float(ROWS) if h.known == "steps" else 1.0
    return h.default


def _absent_with(theorem: Theorem, method: Method, values: dict[str, Any]) -> dict[str, Missing]:
    """The names found missing one after the other, each made up before the next trial."""
    found: dict[str, Missing] = {}
    while True:
        run = _made_up(method, {**dict.fromkeys(found, 1.0), **values}, tuple(found))
        error = next(filter(None, (_missing(call) for call in _calls(theorem, run))), None)
        if error is None or error.name in found:
            return found
        found[error.name] = error


def _calls(theorem: Theorem, run: Run) -> Iterator[Callable[[], Any]]:
    """The calls of a theorem that read a run."""
    case = Case(run, 1.0, 1.0, _Ones(), 1.0, exact=True)
    for assumption in theorem.assumptions:
        yield functools.partial(assumption, run, _Ones())
    if theorem.rows is not None:
        yield functools.partial(theorem.rows, case)
    if theorem.sides is not None:
        yield functools.partial(theorem.sides, case)
    if theorem.steps is not None:
        yield functools.partial(theorem.steps, run)


def _missing(call: Callable[[], Any]) -> Missing | None:
    """The error of a call that asks for a name in vain; None where it finds all."""
    try:
        with np.errstate(all="ignore"):
            call()
    except Missing as error:
        return error
    except Exception:  # of made-up numbers anything may be raised; of a run it is told in a sentence
        return None
    return None


def _made_up(method: Method, hyper: dict[str, Any], more: tuple[str, ...]) -> Run:
    """A run of ROWS steps in one dimension whose numbers are 1; `more`: names that the method lacks."""
    k, x = np.arange(ROWS), np.ones(1)
    scalars = (*method.scalars, *more)
    columns = [*COLUMNS, *(name for name in scalars if not name.startswith("_"))]
    shape = (x.size, sum(h.width for h in method.hyper), len(scalars), len(method.vectors))
    iterations = np.ones((ROWS, numbers(*shape)))
    iterations[:, 0] = k
    extended: Any = types.SimpleNamespace(
        name=method.name, scalars=scalars, vectors=method.vectors, scheduled=method.scheduled, averages=method.averages
    )
    row = dict.fromkeys(columns, 1.0)
    run = Run(
        problem="", method=extended, hyper={}, given={}, steps=ROWS, k=ROWS, columns=columns, rows=[], errors=[], x0=x,
        x=x, x_next=x, x_avg=x, x_best=x, x_selected=x, status=COMPLETED, message="", G=1.0,
        transitions=Transitions(iterations, *shape), seconds=0.0, compile_seconds=0.0,
    )  # fmt: skip
    object.__setattr__(run, "hyper", _Hyper(hyper))
    object.__setattr__(run, "rows", tuple(_Row(row, k=i + 1.0) for i in k))
    return run
