"""Parts of arrays by index, and arrays with other parts: traced arrays are not written to."""

from __future__ import annotations

from math import prod
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tapegrad._support.source_position import here
from tapegrad.errors import InputError
from tapegrad.numpy.arrays import ArrayLike, Numbers, like, operand, place_of
from tapegrad.numpy.elementwise import where
from tapegrad.numpy.signatures import chosen, kept, taken, valued, written
from tapegrad.ops import array_rows as rows
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Operand, Shape, shape_of
from tapegrad.recording.array_places import at_places, has_places, places_of
from tapegrad.recording.array_var import ArrayCondition, ArrayVar, asked, index_of

__all__ = [
    "at_add", "at_set", "compress", "diag", "diagonal", "extract", "nonzero", "take",
    "take_along_axis", "trace", "tril", "triu",
]  # fmt: skip


@taken
@like(np.take)
def take(x: ArrayLike, indices: ArrayLike, /, axis: int | None = None) -> ArrayLike:
    """The parts at places along an axis; along the only one where none is named."""
    found = operand(x)
    if axis is None and len(shape_of(found)) > 1:
        found = rows.reshape(found, (prod(shape_of(found)),))
    at = place_of(axis or 0, len(shape_of(found)))
    if not isinstance(indices, ArrayVar):
        return rows.getitem(found, index_of((*[slice(None)] * at, indices)))
    order = (at, *(other for other in range(len(shape_of(found))) if other != at))
    taken = at_places(rows.transpose(found, order), (indices,))
    count = indices.ndim
    back = (*range(count, count + at), *range(count), *range(count + at, len(shape_of(taken))))
    return taken if not at else rows.transpose(taken, back)


@taken
@like(np.take_along_axis)
def take_along_axis(x: ArrayLike, indices: ArrayLike, /, axis: int | None = -1) -> ArrayLike:
    """The number at a place along an axis for each place in ``indices``; without one, among all."""
    found = operand(x)
    if axis is None:
        found, axis = rows.reshape(found, (prod(shape_of(found)),)), 0
    at = place_of(axis, len(shape_of(found)))
    shape = (indices if isinstance(indices, ArrayVar) else np.asarray(indices)).shape
    index = _along(shape, at, indices)
    return at_places(found, index) if has_places(index) else rows.getitem(found, index)


def _along(shape: Shape, axis: int, places: Any) -> tuple[Any, ...]:
    """The index that takes places along one axis, and along the others each its own."""
    own = np.meshgrid(*map(np.arange, shape), indexing="ij", sparse=True)
    found = (places if at == axis else each for at, each in enumerate(own))
    return tuple(x if isinstance(x, ArrayVar) else np.array(x) for x in found)


@written
def at_add(x: ArrayLike, index: ArrayLike, value: ArrayLike, /) -> ArrayLike:
    """x with numbers added at an index; where places meet, all of them are."""
    found, added = operand(x), operand(value)
    if isinstance(index, ArrayCondition) and not shape_of(added):
        return ops.add(found, cast(Any, where)(index, added, 0.0))
    place = index_of(index)
    if has_places(place):
        places, axes = places_of(place, shape_of(found))
        part = shape_of(rows.gather(found, places, axes))
        return ops.add(found, rows.pile(_fitting(added, part), places, (axes, shape_of(found))))
    return rows.add_at(found, added, cast(Operand, (place, rows.is_basic(place))))


@written
def at_set(x: ArrayLike, index: ArrayLike, value: ArrayLike, /) -> ArrayLike:
    """x with other numbers at an index; where places meet, the last one counts."""
    found, new = operand(x), operand(value)
    if isinstance(index, ArrayCondition) and not shape_of(new):
        return cast(Any, where)(index, new, found)
    place = index_of(index)
    if has_places(place):
        raise InputError(
            f"at_set at {here()} is given traced places: write where with a condition, or at_add"
        )
    source = np.full(shape_of(found), -1)
    part = source[place].shape
    source[place] = np.arange(prod(part)).reshape(part)
    flat = rows.reshape(_fitting(new, part), (prod(part),))
    if not prod(part):
        return found
    moved = rows.getitem(flat, (np.maximum(source, 0),))
    return ops.where(cast(Operand, source >= 0), moved, found)


def _fitting(value: Operand, shape: Shape) -> Operand:
    """Numbers in the shape of the part that they are for."""
    try:
        fits = np.broadcast_shapes(shape_of(value), shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise InputError(f"numbers of shape {shape_of(value)} at {here()} do not fit {shape}")
    return rows.spread(value, shape)


@chosen
def compress(condition: ArrayLike, x: ArrayLike, /, axis: int | None = None) -> ArrayLike:
    """The parts along an axis for which a condition holds; a traced one is asked, by guards."""
    truth = asked(condition) if isinstance(condition, ArrayCondition) else np.asarray(condition)
    return take(x, np.flatnonzero(truth), axis=axis)


@chosen
def extract(condition: ArrayLike, x: ArrayLike, /) -> ArrayLike:
    """The numbers for which a condition holds; a traced one is asked, by guards."""
    return x[condition]


def nonzero(x: Numbers | ArrayCondition, /) -> tuple[NDArray[np.intp], ...]:
    """The places of what is not 0; of traced numbers they are asked, by guards."""
    condition = x != 0.0 if isinstance(x, ArrayVar) else x
    plain = asked(condition) if isinstance(condition, ArrayCondition) else condition
    return np.nonzero(cast("NDArray[np.bool_]", plain))


# Matrices.


@kept
@like(np.diagonal)
def diagonal(x: ArrayLike, /, offset: int = 0, axis1: int = 0, axis2: int = 1) -> ArrayLike:
    """The diagonal of a matrix, or of each of a stack."""
    found = operand(x)
    count = len(shape_of(found))
    one, other = place_of(axis1, count), place_of(axis2, count)
    rest = tuple(at for at in range(count) if at not in {one, other})
    n, m = shape_of(found)[one], shape_of(found)[other]
    length = max(0, min(n + min(offset, 0), m - max(offset, 0)))
    places = np.arange(length)
    moved = (
        found
        if (*rest, one, other) == tuple(range(count))
        else rows.transpose(found, (*rest, one, other))
    )
    index = (*[slice(None)] * len(rest), places - min(offset, 0), places + max(offset, 0))
    return rows.getitem(moved, index)


@valued
def trace(x: ArrayLike, /, offset: int = 0) -> ArrayLike:
    """The sum of the diagonal of a matrix."""
    return diagonal(x, offset).sum(-1)


@kept
@like(np.diag)
def diag(x: ArrayLike, /, k: int = 0) -> ArrayLike:
    """The diagonal of a matrix, or the matrix that has this diagonal."""
    found = operand(x)
    shape = shape_of(found)
    if len(shape) == 2:
        return diagonal(cast(Any, found), k)
    n = shape[0] + abs(k)
    places = np.arange(shape[0])
    index = places - min(k, 0), places + max(k, 0)
    return rows.scatter(found, (index, (n, n), False))


def _lower(x: Operand, k: int) -> NDArray[np.bool_]:
    """Where a matrix has its lower triangle, up to a diagonal."""
    n, m = shape_of(x)[-2:]
    return np.tri(n, m, k, dtype=np.bool_)


@kept
@like(np.tril)
def tril(x: ArrayLike, /, k: int = 0) -> ArrayLike:
    """The lower triangle of a matrix, up to a diagonal, with 0 above."""
    found = operand(x)
    return ops.where(cast(Operand, _lower(found, k)), found, 0.0)


@kept
@like(np.triu)
def triu(x: ArrayLike, /, k: int = 0) -> ArrayLike:
    """The upper triangle of a matrix, from a diagonal on, with 0 below."""
    found = operand(x)
    return ops.where(cast(Operand, ~_lower(found, k - 1)), found, 0.0)
