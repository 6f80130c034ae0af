"""The final accuracy of D-Adapt Adam against d_0, on the paper's twelve problems."""

from experiments.paper.suite import TrainingSuite

SUITE = TrainingSuite(
    name="paper_sensitivity",
    summary="the final accuracy of D-Adapt Adam against d_0, on the paper's twelve problems",
    work="experiments.paper.sensitivity:Sensitivity",
    methods=(
        *(f"dadapt_adam[d0={d0}]" for d0 in ("1e-16", "1e-14", "1e-12", "1e-10", "1e-08")),
        "dadapt_adam",  # d0 = 1e-6: the label of the other suites, so that runs are shared
        *(f"dadapt_adam[d0={d0}]" for d0 in ("0.0001", "0.01")),
    ),
    quick_methods=("dadapt_adam[d0=1e-16]", "dadapt_adam[d0=1e-10]", "dadapt_adam", "dadapt_adam[d0=0.01]"),
)
