"""Exceptions that come from nowhere: at any instruction of the library, or of code it generates."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, TypeAlias

import tapegrad as tg

Instruction: TypeAlias = tuple[str, str, int, int]
"""A file, a function in it, the first line of that, and the offset of an instruction."""

_PACKAGE: Final = str(Path(tg.__file__).parent)
_DRAW: Final = random.Random(1 if os.environ.get("CI") else None)
"""It draws the same in CI."""
_GENERATED: Final = "<spelled by tapegrad>"

_WAITING: Final = "/_support/threads.py", "_work"
"""Where a thread waits for its next task: nobody would hear what is thrown there."""


class Thrower:
    """Raises ``error`` before the instruction ``at`` (from 1 on), of those that are the library's.

    Instructions of threads that begin meanwhile count, too.
    ``seen`` has the instructions that it came by, ``thrown`` the one before which it raised.
    ``is_lost`` where Python itself passed over what was raised, as it does in a generator that it
    closes because nobody holds it any more.
    """

    def __init__(self, at: int = 0, error: type[BaseException] = KeyboardInterrupt) -> None:
        self.at, self.error = at, error
        self.count = 0
        self.seen: list[Instruction] = []
        self.thrown: Instruction | None = None
        self.is_over = self.is_lost = False

    def run(self, act: Callable[[], object]) -> object:
        """The result of ``act``, if it is not interrupted."""
        before = sys.unraisablehook

        def hook(passed_over: Any) -> None:
            if isinstance(passed_over.exc_value, self.error):
                self.is_lost = True
            else:
                before(passed_over)

        sys.unraisablehook = hook
        try:
            if sys.version_info >= (3, 12):
                return self._run_monitored(act)
            return self._run_traced(act)
        finally:
            sys.unraisablehook = before

    def _run_traced(self, act: Callable[[], object]) -> object:
        """The same with the trace function of each thread, which outlives ``act`` in a pool."""
        before = sys.gettrace()
        threading.settrace(self._called)
        sys.settrace(self._called)
        try:
            return act()
        finally:
            self.is_over = True
            sys.settrace(before)
            threading.settrace(before)

    def _run_monitored(self, act: Callable[[], object]) -> object:
        """The same since Python 3.12, whose early versions trace no instructions reliably."""
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined]  # of newer versions
        tool, events = 3, monitoring.events
        monitoring.use_tool_id(tool, "thrower")
        monitoring.register_callback(tool, events.INSTRUCTION, self._monitored)
        monitoring.set_events(tool, events.INSTRUCTION)
        monitoring.restart_events()
        try:
            return act()
        finally:
            monitoring.set_events(tool, 0)
            monitoring.free_tool_id(tool)

    def _monitored(self, code: CodeType, offset: int) -> object:
        if not _is_ours(code):
            return sys.monitoring.DISABLE  # type: ignore[attr-defined]  # of newer versions
        self._reached(_instruction(code, offset))
        return None

    def _called(self, frame: FrameType, event: str, arg: object) -> Any:
        if not _is_ours(frame.f_code):
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        return self._traced

    def _traced(self, frame: FrameType, event: str, arg: object) -> Any:
        if event == "opcode":
            self._reached(_instruction(frame.f_code, frame.f_lasti))
        return self._traced

    def _reached(self, instruction: Instruction) -> None:
        if self.is_over or instruction[:2] == _WAITING:
            return
        self.count += 1
        if not self.at:
            self.seen.append(instruction)
        elif self.count == self.at:
            self.thrown = instruction
            raise self.error("thrown")


def _is_ours(code: CodeType) -> bool:
    return code.co_filename.startswith(_PACKAGE) or code.co_filename == _GENERATED


def _instruction(code: CodeType, offset: int) -> Instruction:
    return code.co_filename.removeprefix(_PACKAGE), code.co_qualname, code.co_firstlineno, offset


def instructions(act: Callable[[], object]) -> list[Instruction]:
    """The instructions that an act takes in the library."""
    thrower = Thrower()
    thrower.run(act)
    assert len(thrower.seen) > 20
    return thrower.seen


def some_of(seen: list[Instruction], count: int) -> list[int]:
    """The numbers of so many instructions, evenly spread, from a random one on."""
    stride = max(1, len(seen) // count)
    return list(range(1 + _DRAW.randrange(stride), len(seen) + 1, stride))


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
