"""Decides which paths are recorded and compiled: those that pay for themselves.

A call whose path is not compiled calls the function itself, and the time of such calls is added up,
whatever the structures of their arguments. A path that is met again is recorded once they have
taken as long as recording it takes, beside all that was spent before, and it is compiled in the
same way. Before it is recorded, the calls of its own structure must have paid for it, too: where
each structure is met a few times, recordings would be of no use. The first few hundred entries need
not be paid for: they take a few milliseconds.

To find out what a call needs (its structure, its static values, the paths that it leaves) takes
time, too, and counts as spent, but for the first milliseconds. Where it has taken more than a third
of what calls leave over, they go straight to the function until they have caught up. So any
sequence of calls takes at most about twice as long as the function itself, beside some milliseconds
in all, and a few microseconds a call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from math import inf
from sys import maxsize
from time import perf_counter, thread_time
from typing import Final, TypeVar, final

from tapegrad._support.argument_checks import name_of
from tapegrad._support.exclusive import Exclusive, exclusive
from tapegrad._support.source_position import Site, here, warn

__all__ = ["CALLING", "FREE", "MANY_PATHS", "PLAN", "RECORDING", "USUAL", "Budget", "Learning"]

R = TypeVar("R")

FREE: Final = 256
"""The entries of a function's paths that are recorded and compiled without being paid for."""
_EACH: Final = 32
"""The entries that take as long as what each path takes beside its own."""
_FREE_DECISIONS: Final = 2e-3
"""The seconds of decisions that calls need not pay for."""
_INTERRUPTION: Final = 0.2e-3
"""The seconds of a decision beyond which it may have been waiting, where others took less."""
MANY_PATHS: Final = 64
"""The number of paths at which there is a warning."""
CALLING: Final = "calling"
RECORDING: Final = "recording"
PLAN: Final = "plan"
"""The work of writing calls of numpy for paths on which some values are arrays."""
_ON_ARRAYS: Final = " arrays"
"""The end of the names of calling and recording where some arguments are arrays."""
USUAL: Final[Mapping[str, float]] = {
    CALLING: 0.3e-6, RECORDING: 10e-6, "python": 10e-6, "llvm": 30e-6,
    CALLING + _ON_ARRAYS: 5e-6, RECORDING + _ON_ARRAYS: 12e-6, PLAN: 15e-6,
}  # fmt: skip
"""The seconds that an entry takes where the function itself is called, where it is recorded, and
where it is compiled by a backend: as was seen, until some are measured."""
_AGAIN: Final = 2
"""The calls that leave the recorded paths alike after which it is worth to record theirs."""
_REMEMBERED: Final = 4096
"""The most ways of leaving the recorded paths that are remembered."""


@final
class Budget:
    """The time spent on the paths of a function, and that of calls of the function itself.

    ``spent`` and ``called`` are in seconds, and so is ``decided``: what it took to find out what
    calls need. What compiled code has saved is a ``credit``, and so is what was spent on code for
    many rows: as much may be spent on their rare rows. So many entries as are ``free`` need not be
    paid for; without ``eager_first`` nothing has to be. ``calls`` counts those of the function
    itself, and ``straight`` those about which nothing was decided. It ``has_warned`` of many paths.
    """

    spent: float
    called: float
    decided: float
    credit: float
    eager_first: bool
    calls: int
    straight: int
    has_warned: bool

    def __init__(self, *, eager_first: bool = True, free: int = FREE) -> None:
        self.spent, self.called, self.credit = 0.0, 0.0, 0.0
        self.decided, self._before = -_FREE_DECISIONS, 0.0
        self.calls = self.straight = 0
        self.eager_first = eager_first
        self._free = free if eager_first else maxsize
        self._measured: Mapping[str, tuple[int, float]] = {}
        self.has_warned = self._warned_apart = False
        self.exclusive: Exclusive = Exclusive()

    def is_free(self, entries: float) -> bool:
        """Whether a path of this length need not be paid for."""
        return entries + _EACH <= self._free

    def affords(self, work: str, entries: float, doubt: float = 1.0, expected: float = 0.0) -> bool:
        """Whether calls took longer than all that was spent, and this work on so many entries.

        They must have taken so many times as long as there is ``doubt`` that it will be of use.
        Calls that are yet to come may pay, too, if so many seconds are ``expected`` of them.
        """
        cost = self.spent + max(self.decided, 0.0) + entries * self.seconds(work)
        return cost * doubt <= self.called + max(self.credit, expected)

    @property
    def is_overdrawn(self) -> bool:
        """Whether decisions have taken more than a third of what calls leave over for them."""
        left = self.called + self.credit - self.spent
        return self.decided > max(left / 3.0, 0.0) and self.eager_first

    def decide(self, seconds: float) -> None:
        """Counts a decision.

        The clock runs on while other threads and programs run. So one that took long counts as
        long as those shortly before it at most.
        """
        self.decided += min(seconds, max(self._before, _INTERRUPTION))
        self._before = max(seconds, 0.5 * self._before)

    def call_straight(
        self,
        f: Callable[..., object],
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
        finish: Callable[[object], R],
        asked: float,
    ) -> R:
        """The finished result of a call of the function itself, about which nothing is decided.

        The call counts, for as long as one took so far at most. All else since it was ``asked`` for
        counts as a decision, for as long as the call at most.
        """
        usual = self.called / self.calls if self.calls else inf
        started = perf_counter()  # much quicker than the time of the thread alone
        returned = f(*args, **kwargs)
        ended = perf_counter()
        result = finish(returned)
        seconds = min(ended - started, usual)
        self.called += seconds
        self.decided += min(perf_counter() - ended + started - asked, seconds)
        self.calls += 1
        self.straight += 1
        return result

    def seconds(self, work: str) -> float:
        """The seconds that an entry takes in such work."""
        entries, seconds = self._measured.get(work, (0, 0.0))
        return seconds / entries if entries else USUAL[work]

    @property
    def measured(self) -> tuple[tuple[str, float], ...]:
        """The seconds that an entry took, by the work that was done."""
        return tuple((work, self.seconds(work)) for work in self._measured)

    @exclusive
    def take(self, entries: int) -> bool:
        """Counts a path that is kept; whether it has to be paid for."""
        is_paid = not self.is_free(entries)
        if not is_paid:
            self._free -= entries + _EACH
        return is_paid

    @exclusive
    def measure(self, work: str, entries: int, seconds: float) -> None:
        """Learns how long an entry takes in such work, which is never nothing."""
        count, total = self._measured.get(work, (0, 0.0))
        self._measured = {**self._measured, work: (count + entries, total + max(seconds, 1e-9))}

    @exclusive
    def count_call(self, seconds: float) -> None:
        """Counts a call of the function itself."""
        self.called += seconds

    def warn_of_many(
        self, f: Callable[..., object], paths: int, lines: Counter[Site | None]
    ) -> None:
        """Warns, once, where there are many paths, given how often they part at each line."""
        if self.has_warned or paths < MANY_PATHS:
            return
        self.has_warned = True
        ((line, _),) = lines.most_common(1)
        warn(
            f"{name_of(f)} ({here()}) has taken {paths} paths, and is called as it stands on those "
            f"that do not pay for being compiled; most of them part at {line}: spell that choice "
            "with where, maximum or minimum to have one path"
        )

    def warn_of_two_results(self, f: Callable[..., object]) -> None:
        """Warns, once, where a function gives one result on plain numbers and another on traced."""
        if not self._warned_apart:
            self._warned_apart = True
            warn(
                f"{name_of(f)} ({here()}) gives another result when it is recorded, as if it asked "
                "whether an argument is a float or drew random numbers, and is called as it "
                "stands: name an argument that it asks about in static_argnames"
            )


@final
class Learning:
    """Calls of the function itself for arguments of one structure, and how they left its paths.

    ``called`` are the seconds that these ``calls`` took, all together, and ``spent`` those that
    were spent on their paths, beside what need not be paid for. Where the function
    ``is_apart`` from what was recorded of it, nothing more is recorded. ``calling`` and
    ``recording`` are the names of that work: with ``on_arrays`` an entry takes as long as its
    arrays are large, and so both are measured apart from those on numbers.
    """

    budget: Budget
    calls: int
    called: float
    spent: float
    is_apart: bool
    calling: str
    recording: str

    def __init__(self, budget: Budget, *, on_arrays: bool = False) -> None:
        self.budget = budget
        self.calling = CALLING + _ON_ARRAYS * on_arrays
        self.recording = RECORDING + _ON_ARRAYS * on_arrays
        self.calls, self.called, self.spent = 0, 0.0, 0.0
        self.is_apart, self._quickest = False, inf
        self._seen: Counter[bytes] = Counter()
        self._departures: Counter[Site | None] = Counter()
        self.exclusive: Exclusive = budget.exclusive  # as both change with each call

    def call(self, f: Callable[[], R]) -> R:
        """Calls the function itself, and counts what that took."""
        started = thread_time()
        result = f()
        self._count_call(thread_time() - started)
        return result

    @exclusive
    def _count_call(self, seconds: float) -> None:
        self.calls += 1
        self.called += seconds
        self._quickest = min(self._quickest, seconds)
        self.budget.calls += 1
        self.budget.called += seconds

    @exclusive
    def pay(self, seconds: float) -> None:
        """Counts what was spent on a path."""
        self.spent += seconds
        self.budget.spent += seconds

    def affords_recording(self, entries: float, doubt: float, expected: float = 0.0) -> bool:
        """Whether these calls, and those of all structures, pay for recording so many entries.

        With more ``doubt`` they must have taken longer. What is ``expected`` of calls may pay, too.
        """
        cost = self.spent + entries * self.budget.seconds(self.recording)
        pays = cost * doubt <= self.called + max(self.budget.credit, expected)
        return pays and self.budget.affords(self.recording, entries, doubt, expected)

    def expected(self, calls: int, entries: float) -> float:
        """The seconds that so many calls would take, on paths of about so many entries."""
        return calls * min(self._quickest, entries * self.budget.seconds(self.calling))

    def answer(self, seconds: float) -> None:
        """Counts as a decision what it took to find the code of a call beyond a call itself."""
        if seconds > self._quickest:
            self.budget.decide(seconds - self._quickest)

    @exclusive
    def save(self, runs: int, seconds: float) -> None:
        """Counts what so many runs of code have saved, of which the last took so long.

        To look at the arguments and to make the result takes as long again.
        """
        if self.calls:
            self.budget.credit += runs * max(self._quickest - 2.0 * seconds, 0.0)

    def guessed_length(self) -> float:
        """The entries of a path of which none is known, going by the time that calls took."""
        return self._quickest / self.budget.seconds(self.calling)

    def measure(self, entries: int, seconds: float) -> None:
        """Learns how long recording takes, and calls of the function itself, if there were any."""
        self.budget.measure(self.recording, entries, seconds)
        if self.calls:
            self.budget.measure(self.calling, entries, self._quickest)

    @exclusive
    def comes_again(self, prefix: bytes, line: Site | None) -> bool:
        """Counts a call that leaves the recorded paths at a line; whether one did so before."""
        self._departures[line] += 1
        if len(self._seen) >= _REMEMBERED and prefix not in self._seen:
            self._seen.clear()
        self._seen[prefix] += 1
        return self._seen[prefix] >= _AGAIN

    @exclusive
    def forget(self, prefix: bytes) -> None:
        """Notes that there is a path now for calls that left the others in this way."""
        self._seen.pop(prefix, None)

    def warn_of_many_calls(self, f: Callable[..., object], recorded: int) -> None:
        """Warns, once, where calls take many paths, of which so many are recorded."""
        self.budget.warn_of_many(f, recorded + len(self._seen), self._departures)
