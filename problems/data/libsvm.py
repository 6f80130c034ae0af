r"""Data files in LIBSVM's text format.

A file is read whole, checked against the grammar below, and only then turned into numbers; nothing is
repaired in silence. scikit-learn's reader is as fast and gives the same arrays, but it takes NaN, infinite
values, `1_0` for 10 and an empty file without a word, and importing it costs more than reading most files;
the tests compare the two.

    file   = { line "\n" }                         the last "\n" may be missing; "\r\n" is accepted
    line   = [ row ] [ "#" comment ]               lines without a row are skipped
    row    = label [ "qid:" digits ] { index ":" value }
    label  = number                                "+1" is accepted; "1,2" (several labels) is not
    index  = digits                                strictly ascending in a row, at most 2**31 - 2
    value  = number
    number = decimal, with optional sign, fraction and exponent; finite in float64

Tokens are separated by blanks or tabs. `qid` is read over, and noted. Indices count from 1 unless an index 0
occurs, then from 0. Written zeros (`123:0`) fix the number of columns but are not stored. Files may be
compressed by bzip2, xz or gzip: the first bytes decide, not the name.
"""

from __future__ import annotations

import hashlib
import io
import re
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from problems.data.cache import cache_dir, load_npz, save_npz
from problems.data.dataset import (
    DataError,
    Dataset,
    Task,
    binary_labels,
    check_task,
    classification_task,
    label_text,
)
from problems.data.locate import bare_name, find_file

if TYPE_CHECKING:
    from problems.data.dataset import Matrix

MAX_INDEX = 2**31 - 2  # so that the number of columns fits int32 whichever index comes first
DENSE_ABOVE = 0.5  # from here 8 bytes an entry are at most 4/3 of CSR's 12 a nonzero, and need no gathers
CACHE_ABOVE = 1_000_000  # bytes of text: below, parsing (about 20 MB/s) is not worth a second file
PEEK = 1_000_000  # bytes of text that first_labels looks at: whole files, or thousands of rows
FORMAT = 1  # of the cached arrays; raise it when they change

_NUMBER = rb"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_IS_NUMBER = re.compile(_NUMBER)
_QID = rb"[ \t]+qid:\d+"
_IS_ROW = re.compile(rb"[ \t]*" + _NUMBER + rb"(?:" + _QID + rb")?(?:[ \t]+\d+:" + _NUMBER + rb")*[ \t\r]*")
_SEPARATOR = re.compile(rb"[ \t]+")
_BLANK = b" \t\r"


class Rows(NamedTuple):
    """A parsed file in CSR form, columns counted from 0, no stored zeros."""

    target: NDArray[np.float64]
    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    values: NDArray[np.float64]
    p: int  # number of columns the file uses
    index_base: int
    has_qid: bool
    sha256: str  # of the decompressed file


def load_dataset(
    path_or_name: str | Path,
    *,
    data_dir: str | Path | None = None,
    n_features: int | None = None,
    task: Task | None = None,
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
        The file breaks the rules of the format, has more columns than `n_features`, or was taken for
        labels and has more than two values that are not all integers.
    """
    if task is not None:
        check_task(task)
    if n_features is not None and n_features < 1:
        raise ValueError(f"n_features must be at least 1, got {n_features}; leave it out for the file's own.")
    path = find_file(path_or_name, data_dir)
    rows = _cached_rows(path)
    p = rows.p if n_features is None else n_features
    if rows.p > p:
        raise DataError(f"{path} uses {rows.p} features, got n_features={p}; give at least {rows.p}.")
    if p == 0:
        raise DataError(
            f"{path} has no features in any of its {rows.target.size} rows; give n_features=... if that is meant."
        )
    return Dataset(
        name=bare_name(path.name),
        A=_matrix(rows, p),
        target=rows.target,
        task=_task(path, rows.target, task),
        source=f"LIBSVM file {path.name}",
        sha256=rows.sha256,
        index_base=rows.index_base,
        notes="query ids (qid) ignored" if rows.has_qid else "",
    )


def load_libsvm(
    path_or_name: str | Path, *, data_dir: str | Path | None = None, n_features: int | None = None
) -> tuple[Matrix, NDArray[np.float64]]:
    """Read a LIBSVM file as (A, b), both read-only.

    b holds -1 and +1 (the smaller label is -1) where the file has two distinct targets, and the targets as
    they stand otherwise. Parameters, and what is raised, as in `load_dataset`.
    """
    data = load_dataset(path_or_name, data_dir=data_dir, n_features=n_features)
    if data.classes is None or len(data.classes) != 2:
        return data.A, data.target
    b, _ = binary_labels(data.target, data.name)
    b.setflags(write=False)
    return data.A, b


def parse_libsvm(path: str | Path) -> Rows:
    """Read one file, plain or compressed, without the cache; raises DataError."""
    return _parse(path, _decompress(path, io.BytesIO(_read(path))))


def first_labels(path: Path) -> frozenset[float] | None:
    """Distinct targets at the beginning of a file; None where it does not look like LIBSVM text."""
    try:
        state = path.stat()
    except OSError:
        return None
    return _first_labels(path, state.st_size, state.st_mtime_ns)


@cache  # a list of problems asks for each file once per loss
def _first_labels(path: Path, _size: int, _changed: int) -> frozenset[float] | None:
    try:
        with path.open("rb") as file:
            text = _decompress(path, file, PEEK)
    except (OSError, DataError):
        return None
    lines = text.split(b"\n")
    if len(text) == PEEK:
        lines.pop()  # cut through
    labels = {tokens[0] for tokens in (line.partition(b"#")[0].split(maxsplit=1) for line in lines) if tokens}
    if not labels or not all(map(_IS_NUMBER.fullmatch, labels)):
        return None
    return frozenset(map(float, labels))


def _cached_rows(path: Path) -> Rows:
    """Parse, or take from the cache what these same bytes gave before."""
    raw = _read(path)
    folder = cache_dir("libsvm")
    stored = None if folder is None else folder / f"{hashlib.sha256(raw).hexdigest()}.npz"
    cached = None if stored is None else load_npz(stored)
    if cached is not None and cached[1].get("format") == FORMAT:
        return Rows(**{**cached[0], **cached[1]["rows"]})
    text = _decompress(path, io.BytesIO(raw))
    rows = _parse(path, text)
    if stored is not None and len(text) > CACHE_ABOVE:
        fields = rows._asdict()
        arrays = {name: fields.pop(name) for name in ("target", "indptr", "indices", "values")}
        save_npz(stored, arrays, {"format": FORMAT, "rows": fields})
    return rows


def _read(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def _decompress(path: str | Path, file: BinaryIO, limit: int = -1) -> bytes:
    """Text of an open file, or its first `limit` bytes."""
    import bz2
    import gzip
    import lzma

    head = file.read(6)
    file.seek(0)
    kinds = {b"BZh": ("bzip2", bz2), b"\xfd7zXZ\x00": ("xz", lzma), b"\x1f\x8b": ("gzip", gzip)}
    for magic, (kind, module) in kinds.items():
        if head.startswith(magic):
            try:
                with module.open(file) as stream:
                    return stream.read(limit)
            except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
                raise DataError(
                    f"{path} is {kind} data that is cut short or damaged ({error}); get the file again."
                ) from error
    return file.read(limit)


def _parse(path: str | Path, text: bytes) -> Rows:
    lines = text.split(b"\n")
    if b"#" in text:
        lines = [line.partition(b"#")[0] for line in lines]
    rows = [line for line in lines if line.strip(_BLANK)]
    if not rows:
        raise DataError(f"{path} is empty: no line holds a row; get the file again.")
    if not all(map(_IS_ROW.fullmatch, rows)):
        raise _fault(path, lines)
    has_qid = b"qid:" in text and any(b"qid:" in row for row in rows)
    if has_qid:
        rows = [re.sub(_QID, b"", row, count=1) for row in rows]

    indptr = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum([row.count(b":") for row in rows], out=indptr[1:])
    numbers = np.fromstring(b" ".join(rows).replace(b":", b" "), dtype=np.float64, sep=" ")
    labels_at = 2 * indptr[:-1] + np.arange(len(rows))  # a row is its label, then pairs
    target = numbers[labels_at]
    pairs = np.delete(numbers, labels_at).reshape(-1, 2)
    index, values = pairs[:, 0], pairs[:, 1]
    ascending = np.diff(index) > 0
    first_of_row = indptr[1:-1]
    ascending[first_of_row[(first_of_row > 0) & (first_of_row < index.size)] - 1] = True
    if not (np.isfinite(numbers).all() and ascending.all() and index.max(initial=0) <= MAX_INDEX):
        raise _fault(path, lines)

    index_base = int(index.min(initial=1) > 0)
    p = int(index.max(initial=index_base - 1)) + 1 - index_base
    stored = values != 0
    kept_before = np.concatenate([[0], np.cumsum(stored)])
    return Rows(
        target=target,
        indptr=kept_before[indptr],
        indices=(index[stored] - index_base).astype(np.int32),
        values=values[stored],
        p=p,
        index_base=index_base,
        has_qid=has_qid,
        sha256=hashlib.sha256(text).hexdigest(),
    )


def _fault(path: str | Path, lines: Sequence[bytes]) -> DataError:
    """Find the first line that breaks the rules; slow, so only for files known to hold one."""
    for number, line in enumerate(lines, start=1):
        reason = _explain(line)
        if reason is not None:
            return DataError(f"{path}, line {number}: {reason}.")
    raise AssertionError(f"{path} was refused, but each of its lines is in order")


def _explain(line: bytes) -> str | None:
    """Say which rule a line (without its comment) breaks; None where it breaks none."""
    if not line.strip(_BLANK):
        return None
    label, *tokens = _SEPARATOR.split(line.lstrip(b" \t").rstrip(_BLANK))
    if b":" in label:
        return f"the label is missing, the line begins with {_show(label)}"
    if b"," in label:
        return f"several labels {_show(label)}; multilabel files are not supported, give one label a line"
    fault = _number_fault(label)
    if fault:
        return f"the label {_show(label)} {fault}"
    if tokens and re.fullmatch(rb"qid:\d+", tokens[0]):
        del tokens[0]
    previous = -1.0
    for token in tokens:
        index, colon, value = token.partition(b":")
        if not colon:
            return f"expected index:value, got {_show(token)}"
        if re.fullmatch(rb"-\d+", index):
            return f"the index {_show(index)} is negative; indices count from 1 or 0"
        if not index.isdigit():
            return f"the index {_show(index)} of {_show(token)} is not a whole number"
        current = float(index)
        if current > MAX_INDEX:
            return f"the index {_show(index)} is above 2**31 - 2"
        if current == previous:
            return f"the index {_show(index)} occurs twice; a row gives each feature once"
        if current < previous:
            return f"the index {_show(index)} comes after {previous:.0f}; indices must ascend"
        previous = current
        fault = _number_fault(value)
        if fault:
            return f"the value {_show(value)} of feature {_show(index)} {fault}"
    return None


def _number_fault(token: bytes) -> str | None:
    if _IS_NUMBER.fullmatch(token):
        return None if np.isfinite(float(token)) else "is too large for float64"
    if re.fullmatch(rb"[+-]?(?:nan|inf(?:inity)?)", token, re.IGNORECASE):
        return "is not finite; remove the row or fill in a number"
    return "is not a decimal number"


def _show(token: bytes) -> str:
    text = token.decode("ascii", "backslashreplace")
    text = text if len(text) <= 40 else text[:37] + "..."  # a binary file has tokens of any length
    return f"'{text}'" if text.isprintable() else repr(text)


def _matrix(rows: Rows, p: int) -> Matrix:
    m = rows.target.size
    if rows.values.size / (m * p) > DENSE_ABOVE:
        A = np.zeros((m, p))
        A[np.repeat(np.arange(m), np.diff(rows.indptr)), rows.indices] = rows.values
        return A
    from scipy.sparse import csr_array

    # one integer type for both index arrays; int32 unless the nonzeros outnumber it
    kind = np.int32 if rows.values.size <= np.iinfo(np.int32).max else np.int64
    return csr_array((rows.values, rows.indices.astype(kind), rows.indptr.astype(kind)), shape=(m, p))


def _task(path: Path, target: NDArray[np.float64], asked: Task | None) -> Task:
    if asked == "regression":
        return "regression"
    distinct = np.unique(target)
    fractions = distinct[distinct != np.trunc(distinct)]
    if distinct.size <= 2 or fractions.size == 0:
        return classification_task(distinct.size)
    if asked is None:
        return "regression"
    name = bare_name(path.name)
    raise DataError(
        f"{path} has {distinct.size} distinct targets such as {label_text(fractions[0])}, which "
        f"are no class labels; use a regression loss, e.g. lad:{name} or quantile:{name}."
    )
