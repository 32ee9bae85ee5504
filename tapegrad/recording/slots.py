"""Writes entries behind those of a recording, on slots: no object is made for a number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from threading import get_ident
from typing import cast, final

from tapegrad.entries.builder import Place
from tapegrad.ops.primitive import Operand, Primitive
from tapegrad.recording.recorder import (
    CODES,
    NOBODYS,
    SIDES,
    OuterValues,
    Recorder,
    TracedValue,
)  # fmt: skip

__all__ = ["SlotWriter"]


@final
class SlotWriter:
    """Applies rows to places: a slot of the recording, or a number, which no int is.

    The recording is the innermost among ``values`` and ``seeds``, the last one that was opened.
    What rows record on its traced numbers is recorded here on its slots: the same entries in the
    same order.
    Numbers of the recordings around it are numbers like any other, and rows applied to such alone
    do what they define. Where the recording has ended, its own are, too, and refuse to be used.
    """

    recorder: Recorder | None

    def __init__(self, values: Sequence[Operand], seeds: Iterable[Operand]) -> None:
        recorders = {x._recorder for x in seeds if isinstance(x, TracedValue)}
        if isinstance(values, OuterValues):
            recorders.add(values.recorder)
        else:
            recorders |= {x._recorder for x in values if isinstance(x, TracedValue)}
        innermost = max(recorders, key=attrgetter("serial"), default=None)
        is_open = innermost is not None and innermost.owner == get_ident()
        self.recorder = innermost if is_open else None
        if self.recorder is not None:
            self.recorder.settle()

    def places(self, operands: Sequence[Operand]) -> list[Place]:
        """The places of operands."""
        if isinstance(operands, OuterValues) and operands.recorder is self.recorder:
            return operands.places
        return [self.place(operand) for operand in operands]

    def place(self, operand: Operand) -> Place:
        """The slot that a traced number has on the recording, or any other number."""
        if isinstance(operand, TracedValue) and operand._recorder is self.recorder:
            return operand._slot
        return operand

    def operand(self, place: Place) -> Operand:
        """The traced number in a slot, or the number that the place is."""
        if not isinstance(place, int):
            return place
        recorder = cast(Recorder, self.recorder)
        return recorder.number(place)

    def apply(
        self, row: Primitive, places: Sequence[Place], static: tuple[object, ...] = ()
    ) -> Place:
        """The row applied to these operands, some of which are slots: a number or a new entry."""
        recorder, kinds = self.recorder, list(map(type, places))
        if recorder is None or int not in kinds:
            return row(*cast("Sequence[Operand]", places), *cast("tuple[Operand, ...]", static))
        slots = [place if isinstance(place, int) else recorder.constant(place) for place in places]
        values = recorder.values
        function = row if recorder.on_arrays or recorder.plain is NOBODYS else row.value
        value = function(*[values[slot] for slot in slots], *static)  # type: ignore[arg-type]  # static
        if row in SIDES:
            return recorder.write(CODES[row], slots[0], slots[1] if len(slots) > 1 else -1, value)
        left, right = recorder.place(row, slots, static)
        return recorder.write(recorder.code(row), left, right, value)

    def binary(self, row: Primitive) -> Callable[[Place, Place], Place]:
        """A function that applies a row of the library's, in less time than ``apply``."""
        recorder, code = self.recorder, CODES[row]
        function: Callable[..., float] = row.value

        def applied(x: Place, y: Place) -> Place:
            if recorder is None or recorder.plain is NOBODYS or recorder.on_arrays:
                return self.apply(row, (x, y))
            if isinstance(x, float) and isinstance(y, int):
                x = recorder.constant(x)
            elif isinstance(y, float) and isinstance(x, int):
                y = recorder.constant(y)
            if isinstance(x, int) and isinstance(y, int):
                values = recorder.values
                return recorder.write(code, x, y, function(values[x], values[y]))
            return self.apply(row, (x, y))

        return applied
