"""Certificates made to prove what is false: each is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import problems
from problems.optimum import certified_optimum, complaints
from problems.optimum.ball.ball import Ball
from problems.optimum.distances import Flattest
from problems.optimum.dual import Minorant
from problems.optimum.smooth.overlap import SelfConcordance
from problems.optimum.smooth.separable import QuasiSeparable, Separable
from problems.problem import Optimum


def claimed(p: Any, x: Any, certificate: Any, **numbers: Any) -> list[str]:
    f = p.value(x)
    stated = {"f_lo": f, "f_hi": f, "D_lo": 0.0, "D_hi": math.inf, **numbers}
    return complaints(p, Optimum(x=np.asarray(x, dtype=float), certificate=certificate, **stated))


def test_a_ball_of_infinite_radius_is_not_the_space() -> None:
    p = problems.logistic([[1.0, 0], [0, 1], [-1, -2]], [1.0, 1, -1], intercept=False)
    x = np.zeros(2)
    assert claimed(p, x, Ball(radius=math.inf, x=x), f_lo=0.0, attained=True)
    assert claimed(p, x, Ball(radius=-math.inf, x=x), f_lo=0.0, attained=True, radius=-math.inf)


def test_no_row_is_separated_by_a_null_vector_alone() -> None:
    p = problems.logistic([[1.0, 1], [-1, -1], [2, 2]], [1.0, 1, -1], intercept=False)
    x = np.zeros(2)
    certificate = QuasiSeparable(w=np.array([1.0, -1]), S=np.zeros(0, dtype=int), x=x, rest=x)
    assert claimed(p, x, certificate, f_lo=0.0, D_lo=math.inf, D_inf_lo=math.inf, attained=False)


def test_matrices_are_no_vectors() -> None:
    twins = problems.logistic(scipy.sparse.csr_array([[1.0, 2], [1, 2]]), [1.0, -1], intercept=False)
    w = np.array([[1.0, -1], [1, -1]])
    certificate = Separable(w=w, x=np.zeros(2))
    assert claimed(twins, np.zeros(2), certificate, f_lo=0.0, D_lo=math.inf, D_inf_lo=math.inf, attained=False)
    eye = problems.logistic(scipy.sparse.eye_array(4, format="csr"), [1.0, 1, 1, -1], intercept=False)
    u, x = np.full((4, 4), -0.5), np.zeros(4)
    assert claimed(eye, x, Ball(radius=1.0, x=x, u=u), attained=True, radius=1.0, D_hi=1.0)
    with pytest.raises(ValueError, match="numbers"):
        Minorant(eye.model, u)


def dependent() -> Any:
    return problems.logistic([[1.0, -1], [-1, 1], [2, -2], [1, -1]], [1.0, 1, 1, -1], intercept=False, x0=[0.75, -0.75])


def test_the_flattest_point_and_its_multipliers_are_vectors_of_ordinary_size() -> None:
    p = dependent()
    optimum = certified_optimum(p, cache=False)
    assert complaints(p, optimum) == []
    assert isinstance(optimum.certificate, SelfConcordance)
    v, d = np.array([-1.0, 1.0]), optimum.x - p.x0
    changed = replace(optimum.certificate, flattest=Flattest(v=v, c=-d[None, :]))
    assert complaints(p, replace(optimum, certificate=changed, D_inf_lo=0.0, D_inf_hi=1e-12))
    longer = replace(optimum.certificate, flattest=Flattest(v=v, c=np.zeros(2)))
    assert complaints(p, replace(optimum, certificate=longer))
    assert complaints(p, replace(optimum, certificate=replace(optimum.certificate, flattest=None)))
    tiny = replace(optimum.certificate, flattest=Flattest(v=5e-324 * v, c=np.zeros(1)))
    assert complaints(p, replace(optimum, certificate=tiny, D_inf_lo=1.5 * optimum.D_inf_hi, D_inf_hi=math.inf))


def test_the_point_of_a_ball_lies_in_it() -> None:
    p = dependent()
    optimum = p.optimum(radius=0.5)
    assert complaints(p, optimum) == []
    assert complaints(p, replace(optimum, x=optimum.x + 1e6))


def test_D_of_several_classes_far_from_the_origin() -> None:
    """W_0 is 2^60 with differences of some units in the last place; the mean of a row of W - W_0 is rounded."""
    for power in (60, 52, 44, 36):
        ulp = np.spacing(2.0**power)
        x0 = 2.0**power + np.array([0.0, 1.0, 3.0]) * ulp
        p = problems.multinomial_logistic(np.ones((3, 1)), [0, 1, 2], intercept=False, x0=x0)
        optimum = certified_optimum(p, cache=False)
        D = ulp * math.sqrt(sum((k - 4 / 3) ** 2 for k in (0, 1, 3)))  # W* has equal columns
        assert optimum.D_lo <= D <= optimum.D_hi
