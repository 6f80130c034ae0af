"""The cost of names: a step with named state beside its twin, which reads and writes arrays by numbers.

Both are compiled with the signature of all steps, and one loop calls them through their addresses, as solve() does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import dadapt_convex as dc
from dadapt_convex.driver import typed
from dadapt_convex.oracle import FASTMATH, Kernel
from dadapt_convex.vector import add_scaled, dot, move_from
from experiments.performance.cases import SEED, Target
from experiments.performance.measure import METHOD, NS, SAME, SAME_ITERATES, Row, interleaved, judged, repeated, spread

SIZES = (1, 30, 1000)
NAMES_COST = Target("ratio", ">=", 0.97)  # names may cost 3 %
TWIN = "the same step with numbers in place of names"
RUN = 100  # steps: all have one gradient, f is linear, and d would overflow in a longer run


@dc.step
def by_numbers(
    k: int, f: float, g2: float, g: Any, x: Any, x_next: Any, vectors: Any, scalars: Any, hyper: Any
) -> float:
    """Iteration k of dual averaging with D-Adaptation; vectors holds s and x_0."""
    s, x0 = vectors[0], vectors[1]
    option, modified, G, factor = hyper[1], hyper[2] == 1.0, hyper[3], hyper[4]
    d, d_hat, gamma, S, sum_lambda = scalars[4], scalars[5], scalars[6], scalars[8], scalars[9]
    G2 = G * G if modified else 0.0
    if k == 0:
        gamma = 1.0 / G if modified else 1.0 / math.sqrt(g2)

    lam = d * factor
    scalars[0] += gamma * lam * lam * g2
    scalars[1] += gamma * lam * dot(g, s)
    scalars[3] += gamma * g2
    s_norm2 = add_scaled(s, lam, g)
    s_norm = math.sqrt(s_norm2)
    S += g2
    gamma_next = 1.0 / math.sqrt(G2 + S)
    scalars[2] += (gamma_next - gamma) * s_norm2
    if s_norm > 0.0:
        if option == 0.0:
            d_hat = (gamma_next * s_norm2 - scalars[0]) / (2.0 * s_norm)
        else:
            d_hat = scalars[1] / s_norm
    sum_lambda += lam
    d_next = d_hat if d_hat != d_hat else max(d, d_hat)
    move_from(x0, gamma_next, s, x_next)

    scalars[4], scalars[5], scalars[6], scalars[7] = d_next, d_hat, gamma_next, s_norm
    scalars[8], scalars[9], scalars[10] = S, sum_lambda, d_next / sum_lambda
    return lam


def _steps(
    step: Any, repeats: int, g: Any, x: Any, x_next: Any, vectors: Any, scalars: Any, hyper: Any,
    first_vectors: Any, first_scalars: Any,
) -> float:  # fmt: skip
    """Steps in runs of RUN, each run from the first state; returns the last weight."""
    g2, w = dot(g, g), 0.0
    for i in range(repeats):
        k = i % RUN
        if k == 0:
            vectors[:] = first_vectors
            scalars[:] = first_scalars
        w = step(k, 1.0, g2, g, x, x_next, vectors, scalars, hyper)
    return w


STEPS = Kernel(_steps, typed("float step int vector vector vector matrix vector vector matrix vector"), FASTMATH)


def measured(rounds: int) -> list[Row]:
    """The rows: the cost of a step, and whether the two do the same."""
    named, rows = dc.get_method(METHOD).step, []
    for p in SIZES:
        seconds = interleaved({"names": _timed(named, p), "numbers": _timed(by_numbers, p)}, rounds)
        median = {name: float(np.median(values)) for name, values in seconds.items()}
        rows += [
            judged(
                NAMES_COST, what="step", size=f"p = {p}", unit="ns", ours=NS * median["names"],
                reference=NS * median["numbers"], reference_is=TWIN, rounds=rounds,
                **spread(seconds["numbers"] / seconds["names"]),
            ),
            judged(SAME, what=SAME_ITERATES, size=f"step, p = {p}", unit="relative", ours=_difference(named, p),
                   reference_is=TWIN, note=f"x and the scalars after {RUN} steps"),
        ]  # fmt: skip
    return rows


def arguments(p: int) -> tuple[Any, ...]:
    """The arrays that STEPS takes: g, x, x_next, vectors, scalars, hyper, and the first vectors and scalars."""
    method = dc.get_method(METHOD)
    hyper = method.encode(method.complete({}, lambda what: (1.0, ""))[0])
    g, x = np.random.default_rng(SEED).standard_normal(p), np.zeros(p)
    return g, x, np.zeros(p), *method.start(x, hyper), hyper, *method.start(x, hyper)


def _timed(step: Kernel, p: int) -> Callable[[], float]:
    arrays, loop, argument = arguments(p), STEPS.compile(), step.argument
    return repeated(lambda repeats: loop(argument, repeats, *arrays))


def _difference(named: Kernel, p: int) -> float:
    """The largest relative difference of what the two steps leave."""
    ends = []
    for step in (named, by_numbers):
        arrays = arguments(p)
        STEPS(step.argument, RUN, *arrays)
        ends.append((arrays[2], arrays[4]))
    return max(float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in zip(*ends, strict=True))
