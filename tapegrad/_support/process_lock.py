"""A lock that survives a fork."""

from __future__ import annotations

from os import getpid
from threading import Lock
from typing import final

__all__ = ["ProcessLock"]


@final
class ProcessLock:
    """A lock of the threads of one process; a forked process begins with one of its own.

    A fork copies memory and none of the other threads: a lock that one of them held at that moment
    would never be free in the child.
    """

    __slots__ = ("_locks",)

    def __init__(self) -> None:
        self._locks: dict[int, Lock] = {}

    def __enter__(self) -> None:
        process = getpid()
        lock = self._locks.get(process) or self._locks.setdefault(process, Lock())
        lock.acquire()

    def __exit__(self, *_: object) -> None:
        lock = self._locks.get(getpid())
        if lock is not None and lock.locked():  # not where the thread forked while it held it
            lock.release()
