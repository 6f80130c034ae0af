"""Methods of one's own with named state: they run as their twins over arrays do, travel, and their slips are named."""

from __future__ import annotations

import importlib
import itertools
import math
import multiprocessing
import pickle
import re
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from exhaustive import one_in

import dadapt_convex as dc
import problems

PROBLEM = problems.max_abs(5)


class State(dc.State):
    x0 = dc.Vector("x_0")
    s = dc.Vector("sum g", start=lambda h: 0.5 * h.h)
    total = dc.Scalar("sum ||g||^2")
    largest = dc.Scalar("max h", start="h")
    _count = dc.Scalar("k + 1", start=1.0)


class Hyper(dc.Hyper):
    h = dc.Real(meaning="the step", default=0.1, low=0.0)
    option = dc.Choice(meaning="the weight", options=("I", "II"), default="I")
    back = dc.Flag(meaning="whether x moves from x_0")
    betas = dc.Pair(meaning="the factors", default=(0.9, 0.5), low=0.0, high=2.0)
    schedule = dc.SCHEDULE


def named(k, f, g2, g, x, x_next, state, hyper):
    s = state.s
    beta1, beta2 = hyper.betas
    state._count += 1.0
    state.total += g2
    h = hyper.h * hyper.schedule
    for i in range(x.size):
        s[i] = beta1 * s[i] + g[i]
        x_next[i] = (state.x0[i] if hyper.back else x[i]) - h * s[i]
    state.largest = max(state.largest, beta2 * h)
    return 2.0 * h if hyper.option_is_II else 1.0


def over_arrays(k, f, g2, g, x, x_next, vectors, scalars, hyper):
    x0, s = vectors[0], vectors[1]
    beta1, beta2 = hyper[3], hyper[4]
    scalars[2] += 1.0
    scalars[0] += g2
    h = hyper[0] * hyper[5]
    for i in range(x.size):
        s[i] = beta1 * s[i] + g[i]
        x_next[i] = (x0[i] if hyper[2] != 0.0 else x[i]) - h * s[i]
    scalars[1] = max(scalars[1], beta2 * h)
    return 2.0 * h if hyper[1] == 1.0 else 1.0


def start_of_arrays(vectors, scalars, hyper):
    vectors[1] = 0.5 * hyper[0]
    scalars[1], scalars[2] = hyper[0], 1.0


def own(step=named, state=State, hyper=Hyper, **more):
    return dc.Method(name="own", reference="", summary="", step=dc.step(state, hyper)(step), **more)


OWN = own()
TWIN = dc.Method(
    name="own", reference="", summary="", step=dc.step(over_arrays), init=start_of_arrays,
    hyper=Hyper.parameters, vectors=("x0", "s"), scalars=("total", "largest", "_count"),
)  # fmt: skip
SETTINGS = [{}, {"option": "II", "schedule": "cosine"}, {"back": True, "betas": (0.5, 1.5), "h": 0.02}]


def local_method():
    factor = 0.5

    class State(dc.State):
        s = dc.Vector("the last subgradient", start=lambda h: factor)
        total = dc.Scalar("sum of ||g||", start=lambda h: factor * h.h)

    class Hyper(dc.Hyper):
        h = dc.Real(meaning="the step", default=0.1, low=0.0)

    @dc.step(State, Hyper)
    def step(k, f, g2, g, x, x_next, state, hyper):
        state.total += math.sqrt(g2)
        state.s[:] = g
        x_next[:] = x - factor * hyper.h * state.s
        return 1.0

    return dc.Method(name="local", reference="", summary="", step=step)


LOCAL = local_method()


def trace_of(method, **hyper):
    run = dc.solve(PROBLEM, method, steps=60, checkpoints="all", **hyper)
    return run.trace.drop(columns="seconds"), run.x_next


def same(found, expected):
    assert found[0].equals(expected[0])
    assert np.array_equal(found[1], expected[1])


@pytest.mark.parametrize("hyper", SETTINGS, ids=str)
def test_a_step_with_names_is_its_twin_over_arrays(hyper):
    found = trace_of(OWN, **hyper)
    same(found, trace_of(TWIN, **hyper))
    assert {"total", "largest"} < set(found[0])
    assert "_count" not in found[0]


def test_a_method_in_a_file_is_found_with_its_names(tmp_path, monkeypatch):
    (tmp_path / "method_in_a_file.py").write_text(
        "import dadapt_convex as dc\n\n"
        "class State(dc.State):\n    total = dc.Scalar('sum of h', start='h')\n\n"
        "class Hyper(dc.Hyper):\n    h = dc.Real(meaning='the step', default=0.25, low=0.0)\n\n"
        "@dc.step(State, Hyper)\n"
        "def descent(k, f, g2, g, x, x_next, state, hyper):\n"
        "    state.total += hyper.h\n"
        "    x_next[:] = x - hyper.h * g\n"
        "    return 1.0\n\n"
        "METHOD = dc.Method(name='descent', reference='', summary='', step=descent)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    method = importlib.import_module("method_in_a_file").METHOD
    assert trace_of(method)[0]["total"].tolist() == (0.25 * np.arange(2, 62)).tolist()
    assert pickle.loads(pickle.dumps(method)) is method


@pytest.mark.parametrize(
    ("start", "method"),
    one_in(4, itertools.product(["fork", "spawn"], [OWN, LOCAL, dc.get_method("dadapt_sgd")])),
    ids=lambda value: getattr(value, "name", value),
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # fork of a process with threads
def test_another_process_gets_the_same_numbers(method, start):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(start)) as pool:
        same(pool.submit(trace_of, method).result(), trace_of(method))


def test_names_of_a_base_come_first():
    class Base(dc.State):
        s = dc.Vector("a")
        total = dc.Scalar("b")

    class More(Base):
        m = dc.Vector("c")
        total = dc.Scalar("d", start=2.0)
        _rest = dc.Scalar("e")

    assert (More.vectors, More.scalars) == (("s", "m"), ("total", "_rest"))
    assert More.total.start == 2.0


# ---------------------------------------------------------------------------------------------------------
# Slips


def reads_state(k, f, g2, g, x, x_next, state, hyper):
    x_next[:] = x
    return state.totl if k >= hyper.h else 1.0


def writes_state(k, f, g2, g, x, x_next, state, hyper):
    x_next[:] = x
    if k >= hyper.h:
        state.totl = 1.0
    return 1.0


def reads_hyper(k, f, g2, g, x, x_next, state, hyper):
    x_next[:] = x
    return hyper.bettas[0] if k >= hyper.h else 1.0


def sets_a_number_to_an_array(k, f, g2, g, x, x_next, state, hyper):
    x_next[:] = x
    if k >= hyper.h:
        state.total = x
    return 1.0


def writes_a_global(k, f, g2, g, x, x_next, state, hyper):
    global WRITTEN
    x_next[:] = x
    WRITTEN = f
    return 1.0


def returns_nothing(k, f, g2, g, x, x_next, state, hyper):
    x_next[:] = x


def returns_x(k, f, g2, g, x, x_next, state, hyper):
    x_next[:] = x
    return x[:1]


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (sets_a_number_to_an_array, "a number of the state is set to an array; set it to a number"),
        (writes_a_global, "Use of unsupported opcode (STORE_GLOBAL) found"),
        (returns_nothing, "it returns none, and must return the weight of x_k, a number"),
        (returns_x, "it returns readonly array(float64, 1d, C), and must return the weight of x_k, a number"),
    ],
)
@pytest.mark.filterwarnings("ignore:Conversion of an array:DeprecationWarning")
def test_a_step_that_numba_refuses_has_a_sentence(step, words):
    with pytest.raises(ValueError, match=f"own: its step does not compile: {re.escape(words)}.* \\({__file__}, line"):
        dc.solve(PROBLEM, own(step), steps=20, h=10.0)


def asks_without_an_option(k, f, g2, g, x, x_next, state, hyper):
    x_next[:] = x
    if k >= hyper.h:
        return hyper.option
    return 1.0


def assigns_a_vector(k, f, g2, g, x, x_next, state, hyper):
    x_next[:] = x
    if k >= hyper.h:
        state.s = g
    return 1.0


def writes_hyper(k, f, g2, g, x, x_next, state, hyper):
    x_next[:] = x
    if k >= hyper.h:
        hyper.h = 2.0
    return 1.0


SLIPS = {
    reads_state: "the state has no 'totl'; did you mean total? It has x0, s, total, largest, _count.",
    writes_state: "the state has no 'totl'; did you mean total? It has x0, s, total, largest, _count.",
    reads_hyper: "there is no hyper-parameter 'bettas'; did you mean betas? There are h, back, betas, schedule, "
    "option_is_I, option_is_II.",
    asks_without_an_option: "a step asks hyper.option_is_I or hyper.option_is_II, true or false; there is no "
    "hyper.option.",
    assigns_a_vector: "the vector s of the state is written entry by entry, or as state.s[:].",
    writes_hyper: "a step reads hyper.h and never writes it; a number that changes belongs to the state.",
}
# Line after the def line, from 1, of the slip; compiling knows those of names that are read or unknown.
LINES = {step: 2 if step in (reads_state, reads_hyper) else 3 for step in SLIPS}


@pytest.mark.parametrize("step", SLIPS, ids=lambda step: step.__name__)
def test_a_slip_in_a_first_iteration_has_a_sentence_with_its_line(step):
    line = step.__code__.co_firstlineno + LINES[step]
    expected = f"own: its step fails at k = 1: AttributeError: {SLIPS[step]} ({__file__}, line {line})."
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        dc.solve(PROBLEM, own(step), steps=20, h=0.5)


@pytest.mark.parametrize("step", SLIPS, ids=lambda step: step.__name__)
def test_a_slip_in_a_later_iteration_does_not_compile(step):
    expected = re.escape(f"own: its step does not compile: {SLIPS[step]} ({__file__}, line")
    with pytest.raises(ValueError, match=expected) as raised:
        dc.solve(PROBLEM, own(step), steps=20, h=10.0)
    line = int(re.search(r"line (\d+)\)\.$", str(raised.value))[1]) - step.__code__.co_firstlineno
    assert line == (0 if step in (assigns_a_vector, writes_hyper) else LINES[step])


@pytest.mark.parametrize("step", [lambda k, f, g2, g, x, x_next, state: 1.0, over_arrays], ids=["seven", "nine"])
def test_a_step_with_other_arguments_is_told_which_it_must_take(step):
    expected = "own: its step must take the eight arguments k, f, g2, g, x, x_next, state, hyper ("
    with pytest.raises(ValueError, match=re.escape(f"{expected}{__file__}, line {step.__code__.co_firstlineno})")):
        dc.solve(PROBLEM, own(step), steps=5)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (
            lambda k, f, g2, x, g, x_next, state, hyper: 1.0,
            "its step takes x in the place of g; the order is k, f, g2, g",
        ),
        (lambda k, f, g2, g, x, y, hyper, state: 1.0, "its step takes hyper in the place of state; the order is"),
    ],
    ids=["x and g", "state and hyper"],
)
def test_arguments_in_another_order_are_refused(step, words):
    with pytest.raises(ValueError, match=words):
        dc.solve(PROBLEM, own(step), steps=5)


FACTOR = 1.0


@dc.helper
def factor():
    return FACTOR


def reads_a_constant(k, f, g2, g, x, x_next, state, hyper):
    x_next[:] = x
    state.total = factor()
    return 1.0


def test_a_constant_that_changed_since_a_step_was_compiled_counts(monkeypatch):
    method = own(reads_a_constant)
    assert dc.solve(PROBLEM, method, steps=5).trace["total"].iloc[-1] == 1.0
    monkeypatch.setattr("test_named_state.FACTOR", 3.0)
    assert dc.solve(PROBLEM, method, steps=5).trace["total"].iloc[-1] == 3.0
    monkeypatch.setattr("test_named_state.factor", dc.helper(lambda: 5.0))
    assert dc.solve(PROBLEM, method, steps=5).trace["total"].iloc[-1] == 5.0


def with_field(name, field):
    return type("Further", (State,), {name: field})


@pytest.mark.parametrize("start", ["hh", "option", "betas"])
def test_a_start_that_names_no_number_among_the_hyper_parameters_is_refused(start):
    with pytest.raises(
        ValueError, match=f"Further: y starts at '{start}', which is no number among.* h, back, schedule"
    ):
        own(state=with_field("y", dc.Scalar("y", start=start)))


BAD_STARTS = {
    "ValueError: it is NaN": lambda h: math.nan,
    "ValueError: it is None": lambda h: None,
    "AttributeError: there is no hyper-parameter 'hh'; did you mean h?": lambda h: h.hh,
    "AttributeError: a step asks hyper.option_is_I or": lambda h: h.option,
    "TypeError": lambda: 1.0,
    "ValueError: could not convert": lambda h: "x",
    "ValueError: setting an array element": lambda h: [1.0, 2.0],
}


@pytest.mark.parametrize("words", BAD_STARTS)
def test_a_start_that_fails_has_a_sentence_with_its_line(words):
    start = BAD_STARTS[words]
    with pytest.raises(ValueError, match=re.escape(f"own: the start of y fails: {words}")) as raised:
        dc.solve(PROBLEM, own(state=with_field("y", dc.Scalar("y", start=start))), steps=5)
    assert str(raised.value).endswith(f"({__file__}, line {start.__code__.co_firstlineno}).")


@pytest.mark.parametrize("start", [math.nan, [1.0], None, True])
def test_a_start_is_a_number_a_name_or_a_function(start):
    with pytest.raises(ValueError, match="start must be a number, the name of a hyper-parameter, or a function"):
        dc.Scalar("y", start=start)


@pytest.mark.parametrize("name", ["f", "f_avg", "weight_sum", "x_next"])
def test_a_name_that_the_trace_has_already_is_refused(name):
    with pytest.raises(ValueError, match=f"own: {name} of its state are columns of the trace already"):
        own(state=with_field(name, dc.Scalar("y")))


@pytest.mark.parametrize("name", ["rows", "numbers", "fields"])
def test_a_name_that_a_state_has_already_is_refused(name):
    with pytest.raises(ValueError, match=f"Further: {name} means something else here; rename it"):
        with_field(name, dc.Scalar("y"))


SHARED = dc.Vector("sum g")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"a": SHARED, "b": SHARED}, r"a and b are one dc\.Vector; write dc\.Vector\(\.\.\.\) for each of them"),
        ({"b": State.s}, r"s and b are one dc\.Vector"),
        ({"total": 3.0}, r"total must be made by dc\.Vector or dc\.Scalar, got 3\.0"),
        ({"d": 1.0}, "d must be made by dc"),
        ({"d": dc.Scalar}, "d must be made by dc.*Scalar"),
        ({"total": lambda self: 1.0}, "total must be made by dc"),
        ({"d": dc.Real(meaning="d", default=1.0)}, "d must be made by dc"),
    ],
)
def test_a_state_declares_vectors_and_scalars_each_for_itself(names, words):
    with pytest.raises(ValueError, match=f"^Further: {words}"):
        type("Further", (State,), names)
    assert State.s.name == "s"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (
            {"d": 1.0},
            r"Odd: d must be made by dc\.Real, dc\.Choice, dc\.Flag or dc\.Pair, or be dc\.SCHEDULE, got 1\.0",
        ),
        ({"d": dc.Scalar("d")}, "Odd: d must be made by"),
        ({"d": dc.Real}, "Odd: d must be made by"),
        ({"d": dc.Real(meaning="a bound", default=-1.0, low=0.0)}, r"d must be positive and finite, got -1\.0"),
        ({"steps": dc.Real(meaning="a bound", default=1.0)}, "a hyper-parameter cannot be called steps"),
        (
            {
                "a": dc.Choice(meaning="m", options=("b_is_c", "d"), default="d"),
                "a_is_b": dc.Choice(meaning="m", options=("c", "d"), default="d"),
            },
            "a_is_b_is_c asks for an option already",
        ),
    ],
)
def test_hyper_parameters_are_declared_as_such(names, words):
    with pytest.raises(ValueError, match=words):
        type("Odd", (dc.Hyper,), names)


def test_hyper_parameters_may_have_a_function_beside_them():
    class Rates(dc.Hyper):
        h = dc.Real(meaning="the step", default=0.5)

        def twice(self):
            return 2 * self.h

    class Named(dc.State):
        rate = dc.Scalar("2 h", start=lambda hyper: hyper.twice())

    @dc.step(Named, Rates)
    def descend(k, f, g2, g, x, x_next, state, hyper):
        x_next[:] = x
        return 1.0

    run = dc.solve(PROBLEM, dc.Method("own", reference="", summary="", step=descend), steps=3)
    assert run.trace["rate"].iloc[-1] == 1.0


@pytest.mark.parametrize("field", [dc.Scalar("x_0"), dc.Vector("x_0", start=1.0), dc.Vector("x_0", start="h")])
def test_x0_is_where_the_run_starts(field):
    with pytest.raises(ValueError, match="x0 is where the run starts"):
        with_field("x0", field)


def test_an_option_and_a_flag_of_one_name_are_refused():
    with pytest.raises(ValueError, match="back_is_a asks for an option already"):
        type("Odd", (dc.Hyper,), {
            "back": dc.Choice(meaning="m", options=("a", "b"), default="a"), "back_is_a": dc.Flag(meaning="m"),
        })  # fmt: skip


@pytest.mark.parametrize(
    "given",
    [
        {"hyper": (dc.Real("h", "the step", default=1.0),)},
        {"vectors": ("m",)},
        {"scalars": ("total",)},
    ],
    ids=lambda given: next(iter(given)),
)
def test_names_are_given_once(given):
    [what] = given
    with pytest.raises(ValueError, match=f"own: {what} is declared by the classes of its step; leave {what}=... out"):
        replace(OWN, **given)


@pytest.mark.parametrize("hyper", [State, 5, Hyper([0.1])])
def test_hyper_parameters_of_a_step_are_a_class(hyper):
    with pytest.raises(ValueError, match=r"the second argument of dc\.step must be a class"):
        dc.step(State, hyper)


def test_an_init_of_the_method_takes_the_place_of_the_declared_starts():
    def init(vectors, scalars, hyper):
        scalars[:] = 7.0

    method = replace(dc.get_method("adagrad_norm"), name="own", init=init)
    run = dc.solve(problems.absolute_value(), method, steps=3, eta=1.0)
    assert run.transitions[0].scalars.tolist() == [7.0, 7.0]
