"""Sums over rows whose bits depend on the rows alone.

Rows are taken in blocks of 4,096 by their index. In a block row *i* goes to lane *i* mod 8, a row
left out adds -0.0; the lanes are then added pairwise, and so are the blocks. Which rows took which
path, how many threads or workers there were, and in what pieces the rows came changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias, final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]

__all__ = ["BLOCK", "LANES", "Total", "lanes_of", "no_lanes", "of_lanes"]

BLOCK: Final = 4096
LANES: Final = 8


def no_lanes(outputs: int) -> Floats:
    """The lanes of a block to which nothing has been added."""
    return np.full((outputs, LANES), -0.0)


def lanes_of(block: Floats) -> Floats:
    """The lanes of a block of outputs, a column for each row."""
    outputs, rows = block.shape
    padded = np.full((outputs, -(-rows // LANES) * LANES), -0.0)
    padded[:, :rows] = block
    lanes = no_lanes(outputs)
    for step in range(0, padded.shape[1], LANES):
        lanes += padded[:, step : step + LANES]
    return lanes


def of_lanes(lanes: Floats) -> Floats:
    """The sums of a block's outputs."""
    while lanes.shape[-1] > 1:
        lanes = lanes[..., 0::2] + lanes[..., 1::2]
    return lanes[..., 0]


@final
class Total:
    """The sum of blocks, added pairwise in the order in which they come."""

    def __init__(self) -> None:
        self._pending: list[tuple[int, Floats]] = []

    def add(self, block: Floats) -> None:
        """Take the sums of the next block."""
        level = 0
        while self._pending and self._pending[-1][0] == level:
            block = self._pending.pop()[1] + block
            level += 1
        self._pending.append((level, block))

    def value(self) -> Floats:
        """The sums of all blocks so far."""
        *others, (_, total) = self._pending
        for _, block in reversed(others):
            total = block + total
        return total
