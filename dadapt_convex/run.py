"""Run: the result of solve()."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from dadapt_convex.method import Method
from dadapt_convex.oracle import Vector
from dadapt_convex.stochastic import Sampling
from dadapt_convex.transitions import Transitions

if TYPE_CHECKING:
    import pandas as pd

COMPLETED = "completed"
CONVERGED = "converged"
NOT_FINITE = "not finite"
INTERRUPTED = "interrupted"
BAD_WEIGHT = "bad weight"
FAILED = "failed"
# Runs that ended for a fault of the method or the objective.
FAULTS = (NOT_FINITE, BAD_WEIGHT, FAILED)


class OptimumInterval(Protocol):
    """The attributes of a certified optimum that this package reads; problems.Optimum has them."""

    @property
    def f_lo(self) -> float: ...
    @property
    def f_hi(self) -> float: ...
    @property
    def D_lo(self) -> float: ...
    @property
    def D_hi(self) -> float: ...
    @property
    def attained(self) -> bool | None: ...
    @property
    def x(self) -> Vector: ...


class Kept(dict[str, Any]):
    """A dict that cannot be changed, as verdicts rest on it; dict(it) is a copy that can."""

    def _refuse(self, *given: Any, **named: Any) -> Any:
        raise TypeError("the record of a run cannot be changed; dict(...) makes a copy that can.")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> Any:
        return Kept, (dict(self),)


@dataclass(frozen=True, repr=False, eq=False)
class Run:
    """One method on one problem. Nothing of it can be changed by accident: arrays are read-only, and so are rows.

    Attributes
    ----------
    problem : str
        The problem's name.
    method : Method
        The method, with the theorems it claims.
    hyper : dict
        Every hyper-parameter's value.
    given : dict
        For each hyper-parameter that the caller did not set and that was known: the source of its value.
    steps : int
        The number of subgradients asked for (n + 1 in the papers).
    k : int
        The number used.
    columns : sequence of str
        The columns of `trace`.
    rows : sequence of mappings
        The rows of `trace`.
    errors : sequence of mappings
        For each row of a deterministic run: bounds on what rounding did to its columns, from magnitudes that the driver
        adds up; "f_star" is the bound for a gap, "moved" the bound for sum w_i <g_i, x_i - x*>.
    trace : pandas.DataFrame
        A row per checkpoint, made from `rows` when first asked for. Row k describes the run after the k subgradients
        g_0 .. g_{k-1}; n = k - 1.

        f, g_norm, x_dist : f(x_n), ||g_n||, ||x_n - x0||; x_next_dist : ||x_{n+1} - x0||.
        f_avg, f_best : f at the weighted average, and at the best, of x_0 .. x_n.
        f_mean : sum w_i f(x_i) / sum w_i, never below f_avg.
        S, weight_sum, g_max, g0_norm : sum ||g_i||^2, sum w_i, max ||g_i||, ||g_0||.
        sum_w2_g2, sum_w_gx, sum_w_g : sum w_i^2 ||g_i||^2, sum w_i <g_i, x_i - x0>, ||sum w_i g_i||.
        d, d_hat, gamma, s_norm, ... : the method's own scalars, with the papers' index n + 1.
        seconds : time in iterations so far, without compilation and without evaluating f at the average.

        With stochastic gradients row k describes x_k, after k steps:

        f, f_avg, accuracy : over all rows of the data; accuracy is the share of rows whose label is predicted.
        f_best : the least f at a checkpoint.
        f_batch, g_norm : the mean f of the mini-batches since the row before, the norm of the last subgradient.
        epoch : k / per_epoch.
    x0, x, x_next : (p,) float64
        The starting point; x_n, the last point where a subgradient was taken (with stochastic gradients: x_{n+1}),
        and x_{n+1}.
    x_avg, x_best, x_selected : (p,) float64
        The weighted average, the best iterate, and the average at the method's `select` (else None).
    status : str
        "completed"; "converged" (a zero subgradient: x is a minimiser); "not finite"; "bad weight" (negative, infinite
        or NaN); "failed" (an exception in the step; an objective in Python or a schedule that returned no numbers);
        "interrupted".
    message : str
        The status in a sentence, with the step at which it happened.
    G : float
        The problem's bound on the subgradients; infinite where it has none.
    seconds, compile_seconds : float
        Time in iterations, and time spent compiling or loading compiled functions.
    sampling : Sampling or None
        Mini-batches or noise, and the seed; None for the deterministic oracle.
    per_epoch : int
        Steps in an epoch; 1 without mini-batches.
    transitions : Transitions
        Iterations that were kept whole, a sequence of Transition: definitions and the replay are held against them.
    identity : str
        The problem's: a hash of its function and x0; empty for a problem that has none.
    """

    problem: str
    method: Method
    hyper: Mapping[str, Any]
    given: Mapping[str, str]
    steps: int
    k: int
    columns: Sequence[str] = field(repr=False)
    rows: Sequence[Mapping[str, float]] = field(repr=False)
    errors: Sequence[Mapping[str, float]] = field(repr=False)
    x0: Vector
    x: Vector
    x_next: Vector
    x_avg: Vector
    x_best: Vector
    x_selected: Vector | None
    status: str
    message: str
    G: float
    transitions: Transitions = field(repr=False)
    seconds: float
    compile_seconds: float
    sampling: Sampling | None = None
    per_epoch: int = 1
    identity: str = ""

    def __post_init__(self) -> None:
        self._seal()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._seal()  # pickle and deepcopy make arrays that can be written to

    def _seal(self) -> None:
        for value in vars(self).values():
            if isinstance(value, np.ndarray):
                value.setflags(write=False)
        for name in ("hyper", "given"):
            object.__setattr__(self, name, Kept(getattr(self, name)))
        for name in ("rows", "errors"):
            object.__setattr__(self, name, tuple(map(Kept, getattr(self, name))))

    def __repr__(self) -> str:
        """One line, without the iterates."""
        return f"<Run of {self.method.name} on {self.problem}: {self.status}, k = {self.k}>"

    @functools.cached_property
    def trace(self) -> pd.DataFrame:
        """The table of checkpoints."""
        import pandas as pd  # a second of import, which a run does not wait for

        table = pd.DataFrame(list(self.rows), columns=list(self.columns), dtype=np.float64)
        return table.astype({"k": "int64"})
