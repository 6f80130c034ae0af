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
    """Logistic regression: the mean logistic loss of a linear model with two labels.

        f(x) = (1/m) sum_i log(1 + exp(-b_i <a_i, x>)) + (l2/2) ||x||^2

    Parameters
    ----------
    A : (m, p) array or scipy.sparse matrix
        One row a_i for each observation; finite real numbers. Copied, never modified.
    b : (m,) array
        Labels: any two distinct finite numbers, of which the larger becomes b_i = +1 and the smaller -1.
    intercept : bool
        Append a column of ones to A: x then has p + 1 entries, the intercept last, and l2 counts for it too.
    l2 : float >= 0
        With l2 > 0, f is Lipschitz on balls only: G then holds on the ball that `G_note` names.
    x0 : (p,) array, or (p + 1,) with the intercept, optional
        The starting point; finite. Default 0.

    Returns
    -------
    Problem
        With x0, G >= ||g|| for every subgradient g, value(x), subgradient(x), and optimum(), which is certified.

    Raises
    ------
    ValueError
        Shapes that do not match, entries that are no finite real numbers, labels that are not exactly two, l2 < 0.

    Examples
    --------
    >>> import problems
    >>> p = problems.logistic([[0.0], [1.0], [2.0], [3.0]], [-1, 1, -1, 1])
    >>> p.m, p.p, round(p.value(p.x0), 4)
    (4, 2, 0.6931)
    >>> optimum = p.optimum()
    >>> optimum.attained, round(optimum.f_lo, 4), round(optimum.f_hi, 4)
    (True, 0.5869, 0.5869)
    """
    return linear_problem(_LOGISTIC, A, b, intercept=intercept, l2=l2, x0=x0)


def hinge(A: Any, b: Any, *, intercept: bool = True, l2: float = 0.0, x0: Any = None) -> Problem:
    """Support vector machine: the mean hinge loss of a linear model with two labels.

        f(x) = (1/m) sum_i max(0, 1 - b_i <a_i, x>) + (l2/2) ||x||^2

    Parameters
    ----------
    A : (m, p) array or scipy.sparse matrix
        One row a_i for each observation; finite real numbers. Copied, never modified.
    b : (m,) array
        Labels: any two distinct finite numbers, of which the larger becomes b_i = +1 and the smaller -1.
    intercept : bool
        Append a column of ones to A: x then has p + 1 entries, the intercept last, and l2 counts for it too.
    l2 : float >= 0
        With l2 > 0, f is Lipschitz on balls only: G then holds on the ball that `G_note` names.
    x0 : (p,) array, or (p + 1,) with the intercept, optional
        The starting point; finite. Default 0.

    Returns
    -------
    Problem
        With x0, G >= ||g|| for every subgradient g, value(x), subgradient(x), and optimum(), which is certified.

    Raises
    ------
    ValueError
        Shapes that do not match, entries that are no finite real numbers, labels that are not exactly two, l2 < 0.

    Examples
    --------
    >>> import problems
    >>> p = problems.hinge([[0.0], [1.0], [2.0], [3.0]], [-1, 1, -1, 1])
    >>> p.m, p.p, p.value(p.x0)
    (4, 2, 1.0)
    >>> optimum = p.optimum()
    >>> round(optimum.f_lo, 4), round(optimum.f_hi, 4)
    (0.6667, 0.6667)
    """
    return linear_problem(_HINGE, A, b, intercept=intercept, l2=l2, x0=x0)


def least_absolute_deviation(A: Any, b: Any, *, intercept: bool = True, l2: float = 0.0, x0: Any = None) -> Problem:
    """Least absolute deviation: the mean absolute residual of a linear model.

        f(x) = (1/m) sum_i |<a_i, x> - b_i| + (l2/2) ||x||^2

    Parameters
    ----------
    A : (m, p) array or scipy.sparse matrix
        One row a_i for each observation; finite real numbers. Copied, never modified.
    b : (m,) array
        Targets; finite real numbers.
    intercept : bool
        Append a column of ones to A: x then has p + 1 entries, the intercept last, and l2 counts for it too.
    l2 : float >= 0
        With l2 > 0, f is Lipschitz on balls only: G then holds on the ball that `G_note` names.
    x0 : (p,) array, or (p + 1,) with the intercept, optional
        The starting point; finite. Default 0.

    Returns
    -------
    Problem
        With x0, G >= ||g|| for every subgradient g, value(x), subgradient(x), and optimum(), which is certified.

    Raises
    ------
    ValueError
        Shapes that do not match, entries that are no finite real numbers, l2 < 0.

    Examples
    --------
    >>> import problems
    >>> p = problems.least_absolute_deviation([[0.0], [1.0], [2.0]], [0.0, 1.0, 5.0])
    >>> p.m, p.p, p.value(p.x0)
    (3, 2, 2.0)
    >>> optimum = p.optimum()
    >>> optimum.f_lo, optimum.f_hi
    (0.5, 0.5)
    """
    return linear_problem(_LAD, A, b, intercept=intercept, l2=l2, x0=x0)


def quantile(A: Any, b: Any, *, tau: float = 0.5, intercept: bool = True, l2: float = 0.0, x0: Any = None) -> Problem:
    """Quantile regression: the mean pinball loss of a linear model.

        f(x) = (1/m) sum_i max(tau r_i, (tau - 1) r_i) + (l2/2) ||x||^2,    r_i = b_i - <a_i, x>

    Parameters
    ----------
    A : (m, p) array or scipy.sparse matrix
        One row a_i for each observation; finite real numbers. Copied, never modified.
    b : (m,) array
        Targets; finite real numbers.
    tau : float in (0, 1)
        The level of the quantile; at 0.5 f is half the mean absolute residual.
    intercept : bool
        Append a column of ones to A: x then has p + 1 entries, the intercept last, and l2 counts for it too.
    l2 : float >= 0
        With l2 > 0, f is Lipschitz on balls only: G then holds on the ball that `G_note` names.
    x0 : (p,) array, or (p + 1,) with the intercept, optional
        The starting point; finite. Default 0.

    Returns
    -------
    Problem
        With x0, G >= ||g|| for every subgradient g, value(x), subgradient(x), and optimum(), which is certified.

    Raises
    ------
    ValueError
        Shapes that do not match, entries that are no finite real numbers, tau outside (0, 1), l2 < 0.

    Examples
    --------
    >>> import problems
    >>> p = problems.quantile([[0.0], [1.0], [2.0]], [0.0, 1.0, 5.0], tau=0.75)
    >>> p.m, p.p, p.value(p.x0)
    (3, 2, 1.5)
    >>> optimum = p.optimum()
    >>> optimum.f_lo, optimum.f_hi
    (0.125, 0.125)
    """
    return linear_problem(_QUANTILE, A, b, intercept=intercept, l2=l2, tau=tau, x0=x0)


def multinomial_logistic(A: Any, labels: Any, *, intercept: bool = True, l2: float = 0.0, x0: Any = None) -> Problem:
    """Multinomial logistic regression: the mean cross-entropy of a linear model with C classes.

        f(W) = (1/m) sum_i (log sum_c exp(<a_i, w_c>) - <a_i, w_(y_i)>) + (l2/2) ||W||^2

    Parameters
    ----------
    A : (m, p) array or scipy.sparse matrix
        One row a_i for each observation; finite real numbers. Copied, never modified.
    labels : (m,) array
        At least two distinct finite numbers, integers where there are more than two; in ascending order they become
        the classes 0, ..., C - 1, and `facts["labels"]` says which is which.
    intercept : bool
        Append a column of ones to A: W then has p + 1 rows, the intercepts last, and l2 counts for them too.
    l2 : float >= 0
        With l2 > 0, f is Lipschitz on balls only: G then holds on the ball that `G_note` names.
    x0 : (p, C) array, or (p + 1, C) with the intercept, optional
        The starting point, as a matrix or row by row; finite. Default 0. The unknowns are x = W.ravel(), W having a
        column w_c for each class.

    Returns
    -------
    Problem
        With x0, G >= ||g|| for every subgradient g, value(x), subgradient(x), and optimum(), which is certified.

    Raises
    ------
    ValueError
        Shapes that do not match, entries that are no finite real numbers, a single label, more than two labels of
        which some are fractions, l2 < 0.

    Examples
    --------
    >>> import problems
    >>> p = problems.multinomial_logistic([[0.0], [1.0], [2.0], [3.0]], [7, 8, 9, 8])
    >>> p.m, p.p, round(p.value(p.x0), 4)
    (4, 6, 1.0986)
    >>> p.facts["labels"]
    {7.0: 0, 8.0: 1, 9.0: 2}
    """
    return linear_problem(_MULTINOMIAL, A, labels, intercept=intercept, l2=l2, x0=x0)


def load_libsvm(path_or_name: Any, *, data_dir: Any = None) -> tuple[Any, Any]:
    """Read a data set in LIBSVM's text format.

    Parameters
    ----------
    path_or_name : str or path
        A path, or a bare name, which is looked for in `data_dir`, in the folders of $DADAPT_DATA, in the cache and in
        the current folder, as it stands and with .bz2, .xz or .gz. A name of the catalogue of the LIBSVM site that is
        found nowhere is downloaded into the cache.
    data_dir : path, optional
        The folder to look in first.

    Returns
    -------
    A : (m, p) float64 ndarray or scipy.sparse.csr_array
        Dense where more than half the entries are nonzero; read-only.
    b : (m,) float64
        -1 and +1 (the larger label) where the file has two distinct targets, else the targets as they stand;
        read-only.

    Raises
    ------
    ValueError
        There is no such file, it cannot be downloaded, or a line breaks the rules of the format; the message names
        the line.

    Examples
    --------
    >>> import problems, tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "tiny"
    >>> _ = file.write_text("1 1:0.5 2:1\\n0 1:2 2:3\\n")
    >>> A, b = problems.load_libsvm(file)
    >>> A.tolist(), b.tolist()
    ([[0.5, 1.0], [2.0, 3.0]], [1.0, -1.0])
    """
    from problems.data import load_libsvm as load

    return load(path_or_name, data_dir=data_dir)
