"""The cache folder, and npz files in it that are written whole or not at all.

A cache saves time and decides nothing: where it cannot be written the caller goes on without it, and a
damaged file counts as absent.

The arrays of a file lie in it uncompressed and aligned, each with the zip's checksum, so that large ones need
not be read but can be mapped into memory where they lie. A file is replaced, never changed: who has mapped an
old one keeps it.
"""

from __future__ import annotations

import contextlib
import json
import math
import mmap
import os
import struct
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

MAP_ABOVE = 1_000_000  # bytes of an array: below, reading costs what mapping does
ALIGNMENT = 64  # bytes, a cache line; numpy pads the header of an array to as much

_META = "meta"  # member of the npz that holds the JSON text
_PADDING = 0xD935  # the identifier under which zip files carry bytes for alignment

# What zipfile, zlib, struct, json and numpy's npy reader raise on bytes that are not theirs; the tests flip every
# bit of a file to see that the list is complete.
_DAMAGE = (
    OSError, EOFError, ValueError, KeyError, TypeError, SyntaxError, MemoryError, RuntimeError,
    zipfile.BadZipFile, zlib.error, struct.error,
)  # fmt: skip


class CacheNotice(UserWarning):
    """A file of the cache is damaged and is built anew."""


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
    """Return the cache folder, $DADAPT_CACHE or the user's cache folder; it need not exist."""
    chosen = os.environ.get("DADAPT_CACHE")
    if chosen:
        return expanded(chosen, "DADAPT_CACHE").absolute()
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
                        info = _aligned_member(f"{name}.npy", file.tell())
                        with archive.open(info, "w", force_zip64=True) as member:
                            np.lib.format.write_array(member, array, allow_pickle=False)
                file.close()
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError:
        return False
    return True


def _aligned_member(name: str, position: int) -> zipfile.ZipInfo:
    """A member whose content begins at a multiple of ALIGNMENT if its header begins at this position."""
    info = zipfile.ZipInfo(name)
    # fixed part, name, 20 bytes for sizes of 64 bits, and the 4 that introduce the padding
    content = position + 30 + len(name.encode()) + 20 + 4
    padding = -content % ALIGNMENT
    info.extra = struct.pack("<HH", _PADDING, padding) + bytes(padding)
    return info


def load_npz(
    path: Path, *, mapped: bool = False, notice: bool = False
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
    """Read what `save_npz` wrote: (arrays, meta), or None where there is none.

    A damaged file (the zip's checksums do not match, or its form is another) is removed and None is
    returned. All checksums are verified at every call, which reads the whole file once, at 3 to 4 GB/s where
    the system still holds it in memory. Nothing is unpickled.

    Parameters
    ----------
    mapped : bool
        Arrays above MAP_ABOVE are read-only views of the file mapped into memory, not copies.
    notice : bool
        Issue a `CacheNotice` for a damaged file.
    """
    try:
        file = path.open("rb")
    except OSError:  # absent, or not ours to read
        return None
    try:
        with file, zipfile.ZipFile(file) as archive:
            members = {
                info.filename.removesuffix(".npy"): _mapped_array(file, archive, info)
                if mapped and info.file_size > MAP_ABOVE
                else _read_array(archive, info)
                for info in archive.infolist()
            }
        meta = json.loads(members.pop(_META).item())
        if not isinstance(meta, dict):
            raise ValueError("the JSON text is no dict")
    except _DAMAGE as error:
        with contextlib.suppress(OSError):
            path.unlink()
        if notice:
            warnings.warn(CacheNotice(f"{path} is damaged ({error}); it is built anew."), stacklevel=2)
        return None
    return members, meta


def _read_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(info) as member:
        array = np.lib.format.read_array(member, allow_pickle=False)
        if member.read(1):  # the checksum is compared at the end
            raise ValueError(f"bytes follow the array {info.filename!r}")
    return array


def _mapped_array(file: IO[bytes], archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    archive.open(info).close()  # compares the name in the table of contents with that before the array
    file.seek(info.header_offset)
    name_length, extra_length = struct.unpack("<26x2H", file.read(30))
    begin = info.header_offset + 30 + name_length + extra_length
    end = begin + info.file_size
    # the array keeps the mapping alive, the mapping the file, even after it was replaced or removed
    try:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError:  # a file system that cannot map
        return _read_array(archive, info)
    with memoryview(content)[begin:end] as view:
        if info.compress_type != zipfile.ZIP_STORED or zlib.crc32(view) != info.CRC:
            raise zipfile.BadZipFile(f"Bad CRC-32 for file {info.filename!r}")
    file.seek(begin)
    np.lib.format.read_magic(file)
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
    size, at = math.prod(shape), file.tell()
    if dtype.hasobject or at + size * dtype.itemsize != end:
        raise ValueError(f"the header of {info.filename!r} does not fit its size")
    flat = np.frombuffer(content, dtype, size, offset=at)
    return flat.reshape(shape, order="F" if fortran_order else "C")
