"""Time per iteration against NumPy/SciPy, the released package and the machine; the cost of compiling."""

from experiments.suite import Suite

SUITE = Suite(
    name="performance",
    summary="time per iteration against NumPy, the released package and the machine's limits; compilation; imports",
    work="experiments.performance.report:Performance",
    options=("--quick", "--data-dir", "--out"),
    resumes=False,
)
