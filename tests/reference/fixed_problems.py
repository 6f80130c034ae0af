"""The fixed problems of the reference trajectories: NumPy formulas of g_k = gradient(k, x), nothing of the package.

A problem is a starting point and a function gradient(k, x) -> g of the shape of x. Both sides of a comparison call
these formulas, so that what is compared is the optimizer alone. The data come with the trajectories, in
released_package.npz: whoever reads them needs no random numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

BATCH_SIZE = 16


class FixedProblem(NamedTuple):
    """Where to start, and the (sub)gradient that iteration k sees at x."""

    x0: np.ndarray
    gradient: Callable[[int, np.ndarray], np.ndarray]
    G_inf: float  # |g_i| <= G_inf for every coordinate, every batch and every x


def absolute_value(x0):
    """f(x) = |x|, x of shape (1,)."""
    return FixedProblem(x0, lambda k, x: np.sign(x), 1.0)


def least_absolute_deviation(A, b, x0):
    """f(x) = mean_j |<a_j, x> - b_j|, all rows in each step."""
    G_inf = np.abs(A).mean(axis=0).max()
    return FixedProblem(x0, lambda k, x: A.T @ np.sign(A @ x - b) / b.size, float(G_inf))


def multinomial_logistic(A, labels, order, x0):
    """Mean over the batch of -log softmax(X^T a_j)[label_j], X of shape (p, C), one row of `order` an epoch.

    Epoch e goes through the rows order[e] in batches of 16; the last batch of an epoch is what is left.
    """
    per_epoch = -(-labels.size // BATCH_SIZE)
    one_hot = np.eye(x0.shape[1])[labels]

    def gradient(k, X):
        epoch, batch = divmod(k, per_epoch)
        rows = order[epoch, batch * BATCH_SIZE : (batch + 1) * BATCH_SIZE]
        U = A[rows] @ X
        probability = np.exp(U - U.max(axis=1, keepdims=True))
        probability /= probability.sum(axis=1, keepdims=True)
        return A[rows].T @ (probability - one_hot[rows]) / rows.size

    return FixedProblem(x0, gradient, float(np.abs(A).max()))


def fixed_problems(data: Mapping[str, np.ndarray]) -> dict[str, FixedProblem]:
    """The four problems by name, from the arrays of released_package.npz (or of `make_data`)."""
    multinomial = (data["multinomial/A"], data["multinomial/labels"], data["multinomial/order"])
    return {
        "absolute_value": absolute_value(data["absolute_value/x0"]),
        "least_absolute_deviation": least_absolute_deviation(
            data["least_absolute_deviation/A"], data["least_absolute_deviation/b"], data["least_absolute_deviation/x0"]
        ),
        "multinomial": multinomial_logistic(*multinomial, data["multinomial/x0"]),
        "multinomial_nonzero_start": multinomial_logistic(*multinomial, data["multinomial_nonzero_start/x0"]),
    }
