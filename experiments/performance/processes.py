"""Whole processes: the first result cold and warm, and what imports cost.

CPU times, as in measure.py: a process on one thread that waits for nothing but its files, which are in the system's
cache after the first time.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from experiments.performance.cases import COLD, HELP, WARM
from experiments.performance.measure import METHOD, Row, interleaved, judged, spread
from experiments.provenance import ROOT

FIRST_RESULT = f"""\
import numpy as np
import dadapt_convex as dc, problems
random = np.random.default_rng(0)
A, b = random.standard_normal((200, 30)), np.where(random.random(200) < 0.5, -1.0, 1.0)
run = dc.solve(problems.logistic(A, b), {METHOD!r}, steps=100)
assert run.status == "completed", run.message
"""
TRIVIAL = """\
import numba

@numba.njit("float64(float64)", cache=True)
def one_more(x):
    return x + 1.0

assert one_more(1.0) == 2.0
"""


def process_rows(folder: Path, cold_rounds: int, rounds: int) -> list[Row]:
    """Rows for cold and warm first results and for the commands that must answer at once; folder: scratch."""
    script = folder / "trivial.py"  # a file: Numba caches nothing else
    script.write_text(TRIVIAL, encoding="utf-8")
    trivial, first = [str(script)], ["-c", FIRST_RESULT]

    def cold_start() -> float:
        return cpu_seconds(first, {"DADAPT_CACHE": tempfile.mkdtemp(dir=folder)})

    filled = {"DADAPT_CACHE": tempfile.mkdtemp(dir=folder)}
    own = {"NUMBA_CACHE_DIR": tempfile.mkdtemp(dir=folder)}
    cpu_seconds(trivial, own)
    cold = np.array([cpu_seconds(first, filled), *(cold_start() for _ in range(cold_rounds - 1))])
    warm = interleaved(
        {"ours": lambda: cpu_seconds(first, filled), "trivial": lambda: cpu_seconds(trivial, own)}, rounds
    )
    commands = interleaved(
        {
            "--help": lambda: cpu_seconds(["-m", "experiments.run", "--help"]),
            "list": lambda: cpu_seconds(["-m", "experiments.run", "list"]),
            "empty": lambda: cpu_seconds(["-c", "pass"]),
        },
        rounds,
    )

    floor = float(np.median(warm["trivial"]))
    made: dict[str, Any] = {"size": "process", "unit": "s"}
    return [
        judged(
            COLD, what="first result, cold", ours=float(np.median(cold)), reference=floor, **spread(cold / floor),
            reference_is="trivial process with one cached Numba function", rounds=cold_rounds, **made,
        ),
        judged(
            WARM, what="first result, warm", ours=float(np.median(warm["ours"])), reference=floor,
            **spread(warm["ours"] / warm["trivial"]),
            reference_is="trivial process with one cached Numba function", rounds=rounds, **made,
        ),
        *(
            judged(
                HELP, what=f"run {name}", ours=float(np.median(commands[name])),
                reference=float(np.median(commands["empty"])), **spread(commands[name] / commands["empty"]),
                reference_is="python -c pass", rounds=rounds, **made,
            )
            for name in ("--help", "list")
        ),
    ]  # fmt: skip


def cpu_seconds(arguments: list[str], variables: dict[str, str] | None = None) -> float:
    """CPU time of a Python process, held to one thread."""
    environment = {name: value for name, value in os.environ.items() if name not in ("DADAPT_CACHE", "NUMBA_CACHE_DIR")}
    environment |= {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", **(variables or {})}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
