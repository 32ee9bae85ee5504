"""The pieces that a batch is cut into: how large they are, and what it is to run them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, TypeVar, final

import attrs
import numpy as np

from tapegrad.batch.arrays import Array
from tapegrad.batch.execute import Done, Work
from tapegrad.batch.inputs import BatchInputs
from tapegrad.batch.options import Options
from tapegrad.batch.reduce import BLOCK

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Numbers: TypeAlias = range | NDArray[np.intp]

__all__ = ["Dispatcher", "Piece", "piece_rows", "thread_count"]

T = TypeVar("T")

_ENTRIES: Final = 100
"""The length assumed of a program that is not recorded yet."""
_WORTH_THREADS: Final = 3e7
"""Entries times rows that take some milliseconds, of which threads save less than they cost."""
_BLOCKS_FOR_A_THREAD: Final = 16
"""The most blocks that a thread takes at a time."""
_BYTES_SENT: Final = 2**22
"""Bytes of the rows in a piece that is sent to a worker."""
_BYTES_READ: Final = 2**24
"""Bytes of the rows in a piece that a worker reads from a file."""
_FEWEST: Final = 64
"""Workers get at least this many pieces, where there are as many blocks."""


@final
@attrs.frozen(eq=False)
class Piece:
    """Rows that are run together: their arrays and numbers, the work, and room for the outputs."""

    leaves: Sequence[Array]
    numbers: Numbers
    work: Work
    out: Floats | None = None

    @property
    def nbytes(self) -> int:
        """The bytes of rows held in this process."""
        return sum(leaf.nbytes for leaf in self.leaves if isinstance(leaf, np.ndarray))


class Dispatcher(Protocol[T]):
    """Has pieces run in futures, no more than ``max_in_flight`` of them at a time."""

    max_in_flight: int

    def submit(self, piece: Piece) -> Future[T]:
        """Starts a piece."""

    def result(self, future: Future[T]) -> Done:
        """Waits for a piece."""


def thread_count(asked: int | None, rows: int | None, entries: int | None) -> int:
    """The threads for a batch: as many as were asked for, or one for each core if that pays.

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


def piece_rows(inputs: BatchInputs, options: Options, threads: int) -> int:
    """The rows in a piece: whole blocks, many enough to pay, few enough to share out evenly."""
    if options.executor is None:
        blocks = 1 if inputs.rows is None else -(-inputs.rows // (4 * threads * BLOCK))
        return BLOCK * min(_BLOCKS_FOR_A_THREAD, max(1, blocks))
    limit = _BYTES_SENT if inputs.sent else _BYTES_READ
    blocks = max(1, limit // (8 * BLOCK * max(inputs.width, 1)))
    if inputs.rows is not None:
        blocks = min(blocks, max(1, inputs.rows // (_FEWEST * BLOCK)))
    return BLOCK * max(blocks, inputs.dask_chunk // BLOCK)
