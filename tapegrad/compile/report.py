"""Reports of compiled functions: what was recorded, what runs it and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Final, final

import attrs

from tapegrad._support.text import Printed, Table, number
from tapegrad.compile.recorded_loops import RecordedLoop
from tapegrad.ops.primitive import Shape

__all__ = ["MANY_RECORDINGS", "PathReport", "Report", "ShapeReport"]

_SHOWN = 6
"""The most guards, or constants, of a path that are listed."""
MANY_RECORDINGS = 8
"""The number of recordings that differ in one static value at which there is a warning."""


@final
@attrs.frozen
class PathReport(Printed):
    """One path: where it branches and how, what runs it, and what it took.

    ``called_rarely`` names the rows that call back into Python in a rare range alone. ``loops`` are
    what repeats in the recording, if it is enough for the code to have loops.

    An outcome is a bool, or the int that Python asked for.

    ``constants`` are the plain numbers met while recording, with their lines; ``arrays`` are the
    shapes of the arrays that were, which the code keeps. ``rows`` counts the rows of batches that
    took this path, ``recording`` and ``compiling`` are seconds. Code that ``is_cached`` was
    compiled by an earlier process, and code that ``is_shared`` for another path, whose loops run
    more or less often. Code on arrays has ``steps``, each of them a call of numpy or a
    few operations on numbers, and keeps ``memory`` for them, in bytes.
    """

    guards: tuple[str, ...]
    outcomes: tuple[float, ...]
    entries: int
    called_back: tuple[str, ...]
    called_rarely: tuple[str, ...]
    constants: tuple[tuple[float, str], ...]
    arrays: tuple[tuple[Shape, str], ...]
    loops: tuple[RecordedLoop, ...]
    runs_on: str
    recording: float
    compiling: float
    rows: int = 0
    is_cached: bool = False
    is_shared: bool = False
    steps: int = 0
    memory: int = 0

    def __str__(self) -> str:
        rows = f", {self.rows:,} rows" if self.rows else ""
        made = "loaded from the cache" if self.is_cached else "compiled"
        made = "code of the same loops found" if self.is_shared else made
        took = f"recorded in {self.recording:.3f} s, {made} in {self.compiling:.3f} s"
        title = f"{self.entries:,} entries on {self.runs_on}{rows}; {took}"
        return "\n".join([title, *self._details()])

    def _details(self) -> Iterator[str]:
        if self.guards:
            pairs = zip(self.guards, self.outcomes, strict=True)
            yield f"  guards: {_few([f'{guard} {outcome}' for guard, outcome in pairs])}"
        if self.steps:
            yield f"  {self.steps:,} steps in {self.memory:,} bytes that are kept between calls"
        if self.called_back:
            yield f"  called back into Python: {', '.join(self.called_back)}"
        if self.called_rarely:
            yield f"  called back in a rare range: {', '.join(self.called_rarely)}"
        if self.loops:
            yield f"  loops: {_few(list(map(str, self.loops)))}"
        if self.constants:
            distinct = dict.fromkeys(f"{number(value)} ({line})" for value, line in self.constants)
            yield f"  constants: {_few(list(distinct))}"
        if self.arrays:
            shapes = (f"{_size(shape)} ({line})" for shape, line in self.arrays)
            yield f"  arrays kept as constants: {_few(list(shapes))}"


def _size(shape: Shape) -> str:
    """A shape, and the memory that doubles take in it."""
    return f"{'x'.join(map(str, shape))} in {8 * prod(shape):,} bytes"


def _few(parts: Sequence[str]) -> str:
    more = f", ... {len(parts) - _SHOWN:,} more" if len(parts) > _SHOWN else ""
    return ", ".join(parts[:_SHOWN]) + more


@final
@attrs.frozen
class ShapeReport(Printed):
    """The paths recorded for arguments of one structure.

    ``calls`` counts the calls of the function itself, which took ``called`` seconds.
    """

    paths: tuple[PathReport, ...]
    calls: int = 0
    called: float = 0.0

    def __str__(self) -> str:
        title = f"{len(self.paths)} path{'s' * (len(self.paths) != 1)}"
        if self.calls:
            calls = f"{self.calls:,} call{'s' * (self.calls != 1)}"
            title += f", and {calls} of the function itself in {self.called:.3f} s"
        body = "\n".join(map(str, self.paths))
        return f"{title}\n  " + body.replace("\n", "\n  ")


@final
@attrs.frozen
class Report(Printed):
    """A compiled function: its backend and why that was chosen, and what was recorded.

    ``varying`` names the static values in which alone its recordings differ, if they are few.
    ``paid`` are the seconds of recording and compiling that calls of the function itself had to
    take first, ``costs`` those that an entry took to be recorded, or compiled by a backend.
    ``straight`` counts calls of the function itself that were looked at no further.
    """

    name: str
    backend: str
    shapes: tuple[ShapeReport, ...]
    varying: str = ""
    paid: float = 0.0
    costs: tuple[tuple[str, float], ...] = ()
    straight: int = 0

    def __str__(self) -> str:
        shapes = [str(shape) for shape in self.shapes] or ["nothing recorded yet"]
        return "\n".join((self._head(), *shapes, *self._remarks()))

    def _shown(self) -> Iterator[str | Table]:
        """The paths in a table, and the texts around it."""
        yield self._head()
        paths = [path for shape in self.shapes for path in shape.paths]
        calls = [shape.calls for shape in self.shapes for _ in shape.paths]
        if paths:
            yield Table((_TITLES, *map(_row, paths, calls)), right=_NUMBERS)
        else:
            yield "nothing recorded yet"
        yield from self._remarks()

    def _head(self) -> str:
        return f"{self.name}: backend {self.backend}"

    def _remarks(self) -> Iterator[str]:
        if self.varying and len(self.shapes) >= MANY_RECORDINGS:
            yield f"recorded anew for each {self.varying}: pass a float to record once"
        if any(shape.calls for shape in self.shapes):
            yield (
                "a path that comes again is recorded, and compiled, once calls of the function "
                f"itself have taken as long as that takes ({self.paid:.3f} s so far)"
            )
        if self.straight:
            yield (
                f"{self.straight:,} calls went straight to the function itself, which takes less "
                "time than to find out whether there is code for them"
            )
        if self.costs:
            costs = ", ".join(f"{work} {1e6 * seconds:.3g} us" for work, seconds in self.costs)
            yield f"seconds an entry: {costs}"


_TITLES: Final = ("entries", "recorded", "compiled", "rows", "calls", "runs on", "guards")
_NUMBERS: Final = 5
"""The titles of the table of paths, and how many columns are numbers."""


def _made(path: PathReport) -> str:
    """How the code of a path was made, in a few letters."""
    if path.is_shared:
        return "shared"
    return "from the cache" if path.is_cached else f"{path.compiling:.3f} s"


def _row(path: PathReport, calls: int) -> tuple[str, ...]:
    """One path, and how often the function itself was called with arguments of its structure."""
    pairs = zip(path.guards, path.outcomes, strict=True)
    return (
        f"{path.entries:,}",
        f"{path.recording:.3f} s",
        _made(path),
        f"{path.rows:,}" if path.rows else "",
        f"{calls:,}" if calls else "",
        path.runs_on,
        _few([f"{guard} {outcome}" for guard, outcome in pairs]),
    )
