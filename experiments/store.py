"""The files of a results directory: one per finished cell, then tables and the manifest.

Every file is written beside its place and moved there (os.replace), so it is either whole or absent.

    cells/<identity>.parquet           the trace of one cell, its verdicts and messages in the metadata
    certificates/<problem>.npz         a certified optimum, with all that a check of it needs
    runs.parquet, problems.csv, verdicts.csv, manifest.json, report.html, figures/
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import re
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.figure_names import slug
from experiments.suite import BadInput

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 2  # of the files; raise it when they change

RUNS, PROBLEMS, VERDICTS, MANIFEST, REPORT = (
    "runs.parquet", "problems.csv", "verdicts.csv", "manifest.json", "report.html",
)  # fmt: skip
CELLS, FIGURES, CERTIFICATES = "cells", "figures", "certificates"
TEMPORARY = ".unfinished-"
DEFAULT_PARENT = Path("results")  # made where it is missing
ROOM = 1 << 20  # bytes that must be writable before work starts: a disk with less is as good as full
# What zipfile and numpy raise on bytes that are not theirs; a test flips bits to see that the list is complete.
UNREADABLE = (
    OSError, EOFError, KeyError, MemoryError, RuntimeError, SyntaxError, TypeError, ValueError,
    struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
CELL_FILE = re.compile(r"[0-9a-f]{24}\.parquet")

ITERATES = ("avg", "best", "last")
TRACE_OF = {"avg": "f_avg", "best": "f_best", "last": "f"}
PROBLEM_FLOATS = ("G", "G_inf", "f_lo", "f_hi", "D_lo", "D_hi", "D_inf_lo", "D_inf_hi", "D_estimate", "optimum_seconds")
VERDICT_FLOATS = ("worst_ratio", "k")
VERDICT_COLUMNS = ("theorem", "verdict", "worst_ratio", "k", "note")


class StoreError(Exception):
    """A file could not be written; what was stored before is whole."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path that takes the place of `path` when the block ends well; StoreError where writing fails."""
    temporary = None
    try:
        handle, name = tempfile.mkstemp(prefix=TEMPORARY, suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes files private
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def digest(*parts: Any) -> str:
    """A short hash of JSON values: the same values give the same name of a cell."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


# ---------------------------------------------------------------------------------------------------------
# Cells


@dataclass(frozen=True)
class CellResult:
    """What one cell leaves: a trace (None where the method was not run), verdicts, and how it went.

    status : the run's status, or "not run"; message: the same in a sentence.
    hyper, given : all hyper-parameters, and where those came from that the caller did not set.
    verdicts : rows with VERDICT_COLUMNS.
    seconds, compile_seconds : in iterations, and in compiling or loading compiled code.
    """

    status: str
    message: str
    trace: Any = None
    hyper: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=dict)
    verdicts: Sequence[Mapping[str, Any]] = ()
    seconds: float = 0.0
    compile_seconds: float = 0.0


def cell_path(out: Path, identity: str) -> Path:
    """Where the cell of this identity is stored."""
    return out / CELLS / f"{identity}.parquet"


def write_cell(path: Path, result: CellResult) -> None:
    """Store a finished cell."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    about = {f.name: getattr(result, f.name) for f in fields(result) if f.name != "trace"}
    columns = {} if result.trace is None else {c: result.trace[c].to_numpy() for c in result.trace.columns}
    table = pa.table(columns).replace_schema_metadata({"dadapt": json.dumps(about)})
    with replacing(path) as temporary:
        pq.write_table(table, temporary)


def read_cell(path: Path) -> CellResult:
    """A stored cell."""
    import pandas as pd
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    about = json.loads((table.schema.metadata or {})[b"dadapt"])
    trace = pd.DataFrame({name: table.column(name).to_numpy() for name in table.column_names})
    return CellResult(trace=None if trace.empty else trace, **about)


def with_gaps(trace: pd.DataFrame, f_lo: float, f_hi: float) -> pd.DataFrame:
    """The trace with gap_<iterate>_lo and _hi: f - f_hi and f - f_lo, never clipped, so they may be below 0."""
    gaps = {}
    for iterate in ITERATES:
        f = trace[TRACE_OF[iterate]]
        gaps[f"gap_{iterate}_lo"], gaps[f"gap_{iterate}_hi"] = f - f_hi, f - f_lo
    return trace.assign(**gaps)


def with_bound(trace: pd.DataFrame, bounds: pd.DataFrame) -> pd.DataFrame:
    """The trace with the method's main bound on a gap: bound, bound_theorem, bound_iterate."""
    if bounds.empty:
        return trace
    theorem = bounds["theorem"].iloc[0]
    main = bounds[bounds["theorem"] == theorem]
    main = main[main["iterate"] == main["iterate"].iloc[0]]
    bound = main.drop_duplicates("k").set_index("k")["bound"]
    return trace.assign(
        bound=trace["k"].map(bound).astype(float), bound_theorem=theorem, bound_iterate=main["iterate"].iloc[0]
    )


# ---------------------------------------------------------------------------------------------------------
# Optima


@dataclass(frozen=True)
class Certified:
    """A certified optimum as it is passed between processes: problems.Optimum without the proof."""

    f_lo: float
    f_hi: float
    D_lo: float
    D_hi: float
    D_inf_lo: float
    D_inf_hi: float
    attained: bool | None
    kind: str
    seconds: float
    D_estimate: float
    notes: tuple[str, ...]
    problem: str
    identity: str
    x: Any = field(repr=False, compare=False)

    @classmethod
    def of(cls, optimum: Any) -> Certified:
        """From problems.Optimum."""
        return cls(**{f.name: getattr(optimum, f.name) for f in fields(cls)})


def certificate_path(out: Path, problem: str) -> Path:
    """Where the certified optimum of this problem is stored."""
    return out / CERTIFICATES / f"{slug(problem)}.npz"


def write_certificate(path: Path, optimum: Any, **about: Any) -> None:
    """Store a problems.Optimum with its certificate, and what else is to be known of it; floats keep every digit."""
    from problems.optimum.store import FORMAT as LAYOUT
    from problems.optimum.store import to_arrays

    arrays, meta = to_arrays(optimum)
    meta = {**about, "layout": LAYOUT, "optimum": meta}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays, meta=np.array(json.dumps(meta)))


def read_certificate(path: Path) -> tuple[Any, dict[str, Any]]:
    """(problems.Optimum, what was stored beside it); BadInput where the file is damaged or of another version."""
    from problems.optimum.check import in_words
    from problems.optimum.store import FORMAT as LAYOUT
    from problems.optimum.store import from_arrays

    def refused(why: str) -> BadInput:
        return BadInput(f"{path} holds no certificate: {why}; delete it and give the suite's command again.")

    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise BadInput(f"{path} is missing; give the suite's command again, which writes it.") from None
    except OSError as error:
        raise refused(f"it cannot be read ({error.strerror})") from None
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except UNREADABLE:
        raise refused("it is no npz archive, or was cut short or changed") from None
    try:
        meta = json.loads(str(arrays.pop("meta")))
        layout = meta["layout"]
        if layout == LAYOUT:
            return from_arrays(arrays, meta["optimum"]), meta
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise refused(in_words(error)) from None
    raise BadInput(
        f"{path} is of version {layout!r}, this program reads {LAYOUT}; run the suite again with --fresh, or check "
        f"it with the version that wrote it."
    )


# ---------------------------------------------------------------------------------------------------------
# Tables


def write_runs(path: Path, rows: Sequence[tuple[Mapping[str, Any], CellResult]]) -> None:
    """runs.parquet: the traces of all cells, in order, behind the columns that name the cell."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    traces = []
    for key, result in rows:
        if result.trace is None:
            continue
        lead = {
            **key,
            "hyper": json.dumps(dict(result.hyper), sort_keys=True),
            "given": json.dumps(dict(result.given), sort_keys=True),
            "status": result.status,
        }
        front = pd.DataFrame({name: [value] * len(result.trace) for name, value in lead.items()})
        traces.append(pd.concat([front, result.trace.reset_index(drop=True)], axis=1))
    none = pd.DataFrame(columns=["suite", "problem", "method", "label", "seed", "hyper", "given", "status", "k"])
    table = pa.Table.from_pandas(pd.concat(traces, ignore_index=True) if traces else none)
    with replacing(path) as temporary:
        pq.write_table(table.replace_schema_metadata({"format": str(FORMAT)}), temporary, compression="zstd")


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """A table as CSV; floats are written so that reading gives them back exactly."""
    import pandas as pd

    table = pd.DataFrame(rows, columns=list(columns))
    if "k" in table:
        table["k"] = table["k"].astype("Int64")  # integers also where some are absent
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False)


def read_csv(path: Path, floats: Sequence[str]) -> pd.DataFrame:
    """A table written by write_csv; `floats` are read by Python, exactly, which pandas does not promise."""
    import pandas as pd

    table = pd.read_csv(path, dtype=dict.fromkeys(floats, object))
    for name in floats:
        table[name] = table[name].map(float).astype(float)
    return table


@dataclass(frozen=True)
class Results:
    """The stored files of one run of a suite: all that figures and the report are made from."""

    runs: pd.DataFrame
    problems: pd.DataFrame
    verdicts: pd.DataFrame
    manifest: dict[str, Any]

    @classmethod
    def read(cls, out: Path, problem: str | None = None) -> Results:
        """Read a results directory, or the runs of one problem in it; BadInput where it holds none."""
        import pandas as pd

        missing = [name for name in (RUNS, PROBLEMS, VERDICTS, MANIFEST) if not (out / name).is_file()]
        if missing:
            raise BadInput(f"{out} holds no finished results: {', '.join(missing)} missing; run the suite first.")
        filters = None if problem is None else [("problem", "==", problem)]
        return cls(
            runs=_table(out / RUNS, lambda path: pd.read_parquet(path, filters=filters)),
            problems=_table(out / PROBLEMS, lambda path: read_csv(path, PROBLEM_FLOATS)),
            verdicts=_table(out / VERDICTS, lambda path: read_csv(path, VERDICT_FLOATS)),
            manifest=read_manifest(out) or {},
        )


def _table(path: Path, read: Callable[[Path], pd.DataFrame]) -> pd.DataFrame:
    """What `read` makes of a file; BadInput where it is damaged."""
    try:
        return read(path)
    except (OSError, KeyError, TypeError, ValueError) as error:  # those of pandas and pyarrow are ValueErrors
        from problems.optimum.check import in_words

        raise BadInput(
            f"{path} is damaged: {in_words(error)}; give the suite's command again, which writes it."
        ) from None


# ---------------------------------------------------------------------------------------------------------
# The directory


def read_manifest(out: Path) -> dict[str, Any] | None:
    """The manifest, or None where there is none; BadInput for a file that is not this program's."""
    path = out / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot read {path}: {error}; use another --out.") from None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("configuration"), dict):
        raise BadInput(f"{path} was not written by this program; use another --out.")
    return manifest


def write_manifest(out: Path, manifest: Mapping[str, Any]) -> None:
    """Write manifest.json."""
    write_text(out / MANIFEST, json.dumps(manifest, indent=2, sort_keys=False) + "\n")


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """In words, how the configuration of a results directory differs from the one asked for."""
    found: list[str] = []
    for key in dict.fromkeys([*here, *there]):
        old, new = there.get(key), here.get(key)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            found.extend(f"{key} {_entry(name, old, new)}" for name in {**old, **new} if old.get(name) != new.get(name))
        elif isinstance(old, list) and isinstance(new, list):
            gone, added = [x for x in old if x not in new], [x for x in new if x not in old]
            parts = [f"without {', '.join(gone)}"] * bool(gone) + [f"with {', '.join(added)}"] * bool(added)
            found.append(f"{key} now {' and '.join(parts) or 'in another order'}")
        elif key == "code":
            found.append("the code of dadapt_convex or problems has changed since")
        else:
            found.append(f"{key} {old} there, {new} now")
    return found


def _entry(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    if name not in new:
        return f"now without {name}"
    if name not in old:
        return f"now with {name}"
    if len(str(old[name])) > 20:  # hashes say nothing to a reader
        return f"of other content: {name}"
    return f"{name} {old[name]} there, {new[name]} now"


@contextlib.contextmanager
def open_directory(
    out: Path, configuration: Mapping[str, Any], fresh: bool, files: Callable[[Any], list[str]]
) -> Iterator[None]:
    """Make the directory ready for this configuration and keep other runs out of it, or raise BadInput.

    files: from a configuration to the figures and certificates it leaves, as paths within out; --fresh deletes them.
    """
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out} is a file; --out takes a directory.")
    if not out.parent.is_dir() and out.parent != DEFAULT_PARENT:
        raise BadInput(f"{out.parent} is no directory; --out takes a directory inside one that exists.")
    created = [folder for folder in (out.parent, out, out / CELLS, out / CERTIFICATES) if not folder.exists()]
    descriptor = None
    try:
        for folder in (out.parent, out):
            folder.mkdir(exist_ok=True)
        descriptor = os.open(out, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInput(f"another run is writing to {out}; wait for it or use another --out.") from None
        _refuse_other_results(out, configuration, fresh, files)
        _make_room(out)
    except (BadInput, OSError, StoreError) as error:
        if descriptor is not None:
            os.close(descriptor)
        for folder in reversed(created):
            with contextlib.suppress(OSError):
                folder.rmdir()
        if isinstance(error, BadInput):
            raise
        reason = str(error) if isinstance(error, StoreError) else f"cannot write to {out}: {error.strerror or error}"
        raise BadInput(f"{reason}; use another --out.") from None
    try:
        yield
    finally:
        _sweep(out)  # Ctrl-C kills the processes, one of them perhaps in the middle of a file
        os.close(descriptor)


def _refuse_other_results(
    out: Path, configuration: Mapping[str, Any], fresh: bool, files: Callable[[Any], list[str]]
) -> None:
    manifest = read_manifest(out)
    if fresh:
        delete_results(out, files(manifest["configuration"]) if manifest else [])
        return
    if manifest is None:
        if any((out / name).exists() for name in (RUNS, PROBLEMS, VERDICTS, REPORT)):
            raise BadInput(f"{out} holds results without a {MANIFEST}; use --fresh to delete them or another --out.")
        return
    found = differences(manifest["configuration"], configuration)
    if found:
        more = f" (and {len(found) - 3} more)" if len(found) > 3 else ""
        raise BadInput(
            f"{out} holds results of another configuration: {'; '.join(found[:3])}{more}; "
            f"use --fresh to delete them or another --out."
        )


def _make_room(out: Path) -> None:
    """Prepare the folder of cells; fails now where the disk is full or read-only."""
    for name in (CELLS, CERTIFICATES):
        (out / name).mkdir(exist_ok=True)
    _sweep(out)
    with replacing(out / CELLS / "room") as temporary:
        temporary.write_bytes(bytes(ROOM))
    (out / CELLS / "room").unlink()


def _sweep(out: Path) -> None:
    """Delete what was left half written by processes that were killed."""
    for folder in (out, out / CELLS, out / CERTIFICATES, out / FIGURES):
        for left in folder.glob(f"{TEMPORARY}*"):
            with contextlib.suppress(OSError):
                left.unlink(missing_ok=True)


def delete_results(out: Path, files: Sequence[str]) -> None:
    """Delete what this program wrote into a results directory, and nothing else; files: paths within it."""
    for name in (RUNS, PROBLEMS, VERDICTS, MANIFEST, REPORT, *files):
        (out / name).unlink(missing_ok=True)
    if (out / CELLS).is_dir():
        for path in (out / CELLS).iterdir():
            if CELL_FILE.fullmatch(path.name):
                path.unlink(missing_ok=True)
    _sweep(out)
    for folder in (CELLS, FIGURES, CERTIFICATES):
        with contextlib.suppress(OSError):  # absent, or it holds files of others
            (out / folder).rmdir()
