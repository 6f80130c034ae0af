"""The command line; python -m experiments.run --help says what it takes.

Nothing heavy is imported before the arguments are understood; --help imports the standard library alone.
"""

from __future__ import annotations

import argparse
import difflib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from experiments.suite import BadInput, Options, Suite, suites

OK, PROBLEM, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

EXIT_CODES = """\
exit codes:
  0    everything ran and no bound is violated
  1    a cell failed (exception, not finite), a process was killed, a bound is VIOLATED, or a proof is refused
  2    bad input, an unusable output directory or a full disk, in one line on standard error
  130  Ctrl-C; the same command goes on where it stopped
"""


class Parser(argparse.ArgumentParser):
    """argparse, with errors in one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        raise BadInput(f"{message}; {self.prog} --help shows what can be given.")


def positive(text: str) -> int:
    """An integer of at least 1."""
    try:
        number = int(text.replace("_", ""))
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be an integer of at least 1, got {text!r}")
    return number


def add_options(parser: argparse.ArgumentParser, suite: Suite | None = None) -> None:
    """What a suite takes; those it does not accept are left out, so that they are refused."""
    options = parser.add_argument_group("options of a suite" if suite is None else "options")

    def add(flag: str, **how: object) -> None:
        grid = suite is not None and suite.accepts is None and flag != "--epochs"
        if suite is None or grid or flag in (suite.accepts or ()):
            options.add_argument(flag, **how)  # type: ignore[arg-type]

    add("--quick", action="store_true", help="fewer problems and steps, for a first look")
    add("--problems", nargs="+", metavar="PATTERN",
        help="names, as logistic:a9a, or patterns with * and ? over the suite's problems and those that `list` shows; "
             "default: the suite's")  # fmt: skip
    add("--methods", nargs="+", metavar="NAME",
        help="names, patterns, or names with hyper-parameters, as 'dadapt_dual_averaging[option=II,d0=1e-8]', "
             "or with stochastic gradients, as 'dadapt_adam[batch_size=16]' or 'sgd[lr=0.1,noise=sign(1)]'; "
             "default: the suite's")  # fmt: skip
    add("--steps", type=positive, metavar="N", help="subgradients per run (default: the suite's)")
    add("--epochs", type=positive, metavar="N", help="passes over the rows, in the suites of the paper (default 100)")
    usual = "the suite's" if suite is None else suite.seeds
    add("--seeds", type=positive, metavar="K", help=f"seeds 0 .. K-1 for methods that use chance (default {usual})")
    add("--data-dir", type=Path, metavar="DIR",
        help="where data files are looked for first; then $DADAPT_DATA, then the cache")  # fmt: skip
    add("--jobs", type=positive, metavar="J", help="processes (default: one per core); the numbers do not depend on it")
    add("--out", type=Path, metavar="DIR",
        help="where results go (default results/SUITE, with --quick results/SUITE_quick); a run of the same "
             "configuration is continued")  # fmt: skip
    add("--fresh", action="store_true", help="delete what this program wrote into that directory, and start anew")


def build_parser() -> Parser:
    """The parser of the whole command line."""
    shared = Parser(add_help=False, usage=argparse.SUPPRESS)
    add_options(shared)
    parser = Parser(
        prog="python -m experiments.run",
        description="Run a suite of experiments: figures, a report, and a verdict for every bound.",
        epilog=f"{shared.format_help().strip()}\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, title="commands")
    for suite in suites().values():
        one = commands.add_parser(suite.name, help=suite.summary, description=suite.summary, allow_abbrev=False)
        add_options(one, suite)
    what = "show suites, problems and methods; with --problems the data sets, and which are here"
    listing = commands.add_parser("list", help=what, description=what, allow_abbrev=False)
    listing.add_argument("--problems", nargs="*", metavar="PATTERN",
        help="embedded sets and the catalogue of the LIBSVM site: all, or names and patterns with * and ?")  # fmt: skip
    listing.add_argument("--data-dir", type=Path, metavar="DIR",
        help="where data files are looked for first; then $DADAPT_DATA, then the cache")  # fmt: skip
    report = commands.add_parser("report", help="draw figures and report again from stored results", allow_abbrev=False)
    proof = commands.add_parser(
        "certify", help="prove the optima of stored results again, without a solver", allow_abbrev=False,
        description="Prove every interval of a results directory again, from data and certificates alone.",
    )  # fmt: skip
    proof.add_argument("directory", type=Path, metavar="DIR", help="a results directory")
    proof.add_argument("--data-dir", type=Path, metavar="DIR", help="where data files are looked for first")
    report.add_argument("directory", type=Path, metavar="DIR", help="a results directory")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(arguments)
    except BadInput as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt as stop:
        if argv is None:  # what is told to stop twice, by a terminal and by what started it, stops once
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        suite = suites().get(arguments[0]) if arguments else None
        kept = "every finished cell is kept; the same command goes on from there"
        if suite is not None and not suite.resumes:
            kept = "nothing new was written"
        print(f"\ninterrupted: {str(stop) or kept}.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `... list | head`
        sys.stderr.close()
        return OK


def _run(arguments: list[str]) -> int:
    known = [*suites(), "list", "report", "certify"]
    if arguments and not arguments[0].startswith("-") and arguments[0] not in known:
        close = difflib.get_close_matches(arguments[0], known, n=3) or known
        raise BadInput(f"there is no suite or command {arguments[0]!r}; the nearest: {', '.join(close)}.")
    try:
        given = build_parser().parse_args(arguments)
    except SystemExit as done:  # --help
        return int(done.code or 0)
    if given.command == "list":
        from experiments import listing

        if given.data_dir is not None and not given.data_dir.is_dir():
            raise BadInput(f"--data-dir {given.data_dir} is no directory.")
        if given.problems is None:
            listing.show(given.data_dir)
        else:
            listing.show_data(given.problems, given.data_dir)
        return OK
    if given.command == "certify":
        from experiments.certify import certify

        return certify(given.directory, given.data_dir)
    if given.command == "report":
        from experiments import report, store

        written_by = (store.read_manifest(given.directory) or {"configuration": {}})["configuration"].get("suite")
        suite = suites().get(written_by)
        (suite.redraw if suite and suite.redraw else report.redraw)(given.directory)
        return OK
    suite = suites()[given.command]
    options = _options(given, arguments, suite)
    if suite.execute is not None:
        return suite.execute(options)
    from experiments.runner import run_suite

    return run_suite(suite, options)


def _options(given: argparse.Namespace, arguments: list[str], suite: Suite) -> Options:
    values = {name: value for name, value in vars(given).items() if name != "command"}
    if values.get("seeds") is None:
        values["seeds"] = suite.quick_seeds if given.quick else suite.seeds
    for name in ("problems", "methods"):
        if values.get(name) is not None:
            values[name] = tuple(values[name])
    return Options(**values, argv=tuple(arguments))


if __name__ == "__main__":
    sys.exit(main())
