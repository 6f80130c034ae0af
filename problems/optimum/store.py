"""Certified optima on disk, under a hash of everything they depend on."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dadapt_convex.oracle import say
from problems import matrix
from problems.data.cache import cache_dir, load_npz, save_npz
from problems.optimum.arithmetic.extended import Floats
from problems.optimum.certificate import made, parts
from problems.problem import NUMBERS, LinearModel, Optimum

# Part of the hash: raise it when the layout changes, or when a stored bound would no longer be proved.
FORMAT = 10
# Below this a solve costs little more than a look into the cache.
WORTH_KEEPING = 0.2
TEXTS = ("problem", "identity")


def key(model: LinearModel, x0: Floats, radius: float = math.inf) -> str:
    """SHA-256 of format, loss with its formula, parameters, data, starting point and radius."""
    numbers = {"radius": radius, "l2": model.l2, **model.parameters}
    digest = hashlib.sha256(f"{FORMAT} {model.loss} {model.law.content()} {numbers!r} {model.A.shape}".encode())
    values, *places = matrix.parts(model.A)
    for array in (values, *(place.astype(np.int64) for place in places), model.b, x0):
        digest.update(f"{array.shape} {array.dtype.str}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def load(name: str) -> Optimum | None:
    """The optimum stored under this key, with the seconds it took then."""
    path = _path(name)
    stored = None if path is None else load_npz(path)
    if stored is None:
        return None
    try:
        return from_arrays(*stored)
    except (AttributeError, KeyError, TypeError, ValueError):
        say(f"{path} was written by other code; the optimum is certified again.")
        return None


def to_arrays(optimum: Optimum) -> tuple[dict[str, Any], dict[str, Any]]:
    """(arrays, what fits JSON): the layout of every file that holds an optimum with its certificate."""
    certificate = optimum.certificate
    entries = {} if certificate is None else parts(certificate)
    arrays = {f"certificate.{k}": v for k, v in entries.items() if isinstance(v, np.ndarray)}
    meta = {k: getattr(optimum, k) for k in (*NUMBERS, *TEXTS)}
    meta |= {"attained": optimum.attained, "notes": list(optimum.notes)}
    if certificate is not None:
        plain = {k: v for k, v in entries.items() if not isinstance(v, np.ndarray)}
        meta["certificate"] = {"class": type(certificate).__name__, **plain}
    return {**arrays, "x": optimum.x}, meta


def from_arrays(arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> Optimum:
    """The optimum that to_arrays took apart; KeyError, TypeError or ValueError for other content."""
    certificate = None
    if "certificate" in meta:
        entries = {**meta["certificate"], **{k.removeprefix("certificate."): v for k, v in arrays.items() if k != "x"}}
        certificate = made(entries.pop("class"), entries)
    numbers: dict[str, Any] = {k: float(meta[k]) for k in NUMBERS}
    texts: dict[str, Any] = {k: str(meta[k]) for k in TEXTS}
    return Optimum(
        x=arrays["x"],
        attained=meta["attained"],
        certificate=certificate,
        notes=tuple(meta["notes"]),
        **numbers,
        **texts,
    )


def save(name: str, optimum: Optimum) -> None:
    """Store the optimum under this key, unless it took little time or the cache cannot be written."""
    path = _path(name)
    if path is None or optimum.seconds < WORTH_KEEPING:
        return
    arrays, meta = to_arrays(optimum)
    save_npz(path, arrays, meta)


def _path(name: str) -> Path | None:
    folder = cache_dir("optima")
    return None if folder is None else folder / f"{name}.npz"
