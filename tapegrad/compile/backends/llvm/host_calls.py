"""Calls from machine code back into Python, and the errors that they raise there."""

from __future__ import annotations

import ctypes
from collections.abc import MutableSequence, Sequence
from functools import partial
from threading import get_ident
from typing import Final, final

import attrs

from tapegrad.ops.primitive import Primitive

__all__ = ["HostCall", "HostCalls"]


@final
@attrs.frozen(eq=False)
class HostCall:
    """A row whose value the code asks Python for, its static operand, and the number of others."""

    row: Primitive
    operands: int
    static: tuple[object, ...]


_SIGNATURE: Final = ctypes.CFUNCTYPE(
    None, ctypes.c_int64, *[ctypes.POINTER(ctypes.c_double)] * 2, ctypes.POINTER(ctypes.c_uint8)
)


@final
class HostCalls:
    """Answers the calls that code makes back into Python, and keeps the error that one raised.

    ``errors`` holds them by thread until they are raised again.
    """

    address: int
    errors: dict[int, BaseException]

    def __init__(self, calls: Sequence[HostCall], lanes: int) -> None:
        self.lanes = lanes
        self.errors = {}
        # Not a method: what the code holds must not hold the code.
        self._function = _SIGNATURE(partial(_answer, calls, lanes, self.errors))
        self.address = ctypes.cast(self._function, ctypes.c_void_p).value or 0

    def reraise(self) -> None:
        """Raises the error that a call in this thread raised, if one did."""
        if self.errors and (error := self.errors.pop(get_ident(), None)) is not None:
            raise error


def _answer(  # noqa: PLR0913, PLR0917  # the last four are what the code hands over
    calls: Sequence[HostCall],
    lanes: int,
    errors: dict[int, BaseException],
    number: int,
    given: Sequence[float],
    answer: MutableSequence[float],
    wanted: Sequence[int],
) -> None:
    """Answers one call, for the lanes that want it; none after one has raised."""
    if get_ident() in errors:
        return
    call = calls[number]
    size = call.operands * lanes
    try:
        for lane in range(lanes):
            if wanted[lane]:
                operands = (given[at] for at in range(lane, size, lanes))
                answer[lane] = call.row.value(*operands, *call.static)
    except BaseException as error:  # noqa: BLE001  # it cannot pass through machine code
        errors[get_ident()] = error
