"""Data with the rows first: some of its rows, in an order that a seed decides, and as columns.

A list has its rows as elements and an array along its first axis. Dicts, classes, and tuples with
lists or arrays in them hold columns, which have the rows; other tuples are like lists. Numbers,
texts and None are the same for all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, final

from tapegrad._support.argument_checks import require_positive
from tapegrad._support.source_position import here
from tapegrad._support.text import describe
from tapegrad.errors import InputError
from tapegrad.ops.array_support import is_array, is_frame, serving
from tapegrad.pytree.containers import ContainerKind, container_kind
from tapegrad.pytree.key_paths import Keys, input_key_path, key_path
from tapegrad.pytree.structure import Branch, Role, Static, Structure, split_value

__all__ = ["Batches", "Rows", "one_row"]


@final
class Rows:
    """The arguments of a function after the first, of which some have rows.

    ``has_rows`` says which, and ``count`` is the number of rows, None where nothing has any. Where
    rows ``are_used`` by no one, all are taken as they are, whatever they are.

    Raises:
        InputError: when they have different numbers of rows, or none.
    """

    count: int | None

    def __init__(
        self, f: Callable[..., object], data: Sequence[object], *, are_used: bool = True
    ) -> None:
        self.data: tuple[object, ...] = tuple(data)
        lengths: dict[str, int] = {}
        self.has_rows: list[bool] = []
        for place, value in enumerate(data):
            found = _lengths(value, ()) if are_used else []
            self.has_rows.append(bool(found))
            lengths |= {input_key_path(f, (place,), keys): many for keys, many in found}
        _require_equal(lengths)
        self.count = next(iter(lengths.values()), None)

    def take(self, places: Sequence[int]) -> tuple[object, ...]:
        """The arguments with these rows alone."""
        pairs = zip(self.data, self.has_rows, strict=True)
        return tuple(_taken(value, places) if has else value for value, has in pairs)

    def columns(self) -> Rows:
        """The same with columns of numbers in the place of rows, as ``vmap`` takes them."""
        made = Rows.__new__(Rows)
        made.has_rows, made.count = self.has_rows, self.count
        pairs = zip(self.data, self.has_rows, strict=True)
        made.data = tuple(_columns(value) if has else value for value, has in pairs)
        return made

    def is_traceable(self) -> bool:
        """Whether the rows hold floats alone, so that code compiled for some runs on others."""
        pairs = zip(self.data, self.has_rows, strict=True)
        return not any(has and _holds_statics(split_value(x, Role.ARRAYS, [])) for x, has in pairs)


def one_row(data: Sequence[object], has_rows: Sequence[bool], place: int) -> tuple[object, ...]:
    """The arguments of a function of one row; ``has_rows`` says which have any."""
    pairs = zip(data, has_rows, strict=True)
    return tuple(_row_at(value, place) if has else value for value, has in pairs)


@final
class Batches:
    """The rows of each step: all of them, or so many at a time, until an epoch has had them all.

    Which rows a step has depends on the seed and on the step alone.
    """

    def __init__(self, rows: Rows, size: int | None, seed: int, *, shuffles: bool) -> None:
        self._rows, self._seed, self._shuffles = rows, seed, shuffles
        self._size = size if size is None else _checked_size(rows, size)
        self._epoch: tuple[int, list[int]] = (-1, [])

    @property
    def in_epoch(self) -> int:
        """The number of steps in which every row is met once."""
        return 1 if self._size is None else -(-(self._rows.count or 0) // self._size)

    def at(self, step: int) -> tuple[object, ...]:
        """The data of a step, of which the first is 0."""
        if self._size is None:
            return self._rows.data
        epoch, place = divmod(step, self.in_epoch)
        if self._epoch[0] != epoch:
            self._epoch = epoch, self._order(epoch)
        return self._rows.take(self._epoch[1][place * self._size : (place + 1) * self._size])

    def _order(self, epoch: int) -> list[int]:
        order = list(range(self._rows.count or 0))
        if self._shuffles:
            Random(f"{self._seed}, {epoch}").shuffle(order)
        return order


def _checked_size(rows: Rows, size: int) -> int:
    if rows.count is None:
        raise InputError(
            f"batch_size={size} ({here()}) and no data have rows: pass lists or arrays after the "
            "parameters"
        )
    require_positive("batch_size", size)
    if size > rows.count:
        raise InputError(
            f"batch_size is {size:,} and there are {rows.count:,} rows ({here()}): pass at most "
            "that many"
        )
    return size


def _require_equal(lengths: dict[str, int]) -> None:
    first, *others = [*lengths.items()] or [("", 1)]
    for name, many in others:
        if many != first[1]:
            raise InputError(
                f"{first[0]} has {first[1]:,} rows and {name} {many:,} ({here()}): pass data of "
                "one length"
            )
    if first[1] == 0:
        raise InputError(f"{first[0]} has no rows ({here()}): pass one or more")


def _kind_of_columns(value: object) -> ContainerKind | None:
    """How a container of columns is opened; None for what is no such container."""
    if type(value) is list:
        return None
    if type(value) is tuple and not any(_is_column(part) for part in value):
        return None
    return container_kind(type(value))


def _is_column(value: object) -> bool:
    is_list = type(value) is list or is_array(value)
    return is_list or (type(value) is tuple and any(map(_is_column, value)))


def _lengths(value: object, keys: Keys) -> list[tuple[Keys, int]]:
    """The number of rows of each column in an argument, and the keys that lead to it."""
    if is_frame(value):
        raise InputError(
            f"{key_path(keys) or 'the data'} is {describe(value)} ({here()}): pass its "
            "to_numpy(), or its columns as a dict of arrays"
        )
    kind = _kind_of_columns(value)
    if kind is not None:
        names, parts = kind.open(value)
        pairs = zip(names, parts, strict=True)
        return [one for name, part in pairs for one in _lengths(part, (*keys, name))]
    is_column = type(value) in {list, tuple} or (is_array(value) and getattr(value, "ndim", 0) > 0)
    return [(keys, len(value))] if is_column else []  # type: ignore[arg-type]  # it has a length


def _taken(value: Any, places: Sequence[int]) -> object:
    kind = _kind_of_columns(value)
    if kind is not None:
        keys, parts = kind.open(value)
        return kind.close(type(value), keys, [_taken(part, places) for part in parts])
    if type(value) in {list, tuple}:
        return type(value)([value[place] for place in places])
    return value[list(places)] if is_array(value) and value.ndim else value


def _row_at(value: Any, place: int) -> object:
    """A row of an argument that has some; that of an array as plain numbers."""
    kind = _kind_of_columns(value)
    if kind is not None:
        keys, parts = kind.open(value)
        return kind.close(type(value), keys, [_row_at(part, place) for part in parts])
    if type(value) in {list, tuple}:
        return value[place]
    if not (is_array(value) and value.ndim):
        return value
    return tuple(value[place].tolist()) if value.ndim > 1 else value[place].item()


def _columns(value: Any) -> object:
    """Rows as columns: one of numbers, or a container with one for each part of a row."""
    kind = _kind_of_columns(value)
    if kind is not None:
        keys, parts = kind.open(value)
        return kind.close(type(value), keys, [_columns(part) for part in parts])
    row = value[0] if type(value) in {list, tuple} else None
    inner = None if row is None else container_kind(type(row))
    if inner is None or _is_vector(row):
        return value if is_array(value) else serving("learn.arrays").column(value)
    if any(type(one) is not type(row) for one in value):
        raise InputError(
            f"the data have rows of several kinds ({here()}): pass rows of one class, or columns"
        )
    keys, _ = inner.open(row)
    rows = [tuple(inner.open(one)[1]) for one in value]
    return inner.close(type(row), keys, [_columns(list(part)) for part in zip(*rows, strict=True)])


def _is_vector(row: object) -> bool:
    """Whether a row is a list or a tuple of numbers, which may stand in an array."""
    if type(row) not in {list, tuple}:
        return False
    return all(isinstance(x, int | float) for x in row)  # type: ignore[attr-defined]  # a sequence


def _holds_statics(structure: Structure) -> bool:
    if isinstance(structure, Branch):
        return any(map(_holds_statics, structure.children))
    return isinstance(structure, Static)
