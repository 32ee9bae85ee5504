"""Orders and places: sorting, searching, interpolation.

What depends on an order is found again in a replay: an order is an entry, not a guard. Places in
traced arrays are whole numbers, as entries are; of plain arrays they are numpy's ints.
"""

# Of overloads that overlap the more precise come first; to mypy, some seem never to match.
# mypy: disable-error-code="overload-cannot-match, overload-overlap"

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Literal, TypeAlias, cast, overload

import numpy as np
from numpy.typing import NDArray

from tapegrad._support.source_position import here
from tapegrad.errors import InputError
from tapegrad.numpy.arrays import (
    Arr,
    ArrayLike,
    Data,
    Floats,
    Number,
    Traces,
    beside,
    cut,
    is_traced,
    operand,
    place_of,
)
from tapegrad.numpy.elementwise import clip
from tapegrad.numpy.indexing import take, take_along_axis
from tapegrad.numpy.shapes import flip, stack
from tapegrad.numpy.signatures import interpolation, kept, place, placed, reduction
from tapegrad.ops import array_rows as rows
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Operand, shape_of
from tapegrad.recording.array_var import ArrayVar, Side
from tapegrad.recording.recorder import Var

Places: TypeAlias = NDArray[np.integer] | ArrayVar
End: TypeAlias = Number | None

__all__ = [
    "argmax", "argmin", "argsort", "interp", "median", "quantile", "searchsorted", "sort",
]  # fmt: skip


@placed
def argsort(
    x: ArrayLike, /, axis: int | None = -1, descending: bool = False, stable: bool = True
) -> ArrayLike:
    """The places of the numbers in rising or falling order; those that are equal keep theirs.

    Without an axis they are those of all numbers in one row.
    """
    if is_traced(x):
        found, at = _in_order_of(x, axis)
        if not descending:
            return rows.argsort(found, at)
        last = float(shape_of(found)[at] - 1)
        falling = ops.sub(last, rows.argsort(flip(found, axis=at), at))
        return flip(cast(Any, falling), axis=at)
    if not descending:
        return np.argsort(x, axis, stable=stable)
    if axis is None:
        x, axis = np.ravel(x), 0
    return np.flip(np.shape(x)[axis] - 1 - np.argsort(np.flip(x, axis), axis, stable=True), axis)


def _in_order_of(x: Any, axis: int | None) -> tuple[Any, int]:
    """An operand and the axis that is put in order; without one, all its numbers and theirs."""
    found = operand(x)
    if axis is None:
        return rows.reshape(found, (prod(shape_of(found)),)), 0
    return found, place_of(axis, len(shape_of(found)))


def _numpys_sort(
    x: Any, *, axis: int | None = -1, descending: bool = False, stable: bool = True
) -> Any:
    rising = np.sort(x, axis, stable=stable)
    return np.flip(rising, axis) if descending else rising


@kept
@beside(_numpys_sort)
def sort(
    x: ArrayLike, /, axis: int | None = -1, descending: bool = False, stable: bool = True
) -> ArrayLike:
    """The numbers in rising or falling order along an axis; without one, all in one row."""
    found, at = _in_order_of(x, axis)
    order = cast("Any", rows.argsort(found, at))
    places = order if is_traced(order) else order.astype(np.intp)
    rising = take_along_axis(found, places, at)
    return flip(rising, axis=at) if descending else rising


@place
def argmax(x: ArrayLike, /, axis: int | None = None, keepdims: bool = False) -> ArrayLike:
    """The place of the largest number, among all or along an axis; the first of those that tie."""
    if not is_traced(x):
        return np.argmax(x, axis, keepdims=keepdims)
    return _first(operand(x), axis, keepdims)


@place
def argmin(x: ArrayLike, /, axis: int | None = None, keepdims: bool = False) -> ArrayLike:
    """The place of the smallest number, among all or along an axis; the first of those that tie."""
    if not is_traced(x):
        return np.argmin(x, axis, keepdims=keepdims)
    return _first(ops.neg(operand(x)), axis, keepdims)


def _first(x: Operand, axis: int | None, keepdims: bool) -> Operand:
    shape = shape_of(x)
    if not prod(shape):
        raise InputError(f"argmax at {here()} of no numbers: test the size before")
    if axis is not None:
        return rows.argmax(x, ((place_of(axis, len(shape)),), keepdims))
    found = rows.argmax(rows.reshape(x, (prod(shape),)), ((0,), False))
    return rows.reshape(found, (1,) * len(shape)) if keepdims else found


@overload
def searchsorted(
    x1: Data, x2: Data, /, *, side: Side = "left", sorter: Places | None = None
) -> NDArray[np.intp]: ...
@overload
def searchsorted(
    x1: Data, x2: float, /, *, side: Side = "left", sorter: Places | None = None
) -> np.intp: ...
@overload
def searchsorted(
    x1: ArrayVar, x2: ArrayVar | Data, /, *, side: Side = "left", sorter: Places | None = None
) -> ArrayVar: ...
@overload
def searchsorted(
    x1: Data, x2: ArrayVar, /, *, side: Side = "left", sorter: Places | None = None
) -> ArrayVar: ...
@overload
def searchsorted(
    x1: ArrayVar, x2: Number, /, *, side: Side = "left", sorter: Places | None = None
) -> Var: ...
@overload
def searchsorted(
    x1: Data, x2: Var, /, *, side: Side = "left", sorter: Places | None = None
) -> Var: ...
@overload
def searchsorted(
    x1: Arr, x2: Data, /, *, side: Side = "left", sorter: Places | None = None
) -> Places: ...
@overload
def searchsorted(
    x1: Data, x2: Arr, /, *, side: Side = "left", sorter: Places | None = None
) -> Places: ...
@overload
def searchsorted(
    x1: Arr, x2: Arr, /, *, side: Side = "left", sorter: Places | None = None
) -> Places: ...
def searchsorted(
    x1: ArrayLike, x2: ArrayLike, /, *, side: Side = "left", sorter: ArrayLike = None
) -> ArrayLike:
    """Where numbers belong in those of x1, which rise: before equal ones, or ``right`` of them."""
    if not is_traced(x1, x2):
        return np.searchsorted(x1, x2, side, sorter)
    ordered = operand(x1) if sorter is None else operand(take(x1, sorter))
    return rows.searchsorted(ordered, operand(x2), cast(Operand, (side == "right",)))


@interpolation
def interp(
    x: ArrayLike, xp: ArrayLike, fp: ArrayLike, /, left: End = None, right: End = None
) -> ArrayLike:
    """The line through points, whose xp rise, at x; beyond them the first or the last of fp."""
    at, places, heights = operand(x), operand(xp), operand(fp)
    n = shape_of(places)[0]
    if shape_of(places) != shape_of(heights):
        raise InputError(
            f"interp at {here()} takes as many heights as places, not {shape_of(heights)} for "
            f"{shape_of(places)}"
        )
    if n == 1:
        raise InputError(f"interp at {here()} is given one point: pass two or more")
    place = cast(Any, rows.searchsorted(places, at, cast(Operand, (True,))))
    above = clip(place, 1.0, float(n - 1))
    (x0, y0), (x1, y1) = ((_at(places, i), _at(heights, i)) for i in (above - 1.0, above))
    slope = ops.div(ops.sub(y1, y0), ops.sub(x1, x0))
    line = ops.add(ops.mul(slope, ops.sub(at, x0)), y0)
    first, last = rows.getitem(places, (0,)), rows.getitem(places, (n - 1,))
    low = rows.getitem(heights, (0,)) if left is None else operand(left)
    high = rows.getitem(heights, (n - 1,)) if right is None else operand(right)
    ended = ops.where(ops.gt(at, last), high, ops.where(ops.eq(at, last), _at_end(heights), line))
    return ops.where(ops.lt(at, first), low, ended)


def _at_end(heights: Operand) -> Operand:
    return rows.getitem(heights, (shape_of(heights)[0] - 1,))


def _at(x: Operand, i: Any) -> Operand:
    """The numbers at places that may be traced, or whole floats."""
    return rows.gather(x, i, cast(Operand, (1,)))


@reduction
def median(x: ArrayLike, /, axis: int | None = None, *, keepdims: bool = False) -> ArrayLike:
    """The number in the middle of the order, or the mean of the two there."""
    return quantile(x, 0.5, axis, keepdims=keepdims)


@overload
def quantile(
    x: Floats, q: float, /, axis: None = None, *, keepdims: Literal[False] = False
) -> float: ...
@overload
def quantile(
    x: Traces, q: float, /, axis: None = None, *, keepdims: Literal[False] = False
) -> Var: ...
@overload
def quantile(
    x: Data, q: float, /, axis: None = None, *, keepdims: Literal[False] = False
) -> float: ...
@overload
def quantile(
    x: Arr, q: float, /, axis: None = None, *, keepdims: Literal[False] = False
) -> np.float64: ...
@overload
def quantile(x: Arr, q: float, /, axis: int | None, *, keepdims: bool = False) -> Arr: ...
@overload
def quantile(x: Arr, q: float, /, axis: None = None, *, keepdims: Literal[True]) -> Arr: ...
@beside(np.quantile)
@overload
def quantile(
    x: Arr, q: Sequence[float] | Floats, /, axis: int | None = None, *, keepdims: bool = False
) -> Arr: ...
@beside(np.quantile)
def quantile(
    x: ArrayLike,
    q: float | Sequence[float] | Floats,
    /,
    axis: int | None = None,
    *,
    keepdims: bool = False,
) -> ArrayLike:
    """The number that a share ``q`` of all are below, between neighbours in proportion.

    Of several shares there is one after the other along a first axis.
    """
    if np.ndim(q):
        return stack([quantile(x, each, axis, keepdims=keepdims) for each in np.asarray(q)])
    found, shape = operand(x), shape_of(operand(x))
    if axis is None:
        found = rows.reshape(found, (prod(shape),))
    at = place_of(0 if axis is None else axis, len(shape_of(found)))
    n = shape_of(found)[at]
    if not (n and 0.0 <= cast(float, q) <= 1.0):
        raise InputError(
            f"quantile at {here()} takes a share from 0 to 1 of one number at least, not {q!r} of "
            f"{n}"
        )
    place = float(cast(float, q)) * (n - 1)
    low = int(place)
    high = min(low + 1, n - 1)
    rising = operand(sort(cast(Any, found), axis=at))
    below, above = cut(rising, low, low + 1, at), cut(rising, high, high + 1, at)
    top = cut(rising, n - 1, n, at)
    between = ops.add(below, ops.mul(ops.sub(above, below), place - low))
    between = ops.where(ops.isnan(top), top, between)
    kept = tuple(1 if axis is None or place == at else m for place, m in enumerate(shape))
    left = tuple(m for place, m in enumerate(shape) if axis is not None and place != at)
    return rows.reshape(between, kept if keepdims else left)
