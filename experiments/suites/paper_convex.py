"""The paper's twelve problems: Adam with its rate by grid search against D-Adapt Adam."""

from pathlib import Path

from experiments.suite import Options, Suite


def execute(options: Options) -> int:
    """Run it; heavy imports wait until here."""
    from experiments.paper.convex import execute

    return execute(options)


def redraw(out: Path) -> None:
    """Figure and report from the stored files."""
    from experiments.paper.convex import redraw

    redraw(out)


SUITE = Suite(
    name="paper_convex",
    summary="the paper's twelve problems: Adam with its rate by grid search against D-Adapt Adam",
    execute=execute,
    redraw=redraw,
    accepts=("--quick", "--problems", "--epochs", "--seeds", "--data-dir", "--jobs", "--out", "--fresh"),
    seeds=10,
    quick_seeds=3,
)
