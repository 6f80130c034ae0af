"""Methods for convex optimisation that need no learning rate, and the theorems they must keep.

run = solve(problem, "dadapt_dual_averaging", steps=10_000)
check(run, problem.optimum())
"""

from __future__ import annotations

import dadapt_convex.methods  # noqa: F401  first, so that the name `methods` below stays the function
from dadapt_convex.hyper import SCHEDULE, Choice, Flag, Hyper, Pair, Real
from dadapt_convex.known import NotAvailable
from dadapt_convex.method import Method, get_method, methods, register, unregister
from dadapt_convex.oracle import Data, Kernel, Objective, Oracle, helper, oracle, pack, value
from dadapt_convex.run import Run
from dadapt_convex.schedules import Schedule
from dadapt_convex.solve import solve
from dadapt_convex.state import Scalar, State, Vector, step
from dadapt_convex.theory import Sides, Theorem, check, gap_bounds, gap_sides, theorem, theorems

__all__ = [
    "SCHEDULE",
    "Choice",
    "Data",
    "Flag",
    "Hyper",
    "Kernel",
    "Method",
    "NotAvailable",
    "Objective",
    "Oracle",
    "Pair",
    "Real",
    "Run",
    "Scalar",
    "Schedule",
    "Sides",
    "State",
    "Theorem",
    "Vector",
    "check",
    "gap_bounds",
    "gap_sides",
    "get_method",
    "helper",
    "methods",
    "oracle",
    "pack",
    "register",
    "solve",
    "step",
    "theorem",
    "theorems",
    "unregister",
    "value",
]
