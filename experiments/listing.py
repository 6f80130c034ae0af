"""`list`: suites, problems and methods in plain tables. Imports NumPy at most, so that it answers at once."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Iterable

from experiments.suite import suites

INDENT = "  "


def show() -> None:
    """Print what can be run."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # nothing is computed; starting its threads takes a while
    import dadapt_convex as dc
    import problems
    from problems.linear_models.loss import losses

    print("SUITES (python -m experiments.run SUITE)")
    _table((suite.name, _grid(suite.name)) for suite in suites().values())

    print("\nPROBLEMS (--problems LOSS:DATA ..., parameters in brackets as quantile[tau=0.9]:diabetes)")
    by_loss: dict[str, list[str]] = {}
    for name in problems.names():
        loss, _, data = name.partition(":")
        by_loss.setdefault(loss, []).append(data)
    formulas = {loss.short: _first_line(getattr(problems, loss.name, None)) for loss in losses().values()}
    _table((loss, f"{formulas.get(loss, '')}\n{', '.join(data)}".strip()) for loss, data in by_loss.items())
    print(f"\n{INDENT}DATA may also be the path of a LIBSVM file, or a file name in --data-dir or $DADAPT_DATA.")

    print("\nMETHODS (--methods NAME ..., hyper-parameters in brackets as dadapt_dual_averaging[option=II])")
    _table((name, _method(name)) for name in dc.methods())


def _grid(name: str) -> str:
    suite = suites()[name]
    if suite.execute is not None:
        return suite.summary
    return (
        f"{suite.summary}\n{len(suite.problems)} problems x {len(suite.methods)} method configurations, "
        f"{suite.steps} steps; with --quick {len(suite.quick_problems)} problems, {suite.quick_steps} steps\n"
        f"problems: {', '.join(suite.problems)}\nmethods: {', '.join(suite.methods)}"
    )


def _method(name: str) -> str:
    import dadapt_convex as dc

    method = dc.get_method(name)
    hyper = "; ".join(f"{h.name} ({_default(h)})" for h in method.hyper)
    return f"{method.summary}\n{hyper}".strip()


def _default(hyper: object) -> str:
    default, known = getattr(hyper, "default", None), getattr(hyper, "known", None)
    options = getattr(hyper, "options", ())
    if options:
        return " or ".join(options)
    if known is not None:
        return f"known: {known}"
    return "needed" if default is None else f"{default:g}"


def _first_line(function: object) -> str:
    """The formula before the semicolon of a loss's docstring."""
    return (getattr(function, "__doc__", None) or "").strip().partition("\n")[0].partition(";")[0]


def _table(rows: Iterable[tuple[str, str]]) -> None:
    """Two columns; the lines of the second are wrapped to the terminal."""
    entries = list(rows)
    left = max((len(name) for name, _ in entries), default=0) + 2
    width = max(40, min(shutil.get_terminal_size().columns, 120) - left - len(INDENT))
    for name, text in entries:
        lines = [part for line in text.splitlines() for part in textwrap.wrap(line, width, subsequent_indent=INDENT)]
        for i, line in enumerate(lines or [""]):
            print(f"{INDENT}{name if i == 0 else '':<{left}}{line}")
