"""Standard output and standard error that fail, and names that neither terminal, figure nor page may stumble over."""

# ruff: noqa: RUF001  digits of other scripts are what is tested

from __future__ import annotations

import contextlib
import errno
import io
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments import analysis, report, store, terminal
from experiments.output import LONGEST_MESSAGE, Tolerant, sentence, shown
from experiments.run import main
from experiments.suite import BadInput, Suite

RUN = (sys.executable, "-m", "experiments.run")
ODD = [
    "m$x^{$n", "two$a_b$c", "$\\frac{1}{$", "back\\slash_%d", "end\\", "<b>&amp;[red]", "[bold]x[/bold]", "[/]",
    ":smile:", "%s%n{0}{}", "x" * 4000, "数据集", "emoji_\U0001f600", "rtl\u202eabc", "quote'\"", "new\nline",
    "esc\x1b[31m", "nul\\0",
]  # fmt: skip


def run(arguments: str, redirection: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The command line under a shell, which sees to its streams."""
    command = f'"$0" -m experiments.run {arguments} {redirection}; code=$?; echo "code $code" >&9'
    return subprocess.run(
        ["bash", "-c", f"{{ {command}; }} 9>&1", sys.executable], capture_output=True, timeout=120, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------------------
# Streams


@pytest.mark.parametrize("arguments", ["--help", "--version", "list --problems"])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_standard_output_is_one_sentence_and_exit_2(arguments: str) -> None:
    done = run(arguments, ">/dev/full")
    assert done.stdout == b"code 2\n"
    assert done.stderr == b"error: standard output cannot be written: No space left on device\n"


@pytest.mark.parametrize(
    ("arguments", "redirection", "code"),
    [
        ("--help", ">&-", 0),
        ("list --problems", "<&- >&- 2>&-", 0),
        ("nosuch", ">&- 2>&-", 2),
        ("nosuch", "2>/dev/full", 2),
        ("--version", ">/dev/full 2>/dev/full", 2),
    ],
)
def test_closed_streams_are_borne_in_silence(arguments: str, redirection: str, code: int) -> None:
    done = run(arguments, redirection)
    assert (done.stdout, done.stderr) == (f"code {code}\n".encode(), b"")


def test_a_reader_that_leaves_is_borne_in_silence() -> None:
    done = run("list --problems", "| head -c 1 >/dev/null; code=${PIPESTATUS[0]}; (exit $code)")
    assert (done.stdout, done.stderr) == (b"code 0\n", b"")


def test_processes_start_where_all_streams_are_closed() -> None:
    code = (
        "from experiments.output import tolerant; from experiments.engine.processes import Processes\n"
        "from experiments.engine.task import Task; from pathlib import Path\n"
        "with tolerant(), Processes(2) as executor:\n"
        "    for number in (-3, -4): executor.submit(Task(abs, (number,), str(number)), Path())\n"
        "    done = sorted((task.label, value) for task, value in executor.as_completed())\n"
        "raise SystemExit(done != [('-3', 3), ('-4', 4)])"
    )
    command = ["bash", "-c", '"$0" -c "$1" <&- >&- 2>&-', sys.executable, code]
    assert subprocess.run(command, timeout=120, check=False).returncode == 0


@pytest.mark.parametrize("backend", ["module://no_such_module", "no_such_backend"])
def test_figures_need_no_backend(backend: str) -> None:
    code = (
        "from experiments.run import main; assert main(['report', 'nothing']) == 2\n"
        "from experiments import analysis; analysis.new_figure(1, 1).savefig('/dev/null', format='png')"
    )
    environment = {**os.environ, "MPLBACKEND": backend}
    subprocess.run([sys.executable, "-c", code], timeout=120, check=True, env=environment, capture_output=True)


def test_the_first_failure_silences_a_stream_and_is_kept() -> None:
    class Failing(io.StringIO):
        def write(self, text: str) -> int:
            raise error

    for error, kept in ((OSError(errno.ENOSPC, "full"), True), (BrokenPipeError(), False)):
        stream = Tolerant(Failing())
        for _ in range(2):
            assert stream.write("text") == 4
            stream.flush()
        assert (stream.failure is error) == kept


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_no_encoding_is_too_small(encoding: str) -> None:
    inner = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    with contextlib.redirect_stdout(Tolerant(inner)):  # type: ignore[type-var]
        out = terminal.console()
        table = terminal.table("a title")
        table.add_column("name")
        table.add_row("数据集 \U0001f600 é \udcff")
        out.print(table)
        with terminal.progress(out, "é", 1) as advance:
            advance()
    inner.flush()
    text = inner.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
    assert ("é" in text) == (encoding != "ascii")
    assert "\\udcff" in text


# ---------------------------------------------------------------------------------------------------------
# Names


@pytest.mark.parametrize("name", ODD)
def test_a_terminal_shows_a_name_as_it_stands(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No markup, no emoji codes; what it would obey is escaped."""
    row = {**dict.fromkeys(terminal.STYLES, 1), "label": name, "worst_ratio": 0.5, "theorem": "T", "problem": name}
    out = terminal.console()
    out.print(terminal.summary_table([row]))
    out.print(name.replace("\n", " "), markup=False, soft_wrap=True)
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert shown(name.replace("\n", " ")) in said.replace("\n", " ")


def test_figures_and_report_take_every_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    k = np.array([1, 10, 20])
    runs = pd.concat(
        pd.DataFrame(
            {"problem": "p", "method": "dadapt_dual_averaging", "label": label, "seed": 0, "k": k, "d": 0.5,
             "weight_sum": 1.0, "bound": 2.0 / k, "bound_theorem": label, "bound_iterate": "average",
             **{f"gap_{i}_{end}": 1.0 / k for i in store.ITERATES for end in ("lo", "hi")}}
        ) for label in ODD[:4]
    )  # fmt: skip
    facts = {"f_lo": 0.0, "f_hi": 0.0, "D_lo": 1.0, "D_hi": 1.0, "D_inf_lo": 1.0, "D_inf_hi": 1.0, "G": 1.0,
             "D_estimate": 1.0, "attained": "True"}  # fmt: skip
    columns = ["problem", "theorem", "verdict", "worst_ratio"]
    verdicts = pd.DataFrame([(name, ODD[0], "VERIFIED", 0.5) for name in ODD], columns=columns)
    (tmp_path / store.FIGURES).mkdir()
    monkeypatch.setattr(analysis, "FORMATS", ("pdf",))
    analysis.save_figure(analysis.suboptimality_figure(runs, facts, ODD[:4]), tmp_path, "a")
    analysis.save_figure(analysis.dadaptation_figure(runs, facts), tmp_path, "b")
    heat_map = analysis.heat_map(verdicts)
    analysis.save_figure(heat_map, tmp_path, "c")
    assert len(list((tmp_path / store.FIGURES).iterdir())) == 3
    ticks = [tick.get_text() for tick in heat_map.axes[0].get_xticklabels()]
    assert ticks[0] == r"m\$x^{\$n"  # dollars, no mathematics
    assert max(map(len, ticks)) <= 100
    page = report.templates().from_string("{% for name in names %}{{ name }}{% endfor %}").render(names=ODD)
    assert "<b>" not in page


# ---------------------------------------------------------------------------------------------------------
# Messages and hostile arguments


def test_a_message_is_one_line_that_fits_a_screen_and_obeys_nothing() -> None:
    said = sentence(BadInput("a \x1b[31m\n\r\u202e" + "x" * 100_000 + " b " + "y " * 100_000))
    assert said.isprintable()
    assert len(said) <= LONGEST_MESSAGE


NUMBERS = ["0", "-1", "1.5", "1_000", " 5", "+5", "0x10", "٣", "１２", "²", "1e3", "1e400", "nan", "inf", "", "💥",
           "9" * 19, "9" * 5000]  # fmt: skip
CONTROLS = ["\x00", "a\x00b", "\x1b[31mred", "new\nline", "tab\t", "\x7f", "\x9b31m"]
NO_TEXT = ["\udcff", "a\udcfe"]
LONG = ["x" * 5000, "x" * 100_000]
HOMES = ["~nosuch", "~nosuch/x"]
PATHS = [*CONTROLS, *NO_TEXT, *LONG, *HOMES, "", "x" * 256, "/".join(["x" * 200] * 20)[:4096]]
LABELS = [
    "polyak[f_star=٣]", "polyak[f_star=1_0]", "polyak[f_star=1e400]", "polyak[f_star=nan]", "polyak[f_star=inf]",
    "dadapt_adam[betas=٠.٩ ٠.٩]", "dadapt_adam[betas=0.9 0.9_9]", "dadapt_adam[betas=nan nan]", "dadapt_adam[d0=１]",
    "dadapt_adam[growth_rate=1e400]", "dadapt_adam[batch_size=１,d0=1]", "dadapt_adam[noise=gaussian(٣)]",
    "dadapt_adam[noise=gaussian(nan)]", "dadapt_adam[batch_size=1_6]", "dadapt_adam[seed=-1,batch_size=1]",
    "dadapt_adam[batch_size=" + "9" * 4000 + "]", "sgd[lr=0x1p3]", "sgd[lr=Infinity]", "sgd[schedule=stagewise(٣)]",
    "sgd[schedule=stagewise(1e400)]", "sgd[schedule=warmup(nan)]", "sgd[schedule=" + "(" * 3000 + "]", *CONTROLS,
    *NO_TEXT, *LONG, "polyak[", "polyak]", "[[]]", "",
]  # fmt: skip
SUITE = ["convex_suite", "--problems", "hinge:iris"]
HOSTILE = [
    *([*SUITE, f"--{flag}", number] for flag in ("steps", "seeds", "jobs") for number in NUMBERS),
    *(["paper_convex", "--problems", "x", "--epochs", number] for number in NUMBERS),
    [*SUITE, "--steps", "1000000000001"], [*SUITE, "--seeds", "10001"], ["paper_convex", "--epochs", "1000001"],
    *([*SUITE, "--methods", "polyak", "--steps", "10", "--out", path] for path in PATHS),
    *([*SUITE, "--data-dir", path] for path in PATHS),
    *([command, path] for command in ("report", "certify") for path in PATHS),
    *(["list", option, path] for option in ("--data-dir", "--problems") for path in PATHS),
    *(["performance", "--out", path] for path in PATHS),
    *(["convex_suite", "--problems", f"hinge:{path}"] for path in PATHS),
    *(["convex_suite", "--problems", path] for path in PATHS),
    *([*SUITE, "--out", "no/such/folder", "--methods", label] for label in LABELS),
    *([path] for path in PATHS),
]  # fmt: skip


def test_hostile_arguments_end_in_one_sentence_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    begun = time.process_time()
    for argv in HOSTILE:
        where = [word[:40] for word in argv]
        assert main(argv) == 2, where
        said = capsys.readouterr()
        assert said.out == "", where
        assert said.err.count("\n") == 1, where
        assert said.err[:-1].isprintable(), where
        assert len(said.err) <= LONGEST_MESSAGE + 10, where
        assert list(tmp_path.iterdir()) == [], where
    assert (time.process_time() - begun) / len(HOSTILE) < 0.5


@pytest.mark.parametrize("argv", [["list"], ["report", "x"], ["convex_suite", "--problems", "hard:abs"]], ids=str)
@pytest.mark.parametrize(("variable", "value"), [
    ("DADAPT_DATA", "~nosuch"), ("DADAPT_DATA", "x:~nosuch/y"), ("DADAPT_CACHE", "~nosuch"),
    ("DADAPT_CACHE", "/a\udcff"),
])  # fmt: skip
def test_variables_that_name_nothing_are_refused(
    argv: list[str], variable: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, value)
    assert main(argv) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "\\udcff" in said if "\udcff" in value else f"no home folder ~nosuch, {variable} is" in said


def test_a_current_folder_that_is_gone_or_no_text_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, expected in ((tmp_path / "gone", "current folder is gone"), (tmp_path / "a\udcff", "no text")):
        folder.mkdir()
        monkeypatch.chdir(folder)
        if expected != "no text":
            folder.rmdir()
        assert main(["list"]) == 2
        assert expected in capsys.readouterr().err


def test_a_files_name_that_cannot_be_given_is_not_offered(tmp_path: Path) -> None:
    from problems.data import available

    for name in ("good", "esc\x1b[31m", "new\nline", "bytes\udcff"):
        (tmp_path / name).write_text("+1 1:1\n-1 1:2\n")
    offered = available(tmp_path)
    assert "good" in offered
    assert all(name.isprintable() for name in offered)


# ---------------------------------------------------------------------------------------------------------
# dadapt


def test_both_ways_to_call_it_are_one_program(tmp_path: Path) -> None:
    from importlib.metadata import version

    script = Path(sys.executable).with_name("dadapt")
    if not script.is_file():
        pytest.skip("the project is not installed")
    for called, name in (([str(script)], "dadapt"), (RUN, "python -m experiments.run")):
        where = tmp_path if called != RUN else None
        helped = subprocess.run([*called, "--help"], capture_output=True, text=True, check=True, cwd=where)
        assert helped.stdout.startswith(f"usage: {name} ")
        shown = subprocess.run([*called, "--version"], capture_output=True, text=True, check=True, cwd=where)
        assert shown.stdout == f"dadapt-convex {version('dadapt-convex')}\n"


@pytest.mark.parametrize("name", ["problems.py", "problems/__init__.py", "dadapt_convex.py"])
def test_a_file_of_the_users_that_shadows_ours_is_named(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("mine = 1\n")
    done = subprocess.run([*RUN, "list"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert str(file) in done.stderr


def test_the_version_is_known_without_an_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata
    import tomllib

    from experiments import run

    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    declared = tomllib.loads((Path(run.__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    assert run.version() == f"{declared['project']['version']} (not installed)"


def test_a_suite_is_told_what_was_typed_without_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """--version leaves no trace in the options of a suite."""
    monkeypatch.setattr("experiments.run.suites", lambda: {"mine": Suite("mine", "of one's own", options=("--quick",))})
    monkeypatch.setattr("experiments.engine.session.run_suite", lambda suite, options: 0)
    assert main(["mine", "--quick"]) == 0
