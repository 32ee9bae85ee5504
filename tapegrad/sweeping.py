"""Rows of columns through the code of recorded paths, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, Protocol, TypeAlias, final

import numpy as np

from tapegrad.backends import Choice
from tapegrad.errors import GuardError
from tapegrad.paths import Path
from tapegrad.positions import Site, here
from tapegrad.program import Split, split
from tapegrad.reports import PathReport
from tapegrad.sums import BLOCK, LANES, lanes_of, no_lanes, of_lanes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Indices: TypeAlias = NDArray[np.intp]
    Flips: TypeAlias = NDArray[np.int32]
    Rows: TypeAlias = range | NDArray[np.int64]

__all__ = ["Code", "Sweep", "blocks", "padded"]


def padded(rows: int) -> int:
    """Room for so many rows in steps of eight."""
    return -(-rows // LANES) * LANES


@final
class Code:
    """One path's code for rows: what is the same for all of them apart, computed once a call."""

    def __init__(self, path: Path, mapped: Sequence[int], choice: Choice, *, fast: bool) -> None:
        self.path, self.choice, self.fast = path, choice, fast
        self.parts: Split = split(path.program, mapped)
        self.rows = 0
        self.compiling = 0.0
        self._kernels: dict[bool, Kernel] = {}
        self._shared: Callable[[Sequence[float]], Sequence[float] | int] | None = None
        self._lock = Lock()

    @property
    def outputs(self) -> int:
        """How many numbers there are for a row."""
        return len(self.parts.rows.outputs)

    def shared(self, inputs: Sequence[float]) -> Floats | None:
        """What is the same for all rows; None where that leads to another path."""
        if self._shared is None:
            from tapegrad.interpret.python import compiled

            self._shared = compiled(self.parts.shared)
        found = self._shared(inputs)
        return None if isinstance(found, int) else np.array(found, dtype=np.float64)

    def kernel(self, *, sums: bool) -> Kernel:
        """The code for rows, or for their sums, made when it is first asked for."""
        with self._lock:
            if sums not in self._kernels:
                started = perf_counter()
                self._kernels[sums] = self._made(sums=sums)
                self.compiling += perf_counter() - started
            return self._kernels[sums]

    def _made(self, *, sums: bool) -> Kernel:
        program, shared = self.parts.rows, len(self.parts.shared.outputs)
        if self.choice.name == "llvm":
            from tapegrad.native import Rows

            return Rows(program, shared, sums=sums, fast=self.fast)
        from tapegrad.interpret.numpy import compiled

        return _OnColumns(compiled(program, shared))

    def flipped(self, guard: int) -> bytes:
        """The outcomes up to the row's own guard of this number, which comes out differently."""
        return self.path.flipped(self.parts.row_guards[guard])

    def site(self, guard: int) -> Site | None:
        """The user's line that the row's own guard of this number stands on."""
        return self.path.site(self.parts.row_guards[guard])

    def report(self) -> PathReport:
        """What this path is, and what it took."""
        runs_on = self.choice.name if self._kernels else "recorded only"
        return self.path.report(runs_on=runs_on, compiling=self.compiling, rows=self.rows)


class Kernel(Protocol):
    """Runs rows: their outputs, or sums in lanes, and the guard that flipped for each."""

    def __call__(
        self, shared: Floats, leaves: Sequence[Floats], rows: Rows, out: Floats, flips: Flips, /
    ) -> None: ...


@final
class _OnColumns:
    """The numpy backend as a kernel."""

    def __init__(self, run: Callable[..., None]) -> None:
        self._run = run

    def __call__(
        self, shared: Floats, leaves: Sequence[Floats], rows: Rows, out: Floats, flips: Flips, /
    ) -> None:
        count = len(rows)
        where = slice(rows.start, rows.stop) if isinstance(rows, range) else rows
        self._run(shared.tolist(), leaves, where, out[:, :count], flips[:count])


class Unknown(Protocol):
    """What to do with a row whose path is not recorded: it leaves ``code`` at a guard of its own.

    Gives the code of its path, or the outputs of the row. ``code`` is None where none can be taken.
    """

    def __call__(self, row: int, code: Code | None, guard: int, /) -> Code | Floats: ...


@final
class Sweep:
    """The rows of one call, through the codes of the paths that they take."""

    def __init__(
        self, codes: list[Code], inputs: Sequence[float], leaves: Sequence[Floats], unknown: Unknown
    ) -> None:
        self.codes, self.inputs, self.leaves, self.unknown = codes, inputs, leaves, unknown
        self._shared: dict[Code, Floats | None] = {}

    def shared(self, code: Code) -> Floats | None:
        """What is the same for all rows on a path; None where the call cannot take it."""
        if code not in self._shared:
            self._shared[code] = code.shared(self.inputs)
        return self._shared[code]

    def likely(self) -> Code | None:
        """The path that most rows took before, of those that this call can take."""
        ready = [code for code in tuple(self.codes) if self.shared(code) is not None]
        return max(ready, key=lambda code: code.rows, default=None)

    def find(self, prefix: bytes) -> Code | None:
        """A path that begins with these outcomes, of those that this call can take."""
        for code in tuple(self.codes):
            if code.path.outcomes.startswith(prefix) and self.shared(code) is not None:
                return code
        return None

    def sums(self, start: int, stop: int) -> Floats:
        """The sums of one block of rows."""
        code = self.likely() or self._first(start)
        if code.choice.name == "llvm" and not self._branching():
            lanes, flips = no_lanes(code.outputs), _flips(stop - start)
            self._run(code, range(start, stop), lanes, flips, sums=True)
            if flips[: stop - start].max() < 0:
                return of_lanes(lanes)
        return of_lanes(lanes_of(self.rows(start, stop)))

    def _branching(self) -> bool:
        """Whether rows of this call may take more than one path that is known."""
        return sum(self.shared(code) is not None for code in tuple(self.codes)) > 1

    def rows(self, start: int, stop: int, out: Floats | None = None) -> Floats:
        """The outputs of some rows, a column for each; ``out`` has room in steps of eight."""
        count = stop - start
        code = self.likely() or self._first(start)
        if out is None:
            out = np.empty((code.outputs, padded(count)))
        flips = _flips(count)
        self._run(code, range(start, stop), out, flips)
        self._settle(code, np.flatnonzero(flips[:count] >= 0), start, out, flips)
        return out[:, :count]

    def _settle(
        self, code: Code, rows: Indices, start: int, out: Floats, flips: Flips
    ) -> None:
        """Run the rows that left a path on those that they take."""
        pending = [(code, rows)]
        while pending:
            code, rows = pending.pop()
            for guard in np.unique(flips[rows]).tolist():
                group = rows[flips[rows] == guard]
                left = self._follow(code, guard, group, start, out, flips)
                if left is not None:
                    pending.append(left)

    def _follow(
        self, code: Code, guard: int, group: Indices, start: int, out: Floats, flips: Flips
    ) -> tuple[Code, Indices] | None:
        """Run rows that left a path at one guard on the next path; those that leave that, too."""
        while group.size:
            other = self.find(code.flipped(guard)) or self.unknown(
                start + int(group[0]), code, guard
            )
            if isinstance(other, Code):
                break
            out[:, group[0]] = other
            group = group[1:]
        else:
            return None
        some, marks = np.empty((other.outputs, padded(len(group)))), _flips(len(group))
        self._run(other, group + start, some, marks)
        out[:, group] = some[:, : len(group)]
        flips[group] = marks[: len(group)]
        return other, group[flips[group] >= 0]

    def _first(self, row: int) -> Code:
        """The path of a row where no path is known that this call can take."""
        code = self.unknown(row, None, 0)
        if not isinstance(code, Code) or self.shared(code) is None:
            raise GuardError(
                f"row {row} takes another path when it is recorded than when it is run ({here()}): "
                "two sides of a comparison differ by rounding alone; compare with a margin"
            )
        return code

    def _run(
        self, code: Code, rows: Rows, out: Floats, flips: Flips, *, sums: bool = False
    ) -> None:
        shared = self.shared(code)
        if shared is None:
            raise TypeError
        code.kernel(sums=sums)(shared, self.leaves, rows, out, flips)
        code.rows += int((flips[: len(rows)] < 0).sum())


def _flips(rows: int) -> Flips:
    return np.empty(padded(rows), dtype=np.int32)


def blocks(rows: int) -> Iterator[tuple[int, int]]:
    """Where the blocks of so many rows begin and end."""
    for start in range(0, rows, BLOCK):
        yield start, min(start + BLOCK, rows)
