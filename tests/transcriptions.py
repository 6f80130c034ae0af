"""The algorithms once more, from the papers, in plain NumPy: nothing of the package is used here.

Each transcription is a generator that is sent (f_k, g_k) and yields the point x_k where they are wanted, with
what the paper names at that point; sums are taken anew over the whole history, not updated. `schedule` is the array of
factors gamma_k, for which the papers have 1.
"""

from __future__ import annotations

import numpy as np


def weighted_sum(weights, gs):
    return np.sum(weights[: len(gs), None] * np.array(gs), axis=0)


def dadapt_dual_averaging(x0, schedule, *, d0=1e-6, option="I", step="plain", G=None):
    x, s, d, d_hat = x0.copy(), np.zeros_like(x0), [d0], 0.0
    gs, norms2, correlations, gammas = [], [], [], []
    while True:
        _, g = yield {"x": x, "d": d[-1], "d_hat": d_hat, "s": s}
        gs.append(g)
        norms2.append(g @ g)
        if not gammas:
            gammas.append(1 / np.sqrt(norms2[0]) if step == "plain" else 1 / G)
        correlations.append(g @ s)
        lambdas = np.array(d) * schedule[: len(d)]
        s = weighted_sum(lambdas, gs)
        gamma_next = 1 / np.sqrt(np.sum(norms2) + (0 if step == "plain" else G**2))
        used_gamma = np.array(gammas)
        if option == "I":
            d_hat = (gamma_next * (s @ s) - np.sum(used_gamma * lambdas**2 * norms2)) / (2 * np.linalg.norm(s))
        else:
            d_hat = np.sum(used_gamma * lambdas * correlations) / np.linalg.norm(s)
        x = x0 - gamma_next * s
        gammas.append(gamma_next)
        d.append(max(d[-1], d_hat))


def prodigy_dual_averaging(x0, schedule, *, G, d0=1e-6):
    x, s, d, d_hat = x0.copy(), np.zeros_like(x0), [d0], 0.0
    gs, norms2, products = [], [], []
    while True:
        _, g = yield {"x": x, "d": d[-1], "d_hat": d_hat, "s": s}
        gs.append(g)
        norms2.append(g @ g)
        products.append(g @ (x0 - x))
        lambdas = np.square(d) * schedule[: len(d)]
        s = weighted_sum(lambdas, gs)
        d_hat = np.sum(lambdas * products) / np.linalg.norm(s)
        T = np.sum(np.square(d) * norms2)
        d.append(max(d[-1], d_hat))
        x = x0 - s / np.sqrt(d[-1] ** 2 * G**2 + T)


def dual_averaging(x0, schedule, *, D, G):
    gs = []
    x = x0.copy()
    while True:
        _, g = yield {"x": x}
        gs.append(g)
        x = x0 - D / (G * np.sqrt(2 * (len(gs) + 1))) * weighted_sum(schedule, gs)


def adagrad_norm_dual_averaging(x0, schedule, *, D):
    gs = []
    x = x0.copy()
    while True:
        _, g = yield {"x": x}
        gs.append(g)
        x = x0 - D / np.sqrt(np.sum(np.square(gs))) * weighted_sum(schedule, gs)


def adagrad_norm(x0, schedule, *, eta):
    gs = []
    x = x0.copy()
    while True:
        _, g = yield {"x": x}
        gs.append(g)
        x = x - schedule[len(gs) - 1] * eta / np.sqrt(np.sum(np.square(gs))) * g


def subgradient(x0, schedule, *, D, G, N=None):
    """Without N the step D / G is for a schedule that decreases, 1/sqrt(k + 1)."""
    k, x = 0, x0.copy()
    while True:
        _, g = yield {"x": x}
        x = x - schedule[k] * (D / G if N is None else D / (G * np.sqrt(N))) * g
        k += 1


def subgradient_last_iterate(x0, schedule, *, D, G, N):
    k, x = 0, x0.copy()
    n = N - 1
    while True:
        _, g = yield {"x": x}
        x = x - schedule[k] * D * (n - k) / (G * (n + 1) ** 1.5) * g
        k += 1


def polyak(x0, schedule, *, f_star):
    k, x = 0, x0.copy()
    while True:
        f, g = yield {"x": x}
        x = x - schedule[k] * (f - f_star) / (g @ g) * g
        k += 1


NAMES = (
    "dadapt_dual_averaging", "prodigy_dual_averaging", "dual_averaging", "adagrad_norm_dual_averaging", "adagrad_norm",
    "subgradient", "subgradient_last_iterate", "polyak",
)  # fmt: skip


def weights(name, records, schedule):
    """The weights of x_0, x_1, ... in the averaged iterate."""
    factors = schedule[: len(records)]
    if name == "dadapt_dual_averaging":
        return np.array([r["d"] for r in records]) * factors
    if name == "prodigy_dual_averaging":
        return np.array([r["d"] ** 2 for r in records]) * factors
    return np.ones(len(records)) if name == "subgradient_last_iterate" else factors


def run(name, oracle, x0, steps, schedule, **hyper):
    """x_0 .. x_{steps} with what the paper names there, and f(x_0) .. f(x_{steps-1})."""
    hyper = {key: value for key, value in hyper.items() if value is not None}
    method = globals()[name](x0, schedule, **hyper)
    records, values = [next(method)], []
    for k in range(steps):
        f, g = oracle(k, records[-1]["x"])
        values.append(f)
        records.append(method.send((f, np.array(g))))
    return records, np.array(values)
