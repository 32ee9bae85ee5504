"""Schedules: rates that change from step to step. The first update is step 0."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias, final

import attrs

from tapegrad._support.argument_checks import require_number, require_positive
from tapegrad._support.source_position import here
from tapegrad.errors import InputError

__all__ = [
    "Curve", "Schedule", "constant", "cosine", "exponential", "linear", "piecewise",
    "warmup",
]  # fmt: skip

Schedule: TypeAlias = Callable[[int], float]
"""A function from the number of updates made so far to the rate of the next one."""


@final
@attrs.frozen
class Curve:
    """A schedule of a known form: ``form(step, *numbers)``."""

    form: Callable[..., float]
    numbers: tuple[object, ...]

    def __call__(self, step: int, /) -> float:
        """The rate at a step."""
        return self.form(step, *self.numbers)


def constant(rate: float, /) -> Schedule:
    """The same rate at every step.

    >>> constant(0.1)(5)
    0.1
    """
    require_number("rate", rate)
    return Curve(_constant, (rate,))


def _constant(step: int, rate: float) -> float:
    return rate


def linear(start: float, end: float, steps: int) -> Schedule:
    """A straight line from ``start`` to ``end`` in so many steps, and ``end`` from there on.

    >>> [linear(1.0, 0.5, steps=4)(step) for step in range(6)]
    [1.0, 0.875, 0.75, 0.625, 0.5, 0.5]
    """
    _require_ends(start, end, steps)
    return Curve(_linear, (start, end, steps))


def _linear(step: int, start: float, end: float, steps: int) -> float:
    return start + (end - start) * (min(step, steps) / steps)


def cosine(start: float, steps: int, end: float = 0.0) -> Schedule:
    """Half a period of a cosine from ``start`` to ``end``, and ``end`` from there on.

    Loshchilov and Hutter 2017, without restarts.

    >>> [round(cosine(1.0, steps=4)(step), 3) for step in range(6)]
    [1.0, 0.854, 0.5, 0.146, 0.0, 0.0]
    """
    _require_ends(start, end, steps)
    return Curve(_cosine, (start, steps, end))


def _cosine(step: int, start: float, steps: int, end: float) -> float:
    return end + (start - end) * (0.5 * (1.0 + math.cos(math.pi * (min(step, steps) / steps))))


def exponential(start: float, factor: float, every: int = 1) -> Schedule:
    """``start``, times ``factor`` for each ``every`` steps, and smoothly in between.

    >>> [exponential(1.0, 0.5, every=2)(step) for step in (0, 2, 4)]
    [1.0, 0.5, 0.25]
    """
    require_number("start", start)
    require_number("factor", factor)
    require_positive("every", every)
    return Curve(_exponential, (start, factor, every))


def _exponential(step: int, start: float, factor: float, every: int) -> float:
    try:
        return start * math.pow(factor, step / every)
    except OverflowError:
        return math.inf


def piecewise(rates: Mapping[int, float], /) -> Schedule:
    """Constant rates: each holds from its step until the next one's.

    >>> [piecewise({0: 0.1, 2: 0.01})(step) for step in range(4)]
    [0.1, 0.1, 0.01, 0.01]
    """
    if 0 not in rates:
        raise InputError(f"piecewise ({here()}) has no rate for step 0: pass one, {{0: rate, ...}}")
    for step, rate in rates.items():
        require_number(f"the rate from step {step} on", rate, may_be_zero=True)
    return Curve(_piecewise, (tuple(sorted(rates.items())),))


def _piecewise(step: int, rates: tuple[tuple[int, float], ...]) -> float:
    return [rate for start, rate in rates if start <= step][-1]


def warmup(steps: int, then: float | Schedule) -> Schedule:
    """Rises to the first rate of ``then`` in so many steps, and goes on with ``then`` from there.

    The first rate is that rate / (steps + 1); optax begins with 0.

    >>> [warmup(3, then=1.0)(step) for step in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """
    require_positive("steps", steps)
    return Curve(_warmup, (steps, then if callable(then) else constant(then)))


def _warmup(step: int, steps: int, then: Schedule) -> float:
    return then(0) * ((step + 1) / (steps + 1)) if step < steps else then(step - steps)


def _require_ends(start: float, end: float, steps: int) -> None:
    require_number("start", start)
    require_number("end", end, may_be_zero=True)
    require_positive("steps", steps)
