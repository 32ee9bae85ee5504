"""Sweeps a tape in reverse: from the cotangents of some slots to those of all slots below them.

Cotangents that meet in a slot are added one by one in the order the sweep meets them: highest
entry first, operands left to right. A slot that none reaches has None, never a zero.

On floats the sweep is generated code. On traced numbers the rows' partials are called, and record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Final, cast

from tapegrad.entries.columns import CheckpointedBlock, EntryColumns
from tapegrad.ops.primitive import Operand
from tapegrad.sweep.codegen import Sweep, SymbolicOperand, accumulate, reads, times
from tapegrad.sweep.conditional_terms import DerivativeColumn, RecordedSweep, product, seeded

__all__ = ["cotangents"]


def cotangents(
    columns: EntryColumns, seeds: Mapping[int, Operand], visit: Callable[[int], None] | None = None
) -> DerivativeColumn:
    """Computes the cotangent of every slot from those of the slots in ``seeds``.

    Where the values are traced, ``visit`` is called with each slot before its operands receive
    anything.
    """
    column = seeded(len(columns), seeds)
    start = max(seeds, default=-1)
    if columns.traced:
        _RecordedReverse(columns, column).sweep(start, visit)
    else:
        _SWEEP(columns, range(start, -1, -1), column)
    return column


def _contribute(operand: SymbolicOperand) -> str:
    """Source that adds an operand's share of the cotangent ``b``."""
    share = times("b", operand.partial)
    return f"i = {operand.slot}\n{reads(share)}{accumulate('cotangents[i]', share)}"


def _contribute_all(columns: EntryColumns, slot: int, column: DerivativeColumn) -> None:
    """Adds the shares of all operands of one entry, on floats."""
    block = _block(columns, slot)
    if block is not None:
        _sweep_block(columns, slot, block, column)
        return
    cotangent = cast(float, column[slot])
    for operand, partial in columns.partials(slot):
        share, total = cotangent * cast(float, partial), column[operand]
        column[operand] = share if total is None else cast(float, total) + share


_SWEEP: Final = Sweep(
    state="cotangents",
    arrive="b = cotangents[k]\nif b is None:\n    continue\n",
    operand=_contribute,
    any_entry=_contribute_all,
)


def _block(columns: EntryColumns, slot: int) -> CheckpointedBlock | None:
    """The block that an entry stands for, if it does."""
    static = columns.static(slot)
    return static[0] if static and isinstance(static[0], CheckpointedBlock) else None


def _sweep_block(
    columns: EntryColumns, slot: int, block: CheckpointedBlock, column: DerivativeColumn
) -> None:
    """Sweeps the entries that a block stands for, on floats."""
    inside, places = _recorded_again(columns, slot, block)
    inner = seeded(len(inside), {place: column[other] for place, other in places.items()})
    _SWEEP(inside, range(len(inside) - 1, -1, -1), inner)
    for place, operand in enumerate(columns.operands(slot)):
        column[operand] = inner[place]


def _recorded_again(
    columns: EntryColumns, slot: int, block: CheckpointedBlock
) -> tuple[EntryColumns, dict[int, int]]:
    """The entries of a block, and the slots outside of its operands and results.

    The operands' cotangents are continued inside, not added afterwards: so the additions are those
    of the program without the block, in the same order.
    """
    operands = columns.operands(slot)
    inside, results = block.record_again(
        [cast(float, columns.values[operand]) for operand in operands]
    )
    return inside, {**dict(enumerate(operands)), **dict(zip(results, count(slot + 1)))}


class _RecordedReverse(RecordedSweep):
    """A reverse sweep on traced numbers, which records the gradient."""

    def sweep(self, start: int, visit: Callable[[int], None] | None = None, stop: int = 0) -> None:
        """Visits the entries from ``start`` down to ``stop``."""
        for slot in range(start, stop - 1, -1):
            cotangent = self.numbers[slot]
            if cotangent is None:
                continue
            if visit is not None:
                visit(slot)
            kind = self.columns.row(slot).kind
            if kind == "choice":
                self.select(slot, cotangent)
            elif kind == "input":
                self.settle(slot)
            else:
                self.contribute(slot, cotangent)

    def contribute(self, slot: int, cotangent: Operand) -> None:
        """Adds the product of a cotangent and each partial to the operand's cotangent."""
        block = _block(self.columns, slot)
        if block is not None:
            self.sweep_block(slot, block)
            return
        condition = self.conditions.get(slot)
        for operand, partial in self.columns.partials(slot):
            self.accumulate(operand, (product(cotangent, partial), condition))

    def sweep_block(self, slot: int, block: CheckpointedBlock) -> None:
        """Sweeps the entries that a block stands for, conditions included."""
        columns, places = _recorded_again(self.columns, slot, block)
        inside = _RecordedReverse(columns, [None] * len(columns))
        for place, other in places.items():
            inside.set(place, self.term(other))
        operands = self.columns.operands(slot)
        inside.sweep(len(columns) - 1, stop=len(operands))
        for place, operand in enumerate(operands):
            self.set(operand, inside.term(place))

    def select(self, slot: int, cotangent: Operand) -> None:
        """Adds the cotangent of a ``where`` to that of the arm it selects."""
        condition, *arms = self.columns.operands(slot)
        selected, present = self.columns.values[condition], self.conditions.get(slot)
        if isinstance(selected, float):
            self.accumulate(arms[0 if selected else 1], (cotangent, present))
            return
        for arm, taken in zip(arms, (selected, self.negated(selected)), strict=True):
            self.accumulate(arm, (cotangent, self.both(present, taken)))
