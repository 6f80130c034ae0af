"""Piecewise-linear losses with l2 > 0: the exact minimiser, against fractions, duplicates and bad starts."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from exhaustive import one_in

import problems
from problems.optimum import certified_optimum, complaints
from problems.optimum.dual import box, kinked
from problems.optimum.piecewise_linear.active_set import checked_minimiser

LOSSES = ["hinge", "least_absolute_deviation", "quantile", "epsilon_insensitive"]


def instance(loss: str, seed: int, *, l2: float = 0.05, sparse: bool = False, repeat: int = 1) -> Any:
    rng = np.random.default_rng(seed)
    A = rng.integers(-2, 3, (14, 3)).astype(float) if seed % 2 else rng.normal(size=(14, 3))
    b = rng.choice([-1.0, 1.0], 14) if loss == "hinge" else np.round(3 * rng.normal(size=14), 1)
    A, b = np.repeat(A, repeat, axis=0), np.repeat(b, repeat)
    return getattr(problems, loss)(scipy.sparse.csr_array(A) if sparse else A, b, l2=l2, x0=rng.normal(size=4))


def exact_conditions(model: Any, x: list[Fraction]) -> tuple[Fraction, bool]:
    """(f(x), whether x is the minimiser): m l2 x + sum of slopes a_i = 0 has a solution, by cvxpy where r_i = 0."""
    import cvxpy as cp

    lo, hi = box(model)
    A = [[Fraction(v) for v in row] for row in np.asarray(model.A.todense() if sparse(model) else model.A).tolist()]
    r = [sum(a * v for a, v in zip(row, x, strict=True)) - Fraction(b) for row, b in zip(A, model.b, strict=True)]
    losses = sum(max(Fraction(low) * v, Fraction(high) * v) for low, high, v in zip(lo, hi, r, strict=True))
    f = losses / model.b.size + Fraction(model.l2) / 2 * sum(v * v for v in x)
    u = cp.Variable(model.b.size)
    fixed = [(hi[i] if v > 0 else lo[i]) for i, v in enumerate(r) if v != 0]
    at = [i for i, v in enumerate(r) if v != 0]
    residual = model.A.T @ u + model.b.size * model.l2 * np.array([float(v) for v in x])
    task = cp.Problem(cp.Minimize(cp.norm(residual)), [u >= lo, u <= hi, u[at] == np.array(fixed)])
    task.solve(solver=cp.CLARABEL)
    return f, task.value <= 1e-6


def sparse(model: Any) -> bool:
    return hasattr(model.A, "tocsr")


@pytest.mark.parametrize(
    ("seed", "loss", "sparse", "repeat"), one_in(3, itertools.product(range(4), LOSSES, [False, True], [1, 3]))
)
def test_the_minimiser_is_exact(loss: str, seed: int, sparse: bool, repeat: int) -> None:
    """Repeated rows have dual solutions with many entries inside their box; one with few is found."""
    p = instance(loss, seed, sparse=sparse, repeat=repeat)
    optimum = certified_optimum(p, cache=False)
    assert optimum.kind == "exact minimiser"
    assert complaints(p, optimum) == []
    model = kinked(p.model)
    upper = np.zeros(model.b.size, dtype=bool)
    upper[optimum.certificate.high] = True
    found = checked_minimiser(model, optimum.certificate.rows, upper)
    assert found is not None
    f, minimal = exact_conditions(model, found.x.fractions())
    assert f == found.value
    assert minimal
    assert Fraction(optimum.f_lo) <= f <= Fraction(optimum.f_hi)
    assert optimum.f_hi <= np.nextafter(optimum.f_lo, np.inf)
    squared = sum((v - Fraction(s)) ** 2 for v, s in zip(found.x.fractions(), p.x0.tolist(), strict=True))
    assert Fraction(optimum.D_lo) ** 2 <= squared <= Fraction(optimum.D_hi) ** 2
    assert optimum.D_hi <= optimum.D_lo * (1 + 1e-15)


@pytest.mark.parametrize("loss", LOSSES)
def test_other_active_sets_are_refused(loss: str) -> None:
    p = instance(loss, 0)
    optimum = certified_optimum(p, cache=False)
    rows, high = optimum.certificate.rows, optimum.certificate.high
    m = kinked(p.model).b.size
    others = np.setdiff1d(np.arange(m), rows)
    for changed in (
        {"rows": rows[1:]},
        {"rows": np.append(rows, others[0])},
        {"rows": np.append(rows[1:], others[0])},
        {"rows": np.append(rows, rows[0])},
        {"rows": rows + m},
        {"high": np.setxor1d(high, others[:1])},
        {"high": np.append(high, m)},
    ):
        assert complaints(p, replace(optimum, certificate=replace(optimum.certificate, **changed))), changed


def test_weak_l2_and_large_scales() -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        A = rng.normal(size=(15, 4)) * 10.0 ** rng.uniform(-4, 4, size=4)
        for l2 in (1e-10, 1e-3, 1e3):
            p = problems.least_absolute_deviation(A, rng.normal(size=15), l2=l2)
            optimum = certified_optimum(p, cache=False)
            assert complaints(p, optimum) == []
            if optimum.kind == "exact minimiser":
                assert optimum.f_hi <= np.nextafter(optimum.f_lo, np.inf)
