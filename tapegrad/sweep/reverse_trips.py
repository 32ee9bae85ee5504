"""Sweeps the loops of a tape in reverse on slots: a few trips, and all others as those, moved on.

What the sweep of a trip records depends on the numbers that have reached its entries, on what those
are on the recording around, and on what they read. Where all of that is further by the same
distances in each trip, so is what is recorded: it is written at once. The entries, their order and
their values are those of the sweep entry by entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, pairwise, repeat
from typing import Final, cast, final

import attrs

from tapegrad._support.source_position import Mark
from tapegrad.entries.along import (
    alike_along,
    along,
    bits_of,
    further,
    progress,
    side_by_side,
)
from tapegrad.entries.builder import Place
from tapegrad.entries.columns import EntryColumns
from tapegrad.entries.repeats import Repeat
from tapegrad.entries.static_keys import static_key
from tapegrad.ops import table as ops
from tapegrad.recording.recorder import CODES, SIDES, Recorder
from tapegrad.sweep.conditional_terms import RecordedSweep

__all__ = ["ReverseTrips"]

_FARTHEST: Final = 8
"""How many trips ago entries may have been recorded that a trip reads."""
_LOOKED_AT: Final = 64
"""The most trips of a loop that are swept to find some that are alike."""
_LEAST: Final = 4
"""The fewest trips that are moved on together."""
_CONSTANT: Final = CODES[ops.constant]


@final
@attrs.frozen
class _Reads:
    """The entries that a loop reads outside of it: ``fixed`` ones, and others in steps.

    Of these the first ones, which the last trip reads, and the steps from there on. Entries of the
    loop itself are at most so many trips ``far``.
    """

    fixed: Sequence[int]
    stepping: Sequence[tuple[int, int]]
    far: int


@final
@attrs.frozen(eq=False)
class _Trip:
    """A trip that was swept: what that recorded, and which numbers were and are in reach.

    ``widths`` says how many entries each entry of the trip recorded, the last one first. Of the
    entries ``stepping`` it has the numbers before and after.
    """

    codes: Sequence[int]
    left: Sequence[int]
    right: Sequence[int]
    statics: Sequence[object]
    widths: Sequence[int]
    own: Sequence[Place | None]
    fixed: Sequence[Place | None]
    before: Sequence[Place | None]
    after: Sequence[Place | None]
    is_plain: bool

    @property
    def numbers(self) -> Iterator[Place | None]:
        """All numbers, in order."""
        return chain(self.own, self.fixed, self.before, self.after)

    @property
    def shape(self) -> object:
        """The part in which alike trips are equal."""
        kinds = [int if isinstance(number, int) else bits_of(number) for number in self.numbers]
        return self.codes, [*map(static_key, self.statics)], self.widths, kinds

    @property
    def slots(self) -> list[int]:
        """The slots, which are further in the next trip."""
        slots = [number for number in self.numbers if isinstance(number, int)]
        return [*self.left, *self.right, *slots]


def _alike(trips: Sequence[_Trip]) -> bool:
    """Whether these trips recorded the same, on slots further by the same distances each time."""
    if not all(trip.is_plain and trip.shape == trips[0].shape for trip in trips):
        return False
    return progress([trip.slots for trip in trips])


@final
class ReverseTrips:
    """Sweeps one loop; ``run`` sweeps the entries from one down to another one by one.

    ``places`` says what the entries are on the recording to which the sweep writes, and ``visit``
    makes that attribute entries to one of the tape's.
    """

    def __init__(  # what a sweep has
        self,
        sweep: RecordedSweep[Place],
        places: Sequence[Place],
        recorder: Recorder,
        loop: Repeat,
        run: Callable[[int, int], None],
        visit: Callable[[int], None] | None,
    ) -> None:
        self.state: RecordedSweep[Place] = sweep
        self.columns: EntryColumns = sweep.columns
        self.numbers: list[Place | None] = sweep.numbers
        self.places: Sequence[Place] = places
        self.recorder: Recorder = recorder
        self.loop: Repeat = loop
        self.run: Callable[[int, int], None] = run
        self.visit: Callable[[int], None] | None = visit
        self.trip: int = 0

    def sweep(self) -> None:
        """Sweeps all trips, from the last to the first."""
        reads = self._reads()
        if reads is not None:
            self._sweep_alike(reads)
        self.run(self._first(self.trip) + self.loop.length - 1, self.loop.first)

    def _sweep_alike(self, reads: _Reads) -> None:
        """Sweeps trips until some are alike, and then those that are like these."""
        seen = list[_Trip]()
        for _ in range(_LOOKED_AT):
            if self._left(reads) < _LEAST:
                break
            seen = [*seen[-2 - reads.far :], self._swept(reads)]
            if len(seen) == reads.far + 3 and _alike(seen) and self._move(reads, seen):
                seen = []

    def _first(self, trip: int) -> int:
        """The first entry of a trip, of which the last one is trip 0."""
        return self.loop.stop - self.loop.length * (trip + 1)

    def _left(self, reads: _Reads) -> int:
        """How many trips there are that reach no further than the loop."""
        return self.loop.count - self.trip - reads.far - 1

    def _reads(self) -> _Reads | None:
        """The entries that the loop reads outside of it; None where it cannot be moved on."""
        loop, columns = self.loop, self.columns
        trip = range(self._first(0), loop.stop)
        rows = {columns.row(slot) for slot in trip}
        if any(row not in CODES or row.arity is None or row.kind == "choice" for row in rows):
            return None
        pairs = dict.fromkeys(
            (x, y - x)
            for slot in trip
            for x, y in zip(
                columns.operands(slot), columns.operands(slot - loop.length), strict=True
            )
        )
        own = [x for x, step in pairs if x >= loop.first]
        stepping = [(x, step) for x, step in pairs if x < loop.first and step]
        fixed = [
            x for x, step in pairs if x < loop.first and not step and columns.codes[x] != _CONSTANT
        ]
        far = max(((loop.stop - 1 - x) // loop.length for x in own), default=0)
        is_moved = all(step == -loop.length for x, step in pairs if x >= loop.first)
        return _Reads(fixed, stepping, far) if is_moved and far <= _FARTHEST else None

    def _are_apart(self, reads: _Reads, seen: int) -> bool:
        """Whether what the trips seen, and those left, read in steps is read in one trip alone."""
        start, count = self.trip - seen - 1, seen + self._left(reads)
        columns = [further(x + step * start, step, count) for x, step in reads.stepping]
        read = {*chain.from_iterable(columns)}
        return (
            len(read) == count * len(columns)
            and read.isdisjoint(reads.fixed)
            and max(read, default=-1) < self.loop.first
        )

    def _swept(self, reads: _Reads) -> _Trip:
        """Sweeps the next trip, and describes what that did."""
        numbers, recorder, first = self.numbers, self.recorder, self._first(self.trip)
        stepping = [x + step * self.trip for x, step in reads.stepping]
        before = [numbers[slot] for slot in stepping]
        pool, statics = len(recorder.pool), len(recorder.statics)
        sizes = [len(recorder.codes)]
        for slot in range(first + self.loop.length - 1, first - 1, -1):
            self.run(slot, slot)
            sizes.append(len(recorder.codes))
        self.trip += 1
        codes = recorder.codes[sizes[0] :]
        return _Trip(
            codes,
            recorder.left[sizes[0] :],
            recorder.right[sizes[0] :],
            recorder.statics[statics:],
            [y - x for x, y in pairwise(sizes)],
            numbers[first - self.loop.length * (reads.far + 1) : first + self.loop.length],
            [numbers[slot] for slot in reads.fixed],
            before,
            [numbers[slot] for slot in stepping],
            is_plain=not self.state.conditions
            and pool == len(recorder.pool)
            and _CONSTANT not in codes,
        )

    def _move(self, reads: _Reads, seen: Sequence[_Trip]) -> bool:
        """Records the trips that are like those seen, if they are many enough."""
        count = min([self._left(reads), *self._even(reads, seen)])
        if count < _LEAST or not seen[-1].codes or not self._are_apart(reads, len(seen)):
            return False
        self._record(seen[-1], seen[-2], count)
        self._advance(reads, seen[-1], seen[-2], count)
        self.trip += count
        return True

    def _even(self, reads: _Reads, seen: Sequence[_Trip]) -> Iterator[int]:
        """How many of the trips left meet what is further by the same distances."""
        last, before, length = seen[-1], seen[-2], self.loop.length
        first, left, places = self._first(self.trip - 1), self._left(reads), self.places
        for slot in range(first, first + length):
            far, place, before_it = left + reads.far, places[slot], places[slot + length]
            yield alike_along(places, slot, -length, far, place, before_it) - reads.far
        for x, step in reads.stepping:
            slot = x + step * (self.trip - 1)
            yield alike_along(places, slot, step, left, places[slot], places[slot - step])
            kinds = [*map(_CONSTANT.__ne__, along(self.columns.codes, slot, step, left + 1))]
            yield len(kinds) - 1 if len({*kinds}) == 1 else 0
        lowest = first - length * (reads.far + 1)
        for index in range(length):
            bar, then = last.own[index], before.own[index]
            yield alike_along(self.numbers, lowest + index, -length, left, bar, then)
        for index, (x, step) in enumerate(reads.stepping):
            bar, then = last.before[index], before.before[index]
            yield alike_along(self.numbers, x + step * (self.trip - 1), step, left, bar, then)

    def _record(self, last: _Trip, before: _Trip, count: int) -> None:
        """Records so many trips; the values are computed one by one."""
        recorder = self.recorder
        left, right = (
            side_by_side(further(x, x - y, count) for x, y in zip(now, then, strict=True))
            for now, then in ((last.left, before.left), (last.right, before.right))
        )
        if recorder.marks is not None:
            recorder.marks += self._marks(last, count)
        recorder.codes += [*last.codes] * count
        recorder.statics += [*last.statics] * count
        recorder.left += left
        recorder.right += right
        values = cast("list[float]", recorder.values)
        keep = values.append
        functions = [self._function(*entry) for entry in zip(last.codes, last.right, strict=True)]
        for function, x, y in zip(functions * count, left, right, strict=True):
            keep(function(values[x], values[y]))

    def _function(self, code: int, right: int) -> Callable[[float, float], float]:
        """The function of an entry's operands, of which it may ignore the second."""
        row = self.recorder.table.rows[code]
        value = row.value
        if SIDES.get(row) == 2:
            return value
        static = (self.recorder.statics[right],) if row.has_static else ()
        return lambda x, _: value(x, *static)

    def _marks(self, last: _Trip, count: int) -> list[Mark | None]:
        """The positions of the entries of so many trips."""
        recorder, length = self.recorder, self.loop.length
        marks = cast("list[Mark | None]", recorder.marks)
        if self.visit is None:
            return marks[-len(last.codes) :] * count
        top = self._first(self.trip - 1) + length - 1
        columns: list[Iterable[Mark | None]] = []
        for slot, width in zip(range(top, top - length, -1), last.widths, strict=True):
            if width:
                columns += [self._attributed(further(slot, -length, count))] * width
        return side_by_side(columns)

    def _attributed(self, slots: Sequence[int]) -> list[Mark | None]:
        """The positions to which the entries are attributed that the visits of slots record."""
        found = []
        for slot in slots:
            cast("Callable[[int], None]", self.visit)(slot)
            found.append(self.recorder.attributed)
        return found

    def _advance(self, reads: _Reads, last: _Trip, before: _Trip, count: int) -> None:
        """Sets the numbers to those after so many trips."""
        numbers, length = self.numbers, self.loop.length
        first = self._first(self.trip - 1)
        lowest = first - length * (reads.far + 1)
        own = [_moved(x, y, count) for x, y in zip(last.own, before.own, strict=True)]
        for slot, column in zip(range(first, first + length), own[-length:], strict=True):
            numbers[slot - length * count : slot : length] = column[::-1]
        reached = [column[-1] for column in own[:-length]]
        numbers[lowest - length * count : first - length * count] = reached
        for slot, x, y in zip(reads.fixed, last.fixed, before.fixed, strict=True):
            numbers[slot] = _moved(x, y, count)[-1]
        for (x, step), now, then in zip(reads.stepping, last.after, before.after, strict=True):
            slots = further(x + step * (self.trip - 1), step, count)
            for slot, number in zip(slots, _moved(now, then, count), strict=True):
                numbers[slot] = number


def _moved(now: Place | None, before: Place | None, count: int) -> list[Place | None]:
    """A number in the trips that follow."""
    if isinstance(now, int) and isinstance(before, int):
        return [*further(now, now - before, count)]
    return [*repeat(now, count)]
