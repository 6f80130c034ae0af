"""How fast this is: against a NumPy/SciPy loop, against what the machine allows, and what compiling costs."""

from experiments.suite import Options, Suite


def execute(options: Options) -> int:
    """Measure, and write the table; heavy imports wait until here."""
    from experiments.performance.report import execute

    return execute(options)


SUITE = Suite(
    name="performance",
    summary="time per iteration against a NumPy/SciPy loop and the machine's limits; compilation; imports",
    execute=execute,
    accepts=("--quick", "--data-dir", "--out"),
)
