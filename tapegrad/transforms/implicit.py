"""A number defined by an equation, differentiated through its solution."""

from __future__ import annotations

from collections.abc import Callable
from math import fabs, isfinite, isnan
from typing import Final, TypeAlias, cast, final, overload

import attrs

from tapegrad._support.argument_checks import name_of
from tapegrad._support.source_position import here
from tapegrad._support.text import describe
from tapegrad.errors import ConvergenceError, InputError, TracedNumberError
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Operand, Primitive
from tapegrad.recording.recorder import Real, Var, promote
from tapegrad.recording.trace import trace
from tapegrad.transforms.primitive import lifted
from tapegrad.transforms.traced_call import differentiate, scalar

__all__ = ["ROOT", "root"]

Residual: TypeAlias = Callable[..., float | Var]
"""The left side of an equation ``f(x, *args) == 0``."""

_NEWTON_STEPS: Final = 100
_HALVINGS: Final = 30
_DOUBLINGS: Final = 60
_BISECTIONS: Final = 1100


@overload
def root(f: Residual, x0: float | Var, a: Real, /, *args: float) -> Real: ...
@overload
def root(f: Residual, x0: float | Var, /, *args: Real) -> Real: ...
@overload
def root(f: Residual, x0: float | Var, /, *args: float | Var) -> float | Var: ...  # type: ignore[overload-cannot-match]  # to mypy, Real is a union here
def root(f: Residual, x0: float | Var, /, *args: float | Var) -> float | Var:
    """The x near ``x0`` with ``f(x, *args) == 0``, as a function of the numbers ``args``.

    On floats: Newton's method with the derivative of ``f``, shortened where it does not bring
    ``f`` closer to zero, and bisection of an interval around ``x0`` where that stalls. The
    solution is as good as the rounding of ``f`` lets it be.

    On traced numbers it is one entry, differentiated by the implicit function theorem:
    dx/da = -(df/da) / (df/dx) at the solution, to any order, and a replay solves anew. ``x0`` is
    only where the search starts, and has no derivative. ``f`` is written with ``tapegrad.math``
    and takes all that it depends on as arguments.

    Raises:
        ConvergenceError: when no solution is found, or only one where df/dx is 0.
        InputError: when ``x0`` or an argument is not a number.
        TracedNumberError: when ``f`` reads a traced number that is not among its arguments.
        OutputError: when ``f`` returns anything but one number.

    >>> from tapegrad import Real, grad, math
    >>> def kepler(anomaly: Real, mean: Real, eccentricity: Real) -> Real:
    ...     return anomaly - eccentricity * math.sin(anomaly) - mean
    >>> def eccentric(mean: Real) -> Real:
    ...     return root(kepler, mean, mean, 0.3)
    >>> eccentric(1.0), grad(eccentric)(1.0), grad(grad(eccentric))(1.0)
    (1.2880913132118377, 1.0913293011504175, -0.3744532553254039)
    """
    given = tuple(map(promote, (x0, *args)))
    for index, number in enumerate(given):
        if number is None:
            name = f"argument {index} after the start" if index else "the start"
            value = describe((x0, *args)[index])
            raise InputError(f"{name} of root ({here()}) is {value}, not a number: pass a float")
    numbers = tuple(number if isinstance(number, float) else None for number in given)
    operands = cast(tuple[Operand, ...], tuple(x for x in given if isinstance(x, Var)))
    equation = _Equation(f, numbers)
    if not operands:
        return equation.solved()
    return cast(Var, ROOT(*operands, cast(float, equation)))


@final
@attrs.frozen
class _Equation:
    """``f(x, *args) == 0`` as a static operand.

    ``numbers`` are the start and the arguments, None for those that are operands.
    """

    f: Residual
    numbers: tuple[float | None, ...]

    def __str__(self) -> str:
        return name_of(self.f)

    def filled(self, operands: tuple[Operand, ...]) -> tuple[Operand, ...]:
        """The start and the arguments."""
        rest = iter(operands)
        return tuple(next(rest) if number is None else number for number in self.numbers)

    def solved(self, *operands: float) -> float:
        """The solution."""
        start, *args = cast(tuple[float, ...], self.filled(operands))
        return _solution(self.f, start, tuple(args))

    def slope(self, index: int, x: Operand, *operands: Operand) -> Operand | None:
        """The derivative of the solution ``x`` in one operand; the start has none."""
        place = [place for place, number in enumerate(self.numbers) if number is None][index]
        if place == 0:
            return None

        def of_point(point: tuple[float, ...]) -> object:
            return self.f(*point)

        def quotient(*point: Operand) -> Operand:
            _, slopes = differentiate(of_point, point, {})
            of_x, of_operand = (cast(tuple[Operand, ...], slopes)[i] for i in (0, place))
            return ops.neg(ops.div(of_operand, of_x))

        return cast(Operand, lifted(quotient, x, *self.filled(operands)[1:]))


def _value(*operands: object) -> float:
    *numbers, equation = operands
    return cast(_Equation, equation).solved(*cast(list[float], numbers))


def _partial(index: int, x: Operand, *operands: object) -> Operand | None:
    *numbers, equation = operands
    return cast(_Equation, equation).slope(index, x, *cast(list[Operand], numbers))


ROOT: Final = Primitive(
    "root", _value, _partial, "A solution of f(x, *args) == 0.",
    has_static=True, module="tapegrad.transforms.implicit", reference="ROOT",
)  # fmt: skip


@final
@attrs.frozen
class _Place:
    """A trial x, and what ``f`` is there; ``noise`` is how far rounding may have moved it."""

    x: float
    value: float
    slope: float
    noise: float

    @property
    def is_root(self) -> bool:
        return fabs(self.value) <= self.noise and self.slope != 0.0


_At: TypeAlias = Callable[[float], _Place]


def _solution(f: Residual, x0: float, args: tuple[float, ...]) -> float:
    places: list[_Place] = []

    def at(x: float) -> _Place:
        places.append(_evaluated(f, x, args))
        return places[-1]

    start = at(x0)
    found, bound = _descended(at, start), fabs(start.value)
    ends = None if found.is_root else _bracket(at, start)
    if ends is not None:
        found, bound = _narrowed(at, *ends), min(fabs(end.value) for end in ends)
    # A change of sign with values that grow is a pole.
    if not found.is_root or fabs(found.value) > bound:
        raise ConvergenceError(
            f"root ({here()}) found no simple solution of {name_of(f)} from {x0!r}: its value is "
            f"{found.value!r} at {found.x!r}, after {len(places)} evaluations: start nearer to a "
            "solution, or check that there is one where the slope is not 0"
        )
    return found.x


def _evaluated(f: Residual, x: float, args: tuple[float, ...]) -> _Place:
    """``f``, its slope, and a first-order bound on its rounding error, from one recording."""
    from tapegrad.sweep.reverse import cotangents

    def of_x(x: float) -> float | Var:
        return f(x, *args)

    of_x.__qualname__ = name_of(f)
    traced = trace(of_x, x, {})
    output, values = scalar(of_x, traced), traced.columns.values
    value = values[output]
    if isinstance(value, Var):
        raise TracedNumberError(
            f"{name_of(f)} ({here()}) reads a traced number that is not among its arguments, and "
            "root would drop its derivative: pass it to root after the start"
        )
    bars = cotangents(traced.columns, {output: 1.0})
    reached = ((bar, y) for bar, y in zip(bars, values, strict=True) if bar is not None)
    noise = sum(fabs(cast(float, bar) * cast(float, y)) for bar, y in reached)
    return _Place(x, cast(float, value), cast(float, bars[0] or 0.0), 2.0**-51 * noise)


def _descended(at: _At, place: _Place) -> _Place:
    """The end of Newton's method, each step of which comes closer to zero."""
    for _ in range(_NEWTON_STEPS):
        closer = _closer(at, place)
        if closer is None:
            break
        place = closer
    return place


def _closer(at: _At, place: _Place) -> _Place | None:
    """A place towards Newton's next with a value closer to zero, if there is one."""
    step = ops.div.value(place.value, place.slope)
    if step == 0.0 or not isfinite(step):
        return None
    for _ in range(1 if place.is_root else _HALVINGS):
        trial = at(place.x - step)
        if fabs(trial.value) < fabs(place.value):
            return trial
        step /= 2.0
    return None


def _bracket(at: _At, start: _Place) -> tuple[_Place, _Place] | None:
    """Two places of opposite sign, looked for on both sides in steps that double."""
    ends = {1.0: start, -1.0: start}
    step = max(fabs(start.x), 1.0) * 2.0**-10
    for _ in range(_DOUBLINGS):
        for side, end in ends.items():
            trial = at(start.x + side * step)
            if min(trial.value, end.value) <= 0.0 <= max(trial.value, end.value):
                return (end, trial) if end.x < trial.x else (trial, end)
            ends[side] = end if isnan(trial.value) else trial
        step *= 2.0
    return None


def _narrowed(at: _At, low: _Place, high: _Place) -> _Place:
    """The best place found while an interval with a change of sign shrinks to nothing.

    Each round tries Newton's next from the best place, and halves the interval whatever that gave.
    """
    best = min(low, high, key=_size)
    for _ in range(_BISECTIONS):
        for x in (best.x - ops.div.value(best.value, best.slope), (low.x + high.x) / 2.0):
            if low.x < x < high.x and best.value != 0.0:
                place = at(x)
                is_low = (place.value < 0.0) == (low.value < 0.0)
                low, high = (place, high) if is_low else (low, place)
                best = min(best, place, key=_size)
        middle = (low.x + high.x) / 2.0
        if best.value == 0.0 or not low.x < middle < high.x:
            break
    return best


def _size(place: _Place) -> float:
    return fabs(place.value)
