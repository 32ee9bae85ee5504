"""Solves an equation in one number: Newton's method, then bisection where that stalls."""

from __future__ import annotations

from collections.abc import Callable
from math import fabs, isfinite, isnan
from operator import attrgetter
from typing import Final, TypeAlias, cast, final

import attrs

from tapegrad._support.argument_checks import name_of
from tapegrad._support.source_position import here
from tapegrad.errors import ConvergenceError, TracedNumberError
from tapegrad.ops import table as ops
from tapegrad.recording.recorder import Var
from tapegrad.recording.trace import trace
from tapegrad.sweep.reverse import cotangents
from tapegrad.transforms.traced_call import scalar_output

__all__ = ["Residual", "find_root"]

Residual: TypeAlias = Callable[..., float | Var]
"""The left side of an equation ``f(x, *args) == 0``."""

_MOST_NEWTON_STEPS: Final = 100
_MOST_HALVINGS: Final = 30
_MOST_DOUBLINGS: Final = 60
_MOST_BISECTIONS: Final = 1100


@final
@attrs.frozen
class _Trial:
    """A value of ``f`` and its slope there; ``rounding`` bounds the rounding error of the value."""

    x: float
    value: float
    slope: float
    rounding: float

    @property
    def size(self) -> float:
        return fabs(self.value)

    @property
    def is_root(self) -> bool:
        return self.size <= self.rounding and self.slope != 0.0


_Evaluate: TypeAlias = Callable[[float], _Trial]


def find_root(f: Residual, x0: float, args: tuple[float, ...]) -> float:
    """The x near ``x0`` with ``f(x, *args) == 0``, where the slope is not 0.

    Raises:
        ConvergenceError: when there is none that Newton's method or bisection finds.
    """
    trials: list[_Trial] = []

    def evaluate(x: float) -> _Trial:
        trials.append(_evaluated(f, x, args))
        return trials[-1]

    start = evaluate(x0)
    found, bound = _by_newton(evaluate, start), start.size
    ends = None if found.is_root else _bracket(evaluate, start)
    if ends is not None:
        found, bound = _by_bisection(evaluate, *ends), min(end.size for end in ends)
    # A change of sign with values that grow is a pole.
    if not found.is_root or found.size > bound:
        raise ConvergenceError(
            f"root ({here()}) found no simple solution of {name_of(f)} from {x0!r}: its value is "
            f"{found.value!r} at {found.x!r}, after {len(trials)} evaluations: start nearer to a "
            "solution, or check that there is one where the slope is not 0"
        )
    return found.x


def _evaluated(f: Residual, x: float, args: tuple[float, ...]) -> _Trial:
    """The trial at ``x``, with a first-order bound on its rounding error, from one recording.

    Raises:
        TracedNumberError: when ``f`` reads a traced number that is not an argument.
    """

    def of_x(x: float) -> float | Var:
        return f(x, *args)

    of_x.__qualname__ = name_of(f)
    traced = trace(of_x, x, {})
    output, values = scalar_output(of_x, traced), traced.columns.values
    value = values[output]
    if isinstance(value, Var):
        raise TracedNumberError(
            f"{name_of(f)} ({here()}) reads a traced number that is not among its arguments, and "
            "root would drop its derivative: pass it to root after the start"
        )
    bars = cotangents(traced.columns, {output: 1.0})
    reached = ((bar, y) for bar, y in zip(bars, values, strict=True) if bar is not None)
    noise = sum(fabs(cast(float, bar) * cast(float, y)) for bar, y in reached)
    return _Trial(x, cast(float, value), cast(float, bars[0] or 0.0), 2.0**-51 * noise)


def _by_newton(evaluate: _Evaluate, trial: _Trial) -> _Trial:
    """The last trial of Newton's method, stopped when a step comes no closer to zero."""
    for _ in range(_MOST_NEWTON_STEPS):
        closer = _newton_step(evaluate, trial)
        if closer is None:
            break
        trial = closer
    return trial


def _newton_step(evaluate: _Evaluate, current: _Trial) -> _Trial | None:
    """A trial with a smaller value along Newton's step, halved where needed; None without one."""
    step = ops.div.value(current.value, current.slope)
    if step == 0.0 or not isfinite(step):
        return None
    for _ in range(1 if current.is_root else _MOST_HALVINGS):
        trial = evaluate(current.x - step)
        if trial.size < current.size:
            return trial
        step /= 2.0
    return None


def _bracket(evaluate: _Evaluate, start: _Trial) -> tuple[_Trial, _Trial] | None:
    """Two trials of opposite sign, searched for on both sides in steps that double."""
    ends = {1.0: start, -1.0: start}
    step = max(fabs(start.x), 1.0) * 2.0**-10
    for _ in range(_MOST_DOUBLINGS):
        for side, end in ends.items():
            trial = evaluate(start.x + side * step)
            if min(trial.value, end.value) <= 0.0 <= max(trial.value, end.value):
                return (end, trial) if end.x < trial.x else (trial, end)
            ends[side] = end if isnan(trial.value) else trial
        step *= 2.0
    return None


def _by_bisection(evaluate: _Evaluate, low: _Trial, high: _Trial) -> _Trial:
    """The best trial found while an interval with a change of sign shrinks to nothing.

    Each round takes a Newton step from the best trial, and halves the interval in any case.
    """
    best = min(low, high, key=attrgetter("size"))
    for _ in range(_MOST_BISECTIONS):
        for x in (best.x - ops.div.value(best.value, best.slope), (low.x + high.x) / 2.0):
            if low.x < x < high.x and best.value != 0.0:
                trial = evaluate(x)
                is_low = (trial.value < 0.0) == (low.value < 0.0)
                low, high = (trial, high) if is_low else (low, trial)
                best = min(best, trial, key=attrgetter("size"))
        middle = (low.x + high.x) / 2.0
        if best.value == 0.0 or not low.x < middle < high.x:
            break
    return best
