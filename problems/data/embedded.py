"""Data sets that need no files and no network: those shipped inside scikit-learn.

Features are scaled linearly to [-1, 1] per column, over all rows of the set, as LIBSVM's svm-scale does:
the ends are exactly -1 and +1, and a constant column, which svm-scale leaves out, is 0. Values are not
rounded to six digits as svm-scale prints them. Targets are left as scikit-learn numbers them.

    name            m     p    natural task   binary task: -1 against +1
    breast_cancer   569   30   binary         malignant (0) against benign (1)
    wine            178   13   3 classes      classes 0 and 2 against class 1
    iris            150   4    3 classes      versicolor (1) against virginica (2); setosa (0) dropped
    digits          1797  64   10 classes     even against odd
    digits_bins     1797  256  10 classes     even against odd
    diabetes        442   10   regression     none

digits_bins cuts each pixel of digits (0 to 16) into the four bins [0, 4), [4, 8), [8, 12), [12, 16] and
marks the bin by a 1: column 4*pixel + bin, CSR, 64 ones in each row. LIBSVM's a1a to a9a were made so from
continuous attributes. The binary task of iris keeps the scaling of the whole set.

What scikit-learn returned is kept in the cache, so it is imported once per machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from problems.data.cache import cache_dir, load_npz, save_npz
from problems.data.dataset import DataNotFound, Dataset, Task, check_task, classification_task, digest_arrays

if TYPE_CHECKING:
    from problems.data.dataset import Matrix

FORMAT = 1  # of the cached arrays; raise it when they change
PIXEL_LEVELS, PIXEL_BINS = 16, 4

_Floats = NDArray[np.float64]


class _Set(NamedTuple):
    loader: str  # sklearn.datasets.load_<loader>
    task: Task  # its natural one
    features: Callable[[_Floats], Matrix]
    features_note: str
    binary: Callable[[_Floats], _Floats] | None = None  # labels -> -1, +1, or 0 for a dropped row
    binary_note: str = ""


def scale(X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale each column linearly to [-1, 1] by svm-scale's formula; a constant column becomes 0."""
    low, high = X.min(axis=0), X.max(axis=0)
    width = np.where(high > low, high - low, 1.0)
    scaled = -1.0 + 2.0 * (X - low) / width  # exactly 1 where X is high: 2 w / w is 2
    scaled[:, high == low] = 0.0
    return scaled


def bin_pixels(X: NDArray[np.float64]) -> Matrix:
    """One-hot encode pixels 0..16 in four equal bins: (m, q) -> (m, 4 q) CSR of ones."""
    from scipy.sparse import csr_array

    m, q = X.shape
    bins = np.minimum(X * PIXEL_BINS // PIXEL_LEVELS, PIXEL_BINS - 1)
    columns = (PIXEL_BINS * np.arange(q) + bins).astype(np.int32)
    return csr_array(
        (np.ones(m * q), columns.ravel(), np.arange(0, m * q + 1, q, dtype=np.int32)), shape=(m, PIXEL_BINS * q)
    )


def _odd(labels: _Floats) -> _Floats:
    return np.where(labels % 2 == 1, 1.0, -1.0)


_SCALED = "features scaled to [-1, 1] as svm-scale does"
_ODD_NOTE = "odd digits +1, even digits -1"
_SETS = {
    "breast_cancer": _Set("breast_cancer", "binary", scale, _SCALED,
                          lambda labels: np.where(labels == 1, 1.0, -1.0), "benign (1) +1, malignant (0) -1"),
    "wine": _Set("wine", "multiclass", scale, _SCALED,
                 lambda labels: np.where(labels == 1, 1.0, -1.0), "class 1 +1, classes 0 and 2 -1"),
    "iris": _Set("iris", "multiclass", scale, _SCALED,
                 lambda labels: np.select([labels == 1, labels == 2], [-1.0, 1.0], 0.0),
                 "virginica (2) +1, versicolor (1) -1, setosa (0) dropped"),
    "digits": _Set("digits", "multiclass", scale, f"{_SCALED}, three constant pixels 0", _odd, _ODD_NOTE),
    "digits_bins": _Set("digits", "multiclass", bin_pixels, "pixels in 4 bins, one-hot", _odd, _ODD_NOTE),
    "diabetes": _Set("diabetes", "regression", scale, _SCALED),
}  # fmt: skip
EMBEDDED: tuple[str, ...] = tuple(_SETS)


def embedded_serves(name: str, task: Task) -> bool:
    """True for the name of an embedded set that can be used for `task`."""
    return name in _SETS and (_SETS[name].task == "regression") == (task == "regression")


def embedded(name: str, task: Task | None = None) -> Dataset:
    """Return an embedded set.

    Parameters
    ----------
    name : str
        One of EMBEDDED.
    task : "binary", "multiclass" or "regression", optional
        "binary" gives the set's fixed binary task with targets -1 and +1 (see the table above), anything
        else the natural targets. "multiclass" takes the two classes of breast_cancer too.

    Raises
    ------
    DataNotFound
        No embedded set has this name, or it does not serve the task.
    """
    if name not in _SETS:
        raise DataNotFound(f"no embedded set is named {name!r}; there are {', '.join(EMBEDDED)}.")
    chosen = _SETS[name]
    if task is not None:
        check_task(task)
        if not embedded_serves(name, task):
            raise DataNotFound(f"{refusal(name)}, got task {task!r}.")
    X, target = _from_sklearn(chosen.loader)
    A = chosen.features(X)
    notes = chosen.features_note
    kind = chosen.task
    if task == "binary" and chosen.binary is not None:
        b = chosen.binary(target)
        kept = b != 0
        A, target = (A, b) if kept.all() else (A[kept], b[kept])
        notes = f"{notes}; {chosen.binary_note}"
        kind = classification_task(2)
    return Dataset(
        name=name,
        A=A,
        target=target,
        task=kind,
        source=f"scikit-learn load_{chosen.loader}",
        sha256=digest_arrays(A, target),
        notes=notes,
    )


def refusal(name: str) -> str:
    """The task of the embedded set of this name, as a clause for messages; empty where there is none."""
    if name not in _SETS:
        return ""
    if _SETS[name].task == "regression":
        return f"the embedded set {name} has real targets (lad:{name}, quantile:{name})"
    return f"the embedded set {name} has class labels (logistic:{name}, hinge:{name})"


def _from_sklearn(loader: str) -> tuple[_Floats, _Floats]:
    """Unscaled features and target, from the cache if it holds them."""
    folder = cache_dir("embedded")
    stored = None if folder is None else folder / f"{loader}.npz"
    cached = None if stored is None else load_npz(stored)
    if cached is not None and cached[1] == {"format": FORMAT}:
        return cached[0]["X"], cached[0]["target"]
    import sklearn.datasets

    # diabetes comes standardised unless told otherwise; the measured values are exact decimals
    raw = {"scaled": False} if loader == "diabetes" else {}
    X, target = getattr(sklearn.datasets, f"load_{loader}")(return_X_y=True, **raw)
    X, target = X.astype(np.float64), target.astype(np.float64)
    if stored is not None:
        save_npz(stored, {"X": X, "target": target}, {"format": FORMAT})
    return X, target
