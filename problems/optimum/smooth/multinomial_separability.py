"""Multinomial logistic loss: the pairs S that a direction V sends to infinity (separability.py), layer by layer.

f is at least f_K (softmax.py), K_i = {y_i and c : (i, c) not in S}, at every W, and f(W + t V) tends to f_K(W): so
inf f = inf f_K. That no V separates anything is proved by the enclosure of a minimiser (softmax_enclosure.py).

Newton's method finds S: the margins of its pairs grow by about 1 with each step for ever, those of others converge.
Then a matrix is sought that vanishes on the pairs outside S and is positive on S. S is found layer by layer: V_1 for
S_1, then V_2 for S_2 in the rest, and so on; c V_1 + V_2 separates S_1 and S_2 for c large, and what is proved in the
end is that a matrix near this one separates exactly S (separability.py). Where Newton finds nothing that can be proved,
the linear program does.

Data too wide for a Hessian are separable as a rule, but for rows with several labels: multinomial_repeated.py.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from problems.matrix import dense, sums_of_squares
from problems.optimum.arithmetic.columns import independent_columns
from problems.optimum.arithmetic.extended import Floats, Indices, Mask
from problems.optimum.arithmetic.null_space import Forms, spanning_columns
from problems.optimum.law import Enclosure
from problems.optimum.newton import Stop
from problems.optimum.smooth.multinomial_repeated import direction, entropy_point, proved_direction, repeated
from problems.optimum.smooth.separability import by_linear_program, separation
from problems.optimum.smooth.softmax import Rows, forms_of, mean_loss, pairs, restricted
from problems.optimum.smooth.softmax_enclosure import enclose_rows
from problems.optimum.smooth.softmax_newton import DENSE_UNKNOWNS, growth, newton, separates

# How often Newton's method is resumed where it stopped before S was clear.
RESUMES = 12
# Eigenvalues of a Gram matrix this small, relative to the largest, suggest its null space, which is proved later.
NULL = 1e-12
# Newton steps for a direction in that null space: separable data take about ten.
SEPARATING = 40
# The least margin should not be tiny beside the others: V is then multiplied by smaller factors.
MARGIN = 10.0
# At most this many layers S_1, S_2, ...
LAYERS = 12
# Entries of the linear program's matrix; a million take some seconds.
PROGRAM = 2_000_000
PROGRAM_SECONDS = 60.0
# Newton steps where data are so wide that each step is found by conjugate gradients.
WIDE_STEPS = 12


class Split(NamedTuple):
    """S as a mask (m, C), V (p, C) that separates exactly S, and Newton's result for the rest.

    proved: V is near a matrix that does so; at: entries of W that f_K depends on, None where that is not proved;
    W: Newton's point for f_K, and whether it converged there.
    """

    S: Mask
    V: Floats
    proved: bool
    at: Indices | None
    W: Floats
    converged: bool


def of_pairs(rows: Rows, which: Mask) -> Mask:
    """The mask (m, C) of the pairs that `which` selects."""
    found = np.zeros(rows.keep.shape, dtype=bool)
    found[pairs(rows)] = which
    return found


def proved_separation(rows: Rows, S: Mask, V: Floats) -> Floats | None:
    """A matrix near a multiple of V that separates exactly S, rounded to float64; None where there is no proof."""
    in_S = S[pairs(rows)]
    if V.size > DENSE_UNKNOWNS and not in_S.all():
        found = repeated(rows)
        tied = np.array_equal(of_pairs(rows, ~in_S), found.tied(rows))
        return proved_direction(rows, found, V) if tied else None
    separated = separation(forms_of(rows), in_S, V.ravel())
    return separated.w.reshape(V.shape) if separated.proved else None


def others_above(rows: Rows, S: Mask, W: Any) -> float:
    """A lower bound on f_K, K being without the pairs in S: enclosed near W, or 0."""
    left = restricted(rows, rows.keep & ~S)
    if left.A.shape[1] * left.C > DENSE_UNKNOWNS:
        return 0.0
    center = W.reshape(-1, left.C)
    ball = enclosed(left, center)
    return 0.0 if ball is None else ball.lower(mean_loss(left, center))


def enclosed(rows: Rows, W: Any) -> Enclosure | None:
    """The ball around W that holds a minimiser of f_K with every value that f_K takes; None: no proof."""
    at = coordinates(rows)
    return None if at is None or not rows.y.size else enclose_rows(rows, at, W)


def coordinates(rows: Rows) -> Indices | None:
    """Entries of W.ravel() on which all that f_K depends on can be reached; None: no proof.

    With all classes: independent columns of A, and all classes but the last.
    """
    if rows.keep.all():
        J = independent_columns(rows.A).J
        return (J[:, None] * rows.C + np.arange(rows.C - 1)).ravel()
    forms = forms_of(rows)
    return spanning_columns(forms) if forms.row.size else forms.row


def split(rows: Rows) -> Split:
    """Find S and prove it, layer by layer."""
    shape = (rows.A.shape[1], rows.C)
    if rows.A.shape[1] * rows.C > DENSE_UNKNOWNS:
        return _wide(rows)
    S, V, W, at = np.zeros(rows.keep.shape, dtype=bool), np.zeros(shape), np.zeros(shape), None
    for _ in range(LAYERS):
        left = np.flatnonzero((rows.keep & ~S).sum(axis=1) > 1)
        part = restricted(rows, rows.keep & ~S)
        at = coordinates(part)
        if at is None:
            break
        stop, layer = _layer(rows, S, V, part, left, at)
        W = stop.x
        if stop.converged:
            return Split(S, V, bool(S.any()), at, W, True)
        if layer is None:
            break
        S, V = layer
    found = by_program(rows)
    return found if found is not None else Split(np.zeros_like(S), V, False, at, W, False)


def _layer(
    rows: Rows, S: Mask, V: Floats, part: Rows, left: Indices, at: Indices
) -> tuple[Stop, tuple[Mask, Floats] | None]:
    """Newton's result on the rest (rows `left`, without the pairs in S), and S and V with one more layer, proved."""
    W = np.zeros(V.shape)
    if not left.size:
        return Stop(W, W, True), None
    i, c = pairs(rows)
    for _ in range(RESUMES):
        stop = newton(part, 0.0, W, at)
        if stop.converged:
            break
        still = np.zeros_like(S)
        direction: Floats | None = stop.x
        if not separates(part, part.A @ stop.x):
            if stop.still is None:
                break
            still[left] = stop.still
            direction = _separating(rows, rows.keep & ~S, still)
        if direction is not None:
            more = S.copy()
            more[i, c] |= ~still[i, c]
            combined = proved_separation(rows, more, _combined(rows, S, V, direction))
            if combined is not None:
                return stop, (more, combined)
        W = stop.x + stop.step
    return stop, None


def _separating(rows: Rows, keep: Mask, still: Mask) -> Floats | None:
    """V that is 0 on the still pairs, up to rounding, and positive on the others in `keep`."""
    i = np.arange(rows.y.size)
    at_rest, others = still & keep, keep & ~still
    others[i, rows.y] = True
    part = restricted(rows, others)
    if not part.y.size:
        return None
    size = np.sqrt(sums_of_squares(rows.A, axis=0))
    scale = np.repeat(1 / np.where(size > 0, size, 1.0), rows.C)
    forms, among = forms_of(rows), pairs(rows)
    values, vectors = np.linalg.eigh(_gram(forms.at(at_rest[among]), scale))
    basis = vectors[:, values <= NULL * max(values[-1], 1e-300)]
    # directions that change no form at all would make the Hessian singular
    values, vectors = np.linalg.eigh(basis.T @ _gram(forms.at(others[among]), scale) @ basis)
    basis = scale[:, None] * (basis @ vectors[:, values > NULL * max(values[-1:].max(initial=0.0), 1e-300)])
    stop = newton(part, 0.0, np.zeros((rows.A.shape[1], rows.C)), basis, SEPARATING, MARGIN)
    return stop.x if separates(part, part.A @ stop.x) else None


def _gram(forms: Forms, scale: Floats) -> Floats:
    """M^T M of the forms' matrix M, scaled."""
    M = forms.matrix()
    return dense(M.T @ M) * np.outer(scale, scale)


def _combined(rows: Rows, S: Mask, V: Floats, direction: Floats) -> Floats:
    """c V + direction, c a power of two so large that the pairs in S grow at least half as much as along c V."""
    if not S.any():
        return direction
    whole = rows._replace(keep=np.ones_like(S))
    before, now = growth(whole, rows.A @ V)[S], growth(whole, rows.A @ direction)[S]
    c = max(1.0, 2 * float((-now / np.where(before > 0, before, np.inf)).max()))
    return V * np.exp2(np.ceil(np.log2(c))) + direction


def by_program(rows: Rows) -> Split | None:
    """S by linear programming (HiGHS); None where that is too large, fails, or finds no pair."""
    forms, nothing = forms_of(rows), np.zeros((rows.A.shape[1], rows.C))
    found = None if forms.matrix().nnz > PROGRAM else by_linear_program(forms, time_limit=PROGRAM_SECONDS)
    if found is None:
        return None
    S = of_pairs(rows, found.S)
    left = restricted(rows, rows.keep & ~S)
    at = coordinates(left)
    stop = Stop(nothing, nothing, True)
    if at is not None and left.y.size:
        stop = newton(left, 0.0, nothing, at)
    return Split(S, found.w.reshape(nothing.shape), found.proved, at, stop.x, stop.converged)


def _wide(rows: Rows) -> Split:
    """More unknowns than a Hessian is formed for: separable as a rule, except for rows with several labels.

    Where that fails, nothing is proved.
    """
    p, C = rows.A.shape[1], rows.C
    found = repeated(rows)
    if found.first.size:
        V = direction(rows, found)
        exact = None if V is None else proved_direction(rows, found, V)
        if exact is not None:
            S = rows.keep & ~found.tied(rows)
            S[np.arange(rows.y.size), rows.y] = False
            return Split(S, exact, True, None, entropy_point(rows, found), False)
    everything = np.arange(p * C)
    stop = newton(rows, 0.0, np.zeros((p, C)), everything, patience=WIDE_STEPS)
    S = growth(rows, rows.A @ stop.x) > 0
    return Split(S, stop.x, proved_separation(rows, S, stop.x) is not None, None, stop.x, False)
