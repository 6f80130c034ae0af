"""Stochastic gradient descent with momentum, in PyTorch's form.

    m_0 = 0
    for k = 0 .. n:
        m_{k+1} = beta m_k + g_k                           g_k + w x_k with weight decay w
        x_{k+1} = x_k - lr gamma_k m_{k+1}                 gamma_k the schedule, 1 by default
    Output x_{n+1}

The learning rate is tuned by hand; momentum is 0 by default, where it is the subgradient method.

Guarantee for the deterministic oracle and w = 0: with momentum 0 and h_k = lr gamma_k,

    sum h_k (f(x_k) - f*) <= D^2/2 + 1/2 sum h_k^2 ||g_k||^2

With any momentum and a constant rate: theorem sgd_momentum.

B. T. Polyak. Some methods of speeding up the convergence of iteration methods. USSR Comput. Math. Math. Phys. 4, 1964.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import dadapt_convex as dc
from dadapt_convex.methods._hyper import MOMENTUM, WEIGHT_DECAY


class State(dc.State):
    m = dc.Vector("m_{k+1}")
    f_first = dc.Scalar("f(x_0)")


class Hyper(dc.Hyper):
    lr = dc.Real(meaning="the learning rate, in units of ||x|| / ||g||", default=1e-3, low=0.0)
    momentum = replace(MOMENTUM, default=0.0)
    weight_decay = WEIGHT_DECAY
    schedule = dc.SCHEDULE


@dc.step(State, Hyper)
def sgd(k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, state: State, hyper: Hyper) -> float:
    """Iteration k, in one pass over the parameters; the weight of x_k is h_k = lr gamma_k."""
    m = state.m
    beta, w = hyper.momentum, hyper.weight_decay

    h = hyper.lr * hyper.schedule
    for i in range(x.size):
        m[i] = beta * m[i] + (g[i] + w * x[i])
        x_next[i] = x[i] - h * m[i]

    if k == 0:
        state.f_first = f
    return h


METHOD = dc.Method(
    name="sgd",
    title="SGD",
    reference="Polyak 1964, as in PyTorch",
    summary="stochastic gradient descent with momentum, at a rate tuned by hand",
    step=sgd,
    averages=False,
    claims=(
        "sgd_basic_inequality", "sgd_momentum", "sgd_basic_inequality_comparator", "regret_comparator", "regret",
        "definition_sgd",
    ),
)  # fmt: skip
