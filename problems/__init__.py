"""Lipschitz convex problems with certified optima.

problems.get("logistic:breast_cancer") takes a name (problems.names() lists them); problems.logistic(A, b) and
its like take your own data; problems.from_callable(f_and_g, x0=x0) any Python function.
"""

from __future__ import annotations

from typing import Any

from problems.functions import from_callable
from problems.hard_instances import absolute_value, drori_teboulle, max_abs, norm2
from problems.linear_models.hinge import LOSS as _HINGE
from problems.linear_models.least_absolute_deviation import LOSS as _LAD
from problems.linear_models.logistic import LOSS as _LOGISTIC
from problems.linear_models.loss import linear_problem
from problems.linear_models.multinomial import LOSS as _MULTINOMIAL
from problems.linear_models.quantile import LOSS as _QUANTILE
from problems.names import get, names
from problems.problem import LinearModel, Optimum, Problem

__all__ = [
    "LinearModel",
    "Optimum",
    "Problem",
    "absolute_value",
    "drori_teboulle",
    "from_callable",
    "get",
    "hinge",
    "least_absolute_deviation",
    "load_libsvm",
    "logistic",
    "max_abs",
    "multinomial_logistic",
    "names",
    "norm2",
    "quantile",
]


def logistic(A: Any, b: Any, *, intercept: bool = True, l2: float = 0.0, x0: Any = None) -> Problem:
    """(1/m) sum log(1 + exp(-b_i <a_i, x>)) + l2/2 ||x||^2; see linear_problem for the arguments."""
    return linear_problem(_LOGISTIC, A, b, intercept=intercept, l2=l2, x0=x0)


def hinge(A: Any, b: Any, *, intercept: bool = True, l2: float = 0.0, x0: Any = None) -> Problem:
    """(1/m) sum max(0, 1 - b_i <a_i, x>) + l2/2 ||x||^2; see linear_problem for the arguments."""
    return linear_problem(_HINGE, A, b, intercept=intercept, l2=l2, x0=x0)


def least_absolute_deviation(A: Any, b: Any, *, intercept: bool = True, l2: float = 0.0, x0: Any = None) -> Problem:
    """(1/m) sum |<a_i, x> - b_i| + l2/2 ||x||^2; see linear_problem for the arguments."""
    return linear_problem(_LAD, A, b, intercept=intercept, l2=l2, x0=x0)


def quantile(A: Any, b: Any, *, tau: float = 0.5, intercept: bool = True, l2: float = 0.0, x0: Any = None) -> Problem:
    """(1/m) sum of max(tau r, (tau - 1) r) with r = b_i - <a_i, x>, plus l2/2 ||x||^2; see linear_problem."""
    return linear_problem(_QUANTILE, A, b, intercept=intercept, l2=l2, tau=tau, x0=x0)


def multinomial_logistic(A: Any, labels: Any, *, intercept: bool = True, l2: float = 0.0, x0: Any = None) -> Problem:
    """(1/m) sum of log sum_c exp(<a_i, w_c>) - <a_i, w_(y_i)>, plus l2/2 ||W||^2; W has a column for each class.

    labels: (m,) any finite numbers, at least two distinct ones; in ascending order they become the classes
    0, ..., C - 1, and facts["labels"] says which is which. The unknowns are x = W.ravel(), W of shape (p, C), or
    (p + 1, C) with the intercept; x0 may have either shape. See linear_problem for the other arguments.
    """
    return linear_problem(_MULTINOMIAL, A, labels, intercept=intercept, l2=l2, x0=x0)


def load_libsvm(path_or_name: Any, *, data_dir: Any = None) -> tuple[Any, Any]:
    """(A, b) of a LIBSVM file, by path or by name; labels of two-class data are mapped to -1/+1."""
    from problems.data import load_libsvm as load

    return load(path_or_name, data_dir=data_dir)
