"""The command line; dadapt --help, or python -m experiments.run --help, says what it takes.

Nothing heavy is imported before the arguments are understood; --help imports the standard library alone.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import signal
import sys
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from experiments.output import program, sentence, shortened, tolerant
from experiments.suite import COMMANDS, BadInput, Options, Suite, suites

OK, PROBLEM, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

PACKAGES = ("dadapt_convex", "problems", "experiments")
# Larger numbers are slips: of steps 1e12 take a day on the smallest problem; an epoch is a row of the trace, and a seed
# another run in memory.
MOST_STEPS, MOST_EPOCHS, MOST_SEEDS = 10**12, 10**6, 10**4
LONGEST_ARGUMENT = 4096  # characters; Linux takes no longer path

EXIT_CODES = """\
exit codes:
  0    everything ran and no bound is violated
  1    a cell failed (exception, not finite), a process was killed, a bound is VIOLATED, or a proof is refused
  2    bad input, an unusable output directory or a full disk (standard output's too), in one line on standard error
  130  Ctrl-C; repeat the command to resume
"""


class Parser(argparse.ArgumentParser):
    """argparse, with errors in one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        raise BadInput(f"{message}; {self.prog} --help shows the arguments.")


class Version(argparse.Action):
    """--version, which asks for the version only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        """Print it and exit."""
        print(f"dadapt-convex {version()}")
        parser.exit()


def version() -> str:
    """The version of this project: of the installed package, or of the sources where it is not installed."""
    import importlib.metadata

    try:
        return importlib.metadata.version("dadapt-convex")
    except importlib.metadata.PackageNotFoundError:
        import tomllib

        try:
            text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
            return f"{tomllib.loads(text)['project']['version']} (not installed)"
        except (OSError, KeyError, ValueError):
            return "of unknown version (not installed)"


def positive(most: int | None = None) -> Callable[[str], int]:
    """A reader of integers from 1 to `most`, in plain digits."""

    def read(text: str) -> int:
        # int() would take the digits of every script, underscores and blanks
        number = int(text) if re.fullmatch("[0-9]{1,18}", text) else 0
        if number < 1 or (most is not None and number > most):
            limit = "" if most is None else f" and at most {most:,}"
            raise argparse.ArgumentTypeError(f"must be an integer of at least 1{limit}, got {text!r}")
        return number

    return read


def directory(text: str) -> Path:
    """A path that the file system takes, ~ expanded; whether it exists is the command's affair."""
    from dadapt_convex.kept_code import expanded

    if not text:
        raise argparse.ArgumentTypeError("is empty; give a directory")
    try:
        path = expanded(text)
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).rstrip(".")) from None
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text!r} cannot be used: {error.strerror}") from None
    return path


def add_options(parser: argparse.ArgumentParser, suite: Suite | None = None) -> None:
    """Add the options that a suite reads; others are left out, so that they are refused."""
    options = parser.add_argument_group("options of a suite" if suite is None else "options")

    def add(flag: str, **how: Any) -> None:
        if suite is None or flag in suite.options:
            options.add_argument(flag, **how)

    add("--quick", action="store_true", help="fewer problems and steps, for a first look")
    add("--problems", nargs="+", metavar="PATTERN",
        help="names, as logistic:a9a, or patterns with * and ? over the suite's problems and those that `list` shows; "
             "default: the suite's")  # fmt: skip
    add("--methods", nargs="+", metavar="NAME",
        help="names, patterns, or names with hyper-parameters, as 'dadapt_dual_averaging[option=II,d0=1e-8]', "
             "or with stochastic gradients, as 'dadapt_adam[batch_size=16]' or 'sgd[lr=0.1,noise=sign(1)]'; "
             "default: the suite's")  # fmt: skip
    add("--steps", type=positive(MOST_STEPS), metavar="N", help="subgradients per run (default: the suite's)")
    add("--epochs", type=positive(MOST_EPOCHS), metavar="N",
        help="passes over the rows, in the suites of the paper (default 100)")  # fmt: skip
    usual = "the suite's" if suite is None else suite.seeds
    add("--seeds", type=positive(MOST_SEEDS), metavar="K",
        help=f"seeds 0 .. K-1 for methods with random choices (default {usual})")  # fmt: skip
    add("--data-dir", type=directory, metavar="DIR",
        help="where data files are looked for first; then $DADAPT_DATA, then the cache")  # fmt: skip
    add("--jobs", type=positive(), metavar="J",
        help="processes (default: one per core); the numbers do not depend on it")  # fmt: skip
    add("--out", type=directory, metavar="DIR",
        help="the folder of results (default results/SUITE, with --quick results/SUITE_quick); an interrupted run "
             "there is resumed")  # fmt: skip
    add("--fresh", action="store_true", help="delete this program's files in the folder of results, and start anew")


def build_parser() -> Parser:
    """The parser of the whole command line."""
    shared = Parser(add_help=False, usage=argparse.SUPPRESS)
    add_options(shared)
    parser = Parser(
        prog=program(),
        description="Run a suite of experiments: figures, a report, and a verdict for every bound.",
        epilog=f"{shared.format_help().strip()}\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action=Version, nargs=0, dest=argparse.SUPPRESS, default=argparse.SUPPRESS,
        help="show the version of dadapt-convex and exit",
    )  # fmt: skip
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, title="commands")
    for suite in suites().values():
        one = commands.add_parser(suite.name, help=suite.summary, description=suite.summary, allow_abbrev=False)
        add_options(one, suite)
    what = "show suites, problems and methods; with --problems the data sets; with --theorems statements and proofs"
    listing = commands.add_parser("list", help=what, description=what, allow_abbrev=False)
    kinds = listing.add_mutually_exclusive_group()
    kinds.add_argument("--theorems", nargs="*", metavar="PATTERN",
        help="statements and proofs, in Markdown: all, or names and patterns with * and ?")  # fmt: skip
    kinds.add_argument("--problems", nargs="*", metavar="PATTERN",
        help="embedded sets and the catalogue of the LIBSVM site: all, or names and patterns with * and ?")  # fmt: skip
    listing.add_argument("--data-dir", type=directory, metavar="DIR",
        help="where data files are looked for first; then $DADAPT_DATA, then the cache")  # fmt: skip
    report = commands.add_parser("report", help="draw figures and report again from stored results", allow_abbrev=False)
    proof = commands.add_parser(
        "certify", help="prove the optima of stored results again, without a solver", allow_abbrev=False,
        description="Prove every interval of a results directory again, from data and certificates alone.",
    )  # fmt: skip
    proof.add_argument("directory", type=directory, metavar="DIR", help="a results directory")
    proof.add_argument("--data-dir", type=directory, metavar="DIR", help="where data files are looked for first")
    report.add_argument("directory", type=directory, metavar="DIR", help="a results directory")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    with tolerant() as standard_output:
        code = _sentences(argv)
        standard_output.flush()
        failure = standard_output.failure
        if failure is None:
            return code
        _complain(f"standard output cannot be written: {failure.strerror or failure}")
        return code or BAD_INPUT


def _sentences(argv: Sequence[str] | None) -> int:
    """Run the command line, with what the caller did wrong in one line; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(arguments)
    except BadInput as error:
        _complain(error)
        return BAD_INPUT
    except KeyboardInterrupt as stop:
        if argv is None:  # a terminal and a parent process may both send the signal: stop once
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        suite = suites().get(arguments[0]) if arguments else None
        kept = "every finished cell is kept; repeat the command to resume"
        if suite is not None and not suite.resumes:
            kept = "nothing new was written"
        print(f"\ninterrupted: {str(stop) or kept}.", file=sys.stderr)
        return INTERRUPTED


def _complain(error: object) -> None:
    print(f"error: {sentence(error)}", file=sys.stderr)


def _refuse_unfit(arguments: Sequence[str]) -> None:
    """BadInput for an argument that no table, file or terminal can show as it is."""
    for text in arguments:
        if len(text) > LONGEST_ARGUMENT:
            raise BadInput(
                f"an argument has {len(text)} characters, more than {LONGEST_ARGUMENT}: {shortened(text, 80)!r}."
            )
        if any(unicodedata.category(letter) == "Cc" for letter in text):
            raise BadInput(f"{text!r} holds a control character; give another name, or rename the file.")
        _refuse_no_text(text)


def _refuse_no_text(name: str) -> None:
    """BadInput for a name with undecodable bytes: files of results are UTF-8."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise BadInput(
            f"{name!r} holds bytes that are no text in the encoding of this system, {sys.getfilesystemencoding()}; "
            "rename it, or set a UTF-8 locale."
        ) from None


def _refuse_shadows() -> None:
    """BadInput where a file of the user's stands before one of this project's packages."""
    for package in PACKAGES:
        found = importlib.util.find_spec(package)
        ours = Path(__file__).parents[1] / package / "__init__.py"
        if found is None or found.origin is None or not os.path.samefile(found.origin, ours):
            theirs = "nothing" if found is None else found.origin or found.submodule_search_locations
            raise BadInput(
                f"this program needs its own package {package}, and Python finds {theirs} in its place; call it from "
                "another folder, call it as dadapt, or rename that file."
            )


def _refuse_unfit_places(data_dir: Path | None) -> None:
    """BadInput where the current folder, $DADAPT_DATA or $DADAPT_CACHE cannot be used by name."""
    from problems.data.locate import data_folders

    try:
        places = [Path.cwd(), *data_folders(data_dir)]
    except ValueError as error:
        raise BadInput(str(error)) from None
    except FileNotFoundError:
        raise BadInput("the current folder is gone; change to one that exists.") from None
    for place in places:
        _refuse_no_text(str(place))


def _run(arguments: list[str]) -> int:
    _refuse_unfit(arguments)
    _refuse_shadows()
    known = [*suites(), *COMMANDS]
    if arguments and not arguments[0].startswith("-") and arguments[0] not in known:
        from dadapt_convex.checks import nearest

        close = nearest(arguments[0], known) or known
        raise BadInput(f"there is no suite or command {arguments[0]!r}; the nearest: {', '.join(close)}.")
    try:
        given = build_parser().parse_args(arguments)
    except SystemExit as done:  # --help, --version
        return int(done.code or 0)
    os.environ["MPLBACKEND"] = "agg"  # figures are files; a notebook's, or one that is not installed, would not do
    _refuse_unfit_places(getattr(given, "data_dir", None))
    if given.command == "list":
        from experiments import listing

        if given.data_dir is not None and not given.data_dir.is_dir():
            raise BadInput(f"--data-dir {given.data_dir} is no directory.")
        if given.theorems is not None:
            listing.show_theorems(given.theorems)
        elif given.problems is not None:
            listing.show_data(given.problems, given.data_dir)
        else:
            listing.show(given.data_dir)
        return OK
    if given.command == "certify":
        from experiments.certify import certify

        return certify(given.directory, given.data_dir)
    if given.command == "report":
        from experiments.engine.session import redraw

        redraw(given.directory)
        return OK
    suite = suites()[given.command]
    options = _options(given, arguments)
    from dadapt_convex.notice import silence
    from experiments.engine.session import run_suite

    with silence():  # a suite shows its progress in its own way
        return run_suite(suite, options)


def _options(given: argparse.Namespace, arguments: list[str]) -> Options:
    values = {name: value for name, value in vars(given).items() if name != "command"}
    for name in ("problems", "methods"):
        if values.get(name) is not None:
            values[name] = tuple(values[name])
    return Options(**values, argv=tuple(arguments))


if __name__ == "__main__":
    sys.exit(main())
