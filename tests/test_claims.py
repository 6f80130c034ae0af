"""Claims on trial: wrong theorems are refuted, each where it is false; right ones never are, lower bounds included."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

import dadapt_convex as dc
import problems

VIOLATED = "VIOLATED"


def claim(statement, lhs, rhs, **given):
    """A theorem from its two sides, functions of the case."""
    return dc.Theorem(
        name=statement,
        statement=statement,
        source="on trial",
        sides=lambda c: dc.Sides(lhs(c), rhs(c)),
        schedule="any",
        **given,
    )


def last_row(c):
    return c.k == c.run.k


def last_tenth(c):
    return c.k > 0.9 * c.run.k


def gap(c):
    return c.f_avg - c.f_star


def gap_best(c):
    return c.f_best - c.f_star


def gap_last(c):
    return c.f - c.f_star


def rate(c):
    """D G/sqrt(n + 1)."""
    return c.D * c.G / np.sqrt(c.k)


def growth(c):
    return 1 + np.sqrt(1 + c.gamma * c.sum_gamma_g2)


def d_hat(c):
    return c.d_hat


def D(c):
    return c.D


def flat_then_steep():
    """max(-0.01 x, 10 (x - 1)) from 0: the first subgradient is small."""

    def f_and_g(x):
        left, right = -0.01 * x[0], 10 * (x[0] - 1)
        return (right, [10.0]) if right > left else (left, [-0.01])

    x = 10 / 10.01
    optimum = problems.Optimum(f_lo=-0.01 * x - 1e-15, f_hi=-0.01 * x + 1e-15, x=np.array([x]), D_lo=0.99, D_hi=1.0)
    return problems.from_callable(f_and_g, x0=[0.0], G=10.0, optimum=optimum)


def regression(loss):
    rng = np.random.default_rng(7)
    A = rng.standard_normal((40, 3))
    z = A @ [1.0, -2.0, 0.5] + rng.standard_normal(40)
    return loss(A, z if loss is problems.least_absolute_deviation else np.sign(z))


ABS = problems.absolute_value()
NORM = problems.norm2(6)
MAX = problems.max_abs(5)
DT = problems.drori_teboulle(m=100, D=2.0, G=5.0)
DT_101 = problems.drori_teboulle(m=101, D=2.0, G=5.0)
ADAPT, DESCENT = "dadapt_dual_averaging", "dadapt_gradient_descent"
SMALL = {"d0": 1e-6}


@dataclass(frozen=True)
class On:
    """Where claims are tried: a run of a method, and what is known of the optimum on purpose less than could be."""

    problem: problems.Problem
    method: str
    steps: int
    hyper: dict = field(default_factory=dict)
    known: dict = field(default_factory=dict)

    def violated(self, theorems):
        """The names of those that are VIOLATED."""
        run = dc.solve(self.problem, self.method, steps=self.steps, **self.hyper)
        table = dc.check(run, replace(self.problem.optimum(), **self.known), theorems=theorems).set_index("theorem")
        verdicts = table.loc[[theorem.name for theorem in theorems], "verdict"]
        return set(verdicts.index[verdicts == VIOLATED])


def parametrized(cases):
    return pytest.mark.parametrize(("on", "theorems"), cases, ids=[f"{on.method}-{on.problem.name}" for on, _ in cases])


# False on these runs.
WRONG = [
    (On(DT_101, "subgradient", 100), (
        claim("0.99 of the rate, average", gap, lambda c: 0.99 * rate(c), rows=last_row),
        claim("0.99 of the rate, best", gap_best, lambda c: 0.99 * rate(c), rows=last_row),
    )),
    (On(DT_101, "subgradient_last_iterate", 100), (
        claim("0.99 of the rate, last", gap_last, lambda c: 0.99 * rate(c), rows=last_row),
    )),
    (On(DT, ADAPT, 100), (
        claim("0.999 of the rate, any method", gap, lambda c: 0.999 * rate(c), rows=last_row),
    )),
    (On(ABS, "polyak", 10), (
        claim("0.99 of Polyak's rate", gap, lambda c: 0.99 * rate(c)),
        claim("sum gap^2 <= 0.99 D^2 G^2", lambda c: c.sum_gap2, lambda c: 0.99 * c.D**2 * c.G**2),
    )),
    (On(ABS, "subgradient", 97), (
        claim("S <= (1 - 1e-9) (n+1) G^2", lambda c: c.S, lambda c: (1 - 1e-9) * c.k * c.G**2),
        claim("sum h <= (1 - 1e-9) (n+1) h", lambda c: c.weight_sum, lambda c: (1 - 1e-9) * c.k * c.h),
    )),
    (On(NORM, "subgradient", 400), (
        claim("f decreases", lambda c: c.f, lambda c: c.f_best),
    )),
    (On(DT_101, "subgradient", 400, {"schedule": "inverse_sqrt"}), (
        claim("1/sqrt(k+1) steps without a logarithm", gap, rate),
    )),
    (On(ABS, "dual_averaging", 1000), (
        claim("I3 without its sum", gap, lambda c: c.D**2 / (2 * c.gamma * c.weight_sum)),
    )),
    (On(ABS, "adagrad_norm_dual_averaging", 400), (
        claim("a third of the constant", gap, lambda c: 0.5 * c.D * np.sqrt(c.S) / c.k),
    )),
    (On(ABS, ADAPT, 7, SMALL), (
        claim("0.99 of D3", gap, lambda c: 0.99 * c.D * c.d / c.weight_sum / c.gamma * growth(c)),
    )),
    (On(ABS, ADAPT, 1000, SMALL), (
        claim("0.99 of D1", lambda c: c.s_norm, lambda c: 0.99 * c.d / c.gamma * growth(c)),
        claim("0.99 of D2", lambda c: c.sum_gamma_g2, lambda c: 0.99 * (2 * np.sqrt(c.S) - 0.9)),
        claim("d <= D/2", lambda c: c.d, lambda c: c.D / 2),
        claim("d stays d_0", lambda c: c.d, lambda c: c.hyper["d0"]),
        claim("d >= 0.9 D in the end", lambda c: 0.9 * c.D, lambda c: c.d, rows=last_row),
        claim("d >= 0.1 D at once", lambda c: 0.1 * c.D, lambda c: c.d),
        claim("asymptotic, unconditionally", gap, lambda c: 12 * rate(c) + 8 * c.D * c.G**2 / (c.k * c.g0_norm)),
        claim("the rate without a logarithm", gap, rate),
        claim("ten times the rate, whatever d_0", gap, lambda c: 10 * rate(c)),
        claim("iterates stay within D of x0", lambda c: c.x_next_dist, D),
    )),
    (On(ABS, ADAPT, 400, {"d0": 0.3}), (
        claim("the average is no better than the mean", lambda c: c.f_mean, lambda c: c.f_avg),
    )),
    (On(NORM, ADAPT, 50, {"d0": 0.95}), (
        claim("d <= 0.9 D", lambda c: c.d, lambda c: 0.9 * c.D),
        claim("0.99 of the distance", lambda c: c.x_next_dist, lambda c: 0.99 * c.gamma * c.s_norm),
    )),
    (On(NORM, ADAPT, 400, {"d0": 0.01}), (
        claim("option II is at most option I", lambda c: c.sum_gamma_lambda_gs / c.s_norm, d_hat, rows=last_row),
    )),
    (On(ABS, ADAPT, 500, {"d0": 1e-8, "step": "modified"}), (
        claim("non-asymptotic with 16 and no logarithm", lambda c: c.f_selected - c.f_star, lambda c: 16 * rate(c)),
    )),
    (On(flat_then_steep(), ADAPT, 20, {"d0": 0.9}), (
        claim("D2 without its last term", lambda c: c.sum_gamma_g2, lambda c: 2 * np.sqrt(c.S)),
        claim("kappa <= 2 for the plain step", lambda c: c.gamma * c.sum_gamma_g2, lambda c: 2.0),
    )),
    (On(ABS, DESCENT, 400, SMALL), (
        claim("d_hat <= 0.45 ||x_{n+1} - x_0||", d_hat, lambda c: 0.45 * c.x_next_dist),
        claim("d <= 100 d_0", lambda c: c.d, lambda c: 100 * c.hyper["d0"]),
    )),
    (On(ABS, DESCENT, 3000, {"d0": 1 - 1e-12}), (
        claim("1 + sqrt(1 + q) alone", lambda c: c.f_mean - c.f_star, lambda c: c.D * c.d / c.weight_sum
              * (1 + np.sqrt(1 + c.sum_gamma_lambda2_g2 / c.d**2))),
    )),
    (On(ABS, "dadapt_sgd", 400, {"momentum": 0.0}), (claim("Algorithm 4: d_hat <= D", d_hat, D),)),
    (On(ABS, "dadapt_adam", 400), (claim("Algorithm 5: d_hat <= D", d_hat, D),)),
    (On(ABS, "dadapt_adagrad", 400, {"convention": "released"}), (
        claim("released AdaGrad: d <= D_inf", lambda c: c.d, lambda c: c.D_inf),
    )),
    (On(ABS, "sgd", 400, {"lr": 0.3}), (
        claim("last iterate with the average's bound", gap_last, lambda c: c.D**2 / (0.6 * c.k) + 0.15 * c.G**2),
    )),
    (On(ABS, "adam", 400, {"lr": 0.01}), (claim("Adam at the optimal rate", gap_last, rate),)),
    (On(NORM, "adagrad", 50, {"lr": 0.1}), (
        claim("AdaGrad moves at most lr", lambda c: c.x_next_dist, lambda c: c.hyper["lr"]),
    )),
    (On(regression(problems.logistic), ADAPT, 50, SMALL), (claim("gap <= 0", gap, lambda c: 0.0),)),
    (On(regression(problems.least_absolute_deviation), ADAPT, 1000, {"d0": 0.1}), (
        claim("f_best >= f* + 0.1", lambda c: c.f_star + 0.1, lambda c: c.f_best),
    )),
]  # fmt: skip


@parametrized(WRONG)
def test_a_wrong_claim_is_violated(on, theorems):
    assert on.violated(theorems) == {theorem.name for theorem in theorems}


# ---------------------------------------------------------------------------------------------------------
# Right claims

ANYWHERE = (
    claim("f_best >= f*", lambda c: c.f_star, lambda c: c.f_best),
    claim("f_avg >= f*", lambda c: c.f_star, lambda c: c.f_avg),
    claim("f(x_n) >= f*", lambda c: c.f_star, lambda c: c.f),
    claim("f_avg <= the mean", lambda c: c.f_avg, lambda c: c.f_mean),
    claim("f_best <= the mean", lambda c: c.f_best, lambda c: c.f_mean),
    claim("S <= (n+1) max ||g||^2", lambda c: c.S, lambda c: c.k * c.G**2),
    claim("f_best - f* <= D G", gap_best, lambda c: c.D * c.G),
    claim("d >= d_0", lambda c: c.hyper["d0"], lambda c: c.d),
    claim("D >= d", lambda c: -c.D, lambda c: -c.d),
    claim("sum of weights >= (n+1) d_0", lambda c: c.k * c.hyper["d0"], lambda c: c.weight_sum),
    claim("||x_{n+1} - x_0|| = gamma ||s||, one way", lambda c: c.x_next_dist, lambda c: c.gamma * c.s_norm),
    claim("||x_{n+1} - x_0|| = gamma ||s||, the other", lambda c: c.gamma * c.s_norm, lambda c: c.x_next_dist),
)
EVERYWHERE = [
    (On(problem, ADAPT, 300, {"d0": 0.01 * problem.optimum().D_lo}), ANYWHERE)
    for problem in (ABS, NORM, MAX, DT, regression(problems.least_absolute_deviation), regression(problems.logistic))
]

WIDE = {"D_lo": 1.0, "D_hi": 10.0}
# True on these runs, and attained on some.
RIGHT = [
    (On(ABS, ADAPT, 1000), (
        claim("d >= 0.4 D in the end", lambda c: 0.4 * c.D, lambda c: c.d, rows=last_tenth),
        claim("||s||/sqrt(S) <= 1.05 (1 + sqrt 3) d in the end", lambda c: c.s_norm / np.sqrt(c.S),
              lambda c: 1.05 * (1 + math.sqrt(3)) * c.d, rows=last_tenth),
    )),
    (On(ABS, ADAPT, 1000, known=WIDE), (
        claim("d >= 0.4 D in the end", lambda c: 0.4 * c.D, lambda c: c.d, rows=last_tenth),
        claim("D <= 2.5 d in the end", D, lambda c: 2.5 * c.d, rows=last_tenth),
        claim("d <= D", lambda c: c.d, D),
    )),
    (On(ABS, "polyak", 10), (
        claim("f_best >= f*", lambda c: c.f_star, lambda c: c.f_best),
        claim("f_best <= f* after the first step", gap_best, lambda c: 0.0, rows=last_row),
        claim("sum gap^2 <= D^2 G^2", lambda c: c.sum_gap2, lambda c: c.D**2 * c.G**2),
    )),
    (On(ABS, "polyak", 10, known={"f_lo": -1.0, "f_hi": 0.5}), (
        claim("f_best >= f*", lambda c: c.f_star, lambda c: c.f_best),
    )),
    (On(ABS, "subgradient", 10_000, known={"f_lo": -1.0}), (
        claim("gap <= 0.02", gap, lambda c: 0.02, rows=last_row),
    )),
    (On(DT, "subgradient", 100), (
        claim("gap >= D G/sqrt(m)", lambda c: c.D * c.G / 10, gap),
        claim("the rate", gap, rate, rows=last_row),
    )),
    (On(DT, "subgradient", 100, known={"D_lo": 0.1}), (claim("the rate", gap_best, rate, rows=last_row),)),
    (On(DT, "subgradient_last_iterate", 100), (claim("the rate", gap_last, rate, rows=last_row),)),
    (On(DT, ADAPT, 100), (claim("gap >= D G/sqrt(m)", lambda c: c.D * c.G / 10, gap_best),)),
    (On(DT, "dual_averaging", 100, known={"D_hi": 50.0}), (
        claim("gap >= D G/sqrt(m)", lambda c: c.D * c.G / 10, gap),
    )),
    (On(DT, "adagrad_norm", 300), (claim("h_n ||g_n|| <= eta", lambda c: c.h * c.g_norm, lambda c: c.hyper["eta"]),)),
    (On(DT, "sgd", 20), (
        claim("f(x_0) <= f* + D G", lambda c: c.f, lambda c: c.f_star + c.D * c.G, rows=lambda c: c.k == 1),
    )),
    (On(NORM, "sgd", 300), (
        claim("||x_{n+1} - x_0|| <= sum of steps", lambda c: c.x_next_dist, lambda c: c.weight_sum * c.G),
    )),
    (On(MAX, "polyak", 300), (claim("||x_n - x_0|| <= 2 D", lambda c: c.x_dist, lambda c: 2 * c.D),)),
    (On(MAX, "adagrad_norm_dual_averaging", 300), (
        claim("gap <= 1.5 D sqrt(S)/(n+1) + D G^2/(2 (n+1) ||g_0||)", gap,
              lambda c: (1.5 * c.D * np.sqrt(c.S) + c.D * c.G**2 / (2 * c.g0_norm)) / c.k),
    )),
]  # fmt: skip


@parametrized(EVERYWHERE + RIGHT)
def test_a_right_claim_is_never_violated_however_little_is_known(on, theorems):
    assert on.violated(theorems) == set()
