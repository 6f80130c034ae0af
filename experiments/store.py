"""The files of a results directory: one per finished cell, then tables and the manifest.

Every file is written beside its place and moved there (os.replace), so it is either whole or absent.

    cells/<identity>.parquet           the trace of one cell, its verdicts and messages in the metadata
    certificates/<problem>.npz         a certified optimum, with all that a check of it needs
    runs.parquet, problems.csv, verdicts.csv, manifest.json, report.html, figures/

Every file is checked when it is read: cells, certificates and the manifest carry their identity and a seal
(problems/files.py), and the manifest holds the SHA-256 of every table. A damaged or foreign file counts as absent.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from experiments import provenance
from experiments.suite import BadInput
from problems.files import TEMPORARY, UNSEALED, is_sealed, seal, sweep
from problems.files import replacing as in_its_place

if TYPE_CHECKING:
    import filelock
    import pandas as pd

FORMAT = 4  # of the files; raise it when they change

RUNS, PROBLEMS, VERDICTS, MANIFEST, REPORT = (
    "runs.parquet", "problems.csv", "verdicts.csv", "manifest.json", "report.html",
)  # fmt: skip
CELLS, FIGURES, CERTIFICATES = "cells", "figures", "certificates"
TABLES = (RUNS, PROBLEMS, VERDICTS)
LOCK = ".lock"
DEFAULT_PARENT = Path("results")  # made where it is missing
SEALED_SINCE = 3  # the first FORMAT with seals
NOTHING_NEW = "nothing new was written"  # of a run that stopped
NAMED = 5  # of damaged files in a line
ROOM = 1 << 20  # bytes that must be writable before work starts: a disk with less is as good as full
LONGEST_NAME = 60  # characters of a problem's in the name of a file
CELL_FILE = re.compile(r"[0-9a-f]{24}\.parquet")

ITERATES = ("avg", "best", "last")
PROBLEM_FLOATS = ("G", "G_inf", "f_lo", "f_hi", "D_lo", "D_hi", "D_inf_lo", "D_inf_hi", "D_estimate", "optimum_seconds")
VERDICT_FLOATS = ("worst_ratio", "k")
VERDICT_COLUMNS = ("theorem", "kind", "verdict", "worst_ratio", "k", "arithmetic", "note")


class StoreError(BadInput):
    """A file could not be written; what was stored before is whole."""


NOTHING: Mapping[str, str] = {}


class Damaged(BadInput):
    """A file is missing, damaged, changed, or belongs to another problem or run."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path that takes the place of `path` when the block ends well; StoreError where writing fails.

    The folder is made where it is missing. After a loss of power there is the old file or the new one.
    """
    try:
        path.parent.mkdir(exist_ok=True)
        with in_its_place(path) as temporary:
            yield temporary
            if path.is_dir():
                path.rmdir()
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    write_bytes(path, text.encode())


def read_sealed(path: Path) -> bytes:
    """The content of a sealed file; Damaged where a bit of it has changed."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise Damaged(f"{path} is missing; give the suite's command again, which makes it.") from None
    except OSError as error:
        raise Damaged(f"{path} cannot be read: {error.strerror}; give the suite's command again.") from None
    if not is_sealed(content):
        raise Damaged(f"{path} is damaged or was changed; give the suite's command again, which makes it anew.")
    return content


def digest(*parts: Any) -> str:
    """A short hash of JSON values: the same values give the same name of a cell."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


# ---------------------------------------------------------------------------------------------------------
# Results of tasks


def cell_file(identity: str) -> str:
    """The file of the cell of this identity, within a results directory."""
    return f"{CELLS}/{identity}.parquet"


def write_result(path: Path, result: Any, identity: str) -> None:
    """Store what a task returned: a problems.Optimum, or Rows."""
    if path.suffix == ".npz":
        write_certificate(path, result, identity=identity)
    else:
        write_rows(path, *result)


def holds(path: Path, identity: str) -> bool:
    """True where a file is whole and has this identity; the identity of a certificate ends in its problem's."""
    try:
        if path.suffix != ".npz":
            read_rows(path)
            return path.stem == identity
        optimum, about = read_certificate(path)
    except Damaged:
        return False
    return about.get("identity") == identity and identity.endswith(optimum.identity)


class Rows(NamedTuple):
    """The result of a task: a table, and facts in JSON."""

    columns: Mapping[str, Any]
    about: Mapping[str, Any]


def write_rows(path: Path, columns: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """Store the columns of a cell with facts in JSON, sealed; the file's name is its identity."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    about = {**about, "identity": path.stem}
    table = pa.table(dict(columns)).replace_schema_metadata({"dadapt": json.dumps(about), "seal": UNSEALED})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    write_bytes(path, seal(buffer.getvalue()))


def read_rows(path: Path) -> Rows:
    """Rows as they were stored; Damaged where the file is not whole or another's."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(pa.BufferReader(read_sealed(path)))
    about = json.loads((table.schema.metadata or {})[b"dadapt"])
    if about.pop("identity") != path.stem:
        raise Damaged(f"{path} holds another cell; give the suite's command again, which makes it anew.")
    return Rows({name: table.column(name).to_numpy() for name in table.column_names}, about)


# ---------------------------------------------------------------------------------------------------------
# Optima


def slug(problem: str) -> str:
    """A problem's name as a file name; a hash keeps apart what the replaced characters distinguished."""
    plain = re.sub(r"[^A-Za-z0-9.=+-]+", "_", problem).strip("_.")
    readable = re.fullmatch(r"[a-z_0-9]+:[A-Za-z0-9.+-]+", problem)
    if readable and len(plain) <= LONGEST_NAME:
        return plain
    return f"{plain[-LONGEST_NAME:]}_{hashlib.sha256(problem.encode()).hexdigest()[:6]}"


def certificate_file(problem: str) -> str:
    """The file of this problem's certified optimum, within a results directory."""
    return f"{CERTIFICATES}/{slug(problem)}.npz"


def certificate_path(out: Path, problem: str) -> Path:
    """The path of this problem's certified optimum."""
    return out / certificate_file(problem)


def write_certificate(path: Path, optimum: Any, **about: Any) -> None:
    """Store a problems.Optimum with its certificate and further facts; floats keep every digit."""
    from problems.optimum.store import FORMAT as LAYOUT
    from problems.optimum.store import to_arrays

    arrays, meta = to_arrays(optimum)
    meta = {**about, "layout": LAYOUT, "optimum": meta}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays, meta=np.array(json.dumps(meta)))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = UNSEALED.encode()
    write_bytes(path, seal(buffer.getvalue()))


def read_certificate(path: Path) -> tuple[Any, dict[str, Any]]:
    """(problems.Optimum, the facts stored beside it); Damaged where the file is not whole or of another version."""
    from problems.optimum.check import in_words
    from problems.optimum.store import FORMAT as LAYOUT
    from problems.optimum.store import from_arrays

    content = read_sealed(path)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        meta = json.loads(str(arrays.pop("meta")))
        layout = meta["layout"]
        if layout == LAYOUT:
            return from_arrays(arrays, meta["optimum"]), meta
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Damaged(
            f"{path} holds no certificate: {in_words(error)}; give the suite's command again, which makes it anew."
        ) from None
    raise Damaged(
        f"{path} is of version {layout!r}, this program reads {LAYOUT}; give the suite's command again, or check it "
        f"with the version that wrote it."
    )


# ---------------------------------------------------------------------------------------------------------
# Tables


def write_runs(path: Path, rows: Sequence[tuple[Mapping[str, Any], Any]]) -> None:
    """runs.parquet: the traces of all cells, in order, behind the columns that name the cell.

    rows: of each cell the key and the CellResult.
    """
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
    """The stored files of one run of a suite; figures and the report are made from them alone."""

    runs: pd.DataFrame
    problems: pd.DataFrame
    verdicts: pd.DataFrame
    manifest: dict[str, Any]

    @classmethod
    def read(cls, out: Path, problem: str | None = None) -> Results:
        """Read a results directory, or the runs of one problem in it; BadInput where it holds none, or damaged ones."""
        import pandas as pd

        manifest = checked_manifest(out, TABLES)
        filters = None if problem is None else [("problem", "==", problem)]
        return cls(
            runs=pd.read_parquet(out / RUNS, filters=filters),
            problems=read_csv(out / PROBLEMS, PROBLEM_FLOATS),
            verdicts=read_csv(out / VERDICTS, VERDICT_FLOATS),
            manifest=manifest,
        )


# ---------------------------------------------------------------------------------------------------------
# The directory


def read_manifest(out: Path) -> dict[str, Any] | None:
    """The manifest, or None where there is none; Damaged where it is not as this program wrote it."""
    path = out / MANIFEST
    if not path.exists():
        return None
    manifest = json.loads(read_sealed(path))
    del manifest["seal"]
    return manifest


def write_manifest(out: Path, manifest: Mapping[str, Any]) -> None:
    """Write manifest.json."""
    text = json.dumps({**manifest, "seal": UNSEALED}, indent=2, sort_keys=False) + "\n"
    write_bytes(out / MANIFEST, seal(text.encode()))


def hashes(out: Path, names: Sequence[str]) -> dict[str, str]:
    """The SHA-256 of those of these files that are there: the manifest's entry `files`."""
    found = {}
    for name in names:
        if (out / name).is_file():
            with (out / name).open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def changed_tables(out: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Tables that are gone, or not as they were when the suite finished."""
    then = manifest.get("files", {})
    now = hashes(out, list(then))
    return [name for name in then if now.get(name) != then[name]]


def checked_manifest(out: Path, tables: Sequence[str], may_differ: Sequence[str] = ()) -> dict[str, Any]:
    """The manifest of finished results; BadInput where a table is missing, or changed and not in `may_differ`."""
    missing = [name for name in (*tables, MANIFEST) if not (out / name).exists()]
    if missing:
        raise BadInput(f"{out} holds no finished results: {', '.join(missing)} missing; run the suite first.")
    manifest = read_manifest(out) or {}
    changed = [*changed_tables(out, manifest), *(name for name in tables if name not in manifest.get("files", {}))]
    if changed := [name for name in changed if name not in may_differ]:
        raise Damaged(
            f"{', '.join(str(out / name) for name in changed)}: damaged, or changed since the suite wrote it; give the "
            f"suite's command again, which writes it anew."
        )
    return manifest


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


@dataclass(frozen=True)
class Found:
    """The contents of a results directory when it was opened.

    manifest : of the command before; empty where there is none that is whole.
    damaged : names of files that count as absent, and are made again.
    """

    manifest: Mapping[str, Any] = field(default_factory=dict)
    damaged: Sequence[str] = ()

    @property
    def line(self) -> str:
        """The line on damage; empty where there is none."""
        return f"damaged, missing or of other results, made again: {some(self.damaged)}" if self.damaged else ""


def some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


@contextlib.contextmanager
def claimed(out: Path, prepare: Callable[[], Found]) -> Iterator[Found]:
    """A results directory that no other process writes to meanwhile, prepared; BadInput where that cannot be."""
    import filelock

    if out.exists() and not out.is_dir():
        raise BadInput(f"{out} is a file; --out takes a directory.")
    if not out.parent.is_dir() and out.parent != DEFAULT_PARENT:
        raise BadInput(f"{out.parent} is no directory; --out takes a directory inside one that exists.")
    created = [folder for folder in (out.parent, out, out / CELLS) if not folder.exists()]
    lock = filelock.FileLock(out / LOCK, timeout=0)
    try:
        for folder in (out.parent, out):
            folder.mkdir(exist_ok=True)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise BadInput(f"another process works in {out}; wait for it or use another --out.") from None
        found = prepare()
        _sweep(out)
        _try_room(out)
    except (BadInput, OSError) as error:
        _release(lock)
        for folder in reversed(created):
            with contextlib.suppress(OSError):
                folder.rmdir()
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"cannot write to {out}: {error.strerror or error}; use another --out.") from None
    try:
        yield found
    finally:
        _sweep(out)  # Ctrl-C kills the processes, one of them perhaps in the middle of a file
        _release(lock)


def _release(lock: filelock.BaseFileLock) -> None:
    """Give the lock back and delete its file, while it is held: filelock takes no lock on a file that is deleted."""
    if lock.is_locked:
        with contextlib.suppress(OSError):
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def open_directory(
    out: Path,
    configuration: Mapping[str, Any],
    fresh: bool,
    files: Callable[[Any], list[str]],
    expected: Mapping[str, str] = NOTHING,
) -> contextlib.AbstractContextManager[Found]:
    """The directory ready for this configuration, what is damaged removed; BadInput where it holds other results.

    files: from a configuration to the files it leaves, beside cells and report, as paths within out; --fresh deletes
        them.
    expected: by file outside the folder of cells, the identity of the result in it.
    """
    return claimed(out, lambda: _prepare(out, configuration, fresh, files, expected))


def _prepare(
    out: Path,
    configuration: Mapping[str, Any],
    fresh: bool,
    files: Callable[[Any], list[str]],
    expected: Mapping[str, str],
) -> Found:
    damaged: list[str] = []
    manifest: Mapping[str, Any] = {}
    try:
        manifest = read_manifest(out) or {}
    except Damaged:
        damaged.append(MANIFEST)
    if fresh:
        delete_results(out, files(manifest.get("configuration", configuration)))
        (out / CELLS).mkdir(exist_ok=True)
        return Found()
    if manifest:
        _refuse_other_configuration(out, manifest["configuration"], configuration)
    elif damaged or any((out / name).exists() for name in (*TABLES, REPORT)):
        # a folder of cells shows that a directory is ours; the cells carry their identity
        if not (out / CELLS).is_dir() or _is_older(out / MANIFEST):
            raise BadInput(
                f"{out} holds files of other programs, or results of an earlier version; use --fresh to delete the "
                f"files of a suite there, or another --out."
            )
        damaged = [MANIFEST]
    damaged += _discard_damaged(out, expected)
    if manifest.get("state") == "finished":
        damaged += changed_tables(out, manifest)
    (out / CELLS).mkdir(exist_ok=True)
    return Found(manifest, damaged)


def _is_older(path: Path) -> bool:
    """True for a manifest of a version that sealed nothing."""
    try:
        manifest = json.loads(path.read_bytes())
        return "seal" not in manifest and manifest["configuration"]["format"] < SEALED_SINCE
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _refuse_other_configuration(out: Path, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    found = differences(there, here)
    if found:
        more = f" (and {len(found) - 3} more)" if len(found) > 3 else ""
        raise BadInput(
            f"{out} holds results of another configuration: {'; '.join(found[:3])}{more}; "
            f"use --fresh to delete them or another --out."
        )


def _discard_damaged(out: Path, expected: Mapping[str, str]) -> list[str]:
    """Delete results of tasks that are damaged or another's: cells, which are named by identity, and those expected."""
    cells = sorted((out / CELLS).iterdir()) if (out / CELLS).is_dir() else []
    identities = {str(path.relative_to(out)): path.stem for path in cells if CELL_FILE.fullmatch(path.name)}
    found = [
        file
        for file, identity in {**identities, **expected}.items()
        if (out / file).exists() and not holds(out / file, identity)
    ]
    for file in found:
        _remove(out / file)
    return found


def same_code(*more: str) -> dict[str, Any]:
    """The part of a configuration that names the code of the numbers; more: files beside those of the methods."""
    code = provenance.code_fingerprint(*more)
    return {"format": FORMAT, "environment": provenance.environment(), "code": code}


def code_of(configuration: Mapping[str, Any]) -> str:
    """A hash of the code and the versions of packages that compute the numbers of a configuration."""
    return digest(configuration["environment"], configuration["code"])


def _remove(path: Path) -> None:
    """Delete a file, or an empty folder in its place."""
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def _try_room(out: Path) -> None:
    """Fail now where the disk is full or read-only."""
    with tempfile.NamedTemporaryFile(prefix=TEMPORARY, dir=out) as file:
        file.write(bytes(ROOM))
        file.flush()
        os.fsync(file.fileno())


def _sweep(out: Path) -> None:
    """Delete files that killed processes left half written."""
    for folder in (out, out / CELLS, out / CERTIFICATES, out / FIGURES):
        sweep(folder)


def delete_results(out: Path, files: Sequence[str]) -> None:
    """Delete what this program wrote into a results directory, and nothing else; files: paths within it."""
    for name in (*TABLES, MANIFEST, REPORT, *files):
        _remove(out / name)
    if (out / CELLS).is_dir():
        for path in (out / CELLS).iterdir():
            if CELL_FILE.fullmatch(path.name):
                _remove(path)
    _sweep(out)
    for folder in (CELLS, FIGURES, CERTIFICATES):
        with contextlib.suppress(OSError):  # absent, or it holds files of others
            (out / folder).rmdir()


def what_is_kept(out: Path) -> str:
    """The end of a sentence on a run that stopped."""
    if (out / CELLS).is_dir():
        return "every finished cell is kept; repeat the command to resume"
    return f"{out / CELLS} was removed meanwhile with all finished cells; repeat the command to start anew"
