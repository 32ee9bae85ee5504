"""The type of code for rows, in numpy's types, and the check of the arrays that it is run on.

Files that a user's type checker reads by way of ``jit`` do not import this one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from sys import maxsize
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, final

import attrs
import numpy as np

from tapegrad._support.source_position import here
from tapegrad.errors import BackendError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Flips: TypeAlias = NDArray[np.int32]
    Rows: TypeAlias = range | NDArray[np.int64]

__all__ = ["RowCode", "RowShapes"]


class RowCode(Protocol):
    """Runs some rows; ``is_cached`` says that it was found compiled.

    It ``is_shared`` where it is the code of another program, whose loops run more or less often.
    ``shared`` holds what is the same for all rows; a leaf has one or two axes, the rows first.
    ``out`` has a row for each output, with room for whole steps of rows; for sums, eight lanes that
    are added to. ``flips`` has such room too, and gets -1, or the index of the first guard that
    came out differently, for a row whose outputs then mean nothing.
    """

    is_cached: bool
    is_shared: bool

    def __call__(
        self, shared: Floats, leaves: Sequence[Floats], rows: Rows, out: Floats, flips: Flips, /
    ) -> None:
        """Runs these rows of the leaves."""


_FLOAT: Final = np.dtype(np.float64)
_GUARD: Final = np.dtype(np.int32)
_INDEX: Final = np.dtype(np.int64)


@final
@attrs.frozen
class RowShapes:
    """The arrays that code for rows was made for.

    ``shared`` and ``mapped`` count the numbers of a row, ``outputs`` those that it gives: in steps
    of ``step`` rows, or added up in ``lanes`` where that is not 0.
    """

    shared: int
    mapped: int
    outputs: int
    step: int = 1
    lanes: int = 0

    def require(
        self, shared: Floats, leaves: Sequence[Floats], rows: Rows, out: Floats, flips: Flips, /
    ) -> None:
        """Lets arrays through that the code neither reads nor writes past.

        Raises:
            BackendError: for any others.
        """
        fit = self._fit_inputs(shared, leaves, _stop(rows))
        if not (fit and self._fit_results(-(-len(rows) // self.step) * self.step, out, flips)):
            given = ", ".join(_outlines([shared, *leaves, rows, out, flips]))
            raise BackendError(
                f"compiled code for {self.shared} numbers that all rows share, {self.mapped} of "
                f"each row and {self.outputs} outputs was to run ({here()}) on {given}, which do "
                "not fit it: this is a fault of tapegrad, please report it"
            )

    def _fit_inputs(self, shared: Floats, leaves: Sequence[Floats], stop: int) -> bool:
        """Whether there are as many numbers as the code reads, where it looks for them."""
        if shared.dtype != _FLOAT or shared.shape != (self.shared,):
            return False
        columns = 0
        for leaf in leaves:
            if leaf.ndim == 1:
                columns += 1
            elif leaf.ndim == 2 and (leaf.strides[1] == 8 or leaf.shape[1] < 2):
                columns += leaf.shape[1]
            else:
                return False
            if leaf.shape[0] < stop or leaf.dtype != _FLOAT or leaf.strides[0] % 8:
                return False
            if not leaf.flags.aligned:
                return False
        return columns == self.mapped and (not self.shared or shared.flags.carray)

    def _fit_results(self, room: int, out: Floats, flips: Flips) -> bool:
        """Whether there is room for what the code writes."""
        if self.lanes:
            is_wide = out.shape == (self.outputs, self.lanes) and out.flags.carray
        else:
            is_wide = (
                out.ndim == 2
                and out.shape[0] == self.outputs
                and out.shape[1] >= room
                and (out.strides[1] == 8 or room < 2)
                and not out.strides[0] % 8
                and out.flags.behaved
            )
        return (
            is_wide
            and out.dtype == _FLOAT
            and flips.dtype == _GUARD
            and flips.ndim == 1
            and flips.shape[0] >= room
            and flips.flags.carray
        )


def _stop(rows: Rows) -> int:
    """The number after the last of these rows; more than there can be, for what are no rows."""
    if isinstance(rows, range):
        return rows.stop if rows.step == 1 and rows.start >= 0 else maxsize
    if rows.dtype != _INDEX or rows.ndim != 1 or not rows.flags.carray:
        return maxsize
    # As numbers without a sign those below 0 are the largest.
    return 1 + int(rows.view(np.uint64).max()) if rows.size else 0


def _outlines(arrays: Sequence[object]) -> Iterator[str]:
    """The types and the shapes of arrays, in words."""
    for array in arrays:
        if isinstance(array, np.ndarray):
            yield f"{array.dtype} of shape {array.shape} and strides {array.strides}"
        else:
            yield repr(array)
