"""The final accuracy of D-Adapt Adam against d_0, on the same problems."""

from pathlib import Path

from experiments.suite import Options, Suite


def execute(options: Options) -> int:
    """Run it; heavy imports wait until here."""
    from experiments.paper.sensitivity import execute

    return execute(options)


def redraw(out: Path) -> None:
    """Figure and report from the stored files."""
    from experiments.paper.sensitivity import redraw

    redraw(out)


SUITE = Suite(
    name="paper_sensitivity",
    summary="the final accuracy of D-Adapt Adam against d_0, on the same problems",
    execute=execute,
    redraw=redraw,
    accepts=("--quick", "--problems", "--epochs", "--seeds", "--data-dir", "--jobs", "--out", "--fresh"),
    seeds=10,
    quick_seeds=3,
)
