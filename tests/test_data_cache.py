"""The cache: whole files or none, damage is noticed, and nothing depends on it."""

import io
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from problems.data import cache as module
from problems.data.cache import cache_dir, cache_root, load_npz, save_npz
from problems.files import TEMPORARY, UNSEALED, replacing, seal, sweep

ARRAYS = {
    "file": np.arange(6.0).reshape(2, 3),
    "x": np.array([1, 2], dtype=np.int32),
    "empty": np.zeros((0, 2)),
}
META = {"format": 1, "name": "caf\u00e9", "value": 0.1, "list": [1, None]}


def assert_same(loaded, arrays=None, meta=None):
    arrays, meta = arrays or ARRAYS, meta or META
    assert loaded is not None
    assert loaded[1] == meta
    assert loaded[0].keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[0][name], array)
        assert loaded[0][name].dtype == array.dtype


def test_what_is_saved_is_loaded(tmp_path):
    path = tmp_path / "a.npz"
    assert save_npz(path, ARRAYS, META) is True
    assert_same(load_npz(path))
    assert list(tmp_path.iterdir()) == [path]


def test_temporary_file_lies_in_the_same_folder(tmp_path, monkeypatch):
    # elsewhere may be another file system, where a file cannot take its name in one step
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    assert save_npz(tmp_path / "a.npz", ARRAYS, META) is True


def test_numpy_reads_the_file_without_pickle(tmp_path):
    path = tmp_path / "a.npz"
    save_npz(path, {"x": np.arange(3)}, {})
    with np.load(path, allow_pickle=False) as archive:
        assert archive["x"].tolist() == [0, 1, 2]


def test_saving_replaces(tmp_path):
    path = tmp_path / "a.npz"
    save_npz(path, ARRAYS, META)
    save_npz(path, {"x": np.ones(1)}, {"format": 2})
    assert_same(load_npz(path), {"x": np.ones(1)}, {"format": 2})


@pytest.mark.parametrize(
    ("arrays", "meta", "error"),
    [
        ({"meta": np.ones(1)}, {}, ValueError),
        ({"x": np.array([{}])}, {}, ValueError),
        ({}, {"x": {1, 2}}, TypeError),
    ],
)
def test_what_cannot_be_stored_is_refused_and_leaves_nothing(tmp_path, arrays, meta, error):
    with pytest.raises(error):
        save_npz(tmp_path / "a.npz", arrays, meta)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(params=[False, True])
def mapped(request, monkeypatch):
    """Whether arrays are mapped, then all of them."""
    monkeypatch.setattr(module, "MAP_ABOVE", 0)
    return request.param


MORE = {
    "x" * 7: np.arange(10.0),
    "matrix": np.arange(12, dtype=np.int32).reshape(3, 4),
    "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "single": np.array(3.5),
    "bytes": np.arange(5, dtype=np.uint8),
    "\u00e9": np.zeros(1),
}


def test_mapped_arrays_are_aligned_and_read_only(tmp_path, mapped):
    path = tmp_path / "a.npz"
    save_npz(path, ARRAYS | MORE, META)
    loaded = load_npz(path, mapped=mapped)
    assert_same(loaded, ARRAYS | MORE)
    for array in loaded[0].values():
        assert type(array) is np.ndarray
        assert array.flags.writeable != mapped
        if mapped and array.size:
            assert array.ctypes.data % module.ALIGNMENT == 0


def test_mapped_file_may_be_replaced_and_removed(tmp_path, mapped):
    path = tmp_path / "a.npz"
    save_npz(path, ARRAYS, META)
    loaded = load_npz(path, mapped=mapped)
    save_npz(path, {"x": np.ones(1000)}, {})
    assert_same(loaded)
    path.unlink()
    assert_same(loaded)


def test_file_that_cannot_be_mapped_is_read(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    save_npz(path, ARRAYS, META)

    def refuse(*_args, **_kwargs):
        raise OSError(19, "No such device")

    monkeypatch.setattr(module, "MAP_ABOVE", 0)
    monkeypatch.setattr(module.mmap, "mmap", refuse)
    assert_same(load_npz(path, mapped=True))
    assert path.exists()


def test_only_large_arrays_are_mapped(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAP_ABOVE", 10_000)
    save_npz(tmp_path / "a.npz", {"small": np.zeros(1000), "large": np.zeros(2000)}, {})
    arrays, _ = load_npz(tmp_path / "a.npz", mapped=True)
    assert [array.flags.writeable for array in arrays.values()] == [True, False]


def test_damaged_file_is_removed_with_one_line_that_says_so(tmp_path, capfd):
    path = tmp_path / "a.npz"
    path.write_bytes(b"text")
    assert load_npz(path) is None
    said = capfd.readouterr().err
    assert said == f"{path} is damaged or another's (its SHA-256 is not the one in it); it is made anew.\n"
    assert not path.exists()
    assert load_npz(path) is None
    assert capfd.readouterr().err == ""  # absent: nothing to say


def test_file_of_another_name_is_removed_with_one_line_that_says_so(tmp_path, mapped, capfd):
    save_npz(tmp_path / "a.npz", ARRAYS, META)
    (tmp_path / "a.npz").rename(tmp_path / "b.npz")
    assert load_npz(tmp_path / "b.npz", mapped=mapped) is None
    assert "b.npz is damaged or another's (it is that of 'a')" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_mapped_member_whose_header_is_that_of_another_array_is_refused(tmp_path, mapped):
    # a right seal alone does not make an array: its header must fit its size
    path = tmp_path / "a.npz"
    for content in (b"", b"\x93NUMPY", b"text" * 50, npy(np.arange(4))[:-8], npy(np.arange(4)) + b"more"):
        write_sealed(path, content)
        assert load_npz(path, mapped=mapped) is None
    write_sealed(path, npy(np.zeros(100)), zipfile.ZIP_DEFLATED)
    assert (load_npz(path, mapped=mapped) is None) == mapped  # compressed arrays cannot be mapped


def write_sealed(path, content, compression=zipfile.ZIP_STORED):
    """A whole file, whatever its array is."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("x.npy", content)
        archive.writestr("meta.npy", npy(np.array('{"name": "a", "about": {}}')))
        archive.comment = UNSEALED.encode()
    path.write_bytes(seal(buffer.getvalue()))


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_absent_file_is_none(tmp_path):
    assert load_npz(tmp_path / "a.npz") is None
    assert load_npz(tmp_path / "no folder" / "a.npz") is None
    assert load_npz(tmp_path) is None
    assert tmp_path.is_dir()


def test_no_changed_byte_passes_unnoticed(tmp_path, mapped):
    path = tmp_path / "a.npz"
    save_npz(path, ARRAYS, META)
    whole = path.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        assert load_npz(path, mapped=mapped) is None
        assert not path.exists()


def test_no_cut_passes_unnoticed(tmp_path, mapped):
    path = tmp_path / "a.npz"
    save_npz(path, ARRAYS, META)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert load_npz(path, mapped=mapped) is None
        assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"text", b"\x93NUMPY" + b"\0" * 50, b"PK\x05\x06" + b"\0" * 17])
def test_foreign_file_is_removed(tmp_path, mapped, content):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    assert load_npz(path, mapped=mapped) is None
    assert not path.exists()


def test_pickles_are_not_opened(tmp_path, mapped):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.array([1]), meta=np.array([{"name": "a", "about": {}}], dtype=object))
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = UNSEALED.encode()
    path.write_bytes(seal(path.read_bytes()))
    assert load_npz(path, mapped=mapped) is None
    assert not path.exists()


def test_a_file_of_an_earlier_version_counts_as_absent_in_silence(tmp_path, mapped, capfd):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.array([1]), meta=np.array('{"name": "a", "about": {}}'))
    assert load_npz(path, mapped=mapped) is None
    assert capfd.readouterr().err == ""


def test_refusing_file_system_gives_false_and_leaves_nothing(tmp_path, monkeypatch):
    assert save_npz(tmp_path / "no folder" / "a.npz", ARRAYS, META) is False

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", full)
    assert save_npz(tmp_path / "a.npz", ARRAYS, META) is False
    assert list(tmp_path.iterdir()) == []


def test_interrupted_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    save_npz(path, ARRAYS, META)

    def interrupt(*_args, **_kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(np.lib.format, "write_array", interrupt)
        with pytest.raises(KeyboardInterrupt):
            save_npz(path, {"x": np.ones(1)}, {})
    assert_same(load_npz(path))
    assert list(tmp_path.iterdir()) == [path]


def test_environment_names_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DADAPT_CACHE", str(tmp_path / "here"))
    assert cache_root() == tmp_path / "here"
    assert not cache_root().exists()
    assert cache_dir("sub") == tmp_path / "here" / "sub"
    assert (tmp_path / "here" / "sub").is_dir()


@pytest.mark.parametrize("value", [None, ""])
def test_without_environment_the_users_cache_folder_is_taken(monkeypatch, value):
    monkeypatch.delenv("DADAPT_CACHE", raising=False)
    if value is not None:
        monkeypatch.setenv("DADAPT_CACHE", value)
    assert cache_root().is_absolute()
    assert "dadapt-convex" in cache_root().parts


def test_relative_and_home_folders_become_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("here", "~/here"):
        monkeypatch.setenv("DADAPT_CACHE", value)
        assert cache_root() == tmp_path / "here"


def test_cache_that_cannot_be_made_is_none(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DADAPT_CACHE", str(tmp_path / "file" / "cache"))
    assert cache_dir("sub") is None
    monkeypatch.setenv("DADAPT_CACHE", str(tmp_path))
    assert cache_dir("file") is None


def test_cache_without_write_permission_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("DADAPT_CACHE", str(tmp_path))
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: real(path, mode) and not mode & os.W_OK)
    assert cache_dir("sub") is None


WRITER = """
import sys
from pathlib import Path
import numpy as np
from problems.data.cache import save_npz
path, mark = Path(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(60):
    assert save_npz(path, {"x": np.full(200_000, mark), "y": np.full(3, mark)}, {"mark": mark})
"""


def test_two_writers_and_a_reader_never_see_a_part(tmp_path):
    path = tmp_path / "a.npz"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(mark)], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True, cwd=Path(__file__).resolve().parents[1])
        for mark in (1, 2)
    ]  # fmt: skip
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    seen = []
    while any(writer.poll() is None for writer in writers):
        existed = path.exists()
        loaded = load_npz(path, mapped=True)
        assert loaded is not None or not existed  # never taken for damaged
        if loaded is not None:
            arrays, meta = loaded
            assert set(arrays["x"]) == set(arrays["y"]) == {meta["mark"]}
            seen.append(meta["mark"])
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    assert set(seen) <= {1, 2}
    assert seen
    assert list(tmp_path.iterdir()) == [path]


KILLED = """
import sys
from pathlib import Path
import numpy as np
from problems.data.cache import save_npz
path = Path(sys.argv[1])
print("ready", flush=True)
for round in range(10**6):
    assert save_npz(path, {"x": np.full(20_000, round)}, {"round": round})
"""


def test_killed_writers_leave_whole_files_and_what_is_half_written_is_deleted(tmp_path):
    path, random = tmp_path / "a.npz", np.random.default_rng(0)
    left = False
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE,
                                  cwd=Path(__file__).resolve().parents[1])  # fmt: skip
        writer.stdout.readline()
        time.sleep(random.uniform(0.01, 0.1))
        writer.kill()
        writer.communicate()
        if path.exists():
            arrays, meta = load_npz(path)
            assert set(arrays["x"]) == {meta["round"]}
        left = left or any(tmp_path.glob(f"{TEMPORARY}*"))
    assert left
    save_npz(path, {}, {})
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_still_written_to_is_not_swept(tmp_path):
    with replacing(tmp_path / "a") as temporary:
        sweep(tmp_path)
        temporary.write_text("whole")
    assert (tmp_path / "a").read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_file_is_on_the_disk_before_it_takes_its_name(tmp_path, monkeypatch):
    done, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (done.append("fsync"), fsync(descriptor)))
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append("replace"), replace(*paths)))
    assert save_npz(tmp_path / "a.npz", ARRAYS, META)
    assert done[:2] == ["fsync", "replace"]
