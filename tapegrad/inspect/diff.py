"""Two recordings side by side: where they part, in structure and in value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import compress, count
from math import inf, isfinite
from operator import ne
from typing import Final, TypeAlias, cast, final

import attrs

from tapegrad._support.source_position import Site
from tapegrad._support.text import aligned
from tapegrad.entries.columns import Columns
from tapegrad.entries.entries import Entries
from tapegrad.entries.source_lines import lines_of_entries
from tapegrad.inspect.names import Names

__all__ = ["Difference", "Entry", "Pair", "diff"]

_SHOWN: Final = 10
"""So many lines with other numbers of entries are told."""


@final
@attrs.frozen
class Entry:
    """One entry in words: the row applied to slots, its value, and its line."""

    slot: int
    text: str
    value: float
    site: Site | None

    def __str__(self) -> str:
        return f"{self.text}{f', {self.site}' if self.site else ''}"


Pair: TypeAlias = tuple[Entry | None, Entry | None]
"""The entries of one slot on both tapes; None beyond a tape's end."""


@final
@attrs.frozen
class Difference:
    """Where two recordings part; as a truth value, whether they do, as ``!=`` between them.

    ``structure`` is the first slot where another row is applied, or to other slots or static
    operands; from there on slots are not compared. Of the ``shared`` slots before it ``values`` is
    the first with another value, bit by bit (nan equals itself), ``changed`` counts them all,
    ``largest`` is where the values are furthest apart beside their size, and ``guard`` the first
    guard that came out differently. ``lines`` has each line of the program that put another number
    of entries on the two tapes, and both numbers.
    """

    same: bool
    lengths: tuple[int, int]
    shared: int
    structure: Pair | None
    changed: int
    values: Pair | None
    largest: Pair | None
    guard: Pair | None
    lines: tuple[tuple[Site, int, int], ...]

    def __bool__(self) -> bool:
        return not self.same

    def __str__(self) -> str:
        if self.same:
            return f"the same {_entries(self.shared)} with the same values"
        return "\n".join((*self._structure(), *self._values(), *self._counts()))

    def _structure(self) -> Iterator[str]:
        first, second = self.lengths
        if self.structure is None:
            yield f"structure  the same {_entries(self.shared)}"
        else:
            yield f"structure  {first:,} and {second:,} entries, {self.shared:,} alike, then"
            yield from _sides(self.structure)
        if self.guard is not None:
            yield "guard      the first that comes out differently"
            yield from _sides(self.guard)

    def _values(self) -> Iterator[str]:
        if self.values is None:
            yield f"values     the same in {_entries(self.shared)}"
            if self.structure is None:
                yield "names      inputs, outputs or containers differ"
            return
        yield f"values     {self.changed:,} of {self.shared:,} differ, first"
        yield from _sides(self.values)
        if self.largest != self.values and self.largest is not None:
            yield "           and most, beside their size,"
            yield from _sides(self.largest)

    def _counts(self) -> Iterator[str]:
        """The lines with other numbers of entries."""
        rows = [(str(site), f"{one:,}", f"{two:,}") for site, one, two in self.lines[:_SHOWN]]
        if rows:
            yield "entries by line"
            yield from (f"           {line}" for line in aligned([("", "", ""), *rows])[1:])
        if len(self.lines) > _SHOWN:
            yield f"           ... {len(self.lines) - _SHOWN:,} more lines"


def _entries(count: int) -> str:
    return f"{count:,} {'entry' if count == 1 else 'entries'}"


def _sides(pair: Pair) -> Iterator[str]:
    for entry in pair:
        yield f"           {'(the end)' if entry is None else entry}"


def diff(tape: Entries, other: Entries) -> Difference:
    """Compare two tapes of plain numbers, entry by entry and line by line."""
    shared = _same_entries(tape, other)
    ends = len(tape) == len(other) == shared
    first, second = (memoryview(_bytes(x)).cast("q")[:shared] for x in (tape, other))
    changed = list(compress(count(), map(ne, first, second)))
    guards = (at for at in changed if tape.columns.row(at).kind == "guard")

    def pair(slot: int | None) -> Pair | None:
        return None if slot is None else (_entry(tape, slot), _entry(other, slot))

    return Difference(
        same=tape == other,
        lengths=(len(tape), len(other)),
        shared=shared,
        structure=None if ends else pair(shared),
        changed=len(changed),
        values=pair(changed[0] if changed else None),
        largest=pair(_furthest(tape.columns, other.columns, changed)),
        guard=pair(next(guards, None)),
        lines=() if ends else tuple(_other_counts(tape, other)),
    )


def _entry(tape: Entries, slot: int) -> Entry | None:
    if slot >= len(tape):
        return None
    names = Names(tape)
    value = cast(float, tape.columns.values[slot])
    call = names.call(slot)
    applies = bool(tape.columns.operands(slot))
    text = f"{names[slot]} = {call} = {value!r}" if applies else f"{call} {names[slot]} = {value!r}"
    return Entry(slot, text, value, tape.site(slot))


def _bytes(tape: Entries) -> bytes:
    return cast(bytes, tape.stored)


def _same_entries(tape: Entries, other: Entries) -> int:
    """How many entries from the first on apply the same rows to the same slots and statics."""
    alike = [_prefix(tape.left, other.left) // _WIDTH, _prefix(tape.right, other.right) // _WIDTH]
    if tape.table.rows == other.table.rows:
        alike.append(_prefix(tape.codes, other.codes))
    else:
        rows = ([x.table.rows[code] for code in x.codes] for x in (tape, other))
        ends = (at for at, (one, two) in enumerate(zip(*rows, strict=False)) if one is not two)
        alike.append(next(ends, min(len(tape), len(other))))
    return _same_aside(tape.columns, other.columns, min(alike))


_WIDTH: Final = 4
"""The bytes of a slot in the columns of operands."""


def _prefix(one: bytes, two: bytes) -> int:
    """How many bytes two columns have in common from the first on, by halving."""
    low, high = 0, min(len(one), len(two))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == two[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _same_aside(one: Columns, two: Columns, end: int) -> int:
    """The first entry below ``end`` that differs in what stands aside: pooled operands, statics."""
    aside = [row.is_pooled or row.has_static for row in one.table.rows]
    for slot in compress(range(end), map(aside.__getitem__, one.codes)):
        statics = [tuple((type(x), repr(x)) for x in side.static(slot)) for side in (one, two)]
        if one.operands(slot) != two.operands(slot) or statics[0] != statics[1]:
            return slot
    return end


def _furthest(one: Columns, two: Columns, slots: Sequence[int]) -> int | None:
    """Where values are furthest apart beside their size; where one is not finite, first.

    Of what varies smoothly: a condition that comes out differently is as far apart as can be.
    """
    rows = one.table.rows
    smooth = [callable(row.partials) or any(p is not None for p in row.partials) for row in rows]

    def apart(slot: int) -> float:
        x, y = cast(float, one.values[slot]), cast(float, two.values[slot])
        if not (isfinite(x) and isfinite(y)):
            return inf
        size = max(abs(x), abs(y))
        return abs(x / size - y / size) if size else 0.0

    return max((slot for slot in slots if smooth[one.codes[slot]]), key=apart, default=None)


def _other_counts(tape: Entries, other: Entries) -> Iterator[tuple[Site, int, int]]:
    """The lines with another number of entries on the two tapes."""
    one, two = _by_line(tape), _by_line(other)
    sites = {(site.file, site.line): site for site in (*other.sites, *tape.sites)}
    for place in sorted(one.keys() | two.keys()):
        if one[place] != two[place]:
            yield sites[place], one[place], two[place]


def _by_line(tape: Entries) -> Counter[tuple[str, int]]:
    """How many entries each line put on the tape; inputs are on none."""
    counts = Counter(lines_of_entries(tape)[len(tape.inputs) :])
    sites = {line: tape.sites[line] for line in counts if line >= 0}
    return Counter({(site.file, site.line): counts[line] for line, site in sites.items()})
