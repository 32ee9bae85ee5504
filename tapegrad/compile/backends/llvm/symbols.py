"""The functions that machine code calls: those of C's maths library, and glibc's vector ones."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Final

import llvmlite.binding as llvm

from tapegrad.compile.backends.llvm.function import NO_VECTORS, VectorMaths
from tapegrad.ops import table as ops

__all__ = ["address_of", "features", "vector_maths"]


@cache
def features() -> str:
    """The host's instructions, as LLVM names them."""
    return str(llvm.get_host_cpu_features().flatten())


_VECTORS: Final = (("+avx512f", "_ZGVeN8", 8), ("+avx2", "_ZGVdN4", 4), ("+sse4.2", "_ZGVbN2", 2))
"""Instructions, and the prefix and the lanes of the functions of glibc's libmvec for them."""


@cache
def vector_maths() -> VectorMaths:
    """The functions of glibc's vector library on this machine, where it has one."""
    library = _library("libmvec.so.1")
    for feature, prefix, width in _VECTORS:
        if library is not None and feature in features().split(","):
            names = {
                row.libm: f"{prefix}{'v' * (row.arity or 0)}_{row.libm}"
                for row in ops.TABLE.rows
                if row.libm
            }
            found = (name for name, symbol in names.items() if _address(library, symbol))
            return VectorMaths(prefix, width, frozenset(found), frozenset(features().split(",")))
    return NO_VECTORS


def address_of(symbol: str) -> int:
    """The address of a function that a module calls."""
    if symbol.startswith("tapegrad_"):
        return _libm(symbol.removeprefix("tapegrad_"))
    return _address(_library("libmvec.so.1"), symbol) or 0


def _libm(name: str) -> int:
    """The address of C's own function, the one that Python's ``math`` calls."""
    for library in ("", "libm.so.6", "ucrtbase.dll"):
        if (address := _address(_library(library), name)) is not None:
            return address
    raise OSError(f"this system's maths library has no {name}")


@cache
def _library(name: str) -> ctypes.CDLL | None:
    """The library of this name, if there is one; of no name, the process itself."""
    try:
        return ctypes.CDLL(name or None)
    except OSError:
        return None


def _address(library: ctypes.CDLL | None, name: str) -> int | None:
    try:
        return ctypes.cast(getattr(library, name), ctypes.c_void_p).value
    except AttributeError:
        return None
