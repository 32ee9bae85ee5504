"""The code of one path for one call at a time: made when it pays, and made better when that does."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TypeAlias, final

from tapegrad.backends import Choice
from tapegrad.packing import packer
from tapegrad.paths import Path
from tapegrad.reports import PathReport

__all__ = ["Kernel", "Running"]

Kernel: TypeAlias = Callable[[Sequence[float]], "Sequence[float] | int"]
"""A program that runs: the outputs, or the index of the guard that came out differently."""

_QUICK_LEVEL, _BEST_LEVEL = 0, 2
_DEARER = 2.0
"""The best code takes about so many times as long to make as the quick one."""


@final
class Running:
    """A path and its code.

    The code is made at the second call. Where it comes from LLVM, it is first what LLVM makes
    quickly; when the calls have taken as long as making it well would, it is made well.
    """

    def __init__(self, path: Path, choice: Choice) -> None:
        self.path, self.choice = path, choice
        self.pack = packer(path.tape.result)
        self.kernel: Kernel = self._first
        self.flat: Callable[[bytes], bytes | memoryview | int] = self._flat
        self.level: int | None = None
        self.compiling = self._spent = self._price = 0.0

    def _first(self, floats: Sequence[float]) -> Sequence[float] | int:
        """Make the code, and run it."""
        self._make(_QUICK_LEVEL)
        return self.kernel(floats)

    def _make(self, level: int) -> None:
        started = perf_counter()
        if self.choice.name == "python":
            from tapegrad.interpret.python import compiled

            self.kernel = compiled(self.path.program)
        else:
            self._make_native(level)
        self.compiling += perf_counter() - started

    def _make_native(self, level: int) -> None:
        from tapegrad.native import Call

        code = Call(self.path.program, level)
        self.level, self._price = level, _DEARER * code.seconds
        self._code: Kernel = code
        if level == _BEST_LEVEL:
            self.kernel, self.flat = code, code.flat
        else:
            self.kernel = self._watched

    def _watched(self, floats: Sequence[float]) -> Sequence[float] | int:
        """Run quickly made code, and see whether better code would have paid."""
        started = perf_counter()
        found = self._code(floats)
        self._spent += perf_counter() - started
        if self._spent > self._price:
            self._make(_BEST_LEVEL)
        return found

    def _flat(self, inputs: bytes) -> bytes | int:
        found = self.kernel(memoryview(inputs).cast("d").tolist())
        return found if isinstance(found, int) else array("d", found).tobytes()

    def report(self) -> PathReport:
        """What this path is, and what it took."""
        runs_on = "recorded only" if self.kernel == self._first else self.choice.name
        if self.level is not None:
            runs_on += f" at level {self.level}"
        return self.path.report(runs_on=runs_on, compiling=self.compiling)
