"""`paper_sensitivity`: the final accuracy of a method against d_0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from experiments import store
from experiments.engine.session import Session
from experiments.paper import figures, files, pages, tables
from experiments.paper.files import CURVES, SENSITIVITY
from experiments.paper.search import config
from experiments.paper.training import Finished, Group
from experiments.paper.work import Complete, TrainingWork


class Sensitivity(TrainingWork):
    """The suite's configurations, which differ in d0 alone."""

    tables: ClassVar[tuple[str, ...]] = (CURVES, store.PROBLEMS, SENSITIVITY)
    figure = "sensitivity"
    picture = staticmethod(figures.sensitivity)
    write_page = staticmethod(pages.write_sensitivity)

    def configuration(self) -> dict[str, Any]:
        """Everything that must not change within a results directory."""
        return {**super().configuration(), "methods": list(self.suite.methods)}

    def wanted(self, finished: Finished) -> Sequence[Group]:
        """Every configuration on every problem."""
        return [Group(key, config(label)) for key in self.keys for label in self.suite.methods]

    def write(self, groups: Complete) -> set[str]:
        """The accuracies by d0."""
        rows, named = [], set()
        for key in self.keys:
            mine = [Group(key, config(label)) for label in self.suite.methods]
            if all(group in groups for group in mine):
                named.add(key.name)
                rows += [
                    {"problem": key.name, "method": group.config.name, "d0": float(group.config.value("d0")),
                     **tables.summary(groups[group])}
                    for group in mine
                ]  # fmt: skip
        files.write_table(self.out, SENSITIVITY, rows)
        return named

    def show(self, session: Session) -> bool:
        """The accuracies by d0."""
        from experiments.terminal import table

        stored = files.Stored.read(self.out)
        sensitivity = stored.table(SENSITIVITY)
        by_d0 = sensitivity.pivot(index="problem", columns="d0", values="accuracy")
        title = stored.titles[sensitivity["method"].iloc[0]]
        shown = table(f"Final accuracy of {title} in %, mean over seeds, by d0")
        shown.add_column("problem", no_wrap=True)
        for d0 in by_d0.columns:
            shown.add_column(f"{d0:g}", justify="right", no_wrap=True)
        for _, problem in stored.problems.iterrows():
            shown.add_row(problem["title"], *(pages.fixed(value) for value in by_d0.loc[problem["problem"]]))
        session.console.print(shown)
        return True
