"""The line of the user's program that a wrong or undecided derivative is blamed on."""

from __future__ import annotations

import math
from collections.abc import Iterable
from operator import itemgetter
from typing import TypeAlias

from tapegrad._support.source_position import Site
from tapegrad.check.recorded_point import EntryPartial, RecordedPoint, Slots, magnitude

__all__ = [
    "Cause", "first_nonfinite", "kinked_entry", "most_rounding", "nonfinite_slope", "wrong_partial",
]  # fmt: skip

Cause: TypeAlias = tuple[str, Site | None]
"""Why a derivative is not right, as far as that is known, and the line."""


def wrong_partial(point: RecordedPoint, bars: Slots, dots: Slots) -> Cause:
    """The entry whose wrong partial adds most to the error of a derivative.

    Two partials that are 0 in a row hide each other's tangent; then cotangents decide.
    """
    wrong = [x for x in point.partials if x.error]
    for tangents in (dots, [1.0] * len(dots)):
        worst = _largest((magnitude(bars[x.slot], x.error, tangents[x.operand]), x) for x in wrong)
        if worst is not None:
            site = point.tape.site(worst.slot)
            return f"{worst}, {site}", site
    return most_rounding(point, bars)


def kinked_entry(point: RecordedPoint, bars: Slots, dots: Slots) -> Cause:
    """The entry with a kink of its own that the derivative depends on most."""
    kinks = (x for x in point.partials if x.estimate.kink)
    worst = _largest((magnitude(bars[x.slot], dots[x.operand]), x) for x in kinks)
    if worst is None:
        return "the slope jumps here", None
    site = point.tape.site(worst.slot)
    return f"{point.columns.row(worst.slot).name} has a kink here, {site}", site


def _largest(candidates: Iterable[tuple[float, EntryPartial]]) -> EntryPartial | None:
    """The partial with the largest number, if that is not 0."""
    most, partial = max(candidates, default=(0.0, None), key=itemgetter(0))
    return partial if most else None


def most_rounding(point: RecordedPoint, bars: Slots) -> Cause:
    """The entry whose rounding error counts most in the result."""
    sizes = [magnitude(bar, value, 1.0) for bar, value in zip(bars, point.values, strict=True)]
    slot = max(range(len(sizes)), key=sizes.__getitem__, default=0)
    return "", point.tape.site(slot)


def first_nonfinite(point: RecordedPoint) -> Cause:
    """The first entry whose value is not finite."""
    slots = (slot for slot, value in enumerate(point.values) if not math.isfinite(value))
    slot = next(slots, 0)
    site = point.tape.site(slot)
    return f"{point.columns.row(slot).name} gives {point.values[slot]!r}, {site}", site


def nonfinite_slope(point: RecordedPoint, bars: Slots) -> Cause:
    """The entry, of those swept in reverse, whose slope is the first that is not finite."""

    def hands_on(slot: int) -> bool:
        handed = (bars[operand] for operand in point.columns.operands(slot))
        return any(bar is not None and not math.isfinite(bar) for bar in handed)

    finite = (slot for slot, bar in enumerate(bars) if bar is not None and math.isfinite(bar))
    slot = max(filter(hands_on, finite), default=0)
    site = point.tape.site(slot)
    return f"the slope of {point.columns.row(slot).name} is not finite, {site}", site
