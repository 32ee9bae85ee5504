"""The reverse sweep: from the cotangents of some slots to those of every slot below them.

Cotangents that meet in a slot are added one by one in the order the sweep meets them: highest
entry first, operands left to right. A slot that none reaches has None, never a zero.

On floats the sweep is one generated function with a branch for each row of the table: the row's
partials are run once on symbols and spelled out, so the library compiles its own table and no
derivative is stated twice. On traced numbers the same partials are called, and record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import count
from textwrap import indent
from typing import TypeAlias, cast

from tapegrad.columns import Block, Columns
from tapegrad.ops import add, and_, mul, neg, not_, or_, where
from tapegrad.primitive import Operand, Primitive, Symbol, Table
from tapegrad.spelling import SIDES, dispatch, executed, partials_of, reads

__all__ = ["cotangents", "sweep_source"]

Bars: TypeAlias = list[Operand | None]
Sweep: TypeAlias = Callable[[Columns, Bars, int], None]


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
        _compiled(columns.table.base or columns.table)(columns, bars, start)
    return bars


def _contribute(columns: Columns, slot: int, bar: float, bars: list[float | None]) -> None:
    """What the entry of any row hands to its operands, on floats."""
    row, arguments = columns.row(slot), columns.arguments(slot)
    if row.has_static and isinstance(arguments[-1], Block):
        inside, places = _reopened(columns, slot, arguments[-1])
        inner = _column(len(inside), places, bars)
        _compiled(inside.table.base or inside.table)(inside, inner, len(inside) - 1)
        for place, operand in enumerate(columns.operands(slot)):
            bars[operand] = cast("float | None", inner[place])
        return
    partials = row.every_partial(*cast("list[float]", [columns.values[slot], *arguments]))
    for operand, partial in zip(columns.operands(slot), partials, strict=True):
        if partial is not None:
            share, sum_ = bar * cast(float, partial), bars[operand]
            bars[operand] = share if sum_ is None else sum_ + share


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
            kind = self.columns.row(slot).kind
            if kind == "choice":
                self.select(slot, bar)
            elif kind == "input":
                self.arrive(slot, bar)
            else:
                self.contribute(slot, bar)

    def contribute(self, slot: int, bar: Operand) -> None:
        """Hand the products of a cotangent and the partials to the operands."""
        columns, condition = self.columns, self.conditions.get(slot)
        row, arguments = columns.row(slot), columns.arguments(slot)
        if row.has_static and isinstance(arguments[-1], Block):
            self.reopen(slot, arguments[-1])
            return
        for index, operand in enumerate(columns.operands(slot)):
            partial = row.partial(index, columns.values[slot], *arguments)
            if partial is not None:
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
            return neg(bar)
        return partial if _is(bar, 1.0) else mul(bar, partial)

    def masked(self, share: Operand, condition: Operand | None) -> Operand:
        """The share, or -0.0 where it is absent."""
        return share if condition is None else where(condition, share, -0.0)

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
            self.bars[slot] = add(bar, share)
            return
        self.bars[slot] = add(self.masked(bar, present), self.masked(share, condition))
        if present is None or condition is None:
            self.conditions.pop(slot, None)
        else:
            self.conditions[slot] = or_(present, condition)

    def select(self, slot: int, bar: Operand) -> None:
        """Hand the cotangent of a ``where`` to the arm that it selects."""
        condition, *arms = self.columns.operands(slot)
        chosen, outer = self.columns.values[condition], self.conditions.get(slot)
        if isinstance(chosen, float):
            self.accumulate(arms[0 if chosen else 1], bar, outer)
            return
        for arm, taken in zip(arms, (chosen, not_(chosen)), strict=True):
            present = taken if outer is None else and_(outer, taken)
            self.accumulate(arm, bar, present)

    def arrive(self, slot: int, bar: Operand) -> None:
        """An input that nothing reaches has the derivative 0.0, not -0.0."""
        condition = self.conditions.get(slot)
        if condition is not None:
            self.bars[slot] = where(condition, bar, 0.0)


def _is(operand: Operand, number: float) -> bool:
    return isinstance(operand, float) and operand == number


@cache
def _compiled(table: Table) -> Sweep:
    return cast(Sweep, executed(sweep_source(table), table, contribute=_contribute)["sweep"])


def sweep_source(table: Table) -> str:
    """The Python source of the reverse sweep on floats over the rows of ``table``."""
    return _HEAD + indent(dispatch(table, _branch, _GENERIC), " " * 8)


_GENERIC = "contribute(columns, k, b, bars)\n"

_HEAD = """\
def sweep(columns, bars, start):
    codes, left, right = columns.codes, columns.left, columns.right
    values, pool, statics = columns.values, columns.pool, columns.statics
    for k in range(start, -1, -1):
        b = bars[k]
        if b is None:
            continue
        code = codes[k]
"""


def _branch(row: Primitive) -> str:
    """What one row hands to its operands."""
    if row.kind == "choice":
        return f"c = pool[left[k]]\ni = pool[left[k] + (1 if values[c] else 2)]\n{_accumulate('b')}"
    if row.is_pooled:
        return _GENERIC
    lines = ""
    for side, partial in zip(SIDES, partials_of(row), strict=False):
        if partial is not None:
            share = _share(partial)
            lines += f"i = {side}[k]\n{reads(share)}{_accumulate(share)}"
    return lines or "pass\n"


def _share(partial: Operand) -> str:
    """The cotangent ``b`` times a partial."""
    if isinstance(partial, Symbol):
        return f"b * {partial.text}"
    return {1.0: "b", -1.0: "-b"}.get(cast(float, partial), f"b * {partial!r}")


def _accumulate(share: str) -> str:
    return f"p = {share}\nc = bars[i]\nbars[i] = p if c is None else c + p\n"
