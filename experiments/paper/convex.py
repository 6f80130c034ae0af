"""`paper_convex`: Adam with its rate by grid search against D-Adapt Adam on the paper's twelve problems.

SGD with momentum, tuned in the same way, and D-Adapt SGD run besides: the report's page on practice needs them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments import store
from experiments.cells import ProblemKey
from experiments.paper import figures, files, pages, tables, work
from experiments.paper.files import ACCURACY, PRACTICE, TUNING, VERSIONS
from experiments.paper.search import Finished, Search, config
from experiments.paper.session import Session
from experiments.paper.training import LAYER, ZERO, Curves, Group
from experiments.paper.tuning import Grid
from experiments.paper.work import Plan
from experiments.suite import Options

NAME = "paper_convex"
EPOCHS, QUICK_EPOCHS = 100, 15
QUICK_PROBLEMS = ("glass", "iris", "vowel", "wine")
# Adam from 0.001 to 1, SGD from 0.01 to 10, by factors of 10^(1/2).
ADAM = Search("adam", "dadapt_adam", Grid(first=-12, last=0))
SGD = Search("sgd", "dadapt_sgd", Grid(first=-8, last=4), hyper="momentum=0.9")
SEARCHES = (ADAM, SGD)
QUICK_SEARCHES = (
    Search("adam", "dadapt_adam", Grid(first=-8, last=0, extensions=1, refine=False)),
    Search("sgd", "dadapt_sgd", Grid(first=-6, last=2, extensions=1, refine=False), hyper="momentum=0.9"),
)
# What of the set-up the published numbers may depend on: a method's label, and where it starts.
VERSIONS_RUN = {
    "paper": ("dadapt_adam", LAYER),
    "paper, from x0 = 0": ("dadapt_adam", ZERO),
    "as the authors' package computes it": ("dadapt_adam[convention=released]", LAYER),
}
# Of the declared rates, by which the search usually grows: two quarters beside the best, and now and then an end.
EXPECTED_GROWTH = 1.35


def execute(options: Options) -> int:
    """Run the suite; the exit code."""
    made = work.plan(NAME, options, EPOCHS, QUICK_EPOCHS, QUICK_PROBLEMS)
    searches = QUICK_SEARCHES if options.quick else SEARCHES
    session = Session(options, {**made.configuration(NAME), "grids": grids(searches)}, work.facts(options, made))

    def wanted(finished: Finished) -> list[Group]:
        adaptive = [search.adaptive_group(key) for search in searches for key in made.keys]
        other = [group for key in made.keys for group in versions(key).values()]
        return adaptive + other + [group for search in searches for group in search.wanted(made.keys, finished)]

    def body() -> None:
        work.announce(session, made)
        finished = work.compute(session, made, wanted, expected=1.0 if options.quick else EXPECTED_GROWTH)
        write_tables(session, made, searches, finished)
        session.close(redraw)
        show(session, made)

    return session.run(body)


def grids(searches: Sequence[Search]) -> dict[str, str]:
    """The declared grids, for the configuration."""
    return {search.method: str(search.grid) for search in searches}


def versions(key: ProblemKey) -> dict[str, Group]:
    """The versions of D-Adapt Adam that run on a problem, by what the report calls them."""
    return {name: Group(key, config(label), start) for name, (label, start) in VERSIONS_RUN.items()}


def write_tables(session: Session, made: Plan, searches: Sequence[Search], finished: Mapping[Group, Curves]) -> None:
    """Everything that figures and report are made from; what failed is left out."""
    out, complete = session.out, [key for key in made.keys if _complete(key, searches, finished)]
    kept = {group: curves for group, curves in finished.items() if group.problem in complete}
    files.write_curves(out, kept)
    files.write_table(out, store.PROBLEMS, [f for f in made.facts if f["problem"] in {key.name for key in complete}])
    accuracy, tuning, practice, other = [], [], [], []
    for key, choice in zip(made.keys, made.choices, strict=True):
        if key not in complete:
            continue
        other += [
            {"problem": key.name, "version": name, "label": group.label,
             "published": choice.published(group.config.name), **tables.summary(finished[group])}
            for name, group in versions(key).items() if group in finished
        ]  # fmt: skip
        for search in searches:
            tried = search.rows(key, finished)
            chosen = next(row for row in tried if row["chosen"])
            best, adaptive = search.best(key, finished), search.adaptive_group(key)
            tuning += tried
            for group, used in ((best, chosen["rate"]), (adaptive, None)):
                method = group.config.name
                accuracy.append(
                    {"problem": key.name, "method": method, "rate": used, "label": group.label,
                     "published": choice.published(method), "data": choice.data, **tables.summary(finished[group])}
                )  # fmt: skip
            practice.append(
                {"problem": key.name, "adaptive": search.adaptive, "tuned": search.method, "rate": chosen["rate"],
                 **tables.paired(finished[adaptive], finished[best]),
                 "tuning_rates": len(tried), "tuning_runs": len(tried) * made.training.seeds}
            )  # fmt: skip
    for name, rows in ((ACCURACY, accuracy), (TUNING, tuning), (PRACTICE, practice), (VERSIONS, other)):
        files.write_table(out, name, rows)


def _complete(key: ProblemKey, searches: Sequence[Search], finished: Finished) -> bool:
    """Whether a problem has what its tables need, although something failed."""
    return all(
        finished.get(search.adaptive_group(key)) is not None
        and any(finished.get(search.group(key, q)) is not None for q in search.tried(key, finished))
        for search in searches
    )


def redraw(out: Path) -> None:
    """The figure and the report, from the stored files alone."""
    stored = files.Stored.read(out)
    figures.draw(stored, NAME)
    pages.write_convex(out)


def show(session: Session, made: Plan) -> None:
    """The table on the terminal."""
    from experiments.terminal import table

    stored = files.Stored.read(session.out)
    accuracy = stored.table(ACCURACY)
    compared = pages.compares(stored)
    shown = table("Final accuracy in %, mean and standard error over seeds")
    for name in ("problem", "method", "ours", *(("published", "difference") if compared else ()), "rate"):
        shown.add_column(name, justify="left" if name in ("problem", "method") else "right", no_wrap=True)
    for choice in made.choices:
        for _, row in accuracy[accuracy["problem"] == choice.problem].iterrows():
            ours = f"{row['accuracy']:.2f} +- {pages.fixed(row['standard_error']) or '?'}"
            beside = (pages.fixed(row["published"], 1), pages.signed(row["accuracy"] - row["published"]))
            chosen = f"{row['rate']:g}" if row["rate"] == row["rate"] else ""
            shown.add_row(choice.title, figures.NAMES[row["method"]], ours, *(beside if compared else ()), chosen)
    session.console.print(shown)
