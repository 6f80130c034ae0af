"""Real data: which sets have a minimiser, and how sharp the intervals are."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exhaustive import one_in

import problems
from problems.optimum import certified_optimum, complaints

SHARED = Path(os.environ.get("DADAPT_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "libsvm"
EMBEDDED = ("breast_cancer", "wine", "iris", "digits", "digits_bins")

EXISTENCE = {
    "separable": ["breast_cancer", "wine", "sonar_scale.rebuilt"],
    "quasi-separable": ["a1a", "a9a.xz", "w1a", "ionosphere_scale.rebuilt", "digits"],
    "self-concordance": [
        *["heart_scale", "australian", "diabetes", "german.numer_scale", "fourclass_scale", "breast-cancer", "iris"],
    ],
}
PIECEWISE = [
    *["lad:diabetes", "lad:abalone_scale", "lad:housing_scale", "lad:mpg_scale", "quantile[tau=0.9]:mpg_scale"],
    *["svr:abalone_scale", "svr:mpg_scale"],
    *["hinge:iris", "hinge:wine", "hinge:breast_cancer", "hinge:heart_scale", "hinge:diabetes", "hinge:digits"],
]
PIECEWISE_QUADRATIC = ["huber:abalone_scale", "huber:housing_scale", "huber[delta=0.1]:mpg_scale"]
STRONGLY_CONVEX = ["logistic[l2=1e-3]:heart_scale", "hinge[l2=1e-3]:heart_scale", "lad[l2=1e-2]:mpg_scale"]
# X* is a face of the polyhedron, with ties that floating point cannot decide.
FACES = ["hinge:german.numer_scale", "hinge:a1a", "hinge:w1a"]


def get(name: str) -> Any:
    data = name.split(":")[1]
    embedded = data in EMBEDDED or name == "lad:diabetes"
    if not embedded and not (SHARED / data).exists():
        pytest.skip(f"{data} is not in {SHARED.name}/ beside the repository, nor in $DADAPT_SHARED/libsvm")
    return problems.get(name, data_dir=SHARED)


@pytest.mark.parametrize(
    ("kind", "data"), one_in(3, [(kind, data) for kind, sets in EXISTENCE.items() for data in sets])
)
def test_which_sets_have_a_logistic_minimiser(kind: str, data: str) -> None:
    optimum = certified_optimum(get(f"logistic:{data}"), cache=False)
    assert optimum.kind == kind
    assert optimum.attained is (kind == "self-concordance")
    assert optimum.f_hi - optimum.f_lo <= 1e-13 * max(optimum.f_hi, 1e-6)
    if optimum.attained:
        assert 0 < optimum.D_lo <= optimum.D_hi <= optimum.D_lo * (1 + 1e-9)
    else:
        assert optimum.D_lo == optimum.D_hi == math.inf


@pytest.mark.parametrize("name", one_in(3, PIECEWISE + FACES))
def test_piecewise_linear_losses_on_real_data(name: str) -> None:
    p = get(name)
    optimum = certified_optimum(p, cache=False)
    assert complaints(p, optimum) == []
    assert optimum.kind == "exact vertex"
    assert optimum.f_hi <= np.nextafter(optimum.f_lo, np.inf)
    assert optimum.D_lo <= optimum.D_hi <= optimum.D_lo * (1 + 1e-10)
    assert 0 < optimum.D_inf_lo <= optimum.D_inf_hi
    if name in FACES:
        assert optimum.notes == ("X* is more than a point",)


@pytest.mark.parametrize("name", PIECEWISE_QUADRATIC)
def test_piecewise_quadratic_losses_on_real_data(name: str) -> None:
    p = get(name)
    optimum = certified_optimum(p, cache=False)
    assert complaints(p, optimum) == []
    assert optimum.kind == "exact stationary point"
    assert optimum.f_hi <= np.nextafter(optimum.f_lo, np.inf)
    assert optimum.D_lo <= optimum.D_hi <= optimum.D_lo * (1 + 1e-14)


@pytest.mark.parametrize("name", STRONGLY_CONVEX)
def test_strong_convexity_on_real_data(name: str) -> None:
    p = get(name)
    optimum = certified_optimum(p, cache=False)
    assert complaints(p, optimum) == []
    assert optimum.f_hi - optimum.f_lo <= 1e-14 * optimum.f_hi
    assert optimum.D_hi - optimum.D_lo <= 1e-5 * optimum.D_hi
