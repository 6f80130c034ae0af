"""What several test files need."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from exhaustive import EXHAUSTIVE

from dadapt_convex.kept_code import compiled_folder

# Tests start hundreds of processes, each of which would compile what it imports where no byte code is kept. Set before
# pytest-xdist starts its workers, which inherit it.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are cores: tests of kills and of other processes wait."""
    return len(os.sched_getaffinity(0)) + 1 if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked as exhaustive run where DADAPT_EXHAUSTIVE asks for them."""
    if not EXHAUSTIVE:
        for item in items:
            if item.get_closest_marker("exhaustive"):
                item.add_marker(pytest.mark.skip(reason="exhaustive: runs with DADAPT_EXHAUSTIVE=1"))


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


@pytest.fixture(scope="session", autouse=True)
def compiled_once() -> Iterator[None]:
    """Tests with a cache of their own find what is compiled where all others do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NUMBA_CACHE_DIR", str(compiled_folder()))
        yield


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """A shell starts what it runs in the background deaf to Ctrl-C, and so would be what the tests start."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
