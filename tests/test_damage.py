"""Flipped bits, damaged and foreign files, kills: the same command ends with the files of an undisturbed run."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from exhaustive import EXHAUSTIVE

from experiments import analysis, cells, report, store
from experiments.engine.processes import Processes
from experiments.engine.session import run_work
from experiments.engine.task import Task
from experiments.performance.cases import Case
from experiments.performance.report import Effort, Performance
from experiments.run import main
from experiments.suite import BadInput, Options, suites

FLIPS = 100 if EXHAUSTIVE else 3  # of each kind of file, each followed by the command
KILLS = 50 if EXHAUSTIVE else 2  # of each suite
BITS = 1000 if EXHAUSTIVE else 100  # of each kind of file, each only read

GRID = ["convex_suite", "--problems", "hard:abs", "hinge:iris", "--methods", "polyak", "dual_averaging"]
GRID += ["--steps", "50", "--jobs", "1"]
PAPER = ["paper_convex", "--quick", "--problems", "multinomial:iris", "--epochs", "2", "--seeds", "2", "--jobs", "1"]
TINY = Effort(cases=(Case("dense 20x3", "dense", 5, (20, 3), None, None),), rounds=1, cold_rounds=0, process_rounds=0)
SUITES = {"convex_suite": GRID, "paper_convex": PAPER}

TIMES = {"seconds", "compile_seconds", "optimum_seconds"}
# Of the manifest: times, paths, hashes of these, and the state of the working copy.
OF_THE_COMMAND = {"command", "argv", "sessions", "files", "seal", "started", "seconds", "commit", "modified"}
MEASURED = {"what", "size"}  # what of performance.csv is no time


def run(argv: list[str], out: Path, *more: str) -> int:
    return main([*argv, "--out", str(out), *more])


def measure(out: Path) -> int:
    return run_work(Performance(suites()["performance"], Options(out=out), TINY))


# ---------------------------------------------------------------------------------------------------------
# Comparing directories


def holdings(out: Path) -> dict[str, Any]:
    """By name, what every file says, without times, in a form that compares."""
    return {str(path.relative_to(out)): _said(path) for path in sorted(out.rglob("*")) if path.is_file()}


def _said(path: Path) -> Any:
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        about = json.loads((table.schema.metadata or {}).get(b"dadapt", b"{}"))
        return _columns(table.to_pandas()), {name: value for name, value in about.items() if name not in TIMES}
    if path.suffix == ".csv":
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        return _columns(table[[*MEASURED]] if path.name == "performance.csv" else table)
    if path.suffix == ".npz":
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in stored.files}
        meta = json.loads(str(arrays.pop("meta")))
        meta["optimum"].pop("seconds")
        return meta, {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in arrays.items()}
    if path.suffix == ".json":
        return {name: value for name, value in json.loads(path.read_text()).items() if name not in OF_THE_COMMAND}
    if path.suffix == ".html":
        return path.read_text().partition("<dt>command")[0]
    return path.suffix == ".md" or path.read_bytes()


def _columns(table: pd.DataFrame) -> dict[str, str]:
    return {str(name): repr(table[name].tolist()) for name in table if name not in TIMES}


def kinds(out: Path) -> dict[str, list[Path]]:
    """The files by kind: all of a folder with one ending are a kind, and every other file is its own."""
    found: dict[str, list[Path]] = {}
    for path in sorted(out.rglob("*")):
        if path.is_file() and path.stat().st_size:
            kind = path.name if path.parent == out else f"{path.parent.name}/*{path.suffix}"
            found.setdefault(kind, []).append(path)
    return found


def flip(path: Path, random: np.random.Generator) -> None:
    """Change one bit, anywhere in the file."""
    content = bytearray(path.read_bytes())
    content[random.integers(len(content))] ^= 1 << int(random.integers(8))
    path.write_bytes(content)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out figures and reports, which the same command always draws anew."""
    leave_out_figures(monkeypatch)


def leave_out_figures(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(analysis, "draw_all", lambda out, executor, console: None)
    patch.setattr(report, "write", lambda out: None)
    patch.setattr("experiments.paper.convex.Comparison.picture", lambda out: None)
    patch.setattr("experiments.paper.convex.Comparison.write_page", lambda out: None)
    patch.setattr("experiments.paper.work.save_figure", lambda figure, out, name: None)


@pytest.fixture(scope="module", params=SUITES)
def undisturbed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    """(a command, the results it wrote); not to be changed."""
    out = tmp_path_factory.mktemp("undisturbed") / "paper_results"
    with pytest.MonkeyPatch.context() as patch:
        leave_out_figures(patch)
        assert run(SUITES[request.param], out) == 0
    return SUITES[request.param], out


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of GRID, figures and report included; not to be changed."""
    out = tmp_path_factory.mktemp("drawn") / "results"
    assert run(GRID, out) == 0
    return out


@pytest.fixture
def copy(drawn: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drawn, tmp_path / "results"))


# ---------------------------------------------------------------------------------------------------------
# Flipped bits


def test_a_flipped_bit_in_any_file_is_healed_by_the_same_command(
    undisturbed: tuple[list[str], Path], tmp_path: Path, undrawn: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """One bit in each kind of file at a time; the manifest is spared in every other round."""
    argv, whole = undisturbed
    expected, random = holdings(whole), np.random.default_rng(0)
    out = tmp_path / "results"
    shutil.copytree(whole, out)
    for round in range(FLIPS):
        flipped = []
        for kind, paths in kinds(out).items():
            if kind != store.MANIFEST or round % 2:
                path = paths[random.integers(len(paths))]
                flip(path, random)
                flipped.append(str(path.relative_to(out)))
        capsys.readouterr()
        assert run(argv, out) == 0
        said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("damaged")]
        assert len(said) == 1
        assert (store.MANIFEST in said[0]) == (store.MANIFEST in flipped)
        assert all(name in said[0] for name in flipped if "/" in name)
        assert holdings(out) == expected, (round, flipped)


def test_no_flipped_bit_passes_for_a_whole_file(undisturbed: tuple[list[str], Path], tmp_path: Path) -> None:
    argv, whole = undisturbed
    out, random = tmp_path / "results", np.random.default_rng(1)
    shutil.copytree(whole, out)
    readers: dict[str, Callable[[Path], object]] = {
        ".parquet": store.read_rows, ".npz": store.read_certificate, ".json": lambda path: store.read_manifest(out)
    }  # fmt: skip
    for paths in kinds(out).values():
        path = paths[-1]
        content = path.read_bytes()
        for _ in range(BITS):
            flip(path, random)
            if path.parent.name in (store.CELLS, store.CERTIFICATES) or path.name == store.MANIFEST:
                with pytest.raises(store.Damaged):
                    readers[path.suffix](path)
            else:
                with pytest.raises(store.Damaged, match=path.name):
                    store.checked_manifest(out, [])
            path.write_bytes(content)
    assert store.checked_manifest(out, [])["configuration"]["suite"] == argv[0]


def test_flipped_figures_and_reports_are_drawn_anew(drawn: Path, copy: Path) -> None:
    random = np.random.default_rng(2)
    for path in (*(copy / store.FIGURES).iterdir(), copy / store.REPORT):
        flip(path, random)
    assert run(GRID, copy) == 0
    assert holdings(copy) == holdings(drawn)


def test_flipped_results_of_performance_are_measured_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, random = tmp_path / "results", np.random.default_rng(3)
    assert measure(out) == 0
    expected = holdings(out)
    for round in range(FLIPS):
        for kind, (path,) in kinds(out).items():
            if kind != store.MANIFEST or round % 2:
                flip(path, random)
        capsys.readouterr()
        assert measure(out) == 0
        assert "made again: " in capsys.readouterr().out
        assert holdings(out) == expected


@pytest.fixture
def kept_optimum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path]:
    """(a problem's name, its entry in the cache of optima)."""
    import problems
    from problems.optimum import store as optima

    monkeypatch.setenv("DADAPT_CACHE", str(tmp_path))
    monkeypatch.setattr(optima, "WORTH_KEEPING", 0.0)
    problems.get("logistic:iris").optimum()
    (path,) = (tmp_path / "optima").iterdir()
    return "logistic:iris", path


def test_every_part_of_a_kept_optimum_is_under_its_seal(kept_optimum: tuple[str, Path]) -> None:
    """A bit of each 16 bytes, and cuts: what counts as whole is what was written."""
    from problems.optimum import store as optima

    _, path = kept_optimum
    content, random = path.read_bytes(), np.random.default_rng(4)
    for begin in range(0, len(content), 16):
        damaged = bytearray(content)
        damaged[min(begin + int(random.integers(16)), len(content) - 1)] ^= 1 << int(random.integers(8))
        for spoiled in (damaged, content[:begin]):
            path.write_bytes(spoiled)
            assert optima.load(path.stem) is None
            assert not path.exists()
    path.write_bytes(content)
    assert optima.load(path.stem) is not None


@pytest.mark.parametrize("damage", ["a bit", "another's"])
def test_a_damaged_or_foreign_optimum_in_the_cache_is_certified_again_with_a_line(
    damage: str, kept_optimum: tuple[str, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    import problems

    name, path = kept_optimum
    whole = problems.get(name).optimum()
    if damage == "a bit":
        flip(path, np.random.default_rng(8))
    else:
        path.unlink()
        problems.get("lad:diabetes").optimum()
        (other,) = path.parent.iterdir()
        other.rename(path)
    capfd.readouterr()
    again = problems.get(name).optimum()
    assert [line for line in capfd.readouterr().err.splitlines() if "certif" not in line] == [
        f"{path} is damaged or another's "
        f"({'its SHA-256 is not the one in it' if damage == 'a bit' else f'it is that of {other.stem!r}'}); "
        "it is made anew."
    ]
    assert (again.f_lo, again.f_hi, again.x.tobytes()) == (whole.f_lo, whole.f_hi, whole.x.tobytes())
    assert [left.name for left in path.parent.iterdir()] == [path.name]


# ---------------------------------------------------------------------------------------------------------
# Foreign and missing files


def test_a_cell_under_another_s_name_is_made_again(
    undisturbed: tuple[list[str], Path], tmp_path: Path, undrawn: None, capsys: pytest.CaptureFixture[str]
) -> None:
    argv, whole = undisturbed
    out = tmp_path / "results"
    shutil.copytree(whole, out)
    first, second, *_ = sorted((out / store.CELLS).glob("*.parquet"))
    shutil.copy(first, second)
    assert run(argv, out) == 0
    assert f"made again: cells/{second.name}" in capsys.readouterr().out
    assert holdings(out) == holdings(whole)


def test_a_certificate_of_another_problem_is_made_again(drawn: Path, copy: Path, undrawn: None) -> None:
    shutil.copy(store.certificate_path(copy, "hard:abs"), store.certificate_path(copy, "hinge:iris"))
    assert run(GRID, copy) == 0
    certificate = f"{store.CERTIFICATES}/hinge_iris.npz"
    assert holdings(copy)[certificate] == holdings(drawn)[certificate] if (copy / certificate).exists() else True
    assert main(["certify", str(copy)]) == 0


def test_cells_of_other_code_are_not_taken(copy: Path, monkeypatch: pytest.MonkeyPatch, undrawn: None) -> None:
    """Although the manifest, which says so, is damaged."""
    from experiments import provenance

    before = set((copy / store.CELLS).iterdir())
    (copy / store.MANIFEST).write_bytes(b"")
    monkeypatch.setattr(provenance, "code_fingerprint", lambda *more: "other code")
    assert run(GRID, copy) == 0
    assert len(set((copy / store.CELLS).iterdir()) - before) == 4


def test_damaged_runs_of_a_neighbour_are_not_taken_over(
    tmp_path: Path, undrawn: None, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "paper_one", tmp_path / "paper_two"
    assert run(PAPER, first) == 0
    damaged, foreign, source, *_ = sorted((first / store.CELLS).iterdir())
    flip(damaged, np.random.default_rng(5))
    shutil.copy(source, foreign)
    capsys.readouterr()
    assert run(PAPER, second) == 0
    said = capsys.readouterr().out
    for path in (damaged, foreign):
        assert f"paper_one/cells/{path.name}" in said
    assert "runs are taken over from paper_one" in said
    assert run(PAPER, first) == 0
    healed, other = holdings(first), holdings(second)
    del healed[store.MANIFEST], other[store.MANIFEST]  # which says how many runs were taken over
    assert healed == other


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


MANIFESTS: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:200]),
    "not JSON": lambda path: path.write_text("damaged"),
    "not UTF-8": lambda path: path.write_bytes(b"\xff\xfe\x00{"),
    "wrong types": lambda path: path.write_text('{"configuration": [], "sessions": 3, "files": "x"}'),
    "a list": lambda path: path.write_text("[1, 2]"),
    "edited": lambda path: path.write_text(path.read_text().replace('"steps": 50', '"steps": 51')),
    "a folder": directory,
    "missing": lambda path: path.unlink(),
}


@pytest.mark.parametrize("what", MANIFESTS)
def test_a_damaged_manifest_costs_no_cell_and_does_not_stand_in_the_way_of_fresh(
    what: str, drawn: Path, copy: Path, undrawn: None, capsys: pytest.CaptureFixture[str]
) -> None:
    MANIFESTS[what](copy / store.MANIFEST)
    for command in ("report", "certify"):
        assert main([command, str(copy)]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert run(GRID, copy) == 0
    said = capsys.readouterr().out
    assert "made again: manifest.json" in said
    assert "4 of 4 cells are there already" in said
    assert holdings(copy) == holdings(drawn)
    MANIFESTS[what](copy / store.MANIFEST)
    assert run(GRID, copy, "--fresh") == 0
    assert "there already" not in capsys.readouterr().out
    assert store.read_manifest(copy) is not None


def test_files_of_others_are_not_taken_for_damaged_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / store.MANIFEST).write_text('{"name": "of a web page"}')
    assert run(GRID, tmp_path) == 2
    assert "--fresh" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [store.MANIFEST]


def test_results_of_an_earlier_version_are_not_taken_for_damaged_ones(copy: Path) -> None:
    manifest = store.read_manifest(copy) or {}
    manifest["configuration"]["format"] = store.SEALED_SINCE - 1
    (copy / store.MANIFEST).write_text(json.dumps(manifest))
    before = holdings(copy)
    assert run(GRID, copy) == 2
    assert holdings(copy) == before


# ---------------------------------------------------------------------------------------------------------
# Results edited by hand, disks, folders


def edited(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], object]:
    return lambda path: change(pd.read_csv(path, dtype=str)).to_csv(path, index=False)


EDITS: dict[str, Callable[[Path], object]] = {
    "a column less": edited(lambda table: table.iloc[:, 2:]),
    "no columns that are known": edited(lambda table: table.rename(columns=lambda name: f"my {name}")),
    "no rows": edited(lambda table: table[:0]),
    "text for numbers": edited(lambda table: table.assign(f_lo="abc", worst_ratio="abc")),
    "nothing": lambda path: path.write_bytes(b""),
    "bytes": lambda path: path.write_bytes(b"\x00\xff\xfe"),
    "a folder": directory,
}


@pytest.mark.parametrize("what", EDITS)
@pytest.mark.parametrize("name", [store.PROBLEMS, store.VERDICTS])
def test_results_edited_by_hand_are_refused_in_a_sentence(
    name: str, what: str, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    EDITS[what](copy / name)
    capsys.readouterr()
    assert main(["report", str(copy)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert main(["certify", str(copy)]) in (1, 2)
    said = capsys.readouterr()
    assert name in said.out + said.err
    assert len(said.err.splitlines()) <= 1


@pytest.mark.parametrize("number", [28, 30])  # no space, read-only
def test_a_report_that_cannot_be_written_is_a_sentence(
    number: int, copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*arguments: object, **named: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(store.tempfile, "mkstemp", refused)
    assert main(["report", str(copy)]) == 2
    err = capsys.readouterr().err
    assert os.strerror(number) in err
    assert len(err.splitlines()) == 1


def test_a_lock_that_a_killed_process_left_does_not_block(tmp_path: Path, undrawn: None) -> None:
    out = tmp_path / "results"
    held = (
        "import os, sys, pathlib\nfrom experiments import store\n"
        "with store.open_directory(pathlib.Path(sys.argv[1]), {}, False, lambda configuration: []):\n"
        "    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", held, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    with (
        pytest.raises(BadInput, match="another process works in"),
        store.open_directory(out, {}, False, lambda configuration: []),
    ):
        pass
    process.kill()
    process.communicate()
    with store.open_directory(out, {}, False, lambda configuration: []):
        pass


@pytest.mark.parametrize("folder", [".", store.CELLS, store.CERTIFICATES])
def test_a_folder_removed_during_a_run_is_not_said_to_be_kept(
    folder: str, tmp_path: Path, undrawn: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, done, out = cells.solve_and_check, [], tmp_path / "results"

    def removing(cell: cells.Cell, optimum: Any) -> cells.CellResult:
        done.append(cell)
        if len(done) == 3:
            shutil.rmtree(out / folder)
        return whole(cell, optimum)

    with monkeypatch.context() as patch:
        patch.setattr(cells, "solve_and_check", removing)
        assert run(GRID, out) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert "every finished cell is kept" not in err
    assert ("removed meanwhile" if folder == "." else "is missing") in err
    assert run(GRID, out) == 0


def test_no_more_processes_than_tasks(tmp_path: Path) -> None:
    def run_on(executor: Processes, count: int, seconds: float) -> set[int]:
        for place in range(count):
            executor.submit(Task(os.getpid, (), str(place), seconds=seconds), tmp_path)
        return {pid for _, pid in executor.as_completed()}

    with Processes(64) as executor:
        assert run_on(executor, 1, seconds=1e6) == {os.getpid()}
        assert run_on(executor, 64, seconds=1e-3) == {os.getpid()}  # not worth the start of another process
        assert 1 <= len(run_on(executor, 2, seconds=1e6) - {os.getpid()}) <= 2


@pytest.mark.parametrize("suite", SUITES)
def test_an_absurd_number_of_processes_is_refused(
    suite: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(SUITES[suite][:-2], tmp_path / "o", "--jobs", "100000") == 2
    assert "--jobs must be at most 1024, got 100000" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


# ---------------------------------------------------------------------------------------------------------
# Kills


def kill_at_random(command: Callable[[Path], int], out: Path, random: np.random.Generator) -> None:
    """Kill a command on directory after directory, each in a copy of this process, and give it there once more."""
    assert command(out / "first") == 0  # imports and compiles
    begun = time.monotonic()
    assert command(out / "whole") == 0
    longest = time.monotonic() - begun
    expected = holdings(out / "whole")
    for round in range(KILLS):
        place = out / str(round)
        process = multiprocessing.get_context("fork").Process(target=command, args=(place,))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # fork of a process with threads
            process.start()
        time.sleep(random.uniform(0, longest))
        process.kill()
        process.join()
        assert command(place) == 0
        assert holdings(place) == expected, round


@pytest.mark.parametrize("suite", SUITES)
def test_killed_at_random_moments_it_ends_with_the_same_files(suite: str, tmp_path: Path, undrawn: None) -> None:
    kill_at_random(lambda out: run(SUITES[suite], out), tmp_path, np.random.default_rng(6))


def test_performance_killed_at_random_moments_ends_with_the_same_files(tmp_path: Path) -> None:
    kill_at_random(measure, tmp_path, np.random.default_rng(7))
