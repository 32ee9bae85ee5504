"""``root``: the solution of an equation, differentiated by the implicit function theorem."""

# To mypy, Real is a union where overloads are compared, so that some seem never to match; to others
# they do.
# mypy: disable-error-code="overload-cannot-match"

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import fabs, isnan, nan
from typing import Any, Final, Literal, NoReturn, TypeAlias, cast, final, overload

import attrs

from tapegrad._support.argument_checks import name_of
from tapegrad._support.closures import (
    GlobalNumbers,
    Witness,
    captured,
    changed_global,
    global_numbers,
    opened,
)
from tapegrad._support.source_position import Site, here, site, user_mark
from tapegrad._support.text import describe
from tapegrad.errors import ConvergenceError, InputError, RecordingError
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Operand, Primitive, Traced, shape_of
from tapegrad.recording.recorder import Real, Var, promote
from tapegrad.transforms.primitive import lifted
from tapegrad.transforms.root_finding import Residual, evaluated, find_root
from tapegrad.transforms.traced_call import differentiate, result_of

__all__ = ["ROOT", "root"]


_Failure: TypeAlias = Literal["raise", "nan"]
"""The ways to go on where a call finds no solution."""


@overload
def root(
    f: Callable[[Any], float | Var],
    x0: float | Var,
    /,
    *,
    on_failure: _Failure = "raise",
) -> float: ...
@overload
def root(
    f: Callable[[Any, Any], float | Var],
    x0: float | Var,
    a: Real,
    /,
    *,
    on_failure: _Failure = "raise",
) -> Real: ...
@overload
def root(
    f: Callable[[Any, Any], float | Var],
    x0: float | Var,
    a: float | Var,
    /,
    *,
    on_failure: _Failure = "raise",
) -> float | Var: ...
@overload
def root(
    f: Callable[[Any, Any, Any], float | Var],
    x0: float | Var,
    a: Real,
    b: Real,
    /,
    *,
    on_failure: _Failure = "raise",
) -> Real: ...
@overload
def root(
    f: Callable[[Any, Any, Any], float | Var],
    x0: float | Var,
    a: Real,
    b: float,
    /,
    *,
    on_failure: _Failure = "raise",
) -> Real: ...
@overload
def root(
    f: Callable[[Any, Any, Any], float | Var],
    x0: float | Var,
    a: float,
    b: Real,
    /,
    *,
    on_failure: _Failure = "raise",
) -> Real: ...
@overload
def root(
    f: Callable[[Any, Any, Any], float | Var],
    x0: float | Var,
    a: float | Var,
    b: float | Var,
    /,
    *,
    on_failure: _Failure = "raise",
) -> float | Var: ...
@overload
def root(
    f: Callable[[Any, Any, Any, Any], float | Var],
    x0: float | Var,
    a: Real,
    b: Real,
    c: Real,
    /,
    *,
    on_failure: _Failure = "raise",
) -> Real: ...
@overload
def root(
    f: Callable[[Any, Any, Any, Any], float | Var],
    x0: float | Var,
    a: Real,
    b: Real,
    c: float,
    /,
    *,
    on_failure: _Failure = "raise",
) -> Real: ...
@overload
def root(
    f: Callable[[Any, Any, Any, Any], float | Var],
    x0: float | Var,
    a: Real,
    b: float,
    c: Real,
    /,
    *,
    on_failure: _Failure = "raise",
) -> Real: ...
@overload
def root(
    f: Callable[[Any, Any, Any, Any], float | Var],
    x0: float | Var,
    a: Real,
    b: float,
    c: float,
    /,
    *,
    on_failure: _Failure = "raise",
) -> Real: ...
@overload
def root(
    f: Callable[[Any, Any, Any, Any], float | Var],
    x0: float | Var,
    a: float,
    b: Real,
    c: Real,
    /,
    *,
    on_failure: _Failure = "raise",
) -> Real: ...
@overload
def root(
    f: Callable[[Any, Any, Any, Any], float | Var],
    x0: float | Var,
    a: float,
    b: Real,
    c: float,
    /,
    *,
    on_failure: _Failure = "raise",
) -> Real: ...
@overload
def root(
    f: Callable[[Any, Any, Any, Any], float | Var],
    x0: float | Var,
    a: float,
    b: float,
    c: Real,
    /,
    *,
    on_failure: _Failure = "raise",
) -> Real: ...
@overload
def root(
    f: Callable[[Any, Any, Any, Any], float | Var],
    x0: float | Var,
    a: float | Var,
    b: float | Var,
    c: float | Var,
    /,
    *,
    on_failure: _Failure = "raise",
) -> float | Var: ...
@overload
def root(
    f: Residual,
    x0: float | Var,
    a: Real,
    b: Real,
    c: Real,
    d: Real,
    /,
    *args: Real,
    on_failure: _Failure = "raise",
) -> Real: ...
@overload
def root(
    f: Residual,
    x0: float | Var,
    a: float | Var,
    b: float | Var,
    c: float | Var,
    d: float | Var,
    /,
    *args: float | Var,
    on_failure: _Failure = "raise",
) -> float | Var: ...
def root(
    f: Residual, x0: float | Var, /, *args: float | Var, on_failure: _Failure = "raise"
) -> float | Var:
    """The x near ``x0`` with ``f(x, *args) == 0``, as a function of the numbers ``args``.

    On floats: Newton's method with the derivative of ``f``, shortened where it does not bring
    ``f`` closer to zero, and bisection of an interval around ``x0`` where that stalls, or where
    ``f`` overflows or is not defined. The solution is as good as the rounding of ``f`` lets it be:
    ``f`` is 0 there up to rounding, and passes through 0 with its slope. A pole is no solution,
    nor is an infinity or a value that underflows.

    On traced numbers it is one entry, differentiated by the implicit function theorem:
    dx/da = -(df/da) / (df/dx) at the solution, to any order, and a replay solves anew. ``x0`` is
    only where the search starts, and has no derivative. ``f`` is written with ``tapegrad.math``
    and takes all that it depends on as arguments. It is called again where its slopes are taken:
    the variables of the functions around it are held as they are in this call, and other changes
    of the equation meanwhile are refused.

    Where no solution is found, ``on_failure="nan"`` gives nan, with derivatives that are nan.

    Raises:
        ConvergenceError: when no solution is found, or only one where df/dx is 0.
        RecordingError: when slopes are taken and the equation is not the one that was solved.
        InputError: when ``x0`` or an argument is not a number, or ``on_failure`` is unknown.
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
    if on_failure not in {"raise", "nan"}:
        raise InputError(f"on_failure={on_failure!r} ({here()}) is unknown: use 'raise' or 'nan'")
    given = tuple(map(promote, (x0, *args)))
    for index, number in enumerate(given):
        if number is None:
            name = f"argument {index} after the start" if index else "the start"
            value = describe((x0, *args)[index])
            raise InputError(f"{name} of root ({here()}) is {value}, not a number: pass a float")
        if shape := shape_of(number):
            name = f"argument {index} after the start" if index else "the start"
            raise InputError(
                f"{name} of root ({here()}) is an array of shape {shape}, and root solves for one "
                "number: pass its numbers, one root for each"
            )
    operands = cast("tuple[Operand, ...]", tuple(x for x in given if isinstance(x, Var)))
    numbers = tuple(x if isinstance(x, float) else None for x in given)
    if not operands:
        return _solve(_Equation(f, numbers, on_failure))
    equation = _Equation(captured(f), numbers, on_failure, global_numbers(f), site(*user_mark()))
    return cast(Var, ROOT(*operands, cast(float, equation)))


@final
@attrs.frozen
class _Equation:
    """The static operand of a root: an equation ``f(x, *args) == 0``.

    ``numbers`` are the start and the arguments, None for those that are operands. ``place`` is
    the line that asks for the root.
    """

    held: object
    numbers: tuple[float | None, ...]
    on_failure: _Failure
    reads: GlobalNumbers = ()
    place: Site | None = attrs.field(default=None, eq=False)
    witness: Witness = attrs.field(factory=Witness, eq=False)

    def __str__(self) -> str:
        return name_of(self.f)

    @property
    def f(self) -> Residual:
        """The function, on the variables that it read in the call of ``root``."""
        return cast(Residual, opened(self.held))

    def filled(self, operands: Sequence[object]) -> tuple[Operand, ...]:
        """The start and the arguments, with the operands in their places."""
        rest = iter(operands)
        filled = (next(rest) if number is None else number for number in self.numbers)
        return cast("tuple[Operand, ...]", tuple(filled))

    def residual(self, arguments: Sequence[Operand]) -> object:
        """The equation at a point; the numbers that are no operands are passed on as they are."""
        x, *args = arguments
        rest = zip(args, self.numbers[1:], strict=True)
        return self.f(x, *(arg if number is None else number for arg, number in rest))

    def require_unchanged(self) -> None:
        """Raises where the equation is another one than in the call of ``root``."""
        reason = changed_global(self.held, self.reads)
        if reason:
            self.refuse(reason)
        for xs, then in self.witness.seen:
            if _value_at(self.f, xs) != then:
                now = evaluated(self.f, xs[0], xs[1:], self.place).value
                if now != then:
                    self.refuse(
                        f"something that changed: at {xs[0]!r} it was {then!r} and is {now!r} now"
                    )

    def require_solved(
        self, slope: float, residual: float, x: float, args: Sequence[float]
    ) -> None:
        """Raises where ``x`` is no solution of the equation whose slopes are taken."""
        self.require_unchanged()
        if not fabs(residual) <= 2.0**-50 * fabs(slope * x):
            rounding = evaluated(self.f, x, tuple(args), self.place).rounding
            if not fabs(residual) <= 4.0 * rounding:
                self.refuse(f"something that changed: at the solution {x!r} it is {residual!r} now")

    def refuse(self, reason: str) -> NoReturn:
        """Raises for an equation that is not the one it was."""
        raise RecordingError(
            f"the equation {self} of root ({self.place or here()}) is called again and is another "
            f"one than before; it reads {reason}: pass all that it depends on to root after the "
            "start"
        )


def _value_at(f: Residual, xs: tuple[float, ...]) -> object:
    """A value on plain numbers, which may raise where it does not on traced ones."""
    try:
        return f(*xs)
    except (ArithmeticError, ValueError):
        return None


def _solve(*operands: object) -> float:
    *numbers, equation = cast("list[_Equation]", operands)
    start, *args = cast("list[float]", equation.filled(numbers))
    equation.require_unchanged()
    try:
        return find_root(equation.f, start, tuple(args), equation.place, equation.witness)
    except ConvergenceError:
        if equation.on_failure == "nan":
            return nan
        raise


def _partial(index: int, x: Operand, *operands: object) -> Operand | None:
    """The derivative of the solution ``x`` in one operand; the start has none."""
    *numbers, equation = cast("list[_Equation]", operands)
    place = [place for place, number in enumerate(equation.numbers) if number is None][index]
    if place == 0:
        return None
    if not isinstance(x, Traced) and isnan(x):
        return nan

    def quotient(*arguments: Operand) -> Operand:
        traced, gradient = differentiate(equation.residual, arguments, {})
        slopes = cast("tuple[Operand, ...]", gradient)
        judged = (slopes[0], cast(Operand, result_of(traced)), *arguments)
        slope = SLOPE(*judged, cast(float, equation))
        return ops.neg(ops.div(slopes[place], slope))

    return cast(Operand, lifted(quotient, x, *equation.filled(numbers)[1:]))


def _slope(*operands: object) -> float:
    """The slope in x, where the equation is still the one that was solved.

    Where none was solved and nan is asked for, it is nan, and so is every derivative.
    """
    slope, residual, x, *args, equation = cast("list[float]", operands)
    solved = cast("_Equation", equation)
    if isnan(x) and solved.on_failure == "nan":
        return nan
    solved.require_solved(slope, residual, x, args)
    return slope


ROOT: Final = Primitive(
    "root", _solve, _partial, "A solution of f(x, *args) == 0.",
    has_static=True, module="tapegrad.transforms.implicit", reference="ROOT",
)  # fmt: skip
SLOPE: Final = Primitive(
    "root_slope", _slope, lambda index, y, *xs: None if index else 1.0,
    "The slope of f in x at a solution, and a check of it.",
    has_static=True, module="tapegrad.transforms.implicit", reference="SLOPE",
)  # fmt: skip
