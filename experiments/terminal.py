"""Terminal output: a progress bar with the time left, and the summary."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from experiments.output import shown

# Where nothing can be redrawn, a line now and then.
SECONDS_BETWEEN_LINES = 5.0
# After so long without an end, the tasks at work are named.
SECONDS_BETWEEN_LOOKS = 2.0
# So many must have ended after the first before the time left is told: the first waits for imports and compiled code.
MEASURED = 5
# Columns where output is no terminal: more than any table has, so that no name is wrapped or cut.
UNLIMITED = 10_000
HEADINGS = {"NOT_APPLICABLE": "n/a"}
LEGEND = (
    "ratio: left side / right side at the worst checkpoint, at most 1 where a theorem holds; the largest among the "
    "convergence rates, or among violated theorems. n/a: an assumption is not met."
)
STYLES = {"VERIFIED": "green", "TIGHT": "cyan", "VIOLATED": "bold red", "UNDECIDED": "yellow", "NOT_APPLICABLE": "dim"}


class Advance(Protocol):
    """Say that one more is done, and how much of the work it was."""

    def __call__(self, work: float = 1.0) -> None: ...


class _Console(Console):
    """Shows every text as it stands: rich would read brackets as markup and :names: as emoji."""

    def __init__(self, width: int | None = None) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, width=width)

    def render_str(self, text: str, **how: Any) -> Text:
        """Lines of text, with what a terminal would obey escaped."""
        return super().render_str("\n".join(map(shown, text.split("\n"))), **how)


def console() -> Console:
    """Standard output; where it is no terminal, lines are as long as their text."""
    fitting = _Console()
    return fitting if fitting.is_terminal else _Console(width=UNLIMITED)


def table(title: str) -> Table:
    """An empty table in this program's style: a heading, a rule, no frame."""
    return Table(title=title, title_justify="left", header_style="bold", box=SIMPLE, padding=(0, 1, 0, 0))


@contextmanager
def progress(
    out: Console, what: str, total: int, waiting: Callable[[], str] = lambda: "", work: float | None = None
) -> Iterator[Advance]:
    """A bar in a terminal; elsewhere a line every few seconds and one at the end.

    waiting: what is being worked on, shown where nothing has ended for a while.
    work: all of it, in the unit in which advance() is told; by it the time left is told.
    """
    if total == 0:
        yield lambda work=0.0: None
        return
    pace = Pace(total, work)
    display = _Bar(out, what, pace) if out.is_terminal else Lines(out, what, pace)
    with display, _Watch(lambda: display.wait(waiting())) as watch:

        def advance(work: float = 1.0) -> None:
            pace.ended(work)
            display.advance()
            watch.ended()

        yield advance


class Pace:
    """The pace of the work: how much has ended, and how long the rest will take.

    total, done : how many; all, worked : how much work they are.
    """

    def __init__(self, total: int, work: float | None = None) -> None:
        self.total, self.done = total, 0
        self.all, self.worked = float(total) if work is None else work, 0.0
        self.begun = self.first = time.monotonic()
        self.before = 0.0  # the work of the first

    def ended(self, work: float = 1.0) -> None:
        """Count one more."""
        self.done += 1
        self.worked += work
        if self.done == 1:
            self.first, self.before = time.monotonic(), work

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self.begun

    def left(self) -> str:
        """The time left at the pace since the first ended, in words; empty while that is measured on too few."""
        measured = self.worked - self.before
        if self.done - 1 < max(MEASURED, self.total / 20) or self.done == self.total or measured <= 0:
            return ""
        return f"about {(time.monotonic() - self.first) / measured * (self.all - self.worked):.0f} s left"


class _Bar:
    """Progress as a bar in a terminal."""

    def __init__(self, out: Console, what: str, pace: Pace) -> None:
        self.pace = pace
        self.bar = Progress(
            TextColumn("{task.description:>8}"), BarColumn(bar_width=40), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"), TextColumn("{task.fields[waiting]}", markup=False), console=out,
        )  # fmt: skip
        self.task = self.bar.add_task(what, total=pace.total, waiting="", left="")

    def __enter__(self) -> _Bar:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def advance(self) -> None:
        self.bar.update(self.task, advance=1, waiting="", left=self.pace.left())

    def wait(self, at: str) -> None:
        self.bar.update(self.task, waiting=shown(at))


class _Watch:
    """Calls a function every SECONDS_BETWEEN_LOOKS while nothing ends."""

    def __init__(self, look: Callable[[], None]) -> None:
        self.look, self.last, self.stop = look, time.monotonic(), threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> _Watch:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()

    def ended(self) -> None:
        self.last = time.monotonic()

    def _run(self) -> None:
        while not self.stop.wait(SECONDS_BETWEEN_LOOKS):
            if time.monotonic() - self.last >= SECONDS_BETWEEN_LOOKS:
                self.look()


class Lines:
    """Progress in lines, where nothing can be redrawn."""

    def __init__(self, out: Console, what: str, pace: Pace) -> None:
        self.out, self.what, self.pace = out, what, pace
        self.said = -math.inf

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None: ...

    def advance(self) -> None:
        if self.pace.done == self.pace.total or self.pace.seconds - max(self.said, 0.0) >= SECONDS_BETWEEN_LINES:
            self._say(self.pace.left())

    def wait(self, at: str) -> None:
        if at and self.pace.seconds - self.said >= SECONDS_BETWEEN_LINES:
            self._say(f"at work on {at}")

    def _say(self, more: str) -> None:
        self.said, pace = self.pace.seconds, self.pace
        text = f"{self.what}: {pace.done}/{pace.total} in {pace.seconds:.0f} s"
        self.out.print(f"{text}, {more}" if more else text, markup=False)


def summary_table(rows: Iterable[dict[str, Any]]) -> Table:
    """The verdicts by method, as analysis.summary_by_method() counts them; LEGEND explains it."""
    summary = table("Verdicts by method: theorems x problems")
    summary.add_column("method", overflow="fold")
    for verdict in STYLES:
        summary.add_column(HEADINGS.get(verdict, verdict.lower()), justify="right", no_wrap=True)
    summary.add_column("ratio", justify="right", no_wrap=True)
    summary.add_column("of theorem, on problem", overflow="fold")
    for row in rows:
        counts = [Text(str(row[v]), STYLES[v]) if row[v] else Text("-", "dim") for v in STYLES]
        ratio = "-" if row["worst_ratio"] is None else f"{row['worst_ratio']:.4g}"
        where = f"{row['theorem']}, {row['problem']}" if row["theorem"] else ""
        summary.add_row(row["label"], *counts, ratio, where)
    return summary
