"""Finds the steps of a function written with rows, once, by running it on stand-ins.

A partial derivative of the table, or a spelling in other rows, applies the same rows in the same
order whatever its operands are. So it need not be called again: the steps that it took are taken
on slots, where objects that stand for numbers would cost several times as much.
"""

from __future__ import annotations

from typing import TypeAlias, final

import attrs

from tapegrad.ops.primitive import Operand, Primitive, Traced

__all__ = ["Notes", "Reference", "Step"]

Reference: TypeAlias = int | float
"""The index of an operand, or of a step's result, which are counted on; or a number."""


@final
@attrs.frozen(eq=False)
class Step:
    """A row applied to operands, and to the static operand if there is one."""

    row: Primitive
    operands: tuple[Reference, ...]
    static: tuple[object, ...]


@final
class Notes:
    """The steps of one call of a function, whose operands are ``stand_ins``.

    Where it ``asked`` for the row that made a number, or the slot of one, it may take others on
    other numbers.
    """

    def __init__(self, count: int) -> None:
        self.steps: list[Step] = []
        self.asked = False
        self.stand_ins: tuple[Operand, ...] = tuple(_StandIn(self, index) for index in range(count))

    def reference(self, operand: Operand) -> Reference:
        """The index that an operand stands for, or the number that it is."""
        return operand.index if isinstance(operand, _StandIn) else _number(operand)

    def apply(self, row: Primitive, operands: tuple[Operand, ...]) -> Traced:
        """Notes a step, and gives what stands for its result."""
        count = len(operands) - row.has_static
        references = tuple(map(self.reference, operands[:count]))
        self.steps.append(Step(row, references, operands[count:]))
        return _StandIn(self, len(self.stand_ins) + len(self.steps) - 1)


@final
class _StandIn(Traced):
    """Stands for any number; that nothing is known of it keeps a function to one way."""

    __slots__ = ("index", "notes")

    def __init__(self, notes: Notes, index: int) -> None:
        self.notes = notes
        self.index = index

    def _apply(self, row: Primitive, operands: tuple[Operand, ...]) -> Traced:
        return self.notes.apply(row, operands)

    @property
    def made_by(self) -> None:
        self.notes.asked = True

    @property
    def slot(self) -> int:
        """As of an entry of a builder."""
        self.notes.asked = True
        return self.index


def _number(operand: Operand) -> float:
    """An operand that is a plain number."""
    if isinstance(operand, Traced):
        raise TypeError("a function written with rows applied one to another function's operand")
    return float(operand)
