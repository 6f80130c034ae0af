"""Linear systems by Gauss-Jordan elimination in fractions or decimals, for references that share no code."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TypeVar

Number = TypeVar("Number", Fraction, Decimal)


def solve(A: list[list[Number]], b: list[Number]) -> list[Number] | None:
    """The solution x of A x = b; None where A is singular."""
    n = len(A)
    T = [[*row, c] for row, c in zip(A, b, strict=True)]
    for k in range(n):
        pivot = next((i for i in range(k, n) if T[i][k] != 0), None)
        if pivot is None:
            return None
        T[k], T[pivot] = T[pivot], T[k]
        T[k] = [v / T[k][k] for v in T[k]]
        for i in range(n):
            if i != k:
                T[i] = [a - T[i][k] * c for a, c in zip(T[i], T[k], strict=True)]
    return [row[n] for row in T]
