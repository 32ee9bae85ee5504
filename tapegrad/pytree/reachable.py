"""Finds traced numbers behind objects that are no containers: in attributes, closures, arrays.

Such numbers cannot be taken out and put back, so a value that reaches one is refused.
"""

from __future__ import annotations

import gc
import sys
from collections import deque
from collections.abc import Iterable
from types import CodeType, FrameType, FunctionType, ModuleType, TracebackType
from typing import Final, cast

from tapegrad.ops.primitive import Traced

__all__ = ["object_array_parts", "reaches_traced"]

_MOST: Final = 10_000
"""The most objects that are looked at, those nearest first."""

_SHARED: Final = type | ModuleType | CodeType | FrameType | TracebackType
"""Kinds of objects shared by the whole program, or the stack: no value is in there."""

_ATOMS: Final = frozenset((str, int, bool, float, complex, bytes, type(None)))


def reaches_traced(value: object) -> bool:
    """Whether a traced number is among the objects that a value refers to, however far away."""
    if type(value) in _ATOMS:
        return False
    queue, seen = deque([value]), {id(value): value}
    while queue and len(seen) < _MOST:
        for part in _parts(queue.popleft()):
            if type(part) in _ATOMS:
                continue
            if isinstance(part, Traced):
                return True
            if id(part) not in seen and not isinstance(part, _SHARED):
                seen[id(part)] = part
                queue.append(part)
    return False


def object_array_parts(value: object) -> Iterable[object]:
    """The elements of an array of objects of numpy's; nothing for any other value."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.ndarray) or value.dtype != object:
        return ()
    return cast("Iterable[object]", value.flat)


def _parts(value: object) -> Iterable[object]:
    """The objects that one refers to; of a function not its globals, of an array its elements."""
    if isinstance(value, FunctionType):
        cells = gc.get_referents(*(value.__closure__ or ()))
        return (*cells, value.__defaults__, value.__kwdefaults__, value.__dict__)
    return [*gc.get_referents(value), *object_array_parts(value)]
