"""Certificates as data: taken apart, put together, and compared with the types of their fields."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Annotated, Any

import numpy as np
import pytest

import problems
from problems.optimum import complaints
from problems.optimum.arithmetic.extended import Floats, Indices
from problems.optimum.certificate import NOTHING, Certificate, Point, Proof, Shape, classes, made, parts
from problems.problem import Optimum

P = problems.hinge(np.arange(12.0).reshape(4, 3) ** 2, [1.0, -1, 1, -1])  # 4 rows, 4 unknowns


@dataclass(frozen=True, kw_only=True, eq=False)
class Within:
    """A part of a certificate."""

    u: Annotated[Floats, Shape("m")]
    v: Annotated[Floats, Shape("r")]


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample(Certificate):
    """A certificate of every type of field, which proves nothing. This file is no part of the package."""

    kind = "sample"
    arithmetic = "extended"
    x: Point
    size: float
    rows: Annotated[Indices, Shape("r", below="m")]
    of_rows: Annotated[Floats, Shape("r")]
    within: Within | None = None

    @staticmethod
    def serves(model: Any) -> bool:
        return model is not None and model.loss == "hinge"

    def prove(self, problem: Any) -> Proof:
        return NOTHING


def sample(**changed: Any) -> Sample:
    whole = Sample(
        x=np.ones(4),
        size=2.5,
        rows=np.array([3, 0]),
        of_rows=np.array([0.5, 0.25]),
        within=Within(u=np.zeros(4), v=np.zeros(3)),
    )
    return replace(whole, **changed)


@pytest.mark.parametrize("certificate", [sample(), sample(within=None)], ids=["whole", "without a part"])
def test_a_certificate_survives_being_taken_apart(certificate: Sample) -> None:
    certificate.check(P)
    entries = parts(certificate)
    assert ("within.u" in entries) is (certificate.within is not None)
    again = made("Sample", entries)
    again.check(P)
    assert type(again) is Sample
    assert parts(again).keys() == entries.keys()
    assert all(np.array_equal(value, parts(again)[name]) for name, value in entries.items())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"x": np.ones(3)}, "x must hold 4 numbers, it holds 3"),
        ({"x": np.ones((4, 1))}, "x must be a vector of numbers of type float64"),
        ({"x": np.ones(4, dtype=np.float32)}, "type float64"),
        ({"x": [1.0] * 4}, "x must be a vector"),
        ({"x": None}, "x must be a vector"),
        ({"x": np.array([1.0, np.inf, 0, 0])}, "x must be finite"),
        ({"x": np.array([1.0, np.nan, 0, 0])}, "x must be finite"),
        ({"size": "2.5"}, "size must be a float, got '2.5'"),
        ({"size": float("nan")}, "size must be a float, got nan"),
        ({"rows": np.array([3, 3])}, "rows must hold different numbers from 0 to 3"),
        ({"rows": np.array([4, 0])}, "rows must hold different numbers"),
        ({"rows": np.array([-1, 0])}, "rows must hold different numbers"),
        ({"rows": np.array([3.0, 0.0])}, "rows must be a vector of numbers of type int64"),
        ({"rows": np.array([3])}, "of_rows must hold 1 numbers, it holds 2"),
        ({"within": Within(u=np.zeros(3), v=np.zeros(3))}, "within.u must hold 4 numbers"),
        ({"within": np.zeros(4)}, "within must be"),
    ],
)
def test_a_field_of_another_type_is_refused_in_words(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        sample(**change).check(P)
    claim = Optimum(f_lo=0.0, f_hi=1.0, x=np.zeros(4), D_lo=0.0, D_hi=1.0, certificate=sample(**change))
    [found] = complaints(P, claim)
    assert said in found


def test_parts_that_are_missing_too_many_or_of_no_class_are_refused_in_words() -> None:
    entries = parts(sample())
    for name in ("x", "size", "within.v"):
        with pytest.raises(ValueError, match=f"it has no entry '{name.removeprefix('within.')}'"):
            made("Sample", {k: v for k, v in entries.items() if k != name})
    for name in ("y", "within.w", "x.u"):
        with pytest.raises(ValueError, match=r"it has an entry .* too many"):
            made("Sample", {**entries, name: np.zeros(4)})
    others: list[Any] = ["Certificate", "os", "", None, ["Sample"]]
    for name in others:
        with pytest.raises((TypeError, ValueError)):
            made(name, entries)


@pytest.mark.parametrize("cls", [cls for cls in classes().values() if cls.__module__ != __name__])
def test_every_kind_states_what_it_is_and_is_of_types_that_can_be_checked(cls: Any) -> None:
    assert isinstance(cls.kind, str)
    assert cls.arithmetic in ("rational", "extended", "norms")
    assert cls.__doc__
    assert all(field.name.isidentifier() for field in fields(cls))
    nothing = dict.fromkeys((field.name for field in fields(cls)), None)
    required = [field for field in fields(cls) if field.default is not None and field.name != "radius"]
    if required and cls.serves(P.model):
        with pytest.raises(ValueError, match="must"):
            cls(**nothing).check(P)
    models = [p.model for p in (P, problems.logistic([[1.0], [2.0]], [1.0, -1.0], l2=0.1), problems.norm2())]
    assert not all(cls.serves(model) for model in models)
    assert is_dataclass(cls)


def test_files_alone_make_the_list_of_kinds() -> None:
    kinds = {cls.kind for cls in classes().values()}
    assert kinds >= {
        "ball", "closed form", "exact minimiser", "exact slopes", "exact vertex", "none", "quasi-separable",
        "self-concordance", "separable", "strong convexity",
    }  # fmt: skip
