"""The verdict on each derivative in one input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias, final

from tapegrad.check.causes import (
    Cause,
    first_nonfinite,
    kinked_entry,
    most_rounding,
    nonfinite_slope,
    wrong_partial,
)
from tapegrad.check.recorded_point import MARGIN, RecordedPoint, Slots
from tapegrad.check.report import Finding, Verdict
from tapegrad.check.sampling import InputSamples
from tapegrad.transforms.finite_differences import FiniteDifference, finite_difference

__all__ = ["InputCheck", "Mode"]

Mode: TypeAlias = Literal["forward", "reverse"]
"""A direction in which a tape is swept."""

_DECISIVE: Final = 5e-8
"""The largest relative tolerance that tells apart derivatives which differ by 1e-7."""

_NEGLIGIBLE: Final = 1e-10
"""A tolerance this small beside the largest derivative of the same output is negligible."""


_NOTHING: Final = 1e-300
"""A function that differs by less from a constant is one."""


@final
class InputCheck:
    """The derivatives of all outputs in one input, by the tape and by differences."""

    dots: Slots
    samples: InputSamples

    def __init__(self, point: RecordedPoint, index: int) -> None:
        self.point = point
        self.index = index
        self.dots = point.tangents({index: 1.0})
        self.samples = InputSamples(point, index)

    def findings(self, names: Sequence[str], order: int, modes: Sequence[Mode]) -> list[Finding]:
        """A finding for every output, called as in ``names``."""
        return [self._finding(which, name, order, modes) for which, name in enumerate(names)]

    def _finding(self, which: int, name: str, order: int, modes: Sequence[Mode]) -> Finding:
        point, bars = self.point, self.point.bars[which]
        by_mode = {
            "reverse": bars[self.index] or 0.0,
            "forward": self.dots[point.outputs[which]] or 0.0,
        }
        numbers = [by_mode[mode] for mode in modes]
        rounding = point.rounding(bars, self.dots, numbers[0])
        found, verdict, (reason, site) = self._judged(which, numbers[0], rounding)
        if not _agree(numbers, rounding):
            texts = " and ".join(f"{mode} gives {by_mode[mode]!r}" for mode in modes)
            verdict, (reason, site) = "wrong", (texts, most_rounding(point, bars)[1])
        return Finding(
            order, name, point.inputs[self.index], numbers[0], found.value, found.error, verdict,
            reason, site,
        )  # fmt: skip

    def _judged(
        self, which: int, by_tape: float, rounding: float
    ) -> tuple[FiniteDifference, Verdict, Cause]:
        """The differences for one output, the verdict, and what is to blame."""
        samples = self.samples
        noise = self.point.noise(self.point.bars[which])
        found = finite_difference(lambda x: samples.value(which, x), samples.x, by_tape, noise)
        if math.isfinite(found.error):
            verdict = self._verdict(which, by_tape, found, rounding)
            cause = self._cause(which, verdict, found)
            if verdict == "not decided" and samples.is_beside_change:
                return found, "kink", self._kink(which)
            return found, verdict, cause
        if not math.isfinite(samples.value(which, samples.x)):
            return found, "not decided", first_nonfinite(self.point)
        if not math.isfinite(by_tape) and samples.is_inside_piece:
            return found, "not decided", nonfinite_slope(self.point, self.point.bars[which])
        across = finite_difference(samples.across(which), samples.x, by_tape, noise)
        verdict = self._verdict(which, by_tape, across, rounding)
        if verdict == "not decided":
            return found, "kink", self._kink(which)
        cause = self._cause(which, verdict, across)
        return across, verdict, cause if verdict == "right" or cause[0] else self._kink(which)

    def _verdict(
        self, which: int, by_tape: float, found: FiniteDifference, rounding: float
    ) -> Verdict:
        """Whether differences confirm a derivative, contradict it, or cannot tell."""
        tolerance = MARGIN * found.error + rounding
        if not math.isfinite(tolerance):
            return "not decided"
        if not math.fabs(by_tape - found.value) <= tolerance:
            return "not decided" if any(x.is_near(by_tape) for x in found.rivals) else "wrong"
        size = max(math.fabs(by_tape), math.fabs(found.value))
        if by_tape == 0.0:
            size = max(self.samples.largest(which) / max(math.fabs(self.samples.x), 1.0), size)
        is_seen = math.fabs(found.value) > MARGIN * found.error
        if tolerance <= _DECISIVE * size or (is_seen and tolerance <= self._negligible(which)):
            return "right"
        is_constant = found.value == by_tape == 0.0 and found.error <= _NOTHING
        return "right" if is_constant else "not decided"

    def _negligible(self, which: int) -> float:
        """The largest number that does not show in the gradient of an output."""
        bars = self.point.bars[which][: len(self.point.inputs)]
        return _NEGLIGIBLE * max(math.fabs(bar or 0.0) for bar in bars)

    def _cause(self, which: int, verdict: Verdict, found: FiniteDifference) -> Cause:
        """Why a derivative is wrong or not decided, and the line that is to blame."""
        bars = self.point.bars[which]
        if verdict == "wrong":
            return wrong_partial(self.point, bars, self.dots)
        if verdict == "right":
            return "", None
        _, site = most_rounding(self.point, bars)
        if found.rivals:
            return f"steps of several lengths find several slopes, most of it from {site}", site
        if math.fabs(found.value) <= MARGIN * found.error:
            return f"below the error of differences, most of it from {site}", site
        change = self.samples.nearest_change()
        return change if change[0] else (f"hidden by rounding, most of it from {site}", site)

    def _kink(self, which: int) -> Cause:
        """The change at the point, or as near as differences go; else an entry with a kink."""
        change = self.samples.nearest_change()
        return change if change[0] else kinked_entry(self.point, self.point.bars[which], self.dots)


def _agree(numbers: Sequence[float], rounding: float) -> bool:
    """Whether modes differ by rounding at most, or none gives a finite number."""
    if not any(map(math.isfinite, numbers)):
        return True
    return max(numbers) - min(numbers) <= rounding
