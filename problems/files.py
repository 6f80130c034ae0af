"""Files that are written whole or not at all, with seals that show every changed bit.

A writer fills a temporary file beside the place, which then takes the name in one step. A seal is a SHA-256 that a
file carries itself, as text in its metadata: `sha256:` with 64 digits. A writer puts UNSEALED there, and seal() fills
the digits in: the hash of the whole file with zeros in their place, so that every changed bit shows, those of the hash
included.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import mmap
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "sha256:"
DIGITS = 64
UNSEALED = PREFIX + "0" * DIGITS
TEMPORARY = ".unfinished-"  # how the names of temporary files begin


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path that takes the place of `path` when the block ends well; its folder must exist.

    After a loss of power there is the old file or the new one. OSError where the file system refuses.
    """
    descriptor, temporary = _locked_file(path)
    try:
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes files private
        yield temporary
        os.fsync(descriptor)
        os.replace(temporary, path)
        with contextlib.suppress(OSError):  # some file systems cannot do this to a folder
            _flush(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        os.close(descriptor)


def sweep(folder: Path) -> None:
    """Delete the temporary files that processes left when they were killed; those still written to are locked."""
    for left in folder.glob(f"{TEMPORARY}*"):
        with contextlib.suppress(OSError), left.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()


def _locked_file(path: Path) -> tuple[int, Path]:
    """A new file beside `path`, locked as long as its descriptor is open: sweep() spares it."""
    while True:
        descriptor, name = tempfile.mkstemp(prefix=TEMPORARY, suffix=path.suffix, dir=path.parent)
        with contextlib.suppress(OSError):  # no locks here: nothing is swept either
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor, Path(name)
        os.close(descriptor)  # swept before it was locked


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _flush(folder: Path) -> None:
    """Wait until the entries of a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def seal(content: bytes) -> bytes:
    """The content of a file with its hash in place of UNSEALED, the last text of this kind in it."""
    begin = _digits(content)
    if content[begin:][:DIGITS] != b"0" * DIGITS:
        raise ValueError("there is no place for a seal in this content")
    return content[:begin] + hashlib.sha256(content).hexdigest().encode() + content[begin + DIGITS :]


def seal_end(path: Path) -> None:
    """Seal a file that ends in UNSEALED, in place."""
    with path.open("r+b") as file:
        digits = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(-DIGITS, os.SEEK_END)
        file.write(digits.encode())


def is_sealed(content: bytes | mmap.mmap) -> bool:
    """True where every bit of the content is as seal() returned it."""
    begin = _digits(content)
    found = hashlib.sha256()
    view = memoryview(content)
    for part in (view[:begin], b"0" * DIGITS, view[begin + DIGITS :]):
        found.update(part)
    return bytes(view[begin : begin + DIGITS]) == found.hexdigest().encode()


def _digits(content: bytes | mmap.mmap) -> int:
    """The position where the digits begin."""
    return content.rfind(PREFIX.encode()) + len(PREFIX)
