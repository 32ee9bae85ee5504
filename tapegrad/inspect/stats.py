"""Counts of what is on a tape: entries by kind and by row, depth, dead entries, bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from math import prod
from typing import Final, final

import attrs

from tapegrad._support.text import Printed, Table, aligned
from tapegrad.entries.columns import EntryColumns, StoredArrays
from tapegrad.entries.entries import Entries
from tapegrad.entries.source_lines import lines_of_entries
from tapegrad.inspect.ends import is_finite
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import shape_of

__all__ = ["Stats", "stats"]


@final
@attrs.frozen
class Stats(Printed):
    """The counts of one tape.

    ``operations`` has the rows by name, the most frequent first. ``depth`` is the number of
    operations on the longest chain of entries that read one another, and ``dead`` the number of
    entries that neither an output nor a guard needs. ``numbers`` counts those in the values: more
    than entries where some are arrays. ``nonfinite`` counts values that are nan or infinite, or
    hold such numbers. ``size`` is in bytes; it leaves out what other tapes share, such as rows and
    code objects, and the values of a tape of traced numbers.
    """

    entries: int
    inputs: int
    constants: int
    guards: int
    outputs: int
    operations: tuple[tuple[str, int], ...]
    reads: int
    depth: int
    dead: int
    numbers: int
    nonfinite: int
    lines: int
    labels: int
    scopes: int
    size: int

    def __str__(self) -> str:
        return "\n".join(aligned(self._rows())[1:])

    def _shown(self) -> tuple[Table]:
        return (Table(self._rows()),)

    def _rows(self) -> tuple[tuple[str, str], ...]:
        return (
            ("", ""),
            ("entries", f"{self.entries:,}"),
            *((f"  {name}", f"{count:,}") for name, count in self._parts()),
            *((name, f"{getattr(self, name):,}") for name in self._figures()),
            ("bytes", f"{self.size:,} ({self.size / max(self.entries, 1):.1f} an entry)"),
        )

    def _parts(self) -> list[tuple[str, int]]:
        """The counts of entries by kind and by row, those of no entry left out."""
        kinds = {"inputs": self.inputs, "constants": self.constants, "guards": self.guards}
        return [*((name, count) for name, count in kinds.items() if count), *self.operations]

    def _figures(self) -> Iterator[str]:
        return (name for name in _FIGURES if name != "numbers" or self.numbers != self.entries)


_FIGURES: Final = (
    "outputs", "reads", "depth", "dead", "numbers", "nonfinite", "lines", "labels", "scopes",
)  # fmt: skip


def stats(entries: Entries) -> Stats:
    """Counts what is on a tape."""
    columns = entries.columns
    rows = columns.table.rows
    counts = Counter({rows[code]: count for code, count in Counter(entries.codes).items()})
    reads, depth = _depth(columns)
    return Stats(
        entries=len(entries),
        inputs=len(entries.inputs),
        constants=counts[ops.constant],
        guards=sum(count for row, count in counts.items() if row.kind == "guard"),
        outputs=len(entries.outputs),
        operations=tuple(
            (row.name, count) for row, count in counts.most_common() if row.is_operation
        ),
        reads=reads,
        depth=depth,
        dead=_dead(columns, len(entries.inputs), entries.outputs),
        numbers=sum(prod(shape_of(x)) for x in entries.values),
        nonfinite=sum(not is_finite(x) for x in entries.numbers),
        lines=len({*lines_of_entries(entries)[len(entries.inputs) :]} - {-1}),
        labels=len(entries.labels),
        scopes=len(entries.scopes),
        size=_size(entries),
    )


def _depth(columns: EntryColumns) -> tuple[int, int]:
    """The number of operands read in all, and the length of the longest chain of readers."""
    depths, count = [0] * len(columns), 0
    for slot, operand in columns.reads():
        count += 1
        if depths[slot] <= depths[operand]:
            depths[slot] = depths[operand] + 1
    return count, max(depths, default=0)


def _dead(columns: EntryColumns, inputs: int, outputs: Sequence[int]) -> int:
    """The number of entries that neither an output nor a guard needs; inputs do not count."""
    is_guard = [row.kind == "guard" for row in columns.table.rows]
    needed = bytearray(map(is_guard.__getitem__, columns.codes))
    needed[:inputs] = b"\x01" * inputs
    for output in outputs:
        needed[output] = True
    for slot, operand in columns.reads(backwards=True):
        if needed[slot]:
            needed[operand] = True
    return needed.count(0)


def _size(entries: Entries) -> int:
    columns = (entries.codes, entries.left, entries.right, entries.pool, entries.site_of)
    stored = entries.stored
    values = stored.cells + stored.form_of if isinstance(stored, StoredArrays) else stored
    return sum(map(len, columns)) + len(values) * isinstance(values, bytes)
