"""Runs of a suite: the files, going on after a kill, failing cells, other configurations, the report."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from exhaustive import exhaustive

from experiments import analysis, cells, report, store
from experiments.run import main
from experiments.selection import parse_method

PROBLEMS = ("hard:abs", "hinge:iris")
METHODS = ("polyak", "dual_averaging", "dadapt_dual_averaging[option=II]")
SMALL = ["convex_suite", "--problems", *PROBLEMS, "--methods", *METHODS, "--steps", "200", "--jobs", "1"]
# Long enough to be killed in the middle: each cell takes some tens of milliseconds.
LONG = ["convex_suite", "--problems", "hard[p=400]:max_abs", "hard[p=300]:max_abs", "--steps", "40000"]
LONG += ["--methods", *METHODS, "subgradient", "adagrad_norm", "dadapt_dual_averaging"]


def run(*argv: str | Path) -> int:
    return main([str(a) for a in argv])


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out figures and report, which other tests look at."""
    monkeypatch.setattr(analysis, "draw_all", lambda out, executor, console: None)
    monkeypatch.setattr(report, "write", lambda out: None)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small finished run, figures and report included; not to be changed."""
    out = tmp_path_factory.mktemp("suite") / "results"
    assert run(*SMALL, "--out", out) == 0
    return out


def cells_of(out: Path) -> set[str]:
    return {path.name for path in (out / "cells").glob("*.parquet") if not path.name.startswith(".")}


def assert_same_results(one: Path, other: Path) -> None:
    """Everything but times, to the last bit."""
    a, b = (pd.read_parquet(out / "runs.parquet").drop(columns="seconds") for out in (one, other))
    pd.testing.assert_frame_equal(a, b, check_exact=True)
    assert (one / "verdicts.csv").read_text() == (other / "verdicts.csv").read_text()
    a, b = (pd.read_csv(out / "problems.csv").drop(columns="optimum_seconds") for out in (one, other))
    pd.testing.assert_frame_equal(a, b, check_exact=True)


# ---------------------------------------------------------------------------------------------------------
# Files


def test_files_and_columns_are_those_of_the_design(results: Path) -> None:
    runs = pd.read_parquet(results / "runs.parquet")
    assert list(runs.columns[:8]) == ["suite", "problem", "method", "label", "seed", "hyper", "given", "status"]
    gaps = {f"gap_{iterate}_{end}" for iterate in ("avg", "best", "last") for end in ("lo", "hi")}
    assert gaps | {"k", "f", "f_avg", "f_best", "d", "d_hat", "gamma", "seconds", "bound", "bound_theorem"} <= set(runs)
    assert list(dict.fromkeys(runs["problem"])) == list(PROBLEMS)
    assert list(dict.fromkeys(runs["label"])) == list(METHODS)
    assert json.loads(runs["hyper"].iloc[-1])["option"] == "II"
    problems = pd.read_csv(results / "problems.csv")
    columns = {"m", "p", "G", "f_lo", "f_hi", "D_lo", "D_hi", "attained", "certificate", "sha256"}
    assert columns <= set(problems)
    verdicts = pd.read_csv(results / "verdicts.csv")
    assert list(verdicts) == [
        "suite", "problem", "method", "label", "seed",
        "theorem", "kind", "verdict", "worst_ratio", "k", "arithmetic", "note",
    ]  # fmt: skip
    manifest = json.loads((results / "manifest.json").read_text())
    assert {"command", "argv", "configuration", "seeds", "versions", "machine", "sessions"} <= set(manifest)
    assert manifest["configuration"]["problems"].keys() == set(PROBLEMS)
    assert manifest["state"] == "finished"


def test_gaps_are_differences_to_the_ends_of_the_interval(results: Path) -> None:
    runs = pd.read_parquet(results / "runs.parquet")
    problems = store.Results.read(results).problems.set_index("problem")
    f_lo, f_hi = runs["problem"].map(problems["f_lo"]), runs["problem"].map(problems["f_hi"])
    for iterate, column in {"avg": "f_avg", "best": "f_best", "last": "f"}.items():
        assert (runs[f"gap_{iterate}_lo"] == runs[column] - f_hi).all()
        assert (runs[f"gap_{iterate}_hi"] == runs[column] - f_lo).all()


def test_gaps_are_never_clipped() -> None:
    trace = pd.DataFrame({"f": [1.0, 0.5], "f_avg": [1.0, 0.25], "f_best": [1.0, 0.5]})
    gaps = cells.with_gaps(trace, f_lo=0.0, f_hi=0.75)
    assert gaps["gap_avg_lo"].tolist() == [0.25, -0.5]
    assert gaps["gap_last_lo"].tolist() == [0.25, -0.25]


def test_stored_optimum_keeps_every_digit_and_its_certificate(tmp_path: Path) -> None:
    import problems
    from problems.optimum.certificate import parts

    optimum = problems.get("hinge:iris").optimum()
    store.write_certificate(tmp_path / "optimum.npz", optimum, problem="hinge:iris")
    again, about = store.read_certificate(tmp_path / "optimum.npz")
    assert about["problem"] == "hinge:iris"
    for field in fields(optimum):
        if field.name not in ("x", "certificate"):
            assert getattr(again, field.name) == getattr(optimum, field.name)
    assert np.array_equal(again.x, optimum.x)
    assert type(again.certificate) is type(optimum.certificate)
    stored = parts(again.certificate)
    assert stored.keys() == parts(optimum.certificate).keys()
    for name, value in parts(optimum.certificate).items():
        assert np.array_equal(stored[name], value)


def test_a_method_that_needs_D_is_not_applicable_without_a_minimiser(tmp_path: Path, undrawn: None) -> None:
    argv = ["convex_suite", "--problems", "logistic:wine", "--methods", "adagrad_norm", "polyak", "--steps", "20"]
    assert run(*argv, "--jobs", "1", "--out", tmp_path / "o") == 0
    verdicts = pd.read_csv(tmp_path / "o" / "verdicts.csv")
    rows = verdicts[verdicts["label"] == "adagrad_norm"]
    assert set(rows["verdict"]) == {"NOT_APPLICABLE"}
    assert set(rows["note"]) == {"not run: needs D, and the problem has no minimiser"}
    assert set(pd.read_parquet(tmp_path / "o" / "runs.parquet")["label"]) == {"polyak"}


def test_seeds_of_deterministic_methods_are_said_to_run_once(
    tmp_path: Path, undrawn: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*SMALL, "--seeds", "3", "--out", tmp_path / "o") == 0
    assert "deterministic and runs once, with seed 0" in capsys.readouterr().out
    assert set(pd.read_parquet(tmp_path / "o" / "runs.parquet")["seed"]) == {0}


def test_what_a_kill_left_half_written_goes_with_the_next_run(results: Path, tmp_path: Path, undrawn: None) -> None:
    out = tmp_path / "o"
    shutil.copytree(results, out)
    left = [out / folder / f"{store.TEMPORARY}0" for folder in ("", store.CELLS, store.FIGURES, store.CERTIFICATES)]
    for path in left:
        path.write_text("half")
    assert run(*SMALL, "--out", out) == 0
    assert not any(path.exists() for path in left)


def test_what_a_killed_process_left_half_written_goes_at_the_end_too(tmp_path: Path) -> None:
    with store.open_directory(tmp_path / "o", {}, False, lambda configuration: []):
        (tmp_path / "o" / store.CELLS / f"{store.TEMPORARY}0").write_text("half")
    assert not list((tmp_path / "o").rglob(f"{store.TEMPORARY}*"))


# ---------------------------------------------------------------------------------------------------------
# Stochastic gradients

NOISY = (
    "dadapt_adam[batch_size=8,schedule=warmup(2, cosine)]",
    "dadapt_dual_averaging[noise=gaussian(0.1)]",
    "sgd[lr=0.1,batch_size=16,seed=7]",
)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two configurations with three seeds, one whose seed is given, one that is deterministic; figures included."""
    out = tmp_path_factory.mktemp("noisy") / "results"
    argv = ["convex_suite", "--problems", "hinge:iris", "--methods", *NOISY, "polyak", "--seeds", "3", "--steps", "200"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analysis, "FORMATS", ("png",))  # to write a PDF takes longest
        assert run(*argv, "--jobs", "1", "--out", out) == 0
    return out


def test_every_seed_of_stochastic_methods_is_the_run_of_solve(noisy: Path) -> None:
    import dadapt_convex as dc
    import problems

    runs = pd.read_parquet(noisy / "runs.parquet")
    assert runs.groupby("label")["seed"].unique().map(list).to_dict() == {
        NOISY[0]: [0, 1, 2], NOISY[1]: [0, 1, 2], NOISY[2]: [0], "polyak": [0],
    }  # fmt: skip
    problem = problems.get("hinge:iris")
    given = {"steps": 200, "batch_size": 8, "schedule": "warmup(2, cosine)", "checkpoints": "log"}
    for seed in range(3):
        rows = runs[(runs["label"] == NOISY[0]) & (runs["seed"] == seed)]
        trace = dc.solve(problem, "dadapt_adam", seed=seed, **given).trace
        assert rows["f"].tolist() == trace["f"].tolist()
    assert json.loads(runs[runs["label"] == NOISY[2]]["hyper"].iloc[0])["seed"] == 7
    shared = runs[runs["seed"] == 0].groupby("label")["k"].apply(list)
    assert shared[NOISY[0]] == shared["polyak"]  # rows where the deterministic methods have theirs


def test_theorems_are_diagnostics_under_noise(noisy: Path) -> None:
    verdicts = pd.read_csv(noisy / "verdicts.csv")
    under_noise = verdicts[verdicts["label"] != "polyak"]
    of_the_step = under_noise["theorem"].isin(["replay", *("definition_" + under_noise["method"].unique())])
    assert set(under_noise[~of_the_step]["verdict"]) == {"NOT_APPLICABLE"}
    assert set(under_noise[of_the_step]["verdict"]) == {"VERIFIED"}  # whatever the gradient is
    assert (under_noise["note"].str.contains("a diagnostic")).any()
    assert "VERIFIED" in set(verdicts[verdicts["label"] == "polyak"]["verdict"])
    assert pd.read_parquet(noisy / "runs.parquet").query("label != 'polyak'")["bound"].isna().all()


def test_figures_show_the_mean_over_seeds(noisy: Path) -> None:
    runs = pd.read_parquet(noisy / "runs.parquet")
    rows = runs[runs["label"] == NOISY[1]]
    mean = analysis.over_seeds(rows)
    assert mean["k"].tolist() == sorted(set(rows["k"]))
    for column in ("gap_avg_hi", "d"):
        np.testing.assert_allclose(mean[column], rows.groupby("k")[column].mean(), rtol=1e-15)
    shorter = analysis.over_seeds(rows[(rows["seed"] > 0) | (rows["k"] < 50)])
    assert shorter["k"].max() < 50  # no mean of fewer seeds than before
    assert mean["label"].tolist() == [NOISY[1]] * len(mean)


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("adam[batch_size=0]", "batch_size must be an integer of at least 1, got 0"),
        ("adam[batch_size=1e3]", "batch_size must be an integer of at least 1, got '1e3'"),
        ("adam[batch_size=151]", "at most the number of rows, 150"),
        ("adam[noise=sine(1)]", "got 'sine(1)'"),
        ("adam[noise=sign(1),batch_size=4]", "not both"),
        ("adam[batch_size=4,seed=-1]", "seed must be a nonnegative integer, got -1"),
    ],
)
def test_wrong_stochastic_gradients_are_refused_before_work(
    method: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["convex_suite", "--problems", "multinomial:iris", "--methods", method, "--out", str(tmp_path / "o")]
    assert run(*argv) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_a_suite_whose_runs_all_diverge_says_so_and_writes_its_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["convex_suite", "--problems", "multinomial:iris", "--methods", "sgd[lr=100,noise=gaussian(1e300)]"]
    assert run(*argv, "--steps", "100", "--jobs", "1", "--out", tmp_path / "o") == 1
    assert "not finite at step 0" in capsys.readouterr().out
    assert "not finite at step 0" in (tmp_path / "o" / "report.html").read_text()


def test_a_method_without_weights_is_not_drawn_as_an_average() -> None:
    weights = pd.DataFrame({"weight_sum": [0.0, 1.0]})
    assert analysis.output_of(weights) == "avg"
    assert analysis.output_of(weights * 0) == "last"
    assert analysis.output_of(weights[[]]) == "avg"  # results of an earlier version


def test_methods_do_not_share_a_colour() -> None:
    adaptive = ["a", "b", "c"]
    styles = analysis.line_styles([*adaptive, "p", "q", "r"], adaptive)
    assert len({style.colour for style in styles.values()}) == 6


def test_problems_without_rows_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run("convex_suite", "--problems", "hard:abs", "--methods", "adam[batch_size=4]", "--out", tmp_path / "o") == 2
    )
    assert "hard:abs has no rows" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------------------
# Killed, interrupted, parallel


def start(out: Path, *argv: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "experiments.run", *argv, "--out", str(out)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        cwd=out.parent, env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(cells.__file__).parents[1])])},
    )  # fmt: skip


def wait_for_cells(process: subprocess.Popen[str], out: Path, at_least: int) -> None:
    until = time.monotonic() + 300
    while not (out / "cells").is_dir() or len(cells_of(out)) < at_least:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.002)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "results"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analysis, "draw_all", lambda out, executor, console: None)
        patch.setattr(report, "write", lambda out: None)
        assert run(*LONG, "--jobs", "1", "--out", out) == 0
    return out


@pytest.mark.parametrize("jobs", ["1", exhaustive("2")])
def test_killed_at_any_moment_it_goes_on_and_gives_the_same_cells(
    jobs: str, tmp_path: Path, undrawn: None, uninterrupted: Path
) -> None:
    out = tmp_path / "results"
    process = start(out, *LONG, "--jobs", jobs)
    wait_for_cells(process, out, 3)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    kept = cells_of(out)
    assert 0 < len(kept) < len(cells_of(uninterrupted))
    times = {name: (out / "cells" / name).stat().st_mtime_ns for name in kept}
    assert run(*LONG, "--jobs", "1", "--out", out) == 0
    assert times == {name: (out / "cells" / name).stat().st_mtime_ns for name in kept}
    assert_same_results(out, uninterrupted)


@pytest.mark.parametrize("jobs", [exhaustive("1"), "2"])
def test_ctrl_c_stops_at_once_with_130_and_can_be_continued(
    jobs: str, tmp_path: Path, undrawn: None, uninterrupted: Path
) -> None:
    out = tmp_path / "results"
    process = start(out, *LONG, "--jobs", jobs)
    wait_for_cells(process, out, 2)
    begun = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to all processes
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - begun < 10  # seconds, on a loaded machine
    assert process.returncode == 130
    assert re.fullmatch(r"interrupted: every finished cell is kept; .*", err.strip())
    assert json.loads((out / "manifest.json").read_text())["state"] == "interrupted"
    assert not list(out.rglob(f"{store.TEMPORARY}*"))
    assert run(*LONG, "--jobs", "1", "--out", out) == 0
    assert_same_results(out, uninterrupted)


def test_an_interrupted_run_is_not_a_finished_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    import dadapt_convex as dc
    import problems

    def solve(*arguments: object, **named: object) -> dc.Run:
        def interrupt(k: int) -> None:
            raise KeyboardInterrupt

        return whole(*arguments, **named, progress=interrupt)  # type: ignore[arg-type]

    whole = dc.solve
    monkeypatch.setattr(dc, "solve", solve)
    cell = cells.Cell("s", cells.ProblemKey("hard:abs", ""), parse_method("dadapt_dual_averaging"), 0, 1000)
    with pytest.raises(KeyboardInterrupt):
        cells.solve_and_check(cell, problems.get("hard:abs").optimum())


def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    out = tmp_path / "results"
    process = start(out, *LONG, "--jobs", "2")
    wait_for_cells(process, out, 1)
    process.kill()
    until = time.monotonic() + 120
    while True:  # a group without processes cannot be signalled
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        assert time.monotonic() < until
        process.poll()
        time.sleep(0.1)
    process.communicate()


def test_numbers_do_not_depend_on_the_number_of_processes(results: Path, tmp_path: Path, undrawn: None) -> None:
    argv = [*SMALL[:-1], "2"]
    assert run(*argv, "--out", tmp_path / "o") == 0
    assert_same_results(results, tmp_path / "o")


# ---------------------------------------------------------------------------------------------------------
# Failures


def test_a_failing_cell_is_named_and_loses_nothing_else(
    tmp_path: Path, undrawn: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = cells.solve_and_check

    def broken(cell: cells.Cell, optimum: Any) -> cells.CellResult:
        if cell.config.name == "polyak" and cell.problem.name == "hard:abs":
            raise ZeroDivisionError("a reason")
        return whole(cell, optimum)

    out = tmp_path / "o"
    with monkeypatch.context() as patch:
        patch.setattr(cells, "solve_and_check", broken)
        assert run(*SMALL, "--out", out) == 1
    assert "failed: polyak on hard:abs: ZeroDivisionError: a reason" in capsys.readouterr().out
    runs = pd.read_parquet(out / "runs.parquet")
    assert len(runs.groupby(["problem", "label"])) == len(PROBLEMS) * len(METHODS) - 1
    failed = json.loads((out / "manifest.json").read_text())["failed"]
    assert failed == [{"cell": "polyak on hard:abs", "reason": "ZeroDivisionError: a reason"}]
    assert run(*SMALL, "--out", out) == 0  # it is tried again, and it alone
    assert "5 of 6 cells are there already" in capsys.readouterr().out


def test_a_run_that_is_not_finite_is_a_failing_cell_with_its_step(
    tmp_path: Path, undrawn: None, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["convex_suite", "--problems", "hard:norm2", "--methods", "subgradient[D=1e308]", "dual_averaging"]
    assert run(*argv, "--steps", "100", "--jobs", "1", "--out", tmp_path / "o") == 1
    said = capsys.readouterr().out
    assert re.search(r"failed: subgradient\[D=1e308\] on hard:norm2: .*not finite at step \d+", said)
    runs = pd.read_parquet(tmp_path / "o" / "runs.parquet")
    assert set(runs.loc[runs["label"] == "dual_averaging", "status"]) == {"completed"}


def test_without_an_optimum_the_cells_of_that_problem_fail_and_the_others_run(
    tmp_path: Path, undrawn: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import problems

    def broken(problem: problems.Problem, radius: float) -> problems.Optimum:
        raise RuntimeError("no certificate")

    cells.load.cache_clear()  # a problem that was loaded before knows its optimum
    monkeypatch.setattr("problems.optimum.certify.certified_optimum", broken)
    assert run(*SMALL, "--out", tmp_path / "o") == 1
    assert "failed: polyak on hinge:iris: no certified optimum: RuntimeError: no certificate" in capsys.readouterr().out
    assert set(pd.read_parquet(tmp_path / "o" / "runs.parquet")["problem"]) == {"hard:abs"}


def test_a_disk_that_fills_up_later_stops_the_run_and_keeps_finished_cells(
    tmp_path: Path, undrawn: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], results: Path
) -> None:
    out, replace = tmp_path / "o", os.replace

    def full(source: str | Path, target: str | Path) -> None:
        if Path(target).parent == out / "cells" and len(cells_of(out)) == 2:
            raise OSError(28, "No space left on device")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        assert run(*SMALL, "--out", out) == 2
    err = capsys.readouterr().err.strip()
    assert len(err.splitlines()) == 1
    assert "No space left on device" in err
    assert len(cells_of(out)) == 2
    assert not list(out.rglob(f"{store.TEMPORARY}*"))
    assert run(*SMALL, "--out", out) == 0
    assert_same_results(out, results)


# ---------------------------------------------------------------------------------------------------------
# Other configurations


@pytest.fixture
def copy(results: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(results, tmp_path / "copy"))


CHANGES: dict[str, tuple[Callable[[dict], object], str]] = {
    "data": (lambda c: c["problems"].update({"hinge:iris": "0" * 64}), "other content: hinge:iris"),
    "version": (lambda c: c["environment"].update({"dadapt-convex": "0.0.1"}), "dadapt-convex 0.0.1 there"),
    "code": (lambda c: c.update(code="0" * 64), "code"),
    "methods": (lambda c: c["methods"].pop(), "now with dadapt_dual_averaging[option=II]"),
    "problems": (lambda c: c["problems"].pop("hard:abs"), "now with hard:abs"),
    "steps": (lambda c: c.update(steps=7), "steps 7 there, 200 now"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_results_of_another_configuration_are_refused(
    what: str, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, expected = CHANGES[what]
    manifest = store.read_manifest(copy)
    assert manifest is not None
    change(manifest["configuration"])
    store.write_manifest(copy, manifest)
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*") if path.is_file()}
    assert run(*SMALL, "--out", copy) == 2
    err = capsys.readouterr().err
    assert expected in err
    assert "--fresh" in err
    assert len(err.strip().splitlines()) == 1
    assert before == {path: path.stat().st_mtime_ns for path in copy.rglob("*") if path.is_file()}


def test_fresh_deletes_what_this_program_wrote_and_nothing_else(copy: Path, undrawn: None) -> None:
    strangers = [copy / "notes.txt", copy / "cells" / "notes.txt", copy / "figures" / "mine.png"]
    for stranger in strangers:
        stranger.write_text("mine")
    old = cells_of(copy)
    argv = ["convex_suite", "--problems", "hard:norm2", "--methods", "dual_averaging", "--steps", "30", "--jobs", "1"]
    assert run(*argv, "--out", copy, "--fresh") == 0
    assert all(stranger.read_text() == "mine" for stranger in strangers)
    assert len(cells_of(copy)) == 1
    assert not cells_of(copy) & old
    assert not (copy / "report.html").exists()
    assert [path.name for path in (copy / "figures").iterdir()] == ["mine.png"]


# ---------------------------------------------------------------------------------------------------------
# Figures and report


def test_every_figure_is_there_as_png_and_pdf(results: Path) -> None:
    present = {path.name for path in (results / "figures").iterdir()}
    assert present == set(analysis.figure_files(PROBLEMS))


def test_report_is_self_contained(results: Path) -> None:
    text = (results / "report.html").read_text()
    assert re.findall(r'src="(?!data:image/png;base64,)', text) == []
    assert re.findall(r'href="(?!#)', text) == []
    assert not re.search(r"<script|<link|@import|url\(", text)
    assert 'name="viewport"' in text
    for name in (*PROBLEMS, *METHODS, "D3", "manifest.json"):
        assert name in text


def test_figures_and_report_are_redrawn_from_the_files_alone(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis, "FORMATS", ("png",))  # those that are compared
    before = (copy / "report.html").read_bytes()
    png = {path.name: path.read_bytes() for path in (copy / "figures").glob("*.png")}
    for name in ("cells", "figures"):
        shutil.rmtree(copy / name)
    (copy / "report.html").unlink()
    assert run("report", copy) == 0
    assert png == {path.name: path.read_bytes() for path in (copy / "figures").glob("*.png")}
    assert (copy / "report.html").read_bytes() == before


def test_slugs_of_different_problems_differ() -> None:
    names = ["a:b", "a:b_", "a[x=1]:b", "a_x=1_b", "a:./b", "a:c/b", "logistic:a9a", "logistic:a9a.t", "x:" + "y" * 300]
    slugs = [store.slug(name) for name in names]
    assert len(set(slugs)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9._=+-]{1,80}", slug) for slug in slugs)


def test_the_gravest_verdict_stands_for_its_cell() -> None:
    table = pd.DataFrame(
        [("p", "a", "t", "VERIFIED", 0.9), ("p", "b", "t", "VIOLATED", 1.5),
         ("p", "c", "t", "NOT_APPLICABLE", math.nan),
         ("p", "a", "u", "VERIFIED", 0.2), ("p", "b", "u", "UNDECIDED", 1.1)],
        columns=["problem", "label", "theorem", "verdict", "worst_ratio"],
    )  # fmt: skip
    _, _, heat = analysis.heat(table)
    assert heat["p", "t"] == analysis.Heat("VIOLATED", 1.5)
    assert heat["p", "u"] == analysis.Heat("UNDECIDED", 1.1)
    assert analysis.summary_by_method(table, {"t", "u"})[1]["VIOLATED"] == 1


def test_a_violated_bound_gives_exit_code_1(
    tmp_path: Path, undrawn: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import dadapt_convex as dc

    def violated(run: object, optimum: object) -> pd.DataFrame:
        return pd.DataFrame([("T", "rate", "VIOLATED", 2.0, 3, "float64", "")], columns=list(store.VERDICT_COLUMNS))

    monkeypatch.setattr(dc, "check", violated)
    assert run(*SMALL, "--out", tmp_path / "o") == 1
    assert "6 bounds VIOLATED" in capsys.readouterr().out


def test_the_band_of_what_is_unknown_and_infinite_D_are_drawn() -> None:
    """The figures of a problem whose f* is known to 5e-2 only, and of one without a minimiser."""
    k = np.arange(1, 51)
    trace = pd.DataFrame({"k": k, "f": 1 / k, "f_avg": 1 / k, "f_best": 1 / k, "d": k * 1e-3, "seed": 0})
    trace = trace.assign(label="dadapt_dual_averaging", method="dadapt_dual_averaging")
    facts = {"f_lo": -0.05, "f_hi": 0.0, "G": 1.0, "D_lo": 1.0, "D_hi": 2.0, "D_estimate": 1.5, "attained": True}
    figure = analysis.suboptimality_figure(cells.with_gaps(trace, -0.05, 0.0), facts, ["dadapt_dual_averaging"])
    assert "known to this width only" in " ".join(text.get_text() for text in figure.legends[0].get_texts())
    facts = {**facts, "D_lo": math.inf, "D_hi": math.inf, "attained": False}
    figure = analysis.dadaptation_figure(cells.with_gaps(trace, -0.05, 0.0), facts)
    assert any("no minimiser" in text.get_text() for ax in figure.axes for text in ax.texts)


SMOOTH = np.arange(1, 51) ** -0.5
ODD_TRACES: dict[str, Any] = {
    "x0 is the minimiser": (0.0 * SMOOTH, 1e-6 + 0 * SMOOTH, 0.0),
    "x0 is the minimiser, one row": (np.zeros(1), np.full(1, 1e-6), 0.0),
    "one row": (np.ones(1), np.ones(1), 1.0),
    "constant": (1.0 + 0 * SMOOTH, 1e-3 + 0 * SMOOTH, 1.0),
    "all NaN": (np.nan * SMOOTH, 1e-3 + 0 * SMOOTH, 1.0),
    "NaN at first": (np.concatenate([[np.nan], SMOOTH]), np.full(51, 1e-3), 1.0),
    "infinite d": (SMOOTH, np.inf * SMOOTH, 1.0),
    "d is 0": (SMOOTH, 0 * SMOOTH, 1.0),
    "D is unknown": (SMOOTH, SMOOTH, np.nan),
}


@pytest.mark.parametrize("what", ODD_TRACES)
def test_figures_of_odd_traces_are_drawn_without_a_warning(what: str) -> None:
    gap, d, D = ODD_TRACES[what]
    trace = pd.DataFrame({"k": 1 + np.arange(len(gap)), "f": gap, "f_avg": gap, "f_best": gap, "d": d, "seed": 0})
    trace = cells.with_gaps(trace, 0.0, 0.0).assign(label="dadapt_adam", method="dadapt_adam")
    facts = {"f_lo": 0.0, "f_hi": 0.0, "G": 1.0, "D_lo": D, "D_hi": D, "D_inf_lo": D, "D_estimate": D, "attained": True}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        left = analysis.suboptimality_figure(trace, facts, ["dadapt_adam"])
        right = analysis.dadaptation_figure(trace, facts)
        for figure in (left, right):
            figure.draw_without_rendering()
    notes = [text.get_text() for ax in left.axes for text in ax.texts]
    assert notes == ["no gap above 0 to show"] * (3 if what == "all NaN" or "minimiser" in what else 0)
    legend = " ".join(text.get_text() for text in left.legends[0].get_texts())
    assert ("is a minimiser" in legend) == (D == 0)
    assert any("is a minimiser" in text.get_text() for ax in right.axes for text in ax.texts) == (D == 0)
