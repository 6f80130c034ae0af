"""The paper's twelve problems, their published accuracies, and the files that stand for them on this machine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

COMPLETE, REBUILT, PART, EMBEDDED, OWN = "complete", "rebuilt", "part", "embedded", "own"
# What may be laid beside the published numbers: a rebuilt file holds all rows, and the paper's features.
COMPARED = (COMPLETE, REBUILT)
# The columns of the paper's table of accuracies: its two methods, by their names here.
PUBLISHED = ("adam", "dadapt_adam")
# Without data files: scikit-learn's copies, unscaled, which the paper did not use.
WITHOUT_FILES = ("iris", "wine", "digits")


@dataclass(frozen=True)
class PaperSet:
    """A problem of the paper.

    Attributes
    ----------
    title : str
        Its name in the paper.
    files : tuple of str
        Files of the LIBSVM site, the first that is present is taken.
    accuracies : tuple of float
        Of the methods PUBLISHED, on the training set after 100 epochs, in %, mean over 10 seeds: data of the paper.
    stand_ins : tuple of (file, COMPLETE, REBUILT or PART)
        Further files, used where none of `files` is present.
    """

    title: str
    files: tuple[str, ...]
    accuracies: tuple[float, float]
    stand_ins: tuple[tuple[str, str], ...] = ()

    def published(self, method: str) -> float | None:
        """The published accuracy of a method, by its name here."""
        return dict(zip(PUBLISHED, self.accuracies, strict=True)).get(method)


PAPER_SETS = (
    PaperSet("Sensorless", ("Sensorless", "Sensorless.scale"), (89.5, 90.0), (("Sensorless.sub2200", PART),)),
    PaperSet("aloi", ("aloi", "aloi.scale"), (94.1, 97.1)),
    PaperSet("dna", ("dna.scale",), (100.0, 100.0)),
    PaperSet("glass", ("glass.scale",), (72.0, 72.3)),
    PaperSet("iris", ("iris.scale",), (98.3, 98.6)),
    PaperSet("letter", ("letter.scale",), (77.8, 77.7)),
    PaperSet("pendigits", ("pendigits",), (96.2, 95.8)),
    PaperSet("smallNORB", ("smallNORB", "smallNORB-32x32"), (92.9, 95.8)),
    PaperSet("usps", ("usps",), (98.6, 98.6), (("usps.rebuilt", REBUILT),)),
    PaperSet("vehicle", ("vehicle.scale",), (82.1, 81.9)),
    PaperSet("vowel", ("vowel.scale",), (77.4, 77.4)),
    PaperSet("wine", ("wine.scale",), (100.0, 100.0)),
)


@dataclass(frozen=True)
class Choice:
    """A problem to run: its name, what of the paper it stands for, and how far."""

    problem: str
    data: str
    paper: PaperSet | None = None

    @property
    def title(self) -> str:
        """The title for panels and tables; it says where the data are no copy of the paper's."""
        name = self.paper.title if self.paper else self.problem.removeprefix("multinomial:")
        return name if self.data in (COMPLETE, OWN) else f"{name} ({self.data})"

    def published(self, method: str) -> float | None:
        """The published accuracy to compare with; None where there is none, or other data."""
        return self.paper.published(method) if self.paper and self.data in COMPARED else None


def present(data_dir: Path | None) -> tuple[list[Choice], list[str]]:
    """The paper's problems whose data are on this machine, and the names of the others; nothing is downloaded."""
    from problems.data.dataset import DataNotFound
    from problems.data.locate import find_file

    def is_here(file: str) -> bool:
        try:
            find_file(file, data_dir)
        except DataNotFound:
            return False
        return True

    chosen, absent = [], []
    for paper in PAPER_SETS:
        candidates = [*((file, COMPLETE) for file in paper.files), *paper.stand_ins]
        found = next(((file, data) for file, data in candidates if is_here(file)), None)
        if found is None:
            absent.append(paper.title)
        else:
            chosen.append(Choice(f"multinomial:{found[0]}", found[1], paper))
    return chosen, absent


def without_files() -> list[Choice]:
    """The embedded sets, where no file is present."""
    return [Choice(f"multinomial:{name}", EMBEDDED) for name in WITHOUT_FILES]


def classify(names: Iterable[str]) -> list[Choice]:
    """Problems by name, as the command line gives them: those of the paper are recognised."""
    known = {}
    for paper in PAPER_SETS:
        for file, data in [*((file, COMPLETE) for file in paper.files), *paper.stand_ins]:
            known[f"multinomial:{file}"] = Choice(f"multinomial:{file}", data, paper)
    known |= {choice.problem: choice for choice in without_files()}
    return [known.get(name, Choice(name, OWN)) for name in names]


def by_title(names: Iterable[str], here: Iterable[Choice]) -> list[str]:
    """Names of problems for the titles that the suites print, of what is here; other names as they are."""
    known: dict[str, str] = {}
    for choice in here:
        known |= dict.fromkeys((choice.title, choice.title.partition(" ")[0]), choice.problem)
    return [known.get(name, name) for name in names]


def examples() -> str:
    """A few files of the paper's problems, for messages."""
    return ", ".join(paper.files[0] for paper in PAPER_SETS[2:5]) + ", ..."
