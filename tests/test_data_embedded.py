"""The embedded sets: shapes, scaling, binary tasks, and the cache in front of scikit-learn."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import issparse

from problems.data import EMBEDDED, DataNotFound, embedded, load_dataset
from problems.data.embedded import bin_pixels, embedded_serves, scale

SHARED = Path(os.environ.get("DADAPT_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "libsvm"
needs_files = pytest.mark.skipif(
    not (SHARED / "INDEX.csv").is_file(),
    reason="no LIBSVM files: DADAPT_SHARED names the folder that holds libsvm/INDEX.csv",
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DADAPT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "embedded"


#                 m, p, task, classes, first eight digits of the SHA-256 of the arrays
FACTS = {
    "breast_cancer": (569, 30, "binary", 2, "5d973687"),
    "wine": (178, 13, "multiclass", 3, "ac73d74a"),
    "iris": (150, 4, "multiclass", 3, "60f0fbaa"),
    "digits": (1797, 64, "multiclass", 10, "3d4d55ee"),
    "digits_bins": (1797, 256, "multiclass", 10, "1dabbe35"),
    "diabetes": (442, 10, "regression", None, "20a88a2d"),
}


def test_table_names_every_set():
    assert set(FACTS) == set(EMBEDDED)


@pytest.mark.parametrize("name", EMBEDDED)
def test_natural_set_is_the_one_described(name):
    m, p, task, classes, digest = FACTS[name]
    data = embedded(name)
    assert (data.m, data.p, data.task, data.name) == (m, p, task, name)
    assert (None if data.classes is None else len(data.classes)) == classes
    assert data.sha256.startswith(digest)  # the same numbers on every machine and in every release
    assert issparse(data.A) == (name == "digits_bins")
    assert data.index_base is None


@pytest.mark.parametrize("name", [name for name in EMBEDDED if name != "digits_bins"])
def test_columns_span_minus_one_to_one_or_are_zero(name):
    A = embedded(name).A
    constant = (A == 0).all(axis=0)
    assert constant.sum() == (3 if name == "digits" else 0)
    assert (A[:, ~constant].min(axis=0) == -1).all()
    assert (A[:, ~constant].max(axis=0) == 1).all()


@settings(max_examples=100, deadline=None)
@given(arrays(np.float64, (5, 3), elements=st.floats(-1e6, 1e6)))
def test_scaling_is_linear_onto_the_interval(X):
    scaled = scale(X)
    assert (np.abs(scaled) <= 1).all()
    for x, z in zip(X.T, scaled.T, strict=True):
        if x.min() == x.max():
            assert (z == 0).all()
            continue
        assert (z.min(), z.max()) == (-1, 1)
        # undoing the map gives x back up to the rounding of a few operations on numbers of this size
        back = x.min() + (z + 1) / 2 * (x.max() - x.min())
        np.testing.assert_allclose(back, x, rtol=0, atol=8 * np.finfo(float).eps * np.abs(x).max())


@needs_files
def test_scaling_is_that_of_svm_scale():
    published, ours = load_dataset("wine.scale", data_dir=SHARED), embedded("wine")
    np.testing.assert_array_equal(published.target - 1, ours.target)
    # svm-scale prints six significant digits, so half a unit of the sixth; wine.scale was made from data
    # whose last digits differ by a little more
    np.testing.assert_allclose(published.A, ours.A, rtol=0, atol=1e-6)


@needs_files
def test_iris_differs_from_the_published_file_in_its_two_corrected_rows_only():
    published, ours = load_dataset("iris.scale", data_dir=SHARED), embedded("iris")
    far = (np.abs(np.asarray(published.A) - ours.A) > 1e-6).any(axis=1)
    assert np.flatnonzero(far).tolist() == [34, 37]  # rows 35 and 38, counted from 1


def test_digits_bins_marks_one_bin_of_each_pixel():
    A = embedded("digits_bins").A.toarray().reshape(1797, 64, 4)
    pixels = sklearn.datasets.load_digits().data
    assert set(np.unique(A)) == {0.0, 1.0}
    assert (A.sum(axis=2) == 1).all()
    low = 4 * A.argmax(axis=2)
    assert (low <= pixels).all()
    assert (pixels < np.where(low == 12, 17, low + 4)).all()  # the last bin holds 16 too


def test_bins_are_cut_at_4_8_and_12():
    A = bin_pixels(np.array([[0.0, 3.0], [4.0, 7.0], [8.0, 11.0], [12.0, 16.0]]))
    assert A.indices.tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    assert A.shape == (4, 8)


RULES = {
    "breast_cancer": lambda t: np.where(t == 0, -1, 1),
    "wine": lambda t: np.where(t == 1, 1, -1),
    "digits": lambda t: 2 * (t % 2) - 1,
    "digits_bins": lambda t: 2 * (t % 2) - 1,
}


@pytest.mark.parametrize("name", RULES)
def test_binary_task_relabels_and_keeps_the_rows(name):
    natural, binary = embedded(name), embedded(name, "binary")
    np.testing.assert_array_equal(binary.target, RULES[name](natural.target))
    assert (natural.A != binary.A).sum() == 0
    assert binary.classes == (-1.0, 1.0)
    assert binary.task == "binary"
    assert "+1" in binary.notes
    assert binary.sha256 != natural.sha256


def test_binary_task_of_iris_drops_setosa():
    natural, binary = embedded("iris"), embedded("iris", "binary")
    kept = natural.target != 0
    np.testing.assert_array_equal(binary.A, natural.A[kept])
    np.testing.assert_array_equal(binary.target, np.where(natural.target[kept] == 2, 1, -1))
    assert np.bincount((binary.target > 0).astype(int)).tolist() == [50, 50]
    assert "dropped" in binary.notes


def test_multiclass_leaves_the_targets():
    for name in ("breast_cancer", "iris"):
        np.testing.assert_array_equal(embedded(name, "multiclass").target, embedded(name).target)


def test_diabetes_is_the_measured_table():
    X, target = sklearn.datasets.load_diabetes(return_X_y=True, scaled=False)
    data = embedded("diabetes")
    np.testing.assert_array_equal(data.A, scale(X))
    np.testing.assert_array_equal(data.target, target)
    assert (target.min(), target.max()) == (25, 346)


@pytest.mark.parametrize("name", EMBEDDED)
def test_sets_serve_classification_or_regression_never_both(name):
    regression = FACTS[name][2] == "regression"
    assert embedded_serves(name, "regression") == regression
    assert embedded_serves(name, "binary") == embedded_serves(name, "multiclass") == (not regression)


@pytest.mark.parametrize(
    ("name", "task", "message"),
    [
        ("diabetes", "binary", r"has real targets \(lad:diabetes, quantile:diabetes\), got task 'binary'"),
        ("iris", "regression", r"iris has class labels \(logistic:iris, .*\), got task 'regression'"),
        ("Iris", None, r"no embedded set is named 'Iris'; there are breast_cancer, wine, iris"),
    ],
)
def test_what_there_is_not_is_refused(name, task, message):
    with pytest.raises(DataNotFound, match=message):
        embedded(name, task)


def test_unknown_task_is_refused():
    with pytest.raises(ValueError, match="task must be one of"):
        embedded("iris", "ranking")


# --- the cache


def test_scikit_learn_is_imported_once_per_machine(cache):
    for name in EMBEDDED:
        embedded(name)
    code = (
        "import sys\nfrom problems.data import EMBEDDED, embedded\n"
        "print([embedded(name).sha256[:8] for name in EMBEDDED], 'sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{[FACTS[name][4] for name in EMBEDDED]} False"


def test_cached_set_is_not_loaded_again(monkeypatch):
    before = embedded("wine")
    monkeypatch.setattr(sklearn.datasets, "load_wine", None)
    assert embedded("wine").sha256 == before.sha256


@pytest.mark.parametrize("damage", [lambda raw: raw[:-30], lambda raw: b"", lambda raw: raw.replace(b"\x40", b"\x41")])
def test_damaged_cache_is_rebuilt(cache, damage, capfd):
    expected = embedded("wine").sha256
    stored = cache / "wine.npz"
    whole = stored.read_bytes()
    stored.write_bytes(damage(whole))
    assert embedded("wine").sha256 == expected
    assert "wine.npz is damaged" in capfd.readouterr().err
    assert stored.read_bytes() == whole


def test_cache_of_another_format_is_rebuilt(cache, monkeypatch):
    expected = embedded("wine").sha256
    before = (cache / "wine.npz").read_bytes()
    monkeypatch.setattr(sys.modules["problems.data.embedded"], "FORMAT", 999)
    assert embedded("wine").sha256 == expected
    assert (cache / "wine.npz").read_bytes() != before


def test_unwritable_cache_changes_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DADAPT_CACHE", str(tmp_path / "file" / "cache"))
    assert embedded("wine").sha256.startswith(FACTS["wine"][4])


FILLER = """
import sys, types
import numpy as np
from problems.data import embedded
X, target = np.load(sys.argv[1]), np.load(sys.argv[2])
sys.modules["sklearn"] = sklearn = types.ModuleType("sklearn")
sys.modules["sklearn.datasets"] = sklearn.datasets = types.ModuleType("sklearn.datasets")
for name in ("digits", "wine", "iris"):  # one table under three names: the real import would take seconds
    setattr(sklearn.datasets, f"load_{name}", lambda return_X_y: (X, target))
print("ready", flush=True)
sys.stdin.readline()
print(*(embedded(name).sha256[:8] for name in ("digits", "wine", "iris")))
"""


def test_two_processes_fill_the_cache_at_once(cache, tmp_path):
    tables = [tmp_path / "X.npy", tmp_path / "target.npy"]
    for path, table in zip(tables, sklearn.datasets.load_digits(return_X_y=True), strict=True):
        np.save(path, table)
    both = [
        subprocess.Popen([sys.executable, "-c", FILLER, *map(str, tables)], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]  # fmt: skip
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in both:
        assert process.communicate()[0].split() == [FACTS["digits"][4]] * 3
        assert process.returncode == 0
    assert sorted(path.name for path in cache.iterdir()) == ["digits.npz", "iris.npz", "wine.npz"]
    assert embedded("digits").sha256.startswith(FACTS["digits"][4])
