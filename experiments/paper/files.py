"""The files that the suites of the paper write; figures and report are made from these alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments import store
from experiments.paper.training import MEASURED, Curves, Group

if TYPE_CHECKING:
    import pandas as pd

CURVES = "curves.parquet"
ACCURACY, TUNING, PRACTICE, VERSIONS, SENSITIVITY, RATES, TOY = (
    "accuracy.csv", "tuning.csv", "practice.csv", "versions.csv", "sensitivity.csv", "learning_rates.csv", "toy.csv",
)  # fmt: skip
COLUMNS = {
    store.PROBLEMS: (
        "suite", "problem", "title", "data", "m", "p", "classes", "storage", "source", "sha256", "data_hash", "notes",
    ),
    ACCURACY: (
        "problem", "method", "accuracy", "standard_error", "published", "seeds", "rate", "loss", "loss_standard_error",
        "label", "data",
    ),
    TUNING: (
        "problem", "method", "rate", "accuracy", "standard_error", "loss", "loss_standard_error", "seeds", "origin",
        "chosen", "where", "note",
    ),
    PRACTICE: (
        "problem", "adaptive", "tuned", "rate", "accuracy", "accuracy_standard_error", "loss", "loss_standard_error",
        "seeds", "tuning_rates", "tuning_runs",
    ),
    VERSIONS: (
        "problem", "version", "published", "accuracy", "standard_error", "loss", "loss_standard_error", "seeds",
        "label",
    ),
    SENSITIVITY: ("problem", "method", "d0", "accuracy", "standard_error", "loss", "loss_standard_error", "seeds"),
    RATES: ("problem", "tuned_rate", "where", "d", "d_lowest", "d_highest", "ratio", "seeds"),
    TOY: ("option", "step", "d0", "steps", "d", "limit", "d_over_limit", "reached_limit_at", "f_avg"),
}  # fmt: skip
TEXTS = {"suite", "problem", "title", "data", "storage", "source", "sha256", "data_hash", "notes", "method", "label",
         "origin", "chosen", "where", "note", "adaptive", "tuned", "option", "step", "version"}  # fmt: skip


def write_table(out: Path, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write one of the tables of COLUMNS; further entries of a row are left out."""
    store.write_csv(out / name, rows, COLUMNS[name])


def read_table(out: Path, name: str) -> pd.DataFrame:
    """Read it back, every digit of it; texts that are empty come back empty."""
    table = store.read_csv(out / name, [column for column in COLUMNS[name] if column not in TEXTS])
    for column in TEXTS & set(table):
        table[column] = table[column].astype(object).where(table[column].notna(), "").astype(str)
    return table


def write_curves(out: Path, groups: Mapping[Group, Curves]) -> None:
    """curves.parquet: a row per group, seed and epoch."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pieces = []
    for group, curves in groups.items():
        seeds, epochs = curves.f.shape
        count = seeds * epochs
        pieces.append(
            pa.table(
                {
                    **{name: pa.array([text] * count).dictionary_encode() for name, text in (
                        ("problem", group.problem.name), ("method", group.config.name), ("label", group.label),
                    )},
                    "seed": np.repeat(np.arange(seeds), epochs),
                    "epoch": np.tile(np.arange(1, epochs + 1), seeds),
                    **{name: getattr(curves, name).ravel() for name in MEASURED},
                }
            )
        )  # fmt: skip
    table = pa.concat_tables(pieces).unify_dictionaries()
    with store.replacing(out / CURVES) as temporary:
        pq.write_table(table, temporary, compression="zstd")


@dataclass(frozen=True)
class Stored:
    """The results of a suite that trains: the source of all figures and pages.

    curves : the runs, by (problem, label).
    problems : a row per problem, in the order of the suite.
    """

    out: Path
    curves: dict[tuple[str, str], Curves]
    problems: pd.DataFrame
    manifest: dict[str, Any]

    @classmethod
    def read(cls, out: Path) -> Stored:
        """Read a results directory; BadInput where it holds no finished results, or damaged ones."""
        manifest = store.checked_manifest(out, (CURVES, store.PROBLEMS))
        return cls(out, read_curves(out), read_table(out, store.PROBLEMS), manifest)

    def table(self, name: str) -> pd.DataFrame:
        """One of the tables."""
        return read_table(self.out, name)

    @property
    def titles(self) -> dict[str, str]:
        """The titles of methods, by name."""
        return {name: method["title"] for name, method in self.manifest["methods"].items()}

    @property
    def pair(self) -> tuple[str, str]:
        """The first of the pairs that are laid side by side: the tuned method and the adaptive one."""
        tuned, adaptive = self.manifest["pairs"][0]
        return tuned, adaptive

    @property
    def quick(self) -> bool:
        """True for results of --quick."""
        return bool(self.manifest.get("quick"))

    @property
    def configuration(self) -> dict[str, Any]:
        """The manifest's configuration."""
        return dict(self.manifest["configuration"])


def read_curves(out: Path) -> dict[tuple[str, str], Curves]:
    """The runs of curves.parquet by (problem, label), in the order written."""
    import pandas as pd

    table = pd.read_parquet(out / CURVES)
    found = {}
    for (problem, label), rows in table.groupby(["problem", "label"], sort=False, observed=True):
        seeds = rows["seed"].nunique()
        columns: dict[str, Any] = {name: rows[name].to_numpy().reshape(seeds, -1) for name in MEASURED}
        found[str(problem), str(label)] = Curves(**columns, messages=("",) * seeds)
    return found
