"""Copies of the data of an objective, with numbers in arrays that compiled code can read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import attrs
import numpy as np

from tapegrad._support.source_position import here
from tapegrad.errors import InputError
from tapegrad.pytree.containers import keys_and_parts
from tapegrad.pytree.key_paths import input_key_path, key_path, key_path_in
from tapegrad.pytree.structure import Branch, Leaf, Role, build, flatten, key_paths

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tapegrad.optimize.model_data import ModelData

__all__ = ["copied"]


def copied(f: Callable[..., object], data: ModelData) -> ModelData:
    """Copies the arguments of ``f`` into arrays and containers of our own.

    Files and arrays of other libraries that have rows stay where they are, and are not searched for
    nan.

    Raises:
        InputError: when a number is nan (the message names its row, or its path), or an argument
            with rows is an iterator.
    """
    args = [
        _rows(input_key_path(f, (index,), ()), arg) if axis == 0 else _constant(f, index, arg)
        for index, (arg, axis) in enumerate(zip(data.args, data.axes, strict=True))
    ]
    kwargs = {key: _constant(f, key, value) for key, value in data.kwargs.items()}
    return attrs.evolve(data, args=tuple(args), kwargs=kwargs)


def _rows(name: str, value: object) -> object:
    """A copy of an argument that has the rows first."""
    if isinstance(value, Iterator):
        raise InputError(
            f"{name} is an iterator, which can be read once, and a solver reads the data again and "
            f"again ({here()}): pass an array"
        )
    if type(value) is np.ndarray or _is_numbers(value):
        return _array(name, value)
    parts = keys_and_parts(value)
    if parts is None:
        return value
    keys, children = parts
    found = [
        _rows(key_path_in(name, key_path([key])), child)
        for key, child in zip(keys, children, strict=True)
    ]
    return build(Branch(type(value), keys, (Leaf(),) * len(keys)), found)


def _is_numbers(value: object) -> bool:
    """Whether the value is a list of numbers, or of lists of them."""
    if not isinstance(value, list | tuple) or type(value) not in {list, tuple} or not value:
        return False
    return isinstance(value[0], int | float) or _is_numbers(value[0])


def _array(name: str, value: object) -> object:
    """A copy that compiled code can read; what is no array of real numbers is left to ``vmap``."""
    try:
        array = np.array(value)
    except ValueError:
        return value
    if array.dtype.kind not in "fiu" or array.dtype.itemsize > _LONGEST:
        return value
    _require_numbers(name, array)
    return np.ascontiguousarray(array, dtype=np.float64)


_LONGEST: Final = 8
"""Bytes of a number; a longer one would lose digits."""


def _constant(f: Callable[..., object], key: int | str, value: object) -> object:
    """A copy of an argument that is the same for all rows."""
    name = input_key_path(f, (key,), ())
    if type(value) is np.ndarray:
        _require_numbers(name, value)
        return value.copy()
    structure, leaves = flatten(value, Role.DATA, lambda keys: input_key_path(f, (key,), keys))
    for path, leaf in zip(key_paths(structure), leaves, strict=True):
        if leaf != leaf:
            raise InputError(
                f"{key_path_in(name, path)} is nan ({here()}): leave it out, or put a number there"
            )
    return build(structure, leaves)


def _require_numbers(name: str, array: NDArray[np.generic]) -> None:
    """Raises for an array that holds nan."""
    if array.dtype.kind != "f" or not np.isnan(array).any():
        return
    rows = np.isnan(array).reshape(len(array), -1).any(axis=1)
    count = int(rows.sum()) - 1
    more = f", and {count:,} more do" if count else ""
    raise InputError(
        f"row {int(rows.argmax()):,} of {name} holds nan{more} ({here()}): leave such rows out, or "
        "put numbers there"
    )
