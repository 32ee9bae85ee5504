"""The loop of a batch: pieces handed out in order, and what comes back taken in the same order.

A row whose path is not known comes back without its outputs. Its path is recorded here, in the
thread of the call, and the row is run again; so paths are learned in the order of rows, however
many threads or workers there are.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Future
from contextlib import closing
from time import perf_counter
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar, cast, final

import numpy as np

from tapegrad._support.progress_bar import progress
from tapegrad._support.source_position import here
from tapegrad.batch.arrays import Array, as_float64
from tapegrad.batch.execute import Block, Done, Left, Work, padded
from tapegrad.batch.inputs import BatchInputs
from tapegrad.batch.pieces import Dispatcher, Piece
from tapegrad.batch.recordings import Learner
from tapegrad.batch.reduce import BLOCK, Part, Total
from tapegrad.errors import BackendError, GuardError, InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Numbers: TypeAlias = range | NDArray[np.intp]

__all__ = ["Drive", "Stop"]

T = TypeVar("T")

Stop: TypeAlias = Callable[[Part], bool]
"""Is told the sums so far after each block; where it says True, the batch ends."""


@final
class Drive(Generic[T]):
    """One call over its rows, ``step`` of them in a piece."""

    call: BatchInputs
    dispatcher: Dispatcher[T]
    learner: Learner
    step: int
    finished: int
    head: Sequence[Array]

    def __init__(
        self, call: BatchInputs, dispatcher: Dispatcher[T], learner: Learner, step: int
    ) -> None:
        self.call, self.dispatcher, self.learner, self.step = call, dispatcher, learner, step
        self.parted: Counter[str] = Counter()
        self.finished = 0
        self.waiting: deque[tuple[Piece, Future[T]]] = deque()
        fresh = not learner.knows(b"")
        self.head = self.call.read(0, BLOCK if fresh else step)
        if not self.head[0].shape[0]:
            raise InputError(f"the mapped arguments have no rows ({here()}): pass one at least")
        if fresh:
            self._begin()

    def _begin(self) -> None:
        """Learn the first row's path, where no path is known that this call can take."""
        self.learner.learn(self._args([as_float64(leaf[:1]) for leaf in self.head]), 0)
        if not self.learner.knows(b""):
            raise GuardError(
                f"the first row of {self.learner.name} ({here()}) takes another path when it is "
                "recorded than when it is run: two sides of a comparison differ by rounding alone; "
                "compare with a margin"
            )

    def arrays(self) -> Floats:
        """The outputs of all rows, a column for each."""
        work = Work(sums=False, mask=self.learner.on_branch == "mask")
        if self.call.rows is None:
            with closing(self._blocks(work)) as blocks:
                return np.concatenate([cast(Block, block).outputs for block in blocks], axis=1)
        out = np.empty((self.learner.outputs, padded(self.call.rows)))
        start = 0
        with closing(self._blocks(work, out)) as blocks:
            for block in blocks:
                outputs = cast(Block, block).outputs
                stop = start + outputs.shape[1]
                if not np.may_share_memory(outputs, out):
                    out[:, start:stop] = outputs
                start = stop
        return out[:, :start]

    def sums(self, stop: Stop | None, *, spread: bool) -> Part:
        """The sums of the outputs of all rows."""
        total = Total()
        work = Work(sums=True, spread=spread, mask=self.learner.on_branch == "mask")
        with closing(self._blocks(work)) as blocks:
            for block in blocks:
                total.add(block.part(spread=spread) if isinstance(block, Block) else block)
                if stop is not None and stop(total.value()):
                    break
        return total.value()

    # Pieces, out and in.

    def _blocks(self, work: Work, out: Floats | None = None) -> Generator[Part | Block, None, None]:
        """The blocks in order, no row left."""
        for numbers, block in self._shown(self._in_order(work, out)):
            found = self._settled(block, numbers) if isinstance(block, Block) else block
            self.finished = int(numbers[-1]) + 1
            yield found

    def _shown(
        self, blocks: Iterator[tuple[range, Part | Block]]
    ) -> Iterator[tuple[range, Part | Block]]:
        """The blocks, with a bar on a terminal."""
        if self.call.rows is None:
            return blocks
        return progress(blocks, -(-self.call.rows // BLOCK), f"{self.learner.name}, blocks of rows")

    def _in_order(self, work: Work, out: Floats | None) -> Iterator[tuple[range, Part | Block]]:
        try:
            for piece in self._pieces(work, out):
                self.waiting.append((piece, self.dispatcher.submit(piece)))
                first = piece.numbers[0] == 0 and len(piece.numbers) < self.step
                while len(self.waiting) >= (1 if first else self.dispatcher.max_in_flight):
                    yield from self._next()
            while self.waiting:
                yield from self._next()
        finally:
            for _, future in self.waiting:
                future.cancel()

    def _pieces(self, work: Work, out: Floats | None) -> Iterator[Piece]:
        """All rows in pieces of whole blocks that end at the same rows in every call.

        The first that is recorded is one block, so that other rows are run on its paths at once.
        """
        start, leaves = 0, self.head
        while rows := leaves[0].shape[0]:
            room = None if out is None else out[:, start : start + padded(rows)]
            yield Piece(leaves, range(start, start + rows), work, room)
            start += rows
            if start == self.call.rows:
                return
            leaves = self.call.read(start, start + self.step - start % self.step)

    def _next(self) -> Iterator[tuple[range, Part | Block]]:
        """The blocks of the piece that was handed out first."""
        piece, future = self.waiting.popleft()
        done = self._done(future)
        for index, block in enumerate(done.blocks):
            yield cast(range, piece.numbers[index * BLOCK : (index + 1) * BLOCK]), block

    def _done(self, future: Future[T]) -> Done:
        try:
            done = self.dispatcher.result(future)
        except (BrokenExecutor, CancelledError) as error:
            rows = f"rows 0 to {self.finished - 1:,}" if self.finished else "no rows"
            raise BackendError(
                f"the executor broke when {rows} were done ({here()}): pass a function that makes "
                "executors, and what is left goes to another"
            ) from error
        self.learner.count(done.taken)
        return done

    # Rows whose path is not known.

    def _settled(self, block: Block, numbers: range) -> Block:
        """Completes a block: its rows are run on the paths that they take, new ones learned."""
        if not block.left:
            return block
        outputs = block.outputs if block.outputs.flags.writeable else block.outputs.copy()
        left = block.left
        for one in left:
            if not self.learner.knows(one.prefix):
                self.parted[self.learner.line(one.prefix)] += one.rows.size
        while left:
            known = [self._known(one, outputs, numbers) for one in left]
            left = self._again([one for one in known if one.rows.size], outputs, numbers)
        return Block(outputs, ())

    def _known(self, left: Left, outputs: Floats, numbers: range) -> Left:
        """Learns a path for a group of rows, and returns the rows that may now be run on it.

        The row that the path is recorded from is among them, for the same bits in every call. Rows
        for which no such path is found get their outputs one by one.
        """
        while left.rows.size and not self.learner.knows(left.prefix):
            row = int(left.rows[0])
            found = self._dealt_with(left, numbers.start + row)
            if not self.learner.knows(left.prefix):
                outputs[:, row] = found
                left = left.rest()
        return left

    def _again(self, known: Sequence[Left], outputs: Floats, numbers: range) -> Sequence[Left]:
        """Runs rows for which a path is known by now, and returns those that leave it too."""
        if not known:
            return ()
        rows = np.concatenate([one.rows for one in known])
        leaves = [
            np.concatenate(parts) for parts in zip(*(one.leaves for one in known), strict=True)
        ]
        absolute: Numbers = rows + numbers.start
        done = self._done(self.dispatcher.submit(Piece(leaves, absolute, Work(sums=False))))
        again = cast(Block, done.blocks[0])
        outputs[:, rows] = again.outputs
        return [Left(one.prefix, rows[one.rows], one.leaves) for one in again.left]

    def _dealt_with(self, left: Left, number: int) -> Sequence[float]:
        """Computes the outputs of a row for which no path is known, as ``on_branch`` says."""
        learner, args = self.learner, self._args(left.leaves)
        if learner.on_branch == "raise":
            raise GuardError(
                f"row {number:,} leaves the recorded path at {learner.line(left.prefix)}, where "
                f'its comparison is {bool(left.prefix[-1])}: leave on_branch at "rerecord", or '
                "spell the choice with where"
            )
        if learner.on_branch == "eager":
            return learner.call(args, number)
        if learner.paths < learner.max_paths:
            return learner.learn(args, number)
        raise self._too_many(args, number)

    def _too_many(self, args: tuple[object, ...], number: int) -> GuardError:
        """The error where rows take more paths than are allowed."""
        started = perf_counter()
        self.learner.call(args, number)
        seconds = perf_counter() - started
        line, rows = self.parted.most_common(1)[0]
        time = f"{seconds:.2g} s a row"
        if self.call.rows is not None:
            time = f"up to {seconds * self.call.rows:,.2g} s for all rows"
        return GuardError(
            f"the rows take more than max_paths={self.learner.max_paths} paths; {rows:,} of them "
            f"part at {line}: spell that choice with where or maximum, or pass "
            f'on_branch="eager", which would take {time}'
        )

    def _args(self, leaves: Sequence[Floats]) -> tuple[object, ...]:
        """The arguments by position of the first of some rows."""
        return self.call.row([leaf[0] for leaf in leaves])
