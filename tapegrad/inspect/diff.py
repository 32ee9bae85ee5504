"""The differences between two recordings, in structure and in value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import compress, count
from math import inf, isfinite
from operator import ne
from struct import pack
from typing import Any, Final, TypeAlias, cast, final

import attrs

from tapegrad._support.source_position import Site
from tapegrad._support.text import Printed, Table, aligned, number
from tapegrad.entries.columns import EntryColumns
from tapegrad.entries.entries import Entries
from tapegrad.entries.source_lines import lines_of_entries
from tapegrad.entries.static_keys import static_key
from tapegrad.inspect.ends import place_of
from tapegrad.inspect.names import Names, element_name
from tapegrad.ops.primitive import Primitive, shape_of

__all__ = ["EntryText", "Pair", "TapeDifference", "diff"]

_SHOWN: Final = 10
"""The most lines with different numbers of entries that are listed."""


@final
@attrs.frozen
class EntryText(Printed):
    """One entry in words: the row applied to slots, its value, and its line."""

    slot: int
    text: str
    value: float
    site: Site | None

    def __str__(self) -> str:
        return f"{self.text}{f', {self.site}' if self.site else ''}"


Pair: TypeAlias = tuple[EntryText | None, EntryText | None]
"""The entries of one slot on both tapes; None beyond a tape's end."""


@final
@attrs.frozen
class TapeDifference(Printed):
    """The differences between two recordings; true where there are any, as ``!=`` between them.

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

    def _shown(self) -> Iterator[str | Table]:
        if self.same:
            yield str(self)
            return
        found = {
            "first difference in structure": self.structure,
            "first guard that differs": self.guard,
            "first value that differs": self.values,
            "largest difference, beside its size": self.largest,
        }
        sides = ((name, *map(_side, pair)) for name, pair in found.items() if pair is not None)
        lines = ((f"entries of {site}", f"{a:,}", f"{b:,}") for site, a, b in self.lines[:_SHOWN])
        yield Table(
            (
                ("", "this tape", "the other"),
                ("entries", *(f"{length:,}" for length in self.lengths)),
                ("alike in structure", *2 * (f"{self.shared:,}",)),
                ("of these other values", *2 * (f"{self.changed:,}",)),
                *sides,
                *lines,
            )
        )

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
        """The lines with different numbers of entries."""
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
        yield f"           {_side(entry)}"


def _side(entry: EntryText | None) -> str:
    return "(the end)" if entry is None else str(entry)


def diff(entries: Entries, other: Entries) -> TapeDifference:
    """Compares the numbers of two tapes, entry by entry and line by line."""
    entries, other = entries.of_numbers(), other.of_numbers()
    shared = _same_entries(entries, other)
    ends = len(entries) == len(other) == shared
    first, second = (_bits(x)[:shared] for x in (entries, other))
    changed = list(compress(count(), map(ne, first, second)))
    guards = (at for at in changed if entries.columns.row(at).kind == "guard")

    def pair(slot: int | None) -> Pair | None:
        if slot is None:
            return None
        place = _furthest_place(entries, other, slot)
        return _entry(entries, slot, place), _entry(other, slot, place)

    return TapeDifference(
        same=entries == other,
        lengths=(len(entries), len(other)),
        shared=shared,
        structure=None if ends else pair(shared),
        changed=len(changed),
        values=pair(changed[0] if changed else None),
        largest=pair(_furthest(entries, other, changed)),
        guard=pair(next(guards, None)),
        lines=() if ends else tuple(_other_counts(entries, other)),
    )


def _bits(entries: Entries) -> Sequence[object]:
    """The values of entries as what is equal where the bits are."""
    if isinstance(entries.stored, bytes):
        return memoryview(entries.stored).cast("q")
    return [_packed(value) for value in entries.numbers]


def _packed(value: float) -> object:
    """The bits of a number, or the shape of an array and its bits."""
    if not shape_of(value):
        return pack("d", value)
    array = cast(Any, value)
    return array.dtype.str, array.shape, array.tobytes()


def _furthest_place(one: Entries, two: Entries, slot: int) -> tuple[int, ...]:
    """The place at which two arrays of one shape are furthest apart; none of other values."""
    if not (one.on_arrays and two.on_arrays) or min(len(one), len(two)) <= slot:
        return ()
    x, y = (cast(Any, side.numbers[slot]) for side in (one, two))
    shape = shape_of(x)
    if not shape or shape != shape_of(y) or not x.size:
        return ()
    odd = (x != y) & ((x == x) | (y == y))
    apart = abs((x + 0.0) - y) * odd
    largest = (apart != apart) | (apart == apart.max())
    return place_of(largest, shape)


def _entry(entries: Entries, slot: int, place: tuple[int, ...]) -> EntryText | None:
    if slot >= len(entries):
        return None
    names = Names(entries)
    value = entries.numbers[slot]
    call, name = names.call(slot), names[slot]
    if place:
        value, name = float(cast(Any, value)[place]), element_name(name, place)
    shown = number(value) if shape_of(value) else repr(value)
    applies = bool(entries.columns.operands(slot))
    text = f"{name} = {call} = {shown}" if applies else f"{call} {name} = {shown}"
    return EntryText(slot, text, value, entries.site(slot))


def _same_entries(entries: Entries, other: Entries) -> int:
    """The number of entries, from the first on, that apply the same rows to the same operands."""
    sides = (entries.left, other.left), (entries.right, other.right)
    alike = [_prefix(*side) // _WIDTH for side in sides]
    if entries.table.rows == other.table.rows:
        alike.append(_prefix(entries.codes, other.codes))
    else:
        rows = ([x.table.rows[code] for code in x.codes] for x in (entries, other))
        ends = (at for at, (one, two) in enumerate(zip(*rows, strict=False)) if one is not two)
        alike.append(next(ends, min(len(entries), len(other))))
    return _same_pooled(entries.columns, other.columns, min(alike))


_WIDTH: Final = 4
"""The bytes of a slot in the columns of operands."""


def _prefix(one: bytes, two: bytes) -> int:
    """The number of bytes, from the first on, that two columns have in common; by bisection."""
    low, high = 0, min(len(one), len(two))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == two[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _same_pooled(one: EntryColumns, two: EntryColumns, end: int) -> int:
    """The first entry below ``end`` that differs in pooled or static operands, else ``end``."""
    pooled = [row.is_pooled or row.has_static for row in one.table.rows]
    for slot in compress(range(end), map(pooled.__getitem__, one.codes)):
        statics = [tuple(map(static_key, side.static(slot))) for side in (one, two)]
        if one.operands(slot) != two.operands(slot) or statics[0] != statics[1]:
            return slot
    return end


def _furthest(one: Entries, two: Entries, slots: Sequence[int]) -> int | None:
    """The slot with the largest relative difference; one where a value is not finite comes first.

    Only rows that have partials count: a condition that comes out differently would be largest.
    """
    rows, values, others = one.table.rows, one.numbers, two.numbers
    smooth = [not row.is_truth and (row.array is not None or _has_partials(row)) for row in rows]

    def apart(slot: int) -> float:
        x, y = values[slot], others[slot]
        place = _furthest_place(one, two, slot) if one.on_arrays else ()
        if place:
            x, y = float(cast(Any, x)[place]), float(cast(Any, y)[place])
        if shape_of(x) or shape_of(y) or not (isfinite(x) and isfinite(y)):
            return inf
        size = max(abs(x), abs(y))
        return abs(x / size - y / size) if size else 0.0

    return max((slot for slot in slots if smooth[one.codes[slot]]), key=apart, default=None)


def _has_partials(row: Primitive) -> bool:
    return callable(row.partials) or any(partial is not None for partial in row.partials)


def _other_counts(entries: Entries, other: Entries) -> Iterator[tuple[Site, int, int]]:
    """The lines with different numbers of entries on the two tapes, and both numbers."""
    one, two = _by_line(entries), _by_line(other)
    sites = {(site.file, site.line): site for site in (*other.sites, *entries.sites)}
    for place in sorted(one.keys() | two.keys()):
        if one[place] != two[place]:
            yield sites[place], one[place], two[place]


def _by_line(entries: Entries) -> Counter[tuple[str, int]]:
    """The number of entries that each line put on the tape, inputs left out."""
    counts = Counter(lines_of_entries(entries)[len(entries.inputs) :])
    sites = {line: entries.sites[line] for line in counts if line >= 0}
    return Counter({(site.file, site.line): counts[line] for line, site in sites.items()})
