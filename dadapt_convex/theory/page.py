"""The page of all theorems in Markdown: statement, source, assumptions, proof, and the methods that claim each.

A docstring is Markdown already: prose with `mathematics` in backticks, and indented lines of ASCII mathematics.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

from dadapt_convex.method import get_method, methods
from dadapt_convex.theory import library
from dadapt_convex.theory.library import families, stated_in
from dadapt_convex.theory.statement import DEFINITION, KINDS, Theorem

WIDTH = 110  # characters of a line
HELD = "\N{NO-BREAK SPACE}"  # stands for a blank where no line may end
HEAD = """# Theorems

Each theorem stands in one place of the code, `dadapt_convex/theory/library/`, and is checked at every checkpoint of a
run by `dc.check`. This page is made of these places: `dadapt list --theorems > docs/theorems.md` writes it again.
"""


def page(names: Iterable[str] | None = None) -> str:
    """The page, or its entries of these names."""
    wanted = None if names is None else set(names)
    sections = [(family, [t for t in stated_in(family) if wanted is None or t.name in wanted]) for family in families()]
    sections = [(family, theorems) for family, theorems in sections if theorems]
    claimed = claimed_by()
    parts = [_entry(t, claimed) for _, theorems in sections for t in theorems]
    if wanted is None:
        parts = [HEAD, _notation(), _contents(sections)]
        for family, theorems in sections:
            parts += [_heading(family), *(_entry(t, claimed) for t in theorems)]
    return "\n".join(parts)


def claimed_by() -> dict[str, list[str]]:
    """The built-in methods that claim each theorem, by its name."""
    found: dict[str, list[str]] = {}
    for method in methods():
        for claim in get_method(method).claims:
            found.setdefault(claim if isinstance(claim, str) else claim.name, []).append(method)
    return found


def _notation() -> str:
    return f"## Notation\n\n{_body(library)}\n"


def _contents(sections: list[tuple[ModuleType, list[Theorem]]]) -> str:
    lines = ["## Contents", ""]
    for family, theorems in sections:
        lines.append(f"- {_link(_title(family))}")
        by_kind = {kind: [_link(t.name) for t in theorems if t.kind == kind] for kind in KINDS}
        lines += [f"  - {kind}{'s' * (len(links) > 1)}: {', '.join(links)}" for kind, links in by_kind.items() if links]
    return "\n".join(lines) + "\n"


def _link(heading: str) -> str:
    """A link to a heading of this page, by the fragment that GitHub gives it."""
    fragment = "".join(c for c in heading.lower().replace(" ", "-") if c.isalnum() or c in "-_")
    return f"[{heading}](#{fragment})"


def _title(family: ModuleType) -> str:
    return (inspect.getdoc(family) or "").partition("\n")[0].rstrip(".")


def _heading(family: ModuleType) -> str:
    return "\n\n".join(filter(None, (f"## {_title(family)}", _body(family)))) + "\n"


def _body(module: ModuleType) -> str:
    """The docstring of a file after its first line."""
    return (inspect.getdoc(module) or "").partition("\n")[2].strip("\n")


def _entry(theorem: Theorem, claimed: dict[str, list[str]]) -> str:
    statement = textwrap.indent("\n".join(map(_filled, re.split("(?<=;) ", theorem.statement))), "    ")
    proof = theorem.proof if theorem.kind == DEFINITION or not theorem.proof else f"*Proof.* {theorem.proof}"
    paragraphs = (f"### {theorem.name}", statement, _filled(" ".join(_facts(theorem, claimed))), proof)
    return "\n\n".join(filter(None, paragraphs)) + "\n"


def _facts(theorem: Theorem, claimed: dict[str, list[str]]) -> Iterator[str]:
    yield f"{theorem.kind.capitalize()}; source: {theorem.source}."
    assumed = [_meaning(assumption) for assumption in theorem.assumptions]
    if theorem.schedule != "any":
        assumed.append(f"`schedule = {theorem.schedule}`")
    if assumed:
        yield f"Assumes {'; '.join(assumed)}."
    if theorem.rows is not None:
        yield f"Checkpoints: {_meaning(theorem.rows)}."
    yield f"Claimed by {'every method' if '*' in theorem.about else ', '.join(claimed.get(theorem.name, []))}."


def _meaning(function: Any) -> str:
    """The first paragraph of a docstring, without its full stop."""
    return " ".join((inspect.getdoc(function) or function.__name__).partition("\n\n")[0].split()).rstrip(".")


def _filled(text: str) -> str:
    """The text in lines, none of which ends within `mathematics`."""
    whole = re.sub("`[^`]*`", lambda code: code[0].replace(" ", HELD), text)
    return textwrap.fill(whole, WIDTH, break_long_words=False, break_on_hyphens=False).replace(HELD, " ")
