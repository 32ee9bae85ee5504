"""A loop as a value: so many calls of a step, in one of two orders."""

from __future__ import annotations

from typing import final

import attrs

from tapegrad._support.cached import cached
from tapegrad.compile.paths import AnyTape
from tapegrad.compile.scan.step import Step
from tapegrad.entries.entries import Looped

__all__ = ["Loop"]


@final
@attrs.frozen(repr=False, slots=False)
class Loop(Looped):
    """``count`` calls of a step, from the first x to the last, or ``backwards``.

    A loop takes an array of numbers, the first carry and what is held; and arrays with a row for
    each step, which are the numbers of x side by side. It gives the last carry, a row of the carry
    before each step where it ``keeps`` them, and a row of y of each step.
    """

    step: Step
    count: int
    backwards: bool = False
    name: str = "step"
    keeps: bool = True

    @cached
    def kept(self) -> int:
        """The count of the numbers of a step's carry that stand in the result."""
        return self.step.sizes.widths[0] if self.keeps else 0

    @cached
    def size(self) -> int:
        """The count of the numbers of the result."""
        carry, _, _, y = self.step.sizes.widths
        return carry + self.count * (self.kept + y)

    @cached
    def numbers(self) -> range:
        """The numbers of the steps in order."""
        return range(self.count)[:: -1 if self.backwards else 1]

    @property
    def tape(self) -> AnyTape:
        """The tape of one step; where the step has several ways, of the first that was taken."""
        return self.step.paths[0].tape

    def __repr__(self) -> str:
        return f"{self.count:,} steps of {self.name}"
