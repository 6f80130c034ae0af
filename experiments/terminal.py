"""What the terminal shows: a progress bar with the time left, and the summary."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

# Where nothing can be redrawn, a line now and then.
SECONDS_BETWEEN_LINES = 5.0
# So long after something last ended, it is said what is being worked on.
SECONDS_BETWEEN_LOOKS = 2.0
VERDICTS = ("VERIFIED", "VIOLATED", "UNDECIDED", "NOT_APPLICABLE")
HEADINGS = {"NOT_APPLICABLE": "n/a"}
STYLES = {"VERIFIED": "green", "VIOLATED": "bold red", "UNDECIDED": "yellow", "NOT_APPLICABLE": "dim"}


class Advance(Protocol):
    """Say that one more is done."""

    def __call__(self) -> None: ...


def console() -> Console:
    """Standard output; wide enough for a table where it is no terminal."""
    plain = Console(highlight=False)
    return plain if plain.is_terminal else Console(highlight=False, width=120)


@contextmanager
def progress(out: Console, what: str, total: int, waiting: Callable[[], str] = lambda: "") -> Iterator[Advance]:
    """A bar in a terminal; elsewhere a line every few seconds and one at the end.

    waiting: what is being worked on, shown where nothing has ended for a while.
    """
    if total == 0:
        yield lambda: None
    elif out.is_terminal:
        columns = (
            TextColumn("{task.description:>8}"), BarColumn(bar_width=40), MofNCompleteColumn(),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
            TextColumn("{task.fields[waiting]}", markup=False),
        )  # fmt: skip
        with Progress(*columns, console=out) as bar:
            task = bar.add_task(what, total=total, waiting="")
            with _Watch(lambda: bar.update(task, waiting=waiting())) as watch:

                def advance() -> None:
                    bar.update(task, advance=1, waiting="")
                    watch.ended()

                yield advance
    else:
        lines = _Lines(out, what, total, waiting)
        with _Watch(lines.wait) as watch:

            def say() -> None:
                lines()
                watch.ended()

            yield say


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


class _Lines:
    def __init__(self, out: Console, what: str, total: int, waiting: Callable[[], str]) -> None:
        self.out, self.what, self.total, self.waiting = out, what, total, waiting
        self.done, self.begun = 0, time.monotonic()
        self.said = self.begun

    def __call__(self) -> None:
        self.done += 1
        now = time.monotonic()
        if self.done < self.total and now - self.said < SECONDS_BETWEEN_LINES:
            return
        self.said, took = now, now - self.begun
        left = took / self.done * (self.total - self.done)
        told = self.total / 20 <= self.done < self.total  # the first few say little: they compile
        ahead = f", about {left:.0f} s left" if told else ""
        self.out.print(f"{self.what}: {self.done}/{self.total} in {took:.0f} s{ahead}", markup=False)

    def wait(self) -> None:
        """Say that nothing has ended for a while."""
        now = time.monotonic()
        at = self.waiting()
        if at and (now - self.said >= SECONDS_BETWEEN_LINES or self.said == self.begun):
            self.said = now
            self.out.print(
                f"{self.what}: {self.done}/{self.total} in {now - self.begun:.0f} s, at work on {at}", markup=False
            )


def summary_table(rows: Iterable[dict[str, Any]]) -> Table:
    """The verdicts by method, as analysis.summary_by_method() counts them."""
    table = Table(title="Verdicts by method: theorems x problems", title_justify="left", header_style="bold")
    table.add_column("method", overflow="fold")
    for verdict in VERDICTS:
        table.add_column(HEADINGS.get(verdict, verdict.lower()), justify="right", no_wrap=True)
    table.add_column("ratio", justify="right", no_wrap=True)
    table.add_column("worst: theorem, problem", overflow="fold")
    for row in rows:
        counts = [f"[{STYLES[v]}]{row[v]}[/]" if row[v] else "[dim]-[/]" for v in VERDICTS]
        ratio = "-" if row["worst_ratio"] is None else f"{row['worst_ratio']:.4g}"
        table.add_row(plain(row["label"]), *counts, ratio, plain(row["where"]))
    return table


def plain(text: str) -> str:
    """Text as it stands: brackets are markup to rich."""
    return text.replace("[", r"\[")
