"""The recorded paths of a function: a tape for each way in which its guards came out."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from threading import Lock
from time import perf_counter
from typing import final

import attrs

from tapegrad._support.source_position import Site, here
from tapegrad.compile.program import Program, lowered
from tapegrad.compile.report import PathReport
from tapegrad.errors import GuardError
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import primal
from tapegrad.recording.trace import trace
from tapegrad.transforms.record import AnyTape, tape_of
from tapegrad.transforms.traced_call import Data

__all__ = ["AnyTape", "Path", "Paths", "missing_function", "path_of", "record_path"]


@final
@attrs.frozen(eq=False)
class Path:
    """One path through a function: its tape, the program to run, and how its guards came out."""

    tape: AnyTape
    program: Program
    outcomes: bytes
    seconds: float

    def site(self, guard: int) -> Site | None:
        """The user's line that asked for the truth of the condition."""
        return self.tape.site(self.program.guards[guard])

    def flipped(self, guard: int) -> bytes:
        """The outcomes up to a guard that comes out differently here."""
        return self.outcomes[:guard] + bytes((1 - self.outcomes[guard],))

    def report(self, *, runs_on: str, compiling: float, rows: int = 0) -> PathReport:
        """What this path is; the rest says what runs it, and what it took."""
        columns, program = self.tape.columns, self.program
        code = columns.table.codes[ops.constant]
        constants = [slot for slot, entry in enumerate(columns.codes) if entry == code]
        return PathReport(
            guards=tuple(str(self.site(index)) for index in range(len(self.outcomes))),
            outcomes=tuple(map(bool, self.outcomes)),
            entries=len(program),
            called_back=program.calls,
            constants=tuple(
                (primal(columns.values[slot]), str(self.tape.site(slot))) for slot in constants
            ),
            runs_on=runs_on,
            recording=self.seconds,
            compiling=compiling,
            rows=rows,
        )


def record_path(
    f: Callable[..., object], x: object, data: Data, *, near: bool = False, whole: bool = False
) -> Path:
    """The path that ``f`` takes on these arguments; ``near`` and ``whole`` as in ``lowered``."""
    started = perf_counter()
    tape = tape_of(f, trace(f, x, data, positions=True))
    return path_of(tape, near=near, whole=whole, started=started)


def path_of(
    tape: AnyTape, *, near: bool = False, whole: bool = False, started: float | None = None
) -> Path:
    """The path that a tape recorded; ``near`` and ``whole`` as in ``lowered``."""
    started = perf_counter() if started is None else started
    program = lowered(tape.columns.as_lists(), tape.outputs, near=near, whole=whole)
    return Path(tape, program, program.outcomes, perf_counter() - started)


def missing_function(name: str) -> Callable[..., object]:
    """A function that raises, in the place of one that was compiled elsewhere."""

    def absent(*args: object, **kwargs: object) -> object:
        raise GuardError(
            f"{name} was compiled elsewhere and travelled without its function, and these "
            f"arguments ({here()}) lead to a path that was not recorded: call it there, and send "
            "it again"
        )

    absent.__name__ = absent.__qualname__ = name
    return absent


@final
class Paths:
    """Paths in the lexicographic order of their guards' outcomes.

    A program runs the same way as long as its guards come out the same, so no path's outcomes
    begin with another's.
    """

    def __init__(self) -> None:
        self._paths: list[Path] = []
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[Path]:
        return iter(tuple(self._paths))

    def add(self, path: Path) -> Path:
        """The path, or the one with the same outcomes that is there already."""
        with self._lock:
            known = self._among(self._paths, path.outcomes)
            if known is not None:
                return known
            insort(self._paths, path, key=attrgetter("outcomes"))
            return path

    def find(self, prefix: bytes) -> Path | None:
        """A path whose outcomes begin with ``prefix``."""
        return self._among(self._paths, prefix)

    def _among(self, paths: Sequence[Path], prefix: bytes) -> Path | None:
        index = bisect_left(paths, prefix, key=attrgetter("outcomes"))
        found = paths[index : index + 1]
        return found[0] if found and found[0].outcomes.startswith(prefix) else None
