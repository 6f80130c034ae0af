"""The columns of a run's trace as arrays, with bounds on what rounding did to them.

The bounds come from magnitudes that the driver adds up over the run, never from the author of a theorem.
"""

from __future__ import annotations

import functools
import math
import types
import weakref

import numpy as np

from dadapt_convex.oracle import Vector
from dadapt_convex.run import Run
from dadapt_convex.theory.rounded import EPS

# Columns that decrease and do not come from terms that cancel.
DECREASING = ("gamma", "h", "d_over_sum_d", "selected_ratio")
# Estimates of the distance D.
ESTIMATES = ("d", "d_hat")


class Columns:
    """columns : by name, (K,) float64, read-only; errors : bounds on their rounding, made when first asked for."""

    def __init__(self, run: Run) -> None:
        # from the rows: the table is the user's, to change as he likes
        columns = {name: np.array([row.get(name, math.nan) for row in run.rows], dtype=float) for name in run.columns}
        if run.sampling is not None:
            columns |= {"x_next_dist": columns["x_dist"], "f_mean": columns["f_avg"]}
        for values in columns.values():
            values.setflags(write=False)
        self.columns = types.MappingProxyType(columns)
        with np.errstate(over="ignore"):
            self.p, self.x0_norm = run.x0.size, float(np.linalg.norm(run.x0))
        recorded = run.errors[0] if run.errors else {}
        self.errors = {name: np.array([errors[name] for errors in run.errors]) for name in recorded}

    def error(self, name: str) -> Vector:
        """A bound on the rounding of a column; "f_star": of the mean of the gaps.

        For columns of the driver as it recorded them. A method's own number comes from a dot product, or is a sum over
        k: p and k roundings of the largest it has been.
        """
        if name not in self.errors:
            with np.errstate(all="ignore"):
                self.errors[name] = self._gap() if name == "f_star" else self._own(name)
        return self.errors[name]

    def _own(self, name: str) -> Vector:
        k, columns = self.columns["k"], self.columns
        size = np.abs(columns[name])
        error = EPS * (self.p + 16 + k) * (size if name in DECREASING else np.maximum.accumulate(size))
        if name.endswith("_df") and "f_mean" in self.errors:  # it adds up differences of f, of weighted points
            error = error + 2 * columns["weight_sum"] * self.errors["f_mean"]
        return error

    @functools.cached_property
    def of_estimates(self) -> Vector | None:
        """The error that rounded iterates cause in an estimate of D, sum w_i <g_i, x_i - x0>/||s|| up to a factor."""
        if not ("moved" in self.errors and set(ESTIMATES) & set(self.columns)):
            return None
        length = self.columns["sum_w_g"]
        with np.errstate(all="ignore"):
            return 2 * np.where(length > 0, self.errors["moved"] / length, 0.0)

    def _gap(self) -> Vector:
        """The bound for the gap of a stochastic run, where the driver does not add up magnitudes."""
        x_size = self.x0_norm + np.maximum.accumulate(self.columns["x_dist"])
        size = np.abs(self.columns["f_mean"]) + self.columns["g_max"] * x_size
        return EPS * (self.p + 1000 + self.columns["k"]) * size


_columns: weakref.WeakKeyDictionary[Run, Columns] = weakref.WeakKeyDictionary()


def columns_of(run: Run) -> Columns:
    """The columns of a run, made once."""
    if run not in _columns:
        _columns[run] = Columns(run)
    return _columns[run]
