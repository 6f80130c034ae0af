"""The paper's suites: the search of a rate, tables, storage and resuming, what is skipped and how sets are labelled."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import dadapt_convex as dc
import problems
from experiments import provenance
from experiments import run as command
from experiments.cells import ProblemKey
from experiments.paper import pages, search, sets, tables, training
from experiments.paper.training import LAYER, ZERO, Curves, Group, Training
from experiments.paper.tuning import AT_AN_END, INTERIOR, PLATEAU, Grid, Score, best, next_rates, rate, where
from experiments.selection import parse_method
from experiments.suites.paper_convex import ADAM, SGD

GRID = Grid(first=-8, last=4)


def searched(grid: Grid, accuracy: object, loss: object = lambda q: 0.0) -> dict[int, Score]:
    """All rates that a search tries where rate q has this accuracy and loss."""
    tried: dict[int, Score] = {}
    for _ in range(100):
        missing = next_rates(grid, tried)
        if not missing:
            return tried
        assert not set(missing) & set(tried)
        tried |= {q: Score(accuracy(q), loss(q)) for q in missing}  # type: ignore[operator]
    raise AssertionError("the search does not end")


@pytest.mark.parametrize("peak", [-30, -9, -3, 0, 1, 5, 19])
def test_the_search_finds_an_interior_peak(peak: int) -> None:
    tried = searched(Grid(first=-8, last=4, extensions=20), lambda q: 90.0 - abs(q - peak))
    assert best(tried) == peak
    assert where(tried) == INTERIOR
    assert set(GRID.declared) <= set(tried)


def test_the_search_gives_up_where_the_best_recedes() -> None:
    grid = Grid(first=-8, last=4, extensions=3)
    tried = searched(grid, lambda q: float(q))
    assert max(tried) == 4 + 3 * 2
    assert where(tried) == AT_AN_END


def test_equal_accuracies_go_by_the_loss_then_the_rate() -> None:
    flat = searched(GRID, lambda q: 100.0, lambda q: abs(q + 2))
    assert best(flat) == -2
    assert best({q: Score(100.0, 1.0) for q in (2, 0, -2)}) == -2
    end = searched(GRID, lambda q: 100.0, lambda q: -float(q))
    assert where(end) == PLATEAU
    assert max(end) == 4


def test_runs_that_are_not_finite_come_last() -> None:
    tried = searched(GRID, lambda q: math.nan if q > 0 else 50.0 + q, lambda q: 1.0)
    assert best(tried) == 0
    assert rate(1) == 1.78


def test_curves_are_those_of_the_last_iterates() -> None:
    key = ProblemKey("multinomial:iris", "")
    group, plan = Group(key, parse_method("dadapt_adam"), ZERO), Training(epochs=5, seeds=2)
    curves = Curves.joined(training.train(group, plan, seed) for seed in range(2))
    p = problems.get("multinomial:iris")
    assert p.model is not None
    for seed in range(2):
        for epochs in (1, 5):
            schedule = plan.schedule  # its stages are epochs, whatever the length of the run
            run = dc.solve(p, "dadapt_adam", epochs=epochs, batch_size=16, seed=seed, schedule=schedule)
            margins = p.model.A @ run.x.reshape(-1, 3)
            shifted = margins - margins.max(axis=1)[:, None]
            loss = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(p.m), p.model.b.astype(int)]
            assert curves.accuracy[seed, epochs - 1] == np.mean(margins.argmax(axis=1) == p.model.b)
            assert curves.f[seed, epochs - 1] == pytest.approx(loss.mean(), rel=1e-12)
    summary = tables.summary(curves)
    assert summary["accuracy"] == pytest.approx(100 * curves.accuracy[:, -1].mean())
    spread = 100 * abs(curves.accuracy[0, -1] - curves.accuracy[1, -1])
    assert summary["standard_error"] == pytest.approx(spread / 2)  # of two values


def test_starting_points_differ_by_seed_and_lie_in_the_layers_range() -> None:
    p = problems.get("multinomial:iris")
    points = [training.starting_point(p, seed) for seed in range(3)]
    assert np.abs(points).max() <= 1 / math.sqrt(4)
    assert np.abs(points).max() > 0.4
    assert not np.array_equal(points[0], points[1])
    np.testing.assert_array_equal(points[2], training.starting_point(p, 2))


def test_schedule_of_the_paper() -> None:
    assert Training(epochs=100, seeds=1).schedule == "stagewise(60 80 95)"


def test_a_part_of_a_set_is_not_compared() -> None:
    assert sets.PART not in sets.COMPARED
    assert {title.lower() for title in (s.title for s in sets.PAPER_SETS)} >= {
        "sensorless",
        "aloi",
        "smallnorb",
        "usps",
    }
    assert len(sets.PAPER_SETS) == 12


def outputs(out: Path) -> dict[str, bytes]:
    """The tables as bytes; seconds are not among them."""
    return {path.name: path.read_bytes() for path in sorted(out.glob("*.csv"))}


@pytest.mark.parametrize("suite", ["paper_toy", "paper_convex", "paper_sensitivity", "paper_learning_rates"])
def test_quick_suites_run_resume_and_draw(
    suite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DADAPT_DATA", str(tmp_path / "nothing"))
    monkeypatch.setenv("DADAPT_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "results"
    asked = [suite, "--quick", "--out", str(out), *([] if suite == "paper_toy" else ["--jobs", "1"])]
    assert command.main(asked) == 0
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["state"] == "finished"
    figures = sorted((out / "figures").glob("*.png"))
    assert figures
    for path in figures:
        import matplotlib.image

        assert matplotlib.image.imread(path).std() > 0.02
        assert path.with_suffix(".pdf").stat().st_size > 2000
    text = (out / "report.html").read_text()
    assert "quick" in text
    before = outputs(out)
    assert before
    # a cell that is lost is made again, the same
    cells = sorted((out / "cells").iterdir())
    if cells:
        cells[0].unlink()
    assert command.main(asked) == 0
    assert outputs(out) == before
    assert command.main(["certify", str(out)]) == 2
    assert "nothing to certify" in capsys.readouterr().err


def test_a_run_that_fails_is_named_and_the_other_problems_have_their_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = training.train

    def broken(group: Group, plan: Training, seed: int) -> Curves:
        if group.problem.name == "multinomial:wine" and group.config.name == "dadapt_adam":
            raise ZeroDivisionError("a reason")
        return whole(group, plan, seed)

    out = tmp_path / "results"
    asked = ["paper_convex", "--quick", "--problems", "multinomial:iris", "multinomial:wine", "--epochs", "2"]
    asked += ["--seeds", "2", "--jobs", "1", "--out", str(out)]
    with monkeypatch.context() as patch:
        patch.setattr(training, "train", broken)
        assert command.main(asked) == 1
    what = "dadapt_adam on multinomial:wine, seeds 0 to 1: ZeroDivisionError: a reason"
    assert f"failed: {what}" in capsys.readouterr().out
    assert what in (out / "report.html").read_text()
    assert set(pd.read_csv(out / "accuracy.csv").problem) == {"multinomial:iris"}
    assert command.main(asked) == 0
    assert set(pd.read_csv(out / "accuracy.csv").problem) == {"multinomial:iris", "multinomial:wine"}
    assert "Failed" not in (out / "report.html").read_text()


def test_accuracy_table_has_what_the_contract_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DADAPT_DATA", str(tmp_path / "nothing"))
    monkeypatch.setenv("DADAPT_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "results"
    assert command.main(["paper_convex", "--quick", "--out", str(out), "--jobs", "1", "--seeds", "2"]) == 0
    table = pd.read_csv(out / "accuracy.csv")
    assert {"problem", "method", "accuracy", "standard_error", "published", "seeds", "rate"} <= set(table.columns)
    assert set(table.seeds) == {2}
    assert table.accuracy.between(30, 100).all()
    text = (out / "report.html").read_text()
    assert "embedded" in text


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["paper_convex", "--seeds", "0"], "seeds"),
        (["paper_convex", "--problems", "multinomial:nosuch"], "nosuch"),
        (["paper_toy", "--jobs", "0"], "jobs"),
        (["paper_convex", "--problems", "hinge:iris"], "no multinomial logistic regression"),
        (["paper_sensitivity", "--data-dir", "."], "none of the paper's files, dna.scale, glass.scale, iris.scale"),
    ],
)
def test_bad_input_is_refused_before_work(
    argv: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results"
    try:
        code = command.main([*argv, "--out", str(out)])
    except SystemExit as error:
        code = int(error.code or 0)
    assert code == 2
    assert words in capsys.readouterr().err
    assert not out.exists()


def test_the_start_is_part_of_what_a_run_is() -> None:
    key, config = ProblemKey("multinomial:iris", ""), parse_method("dadapt_adam")
    plan = Training(epochs=2, seeds=1)
    groups = [Group(key, config, start) for start in (LAYER, ZERO)]
    identities = {task.identity for group in groups for task in training.tasks(group, plan, m=150, p=15)}
    assert len(identities) == 2


def test_results_belong_to_the_code_that_trains_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fingerprints() -> tuple[str, str]:
        provenance.code_fingerprint.cache_clear()
        return provenance.code_fingerprint(), training.same_code()["code"]

    methods, trained = fingerprints()
    for package in ("dadapt_convex", "problems"):
        (tmp_path / package).symlink_to(provenance.ROOT / package)
    (tmp_path / training.CODE).parent.mkdir(parents=True)
    (tmp_path / training.CODE).write_text("another starting point", "utf-8")
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    others = fingerprints()
    provenance.code_fingerprint.cache_clear()
    assert others[0] == methods
    assert others[1] != trained


def test_the_published_numbers() -> None:
    """Final accuracy of Adam and D-Adapt Adam in %, from the paper's figure."""
    published = {paper.title: (paper.published("adam"), paper.published("dadapt_adam")) for paper in sets.PAPER_SETS}
    assert published == {
        "Sensorless": (89.5, 90.0), "aloi": (94.1, 97.1), "dna": (100.0, 100.0), "glass": (72.0, 72.3),
        "iris": (98.3, 98.6), "letter": (77.8, 77.7), "pendigits": (96.2, 95.8), "smallNORB": (92.9, 95.8),
        "usps": (98.6, 98.6), "vehicle": (82.1, 81.9), "vowel": (77.4, 77.4), "wine": (100.0, 100.0),
    }  # fmt: skip
    assert set(sets.COMPARED) == {sets.COMPLETE, sets.REBUILT}


def test_differences_are_adaptive_minus_tuned_seed_by_seed() -> None:
    def curves(accuracy: list[float], f: list[float]) -> Curves:
        columns = (np.array(f)[:, None], np.array(accuracy)[:, None] / 100, np.full((len(f), 1), np.nan))
        return Curves(*columns, messages=("",) * len(f))

    found = tables.paired(curves([90.0, 92.0, 94.0], [1.0, 1.0, 1.0]), curves([91.0, 92.0, 96.0], [0.5, 0.75, 0.25]))
    assert found["accuracy"] == pytest.approx(-1.0)
    assert found["accuracy_standard_error"] == pytest.approx(1 / math.sqrt(3))
    assert found["loss"] == pytest.approx(0.5)
    assert found["loss_standard_error"] == pytest.approx(0.25 / math.sqrt(3))


def test_a_difference_counts_beyond_students_quantile() -> None:
    for seeds, quantile in ((2, 12.7062), (3, 4.30265), (10, 2.26216), (100, 1.98422)):
        assert tables.beyond(seeds) == pytest.approx(quantile, rel=1e-5)
        assert tables.standing(1.001 * quantile, 1.0, seeds) == tables.ABOVE
        assert tables.standing(-1.001 * quantile, 1.0, seeds) == tables.BELOW
        assert tables.standing(0.999 * quantile, 1.0, seeds) == tables.ALIKE
    assert tables.standing(5.0, math.nan, 1) == tables.ALIKE
    rows = [{"title": t, "x": x, "e": 1.0, "seeds": 10} for t, x in (("up", 3.0), ("down", -3.0), ("same", 1.0))]
    assert tables.by_standing(rows, "x", "e") == {
        tables.ABOVE: ["up"], tables.BELOW: ["down"], tables.ALIKE: ["same"],
    }  # fmt: skip


def test_searches_are_the_paper_s_baselines() -> None:
    key = ProblemKey("multinomial:iris", "")
    assert search.tuned_group(ADAM, key, -4).label == "adam[lr=0.1]"
    assert search.tuned_group(SGD, key, 0).label == "sgd[lr=1,momentum=0.9]"
    assert dict(search.tuned_group(SGD, key, 0).config.hyper) == {"lr": 1.0, "momentum": 0.9}


def test_starts_fill_the_range_of_a_linear_layer_and_are_not_the_mini_batches_numbers() -> None:
    problem = problems.get("multinomial:iris")
    starts = np.array([training.starting_point(problem, seed) for seed in range(200)])
    assert 0.499 < np.abs(starts).max() <= 0.5  # 1/sqrt(4)
    for seed in range(20):
        bound = 0.5
        shares = (training.starting_point(problem, seed) + bound) / (2 * bound)
        for other in range(20):
            assert not np.isclose(shares[:3], np.random.default_rng(other).random(3)).any()


def test_problems_go_by_the_titles_that_the_suites_print() -> None:
    here = [sets.Choice("multinomial:glass.scale", sets.COMPLETE, sets.PAPER_SETS[3]), *sets.without_files()]
    names = ["glass", "wine", "multinomial:iris", "usps"]
    assert sets.by_title(names, here) == ["multinomial:glass.scale", "multinomial:wine", "multinomial:iris", "usps"]


def test_differences_within_the_rounding_of_published_numbers_are_none() -> None:
    assert pages.beyond_rounding(-0.0499) == 0.0
    assert pages.beyond_rounding(0.25) == pytest.approx(0.2)
    assert pages.beyond_rounding(-0.25) == pytest.approx(-0.2)


def test_seeds_that_agree_have_no_error() -> None:
    share = 100 * (148 / 150)
    assert tables.standard_error([share, np.nextafter(share, 0), share]) == 0.0
    assert tables.in_errors(0.37, tables.standard_error([share] * 10)) is None
    assert tables.standard_error([98.0, 99.0]) == pytest.approx(0.5)


@pytest.mark.parametrize("suite", ["paper_convex", "paper_sensitivity", "paper_learning_rates"])
@pytest.mark.parametrize("given", [["--epochs", "1000000"], ["--seeds", "10000", "--epochs", "1000"]])
def test_many_seeds_of_many_epochs_are_refused_before_any_work(
    suite: str, given: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sets, "present", None)  # the data are not even looked for
    assert command.main([suite, *given, "--out", str(tmp_path / "o")]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert "--seeds times --epochs must be at most 1,000,000, got 10" in said
    assert not (tmp_path / "o").exists()
