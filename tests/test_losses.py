"""The declaration of a loss: parameters, kinks beside the formula, kernels made from it, a loss of one's own."""

from __future__ import annotations

import math
import os
import pickle
import subprocess
import sys
from pathlib import Path

import cvxpy as cp
import numpy as np
import pytest
import scipy.sparse
from exhaustive import EXHAUSTIVE

import dadapt_convex as dc
import problems
from problems.linear_models.linear_problem import linear_problem
from problems.linear_models.loss import Kink, Loss, Parameter, losses
from problems.linear_models.passes import kernels
from problems.optimum import complaints

ROOT = Path(__file__).resolve().parents[1]
MADE_OF_KINKS = [loss for loss in losses().values() if loss.kinks is not None]
each_loss = pytest.mark.parametrize("loss", losses().values(), ids=lambda loss: loss.short)
each_loss_of_kinks = pytest.mark.parametrize("loss", MADE_OF_KINKS, ids=lambda loss: loss.short)


def settings(loss):
    """Some values of the loss's parameters, each with the others at their defaults."""
    defaults = loss.checked({})
    for name, parameter in loss.parameters.items():
        for share in (0.1, 0.5, 0.9):
            low, high = parameter.low, min(parameter.high, parameter.low + 5.0)
            yield {**defaults, name: low + share * (high - low)}
    yield defaults


def kink_value(kink, z):
    """max {u r - soft u^2 / 2 : low <= u <= high}, over the ends and the point where the derivative is 0."""
    r = z - kink.at
    inner = np.clip(r / kink.soft, kink.low, kink.high) if kink.soft else kink.low
    return max(u * r - kink.soft / 2 * u * u for u in (kink.low, kink.high, inner))


@each_loss_of_kinks
def test_the_kinks_are_the_formula(loss):
    rng = np.random.default_rng(0)
    targets = (-1.0, 1.0) if loss.task == "binary" else 3 * rng.standard_normal(5)
    for parameters in settings(loss):
        for b in targets:
            kinks = [
                Kink(*(np.broadcast_to(v, 1)[0] for v in kink[:3]), kink.soft)
                for kink in loss.kinks(np.array([b]), **parameters)
            ]
            assert all(kink.low <= 0 <= kink.high for kink in kinks)
            ends = [kink.at + kink.soft * end for kink in kinks for end in (kink.low, 0.0, kink.high)]
            for z in [*ends, *(b + 6 * rng.standard_normal(50))]:
                value, slope = loss.kernels.formula(z, b, *parameters.values())
                expected = sum(kink_value(kink, z) for kink in kinks)
                assert value == pytest.approx(expected, rel=1e-14, abs=1e-14)
                for y in (z - 1.0, z - 1e-3, z + 1e-3, z + 1.0):  # the slope is one of the same function
                    assert sum(kink_value(kink, y) for kink in kinks) >= expected + slope * (y - z) - 1e-13


@each_loss_of_kinks
def test_the_largest_slope_is_attained(loss):
    for parameters in settings(loss):
        b = np.array([-1.0, 1.0])
        slope, slope_inf = loss.largest_slopes(b, parameters)
        attained = max(abs(loss.kernels.formula(z, y, *parameters.values())[1]) for y in b for z in (-1e6, 1e6))
        assert slope == slope_inf == attained


def test_a_parameter_says_its_interval_and_its_meaning():
    level = Parameter(0.5, "the level of the quantile", high=1.0)
    width = Parameter(0.1, "a width", closed=True)
    assert (level.interval, width.interval) == ("(0, 1)", "[0, inf)")
    assert width.checked("epsilon", 0) == 0.0
    for value in (0, 1, -1, math.nan):
        with pytest.raises(ValueError, match=r"^tau must be in \(0, 1\), got .*; it is the level of the quantile\.$"):
            level.checked("tau", value)
    for value in (-1e-300, math.inf, math.nan):
        with pytest.raises(ValueError, match=r"^epsilon must be in \[0, inf\), got "):
            width.checked("epsilon", value)


@each_loss
def test_a_parameter_of_another_loss_is_refused(loss):
    A, b = np.eye(3), [1.0, 2.0, 1.0]
    with pytest.raises(TypeError, match=r"takes no parameter 'width'\.$"):
        linear_problem(loss, A, b, width=1.0)
    with pytest.raises(TypeError, match="unexpected keyword argument 'width'"):
        getattr(problems, loss.name)(A, b, width=1.0)
    with pytest.raises(TypeError, match="too many positional arguments"):
        getattr(problems, loss.name)(A, b, 1.0)


@each_loss
def test_a_loss_and_its_kernels_travel_by_name(loss):
    for value in (loss, *loss.kernels[:4]):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            assert pickle.loads(pickle.dumps(value, protocol)) is value


COMPILED = 4 if EXHAUSTIVE else 1  # of the kernels of a loss
TWO = ("lad", "quantile") if EXHAUSTIVE else ("lad",)
USE = """
import numpy as np, problems, sys
from problems.linear_models.loss import losses
known = losses()
p = problems.{constructor}(np.eye(3), [1.0, 2.0, 1.0])
kernels = known["{loss}"].kernels[: int(sys.argv[1])]
print([kernel.is_compiled() for kernel in kernels])
for kernel in kernels:
    kernel.compile()
print(p.value(np.linspace(0.5, 1.5, p.p)).hex(), p.subgradient(np.linspace(0.5, 1.5, p.p)).tobytes().hex())
"""


def test_a_second_process_finds_the_compiled_kernels(tmp_path, monkeypatch):
    """Of two losses: kernels made by one function are told apart by the formula, and in the order of no set."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    seen = {}
    for loss in TWO:
        code = USE.format(loss=loss, constructor=losses()[loss].name)
        first, second = (
            subprocess.run(
                [sys.executable, "-c", code, str(COMPILED)], cwd=ROOT, capture_output=True, text=True, check=True,
                env={**os.environ, "PYTHONHASHSEED": hash_seed},
            ).stdout
            for hash_seed in ("1", "2")
        )  # fmt: skip
        assert first.splitlines()[0] == str([False] * COMPILED)
        assert second.splitlines()[0] == str([True] * COMPILED)
        assert first.splitlines()[1] == second.splitlines()[1]
        seen[loss] = first.splitlines()[1]
    assert len(set(seen.values())) == len(TWO)
    assert len(list(tmp_path.rglob("*.nbc"))) == len(TWO) * COMPILED


# ---------------------------------------------------------------------------------------------------------
# A loss of one's own, declared in this file alone


@dc.helper
def late_or_early(z, b, late):
    """Free within an hour of b; later costs `late` an hour, earlier 1/2."""
    if z > b + 1.0:
        return late * (z - (b + 1.0)), late
    if z < b - 1.0:
        return 0.5 * ((b - 1.0) - z), -0.5
    return 0.0, 0.0


KERNELS = kernels(late_or_early)
OWN = Loss(
    name="late_or_early",
    short="late",
    task="regression",
    title="Punctuality: what is late or early, on average.",
    formula="max(0, late (r_i - 1), -(r_i + 1) / 2)",
    example="",
    parameters={"late": Parameter(2.0, "what an hour costs")},
    kernels=KERNELS,
    kinks=lambda b, late: [Kink(b + 1.0, 0.0, late), Kink(b - 1.0, -0.5, 0.0)],
)


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("l2", [0.0, 0.01])
def test_a_loss_of_ones_own_is_bounded_run_and_certified(l2, sparse):
    rng = np.random.default_rng(5)
    A, b = rng.standard_normal((40, 3)), 5 * rng.standard_normal(40)
    p = linear_problem(OWN, scipy.sparse.csr_array(A) if sparse else A, b, l2=l2, late=3.0)
    x = cp.Variable(4)
    r = A @ x[:3] + x[3] - b
    f = cp.sum(cp.maximum(0, 3 * (r - 1), -(r + 1) / 2)) / 40 + l2 / 2 * cp.sum_squares(x)
    reference = cp.Problem(cp.Minimize(f)).solve(solver=cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11)
    optimum = p.optimum()
    assert optimum.f_hi - optimum.f_lo <= 4 * np.finfo(float).eps * optimum.f_hi
    assert optimum.f_lo == pytest.approx(reference, rel=1e-8, abs=0)
    assert complaints(p, optimum) == []
    assert optimum.D_hi - optimum.D_lo <= 1e-9 * optimum.D_hi
    run = dc.solve(p, "dadapt_dual_averaging", steps=100)
    assert run.trace["f"].min() >= optimum.f_lo
    if l2 == 0:
        assert np.linalg.norm(p.subgradient(np.full(4, 1e6))) <= p.G
    assert pickle.loads(pickle.dumps(p)).identity == p.identity


@dc.helper
def tilted(z, b, down, up):
    """max(-down r, up r) of r = z - b."""
    return (up * (z - b), up) if z > b else (down * (b - z), -down)


TILTED = kernels(tilted)


def tilted_loss(*names):
    return Loss(
        name="tilted", short="tilted", task="regression", title="", formula="", example="",
        parameters={name: Parameter(1.0, "a slope") for name in names}, kernels=TILTED,
        kinks=lambda b, down, up: [Kink(b, -down, up)],
    )  # fmt: skip


def test_a_formula_takes_its_parameters_in_the_order_of_their_declaration():
    p = linear_problem(tilted_loss("down", "up"), np.eye(2), [1.0, -1.0], intercept=False, down=3.0, up=5.0)
    assert p.value(p.x0) == (3.0 + 5.0) / 2
    assert p.subgradient(p.x0).tolist() == [-1.5, 2.5]
    for names in (("up", "down"), ("down",), ("down", "up", "third")):
        with pytest.raises(TypeError, match=r"the formula of tilted takes \(z, b, down, up\), and its parameters are"):
            tilted_loss(*names)


@dc.helper
def absolute(z, b):
    """|z - b|."""
    return (z - b, 1.0) if z > b else (b - z, -1.0)


@dc.helper
def soft_below(z, b):
    """Huber's loss for z < b, and |z - b| above."""
    r = z - b
    if r > 0:
        return r, 1.0
    return (0.5 * r * r, r) if r > -1 else (-r - 0.5, -1.0)


@dc.helper
def root(z, b):
    """The square root of |z - b|, which is not convex."""
    r = abs(z - b)
    return r**0.5, 0.5 / (r**0.5 if r > 0 else 1.0) * (1.0 if z > b else -1.0)


@dc.helper
def value_alone(z, b):
    return abs(z - b)


def declared(formula, kinks=None, **more):
    return Loss(
        name="own", short="own", task="regression", title="", formula="", example="", kernels=kernels(formula),
        kinks=kinks, **more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("formula", "kinks", "words"),
    [
        (soft_below, lambda b: [Kink(b, -1.0, 0.0, 1.0), Kink(b, 0.0, 1.0)], "must be equally soft"),
        (absolute, lambda b: [Kink(b, -0.9, 0.9), Kink(b, -0.05, 0.05), Kink(b, -0.05, 0.05)], "3 times the slopes"),
    ],
    ids=["a soft kink beside a hard one", "slopes that three rows would round"],
)
def test_kinks_that_rows_cannot_hold_exactly_are_refused(formula, kinks, words):
    p = linear_problem(declared(formula, kinks), np.eye(3), [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=words):
        p.optimum()


NOT_A_KINK = "a kink of own has at, low <= 0 and high >= 0, numbers for all 3 rows or for each, and soft >= 0, got Kink"


@pytest.mark.parametrize(
    ("formula", "kinks", "words"),
    [
        (absolute, lambda b: [Kink(b, -1.0, 2.0)], "the kinks of own add up to"),
        (absolute, lambda b: [Kink(b + 1, -1.0, 1.0)], "the kinks of own add up to"),
        (root, None, "the formula of own has the slope .* is below the tangent, .*; it must be convex"),
        (value_alone, None, r"the formula of own must return \(value, slope\), got"),
        (absolute, lambda b: Kink(b, -1.0, 1.0), r"the kinks of own must be a list of Kink\(at, low, high\), got Kink"),
        (absolute, lambda b: [], "the kinks of own must be a list of Kink"),
        (absolute, lambda b: [Kink(b, 0.5, 1.0)], NOT_A_KINK),
        (absolute, lambda b: [Kink(b[:2], -1.0, 1.0)], NOT_A_KINK),
        (absolute, lambda b: [Kink(b * np.nan, -1.0, 1.0)], NOT_A_KINK),
        (absolute, lambda b: [Kink(b, -np.inf, 1.0)], NOT_A_KINK),
        (absolute, lambda b: [Kink(b, -1.0, 1.0, -1.0)], NOT_A_KINK),
    ],
)
def test_a_formula_and_its_kinks_are_one_convex_function(formula, kinks, words):
    with pytest.raises(ValueError, match=words):
        linear_problem(declared(formula, kinks), np.eye(3), [1.0, 2.0, 3.0])


@pytest.mark.parametrize("scale", [1e-200, 1e-8, 1e8, 1e100])
def test_targets_of_any_size_have_a_formula_that_is_its_kinks(scale):
    loss = declared(absolute, lambda b: [Kink(b, -1.0, 1.0)])
    assert linear_problem(loss, np.eye(3), scale * np.array([1.0, -2.0, 3.0])).value(np.zeros(4)) == 2 * scale


def test_the_optimum_of_another_formula_is_not_taken_for_that_of_an_edited_one(tmp_path, monkeypatch):
    monkeypatch.setenv("DADAPT_CACHE", str(tmp_path))
    monkeypatch.setattr("problems.optimum.store.WORTH_KEEPING", 0.0)
    A, b = np.ones((3, 1)), [0.0, 1.0, 5.0]

    def twice(z, b):
        value, slope = absolute(z, b)
        return 2 * value, 2 * slope

    once = linear_problem(declared(absolute, lambda b: [Kink(b, -1.0, 1.0)]), A, b, intercept=False)
    edited = linear_problem(declared(dc.helper(twice), lambda b: [Kink(b, -2.0, 2.0)]), A, b, intercept=False)
    assert once.identity != edited.identity
    assert (once.optimum().f_hi, edited.optimum().f_hi) == pytest.approx((5 / 3, 10 / 3), rel=1e-15)


WEIGHT = 1.0


@dc.helper
def weighted(z, b):
    """WEIGHT |z - b|."""
    return (WEIGHT * (z - b), WEIGHT) if z > b else (WEIGHT * (b - z), -WEIGHT)


def test_a_constant_that_changed_since_a_loss_was_compiled_counts(monkeypatch):
    loss = declared(weighted, lambda b: [Kink(b, -WEIGHT, WEIGHT)])
    found = []
    for weight in (1.0, 2.0):
        monkeypatch.setattr("test_losses.WEIGHT", weight)
        p = linear_problem(loss, np.ones((3, 1)), [0.0, 1.0, 5.0])
        run = dc.solve(p, "subgradient", D=1.0, steps=2)
        found.append((p.value(p.x0), run.trace["f"].iloc[0], p.subgradient(p.x0)[0], p.G, p.identity))
    first, second = found
    assert second[:3] == tuple(2 * number for number in first[:3])
    assert second[3] > first[3]
    assert second[4] != first[4]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"late": 2.0}, r"own: late must be a Parameter\(default, meaning, \.\.\.\), got 2\.0"),
        ({"l2": Parameter(1.0, "")}, "own: l2 means something else in linear_problem; rename it"),
    ],
)
def test_parameters_of_a_loss_are_declared_as_such(parameters, words):
    with pytest.raises(TypeError, match=words):
        declared(absolute, parameters=parameters)


def test_a_default_is_in_its_interval():
    with pytest.raises(ValueError, match=r"the default of late must be in \(0, inf\), got -1\.0"):
        declared(late_or_early, parameters={"late": Parameter(-1.0, "what an hour costs")})


@pytest.mark.parametrize("formula", [lambda z, b: (z, 1.0), dc.helper(lambda z: (z, 1.0))], ids=["plain", "of z alone"])
def test_a_formula_is_a_helper_of_margin_and_target(formula):
    with pytest.raises(TypeError, match=r"a formula is decorated with dc\.helper and takes \(z, b, parameters\), got"):
        kernels(formula)


def test_two_losses_of_one_name_are_refused(tmp_path, monkeypatch):
    (tmp_path / "loss_of_a_test.py").write_text(
        "from dataclasses import replace\n\nfrom problems.linear_models.huber import LOSS as huber\n\n"
        "LOSS = replace(huber, name='another')\n"
    )
    package = problems.linear_models
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    with pytest.raises(ValueError, match=r"loss_of_a_test\.py: another loss has the short name 'huber'; give this one"):
        losses()
    monkeypatch.delitem(sys.modules, "problems.linear_models.loss_of_a_test")
