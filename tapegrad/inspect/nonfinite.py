"""Where the first nan or infinity arises: forward among values, and in reverse among cotangents.

Both sweeps are read from the tape as it is: nothing runs again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from math import isfinite
from typing import Any, Literal, TypeAlias, cast, final

import attrs

from tapegrad._support.source_position import Site, here
from tapegrad._support.text import Printed, number
from tapegrad.entries.columns import EntryColumns
from tapegrad.entries.entries import Entries
from tapegrad.errors import InputError
from tapegrad.inspect.ends import is_finite, worst
from tapegrad.inspect.names import Names, element_name, shortened
from tapegrad.inspect.reverse_steps import products
from tapegrad.inspect.static_text import static_text
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import shape_of
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

    Of an array ``place`` is where the first such number stands, which then is all that is told of;
    ``partial`` is None for a row that takes arrays as they are.
    """

    sweep: Direction
    slot: int
    name: str
    operation: str
    value: float
    operands: tuple[tuple[int, str, float], ...]
    static: tuple[object, ...]
    static_texts: tuple[str, ...]
    site: Site | None
    cotangent: float | None = None
    partial: float | None = None
    handed: float | None = None
    receiver: int | None = None
    place: tuple[int, ...] = ()
    receiver_name: str = ""

    def __str__(self) -> str:
        where = f", {self.site}" if self.site else ""
        what = f"{self.name} = {self._call()}" if self.operands else f"the input {self.name}"
        if self.sweep == "forward":
            return f"the first value that is not finite is {self.value!r}: {what}{where}"
        hands = "transposes" if self.partial is None else "hands on"
        times = f" * {self.partial!r}" if self.partial is not None else ""
        return (
            f"the first cotangent that is not finite is {self.handed!r}, that of "
            f"{self.receiver_name}: {what} = {_exact(self.value)} {hands} "
            f"{_exact(self.cotangent)}{times}{where}"
        )

    def _call(self) -> str:
        shown = shortened(self.operands, lambda operand: f"{operand[1]} = {_exact(operand[2])}")
        return f"{self.operation}({', '.join((*shown, *self.static_texts))})"


def _exact(value: float | None) -> str:
    return number(value) if value is not None and shape_of(value) else repr(value)


def first_nonfinite(entries: Entries, sweep: Direction | None) -> Nonfinite | None:
    """Finds the first nan or infinity in one sweep, or in the forward and then the reverse one."""
    if sweep not in {None, "forward", "reverse"}:
        raise InputError(f"sweep={sweep!r} ({here()}) is unknown: use 'forward' or 'reverse'")
    numbers = entries.of_numbers()
    found = None if sweep == "reverse" else _forward(numbers)
    return found or (None if sweep == "forward" else _reverse(numbers))


def _forward(entries: Entries) -> Nonfinite | None:
    constant = entries.table.codes[ops.constant]
    is_fine = is_finite if entries.on_arrays else isfinite
    finite = enumerate(zip(entries.codes, map(is_fine, entries.numbers), strict=True))
    slot = next((slot for slot, (code, fine) in finite if not fine and code != constant), None)
    return None if slot is None else _described(entries, slot, "forward")


def _reverse(entries: Entries) -> Nonfinite | None:
    """Repeats the additions of the sweep for the slots in which the sum is not finite."""
    bars, columns = cotangents_from(entries, entries.outputs), entries.columns
    sums = {slot: -0.0 for slot, bar in enumerate(bars) if bar is not None and not is_finite(bar)}
    for slot in _readers(columns, sums) if sums else ():
        bar = bars[slot]
        for _, operand, partial, share in products(columns, slot, bar) if bar is not None else ():
            if operand not in sums:
                continue
            sums[operand] = sums[operand] + share
            if not is_finite(sums[operand]):
                place = _worst(sums[operand])
                found = _described(entries, slot, "reverse", place)
                return attrs.evolve(
                    found,
                    cotangent=_element(cast(float, bar), found.place),
                    partial=None if partial is None else _element(partial, found.place),
                    handed=_element(sums[operand], place),
                    receiver=operand,
                    receiver_name=element_name(Names(entries)[operand], place),
                )
    return None


def _readers(columns: EntryColumns, slots: Mapping[int, float]) -> Iterator[int]:
    """The entries that read one of the slots, from the last on."""
    found = (slot for slot, operand in columns.reads(backwards=True) if operand in slots)
    return (slot for slot, _ in groupby(found))


def _worst(value: float) -> tuple[int, ...]:
    """The place of the first number of an array that is not finite; none in a number."""
    return worst(value) if shape_of(value) else ()


def _described(
    entries: Entries, slot: int, sweep: Direction, place: tuple[int, ...] | None = None
) -> Nonfinite:
    """An entry in words: of arrays that go element by element, the element at a place.

    That is the first of its own numbers that is not finite, unless it is given.
    """
    columns, names, values = entries.columns, Names(entries), entries.numbers
    row, value = columns.row(slot), values[slot]
    if place is None:
        place = _worst(value)
    if (row.array is not None and sweep == "reverse") or len(place) != len(shape_of(value)):
        place = ()
    given = place if row.array is None else ()

    def one(at: int) -> tuple[int, str, float]:
        own = _own_place(values[at], given)
        return at, element_name(names[at], own), _element(values[at], own)

    return Nonfinite(
        sweep,
        slot,
        element_name(names[slot], place),
        row.name.rstrip("_"),
        _element(value, place),
        tuple(map(one, columns.operands(slot))),
        columns.static(slot),
        tuple(static_text(row, static) for static in columns.static(slot)),
        entries.site(slot),
        place=place,
    )


def _own_place(value: float, place: tuple[int, ...]) -> tuple[int, ...]:
    """The place in an operand of an element of the result, along which it may be repeated."""
    shape = shape_of(value)
    own = place[len(place) - len(shape) :] if place else ()
    return tuple(at if length > 1 else 0 for at, length in zip(own, shape, strict=False))


def _element(value: float, place: tuple[int, ...]) -> float:
    """The number at a place of an array, or of what is repeated there; all of it without one."""
    own = _own_place(value, place)
    return float(cast(Any, value)[own]) if own else value
