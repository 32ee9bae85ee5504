"""A progress line on the terminal, for work that takes more than a second.

Nothing is written unless the standard error stream is a terminal, and the line is cleared when the
work ends. Of nested pieces of work the outer one has the line.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread
from time import monotonic
from typing import Final, TypeVar

__all__ = ["progress", "waiting"]

T = TypeVar("T")

_DELAY: Final = 1.0
"""The seconds of work before anything is written."""
_INTERVAL: Final = 0.1
"""The seconds between two updates of the line."""
_WIDTH: Final = 30
_LINE: Final = Lock()
"""Held by the work that has the line."""
_CLEAR: Final = "\r\x1b[K"


def progress(items: Iterable[T], total: int, title: str) -> Iterator[T]:
    """The items, with a bar for the share of ``total`` that has been taken.

    >>> sum(progress(range(4), 4, "adding"))
    6
    """
    return _counted(items, total, title) if sys.stderr.isatty() else iter(items)


def _counted(items: Iterable[T], total: int, title: str) -> Iterator[T]:
    if not _LINE.acquire(blocking=False):
        yield from items
        return
    due, shown = monotonic() + _DELAY, False
    try:
        for count, item in enumerate(items):
            if monotonic() >= due:
                _write(f"{title} {_bar(count, total)} {count:,} of {total:,}")
                due, shown = monotonic() + _INTERVAL, True
            yield item
    finally:
        if shown:
            _write("")
        _LINE.release()


@contextmanager
def waiting(title: str) -> Iterator[None]:
    """Shows the title and the seconds that have passed, for work whose steps cannot be counted.

    >>> with waiting("laying out"):
    ...     pass
    """
    if not sys.stderr.isatty() or not _LINE.acquire(blocking=False):
        yield
        return
    over = Event()
    clock = Thread(target=_tick, args=(title, over), daemon=True)
    clock.start()
    try:
        yield
    finally:
        over.set()
        clock.join()
        _LINE.release()


def _tick(title: str, over: Event) -> None:
    start = monotonic()
    if over.wait(_DELAY):
        return
    while not over.wait(_INTERVAL):
        _write(f"{title} ... {monotonic() - start:.0f} s")
    _write("")


def _bar(count: int, total: int) -> str:
    filled = min(_WIDTH, _WIDTH * count // max(total, 1))
    return f"[{'#' * filled}{'.' * (_WIDTH - filled)}]"


def _write(text: str) -> None:
    sys.stderr.write(_CLEAR + text)
    sys.stderr.flush()
