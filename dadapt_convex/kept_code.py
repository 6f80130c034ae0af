"""Machine code kept on disk: Numba's cache in folders of this project's own, checked before anything of it runs.

Each function has a folder. Numba's files in it (.nbi, an index; .nbc, machine code) end in a seal: a SHA-256 of their
content, their name and what the code was compiled from. A file without its seal (damaged, of another function, of an
older source) counts as absent: the folder is removed, and the function compiled again. Where nothing can be written,
every process compiles for itself.

Numba is imported in dadapt_convex.kept_code_numba alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = (".nbi", ".nbc")
SEAL = hashlib.sha256().digest_size  # bytes at the end of a file
ROOM = 1 << 18  # bytes that a folder must take to be called writable: more than most functions need


def expanded(path: str | Path, origin: str = "") -> Path:
    """The path with ~ and ~user expanded; ValueError where there is no such user. origin: the variable it is from."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        where = f"{origin} is" if origin else "got"
        raise ValueError(
            f"there is no home folder {Path(path).parts[0]}, {where} {str(path)!r}; write ./~ for a file whose name "
            "begins with ~."
        ) from None


def cache_root() -> Path:
    """The cache folder, $DADAPT_CACHE or the user's cache folder; it need not exist."""
    if chosen := os.environ.get("DADAPT_CACHE"):
        return expanded(chosen, "DADAPT_CACHE").absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("dadapt-convex"))


def compiled_folder() -> Path:
    """The folder of compiled functions: $NUMBA_CACHE_DIR, or a folder of the cache."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    return Path(chosen) if chosen else cache_root() / "numba"


def can_be_written(folder: Path) -> bool:
    """Make the folder if needed, and try whether files of some size can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(ROOM))
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class KeptCode:
    """The folder of one function; origin: a hash of all that its machine code depends on."""

    folder: Path
    origin: bytes

    def seal(self, name: str, content: bytes) -> bytes:
        """The seal that a file of this name and content ends in."""
        return hashlib.sha256(self.origin + name.encode() + b"\0" + content).digest()

    def is_whole(self) -> bool:
        """True where every file of Numba's here bears its seal."""
        return self._sealed() is not None

    def is_there(self) -> bool:
        """True where machine code is here, be it for another kind of processor."""
        return self._sealed() == set(SUFFIXES)

    def drop(self) -> None:
        """Remove the folder, or whatever stands in its place, as far as that is possible."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.folder.unlink()

    def _sealed(self) -> set[str] | None:
        """The suffixes of the files here; None where one of them bears no seal or cannot be read."""
        found = set()
        try:
            for path in self.folder.rglob("*"):
                if path.suffix in SUFFIXES:
                    whole = path.read_bytes()
                    if whole[-SEAL:] != self.seal(path.name, whole[:-SEAL]):
                        return None
                    found.add(path.suffix)
        except OSError:  # a directory in place of a file, say
            return None
        return found
