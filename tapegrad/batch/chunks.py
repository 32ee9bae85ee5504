"""The chunks that the rows of a batch are cut into, their size, and the threads to run them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final, final

import attrs
import numpy as np

from tapegrad.batch.arrays import Array, Floats, RowNumbers
from tapegrad.batch.inputs import BatchInputs
from tapegrad.batch.options import Options
from tapegrad.batch.reduce import BLOCK
from tapegrad.batch.row_runner import ChunkOptions

__all__ = ["Chunk", "chunk_rows", "thread_count"]

_ENTRIES: Final = 100
"""The length assumed of a program that is not recorded yet."""
_WORTH_THREADS: Final = 3e7
"""The fewest entries times rows for which threads save more time than they cost."""
_BLOCKS_FOR_A_THREAD: Final = 16
"""The most blocks in a chunk that a thread runs."""
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


def chunk_rows(inputs: BatchInputs, options: Options, threads: int) -> int:
    """The rows in a chunk: whole blocks, enough to be worth a task, few enough to spread evenly."""
    if options.executor is None:
        blocks = 1 if inputs.rows is None else -(-inputs.rows // (4 * threads * BLOCK))
        return BLOCK * min(_BLOCKS_FOR_A_THREAD, max(1, blocks))
    limit = _BYTES_SENT if inputs.sent else _BYTES_READ
    blocks = max(1, limit // (8 * BLOCK * max(inputs.width, 1)))
    if inputs.rows is not None:
        blocks = min(blocks, max(1, inputs.rows // (_FEWEST * BLOCK)))
    return BLOCK * max(blocks, inputs.dask_chunk // BLOCK)
