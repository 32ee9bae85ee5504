"""The reverse sweep of tapes on which some values are arrays, on arrays and on traced ones.

A cotangent may be smaller than its entry, and is then the same along the missing axes: that of a
sum is one number. A share is summed over the axes along which its operand was repeated. Nothing is
computed that no wanted input receives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from tapegrad.entries.builder import Place
from tapegrad.entries.columns import EntryColumns
from tapegrad.ops import table as ops
from tapegrad.ops.array_rows import add_at, fitted, getitem, is_basic, spread
from tapegrad.ops.primitive import ArrayRule, Operand, Primitive, Shape, Traced, shape_of
from tapegrad.recording.slots import SlotWriter
from tapegrad.sweep.conditional_terms import ConditionalTerm
from tapegrad.sweep.reverse import ExactRecordedReverse, RecordedReverse

__all__ = ["ArrayReverse", "ExactArrayReverse", "wanted_slots"]


class ArrayReverse(RecordedReverse):
    """A reverse sweep that gives the cotangents of the slots that are ``wanted``."""

    def __init__(
        self,
        columns: EntryColumns,
        numbers: list[Place | None],
        writer: SlotWriter,
        wanted: Sequence[int] | None = None,
    ) -> None:
        super().__init__(columns, numbers, writer)
        self.shapes: list[Shape] = list(map(shape_of, columns.values))
        self.owned: set[int] = set()
        self.swept: list[int | None] = [
            code if is_wanted else None
            for code, is_wanted in zip(
                columns.codes, wanted or wanted_slots(columns, None), strict=True
            )
        ]

    def arrived(self, slot: int) -> Place | None:
        """The cotangent of a slot to which nothing more will be added, if its operands want it."""
        return None if self.swept[slot] is None else super().arrived(slot)

    def contribute(self, slot: int, cotangent: Place, partials: Any) -> None:
        """Adds the shares of the operands of an entry with one or two of them."""
        if self.shapes[slot]:
            self.contribute_arrays(slot, self.columns.row(slot), cotangent)
        else:
            super().contribute(slot, cotangent, partials)

    def contribute_any(self, slot: int, cotangent: Place) -> None:
        """Adds the shares of the operands of any entry."""
        row = self.columns.row(slot)
        if row.array is not None:
            self.transpose(slot, row, cotangent)
        elif row.kind == "operation" and self.shapes[slot]:
            self.contribute_arrays(slot, row, cotangent)
        else:
            super().contribute_any(slot, cotangent)

    def contribute_arrays(self, slot: int, row: Primitive, cotangent: Place) -> None:
        """Adds the shares of an entry that goes element by element."""
        columns, bar = self.columns, self.writer.operand(cotangent)
        condition = self.conditions.get(slot)
        y, *xs = (self.writer.operand(self.places[at]) for at in (slot, *columns.operands(slot)))
        partial_in = row.each_partial(y, *xs, *cast("tuple[Operand, ...]", columns.static(slot)))
        for index, operand in enumerate(columns.operands(slot)):
            partial = partial_in(index) if self.swept[operand] is not None else None
            if partial is not None:
                share = self.writer.place(_product(bar, partial))
                self.hand_down(slot, operand, (share, condition))

    def hand_down(self, slot: int, operand: int, share: ConditionalTerm[Place]) -> None:
        """Adds a share of an entry to the cotangent of an operand, in the operand's shape."""
        if self.shapes[slot] == self.shapes[operand]:
            self.accumulate(operand, share)
            return
        number, condition = self.present_as_one(share)
        summed = fitted(self.writer.operand(number), self.shapes[slot], self.shapes[operand])
        self.accumulate(operand, (self.writer.place(summed), condition))

    def present_as_one(self, term: ConditionalTerm[Place]) -> ConditionalTerm[Place]:
        """A term that is present as a whole or not at all; -0.0 where numbers of it are absent."""
        number, condition = term
        if condition is None or not shape_of(self.writer.operand(condition)):
            return term
        return self._or_negative_zero(number, condition), None

    def transpose(self, slot: int, row: Primitive, cotangent: Place) -> None:
        """Adds the shares of an entry whose row takes arrays as they are."""
        columns, rule = self.columns, cast(ArrayRule, row.array)
        whole, condition = self.present_as_one((cotangent, self.conditions.get(slot)))
        bar = self.writer.operand(whole)
        if not rule.slim:
            bar = spread(bar, self.shapes[slot])
        operands, static = columns.operands(slot), columns.static(slot)
        if row is getitem and self.numbers[operands[0]] is not None:
            self.add_part(operands[0], (self.writer.place(bar), condition), static[0])
            return
        given = [self.writer.operand(self.places[at]) for at in (slot, *operands)]
        wanted = [at for at, operand in enumerate(operands) if self.swept[operand] is not None]
        for index, share in row.pulled(wanted, bar, *given, *cast("tuple[Operand, ...]", static)):
            self.accumulate(operands[index], (self.writer.place(share), condition))

    def add_part(self, operand: int, part: ConditionalTerm[Place], index: Any) -> None:
        """Adds a share to a part of a cotangent that is there; in place where it is our own."""
        if self.swept[operand] is None:
            return
        before = self.present_as_one(cast("ConditionalTerm[Place]", self.term(operand)))
        (number, share), condition = self.under_one_condition(before, part)
        whole = spread(self.writer.operand(number), self.shapes[operand])
        bar, static = self.writer.operand(share), (index, is_basic(index))
        if isinstance(whole, Traced) or isinstance(bar, Traced):
            self.set(operand, (self.writer.place(add_at(whole, bar, static)), condition))
            return
        if operand not in self.owned:
            whole = cast(Any, whole).copy()
            self.owned.add(operand)
        _add_in_place(whole, bar, *static)
        self.set(operand, (cast(Place, whole), condition))

    def accumulate(self, slot: int, share: ConditionalTerm[Place]) -> None:
        """Adds a share to the number of a slot."""
        self.owned.discard(slot)
        super().accumulate(slot, share)

    def select(self, slot: int, cotangent: Place) -> None:
        """Adds the cotangent of a ``where`` to that of the arms, where they are selected."""
        if not self.shapes[slot]:
            super().select(slot, cotangent)
            return
        condition, *arms = self.columns.operands(slot)
        selected, present = self.places[condition], self.conditions.get(slot)
        if isinstance(selected, float):
            self.hand_down(slot, arms[0 if selected else 1], (cotangent, present))
            return
        for arm, taken in zip(arms, (selected, self.negated(selected)), strict=True):
            if self.swept[arm] is not None:
                self.hand_down(slot, arm, (cotangent, self.both(present, taken)))


class ExactArrayReverse(ArrayReverse, ExactRecordedReverse):
    """The same sweep, which keeps what its additions lose."""


def _product(bar: Operand, partial: Operand) -> Operand:
    """The product of a cotangent and a partial, without a factor that is 1 or -1."""
    for one, other in ((partial, bar), (bar, partial)):
        if isinstance(one, float) and abs(one) == 1.0:
            return other if one == 1.0 else ops.neg(other)
    return ops.mul(bar, partial)


def _add_in_place(whole: Any, bar: Any, index: Any, is_simple: bool) -> None:
    if is_simple:
        whole[index] += bar
    else:
        np.add.at(whole, index, bar)


def wanted_slots(columns: EntryColumns, count: int | None) -> bytearray:
    """For each slot whether a derivative in the first ``count`` inputs passes through it.

    Of those in all slots none passes through constants.
    """
    codes, table = columns.codes, columns.table.codes
    found = bytearray(map(table[ops.constant].__ne__, codes))
    if count is None or table[ops.input] not in codes[count:]:
        return found
    found = bytearray(len(columns))
    found[:count] = b"\1" * count
    for slot, operand in columns.reads():
        if found[operand]:
            found[slot] = 1
    return found
