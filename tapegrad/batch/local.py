"""Runs pieces of rows in this process."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, final

from tapegrad.batch.arrays import as_float64
from tapegrad.batch.execute import Done, Sweep
from tapegrad.batch.pieces import Piece

__all__ = ["LocalDispatcher"]

_PIECES_FOR_A_THREAD: Final = 2
"""Pieces under way for each thread, so that none has to wait for the next."""


@final
class LocalDispatcher:
    """Runs pieces in threads, or in the calling thread where there is no pool of them.

    ``sweep`` makes a sweep over the paths known so far.
    """

    def __init__(
        self, sweep: Callable[[], Sweep], pool: ThreadPoolExecutor | None, threads: int
    ) -> None:
        self._sweep, self._pool = sweep, pool
        self.max_in_flight = 1 if pool is None else _PIECES_FOR_A_THREAD * threads

    def submit(self, piece: Piece) -> Future[Done]:
        """Starts a piece; without threads it is run at once."""
        sweep = self._sweep()
        if self._pool is not None:
            return self._pool.submit(_run, sweep, piece)
        future: Future[Done] = Future()
        future.set_result(_run(sweep, piece))
        return future

    def result(self, future: Future[Done]) -> Done:
        """Waits for a piece."""
        return future.result()


def _run(sweep: Sweep, piece: Piece) -> Done:
    leaves = [as_float64(leaf) for leaf in piece.leaves]
    return sweep.piece(leaves, piece.numbers, piece.work, piece.out)
