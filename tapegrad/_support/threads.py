"""A pool of threads that an interrupt of the thread which waits for them leaves whole.

Those of ``concurrent.futures`` wait with locks that Python code takes: where an interrupt comes
between taking one and the ``try`` around it, it stays taken, and the pool hangs for good. These
wait with queues of the interpreter's own, which an interrupt cannot leave half done.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Generic, TypeVar, final

__all__ = ["Pool", "Task"]

T = TypeVar("T")


@final
class Task(Generic[T]):
    """A call that is made in a thread of a pool, or by ``run``."""

    __slots__ = ("_call", "_ended", "_has_ended", "_is_cancelled")

    def __init__(self, call: Callable[[], T]) -> None:
        self._call, self._is_cancelled, self._has_ended = call, False, False
        self._ended: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

    def run(self) -> None:
        """Makes the call, if it was not cancelled, and keeps its result or what it raises."""
        found: tuple[T | None, BaseException | None] = None, None
        try:
            if not self._is_cancelled:
                found = self._call(), None
        except BaseException as error:  # noqa: BLE001  # it is raised where the call is waited for
            found = None, error
        self.end(found)

    def end(self, found: tuple[T | None, BaseException | None]) -> None:
        """Hands over a result or an error; who waits for the call takes the first."""
        self._has_ended = True
        self._ended.put(found)

    def result(self) -> T:
        """Waits for the call, and gives its result; to be asked for once."""
        value, error = self._ended.get()
        if error is not None:
            raise error
        return value  # type: ignore[return-value]  # a call that was not cancelled has a result

    def cancel(self) -> None:
        """Drops the call where it has not begun, and else waits for its end."""
        self._is_cancelled = True
        if not self._has_ended:
            self._ended.get()


@final
class Pool:
    """Threads that run tasks, and end with the pool."""

    def __init__(self, threads: int) -> None:
        self._tasks: SimpleQueue[Task[object] | None] = SimpleQueue()
        weakref.finalize(self, _end, self._tasks, threads)
        for _ in range(threads):
            Thread(target=_work, args=(self._tasks,), name="tapegrad", daemon=True).start()

    def submit(self, task: Task[T]) -> None:
        """Lets a thread run a task."""
        self._tasks.put(task)  # type: ignore[arg-type]  # a task gives what it likes


def _work(tasks: SimpleQueue[Task[object] | None]) -> None:
    while (task := tasks.get()) is not None:
        try:
            task.run()
        except BaseException as error:  # noqa: BLE001  # one that comes after the call itself
            task.end((None, error))
        del task  # what it holds is not to live until the next one


def _end(tasks: SimpleQueue[Task[object] | None], threads: int) -> None:
    for _ in range(threads):
        tasks.put(None)
