"""The loops of a recording with the user's lines, for reports."""

from __future__ import annotations

from collections import Counter
from typing import final

import attrs

from tapegrad._support.source_position import Site
from tapegrad.compile.loops import APART
from tapegrad.entries.entries import Entries, Looped
from tapegrad.entries.repeats import Repeat, repeats
from tapegrad.entries.static_keys import static_key

__all__ = ["RecordedLoop", "entered_loops", "recorded_loops"]


@final
@attrs.frozen
class RecordedLoop:
    """Entries that come many times: how often, how many, and from which lines, if those are known.

    Constants are not counted.
    """

    count: int
    entries: int
    lines: str

    def __str__(self) -> str:
        where = f" at {self.lines}" if self.lines else ""
        return f"{self.count:,} x {self.entries:,} entries{where}"


def recorded_loops(tape: Entries) -> tuple[RecordedLoop, ...]:
    """The loops of a recording, in order."""
    columns, inputs = tape.columns.as_lists(), len(tape.inputs)
    entries = [s for s in range(inputs, len(tape)) if columns.row(s).kind != "constant"]
    numbers = [3 * APART] * len(tape)
    numbers[:inputs] = range(APART, APART + inputs)
    for number, slot in enumerate(entries, inputs):
        numbers[slot] = number
    reads = [columns.operands(slot) for slot in entries]
    keys = [
        (
            columns.codes[slot],
            len(operands),
            tuple(map(static_key, columns.static(slot))),
            columns.outcome(slot) if columns.row(slot).kind == "guard" else None,
        )
        for slot, operands in zip(entries, reads, strict=True)
    ]
    return tuple(
        RecordedLoop(found.count, found.length, _lines(tape, _of_one(entries, found)))
        for found in repeats(keys, reads, numbers, inputs)
    )


def _of_one(entries: list[int], found: Repeat) -> list[int]:
    """The entries of one repetition."""
    return entries[found.first : found.first + found.length]


def entered_loops(tape: Entries) -> tuple[RecordedLoop, ...]:
    """The loops that are one entry each, in order."""
    return tuple(map(_entered, tape.loops.values()))


def _entered(loop: Looped) -> RecordedLoop:
    tape = loop.tape
    slots = range(len(tape.inputs), len(tape))
    entries = [slot for slot in slots if tape.columns.row(slot).kind != "constant"]
    return RecordedLoop(loop.count, len(entries), _lines(tape, entries))


def _lines(tape: Entries, slots: list[int]) -> str:
    """The lines of entries, in the file that most of them are of."""
    sites = [tape.site(slot) for slot in slots]
    known = [site for site in sites if site is not None]
    if not known:
        return ""
    ((file, _),) = Counter(site.file for site in known).most_common(1)
    lines = sorted({site.line for site in known if site.file == file})
    first = str(Site(file, lines[0], ""))
    return f"{first}-{lines[-1]}" if len(lines) > 1 else first
