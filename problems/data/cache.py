"""The cache folder, and npz files in it that are written whole or not at all.

A cache saves time and decides nothing: where it cannot be written the caller goes on without it, and a
damaged file counts as absent.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_META = "meta"  # member of the npz that holds the JSON text

# What zipfile, zlib, json and numpy's npy reader raise on bytes that are not theirs; the tests flip every
# bit of a file to see that the list is complete.
_DAMAGE = (
    OSError, EOFError, ValueError, KeyError, TypeError, SyntaxError, MemoryError, RuntimeError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def cache_root() -> Path:
    """Return the cache folder, $DADAPT_CACHE or the user's cache folder; it need not exist."""
    chosen = os.environ.get("DADAPT_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("dadapt-convex"))


def cache_dir(sub: str) -> Path | None:
    """Return the folder `sub` of the cache, made if needed, or None where it cannot be written."""
    folder = cache_root() / sub
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK | os.X_OK) else None


def save_npz(path: Path, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> bool:
    """Write arrays and a JSON-able dict into one npz file.

    The bytes go to a temporary file in the same folder which then takes the name `path` in one step:
    readers and other writers see the old file or the new one, never a part.

    Parameters
    ----------
    path : Path
        File to write; its folder must exist.
    arrays : mapping of str to ndarray
        Any names but "meta"; no object arrays.
    meta : mapping
        What json.dumps takes.

    Returns
    -------
    bool
        False where the file system refused (full, read-only, folder gone); nothing is left behind.

    Raises
    ------
    ValueError
        An array is named "meta", or holds Python objects.
    TypeError
        `meta` does not fit JSON.
    """
    if _META in arrays:
        raise ValueError(f"an array may not be named {_META!r}, the name of the JSON text; rename it.")
    members = {name: np.asanyarray(array) for name, array in arrays.items()}
    members[_META] = np.array(json.dumps(dict(meta)))
    for name, array in members.items():
        if array.dtype.hasobject:
            raise ValueError(f"array {name!r} holds Python objects, got dtype {array.dtype}; store numbers.")
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".tmp", delete=False) as file:
            temporary = Path(file.name)
            try:
                # not np.savez: it cannot take an array named "file"
                with zipfile.ZipFile(file, "w") as archive:
                    for name, array in members.items():
                        with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                            np.lib.format.write_array(member, array, allow_pickle=False)
                file.close()
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError:
        return False
    return True


def load_npz(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
    """Read what `save_npz` wrote: (arrays, meta), or None where there is none.

    A damaged file (the zip's checksums do not match, or its form is another) is removed and None is
    returned. Nothing is unpickled.
    """
    try:
        file = path.open("rb")
    except OSError:  # absent, or not ours to read
        return None
    try:
        with file, np.load(file, allow_pickle=False) as archive:
            members = {name: archive[name] for name in archive.files}
            meta = json.loads(members.pop(_META).item())
        if not isinstance(meta, dict):
            raise ValueError("the JSON text is no dict")
    except _DAMAGE:
        with contextlib.suppress(OSError):
            path.unlink()
        return None
    return members, meta
