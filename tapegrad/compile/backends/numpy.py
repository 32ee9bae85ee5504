"""The numpy backend: operations on blocks of rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from tapegrad.compile.backends.interface import Backend, CompileRows

__all__ = ["NUMPY"]

if TYPE_CHECKING:
    # As in `llvm_backend`: the imports below lead to numpy's types.
    _rows: CompileRows
    _fingerprint: Callable[[], Mapping[str, str]]
else:

    def _rows(program, options):
        from tapegrad.compile.backends.numpy_columns import rows

        return rows(program, options)

    def _fingerprint():
        from tapegrad.compile.backends.numpy_columns import fingerprint

        return fingerprint()


NUMPY: Final = Backend("numpy", needs=("numpy",), rows=_rows, fingerprint=_fingerprint)
