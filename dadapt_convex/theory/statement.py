"""Theorem, and the decorators that make one of a function: name, statement, source, proof and inequality together.

@theorem("f(x_avg) - f* <= D G/sqrt(n+1)", source="Shor 1985", kind=RATE, iterate="average")
def my_rate(c: Case) -> Sides:
    \"\"\"The proof, one inequality a line.\"\"\"
    return gap_sides(c, c.D * c.G / np.sqrt(c.n + 1))
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dadapt_convex.checks import as_tuple, check_callable, check_function, check_name, shown
from dadapt_convex.portable import Portable
from dadapt_convex.run import OptimumInterval, Run
from dadapt_convex.schedules import as_schedule
from dadapt_convex.theory.case import Case

RATE, LEMMA, DEFINITION = "rate", "lemma", "definition"
KINDS = (RATE, LEMMA, DEFINITION)
ITERATES = ("average", "best", "last", "selected", "")


class Sides(NamedTuple):
    """lhs <= rhs, or lhs = rhs, at every row."""

    lhs: Any
    rhs: Any


def gap_sides(case: Case, bound: Any, gap: Any = None) -> Sides:
    """A bound on a suboptimality gap, by default that of the weighted mean."""
    return Sides(case.gap_mean if gap is None else gap, bound)


class StepCheck(NamedTuple):
    """A number of an iteration held against what it must be: off, in units of rounding, is at most 1 where it is."""

    k: int
    what: str
    found: float
    expected: float
    off: float


class Unmet(NamedTuple):
    """An assumption that is not met (verdict NOT_APPLICABLE), or not known to be (UNDECIDED)."""

    verdict: str
    note: str


Assumption = Callable[[Run, OptimumInterval], Unmet | None]
Inequality = Callable[[Case], Sides]


@dataclass(frozen=True, repr=False)
class Theorem(Portable):
    """A statement about every run of some methods.

    Attributes
    ----------
    name, statement, source : str
        The statement in ASCII mathematics; where it is published, "own" where derived here.
    sides : callable (Case) -> Sides
        Both sides at every row, from the attributes of the case and NumPy's functions.
    kind : str
        "rate" (a bound on the gap of an output), "lemma", or "definition" (an equality that the method must keep).
    relation : str
        "<=" or "=".
    iterate : str
        "average", "best", "last", "selected" (the average at the method's selecting k), or "" where the
        statement is not about a point's gap.
    needs : tuple of str
        Names of the method's state and hyper-parameters that are read, in addition to those that a trial of the
        functions finds out before a run starts.
    assumptions : tuple of callables (run, optimum) -> Unmet or None
        Checked before the sides are looked at. The first line of a docstring says what is assumed.
    rows : callable (Case) -> boolean mask, optional
        The checkpoints the statement speaks of; default all. The first line of its docstring says which.
    schedule : str
        The schedule that the run must have: "constant", the text of another, or "any".
    uses_optimum : bool
        Whether f* or D enters. Then a minimiser must exist.
    comparator : bool
        Whether it holds for every point u, f(u) in place of f* and ||u - x0|| in place of D: then also for the best
        point of a ball, whose f may lie above that of an iterate.
    figure : bool
        Whether the right-hand side is a curve for the convergence figure.
    about : tuple of str
        Methods it speaks of that do not claim it themselves: for theorems added from outside. "*": all.
    steps : callable (Run) -> sequence of StepCheck, optional
        In place of sides, for a definition: single iterations; see dadapt_convex.theory.steps.
    proof : str
        The proof in Markdown: prose, and indented lines of ASCII mathematics.
    """

    name: str
    statement: str
    source: str
    sides: Inequality | None = None
    kind: str = LEMMA
    relation: str = "<="
    iterate: str = ""
    needs: tuple[str, ...] = ()
    assumptions: tuple[Assumption, ...] = ()
    rows: Callable[[Case], Any] | None = None
    schedule: str = "constant"
    uses_optimum: bool = True
    comparator: bool = False
    figure: bool = False
    about: tuple[str, ...] = ()
    steps: Callable[[Run], Sequence[StepCheck]] | None = field(default=None, compare=False)
    proof: str = ""

    def __post_init__(self) -> None:
        check_name("a theorem's name", self.name)
        self._check_texts()
        self._check_names()
        self._check_functions()

    def _check_texts(self) -> None:
        """Texts, those of a few options, and what is True or False."""
        for what in ("statement", "source", "schedule", "proof"):
            if not isinstance(getattr(self, what), str):
                raise ValueError(f"theorem {self.name}: {what} must be a text, got {shown(getattr(self, what))}.")
        for what, options in (("kind", KINDS), ("iterate", ITERATES), ("relation", ("<=", "="))):
            value = getattr(self, what)
            if not (isinstance(value, str) and value in options):
                raise ValueError(
                    f"theorem {self.name}: {what} must be one of {', '.join(map(repr, options))}, got {shown(value)}."
                )
        for what in ("uses_optimum", "comparator", "figure"):
            if not isinstance(getattr(self, what), bool):
                raise ValueError(
                    f"theorem {self.name}: {what} must be True or False, got {shown(getattr(self, what))}."
                )
        if self.schedule != "any":
            try:
                object.__setattr__(self, "schedule", str(as_schedule(self.schedule)))  # as runs record it
            except ValueError as error:
                raise ValueError(f"theorem {self.name}: schedule must be 'any' or a schedule: {error}") from None

    def _check_names(self) -> None:
        """Tuples of names."""
        for what in ("needs", "about"):
            names = as_tuple(f"theorem {self.name}: {what}", getattr(self, what), "names")
            if wrong := [name for name in names if not isinstance(name, str)]:
                raise ValueError(f"theorem {self.name}: {what} must be a tuple of names, got {shown(wrong[0])} in it.")
            object.__setattr__(self, what, names)

    def _check_functions(self) -> None:
        """Assumptions, rows, and either sides or steps."""
        of = "functions (run, optimum) -> Unmet or None"
        object.__setattr__(self, "assumptions", as_tuple(f"theorem {self.name}: assumptions", self.assumptions, of))
        for assumption in self.assumptions:
            check_callable(f"theorem {self.name}: an assumption", assumption, "(run, optimum) -> Unmet or None")
        if self.rows is not None:
            check_callable(f"theorem {self.name}: rows", self.rows, "of a Case that returns a mask")
        if self.sides is None and self.steps is not None:
            check_callable(f"theorem {self.name}: steps", self.steps, "of a Run that returns StepChecks")
        else:
            check_callable(f"theorem {self.name}: sides", self.sides, "of a Case that returns dc.Sides(lhs, rhs)")
        if self.sides is not None and self.steps is not None:
            raise ValueError(f"theorem {self.name} has sides and steps; leave one of them out.")

    def _function(self) -> Any:
        return self.sides or self.steps

    def __repr__(self) -> str:
        return f"<Theorem {self.name}: {self.statement} [{self.source}]>"


def theorem(statement: str, *, source: str, **more: Any) -> Callable[[Inequality], Theorem]:
    """Make a Theorem of a function (Case) -> Sides, whose name is the theorem's and whose docstring is its proof.

    Parameters
    ----------
    statement, source : str
        See Theorem.
    **more
        The other attributes of a Theorem: kind, relation, iterate, assumptions, rows, schedule, uses_optimum, ...

    Examples
    --------
    >>> import dadapt_convex as dc
    >>> @dc.theorem("f(x_avg) >= f*", source="own")
    ... def not_below(case):
    ...     '''f* is the least value of f.'''
    ...     return dc.Sides(case.f_star, case.f_avg)
    >>> not_below
    <Theorem not_below: f(x_avg) >= f* [own]>
    >>> not_below.proof
    'f* is the least value of f.'
    """

    def make(sides: Inequality) -> Theorem:
        check_function("theorem", sides)
        return Theorem(
            name=sides.__name__, statement=statement, source=source, sides=sides, proof=proof_of(sides), **more
        )

    return make


def formula(statement: str, *, source: str, schedule: str = "any", **more: Any) -> Callable[[Inequality], Theorem]:
    """Make a definition of a function (Case) -> Sides: two columns of the trace that are equal in every run.

    Arguments are those of `theorem`.
    """
    return theorem(
        statement, source=source, kind=DEFINITION, relation="=", uses_optimum=False, schedule=schedule, **more
    )


def proof_of(function: Any) -> str:
    """The docstring of a function without its indentation, but with that of its formulas.

    Where a first line that ends with a colon is all the prose there is, the indentation of the formulas is common to
    all other lines, and lost.
    """
    text = inspect.getdoc(function) or ""
    first, _, rest = text.partition("\n")
    lost = first.endswith(":") and not rest.lstrip("\n").startswith(" ")
    return f"{first}\n{textwrap.indent(rest, '    ')}" if lost else text
