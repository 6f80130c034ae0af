"""How fast this is: against NumPy/SciPy and the released package, against the machine, and what compiling costs."""

from experiments.suite import Options, Suite


def execute(options: Options) -> int:
    """Measure, and write the table; heavy imports wait until here."""
    from experiments.performance.report import execute

    return execute(options)


SUITE = Suite(
    name="performance",
    summary="time per iteration against NumPy, the released package and the machine's limits; compilation; imports",
    execute=execute,
    accepts=("--quick", "--data-dir", "--out"),
)
