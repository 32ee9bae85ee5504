"""Methods that one thread runs at a time, wherever an interrupt comes."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from os import getpid
from threading import RLock
from typing import Concatenate, ParamSpec, Protocol, TypeVar, cast, final

__all__ = ["Exclusive", "exclusive"]

T = TypeVar("T")
P = ParamSpec("P")


@final
class Exclusive:
    """Runs one piece of work at a time; the next may begin, however the last one ended.

    A fork copies memory and none of the other threads: what one of them was at would never end in
    the child. So each process has a lock of its own.

    >>> Exclusive().run(lambda: 2 + 2)
    4
    """

    __slots__ = ("_locks",)

    def __init__(self) -> None:
        self._locks: dict[int, _OwnedLock] = {}

    def run(self, work: Callable[[], T]) -> T:
        """The result of ``work``, once no other thread is at such work."""
        lock = self.lock()
        # An interrupt may come after the last instruction of `with` and before it lets the lock go.
        is_inner = lock._is_owned()
        try:
            with lock:
                return work()
        finally:
            while not is_inner and lock._is_owned():
                lock.release()

    def lock(self) -> _OwnedLock:
        """The lock of this process."""
        process = getpid()
        return self._locks.get(process) or self._locks.setdefault(process, _new_lock())


class _OwnedLock(Protocol):
    """The standard library's ``RLock``, which knows whether its thread holds it."""

    def __enter__(self) -> bool: ...
    def __exit__(self, *_: object) -> None: ...
    def release(self) -> None: ...
    def _is_owned(self) -> bool: ...


_new_lock = cast("Callable[[], _OwnedLock]", RLock)


class _Shared(Protocol):
    """An object that several threads change."""

    @property
    def exclusive(self) -> Exclusive:
        """Runs the methods that do so."""


S = TypeVar("S", bound=_Shared)


def exclusive(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """A method that one thread at a time runs, of all such methods of an object."""

    @wraps(method)
    def alone(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        lock = self.exclusive.lock()  # as in `run`, which would take two more calls
        is_inner = lock._is_owned()
        try:
            with lock:
                return method(self, *args, **kwargs)
        finally:
            while not is_inner and lock._is_owned():
                lock.release()

    return alone
