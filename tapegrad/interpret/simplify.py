"""A tape with less in it: dead entries, constants, equal entries and neutral operations removed.

Sharing and dropping change where cotangents meet, and so the order in which they are added. They
are therefore kept for tapes that already hold their gradient, unless bits do not matter.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections.abc import Hashable, Sequence
from typing import TypeVar, cast, final

import attrs

from tapegrad import ops
from tapegrad.columns import Columns, freeze_values
from tapegrad.entries import Entries
from tapegrad.primitive import Operand, Primitive

__all__ = ["simplify"]

E = TypeVar("E", bound=Entries)


def simplify(tape: E, *, fast: bool) -> tuple[E, int, int, int, int]:
    """The simplified entries, and how many were dead, folded, shared and dropped."""
    work = _Rewriting(tape.columns.thawed(), share=fast or tape.holds_gradient, fast=fast)
    for slot in range(len(tape)):
        work.rewrite(slot)
    outputs = [work.places[output] for output in tape.outputs]
    kept = _needed(work.new, outputs, len(tape.inputs))
    slots = {old: new for new, old in enumerate(kept)}
    smaller = _with(tape, _compacted(work.new, kept, slots), work, kept, slots)
    gone = len(tape) - len(smaller) - work.shared - work.dropped
    return smaller, gone, work.folded, work.shared, work.dropped


@final
class _Rewriting:
    """Writes a tape's entries again, one after the other; says where each now stands."""

    def __init__(self, old: Columns, *, share: bool, fast: bool) -> None:
        self.old = old
        self.new = Columns(old.table, [], [], [], [], [], list(old.statics), old.traced)
        self.share, self.fast = share, fast
        self.places: list[int] = []
        self.origins: list[int] = []
        self.known: dict[Hashable, int] = {}
        self.folded = self.shared = self.dropped = 0

    def rewrite(self, slot: int) -> None:
        """Write one entry, or find where what it defines stands already."""
        row = self.old.row(slot)
        operands = tuple(self.places[operand] for operand in self.old.operands(slot))
        static = self.old.static(slot)
        if row.kind in {"input", "constant"}:
            place = self.leaf(slot, row)
        elif all(self.is_constant(operand) for operand in operands):
            self.folded += row.kind != "guard"
            place = self.constant(self.old.values[slot])
        elif self.share and (neutral := self.neutral(row, operands)) is not None:
            self.dropped += 1
            place = neutral
        else:
            place = self.apply(slot, row, operands, static)
        self.origins += [slot] * (len(self.new) - len(self.origins))
        self.places.append(place)

    def leaf(self, slot: int, row: Primitive) -> int:
        value = self.old.values[slot]
        return self.write(row, -1, -1, value) if row.kind == "input" else self.constant(value)

    def constant(self, value: Operand) -> int:
        """The slot of a constant, shared by its bits."""
        key = ("constant", struct.pack("d", value) if isinstance(value, float) else id(value))
        if (known := self.find(key)) is not None:
            return known
        self.known[key] = self.write(ops.constant, -1, -1, value)
        return self.known[key]

    def find(self, key: Hashable) -> int | None:
        """An equal entry, where entries are shared."""
        found = self.known.get(key) if self.share else None
        self.shared += found is not None
        return found

    def is_constant(self, slot: int) -> bool:
        return self.new.row(slot).kind == "constant"

    def holds(self, slot: int, number: float) -> bool:
        """Whether an entry is this constant, to the bit."""
        value = self.new.values[slot]
        return self.is_constant(slot) and isinstance(value, float) and _bits(value) == _bits(number)

    def neutral(self, row: Primitive, operands: Sequence[int]) -> int | None:
        """The operand that an operation gives back unchanged."""
        for side, number in enumerate(row.neutral):
            if number is not None and self.holds(operands[side], number):
                return operands[1 - side]
        if row.is_involution and self.new.row(operands[0]) is row:
            return self.new.operands(operands[0])[0]
        return None

    def apply(
        self, slot: int, row: Primitive, operands: tuple[int, ...], static: tuple[object, ...]
    ) -> int:
        if self.fast and row is ops.powc and static[0] in _SMALL_POWERS:
            return self.product(operands[0], int(static[0]))
        left, right = self.old.left[slot], self.old.right[slot]
        if row.is_pooled:
            left, right = self.old.static_at(slot), len(operands)
        elif operands:
            left, right = operands[0], operands[1] if len(operands) > 1 else right
        return self.entry(row, operands, static, left, right)

    def product(self, factor: int, count: int) -> int:
        """A small power as products, which are cheaper and differ in the last place."""
        total = factor
        for _ in range(count - 1):
            operands = (total, factor)
            total = self.entry(ops.mul, operands, (), *operands)
        return total

    def entry(
        self,
        row: Primitive,
        operands: tuple[int, ...],
        static: tuple[object, ...],
        left: int,
        right: int,
    ) -> int:
        """An entry that applies a row, or the equal one that is there already."""
        key = (row, operands, repr(static))
        if row.kind != "guard" and (known := self.find(key)) is not None:
            return known
        if row.is_pooled:
            pooled = (*operands, left) if static else operands
            left = len(self.new.pool)
            cast("list[int]", self.new.pool).extend(pooled)
        values = [self.new.values[operand] for operand in operands]
        self.known[key] = self.write(
            row, left, right, row(*values, *cast("tuple[float, ...]", static))
        )
        return self.known[key]

    def write(self, row: Primitive, left: int, right: int, value: Operand) -> int:
        columns = cast("tuple[list[object], ...]", _mutable(self.new))
        code = self.new.table.codes[row]
        for column, cell in zip(columns, (code, left, right, value), strict=True):
            column.append(cell)
        return len(self.new) - 1


_SMALL_POWERS = {2.0, 3.0, 4.0}


def _bits(number: float) -> bytes:
    return struct.pack("d", number)


def _mutable(columns: Columns) -> tuple[Sequence[object], ...]:
    return columns.codes, columns.left, columns.right, columns.values


def _needed(columns: Columns, outputs: Sequence[int], inputs: int) -> list[int]:
    """The slots of the inputs, and what outputs and guards need, in order."""
    needed = [slot < inputs or columns.row(slot).kind == "guard" for slot in range(len(columns))]
    for output in outputs:
        needed[output] = True
    for slot in range(len(columns) - 1, -1, -1):
        if needed[slot]:
            for operand in columns.operands(slot):
                needed[operand] = True
    return [slot for slot, is_needed in enumerate(needed) if is_needed]


def _compacted(columns: Columns, kept: Sequence[int], slots: dict[int, int]) -> Columns:
    """The kept entries alone, their operands moved along."""
    small = attrs.evolve(columns, codes=[], left=[], right=[], values=[], pool=[])
    codes, lefts, rights, values = cast("tuple[list[object], ...]", _mutable(small))
    for slot in kept:
        row, left, right = columns.row(slot), columns.left[slot], columns.right[slot]
        operands = [slots[operand] for operand in columns.operands(slot)]
        if row.is_pooled:
            operands += [columns.static_at(slot)] * row.has_static
            left = len(small.pool)
            cast("list[int]", small.pool).extend(operands)
        elif operands:
            left, right = operands[0], operands[1] if len(operands) > 1 else right
        codes.append(columns.codes[slot])
        lefts.append(left)
        rights.append(right)
        values.append(columns.values[slot])
    return small


def _with(
    tape: E,
    columns: Columns,
    work: _Rewriting,
    kept: Sequence[int],
    slots: dict[int, int],
) -> E:
    """The recording with other entries; labels, scopes and positions follow them."""
    origins = [work.origins[slot] for slot in kept]
    labels = {
        slots[work.places[old]]: name for old, name in tape.labels if work.places[old] in slots
    }
    scopes = (
        attrs.evolve(
            scope, start=bisect_left(origins, scope.start), stop=bisect_left(origins, scope.stop)
        )
        for scope in tape.scopes
    )
    sites = tape.site_indices
    return attrs.evolve(
        tape,
        codes=bytes(columns.codes),
        left=array("i", columns.left).tobytes(),
        right=array("i", columns.right).tobytes(),
        stored=freeze_values(columns.values),
        pool=array("i", columns.pool).tobytes(),
        outputs=tuple(slots[work.places[output]] for output in tape.outputs),
        labels=tuple(sorted(labels.items())),
        scopes=tuple(scopes),
        site_of=array("i", [sites[origin] for origin in origins]).tobytes(),
    )
