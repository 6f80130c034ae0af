"""Problems and method configurations from their names on the command line."""

from __future__ import annotations

import fnmatch
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dadapt_convex.checks import nearest
from dadapt_convex.hyper import Choice
from dadapt_convex.method import Method, get_method, methods
from experiments.suite import BadInput, Suite, with_steps

# How a run is made, beside the method's hyper-parameters: stochastic gradients, see dadapt_convex.stochastic.
SAMPLING = ("batch_size", "noise", "seed")
COMMAS = re.compile(r",(?![^()]*\))")  # outside parentheses: warmup(5, cosine) is one value
# float() and int() would take the digits of every script, underscores, and 1e400 for infinity.
NUMBER = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|inf|nan)")
INTEGER = re.compile(r"[+-]?[0-9]+")
NOT_PLAIN = re.compile(r"[^ -~]|[0-9]_[0-9]")
LABEL = re.compile(r"(?P<name>[^\[\]]+)(?:\[(?P<hyper>[^\[\]]*)\])?")


@dataclass(frozen=True)
class MethodConfig:
    """A method with hyper-parameters, SAMPLING among them: `label` as written, `hyper` sorted by name."""

    label: str
    name: str
    hyper: tuple[tuple[str, Any], ...]
    method: Method = field(repr=False, compare=False)

    @property
    def sampling(self) -> dict[str, Any]:
        """The given entries of SAMPLING."""
        return {key: value for key, value in self.hyper if key in SAMPLING}

    @property
    def stochastic(self) -> bool:
        """True where gradients are stochastic, so that runs depend on a seed."""
        return not self.sampling.keys() <= {"seed"}

    def value(self, name: str) -> Any:
        """A hyper-parameter, given or the method's own."""
        own: Any = self.method.parameters[name]
        return dict(self.hyper).get(name, own.default)

    def seeds(self, count: int) -> range:
        """The seeds to run, of so many asked for."""
        return range(count if self.stochastic and "seed" not in self.sampling else 1)


def parse_method(label: str) -> MethodConfig:
    """Read "name[key=value,...]" and check it against the method's declaration; BadInput with a sentence."""
    match = LABEL.fullmatch(label.strip())
    if match is None:
        raise BadInput(f"a method is written name or name[hyper-parameter=value,...], got {label!r}.")
    if match["name"] not in methods():
        raise BadInput(f"unknown method {match['name']!r}; {_nearest(match['name'], methods())} `list` shows them all.")
    hyper: dict[str, Any] = {}
    try:
        method = get_method(match["name"])
        for item in filter(None, (part.strip() for part in COMMAS.split(match["hyper"] or ""))):
            key, equals, text = (part.strip() for part in item.partition("="))
            if not (key and equals and text):
                raise BadInput(f"hyper-parameters in brackets are key=value, got {item!r} in {label!r}.")
            if key in hyper:
                raise BadInput(f"{key} stands twice in {label!r}.")
            if NOT_PLAIN.search(text) and key.isidentifier():  # other keys are unknown ones
                raise BadInput(f"{key} must be in ASCII, and numbers without underscores, got {text!r} in {label!r}.")
            hyper[key] = _value(method, key, text)
        own = {key: value for key, value in hyper.items() if key not in SAMPLING}
        method.complete(own, known=lambda what: (1.0, ""))  # what is known later does not matter yet
    except BadInput:
        raise
    except ValueError as error:
        raise BadInput(str(error)) from None
    return MethodConfig(label.strip(), method.name, tuple(sorted(hyper.items())), method)


def _value(method: Method, key: str, text: str) -> Any:
    """The text as the hyper-parameter's type; a text that is no number stays one, and the method refuses it."""
    if isinstance(method.parameters.get(key), Choice):
        return text
    if key in SAMPLING:
        return int(text) if INTEGER.fullmatch(text) else text
    number = float(text) if NUMBER.fullmatch(text) else math.inf
    return text if math.isinf(number) and text.lstrip("+-") != "inf" else number


def select_methods(suite: Suite, wanted: Sequence[str] | None) -> list[MethodConfig]:
    """The suite's configurations, or those named.

    A label stands for itself, a bare name for all configurations of this name in the suite, or for the method
    with its defaults where the suite has none; * and ? match the suite's labels.
    """
    configured = [parse_method(label) for label in suite.methods]
    if wanted is None:
        return configured
    chosen: list[MethodConfig] = []
    for text in wanted:
        if "*" in text or "?" in text:
            found = [c for c in configured if _matches(c.label, text)]
            if not found:
                raise BadInput(f"no method of {suite.name} matches {text!r}; {_nearest(text, suite.methods)}")
        else:
            config = parse_method(text)
            same = [c for c in configured if (c.name, c.hyper) == (config.name, config.hyper)]
            found = same or [config]
            if "[" not in text:
                found = [c for c in configured if c.name == config.name] or found
        chosen.extend(found)
    return list(dict.fromkeys(chosen))


def select_problems(suite: Suite, wanted: Sequence[str] | None, steps: int, data_dir: Path | None) -> list[str]:
    """The suite's problems, or those named; * and ? match the suite's problems and problems.names().

    A name that holds no pattern is passed on as it is: problems.get() knows whether it exists.
    """
    if wanted is None:
        return suite.problem_names(steps)
    import problems

    own = suite.problem_names(steps)
    chosen: list[str] = []
    for text in wanted:
        name = with_steps(text.strip(), steps)
        if not ("*" in name or "?" in name):
            chosen.append(name)
            continue
        candidates = list(dict.fromkeys([*own, *problems.names(data_dir)]))
        found = [candidate for candidate in candidates if _matches(candidate, name)]
        if not found:
            raise BadInput(f"no problem matches {text!r}; {_nearest(name, candidates)}")
        chosen.extend(with_steps(candidate, steps) for candidate in found)
    return list(dict.fromkeys(chosen))


def _matches(name: str, pattern: str) -> bool:
    """Match a shell pattern in which brackets stand for themselves: names have brackets."""
    return fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))


def _nearest(text: str, names: Iterable[str]) -> str:
    """A sentence for messages: the nearest names, or else a few."""
    known = list(names)
    close = nearest(text.strip("*?"), known, cutoff=0.3) or known[:3]
    return f"the nearest {'are' if len(close) > 1 else 'is'} {', '.join(close)}."
