"""Coordinates in which a weighted Gram matrix is nearly the identity, and proof that it is.

For weights w >= 0 and A_J of independent columns, T is chosen with B = A_J T, B^T diag(w) B ~ I. T is any
matrix of floats, exact as it stands; what is proved is a lower bound on the smallest eigenvalue of
B^T diag(w) B, which holds for the exact B. A positive bound shows that A_J and T have full rank.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from problems.optimum.columns import DENSE
from problems.optimum.extended import EPS64, OUTWARD, Floats


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


def metric(A_J: Any, weights: Floats, weight_error: float = 0.0) -> Metric | None:
    """Choose T and bound the eigenvalue; None where the weighted Gram matrix is singular to working precision,
    or too large to form.

    weight_error: relative error of the weights.
    """
    m, q = A_J.shape
    if q > DENSE:
        return None
    if q == 0:
        return Metric(np.zeros((0, 0)), np.zeros((m, 0)), np.zeros(m), 1.0)
    gram = weighted_gram(A_J, weights)
    diagonal = np.diag(gram)
    if not np.all(diagonal > 0):
        return None
    scale = 1.0 / np.sqrt(diagonal)
    values, vectors = np.linalg.eigh(gram * np.outer(scale, scale))
    if values[0] <= 8 * q * EPS64:
        return None
    T = scale[:, None] * vectors / np.sqrt(values)
    # once more: the first T carries the rounding of an ill-conditioned Gram matrix
    B = np.asarray(A_J @ T)
    values, vectors = np.linalg.eigh(weighted_gram(B, weights))
    if values[0] <= 0:
        return None
    T = T @ (vectors / np.sqrt(values))
    B = np.asarray(A_J @ T)
    # |B - A_J T| <= q EPS64 |A_J| |T| row by row, so in norm:
    row_errors = OUTWARD * (q + 2) * EPS64 * np.sqrt(np.square(np.asarray(abs(A_J) @ np.abs(T))).sum(axis=1))
    product = weighted_gram(B, weights)
    trace = float(np.trace(product))
    # ||fl(B^T W B) - B^T W B||_F <= (m + 4) EPS64 trace, and W^1/2 B is off by at most moved in Frobenius norm
    rounding = (m + 4) * EPS64 * trace * OUTWARD
    moved = float(np.sqrt(np.sum(weights * row_errors**2))) * OUTWARD
    eigenvalue = 1.0 - float(np.linalg.norm(product - np.eye(q))) * OUTWARD - rounding
    if eigenvalue <= 0:
        return None
    eigenvalue = max(0.0, np.sqrt(eigenvalue) - moved) ** 2 * (1 - weight_error) / OUTWARD
    return Metric(T, B, row_errors, float(eigenvalue)) if eigenvalue > 0 else None


def weighted_gram(A: Any, weights: Floats) -> Floats:
    """A^T diag(weights) A as a dense matrix."""
    if hasattr(A, "tocsr"):
        return np.asarray((A.T @ A.multiply(weights[:, None]).tocsr()).toarray())
    return np.asarray(A.T @ (weights[:, None] * A))
