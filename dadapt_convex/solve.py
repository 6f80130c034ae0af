"""solve(): validates once, drives the compiled loop from checkpoint to checkpoint, returns a Run."""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dadapt_convex import driver
from dadapt_convex import run as statuses
from dadapt_convex.checks import Fault, as_int, check_callable, check_interval, shown
from dadapt_convex.identity import global_names, refuse_other_optimum
from dadapt_convex.method import Known, Method, get_method
from dadapt_convex.oracle import (
    Helper,
    Objective,
    Vector,
    check_objective,
    compile_all,
    compiled_by_numba,
    reached,
    trusted,
)
from dadapt_convex.run import OptimumInterval, Run
from dadapt_convex.schedules import Constant, Schedule, as_schedule, check_factors, factors_of
from dadapt_convex.stochastic import Sampling, sampling
from dadapt_convex.stochastic import rows as rows_of
from dadapt_convex.stochastic_driver import (
    F_MEAN,
    N_STOCHASTIC,
    TAKEN,
    Evaluation,
    Snapshots,
    keep,
    kernels,
    stochastic_loop,
)
from dadapt_convex.theory import check_claims
from dadapt_convex.transitions import NO_STEP, Transition, Transitions, kept_steps, numbers, place, run_step

CHECKPOINTS_PER_DECADE = 40
# Larger numbers are slips: 1e12 steps take a day on the smallest problem, 1e7 rows of a trace take 15 GB.
MOST_STEPS, MOST_ROWS = 10**12, 10**7
# A chunk is what runs compiled without a look at the clock, at Ctrl-C and at the progress bar.
CHUNK_SECONDS = 0.1
# Seconds per number that a step reads or writes, for the length of the first chunk: more than it takes.
COST = 4e-9
# Iterations that a step from outside this project first runs as plain Python, with bounds and read-only checks; one
# where there are more coordinates than this.
DRY_STEPS, MANY_COORDINATES = 3, 100_000
STEP_ARGUMENTS = 9
# The columns that are recorded for every method, in order.
DETERMINISTIC = (
    "k", "f", "f_avg", "f_best", "f_mean", "g_norm", "g_max", "g0_norm", "x_dist", "x_next_dist", "S", "weight_sum",
    "sum_w2_g2", "sum_w_gx", "sum_w_g",
)  # fmt: skip
STOCHASTIC = ("k", "epoch", "f", "f_avg", "f_best", "f_batch")
ALSO_STOCHASTIC = ("g_norm", "g_max", "g0_norm", "x_dist", "S", "weight_sum")
EPS = float(np.finfo(np.float64).eps)
Progress = Callable[[int], None]


class NotAvailable(ValueError):
    """The method needs a quantity that this problem does not have: D, where no minimiser exists."""


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
        What problems.get() and its like return: has name, oracle, x0, G.
    method : str or Method
        A name from methods(), or a method of one's own.
    steps : int >= 1
        The number of subgradients, n + 1 in the papers' notation.
    epochs : int >= 1
        In place of steps: passes over the rows, of ceil(m / batch_size) steps each (of one without mini-batches).
    batch_size : int in 1..m, optional
        Mini-batches of the rows without replacement, the last of an epoch smaller; see dadapt_convex.stochastic.
    noise : str or Noise, optional
        "gaussian(sigma)", "sign(sigma)" or "skewed(sigma)": noise added to every subgradient.
    seed : int >= 0
        Of mini-batches or noise; not used otherwise.
    checkpoints : "log", "epochs", "all" or integers in 1..steps
        Where the trace gets a row: about 40 per decade, after each epoch, everywhere, or there. The last step always
        has one. Default: "epochs" with mini-batches, else "log".
    optimum : Optimum, optional
        Where D and f_star come from for methods that need them and were not given them; default
        problem.optimum(), asked only then.
    progress : callable (k) -> None, optional
        Called about ten times a second; may raise KeyboardInterrupt.
    **hyper
        The method's hyper-parameters; see get_method(name).hyper. Among them `schedule`: see dadapt_convex.schedules.

    Returns
    -------
    Run
        Also after Ctrl-C, when f, g or x stop being finite, after an exception in the step, or where an objective in
        Python or a schedule returns something else than numbers: see its status.

    Raises
    ------
    ValueError
        Before any work: an unknown method or hyper-parameter, a value out of range, a problem without what
        the method needs, a claim that names no theorem or needs what the method does not have, the optimum of another
        problem, a step that raises in its first iterations, writes to x, g or hyper, or does not compile. What an
        objective in Python raises reaches the caller, with a note that says at which step.
    """
    check_objective(problem)
    if progress is not None:
        check_callable("progress", progress, "k -> None")
    chosen = get_method(method)
    drawn = sampling(problem, batch_size, noise, seed)
    per_epoch = drawn.per_epoch(rows_of(problem)) if drawn else 1
    steps = _steps(steps, epochs, per_epoch)
    if checkpoints is None:
        checkpoints = "epochs" if per_epoch > 1 else "log"
    marks = checkpoint_steps(checkpoints, steps, per_epoch)
    x0 = np.array(problem.x0, dtype=np.float64)
    check_claims(chosen)
    if optimum is not None:
        refuse_other_optimum(optimum, problem.name, getattr(problem, "identity", ""), x0.size)
    values, given = chosen.complete(hyper, _known(problem, optimum, steps, chosen, drawn))
    schedule = as_schedule(hyper.get("schedule")) if chosen.scheduled >= 0 else Constant()
    check_factors(schedule, steps, per_epoch)
    if drawn:
        values.update(drawn.recorded())

    gamma = _Factors(schedule, steps, per_epoch)
    decays = _number_in(values, "weight_decay") > 0
    if not trusted(chosen.step.python):
        dry_run(problem, chosen, x0, chosen.encode(values), gamma)
    compiled = time.perf_counter()
    compile_for(problem, chosen, drawn)
    momentum = _number_in(values, "momentum")
    state = _State.start(problem, chosen, x0, chosen.encode(values), gamma, drawn, marks, decays, momentum)
    compile_seconds = time.perf_counter() - compiled

    try:
        outcome = driver.GOES_ON
        while state.k < steps and outcome == driver.GOES_ON:
            outcome = state.advance(progress)
        status, message = state.ended(outcome)
    except KeyboardInterrupt:
        status, message = statuses.INTERRUPTED, f"interrupted after {state.k} of {steps} steps"
    except Fault as error:
        status, message = state.at_fault(error)
    except Exception as error:
        if state.elsewhere or trusted(chosen.step.python):
            error.add_note(f"in a run of {chosen.name} on {problem.name}, at step {state.k} (k = {state.k})")
            raise
        status, message = state.failed(error)
    try:
        state.last_row()
    except Fault as error:  # f at the average
        status, message = state.at_fault(error)
        state.last_row()
    return state.finish(problem, chosen, values, given, steps, status, message, compile_seconds)


def dry_run(problem: Objective, method: Method, x0: Vector, hyper: Vector, gamma: _Factors) -> None:
    """The first iterations as plain Python, on copies: ValueError with file and line for a step that is at fault."""
    step, p = method.step.python, x0.size
    refuse_unchecked(method)
    vectors, scalars = start_state(method, x0, hyper)
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
                f"({step.__code__.co_filename}, line {step.__code__.co_firstlineno})."
            )
        x, vectors, scalars = after.x_next, after.vectors, after.scalars
        if not np.isfinite(x).all():
            return


def refuse_unchecked(method: Method) -> None:
    """ValueError for a step that is no function of nine arguments, or reaches around the checks of compiled code."""
    step = method.step.python
    code, where = step.__code__, f"({step.__code__.co_filename}, line {step.__code__.co_firstlineno})"
    if code.co_argcount != STEP_ARGUMENTS or code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS):
        raise ValueError(
            f"{method.name}: its step must take the nine arguments k, f, g2, g, x, x_next, vectors, scalars, hyper "
            f"{where}."
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


def start_state(method: Method, x0: Vector, hyper: Vector) -> tuple[Vector, Vector]:
    """(vectors, scalars) before the first step; ValueError with file and line where `init` fails."""
    vectors, scalars = np.zeros((len(method.vectors), x0.size)), np.zeros(len(method.scalars))
    if "x0" in method.vectors:
        vectors[method.vectors.index("x0")] = x0
    try:
        method.init(vectors, scalars, hyper)
    except Exception as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"{method.name}: its init fails: {what} ({place(error, method.init)}).") from error
    if np.isnan(vectors).any() or np.isnan(scalars).any():
        raise ValueError(f"{method.name}: its init leaves NaN in the state.")
    return vectors, scalars


def compile_for(problem: Objective, method: Method, drawn: Sampling | None) -> None:
    """Compile what a run needs; ValueError with file and line for a step from outside that does not compile."""
    needed = kernels(problem, method.step, drawn)
    if trusted(method.step.python):
        compile_all(needed)
        return
    from numba.core.errors import NumbaError

    compile_all([kernel for kernel in needed if kernel is not method.step])
    try:
        compile_all([method.step])
    except (NumbaError, TypeError) as error:
        code, text = method.step.python.__code__, " ".join(str(error).split())
        location = getattr(error, "loc", None)
        line = location.line if location is not None and location.filename else code.co_firstlineno
        why = "it writes to x, g or hyper, which it may only read" if "readonly array" in text else text[:300]
        raise ValueError(
            f"{method.name}: its step does not compile: {why} ({code.co_filename}, line {line})."
        ) from error


def _steps(steps: Any, epochs: Any, per_epoch: int) -> int:
    if (steps is None) == (epochs is None):
        raise ValueError("give either steps, the number of subgradients, or epochs, of passes over the rows.")
    count = _positive_int("steps", steps) if epochs is None else _positive_int("epochs", epochs) * per_epoch
    if count > MOST_STEPS:
        raise ValueError(f"a run has at most {MOST_STEPS:.0e} steps, which take a day at least, got {shown(count)}.")
    return count


def checkpoint_steps(checkpoints: str | Iterable[int], steps: int, per_epoch: int = 1) -> np.ndarray:
    """The rows of the trace: increasing integers in 1..steps, the last of them steps."""
    if isinstance(checkpoints, str):
        rows = steps if checkpoints == "all" else steps // per_epoch
        if checkpoints in ("all", "epochs") and rows > MOST_ROWS:
            raise ValueError(
                f"checkpoints={checkpoints!r} asks for {rows} rows of the trace, more than {MOST_ROWS:.0e}; 'log' has "
                f"about {CHECKPOINTS_PER_DECADE} per decade."
            )
        if checkpoints == "all":
            return np.arange(1, steps + 1)
        if checkpoints == "epochs":
            return np.union1d(np.arange(per_epoch, steps + 1, per_epoch), [steps])
        if checkpoints == "log":
            count = 2 + int(CHECKPOINTS_PER_DECADE * math.log10(steps))
            return np.unique(np.round(np.geomspace(1, steps, count)).astype(np.int64))
        raise ValueError(f'checkpoints must be "log", "epochs", "all" or integers, got {shown(checkpoints)}.')
    no_dimension = isinstance(checkpoints, np.ndarray) and checkpoints.ndim == 0
    if no_dimension or not isinstance(checkpoints, Iterable) or isinstance(checkpoints, bytes | Mapping):
        raise ValueError(f'checkpoints must be "log", "epochs", "all" or integers, got {shown(checkpoints)}.')
    marks = set()
    for mark in checkpoints:
        number = as_int(mark)
        if number is None or not 1 <= number <= steps:
            raise ValueError(f"checkpoints must be integers from 1 to steps = {steps}, got {shown(mark)}.")
        marks.add(number)
        if len(marks) > MOST_ROWS:
            raise ValueError(f"checkpoints must be at most {MOST_ROWS:.0e}, got more; 'log' has some in each decade.")
    if not marks:
        raise ValueError(f"checkpoints must be integers from 1 to steps = {steps}, got none.")
    return np.array(sorted({*marks, steps}), dtype=np.int64)


def _positive_int(name: str, value: Any) -> int:
    number = as_int(value)
    if number is None or number < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {shown(value)}.")
    return number


def _number_in(values: Mapping[str, Any], name: str) -> float:
    """A hyper-parameter that the driver looks at too; 0 for a method that has no such number, or does not use it."""
    value = values.get(name)
    return value if isinstance(value, float) else 0.0


def _known(problem: Objective, optimum: Any, steps: int, method: Method, drawn: Sampling | None) -> Known:
    """Where D, G, f_star and the number of steps come from when the caller gives none."""

    def certified() -> Any:
        if optimum is not None:
            return optimum
        if not hasattr(problem, "optimum"):
            raise ValueError(f"{method.name} needs D or f_star, and {problem.name} has no optimum(); pass them.")
        own = problem.optimum()
        check_interval(own)
        return own

    def known(what: str) -> tuple[float, str]:
        if what == "steps":
            return steps, "the number of steps"
        if what in ("G", "G_inf"):
            G, G_inf, note = _bounds(problem, drawn)
            # |g_i| <= ||g|| <= G for every entry, where nothing better is known
            bound = min(G, G_inf) if what == "G_inf" else G
            if not (math.isfinite(bound) and bound > 0):
                raise ValueError(
                    f"{method.name} needs {what}, a bound on the subgradients, and that of {problem.name} is "
                    f"{bound}; pass {what}=..."
                )
            return bound, f"the problem's {what} ({note})"
        best = certified()
        if what == "f_star":
            return best.f_lo, "f_lo of the certified optimum"
        if math.isfinite(best.D_hi) and best.D_hi > 0:
            return best.D_hi, "D_hi of the certified optimum"
        attained = getattr(best, "attained", True)
        estimate = getattr(best, "D_estimate", math.inf)
        if attained and math.isfinite(estimate) and estimate > 0:
            return estimate, "the distance to the computed minimiser (no certified upper end)"
        if best.D_hi == 0:
            why = f"x0 of {problem.name} is a minimiser already: D = 0"
        else:
            why = f"{problem.name} has {'no minimiser' if attained is False else f'D_hi = {best.D_hi}'}"
        raise NotAvailable(f"{method.name} needs D, and {why}; pass D=...")

    return known


def _bounds(problem: Objective, drawn: Sampling | None) -> tuple[float, float, str]:
    """G and G_inf of the subgradients that the method will see, and where they come from."""
    G, G_inf, note = problem.G, getattr(problem, "G_inf", math.inf), getattr(problem, "G_note", "")
    if drawn is None:
        return G, G_inf, note
    if drawn.batch_size is not None and (of_batches := getattr(problem, "bound_batches", None)) is not None:
        return (*of_batches(problem, drawn.batch_size), f"of every mini-batch of {drawn.batch_size} rows, and the last")
    return G, G_inf, f"{note}; of the full subgradient, no bound on stochastic ones"


@dataclass(frozen=True)
class _Factors:
    """The schedule of a run of this many steps, and as many in an epoch."""

    schedule: Schedule
    steps: int
    per_epoch: int

    def __call__(self, k: int, k_stop: int) -> Vector:
        """gamma_k, ..., gamma_{k_stop - 1}; empty where all are 1."""
        if self.schedule.constant:
            return np.zeros(0)
        return factors_of(self.schedule, np.arange(k, k_stop), self.steps, self.per_epoch)


def _first_pace(problem: Objective, p: int, drawn: Sampling | None) -> int:
    """How many iterations the first chunk has; a single one where nothing is known of the cost."""
    data, margins = problem.oracle.data, problem.oracle.margins
    if data is None or problem.oracle.kernel is None:
        return 1
    read = (data.dense.size + 2 * data.values.size) * max(1.0, margins / max(1, data.b.size))
    if drawn is not None and drawn.batch_size is not None:
        read *= drawn.batch_size / data.b.size
    return max(1, int(CHUNK_SECONDS / (COST * (read + 10 * p + 100))))


def _rows_for(steps: int, seed: str, sizes: tuple[int, int, int, int]) -> Vector:
    """Rows for the iterations that are kept whole, with their k."""
    ks = kept_steps(steps, numbers(*sizes), seed)
    rows = np.empty((ks.size, numbers(*sizes)))
    rows[:, 0] = ks
    return rows


@dataclass
class _State:
    """Everything that changes during a run, and how to go on from it."""

    problem: Objective
    method: Method
    hyper: Vector
    x0: Vector
    iterates: Vector
    g: Vector
    z: Vector
    x_avg: Vector
    z_avg: Vector
    wg: Vector  # sum w_i g_i
    x_best: Vector
    x_sel: Vector
    z_sel: Vector
    vectors: Vector
    scalars: Vector
    totals: Vector
    select: int
    factors: _Factors
    scheduled: int
    drawn: Sampling | None
    loop: Callable[[int, int], tuple[int, int]]
    marks: Any  # checkpoints
    kept: Snapshots  # with stochastic gradients
    evaluation: Evaluation
    whole: Vector  # rows for the iterations that are kept, see Transitions
    rows: list[dict[str, float]] = field(default_factory=list)
    errors: list[dict[str, float]] = field(default_factory=list)  # of each row: see dadapt_convex.run
    amplified: float = 1.0  # what momentum makes of the rounding of an iterate
    elsewhere: bool = False  # an exception now is not one of the step
    fault: str = ""  # of the objective or the schedule, which ended the run
    passed: int = 0  # checkpoints
    k: int = 0
    seconds: float = 0.0
    pace: int = 1  # iterations per chunk, adapted to CHUNK_SECONDS
    best: float = math.inf  # with stochastic gradients: the least f at a checkpoint

    @classmethod
    def start(
        cls,
        problem: Objective,
        method: Method,
        x0: Vector,
        hyper: Vector,
        factors: _Factors,
        drawn: Sampling | None,
        marks: Any,
        decays: bool,
        momentum: float,
    ) -> _State:
        """Allocate, initialise, and compile what will run."""
        p, m = x0.size, problem.oracle.margins
        vectors, scalars = start_state(method, x0, hyper)
        iterates = np.zeros((2, p))
        iterates[0] = x0
        state = cls(
            problem=problem,
            method=method,
            hyper=hyper,
            x0=x0,
            iterates=iterates,
            g=np.zeros(p),
            z=np.zeros(m),
            x_avg=np.zeros(p),
            z_avg=np.zeros(m),
            wg=np.zeros(0 if drawn else p),
            x_best=x0.copy(),
            x_sel=x0.copy() if method.select else np.zeros(0),
            z_sel=np.zeros(m if method.select else 0),
            vectors=vectors,
            scalars=scalars,
            totals=np.zeros(N_STOCHASTIC if drawn else driver.N_TOTALS),
            select=method.scalars.index(method.select) if method.select else -1,
            factors=factors,
            scheduled=method.scheduled,
            drawn=drawn,
            loop=lambda k, k_stop: (k, k_stop),
            marks=np.ascontiguousarray(marks, dtype=np.int64),
            kept=Snapshots.of(len(marks) if drawn else 0, p, len(method.scalars)),
            evaluation=Evaluation(problem),
            pace=_first_pace(problem, p, drawn),
            whole=_rows_for(
                int(marks[-1]), f"{problem.name} {method.name}", (p, hyper.size, scalars.size, len(vectors))
            ),
        )
        with np.errstate(over="ignore"):
            state.totals[driver.X0_NORM] = np.linalg.norm(x0)
        state.totals[driver.DECAYS] = float(decays)
        state.totals[driver.AVERAGES] = float(method.averages)
        if trusted(method.step.python) and 0.0 <= momentum < 1.0:
            state.amplified = 1.0 / (1.0 - momentum)
        if drawn is not None:
            state.loop = stochastic_loop(problem, method.step.argument, drawn, state)
            state.evaluation(state.kept.x[:0])  # compiles
        else:
            state.loop = state._compiled_loop() if problem.oracle.kernel is not None else state._python_loop()
        if problem.oracle.value is not None:
            problem.oracle.value.compile()
        return state

    def _books(self) -> tuple[Any, ...]:
        return (
            self.x_avg, self.z_avg, self.wg, self.x_best, self.x_sel, self.z_sel,
            self.vectors, self.scalars, self.hyper, self.select, self.totals, self.whole,
        )  # fmt: skip

    def _compiled_loop(self) -> Callable[[int, int], tuple[int, int]]:
        oracle = self.problem.oracle
        assert oracle.kernel is not None
        drive, kernel, step = driver.DRIVE.compile(), oracle.kernel.argument, self.method.step.argument

        def loop(k: int, k_stop: int) -> tuple[int, int]:
            return drive(
                kernel, step, k, k_stop, oracle.data, self.x0, self.iterates, self.g, self.z, *self._books(),
                self.factors(k, k_stop), self.scheduled,
            )  # fmt: skip

        return loop

    def _python_loop(self) -> Callable[[int, int], tuple[int, int]]:
        """The same iterations around an objective written in Python."""
        iterate, step = driver.ITERATE.compile(), self.method.step.argument

        def loop(k: int, k_stop: int) -> tuple[int, int]:
            first, gamma = k, self.factors(k, k_stop)
            while k < k_stop:
                if gamma.size:
                    self.hyper[self.scheduled] = gamma[k - first]
                x, x_next = self.iterates[k % 2], self.iterates[(k + 1) % 2]
                f = self.evaluate(x, self.g, self.z)
                status = iterate(step, k, f, self.x0, x, self.g, self.z, x_next, *self._books())
                if status >= driver.NOT_FINITE:
                    return k, status
                k += 1
                if status != driver.GOES_ON:
                    return k, status
            return k, driver.GOES_ON

        return loop

    def advance(self, progress: Progress | None) -> int:
        """Iterate for about CHUNK_SECONDS, or as far as checkpoints allow; rows for those that were passed."""
        self.kept.marks = self.marks[self.passed : self.passed + (len(self.kept) or 1)]
        before, stop = self.k, min(int(self.kept.marks[-1]), self.k + self.pace)
        begun = time.perf_counter()
        try:
            self.k, outcome = self.loop(self.k, stop)
        except BaseException:  # raised once the compiled loop has ended, before k is assigned
            self.k = int(self.totals[driver.DONE])
            raise
        finally:
            took = time.perf_counter() - begun
            self.seconds += took
            asked, self.elsewhere = self.elsewhere, True
            self._rows_of_passed(before, took)
            self.elsewhere = asked
        if took < CHUNK_SECONDS / 4 and stop == before + self.pace:
            self.pace *= 2
        elif took > CHUNK_SECONDS and self.pace > 1:
            self.pace //= 2
        if progress is not None:
            self.elsewhere = True
            progress(self.k)
            self.elsewhere = False
        return outcome

    def evaluate(self, x: Vector, g: Vector, z: Vector) -> float:
        """f(x), with a subgradient written to g, of an objective in Python."""
        self.elsewhere = True
        f = self.problem.oracle.evaluate(x, g, z)
        self.elsewhere = False
        return f

    def _rows_of_passed(self, before: int, took: float) -> None:
        """Rows for the checkpoints passed in a chunk; the time that each was passed at is interpolated."""
        if self.drawn is not None:
            count = int(self.totals[TAKEN])
            ks = self.kept.marks[:count]
            self._append_stochastic(ks, self.seconds - took * (self.k - ks) / max(1, self.k - before))
        else:
            count = int(self.kept.marks[0] == self.k)
            if count:
                self._append_row()
        self.passed += count

    def ended(self, outcome: int) -> tuple[str, str]:
        """Status and message of a run that was not interrupted."""
        if outcome == driver.NOT_FINITE:
            what = f"f, its subgradient or the iterate is not finite at step {self.k} (k = {self.k})"
            return statuses.NOT_FINITE, what
        names = self.method.scalars
        lost = "d" if "d" in names and not math.isfinite(self.scalars[names.index("d")]) else ""
        if outcome == driver.BAD_WEIGHT and lost:  # the weight follows from it
            return statuses.NOT_FINITE, f"d is not finite at step {self.k} (k = {self.k})"
        if outcome == driver.BAD_WEIGHT:
            what = f"the weight of x_{self.k} is {float(self.totals[driver.W])!r} at step {self.k} (k = {self.k})"
            return statuses.BAD_WEIGHT, f"{what}; weights must be finite and not negative"
        if outcome == driver.CONVERGED:
            return statuses.CONVERGED, f"the subgradient at x_{self.k - 1} is zero: it is a minimiser"
        lost = lost or next((n for n, v in zip(names, self.scalars, strict=True) if math.isnan(v)), "")
        if not np.isfinite(self.iterates[self.k % 2]).all():  # no next step would say so
            lost = "the iterate"
        if lost:
            return statuses.NOT_FINITE, f"{lost} is not finite after step {self.k - 1} (k = {self.k})"
        return statuses.COMPLETED, f"all {self.k} steps done"

    def at_fault(self, error: Fault) -> tuple[str, str]:
        """Status and message where the objective or the schedule returned something else than it must."""
        who = "" if str(error).startswith("schedule") else f"{self.problem.name} "
        self.fault = f"at step {self.k} (k = {self.k}) {who}{error}"
        return statuses.FAILED, self.fault

    def _value_at(self, x: Vector, z: Vector) -> float:
        """f at an average; NaN where the objective has ended the run already."""
        try:
            return self.problem.oracle.value_at(x, z)
        except Fault:
            if self.fault:
                return math.nan
            raise

    def _values_at(self, X: Vector) -> tuple[Vector, Vector | None]:
        """The same at each row, and the share of rows predicted right."""
        try:
            return self.evaluation(X)
        except Fault:
            if self.fault:
                return np.full(len(X), math.nan), None
            raise

    def failed(self, error: Exception) -> tuple[str, str]:
        """Status and message after an exception in the compiled step: where it arises, plain Python tells."""
        step = self.method.step.python
        x, t = self.iterates[self.k % 2], self.totals
        given = Transition(
            self.k, t[driver.F], t[driver.G2], x, self.g, self.hyper, self.vectors, self.scalars, x, self.vectors,
            self.scalars, 0.0,
        )  # fmt: skip
        found: Exception = error
        try:
            run_step(step, given)
        except Exception as again:
            found = again
        what = " ".join(f"{type(found).__name__}: {found}".split())
        return statuses.FAILED, f"the step fails at step {self.k} (k = {self.k}): {what} ({place(found, step)})"

    def last_row(self) -> None:
        """A row where the run ended, if that is no checkpoint."""
        if not self.k or (self.rows and self.rows[-1]["k"] == self.k):
            return
        if self.drawn is None:
            self._append_row()
        else:
            keep(self, self.k)
            self._append_stochastic(np.array([self.k]), np.array([self.seconds]))

    def _named_scalars(self) -> dict[str, float]:
        pairs = zip(self.method.scalars, self.scalars.tolist(), strict=True)
        return {name: v for name, v in pairs if name[0] != "_"}

    def _append_stochastic(self, ks: Vector, seconds: Vector) -> None:
        """Rows from the first snapshots: x_k, after k steps, and what was seen since the row before."""
        n = len(ks)
        self.totals[TAKEN] = 0.0
        if n == 0:
            return
        x, t, scalars = self.kept.x[:n], self.kept.numbers[:n].T, self.kept.numbers[:n, N_STOCHASTIC:].T
        f, accuracy = self._values_at(x)
        averaged = (t[driver.WEIGHT] > 0.0) & self.method.averages
        f_avg = f.copy()
        if averaged.any():
            f_avg[averaged] = self._values_at(self.kept.x_avg[:n][averaged])[0]
        columns = {
            "k": ks,
            "epoch": ks / self.factors.per_epoch,
            "f": f,
            "f_avg": f_avg,
            "f_best": self._best_so_far(ks, f, x),
            "f_batch": t[F_MEAN],
            **({} if accuracy is None else {"accuracy": accuracy}),
            "g_norm": np.sqrt(t[driver.G2]),
            "g_max": np.sqrt(t[driver.G2_MAX]),
            "g0_norm": np.sqrt(t[driver.G0_2]),
            "x_dist": np.sqrt(t[driver.X_DIST2]),
            "S": t[driver.S],
            "weight_sum": t[driver.WEIGHT],
            **{name: v for name, v in zip(self.method.scalars, scalars, strict=True) if name[0] != "_"},
            "seconds": seconds,
        }
        values = zip(*(column.tolist() for column in columns.values()), strict=True)
        self.rows += [dict(zip(columns, row, strict=True)) for row in values]

    def _best_so_far(self, ks: Vector, f: Vector, x: Vector) -> Vector:
        """The least f at a checkpoint up to each of these; the point is kept."""
        best = np.empty(len(f))
        for i, value in enumerate(f.tolist()):
            if value < self.best:
                self.best, self.x_best = value, x[i].copy()
            best[i] = self.best
        return best

    def _append_row(self) -> None:
        """A row of a deterministic run, and what rounding may have done to it."""
        t, at = self.totals, self._value_at
        x_next = self.iterates[self.k % 2]
        with np.errstate(all="ignore"):  # sums may overflow; x_{k+1} may be infinite, and step k + 1 will say so
            weight, S, w2_g2, w_gx = (driver.total(t, i) for i in (driver.WEIGHT, driver.S, driver.W2_G2, driver.W_GX))
            f_mean = driver.total(t, driver.W_F) / weight if weight > 0 else t[driver.F]
            x_next_dist = float(np.linalg.norm(x_next - self.x0))
        row = {
            "k": self.k,
            "f": t[driver.F],
            "f_avg": at(self.x_avg, self.z_avg),
            "f_best": t[driver.F_BEST],
            "f_mean": f_mean,
            "g_norm": math.sqrt(t[driver.G2]),
            "g_max": math.sqrt(t[driver.G2_MAX]),
            "g0_norm": math.sqrt(t[driver.G0_2]),
            "x_dist": math.sqrt(t[driver.X_DIST2]),
            "x_next_dist": x_next_dist,
            "S": S,
            "weight_sum": weight,
            "sum_w2_g2": w2_g2,
            "sum_w_gx": w_gx,
            "sum_w_g": math.sqrt(t[driver.WG2]),
            **self._named_scalars(),
        }
        if self.select >= 0 and self.k and row["S"] > 0:
            row["f_selected"] = at(self.x_sel, self.z_sel)
            row["t"] = t[driver.SELECTED_AT]
            row["selected_ratio"] = t[driver.SELECTED]
        row["seconds"] = self.seconds
        self.rows.append(row)
        self.errors.append(self._errors(row))

    def _errors(self, row: dict[str, float]) -> dict[str, float]:
        """Bounds on what rounding did to the numbers of a row, from magnitudes of weighted points; see Run."""
        t, p = self.totals, self.x0.size
        with np.errstate(all="ignore"):
            x0, weight = t[driver.X0_NORM], np.float64(row["weight_sum"])
            of_f, of_dot = EPS * (p + self.z.size + 8), EPS * (p + 8)
            # margins are rounded before they cancel; elsewhere the subgradients seen say how f varies
            bounded = self.z.size > 0 and math.isfinite(self.problem.G)
            G = np.float64(max(self.problem.G, row["g_max"]) if bounded else row["g_max"])
            x = np.sqrt(t[[driver.X_DIST2, driver.X_DIST2_BEST, driver.X_DIST2_MAX, driver.X_DIST2_WEIGHED]])
            x_size, x_best, x_largest, x_weighed = x0 + x
            # every x_k is rounded, and so is every step from one to the next; where x_{k+1} = x_k - h_k g_k the
            # rounding r_j of a step stays in all later points, as <r_j, s_n - s_j>
            stays = t[driver.X_SIZE] * row["sum_w_g"]
            moved = self.amplified * EPS * (4 * t[driver.W_ROUND] + 2 * t[driver.S_X] + stays)
            moved_by_D = self.amplified * EPS * 2 * t[driver.S_SIZE]
            if weight > 0:
                of_mean = of_f * (t[driver.W_F_SIZE] + G * t[driver.W_X]) / weight
                of_average = of_mean + EPS * (8 + self.k) * G * t[driver.W_X] / weight
                of_gap, of_gap_by_D = of_mean + moved / weight, moved_by_D / weight
            else:
                of_mean = of_average = of_gap = of_f * (abs(row["f"]) + G * x_largest)
                of_gap_by_D = 0.0
            x_next = row["x_next_dist"]
            errors = {
                "f": of_f * (abs(row["f"]) + G * x_size),
                "f_best": of_f * (abs(row["f_best"]) + G * x_best),
                "f_mean": of_mean,
                "f_avg": of_average,
                "f_selected": of_average + of_f * (abs(row.get("f_selected", 0.0)) + G * x_weighed),
                "f_star": of_gap,
                "f_star_by_D": of_gap_by_D,
                "x_dist": of_dot * row["x_dist"],
                "x_next_dist": of_dot * row["x_next_dist"] + EPS * (4 + self.k) * max(x_largest, x0 + x_next),
                **{name: of_dot * row[name] for name in ("g_norm", "g_max", "g0_norm", "S", "sum_w2_g2")},
                "weight_sum": 4 * EPS * weight,
                "sum_w_gx": of_dot * t[driver.W_GX_SIZE],
                "sum_w_g": of_dot * row["sum_w_g"] + 2 * EPS * t[driver.S_SIZE],
                "moved": moved,
            }  # fmt: skip
        return {name: float(error) for name, error in errors.items()}

    def _kept_whole(self) -> Transitions:
        rows = self.whole[: int(self.totals[driver.WHOLE])]
        sizes = self.x0.size, self.hyper.size, self.scalars.size, len(self.vectors)
        return Transitions(rows[rows[:, 0] != NO_STEP], *sizes)

    def columns(self) -> tuple[str, ...]:
        """The columns of the trace, also of one without a row."""
        scalars = [name for name in self.method.scalars if name[0] != "_"]
        if self.drawn is None:
            selected = ("f_selected", "t", "selected_ratio") if self.method.select else ()
            return (*DETERMINISTIC, *scalars, *selected, "seconds")
        judged = self.evaluation(self.kept.x[:0])[1] is not None
        return (*STOCHASTIC, *(("accuracy",) if judged else ()), *ALSO_STOCHASTIC, *scalars, "seconds")

    def finish(
        self,
        problem: Objective,
        method: Method,
        values: dict[str, Any],
        given: dict[str, str],
        steps: int,
        status: str,
        message: str,
        compile_seconds: float,
    ) -> Run:
        """The Run, with copies that nothing else holds."""
        last = (self.k - 1) % 2 if self.k else 0
        if self.drawn is not None:  # x_k: no gradient at x_{k-1} is known that would make it preferable
            last = self.k % 2
            if not (self.totals[driver.WEIGHT] > 0 and method.averages):
                self.x_avg = self.iterates[last]
        return Run(
            problem=problem.name,
            method=method,
            hyper=values,
            given=given,
            steps=steps,
            k=self.k,
            columns=self.columns(),
            rows=self.rows,
            errors=self.errors,
            transitions=self._kept_whole(),
            x0=self.x0,
            x=self.iterates[last].copy(),
            x_next=self.iterates[self.k % 2].copy(),
            x_avg=self.x_avg.copy() if self.k else self.x0.copy(),
            x_best=self.x_best.copy(),
            x_selected=self.x_sel.copy() if method.select else None,
            status=status,
            message=message,
            G=float(problem.G),
            sampling=self.drawn,
            per_epoch=self.factors.per_epoch,
            identity=getattr(problem, "identity", ""),
            seconds=self.seconds,
            compile_seconds=compile_seconds,
        )
