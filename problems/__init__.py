"""Lipschitz convex problems with certified optima.

problems.get("logistic:breast_cancer") takes a name (problems.names() lists them); problems.logistic(A, b) and
its like take your own data; problems.from_callable(f_and_g, x0=x0) any Python function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from problems.functions import from_callable
from problems.hard_instances import absolute_value, drori_teboulle, max_abs, norm2
from problems.linear_models.constructors import constructor
from problems.linear_models.loss import losses
from problems.names import get, names
from problems.problem import LinearModel, Optimum, Problem

# One for each file of linear_models: logistic(A, b), hinge(A, b), quantile(A, b, tau=0.9), ...
CONSTRUCTORS = {loss.name: constructor(loss) for loss in losses().values()}
globals().update(CONSTRUCTORS)

if TYPE_CHECKING:

    def __getattr__(name: str) -> Callable[..., Problem]: ...


__all__ = [
    "LinearModel",
    "Optimum",
    "Problem",
    "absolute_value",
    "drori_teboulle",
    "from_callable",
    "get",
    "load_libsvm",
    "max_abs",
    "names",
    "norm2",
    *CONSTRUCTORS,
]


def load_libsvm(path_or_name: Any, *, data_dir: Any = None) -> tuple[Any, Any]:
    """Read a data set in LIBSVM's text format.

    Parameters
    ----------
    path_or_name : str or path
        A path, or a bare name, which is looked for in `data_dir`, in the folders of $DADAPT_DATA, in the cache and in
        the current folder, as it stands and with .bz2, .xz or .gz. A name of the catalogue of the LIBSVM site that is
        found nowhere is downloaded into the cache.
    data_dir : path, optional
        The folder to look in first.

    Returns
    -------
    A : (m, p) float64 ndarray or scipy.sparse.csr_array
        Dense where more than half the entries are nonzero; read-only.
    b : (m,) float64
        -1 and +1 (the larger label) where the file has two distinct targets, else the targets as they stand;
        read-only.

    Raises
    ------
    ValueError
        There is no such file, it cannot be downloaded, or a line breaks the rules of the format; the message names
        the line.

    Examples
    --------
    >>> import problems, tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "tiny"
    >>> _ = file.write_text("1 1:0.5 2:1\\n0 1:2 2:3\\n")
    >>> A, b = problems.load_libsvm(file)
    >>> A.tolist(), b.tolist()
    ([[0.5, 1.0], [2.0, 3.0]], [1.0, -1.0])
    """
    from problems.data import load_libsvm as load

    return load(path_or_name, data_dir=data_dir)
