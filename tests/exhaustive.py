"""Many cases of one kind: some run always, all of them with DADAPT_EXHAUSTIVE=1, which .ci/run sets."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import pytest

EXHAUSTIVE = os.environ.get("DADAPT_EXHAUSTIVE", "") not in ("", "0")


def one_in(n: int, cases: Iterable[Any]) -> list[Any]:
    """The cases for pytest.mark.parametrize: every n-th runs always, the others are exhaustive.

    n : no divisor of a period in the cases, or some kind of them would never run.
    """
    return [case if i % n == 0 else exhaustive(case) for i, case in enumerate(cases)]


def exhaustive(case: Any) -> Any:
    """One case, a tuple where there are several arguments."""
    return pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.exhaustive)
