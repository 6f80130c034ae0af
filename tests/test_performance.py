"""The performance suite: it compares like with like, and it writes its table. Nothing here depends on a time."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse

import dadapt_convex as dc
import problems
from experiments import store
from experiments.engine.session import run_work
from experiments.performance import limits, numpy_loop, steps
from experiments.performance.cases import Case, Target, build, dense, one_hot
from experiments.performance.measure import Row, interleaved, judged, measure
from experiments.performance.report import COLUMNS, CSV, MARKDOWN, Effort, Performance, cells, markdown
from experiments.provenance import ROOT
from experiments.run import main
from experiments.suite import BadInput, Options, suites

TINY = (
    Case("dense 20x3", "dense", 30, (20, 3), Target("ratio", ">=", 0.0), None),
    Case("CSR 40x16", "one_hot", 30, (40, 16), None, Target("ours", "<=", 0.0)),
    Case("absent", "logistic:no_such_file", 1),
)


def run_performance(options, effort=None):
    return run_work(Performance(suites()["performance"], options, effort))


# Two orders of rounding, 1000 iterations: test_methods holds 1e-12 for the same comparison over fewer.
SAME = 1e-10


@pytest.mark.parametrize("make", [dense, one_hot])
def test_the_numpy_loop_computes_what_solve_computes(make):
    A, b = make(60, 20)
    problem = problems.logistic(A, b, intercept=False)
    run = dc.solve(problem, "dadapt_dual_averaging", steps=1000, d0=1e-6)
    theirs = numpy_loop.dadapt_dual_averaging(A, b, problem.x0, 1000, 1e-6)
    last = run.trace.iloc[-1]
    assert np.linalg.norm(run.x_next - theirs.x) <= SAME * np.linalg.norm(theirs.x)
    assert np.linalg.norm(run.x_avg - theirs.x_avg) <= SAME * np.linalg.norm(theirs.x_avg)
    assert last["d"] == pytest.approx(theirs.d, rel=SAME)
    assert last["f"] == pytest.approx(theirs.f, rel=SAME)
    assert last["f_avg"] == pytest.approx(numpy_loop.logistic_loss(theirs.z_avg, b)[0], rel=SAME)
    assert theirs.d > 1e-6  # the estimate has grown: the comparison is of the adaptation too


def test_another_d0_gives_other_iterates():
    A, b = dense(60, 20)
    first, second = (numpy_loop.dadapt_dual_averaging(A, b, np.zeros(20), 20, d0) for d0 in (1e-6, 1e-3))
    assert np.linalg.norm(first.x - second.x) > SAME * np.linalg.norm(first.x)


@pytest.mark.parametrize("b", [-1.0, 1.0])
def test_the_blocks_and_numpy_agree_on_the_logistic_loss(b):
    from dadapt_convex.oracle import pack

    z = np.concatenate([np.linspace(-40.0, 40.0, 801), [0.0, -0.0, 1e-300, 700.0, -700.0, 1e4, -1e4]])
    data = pack(b=np.full(z.size, b), params=(0.0, 0.5))
    mean, slopes = numpy_loop.logistic_loss(z, data.b)
    found = np.empty(z.size)
    total = limits.project_block(z, found, data, 1)
    assert total / z.size == pytest.approx(mean, rel=1e-14)
    # the project's exp ends at exp(-708) = 3e-308
    np.testing.assert_allclose(found, slopes, rtol=1e-14, atol=1e-300)


def test_stream_reads_every_element():
    a = np.arange(1001.0)
    assert limits.stream(a, np.zeros(8), 3) == a.sum()


def test_one_hot_rows_hold_one_column_of_each_group():
    A, b = one_hot(50, 123)
    assert isinstance(A, scipy.sparse.csr_array)
    assert A.has_canonical_format
    assert set(np.diff(A.indptr)) == {14}
    assert set(A.data) == {1.0}
    assert set(b) == {-1.0, 1.0}


def test_a_case_without_data_is_left_out():
    assert build(TINY[2], None) is None


def test_rounds_alternate_in_order():
    calls: list[str] = []
    found = interleaved({name: lambda name=name: calls.append(name) or 1.0 for name in "abc"}, 2)
    assert "".join(calls) == "abccba"
    assert {name: values.tolist() for name, values in found.items()} == {name: [1.0, 1.0] for name in "abc"}


def test_a_target_is_judged_on_its_own_column():
    fields = {"what": "w", "size": "s", "unit": "us", "ours": 2.0, "ratio": 5.0}
    assert judged(Target("ratio", ">=", 4.0), **fields).met == "yes"
    assert judged(Target("ratio", ">=", 6.0), **fields).met == "no"
    assert judged(Target("ours", "<=", 1.0), **fields).met == "no"
    assert judged(None, **fields).met == ""


def test_ratio_and_fraction_are_positive_and_ordered():
    rows = measure(TINY[0], build(TINY[0], None), rounds=3)
    speed = next(row for row in rows if row.what == "iteration")
    assert speed.ratio_min <= speed.ratio <= speed.ratio_max
    assert next(row for row in rows if row.what == "against the limit").fraction > 0


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("results") / "performance"
    options = Options(out=out, argv=("performance",))
    code = run_performance(options, Effort(cases=TINY, rounds=2, cold_rounds=0, process_rounds=0))
    return out, code


def test_the_suite_writes_its_table_without_data(written):
    out, code = written
    assert code == 0
    with (out / CSV).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    found = {(row["what"], row["size"]): row for row in rows}
    dense_row, sparse_row = found["iteration", "dense 20x3"], found["CSR passes", "CSR 40x16"]
    assert dense_row["target"] == ">= 0x"
    assert (dense_row["met"], sparse_row["met"]) == ("yes", "no")
    assert all(row["met"] == "yes" for row in rows if row["what"] == "same iterates")
    assert not any(size == "absent" for _, size in found)


def test_the_report_names_what_is_missed_and_what_is_left_out(written):
    text = (written[0] / MARKDOWN).read_text("utf-8")
    assert "- CSR passes, CSR 40x16: asked <= 0, found" in text
    assert "- absent: left out" in text
    header = next(line for line in text.splitlines() if line.startswith("| what"))
    lines = [line for line in text.splitlines() if line.startswith("| iteration |")]
    assert {line.count("|") for line in lines} == {header.count("|")}


def test_the_manifest_says_where_the_numbers_come_from(written):
    manifest = json.loads((written[0] / "manifest.json").read_text("utf-8"))
    assert manifest["configuration"]["suite"] == "performance"
    assert manifest["configuration"]["cases"] == ["dense 20x3", "CSR 40x16"]
    assert manifest["data_absent"] == ["absent"]
    assert {"versions", "machine", "command", "started", "threads"} <= set(manifest)


def test_no_target_missed_is_said_too():
    row = Row(what="iteration", size="s", unit="us", ours=1.0, met="yes", target=">= 1x", target_of="ratio", ratio=2.0)
    text = markdown([row], [], {"machine": {"cpu": "c", "system": "s"}, "command": "x"})
    assert text.rstrip().endswith("None.")
    assert cells(row)[-1] == "yes"


def test_loops_that_differ_fail_the_suite(tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.performance.measure.D0", 1e-6)
    right = numpy_loop.dadapt_dual_averaging
    monkeypatch.setattr(numpy_loop, "dadapt_dual_averaging", lambda A, b, x0, steps, d0: right(A, b, x0, steps, 2 * d0))
    options = Options(out=tmp_path / "out")
    assert run_performance(options, Effort(cases=TINY[:1], rounds=1, cold_rounds=0, process_rounds=0)) == 1


def test_what_was_measured_before_stays_until_the_new_is_there(tmp_path, monkeypatch, capsys):
    (tmp_path / CSV).write_text("earlier")
    (tmp_path / MARKDOWN).write_text("earlier")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("experiments.performance.report.measured", interrupted)
    assert main(["performance", "--quick", "--out", str(tmp_path)]) == 130
    assert "nothing new was written" in capsys.readouterr().err
    assert (tmp_path / CSV).read_text() == (tmp_path / MARKDOWN).read_text() == "earlier"
    assert {path.name for path in tmp_path.iterdir()} == {CSV, MARKDOWN}


def test_a_quick_look_has_a_directory_of_its_own(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("experiments.store.claimed", lambda out, prepare: seen.append(out.name) or exit(7))
    for quick in (False, True):
        with pytest.raises(SystemExit):
            run_performance(Options(quick=quick))
    assert seen == ["performance", "performance_quick"]


def test_report_says_that_there_is_nothing_to_redraw(written, capsys):
    assert main(["report", str(written[0])]) == 2
    assert "whose table is performance.md" in capsys.readouterr().err


def test_an_unusable_directory_is_refused_before_any_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="is a file"):
        run_performance(Options(out=tmp_path / "file"))
    with pytest.raises(BadInput, match="no directory"):
        run_performance(Options(out=tmp_path / "missing" / "out"))
    with pytest.raises(BadInput, match="--data-dir"):
        run_performance(Options(data_dir=tmp_path / "missing", out=tmp_path))
    store.write_manifest(tmp_path, {"configuration": {"suite": "convex_suite"}})
    with pytest.raises(BadInput, match="convex_suite"):
        run_performance(Options(out=tmp_path))


def test_the_suite_is_found_and_costs_nothing_to_list():
    assert suites()["performance"].kind() is Performance
    code = "import sys; from experiments.suite import suites; suites(); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


def test_a_step_with_names_computes_what_its_twin_with_numbers_computes():
    """The bits are equal here; another compiler may sum in another order."""
    rows = steps.measured(rounds=1)
    assert [row.size for row in rows if row.what == "step"] == [f"p = {p}" for p in steps.SIZES]
    assert all(row.ours <= 1e-13 for row in rows if row.what != "step")


def test_steps_are_timed_on_finite_numbers():
    """A sample has some hundred thousand steps, and d grows as long as the gradient stays the same."""
    step = dc.get_method("dadapt_dual_averaging").step
    for p in steps.SIZES[:2]:
        arrays = steps.arguments(p)
        assert np.isfinite(steps.STEPS(step.argument, 10**6, *arrays))
        assert all(np.isfinite(array).all() for array in arrays)
