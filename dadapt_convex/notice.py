"""Lines on standard error where something takes more than a moment: compilation, certified optima."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar

PATIENCE = 2.0  # seconds before anything is said
_silent: ContextVar[bool] = ContextVar("silent", default=False)
said: set[str] = set()  # subjects of say_once


@contextlib.contextmanager
def notice(text: str) -> Iterator[None]:
    """Say what takes so long, and at the end how long it took."""
    if _silent.get():
        yield
        return
    begun = time.perf_counter()
    timer = threading.Timer(PATIENCE, say, (f"{text} ...",))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        seconds = time.perf_counter() - begun
        if seconds > PATIENCE:
            say(f"{text}: {seconds:.1f} s")


def say_once(subject: str, text: str) -> None:
    """Say a line on this subject, the first time in this process that it is not silent."""
    if not _silent.get() and subject not in said:
        said.add(subject)
        say(text)


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """No such lines: the caller shows what is going on."""
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


def say(text: str) -> None:
    """Say a line, also where there is silence."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):  # full, or closed: no reason to stop the work
            print(text, file=sys.stderr, flush=True)
