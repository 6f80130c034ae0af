"""Verdicts that cannot be fooled: rounding counts against a claim, corners, wrong methods, claims that do not fit."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest

import dadapt_convex as dc
import problems
from dadapt_convex.theory import NOT_APPLICABLE, TIGHT, UNDECIDED, VERIFIED, VIOLATED, gap_sides
from dadapt_convex.theory.rounded import Rounded

EPS = np.finfo(float).eps


@dataclass
class Interval:
    """An optimum that is known no better than this."""

    f_lo: float
    f_hi: float
    D_lo: float
    D_hi: float
    x: np.ndarray
    attained: bool | None = True


def claim(name, sides, **more):
    return dc.Theorem(name=name, statement=name, source="nobody", sides=sides, **more)


def verdict(run, optimum, theorem):
    return dc.check(run, optimum, theorems=[theorem]).set_index("theorem").loc[theorem.name]


# ---------------------------------------------------------------------------------------------------------
# Rounding


@dc.step
def one_excursion(k, f, g2, g, x, x_next, vectors, scalars, hyper):
    """Steps of 1/1000, but that x_50 lies at 1e12 and counts for nothing."""
    if k == 49:
        for i in range(x.size):
            vectors[0, i] = x[i]
            x_next[i] = 1e12
        return 1.0
    if k == 50:
        for i in range(x.size):
            x_next[i] = vectors[0, i]
        return 0.0
    for i in range(x.size):
        x_next[i] = x[i] - 1e-3 * g[i]
    return 1.0


EXCURSION = dc.Method(name="excursion", reference="", summary="", step=one_excursion, vectors=("kept",))
NO_GAP = claim("no gap", lambda c: gap_sides(c, 0.0), iterate="average")


def test_an_excursion_of_weight_0_does_not_hide_a_gap():
    problem = problems.absolute_value()
    run = dc.solve(problem, EXCURSION, steps=200)
    found = verdict(run, problem.optimum(), NO_GAP)
    assert found["verdict"] == VIOLATED
    assert found["worst_ratio"] == math.inf


def test_a_start_far_away_does_not_verify_a_gap_of_zero():
    problem = problems.absolute_value(1e12)
    run = dc.solve(problem, "dadapt_dual_averaging", steps=100)
    assert verdict(run, problem.optimum(), NO_GAP)["verdict"] == VIOLATED


def test_the_author_of_a_claim_has_no_say_in_the_allowance():
    with pytest.raises(TypeError):
        dc.Sides(1.0, 0.0, 1e12)
    problem = problems.absolute_value()
    run = dc.solve(problem, "dadapt_dual_averaging", steps=50)
    three = claim("three sides", lambda c: (c.f_avg, c.f_star, 1e12))
    with pytest.raises(ValueError, match=r"sides must return dc.Sides\(lhs, rhs\)"):
        verdict(run, problem.optimum(), three)


@pytest.mark.parametrize("steps", [1000, 100_000])
@pytest.mark.parametrize("method", ["subgradient", "polyak"])
def test_a_tight_claim_that_is_too_small_by_1e_12_is_not_verified(method, steps):
    """On |x| from 1 with steps 1/sqrt(N) the mean gap is not small; the sums of the basic inequality are equal."""
    problem = problems.absolute_value()
    run = dc.solve(problem, method, steps=steps)
    tight = dc.theorems()["regret"]
    assert verdict(run, problem.optimum(), replace(tight, name="as it is"))["verdict"] == TIGHT

    def sides(case):
        lhs, rhs = tight.sides(case)
        return dc.Sides(lhs, (1 - 1e-12) * rhs)

    assert verdict(run, problem.optimum(), replace(tight, name="less", sides=sides))["verdict"] in (TIGHT, VIOLATED)


def test_sums_do_not_lose_with_the_number_of_steps():
    """Of 1e6 terms: S and the sum of the weights to a few roundings, where plain sums are off by 1e-11."""
    problem = problems.absolute_value(math.pi)
    steps = dc.solve(problem, "subgradient", steps=1_000_000)
    assert steps.trace["S"].iloc[-1] == 1e6
    h = steps.trace["h"].iloc[-1]
    assert steps.trace["weight_sum"].iloc[-1] == pytest.approx(1e6 * h, rel=4 * EPS)
    assert steps.trace["sum_w2_g2"].iloc[-1] == pytest.approx(1e6 * h * h, rel=4 * EPS)
    found = dc.check(steps, problem.optimum())
    assert VIOLATED not in set(found["verdict"]), found.to_string()


def test_rounded_numbers_enclose_what_is_meant():
    """Against exact rational arithmetic: a bound that is too small would show."""
    import fractions

    rng = np.random.default_rng(0)
    for _ in range(300):
        a, b = rng.standard_normal(2) * 10.0 ** rng.integers(-5, 5, 2)
        x, y = Rounded(a), Rounded(b)
        exact_a, exact_b = fractions.Fraction(a), fractions.Fraction(b)
        for found, exact in (
            ((x + y) * x - y, (exact_a + exact_b) * exact_a - exact_b),
            (x / y + y, exact_a / exact_b + exact_b),
            ((x * y) ** 2 - x, (exact_a * exact_b) ** 2 - exact_a),
        ):
            assert abs(fractions.Fraction(float(found.value)) - exact) <= fractions.Fraction(float(found.error))


@pytest.mark.parametrize("function", [np.floor, np.sin, np.median, np.interp])
def test_a_function_whose_rounding_is_not_known_is_refused(function):
    problem = problems.absolute_value()
    run = dc.solve(problem, "dadapt_dual_averaging", steps=50)
    theorem = claim("odd", lambda c: dc.Sides(c.d if function is np.interp else function(c.d), np.sqrt(c.d)))
    if function is np.interp:
        theorem = claim("odd", lambda c: dc.Sides(np.interp(c.d, c.d, c.d), c.d))
    with pytest.raises(ValueError, match="the rounding of numpy"):
        verdict(run, problem.optimum(), theorem)
    with pytest.raises(ValueError, match="would lose the bound"):
        verdict(run, problem.optimum(), claim("floats", lambda c: dc.Sides(float(c.d[-1]), 1.0)))


# ---------------------------------------------------------------------------------------------------------
# Corners


def test_lower_bounds_are_claims_like_any_other():
    problem = problems.absolute_value()
    run = dc.solve(problem, "dadapt_dual_averaging", steps=50, d0=0.45)
    wide = Interval(-0.1, 0.1, 0.5, 10.0, np.zeros(1))
    at_least = claim("d >= 0.4 D", lambda c: dc.Sides(0.4 * c.D, c.d))
    assert verdict(run, problem.optimum(), at_least)["verdict"] == VERIFIED
    assert verdict(run, wide, at_least)["verdict"] == UNDECIDED
    assert verdict(run, Interval(0.0, 0.0, 5.0, 10.0, np.zeros(1)), at_least)["verdict"] == VIOLATED
    above = claim("f_best >= f*", lambda c: dc.Sides(c.f_star, c.f_best))
    assert verdict(run, problem.optimum(), above)["verdict"] in (VERIFIED, TIGHT)
    assert verdict(run, Interval(-0.1, 0.0, 1.0, 1.0, np.zeros(1)), above)["verdict"] in (VERIFIED, TIGHT)
    assert verdict(run, Interval(0.5, 0.6, 1.0, 1.0, np.zeros(1)), above)["verdict"] == VIOLATED


def test_a_minimiser_within_rounding_of_the_start_violates_nothing():
    problem = problems.least_absolute_deviation([[49.0]], [1.0], intercept=False, x0=[1 / 49])
    D = problem.optimum().D_lo
    assert 0 < D < 1e-17
    for method in ("dadapt_gradient_descent", "dadapt_dual_averaging", "dadapt_adagrad", "dadapt_sgd"):
        run = dc.solve(problem, method, steps=1000, d0=D / 2)
        found = dc.check(run, problem.optimum())
        assert VIOLATED not in set(found["verdict"]), found.to_string()


@pytest.mark.parametrize("D", [1.3e154, 1e155, 1e200, 1e308])
def test_squares_that_overflow_decide_nothing(D):
    problem = problems.absolute_value(D)
    for method in ("dual_averaging", "adagrad_norm", "subgradient", "dadapt_adagrad", "dadapt_dual_averaging"):
        found = dc.check(dc.solve(problem, method, steps=20), problem.optimum())
        assert VIOLATED not in set(found["verdict"]), found.to_string()
        assert (found["worst_ratio"].isna() | (found["verdict"] != VIOLATED)).all()


@pytest.mark.parametrize("method", ["dadapt_dual_averaging", "subgradient"])
def test_the_allowance_of_a_recursion_is_the_sum_that_its_derivation_has(method):
    """From x_k, g_k and w_k, which a short run keeps all of: what the driver added up, in NumPy."""
    run = dc.solve(problems.max_abs(3), method, steps=60, checkpoints=[60])
    kept, errors = run.transitions.columns, run.errors[-1]
    assert len(run.transitions) == 60
    w = kept["weight"]
    x = np.linalg.norm(run.x0) + np.linalg.norm(kept["x"] - run.x0, axis=1)
    s = np.linalg.norm(np.cumsum(w[:, None] * kept["g"], axis=0), axis=1)
    of_points, of_sums, stays = w @ (np.linalg.norm(kept["g"], axis=1) * x), s @ x, x.sum() * s[-1]
    assert errors["moved"] == pytest.approx(EPS * (4 * of_points + 2 * of_sums + stays), rel=1e-12, abs=0)
    assert errors["f_star"] - errors["f_mean"] == pytest.approx(errors["moved"] / w.sum(), rel=1e-6, abs=0)
    assert errors["f_star_by_D"] == pytest.approx(2 * EPS * s.sum() / w.sum(), rel=1e-12, abs=0)
    assert errors["sum_w_g"] == pytest.approx(EPS * ((3 + 8) * s[-1] + 2 * s.sum()), rel=1e-12, abs=0)


@pytest.mark.parametrize("method", ["sgd", "subgradient"])
def test_roundings_of_early_steps_that_stay_in_x_violate_nothing(method):
    """x stands still below half a unit in its last place, while the sum of the steps grows."""
    problem = problems.absolute_value()
    tiny = {"lr": 5e-17} if method == "sgd" else {"D": 5e-17, "G": 1.0, "N": 1}
    run = dc.solve(problem, method, steps=1001, schedule="stagewise(1000, divide_by=5e-17)", **tiny)
    found = dc.check(run, problem.optimum())
    assert VIOLATED not in set(found["verdict"]), found.to_string()


def test_an_equality_fails_to_one_side_at_all_corners_or_is_not_violated():
    problem = problems.absolute_value()
    run = dc.solve(problem, "subgradient", steps=50)
    around = Interval(f_lo=-1e-3, f_hi=1e-3, D_lo=0.999, D_hi=1.001, x=np.zeros(1))
    meets = claim("f - f* = |x|", lambda c: dc.Sides(c.f - c.f_star, c.f), relation="=")
    misses = claim("f - f* = |x| + 1", lambda c: dc.Sides(c.f - c.f_star, c.f + 1.0), relation="=")
    assert verdict(run, around, meets)["verdict"] == UNDECIDED
    assert verdict(run, around, misses)["verdict"] == VIOLATED
    signs = claim("f* <= 0 and f* >= 0", lambda c: dc.Sides(np.where(c.k % 2 == 0, c.f_star, -c.f_star), 0.0 * c.k))
    assert verdict(run, around, signs)["verdict"] == UNDECIDED


@dc.step
def once_large(k, f, g2, g, x, x_next, vectors, scalars, hyper):
    """Two numbers of the state that are equal and large at first, and differ by 1/1000 from then on."""
    for i in range(x.size):
        x_next[i] = x[i] - 1e-3 * g[i]
    scalars[0], scalars[1] = (1e12, 1e12) if k == 0 else (1.0, 1.001)
    return 1.0


def test_an_equality_is_not_verified_by_what_was_large_once():
    own = dc.Method(name="once_large", reference="", summary="", step=once_large, scalars=("q", "r"))
    problem = problems.absolute_value()
    same = claim("q = r", lambda c: dc.Sides(c.q, c.r), relation="=", uses_optimum=False)
    assert verdict(dc.solve(problem, own, steps=200), problem.optimum(), same)["verdict"] == UNDECIDED


def test_the_momentum_of_ones_own_method_has_no_say_in_the_allowance():
    own = replace(EXCURSION, name="own", hyper=(dc.Real("momentum", "", default=1.0),))
    problem = problems.absolute_value()
    assert verdict(dc.solve(problem, own, steps=100), problem.optimum(), NO_GAP)["verdict"] == VIOLATED


@pytest.mark.parametrize(
    "problem", [problems.absolute_value(0.1), problems.norm2(20), problems.max_abs(20)], ids=lambda p: p.name
)
@pytest.mark.parametrize("method", ["dadapt_dual_averaging", "dadapt_gradient_descent"])
def test_d0_against_D_is_decided_for_every_float(problem, method):
    optimum = problem.optimum()
    low, high = optimum.D_lo, optimum.D_hi
    assert high in (low, math.nextafter(low, math.inf))
    for d0 in (math.nextafter(low, 0.0), low, high, math.nextafter(high, math.inf)):
        found = dc.check(dc.solve(problem, method, steps=100, d0=d0), optimum).set_index("theorem").loc["L1"]
        assert found["verdict"] in ((VERIFIED, TIGHT) if d0 <= low else (NOT_APPLICABLE,)), (d0, found["note"])


# ---------------------------------------------------------------------------------------------------------
# Wrong methods


def wrong(name, step):
    return replace(dc.get_method(name), step=step)


@dc.step
def uphill(k, f, g2, g, x, x_next, vectors, scalars, hyper):
    """Adam, up."""
    m, v = vectors[0], vectors[1]
    beta1, beta2 = hyper[1], hyper[2]
    moved2 = 0.0
    for i in range(x.size):
        m[i] = beta1 * m[i] + (1.0 - beta1) * g[i]
        v[i] = beta2 * v[i] + (1.0 - beta2) * (g[i] * g[i])
        move = hyper[0] * m[i] / (1.0 - beta1 ** (k + 1.0)) / (math.sqrt(v[i] / (1.0 - beta2 ** (k + 1.0))) + hyper[3])
        x_next[i] = x[i] + move
        moved2 += move * move
    scalars[0] = math.sqrt(moved2)
    return 0.0


@dc.step
def nesterov(k, f, g2, g, x, x_next, vectors, scalars, hyper):
    """SGD with Nesterov's momentum."""
    m = vectors[0]
    for i in range(x.size):
        m[i] = hyper[1] * m[i] + g[i]
        x_next[i] = x[i] - hyper[0] * (g[i] + hyper[1] * m[i])
    if k == 0:
        scalars[0] = f
    return hyper[0]


@dc.step
def doubled_late(k, f, g2, g, x, x_next, vectors, scalars, hyper):
    """The constant step, doubled after k = 100."""
    h = hyper[0] / (hyper[1] * math.sqrt(hyper[3])) * (2.0 if k >= 100 else 1.0)
    for i in range(x.size):
        x_next[i] = x[i] - h * g[i]
    scalars[0] = hyper[0] / (hyper[1] * math.sqrt(hyper[3]))
    return scalars[0]


@pytest.mark.parametrize(
    ("method", "definition", "hyper"),
    [
        (wrong("adam", uphill), "definition_adam", {"lr": 1e-2}),
        (wrong("sgd", nesterov), "definition_sgd", {"lr": 1e-2, "momentum": 0.5}),
        (wrong("subgradient", doubled_late), "definition_subgradient", {}),
    ],
)
@pytest.mark.parametrize("checkpoints", ["log", [300]])
def test_a_definition_refutes_a_wrong_step_whatever_the_checkpoints_are(method, definition, hyper, checkpoints):
    problem = problems.max_abs(4)
    run = dc.solve(problem, method, steps=300, checkpoints=checkpoints, **hyper)
    found = dc.check(run, problem.optimum()).set_index("theorem").loc[definition]
    assert found["verdict"] == VIOLATED
    assert "x_next" in found["note"] or "weight" in found["note"] or "must be" in found["note"]
    assert found["kind"] == "definition"


@dc.step
def uphill_for_a_while(k, f, g2, g, x, x_next, vectors, scalars, hyper):
    """AdaGrad-Norm, up at 22 iterations of 10,000; the state is as it should be."""
    S = scalars[0] + g2
    h = hyper[1] * (hyper[0] / math.sqrt(S))
    for i in range(x.size):
        x_next[i] = x[i] - (-h if 7345 <= k < 7367 else h) * g[i]
    scalars[0], scalars[1] = S, h
    return hyper[1]


@dc.step
def a_single_wrong_iteration(k, f, g2, g, x, x_next, vectors, scalars, hyper):
    """The constant step, doubled once."""
    h = hyper[0] / (hyper[1] * math.sqrt(hyper[3]))
    for i in range(x.size):
        x_next[i] = x[i] - (2.0 * h if k == 777 else h) * g[i]
    scalars[0] = h
    return h


@pytest.mark.parametrize(
    ("method", "step", "steps", "p"),
    [("adagrad_norm", uphill_for_a_while, 10_000, 10), ("subgradient", a_single_wrong_iteration, 1_000, 5)],
)
def test_a_fault_that_passes_quickly_is_seen(method, step, steps, p):
    problem = problems.max_abs(p)
    run = dc.solve(problem, wrong(method, step), steps=steps)
    found = dc.check(run, problem.optimum()).set_index("theorem").loc[f"definition_{method}"]
    assert found["verdict"] == VIOLATED, found["note"]


@pytest.mark.parametrize(
    ("method", "name"), [("dadapt_dual_averaging", "d"), ("dadapt_sgd", "x0"), ("polyak", "sum_h"), ("adam", "v")]
)
def test_a_state_that_starts_elsewhere_is_refuted(method, name):
    right = dc.get_method(method)

    def elsewhere(vectors, scalars, hyper):
        right.init(vectors, scalars, hyper)
        state = (
            vectors[right.vectors.index(name)] if name in right.vectors else scalars[right.scalars.index(name), None]
        )
        state += 1e-3

    problem = problems.max_abs(4)
    hyper = {"lr": 0.1} if method == "adam" else {}
    run = dc.solve(problem, replace(right, step=dc.step(right.step.python), init=elsewhere), steps=50, **hyper)
    found = dc.check(run, problem.optimum()).set_index("theorem").loc[f"definition_{method}"]
    assert found["verdict"] == VIOLATED
    assert f"{name} at the start" in found["note"], found["note"]


def test_runs_keep_all_of_a_short_run_and_one_iteration_of_each_part_of_a_long_one():
    problem = problems.max_abs(4)
    short, long = (dc.solve(problem, "sgd", steps=n, lr=0.1).transitions for n in (500, 20_000))
    assert short.columns["k"].tolist() == list(range(500))
    ks = long.columns["k"]
    assert (np.diff(ks) > 0).all()
    assert np.diff(ks).max() <= 2 * 20_000 / (ks.size - 100)
    for before, after in zip(short, list(short)[1:], strict=False):
        np.testing.assert_array_equal(before.x_next, after.x)
        np.testing.assert_array_equal(before.vectors_after, after.vectors)
    many = dc.solve(problems.norm2(300_000), "sgd", steps=50, lr=0.1).transitions
    assert len(many) == 2


@pytest.mark.parametrize("method", dc.methods())
@pytest.mark.parametrize("stochastic", [{}, {"batch_size": 8, "schedule": "cosine"}])
def test_definitions_and_the_replay_hold_for_every_method(method, stochastic):
    rng = np.random.default_rng(1)
    problem = problems.logistic(rng.standard_normal((40, 3)), np.sign(rng.standard_normal(40)), x0=np.ones(4))
    run = dc.solve(problem, method, steps=300, **stochastic)
    found = dc.check(run, problem.optimum()).set_index("theorem")
    assert len(run.transitions) >= 20
    assert {run.transitions[0].k, run.transitions[-1].k} == {0, 299}
    whole = found.loc[[f"definition_{method}", "replay"]]
    assert whole["verdict"].eq(VERIFIED).all(), whole.to_string()


@dc.step
def bad_weights(k, f, g2, g, x, x_next, vectors, scalars, hyper):
    """Weights as hyper[0] says after k = 100; hyper[1] is added to x after the last step."""
    for i in range(x.size):
        x_next[i] = x[i] - 1e-3 * g[i] + (hyper[1] if k == 199 else 0.0)
    return hyper[0] if k >= 100 else 1.0


WEIGHTED = dc.Method(
    name="weighted", reference="", summary="", step=bad_weights,
    hyper=(dc.Choice("weight", "", options=("zero", "one"), default="one"), dc.Real("last", "", default=0.0)),
    claims=("regret",),
)  # fmt: skip


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf, -math.inf])
def test_weights_that_are_no_weights_end_the_run_with_the_step(weight):
    @dc.step
    def step(k, f, g2, g, x, x_next, vectors, scalars, hyper):
        for i in range(x.size):
            x_next[i] = x[i] - 1e-3 * g[i]
        return weight if k >= 100 else 1.0

    problem = problems.absolute_value()
    run = dc.solve(problem, replace(WEIGHTED, step=step), steps=200)
    assert run.status == "bad weight"
    assert run.k == 100
    assert "step 100" in run.message
    found = dc.check(run, problem.optimum())
    assert found["note"].str.contains("the run is bad weight").all()


def test_a_last_step_that_is_not_finite_is_a_status():
    @dc.step
    def step(k, f, g2, g, x, x_next, vectors, scalars, hyper):
        for i in range(x.size):
            x_next[i] = x[i] - 1e-3 * g[i] if k < 199 else math.nan
        return 1.0

    run = dc.solve(problems.absolute_value(), replace(WEIGHTED, step=step), steps=200)
    assert run.status == "not finite"
    assert run.k == 200
    assert "after step 199" in run.message


def test_every_note_says_how_many_checkpoints_were_looked_at():
    problem = problems.absolute_value()
    run = dc.solve(problem, "dadapt_dual_averaging", steps=100)
    found = dc.check(run, problem.optimum())
    judged = found[(found["verdict"] != NOT_APPLICABLE) & (found["kind"] != "definition")]
    assert judged["note"].str.contains("checkpoint").all()
    assert found.columns.tolist() == ["theorem", "kind", "verdict", "worst_ratio", "k", "arithmetic", "note"]
    assert set(found["kind"]) == {"rate", "lemma", "definition"}


# ---------------------------------------------------------------------------------------------------------
# Steps that are not trusted


def own(step, **more):
    return dc.Method(name="own", reference="", summary="", step=step, vectors=("s",), scalars=("a",), **more)


def out_of_bounds(k, f, g2, g, x, x_next, vectors, scalars, hyper):
    for i in range(x.size):
        x_next[i] = x[i]
    scalars[k] = 1.0
    return 1.0


def late_out_of_bounds(k, f, g2, g, x, x_next, vectors, scalars, hyper):
    for i in range(x.size):
        x_next[i] = x[i] - 1e-3 * g[i]
    scalars[0 if k < 100 else 7] = 1.0
    return 1.0


def writes_to_x(k, f, g2, g, x, x_next, vectors, scalars, hyper):
    for i in range(x.size):
        x_next[i] = x[i]
        x[i] = 0.0
    return 1.0


def writes_to_g_late(k, f, g2, g, x, x_next, vectors, scalars, hyper):
    for i in range(x.size):
        x_next[i] = x[i]
        if k > 100:
            g[i] = 0.0
    return 1.0


def leaves_unset(k, f, g2, g, x, x_next, vectors, scalars, hyper):
    for i in range(x.size - 1):
        x_next[i] = x[i]
    return 1.0


def raises(k, f, g2, g, x, x_next, vectors, scalars, hyper):
    for i in range(x.size):
        x_next[i] = x[i] - 1e-3 * g[i]
    if k == 150:
        raise ValueError("enough")
    return 1.0


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (out_of_bounds, ["its step fails at k = 1", "IndexError", "test_verdicts.py, line"]),
        (writes_to_x, ["it writes to x, g or hyper", "test_verdicts.py, line"]),
        (writes_to_g_late, ["its step does not compile", "it writes to x, g or hyper", "test_verdicts.py, line"]),
        (leaves_unset, ["leaves x_next[3] unset", "test_verdicts.py, line"]),
    ],
)
def test_a_step_at_fault_is_refused_before_the_run_with_its_line(function, words):
    with pytest.raises(ValueError) as raised:
        dc.solve(problems.norm2(4), own(dc.step(function)), steps=200)
    for word in words:
        assert word in str(raised.value)


@pytest.mark.parametrize(("function", "k", "what"), [(late_out_of_bounds, 100, "IndexError"), (raises, 150, "enough")])
def test_a_step_that_fails_later_ends_the_run_and_keeps_what_there_is(function, k, what):
    problem = problems.norm2(4)
    run = dc.solve(problem, own(dc.step(function)), steps=200)
    assert run.status == "failed"
    assert run.k == k
    assert what in run.message
    assert "test_verdicts.py, line" in run.message
    assert run.trace["k"].iloc[-1] == k
    assert dc.check(run, problem.optimum())["note"].str.contains("the run is failed").all()


# ---------------------------------------------------------------------------------------------------------
# A library that is open


def descent(k, f, g2, g, x, x_next, vectors, scalars, hyper):
    for i in range(x.size):
        x_next[i] = x[i] - 1e-2 * g[i]
    return 1e-2


READS_NOTHING_OF_A_METHOD = (
    "basic_inequality", "basic_inequality_comparator", "sgd_basic_inequality", "sgd_basic_inequality_comparator",
    "regret", "regret_comparator", "replay",
)  # fmt: skip


@pytest.mark.parametrize("theorem", sorted(dc.theorems()))
def test_a_method_of_ones_own_may_claim_any_theorem_or_is_told_what_it_needs(theorem):
    problem = problems.norm2(3)
    method = dc.Method(name="own", reference="", summary="", step=dc.step(descent), claims=(theorem,))
    if theorem in READS_NOTHING_OF_A_METHOD:
        found = dc.check(dc.solve(problem, method, steps=50), problem.optimum())
        assert set(found["verdict"]) <= {VERIFIED, TIGHT, NOT_APPLICABLE}, found.to_string()
    else:
        with pytest.raises(
            ValueError, match=f"own claims {theorem}, which needs .*: no state or hyper-parameter of own"
        ):
            dc.solve(problem, method, steps=50)


@pytest.mark.parametrize("noise", [{}, {"noise": "gaussian(0.1)"}])
def test_a_misspelt_column_is_named_and_never_not_applicable(noise):
    problem = problems.absolute_value()
    run = dc.solve(problem, "dadapt_dual_averaging", steps=50, **noise)
    misspelt = claim("misspelt", lambda c: dc.Sides(c.dhat, c.D))
    with pytest.raises(ValueError, match=r"theorem misspelt reads the trace column 'dhat'.*did you mean d_hat"):
        verdict(run, problem.optimum(), misspelt)
    with pytest.raises(ValueError, match="theorem misspelt reads the hyper-parameter 'd_0'"):
        verdict(run, problem.optimum(), claim("misspelt", lambda c: dc.Sides(c.hyper["d_0"], c.D)))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"iterate": "avg"}, "iterate must be one of 'average', 'best', 'last', 'selected', '', got 'avg'"),
        ({"schedule": "cosin"}, "schedule must be 'any' or a schedule"),
        ({"kind": "theorem"}, "kind must be one of 'rate', 'lemma', 'definition', got 'theorem'"),
        ({"relation": "<"}, "relation must be one of '<=', '=', got '<'"),
        ({"needs": "d0"}, "needs must be a tuple of names"),
        ({"sides": None}, "sides must be a function"),
    ],
)
def test_a_theorem_that_is_misspelt_is_refused_when_it_is_made(more, words):
    with pytest.raises(ValueError, match="theorem odd") as raised:
        dc.Theorem(**{"name": "odd", "statement": "", "source": "", "sides": lambda c: dc.Sides(c.f, c.f), **more})
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"sides": lambda c: dc.Sides(np.zeros(3), c.f)}, "lhs must be a number for each of the"),
        ({"sides": lambda c: dc.Sides(c.f, "many")}, "rhs must be a number for each of the"),
        ({"sides": lambda c: c.f}, "sides must return dc.Sides(lhs, rhs)"),
        ({"sides": lambda c: dc.Sides(c.f, 1 / 0)}, "sides fails: ZeroDivisionError: division by zero (" + __file__),
        ({"rows": lambda c: c.k}, "rows must return true or false for each of the"),
        ({"rows": lambda c: [True]}, "rows must return true or false for each of the"),
        ({"assumptions": (lambda run, optimum: "no",)}, "an assumption returns dc.theory.Unmet(verdict, note) or None"),
        ({"assumptions": (lambda run, optimum: True,)}, "an assumption returns dc.theory.Unmet(verdict, note) or None"),
    ],
)
def test_a_theorem_that_returns_something_else_is_refused_in_a_sentence(more, words):
    problem = problems.absolute_value()
    run = dc.solve(problem, "polyak", steps=50)
    theorem = dc.Theorem(
        **{"name": "odd", "statement": "", "source": "", "sides": lambda c: dc.Sides(c.f, c.f), **more}
    )
    with pytest.raises(ValueError, match="theorem odd") as raised:
        dc.check(run, problem.optimum(), theorems=[theorem])
    assert words in str(raised.value)


def test_a_run_that_is_not_finite_at_step_0_has_all_of_its_columns():
    calls = []

    def lost_from_the_second_call_on(x):
        calls.append(x)
        return (1.0 if len(calls) == 1 else math.nan), np.ones(2)

    problem = problems.from_callable(lost_from_the_second_call_on, x0=[1.0, 2.0], G=1.0)
    fine = problems.from_callable(lambda x: (float(np.abs(x).sum()), np.sign(x)), x0=[1.0, 2.0], G=2.0)
    for method in dc.methods():
        given = {h.name: 1.0 for h in dc.get_method(method).hyper if h.known and h.name != "N"}
        given = {
            name: v
            for name, v in given.items()
            if dc.get_method(method).parameters[name].when is None or name == "G_inf"
        }
        lost = dc.solve(problem, method, steps=5, **given)
        assert lost.status == "not finite"
        assert lost.trace.empty
        assert lost.trace.columns.tolist() == dc.solve(fine, method, steps=5, **given).trace.columns.tolist()
