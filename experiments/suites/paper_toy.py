"""D-Adaptation on |x| from x0 = 1: the iterates, and d_k, with both options and several d_0."""

from experiments.suite import Suite

SUITE = Suite(
    name="paper_toy",
    summary="D-Adaptation on |x|: iterates and d_k, both options, several d_0",
    work="experiments.paper.toy:Toy",
    methods=(
        "dadapt_dual_averaging[option=II,step=modified,d0=0.1]",  # the trace of the paper's first figure
        *(f"dadapt_dual_averaging[option={option},d0={d0}]" for option in ("I", "II")
          for d0 in ("0.1", "0.01", "0.0001", "1e-08")),
    ),
    steps=100_000,
    quick_steps=2_000,
    options=("--quick", "--out", "--fresh"),
)  # fmt: skip
