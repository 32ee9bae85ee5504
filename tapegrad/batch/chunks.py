"""The chunks that the rows of a batch are cut into: how large they are, and what runs them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol, TypeVar, final

import attrs
import numpy as np

from tapegrad._support.source_position import on_behalf_of, site, user_mark
from tapegrad._support.threads import Pool, Task
from tapegrad.batch.arrays import Array, Floats, RowNumbers, as_float64
from tapegrad.batch.inputs import BatchInputs
from tapegrad.batch.options import Options
from tapegrad.batch.reduce import BLOCK
from tapegrad.batch.row_runner import ChunkOptions, ChunkResult, RowRunner

__all__ = ["Chunk", "Dispatcher", "LocalDispatcher", "Pending", "chunk_rows", "thread_count"]


class Pending(Protocol):
    """A chunk that was submitted."""

    def cancel(self) -> object:
        """Drops the chunk, if it was not begun."""


T = TypeVar("T", bound=Pending)

_ENTRIES: Final = 100
"""The length assumed of a program that is not recorded yet."""
_WORTH_THREADS: Final = 3e7
"""The fewest entries times rows for which threads save more time than they cost."""
_BLOCKS_FOR_A_THREAD: Final = 16
"""The most blocks in a chunk that a thread runs."""
_EVENLY: Final = 4
"""The chunks for each thread."""
_TOGETHER: Final = 2
"""The same where rows take several paths: larger ones have more rows on each."""
_CHUNKS_FOR_A_THREAD: Final = 2
"""The chunks in flight for each thread, so that none has to wait for the next."""
_BYTES_SENT: Final = 2**22
"""The most bytes of rows in a chunk that is sent to a worker."""
_BYTES_READ: Final = 2**24
"""The most bytes of rows in a chunk that a worker reads from a file."""
_FEWEST: Final = 64
"""The fewest chunks for workers, where there are as many blocks."""


@final
@attrs.frozen(eq=False)
class Chunk:
    """Rows that are run together: their arrays and numbers, and an array for the outputs."""

    leaves: Sequence[Array]
    numbers: RowNumbers
    options: ChunkOptions
    out: Floats | None = None

    @property
    def nbytes(self) -> int:
        """The bytes of rows held in this process."""
        return sum(leaf.nbytes for leaf in self.leaves if isinstance(leaf, np.ndarray))


class Dispatcher(Protocol[T]):
    """Runs chunks elsewhere, no more than ``max_in_flight`` of them at a time."""

    max_in_flight: int

    @property
    def advice(self) -> str:
        """Advice for an error where no chunk can be run any more."""

    def submit(self, chunk: Chunk) -> T:
        """Starts a chunk."""

    def result(self, pending: T) -> ChunkResult:
        """Waits for a chunk."""


@final
class LocalDispatcher:
    """Runs chunks in threads, or in the calling thread where there is no pool of them.

    ``runner`` makes a runner for the paths known so far.
    """

    max_in_flight: int
    advice = "call it again"

    def __init__(self, runner: Callable[[], RowRunner], pool: Pool | None, threads: int) -> None:
        self._runner, self._pool = runner, pool
        self.max_in_flight = 1 if pool is None else _CHUNKS_FOR_A_THREAD * threads

    def submit(self, chunk: Chunk) -> Task[ChunkResult]:
        """Starts a chunk; without threads it is run at once."""
        call = partial(_run, self._runner(), chunk)
        if self._pool is None:
            task = Task(call)
            task.run()
        else:
            task = Task(partial(on_behalf_of, site(*user_mark()), call))
            self._pool.submit(task)
        return task

    def result(self, pending: Task[ChunkResult]) -> ChunkResult:
        """Waits for a chunk."""
        return pending.result()


def _run(runner: RowRunner, chunk: Chunk) -> ChunkResult:
    leaves = [as_float64(leaf) for leaf in chunk.leaves]
    return runner.run(leaves, chunk.numbers, chunk.options, chunk.out)


def thread_count(asked: int | None, rows: int | None, entries: int | None) -> int:
    """The number of threads for a batch: what was asked for, or one for each core if that pays.

    ``rows`` and the ``entries`` of the longest program are None where they are not known yet.
    """
    threads = asked or _cores()
    if rows is None:
        return threads
    if asked is None and rows * (entries or _ENTRIES) < _WORTH_THREADS:
        return 1
    return min(threads, -(-rows // BLOCK))


def _cores() -> int:
    """The processor's cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def chunk_rows(inputs: BatchInputs, options: Options, threads: int, paths: int) -> int:
    """The rows in a chunk: whole blocks, enough to be worth a task, few enough to spread evenly.

    So many ``paths`` are known.
    """
    if options.executor is None:
        chunks = _local_chunks(options, threads, paths)
        blocks = 1 if inputs.rows is None else -(-inputs.rows // (chunks * BLOCK))
        return BLOCK * min(_BLOCKS_FOR_A_THREAD, max(1, blocks))
    limit = _BYTES_SENT if inputs.sent else _BYTES_READ
    blocks = max(1, limit // (8 * BLOCK * max(inputs.width, 1)))
    if inputs.rows is not None:
        blocks = min(blocks, max(1, inputs.rows // (_FEWEST * BLOCK)))
    return BLOCK * max(blocks, inputs.dask_chunk // BLOCK)


def _local_chunks(options: Options, threads: int, paths: int) -> int:
    """The number of chunks in this process, unless they have too many rows then."""
    if paths < 2 or options.callback is not None:  # which may end the call after any of them
        return _EVENLY * threads
    return _TOGETHER * threads if threads > 1 else 1
