"""Hinge, least absolute deviation and quantile regression with l2 > 0: sharp for problems of every kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from exhaustive import one_in

import problems
from problems.optimum import certified_optimum, complaints
from problems.optimum.arithmetic.rational import integers
from problems.optimum.piecewise_linear.exact_gap import DualityGap
from problems.problem import Optimum

LOSSES = ("hinge", "least_absolute_deviation", "quantile", "epsilon_insensitive")
KINDS = ("normal", "integer", "scaled", "duplicates", "sparse", "rounded", "low rank")
NOISES = (0.0, 1e-12, 1e-10, 1e-8, 1e-6, 1e-2, 1.0)


def random_problem(seed: int) -> Any:
    """Rows that repeat, depend on each other, or differ by powers of ten; residuals that are zero, nearly, or not."""
    rng = np.random.default_rng(seed)
    loss, kind = LOSSES[seed % 4], KINDS[seed % 7]
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
    if loss == "epsilon_insensitive":
        options["epsilon"] = float(rng.choice([0.0, 0.1, 1.0]))
    data = scipy.sparse.csr_array(A) if kind == "sparse" else A
    return getattr(problems, loss)(data, b, l2=l2, x0=rng.normal(size=p + 1), **options)


@pytest.mark.parametrize("seed", one_in(4, range(105)))
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


def forged(dtype: Any) -> tuple[Any, Any]:
    """A problem and a claim that is true only of numbers that float16 arithmetic makes of u."""
    problem = problems.least_absolute_deviation(np.array([[1.0], [1024.0]]), [-1.0, -1024.0], l2=1.0, intercept=False)
    u = np.array([0.5]).astype(dtype)
    certificate = DualityGap(rows=np.array([0]), u=u, high=np.array([1]), x=np.zeros(1), x_low=np.zeros(1))
    claim = Optimum(512.5, 512.5, np.zeros(1), 0.0, 0.0, certificate=certificate, D_inf_hi=0.0, attained=True)
    return problem, claim


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.float16, np.float32, np.longdouble, np.int64])
def test_slopes_of_another_type_than_float64_are_refused(dtype: Any) -> None:
    problem, claim = forged(dtype)
    assert problem.value(np.array([-1.0])) < claim.f_lo
    found = complaints(problem, claim)
    assert len(found) == 1
    assert "float64" in found[0]


@pytest.mark.parametrize("dtype", [np.int8, np.float16, np.float32, np.longdouble])
def test_exact_arithmetic_takes_float64_alone(dtype: Any) -> None:
    with pytest.raises(ValueError, match="float64"):
        integers(np.ones((1, 1), dtype=dtype))


@pytest.mark.parametrize("l2", [0.0, 1.0])
def test_a_minimum_of_exactly_zero_passes_its_own_check(l2: float) -> None:
    problem = problems.least_absolute_deviation([[1.0, 2], [3, 4], [5, 6]], [0.0, 0, 0], l2=l2, intercept=False)
    optimum = certified_optimum(problem, cache=False)
    assert optimum.f_lo == optimum.f_hi == 0.0
    assert complaints(problem, optimum) == []


def test_an_unsharp_D_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no active set is found, f can be known to rounding, and D not."""
    monkeypatch.setattr("problems.optimum.piecewise_linear.strongly_convex.exact_minimiser", lambda *_: None)
    unsharp = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        A = rng.normal(size=(40, 6)) * 10.0 ** rng.uniform(-7, 7, (1, 6))
        problem = problems.least_absolute_deviation(
            A, rng.normal(size=40), l2=1e-8, intercept=False, x0=np.full(6, 1e-3)
        )
        optimum = certified_optimum(problem, cache=False)
        loose = optimum.D_hi > optimum.D_lo * (1 + 1e-6)
        unsharp += loose
        assert bool(optimum.notes) == loose
        assert complaints(problem, optimum) == []
    assert unsharp > 0


def test_a_start_at_the_minimiser_has_distance_nearly_zero() -> None:
    problem = random_problem(0)
    found = certified_optimum(problem, cache=False)
    there = certified_optimum(replace(problem, x0=found.x), cache=False)
    assert there.D_lo <= 1e-15 * np.linalg.norm(found.x)
    assert there.D_hi <= 1e-12 * np.linalg.norm(found.x)
