"""Makes products of quotients, in programs that may round as it is quickest.

A processor takes as long for a quotient as for nine products. Quotients by one number become
products with its reciprocal, which is computed once, and quotients by a constant too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Final, final

import attrs

from tapegrad.compile.program import Program, renumbered
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Primitive

__all__ = ["with_reciprocals"]

_EXTREME: Final = 2.0**1022
"""Constants above this, or below its reciprocal, are divided by: theirs may have lost bits."""


def with_reciprocals(program: Program, exact: Collection[int]) -> Program:
    """The program with products for quotients, but for the entries ``exact``."""
    divisors = {
        slot: program.operands[slot][1]
        for slot, row in enumerate(program.rows)
        if row is ops.div and slot not in exact
    }
    times, known = Counter(divisors.values()), program.constants
    constants = {
        slot: 1.0 / known[slot]
        for slot in times
        if slot in known and 1.0 / _EXTREME <= abs(known[slot]) <= _EXTREME
    }
    products = {
        slot
        for slot, by in divisors.items()
        if by in constants or (times[by] > 1 and by not in known)
    }
    return _Rewritten(program, constants, products).program() if products else program


@final
class _Rewritten:
    """Writes a program anew: ``new`` has the new slots, and ``reciprocals`` those of divisors."""

    def __init__(
        self, program: Program, constants: Mapping[int, float], products: Collection[int]
    ) -> None:
        self.old, self.products = program, products
        inputs = program.inputs
        self.rows: list[Primitive] = [*program.rows[:inputs]]
        self.operands: list[tuple[int, ...]] = [()] * inputs
        self.new = {slot: slot for slot in range(inputs)}
        self.constants: dict[int, float] = {}
        self.one = self.constant(1.0)
        self.reciprocals = {slot: self.constant(x) for slot, x in constants.items()}
        for slot in range(inputs, len(program)):
            self.new[slot] = self.slot(slot)

    def program(self) -> Program:
        """The new program."""
        old, new = self.old, self.new
        return attrs.evolve(
            old,
            rows=self.rows,
            operands=self.operands,
            constants=self.constants,
            statics=renumbered(old.statics, new),
            expected=renumbered(old.expected, new),
            skip_where={new[slot]: new[skip] for slot, skip in old.skip_where.items()},
            outputs=tuple(new[slot] for slot in old.outputs),
        )

    def slot(self, slot: int) -> int:
        """Writes an entry, or finds what has its value."""
        old, new = self.old, self.new
        if slot in old.constants:
            return self.constant(old.constants[slot])
        operands = tuple(new[operand] for operand in old.operands[slot])
        if slot not in self.products:
            return self.entry(old.rows[slot], *operands)
        reciprocal = self.reciprocal(old.operands[slot][1])
        if old.constants.get(old.operands[slot][0]) == 1.0:
            return reciprocal
        return self.entry(ops.mul, operands[0], reciprocal)

    def reciprocal(self, slot: int) -> int:
        """The reciprocal of a divisor, written where it is needed first."""
        if slot not in self.reciprocals:
            self.reciprocals[slot] = self.entry(ops.div, self.one, self.new[slot])
        return self.reciprocals[slot]

    def constant(self, number: float) -> int:
        slot = self.entry(ops.constant)
        self.constants[slot] = number
        return slot

    def entry(self, row: Primitive, *operands: int) -> int:
        self.rows.append(row)
        self.operands.append(operands)
        return len(self.rows) - 1
