"""`paper_toy`: dual averaging with D-Adaptation on |x| from x0 = 1: the iterates, and d_k."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments import store
from experiments.paper import figures, files, pages
from experiments.paper.figures import TRACE_SHOWN
from experiments.paper.session import Session, same_code
from experiments.suite import Options

NAME = "paper_toy"
METHOD = "dadapt_dual_averaging"
STEPS, QUICK_STEPS = 100_000, 2_000
# The trace of the paper's first figure.
PAPER: dict[str, Any] = {"option": "II", "step": "modified", "d0": 0.1}
D0S = (0.1, 1e-2, 1e-4, 1e-8)
RUNS: tuple[dict[str, Any], ...] = (
    PAPER,
    *({"option": option, "step": "plain", "d0": d0} for option in ("I", "II") for d0 in D0S),
)
LIMIT = 1 / (1 + math.sqrt(3))  # D/(1 + sqrt 3), D = 1
CHECKPOINTS = 400  # spread over the logarithm of k, beside every one of the paper's trace


def execute(options: Options) -> int:
    """Run the suite; the exit code. All of it takes a moment, so it is stored at once."""
    steps = QUICK_STEPS if options.quick else STEPS
    labels = [f"{METHOD}[{','.join(f'{name}={value}' for name, value in run.items())}]" for run in RUNS]
    configuration = {"suite": NAME, "steps": steps, "methods": labels, **same_code()}
    session = Session(options, configuration, {"quick": options.quick})

    def body() -> None:
        session.say(f"{NAME}: {len(RUNS)} runs of {steps} subgradients on |x|, a few seconds -> {session.out}")
        with session.timed("runs"):
            traces = [(run, trace(run, steps)) for run in RUNS]
        write_runs(session.out, traces)
        files.write_table(session.out, files.TOY, [row(run, columns) for run, columns in traces])
        session.close(redraw)
        show(session)

    return session.run(body)


def trace(run: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """Arrays k, x, d and f_avg: x_{k-1}, d_k and |x| of the average after k subgradients; k = 0 holds x_0 and d_0."""
    import dadapt_convex as dc
    import problems

    marks = np.union1d(np.arange(1, TRACE_SHOWN + 1), np.geomspace(1, steps, CHECKPOINTS).round().astype(int))
    found = dc.solve(problems.absolute_value(x0=1.0), METHOD, steps=steps, checkpoints=marks, **run)
    columns = {name: np.array([row[name] for row in found.rows]) for name in ("k", "f", "x_dist", "d", "f_avg")}
    x = 1.0 - columns["x_dist"]  # s_k >= 0 as long as d_k <= D = 1: the iterates never pass x_0
    if not np.allclose(np.abs(x), columns["f"], rtol=0, atol=1e-12):
        raise AssertionError("an iterate lies beyond x_0, where 1 - ||x - x_0|| is not x")
    first = {"k": [0], "x": [1.0], "d": [run["d0"]], "f_avg": [1.0]}
    return {name: np.concatenate([first[name], x if name == "x" else columns[name]]) for name in first}


def row(run: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
    """The row of toy.csv: the final d beside D/(1 + sqrt 3)."""
    k, d = columns["k"], columns["d"]
    there = np.flatnonzero(d >= LIMIT)
    return {
        **run, "steps": int(k[-1]), "d": d[-1], "limit": LIMIT, "d_over_limit": d[-1] / LIMIT,
        "reached_limit_at": k[there[0]] if there.size else math.nan, "f_avg": columns["f_avg"][-1],
    }  # fmt: skip


def write_runs(out: Path, traces: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> None:
    """curves.parquet: a row per run and checkpoint."""
    import pandas as pd

    table = pd.concat([pd.DataFrame({**run, **columns}) for run, columns in traces], ignore_index=True)
    with store.replacing(out / files.CURVES) as temporary:
        table.to_parquet(temporary, index=False)


def redraw(out: Path) -> None:
    """The figure and the report, from the stored files alone."""
    import pandas as pd

    manifest = store.checked_manifest(out, (files.CURVES, files.TOY))
    figures.draw_toy(out, pd.read_parquet(out / files.CURVES), PAPER, bool(manifest.get("quick")))
    pages.write_toy(out)


def show(session: Session) -> None:
    """The table on the terminal."""
    from experiments.terminal import table

    shown = table("The last d on |x| from x0 = 1, where D = 1")
    for name in ("option", "step", "d0", "d", "d (1 + sqrt 3) / D", "at least 1 from k ="):
        shown.add_column(name, justify="left" if name in ("option", "step") else "right", no_wrap=True)
    for _, run in files.read_table(session.out, files.TOY).iterrows():
        at = "" if math.isnan(run["reached_limit_at"]) else f"{run['reached_limit_at']:.0f}"
        shown.add_row(run["option"], run["step"], f"{run['d0']:g}", f"{run['d']:.4f}", f"{run['d_over_limit']:.4f}", at)
    session.console.print(shown)
