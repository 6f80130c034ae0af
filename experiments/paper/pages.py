"""report.html of the suites of the paper: made from the stored files alone, one file, no network."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments import store
from experiments.paper import files, tables
from experiments.paper.files import ACCURACY, PRACTICE, RATES, SENSITIVITY, TOY, TUNING, VERSIONS, Stored
from experiments.paper.sets import COMPARED
from experiments.report import image_uri, templates

ROUNDED = 0.1  # published accuracies, in points
# The paper's set-up; with another number of epochs nothing is compared.
PAPER_EPOCHS = 100


def write(suite: str, out: Path, figure: str, content: Mapping[str, Any], manifest: Mapping[str, Any]) -> None:
    """Fill a suite's template; figure: its name."""
    environment = templates()
    environment.filters["signed"] = signed
    environment.filters["fixed"] = fixed
    shared = {
        "suite": suite,
        "figure": image_uri(out, figure),
        "manifest": manifest,
        "manifest_text": json.dumps(manifest, indent=2),
        "quick": bool(manifest.get("quick")),
    }
    text = environment.get_template(f"{suite}.html.j2").render({**shared, **content})
    store.write_text(out / store.REPORT, text)


def signed(value: Any, digits: int = 2) -> str:
    """A difference, with its sign; empty where there is none."""
    if value is None or math.isnan(value):
        return ""
    return f"{round(float(value), digits) + 0.0:+.{digits}f}"


def fixed(value: Any, digits: int = 2) -> str:
    """A number with so many digits behind the point; empty where there is none."""
    return "" if value is None or math.isnan(value) else f"{float(value):.{digits}f}"


def trained(stored: Stored) -> dict[str, Any]:
    """The shared part of the pages of suites that train: problems, absent ones, and how runs are made."""
    problems = [dict(row) for _, row in stored.problems.iterrows()]
    return {
        "problems": problems,
        "parts": [row["title"] for row in problems if row["data"] == "part"],
        "rebuilt": [row["title"] for row in problems if row["data"] == "rebuilt"],
        "embedded": [row["title"] for row in problems if row["data"] == "embedded"],
        "absent": stored.manifest.get("absent", []),
        "configuration": stored.configuration,
        "names": stored.titles,
    }


def write_convex(out: Path) -> None:
    """The published table beside ours, the rates of the search, and what tuning is worth."""
    stored = Stored.read(out)
    accuracy, tuning, practice = (stored.table(name) for name in (ACCURACY, TUNING, PRACTICE))
    titles = dict(zip(stored.problems["problem"], stored.problems["title"], strict=True))
    pairs = []
    for (adaptive, tuned), rows in practice.groupby(["adaptive", "tuned"], sort=False):
        records = [{**row, "title": titles[row["problem"]]} for _, row in rows.iterrows()]
        pairs.append(
            {
                "adaptive": stored.titles[str(adaptive)],
                "tuned": stored.titles[str(tuned)],
                "rows": records,
                "accuracy": tables.by_standing(records, "accuracy", "accuracy_standard_error"),
                "loss": tables.by_standing(records, "loss", "loss_standard_error"),
                "runs": int(rows["tuning_runs"].sum()),
                "rates": int(rows["tuning_rates"].sum()),
            }
        )
    content = {
        **trained(stored),
        "tuned": stored.titles[stored.pair[0]],
        "adaptive": stored.titles[stored.pair[1]],
        "compared": compares(stored),
        "comparison": comparison(stored, accuracy),
        "methods": [stored.titles[method] for method in stored.pair],
        "pairs": pairs,
        "beyond": tables.beyond(stored.configuration["seeds"]),
        "level": tables.LEVEL,
        "statements": 2 * len(practice),
        "search": [_search(stored.titles[str(m)], rows, titles) for m, rows in tuning.groupby("method", sort=False)],
        "grids": stored.configuration["grids"],
        "versions": _versions(stored, titles),
    }
    write("paper_convex", out, "accuracy", content, stored.manifest)


def _versions(stored: Stored, titles: Mapping[str, str]) -> list[dict[str, Any]]:
    table = stored.table(VERSIONS)
    return [
        {"title": titles[str(problem)], "published": float(rows["published"].iloc[0]), "rows": rows.to_dict("records")}
        for problem, rows in table.groupby("problem", sort=False)
    ]


def compares(stored: Stored) -> bool:
    """True where a problem has a published number to compare with."""
    return not stored.quick and stored.configuration["epochs"] == PAPER_EPOCHS


def comparison(stored: Stored, accuracy: Any) -> list[dict[str, Any]]:
    """Per problem: for the tuned and the adaptive method the published accuracy, ours, and the difference."""
    found = []
    for _, problem in stored.problems.iterrows():
        row: dict[str, Any] = {"title": problem["title"], "compared": problem["data"] in COMPARED, "methods": []}
        for method in stored.pair:
            mine = accuracy[(accuracy["problem"] == problem["problem"]) & (accuracy["method"] == method)].iloc[0]
            published = float(mine["published"])
            difference = mine["accuracy"] - published
            row["methods"].append(
                {
                    "published": published,
                    "accuracy": float(mine["accuracy"]),
                    "error": float(mine["standard_error"]),
                    "difference": difference,
                    "in_errors": tables.in_errors(beyond_rounding(difference), mine["standard_error"]),
                }
            )
        found.append(row)
    return found


def beyond_rounding(difference: float) -> float:
    """The part of a difference that the rounding of a number to 0.1 cannot explain; 0 within it."""
    return math.copysign(max(abs(difference) - ROUNDED / 2, 0.0), difference)


def _search(title: str, rows: Any, titles: Mapping[str, str]) -> dict[str, Any]:
    problems = []
    for problem, tried in rows.groupby("problem", sort=False):
        chosen = tried[tried["chosen"] == "chosen"].iloc[0]
        records = [dict(row) for _, row in tried.iterrows()]
        problems.append({"title": titles[str(problem)], "chosen": dict(chosen), "tried": records})
    return {"method": title, "problems": problems}


def write_sensitivity(out: Path) -> None:
    """Final accuracy by problem and d_0."""
    stored = Stored.read(out)
    table = stored.table(SENSITIVITY)
    d0s = sorted(table["d0"].unique())
    rows = []
    for _, problem in stored.problems.iterrows():
        mine = table[table["problem"] == problem["problem"]].set_index("d0").loc[d0s]
        spread = mine["accuracy"].max() - mine["accuracy"].min()
        rows.append({"title": problem["title"], "cells": [dict(r) for _, r in mine.iterrows()], "spread": spread})
    content = {**trained(stored), "method": stored.titles[table["method"].iloc[0]], "d0s": d0s, "rows": rows}
    write("paper_sensitivity", out, "sensitivity", content, stored.manifest)


def write_learning_rates(out: Path) -> None:
    """The rate at the end, before the factor of the schedule, against the tuned one."""
    stored = Stored.read(out)
    titles = dict(zip(stored.problems["problem"], stored.problems["title"], strict=True))
    rows = [{**row, "title": titles[row["problem"]]} for _, row in stored.table(RATES).iterrows()]
    ratios = [row["ratio"] for row in rows]
    content = {**trained(stored), "rows": rows, "ratio_low": min(ratios), "ratio_high": max(ratios)}
    content["grids"] = stored.configuration["grids"]
    content["tuned"], content["adaptive"] = (stored.titles[method] for method in stored.pair)
    write("paper_learning_rates", out, "learning_rates", content, stored.manifest)


def write_toy(out: Path) -> None:
    """The final d from each d_0, against D/(1 + sqrt 3)."""
    manifest = store.checked_manifest(out, (TOY,))
    rows = [dict(row) for _, row in files.read_table(out, TOY).iterrows()]
    (method,) = manifest["methods"].values()
    content = {"rows": rows, "configuration": manifest["configuration"], "method": method["title"]}
    write("paper_toy", out, "toy", content, manifest)
