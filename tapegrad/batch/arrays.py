"""Arrays in arguments with the rows first: finds them, checks them, and turns them into float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, time, timedelta
from enum import Enum
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, cast

import numpy as np

from tapegrad._support.source_position import here
from tapegrad._support.text import describe
from tapegrad.errors import InputError
from tapegrad.pytree.containers import container_kind
from tapegrad.pytree.key_paths import Keys
from tapegrad.pytree.structure import Branch, Leaf, Static, Structure

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "STATIC_VALUES", "Array", "Floats", "Namer", "RowNumbers", "as_float64", "checked_array",
    "common_rows", "is_dask", "is_static_column", "require_no_nan", "split_arrays",
]  # fmt: skip

Floats: TypeAlias = "NDArray[np.float64]"
RowNumbers: TypeAlias = "range | NDArray[np.intp]"
"""The numbers of some rows in their batch."""

Namer: TypeAlias = Callable[[Keys], str]
"""Gives the name, for a message, of what stands under some keys of an argument."""

STATIC_VALUES: Final = (
    str,
    bytes,
    Enum,
    date,
    time,
    timedelta,
    NoneType,
    np.datetime64,
    np.timedelta64,
)
"""Values that are static where a row has them."""
_STATIC_KINDS: Final = frozenset("OUSMm")
"""The kinds of numpy's arrays that hold such values."""

_LONGEST: Final = 8
"""The most bytes of a number; a longer one would lose digits as a float64."""


class Array(Protocol):
    """Numbers with the rows first: numpy's array, or one like it that is read when needed."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The kind of the numbers."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of rows, and the shape of one."""

    @property
    def ndim(self) -> int:
        """The number of axes."""

    def __getitem__(self, rows: slice, /) -> Any: ...


def split_arrays(value: object, name: Namer) -> tuple[Structure, dict[Keys, object]]:
    """The structure of an argument, with a leaf for each array, and the arrays by their keys.

    A list of numbers, or of such lists, stands for an array.

    Raises:
        InputError: where there is a single number, or a list of rows of different lengths.
    """
    arrays: dict[Keys, object] = {}
    return _split(value, (), name, arrays), arrays


def _split(value: object, keys: Keys, name: Namer, arrays: dict[Keys, object]) -> Structure:
    if isinstance(value, STATIC_VALUES):
        return Static(value)
    if type(value) in {list, tuple} and not value and keys:
        return Branch(type(value), (), ())  # in a container: no rows, but none of its parts either
    if type(value) in {list, tuple} and is_static_column(value):
        value = _of_objects(cast("Sequence[object]", value))
    elif type(value) in {list, tuple} and _is_numbers(cast("Sequence[object]", value)):
        value = _stacked(cast("Sequence[object]", value), name(keys))
    if hasattr(value, "__array__"):
        arrays[keys] = value
        return Leaf()
    if isinstance(value, int | float | complex):
        raise InputError(
            f"{name(keys)} is {describe(value)} in a mapped argument ({here()}): pass an array "
            "with a number for each row (columns, not a list of rows), or map None for the argument"
        )
    kind = container_kind(type(value))
    if kind is None:
        return Static(value)
    names, parts = kind.open(value)
    children = tuple(
        Static(part)
        if kind.is_static_number(key, part)
        else _split(part, (*keys, key), name, arrays)
        for key, part in zip(names, parts, strict=True)
    )
    return Branch(type(value), names, children)


def is_static_column(value: object) -> bool:
    """Whether something stands for a column with text, dates, enums or None in it."""
    if type(value) in {list, tuple}:
        kinds = set(map(type, cast("Sequence[object]", value)))
        return any(issubclass(kind, STATIC_VALUES) for kind in kinds)
    dtype = getattr(value, "dtype", None)
    return getattr(dtype, "kind", "") in _STATIC_KINDS and getattr(value, "ndim", 0) == 1


def _of_objects(column: Sequence[object]) -> object:
    """A column as an array of objects, one for each row."""
    array = np.empty(len(column), dtype=object)
    array[:] = column
    return array


def _is_numbers(value: Sequence[object]) -> bool:
    """Whether a list holds numbers, or lists of them, and so stands for an array."""
    first = value[0] if value else 0.0
    if type(first) in {list, tuple}:
        return bool(first) and _is_numbers(cast("Sequence[object]", first))
    return isinstance(first, int | float)


def _stacked(value: Sequence[object], name: str) -> object:
    try:
        return np.array(value)
    except ValueError:
        raise InputError(
            f"{name} is a list whose rows have different lengths ({here()}): pass an array, or "
            "rows of one length"
        ) from None


def checked_array(value: object, name: str) -> Array:
    """An array as numpy's or Dask's, without a copy.

    Raises:
        InputError: unless it holds real numbers of up to 8 bytes, none masked, in one row or more
            than one axis.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise InputError(
            f"{name} is a masked array ({here()}): pass its rows that are not masked, or filled()"
        )
    array = cast(Array, value if is_dask(value) else np.asanyarray(value))
    if array.dtype.kind not in "biuf" or array.ndim == 0 or array.dtype.itemsize > _LONGEST:
        what = f"an array of {array.dtype}" if array.ndim else f"a single {array.dtype}"
        raise InputError(
            f"{name} is {what} ({here()}): pass an array of float64 with the rows first"
        )
    if array.shape[0] != array.shape[0]:  # Dask writes an unknown length as nan
        raise InputError(
            f"{name} has chunks of unknown length ({here()}): call its compute_chunk_sizes() first"
        )
    return array


def is_dask(value: object) -> bool:
    """Whether it is a Dask array, whose numbers are not here yet."""
    return hasattr(value, "dask") and hasattr(value, "chunks")


def as_float64(array: Array) -> Floats:
    """The numbers as compiled code reads them: float64, those of a row side by side."""
    found = np.asarray(array)
    side_by_side = found.ndim == 1 or found.strides[1] == 8 or found.shape[1] == 1
    if found.dtype == np.float64 and side_by_side and found.strides[0] % 8 == 0:
        return found if found.flags.aligned else found.copy()
    if found.dtype.kind in "iu" and found.dtype.itemsize == _LONGEST:
        _require_exact(found)
    return np.ascontiguousarray(found, dtype=np.float64)


def _require_exact(ints: NDArray[Any]) -> None:
    """Refuses ints that would be rounded."""
    beyond = ints[(ints > 2**53) | (ints < -(2**53))]
    if beyond.size:
        raise InputError(
            f"a mapped column holds the int {beyond.flat[0]} ({here()}), which no float64 holds: "
            "pass such numbers as text, or smaller ones"
        )


def common_rows(counts: Sequence[int], name: Callable[[int], str]) -> int:
    """The number of rows that all arrays have, whose names are ``name(0)`` and so on.

    Raises:
        InputError: where they differ, or there are none.
    """
    if not counts:
        raise InputError(f"the mapped arguments hold no array ({here()}): pass one with the rows")
    rows = counts[0]
    for index, count in enumerate(counts):
        if count != rows:
            raise InputError(
                f"{name(0)} has {rows:,} rows and {name(index)} has {count:,} ({here()}): pass "
                "arrays of equal length"
            )
    if not rows:
        raise InputError(f"{name(0)} has no rows ({here()}): pass one at least")
    return rows


def require_no_nan(array: NDArray[np.generic], name: str) -> None:
    """Refuses an array that holds nan.

    Raises:
        InputError: which names the first row with a nan, and how many more there are.
    """
    if array.dtype.kind != "f" or not np.isnan(array).any():
        return
    if array.ndim == 0:
        raise InputError(
            f"{name} is nan ({here()}): put a number there, or pass check_finite=False"
        )
    rows = np.isnan(array).reshape(len(array), -1).any(axis=1)
    count = int(rows.sum()) - 1
    more = f", and {count:,} more do" if count else ""
    raise InputError(
        f"row {int(rows.argmax()):,} of {name} holds nan{more} ({here()}): leave such rows out, or "
        "pass check_finite=False"
    )
