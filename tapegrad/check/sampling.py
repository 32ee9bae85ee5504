"""Values of a function along one input, kept to the smooth piece that the point is on."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast, final

import attrs

from tapegrad.check.causes import Cause
from tapegrad.check.recorded_point import RecordedPoint
from tapegrad.check.smooth_pieces import describe_change, first_change
from tapegrad.transforms.finite_differences import SHORTEST

__all__ = ["InputSamples"]


@final
@attrs.frozen
class _Sample:
    """The outputs of one call, and the entry at which it leaves the piece of the point, if any."""

    outputs: tuple[float, ...]
    change: int | None


@final
class InputSamples:
    """The outputs of a function as one input moves and the others stay."""

    x: float

    def __init__(self, point: RecordedPoint, index: int) -> None:
        self.point = point
        self.index = index
        self.x = point.values[index]
        self._samples: dict[float, _Sample] = {}

    def value(self, which: int, x: float) -> float:
        """An output where the input is ``x``; nan where that is off the piece of the point."""
        if x not in self._samples:
            self._samples[x] = self._sample(x)
        sample = self._samples[x]
        return sample.outputs[which] if sample.change is None else math.nan

    def _sample(self, x: float) -> _Sample:
        point, moved = self.point, self.point.moved(self.index, x)
        if moved is None:
            return _Sample((), point.outputs[0])
        outputs = tuple(cast(float, moved.columns.values[slot]) for slot in moved.outputs)
        return _Sample(outputs, first_change(point.traced, moved))

    def across(self, which: int) -> Callable[[float], float]:
        """An output on the pieces nearest to the point on either side.

        Where the slopes of both sides agree, what changes at the point is no kink of the function.
        """
        nearest = min((math.fabs(x - self.x) for x in self._samples if x != self.x), default=0.0)
        sides = [self.point.moved(self.index, self.x + step) for step in (-nearest, nearest)]

        def value(x: float) -> float:
            side, moved = sides[x > self.x], self.point.moved(self.index, x)
            if side is None or moved is None:
                return math.nan
            if x != self.x and first_change(side, moved) is not None:
                return math.nan
            return cast(float, moved.columns.values[moved.outputs[which]])

        return value

    def largest(self, which: int) -> float:
        """The largest finite value of an output in the samples."""
        seen = (sample.outputs[which] for sample in self._samples.values() if sample.outputs)
        return max((math.fabs(value) for value in seen if math.isfinite(value)), default=0.0)

    @property
    def is_beside_change(self) -> bool:
        """Whether the piece of the point ends so near that few steps, if any, keep to it."""
        return self._distance() <= SHORTEST * max(math.fabs(self.x), 1.0)

    @property
    def is_inside_piece(self) -> bool:
        """Whether the piece of the point goes on for as long as the input itself, nearly."""
        return 0.0 < 0.5 * math.fabs(self.x) < self._distance()

    def _distance(self) -> float:
        """The distance of the nearest sample that is off the piece of the point."""
        changes = (x for x, sample in self._samples.items() if sample.change is not None)
        return min((math.fabs(x - self.x) for x in changes), default=math.inf)

    def nearest_change(self) -> Cause:
        """The entry at which the smallest step that leaves the piece of the point does so."""
        changes = [
            (math.fabs(x - self.x), sample.change)
            for x, sample in self._samples.items()
            if sample.change is not None
        ]
        if not changes:
            return "", None
        _, slot = min(changes)
        tape = self.point.tape
        return describe_change(tape, slot), tape.site(slot)
