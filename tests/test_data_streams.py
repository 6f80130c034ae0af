"""Text in pieces: what is decompressed, what is refused, and how much memory a bomb gets."""

import bz2
import gzip
import io
import itertools
import lzma
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from problems.data import DataError, load_dataset, load_libsvm, streams
from problems.data.streams import TextPieces, whole_lines

COMPRESSORS = [bz2.compress, lzma.compress, gzip.compress]
TEXT = b"".join(b"%d 1:%d 2:%d\n" % (i % 2, i, i * i % 97) for i in range(2000))


def read(file: bytes, **options) -> bytes:
    return b"".join(TextPieces("case", io.BytesIO(file), **options))


@pytest.mark.parametrize("piece", [1, 1000, 1 << 22])
@pytest.mark.parametrize("compress", COMPRESSORS)
def test_streams_may_follow_each_other(compress, piece):
    text = TEXT[:300] if piece == 1 else TEXT
    cuts = (0, 5, 5, 200, len(text))
    file = b"".join(compress(text[a:b]) for a, b in itertools.pairwise(cuts))
    assert read(file, piece=piece) == text


@pytest.mark.parametrize("compress", COMPRESSORS)
def test_no_piece_is_longer_than_asked(compress):
    pieces = [len(piece) for piece in TextPieces("case", io.BytesIO(compress(bytes(10**6))), piece=4096)]
    assert sum(pieces) == 10**6
    assert max(pieces) <= 4096


@pytest.mark.parametrize("compress", COMPRESSORS)
def test_zeros_may_follow_the_last_stream_and_nothing_else(compress):
    whole = compress(TEXT)
    assert read(whole + bytes(512)) == TEXT
    assert read(whole + bytes(5000), piece=1000) == TEXT
    # the last two: another kind, and a second stream whose first byte was damaged
    for rest in (b"x", bytes(511) + b"x", b"1 1:1\n", bytes(4) + whole, b"\0" + whole[1:]):
        for piece in (100, 1 << 22):
            with pytest.raises(DataError, match="cut short or damaged"):
                read(whole + rest, piece=piece)
    others = [other(TEXT) for other in COMPRESSORS if other is not compress]
    for other in others:
        with pytest.raises(DataError, match="bytes that are no such stream follow its end"):
            read(whole + other)


@pytest.mark.parametrize("compress", COMPRESSORS)
def test_every_damaged_byte_is_noticed_or_changes_nothing(compress):
    whole = compress(TEXT[:400])
    noticed = 0
    for position in range(len(whole)):
        file = bytearray(whole)
        file[position] ^= 0x10
        try:
            text = read(bytes(file))
        except DataError:
            noticed += 1
        else:  # a time stamp, or the first bytes, which make it a file of another kind
            assert text == TEXT[:400] or position < 6
    assert noticed > 0.9 * len(whole)


def test_damage_is_the_reason_where_it_makes_wrong_text(tmp_path):
    # gzip's checksum stands at the end: the text breaks a rule before it is reached
    file = gzip.compress(TEXT.replace(b" 1:7 ", b" 1:x ", 1), compresslevel=0)
    (tmp_path / "case").write_bytes(file)
    with pytest.raises(DataError, match="line 8: the value 'x'"):
        load_dataset(tmp_path / "case")
    (tmp_path / "case").write_bytes(gzip.compress(TEXT, compresslevel=0).replace(b" 1:7 ", b" 1:x ", 1))
    with pytest.raises(DataError, match="is gzip data that is cut short or damaged"):
        load_dataset(tmp_path / "case")


@pytest.mark.parametrize("compress", [bytes, *COMPRESSORS])
def test_limit_on_the_text(compress, tmp_path, monkeypatch):
    monkeypatch.setenv("DADAPT_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "case"
    path.write_bytes(compress(TEXT))
    assert load_dataset(path, text_limit=len(TEXT)).m == 2000
    message = f"case holds more than {len(TEXT) - 1} bytes of text; if that is meant, .* give text_limit="
    for load in (load_dataset, load_libsvm):
        with pytest.raises(DataError, match=message):
            load(path, text_limit=len(TEXT) - 1)
    with pytest.raises(ValueError, match="text_limit must be an integer of at least 1, got 0"):
        load_dataset(path, text_limit=0)


BOMB = """
import resource, sys
from problems.data import DataError, load_dataset, streams
streams.LINE_LIMIT = 2**25
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    load_dataset(sys.argv[1])
except DataError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.parametrize(
    ("block", "message", "allowed"),
    [
        # the line as it is collected, a piece, and the decompressor
        (
            bytes(2**22),
            "line 1: the line is longer than 33554432 bytes; is this LIBSVM text?",
            2**25 + 8 * streams.PIECE,
        ),
        (b"#" * (2**22 - 1) + b"\n", "bomb is empty: no line holds a row; get the file again.", 8 * streams.PIECE),
    ],
)
def test_bomb_does_not_fill_the_memory(block, message, allowed, tmp_path):
    bomb = bz2.compress(block * 16) * 3  # 201 MB of text in some kilobytes
    (tmp_path / "bomb").write_bytes(bomb)
    assert len(bomb) < 10_000
    done = subprocess.run(
        [sys.executable, "-c", BOMB, str(tmp_path / "bomb")],
        capture_output=True, text=True, check=True, cwd=Path(__file__).resolve().parents[1],
    )  # fmt: skip
    said, used = done.stdout.splitlines()
    assert said.endswith(message)
    assert int(used) < allowed


def test_xz_may_not_ask_for_more_memory_than_it_is_given(monkeypatch):
    monkeypatch.setattr(streams, "XZ_MEMORY", 2**20)  # the usual level needs 9 MB
    with pytest.raises(DataError, match=r"xz data that is cut short or damaged \(Memory usage limit exceeded"):
        read(lzma.compress(b"1 1:1\n"))


@settings(max_examples=200, deadline=None)
@given(text=st.binary(max_size=60).map(lambda b: bytes(c % 14 for c in b)), size=st.integers(1, 20))
def test_lines_are_never_cut(text, size):
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    lines = list(whole_lines("case", pieces))
    assert b"".join(lines) == text
    assert all(piece.endswith(b"\n") for piece in lines[:-1])
    assert all(lines)


def test_line_that_is_too_long_is_named(monkeypatch):
    monkeypatch.setattr(streams, "LINE_LIMIT", 10)
    assert list(whole_lines("case", [b"0123456789\n", b"01234", b"56789"])) == [b"0123456789\n", b"0123456789"]
    with pytest.raises(DataError, match="case, line 3: the line is longer than 10 bytes"):
        list(whole_lines("case", [b"1\n2\n01234", b"567890"]))


def test_file_that_breaks_off_while_it_is_read():
    class Broken(io.BytesIO):
        def read(self, _size):
            raise OSError(5, "Input/output error")

    with pytest.raises(DataError, match="case cannot be read: Input/output error"):
        list(TextPieces("case", Broken()))


BY_NAME = {"bzip2": bz2.compress, "xz": lzma.compress, "gzip": gzip.compress}


@pytest.mark.parametrize("kind", BY_NAME)
def test_a_great_many_empty_streams_are_refused_at_once(kind):
    hostile = BY_NAME[kind](b"") * 300_000  # 4 to 10 MB
    begun = time.process_time()
    with pytest.raises(DataError, match=f"{kind} data that is cut short or damaged .more than 1000 of its streams are"):
        read(hostile + BY_NAME[kind](TEXT))
    assert time.process_time() - begun < 2


@pytest.mark.parametrize("kind", BY_NAME)
def test_many_short_streams_cost_what_their_bytes_do(kind):
    compress = BY_NAME[kind]
    streams_of_rows = compress(b"1 1:1\n") * 20_000 + compress(b"") * 100
    begun = time.process_time()
    pieces = list(TextPieces("case", io.BytesIO(streams_of_rows)))
    assert time.process_time() - begun < 6
    assert b"".join(pieces) == b"1 1:1\n" * 20_000
    assert len(pieces) < 10
