"""Downloads from a server on this machine that can be told to misbehave."""

import bz2
import contextlib
import errno
import functools
import gc
import gzip
import http.server
import importlib
import io
import json
import lzma
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import problems
from problems.data import DataError, DataNotFound, DownloadFailed, fetch, fits, load_libsvm, resolve
from problems.data.catalogue import find

ROOT = Path(__file__).resolve().parents[1]
TEXT = b"".join(b"%+d 1:%d 123:0.5\n" % (1 if i % 3 else -1, i) for i in range(400))
OTHER = TEXT.replace(b"0.5", b"0.7")
HTML = b"<!DOCTYPE html>\n<html><body>Log in to this network</body></html>\n"
QUICK = (0.0, 0.0, 0.01)  # seconds between tries
SILENCE = 0.3  # seconds after which a server is taken for dead, where a test waits for that

fetch_quickly = functools.partial(fetch, pauses=QUICK)


@dataclass
class Reply:
    """What the server does with one request."""

    body: bytes = TEXT
    status: int = 200
    length: int | None = -1  # announced; -1 for the true one, None for none
    lengths: tuple[str, ...] = ()  # announced in place of that, each in a header of its own
    endless: bool = False  # the body again and again, until the client has enough
    pause: float = 0.0  # seconds before each tenth of the body
    stop_after: int | None = None  # bytes, after which the server holds its breath
    drop: bool = False  # close the connection without a word
    mute: bool = False  # hold the connection without a word


class Server(http.server.ThreadingHTTPServer):
    """Serves `replies`, in order, the last one for ever; notes what it was asked for."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies: dict[str, list[Reply]] = {}
        self.asked: list[str] = []
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/data"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients may leave early."""


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path = self.path.removeprefix("/data/")
        self.server.asked.append(path)
        replies = self.server.replies.get(path, [Reply(b"not here", status=404)])
        reply = replies[0] if len(replies) == 1 else replies.pop(0)
        if reply.drop:
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if reply.mute:
            self.server.released.wait(20)
            return
        self.send_response(reply.status)
        for length in reply.lengths:
            self.send_header("Content-Length", length)
        if reply.length is not None and not reply.lengths:
            self.send_header("Content-Length", str(len(reply.body) if reply.length < 0 else reply.length))
        self.end_headers()
        if reply.stop_after is not None:
            self.wfile.write(reply.body[: reply.stop_after])
            self.wfile.flush()
            self.server.released.wait(20)
            return
        while reply.endless:
            self.wfile.write(reply.body)
        step = max(1, len(reply.body) // 10) if reply.pause else len(reply.body)
        for at in range(0, len(reply.body), step):
            time.sleep(reply.pause)
            self.wfile.write(reply.body[at : at + step])
            self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def server(monkeypatch):
    """A server that the downloads are directed to."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with Server() as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        monkeypatch.setenv("DADAPT_DATA_URL", running.url)
        yield running
        running.released.set()
        running.shutdown()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, no data folders, and the site's address replaced by one that nobody listens at."""
    monkeypatch.setenv("DADAPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DADAPT_DATA_URL", f"http://127.0.0.1:{closed_port()}")
    for name in ("DADAPT_DATA", "DADAPT_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


def closed_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def files(folder: Path) -> list[str]:
    """Everything in a folder, hidden files too."""
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def assert_nothing_left(cache: Path) -> None:
    assert files(cache / "raw") == []
    assert files(cache / "pins") == []


# --- what works


def test_a_plain_file_is_placed_and_its_hash_noted(server, cache, capsys):
    server.replies["binary/a8a"] = [Reply()]
    path = fetch(find("a8a"))
    assert path == cache / "raw" / "a8a"
    assert path.read_bytes() == TEXT
    assert files(cache / "raw") == ["a8a"]
    assert files(cache / "pins") == ["a8a.json"]
    noted = json.loads((cache / "pins" / "a8a.json").read_text())
    assert noted["url"] == f"{server.url}/binary/a8a"
    assert noted["sha256_text"] == noted["sha256_file"] == resolve("a8a", "binary").sha256
    assert capsys.readouterr().err == (
        f"downloading a8a ({len(TEXT) / 1000:.3g} kB) from {server.url}/binary/a8a to {cache / 'raw'}\n"
    )


def test_a_compressed_file_stays_compressed_and_has_its_own_name(server, cache):
    server.replies["multiclass/sector/sector.bz2"] = [Reply(bz2.compress(TEXT))]
    assert fetch(find("sector")) == cache / "raw" / "sector.bz2"
    assert files(cache / "raw") == ["sector.bz2"]
    assert resolve("sector", "binary").p == 55197


def test_a_file_that_is_there_is_not_asked_for_again(server):
    server.replies["binary/a8a"] = [Reply()]
    for _ in range(3):
        fetch(find("a8a"))
    assert server.asked == ["binary/a8a"]


def test_a_known_hash_is_that_of_the_text_whatever_the_compression(server, shared_data):
    published = (shared_data / "heart_scale").read_bytes()
    server.replies["binary/heart_scale.xz"] = [Reply(lzma.compress(published))]
    assert fetch(find("heart_scale")).name == "heart_scale.xz"
    assert resolve("heart_scale", "binary").notes == ""


def test_problems_and_load_libsvm_download_what_the_catalogue_names(server, cache):
    server.replies["binary/a8a"] = server.replies["binary/a7a.t"] = [Reply()]
    problem = problems.get("logistic[intercept=false]:a8a")
    assert (problem.m, problem.p) == (400, 123)
    A, b = problems.load_libsvm("a7a.t")
    assert A.shape == (400, 123)
    assert set(b) == {-1.0, 1.0}
    assert files(cache / "raw") == ["a7a.t", "a8a"]


def test_nothing_else_is_ever_asked_for(server, tmp_path):
    problems.names()
    for task in ("binary", "multiclass", "regression"):
        fits("a8a", task)
    for name in ("a10a", "a8a.bz2", "./a8a", "breast-cancer-mine"):
        with pytest.raises(DataNotFound):
            resolve(name, "binary")
        with pytest.raises(DataNotFound):
            load_libsvm(name)
    (tmp_path / "a8a").write_bytes(TEXT)
    resolve("a8a", "binary")
    assert server.asked == []


def test_a_slow_server_that_keeps_sending_is_waited_for(server):
    server.replies["binary/a8a"] = [Reply(pause=SILENCE / 5)]
    assert fetch(find("a8a"), timeout=SILENCE, pauses=()).read_bytes() == TEXT  # two silences in all


def test_a_file_recompressed_by_the_site_is_found(server, cache):
    server.replies["binary/SUSY.bz2"] = [Reply(bz2.compress(TEXT))]
    assert fetch_quickly(find("SUSY")) == cache / "raw" / "SUSY.bz2"
    assert server.asked == ["binary/SUSY.xz", "binary/SUSY", "binary/SUSY.bz2"]


def test_a_bar_is_shown_on_a_terminal_only(server, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    for name, length in (("a8a", -1), ("a7a", None)):
        server.replies[f"binary/{name}"] = [Reply(length=length)]
        with contextlib.redirect_stderr(Terminal()) as shown:
            fetch(find(name))
        assert f"downloading {name} (" in shown.getvalue()
        assert "\x1b[" in shown.getvalue()
    assert "size unknown" in shown.getvalue()
    server.replies["binary/a6a"] = [Reply()]
    with contextlib.redirect_stderr(io.StringIO()) as shown:
        fetch(find("a6a"))
    assert "\x1b[" not in shown.getvalue()


# --- contents


def test_other_bytes_than_the_catalogue_knows_are_refused_and_not_kept(server, cache):
    server.replies["binary/heart_scale"] = [Reply()]
    with pytest.raises(DataError, match=r"is not heart_scale and was not kept: .* the catalogue has 5defa0a4"):
        fetch_quickly(find("heart_scale"))
    assert_nothing_left(cache)
    assert server.asked == ["binary/heart_scale"]


def test_other_bytes_than_at_the_first_download_are_refused(server, cache):
    server.replies["binary/a8a"] = [Reply(), Reply(OTHER), Reply()]
    fetch(find("a8a")).unlink()
    with pytest.raises(DataError, match=r"is not a8a and was not kept: .* first download, noted in .*a8a\.json, had"):
        fetch_quickly(find("a8a"))
    assert files(cache / "raw") == []
    assert fetch(find("a8a")).read_bytes() == TEXT


def test_the_note_of_a_first_download_can_be_withdrawn(server, cache):
    server.replies["binary/a8a"] = [Reply(), Reply(OTHER)]
    fetch(find("a8a")).unlink()
    (cache / "pins" / "a8a.json").unlink()
    assert fetch(find("a8a")).read_bytes() == OTHER


@pytest.mark.parametrize("note", [b"", b"[]", b"{}", b"\xff", b'{"sha256_text"'])
def test_a_damaged_note_counts_as_none(note, server, cache):
    server.replies["binary/a8a"] = [Reply(), Reply(OTHER)]
    fetch(find("a8a")).unlink()
    (cache / "pins" / "a8a.json").write_bytes(note)
    assert fetch(find("a8a")).read_bytes() == OTHER


def test_a_note_with_another_digit_or_of_another_file_counts_as_none(server, cache):
    server.replies["binary/a8a"] = [Reply(), Reply(OTHER), Reply()]
    fetch(find("a8a")).unlink()
    pin = cache / "pins" / "a8a.json"
    pin.write_text(re.sub('(?<=text": ")[0-9a-f]', lambda digit: "01"[digit[0] == "0"], pin.read_text()))
    path = fetch(find("a8a"))
    assert path.read_bytes() == OTHER
    path.unlink()
    pin.write_text(pin.read_text().replace("a8a", "a7a"))
    assert fetch(find("a8a")).read_bytes() == TEXT
    assert [note.name for note in pin.parent.iterdir()] == ["a8a.json"]


def test_a_downloaded_file_that_changed_is_not_used(server, cache):
    server.replies["binary/a8a"] = [Reply()]
    path = fetch(find("a8a"))
    path.write_bytes(OTHER)
    for load in (lambda: resolve("a8a", "binary"), lambda: load_libsvm("a8a")):
        with pytest.raises(DataError, match=r"raw/a8a is no longer what was downloaded .*; remove it"):
            load()
    path.unlink()
    assert resolve("a8a", "binary").m == 400


def test_ones_own_copy_is_used_and_noted_where_it_differs_from_the_download(server, tmp_path):
    server.replies["binary/a8a"] = [Reply()]
    fetch(find("a8a"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a8a").write_bytes(TEXT)
    assert resolve("a8a", "binary", tmp_path / "mine").notes == ""
    (tmp_path / "mine" / "a8a").write_bytes(OTHER)
    notes = resolve("a8a", "binary", tmp_path / "mine").notes
    assert notes.startswith("not the bytes downloaded before: SHA-256 of the text ")


@pytest.mark.parametrize("body", [HTML, b"", b"\0" * 100], ids=["page", "empty", "zeros"])
def test_what_is_no_libsvm_text_is_not_kept(body, server, cache):
    server.replies["binary/a8a"] = [Reply(body)]
    with pytest.raises(DataError, match=r"is no LIBSVM file and was not kept; it begins with b'"):
        fetch_quickly(find("a8a"))
    assert_nothing_left(cache)


# --- faults of the transfer

FAULTS = {
    "truncated": (Reply(TEXT[:1000], length=len(TEXT)), "broke off"),
    "an archive cut short, of unknown length": (Reply(bz2.compress(TEXT)[:-20], length=None), "is damaged"),
    "dropped before the answer": (Reply(drop=True), "broke off"),
    "500": (Reply(b"", status=500), "answers HTTP 500"),
    "503": (Reply(b"", status=503), "answers HTTP 503"),
    "too many requests": (Reply(b"", status=429), "answers HTTP 429"),
    "no answer": (Reply(mute=True), f"was silent for {SILENCE} s"),
    "silent from the beginning": (Reply(stop_after=0), f"was silent for {SILENCE} s"),
    "silent in the middle": (Reply(stop_after=1000), f"was silent for {SILENCE} s"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_passing_fault_is_overcome_from_the_beginning(fault, server, cache, capsys):
    broken, reason = FAULTS[fault]
    server.replies["multiclass/usps.bz2"] = [broken, broken, Reply(bz2.compress(TEXT))]
    assert bz2.decompress(fetch_quickly(find("usps"), timeout=SILENCE).read_bytes()) == TEXT
    assert files(cache / "raw") == ["usps.bz2"]
    assert server.asked == ["multiclass/usps.bz2"] * 3
    assert capsys.readouterr().err.count(f"{reason}; trying again in 0 s") == 2


@pytest.mark.parametrize("fault", FAULTS)
def test_a_lasting_fault_ends_in_one_sentence_and_leaves_nothing(fault, server, cache):
    broken, reason = FAULTS[fault]
    server.replies["multiclass/usps.bz2"] = [broken]
    with pytest.raises(DownloadFailed, match=reason) as caught:
        fetch(find("usps"), pauses=(0.0,), timeout=SILENCE)
    assert_tells_what_to_do(caught.value, "usps.bz2", cache)
    assert server.asked == ["multiclass/usps.bz2"] * 2
    assert_nothing_left(cache)


def test_fast_but_endlessly_broken_transfers_are_tried_four_times(server):
    server.replies["binary/a8a"] = [FAULTS["truncated"][0]]
    with pytest.raises(DownloadFailed, match="broke off"):
        fetch_quickly(find("a8a"))
    assert len(server.asked) == 1 + len(QUICK)


def test_a_file_that_does_not_exist_is_asked_for_once(server, cache):
    with pytest.raises(DownloadFailed, match=r"binary/a8a does not exist \(HTTP 404\)") as caught:
        fetch_quickly(find("a8a"))
    assert server.asked == ["binary/a8a", "binary/a8a.bz2", "binary/a8a.xz"]
    assert_tells_what_to_do(caught.value, "a8a", cache)
    assert_nothing_left(cache)


@pytest.mark.parametrize("status", [403, 410])
def test_a_refusal_is_not_argued_with(status, server, cache):
    server.replies["binary/a8a"] = [Reply(b"", status=status)]
    with pytest.raises(DownloadFailed, match=f"answers HTTP {status}"):
        fetch_quickly(find("a8a"))
    assert server.asked == ["binary/a8a"]
    assert_nothing_left(cache)


def test_without_a_server_the_message_says_what_to_put_where(cache, tmp_path):
    begun = time.monotonic()
    with pytest.raises(DownloadFailed, match=r"absent \(no such folder\).* is out of reach") as caught:
        problems.get("logistic:a8a", data_dir=tmp_path / "absent")
    assert time.monotonic() - begun < 5  # at once: there is nothing to wait for
    assert_tells_what_to_do(caught.value, "a8a", cache)
    assert_nothing_left(cache)


def test_an_address_that_is_none_is_said_to_be(monkeypatch, cache):
    monkeypatch.setenv("DADAPT_DATA_URL", "nowhere")
    with pytest.raises(DownloadFailed, match=r"nowhere/binary/a8a cannot be asked for \(Invalid URL"):
        fetch_quickly(find("a8a"))
    assert_nothing_left(cache)


def test_offline_means_offline(server, cache, monkeypatch):
    server.replies["binary/a8a"] = [Reply()]
    monkeypatch.setenv("DADAPT_OFFLINE", "1")
    with pytest.raises(DownloadFailed, match="DADAPT_OFFLINE forbids downloads") as caught:
        resolve("a8a", "binary")
    assert_tells_what_to_do(caught.value, "a8a", cache)
    assert server.asked == []
    monkeypatch.setenv("DADAPT_OFFLINE", "0")
    assert resolve("a8a", "binary").m == 400
    monkeypatch.setenv("DADAPT_OFFLINE", "1")
    assert resolve("a8a", "binary").m == 400


def test_a_cache_that_cannot_be_written_is_said_to_be(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("DADAPT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DownloadFailed, match=r"file/cache/raw cannot be written \(Not a directory\)"):
        fetch(find("a8a"))


def test_a_full_disk_is_said_to_be_full(server, cache, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    server.replies["binary/a8a"] = [Reply()]
    monkeypatch.setattr("pooch.HTTPDownloader.__call__", full)
    with pytest.raises(DownloadFailed, match=r"cache/raw cannot be written \(No space left on device\)"):
        fetch_quickly(find("a8a"))
    assert_nothing_left(cache)


def assert_tells_what_to_do(error: Exception, file_name: str, cache: Path) -> None:
    message = str(error)
    assert f"get {os.environ['DADAPT_DATA_URL']}/{find(file_name).path} by other means" in message
    assert f"put it, as {file_name}, into" in message
    for part in ("--data-dir", "$DADAPT_DATA", str(cache / "raw")):
        assert part in message
    assert "\n" not in message


# --- what a server must not be able to do


def test_an_endless_file_is_received_up_to_a_limit(server, cache):
    server.replies["binary/a1a"] = [Reply(TEXT * 100, length=None, endless=True)]
    limit = 2 * find("a1a").bytes + 10**6
    with pytest.raises(DownloadFailed, match=f"sends more than the {limit} bytes that the file can have") as caught:
        fetch_quickly(find("a1a"))
    assert_tells_what_to_do(caught.value, "a1a", cache)
    assert server.asked == ["binary/a1a"]
    assert_nothing_left(cache)


def test_a_file_of_unknown_size_has_a_limit_too(server, cache, monkeypatch):
    monkeypatch.setattr(importlib.import_module("problems.data.download"), "LARGEST", 10**6)
    server.replies["multiclass/usps.bz2"] = [Reply(TEXT * 100, length=None, endless=True)]
    assert find("usps").bytes is None
    with pytest.raises(DownloadFailed, match="sends more than the 1000000 bytes"):
        fetch_quickly(find("usps"))
    assert_nothing_left(cache)


@pytest.mark.parametrize(
    ("lengths", "said"),
    [
        (("-5",), "announces a length that is none, '-5'"),
        (("abc",), "announces a length that is none, 'abc'"),
        (("1e9",), "announces a length that is none, '1e9'"),
        (("",), "announces a length that is none, ''"),
        (("1_0",), "announces a length that is none, '1_0'"),
        (("9" * 31,), "announces a length that is none, '9999"),
        ((str(10**29),), r"announces 1e\+29 bytes, more than"),
        (("5", "6"), "announces lengths that contradict each other"),
        (("5", "5"), "announces a length that is none, '5, 5'"),
    ],
    ids=str,
)
def test_a_silly_length_is_a_sentence(lengths, said, server, cache, monkeypatch):
    """With the bar of a terminal too, which takes the length from elsewhere."""
    server.replies["binary/a8a"] = [Reply(lengths=lengths)]
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with pytest.raises(DownloadFailed, match=said) as caught:
        fetch_quickly(find("a8a"))
    assert_tells_what_to_do(caught.value, "a8a", cache)
    assert server.asked == ["binary/a8a"]
    assert_nothing_left(cache)
    del caught
    with warnings.catch_warnings():  # urllib3 refuses lengths that contradict each other, and leaves its socket open
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.mark.parametrize("compress", [bz2.compress, lzma.compress, gzip.compress], ids=["bz2", "xz", "gzip"])
def test_a_bomb_is_decompressed_up_to_a_limit(compress, server, cache, monkeypatch):
    monkeypatch.setattr(importlib.import_module("problems.data.download"), "TEXT_SPARE", 10**6)
    server.replies["multiclass/usps.bz2"] = [Reply(compress(b"+1 1:1\n" * 30_000) * 100)]
    with pytest.raises(DataError, match=r"usps.bz2 sent was not kept: it expands to more than \d+ bytes"):
        fetch_quickly(find("usps"))
    assert server.asked == ["multiclass/usps.bz2"]
    assert_nothing_left(cache)


@pytest.mark.parametrize("link", [os.symlink, os.link, lambda _, part: os.symlink("nowhere", part)],
                         ids=["symbolic", "hard", "to nowhere"])  # fmt: skip
def test_what_stands_in_the_place_of_the_partial_file_is_not_written_to(link, server, cache, tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    for folder, name in (("raw", ".a8a.part"), ("pins", "a8a.json")):
        (cache / folder).mkdir(parents=True)
        link(victim, cache / folder / name)
    server.replies["binary/a8a"] = [Reply()]
    assert fetch(find("a8a")).read_bytes() == TEXT
    assert victim.read_bytes() == b"mine"
    assert files(tmp_path) == ["cache", "victim"]
    assert files(cache / "raw") == ["a8a"]
    assert files(cache / "pins") == ["a8a.json"]


def test_a_pipe_or_a_folder_in_the_place_of_the_partial_file_does_not_block(server, cache):
    (cache / "raw").mkdir(parents=True)
    os.mkfifo(cache / "raw" / ".a8a.part")
    server.replies["binary/a8a"] = server.replies["binary/a7a"] = [Reply()]
    assert fetch(find("a8a")).read_bytes() == TEXT
    (cache / "raw" / ".a7a.part").mkdir()
    with pytest.raises(DownloadFailed, match=r"a7a\.part cannot be written \(Is a directory\)"):
        fetch(find("a7a"))


# --- several at once, and interruptions


def test_threads_fetch_one_file_once(server, cache):
    server.replies["binary/a8a"] = [Reply(pause=0.02)]
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: fetch(find("a8a")), range(8)))
    assert set(paths) == {cache / "raw" / "a8a"}
    assert paths[0].read_bytes() == TEXT
    assert server.asked == ["binary/a8a"]
    assert files(cache / "raw") == ["a8a"]


def test_who_waited_goes_on_where_the_first_failed(server, cache):
    server.replies["binary/a8a"] = [Reply(b"", status=403), Reply()]

    def outcome(_: int) -> str:
        try:
            return fetch(find("a8a")).name
        except DownloadFailed:
            return "failed"

    with ThreadPoolExecutor(4) as pool:
        outcomes = sorted(pool.map(outcome, range(4)))
    assert outcomes == ["a8a", "a8a", "a8a", "failed"]
    assert files(cache / "raw") == ["a8a"]


def python(code: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, cwd=ROOT)


def test_two_processes_fetch_one_file_once(server, cache):
    server.replies["binary/a8a"] = [Reply(pause=0.05)]
    code = "import problems; assert problems.load_libsvm('a8a')[0].shape == (400, 123)"
    processes = [python(code), python(code)]
    for process in processes:
        assert process.communicate(timeout=120)[1].count("Traceback") == 0
        assert process.returncode == 0
    assert server.asked == ["binary/a8a"]
    assert files(cache / "raw") == ["a8a"]


@pytest.mark.parametrize(("sent", "left"), [(signal.SIGINT, []), (signal.SIGKILL, [".a8a.part"])])
def test_an_interrupted_download_never_has_the_final_name(sent, left, server, cache):
    server.replies["binary/a8a"] = [Reply(stop_after=2000), Reply()]
    process = python("from problems.data import fetch, find; fetch(find('a8a'))")
    part = cache / "raw" / ".a8a.part"
    deadline = time.monotonic() + 60
    while not server.asked or not part.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.1)  # in the middle of the transfer
    process.send_signal(sent)
    shown = process.communicate(timeout=60)[1]
    assert process.returncode != 0
    assert ("KeyboardInterrupt" in shown) == (sent == signal.SIGINT)
    assert files(cache / "raw") == left
    with pytest.raises(DataNotFound):
        problems.data.find_file("a8a")
    assert fetch(find("a8a")).read_bytes() == TEXT  # from the beginning, over what was left
    assert files(cache / "raw") == ["a8a"]


def test_the_hidden_file_of_another_is_left_alone(server, cache):
    """Between the renaming and the tidying up, somebody else may have begun a file of the same name."""
    download = importlib.import_module("problems.data.download")
    part = cache / "raw" / ".a8a.part"
    part.parent.mkdir(parents=True)
    with download.exclusive(part, "a8a") as file:
        file.write(b"mine")
        part.rename(cache / "raw" / "a8a")
        part.write_bytes(b"another's")
    assert part.read_bytes() == b"another's"


def test_the_matrix_is_that_of_the_text(server):
    server.replies["binary/a8a"] = [Reply()]
    A, b = load_libsvm("a8a")
    rows = np.arange(400)
    np.testing.assert_array_equal(A.toarray()[:, 0], rows)
    np.testing.assert_array_equal(A.toarray()[:, 122], 0.5)
    np.testing.assert_array_equal(b, np.where(rows % 3, 1, -1))


def test_downloading_is_imported_only_when_needed():
    code = (
        "import sys, problems, problems.data; problems.names(); "
        "print(sorted({'pooch', 'requests', 'rich', 'urllib3'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, cwd=ROOT, check=True
    )
    assert result.stdout.strip() == "[]"
