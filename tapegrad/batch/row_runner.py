"""Runs rows on the recorded paths of a function: each row on the path that it takes."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, TypeAlias, final

import attrs
import numpy as np

from tapegrad.batch.arrays import Floats, RowNumbers
from tapegrad.batch.batch_code import BatchCode
from tapegrad.batch.reduce import BLOCK, PartialSum, empty_lanes, lane_sums, padded, partial_sum
from tapegrad.errors import GuardError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Indices: TypeAlias = NDArray[np.intp]
    Flips: TypeAlias = NDArray[np.int32]
    Truths: TypeAlias = NDArray[np.bool_]

__all__ = ["BlockOutputs", "ChunkOptions", "ChunkResult", "RowRunner", "UnresolvedRows"]


@final
@attrs.frozen
class ChunkOptions:
    """Says whether outputs or sums are computed, and of sums the squared distances from the mean.

    With ``mask`` rows that leave all known paths are left out.
    """

    sums: bool
    spread: bool = False
    mask: bool = False


@final
@attrs.frozen(eq=False)
class UnresolvedRows:
    """Rows whose path is not known; the outcomes of its guards begin with ``prefix``.

    ``rows`` are their places in the block, ``leaves`` their inputs.
    """

    prefix: bytes
    rows: Indices
    leaves: Sequence[Floats]

    def rest(self) -> UnresolvedRows:
        """All rows but the first."""
        return UnresolvedRows(self.prefix, self.rows[1:], [leaf[1:] for leaf in self.leaves])


@final
@attrs.frozen(eq=False)
class BlockOutputs:
    """The outputs of up to 4,096 rows, a column for each, and the rows that still lack them."""

    outputs: Floats
    unresolved: Sequence[UnresolvedRows]


@final
@attrs.frozen(eq=False)
class ChunkResult:
    """The results of a chunk, block by block, and how many rows took each path."""

    blocks: Sequence[PartialSum | BlockOutputs]
    taken: Counter[bytes]


@final
class RowRunner:
    """Runs rows on the paths that a call can take, those first that most rows take.

    Paths whose first guards come out alike compute the same bits up to there. So a row that leaves
    a path at a guard goes on to any path whose guards come out as the row's did; it stays on that
    one, or leaves it at a later guard.
    """

    codes: Sequence[BatchCode]

    def __init__(
        self,
        codes: Sequence[BatchCode],
        inputs: Sequence[float],
        memo: dict[BatchCode, Floats | None],
    ) -> None:
        for code in codes:
            if code not in memo:
                memo[code] = code.shared(inputs)
        self._shared = {code: found for code in codes if (found := memo[code]) is not None}
        self.codes = list(self._shared)
        self._in_order = sorted(self.codes, key=attrgetter("outcomes"))
        self._taken: Counter[bytes] = Counter()

    def find(self, prefix: bytes) -> BatchCode | None:
        """The code of a path whose outcomes begin with ``prefix``."""
        place = bisect_left(self._in_order, prefix, key=attrgetter("outcomes"))
        found = self._in_order[place : place + 1]
        return found[0] if found and found[0].outcomes.startswith(prefix) else None

    @np.errstate(all="ignore")
    def run(
        self,
        leaves: Sequence[Floats],
        numbers: RowNumbers,
        options: ChunkOptions,
        out: Floats | None = None,
    ) -> ChunkResult:
        """Runs rows; outputs are written into ``out`` where it is given.

        ``numbers`` are the rows' numbers in the batch. Where several paths are known, blocks are
        run together, so that there are many rows on a rare path.
        """
        size = BLOCK if len(self.codes) == 1 else len(numbers)
        found: list[PartialSum | BlockOutputs] = []
        for start in range(0, len(numbers), size):
            some = numbers[start : start + size]
            part = [leaf[start : start + size] for leaf in leaves]
            room = None if out is None else out[:, start : start + padded(len(some))]
            try:
                found += self._blocks(part, len(some), options, room)
            except Exception as error:
                self._name_row(error, part, some)
                raise
        return ChunkResult(found, self._taken)

    def _blocks(
        self, leaves: Sequence[Floats], rows: int, options: ChunkOptions, out: Floats | None
    ) -> Sequence[PartialSum | BlockOutputs]:
        """The results of some rows, block by block."""
        if options.sums and not options.spread and (part := self._sums(leaves, rows)) is not None:
            return [part]
        block = self._rows(leaves, rows, out)
        return [_finished(one, options) for one in _blocks_of(block)]

    def _likely(self) -> BatchCode:
        """The code of the path that rows try first."""
        if not self.codes:
            raise GuardError(
                "a worker takes another path than was recorded, for numbers that are the same for "
                "all rows: two sides of a comparison differ by rounding alone; compare with a "
                "margin"
            )
        return self.codes[0]

    def _sums(self, leaves: Sequence[Floats], rows: int) -> PartialSum | None:
        """The rows' sums by compiled code; None unless all take the one path that is known."""
        code = self._likely()
        if not code.choice.backend.adds_rows or len(self.codes) > 1:
            return None
        lanes, flips = empty_lanes(code.outputs), _flips(rows)
        code.kernel(rows, sums=True)(self._shared[code], leaves, range(rows), lanes, flips)
        if flips[:rows].max() >= 0:
            return None
        self._taken[code.outcomes] += rows
        return PartialSum(rows, lane_sums(lanes))

    def _rows(self, leaves: Sequence[Floats], rows: int, out: Floats | None) -> BlockOutputs:
        """The outputs of rows, each on the path that it takes.

        Rows go in groups, and a group is only ever split: its rows have left the same paths at the
        same guards. So each row is in one group at a time, and ends on one path or is unresolved.
        """
        first = self._likely()
        out = np.empty((first.outputs, padded(rows))) if out is None else out
        unresolved: list[UnresolvedRows] = []
        groups = [(first, b"", np.arange(rows))]
        while groups:
            code, prefix, group = groups.pop()
            flips = self._run(code, leaves, group, out)
            for longer, part in _split_by_guard(code, prefix, group, flips):
                other = self.find(longer)
                if other is None:
                    unresolved.append(UnresolvedRows(longer, part, [leaf[part] for leaf in leaves]))
                else:
                    groups.append((other, longer, part))
        unresolved.sort(key=lambda some: int(some.rows[0]))
        return BlockOutputs(out[:, :rows], unresolved)

    def _run(self, code: BatchCode, leaves: Sequence[Floats], group: Indices, out: Floats) -> Flips:
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

    def _name_row(self, error: Exception, leaves: Sequence[Floats], numbers: RowNumbers) -> None:
        """Adds the number of the row to an error that a custom rule raised."""
        for place, number in enumerate(numbers):
            try:
                self._rows([leaf[place : place + 1] for leaf in leaves], 1, None)
            except Exception:  # noqa: BLE001  # whatever a rule raises
                error.add_note(f"raised at row {number:,} of the batch")
                return


def _split_by_guard(
    code: BatchCode, prefix: bytes, group: Indices, flips: Flips
) -> Sequence[tuple[bytes, Indices]]:
    """The rows of a group that left a path, split by the guard at which they did.

    Each part comes with its own prefix, which begins with the group's and is longer.

    Raises:
        GuardError: where a guard comes out differently that had come out on another path.
    """
    gone = np.flatnonzero(flips >= 0)
    if not gone.size:
        return ()
    gone = gone[np.argsort(flips[gone], kind="stable")]
    guards, starts = np.unique(flips[gone], return_index=True)
    prefixes = [code.flipped(guard, prefix) for guard in guards.tolist()]
    return list(zip(prefixes, np.split(group[gone], starts[1:]), strict=True))


def _finished(block: BlockOutputs, options: ChunkOptions) -> PartialSum | BlockOutputs:
    """A block as ``options`` say; one with unresolved rows as it is, unless they are masked."""
    if block.unresolved and not options.mask:
        return block
    masked = _masked(block) if block.unresolved else None
    if options.sums:
        return partial_sum(block.outputs, masked, spread=options.spread)
    if masked is not None:
        block.outputs[:, masked] = np.nan
    return BlockOutputs(block.outputs, ())


def _masked(block: BlockOutputs) -> Truths:
    """Whether each row of a block is unresolved."""
    masked = np.zeros(block.outputs.shape[1], dtype=np.bool_)
    for some in block.unresolved:
        masked[some.rows] = True
    return masked


def _blocks_of(block: BlockOutputs) -> Iterator[BlockOutputs]:
    """Cuts a long block into blocks of 4,096 rows."""
    for start in range(0, block.outputs.shape[1], BLOCK):
        unresolved: list[UnresolvedRows] = []
        for some in block.unresolved:
            inside = (some.rows >= start) & (some.rows < start + BLOCK)
            if inside.any():
                leaves = [leaf[inside] for leaf in some.leaves]
                unresolved.append(UnresolvedRows(some.prefix, some.rows[inside] - start, leaves))
        yield BlockOutputs(block.outputs[:, start : start + BLOCK], unresolved)


def _flips(rows: int) -> Flips:
    return np.empty(padded(rows), dtype=np.int32)
