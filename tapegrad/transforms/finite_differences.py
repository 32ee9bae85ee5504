"""A derivative from values alone, with an estimate of its error.

Central differences over steps that halve, extrapolated as L. F. Richardson did and stopped where
two neighbours agree best (C. J. F. Ridders, Advances in Engineering Software 4, 1982). The rounding
of the function is measured from the smallest steps, not assumed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from math import fabs, inf, isfinite, nan
from typing import Final, final

import attrs

__all__ = ["Difference", "difference"]

_STEPS: Final = 20
_DEPTH: Final = 6
_FIRST: Final = 0.2371
"""Not a dyadic fraction: steps commensurate with a period would all see the same value."""


@final
@attrs.frozen
class Difference:
    """An estimate of a derivative; ``kink`` where the slopes of the two sides differ."""

    value: float
    error: float
    kink: bool = False


@final
@attrs.frozen
class _Quotient:
    """What two values at one distance say of the slope, and of the jump of the slope."""

    step: float
    slope: float
    jump: float


def difference(f: Callable[[float], float], x: float) -> Difference:
    """The derivative of ``f`` at ``x`` from its values around there.

    Where ``f`` raises or is not finite, it is left out.

    >>> from math import exp
    >>> found = difference(exp, 1.0)
    >>> abs(found.value - exp(1.0)) <= found.error <= 1e-10
    True
    """
    middle = _settled(f, x)
    best = Difference(nan, inf)
    for scale in sorted({max(fabs(x), 1.0), fabs(x)} - {0.0}):
        quotients = list(_quotients(f, x, middle, scale))
        if _has_kink(quotients):
            return Difference(quotients[-1].slope, inf, kink=True)
        for found in reversed(list(_extrapolated(quotients, fabs(middle)))):
            best = _better(best, found)
    return best


def _better(best: Difference, coarser: Difference) -> Difference:
    """The coarser one if it is more certain and does not contradict what finer steps have shown."""
    apart = fabs(coarser.value - best.value)
    contradicts = apart > 10.0 * (coarser.error + best.error)
    return coarser if coarser.error < best.error and not contradicts else best


def _settled(f: Callable[[float], float], x: float) -> float:
    try:
        return f(x)
    except (ArithmeticError, ValueError):
        return nan


def _quotients(
    f: Callable[[float], float], x: float, middle: float, scale: float
) -> Iterator[_Quotient]:
    for level in range(_STEPS):
        step = scale * _FIRST * 0.5**level
        right, left = x + step, x - step
        above, below = _settled(f, right), _settled(f, left)
        if isfinite(above) and isfinite(below) and left < x < right:
            slope = (above - below) / (right - left)
            jump = (above - middle) / (right - x) - (middle - below) / (x - left)
            yield _Quotient((right - left) / 2.0, slope, jump)


def _noise(quotients: Sequence[_Quotient]) -> float:
    """How far values are off their curve, seen where steps are too small for anything else."""
    bends = [b.slope - a.slope for a, b in pairwise(quotients[-8:])]
    steps = [quotient.step for quotient in quotients[-len(bends) + 1 :]]
    # Of a smooth function a bend is a quarter of the one before, up to rounding.
    off = (fabs(a / 4.0 - b) * step for (a, b), step in zip(pairwise(bends), steps, strict=False))
    return max(off, default=inf)


def _extrapolated(quotients: Sequence[_Quotient], size: float) -> Iterator[Difference]:
    floor = _noise(quotients) + 2.0**-52 * size
    above: list[float] = []
    for quotient in quotients:
        row = [quotient.slope]
        for order, coarser in enumerate(above[:_DEPTH], 1):
            row.append(row[-1] + (row[-1] - coarser) / (4.0**order - 1.0))
        for order in range(2, len(row)):
            apart = max(fabs(row[order] - row[order - 1]), fabs(row[order] - above[order - 1]))
            yield Difference(row[order], apart + 2.0 * floor / quotient.step)
        above = row


def _has_kink(quotients: Sequence[_Quotient]) -> bool:
    """Whether the jump of the slope stays as the step shrinks; of a smooth one it goes with it."""
    if len(quotients) < _STEPS // 2:
        return False
    wide, narrow = quotients[len(quotients) // 2], quotients[len(quotients) // 2 + 4]
    seen = 1e-6 * fabs(narrow.slope) + 10.0 * _noise(quotients) / narrow.step
    return fabs(narrow.jump) > max(0.5 * fabs(wide.jump), seen)
