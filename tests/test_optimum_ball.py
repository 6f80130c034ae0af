"""The certified minimum over a ball: against cvxpy, closed forms and points of the ball."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from exhaustive import one_in

import problems
from problems.optimum import certified_optimum, complaints
from problems.optimum.ball.ball import Ball, certify_ball, inside
from problems.optimum.models import cvxpy_problem
from problems.problem import Optimum

LOSSES = ["logistic", "hinge", "least_absolute_deviation", "quantile", "epsilon_insensitive", "huber"]
WIDTH = 1e-12  # of the interval, relative to max(1, f)


def problem(loss: str, *, l2: float = 0.0, sparse: bool = False, separable: bool = False, m: int = 40) -> Any:
    """Overlapping or completely separable classes, or a linear model with heavy tails; x0 is not 0."""
    rng = np.random.default_rng(3)
    A = rng.normal(size=(m, 4)) * (rng.random((m, 4)) < 2 / 3)
    z = A @ rng.normal(size=4) + (0.0 if separable else 1.0) * rng.standard_t(2, size=m)
    b = np.where(z > 0, 1.0, -1.0) if loss in ("logistic", "hinge") else z
    return getattr(problems, loss)(scipy.sparse.csr_array(A) if sparse else A, b, l2=l2, x0=rng.normal(size=5))


def over_ball(p: Any, radius: float) -> Optimum:
    optimum = certified_optimum(p, cache=False, radius=radius)
    assert complaints(p, optimum) == []
    assert optimum.radius == radius
    assert optimum.attained is True
    d = [Fraction(x) - Fraction(x0) for x, x0 in zip(optimum.x.tolist(), p.x0.tolist(), strict=True)]
    assert sum(v * v for v in d) <= Fraction(radius) ** 2
    assert optimum.f_hi - optimum.f_lo <= WIDTH * max(1.0, optimum.f_hi)
    assert optimum.D_hi <= radius
    return optimum


@pytest.mark.parametrize(("loss", "l2", "separable"), one_in(3, itertools.product(LOSSES, [0.0, 0.05], [False, True])))
def test_the_minimum_over_a_ball_agrees_with_cvxpy(loss: str, l2: float, separable: bool) -> None:
    import cvxpy as cp

    p = problem(loss, l2=l2, separable=separable)
    for radius in (0.3, 1.5):
        optimum = over_ball(p, radius)
        program, x, constraints = cvxpy_problem(p.model)
        inside_ball = [*constraints, cp.norm(x - p.x0) <= radius]
        cp.Problem(program.objective, inside_ball).solve(solver=cp.CLARABEL)
        value = program.objective.value
        # Clarabel's tolerances are 1e-8
        assert abs(value - optimum.f_hi) <= 1e-6 * max(1.0, value)


@pytest.mark.parametrize("l2", [0.0, 0.05])
@pytest.mark.parametrize("loss", LOSSES)
def test_no_point_of_the_ball_lies_below_f_lo(loss: str, l2: float) -> None:
    p = problem(loss, l2=l2)
    rng = np.random.default_rng(0)
    for radius in (1e-3, 1.0):
        optimum = over_ball(p, radius)
        for scale in (1e-6, 1e-2, 1.0):
            for _ in range(40):
                d = optimum.x + scale * radius * rng.normal(size=p.p) - p.x0
                y = p.x0 + d * min(1.0, radius / np.linalg.norm(d))
                assert p.value(y) >= optimum.f_lo - 1e-14 * max(1.0, optimum.f_lo)  # p.value sums in float64


@pytest.mark.parametrize(("loss", "l2", "sparse"), one_in(3, itertools.product(LOSSES, [0.0, 0.05], [False, True])))
def test_radii_below_and_above_D(loss: str, l2: float, sparse: bool) -> None:
    p = problem(loss, l2=l2, sparse=sparse)
    whole = certified_optimum(p, cache=False)
    assert math.isfinite(whole.D_hi)
    previous = math.inf
    # 1 - 1e-9: the active set of X* itself, less one row
    for share in (0.2, 0.9, 1 - 1e-3, 1 - 1e-9, 1 + 1e-6, 3.0, 1e6):
        radius = share * whole.D_hi
        optimum = over_ball(p, radius)
        assert optimum.f_lo <= previous  # monotone in the radius
        previous = optimum.f_hi
        if share > 1:
            assert (optimum.f_lo, optimum.f_hi, optimum.D_lo) == (whole.f_lo, whole.f_hi, whole.D_lo)
        elif share < 1 - 1e-6:  # nearer to D, f rises by less than its rounding
            assert optimum.f_lo > whole.f_hi
            # the minimisers over the ball lie on its sphere, as exactly as the width of the interval lets one say
            assert optimum.D_lo >= radius * (1 - 1e-8)
            assert optimum.D_inf_hi - optimum.D_inf_lo <= 1e-3 * radius
            assert optimum.D_inf_lo <= np.abs(optimum.x - p.x0).max() <= optimum.D_inf_hi


@pytest.mark.parametrize("loss", LOSSES)
def test_a_tiny_ball_sees_the_slope_at_x0_alone(loss: str) -> None:
    p = problem(loss)
    optimum = over_ball(p, 1e-8)
    f, g = p.value(p.x0), np.linalg.norm(p.subgradient(p.x0))
    # no kink is so near; curvature counts 1e-16, the sums in float64 as much
    assert abs(optimum.f_hi - (f - 1e-8 * g)) <= 1e-14 * max(1.0, f)


@pytest.mark.parametrize("quasi", [False, True])
def test_without_a_minimiser_f_falls_to_the_certified_infimum(quasi: bool) -> None:
    rng = np.random.default_rng(1)
    b = np.where(rng.random(40) < 0.5, 1.0, -1.0)
    A = rng.normal(size=(40, 3))
    if quasi:
        A[:, 0] = np.where(b > 0, rng.random(40) < 0.2, 0.0)
    else:
        A[:, 0] = b * rng.uniform(0.5, 2.0, size=40)
    p = problems.logistic(A, b)
    whole = certified_optimum(p, cache=False)
    assert whole.attained is False
    previous = math.inf
    for radius in (0.1, 1.0, 10.0, 100.0, 1e4, 1e300):
        optimum = over_ball(p, radius)
        assert whole.f_lo <= optimum.f_hi <= previous
        previous = optimum.f_hi
    assert optimum.f_hi - whole.f_lo <= WIDTH
    assert optimum.D_lo == optimum.D_hi == 1e300  # X* is empty: the minimisers over any ball lie on its sphere
    # and of a hinge loss the separable minimum 0 is reached within a ball
    assert over_ball(problems.hinge(A, b), 1e6).f_hi <= (1.0 if quasi else 0.0)


def test_absolute_value_over_a_ball_is_exact() -> None:
    p = problems.least_absolute_deviation(np.ones((1, 1)), np.zeros(1), intercept=False, x0=np.array([3.0]))
    optimum = over_ball(p, 1.0)
    assert optimum.f_lo <= 2.0 <= optimum.f_hi
    assert optimum.f_hi - optimum.f_lo <= 4e-15  # x is drawn inside by an ulp or two


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_multinomial_loss_over_a_ball(l2: float, sparse: bool) -> None:
    rng = np.random.default_rng(5)
    A = rng.normal(size=(30, 3))
    data = scipy.sparse.csr_array(A) if sparse else A
    p = problems.multinomial_logistic(data, rng.integers(0, 3, size=30), l2=l2, x0=rng.normal(size=12))
    assert p.model is not None
    model = p.model
    assert model is not None
    nothing = Optimum(0.0, math.inf, np.full(12, 1e9), 0.0, math.inf)
    for radius in (1e-6, 0.7):
        optimum = certify_ball(p, model, radius, nothing)
        assert inside(optimum.x, p.x0, radius)
        assert optimum.f_hi - optimum.f_lo <= WIDTH * optimum.f_hi
        assert isinstance(optimum.certificate, Ball)
        assert optimum.certificate.prove(p).f_lo == optimum.f_lo
        assert abs(p.value(optimum.x) - optimum.f_hi) <= 1e-14 * optimum.f_hi
        # optimality: the gradient points from x to x0
        g, s = p.subgradient(optimum.x), optimum.x - p.x0
        assert float(g @ s) <= -(1 - 1e-9) * np.linalg.norm(g) * np.linalg.norm(s)


def moved_to(certificate: Any, x: Any) -> Any:
    """The certificate with another point, if it holds one."""
    return replace(certificate, x=x) if hasattr(certificate, "x") else certificate


@pytest.mark.parametrize("loss", LOSSES)
def test_a_tampered_optimum_over_a_ball_is_noticed(loss: str) -> None:
    p = problem(loss, l2=0.05)
    for radius in (0.5, 50.0):
        optimum = over_ball(p, radius)
        f, D = optimum.f_hi, optimum.D_hi
        moved = p.x0 + 1.001 * (optimum.x - p.x0)
        for broken in [
            replace(optimum, f_lo=f * (1 + 1e-10), f_hi=f * (1 + 1e-9)),
            replace(optimum, f_hi=f * (1 + 1e-9)),
            replace(optimum, D_lo=D * (1 + 1e-4), D_hi=D * (1 + 1e-3)),
            replace(optimum, x=moved, certificate=moved_to(optimum.certificate, moved)),
            replace(optimum, radius=optimum.D_lo / 2),
            replace(optimum, attained=False),
        ]:
            assert complaints(p, broken)
    larger = replace(over_ball(p, 0.5), radius=0.6)
    assert complaints(p, larger)
    assert isinstance(larger.certificate, Ball)
    if larger.certificate.u is not None:
        less = replace(larger.certificate, u=0.9 * larger.certificate.u)
        assert complaints(p, replace(over_ball(p, 0.5), certificate=less))


@pytest.mark.parametrize("l2", [0.0, 0.05])
@pytest.mark.parametrize("off", [1e-5, 1e-3, 0.1])
def test_bounds_from_a_rough_point_are_wider_and_hold_the_minimiser(off: float, l2: float) -> None:
    p = problem("logistic", l2=l2)
    assert p.model is not None
    optimum = over_ball(p, 1.0)
    largest = np.abs(optimum.x - p.x0).max()
    rng = np.random.default_rng(0)
    for _ in range(20):
        s = optimum.x - p.x0 + off * rng.normal(size=p.p)
        x = p.x0 + s * (rng.uniform(0.9, 1.0) if off > 1e-2 else 1.0) / (np.linalg.norm(s) * (1 + 1e-14))
        rough = Ball(radius=1.0, x=x).prove(p)
        assert rough.f_lo < optimum.f_lo
        assert rough.D_lo <= optimum.D_lo
        assert rough.D_inf_lo <= largest * (1 + 1e-7)
        assert rough.D_inf_hi >= largest * (1 - 1e-7)
        if off == 1e-5:
            assert optimum.f_lo - rough.f_lo <= 1e-8  # an error of the direction counts by its square
            assert rough.D_inf_hi - rough.D_inf_lo <= 1e-3


def test_a_point_outside_the_ball_is_refused_though_all_its_numbers_fit() -> None:
    p = problem("logistic")
    assert p.model is not None
    x = p.x0 + 1.001 * (over_ball(p, 0.5).x - p.x0)
    forged = certified_optimum(p, cache=False, radius=0.5)
    proof = Ball(radius=0.6, x=x).prove(p)
    forged = replace(forged, x=x, certificate=Ball(radius=0.5, x=x), **{**proof._asdict(), "f_lo": 0.0})
    assert any("outside the ball" in found for found in complaints(p, forged))


def test_where_the_minimiser_lies_inside_the_bound_on_its_distance_holds() -> None:
    p = problem("logistic")
    assert p.model is not None
    whole = certified_optimum(p, cache=False)
    nothing = Optimum(0.0, math.inf, np.full(5, 1e9), 0.0, math.inf)
    optimum = certify_ball(p, p.model, 1.5 * whole.D_hi, nothing)
    assert optimum.f_hi - optimum.f_lo <= WIDTH
    assert optimum.D_lo <= whole.D_hi <= optimum.D_hi


def test_closed_forms_know_balls_that_hold_a_minimiser() -> None:
    p = problems.absolute_value(x0=2.0)
    assert p.optimum(radius=2.001).radius == 2.001
    assert p.optimum(radius=3).f_hi == 0.0
    with pytest.raises(ValueError, match=r"no linear model.*radius >= 2"):
        p.optimum(radius=1.5)


@pytest.mark.parametrize("radius", [0.0, -1.0, math.nan, "1", None, 1j])
def test_a_radius_that_is_not_positive_is_refused(radius: Any) -> None:
    with pytest.raises(ValueError, match=r"radius must be (positive|a number within float64), got"):
        problem("hinge").optimum(radius=radius)


def test_each_radius_has_its_own_place_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DADAPT_CACHE", str(tmp_path))
    monkeypatch.setattr("problems.optimum.store.WORTH_KEEPING", 0.0)
    first = [problem("logistic").optimum(radius=r) for r in (0.5, 1.0, math.inf)]
    again = [problem("logistic").optimum(radius=r) for r in (0.5, 1.0, math.inf)]
    for a, b in zip(first, again, strict=True):
        assert (a.f_lo, a.f_hi, a.D_lo, a.radius, a.seconds) == (b.f_lo, b.f_hi, b.D_lo, b.radius, b.seconds)
    assert len({a.f_hi for a in first}) == 3
    p = problem("logistic")
    assert p.optimum(radius=1.0) is p.optimum(radius=1)
