"""How fast this is: against NumPy/SciPy and the released package, against the machine, and what compiling costs."""

from pathlib import Path

from experiments.suite import Options, Suite


def execute(options: Options) -> int:
    """Measure, and write the table; heavy imports wait until here."""
    from experiments.performance.report import execute

    return execute(options)


def redraw(out: Path) -> None:
    """Say that there is nothing to draw."""
    from experiments.performance.report import redraw

    redraw(out)


SUITE = Suite(
    name="performance",
    summary="time per iteration against NumPy, the released package and the machine's limits; compilation; imports",
    execute=execute,
    redraw=redraw,
    resumes=False,
    accepts=("--quick", "--data-dir", "--out"),
)
