"""Fuzz the LIBSVM reader: `python tests/fuzz_libsvm.py --minutes 10 [--seed S] [--data FOLDER]`.

Made and real files are mutated, some of them compressed and damaged; the plain and the compiled reader then meet
the slow one of `libsvm_reference`, in pieces of random length. Each input must be refused with a DataError that
names the same line as the reference does, or give the same arrays to the last bit. Any other exception, a
warning, or more than HANG seconds is a finding: it is printed with the seed and the number that make it again
(`--seed S --only N`).
"""

from __future__ import annotations

import argparse
import bz2
import functools
import gzip
import io
import lzma
import random
import re
import signal
import sys
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import libsvm_reference as reference
import numpy as np

from problems.data import DataError, load_dataset, parsed
from problems.data.grammar import read_plainly
from problems.data.parsed import Rows
from problems.data.streams import TextPieces
from problems.data.tokenizer import read_compiled

HANG = 20  # seconds for an input of some kilobytes
EXCERPT = 3000  # bytes of a real file: hundreds of inputs a second
MESSAGE = 300  # characters
THROUGH_CACHE = 50  # one input in so many goes through load_dataset, on disk, twice

MADE = (
    b"1 1:2 3:4\n-1 2:5\n",
    b"+1 qid:3 1:.5 2:1e-3 # note\r\n-1 qid:4 7:1e22\r\n",
    b"0 0:1 1:-0.0 2:0\n3.5 5:00012 6:1.\n\n# only\n",
    b"1 1:9007199254740993 2:9007199254740991 3:0.1234567890123456789 4:1e23 5:123e-25\n",
    b"1 2147483645:1 2147483646:-1\n",
    b"-1 1:4.9e-324 2:2.4e-324 3:1.7976931348623157e308 4:2.2250738585072011e-308\n2\n",
    b"2\n2\n2",
)
TOKENS = (
    b"1 -1 +1 0 -0 1: :1 1:1 2:-1e3 3:.5 0:1 -1:1 10:1e400 3:nan inf 1,2 qid:3 qid:x qid: 4:1_0 5:0x1 1:2:3 007:1 "
    b"2147483647:1 2147483646:1 99999999999999999999:1 4.:1 4:. 4:1.e 4:e1 4:+-1 4:1d5 4:1,5 x # \r \r\n \n \x0b \x0c "
    b"\x00 \xef\xbb\xbf \xff : e E . + - 1e-400 9:1e999 8:123456789012345678901234567890 8:0.30000000000000004 8:1e-22 "
    b"8:8.5e22 8:9007199254740992e22 8:0e99999999999999999999 8:1e-99999999999999999999 8:00000000000000000000000001"
).split(b" ")
COMPRESSORS: tuple[Callable[[bytes], bytes], ...] = (
    bz2.compress,
    lzma.compress,
    functools.partial(gzip.compress, mtime=0),
)


def mutate(text: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """One small change."""
    at, length = rng.randint(0, len(text)), rng.choice((1, 1, 2, 5, 40))
    before, hit, after = text[:at], text[at : at + length], text[at + length :]
    kind = rng.randrange(10)
    if kind == 0 and hit:  # flip a bit
        return before + bytes([hit[0] ^ 1 << rng.randrange(8)]) + hit[1:] + after
    if kind == 1:  # delete
        return before + after
    if kind == 2:  # repeat
        return before + hit * rng.choice((2, 3, 50)) + after
    if kind == 3:  # insert a token, with or without blanks
        gap = rng.choice((b"", b" ", b" ", b"\t"))
        return before + gap + rng.choice(TOKENS) + gap + hit + after
    if kind == 4:  # cut
        return before
    if kind == 5:  # splice
        other = rng.choice(others)
        begin = rng.randint(0, len(other))
        return before + other[begin : begin + rng.choice((5, 50, EXCERPT))] + after
    parts = re.split(rb"([ \n])", text)
    i, j = rng.randrange(len(parts)), rng.randrange(len(parts))
    if kind in (6, 7):  # replace a token
        parts[i] = rng.choice(TOKENS)
    elif kind == 8:  # swap two
        parts[i], parts[j] = parts[j], parts[i]
    else:  # a number written at random
        digits = "".join(rng.choices("0123456789", k=rng.choice((1, 3, 17, 18, 25))))
        digits = rng.choice(("", "", "", "0" * 300, "0" * 9999)) + digits + rng.choice(("", "", "", "0" * 300))
        point = rng.randint(0, len(digits))
        exponent = rng.randint(*rng.choice(((-345, 310), (-22, 22), (-99999, 99999))))
        number = f"{digits[:point]}.{digits[point:]}e{exponent}"
        parts[i] = b"%d:%s" % (rng.randint(0, 99), number.encode())
    return b"".join(parts)


def make(corpus: Sequence[bytes], rng: random.Random) -> bytes:
    """An input: a text changed a few times, every third compressed, and half of these damaged."""
    text = rng.choice(corpus)
    for _ in range(rng.choice((0, 1, 1, 2, 3, 8))):
        text = mutate(text, corpus, rng)
    if rng.randrange(3):
        return text
    compress = rng.choice(COMPRESSORS)
    cut = rng.choice((0, 0, rng.randint(0, len(text))))
    file = compress(text[cut:])
    if cut:  # two streams
        file = compress(text[:cut]) + file
    if rng.randrange(2):
        file = mutate(file, [compress(b"1 1:1\n"), b"\0" * 64, *corpus[:2]], rng)
    return file


def expected_text(file: bytes) -> bytes | None:
    """The text by the standard library; None where it finds the file damaged."""
    kinds = {b"BZh": bz2.decompress, b"\xfd7zXZ\x00": lzma.decompress, b"\x1f\x8b": gzip.decompress}
    for magic, decompress in kinds.items():
        if file.startswith(magic):
            if decompress is lzma.decompress:
                file = file.rstrip(b"\0")  # padding behind a stream, which it takes for the beginning of another
            try:
                return decompress(file)
            except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError):
                return None
    return file


def outcome(file: bytes, reader: Callable, piece: int) -> Rows | str:
    """What the project makes of it: arrays, or the sentence of the refusal."""
    try:
        return parsed.parse_text("case", TextPieces("case", io.BytesIO(file), piece=piece), lambda _: reader)
    except DataError as error:
        return str(error)


def same_bits(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return a == b


def check(file: bytes, rng: random.Random) -> str:
    """Raise AssertionError where the readers and the reference differ; return "accepted" or "refused"."""
    results = [
        outcome(file, reader, piece)
        for reader in (read_plainly, read_compiled)
        for piece in (rng.choice((1, 20, 100, 100, 1000, 1000)), 1 << 20)
    ]
    first = results[0]
    for other in results[1:]:
        if isinstance(first, str) or isinstance(other, str):
            assert first == other, f"readers or pieces differ: {first!r}, {other!r}"
        else:
            assert all(map(same_bits, first, other)), "readers or pieces give other arrays"

    text = expected_text(file)
    if isinstance(first, str):
        assert first.isprintable(), first
        assert len(first) < MESSAGE, first
        compare_refusal(first, text)
        return "refused"
    assert text is not None, "damaged data were accepted"
    labels, rows, has_qid = reference.read(text)  # Refused: a finding
    base = int(not any(0 in row for row in rows))
    entries = [(i, j - base, v) for i, row in enumerate(rows) for j, v in row.items() if v != 0]
    assert same_bits(first.target, np.array(labels, dtype=np.float64)), "labels differ"
    assert first.indptr.tolist() == np.searchsorted([i for i, _, _ in entries], range(len(rows) + 1)).tolist()
    assert first.indices.tolist() == [j for _, j, _ in entries], "indices differ"
    assert same_bits(first.values, np.array([v for _, _, v in entries], dtype=np.float64)), "values differ"
    assert first.p == max((j + 1 - base for row in rows for j in row), default=0), "p differs"
    assert (first.index_base, first.has_qid, first.text_bytes) == (base, has_qid, len(text)), "facts differ"
    return "accepted"


def compare_refusal(message: str, text: bytes | None) -> None:
    if "cut short or damaged" in message:
        return  # stricter than the standard library, which passes over what follows a stream
    assert text is not None, f"damaged data were refused for another reason: {message}"
    try:
        reference.read(text)
    except reference.Refused as refused:
        wanted = f"case, line {refused.line}: " if refused.line else "case is empty"
        assert message.startswith(wanted), f"{message!r}, expected {wanted!r}"
    else:
        raise AssertionError(f"refused without need: {message}")


def check_through_cache(file: bytes, folder: Path) -> None:
    """load_dataset parses, then maps what it kept: the same data, or the same refusal, both times."""
    path = folder / "case"
    path.write_bytes(file)
    seen = []
    for _ in range(2):
        try:
            data = load_dataset(path, task="regression", n_features=2**31 - 1)
            seen.append(
                (data.A.data.tobytes(), data.A.indices.tobytes(), data.A.indptr.tobytes(), data.target.tobytes())
            )
        except DataError as error:
            seen.append(str(error))
    assert seen[0] == seen[1], "the cache gives something else"


def corpus_from(folder: Path | None) -> list[bytes]:
    """The made texts and the beginnings of the files of a folder."""
    texts = list(MADE)
    for path in sorted(folder.iterdir()) if folder else []:
        if path.is_file() and path.suffix != ".csv":
            openers = {".xz": lzma.open, ".bz2": bz2.open}
            with openers.get(path.suffix, open)(path, "rb") as file:
                texts.append(file.read(EXCERPT))
    return texts


def alarm(*_: object) -> None:
    raise AssertionError(f"more than {HANG} seconds")


def fuzz(seed: int, seconds: float, corpus: Sequence[bytes], only: int | None = None) -> dict[str, int]:
    """Count inputs accepted, refused and found wrong; findings are printed."""
    counts = {"accepted": 0, "refused": 0, "findings": 0}
    end, number = time.monotonic() + seconds, only or 0
    before = signal.signal(signal.SIGALRM, alarm)
    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("error")
            while time.monotonic() < end:
                rng = random.Random(f"{seed} {number}")
                file = make(corpus, rng)
                signal.alarm(HANG)
                try:
                    counts[check(file, rng)] += 1
                    if number % THROUGH_CACHE == 0:
                        check_through_cache(file, Path(folder))
                except Exception as error:
                    counts["findings"] += 1
                    print(f"finding: --seed {seed} --only {number}: {type(error).__name__}: {error}")
                    print(f"  {file[:2000]!r}", flush=True)
                finally:
                    signal.alarm(0)
                number += 1
                if only is not None:
                    break
    finally:
        signal.signal(signal.SIGALRM, before)
    return counts


def main() -> int:
    """Run from the command line; the status is 1 where something was found."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--minutes", type=float, default=10.0)
    options.add_argument("--seed", type=int, default=None)
    options.add_argument("--data", type=Path, default=None, help="folder of LIBSVM files whose beginnings are used")
    options.add_argument("--only", type=int, default=None, help="number of one input, to make it again")
    given = options.parse_args()
    seed = random.SystemRandom().randrange(10**9) if given.seed is None else given.seed
    print(f"seed {seed}, {given.minutes:g} minutes", flush=True)
    parsed.CACHE_ABOVE = 0
    counts = fuzz(seed, 60 * given.minutes, corpus_from(given.data), given.only)
    print(", ".join(f"{what} {n}" for what, n in counts.items()))
    return int(counts["findings"] > 0)


if __name__ == "__main__":
    sys.exit(main())
