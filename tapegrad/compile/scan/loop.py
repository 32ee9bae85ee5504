"""A loop as a value: so many calls of a step, in one of two orders."""

from __future__ import annotations

from itertools import compress
from typing import final

import attrs

from tapegrad.compile.paths import AnyTape
from tapegrad.compile.scan.step import Sizes, Step
from tapegrad.entries.entries import Looped

__all__ = ["Loop"]


@final
@attrs.frozen(repr=False)
class Loop(Looped):
    """``count`` calls of a step, from the first x to the last, or ``backwards``.

    A loop takes two arrays of numbers: the first carry, what is held, and a row for each step of
    the parts of x that are ``moving``; and a row for each step of the other parts of x. It gives
    the last carry, a row of the carry before each step where it ``keeps`` them, and a row of y of
    each step.
    """

    step: Step
    count: int
    moving: tuple[bool, ...]
    backwards: bool = False
    name: str = "step"
    keeps: bool = True

    @property
    def kept(self) -> int:
        """The count of the numbers of a step's carry that stand in the result."""
        return self.step.sizes.widths[0] if self.keeps else 0

    @property
    def x_widths(self) -> tuple[int, int]:
        """The counts of the numbers in the parts of x that are moving, and in the others."""
        x = self.step.sizes.x
        moving = Sizes.width([*compress(x, self.moving)])
        return moving, Sizes.width(x) - moving

    @property
    def tape(self) -> AnyTape:
        """The tape of one step; where the step has several ways, of the first that was taken."""
        return self.step.paths[0].tape

    def __repr__(self) -> str:
        return f"{self.count:,} steps of {self.name}"
