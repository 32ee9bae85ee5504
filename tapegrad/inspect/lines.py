"""The user's source with what each line put on the tape in its margin, as a profiler lists it."""

from __future__ import annotations

import linecache
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import isfinite, nan
from pathlib import Path
from typing import Final, TypeAlias, final

import attrs

from tapegrad._support.source_position import Site, function_line, refresh_sources
from tapegrad._support.text import number, visible
from tapegrad.entries.columns import Columns
from tapegrad.entries.entries import Entries
from tapegrad.entries.source_lines import lines_of_entries
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Primitive

__all__ = ["Line", "Listing", "lines"]

Range: TypeAlias = tuple[float, float]
"""The smallest and the largest of some numbers; two nans where none of them is finite."""

_GAP: Final = 3
"""So many lines that put nothing on the tape are shown between two that did."""

_TITLES: Final = ("line", "entries", "value", "cotangent", "")


@final
@attrs.frozen
class Line:
    """What one line of the program put on the tape.

    ``values`` and ``cotangents`` are the ranges over the line's *results*: the entries that
    another line, the output or nothing at all reads; None where there are none. ``taken`` and
    ``declined`` count the guards that came out true and false; ``nans``, ``infs`` and ``blown`` the
    entries with a nan for value, with an infinity, and with either for cotangent. ``site`` is None
    for entries without a position, and ``source`` empty where the file cannot be read.
    """

    site: Site | None
    source: str
    entries: int
    values: Range | None
    cotangents: Range | None
    taken: int
    declined: int
    nans: int
    infs: int
    blown: int

    @property
    def marks(self) -> str:
        """What a reader should not miss: nan, infinity, and how guards came out."""
        counts = (
            (self.nans, "nan"), (self.infs, "inf"), (self.blown, "bad cotangents"),
            (self.taken, "true"), (self.declined, "false"),
        )  # fmt: skip
        return ", ".join(f"{count:,} {what}" for count, what in counts if count)


@final
@attrs.frozen
class Listing:
    """The lines that put entries on a tape, file by file; printed, they are the user's source."""

    lines: tuple[Line, ...]
    entries: int
    inputs: int

    def __str__(self) -> str:
        files: dict[str, list[Line]] = {}
        head = f"{self.entries:,} entries, {self.inputs:,} of them inputs"
        for line in self.lines:
            if line.site is None:
                head += f", {line.entries:,} without a line"
            else:
                files.setdefault(line.site.file, []).append(line)
        return "\n\n".join((head, *(_page(file, found) for file, found in files.items())))


def lines(tape: Entries, cotangents: Sequence[float | None]) -> Listing:
    """List the source lines of a tape of plain numbers, with what each put on it."""
    refresh_sources(tape.sites)
    columns, values, start = tape.columns, tape.numbers, len(tape.inputs)
    homes = lines_of_entries(tape)
    margins = {home: _Margin(count) for home, count in Counter(homes[start:]).items()}
    for slot in _results(columns, homes, start, tape.outputs):
        margins[homes[slot]].add(values[slot], cotangents[slot])
    for slot in _slots_of(columns, ops.guard):
        margins[homes[slot]].guards[values[slot] != 0.0] += 1
    for slot in _not_finite(values, start):
        margins[homes[slot]].bad[values[slot] != values[slot]] += 1
    for slot in _not_finite(cotangents, start):
        margins[homes[slot]].blown += 1
    sites = {home: tape.sites[home] if home >= 0 else None for home in margins}
    found = [margin.line(sites[home]) for home, margin in margins.items()]
    return Listing(tuple(_by_file(found)), len(tape), start)


def _by_file(found: Sequence[Line]) -> Iterator[Line]:
    """In the order in which the files were met, and in each by line."""
    files: dict[str, list[Line]] = {}
    for line in found:
        files.setdefault(line.site.file if line.site else "", []).append(line)
    for group in files.values():
        yield from sorted(group, key=lambda line: line.site.line if line.site else 0)


@final
class _Margin:
    """What is gathered for one line."""

    __slots__ = ("bad", "bars", "blown", "entries", "guards", "values")

    def __init__(self, entries: int) -> None:
        self.entries = entries
        self.values: list[float] = []
        self.bars: list[float] = []
        self.guards = [0, 0]
        self.bad = [0, 0]
        self.blown = 0

    def add(self, value: float, bar: float | None) -> None:
        self.values.append(value)
        if bar is not None:
            self.bars.append(bar)

    def line(self, site: Site | None) -> Line:
        source = linecache.getline(site.file, site.line).rstrip() if site else ""
        (declined, taken), (infs, nans) = self.guards, self.bad
        return Line(
            site, source, self.entries, _range(self.values), _range(self.bars),
            taken, declined, nans, infs, self.blown,
        )  # fmt: skip


def _range(numbers: Sequence[float]) -> Range | None:
    if not numbers:
        return None
    finite = [x for x in numbers if isfinite(x)]
    return (min(finite), max(finite)) if finite else (nan, nan)


def _results(
    columns: Columns, homes: Sequence[int], start: int, outputs: Sequence[int]
) -> Iterator[int]:
    """The entries that another line reads, or the caller, or nobody; constants and guards are none.

    What the entries of a line make of one another is no news to its reader.
    """
    inner, outer = bytearray(len(columns)), bytearray(len(columns))
    for slot in outputs:
        outer[slot] = 1
    for reader, operand in columns.reads():
        inner[operand] = 1
        if homes[operand] != homes[reader]:
            outer[operand] = 1
    dull = {columns.table.codes[row] for row in (ops.constant, ops.guard)}
    for slot in range(start, len(columns)):
        if (outer[slot] or not inner[slot]) and columns.codes[slot] not in dull:
            yield slot


def _slots_of(columns: Columns, row: Primitive) -> Iterator[int]:
    code = columns.table.codes[row]
    return (slot for slot, found in enumerate(columns.codes) if found == code)


def _not_finite(numbers: Sequence[float | None], start: int) -> Iterator[int]:
    """Where numbers are nan or infinite; their sum, which is quick, tells whether any is."""
    if isfinite(sum(filter(None, numbers))):
        return
    for slot, x in enumerate(numbers):
        if slot >= start and x is not None and not isfinite(x):
            yield slot


def _page(file: str, found: Sequence[Line]) -> str:
    """One file: the lines that put entries on the tape, and a few around them."""
    margins = {line.site.line: line for line in found if line.site}
    heads = {function_line(line.site) or line.site.line for line in found if line.site}
    shown = list(_with_gaps(sorted(heads | margins.keys())))
    table = [_TITLES, *(_row(margins.get(at), at) for at in shown)]
    columns = [column for column in zip(*table, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    sources = ["", *(_source(file, at) if at else "" for at in shown)]
    lines = (
        f"{'  '.join(map(str.rjust, row, widths))}  {source}".rstrip()
        for row, source in zip(zip(*columns, strict=True), sources, strict=True)
    )
    return "\n".join((visible(_nearby(file)), *lines))


def _nearby(file: str) -> str:
    """A file as it is called from the current folder, if it is in there."""
    path, folder = Path(file), Path.cwd()
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else file


def _source(file: str, at: int) -> str:
    return visible(linecache.getline(file, at).rstrip().expandtabs())


def _row(line: Line | None, at: int) -> tuple[str, ...]:
    """The margin of a line; of none where ``at`` is 0."""
    if line is None:
        return (f"{at}" if at else "...", "", "", "", "")
    entries = f"{line.entries:,}"
    return f"{at}", entries, _span(line.values), _span(line.cotangents), line.marks


def _span(range_: Range | None) -> str:
    """One number with six digits, or two with four."""
    if range_ is None:
        return ""
    low, high = range_
    return number(high) if low == high or low != low else f"{low:.4g} .. {high:.4g}"


def _with_gaps(numbers: Sequence[int]) -> Iterator[int]:
    """The lines and those in small gaps between them; 0 for a large gap."""
    yield from numbers[:1]
    for before, after in pairwise(numbers):
        if after - before > _GAP + 1:
            yield 0
            yield after
        else:
            yield from range(before + 1, after + 1)
