"""Orders and places: sorting, searching, interpolation.

What depends on an order is found again in a replay: an order is an entry, not a guard. Places in
traced arrays are whole numbers, as entries are; of plain arrays they are numpy's ints.
"""

from __future__ import annotations

from math import prod
from typing import Any, cast

import numpy as np

from tapegrad._support.source_position import here
from tapegrad.errors import InputError
from tapegrad.numpy.arrays import Arr, beside, cut, is_traced, operand, place_of
from tapegrad.numpy.elementwise import clip
from tapegrad.numpy.indexing import take, take_along_axis
from tapegrad.numpy.shapes import flip
from tapegrad.ops import array_rows as rows
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Operand, shape_of

__all__ = [
    "argmax", "argmin", "argsort", "interp", "median", "quantile", "searchsorted", "sort",
]  # fmt: skip


def argsort(x: Any, /, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The places of the numbers in rising or falling order; those that are equal keep theirs."""
    if is_traced(x):
        found = operand(x)
        at = place_of(axis, len(shape_of(found)))
        if not descending:
            return rows.argsort(found, at)
        last = float(shape_of(found)[at] - 1)
        return flip(ops.sub(last, rows.argsort(flip(found, axis=at), at)), axis=at)  # type: ignore[type-var]  # traced
    if not descending:
        return np.argsort(x, axis, stable=stable)
    return np.flip(np.shape(x)[axis] - 1 - np.argsort(np.flip(x, axis), axis, stable=True), axis)


def _numpys_sort(x: Any, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    rising = np.sort(x, axis, stable=stable)
    return np.flip(rising, axis) if descending else rising


@beside(_numpys_sort)
def _sort(x: Any, /, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    found = operand(x)
    at = place_of(axis, len(shape_of(found)))
    order = cast("Any", rows.argsort(found, at))
    places = order if is_traced(order) else order.astype(np.intp)
    rising = take_along_axis(found, places, at)
    return flip(rising, axis=at) if descending else rising


def sort(x: Arr, /, axis: int = -1, descending: bool = False, stable: bool = True) -> Arr:
    """The numbers in rising or falling order along an axis."""
    return _sort(x, axis=axis, descending=descending, stable=stable)  # type: ignore[no-any-return]  # the kind of x


def argmax(x: Any, /, axis: int | None = None, keepdims: bool = False) -> Any:
    """The place of the largest number, among all or along an axis; the first of those that tie."""
    if not is_traced(x):
        return np.argmax(x, axis, keepdims=keepdims)
    return _first(operand(x), axis, keepdims)


def argmin(x: Any, /, axis: int | None = None, keepdims: bool = False) -> Any:
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


def searchsorted(x1: Any, x2: Any, /, *, side: str = "left", sorter: Any = None) -> Any:
    """Where numbers belong in those of x1, which rise: before equal ones, or ``right`` of them."""
    if not is_traced(x1, x2):
        return np.searchsorted(x1, x2, cast(Any, side), sorter)
    ordered = operand(x1) if sorter is None else operand(take(x1, sorter))
    return rows.searchsorted(ordered, operand(x2), cast(Operand, (side == "right",)))


def interp(x: Any, xp: Any, fp: Any, /, left: Any = None, right: Any = None) -> Any:
    """The line through points, whose xp rise, at x; beyond them the first or the last of fp."""
    at, places, heights = operand(x), operand(xp), operand(fp)
    n = shape_of(places)[0]
    if n == 1:
        raise InputError(f"interp at {here()} is given one point: pass two or more")
    above = clip(rows.searchsorted(places, at, cast(Operand, (True,))), 1.0, float(n - 1))
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


def median(x: Any, /, axis: int | None = None, *, keepdims: bool = False) -> Any:
    """The number in the middle of the order, or the mean of the two there."""
    return quantile(x, 0.5, axis, keepdims=keepdims)


@beside(np.quantile)
def quantile(x: Any, q: float, /, axis: int | None = None, *, keepdims: bool = False) -> Any:
    """The number that a share ``q`` of all are below, between neighbours in proportion."""
    found, shape = operand(x), shape_of(operand(x))
    if axis is None:
        found = rows.reshape(found, (prod(shape),))
    at = place_of(0 if axis is None else axis, len(shape_of(found)))
    n = shape_of(found)[at]
    place = float(q) * (n - 1)
    low = int(place)
    high = min(low + 1, n - 1)
    rising = operand(_sort(found, axis=at))
    below, above = cut(rising, low, low + 1, at), cut(rising, high, high + 1, at)
    top = cut(rising, n - 1, n, at)
    between = ops.add(below, ops.mul(ops.sub(above, below), place - low))
    between = ops.where(ops.isnan(top), top, between)
    kept = tuple(1 if axis is None or place == at else m for place, m in enumerate(shape))
    left = tuple(m for place, m in enumerate(shape) if axis is not None and place != at)
    return rows.reshape(between, kept if keepdims else left)
