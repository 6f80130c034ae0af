"""The algorithms once more, from the papers, in plain NumPy: nothing of the package is used here.

Each transcription is a generator that is sent (f_k, g_k) and yields the point x_k where they are wanted, with
what the paper names at that point; sums are taken anew over the whole history, not updated.
"""

from __future__ import annotations

import numpy as np


def dadapt_dual_averaging(x0, *, d0=1e-6, option="I", step="plain", G=None):
    x, s, d, d_hat = x0.copy(), np.zeros_like(x0), [d0], 0.0
    gs, gammas, ss = [], [], []
    while True:
        _, g = yield {"x": x, "d": d[-1], "d_hat": d_hat, "s": s}
        gs.append(g)
        norms2 = np.array([h @ h for h in gs])
        if not gammas:
            gammas.append(1 / np.sqrt(norms2[0]) if step == "plain" else 1 / G)
        ss.append(s)
        s = sum(di * gi for di, gi in zip(d, gs, strict=True))
        gamma_next = 1 / np.sqrt(norms2.sum() + (0 if step == "plain" else G**2))
        used_d, used_gamma = np.array(d), np.array(gammas)
        if option == "I":
            d_hat = (gamma_next * (s @ s) - (used_gamma * used_d**2 * norms2).sum()) / (2 * np.linalg.norm(s))
        else:
            correlations = np.array([gi @ si for gi, si in zip(gs, ss, strict=True)])
            d_hat = (used_gamma * used_d * correlations).sum() / np.linalg.norm(s)
        x = x0 - gamma_next * s
        gammas.append(gamma_next)
        d.append(max(d[-1], d_hat))


def dual_averaging(x0, *, D, G):
    gs = []
    x = x0.copy()
    while True:
        _, g = yield {"x": x}
        gs.append(g)
        x = x0 - D / (G * np.sqrt(2 * (len(gs) + 1))) * np.sum(gs, axis=0)


def adagrad_norm_dual_averaging(x0, *, D):
    gs = []
    x = x0.copy()
    while True:
        _, g = yield {"x": x}
        gs.append(g)
        x = x0 - D / np.sqrt(np.sum(np.square(gs))) * np.sum(gs, axis=0)


def adagrad_norm(x0, *, eta):
    gs = []
    x = x0.copy()
    while True:
        _, g = yield {"x": x}
        gs.append(g)
        x = x - eta / np.sqrt(np.sum(np.square(gs))) * g


def subgradient(x0, *, D, G, schedule="constant", N=None):
    k, x = 0, x0.copy()
    while True:
        _, g = yield {"x": x}
        x = x - (D / (G * np.sqrt(N)) if schedule == "constant" else D / (G * np.sqrt(k + 1))) * g
        k += 1


def subgradient_last_iterate(x0, *, D, G, N):
    k, x = 0, x0.copy()
    n = N - 1
    while True:
        _, g = yield {"x": x}
        x = x - D * (n - k) / (G * (n + 1) ** 1.5) * g
        k += 1


def polyak(x0, *, f_star):
    x = x0.copy()
    while True:
        f, g = yield {"x": x}
        x = x - (f - f_star) / (g @ g) * g


def weights(name, records, hyper):
    """The weights of x_0, x_1, ... in the averaged iterate."""
    if name == "dadapt_dual_averaging":
        return np.array([r["d"] for r in records])
    if name == "subgradient" and hyper["schedule"] == "inverse_sqrt":
        return 1 / np.sqrt(np.arange(1, len(records) + 1))
    return np.ones(len(records))


def run(name, oracle, x0, steps, **hyper):
    """x_0 .. x_{steps} with what the paper names there, and f(x_0) .. f(x_{steps-1})."""
    hyper = {key: value for key, value in hyper.items() if value is not None}
    method = globals()[name](x0, **hyper)
    records, values = [next(method)], []
    for k in range(steps):
        f, g = oracle(k, records[-1]["x"])
        values.append(f)
        records.append(method.send((f, np.array(g))))
    return records, np.array(values)
