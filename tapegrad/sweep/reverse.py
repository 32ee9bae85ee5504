"""Sweeps a tape in reverse: from the cotangents of some slots to those of all slots below them.

Cotangents that meet in a slot are added one by one in the order the sweep meets them: highest
entry first, operands left to right. A slot that none reaches has None, never a zero.

On floats the sweep is generated code. On traced numbers the rows' partials are called, and record.

An exact sweep keeps beside each cotangent the sum of what its additions have lost, and adds that
when the sweep arrives at the slot: T. Ogita, S. M. Rump and S. Oishi, Accurate sum and dot product
(2005), algorithm 4.4.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from itertools import count as count_from
from typing import Final, TypeAlias, cast, final

import attrs

from tapegrad.entries.builder import Place
from tapegrad.entries.columns import CheckpointedBlock, EntryColumns
from tapegrad.entries.steps import Notes, Reference, Step
from tapegrad.entries.trips import WORTH, loops_of
from tapegrad.ops import table as ops
from tapegrad.ops.array_support import quiet, serving
from tapegrad.ops.primitive import Operand, Primitive, Table, Traced
from tapegrad.ops.special import two_sum
from tapegrad.recording.recorder import NOBODYS, SIDES, Recorder
from tapegrad.recording.slots import SlotWriter
from tapegrad.sweep.codegen import Sweep, SymbolicOperand, accumulate, times
from tapegrad.sweep.conditional_terms import (
    ConditionalTerm,
    DerivativeColumn,
    RecordedSweep,
    seeded,
)
from tapegrad.sweep.reverse_trips import ReverseTrips

__all__ = [
    "ON_FLOATS", "ExactRecordedReverse", "RecordedReverse", "cotangents", "results_of_blocks",
]  # fmt: skip


def cotangents(
    columns: EntryColumns,
    seeds: Mapping[int, Operand],
    visit: Callable[[int], None] | None = None,
    *,
    exact: bool = False,
    count: int | None = None,
    spent: Collection[int] = (),
) -> DerivativeColumn:
    """Computes the cotangents of the slots from those of the slots in ``seeds``.

    With ``count`` those of the first slots alone are asked for, so many inputs. Arrays in the slots
    that are ``spent`` may be dropped.
    Where the values are traced, ``visit`` is called with each slot before its operands receive
    anything. With ``exact`` the sums of cotangents are compensated.
    """
    column: DerivativeColumn = [None] * len(columns.codes)
    start = -1
    for slot, seed in seeds.items():
        column[slot] = seed
        if slot > start:
            start = slot
    if columns.on_arrays:
        is_plain = not any(isinstance(seed, Traced) for seed in seeds.values())
        with quiet(on_arrays=True):
            if is_plain and not (exact or columns.traced):
                sweep = serving("sweep.array_codegen").swept_on_arrays
                sweep(columns, column, start, count, spent)
            else:
                _sweep_arrays(columns, column, start, visit, exact=exact, count=count)
    elif columns.traced:
        writer = SlotWriter(columns.values, seeds.values())
        places = [None if seed is None else writer.place(seed) for seed in column]
        (ExactRecordedReverse if exact else RecordedReverse)(columns, places, writer).sweep(
            start, visit
        )
        return [None if place is None else writer.operand(place) for place in places[:count]]
    elif exact:
        _EXACT_SWEEP(columns, range(start, -1, -1), column, [0.0] * len(columns))
    else:
        _float_loop(columns.table.base or columns.table).run(columns, start, column)
    return column if count is None else column[:count]


def _sweep_arrays(  # as the caller
    columns: EntryColumns,
    column: DerivativeColumn,
    start: int,
    visit: Callable[[int], None] | None,
    *,
    exact: bool,
    count: int | None,
) -> None:
    """Puts cotangents in place of the seeds in a column by rows; some values are arrays."""
    sweeps = serving("sweep.array_reverse")
    writer = SlotWriter(columns.values, [seed for seed in column if seed is not None])
    places = [None if seed is None else writer.place(seed) for seed in column]
    make = sweeps.ExactArrayReverse if exact else sweeps.ArrayReverse
    make(columns, places, writer, sweeps.wanted_slots(columns, count)).sweep(start, visit)
    found = places[:count]
    column[:count] = [None if place is None else writer.operand(place) for place in found]


def _contribute(operand: SymbolicOperand) -> str:
    """Source that adds an operand's share of the cotangent ``b``."""
    share = times("b", operand.partial)
    return accumulate(f"cotangents[{operand.slot}]", share)


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


ON_FLOATS: Final = Sweep(
    state="cotangents",
    arrive="if b is None:\n    continue\n",
    operand=_contribute,
    any_entry=_contribute_all,
    descends=True,
)
"""The sweep of plain floats."""


@final
class _FloatLoop:
    """The loop of that sweep for tapes of a table, with branches for the codes that it has met.

    To spell and to compile those for all takes longer than the rest of a first gradient.
    """

    def __init__(self, table: Table) -> None:
        self.table: Table = table
        self.codes: frozenset[int] = frozenset()
        self.run: Callable[[EntryColumns, int, DerivativeColumn], None] = self.go_on

    def go_on(self, columns: EntryColumns, start: int, column: DerivativeColumn) -> None:
        """Sweeps on from an entry whose code was not met before."""
        codes = self.codes.union(columns.codes)
        run = ON_FLOATS.loop(self.table, codes, self.go_on)
        run(columns, start, column)
        self.codes, self.run = codes, run


_float_loop: Final = cache(_FloatLoop)


def _block(columns: EntryColumns, slot: int) -> CheckpointedBlock | None:
    """The block that an entry stands for, if it does."""
    static = columns.static(slot)
    return static[0] if static and isinstance(static[0], CheckpointedBlock) else None


def results_of_blocks(columns: EntryColumns) -> Collection[int]:
    """The slots of the results of blocks, whose cotangents their blocks read."""
    kinds = {*map(type, columns.statics)}
    if not any(issubclass(kind, CheckpointedBlock) for kind in kinds):
        return ()
    blocks = {slot for slot in range(len(columns)) if _block(columns, slot) is not None}
    return {slot for slot, left in enumerate(columns.left) if left in blocks}


def _sweep_block(
    columns: EntryColumns, slot: int, block: CheckpointedBlock, column: DerivativeColumn
) -> None:
    """Sweeps the entries that a block stands for, on floats."""
    inside, places = _recorded_again(columns, slot, block)
    inner = seeded(len(inside), {place: column[other] for place, other in places.items()})
    _float_loop(inside.table.base or inside.table).run(inside, len(inside) - 1, inner)
    for place, operand in enumerate(columns.operands(slot)):
        column[operand] = inner[place]


# The exact sweep on floats.


def _contribute_exactly(operand: SymbolicOperand) -> str:
    """Source that adds an operand's share of the cotangent ``b``, and keeps what is lost."""
    share = times("b", operand.partial)
    return f"p = {share}\n{_ADD_EXACTLY.format(operand.slot)}"


_ADD_EXACTLY: Final = """\
c = cotangents[{0}]
if c is None:
    cotangents[{0}] = p
else:
    cotangents[{0}] = s = c + p
    t = s - c
    losses[{0}] += (c - (s - t)) + (p - t)
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
    return inside, {**dict(enumerate(operands)), **dict(zip(results, count_from(slot + 1)))}


@final
@attrs.frozen(eq=False)
class _Partial:
    """The steps that a row's partial in one operand records, and their result.

    The result of the entry has index 0, and its operands follow.
    """

    steps: tuple[Step, ...]
    result: Reference


_Partials: TypeAlias = tuple[_Partial | None, ...]
"""The partials of a row in each operand; None where it is flat."""


def _known_partials(row: Primitive, static: tuple[object, ...]) -> _Partials | None:
    """The partials of a row of the library's with a fixed number of operands; else None."""
    if row.arity is None or row not in ops.TABLE.codes:
        return None
    return _noted(row, static) if static else _noted_once(row)


@lru_cache(maxsize=1024)
def _noted_once(row: Primitive) -> _Partials:
    """The partials of a row that has no static operand."""
    return _noted(row, ())


def _noted(row: Primitive, static: tuple[object, ...]) -> _Partials:
    """The partials of a row, found by calling each of them once."""
    found: list[_Partial | None] = []
    for index in range(row.arity or 0):
        notes = Notes(1 + (row.arity or 0))
        partial = row.partial(index, *notes.stand_ins, *cast("tuple[Operand, ...]", static))
        known = None if partial is None else _Partial((*notes.steps,), notes.reference(partial))
        found.append(known)
    return tuple(found)


@lru_cache(maxsize=32)
def _short_partials(table: Table) -> Sequence[_Partials | None]:
    """The partials of a table's operations whose operands stand in the two columns, if known."""
    return [_known_partials(row, ()) if row in SIDES else None for row in table.rows]


class RecordedReverse(RecordedSweep[Place]):
    """A reverse sweep on traced numbers, which records the gradient on slots.

    ``places`` has the value of each entry. Nothing is recorded for constants, whose cotangents
    nobody reads: ``swept`` has None for them.
    """

    moves_trips = True
    """Whether trips of loops may be recorded by what others have recorded."""

    def __init__(
        self, columns: EntryColumns, numbers: list[Place | None], writer: SlotWriter
    ) -> None:
        super().__init__(columns, numbers)
        self.add: Callable[[Place, Place], Place] = writer.binary(ops.add)
        self.multiply: Callable[[Place, Place], Place] = writer.binary(ops.mul)
        self.writer = writer
        self.places: list[Place] = writer.places(columns.values)
        constant = columns.table.codes[ops.constant]
        swept = [None if code == constant else code for code in columns.codes]
        self.swept: list[int | None] = swept
        self.short: Sequence[_Partials | None] = _short_partials(columns.table)

    def apply(self, row: Primitive, *numbers: Place) -> Place:
        """A row applied to places."""
        return self.writer.apply(row, numbers)

    def sweep(self, start: int, visit: Callable[[int], None] | None = None, stop: int = 0) -> None:
        """Visits the entries from ``start`` down to ``stop``, whose loops are found again."""

        def run(start: int, stop: int) -> None:
            self.sweep_range(start, visit, stop)

        recorder = self.writer.recorder
        if recorder is not None and self.is_movable(recorder) and self.reaches_many(start):
            for loop in reversed(loops_of(self.columns)):
                if stop <= loop.first and loop.stop <= start + 1:
                    run(start, loop.stop)
                    if self.numbers[loop.first : loop.stop].count(None) < loop.stop - loop.first:
                        ReverseTrips(self, self.places, recorder, loop, run, visit).sweep()
                    start = loop.first - 1
        run(start, stop)

    def reaches_many(self, start: int) -> bool:
        """Whether the sweep reaches so many entries that loops among them are worth being found."""
        columns, left = self.columns, WORTH
        reached = bytearray(number is not None for number in self.numbers)
        for slot in range(start, -1, -1):
            if reached[slot]:
                left -= 1
                if not left:
                    return True
                for operand in columns.operands(slot):
                    reached[operand] = 1
        return False

    def is_movable(self, recorder: Recorder) -> bool:
        """Whether trips may be recorded as others were: all values there are floats."""
        on_arrays = recorder.on_arrays or self.columns.on_arrays
        return self.moves_trips and recorder.plain is not NOBODYS and not on_arrays

    def sweep_range(self, start: int, visit: Callable[[int], None] | None, stop: int) -> None:
        """Visits these entries, one by one."""
        codes, short = self.columns.codes, self.short
        for slot in range(start, stop - 1, -1):
            cotangent = self.arrived(slot)
            if cotangent is None:
                continue
            if visit is not None:
                visit(slot)
            partials = short[codes[slot]]
            if partials is None:
                self.contribute_any(slot, cotangent)
            else:
                self.contribute(slot, cotangent, partials)

    def arrived(self, slot: int) -> Place | None:
        """The cotangent of a slot to which nothing more will be added."""
        return self.numbers[slot]

    def contribute(self, slot: int, cotangent: Place, partials: _Partials) -> None:
        """Adds the shares of the operands of an entry with one or two of them."""
        left, right = self.columns.left[slot], self.columns.right[slot]
        condition = self.conditions.get(slot) if self.conditions else None
        operand = left
        for partial in partials:
            if partial is not None and self.swept[operand] is not None:
                share = self.share(cotangent, self.taken(partial, (slot, left, right)))
                self.accumulate(operand, (share, condition))
            operand = right

    def share(self, cotangent: Place, partial: Place) -> Place:
        """The product of a cotangent and a partial."""
        if isinstance(partial, int) and isinstance(cotangent, int):
            return self.multiply(cotangent, partial)
        return self.product(cotangent, partial)

    def contribute_any(self, slot: int, cotangent: Place) -> None:
        """Adds the shares of the operands of any entry."""
        row = self.columns.row(slot)
        if row.kind == "choice":
            self.select(slot, cotangent)
        elif row.kind == "input":
            self.settle(slot)
        elif (block := _block(self.columns, slot)) is not None:
            self.sweep_block(slot, block)
        else:
            condition = self.conditions.get(slot)
            for operand, partial in self.partials(slot, row):
                self.accumulate(operand, (self.share(cotangent, partial), condition))

    def partials(self, slot: int, row: Primitive) -> Iterator[tuple[int, Place]]:
        """The operands of an entry, each with the partial in it."""
        columns, operands = self.columns, self.columns.operands(slot)
        partials = _known_partials(row, columns.static(slot))
        if partials is None:
            for operand, number in columns.partials(slot, self.swept):
                yield operand, self.writer.place(number)
            return
        for operand, partial in zip(operands, partials, strict=True):
            if partial is not None and self.swept[operand] is not None:
                yield operand, self.taken(partial, (slot, *operands))

    def taken(self, partial: _Partial, slots: tuple[int, ...]) -> Place:
        """The result of a partial's steps for an entry and its operands."""
        result = partial.result
        if not partial.steps:
            return self.places[slots[result]] if isinstance(result, int) else result
        places = [self.places[slot] for slot in slots if slot >= 0]
        for step in partial.steps:
            given = [places[x] if isinstance(x, int) else x for x in step.operands]
            places.append(self.writer.apply(step.row, given, step.static))
        return places[result] if isinstance(result, int) else result

    def sweep_block(self, slot: int, block: CheckpointedBlock) -> None:
        """Sweeps the entries that a block stands for, conditions included."""
        columns, places = _recorded_again(self.columns, slot, block)
        inside = type(self)(columns, [None] * len(columns), self.writer)
        for place, other in places.items():
            self.hand_over(other, inside, place)
        operands = self.columns.operands(slot)
        inside.sweep(len(columns) - 1, stop=len(operands))
        for place, operand in enumerate(operands):
            inside.hand_over(place, self, operand)

    def hand_over(self, slot: int, other: RecordedReverse, place: int) -> None:
        """Makes the cotangent of a slot that of a slot of another sweep."""
        other.set(place, self.term(slot))

    def select(self, slot: int, cotangent: Place) -> None:
        """Adds the cotangent of a ``where`` to that of the arm it selects."""
        condition, *arms = self.columns.operands(slot)
        selected, present = self.places[condition], self.conditions.get(slot)
        if isinstance(selected, float):
            self.accumulate(arms[0 if selected else 1], (cotangent, present))
            return
        for arm, taken in zip(arms, (selected, self.negated(selected)), strict=True):
            self.accumulate(arm, (cotangent, self.both(present, taken)))


class ExactRecordedReverse(RecordedReverse):
    """A recorded reverse sweep that keeps what its additions lose, with the bits of the eager one.

    What was lost in a slot is present where its cotangent is.
    """

    moves_trips = False

    def __init__(
        self, columns: EntryColumns, numbers: list[Place | None], writer: SlotWriter
    ) -> None:
        super().__init__(columns, numbers, writer)
        self.losses: dict[int, Place] = {}
        self.lost: Place | None = None
        self.add: Callable[[Place, Place], Place] = self.add_exactly

    def add_exactly(self, x: Place, y: Place) -> Place:
        """The sum; what it lost is noted."""
        self.lost = self.apply(ops.sum_error, x, y)
        return self.apply(ops.add, x, y)

    def accumulate(self, slot: int, share: ConditionalTerm[Place]) -> None:
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
            loss = self.apply(ops.where, before, loss, 0.0)
        self.losses[slot] = self.apply(ops.add, loss, self.lost)

    def arrived(self, slot: int) -> Place | None:
        """The number of a slot, corrected by what was lost."""
        number, loss = self.numbers[slot], self.losses.pop(slot, None)
        if number is not None and loss is not None:
            self.numbers[slot] = number = self.apply(ops.corrected, number, loss)
        return number

    def hand_over(self, slot: int, other: RecordedReverse, place: int) -> None:
        """Makes the cotangent and the loss of a slot those of a slot of another sweep."""
        super().hand_over(slot, other, place)
        loss = self.losses.pop(slot, None)
        if loss is not None and isinstance(other, ExactRecordedReverse):
            other.losses[place] = loss
