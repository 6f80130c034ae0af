"""The text of a data file in pieces, decompressed on the way, and never more than a limit.

A file is bzip2, xz or gzip where its first bytes say so, whatever its name. Compressed streams of one kind may
follow each other, as pbzip2 writes them; zero bytes may follow the last one. Anything else after a stream is
refused: the standard library's file objects pass over it, and with it over a second stream whose first byte was
damaged.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

from problems.data.dataset import DataError

PIECE = 4 * 2**20  # bytes handed out at a time
TEXT_LIMIT = 10**10  # bytes of text: HIGGS, the longest of the LIBSVM site's files whose arrays fit in 8 GB, has 8e9
LINE_LIMIT = 2**28  # bytes of a line: ten million features, and a bomb of zeros ends here
GATHERED = 2**16  # bytes: shorter texts are handed out together
SMALLEST_WINDOW = 2**10  # bytes of a stream that its decoder is given first; then twice as many each time
MOST_EMPTY = 1000  # streams without text, which no program writes but for one at the end
XZ_MEMORY = 2**30  # bytes; xz files of level 9 need 65 MB, and a header may ask for 4 GB


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    """zlib's decompressor with the interface of the other two."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=zlib.MAX_WBITS + 16)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def _bzip2() -> _Decoder:
    import bz2

    return bz2.BZ2Decompressor()


def _xz() -> _Decoder:
    import lzma

    return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=XZ_MEMORY)


class _Kind(NamedTuple):
    name: str
    magic: bytes
    decoder: Callable[[], _Decoder]


KINDS = (_Kind("bzip2", b"BZh", _bzip2), _Kind("xz", b"\xfd7zXZ\x00", _xz), _Kind("gzip", b"\x1f\x8b", _Gzip))
LONGEST_MAGIC = max(len(kind.magic) for kind in KINDS)


class _Source:
    """The bytes of a file one after another; what a decoder did not use can be given back."""

    def __init__(self, first: bytes, more: Callable[[], bytes]) -> None:
        self._data, self._at, self._more = first, 0, more

    def begins_with(self, magic: bytes) -> bool:
        """True where these bytes come next."""
        while len(self._data) - self._at < len(magic) and (more := self._more()):
            self._data, self._at = self._data[self._at :] + more, 0
        return self._data.startswith(magic, self._at)

    def take(self, count: int) -> bytes:
        """Take the next bytes, as many as are at hand; none at the end."""
        if self._at == len(self._data):
            self._data, self._at = self._more(), 0
        taken = self._data[self._at : self._at + count]
        self._at += len(taken)
        return taken

    def give_back(self, count: int) -> None:
        """Give back the last of the bytes taken: they come again."""
        self._at -= count


class TextPieces:
    """The text of an open file, to be iterated over once; a second loop goes on where the first was left.

    Parameters
    ----------
    path : path-like
        For messages.
    file : binary file
        At its beginning.
    limit : int
        Bytes of text from which on the file is refused.
    piece : int
        Bytes of a piece, at most.

    Attributes
    ----------
    compressed : str
        "bzip2", "xz", "gzip", or "" for plain text; known with the first piece.
    size : int
        Bytes of text so far.

    Raises
    ------
    DataError
        While iterating: the text is longer than `limit`, a stream is damaged, or the file cannot be read.
    """

    def __init__(self, path: str | Path, file: BinaryIO, limit: int = TEXT_LIMIT, piece: int = PIECE) -> None:
        self.path = path
        self.size = 0
        self.compressed = ""
        self._file = file
        self._limit = limit
        self._piece = piece
        self._text_hash = hashlib.sha256()
        self._file_hash = hashlib.sha256()
        self._pieces = self._counted()

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def _counted(self) -> Iterator[bytes]:
        first = self._read()
        while len(first) < LONGEST_MAGIC and (more := self._read()):
            first += more
        kind = next((kind for kind in KINDS if first.startswith(kind.magic)), None)
        if kind is not None:
            self.compressed = kind.name
        for text in self._plain(first) if kind is None else self._gathered(self._decoded(kind, first)):
            self.size += len(text)
            if self.size > self._limit:
                raise DataError(
                    f"{self.path} holds more than {self._limit} bytes of text; if that is meant, and the arrays fit "
                    "into memory, give text_limit=..."
                )
            self._text_hash.update(text)
            yield text

    @property
    def sha256(self) -> str:
        """The SHA-256 of the text handed out so far."""
        return self._text_hash.hexdigest()

    @property
    def file_sha256(self) -> str:
        """The SHA-256 of the bytes of the file read so far."""
        return (self._file_hash if self.compressed else self._text_hash).hexdigest()

    def _read(self) -> bytes:
        try:
            return self._file.read(self._piece)
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error.strerror}.") from error

    def _plain(self, data: bytes) -> Iterator[bytes]:
        while data:
            yield data
            data = self._read()

    def _decoded(self, kind: _Kind, data: bytes) -> Iterator[bytes]:
        import lzma

        def more() -> bytes:
            data = self._read()
            self._file_hash.update(data)
            return data

        self._file_hash.update(data)
        source, empty = _Source(data, more), 0
        try:
            while source.begins_with(kind.magic):
                size = 0
                for text in self._one_stream(kind.decoder(), source):
                    size += len(text)
                    yield text
                empty += size == 0
                if empty > MOST_EMPTY:
                    raise ValueError(f"more than {MOST_EMPTY} of its streams are empty")
            while data := source.take(self._piece):
                if data.strip(b"\0"):
                    raise ValueError("bytes that are no such stream follow its end")
        except DataError:
            raise
        except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
            raise DataError(
                f"{self.path} is {kind.name} data that is cut short or damaged ({error}); get the file again."
            ) from error

    def _one_stream(self, decoder: _Decoder, source: _Source) -> Iterator[bytes]:
        window = SMALLEST_WINDOW  # a decoder copies what it does not use: all that follows a short stream
        while not decoder.eof:
            data, ended = b"", False
            if decoder.needs_input:
                data = source.take(window)
                window = min(2 * window, PIECE)
                ended = not data
            text = decoder.decompress(data, self._piece)
            if text:
                yield text
            elif ended and not decoder.eof:
                raise EOFError("it ends within a stream")
        source.give_back(len(decoder.unused_data))

    def _gathered(self, texts: Iterable[bytes]) -> Iterator[bytes]:
        """Join short texts, so that a file of many short streams costs no more than its bytes."""
        held: list[bytes] = []
        size = 0
        for text in texts:
            if size + len(text) > self._piece:
                yield b"".join(held)
                held, size = [], 0
            held.append(text)
            size += len(text)
            if size >= GATHERED:
                yield b"".join(held)
                held, size = [], 0
        if held:
            yield b"".join(held)


def whole_lines(path: Any, pieces: Iterable[bytes]) -> Iterator[bytes]:
    r"""Cut the text anew, after a "\n"; only the last piece may end without.

    Raises DataError for a line longer than LINE_LIMIT.
    """
    held: list[bytes] = []
    length = lines = 0
    for piece in pieces:
        cut = piece.rfind(b"\n") + 1
        if cut:
            held.append(piece[:cut])
            whole = b"".join(held)
            held, length = [], 0
            lines += whole.count(b"\n")
            yield whole
        held.append(piece[cut:])
        length += len(held[-1])
        if length > LINE_LIMIT:
            raise DataError(
                f"{path}, line {lines + 1}: the line is longer than {LINE_LIMIT} bytes; is this LIBSVM text?"
            )
    last = b"".join(held)
    if last:
        yield last
