"""Checks of steps from outside this project: plain Python first, then compiled; faults have a file and a line."""

from __future__ import annotations

import inspect
import math
import re
from typing import Any

import numpy as np

from dadapt_convex.checks import Fault
from dadapt_convex.identity import global_names
from dadapt_convex.method import Method
from dadapt_convex.oracle import Helper, compile_all, compiled_by_numba, reached, trusted
from dadapt_convex.recorder import Plan, Recorder
from dadapt_convex.state import Step
from dadapt_convex.stochastic_driver import kernels
from dadapt_convex.transitions import Transition, place, run_step

# The arguments of a step, before its state and hyper-parameters.
BEFORE_STATE = ("k", "f", "g2", "g", "x", "x_next")
# Iterations that run as plain Python, with bounds and read-only checks; one where there are more coordinates than this.
DRY_STEPS, MANY_COORDINATES = 3, 100_000


def dry_run(plan: Plan) -> None:
    """Run the first iterations as plain Python, on copies; raise ValueError with file and line for a fault of the step.

    Steps of this project are not run.
    """
    problem, method, x0, gamma = plan.problem, plan.method, plan.x0, plan.factors
    step, p, hyper = method.step.python, x0.size, method.encode(plan.hyper)
    if trusted(step):
        return
    refuse_unchecked(method)
    vectors, scalars = method.start(x0, hyper)
    x, g, z = x0, np.zeros(p), np.zeros(problem.oracle.margins)
    for k in range(DRY_STEPS if p <= MANY_COORDINATES else 1):
        try:
            if k < gamma.steps and (factor := gamma(k, k + 1)).size:
                hyper[method.scheduled] = factor[0]
            f = problem.oracle.evaluate(x.copy(), g, z)
        except Fault:
            return  # the run ends with it, and a status
        given = Transition(k, f, float(g @ g), x, g, hyper, vectors, scalars, x, vectors, scalars, 0.0)
        if not (math.isfinite(given.g2) and given.g2 > 0):
            return
        try:
            after, unset = run_step(step, given), run_step(step, given, x_next=math.nan)
        except Exception as error:
            if isinstance(error, ArithmeticError) or "math domain error" in str(error):
                return  # plain Python raises where compiled code goes on with NaN, and ends with a status
            what = " ".join(f"{type(error).__name__}: {error}".split())
            if "read-only" in what:
                what = "it writes to x, g or hyper, which it may only read"
            raise ValueError(f"{method.name}: its step fails at k = {k}: {what} ({place(error, step)}).") from error
        left = np.isnan(unset.x_next) & ~np.isnan(after.x_next)
        if left.any():
            raise ValueError(
                f"{method.name}: its step leaves x_next[{int(np.argmax(left))}] unset at k = {k} "
                f"{_where(method.step.written)}."
            )
        x, vectors, scalars = after.x_next, after.vectors, after.scalars
        if not np.isfinite(x).all():
            return


def refuse_unchecked(method: Method) -> None:
    """Raise ValueError for a step with wrong arguments, or one that evades the checks."""
    step = method.step.written
    code, where = step.__code__, _where(step)
    names = (*BEFORE_STATE, *(("state", "hyper") if isinstance(method.step, Step) else ("vectors", "scalars", "hyper")))
    if code.co_argcount != len(names) or code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS):
        count = {8: "eight", 9: "nine"}[len(names)]
        raise ValueError(f"{method.name}: its step must take the {count} arguments {', '.join(names)} {where}.")
    for taken, name in zip(code.co_varnames, names, strict=False):
        if taken in names and taken != name:
            order = ", ".join(names)
            raise ValueError(
                f"{method.name}: its step takes {taken} in the place of {name}; the order is {order} {where}."
            )
    own = [(name, value) for name, value in reached(step) if isinstance(value, Helper) and not trusted(value.python)]
    used = global_names(code).union(*(global_names(value.python.__code__) for _, value in own))
    if around := {"flat", "ctypes", "carray"} & used:
        raise ValueError(
            f"{method.name}: its step uses {', '.join(around)}, where nothing is checked; use indices {where}."
        )
    for name, value in reached(step):
        if compiled_by_numba(value) is not None:
            raise ValueError(
                f"{method.name}: its step calls {name}, which numba.njit compiles without bounds checks; decorate it "
                f"with dc.helper instead {where}."
            )


def _where(function: Any) -> str:
    return f"({function.__code__.co_filename}, line {function.__code__.co_firstlineno})"


def compile_for(plan: Plan) -> None:
    """Compile everything that a run needs; ValueError with file and line for a step that does not compile."""
    method = plan.method
    needed = kernels(plan.problem, method.step, plan.drawn)
    if trusted(method.step.python):
        compile_all(needed)
        return
    from numba.core.errors import NumbaError, UnsupportedBytecodeError

    compile_all([kernel for kernel in needed if kernel is not method.step])
    try:
        compile_all([method.step])
    except (NumbaError, UnsupportedBytecodeError, TypeError) as error:
        code, text = method.step.written.__code__, " ".join(str(error).split())
        location: Any = getattr(error, "loc", None)
        inside = location is not None and location.filename and code.co_filename.endswith(location.filename)
        line = location.line if inside else code.co_firstlineno
        if at := re.search(rf"at {re.escape(code.co_filename)} \((\d+)\)", text):
            line = int(at[1])
        text = re.sub(r"^(Failed in nopython mode pipeline \(step: [^)]*\) )+", "", text)
        text = re.split(" During: (?:typing of|lowering) ", text)[0]
        why = text[:300]
        if "modify readonly array" in text:
            why = "it writes to x, g or hyper, which it may only read"
        if returned := re.search(r"No conversion from (.*?) to float64 for '\S*return_value", text):
            why = f"it returns {returned[1]}, and must return the weight of x_k, a number"
        raise ValueError(
            f"{method.name}: its step does not compile: {why} ({code.co_filename}, line {line})."
        ) from error


def found_in_step(run: Recorder, error: Exception) -> str:
    """The exception of a compiled step in words, with the file and line that plain Python finds for it."""
    step, k, x, books = run.plan.method.step.python, run.k, run.iterate_at(run.k), run.books
    given = Transition(
        k, run.totals.f, run.totals.g2, x, books.g, books.hyper, books.vectors, books.scalars, x, books.vectors,
        books.scalars, 0.0,
    )  # fmt: skip
    found: Exception = error
    try:
        run_step(step, given)
    except Exception as again:
        found = again
    what = " ".join(f"{type(found).__name__}: {found}".split())
    return f"the step fails at step {k} (k = {k}): {what} ({place(found, step)})"
