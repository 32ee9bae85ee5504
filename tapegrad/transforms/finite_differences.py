"""Estimates a derivative from values of a function alone, with the error of the estimate.

Takes central differences over steps that halve, extrapolates them (L. F. Richardson) and stops
where two neighbours agree best (C. J. F. Ridders, Advances in Engineering Software 4, 1982). The
rounding error of the function is measured at the smallest steps, not assumed.

One ladder of steps sees one scale. A period shorter than its steps, or a bend narrower, shows as
noise, as a kink, or not at all; so where a ladder does not settle the matter, others with shorter
steps follow. The shortest steps that tell anything are believed; noise tells nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from math import fabs, inf, isfinite, nan
from typing import Final, final

import attrs

__all__ = ["LEAST", "SHORTEST", "FiniteDifference", "finite_difference"]

_STEPS: Final = 20
_MOST_EXTRAPOLATIONS: Final = 6
_FIRST_STEP: Final = 0.2371
"""Not a dyadic fraction: steps commensurate with a period would all see the same value."""

SHORTEST: Final = _FIRST_STEP * 0.5 ** (_STEPS - 1)
"""The shortest step of the first ladder, in units of the number that is moved."""

_FINER: Final = (2.0**-16, 2.0**-32)
"""How much shorter the steps of the next ladders are; the last end at the spacing of floats."""

_SETTLED: Final = 1e-9
"""An estimate is accurate where its relative error is smaller."""

_TELLING: Final = 1e-3
"""An estimate is believed before those of longer steps where its relative error is smaller."""

_HINTING: Final = 3e-2
"""An estimate casts doubt on others where its relative error is smaller."""

_MARGIN: Final = 10.0
"""An estimate may be off by this many times its error."""

_JUMP: Final = 1e-2
"""Values that still change by this part of what they ever do, at steps so much shorter, jump."""

_FEW: Final = 3
"""Values that change at more steps than these, and then no more, keep to a grid."""

_BROKEN: Final = 0.51
"""A slope that is suddenly off by more than a half is broken; a kink nearby breaks it less."""

_ROUNDING: Final = 2.0**-52
"""The relative error of a value that is rounded once."""

LEAST: Final = 5e-324
"""The error of a value that underflows."""


@final
@attrs.frozen
class FiniteDifference:
    """An estimate of a derivative; ``kink`` where the slopes of the two sides differ.

    ``rivals`` are what steps of other lengths find, and otherwise.
    """

    value: float
    error: float
    kink: bool = False
    rivals: tuple[FiniteDifference, ...] = ()

    def is_near(self, slope: float) -> bool:
        """Whether the estimate does not contradict a slope."""
        return fabs(slope - self.value) <= _MARGIN * self.error + _SETTLED * fabs(self.value)

    def is_at_odds(self, other: FiniteDifference) -> bool:
        """Whether two estimates contradict each other."""
        return fabs(self.value - other.value) > _MARGIN * (self.error + other.error)

    def tells(self, accuracy: float) -> bool:
        """Whether the estimate tells the slope from 0, and has this relative accuracy."""
        return self.error <= accuracy * fabs(self.value)


@final
@attrs.frozen
class _Quotient:
    """A central difference quotient, and the difference of the one-sided ones (``jump``).

    ``size`` is that of the larger of the two values, and ``rounding`` the error of the slope if
    the values are rounded once.
    """

    step: float
    slope: float
    jump: float
    size: float
    rounding: float


def finite_difference(
    f: Callable[[float], float], x: float, expected: float | None = None, noise: float = LEAST
) -> FiniteDifference:
    """The derivative of ``f`` at ``x`` from its values around there.

    Points where ``f`` raises or is not finite are left out. A slope that is ``expected`` helps to
    find the scale of the function, and ends the search where it is found. ``noise`` is an error
    that values are known to have; more is found out.

    >>> from math import exp
    >>> found = finite_difference(exp, 1.0)
    >>> abs(found.value - exp(1.0)) <= found.error <= 1e-10
    True
    """
    middle = _value_or_nan(f, x)
    ladders: list[Sequence[_Quotient]] = []
    found = FiniteDifference(nan, inf)
    for scale in _scales(x, expected, ladders):
        quotients = list(_quotients(f, x, middle, scale, noise))
        if quotients:
            ladders.append(quotients)
            ladders.sort(key=lambda ladder: ladder[-1].step)
            found = _combined(ladders)
            if _is_settled(found, fabs(middle), expected):
                break
    return found


def _scales(
    x: float, expected: float | None, ladders: Sequence[Sequence[_Quotient]]
) -> Iterator[float]:
    """The lengths of the first steps, the longest first, and last that of the function itself."""
    yield from sorted({max(fabs(x), 1.0), fabs(x)} - {0.0}, reverse=True)
    for factor in _FINER:
        yield factor * (fabs(x) or 1.0)
    largest = max((quotient.size for ladder in ladders for quotient in ladder), default=0.0)
    least = min((ladder[-1].step for ladder in ladders), default=1.0)
    scale = largest / fabs(expected) if expected and isfinite(expected) else inf
    if scale < least:
        yield scale


def _is_settled(found: FiniteDifference, size: float, expected: float | None) -> bool:
    """Whether shorter steps would add nothing."""
    if found.kink or not (expected is None or found.is_near(expected)):
        return False
    least = fabs(found.value) if expected is None else max(fabs(expected), fabs(found.value))
    return found.error <= _SETTLED * (least or size)


def _combined(ladders: Sequence[Sequence[_Quotient]]) -> FiniteDifference:
    """The estimates of all ladders, those with the shortest steps first."""
    if not _is_resolved(ladders):
        return FiniteDifference(nan, inf)
    # Short steps over values that do not change at all tell nothing where longer ones change them.
    moving = [ladder for ladder in ladders if any(x.slope for x in ladder)] or ladders
    if _has_kink(moving):
        return FiniteDifference(moving[0][-1].slope, inf, kink=True)
    found = [_by_extrapolation(ladder) for ladder in moving]
    telling = [estimate for estimate in found if estimate.tells(_TELLING)]
    best = telling[0] if telling else min(found, key=lambda estimate: estimate.error)
    for coarser in telling[1:]:
        best = _better(best, coarser)
    rivals = found if _is_sawtooth(moving, best.value) else [x for x in found if x.tells(_HINTING)]
    return attrs.evolve(best, rivals=tuple(x for x in rivals if x.is_at_odds(best)))


def _is_sawtooth(ladders: Sequence[Sequence[_Quotient]], slope: float) -> bool:
    """Whether a slope holds between jumps only, as that of a value that cancels does.

    A smooth function leaves its slope by a few percent at first, and by a half later.
    """
    quotients = sorted((x for ladder in ladders for x in ladder), key=lambda x: x.step)
    run = 0
    for finer, quotient in pairwise(quotients):
        off = fabs(quotient.slope - slope) / fabs(slope) if slope else inf
        if run >= _FEW and off > _BROKEN and quotient.step < 3.0 * finer.step:
            return True
        run = run + 1 if off <= _HINTING else 0
    return False


def _is_resolved(ladders: Sequence[Sequence[_Quotient]]) -> bool:
    """Whether values change less and less as steps shrink, and slopes do not overflow."""
    if not all(isfinite(quotient.slope) for quotient in ladders[0]):
        return False
    changes = [(x.step, fabs(x.slope) * x.step) for ladder in ladders for x in ladder]
    (least, last), (most, _) = min(changes), max(changes)
    largest = max(change for _, change in changes)
    return not (last > _JUMP * largest and least < _JUMP**2 * most)


def _by_extrapolation(quotients: Sequence[_Quotient]) -> FiniteDifference:
    """The best extrapolation in one ladder."""
    best = FiniteDifference(nan, inf)
    for found in reversed(list(_extrapolated(quotients))):
        best = _better(best, found)
    return best


def _better(best: FiniteDifference, coarser: FiniteDifference) -> FiniteDifference:
    """The coarser one if its error is smaller and it does not contradict the finer ones."""
    return coarser if coarser.error < best.error and not coarser.is_at_odds(best) else best


def _value_or_nan(f: Callable[[float], float], x: float) -> float:
    try:
        return f(x)
    except (ArithmeticError, ValueError):
        return nan


def _quotients(
    f: Callable[[float], float], x: float, middle: float, scale: float, noise: float
) -> Iterator[_Quotient]:
    for level in range(_STEPS):
        step = scale * _FIRST_STEP * 0.5**level
        right, left = x + step, x - step
        if not left < x < right:
            return
        above, below = _value_or_nan(f, right), _value_or_nan(f, left)
        if isfinite(above) and isfinite(below):
            slope = (above - below) / (right - left)
            jump = (above - middle) / (right - x) - (middle - below) / (x - left)
            size, half = max(fabs(above), fabs(below)), (right - left) / 2.0
            yield _Quotient(half, slope, jump, size, max(_ROUNDING * size, noise) / half)


def _noise(quotients: Sequence[_Quotient]) -> float:
    """The rounding error of the values, seen where the steps are too small for anything else.

    Values that keep to a grid change by one of its steps or not at all.
    """
    bends = [b.slope - a.slope for a, b in pairwise(quotients[-8:])]
    steps = [quotient.step for quotient in quotients[-len(bends) + 1 :]]
    # For a smooth function each bend is a quarter of the one before, up to rounding.
    off = [fabs(a / 4.0 - b) * step for (a, b), step in zip(pairwise(bends), steps, strict=False)]
    moving = [fabs(x.slope) * x.step for x in quotients if x.slope]
    is_grid = _FEW < len(moving) < len(quotients) and not quotients[-1].slope
    return max([*off, min(moving) if is_grid else 0.0]) if off else inf


def _extrapolated(quotients: Sequence[_Quotient]) -> Iterator[FiniteDifference]:
    """Richardson's extrapolations of the quotients, each with the distance to its neighbours."""
    noise = _noise(quotients)
    above: list[float] = []
    for quotient in quotients:
        row = [quotient.slope]
        for order, coarser in enumerate(above[:_MOST_EXTRAPOLATIONS], 1):
            row.append(row[-1] + (row[-1] - coarser) / (4.0**order - 1.0))
        for order in range(2, len(row)):
            apart = max(fabs(row[order] - row[order - 1]), fabs(row[order] - above[order - 1]))
            floor = 2.0 * (noise / quotient.step + quotient.rounding)
            yield FiniteDifference(row[order], apart + floor)
        above = row


def _has_kink(ladders: Sequence[Sequence[_Quotient]]) -> bool:
    """Whether the slopes of the two sides stay apart, and no shorter steps find them closer."""
    smoothest = inf
    for jump in filter(None, map(_jump, ladders)):
        if jump.wide > jump.noise and jump.narrow > 0.5 * jump.wide:
            return jump.narrow > jump.noise and not smoothest < 0.5 * jump.narrow
        smoothest = min(smoothest, jump.wide + jump.noise)
    return False


@final
@attrs.frozen
class _Jump:
    """How far apart the slopes of the two sides are at a wide and at a narrow step.

    At a kink the jump stays as the step shrinks, else it shrinks too.
    """

    wide: float
    narrow: float
    noise: float


def _jump(quotients: Sequence[_Quotient]) -> _Jump | None:
    """The jump of the slopes in one ladder, if it is long enough."""
    if len(quotients) < _STEPS // 2:
        return None
    wide, narrow = quotients[len(quotients) // 2], quotients[len(quotients) // 2 + 4]
    noise = 1e-6 * fabs(narrow.slope) + 10.0 * (_noise(quotients) / narrow.step + narrow.rounding)
    return _Jump(fabs(wide.jump), fabs(narrow.jump), noise)
