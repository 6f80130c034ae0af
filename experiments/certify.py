"""`certify`: every interval of a results directory proved again, from data and certificates alone.

No solver takes part: while proofs run, importing one is an error.
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from experiments import store, terminal
from experiments.output import shortened
from experiments.suite import BadInput

if TYPE_CHECKING:
    from problems import Optimum, Problem

OK, PROBLEM = 0, 1
SOLVERS = ("cvxpy", "clarabel", "highspy", "scipy.optimize")
LEGEND = (
    "f* lies in [f_lo, f_hi]. D, D_inf: distance from x0 to the minimisers, Euclidean and in the maximum norm; a .. b: "
    "it lies between. attained: whether there is a minimiser. seconds: to load the data and prove."
)
IDENTITY = 27  # characters shown of 64
NUMBERS = ("f_lo", "f_hi", "D_lo", "D_hi", "D_inf_lo", "D_inf_hi")


@dataclass(frozen=True)
class Outcome:
    """One problem's claims, and why they are not proved; empty where they are."""

    problem: str
    optimum: Optimum | None
    complaints: Sequence[str]
    seconds: float


def certify(out: Path, data_dir: Path | None = None) -> int:
    """Check every problem of a results directory and print the outcomes; returns the exit code."""
    if not out.is_dir():
        raise BadInput(f"{out} is no directory; give one that a suite has written.")
    from experiments.engine.session import kind_of
    from problems.optimum.check import in_words

    configuration = (store.read_manifest(out) or {}).get("configuration", {})
    if kind_of(configuration).tables != store.TABLES:
        what = f"{out} holds results of {configuration['suite']}, which claims no optimum"
        raise BadInput(f"{what}: there is nothing to certify.")
    manifest = store.checked_manifest(out, store.TABLES, may_differ=[store.PROBLEMS])  # which is judged row by row
    hashes = manifest["configuration"]["problems"]
    try:
        table = store.read_csv(out / store.PROBLEMS, store.PROBLEM_FLOATS)
        rows = [row for _, row in table.iterrows()]
        missing = set(hashes) - {str(row["problem"]) for row in rows}
    except (AttributeError, OSError, KeyError, TypeError, ValueError) as error:  # those of pandas are ValueErrors
        what = f"{out / store.PROBLEMS} is damaged: {in_words(error)}"
        raise BadInput(f"{what}; give the suite's command again, which writes it.") from None
    if data_dir is not None and not data_dir.is_dir():
        raise BadInput(f"--data-dir {data_dir} is no directory.")
    console = terminal.console()
    outcomes = [Outcome(name, None, (f"is missing in {store.PROBLEMS}",), 0.0) for name in sorted(missing)]
    with terminal.progress(console, "proofs", len(rows)) as advance:
        for row in rows:
            outcomes.append(_checked(out, row, hashes, data_dir))
            advance()
    console.print(_table(outcomes))
    console.print(LEGEND, markup=False)
    return _close(console, out, outcomes, store.changed_tables(out, manifest))


def _checked(out: Path, row: Any, hashes: Mapping[str, str], data_dir: Path | None) -> Outcome:
    from problems.data import DataNotFound
    from problems.optimum import complaints
    from problems.optimum.check import in_words

    begun = time.perf_counter()
    name = str(row["problem"])
    optimum, found = None, []
    try:
        optimum, _ = store.read_certificate(store.certificate_path(out, name))
        problem = _same_data(name, row, data_dir)
        if others := _other_identities(problem, optimum, hashes.get(name, "")):
            return Outcome(name, optimum, others, 0.0)
        found.extend(_differences(row, optimum))
        found.extend(
            f"{bound} = {row[bound]!r}, but {getattr(problem, bound)!r} is proved"
            for bound in ("G", "G_inf")  # where the problem is built; sums may round otherwise elsewhere
            if not math.isclose(float(row[bound]), getattr(problem, bound), rel_tol=1e-9)
        )
        if not math.isinf(optimum.radius):
            found.append(f"the certificate speaks of a ball of radius {optimum.radius!r} alone")
        stated = replace(optimum, **{number: float(row[number]) for number in NUMBERS})
        with no_solver():
            found.extend(complaints(problem, stated))
    except DataNotFound as error:
        hint = "" if data_dir is not None else "give the folder that has them, --data-dir DIR; "
        found.append(f"the data are not here: {hint}{' '.join(str(error).split())}")
    except BadInput as error:
        found.append(in_words(error))
    except (ArithmeticError, AttributeError, ImportError, LookupError, OSError, TypeError, ValueError) as error:
        found.append(f"its row of {store.PROBLEMS} or its certificate does not serve: {in_words(error)}")
    return Outcome(name, optimum, tuple(found), time.perf_counter() - begun)


def _same_data(name: str, row: Any, data_dir: Path | None) -> Problem:
    """The problem, if the results were made from its data."""
    import problems

    problem = problems.get(name, data_dir=data_dir)
    then, now = row["sha256"], str(problem.facts.get("sha256", ""))
    if (then if isinstance(then, str) else "") != now:
        raise BadInput(
            f"the data have SHA-256 {now[:12]}..., the results were made from {str(then)[:12]}...; find that file and "
            f"give its folder: --data-dir DIR."
        )
    if problem.m != row["m"] or problem.p != row["p"]:
        raise BadInput(f"the problem is {problem.m} x {problem.p}, the results were made for {row['m']} x {row['p']}.")
    return problem


def _other_identities(problem: Problem, optimum: Optimum, made_for: str) -> list[str]:
    """The complaints where the certificate or the manifest speaks of another function or starting point."""
    here = f"that of {problem.name!r} here is {shortened(problem.identity, IDENTITY)}"
    found = []
    if optimum.identity != problem.identity:
        theirs = f"{optimum.problem!r}, of identity {shortened(optimum.identity, IDENTITY) or 'none'}"
        found.append(f"the certificate is that of {theirs}, and {here}; give the suite's command again.")
    if made_for != problem.identity:
        theirs = f"identity {shortened(made_for, IDENTITY) or 'none'}"
        found.append(f"the results were made for a problem of {theirs}, and {here}; give the suite's command anew.")
    return found


def _differences(row: Any, optimum: Optimum) -> list[str]:
    """The complaints about numbers of problems.csv that differ from the certificate's file."""
    pairs = [(number, float(row[number]), float(getattr(optimum, number))) for number in NUMBERS]
    found = [f"{n} = {table!r} in {store.PROBLEMS}, {stored!r} beside the certificate"
             for n, table, stored in pairs if table != stored]  # fmt: skip
    if row["certificate"] != optimum.kind:
        found.append(f"certificate = {row['certificate']} in {store.PROBLEMS}, {optimum.kind} in its file")
    attained = {"True": True, "False": False}.get(str(row["attained"]))
    if attained is not optimum.attained:
        found.append(f"attained = {attained} in {store.PROBLEMS}, {optimum.attained} beside the certificate")
    return found


@contextlib.contextmanager
def no_solver() -> Iterator[None]:
    """Make the import of a solver an error; one that data loading brought along is out of reach meanwhile."""
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith(SOLVERS)}
    refusal = _Refusal()
    sys.meta_path.insert(0, refusal)
    try:
        yield
    finally:
        sys.meta_path.remove(refusal)
        sys.modules.update(hidden)


class _Refusal:
    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name in SOLVERS:
            raise ImportError(f"a proof asked for the solver {name}")


def _table(outcomes: Sequence[Outcome]) -> Any:
    table = terminal.table("Certified optima, proved again without a solver")
    table.add_column("problem", overflow="fold")
    table.add_column("certificate")
    for name in ("f_lo", "f_hi - f_lo", "D", "D_inf"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("attained")
    table.add_column("seconds", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for outcome in outcomes:
        verdict = Text("refused", "bold red") if outcome.complaints else Text("proved", "green")
        o = outcome.optimum
        cells = ["-"] * 6
        if o is not None:
            attained = {True: "yes", False: "no"}.get(o.attained, "open") if o.attained is not None else "open"
            width = f"{o.f_hi - o.f_lo:.1e}" if o.f_hi > o.f_lo else "0"
            cells = [
                o.kind,
                f"{o.f_lo:.10g}",
                width,
                _interval(o.D_lo, o.D_hi),
                _interval(o.D_inf_lo, o.D_inf_hi),
                attained,
            ]
        table.add_row(outcome.problem, *cells, f"{outcome.seconds:.1f}", verdict)
    return table


def _interval(low: float, high: float) -> str:
    """One number where both ends agree in all digits shown."""
    if math.isinf(low):
        return "inf"
    if math.isfinite(high) and high - low <= 1e-6 * high:
        return f"{low:.7g}"
    return f"{low:.5g} .. {high:.5g}"


def _close(console: Any, out: Path, outcomes: Sequence[Outcome], changed: Sequence[str]) -> int:
    say = lambda text: console.print(text, markup=False, soft_wrap=True)  # noqa: E731
    refused = [outcome for outcome in outcomes if outcome.complaints]
    for outcome in refused:
        for complaint in outcome.complaints:
            say(f"refused: {outcome.problem}: {complaint}")
    for name in changed:
        say(f"refused: {name}: damaged, or changed since the suite wrote it")
    say(f"{len(outcomes) - len(refused)} of {len(outcomes)} proved from the data and {out / store.CERTIFICATES}")
    return PROBLEM if refused or changed else OK
