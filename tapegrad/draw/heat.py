"""Small heat maps of arrays: white for 0, blue above it and orange below."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any, Final, TypeAlias, cast

from tapegrad.ops.primitive import shape_of

__all__ = ["HeatMap", "heat_map"]

HeatMap: TypeAlias = tuple[tuple[str, ...], ...]
"""The colours of a grid, row by row."""

_MOST: Final = 16
"""The most rows and columns; in larger arrays, each stands for the mean of several."""

_ABOVE: Final = (0, 114, 178)
_BELOW: Final = (213, 94, 0)
_BROKEN: Final = "#1a1a1a"


def heat_map(value: float) -> HeatMap:
    """The colours of an array, a row for each place of all axes but the last; none for a number."""
    shape = shape_of(value)
    if not shape or 0 in shape:
        return ()
    array = cast(Any, value).reshape(-1, shape[-1]) + 0.0
    means = [
        [float(array[top:bottom, left:right].mean()) for left, right in _blocks(shape[-1])]
        for top, bottom in _blocks(len(array))
    ]
    largest = max((abs(x) for row in means for x in row if isfinite(x)), default=0.0) or 1.0
    return tuple(tuple(_colour(x / largest) for x in row) for row in means)


def _blocks(length: int) -> Sequence[tuple[int, int]]:
    """The ends of at most so many parts of an axis, as even as they can be."""
    count = min(length, _MOST)
    return [(at * length // count, (at + 1) * length // count) for at in range(count)]


def _colour(share: float) -> str:
    """The colour of a number between -1 and 1.

    >>> _colour(0.0), _colour(1.0), _colour(float("nan"))
    ('#ffffff', '#0072b2', '#1a1a1a')
    """
    if not isfinite(share):
        return _BROKEN
    full = _ABOVE if share > 0.0 else _BELOW
    mixed = (round(255 + (part - 255) * abs(share)) for part in full)
    return "#" + "".join(f"{part:02x}" for part in mixed)
