"""What several test files need."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of LIBSVM files: $DADAPT_SHARED/libsvm, or ../shared/libsvm seen from the repository."""
    folder = Path(os.environ.get("DADAPT_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "libsvm"
    if not (folder / "INDEX.csv").is_file():
        pytest.skip("no LIBSVM files: DADAPT_SHARED names the folder that holds libsvm/INDEX.csv")
    return folder


@pytest.fixture(scope="session", autouse=True)
def offline() -> Iterator[None]:
    """No test downloads from the LIBSVM site: those of downloads have a server of their own, and allow them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DADAPT_OFFLINE", "1")
        yield
