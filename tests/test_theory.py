"""Theorems: they hold where they should, wrong constants and broken methods are caught, intervals are carried."""

from __future__ import annotations

import inspect
import math
import textwrap
from dataclasses import dataclass, replace

import numpy as np
import pytest

import dadapt_convex as dc
import problems
from dadapt_convex.oracle import step
from dadapt_convex.theory.theorem import NOT_APPLICABLE, UNDECIDED, VERIFIED, VIOLATED, gap_sides

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
DADAPT = [{"option": o, "step": s, "d0": d0} for o in ("I", "II") for s in ("plain", "modified") for d0 in (1e-8, 0.3)]
RUNS = [
    ("subgradient", {}),
    ("subgradient", {"schedule": "inverse_sqrt"}),
    ("subgradient_last_iterate", {}),
    ("polyak", {}),
    ("dual_averaging", {}),
    ("adagrad_norm", {}),
    ("adagrad_norm_dual_averaging", {}),
    *(("dadapt_dual_averaging", h) for h in DADAPT),
]


def verdicts(method, problem, steps=400, checkpoints="all", **hyper):
    run = dc.solve(problem, method, steps=steps, checkpoints=checkpoints, **hyper)
    return dc.check(run, problem.optimum()).set_index("theorem")


@pytest.mark.parametrize("problem", HARD, ids=lambda p: f"{p.name}-{p.p}")
@pytest.mark.parametrize(("method", "hyper"), RUNS, ids=str)
def test_every_claim_holds_at_every_step_on_hard_instances(method, hyper, problem):
    found = verdicts(method, problem, **hyper)
    assert set(found["verdict"]) <= {VERIFIED, NOT_APPLICABLE}, found.to_string()
    assert (found["verdict"] == VERIFIED).any()
    assert (found.loc[found["verdict"] == NOT_APPLICABLE, "note"] != "").all()


@pytest.mark.parametrize(
    "loss", [problems.logistic, problems.hinge, problems.least_absolute_deviation, problems.quantile]
)
@pytest.mark.parametrize(("method", "hyper"), RUNS, ids=str)
def test_no_claim_is_violated_on_data(method, hyper, loss):
    problem = loss(A, B)
    found = verdicts(method, problem, **hyper)
    assert VIOLATED not in set(found["verdict"]), found.to_string()
    if method == "dadapt_dual_averaging":
        assert found.loc[["L1", "D3"], "verdict"].eq(VERIFIED).all(), found.to_string()


def test_every_theorem_of_the_library_is_claimed_by_some_method():
    claimed = {claim for name in dc.methods() for claim in dc.get_method(name).claims}
    assert claimed == set(dc.theorems())


def test_every_theorem_has_a_statement_and_a_source():
    for theorem in dc.theorems().values():
        assert theorem.statement
        assert theorem.source
        assert theorem.statement.isascii()


# ---------------------------------------------------------------------------------------------------------
# Broken methods


def broken(name: str, old: str, new: str) -> dc.Method:
    """The method with one piece of its step's source replaced; it claims the same theorems."""
    method = dc.get_method(name)
    source = textwrap.dedent(inspect.getsource(method.step.python))
    assert source.count(old) == 1, f"{old!r} stands {source.count(old)} times in {name}"
    namespace = {**method.step.python.__globals__, "step": step}
    exec(compile(source.replace(old, new), "<broken>", "exec"), namespace)
    return replace(method, step=namespace[method.step.python.__name__])


DADAPT_STEP = "dadapt_dual_averaging"
BREAKS = {
    "d_hat doubled, option I": (DADAPT_STEP, "/ (2.0 * s_norm)", "/ s_norm", {}),
    "d_hat doubled, option II": (DADAPT_STEP, "scalars[1] / s_norm", "2.0 * scalars[1] / s_norm", {"option": "II"}),
    "gamma doubled": (DADAPT_STEP, "gamma_next = 1.0 /", "gamma_next = 2.0 /", {}),
    "gamma halved": (DADAPT_STEP, "gamma_next = 1.0 /", "gamma_next = 0.5 /", {}),
    "gamma without the root": (DADAPT_STEP, "1.0 / math.sqrt(G2 + S)", "1.0 / (G2 + S)", {"d0": 0.3}),
    "gamma_k in place of gamma_{k+1} in x": (DADAPT_STEP, "move_from(x0, gamma_next,", "move_from(x0, gamma,", {}),
    "x_k in place of x_0": (DADAPT_STEP, "move_from(x0, gamma_next,", "move_from(x, gamma_next,", {}),
    "G^2 left out of the modified step": (DADAPT_STEP, "math.sqrt(G2 + S)", "math.sqrt(S)", {"step": "modified"}),
    "sums started one step late": (DADAPT_STEP, "gamma, g2, g, s,", "gamma, g2 if k > 0 else 0.0, g, s,", {}),
    "S started one step late": (DADAPT_STEP, "S += g2", "S += g2 if k > 0 else 1e-3 * g2", {}),
    "S counted twice": (DADAPT_STEP, "S += g2", "S += 2.0 * g2", {}),
    "gamma_0 doubled": (DADAPT_STEP, "1.0 / G if modified else 1.0 /", "1.0 / G if modified else 2.0 /", {}),
    "gamma_0 of the plain step in the modified one": (
        DADAPT_STEP, "1.0 / G if modified", "1.0 / math.sqrt(g2) if modified", {"step": "modified"},
    ),
    "G in place of G^2": (DADAPT_STEP, "G2 = G * G if", "G2 = G if", {"step": "modified"}),
    "2 G^2": (DADAPT_STEP, "G2 = G * G if", "G2 = 2.0 * G * G if", {"step": "modified"}),
    "gamma_k in place of gamma_{k+1} in d_hat": (DADAPT_STEP, "(gamma_next * s_norm2 -", "(gamma * s_norm2 -", {}),
    "d without the maximum": (DADAPT_STEP, "d_next = max(d, d_hat)", "d_next = d_hat", {"d0": 0.3}),
    "squared weights": (DADAPT_STEP, "return d\n", "return d * d\n", {}),
    "average without x_0": (DADAPT_STEP, "return d\n", "return d if k > 0 else 0.0\n", {"d0": 0.3}),
    "selected at the first step": (DADAPT_STEP, "d_next / sum_d\n", "d_next / sum_d + (k > 0) * 1e9\n", {}),
    "s started one step late": (DADAPT_STEP, "accumulate(d,", "accumulate(d if k > 0 else 0.0,", {"d0": 0.3}),
    "d_{k+1} as the weight": (DADAPT_STEP, "return d\n", "return d_next\n", {}),
    "subgradient with D halved": ("subgradient", "N = hyper[0]", "N = 0.5 * hyper[0]", {}),
    "subgradient with G halved": ("subgradient", "hyper[1], hyper[2] == 0.0", "0.5 * hyper[1], hyper[2] == 0.0", {}),
    "1/sqrt(k+1) with D halved": (
        "subgradient", "N = hyper[0]", "N = 0.5 * hyper[0]", {"schedule": "inverse_sqrt"},
    ),
    "dual averaging with D halved": ("dual_averaging", "D, G = hyper[0]", "D, G = 0.5 * hyper[0]", {}),
    "dual averaging with gamma_k in x": ("dual_averaging", "move_from(x0, gamma_next", "move_from(x0, gamma", {}),
    "AdaGrad averaging with D halved": ("adagrad_norm_dual_averaging", "D = hyper[0]", "D = 0.5 * hyper[0]", {}),
    "AdaGrad averaging, S late": ("adagrad_norm_dual_averaging", "S += g2", "S += g2 if k > 0 else 0.5 * g2", {}),
    "last iterate with D halved": ("subgradient_last_iterate", "D, G, N = hyper[0]", "D, G, N = 0.5 * hyper[0]", {}),
    "last iterate, decreasing to 1 and not to 0": ("subgradient_last_iterate", "max(N - 1.0 - k,", "max(N - k,", {}),
    "last iterate with a constant step": (
        "subgradient_last_iterate", "D * max(N - 1.0 - k, 0.0) / (G * N * math.sqrt(N))", "D / (G * math.sqrt(N))", {},
    ),
    "1/sqrt(k+2)": ("subgradient", "math.sqrt(k + 1.0)", "math.sqrt(k + 2.0)", {"schedule": "inverse_sqrt"}),
    "AdaGrad-Norm with S one step late": ("adagrad_norm", "S += g2", "S += g2 if k > 0 else 0.5 * g2", {}),
    "Polyak step doubled": ("polyak", "h = (f - f_star)", "h = 2.0 * (f - f_star)", {}),
    "AdaGrad-Norm without the root": ("adagrad_norm", "eta / math.sqrt(S)", "eta / S", {}),
}  # fmt: skip


def catching_problems():
    """Built-in problems on which a break has to show: kinks, worst cases, and a small first subgradient."""
    yield problems.absolute_value()
    yield problems.max_abs(9)
    yield problems.norm2(6)
    yield problems.drori_teboulle(m=5)
    yield problems.drori_teboulle(m=8, D=2.0, G=50.0)
    yield problems.drori_teboulle(m=400)
    yield problems.least_absolute_deviation(A, B)
    yield problems.hinge(A, B)


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_method_is_caught_as_violated(name):
    method, old, new, hyper = BREAKS[name]
    mutant = broken(method, old, new)
    steps = 6 if method == "subgradient_last_iterate" else 400  # its bound speaks of the last step alone
    caught = {}
    for problem in catching_problems():
        assert VIOLATED not in set(verdicts(method, problem, steps, **hyper)["verdict"])
        found = verdicts(mutant, problem, steps, **hyper)
        caught[problem.name, problem.p] = list(found.index[found["verdict"] == VIOLATED])
    assert any(caught.values()), caught


# What no bound can refute on these problems, because the break makes the method no worse or nearly no worse than its
# bound; only the definitions of the step tell.
ONLY_BY_DEFINITION = {
    "S counted twice", "gamma_0 doubled", "G in place of G^2", "2 G^2", "gamma_k in place of gamma_{k+1} in d_hat",
    "gamma_0 of the plain step in the modified one", "d without the maximum", "squared weights", "average without x_0",
    "dual averaging with D halved", "dual averaging with gamma_k in x", "AdaGrad averaging with D halved",
    "AdaGrad averaging, S late", "last iterate, decreasing to 1 and not to 0", "last iterate with a constant step",
    "1/sqrt(k+2)", "AdaGrad-Norm with S one step late",
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in BREAKS if name not in ONLY_BY_DEFINITION])
def test_a_broken_method_violates_a_bound_and_not_only_a_definition(name):
    method, old, new, hyper = BREAKS[name]
    mutant = broken(method, old, new)
    steps = 6 if method == "subgradient_last_iterate" else 400
    violated = {
        theorem
        for problem in catching_problems()
        for theorem, row in verdicts(mutant, problem, steps, **hyper).iterrows()
        if row["verdict"] == VIOLATED
    }
    assert {theorem for theorem in violated if not theorem.startswith("definition")}, violated


# ---------------------------------------------------------------------------------------------------------
# Wrong constants


def scaled(theorem: dc.Theorem, factor: float) -> dc.Theorem:
    """The same statement with its right-hand side multiplied."""

    def sides(case):
        lhs, rhs, size = theorem.sides(case)
        return dc.Sides(lhs, factor * rhs, size)

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
        ("polyak_rate", "polyak", {}, problems.absolute_value(), 400, 0.999),
        (
            "subgradient_inverse_sqrt_rate", "subgradient", {"schedule": "inverse_sqrt"},
            problems.absolute_value(), 400, 0.99,
        ),
        ("dual_averaging_rate", "dual_averaging", {}, problems.drori_teboulle(m=400), 400, 0.7),
        ("polyak_sum_of_squares", "polyak", {}, problems.absolute_value(), 400, 0.999),
        ("polyak_inequality", "polyak", {}, problems.absolute_value(), 400, 0.999),
        ("non_asymptotic_lemma_sharper", "dadapt_dual_averaging", {}, problems.absolute_value(), 400, 0.999),
        ("D3_selected", "dadapt_dual_averaging", {"step": "modified"}, problems.absolute_value(), 400, 0.9),
    ],
)  # fmt: skip
def test_a_constant_slightly_too_small_is_refuted(theorem, method, hyper, problem, steps, factor):
    run = dc.solve(problem, method, steps=steps, checkpoints="all", **hyper)
    claim = dc.theorems()[theorem]
    found = dc.check(run, problem.optimum(), theorems=[replace(scaled(claim, factor), name="too small")])
    found = found.set_index("theorem")["verdict"]
    assert found[theorem] == VERIFIED
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
    assert found["asymptotic"] == VERIFIED
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
    assert found["D2"] == VERIFIED


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
    assert found.loc[["D1", "D2", "I1", "I2_comparator", "non_asymptotic_lemma"], "verdict"].eq(VERIFIED).all()


def test_d0_above_D_makes_the_claims_inapplicable_not_violated():
    problem = problems.absolute_value()
    found = verdicts("dadapt_dual_averaging", problem, d0=2.0)
    assert found.loc["D3", "verdict"] == NOT_APPLICABLE
    assert "d0" in found.loc["D3", "note"]
    assert VIOLATED not in set(found["verdict"])


@pytest.mark.parametrize("G", [0.5, 0.1, 1e-3])
def test_G_too_small_for_the_modified_step_violates_nothing(G):
    found = verdicts("dadapt_dual_averaging", problems.absolute_value(), step="modified", G=G)
    assert VIOLATED not in set(found["verdict"]), found.to_string()
    assert found.loc[["D2", "D3_a_priori", "asymptotic", "non_asymptotic"], "verdict"].eq(NOT_APPLICABLE).all()
    assert found.loc["D3", "verdict"] == VERIFIED


def test_d0_above_D_still_has_its_bound_with_d0_in_place_of_D():
    for d0 in (1.5, 2.0, 100.0):
        found = verdicts("dadapt_dual_averaging", problems.absolute_value(), d0=d0)
        assert found.loc["D3_any_d0", "verdict"] == VERIFIED


@pytest.mark.parametrize("offset", [1e6, 1e8, 1e12])
def test_a_starting_point_far_from_the_origin_violates_nothing(offset):
    """D = 1 and iterates known to eps ||x0|| only."""
    problem = problems.least_absolute_deviation([[1.0]], [offset + 1], intercept=False, x0=[offset])
    optimum = Interval(0.0, 0.0, 1.0, 1.0, np.array([offset + 1]))
    for method, hyper in RUNS:
        run = dc.solve(problem, method, steps=400, checkpoints="all", optimum=optimum, **hyper)
        found = dc.check(run, optimum)
        assert VIOLATED not in set(found["verdict"]), (method, hyper, found.to_string())
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
        assert found.loc["polyak_inequality", "verdict"] == VERIFIED


def test_an_average_that_is_not_the_average_is_noticed():
    problem = problems.absolute_value()
    run = dc.solve(problem, "dadapt_dual_averaging", steps=400)
    wrong = replace(run, rows=[{**row, "f_avg": 1e6} for row in run.rows])
    assert dc.check(wrong, problem.optimum()).set_index("theorem").loc["D3", "verdict"] == VIOLATED


def test_a_method_may_not_name_a_column_of_the_driver():
    with pytest.raises(ValueError, match="weight_sum"):
        replace(dc.get_method("polyak"), scalars=("h", "weight_sum", "a", "b"))


def test_G_too_small_makes_the_claims_inapplicable():
    found = verdicts("subgradient", problems.absolute_value(), G=0.5)
    assert found.loc["subgradient_rate", "verdict"] == NOT_APPLICABLE
    assert "||g_k|| <= G" in found.loc["subgradient_rate", "note"]


def test_without_an_optimum_only_statements_about_the_run_itself_are_checked():
    run = dc.solve(problems.absolute_value(), "dadapt_dual_averaging", steps=100)
    found = dc.check(run).set_index("theorem")["verdict"]
    assert found["D3"] == NOT_APPLICABLE
    assert found["D1"] == VERIFIED


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
        assert not bounds.empty
        first = bounds[bounds["theorem"] == bounds["theorem"].iloc[0]]
        column = {"average": "f_avg", "best": "f_best", "last": "f"}[first["iterate"].iloc[0]]
        gap = run.trace.set_index("k").loc[first["k"], column].to_numpy()
        assert (gap <= first["bound"].to_numpy() * (1 + 1e-12)).all()


def test_an_unknown_claim_is_named():
    method = replace(dc.get_method("polyak"), claims=("polyak_rat",))
    run = dc.solve(problems.absolute_value(), method, steps=3)
    with pytest.raises(ValueError, match="did you mean polyak_rate"):
        dc.check(run, problems.absolute_value().optimum())
