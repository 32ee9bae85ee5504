"""The mapped arguments of a batch: arrays with the rows first, in the user's containers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias, final

import attrs
import numpy as np

from tapegrad.errors import InputError
from tapegrad.positions import here
from tapegrad.structure import Branch, Keys, Leaf, Static, Structure, build, describe, opened

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]

__all__ = ["Mapped", "mapped"]


@final
@attrs.frozen(eq=False)
class Mapped:
    """An argument whose arrays have the rows first, and one row of it."""

    structure: Structure
    keys: tuple[Keys, ...]
    arrays: tuple[Floats, ...]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.arrays[0])

    def row(self, index: int) -> object:
        """The argument as the function gets it for one row; a row of an array is a tuple."""
        return build(self.structure, (_tuples(array[index].tolist()) for array in self.arrays))

    def flat(self) -> tuple[Floats, ...]:
        """The arrays with one or two axes."""
        return tuple(
            array if array.ndim == 1 else array.reshape(len(array), -1) for array in self.arrays
        )


def mapped(value: object, name: Callable[[Keys], str]) -> Mapped:
    """The arrays of a mapped argument; ``name`` gives the path of one.

    Raises:
        InputError: where it holds a number that is the same for all rows, a ragged list, or an
            array of another kind of number.
    """
    arrays: dict[Keys, Floats] = {}
    structure = _split(value, (), name, arrays)
    return Mapped(structure, tuple(arrays), tuple(arrays.values()))


def _split(
    value: object,
    keys: Keys,
    name: Callable[[Keys], str],
    arrays: dict[Keys, Floats],
) -> Structure:
    if isinstance(value, list | tuple) and type(value) in {list, tuple} and _is_numbers(value):
        value = _stacked(value, name(keys))
    if hasattr(value, "__array__"):
        arrays[keys] = _floats(value, name(keys))
        return Leaf()
    if isinstance(value, int | float):
        raise InputError(
            f"{name(keys)} is {describe(value)} in a mapped argument ({here()}): pass an array with "
            "a number for each row, or map None for the argument"
        )
    parts = opened(value)
    if parts is None:
        return Static(value)
    children = tuple(
        _split(child, (*keys, key), name, arrays) for key, child in zip(*parts, strict=True)
    )
    return Branch(type(value), parts[0], children)


def _is_numbers(value: Sequence[object]) -> bool:
    """Whether a list holds numbers, or lists of them, and so stands for an array."""
    first = value[0] if value else 0.0
    if isinstance(first, list | tuple) and type(first) in {list, tuple}:
        return _is_numbers(first)
    return isinstance(first, int | float)


def _stacked(value: Sequence[object], name: str) -> Floats:
    try:
        return np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f"{name} is a list whose rows have different lengths, or not only numbers ({here()}): "
            "pass an array of float64"
        ) from None


def _floats(value: object, name: str) -> Floats:
    """An array of float64, its rows one after the other; ints and shorter floats are promoted."""
    array = np.asanyarray(value)
    if array.dtype.kind not in "fiu" or array.ndim == 0 or array.dtype.itemsize > _LONGEST:
        what = f"an array of {array.dtype}" if array.ndim else "a single number"
        raise InputError(
            f"{name} is {what} ({here()}): pass an array of float64 with a row for each answer"
        )
    if array.dtype == np.float64 and array.ndim == 1 and array.strides[0] % 8 == 0:
        return array
    return np.ascontiguousarray(array, dtype=np.float64)


_LONGEST = 8
"""Bytes of a number; a longer one would lose digits."""


def _tuples(value: object) -> object:
    """Nested lists as nested tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
