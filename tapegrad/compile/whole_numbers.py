"""Tells a whole number from all others by questions that are answered by yes or no.

A guard of a program has one of two outcomes, and which guard comes next depends on the outcomes
before it alone: only so do no path's outcomes begin with another's. The guard of a tape that
records a whole number becomes several such guards.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import pairwise
from math import inf, isfinite, isnan
from typing import Final

from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Operand

__all__ = ["questions"]

_LARGEST: Final = sys.float_info.max
_BOUNDS: Final = (0.0, 1.0, *(2.0**k for k in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)), inf)
_INTERVALS: Final = (*pairwise(_BOUNDS),)


def questions(x: Operand, value: float) -> Iterator[tuple[Operand, bool]]:
    """Questions about ``x``, with the answers that only a whole number with this value gives.

    First whether it is a whole number at all (nan says that it is not), then its sign, its size
    by bounds that grow, and the place between two bounds by bisection.
    """
    yield ops.eq(ops.trunc(x), x), not isnan(value)
    if isnan(value):
        return
    yield ops.ge(x, 0.0), value >= 0.0
    within = (-inf, inf)
    for end, start in _INTERVALS:
        bound = start if value >= 0.0 else -min(start, _LARGEST)
        yield ops.ge(x, bound), value >= bound
        if (value >= bound) == (value < 0.0):
            within = (end, bound) if value >= 0.0 else (bound, -end)
            break
    yield from _bisection(x, value, *within)


def _bisection(x: Operand, value: float, low: float, high: float) -> Iterator[tuple[Operand, bool]]:
    """Questions that find the whole number with this value between two bounds, the first included.

    No infinity is between them.
    """
    while isfinite(value) and (middle := _middle(low, high)) is not None:
        yield ops.ge(x, middle), value >= middle
        low, high = (middle, high) if value >= middle else (low, middle)


def _middle(low: float, high: float) -> float | None:
    """A whole number halfway between two, as a float; None where there is none."""
    middle = (int(low) + (int(high) if high < inf else 2**1024)) // 2
    found = float(min(middle, int(_LARGEST)))
    return found if low < found < high else None
