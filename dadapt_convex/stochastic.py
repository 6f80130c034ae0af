"""Stochastic gradients: mini-batches without replacement, or noise added to the subgradient.

With mini-batches an epoch visits every row once, in an order drawn anew; the last batch holds what is left. f is then
the mean loss of the batch, plus the penalty. The same seed gives the same batches to every method. The loops are in
stochastic_driver.py.

Noise models add to each entry of the subgradient, independently and with mean zero:

    gaussian(sigma)    sigma times a standard normal number
    sign(sigma)        sigma or -sigma, each with probability 1/2
    skewed(sigma)      3 sigma with probability 0.999, -2997 sigma with probability 0.001; on |x| it drives the estimate
                       d_hat of dual averaging with D-Adaptation above D in some 7 runs of 10, where without noise
                       d_hat <= D is a theorem
"""

from __future__ import annotations

import contextlib
import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from dadapt_convex.checks import as_float, as_int, shown
from dadapt_convex.oracle import Objective, Vector

LIKELY, UNLIKELY, RARE = 3.0, -2997.0, 0.001


@dataclass(frozen=True)
class Noise:
    """A noise model and its size; see the module's text."""

    kind: str
    sigma: float

    def __str__(self) -> str:
        return f"{self.kind}({self.sigma:g})"

    def draw(self, rng: np.random.Generator, shape: tuple[int, int]) -> Vector:
        """Independent entries; a longer draw begins with a shorter one."""
        if self.kind == "gaussian":
            return self.sigma * rng.standard_normal(shape)
        u = rng.random(shape)
        if self.kind == "sign":
            return np.where(u < 0.5, self.sigma, -self.sigma)
        return np.where(u < RARE, UNLIKELY * self.sigma, LIKELY * self.sigma)


NOISES = ("gaussian", "sign", "skewed")
TEXT = re.compile(r"\s*(\w+)\s*\(\s*([^()]+?)\s*\)\s*")


def as_noise(value: Any) -> Noise:
    """The noise model that a text or a Noise stands for; ValueError for anything else."""
    given = value
    if isinstance(value, str):
        match = TEXT.fullmatch(value)
        with contextlib.suppress(ValueError):
            value = Noise(match[1], float(match[2])) if match else value
    if isinstance(value, Noise) and isinstance(value.kind, str) and value.kind in NOISES:
        sigma = as_float(value.sigma)
        if sigma is not None and 0 < sigma < math.inf:
            return Noise(value.kind, sigma)
    known = ", ".join(f"{kind}(sigma)" for kind in NOISES)
    raise ValueError(f"noise must be {known} with sigma > 0 and finite, got {shown(given)}.")


@dataclass(frozen=True)
class Sampling:
    """The source of randomness: mini-batches of this size, or noise; and its seed."""

    batch_size: int | None
    noise: Noise | None
    seed: int

    def per_epoch(self, m: int) -> int:
        """Steps in an epoch: 1 without mini-batches."""
        return 1 if self.batch_size is None else -(-m // self.batch_size)

    def recorded(self) -> dict[str, Any]:
        """The entries of the run's record, beside the hyper-parameters."""
        source = {"batch_size": self.batch_size} if self.batch_size is not None else {"noise": str(self.noise)}
        return {**source, "seed": self.seed}


def sampling(problem: Objective, batch_size: Any, noise: Any, seed: Any) -> Sampling | None:
    """The randomness that solve() asks for, or None for the deterministic oracle; raise ValueError with a sentence."""
    drawn = as_int(seed)
    if drawn is None or drawn < 0:
        raise ValueError(f"seed must be a nonnegative integer, got {shown(seed)}.")
    if batch_size is None and noise is None:
        return None
    if batch_size is not None and noise is not None:
        raise ValueError("give batch_size or noise, not both: mini-batches have noise of their own.")
    if noise is not None:
        return Sampling(None, as_noise(noise), drawn)
    m = rows(problem)
    if m == 0:
        raise ValueError(f"{problem.name} has no rows to draw mini-batches from; noise='gaussian(0.1)' adds noise.")
    size = as_int(batch_size)
    if size is None or size < 1:
        raise ValueError(f"batch_size must be an integer of at least 1, got {shown(batch_size)}.")
    if size > m:
        raise ValueError(f"batch_size must be at most the number of rows, {m} in {problem.name}, got {shown(size)}.")
    return Sampling(size, None, drawn)


def rows(problem: Objective) -> int:
    """The number of rows that mini-batches can be drawn from; 0 where there are none."""
    oracle = problem.oracle
    return 0 if oracle.batch is None or oracle.data is None else oracle.data.b.size
