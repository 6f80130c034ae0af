"""Files of the LIBSVM site, downloaded into the folder `raw` of the cache when a problem first asks for them.

pooch transfers the bytes. What stands around it here, and why pooch's own `retrieve` does not serve:

- Trust on first use. The SHA-256 of the decompressed file is checked against the catalogue, where that knows it, and
  otherwise against the one noted at the first download, in the folder `pins` of the cache. The text counts, not the
  archive: the site has changed compressions, and the reader learns this hash anyway, so that `verify` costs nothing.
- All or nothing. The bytes go to a hidden file beside the final one, which takes the final name in one step after its
  check, and is removed on failure and on Ctrl-C; a killed process leaves it, and the next one removes it. It is always
  a new file (O_EXCL): what somebody else has put in its place, a link say, is never written to.
- Bounded. No more bytes are received than the file can have, nor is more text decompressed.
- One at a time. That hidden file is locked (flock) while it is written: a second process or thread waits, and then
  finds the file. Both fetching would be as safe, but the larger sets have gigabytes, and the site is a university's.
- Faults. A file shorter than announced, a damaged archive, a dropped connection, a server that falls silent or answers
  5xx are tried again, from the beginning, after short pauses; 404 and a site out of reach are not. A page that some
  gateway sends in place of the file is no LIBSVM text, and refused.

DADAPT_OFFLINE=1 forbids downloads; DADAPT_DATA_URL names a mirror of the site's folder.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO

from problems.data.cache import cache_root
from problems.data.catalogue import COMPRESSED, SITE, Entry, bytes_text
from problems.data.dataset import DataError, DataNotFound
from problems.data.libsvm import first_labels
from problems.data.locate import first_file, looked_in, raw_folder
from problems.data.streams import TextPieces
from problems.files import UNSEALED, is_sealed, replacing, seal, sweep

TIMEOUT = 30.0  # seconds without a byte, pooch's own choice; a slow server that keeps sending is waited for
PAUSES = (0.5, 1.0, 2.0)  # seconds before the second, third and fourth try: for hiccups, not for outages
CHUNK = 2**16  # bytes written at a time
# Bytes of a download: where the catalogue has its size, that of a new version may differ; the site's largest file has
# some 10**10.
LARGEST = 2 * 10**10
GROWTH, SPARE = 2, 10**6
EXPANSION, TEXT_SPARE = 200, 10**8  # text for each byte of an archive: LIBSVM's have 3 to 30, bombs 1,000 and more
PASSING = (408, 429)  # besides 5xx, what a server answers that may serve a moment later


class DownloadFailed(DataNotFound):
    """The file is not here, and could not be had from the site."""


class _Failed(Exception):
    """The file cannot be downloaded; the text says why."""


class _Broken(Exception):
    """A transfer went wrong in a way that another try may mend."""


class _Absent(Exception):
    """The server has no such file."""


class _Bounded:
    """A file that takes no more than so many bytes from pooch."""

    def __init__(self, file: BinaryIO, limit: int, url: str) -> None:
        self._file, self._left, self._limit, self._url = file, limit, limit, url
        self.flush = file.flush

    def write(self, chunk: bytes) -> int:
        """Write; raise _Failed beyond the limit."""
        self._left -= len(chunk)
        if self._left < 0:
            raise _Failed(f"{self._url} sends more than the {self._limit} bytes that the file can have")
        return self._file.write(chunk)


def fetch(
    entry: Entry,
    data_dir: str | Path | None = None,
    *,
    timeout: float = TIMEOUT,
    pauses: Sequence[float] = PAUSES,
) -> Path:
    """Download a file of the catalogue into the cache, unless it is there, and return its path.

    Says on standard error what is fetched, how large it is and where it goes, and shows a bar if that is a terminal.

    Parameters
    ----------
    entry : Entry
        The file.
    data_dir : str or Path, optional
        The folder that was looked in first, for messages.
    timeout : float > 0
        Seconds that the server may be silent.
    pauses : sequence of float >= 0
        Seconds to wait before each further try.

    Raises
    ------
    DownloadFailed
        No network, no such file, no room, or the server fails at every try; the message says what to put where.
    DataError
        The file is not the published one, or not the one downloaded before; it is not kept.
    """
    folder = raw_folder()
    found = first_file([folder], entry.name)
    if found is not None:
        return found
    try:
        if os.environ.get("DADAPT_OFFLINE", "") not in ("", "0"):
            raise _Failed("DADAPT_OFFLINE forbids downloads")
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive(folder / f".{entry.name}.part", entry.name) as part:
            found = first_file([folder], entry.name)  # another process may have been faster
            return found or _download(entry, part, folder, timeout, pauses)
    except _Failed as error:
        raise _failed(entry, data_dir, str(error)) from error
    except OSError as error:
        reason = f"{error.filename or folder} cannot be written ({error.strerror})"
        raise _failed(entry, data_dir, reason) from error


def verify(name: str, path: Path, sha256_text: str, published: str | None) -> str:
    """Compare a file that is here with its known hash.

    Parameters
    ----------
    name : str
        Of the catalogue.
    path : Path
        The file.
    sha256_text : str
        Of its decompressed content.
    published : str or None
        The catalogue's hash.

    Returns
    -------
    str
        A note for the data set, empty where the file is the known one or nothing is known.

    Raises
    ------
    DataError
        The file was downloaded into the cache and has changed since.
    """
    pinned = _pinned(name)
    if pinned is not None and path.parent == raw_folder() and sha256_text != pinned:
        raise DataError(
            f"{path} is no longer what was downloaded (SHA-256 of the text {sha256_text}, then {pinned}); remove it to "
            "have it downloaded again, and keep a copy of your own in a folder given by --data-dir or $DADAPT_DATA."
        )
    known = published or pinned
    if known is None or sha256_text == known:
        return ""
    origin = "published bytes" if published else "bytes downloaded before"
    return f"not the {origin}: SHA-256 of the text {sha256_text}, theirs {known}"


def _download(entry: Entry, part: BinaryIO, folder: Path, timeout: float, pauses: Sequence[float]) -> Path:
    """Try the URLs, each as often as it may help; `part` is open for writing and locked."""
    urls = _urls(entry)
    for url in urls:
        for pause in (*pauses, None):
            try:
                _transfer(url, entry, part, folder, timeout)
                return _place(url, entry, part, folder)
            except _Absent:
                break
            except _Broken as error:
                if pause is None:
                    raise _Failed(str(error)) from error
                _say(f"{entry.name}: {error}; trying again in {pause:g} s")
                time.sleep(pause)
    raise _Failed(f"{urls[0]} does not exist (HTTP 404), nor does the file with another compression")


def _urls(entry: Entry) -> list[str]:
    """The URL of the file, and those it would have under another compression."""
    base = (os.environ.get("DADAPT_DATA_URL") or SITE).rstrip("/")
    stem = entry.path.removesuffix(entry.compression)
    return [f"{base}/{path}" for path in dict.fromkeys([entry.path, *(stem + s for s in ("", *COMPRESSED[:2]))])]


def _transfer(url: str, entry: Entry, part: BinaryIO, folder: Path, timeout: float) -> None:
    """Write the content of the URL into `part`, from its beginning."""
    import pooch
    from requests.exceptions import HTTPError, RequestException

    part.seek(0)
    part.truncate()
    responses: list[Any] = []
    limit = _byte_limit(url, entry)

    def begun(response: Any, **_: Any) -> None:
        responses.append(response)
        if response.ok and not response.is_redirect:
            length = _announced(url, response.headers.get("content-length"))
            if length is not None and length > limit:
                raise _Failed(f"{url} announces {length:.3g} bytes, more than the {limit} that the file can have")
            size = "size unknown" if length is None else bytes_text(length)
            _say(f"downloading {entry.name} ({size}) from {url} to {folder}")

    try:
        with _bar(entry.name) as bar:
            # identity: the length announced is then the file's, and urllib3 holds the server to it
            downloader = pooch.HTTPDownloader(
                progressbar=bar, chunk_size=CHUNK, timeout=timeout,
                headers={"Accept-Encoding": "identity"}, hooks={"response": begun},
            )  # fmt: skip
            downloader(url, _Bounded(part, limit, url), None)
    except HTTPError as error:
        status = responses[-1].status_code
        if status == 404:
            raise _Absent from error
        if status >= 500 or status in PASSING:
            raise _Broken(f"{url} answers HTTP {status}") from error
        raise _Failed(f"{url} answers HTTP {status}") from error
    except RequestException as error:
        raise _interrupted(url, error, timeout) from error
    finally:
        for response in responses:
            response.close()


def _byte_limit(url: str, entry: Entry) -> int:
    """The largest number of bytes that the file at this URL can have."""
    if entry.bytes is None or not url.endswith(f"/{entry.path}"):
        return LARGEST
    return GROWTH * entry.bytes + SPARE


def _announced(url: str, length: str | None) -> int | None:
    """The Content-Length, None where there is none; _Failed for what is no number of bytes."""
    if length is None:
        return None
    if not re.fullmatch("[0-9]{1,30}", length):
        raise _Failed(f"{url} announces a length that is none, {length[:40]!r}")
    return int(length)


def _interrupted(url: str, error: Exception, timeout: float) -> _Broken | _Failed:
    """Tell a transfer that broke off from one that could never begin."""
    from requests import exceptions
    from urllib3.exceptions import MaxRetryError, NewConnectionError, ProxyError, ReadTimeoutError

    reason = error.args[0] if error.args else None
    if isinstance(reason, MaxRetryError):
        reason = reason.reason
    if isinstance(error, exceptions.ConnectTimeout) or isinstance(reason, NewConnectionError | ProxyError):
        return _Failed(f"{url} is out of reach")
    if isinstance(reason, ReadTimeoutError):
        return _Broken(f"{url} was silent for {timeout:g} s")
    if isinstance(error, exceptions.InvalidHeader):
        return _Failed(f"{url} announces lengths that contradict each other ({reason})")
    if isinstance(error, exceptions.SSLError | ValueError):  # the latter: no URL that requests knows
        return _Failed(f"{url} cannot be asked for ({reason})")
    return _Broken(f"the transfer from {url} broke off")


def _place(url: str, entry: Entry, part: BinaryIO, folder: Path) -> Path:
    """Check the transferred file, note its hash, and give it its name."""
    hidden = Path(part.name)
    part.seek(0)
    limit = TEXT_SPARE + EXPANSION * os.fstat(part.fileno()).st_size
    pieces = TextPieces(url, part, limit)
    try:
        for _ in pieces:
            pass
    except DataError as error:
        if pieces.size > limit:
            raise DataError(f"what {url} sent was not kept: it expands to more than {limit} bytes.") from None
        raise _Broken(f"what {url} sent is damaged") from error
    if first_labels(hidden) is None:
        part.seek(0)
        raise DataError(f"what {url} sent is no LIBSVM file and was not kept; it begins with {part.read(40)!r}.")
    pinned = _pinned(entry.name)
    known = entry.sha256_text or pinned
    if known is not None and pieces.sha256 != known:
        where = "the catalogue has" if entry.sha256_text else f"the first download, noted in {_pin(entry.name)}, had"
        remedy = "" if entry.sha256_text else "; if the site has a new version that you trust, remove that note"
        raise DataError(
            f"what {url} sent is not {entry.name} and was not kept: the SHA-256 of its text is {pieces.sha256}, and "
            f"{where} {known}{remedy}."
        )
    if pinned is None:
        _note(entry.name, url, pieces)
    os.fsync(part.fileno())
    final = folder / url.rpartition("/")[2]
    hidden.replace(final)
    return final


def _failed(entry: Entry, data_dir: str | Path | None, reason: str) -> DownloadFailed:
    return DownloadFailed(
        f"{entry.name} is in none of {looked_in(data_dir)}, and could not be downloaded: {reason}; get "
        f"{_urls(entry)[0]} by other means and put it, as {entry.file_name}, into one of these, or into --data-dir "
        "or $DADAPT_DATA."
    )


@contextlib.contextmanager
def exclusive(path: Path, name: str) -> Iterator[BinaryIO]:
    """Make a new file that nobody else writes to; afterwards it is gone, unless renamed."""
    waiting = False
    while True:
        try:
            file = path.open("x+b")  # O_EXCL: no link is followed, not even one to nowhere
        except FileExistsError:
            waiting = _wait_for_end(path, name, said=waiting)
            continue
        fcntl.flock(file, fcntl.LOCK_EX)
        if _is_still(path, file):
            break
        file.close()  # taken for a leftover by somebody who was here between the two lines above
    with file:
        try:
            yield file
        finally:
            if _is_still(path, file):
                path.unlink()


def _wait_for_end(path: Path, name: str, said: bool) -> bool:
    """Wait while another process writes to the file, then remove it if left behind; True where a line was said."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return said
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        path.unlink(missing_ok=True)  # a link: it goes, what it points to stays
        return said
    with open(descriptor, "rb", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not said:
                _say(f"waiting for another process that downloads {name}")
            fcntl.flock(file, fcntl.LOCK_EX)
            said = True
        if _is_still(path, file):
            path.unlink()
    return said


def _is_still(path: Path, file: IO[bytes]) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


# --- hashes of first downloads


def _pin(name: str) -> Path:
    return cache_root() / "pins" / f"{name}.json"


def _pinned(name: str) -> str | None:
    """SHA-256 of the text at the first download; None before it, or where the note is damaged or another's."""
    try:
        content = _pin(name).read_bytes()
    except OSError:
        return None
    noted = json.loads(content) if is_sealed(content) else {"name": None}
    return str(noted["sha256_text"]) if noted["name"] == name else None


def _note(name: str, url: str, pieces: TextPieces) -> None:
    """Write the note of a first download, whole or not at all; the lock on the download keeps others out."""
    pin = _pin(name)
    pin.parent.mkdir(parents=True, exist_ok=True)
    noted = {
        "name": name,
        "sha256_text": pieces.sha256,
        "sha256_file": pieces.file_sha256,
        "url": url,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "seal": UNSEALED,
    }
    sweep(pin.parent)
    with replacing(pin) as temporary:
        temporary.write_bytes(seal(f"{json.dumps(noted, indent=1)}\n".encode()))


# --- what the user sees


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def _bar(name: str) -> Iterator[Any]:
    """The progress bar for pooch, or False for none."""
    if not sys.stderr.isatty():
        yield False
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(bar_width=40), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield _Bar(progress, name)


class _Bar:
    """The part of tqdm's interface that pooch uses, drawn by rich."""

    def __init__(self, progress: Any, name: str) -> None:
        self._progress = progress
        self._task = progress.add_task(name, total=None)

    @property
    def total(self) -> float | None:
        """Bytes expected; None, which rich shows as a moving bar, where the server does not say."""
        total: float | None = self._progress.tasks[self._task].total
        return total

    @total.setter
    def total(self, size: int) -> None:
        self._progress.update(self._task, total=size or None)

    def update(self, size: int) -> None:
        """Count further bytes."""
        self._progress.update(self._task, advance=size)

    def reset(self) -> None:
        """Count from 0."""
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        """Draw no more."""
        self._progress.stop()
