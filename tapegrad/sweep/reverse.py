"""Sweeps a tape in reverse: from the cotangents of some slots to those of all slots below them.

Cotangents that meet in a slot are added one by one in the order the sweep meets them: highest
entry first, operands left to right. A slot that none reaches has None, never a zero.

On floats the sweep is generated code. On traced numbers the rows' partials are called, and record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Final, TypeAlias, cast

from tapegrad.entries.columns import Block, Columns
from tapegrad.ops.primitive import Operand
from tapegrad.ops.table import mul, neg
from tapegrad.sweep.codegen import Sweep, SymbolicOperand, accumulate, product, reads, seeded
from tapegrad.sweep.conditional import ConditionalColumn

__all__ = ["cotangents"]

Bars: TypeAlias = list[Operand | None]


def cotangents(
    columns: Columns, seeds: Mapping[int, Operand], visit: Callable[[int], None] | None = None
) -> Bars:
    """Compute the cotangent of every slot from those of the slots in ``seeds``.

    Where the values are traced, ``visit`` is called with each slot before its operands receive
    anything.
    """
    bars = seeded(len(columns), seeds)
    start = max(seeds, default=-1)
    if columns.traced:
        _Recorded(columns, bars).sweep(start, visit)
    else:
        _SWEEP(columns, range(start, -1, -1), bars)
    return bars


def _contribute(operand: SymbolicOperand) -> str:
    """Source that adds an operand's share of the cotangent ``b``."""
    share = product("b", operand.partial)
    return f"i = {operand.slot}\n{reads(share)}{accumulate('bars[i]', share)}"


def _contribute_all(columns: Columns, slot: int, bars: Bars) -> None:
    """Add the shares of all operands of one entry, on floats."""
    static = columns.static(slot)
    if static and isinstance(static[0], Block):
        _reopen(columns, slot, static[0], bars)
        return
    bar = cast(float, bars[slot])
    for operand, partial in columns.partials(slot):
        share, total = bar * cast(float, partial), bars[operand]
        bars[operand] = share if total is None else cast(float, total) + share


def _reopen(columns: Columns, slot: int, block: Block, bars: Bars) -> None:
    """Sweep the entries that a block stands for, on floats."""
    inside, places = _reopened(columns, slot, block)
    inner = _arrived(len(inside), places, bars)
    _SWEEP(inside, range(len(inside) - 1, -1, -1), inner)
    for place, operand in enumerate(columns.operands(slot)):
        bars[operand] = inner[place]


_SWEEP: Final = Sweep(
    state="bars",
    arrive="b = bars[k]\nif b is None:\n    continue\n",
    operand=_contribute,
    any_entry=_contribute_all,
)


def _reopened(columns: Columns, slot: int, block: Block) -> tuple[Columns, dict[int, int]]:
    """Record the entries of a block again, and map its operands and results to slots outside.

    The operands' cotangents are continued inside, not added afterwards: so the additions are those
    of the program without the block, in the same order.
    """
    operands = columns.operands(slot)
    inside, results = block.again([cast(float, columns.values[operand]) for operand in operands])
    return inside, {**dict(enumerate(operands)), **dict(zip(results, count(slot + 1)))}


def _arrived(length: int, places: Mapping[int, int], bars: Bars) -> Bars:
    """The cotangents inside a block as far as they have arrived from outside."""
    return seeded(length, {place: bars[other] for place, other in places.items()})


class _Recorded(ConditionalColumn):
    """A reverse sweep on traced numbers, which records the gradient as it goes."""

    def sweep(self, start: int, visit: Callable[[int], None] | None = None, stop: int = 0) -> None:
        """Visits the entries from ``start`` down to ``stop``."""
        for slot in range(start, stop - 1, -1):
            bar = self.numbers[slot]
            if bar is None:
                continue
            if visit is not None:
                visit(slot)
            kind = self.columns.row(slot).kind
            if kind == "choice":
                self.select(slot, bar)
            elif kind == "input":
                self.hand_out(slot)
            else:
                self.contribute(slot, bar)

    def contribute(self, slot: int, bar: Operand) -> None:
        """Adds the product of a cotangent and each partial to the operand's cotangent."""
        static = self.columns.static(slot)
        if static and isinstance(static[0], Block):
            self.reopen(slot, static[0])
            return
        condition = self.conditions.get(slot)
        for operand, partial in self.columns.partials(slot):
            self.accumulate(operand, (self.product(bar, partial), condition))

    def reopen(self, slot: int, block: Block) -> None:
        """Sweeps the entries that a block stands for, conditions included."""
        columns, places = _reopened(self.columns, slot, block)
        inside = _Recorded(columns, [None] * len(columns))
        for place, other in places.items():
            inside.set(place, self.term(other))
        operands = self.columns.operands(slot)
        inside.sweep(len(columns) - 1, stop=len(operands))
        for place, operand in enumerate(operands):
            self.set(operand, inside.term(place))

    def product(self, bar: Operand, partial: Operand) -> Operand:
        """Multiplies a cotangent by a partial, without a factor that is 1 or -1."""
        if _is(partial, 1.0):
            return bar
        if _is(partial, -1.0):
            return neg(bar)
        return partial if _is(bar, 1.0) else mul(bar, partial)

    def select(self, slot: int, bar: Operand) -> None:
        """Adds the cotangent of a ``where`` to that of the arm it selects."""
        condition, *arms = self.columns.operands(slot)
        chosen, present = self.columns.values[condition], self.conditions.get(slot)
        if isinstance(chosen, float):
            self.accumulate(arms[0 if chosen else 1], (bar, present))
            return
        for arm, taken in zip(arms, (chosen, self.negated(chosen)), strict=True):
            self.accumulate(arm, (bar, self.both(present, taken)))


def _is(operand: Operand, number: float) -> bool:
    """Whether an operand is this number and not traced."""
    return isinstance(operand, float) and operand == number
