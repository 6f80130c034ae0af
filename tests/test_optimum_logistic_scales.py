"""The logistic loss at every size and scale: ill-conditioned and badly scaled data, many columns, repeated rows."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import problems
from problems.matrix import weighted_gram
from problems.optimum import certified_optimum, complaints
from problems.optimum.arithmetic.extended import margins
from problems.optimum.arithmetic.metric import by_qr, metric, product
from problems.optimum.law import value_up
from problems.optimum.smooth.exact_slopes import dual_point
from problems.optimum.smooth.opposed import first_rows, opposed_rows
from problems.optimum.smooth.reaching import reaching_columns
from problems.optimum.smooth.smooth import slopes
from problems.optimum.smooth.tempered import tempered_newton
from problems.problem import Optimum

DIGITS = 200  # bits of the reference: 60 digits


def data(kind: str, seed: int, m: int = 40, q: int = 4) -> tuple[Any, Any]:
    """Overlapping classes whose columns, rows, or both differ by powers of ten, or that are nearly dependent."""
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(m, q))
    b = np.where(rng.random(m) < 1 / (1 + np.exp(-A[:, 0])), 1.0, -1.0)
    if kind in ("columns", "both"):
        A = A * 10.0 ** rng.uniform(-8, 8, size=q)
    if kind in ("rows", "both"):
        A = A * 10.0 ** rng.uniform(-3, 3, size=m)[:, None]
    if kind == "dependent":
        A[:, 1] = A[:, 0] * (1 + 1e-10 * rng.normal(size=m))
    if kind == "offset":
        A = A + 1e7
    return A, b


def reference(A: Any, b: Any, x: Any) -> tuple[Any, Any]:
    """(f*, x*) in ball arithmetic of DIGITS bits, by Newton's method from a point near x*."""
    from flint import arb, arb_mat, ctx

    before, ctx.prec = ctx.prec, DIGITS
    try:
        m, p = A.shape
        M = arb_mat(m, p, [arb(v) for v in A.ravel().tolist()])
        y = arb_mat(p, 1, [arb(v) for v in x.tolist()])
        signs = [int(v) for v in b.tolist()]
        for _ in range(12):
            z = [(M * y)[i, 0] * signs[i] for i in range(m)]
            alpha = [1 / (1 + t.exp()) for t in z]
            g = M.transpose() * arb_mat(m, 1, [-s * a for s, a in zip(signs, alpha, strict=True)])
            weighted = arb_mat(m, p, [M[i, j] * alpha[i] * (1 - alpha[i]) for i in range(m) for j in range(p)])
            step = (M.transpose() * weighted).solve(g)
            y = arb_mat(p, 1, [(y[j, 0] - step[j, 0]).mid() for j in range(p)])
        f = sum((1 + (-t).exp()).log() for t in ((M * y)[i, 0] * signs[i] for i in range(m))) / m
        return f, [y[j, 0] for j in range(p)]
    finally:
        ctx.prec = before


KINDS = ["plain", "columns", "rows", "both", "dependent", "offset"]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", KINDS)
def test_the_interval_holds_the_optimum_in_60_digits(kind: str, seed: int) -> None:
    A, b = data(kind, seed)
    p = problems.logistic(A, b)
    optimum = certified_optimum(p, cache=False)
    assert complaints(p, optimum) == []
    assert p.model is not None
    assert optimum.attained is True
    # x = 1e8 and more, rounded to float64, costs digits of f(x) itself
    assert optimum.f_hi - optimum.f_lo <= (1e-10 if kind in ("both", "offset") else 1e-12)
    f, x = reference(p.model.A, b, optimum.x)
    assert f.mid() >= optimum.f_lo
    assert f.mid() <= optimum.f_hi
    D = float(sum(v.mid() ** 2 for v in x).sqrt().mid())
    assert optimum.D_lo <= D * (1 + 1e-14)
    assert optimum.D_hi >= D * (1 - 1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_exact_slopes_bound_the_infimum_and_know_overlap(kind: str) -> None:
    A, b = data(kind, 7)
    optimum = certified_optimum(problems.logistic(A, b, intercept=False), cache=False)
    u = slopes(b, margins(A, optimum.x))[0].value.astype(np.float64)
    point = dual_point(A, b, u, b.size)
    assert point is not None
    assert point.overlap
    assert optimum.f_hi - 1e-10 <= point.f_lo <= optimum.f_hi
    # slopes further off are made exact too, and prove less
    rough = dual_point(A, b, u * (1 + 1e-3 * np.random.default_rng(0).normal(size=u.size)), b.size)
    assert rough is not None
    assert rough.f_lo < point.f_lo
    # from separated rows, nothing: the only slopes that balance are 0
    assert (
        dual_point(np.eye(3), np.ones(3), -np.full(3, 0.5), 3) is None
        or not dual_point(np.eye(3), np.ones(3), -np.full(3, 0.5), 3).overlap
    )


def test_exact_slopes_of_dependent_columns() -> None:
    A, b = data("columns", 1)
    twice = np.column_stack([A, A[:, 1], -4.0 * A[:, 0]])
    u = slopes(b, margins(A, certified_optimum(problems.logistic(A, b, intercept=False), cache=False).x))[0]
    one, two = (dual_point(M, b, u.value.astype(np.float64), b.size) for M in (A, twice))
    assert one is not None
    assert two is not None
    assert abs(one.f_lo - two.f_lo) <= 1e-15
    optimum = certified_optimum(problems.logistic(twice, b, intercept=False), cache=False)
    assert optimum.attained is True
    assert optimum.f_hi - optimum.f_lo <= 1e-12
    assert optimum.D_lo <= np.linalg.norm(optimum.x) <= optimum.D_hi


@pytest.mark.parametrize("seed", range(4))
def test_rows_that_differ_by_powers_of_ten_are_tempered(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(60, 3)) * 10.0 ** rng.uniform(-8, 8, size=60)[:, None]
    b = np.where(rng.random(60) < 0.5, 1.0, -1.0)
    x = tempered_newton(A, b)
    assert x is not None
    u = slopes(b, margins(A, x))[0].value.astype(np.float64)
    point = dual_point(A, b, u, 60)
    assert point is not None
    f = value_up(problems.logistic(A, b, intercept=False).model, x)
    assert 0 <= f - point.f_lo <= 2e-15 * f  # rounding of both ends
    # 60 Newton steps for the loss itself do not arrive
    monkeypatch.setattr("problems.optimum.smooth.tempered.GROWTH", math.inf)
    x = tempered_newton(A, b)
    assert x is not None
    u = slopes(b, margins(A, x))[0].value.astype(np.float64)
    assert dual_point(A, b, u, 60) is None


def test_margins_that_cancel_are_exact() -> None:
    rng = np.random.default_rng(0)
    A = 1e9 + rng.normal(size=(20, 3))
    x = np.array([1.0, -0.5, -0.5]) * 1e6 + rng.normal(size=3)
    z = margins(A, x)
    for value, error, row in zip(z.value, z.error, A.tolist(), strict=True):
        exact = sum(Fraction(a) * Fraction(v) for a, v in zip(row, x.tolist(), strict=True))
        n, d = value.as_integer_ratio()
        assert abs(Fraction(int(n), int(d)) - exact) <= Fraction(error)
        assert error <= 1e-17 * abs(float(exact))


def test_a_metric_by_qr_where_the_gram_matrix_has_no_digits() -> None:
    rng = np.random.default_rng(2)
    A = np.vander(np.linspace(0, 1, 60), 12) * 10.0 ** rng.uniform(-6, 6, size=12)  # condition beyond 1e8 when scaled
    weights = rng.uniform(0.1, 1.0, size=60)
    gram = weighted_gram(A / np.abs(A).max(axis=0), weights)
    assert np.linalg.eigvalsh(gram)[0] < 1e-14
    chart = metric(A, weights)
    assert chart is not None
    assert chart.eigenvalue > 0.9
    T = by_qr(A, weights)
    assert T is not None
    exact = np.array(
        [
            [
                sum((Fraction(a) * Fraction(t) for a, t in zip(r, c, strict=True)), Fraction(0))
                for c in chart.T.T.tolist()
            ]
            for r in A[:3].tolist()
        ]
    )
    off = np.array(
        [
            [float(v - Fraction(w)) for v, w in zip(e, B, strict=True)]
            for e, B in zip(exact, chart.B[:3].tolist(), strict=True)
        ]
    )
    assert np.all(np.linalg.norm(off, axis=1) <= chart.row_errors[:3])
    assert product(A, chart.T)[1].max() < 1e-6


# ---------------------------------------------------------------------------------------------------------
# Many columns


def wide_problem(m: int, p: int, overlapping: bool) -> Any:
    rng = np.random.default_rng(0)
    A = scipy.sparse.random_array((m, p), density=0.01, rng=rng, data_sampler=rng.standard_normal, format="csr")
    b = np.where(rng.random(m) < 0.5, 1.0, -1.0)
    return A, b if overlapping else np.where(A @ rng.normal(size=p) > 0, 1.0, -1.0)


@pytest.mark.exhaustive
def test_more_columns_than_eigenvectors_are_worth_are_enclosed_all_the_same() -> None:
    A, b = wide_problem(7000, 2050, overlapping=True)
    p = problems.logistic(A, b)
    optimum = certified_optimum(p, cache=False)
    assert optimum.kind == "self-concordance"
    assert optimum.f_hi - optimum.f_lo <= 1e-14
    assert optimum.D_hi - optimum.D_lo <= 1e-6 * optimum.D_hi
    g = p.subgradient(optimum.x)
    assert np.linalg.norm(g) <= 1e-12


@pytest.mark.parametrize("sparse", [False, True])
def test_repeated_rows_with_both_labels_stay_while_the_others_go_to_infinity(sparse: bool) -> None:
    A, b = wide_problem(300, 2500, overlapping=False)
    twice = scipy.sparse.vstack([A, A[:3]], format="csr")
    b = np.append(b, -b[:3])
    assert np.flatnonzero(opposed_rows(twice, b)).tolist() == [0, 1, 2, 300, 301, 302]
    assert first_rows(twice).size == 300
    p = problems.logistic(twice if sparse else twice.toarray(), b, intercept=False)
    optimum = certified_optimum(p, cache=False)
    assert complaints(p, optimum) == []
    assert optimum.kind == "quasi-separable"
    assert optimum.attained is False
    # each of the three pairs has its least loss, log 2, at margin 0
    assert optimum.f_lo <= 6 * math.log(2) / 303 <= optimum.f_hi
    assert optimum.f_hi - optimum.f_lo <= 1e-14
    assert reaching_columns(twice[:3]).J.size == 3


def test_beyond_what_can_be_proved_the_interval_is_wide_and_says_so() -> None:
    p = 8100
    unit = scipy.sparse.eye_array(p, format="csr")
    A = scipy.sparse.vstack([unit, unit, unit], format="csr")
    b = np.concatenate([np.ones(2 * p), -np.ones(p)])
    optimum = certified_optimum(problems.logistic(A, b, intercept=False), cache=False)
    # each coordinate has two losses against one: odds 2
    assert (
        optimum.f_lo <= math.log(3) - 2 / 3 * math.log(2) <= optimum.f_hi <= math.log(3) - 2 / 3 * math.log(2) + 1e-12
    )
    assert optimum.attained is None
    assert "columns the curvature of f is not bounded" in optimum.notes[0]


def test_text_with_l2_is_fast_and_news_without_is_quasi_separable(shared_data: Path) -> None:
    for name, kind, width in (
        ("logistic[positive=1,l2=6.3e-5]:news20", "strong convexity", 1e-14),
        ("logistic[positive=1]:news20", "quasi-separable", 1e-13),
        ("logistic[positive=1]:sector.scale", "separable", 1e-13),
    ):
        optimum: Optimum = certified_optimum(problems.get(name, data_dir=shared_data), cache=False)
        assert optimum.kind == kind
        assert optimum.attained is (kind == "strong convexity")
        assert optimum.f_hi - optimum.f_lo <= width
