"""The engine: tasks are made once, the longest first, on any executor; a suite is one file."""

from __future__ import annotations

import json
import os
import pickle
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from experiments import store, suites, terminal
from experiments.engine.processes import Processes
from experiments.engine.task import Failure, Stopped, Task, perform, run
from experiments.run import main


def squares(count: int) -> store.Rows:
    return store.Rows({"k": np.arange(count), "square": np.arange(count) ** 2}, {"count": count})


def broken(count: int) -> store.Rows:
    raise ZeroDivisionError(f"no squares\nof {count}")


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def task(count: int, function: Any = squares, seconds: float = 1e6) -> Task:
    identity = store.digest(function.__name__, count)
    return Task(function, (count,), f"squares of {count}", identity, store.cell_file(identity), seconds)


def run_here(tasks: list[Task], out: Path, executor: Any) -> dict[str, Any]:
    return run(tasks, out, executor, terminal.console(), "squares")


class Elsewhere:
    """Another machine: tasks travel there as bytes and end in an order of its own."""

    jobs = 3

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.order: list[str] = []

    def submit(self, task: Task, out: Path) -> None:
        self.sent.append(pickle.dumps((task, out)))

    def as_completed(self) -> Iterator[tuple[Task, Any]]:
        while self.sent:
            task, out = pickle.loads(self.sent.pop())  # the last first
            self.order.append(task.label)
            yield task, perform(task, out)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / store.CELLS).mkdir()
    return tmp_path


def test_results_are_the_same_wherever_tasks_run(out: Path) -> None:
    tasks = [task(count) for count in range(2, 6)]
    stored = []
    elsewhere = Elsewhere()
    with Processes(1) as here, Processes(2) as beside:
        for executor in (here, beside, elsewhere):
            assert run_here(tasks, out, executor) == dict.fromkeys((t.label for t in tasks), None)
            stored.append({path.name: path.read_bytes() for path in (out / store.CELLS).iterdir()})
            for path in (out / store.CELLS).iterdir():
                path.unlink()
    assert stored[0] == stored[1] == stored[2]
    assert len(stored[0]) == 4
    assert elsewhere.order == [t.label for t in reversed(tasks)]


def test_what_is_stored_is_not_made_again(out: Path) -> None:
    tasks = [task(count) for count in (3, 4)]
    with Processes(1) as executor:
        assert set(run_here(tasks[:1], out, executor)) == {"squares of 3"}
        assert set(run_here(tasks, out, executor)) == {"squares of 4"}
        assert run_here(tasks, out, executor) == {}
    columns, about = store.read_rows(out / tasks[0].file)
    assert columns["square"].tolist() == [0, 1, 4]
    assert about == {"count": 3}


def test_the_longest_begin_first_and_equals_in_their_order(out: Path) -> None:
    tasks = [task(count, seconds=seconds) for count, seconds in ((2, 1.0), (3, 5.0), (4, 1.0), (5, 9.0))]
    with Processes(1) as executor:
        assert list(run_here(tasks, out, executor)) == [f"squares of {count}" for count in (5, 3, 2, 4)]


@pytest.mark.parametrize("jobs", [1, 2])
def test_tasks_may_be_submitted_while_others_end(jobs: int, out: Path) -> None:
    made = []
    with Processes(jobs) as executor:
        for count in (2, 3):
            executor.submit(task(count), out)
        for done, _ in executor.as_completed():
            made.append(done.label)
            if len(made) < 4:
                executor.submit(task(10 + len(made)), out)
    assert sorted(made) == sorted(f"squares of {count}" for count in (2, 3, 11, 12, 13))
    assert len(list((out / store.CELLS).iterdir())) == 5


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_exception_is_a_failure_in_words_and_loses_nothing_else(jobs: int, out: Path) -> None:
    tasks = [task(2), task(3, broken), task(4)]
    with Processes(jobs) as executor:
        outcomes = run_here(tasks, out, executor)
    failure = outcomes.pop("squares of 3")
    assert isinstance(failure, Failure)
    assert failure.reason == "ZeroDivisionError: no squares of 3"
    assert "broken" in failure.details
    assert not failure.disk
    assert outcomes == {"squares of 2": None, "squares of 4": None}
    assert [t.is_stored(out) for t in tasks] == [True, False, True]


def test_a_call_that_keeps_no_result_hands_it_back_every_time(out: Path) -> None:
    with Processes(1) as executor:
        for _ in range(2):
            assert run_here([Task(sum, ((1, 2),), "sum")], out, executor) == {"sum": 3}


def test_a_file_that_cannot_be_written_stops_everything(tmp_path: Path) -> None:
    (tmp_path / store.CELLS).write_text("a file in the place of the folder")
    with Processes(1) as executor, pytest.raises(store.StoreError, match="cannot write"):
        run_here([task(2), task(3)], tmp_path, executor)


def test_a_process_that_is_killed_stops_the_work_with_a_sentence(out: Path) -> None:
    tasks = [Task(killed, (), str(number)) for number in range(2)]
    begun = time.monotonic()
    with pytest.raises(Stopped, match="a process was killed"), Processes(2) as executor:
        run_here(tasks, out, executor)
    assert time.monotonic() - begun < 60


SUITE = """
from experiments.suite import Suite

SUITE = Suite(
    name="kinks",
    summary="two functions with kinks",
    problems=("hard:abs", "hinge:iris", "hard[m=N+1]:drori_teboulle"),
    methods=("polyak", "dadapt_dual_averaging[option=II]"),
    steps=300,
    quick_problems=("hard:abs",),
    quick_steps=20,
)
"""


def test_a_suite_is_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kinks.py").write_text(SUITE)
    monkeypatch.setattr(suites, "__path__", [*suites.__path__, str(tmp_path)])
    assert main(["list"]) == 0
    assert "two functions with kinks" in capsys.readouterr().out
    out = tmp_path / "results"
    assert main(["kinks", "--jobs", "1", "--out", str(out)]) == 0
    runs = pd.read_parquet(out / "runs.parquet")
    assert set(runs["problem"]) == {"hard:abs", "hinge:iris", "hard[m=301]:drori_teboulle"}
    assert set(runs["label"]) == {"polyak", "dadapt_dual_averaging[option=II]"}
    assert runs["k"].max() == 300
    assert json.loads((out / "manifest.json").read_text())["configuration"]["suite"] == "kinks"
    assert main(["kinks", "--quick", "--jobs", "1", "--out", str(tmp_path / "quick")]) == 0
    assert set(pd.read_parquet(tmp_path / "quick" / "runs.parquet")["problem"]) == {"hard:abs"}
    assert main(["certify", str(out)]) == 0
    assert main(["kinks", "--epochs", "3"]) == 2  # no option of this kind of suite


def test_results_of_another_layout_are_not_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["convex_suite", "--problems", "hard:abs", "--methods", "polyak", "--steps", "20", "--jobs", "1"]
    out = tmp_path / "results"
    assert main([*argv, "--out", str(out)]) == 0
    manifest = store.read_manifest(out)
    assert manifest is not None
    manifest["configuration"]["format"] = store.FORMAT - 1
    store.write_manifest(out, manifest)
    capsys.readouterr()
    assert main(["report", str(out)]) == 2
    assert f"results of format {store.FORMAT - 1}, this program reads {store.FORMAT}" in capsys.readouterr().err
    assert main([*argv, "--out", str(out)]) == 2
    assert f"format {store.FORMAT - 1} there, {store.FORMAT} now" in capsys.readouterr().err


def test_figures_ask_the_manifest_of_methods(tmp_path: Path) -> None:
    """Titles, the norm of the distance and the share of D in the limit come from the method, by way of the files."""
    import dadapt_convex as dc
    from experiments import analysis

    argv = ["convex_suite", "--problems", "hinge:iris", "--steps", "30", "--jobs", "1", "--out", str(tmp_path / "o")]
    assert main([*argv, "--methods", "dadapt_dual_averaging", "dadapt_adagrad", "sgd[lr=0.1]"]) == 0
    results = store.Results.read(tmp_path / "o")
    methods = results.manifest["methods"]
    assert methods["sgd"] == {"title": "SGD", "distance_norm": "euclidean", "d_limit": None}
    assert methods["dadapt_adagrad"]["distance_norm"] == "maximum"
    assert methods["dadapt_dual_averaging"]["d_limit"] == dc.get_method("dadapt_dual_averaging").d_limit
    facts = results.problems.iloc[0]
    adaptive = results.runs[results.runs["d"].notna()]

    def legend(methods: Any) -> str:
        figure = analysis.dadaptation_figure(adaptive, facts, methods)
        return " ".join(text.get_text() for text in figure.legends[0].get_texts())

    assert "D-Adapt AdaGrad" in legend(methods)
    assert r"D/(1+\sqrt{3})" in legend(methods)
    assert r"D_\infty" in legend(methods)
    renamed = {name: {"title": "mine", "distance_norm": "euclidean", "d_limit": 0.25} for name in methods}
    assert "mine" in legend(renamed)
    assert r"0.25\,D" in legend(renamed)
    assert r"D_\infty" not in legend(renamed)
