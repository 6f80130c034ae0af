"""The public constructor of a loss, problems.NAME(A, b, ...), with the documentation that its file gives it."""

from __future__ import annotations

import functools
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

from problems.data.dataset import Task
from problems.linear_models.linear_problem import linear_problem
from problems.linear_models.loss import Loss
from problems.problem import Problem

LABELS: dict[Task, str] = {
    "binary": """
    b : (m,) array
        Labels: any two distinct finite numbers, of which the larger becomes b_i = +1 and the smaller -1.""",
    "multiclass": """
    labels : (m,) array
        At least two distinct finite numbers, integers where there are more than two; in ascending order they become
        the classes 0, ..., C - 1, and `facts["labels"]` says which is which.""",
    "regression": """
    b : (m,) array
        Targets; finite real numbers.""",
}
RAISED: dict[Task, str] = {
    "binary": "labels that are not exactly two",
    "multiclass": "a single label, more than two labels of which some are fractions",
    "regression": "",
}
VECTOR = """
    x0 : (p,) array, or (p + 1,) with the intercept, optional
        The starting point; finite. Default 0."""
MATRIX = """
    x0 : (p, C) array, or (p + 1, C) with the intercept, optional
        The starting point, as a matrix or row by row; finite. Default 0. The unknowns are x = W.ravel(), W having a
        column w_c for each class."""


def constructor(loss: Loss) -> Callable[..., Problem]:
    """The function (A, b, *, the loss's parameters, intercept=True, l2=0.0, x0=None) -> Problem."""
    signature = _signature(loss)

    def make(*args: Any, **options: Any) -> Problem:
        bound = signature.bind(*args, **options)
        return linear_problem(loss, *bound.args, **bound.kwargs)

    public: Any = make  # types of functions have no __signature__
    public.__name__ = public.__qualname__ = loss.name
    public.__module__ = "problems"
    public.__doc__ = _documentation(loss)
    public.__signature__ = signature
    public.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()} | {"return": Problem}
    return make


def _signature(loss: Loss) -> inspect.Signature:
    kind = inspect.Parameter.KEYWORD_ONLY
    option = functools.partial(inspect.Parameter, kind=kind)
    given = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Any)
        for name in ("A", "labels" if loss.task == "multiclass" else "b")
    ]
    own = [option(name, default=p.default, annotation=float) for name, p in loss.parameters.items()]
    common = [
        option("intercept", default=True, annotation=bool),
        option("l2", default=0.0, annotation=float),
        option("x0", default=None, annotation=Any),
    ]
    return inspect.Signature([*given, *own, *common], return_annotation=Problem)


def _documentation(loss: Loss) -> str:
    several = loss.task == "multiclass"
    x, start = ("W", MATRIX) if several else ("x", VECTOR)
    where = f",    {loss.where}" if loss.where else ""
    own = "".join(
        f"\n    {name} : float in {p.interval}\n        {p.meaning[0].upper()}{p.meaning[1:]}; default {p.default:g}."
        for name, p in loss.parameters.items()
    )
    ranges = [f"{name} outside {p.interval}" for name, p in loss.parameters.items()]
    what = ", ".join(filter(None, ["entries that are no finite real numbers", RAISED[loss.task], *ranges, "l2 < 0"]))
    last = "x then has p + 1 entries, the intercept last, and l2 counts for it"
    if several:
        last = "W then has p + 1 rows, the intercepts last, and l2 counts for them"

    def filled(text: str) -> str:
        return textwrap.fill(text, 112).replace("\n", "\n        ")

    return f"""{loss.title}

        f({x}) = (1/m) sum_i {loss.formula} + (l2/2) ||{x}||^2{where}

    Parameters
    ----------
    A : (m, p) array or scipy.sparse matrix
        One row a_i for each observation; finite real numbers. Copied, never modified.{LABELS[loss.task]}{own}
    intercept : bool
        {filled(f"Append a column of ones to A: {last} too.")}
    l2 : float >= 0
        With l2 > 0, f is Lipschitz on balls only: G then holds on the ball that `G_note` names.{start}

    Returns
    -------
    Problem
        With x0, G >= ||g|| for every subgradient g, value(x), subgradient(x), and optimum(), which is certified.

    Raises
    ------
    ValueError
        {filled(f"Shapes that do not match, {what}.")}

    Examples
    --------
    >>> import problems
    {textwrap.dedent(loss.example).strip().replace(chr(10), chr(10) + "    ")}
    """
