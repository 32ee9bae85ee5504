"""The memory that code of programs with arrays computes in.

A *frame* is code bound to buffers of its own. A call takes an idle one, or makes one where there is
none, and gives it back at its end, so that threads, and calls inside calls, never share one. Idle
frames take at most ``MOST_BYTES`` of memory all together; those of code made longest ago go first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial
from threading import Lock
from typing import Any, Final, TypeAlias, cast, final
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from tapegrad.compile.backends.interface import RunFloats

__all__ = ["MOST_BYTES", "Frames", "memory"]

MOST_BYTES: Final = 1 << 30
"""The most memory that frames keep between calls."""

_LINE: Final = 64
_ENDS_EACH_CALL: Final = np.lib.NumpyVersion(np.__version__) < "2.0.0"
"""Whether numpy keeps what it does about overflow elsewhere than in a context."""

Bind: TypeAlias = Callable[[], RunFloats]


def memory(size: int) -> NDArray[np.uint8]:
    """Memory of this size, which begins where a line of the processor's cache does."""
    found = np.empty(size + _LINE, np.uint8)
    start = -found.ctypes.data % _LINE
    return found[start : start + size]


@final
class Frames:
    """Runs code that ``bind`` binds to new buffers of this ``size``, in bytes.

    Code that ``calls_back`` functions of the user's runs in their context.
    """

    def __init__(self, bind: Bind, size: int, *, calls_back: bool) -> None:
        self._bind, self._size = bind, size
        self._calls_back = calls_back or _ENDS_EACH_CALL
        self._idle: list[RunFloats] = []

    def __call__(self, inputs: Sequence[float]) -> Sequence[float] | int:
        """The outputs, or the index of the guard that came out differently."""
        try:
            run = self._idle.pop()
        except IndexError:
            run = self._new()
        found = run(inputs)
        self._idle.append(run)
        return found

    def _new(self) -> RunFloats:
        _KEPT.add(self, self._size)
        run = self._bind()
        if self._calls_back:
            return partial(_quietly, run)
        context = copy_context()
        context.run(_silence)
        return partial(cast("Callable[..., Any]", context.run), run)

    def drop(self) -> None:
        """Frees the frames that no call uses."""
        self._idle.clear()


def _silence() -> None:
    """Turns numpy's warnings off, until the end of this context."""
    np.errstate(all="ignore").__enter__()


def _quietly(run: RunFloats, inputs: Sequence[float]) -> Any:
    with np.errstate(all="ignore"):
        return run(inputs)


@final
class _Kept:
    """The frames that were made and are still there, with their sizes, in order."""

    def __init__(self) -> None:
        self._made: list[tuple[ref[Frames], int]] = []
        self._lock = Lock()

    def add(self, frames: Frames, size: int) -> None:
        """Counts a new frame; where there are too many, the oldest are dropped."""
        with self._lock:
            made = [(one, count) for one, count in self._made if one() is not None]
            made.append((ref(frames), size))
            while sum(count for _, count in made) > MOST_BYTES and len(made) > 1:
                oldest = made.pop(0)[0]()
                if oldest is not None and oldest is not frames:
                    oldest.drop()
            self._made = made


_KEPT: Final = _Kept()
