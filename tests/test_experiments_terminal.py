"""What a reader of the output sees: whole names, explained columns, times that were measured, theorems at a prompt."""

from __future__ import annotations

import io
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

import dadapt_convex as dc
from experiments import analysis, report, terminal
from experiments.run import main

LONG = "dadapt_dual_averaging[option=II,step=modified]"
COLUMNS = ["problem", "label", "theorem", "verdict", "worst_ratio"]


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """What rich and shutil take for the width of the terminal."""
    monkeypatch.setenv("COLUMNS", "40")


# ---------------------------------------------------------------------------------------------------------
# Names


def test_no_name_is_broken_in_tables_where_output_is_no_terminal(
    narrow: None, capsys: pytest.CaptureFixture[str]
) -> None:
    problem = "logistic[l2=1e-3]:" + "x" * 200
    rows = [(problem, LONG, "adagrad_norm_dual_averaging_rate", "VERIFIED", 0.5)]
    summary = analysis.summary_by_method(pd.DataFrame(rows, columns=COLUMNS), {"adagrad_norm_dual_averaging_rate"})
    terminal.console().print(terminal.summary_table(summary))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [LONG, "1", "-", "-", "-", "-", "0.5", "adagrad_norm_dual_averaging_rate,", problem] in lines


def test_no_name_is_broken_in_lists(narrow: None, capsys: pytest.CaptureFixture[str]) -> None:
    from experiments.suite import suites

    assert main(["list"]) == 0
    words = {word.strip(",") for word in capsys.readouterr().out.split()}
    assert words >= {*suites()["convex_suite"].methods, *suites()["convex_suite"].problems}


# ---------------------------------------------------------------------------------------------------------
# Columns


def test_the_worst_ratio_is_that_of_a_rate_unless_something_is_violated() -> None:
    """Identities have the ratio 1 on every run; a violated one counts more than any rate."""
    rows = [
        ("p", "a", "identity", "VERIFIED", 1.0),
        ("p", "a", "rate", "VERIFIED", 0.3),
        ("p", "b", "rate", "VERIFIED", 0.4),
        ("p", "b", "other rate", "UNDECIDED", 7.0),
        ("q", "a", "identity", "VIOLATED", 1.01),
        ("q", "a", "rate", "VERIFIED", 0.9),
        ("r", "a", "identity", "VERIFIED", 1.0),
    ]
    found = analysis.summary_by_problem(pd.DataFrame(rows, columns=COLUMNS), {"rate", "other rate"})
    worst = {name: (row["worst_ratio"], row["theorem"], row["method"]) for name, row in found.items()}
    assert worst == {"p": (0.4, "rate", "b"), "q": (1.01, "identity", "a"), "r": (None, "", "")}


def test_an_infinite_ratio_is_the_worst() -> None:
    rows = [("p", "a", "rate", "VIOLATED", 2.0), ("p", "b", "rate", "VIOLATED", math.inf)]
    assert analysis.summary_by_problem(pd.DataFrame(rows, columns=COLUMNS), ())["p"]["worst_ratio"] == math.inf


def test_ratios_by_problem_inform_and_are_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the summary and in the report of a run, from the files alone."""
    monkeypatch.setattr(analysis, "draw_all", lambda out, executor, console: None)
    methods, names = ["polyak", "dadapt_dual_averaging"], ["hinge:iris", "lad:diabetes", "logistic:wine"]
    argv = ["convex_suite", "--problems", *names, "--methods", *methods, "--steps", "100", "--jobs", "1"]
    assert main([*argv, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert terminal.LEGEND in said
    shown = report.content(tmp_path / "out")
    ratios = {section["name"]: section["summary"]["worst_ratio"] for section in shown["sections"]}
    assert ratios["logistic:wine"] is None  # no minimiser, so no rate
    assert 0 < ratios["hinge:iris"] < 1
    assert 0 < ratios["lad:diabetes"] < 1
    assert {section["summary"]["theorem"] for section in shown["sections"]} <= {"polyak_rate", "D3", ""}
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "largest among the convergence rates" in html


# ---------------------------------------------------------------------------------------------------------
# Times


class Clock:
    """time.monotonic, moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


def test_the_time_left_is_told_once_measured_and_leaves_out_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of 16 takes 20 s, as imports do, every other one 2 s."""
    clock = Clock(monkeypatch)
    pace = terminal.Pace(16)
    told = {}
    clock.now += 20
    for done in range(1, 17):
        pace.ended()
        told[done] = pace.left()
        clock.now += 2
    assert all(told[done] == "" for done in range(1, 1 + terminal.MEASURED))
    assert told[6] == "about 20 s left"  # ten more at 2 s
    assert told[15] == "about 2 s left"
    assert told[16] == ""


def test_lines_tell_what_was_measured_and_what_is_worked_on(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    pace = terminal.Pace(8)
    lines = terminal.Lines(terminal.Console(file=io.StringIO(), width=terminal.UNLIMITED), "figures", pace)
    clock.now += 3
    lines.wait("a")
    for _ in range(7):
        clock.now += 3
        pace.ended()
        lines.advance()
    pace.ended()
    lines.advance()
    assert lines.out.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "figures: 0/8 in 3 s, at work on a",
        "figures: 2/8 in 9 s",
        "figures: 4/8 in 15 s",
        "figures: 6/8 in 21 s, about 6 s left",
        "figures: 8/8 in 24 s",
    ]


def test_compilation_is_said_with_its_cache_and_only_where_it_happens(tmp_path: Path) -> None:
    """In processes of their own, with an empty cache and then the filled one: this one has compiled things before."""
    cache = tmp_path / "cache"
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}

    def said(out: str) -> str:
        code = (
            "from experiments import analysis, report\nfrom experiments.run import main\n"
            "analysis.draw_all = lambda out, executor, console: None\nreport.write = lambda out: None\n"
            "argv = ['convex_suite', '--problems', 'hard:abs', '--methods', 'polyak', '--steps', '20', '--jobs', '1']\n"
            f"raise SystemExit(main([*argv, '--out', {str(tmp_path / out)!r}]))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=600,
            env={**environment, "DADAPT_CACHE": str(cache)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    first = said("one")
    assert f"compiling 3 functions, once: kept in {cache / 'numba'}\n" in first
    assert "compile: 3/3" in first
    assert len(list(cache.rglob("*.nbi"))) == 3  # those, and no other one later
    assert "compiling" not in said("two")


# ---------------------------------------------------------------------------------------------------------
# At a prompt


def test_theorems_read_well_at_a_prompt() -> None:
    library = dc.theorems()
    assert repr(library["L1"]) == "<Theorem L1: d_hat_{n+1} <= D and d_{n+1} <= D [Defazio & Mishchenko 2023]>"
    lines = repr(library).splitlines()
    assert len(lines) == len(library)
    for (name, theorem), line in zip(library.items(), lines, strict=True):
        assert line.split(maxsplit=1) == [name, theorem.statement]
