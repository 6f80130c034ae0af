"""The data set of a problem's name: embedded, found on this machine, or downloaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from problems.data.catalogue import Entry, lookup
from problems.data.dataset import DataError, DataNotFound, Dataset, Task, binary_labels, check_task
from problems.data.download import DownloadFailed, fetch, verify
from problems.data.embedded import EMBEDDED, embedded, embedded_serves, refusal
from problems.data.libsvm import first_labels, load_dataset
from problems.data.locate import as_path, is_path, look, not_found
from problems.data.streams import TEXT_LIMIT

if TYPE_CHECKING:
    from problems.data.dataset import Matrix

MORE: dict[Task, tuple[Task, ...]] = {"binary": ("multiclass",)}  # what else the data of a task serve


def resolve(name: str | Path, task: Task, data_dir: str | Path | None = None, before: str = "") -> Dataset:
    """Return the data set `name` for a loss of this task.

    The embedded set of this name if it can serve the task, otherwise the LIBSVM file. So diabetes is the
    embedded regression set for "regression" and LIBSVM's file of two classes for "binary". A name with a
    folder in it (./iris) is always a file.

    A file that the catalogue names has the set's number of columns, whether it uses them all or not. If it is not
    on this machine it is downloaded (see `download`). If it is here and not the published one, the notes say so.

    Parameters
    ----------
    name : str or Path
        Name of an embedded set, file name or path.
    task : "binary", "multiclass" or "regression"
        That of the loss. An embedded set then comes with targets -1 and +1, class labels, or reals. A file comes with
        its own labels; `binary_labels` turns them into -1 and +1. To pick one class of an embedded set against the
        rest, ask for "multiclass" and give its target to `binary_labels`.
    data_dir : str or Path, optional
        Folder to look in first (see `find_file`).
    before : str
        How a problem's name begins, as "lad[l2=1]:"; messages write it before the names they offer.

    Raises
    ------
    DataNotFound
        Neither exists, or only an embedded set for another task; as DownloadFailed where the site has the file.
    DataError
        The file is damaged, has more columns than its set, is not what was downloaded before, or its targets
        are no labels where labels are needed.
    """
    check_task(task)
    if isinstance(name, str) and embedded_serves(name, task):
        return embedded(name, task)
    unfit = refusal(str(name))
    try:
        return _from_file(name, task, data_dir)
    except DownloadFailed as error:
        if not unfit:
            raise
        raise DownloadFailed(f"{unfit}; {error}") from error
    except DataNotFound:
        raise not_found(name, data_dir, unfit, before, lambda near: serves(near, task, data_dir)) from None


def load_libsvm(
    path_or_name: str | Path,
    *,
    data_dir: str | Path | None = None,
    n_features: int | None = None,
    index_base: int | None = None,
    text_limit: int = TEXT_LIMIT,
) -> tuple[Matrix, NDArray[np.float64]]:
    """Read a LIBSVM file, by path or by name, as (A, b), both read-only.

    b holds -1 and +1 (the smaller label is -1) where the file has two distinct targets, and the targets as
    they stand otherwise. A name of the catalogue brings its number of columns, unless `n_features` is given, and
    is downloaded where it is not found, as in `resolve`; embedded sets are not looked at. The other parameters,
    and what is raised, as in `load_dataset`.
    """
    try:
        data = _from_file(
            path_or_name, None, data_dir, n_features=n_features, index_base=index_base, text_limit=text_limit
        )
    except DownloadFailed:
        raise
    except DataNotFound:
        raise not_found(path_or_name, data_dir, serves=_is_file) from None
    if data.classes is None or len(data.classes) != 2:
        return data.A, data.target
    b, _ = binary_labels(data.target, data.name)
    b.setflags(write=False)
    return data.A, b


def fits(name: str, task: Task, data_dir: str | Path | None = None) -> bool:
    """True where `name` is worth offering for a loss of this task; for lists of names, files are not parsed.

    An embedded set fits by its table. A file on this machine fits by the targets at its beginning: at most two
    distinct ones are "binary" and "multiclass", more are "regression" and, if all are integers, "multiclass". A
    file sorted by label may look binary and not be. Nothing is downloaded.
    """
    check_task(task)
    if embedded_serves(name, task):
        return True
    path = look(name, data_dir)
    labels = None if path is None else first_labels(path)
    if labels is None:
        return False
    if len(labels) <= 2:
        return task != "regression"
    return task == "regression" or (task == "multiclass" and all(label.is_integer() for label in labels))


def serves(name: str, task: Task, data_dir: str | Path | None = None) -> bool:
    """True where fits() is, and for files of the LIBSVM site: two classes serve losses of two and of many classes."""
    entry = lookup(name)
    return fits(name, task, data_dir) or (entry is not None and task in (entry.task, *MORE.get(entry.task, ())))


def _is_file(name: str) -> bool:
    return name not in EMBEDDED or lookup(name) is not None


def _from_file(
    name: str | Path,
    task: Task | None,
    data_dir: str | Path | None,
    *,
    n_features: int | None = None,
    index_base: int | None = None,
    text_limit: int = TEXT_LIMIT,
) -> Dataset:
    """Read a file by path or name, with what the catalogue knows of a name."""
    entry = None if is_path(name) else lookup(str(name))
    path = look(name, data_dir)
    if path is None:
        if entry is None:
            raise not_found(name, data_dir)
        path = fetch(entry, data_dir)

    def read(p: int | None) -> Dataset:
        return load_dataset(path, task=task, n_features=p, index_base=index_base, text_limit=text_limit)

    if entry is None:
        return read(n_features)
    data = read(n_features) if n_features is not None or entry.p is None else _with_columns(read, path, entry, entry.p)
    note = verify(entry.name, path, data.sha256, entry.sha256_text)
    if not note:
        return data
    return dataclasses.replace(data, notes="; ".join(filter(None, [data.notes, note])))


def _with_columns(read: Callable[[int | None], Dataset], path: Path, entry: Entry, p: int) -> Dataset:
    """Read a file with the p columns of its set, or say that it uses more."""
    try:
        return read(p)
    except DataError as error:
        used = read(None).p  # raises, and better, where the number of columns is not what is wrong
        raise DataError(
            f"{path} uses {used} features, and {entry.name} of the LIBSVM site has {p}; if it is a file of your own, "
            f"give its path, {as_path(path)}, or rename it."
        ) from error
