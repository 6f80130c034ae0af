"""The library of theorems: a file for each family, which the Theorems defined in it belong to, in their order.

    f, f*           a convex function, and its minimum
    x*, D           the minimiser nearest to x_0, and D = ||x_0 - x*||
    g_k, G          a subgradient of f at x_k, and a bound on all ||g_k||
    gap_k           f(x_k) - f*
    n               the last index: n + 1 subgradients g_0, ..., g_n are used
    sum             over k = 0, ..., n, where no bounds stand at it
    S_n             sum ||g_k||^2
    w_k, x_avg      the method's weight of x_k, and sum w_k x_k/sum w_k

By convexity `f(x_avg) - f* <= sum w_k gap_k/sum w_k`. A theorem about `x_avg` is proved, and checked, for this mean of
the gaps.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from types import ModuleType

from dadapt_convex.theory.statement import Theorem

# The families as a reader takes them: known D and G, Algorithms 1 to 5, rates tuned by hand. Others follow.
ORDER = (
    "subgradient", "dual_averaging", "adagrad_norm",
    "dadapt_dual_averaging", "dadapt_gradient_descent", "dadapt_adagrad", "dadapt_sgd", "dadapt_adam",
    "sgd", "adagrad", "adam",
)  # fmt: skip


class Library(dict[str, Theorem]):
    """Theorems by name; at a prompt, a line for each."""

    def __repr__(self) -> str:
        width = max(map(len, self), default=0)
        return "\n".join(f"{name:<{width}}  {theorem.statement}" for name, theorem in self.items())


def families() -> list[ModuleType]:
    """The files of the library, in the order of a reader."""
    names = sorted(m.name for m in pkgutil.iter_modules(__path__))
    ordered = [*(name for name in ORDER if name in names), *(name for name in names if name not in ORDER)]
    return [importlib.import_module(f"{__name__}.{name}") for name in ordered]


def stated_in(family: ModuleType) -> list[Theorem]:
    """The theorems of a file, those that it imports left out."""
    return [
        held for name, held in vars(family).items()
        if isinstance(held, Theorem) and getattr(held._function(), "__module__", None) == family.__name__
    ]  # fmt: skip


@functools.cache
def theorems() -> dict[str, Theorem]:
    """All built-in theorems by name; shown at a prompt it is a table of their statements."""
    found = Library()
    for family in families():
        for theorem in stated_in(family):
            if found.setdefault(theorem.name, theorem) is not theorem:
                raise ValueError(f"{family.__file__}: another theorem is called {theorem.name}; rename this one.")
    return found
