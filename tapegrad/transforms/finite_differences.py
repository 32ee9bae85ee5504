"""Estimates a derivative from values of a function alone, with the error of the estimate.

Takes central differences over steps that halve, extrapolates them (L. F. Richardson) and stops
where two neighbours agree best (C. J. F. Ridders, Advances in Engineering Software 4, 1982). The
rounding error of the function is measured at the smallest steps, not assumed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from math import fabs, inf, isfinite, nan
from typing import Final, final

import attrs

__all__ = ["FiniteDifference", "finite_difference"]

_STEPS: Final = 20
_MOST_EXTRAPOLATIONS: Final = 6
_FIRST_STEP: Final = 0.2371
"""Not a dyadic fraction: steps commensurate with a period would all see the same value."""


@final
@attrs.frozen
class FiniteDifference:
    """An estimate of a derivative; ``kink`` where the slopes of the two sides differ."""

    value: float
    error: float
    kink: bool = False


@final
@attrs.frozen
class _Quotient:
    """A central difference quotient, and the difference of the one-sided ones (``jump``)."""

    step: float
    slope: float
    jump: float


def finite_difference(f: Callable[[float], float], x: float) -> FiniteDifference:
    """The derivative of ``f`` at ``x`` from its values around there.

    Points where ``f`` raises or is not finite are left out.

    >>> from math import exp
    >>> found = finite_difference(exp, 1.0)
    >>> abs(found.value - exp(1.0)) <= found.error <= 1e-10
    True
    """
    middle = _value_or_nan(f, x)
    best = FiniteDifference(nan, inf)
    for scale in sorted({max(fabs(x), 1.0), fabs(x)} - {0.0}):
        quotients = list(_quotients(f, x, middle, scale))
        if _has_kink(quotients):
            return FiniteDifference(quotients[-1].slope, inf, kink=True)
        for found in reversed(list(_extrapolated(quotients, fabs(middle)))):
            best = _better(best, found)
    return best


def _better(best: FiniteDifference, coarser: FiniteDifference) -> FiniteDifference:
    """The coarser one if its error is smaller and it does not contradict the finer ones."""
    apart = fabs(coarser.value - best.value)
    contradicts = apart > 10.0 * (coarser.error + best.error)
    return coarser if coarser.error < best.error and not contradicts else best


def _value_or_nan(f: Callable[[float], float], x: float) -> float:
    try:
        return f(x)
    except (ArithmeticError, ValueError):
        return nan


def _quotients(
    f: Callable[[float], float], x: float, middle: float, scale: float
) -> Iterator[_Quotient]:
    for level in range(_STEPS):
        step = scale * _FIRST_STEP * 0.5**level
        right, left = x + step, x - step
        above, below = _value_or_nan(f, right), _value_or_nan(f, left)
        if isfinite(above) and isfinite(below) and left < x < right:
            slope = (above - below) / (right - left)
            jump = (above - middle) / (right - x) - (middle - below) / (x - left)
            yield _Quotient((right - left) / 2.0, slope, jump)


def _noise(quotients: Sequence[_Quotient]) -> float:
    """The rounding error of the values, seen where the steps are too small for anything else."""
    bends = [b.slope - a.slope for a, b in pairwise(quotients[-8:])]
    steps = [quotient.step for quotient in quotients[-len(bends) + 1 :]]
    # For a smooth function each bend is a quarter of the one before, up to rounding.
    off = (fabs(a / 4.0 - b) * step for (a, b), step in zip(pairwise(bends), steps, strict=False))
    return max(off, default=inf)


def _extrapolated(quotients: Sequence[_Quotient], size: float) -> Iterator[FiniteDifference]:
    """Richardson's extrapolations of the quotients, each with the distance to its neighbours."""
    floor = _noise(quotients) + 2.0**-52 * size
    above: list[float] = []
    for quotient in quotients:
        row = [quotient.slope]
        for order, coarser in enumerate(above[:_MOST_EXTRAPOLATIONS], 1):
            row.append(row[-1] + (row[-1] - coarser) / (4.0**order - 1.0))
        for order in range(2, len(row)):
            apart = max(fabs(row[order] - row[order - 1]), fabs(row[order] - above[order - 1]))
            yield FiniteDifference(row[order], apart + 2.0 * floor / quotient.step)
        above = row


def _has_kink(quotients: Sequence[_Quotient]) -> bool:
    """Whether the jump of the slope stays as the step shrinks; without a kink it shrinks too."""
    if len(quotients) < _STEPS // 2:
        return False
    wide, narrow = quotients[len(quotients) // 2], quotients[len(quotients) // 2 + 4]
    seen = 1e-6 * fabs(narrow.slope) + 10.0 * _noise(quotients) / narrow.step
    return fabs(narrow.jump) > max(0.5 * fabs(wide.jump), seen)
