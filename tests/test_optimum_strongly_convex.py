"""Hinge, least absolute deviation and quantile regression with l2 > 0: sharp for problems of every kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse

import problems
from problems.optimum import certified_optimum, complaints

LOSSES = ("hinge", "least_absolute_deviation", "quantile")
KINDS = ("normal", "integer", "scaled", "duplicates", "sparse", "rounded", "low rank")
NOISES = (0.0, 1e-12, 1e-10, 1e-8, 1e-6, 1e-2, 1.0)


def random_problem(seed: int) -> Any:
    """Rows that repeat, depend on each other, or differ by powers of ten; residuals that are zero, nearly, or not."""
    rng = np.random.default_rng(seed)
    loss, kind = LOSSES[seed % 3], KINDS[seed % 7]
    m, p = int(rng.choice([20, 50, 100, 200])), int(rng.choice([2, 5, 10, 20]))
    A = rng.integers(-2, 3, (m, p)).astype(float) if kind == "integer" else rng.normal(size=(m, p))
    if kind == "scaled":
        A = A * 10.0 ** rng.uniform(-4, 4, size=p)
    if kind == "duplicates":
        A = A[rng.integers(0, max(2, m // 4), m)]
    if kind == "low rank":
        A = np.round(A[:, : max(1, p // 2)] @ rng.integers(-1, 2, (max(1, p // 2), p)), 3)
    if kind == "rounded":
        A = np.round(A, 1)
    if kind == "sparse":
        A = A * (rng.random((m, p)) < 0.3)
    w = rng.normal(size=p) / (np.abs(A).max(axis=0) if kind == "scaled" else 1.0)
    z = A @ w + float(rng.choice(NOISES)) * rng.normal(size=m)
    if kind in ("rounded", "integer"):
        z = np.round(z, 1)
    b = np.where(z > 0, 1.0, -1.0) if loss == "hinge" else z
    l2 = float(rng.choice([1.0, 1.0, 0.01, 1e-4, 100.0])) / m
    options: dict[str, Any] = {"tau": float(rng.choice([0.1, 0.5, 0.9]))} if loss == "quantile" else {}
    data = scipy.sparse.csr_array(A) if kind == "sparse" else A
    return getattr(problems, loss)(data, b, l2=l2, x0=rng.normal(size=p + 1), **options)


@pytest.mark.parametrize("seed", range(105))
def test_f_is_known_to_rounding_and_D_to_nine_digits(seed: int) -> None:
    problem = random_problem(seed)
    optimum = certified_optimum(problem, cache=False)
    assert optimum.f_hi - optimum.f_lo <= 1e-14 * max(1.0, optimum.f_hi)
    assert optimum.D_hi - optimum.D_lo <= 1e-9 * optimum.D_hi
    assert complaints(problem, optimum) == []
    rng = np.random.default_rng(seed)
    for size in (1e-6, 1e-3, 1.0):
        x = optimum.x + size * rng.normal(size=optimum.x.size)
        assert problem.value(x) >= optimum.f_lo * (1 - 1e-14)
