"""The rate that D-Adapt Adam chose over the run against the hand-tuned one."""

from experiments.paper.suite import TrainingSuite
from experiments.suites.paper_convex import ADAM, QUICK_ADAM

SUITE = TrainingSuite(
    name="paper_learning_rates",
    summary="the rate that D-Adapt Adam chose over the run against the hand-tuned one",
    work="experiments.paper.convex:LearningRates",
    searches=(ADAM,),
    quick_searches=(QUICK_ADAM,),
)
