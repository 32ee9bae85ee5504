"""Writes a tape as a program: its entries in core rows.

Lowering writes any other row in core rows where ``ops.lowering`` says how, and leaves it as a call
back into Python where it does not. Equal entries are shared. Nothing sums cotangents after this, so
sharing changes no output's bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast, final

from tapegrad.compile.program import Program, renumbered
from tapegrad.compile.whole_numbers import questions
from tapegrad.entries.builder import Builder, Written
from tapegrad.entries.columns import EntryColumns
from tapegrad.ops import table as ops
from tapegrad.ops.lowering import LOWER, NEAR, Usually
from tapegrad.ops.primitive import Operand, Primitive, Traced, primal

__all__ = ["lower"]


def lower(
    columns: EntryColumns,
    outputs: Sequence[int],
    *,
    approximate: bool = False,
    any_row: bool = False,
) -> Program:
    """The program of a tape: the entries that its outputs and guards need.

    Results have the tape's bits; with ``approximate`` each operation is within 4 units in the last
    place. With ``any_row`` no row is spelled in others, for a backend that calls any row cheaply.
    """
    lowering = _Lowering(columns, approximate=approximate, any_row=any_row)
    for slot in range(len(columns)):
        lowering.lower(slot)
    return lowering.program([lowering.slot(lowering.places[output]) for output in outputs])


@final
class _Lowering(Builder):
    """Writes the entries of a tape in core rows.

    ``places`` says what each entry of the tape became: an entry of the program, or a number.
    """

    def __init__(self, columns: EntryColumns, *, approximate: bool, any_row: bool) -> None:
        super().__init__(columns.table)
        self.columns, self.approximate, self.any_row = columns, approximate, any_row
        self.expected: dict[int, bool] = {}
        self.guards: list[int] = []
        self.skip_where: dict[int, int] = {}
        self.places: list[Operand] = []
        self.inputs = 0

    def lower(self, slot: int) -> None:
        """Writes one entry of the tape."""
        columns, places = self.columns, self.places
        row = columns.row(slot)
        if row.kind == "input":
            self.inputs += 1
            places.append(self.write(row, ()))
        elif row.kind == "constant":
            places.append(columns.values[slot])
        elif row.kind == "guard":
            self.guard(slot, places[columns.left[slot]], primal(columns.values[slot]))
            places.append(0.0)
        else:
            operands = [places[operand] for operand in columns.operands(slot)]
            static = cast("tuple[Operand, ...]", columns.static(slot))
            places.append(row(*operands, *static))

    def guard(self, slot: int, operand: Operand, value: float) -> None:
        """Writes a guard of the tape, one that records a whole number as questions about it."""
        if self.columns.row(slot).is_truth:
            self.ask(slot, operand, value != 0.0)
        else:
            for question, answer in questions(operand, value):
                self.ask(slot, question, answer)

    def ask(self, slot: int, condition: Operand, outcome: bool) -> None:
        """Writes a guard for one of the tape's; a condition that is constant needs none."""
        if isinstance(condition, Written):
            self.expected[self.write(ops.guard, (condition.slot,)).slot] = outcome
            self.guards.append(slot)

    def rewritten(self, row: Primitive, operands: tuple[Operand, ...]) -> Operand | None:
        kept = self.neutral(row, operands)
        if kept is not None:
            return kept
        signed = self.fewer_negations(row, operands)
        return None if signed is None else self.entry(*signed)

    def fewer_negations(
        self, row: Primitive, operands: tuple[Operand, ...]
    ) -> tuple[Primitive, tuple[Operand, ...]] | None:
        """The same to the bit without a negation: x - y for x + -y, x * -2 for -x * 2."""
        if row not in _SIGNED:
            return None
        (x, y), (minus_x, minus_y) = operands, map(self.opposite, operands)
        if row is ops.mul or row is ops.div:
            return None if minus_x is None or minus_y is None else (row, (minus_x, minus_y))
        if isinstance(y, Written) and minus_y is not None:
            return ops.sub if row is ops.add else ops.add, (x, minus_y)
        if isinstance(x, Written) and minus_x is not None and row is ops.add:
            return ops.sub, (y, minus_x)
        return None

    def opposite(self, operand: Operand) -> Operand | None:
        """The operand that this one is the negative of, if one is known; every number has one."""
        return self.negated(operand) if isinstance(operand, Traced) else -operand

    def new_entry(
        self, row: Primitive, operands: tuple[Operand, ...], slots: tuple[int, ...]
    ) -> Written:
        """Writes a row in core rows, as far as it can be."""
        spelling = (NEAR.get(row) if self.approximate else None) or LOWER.get(row)
        if self.any_row or row.core or spelling is None:
            return super().new_entry(row, operands, slots)
        found = spelling(*operands)
        if found is None:
            return super().new_entry(row, operands, slots)
        if not isinstance(found, Usually):
            return self.written(found)
        if found.holds == 1.0:
            return self.written(found.value)
        holds = self.slot(found.holds)
        call = super().new_entry(row, operands, slots)
        self.skip_where[call.slot] = holds
        return self.written(ops.where(found.holds, found.value, call))

    def program(self, outputs: Sequence[int]) -> Program:
        """The entries that outputs and guards need, as a program."""
        kept = self.needed((*range(self.inputs), *outputs, *self.expected))
        new = {slot: place for place, slot in enumerate(kept)}
        return Program(
            rows=[self.rows[slot] for slot in kept],
            operands=[tuple([new[operand] for operand in self.operands[slot]]) for slot in kept],
            constants=renumbered(cast("dict[int, float]", self.constants), new),
            statics=renumbered(self.statics, new),
            expected=renumbered(self.expected, new),
            skip_where={
                new[slot]: new[skip] for slot, skip in self.skip_where.items() if slot in new
            },
            guards=tuple(self.guards),
            inputs=self.inputs,
            outputs=tuple(new[output] for output in outputs),
        )


_SIGNED = {ops.add, ops.sub, ops.mul, ops.div}
