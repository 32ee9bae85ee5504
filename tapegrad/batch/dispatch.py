"""How a batch hands its chunks to what runs them, and the threads of this process that do."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Protocol, TypeVar, final

from tapegrad.batch.arrays import as_float64
from tapegrad.batch.chunks import Chunk
from tapegrad.batch.row_runner import ChunkResult, RowRunner

__all__ = ["Dispatcher", "LocalDispatcher"]

T = TypeVar("T")

_CHUNKS_FOR_A_THREAD: Final = 2
"""The chunks in flight for each thread, so that none has to wait for the next."""


class Dispatcher(Protocol[T]):
    """Runs chunks in futures, no more than ``max_in_flight`` of them at a time."""

    max_in_flight: int

    def submit(self, chunk: Chunk) -> Future[T]:
        """Starts a chunk."""

    def result(self, future: Future[T]) -> ChunkResult:
        """Waits for a chunk."""


@final
class LocalDispatcher:
    """Runs chunks in threads, or in the calling thread where there is no pool of them.

    ``runner`` makes a runner for the paths known so far.
    """

    def __init__(
        self, runner: Callable[[], RowRunner], pool: ThreadPoolExecutor | None, threads: int
    ) -> None:
        self._runner, self._pool = runner, pool
        self.max_in_flight = 1 if pool is None else _CHUNKS_FOR_A_THREAD * threads

    def submit(self, chunk: Chunk) -> Future[ChunkResult]:
        """Starts a chunk; without threads it is run at once."""
        runner = self._runner()
        if self._pool is not None:
            return self._pool.submit(_run, runner, chunk)
        future: Future[ChunkResult] = Future()
        future.set_result(_run(runner, chunk))
        return future

    def result(self, future: Future[ChunkResult]) -> ChunkResult:
        """Waits for a chunk."""
        return future.result()


def _run(runner: RowRunner, chunk: Chunk) -> ChunkResult:
    leaves = [as_float64(leaf) for leaf in chunk.leaves]
    return runner.run(leaves, chunk.numbers, chunk.options, chunk.out)
