"""A line on the terminal that says how far something long has come.

Nothing is written unless the standard error stream is a terminal and a second has passed, and the
line is wiped when it is over, however it ends. Of things inside one another the outer one has the
line.
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

_PATIENCE: Final = 1.0
"""The seconds that pass before anything is written."""
_PACE: Final = 0.1
"""The seconds between two looks of the line."""
_WIDTH: Final = 30
_LINE: Final = Lock()
"""Held by what writes the line."""
_WIPE: Final = "\r\x1b[K"


def progress(items: Iterable[T], total: int, title: str) -> Iterator[T]:
    """The items as they are, with a bar for how many of ``total`` have been taken.

    >>> sum(progress(range(4), 4, "adding"))
    6
    """
    return _counted(items, total, title) if sys.stderr.isatty() else iter(items)


def _counted(items: Iterable[T], total: int, title: str) -> Iterator[T]:
    if not _LINE.acquire(blocking=False):
        yield from items
        return
    due, shown = monotonic() + _PATIENCE, False
    try:
        for count, item in enumerate(items):
            if monotonic() >= due:
                _write(f"{title} {_bar(count, total)} {count:,} of {total:,}")
                due, shown = monotonic() + _PACE, True
            yield item
    finally:
        if shown:
            _write("")
        _LINE.release()


@contextmanager
def waiting(title: str) -> Iterator[None]:
    """Show that something is under way, and for how many seconds, where no one can count.

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
    if over.wait(_PATIENCE):
        return
    while not over.wait(_PACE):
        _write(f"{title} ... {monotonic() - start:.0f} s")
    _write("")


def _bar(count: int, total: int) -> str:
    filled = min(_WIDTH, _WIDTH * count // max(total, 1))
    return f"[{'#' * filled}{'.' * (_WIDTH - filled)}]"


def _write(text: str) -> None:
    sys.stderr.write(_WIPE + text)
    sys.stderr.flush()
