"""Exceptions that come from nowhere: at any instruction of the library, or of code it generates."""

from __future__ import annotations

import random
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final, TypeAlias

import tapegrad as tg

Instruction: TypeAlias = tuple[str, str, int, int]
"""A file, a function in it, a line, and the offset of an instruction."""

_PACKAGE: Final = str(Path(tg.__file__).parent)
_GENERATED: Final = "<spelled by tapegrad>"


class Thrower:
    """Raises ``error`` before the instruction ``at`` (from 1 on), of those that are the library's.

    ``seen`` has the instructions that it came by, ``thrown`` the one before which it raised.
    """

    def __init__(self, at: int = 0, error: type[BaseException] = KeyboardInterrupt) -> None:
        self.at, self.error = at, error
        self.count = 0
        self.seen: list[Instruction] = []
        self.thrown: Instruction | None = None

    def run(self, act: Callable[[], object]) -> object:
        """The result of ``act``, if it is not interrupted."""
        before = sys.gettrace()
        sys.settrace(self._called)
        try:
            return act()
        finally:
            sys.settrace(before)

    def _called(self, frame: FrameType, event: str, arg: object) -> Any:
        file = frame.f_code.co_filename
        if not file.startswith(_PACKAGE) and file != _GENERATED:
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        return self._traced

    def _traced(self, frame: FrameType, event: str, arg: object) -> Any:
        if event == "opcode":
            self.count += 1
            if not self.at:
                self.seen.append(_instruction(frame))
            elif self.count == self.at:
                self.thrown = _instruction(frame)
                raise self.error("thrown")
        return self._traced


def _instruction(frame: FrameType) -> Instruction:
    code = frame.f_code
    file = code.co_filename.removeprefix(_PACKAGE)
    return file, code.co_qualname, frame.f_lineno or 0, frame.f_lasti


def instructions(act: Callable[[], object]) -> list[Instruction]:
    """The instructions that an act takes in the library."""
    thrower = Thrower()
    thrower.run(act)
    assert len(thrower.seen) > 100
    return thrower.seen


def some_of(seen: list[Instruction], count: int) -> list[int]:
    """The numbers of so many instructions, evenly spread, from a random one on."""
    stride = max(1, len(seen) // count)
    return list(range(1 + random.randrange(stride), len(seen) + 1, stride))


def every_one_of(seen: list[Instruction]) -> list[int]:
    """The numbers at which each instruction of the code runs for the first and the last time."""
    first: dict[Instruction, int] = {}
    last: dict[Instruction, int] = {}
    for number, instruction in enumerate(seen, 1):
        first.setdefault(instruction, number)
        last[instruction] = number
    return sorted({*first.values(), *last.values()})


@contextmanager
def ends_within(seconds: int) -> Iterator[None]:
    """Raises ``TimeoutError`` where what is inside takes longer: it hangs."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"it has not ended in {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def shown(value: Any) -> str:
    """A result as text, every bit of it."""
    if hasattr(value, "paths"):
        return str({path: shown(value.column(path)) for path in value.paths})
    if isinstance(value, list | tuple):
        return str([shown(part) for part in value])
    return repr(value.tolist() if hasattr(value, "tolist") else value)
