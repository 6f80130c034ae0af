"""Hard instances: closed forms, and the lower bounds that make them hard."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import dadapt_convex as dc
import problems
from dadapt_convex.hyper import Choice
from problems.hard_instances import HARD

EPS = np.finfo(float).eps


def drori_teboulle(m, D, G):
    """The problem, and the squares of f*, of D and of D in the maximum norm."""
    D2, G2 = Fraction(D) ** 2, Fraction(G) ** 2
    return problems.drori_teboulle(m=m, D=D, G=G), D2 * G2 / m, D2, D2 / m


def at_origin(problem):
    """The same for functions that are 0 at the origin alone."""
    squares = [Fraction(v) ** 2 for v in problem.x0.tolist()]
    return problem, 0, sum(squares), max(squares)


CLOSED_FORMS = [
    at_origin(problems.absolute_value()),
    at_origin(problems.absolute_value(-2.5e7)),
    at_origin(problems.absolute_value(0.1)),
    at_origin(problems.norm2(1)),
    at_origin(problems.norm2(4)),
    at_origin(problems.norm2(20)),
    at_origin(problems.norm2(20_000)),
    at_origin(problems.max_abs(1)),
    at_origin(problems.max_abs(20)),
    drori_teboulle(1, 3.0, 2.0),
    drori_teboulle(101, 1.0, 1.0),
    drori_teboulle(401, 1e-3, 1e4),
    drori_teboulle(20_000, 7.0, 0.3),
]
EXTREME = [
    at_origin(problems.absolute_value(5e-324)),
    at_origin(problems.absolute_value(1e300)),
    drori_teboulle(16, 1e-200, 1e200),
]
each = pytest.mark.parametrize(
    "problem", [case[0] for case in CLOSED_FORMS], ids=lambda p: f"{p.name}-{p.p}-{p.x0[0]:g}"
)


def points(problem, n=200, seed=0):
    """Near x0, near the minimiser, far away, and with many entries equal; a tenth of n where p is large."""
    rng, x_star = np.random.default_rng(seed), problem.optimum().x
    for i in range(n if problem.p < 10_000 else n // 10):
        scale = 10.0 ** rng.uniform(-6, 6) * np.linalg.norm(x_star - problem.x0)
        u = rng.standard_normal(problem.p)
        if i % 4 == 3:
            u = np.round(u)
        yield (problem.x0, x_star)[i % 2] + scale * u / math.sqrt(problem.p)


def size(problem, *xs):
    """The magnitude of what is added up in f at these points, for rounding."""
    D = problem.optimum().D_hi
    return problem.G * sum(np.linalg.norm(x / D) + 2 for x in xs) * D


def test_every_hard_instance_is_tried_here():
    assert {problem.name for problem, *_ in CLOSED_FORMS} == {f"hard:{name}" for name in HARD}


def assert_tightest(low, high, square):
    """low <= sqrt(square) <= high, one number where it is a float64 number, else neighbours."""
    assert Fraction(low) ** 2 <= square <= Fraction(high) ** 2
    assert high == (low if Fraction(low) ** 2 == square else math.nextafter(low, math.inf))


@pytest.mark.parametrize(
    ("problem", "f2", "D2", "D_inf2"), CLOSED_FORMS + EXTREME, ids=lambda v: getattr(v, "name", "")
)
def test_closed_forms_are_as_exact_as_float64_numbers_can_be(problem, f2, D2, D_inf2):
    optimum = problem.optimum()
    assert_tightest(-optimum.f_hi, -optimum.f_lo, f2)
    assert_tightest(optimum.D_lo, optimum.D_hi, D2)
    assert_tightest(optimum.D_inf_lo, optimum.D_inf_hi, D_inf2)
    assert (optimum.attained, optimum.kind) == (True, "closed form")


@pytest.mark.parametrize("D", [0.1, 1.0, 1 / 3, 2.5e7])
def test_a_guess_that_is_D_itself_is_decided(D):
    """d0 <= D holds for D exactly, and for the next number not."""
    for problem in (problems.absolute_value(D), problems.absolute_value(-D), problems.drori_teboulle(m=21, D=D)):
        optimum = problem.optimum()
        assert (optimum.D_lo, optimum.D_hi) == (D, D)
        found = {}
        for d0 in (D, math.nextafter(D, math.inf)):
            run = dc.solve(problem, "dadapt_dual_averaging", steps=20, d0=d0)
            found[d0] = dc.check(run, optimum).set_index("theorem").loc["D3", "verdict"]
        assert found[D] not in ("NOT_APPLICABLE", "UNDECIDED")
        assert found[d0] == "NOT_APPLICABLE"


@pytest.mark.parametrize("m", [1, 3, 4])
def test_closed_forms_from_another_start_are_tight_too(m):
    """D from x0 = (-D/sqrt(m), ..) + (3, 4, 0, ..), to a few units: the minimiser is no float64 point for m = 3."""
    problem = problems.drori_teboulle(m=m, D=2.0)
    step = np.zeros(m)
    step[:2] = (3.0, 4.0)[:m]
    optimum = replace(problem, x0=problem.optimum().x + step).optimum()
    assert optimum.D_lo <= optimum.D_hi <= math.nextafter(optimum.D_lo, math.inf)
    assert optimum.D_lo == pytest.approx(np.linalg.norm(step), rel=2 * EPS, abs=0)
    assert optimum.D_inf_lo == pytest.approx(step.max(), rel=2 * EPS, abs=0)
    at_minimiser = replace(problem, x0=problem.optimum().x).optimum()
    assert at_minimiser.D_hi <= EPS * 2


@each
def test_the_minimiser_has_the_value_f_star(problem):
    """Tolerance: a norm of p entries is off by p eps at worst, and by far less in blocks; sqrt(p) + 10 is ample."""
    optimum = problem.optimum()
    rounding = (math.sqrt(problem.p) + 10) * EPS * size(problem, optimum.x)
    assert problem.value(optimum.x) == pytest.approx(optimum.f_hi, rel=0, abs=rounding)


@each
def test_no_point_lies_below_f_star(problem):
    optimum = problem.optimum()
    for x in points(problem):
        assert problem.value(x) >= optimum.f_lo - 1e-13 * size(problem, x)


@each
def test_subgradient_inequality(problem):
    for x, y in itertools.pairwise(points(problem, n=100)):
        f_x, f_y, g = problem.value(x), problem.value(y), problem.subgradient(x)
        assert f_y >= f_x + g @ (y - x) - 1e-13 * size(problem, x, y)


@each
def test_G_is_attained_and_never_exceeded(problem):
    assert problem.G_exact
    subgradients = [problem.subgradient(x) for x in points(problem)]
    norms = np.linalg.norm(subgradients, axis=1)
    assert norms.max() <= problem.G * (1 + problem.p * EPS)  # a unit vector of p entries, normalised in float64
    assert norms.max() >= problem.G * (1 - problem.p * EPS)
    assert np.abs(subgradients).max() <= problem.G_inf * (1 + 4 * EPS)


@pytest.mark.parametrize(
    "problem", [problems.absolute_value(), problems.norm2(), problems.max_abs()], ids=lambda p: p.name
)
def test_the_subgradient_at_the_minimiser_is_zero(problem):
    x = np.zeros(problem.p)
    assert problem.value(x) == 0.0
    assert np.array_equal(problem.subgradient(x), x)


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_norm2_neither_overflows_nor_underflows(scale):
    problem = problems.norm2(2)
    assert problem.value([3 * scale, 4 * scale]) == pytest.approx(5 * scale, rel=2 * EPS, abs=0)
    assert problem.subgradient([3 * scale, 4 * scale]) == pytest.approx([0.6, 0.8], rel=4 * EPS, abs=0)


# ---------------------------------------------------------------------------------------------------------
# The oracles' choices, on which the lower bounds rest


@pytest.mark.parametrize(
    ("x", "index"), [([0, 0, 0], 0), ([-1, 0, 0], 1), ([-1, -1, -1e-9], 2), ([0.2, 0.1, 0.2], 0), ([0.0, 0.1, 0.1], 1)]
)
def test_drori_teboulle_returns_the_smallest_maximising_index(x, index):
    problem = problems.drori_teboulle(m=3, D=2.0, G=5.0)
    assert np.array_equal(problem.subgradient(x), 5.0 * np.eye(3)[index])
    assert problem.value(x) == 5.0 * max(x)


def test_drori_teboulle_takes_the_first_branch_on_a_tie_and_the_cone_beyond():
    """With m = 1 the branches meet exactly at x = -D: G x = G |x| - 2 D G."""
    problem = problems.drori_teboulle(m=1, D=2.0, G=1.0)
    assert problem.subgradient([-2.0]) == [1.0]
    assert problem.subgradient([-2.1]) == [-1.0]
    far = np.array([-30.0, -40.0])
    problem = problems.drori_teboulle(m=2, D=1.0, G=2.0)
    assert problem.subgradient(far) == pytest.approx([-1.2, -1.6], rel=4 * EPS, abs=0)
    assert problem.value(far) == pytest.approx(100 - 2 * (1 + 1 / math.sqrt(2)), rel=4 * EPS, abs=0)


@pytest.mark.parametrize(("x", "index", "sign"), [([1, -2, 2], 1, -1), ([2, -2, 2], 0, 1), ([0, 0, -3], 2, -1)])
def test_max_abs_returns_the_smallest_maximising_index(x, index, sign):
    assert np.array_equal(problems.max_abs(3).subgradient(x), sign * np.eye(3)[index])


# ---------------------------------------------------------------------------------------------------------
# Lower bounds


def configurations():
    """Every method with every combination of its named options."""
    for name in dc.methods():
        choices = [h for h in dc.get_method(name).hyper if isinstance(h, Choice)]
        for options in itertools.product(*(c.options for c in choices)):
            chosen = dict(zip((c.name for c in choices), options, strict=True))
            yield pytest.param(name, chosen, id="-".join([name, *options]))


@pytest.mark.parametrize("m", [1, 2, 64])
@pytest.mark.parametrize(("method", "options"), list(configurations()))
def test_no_method_beats_the_lower_bound_within_m_subgradients(method, options, m):
    """Average, best and last iterate, at every k <= m; 1e-12 as f* is known in closed form."""
    D, G = 3.0, 0.7
    problem = problems.drori_teboulle(m=m, D=D, G=G)
    names = [h.name for h in dc.get_method(method).hyper]
    for guess in ({"d0": 1e-6 * D}, {"d0": D}) if "d0" in names else ({},):
        run = dc.solve(problem, method, steps=m, checkpoints="all", **options, **guess)
        columns = [c for c in ("f", "f_avg", "f_best", "f_selected") if c in run.trace]
        gaps = run.trace[columns].to_numpy() - problem.optimum().f_hi
        assert len(gaps) == m
        assert gaps.min() >= D * G / math.sqrt(m) * (1 - 1e-12)


def test_the_lower_bound_ends_after_m_subgradients():
    """So the test above would notice an instance that is not the hard one for m."""
    m = 64
    problem = problems.drori_teboulle(m=m)
    run = dc.solve(problem, "polyak", steps=10 * m)
    assert run.trace["f_best"].iloc[-1] - problem.optimum().f_lo < 0.9 / math.sqrt(m)


@pytest.mark.parametrize("N", [1, 2, 10, 101, 1000])
def test_the_constant_step_attains_the_lower_bound(N):
    """So D G / sqrt(N) cannot be improved; a shorter step does as well here. 1e-12 as f* is a closed form."""
    D, G = 2.0, 5.0
    problem = problems.drori_teboulle(m=N, D=D, G=G)
    last = dc.solve(problem, "subgradient", steps=N).trace.iloc[-1]
    expected = pytest.approx(D * G / math.sqrt(N), rel=1e-12, abs=0)
    assert last["f_avg"] - problem.optimum().f_lo == expected
    assert last["f_best"] - problem.optimum().f_lo == expected


@pytest.mark.parametrize("N", [1, 2, 10, 101])
def test_the_decreasing_step_attains_the_lower_bound_at_its_last_iterate(N):
    problem = problems.drori_teboulle(m=N)
    last = dc.solve(problem, "subgradient_last_iterate", steps=N).trace.iloc[-1]
    assert last["f"] - problem.optimum().f_lo == pytest.approx(1 / math.sqrt(N), rel=1e-12, abs=0)


@pytest.mark.parametrize("x0", [1.0, -3.75])
def test_polyak_attains_its_bound_on_the_absolute_value(x0):
    """Sum gap^2 <= D^2 G^2 is an equality: one step from x0 to 0."""
    run = dc.solve(problems.absolute_value(x0), "polyak", steps=10, checkpoints="all")
    assert run.status == "converged"
    assert run.trace["sum_gap2"].tolist() == [x0 * x0, x0 * x0]
    assert run.trace["f_best"].iloc[0] == abs(x0)  # D G / sqrt(n + 1) at n = 0
    assert run.trace["f"].iloc[1] == 0.0


# ---------------------------------------------------------------------------------------------------------
# What D-Adaptation pays for not knowing D

#       d0: the largest sqrt(n + 1) gap / (D G) over all n, to three or four digits
PEAKS = {1e-2: 5.45, 1e-6: 15.14, 1e-16: 38.62}


def peak(d0, steps=2000, **options):
    """Over n, the largest sqrt(n + 1) (f(x_avg) - f*) / (D G) on |x| from 1; later it falls."""
    run = dc.solve(problems.absolute_value(), "dadapt_dual_averaging", steps=steps, d0=d0, checkpoints="all", **options)
    ratios = np.sqrt(run.trace["k"]) * run.trace["f_avg"]
    assert ratios.idxmax() < 0.8 * steps
    return ratios.max()


@pytest.mark.parametrize("d0", PEAKS)
def test_peak_of_dadaptation_on_the_absolute_value(d0):
    """5e-3: half a unit of the last digit that is stated, and no more."""
    assert peak(d0) == pytest.approx(PEAKS[d0], abs=5e-3)


def test_the_price_of_dadaptation_is_linear_in_the_logarithm_of_d0():
    """About ln(D/d_0) + 1 to 2: slope 1, not the square root that Prodigy pays."""
    logs = np.log([1e4, 1e6, 1e8, 1e12, 1e16])
    peaks = np.array([peak(1 / ratio) for ratio in np.exp(logs)])
    assert np.all((peaks > logs + 0.8) & (peaks < logs + 2))
    assert np.diff(peaks) / np.diff(logs) == pytest.approx(1.0, abs=0.1)
    roots = np.sqrt(logs)
    slopes = np.diff(peaks) / np.diff(roots)
    assert slopes[-1] > 1.5 * slopes[0]  # against the square root of the logarithm it is not a line


@pytest.mark.parametrize("size", [5e-324, 1e-320, 1e-300, 1e-289, 1.0, 1e150, 1e300])
def test_norm_and_its_subgradient_are_right_at_every_scale(size):
    problem = problems.norm2(4)
    x = np.full(4, size)
    assert problem.value(x) == pytest.approx(2 * size, rel=1e-15, abs=0)
    np.testing.assert_allclose(problem.subgradient(x), np.full(4, 0.5), rtol=1e-15)


def test_polyak_goes_all_the_way_to_the_minimiser_of_the_norm():
    run = dc.solve(problems.norm2(20), "polyak", steps=10_000)
    assert run.status == "converged"
    assert run.trace["f"].iloc[-1] == 0.0
