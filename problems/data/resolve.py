"""From the name in a problem's name to its data."""

from __future__ import annotations

from pathlib import Path

from problems.data.dataset import DataNotFound, Dataset, Task, check_task
from problems.data.embedded import embedded, embedded_serves, refusal
from problems.data.libsvm import first_labels, load_dataset
from problems.data.locate import find_file, not_found


def resolve(name: str | Path, task: Task, data_dir: str | Path | None = None) -> Dataset:
    """Return the data set `name` for a loss of this task.

    The embedded set of this name if it can serve the task, otherwise the LIBSVM file. So diabetes is the
    embedded regression set for "regression" and LIBSVM's file of two classes for "binary". A name with a
    folder in it (./iris) is always a file.

    Parameters
    ----------
    name : str or Path
        Name of an embedded set, file name or path.
    task : "binary" (logistic, hinge), "multiclass" (multinomial) or "regression" (lad, quantile)
        An embedded set then comes with targets -1 and +1, class labels, or reals. A file comes with its own
        labels; `binary_labels` turns them into -1 and +1. To pick one class of an embedded set against the
        rest, ask for "multiclass" and give its target to `binary_labels`.
    data_dir : str or Path, optional
        Folder to look in first (see `find_file`).

    Raises
    ------
    DataNotFound
        Neither exists, or only an embedded set for another task.
    DataError
        The file is damaged, or its targets are no labels where labels are needed.
    """
    check_task(task)
    if isinstance(name, str) and embedded_serves(name, task):
        return embedded(name, task)
    try:
        path = find_file(name, data_dir)
    except DataNotFound:
        raise not_found(name, data_dir, refusal(str(name))) from None
    return load_dataset(path, task=task)


def fits(name: str, task: Task, data_dir: str | Path | None = None) -> bool:
    """Whether `name` is worth offering for a loss of this task; for lists of names, files are not parsed.

    An embedded set fits by its table. A file fits by the targets at its beginning: at most two distinct ones
    are "binary" and "multiclass", more are "regression" and, if all are integers, "multiclass". A file
    sorted by label may look binary and not be.
    """
    check_task(task)
    if embedded_serves(name, task):
        return True
    try:
        labels = first_labels(find_file(name, data_dir))
    except DataNotFound:
        return False
    if labels is None:
        return False
    if len(labels) <= 2:
        return task != "regression"
    return task == "regression" or (task == "multiclass" and all(label.is_integer() for label in labels))
