"""The paper's twelve problems: Adam with its rate by grid search against D-Adapt Adam.

SGD with momentum, tuned in the same way, and D-Adapt SGD run besides: the report's page on practice needs them.
"""

from experiments.paper.suite import Search, TrainingSuite
from experiments.paper.tuning import Grid

# Adam from 0.001 to 1, SGD from 0.01 to 10, by factors of 10^(1/2).
ADAM = Search("adam", "dadapt_adam", Grid(first=-12, last=0))
QUICK_ADAM = Search("adam", "dadapt_adam", Grid(first=-8, last=0, extensions=1, refine=False))
SGD = Search("sgd", "dadapt_sgd", Grid(first=-8, last=4), hyper="momentum=0.9")
QUICK_SGD = Search("sgd", "dadapt_sgd", Grid(first=-6, last=2, extensions=1, refine=False), hyper="momentum=0.9")

SUITE = TrainingSuite(
    name="paper_convex",
    summary="the paper's twelve problems: Adam with its rate by grid search against D-Adapt Adam",
    work="experiments.paper.convex:Comparison",
    searches=(ADAM, SGD),
    quick_searches=(QUICK_ADAM, QUICK_SGD),
    versions=(
        ("paper", "dadapt_adam", "layer"),
        ("paper, from x0 = 0", "dadapt_adam", "zero"),
        ("as the authors' package computes it", "dadapt_adam[convention=released]", "layer"),
    ),
)
