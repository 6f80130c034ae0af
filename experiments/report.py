"""report.html: one file that shows everything stored, needs no network, and reads well on a phone."""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from experiments import analysis, store
from experiments.analysis import HEAT_MAP, KINDS, figure_name

TEMPLATES = Path(__file__).parent / "templates"
CAPTIONS = {
    "suboptimality": "Suboptimality of the weighted average, where the method has one, of the best and of the last "
    "iterate; single points where it oscillates. With stochastic gradients the best iterate is the best checkpoint, "
    "and a mini-batch counts as one subgradient. A line is the upper end of the gap, f - f_lo; it is shaded down to "
    "f - f_hi where the two differ.",
    "dadaptation": "The methods that estimate the distance D from x0 to the minimisers. Left: the output of each, "
    "under its bound where it has one. Right: the estimate d_k.",
}


def templates() -> Any:
    """The templates, with the filters they use."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    environment.filters["number"] = number
    environment.filters["verdict"] = lambda verdict: verdict.replace("_", " ").lower()
    return environment


def write(out: Path) -> None:
    """Write report.html from the stored files and figures."""
    text = templates().get_template("report.html.j2").render(**content(out))
    store.write_text(out / store.REPORT, text)


def content(out: Path) -> dict[str, Any]:
    """The values that the template shows."""
    results = store.Results.read(out)
    manifest, verdicts = results.manifest, results.verdicts
    rates = analysis.rates(manifest)
    by_problem = analysis.summary_by_problem(verdicts, rates)
    totals = {v: sum(row[v] for row in by_problem.values()) for v in analysis.VERDICTS}
    sections = [_section(out, row, results, by_problem) for _, row in results.problems.iterrows()]
    return {
        "suite": manifest["configuration"]["suite"],
        "steps": manifest["configuration"]["steps"],
        "cells": manifest["cells"],
        "totals": totals,
        "verdicts": analysis.VERDICTS,
        "by_method": analysis.summary_by_method(verdicts, rates),
        "heat_map": image_uri(out, HEAT_MAP),
        "failed": manifest["failed"],
        "not_run": manifest["not_run"],
        "sections": sections,
        "theorems": _theorems(manifest, verdicts),
        "manifest": manifest,
        "manifest_text": json.dumps(manifest, indent=2),
    }


def _section(out: Path, row: Any, results: store.Results, by_problem: dict[str, Any]) -> dict[str, Any]:
    problem = row["problem"]
    verdicts = results.verdicts[results.verdicts["problem"] == problem]
    images = [(kind, CAPTIONS[kind], image_uri(out, figure_name(kind, problem))) for kind in KINDS]
    return {
        "name": problem,
        "id": figure_name("problem", problem),
        "facts": _facts(row),
        "images": [image for image in images if image[2]],
        "summary": by_problem.get(problem),
        "tables": [_method_table(str(label), rows) for label, rows in verdicts.groupby("label", sort=False)],
    }


def _method_table(label: str, rows: Any) -> dict[str, Any]:
    counts = {v: int((rows["verdict"] == v).sum()) for v in analysis.VERDICTS}
    return {"label": label, "counts": counts, "seeds": rows["seed"].nunique(), "rows": _records(rows)}


def _records(rows: Any) -> list[dict[str, Any]]:
    """Rows as dictionaries, with None for absent entries."""
    filled = rows.astype(object).where(rows.notna(), None)
    return filled.to_dict("records")


def _facts(row: Any) -> list[tuple[str, str]]:
    """The facts of the problem, in words."""
    D_lo, D_hi = float(row["D_lo"]), float(row["D_hi"])
    words = {"True": "yes", "False": "no: f* is an infimum, and D is infinite"}
    attained = words.get(str(row["attained"]), "not decided")
    facts = [
        ("size", f"m = {row['m']}, p = {row['p']}, {_text(row['storage']) or 'none'} storage"),
        ("G", f"{number(row['G'])} ({_text(row['G_note'])})"),
        ("f*", f"in [{float(row['f_lo'])!r}, {float(row['f_hi'])!r}], width {row['f_hi'] - row['f_lo']:.2g}"),
        ("D", "infinite" if math.isinf(D_lo) else f"in [{number(D_lo, 10)}, {number(D_hi, 10)}]"),
        ("minimiser exists", attained),
        ("certificate", _text(row["certificate"])),
        ("source", _text(row["source"])),
        ("labels", _text(row["labels"])),
        ("notes", _text(row["notes"])),
        ("data SHA-256", _text(row["sha256"])),
    ]
    return [(name, text) for name, text in facts if text]


def _text(value: Any) -> str:
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)


def _theorems(manifest: dict[str, Any], verdicts: Any) -> list[tuple[str, str, str]]:
    texts = manifest.get("theorems", {})
    named = dict.fromkeys(verdicts["theorem"])
    return [(name, texts[name]["statement"], texts[name]["source"]) for name in named if name in texts]


def number(value: Any, digits: int = 5) -> str:
    """A number for reading."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    return f"{float(value):.{digits}g}"


def image_uri(out: Path, name: str) -> str:
    """The PNG as a data URI; empty where there is none."""
    path = out / store.FIGURES / f"{name}.png"
    if not path.is_file():
        return ""
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
