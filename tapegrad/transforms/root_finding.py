"""Solves an equation in one number: Newton's method, then bisection where that stalls.

A number is a solution where the value is 0 up to rounding, and where values beside it show that
the function passes through 0 there with its slope: an infinity, a pole, a value that underflows
and a solution at which the slope is 0 look alike from one value alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import copysign, fabs, inf, isfinite, isinf, isnan, ulp
from operator import attrgetter
from typing import Any, Final, TypeAlias, cast, final

import attrs

from tapegrad._support.argument_checks import name_of
from tapegrad._support.closures import Seen, Witness
from tapegrad._support.source_position import Site, here
from tapegrad.errors import ConvergenceError, TracedNumberError
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import shape_of
from tapegrad.recording.recorder import Var
from tapegrad.recording.trace import trace
from tapegrad.sweep.reverse import cotangents
from tapegrad.transforms.traced_call import scalar_output

__all__ = ["Residual", "Trial", "evaluated", "find_root"]

Residual: TypeAlias = Callable[..., float | Var]
"""The left side of an equation ``f(x, *args) == 0``."""

_MOST_NEWTON_STEPS: Final = 1000
_MOST_HALVINGS: Final = 30
_MOST_BISECTIONS: Final = 1100
_DOUBLINGS: Final = 60
_LEAPS: Final = 64
"""After the doublings, steps of a search grow by ``_LEAP``, up to the end of the double range."""

_LEAP: Final = 2.0**16
_WITNESSES: Final = 2
"""The number of values that tell an equation from another one."""

_MOST_RESTARTS: Final = 3
"""Newton's method starts again from so many of the best values of a search."""

_SCALES: Final = 4
"""The number of distances at which values beside a solution may confirm it."""


@final
@attrs.frozen
class Trial:
    """A value of ``f`` and its slope there; ``rounding`` bounds the rounding error of the value."""

    x: float
    value: float
    slope: float
    rounding: float

    @property
    def size(self) -> float:
        """How far the value is from 0."""
        return inf if isnan(self.value) else fabs(self.value)

    @property
    def sign(self) -> float:
        """That of the value; 0 for nan, and for a 0 that may be anything."""
        return copysign(1.0, self.value) if self.value == self.value != 0.0 else 0.0

    @property
    def is_zero(self) -> bool:
        """Whether the value is 0 up to rounding, and the slope is not 0; it may be vertical."""
        if isinf(self.slope):
            return self.value == 0.0
        return self.size <= self.rounding < inf and self.slope == self.slope != 0.0

    def slope_ratio(self, other: Trial) -> float:
        """The slope of the chord to another trial, by that of the tangent; its sign if vertical."""
        rise, run = other.value - self.value, other.x - self.x
        chord = ops.div.value(rise, run)
        if isinf(self.slope):
            return float(chord * self.slope > 0.0)
        return ops.div.value(chord, self.slope)


def find_root(
    f: Residual, x0: float, args: tuple[float, ...], place: Site | None, witness: Witness
) -> float:
    """The x near ``x0`` with ``f(x, *args) == 0``, where the slope is not 0.

    ``place`` is the line that asks for it, by default the current one. ``witness`` sees
    values of ``f``.

    Raises:
        ConvergenceError: when there is none that Newton's method or bisection finds.
    """
    search = _Search(f, args, place)
    start = search.at(x0)
    found = search.by_newton(start) or search.around(start)
    if not witness.seen:
        witness.see(search.most_telling())
    if found is not None:
        return found.x
    best = min(search.trials, key=attrgetter("size"))
    raise ConvergenceError(
        f"root ({place or here()}) found no simple solution of {name_of(f)} from {x0!r}: its value "
        f"is {best.value!r} at {best.x!r}, after {len(search.trials)} evaluations: start nearer to "
        "a solution, or check that there is one where the slope is not 0"
    )


def evaluated(f: Residual, x: float, args: tuple[float, ...], place: Site | None = None) -> Trial:
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
            f"{name_of(f)} ({place or here()}) reads a traced number that is not among its "
            "arguments, and root would drop its derivative: pass it to root after the start"
        )
    bars = cotangents(traced.columns, {output: 1.0})
    reached = ((bar, y) for bar, y in zip(bars, values, strict=True) if bar is not None)
    magnitude = _magnitude if traced.columns.on_arrays else fabs
    noise = sum(magnitude(cast(float, bar) * cast(float, y)) for bar, y in reached)
    return Trial(x, cast(float, value), cast(float, bars[0] or 0.0), 2.0**-51 * noise)


def _magnitude(product: Any) -> float:
    """The sum of the absolute values of a number or an array."""
    return sum(map(fabs, product.ravel().tolist())) if shape_of(product) else fabs(product)


@final
class _Search:
    """The trials of one search, and what they have in common."""

    def __init__(self, f: Residual, args: tuple[float, ...], place: Site | None) -> None:
        self.f = f
        self.args = args
        self.place = place
        self.trials: list[Trial] = []

    def at(self, x: float) -> Trial:
        """The trial at ``x``."""
        self.trials.append(evaluated(self.f, x, self.args, self.place))
        return self.trials[-1]

    def most_telling(self) -> Seen:
        """The largest values of ``f``, and where: at a solution many functions give 0."""
        largest: list[Trial] = []
        for trial in sorted(self.trials, key=attrgetter("size"), reverse=True):
            if isfinite(trial.value) and all(trial.x != other.x for other in largest):
                largest.append(trial)
        return tuple(((x.x, *self.args), x.value) for x in largest[:_WITNESSES])

    def by_newton(self, trial: Trial) -> Trial | None:
        """The solution that Newton's method finds; it stops where a step comes no closer to 0."""
        before = trial
        for _ in range(_MOST_NEWTON_STEPS):
            closer = self._newton_step(trial)
            if closer is None:
                break
            before, trial = before if trial.is_zero else trial, closer
        return trial if self._is_solution(trial, before) else None

    def _newton_step(self, current: Trial) -> Trial | None:
        """A trial closer to 0 along Newton's step, halved where needed; None without one."""
        step = ops.div.value(current.value, current.slope)
        if step == 0.0 or not isfinite(step):
            return None
        for _ in range(1 if current.is_zero else _MOST_HALVINGS):
            if current.x - step == current.x:
                return None
            trial = self.at(current.x - step)
            if trial.size < current.size:
                return trial
            step /= 2.0
        return None

    def _is_solution(self, trial: Trial, before: Trial) -> bool:
        """Whether values beside a zero show that it is simple: the last step's, or new ones."""
        if not trial.is_zero:
            return False
        if before.size >= 4.0 * trial.rounding and 0.9 < trial.slope_ratio(before) < 1.1:
            return True
        blur = 0.0 if isinf(trial.slope) else 8.0 * fabs(trial.rounding / trial.slope)
        step = max(blur, 4.0 * ulp(trial.x))
        scales = 0
        while scales < _SCALES and step <= max(fabs(trial.x), 1.0) * 2.0**-6:
            sides = [self.at(trial.x - step), self.at(trial.x + step)]
            ratios = [trial.slope_ratio(side) for side in sides if not isnan(side.value)]
            if ratios and all(0.4 < ratio < 2.5 for ratio in ratios):
                return True
            # Values that underflow tell nothing: it takes a longer step to see any.
            scales += any(side.value != 0.0 for side in sides)
            step *= 2.0**8
        return False

    def around(self, start: Trial) -> Trial | None:
        """The solution found on either side of the start.

        Without a change of sign, Newton's method goes on from the best values that were seen where
        the start itself has none to begin with.
        """
        seen = len(self.trials)
        found = next(filter(None, self._on_both_sides(start)), None)
        if found is not None or isfinite(start.value):
            return found
        finite = (x for x in self.trials[seen:] if isfinite(x.value) and isfinite(x.slope))
        best = sorted(finite, key=attrgetter("size"))[:_MOST_RESTARTS]
        return next(filter(None, map(self.by_newton, best)), None)

    def _on_both_sides(self, start: Trial) -> Iterator[Trial | None]:
        """The solutions where the sign changes or the domain ends, searched for step by step.

        A side is left where that is no solution: what comes after a pole, or a hole in the domain,
        has nothing to do with the start.
        """
        walks = [(start, _walk(start.x, side)) for side in (1.0, -1.0)]
        while walks:
            end, steps = walks.pop(0)
            x = next(steps, None)
            if x is None:
                continue
            trial = self.at(x)
            is_crossing = trial.sign * end.sign < 0.0
            if trial.is_zero:
                yield trial if self._is_solution(trial, trial) else None
            elif is_crossing or isnan(trial.value) != isnan(end.value):
                yield self._between(end, trial)
            if not is_crossing and isnan(trial.value) <= isnan(end.value):
                walks.append((trial if trial.sign or isnan(trial.value) else end, steps))

    def _between(self, one: Trial, other: Trial) -> Trial | None:
        """The solution between trials of opposite sign, or of which one is nan."""
        low, high = sorted((one, other), key=attrgetter("x"))
        is_edge = isnan(one.value) or isnan(other.value)
        return self._by_edge(low, high) if is_edge else self._by_bisection(low, high)

    def _by_edge(self, low: Trial, high: Trial) -> Trial | None:
        """The solution between a value and the edge of the domain, where values change sign."""
        outside, inside = (low, high) if isnan(low.value) else (high, low)
        for _ in range(_MOST_BISECTIONS):
            middle = outside.x / 2.0 + inside.x / 2.0
            if middle in {outside.x, inside.x}:
                break
            trial = self.at(middle)
            if trial.sign * inside.sign < 0.0:
                return self._between(trial, inside)
            outside, inside = (trial, inside) if isnan(trial.value) else (outside, trial)
        return None

    def _by_bisection(self, low: Trial, high: Trial) -> Trial | None:
        """The solution found while an interval with a change of sign shrinks to nothing.

        Each round takes a Newton step from the best trial, and halves the interval in any case.
        """
        best = min(low, high, key=attrgetter("size"))
        judged: Trial | None = None
        for _ in range(_MOST_BISECTIONS):
            if best is not judged and self._is_solution(best, judged or best):
                return self.by_newton(best) or best
            judged = best
            for x in (best.x - ops.div.value(best.value, best.slope), low.x / 2.0 + high.x / 2.0):
                if low.x < x < high.x and best.value != 0.0:
                    trial = self.at(x)
                    is_low = (trial.value < 0.0) == (low.value < 0.0)
                    low, high = (trial, high) if is_low else (low, trial)
                    best = min(best, trial, key=attrgetter("size"))
            middle = low.x / 2.0 + high.x / 2.0
            if best.value == 0.0 or not low.x < middle < high.x:
                break
        return best if best is not judged and self._is_solution(best, best) else None


def _walk(start: float, side: float) -> Iterator[float]:
    """Where a search looks on one side: in steps that double, and that come close to 0 before it.

    Functions change there, if anywhere, without notice: 1 / x, log x.
    """
    last, step = start, max(fabs(start), 1.0) * 2.0**-10
    for count in range(_DOUBLINGS + _LEAPS):
        x = start + side * step
        if not isfinite(x):
            return
        if last * side < 0.0 <= x * side:
            yield from (last * 2.0**-power for power in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512))
        yield x
        last = x
        step *= 2.0 if count < _DOUBLINGS else _LEAP
