"""Certified optima of linear models: f_lo <= inf f <= f_hi and D_lo <= dist(x0, X*) <= D_hi, each end proved here."""

from problems.optimum.certify import certified_optimum
from problems.optimum.check import complaints

__all__ = ["certified_optimum", "complaints"]
