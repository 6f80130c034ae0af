"""Certified intervals against optima computed by other programs: liblinear, scikit-learn's solvers, scipy's linprog."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse

import problems
from problems.optimum import certified_optimum
from problems.optimum.dual import box, kinked

# A point of a program gives f >= f*; how near it comes is that program's accuracy.
LIBLINEAR = 1e-9
LBFGS = 1e-9
HIGHS = 1e-12


def optimum_of(p: Any) -> Any:
    return certified_optimum(p, cache=False)


def reaches(p: Any, x: Any, accuracy: float) -> None:
    """No program finds a point below f_lo, and a good one finds a point near f_hi."""
    optimum = optimum_of(p)
    f = p.value(x)
    rounding = 1e-15 * max(1.0, abs(f))  # of p.value, in float64
    assert optimum.f_lo <= f + rounding
    assert f <= optimum.f_hi + accuracy * max(1.0, abs(f))


@pytest.mark.parametrize("l2", [1.0, 1e-2])
@pytest.mark.parametrize("data", ["breast_cancer", "iris", "digits"])
def test_liblinear_does_not_go_below_regularised_logistic(data: str, l2: float) -> None:
    from sklearn.linear_model import LogisticRegression

    p = problems.get(f"logistic[l2={l2 / 1000!r},intercept=false]:{data}")
    model = LogisticRegression(
        C=1000 / (l2 * p.m), solver="liblinear", dual=False, tol=1e-14, max_iter=10_000, fit_intercept=False
    )
    model.fit(p.model.A, p.model.b)
    reaches(p, model.coef_[0], LIBLINEAR)


@pytest.mark.parametrize("data", ["breast_cancer", "iris", "wine"])
def test_liblinear_does_not_go_below_regularised_hinge(data: str) -> None:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    p = problems.get(f"hinge[l2=0.1,intercept=false]:{data}")
    # its steps are random, and one order in many ends 1e-5 away
    model = LinearSVC(C=1 / (0.1 * p.m), loss="hinge", tol=1e-12, max_iter=200_000, fit_intercept=False, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(p.model.A, p.model.b)
    reaches(p, model.coef_[0], 1e-6)


@pytest.mark.parametrize("data", ["iris", "wine", "digits"])
def test_scikit_learn_does_not_go_below_regularised_multinomial(data: str) -> None:
    from sklearn.linear_model import LogisticRegression

    p = problems.get(f"multinomial[l2=1e-2,intercept=false]:{data}")
    model = LogisticRegression(C=1 / (1e-2 * p.m), solver="newton-cg", tol=1e-12, max_iter=10_000, fit_intercept=False)
    model.fit(p.model.A, p.model.b)
    reaches(p, model.coef_.T.ravel(), LBFGS)


def dense(A: Any) -> Any:
    return A.toarray() if scipy.sparse.issparse(A) else A


@pytest.mark.parametrize(
    "name",
    [
        "hinge:iris",
        "hinge:breast_cancer",
        "hinge:digits",
        "lad:diabetes",
        "quantile[tau=0.9]:diabetes",
        "svr[epsilon=20]:diabetes",
    ],
)
def test_linprog_on_the_primal_agrees(name: str) -> None:
    """The certificates come from the dual linear program; this is the primal, by interior points."""
    p = problems.get(name)
    model = kinked(p.model)
    A, b, (lo, hi) = dense(model.A), model.b, box(model)
    m, n = A.shape
    above = [scipy.sparse.hstack([side[:, None] * A, -scipy.sparse.eye_array(m)]) for side in (lo, hi)]
    result = scipy.optimize.linprog(
        np.concatenate([np.zeros(n), np.full(m, 1 / m)]),
        A_ub=scipy.sparse.vstack(above), b_ub=np.concatenate([lo * b, hi * b]), bounds=(None, None), method="highs-ipm",
    )  # fmt: skip
    optimum = optimum_of(p)
    assert result.fun == pytest.approx(optimum.f_hi, rel=HIGHS, abs=HIGHS)
