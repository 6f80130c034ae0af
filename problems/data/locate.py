"""The folders of data files, and the names that they offer."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path

from dadapt_convex.oracle import cache_root, expanded, shown
from problems.data.catalogue import COMPRESSED, bare_name, catalogue, nearest_names
from problems.data.dataset import DataNotFound
from problems.data.embedded import EMBEDDED


def find_file(name: str | Path, data_dir: str | Path | None = None) -> Path:
    """Find a data file that is on this machine, compressed or not.

    A name with a folder in it is a path. A bare file name is looked up in `data_dir`, in the folders of
    $DADAPT_DATA (separated as in $PATH), in the folder `raw` of the cache and last in the current folder. In
    each folder the name is tried as it stands, then with .bz2, .xz and .gz.

    Raises
    ------
    DataNotFound
        Nothing there; the message says where it looked and names what is near.
    """
    found = look(name, data_dir)
    if found is None:
        raise not_found(name, data_dir)
    return found


def look(name: str | Path, data_dir: str | Path | None = None) -> Path | None:
    """The file that find_file finds, or None."""
    path = _expanded(name)
    folders = [path.parent] if path.name and is_path(name) else [*data_folders(data_dir), Path()]
    return first_file(folders, path.name)


def not_found(
    name: str | Path,
    data_dir: str | Path | None,
    refusal: str = "",
    before: str = "",
    serves: Callable[[str], bool] = lambda name: True,
) -> DataNotFound:
    """Word the error for a name that no folder holds.

    `refusal` says why the embedded set of this name does not serve; there are then no nearest names. Names are offered
    that `serves` takes, with `before` written before them, as in a problem's name.
    """
    known = (candidate for candidate in [*available(data_dir), *catalogue()] if serves(candidate))
    if is_path(name):
        folder, own = os.path.split(str(name))
        inside = {os.path.join(folder, file) for file in _names_in([_expanded(folder)])}
        near = nearest_names(str(name), filter(serves, inside), before) or nearest_names(own, known, before)
        return DataNotFound(
            f"no file {str(name)!r}, nor one with {', '.join(COMPRESSED)} added{near}; give the path of a LIBSVM file."
        )
    what = f"{refusal}, and there is no file" if refusal else "no data"
    near = "" if refusal else nearest_names(str(name), known, before)
    return DataNotFound(
        f"{what} named {str(name)!r}; looked in {looked_in(data_dir)}{near}; "
        "give the folder that holds the file: --data-dir DIR (data_dir= in Python) "
        "or DADAPT_DATA."
    )


def as_path(path: Path) -> str:
    """The path with a folder in it, so that as a name it means this file and nothing else."""
    return str(path) if is_path(path) else os.path.join(".", path)


def available(data_dir: str | Path | None = None) -> list[str]:
    """Names that can be used without a path: the embedded sets, then the files in the data folders.

    Files are not opened; README and INDEX files, *.csv, *.md and hidden files are left out, and names that hold control
    characters or bytes that are no text.
    """
    files = _names_in(data_folders(data_dir))
    return [*EMBEDDED, *sorted(files - set(EMBEDDED))]


def data_folders(data_dir: str | Path | None = None) -> list[Path]:
    """Folders that hold data files, in the order they are looked through; some may not exist."""
    chosen = [] if data_dir is None or not str(data_dir) else [expanded(data_dir)]
    listed = os.environ.get("DADAPT_DATA", "").split(os.pathsep)
    return [*chosen, *(expanded(folder, "DADAPT_DATA") for folder in listed if folder), raw_folder()]


def _expanded(name: str | Path) -> Path:
    try:
        return expanded(name)
    except ValueError as error:
        raise DataNotFound(str(error)) from None


def looked_in(data_dir: str | Path | None) -> str:
    """Name the folders a bare file name is looked up in, for messages."""
    folders = (
        str(folder) if os.path.isdir(folder) else f"{folder} (no such folder)" for folder in data_folders(data_dir)
    )
    return f"{', '.join(folders)} and the current folder"


def raw_folder() -> Path:
    """Folder of the cache that downloads go to; it need not exist."""
    return cache_root() / "raw"


def places(data_dir: str | Path | None = None) -> dict[str, Path]:
    """The place of each file that needs no path: its name -> the first folder that holds it."""
    found: dict[str, Path] = {}
    for folder in [*data_folders(data_dir), Path()]:
        for name in _names_in([folder]):
            found.setdefault(name, folder)
    return found


def is_path(name: str | Path) -> bool:
    """Whether the name contains a folder, so that it can only mean a file; ValueError unless it is a text or a path."""
    if not isinstance(name, str | Path):
        raise ValueError(f"a data set is given by its path or name, got {shown(name)}.")
    return os.path.dirname(str(name)) != ""


def first_file(folders: Iterable[Path], file_name: str) -> Path | None:
    """First file of this name in any of the folders, as it stands or compressed; None where there is none."""
    if not file_name:
        return None
    for folder in folders:
        for suffix in ("", *COMPRESSED):
            path = folder / (file_name + suffix)
            if os.path.isfile(path):  # False too for names no file system takes, where Path.is_file raises
                return path
    return None


def _names_in(folders: Iterable[Path]) -> set[str]:
    names: set[str] = set()
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                names.update(bare_name(entry.name) for entry in entries if entry.is_file() and _is_data(entry.name))
        except (OSError, ValueError):  # absent, closed to us, or no name of a folder: nothing to see there
            continue
    return names


def _is_data(file_name: str) -> bool:
    about_data = file_name.startswith((".", "README", "INDEX")) or file_name.endswith((".csv", ".md"))
    return not about_data and not any(unicodedata.category(letter) in ("Cc", "Cs") for letter in file_name)
