"""Parsed files in the cache: mapped, checked, renewed when the source changes, never needed."""

import bz2
import contextlib
import gzip
import lzma
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import issparse

import problems
from problems.data import DataError, hashes, load_dataset, parsed, resolve
from problems.data.cache import MAP_ABOVE
from problems.data.hashes import file_sha256
from problems.data.parsed import placed

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DADAPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DADAPT_DATA", raising=False)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A file the reader finds worth caching, and the folder of its cache."""
    monkeypatch.setattr(parsed, "CACHE_ABOVE", 10)
    path = tmp_path / "small"
    path.write_bytes(b"1 1:2 3:4\n-1 2:5\n0 qid:1\n")
    return path, tmp_path / "cache" / "libsvm"


def sparse_text(m: int) -> bytes:
    return b"".join(b"%d %d:%d %d:0.5\n" % (i % 2, i % 50 + 1, i + 1, i % 50 + 60) for i in range(m))


def dense_text(m: int) -> bytes:
    return b"".join(b"%d 1:%d 2:0.5 4:1\n" % (i % 2, i + 1) for i in range(m))


@pytest.fixture(params=[sparse_text, dense_text])
def large(request, tmp_path):
    """A file whose arrays are large enough to be mapped."""
    path = tmp_path / "large"
    path.write_bytes(request.param(150_000))
    return path


def parts(A):
    return (A.data, A.indices, A.indptr) if issparse(A) else (A,)


def refuse(*_args, **_kwargs):
    raise AssertionError("parsed again")


def assert_equal(first, second):
    for a, b in zip((*parts(first.A), first.target), (*parts(second.A), second.target), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    for name in ("name", "task", "classes", "source", "sha256", "index_base", "notes"):
        assert getattr(first, name) == getattr(second, name)
    assert first.A.shape == second.A.shape


def root_of(array):
    while isinstance(array, np.ndarray):
        array = array.base
    return array


def test_large_arrays_are_mapped_the_second_time(large, monkeypatch):
    first = load_dataset(large)
    monkeypatch.setattr(parsed, "parse_text", refuse)
    second = load_dataset(large)
    assert_equal(first, second)
    for array in parts(second.A):
        if array.nbytes > MAP_ABOVE:
            assert type(root_of(array)).__name__ == "memoryview" or "mmap" in type(root_of(array)).__name__
            assert not array.flags.writeable
            assert type(array) is np.ndarray  # memmap's own class would follow it everywhere
    assert any(array.nbytes > MAP_ABOVE for array in parts(second.A))


def test_mapped_arrays_reach_the_kernels_without_a_copy(large, monkeypatch):
    """Of data that a problem reads by itself; arrays that are passed in are copied."""
    load_dataset(large)
    read = []
    monkeypatch.setattr("problems.data.resolve", lambda *given: read.append(resolve(*given)) or read[-1])
    packed = problems.get(f"logistic[intercept=false]:{large}").oracle.data
    stored = parts(read[0].A)
    ours = (packed.values, packed.indices) if len(stored) == 3 else (packed.dense,)
    for array, mapped in zip(ours, stored, strict=False):
        assert np.shares_memory(array, mapped)
        assert array.flags.aligned  # Numba compiles for aligned arrays alone
        assert array.ctypes.data % 64 == 0


@pytest.mark.parametrize("text", [sparse_text, dense_text])
def test_n_features_and_base_apply_to_cached_rows_too(text, small):
    path, _ = small
    path.write_bytes(text(200))
    for _ in range(2):
        data = load_dataset(path)
        wide = load_dataset(path, n_features=data.p + 3)
        moved = load_dataset(path, index_base=0)
        full, other, right = (A.toarray() if issparse(A) else A for A in (data.A, wide.A, moved.A))
        np.testing.assert_array_equal(other, np.pad(full, ((0, 0), (0, 3))))
        np.testing.assert_array_equal(right, np.pad(full, ((0, 0), (1, 0))))


def test_dense_matrix_becomes_sparse_where_columns_are_added():
    A = np.arange(1.0, 7.0).reshape(2, 3)
    assert placed(A, 0, 3) is A
    assert isinstance(placed(A, 1, 5), np.ndarray)
    assert issparse(placed(A, 1, 6))  # half full
    for p in (5, 6):
        wide = placed(A, 1, p)
        wide = wide.toarray() if issparse(wide) else wide
        np.testing.assert_array_equal(wide, np.pad(A, ((0, 0), (1, p - 4))))


# --- a changed source


def test_changed_source_is_parsed_anew(small):
    path, folder = small
    assert load_dataset(path).m == 3
    path.write_bytes(b"1 1:2 3:4\n-1 2:6\n")
    assert load_dataset(path).m == 2
    assert len(list(folder.iterdir())) == 2


def test_source_that_changes_before_it_is_parsed_is_not_kept_under_its_old_hash(small, monkeypatch):
    path, folder = small
    old, new = path.read_bytes(), b"1 1:2 3:4\n-1 2:6\n"

    def hash_then_change(_path):
        found = hashes.hashlib.sha256(old).hexdigest()
        path.write_bytes(new)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(parsed, "file_sha256", hash_then_change)
        assert load_dataset(path).m == 2
    assert [file.stem for file in folder.iterdir()] == [hashes.hashlib.sha256(new).hexdigest()]
    path.write_bytes(old)
    assert load_dataset(path).m == 3


@pytest.mark.parametrize("compress", [bz2.compress, lzma.compress, gzip.compress])
def test_hash_of_a_compressed_source_is_that_of_its_bytes(compress, tmp_path):
    path = tmp_path / "case"
    path.write_bytes(compress(b"1 1:1\n") + compress(sparse_text(20_000)) + bytes(100))
    rows = parsed.parse_libsvm(path)
    assert rows.file_sha256 == hashes.hashlib.sha256(path.read_bytes()).hexdigest() == file_sha256(path)
    assert rows.sha256 == hashes.hashlib.sha256(b"1 1:1\n" + sparse_text(20_000)).hexdigest()


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


@pytest.fixture
def remembered(tmp_path, monkeypatch):
    """A file old enough to be remembered, and how often it was read."""
    monkeypatch.setattr(hashes, "REMEMBER_ABOVE", 3)
    monkeypatch.setattr(hashes, "SETTLED", 0)
    path = tmp_path / "source"
    path.write_bytes(b"1234")
    age(path, 10)
    reads = []
    digest = hashes.hashlib.file_digest

    def counted(file, name):  # the memory of hashes has one too
        reads.extend([1] * (file.name == str(path)))
        return digest(file, name)

    monkeypatch.setattr(hashes.hashlib, "file_digest", counted)
    return path, reads


def test_unchanged_file_is_not_read_again(remembered):
    path, reads = remembered
    assert file_sha256(path) == file_sha256(path) == hashes.hashlib.sha256(b"1234").hexdigest()
    assert len(reads) == 1


def test_every_sign_of_a_change_makes_it_read_again(remembered):
    path, reads = remembered
    state = path.stat()

    def other_inode():
        other = path.with_name("other")
        other.write_bytes(b"4321")
        os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
        other.replace(path)

    def same_size_and_time():  # the time of change tells
        path.write_bytes(b"5678")
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))

    for change in (lambda: path.write_bytes(b"12345"), other_inode, same_size_and_time, lambda: age(path, 5)):
        file_sha256(path)
        before = len(reads)
        change()
        assert file_sha256(path) == hashes.hashlib.sha256(path.read_bytes()).hexdigest()
        assert len(reads) == before + 1


@pytest.mark.parametrize("seconds", [0, -3600])
def test_file_changed_a_moment_ago_or_in_the_future_is_not_remembered(remembered, monkeypatch, seconds):
    path, reads = remembered
    monkeypatch.setattr(hashes, "SETTLED", 2 * 10**9)
    age(path, seconds)
    assert file_sha256(path) == file_sha256(path)
    assert len(reads) == 2


def test_file_that_changes_while_it_is_read_is_not_remembered(remembered, monkeypatch):
    path, _ = remembered
    digest = hashes.hashlib.file_digest

    def change_meanwhile(file, name):
        found = digest(file, name)
        path.write_bytes(b"9999")
        return found

    monkeypatch.setattr(hashes.hashlib, "file_digest", change_meanwhile)
    file_sha256(path)
    monkeypatch.setattr(hashes.hashlib, "file_digest", digest)
    assert file_sha256(path) == hashes.hashlib.sha256(b"9999").hexdigest()


def test_small_files_are_not_remembered(tmp_path):
    path = tmp_path / "small"
    path.write_bytes(b"1 1:1\n")
    file_sha256(path)
    assert not (tmp_path / "cache" / "hashes").exists()


def test_damaged_memory_of_a_hash_counts_for_nothing(remembered, tmp_path):
    path, reads = remembered
    right = file_sha256(path)
    (memo,) = (tmp_path / "cache" / "hashes").iterdir()
    whole = memo.read_bytes()
    memo.write_bytes(whole.replace(right[:8].encode(), b"00000000").replace(right[:8].encode("utf-32-le"), bytes(32)))
    assert memo.read_bytes() != whole
    assert file_sha256(path) == right
    assert len(reads) == 2


# --- damage


def damages(whole: bytes):
    middle = len(whole) // 2
    yield whole[:middle]
    yield b""
    yield bytes(100)
    yield whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]


@pytest.mark.parametrize("which", range(4))
def test_damaged_cache_is_rebuilt_with_a_notice(large, which, tmp_path, capfd):
    expected = load_dataset(large)
    (stored,) = (tmp_path / "cache" / "libsvm").iterdir()
    whole = stored.read_bytes()
    stored.write_bytes(list(damages(whole))[which])
    again = load_dataset(large)
    assert re.search(r"\.npz is damaged or another's .*; it is made anew\.\n\Z", capfd.readouterr().err)
    assert_equal(expected, again)
    assert stored.read_bytes() == whole
    assert_equal(expected, load_dataset(large))
    assert capfd.readouterr().err == ""


def test_cache_of_another_format_is_rebuilt_in_silence(small, monkeypatch):
    path, folder = small
    load_dataset(path)
    (stored,) = folder.iterdir()
    before = stored.read_bytes()
    monkeypatch.setattr(parsed, "FORMAT", parsed.FORMAT + 1)
    assert load_dataset(path).m == 3
    assert stored.read_bytes() != before


def test_limit_on_the_text_holds_for_cached_files_too(small):
    path, folder = small
    size = path.stat().st_size
    for limit in (size, size - 1):
        if limit < size:
            with pytest.raises(DataError, match=f"holds more than {limit} bytes of text"):
                load_dataset(path, text_limit=limit)
        else:
            load_dataset(path, text_limit=limit)
    assert len(list(folder.iterdir())) == 1


def test_small_files_are_not_cached(tmp_path):
    path = tmp_path / "small"
    path.write_bytes(b"1 1:1\n")
    load_dataset(path)
    assert list((tmp_path / "cache" / "libsvm").iterdir()) == []


def test_unwritable_cache_changes_nothing(small, monkeypatch, tmp_path):
    path, folder = small
    expected = load_dataset(path)
    shutil.rmtree(folder)
    (tmp_path / "a file").touch()
    monkeypatch.setenv("DADAPT_CACHE", str(tmp_path / "a file" / "cache"))
    assert_equal(load_dataset(path), expected)


def test_cache_may_vanish_while_it_is_mapped(large, tmp_path):
    first = load_dataset(large)
    second = load_dataset(large)
    shutil.rmtree(tmp_path / "cache")
    assert_equal(first, second)


# --- several processes

LOADER = """
import sys
from problems.data import load_dataset, parsed
parsed.CACHE_ABOVE = 0
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    data = load_dataset(sys.argv[1])
    assert (data.m, int(data.A.sum()), int(data.target.sum())) == (30_000, 450_060_000, 15_000)
"""


def test_processes_use_one_cache_while_it_is_damaged_again_and_again(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(b"".join(b"%d 1:%d 2:0.5 4:1\n" % (i % 2, i + 1) for i in range(30_000)))
    loaders = [
        subprocess.Popen([sys.executable, "-c", LOADER, str(path), "15"], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for _ in range(2)
    ]  # fmt: skip
    for loader in loaders:
        assert loader.stdout.readline() == "ready\n"
    for loader in loaders:
        loader.stdin.write("\n")
        loader.stdin.flush()
    folder = tmp_path / "cache" / "libsvm"
    broken = 0
    while any(loader.poll() is None for loader in loaders):
        for stored in folder.glob("*.npz"):
            with contextlib.suppress(OSError):  # replaced, as a copy gone bad would be: who has it mapped keeps it
                bad = tmp_path / "bad"
                bad.write_bytes(stored.read_bytes()[:-7])
                bad.replace(stored)
                broken += 1
        time.sleep(0.02)
    for loader in loaders:
        loader.communicate()
        assert loader.returncode == 0
    assert broken > 3
    assert load_dataset(path).m == load_dataset(path).m == 30_000
    assert [file.suffix for file in folder.iterdir()] in ([".npz"], [])


# --- which reader


STARTED = """
import sys
from problems.data import load_dataset
load_dataset(sys.argv[1])
print("numba" in sys.modules)
"""


def test_small_file_does_not_start_numba(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(sparse_text(20_000))
    done = subprocess.run(
        [sys.executable, "-c", STARTED, str(path)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "False"


def test_both_readers_serve_a_file_alike(large, monkeypatch, tmp_path):
    by_plain, results = [], []
    plain = parsed.read_plainly
    monkeypatch.setattr(parsed, "read_plainly", lambda text: by_plain.append(len(results)) or plain(text))
    for above in (0, 10**9):
        monkeypatch.setattr(parsed, "COMPILED_ABOVE", above)
        monkeypatch.setattr(parsed, "NUMBA_ABOVE", above)
        results.append(load_dataset(large))
        shutil.rmtree(tmp_path / "cache")
    assert set(by_plain) == {1}  # the second time only
    assert_equal(*results)
