"""What each difference between the paper and the released package does to d: the tables of RELEASED.md.

python tests/reference/compare_conventions.py
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from fixed_problems import fixed_problems
from numpy_reference import (
    Trajectory,
    dadapt_adagrad,
    dadapt_adam,
    dadapt_sgd,
    grown,
    inner,
    norm1,
    released_adagrad,
    released_adam,
    released_sgd,
)

STEPS = 200


def adagrad_between(gradient, x0, steps, *, a0, eps, weighted_by, factor, d0=1e-6):
    """Algorithm 3 with each difference a switch: A1 a_0, A2 eps, A3 weighted_by "A_k" or "A_k+1", A4 factor."""
    x, s, d, q, d_hat = [x0.copy()], np.zeros_like(x0), [d0], 0.0, []
    a2 = np.full_like(x0, a0**2)
    for k in range(steps):
        g = gradient(k, x[k])
        A_before, A = np.sqrt(a2) + eps, np.sqrt(a2 + g**2) + eps
        a2 = a2 + g**2
        s = s + d[k] * g
        q += d[k] ** 2 * inner(g, g / (A_before if weighted_by == "A_k" else A))
        d_hat.append(factor * (inner(s, s / A) - q) / norm1(s))
        d.append(grown(d[k], d_hat[k], math.inf))
        x.append(x0 - s / A)
    return Trajectory(np.array(x), np.array(d), np.array(d_hat))


def adam_correlation(gradient, x0, steps, *, s_from, A_from, d0=1e-6, betas=(0.9, 0.999), eps=1e-8):
    """Algorithm 5 with the s and the A of r from "before" or "after" their update."""
    beta1, beta2 = betas
    b = math.sqrt(beta2)
    x, d, d_hat, r = [x0.copy()], [d0], [], 0.0
    m, v, s = np.zeros_like(x0), np.zeros_like(x0), np.zeros_like(x0)
    for k in range(steps):
        g = gradient(k, x[k])
        m = beta1 * m + (1 - beta1) * d[k] * g
        v_before, v = v, beta2 * v + (1 - beta2) * g**2
        s_before, s = s, b * s + (1 - b) * d[k] * g
        A = np.sqrt(v_before if A_from == "before" else v) + eps
        r = b * r + (1 - b) * d[k] * inner(g, (s_before if s_from == "before" else s) / A)
        d_hat.append(r / ((1 - b) * norm1(s)))
        d.append(grown(d[k], d_hat[k], math.inf))
        x.append(x[k] - m / (np.sqrt(v) + eps))
    return Trajectory(np.array(x), np.array(d), np.array(d_hat))


def adagrad_variants(problem):
    """The paper's AdaGrad, then one difference more in each line, then each difference alone."""
    paper = {"a0": problem.G_inf, "eps": 0.0, "weighted_by": "A_k", "factor": 0.5}
    released = {"a0": 1e-3, "eps": 1e-6, "weighted_by": "A_k+1", "factor": 1.0}
    names = {"a0": "A1", "eps": "A2", "weighted_by": "A3", "factor": "A4"}
    variants = {"paper": paper}
    for key, name in names.items():
        variants[f"paper with {name} alone"] = {**paper, key: released[key]}
    for key, name in names.items():
        variants[f"released without {name}"] = {**released, key: paper[key]}
    variants["released"] = released
    return variants


def methods(problem):
    """Name of the row -> trajectory on this problem."""
    given = (problem.gradient, problem.x0, STEPS)
    rows = {
        "SGD, momentum 0.9: paper": dadapt_sgd(*given),
        "SGD, momentum 0.9: released": released_sgd(*given, momentum=0.9),
        "SGD, momentum 0: released (its default)": released_sgd(*given),
        "SGD, momentum 0.9, decay 0.1: paper": dadapt_sgd(*given, weight_decay=0.1),
        "SGD, momentum 0.9, decay 0.1: released": released_sgd(*given, momentum=0.9, weight_decay=0.1),
        "Adam: paper (s_k, A_{k+1})": dadapt_adam(*given),
        "Adam: released (s_k, A_k)": released_adam(*given),
        "Adam: released, bias correction": released_adam(*given, bias_correction=True),
        "Adam: s_{k+1}, A_{k+1}": adam_correlation(*given, s_from="after", A_from="after"),
    }
    for name, hyper in adagrad_variants(problem).items():
        rows[f"AdaGrad: {name}"] = adagrad_between(*given, **hyper)
    rows["AdaGrad: released, momentum 0.9"] = released_adagrad(*given, momentum=0.9)
    check(rows, given, problem)
    return rows


def check(rows, given, problem):
    """The switches at their ends are the transcriptions themselves."""
    same = [
        (rows["AdaGrad: paper"], dadapt_adagrad(*given, G_inf=problem.G_inf)),
        (rows["AdaGrad: released"], released_adagrad(*given)),
        (adam_correlation(*given, s_from="before", A_from="after"), rows["Adam: paper (s_k, A_{k+1})"]),
        (adam_correlation(*given, s_from="before", A_from="before"), rows["Adam: released (s_k, A_k)"]),
    ]
    for switched, transcribed in same:
        np.testing.assert_allclose(switched.d, transcribed.d, rtol=1e-12)  # rounding of the same recursion


def main():
    with np.load(Path(__file__).with_name("released_package.npz"), allow_pickle=False) as data:
        problems = fixed_problems(dict(data))
    columns = {name: methods(problem) for name, problem in problems.items()}
    print(f"d after {STEPS} steps, in brackets after 50; d_0 = 1e-6\n")
    print("| | " + " | ".join(columns) + " |")
    print("|---|" + "---|" * len(columns))
    for row in next(iter(columns.values())):
        cells = [f"{rows[row].d[-1]:.4g} ({rows[row].d[50]:.3g})" for rows in columns.values()]
        print(f"| {row} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
