"""Matrices of data, dense arrays or CSR: whatever depends on how a matrix is stored stands here.

A : (m, p) float64 ndarray or scipy.sparse.csr_array throughout, unless a function says otherwise.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dadapt_convex.oracle import Vector
from problems.arrays import real

PARTS = ("data", "indices", "indptr")  # the arrays of a CSR matrix


def is_sparse(A: Any) -> bool:
    """Whether this is a matrix of scipy.sparse, in any format."""
    return hasattr(A, "tocsr")


# ---------------------------------------------------------------------------------------------------------
# Forms


def real_matrix(name: str, A: Any) -> Any:
    """A caller's matrix as an array of numbers or as float64 CSR in canonical form; it may share memory with A.

    ValueError as in arrays.real, for an empty matrix, and for indices that lie outside.
    """
    matrix = A if is_sparse(A) else real(name, A)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ValueError(f"{name} must be a non-empty matrix, got shape {matrix.shape}.")
    return _real_csr(name, matrix) if is_sparse(A) else matrix


def _real_csr(name: str, A: Any) -> Any:
    import scipy.sparse

    def numbers() -> Vector:
        return real(name, A.data).astype(np.float64, copy=False)

    if getattr(A, "format", "") == "coo":  # entries of one place are added up in float64, not in int8
        A = scipy.sparse.coo_array((numbers(), A.coords), shape=A.shape)
    A = A.tocsr()
    matrix = _csr(numbers(), A.indices, A.indptr, A.shape)
    try:
        matrix.check_format(full_check=True)
    except ValueError as error:
        raise ValueError(f"{name} is no valid CSR matrix: {error}.") from None
    return canonical(matrix)


def _csr(values: Any, indices: Any, indptr: Any, shape: tuple[int, int]) -> Any:
    """CSR with indices and row ends of one type, as products in scipy expect: 32 bits where they fit."""
    import scipy.sparse

    kind = np.int32 if values.size <= np.iinfo(np.int32).max else np.int64
    return scipy.sparse.csr_array((values, *(np.asarray(at, dtype=kind) for at in (indices, indptr))), shape=shape)


def canonical(A: Any) -> Any:
    """CSR with sorted indices and no place twice; A itself where it is so."""
    if not A.has_canonical_format:
        A = A.copy()
        A.sum_duplicates()  # sorts too
    return A


def csr(A: Any) -> Any:
    """A matrix in any form as CSR, which may share memory with it."""
    import scipy.sparse

    return scipy.sparse.csr_array(A)


def dense(A: Any) -> Vector:
    """The matrix as an array; A itself where it is one."""
    return np.asarray(A.toarray() if is_sparse(A) else A)


def parts(A: Any) -> tuple[Any, ...]:
    """The arrays that hold the matrix: (A,), or the values, columns and row ends of CSR."""
    return tuple(getattr(A, part) for part in PARTS) if is_sparse(A) else (A,)


def entries(A: Any) -> Any:
    """The stored values in one array; a vector's are the vector."""
    return parts(A)[0]


def with_entries(A: Any, values: Any) -> Any:
    """The matrix with other values, of any type, in the places of entries(A)."""
    return _csr(values, A.indices, A.indptr, A.shape) if is_sparse(A) else values


def read_only(A: Any) -> Any:
    """The numbers of a matrix or vector in read-only views; the arrays keep their flags."""
    if is_sparse(A):
        matrix = copy.copy(A)
        for name, part in zip(PARTS, parts(A), strict=True):
            setattr(matrix, name, read_only(part))
        return matrix
    view = A.view()
    view.setflags(write=False)
    return view


def owned_matrix(matrix: Any, given: Any) -> Any:
    """A result of real_matrix(..., given) as read-only float64, copied where `given` may hold the same memory.

    given: None where nobody changes its memory.
    """
    if not is_sparse(matrix):
        shared = given is not None and not isinstance(given, list | tuple)  # a list has been copied
        return read_only(np.array(matrix, dtype=np.float64, order="C", copy=True if shared else None))
    own = copy.copy(matrix)
    for name, part in zip(PARTS, parts(matrix), strict=True):
        theirs = getattr(given, name, None)
        shared = isinstance(theirs, np.ndarray) and np.may_share_memory(part, theirs)
        setattr(own, name, part.copy() if shared else part)
    return read_only(own)


# ---------------------------------------------------------------------------------------------------------
# Entries


def longest_row(A: Any) -> int:
    """The most stored entries of a row: so many terms has a product with a vector."""
    return int(np.diff(A.indptr).max(initial=0)) if is_sparse(A) else A.shape[1]


def rows_of_entries(A: Any) -> NDArray[np.intp]:
    """The row of each stored entry of a CSR matrix."""
    return np.repeat(np.arange(A.shape[0]), np.diff(A.indptr))


def columns_in_use(A: Any) -> Any:
    """The columns with stored entries, as an index: an array, or a slice of all columns where A is dense."""
    return np.unique(A.indices) if is_sparse(A) else slice(None)


def nonzero_columns(A: Any) -> NDArray[np.intp]:
    """The columns with an entry that is not 0."""
    return np.flatnonzero(np.asarray(abs(A).sum(axis=0)).ravel())


def row_contents(A: Any) -> Iterator[bytes]:
    """For each row bytes that are equal where rows are stored alike."""
    if not is_sparse(A):
        yield from (row.tobytes() for row in A)
        return
    for begin, end in itertools.pairwise(A.indptr):
        yield A.indices[begin:end].tobytes() + A.data[begin:end].tobytes()


def nonzeros(A: Any, size: int) -> Iterator[tuple[Any, Any, Any]]:
    """(how many in each row, columns, values) of the entries that are not 0; of a dense matrix `size` at a time."""
    m, p = A.shape
    if is_sparse(A):
        present = A.data != 0
        yield np.bincount(rows_of_entries(A)[present], minlength=m), A.indices[present], A.data[present]
        return
    rows = max(1, size // p)
    for block in (A[first : first + rows] for first in range(0, m, rows)):
        yield np.count_nonzero(block, axis=1), np.nonzero(block)[1], block[block != 0]


def row_blocks(A: Any, size: int) -> Iterator[tuple[slice, NDArray[np.intp], Vector]]:
    """(rows, columns, block) of consecutive rows as arrays of about `size` entries, in the columns in use."""
    m, p = A.shape
    rows = max(1, size // max(1, longest_row(A)))
    if is_sparse(A):  # the columns in use grow with the rows
        rows = math.isqrt(rows)
    for first in range(0, m, rows):
        at = slice(first, min(first + rows, m))
        used = columns_in_use(A[at])
        yield at, np.arange(p)[used], dense(A[at][:, used])


def column_blocks(A: Any, terms: int) -> Iterator[tuple[slice, Any]]:
    """(columns, A[:, columns]) of consecutive columns, with at most so many stored entries in a row."""
    if longest_row(A) <= terms:
        yield slice(None), A
        return
    A = A.tocsc() if is_sparse(A) else A
    for first in range(0, A.shape[1], terms):
        at = slice(first, first + terms)
        yield at, A[:, at]


# ---------------------------------------------------------------------------------------------------------
# Arithmetic


def squared(A: Any) -> Any:
    """The squares of the entries."""
    return A.multiply(A) if is_sparse(A) else A * A


def sums_of_squares(A: Any, axis: int) -> Vector:
    """The sum of squares of each column (axis 0) or row (axis 1)."""
    return np.asarray(squared(A).sum(axis=axis)).ravel()


def largest_along(A: Any, axis: int) -> Vector:
    """The largest absolute entry of each column (axis 0) or row (axis 1)."""
    return dense(abs(A).max(axis=axis)).ravel()


def scaled_rows(A: Any, factors: Vector) -> Any:
    """diag(factors) A."""
    return A.multiply(factors[:, None]).tocsr() if is_sparse(A) else factors[:, None] * A


def weighted_gram(A: Any, weights: Vector) -> Vector:
    """A^T diag(weights) A as an array."""
    return dense(A.T @ scaled_rows(A, weights))


def with_column(A: Any, column: Any) -> Any:
    """A float64 copy with one more column behind the others; one number stands for equal ones."""
    m, p = A.shape
    if not is_sparse(A):
        wide = np.empty((m, p + 1))
        wide[:, :-1], wide[:, -1] = A, column
        return wide
    ends = A.indptr[1:]
    values, indices = np.insert(A.data, ends, column), np.insert(A.indices, ends, p)
    return _csr(values, indices, A.indptr + np.arange(m + 1), (m, p + 1))


def identity_like(A: Any) -> Any:
    """The identity on the columns, stored as A is."""
    if not is_sparse(A):
        return np.eye(A.shape[1])
    import scipy.sparse

    return scipy.sparse.eye_array(A.shape[1], format="csr")


def stacked(*blocks: Any) -> Any:
    """The rows of one matrix below those of another, stored as the first is."""
    if not is_sparse(blocks[0]):
        return np.vstack(blocks)
    import scipy.sparse

    return csr(scipy.sparse.vstack(blocks, format="csr"))


def long_transposed_product(A: Any, U: Any, rows: int = 0) -> Any:
    """A^T U in long double for a vector or matrix U; of a dense A so many rows are added up at a time, 0: all."""
    if is_sparse(A):
        return A.T.astype(np.longdouble) @ U
    m, p = A.shape
    value, step = np.zeros((p, *U.shape[1:]), dtype=np.longdouble), rows or max(1, m)
    for first in range(0, m, step):
        value += A[first : first + step].T.astype(np.longdouble) @ U[first : first + step]
    return value
