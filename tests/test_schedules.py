"""Schedules: closed forms, the text that names them, what is refused, and that solve() follows them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

import dadapt_convex as dc
import problems
from dadapt_convex.schedules import (
    Constant,
    Cosine,
    Custom,
    InverseSqrt,
    Linear,
    Polynomial,
    Schedule,
    Stagewise,
    Warmup,
    as_schedule,
    check_factors,
)

STEPS, PER_EPOCH = 40, 4  # 10 epochs
K = np.arange(STEPS)


def stages(k):
    return 1.0 if k < 24 else 0.1 if k < 32 else 0.01


def warm_cosine(k):
    return (k + 1) / 8 if k < 8 else 0.5 * (1 + math.cos(math.pi * (k - 8) / 32))


# text, the value it stands for, gamma_k by the formula
FORMS = [
    ("constant", Constant(), lambda k: 1.0),
    ("stagewise(6 8)", Stagewise((6, 8)), stages),
    ("stagewise(8 6)", Stagewise((8, 6)), stages),
    ("stagewise(5, divide_by=2)", Stagewise((5,), divide_by=2), lambda k: 1.0 if k < 20 else 0.5),
    ("stagewise(2.25)", Stagewise((2.25,)), lambda k: 1.0 if k < 9 else 0.1),
    ("linear", Linear(), lambda k: 1 - k / 40),
    ("linear(0.1)", Linear(0.1), lambda k: 1 - 0.9 * k / 40),
    ("cosine", Cosine(), lambda k: 0.5 * (1 + math.cos(math.pi * k / 40))),
    ("cosine(0.25)", Cosine(0.25), lambda k: 0.25 + 0.375 * (1 + math.cos(math.pi * k / 40))),
    ("polynomial(2)", Polynomial(2), lambda k: (1 - k / 40) ** 2),
    ("polynomial(0.5, end=0.1)", Polynomial(0.5, end=0.1), lambda k: 0.1 + 0.9 * math.sqrt(1 - k / 40)),
    ("inverse_sqrt", InverseSqrt(), lambda k: 1 / math.sqrt(k + 1)),
    ("warmup(2)", Warmup(2), lambda k: min((k + 1) / 8, 1.0)),
    ("warmup(2, cosine)", Warmup(2, Cosine()), warm_cosine),
    ("warmup(0.1)", Warmup(0.1), lambda k: 1.0),  # 0.4 steps: one, and (0 + 1) / 1
    ("warmup(1, warmup(1))", Warmup(1, Warmup(1)), lambda k: (k + 1) / 4 if k < 4 else min((k - 3) / 4, 1.0)),
    ("warmup(20)", Warmup(20), lambda k: (k + 1) / 80),  # longer than the run
]
each_form = pytest.mark.parametrize(("text", "schedule", "formula"), FORMS, ids=[form[0] for form in FORMS])


@each_form
def test_a_schedule_is_its_formula(text, schedule, formula):
    found = schedule.factors(K, STEPS, PER_EPOCH)
    np.testing.assert_allclose(found, [formula(k) for k in K], rtol=1e-14, atol=1e-16)  # a few roundings each


@each_form
def test_factors_of_a_part_are_that_part(text, schedule, formula):
    """The loop asks for a chunk at a time."""
    whole = schedule.factors(K, STEPS, PER_EPOCH)
    for part in (K[:1], K[7:19], K[-1:]):
        np.testing.assert_array_equal(schedule.factors(part, STEPS, PER_EPOCH), whole[part])


@each_form
def test_the_text_stands_for_the_value_and_back(text, schedule, formula):
    assert as_schedule(text) == schedule
    assert as_schedule(str(schedule)) == schedule
    assert as_schedule(f"  {text} ") == schedule


@pytest.mark.parametrize("number", [1 / 3, 1234567.0, 1e-7, 0.1 + 0.2, 5e-324])
def test_the_text_keeps_every_digit(number):
    for schedule in (Stagewise((number,)), Polynomial(number), Warmup(number), Stagewise((3,), divide_by=number)):
        assert as_schedule(str(schedule)) == schedule
    if number <= 1:
        assert as_schedule(str(Cosine(number))) == Cosine(number)


@each_form
def test_factors_lie_in_0_1_and_come_near_the_end_without_reaching_it(text, schedule, formula):
    found = schedule.factors(K, STEPS, PER_EPOCH)
    assert (found > 0).all()
    assert (found <= 1).all()


def test_a_schedule_can_be_given_as_none_a_value_or_a_function():
    assert as_schedule(None) == Constant()
    assert as_schedule(Cosine(0.5)) == Cosine(0.5)
    halves = as_schedule(lambda k: 0.5**k)
    np.testing.assert_array_equal(halves.factors(np.arange(3), 3, 1), [1.0, 0.5, 0.25])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("cosin", ["unknown schedule 'cosin'", "did you mean cosine"]),
        ("", ["unknown schedule ''", "constant, stagewise"]),
        ("linear(", ["unknown schedule"]),
        ("linear(2)", ["end", "[0, 1]", "got 2.0"]),
        ("cosine(-0.1)", ["end", "[0, 1]", "got -0.1"]),
        ("linear(1 2)", ["end", "[0, 1]", "got (1.0, 2.0)"]),
        ("linear(0.1, 0.2)", ["linear takes end"]),
        ("cosine(end=0.1, end=0.2)", ["end stands twice"]),
        ("cosine(stop=0.1)", ["cosine takes end"]),
        ("linear(end=cosine)", ["'cosine'", "is no number"]),
        ("stagewise", ["stagewise takes epochs, divide_by"]),
        ("stagewise(-3)", ["positive numbers of epochs"]),
        ("stagewise(5, divide_by=0)", ["divide_by must be positive", "got 0.0"]),
        ("polynomial(0)", ["power must be positive", "got 0.0"]),
        ("warmup", ["warmup takes epochs, then"]),
        ("warmup(0)", ["epochs of warmup must be positive", "got 0.0"]),
        ("warmup(3, 4)", ["schedule must be a Schedule", "got 4.0"]),
        ("warmup(3, nonsense)", ["unknown schedule 'nonsense'"]),
        (3, ["schedule must be a Schedule, its text, or a function", "got 3"]),
        ([1.0], ["schedule must be", "got [1.0]"]),
    ],
)
def test_what_is_no_schedule_is_refused_in_a_sentence(value, words):
    with pytest.raises(ValueError) as raised:
        as_schedule(value)
    for word in words:
        assert word in str(raised.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Stagewise(60),
        lambda: Stagewise(("a",)),
        lambda: Stagewise(()),
        lambda: Stagewise((math.nan,)),
        lambda: Polynomial("2"),
        lambda: Linear(math.nan),
        lambda: Cosine(None),
        lambda: Warmup(math.inf),
        lambda: Warmup(2, then=3),
    ],
)
def test_a_wrong_value_is_refused_when_it_is_made(make):
    with pytest.raises(ValueError, match=r"must be|takes positive"):
        make()


@pytest.mark.parametrize(
    ("schedule", "k", "factor"),
    [
        (lambda k: 1 - k / 10, 11, "-0.1"),
        (lambda k: math.nan if k == 3 else 1.0, 3, "nan"),
        (lambda k: math.inf if k == 5 else 1.0, 5, "inf"),
        (Warmup(2, Custom(lambda k: -1.0)), 2, "-1.0"),
        (Stagewise((1, 2), divide_by=1e-200), 2, "inf"),
    ],
)
def test_a_schedule_that_goes_negative_or_is_not_finite_is_refused_before_any_work(schedule, k, factor):
    touched = []

    def function(x):
        touched.append(1)
        return abs(x[0]), np.sign(x)

    problem = problems.from_callable(function, x0=[1.0], G=1.0)
    touched.clear()
    with pytest.raises(ValueError, match=rf"nonnegative and finite, got {factor}\d* at k = {k} from"):
        dc.solve(problem, "sgd", steps=20, schedule=schedule)
    assert not touched


@dataclass(frozen=True)
class TooShort(Schedule):
    """Wrong on purpose."""

    def factors(self, k, steps, per_epoch):
        return np.ones(1)


def test_a_schedule_of_ones_own_gives_a_factor_for_each_k():
    with pytest.raises(ValueError, match=r"a factor for each k, got shape \(1,\) for \(20,\)"):
        check_factors(TooShort(), 20, 1)


def test_built_in_schedules_are_not_walked_through_before_a_long_run():
    """A billion factors would take ten seconds."""
    for _, schedule, _ in FORMS:
        assert schedule.certain
        check_factors(schedule, 10**9, 1)
    assert not Stagewise((1,), divide_by=0.5).certain
    assert not Warmup(1, Custom(math.sqrt)).certain


def test_a_power_out_of_range_is_zero_and_no_warning():
    np.testing.assert_array_equal(Stagewise((1, 2), divide_by=1e200).factors(np.arange(3), 3, 1), [1.0, 1e-200, 0.0])


# ---------------------------------------------------------------------------------------------------------
# solve() follows them

LINE = problems.from_callable(lambda x: (x[0], np.ones(1)), x0=[0.0], G=1.0)  # g = 1: x_k = -lr sum_{i<k} gamma_i


@each_form
def test_the_driver_hands_gamma_k_to_step_k(text, schedule, formula):
    for given in (text, schedule):
        run = dc.solve(LINE, "sgd", steps=STEPS, lr=1.0, schedule=given, checkpoints="all")
        assert run.hyper["schedule"] == str(schedule)
        moved = np.diff(run.trace["x_next_dist"], prepend=0.0)
        np.testing.assert_allclose(moved, schedule.factors(K, STEPS, 1), rtol=0, atol=1e-13)  # sums of 40 terms


def test_with_mini_batches_a_stage_begins_with_its_epoch():
    """6 rows in batches of 4: 2 steps an epoch. Every gradient is -1, so that x counts the steps."""
    problem = problems.least_absolute_deviation(np.ones((6, 1)), np.full(6, 1e9), intercept=False)
    run = dc.solve(problem, "sgd", epochs=4, batch_size=4, lr=1.0, schedule="stagewise(1 3)", checkpoints="all")
    np.testing.assert_allclose(
        np.diff(run.trace["x_dist"], prepend=0), [1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01], rtol=1e-9
    )


@pytest.mark.parametrize("method", dc.methods())
@pytest.mark.parametrize("schedule", ["warmup(3, cosine)", "stagewise(2)"])
def test_every_method_takes_a_schedule_and_does_not_ignore_it(method, schedule):
    problem = problems.max_abs(3)
    assert dc.get_method(method).scheduled >= 0
    runs = [dc.solve(problem, method, steps=20, schedule=s) for s in ("constant", schedule)]
    assert runs[1].hyper["schedule"] == schedule
    assert np.isfinite(runs[1].x).all()
    assert not np.array_equal(runs[0].x_next, runs[1].x_next)


@pytest.mark.parametrize("method", dc.methods())
def test_a_factor_of_0_at_the_first_steps_leaves_every_method_finite(method):
    """A warm-up that begins at 0: there s_{k+1} = 0, all weights are 0, and x stays."""
    problem = problems.max_abs(3)
    run = dc.solve(problem, method, steps=20, schedule=lambda k: min(k, 5) / 5, checkpoints="all")
    assert run.status == ("converged" if method == "polyak" else "completed")
    for column in ("f", "f_avg", "d", "d_hat", "gamma", "weight_sum"):
        if column in run.trace:
            assert np.isfinite(run.trace[column]).all(), column
    assert run.trace["x_next_dist"].iloc[0] == 0.0
    assert run.trace["x_next_dist"].iloc[-1] > 0.0


@pytest.mark.parametrize(("epochs", "steps"), [(0.07, 7), (0.14, 14), (0.28, 28), (0.075, 8), (5, 500), (1 / 3, 34)])
def test_warm_up_takes_as_many_steps_as_its_epochs_have(epochs, steps):
    factors = as_schedule(f"warmup({epochs!r})").factors(np.arange(1000), 1000, 100)
    assert np.count_nonzero(factors < 1) == steps - 1
    assert factors[steps - 1] == 1.0


def test_stages_may_be_separated_by_commas():
    assert as_schedule("stagewise(60, 80, 95)") == as_schedule("stagewise(60 80 95)")
    assert str(as_schedule("stagewise(60, 80, divide_by=2)")) == "stagewise(60 80, divide_by=2)"
    with pytest.raises(ValueError, match=r"commas separate it from others, as in warmup\(5, cosine\)"):
        as_schedule("warmup(5 cosine)")


def test_a_function_must_give_numbers():
    with pytest.raises(ValueError, match=r"must give a number for each k, got 'a' from custom"):
        dc.solve(problems.absolute_value(), "subgradient", steps=3, schedule=lambda k: "a")
