"""solve(): validates once, drives the compiled loop from checkpoint to checkpoint, returns a Run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from dadapt_convex import run as statuses
from dadapt_convex.checkpoints import checkpoint_steps, number_of_steps
from dadapt_convex.checks import Fault, check_callable
from dadapt_convex.driver import BAD_WEIGHT, CONVERGED, GOES_ON, NOT_FINITE
from dadapt_convex.identity import refuse_other_optimum
from dadapt_convex.known import known_quantities
from dadapt_convex.method import Method, get_method
from dadapt_convex.oracle import Objective, check_objective, trusted
from dadapt_convex.recorder import Deterministic, Factors, Plan, Recorder
from dadapt_convex.run import OptimumInterval, Run
from dadapt_convex.schedules import Constant, as_schedule, check_factors
from dadapt_convex.stochastic import rows, sampling
from dadapt_convex.stochastic_recorder import Stochastic
from dadapt_convex.theory import check_claims
from dadapt_convex.user_step import compile_for, dry_run, found_in_step

# A chunk runs compiled, without a look at the clock, at Ctrl-C and at the progress bar.
CHUNK_SECONDS = 0.1
# Seconds per number that a step reads or writes, for the length of the first chunk: more than it takes.
COST = 4e-9
Progress = Callable[[int], None]


def solve(
    problem: Objective,
    method: str | Method,
    *,
    steps: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    noise: Any = None,
    seed: int = 0,
    checkpoints: str | Iterable[int] | None = None,
    optimum: OptimumInterval | None = None,
    progress: Progress | None = None,
    **hyper: Any,
) -> Run:
    """Run a method for `steps` subgradients, or `epochs` passes over the rows.

    Parameters
    ----------
    problem : Objective
        A problem, as problems.get() returns: it has name, oracle, x0 and G.
    method : str or Method
        A name from methods(), or a method of one's own.
    steps : int >= 1
        The number of subgradients, n + 1 in the papers' notation.
    epochs : int >= 1
        In place of steps: passes over the rows. A pass has ceil(m / batch_size) steps, or 1 without mini-batches.
    batch_size : int in 1..m, optional
        Rows in a mini-batch, drawn without replacement; the last one of an epoch may be smaller. See
        dadapt_convex.stochastic.
    noise : str or Noise, optional
        "gaussian(sigma)", "sign(sigma)" or "skewed(sigma)": noise added to every subgradient.
    seed : int >= 0
        The seed of mini-batches or noise; not used otherwise.
    checkpoints : "log", "epochs", "all" or integers in 1..steps
        The steps with a row in the trace: about 40 per decade, the last step of each epoch, all, or the given ones.
        The last step always has a row. Default: "epochs" with mini-batches, else "log".
    optimum : Optimum, optional
        The source of D and f_star for methods that need them and were not given them; by default problem.optimum(),
        called only then.
    progress : callable (k) -> None, optional
        Called about ten times a second; may raise KeyboardInterrupt.
    **hyper
        The method's hyper-parameters, see get_method(name).hyper, and `schedule`, see dadapt_convex.schedules.

    Returns
    -------
    Run
        A run is returned also after Ctrl-C, when f, g or x stop being finite, after an exception in the step, and
        where an objective in Python or a schedule returns something other than numbers: see its status.

    Raises
    ------
    ValueError
        Before any work: an unknown method or hyper-parameter, a value out of range, a problem without what
        the method needs, a claim that names no theorem or needs what the method does not have, the optimum of another
        problem, a step that raises in its first iterations, writes to x, g or hyper, or does not compile. Exceptions
        of an objective in Python reach the caller, with a note that names the step.
    """
    check_objective(problem)
    if progress is not None:
        check_callable("progress", progress, "k -> None")
    chosen = get_method(method)
    drawn = sampling(problem, batch_size, noise, seed)
    per_epoch = drawn.per_epoch(rows(problem)) if drawn else 1
    steps = number_of_steps(steps, epochs, per_epoch)
    if checkpoints is None:
        checkpoints = "epochs" if per_epoch > 1 else "log"
    marks = checkpoint_steps(checkpoints, steps, per_epoch)
    x0 = np.array(problem.x0, dtype=np.float64)
    check_claims(chosen)
    if optimum is not None:
        refuse_other_optimum(optimum, problem.name, getattr(problem, "identity", ""), x0.size)
    values, given = chosen.complete(hyper, known_quantities(problem, optimum, steps, chosen, drawn))
    schedule = as_schedule(hyper.get("schedule")) if chosen.scheduled >= 0 else Constant()
    check_factors(schedule, steps, per_epoch)
    plan = Plan(problem, chosen, x0, values, Factors(schedule, steps, per_epoch), marks, drawn)

    dry_run(plan)
    begun = time.perf_counter()
    compile_for(plan)
    recorder = Deterministic(plan) if drawn is None else Stochastic(plan)
    compile_seconds = time.perf_counter() - begun
    status, message = _drive(recorder, progress)
    return Run(
        problem=problem.name,
        method=chosen,
        hyper={**values, **(drawn.recorded() if drawn else {})},
        given=given,
        steps=steps,
        k=recorder.k,
        columns=recorder.columns,
        rows=recorder.rows,
        errors=recorder.errors,
        transitions=recorder.kept_whole(),
        x0=x0,
        x_next=recorder.iterate_at(recorder.k).copy(),
        x_best=recorder.x_best.copy(),
        **recorder.points(),
        status=status,
        message=message,
        G=float(problem.G),
        sampling=drawn,
        per_epoch=per_epoch,
        identity=getattr(problem, "identity", ""),
        seconds=recorder.seconds,
        compile_seconds=compile_seconds,
    )


def _drive(recorder: Recorder, progress: Progress | None) -> tuple[str, str]:
    """Iterate to the end, or as far as it goes; returns the status and the message of the run."""
    plan, outcome, pace = recorder.plan, GOES_ON, first_pace(recorder.plan)
    try:
        while recorder.k < plan.steps and outcome == GOES_ON:
            outcome, pace = _advance(recorder, pace)
            if progress is not None:
                recorder.asking = True
                progress(recorder.k)
                recorder.asking = False
        status, message = _ended(recorder, outcome)
    except KeyboardInterrupt:
        status, message = statuses.INTERRUPTED, f"interrupted after {recorder.k} of {plan.steps} steps"
    except Fault as error:
        status, message = _at_fault(recorder, error)
    except Exception as error:
        if recorder.asking or trusted(plan.method.step.python):
            where = f"at step {recorder.k} (k = {recorder.k})"
            error.add_note(f"in a run of {plan.method.name} on {plan.problem.name}, {where}")
            raise
        status, message = statuses.FAILED, found_in_step(recorder, error)
    try:
        recorder.record_last()
    except Fault as error:  # f at the average
        status, message = _at_fault(recorder, error)
        recorder.record_last()
    return status, message


def _advance(recorder: Recorder, pace: int) -> tuple[int, int]:
    """Iterate for about CHUNK_SECONDS, or as far as checkpoints allow, and record the checkpoints that were passed.

    Returns why the loop returned, and how many iterations the next chunk has.
    """
    before, stop = recorder.k, min(recorder.reach(), recorder.k + pace)
    begun = time.perf_counter()
    try:
        recorder.k, outcome = recorder.loop(before, stop)
    except BaseException:  # raised once the compiled loop has ended, before k is assigned
        recorder.k = int(recorder.totals.done)
        raise
    finally:
        took = time.perf_counter() - begun
        recorder.seconds += took
        asked, recorder.asking = recorder.asking, True
        recorder.record_passed(before, took)
        recorder.asking = asked
    if took < CHUNK_SECONDS / 4 and stop == before + pace:
        return outcome, 2 * pace
    return outcome, pace // 2 if took > CHUNK_SECONDS and pace > 1 else pace


def first_pace(plan: Plan) -> int:
    """The number of iterations of the first chunk: 1 where the cost of an iteration is not known."""
    data, margins = plan.problem.oracle.data, plan.problem.oracle.margins
    if data is None or plan.problem.oracle.kernel is None:
        return 1
    read = (data.dense.size + 2 * data.values.size) * max(1.0, margins / max(1, data.b.size))
    if plan.drawn is not None and plan.drawn.batch_size is not None:
        read *= plan.drawn.batch_size / data.b.size
    return max(1, int(CHUNK_SECONDS / (COST * (read + 10 * plan.x0.size + 100))))


def _ended(recorder: Recorder, outcome: int) -> tuple[str, str]:
    """Status and message of a run that was not interrupted."""
    k, names = recorder.k, recorder.plan.method.scalars
    if outcome == NOT_FINITE:
        what = f"f, its subgradient or the iterate is not finite at step {k} (k = {k})"
        return statuses.NOT_FINITE, what
    lost = "d" if "d" in names and not math.isfinite(recorder.scalar("d")) else ""
    if outcome == BAD_WEIGHT and lost:  # the weight follows from it
        return statuses.NOT_FINITE, f"d is not finite at step {k} (k = {k})"
    if outcome == BAD_WEIGHT:
        what = f"the weight of x_{k} is {float(recorder.totals.w)!r} at step {k} (k = {k})"
        return statuses.BAD_WEIGHT, f"{what}; weights must be finite and not negative"
    if outcome == CONVERGED and np.any(recorder.books.g):
        return statuses.FAILED, f"||g||^2 at x_{k - 1} is 0 in float64, and g is not; multiply f by a large number"
    if outcome == CONVERGED:
        return statuses.CONVERGED, f"the subgradient at x_{k - 1} is zero: it is a minimiser"
    lost = lost or next((name for name in names if math.isnan(recorder.scalar(name))), "")
    if not np.isfinite(recorder.iterate_at(k)).all():  # no next step would say so
        lost = "the iterate"
    if lost:
        return statuses.NOT_FINITE, f"{lost} is not finite after step {k - 1} (k = {k})"
    return statuses.COMPLETED, f"all {k} steps done"


def _at_fault(recorder: Recorder, error: Fault) -> tuple[str, str]:
    """Status and message where the objective or the schedule returned something else than it must."""
    who = "" if str(error).startswith("schedule") else f"{recorder.plan.problem.name} "
    recorder.fault = f"at step {recorder.k} (k = {recorder.k}) {who}{error}"
    return statuses.FAILED, recorder.fault
