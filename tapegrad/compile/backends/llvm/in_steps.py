"""Runs a program over rows without compiling it, with the bits of its own machine code.

Arithmetic that is rounded correctly has the same bits in numpy. Any other operation is machine
code of a program of that one operation, which all programs share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache, partial
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from tapegrad.compile.backends.interface import RowOptions
from tapegrad.compile.backends.llvm import machine_code
from tapegrad.compile.backends.llvm.function import NO_VECTORS
from tapegrad.compile.backends.llvm.instructions import TILE
from tapegrad.compile.backends.numpy import ColumnCode
from tapegrad.compile.backends.numpy_steps import RareCode, numpys
from tapegrad.compile.backends.row_code import RowCode
from tapegrad.compile.program import Program
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Primitive

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]

__all__ = ["rows_in_steps"]

_ROUNDED: Final[frozenset[Primitive]] = frozenset(
    (ops.add, ops.sub, ops.mul, ops.div, ops.neg, ops.abs, ops.sqrt, ops.floor, ops.ceil, ops.trunc)
)
"""The core rows whose value is the correctly rounded one, whatever computes it."""


def rows_in_steps(program: Program, options: RowOptions) -> RowCode:
    """The code of a program for rows, which runs its entries one after the other."""
    return ColumnCode(program, options.shared, _rare_code, _function_of)


def _function_of(program: Program, slot: int) -> Callable[..., object] | None:
    """The function of an entry: numpy's own, or machine code; None where Python is called."""
    row = program.rows[slot]
    if not row.core or slot in program.skip_where:
        return None
    if row in _ROUNDED:
        return numpys(program, slot)
    if row is ops.pow and program.constants.get(program.operands[slot][1]) == 2.0:
        return _square
    return partial(_run, _code_of(row, len(program.operands[slot])))


def _square(x: Floats, _: Floats, out: Floats) -> None:
    np.multiply(x, x, out)


@cache
def _code_of(row: Primitive, count: int) -> RowCode:
    """Machine code of a program that applies a core row to its inputs."""
    program = Program(
        rows=[*[ops.input] * count, row],
        operands=[*[()] * count, tuple(range(count))],
        constants={},
        statics={},
        expected={},
        skip_where={},
        guards=(),
        inputs=count,
        outputs=(count,),
        near=True,
    )
    return machine_code.rows(program, RowOptions(0, quick=True))


@lru_cache(maxsize=256)
def _rare_code(program: Program) -> RareCode:
    """The code of what is rarely needed, compiled where it is, with C's functions as anywhere."""
    made: list[RowCode] = []

    def run(columns: Sequence[Floats]) -> Floats:
        if not made:
            made.append(machine_code.rows(program, RowOptions(0, quick=True), NO_VECTORS))
        out = np.empty(len(columns[0]))
        _run(made[0], *columns, out)
        return out

    return run


def _run(code: RowCode, *arrays: Floats) -> None:
    """Computes an output from columns, or numbers that are the same for all rows."""
    *operands, out = arrays
    count, room = len(out), -(-len(out) // TILE) * TILE
    columns = [x if x.ndim else np.full(count, x) for x in operands]
    found, flips = np.empty((1, room)), np.empty(room, dtype=np.int32)
    code(np.empty(0), columns, range(count), found, flips)
    out[:] = found[0, :count]
