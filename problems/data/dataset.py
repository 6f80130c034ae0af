"""Dataset: rows, targets and their source; binary labels become -1 and +1."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from problems.matrix import canonical, csr, entries, is_sparse, parts, read_only

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    Matrix: TypeAlias = NDArray[np.float64] | csr_array[np.float64]

Task = Literal["binary", "multiclass", "regression"]
TASKS: tuple[Task, ...] = get_args(Task)

LABELS_NAMED = 10  # a message stays readable with ten labels; aloi has a thousand


class DataError(ValueError):
    """A data file breaks the rules of its format."""


class DataNotFound(ValueError):
    """No data set of this name, or none for this task, can be seen from here."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows, targets and where they came from.

    Arrays are brought to one form here (float64, C-contiguous; sparse: sorted indices without
    duplicates) and are read-only views, so that no problem changes the data of another.

    Parameters
    ----------
    name : str
        The name it was asked for, without compression suffix.
    A : (m, p) float64
        ndarray or scipy.sparse.csr_array; finite.
    target : (m,) float64
        Labels as the source numbers them, or regression targets; finite.
    task : "binary", "multiclass" or "regression"
        What the targets are: binary means at most two labels, multiclass more than two.
    source : str
        Where the data came from, in words.
    sha256 : str
        Of the decompressed file, or of the arrays for embedded sets (`digest_arrays`).
    index_base : 0, 1 or None
        First feature index of the file; None for embedded sets.
    notes : str
        What was done to the data on the way.

    Attributes
    ----------
    classes : tuple of float or None
        The distinct labels in ascending order; None for regression.

    Raises
    ------
    ValueError
        Shapes do not match, a value is not finite, or the task is not the one of the labels.
    """

    name: str
    A: Matrix = field(repr=False)
    target: NDArray[np.float64] = field(repr=False)
    task: Task
    source: str
    sha256: str
    index_base: int | None = None
    notes: str = ""
    classes: tuple[float, ...] | None = field(init=False)

    def __post_init__(self) -> None:
        """Bring the arrays to their one form and check them."""
        target = _frozen(self.target)
        A = _frozen(self.A)
        if A.ndim != 2 or target.shape != A.shape[:1]:
            raise ValueError(
                f"{self.name}: A has shape {A.shape} and target {target.shape}; they must be (m, p) and (m,)."
            )
        if not (np.isfinite(entries(A)).all() and np.isfinite(target).all()):
            raise ValueError(f"{self.name} holds NaN or infinite values; remove these rows.")
        classes = None
        if self.task != "regression":
            classes = tuple(np.unique(target).tolist())
            if self.task != classification_task(len(classes)):
                raise ValueError(
                    f"{self.name} has {len(classes)} classes, so its task is "
                    f"{classification_task(len(classes))!r}, got {self.task!r}."
                )
        object.__setattr__(self, "A", A)
        object.__setattr__(self, "target", target)
        object.__setattr__(self, "classes", classes)

    @property
    def m(self) -> int:
        """Number of rows."""
        return int(self.A.shape[0])

    @property
    def p(self) -> int:
        """Number of columns."""
        return int(self.A.shape[1])


def _frozen(A: Any) -> Any:
    """A matrix or vector in its one form, read-only; the arrays of the caller keep their flags."""
    if is_sparse(A):
        return read_only(canonical(csr(A.astype(np.float64, copy=False))))
    return read_only(np.ascontiguousarray(A, dtype=np.float64))


def classification_task(n_classes: int) -> Task:
    """Name the task of a target with this many distinct labels."""
    return "binary" if n_classes <= 2 else "multiclass"


def check_task(task: str) -> None:
    """Raise ValueError unless `task` is one of TASKS."""
    if task not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}, got {task!r}.")


def digest_arrays(A: Matrix, target: NDArray[np.float64]) -> str:
    """SHA-256 of shape, then A (or its indptr, indices, data), then target, little-endian."""
    values, *places = parts(A)
    digest = hashlib.sha256(np.array(A.shape, dtype="<i8").tobytes())
    for part in [*(place.astype("<i8") for place in reversed(places)), values, target]:
        digest.update(np.ascontiguousarray(part, dtype=part.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def binary_labels(
    target: ArrayLike, name: str, positive: float | None = None, remedy: str | None = None
) -> tuple[NDArray[np.float64], dict[float, int]]:
    """Map labels to -1 and +1.

    Two distinct labels: the smaller becomes -1, the larger +1. With `positive`, that label becomes
    +1 and all others -1 (one against the rest).

    Parameters
    ----------
    target : (m,) array of numbers
        Labels; not modified.
    name : str
        Name of the data set or argument, for messages.
    positive : float, optional
        Label of the positive class.
    remedy : str, optional
        What to do about more than two labels, as a clause; "{label}" stands for one of them.

    Returns
    -------
    b : (m,) float64
        -1.0 or +1.0.
    mapping : dict
        Label -> -1 or +1, in ascending order of labels.

    Raises
    ------
    ValueError
        A label is not finite; fewer than two classes; more than two without `positive`; or
        `positive` is not a label.
    """
    labels = np.asarray(target, dtype=np.float64)
    if not np.isfinite(labels).all():
        raise ValueError(f"{name} has a label that is NaN or infinite; remove these rows.")
    classes = np.unique(labels).tolist()
    named = ", ".join(label_text(label) for label in classes[:LABELS_NAMED])
    named += ", ..." if len(classes) > LABELS_NAMED else ""
    if len(classes) < 2:
        found = f"only the class {named}" if classes else "no rows"
        raise ValueError(f"{name} has {found}, and a binary loss needs two classes; add rows of the other one.")
    if positive is None and len(classes) > 2:
        if remedy is None:
            example = f"logistic[positive={{label}}]:{name}"
            remedy = f"take one against the rest with positive=... in brackets, e.g. {example}"
        raise ValueError(
            f"{name} has {len(classes)} classes ({named}), and a binary loss needs two; "
            f"{remedy.replace('{label}', label_text(classes[0]))}."
        )
    if positive is not None and positive not in classes:
        raise ValueError(f"positive must be a label of {name} ({named}), got {label_text(positive)}.")
    one = classes[-1] if positive is None else positive
    b = np.where(labels == one, 1.0, -1.0)
    return b, {label: 1 if label == one else -1 for label in classes}


def label_text(label: float) -> str:
    """Write a label as the files do: 1, not 1.0."""
    return str(int(label)) if float(label).is_integer() else repr(float(label))
