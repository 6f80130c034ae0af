"""Problems: names, refusals in a sentence, bounds on subgradients, Python objectives."""

from __future__ import annotations

import itertools
import math
from dataclasses import FrozenInstanceError
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import dadapt_convex as dc
import problems
from problems.hard_instances import HARD
from problems.linear_models.linear_problem import linear_problem
from problems.linear_models.loss import losses
from problems.problem import Optimum

RNG = np.random.default_rng(0)
A = RNG.standard_normal((6, 3))
B = np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0])

# ---------------------------------------------------------------------------------------------------------
# Names


@pytest.mark.parametrize("name", problems.names())
def test_every_listed_name_is_a_problem(name):
    problem = problems.get(name)
    assert problem.name == name
    assert math.isfinite(problem.value(problem.x0))
    assert problem.subgradient(problem.x0).shape == (problem.p,)
    assert math.isfinite(problem.G)
    assert problem.G > 0
    assert 0 < problem.G_inf <= problem.G
    assert problem.G_note
    assert problem.m >= 1


def test_names_hold_every_hard_instance_and_every_loss():
    kinds = {name.split(":")[0] for name in problems.names()}
    assert kinds == {"hard", *losses()}
    assert {name.split(":")[1] for name in problems.names() if name.startswith("hard:")} == set(HARD)


def digest(problem):
    """Enough of a problem to tell it from another."""
    x = np.linspace(-1, 1, problem.p)
    return problem.p, problem.m, problem.value(x), tuple(problem.subgradient(x)), problem.G


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("hard[x0=-3]:abs", lambda: problems.absolute_value(-3.0)),
        ("hard[p=7]:norm2", lambda: problems.norm2(7)),
        ("hard[p=1e1]:norm2", lambda: problems.norm2(10)),
        ("hard[m=11,D=2.5,G=4]:drori_teboulle", lambda: problems.drori_teboulle(m=11, D=2.5, G=4.0)),
        ("hard[ m = 11 , D = 2.5 , ]:drori_teboulle", lambda: problems.drori_teboulle(m=11, D=2.5)),
        ("hard[]:abs", problems.absolute_value),
        ("  hard:abs\n", problems.absolute_value),
        ("logistic[l2=1e-3]:iris", lambda: problems.logistic(*iris(), l2=1e-3)),
        ("logistic[intercept=False]:iris", lambda: problems.logistic(*iris(), intercept=False)),
        ("hinge[intercept=true,l2=0]:iris", lambda: problems.hinge(*iris())),
        ("quantile[tau=0.9]:diabetes", lambda: problems.quantile(*diabetes(), tau=0.9)),
        ("lad:diabetes", lambda: problems.least_absolute_deviation(*diabetes())),
        ("multinomial:wine", lambda: problems.multinomial_logistic(*wine())),
        (
            "multinomial[l2=0.5,intercept=false]:wine",
            lambda: problems.multinomial_logistic(*wine(), l2=0.5, intercept=False),
        ),
    ],
    ids=lambda value: value.strip() if isinstance(value, str) else "",
)
def test_parameters_in_brackets(name, same):
    assert digest(problems.get(name)) == digest(same())


def iris():
    model = problems.get("logistic[intercept=false]:iris").model
    return model.A, model.b


def diabetes():
    model = problems.get("lad[intercept=false]:diabetes").model
    return model.A, model.b


def wine():
    model = problems.get("multinomial[intercept=false]:wine").model
    return model.A, model.b + 5  # any three labels


def test_storage_is_chosen_in_brackets():
    csr, dense = (problems.get(f"hinge[storage={storage}]:iris") for storage in ("csr", "dense"))
    assert csr.facts["storage"] == "csr"
    assert dense.facts["storage"] == "dense"
    x = np.linspace(-1, 1, csr.p)
    assert csr.value(x) == pytest.approx(
        dense.value(x), rel=1e-14, abs=0
    )  # 5 products per row, in one order or another


def test_positive_picks_a_class_against_the_rest():
    problem = problems.get("logistic[positive=2]:iris")
    assert problem.m == 150
    assert np.count_nonzero(problem.model.b == 1) == 50
    assert problem.facts["labels"]


def test_facts_of_a_named_problem_say_where_the_data_came_from():
    facts = problems.get("logistic:iris").facts
    assert facts["source"]
    assert len(facts["sha256"]) == 64
    assert facts["labels"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("logistic", ["loss:dataset", "'logistic'", "Did you mean logistic:"]),
        ("", ["loss:dataset", "''"]),
        ("logistic:", ["loss:dataset", "'logistic:'"]),
        (":iris", ["loss:dataset", "':iris'"]),
        ("Logistic:iris", ["'Logistic:iris'", "logistic:iris"]),
        ("quantile[tau=0.9:diabetes", ["loss:dataset", "quantile:diabetes"]),
        ("logistic[l2=1]]:iris", ["loss:dataset", "logistic:iris"]),
        ("logistic:iris[l2=1]", ["iris[l2=1]"]),
        ("logstic:iris", ["'logstic'", "lad, logistic, multinomial, quantile", "Did you mean logistic:iris"]),
        ("logistic:breast_cancr", ["breast_cancr", "breast_cancer"]),
        ("lad:breast_cancer", ["breast_cancer", "class labels", "logistic:breast_cancer"]),
        ("hard:absolute", ["unknown hard instance", "abs, norm2, max_abs, drori_teboulle", "Did you mean hard:abs"]),
        ("logistic[tau=0.4]:iris", ["no parameter 'tau'", "intercept, l2"]),
        ("logistic[L2=0.4]:iris", ["no parameter 'L2'", "intercept, l2"]),
        ("hard[q=1]:norm2", ["no parameter 'q'", "it takes p"]),
        ("hard[m=5,m=6]:drori_teboulle", ["m stands twice"]),
        ("quantile[tau]:diabetes", ["key=value", "'tau'"]),
        ("quantile[tau=]:diabetes", ["key=value", "'tau='"]),
        ("quantile[=1]:diabetes", ["no parameter ''"]),
        ("quantile[tau=high]:diabetes", ["tau must be a number", "'high'"]),
        ("quantile[tau=true]:diabetes", ["tau must be a number", "True"]),
        ("quantile[tau=2]:diabetes", ["tau must be in (0, 1)", "2"]),
        ("quantile[tau=0]:diabetes", ["tau must be in (0, 1)", "0"]),
        ("quantile[tau=nan]:diabetes", ["tau must be in (0, 1)", "nan"]),
        ("logistic[l2=-1]:iris", ["l2 must be nonnegative", "-1"]),
        ("logistic[l2=nan]:iris", ["l2 must be nonnegative and finite", "nan"]),
        ("logistic[l2=inf]:iris", ["l2 must be nonnegative and finite", "inf"]),
        ("logistic[l2=small]:iris", ["l2 must be a number", "'small'"]),
        ("logistic[intercept=0]:iris", ["intercept must be true or false", "0"]),
        ("logistic[intercept=yes]:iris", ["intercept must be true or false", "'yes'"]),
        ("logistic[storage=coo]:iris", ["storage must be auto, dense or csr", "'coo'"]),
        ("logistic[storage=1]:iris", ["storage must be a word", "1"]),
        ("logistic[positive=9]:iris", ["positive must be a label of iris", "9"]),
        ("lad[positive=1]:diabetes", ["positive= is for losses with two labels", "lad takes targets"]),
        ("multinomial[positive=1]:iris", ["positive= is for losses with two labels", "multinomial takes all classes"]),
        ("multinomial[tau=0.5]:iris", ["no parameter 'tau'", "intercept, l2"]),
        ("multinomial:diabetes", ["diabetes", "real targets"]),
        ("multinomial:wne", ["wne", "wine"]),
        ("hard[m=2.5]:drori_teboulle", ["m must be an integer of at least 1", "2.5"]),
        ("hard[m=0]:drori_teboulle", ["m must be an integer of at least 1", "0"]),
        ("hard[m=inf]:drori_teboulle", ["m must be finite", "inf"]),
        ("hard[m=nan]:drori_teboulle", ["m must be finite", "nan"]),
        ("hard[D=-1]:drori_teboulle", ["D must be positive", "-1"]),
        ("hard[G=0]:drori_teboulle", ["G must be positive", "0"]),
        ("hard[x0=inf]:abs", ["x0 must be finite", "inf"]),
        ("hard[x0=one]:abs", ["x0 must be a number", "'one'"]),
    ],
)
def test_a_name_that_is_not_understood_is_refused_in_a_sentence(name, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # no file of this name lies here
    monkeypatch.delenv("DADAPT_DATA", raising=False)
    with pytest.raises(ValueError) as raised:
        problems.get(name)
    message = str(raised.value)
    for word in words:
        assert word in message
    assert "\n" not in message


@pytest.mark.parametrize("name", [None, 5, ("hard", "abs")])
def test_a_name_is_a_string(name):
    with pytest.raises(ValueError, match="name is a string"):
        problems.get(name)


def test_a_problem_cannot_be_changed():
    problem = problems.get("hard:abs")
    with pytest.raises(FrozenInstanceError):
        problem.G = 2.0
    with pytest.raises(ValueError, match="read-only"):
        problem.x0[0] = 2.0


# ---------------------------------------------------------------------------------------------------------
# One's own data


def with_entry(value):
    changed = A.copy()
    changed[2, 1] = value
    return changed


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((with_entry(np.nan), B), {}, ["A must be finite", "1 NaN or infinite"]),
        ((with_entry(np.inf), B), {}, ["A must be finite"]),
        ((scipy.sparse.csr_array(with_entry(-np.inf)), B), {}, ["A must be finite"]),
        ((A, [1, -1, np.nan, 1, -1, -1]), {}, ["b must be finite", "nan in row 2"]),
        ((A, [1, -1, 1, 1, -1, np.inf]), {}, ["b must be finite", "inf in row 5"]),
        ((A, B[:5]), {}, ["6 rows", "5 entries"]),
        ((scipy.sparse.csr_array(A), B[:5]), {}, ["6 rows", "5 entries"]),
        ((A, B[:, None]), {}, ["b must be a non-empty vector", "(6, 1)"]),
        ((A, 1.0), {}, ["b must be a non-empty vector", "()"]),
        ((A[:, 0], B), {}, ["A must be a non-empty matrix", "(6,)"]),
        ((A[None], B), {}, ["A must be a non-empty matrix", "(1, 6, 3)"]),
        ((np.zeros((0, 3)), []), {}, ["b must be a non-empty vector", "(0,)"]),
        ((np.zeros((6, 0)), B), {}, ["A must be a non-empty matrix", "(6, 0)"]),
        ((scipy.sparse.csr_array((6, 0)), B), {}, ["A must be a non-empty matrix", "(6, 0)"]),
        ((A + 1j, B), {}, ["A must hold real numbers", "complex"]),
        ((scipy.sparse.csr_array(A + 1j), B), {}, ["A must hold real numbers", "complex"]),
        ((A, B + 1j), {}, ["b must hold real numbers", "complex"]),
        (([["a", "b"]] * 6, B), {}, ["A must hold real numbers", "'a'"]),
        (([[1, 2], [3]], B[:2]), {}, ["A must hold real numbers"]),
        ((A, ["yes"] * 6), {}, ["b must hold real numbers", "'yes'"]),
        ((A, np.arange(6)), {}, ["6 classes", "0, 1, 2, 3, 4, 5", "needs two"]),
        ((A, -np.ones(6)), {}, ["only the class -1", "needs two"]),
        ((A, B), {"l2": -1e-9}, ["l2 must be nonnegative", "-1e-09"]),
        ((A, B), {"l2": np.inf}, ["l2 must be nonnegative and finite", "inf"]),
        ((A, B), {"l2": "small"}, ["l2 must be a number", "'small'"]),
        ((A, B), {"l2": None}, ["l2 must be a number", "None"]),
        ((A, B), {"x0": np.zeros(3)}, ["x0", "4 entries", "intercept's last", "(3,)"]),
        ((A, B), {"x0": np.zeros(4), "intercept": False}, ["x0", "3 entries", "(4,)"]),
        ((A, B), {"x0": np.full(4, np.nan)}, ["x0 must be a finite vector"]),
        ((A, B), {"x0": "zero"}, ["x0 must hold real numbers", "zero"]),
    ],
)
@pytest.mark.parametrize("loss", [problems.logistic, problems.hinge], ids=lambda loss: loss.__name__)
def test_data_that_do_not_fit_are_refused_in_a_sentence(loss, arguments, options, words):
    with pytest.raises(ValueError) as raised:
        loss(*arguments, **options)
    for word in words:
        assert word in str(raised.value)


@pytest.mark.parametrize("tau", [0, 1, -0.5, 2, np.nan, "half", None])
def test_the_level_of_a_quantile_is_between_0_and_1(tau):
    with pytest.raises(ValueError, match=r"tau must be (in \(0, 1\)|a number within float64), got"):
        problems.quantile(A, B, tau=tau)


@pytest.mark.parametrize("loss", [problems.least_absolute_deviation, problems.quantile], ids=lambda loss: loss.__name__)
def test_regression_takes_any_finite_targets(loss):
    assert math.isfinite(loss(A, np.ones(6)).value(np.zeros(4)))
    with pytest.raises(ValueError, match="b must be finite"):
        loss(A, [0, 1, 2, 3, 4, -np.inf])


@pytest.mark.parametrize("x", [np.zeros(3), np.zeros((4, 1)), 0.0])
def test_a_point_of_the_wrong_shape_is_refused(x):
    for ask in (problems.logistic(A, B).value, problems.logistic(A, B).subgradient, problems.logistic(A, B).margins):
        with pytest.raises(ValueError, match=r"takes x of shape \(4,\)"):
            ask(x)


def test_points_of_any_real_type_are_taken_and_left_alone():
    problem, x = problems.logistic(A, B), np.ones(4)
    x.setflags(write=False)
    expected = problem.value(x)
    for same in ([1, 1, 1, 1], np.ones(4, dtype=np.float32), np.ones(8)[::2], x):
        assert problem.value(same) == expected
    assert np.array_equal(x, np.ones(4))


# ---------------------------------------------------------------------------------------------------------
# G


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("loss", sorted(losses()))
def test_G_is_attained_when_all_rows_pull_the_same_way(loss, sparse):
    """All b_i a_i equal to v, far on the losing side: every slope is the largest there is."""
    v = np.array([3.0, -4.0, 12.0])
    x, slope = -v, {"quantile": 0.9, "multinomial": math.sqrt(2)}.get(loss, 1.0)
    if losses()[loss].task == "regression":
        b, rows = np.full(6, 1e3), np.tile(v, (6, 1))
    else:
        b, rows = B, B[:, None] * v
    if losses()[loss].task == "multiclass":  # a column for each of the two classes, pulled apart
        x = np.outer(v, [1, -1]).ravel()
    tau = {"tau": 0.9} if loss == "quantile" else {}
    problem = linear_problem(
        losses()[loss], scipy.sparse.csr_array(rows) if sparse else rows, b, intercept=False, **tau
    )
    g = problem.subgradient(x)
    # G is rounded up by 1e-9, so that rounding in a norm cannot make it too small
    assert np.linalg.norm(g) == pytest.approx(13 * slope, rel=1e-12, abs=0)
    assert np.linalg.norm(g) <= problem.G <= np.linalg.norm(g) * (1 + 2e-9)
    assert np.abs(g).max() <= problem.G_inf <= np.abs(g).max() * (1 + 2e-9)
    assert "upper bound" in problem.G_note
    assert ("times 0.9" in problem.G_note) == (loss == "quantile")


def test_G_of_a_quantile_follows_the_steeper_side():
    high, low = (problems.quantile(A, B, tau=tau) for tau in (0.8, 0.2))
    lad = problems.least_absolute_deviation(A, B)
    assert math.isclose(high.G, 0.8 * lad.G, rel_tol=1e-15)
    assert math.isclose(low.G, high.G, rel_tol=1e-15)


def test_G_takes_the_smaller_of_two_bounds_and_says_which():
    """Orthogonal rows cannot pull together: ||A||_2 / sqrt(m) = 1/2 is attained, the mean row norm is 1."""
    spread = problems.hinge(np.eye(4), [1, 1, -1, -1], intercept=False)
    assert math.isclose(spread.G, 0.5, rel_tol=2e-9)
    assert np.linalg.norm(spread.subgradient(np.zeros(4))) == 0.5
    assert "||A||_2 / sqrt(m)" in spread.G_note
    # rows of very different length: the spectral norm is that of the longest alone
    uneven = problems.hinge(np.diag([100.0, 1.0, 1.0, 1.0]), [1, 1, -1, -1], intercept=False)
    assert math.isclose(uneven.G, 103 / 4, rel_tol=2e-9)
    assert "mean row norm" in uneven.G_note


def test_the_intercept_counts_in_G():
    assert math.isclose(problems.hinge(np.zeros((2, 1)), [1, -1]).G, 1.0, rel_tol=2e-9)


@pytest.mark.parametrize("l2", [1e-3, 1.0, 50.0])
@pytest.mark.parametrize("loss", sorted(losses()))
def test_with_l2_G_holds_on_the_ball_it_speaks_of(loss, l2):
    x0 = np.array([0.5, -1.0, 2.0, 0.3])
    if losses()[loss].task == "multiclass":
        x0 = np.stack([x0, 3 * x0[::-1]], axis=1).ravel()
    problem = linear_problem(losses()[loss], A, B, l2=l2, x0=x0)
    D = math.sqrt(2 * problem.value(x0) / l2) + np.linalg.norm(x0)  # dist(x0, X*) is at most that
    R = (1 + math.sqrt(2)) * D
    assert f"on the ball ||x - x0|| <= {R:.4g}" in problem.G_note
    rng = np.random.default_rng(1)
    for _ in range(200):
        u = rng.standard_normal(problem.p)
        g = problem.subgradient(x0 + R * u / np.linalg.norm(u))
        assert np.linalg.norm(g) <= problem.G
        assert np.abs(g).max() <= problem.G_inf
    run = dc.solve(problem, "subgradient", steps=1000, D=D)
    assert run.trace["x_dist"].max() <= R
    assert run.trace["g_max"].iloc[-1] <= problem.G


# ---------------------------------------------------------------------------------------------------------
# Python objectives


def norm1(x):
    return np.abs(x).sum(), np.sign(x)


def test_from_callable_makes_a_problem_of_a_function():
    problem = problems.from_callable(norm1, x0=[3, -4], G=math.sqrt(2), G_inf=1.0, name="norm1")
    assert (problem.name, problem.p, problem.G, problem.G_inf) == ("norm1", 2, math.sqrt(2), 1.0)
    assert problem.G_note == "as given"
    assert problem.value([1.0, -2.0]) == 3.0
    assert np.array_equal(problem.subgradient([1.0, -2.0]), [1.0, -1.0])
    assert problem.x0.dtype == np.float64


def test_from_callable_knows_no_G_and_no_optimum_by_itself():
    problem = problems.from_callable(norm1, x0=1.0)
    assert math.isinf(problem.G)
    assert problem.G_note == "unknown"
    with pytest.raises(ValueError, match=r"no certified optimum.*optimum=.*D=.*f_star="):
        problem.optimum()


def test_from_callable_takes_an_optimum():
    known = problems.Optimum(f_lo=0.0, f_hi=0.0, x=np.zeros(1), D_lo=1.0, D_hi=1.0)
    found = problems.from_callable(norm1, x0=1.0, optimum=known).optimum()
    assert (found.f_lo, found.f_hi, found.D_lo, found.D_hi, found.attained) == (0.0, 0.0, 1.0, 1.0, True)


def test_the_function_gets_a_copy_of_the_iterate():
    def careless(x):
        x *= 0.5
        return norm1(x)

    problem = problems.from_callable(careless, x0=[2.0])
    run = dc.solve(problem, "subgradient", steps=3, D=1.0, G=1.0)
    assert np.array_equal(problem.x0, [2.0])
    assert run.x[0] == pytest.approx(2 - 2 / math.sqrt(3), rel=1e-15, abs=0)


@pytest.mark.parametrize(
    ("function", "options", "words"),
    [
        (norm1, {"x0": []}, ["x0 must be a non-empty finite vector"]),
        (norm1, {"x0": [1.0, np.nan]}, ["x0 must be a non-empty finite vector"]),
        (norm1, {"x0": np.ones((2, 2))}, ["x0 must be a non-empty finite vector"]),
        (norm1, {"x0": 1.0, "G": 0.0}, ["G and G_inf must be positive", "G=0.0"]),
        (norm1, {"x0": 1.0, "G": -1.0}, ["G and G_inf must be positive", "G=-1.0"]),
        (norm1, {"x0": 1.0, "G": np.nan}, ["G and G_inf must be positive", "nan"]),
        (norm1, {"x0": 1.0, "G_inf": 0.0}, ["G and G_inf must be positive", "G_inf=0.0"]),
        (lambda x: None, {"x0": 1.0}, ["must return the pair (f, g)", "NoneType"]),
        (lambda x: [0.0, x], {"x0": 1.0}, ["must return the pair (f, g)", "list"]),
        (lambda x: (0.0, x, x), {"x0": 1.0}, ["must return the pair (f, g)"]),
        (lambda x: (0.0, np.ones(3)), {"x0": 1.0}, ["subgradient of shape (3,)", "x0 has shape (1,)"]),
        (lambda x: (0.0, 1.0), {"x0": [1.0, 2.0]}, ["subgradient of shape ()", "x0 has shape (2,)"]),
        (lambda x: (x, x), {"x0": 1.0}, ["must return a real number f", "array([1.])"]),
        (lambda x: (0.0, x + 1j), {"x0": 1.0}, ["a real vector g", "1.j"]),
        (lambda x: (0j, x), {"x0": 1.0}, ["must return a real number f", "0j"]),
        (lambda x: (np.nan, x), {"x0": 1.0}, ["f = nan", "finite"]),
        (lambda x: (np.inf, x), {"x0": 1.0}, ["f = inf", "finite"]),
        (lambda x: (0.0, x * np.inf), {"x0": 1.0}, ["subgradient that must be finite"]),
        (lambda x: (0.0, None), {"x0": 1.0}, ["a subgradient that must be finite", "None"]),
    ],
)
def test_a_function_that_is_no_objective_is_refused_in_a_sentence(function, options, words):
    with pytest.raises(ValueError) as raised:
        problems.from_callable(function, **options)
    for word in words:
        assert word in str(raised.value)


# ---------------------------------------------------------------------------------------------------------
# Optimum


@pytest.mark.parametrize(
    ("interval", "word"),
    [
        ({"f_lo": 1.0, "f_hi": 0.0}, "f_lo = 1.0"),
        ({"f_lo": np.nan}, "f_lo = nan"),
        ({"D_lo": 2.0}, "D_lo = 2.0"),
        ({"D_hi": np.nan}, "D_hi = nan"),
    ],
)
def test_an_optimum_is_an_interval(interval, word):
    good = {"f_lo": 0.0, "f_hi": 0.0, "x": np.zeros(1), "D_lo": 1.0, "D_hi": 1.0}
    with pytest.raises(ValueError, match=word):
        problems.Optimum(**{**good, **interval})


def test_the_optimum_is_looked_for_once():
    calls = itertools.count(1)
    known = problems.Optimum(f_lo=0.0, f_hi=0.0, x=np.zeros(1), D_lo=1.0, D_hi=1.0)

    def find(problem, radius):
        assert next(calls) == 1
        return known

    problem = problems.Problem("once", problems.absolute_value().oracle, np.ones(1), 1.0, 1.0, 1, find_optimum=find)
    assert problem.optimum() is problem.optimum()
    assert problem.optimum().seconds > 0


NO_NUMBERS = {
    "masked": np.ma.array([1.0], mask=[True]),
    "partly masked": np.ma.array([1.0, 2.0], mask=[False, True]),
    "masked, without axes": np.ma.array(2.0, mask=True),
    "np.ma.masked": np.ma.masked,
    "complex": np.array([1 + 0j]),
    "objects": np.array([object()]),
    "text": "3",
    "texts": np.array(["3"]),
    "date": np.datetime64("2020-01-01"),
    "time": np.timedelta64(3, "D"),
    "records": np.zeros(1, dtype=[("a", float)]),
    "mapping": {},
    "signalling NaN": Decimal("sNaN"),
    "beyond float64": 10**400,
}
NO_ONE_NUMBER = {"True": True, "np.True_": np.True_, "vector": np.array([2.0]), "list": [2.0], "None": None}
OPTIMUM: dict[str, Any] = {"f_lo": 0, "f_hi": 1, "x": [0.0], "D_lo": 0, "D_hi": 1}
SCALARS: dict[str, Any] = {
    "absolute_value(x0)": lambda v: problems.absolute_value(x0=v),
    "norm2(p)": lambda v: problems.norm2(p=v),
    "max_abs(p)": lambda v: problems.max_abs(p=v),
    "drori_teboulle(m)": lambda v: problems.drori_teboulle(m=v),
    "drori_teboulle(D)": lambda v: problems.drori_teboulle(D=v),
    "drori_teboulle(G)": lambda v: problems.drori_teboulle(G=v),
    "l2": lambda v: problems.hinge(A, B, l2=v),
    "tau": lambda v: problems.quantile(A, B, tau=v),
    "from_callable(G)": lambda v: problems.from_callable(norm1, x0=1.0, G=v),
    "from_callable(G_inf)": lambda v: problems.from_callable(norm1, x0=1.0, G_inf=v),
    "f": lambda v: problems.from_callable(lambda x: (v, x), x0=1.0),
    **{f"Optimum({name})": lambda v, name=name: Optimum(**{**OPTIMUM, name: v})
       for name in ("f_lo", "f_hi", "D_lo", "D_hi", "D_inf_lo", "D_inf_hi", "radius", "D_estimate")},
    "radius": lambda v: problems.absolute_value().optimum(radius=v),
    "batch_bounds": lambda v: problems.hinge(A, B).batch_bounds(v),
}  # fmt: skip
VECTORS: dict[str, Any] = {
    "hinge(x0)": lambda v: problems.hinge(A, B, x0=v),
    "multinomial_logistic(labels)": lambda v: problems.multinomial_logistic(A[:1], v),
    "multinomial_logistic(x0)": lambda v: problems.multinomial_logistic(A, B, x0=v),
    "from_callable(x0)": lambda v: problems.from_callable(norm1, x0=v),
    "g": lambda v: problems.from_callable(lambda x: (0.0, v), x0=1.0),
    "Optimum(x)": lambda v: Optimum(**{**OPTIMUM, "x": v}),
    "value": lambda v: problems.absolute_value().value(v),
    "A": lambda v: problems.hinge(v, [1.0]),
    "b": lambda v: problems.hinge(A[:1], v),
}


@pytest.mark.parametrize("where", [*SCALARS, *VECTORS])
def test_what_is_no_number_is_refused_in_a_sentence_wherever_numbers_are_taken(where: str) -> None:
    wrong = {**NO_NUMBERS, **(NO_ONE_NUMBER if where in SCALARS else {})}
    for what, value in wrong.items():
        with pytest.raises(ValueError, match=r"\.$") as caught:
            {**SCALARS, **VECTORS}[where](value)
        assert "\n" not in str(caught.value), what
        assert len(str(caught.value)) < 250, what


@pytest.mark.parametrize("value", [2, 2.0, np.float32(2), np.int8(2), np.array(2.0), Fraction(2), Decimal(2)])
def test_every_kind_of_number_is_taken(value: Any) -> None:
    problem = problems.drori_teboulle(m=value, D=value, G=value)
    assert problem.identity == problems.drori_teboulle(m=2, D=2.0, G=2.0).identity


@pytest.mark.parametrize("value", [None, "yes", 1, np.ma.masked, [True]])
def test_an_intercept_that_is_neither_true_nor_false_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="intercept must be True or False, got"):
        problems.hinge(A, B, intercept=value)


@pytest.mark.parametrize("value", [3, None, b"a9a", ["a9a"], np.zeros((20, 20))])
def test_a_data_set_that_is_no_path_is_refused_in_a_sentence(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^a data set is given by its path or name, got .{1,60}\.$"):
        problems.load_libsvm(value)
