"""The reverse sweep: from the cotangents of some slots to those of every slot below them.

Cotangents that meet in a slot are added one by one in the order the sweep meets them: highest
entry first, operands left to right. A slot that none reaches has None, never a zero.

On floats the sweep is one generated function with a branch for each row of the table: the row's
partials are run once on symbols and spelled out, so the library compiles its own table and no
derivative is stated twice. On traced numbers the same partials are called, and record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Final, TypeAlias, cast

from tapegrad.columns import Block, Columns
from tapegrad.primitive import Operand
from tapegrad.sweep_codegen import Sweep, SymbolicOperand, accumulate, product, reads

__all__ = ["cotangents"]

Bars: TypeAlias = list[Operand | None]


def cotangents(
    columns: Columns, seeds: Mapping[int, Operand], visit: Callable[[int], None] | None = None
) -> Bars:
    """The cotangent of every slot, given those of the slots in ``seeds``.

    ``visit`` is called with each slot before its operands receive anything, where the values are
    traced.
    """
    bars: Bars = [None] * len(columns)
    for slot, seed in seeds.items():
        bars[slot] = seed
    start = max(seeds, default=-1)
    if columns.traced:
        _Recorded(columns, bars).sweep(start, visit)
    else:
        _SWEEP(columns, range(start, -1, -1), bars)
    return bars


def _contribute(operand: SymbolicOperand) -> str:
    """Source that adds an operand's share of the cotangent ``b``."""
    share = product("b", operand.partial)
    return reads(share) + accumulate("bars[i]", share)


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
    inner = _column(len(inside), places, bars)
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
    """The entries that a block stands for, and where its operands and results stand outside.

    The operands' cotangents are added to inside, and not after it: so all additions are those of
    the program without the block, in the same order.
    """
    operands = columns.operands(slot)
    inside, results = block.again([cast(float, columns.values[operand]) for operand in operands])
    return inside, {**dict(enumerate(operands)), **dict(zip(results, count(slot + 1)))}


def _column(length: int, places: Mapping[int, int], bars: Sequence[Operand | None]) -> Bars:
    """The cotangents inside a block that have arrived from outside."""
    inner: Bars = [None] * length
    for place, other in places.items():
        inner[place] = bars[other]
    return inner


class _Recorded:
    """A reverse sweep on traced numbers, which takes down the gradient as it goes.

    A replay may select the other arm of a ``where``, and the arm not selected must then contribute
    nothing, which a product with a zero would not do: 0 * inf is nan. So beside each cotangent
    stands the condition under which it is present (none: always). Where it is absent its value
    means nothing, and where it meets one that is present under another condition, or arrives at an
    input, ``where(present, cotangent, -0.0)`` is recorded: -0.0 changes nothing it is added to.
    """

    def __init__(self, columns: Columns, bars: Bars) -> None:
        table = columns.table.base or columns.table
        self.add, self.mul, self.neg, self.where = map(table.__getitem__, _ARITHMETIC)
        self.both, self.either, self.negate = map(table.__getitem__, ("and_", "or_", "not_"))
        self.columns = columns
        self.bars = bars
        self.conditions: dict[int, Operand] = {}

    def sweep(self, start: int, visit: Callable[[int], None] | None = None, stop: int = 0) -> None:
        for slot in range(start, stop - 1, -1):
            bar = self.bars[slot]
            if bar is None:
                continue
            if visit is not None:
                visit(slot)
            name = self.columns.row(slot).name
            if name == "where":
                self.select(slot, bar)
            elif name == "input":
                self.arrive(slot, bar)
            else:
                self.contribute(slot, bar)

    def contribute(self, slot: int, bar: Operand) -> None:
        """Hand the products of a cotangent and the partials to the operands."""
        static = self.columns.static(slot)
        if static and isinstance(static[0], Block):
            self.reopen(slot, static[0])
            return
        condition = self.conditions.get(slot)
        for operand, partial in self.columns.partials(slot):
            self.accumulate(operand, self.product(bar, partial), condition)

    def reopen(self, slot: int, block: Block) -> None:
        """Sweep the entries that a block stands for, conditions included."""
        columns, places = _reopened(self.columns, slot, block)
        inside = _Recorded(columns, _column(len(columns), places, self.bars))
        for place, other in places.items():
            if other in self.conditions:
                inside.conditions[place] = self.conditions.pop(other)
        operands = self.columns.operands(slot)
        inside.sweep(len(columns) - 1, stop=len(operands))
        for place, operand in enumerate(operands):
            self.bars[operand] = inside.bars[place]
            if place in inside.conditions:
                self.conditions[operand] = inside.conditions[place]

    def product(self, bar: Operand, partial: Operand) -> Operand:
        """The share of an operand."""
        if _is(partial, 1.0):
            return bar
        if _is(partial, -1.0):
            return self.neg(bar)
        return partial if _is(bar, 1.0) else self.mul(bar, partial)

    def masked(self, share: Operand, condition: Operand | None) -> Operand:
        """The share, or -0.0 where it is absent."""
        return share if condition is None else self.where(condition, share, -0.0)

    def accumulate(self, slot: int, share: Operand, condition: Operand | None) -> None:
        """Add a share that is present under ``condition``."""
        bar = self.bars[slot]
        if bar is None:
            self.bars[slot] = share
            if condition is not None:
                self.conditions[slot] = condition
            return
        present = self.conditions.get(slot)
        if present is condition:
            self.bars[slot] = self.add(bar, share)
            return
        self.bars[slot] = self.add(self.masked(bar, present), self.masked(share, condition))
        if present is None or condition is None:
            self.conditions.pop(slot, None)
        else:
            self.conditions[slot] = self.either(present, condition)

    def select(self, slot: int, bar: Operand) -> None:
        """Hand the cotangent of a ``where`` to the arm that it selects."""
        condition, *arms = self.columns.operands(slot)
        chosen, outer = self.columns.values[condition], self.conditions.get(slot)
        if isinstance(chosen, float):
            self.accumulate(arms[0 if chosen else 1], bar, outer)
            return
        for arm, taken in zip(arms, (chosen, self.negate(chosen)), strict=True):
            present = taken if outer is None else self.both(outer, taken)
            self.accumulate(arm, bar, present)

    def arrive(self, slot: int, bar: Operand) -> None:
        """An input that nothing reaches has the derivative 0.0, not -0.0."""
        condition = self.conditions.get(slot)
        if condition is not None:
            self.bars[slot] = self.where(condition, bar, 0.0)


_ARITHMETIC = ("add", "mul", "neg", "where")


def _is(operand: Operand, number: float) -> bool:
    return isinstance(operand, float) and operand == number
