"""The files of the LIBSVM data site that fit in 8 GB of memory; the table itself is `catalogue.csv`.

    https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/    folders binary, multiclass, regression

A row of the table is a file. Its `path` leads from the site's folder to it; without the suffix of a compression the
last part of the path is the file's name here: a9a, a9a.t, news20, letter.scale. Files of one set (training, test,
validation, and the part of the training file that validation leaves) share `set`, the name of the training file, and
p, so that a test file that does not use the last columns gets the same p. p is the largest index in any file of the
set, as the site gives it; for svmguide3 that is 22. `classes` counts the set's labels. A number nobody is sure of is
left empty, and then learned from the file.

`sha256_text` is the SHA-256 of the decompressed file, since the site has changed compressions (SUSY.bz2 became
SUSY.xz). It is given where two independent public sources agree on it; elsewhere the first download decides (see
`download`). `bytes` is the size of the download, where that is known exactly.

Memory is counted as CSR's 12 bytes a nonzero, which reading a file takes. Files left out as larger: epsilon_normalized
(its test file is there), mnist8m, SVHN.extra, kdd12 and kdd12.tr (the validation file is there), criteo, webspam's
trigrams, splice_site.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal, cast, get_args

from dadapt_convex.oracle import nearest
from problems.data.dataset import DataNotFound, Task

SITE = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets"
COMPRESSED = (".bz2", ".xz", ".gz")
TABLE = Path(__file__).with_name("catalogue.csv")

Part = Literal["training", "test", "validation", "training part", "rest"]
PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True)
class Entry:
    """A file of the site.

    Parameters
    ----------
    path : str
        From the site's folder to the file, as multiclass/sector/sector.t.scale.bz2.
    set : str
        Name of the set's training file.
    part : "training", "test", "validation", "training part" or "rest"
        What the file is of its set; "training part" and "validation" together are the training file.
    m, p : int >= 1, or None
        Rows of the file, columns of the set; None where they are not known.
    classes : int >= 2, or None
        Labels of the set; None for regression.
    bytes : int or None
        Size of the file as published, where known.
    sha256_text : str or None
        Of the decompressed file, in hexadecimal, where known.
    preprocessing, source : str
        What was done to the data, and where they come from, in a few words.
    """

    path: str
    set: str
    part: Part
    m: int | None
    p: int | None
    classes: int | None
    bytes: int | None
    sha256_text: str | None
    preprocessing: str
    source: str

    @property
    def file_name(self) -> str:
        """Last part of the path, as sector.t.scale.bz2."""
        return self.path.rpartition("/")[2]

    @property
    def name(self) -> str:
        """File name without the suffix of a compression, as sector.t.scale."""
        return bare_name(self.file_name)

    @property
    def compression(self) -> str:
        """Suffix of the compression, ".bz2" or ".xz"; empty for plain text."""
        return self.file_name.removeprefix(self.name)

    @property
    def task(self) -> Task:
        """The task of the set, the first folder of the path."""
        return cast(Task, self.path.partition("/")[0])


@cache
def catalogue() -> Mapping[str, Entry]:
    """All entries by name: binary, multiclass, regression; the files of a set follow each other."""
    with TABLE.open(newline="", encoding="utf-8") as file:
        entries = [_entry(row) for row in csv.DictReader(file)]
    return MappingProxyType({entry.name: entry for entry in entries})


def find(name: str) -> Entry:
    """Return the entry of a file, named with or without the suffix the site's file has.

    Raises
    ------
    DataNotFound
        The catalogue has no such file; the message names what is near.
    """
    entry = lookup(name)
    if entry is None:
        raise DataNotFound(
            f"the catalogue of the LIBSVM site has no file {name!r}{nearest_names(name, catalogue())}; "
            "python -m experiments.run list --problems shows it."
        )
    return entry


def lookup(name: str) -> Entry | None:
    """Entry of a file as in `find`, or None."""
    entry = catalogue().get(bare_name(name))
    return entry if entry is not None and name in (entry.name, entry.file_name) else None


def bare_name(file_name: str) -> str:
    """File name without the suffix of a compression."""
    stem, suffix = os.path.splitext(file_name)
    return stem if suffix in COMPRESSED else file_name


def nearest_names(name: str, names: Iterable[str], before: str = "") -> str:
    """The clause "; the nearest names are ..." for messages, `before` written before each; empty where none is near."""
    close = nearest(name, names, cutoff=0.6)
    if not close:
        return ""
    verb = "s are" if len(close) > 1 else " is"
    return f"; the nearest name{verb} {', '.join(before + known for known in close)}"


def bytes_text(size: int | None) -> str:
    """A size for people: 830 bytes, 2.3 MB; empty where it is not known."""
    if size is None:
        return ""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size} bytes"


def _entry(row: dict[str, str]) -> Entry:
    return Entry(
        path=row["path"],
        set=row["set"],
        part=cast(Part, row["part"]),
        m=_count(row["m"]),
        p=_count(row["p"]),
        classes=_count(row["classes"]),
        bytes=_count(row["bytes"]),
        sha256_text=row["sha256_text"] or None,
        preprocessing=row["preprocessing"],
        source=row["source"],
    )


def _count(text: str) -> int | None:
    return int(text) if text else None
