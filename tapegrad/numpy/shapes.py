"""Functions that change shapes, put parts together, and take arrays apart."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Final, Literal, TypeAlias, cast, overload

import numpy as np
from numpy.typing import NDArray

from tapegrad._support.source_position import here
from tapegrad.errors import InputError
from tapegrad.numpy.arrays import (
    Arr,
    Array,
    ArrayLike,
    Element,
    Ints,
    Number,
    Numbers,
    Shape,
    cut,
    is_traced,
    like,
    operand,
    operands,
    place_of,
)
from tapegrad.numpy.signatures import joined, kept
from tapegrad.ops import array_rows as rows
from tapegrad.ops.primitive import Operand, shape_of
from tapegrad.ops.table import where
from tapegrad.recording.array_var import ArrayVar, Axes, Layout, axes_of, shape_asked

__all__ = [
    "array_split", "atleast_1d", "atleast_2d", "broadcast_arrays", "broadcast_to", "column_stack",
    "concat", "concatenate", "expand_dims", "flip", "fliplr", "flipud", "hstack",
    "matrix_transpose", "meshgrid", "moveaxis", "pad", "permute_dims", "ravel", "repeat", "reshape",
    "roll", "split", "squeeze", "stack", "swapaxes", "tile", "transpose", "unstack", "vstack",
]  # fmt: skip

Places: TypeAlias = int | Sequence[int]
Widths: TypeAlias = Ints | Sequence[Sequence[int]]
Mode: TypeAlias = Literal["constant", "edge", "reflect", "symmetric", "wrap"]


@kept
@like(lambda x, /, shape, *, copy=None, order="C": np.reshape(x, shape, order, copy=copy))
def reshape(
    x: ArrayLike, /, shape: Places, *, copy: bool | None = None, order: Layout = "C"
) -> ArrayLike:
    """The same numbers in another shape; one length may be -1. In order F by the first axis."""
    found = operand(x)
    wanted = shape_asked((shape,), prod(shape_of(found)))
    if order == "C":
        return rows.reshape(found, wanted)
    if order != "F":
        raise InputError(f"reshape at {here()} of a traced array in order {order!r}: write C or F")
    turned = cast(Any, rows.reshape(cast(Operand, transpose(cast(Any, found))), wanted[::-1]))
    return transpose(turned)


@kept
def ravel(x: ArrayLike, /, order: Layout = "C") -> ArrayLike:
    """The numbers along one axis, the last axis first or, in order F, the first one."""
    return reshape(x, (-1,), order=order)


@kept
@like(np.transpose)
def transpose(x: ArrayLike, /, axes: Sequence[int] | None = None) -> ArrayLike:
    """The axes in another order, or in the opposite one."""
    found = operand(x)
    count = len(shape_of(found))
    if axes is None:
        return rows.transpose(found, tuple(range(count))[::-1])
    order = tuple(place_of(axis, count) for axis in axes)
    if sorted(order) != list(range(count)):
        raise InputError(f"axes {axes} at {here()} are no order of the {count} that there are")
    return rows.transpose(found, order)


@kept
def permute_dims(x: ArrayLike, /, axes: Sequence[int]) -> ArrayLike:
    """The axes in another order."""
    return transpose(x, axes)


@kept
def matrix_transpose(x: ArrayLike, /) -> ArrayLike:
    """Each matrix transposed: the last two axes change places."""
    return swapaxes(x, -1, -2)


@kept
def swapaxes(x: ArrayLike, /, axis1: int, axis2: int) -> ArrayLike:
    """Two axes change places."""
    order = list(range(x.ndim))
    one, other = place_of(axis1, x.ndim), place_of(axis2, x.ndim)
    order[one], order[other] = other, one
    return permute_dims(x, tuple(order))


@kept
def moveaxis(x: ArrayLike, source: Places, destination: Places, /) -> ArrayLike:
    """Axes move to other places; the others stay in order."""
    sources = [place_of(axis, x.ndim) for axis in _each(source)]
    order = [axis for axis in range(x.ndim) if axis not in sources]
    moves = zip((place_of(axis, x.ndim) for axis in _each(destination)), sources, strict=True)
    for place, axis in sorted(moves):
        order.insert(place, axis)
    return permute_dims(x, tuple(order))


def _each(axes: Places) -> tuple[int, ...]:
    return (axes,) if isinstance(axes, int) else tuple(axes)


@kept
@like(np.broadcast_to)
def broadcast_to(x: ArrayLike, /, shape: Shape) -> ArrayLike:
    """Repeated along new axes and along those of length 1."""
    found = operand(x)
    try:
        fits = np.broadcast_shapes(shape_of(found), shape) == tuple(shape)
    except ValueError:
        fits = False
    if not fits:
        raise InputError(f"shape {shape_of(found)} at {here()} is not broadcast to {tuple(shape)}")
    return found if shape_of(found) == tuple(shape) else rows.broadcast_to(found, tuple(shape))


@overload
def broadcast_arrays(*arrays: Arr) -> tuple[Arr, ...]: ...
@overload
def broadcast_arrays(*arrays: Numbers | Number) -> tuple[Array, ...]: ...
def broadcast_arrays(*arrays: ArrayLike) -> tuple[ArrayLike, ...]:
    """Arrays in the shape that they have together."""
    shape = np.broadcast_shapes(*(_shape(x) for x in arrays))
    return tuple(broadcast_to(x, shape) for x in arrays)


def _shape(x: Any) -> Shape:
    return shape_of(operand(x)) if is_traced(x) else np.shape(x)


@kept
@like(np.expand_dims)
def expand_dims(x: ArrayLike, /, axis: Places = 0) -> ArrayLike:
    """New axes of length 1 at these places."""
    found = operand(x)
    new = axes_of(_each(axis), len(shape_of(found)) + len(_each(axis)))
    left = iter(shape_of(found))
    count = len(shape_of(found)) + len(new)
    return rows.reshape(found, tuple(1 if at in new else next(left) for at in range(count)))


@kept
@like(np.squeeze)
def squeeze(x: ArrayLike, /, axis: Axes = None) -> ArrayLike:
    """Without axes of length 1: those that are named, or all."""
    found = operand(x)
    shape = shape_of(found)
    ones = tuple(at for at, n in enumerate(shape) if n == 1)
    dropped = ones if axis is None else axes_of(_each(axis), len(shape))
    if not set(dropped) <= set(ones):
        raise InputError(
            f"squeeze at {here()} of axis {axis} of shape {shape}: its length is not 1"
        )
    return rows.reshape(found, tuple(n for at, n in enumerate(shape) if at not in dropped))


# Together.


@joined
@like(np.concatenate)
def concat(arrays: Sequence[ArrayLike], /, axis: int | None = 0) -> ArrayLike:
    """One after the other along an axis; with None, all numbers in one row."""
    given = list(_parts("concat", arrays))
    if axis is None:
        given, axis = [rows.reshape(x, (prod(shape_of(x)),)) for x in given], 0
    shapes = [shape_of(x) for x in given]
    if not all(shapes):
        raise InputError(f"concat at {here()} is given a number: write stack for numbers")
    at = place_of(axis, len(shapes[0]))
    if len({(len(shape), *shape[:at], *shape[at + 1 :]) for shape in shapes}) > 1:
        raise _differ("concat", shapes, f"all axes but {at} have one length")
    return rows.concatenate(*given, at)


concatenate = concat


@joined
@like(np.stack)
def stack(arrays: Sequence[ArrayLike], /, axis: int = 0) -> ArrayLike:
    """Side by side along a new axis."""
    given = _parts("stack", arrays)
    shapes = [shape_of(x) for x in given]
    if len(set(shapes)) > 1:
        raise _differ("stack", shapes, "what is stacked has one shape")
    at = place_of(axis, len(shapes[0]) + 1)
    if not shapes[0]:
        return rows.stack(*given)
    wide = (*shapes[0][:at], 1, *shapes[0][at:])
    return rows.concatenate(*(rows.reshape(x, wide) for x in given), at)


def _parts(name: str, arrays: Sequence[ArrayLike]) -> tuple[Operand, ...]:
    if isinstance(arrays, ArrayVar):
        return tuple(arrays)
    if not len(arrays):
        raise InputError(f"{name} at {here()} is given no array")
    return operands(*arrays)


def _differ(name: str, shapes: list[Shape], why: str) -> InputError:
    shown = " and ".join(map(str, dict.fromkeys(shapes)))
    return InputError(f"{name} at {here()} is given shapes {shown}: {why}")


@kept
def atleast_1d(x: ArrayLike, /) -> ArrayLike:
    """With one axis at least."""
    return x if _shape(x) else reshape(x, (1,))


@kept
def atleast_2d(x: ArrayLike, /) -> ArrayLike:
    """With two axes at least; a new one comes first."""
    return x if len(_shape(x)) > 1 else reshape(x, (1, -1))


@joined
def hstack(arrays: Sequence[ArrayLike], /) -> ArrayLike:
    """Along the second axis; along the first where there is one alone."""
    given = [atleast_1d(x) for x in arrays]
    return concat(given, axis=0 if len(_shape(given[0])) == 1 else 1)


@joined
def vstack(arrays: Sequence[ArrayLike], /) -> ArrayLike:
    """As rows of a matrix."""
    return concat([atleast_2d(x) for x in arrays], axis=0)


@joined
def column_stack(arrays: Sequence[ArrayLike], /) -> ArrayLike:
    """As columns of a matrix."""
    columns = [x if len(_shape(x)) > 1 else reshape(x, (-1, 1)) for x in arrays]
    return concat(columns, axis=1)


@kept
@like(np.tile)
def tile(x: ArrayLike, repetitions: Places, /) -> ArrayLike:
    """As often along each axis; a number counts for the last."""
    found, times = operand(x), _each(repetitions)
    count = max(len(times), len(shape_of(found)))
    shape = (1,) * (count - len(shape_of(found))) + shape_of(found)
    times = (1,) * (count - len(times)) + times
    return _repeated(found, [(1, n) for n in shape], list(zip(times, shape, strict=True)))


def _repeated(x: Operand, apart: Sequence[Shape], whole: Sequence[Shape]) -> Operand:
    """An array whose axes are split into ``apart``, repeated to ``whole``, and joined."""
    split = rows.reshape(x, tuple(n for pair in apart for n in pair))
    repeated = rows.broadcast_to(split, tuple(n for pair in whole for n in pair))
    return rows.reshape(repeated, tuple(map(prod, whole)))


@kept
@like(np.repeat)
def repeat(x: ArrayLike, repeats: Ints, /, axis: int | None = None) -> ArrayLike:
    """Each number so often, along an axis or in one row; ``repeats`` may be one for each place."""
    found = operand(x)
    if axis is None:
        found, axis = rows.reshape(found, (prod(shape_of(found)),)), 0
    shape, at = shape_of(found), place_of(axis, len(shape_of(found)))
    times = np.asarray(repeats)
    if not times.ndim:
        whole = [(n, int(times) if place == at else 1) for place, n in enumerate(shape)]
        return _repeated(found, [(n, 1) for n in shape], whole)
    places = np.repeat(np.arange(shape[at]), times)
    return rows.getitem(found, (*[slice(None)] * at, places))


@overload
def meshgrid(*arrays: Arr, indexing: Literal["xy", "ij"] = "xy") -> tuple[Arr, ...]: ...
@overload
def meshgrid(
    *arrays: Numbers | Number, indexing: Literal["xy", "ij"] = "xy"
) -> tuple[Array, ...]: ...
def meshgrid(*arrays: ArrayLike, indexing: Literal["xy", "ij"] = "xy") -> tuple[ArrayLike, ...]:
    """The coordinates of all points of a grid."""
    if not is_traced(*arrays):
        return np.meshgrid(*arrays, indexing=indexing)
    given = [reshape(x, (-1,)) for x in arrays]
    count = len(given)
    places = list(range(count))
    if indexing == "xy" and count > 1:
        places[:2] = [1, 0]
    apart = [
        reshape(x, tuple(-1 if at == place else 1 for at in range(count)))
        for x, place in zip(given, places, strict=True)
    ]
    return broadcast_arrays(*apart)


# Apart.


@overload
def unstack(x: Arr, /, axis: int = 0) -> tuple[Arr, ...]: ...
@overload
def unstack(x: NDArray[Element], /, axis: int = 0) -> tuple[NDArray[Element], ...]: ...
def unstack(x: ArrayLike, /, axis: int = 0) -> tuple[ArrayLike, ...]:
    """The parts along an axis, which they do not have."""
    if not is_traced(x):
        return tuple(np.unstack(x, axis=axis))
    at = place_of(axis, x.ndim)
    return tuple(x[(slice(None),) * at + (place,)] for place in range(x.shape[at]))


@overload
def split(x: Arr, sections: Ints, /, axis: int = 0) -> list[Arr]: ...
@overload
def split(x: NDArray[Element], sections: Ints, /, axis: int = 0) -> list[NDArray[Element]]: ...
def split(x: ArrayLike, sections: Ints, /, axis: int = 0) -> list[ArrayLike]:
    """A number of equal parts along an axis, or the parts between places.

    Raises:
        InputError: where the axis is no multiple of the number of parts.
    """
    n = _shape(x)[axis]
    if isinstance(sections, int) and n % sections:
        raise InputError(f"split at {here()} of {n} into {sections} equal parts: write array_split")
    return array_split(x, sections, axis)


@overload
def array_split(x: Arr, sections: Ints, /, axis: int = 0) -> list[Arr]: ...
@overload
def array_split(
    x: NDArray[Element], sections: Ints, /, axis: int = 0
) -> list[NDArray[Element]]: ...
def array_split(x: ArrayLike, sections: Ints, /, axis: int = 0) -> list[ArrayLike]:
    """A number of parts along an axis, the first of them longer by 1 where need be."""
    if not is_traced(x):
        return list(np.array_split(x, sections, axis))
    at = place_of(axis, x.ndim)
    found, start = [], 0
    for part in np.array_split(np.arange(x.shape[at]), sections):
        found.append(cut(x, start, start + part.size, at))
        start += part.size
    return found


# Order along axes.


@kept
@like(np.flip)
def flip(x: ArrayLike, /, axis: Axes = None) -> ArrayLike:
    """In the opposite order along axes, or along all."""
    found = operand(x)
    axes = axes_of(axis, len(shape_of(found)))
    places = range(len(shape_of(found)))
    index = tuple(slice(None, None, -1) if at in axes else slice(None) for at in places)
    return rows.getitem(found, index) if index else found


@kept
def flipud(x: ArrayLike, /) -> ArrayLike:
    """In the opposite order along the first axis."""
    return flip(x, axis=0)


@kept
def fliplr(x: ArrayLike, /) -> ArrayLike:
    """In the opposite order along the second axis."""
    return flip(x, axis=1)


@kept
@like(np.roll)
def roll(x: ArrayLike, /, shift: Places, axis: Places | None = None) -> ArrayLike:
    """Moved on by so many places along axes; what leaves at the end comes in at the beginning."""
    found = operand(x)
    if axis is None:
        flat = cast(Any, rows.reshape(found, (prod(shape_of(found)),)))
        return rows.reshape(cast(Operand, roll(flat, shift, axis=0)), shape_of(found))
    axes, shifts = _each(axis), _each(shift)
    shifts = shifts * len(axes) if len(shifts) == 1 else shifts
    for one, places in zip(axes, shifts, strict=True):
        at = place_of(one, len(shape_of(found)))
        n = shape_of(found)[at]
        middle = n - places % n if n else 0
        if middle not in {0, n}:
            parts = cut(found, middle, n, at), cut(found, 0, middle, at)
            found = rows.concatenate(*parts, at)
    return found


_PLACED: Final = ("edge", "reflect", "symmetric", "wrap")
"""The ways of padding with numbers that the array has, by their places."""


def _numpys_pad(x: Any, pad_width: Any, mode: Any = "constant", constant_values: Any = 0.0) -> Any:
    options = {"constant_values": constant_values} if mode == "constant" else {}
    return np.pad(x, pad_width, mode, **options)


@kept
@like(_numpys_pad)
def pad(
    x: ArrayLike, /, pad_width: Widths, mode: Mode = "constant", constant_values: Number = 0.0
) -> ArrayLike:
    """With numbers around: a constant, or as ``edge``, ``reflect``, ``symmetric``, ``wrap`` say."""
    found = operand(x)
    shape = shape_of(found)
    if not shape:
        return found
    widths = np.broadcast_to(np.asarray(pad_width, int), (len(shape), 2)).tolist()
    if mode != "constant":
        if mode not in _PLACED:
            raise InputError(
                f"pad at {here()} of a traced array takes no mode {mode!r}: write one of "
                f"{', '.join(_PLACED)}, or put parts together with concat"
            )
        for at, (width, n) in enumerate(zip(widths, shape, strict=True)):
            places = np.pad(np.arange(n), width, cast(Any, mode))
            found = rows.getitem(found, (*[slice(None)] * at, places))
        return found
    if np.ndim(cast(Any, constant_values)):
        raise InputError(
            f"pad at {here()} of a traced array takes one number as constant_values: put parts "
            "together with concat"
        )
    whole = tuple(before + n + after for (before, after), n in zip(widths, shape, strict=True))
    inside = tuple(slice(before, before + n) for (before, _), n in zip(widths, shape, strict=True))
    padded = rows.scatter(found, (inside, whole, True))
    if isinstance(constant_values, float | int) and not constant_values:
        return padded
    mask = np.zeros(whole, bool)
    mask[inside] = True
    return where(cast(Operand, mask), padded, operand(constant_values))
