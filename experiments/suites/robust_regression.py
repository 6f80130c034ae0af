"""Prodigy beside D-Adaptation on regression losses with bounded slopes: an outlier pulls no harder than another row."""

from experiments.suite import Suite

SUITE = Suite(
    name="robust_regression",
    summary="Prodigy and D-Adaptation on Huber, least absolute deviation and epsilon-insensitive regression",
    problems=("huber:diabetes", "huber[delta=30]:diabetes", "lad:diabetes", "svr[epsilon=10]:diabetes"),
    methods=("prodigy_dual_averaging", "dadapt_dual_averaging[option=II,step=modified]", "dadapt_gradient_descent"),
    steps=10_000,
    quick_problems=("huber:diabetes",),
    quick_steps=500,
)
