"""Finds the stretches of a list of entries that repeat, in time linear in its length.

Entries are letters of a text, and what they read are numbers. A stretch of the text that comes
again is found by the text's own search; it repeats where each number that it reads grows by the
same amount from one repetition to the next. Nothing is known of how the list came about.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import accumulate, chain
from operator import sub
from sys import maxunicode
from typing import Final, final

import attrs

__all__ = ["Letters", "Repeat", "repeats"]

_LEAST: Final = 4
"""The fewest repetitions that are worth a loop."""

_WORTH: Final = 16
"""The fewest entries that a loop saves."""

_LENGTHS: Final = (4096, 1024, 256, 64, 16, 8)
"""The lengths of the pieces of text that are searched for. The long ones come first: they tell a
long repetition from the shorter ones inside it."""

_REACH: Final = 8
"""How many lengths of it ahead a piece of text is searched for."""

_TRIES: Final = 3
"""How many places are tried at which a piece of text comes again."""

_LONGEST: Final = 2048
_AHEAD: Final = 4
"""The longest repetition that takes the place of shorter ones inside it, and how many of those
ahead it is looked for."""


@final
@attrs.frozen
class Repeat:
    """``count`` repetitions of ``length`` entries, from entry ``first`` on."""

    first: int
    length: int
    count: int

    @property
    def stop(self) -> int:
        """The entry after the last."""
        return self.first + self.length * self.count

    @property
    def saves(self) -> int:
        """The entries that need not be written where one repetition stands for all."""
        return self.length * (self.count - 1)

    @property
    def pays(self) -> bool:
        """Whether it is worth a loop."""
        return self.count >= _LEAST and self.saves >= _WORTH

    def before(self, entry: int) -> Repeat:
        """The repetitions that end before an entry."""
        count = min(self.count, max(entry - self.first, 0) // self.length)
        return Repeat(self.first, self.length, count)

    def after(self, entry: int) -> Repeat:
        """The repetitions that begin at an entry or after it."""
        count = min(self.count, max(-((entry - self.first) // -self.length), 0))
        return Repeat(self.first + self.length * count, self.length, self.count - count)


def repeats(
    keys: Sequence[Hashable],
    reads: Sequence[Sequence[int]],
    numbers: Sequence[int],
    first: int,
) -> Sequence[Repeat]:
    """The stretches that repeat, in order.

    Entry *i*, whose own number is ``first + i``, does what ``keys[i]`` says with the slots
    ``reads[i]``, whose numbers are in ``numbers``.
    """
    letters = {
        key: chr(number) for number, key in enumerate(dict.fromkeys(keys)) if number <= maxunicode
    }
    if len(keys) < _LEAST + _WORTH or len(letters) > maxunicode:
        return []
    line = Letters(
        "".join(map(letters.__getitem__, keys)),
        list(map(numbers.__getitem__, chain.from_iterable(reads))),
        list(accumulate(map(len, reads), initial=0)),
        first,
    )
    return line.repeats()


@final
class Letters:
    """The entries as a text, and all numbers that they read: entry *i*'s from ``starts[i]`` on.

    The own number of the first entry is ``first``, and those of the others follow.
    """

    text: str
    first: int

    def __init__(
        self, text: str, numbers: Sequence[int], starts: Sequence[int], first: int
    ) -> None:
        self.text, self.first = text, first
        self.numbers: Sequence[int] = numbers
        self.starts: Sequence[int] = starts

    def repeats(self) -> Sequence[Repeat]:
        """The stretches that repeat, in order."""
        found: list[Repeat] = []
        gaps = [(0, len(self.text))]
        for length in _LENGTHS:
            gaps = [left for gap in gaps for left in self.search(*gap, length, found)]
        found.sort(key=lambda repeat: repeat.first)
        return self.with_outer(found)

    def with_outer(self, found: Sequence[Repeat]) -> Sequence[Repeat]:
        """The same, but that some which come again and again are part of a longer one."""
        kept: list[Repeat] = []
        start = 0
        for index, inner in enumerate(found):
            if inner.first < start:
                inner = inner.after(start)  # noqa: PLW2901  # its rest
                if not inner.pays:
                    continue
            outer = self.outer(found, index, start)
            if outer is None:
                kept.append(inner)
                continue
            kept = [one for each in kept if (one := each.before(outer.first)).pays]
            kept.append(outer)
            start = outer.stop
        return kept

    def outer(self, found: Sequence[Repeat], index: int, start: int) -> Repeat | None:
        """A repetition of one that was found and of what is between it and a later one."""
        inner = found[index]
        place = max(inner.first, start)
        for later in found[index + 1 : index + 1 + _AHEAD]:
            length = later.first - inner.first
            if length > _LONGEST or later.length != inner.length:
                continue
            begins = place + 3 * length <= len(self.text)
            if begins and self.goes_on(place, place + min(length, _LENGTHS[-2]), length):
                outer = self.repeat(place, length, start, len(self.text))
                if outer is not None:
                    return outer
        return None

    def search(
        self, start: int, stop: int, length: int, found: list[Repeat]
    ) -> Iterator[tuple[int, int]]:
        """Adds the repetitions of this stretch to those found, and gives the stretches between."""
        place = start
        while place + length < stop:
            repeat = self.at(place, start, stop, length)
            if repeat is None:
                place += length
                continue
            found.append(repeat)
            if start < repeat.first:
                yield start, repeat.first
            start = place = repeat.stop
        if start < stop:
            yield start, stop

    def at(self, place: int, start: int, stop: int, length: int) -> Repeat | None:
        """The repetition that a piece of text at this place is part of."""
        piece, again = self.text[place : place + length], place
        end = min(stop, place + (_REACH + 1) * length)
        for _ in range(_TRIES):
            again = self.text.find(piece, again + 1, end)
            if again < 0:
                return None
            repeat = self.repeat(place, again - place, start, stop)
            if repeat is not None:
                return repeat
        return None

    def repeat(self, place: int, length: int, start: int, stop: int) -> Repeat | None:
        """The repetition of so many entries around this place, between ``start`` and ``stop``."""
        if place + 3 * length > stop or not self.goes_on(place, place + length, length):
            return None
        low = _first(lambda i, j: self.goes_on(i, j, length), start, place)
        high = _last(lambda i, j: self.goes_on(i, j, length), place + length, stop - 2 * length)
        count = (high + 2 * length - low) // length
        while count >= _LEAST and self.reads_itself(low, length):
            low, count = low + length, count - 1
        repeat = Repeat(low, length, count)
        return repeat if repeat.pays else None

    def goes_on(self, start: int, stop: int, length: int) -> bool:
        """Whether all of these entries come again twice, and their reads grow by the same."""
        text, starts, numbers = self.text, self.starts, self.numbers
        again = text[start + length : stop + length]
        if text[start:stop] != again or again != text[start + 2 * length : stop + 2 * length]:
            return False
        begin, end, last = starts[start], starts[stop], starts[stop + length]
        width = starts[start + length] - begin
        grown = list(map(sub, numbers[begin + width : last + width], numbers[begin:last]))
        return grown[: end - begin] == grown[width:]

    def reads_itself(self, start: int, length: int) -> bool:
        """Whether entries read some of the same repetition that do not move along with it."""
        starts, numbers = self.starts, self.numbers
        begin, end = starts[start], starts[start + length]
        now, then = numbers[begin:end], numbers[end : 2 * end - begin]
        own = range(self.first + start, self.first + start + length)
        return any(x in own and y - x != length for x, y in zip(now, then, strict=True))


def _last(holds: Callable[[int, int], bool], start: int, stop: int) -> int:
    """The largest end for which something holds from ``start`` on, found in doubled steps."""
    size = 64
    while start < stop:
        end = min(stop, start + size)
        if holds(start, end):
            start, size = end, 2 * size
        else:
            stop, size = end - 1, max((end - start) // 2, 1)
    return start


def _first(holds: Callable[[int, int], bool], start: int, stop: int) -> int:
    """The smallest begin from which something holds up to ``stop``."""
    return (
        stop - _last(lambda i, j: holds(stop - j, stop - i), 0, stop - start)
        if start < stop
        else stop
    )
