"""Matrices in the form that scipy's products expect."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from problems.problem import Problem


def with_one_index_type(problem: Problem) -> Problem:
    """The problem with CSR indices and indptr of one type, which some of scipy's products expect."""
    model = problem.model
    A: Any = None if model is None else model.A
    if model is None or not hasattr(A, "tocsr"):
        return problem
    import scipy.sparse

    A = scipy.sparse.csr_array((A.data, A.indices, A.indptr.astype(A.indices.dtype)), shape=A.shape)
    return replace(problem, model=replace(model, A=A))
