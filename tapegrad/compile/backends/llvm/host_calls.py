"""Calls from machine code back into Python, and the errors that they raise there."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, MutableSequence, Sequence
from functools import partial
from threading import get_ident, main_thread
from typing import Final, final

import attrs

from tapegrad._support.source_position import here
from tapegrad.ops.primitive import Primitive

__all__ = ["UNANSWERED", "UNANSWERED_ROW", "HostCall", "HostCalls", "full_stack"]


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


UNANSWERED: Final = -2
"""The number that code for one call returns where Python has not answered it."""
UNANSWERED_ROW: Final = -3
"""The number in the place of the guard that a row left at, where Python has not answered it."""


@final
class HostCalls:
    """Answers the calls that code makes back into Python, and keeps the error that one raised.

    ``errors`` holds them by thread until they are raised again. An error may be raised outside of
    all that is written here: an interrupt or a full stack, before a function's first line or after
    its last. So the code itself sees whether it was answered, and what Python says of an error
    that it cannot pass on is heard.
    """

    address: int
    makes_calls: bool
    errors: dict[int, BaseException]

    def __init__(self, calls: Sequence[HostCall], lanes: int) -> None:
        self.lanes: int = lanes
        self.makes_calls: bool = bool(calls)
        self.errors = {}
        # Not a method: what the code holds must not hold the code.
        self._function = _SIGNATURE(partial(_answer, calls, lanes, self.errors))
        self.address = ctypes.cast(self._function, ctypes.c_void_p).value or 0

    def answer(self, run: Callable[..., int], *arguments: object) -> int:
        """Runs code that makes such calls, and returns what it returns.

        Raises:
            BaseException: whatever a call in this thread raised.
        """
        thread = get_ident()
        self.errors.pop(thread, None)
        # Signals are the main thread's, and two threads would leave each other's hooks behind.
        is_main = thread == main_thread().ident
        found = self._heard(run, arguments) if is_main else run(*arguments)
        if self.errors and (error := self.errors.pop(thread, None)) is not None:
            raise error
        return found

    def _heard(self, run: Callable[..., int], arguments: tuple[object, ...]) -> int:
        """Runs code, and keeps the errors that Python says it cannot pass on."""
        before = sys.unraisablehook
        listener = partial(_listen, self.errors, before)
        sys.unraisablehook = listener
        try:
            return run(*arguments)
        finally:
            if sys.unraisablehook is listener:
                sys.unraisablehook = before


def full_stack() -> RecursionError:
    """The error where Python can neither enter machine code nor answer it, or say why."""
    return RecursionError(
        f"Python's stack is full where machine code runs ({here()}): call from fewer functions "
        "inside each other"
    )


def _listen(
    errors: dict[int, BaseException],
    before: Callable[[sys.UnraisableHookArgs], object],
    raised: sys.UnraisableHookArgs,
) -> None:
    """Keeps the error of a call by machine code, which has nobody to raise it to."""
    if _is_of_answer(raised):
        errors[get_ident()] = raised.exc_value or raised.exc_type()
    else:
        before(raised)


def _is_of_answer(raised: sys.UnraisableHookArgs) -> bool:
    """Whether a call by machine code raised; since Python 3.13 its text alone says what was called.

    There is no traceback where the call could not begin.
    """
    called = raised.object
    if isinstance(called, partial):
        return called.func is _answer
    if raised.exc_traceback is not None:
        return raised.exc_traceback.tb_frame.f_code is _answer.__code__
    return "ctypes callback" in (raised.err_msg or "")


def _answer(  # noqa: PLR0913, PLR0917  # the last four are what the code hands over
    calls: Sequence[HostCall],
    lanes: int,
    errors: dict[int, BaseException],
    number: int,
    given: Sequence[float],
    answer: MutableSequence[float],
    wanted: MutableSequence[int],
) -> None:
    """Answers one call, for the lanes that want it; none after one has raised.

    A lane that is answered wants no more.
    """
    try:
        if get_ident() in errors:
            return
        call = calls[number]
        size = call.operands * lanes
        for lane in range(lanes):
            if wanted[lane]:
                answer[lane] = call.row.value(*given[lane:size:lanes], *call.static)
                wanted[lane] = 0
    except BaseException as error:  # noqa: BLE001  # it cannot pass through machine code
        errors[get_ident()] = error
