"""Seals: a SHA-256 that a file carries itself, as text in its metadata.

The text is `sha256:` with 64 digits. A writer puts UNSEALED there, and seal() fills the digits in: the hash of the
whole file with zeros in their place, so that every changed bit shows, those of the hash included.
"""

from __future__ import annotations

import hashlib

PREFIX = "sha256:"
DIGITS = 64
UNSEALED = PREFIX + "0" * DIGITS


def seal(content: bytes) -> bytes:
    """The content of a file with its hash in place of UNSEALED, the last text of this kind in it."""
    before, digits, after = _parts(content)
    if digits != b"0" * DIGITS:
        raise ValueError("there is no place for a seal in this content")
    return before + _hash(before, after) + after


def is_sealed(content: bytes) -> bool:
    """Whether the content is what seal() returned, to the last bit."""
    before, digits, after = _parts(content)
    return digits == _hash(before, after)


def _parts(content: bytes) -> tuple[bytes, bytes, bytes]:
    """What stands before the digits, the digits, and what follows."""
    begin = content.rfind(PREFIX.encode()) + len(PREFIX)
    return content[:begin], content[begin : begin + DIGITS], content[begin + DIGITS :]


def _hash(before: bytes, after: bytes) -> bytes:
    return hashlib.sha256(before + b"0" * DIGITS + after).hexdigest().encode()
