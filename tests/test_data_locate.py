"""Finding files, listing names, and which of two data sets of one name is meant."""

import lzma
import os
from pathlib import Path

import pytest

from problems.data import (
    EMBEDDED,
    DataNotFound,
    available,
    binary_labels,
    embedded,
    find_file,
    fits,
    libsvm,
    resolve,
)
from problems.data.dataset import TASKS
from problems.data.locate import places

TWO_CLASSES = b"-1 1:1\n1 2:1\n-1 1:2\n"
THREE_CLASSES = b"1 1:1\n2 2:1\n3 1:2\n"
REAL_TARGETS = b"0.5 1:1\n1.5 2:1\n3 1:2\n"


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """No network, and five places where a file may be, each with its own folder."""
    made = {name: tmp_path / name for name in ("data", "one", "two", "cache/raw", "here")}
    for folder in made.values():
        folder.mkdir(parents=True)
    monkeypatch.setenv("DADAPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DADAPT_OFFLINE", "1")
    monkeypatch.setenv("DADAPT_DATA", os.pathsep.join([str(made["one"]), "", str(made["two"])]))
    monkeypatch.chdir(made["here"])
    return made


def test_folders_are_looked_through_in_the_documented_order(folders):
    for folder in folders.values():
        (folder / "a9a").write_bytes(TWO_CLASSES)
    for folder in folders.values():
        assert find_file("a9a", folders["data"]).resolve() == folder / "a9a"
        (folder / "a9a").unlink()
    with pytest.raises(DataNotFound):
        find_file("a9a", folders["data"])


def test_a_folder_with_any_form_comes_before_later_folders(folders):
    (folders["data"] / "a9a.xz").touch()
    (folders["one"] / "a9a").touch()
    assert find_file("a9a", folders["data"]) == folders["data"] / "a9a.xz"


def test_plain_then_bz2_xz_gz(folders):
    for suffix in ("", ".bz2", ".xz", ".gz"):
        (folders["data"] / f"a9a{suffix}").touch()
    for suffix in ("", ".bz2", ".xz", ".gz"):
        assert find_file("a9a", folders["data"]) == folders["data"] / f"a9a{suffix}"
        (folders["data"] / f"a9a{suffix}").unlink()


def test_names_with_suffix_are_found_as_they_stand(folders):
    (folders["data"] / "a9a.xz").touch()
    assert find_file("a9a.xz", folders["data"]) == folders["data"] / "a9a.xz"


def test_path_is_taken_as_it_stands_or_with_a_suffix(folders, monkeypatch):
    path = folders["two"] / "b.xz"
    path.touch()
    assert find_file(path) == find_file(str(path)) == find_file(folders["two"] / "b") == path
    assert find_file("../two/b").resolve() == path
    monkeypatch.setenv("HOME", str(folders["two"]))
    assert find_file("~/b") == path


def test_path_is_not_looked_up_elsewhere(folders):
    (folders["data"] / "a9a").touch()
    with pytest.raises(DataNotFound, match=r"no file './a9a', nor one with .bz2, .xz, .gz added"):
        find_file("./a9a", folders["data"])


@pytest.mark.parametrize("name", ["", ".", "..", "/", "a\0b", "x" * 5000, "no/such/folder/a9a", "data"])
def test_names_that_can_be_no_file_are_not_found(name, folders):
    with pytest.raises(DataNotFound):
        find_file(name, folders["data"].parent)  # holds the folder "data", which is no file


def test_message_says_where_it_looked_what_is_near_and_what_to_do(folders):
    (folders["one"] / "a9a.xz").touch()
    (folders["data"] / "w8a").touch()
    with pytest.raises(DataNotFound) as caught:
        find_file("A9", folders["data"])
    message = str(caught.value)
    for part in (f"no data named 'A9'; looked in {folders['data']}, {folders['one']}, {folders['two']}, ",
                 f"{folders['cache/raw']} and the current folder; the nearest name is a9a; ",
                 "--data-dir DIR", "DADAPT_DATA"):  # fmt: skip
        assert part in message
    assert "\n" not in message


def test_message_names_embedded_sets_and_absent_folders(folders):
    with pytest.raises(DataNotFound, match=r"absent \(no such folder\).*names are digits, .*pendigits"):
        find_file("digit", folders["data"] / "absent")


def test_path_message_names_what_is_near_in_its_folder(folders):
    (folders["two"] / "a9a.bz2").touch()
    with pytest.raises(DataNotFound, match=r"the nearest name is .*two.a9a; give the path"):
        find_file(folders["two"] / "a9b")


def test_available_lists_embedded_sets_then_files(folders):
    listed, skipped = ("b.xz", "b", "a9a.t", "diabetes"), ("README", "INDEX.csv", "x.csv", "y.md", ".hidden")
    for name in listed + skipped:
        (folders["data"] / name).touch()
    (folders["one"] / "c.gz").touch()
    (folders["two"] / "folder").mkdir()
    (folders["here"] / "not listed").touch()
    assert available(folders["data"]) == [*EMBEDDED, "a9a.t", "b", "c"]
    assert available() == [*EMBEDDED, "c"]


def test_available_survives_absent_folders(folders, monkeypatch):
    monkeypatch.setenv("DADAPT_DATA", str(folders["one"] / "absent"))
    assert available(folders["data"] / "absent") == list(EMBEDDED)


def test_places_are_the_first_folders_that_hold_a_file(folders):
    for folder in ("data", "two", "here"):
        (folders[folder] / "a9a.bz2").touch()
    (folders["two"] / "b").touch()
    (folders["cache/raw"] / "b").touch()
    (folders["here"] / "c").touch()
    assert places(folders["data"]) == {"a9a": folders["data"], "b": folders["two"], "c": Path()}
    assert places()["a9a"] == folders["two"]
    assert all((folder / find_file(name).name).is_file() for name, folder in places().items())


# --- one name, two data sets


def test_diabetes_is_embedded_for_regression_and_a_file_for_labels(folders):
    (folders["data"] / "diabetes").write_bytes(TWO_CLASSES)
    assert resolve("diabetes", "regression", folders["data"]).sha256 == embedded("diabetes").sha256
    for task in ("binary", "multiclass"):
        data = resolve("diabetes", task, folders["data"])
        assert data.source == "LIBSVM file diabetes"
        assert data.m == 3


def test_iris_is_embedded_for_labels_and_a_file_for_regression(folders):
    (folders["data"] / "iris").write_bytes(THREE_CLASSES)
    assert resolve("iris", "binary", folders["data"]).sha256 == embedded("iris", "binary").sha256
    assert resolve("iris", "multiclass", folders["data"]).sha256 == embedded("iris").sha256
    data = resolve("iris", "regression", folders["data"])
    assert (data.source, data.task, data.classes) == ("LIBSVM file iris", "regression", None)


def test_path_means_the_file_even_where_a_set_is_embedded(folders):
    path = folders["here"] / "iris"
    path.write_bytes(THREE_CLASSES)
    assert resolve("./iris", "multiclass").m == resolve(path, "multiclass").m == 3


@pytest.mark.parametrize(
    ("name", "task", "message"),
    [
        ("iris", "regression", r"the embedded set iris has class labels \(logistic:iris, .*\), and "),
        ("iris", "regression", r", and there is no file named 'iris'; looked in .* --data-dir DIR"),
        (
            "diabetes",
            "binary",
            r"the embedded set diabetes has real targets \(lad:diabetes, .*\); diabetes is in none of",
        ),
        (
            "a9a",
            "binary",
            r"a9a is in none of .*/data, .*/cache/raw and the current folder, and could not be downloaded",
        ),
        ("a9z", "binary", r"no data named 'a9z'; looked in"),
    ],
)
def test_refusal_says_what_the_embedded_set_is_for(name, task, message, folders):
    with pytest.raises(DataNotFound, match=message) as caught:
        resolve(name, task, folders["data"])
    assert "nearest name is " + name not in str(caught.value)


def test_unknown_task_is_refused():
    with pytest.raises(ValueError, match="task must be one of binary, multiclass, regression, got 'ranking'"):
        resolve("iris", "ranking")


def test_one_class_of_a_file_or_an_embedded_set_against_the_rest(folders):
    (folders["data"] / "three").write_bytes(THREE_CLASSES)
    data = resolve("three", "binary", folders["data"])
    assert binary_labels(data.target, data.name, positive=2)[0].tolist() == [-1, 1, -1]
    iris = resolve("iris", "multiclass")
    assert binary_labels(iris.target, iris.name, positive=0)[0].sum() == 50 - 100


FITTING = {
    TWO_CLASSES: {"binary", "multiclass"},
    THREE_CLASSES: {"multiclass", "regression"},
    REAL_TARGETS: {"regression"},
    b"# head\n\n" + TWO_CLASSES: {"binary", "multiclass"},
    b"": set(),
    b"%PDF-1.7 no data\n": set(),
    lzma.compress(TWO_CLASSES): {"binary", "multiclass"},
    lzma.compress(TWO_CLASSES)[:-9]: set(),
}


@pytest.mark.parametrize(("content", "tasks"), FITTING.items(), ids=range(len(FITTING)))
def test_names_are_offered_for_the_tasks_their_targets_suit(content, tasks, folders):
    (folders["data"] / "file").write_bytes(content)
    assert {task for task in TASKS if fits("file", task, folders["data"])} == tasks


def test_names_fit_by_embedded_set_or_file(folders):
    assert fits("iris", "binary")
    assert not fits("iris", "regression")
    assert not fits("diabetes", "binary")
    (folders["data"] / "diabetes").write_bytes(TWO_CLASSES)
    assert fits("diabetes", "binary", folders["data"])
    assert not fits("absent", "binary")


def test_label_cut_by_the_end_of_the_look_is_left_out(folders, monkeypatch):
    monkeypatch.setattr(libsvm, "PEEK", len(TWO_CLASSES) + 1)
    (folders["data"] / "file").write_bytes(TWO_CLASSES + b"-1 2:1\n")  # seen: "-"
    assert fits("file", "binary", folders["data"])


def test_changed_file_is_looked_at_again(folders):
    path = Path(folders["data"] / "file")
    path.write_bytes(TWO_CLASSES)
    assert fits("file", "binary", folders["data"])
    path.write_bytes(THREE_CLASSES + b"4 1:1\n")
    assert not fits("file", "binary", folders["data"])
