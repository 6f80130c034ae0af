"""The names of the figures: from them --fresh knows what to delete and the report what to show."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

FORMATS = ("png", "pdf")
HEAT_MAP = "verdicts"
KINDS = ("suboptimality", "dadaptation")
LONGEST = 60


def slug(problem: str) -> str:
    """A problem's name as a file name; a hash keeps apart what the replaced characters distinguished."""
    plain = re.sub(r"[^A-Za-z0-9.=+-]+", "_", problem).strip("_.")
    readable = re.fullmatch(r"[a-z_0-9]+:[A-Za-z0-9.+-]+", problem)
    if readable and len(plain) <= LONGEST:
        return plain
    return f"{plain[-LONGEST:]}_{hashlib.sha256(problem.encode()).hexdigest()[:6]}"


def figure_name(kind: str, problem: str) -> str:
    """The name of a problem's figure, without the format."""
    return f"{slug(problem)}_{kind}"


def in_all_formats(names: Sequence[str]) -> list[str]:
    """The files of figures of these names."""
    return [f"{name}.{form}" for name in names for form in FORMATS]


def figure_files(problems: Sequence[str]) -> list[str]:
    """All files a suite's figures may have."""
    return in_all_formats([HEAT_MAP, *(figure_name(kind, problem) for problem in problems for kind in KINDS)])
