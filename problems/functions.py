"""Objectives written in plain Python."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from dadapt_convex.oracle import (
    HALF,
    Fault,
    FunctionAndSubgradient,
    Oracle,
    Vector,
    check_callable,
    check_name,
    read_returned,
    shown,
)
from problems.arrays import number, owned
from problems.problem import Optimum, Problem, within


@dataclass(frozen=True)
class Given:
    """An optimum as it was given, for the starting point that it was given with."""

    optimum: Optimum
    x0: Vector

    def __call__(self, problem: Problem, radius: float) -> Optimum:
        """The optimum; raise ValueError for another starting point, for which D is unknown."""
        if not np.array_equal(problem.x0, self.x0):
            raise ValueError(
                f"the optimum of {problem.name} was given for another x0, and D is the distance from there; make the "
                "problem again with from_callable(x0=..., optimum=...)."
            )
        return within(problem, self.optimum, radius)


def from_callable(
    f_and_g: FunctionAndSubgradient,
    *,
    x0: Any,
    G: float = math.inf,
    G_inf: float = math.inf,
    name: str = "callable",
    optimum: Optimum | None = None,
) -> Problem:
    """A Problem from any Python function x -> (f, g); every method runs on it.

    Parameters
    ----------
    f_and_g : callable (p,) float64 -> (float, (p,) array)
        Convex f and a subgradient; gets a copy of the iterate. Verdicts take f to be exact to p + 8 roundings of
        |f| + ||g|| ||x||: a sum of many more terms needs math.fsum or NumPy's pairwise sum.
    x0 : (p,) array
        The starting point; finite. Copied.
    G, G_inf : float > 0, optional
        Bounds on the subgradient's Euclidean and maximum norm, in units of f over those of x, where you know them:
        methods and theorems that need them say so. Whether a run kept to G is checked. Default: infinite, unknown.
    name : str
        What runs and messages call it.
    optimum : Optimum, optional
        What you know of the minimum and of the distance to it from x0; needed for verdicts.

    Returns
    -------
    Problem
        Without optimum=, its optimum() is a ValueError.

    Raises
    ------
    ValueError
        Where f_and_g(x0) does not return a finite number and a finite subgradient of x0's shape, x0 is not finite, G is
        not positive, or the optimum is for another x0.

    Examples
    --------
    >>> import numpy as np, problems
    >>> p = problems.from_callable(lambda x: (float(abs(x).sum()), np.sign(x)), x0=[1.0, -2.0], G=2**0.5, G_inf=1.0)
    >>> p.value(p.x0), p.subgradient(p.x0).tolist()
    (3.0, [1.0, -1.0])
    """
    check_name("the name of a problem", name)
    check_callable(f"{name}: f_and_g", f_and_g, "x -> (f, g)")
    start = np.atleast_1d(owned("x0", x0))
    if start.ndim != 1 or start.size == 0 or not np.all(np.isfinite(start)):
        raise ValueError(f"x0 must be a non-empty finite vector, got {shown(x0)}.")
    G, G_inf = number("G", G), number("G_inf", G_inf)
    if not (G > 0 and G_inf > 0):
        raise ValueError(f"G and G_inf must be positive, got G={G!r}, G_inf={G_inf!r}.")
    if optimum is not None and not isinstance(optimum, Optimum):
        raise ValueError(f"optimum must be a problems.Optimum, got {shown(optimum)}.")
    try:
        f, g = read_returned(f_and_g(start.copy()), start.shape)
    except Fault as error:
        raise ValueError(f"{name}(x0) {error}.") from None
    if not (math.isfinite(f) and np.all(np.isfinite(g))):
        raise ValueError(f"{name}(x0) returned f = {f!r} and a subgradient that must be finite too.")
    problem = Problem(
        name=name,
        oracle=Oracle(function=f_and_g),
        x0=start,
        G=float(G),
        G_inf=float(G_inf),
        m=0,
        G_note="as given" if math.isfinite(G) else "unknown",
        find_optimum=None if optimum is None else Given(optimum, start),
        facts={"storage": "none", "source": "a Python function"},
    )
    own = problem.identity  # now: what the function refers to may change while it is evaluated
    if optimum is not None:
        if np.shape(optimum.x) != start.shape:
            raise ValueError(f"the optimum's x has shape {np.shape(optimum.x)}; x0 has shape {start.shape}.")
        if optimum.identity[HALF:] not in ("", own[HALF:]):
            raise ValueError(
                f"the optimum of {optimum.problem} is for another x0, and D is the distance from there; "
                f"give one for x0 = {shown(x0)}."
            )
    return problem
