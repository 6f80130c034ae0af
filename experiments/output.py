"""Standard output and standard error that never end in a traceback, whatever happens to them or is written."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO, cast

ELLIPSIS = "..."
LONGEST_WORD = 400  # characters in a message; paths have fewer
LONGEST_MESSAGE = 2000


def program() -> str:
    """The name by which this program was called, for messages and --help."""
    name = "dadapt"
    return name if Path(sys.argv[0]).stem == name else "python -m experiments.run"


def shown(text: str) -> str:
    r"""The text with characters escaped that a terminal would obey or not show: \x1b, \n, \u202e, \udcff."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shortened(text: str, longest: int) -> str:
    """The text, its middle left out where it is longer than that."""
    if len(text) <= longest:
        return text
    half = (longest - len(ELLIPSIS)) // 2
    return text[:half] + ELLIPSIS + text[-half:]


def counted(number: int, what: str, plural: str = "s") -> str:
    """A number with its noun: 1 process, 2 processes."""
    return f"{number} {what if number == 1 else what + plural}"


def sentence(error: object) -> str:
    """A message as one line that fits a screen."""
    words = (shortened(shown(word), LONGEST_WORD) for word in str(error).split())
    return shortened(" ".join(words), LONGEST_MESSAGE)


class Tolerant:
    """A text stream that falls silent where the one it writes to fails.

    failure : why, unless the reader has closed a pipe, which is nobody's fault.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._silent = False
        self.failure: OSError | None = None

    def write(self, text: str) -> int:
        """Write; a character that the encoding lacks is escaped."""
        if not self._silent:
            try:
                try:
                    self._stream.write(text)
                except UnicodeEncodeError:
                    encoding = self._stream.encoding
                    self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            except OSError as error:
                self._fall_silent(error)
        return len(text)

    def flush(self) -> None:
        """Flush."""
        if not self._silent:
            try:
                self._stream.flush()
            except OSError as error:
                self._fall_silent(error)

    def _fall_silent(self, error: OSError) -> None:
        self._silent = True
        if not isinstance(error, BrokenPipeError):
            self.failure = error
        # drop the text that the stream still holds, or Python would fail at its end
        with contextlib.suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def tolerant() -> Iterator[Tolerant]:
    """Put Tolerant streams in the place of both; yields standard output's."""
    _open_what_is_closed()
    with contextlib.ExitStack() as stack:
        nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
        out, err = Tolerant(sys.stdout or nowhere), Tolerant(sys.stderr or nowhere)
        stack.enter_context(contextlib.redirect_stdout(cast(TextIO, out)))
        stack.enter_context(contextlib.redirect_stderr(cast(TextIO, err)))
        try:
            yield out
        finally:
            out.flush()
            err.flush()


def _open_what_is_closed() -> None:
    """Let standard streams that were closed before Python started lead nowhere.

    Otherwise the next files opened get their numbers, and worker processes, which need them, do not start.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # os.open takes the lowest number that is free: this one
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
