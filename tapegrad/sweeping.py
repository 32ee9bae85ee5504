"""Rows of columns through the code of recorded paths, block by block."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from math import inf
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, Final, TypeAlias, final

import attrs
import numpy as np

from tapegrad.backend_interface import RowOptions
from tapegrad.backends import Choice
from tapegrad.errors import GuardError
from tapegrad.paths import Path
from tapegrad.program import Split, split
from tapegrad.reports import PathReport
from tapegrad.row_code import RowCode
from tapegrad.sums import BLOCK, STEP, Part, no_lanes, of_lanes, part_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Indices: TypeAlias = NDArray[np.intp]
    Flips: TypeAlias = NDArray[np.int32]
    Truths: TypeAlias = NDArray[np.bool_]
    Rows: TypeAlias = range | NDArray[np.int64]
    Numbers: TypeAlias = range | Indices

__all__ = ["Block", "Code", "Done", "Left", "Sweep", "Work", "padded"]


_MANY: Final = 64 * BLOCK
"""Rows on one path after which it pays to make other code."""
_TRIAL: Final = 32 * BLOCK
"""Rows after which its time is known."""


def padded(rows: int) -> int:
    """Room for so many rows in whole steps of the code."""
    return -(-rows // STEP) * STEP


@final
class Code:
    """One path's code for rows: what is the same for all of them apart, computed once a call."""

    path: Path
    choice: Choice
    fast: bool
    compiling: float

    def __init__(self, path: Path, mapped: Sequence[int], choice: Choice, *, fast: bool) -> None:
        self.path, self.choice, self.fast = path, choice, fast
        self.parts: Split = split(path.program, mapped)
        self.rows = 0
        self.compiling = 0.0
        self._kernels: dict[bool, list[Rated]] = {}
        self._seen = 0
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

    def kernel(self, rows: int, *, sums: bool) -> Rated:
        """The code for so many more rows, or for their sums.

        What is made quickly serves the first rows. With many it pays to make code for more rows at
        a time, and to keep what turns out to be quicker; the bits are the same.
        """
        with self._lock:
            self._seen += rows
            made = self._kernels.setdefault(sums, [])
            has_other = self.choice.backend.has_levels and not self.fast
            if not made or (len(made) == 1 and has_other and self._seen >= _MANY):
                started = perf_counter()
                made.append(Rated(self._made(sums=sums, quick=not made)))
                self.compiling += perf_counter() - started
            return min(made, key=Rated.rate) if made[-1].rows >= _TRIAL else made[-1]

    def _made(self, *, sums: bool, quick: bool) -> RowCode:
        shared = len(self.parts.shared.outputs)
        return self.choice.rows(self.parts.rows, RowOptions(shared, sums, self.fast, quick))

    def flipped(self, guard: int) -> bytes:
        """The outcomes up to the row's own guard of this number, which comes out differently."""
        return self.path.flipped(self.parts.row_guards[guard])

    def report(self) -> PathReport:
        """What this path is, and what it took."""
        runs_on = self.choice.name if self._kernels or self.rows else "recorded only"
        return self.path.report(runs_on=runs_on, compiling=self.compiling, rows=self.rows)


@final
class Rated:
    """A kernel, and how long it has taken for how many rows."""

    kernel: RowCode
    seconds: float
    rows: int

    def __init__(self, kernel: RowCode) -> None:
        self.kernel = kernel
        self.seconds, self.rows = inf, 0

    def rate(self) -> float:
        """Seconds a row, at best: what else the machine did meanwhile does not count."""
        return self.seconds

    def __call__(
        self, shared: Floats, leaves: Sequence[Floats], rows: Rows, out: Floats, flips: Flips, /
    ) -> None:
        """Run the rows, and take the time."""
        started = perf_counter()
        self.kernel(shared, leaves, rows, out, flips)
        self.seconds = min(self.seconds, (perf_counter() - started) / len(rows))
        self.rows += len(rows)


@final
@attrs.frozen
class Work:
    """What is wanted of rows: their outputs, or sums with their spread where that is asked for.

    With ``mask`` rows that leave all known paths are left out.
    """

    sums: bool
    spread: bool = False
    mask: bool = False


@final
@attrs.frozen(eq=False)
class Left:
    """Rows of a block on unknown paths, which begin with ``prefix``; and their leaves."""

    prefix: bytes
    rows: Indices
    leaves: Sequence[Floats]

    def after(self, count: int) -> Left:
        """All but the first rows."""
        return Left(self.prefix, self.rows[count:], [leaf[count:] for leaf in self.leaves])


@final
@attrs.frozen(eq=False)
class Block:
    """Rows' outputs, a column for each, and the rows that still lack them."""

    outputs: Floats
    left: Sequence[Left]

    def part(self, *, spread: bool, left_out: Truths | None = None) -> Part:
        """The outputs added up."""
        return part_of(self.outputs, left_out, spread=spread)


@final
@attrs.frozen(eq=False)
class Done:
    """What became of a piece, block by block, and how many rows took each path."""

    blocks: Sequence[Part | Block]
    taken: Counter[bytes]


@final
class Sweep:
    """Rows through the codes of known paths, those first that most rows take."""

    codes: Sequence[Code]
    inputs: Sequence[float]
    memo: dict[Code, Floats | None]

    def __init__(
        self, codes: Sequence[Code], inputs: Sequence[float], memo: dict[Code, Floats | None]
    ) -> None:
        self.codes, self.inputs, self.memo = codes, inputs, memo
        self.taken: Counter[bytes] = Counter()
        self._sorted = sorted((code.path.outcomes, index) for index, code in enumerate(codes))

    def shared(self, code: Code) -> Floats | None:
        """What is the same for all rows on a path; None where the call cannot take it."""
        if code not in self.memo:
            self.memo[code] = code.shared(self.inputs)
        return self.memo[code]

    def find(self, prefix: bytes) -> Code | None:
        """A path that begins with these outcomes, of those that this call can take."""
        for place in range(bisect_left(self._sorted, (prefix, 0)), len(self._sorted)):
            outcomes, index = self._sorted[place]
            if not outcomes.startswith(prefix):
                break
            if self.shared(self.codes[index]) is not None:
                return self.codes[index]
        return None

    def likely(self) -> Code | None:
        """The path to try first."""
        return next((code for code in self.codes if self.shared(code) is not None), None)

    @np.errstate(all="ignore")
    def piece(
        self, leaves: Sequence[Floats], numbers: Numbers, work: Work, out: Floats | None = None
    ) -> Done:
        """What is wanted of the rows of these ``numbers``; ``out`` has room for their outputs."""
        size = len(numbers) if self._branching() else BLOCK
        found: list[Part | Block] = []
        for start in range(0, len(numbers), size):
            some = numbers[start : start + size]
            part = [leaf[start : start + size] for leaf in leaves]
            room = None if out is None else out[:, start : start + padded(len(some))]
            try:
                found += self.blocks(part, len(some), work, room)
            except Exception as error:
                self._name_row(error, part, some)
                raise
        return Done(found, self.taken)

    def blocks(
        self, leaves: Sequence[Floats], rows: int, work: Work, out: Floats | None = None
    ) -> Iterator[Part | Block]:
        """What is wanted of some blocks of rows; those that take several paths are run together."""
        if rows <= BLOCK:
            yield self.block(leaves, rows, work, out)
            return
        for block in _apart(self._rows(self._first(), leaves, rows, out)):
            yield self._masked(block, work) if work.mask else self._finished(block, work)

    def block(
        self, leaves: Sequence[Floats], rows: int, work: Work, out: Floats | None = None
    ) -> Part | Block:
        """What is wanted of one block of rows."""
        code = self._first()
        if work.sums and not work.spread:
            part = self._sums(code, leaves, rows)
            if part is not None:
                return part
        block = self._rows(code, leaves, rows, out)
        return self._masked(block, work) if work.mask else self._finished(block, work)

    def _first(self) -> Code:
        """The path that rows try first."""
        code = self.likely()
        if code is None:
            raise GuardError(
                "a worker takes another path than was recorded, for numbers that are the same for "
                "all rows: two sides of a comparison differ by rounding alone; compare with a "
                "margin"
            )
        return code

    def _finished(self, block: Block, work: Work) -> Part | Block:
        return block.part(spread=work.spread) if work.sums and not block.left else block

    def _masked(self, block: Block, work: Work) -> Part | Block:
        """The block without the rows that left all paths."""
        left_out = np.zeros(block.outputs.shape[1], dtype=np.bool_)
        for left in block.left:
            left_out[left.rows] = True
        if work.sums:
            return block.part(spread=work.spread, left_out=left_out)
        block.outputs[:, left_out] = np.nan
        return Block(block.outputs, ())

    def _sums(self, code: Code, leaves: Sequence[Floats], rows: int) -> Part | None:
        """Sums that compiled code adds up, where all rows take the one path that is known."""
        if not code.choice.backend.adds_rows or self._branching():
            return None
        lanes, flips = no_lanes(code.outputs), _flips(rows)
        self._run(code, leaves, range(rows), lanes, flips, sums=True)
        if flips[:rows].max() >= 0:
            return None
        self.taken[code.path.outcomes] += rows
        return Part(rows, of_lanes(lanes))

    def _branching(self) -> bool:
        """Whether rows may take more than one path that is known."""
        return sum(self.shared(code) is not None for code in self.codes) > 1

    def _rows(self, code: Code, leaves: Sequence[Floats], rows: int, out: Floats | None) -> Block:
        """The outputs of rows, those that leave a path run on the next."""
        if out is None:
            out = np.empty((code.outputs, padded(rows)))
        flips = _flips(rows)
        self._run(code, leaves, range(rows), out, flips)
        self._count(code, flips[:rows])
        left: dict[bytes, list[Indices]] = {}
        pending = [(code, np.flatnonzero(flips[:rows] >= 0))]
        while pending:
            code, gone = pending.pop()
            for prefix, group in _parted(code, gone, flips):
                other = self.find(prefix)
                if other is None:
                    left.setdefault(prefix, []).append(group)
                else:
                    pending.append((other, self._again(other, leaves, group, out, flips)))
        return Block(out[:, :rows], _lefts(left, leaves))

    def _again(
        self, code: Code, leaves: Sequence[Floats], group: Indices, out: Floats, flips: Flips
    ) -> Indices:
        """Run rows that left another path; those that leave this one too."""
        some, marks = np.empty((code.outputs, padded(len(group)))), _flips(len(group))
        self._run(code, leaves, group, some, marks)
        out[:, group] = some[:, : len(group)]
        flips[group] = marks[: len(group)]
        self._count(code, flips[group])
        return group[flips[group] >= 0]

    def _count(self, code: Code, flips: Flips) -> None:
        self.taken[code.path.outcomes] += int(np.count_nonzero(flips < 0))

    def _run(
        self, code: Code, leaves: Sequence[Floats], rows: Rows, out: Floats, flips: Flips,
        *, sums: bool = False,
    ) -> None:  # fmt: skip
        shared = self.memo[code]
        if shared is not None:
            code.kernel(len(rows), sums=sums)(shared, leaves, rows, out, flips)

    def _name_row(self, error: Exception, leaves: Sequence[Floats], numbers: Numbers) -> None:
        """Look for the row that a rule of the user's raised at."""
        for place, number in enumerate(numbers):
            try:
                self.block([leaf[place : place + 1] for leaf in leaves], 1, Work(sums=False))
            except Exception:  # noqa: BLE001  # whatever a rule raises
                error.add_note(f"raised at row {number:,} of the batch")
                return


def _parted(code: Code, rows: Indices, flips: Flips) -> Iterator[tuple[bytes, Indices]]:
    """Rows that left a path, by the guard at which they did."""
    for guard in np.unique(flips[rows]).tolist():
        yield code.flipped(guard), rows[flips[rows] == guard]


def _lefts(left: dict[bytes, list[Indices]], leaves: Sequence[Floats]) -> list[Left]:
    """The groups in the order of their first rows."""
    groups = [(prefix, np.sort(np.concatenate(rows))) for prefix, rows in left.items()]
    groups.sort(key=lambda group: int(group[1][0]))
    return [Left(prefix, rows, [leaf[rows] for leaf in leaves]) for prefix, rows in groups]


def _apart(block: Block) -> Iterator[Block]:
    """A long block in blocks of 4,096 rows."""
    for start in range(0, block.outputs.shape[1], BLOCK):
        left: list[Left] = []
        for one in block.left:
            inside = (one.rows >= start) & (one.rows < start + BLOCK)
            if inside.any():
                leaves = [leaf[inside] for leaf in one.leaves]
                left.append(Left(one.prefix, one.rows[inside] - start, leaves))
        yield Block(block.outputs[:, start : start + BLOCK], left)


def _flips(rows: int) -> Flips:
    return np.empty(padded(rows), dtype=np.int32)
