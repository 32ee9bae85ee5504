"""Sweeps a tape in reverse: from the cotangents of some slots to those of all slots below them.

Cotangents that meet in a slot are added one by one in the order the sweep meets them: highest
entry first, operands left to right. A slot that none reaches has None, never a zero.

On floats the sweep is generated code. On traced numbers the rows' partials are called, and record.

An exact sweep keeps beside each cotangent the sum of what its additions have lost, and adds that
when the sweep arrives at the slot: T. Ogita, S. M. Rump and S. Oishi, Accurate sum and dot product
(2005), algorithm 4.4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Final, cast

from tapegrad.entries.columns import CheckpointedBlock, EntryColumns
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Operand
from tapegrad.ops.special import two_sum
from tapegrad.sweep.codegen import Sweep, SymbolicOperand, accumulate, reads, times
from tapegrad.sweep.conditional_terms import (
    ConditionalTerm,
    DerivativeColumn,
    RecordedSweep,
    product,
    seeded,
)

__all__ = ["cotangents"]


def cotangents(
    columns: EntryColumns,
    seeds: Mapping[int, Operand],
    visit: Callable[[int], None] | None = None,
    *,
    exact: bool = False,
) -> DerivativeColumn:
    """Computes the cotangent of every slot from those of the slots in ``seeds``.

    Where the values are traced, ``visit`` is called with each slot before its operands receive
    anything. With ``exact`` the sums of cotangents are compensated.
    """
    column = seeded(len(columns), seeds)
    start = max(seeds, default=-1)
    if columns.traced:
        sweep = _ExactRecordedReverse if exact else _RecordedReverse
        sweep(columns, column).sweep(start, visit)
    elif exact:
        _EXACT_SWEEP(columns, range(start, -1, -1), column, [0.0] * len(columns))
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


# The exact sweep on floats.


def _contribute_exactly(operand: SymbolicOperand) -> str:
    """Source that adds an operand's share of the cotangent ``b``, and keeps what is lost."""
    share = times("b", operand.partial)
    return f"i = {operand.slot}\n{reads(share)}p = {share}\n{_ADD_EXACTLY}"


_ADD_EXACTLY: Final = """\
c = cotangents[i]
if c is None:
    cotangents[i] = p
else:
    cotangents[i] = s = c + p
    t = s - c
    losses[i] += (c - (s - t)) + (p - t)
"""

_CORRECT: Final = """\
b = cotangents[k]
if b is None:
    continue
e = losses[k]
if e and e == e:
    cotangents[k] = b = b + e
"""


def _contribute_all_exactly(
    columns: EntryColumns, slot: int, column: DerivativeColumn, losses: list[float]
) -> None:
    """Adds the shares of all operands of one entry, and keeps what is lost."""
    block = _block(columns, slot)
    if block is not None:
        _sweep_block_exactly(columns, slot, block, column, losses)
        return
    cotangent = cast(float, column[slot])
    for operand, partial in columns.partials(slot):
        share, total = cotangent * cast(float, partial), column[operand]
        if total is None:
            column[operand] = share
        else:
            column[operand], lost = two_sum(cast(float, total), share)
            losses[operand] += lost


_EXACT_SWEEP: Final = Sweep(
    state="cotangents, losses",
    arrive=_CORRECT,
    operand=_contribute_exactly,
    any_entry=_contribute_all_exactly,
)


def _sweep_block_exactly(
    columns: EntryColumns,
    slot: int,
    block: CheckpointedBlock,
    column: DerivativeColumn,
    losses: list[float],
) -> None:
    """Sweeps the entries of a block, into which the operands' losses are continued, too."""
    inside, places = _recorded_again(columns, slot, block)
    inner = seeded(len(inside), {place: column[other] for place, other in places.items()})
    lost = [0.0] * len(inside)
    operands = columns.operands(slot)
    for place, operand in enumerate(operands):
        lost[place] = losses[operand]
    _EXACT_SWEEP(inside, range(len(inside) - 1, len(operands) - 1, -1), inner, lost)
    for place, operand in enumerate(operands):
        column[operand], losses[operand] = inner[place], lost[place]


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
    """A reverse sweep on traced numbers, which records the gradient.

    Nothing is recorded for constants, whose cotangents nobody reads: ``swept`` has None for them.
    """

    def __init__(self, columns: EntryColumns, numbers: DerivativeColumn) -> None:
        super().__init__(columns, numbers)
        constant = columns.table.codes[ops.constant]
        self.swept = [None if code == constant else code for code in columns.codes]

    def sweep(self, start: int, visit: Callable[[int], None] | None = None, stop: int = 0) -> None:
        """Visits the entries from ``start`` down to ``stop``."""
        for slot in range(start, stop - 1, -1):
            cotangent = self.arrived(slot)
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

    def arrived(self, slot: int) -> Operand | None:
        """The cotangent of a slot to which nothing more will be added."""
        return self.numbers[slot]

    def contribute(self, slot: int, cotangent: Operand) -> None:
        """Adds the product of a cotangent and each partial to the operand's cotangent."""
        block = _block(self.columns, slot)
        if block is not None:
            self.sweep_block(slot, block)
            return
        condition = self.conditions.get(slot)
        for operand, partial in self.columns.partials(slot, self.swept):
            self.accumulate(operand, (product(cotangent, partial), condition))

    def sweep_block(self, slot: int, block: CheckpointedBlock) -> None:
        """Sweeps the entries that a block stands for, conditions included."""
        columns, places = _recorded_again(self.columns, slot, block)
        inside = type(self)(columns, [None] * len(columns))
        for place, other in places.items():
            self.hand_over(other, inside, place)
        operands = self.columns.operands(slot)
        inside.sweep(len(columns) - 1, stop=len(operands))
        for place, operand in enumerate(operands):
            inside.hand_over(place, self, operand)

    def hand_over(self, slot: int, other: _RecordedReverse, place: int) -> None:
        """Makes the cotangent of a slot that of a slot of another sweep."""
        other.set(place, self.term(slot))

    def select(self, slot: int, cotangent: Operand) -> None:
        """Adds the cotangent of a ``where`` to that of the arm it selects."""
        condition, *arms = self.columns.operands(slot)
        selected, present = self.columns.values[condition], self.conditions.get(slot)
        if isinstance(selected, float):
            self.accumulate(arms[0 if selected else 1], (cotangent, present))
            return
        for arm, taken in zip(arms, (selected, self.negated(selected)), strict=True):
            self.accumulate(arm, (cotangent, self.both(present, taken)))


class _ExactRecordedReverse(_RecordedReverse):
    """A recorded reverse sweep that keeps what its additions lose, with the bits of the eager one.

    What was lost in a slot is present where its cotangent is.
    """

    def __init__(self, columns: EntryColumns, numbers: DerivativeColumn) -> None:
        super().__init__(columns, numbers)
        self.losses: dict[int, Operand] = {}
        self.lost: Operand | None = None
        self.add = self.add_exactly

    def add_exactly(self, x: Operand, y: Operand) -> Operand:
        """The sum; what it lost is noted."""
        self.lost = ops.sum_error(x, y)
        return ops.add(x, y)

    def accumulate(self, slot: int, share: ConditionalTerm) -> None:
        """Adds a share to the number of a slot, and what that loses to its loss."""
        before, loss = self.conditions.get(slot), self.losses.get(slot)
        self.lost = None
        super().accumulate(slot, share)
        if self.lost is None:
            return
        if loss is None:
            self.losses[slot] = self.lost
            return
        if before is not None and before is not share[1]:
            loss = ops.where(before, loss, 0.0)
        self.losses[slot] = ops.add(loss, self.lost)

    def arrived(self, slot: int) -> Operand | None:
        """The number of a slot, corrected by what was lost."""
        number, loss = self.numbers[slot], self.losses.pop(slot, None)
        if number is not None and loss is not None:
            self.numbers[slot] = number = ops.corrected(number, loss)
        return number

    def hand_over(self, slot: int, other: _RecordedReverse, place: int) -> None:
        """Makes the cotangent and the loss of a slot those of a slot of another sweep."""
        super().hand_over(slot, other, place)
        loss = self.losses.pop(slot, None)
        if loss is not None and isinstance(other, _ExactRecordedReverse):
            other.losses[place] = loss
