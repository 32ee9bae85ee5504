"""Where the first nan or infinity arises: forward among values, and in reverse among cotangents.

Both sweeps are read from the tape as it is: nothing runs again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from math import isfinite
from typing import Literal, TypeAlias, cast, final

import attrs

from tapegrad._support.source_position import Site, here
from tapegrad._support.text import Printed
from tapegrad.entries.columns import EntryColumns
from tapegrad.entries.entries import Entries
from tapegrad.errors import InputError
from tapegrad.inspect.names import Names, shortened
from tapegrad.ops import table as ops
from tapegrad.sweep.gradient import cotangents_from

__all__ = ["Nonfinite", "first_nonfinite"]

Direction: TypeAlias = Literal["forward", "reverse"]


@final
@attrs.frozen
class Nonfinite(Printed):
    """The entry at which the first nan or infinity arises.

    Forward it is the ``value`` of entry ``slot``, called ``name``. In reverse it is ``handed``: the
    sum in slot ``receiver`` after the entry, whose own ``cotangent`` is finite, has added its
    share, ``cotangent * partial``. ``operation`` is the row's name, and ``operands`` are the slots
    it reads, with their names and values.
    """

    sweep: Direction
    slot: int
    name: str
    operation: str
    value: float
    operands: tuple[tuple[int, str, float], ...]
    static: tuple[object, ...]
    site: Site | None
    cotangent: float | None = None
    partial: float | None = None
    handed: float | None = None
    receiver: int | None = None

    def __str__(self) -> str:
        where = f", {self.site}" if self.site else ""
        what = f"{self.name} = {self._call()}" if self.operands else f"the input {self.name}"
        if self.sweep == "forward":
            return f"the first value that is not finite is {self.value!r}: {what}{where}"
        receiver = next(name for slot, name, _ in self.operands if slot == self.receiver)
        return (
            f"the first cotangent that is not finite is {self.handed!r}, that of {receiver}: "
            f"{what} = {self.value!r} hands on {self.cotangent!r} * {self.partial!r}{where}"
        )

    def _call(self) -> str:
        shown = shortened(self.operands, lambda operand: f"{operand[1]} = {operand[2]!r}")
        return f"{self.operation}({', '.join((*shown, *map(str, self.static)))})"


def first_nonfinite(entries: Entries, sweep: Direction | None) -> Nonfinite | None:
    """Finds the first nan or infinity in one sweep, or in the forward and then the reverse one."""
    if sweep not in {None, "forward", "reverse"}:
        raise InputError(f"sweep={sweep!r} ({here()}) is unknown: use 'forward' or 'reverse'")
    numbers = entries.of_numbers()
    found = None if sweep == "reverse" else _forward(numbers)
    return found or (None if sweep == "forward" else _reverse(numbers))


def _forward(entries: Entries) -> Nonfinite | None:
    constant = entries.table.codes[ops.constant]
    finite = enumerate(zip(entries.codes, map(isfinite, entries.numbers), strict=True))
    slot = next((slot for slot, (code, fine) in finite if not fine and code != constant), None)
    return None if slot is None else _described(entries, slot, "forward")


def _reverse(entries: Entries) -> Nonfinite | None:
    """Repeats the additions of the sweep for the slots in which the sum is not finite."""
    bars, columns = cotangents_from(entries, entries.outputs), entries.columns
    sums = {slot: -0.0 for slot, bar in enumerate(bars) if bar is not None and not isfinite(bar)}
    for slot in _readers(columns, sums) if sums else ():
        bar = bars[slot]
        for operand, partial in cast("Iterator[tuple[int, float]]", columns.partials(slot)):
            if bar is None or operand not in sums:
                continue
            sums[operand] += bar * partial
            if not isfinite(sums[operand]):
                found = _described(entries, slot, "reverse")
                return attrs.evolve(
                    found, cotangent=bar, partial=partial, handed=sums[operand], receiver=operand
                )
    return None


def _readers(columns: EntryColumns, slots: Mapping[int, float]) -> Iterator[int]:
    """The entries that read one of the slots, from the last on."""
    found = (slot for slot, operand in columns.reads(backwards=True) if operand in slots)
    return (slot for slot, _ in groupby(found))


def _described(entries: Entries, slot: int, sweep: Direction) -> Nonfinite:
    columns, names, values = entries.columns, Names(entries), entries.numbers
    operands = tuple((at, names[at], values[at]) for at in columns.operands(slot))
    name = columns.row(slot).name.rstrip("_")
    static, site = columns.static(slot), entries.site(slot)
    return Nonfinite(sweep, slot, names[slot], name, values[slot], operands, static, site)
