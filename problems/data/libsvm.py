"""Data sets from files in LIBSVM's text format.

The format's rules stand in `grammar`. A file is checked against them, line by line, before its numbers are used;
nothing is repaired in silence. scikit-learn's reader gives the same arrays, but it takes NaN, infinite values, `1_0`
for 10 and an empty file without a word, and importing it costs more than reading most files; the tests compare the two.

Beyond single lines:

- Indices count from 1 unless an index 0 occurs in the file, then from 0. A test file that happens to have no 0 where
  its training file has one is read rightly with `index_base=0`; with `index_base=1` an index 0 is refused.
- The columns are those the file uses, written zeros (`123:0`) included, or `n_features` where that is given, for a
  test file that does not use the last ones; an index beyond is refused. Zeros are not stored.
- Files may be compressed by bzip2, xz or gzip (see `streams`). More than `text_limit` bytes of text are refused.
- What was parsed is kept in the cache and taken from there while the file's bytes are the same (see `parsed`).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from problems.arrays import at_least_1
from problems.data.dataset import DataError, Dataset, Task, check_task, classification_task, label_text
from problems.data.grammar import is_number, split_rows
from problems.data.locate import as_path, bare_name, find_file
from problems.data.parsed import cached_table, first_line_where, placed
from problems.data.streams import TEXT_LIMIT, TextPieces

PEEK = 1_000_000  # bytes of text that first_labels looks at: whole files, or thousands of rows


def load_dataset(
    path_or_name: str | Path,
    *,
    data_dir: str | Path | None = None,
    n_features: int | None = None,
    task: Task | None = None,
    index_base: int | None = None,
    text_limit: int = TEXT_LIMIT,
) -> Dataset:
    """Read a LIBSVM file.

    Parameters
    ----------
    path_or_name : str or Path
        A path, or a file name for `find_file`.
    data_dir : str or Path, optional
        Folder to look in first.
    n_features : int >= 1, optional
        Number of columns p, where a file does not use the last ones (a test file, say).
    task : "binary", "multiclass" or "regression", optional
        Whether the targets are labels. A file does not say so; by default at most two distinct values, or
        nothing but integers, are taken for labels.
    index_base : 0 or 1, optional
        Index of the first column. By default 0 where an index 0 occurs, otherwise 1.
    text_limit : int >= 1
        Bytes of text, decompressed, up to which a file is read. The arrays of a data set take one to three
        bytes for each; those of lines of a label alone eight.

    Returns
    -------
    Dataset
        A is dense where more than half its entries are nonzero, CSR otherwise. The task of a file with
        labels follows from their number.

    Raises
    ------
    DataNotFound
        There is no such file.
    DataError
        The file breaks the rules of the format, is longer than `text_limit`, has more columns than
        `n_features` or an index below `index_base`, or was taken for labels and has more than two values that
        are not all integers.
    """
    if task is not None:
        check_task(task)
    n_features = None if n_features is None else at_least_1("n_features", n_features)
    if index_base not in (None, 0, 1):
        raise ValueError(f"index_base must be 0 or 1, got {index_base!r}; leave it out for the file's own.")
    text_limit = at_least_1("text_limit", text_limit)
    path = find_file(path_or_name, data_dir)
    table = cached_table(path, text_limit)
    base = table.index_base if index_base is None else index_base
    if base > table.index_base:
        at, _ = first_line_where(path, lambda index: index == 0, text_limit) or ("?", 0)
        raise DataError(f"{path}, line {at}: the index 0, got index_base=1; leave it out or give 0.")
    shift = table.index_base - base
    used = table.A.shape[1] + shift if table.A.shape[1] else 0
    p = used if n_features is None else n_features
    if used > p:
        at, index = first_line_where(path, lambda index: index >= p + base, text_limit) or ("?", "?")
        raise DataError(
            f"{path}, line {at}: the index {index}; the file uses {used} features, got n_features={p}; give at "
            f"least {used}."
        )
    if p == 0:
        raise DataError(
            f"{path} has no features in any of its {table.target.size} rows; give n_features=... if that is meant."
        )
    return Dataset(
        name=bare_name(path.name),
        A=placed(table.A, shift, p),
        target=table.target,
        task=_task(path, table.target, task),
        source=f"LIBSVM file {path.name}",
        sha256=table.sha256,
        index_base=base,
        notes="query ids (qid) ignored" if table.has_qid else "",
    )


def first_labels(path: Path) -> frozenset[float] | None:
    """Distinct targets at the beginning of a file; None where it does not look like LIBSVM text."""
    try:
        state = path.stat()
    except OSError:
        return None
    return _first_labels(path, state.st_size, state.st_mtime_ns)


@cache  # a list of problems asks for each file once per loss
def _first_labels(path: Path, _size: int, _changed: int) -> frozenset[float] | None:
    text = b""
    try:
        with path.open("rb") as file:
            for piece in TextPieces(path, file, piece=PEEK):
                text += piece
                if len(text) >= PEEK:
                    break
    except (OSError, DataError):
        return None
    rows = split_rows(text[:PEEK])
    if len(text) >= PEEK:
        rows.pop()  # cut through
    labels = {tokens[0] for tokens in (row.split(maxsplit=1) for row in rows) if tokens}
    if not labels or not all(map(is_number, labels)):
        return None
    return frozenset(map(float, labels))


def _task(path: Path, target: NDArray[np.float64], asked: Task | None) -> Task:
    if asked == "regression":
        return "regression"
    distinct = np.unique(target)
    fractions = distinct[distinct != np.trunc(distinct)]
    if distinct.size <= 2 or fractions.size == 0:
        return classification_task(distinct.size)
    if asked is None:
        return "regression"
    name = as_path(path)
    raise DataError(
        f"{path} has {distinct.size} distinct targets such as {label_text(fractions[0])}, which "
        f"are no class labels; use a regression loss, e.g. lad:{name} or quantile:{name}."
    )
