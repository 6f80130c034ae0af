"""LIBSVM text once more, read slowly and one character after another: nothing of the package is used here.

Written from the grammar in `problems.data.grammar`; the fuzz run and the tests compare the two.
"""

from __future__ import annotations

import math

DIGITS = b"0123456789"
LAST_INDEX = 2147483646


class Refused(Exception):
    """The text breaks a rule in this line; line 0 stands for a text without rows."""

    def __init__(self, line: int) -> None:
        super().__init__(f"line {line}")
        self.line = line


def read(text: bytes) -> tuple[list[float], list[dict[int, float]], bool]:
    """Return labels, the written index:value pairs of each row (zeros included), and whether a qid occurs."""
    labels: list[float] = []
    rows: list[dict[int, float]] = []
    any_qid = False
    for number, line in enumerate(text.split(b"\n"), start=1):
        if line[-1:] == b"\r":
            line = line[:-1]
        if b"#" in line:
            line = line[: line.index(b"#")]
        try:
            row = read_row(line)
        except ValueError:
            raise Refused(number) from None
        if row is not None:
            labels.append(row[0])
            rows.append(row[1])
            any_qid = any_qid or row[2]
    if not labels:
        raise Refused(0)
    return labels, rows, any_qid


def read_row(line: bytes) -> tuple[float, dict[int, float], bool] | None:
    tokens = [token for part in line.split(b" ") for token in part.split(b"\t") if token]
    if not tokens:
        return None
    label = read_number(tokens.pop(0)) + 0.0
    has_qid = bool(tokens) and tokens[0][:4] == b"qid:"
    if has_qid:
        read_digits(tokens.pop(0)[4:])
    pairs: dict[int, float] = {}
    last = -1
    for token in tokens:
        at = token.find(b":")
        if at < 0:
            raise ValueError
        index = read_digits(token[:at])
        if index <= last or index > LAST_INDEX:
            raise ValueError
        pairs[index] = read_number(token[at + 1 :])
        last = index
    return label, pairs, has_qid


def read_digits(token: bytes) -> int:
    if not token or any(c not in DIGITS for c in token):
        raise ValueError
    significant = token.lstrip(b"0")
    return 10**10 if len(significant) > 10 else int(significant or b"0")


def read_number(token: bytes) -> float:
    rest = token[1:] if token[:1] in (b"+", b"-") else token
    exponents = [at for at, c in enumerate(rest) if c in b"eE"]
    if exponents:
        exponent = rest[exponents[0] + 1 :]
        read_digits(exponent[1:] if exponent[:1] in (b"+", b"-") else exponent)
        rest = rest[: exponents[0]]
    whole, _, fraction = rest.partition(b".")
    read_digits(whole + fraction)
    value = float(token)
    if not math.isfinite(value):
        raise ValueError
    return value
