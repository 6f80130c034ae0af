"""The table of the LIBSVM site's files, and what a name of it brings to a file."""

import csv
import dataclasses
import importlib
import re
from collections import defaultdict

import numpy as np
import pytest

from problems.data import (
    DataError,
    DataNotFound,
    Dataset,
    catalogue,
    find,
    find_file,
    fits,
    load_libsvm,
    resolve,
)
from problems.data.catalogue import PARTS, TABLE, Entry, bytes_text
from problems.data.dataset import TASKS
from problems.data.streams import TextPieces

RESOLVE = importlib.import_module("problems.data.resolve")  # the package has a function of this name
ENTRIES = list(catalogue().values())
SETS: dict[str, list[Entry]] = defaultdict(list)
for _entry in ENTRIES:
    SETS[_entry.set].append(_entry)

# What the catalogue leaves out, and why, is said in its docstring; these are the sets whose training file it lacks.
WITHOUT_TRAINING_FILE = {"epsilon_normalized", "kdd12"}


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """No file and no network beyond what a test makes."""
    monkeypatch.setenv("DADAPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DADAPT_DATA", raising=False)
    monkeypatch.setenv("DADAPT_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)


def test_the_table_holds_the_sets_of_each_task():
    count = {task: len({entry.set for entry in ENTRIES if entry.task == task}) for task in TASKS}
    assert count == {"binary": 64, "multiclass": 43, "regression": 23}
    names = {"a8a", "a9a.t", "ijcnn1.val", "letter.scale", "news20", "news20.t.scale", "sector.t.scale", "usps",
             "mpg_scale", "rcv1_test.binary", "combined_scale.t", "E2006.train", "HIGGS", "SUSY"}  # fmt: skip
    assert names <= set(catalogue())


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_entry_is_well_formed(entry):
    assert re.fullmatch(r"(binary|multiclass|regression)/[\w./-]+", entry.path)
    assert entry.compression in ("", ".bz2", ".xz")
    assert entry.file_name == entry.name + entry.compression
    assert entry.part in PARTS
    assert all(number is None or number >= 1 for number in (entry.m, entry.p, entry.bytes))
    assert (entry.classes is None) == (entry.task == "regression")
    if entry.task != "regression":
        assert (entry.classes == 2) == (entry.task == "binary")
    assert entry.sha256_text is None or re.fullmatch(r"[0-9a-f]{64}", entry.sha256_text)
    assert entry.preprocessing
    assert entry.source


def test_names_stand_once_in_the_table():
    with TABLE.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(ENTRIES)


@pytest.mark.parametrize("name", SETS)
def test_files_of_a_set_agree(name):
    files = SETS[name]
    for what in ("task", "p", "classes", "source"):
        assert len({getattr(entry, what) for entry in files}) == 1, what
    parts = [entry.part for entry in files]
    assert len(set(parts)) == len(parts)
    main = [entry for entry in files if entry.part == "training"]
    if name in WITHOUT_TRAINING_FILE:
        assert main == []
    else:
        assert [entry.name for entry in main] == [name]


def test_training_part_and_validation_file_make_up_the_training_file():
    checked = 0
    for files in SETS.values():
        rows = {entry.part: entry.m for entry in files}
        if {"training", "training part", "validation"} <= set(rows) and rows["training"] != 44:  # duke: see below
            assert rows["training"] == rows["training part"] + rows["validation"], files
            checked += 1
    assert checked == 9
    # of duke's 44 rows the two parts are those on which two laboratory tests agreed
    assert [entry.m for entry in SETS["duke"]] == [44, 38, 4]


def test_a_and_w_series_have_one_whole():
    for letter, sizes, whole in (("a", range(1, 10), 32561), ("w", range(1, 9), 49749)):
        totals = {find(f"{letter}{i}a").m + find(f"{letter}{i}a.t").m for i in list(sizes)[:-1]}
        assert totals == {whole}


def test_the_table_agrees_with_the_files_that_are_here(shared_data):
    """Rows, columns, classes and hashes of published files; those that are no published copies have no entry."""
    with (shared_data / "INDEX.csv").open(newline="") as file:
        index = {row["name"]: row for row in csv.DictReader(file)}
    known = {name: row for name, row in index.items() if name in catalogue()}
    assert all(
        "REBUILT" in row["verified"] or "PART" in row["verified"] for name, row in index.items() if name not in known
    )
    assert len(known) > 30
    for name, row in known.items():
        entry = find(name)
        assert (entry.task, entry.m, entry.p) == (row["task"], int(row["rows"]), int(row["features"])), name
        assert entry.classes == (int(row["classes"]) if row["classes"] else None), name
    hashed = [name for name in known if find(name).sha256_text]
    assert len(hashed) == sum(entry.sha256_text is not None for entry in ENTRIES) == 8
    for name in hashed:
        path = find_file(name, shared_data)
        with path.open("rb") as file:
            text = TextPieces(path, file)
            assert sum(map(len, text)) > 0
        assert text.sha256 == find(name).sha256_text, name
        assert not re.search("final newline added|carriage returns|rebuilt|back in order", known[name]["verified"])


def test_find_takes_the_names_of_files_with_and_without_the_suffix_they_have():
    assert find("news20").path == find("news20.bz2").path == "multiclass/news20.bz2"
    for name in ("news20.xz", "a9a.bz2", "A9A", ""):
        with pytest.raises(DataNotFound):
            find(name)


def test_an_unknown_name_is_answered_with_the_nearest_and_the_command_that_lists_all():
    with pytest.raises(
        DataNotFound, match=r"no file 'leter.scale'; the nearest names are letter.scale, .* list --prob"
    ):
        find("leter.scale")
    with pytest.raises(DataNotFound, match=r"the nearest names are .*letter\.scale"):
        resolve("leter.scale", "multiclass")


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        catalogue()["a9a"] = find("a9a")
    with pytest.raises(AttributeError):
        find("a9a").m = 1


@pytest.mark.parametrize(
    ("size", "text"),
    [(None, ""), (0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (2329875, "2.33 MB"), (10**10, "10 GB")],
)
def test_sizes_are_written_for_people(size, text):
    assert bytes_text(size) == text


# --- what the catalogue brings to a file of its name


def test_every_file_of_a_set_has_its_columns(tmp_path):
    (tmp_path / "a1a").write_bytes(b"-1 3:1 119:1\n+1 1:1\n")
    (tmp_path / "a1a.t").write_bytes(b"-1 123:1\n+1 1:1\n")
    for name in ("a1a", "a1a.t"):
        assert resolve(name, "binary").p == load_libsvm(name)[0].shape[1] == 123
    assert resolve(tmp_path / "a1a", "binary").p == 119  # a path is a file and nothing else
    assert load_libsvm("./a1a")[0].shape[1] == 119
    assert load_libsvm("a1a", n_features=130)[0].shape[1] == 130


def test_files_that_are_here_have_the_columns_of_their_set(shared_data):
    assert resolve("a1a", "binary", shared_data).p == 123  # the file itself uses 119
    assert resolve("usps.t", "multiclass", shared_data).p == 256
    assert load_libsvm("w1a", data_dir=shared_data)[0].shape == (2477, 300)


def test_a_file_with_more_columns_than_its_set_is_refused_with_both_numbers(tmp_path):
    (tmp_path / "heart").write_bytes(b"-1 14:1\n+1 1:1\n")
    with pytest.raises(
        DataError, match=r"heart uses 14 features, and heart of the LIBSVM site has 13; .* give its path"
    ):
        resolve("heart", "binary")
    assert resolve("./heart", "binary").p == 14
    assert load_libsvm("heart", n_features=20)[0].shape == (2, 20)


def test_a_faulty_file_is_refused_for_its_fault(tmp_path):
    (tmp_path / "heart").write_bytes(b"-1 1:x\n")
    with pytest.raises(DataError, match=r"heart, line 1: .*'x'"):
        resolve("heart", "binary")


def test_without_a_known_number_of_columns_the_file_decides(tmp_path, monkeypatch):
    unsure = dataclasses.replace(find("heart"), m=None, p=None)
    monkeypatch.setattr(RESOLVE, "lookup", lambda name: unsure)
    (tmp_path / "heart").write_bytes(b"-1 14:1\n+1 1:1\n")
    assert resolve("heart", "binary").p == 14


def test_a_copy_with_other_bytes_is_used_and_noted(tmp_path, shared_data):
    assert resolve("heart_scale", "binary", shared_data).notes == ""
    published = (shared_data / "heart_scale").read_bytes()
    (tmp_path / "heart_scale").write_bytes(published.replace(b"\n", b"\r\n"))
    data = resolve("heart_scale", "binary", tmp_path)
    assert isinstance(data, Dataset)
    assert data.notes.startswith(f"not the published bytes: SHA-256 of the text {data.sha256}, theirs 5defa0a4")
    assert data.m == 270
    assert np.array_equal(data.A, resolve("heart_scale", "binary", shared_data).A)
    assert resolve("./heart_scale", "binary").notes == ""


def test_nothing_is_downloaded_for_lists_of_names(monkeypatch):
    monkeypatch.setattr(RESOLVE, "fetch", lambda *entry: pytest.fail("downloads"))
    assert not any(fits(name, task) for name in ("a8a", "letter.scale", "mpg") for task in TASKS)
    import problems

    assert "logistic:a8a" not in problems.names()
