"""The command line: what it refuses, what it imports, what it says."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import store
from experiments.run import main
from experiments.suite import GRID, BadInput, Options, Suite, suites, with_steps

OPTIONS = {*GRID, "--epochs"}
HEAVY = {"numba", "cvxpy", "pandas", "scipy", "sklearn", "matplotlib", "pyarrow", "rich", "joblib", "pooch"}
SMALL = ["convex_suite", "--problems", "hard:abs", "--methods", "polyak", "--steps", "50", "--jobs", "1"]


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


BAD = {
    "unknown suite": (["convex_suit"], "convex_suite"),
    "unknown option": (["convex_suite", "--step", "10"], "--step"),
    "no suite": ([], "COMMAND"),
    "zero steps": (["convex_suite", "--steps", "0"], "at least 1"),
    "negative steps": (["convex_suite", "--steps", "-5"], "--steps"),
    "steps that are no integer": (["convex_suite", "--steps", "1.5"], "1.5"),
    "zero seeds": (["convex_suite", "--seeds", "0"], "--seeds"),
    "zero jobs": (["convex_suite", "--jobs", "0"], "--jobs"),
    "unknown loss": (["convex_suite", "--problems", "logstic:iris"], "logistic:iris"),
    "unknown data": (["convex_suite", "--problems", "logistic:irs"], "iris"),
    "unknown hard instance": (["convex_suite", "--problems", "hard:ab"], "abs"),
    "a pattern without a match": (["convex_suite", "--problems", "hinge:x*"], "nearest"),
    "a shape that does not exist": (["convex_suite", "--problems", "hard[m=0]:drori_teboulle"], "m must be"),
    "data without a loss": (
        ["convex_suite", "--problems", "iris"],
        "error: a problem is named loss:dataset or hard:instance, got 'iris'. Did you mean hinge:iris, logistic:iris "
        "or multinomial:iris?",
    ),
    "data of the site without a loss": (["convex_suite", "--problems", "mpg"], "lad:mpg or quantile:mpg?"),
    "data of two kinds without a loss": (
        ["convex_suite", "--problems", "diabetes"],
        "lad:diabetes, logistic:diabetes, multinomial:diabetes or quantile:diabetes?",
    ),
    "an instance without hard": (["convex_suite", "--problems", "abs"], "Did you mean hard:abs?"),
    "unknown method": (["convex_suite", "--methods", "polyk"], "the nearest is polyak."),
    "the beginning of a method's name": (["convex_suite", "--methods", "dadapt"], "nearest are dadapt_adagrad,"),
    "a part of methods' names": (
        ["convex_suite", "--methods", "norm"],
        "the nearest are adagrad_norm, adagrad_norm_dual_averaging.",
    ),
    "a method pattern without a match": (["convex_suite", "--methods", "x*"], "nearest"),
    "unknown hyper-parameter": (["convex_suite", "--methods", "polyak[d=1]"], "d"),
    "a broken label": (["convex_suite", "--methods", "polyak[f_star=1"], "polyak[f_star=1"),
    "a hyper-parameter without a value": (["convex_suite", "--methods", "polyak[f_star]"], "key=value"),
    "d0 = 0": (["convex_suite", "--methods", "dadapt_dual_averaging[d0=0]"], "d0 must be positive"),
    "d0 < 0": (["convex_suite", "--methods", "dadapt_dual_averaging[d0=-1]"], "d0 must be positive"),
    "d0 = nan": (["convex_suite", "--methods", "dadapt_dual_averaging[d0=nan]"], "d0 must be positive"),
    "a wrong choice": (["convex_suite", "--methods", "dadapt_dual_averaging[option=III]"], "III"),
    "no data folder": (["convex_suite", "--data-dir", "nowhere"], "nowhere"),
    "NaN in the data": (["convex_suite", "--problems", "logistic:./data/nan"], "nan"),
    "labels of one class": (["convex_suite", "--problems", "hinge:./data/one_class"], "one_class"),
    "an empty file": (["convex_suite", "--problems", "logistic:./data/empty"], "empty"),
    "--out is a file": ([*SMALL, "--out", "data/empty"], "is a file"),
    "--out in a folder that does not exist": ([*SMALL, "--out", "no/such/place"], "no/such"),
    "a report of nothing": (["report", "data"], "no finished results"),
    "list with an option": (["list", "--quick"], "--quick"),
    "list of data that match nothing": (["list", "--problems", "lad:mpq*"], "the nearest names are lad:mpg"),
    "list of theorems that match nothing": (["list", "--theorems", "D4"], "no theorem matches 'D4'; did you mean D3"),
    "list of two kinds": (["list", "--theorems", "--problems"], "not allowed with argument"),
    "list of a folder that does not exist": (["list", "--data-dir", "nowhere"], "nowhere is no directory"),
    "data that are not here, offline": (
        ["convex_suite", "--problems", "hinge:a8a"],
        "DADAPT_OFFLINE forbids downloads",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_exits_2_with_one_line_and_leaves_nothing(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "nan").write_text("+1 1:nan 2:1\n-1 1:1\n")
    (data / "one_class").write_text("+1 1:2 2:1\n+1 1:1\n")
    (data / "empty").write_text("")
    monkeypatch.setenv("DADAPT_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    before = everything(tmp_path)
    argv, expected = BAD[case]
    assert main(argv) == 2
    said = capsys.readouterr()
    assert len(said.err.strip().splitlines()) == 1, said.err
    assert expected in said.err
    assert said.out == ""
    assert everything(tmp_path) == before


def test_without_network_the_message_takes_four_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of 80 columns, beside the name of the cache, which may be long."""
    monkeypatch.setenv("DADAPT_CACHE", str(tmp_path))
    monkeypatch.delenv("DADAPT_DATA", raising=False)
    assert main(["convex_suite", "--problems", "logistic:a8a"]) == 2
    said = capsys.readouterr().err
    for part in ("a8a", "datasets/binary/a8a", str(tmp_path / "raw"), "--data-dir", "$DADAPT_DATA", "DADAPT_OFFLINE"):
        assert part in said
    assert len(said.replace(str(tmp_path), "")) <= 4 * 80


def test_full_disk_is_refused_before_work_starts(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk."""
    limit = 4096
    result = subprocess.run(
        [sys.executable, "-m", "experiments.run", *SMALL, "--out", "out"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},  # Python would keep what it could write of its own files
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert "cannot write" in result.stderr
    assert everything(tmp_path) == set()


def test_a_directory_that_cannot_be_made_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Also for root, whom permissions do not stop."""
    if not Path("/proc/self").is_dir():
        pytest.skip("needs /proc")
    assert main([*SMALL, "--out", "/proc/self/out"]) == 2
    assert "cannot write to /proc/self/out" in capsys.readouterr().err


def test_a_directory_in_use_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with store.open_directory(tmp_path, {}, False, lambda configuration: []):
        assert main([*SMALL, "--out", str(tmp_path)]) == 2
    assert f"another process works in {tmp_path}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ("--help", "convex_suite"),
        ("list", "convex_suite"),
        ("list --problems", "mpg_scale"),
        ("list --theorems", "### D3"),
    ],
)
def test_help_and_list_import_nothing_heavy(argv: str, expected: str) -> None:
    code = (
        "import sys; from experiments.run import main; code = main(sys.argv[1].split()); "
        "print(sorted({m.partition('.')[0] for m in sys.modules} & set(sys.argv[2].split(','))), file=sys.stderr); "
        "sys.exit(code)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, argv, ",".join(HEAVY)], capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr.strip() == "[]"
    assert expected in result.stdout


def test_list_shows_every_suite_method_and_problem(capsys: pytest.CaptureFixture[str]) -> None:
    import dadapt_convex as dc

    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    for name in [*suites(), *dc.methods(), "breast_cancer", "drori_teboulle", "quantile"]:
        assert name in shown


@pytest.fixture
def data_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """One file of the catalogue in each of the places that are looked through."""
    folders = {
        label: tmp_path / label.strip("-$") for label in ("--data-dir", "$DADAPT_DATA", "cached", "current folder")
    }
    folders["cached"] /= "raw"
    monkeypatch.setenv("DADAPT_CACHE", str(folders["cached"].parent))
    monkeypatch.setenv("DADAPT_DATA", str(folders["$DADAPT_DATA"]))
    for folder, file in zip(folders.values(), ("a1a", "a1a.t", "usps.bz2", "letter.scale.val"), strict=True):
        folder.mkdir(parents=True)
        (folder / file).touch()
    monkeypatch.chdir(folders["current folder"])
    return folders


def test_list_problems_shows_the_catalogue_and_what_is_here(
    data_places: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    from problems.data import EMBEDDED, catalogue

    assert main(["list", "--problems", "--data-dir", str(data_places["--data-dir"])]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["DATA", "TASK", "ROWS", "COLUMNS", "CLASSES", "DOWNLOAD", "PRESENT"]
    table = [line.split() for line in lines]
    for row in (
        ["iris", "multiclass", "150", "4", "3", "-", "embedded"],
        ["diabetes", "regression", "442", "10", "-", "-", "embedded"],
        ["a1a", "binary", "1605", "123", "2", "115", "kB", "--data-dir"],
        ["a1a.t", "(test,", "30956", "rows,", "$DADAPT_DATA)"],
        ["usps", "multiclass", "7291", "256", "10", "?", "cached"],
        ["letter.scale.val", "(validation,", "4500", "rows,", "current", "folder)"],
        ["mpg_scale", "regression", "392", "7", "-", "?"],
        ["cached:", str(data_places["cached"])],
        ["--data-dir:", str(data_places["--data-dir"])],
    ):
        assert row in table
    shown = [line[0] for line in table if line]
    assert all(shown.count(name) == 1 + (name in EMBEDDED) for name in catalogue())
    assert max(map(len, lines)) <= 120
    closing = " ".join(lines[lines.index("") + 1 :]).partition("  ")[0]
    assert "?: not known; -: there is none" in closing
    assert not {word.strip(".,;").rpartition(":")[2] for word in closing.split()} & set(catalogue())


def test_list_problems_takes_patterns_of_data_and_of_problems(
    data_places: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    def listed(*patterns: str) -> list[str]:
        assert main(["list", "--problems", *patterns]) == 0
        table = capsys.readouterr().out.partition("\n\n")[0]
        return [line.split()[0] for line in table.splitlines()[1:] if not line.startswith(" ")]

    assert listed("w?a", "iris*") == ["iris", *(f"w{i}a" for i in range(1, 9)), "iris.scale"]
    assert listed("usps.t") == ["usps"]
    assert listed("multinomial:iris*", "quantile:m*") == ["iris", "iris.scale", "mg", "mg_scale", "mpg", "mpg_scale"]
    assert listed("hinge:diabetes") == listed("logistic:diabetes") == ["diabetes"]  # LIBSVM's
    assert listed("lad:diabetes") == ["diabetes"]  # the embedded one
    assert len(listed("diabetes")) == 2


def test_list_theorems_is_the_page_in_docs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--theorems"]) == 0
    assert capsys.readouterr().out == (Path(__file__).parents[1] / "docs" / "theorems.md").read_text("utf-8")


def test_list_theorems_takes_patterns(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--theorems", "D3*", "gd_D1"]) == 0
    shown = [line.removeprefix("### ") for line in capsys.readouterr().out.splitlines() if line.startswith("#")]
    assert shown == ["D3", "D3_best", "D3_any_d0", "D3_a_priori", "D3_selected", "gd_D1"]


def test_list_shows_the_files_of_a_data_folder(
    data_places: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (data_places["--data-dir"] / "of_my_own").write_text("+1 1:1\n-1 1:2\n")
    assert main(["list", "--data-dir", str(data_places["--data-dir"])]) == 0
    shown = capsys.readouterr().out
    assert "of_my_own" in shown
    assert "list --problems shows those" in shown


def test_the_shapes_of_embedded_sets_are_listed_as_they_are() -> None:
    from experiments.listing import EMBEDDED as LISTED
    from problems.data import EMBEDDED, embedded

    assert tuple(LISTED) == EMBEDDED
    for name in EMBEDDED:
        data = embedded(name)
        assert LISTED[name] == (data.task, data.m, data.p, None if data.classes is None else len(data.classes))


def test_suites_name_what_exists() -> None:
    import problems
    from experiments.engine.session import Work
    from experiments.grid import Grid
    from experiments.selection import select_methods

    for suite in suites().values():
        assert issubclass(suite.kind(), Work)
        assert set(suite.options) <= set(OPTIONS)
        for one in (suite, suite.quickened(Options(quick=True))):
            assert [c.label for c in select_methods(one, None)] == list(one.methods)
            for name in one.problem_names(10) if suite.kind() is Grid else ():
                assert problems.get(name).name == name


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("'convex_suite', 's'", "needs a name that is an identifier and no other suite or command, got 'convex_suite'"),
        ("'list', 's'", "no other suite or command, got 'list'"),
        ("'../mine', 's'", "needs a name that is an identifier"),
        ("'mine', 's', problems='hard:abs'", "problems must be a tuple of names, got 'hard:abs'; a single one goes in"),
        ("'mine', 's', methods=('polyak', {})", "methods must be a tuple of names, got"),
        ("'mine', 's', methods=('polyak', 'polyak')", "'polyak' stands twice in methods; leave one out"),
        ("'mine', 's', steps=0", "steps must be an integer of at least 1, got 0"),
        ("'mine', 's', quick_steps=1.5", "quick_steps must be an integer of at least 1, got 1.5"),
        ("'mine', 's', seeds=True", "seeds must be an integer of at least 1, got True"),
        (
            "'mine', 's', methods=('polyak',)",
            "suite mine has no problems; give it some, or --problems on the command line",
        ),
        ("'mine', 's', problems=('hard:abs',)", "suite mine has no methods; give it some, or --methods"),
        ("'mine', 's', work='nowhere:Grid'", "is a class, 'module:class', and 'nowhere:Grid' is none"),
        ("'mine', 's', work='experiments.grid:Nothing'", "'experiments.grid:Nothing' is none"),
        ("'mine', 's', work='Grid'", "'Grid' is none"),
    ],
)
def test_a_suite_that_cannot_be_run_is_refused_with_its_file(
    arguments: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import experiments.suites

    (tmp_path / "suite_of_a_test.py").write_text(f"from experiments.suite import Suite\n\nSUITE = Suite({arguments})\n")
    monkeypatch.setattr(experiments.suites, "__path__", [*experiments.suites.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "experiments.suites.suite_of_a_test", raising=False)
    assert main(["mine", "--out", str(tmp_path / "out")]) == 2
    monkeypatch.delitem(sys.modules, "experiments.suites.suite_of_a_test", raising=False)
    said = capsys.readouterr().err
    assert words in said
    assert said.startswith(f"error: SUITE in {tmp_path}") or "suite mine" in said
    assert not (tmp_path / "out").exists()


def test_what_is_no_suite_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import experiments.suites

    (tmp_path / "suite_of_a_test.py").write_text("SUITE = {'name': 'mine'}\n")
    monkeypatch.setattr(experiments.suites, "__path__", [*experiments.suites.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "experiments.suites.suite_of_a_test", raising=False)
    with pytest.raises(BadInput, match=r"must be a Suite, got \{'name': 'mine'\}"):
        suites()
    monkeypatch.delitem(sys.modules, "experiments.suites.suite_of_a_test", raising=False)


def test_the_worst_case_is_as_long_as_the_run() -> None:
    for name in ("hard[m=N+1]:drori_teboulle", "hard:drori_teboulle", "hard[]:drori_teboulle"):
        assert with_steps(name, 10_000) == "hard[m=10001]:drori_teboulle"
    assert with_steps("hard[D=2,G=3]:drori_teboulle", 10) == "hard[m=11,D=2,G=3]:drori_teboulle"
    for name in (
        "hard[m=5]:drori_teboulle",
        "hard[D=2, m = 5]:drori_teboulle",
        "hard:abs",
        "hinge:./hard:drori_teboulle",
    ):
        assert with_steps(name, 10) == name
    assert with_steps("logistic:./m=N+1", 10) == "logistic:./m=N+1"


def test_a_bare_name_stands_for_all_its_configurations_and_a_label_for_itself() -> None:
    from experiments.selection import select_methods

    suite = suites()["convex_suite"]
    labels = [c.label for c in select_methods(suite, ["subgradient", "polyak"])]
    assert labels == ["subgradient", "subgradient[schedule=inverse_sqrt]", "polyak"]
    one = select_methods(suite, ["dadapt_dual_averaging[step=modified,option=II]"])
    assert [c.label for c in one] == ["dadapt_dual_averaging[option=II,step=modified]"]
    other = select_methods(suite, ["dadapt_dual_averaging[d0=1e-8]"])
    assert [(c.label, c.hyper) for c in other] == [("dadapt_dual_averaging[d0=1e-8]", (("d0", 1e-8),))]


def test_patterns_take_brackets_as_they_stand() -> None:
    from experiments.selection import select_problems

    suite = suites()["convex_suite"]
    found = select_problems(suite, ["logistic[l2=1e-3]:*"], 10, None)
    assert found == ["logistic[l2=1e-3]:breast_cancer", "logistic[l2=1e-3]:digits_bins"]
    for pattern in ("hard:*", "*drori*"):
        drori = [name for name in select_problems(suite, [pattern], 10, None) if "drori" in name]
        assert drori == ["hard[m=11]:drori_teboulle"]
    assert select_problems(suite, ["hard[m=N+1]:drori_teboulle"], 10, None) == ["hard[m=11]:drori_teboulle"]


def test_a_suite_takes_the_options_that_its_work_reads(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = []
    suite = Suite("mine", "of one's own", options=("--quick", "--out"))
    monkeypatch.setattr("experiments.run.suites", lambda: {"mine": suite})
    monkeypatch.setattr("experiments.engine.session.run_suite", lambda suite, options: seen.append(options) or 0)
    assert main(["mine", "--quick", "--out", "here"]) == 0
    assert seen[0].quick
    assert seen[0].out == Path("here")
    assert main(["mine", "--steps", "3"]) == 2
    assert "--steps" in capsys.readouterr().err


def test_an_error_of_a_suite_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def run_suite(suite: Suite, options: Options) -> int:
        raise BadInput("one\n   two")

    monkeypatch.setattr("experiments.run.suites", lambda: {"mine": Suite("mine", "of one's own")})
    monkeypatch.setattr("experiments.engine.session.run_suite", run_suite)
    assert main(["mine"]) == 2
    assert capsys.readouterr().err == f"error: one two{os.linesep}"
