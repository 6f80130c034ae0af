"""Broken methods are caught as violated: by a bound where a bound can tell, by the definitions of the step everywhere.

A break is a setting of the knobs of tests/variants.py.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
import variants
from exhaustive import one_in

import dadapt_convex as dc
import problems
from dadapt_convex.theory import VIOLATED
from dadapt_convex.transitions import run_step

COSINE = {"schedule": "warmup(20, cosine(0.1))"}
# Random data, overlapping classes: a minimiser exists.
RNG = np.random.default_rng(5)
A = RNG.standard_normal((80, 4))
B = np.where(A @ [1.0, -1.0, 0.5, 0.0] + 1.5 * RNG.standard_normal(80) > 0, 1.0, -1.0)

DADAPT = "dadapt_dual_averaging"
AVERAGING = "adagrad_norm_dual_averaging"
LAST = "subgradient_last_iterate"
# By name: the method, the knobs, and the hyper-parameters of the run.
BREAKS = {
    "d_hat doubled, option I": (DADAPT, {"d_hat_factor": 2.0}, {}),
    "d_hat doubled, option II": (DADAPT, {"d_hat_factor": 2.0}, {"option": "II"}),
    "gamma doubled": (DADAPT, {"gamma_factor": 2.0}, {}),
    "gamma halved": (DADAPT, {"gamma_factor": 0.5}, {}),
    "gamma without the root": (DADAPT, {"no_root": True}, {"d0": 0.3}),
    "gamma_k in place of gamma_{k+1} in x": (DADAPT, {"gamma_k_in_x": True}, {}),
    "x_k in place of x_0": (DADAPT, {"from_x": True}, {}),
    "G^2 left out of the modified step": (DADAPT, {"G2_share": 0.0}, {"step": "modified"}),
    "sums started one step late": (DADAPT, {"sums_late": True}, {}),
    "S started one step late": (DADAPT, {"first_g2": 1e-3}, {}),
    "S counted twice": (DADAPT, {"S_factor": 2.0}, {}),
    "gamma_0 doubled": (DADAPT, {"gamma_0_factor": 2.0}, {}),
    "gamma_0 of the plain step in the modified one": (DADAPT, {"gamma_0_plain": True}, {"step": "modified"}),
    "G in place of G^2": (DADAPT, {"G_unsquared": True}, {"step": "modified"}),
    "2 G^2": (DADAPT, {"G2_share": 2.0}, {"step": "modified"}),
    "gamma_k in place of gamma_{k+1} in d_hat": (DADAPT, {"d_hat_gamma_k": True}, {}),
    "d without the maximum": (DADAPT, {"d_falls": True}, {"d0": 0.3}),
    "squared weights": (DADAPT, {"weights": "d_squared"}, {}),
    "average without x_0": (DADAPT, {"weights": "not_the_first"}, {"d0": 0.3}),
    "selected at the first step": (DADAPT, {"first_selected": True}, {}),
    "s started one step late": (DADAPT, {"s_late": True}, {"d0": 0.3}),
    "d_{k+1} as the weight": (DADAPT, {"weights": "d_next"}, {}),
    **{f"Prodigy, {what}": ("prodigy_dual_averaging", *change) for what, change in {
        "weights d_k": ({"weights": "d"}, {}),
        "weights d_{k+1}^2 in the average": ({"weights": "d_next_squared"}, {}),
        "d_hat doubled": ({"d_hat_factor": 2.0}, {}),
        "d without the maximum": ({"d_falls": True}, {"d0": 0.3}),
        "d_k in gamma_{k+1}": ({"d_k_in_gamma": True}, {}),
        "G^2 left out": ({"G2_share": 0.0}, {}),
        "sum in gamma left out": ({"T_factor": 0.0}, {}),
        "sum in gamma without d": ({"T_without_d": True}, {}),
        "gamma_k in place of gamma_{k+1} in x": ({"gamma_k_in_x": True}, {}),
        "x_k in place of x_0": ({"from_x": True}, {}),
    }.items()},
    "subgradient with D halved": ("subgradient", {"D_factor": 0.5}, {}),
    "subgradient with G halved": ("subgradient", {"G_factor": 0.5}, {}),
    "1/sqrt(k+1) with D halved": ("subgradient", {"D_factor": 0.5}, {"schedule": "inverse_sqrt"}),
    "dual averaging with D halved": ("dual_averaging", {"D_factor": 0.5}, {}),
    "dual averaging with gamma_k in x": ("dual_averaging", {"gamma_k_in_x": True}, {}),
    "AdaGrad averaging with D halved": (AVERAGING, {"D_factor": 0.5}, {}),
    "AdaGrad averaging, S late": (AVERAGING, {"first_g2": 0.5}, {}),
    "last iterate with D halved": (LAST, {"D_factor": 0.5}, {}),
    "last iterate, decreasing to 1 and not to 0": (LAST, {"to_one": True}, {}),
    "last iterate with a constant step": (LAST, {"constant": True}, {}),
    "1/sqrt(k+2)": ("subgradient", {"one_late": True}, {"schedule": "inverse_sqrt"}),
    "AdaGrad-Norm with S one step late": ("adagrad_norm", {"first_g2": 0.5}, {}),
    "Polyak step doubled": ("polyak", {"h_factor": 2.0}, {}),
    "AdaGrad-Norm without the root": ("adagrad_norm", {"no_root": True}, {}),
    **{f"gradient descent, {what}": ("dadapt_gradient_descent", *change) for what, change in {
        "d_hat doubled": ({"d_hat_factor": 2.0}, {}),
        "G^2 left out": ({"G2_share": 0.0}, {}),
        "S one step late": ({"first_g2": 0.0}, {}),
        "x moved twice as far": ({"move": 2.0}, {}),
        "weights d_k": ({"weights_d": True}, {}),
        "gamma of 1/2 in the sums": ({"gamma": 0.5}, {}),
        "d without the maximum": ({"d_falls": True}, {"d0": 0.05}),
        "d held back": ({"d_hat_share": 0.5}, {}),
    }.items()},
    **{f"AdaGrad, {what}": ("dadapt_adagrad", *change) for what, change in {
        "no 1/2": ({"d_hat_factor": 2.0}, {}),
        "A_{k+1} in the sum": ({"A_next_in_sum": True}, {"d0": 0.05}),
        "A_k in the norm of s": ({"A_k_in_norm": True}, {"d0": 0.05}),
        "squares counted twice": ({"squares": 2.0}, {"d0": 0.05}),
        "squares one step late": ({"first_squares": 0.0}, {"d0": 0.05}),
        "x_k in place of x_0": ({"from_x": True}, {"d0": 0.05}),
        "s moved twice as far": ({"s_factor": 2.0}, {"d0": 0.05}),
        "equal weights": ({"equal_weights": True}, {"d0": 0.05}),
        "d without the maximum": ({"d_falls": True}, {"d0": 0.05}),
    }.items()},
    **{f"SGD, {what}": ("dadapt_sgd", *change) for what, change in {
        "factor 8": ({"d_hat_factor": 4.0}, {"momentum": 0.0}),
        "s_{k+1} in the sum": ({"s_next_in_sum": True}, {"momentum": 0.0}),
        "x_k in place of x_0": ({"from_x": True}, {"momentum": 0.0}),
        "momentum and 1 - momentum exchanged": ({"exchanged": True}, {}),
        "G doubled": ({"G_factor": 2.0}, {}),
        "d without the maximum": ({"d_falls": True}, {}),
    }.items()},
    **{f"Adam, {what}": ("dadapt_adam", knobs, {}) for what, knobs in {
        "s_{k+1} in r": {"s_next_in_r": True},
        "d_hat without 1 - b": {"no_share_in_d_hat": True},
        "rate doubled": {"rate_factor": 2.0},
        "m without 1 - beta1": {"no_share_in_m": True},
        "v without its root": {"no_root": True},
        "x moved twice as far": {"move": 2.0},
        "d without the maximum": {"d_falls": True},
    }.items()},
    **{f"schedule, {name}, {what}": (name, {"schedule_use": use}, COSINE) for name, what, use in (
        (DADAPT, "squared", "twice"),
        (DADAPT, "ignored", "never"),
        ("prodigy_dual_averaging", "squared", "twice"),
        ("dadapt_gradient_descent", "squared", "twice"),
        ("dadapt_gradient_descent", "ignored", "never"),
        ("dadapt_adagrad", "squared", "twice"),
        ("dadapt_sgd", "squared", "twice"),
    )},
    "SGD by hand, rate doubled": ("sgd", {"move": 2.0}, {"lr": 0.5}),
    "SGD by hand, momentum without decay": ("sgd", {"no_decay": True}, {"lr": 0.5, "momentum": 0.5}),
    "SGD by hand, upwards": ("sgd", {"move": -1.0}, {"lr": 0.5}),
    "AdaGrad by hand, rate doubled": ("adagrad", {"move": 2.0}, {"lr": 1.0}),
    "Adam by hand, v without bias correction": ("adam", {"no_correction_of_v": True}, {}),
    "Adam by hand, m without 1 - beta1": ("adam", {"no_share_in_m": True}, {}),
}  # fmt: skip

# What no bound can refute on these problems, because the break makes the method no worse or nearly no worse than its
# bound; only the definitions of the step tell.
ONLY_BY_DEFINITION = {
    "S counted twice", "gamma_0 doubled", "G in place of G^2", "2 G^2", "gamma_k in place of gamma_{k+1} in d_hat",
    "gamma_0 of the plain step in the modified one", "d without the maximum", "squared weights", "average without x_0",
    "dual averaging with D halved", "dual averaging with gamma_k in x", "AdaGrad averaging with D halved",
    "AdaGrad averaging, S late", "last iterate, decreasing to 1 and not to 0", "last iterate with a constant step",
    "1/sqrt(k+2)", "AdaGrad-Norm with S one step late",
    "Prodigy, d_k in gamma_{k+1}", "Prodigy, G^2 left out", "Prodigy, gamma_k in place of gamma_{k+1} in x",
    "gradient descent, G^2 left out", "gradient descent, x moved twice as far",
    "AdaGrad, squares counted twice", "AdaGrad, squares one step late",
    "SGD, G doubled", "SGD, d without the maximum",
    "Adam, s_{k+1} in r", "Adam, d_hat without 1 - b", "Adam, x moved twice as far",
    *(name for name in BREAKS if name.startswith("schedule, ")),
}  # fmt: skip


@functools.cache
def catching_problems() -> tuple[problems.Problem, ...]:
    """Built-in problems on which a break has to show: kinks, worst cases, and a small first subgradient."""
    return (
        problems.absolute_value(),
        problems.max_abs(9),
        problems.norm2(6),
        problems.drori_teboulle(m=5),
        problems.drori_teboulle(m=8, D=2.0, G=50.0),
        problems.drori_teboulle(m=400),
        problems.least_absolute_deviation(A, B),
        problems.hinge(A, B),
    )


def steps_of(method: str) -> int:
    return 6 if method == LAST else 400  # its bound speaks of the last step alone


@functools.cache
def violated(name: str | None, method: str, hyper: tuple[tuple[str, object], ...]) -> frozenset[str]:
    """The theorems violated by the break of this name, up to the problem that tells; None: by the method as it is."""
    knobs = {} if name is None else BREAKS[name][1]
    found: set[str] = set()
    for problem in catching_problems():
        run = dc.solve(
            problem, variants.METHODS[method], steps=steps_of(method), checkpoints="all", **knobs, **dict(hyper)
        )
        table = dc.check(run, problem.optimum()).set_index("theorem")["verdict"]
        found |= set(table.index[table == VIOLATED])
        if found if name in ONLY_BY_DEFINITION else bounds_among(found):
            break
    return frozenset(found)


def bounds_among(found: Iterable[str]) -> set[str]:
    return {theorem for theorem in found if "definition" not in theorem}


@pytest.mark.parametrize("name", one_in(29, BREAKS))
def test_a_broken_method_is_caught_as_violated(name):
    """By a bound, and not only by a definition, where a bound can tell."""
    method, _, hyper = BREAKS[name]
    given = tuple(hyper.items())
    assert not violated(None, method, given)
    found = violated(name, method, given)
    assert found if name in ONLY_BY_DEFINITION else bounds_among(found), found


def test_a_broken_method_shows_in_the_diagnostics_of_its_definitions():
    """Definitions hold for any gradients: there a diagnostic that is exceeded tells of the method, not of noise."""
    method, knobs, _ = BREAKS["gamma doubled"]
    run = dc.solve(problems.absolute_value(), variants.METHODS[method], steps=200, noise="sign(0.5)", **knobs)
    found = dc.check(run).set_index("theorem")
    assert "exceeded at" in found.loc["definition_gamma", "note"]
    assert "kept at all" in found.loc["definition_d_hat", "note"]


SETTINGS = list(dict.fromkeys((method, tuple(hyper.items())) for method, _, hyper in BREAKS.values()))


@pytest.mark.parametrize(("method", "hyper"), SETTINGS, ids=str)
def test_with_its_knobs_at_their_defaults_a_variant_is_the_method(method, hyper):
    """Bit for bit in plain Python. Compiled, the two are fused and summed in other orders."""
    right, made = dc.get_method(method), variants.METHODS[method]
    for problem in (problems.absolute_value(), problems.norm2(6), problems.hinge(A, B)):
        run = dc.solve(problem, right, steps=steps_of(method), checkpoints="all", **dict(hyper))
        knobs = {name: made.parameters[name].default for name in made.parameters.keys() - right.parameters.keys()}
        encoded, own = made.encode(run.hyper | knobs), right.encode(run.hyper)
        for a, b in zip(made.start(problem.x0, encoded), right.start(problem.x0, own), strict=True):
            np.testing.assert_array_equal(a, b)
        for t in run.transitions:
            found = run_step(made.step.python, replace(t, hyper=np.concatenate([t.hyper, encoded[own.size :]])))
            expected = run_step(right.step.python, t)
            for a, b in zip(found.parts(), expected.parts(), strict=True):
                np.testing.assert_array_equal(a, b)


def test_every_method_has_a_variant_and_every_knob_is_turned_by_a_break():
    assert set(variants.METHODS) == set(dc.methods())
    turned = {(method, knob) for method, knobs, _ in BREAKS.values() for knob in knobs}
    own = {
        (name, knob)
        for name, made in variants.METHODS.items()
        for knob in made.parameters.keys() - dc.get_method(name).parameters.keys()
    }
    assert turned == own
