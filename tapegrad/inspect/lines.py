"""The user's source with counts and ranges of each line's entries, as a profiler lists it."""

from __future__ import annotations

import linecache
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from math import isfinite, isnan, nan
from pathlib import Path
from typing import Final, TypeAlias, final

import attrs

from tapegrad._support.source_position import (
    Site,
    cell_number,
    file_name,
    function_line,
    refresh_sources,
)
from tapegrad._support.text import Printed, Table, aligned, number, visible
from tapegrad.entries.columns import EntryColumns
from tapegrad.entries.entries import Entries
from tapegrad.entries.source_lines import lines_of_entries
from tapegrad.inspect.ends import ends, is_finite
from tapegrad.ops.primitive import shape_of
from tapegrad.sweep.gradient import known_cotangents

__all__ = ["Line", "Listing", "lines"]

Range: TypeAlias = tuple[float, float]
"""The smallest and the largest of some numbers; two nans where none of them is finite."""

Rows: TypeAlias = tuple[tuple[str, ...], ...]

_GAP: Final = 3
"""The most lines without entries that are shown between two lines with some."""

_TITLES: Final = ("line", "entries", "value", "cotangent", "", "")


@final
@attrs.frozen
class Line:
    """One line of the program, with counts and ranges of the entries it recorded.

    ``values`` and ``cotangents`` are the ranges over the line's *results*: the entries that
    another line, the output or nothing at all reads; None where there are none. ``taken`` and
    ``declined`` count the guards that came out true and false, and ``wholes`` those that are whole
    numbers; ``nans``, ``infs`` and ``blown`` the entries with a nan for value, with an infinity,
    and with either for cotangent. ``site`` is None for entries without a position, and ``source``
    empty where the file cannot be read.
    """

    site: Site | None
    source: str
    entries: int
    values: Range | None
    cotangents: Range | None
    taken: int
    declined: int
    wholes: int
    nans: int
    infs: int
    blown: int

    @property
    def marks(self) -> str:
        """The counts of nan, infinity, bad cotangents, and guards by outcome, in words."""
        counts = (
            (self.nans, "nan"), (self.infs, "inf"), (self.blown, "bad cotangents"),
            (self.taken, "true"), (self.declined, "false"), (self.wholes, "whole"),
        )  # fmt: skip
        return ", ".join(f"{count:,} {what}" for count, what in counts if count)


@final
@attrs.frozen
class Listing(Printed):
    """The lines that put entries on a tape, file by file; printed, they are the user's source."""

    lines: tuple[Line, ...]
    entries: int
    inputs: int

    def __str__(self) -> str:
        pages = ("\n".join((name, *aligned(rows, right=5))) for name, rows in self._pages())
        return "\n\n".join((self._head(), *pages))

    def _shown(self) -> Iterator[str | Table]:
        yield self._head()
        for name, rows in self._pages():
            yield name
            yield Table(rows, right=4)

    def _head(self) -> str:
        head = f"{self.entries:,} entries, {self.inputs:,} of them inputs"
        return head + "".join(
            f", {x.entries:,} without a line" for x in self.lines if x.site is None
        )

    def _pages(self) -> Iterator[tuple[str, Rows]]:
        """Each file with its rows."""
        for file, found in groupby((line for line in self.lines if line.site), key=_file):
            yield visible(_nearby(file)), _rows(file, list(found))


def _file(line: Line) -> str:
    return line.site.file if line.site else ""


def lines(entries: Entries) -> Listing:
    """Lists the source lines of a tape, with counts and ranges of the entries of each."""
    refresh_sources(entries.sites)
    columns, values, start = entries.columns, entries.numbers, len(entries.inputs)
    cotangents = known_cotangents(entries)
    homes = lines_of_entries(entries)
    margins = {home: _Margin(count) for home, count in Counter(homes[start:]).items()}
    for slot in _results(columns, homes, start, entries.outputs):
        margins[homes[slot]].add(values[slot], cotangents[slot])
    for slot in columns.guards():
        kind = int(values[slot] != 0.0) if columns.row(slot).is_truth else 2
        margins[homes[slot]].guards[kind] += 1
    for slot in _not_finite(values, start):
        margins[homes[slot]].bad[any(map(isnan, ends(values[slot])))] += 1
    for slot in _not_finite(cotangents, start):
        margins[homes[slot]].blown += 1
    listed = [
        margin.line(entries.sites[home] if home >= 0 else None) for home, margin in margins.items()
    ]
    files = list(dict.fromkeys(map(_file, listed)))
    listed.sort(key=lambda line: (files.index(_file(line)), line.site.line if line.site else 0))
    return Listing(tuple(listed), len(entries), start)


@final
@attrs.define
class _Margin:
    """The numbers gathered for one line; guards by outcome, ``bad`` values as infs and nans.

    Of guards the false ones come first, then the true ones, then the whole numbers.
    """

    entries: int
    values: list[float] = attrs.Factory(list)
    bars: list[float] = attrs.Factory(list)
    guards: list[int] = attrs.Factory(lambda: [0, 0, 0])
    bad: list[int] = attrs.Factory(lambda: [0, 0])
    blown: int = 0

    def add(self, value: float, bar: float | None) -> None:
        """Adds a result of the line and its cotangent."""
        self.values += ends(value)
        if bar is not None:
            self.bars += ends(bar)

    def line(self, site: Site | None) -> Line:
        source = linecache.getline(site.file, site.line).rstrip() if site else ""
        (declined, taken, wholes), (infs, nans) = self.guards, self.bad
        return Line(
            site, source, self.entries, _range(self.values), _range(self.bars),
            taken, declined, wholes, nans, infs, self.blown,
        )  # fmt: skip


def _range(numbers: Sequence[float]) -> Range | None:
    if not numbers:
        return None
    finite = [x for x in numbers if isfinite(x)]
    return (min(finite), max(finite)) if finite else (nan, nan)


def _results(
    columns: EntryColumns, homes: Sequence[int], start: int, outputs: Sequence[int]
) -> Iterator[int]:
    """The entries that another line reads, or the caller, or nobody, but no constants and guards.

    Intermediate values that only their own line reads are left out.
    """
    inner, outer = bytearray(len(columns)), bytearray(len(columns))
    for slot in outputs:
        outer[slot] = 1
    for reader, operand in columns.reads():
        inner[operand] = 1
        if homes[operand] != homes[reader]:
            outer[operand] = 1
    rows = enumerate(columns.table.rows)
    excluded = {code for code, row in rows if row.kind in {"constant", "guard"}}
    for slot in range(start, len(columns)):
        if (outer[slot] or not inner[slot]) and columns.codes[slot] not in excluded:
            yield slot


def _not_finite(numbers: Sequence[float | None], start: int) -> Iterator[int]:
    """The slots of nan and infinite numbers; a finite sum, which is quick, shows there are none."""
    total = sum(x for x in numbers if type(x) is float)
    if isfinite(total) and not any(map(shape_of, numbers)):
        return
    for slot, x in enumerate(numbers):
        if slot >= start and x is not None and not is_finite(x):
            yield slot


def _rows(file: str, found: Sequence[Line]) -> Rows:
    """One file: titles, the lines that put entries on the tape, and a few around them."""
    margins = {line.site.line: line for line in found if line.site}
    heads = {function_line(line.site) or line.site.line for line in found if line.site}
    shown = list(_with_gaps(sorted(heads | margins.keys())))
    rows = ((*_row(margins.get(at), at), _source(file, at) if at else "") for at in shown)
    return (_TITLES, *rows)


def _nearby(file: str) -> str:
    """The path of a file, relative to the current folder where it is in there; or a cell's name."""
    if cell_number(file) is not None:
        return file_name(file)
    path, folder = Path(file), Path.cwd()
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else file


def _source(file: str, at: int) -> str:
    return visible(linecache.getline(file, at).rstrip().expandtabs())


def _row(line: Line | None, at: int) -> tuple[str, ...]:
    """The margin of line ``at``; an ``at`` of 0 stands for lines left out."""
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
    """The lines and those in small gaps between them, with a 0 for each large gap."""
    yield from numbers[:1]
    for before, after in pairwise(numbers):
        if after - before > _GAP + 1:
            yield 0
            yield after
        else:
            yield from range(before + 1, after + 1)
