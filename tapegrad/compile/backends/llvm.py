"""The LLVM backend: machine code for one call and for rows, with no compiler to install."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from tapegrad.compile.backends.interface import Backend, CompileRows, CompileScalar
from tapegrad.compile.program import Program

__all__ = ["LLVM"]

if TYPE_CHECKING:
    # A user's type checker reads this file by way of `jit` and follows the imports that it sees;
    # below they lead to numpy, whose types take it longer than all of ours.
    _scalar: CompileScalar
    _rows: CompileRows
    _fingerprint: Callable[[], Mapping[str, str]]
else:

    def _scalar(program):
        from tapegrad.compile.backends.machine_code import scalar

        return scalar(program)

    def _rows(program, options):
        from tapegrad.compile.backends.machine_code import rows

        return rows(program, options)

    def _fingerprint():
        from tapegrad.compile.backends.machine_code import fingerprint

        return fingerprint()


def _source(program: Program) -> str:
    from tapegrad.compile.backends.llvm_module import module

    return module(program).text


LLVM: Final = Backend(
    "llvm",
    needs=("llvmlite", "numpy"),
    scalar=_scalar,
    rows=_rows,
    source=_source,
    fingerprint=_fingerprint,
    adds_rows=True,
    has_levels=True,
)
