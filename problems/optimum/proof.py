"""What a certificate proves, as numbers."""

from __future__ import annotations

import math
from typing import NamedTuple


class Proof(NamedTuple):
    """f_lo <= inf f <= f_hi, and the distance of x0 from the minimisers in both norms; attained as in Optimum."""

    f_lo: float
    f_hi: float
    D_lo: float = 0.0
    D_hi: float = math.inf
    D_inf_lo: float = 0.0
    D_inf_hi: float = math.inf
    attained: bool | None = None


# The losses are not negative.
NOTHING = Proof(0.0, math.inf)
