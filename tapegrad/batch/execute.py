"""Runs rows of columns on the recorded paths of a function, block by block."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from math import inf
from operator import attrgetter
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, Final, TypeAlias, final

import attrs
import numpy as np

from tapegrad.batch.reduce import BLOCK, STEP, Part, no_lanes, of_lanes, part_of
from tapegrad.compile.backends.interface import RowOptions
from tapegrad.compile.backends.registry import Choice
from tapegrad.compile.backends.row_code import RowCode
from tapegrad.compile.paths import Path
from tapegrad.compile.program import BatchProgram, batch_program
from tapegrad.compile.report import PathReport
from tapegrad.errors import GuardError

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
"""Rows on one path after which it pays to compile code for more rows at a time."""
_TRIAL: Final = 32 * BLOCK
"""Rows after which the time that code takes is known."""


def padded(rows: int) -> int:
    """The number of rows rounded up to whole steps of compiled code."""
    return -(-rows // STEP) * STEP


@final
class Code:
    """The compiled code of one path; what is the same for all rows is computed once a call."""

    path: Path
    choice: Choice
    fast: bool
    compiling: float

    def __init__(self, path: Path, mapped: Sequence[int], choice: Choice, *, fast: bool) -> None:
        self.path, self.choice, self.fast = path, choice, fast
        self.parts: BatchProgram = batch_program(path.program, mapped)
        self.rows = 0
        self.compiling = 0.0
        self._kernels: dict[bool, list[Rated]] = {}
        self._seen = 0
        self._shared: Callable[[Sequence[float]], Sequence[float] | int] | None = None
        self._lock = Lock()

    @property
    def outputs(self) -> int:
        """The number of outputs of a row."""
        return len(self.parts.rows.outputs)

    @property
    def outcomes(self) -> bytes:
        """How the guards of the path come out: no two paths have the same."""
        return self.path.outcomes

    def shared(self, inputs: Sequence[float]) -> Floats | None:
        """Computes what is the same for all rows; None where its guards lead to another path."""
        if self._shared is None:
            from tapegrad.compile.backends.python import compiled

            self._shared = compiled(self.parts.shared)
        found = self._shared(inputs)
        return None if isinstance(found, int) else np.array(found, dtype=np.float64)

    def kernel(self, rows: int, *, sums: bool) -> Rated:
        """Gives the code for so many more rows, or for their sums, compiled where it is needed.

        Code that is compiled quickly serves the first rows. With many rows it pays to compile code
        for more of them at a time, and to keep what turns out to be quicker; the bits are the same.
        """
        with self._lock:
            self._seen += rows
            made = self._kernels.setdefault(sums, [])
            has_other = self.choice.backend.has_levels and not self.fast
            if not made or (len(made) == 1 and has_other and self._seen >= _MANY):
                started = perf_counter()
                made.append(Rated(self._made(sums=sums, quick=not made)))
                self.compiling += perf_counter() - started
            return min(made, key=attrgetter("seconds")) if made[-1].rows >= _TRIAL else made[-1]

    def _made(self, *, sums: bool, quick: bool) -> RowCode:
        shared = len(self.parts.shared.outputs)
        return self.choice.rows(self.parts.rows, RowOptions(shared, sums, self.fast, quick))

    def flipped(self, guard: int) -> bytes:
        """The outcomes up to this guard of the row's part, with its own turned round."""
        return self.path.flipped(self.parts.row_guards[guard])

    def report(self) -> PathReport:
        """Describes the path, and the time that recording and compiling it took."""
        runs_on = self.choice.name if self._kernels or self.rows else "recorded only"
        return self.path.report(runs_on=runs_on, compiling=self.compiling, rows=self.rows)


@final
class Rated:
    """A kernel that keeps count of its rows, and of the seconds a row that it took at best.

    At best, because what else the machine did meanwhile does not count.
    """

    kernel: RowCode
    seconds: float
    rows: int

    def __init__(self, kernel: RowCode) -> None:
        self.kernel = kernel
        self.seconds, self.rows = inf, 0

    def __call__(
        self, shared: Floats, leaves: Sequence[Floats], rows: Rows, out: Floats, flips: Flips, /
    ) -> None:
        """Runs the rows, and takes the time."""
        started = perf_counter()
        self.kernel(shared, leaves, rows, out, flips)
        self.seconds = min(self.seconds, (perf_counter() - started) / len(rows))
        self.rows += len(rows)


@final
@attrs.frozen
class Work:
    """Says what to compute of rows: their outputs, or their sums, and the spread around the mean.

    With ``mask`` rows that leave all known paths are left out.
    """

    sums: bool
    spread: bool = False
    mask: bool = False


@final
@attrs.frozen(eq=False)
class Left:
    """Rows of a block whose path is not known, but that its outcomes begin with ``prefix``."""

    prefix: bytes
    rows: Indices
    leaves: Sequence[Floats]

    def rest(self) -> Left:
        """All rows but the first."""
        return Left(self.prefix, self.rows[1:], [leaf[1:] for leaf in self.leaves])


@final
@attrs.frozen(eq=False)
class Block:
    """The outputs of up to 4,096 rows, a column for each, and the rows that still lack them."""

    outputs: Floats
    left: Sequence[Left]

    def part(self, *, spread: bool, left_out: Truths | None = None) -> Part:
        """Adds the outputs up."""
        return part_of(self.outputs, left_out, spread=spread)


@final
@attrs.frozen(eq=False)
class Done:
    """The results of a piece, block by block, and how many rows took each path."""

    blocks: Sequence[Part | Block]
    taken: Counter[bytes]


@final
class Sweep:
    """Runs rows on the paths that a call can take, those first that most rows take.

    Paths whose first guards come out alike compute the same bits up to there. So a row that leaves
    a path at a guard goes on to any path whose guards come out as the row's did; it stays on that
    one, or leaves it at a later guard.
    """

    codes: Sequence[Code]

    def __init__(
        self, codes: Sequence[Code], inputs: Sequence[float], memo: dict[Code, Floats | None]
    ) -> None:
        for code in codes:
            if code not in memo:
                memo[code] = code.shared(inputs)
        self._shared = {code: found for code in codes if (found := memo[code]) is not None}
        self.codes = list(self._shared)
        self._in_order = sorted(self.codes, key=attrgetter("outcomes"))
        self._taken: Counter[bytes] = Counter()

    def find(self, prefix: bytes) -> Code | None:
        """Finds the code of a path whose outcomes begin with ``prefix``."""
        place = bisect_left(self._in_order, prefix, key=attrgetter("outcomes"))
        found = self._in_order[place : place + 1]
        return found[0] if found and found[0].outcomes.startswith(prefix) else None

    @np.errstate(all="ignore")
    def piece(
        self, leaves: Sequence[Floats], numbers: Numbers, work: Work, out: Floats | None = None
    ) -> Done:
        """Computes what ``work`` asks of the rows of these ``numbers``; ``out`` may hold outputs.

        Where several paths are known, blocks are run together: rows on a rare path are then many.
        """
        size = BLOCK if len(self.codes) == 1 else len(numbers)
        found: list[Part | Block] = []
        for start in range(0, len(numbers), size):
            some = numbers[start : start + size]
            part = [leaf[start : start + size] for leaf in leaves]
            room = None if out is None else out[:, start : start + padded(len(some))]
            try:
                found += self._blocks(part, len(some), work, room)
            except Exception as error:
                self._name_row(error, part, some)
                raise
        return Done(found, self._taken)

    def _blocks(
        self, leaves: Sequence[Floats], rows: int, work: Work, out: Floats | None
    ) -> Sequence[Part | Block]:
        """Computes what is asked of some rows, block by block."""
        if work.sums and not work.spread and (part := self._sums(leaves, rows)) is not None:
            return [part]
        block = self._rows(leaves, rows, out)
        return [_masked(one, work) if work.mask else _finished(one, work) for one in _apart(block)]

    def _likely(self) -> Code:
        """Gives the path that rows try first."""
        if not self.codes:
            raise GuardError(
                "a worker takes another path than was recorded, for numbers that are the same for "
                "all rows: two sides of a comparison differ by rounding alone; compare with a "
                "margin"
            )
        return self.codes[0]

    def _sums(self, leaves: Sequence[Floats], rows: int) -> Part | None:
        """Adds rows up in compiled code, where all of them take the one path that is known."""
        code = self._likely()
        if not code.choice.backend.adds_rows or len(self.codes) > 1:
            return None
        lanes, flips = no_lanes(code.outputs), _flips(rows)
        code.kernel(rows, sums=True)(self._shared[code], leaves, range(rows), lanes, flips)
        if flips[:rows].max() >= 0:
            return None
        self._taken[code.outcomes] += rows
        return Part(rows, of_lanes(lanes))

    def _rows(self, leaves: Sequence[Floats], rows: int, out: Floats | None) -> Block:
        """Computes the outputs of rows, each on the path that it takes.

        Rows go in groups, and a group is only ever split: its rows have left the same paths at the
        same guards. So each row is in one group at a time, and ends on one path or is left over.
        """
        first = self._likely()
        if out is None:
            out = np.empty((first.outputs, padded(rows)))
        left: list[Left] = []
        groups = [(first, b"", np.arange(rows))]
        while groups:
            code, prefix, group = groups.pop()
            flips = self._run(code, leaves, group, out)
            for longer, part in _parted(code, prefix, group, flips):
                other = self.find(longer)
                if other is None:
                    left.append(Left(longer, part, [leaf[part] for leaf in leaves]))
                else:
                    groups.append((other, longer, part))
        left.sort(key=lambda one: int(one.rows[0]))
        return Block(out[:, :rows], left)

    def _run(self, code: Code, leaves: Sequence[Floats], group: Indices, out: Floats) -> Flips:
        """Runs rows on a path and writes their outputs into their columns of ``out``.

        Returns -1 for each, or the guard at which it left the path: its outputs then mean nothing.
        """
        count, flips = len(group), _flips(len(group))
        kernel, shared = code.kernel(count, sums=False), self._shared[code]
        if count == len(leaves[0]):
            kernel(shared, leaves, range(count), out, flips)
        else:
            some = np.empty((code.outputs, padded(count)))
            kernel(shared, leaves, group, some, flips)
            out[:, group] = some[:, :count]
        flips = flips[:count]
        self._taken[code.outcomes] += int(np.count_nonzero(flips < 0))
        return flips

    def _name_row(self, error: Exception, leaves: Sequence[Floats], numbers: Numbers) -> None:
        """Notes at an error that a custom rule raised at which row it did."""
        for place, number in enumerate(numbers):
            try:
                self._rows([leaf[place : place + 1] for leaf in leaves], 1, None)
            except Exception:  # noqa: BLE001  # whatever a rule raises
                error.add_note(f"raised at row {number:,} of the batch")
                return


def _parted(
    code: Code, prefix: bytes, group: Indices, flips: Flips
) -> Sequence[tuple[bytes, Indices]]:
    """Splits the rows of a group that left a path by the guard at which they did.

    Each part comes with its own prefix, which begins with the group's and is longer.

    Raises:
        GuardError: where a guard comes out differently that had come out on another path.
    """
    gone = np.flatnonzero(flips >= 0)
    if not gone.size:
        return ()
    gone = gone[np.argsort(flips[gone], kind="stable")]
    guards, starts = np.unique(flips[gone], return_index=True)
    prefixes = [code.flipped(guard) for guard in guards.tolist()]
    if len(prefixes[0]) <= len(prefix):
        number = len(prefixes[0]) - 1
        line = code.path.site(number) or f"guard {number}"
        raise GuardError(
            f"two recorded paths disagree on the comparison at {line}: pass what it depends on as "
            "an argument, and let rules depend on their arguments alone"
        )
    return list(zip(prefixes, np.split(group[gone], starts[1:]), strict=True))


def _finished(block: Block, work: Work) -> Part | Block:
    """Adds a block up where sums are asked for, unless rows are left over."""
    return block.part(spread=work.spread) if work.sums and not block.left else block


def _masked(block: Block, work: Work) -> Part | Block:
    """Leaves the rows without a path out: of the sums, or as nan."""
    left_out = np.zeros(block.outputs.shape[1], dtype=np.bool_)
    for left in block.left:
        left_out[left.rows] = True
    if work.sums:
        return block.part(spread=work.spread, left_out=left_out)
    block.outputs[:, left_out] = np.nan
    return Block(block.outputs, ())


def _apart(block: Block) -> Iterator[Block]:
    """Cuts a long block into blocks of 4,096 rows."""
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
