"""Reads a mapped argument piece by piece: arrays, iterators of blocks of rows, Dask arrays.

The rows come first. No more is read and turned into float64 than is asked for, so that a file or
a stream of any length goes through in constant memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, cast, final

import attrs
import numpy as np

from tapegrad._support.source_position import here
from tapegrad._support.text import describe
from tapegrad.batch.file_arrays import FileArray, file_array
from tapegrad.errors import InputError
from tapegrad.pytree.containers import keys_and_parts
from tapegrad.pytree.key_paths import Keys
from tapegrad.pytree.matching import in_order
from tapegrad.pytree.structure import Branch, Leaf, Static, Structure, build

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]

__all__ = [
    "Array", "MappedArgument", "Namer", "as_float64", "common_rows", "is_dask", "mapped_argument",
]  # fmt: skip

Namer: TypeAlias = Callable[[Keys], str]
"""Gives the path of what stands under some keys of an argument."""


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


@final
@attrs.frozen(eq=False)
class MappedArgument:
    """An argument whose arrays have the rows first.

    ``rows`` is None where their number is known only at the end. ``read`` gives the rows from a
    start to a stop, or to the last, of all arrays, with one axis or two. ``tails`` are the shapes
    of a row, and ``chunk`` is the number of rows that a Dask array computes together. Rows of files
    are not ``sent`` to workers.
    """

    structure: Structure
    keys: tuple[Keys, ...]
    tails: tuple[tuple[int, ...], ...]
    rows: int | None
    read: Callable[[int, int], Sequence[Array]]
    chunk: int = 0
    sent: bool = True

    def row(self, numbers: Sequence[Floats]) -> object:
        """The argument as the function gets it for one row; a row of an array is a tuple."""
        parts = zip(numbers, self.tails, strict=True)
        return build(self.structure, [_tuples(part.reshape(tail).tolist()) for part, tail in parts])

    @property
    def width(self) -> int:
        """The count of numbers in a row."""
        return sum(int(np.prod(tail)) for tail in self.tails)


def mapped_argument(value: object, name: Namer) -> MappedArgument:
    """An argument taken apart into its arrays; ``name`` gives the path of one of its arrays.

    Raises:
        InputError: where it holds a number that is the same for all rows, a ragged list, or an
            array of another kind of number.
    """
    if isinstance(value, Iterator):
        return _Stream(value, name).argument()
    structure, arrays = _taken_apart(value, name)
    keys = tuple(arrays)
    rows = common_rows([array.shape[0] for array in arrays.values()], lambda i: name(keys[i]))

    def read(start: int, stop: int) -> Sequence[Array]:
        return [_flat(array[start:stop]) for array in arrays.values()]

    tails = tuple(array.shape[1:] for array in arrays.values())
    chunk = max((_chunk(array) for array in arrays.values()), default=0)
    sent = not all(isinstance(array, FileArray) for array in arrays.values())
    return MappedArgument(structure, keys, tails, rows, read, chunk, sent)


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


def _taken_apart(value: object, name: Namer) -> tuple[Structure, dict[Keys, Array]]:
    arrays: dict[Keys, Array] = {}
    return _split(value, (), name, arrays), arrays


def _split(value: object, keys: Keys, name: Namer, arrays: dict[Keys, Array]) -> Structure:
    if type(value) in {list, tuple} and _is_numbers(cast("Sequence[object]", value)):
        value = _stacked(cast("Sequence[object]", value), name(keys))
    if hasattr(value, "__array__"):
        arrays[keys] = _checked(value, keys, name)
        return Leaf()
    if isinstance(value, int | float | complex):
        raise InputError(
            f"{name(keys)} is {describe(value)} in a mapped argument ({here()}): pass an array "
            "with a number for each row, or map None for the argument"
        )
    parts = keys_and_parts(value)
    if parts is None:
        return Static(value)
    children = tuple(
        _split(child, (*keys, key), name, arrays) for key, child in zip(*parts, strict=True)
    )
    return Branch(type(value), parts[0], children)


def _is_numbers(value: Sequence[object]) -> bool:
    """Whether a list holds numbers, or lists of them, and so stands for an array."""
    first = value[0] if value else 0.0
    if type(first) in {list, tuple}:
        return _is_numbers(cast("Sequence[object]", first))
    return isinstance(first, int | float)


def _stacked(value: Sequence[object], name: str) -> object:
    try:
        return np.array(value)
    except ValueError:
        raise InputError(
            f"{name} is a list whose rows have different lengths ({here()}): pass an array, or "
            "rows of one length"
        ) from None


def _checked(value: object, keys: Keys, name: Namer) -> Array:
    """An array of real numbers, as it is."""
    if isinstance(value, np.ma.MaskedArray):
        raise InputError(
            f"{name(keys)} is a masked array ({here()}): pass its rows that are not masked, or "
            "filled()"
        )
    array = cast(Array, value if is_dask(value) else _in_place(np.asanyarray(value)))
    if array.dtype.kind not in "fiu" or array.ndim == 0 or array.dtype.itemsize > _LONGEST:
        what = f"an array of {array.dtype}" if array.ndim else f"a single {array.dtype}"
        raise InputError(
            f"{name(keys)} is {what} ({here()}): pass an array of float64 with the rows first"
        )
    if array.shape[0] != array.shape[0]:
        raise InputError(
            f"{name(keys)} has chunks of unknown length ({here()}): call its "
            "compute_chunk_sizes() first"
        )
    return array


def _in_place(array: NDArray[Any]) -> object:
    """The array, or its place where it is a file."""
    return file_array(array) or array


_LONGEST: Final = 8
"""Bytes of a number; a longer one would lose digits."""


def is_dask(value: object) -> bool:
    """Whether it is a Dask array, whose numbers are not here yet."""
    return hasattr(value, "dask") and hasattr(value, "chunks")


def _chunk(array: Array) -> int:
    chunks = cast("tuple[tuple[int, ...], ...]", getattr(array, "chunks", ()))
    return max(chunks[0]) if chunks else 0


def _flat(array: Any) -> Array:
    """The same rows with one axis or two."""
    return cast(Array, array if array.ndim < 3 else array.reshape(array.shape[0], -1))


def as_float64(array: Array) -> Floats:
    """The numbers as compiled code reads them: float64, those of a row side by side."""
    found = np.asarray(array)
    side_by_side = found.ndim == 1 or found.strides[1] == 8 or found.shape[1] == 1
    if found.dtype == np.float64 and side_by_side and found.strides[0] % 8 == 0:
        return found if found.flags.aligned else found.copy()
    return np.ascontiguousarray(found, dtype=np.float64)


def _tuples(value: object) -> object:
    """Nested lists as nested tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


@final
class _Stream:
    """An iterator of blocks of any number of rows, regrouped as they are read."""

    def __init__(self, blocks: Iterator[object], name: Namer) -> None:
        self.blocks, self.name = blocks, name
        self.count = 0
        first = next(blocks, None)
        if first is None:
            raise InputError(f"{name(())} has no blocks ({here()}): pass one at least")
        self.structure, arrays = _taken_apart(first, name)
        self.keys = tuple(arrays)
        self.tails = tuple(array.shape[1:] for array in arrays.values())
        self.held: list[list[Floats]] = []
        self.rows = 0
        self.hold(arrays)

    def argument(self) -> MappedArgument:
        return MappedArgument(self.structure, self.keys, self.tails, None, self.read)

    def hold(self, arrays: dict[Keys, Array]) -> None:
        """Keeps a block until its rows are read."""
        self.count += 1
        counts = [array.shape[0] for array in arrays.values()]
        if not counts or max(counts):
            self.rows += common_rows(counts, lambda index: self.name(self.keys[index]))
            self.held.append([as_float64(_flat(array)).copy() for array in arrays.values()])

    def next(self) -> bool:
        """Takes the next block; whether there is one."""
        for block in self.blocks:
            structure, arrays = _taken_apart(in_order(self.structure, block), self.name)
            if structure != self.structure:
                raise InputError(
                    f"block {self.count} of {self.name(())} ({here()}) is built differently from "
                    "the first: yield the same containers of arrays"
                )
            for keys, array, tail in zip(self.keys, arrays.values(), self.tails, strict=True):
                self.require(keys, array.shape[1:], tail)
            self.hold(arrays)
            return True
        return False

    def require(self, keys: Keys, given: tuple[int, ...], tail: tuple[int, ...]) -> None:
        if given != tail:
            raise InputError(
                f"block {self.count} of {self.name(keys)} has rows of shape {given} and the first "
                f"has {tail} ({here()}): yield blocks of one width"
            )

    def read(self, start: int, stop: int) -> Sequence[Array]:
        """The next rows, up to so many."""
        count = stop - start
        while self.rows < count and self.next():
            pass
        taken: list[list[Floats]] = []
        while self.held and count:
            block = self.held.pop(0)
            taken.append([array[:count] for array in block])
            if len(block[0]) > count:
                self.held.insert(0, [array[count:] for array in block])
            count -= len(taken[-1][0])
        self.rows -= sum(len(block[0]) for block in taken)
        if not taken:
            return [np.empty((0, *tail)) for tail in self.tails]
        return [np.concatenate(parts) for parts in zip(*taken, strict=True)]
