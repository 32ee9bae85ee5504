"""The rules of the optimisers: how one number changes, and what is kept for it.

A rule is written in arithmetic alone, for a number, a traced number or an array. ``moments`` are
the numbers kept from the updates before, all 0.0 at first; ``step`` counts from 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol, TypeAlias, final

import attrs

__all__ = ["Adam", "Functions", "Lion", "Momentum", "Now", "Numbers", "RmsProp", "Rule", "Updated"]

Numbers: TypeAlias = Any
"""A number, traced or not, or an array."""

Updated: TypeAlias = tuple[Numbers, tuple[Numbers, ...]]
"""The parameter after the update, and its moments."""


class Functions(Protocol):
    """The functions that rules take, of numbers or of arrays."""

    @property
    def sqrt(self) -> Callable[[Numbers], Numbers]:
        """The square root."""

    @property
    def sign(self) -> Callable[[Numbers], Numbers]:
        """-1, 0 or 1."""


@final
@attrs.frozen
class Now:
    """The update that is made: its number, the first being 1, its rate, and the functions."""

    step: int
    rate: Numbers
    f: Functions


class Rule(Protocol):
    """How an optimiser changes a number."""

    @property
    def moments(self) -> int:
        """How many numbers are kept for each parameter."""

    def __call__(
        self, x: Numbers, slope: Numbers, moments: tuple[Numbers, ...], now: Now
    ) -> Updated:
        """The parameter and its moments after an update."""


@final
@attrs.frozen
class Momentum:
    """Gradient descent, with a velocity where there is momentum."""

    momentum: float
    nesterov: bool
    weight_decay: float

    @property
    def moments(self) -> int:
        """A velocity."""
        return int(self.momentum != 0.0)

    def __call__(
        self, x: Numbers, slope: Numbers, moments: tuple[Numbers, ...], now: Now
    ) -> Updated:
        """The parameter and its moments after an update."""
        slope = _decayed(x, slope, self.weight_decay)
        if not moments:
            return x - now.rate * slope, ()
        velocity = self.momentum * moments[0] + slope
        direction = slope + self.momentum * velocity if self.nesterov else velocity
        return x - now.rate * direction, (velocity,)


@final
@attrs.frozen
class Adam:
    """Means of slopes and of their squares; ``decoupled`` decay shrinks parameters themselves."""

    beta1: float
    beta2: float
    eps: float
    weight_decay: float
    decoupled: bool
    moments: ClassVar[int] = 2

    def __call__(
        self, x: Numbers, slope: Numbers, moments: tuple[Numbers, ...], now: Now
    ) -> Updated:
        """The parameter and its moments after an update."""
        if self.decoupled:
            x = x * (1.0 - now.rate * self.weight_decay) if self.weight_decay else x
        else:
            slope = _decayed(x, slope, self.weight_decay)
        mean = _averaged(moments[0], slope, self.beta1)
        square = _averaged(moments[1], slope * slope, self.beta2)
        scale = (1.0 - self.beta2**now.step) ** 0.5
        step = now.rate / (1.0 - self.beta1**now.step)
        return x - step * (mean / (now.f.sqrt(square) / scale + self.eps)), (mean, square)


@final
@attrs.frozen
class RmsProp:
    """Slopes over the root of the mean of their squares, with a velocity if there is momentum."""

    decay: float
    eps: float
    momentum: float
    weight_decay: float

    @property
    def moments(self) -> int:
        """The mean square, and a velocity."""
        return 1 + (self.momentum != 0.0)

    def __call__(
        self, x: Numbers, slope: Numbers, moments: tuple[Numbers, ...], now: Now
    ) -> Updated:
        """The parameter and its moments after an update."""
        slope = _decayed(x, slope, self.weight_decay)
        square = _averaged(moments[0], slope * slope, self.decay)
        step = slope / (now.f.sqrt(square) + self.eps)
        if not self.momentum:
            return x - now.rate * step, (square,)
        velocity = self.momentum * moments[1] + step
        return x - now.rate * velocity, (square, velocity)


@final
@attrs.frozen
class Lion:
    """The sign of a mean of slopes."""

    beta1: float
    beta2: float
    weight_decay: float
    moments: ClassVar[int] = 1

    def __call__(
        self, x: Numbers, slope: Numbers, moments: tuple[Numbers, ...], now: Now
    ) -> Updated:
        """The parameter and its moments after an update."""
        (mean,) = moments
        direction = now.f.sign(_averaged(mean, slope, self.beta1))
        kept = _averaged(mean, slope, self.beta2)
        return x - now.rate * _decayed(x, direction, self.weight_decay), (kept,)


def _averaged(mean: Numbers, new: Numbers, decay: float) -> Numbers:
    """An exponentially weighted mean."""
    return decay * mean + (1.0 - decay) * new


def _decayed(x: Numbers, slope: Numbers, decay: float) -> Numbers:
    """The slope of the loss with ``decay / 2 * x**2`` beside it."""
    return slope + decay * x if decay else slope
