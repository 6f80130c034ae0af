"""Make a Problem of a loss and data: check the arguments, bind the kernels to the data, fill in the bounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dadapt_convex.oracle import Oracle, Vector, pack, shown
from problems.arrays import check_size, largest, number, owned
from problems.data.dataset import binary_labels
from problems.linear_models.agreement import check_formula
from problems.linear_models.bounds import with_bounds
from problems.linear_models.loss import Loss
from problems.matrix import entries, is_sparse, owned_matrix, parts, read_only, real_matrix, with_column
from problems.problem import LinearModel, Optimum, Problem

ONE_AGAINST_THE_REST = "give numpy.equal(b, {label}) for one against the rest, or take problems.multinomial_logistic"


def linear_problem(
    loss: Loss,
    A: Any,
    b: Any,
    *,
    intercept: bool = True,
    l2: float = 0.0,
    x0: Any = None,
    name: str | None = None,
    facts: Mapping[str, Any] | None = None,
    copy: bool = True,
    **parameters: float,
) -> Problem:
    """The mean of a loss over the rows of A, plus l2/2 ||x||^2.

    Parameters
    ----------
    A : (m, p) ndarray, DataFrame or scipy.sparse matrix
        Finite real numbers; copied. A column of ones is appended where intercept is True: the unknowns are then p + 1,
        the intercept last, and l2 counts for it too.
    b : (m,)
        Finite targets, or labels: any two for logistic and hinge, of which the larger becomes +1 and the other -1; for
        a multiclass loss any finite ones, which become the classes 0, ..., C - 1 in ascending order. facts["labels"]
        says which label became which.
    l2 : float >= 0
        With l2 > 0 the function is not Lipschitz on the whole space; G then holds on a ball, see G_note.
    x0 : (p,) or (p + 1,), optional
        Default 0. For a multiclass loss the unknowns are W, (p, C) or (p + 1, C), row by row.
    copy : bool
        False where nobody changes the memory of A and b: mapped files of gigabytes are then used as they are.
    parameters : float
        The loss's own, by name; those left out have their defaults.

    Raises
    ------
    ValueError
        For shapes that do not match; entries that are masked, missing, not finite or no real numbers; labels that are
        all the same, or more than two where two are needed; an x0 so large that f is beyond float64.
    """
    b, labels = _labelled(_checked_targets(b, loss, copy), loss)
    classes = len(labels) if loss.task == "multiclass" else 0
    if not isinstance(intercept, bool | np.bool_):
        raise ValueError(f"intercept must be True or False, got {shown(intercept)}.")
    l2, own = number("l2", l2), loss.checked(parameters)
    if not 0 <= l2 < math.inf:
        raise ValueError(f"l2 must be nonnegative and finite, got {l2!r}.")
    given = _checked_matrix(A, b.size)
    check_size(name or loss.short, (given.shape[1] + bool(intercept)) * (classes or 1))
    matrix = read_only(with_column(given, 1.0)) if intercept else owned_matrix(given, A if copy else None)
    sparse, (m, p) = is_sparse(matrix), matrix.shape
    start = _checked_start(x0, p, classes)
    _check_range(matrix, l2, start)
    params = (l2, *own.values(), classes)
    if sparse:
        values, columns, ends = parts(matrix)
        data = pack(csr=(values, columns.view(f"u{columns.itemsize}"), ends), b=b, params=params)
    else:
        data = pack(dense=matrix, b=b, params=params)
    oracle = Oracle(
        kernel=loss.kernels.csr if sparse else loss.kernels.dense,
        value=loss.kernels.value,
        data=data,
        margins=m * (classes or 1),
        batch=loss.kernels.batch,
        work=Work(loss.kernels.work, p, classes),
        classes=None if loss.task == "regression" else classes,
    )
    model = LinearModel(loss, matrix, data.b, l2=l2, parameters=own, intercept=intercept, classes=classes)
    problem = Problem(
        name=name or loss.short,
        oracle=oracle,
        x0=start,
        G=math.inf,
        G_inf=math.inf,
        m=m,
        model=model,
        find_optimum=_certified,
        facts={"storage": "csr" if sparse else "dense", **({"labels": labels} if labels else {}), **(facts or {})},
    )
    check_formula(loss, data.b, own)
    for kernel in (loss.kernels.dense, loss.kernels.csr, loss.kernels.value, loss.kernels.batch):
        kernel.renew()
    return with_bounds(problem, *loss.largest_slopes(data.b, own))


@dataclass(frozen=True)
class Work:
    """The length of the scratch vector `work` by the size of a batch."""

    size: Callable[[int, int, int], int]
    p: int
    classes: int

    def __call__(self, rows: int) -> int:
        """The length of `work` for a batch of so many rows."""
        return self.size(rows, self.p, self.classes)


def _certified(problem: Problem, radius: float) -> Optimum:
    from problems.optimum.certify import certified_optimum

    return certified_optimum(problem, radius=radius)


def _checked_targets(b: Any, loss: Loss, copy: bool) -> Vector:
    what = "labels" if loss.task == "multiclass" else "b"
    try:
        b = owned(what, b) if copy else b
    except ValueError as error:
        hint = " Give the classes as numbers, as numpy.unique(labels, return_inverse=True)[1] does."
        raise ValueError(f"{error}{hint if loss.task != 'regression' else ''}") from None
    if b.ndim != 1 or b.size == 0:
        raise ValueError(f"b must be a non-empty vector, got shape {b.shape}.")
    if not np.all(np.isfinite(b)):
        i = int(np.argmin(np.isfinite(b)))
        raise ValueError(f"b must be finite, got {b[i]} in row {i}; remove such rows, or fill in numbers.")
    return b


def _labelled(b: Vector, loss: Loss) -> tuple[Vector, dict[float, int]]:
    """Two labels as -1 and +1, classes as 0, ..., C - 1, targets as they are; and which label became which."""
    if loss.task == "regression":
        return b, {}
    if loss.task == "multiclass":
        b, mapping = _classes(b, loss)
    else:
        b, mapping = binary_labels(b, "b", remedy=ONE_AGAINST_THE_REST)
    b.setflags(write=False)
    return b, mapping


def _classes(labels: Vector, loss: Loss) -> tuple[Vector, dict[float, int]]:
    """The classes 0, ..., C - 1 of the labels in ascending order, and which label became which."""
    found, index = np.unique(labels, return_inverse=True)
    if found.size == 1:
        raise ValueError(
            f"{loss.name} needs at least two classes, got only the label {found[0]:g} in all {labels.size} rows."
        )
    fractions = found[found != np.trunc(found)]
    if found.size > 2 and fractions.size:  # as for files: two targets of any value are classes
        raise ValueError(
            f"{loss.name} takes class labels, got {found.size} distinct targets such as {fractions[0]:g}; number the "
            "classes, or use a regression loss."
        )
    return index.astype(np.float64), {label: c for c, label in enumerate(found.tolist())}


def _checked_start(x0: Any, p: int, classes: int) -> Vector:
    """x0 as a read-only vector of p entries, or of p * classes from a matrix or a vector; default 0."""
    size = p * (classes or 1)
    start = np.zeros(size) if x0 is None else owned("x0", x0)
    shapes = [(size,), (p, classes)] if classes else [(size,)]
    if start.shape not in shapes:
        entries = f"{size} entries" + (f", or a matrix {p} x {classes}" if classes else "")
        raise ValueError(f"x0 must be a finite vector of {entries} (the intercept's last), got shape {start.shape}.")
    if not np.all(np.isfinite(start)):
        raise ValueError(
            f"x0 must be a finite vector; it holds {np.count_nonzero(~np.isfinite(start))} NaN or infinite values."
        )
    start = start.ravel()
    start.setflags(write=False)
    return start


def _checked_matrix(A: Any, m: int) -> Any:
    """A finite matrix of m rows, as CSR or an array, which may share memory with A."""
    matrix = real_matrix("A", A)
    if matrix.shape[0] != m:
        raise ValueError(f"A has {matrix.shape[0]} rows and b has {m} entries; they must match.")
    finite = np.isfinite(entries(matrix))
    if not np.all(finite):
        raise ValueError(
            f"A must be finite; it holds {np.count_nonzero(~finite)} NaN or infinite values; remove such rows, or fill "
            "in numbers."
        )
    return matrix


def _check_range(A: Any, l2: float, x0: Vector) -> None:
    """ValueError where margins or the penalty at x0 are beyond float64."""
    (m, p), a, x = A.shape, largest(entries(A)), largest(x0)
    if x > 0 and not m * p * a * x + l2 * x0.size * x * x <= np.finfo(np.float64).max:
        raise ValueError(
            f"f(x0) is beyond float64: entries are as large as {a:.3g} in A and {x:.3g} in x0, and l2 is {l2:.3g}; "
            "begin nearer to 0, or scale the data down."
        )
