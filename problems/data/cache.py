"""The cache folder, and npz files in it that are written whole or not at all.

A cache saves time and decides nothing: where it cannot be written the caller goes on without it, and a
damaged file counts as absent.

A file carries its own name and a seal (problems/files.py), which are checked at every use. Its arrays lie in it
uncompressed and aligned, so that large ones need not be copied but can be mapped into memory where they lie. A file
is replaced, never changed: who has mapped an old one keeps it.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import mmap
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from dadapt_convex.oracle import cache_root, say
from problems.files import UNSEALED, is_sealed, replacing, seal_end, sweep

MAP_ABOVE = 1_000_000  # bytes of an array: below, reading costs what mapping does
UNSIGNED = b"PK\x05\x06\0\0"  # how the end of an archive without a comment begins and ends
HEADER = 1 << 17  # bytes that hold the header of any array
ALIGNMENT = 64  # bytes, a cache line; numpy pads the header of an array to as much

_META = "meta"  # member of the npz that holds the JSON text
_PADDING = 0xD935  # the identifier under which zip files carry bytes for alignment

# What zipfile, zlib, struct, json and numpy's npy reader raise on bytes that are not theirs.
_DAMAGE = (
    OSError, EOFError, ValueError, KeyError, TypeError, SyntaxError, MemoryError, RuntimeError,
    zipfile.BadZipFile, zlib.error, struct.error,
)  # fmt: skip


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

    Readers and other writers see the old file or the new one, never a part. What killed processes have left half
    written in the folder is deleted.

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
    members[_META] = np.array(json.dumps({"name": path.stem, "about": dict(meta)}))
    for name, array in members.items():
        if array.dtype.hasobject:
            raise ValueError(f"array {name!r} holds Python objects, got dtype {array.dtype}; store numbers.")
    sweep(path.parent)
    try:
        with replacing(path) as temporary:
            # not np.savez: it cannot take an array named "file"
            with temporary.open("wb") as file, zipfile.ZipFile(file, "w") as archive:
                for name, array in members.items():
                    info = _aligned_member(f"{name}.npy", file.tell())
                    with archive.open(info, "w", force_zip64=True) as member:
                        np.lib.format.write_array(member, array, allow_pickle=False)
                archive.comment = UNSEALED.encode()
            seal_end(temporary)
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


def load_npz(path: Path, *, mapped: bool = False) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
    """Read what `save_npz` wrote: (arrays, meta), or None where there is none.

    A file that is damaged or another's under this name is removed, with a line on standard error. One of an earlier
    version, which had no seal, counts as absent in silence. The seal is compared at every call, which reads the whole
    file once, at 0.5 to 2 GB/s where the system still holds it in memory. Nothing is unpickled.

    Parameters
    ----------
    mapped : bool
        Arrays above MAP_ABOVE are read-only views of the file mapped into memory, not copies.
    """
    try:
        file = path.open("rb")
    except OSError:  # absent, or not ours to read
        return None
    try:
        with file:
            content = _content(file)
            if content[-22:-18] + content[-2:] == UNSIGNED:
                return None
            if not is_sealed(content):
                raise ValueError("its SHA-256 is not the one in it")
            with zipfile.ZipFile(file) as archive:
                members = {
                    info.filename.removesuffix(".npy"): _mapped_array(content, archive, info)
                    if mapped and info.file_size > MAP_ABOVE
                    else _read_array(archive, info)
                    for info in archive.infolist()
                }
        meta = json.loads(members.pop(_META).item())
        if meta["name"] != path.stem:
            raise ValueError(f"it is that of {meta['name']!r}")
        return members, dict(meta["about"])
    except _DAMAGE as error:
        with contextlib.suppress(OSError):
            path.unlink()
        say(f"{path} is damaged or another's ({error}); it is made anew.")
        return None


def _content(file: IO[bytes]) -> mmap.mmap | bytes:
    """All bytes of a file: mapped, where the file system can do so."""
    try:
        # an array keeps the mapping alive, the mapping the file, even after it was replaced or removed
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError:
        return file.read()


def _read_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(info) as member:
        array = np.lib.format.read_array(member, allow_pickle=False)
        if member.read(1):  # the checksum is compared at the end
            raise ValueError(f"bytes follow the array {info.filename!r}")
    return array


def _mapped_array(content: mmap.mmap | bytes, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    archive.open(info).close()  # compares the name in the table of contents with that before the array
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"the array {info.filename!r} is compressed")
    name_length, extra_length = struct.unpack_from("<26x2H", content, info.header_offset)
    begin = info.header_offset + 30 + name_length + extra_length
    end = begin + info.file_size
    header = io.BytesIO(content[begin : begin + HEADER])
    np.lib.format.read_magic(header)
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(header)
    size, at = math.prod(shape), begin + header.tell()
    if dtype.hasobject or at + size * dtype.itemsize != end:
        raise ValueError(f"the header of {info.filename!r} does not fit its size")
    flat = np.frombuffer(content, dtype, size, offset=at)
    return flat.reshape(shape, order="F" if fortran_order else "C")
