"""Arithmetic on derivatives of traced numbers, each of which may be present on a condition only.

A replay may select the other arm of a ``where``, and the arm not selected must then contribute
nothing. A product with a zero would not do: 0 * inf is nan. So each tangent, cotangent or
coefficient is kept with the condition under which it is present (None: always); where it is absent
its value means nothing. Where it is added to one that is present under another condition, or is
returned, ``where(present, number, -0.0)`` is recorded: -0.0 changes nothing it is added to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeAlias, TypeVar, cast

from tapegrad.entries.builder import Place
from tapegrad.entries.columns import EntryColumns
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Operand, Primitive

__all__ = [
    "ConditionalArithmetic", "ConditionalTerm", "DerivativeColumn", "RecordedSweep", "seeded",
]  # fmt: skip

T = TypeVar("T")
N = TypeVar("N", bound=Place)

DerivativeColumn: TypeAlias = list[Operand | None]
"""For each slot a tangent or a cotangent; None where none has reached it."""

ConditionalTerm: TypeAlias = tuple[N, N | None]
"""A number, and the condition under which it is present; None for always."""


class ConditionalArithmetic(Generic[N]):
    """Sums and choices of conditional terms; each condition made of others is recorded once.

    Two conditions are one where they are the same object.
    """

    def __init__(self, add: Callable[[N, N], N] | None = None) -> None:
        # Not by `apply`: what refers to itself is freed by the garbage collector alone.
        self.add: Callable[[N, N], N] = add or cast("Callable[[N, N], N]", ops.add)
        self.multiply: Callable[[N, N], N] = cast("Callable[[N, N], N]", ops.mul)
        self._made: dict[tuple[object, ...], tuple[tuple[N, ...], N]] = {}

    def apply(self, row: Primitive, *numbers: N | float) -> N:
        """A row applied to numbers."""
        return cast(N, row(*cast("tuple[Operand, ...]", numbers)))

    def product(self, x: N, y: N) -> N:
        """The product of two numbers, without a factor that is 1 or -1."""
        for one, other in ((y, x), (x, y)):
            if isinstance(one, float) and abs(one) == 1.0:
                return other if one == 1.0 else self.apply(ops.neg, other)
        return self.multiply(x, y)

    def or_zero(self, term: ConditionalTerm[N]) -> N:
        """The number of a term, and 0.0, not -0.0, where it is absent."""
        number, condition = term
        return number if condition is None else self.apply(ops.where, condition, number, 0.0)

    def _or_negative_zero(self, number: N, condition: N | None) -> N:
        """The number, and -0.0 where it is absent."""
        return number if condition is None else self.apply(ops.where, condition, number, -0.0)

    def plus(self, one: ConditionalTerm[N] | None, other: ConditionalTerm[N]) -> ConditionalTerm[N]:
        """The sum of two terms, which is present where either is; None adds nothing."""
        if one is None:
            return other
        (x, y), condition = self.under_one_condition(one, other)
        return self.add(x, y), condition

    def under_one_condition(
        self, one: ConditionalTerm[N], other: ConditionalTerm[N]
    ) -> tuple[tuple[N, N], N | None]:
        """The numbers of two terms, and the condition under which either is present."""
        (x, of_x), (y, of_y) = one, other
        if of_x is of_y:
            return (x, y), of_x
        numbers = self._or_negative_zero(x, of_x), self._or_negative_zero(y, of_y)
        either = None if of_x is None or of_y is None else self._once(ops.or_, of_x, of_y)
        return numbers, either

    def both(self, one: N | None, other: N | None) -> N | None:
        """The condition under which two hold; None always holds."""
        if one is None or other is None or one is other:
            return other if one is None else one
        return self._once(ops.and_, one, other)

    def negated(self, condition: N) -> N:
        """The condition under which another does not hold."""
        return self._once(ops.not_, condition)

    def _once(self, row: Primitive, *conditions: N) -> N:
        """Applies a row to conditions, or gives what it gave them before."""
        key = (row, *map(id, conditions))
        if key not in self._made:
            self._made[key] = conditions, self.apply(row, *conditions)
        return self._made[key][1]

    def selected(
        self, condition: N, first: ConditionalTerm[N] | None, second: ConditionalTerm[N] | None
    ) -> ConditionalTerm[N] | None:
        """The term of the arm that a ``where`` selects, given those of both."""
        if isinstance(condition, float):
            return first if condition else second
        if first is not None and second is not None and first[1] is second[1]:
            return self.apply(ops.where, condition, first[0], second[0]), first[1]
        total: ConditionalTerm[N] | None = None
        if first is not None:
            total = first[0], self.both(first[1], condition)
        if second is not None:
            total = self.plus(total, (second[0], self.both(second[1], self.negated(condition))))
        return total

    def pushed(
        self,
        row: Primitive,
        y: N,
        arguments: Sequence[N],
        terms: Sequence[ConditionalTerm[N] | None],
    ) -> ConditionalTerm[N] | None:
        """The sum of the products of the operands' terms and the partials."""
        total: ConditionalTerm[N] | None = None
        given = cast("Sequence[Operand]", (y, *arguments))
        partial_in = None if row.at_once is None else row.each_partial(*given)
        for index, term in enumerate(terms):
            if term is None:
                continue
            partial = partial_in(index) if partial_in else row.partial(index, *given)
            if partial is not None:
                total = self.plus(total, (self.product(cast(N, partial), term[0]), term[1]))
        return total


class RecordedSweep(ConditionalArithmetic[N]):
    """A sweep on traced numbers, which records as it goes; a subclass says in which direction.

    ``numbers`` has the tangent or cotangent of each slot, None where none has reached it, and
    ``conditions`` the condition of each that is not always present.
    """

    def __init__(self, columns: EntryColumns, numbers: list[N | None]) -> None:
        super().__init__()
        self.columns = columns
        self.numbers = numbers
        self.conditions: dict[int, N] = {}

    def term(self, slot: int) -> ConditionalTerm[N] | None:
        """The number of a slot with its condition, if one has reached it."""
        number = self.numbers[slot]
        return None if number is None else (number, self.conditions.get(slot))

    def set(self, slot: int, term: ConditionalTerm[N] | None) -> None:
        """Replaces the number of a slot and its condition."""
        self.numbers[slot], condition = term or (None, None)
        if condition is None:
            self.conditions.pop(slot, None)
        else:
            self.conditions[slot] = condition

    def accumulate(self, slot: int, share: ConditionalTerm[N]) -> None:
        """Adds a share to the number of a slot."""
        number, condition = share
        if condition is None and slot not in self.conditions:
            before = self.numbers[slot]
            self.numbers[slot] = number if before is None else self.add(before, number)
            return
        self.set(slot, self.plus(self.term(slot), share))

    def settle(self, slot: int) -> None:
        """Makes the number of a slot 0.0 where it is absent, so that it needs no condition."""
        term = self.term(slot)
        if term is not None:
            self.set(slot, (self.or_zero(term), None))


def seeded(length: int, seeds: Mapping[int, T]) -> list[T | None]:
    """A column with the seeds at their slots, and None everywhere else."""
    column: list[T | None] = [None] * length
    for slot, seed in seeds.items():
        column[slot] = seed
    return column
