"""Writes the entries of a new program and shares the equal ones (hash-consing).

Lowering, ``simplify`` and ``taylor`` rewrite a tape entry by entry. The part that they share is
here; each adds its own rules by overriding ``rewritten``, ``new_entry`` or ``key``.
"""

from __future__ import annotations

import struct
from collections.abc import Hashable, Iterable
from itertools import compress
from typing import cast, final

from tapegrad.entries.static_keys import static_key
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Operand, Primitive, Table, Traced, primal
from tapegrad.pytree.value_keys import ByIdentity

__all__ = ["Builder", "EvaluatingBuilder", "Written"]


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
        return cast(Traced, self.builder.apply(row, operands))

    def _primal(self) -> float:
        return primal(self.builder.value(self.slot))

    @property
    def made_by(self) -> Primitive:
        """The row that gives this number."""
        return self.builder.rows[self.slot]


class Builder:
    """The entries written so far: slot *i* is ``rows[i]`` applied to the slots ``operands[i]``.

    ``constants`` holds the numbers of constant entries and ``statics`` the static operands, both
    by slot. Operands that are numbers become constants only when an entry reads them, so a row
    called on numbers alone computes its value and writes nothing.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self.rows: list[Primitive] = []
        self.operands: list[tuple[int, ...]] = []
        self.constants: dict[int, Operand] = {}
        self.statics: dict[int, object] = {}
        self.known: dict[Hashable, Written] = {}

    def apply(self, row: Primitive, operands: tuple[Operand, ...]) -> Operand:
        """The row applied to these operands, some of which are entries: a number or an entry."""
        simpler = self.rewritten(row, operands)
        return self.entry(row, operands) if simpler is None else simpler

    def rewritten(self, row: Primitive, operands: tuple[Operand, ...]) -> Operand | None:
        """Something simpler that has the same value, or None."""
        return self.neutral(row, operands)

    def neutral(self, row: Primitive, operands: tuple[Operand, ...]) -> Operand | None:
        """The operand that the row gives back unchanged, as in ``x * 1`` and ``-(-x)``."""
        if row is ops.neg:
            return self.negated(operands[0])
        for side, number in enumerate(row.neutral):
            if number is not None and self._is_number(operands[side], number):
                return operands[1 - side]
        return None

    def negated(self, operand: Operand) -> Written | None:
        """The entry whose negative ``operand`` is, if it was written as a negative."""
        if isinstance(operand, Written) and self.rows[operand.slot] is ops.neg:
            return Written(self, self.operands[operand.slot][0])
        return None

    def _is_number(self, operand: Operand, number: float) -> bool:
        """Whether an operand is known to be this number, to the bit."""
        known = self.constants.get(operand.slot) if isinstance(operand, Written) else operand
        return isinstance(known, float) and known == number and _bits(known) == _bits(number)

    def entry(self, row: Primitive, operands: tuple[Operand, ...]) -> Written:
        """The entry that applies the row to the operands: one that is there, or a new one.

        The last operand of a row with a static operand is that one.
        """
        count = len(operands) - row.has_static
        slots = tuple([self.slot(operand) for operand in operands[:count]])
        key = self.key(row, slots, operands[count:])
        found = self.find(key)
        if found is None:
            found = self.known[key] = self.new_entry(row, operands, slots)
        return found

    def key(self, row: Primitive, slots: tuple[int, ...], static: tuple[object, ...]) -> Hashable:
        """The key that equal entries share."""
        return (row, slots, static_key(static[0])) if static else (row, slots)

    def find(self, key: Hashable) -> Written | None:
        """The entry known under a key, if there is one."""
        return self.known.get(key)

    def new_entry(
        self, row: Primitive, operands: tuple[Operand, ...], slots: tuple[int, ...]
    ) -> Written:
        """Writes the entry that applies a row to operands, which stand in these slots."""
        return self.write(row, slots, operands[len(slots) :])

    def slot(self, operand: Operand) -> int:
        """The slot of an operand; a number gets a constant entry."""
        return operand.slot if isinstance(operand, Written) else self.constant(operand).slot

    def written(self, operand: Operand) -> Written:
        """An operand as an entry; a number gets a constant entry."""
        return operand if isinstance(operand, Written) else self.constant(operand)

    def constant(self, number: Operand) -> Written:
        """The constant entry of a number, shared with numbers of the same bits."""
        key = self.constant_key(number)
        found = self.find(key)
        if found is None:
            found = self.known[key] = self.write_constant(number)
        return found

    def constant_key(self, number: Operand) -> Hashable:
        """The key that equal constants share: its bits, or a traced number itself."""
        return ByIdentity(number) if isinstance(number, Traced) else _bits(number)

    def write_constant(self, number: Operand) -> Written:
        """Writes a constant entry that is shared with none."""
        self.constants[len(self.rows)] = number
        return self.write(ops.constant, ())

    def write(
        self, row: Primitive, slots: tuple[int, ...], static: tuple[object, ...] = ()
    ) -> Written:
        """Writes an entry that is shared with none."""
        slot = len(self.rows)
        self.rows.append(row)
        self.operands.append(slots)
        if static:
            self.statics[slot] = static[0]
        return Written(self, slot)

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
    ) -> Written:
        """Writes an entry that is shared with none; its value is computed unless it is given."""
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


def _bits(number: float) -> bytes:
    return struct.pack("d", number)
