"""The loop of a batch: chunks submitted in order, and their results taken in the same order.

A row whose path is not known comes back without its outputs. Its path is recorded here, in the
thread of the call, and the row is run again; so paths are recorded in the order of rows, however
many threads or workers there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError
from contextlib import closing
from typing import Generic, TypeAlias, TypeVar, cast, final

import attrs
import numpy as np

from tapegrad._support.progress_bar import progress
from tapegrad._support.source_position import here
from tapegrad.batch.arrays import Floats, as_float64
from tapegrad.batch.chunks import Chunk, Dispatcher, Pending
from tapegrad.batch.inputs import BatchInputs
from tapegrad.batch.recordings import PathRecorder
from tapegrad.batch.reduce import BLOCK, PairwiseSum, PartialSum, padded, partial_sum
from tapegrad.batch.row_runner import (
    BlockOutputs,
    ChunkOptions,
    ChunkResult,
    UnresolvedRows,
    are_rare,
    rare_below,
)
from tapegrad.errors import BackendError, GuardError, InputError

__all__ = ["Schedule", "Stop"]

T = TypeVar("T", bound=Pending)

Stop: TypeAlias = Callable[[PartialSum], bool]
"""Gets the sums so far after each block; where it returns true, the batch ends."""

_Numbered: TypeAlias = tuple[range, PartialSum | BlockOutputs]
"""The results of a block, after the numbers of its rows."""


@final
class Schedule(Generic[T]):
    """One call over its rows, ``step`` of them in a chunk."""

    recorder: PathRecorder

    def __init__(
        self, inputs: BatchInputs, dispatcher: Dispatcher[T], recorder: PathRecorder, step: int
    ) -> None:
        self.recorder = recorder
        self._inputs, self._dispatcher, self._step = inputs, dispatcher, step
        self._finished = 0
        self._in_flight: deque[tuple[Chunk, T]] = deque()
        is_new = not recorder.knows(b"")
        self._first = inputs.read(0, BLOCK if is_new else step)
        if not self._first[0].shape[0]:
            raise InputError(f"the mapped arguments have no rows ({here()}): pass one at least")
        if is_new:
            self._record_first_row()

    def _record_first_row(self) -> None:
        """Records a path where none is known that this call can take."""
        row = [as_float64(leaf[:1]) for leaf in self._first]
        self.recorder.record(self.recorder.arguments(row, 0), 0)
        if not self.recorder.knows(b""):
            raise GuardError(
                f"the first row of {self.recorder.name} ({here()}) takes another path when it is "
                "recorded than when it is run: two sides of a comparison differ by rounding alone; "
                "compare with a margin"
            )

    def arrays(self) -> Floats:
        """The outputs of all rows, a column for each."""
        options = self._options(sums=False)
        if self._inputs.rows is None:
            with closing(self._blocks(options)) as blocks:
                outputs = [cast(BlockOutputs, block).outputs for block in blocks]
                return np.concatenate(outputs, axis=1)
        out = np.empty((self.recorder.outputs, padded(self._inputs.rows)))
        start = 0
        with closing(self._blocks(options, out)) as blocks:
            for block in blocks:
                part = cast(BlockOutputs, block).outputs
                stop = start + part.shape[1]
                if not np.may_share_memory(part, out):
                    out[:, start:stop] = part
                start = stop
        return out[:, :start]

    def sums(self, stop: Stop | None, *, spread: bool) -> PartialSum:
        """The sums of the outputs of all rows, or of those until ``stop`` returns true."""
        total = PairwiseSum()
        options = self._options(sums=True, spread=spread)
        with closing(self._blocks(options)) as blocks:
            for block in blocks:
                total.add(_added_up(block, spread=spread))
                if stop is not None and stop(total.value()):
                    break
        return total.value()

    def _options(self, *, sums: bool, spread: bool = False) -> ChunkOptions:
        recorder = self.recorder
        return ChunkOptions(sums, spread, mask=recorder.on_branch == "mask", rare=recorder.rare)

    # Chunks, out and in.

    def _blocks(
        self, options: ChunkOptions, out: Floats | None = None
    ) -> Generator[PartialSum | BlockOutputs, None, None]:
        """The blocks in order, each with the outputs of all its rows."""
        rows, numbered = self._inputs.rows, self._in_order(options, out)
        if rows is not None:
            title = f"{self.recorder.name}, blocks of rows"
            numbered = progress(numbered, -(-rows // BLOCK), title)
        for numbers, block in numbered:
            found = block
            if isinstance(block, BlockOutputs) and block.unresolved:
                found = self._resolved(block, numbers)
            self._finished = numbers.stop
            yield found

    def _in_order(self, options: ChunkOptions, out: Floats | None) -> Iterator[_Numbered]:
        """The blocks as they come from the dispatcher, in the order of the rows."""
        try:
            for chunk in self._chunks(options, out):
                self._in_flight.append((chunk, self._dispatcher.submit(chunk)))
                is_first = chunk.numbers[0] == 0 and len(chunk.numbers) < self._step
                while len(self._in_flight) >= (1 if is_first else self._dispatcher.max_in_flight):
                    yield from self._next()
            while self._in_flight:
                yield from self._next()
        finally:
            for _, pending in reversed(self._in_flight):
                pending.cancel()

    def _chunks(self, options: ChunkOptions, out: Floats | None) -> Iterator[Chunk]:
        """All rows in chunks of whole blocks that end at the same rows in every call.

        The first chunk is one block where it was just recorded, and the others wait for it: its
        rows may add paths, on which they are then run at once.
        """
        start, leaves = 0, self._first
        while rows := leaves[0].shape[0]:
            room = None if out is None else out[:, start : start + padded(rows)]
            yield Chunk(leaves, range(start, start + rows), options, room)
            start += rows
            if start == self._inputs.rows:
                return
            leaves = self._inputs.read(start, start + self._step - start % self._step)

    def _next(self) -> Iterator[_Numbered]:
        """The blocks of the chunk that was submitted first."""
        chunk, pending = self._in_flight[0]
        result = self._result(pending)
        self._in_flight.popleft()
        for index, block in enumerate(result.blocks):
            yield cast(range, chunk.numbers[index * BLOCK : (index + 1) * BLOCK]), block

    def _result(self, pending: T) -> ChunkResult:
        try:
            result = self._dispatcher.result(pending)
        except (BrokenExecutor, CancelledError) as error:
            rows = f"rows 0 to {self._finished - 1:,}" if self._finished else "no rows"
            raise BackendError(
                f"the executor broke when {rows} were done ({here()}): {self._dispatcher.advice}"
            ) from error
        self.recorder.count(result.taken)
        return result

    # Rows whose path is not known, or rare.

    def _resolved(self, block: BlockOutputs, numbers: range) -> BlockOutputs:
        """Completes a block: its rows are run on the paths that they take, new ones recorded.

        They are recorded one by one, that of most rows first, since others may be rare then.
        """
        outputs = block.outputs if block.outputs.flags.writeable else block.outputs.copy()
        left, paths, rare, few = [*block.unresolved], block.paths, self.recorder.rare, 0
        for group in left:
            self.recorder.note_departure(group)
        while left:
            some_few = few + sum(size for size in map(_size, left) if size < rare)
            limit = rare_below(paths, some_few, rare)
            if limit:
                few = some_few
                left = self._without_rare(left, limit, outputs, numbers)
            unknown = [group for group in left if not group.is_known]
            some = sorted(unknown, key=_size)[-1:] if rare else unknown
            known = [group for group in some if self._has_path(group, outputs, numbers)]
            again = self._run_again(known, outputs, numbers)
            left = [group for group in left if group not in some] if unknown else []
            left += again.unresolved
            paths += again.paths - len(known)
        return BlockOutputs(outputs, (), paths)

    def _without_rare(
        self, groups: Sequence[UnresolvedRows], limit: int, outputs: Floats, numbers: range
    ) -> list[UnresolvedRows]:
        """Runs the groups that are rare, given the limit of ``rare_below``; returns the others."""
        rare: list[UnresolvedRows] = []
        others: list[UnresolvedRows] = []
        for group in groups:
            is_rare = are_rare(_size(group), group.prefix, limit, self.recorder.rare)
            (rare if is_rare else others).append(group)
        if rare:
            rows = np.concatenate([group.rows for group in rare])
            outputs[:, rows] = self.recorder.rare_outputs(rare, numbers.start)
        return others

    def _has_path(self, group: UnresolvedRows, outputs: Floats, numbers: range) -> bool:
        """Whether there is a path now that a group of rows may be run on.

        It is recorded from the first row that leads to it. Where none does, they have their
        outputs.
        """
        recorder = self.recorder
        if recorder.rare and not recorder.knows(group.prefix):
            recorder.recorded.adopt(group.prefix)
        for place, row in enumerate(group.rows.tolist()):
            if recorder.knows(group.prefix):
                break
            number = numbers.start + row
            outputs[:, row] = recorder.resolve(group.leaves, place, group.prefix, number)
        return recorder.knows(group.prefix)

    def _run_again(
        self, known: Sequence[UnresolvedRows], outputs: Floats, numbers: range
    ) -> BlockOutputs:
        """Runs rows for which a path is known by now, and returns those that leave it too."""
        if not known:
            return BlockOutputs(outputs, (), 0)
        rows = np.concatenate([group.rows for group in known])
        order = np.argsort(rows)
        rows = rows[order]
        leaves = [
            np.concatenate(parts)[order]
            for parts in zip(*(group.leaves for group in known), strict=True)
        ]
        options = attrs.evolve(self._options(sums=False), mask=False, part=True)
        chunk = Chunk(leaves, rows + numbers.start, options)
        (again,) = self._result(self._dispatcher.submit(chunk)).blocks
        block = cast(BlockOutputs, again)
        outputs[:, rows] = block.outputs
        left = [attrs.evolve(group, rows=rows[group.rows]) for group in block.unresolved]
        return BlockOutputs(outputs, left, block.paths)


def _size(group: UnresolvedRows) -> int:
    return group.rows.size


def _added_up(block: PartialSum | BlockOutputs, *, spread: bool) -> PartialSum:
    """The sums of a block, which compiled code may have added up already."""
    if isinstance(block, PartialSum):
        return block
    return partial_sum(block.outputs, spread=spread)
