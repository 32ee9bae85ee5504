"""Leaves out the entries of a program that neither outputs nor guards need.

Entries are walked from the last to the first. In a stretch of trips that were written together the
walk stops where trips need the same entries, and all before do so as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, compress, repeat
from typing import TypeVar, final

from tapegrad.compile.lowered import Lowered
from tapegrad.entries.along import along, side_by_side
from tapegrad.entries.repeats import Repeat

__all__ = ["Needed"]

T = TypeVar("T")


@final
class Needed:
    """Some slots of a program and all that they are computed from.

    ``new`` has the new number of each slot that is ``wanted``.
    """

    wanted: bytearray
    new: Sequence[int]

    def __init__(self, lowered: Lowered, slots: Iterable[int]) -> None:
        self._operands = lowered.operands
        self._even: list[Repeat] = []
        self.wanted = bytearray(len(lowered.rows))
        for slot in slots:
            self.wanted[slot] = 1
        stop = len(lowered.rows)
        for stretch in reversed(lowered.stretches):
            self._walk(stretch.stop, stop)
            self._walk_trips(stretch)
            stop = stretch.first
        self._walk(0, stop)
        self._even.reverse()
        self.new = list(accumulate(self.wanted, initial=0))

    def _walk(self, start: int, stop: int) -> None:
        """Wants what the entries read that are wanted, from the last of these to the first."""
        wanted, operands = self.wanted, self._operands
        for slot in range(stop - 1, start - 1, -1):
            if wanted[slot]:
                for operand in operands[slot]:
                    wanted[operand] = 1

    def _walk_trips(self, stretch: Repeat) -> None:
        """Does so for trips that were written together."""
        first, length, trip = stretch.first, stretch.length, stretch.count
        asked = bytes(self.wanted[first : stretch.stop])
        far = self._farthest(stretch)
        seen: list[bytes] = []
        while trip:
            trip -= 1
            start = first + length * trip
            self._walk(start, start + length)
            seen = [*seen[-far:], bytes(self.wanted[start : start + length])]
            # What a trip needs depends on what is asked of it from outside, and by later trips.
            if len(seen) > far and len({*seen}) == 1:
                lowest = _first_alike(asked, length, trip)
                self._want_trips(stretch, lowest, trip, seen[-1])
                trip = lowest

    def _farthest(self, stretch: Repeat) -> int:
        """How many trips ago something of the stretch was written that a trip reads; at least 1."""
        last = stretch.stop - stretch.length
        reads = [x for read in self._operands[last : stretch.stop] for x in read]
        own = [(stretch.stop - 1 - x) // stretch.length for x in reads if x >= stretch.first]
        return max(own, default=0) or 1

    def _want_trips(self, stretch: Repeat, lowest: int, trip: int, needed: bytes) -> None:
        """Wants of these trips before another one what that needs, and what they read."""
        first, length, count = stretch.first, stretch.length, trip - lowest
        if count < 2:
            for start in range(first + length * (trip - 1), first + length * lowest - 1, -length):
                self._walk(start, start + length)
            return
        start = first + length * lowest
        self.wanted[start : start + length * count] = needed * count
        self._even.append(Repeat(start, length, count))
        for slot in compress(range(start, start + length), needed):
            now, then = self._operands[slot], self._operands[slot + length]
            for x, y in zip(now, then, strict=True):
                self._want(x, y - x, count)

    def _want(self, first: int, step: int, count: int) -> None:
        """Wants slots in these steps."""
        if step < 0:
            first, step = first + step * (count - 1), -step
        if step:
            self.wanted[first : first + step * (count - 1) + 1 : step] = b"\1" * count
        else:
            self.wanted[first] = 1

    def kept(self, column: Sequence[T]) -> list[T]:
        """The elements of a column for the slots that are wanted."""
        return list(compress(column, self.wanted))

    def facts(self, column: Mapping[int, T]) -> dict[int, T]:
        """The facts known of slots that are wanted, by their new numbers."""
        new, wanted = self.new, self.wanted
        return {new[slot]: value for slot, value in column.items() if wanted[slot]}

    def operands(self) -> list[tuple[int, ...]]:
        """The operands of the entries that are wanted, by their new numbers."""
        found: list[tuple[int, ...]] = []
        at, place_of_slot = 0, self.new.__getitem__
        for trips in (*self._even, Repeat(len(self.wanted), 0, 0)):
            kept = compress(self._operands[at : trips.first], self.wanted[at : trips.first])
            found += [tuple(map(place_of_slot, read)) for read in kept]
            found += self._operands_of(trips)
            at = trips.stop
        return found

    def _operands_of(self, trips: Repeat) -> list[tuple[int, ...]]:
        """The operands of trips that need the same entries."""
        first, length, count = trips.first, trips.length, trips.count
        columns: list[Iterable[tuple[int, ...]]] = []
        for slot in compress(range(first, first + length), self.wanted[first : first + length]):
            now, then = self._operands[slot], self._operands[slot + length]
            read = [along(self.new, x, y - x, count) for x, y in zip(now, then, strict=True)]
            columns.append(zip(*read, strict=True) if read else repeat((), count))
        return side_by_side(columns)


def _first_alike(asked: bytes, length: int, trip: int) -> int:
    """The first of the trips before one of which as much is asked as of it."""
    wanted = asked[length * trip : length * (trip + 1)]
    if asked[: length * trip] == wanted * trip:
        return 0
    while trip and asked[length * (trip - 1) : length * trip] == wanted:
        trip -= 1
    return trip
