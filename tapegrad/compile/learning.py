"""Decides which paths are recorded and compiled: those that pay for themselves.

The first path of a structure of arguments is recorded at its first call, and so are a few short
ones after it. On any other path the function itself is called, until such calls have taken as long
as recording the path takes, or compiling it. So however many paths are new, the calls of a compiled
function take about twice as long as those of the function, at most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from time import perf_counter
from typing import Final, TypeVar, final

from tapegrad._support.argument_checks import name_of
from tapegrad._support.exclusive import Exclusive, exclusive
from tapegrad._support.source_position import Site, here, warn

__all__ = ["COMPILING", "FREE", "MANY_PATHS", "RECORDING", "Learning"]

R = TypeVar("R")

FREE: Final = 256
"""The entries, on all paths after the first, that are recorded and compiled without being paid."""
MANY_PATHS: Final = 64
"""The number of paths at which there is a warning."""
RECORDING: Final = 25e-6
"""The seconds in which an entry is expected to be recorded: 12 to 25 microseconds were seen."""
COMPILING: Final = 30e-6
"""The same for compiling it: 27 to 30 microseconds were seen with LLVM, half of that without."""
_AGAIN: Final = 2
"""The calls that leave the recorded paths alike after which it is worth to record theirs."""
_REMEMBERED: Final = 4096
"""The most ways of leaving the recorded paths that are remembered."""


@final
class Learning:
    """The time that recording and compiling paths took, and calls of the function itself.

    ``spent`` and ``called`` are in seconds, ``calls`` is the number of those calls. What was spent
    on code for many rows is a ``credit``: as much may be spent on their rare rows.
    """

    spent: float
    called: float
    credit: float
    calls: int

    def __init__(self, free: int = FREE) -> None:
        self.spent, self.called, self.credit, self.calls = 0.0, 0.0, 0.0, 0
        self._free = free
        self._seen: Counter[bytes] = Counter()
        self._departures: Counter[Site | None] = Counter()
        self._warned = False
        self.exclusive: Exclusive = Exclusive()

    def is_free(self, entries: int) -> bool:
        """Whether a path of this length need not be paid for."""
        return entries <= self._free

    def affords(self, seconds: float) -> bool:
        """Whether the calls of the function took longer than what was spent and these seconds."""
        return self.spent + seconds <= self.called + self.credit

    @exclusive
    def charge(self, entries: int, seconds: float) -> bool:
        """Counts a path that was recorded; whether it has to be paid for."""
        is_paid = not self.is_free(entries)
        if is_paid:
            self.spent += seconds
        else:
            self._free -= entries
        return is_paid

    @exclusive
    def pay(self, seconds: float) -> None:
        """Counts what compiling a path took."""
        self.spent += seconds

    def call(self, f: Callable[[], R]) -> R:
        """Calls the function itself, and counts what that took."""
        started = perf_counter()
        result = f()
        self._count_call(perf_counter() - started)
        return result

    @exclusive
    def _count_call(self, seconds: float) -> None:
        self.called += seconds
        self.calls += 1

    @exclusive
    def comes_again(self, prefix: bytes) -> bool:
        """Counts a call that leaves the recorded paths; whether one did so before in this way."""
        if len(self._seen) >= _REMEMBERED and prefix not in self._seen:
            self._seen.clear()
        self._seen[prefix] += 1
        return self._seen[prefix] >= _AGAIN

    @exclusive
    def forget(self, prefix: bytes) -> None:
        """Notes that there is a path now for calls that left the others in this way."""
        self._seen.pop(prefix, None)

    @exclusive
    def note_departure(self, line: Site | None) -> None:
        """Counts a call by the line at which it leaves the recorded paths."""
        self._departures[line] += 1

    def warn_of_many_calls(self, f: Callable[..., object], recorded: int) -> None:
        """Warns, once, where calls take many paths, of which so many are recorded."""
        self.warn_of_many(f, recorded + len(self._seen), self._departures)

    def warn_of_many(
        self, f: Callable[..., object], paths: int, lines: Counter[Site | None]
    ) -> None:
        """Warns, once, where there are many paths, given how often they part at each line."""
        if self._warned or paths < MANY_PATHS:
            return
        self._warned = True
        ((line, _),) = lines.most_common(1)
        warn(
            f"{name_of(f)} ({here()}) has taken {paths} paths, and is called as it stands on those "
            f"that do not pay for being compiled; most of them part at {line}: spell that choice "
            "with where, maximum or minimum to have one path"
        )
