"""`paper_learning_rates`: the rate that an adaptive method chose over the run against the one of a grid search."""

from __future__ import annotations

from typing import Any, ClassVar

from experiments import store
from experiments.cells import ProblemKey
from experiments.engine.session import Session
from experiments.paper import convex, figures, files, pages, search
from experiments.paper.files import CURVES, RATES
from experiments.paper.search import adaptive_group
from experiments.paper.work import Complete


class LearningRates(convex.Comparison):
    """The suite's first search, and the last d of its adaptive method."""

    tables: ClassVar[tuple[str, ...]] = (CURVES, store.PROBLEMS, RATES)
    figure = "learning_rates"
    picture = staticmethod(figures.learning_rates)
    write_page = staticmethod(pages.write_learning_rates)

    def write(self, groups: Complete) -> set[str]:
        """The rates."""
        rows = [self._row(key, groups) for key in self.keys if self._is_complete(key, groups)]
        files.write_table(self.out, RATES, rows)
        return {row["problem"] for row in rows}

    def _row(self, key: ProblemKey, groups: Complete) -> dict[str, Any]:
        """The tuned rate of a problem, and the last d over the seeds."""
        (only,) = self.suite.searches
        chosen = search.chosen(only, key, groups)
        d = groups[adaptive_group(only, key)].d[:, -1]
        return {
            "problem": key.name, "tuned_rate": chosen["rate"], "where": chosen["where"], "d": d.mean(),
            "d_lowest": d.min(), "d_highest": d.max(), "ratio": d.mean() / chosen["rate"], "seeds": len(d),
        }  # fmt: skip

    def show(self, session: Session) -> bool:
        """The rates."""
        from experiments.terminal import table

        stored = files.Stored.read(self.out)
        rates = stored.table(RATES).set_index("problem")
        tuned, adaptive = (stored.titles[method] for method in stored.pair)
        shown = table(f"The last d of {adaptive} over the seeds, and {tuned}'s rate by grid search")
        for name in ("problem", "mean d", "lowest", "highest", "tuned rate", "mean d / tuned rate"):
            shown.add_column(name, justify="left" if name == "problem" else "right", no_wrap=True)
        for _, problem in stored.problems.iterrows():
            numbers = rates.loc[problem["problem"], ["d", "d_lowest", "d_highest", "tuned_rate", "ratio"]]
            shown.add_row(problem["title"], *(f"{number:.3g}" for number in numbers))
        session.console.print(shown)
        return True
