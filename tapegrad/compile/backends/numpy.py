"""The numpy backend: runs a program over columns of numbers, in blocks that stay in the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias, final

import attrs
import numpy as np

from tapegrad.compile.backends.interface import RowOptions
from tapegrad.compile.backends.numpy_steps import (
    Buffer,
    FunctionOf,
    Plan,
    RareCode,
    RowBlock,
    Step,
    Uniform,
    numpys,
)
from tapegrad.compile.backends.row_code import RowCode, RowShapes
from tapegrad.compile.program import Program

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Flips: TypeAlias = NDArray[np.int32]
    Rows: TypeAlias = range | NDArray[np.int64]

__all__ = ["BLOCK", "ColumnCode", "fingerprint", "rows"]

BLOCK: Final = 4096
"""Rows at a time: 32 KiB a buffer."""


def rows(program: Program, options: RowOptions) -> RowCode:
    """Compiles a program for rows; only ``shared`` of the options changes anything here."""
    return ColumnCode(program, options.shared)


def fingerprint() -> Mapping[str, str]:
    """The instructions that numpy's loops are compiled for and that it found here."""
    found = np.show_config(mode="dicts") or {}
    simd = found.get("SIMD Extensions", {})
    return {"instructions": ",".join([*simd.get("baseline", []), *simd.get("found", [])])}


@final
class ColumnCode:
    """Runs a program over rows; several threads may do so at a time.

    The first ``uniform`` inputs are the same for all rows. The functions of core rows are numpy's
    own, or those that ``function_of`` gives, with ``compile_rare`` for what is rarely needed.
    """

    is_cached: bool = False
    is_shared: bool = False

    def __init__(
        self,
        program: Program,
        uniform: int,
        compile_rare: Callable[[Program], RareCode] | None = None,
        function_of: FunctionOf = numpys,
    ) -> None:
        self._shapes = RowShapes(uniform, program.inputs - uniform, len(program.outputs))
        plan = Plan(program, uniform, compile_rare or _rare_code, function_of)
        self._steps, self._uniform = plan.steps, uniform
        self._constants = list(program.constants.values())
        self._sizes = plan.floats.size, plan.truths.size
        self._ready: list[_Bound] = []

    def __call__(
        self, shared: Floats, leaves: Sequence[Floats], rows: Rows, out: Floats, flips: Flips, /
    ) -> None:
        """Runs these rows of the leaves, as described at ``RowCode``.

        Raises:
            BackendError: for arrays that the program does not fit.
        """
        self._shapes.require(shared, leaves, rows, out, flips)
        count = len(rows)
        with np.errstate(all="ignore"):
            for start in range(0, count, BLOCK):
                stop = min(start + BLOCK, count)
                columns = list(_columns(leaves, rows[start:stop]))
                self._run(shared, columns, out[:, start:stop], flips[start:stop])

    def _run(self, shared: Floats, columns: list[Floats], out: Floats, flips: Flips) -> None:
        width = len(flips)
        bound = self._free(width)
        bound.same[: self._uniform] = shared
        bound.block.columns, bound.block.out, bound.block.flips = columns, out, flips
        flips[:] = -1
        for function, arguments in bound.steps:
            function(*arguments)
        if width == BLOCK:
            self._ready.append(bound)

    def _free(self, width: int) -> _Bound:
        """The steps bound to buffers that no other thread is running."""
        if width == BLOCK:
            with suppress(IndexError):
                return self._ready.pop()
        return self._bound(width)

    def _bound(self, width: int) -> _Bound:
        """The steps bound to buffers of their own."""
        floats = np.empty((self._sizes[0], width), np.float64)
        truths = np.empty((self._sizes[1], width), np.bool_)
        same = np.array([*[0.0] * self._uniform, *self._constants])
        block = RowBlock()

        def place(argument: object) -> object:
            if isinstance(argument, Uniform):
                return same[argument.index : argument.index + 1].reshape(())
            if isinstance(argument, Buffer):
                return (truths if argument.truths else floats)[argument.index]
            return block if argument is RowBlock else argument

        steps = [(function, tuple(map(place, given))) for function, given in self._steps]
        return _Bound(steps, same, block)


@final
@attrs.frozen(eq=False)
class _Bound:
    """Steps on buffers, the numbers that are the same for all rows, and the rows at hand."""

    steps: Sequence[Step]
    same: Floats
    block: RowBlock


@lru_cache(maxsize=256)
def _rare_code(program: Program) -> RareCode:
    """Compiles the program of what is rarely needed, which all programs share."""
    code = ColumnCode(program, 0)

    def run(columns: Sequence[Floats]) -> Floats:
        rows = range(len(columns[0]))
        out, flips = np.empty((1, len(rows))), np.empty(len(rows), np.int32)
        code(np.empty(0), columns, rows, out, flips)
        column: Floats = out[0]
        return column

    return run


def _columns(leaves: Sequence[Floats], rows: Rows) -> Iterator[Floats]:
    """The columns of the leaves, one for each input that differs between rows."""
    where = slice(rows.start, rows.stop) if isinstance(rows, range) else rows
    for leaf in leaves:
        yield from leaf[where].T if leaf.ndim > 1 else [leaf[where]]
