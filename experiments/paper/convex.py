"""`paper_convex`, `paper_learning_rates`: tuned methods against adaptive ones, on the paper's twelve problems."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from experiments import store
from experiments.cells import ProblemKey
from experiments.engine.session import Session
from experiments.paper import figures, files, pages, search, tables
from experiments.paper.files import ACCURACY, CURVES, PRACTICE, RATES, TUNING, VERSIONS
from experiments.paper.search import adaptive_group, config
from experiments.paper.training import Finished, Group
from experiments.paper.work import Complete, TrainingWork


class Comparison(TrainingWork):
    """Every search of the suite beside its adaptive method, and the versions of the first."""

    tables: ClassVar[tuple[str, ...]] = (CURVES, store.PROBLEMS, ACCURACY, TUNING, PRACTICE, VERSIONS)
    figure = "accuracy"
    picture = staticmethod(figures.accuracy)
    write_page = staticmethod(pages.write_convex)

    def configuration(self) -> dict[str, Any]:
        """Everything that must not change within a results directory."""
        return {**super().configuration(), "grids": search.grids(self.suite.searches)}

    def wanted(self, finished: Finished) -> Sequence[Group]:
        """Adaptive methods, versions, and what the searches want next."""
        searches = self.suite.searches
        adaptive = [adaptive_group(each, key) for each in searches for key in self.keys]
        other = [group for key in self.keys for group in self._versions(key).values()]
        next_rates = [group for each in searches for key in self.keys for group in search.wanted(each, key, finished)]
        return adaptive + other + next_rates

    def _versions(self, key: ProblemKey) -> dict[str, Group]:
        """The versions that run on a problem, by what the report calls them."""
        return {name: Group(key, config(label), start) for name, label, start in self.suite.versions}

    def write(self, groups: Complete) -> set[str]:
        """Accuracies, the search, tuned against adaptive, and versions."""
        accuracy, tuning, practice, versions, named = [], [], [], [], set()
        for key, choice in zip(self.keys, self.choices, strict=True):
            if not self._is_complete(key, groups):
                continue
            named.add(key.name)
            versions += [
                {"problem": key.name, "version": name, "label": group.label,
                 "published": choice.published(group.config.name), **tables.summary(groups[group])}
                for name, group in self._versions(key).items() if group in groups
            ]  # fmt: skip
            for each in self.suite.searches:
                tried, chosen = search.rows(each, key, groups), search.chosen(each, key, groups)
                best, adaptive = search.best(each, key, groups), adaptive_group(each, key)
                tuning += tried
                for group, used in ((best, chosen["rate"]), (adaptive, None)):
                    method = group.config.name
                    accuracy.append(
                        {"problem": key.name, "method": method, "rate": used, "label": group.label,
                         "published": choice.published(method), "data": choice.data, **tables.summary(groups[group])}
                    )  # fmt: skip
                practice.append(
                    {"problem": key.name, "adaptive": each.adaptive, "tuned": each.tuned, "rate": chosen["rate"],
                     **tables.paired(groups[adaptive], groups[best]),
                     "tuning_rates": len(tried), "tuning_runs": len(tried) * self.training.seeds}
                )  # fmt: skip
        for name, rows in ((ACCURACY, accuracy), (TUNING, tuning), (PRACTICE, practice), (VERSIONS, versions)):
            files.write_table(self.out, name, rows)
        return named

    def _is_complete(self, key: ProblemKey, groups: Complete) -> bool:
        """True where a problem has the runs that its tables need, although something failed."""
        return all(
            adaptive_group(each, key) in groups and search.tried(each, key, groups) for each in self.suite.searches
        )

    def show(self, session: Session) -> bool:
        """The accuracies."""
        from experiments.terminal import table

        stored = files.Stored.read(self.out)
        accuracy = stored.table(ACCURACY)
        compared = pages.compares(stored)
        shown = table("Final accuracy in %, mean and standard error over seeds")
        for name in ("problem", "method", "ours", *(("published", "difference") if compared else ()), "rate"):
            shown.add_column(name, justify="left" if name in ("problem", "method") else "right", no_wrap=True)
        for choice in self.choices:
            for _, row in accuracy[accuracy["problem"] == choice.problem].iterrows():
                ours = f"{row['accuracy']:.2f} +- {pages.fixed(row['standard_error']) or '?'}"
                beside = (pages.fixed(row["published"], 1), pages.signed(row["accuracy"] - row["published"]))
                chosen = f"{row['rate']:g}" if row["rate"] == row["rate"] else ""
                title = stored.titles[row["method"]]
                shown.add_row(choice.title, title, ours, *(beside if compared else ()), chosen)
        session.console.print(shown)
        return True


class LearningRates(Comparison):
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
