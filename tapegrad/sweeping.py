"""Rows of columns through the code of recorded paths, block by block."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from math import inf
from operator import attrgetter
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, final

import attrs
import numpy as np

from tapegrad.backends import Choice
from tapegrad.errors import GuardError
from tapegrad.paths import Path
from tapegrad.program import Split, split
from tapegrad.reports import PathReport
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

    @property
    def outcomes(self) -> bytes:
        """How the path's guards come out, which tells it from others."""
        return self.path.outcomes

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
            has_other = self.choice.name == "llvm" and not self.fast
            if not made or (len(made) == 1 and has_other and self._seen >= _MANY):
                started = perf_counter()
                made.append(Rated(self._made(sums=sums, quick=not made)))
                self.compiling += perf_counter() - started
            return min(made, key=attrgetter("seconds")) if made[-1].rows >= _TRIAL else made[-1]

    def _made(self, *, sums: bool, quick: bool) -> Kernel:
        program, shared = self.parts.rows, len(self.parts.shared.outputs)
        if self.choice.name == "llvm":
            from tapegrad.native import Rows

            return Rows(program, shared, sums=sums, fast=self.fast, quick=quick)
        from tapegrad.interpret.numpy import compiled

        return _OnColumns(compiled(program, shared))

    def flipped(self, guard: int) -> bytes:
        """The outcomes up to the row's own guard of this number, which comes out differently."""
        return self.path.flipped(self.parts.row_guards[guard])

    def report(self) -> PathReport:
        """What this path is, and what it took."""
        runs_on = self.choice.name if self._kernels or self.rows else "recorded only"
        return self.path.report(runs_on=runs_on, compiling=self.compiling, rows=self.rows)


class Kernel(Protocol):
    """Runs rows: their outputs, or sums in lanes, and the guard that flipped for each."""

    def __call__(
        self, shared: Floats, leaves: Sequence[Floats], rows: Rows, out: Floats, flips: Flips, /
    ) -> None: ...


@final
class Rated:
    """A kernel, how many rows it has run, and the seconds a row that it took at best.

    What else the machine did meanwhile does not count.
    """

    kernel: Kernel
    seconds: float
    rows: int

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.seconds, self.rows = inf, 0

    def __call__(
        self, shared: Floats, leaves: Sequence[Floats], rows: Rows, out: Floats, flips: Flips, /
    ) -> None:
        """Run the rows, and take the time."""
        started = perf_counter()
        self.kernel(shared, leaves, rows, out, flips)
        self.seconds = min(self.seconds, (perf_counter() - started) / len(rows))
        self.rows += len(rows)


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
        """The code of a path whose outcomes begin with ``prefix``."""
        place = bisect_left(self._in_order, prefix, key=attrgetter("outcomes"))
        found = self._in_order[place : place + 1]
        return found[0] if found and found[0].outcomes.startswith(prefix) else None

    @np.errstate(all="ignore")
    def piece(
        self, leaves: Sequence[Floats], numbers: Numbers, work: Work, out: Floats | None = None
    ) -> Done:
        """What is wanted of the rows of these ``numbers``; ``out`` has room for their outputs.

        On several paths rows are run together, so that those on a rare one are not run alone.
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
        """What is wanted of some rows, block by block."""
        if work.sums and not work.spread and (part := self._sums(leaves, rows)) is not None:
            return [part]
        block = self._rows(leaves, rows, out)
        return [_masked(one, work) if work.mask else _finished(one, work) for one in _apart(block)]

    def _likely(self) -> Code:
        """The path that rows try first."""
        if not self.codes:
            raise GuardError(
                "a worker takes another path than was recorded, for numbers that are the same for "
                "all rows: two sides of a comparison differ by rounding alone; compare with a "
                "margin"
            )
        return self.codes[0]

    def _sums(self, leaves: Sequence[Floats], rows: int) -> Part | None:
        """Sums that compiled code adds up, where all rows take the one path that is known."""
        code = self._likely()
        if code.choice.name != "llvm" or len(self.codes) > 1:
            return None
        lanes, flips = no_lanes(code.outputs), _flips(rows)
        code.kernel(rows, sums=True)(self._shared[code], leaves, range(rows), lanes, flips)
        if flips[:rows].max() >= 0:
            return None
        self._taken[code.outcomes] += rows
        return Part(rows, of_lanes(lanes))

    def _rows(self, leaves: Sequence[Floats], rows: int, out: Floats | None) -> Block:
        """The outputs of rows, each from the path that it takes.

        Rows go in groups, which only ever part: all of a group have left the paths before at the
        same guards, so that each row is in one group, and in the end on one path or left over.
        """
        code = self._likely()
        out = np.empty((code.outputs, padded(rows))) if out is None else out
        left: list[Left] = []
        groups = [(code, b"", np.arange(rows))]
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
        """Run rows on a path, their outputs into their columns of ``out``.

        Gives for each of them -1, or the guard at which it left: its outputs then mean nothing.
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
        """Look for the row that a rule of the user's raised at."""
        for place, number in enumerate(numbers):
            try:
                self._rows([leaf[place : place + 1] for leaf in leaves], 1, None)
            except Exception:  # noqa: BLE001  # whatever a rule raises
                error.add_note(f"raised at row {number:,} of the batch")
                return


def _parted(
    code: Code, prefix: bytes, group: Indices, flips: Flips
) -> Sequence[tuple[bytes, Indices]]:
    """The rows of a group that left a path, apart by the guard at which they did.

    Each part has the prefix of the group's and more of its own.

    Raises:
        GuardError: where a guard that had come out comes out again, and differently.
    """
    gone = np.flatnonzero(flips >= 0)
    if not gone.size:
        return ()
    gone = gone[np.argsort(flips[gone], kind="stable")]
    guards, starts = np.unique(flips[gone], return_index=True)
    prefixes = [code.flipped(guard) for guard in guards.tolist()]
    if len(prefixes[0]) <= len(prefix):
        raise GuardError(
            f"the comparison at {code.path.site(len(prefixes[0]) - 1)} came out differently when "
            "the same rows were run again: let every rule give the same number for the same "
            "arguments"
        )
    return list(zip(prefixes, np.split(group[gone], starts[1:]), strict=True))


def _finished(block: Block, work: Work) -> Part | Block:
    """What is wanted of a block; with rows left over it is added up when they are done."""
    return block.part(spread=work.spread) if work.sums and not block.left else block


def _masked(block: Block, work: Work) -> Part | Block:
    """What is wanted of a block without the rows that left all paths."""
    left_out = np.zeros(block.outputs.shape[1], dtype=np.bool_)
    for left in block.left:
        left_out[left.rows] = True
    if work.sums:
        return block.part(spread=work.spread, left_out=left_out)
    block.outputs[:, left_out] = np.nan
    return Block(block.outputs, ())


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
