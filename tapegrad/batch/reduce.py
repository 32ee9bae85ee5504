"""Sums over rows whose bits depend on the rows alone.

Rows are taken in blocks of 4,096 by their index. In a block row *i* goes to lane *i* mod 8, a row
left out adds -0.0; the lanes are then added pairwise, and so are the blocks. Which rows took which
path, how many threads or workers there were, and in what chunks the rows came changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias, final

import attrs
import numpy as np

from tapegrad.batch.arrays import Floats
from tapegrad.compile.backends.llvm.instructions import LANES as LANES_OF_CODE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Truths: TypeAlias = NDArray[np.bool_]

__all__ = [
    "BLOCK", "LANES", "STEP", "PairwiseSum", "PartialSum", "empty_lanes", "lane_sums", "padded",
    "partial_sum",
]  # fmt: skip

BLOCK: Final = 4096
"""The rows in a block."""
LANES: Final = 8
"""The lanes that the rows of a block are added in."""
STEP: Final = LANES_OF_CODE
"""The rows that compiled code takes at a time: arrays that it writes have room for whole steps."""


def padded(rows: int) -> int:
    """The number of rows rounded up to whole steps of compiled code."""
    return -(-rows // STEP) * STEP


@final
@attrs.frozen(eq=False)
class PartialSum:
    """The outputs of some rows added up: how many rows, and their sums.

    ``spread`` holds the sums of the squared distances from the mean, where they were asked for.
    """

    rows: int
    sums: Floats
    spread: Floats | None = None

    @np.errstate(all="ignore")
    def __add__(self, other: PartialSum) -> PartialSum:
        return PartialSum(self.rows + other.rows, self.sums + other.sums, self._spread(other))

    def _spread(self, other: PartialSum) -> Floats | None:
        """The distances of both from their common mean: within each, and between their means."""
        if not (self.rows and other.rows):
            return self.spread if self.rows else other.spread
        if self.spread is None or other.spread is None:
            return None
        apart = other.mean() - self.mean()
        between = apart * apart * (self.rows * other.rows / (self.rows + other.rows))
        return self.spread + other.spread + between

    def mean(self) -> Floats:
        """The means; nan of no rows."""
        return self.sums / self.rows if self.rows else np.full_like(self.sums, np.nan)

    @np.errstate(all="ignore")
    def stderr(self) -> Floats:
        """The standard errors of the means; nan of one row."""
        if self.spread is None or self.rows < 2:
            return np.full_like(self.sums, np.nan)
        found: Floats = np.sqrt(self.spread / (self.rows - 1) / self.rows)
        return found


def empty_lanes(outputs: int) -> Floats:
    """The lanes of a block to which nothing has been added."""
    return np.full((outputs, LANES), -0.0)


@np.errstate(all="ignore")
def partial_sum(
    block: Floats, left_out: Truths | None = None, *, spread: bool = False
) -> PartialSum:
    """The sums of a block of outputs, a column for each row, without those left out."""
    rows = block.shape[1]
    if left_out is not None:
        block = np.where(left_out, -0.0, block)
        rows -= int(left_out.sum())
    part = PartialSum(rows, lane_sums(_in_lanes(block)))
    if not spread:
        return part
    apart = block - part.mean()[:, np.newaxis]
    if left_out is not None:
        apart = np.where(left_out, 0.0, apart)
    return attrs.evolve(part, spread=lane_sums(_in_lanes(apart * apart)))


def _in_lanes(block: Floats) -> Floats:
    """The lanes of a block; along an axis that is not the last numpy adds in order."""
    outputs, rows = block.shape
    padding = -rows % LANES
    if padding:
        block = np.concatenate([block, np.full((outputs, padding), -0.0)], axis=1)
    lanes: Floats = np.add.reduce(block.reshape(outputs, -1, LANES), axis=1, initial=-0.0)
    return lanes


def lane_sums(lanes: Floats) -> Floats:
    """The sums of a block's outputs."""
    while lanes.shape[-1] > 1:
        lanes = lanes[..., 0::2] + lanes[..., 1::2]
    return lanes[..., 0]


@final
class PairwiseSum:
    """The sum of blocks, added pairwise in the order in which they come."""

    def __init__(self) -> None:
        self._pending: list[tuple[int, PartialSum]] = []

    def add(self, block: PartialSum) -> None:
        """Adds the sums of the next block."""
        level = 0
        while self._pending and self._pending[-1][0] == level:
            block = self._pending.pop()[1] + block
            level += 1
        self._pending.append((level, block))

    def value(self) -> PartialSum:
        """The sums of all blocks so far."""
        *others, (_, total) = self._pending
        for _, block in reversed(others):
            total = block + total
        return total
