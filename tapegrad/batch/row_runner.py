"""Runs rows on the recorded paths of a function: each row on the path that it takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, Final, TypeAlias, final

import attrs
import numpy as np

from tapegrad.batch.arrays import Floats, RowNumbers
from tapegrad.batch.batch_code import BatchCode
from tapegrad.batch.reduce import BLOCK, PartialSum, empty_lanes, lane_sums, padded, partial_sum
from tapegrad.compile.paths import starting_with, with_code
from tapegrad.errors import GuardError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Indices: TypeAlias = NDArray[np.intp]
    Flips: TypeAlias = NDArray[np.int32]
    Truths: TypeAlias = NDArray[np.bool_]

__all__ = [
    "FEW_PATHS", "BlockOutputs", "ChunkOptions", "ChunkResult", "KnownPaths", "RowRunner",
    "UnresolvedRows", "are_rare", "rare_below",
]  # fmt: skip

FEW_PATHS: Final = 8
"""The most paths of the rows of a block of which none is rare."""
_SCATTERED: Final = 384
"""The most rows on rare paths of a block that is not scattered."""
_MORE: Final = 8
"""How many times as many rows on one path are still rare there, and on a long path."""
_MANY_GUARDS: Final = 16
"""The fewest guards of a path that rows are not expected to take all, until some have."""
_LONG: Final = 64
"""The fewest guards of a long path, on which others would split off one after the other."""

_Group: TypeAlias = "tuple[bytes, Indices, bool]"
"""Rows on one path: the outcomes that are known, the places, and whether the path is known."""


@final
@attrs.frozen
class ChunkOptions:
    """Says whether outputs or sums are computed, and of sums the squared distances from the mean.

    With ``mask`` rows that leave all known paths are left out. Where a block's rows take many
    paths, those that are ``rare`` (see ``rare_below``) come back unresolved; with ``part`` the rows
    are only some of their block, and such paths come back in any case.
    """

    sums: bool
    spread: bool = False
    mask: bool = False
    rare: int = 0
    part: bool = False


@final
@attrs.frozen(eq=False)
class UnresolvedRows:
    """Rows whose path is not known, or rare; the outcomes of its guards begin with ``prefix``.

    ``rows`` are their places in the block, ``leaves`` their inputs. Where the path ``is_known``
    they have been run, and are right unless they are rare.
    """

    prefix: bytes
    rows: Indices
    leaves: Sequence[Floats]
    is_known: bool = False


@final
@attrs.frozen(eq=False)
class BlockOutputs:
    """The outputs of up to 4,096 rows, a column for each, and the rows that still lack them.

    ``paths`` is the number of paths that the rows take, at least.
    """

    outputs: Floats
    unresolved: Sequence[UnresolvedRows]
    paths: int


@final
@attrs.frozen(eq=False)
class ChunkResult:
    """The results of a chunk, block by block, and how many rows took each path."""

    blocks: Sequence[PartialSum | BlockOutputs]
    taken: Counter[bytes]


def rare_below(paths: int, few: int, rare: int) -> int:
    """The rows of a block on one path below which they are rare: 0, ``rare``, or more than that.

    ``few`` of the block's rows are on paths that fewer than ``rare`` take, and there are so many
    ``paths``. As more are found the result can only grow, so it can be used before all are.
    """
    if paths <= FEW_PATHS:
        return 0
    return _MORE * rare if few > _SCATTERED else rare


def are_rare(rows: int, prefix: bytes, limit: int, rare: int) -> bool:
    """Whether so many rows of a block are rare whose path begins with these outcomes.

    The ``limit`` is that of ``rare_below``; on a long path it is a higher one.
    """
    return rows < (_MORE * rare if limit and len(prefix) >= _LONG else limit)


@final
class KnownPaths:
    """The paths that the rows of a call can take, and what each computes once for all rows.

    ``codes`` stand in the order of their outcomes. Both are replaced when a path is added, so that
    whoever has read them may go on with them.
    """

    codes: tuple[BatchCode, ...]
    shared: Mapping[BatchCode, Floats]

    def __init__(self, inputs: Sequence[float]) -> None:
        self._inputs = inputs
        self.codes, self.shared = (), {}

    def add(self, code: BatchCode) -> None:
        """Adds a path, unless numbers that are the same for all rows lead off it."""
        found = code.shared(self._inputs)
        if found is not None:
            self.shared = {**self.shared, code: found}
            self.codes = with_code(self.codes, code)

    def runner(self) -> RowRunner:
        """A runner of rows on the paths known by now."""
        return RowRunner(self.codes, self.shared)


@final
class RowRunner:
    """Runs rows on the paths that a call can take, on that first which most rows take.

    Paths whose first guards come out alike compute the same bits up to there. So a row that leaves
    a path at a guard goes on to any path whose guards come out as the row's did; it stays on that
    one, or leaves it at a later guard.
    """

    codes: Sequence[BatchCode]

    def __init__(self, codes: Sequence[BatchCode], shared: Mapping[BatchCode, Floats]) -> None:
        self.codes, self._shared = codes, shared
        self._first = max(codes, key=attrgetter("rows"), default=None)
        self._taken: Counter[bytes] = Counter()

    @np.errstate(all="ignore")
    def run(
        self,
        leaves: Sequence[Floats],
        numbers: RowNumbers,
        options: ChunkOptions,
        out: Floats | None = None,
    ) -> ChunkResult:
        """Runs rows; outputs are written into ``out`` where it is given.

        ``numbers`` are the rows' numbers in the batch. Blocks are run together, so that there are
        many rows on a rare path, but for sums on one path, which its code adds up block by block.
        """
        size = BLOCK if len(self.codes) == 1 and options.sums else len(numbers)
        found: list[PartialSum | BlockOutputs] = []
        for start in range(0, len(numbers), size):
            some = numbers[start : start + size]
            part = [leaf[start : start + size] for leaf in leaves]
            room = None if out is None else out[:, start : start + padded(len(some))]
            try:
                found += self._blocks(part, len(some), options, room)
            except MemoryError:  # of no row
                raise
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
        return [_finished(one, options) for one in self._rows(leaves, rows, options, out)]

    def _likely(self) -> BatchCode:
        """The code of the path that rows try first."""
        if self._first is None:
            raise GuardError(
                "a worker takes another path than was recorded, for numbers that are the same for "
                "all rows: two sides of a comparison differ by rounding alone; compare with a "
                "margin"
            )
        return self._first

    def _sums(self, leaves: Sequence[Floats], rows: int) -> PartialSum | None:
        """The rows' sums by compiled code; None unless all take the one path that is known."""
        code = self._likely()
        if not code.choice.backend.adds_rows or len(self.codes) > 1:
            return None
        if not code.rows and len(code.outcomes) >= _MANY_GUARDS:
            return None  # not all are likely to take it, and so no code is made for that
        lanes, flips = empty_lanes(code.outputs), _flips(rows)
        code.kernel(rows, sums=True)(self._shared[code], leaves, range(rows), lanes, flips)
        if flips[:rows].max() >= 0:
            return None
        self._taken[code.outcomes] += rows
        return PartialSum(rows, lane_sums(lanes))

    def _rows(
        self, leaves: Sequence[Floats], rows: int, options: ChunkOptions, out: Floats | None
    ) -> Iterator[BlockOutputs]:
        """The outputs of rows, each on the path that it takes, block by block.

        Rows go in groups, and a group is only ever split: its rows have left the same paths at the
        same guards. So each row is in one group at a time, and ends on one path or is unresolved.
        """
        first = self._likely()
        out = np.empty((first.outputs, padded(rows))) if out is None else out
        done: list[_Group] = []
        groups = [(first, b"", np.arange(rows))]
        rare, few = options.rare, 0
        while groups:
            code, prefix, group = groups.pop()
            flips = self._run(code, leaves, group, out)
            gone = _split_by_guard(code, prefix, group, flips)
            stays = group[flips < 0] if gone else group
            if stays.size:
                done.append((code.outcomes, stays, True))
                self._taken[code.outcomes] += stays.size
            if group.size >= rare:
                few += sum(part.size for part in (stays, *(p for _, p in gone)) if part.size < rare)
            paths = len(done) + len(groups) + len(gone)
            limit = rare_below(paths, few, rare) if rows <= BLOCK else 0
            for longer, part in gone:
                other = starting_with(self.codes, longer)
                if other is None or are_rare(part.size, longer, limit, rare):
                    done.append((longer, part, False))
                else:
                    groups.append((other, longer, part))
        out = out[:, :rows]
        if len(done) <= FEW_PATHS and not options.part and all(is_known for *_, is_known in done):
            return _done_blocks(out, len(done))
        return _blocks_of(out, done, leaves, options)

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
        return flips[:count]

    def _name_row(self, error: Exception, leaves: Sequence[Floats], numbers: RowNumbers) -> None:
        """Adds the number of the row to an error that a custom rule raised."""
        for place, number in enumerate(numbers):
            try:
                row = [leaf[place : place + 1] for leaf in leaves]
                self._rows(row, 1, ChunkOptions(sums=False), None)
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
    ends = [*starts.tolist(), len(gone)]
    parts = [group[gone[start:end]] for start, end in pairwise(ends)]
    return list(zip(prefixes, parts, strict=True))


def _finished(block: BlockOutputs, options: ChunkOptions) -> PartialSum | BlockOutputs:
    """A block as ``options`` say; one with unresolved rows as it is, unless they are masked."""
    if block.unresolved and not options.mask:
        return block
    masked = _masked(block) if block.unresolved else None
    if options.sums:
        return partial_sum(block.outputs, masked, spread=options.spread)
    if masked is not None:
        block.outputs[:, masked] = np.nan
    return BlockOutputs(block.outputs, (), block.paths)


def _masked(block: BlockOutputs) -> Truths:
    """Whether each row of a block is unresolved."""
    masked = np.zeros(block.outputs.shape[1], dtype=np.bool_)
    for some in block.unresolved:
        masked[some.rows] = True
    return masked


def _done_blocks(out: Floats, paths: int) -> Iterator[BlockOutputs]:
    """Cuts outputs into blocks of 4,096 rows, all of them done."""
    for start in range(0, out.shape[1], BLOCK):
        yield BlockOutputs(out[:, start : start + BLOCK], (), paths)


def _blocks_of(
    out: Floats, groups: Sequence[_Group], leaves: Sequence[Floats], options: ChunkOptions
) -> Iterator[BlockOutputs]:
    """Cuts outputs into blocks of 4,096 rows, each with those of its rows that are not done.

    Rows on a known path are done, unless they may turn out to be rare.
    """
    starts = range(0, out.shape[1], BLOCK)
    rows = np.concatenate([some for _, some, _ in groups])
    of_group = np.repeat(np.arange(len(groups)), [some.size for _, some, _ in groups])
    cell = of_group * len(starts) + rows // BLOCK
    counts = np.bincount(cell, minlength=len(groups) * len(starts)).reshape(-1, len(starts))
    unknown = np.array([not is_known for _, _, is_known in groups])
    paths = np.count_nonzero(counts, axis=0)
    limits = _most_below(counts, unknown, options)
    long = np.array([len(prefix) >= _LONG for prefix, *_ in groups])
    limits = np.where(long[:, np.newaxis] & (limits > 0), _MORE * options.rare, limits)
    left = (counts > 0) & (unknown[:, np.newaxis] | (counts < limits))
    ends = np.cumsum(counts).reshape(counts.shape)  # the rows of a group ascend
    for number, start in enumerate(starts):
        chosen = np.flatnonzero(left[:, number])
        stops, sizes = ends[chosen, number], counts[chosen, number]
        parts = [rows[i:j] for i, j in zip((stops - sizes).tolist(), stops.tolist(), strict=True)]
        unresolved = _unresolved([groups[index] for index in chosen.tolist()], parts, leaves, start)
        yield BlockOutputs(out[:, start : start + BLOCK], unresolved, int(paths[number]))


def _unresolved(
    groups: Sequence[_Group], parts: Sequence[Indices], leaves: Sequence[Floats], start: int
) -> Sequence[UnresolvedRows]:
    """The rows of groups in the block that begins at ``start``, in the order of their first rows.

    The numbers of all of them stand side by side.
    """
    if not parts:
        return ()
    order = np.argsort([part[0] for part in parts])
    rows = np.concatenate([parts[index] for index in order])
    gathered, rows = [leaf[rows] for leaf in leaves], rows - start
    found: list[UnresolvedRows] = []
    begin = 0
    for index in order.tolist():
        end, (prefix, _, is_known) = begin + parts[index].size, groups[index]
        some = [leaf[begin:end] for leaf in gathered]
        found.append(UnresolvedRows(prefix, rows[begin:end], some, is_known))
        begin = end
    return found


def _most_below(counts: Indices, unknown: Truths, options: ChunkOptions) -> Indices:
    """The most that ``rare_below`` can give for each block once the rest of its paths are known.

    ``counts`` has the rows of each group in each block.
    """
    if options.part:
        return np.full(counts.shape[1], _MORE * options.rare)
    ends = unknown[:, np.newaxis] | (counts < options.rare)
    few = np.where(ends, counts, 0).sum(axis=0)
    paths = np.count_nonzero(counts, axis=0) + counts[unknown].sum(axis=0)
    blocks = zip(paths.tolist(), few.tolist(), strict=True)
    return np.array([rare_below(*block, options.rare) for block in blocks])


def _flips(rows: int) -> Flips:
    return np.empty(padded(rows), dtype=np.int32)
