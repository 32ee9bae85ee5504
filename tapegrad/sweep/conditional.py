"""Adds up derivatives on traced numbers, which may be present under a condition only.

A replay may select the other arm of a ``where``, and the arm not selected must then contribute
nothing. A product with a zero would not do: 0 * inf is nan. So each tangent, cotangent or
coefficient is kept with the condition under which it is present (none: always); where it is absent
its value means nothing. Where it meets one that is present under another condition, or is handed
out, ``where(present, number, -0.0)`` is recorded: -0.0 changes nothing it is added to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from tapegrad.entries.columns import Columns
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Operand

__all__ = ["Conditional", "ConditionalColumn", "Term", "handed_out"]

Term: TypeAlias = tuple[Operand, Operand | None]
"""A number, and the condition under which it is present; None for always."""


class Conditional:
    """Sums of numbers that may be absent, and the conditions under which they are present.

    Each condition made of others is recorded once.
    """

    def __init__(self, add: Callable[[Operand, Operand], Operand] = ops.add) -> None:
        self.add = add
        self._made: dict[tuple[object, ...], tuple[tuple[Operand, ...], Operand]] = {}

    def plus(self, one: Term, other: Term) -> Term:
        """The sum of two terms, which is present where either is."""
        (x, of_x), (y, of_y) = one, other
        if of_x is of_y:
            return self.add(x, y), of_x
        total = self.add(_masked(x, of_x), _masked(y, of_y))
        return total, None if of_x is None or of_y is None else self._once(ops.or_, of_x, of_y)

    def both(self, one: Operand | None, other: Operand | None) -> Operand | None:
        """The condition under which both hold; None always holds."""
        if one is None or other is None or one is other:
            return other if one is None else one
        return self._once(ops.and_, one, other)

    def negated(self, condition: Operand) -> Operand:
        """The condition under which another does not hold."""
        return self._once(ops.not_, condition)

    def _once(self, row: Callable[..., Operand], *conditions: Operand) -> Operand:
        """Applies a row to conditions, or gives what it gave them before."""
        key = (row, *map(id, conditions))
        if key not in self._made:
            self._made[key] = conditions, row(*conditions)
        return self._made[key][1]

    def chosen(self, condition: Operand, first: Term | None, second: Term | None) -> Term | None:
        """The term of the arm that a ``where`` selects, given those of both."""
        if first is not None and second is not None and first[1] is second[1]:
            return ops.where(condition, first[0], second[0]), first[1]
        arms = []
        if first is not None:
            arms.append((first[0], self.both(first[1], condition)))
        if second is not None:
            arms.append((second[0], self.both(second[1], self.negated(condition))))
        return self.plus(*arms) if len(arms) == 2 else arms[0] if arms else None


class ConditionalColumn(Conditional):
    """A column of tangents or cotangents for ``columns``, each with its condition.

    A slot that none has reached has None. A subclass sweeps the entries.
    """

    def __init__(self, columns: Columns, numbers: list[Operand | None]) -> None:
        super().__init__()
        self.columns = columns
        self.numbers = numbers
        self.conditions: dict[int, Operand] = {}

    def term(self, slot: int) -> Term | None:
        """The number of a slot with its condition, if one has reached it."""
        number = self.numbers[slot]
        return None if number is None else (number, self.conditions.get(slot))

    def set(self, slot: int, term: Term | None) -> None:
        """Replaces the number of a slot and its condition."""
        self.numbers[slot], condition = term or (None, None)
        if condition is None:
            self.conditions.pop(slot, None)
        else:
            self.conditions[slot] = condition

    def accumulate(self, slot: int, share: Term) -> None:
        """Adds a share to the number of a slot."""
        known = self.term(slot)
        self.set(slot, share if known is None else self.plus(known, share))

    def hand_out(self, slot: int) -> None:
        """Gives the number of a slot a value where it is absent, so that it needs no condition."""
        term = self.term(slot)
        if term is not None:
            self.set(slot, (handed_out(term), None))


def handed_out(term: Term) -> Operand:
    """The number of a term, and 0.0, not -0.0, where it is absent."""
    number, condition = term
    return number if condition is None else ops.where(condition, number, 0.0)


def _masked(number: Operand, condition: Operand | None) -> Operand:
    """The number, and -0.0 where it is absent."""
    return number if condition is None else ops.where(condition, number, -0.0)
