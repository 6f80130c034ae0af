"""Operations on a matrix give the same numbers for an array and for CSR."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

from problems.matrix import (
    canonical,
    column_blocks,
    columns_in_use,
    csr,
    dense,
    entries,
    identity_like,
    is_sparse,
    largest_along,
    long_transposed_product,
    longest_row,
    nonzero_columns,
    nonzeros,
    owned_matrix,
    parts,
    read_only,
    real_matrix,
    row_blocks,
    row_contents,
    rows_of_entries,
    scaled_rows,
    squared,
    stacked,
    sums_of_squares,
    weighted_gram,
    with_column,
    with_entries,
)
from problems.optimum.arithmetic.extended import combination, rounded_margins

RNG = np.random.default_rng(11)
# integers of few bits: sums are exact in any order, so that both forms give equal bits
A = np.where(RNG.random((9, 7)) < 0.4, RNG.integers(-8, 9, (9, 7)), 0).astype(np.float64)
A[4], A[:, 3] = 0.0, 0.0  # an empty row, and a column that no row has
A[7] = A[2]
FACTORS = RNG.integers(-4, 5, 9).astype(np.float64)
U = RNG.integers(-4, 5, (9, 2)).astype(np.longdouble)
FORMS = pytest.mark.parametrize("M", [A, scipy.sparse.csr_array(A)], ids=["dense", "csr"])


@FORMS
def test_arithmetic(M):
    assert np.array_equal(dense(M), A)
    assert np.array_equal(dense(csr(M)), A)
    assert is_sparse(csr(M))
    assert np.array_equal(dense(squared(M)), A**2)
    for axis in (0, 1):
        assert np.array_equal(sums_of_squares(M, axis), (A**2).sum(axis=axis))
        assert np.array_equal(largest_along(M, axis), np.abs(A).max(axis=axis))
    assert np.array_equal(dense(scaled_rows(M, FACTORS)), np.diag(FACTORS) @ A)
    assert np.array_equal(weighted_gram(M, FACTORS), A.T @ np.diag(FACTORS) @ A)
    assert np.array_equal(dense(with_entries(M, entries(M) * 2)), 2 * A)


@FORMS
def test_matrices_put_together(M):
    assert np.array_equal(dense(with_column(M, FACTORS)), np.column_stack([A, FACTORS]))
    assert np.array_equal(dense(with_column(M, 1.0)), np.column_stack([A, np.ones(9)]))
    whole = stacked(M, identity_like(M), M)
    assert np.array_equal(dense(whole), np.vstack([A, np.eye(7), A]))
    assert is_sparse(whole) == is_sparse(with_column(M, 1.0)) == is_sparse(scaled_rows(M, FACTORS)) == is_sparse(M)


@FORMS
def test_products_in_long_double_in_blocks_of_any_size(M):
    for rows in (1, 2, 9, 100):
        assert np.array_equal(long_transposed_product(M, U, rows), A.T @ U)
    assert np.array_equal(long_transposed_product(M, U[:, 1]), A.T @ U[:, 1])
    assert long_transposed_product(M, U).dtype == np.longdouble


def test_margins_of_more_rows_than_are_converted_at_a_time():
    many = np.tile(A, (500, 1))
    for M in (many, scipy.sparse.csr_array(many)):
        assert np.array_equal(rounded_margins(M, U[:7, 0]).value, many @ U[:7, 0])
        assert np.array_equal(combination(M, np.tile(U[:, 0], 500)).value, 500 * (A.T @ U[:, 0]))


@FORMS
def test_a_product_without_rows_is_0(M):
    assert np.array_equal(long_transposed_product(M[:0], U[:0]), np.zeros((7, 2)))


def test_long_double_keeps_what_float64_would_round():
    x = np.array([1.0, 2.0**-60], dtype=np.longdouble)
    for M in (np.ones((1, 2)), scipy.sparse.csr_array(np.ones((1, 2)))):
        assert long_transposed_product(stacked(M[:, :1], M[:, :1]), x)[0] == x.sum()


@FORMS
def test_blocks_of_rows_and_columns_hold_every_entry_once(M):
    for size in (1, 10, 1000):
        found = np.zeros(A.shape)
        for at, columns, block in row_blocks(M, size):
            found[at, columns] += block
        assert np.array_equal(found, A)
    for terms in (1, 2, 5, 100):
        found = np.zeros(A.shape)
        for at, part in column_blocks(M, terms):
            assert np.count_nonzero(dense(part), axis=1).max() <= terms
            found[:, at] += dense(part)
        assert np.array_equal(found, A)


@FORMS
def test_entries_and_their_places(M):
    assert longest_row(M) == (np.count_nonzero(A, axis=1).max() if is_sparse(M) else 7)
    assert np.array_equal(nonzero_columns(M), np.flatnonzero(A.any(axis=0)))
    used = np.arange(7)[columns_in_use(M)]
    assert np.array_equal(used, np.flatnonzero(A.any(axis=0)) if is_sparse(M) else np.arange(7))
    contents = list(row_contents(M))
    assert [contents.index(row) for row in contents] == [0, 1, 2, 3, 4, 5, 6, 2, 8]
    for size in (1, 20, 1000):
        counts, columns, values = (np.concatenate(found) for found in zip(*nonzeros(M, size), strict=True))
        assert np.array_equal(counts, np.count_nonzero(A, axis=1))
        assert np.array_equal(columns, np.nonzero(A)[1])
        assert np.array_equal(values, A[A != 0])


def test_zeros_that_are_stored_are_left_out():
    M = with_column(scipy.sparse.csr_array(A), np.where(FACTORS > 0, 1.0, 0.0))
    wide = dense(M)
    assert entries(M).size > np.count_nonzero(wide)
    [(counts, columns, values)] = nonzeros(M, 1)
    assert np.array_equal(counts, np.count_nonzero(wide, axis=1))
    assert np.array_equal(columns, np.nonzero(wide)[1])
    assert np.array_equal(values, wide[wide != 0])
    assert np.array_equal(rows_of_entries(csr(wide)), np.nonzero(wide)[0])


@FORMS
@pytest.mark.parametrize("theirs", [True, False])
def test_an_owned_matrix_is_read_only_and_shares_no_memory_with_what_was_given(M, theirs):
    own = owned_matrix(real_matrix("A", M), M if theirs else None)
    for mine, given in zip(parts(own), parts(M), strict=True):
        assert np.array_equal(mine, given)
        assert np.shares_memory(mine, given) == (not theirs)
        assert not mine.flags.writeable
        assert given.flags.writeable
    assert not any(part.flags.writeable for part in parts(read_only(M)))


@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_csr_has_one_type_of_indices_and_each_place_once(index):
    places = np.array([[0, 0, 2], [2, 2, 0]], dtype=index)
    coo = scipy.sparse.coo_array((np.array([100, 100, 1], dtype=np.int8), places), shape=(3, 3))
    M = real_matrix("A", coo)
    assert np.array_equal(dense(M), [[0, 0, 200], [0, 0, 0], [1, 0, 0]])
    assert canonical(M) is M
    assert M.indices.dtype == M.indptr.dtype == with_column(M, 1.0).indptr.dtype == np.int32
