"""Where the first nan or infinity arises, going forward through values and back through cotangents.

Both sweeps are read from the tape as it is: nothing runs again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from math import isfinite
from typing import Final, Literal, TypeAlias, cast, final

import attrs

from tapegrad._support.source_position import Site, here
from tapegrad.entries.columns import Columns
from tapegrad.entries.entries import Entries
from tapegrad.errors import InputError
from tapegrad.inspect.names import Names
from tapegrad.ops import table as ops

__all__ = ["Nonfinite", "first_nonfinite"]

Sweep: TypeAlias = Literal["forward", "reverse"]
Bars: TypeAlias = Sequence[float | None]


_SHOWN: Final = 6
"""So many operands are told one by one."""


@final
@attrs.frozen
class Nonfinite:
    """The entry at which the first nan or infinity arises.

    Forward it is the ``value`` of entry ``slot``, which ``name`` tells. In reverse it is
    ``handed``: the sum in slot ``receiver`` after the entry, whose own ``cotangent`` is finite, has
    added its share, ``cotangent * partial``. ``operation`` is the row's name, and ``operands`` are
    the slots it reads, with their names and values.
    """

    sweep: Sweep
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
        shown = [f"{name} = {value!r}" for _, name, value in self.operands[:_SHOWN]]
        if len(self.operands) > _SHOWN:
            shown.append(f"... {len(self.operands) - _SHOWN:,} more")
        shown += map(str, self.static)
        return f"{self.operation}({', '.join(shown)})"


def first_nonfinite(
    tape: Entries, bars: Callable[[Iterable[int]], Bars], sweep: Sweep | None
) -> Nonfinite | None:
    """Find the first nan or infinity among plain numbers; ``bars`` sweeps from slots."""
    if sweep not in {None, "forward", "reverse"}:
        raise InputError(f"sweep={sweep!r} ({here()}) is unknown: use 'forward' or 'reverse'")
    found = None if sweep == "reverse" else _forward(tape)
    return found or (None if sweep == "forward" else _reverse(tape, bars(tape.outputs)))


def _forward(tape: Entries) -> Nonfinite | None:
    columns = tape.columns
    constant = columns.table.codes[ops.constant]
    values = cast(Sequence[float], columns.values)
    entries = enumerate(zip(tape.codes, map(isfinite, values), strict=True))
    slot = next((slot for slot, (code, fine) in entries if not fine and code != constant), None)
    return None if slot is None else _described(tape, slot, "forward")


def _reverse(tape: Entries, bars: Bars) -> Nonfinite | None:
    """The sweep's additions once more, for the slots in which the sum is not finite."""
    sums = {slot: -0.0 for slot, bar in enumerate(bars) if bar is not None and not isfinite(bar)}
    for slot in _readers(tape.columns, sums) if sums else ():
        bar = bars[slot]
        for operand, partial in _partials(tape.columns, slot):
            if bar is None or operand not in sums:
                continue
            sums[operand] += bar * partial
            if not isfinite(sums[operand]):
                found = _described(tape, slot, "reverse")
                return attrs.evolve(
                    found, cotangent=bar, partial=partial, handed=sums[operand], receiver=operand
                )
    return None


def _readers(columns: Columns, slots: Mapping[int, float]) -> Iterator[int]:
    """The entries that read one of the slots, from the last on."""
    found = (slot for slot, operand in columns.reads(backwards=True) if operand in slots)
    return (slot for slot, _ in groupby(found))


def _partials(columns: Columns, slot: int) -> Iterator[tuple[int, float]]:
    """The operands that an entry is not flat in, and its partials."""
    arguments = cast("list[float]", [columns.values[slot], *columns.arguments(slot)])
    partials = columns.row(slot).every_partial(*arguments)
    for operand, partial in zip(columns.operands(slot), partials, strict=True):
        if partial is not None:
            yield operand, cast(float, partial)


def _described(tape: Entries, slot: int, sweep: Sweep) -> Nonfinite:
    columns, names = tape.columns, Names(tape)
    values = cast(Sequence[float], columns.values)
    operands = tuple((at, names[at], values[at]) for at in columns.operands(slot))
    name = columns.row(slot).name.rstrip("_")
    static, site = columns.static(slot), tape.site(slot)
    return Nonfinite(sweep, slot, names[slot], name, values[slot], operands, static, site)
