"""`paper_toy`: a method that estimates D, on |x| from x0 = 1: the iterates, and d_k."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments import store
from experiments.engine.session import Session
from experiments.engine.task import Task
from experiments.grid import presentation
from experiments.paper import figures, files, pages
from experiments.paper.figures import TRACE_SHOWN
from experiments.paper.work import OneFigure
from experiments.selection import MethodConfig, parse_method
from experiments.suite import Options, Suite

CHECKPOINTS = 400  # spread over the logarithm of k, beside every one of the paper's trace
CODE = "experiments/paper/toy.py"  # which makes the traces
SECONDS = 0.1  # of a run


class Toy(OneFigure):
    """The suite's configurations, of which the first is the paper's trace."""

    tables = (files.CURVES, files.TOY)
    figure = "toy"
    write_page = staticmethod(pages.write_toy)

    def __init__(self, suite: Suite, options: Options) -> None:
        super().__init__(suite, options)
        self.configs = [parse_method(label) for label in suite.methods]
        self.facts |= {"paper": given(self.configs[0]), "methods": presentation(self.configs)}

    def configuration(self) -> dict[str, Any]:
        """Everything that must not change within a results directory."""
        return {
            "suite": self.suite.name,
            "steps": self.suite.steps,
            "methods": [config.label for config in self.configs],
            **store.same_code(CODE),
        }

    def announce(self, session: Session) -> None:
        """Say what will run."""
        count, steps = len(self.configs), self.suite.steps
        session.say(f"{self.suite.name}: {count} runs of {steps} subgradients on |x|, a few seconds -> {self.out}")

    def compute(self, session: Session) -> None:
        """The runs, then the tables."""
        import pandas as pd

        code = store.code_of(self.configuration())
        identities = [
            store.digest("toy", store.FORMAT, code, config.name, sorted(given(config).items()), self.suite.steps)
            for config in self.configs
        ]
        tasks = [
            Task(trace, (config, self.suite.steps), config.label, identity, store.cell_file(identity), SECONDS)
            for config, identity in zip(self.configs, identities, strict=True)
        ]
        session.run(tasks, "runs")
        done = [
            (config, store.read_rows(self.out / task.file).columns)
            for config, task in zip(self.configs, tasks, strict=True)
            if task.label not in session.failures
        ]
        curves = pd.concat([pd.DataFrame({**given(config), **columns}) for config, columns in done], ignore_index=True)
        with store.replacing(self.out / files.CURVES) as temporary:
            curves.to_parquet(temporary, index=False)
        files.write_table(self.out, files.TOY, [row(config, columns) for config, columns in done])

    @staticmethod
    def picture(out: Path) -> Any:
        """The figure."""
        import pandas as pd

        manifest = store.checked_manifest(out, Toy.tables)
        (method,) = manifest["methods"].values()
        runs = pd.read_parquet(out / files.CURVES)
        return figures.toy(runs, manifest["paper"], method["d_limit"], bool(manifest["quick"]))

    def show(self, session: Session) -> bool:
        """The last d of every run."""
        from experiments.terminal import table

        shown = table("The last d on |x| from x0 = 1, where D = 1")
        for name in ("option", "step", "d0", "d", "d (1 + sqrt 3) / D", "at least 1 from k ="):
            shown.add_column(name, justify="left" if name in ("option", "step") else "right", no_wrap=True)
        for _, run in files.read_table(self.out, files.TOY).iterrows():
            at = "" if math.isnan(run["reached_limit_at"]) else f"{run['reached_limit_at']:.0f}"
            numbers = f"{run['d0']:g}", f"{run['d']:.4f}", f"{run['d_over_limit']:.4f}", at
            shown.add_row(run["option"], run["step"], *numbers)
        session.console.print(shown)
        return True


def given(config: MethodConfig) -> dict[str, Any]:
    """Option, step and d0 of a configuration, given or the method's own."""
    return {name: config.value(name) for name in ("option", "step", "d0")}


def trace(config: MethodConfig, steps: int) -> store.Rows:
    """Columns k, x, d and f_avg: x_{k-1}, d_k and |x| of the average after k subgradients; k = 0 holds x_0 and d_0."""
    import dadapt_convex as dc
    import problems

    marks = np.union1d(np.arange(1, TRACE_SHOWN + 1), np.geomspace(1, steps, CHECKPOINTS).round().astype(int))
    problem = problems.absolute_value(x0=1.0)
    found = dc.solve(problem, config.method, steps=steps, checkpoints=marks, **dict(config.hyper))
    columns = {name: np.array([row[name] for row in found.rows]) for name in ("k", "f", "x_dist", "d", "f_avg")}
    x = 1.0 - columns["x_dist"]  # s_k >= 0 as long as d_k <= D = 1: the iterates never pass x_0
    if not np.allclose(np.abs(x), columns["f"], rtol=0, atol=1e-12):
        raise AssertionError("an iterate lies beyond x_0, where 1 - ||x - x_0|| is not x")
    first = {"k": [0], "x": [1.0], "d": [config.value("d0")], "f_avg": [1.0]}
    whole = {name: np.concatenate([first[name], x if name == "x" else columns[name]]) for name in first}
    return store.Rows(whole, {})


def row(config: MethodConfig, columns: Mapping[str, Any]) -> dict[str, Any]:
    """The row of toy.csv: the final d beside D/(1 + sqrt 3)."""
    limit = config.method.d_limit or math.nan
    k, d = columns["k"], columns["d"]
    there = np.flatnonzero(d >= limit)
    return {
        **given(config), "steps": int(k[-1]), "d": d[-1], "limit": limit, "d_over_limit": d[-1] / limit,
        "reached_limit_at": k[there[0]] if there.size else math.nan, "f_avg": columns["f_avg"][-1],
    }  # fmt: skip
