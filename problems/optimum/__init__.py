"""Certified optima of linear models: f_lo <= inf f <= f_hi and D_lo <= dist(x0, X*) <= D_hi, each end proved here."""

from problems.optimum.certify import certified_optimum

__all__ = ["certified_optimum", "complaints"]


def __getattr__(name: str) -> object:
    if name == "complaints":
        from problems.optimum.check import complaints

        return complaints
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
