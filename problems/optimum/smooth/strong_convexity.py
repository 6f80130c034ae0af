"""Smooth losses, l2 > 0: bounds from a point near the minimiser.

Each of f_lo and the radius around the point is the best of three: strong convexity, f* >= f(x) - ||g||^2 / (2 l2) and
||x - x*|| <= ||g|| / l2; the dual point of the slopes at x, which would be as good but does not suffer from the
rounding of large margins; and self-concordance (smooth.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from problems.optimum.arithmetic.extended import ABOVE, Bounded, Long, down, margins, norm_up, up
from problems.optimum.certificate import Certificate, Point, Proof
from problems.optimum.distances import in_ball
from problems.optimum.dual import LOGISTIC, Minorant, objective
from problems.optimum.dual import dual_value as logistic_dual_value
from problems.optimum.smooth.smooth import Enclosure, enclose_l2, slopes
from problems.optimum.smooth.smooth import gradient as logistic_gradient
from problems.optimum.smooth.softmax import (
    MULTINOMIAL,
    differences,
    dual_value,
    gradient,
    mean_loss,
    residual,
    rows_of,
    softmax,
)
from problems.optimum.smooth.softmax_enclosure import enclose_rows
from problems.optimum.value import value_up
from problems.problem import LinearModel, Problem


class At(NamedTuple):
    """A smooth f with l2 > 0 at a point: its value, its gradient, a lower bound by duality, and by self-concordance."""

    f: Bounded
    g: Bounded
    lower: Any
    enclosure: Enclosure | None


def _logistic(model: LinearModel, x: Long) -> At:
    A, b, l2 = model.A, model.b, model.l2
    u = slopes(b, margins(A, x))[0].value.astype(np.float64)
    lower = logistic_dual_value(model, Minorant(model, u))
    return At(objective(model, x), logistic_gradient(A, b, l2, x), lower, enclose_l2(A, b, l2, x))


def _multinomial(model: LinearModel, x: Long) -> At:
    rows, l2 = rows_of(model), model.l2
    W = x.reshape(-1, rows.C)
    g = gradient(rows, residual(rows, softmax(rows, differences(rows, W))), l2, W)
    return At(
        mean_loss(rows, W, l2),
        Bounded(g.value.ravel(), g.error.ravel()),
        dual_value(rows, W.astype(np.float64), l2),
        enclose_rows(rows, np.arange(W.size), W, l2),
    )


AT = {LOGISTIC: _logistic, MULTINOMIAL: _multinomial}


@dataclass(frozen=True, kw_only=True, eq=False)
class StrongConvexity(Certificate):
    """f is bounded at x and D at x + low: x alone, to 1e-16, would leave D open by that times the condition number."""

    kind = "strong convexity"
    arithmetic = "norms"
    x: Point
    low: Point | None = None

    @staticmethod
    def serves(model: LinearModel | None) -> bool:
        """For smooth losses with a penalty."""
        return model is not None and model.loss in AT and model.l2 > 0

    def prove(self, problem: Problem) -> Proof:
        """The best of the three bounds."""
        model = problem.model
        assert model is not None
        center = self.x.astype(np.longdouble) + (0 if self.low is None else self.low)
        at, l2 = AT[model.loss](model, center), np.longdouble(model.l2)
        lower = at.lower
        radius = np.sqrt(2 * np.maximum(at.f.value + at.f.error - lower, 0) / l2 * ABOVE)
        g_norm = np.longdouble(norm_up(at.g))
        balls = [(g_norm / l2, g_norm**2 / (2 * l2) * ABOVE)]
        if at.enclosure is not None:
            balls.append((np.longdouble(at.enclosure.radius), np.longdouble(at.enclosure.drop)))
        for reach, drop in balls:
            lower, radius = max(lower, at.f.value - at.f.error - drop), min(radius, reach)
        return in_ball(problem.x0, max(0.0, down(lower)), value_up(model, self.x), center, up(radius))
