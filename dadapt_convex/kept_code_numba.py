"""Numba's cache of one function, its files sealed; imported when a function is compiled (see kept_code)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

from numba.core import config
from numba.core.caching import (
    CompileResultCacheImpl,
    FunctionCache,
    IndexDataCacheFile,
    UserProvidedCacheLocator,
)
from numba.core.compiler_lock import global_compiler_lock

from dadapt_convex.kept_code import KeptCode


class _Locator(UserProvidedCacheLocator):
    """Keep machine code in the folder given, never beside the source; the folder may be read-only."""

    @classmethod
    def from_function(cls, function: Callable[..., Any], file: str) -> _Locator | None:
        return cls(function, file)


class _Description(CompileResultCacheImpl):
    _locator_classes = (_Locator,)


class _SealedFiles(IndexDataCacheFile):
    def __init__(self, kept: KeptCode, *names: Any) -> None:
        super().__init__(*names)
        self.kept = kept

    @contextlib.contextmanager
    def _open_for_write(self, path: str) -> Iterator[BytesIO]:
        content = BytesIO()
        yield content
        with super()._open_for_write(path) as file:  # a file of another name, put in place when it is whole
            file.write(content.getvalue() + self.kept.seal(os.path.basename(path), content.getvalue()))


class SealedCache(FunctionCache):
    """The cache that a dispatcher loads machine code from and saves it to."""

    _impl_class = _Description

    def __init__(self, function: Callable[..., Any], kept: KeptCode) -> None:
        with global_compiler_lock:
            before, config.CACHE_DIR = config.CACHE_DIR, str(kept.folder)
            try:
                super().__init__(function)
            finally:
                config.CACHE_DIR = before
        self.kept = kept
        described = self._impl
        self._cache_file = _SealedFiles(
            kept, self._cache_path, described.filename_base, described.locator.get_source_stamp()
        )

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        """The signature and the processor: the folder belongs to the code with all that it reaches.

        Numba's own key pickles what a closure holds, which comes out otherwise in each process where sets are in it.
        """
        return sig, codegen.magic_tuple()

    def load_overload(self, signature: Any, target: Any) -> Any:
        """The compiled function, or None; nothing that bears no seal is unpickled, let alone run."""
        if self.kept.is_whole():
            with contextlib.suppress(Exception):  # whatever a file raises that cannot be read or understood
                return super().load_overload(signature, target)
        self.kept.drop()
        return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep the compiled function where there is room for it."""
        with contextlib.suppress(OSError):
            super().save_overload(signature, compiled)
