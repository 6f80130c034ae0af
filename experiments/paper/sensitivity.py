"""`paper_sensitivity`: the final accuracy of D-Adapt Adam against d_0."""

from __future__ import annotations

from pathlib import Path

from experiments import store
from experiments.paper import figures, files, pages, tables, work
from experiments.paper.search import Finished, config
from experiments.paper.session import Session
from experiments.paper.training import Group
from experiments.suite import Options

NAME = "paper_sensitivity"
METHOD = "dadapt_adam"
EPOCHS, QUICK_EPOCHS = 100, 15
QUICK_PROBLEMS = ("glass", "iris", "vowel", "wine")
D0S = (1e-16, 1e-14, 1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2)
QUICK_D0S = (1e-16, 1e-10, 1e-6, 1e-2)
DEFAULT_D0 = 1e-6


def label(d0: float) -> str:
    """The method's label; at the default value the one that the other suites use, so that runs are shared."""
    return METHOD if d0 == DEFAULT_D0 else f"{METHOD}[d0={d0:g}]"


def execute(options: Options) -> int:
    """Run the suite; the exit code."""
    made = work.plan(NAME, options, EPOCHS, QUICK_EPOCHS, QUICK_PROBLEMS)
    d0s = QUICK_D0S if options.quick else D0S
    labels = [label(d0) for d0 in d0s]
    session = Session(options, {**made.configuration(NAME), "methods": labels}, work.facts(options, made))

    def wanted(finished: Finished) -> list[Group]:
        return [Group(key, config(text)) for key in made.keys for text in labels]

    def body() -> None:
        work.announce(session, made)
        finished = work.compute(session, made, wanted)
        groups = {key.name: {d0: Group(key, config(label(d0))) for d0 in d0s} for key in made.keys}
        complete = {name for name, mine in groups.items() if all(group in finished for group in mine.values())}
        files.write_curves(session.out, {g: curves for g, curves in finished.items() if g.problem.name in complete})
        files.write_table(session.out, store.PROBLEMS, [row for row in made.facts if row["problem"] in complete])
        rows = [
            {"problem": name, "method": METHOD, "d0": d0, **tables.summary(finished[group])}
            for name, mine in groups.items() if name in complete for d0, group in mine.items()
        ]  # fmt: skip
        files.write_table(session.out, files.SENSITIVITY, rows)
        session.close(redraw)
        show(session)

    return session.run(body)


def redraw(out: Path) -> None:
    """The figure and the report, from the stored files alone."""
    stored = files.Stored.read(out)
    figures.draw(stored, NAME)
    pages.write_sensitivity(out)


def show(session: Session) -> None:
    """The table on the terminal."""
    from experiments.terminal import table

    stored = files.Stored.read(session.out)
    by_d0 = stored.table(files.SENSITIVITY).pivot(index="problem", columns="d0", values="accuracy")
    shown = table("Final accuracy of D-Adapt Adam in %, mean over seeds, by d0")
    shown.add_column("problem", no_wrap=True)
    for d0 in by_d0.columns:
        shown.add_column(f"{d0:g}", justify="right", no_wrap=True)
    for _, problem in stored.problems.iterrows():
        shown.add_row(problem["title"], *(pages.fixed(value) for value in by_d0.loc[problem["problem"]]))
    session.console.print(shown)
