"""Runs chunks of rows on the workers of an executor, which get serialised tapes and rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from pickle import PicklingError
from typing import Final, Self, final

import attrs

from tapegrad._support.source_position import here
from tapegrad._support.text import describe
from tapegrad._support.version import VERSION
from tapegrad.batch.arrays import as_float64, is_dask
from tapegrad.batch.batch_code import BatchCode
from tapegrad.batch.chunks import Chunk
from tapegrad.batch.options import ExecutorOrFactory
from tapegrad.batch.remote.dask import is_dask_executor, scheduled, worker_threads
from tapegrad.batch.remote.fingerprint import Fingerprint, difference
from tapegrad.batch.remote.messages import Job, Key, Reply, Task, key_of, serialised
from tapegrad.batch.remote.worker import run_task
from tapegrad.batch.row_runner import ChunkResult
from tapegrad.errors import BackendError, InputError

__all__ = ["ExecutorDispatcher"]

_MOST_BYTES: Final = 2**28
"""The most bytes of rows that wait for workers."""
_MOST_CHUNKS: Final = 4096
"""The most chunks that wait for workers."""
_MOST_BREAKS: Final = 3
"""The most executors that may break one after the other without a chunk done."""


@final
@attrs.frozen(eq=False)
class _Sent:
    """A chunk in flight: the executor that has it, and the tapes that its worker then holds."""

    chunk: Chunk
    executor: Executor
    keys: tuple[Key, ...]


@final
class ExecutorDispatcher:
    """Sends chunks to the workers of an executor, and again where a worker lacked something.

    ``codes`` gives the code of the paths known so far. As a context manager it shuts an executor
    that it made.
    """

    max_in_flight: int

    def __init__(
        self, executor: ExecutorOrFactory, codes: Callable[[], Sequence[BatchCode]], job: Job
    ) -> None:
        self._codes, self._job = codes, job
        self._factory = None if isinstance(executor, Executor) else executor
        self._executor = executor if isinstance(executor, Executor) else self._new_executor()
        self._breaks = 0
        self._tapes: dict[BatchCode, tuple[Key, bytes]] = {}
        self._sent: dict[Future[Reply], _Sent] = {}
        self._first: tuple[str, Fingerprint] | None = None
        self._held: dict[str, set[Key]] = {}
        self.max_in_flight = _MOST_CHUNKS

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._factory is not None:
            self._executor.shutdown(cancel_futures=True)

    def _new_executor(self) -> Executor:
        """An executor of the user's function."""
        made: object = self._factory() if callable(self._factory) else self._factory
        if not isinstance(made, Executor):
            raise InputError(
                f"executor ({here()}) is {describe(made)}: pass an executor of concurrent.futures, "
                "or a function that makes one"
            )
        return made

    @property
    def advice(self) -> str:
        """Advice for an error where the executor has broken for good."""
        if self._factory is None:
            return "pass a function that makes executors, and what is left goes to another"
        return (
            f"{self._breaks} more that your function made broke without doing any: see whether the "
            "workers end where a rule is called, or lack memory"
        )

    def submit(self, chunk: Chunk) -> Future[Reply]:
        """Sends a chunk to a worker."""
        self.max_in_flight = max(2, min(_MOST_CHUNKS, _MOST_BYTES // max(chunk.nbytes, 1)))
        if is_dask_executor(self._executor):
            if any(is_dask(leaf) for leaf in chunk.leaves):
                self.max_in_flight = 2 * worker_threads()
            chunk = attrs.evolve(chunk, leaves=[scheduled(leaf) for leaf in chunk.leaves])
        return self._send(chunk)

    def result(self, future: Future[Reply]) -> ChunkResult:
        """Waits for a chunk, and sends it again where its worker lacked something or died.

        Raises:
            BackendError: where workers differ in what decides the bits.
            BrokenExecutor: where the executor broke and there is no other.
        """
        while True:
            sent = self._sent.pop(future)
            reply = self._reply(future, sent.executor)
            if reply is None:
                future = self._send(sent.chunk)
                continue
            self._require_alike(reply)
            self._note_tapes(reply, sent.keys)
            if reply.result is not None:
                self._breaks = 0
                return reply.result
            chunk = sent.chunk
            if reply.lacks_file:
                chunk = attrs.evolve(chunk, leaves=[as_float64(leaf) for leaf in chunk.leaves])
            future = self._send(chunk, all_tapes=True)

    def _send(self, chunk: Chunk, *, all_tapes: bool = False) -> Future[Reply]:
        """Hands a chunk to the executor, with the tapes that a worker may lack."""
        tapes = dict(self._serialised(code) for code in self._codes())
        lacked = {k: tape for k, tape in tapes.items() if all_tapes or not self._is_everywhere(k)}
        task = Task(self._job, tuple(tapes), lacked, chunk.numbers, chunk.options)
        future = self._submitted(task, chunk)
        self._sent[future] = _Sent(chunk, self._executor, task.keys)
        return future

    def _submitted(self, task: Task, chunk: Chunk) -> Future[Reply]:
        """The executor's future; where the executor is broken already, one that raises that."""
        try:
            return self._executor.submit(run_task, VERSION, task.packed(), *chunk.leaves)
        except BrokenExecutor as error:
            broken: Future[Reply] = Future()
            broken.set_exception(error)
            return broken
        except RuntimeError as error:
            raise BackendError(
                f"the executor ({here()}) takes no work ({error}): pass one that is running"
            ) from error

    def _serialised(self, code: BatchCode) -> tuple[Key, bytes]:
        """A path's tape and its key, serialised once."""
        if code not in self._tapes:
            try:
                tape = serialised(code.path.tape)
            except PicklingError as error:
                raise BackendError(f"a rule cannot go to workers ({here()}): {error}") from error
            self._tapes[code] = key_of(tape), tape
        return self._tapes[code]

    def _is_everywhere(self, key: Key) -> bool:
        """Whether every worker known so far holds a tape, and there is one."""
        return bool(self._held) and all(key in held for held in self._held.values())

    def _reply(self, future: Future[Reply], executor: Executor) -> Reply | None:
        """The worker's reply; None where the executor broke and another took its place."""
        try:
            return future.result()
        except (BrokenExecutor, CancelledError):
            if not self._replaced(executor):
                raise
            return None
        except ModuleNotFoundError as error:
            raise BackendError(
                f"a worker cannot import {error.name} ({here()}): install there what is installed "
                "here"
            ) from error

    def _replaced(self, broken: Executor) -> bool:
        """Puts another executor in the place of a broken one; false where there is none."""
        if self._factory is None or self._breaks >= _MOST_BREAKS:
            return False
        if broken is self._executor:
            self._breaks += 1
            self._executor = self._new_executor()
        return True

    def _require_alike(self, reply: Reply) -> None:
        """Refuses a worker whose bits may differ from those of the first that replied."""
        worker, first = self._first = self._first or (reply.worker, reply.fingerprint)
        if (found := difference(first, reply.fingerprint)) is not None:
            raise BackendError(
                f"workers {worker} and {reply.worker} ({here()}) differ in {found}, so that "
                "sums would depend on who did which rows: use workers of one kind"
            )

    def _note_tapes(self, reply: Reply, keys: Sequence[Key]) -> None:
        """Notes which tapes a worker holds, given those that its chunk needed."""
        held = self._held.setdefault(reply.worker, set())
        if reply.lacks_tapes:
            held.difference_update(reply.lacks_tapes)
        else:
            held.update(keys)
