"""`paper_learning_rates`: the rate that D-Adapt Adam chose over the run against Adam's rate by grid search."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments import store
from experiments.cells import ProblemKey
from experiments.paper import convex, figures, files, pages, work
from experiments.paper.search import Finished, Search
from experiments.paper.session import Session
from experiments.paper.training import Curves, Group
from experiments.suite import Options

NAME = "paper_learning_rates"


def execute(options: Options) -> int:
    """Run the suite; the exit code."""
    made = work.plan(NAME, options, convex.EPOCHS, convex.QUICK_EPOCHS, convex.QUICK_PROBLEMS)
    search = convex.QUICK_SEARCHES[0] if options.quick else convex.ADAM
    configuration = {**made.configuration(NAME), "grids": convex.grids([search])}
    session = Session(options, configuration, work.facts(options, made))

    def wanted(finished: Finished) -> list[Group]:
        return [search.adaptive_group(key) for key in made.keys] + search.wanted(made.keys, finished)

    def body() -> None:
        work.announce(session, made)
        growth = 1.0 if options.quick else convex.EXPECTED_GROWTH
        finished = work.compute(session, made, wanted, expected=growth)
        rows = {key.name: row(search, key, finished) for key in made.keys if search.adaptive_group(key) in finished}
        files.write_curves(session.out, {g: curves for g, curves in finished.items() if g.problem.name in rows})
        files.write_table(session.out, store.PROBLEMS, [fact for fact in made.facts if fact["problem"] in rows])
        files.write_table(session.out, files.RATES, list(rows.values()))
        session.close(redraw)
        show(session)

    return session.run(body)


def row(search: Search, key: ProblemKey, finished: Mapping[Group, Curves]) -> dict[str, Any]:
    """The tuned rate of a problem, and the last d over the seeds."""
    chosen = next(tried for tried in search.rows(key, finished) if tried["chosen"])
    d = finished[search.adaptive_group(key)].d[:, -1]
    return {
        "problem": key.name, "tuned_rate": chosen["rate"], "where": chosen["where"], "d": d.mean(),
        "d_lowest": d.min(), "d_highest": d.max(), "ratio": d.mean() / chosen["rate"], "seeds": len(d),
    }  # fmt: skip


def redraw(out: Path) -> None:
    """The figure and the report, from the stored files alone."""
    stored = files.Stored.read(out)
    figures.draw(stored, NAME)
    pages.write_learning_rates(out)


def show(session: Session) -> None:
    """The table on the terminal."""
    from experiments.terminal import table

    stored = files.Stored.read(session.out)
    rates = stored.table(files.RATES).set_index("problem")
    shown = table("The last d of D-Adapt Adam over the seeds, and Adam's rate by grid search")
    for name in ("problem", "mean d", "lowest", "highest", "tuned rate", "mean d / tuned rate"):
        shown.add_column(name, justify="left" if name == "problem" else "right", no_wrap=True)
    for _, problem in stored.problems.iterrows():
        numbers = rates.loc[problem["problem"], ["d", "d_lowest", "d_highest", "tuned_rate", "ratio"]]
        shown.add_row(problem["title"], *(f"{number:.3g}" for number in numbers))
    session.console.print(shown)
