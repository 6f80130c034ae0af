"""Steps run in plain Python on numbers of any type that knows arithmetic: nothing is cast to float.

Every built-in step repeats a run of float64 on exact inputs in balls of 256 bits, which must hold what the run gives up
to its rounding, and on a type that refuses to become a float.
"""

from __future__ import annotations

import functools
import math

import flint
import numpy as np
import pytest

import dadapt_convex as dc
import problems

STEPS = 50
# Of 50 steps of float64 on numbers near 1.
ROUNDING = 1e-9

RNG = np.random.default_rng(5)
A = RNG.standard_normal((20, 3))
PROBLEM = problems.least_absolute_deviation(
    A, A @ [2.0, -1.0, 0.5] + RNG.standard_normal(20), intercept=False, x0=[1.0, -1.0, 0.5]
)

RELEASED = {"convention": "released", "weight_decay": 0.1}
SETTINGS = [
    *((name, {"lr": 0.1} if name in ("adam", "adagrad", "sgd") else {}) for name in dc.methods()),
    ("dadapt_dual_averaging", {"option": "II", "step": "modified"}),
    ("subgradient", {"schedule": "inverse_sqrt"}),
    ("adam", {"lr": 0.1, "weight_decay": 0.1, "decouple": True}),
    ("dadapt_gradient_descent", {"growth_rate": 1.5}),
    ("dadapt_adagrad", {**RELEASED, "momentum": 0.5}),
    ("dadapt_sgd", {**RELEASED, "growth_rate": 1.5}),
    ("dadapt_adam", {**RELEASED, "bias_correction": True, "decouple": True}),
]


def binary(operation):
    def method(self, other):
        other = other.inside if isinstance(other, Strict) else other
        assert isinstance(other, int | float)
        found = operation(self.inside, other)
        return Strict(found) if isinstance(found, float) else found

    return method


class Strict:
    """A real number that refuses to become a float."""

    __hash__ = None

    def __init__(self, inside):
        self.inside = float(inside)

    def __float__(self):
        raise TypeError("this number is no float")

    __int__ = __index__ = __bool__ = __float__

    __add__ = __radd__ = binary(lambda a, b: a + b)
    __sub__ = binary(lambda a, b: a - b)
    __rsub__ = binary(lambda a, b: b - a)
    __mul__ = __rmul__ = binary(lambda a, b: a * b)
    __truediv__ = binary(lambda a, b: a / b)
    __rtruediv__ = binary(lambda a, b: b / a)
    __pow__ = binary(lambda a, b: a**b)
    __lt__ = binary(lambda a, b: a < b)
    __le__ = binary(lambda a, b: a <= b)
    __gt__ = binary(lambda a, b: a > b)
    __ge__ = binary(lambda a, b: a >= b)
    __eq__ = binary(lambda a, b: a == b)
    __ne__ = binary(lambda a, b: a != b)

    def __neg__(self):
        return Strict(-self.inside)

    def __abs__(self):
        return Strict(abs(self.inside))

    def sqrt(self):
        return Strict(math.sqrt(self.inside))


@functools.cache
def run_of(name, hyper):
    given = {"d0": 1e-2} if "d0" in dc.get_method(name).parameters else {}
    run = dc.solve(PROBLEM, name, steps=STEPS, **given, **dict(hyper))
    assert len(run.transitions) == STEPS
    return run


def objects(array, number):
    made = np.empty(array.shape, dtype=object)
    for at in np.ndindex(array.shape):
        made[at] = number(float(array[at]))
    return made


def repeated(run, number):
    """x_{k+1}, the state and the weight of every step of the run, from its f and g, in numbers of another type."""
    step = run.method.step
    first = run.transitions[0]
    x = objects(first.x, number)
    state = step.state(objects(first.vectors, number), list(objects(first.scalars, number)))
    for t in run.transitions:
        hyper = step.hyper(list(objects(t.hyper, number)))
        x_next = np.full(x.size, None)
        given = number(t.f), number(t.g2), objects(t.g, number)
        weight = step.written(t.k, *given, x, x_next, state, hyper)
        yield t, [x_next, np.ravel(state.rows), np.array(state.numbers, dtype=object), np.array([weight], dtype=object)]
        x = x_next


def expected(t):
    return [t.x_next, t.vectors_after.ravel(), t.scalars_after, np.array([t.weight])]


@pytest.mark.parametrize(("name", "hyper"), SETTINGS, ids=str)
def test_steps_run_on_numbers_that_refuse_to_become_floats(name, hyper):
    for t, found in repeated(run_of(name, tuple(hyper.items())), Strict):
        for numbers, there in zip(found, expected(t), strict=True):
            here = np.array([n.inside if isinstance(n, Strict) else n for n in numbers], dtype=np.float64)
            np.testing.assert_allclose(here, there, rtol=ROUNDING, atol=ROUNDING * np.abs(there).max(initial=1.0))


@pytest.mark.parametrize(("name", "hyper"), SETTINGS, ids=str)
def test_balls_hold_what_a_run_gives_up_to_its_rounding(name, hyper):
    precision = flint.ctx.prec
    flint.ctx.prec = 256
    try:
        for t, found in repeated(run_of(name, tuple(hyper.items())), flint.arb):
            for numbers, there in zip(found, expected(t), strict=True):
                room = ROUNDING * np.abs(there).max(initial=1.0)
                for ball, number in zip(numbers, there, strict=True):
                    ball = flint.arb(ball)
                    assert ball.rad() < 1e-40, (t.k, ball)
                    assert (ball + flint.arb(0, room)).contains(flint.arb(float(number))), (t.k, ball, number)
    finally:
        flint.ctx.prec = precision
