"""Coordinates in which a weighted Gram matrix is nearly the identity, and proof that it is.

For weights w >= 0 and A_J of independent columns, T is chosen with B = A_J T, B^T diag(w) B ~ I. T is any
matrix of floats, exact as it stands; what is proved is a lower bound on the smallest eigenvalue of
B^T diag(w) B, which holds for the exact B. A positive bound shows that A_J and T have full rank.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from problems.matrix import dense, identity_like, stacked, weighted_gram
from problems.optimum.arithmetic.columns import DENSE
from problems.optimum.arithmetic.extended import EPS, EPS64, OUTWARD, Floats

# With at most LARGEST columns a Cholesky factor of the Gram matrix serves where eigenvectors would take minutes; B may
# have ENTRIES entries (0.8 GB).
LARGEST, ENTRIES = 8000, 1e8
# With at most this many multiplications B is computed in long double, and T by QR: twice the digits of a Gram matrix.
CAREFUL = 2e7
PASSES = 5
BEYOND = 1e100  # entries of T so large are rounding, and their squares would overflow


class Metric(NamedTuple):
    """T (q, q), B = A_J T in float64 with row-wise error bounds, and eigenvalue <= lambda_min(B^T W B)."""

    T: Floats
    B: Floats
    row_errors: Floats
    eigenvalue: float

    @property
    def reach(self) -> float:
        """||T||_F: a step of length r in the new coordinates is at most reach * r in the old."""
        return float(np.linalg.norm(self.T)) * OUTWARD


def small(A: Any) -> bool:
    """Whether QR factors and products in long double cost little."""
    m, q = A.shape
    return q > 0 and m * q * q <= CAREFUL


def metric(A_J: Any, weights: Floats, weight_error: float = 0.0, l2: float = 0.0) -> Metric | None:
    """Choose T and bound the eigenvalue; None where the weighted Gram matrix is nearly singular, or too large.

    weight_error: relative error of the weights. l2: of a penalty, which enters as so many rows of that weight as there
    are columns.
    """
    if l2 > 0:
        A_J, weights = stacked(A_J, identity_like(A_J)), np.append(weights, np.full(A_J.shape[1], l2))
    m, q = A_J.shape
    if q > LARGEST or (q > DENSE and m * q > ENTRIES):
        return None
    if q == 0:
        return Metric(np.zeros((0, 0)), np.zeros((m, 0)), np.zeros(m), 1.0)
    T = _by_gram(A_J, weights)
    if T is None and small(A_J):
        T = by_qr(A_J, weights)
    return None if T is None else _proved(A_J, T, weights, weight_error)


def _proved(A_J: Any, T: Floats, weights: Floats, weight_error: float) -> Metric | None:
    """T with the bound on the eigenvalue; None where that is not positive."""
    m, q = A_J.shape
    B, row_errors = product(A_J, T)
    gram = weighted_gram(B, weights)
    trace = float(np.trace(gram))
    # ||fl(B^T W B) - B^T W B||_F <= (m + 4) EPS64 trace, and W^1/2 B is off by at most moved in Frobenius norm
    rounding = (m + 4) * EPS64 * trace * OUTWARD
    moved = float(np.sqrt(np.sum(weights * row_errors**2))) * OUTWARD
    gram[np.diag_indices(q)] -= 1.0
    eigenvalue = 1.0 - float(np.linalg.norm(gram)) * OUTWARD - rounding
    if not eigenvalue > 0:
        return None
    eigenvalue = max(0.0, np.sqrt(eigenvalue) - moved) ** 2 * (1 - weight_error) / OUTWARD
    return Metric(T, B, row_errors, float(eigenvalue)) if eigenvalue > 0 else None


def product(A_J: Any, T: Floats) -> tuple[Floats, Floats]:
    """(B, row_errors): A_J T in float64, and Euclidean norms of the rows of its error, rounded up."""
    m, q = A_J.shape
    size = np.sqrt(np.square(np.asarray(abs(A_J) @ np.abs(T))).sum(axis=1))
    if m * q * q > CAREFUL:
        return np.asarray(A_J @ T), OUTWARD * (q + 2) * EPS64 * size
    B = np.asarray(dense(A_J).astype(np.longdouble) @ T.astype(np.longdouble)).astype(np.float64)
    return B, OUTWARD * ((q + 2) * EPS * size + EPS64 * np.linalg.norm(B, axis=1))


def _by_gram(A_J: Any, weights: Floats) -> Floats | None:
    """T from the weighted Gram matrix, in two passes: the first carries the rounding of an ill-conditioned matrix."""
    gram = weighted_gram(A_J, weights)
    q = gram.shape[0]
    diagonal = np.diag(gram)
    if not np.all(diagonal > 0) or not np.all(np.isfinite(gram)):
        return None
    scale = 1.0 / np.sqrt(diagonal)
    gram *= np.outer(scale, scale)
    first = _inverse_root(gram, 8 * q * EPS64)
    if first is None:
        return None
    T = scale[:, None] * first
    second = _inverse_root(weighted_gram(np.asarray(A_J @ T), weights), 0.0)
    return None if second is None else T @ second


def _inverse_root(gram: Floats, least: float) -> Floats | None:
    """T with T^T gram T = I; None where an eigenvalue, or beyond DENSE a pivot, is no larger than least."""
    import scipy.linalg

    if gram.shape[0] <= DENSE:
        values, vectors = np.linalg.eigh(gram)
        return vectors / np.sqrt(values) if values[0] > least else None
    factor, failed = scipy.linalg.lapack.dpotrf(gram, lower=0, clean=1)
    if failed or np.diag(factor).min() ** 2 <= least:
        return None
    inverse, failed = scipy.linalg.lapack.dtrtri(factor, lower=0)
    return None if failed else inverse


def by_qr(A_J: Any, weights: Floats) -> Floats | None:
    """T by QR factors of W^1/2 A_J T, repeated until the columns of that matrix are orthonormal.

    Rows come in the order of their size, without which those that differ by powers of ten lose their digits [1].

    [1] N. J. Higham. Accuracy and stability of numerical algorithms, section 19.4. SIAM, 2002.
    """
    import scipy.linalg

    A = dense(A_J)
    root = np.sqrt(weights)[:, None]
    largest = np.abs(root * A).max(axis=0, initial=0.0)
    if not np.all(largest > 0) or not np.all(np.isfinite(largest)) or A.shape[0] < A.shape[1]:
        return None
    T = np.diag(1 / largest)
    for _ in range(PASSES):
        if not np.abs(T).max() < BEYOND:
            return None
        B = root * product(A, T)[0]
        order = np.argsort(-np.abs(B).max(axis=1))
        R, pivots = scipy.linalg.qr(B[order], mode="r", pivoting=True)
        R = R[: pivots.size]
        if not np.all(np.abs(np.diag(R)) > EPS64**2 * np.abs(R[0, 0])):
            return None
        T = scipy.linalg.solve_triangular(R, T[:, pivots].T, trans=1, check_finite=False).T
        if np.linalg.norm(np.abs(R) - np.eye(pivots.size)) < 0.1:
            break
    return T if np.abs(T).max() < BEYOND else None
