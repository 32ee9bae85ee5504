"""Reads a mapped argument some rows at a time: arrays, iterators of blocks of rows, Dask arrays.

The rows come first. No more is read and turned into float64 than is asked for, so that a file or
a stream of any length goes through in constant memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast, final

import attrs
import numpy as np

from tapegrad._support.source_position import here
from tapegrad.batch.arrays import (
    Array,
    Floats,
    Namer,
    as_float64,
    checked_array,
    common_rows,
    is_dask,
    split_arrays,
)
from tapegrad.batch.file_arrays import FileArray, file_array
from tapegrad.errors import InputError
from tapegrad.pytree.key_paths import Keys
from tapegrad.pytree.matching import in_order
from tapegrad.pytree.structure import Structure, build

if TYPE_CHECKING:
    from numpy.typing import NDArray


__all__ = ["MappedArgument", "mapped_argument"]

_INTS: Final = "iu"
"""Numpy's kinds of which a function gets ints."""


@final
@attrs.frozen(eq=False)
class MappedArgument:
    """An argument whose arrays have the rows first.

    ``rows`` is None where their number is known only at the end. ``read`` gives the rows from a
    start to a stop, or to the last, of all arrays, with one axis or two. ``row_shapes`` are the
    shapes of a row, ``kinds`` are numpy's kinds of the arrays, and ``dask_chunk`` is the number of
    rows that a Dask array computes together. Rows of files are not ``sent`` to workers.
    """

    structure: Structure
    row_shapes: tuple[tuple[int, ...], ...]
    kinds: tuple[str, ...]
    rows: int | None
    read: Callable[[int, int], Sequence[Array]]
    dask_chunk: int = 0
    sent: bool = True

    def row(self, numbers: Sequence[Floats], *, as_given: bool = False) -> object:
        """The argument as the function gets it for one row; a row of an array is a tuple.

        What is ``as_given`` has ints where the arrays have; recordings take floats.
        """
        kinds = self.kinds if as_given else "f" * len(self.kinds)
        parts = zip(numbers, self.row_shapes, kinds, strict=True)
        return build(self.structure, [_row_of(part, shape, kind) for part, shape, kind in parts])

    @property
    def width(self) -> int:
        """The count of numbers in a row."""
        return sum(int(np.prod(shape)) for shape in self.row_shapes)


def mapped_argument(value: object, name: Namer) -> MappedArgument:
    """An argument split into its arrays; ``name`` names one of them in a message.

    Raises:
        InputError: where it holds a number that is the same for all rows, a ragged list, or an
            array of another kind of number.
    """
    if isinstance(value, Iterator):
        stream = _BlockStream(value, name)
        return MappedArgument(stream.structure, stream.row_shapes, stream.kinds, None, stream.read)
    structure, found = _checked(value, name)
    keys, arrays = tuple(found), [_in_place(array) for array in found.values()]
    rows = common_rows([array.shape[0] for array in arrays], lambda index: name(keys[index]))
    return MappedArgument(
        structure,
        row_shapes=tuple(array.shape[1:] for array in arrays),
        kinds=tuple(array.dtype.kind for array in arrays),
        rows=rows,
        read=lambda start, stop: [_flat(array[start:stop]) for array in arrays],
        dask_chunk=max(map(_dask_chunk, arrays)),
        sent=not all(isinstance(array, FileArray) for array in arrays),
    )


def _checked(value: object, name: Namer) -> tuple[Structure, Mapping[Keys, Array]]:
    structure, arrays = split_arrays(value, name)
    return structure, {keys: checked_array(array, name(keys)) for keys, array in arrays.items()}


def _in_place(array: Array) -> Array:
    """The array, or its place in a file where it is mapped from one."""
    return array if is_dask(array) else file_array(cast("NDArray[Any]", array)) or array


def _dask_chunk(array: Array) -> int:
    chunks = cast("tuple[tuple[int, ...], ...]", getattr(array, "chunks", ()))
    return max(chunks[0]) if chunks else 0


def _flat(array: Any) -> Array:
    """The same rows with one axis or two."""
    return cast(Array, array if array.ndim < 3 else array.reshape(array.shape[0], -1))


def _row_of(numbers: NDArray[Any], shape: tuple[int, ...], kind: str) -> object:
    """The numbers of a row of an array: one, or a tuple for each axis."""
    if kind in _INTS:
        numbers = numbers.astype(np.int64)
    if len(shape) > 1:
        return _tuples(numbers.reshape(shape).tolist(), len(shape))
    values: Any = numbers.tolist()
    return tuple(values) if shape else values


def _tuples(values: list[Any], axes: int) -> tuple[Any, ...]:
    """Nested lists as nested tuples."""
    return tuple(values) if axes == 1 else tuple([_tuples(part, axes - 1) for part in values])


@final
class _BlockStream:
    """An iterator of blocks of any number of rows, regrouped as they are read."""

    def __init__(self, blocks: Iterator[object], name: Namer) -> None:
        self._blocks, self._name = blocks, name
        self._count = 0
        first = next(blocks, None)
        if first is None:
            raise InputError(f"{name(())} has no blocks ({here()}): pass one at least")
        self.structure, arrays = _checked(first, name)
        self._keys = tuple(arrays)
        self.row_shapes = tuple(array.shape[1:] for array in arrays.values())
        self.kinds = ("f",) * len(arrays)  # the next block may have others
        self._unread: list[list[Floats]] = []
        self._unread_rows = 0
        self._keep(arrays)

    def read(self, start: int, stop: int) -> Sequence[Array]:
        """The next ``stop - start`` rows, or as many as are left."""
        count = stop - start
        while self._unread_rows < count and self._fetch():
            pass
        taken: list[list[Floats]] = []
        while self._unread and count:
            block = self._unread.pop(0)
            taken.append([array[:count] for array in block])
            if len(block[0]) > count:
                self._unread.insert(0, [array[count:] for array in block])
            count -= len(taken[-1][0])
        self._unread_rows -= sum(len(block[0]) for block in taken)
        if not taken:
            return [np.empty((0, *shape)) for shape in self.row_shapes]
        return [np.concatenate(parts) for parts in zip(*taken, strict=True)]

    def _fetch(self) -> bool:
        """Takes the next block from the iterator; false where there is none."""
        for block in self._blocks:
            structure, arrays = _checked(in_order(self.structure, block), self._name)
            if structure != self.structure:
                raise InputError(
                    f"block {self._count} of {self._name(())} ({here()}) is built differently from "
                    "the first: yield the same containers of arrays"
                )
            for (keys, array), shape in zip(arrays.items(), self.row_shapes, strict=True):
                if array.shape[1:] != shape:
                    raise InputError(
                        f"block {self._count} of {self._name(keys)} has rows of shape "
                        f"{array.shape[1:]} and the first has {shape} ({here()}): yield blocks of "
                        "one width"
                    )
            self._keep(arrays)
            return True
        return False

    def _keep(self, arrays: Mapping[Keys, Array]) -> None:
        """Keeps a copy of a block until its rows are read."""
        self._count += 1
        counts = [array.shape[0] for array in arrays.values()]
        if not counts or max(counts):
            self._unread_rows += common_rows(counts, lambda index: self._name(self._keys[index]))
            self._unread.append([as_float64(_flat(array)).copy() for array in arrays.values()])
