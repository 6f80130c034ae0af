"""Run the authors' package and PyTorch's optimizers on the fixed problems; write released_package.npz.

Needs an environment of its own; the project depends on neither PyTorch nor the package:

    python -m venv ENV; ENV/bin/pip install torch==2.13.0 dadaptation==3.2 numpy
    ENV/bin/python tests/reference/released_package.py

Gradients come from the NumPy formulas of fixed_problems.py and are given to the optimizer through param.grad, so the
numbers depend on the optimizers alone. Everything is float64.

The file holds, P being a problem of fixed_problems.py, with runs in the order of the list `cases` (JSON):

    cases               [{"optimizer", "hyper", "divide_lr_by_10_at"}, ...], `hyper` as the optimizer's arguments
    edge_cases          {NAME: {OPTIMIZER: what happened}}, the cases of `edge_cases` below
    versions            of the packages
    kept                (10,) the steps k whose x_k is stored
    P/d                 (D-Adaptation runs, 201): d_0 .. d_200
    P/d_hat             (D-Adaptation runs, 200): d_hat_1 .. d_hat_200
    P/x                 (all runs, kept, shape of x); absolute_value: (all runs, 201, 1)
    P/x0, P/A, ...      the data, as fixed_problems() wants them
    edge/NAME/OPTIMIZER/{x, d}   until the end or the exception
"""

from __future__ import annotations

import json
import logging
import re
import sys
from importlib.metadata import version
from pathlib import Path

import dadaptation
import numpy as np
import torch
from fixed_problems import fixed_problems

STEPS = 200
KEPT = np.array([0, 1, 2, 5, 10, 20, 50, 100, 150, 200])
TARGET = Path(__file__).with_suffix(".npz")
# The trajectories must say something of the update rules, not of rounding: every run is done once more with its rates
# larger by 1e-13, and the data are refused where that moves an iterate by more than 100 times as much, or d_hat by
# 1e4 times. (A kink passed too closely would show there; so do data on which D-Adapt Adam is unstable: some seeds give
# 4e8. d_hat has more room because with p = 1 the s it is divided by goes through 0; d itself does not feel that.)
NUDGE = 1e-13
LARGEST_CONDITION = {"x": 100.0, "d_hat": 1e4}

OPTIMIZERS = {
    "DAdaptSGD": dadaptation.DAdaptSGD,
    "DAdaptAdam": dadaptation.DAdaptAdam,
    "DAdaptAdaGrad": dadaptation.DAdaptAdaGrad,
    "SGD": torch.optim.SGD,
    "Adam": torch.optim.Adam,
    "AdamW": torch.optim.AdamW,
    "Adagrad": torch.optim.Adagrad,
}


def case(optimizer, divide_lr_by_10_at=None, **hyper):
    return {"optimizer": optimizer, "hyper": hyper, "divide_lr_by_10_at": divide_lr_by_10_at}


# defaults, each option alone, all together; d0 = 1e-3 goes with growth 1.02, or d would never leave 5e-5
CASES = [
    case("DAdaptSGD"),
    case("DAdaptSGD", momentum=0.9),
    case("DAdaptSGD", weight_decay=0.01),
    case("DAdaptSGD", growth_rate=1.02, d0=1e-3),
    case("DAdaptSGD", d0=1e-3),
    case("DAdaptSGD", 100),
    case("DAdaptSGD", 100, momentum=0.9, weight_decay=0.01, growth_rate=1.1, d0=1e-3),
    case("DAdaptAdam"),
    case("DAdaptAdam", betas=(0.8, 0.99)),
    case("DAdaptAdam", use_bias_correction=True),
    case("DAdaptAdam", weight_decay=0.01),
    case("DAdaptAdam", weight_decay=0.01, decouple=True),
    case("DAdaptAdam", growth_rate=1.02, d0=1e-3),
    case("DAdaptAdam", eps=1e-3),
    case("DAdaptAdam", 100),
    case(
        "DAdaptAdam", 100, betas=(0.8, 0.99), use_bias_correction=True, weight_decay=0.01, decouple=True,
        growth_rate=1.1, d0=1e-3,
    ),
    case("DAdaptAdaGrad"),
    case("DAdaptAdaGrad", momentum=0.9),
    case("DAdaptAdaGrad", weight_decay=0.01),
    case("DAdaptAdaGrad", growth_rate=1.02, d0=1e-3),
    case("DAdaptAdaGrad", eps=1e-3),
    case("DAdaptAdaGrad", 100),
    case("DAdaptAdaGrad", 100, momentum=0.9, weight_decay=0.01, growth_rate=1.1, d0=1e-3),
    case("SGD", lr=0.07),
    case("SGD", 100, lr=0.07, momentum=0.9, weight_decay=0.01),
    case("Adam", lr=0.013),
    case("Adam", 100, lr=0.013, betas=(0.8, 0.99), eps=1e-3, weight_decay=0.01),
    case("AdamW", 100, lr=0.013, weight_decay=0.01),
    case("Adagrad", lr=0.21),
    case("Adagrad", 100, lr=0.21, weight_decay=0.01),
]  # fmt: skip


def make_data():
    """Seeded data of the fixed problems, in the file's names."""
    rng = np.random.default_rng(2301_07733)
    A = rng.standard_normal((40, 7)) * np.array([1.0, 0.3, 3.0, 1.0, 0.1, 1.0, 2.0])  # columns of several sizes
    b = A @ rng.standard_normal(7) + 0.5 * rng.standard_normal(40)
    rng = np.random.default_rng(5)
    labels = np.repeat(np.arange(3, dtype=np.uint8), 20)
    centres = 0.5 * rng.standard_normal((3, 4))
    features = centres[labels] + rng.standard_normal((60, 4))  # classes overlap: a minimiser exists
    epochs = STEPS * 16 // 60 + 2
    return {
        "absolute_value/x0": np.ones(1),
        "least_absolute_deviation/A": A,
        "least_absolute_deviation/b": b,
        "least_absolute_deviation/x0": np.zeros(7),
        "multinomial/A": np.hstack([features, np.ones((60, 1))]),
        "multinomial/labels": labels,
        "multinomial/order": np.array([rng.permutation(60) for _ in range(epochs)], dtype=np.uint8),
        "multinomial/x0": np.zeros((5, 3)),
        "multinomial_nonzero_start/x0": 0.5 * rng.standard_normal((5, 3)),
    }


class DHats(logging.Handler):
    """d_hat is not kept by the optimizers, but written to the log with all its digits."""

    def __init__(self):
        super().__init__()
        self.values = []

    def emit(self, record):
        match = re.search(r"d_hat: ([^,\s]+)", record.getMessage())
        if match:
            self.values.append(float(match.group(1)))


def run(optimizer, gradient, x0, steps, lr_at, hyper):
    """(x_0 .., d_0 .., d_hat_1 .., None or the exception) of one run; lr_at(k) is the rate of step k in units of lr."""
    log = DHats()
    logging.getLogger().addHandler(log)
    logging.getLogger().setLevel(logging.INFO)
    adapts = optimizer.startswith("DAdapt")
    x = torch.nn.Parameter(torch.tensor(x0, dtype=torch.float64))
    method = OPTIMIZERS[optimizer]([x], **hyper, **({"log_every": 1} if adapts else {}))
    group = method.param_groups[0]
    lr = group["lr"]
    xs, ds, failure = [x0.copy()], [group["d"]] if adapts else [], None
    for k in range(steps):
        group["lr"] = lr * lr_at(k)
        x.grad = torch.tensor(gradient(k, x.detach().numpy()), dtype=torch.float64)
        try:
            method.step()
        except (ArithmeticError, NameError) as error:
            failure = f"{type(error).__name__} at step {k}"
            break
        xs.append(x.detach().numpy().copy())
        if adapts:
            ds.append(float(group["d"]))
    logging.getLogger().removeHandler(log)
    return np.array(xs), np.array(ds), np.array(log.values), failure


def largest_change(u, v):
    """max |u - v| in units of max |v|."""
    return np.max(np.abs(u - v), initial=0.0) / np.max(np.abs(v), initial=1e-300)


def trajectories(name, problem):
    """Arrays of all cases on one problem; the program ends where one is too sensitive to serve as a reference."""
    xs, ds, d_hats, conditions = [], [], [], []
    for one in CASES:
        drop = one["divide_lr_by_10_at"]

        def rate(k, drop=drop):
            return 1.0 if drop is None or k < drop else 0.1

        given = (one["optimizer"], problem.gradient, problem.x0, STEPS)
        x, d, d_hat, failure = run(*given, rate, one["hyper"])
        nudged_x, _, nudged_d_hat, _ = run(*given, lambda k, rate=rate: rate(k) * (1 + NUDGE), one["hyper"])
        condition = {
            "x": largest_change(nudged_x, x) / NUDGE,
            "d_hat": largest_change(nudged_d_hat, d_hat) / NUDGE,
        }
        if failure or not all(condition[key] <= LARGEST_CONDITION[key] for key in condition):
            sys.exit(f"{name}, {one}: {failure}, condition {condition}: no reference; change the data")
        conditions.append(condition)
        xs.append(x if x[0].size == 1 else x[KEPT])
        if d.size:
            ds.append(d)
            d_hats.append(d_hat)
    worst = {key: max(condition[key] for condition in conditions) for key in LARGEST_CONDITION}
    print(f"{name}: largest condition of x {worst['x']:.1f}, of d_hat {worst['d_hat']:.0f}")
    return {f"{name}/x": np.array(xs), f"{name}/d": np.array(ds), f"{name}/d_hat": np.array(d_hats)}


def edge_cases():
    """Zero gradients, s returning to zero, a rate of zero: gradient sequences that do not depend on x, from x_0 = 1."""
    ones = [1.0] * 20
    sequences = {
        "zero_gradients_first": ([0.0, 0.0, 0.0, *ones], lambda k: 1.0),
        "s_returns_to_zero": ([1.0, -1.0, 1.0, -1.0, *ones], lambda k: 1.0),
        "rate_zero": (ones, lambda k: 0.0 if 10 <= k < 15 else 1.0),
    }
    happened, arrays = {}, {}
    for name, (g, lr_at) in sequences.items():
        happened[name] = {}
        for optimizer in ("DAdaptSGD", "DAdaptAdam", "DAdaptAdaGrad"):
            x, d, _, failure = run(optimizer, lambda k, x, g=g: np.array([g[k]]), np.ones(1), len(g), lr_at, {})
            happened[name][optimizer] = failure or "runs"
            arrays[f"edge/{name}/{optimizer}/x"] = x
            arrays[f"edge/{name}/{optimizer}/d"] = d
    return happened, arrays


def main():
    torch.set_default_dtype(torch.float64)
    data = make_data()
    stored = dict(data, kept=KEPT)
    for name, problem in fixed_problems(data).items():
        stored |= trajectories(name, problem)
    happened, arrays = edge_cases()
    stored |= arrays
    texts = {
        "cases": CASES,
        "edge_cases": happened,
        "versions": {name: version(name) for name in ("dadaptation", "torch", "numpy")},
    }
    stored |= {key: np.array(json.dumps(value)) for key, value in texts.items()}
    np.savez_compressed(TARGET, **stored)
    print(json.dumps(happened, indent=1))
    print(f"{TARGET.name}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
