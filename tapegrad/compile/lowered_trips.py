"""Lowers the loops of a tape: a few trips one by one, and all others as what those were, moved on.

Lowering an entry looks at the entries that it reads, and for entries that are there already. Where
trips that follow each other did the same, with each slot further by the same distance, the next one
does so, too, as long as the slots that it meets apply the same rows to slots that move along, and
what it finds is found. That holds of the loop itself, as its trips are alike, and is compared of
all else. So the program is, entry by entry, the one that lowering each trip would write, except
that equal entries of trips that are far apart are not shared.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import Final, TypeVar, cast, final

import attrs

from tapegrad.compile.keys import Keys, Seen
from tapegrad.compile.lowered import Lowered
from tapegrad.entries.along import (
    alike_along,
    alike_up_to,
    along,
    bits_of,
    further,
    progress,
    side_by_side,
)
from tapegrad.entries.builder import Place
from tapegrad.entries.repeats import Repeat
from tapegrad.entries.static_keys import static_key
from tapegrad.ops import table as ops

__all__ = ["Trips"]

T = TypeVar("T")

_FARTHEST: Final = 8
"""How many trips ago something may have been written that a trip reads."""
_LOOKED_AT: Final = 64
"""The most trips of a loop that are lowered to find some that are alike."""
_LEAST: Final = 4
"""The fewest trips that are moved on together."""


@final
@attrs.frozen(eq=False)
class _Trip:
    """A trip that was lowered: the ``shape`` of that, and in order the slots and other ints in it.

    Its own entries begin at slot ``start``, and ``seen`` has the keys of entries that were found or
    written. Without a shape it is like no other.
    """

    start: int
    seen: Sequence[Seen]
    shape: Sequence[object] | None
    slots: Sequence[int]
    others: Sequence[int]


def _alike(trips: Sequence[_Trip]) -> bool:
    """Whether these trips did the same, with all slots further by the same distances each time."""
    first = trips[0]
    if first.shape is None or any(trip.shape != first.shape for trip in trips):
        return False
    return progress([[*trip.slots, *trip.others] for trip in trips])


@final
class Trips:
    """Lowers one loop; ``write`` lowers the entries of a range one by one."""

    def __init__(self, lowered: Lowered, loop: Repeat, write: Callable[[int, int], None]) -> None:
        self.lowered: Lowered = lowered
        self.loop: Repeat = loop
        self.write: Callable[[int, int], None] = write
        self.keys: Keys = lowered.watched()
        self.trip: int = 0

    def lower(self) -> None:
        """Lowers all trips."""
        loop, seen = self.loop, list[_Trip]()
        window = self._farthest() + 3
        for _ in range(_LOOKED_AT):
            if self.trip + _LEAST >= loop.count:
                break
            seen = [*seen[1 - window :], self._lowered()]
            if len(seen) == window and _alike(seen) and self._move(seen):
                seen = []
        self.write(self._first(self.trip), loop.stop)

    def _first(self, trip: int) -> int:
        """The first entry of a trip on the tape."""
        return self.loop.first + self.loop.length * trip

    def _farthest(self) -> int:
        """How many trips ago the entries of the loop were written that a trip reads."""
        loop, columns = self.loop, self.lowered.columns
        last = self._first(loop.count - 1)
        reads = chain.from_iterable(map(columns.operands, range(last, loop.stop)))
        ago = [(loop.stop - 1 - x) // loop.length for x in reads]
        return max((trips for trips in ago if trips <= _FARTHEST), default=0)

    def _lowered(self) -> _Trip:
        """Lowers the next trip, and describes what that did."""
        lowered, first = self.lowered, self._first(self.trip)
        start, guards = len(lowered.rows), len(lowered.guards)
        self.keys.seen = seen = list[Seen]()
        self.trip += 1
        self.write(first, self._first(self.trip))
        self.keys.seen = None
        return _described(lowered, start, guards, lowered.places[first:], seen)

    def _move(self, seen: Sequence[_Trip]) -> bool:
        """Writes the trips that are like those seen, if they are many enough."""
        last, before, left = seen[-1], seen[-2], self.loop.count - self.trip
        count = min([left, *self._even(seen, left)])
        if count >= _LEAST and last.start > before.start:
            _Moved(self.lowered, last, before, count).write(self.loop.length)
            self.trip += count
            return True
        return False

    def _even(self, seen: Sequence[_Trip], left: int) -> Iterator[int]:
        """How many of the trips left are like those seen, by each slot that they meet elsewhere."""
        last, before, lowered = seen[-1], seen[-2], self.lowered
        met = dict.fromkeys(zip(last.slots, before.slots, strict=True))
        for read, of_before in self._reads(len(seen)):
            now, then = lowered.places[read], lowered.places[of_before]
            yield alike_along(lowered.places, read, read - of_before, left, now, then)
            if isinstance(now, int) and isinstance(then, int):
                met[now, then] = None
        for now, then in met:
            if now != then and not _is_own(now, then, seen):
                yield _even_slots(lowered, now, now - then, left)
        yield from self._even_constants(left)
        yield from self._even_keys(seen, left)

    def _reads(self, window: int) -> Iterator[tuple[int, int]]:
        """Pairs of entries outside of the loop that the latest trip and the one before read."""
        loop, columns = self.loop, self.lowered.columns
        first, near = self._first(self.trip - 1), self._first(self.trip - window)
        for slot in range(first, first + loop.length):
            before = columns.operands(slot - loop.length)
            for now, then in zip(columns.operands(slot), before, strict=True):
                if now != then and (now - then != loop.length or now < near):
                    yield now, then

    def _even_constants(self, left: int) -> Iterator[int]:
        """The same by the values of the constants of each trip."""
        loop, columns = self.loop, self.lowered.columns
        code = columns.table.codes[ops.constant]
        for slot in range(self._first(self.trip - 1), self._first(self.trip)):
            if columns.codes[slot] == code:
                value = columns.values[slot]
                yield alike_along(columns.values, slot, loop.length, left, value, value)

    def _even_keys(self, seen: Sequence[_Trip], left: int) -> Iterator[int]:
        """The same by what is found elsewhere under keys that move along."""
        last, before = seen[-1], seen[-2]
        for (key, now, is_written), (other, then, _) in zip(last.seen, before.seen, strict=True):
            if not (is_written or key == other or _is_own(now, then, seen)):
                keys, slots = _moving_keys(key, other, left), further(now, now - then, left)
                yield self.keys.found(keys, slots)


def _is_own(now: int, then: int, seen: Sequence[_Trip]) -> bool:
    """Whether slots of the latest trip, and of the one before, are entries of trips seen."""
    return now - then == seen[-1].start - seen[-2].start and now >= seen[0].start


def _moving_keys(now: Hashable, before: Hashable, count: int) -> Sequence[Hashable]:
    """The keys 1, 2, ..., ``count`` steps further than one."""
    if isinstance(now, int) and isinstance(before, int):
        return further(now, now - before, count)
    row, read, *static = cast("tuple[Hashable, ...]", now)
    _, then, *_ = cast("tuple[Hashable, ...]", before)
    pairs = zip(cast("tuple[int, ...]", read), cast("tuple[int, ...]", then), strict=True)
    columns = [further(x, x - y, count) for x, y in pairs]
    return [(row, one, *static) for one in zip(*columns, strict=True)]


def _even_slots(lowered: Lowered, slot: int, step: int, count: int) -> int:
    """How many slots in these steps apply one row, without a static operand, to what moves on."""
    row, now = lowered.rows[slot], lowered.operands[slot]
    before = lowered.operands[slot - step]
    if row is ops.constant or row.has_static or lowered.rows[slot - step] is not row:
        return 0
    rows = along(lowered.rows, slot + step, step, count)
    count = min(count, alike_up_to(list(rows), [row] * len(rows)))
    operands = list(along(lowered.operands, slot + step, step, count))
    wanted = [further(x, x - y, count) for x, y in zip(now, before, strict=True)]
    return alike_up_to(operands, list(zip(*wanted, strict=True)) if wanted else [()] * count)


# What a trip did is described, and written again, in one order.


def _described(
    lowered: Lowered,
    start: int,
    guards: int,
    places: Sequence[Place],
    seen: Sequence[Seen],
) -> _Trip:
    """Describes the trip whose entries begin at ``start``, and that has ``seen`` these keys."""
    rows, operands = lowered.rows[start:], lowered.operands[start:]
    own = range(start, len(lowered.rows))
    shape: list[object] = [*rows, *map(len, operands)]
    slots = [*chain.from_iterable(operands)]
    others = lowered.guards[guards:]
    for slot in own:
        shape.append((static_key(lowered.statics[slot]),) if slot in lowered.statics else ())
        shape.append(lowered.expected.get(slot))
        shape.append(slot in lowered.skip_where)
    slots += [lowered.skip_where[slot] for slot in own if slot in lowered.skip_where]
    shape += [int if isinstance(place, int) else bits_of(place) for place in places]
    slots += [place for place in places if isinstance(place, int)]
    for key, slot, is_written in seen:
        slots.append(slot)
        if isinstance(key, tuple):
            row, read, *static = key
            shape.append((is_written, row, len(read), *static))
            slots += read
        elif isinstance(key, int):
            shape.append(is_written)
            others.append(key)
        else:
            shape.append((is_written, key))
    # A constant that is not known yet is another in each trip.
    return _Trip(start, seen, None if ops.constant in rows else shape, slots, others)


@final
class _Moved:
    """Writes ``count`` trips as the last one, in which each slot is further by its step again."""

    def __init__(self, lowered: Lowered, last: _Trip, before: _Trip, count: int) -> None:
        self.lowered, self.last, self.before, self.count = lowered, last, before, count
        self.length = last.start - before.start
        self.first = last.start + self.length
        self.slots = self._columns(last.slots, before.slots)
        self.others = self._columns(last.others, before.others)

    def _columns(self, now: Sequence[int], then: Sequence[int]) -> Iterator[Sequence[int]]:
        return (further(x, x - y, self.count) for x, y in zip(now, then, strict=True))

    def write(self, length: int) -> None:
        """Writes the entries, and the places of so many entries of the tape in each trip."""
        lowered, count = self.lowered, self.count
        rows, operands = lowered.rows[-self.length :], lowered.operands[-self.length :]
        lowered.stretches.append(Repeat(self.first, self.length, count))
        lowered.rows += rows * count
        lowered.operands += side_by_side(map(self._operands, map(len, operands)))
        guards = [slot for slot in self._last() if slot in lowered.expected]
        lowered.guards += side_by_side([next(self.others) for _ in guards])
        outcomes = [lowered.expected[slot] for slot in guards] * count
        lowered.expected.update(zip(side_by_side(map(self._again, guards)), outcomes, strict=True))
        self._write_facts()
        lowered.places += side_by_side(map(self._place, lowered.places[-length:]))
        self._write_keys()

    def _operands(self, width: int) -> Iterable[tuple[int, ...]]:
        """The operands of an entry in each trip."""
        columns = [next(self.slots) for _ in range(width)]
        return zip(*columns, strict=True) if width else repeat((), self.count)

    def _place(self, place: Place) -> Iterable[Place]:
        """The places of an entry of the tape in each trip."""
        return next(self.slots) if isinstance(place, int) else repeat(place, self.count)

    def _last(self) -> range:
        """The entries of the last trip that was lowered by itself."""
        return range(self.first - self.length, self.first)

    def _again(self, slot: int) -> Sequence[int]:
        """The slots that an entry of the last trip has in the trips that are written."""
        return further(slot, self.length, self.count)

    def _write_facts(self) -> None:
        """Writes what is known of some entries by their slots."""
        lowered = self.lowered
        for slot in self._last():
            if lowered.rows[slot] is ops.neg:
                lowered.seen_through.update(self._again(slot))
            if slot in lowered.statics:
                lowered.statics |= dict.fromkeys(self._again(slot), lowered.statics[slot])
            if slot in lowered.skip_where:
                lowered.skip_where |= zip(self._again(slot), next(self.slots), strict=True)

    def _write_keys(self) -> None:
        """Writes the keys of the entries."""
        seen = zip(self.last.seen, self.before.seen, strict=True)
        for (key, now, is_written), (other, then, _) in seen:
            if is_written:
                keys = _moving_keys(key, other, self.count)
                self.lowered.watched().move(keys, further(now, now - then, self.count))
