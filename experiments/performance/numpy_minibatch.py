"""D-Adapt Adam for multinomial logistic regression with mini-batches as one writes it in NumPy; the yardstick.

    f(X) = (1/m) sum log sum_c exp(<a_i, X_c> - <a_i, X_{y_i}>),    X of shape (p, C)

Algorithm 5 in the paper's convention, of dadapt_convex/methods/dadapt_adam.py, with the mean of f over the batches. It
computes what solve() computes for x, d and f, and leaves out what solve() keeps beside these: the norms of the
gradients, how many rows are predicted right, the check for NaN. Vectors are changed in place, which is what a thousand
classes ask for.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from dadapt_convex.oracle import Vector
from experiments.performance.cases import BATCH_SIZE

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


class Outcome(NamedTuple):
    """After `steps` steps: X row by row, d, and the mean of f over the batches."""

    x: Vector
    d: float
    f: float


def softmax_loss(z: Vector, labels: Any) -> tuple[float, Vector]:
    """Mean loss of margins (n, C) and its derivative, which takes their place."""
    own = np.arange(labels.size), labels
    z -= z.max(axis=1, keepdims=True)
    of_class = z[own]
    np.exp(z, out=z)
    total = z.sum(axis=1)
    z /= total[:, np.newaxis]
    z[own] -= 1.0
    z /= labels.size
    return float(np.mean(np.log(total) - of_class)), z


def dadapt_adam(A: Vector, labels: Any, classes: int, d0: float, orders: Iterable[Any], steps: int) -> Outcome:
    """A: (m, p); labels: (m,) integers; orders: of the rows, one for each epoch."""
    x = np.zeros((A.shape[1], classes))
    m, v, s, r, d = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x), 0.0, d0
    b, f_mean = math.sqrt(BETA2), 0.0
    batches = (order[i : i + BATCH_SIZE] for order in orders for i in range(0, order.size, BATCH_SIZE))
    for k, rows in enumerate(itertools.islice(batches, steps)):
        a = A[rows]
        f, slopes = softmax_loss(a @ x, labels[rows])
        g = a.T @ slopes
        f_mean += (f - f_mean) / (k + 1)

        m *= BETA1
        m += ((1.0 - BETA1) * d) * g
        v *= BETA2
        v += (1.0 - BETA2) * (g * g)
        root = np.sqrt(v)
        root += EPS
        x -= m / root
        r = b * r + (1.0 - b) * d * float(np.vdot(g, s / root))
        s *= b
        s += ((1.0 - b) * d) * g
        d = max(d, r / ((1.0 - b) * float(np.abs(s).sum())))
    return Outcome(x.ravel(), d, f_mean)
