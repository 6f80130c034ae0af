"""The rate that D-Adapt Adam chose over the run against the hand-tuned one."""

from pathlib import Path

from experiments.suite import Options, Suite


def execute(options: Options) -> int:
    """Run it; heavy imports wait until here."""
    from experiments.paper.learning_rates import execute

    return execute(options)


def redraw(out: Path) -> None:
    """Figure and report from the stored files."""
    from experiments.paper.learning_rates import redraw

    redraw(out)


SUITE = Suite(
    name="paper_learning_rates",
    summary="the rate that D-Adapt Adam chose over the run against the hand-tuned one",
    execute=execute,
    redraw=redraw,
    accepts=("--quick", "--problems", "--epochs", "--seeds", "--data-dir", "--jobs", "--out", "--fresh"),
    seeds=10,
    quick_seeds=3,
)
