"""Mini-batches in the performance suite: all loops compute the same, and the suite says what it left out.

Nothing here depends on a time. What needs PyTorch and the released package is skipped where they are not installed.
"""

from __future__ import annotations

import csv
import functools
import json
import re
import sys
import types
from dataclasses import replace

import numpy as np
import pytest
import scipy.special

import dadapt_convex as dc
import experiments.performance
import problems
from dadapt_convex import stochastic_recorder
from experiments.engine.session import run_work
from experiments.performance import minibatch, numpy_minibatch
from experiments.performance.cases import MINI_BATCHES, MiniBatch, build, clusters, times
from experiments.performance.minibatch import PAPER_STEP, RELEASED_STEP, orders
from experiments.performance.report import CSV, MARKDOWN, Effort, Performance
from experiments.provenance import ROOT
from experiments.suite import Options, suites

# m is no multiple of 16, and 200 steps are many epochs
TINY = MiniBatch("tiny", "clusters", 200, (75, 3), 4, times(0.0))
LARGE = MiniBatch("large", "clusters", 200, (400, 20), 30)
# Two orders of rounding; of these problems d is not too large, so that differences do not grow.
SAME = 1e-10
CASES = pytest.mark.parametrize("case", [TINY, LARGE, *MINI_BATCHES[:2]], ids=lambda case: case.size)


def solved(problem, steps, convention="paper"):
    run = dc.solve(
        problem, "dadapt_adam", steps=steps, batch_size=16, seed=0, checkpoints=[steps], d0=1e-6, convention=convention
    )
    return numpy_minibatch.Outcome(run.x_next, run.trace["d"].iloc[-1], run.trace["f_batch"].iloc[-1])


def by_numpy(problem, steps, d0=1e-6):
    model = problem.model
    data = model.A, model.b.astype(np.int64), model.classes
    return numpy_minibatch.dadapt_adam(*data, d0, orders(problem.m, steps), steps)


def assert_same(ours, theirs, relative):
    assert np.linalg.norm(ours.x - theirs.x) <= relative * np.linalg.norm(theirs.x)
    assert ours.d == pytest.approx(theirs.d, rel=relative)
    assert ours.f == pytest.approx(theirs.f, rel=relative)
    assert theirs.d > 1e-3  # from 1e-6: the comparison is of the adaptation too


@CASES
def test_the_numpy_loop_computes_what_solve_computes(case):
    problem = build(case, None)
    assert_same(solved(problem, case.steps), by_numpy(problem, case.steps), SAME)


@CASES
def test_the_released_package_computes_what_solve_computes(case):
    torch = pytest.importorskip("torch")
    pytest.importorskip("dadaptation")
    problem = build(case, None)
    model = problem.model
    train = minibatch.released_package()(model.A, model.b.astype(np.int64), model.classes, 1e-6)
    assert_same(solved(problem, case.steps, "released"), train(orders(problem.m, case.steps), case.steps), SAME)
    assert torch.get_num_threads() == 1


def test_the_two_conventions_and_another_d0_give_other_iterates():
    problem = build(TINY, None)
    x = by_numpy(problem, 50).x
    for other in (solved(problem, 50, "released"), by_numpy(problem, 50, d0=2e-6)):
        assert np.linalg.norm(x - other.x) > 1e-3 * np.linalg.norm(x)


def test_softmax_loss_and_its_derivative():
    random = np.random.default_rng(3)
    z, labels = random.uniform(-400.0, 400.0, (16, 5)), random.integers(5, size=16)
    z[0] = 0.0
    own = np.arange(16), labels
    chosen = np.eye(5)[labels]
    f, slopes = numpy_minibatch.softmax_loss(z.copy(), labels)
    assert f == pytest.approx(np.mean(scipy.special.logsumexp(z, axis=1) - z[own]), rel=1e-14)
    np.testing.assert_allclose(slopes, (scipy.special.softmax(z, axis=1) - chosen) / 16, rtol=0, atol=1e-16)


def test_orders_are_those_of_every_epoch_however_many_are_drawn_at_once(monkeypatch):
    found = orders(75, 16)  # 5 steps in an epoch
    assert np.array_equal(np.sort(found, axis=1), np.tile(np.arange(75), (4, 1)))
    monkeypatch.setattr(stochastic_recorder, "DRAWN_AT_ONCE", 1)
    assert np.array_equal(orders(75, 16), found)
    assert len(orders(75, 15)) == 3


def test_clusters_hold_every_class_equally_often():
    A, labels = clusters(103, 4, 10)
    assert A.shape == (103, 4)
    assert set(np.bincount(labels)) == {10, 11}


def test_the_cases_have_an_intercept_as_the_linear_layer_does():
    for case in (TINY, *MINI_BATCHES[:2]):
        assert np.all(build(case, None).model.A[:, -1] == 1.0)


# ---------------------------------------------------------------------------------------------------------
# The suite


def run_suite(out, cases=(TINY, LARGE)):
    """The exit status, the rows by what and size, and the report."""
    effort = Effort(cases, rounds=2, cold_rounds=0, process_rounds=0)
    code = run_work(Performance(suites()["performance"], Options(out=out, argv=("performance",)), effort))
    with (out / CSV).open(encoding="utf-8") as file:
        rows = {(row["what"], row["size"]): row for row in csv.DictReader(file)}
    return code, rows, (out / MARKDOWN).read_text("utf-8")


@pytest.fixture
def not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "experiments.performance.torch_minibatch", raising=False)
    monkeypatch.delattr(experiments.performance, "torch_minibatch", raising=False)


def test_without_the_released_package_its_rows_are_left_out_with_a_note(not_installed, tmp_path, capsys):
    code, rows, text = run_suite(tmp_path / "out")
    assert code == 0
    batches = {key for key in rows if not key[1].endswith(("p = 1", "p = 30", "p = 1000"))}  # those are single steps
    assert batches == {(what, size) for what in (PAPER_STEP, "same iterates, paper") for size in ("tiny", "large")}
    for size in ("tiny", "large"):
        row = rows[PAPER_STEP, size]
        assert row["unit"] == "us"
        assert 0 < float(row["ratio_min"]) <= float(row["ratio"]) <= float(row["ratio_max"])
        assert row["target"] == ""
        assert rows["same iterates, paper", size]["met"] == "yes"
    assert f"- {RELEASED_STEP}: left out" in text
    assert "pip install torch==2.13.0 dadaptation==3.2" in text
    assert "pip install torch==2.13.0 dadaptation==3.2" in " ".join(capsys.readouterr().out.split())
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))
    assert manifest["configuration"]["cases"] == ["tiny", "large"]
    assert {"torch", "dadaptation"} <= set(manifest["versions"])


def test_with_the_released_package_its_rows_have_the_targets(tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("dadaptation")
    code, rows, text = run_suite(tmp_path / "out")
    assert code == 0
    assert (rows[RELEASED_STEP, "tiny"]["target"], rows[RELEASED_STEP, "tiny"]["met"]) == (">= 0x", "yes")
    assert rows["same iterates, released", "tiny"]["met"] == rows["same iterates, released", "large"]["met"] == "yes"
    assert "dadaptation 3.2" in rows[RELEASED_STEP, "tiny"]["reference_is"]
    assert "left out" not in text


def test_a_numpy_loop_that_differs_fails_the_suite(not_installed, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(numpy_minibatch, "BETA2", 0.9990001)
        assert run_suite(tmp_path / "x", (TINY,))[0] == 1
    right = numpy_minibatch.dadapt_adam
    for part in ("d", "f"):
        wrong = lambda *given, part=part: right(*given)._replace(**{part: 1.0})  # noqa: E731
        monkeypatch.setattr(numpy_minibatch, "dadapt_adam", wrong)
        assert run_suite(tmp_path / part, (TINY,))[0] == 1


def test_a_loop_that_takes_other_batches_fails_the_suite(not_installed, tmp_path, monkeypatch):
    monkeypatch.setattr(minibatch, "orders", lambda m, steps: [order[::-1] for order in orders(m, steps)])
    code, rows, _ = run_suite(tmp_path / "out", (TINY,))
    assert code == 1
    assert rows["same iterates, paper", "tiny"]["met"] == "no"


def test_a_package_that_keeps_to_another_convention_fails_the_suite(tmp_path, monkeypatch):
    """In the place of the released package, the paper's method: the target is there, and the difference is seen."""
    paper = lambda *data: functools.partial(numpy_minibatch.dadapt_adam, *data)  # noqa: E731
    monkeypatch.setattr(minibatch, "released_package", lambda: paper)
    code, rows, text = run_suite(tmp_path / "out", (TINY,))
    assert code == 1
    assert rows[RELEASED_STEP, "tiny"]["target"] == ">= 0x"
    assert rows["same iterates, paper", "tiny"]["met"] == "yes"
    assert rows["same iterates, released", "tiny"]["met"] == "no"
    assert "left out" not in text


def test_an_error_of_the_loop_itself_is_not_taken_for_a_missing_package(not_installed, monkeypatch):
    assert minibatch.released_package() is None
    for name in ("torch", "dadaptation"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "experiments.performance.cases", None)
    with pytest.raises(ModuleNotFoundError, match=r"performance\.cases"):
        minibatch.released_package()


def test_a_sample_that_ends_early_is_no_sample():
    yardstick = replace(minibatch.yardsticks()[0], start=lambda *data: lambda orders, steps: None)
    pair = minibatch.Pair(TINY, build(TINY, None), yardstick)
    assert pair.ours() > 0
    for status, error in (("interrupted", KeyboardInterrupt), ("not_finite", RuntimeError)):
        pair.solve = lambda steps, progress, status=status: types.SimpleNamespace(status=status, message="")
        with pytest.raises(error):
            pair.ours()


def test_one_file_alone_imports_pytorch_and_the_package_and_nothing_depends_on_them():
    statement = re.compile(r"^\s*(import|from)\s+(torch|dadaptation)\b", re.MULTILINE)
    folders = ("dadapt_convex", "problems", "experiments")
    found = [p.name for f in folders for p in (ROOT / f).rglob("*.py") if statement.search(p.read_text("utf-8"))]
    assert found == ["torch_minibatch.py"]
    dependencies = (ROOT / "pyproject.toml").read_text("utf-8").split("[tool.")[0]
    assert not re.search(r"torch|dadaptation", dependencies)


def test_problems_are_those_of_the_site_and_of_scikit_learn():
    sizes = {case.size: build(case, None).model for case in MINI_BATCHES[:3]}
    assert {size: (*model.A.shape, model.classes) for size, model in sizes.items()} == {
        "iris": (150, 5, 3), "digits": (1797, 65, 10), "letter-like": (15_000, 17, 26),
    }  # fmt: skip
    assert problems.get("multinomial:iris").model.intercept
