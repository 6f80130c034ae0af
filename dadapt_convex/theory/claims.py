"""The theorems that speak of a method's runs, and the refusal of claims that cannot be held against them."""

from __future__ import annotations

import weakref
from collections.abc import Iterable

from dadapt_convex.checks import check_distinct, did_you_mean, shown
from dadapt_convex.method import Method
from dadapt_convex.theory.case import READ_OF_CASE
from dadapt_convex.theory.evaluate import unreadable
from dadapt_convex.theory.library import theorems
from dadapt_convex.theory.needs import absent
from dadapt_convex.theory.statement import Theorem

# Methods whose claims were found in order, by id: the trial of a claim takes a millisecond.
_in_order: weakref.WeakValueDictionary[int, Method] = weakref.WeakValueDictionary()


def claims(method: Method, extra: Iterable[Theorem | str] = ()) -> list[Theorem]:
    """The theorems that speak of a method's runs: its claims, then those that are about it, then `extra`."""
    named = [_theorem(claim, f"{method.name} claims") for claim in method.claims]
    about = [t for t in theorems().values() if {method.name, "*"} & {*t.about} and t not in named]
    found: list[Theorem] = []
    for theorem in (*named, *about, *(_theorem(claim, "check() was given") for claim in extra)):
        if not any(theorem is other for other in found):
            found.append(theorem)
    check_distinct(f"the theorems about {method.name}", tuple(theorem.name for theorem in found))
    return found


def check_claims(method: Method) -> None:
    """Raise ValueError for a claim that names no theorem, or one that needs what the method does not have."""
    if _in_order.get(id(method)) is method:
        return
    if hidden := sorted(set(method.scalars) & READ_OF_CASE):
        raise ValueError(
            f"{method.name}: theorems read {', '.join(hidden)} of a case, which is no scalar of the method; rename it."
        )
    for theorem in claims(method):
        if missing := absent(theorem, method):
            names = sorted(error.name for error in missing)
            there = ", ".join([*method.scalars, *method.vectors, *method.parameters]) or "none"
            raise ValueError(
                f"{method.name} claims {theorem.name}, which needs {', '.join(names)}: no state or hyper-parameter of "
                f"{method.name} has this name; there are {there}."
            )
    _in_order[id(method)] = method


def refuse_unreadable(extra: Theorem | str, method: Method) -> None:
    """Raise ValueError for a theorem given to check() that reads what runs of the method do not have."""
    theorem = _theorem(extra, "check() was given")
    for error in absent(theorem, method):
        raise unreadable(theorem, error, method)


def _theorem(claim: Theorem | str, who: str) -> Theorem:
    """The theorem itself, or the one of this name; ValueError with the nearest names where there is none."""
    known = theorems()
    if isinstance(claim, Theorem):
        return claim
    if not (isinstance(claim, str) and claim in known):
        hint = did_you_mean(claim, known)
        raise ValueError(f"{who} an unknown theorem {shown(claim)}; {hint}{' ' * bool(hint)}dc.theorems() shows all.")
    return known[claim]
