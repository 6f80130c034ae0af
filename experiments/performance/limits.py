"""The limits of this machine on one core, measured: reading memory, and the transcendental part of the logistic loss.

Each kernel repeats its work `repeats` times within one call, so that calling it costs nothing. Stores between the
repetitions keep the compiler from doing the work once.
"""

from __future__ import annotations

from typing import Any

import numba

from dadapt_convex.oracle import FASTMATH, Kernel, signature
from problems.linear_models.logistic import loss


def _stream(a: Any, out: Any, repeats: int) -> float:
    """Sums of a, as fast as it can be read; returns the last."""
    total = 0.0
    for r in range(repeats):
        total = 0.0
        for i in range(a.size):
            total += a[i]
        out[r % out.size] = total
    return total


def _project_block(z: Any, slopes: Any, data: Any, repeats: int) -> float:
    """The logistic loss as the project's oracle computes it, over all margins; derivatives to slopes."""
    b = data.b
    total = 0.0
    for _ in range(repeats):
        total = 0.0
        for i in range(z.size):
            value, slopes[i] = loss(z[i], b[i])
            total += value
    return total


def _stream_signature() -> Any:
    t = numba.types
    readonly = t.Array(t.float64, 1, "C", readonly=True)
    return t.float64(readonly, t.Array(t.float64, 1, "C"), t.int64)


def _block_signature() -> Any:
    z, _, data = signature("value").args
    return numba.float64(z, z, data, numba.int64)


stream = Kernel(_stream, _stream_signature, FASTMATH)
project_block = Kernel(_project_block, _block_signature, FASTMATH)
