"""D-Adaptation on |x| from x0 = 1: the iterates, and d_k, with both options and several d_0."""

from pathlib import Path

from experiments.suite import Options, Suite


def execute(options: Options) -> int:
    """Run it; heavy imports wait until here."""
    from experiments.paper.toy import execute

    return execute(options)


def redraw(out: Path) -> None:
    """Figure and report from the stored files."""
    from experiments.paper.toy import redraw

    redraw(out)


SUITE = Suite(
    name="paper_toy",
    summary="D-Adaptation on |x|: iterates and d_k, both options, several d_0",
    execute=execute,
    redraw=redraw,
    accepts=("--quick", "--out", "--fresh"),
)
