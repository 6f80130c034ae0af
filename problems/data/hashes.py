"""SHA-256 of files, remembered, so that a large file that did not change need not be read again."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import BinaryIO

from problems.data.cache import cache_dir, load_npz, save_npz

REMEMBER_ABOVE = 1_000_000  # bytes; smaller files are hashed in less than a millisecond
# Times of files have steps, of two seconds on FAT: a file changed a moment ago can change again in the same step.
SETTLED = 2_000_000_000  # nanoseconds


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal.

    For files above REMEMBER_ABOVE the answer is kept in the folder `hashes` of the cache, with path, device,
    inode, size and times of modification and of change, and given again while all of these are the same. It is
    kept only where both times were at least SETTLED ago when the file was opened: a change since, even while it
    was read, then shows in them.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    now = time.time_ns()
    with path.open("rb") as file:
        state = _state(file)
        size, modified, changed = state[-3:]
        memo = _memo(path) if size > REMEMBER_ABOVE else None
        known = None if memo is None else load_npz(memo)
        identity = {"path": os.path.abspath(path), "state": state}
        if known is not None and known[1].get("identity") == identity:
            return str(known[1]["sha256"])
        found = hashlib.file_digest(file, "sha256").hexdigest()
        settled = now - max(modified, changed) > SETTLED
    if memo is not None and settled:
        save_npz(memo, {}, {"identity": identity, "sha256": found})
    return found


def _state(file: BinaryIO) -> list[int]:
    stat = os.fstat(file.fileno())
    return [stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]


def _memo(path: Path) -> Path | None:
    folder = cache_dir("hashes")
    name = hashlib.sha256(os.path.abspath(path).encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return None if folder is None else folder / f"{name}.npz"
