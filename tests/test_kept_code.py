"""Machine code on disk: damage of any kind costs one more compilation, and nothing damaged ever runs."""

from __future__ import annotations

import contextlib
import pickle
import random
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from dadapt_convex import kept_code, notice
from dadapt_convex.oracle import Kernel, Vector, compile_all, oracle, pack

ROOT = Path(__file__).resolve().parents[1]
DATA = pack()


@oracle
def square(x, g, z, data):
    """x[0]^2."""
    g[0] = 2.0 * x[0]
    return x[0] * x[0]


@oracle
def cube(x, g, z, data):
    """x[0]^3."""
    g[0] = 3.0 * x[0] * x[0]
    return x[0] * x[0] * x[0]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("DADAPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(notice, "said", set())
    return tmp_path / "cache" / "numba"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with both functions."""
    folder = tmp_path_factory.mktemp("compiled")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("NUMBA_CACHE_DIR", raising=False)
        patch.setenv("DADAPT_CACHE", str(folder))
        assert not was_loaded(fresh(square))
        assert not was_loaded(fresh(cube))
    return folder


@pytest.fixture
def filled(compiled: Path, cache: Path) -> None:
    """The cache of this test holds both functions."""
    shutil.copytree(compiled, cache.parent)
    assert fresh().is_compiled()


def fresh(kernel: Kernel = square) -> Kernel:
    """The kernel as another process meets it."""
    return Kernel(kernel.python, kernel.kind, kernel.fastmath)


def was_loaded(kernel: Kernel) -> bool:
    """Whether its code came from disk; it works in either case."""
    x: Vector = np.array([3.0])
    assert kernel(x, x.copy(), np.zeros(0), DATA) == (9.0 if kernel.python is square.python else 27.0)
    stats = kernel.compile().stats
    assert sum(stats.cache_hits.values()) + sum(stats.cache_misses.values()) == 1
    return sum(stats.cache_hits.values()) == 1


def assert_heals() -> None:
    """The function is compiled again, and found from then on."""
    assert not fresh().is_compiled()
    assert not was_loaded(fresh())
    assert fresh().is_compiled()
    assert was_loaded(fresh())


def file_of(kernel: Kernel, suffix: str) -> Path:
    kept = kernel.kept()
    assert kept is not None
    [path] = kept.folder.rglob(f"*{suffix}")
    return path


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def cut_the_seal(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: -kept_code.SEAL])


def replace_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "file").touch()


def replace_by_a_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def stamp_with_another_version(path: Path) -> None:
    path.write_bytes(pickle.dumps("0.1") + path.read_bytes())


def replace_by_another_functions(path: Path) -> None:
    path.write_bytes(file_of(cube, path.suffix).read_bytes())


DAMAGE: list[Callable[[Path], object]] = [
    truncate,
    cut_the_seal,
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(bytes(path.stat().st_size)),
    lambda path: path.write_bytes(random.Random(0).randbytes(10_000)),
    lambda path: path.write_bytes(pickle.dumps({"something": "else"})),
    replace_by_a_folder,
    replace_by_a_loop,
    stamp_with_another_version,
    replace_by_another_functions,
]
NAMES = ["truncated", "unsealed", "empty", "zeros", "random", "pickle", "folder", "loop", "version", "other function"]


@pytest.mark.parametrize("suffix", kept_code.SUFFIXES)
@pytest.mark.parametrize("damage", DAMAGE, ids=NAMES)
def test_a_damaged_file_costs_one_compilation(damage: Callable[[Path], object], suffix: str, filled: None) -> None:
    damage(file_of(square, suffix))
    assert_heals()


@pytest.mark.parametrize("suffix", kept_code.SUFFIXES)
def test_no_flipped_bit_passes(suffix: str, filled: None) -> None:
    path, kept = file_of(square, suffix), square.kept()
    assert kept is not None
    whole = path.read_bytes()
    for position in random.Random(1).sample(range(8 * len(whole)), 300):
        damaged = bytearray(whole)
        damaged[position // 8] ^= 1 << position % 8
        path.write_bytes(damaged)
        assert not kept.is_whole()
    assert_heals()


@pytest.mark.parametrize("suffix", kept_code.SUFFIXES)
def test_a_missing_file_costs_one_compilation(suffix: str, filled: None) -> None:
    file_of(square, suffix).unlink()
    assert_heals()


def test_an_unreadable_file_costs_one_compilation(filled: None) -> None:
    """The root user reads everything: the system's answer is given by hand."""
    read = Path.read_bytes

    def denied(path: Path) -> bytes:
        if path.suffix == ".nbc":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "read_bytes", denied)
        assert not was_loaded(fresh())
    assert was_loaded(fresh())


def test_code_of_an_older_source_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damaged or old is one case: what bears the seal of another source is absent."""
    source = "from dadapt_convex.oracle import oracle\n@oracle\ndef f(x, g, z, data):\n    return {}\n"
    for value in (1.0, 2.0, 1.0):
        (tmp_path / "mine.py").write_text(source.format(value), "utf-8")
        scope: dict[str, Kernel] = {}
        exec(compile((tmp_path / "mine.py").read_text("utf-8"), tmp_path / "mine.py", "exec"), scope)
        for _ in range(2):
            assert fresh(scope["f"])(np.zeros(1), np.zeros(1), np.zeros(0), DATA) == value
        assert fresh(scope["f"]).is_compiled()


@pytest.mark.parametrize("level", [0, 1], ids=["its folder", "Numba's folder in it"])
def test_a_file_in_place_of_a_functions_folder_is_removed(level: int, filled: None) -> None:
    folder = [square.kept().folder, file_of(square, ".nbi").parent][level]  # type: ignore[union-attr]
    shutil.rmtree(folder)
    folder.write_text("a file")
    assert_heals()


def test_a_file_in_place_of_the_cache_means_no_cache(cache: Path) -> None:
    cache.parent.mkdir()
    cache.write_text("a file")
    assert not was_loaded(fresh())
    assert not was_loaded(fresh())
    assert cache.read_text() == "a file"


def test_a_cache_that_is_removed_during_a_run_is_made_again(cache: Path, filled: None) -> None:
    shutil.rmtree(cache)
    assert_heals()


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """Files end after 100 bytes, with an OSError, as on a disk without room."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_on_a_full_disk_functions_are_compiled_and_not_kept(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kernel = fresh()
    with full_disk():
        compile_all([kernel])
        assert not was_loaded(kernel)
    assert said(capsys) == f"compiling 1 function, in every process: {cache} cannot be written\n"
    assert [path for path in cache.rglob("*") if path.is_file() and path.stat().st_size] == []
    assert_heals()


def test_processes_that_compile_at_once_do_not_disturb_each_other(cache: Path) -> None:
    code = (
        "import numpy as np, sys; sys.path.insert(0, 'tests')\n"
        "from test_kept_code import DATA, square\n"
        "print(square(np.array([3.0]), np.zeros(1), np.zeros(0), DATA))"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    assert [process.communicate(timeout=600) for process in running] == [(b"9.0\n", b"")] * 2
    assert was_loaded(fresh())


# ---------------------------------------------------------------------------------------------------------
# The line on standard error


def said(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def test_compiling_is_said_once_and_loading_never(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compile_all([fresh(), fresh(cube)])
    assert said(capsys) == f"compiling 2 functions, once: kept in {cache}\n"
    shutil.rmtree(cache)
    compile_all([fresh()])
    assert said(capsys) == ""


def test_loading_is_not_said(filled: None, capsys: pytest.CaptureFixture[str]) -> None:
    compile_all([fresh()])
    assert said(capsys) == ""


def test_after_damage_there_is_one_line(cache: Path, filled: None, capsys: pytest.CaptureFixture[str]) -> None:
    truncate(file_of(square, ".nbc"))
    compile_all([fresh()])
    assert said(capsys) == f"compiling 1 function, once: kept in {cache}\n"


def test_a_cache_that_cannot_be_written_is_named(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache.parent.write_text("a file")
    compile_all([fresh()])
    assert said(capsys) == f"compiling 1 function, in every process: {cache} cannot be written\n"


def test_a_caller_with_lines_of_its_own_silences_it(capsys: pytest.CaptureFixture[str]) -> None:
    with notice.silence():
        compile_all([fresh()])
    assert said(capsys) == ""


def test_standard_error_that_is_closed_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    compile_all([fresh()])
