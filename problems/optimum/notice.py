"""A line on standard error where a certified optimum takes more than a moment."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar

PATIENCE = 2.0  # seconds before anything is said
_silent: ContextVar[bool] = ContextVar("silent", default=False)


@contextlib.contextmanager
def notice(text: str) -> Iterator[None]:
    """Say what takes so long, and at the end how long it took."""
    if _silent.get():
        yield
        return
    begun = time.perf_counter()
    timer = threading.Timer(PATIENCE, lambda: print(f"{text} ...", file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        seconds = time.perf_counter() - begun
        if seconds > PATIENCE:
            print(f"{text}: {seconds:.1f} s", file=sys.stderr, flush=True)


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """No such lines: the caller shows what is going on."""
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)
