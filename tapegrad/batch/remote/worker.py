"""Runs tasks in the workers of an executor, from tapes and rows, without the user's function."""

from __future__ import annotations

import os
import pickle
import socket
from collections import OrderedDict
from functools import cache
from typing import Final, cast, final

from tapegrad._support.exclusive import Exclusive, exclusive
from tapegrad._support.source_position import on_behalf_of
from tapegrad._support.version import VERSION
from tapegrad.batch.arrays import Array, as_float64
from tapegrad.batch.batch_code import BatchCode
from tapegrad.batch.remote.fingerprint import fingerprint
from tapegrad.batch.remote.messages import Job, Key, Reply, Task, deserialised
from tapegrad.batch.row_runner import KnownPaths
from tapegrad.compile.backends.registry import chosen
from tapegrad.compile.paths import path_of
from tapegrad.errors import BackendError

__all__ = ["run_task", "worker_name"]

_MOST_CODES: Final = 4096
"""The most compiled paths that a worker keeps."""


@cache
def worker_name() -> str:
    """The machine and process that this code runs in."""
    return f"{socket.gethostname()}:{os.getpid()}"


def run_task(version: str, packed: bytes, *leaves: Array) -> Reply:
    """Runs the chunk of a packed task.

    Raises:
        BackendError: where this worker has another version of tapegrad, or lacks the backend.
    """
    if version != VERSION:
        raise BackendError(
            f"worker {worker_name()} has tapegrad {VERSION} and was sent work by {version}: "
            "install one version"
        )
    task: Task = pickle.loads(packed)  # noqa: S301  # it comes from whoever started the worker
    job = task.job
    chosen(job.backend, rows=True)
    name, own = worker_name(), fingerprint(job.backend)
    codes = {key: _CODES.code(task, key) for key in task.keys}
    lacked = tuple(key for key, code in codes.items() if code is None)
    if lacked:
        return Reply(name, own, lacks_tapes=lacked)
    try:
        rows = [as_float64(leaf) for leaf in leaves]
    except FileNotFoundError:
        return Reply(name, own, lacks_file=True)
    known = KnownPaths(job.inputs)
    for code in codes.values():
        known.add(cast(BatchCode, code))
    result = on_behalf_of(job.line, known.runner().run, rows, task.numbers, task.options)
    return Reply(name, own, result)


@final
class _CodeCache:
    """The code that this process compiled from tapes; the least recently used is dropped."""

    def __init__(self) -> None:
        self._codes: OrderedDict[object, BatchCode] = OrderedDict()
        self.exclusive: Exclusive = Exclusive()

    @exclusive
    def code(self, task: Task, key: Key) -> BatchCode | None:
        """The code of a tape; None where the tape is neither here nor in the task."""
        job = task.job
        place = key, job.backend, job.fast, job.places
        if place not in self._codes and key in task.tapes:
            self._codes[place] = _compiled(task.tapes[key], job)
            while len(self._codes) > _MOST_CODES:
                self._codes.popitem(last=False)
        if place in self._codes:
            self._codes.move_to_end(place)
        return self._codes.get(place)


def _compiled(tape: bytes, job: Job) -> BatchCode:
    choice = chosen(job.backend, rows=True)
    return BatchCode(
        path_of(deserialised(tape), approximate=True), job.places, choice, fast=job.fast
    )


_CODES: Final = _CodeCache()
"""The cache of this process, which changes how long a task takes and nothing else."""
