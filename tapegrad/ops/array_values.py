"""The values of rows that take arrays as they are: their shapes, parts, sums and products.

What numpy computes depends in the last bits on how the numbers stand in memory. So a value stands
in C order unless it is a view (another shape, another order of axes, a slice), and then it is that
view of such a value wherever it is computed: recorded, replayed or compiled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from tapegrad.ops.array_rows import is_basic
from tapegrad.ops.primitive import Shape

__all__ = [
    "add_at", "amax", "amin", "argmax", "argsort", "broadcast_to", "concatenate", "cumsum", "every",
    "gather", "getitem", "in_memory", "laid_out", "matmul", "norm", "pile", "plain",
    "product", "reshape", "scatter", "searchsorted", "some", "stack", "sum_",
    "transpose",
]  # fmt: skip

Array: TypeAlias = NDArray[Any]
Value: TypeAlias = float | Array
Along: TypeAlias = tuple[Shape, bool]
"""The axes that are taken together, and whether they stay, with length 1."""


def plain(found: Any) -> Value:
    """A number for an array without axes, else the array in C order."""
    if found.ndim == 0:
        return float(found)
    return cast(Array, found if found.flags.c_contiguous else np.ascontiguousarray(found))


def reshape(x: Value, shape: Shape) -> Value:
    """The same numbers in another shape."""
    if not shape:
        return float(np.reshape(x, ()))
    whole = np.asarray(x)
    return (whole if whole.flags.c_contiguous else laid_out(whole)).reshape(shape)


def transpose(x: Array, axes: Shape) -> Array:
    """The axes in another order."""
    return x.transpose(axes)


def broadcast_to(x: Value, shape: Shape) -> Array:
    """Repeated along new axes and along those of length 1."""
    return np.broadcast_to(x, shape)


def getitem(x: Array, index: Any) -> Value:
    """The part at an index: a view, or what arrays of places give, in C order."""
    found = x[index]
    if not found.ndim:
        return float(found)
    return found if is_basic(index) else np.ascontiguousarray(found)


def scatter(x: Value, static: tuple[Any, Shape, bool]) -> Array:
    """The numbers at an index of zeros; where places meet, their sum."""
    index, shape, is_basic = static
    found = np.zeros(shape)
    if is_basic:
        found[index] = x
    else:
        np.add.at(found, index, x)
    return found


def add_at(z: Array, x: Value, static: tuple[Any, bool]) -> Array:
    """An array with numbers added at an index."""
    index, is_basic = static
    found = z.copy()
    if is_basic:
        found[index] += x
    else:
        np.add.at(found, index, x)
    return found


def gather(x: Array, i: Value, axes: Shape) -> Value:
    """The parts of an array at places; ``i`` has those along each of the first ``axes``."""
    return plain(x[_places(i, axes)])


def pile(x: Value, i: Value, static: tuple[Shape, Shape]) -> Array:
    """Parts at places of zeros; where places meet, their sum."""
    axes, shape = static
    found = np.zeros(shape)
    if len(shape) > 1:
        np.add.at(found, _places(i, axes), x)
        return found
    places = np.ravel(_places(i, axes)[0]) % shape[0]
    return np.bincount(places, np.ravel(x), shape[0]) if places.size else found


def _places(i: Value, axes: Shape) -> tuple[Any, ...]:
    """Whole numbers as an index along the first axes; a stack of them where these are several."""
    places = np.asarray(i).astype(np.intp)
    return tuple(places) if axes[0] > 1 else (places,)


def argsort(x: Array, axis: int) -> Array:
    """The places of the numbers in rising order; those that are equal keep theirs."""
    return np.argsort(x, axis, kind="stable").astype(np.float64)


def argmax(x: Array, along: Along) -> Value:
    """The first place of the largest number along an axis."""
    return plain(np.argmax(x, along[0][0], keepdims=along[1]).astype(np.float64))


def searchsorted(x: Array, y: Value, side: tuple[bool]) -> Value:
    """How many numbers of x, in rising order, are below y, or not above it."""
    found = np.searchsorted(x, y, "right" if side[0] else "left")
    return plain(np.asarray(found).astype(np.float64))


def _reduced(function: Any, x: Array, along: Along) -> Any:
    return function.reduce(x, axis=along[0], keepdims=along[1])


_SUM: Final[Any] = np.add.reduce


def sum_(x: Array, along: Along) -> Value:
    """The sum along axes."""
    return plain(_SUM(x, axis=along[0], keepdims=along[1]))


def amax(x: Array, along: Along) -> Value:
    """The largest along axes."""
    return plain(_reduced(np.maximum, x, along))


def amin(x: Array, along: Along) -> Value:
    """The smallest along axes."""
    return plain(_reduced(np.minimum, x, along))


def every(x: Array, along: Along) -> Value:
    """Whether all hold along axes."""
    return plain(_reduced(np.logical_and, x, along))


def some(x: Array, along: Along) -> Value:
    """Whether any holds along axes."""
    return plain(_reduced(np.logical_or, x, along))


def norm(x: Array, along: Along) -> Value:
    """The Euclidean norm along axes; of numbers divided by a power of 2 where squares lose bits."""
    squares = _reduced(np.add, x * x, along)
    if not x.size or np.all((squares > 1e-280) & (squares < 1e290)):
        return plain(np.sqrt(squares))
    top = _reduced(np.maximum, np.abs(x), (along[0], True))
    shift = np.where(np.isfinite(top), np.frexp(top)[1], 0)
    scaled = np.sqrt(_reduced(np.add, np.ldexp(x, -shift) ** 2, along))
    return plain(np.ldexp(scaled, shift.reshape(scaled.shape)))


def cumsum(x: Array, axis: int) -> Array:
    """The running sum along an axis."""
    return np.add.accumulate(x, axis)


def matmul(x: Array, y: Array) -> Value:
    """The product of matrices."""
    return plain(product(x, y))


def product(x: Array, y: Array, out: Array | None = None) -> Any:
    """numpy's product of arrays that are each one block of memory, as constants are.

    Else the product would be computed in another way, and have other bits.
    """
    if not x.flags.forc or 1 in x.shape:
        x = laid_out(x)
    if not y.flags.forc or 1 in y.shape:
        y = laid_out(y)
    return np.matmul(x, y, out)


def laid_out(x: Array) -> Array:
    """An array that is one block of memory; a part of one, or numbers repeated, are copied.

    The axes keep their order in memory, so that an array and its transpose give the same block. An
    axis of length 1 has none; an array with such an axis stands in C order.
    """
    if 1 in x.shape:
        return np.ndarray(x.shape, x.dtype, np.ascontiguousarray(x))
    if x.flags.forc:
        return x
    axes = in_memory(x)
    whole = x.transpose(axes)
    if whole.flags.c_contiguous:
        return x
    return np.ascontiguousarray(whole).transpose(tuple(map(axes.index, range(x.ndim))))


def in_memory(x: Array) -> Shape:
    """The axes by their strides, as they follow each other in memory, the longest step first."""
    steps = [(-abs(stride), -length) for stride, length in zip(x.strides, x.shape, strict=True)]
    return tuple(sorted(range(x.ndim), key=steps.__getitem__))


def concatenate(*given: Any) -> Array:
    """One after the other along an axis, which stands last."""
    return np.concatenate(cast("Sequence[Array]", given[:-1]), axis=given[-1])


def stack(*numbers: float) -> Array:
    """Numbers as an array."""
    return np.array(numbers)
