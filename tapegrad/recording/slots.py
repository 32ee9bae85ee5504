"""Writes entries behind those of a recording, on slots: no object is made for a number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from threading import get_ident
from typing import Final, TypeVar, cast, final

from tapegrad.entries.builder import Place
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Operand, Primitive
from tapegrad.recording.recorder import Recorder, Var

__all__ = ["SlotWriter"]

OperandT = TypeVar("OperandT", bound=Operand | None)

_SHORT: Final = {
    row: code
    for row, code in ops.TABLE.codes.items()
    if not (row.is_pooled or row.has_static or row.kind == "guard")
}
"""The codes of the library's rows whose operands fit the two columns."""


@final
class SlotWriter:
    """Applies rows to places: a slot of the recording, or a number, which no int is.

    The recording is the innermost among ``operands``, the last one that was opened. What rows
    record on its traced numbers is recorded here on its slots: the same entries in the same order.
    Numbers of the recordings around it are numbers like any other, and rows applied to such alone
    do what they define. Where the recording has ended, its own are, too, and refuse to be used.
    """

    def __init__(self, operands: Iterable[Operand | None]) -> None:
        recorders = {operand._recorder for operand in operands if isinstance(operand, Var)}
        innermost = max(recorders, key=attrgetter("serial"), default=None)
        is_open = innermost is not None and innermost.owner == get_ident()
        self.recorder = innermost if is_open else None
        self.write = _appending(self.recorder)

    def places(self, operands: Iterable[OperandT]) -> list[OperandT | int]:
        """The places of operands; None, for what there is none of, stays."""
        recorder = self.recorder
        return [
            operand._slot if isinstance(operand, Var) and operand._recorder is recorder else operand
            for operand in operands
        ]

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
        function = row.value if recorder.thread else row
        value = function(*[values[slot] for slot in slots], *static)  # type: ignore[arg-type]  # static
        code = _SHORT.get(row)
        if code is not None:
            return self.write(code, slots[0], slots[1] if len(slots) > 1 else -1, value)
        left, right = recorder.place(row, slots, static)
        return self.write(recorder.code(row), left, right, value)

    def binary(self, row: Primitive) -> Callable[[Place, Place], Place]:
        """What applies a row of the library's to two operands, in less time than ``apply``."""
        recorder, write, code, function = self.recorder, self.write, _SHORT[row], row.value

        def applied(x: Place, y: Place) -> Place:
            if isinstance(x, int) and isinstance(y, int) and recorder and recorder.thread:
                values = cast("list[float]", recorder.values)
                return write(code, x, y, function(values[x], values[y]))
            return self.apply(row, (x, y))

        return applied


def _appending(recorder: Recorder | None) -> Callable[[int, int, int, Operand], int]:
    """What writes a new entry as ``Recorder.append`` does, and gives its slot."""
    if recorder is None:
        return lambda *_: -1
    values = recorder.values
    add_code, add_left, add_right = (
        column.append for column in (recorder.codes, recorder.left, recorder.right)
    )

    def write(code: int, left: int, right: int, value: Operand) -> int:
        if recorder.marks is not None:
            recorder.mark()
        add_code(code)
        add_left(left)
        add_right(right)
        values.append(value)
        return len(values) - 1

    return write
