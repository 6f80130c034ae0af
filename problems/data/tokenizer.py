"""The reader of `grammar` once more, compiled: one pass over the bytes.

A number with few digits is a whole number below 2**53 times or over a power of ten up to 10**22; all three are
float64 and the one operation rounds correctly [1]. Other numbers are copied out and left to NumPy's reader, which
rounds correctly too, so that every value is the one float() gives.

References
----------
[1] W. D. Clinger, How to read floating point numbers accurately, PLDI 1990.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from dadapt_convex.oracle import Helper, Kernel
from problems.data.grammar import MAX_INDEX, Piece, decimals, without_zeros

TAB, NEWLINE, RETURN, BLANK, HASH, PLUS, MINUS, POINT, ZERO, NINE, COLON = b"\t\n\r #+-.09:"
UPPER_E, LOWER_E = b"Ee"
QID_Q, QID_I, QID_D = b"qid"
POWERS = np.array([float(10**k) for k in range(23)])
WHOLE = 2**53
ROOM = 10**17  # a mantissa below may take another digit in int64
FAR = 10**12  # beyond any number of digits of a line: such a number is 0 or infinite, and NumPy's reader says so

NO_NUMBER, EXACT, LEFT = 0, 1, 2
ROWS, ENTRIES, LEFT_NUMBERS, LEFT_BYTES, LOWEST, HIGHEST, QIDS, FACTS = range(8)

STRICT: frozenset[str] = frozenset()  # a division must not become a product with a reciprocal


def _helper(function: Any) -> Helper:
    return Helper(function, STRICT)


@_helper
def row_ends(text: Any, i: int) -> bool:
    c = text[i]
    return c in (NEWLINE, HASH) or (c == RETURN and text[i + 1] == NEWLINE)


@_helper
def after_blanks(text: Any, i: int) -> int:
    while text[i] == BLANK or text[i] == TAB:
        i += 1
    return i


@_helper
def after_qid(text: Any, i: int) -> int:
    """Position after "qid:" and digits if they stand at i, otherwise i; reads nothing beyond a newline."""
    if text[i] == QID_Q and text[i + 1] == QID_I and text[i + 2] == QID_D and text[i + 3] == COLON:
        end = i + 4
        while ZERO <= text[end] <= NINE:
            end += 1
        if end > i + 4:
            return end
    return i


@_helper
def whole_number(text: Any, i: int) -> tuple[int, int]:
    """Read digits at i: position after them, and the number or MAX_INDEX + 1 if it is larger."""
    value = 0
    while ZERO <= text[i] <= NINE:
        value = min(10 * value + (text[i] - ZERO), MAX_INDEX + 1)
        i += 1
    return i, value


@_helper
def number(text: Any, i: int) -> tuple[int, float, int]:
    """Read a number at i: where it ends, its value if EXACT, and NO_NUMBER, EXACT or LEFT."""
    negative = text[i] == MINUS
    if negative or text[i] == PLUS:
        i += 1
    mantissa, digits, fraction, exponent = 0, 0, 0, 0
    fits, after_point = True, False
    while True:
        c = text[i]
        if ZERO <= c <= NINE:
            fits = fits and mantissa < ROOM
            if fits:
                mantissa = 10 * mantissa + (c - ZERO)
            digits += 1
            fraction += after_point
        elif c == POINT and not after_point:
            after_point = True
        else:
            break
        i += 1
    if digits == 0:
        return i, 0.0, NO_NUMBER
    if text[i] == LOWER_E or text[i] == UPPER_E:
        i += 1
        sign = -1 if text[i] == MINUS else 1
        if text[i] == MINUS or text[i] == PLUS:
            i += 1
        begin = i
        while ZERO <= text[i] <= NINE:
            exponent = min(10 * exponent + (text[i] - ZERO), FAR)
            i += 1
        if i == begin:
            return i, 0.0, NO_NUMBER
        exponent *= sign
    exponent -= fraction
    if fits and mantissa == 0:
        return i, 0.0, EXACT
    if not fits or mantissa > WHOLE or abs(exponent) > 22:
        return i, 1.0, LEFT
    value = float(mantissa)
    value = value / POWERS[-exponent] if exponent < 0 else value * POWERS[exponent]
    return i, -value if negative else value, EXACT


@_helper
def leave(text: Any, begin: int, end: int, slot: int, left: Any, slots: Any, facts: Any) -> None:
    """Copy a number out for NumPy's reader, with a blank behind it; slot says where its value belongs."""
    at = facts[LEFT_BYTES]
    for i in range(begin, end):
        left[at] = text[i]
        at += 1
    left[at] = BLANK
    facts[LEFT_BYTES] = at + 1
    slots[facts[LEFT_NUMBERS]] = slot
    facts[LEFT_NUMBERS] += 1


def _read_lines(text: Any, target: Any, ends: Any, indices: Any, values: Any, left: Any, slots: Any, facts: Any) -> int:
    """Fill the arrays from lines of which the last ends with a newline; 0 where one breaks the rules.

    slots: for each number copied to `left`, its place in values, or -1 - row for a label.
    """
    i = rows = entries = 0
    facts[LOWEST], facts[HIGHEST] = MAX_INDEX + 1, -1
    while i < text.size:
        i = after_blanks(text, i)
        if not row_ends(text, i):
            end, label, kind = number(text, i)
            if kind == NO_NUMBER:
                return 0
            if kind == LEFT:
                leave(text, i, end, -1 - rows, left, slots, facts)
            target[rows] = label
            i = after_blanks(text, end)
            if i > end and after_qid(text, i) > i:
                facts[QIDS] += 1
                end = after_qid(text, i)
                i = after_blanks(text, end)
            previous = -1
            while not row_ends(text, i):
                colon, index = whole_number(text, i)
                if i == end or colon == i or text[colon] != COLON or index > MAX_INDEX or index <= previous:
                    return 0
                if previous < 0:
                    facts[LOWEST] = min(facts[LOWEST], index)
                previous = index
                end, value, kind = number(text, colon + 1)
                if kind == NO_NUMBER:
                    return 0
                if kind == LEFT:
                    leave(text, colon + 1, end, entries, left, slots, facts)
                if value != 0.0:
                    indices[entries] = index
                    values[entries] = value
                    entries += 1
                i = after_blanks(text, end)
            facts[HIGHEST] = max(facts[HIGHEST], previous)
            ends[rows] = entries
            rows += 1
        while text[i] != NEWLINE:  # over a comment
            i += 1
        i += 1
    facts[ROWS], facts[ENTRIES] = rows, entries
    return 1


@functools.cache
def _signature() -> Any:
    from numba import types as t

    def vector(dtype: Any, readonly: bool = False) -> Any:
        return t.Array(dtype, 1, "C", readonly=readonly)

    floats, longs = vector(t.float64), vector(t.int64)
    return t.int64(vector(t.uint8, True), floats, longs, vector(t.int32), floats, vector(t.uint8), longs, longs)


read_lines = Kernel(_read_lines, _signature, STRICT)


def read_compiled(text: bytes) -> Piece | None:
    """Read whole lines as `grammar.read_plainly` does, ten to twenty times as fast once Numba is loaded."""
    if not text.endswith(b"\n"):
        text += b"\n"
    m, nnz = text.count(b"\n"), text.count(b":")
    target, ends = np.empty(m), np.empty(m, dtype=np.int64)
    indices, values = np.empty(nnz, dtype=np.int32), np.empty(nnz)
    left, slots = np.empty(len(text) + 1, dtype=np.uint8), np.empty(m + nnz, dtype=np.int64)
    facts = np.zeros(FACTS, dtype=np.int64)
    if not read_lines(np.frombuffer(text, dtype=np.uint8), target, ends, indices, values, left, slots, facts):
        return None
    m, nnz = int(facts[ROWS]), int(facts[ENTRIES])
    piece = Piece(
        _first(target, m), _first(ends, m), _first(indices, nnz), _first(values, nnz),
        int(facts[LOWEST]), int(facts[HIGHEST]), bool(facts[QIDS]),
    )  # fmt: skip
    if not facts[LEFT_NUMBERS]:
        return piece
    late, slots = decimals(left[: facts[LEFT_BYTES]].tobytes()), slots[: facts[LEFT_NUMBERS]]
    if not np.isfinite(late).all():
        return None
    piece.values[slots[slots >= 0]] = late[slots >= 0]
    piece.target[-1 - slots[slots < 0]] = late[slots < 0]
    return without_zeros(piece)


def _first(array: Any, n: int) -> Any:
    """The first n elements; without the unused rest, which many pieces would add up."""
    return array if n == array.size else array[:n].copy()
