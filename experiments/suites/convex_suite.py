"""The methods with a convergence rate on the embedded problems, with a verdict for every bound.

The problems hold a minimiser that is attained (iris, hinge, least absolute deviation) and one that is not (separable
data without l2), smooth and non-smooth losses, dense and sparse data, and the worst cases of the theory.
"""

from experiments.suite import Suite

SUITE = Suite(
    name="convex_suite",
    summary="methods with a convergence rate on the embedded problems, with a verdict for every bound",
    problems=(
        "logistic:iris",
        "logistic:breast_cancer",
        "logistic:wine",
        "logistic:digits",
        "logistic[l2=1e-3]:breast_cancer",
        "logistic[l2=1e-3]:digits_bins",
        "multinomial:iris",
        "multinomial[l2=1e-3]:iris",
        "hinge:iris",
        "hinge:breast_cancer",
        "hinge:digits_bins",
        "lad:diabetes",
        "quantile[tau=0.9]:diabetes",
        "hard:abs",
        "hard:norm2",
        "hard:max_abs",
        "hard[m=N+1]:drori_teboulle",
    ),
    methods=(
        "subgradient",
        "subgradient[schedule=inverse_sqrt]",
        "subgradient_last_iterate",
        "polyak",
        "dual_averaging",
        "adagrad_norm",
        "adagrad_norm_dual_averaging",
        "dadapt_dual_averaging",
        "dadapt_dual_averaging[option=II]",
        "dadapt_dual_averaging[step=modified]",
        "dadapt_dual_averaging[option=II,step=modified]",
    ),
    steps=10_000,
    quick_problems=(
        "logistic:iris",
        "logistic:breast_cancer",
        "hinge:iris",
        "lad:diabetes",
        "hard:abs",
        "hard[m=N+1]:drori_teboulle",
    ),
    quick_steps=1_000,
)
