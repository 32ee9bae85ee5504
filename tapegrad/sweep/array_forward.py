"""The forward sweep of tapes on which some values are arrays, on arrays and on traced ones.

A tangent may be smaller than its entry, and is then the same along the missing axes.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from tapegrad.ops import table as ops
from tapegrad.ops.array_rows import spread
from tapegrad.ops.primitive import ArrayRule, Operand, Primitive, shape_of
from tapegrad.sweep.forward import RecordedForward

__all__ = ["ArrayForward"]


class ArrayForward(RecordedForward):
    """A forward sweep on arrays."""

    def combine(self, slot: int) -> None:
        """Adds up what the operands' tangents give an entry."""
        row = self.columns.row(slot)
        if row.array is None:
            super().combine(slot)
        elif any(self.numbers[operand] is not None for operand in self.columns.operands(slot)):
            self.numbers[slot] = self.pushed(slot, row, row.array)

    def pushed(self, slot: int, row: Primitive, rule: ArrayRule) -> Operand | None:
        """The tangent of an entry whose row takes arrays as they are."""
        operands = self.columns.operands(slot)
        static = cast("tuple[Operand, ...]", self.columns.static(slot))
        xs = [self.columns.values[operand] for operand in operands]
        dots = [self.whole(operand) for operand in operands]
        if rule.push is not None:
            return rule.push(tuple(dots), self.columns.values[slot], *xs, *static)
        if row.is_truth:
            return None
        if rule.joint:
            zeros = (np.zeros(shape_of(x)) if shape_of(x) else 0.0 for x in xs)
            given = [zero if dot is None else dot for dot, zero in zip(dots, zeros, strict=True)]
            return row(*cast("list[Operand]", given), *static)
        total: Operand | None = None
        for index, dot in enumerate(dots):
            if dot is not None:
                term = row(*xs[:index], dot, *xs[index + 1 :], *static)
                total = term if total is None else ops.add(total, term)
        return total

    def whole(self, slot: int) -> Operand | None:
        """The tangent of a slot in full shape, 0.0 where it is absent under its condition."""
        self.settle(slot)
        dot = self.numbers[slot]
        return None if dot is None else spread(dot, shape_of(self.columns.values[slot]))
