"""The loop of a batch: chunks submitted in order, and their results taken in the same order.

A row whose path is not known comes back without its outputs. Its path is recorded here, in the
thread of the call, and the row is run again; so paths are recorded in the order of rows, however
many threads or workers there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Future
from contextlib import closing
from typing import Generic, TypeAlias, TypeVar, cast, final

import numpy as np

from tapegrad._support.progress_bar import progress
from tapegrad._support.source_position import here
from tapegrad.batch.arrays import Floats, as_float64
from tapegrad.batch.chunks import Chunk, Dispatcher
from tapegrad.batch.inputs import BatchInputs
from tapegrad.batch.recordings import PathRecorder
from tapegrad.batch.reduce import BLOCK, PairwiseSum, PartialSum, padded, partial_sum
from tapegrad.batch.row_runner import BlockOutputs, ChunkOptions, ChunkResult, UnresolvedRows
from tapegrad.errors import BackendError, GuardError, InputError

__all__ = ["Schedule", "Stop"]

T = TypeVar("T")

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
        self._in_flight: deque[tuple[Chunk, Future[T]]] = deque()
        is_new = not recorder.knows(b"")
        self._first = inputs.read(0, BLOCK if is_new else step)
        if not self._first[0].shape[0]:
            raise InputError(f"the mapped arguments have no rows ({here()}): pass one at least")
        if is_new:
            self._record_first_row()

    def _record_first_row(self) -> None:
        """Records a path where none is known that this call can take."""
        self.recorder.record(self._arguments([as_float64(leaf[:1]) for leaf in self._first]), 0)
        if not self.recorder.knows(b""):
            raise GuardError(
                f"the first row of {self.recorder.name} ({here()}) takes another path when it is "
                "recorded than when it is run: two sides of a comparison differ by rounding alone; "
                "compare with a margin"
            )

    def arrays(self) -> Floats:
        """The outputs of all rows, a column for each."""
        options = ChunkOptions(sums=False, mask=self.recorder.on_branch == "mask")
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
        options = ChunkOptions(sums=True, spread=spread, mask=self.recorder.on_branch == "mask")
        with closing(self._blocks(options)) as blocks:
            for block in blocks:
                total.add(_added_up(block, spread=spread))
                if stop is not None and stop(total.value()):
                    break
        return total.value()

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
            found = self._resolved(block, numbers) if isinstance(block, BlockOutputs) else block
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
            for _, future in self._in_flight:
                future.cancel()

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
        chunk, future = self._in_flight.popleft()
        for index, block in enumerate(self._result(future).blocks):
            yield cast(range, chunk.numbers[index * BLOCK : (index + 1) * BLOCK]), block

    def _result(self, future: Future[T]) -> ChunkResult:
        try:
            result = self._dispatcher.result(future)
        except (BrokenExecutor, CancelledError) as error:
            rows = f"rows 0 to {self._finished - 1:,}" if self._finished else "no rows"
            raise BackendError(
                f"the executor broke when {rows} were done ({here()}): {self._dispatcher.advice}"
            ) from error
        self.recorder.count(result.taken)
        return result

    # Rows whose path is not known.

    def _resolved(self, block: BlockOutputs, numbers: range) -> BlockOutputs:
        """Completes a block: its rows are run on the paths that they take, new ones recorded."""
        if not block.unresolved:
            return block
        outputs = block.outputs if block.outputs.flags.writeable else block.outputs.copy()
        unresolved = block.unresolved
        for rows in unresolved:
            self.recorder.note_departure(rows)
        while unresolved:
            known = [self._with_path(rows, outputs, numbers) for rows in unresolved]
            unresolved = self._run_again([one for one in known if one.rows.size], outputs, numbers)
        return BlockOutputs(outputs, ())

    def _with_path(self, group: UnresolvedRows, outputs: Floats, numbers: range) -> UnresolvedRows:
        """Records a path for a group of rows, and returns the rows that may now be run on it.

        The row that the path is recorded from is among them, for the same bits in every call. Rows
        for which no such path is found get their outputs one by one.
        """
        while group.rows.size and not self.recorder.knows(group.prefix):
            row = int(group.rows[0])
            arguments = self._arguments(group.leaves)
            found = self.recorder.resolve(arguments, group.prefix, numbers.start + row)
            if not self.recorder.knows(group.prefix):
                outputs[:, row] = found
                group = group.rest()
        return group

    def _run_again(
        self, known: Sequence[UnresolvedRows], outputs: Floats, numbers: range
    ) -> Sequence[UnresolvedRows]:
        """Runs rows for which a path is known by now, and returns those that leave it too."""
        if not known:
            return ()
        rows = np.concatenate([group.rows for group in known])
        leaves = [
            np.concatenate(parts) for parts in zip(*(group.leaves for group in known), strict=True)
        ]
        chunk = Chunk(leaves, rows + numbers.start, ChunkOptions(sums=False))
        (again,) = self._result(self._dispatcher.submit(chunk)).blocks
        block = cast(BlockOutputs, again)
        outputs[:, rows] = block.outputs
        return [
            UnresolvedRows(group.prefix, rows[group.rows], group.leaves)
            for group in block.unresolved
        ]

    def _arguments(self, leaves: Sequence[Floats]) -> tuple[object, ...]:
        """The arguments by position of the first of some rows."""
        return self._inputs.row([leaf[0] for leaf in leaves])


def _added_up(block: PartialSum | BlockOutputs, *, spread: bool) -> PartialSum:
    """The sums of a block, which compiled code may have added up already."""
    if isinstance(block, PartialSum):
        return block
    return partial_sum(block.outputs, spread=spread)
