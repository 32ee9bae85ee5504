"""Rows that have text, dates, enums or None among their values: a batch for each combination.

Such a value cannot be traced, so that it is static: the rows that share it are recorded together,
and the function gets the value itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias, cast, final

import attrs
import numpy as np

from tapegrad._support.source_position import here
from tapegrad._support.text import describe
from tapegrad.batch.arrays import (
    STATIC_VALUES,
    common_rows,
    is_static_column,
    split_arrays,
)
from tapegrad.compile.cache import argument_namer
from tapegrad.errors import InputError
from tapegrad.pytree.containers import keys_and_parts
from tapegrad.pytree.numbers import real_number
from tapegrad.pytree.structure import Structure, build

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Indices: TypeAlias = NDArray[np.intp]

__all__ = ["RowGroup", "has_static_column", "row_groups"]


@final
@attrs.frozen(eq=False)
class RowGroup:
    """The rows of a batch that share all static values, and the arguments of a call for them.

    ``mapped`` are the positions of those that hold arrays here, ``shared`` has the values in words.
    """

    rows: Indices
    args: tuple[object, ...]
    mapped: tuple[int, ...]
    shared: str


@final
@attrs.frozen(eq=False)
class _Column:
    """The values of all rows in one place of an argument; ``statics`` has those of mixed kinds."""

    name: str
    array: Any
    statics: Sequence[object] | None

    def key(self, row: int) -> object:
        """A key that tells the row's value from others: nothing for a number, which is traced."""
        value = None if self.statics is None else self.statics[row]
        if self.statics is None or _is_number(value):
            return ()
        if not isinstance(value, STATIC_VALUES):
            raise InputError(
                f"{self.name} holds {describe(value)} at row {row:,} ({here()}): pass numbers, or "
                "text, dates, enums and None, which are the same for all rows of a group"
            )
        return type(value), value

    def part(self, rows: Indices) -> object:
        """The value that these rows share, or the array of their numbers."""
        if self.statics is None:
            return self.array[rows]
        if self.key(rows[0]) == ():
            return np.array([float(cast(float, self.statics[row])) for row in rows])
        return self.statics[rows[0]]


def has_static_column(value: object) -> bool:
    """Whether an argument holds a column of anything but numbers."""
    if is_static_column(value):
        return True
    parts = None if hasattr(value, "dtype") else keys_and_parts(value)
    return parts is not None and any(map(has_static_column, parts[1]))


def row_groups(
    f: Callable[..., object], args: Sequence[object], mapped: Sequence[int]
) -> Sequence[RowGroup]:
    """The rows of the ``mapped`` arguments by their static values, in the order of first rows.

    Raises:
        InputError: where a value is neither a number nor static, arrays have different numbers of
            rows, or one of the arguments is an iterator.
    """
    structures: dict[int, Structure] = {}
    columns: dict[int, list[_Column]] = {}
    for index in mapped:
        name = argument_namer(f, index)
        if isinstance(args[index], Iterator):
            raise InputError(
                f"{name(())} is an iterator beside a column of text, dates, enums or None "
                f"({here()}): pass arrays, whose rows can be grouped"
            )
        structures[index], arrays = split_arrays(args[index], name)
        columns[index] = [_column(name(keys), array) for keys, array in arrays.items()]
    every = [column for found in columns.values() for column in found]
    rows = common_rows([len(column.array) for column in every], lambda place: every[place].name)
    return [_group(args, structures, columns, numbers) for numbers in _grouped(every, rows)]


def _column(name: str, array: Any) -> _Column:
    if not is_static_column(array):
        return _Column(name, array, None)
    # datetimes of nanoseconds would become ints as a list
    return _Column(name, array, list(array) if array.dtype.kind in "Mm" else array.tolist())


def _grouped(columns: Sequence[_Column], rows: int) -> Sequence[Indices]:
    """The numbers of the rows of each group."""
    groups: dict[tuple[object, ...], list[int]] = {}
    static = [column for column in columns if column.statics is not None]
    for row in range(rows):
        groups.setdefault(tuple(column.key(row) for column in static), []).append(row)
    return [np.array(numbers, dtype=np.intp) for numbers in groups.values()]


def _group(
    args: Sequence[object],
    structures: Mapping[int, Structure],
    columns: Mapping[int, Sequence[_Column]],
    rows: Indices,
) -> RowGroup:
    """Some rows that share all static values.

    Raises:
        InputError: where no array is left, so that nothing says how many rows there are.
    """
    own = {
        index: build(structure, [column.part(rows) for column in columns[index]])
        for index, structure in structures.items()
    }
    first = int(rows[0])
    mapped = tuple(i for i, found in columns.items() if any(c.key(first) == () for c in found))
    every = [column for found in columns.values() for column in found]
    shared = ", ".join(
        f"{column.name}={column.statics[first]!r}"
        for column in every
        if column.statics is not None and column.key(first) != ()
    )
    if not mapped:
        raise InputError(
            f"the rows with {shared} hold no number ({here()}): map a column of numbers beside"
        )
    return RowGroup(
        rows, tuple(own.get(index, value) for index, value in enumerate(args)), mapped, shared
    )


def _is_number(value: object) -> bool:
    return isinstance(value, bool | np.bool_) or (
        not isinstance(value, Enum) and real_number(value, ints=True) is not None
    )
