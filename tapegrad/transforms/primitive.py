"""Custom rules: a user's function of floats as a row of the table, with its partials checked."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from math import fabs
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias, cast, final, overload

import attrs

from tapegrad._support.argument_checks import bind, name_of
from tapegrad._support.source_position import here
from tapegrad._support.text import describe
from tapegrad.errors import InputError, OutputError, PrimitiveError
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Operand, Partial, Primitive, Traced, primal
from tapegrad.pytree.numbers import as_number
from tapegrad.recording.recorder import Real, Var, promote
from tapegrad.recording.trace import trace

if TYPE_CHECKING:
    from tapegrad.recording.signatures import Binary, Unary
    from tapegrad.transforms.finite_differences import Difference

__all__ = ["Check", "Checked", "Rule", "Slope", "lifted", "primitive"]

Slope: TypeAlias = float | Callable[..., float | Var] | None
"""A partial derivative as users give it: a number, a function ``p(y, *xs)`` of the result and the
operands, or None for a function that is flat in this operand."""

_DECIDED: Final = 5e-9
"""So small a relative error of the differences tells partials apart that differ by 10^-7."""

_ROUNDING: Final = 1e-9
"""What the rounding of a user's partial may come to."""

_ROUGH: Final = 1e-3
"""Differences with a larger relative error refuse nothing: the function hides its slope."""


class Checked(Protocol):
    """What is known of a rule."""

    @property
    def checked(self) -> tuple[Check, ...]:
        """What differences said of each partial at each point when the rule was defined."""


@final
@attrs.frozen(repr=False)
class Check:
    """One partial at one point, beside the derivative that differences find there.

    ``error`` is the estimated error of ``difference``. It is "not decided" where the difference
    would not have told the partial from one that is wrong by one part in 10^7, because its error
    is too large, the derivative is zero, or the function has a kink there.
    """

    operand: str
    point: tuple[float, ...]
    partial: float
    difference: float
    error: float
    outcome: Literal["agrees", "not decided"]

    def __repr__(self) -> str:
        at = ", ".join(map(repr, self.point))
        return f"<partial in {self.operand} at ({at}) {_OUTCOMES[self.outcome].format(self)}>"


_OUTCOMES: Final = {
    "agrees": "agrees: {0.partial!r}",
    "not decided": "not decided: {0.partial!r}, by differences {0.difference!r} +- {0.error:.1g}",
}


if TYPE_CHECKING:

    class UnaryRule(Unary, Checked, Protocol):
        """A rule for a function of one number."""

    class BinaryRule(Binary, Checked, Protocol):
        """A rule for a function of two numbers, either of which may be traced."""

    class AnyRule(Checked, Protocol):
        """A rule for a function of more."""

        @overload
        def __call__(self, x: Real, /, *xs: float) -> Real: ...
        @overload
        def __call__(self, *xs: Real) -> Real: ...
        @overload
        def __call__(self, *xs: float | Var) -> float | Var: ...  # type: ignore[overload-cannot-match]  # to mypy, Real is a union here


@overload
def primitive(
    *, partials: Callable[..., float | Var], at: Iterable[float]
) -> Callable[[Callable[[float], float]], UnaryRule]: ...
@overload
def primitive(
    *, partials: tuple[Slope], at: Iterable[float | tuple[float]]
) -> Callable[[Callable[[float], float]], UnaryRule]: ...
@overload
def primitive(
    *, partials: tuple[Slope, Slope], at: Iterable[tuple[float, float]]
) -> Callable[[Callable[[float, float], float]], BinaryRule]: ...
@overload
def primitive(
    *,
    partials: tuple[Slope, Slope, Slope, *tuple[Slope, ...]],
    at: Iterable[tuple[float, ...]],
) -> Callable[[Callable[..., float]], AnyRule]: ...
def primitive(
    *,
    partials: Callable[..., float | Var] | tuple[Slope, ...],
    at: Iterable[float | tuple[float, ...]],
) -> Callable[[Callable[..., float]], object]:
    """A decorator that makes a plain function of floats an operation that has derivatives.

    ``partials`` has one entry per number the function takes (or is one callable, for a function of
    one number): ``p(y, *xs)`` of the result and the numbers, written with ``tapegrad.math`` and
    operators so that derivatives of it can be taken in turn; a number where the slope is constant;
    None where the function is flat. Numbers beyond them keep their defaults.

    The decorated function runs as it is on floats and is one entry of a recording on traced
    numbers. At the points ``at`` each partial is compared with differences of the function when
    it is defined, and one that is wrong by more than ten times their error, and by more than one
    part in 10^9, is refused. ``checked`` holds what came out, "not decided" included. What the
    function raises is passed on.

    Raises:
        PrimitiveError: when a partial disagrees with the differences, when there are too few or
            too many, and, later, when a derivative is asked for that they cannot give.
        InputError: when it is called on something else than numbers, or the wrong number of them.
        OutputError: when the function returns anything but a number.

    >>> from tapegrad import grad, math
    >>> @primitive(partials=lambda y, x: y / (x * (1.0 + y)), at=[0.5])
    ... def lambert_w(x: float) -> float:
    ...     w = math.log1p(x)
    ...     for _ in range(30):
    ...         w -= (w * math.exp(w) - x) / (math.exp(w) * (1.0 + w))
    ...     return w
    >>> lambert_w(1.0), grad(lambert_w)(1.0)
    (0.5671432904097838, 0.36189625663488917)
    >>> lambert_w.checked[0]
    <partial in x at (0.5) agrees: 0.5204186421068739>
    """
    slopes = partials if isinstance(partials, tuple) else (partials,)
    points = [point if isinstance(point, tuple) else (point,) for point in at]

    def decorate(f: Callable[..., float]) -> Rule:
        return Rule(f, slopes, points)

    return decorate


@final
class Rule:
    """A function that ``primitive`` made an operation: ``row`` is its row of the table."""

    __name__: str
    __qualname__: str

    def __init__(
        self,
        f: Callable[..., float],
        slopes: tuple[Slope, ...],
        points: Iterable[tuple[float, ...]],
    ) -> None:
        functools.update_wrapper(self, f)
        self._f = f
        self._operands = _names(f, slopes)
        self.row: Final = self._row(slopes)
        self.checked: Final = tuple(
            self._check(index, self._numbers(point)) for point in points for index in self._indices
        )

    def __call__(self, *xs: float | Var, **named: float | Var) -> float | Var:
        """The function on these numbers: an entry, where one of them is traced."""
        if named:
            xs = bind(self._f, inspect.signature(self._f), xs, named).args
        return cast("float | Var", self.row(*self._numbers(xs)))

    @property
    def _indices(self) -> range:
        return range(len(self._operands))

    def _row(self, slopes: tuple[Slope, ...]) -> Primitive:
        """The row, under a name that no row of the library has."""
        name = self.__name__
        if name in ops.TABLE:
            name = f"{self.__module__}.{self.__qualname__}"
        doc = (self.__doc__ or name).partition("\n")[0]
        partials = tuple(map(self._partial, self._indices, slopes))
        return Primitive(
            name, self._value, partials, doc,
            module=self.__module__, reference=self.__qualname__,
        )  # fmt: skip

    def _numbers(self, xs: tuple[object, ...]) -> tuple[Operand, ...]:
        """The operands of a call."""
        count, name = len(self._operands), self.__name__
        if len(xs) != count:
            raise InputError(
                f"{name} ({here()}) was given {len(xs)} numbers: "
                f"pass {count} ({', '.join(self._operands)})"
            )
        numbers = tuple(map(promote, xs))
        for operand, x, number in zip(self._operands, xs, numbers, strict=True):
            if number is None:
                raise InputError(
                    f"{operand} of {name} ({here()}) is {describe(x)}, not a number: pass a float"
                )
        return cast(tuple[Operand, ...], numbers)

    def _value(self, *xs: float) -> float:
        y: object = self._f(*xs)
        number = as_number(y)
        if number is None:
            raise OutputError(f"{self.__name__} ({here()}) returned {describe(y)}: return a float")
        return number

    def _partial(self, index: int, slope: Slope) -> Partial:
        """A partial as the sweeps take it."""
        if not callable(slope):
            return None if slope is None else float(slope)

        def partial(y: Operand, *xs: Operand) -> Operand:
            try:
                found = lifted(slope, y, *xs)
            except TypeError as misfit:
                if _takes(slope, 1 + len(xs)) and not any(map(_depth, (y, *xs))):
                    raise
                raise self._missing(index, y, *xs) from misfit
            return self._found(index, found)

        return partial

    def _found(self, index: int, found: object) -> Operand:
        number = found if isinstance(found, Traced) else as_number(found)
        if number is None:
            raise PrimitiveError(
                f"the partial of {self.__name__} in {self._operands[index]} ({here()}) returned "
                f"{describe(found)}: return a number"
            )
        return number

    def _missing(self, index: int, *numbers: Operand) -> PrimitiveError:
        """What to say of a partial that does not take what it is given."""
        order = 1 + max(map(_depth, numbers))
        partial = f"the partial of {self.__name__} in {self._operands[index]} ({here()})"
        if order == 1:
            return PrimitiveError(
                f"{partial} does not take {len(numbers)} numbers: "
                f"take the result and then {', '.join(self._operands)}"
            )
        return PrimitiveError(
            f"{partial} takes plain numbers only, so there is no derivative of order {order}, nor "
            f"a recorded one of order {order - 1}: write it with tapegrad.math and operators"
        )

    def _check(self, index: int, point: tuple[Operand, ...]) -> Check:
        """Compare one partial with differences of the function."""
        from tapegrad.transforms.finite_differences import difference

        xs = cast(tuple[float, ...], point)
        partial = self.row.partial(index, self._value(*xs), *xs)
        slope = 0.0 if partial is None else cast(float, partial)
        found = difference(lambda x: self._value(*xs[:index], x, *xs[index + 1 :]), xs[index])
        apart, size = fabs(slope - found.value), max(fabs(slope), fabs(found.value))
        agrees = apart <= 10.0 * found.error + _ROUNDING * fabs(found.value)
        if not agrees and not found.error > _ROUGH * size:
            raise self._wrong(index, xs, slope, found)
        is_decided = found.error <= _DECIDED * size or (partial is None and found.value == 0.0)
        outcome: Literal["agrees", "not decided"] = "agrees" if is_decided else "not decided"
        return Check(self._operands[index], xs, slope, found.value, found.error, outcome)

    def _wrong(
        self, index: int, xs: tuple[float, ...], slope: float, found: Difference
    ) -> PrimitiveError:
        return PrimitiveError(
            f"the partial of {self.__name__} in {self._operands[index]} at {_spelled(xs)} is "
            f"{slope!r}, and differences give {found.value!r} with an error of {found.error:.1g} "
            f"({here()}): mend the partial"
        )

    def __repr__(self) -> str:
        return f"<primitive {self.__name__}({', '.join(self._operands)})>"

    def __reduce__(self) -> str:
        return self.__qualname__


def _names(f: Callable[..., float], slopes: tuple[Slope, ...]) -> tuple[str, ...]:
    """What the function calls the numbers that there are partials for."""
    count = len(slopes)
    try:
        signature = inspect.signature(f)
    except (TypeError, ValueError):
        return tuple(f"x{index}" for index in range(count))
    try:
        bound = signature.bind(*range(count)).arguments
    except TypeError:
        bound = {}
    names = [
        f"{name}[{index}]" if isinstance(value, tuple) else name
        for name, value in bound.items()
        for index in range(len(value) if isinstance(value, tuple) else 1)
    ]
    if len(names) != count or not count:
        raise PrimitiveError(
            f"{name_of(f)} takes {signature} and partials has {count} of them ({here()}): "
            "give one for each number"
        )
    return tuple(names)


def _spelled(xs: tuple[float, ...]) -> str:
    return repr(xs[0] if len(xs) == 1 else xs)


def _takes(slope: Callable[..., object], count: int) -> bool:
    """Whether a partial may be called with so many numbers."""
    try:
        inspect.signature(slope).bind(*range(count))
    except (TypeError, ValueError):
        return False
    return True


def _depth(operand: Operand) -> int:
    """How many recordings or readings a number is traced by."""
    if isinstance(operand, Var):
        return 1 + _depth(operand._value)
    return 1 if isinstance(operand, Traced) else 0


def lifted(f: Callable[..., object], *operands: Operand) -> object:
    """``f`` on numbers traced by anything, when ``f`` knows of floats and recordings only.

    What traces otherwise (a reading that carries derivatives along) takes the rows that ``f``
    applies, one after the other.
    """
    if all(isinstance(operand, float | Var) for operand in operands):
        return f(*operands)
    from tapegrad.entries.replay import replay

    def of_all(numbers: tuple[Operand, ...]) -> object:
        return f(*numbers)

    traced = trace(of_all, tuple(map(primal, operands)), {})
    values = replay(traced.columns, operands, str)
    return values[traced.outputs[0]] if len(traced.outputs) == 1 else None
