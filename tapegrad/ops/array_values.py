"""The values of rows that take arrays as they are: their shapes, parts, sums and products.

What numpy computes depends in the last bits on how the numbers stand in memory. So a value stands
in C order unless it is a view (another shape, another order of axes, a slice), and then it is that
view of such a value wherever it is computed: recorded, replayed or compiled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from tapegrad.ops.primitive import Shape

__all__ = [
    "add_at", "amax", "amin", "broadcast_to", "concatenate", "cumsum", "every", "getitem",
    "matmul", "plain", "reshape", "scatter", "solve", "some", "stack", "sum_", "transpose",
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
    return np.asarray(x).reshape(shape) if shape else float(np.reshape(x, ()))


def transpose(x: Array, axes: Shape) -> Array:
    """The axes in another order."""
    return x.transpose(axes)


def broadcast_to(x: Value, shape: Shape) -> Array:
    """Repeated along new axes and along those of length 1."""
    return np.broadcast_to(x, shape)


def getitem(x: Array, index: Any) -> Value:
    """The part at an index."""
    found = x[index]
    return found if found.ndim else float(found)


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


def _reduced(function: Any, x: Array, along: Along) -> Any:
    return function.reduce(x, axis=along[0], keepdims=along[1])


def sum_(x: Array, along: Along) -> Value:
    """The sum along axes."""
    return plain(_reduced(np.add, x, along))


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


def cumsum(x: Array, axis: int) -> Array:
    """The running sum along an axis."""
    return np.add.accumulate(x, axis)


def matmul(x: Array, y: Array) -> Value:
    """The product of matrices."""
    return plain(np.matmul(x, y))


def concatenate(*given: Any) -> Array:
    """One after the other along an axis, which stands last."""
    return np.concatenate(cast("Sequence[Array]", given[:-1]), axis=given[-1])


def stack(*numbers: float) -> Array:
    """Numbers as an array."""
    return np.array(numbers)


def solve(a: Array, b: Array) -> Array:
    """The solution x of a @ x == b."""
    return cast(Array, plain(np.linalg.solve(a, b)))
