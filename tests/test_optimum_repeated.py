"""Wide multinomial data with rows that occur with several labels: inf f is the entropy of these."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from flint import arb, ctx

import problems
import problems.optimum.smooth.multinomial_repeated as repeated_rows
from problems.optimum import certified_optimum, complaints
from problems.optimum.smooth.multinomial_repeated import Repeated, entropy, exact_direction, repeated
from problems.optimum.smooth.softmax import Rows, all_rows, mean_loss, pairs
from problems.optimum.smooth.softmax_newton import DENSE_UNKNOWNS

P, C = 800, 4
assert P * C > DENSE_UNKNOWNS


def instance(seed: int, *, counts: bool = True, sparse: bool = True, again: float = 0.0) -> Any:
    """60 sparse rows; the first six occur again, with other labels; one is another one times `again`."""
    rng = np.random.default_rng(seed)
    A = np.where(rng.random((60, P)) < 0.03, rng.integers(1, 9, (60, P)), 0).astype(float)
    if not counts:
        A *= rng.random((60, P))
    if again:
        A[1] = again * A[0]
    labels = rng.integers(0, C, 60)
    labels[:6] = [0, 0, 1, 2, 3, 0]
    others = [1, 2, 2, 3, 0, 1, 1, 2]
    A, labels = np.vstack([A, A[[0, 1, 2, 3, 4, 5, 5, 5]]]), np.concatenate([labels, others])
    order = rng.permutation(labels.size)
    A, labels = A[order], labels[order]
    return problems.multinomial_logistic(scipy.sparse.csr_array(A) if sparse else A, labels, intercept=False)


def known_infimum(p: Any) -> float:
    """Sum of n_c log(n / n_c) over groups of equal rows, / m."""
    groups: dict[bytes, list[int]] = {}
    A = p.model.A.toarray() if scipy.sparse.issparse(p.model.A) else p.model.A
    for row, label in zip(A, p.model.b.astype(int), strict=True):
        groups.setdefault(row.tobytes(), []).append(int(label))
    total = 0.0
    for labels in groups.values():
        for n in np.bincount(labels):
            total += n * math.log(len(labels) / n) if n else 0.0
    return total / p.m


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_the_infimum_is_the_entropy_and_not_attained(seed: int, sparse: bool, counts: bool) -> None:
    p = instance(seed, counts=counts, sparse=sparse)
    optimum = certified_optimum(p, cache=False)
    assert optimum.kind == "quasi-separable"
    assert optimum.attained is False
    assert optimum.D_lo == math.inf
    known = known_infimum(p)
    assert known > 0.05
    assert optimum.f_lo <= known * (1 + 1e-15)
    assert known <= optimum.f_hi * (1 + 1e-15)
    assert optimum.f_hi - optimum.f_lo <= 1e-14
    assert complaints(p, optimum) == []


@pytest.mark.parametrize("counts", [True, False])
def test_labels_of_a_group_are_exactly_equal_under_the_direction(counts: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    p = instance(0, counts=counts)
    rows = all_rows(p.model)
    found = repeated(rows)
    assert found.first.size == 6
    V = np.random.default_rng(1).normal(size=(P, C))
    # what is solved for, before it is rounded to long double: its place is marked by its number
    solved: list[tuple[int, int]] = []

    def kept(n: int, d: int) -> Any:
        solved.append((n, d))
        return np.longdouble(len(solved))

    monkeypatch.setattr("problems.optimum.arithmetic.rational.long_of", kept)
    marked = exact_direction(rows, found, V)
    assert marked is not None
    whole = np.rint(np.ldexp(V, repeated_rows.BITS - int(np.frexp(np.abs(V).max())[1])))
    changed = np.argwhere(marked != whole)
    assert len(changed) == len(solved) == 6 * C
    exact = {(j, c): Fraction(*solved[int(marked[j, c]) - 1]) for j, c in changed.tolist()}
    for g, i in enumerate(found.first.tolist()):
        row = p.model.A[[i]].toarray().ravel()
        values = [
            sum(Fraction(row[j]) * exact.get((j, c), Fraction(whole[j, c])) for j in np.flatnonzero(row).tolist())
            for c in range(C)
        ]
        occur = [value for value, n in zip(values, found.counts[g], strict=True) if n]
        assert len(occur) > 1
        assert len(set(occur)) == 1
        assert len(set(values)) > 1


def test_repeated_rows_that_depend_on_each_other_are_left_open() -> None:
    """a occurs with labels 0 and 1, 2a with 0 and 2: no W reaches both entropies."""
    p = instance(0, again=2.0)
    optimum = certified_optimum(p, cache=False)
    assert optimum.attained is None
    assert optimum.f_lo == pytest.approx(known_infimum(p), abs=1e-15)
    assert optimum.f_lo <= optimum.f_hi
    assert complaints(p, optimum) == []


def test_no_point_lies_below_the_entropy() -> None:
    p = instance(3)
    rows = all_rows(p.model)
    bound = entropy(repeated(rows), p.m)
    rng = np.random.default_rng(0)
    for scale in (0.0, 0.1, 1.0, 10.0):
        assert mean_loss(rows, scale * rng.normal(size=(P, C))).value >= bound


@pytest.mark.parametrize("seed", range(20))
def test_entropy_of_random_counts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 5, 40)
    A = rng.integers(0, 2, (40, 3)).astype(float)
    rows = Rows(A, y, np.ones((40, 5), dtype=bool), 40)
    expected = 0.0
    for key in np.unique(A, axis=0):
        n = np.bincount(y[np.all(key == A, axis=1)], minlength=5)
        expected -= sum(k * math.log(k / n.sum()) for k in n if k) / 40
    assert entropy(repeated(rows), 40) == pytest.approx(expected, rel=1e-14)
    assert entropy(repeated(rows), 40) <= expected * (1 + 1e-15)


def test_wrong_certificates_are_noticed() -> None:
    p = instance(1)
    optimum = certified_optimum(p, cache=False)
    certificate: Any = optimum.certificate
    rows = all_rows(p.model)
    tied = np.flatnonzero(repeated(rows).tied(rows)[pairs(rows)])
    changes: list[dict[str, Any]] = [
        {"S": np.union1d(certificate.S, tied)},
        {"S": certificate.S[1:]},
        {"w": -certificate.w},
        {"w": np.zeros(P * C)},
        {"w": np.full(P * C, np.nan)},
    ]
    for change in changes:
        assert complaints(p, replace(optimum, certificate=replace(certificate, **change))), change
    assert complaints(p, replace(optimum, f_lo=optimum.f_hi * (1 + 1e-9), f_hi=optimum.f_hi * (1 + 1e-8)))


def wide(first_row: dict[int, float]) -> Any:
    """20 rows, the first of them twice, with two labels."""
    rng = np.random.default_rng(0)
    A = np.where(rng.random((20, P)) < 0.03, rng.integers(1, 9, (20, P)), 0).astype(float)
    A[0] = 0.0
    for j, value in first_row.items():
        A[0, j] = value
    labels = rng.integers(0, C, 20)
    labels[0] = 0
    return problems.multinomial_logistic(
        scipy.sparse.csr_array(np.vstack([A, A[0]])), np.append(labels, 1), intercept=False
    )


def test_as_many_groups_as_features() -> None:
    p = wide({0: 1.0})
    optimum = certified_optimum(p, cache=False)
    assert optimum.attained is False
    assert optimum.f_lo <= 2 * math.log(2) / 21 * (1 + 1e-15)
    assert optimum.f_hi - optimum.f_lo <= 1e-14
    assert complaints(p, optimum) == []


@pytest.mark.parametrize("tiny", [1e-200, 1e-290, 1e-300, 1e-310])
def test_entries_near_the_least_float(tiny: float) -> None:
    p = wide({0: tiny, 1: 3.0})
    optimum = certified_optimum(p, cache=False)
    assert optimum.f_lo <= 2 * math.log(2) / 21 * (1 + 1e-15) <= optimum.f_hi * (1 + 1e-14)
    assert complaints(p, optimum) == []


def test_the_entropy_of_large_groups_is_a_lower_bound_in_300_bits() -> None:
    rng = np.random.default_rng(1)
    before, ctx.prec = ctx.prec, 300
    try:
        for _ in range(3000):
            n, k = int(10 ** rng.uniform(1, 6.5)), int(rng.integers(1, 4))
            found = entropy(Repeated(np.array([0]), np.array([[n - k, k, 0.0]]), np.zeros(n, dtype=np.intp)), n)
            exact = ((n - k) * (arb(n) / (n - k)).log() + k * (arb(n) / k).log()) / n
            assert arb(found) <= exact
            assert float((exact - arb(found)) / exact) <= 1e-15
    finally:
        ctx.prec = before
