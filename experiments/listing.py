"""`list`: suites, problems, methods and data sets in plain tables, theorems in Markdown.

It imports NumPy at most, so that it answers at once.
"""

from __future__ import annotations

import fnmatch
import functools
import os
import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from experiments.output import program, shown
from experiments.suite import BadInput, suites

INDENT = "  "
UNKNOWN, NONE = "?", "-"
CLOSING = (
    f"DOWNLOAD: size of the file on the site. {UNKNOWN}: not known; {NONE}: there is none. A file that is not present "
    "is downloaded when a problem, LOSS:DATA, first needs it; DADAPT_OFFLINE=1 forbids that. Names are those of the "
    "site's files, without the suffix of a compression."
)
HEADINGS = ("DATA", "TASK", "ROWS", "COLUMNS", "CLASSES", "DOWNLOAD", "PRESENT")
# Task, rows, columns and classes of the embedded sets, whose own module reads them from scikit-learn.
EMBEDDED = {
    "breast_cancer": ("binary", 569, 30, 2),
    "wine": ("multiclass", 178, 13, 3),
    "iris": ("multiclass", 150, 4, 3),
    "digits": ("multiclass", 1797, 64, 10),
    "digits_bins": ("multiclass", 1797, 256, 10),
    "diabetes": ("regression", 442, 10, None),
}


class DataRow(NamedTuple):
    """A data set: its row under HEADINGS, and the kind and place of its further files."""

    cells: tuple[str, ...]
    others: list[tuple[str, str]]

    @property
    def name(self) -> str:
        """The name of the set's training file."""
        return self.cells[0]

    @property
    def task(self) -> str:
        """One of the three tasks."""
        return self.cells[1]


def show(data_dir: Path | None = None) -> None:
    """Print what can be run; names of files are those in `data_dir` and the other data folders."""
    _start_no_threads()
    import dadapt_convex as dc
    import problems
    from problems.linear_models.loss import losses

    print(f"SUITES ({program()} SUITE)")
    _table((suite.name, _grid(suite.name)) for suite in suites().values())

    print("\nPROBLEMS (--problems LOSS:DATA ..., parameters in brackets as quantile[tau=0.9]:diabetes)")
    by_loss: dict[str, list[str]] = {}
    for name in problems.names(data_dir):
        loss, _, data = name.partition(":")
        by_loss.setdefault(loss, []).append(shown(data))
    formulas = {loss.short: _first_line(getattr(problems, loss.name, None)) for loss in losses().values()}
    _table((loss, f"{formulas.get(loss, '')}\n{', '.join(data)}".strip()) for loss, data in by_loss.items())
    print(f"\n{INDENT}DATA may also be the path of a LIBSVM file, or a file name in --data-dir or $DADAPT_DATA,")
    print(f"{INDENT}or a file of the LIBSVM site, which is then downloaded: list --problems shows those.")

    print("\nMETHODS (--methods NAME ..., hyper-parameters in brackets as dadapt_dual_averaging[option=II])")
    _table((name, _method(name)) for name in dc.methods())


def show_data(patterns: Sequence[str] = (), data_dir: Path | None = None) -> None:
    """Print the embedded sets, the catalogue of the LIBSVM site, and which of their files are here.

    Parameters
    ----------
    patterns : sequence of str
        Names or patterns with * and ? of data ("a9a", "w?a*") or of problems ("lad:*"); none for everything.
    data_dir : Path, optional
        Folder that is looked in first.

    Raises
    ------
    BadInput
        A pattern matches nothing.
    """
    _start_no_threads()
    places, folders = _places(data_dir)
    rows = _matching([*_embedded_rows(), *_catalogue_rows(places)], patterns)
    widths = [max(map(len, column)) for column in zip(HEADINGS, *(row.cells for row in rows), strict=True)]
    print(_line(HEADINGS, widths))
    for row in rows:
        print(_line(row.cells, widths))
        for name, facts in row.others:
            print(f"{INDENT}{name}  ({facts})")
    print()
    print("\n".join(_wrapped(CLOSING, _width())))
    for label, folder in folders.items():
        print(f"{INDENT}{label}: {shown(str(folder))}")


def show_theorems(patterns: Sequence[str] = ()) -> None:
    """Print the page of all theorems, or the entries of some.

    Parameters
    ----------
    patterns : sequence of str
        Names or patterns with * and ?; none for the whole page.

    Raises
    ------
    BadInput
        A pattern matches nothing.
    """
    _start_no_threads()
    import dadapt_convex as dc
    from dadapt_convex.checks import did_you_mean
    from dadapt_convex.theory.page import page

    names = list(dc.theorems())
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            near = did_you_mean(pattern.strip("*?"), names)
            raise BadInput(f"no theorem matches {pattern!r}; {near or 'list --theorems shows them all.'}")
    wanted = [name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]
    print(page(wanted if patterns else None), end="")


def _start_no_threads() -> None:
    """Keep OpenBLAS from starting its threads: nothing is computed here, and they take a while."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """A line of the table: words to the left, cells with numbers to the right."""
    aligned = (
        cell.ljust(width) if heading in ("DATA", "TASK", "PRESENT") else cell.rjust(width)
        for heading, cell, width in zip(HEADINGS, cells, widths, strict=True)
    )
    return "  ".join(aligned).rstrip()


def _embedded_rows() -> list[DataRow]:
    return [
        DataRow((name, task, str(m), str(p), NONE if classes is None else str(classes), NONE, "embedded"), [])
        for name, (task, m, p, classes) in EMBEDDED.items()
    ]


def _catalogue_rows(places: Mapping[str, str]) -> list[DataRow]:
    """One row for each set: its training file, or its first file where the catalogue lacks that."""
    from problems.data.catalogue import Entry, bytes_text, catalogue

    def cells(entry: Entry) -> tuple[str, ...]:
        rows, columns, classes = (UNKNOWN if n is None else str(n) for n in (entry.m, entry.p, entry.classes))
        classes = NONE if entry.task == "regression" else classes
        size = bytes_text(entry.bytes) or UNKNOWN
        return (entry.name, entry.task, rows, columns, classes, size, places.get(entry.name, ""))

    def facts(entry: Entry) -> str:
        rows = "" if entry.m is None else f"{entry.m} rows"
        return ", ".join(filter(None, (entry.part, rows, bytes_text(entry.bytes), places.get(entry.name))))

    sets: dict[str, list[Entry]] = {}
    for entry in catalogue().values():
        sets.setdefault(entry.set, []).append(entry)
    return [DataRow(cells(main), [(other.name, facts(other)) for other in others]) for main, *others in sets.values()]


def _matching(rows: Sequence[DataRow], patterns: Sequence[str]) -> list[DataRow]:
    """Rows of sets of which a file, or a problem with one, matches any of the patterns."""
    from problems.data.catalogue import nearest_names
    from problems.linear_models.loss import losses

    names: list[list[str]] = []
    for row in rows:
        files = [row.name, *(name for name, _ in row.others)]
        serving = [loss for loss in losses().values() if (loss.task == "regression") == (row.task == "regression")]
        names.append([*files, *(f"{loss.short}:{file}" for loss in serving for file in files)])
    wanted: set[int] = set()
    for pattern in patterns:
        found = {i for i, known in enumerate(names) if any(fnmatch.fnmatchcase(name, pattern) for name in known)}
        if not found:
            near = nearest_names(pattern.strip("*?"), (name for known in names for name in known))
            raise BadInput(f"no data set matches {pattern!r}{near}; list --problems shows them all.")
        wanted |= found
    return [row for i, row in enumerate(rows) if i in wanted or not patterns]


def _places(data_dir: Path | None) -> tuple[dict[str, str], dict[str, Path]]:
    """A short label for the place of each file, and the folder that each label stands for."""
    from problems.data.locate import data_folders, places, raw_folder

    labels = {Path(): "current folder"}
    listed = 0
    for folder in data_folders(data_dir):
        if folder == raw_folder():
            labels.setdefault(folder, "cached")
        elif folder == data_dir:
            labels.setdefault(folder, "--data-dir")
        else:
            listed += 1
            labels.setdefault(folder, "$DADAPT_DATA" if listed == 1 else f"$DADAPT_DATA ({listed})")
    where = {name: labels[folder] for name, folder in places(data_dir).items()}
    folders = {label: folder for folder, label in labels.items() if folder != Path()}
    return where, folders


def _grid(name: str) -> str:
    suite = suites()[name]
    if not (suite.problems and suite.methods):
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
    if isinstance(default, tuple):
        return " ".join(f"{number:g}" for number in default)
    return "needed" if default is None else f"{default:g}" if isinstance(default, float) else str(default)


def _first_line(function: object) -> str:
    """The formula before the semicolon of a loss's docstring."""
    return (getattr(function, "__doc__", None) or "").strip().partition("\n")[0].partition(";")[0]


# Names hold hyphens, and some are longer than a narrow terminal is wide.
_wrapped = functools.partial(textwrap.wrap, break_long_words=False, break_on_hyphens=False)


def _width() -> int:
    return min(shutil.get_terminal_size(fallback=(120, 24)).columns, 120)


def _table(rows: Iterable[tuple[str, str]]) -> None:
    """Two columns; the lines of the second are wrapped to the terminal, between words: a name is never broken."""
    entries = list(rows)
    left = max((len(name) for name, _ in entries), default=0) + 2
    width = max(40, _width() - left - len(INDENT))
    for name, text in entries:
        lines = [part for line in text.splitlines() for part in _wrapped(line, width, subsequent_indent=INDENT)]
        for i, line in enumerate(lines or [""]):
            print(f"{INDENT}{name if i == 0 else '':<{left}}{line}")
