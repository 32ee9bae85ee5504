"""The type of code for rows, in numpy's types.

Files that a user's type checker reads by way of ``jit`` do not import this one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Flips: TypeAlias = NDArray[np.int32]
    Rows: TypeAlias = range | NDArray[np.int64]

__all__ = ["RowCode"]

RowCode: TypeAlias = "Callable[[Floats, Sequence[Floats], Rows, Floats, Flips], None]"
"""Runs some rows: ``run(shared, leaves, rows, out, flips)``.

``shared`` holds what is the same for all rows; a leaf has one or two axes, the rows first. ``out``
has a row for each output, with room for whole steps of rows; for sums, eight lanes that are added
to. ``flips`` has such room too, and gets -1, or the index of the first guard that came out
differently, for a row whose outputs then mean nothing.
"""
