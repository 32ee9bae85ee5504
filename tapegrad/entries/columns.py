"""The entries of a tape in columns, which every reading works on."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import compress
from math import isfinite, isnan, nan
from typing import TypeAlias, TypedDict, cast, final

import attrs

from tapegrad.ops.array_support import serving
from tapegrad.ops.primitive import Operand, Primitive, Shape, Table, Traced, primal

__all__ = [
    "CheckpointedBlock", "EntryColumns", "FrozenColumns", "Scope", "Stored", "StoredArrays",
    "freeze", "freeze_values",
]  # fmt: skip


@final
@attrs.frozen
class Scope:
    """The entries ``start <= slot < stop``, recorded inside a function named by ``@scope``."""

    name: str
    start: int
    stop: int
    parent: int | None


@final
@attrs.define(eq=False, repr=False)  # never changed; freezing costs more than a small gradient may
class EntryColumns:
    """The entries of a tape: entry *i* is row ``codes[i]`` applied to its operands.

    One or two operands stand in ``left`` and ``right`` (-1 for none); a row with more, or with any
    number, has its operands in ``pool[left : left + right]``. A static operand is
    ``statics[right]``, and for a row with its operands in the pool ``statics[pool[left + right]]``.
    With ``on_arrays`` some values are arrays.
    """

    table: Table
    codes: Sequence[int]
    left: Sequence[int]
    right: Sequence[int]
    values: Sequence[Operand]
    pool: Sequence[int]
    statics: Sequence[object]
    traced: bool
    on_arrays: bool = False

    def __len__(self) -> int:
        return len(self.codes)

    def row(self, slot: int) -> Primitive:
        """The row that entry ``slot`` applies."""
        return self.table.rows[self.codes[slot]]

    def operands(self, slot: int) -> tuple[int, ...]:
        """The slots that entry ``slot`` reads."""
        row, left, right = self.row(slot), self.left[slot], self.right[slot]
        if row.is_pooled:
            return tuple(self.pool[left : left + right])
        if row.arity == 2:
            return left, right
        return (left,) if row.arity == 1 else ()

    def static(self, slot: int) -> tuple[object, ...]:
        """The static operand of entry ``slot``, if its row has one."""
        return (self.statics[self.static_at(slot)],) if self.row(slot).has_static else ()

    def static_at(self, slot: int) -> int:
        """The index in ``statics`` of the operand of entry ``slot``, if its row has one."""
        right = self.right[slot]
        pooled = self.row(slot).is_pooled and self.row(slot).has_static
        return self.pool[self.left[slot] + right] if pooled else right

    def arguments(self, slot: int) -> tuple[Operand, ...]:
        """The operands of entry ``slot`` that its row takes: their values, then the static one."""
        values = tuple(self.values[operand] for operand in self.operands(slot))
        return values + cast("tuple[Operand, ...]", self.static(slot))

    def partials(
        self, slot: int, reached: Sequence[object] | None = None
    ) -> Iterator[tuple[int, Operand]]:
        """The operands of entry ``slot``, each with the partial derivative in it.

        Operands that the row is flat in are left out, and those for which ``reached`` has None.
        """
        row, arguments = self.row(slot), (self.values[slot], *self.arguments(slot))
        partial_in = None if row.at_once is None else row.each_partial(*arguments)
        for index, operand in enumerate(self.operands(slot)):
            if reached is None or reached[operand] is not None:
                partial = partial_in(index) if partial_in else row.partial(index, *arguments)
                if partial is not None:
                    yield operand, partial

    def reads(self, *, backwards: bool = False) -> Iterator[tuple[int, int]]:
        """Each entry with each slot that it reads, from the first entry on or from the last."""
        kinds = [3 if row.is_pooled else row.arity or 0 for row in self.table.rows]
        columns = (range(len(self)), self.codes, self.left, self.right)
        ordered = map(reversed, columns) if backwards else columns
        for slot, code, left, right in zip(*ordered, strict=True):
            kind = kinds[code]
            if kind == 3:
                for operand in self.pool[left : left + right]:
                    yield slot, operand
            elif kind:
                yield slot, left
                if kind == 2:
                    yield slot, right

    def slots_of(self, *rows: Primitive) -> Iterator[int]:
        """The entries that apply one of these rows."""
        codes = {self.table.codes[row] for row in rows}
        return compress(range(len(self)), map(codes.__contains__, self.codes))

    def guards(self) -> Iterator[int]:
        """The entries that record what Python asked of a number."""
        return self.slots_of(*(row for row in self.table.rows if row.kind == "guard"))

    def outcome(self, slot: int) -> float:
        """How a guard came out: a bool, or the int that Python asked for; nan where it was none."""
        value = primal(self.values[slot])
        if self.row(slot).is_truth:
            return value != 0.0
        return int(value) if isfinite(value) else value

    def as_lists(self) -> EntryColumns:
        """The same columns as lists, which Python indexes fastest."""
        return attrs.evolve(
            self,
            codes=list(self.codes),
            left=list(self.left),
            right=list(self.right),
            values=list(self.values),
            pool=list(self.pool),
        )


class CheckpointedBlock:
    """A static operand that stands for entries which are recorded again when they are swept."""

    __slots__ = ()

    def record_again(self, operands: Sequence[float]) -> tuple[EntryColumns, Sequence[int]]:
        """The entries, the operands first, and the slots of those that the next entries read."""
        raise NotImplementedError


class FrozenColumns(TypedDict):
    """The columns of a tape that never changes, as the fields of ``Entries``."""

    table: Table
    codes: bytes
    left: bytes
    right: bytes
    stored: Stored
    pool: bytes
    statics: tuple[object, ...]


@final
@attrs.frozen
class StoredArrays:
    """The values of entries some of which are arrays, as bytes.

    ``forms`` are the kinds and shapes that there are: "d" for floats, "?" for truth values, "l" for
    whole numbers, and "" for a view of its operand, which takes no bytes. ``form_of`` has two bytes
    an entry. They were computed by the entries ``of``, where those are known; that does not travel.
    """

    cells: bytes
    forms: tuple[tuple[str, Shape], ...]
    form_of: bytes
    of: tuple[object, ...] | None = attrs.field(default=None, eq=False, repr=False)

    def __reduce__(self) -> tuple[type[StoredArrays], tuple[object, ...]]:
        return StoredArrays, (self.cells, self.forms, self.form_of)


Stored: TypeAlias = bytes | tuple[Operand, ...] | StoredArrays
"""The values of the entries of a tape: floats, or with traced numbers or arrays among them."""


def freeze(columns: EntryColumns) -> FrozenColumns:
    """EntryColumns as bytes."""
    codes, pool = bytes(columns.codes), array("i", columns.pool).tobytes()
    left, right = (array("i", column).tobytes() for column in (columns.left, columns.right))
    statics = tuple(columns.statics)
    of = columns.table, codes, left, right, pool, statics
    return FrozenColumns(
        table=columns.table,
        codes=codes,
        left=left,
        right=right,
        stored=freeze_values(columns, of),
        pool=pool,
        statics=statics,
    )


def freeze_values(columns: EntryColumns, of: tuple[object, ...] | None = None) -> Stored:
    """The values as bytes, with one nan for all; anything that holds a traced one as a tuple.

    ``of`` are the entries that computed them.
    """
    values = columns.values
    if columns.on_arrays:
        is_traced = any(isinstance(value, Traced) for value in values)
        arrays = serving("entries.stored_arrays")
        return tuple(values) if is_traced else cast(StoredArrays, arrays.stored(columns, of))
    try:
        column = array("d", cast("Sequence[float]", values))
    except TypeError:
        return tuple(values)
    if isnan(sum(column)):
        column = array("d", [nan if x != x else x for x in column])
    return column.tobytes()
