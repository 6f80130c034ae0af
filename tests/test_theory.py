"""Theorems: they hold where they should, wrong constants and broken methods are caught, intervals are carried."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from exhaustive import one_in

import dadapt_convex as dc
import problems
from dadapt_convex.theory import NOT_APPLICABLE, TIGHT, UNDECIDED, VERIFIED, VIOLATED, gap_sides

HOLDS = [VERIFIED, TIGHT]

# Random data, overlapping classes: a minimiser exists.
RNG = np.random.default_rng(5)
A = RNG.standard_normal((80, 4))
B = np.where(A @ [1.0, -1.0, 0.5, 0.0] + 1.5 * RNG.standard_normal(80) > 0, 1.0, -1.0)

HARD = [
    problems.absolute_value(),
    problems.absolute_value(-37.5),
    problems.norm2(6),
    problems.max_abs(9),
    problems.drori_teboulle(m=401, D=2.0, G=5.0),
]
DATA = [
    loss(A, B) for loss in (problems.logistic, problems.hinge, problems.least_absolute_deviation, problems.quantile)
]
DADAPT = [{"option": o, "step": s, "d0": d0} for o in ("I", "II") for s in ("plain", "modified") for d0 in (1e-8, 0.3)]
COSINE = {"schedule": "warmup(20, cosine(0.1))"}
FAMILY = [
    ("dadapt_gradient_descent", {"d0": 1e-8}),
    ("dadapt_gradient_descent", {"d0": 0.05}),
    ("dadapt_gradient_descent", COSINE),
    ("dadapt_gradient_descent", {"growth_rate": 1.05, "d0": 1e-3}),
    ("dadapt_adagrad", {"d0": 1e-8}),
    ("dadapt_adagrad", {"d0": 0.05}),
    ("dadapt_adagrad", {"d0": 0.05, **COSINE}),
    ("dadapt_adagrad", {"d0": 0.05, "lr": 2.0}),
    ("dadapt_adagrad", {"convention": "released", "momentum": 0.5}),
    ("dadapt_sgd", {}),
    ("dadapt_sgd", {"momentum": 0.0, "d0": 0.05}),
    ("dadapt_sgd", COSINE),
    ("dadapt_sgd", {"weight_decay": 0.1}),
    ("dadapt_adam", {}),
    ("dadapt_adam", {"convention": "released", "betas": (0.0, 0.9)}),
    ("dadapt_adam", {"bias_correction": True, "weight_decay": 0.1, "decouple": True}),
    ("sgd", {"lr": 0.1}),
    ("sgd", {"lr": 0.3, **COSINE}),
    ("sgd", {"lr": 0.1, "momentum": 0.9}),
    ("adagrad", {"lr": 1.0}),
    ("adam", {"lr": 0.1}),
    ("adam", {"lr": 0.1, "betas": (0.99, 0.9)}),
]
RUNS = [
    ("subgradient", {}),
    ("subgradient", {"schedule": "inverse_sqrt"}),
    ("subgradient_last_iterate", {}),
    ("polyak", {}),
    ("dual_averaging", {}),
    ("adagrad_norm", {}),
    ("adagrad_norm_dual_averaging", {}),
    *(("dadapt_dual_averaging", h) for h in DADAPT),
    *((name, COSINE) for name in ("subgradient", "polyak", "dual_averaging", "adagrad_norm")),
    ("dadapt_dual_averaging", COSINE),
    *(("prodigy_dual_averaging", h) for h in ({"d0": 1e-8}, {"d0": 0.3}, COSINE)),
    *FAMILY,
]


def name_of(value: object) -> str:
    return f"{value.name}-{value.p}" if isinstance(value, problems.Problem) else str(value)


def verdicts(method, problem, steps=400, checkpoints="all", **hyper):
    run = dc.solve(problem, method, steps=steps, checkpoints=checkpoints, **hyper)
    return dc.check(run, problem.optimum()).set_index("theorem")


@pytest.mark.parametrize(
    ("method", "hyper", "problem"), one_in(7, ((*run, p) for run in RUNS for p in HARD)), ids=name_of
)
def test_every_claim_holds_at_every_step_on_hard_instances(method, hyper, problem):
    found = verdicts(method, problem, **hyper)
    assert set(found["verdict"]) <= {*HOLDS, NOT_APPLICABLE}, found.to_string()
    assert (found["verdict"] == VERIFIED).any()
    assert (found.loc[found["verdict"] == NOT_APPLICABLE, "note"] != "").all()


@pytest.mark.parametrize(
    ("method", "hyper", "problem"), one_in(7, ((*run, p) for run in RUNS for p in DATA)), ids=name_of
)
def test_no_claim_is_violated_on_data(method, hyper, problem):
    found = verdicts(method, problem, **hyper)
    assert VIOLATED not in set(found["verdict"]), found.to_string()
    if method == "dadapt_dual_averaging" and "schedule" not in hyper:
        assert found.loc[["L1", "D3"], "verdict"].isin(HOLDS).all(), found.to_string()


def test_every_theorem_of_the_library_is_claimed_by_some_method():
    claimed = {claim for name in dc.methods() for claim in dc.get_method(name).claims}
    assert claimed == {name for name, theorem in dc.theorems().items() if not theorem.about}


# ---------------------------------------------------------------------------------------------------------
# Wrong constants


def slope_and_kink(slope: float) -> problems.Problem:
    """max(-slope x, x - 1) from 0: d and x grow along the slope, far below G = 1, before they meet the kink."""
    D = 1 / (1 + slope)
    f_star = -slope * D
    optimum = problems.Optimum(
        f_lo=f_star, f_hi=f_star, x=np.array([D]), D_lo=D, D_hi=D, D_inf_lo=D, D_inf_hi=D
    )  # fmt: skip

    def f_and_g(x):
        on_slope = -slope * x[0] >= x[0] - 1
        return max(-slope * x[0], x[0] - 1), np.array([-slope if on_slope else 1.0])

    return problems.from_callable(f_and_g, x0=[0.0], G=1.0, optimum=optimum)


def scaled(theorem: dc.Theorem, factor: float) -> dc.Theorem:
    """The same statement with its right-hand side multiplied."""

    def sides(case):
        lhs, rhs = theorem.sides(case)
        return dc.Sides(lhs, factor * rhs)

    return replace(theorem, sides=sides)


@pytest.mark.parametrize(
    ("theorem", "method", "hyper", "problem", "steps", "factor"),
    [
        ("D3", "dadapt_dual_averaging", {}, problems.absolute_value(), 400, 0.99),
        ("D3_a_priori", "dadapt_dual_averaging", {"step": "modified"}, problems.absolute_value(), 400, 0.9),
        ("D1", "dadapt_dual_averaging", {}, problems.absolute_value(), 400, 0.99),
        ("L1", "dadapt_dual_averaging", {"option": "II"}, problems.absolute_value(), 1000, 0.58),
        ("L1_half_distance", "dadapt_dual_averaging", {}, problems.absolute_value(), 400, 0.95),
        ("D2", "dadapt_dual_averaging", {}, problems.absolute_value(), 1000, 0.96),
        ("I2", "dadapt_dual_averaging", {}, problems.absolute_value(), 400, 0.999),
        ("I3", "dadapt_dual_averaging", {}, problems.absolute_value(), 400, 0.999),
        ("subgradient_rate", "subgradient", {}, problems.drori_teboulle(m=400), 400, 0.999),
        ("last_iterate_rate", "subgradient_last_iterate", {}, problems.drori_teboulle(m=400), 400, 0.999),
        ("last_iterate_rate", "subgradient_last_iterate", {"D": 0.5}, problems.absolute_value(), 5, 0.98),
        ("polyak_rate", "polyak", {}, problems.absolute_value(), 400, 0.999),
        (
            "subgradient_inverse_sqrt_rate", "subgradient", {"schedule": "inverse_sqrt"},
            problems.absolute_value(), 400, 0.99,
        ),
        ("dual_averaging_rate", "dual_averaging", {}, problems.drori_teboulle(m=400), 400, 0.7),
        ("polyak_sum_of_squares", "polyak", {}, problems.absolute_value(), 400, 0.999),
        ("polyak_inequality", "polyak", {}, problems.absolute_value(), 400, 0.999),
        ("non_asymptotic_lemma_sharper", "dadapt_dual_averaging", {}, problems.absolute_value(), 400, 0.999),
        (
            "non_asymptotic_sharper", "dadapt_dual_averaging", {"step": "modified", "d0": 1e-12},
            problems.absolute_value(), 1000, 0.36,
        ),
        ("D3_selected", "dadapt_dual_averaging", {"step": "modified"}, problems.absolute_value(), 400, 0.9),
        ("gd_D3", "dadapt_gradient_descent", {}, problems.absolute_value(), 400, 0.999),
        ("gd_D3_a_priori", "dadapt_gradient_descent", {"d0": 1e-8}, problems.absolute_value(), 400, 0.87),
        ("gd_rate", "dadapt_gradient_descent", {"d0": 1e-8}, problems.absolute_value(), 400, 0.66),
        ("gd_D1", "dadapt_gradient_descent", {}, problems.absolute_value(), 400, 0.999),
        ("gd_D2", "dadapt_gradient_descent", {}, problems.absolute_value(), 400, 0.92),
        ("I3", "dadapt_gradient_descent", {}, problems.norm2(6), 400, 0.999),
        ("L1_half_distance", "dadapt_gradient_descent", {}, problems.absolute_value(), 400, 0.95),
        ("prodigy_D1", "prodigy_dual_averaging", {}, slope_and_kink(0.01), 400, 0.99),
        ("prodigy_D3", "prodigy_dual_averaging", {}, slope_and_kink(0.01), 400, 0.99),
        ("prodigy_D3_a_priori", "prodigy_dual_averaging", {}, problems.drori_teboulle(m=5), 400, 0.74),
        ("prodigy_selected", "prodigy_dual_averaging", {}, problems.drori_teboulle(m=5), 400, 0.74),
        ("prodigy_rate", "prodigy_dual_averaging", {"d0": 1e-3}, problems.drori_teboulle(m=5), 400, 0.62),
        ("prodigy_rate", "prodigy_dual_averaging", {"d0": 1.0}, problems.drori_teboulle(m=400), 400, 0.36),
        ("prodigy_D3_any_d0", "prodigy_dual_averaging", {}, slope_and_kink(0.01), 400, 0.99),
        ("I3_simple", "prodigy_dual_averaging", {"d0": 0.9}, slope_and_kink(0.01), 400, 0.99),
        ("prodigy_kappa", "prodigy_dual_averaging", {}, problems.drori_teboulle(m=400), 400, 0.95),
        ("ada_D3", "dadapt_adagrad", {}, problems.absolute_value(), 400, 0.999),
        ("ada_D3_a_priori", "dadapt_adagrad", {}, problems.absolute_value(), 400, 0.9),
        ("ada_D1", "dadapt_adagrad", {}, problems.absolute_value(), 400, 0.999),
        ("ada_D2", "dadapt_adagrad", {}, problems.absolute_value(), 400, 0.96),
        ("ada_I2", "dadapt_adagrad", {}, problems.absolute_value(), 400, 0.999),
        ("ada_I3", "dadapt_adagrad", {}, problems.absolute_value(), 400, 0.999),
        ("sgd_I2", "dadapt_sgd", {"momentum": 0.0}, problems.absolute_value(), 400, 0.999),
        ("sgd_d_hat", "dadapt_sgd", {}, problems.norm2(6), 400, 0.87),
        ("dadapt_adam_step", "dadapt_adam", {}, problems.absolute_value(), 400, 0.999),
        ("sgd_basic_inequality", "sgd", {"lr": 0.1}, problems.absolute_value(), 400, 0.999),
        ("sgd_momentum", "sgd", {"lr": 0.1}, problems.absolute_value(), 400, 0.999),
        ("adagrad_rate", "adagrad", {"lr": 1.0}, problems.absolute_value(), 400, 0.66),
        ("adagrad_first_step", "adagrad", {"lr": 1.0}, problems.absolute_value(), 400, 0.999),
        ("adam_step", "adam", {"lr": 1.0}, problems.absolute_value(), 400, 0.999),
    ],
)  # fmt: skip
def test_a_constant_slightly_too_small_is_refuted(theorem, method, hyper, problem, steps, factor):
    run = dc.solve(problem, method, steps=steps, checkpoints="all", **hyper)
    claim = dc.theorems()[theorem]
    found = dc.check(run, problem.optimum(), theorems=[replace(scaled(claim, factor), name="too small")])
    found = found.set_index("theorem")["verdict"]
    assert found[theorem] in HOLDS
    assert found["too small"] == VIOLATED


def test_the_asymptotic_bound_is_false_without_its_condition():
    """On |x| with d_0 = 1e-6 it fails exactly for n in [160, 318], before d has settled."""
    problem = problems.absolute_value()
    run = dc.solve(problem, "dadapt_dual_averaging", steps=1000, checkpoints="all", d0=1e-6)
    n = run.trace["k"] - 1
    bound = 12 / np.sqrt(n + 1) + 8 / (n + 1)
    failing = n[run.trace["f_avg"] > bound].to_numpy()
    assert failing[0] == 160
    assert failing[-1] == 318
    unconditional = replace(dc.theorems()["asymptotic"], name="unconditional", rows=None)
    found = dc.check(run, problem.optimum(), theorems=[unconditional]).set_index("theorem")["verdict"]
    assert found["asymptotic"] in HOLDS
    assert found["unconditional"] == VIOLATED


def test_D2_needs_its_last_term():
    """A small first subgradient: sum gamma ||g||^2 exceeds 2 sqrt(S_n) by far, yet not 2 sqrt(S_n) + G^2/||g_0||."""

    def flat_then_steep(x):
        left, right = -0.01 * x[0], 10 * (x[0] - 1)
        return (right, [10.0]) if right > left else (left, [-0.01])

    problem = problems.from_callable(flat_then_steep, x0=[0.0], G=10.0)
    run = dc.solve(problem, "dadapt_dual_averaging", steps=20, checkpoints="all", d0=0.9)
    last = run.trace.iloc[-1]
    assert last["sum_gamma_g2"] > 10 * 2 * math.sqrt(last["S"])
    found = dc.check(run).set_index("theorem")["verdict"]
    assert found["D2"] in HOLDS


def test_the_factor_2_of_algorithm_4_breaks_the_lower_bound_on_D():
    """On |x| with momentum 0, d rises to 1.114 D; what is left is 2 D. With momentum 0.9 d rises to 5.787 D."""
    problem = problems.absolute_value()
    at_most_D = dc.Theorem(
        name="at most D",
        statement="d_hat_{n+1} <= D",
        source="nobody",
        sides=lambda c: dc.Sides(c.d_hat, c.D),
    )
    run = dc.solve(problem, "dadapt_sgd", steps=400, momentum=0.0)
    assert run.trace["d"].iloc[-1] == pytest.approx(1.114, abs=5e-4)
    found = dc.check(run, problem.optimum(), theorems=[at_most_D]).set_index("theorem")
    assert found.loc["at most D", "verdict"] == VIOLATED
    assert found.loc["at most D", "worst_ratio"] == pytest.approx(1.114, abs=5e-4)
    assert found.loc["sgd_d_hat", "verdict"] in HOLDS
    with_momentum = dc.solve(problem, "dadapt_sgd", steps=400)
    assert with_momentum.trace["d"].iloc[-1] == pytest.approx(5.787, abs=5e-4)
    found = dc.check(with_momentum, problem.optimum(), theorems=[at_most_D]).set_index("theorem")["verdict"]
    assert found[["at most D", "sgd_d_hat"]].tolist() == [VIOLATED, VERIFIED]


def test_the_released_AdaGrad_exceeds_D_inf():
    """Without the 1/2, from a_0 = 1e-3: d_hat_{n+1} <= D_inf is not claimed, and would be false."""
    problem = problems.absolute_value()
    run = dc.solve(problem, "dadapt_adagrad", steps=400, convention="released")
    assert run.trace["d"].iloc[-1] > 1.02
    found = dc.check(run, problem.optimum()).set_index("theorem")
    assert found.loc["ada_L1", "verdict"] == NOT_APPLICABLE
    assert "needs convention='paper'" in found.loc["ada_L1", "note"]
    everywhere = replace(dc.theorems()["ada_L1"], name="everywhere", assumptions=())
    assert dc.check(run, problem.optimum(), theorems=[everywhere]).set_index("theorem").loc[
        "everywhere", "verdict"
    ] == (VIOLATED)


# ---------------------------------------------------------------------------------------------------------
# Schedules


@pytest.mark.parametrize(
    ("method", "any_schedule"),
    [
        ("dadapt_dual_averaging", {"L1", "L1_half_distance", "options", "D2", "I1", "I2", "I2_comparator", "I3"}),
        ("dual_averaging", {"I1", "I2", "I3", "I3_simple"}),
        ("subgradient", {"basic_inequality"}),
        ("polyak", {"polyak_inequality"}),
        ("dadapt_gradient_descent", {"L1", "gd_D3", "gd_D1", "I2", "I3"}),
        ("prodigy_dual_averaging", {"L1", "prodigy_D3", "prodigy_D3_any_d0", "prodigy_D1", "I2", "I3", "I3_simple"}),
        ("dadapt_adagrad", {"ada_L1", "ada_D3", "ada_I2", "ada_I3"}),
        ("dadapt_sgd", {"sgd_I2", "sgd_d_hat"}),
        ("sgd", {"sgd_basic_inequality"}),
    ],
)
def test_a_theorem_says_which_schedules_it_covers(method, any_schedule):
    problem = problems.norm2(6)
    constant = verdicts(method, problem)
    for schedule in ("warmup(20, cosine)", "stagewise(100)", lambda k: 3.0 if k % 2 else 0.0):
        found = verdicts(method, problem, schedule=schedule)
        assert set(found.index[found["verdict"].isin(HOLDS)]) >= any_schedule
        assert VIOLATED not in set(found["verdict"]), found.to_string()
        uncovered = [name for name in found.index if dc.theorems()[name].schedule == "constant"]
        assert found.loc[uncovered, "verdict"].eq(NOT_APPLICABLE).all()
    for name in uncovered:
        if constant.loc[name, "verdict"] != NOT_APPLICABLE:
            assert "needs schedule='constant', the run has" in found.loc[name, "note"]


def test_a_bound_for_the_constant_schedule_is_false_for_another():
    """(D3) bounds sum lambda_k^2 by d_{n+1}^2: with lambda_k = 10 d_k it fails, and so it must not be applied."""
    problem = problems.absolute_value()
    run = dc.solve(problem, "dadapt_dual_averaging", steps=400, d0=0.1, schedule=lambda k: 10.0, checkpoints="all")
    anyway = [replace(dc.theorems()[name], name=f"{name} anyway", schedule="any") for name in ("D1", "D3")]
    found = dc.check(run, problem.optimum(), theorems=anyway).set_index("theorem")["verdict"]
    assert found[["D1", "D3"]].eq(NOT_APPLICABLE).all()
    assert VIOLATED in set(found[["D1 anyway", "D3 anyway"]])
    assert found[["L1", "I2", "I3"]].isin(HOLDS).all()


# ---------------------------------------------------------------------------------------------------------
# Stochastic gradients: diagnostics, never verdicts


def test_skewed_noise_drives_the_estimate_above_D_in_three_of_four_runs():
    """+3 with probability 0.999, -2997 with 0.001, on |x| from 1: why there are diagnostics in place of verdicts.

    Of seeds 0 to 99 some 70 end above D, and some 37 never draw the rare value.
    """
    problem = problems.absolute_value()
    above = []
    for seed in range(4):
        run = dc.solve(problem, "dadapt_dual_averaging", steps=1000, noise="skewed(1)", seed=seed, checkpoints="all")
        found = dc.check(run, problem.optimum()).set_index("theorem").loc["L1"]
        assert found["verdict"] == NOT_APPLICABLE
        d = np.maximum(run.trace["d"], run.trace["d_hat"])
        if (d > 1).any():
            above.append(seed)
            k = int(run.trace["k"][d.argmax()])
            expected = f"exceeded at {(d > 1).sum()} of 1000 checkpoints, at most {d.max():.3g} times (k = {k})"
            assert found["note"] == f"stochastic gradients, a diagnostic: {expected}"
            assert (found["worst_ratio"], found["k"]) == (pytest.approx(d.max(), rel=1e-12), k)
        else:
            assert found["note"] == "stochastic gradients, a diagnostic: kept at all 1000 checkpoints"
            assert found["worst_ratio"] == pytest.approx(d.max(), rel=1e-12)
    assert len(above) == 3


@pytest.mark.parametrize("method", dc.methods())
@pytest.mark.parametrize("given", [{"batch_size": 8}, {"noise": "gaussian(0.5)"}], ids=str)
def test_a_stochastic_run_has_no_verdict_on_a_bound(method, given):
    problem = problems.hinge(A, B)
    known = {"D": 2.0, "eta": 2.0, "f_star": 0.2}
    hyper = {name: v for name, v in known.items() if name in dc.get_method(method).parameters}
    run = dc.solve(problem, method, steps=200, **given, **hyper)
    for optimum in (problem.optimum(), None):
        found = dc.check(run, optimum)
        bounds = found["kind"] != "definition"
        assert set(found.loc[bounds, "verdict"]) == {NOT_APPLICABLE}
        assert set(found.loc[~bounds, "verdict"]) <= {VERIFIED, NOT_APPLICABLE}  # an iteration is what it is
        assert (found["note"] != "").all()
    assert dc.gap_bounds(run, problem.optimum()).empty


def test_a_diagnostic_reads_D_at_its_upper_end():
    """What D could be at most is what d is compared with; without an upper end there is nothing to compare with."""
    problem = problems.absolute_value()
    run = dc.solve(problem, "dadapt_dual_averaging", steps=1000, noise="skewed(1)", seed=1)
    d = float(np.maximum(run.trace["d"], run.trace["d_hat"]).max())
    for D_hi in (1.0, 50.0, 1e9):
        found = dc.check(run, Interval(0.0, 0.0, 0.5, D_hi, np.zeros(1))).set_index("theorem").loc["L1"]
        assert found["worst_ratio"] == pytest.approx(d / D_hi, rel=1e-12)
        assert ("exceeded" in found["note"]) == (d > D_hi)
    found = dc.check(run, Interval(0.0, 0.0, 0.5, math.inf, np.zeros(1))).set_index("theorem").loc["L1"]
    assert found["note"] == "stochastic gradients, a diagnostic: none, as D has no upper end"


# ---------------------------------------------------------------------------------------------------------
# Intervals and assumptions


@dataclass(frozen=True)
class Interval:
    f_lo: float
    f_hi: float
    D_lo: float
    D_hi: float
    x: np.ndarray
    attained: bool | None = True


@pytest.mark.parametrize("method", ["dadapt_gradient_descent", "dadapt_adagrad", "dadapt_sgd", "sgd", "adagrad"])
@pytest.mark.parametrize("f_lo", [-math.inf, -1e300])
def test_nothing_about_f_star_is_verified_where_it_is_not_known_from_below(method, f_lo):
    problem = problems.absolute_value()
    run = dc.solve(problem, method, steps=300)
    known = dc.check(run, problem.optimum()).set_index("theorem")
    found = dc.check(run, Interval(f_lo, 0.0, 1.0, 1.0, np.zeros(1))).set_index("theorem")
    needs = [n for n in found.index if "f*" in dc.theorems()[n].statement and dc.theorems()[n].uses_optimum]
    needs = [name for name in needs if known.loc[name, "verdict"] in HOLDS]
    assert needs
    assert found.loc[needs, "verdict"].eq(UNDECIDED).all(), found.to_string()


@pytest.mark.parametrize("columns", ["sum_gamma_lambda_gs", "sum_gamma_lambda2_g2", "gamma", "d_hat", "s_norm"])
def test_an_identity_that_is_off_by_1e9th_is_violated(columns):
    """The allowance is for rounding, some 1e-12, and for nothing else."""
    problem = problems.least_absolute_deviation(A, B)
    run = dc.solve(problem, "dadapt_dual_averaging", steps=100, d0=0.1, checkpoints="all")
    assert VIOLATED not in set(dc.check(run, problem.optimum())["verdict"])
    rows = [{**row, columns: row[columns] * (1 + 1e-9)} for row in run.rows]
    found = dc.check(replace(run, rows=rows), problem.optimum()).set_index("theorem")["verdict"]
    assert VIOLATED in set(found[["I1", "definition_d_hat", "definition_gamma", "definition_s"]])


def test_the_optimum_of_a_ball_serves_what_holds_for_any_point_alone():
    """On separable data iterates fall below the minimum over a ball; d then passes the distance to its minimisers."""
    rng = np.random.default_rng(0)
    A_separable = rng.standard_normal((30, 4))
    problem = problems.logistic(A_separable, np.sign(A_separable @ rng.standard_normal(4)), intercept=False)
    ball = problem.optimum(radius=0.5)
    assert ball.attained
    for method, claim in (("dadapt_gradient_descent", "L1"), ("dadapt_adagrad", "ada_L1"), ("dadapt_sgd", "sgd_d_hat"),
                          ("dadapt_dual_averaging", "D3"), ("adagrad_norm", "adagrad_norm_rate"),
                          ("polyak", "polyak_rate"), ("subgradient_last_iterate", "last_iterate_rate")):  # fmt: skip
        known = {"D": 0.5, "eta": 0.5} if method in ("adagrad_norm", "subgradient_last_iterate") else {}
        hyper = {name: v for name, v in known.items() if name in dc.get_method(method).parameters}
        run = dc.solve(problem, method, steps=5000, optimum=ball, **hyper)
        found = dc.check(run, ball).set_index("theorem")
        assert VIOLATED not in set(found["verdict"]), found.to_string()
        assert found.loc[claim, "verdict"] == NOT_APPLICABLE
        assert "needs a minimiser of f, and the optimum is that of a ball of radius 0.5" in found.loc[claim, "note"]
        for name in {"I2", "I3", "I3_simple", "ada_I2", "ada_I3", "sgd_I2"} & set(found.index):
            assert found.loc[name, "verdict"] in HOLDS
    below = dc.solve(problem, "dadapt_gradient_descent", steps=5000)
    assert below.trace["f_best"].iloc[-1] < ball.f_lo  # so the assumption is not met indeed
    assert below.trace["d"].iloc[-1] > ball.D_hi


def test_a_ball_with_a_minimiser_inside_changes_nothing():
    problem = problems.hinge(A, B)
    run = dc.solve(problem, "dadapt_dual_averaging", steps=300)
    inside = problem.optimum(radius=3 * problem.optimum().D_hi)
    assert dc.check(run, inside)["verdict"].tolist() == dc.check(run, problem.optimum())["verdict"].tolist()


@pytest.mark.parametrize("make", [problems.absolute_value, problems.norm2, problems.max_abs, problems.drori_teboulle])
def test_closed_forms_know_where_the_problem_starts(make):
    problem = make()
    x0 = problem.optimum().x + 10.0
    moved = replace(problem, x0=x0)
    assert moved.optimum().D_lo <= 10.0 * math.sqrt(problem.p) <= moved.optimum().D_hi
    assert moved.optimum().D_inf_lo <= 10.0 <= moved.optimum().D_inf_hi
    assert VIOLATED not in set(verdicts("dadapt_dual_averaging", moved)["verdict"])


def test_a_given_optimum_belongs_to_its_starting_point():
    f_and_g = lambda x: (float(np.abs(x).max()), np.sign(x) * (np.abs(x) == np.abs(x).max()))  # noqa: E731
    optimum = problems.Optimum(f_lo=0.0, f_hi=0.0, x=np.zeros(1), D_lo=1.0, D_hi=1.0)
    problem = problems.from_callable(f_and_g, x0=[1.0], G=1.0, optimum=optimum)
    assert problem.optimum().D_hi == 1.0
    with pytest.raises(ValueError, match="another x0"):
        replace(problem, x0=np.array([2.0])).optimum()


@pytest.mark.parametrize("method", ["dadapt_dual_averaging", *(name for name, _ in FAMILY[::4]), "dadapt_adam"])
@pytest.mark.parametrize("d0", [1e-300, 1e-165, 1e-158, 1e-150, 1e150, 1e155, 1e200])
def test_beyond_the_range_of_float64_nothing_is_violated(method, d0):
    for problem in (problems.absolute_value(), problems.least_absolute_deviation(A, B)):
        own = {"d0": d0} if "d0" in dc.get_method(method).parameters else {"lr": d0}
        with np.errstate(all="ignore"):
            run = dc.solve(problem, method, steps=50, **own)
            found = dc.check(run, problem.optimum())
        assert VIOLATED not in set(found["verdict"]), found.to_string()
    if "d0" in own or d0 > 1:  # otherwise nothing moves, and all norms are 0 or ordinary
        assert found["note"].str.contains("the range of float64").any()


def test_within_the_range_of_float64_the_verdicts_stay():
    for d0 in (1e-140, 1e-30):
        found = dc.check(dc.solve(HARD[0], "dadapt_dual_averaging", steps=50, d0=d0), HARD[0].optimum())
        assert set(found.set_index("theorem").loc[["L1", "I1", "I2", "I3", "D1", "D3"], "verdict"]) <= {*HOLDS}


def test_wide_intervals_leave_a_claim_undecided_and_never_violated():
    problem = problems.absolute_value()
    run = dc.solve(problem, "dadapt_dual_averaging", steps=400)
    wide = dc.check(run, Interval(-1.0, 0.0, 0.0, math.inf, np.zeros(1))).set_index("theorem")["verdict"]
    assert wide["D3"] == UNDECIDED
    assert VIOLATED not in set(wide)


def test_a_wrong_optimum_is_noticed():
    """f* claimed too low by 10 D G/sqrt(n): D3 fails at both ends. A D claimed too small breaks L1."""
    problem = problems.absolute_value()
    run = dc.solve(problem, "dadapt_dual_averaging", steps=400)
    low = dc.check(run, Interval(-0.5, -0.5, 1.0, 1.0, np.zeros(1))).set_index("theorem")["verdict"]
    assert low["D3"] == VIOLATED
    near = dc.check(run, Interval(0.0, 0.0, 0.4, 0.4, np.zeros(1))).set_index("theorem")["verdict"]
    assert near["L1"] == VIOLATED


def test_claims_that_need_a_minimiser_do_not_apply_without_one():
    A_separable = np.array([[1.0], [2.0], [-1.0], [-3.0]])
    problem = problems.logistic(A_separable, np.sign(A_separable[:, 0]), intercept=False)
    run = dc.solve(problem, "dadapt_dual_averaging", steps=300)
    optimum = Interval(0.0, 0.0, math.inf, math.inf, np.zeros(1), attained=False)
    found = dc.check(run, optimum).set_index("theorem")
    assert found.loc[["L1", "D3", "asymptotic", "I2", "I3"], "verdict"].eq(NOT_APPLICABLE).all()
    assert found.loc["D3", "note"] == "no minimiser exists, D is infinite"
    assert found.loc[["D1", "D2", "I1", "I2_comparator", "non_asymptotic_lemma"], "verdict"].isin(HOLDS).all()


def test_d0_above_D_makes_the_claims_inapplicable_not_violated():
    problem = problems.absolute_value()
    found = verdicts("dadapt_dual_averaging", problem, d0=2.0)
    assert found.loc["D3", "verdict"] == NOT_APPLICABLE
    assert "d0" in found.loc["D3", "note"]
    assert VIOLATED not in set(found["verdict"])


def test_D_inf_is_read_from_the_optimum_or_from_D():
    """D / sqrt(p) <= D_inf <= D, where no interval is given."""
    problem = problems.norm2(4)  # x0 = (1, 1, 1, 1)/2: D = 1, D_inf = 1/2
    run = dc.solve(problem, "dadapt_adagrad", steps=400, d0=0.3)
    exact = problem.optimum()
    assert (exact.D_inf_lo, exact.D_inf_hi) == pytest.approx((0.5, 0.5))
    ratio = dc.check(run, exact).set_index("theorem").loc["ada_L1", "worst_ratio"]
    unknown = dc.check(run, Interval(0.0, 0.0, 1.0, 1.0, np.zeros(4))).set_index("theorem").loc["ada_L1"]
    assert unknown["verdict"] in HOLDS
    assert unknown["worst_ratio"] == pytest.approx(ratio, rel=1e-12)  # sqrt(4) = 2: the lower end is exact here
    above = dc.solve(problem, "dadapt_adagrad", steps=50, d0=0.7)
    notes = dc.check(above, exact).set_index("theorem")
    assert notes.loc["ada_L1", "verdict"] == NOT_APPLICABLE
    assert "needs d0 <= D_inf, and d0 = 0.7 > D_inf = 0.5" in notes.loc["ada_L1", "note"]
    assert dc.check(above, Interval(0.0, 0.0, 1.0, 1.0, np.zeros(4))).set_index("theorem").loc["ada_L1", "verdict"] == (
        UNDECIDED
    )


def test_G_inf_too_small_makes_the_claims_inapplicable():
    found = verdicts("dadapt_adagrad", problems.absolute_value(), G_inf=0.5)
    assert found.loc[["ada_D2", "ada_D3_a_priori", "ada_asymptotic"], "verdict"].eq(NOT_APPLICABLE).all()
    assert "needs |g_k| <= G_inf = 0.5, and 1 was seen" in found.loc["ada_D2", "note"]
    assert found.loc[["ada_L1", "ada_D3"], "verdict"].isin(HOLDS).all()


@pytest.mark.parametrize("method", ["dadapt_adagrad", "dadapt_sgd", "sgd", "adagrad"])
def test_weight_decay_makes_the_claims_about_f_inapplicable(method):
    """The method then minimises another function."""
    found = verdicts(method, problems.norm2(4), weight_decay=0.5)
    about_f = [name for name in found.index if dc.theorems()[name].uses_optimum and name != "regret"]
    assert found.loc[about_f, "verdict"].eq(NOT_APPLICABLE).all()
    assert found.loc[about_f, "note"].str.contains(r"needs (?:weight_decay=0.0|momentum=0.0)").all()


@pytest.mark.parametrize("G", [0.5, 0.1, 1e-3])
def test_G_too_small_for_the_modified_step_violates_nothing(G):
    found = verdicts("dadapt_dual_averaging", problems.absolute_value(), step="modified", G=G)
    assert VIOLATED not in set(found["verdict"]), found.to_string()
    assert found.loc[["D2", "D3_a_priori", "asymptotic", "non_asymptotic"], "verdict"].eq(NOT_APPLICABLE).all()
    assert found.loc["D3", "verdict"] in HOLDS


@pytest.mark.parametrize(("method", "D3"), [("dadapt_dual_averaging", "D3"), ("prodigy_dual_averaging", "prodigy_D3")])
def test_d0_above_D_still_has_its_bound_with_d0_in_place_of_D(method, D3):
    for d0 in (1.5, 2.0, 100.0):
        found = verdicts(method, problems.absolute_value(), d0=d0)
        assert found.loc[D3, "verdict"] == NOT_APPLICABLE
        assert found.loc[f"{D3}_any_d0", "verdict"] in HOLDS


@pytest.mark.parametrize(
    ("method", "hyper", "offset"), one_in(4, ((*run, offset) for run in RUNS for offset in (1e6, 1e8, 1e12))), ids=str
)
def test_a_starting_point_far_from_the_origin_violates_nothing(method, hyper, offset):
    """D = 1 and iterates known to eps ||x0|| only."""
    problem = problems.least_absolute_deviation([[1.0]], [offset + 1], intercept=False, x0=[offset])
    optimum = Interval(0.0, 0.0, 1.0, 1.0, np.array([offset + 1]))
    run = dc.solve(problem, method, steps=400, checkpoints="all", optimum=optimum, **hyper)
    found = dc.check(run, optimum)
    assert VIOLATED not in set(found["verdict"]), found.to_string()


@pytest.mark.parametrize("offset", [1e6, 1e8, 1e12])
def test_D_as_large_as_the_starting_point_violates_nothing(offset):
    tiny = verdicts("dadapt_dual_averaging", problems.absolute_value(offset))
    assert VIOLATED not in set(tiny["verdict"]), tiny.to_string()


def test_polyak_below_the_minimum_is_judged_only_where_its_analysis_holds():
    """f_star = f_lo one unit in the last place below f*: on a smooth f the step explodes once the gap is as small."""
    rng = np.random.default_rng(8)
    data = rng.standard_normal((60, 2))
    labels = np.where(data @ rng.standard_normal(2) + rng.standard_normal(60) > 0, 1.0, -1.0)
    centre = problems.logistic(data, labels).optimum().x
    for offset in (3e-4, 1e-2):
        problem = problems.logistic(data, labels, x0=centre + offset * rng.standard_normal(3))
        found = verdicts("polyak", problem, steps=20_000, checkpoints="log")
        assert VIOLATED not in set(found["verdict"]), found.to_string()
        assert found.loc["polyak_inequality", "verdict"] in HOLDS


def test_an_average_that_is_not_the_average_is_noticed():
    problem = problems.absolute_value()
    run = dc.solve(problem, "dadapt_dual_averaging", steps=400)
    wrong = replace(run, rows=[{**row, "f_avg": 1e6} for row in run.rows])
    assert dc.check(wrong, problem.optimum()).set_index("theorem").loc["D3", "verdict"] == VIOLATED


def test_G_too_small_makes_the_claims_inapplicable():
    found = verdicts("subgradient", problems.absolute_value(), G=0.5)
    assert found.loc["subgradient_rate", "verdict"] == NOT_APPLICABLE
    assert "||g_k|| <= G" in found.loc["subgradient_rate", "note"]


def test_without_an_optimum_only_statements_about_the_run_itself_are_checked():
    run = dc.solve(problems.absolute_value(), "dadapt_dual_averaging", steps=100)
    found = dc.check(run).set_index("theorem")["verdict"]
    assert found["D3"] == NOT_APPLICABLE
    assert found["D1"] in HOLDS


def test_starting_at_a_minimiser_applies_no_theorem():
    problem = problems.norm2(3)
    at_zero = replace(problem, x0=np.zeros(3))
    for name in ("dadapt_dual_averaging", "polyak"):
        run = dc.solve(at_zero, name, steps=10)
        found = dc.check(run, Interval(0.0, 0.0, 0.0, 0.0, np.zeros(3)))
        assert set(found["verdict"]) == {NOT_APPLICABLE}
        assert found["note"].str.contains("g_0 = 0").all()


def test_a_theorem_of_ones_own_is_checked_like_the_others():
    slow = dc.Theorem(
        name="too good",
        statement="f(x_avg) - f* <= D G / (n + 1)",
        source="nobody",
        sides=lambda case: gap_sides(case, case.D * case.G / case.k),
        iterate="average",
    )
    problem = problems.drori_teboulle(m=200)
    run = dc.solve(problem, "dadapt_dual_averaging", steps=200)
    found = dc.check(run, problem.optimum(), theorems=[slow]).set_index("theorem")
    assert found.loc["too good", "verdict"] == VIOLATED


def test_gap_bounds_start_with_the_methods_own_and_lie_above_the_gap():
    problem = problems.max_abs(9)
    for method, hyper in RUNS:
        run = dc.solve(problem, method, steps=200, **hyper)
        bounds = dc.gap_bounds(run, problem.optimum())
        if bounds.empty:
            # a method without a bound on a point's gap, or another setting than its theorem's
            assert not any(dc.theorems()[claim].figure for claim in run.method.claims) or hyper
            continue
        first = bounds[bounds["theorem"] == bounds["theorem"].iloc[0]]
        column = {"average": "f_avg", "best": "f_best", "last": "f"}[first["iterate"].iloc[0]]
        gap = run.trace.set_index("k").loc[first["k"], column].to_numpy()
        assert (gap <= first["bound"].to_numpy() * (1 + 1e-12)).all()


def test_an_unknown_claim_is_named():
    method = replace(dc.get_method("polyak"), claims=("polyak_rat",))
    with pytest.raises(ValueError, match="did you mean polyak_rate"):
        dc.solve(problems.absolute_value(), method, steps=3)
