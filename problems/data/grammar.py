r"""The rules of LIBSVM text, and a reader in plain Python and NumPy that follows them.

    file    = { line "\n" }                    the last "\n" may be missing
    line    = [ row ] [ "#" comment ] [ "\r" ]
    row     = blanks label [ blanks qid ] { blanks index ":" number } blanks
    label   = number
    qid     = "qid:" digits                    read over, and noted
    index   = digits                           strictly ascending in a row, at most 2**31 - 2
    number  = [ "+" | "-" ] ( digits [ "." [ digits ] ] | "." digits ) [ ( "e" | "E" ) [ "+" | "-" ] digits ]
    blanks  = { " " | "\t" }                   at least one between two tokens

Digits are 0 to 9; all is ASCII but comments, which may hold any byte but "\n". A number must be finite in float64,
to which it is rounded as Python's float() does; a number too small for float64 is a subnormal one or 0, and -0 is 0.
Leading zeros of an index count for nothing. A line without a row is skipped; a file without any row is refused.

So these are refused, each with its line and token: a missing label, several labels ("1,2"), NaN and infinities by
name or by overflow, "0x10", "1_000", "1d5", "1,5", "+-1", a negative, fractional, descending or repeated index, an
index above the limit, a qid that is not the second token, form feeds, NUL bytes, a byte order mark and anything
else that is not ASCII, and a carriage return anywhere but at the end of its line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_INDEX = 2**31 - 2  # so that the number of columns fits int32 whichever index comes first

_NUMBER = rb"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_QID = rb"[ \t]+qid:\d+"
_IS_NUMBER = re.compile(_NUMBER)
_IS_ROW = re.compile(rb"[ \t]*" + _NUMBER + rb"(?:" + _QID + rb")?(?:[ \t]+\d+:" + _NUMBER + rb")*[ \t]*")
_SEPARATOR = re.compile(rb"[ \t]+")
_BLANK = b" \t"


class Piece(NamedTuple):
    """The content of some lines: m rows with nnz nonzero values, indices as the file counts them."""

    target: NDArray[np.float64]  # (m,)
    ends: NDArray[np.int64]  # (m,), nonzeros up to and with each row
    indices: NDArray[np.int32]  # (nnz,)
    values: NDArray[np.float64]  # (nnz,), none of them 0
    lowest: int  # of all indices, those of written zeros too; MAX_INDEX + 1 where there is none
    highest: int  # -1 where there is none
    has_qid: bool


def read_plainly(text: bytes) -> Piece | None:
    """Read whole lines; None where one of them breaks the rules (`first_fault` says which)."""
    rows = [row for row in split_rows(text) if row.strip(_BLANK)]
    if not all(map(_IS_ROW.fullmatch, rows)):
        return None
    has_qid = b"qid:" in text and any(b"qid:" in row for row in rows)
    if has_qid:
        rows = [re.sub(_QID, b"", row, count=1) for row in rows]

    ends = np.cumsum([row.count(b":") for row in rows], dtype=np.int64)
    begins = np.concatenate([[0], ends[:-1]]).astype(np.int64)
    numbers = decimals(b" ".join(rows).replace(b":", b" "))
    if not np.isfinite(numbers).all():  # before differences are taken: an index may be infinite too
        return None
    labels_at = 2 * begins[: len(rows)] + np.arange(len(rows))  # a row is its label, then pairs
    target = numbers[labels_at]
    pairs = np.delete(numbers, labels_at).reshape(-1, 2)
    index, values = pairs[:, 0], pairs[:, 1]
    ascending = np.diff(index) > 0
    first_of_row = begins[(begins > 0) & (begins < index.size)]
    ascending[first_of_row - 1] = True
    if not (ascending.all() and index.max(initial=0) <= MAX_INDEX):
        return None
    lowest, highest = int(index.min(initial=MAX_INDEX + 1)), int(index.max(initial=-1))
    return without_zeros(Piece(target, ends, index.astype(np.int32), values.copy(), lowest, highest, has_qid))


def without_zeros(piece: Piece) -> Piece:
    """Take out values that are 0: written so, or rounded to it."""
    stored = piece.values != 0
    if stored.all():
        return piece
    kept = np.concatenate([[0], np.cumsum(stored)])
    return piece._replace(ends=kept[piece.ends], indices=piece.indices[stored], values=piece.values[stored])


def decimals(numbers: bytes) -> NDArray[np.float64]:
    """Numbers of the grammar, separated by blanks, each rounded to the nearest float64."""
    return np.fromstring(numbers, dtype=np.float64, sep=" ") if numbers.strip(_BLANK) else np.empty(0)


def split_rows(text: bytes) -> list[bytes]:
    """Lines without line ends and comments."""
    lines = text.split(b"\n")
    if b"\r" in text:
        lines = [line.removesuffix(b"\r") for line in lines]
    if b"#" in text:
        lines = [line.partition(b"#")[0] for line in lines]
    return lines


def first_fault(text: bytes) -> tuple[int, str] | None:
    """Number (from 1) of the first line that breaks a rule, and which; slow, for text known to hold one."""
    reasons = ((number, explain(row)) for number, row in enumerate(split_rows(text), start=1))
    return next(((number, reason) for number, reason in reasons if reason is not None), None)


def explain(row: bytes) -> str | None:
    """The rule that a line (without line end and comment) breaks, in words; None where it breaks none."""
    if not row.strip(_BLANK):
        return None
    label, *tokens = _SEPARATOR.split(row.strip(_BLANK))
    if b":" in label:
        return f"the label is missing, the line begins with {show(label)}"
    if b"," in label:
        return f"several labels {show(label)}; multilabel files are not supported, give one label a line"
    fault = _number_fault(label)
    if fault:
        return f"the label {show(label)} {fault}"
    if tokens and re.fullmatch(rb"qid:\d+", tokens[0]):
        del tokens[0]
    return _pairs_fault(tokens)


def _pairs_fault(tokens: Sequence[bytes]) -> str | None:
    previous = -1.0
    for token in tokens:
        index, colon, value = token.partition(b":")
        if not colon:
            return f"expected index:value, got {show(token)}"
        if re.fullmatch(rb"-\d+", index):
            return f"the index {show(index)} is negative; indices count from 1 or 0"
        if not index.isdigit():
            return f"the index {show(index)} of {show(token)} is not a whole number"
        current = float(index)
        if current > MAX_INDEX:
            return f"the index {show(index)} is above 2**31 - 2"
        if current == previous:
            return f"the index {show(index)} occurs twice; a row gives each feature once"
        if current < previous:
            return f"the index {show(index)} comes after {previous:.0f}; indices must ascend"
        previous = current
        fault = _number_fault(value)
        if fault:
            return f"the value {show(value)} of feature {show(index)} {fault}"
    return None


def is_number(token: bytes) -> bool:
    """True for a token that is a number of the grammar, finite or not."""
    return _IS_NUMBER.fullmatch(token) is not None


def _number_fault(token: bytes) -> str | None:
    if is_number(token):
        return None if np.isfinite(float(token)) else "is too large for float64"
    if re.fullmatch(rb"[+-]?(?:nan|inf(?:inity)?)", token, re.IGNORECASE):
        return "is not finite; remove the row or fill in a number"
    return "is not a decimal number"


def show(token: bytes) -> str:
    """Quote a token for a message: printable, on one line, some sixty characters at most."""
    # a binary file has tokens of any length, and four characters for a byte
    length = 40 if len(repr(token[:40])) <= 60 else 12
    return repr(token if len(token) <= length else token[: length - 3] + b"...")[1:]
