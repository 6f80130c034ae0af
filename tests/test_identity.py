"""Whose optimum: an optimum of another problem, or from another starting point, is refused everywhere."""

from __future__ import annotations

import functools
import itertools
import threading
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse

import dadapt_convex as dc
import problems
from experiments import store

RNG = np.random.default_rng(5)
A, TARGETS = RNG.standard_normal((12, 3)), RNG.standard_normal(12)
B, CLASSES = np.sign(TARGETS), np.arange(12) % 3
METHOD = "dadapt_dual_averaging"


def l1_norm(x):
    return float(np.abs(x).sum()), np.sign(x)


def distances_to(points):
    """A function that refers to data of its own."""

    def f_and_g(x):
        return float(np.abs(x - points).sum()), np.sign(x - points).sum(axis=0)

    return f_and_g


@functools.cache
def distinct():
    """Problems of which no two are one, by what tells them apart. Making the one with l2 compiles."""
    return {
        "logistic": problems.logistic(A, B),
        "no intercept": problems.logistic(A, B, intercept=False),
        "l2": problems.logistic(A, B, l2=0.1),
        "other data": problems.logistic(A + np.eye(12, 3) * 1e-16, B),
        "other labels": problems.logistic(A, -B),
        "other start": problems.logistic(A, B, x0=np.ones(4)),
        "hinge": problems.hinge(A, B),
        "lad": problems.least_absolute_deviation(A, B),
        "quantile": problems.quantile(A, B),
        "tau": problems.quantile(A, B, tau=0.75),
        "svr": problems.epsilon_insensitive(A, B),
        "epsilon": problems.epsilon_insensitive(A, B, epsilon=0.25),
        "huber": problems.huber(A, B),
        "delta": problems.huber(A, B, delta=0.25),
        "multinomial": problems.multinomial_logistic(A, CLASSES),
        "rows in another order": problems.multinomial_logistic(A[::-1], CLASSES[::-1]),
        "abs": problems.absolute_value(),
        "abs from -1": problems.absolute_value(-1.0),
        "norm of one": problems.norm2(1),
        "max_abs of one": problems.max_abs(1),
        "norm2": problems.norm2(20),
        "max_abs": problems.max_abs(20),
        "drori_teboulle": problems.drori_teboulle(m=20),
        "D": problems.drori_teboulle(m=20, D=2.0),
        "G": problems.drori_teboulle(m=20, G=2.0),
        "python": problems.from_callable(l1_norm, x0=[1.0], G=1.0),
        "python from 2": problems.from_callable(l1_norm, x0=[2.0], G=1.0),
        "python, G": problems.from_callable(l1_norm, x0=[1.0], G=2.0),
        "lambda": problems.from_callable(lambda x: l1_norm(x), x0=[1.0], G=1.0),
        "another lambda": problems.from_callable(lambda x: l1_norm(x - 0), x0=[1.0], G=1.0),
        "closure": problems.from_callable(distances_to(A), x0=np.zeros(3)),
        "another closure": problems.from_callable(distances_to(A + 1), x0=np.zeros(3)),
    }


def refused(words, call, *arguments, **named):
    with pytest.raises(ValueError) as raised:
        call(*arguments, **named)
    for word in words:
        assert word in str(raised.value), str(raised.value)
    assert "\n" not in str(raised.value)


def test_distinct_problems_have_distinct_identities():
    found = {name: problem.identity for name, problem in distinct().items()}
    assert len(set(found.values())) == len(found)
    assert all(len(identity) == 64 and int(identity, 16) for identity in found.values())


def csr(matrix):
    """CSR with a zero that is stored, and with row entries in another order."""
    rows, columns = (index.ravel()[::-1] for index in np.indices(matrix.shape))
    return scipy.sparse.csr_array(scipy.sparse.coo_array((matrix[rows, columns], (rows, columns)), shape=matrix.shape))


HOLES = np.where(A > 0.5, 0.0, A)


@pytest.mark.parametrize(
    ("problem", "same"),
    [
        (problems.logistic(A, B), problems.logistic(A.tolist(), B.astype(int)).renamed("other", source="elsewhere")),
        (problems.hinge(HOLES, B), problems.hinge(csr(HOLES), B)),
        (problems.hinge(HOLES, B), problems.hinge(np.where(HOLES == 0, -0.0, HOLES), B, x0=-np.zeros(4))),
        (problems.get("hinge[storage=csr]:digits"), problems.get("hinge:digits")),
        (problems.get("hard[x0=3]:abs"), problems.absolute_value(3.0)),
        (problems.from_callable(l1_norm, x0=[1.0]), problems.from_callable(l1_norm, x0=1, name="norm")),
        (
            problems.from_callable(distances_to(A), x0=np.zeros(3)),
            problems.from_callable(distances_to(A.copy()), x0=np.zeros(3)),
        ),
    ],
    ids=["name", "storage", "sign of zero", "digits", "hard", "python", "closure"],
)
def test_the_same_function_from_the_same_point_has_the_same_identity(problem, same):
    assert problem.identity == same.identity


def test_a_function_whose_data_cannot_be_told_has_an_identity_of_its_own():
    lock = threading.Lock()

    def locked(x):
        with lock:
            return l1_norm(x)

    first, second = (problems.from_callable(locked, x0=[1.0]) for _ in range(2))
    assert first.identity == first.renamed("again").identity != second.identity


def test_a_function_that_remembers_its_calls_stays_the_same_problem():
    calls = []

    def counted(x):
        calls.append(1)
        return l1_norm(x)

    known = problems.Optimum(0.0, 0.0, np.zeros(1), 1.0, 1.0)
    problem = problems.from_callable(counted, x0=[1.0], G=1.0, optimum=known)
    run = dc.solve(problem, METHOD, steps=5)
    assert len(dc.check(run, problem.renamed("again").optimum()))


# ---------------------------------------------------------------------------------------------------------
# Refusals

USES = {
    "check": lambda problem, run, optimum: dc.check(run, optimum),
    "gap_bounds": lambda problem, run, optimum: dc.gap_bounds(run, optimum),
    "solve": lambda problem, run, optimum: dc.solve(problem, METHOD, steps=5, optimum=optimum),
}
each_use = pytest.mark.parametrize("use", USES.values(), ids=USES)


@each_use
def test_the_optimum_of_another_problem_is_refused(use):
    """Of the same shape too, and where only data or a parameter differ."""
    alike = {name: p for name, p in distinct().items() if p.p == 1 and p.find_optimum is not None}
    alike["hinge"], alike["more loss"] = distinct()["hinge"], problems.hinge(A, B, l2=1.0)
    runs = {name: dc.solve(problem, METHOD, steps=5) for name, problem in alike.items()}
    optima = {name: problem.renamed(name).optimum() for name, problem in alike.items()}
    for name, other in itertools.permutations(alike, 2):
        words = [f"is that of {other},", f"problem here is {alike[name].name}", "optimum()"]
        refused(words, use, alike[name], runs[name], optima[other])
    for name, problem in alike.items():
        assert use(problem, runs[name], optima[name]) is not None


@each_use
@pytest.mark.parametrize(
    ("problem", "x0"),
    [
        (problems.absolute_value(), [-1.0]),
        (problems.hinge(A, B), [0.0, 0.0, 0.0, 1e-9]),
        (problems.norm2(3), np.eye(3)[0]),
    ],
    ids=["abs", "hinge", "norm2"],
)
def test_the_optimum_from_another_start_is_refused_for_that_reason(use, problem, x0):
    moved = replace(problem, x0=np.array(x0))
    run = dc.solve(moved, METHOD, steps=5)
    refused([problem.name, "from another x0, and D is the distance"], use, moved, run, problem.optimum())
    assert use(moved, run, moved.optimum()) is not None


@each_use
def test_names_do_not_matter_and_radii_are_of_the_same_problem(use):
    problem, other = problems.hinge(A, B), problems.hinge(A, B, l2=0.1)
    run = dc.solve(problem.renamed("mine"), METHOD, steps=5)
    for optimum in (problem.optimum(), problem.renamed("yours").optimum(), problem.optimum(radius=0.5)):
        assert use(problem, run, optimum) is not None
    refused(["that of hinge", "here is", "data or parameters"], use, problem, run, other.optimum(radius=0.5))


@each_use
def test_an_optimum_made_by_hand_needs_the_right_shape(use):
    problem = problems.absolute_value()
    run = dc.solve(problem, METHOD, steps=5)
    by_hand = problems.Optimum(f_lo=0.0, f_hi=0.0, x=np.zeros(1), D_lo=1.0, D_hi=1.0)
    assert use(problem, run, by_hand) is not None
    refused(["x has shape (2,)", "(1,)"], use, problem, run, replace(by_hand, x=np.zeros(2)))


def test_what_solve_refuses_is_refused_before_work():
    def untouchable(x):
        raise AssertionError("evaluated")

    problem = problems.absolute_value()
    lazy = replace(problem, oracle=dc.Oracle(function=untouchable))
    refused(["hard:norm2", "hard:abs"], dc.solve, lazy, METHOD, steps=5, optimum=problems.norm2(1).optimum())


def test_an_optimum_given_to_from_callable_must_be_for_its_start():
    optimum = problems.absolute_value(3.0).optimum()
    mine = problems.from_callable(l1_norm, x0=[3.0], G=1.0, optimum=optimum)
    assert len(dc.check(dc.solve(mine, METHOD, steps=5), mine.optimum()))
    assert mine.optimum().identity == mine.identity != optimum.identity
    refused(["hard:abs", "another x0"], problems.from_callable, l1_norm, x0=[2.0], optimum=optimum)
    refused(["shape (1,)", "shape (2,)"], problems.from_callable, l1_norm, x0=[3.0, 3.0], optimum=optimum)


# ---------------------------------------------------------------------------------------------------------
# Files


def test_stored_optima_come_back_with_their_identity(tmp_path):
    problem = problems.hinge(A, B)
    for optimum in (problem.optimum(), problem.optimum(radius=0.25)):
        store.write_certificate(tmp_path / "optimum.npz", optimum)
        again, _ = store.read_certificate(tmp_path / "optimum.npz")
        assert (again.identity, again.problem) == (problem.identity, "hinge")
        passed_on = replace(again, certificate=None)
        run, other = dc.solve(problem, METHOD, steps=5), dc.solve(problems.hinge(A, B, l2=0.1), METHOD, steps=5)
        assert len(dc.check(run, passed_on))
        refused(["that of hinge", "data or parameters"], dc.check, other, passed_on)


def test_optima_from_the_cache_have_the_identity_of_who_asks(tmp_path, monkeypatch):
    monkeypatch.setenv("DADAPT_CACHE", str(tmp_path))
    monkeypatch.setattr("problems.optimum.store.WORTH_KEEPING", 0.0)
    first, second = (problems.hinge(A, B, l2=0.125).renamed(name) for name in ("first", "second"))
    assert first.optimum().problem == "first"
    assert list((tmp_path / "optima").iterdir())
    monkeypatch.setattr("problems.optimum.certify.find_optimum", None)
    assert (second.optimum().problem, second.optimum().identity) == ("second", first.identity)
