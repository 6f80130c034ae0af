"""Parsed LIBSVM files, and their cache."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from problems.data.cache import cache_dir, load_npz, save_npz
from problems.data.dataset import DataError
from problems.data.grammar import Piece, first_fault, read_plainly, split_rows
from problems.data.hashes import file_sha256
from problems.data.streams import TEXT_LIMIT, TextPieces, whole_lines
from problems.matrix import dense

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from problems.data.dataset import Matrix

# Bytes of text from which on the compiled reader is worth its start: loading the function costs 10 ms, and before
# it Numba 1.5 to 2.5 s, while plain Python reads 13 MB/s.
COMPILED_ABOVE, NUMBA_ABOVE = 200_000, 25_000_000
EXPANSION = 4  # bytes of text for a compressed one, about
CACHE_ABOVE = 1_000_000  # bytes of text: below, parsing is not worth a second file
DENSE_ABOVE = 0.5  # from here 8 bytes an entry are at most 4/3 of CSR's 12 a nonzero, and need no gathers
FORMAT = 2  # of the cached arrays; raise it when they, or the rules of the format, change

Reader: TypeAlias = Callable[[bytes], Piece | None]  # of whole lines; None where one breaks the rules

_INT32 = np.iinfo(np.int32).max


class Rows(NamedTuple):
    """A parsed file in CSR form, columns counted from 0, no stored zeros."""

    target: NDArray[np.float64]
    indptr: NDArray[np.int32] | NDArray[np.int64]
    indices: NDArray[np.int32] | NDArray[np.int64]  # of the type of indptr: int32 unless nnz is above 2**31 - 1
    values: NDArray[np.float64]
    p: int  # number of columns the file uses
    index_base: int  # 0 where an index 0 occurs, 1 otherwise
    has_qid: bool
    sha256: str  # of the text
    file_sha256: str  # of the file, compressed or not
    text_bytes: int


class Table(NamedTuple):
    """A parsed file as it is cached: the matrix is dense or CSR by DENSE_ABOVE, arrays may be mapped files."""

    A: Matrix
    target: NDArray[np.float64]
    index_base: int
    has_qid: bool
    sha256: str
    text_bytes: int


def parse_libsvm(path: str | Path, text_limit: int = TEXT_LIMIT) -> Rows:
    """Read one file, plain or compressed, without the cache.

    The text is read and parsed in pieces; memory is needed for the arrays, and once more for the values while the
    pieces are put together.

    Raises
    ------
    DataError
        With file, line and token for the first line that breaks the rules; for a file without rows, one that
        cannot be read or decompressed, and one of more than `text_limit` bytes of text.
    """
    try:
        with Path(path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            return parse_text(path, TextPieces(path, file, text_limit), lambda text: _reader(text, size))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def parse_text(path: str | Path, text: TextPieces, reader: Callable[[TextPieces], Reader]) -> Rows:
    """Parse text with the reader that is chosen when its first piece is known."""
    parts: list[Piece] = []
    lines = 0
    for piece in whole_lines(path, text):
        part = reader(text)(piece)
        if part is None:
            raise _fault(path, text, lines, piece)
        parts.append(part)
        lines += piece.count(b"\n")
    if not any(part.target.size for part in parts):
        raise DataError(f"{path} is empty: no line holds a row; get the file again.")
    return _rows(parts, text)


def cached_table(path: Path, text_limit: int = TEXT_LIMIT) -> Table:
    """Parse a file, or map the cached table of a file of equal bytes.

    The cache's file is named after the SHA-256 of the source. Raises as `parse_libsvm`.
    """
    folder = cache_dir("libsvm")
    if folder is not None:
        try:
            stored = folder / f"{file_sha256(path)}.npz"
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}.") from error
        cached = load_npz(stored, mapped=True)
        if cached is not None and cached[1].get("format") == FORMAT:
            table = _unpack(*cached)
            if table.text_bytes <= text_limit:
                return table
    rows = parse_libsvm(path, text_limit)
    table = Table(_matrix(rows), rows.target, rows.index_base, rows.has_qid, rows.sha256, rows.text_bytes)
    if folder is not None and table.text_bytes > CACHE_ABOVE:
        # under the hash of the bytes that were parsed: the file may have changed since it was looked for
        save_npz(folder / f"{rows.file_sha256}.npz", *_packed(table))
    return table


def placed(A: Matrix, shift: int, p: int) -> Matrix:
    """The columns of A, `shift` further to the right, in a matrix of p columns; A itself where nothing moves."""
    m, width = A.shape
    if (shift, width) == (0, p):
        return A
    if isinstance(A, np.ndarray) and np.count_nonzero(A) / (m * p) > DENSE_ABOVE:
        wide = np.zeros((m, p))
        wide[:, shift : shift + width] = A
        return wide
    from scipy.sparse import csr_array

    sparse = csr_array(A)
    return csr_array((sparse.data, sparse.indices + shift if shift else sparse.indices, sparse.indptr), shape=(m, p))


def first_line_where(path: Path, wanted: Callable[[int], bool], text_limit: int) -> tuple[int, int] | None:
    """First line (from 1) of a file in good order with an index that is wanted, and that index."""
    with path.open("rb") as file:
        rows = _all_rows(path, file, text_limit)
        return next(
            ((number, index) for number, row in rows for index in _indices(row) if wanted(index)),
            None,
        )


def _all_rows(path: Path, file: Any, text_limit: int) -> Iterator[tuple[int, bytes]]:
    lines = 1
    for piece in whole_lines(path, TextPieces(path, file, text_limit)):
        yield from enumerate(split_rows(piece), start=lines)
        lines += piece.count(b"\n")


def _indices(row: bytes) -> Iterator[int]:
    for token in row.split()[1:]:
        index = token.partition(b":")[0]
        if index != b"qid":
            yield int(index.lstrip(b"0") or b"0")  # int() has a limit on digits, an index none on zeros before it


def _reader(text: TextPieces, file_bytes: int) -> Reader:
    expected = file_bytes * (EXPANSION if text.compressed else 1)
    if expected < (COMPILED_ABOVE if "numba" in sys.modules else NUMBA_ABOVE):
        return read_plainly
    from problems.data.tokenizer import read_compiled

    return read_compiled


def _fault(path: str | Path, text: TextPieces, lines: int, piece: bytes) -> DataError:
    fault = first_fault(piece)
    assert fault is not None, f"{path} was refused, but each of its lines is in order"
    number, reason = fault
    if text.compressed:
        try:  # a damaged stream gives wrong text before its checksum is reached: that is the reason then
            for _ in text:
                pass
        except DataError as error:
            return error
    return DataError(f"{path}, line {lines + number}: {reason}.")


def _rows(parts: list[Piece], text: TextPieces) -> Rows:
    lowest, highest = min(part.lowest for part in parts), max(part.highest for part in parts)
    has_qid = any(part.has_qid for part in parts)
    columns = [list(column) for column in zip(*(part[:4] for part in parts), strict=True)]
    parts.clear()
    targets, ends, indices, values = columns
    index_base = int(lowest > 0)
    offsets = np.cumsum([0, *(column.size for column in values)])
    kind = np.int32 if offsets[-1] <= _INT32 else np.int64
    indptr: Any = np.concatenate([[0], *(end + offset for end, offset in zip(ends, offsets, strict=False))])
    index = _joined(indices)
    if index_base:
        index -= 1
    return Rows(
        target=_joined(targets) + 0.0,  # -0 becomes 0
        indptr=indptr.astype(kind),
        indices=index.astype(kind, copy=False),
        values=_joined(values),
        p=max(0, highest + 1 - index_base),
        index_base=index_base,
        has_qid=has_qid,
        sha256=text.sha256,
        file_sha256=text.file_sha256,
        text_bytes=text.size,
    )


def _joined(pieces: list[Any]) -> Any:
    whole = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    pieces.clear()
    return whole


def _matrix(rows: Rows) -> Matrix:
    from scipy.sparse import csr_array

    m = rows.target.size
    A: csr_array[np.float64] = csr_array((rows.values, rows.indices, rows.indptr), shape=(m, rows.p))
    return dense(A) if rows.values.size > DENSE_ABOVE * m * rows.p else A


def _packed(table: Table) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    meta = {"format": FORMAT, "shape": table.A.shape, "facts": table[2:]}
    if isinstance(table.A, np.ndarray):
        return {"target": table.target, "dense": table.A}, meta
    A = table.A
    return {"target": table.target, "values": A.data, "indices": A.indices, "indptr": A.indptr}, meta


def _unpack(arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> Table:
    if "dense" in arrays:
        return Table(arrays["dense"], arrays["target"], *meta["facts"])
    from scipy.sparse import csr_array

    parts = (arrays["values"], arrays["indices"], arrays["indptr"])
    return Table(csr_array(parts, shape=tuple(meta["shape"])), arrays["target"], *meta["facts"])
