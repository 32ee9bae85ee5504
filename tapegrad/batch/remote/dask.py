"""Rows of Dask arrays for Dask's own workers: they are computed where they are used.

Dask is imported where it is needed, since it need not be installed.
"""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any, cast

from tapegrad.batch.arrays import Array, is_dask

__all__ = ["is_dask_executor", "scheduled", "worker_threads"]


def is_dask_executor(executor: Executor) -> bool:
    """Whether the executor is a Dask client's."""
    return type(executor).__module__.startswith("distributed")


def scheduled(leaf: Array) -> Array:
    """Rows of a Dask array as Dask's future of them; other rows as they are.

    Dask puts the numbers in the place of the future on the worker that gets it.
    """
    import distributed

    if not is_dask(leaf):
        return leaf
    lazy = cast(Any, leaf)
    (future,) = distributed.futures_of(lazy.rechunk(lazy.shape).persist())
    return cast(Array, future)


def worker_threads() -> int:
    """The threads of all workers of the cluster."""
    import distributed

    return sum(distributed.default_client().nthreads().values())
