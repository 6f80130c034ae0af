"""A problem owns its data, takes real numbers alone, and says in a sentence what is wrong with any others."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

import dadapt_convex as dc
import problems
from problems.data import DownloadFailed, catalogue
from problems.linear_models.linear_problem import linear_problem
from problems.linear_models.loss import losses

A = np.random.default_rng(0).standard_normal((6, 3))
B = np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0])
MAKERS = [
    problems.logistic,
    problems.hinge,
    problems.least_absolute_deviation,
    problems.quantile,
    problems.multinomial_logistic,
]

# ---------------------------------------------------------------------------------------------------------
# Ownership


def memory_of(given: Any) -> list[Any]:
    """The arrays that hold what was passed in."""
    names = ("data", "indices", "indptr", "row", "col")
    return [getattr(given, n, None) for n in names] if hasattr(given, "tocsr") else [np.asarray(given)]


FORMS: dict[str, Any] = {
    "C": lambda: A.copy(),
    "Fortran": lambda: np.asfortranarray(A),
    "float32": lambda: A.astype(np.float32),
    "int": lambda: np.round(4 * A).astype(np.int64),
    "bool": lambda: A > 0,
    "every second row": lambda: np.repeat(A, 2, axis=0)[::2],
    "DataFrame": lambda: pd.DataFrame(A.copy()),
    "csr": lambda: scipy.sparse.csr_array(A),
    "csr matrix": lambda: scipy.sparse.csr_matrix(A),
    "csc": lambda: scipy.sparse.csc_array(A),
    "coo": lambda: scipy.sparse.coo_array(A),
    "bsr": lambda: scipy.sparse.bsr_array(A, blocksize=(1, 1)),
    "csr of long indices": lambda: scipy.sparse.csr_array(
        (A.ravel().copy(), np.tile(np.arange(3), 6), np.arange(0, 19, 3)), shape=(6, 3)
    ),
}


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_nothing_done_to_the_data_later_changes_the_problem(form: str, intercept: bool) -> None:
    given, b = FORMS[form](), B.copy()
    x0 = np.arange(3.0 + intercept)
    p, same = (
        problems.logistic(M, t, intercept=intercept, x0=x).renamed("p")
        for M, t, x in [(given, b, x0), (FORMS[form](), B, x0.copy())]
    )
    before = p.value(x0), p.subgradient(x0).tolist(), p.G
    if isinstance(given, pd.DataFrame):
        given *= 3.0
    for array in memory_of(given) if not isinstance(given, pd.DataFrame) else []:
        if array is not None:
            array[...] = array[::-1].copy()
    start, b[:], x0[:] = x0.copy(), -b, 7.0
    assert (p.value(start), p.subgradient(start).tolist(), p.G) == before
    assert np.array_equal(p.x0, start)
    model, other = p.model, same.model
    assert model is not None
    assert other is not None
    assert np.array_equal(model.b, B)
    for array, wanted in zip(arrays_of(model.A), arrays_of(other.A), strict=True):
        assert np.array_equal(array, wanted)


def arrays_of(M: Any) -> list[Any]:
    return [M.data, M.indices, M.indptr] if hasattr(M, "tocsr") else [M]


@pytest.mark.parametrize("form", ["C", "csr"])
def test_a_problem_cannot_be_changed_under_a_run(form: str) -> None:
    for intercept in (True, False):
        p = problems.hinge(FORMS[form](), B, intercept=intercept)
        assert p.model is not None
        for array in [*arrays_of(p.model.A), p.model.b, p.x0, p.optimum().x]:
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1
        assert p.optimum().f_hi < math.inf


def test_arrays_of_a_python_objective_are_its_own() -> None:
    x0, x = np.ones(2), np.zeros(2)
    known = problems.Optimum(f_lo=0.0, f_hi=0.0, x=x, D_lo=1.0, D_hi=2.0)
    p = problems.from_callable(lambda x: (np.abs(x).sum(), np.sign(x)), x0=x0, optimum=known)
    x0[:], x[:] = 5.0, 5.0
    assert p.x0.tolist() == [1.0, 1.0]
    assert p.optimum().x.tolist() == [0.0, 0.0]


def test_a_matrix_is_copied_once_and_what_the_loader_hands_over_not_at_all() -> None:
    frozen = A.copy()
    frozen.setflags(write=False)
    p = linear_problem(losses()["hinge"], frozen, B, intercept=False, copy=False)
    assert p.model is not None
    assert p.oracle.data is not None
    assert np.shares_memory(p.model.A, frozen)
    own = problems.hinge(A, B, intercept=False)
    assert own.model is not None
    assert own.oracle.data is not None
    assert not np.shares_memory(own.model.A, A)
    assert np.shares_memory(own.model.A, own.oracle.data.dense)


# ---------------------------------------------------------------------------------------------------------
# Real numbers


def masked(values: Any) -> Any:
    hidden = np.zeros(np.shape(values), dtype=bool)
    hidden.flat[:2] = True
    return np.ma.MaskedArray(np.where(hidden, 1e20, values), hidden)


NULLABLE = pd.DataFrame({"a": pd.array([1, None, 3, 4, 5, 6], dtype="Int64"), "b": np.arange(6.0)})
NO_NUMBERS: dict[str, tuple[Any, list[str]]] = {
    "masked": (masked, ["2 masked entries", "filled"]),
    "masked rows in a list": (lambda v: list(masked(v)) if np.ndim(v) > 1 else masked(v), ["2 masked entries"]),
    "complex": (lambda v: v + 0j, ["complex"]),
    "strings": (lambda v: v.astype(str), ["dtype <U"]),
    "bytes": (lambda v: v.astype("S"), ["dtype |S"]),
    "objects": (lambda v: np.where(np.arange(v.size).reshape(v.shape) == 1, None, v), ["1 entry", "None"]),
    "numbers as strings in objects": (lambda v: v.astype(str).astype(object), [" entries that are none"]),
    "dates": (lambda v: v.astype("datetime64[s]"), ["dtype datetime64"]),
    "times": (lambda v: v.astype("timedelta64[s]"), ["dtype timedelta64"]),
    "date objects": (lambda v: np.full(v.shape, datetime.date(2020, 1, 1), dtype=object), ["datetime.date"]),
    "records": (lambda v: v.view([("x", "f8")]), ["dtype"]),
    "void": (lambda v: v.view("V8"), ["dtype"]),
    "integers beyond 2**53": (lambda v: np.full(v.shape, 2**53 + 1), ["beyond 2**53", "9007199254740993"]),
    "unsigned ones": (lambda v: np.full(v.shape, 2**64 - 1, dtype=np.uint64), ["beyond 2**53"]),
    "Python's": (lambda v: np.full(v.shape, 10**400, dtype=object), ["beyond 2**53", "400 digits"]),
    "fractions beyond float64": (lambda v: np.full(v.shape, Fraction(10**400), dtype=object), ["finite"]),
    "long doubles beyond float64": (lambda v: np.full(v.shape, np.longdouble("1e400")), ["finite"]),
}


@pytest.mark.parametrize("argument", ["A", "b", "x0"])
@pytest.mark.parametrize("kind", NO_NUMBERS)
def test_what_is_no_real_number_is_refused_like_nan(kind: str, argument: str) -> None:
    if kind == "long doubles beyond float64" and np.finfo(np.longdouble).max == np.finfo(float).max:
        pytest.skip("long double is double here")
    spoil, words = NO_NUMBERS[kind]
    given = {"A": A, "b": np.arange(6.0), "x0": np.zeros(4)}
    given[argument] = spoil(given[argument])
    with pytest.raises(ValueError) as raised:
        problems.least_absolute_deviation(given["A"], given["b"], x0=given["x0"])
    message = str(raised.value)
    assert message.startswith(f"{argument} ")
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (NULLABLE, ["1 entry", "<NA>"]),
        (pd.DataFrame({"a": np.arange(6.0), "b": list("uvwxyz")}), ["6 entries", "'u'"]),
        (pd.DataFrame({"a": pd.date_range("2020", periods=6)}), ["datetime64"]),
        (pd.DataFrame({"a": np.arange(6.0), "b": pd.date_range("2020", periods=6)}), ["6 entries", "Timestamp"]),
    ],
)
def test_frames_with_other_columns_are_refused(frame: pd.DataFrame, words: list[str]) -> None:
    with pytest.raises(ValueError, match="A must hold real numbers") as raised:
        problems.logistic(frame, B)
    for word in words:
        assert word in str(raised.value)


@pytest.mark.parametrize("form", ["csr_array", "csc_array", "coo_array", "lil_array"])
@pytest.mark.parametrize("dtype", [complex, np.int64])
def test_sparse_matrices_of_other_numbers_are_refused(form: str, dtype: Any) -> None:
    M = getattr(scipy.sparse, form)(np.full((6, 3), 2**60 + 1, dtype=dtype))
    with pytest.raises(ValueError, match=r"^A .*(complex|beyond 2\*\*53)"):
        problems.logistic(M, B)


def test_an_invalid_csr_matrix_is_refused() -> None:
    M = scipy.sparse.csr_array(A)
    M.indices[4] = 1000
    with pytest.raises(ValueError, match=r"^A is no valid CSR matrix"):
        problems.logistic(M, B)


@pytest.mark.parametrize(
    "same",
    [
        lambda M: M.astype(np.int8),
        lambda M: M.astype(object),
        lambda M: M.astype(np.float16),
        lambda M: [[Fraction(v) for v in row] for row in M.tolist()],
        lambda M: [[Decimal(v) for v in row] for row in M.tolist()],
        lambda M: np.ma.MaskedArray(M),
        lambda M: pd.DataFrame(M).astype("Int64"),
        lambda M: pd.DataFrame(M).astype("float32"),
        lambda M: scipy.sparse.coo_array(  # entries of one place, whose sum is beyond int8
            (
                np.concatenate([M.ravel() - 120, np.full(18, 120)]).astype(np.int8),
                np.tile(np.indices(M.shape).reshape(2, -1), 2),
            ),
            shape=M.shape,
        ),
    ],
)
def test_real_numbers_of_every_type_are_taken(same: Any) -> None:
    M = np.arange(18.0).reshape(6, 3)
    p = problems.logistic(same(M), B)
    assert p.value(np.ones(4)) == pytest.approx(problems.logistic(M, B).value(np.ones(4)), rel=1e-15, abs=0)


# ---------------------------------------------------------------------------------------------------------
# Labels


@pytest.mark.parametrize("loss", [problems.logistic, problems.hinge])
@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (1, 2), (-1, 1), (3, 7), (False, True), (-0.5, 0.25), (np.uint8(0), np.uint8(255))]
)
def test_the_larger_of_two_labels_is_plus_one(loss: Any, low: Any, high: Any) -> None:
    p = loss(A, [high if v > 0 else low for v in B])
    assert p.model.b.tolist() == B.tolist()
    assert p.facts["labels"] == {float(low): -1, float(high): 1}


@pytest.mark.parametrize("loss", [problems.logistic, problems.hinge])
def test_other_numbers_of_labels_are_refused_with_a_way_out(loss: Any) -> None:
    with pytest.raises(ValueError, match="only the class 1, and a binary loss needs two"):
        loss(A, np.ones(6))
    three = [4, 5, 6, 4, 5, 6]
    with pytest.raises(ValueError, match=r"3 classes \(4, 5, 6\).*numpy.equal\(b, 4\).*multinomial_logistic"):
        loss(A, three)
    assert loss(A, np.equal(three, 4)).model.b.tolist() == [1, -1, -1, 1, -1, -1]
    words = ["no", "yes", "no", "yes", "yes", "no"]
    with pytest.raises(ValueError, match="return_inverse"):
        loss(A, words)
    assert loss(A, np.unique(words, return_inverse=True)[1]).model.b.tolist() == [-1, 1, -1, 1, 1, -1]


# ---------------------------------------------------------------------------------------------------------
# Hints


def proposals(message: str) -> list[str]:
    """The names of problems in a message."""
    tokens = (token.strip("(),;?'\"") for token in message.replace("? ", " ").split())
    kinds = ("hard", *losses())
    return [t.removesuffix(".") for t in tokens if ":" in t and t.partition(":")[0].partition("[")[0] in kinds]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with files in it and below."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DADAPT_DATA", raising=False)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a1a").write_text("".join(f"{(-1) ** i} 1:{i} 2:1\n" for i in range(1, 7)))
    (tmp_path / "sub" / "many").write_text("".join(f"{i % 3} 1:{i} 2:1\n" for i in range(1, 7)))
    (tmp_path / "real").write_text("".join(f"{i / 7} 1:{i} 2:1\n" for i in range(1, 7)))
    (tmp_path / "diabetes").write_text("".join(f"{i / 7} 1:{i} 2:1\n" for i in range(1, 7)))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "proposed"),
    [
        ("./sub/a1a", "logistic:./sub/a1a"),
        ("logstic:./sub/a1a", "logistic:./sub/a1a"),
        ("hinge:./sub/a1b", "hinge:./sub/a1a"),
        ("hinge[l2=0.5]:sub/a1b", "hinge[l2=0.5]:sub/a1a"),
        ("hinge[l2=0.5]:sub/many", "hinge[l2=0.5,positive=0]:sub/many"),
        ("hinge:./sub/many", "hinge[positive=0]:./sub/many"),
        ("hinge[]:./sub/many", "hinge[,positive=0]:./sub/many"),
        ("logistic:real", "lad:./real"),
        ("multinomial:./diabetes", "lad:./diabetes"),
        ("hard:iris", "logistic:iris"),
        ("hinge_loss:abs", "hard:abs"),
        ("logstic:mpg", None),
        ("lad:breast_cancr", None),
        ("logistic:breast_cancr", "logistic:breast_cancer"),
        ("logistic[l2=1]:breast_cancr", "logistic[l2=1]:breast_cancer"),
        ("quantile:diabets", "quantile:diabetes"),
        ("iris", "multinomial:iris"),
        ("hard:norm", "hard:norm2"),
    ],
)
def test_what_a_message_proposes_is_taken_when_typed(folder: Path, name: str, proposed: str | None) -> None:
    with pytest.raises(ValueError) as raised:
        problems.get(name)
    found = proposals(str(raised.value).replace(repr(name), "").replace("loss:dataset or hard:instance", ""))
    if proposed is not None:
        assert proposed in found
    for other in found:
        try:
            assert problems.get(other).name == other
        except DownloadFailed:  # the site has it, and tests download nothing
            assert other.partition(":")[2] in catalogue()


@pytest.mark.parametrize("text", ["\u0663", "1_0", "\uff13", "1\u0663"])
def test_numbers_in_brackets_have_ascii_digits(text: str) -> None:
    from experiments.selection import parse_method

    with pytest.raises(ValueError, match="p must be a number"):
        problems.get(f"hard[p={text}]:norm2")
    with pytest.raises(ValueError, match="d0 must be"):
        parse_method(f"dadapt_dual_averaging[d0={text}]")
    with pytest.raises(ValueError, match="schedule must be"):
        parse_method(f"dadapt_dual_averaging[schedule=warmup({text})]")


# ---------------------------------------------------------------------------------------------------------
# Sizes


@pytest.mark.parametrize(
    "name",
    [
        "hard[p=99999999999999]:norm2",
        "hard[p=1e300]:max_abs",
        "hard[m=1e12]:drori_teboulle",
        "logistic:wide",
        "lad:wide",
        "multinomial:wide",
        "hinge[storage=dense]:wide",
    ],
)
def test_more_unknowns_than_memory_holds_are_refused_at_once(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wide").write_text("-1 1:1\n1 2147483646:1\n")
    with pytest.raises(ValueError, match=r"(asks for \d.* unknowns.*|takes .*)GB"):
        problems.get(name)


EXTREMES = [1e-310, 1e-200, 1e-160, 1e150, 1e160, 1e200, 1e300]


@pytest.mark.parametrize("spoil", ["all", "one column", "one entry"])
@pytest.mark.parametrize("scale", EXTREMES)
@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_data_of_any_scale_are_certified_or_refused_in_a_sentence(make: Any, scale: float, spoil: str) -> None:
    M = A.copy()
    M[{"all": np.s_[:], "one column": np.s_[:, 1], "one entry": np.s_[2, 1]}[spoil]] *= scale
    for sparse in (False, True):
        for intercept in (False, True):
            p = make(scipy.sparse.csr_array(M) if sparse else M, B, intercept=intercept)
            assert math.isfinite(p.value(p.x0))
            g = np.abs(p.subgradient(p.x0)).max()
            assert g <= p.G_inf <= p.G < math.inf
            if spoil == "one entry" and scale < 1:  # small beside the others of its column
                continue
            for radius in (math.inf, 1.0):
                with pytest.raises(ValueError, match=r"cannot be certified: the largest entry of .* is .*e[-+].*scale"):
                    p.optimum(radius=radius)


@pytest.mark.parametrize("scale", EXTREMES)
@pytest.mark.parametrize("make", [problems.least_absolute_deviation, problems.quantile], ids=lambda m: m.__name__)
def test_targets_of_any_scale_are_certified_or_refused_in_a_sentence(make: Any, scale: float) -> None:
    p = make(A, B * scale)
    assert math.isfinite(p.value(p.x0))
    with pytest.raises(ValueError, match=r"the largest entry of b is .*scale"):
        p.optimum()


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_a_start_from_which_sums_overflow_is_refused(make: Any) -> None:
    size = 8 if make is problems.multinomial_logistic else 4
    far = make(A, B, x0=np.full(size, 1e155))
    assert not math.isnan(far.value(far.x0))
    with pytest.raises(ValueError, match=r"the largest entry of x0 is 1e\+155"):
        far.optimum()
    with pytest.raises(ValueError, match=r"f\(x0\) is beyond float64.*1e\+156 in x0"):
        make(A, B, l2=1e-3, x0=np.full(size, 1e156))
    with pytest.raises(ValueError, match=r"f\(x0\) is beyond float64"):
        make(A * 1e160, B, x0=np.full(size, 1e155))


@pytest.mark.parametrize("l2", [0.0, 1e-3])
def test_sums_over_rows_beyond_float64_leave_a_problem_without_a_finite_value(l2: float) -> None:
    for p in (
        problems.hinge(np.sign(A) * 1e308, B, l2=l2),
        problems.least_absolute_deviation(A, np.full(6, 1e308), l2=l2),
    ):
        p.value(p.x0)
        with pytest.raises(ValueError, match=r"cannot be certified: the largest entry of [Ab] is 1e\+308"):
            p.optimum()


@pytest.mark.parametrize("scale", [1e-90, 1e-30, 1e30, 1e90])
def test_between_these_scales_the_logistic_loss_is_certified(scale: float) -> None:
    one, other = (problems.logistic(M, B, intercept=False) for M in (A, A * scale))
    assert other.optimum().f_hi == pytest.approx(one.optimum().f_hi, rel=1e-12, abs=0)
    assert math.isclose(other.G, one.G * scale, rel_tol=1e-12)


@pytest.mark.parametrize("exponent", [-600, -340, 340, 600])
def test_G_of_data_of_any_scale_is_that_of_the_data_scaled(exponent: int) -> None:
    for M in (A, scipy.sparse.csr_array(A)):
        one, other = (problems.logistic(S, B, intercept=False) for S in (M, M * 2.0**exponent))
        for name in ("G", "G_inf"):
            assert getattr(other, name) == pytest.approx(getattr(one, name) * 2.0**exponent, rel=1e-14, abs=0)
        for bound, scaled in zip(one.batch_bounds(2), other.batch_bounds(2), strict=True):
            assert scaled == pytest.approx(bound * 2.0**exponent, rel=1e-14, abs=0)


# ---------------------------------------------------------------------------------------------------------
# x0 as the minimiser


@pytest.mark.parametrize(
    "make",
    [
        lambda: problems.absolute_value(0.0),
        lambda: problems.least_absolute_deviation(A, np.zeros(6)),
        lambda: problems.from_callable(
            lambda x: (np.abs(x).sum(), np.sign(x)),
            x0=0.0,
            optimum=problems.Optimum(f_lo=0.0, f_hi=0.0, x=np.zeros(1), D_lo=0.0, D_hi=0.0),
        ),
    ],
)
def test_a_start_that_is_a_minimiser_is_said_to_be_one(make: Any) -> None:
    p = make()
    assert p.optimum().D_hi == 0
    assert "x0 is a minimiser" in p.optimum().notes
    with pytest.raises(dc.NotAvailable, match=f"needs D, and x0 of {p.name} is a minimiser already: D = 0; pass D="):
        dc.solve(p, "subgradient", steps=3, G=1.0)
