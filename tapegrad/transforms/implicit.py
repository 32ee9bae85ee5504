"""``root``: the solution of an equation, differentiated by the implicit function theorem."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast, final, overload

import attrs

from tapegrad._support.argument_checks import name_of
from tapegrad._support.source_position import here
from tapegrad._support.text import describe
from tapegrad.errors import InputError
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Operand, Primitive
from tapegrad.recording.recorder import Real, Var, promote
from tapegrad.transforms.primitive import lifted
from tapegrad.transforms.root_finding import Residual, find_root
from tapegrad.transforms.traced_call import differentiate

__all__ = ["ROOT", "root"]


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
    equation = _Equation(f, tuple(x if isinstance(x, float) else None for x in given))
    operands = cast(tuple[Operand, ...], tuple(x for x in given if isinstance(x, Var)))
    if not operands:
        return _solve(equation)
    return cast(Var, ROOT(*operands, cast(float, equation)))


@final
@attrs.frozen
class _Equation:
    """The static operand of a root: an equation ``f(x, *args) == 0``.

    ``numbers`` are the start and the arguments, None for those that are operands.
    """

    f: Residual
    numbers: tuple[float | None, ...]

    def __str__(self) -> str:
        return name_of(self.f)

    def filled(self, operands: Sequence[object]) -> tuple[Operand, ...]:
        """The start and the arguments, with the operands in their places."""
        rest = iter(operands)
        filled = (next(rest) if number is None else number for number in self.numbers)
        return cast(tuple[Operand, ...], tuple(filled))


def _solve(*operands: object) -> float:
    *numbers, equation = cast("list[_Equation]", operands)
    start, *args = cast("list[float]", equation.filled(numbers))
    return find_root(equation.f, start, tuple(args))


def _partial(index: int, x: Operand, *operands: object) -> Operand | None:
    """The derivative of the solution ``x`` in one operand; the start has none."""
    *numbers, equation = cast("list[_Equation]", operands)
    place = [place for place, number in enumerate(equation.numbers) if number is None][index]
    if place == 0:
        return None

    def f_of(arguments: tuple[float, ...]) -> object:
        return equation.f(*arguments)

    def quotient(*arguments: Operand) -> Operand:
        _, gradient = differentiate(f_of, arguments, {})
        slopes = cast(tuple[Operand, ...], gradient)
        return ops.neg(ops.div(slopes[place], slopes[0]))

    return cast(Operand, lifted(quotient, x, *equation.filled(numbers)[1:]))


ROOT: Final = Primitive(
    "root", _solve, _partial, "A solution of f(x, *args) == 0.",
    has_static=True, module="tapegrad.transforms.implicit", reference="ROOT",
)  # fmt: skip
