"""Computes Taylor coefficients of one slot along one input, from the partials of the table.

Along ``x + t`` every entry z is a power series in t, and its derivative z' is the sum of p * x'
over its operands x, where p is the partial in x. Partials are written with rows, so they become
entries that extend the tape, and so do their own partials. Equal entries are shared: the partials
of sine and cosine lead back to cosine and sine, and without sharing there would be 2^n of them.

The equations of all these entries are then solved together, one coefficient at a time, because
coefficient k + 1 depends on coefficients up to k only. This is R. E. Moore, Interval Analysis
(1966), chapter 11, with the table of operations in place of one recurrence for each function.

Up to order n an entry takes n * (n + 1) / 2 products for each operand. A partial is read one order
lower than its entry, so partials that never lead back (gamma, polygamma of rising order) end at
the order.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import reduce
from typing import Final, TypeAlias, final

import attrs

from tapegrad.entries.builder import EvaluatingBuilder, Place, Written, place_of
from tapegrad.entries.columns import EntryColumns
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Operand, Primitive, Traced
from tapegrad.sweep.conditional_terms import ConditionalArithmetic, ConditionalTerm

__all__ = ["taylor"]

Visit: TypeAlias = Callable[[int], None] | None


def taylor(columns: EntryColumns, output: int, order: int, visit: Visit = None) -> list[Operand]:
    """Returns the Taylor coefficients 0 to ``order`` of slot ``output`` along slot 0.

    Where the values are traced, ``visit`` is called with a slot of the tape before anything is
    recorded for it.
    """
    extension = _Extension(columns, visit)
    equations = extension.equations(output, order)
    found = _Solution(extension).coefficients(equations, output)[: order + 1]
    return found + [0.0] * (order + 1 - len(found))


@final
@attrs.frozen
class _SlotEquation:
    """The derivative of an entry: the sum of x' times a number (``scaled``) or slot (``products``).

    Coefficients up to order ``reach`` are needed. A ``where`` with a traced condition is a
    ``choice`` between two slots instead.
    """

    reach: int
    scaled: tuple[tuple[int, Operand], ...] = ()
    products: tuple[tuple[int, int], ...] = ()
    choice: tuple[Operand, int, int] | None = None

    @property
    def operands(self) -> Iterable[int]:
        """The slots whose coefficients are needed up to the order ``reach``, too."""
        yield from (operand for operand, _ in self.scaled + self.products)
        yield from self.choice[1:] if self.choice else ()


_RECIPROCALS: Final[Mapping[Primitive, Primitive]] = {
    ops.div: ops.div, ops.div2: ops.div, ops.div_pos: ops.div_pos,
}  # fmt: skip
"""The row that gives the reciprocal of a quotient's divisor."""


@final
class _Extension(EvaluatingBuilder):
    """The entries of a tape under their own numbers, then those that their partials write."""

    def __init__(self, columns: EntryColumns, visit: Visit) -> None:
        super().__init__(columns.table.base or columns.table)
        self.traced = columns.traced
        self.visit = visit
        self._moves: list[bool] = []
        for slot in range(len(columns)):
            self.origin = slot
            self._copy(columns, slot)
        self.origin = 0
        self.zero = self._copy_constant(0.0)

    def _copy(self, columns: EntryColumns, slot: int) -> None:
        """Writes an entry of the tape under its own number, to be shared if it is the first."""
        row, operands, static = columns.row(slot), columns.operands(slot), columns.static(slot)
        if row.kind == "constant":
            self._copy_constant(columns.values[slot])
            return
        entry = self.write(row, operands, static, columns.values[slot])
        if operands:
            self.known.setdefault(self.key(row, operands, static), entry)

    def _copy_constant(self, number: Operand) -> int:
        entry = self.write_constant(number)
        self.known.setdefault(self.constant_key(number), entry)
        return entry

    def moves(self, slot: int) -> bool:
        """Whether an entry depends on slot 0."""
        for other in range(len(self._moves), slot + 1):
            operands = self.operands[other]
            moved = (self._moves[operands[index]] for index in self._differentiated(other))
            self._moves.append(other == 0 or any(moved))
        return self._moves[slot]

    def _differentiated(self, slot: int) -> Iterable[int]:
        """The indices of the operands that a derivative passes through."""
        row, operands = self.rows[slot], self.operands[slot]
        if row.kind == "choice":
            chosen = self.values[operands[0]]
            return (1, 2) if isinstance(chosen, Traced) else (1 if chosen else 2,)
        return row.differentiated_operands(len(operands))

    def key(self, row: Primitive, slots: tuple[int, ...], static: tuple[object, ...]) -> Hashable:
        start = len(slots) if row.commutes_from is None else row.commutes_from
        return super().key(row, (*slots[:start], *sorted(slots[start:])), static)

    def rewritten(
        self, row: Primitive, places: Sequence[Place], static: tuple[object, ...]
    ) -> int | None:
        """Returns the same in rows whose partials lead back to entries that are there, or None.

        A quotient becomes a product with a reciprocal r, whose slope is -r * r, and a product of
        many becomes products of two. A zero that a rule mentions (the slope of x ** 0) is exact:
        its product with a pole is zero.
        """
        if row in {ops.mul, ops.neg} and any(map(self._is_exact_zero, places)):
            return self.zero
        if row is ops.neg:
            return self.negated(places[0])
        operands = [self.operand(place) for place in places]
        if row is ops.mul:
            other = _other_factor(*operands)
            return None if other is None else self.slot(place_of(other))
        if row is ops.product:
            return self.slot(place_of(reduce(ops.mul, operands)))
        if row not in _RECIPROCALS or (row is not ops.div2 and _is_number(operands[0], 1.0)):
            return None
        reciprocal = _RECIPROCALS[row](1.0, operands[1])
        quotient = ops.mul(operands[0], reciprocal)
        found = ops.mul(quotient, reciprocal) if row is ops.div2 else quotient
        return self.slot(place_of(found))

    def _is_exact_zero(self, place: Place) -> bool:
        """Whether an operand is a zero that a rule mentions, not one that was computed."""
        if isinstance(place, int):
            return place == self.zero
        return _is_number(place, 0.0)

    def equations(self, output: int, order: int) -> dict[int, _SlotEquation]:
        """Returns the equations of all slots that the coefficients of ``output`` depend on."""
        found: dict[int, _SlotEquation] = {}
        pending = [output]
        for reach in range(order, 0, -1):
            factors: list[int] = []
            while pending:
                slot = pending.pop()
                if slot == 0 or slot in found or not self.moves(slot):
                    continue
                equation = found[slot] = self._equation(slot, reach)
                pending += equation.operands
                factors += (factor for _, factor in equation.products)
            pending = factors
        return dict(sorted(found.items()))

    def _equation(self, slot: int, reach: int) -> _SlotEquation:
        """Returns the equation of one slot; its partials are written as entries."""
        self.attribute(slot)
        row, operands = self.rows[slot], self.operands[slot]
        passing = [index for index in self._differentiated(slot) if self.moves(operands[index])]
        if row.kind == "choice":
            condition, *arms = operands
            if isinstance(self.values[condition], Traced):
                return _SlotEquation(reach, choice=(self.values[condition], arms[0], arms[1]))
            return _SlotEquation(reach, tuple((operands[index], 1.0) for index in passing))
        scaled: list[tuple[int, Operand]] = []
        products: list[tuple[int, int]] = []
        partial_in = self._partial_of(slot)
        for index in passing:
            partial = partial_in(index)
            if not isinstance(partial, Written):
                scaled += [(operands[index], partial)] if partial else []
            elif self.moves(partial.slot):
                products.append((operands[index], partial.slot))
            elif partial.slot != self.zero:
                scaled.append((operands[index], self.values[partial.slot]))
        return _SlotEquation(reach, tuple(scaled), tuple(products))

    def _partial_of(self, slot: int) -> Callable[[int], Operand | None]:
        operands = (Written(self, operand) for operand in self.operands[slot])
        return self.rows[slot].each_partial(Written(self, slot), *operands, *self.static(slot))

    def attribute(self, slot: int) -> None:
        """Attributes what is written from here on to the entry of the tape that ``slot`` is for."""
        self.origin = self.origins[slot]
        if self.visit is not None:
            self.visit(self.origin)


@final
class _Solution:
    """Solves the equations for the coefficients of all slots, order by order."""

    def __init__(self, extension: _Extension) -> None:
        rows = (ops.add, ops.mul, ops.div)
        functions: list[Callable[..., Operand]]
        functions = [row if extension.traced else row.value for row in rows]
        self.add, self.mul, self.div = functions
        self.arithmetic = ConditionalArithmetic(self.add)
        self.extension = extension
        self.series: list[list[Operand]] = [[value] for value in extension.values]
        self.slopes: list[list[Operand]] = [[] for _ in extension.values]
        self.conditions: dict[tuple[int, int], Operand] = {}
        self._append(0, (1.0, None))

    def coefficients(self, equations: Mapping[int, _SlotEquation], output: int) -> list[Operand]:
        """Computes the coefficients of ``output``, without the zeros at their end."""
        for order in range(1, 1 + max((known.reach for known in equations.values()), default=0)):
            for slot, equation in equations.items():
                if order <= equation.reach:
                    self.extension.attribute(slot)
                    found = self._coefficient(equation, order)
                    if found is not None:
                        self._append(slot, found)
        terms = (self._term(output, order) for order in range(len(self.series[output])))
        return [self.arithmetic.or_zero(term) for term in terms if term is not None]

    def _term(self, slot: int, order: int) -> ConditionalTerm[Operand] | None:
        """The coefficient of one slot with its condition, or None beyond the last one."""
        if order >= len(self.series[slot]):
            return None
        return self.series[slot][order], self.conditions.get((slot, order))

    def _append(self, slot: int, term: ConditionalTerm[Operand]) -> None:
        order, (coefficient, condition) = len(self.series[slot]), term
        self.series[slot].append(coefficient)
        self.slopes[slot].append(self._product(coefficient, float(order)))
        if condition is not None:
            self.conditions[slot, order] = condition

    def _coefficient(self, equation: _SlotEquation, order: int) -> ConditionalTerm[Operand] | None:
        """Computes the coefficient of one slot, or None beyond the degree of a polynomial."""
        if equation.choice is not None:
            condition, *arms = equation.choice
            return self.arithmetic.selected(condition, *(self._term(arm, order) for arm in arms))
        total: ConditionalTerm[Operand] | None = None
        for operand, factor in equation.products:
            term = self._convolved(operand, factor, order - 1)
            if term is not None:
                total = self.arithmetic.plus(total, term)
        if total is not None and order > 1:
            total = self.div(total[0], float(order)), total[1]
        for operand, number in equation.scaled:
            term = self._term(operand, order)
            if term is not None:
                total = self.arithmetic.plus(total, (self._product(term[0], number), term[1]))
        return total

    def _convolved(self, operand: int, factor: int, order: int) -> ConditionalTerm[Operand] | None:
        """Computes the coefficient of p * x' for an operand x and its partial p."""
        slopes, factors = self.slopes[operand], self.series[factor]
        low, high = max(0, order + 1 - len(factors)), min(order, len(slopes) - 1)
        if low > high:
            return None
        reversed_factors = factors[order - high : order - low + 1][::-1]
        products = map(self._product, slopes[low : high + 1], reversed_factors)
        if not self.conditions:
            return reduce(self.add, products), None
        conditions = (
            self.arithmetic.both(
                self.conditions.get((operand, index + 1)),
                self.conditions.get((factor, order - index)),
            )
            for index in range(low, high + 1)
        )
        return reduce(self.arithmetic.plus, zip(products, conditions, strict=True))

    def _product(self, x: Operand, y: Operand) -> Operand:
        other = _other_factor(x, y)
        return self.mul(x, y) if other is None else other


def _other_factor(x: Operand, y: Operand) -> Operand | None:
    """The other factor of a product with the number 1, or None."""
    if _is_number(x, 1.0):
        return y
    return x if _is_number(y, 1.0) else None


def _is_number(operand: Operand, number: float) -> bool:
    return isinstance(operand, float) and operand == number
