"""Functions that change shapes, and put parts together."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from tapegrad.numpy.arrays import Arr, operand
from tapegrad.ops import array_rows as rows
from tapegrad.ops.primitive import shape_of

__all__ = ["concat", "permute_dims", "reshape", "stack"]


def reshape(x: Arr, /, shape: tuple[int, ...]) -> Arr:
    """The same numbers in another shape; one length may be -1."""
    return x.reshape(shape)


def permute_dims(x: Arr, /, axes: tuple[int, ...] | None = None) -> Arr:
    """The axes in another order, or in the opposite one."""
    return x.transpose(axes or tuple(range(x.ndim))[::-1])


def concat(arrays: Sequence[Any], /, axis: int | None = 0) -> Any:
    """One after the other along an axis; with None, all numbers in one row."""
    given = list(map(operand, arrays))
    if axis is None:
        given = [rows.reshape(x, (prod(shape_of(x)),)) for x in given]
        axis = 0
    return rows.concatenate(*given, axis % len(shape_of(given[0])))


def stack(arrays: Sequence[Any], /, axis: int = 0) -> Any:
    """Side by side along a new axis."""
    given = list(map(operand, arrays))
    shape = shape_of(given[0])
    if not shape:
        return rows.stack(*given)
    at = axis % (len(shape) + 1)
    wide = (*shape[:at], 1, *shape[at:])
    return rows.concatenate(*(rows.reshape(x, wide) for x in given), at)
