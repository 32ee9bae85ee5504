"""Writes the entries of a new program and shares the equal ones (hash-consing).

Lowering, ``simplify`` and ``taylor`` rewrite a tape entry by entry. The part that they share is
here; each adds its own rules by overriding ``rewritten``, ``new_entry`` or ``key``. An entry is its
slot, and becomes an object (``Written``) where functions written with rows are applied to it.
"""

from __future__ import annotations

import struct
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import compress
from typing import Final, TypeAlias, cast, final

from tapegrad.entries.static_keys import static_key
from tapegrad.ops import table as ops
from tapegrad.ops.array_support import is_array
from tapegrad.ops.primitive import Operand, Primitive, Table, Traced, primal
from tapegrad.pytree.value_keys import ByIdentity

__all__ = ["Builder", "EvaluatingBuilder", "Place", "Written", "place_of", "short_key"]

Place: TypeAlias = int | Operand
"""The place of an entry after rewriting: a slot, or a number, which no int is."""


@final
class Written(Traced):
    """Stands for an entry of a builder: applying a row to it writes an entry there."""

    __slots__ = ("builder", "slot")
    builder: Builder
    slot: int

    def __init__(self, builder: Builder, slot: int) -> None:
        self.builder = builder
        self.slot = slot

    def _apply(self, row: Primitive, operands: tuple[Operand, ...]) -> Traced:
        count = len(operands) - row.has_static
        places = [place_of(operand) for operand in operands[:count]]
        found = self.builder.apply(row, places, operands[count:])
        return cast(Traced, self.builder.operand(found))

    def _primal(self) -> float:
        return primal(self.builder.value(self.slot))

    @property
    def made_by(self) -> Primitive:
        """The row that gives this number."""
        return self.builder.rows[self.slot]


def place_of(operand: Operand) -> Place:
    """The slot of the entry that an operand stands for, or the number that it is."""
    if isinstance(operand, Written):
        return operand.slot
    return operand if isinstance(operand, Traced) else float(operand)


class Builder:
    """The entries written so far: slot *i* is ``rows[i]`` applied to the slots ``operands[i]``.

    ``constants`` holds the numbers of constant entries and ``statics`` the static operands, both by
    slot, and ``codes`` those of rows whose entries have short keys. Operands that are numbers
    become constants only when an entry reads them, so a row called on numbers alone computes its
    value and writes nothing. ``seen_through`` has the entries that a rule knows as what they are:
    numbers, and negatives.
    """

    def __init__(self, table: Table) -> None:
        self.table: Table = table
        self.codes: Mapping[Primitive, int] = _short_codes(table)
        self.rows: list[Primitive] = []
        self.operands: list[tuple[int, ...]] = []
        self.seen_through: set[int] = set()
        self.constants: dict[int, Operand] = {}
        self.statics: dict[int, object] = {}
        self.known: dict[Hashable, int] = {}

    def apply(
        self, row: Primitive, places: Sequence[Place], static: tuple[object, ...] = ()
    ) -> Place:
        """The row applied to these operands, some of which are entries: a number or an entry."""
        simpler = self.rewritten(row, places, static)
        return self.entry(row, places, static) if simpler is None else simpler

    def rewritten(
        self, row: Primitive, places: Sequence[Place], static: tuple[object, ...]
    ) -> Place | None:
        """Something simpler that has the same value, or None."""
        return self.neutral(row, places)

    def neutral(self, row: Primitive, places: Sequence[Place]) -> Place | None:
        """The operand that the row gives back unchanged, as in ``x * 1`` and ``-(-x)``."""
        if row is ops.neg:
            return self.negated(places[0])
        for side, number in enumerate(row.neutral):
            if number is not None and self._is_number(places[side], number):
                return places[1 - side]
        return None

    def negated(self, place: Place) -> int | None:
        """The entry whose negative ``place`` is, if it was written as a negative."""
        if isinstance(place, int) and self.rows[place] is ops.neg:
            return self.operands[place][0]
        return None

    def _is_number(self, place: Place, number: float) -> bool:
        """Whether an operand is known to be this number, to the bit."""
        known = self.constants.get(place) if isinstance(place, int) else place
        return isinstance(known, float) and known == number and _bits(known) == _bits(number)

    def entry(
        self, row: Primitive, places: Sequence[Place], static: tuple[object, ...] = ()
    ) -> int:
        """The entry that applies the row to the operands: one that is there, or a new one."""
        slots = tuple([self.slot(place) for place in places])
        key = self.key(row, slots, static)
        found = self.find(key)
        if found is None:
            found = self.known[key] = self.new_entry(row, places, slots, static)
        return found

    def key(self, row: Primitive, slots: tuple[int, ...], static: tuple[object, ...]) -> Hashable:
        """The key that equal entries share: an int where one can be, which is quickly found."""
        if static:
            return row, slots, static_key(static[0])
        code = self.codes.get(row)
        return (row, slots) if code is None else short_key(code, *slots)

    def find(self, key: Hashable) -> int | None:
        """The entry known under a key, if there is one."""
        return self.known.get(key)

    def new_entry(
        self,
        row: Primitive,
        places: Sequence[Place],
        slots: tuple[int, ...],
        static: tuple[object, ...],
    ) -> int:
        """Writes the entry that applies a row to operands, which stand in these slots."""
        return self.write(row, slots, static)

    def admit(self, row: Primitive) -> None:
        """Lets a row join the table."""
        if row not in self.table.codes:
            self.table = self.table.extend(row)

    def slot(self, place: Place) -> int:
        """The slot of an operand; a number gets a constant entry."""
        return place if isinstance(place, int) else self.constant(place)

    def operand(self, place: Place) -> Operand:
        """The operand for rows: an object that stands for the entry, or the number."""
        return Written(self, place) if isinstance(place, int) else place

    def constant(self, number: Operand) -> int:
        """The constant entry of a number, shared with numbers of the same bits."""
        key = self.constant_key(number)
        found = self.find(key)
        if found is None:
            found = self.known[key] = self.write_constant(number)
        return found

    def constant_key(self, number: Operand) -> Hashable:
        """The key that equal constants share: its bits, or a traced number itself."""
        if isinstance(number, Traced):
            return ByIdentity(number)
        return static_key(number) if is_array(number) else _bits(number)

    def write_constant(self, number: Operand) -> int:
        """Writes a constant entry that is shared with none."""
        slot = len(self.rows)
        self.constants[slot] = number
        self.seen_through.add(slot)
        return self.write(ops.constant, ())

    def write(self, row: Primitive, slots: tuple[int, ...], static: tuple[object, ...] = ()) -> int:
        """Writes an entry that is shared with none."""
        slot = len(self.rows)
        self.rows.append(row)
        self.operands.append(slots)
        if row is ops.neg:
            self.seen_through.add(slot)
        if static:
            self.statics[slot] = static[0]
        return slot

    def value(self, slot: int) -> Operand:
        """The value of an entry, where values are computed."""
        raise NotImplementedError

    def static(self, slot: int) -> tuple[Operand, ...]:
        """The static operand of an entry, if its row has one."""
        return (cast(Operand, self.statics[slot]),) if slot in self.statics else ()

    def needed(self, slots: Iterable[int]) -> list[int]:
        """These slots and all that they are computed from, in order."""
        wanted = bytearray(len(self.rows))
        for slot in slots:
            wanted[slot] = 1
        for slot in range(len(self.rows) - 1, -1, -1):
            if wanted[slot]:
                for operand in self.operands[slot]:
                    wanted[operand] = 1
        return list(compress(range(len(self.rows)), wanted))


class EvaluatingBuilder(Builder):
    """A builder that computes the value of each entry as it is written.

    ``origins`` has for each entry the one of the tape that it was written for, which is ``origin``
    while it is written.
    """

    def __init__(self, table: Table) -> None:
        super().__init__(table)
        self.values: list[Operand] = []
        self.origins: list[int] = []
        self.origin = 0

    def write(
        self,
        row: Primitive,
        slots: tuple[int, ...],
        static: tuple[object, ...] = (),
        value: Operand | None = None,
    ) -> int:
        """Writes an entry that is shared with none; its value is computed unless it is given.

        A row that the table has not joins it.
        """
        self.admit(row)
        if value is None:
            value = self.constants.get(len(self.rows))
        if value is None:
            values = [self.values[slot] for slot in slots]
            value = row(*values, *cast("tuple[Operand, ...]", static))
        self.values.append(value)
        self.origins.append(self.origin)
        return super().write(row, slots, static)

    def value(self, slot: int) -> Operand:
        """The value of an entry."""
        return self.values[slot]


@lru_cache(maxsize=32)
def _short_codes(table: Table) -> Mapping[Primitive, int]:
    """The codes of rows with no operands, one or two."""
    return {row: code for row, code in table.codes.items() if not row.is_pooled}


def short_key(code: int, left: int = 0, right: int = 0) -> int:
    """The key of an entry of a row with no operands, one or two."""
    return (right << 32 | left) << 8 | code


_bits: Final = struct.Struct("d").pack
