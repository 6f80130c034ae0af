"""Dataset and binary_labels."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.sparse import csr_array

from problems.data import Dataset, binary_labels
from problems.data.dataset import digest_arrays


def make(A, target, task="binary"):
    return Dataset(name="case", A=A, target=target, task=task, source="a test", sha256="")


def test_arrays_are_read_only_and_the_callers_keep_their_flags():
    A, target = np.eye(2), np.array([-1.0, 1.0])
    data = make(A, target)
    for array in (data.A, data.target):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 5.0
    A[0, 0] = target[0] = 1.0  # still writeable


def test_sparse_parts_are_read_only():
    A = csr_array(np.eye(2))
    data = make(A, [-1, 1])
    for part in (data.A.data, data.A.indices, data.A.indptr):
        with pytest.raises(ValueError, match="read-only"):
            part[0] = 1
    A.data[0] = 3.0


def test_arrays_become_contiguous_float64():
    data = make(np.asfortranarray(np.eye(3, 2, dtype=np.float32))[::-1], [1, 2, 1])
    assert data.A.flags.c_contiguous
    assert data.A.dtype == data.target.dtype == np.float64
    assert (data.m, data.p) == (3, 2)
    assert data.classes == (1.0, 2.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_indices_are_sorted_and_unique(dtype):
    A = csr_array((np.array([1, 2, 3], dtype=dtype), [2, 0, 0], [0, 2, 3]), shape=(2, 3))
    data = make(A, [0, 1])
    assert data.A.indices.tolist() == [0, 2, 0]
    assert data.A.data.tolist() == [2, 1, 3]
    assert data.A.dtype == np.float64
    assert A.indices.tolist() == [2, 0, 0]  # the caller's matrix stays as it was
    twice = csr_array((np.array([1.0, 2.0]), [1, 1], [0, 2, 2]), shape=(2, 2))
    assert make(twice, [0, 1]).A.data.tolist() == [3]


@pytest.mark.parametrize(
    ("A", "target", "task", "message"),
    [
        (np.eye(2), [1, 2, 3], "binary", r"A has shape \(2, 2\) and target \(3,\)"),
        (np.ones(2), [1, 2], "binary", r"must be \(m, p\) and \(m,\)"),
        (np.full((2, 1), np.nan), [1, 2], "binary", "NaN or infinite"),
        (np.ones((2, 1)), [1, np.inf], "regression", "NaN or infinite"),
        (csr_array(np.full((2, 1), np.inf)), [1, 2], "binary", "NaN or infinite"),
        (np.ones((3, 1)), [1, 2, 3], "binary", "has 3 classes, so its task is 'multiclass', got 'binary'"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(A, target, task, message):
    with pytest.raises(ValueError, match=message):
        make(A, target, task)


def test_digest_depends_on_values_shape_and_storage():
    A, target = np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([1.0, 2.0])
    digests = {
        digest_arrays(A, target),
        digest_arrays(A + [[0, 0], [0, 1]], target),
        digest_arrays(A, target[::-1]),
        digest_arrays(A.reshape(1, 4), target),
        digest_arrays(csr_array(A), target),
    }
    assert len(digests) == 5
    assert digest_arrays(A, target) == digest_arrays(A.astype(">f8"), target.copy())


@pytest.mark.parametrize(
    ("target", "positive", "b", "mapping"),
    [
        ([2, 1, 2], None, [1, -1, 1], {1.0: -1, 2.0: 1}),
        ([-1, 1], None, [-1, 1], {-1.0: -1, 1.0: 1}),
        ([2, 1, 2], 1, [-1, 1, -1], {1.0: 1, 2.0: -1}),
        ([0, 1, 2, 1], 1, [-1, 1, -1, 1], {0.0: -1, 1.0: 1, 2.0: -1}),
        ([0.5, 2.5], None, [-1, 1], {0.5: -1, 2.5: 1}),
    ],
)
def test_labels_become_signs(target, positive, b, mapping):
    given = np.array(target, dtype=float)
    signs, found = binary_labels(given, "case", positive)
    assert signs.tolist() == b
    assert signs.dtype == np.float64
    assert found == mapping
    assert list(found) == sorted(found)
    assert given.tolist() == target


@pytest.mark.parametrize(
    ("target", "positive", "message"),
    [
        ([1, 1], None, "case has only the class 1, and a binary loss needs two classes"),
        ([1, 1], 1, "case has only the class 1"),
        ([], None, "case has no rows"),
        ([1, 2, 3], None, r"case has 3 classes \(1, 2, 3\).*logistic\[positive=1\]:case"),
        (range(12), None, r"12 classes \(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, \.\.\.\)"),
        ([1, 2, 3], 4, r"positive must be a label of case \(1, 2, 3\), got 4"),
        ([1, 2], np.nan, r"positive must be a label of case \(1, 2\), got nan"),
        ([1, np.nan], None, "NaN or infinite"),
    ],
)
def test_labels_that_do_not_fit_are_refused(target, positive, message):
    with pytest.raises(ValueError, match=message) as caught:
        binary_labels(list(target), "case", positive)
    assert "\n" not in str(caught.value)


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, problems; before = set(sys.modules); import problems.data; "
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "print(*sorted(new & {'sklearn', 'scipy', 'pandas', 'platformdirs', 'numba', 'bz2', 'lzma'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
