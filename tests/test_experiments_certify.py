"""`certify`: stored optima are proved again from data and certificates, and what is wrong is refused."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from exhaustive import EXHAUSTIVE

from experiments import analysis, report, store
from experiments.certify import SOLVERS, no_solver
from experiments.run import main
from experiments.suite import BadInput
from problems.files import UNSEALED, seal

PROBLEMS = [
    *["logistic:iris", "logistic:wine", "logistic:digits", "hinge:iris", "lad:diabetes"],
    *(["hinge:digits_bins"] if EXHAUSTIVE else []),
    *[
        "quantile[tau=0.9]:diabetes",
        "logistic[l2=1e-3]:iris",
        "hinge[l2=1e-3]:iris",
        "hard:abs",
        "hard[m=6]:drori_teboulle",
    ],
]

COMMAND = [
    *["convex_suite", "--problems", *PROBLEMS, "--methods", "dadapt_dual_averaging"],
    *["--steps", "5", "--jobs", "1"],
]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with one problem of each kind of certificate; not to be changed."""
    out = tmp_path_factory.mktemp("certify") / "results"
    with pytest.MonkeyPatch.context() as patch:
        leave_out_figures(patch)
        assert main([*COMMAND, "--out", str(out)]) == 0
    return out


def leave_out_figures(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(analysis, "draw_all", lambda out, executor, console: None)
    patch.setattr(report, "write", lambda out: None)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out figures and report."""
    leave_out_figures(monkeypatch)


@pytest.fixture
def copy(results: Path, tmp_path: Path) -> Path:
    """The same results, to be spoiled."""
    import shutil

    return Path(shutil.copytree(results, tmp_path / "results"))


def certify(out: Path, *more: str) -> int:
    return main(["certify", str(out), *more])


def change_table(out: Path, problem: str, **values: Any) -> None:
    table = pd.read_csv(out / "problems.csv", dtype=object)
    for name, value in values.items():
        table.loc[table["problem"] == problem, name] = value
    table.to_csv(out / "problems.csv", index=False)


def change_certificate(out: Path, problem: str, change: Any) -> None:
    path = store.certificate_path(out, problem)
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    meta = json.loads(str(arrays.pop("meta")))
    change(arrays, meta)
    write_certificate(path, arrays, json.dumps(meta))


def write_certificate(path: Path, arrays: dict[str, Any], meta: str) -> None:
    """A certificate that is whole, whatever it says."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays, meta=np.array(meta))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = UNSEALED.encode()
    path.write_bytes(seal(buffer.getvalue()))


def state(out: Path, problem: str, name: str, value: float) -> None:
    """Claim another number, in both places."""
    change_table(out, problem, **{name: repr(value)})
    change_certificate(out, problem, lambda arrays, meta: meta["optimum"].update({name: value}))


def test_every_interval_of_a_run_is_proved_again(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert certify(results) == 0
    said = capsys.readouterr().out
    assert f"{len(PROBLEMS)} of {len(PROBLEMS)} proved" in said
    assert "refused" not in said
    assert "seconds: to load the data and prove" in said
    for kind in ("self-concordance", "separable", "quasi-separable", "exact vertex", "strong convexity", "closed form"):
        assert kind in said


def test_certificates_are_small(results: Path) -> None:
    for problem in PROBLEMS:
        assert store.certificate_path(results, problem).stat().st_size < 100_000


def test_no_solver_is_imported(results: Path) -> None:
    """In a process of its own, whose data come from the cache that the run has filled."""
    code = (
        "import sys\nfrom experiments.run import main\n"
        f"assert main(['certify', {str(results)!r}]) == 0\n"
        f"print([name for name in sys.modules if name.startswith({SOLVERS!r})])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_solver_within_a_proof_is_an_error() -> None:
    import scipy.optimize

    with no_solver(), pytest.raises(ImportError, match="asked for the solver"):
        import scipy.optimize  # noqa: F401
    assert "scipy.optimize" in sys.modules


def claim_more(out: Path, problem: str, name: str) -> None:
    """Move an end of an interval beyond what is proved; the other end follows, so that the interval is not empty."""
    optimum, _ = store.read_certificate(store.certificate_path(out, problem))
    value = getattr(optimum, name)
    step = 1e-6 * max(abs(value), 1e-3)
    lower, upper = name.replace("_hi", "_lo"), name.replace("_lo", "_hi")
    if not np.isfinite(value):
        state(out, problem, upper, 1e6)
    elif name == lower:
        state(out, problem, upper, getattr(optimum, upper) + 2 * step)
        state(out, problem, lower, value + step)
    else:
        state(out, problem, lower, getattr(optimum, lower) - 2 * step)
        state(out, problem, upper, value - step)


@pytest.mark.parametrize("name", ["f_lo", "f_hi", "D_lo", "D_hi", "D_inf_lo", "D_inf_hi"])
def test_a_claim_beyond_the_proof_is_refused(copy: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    *spoiled, whole = PROBLEMS
    for problem in spoiled:
        claim_more(copy, problem, name)
    assert certify(copy) == 1
    said = capsys.readouterr().out
    assert list(dict.fromkeys(re.findall(r"refused: (.*?): ", said))) == [*spoiled, store.PROBLEMS]
    assert f"{whole}: " not in said
    assert f"1 of {len(PROBLEMS)} proved" in said


def test_a_claim_of_one_problem_beyond_the_proof_is_refused(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    claim_more(copy, PROBLEMS[-1], "f_lo")
    assert certify(copy) == 1
    said = capsys.readouterr().out
    assert f"refused: {PROBLEMS[-1]}: " in said
    assert f"{len(PROBLEMS) - 1} of {len(PROBLEMS)} proved" in said


def test_tables_that_differ_from_certificates_are_refused(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change_table(copy, "hinge:iris", f_lo="0.05")
    change_table(copy, "logistic:wine", attained="True")
    assert certify(copy) == 1
    said = capsys.readouterr().out
    assert "refused: hinge:iris: f_lo = 0.05 in problems.csv" in said
    assert "refused: logistic:wine: attained = True in problems.csv" in said


def test_damaged_missing_and_foreign_certificates_are_refused(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store.certificate_path(copy, "hinge:iris").unlink()
    store.certificate_path(copy, "hard:abs").write_bytes(b"PK not a zip file")
    change_certificate(copy, "lad:diabetes", lambda arrays, meta: meta.update(layout=0))
    change_certificate(copy, "logistic:digits", lambda arrays, meta: arrays.pop("certificate.w"))
    change_certificate(copy, "quantile[tau=0.9]:diabetes", lambda arrays, meta: arrays.pop("certificate.rows"))
    assert certify(copy) == 1
    said = capsys.readouterr().out
    assert f"{len(PROBLEMS) - 5} of {len(PROBLEMS)} proved" in said
    assert "refused: lad:diabetes" in said
    assert f"{store.certificate_path(copy, 'hinge:iris')} is missing; give the suite's command again" in said
    assert "hard_abs.npz is damaged or was changed; give the suite's command again" in said
    assert "is of version 0" in said
    assert "holds no certificate: it has no entry 'rows'" in said
    assert_in_words(said)


def assert_in_words(said: str) -> None:
    """No exception by its name, nor as Python writes it."""
    assert not re.search(r"\w(Error|File|Exception)\b|allow_pickle|Traceback", said), said


def test_no_change_of_a_certificate_ends_in_an_exception(results: Path, tmp_path: Path) -> None:
    """Any bit changed, and any end cut off: it is refused in a sentence."""
    content = store.certificate_path(results, "lad:diabetes").read_bytes()
    path, random = tmp_path / "c.npz", np.random.default_rng(0)
    flips = [(int(i), 1 << int(random.integers(8))) for i in random.integers(len(content), size=600)]
    header = [(i, 1 << bit) for i in range(len(content) - 90, len(content)) for bit in range(8)]  # the zip's directory
    changed = [content[:i] + bytes([content[i] ^ flip]) + content[i + 1 :] for i, flip in flips + header]
    for spoiled in [b"", b"PK", *changed, *(content[:i] for i in range(0, len(content), 50))]:
        path.write_bytes(spoiled)
        with pytest.raises(store.Damaged, match="is damaged or was changed; give the suite's command again"):
            store.read_certificate(path)


@pytest.mark.parametrize("meta", ["[]", "{}", '{"layout": [', '{"layout": LAYOUT, "optimum": "x"}', "3"])
def test_a_certificate_with_other_content_is_refused_in_words(meta: str, copy: Path) -> None:
    from problems.optimum.store import FORMAT

    path = store.certificate_path(copy, "lad:diabetes")
    write_certificate(path, {}, meta.replace("LAYOUT", str(FORMAT)))
    with pytest.raises(BadInput, match="holds no certificate") as caught:
        store.read_certificate(path)
    assert_in_words(str(caught.value))


def test_certificates_of_former_formats_are_refused_in_a_sentence_and_made_again(
    copy: Path, undrawn: None, capsys: pytest.CaptureFixture[str]
) -> None:
    from problems.optimum.store import FORMAT

    def lower(arrays: Any, meta: Any) -> None:
        meta["layout"] = FORMAT - 1

    def of_a_class_that_is_gone(arrays: Any, meta: Any) -> None:
        meta["optimum"]["certificate"]["class"] = "Gone"

    def with_a_kind_and_no_class(arrays: Any, meta: Any) -> None:
        meta["optimum"]["certificate"] = {"kind": "exact vertex"}

    def without_a_field(arrays: Any, meta: Any) -> None:
        del arrays["certificate.given"]

    def with_another_field(arrays: Any, meta: Any) -> None:
        arrays["certificate.S"] = np.array([0])

    anew = "; give the suite's command again, which makes it anew."
    former = {
        "logistic:iris": (lower, f"is of version {FORMAT - 1}, this program reads {FORMAT}; give the suite's command"),
        "logistic:wine": (of_a_class_that_is_gone, f"holds no certificate: there is no certificate 'Gone'{anew}"),
        "hinge:iris": (with_a_kind_and_no_class, f"holds no certificate: it has no entry 'class'{anew}"),
        "lad:diabetes": (without_a_field, f"holds no certificate: it has no entry 'given'{anew}"),
        "logistic[l2=1e-3]:iris": (with_another_field, f"holds no certificate: it has an entry 'S' too many{anew}"),
    }
    whole = {problem: store.read_certificate(store.certificate_path(copy, problem))[0] for problem in former}
    for problem, (change, _) in former.items():
        change_certificate(copy, problem, change)
    assert certify(copy) == 1
    said = " ".join(capsys.readouterr().out.split())
    for problem, (_, words) in former.items():
        assert f"refused: {problem}: {store.certificate_path(copy, problem)} {words}" in said
    assert main([*COMMAND, "--out", str(copy)]) == 0
    assert certify(copy) == 0
    for problem, before in whole.items():
        again, _ = store.read_certificate(store.certificate_path(copy, problem))
        assert (again.f_lo, again.f_hi, again.D_lo, again.D_hi) == (before.f_lo, before.f_hi, before.D_lo, before.D_hi)
        assert type(again.certificate) is type(before.certificate)


def test_a_deleted_certificate_is_made_again_by_the_same_command(
    copy: Path, undrawn: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the message says."""
    store.certificate_path(copy, "lad:diabetes").unlink()
    assert main([*COMMAND, "--out", str(copy)]) == 0
    assert certify(copy) == 0
    assert f"{len(PROBLEMS)} of {len(PROBLEMS)} proved" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["problems.csv", "verdicts.csv", "runs.parquet", "manifest.json"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe damaged", b"a,b\n1,2\n", b'{"configuration": []}'])
def test_damaged_tables_are_named(copy: Path, name: str, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / name).write_bytes(content)
    assert certify(copy) == 2
    said = capsys.readouterr().err
    assert str(copy / name) in said
    assert len(said.splitlines()) == 1
    assert_in_words(said)


def test_other_data_are_refused(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change_table(copy, "lad:diabetes", sha256="0" * 64)
    change_table(copy, "hinge:iris", m="99")
    assert certify(copy) == 1
    said = capsys.readouterr().out
    assert "refused: lad:diabetes: the data have SHA-256" in said
    assert "the results were made for 99 x" in said


def test_incomplete_results_are_refused(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.read_csv(copy / "problems.csv", dtype=object)
    table[table["problem"] != "hinge:iris"].to_csv(copy / "problems.csv", index=False)
    change_table(copy, "lad:diabetes", sha256="")
    change_table(copy, "logistic:iris", certificate="banana")
    assert certify(copy) == 1
    said = capsys.readouterr().out
    assert "refused: hinge:iris: is missing in problems.csv" in said
    assert "refused: lad:diabetes" in said
    assert "certificate = banana in problems.csv, self-concordance in its file" in said
    table[:0].to_csv(copy / "problems.csv", index=False)
    assert certify(copy) == 1
    table["f_lo"] = "abc"
    table.to_csv(copy / "problems.csv", index=False)
    assert certify(copy) == 2
    said = capsys.readouterr().err
    assert "problems.csv is damaged: could not convert string to float: 'abc'; give the suite's command again" in said


def test_an_optimum_over_a_ball_is_not_taken_for_that_of_the_space(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import problems

    whole = problems.get("lad:diabetes")
    ball = whole.optimum(radius=whole.optimum().D_lo / 2)
    path = store.certificate_path(copy, "lad:diabetes")
    store.write_certificate(path, ball, identity=store.read_certificate(path)[1]["identity"])
    numbers = {name: repr(getattr(ball, name)) for name in ("f_lo", "f_hi", "D_lo", "D_hi", "D_inf_lo", "D_inf_hi")}
    change_table(copy, "lad:diabetes", certificate="ball", **numbers)
    assert certify(copy) == 1
    assert "refused: lad:diabetes: the certificate speaks of a ball" in capsys.readouterr().out


def test_the_certificate_of_another_problem_is_refused(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = store.certificate_path(copy, "hinge:iris").read_bytes()
    store.certificate_path(copy, "hinge[l2=1e-3]:iris").write_bytes(other)
    assert certify(copy) == 1
    assert "is that of 'hinge:iris'" in capsys.readouterr().out


def test_the_certificate_for_another_starting_point_is_refused_and_made_again(
    results: Path, copy: Path, undrawn: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whole, of the same data, and under the right name."""
    import problems

    here = problems.get("hinge:iris")
    path = store.certificate_path(copy, "hinge:iris")
    elsewhere = replace(here, x0=here.x0 + 1)
    store.write_certificate(path, elsewhere.optimum(), identity=store.read_certificate(path)[1]["identity"])
    assert certify(copy) == 1
    (said,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("refused: hinge:iris:")]
    for problem in (here, elsewhere):
        assert problem.identity[:12] in said
        assert problem.identity[-12:] in said
    assert main([*COMMAND, "--out", str(copy)]) == 0
    assert f"made again: {store.CERTIFICATES}/{path.name}" in capsys.readouterr().out
    assert store.read_certificate(path)[0].identity == here.identity
    assert certify(copy) == 0


def test_results_made_for_another_problem_are_refused(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import problems

    manifest = store.read_manifest(copy)
    assert manifest is not None
    manifest["configuration"]["problems"]["hinge:iris"] = "0123456789abcdef" * 4
    store.write_manifest(copy, manifest)
    assert certify(copy) == 1
    said = capsys.readouterr().out
    assert "refused: hinge:iris: the results were made for a problem of identity 0123456789ab" in said
    assert f"'hinge:iris' here is {problems.get('hinge:iris').identity[:12]}" in said


def test_a_directory_without_results_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert certify(tmp_path) == 2
    assert "holds no finished results" in capsys.readouterr().err
    assert certify(tmp_path, "--data-dir", str(tmp_path / "nowhere")) == 2


def test_fresh_deletes_certificates_of_its_own_and_no_other_file(copy: Path) -> None:
    (copy / "certificates" / "mine.npz").write_bytes(b"")
    names = [store.certificate_path(copy, problem) for problem in PROBLEMS]
    assert all(path.is_file() for path in names)
    from experiments.engine.session import files_of

    manifest = store.read_manifest(copy)
    assert manifest is not None
    store.delete_results(copy, files_of(manifest["configuration"]))
    assert not any(path.is_file() for path in names)
    assert [path.name for path in (copy / "certificates").iterdir()] == ["mine.npz"]
