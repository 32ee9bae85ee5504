"""The entries of a program while they are written, and what each entry of the tape has become."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final, cast

from tapegrad.compile.keys import Keys
from tapegrad.compile.whole_numbers import questions
from tapegrad.entries.builder import Builder, Place, place_of
from tapegrad.entries.columns import EntryColumns
from tapegrad.entries.repeats import Repeat
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Primitive

__all__ = ["Lowered"]


class Lowered(Builder):
    """The entries of a program, before those that nothing needs are left out.

    ``places`` says what each entry of the tape became; ``guards`` are the slots there of the guards
    ``expected``. The entries of ``stretches`` are those of their first trips, moved on.
    """

    known: dict[Hashable, int]

    def __init__(self, columns: EntryColumns) -> None:
        super().__init__(columns.table)
        self.columns = columns
        self.expected: dict[int, bool] = {}
        self.guards: list[int] = []
        self.skip_where: dict[int, int] = {}
        self.places: list[Place] = []
        self.inputs = 0
        self.stretches: list[Repeat] = []

    def watched(self) -> Keys:
        """The keys of the entries, which are watched from the first loop on."""
        if not isinstance(self.known, Keys):
            self.known = Keys(self.known)
        return self.known

    def guard(self, slot: int, place: Place, value: float) -> None:
        """Writes a guard of the tape, one that records a whole number as questions about it."""
        if self.columns.row(slot).is_truth:
            self.ask(slot, place, value != 0.0)
        else:
            for question, answer in questions(self.operand(place), value):
                self.ask(slot, place_of(question), answer)

    def ask(self, slot: int, condition: Place, outcome: bool) -> None:
        """Writes a guard for one of the tape's; a condition that is constant needs none."""
        if isinstance(condition, int):
            self.expected[self.write(ops.guard, (condition,))] = outcome
            self.guards.append(slot)

    def rewritten(
        self, row: Primitive, places: Sequence[Place], static: tuple[object, ...]
    ) -> Place | None:
        """An operand that is given back unchanged, or the same with fewer negations."""
        kept = self.neutral(row, places)
        if kept is not None or row not in _SIGNED:
            return kept
        signed = self.fewer_negations(row, *places)
        return None if signed is None else self.entry(*signed)

    def fewer_negations(
        self, row: Primitive, x: Place, y: Place
    ) -> tuple[Primitive, tuple[Place, Place]] | None:
        """The same to the bit without a negation: x - y for x + -y, x * -2 for -x * 2."""
        minus_x, minus_y = self.opposite(x), self.opposite(y)
        if row is ops.mul or row is ops.div:
            return None if minus_x is None or minus_y is None else (row, (minus_x, minus_y))
        if isinstance(y, int) and minus_y is not None:
            return ops.sub if row is ops.add else ops.add, (x, minus_y)
        if isinstance(x, int) and minus_x is not None and row is ops.add:
            return ops.sub, (y, minus_x)
        return None

    def opposite(self, place: Place) -> Place | None:
        """The operand that this one is the negative of, if one is known; every number has one."""
        if isinstance(place, int):
            return self.negated(place)
        return -cast(float, place)


_SIGNED: Final = {ops.add, ops.sub, ops.mul, ops.div}
