"""``primitive``: a user's function of floats as a row of the table, with derivatives."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from itertools import repeat
from math import isnan, nan
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, cast, final, overload

from tapegrad._support.argument_checks import bind, name_of
from tapegrad._support.closures import Snapshot, opened
from tapegrad._support.source_position import here
from tapegrad._support.text import describe
from tapegrad.entries.replay import replay
from tapegrad.errors import (
    InputError,
    OutputError,
    PrimitiveError,
    RecordingError,
    TracedNumberError,
)
from tapegrad.ops import table as ops
from tapegrad.ops.array_support import is_array, serving
from tapegrad.ops.primitive import Operand, Partial, Primitive, Traced, primal, shape_of
from tapegrad.pytree.numbers import as_number
from tapegrad.recording.recorder import Real, Var, promote
from tapegrad.recording.trace import Trace, trace
from tapegrad.transforms.primitive_check import Check, check_partial
from tapegrad.transforms.record import tape_of

if TYPE_CHECKING:
    from tapegrad.recording.signatures import Binary, Ternary, Unary

__all__ = ["CustomPartial", "Rule", "lifted", "primitive"]

CustomPartial: TypeAlias = float | Callable[..., float | Var] | None
"""A partial derivative as users give it: a number, a function ``p(y, *xs)`` of the result and the
operands, or None for a function that is flat in this operand."""


_OfOne: TypeAlias = float | Callable[[Var, Var], float | Var] | None
_OfTwo: TypeAlias = float | Callable[[Var, Var, Var], float | Var] | None
_OfMany: TypeAlias = tuple[
    CustomPartial, CustomPartial, CustomPartial, CustomPartial, *tuple[CustomPartial, ...]
]
_OfThree: TypeAlias = float | Callable[[Var, Var, Var, Var], float | Var] | None

if TYPE_CHECKING:

    class Checked(Protocol):
        """A function that ``primitive`` made an operation."""

        @property
        def checked(self) -> tuple[Check, ...]:
            """The comparison of each partial with differences, at each point."""

    class UnaryRule(Unary, Checked, Protocol):
        """A rule for a function of one number."""

    class BinaryRule(Binary, Checked, Protocol):
        """A rule for a function of two numbers, either of which may be traced."""

    class TernaryRule(Ternary, Checked, Protocol):
        """A rule for a function of three numbers."""

    class AnyRule(Checked, Protocol):
        """A rule for a function of more."""

        @overload
        def __call__(self, x: Real, /, *xs: float) -> Real: ...
        @overload
        def __call__(self, *xs: Real) -> Real: ...
        @overload
        def __call__(self, *xs: float | Var) -> float | Var: ...  # type: ignore[overload-cannot-match]  # to mypy, Real is a union here


@overload
def primitive(  # the parameters of a partial are spelled out for those that are lambdas
    *, partials: Callable[[Var, Var], float | Var], at: Iterable[float]
) -> Callable[[Callable[[float], float]], UnaryRule]: ...
@overload
def primitive(
    *, partials: tuple[_OfOne], at: Iterable[float | tuple[float]]
) -> Callable[[Callable[[float], float]], UnaryRule]: ...
@overload
def primitive(
    *, partials: tuple[_OfTwo, _OfTwo], at: Iterable[tuple[float, float]]
) -> Callable[[Callable[[float, float], float]], BinaryRule]: ...
@overload
def primitive(
    *, partials: tuple[_OfThree, _OfThree, _OfThree], at: Iterable[tuple[float, float, float]]
) -> Callable[[Callable[[float, float, float], float]], TernaryRule]: ...
@overload
def primitive(
    *, partials: Callable[..., float | Var], at: Iterable[float]
) -> Callable[[Callable[[float], float]], UnaryRule]: ...
@overload
def primitive(
    *, partials: tuple[CustomPartial], at: Iterable[float | tuple[float]]
) -> Callable[[Callable[[float], float]], UnaryRule]: ...
@overload
def primitive(
    *, partials: tuple[CustomPartial, CustomPartial], at: Iterable[tuple[float, float]]
) -> Callable[[Callable[[float, float], float]], BinaryRule]: ...
@overload
def primitive(
    *,
    partials: tuple[CustomPartial, CustomPartial, CustomPartial],
    at: Iterable[tuple[float, float, float]],
) -> Callable[[Callable[[float, float, float], float]], TernaryRule]: ...
@overload
def primitive(
    *,
    partials: _OfMany,
    at: Iterable[tuple[float, ...]],
) -> Callable[[Callable[..., float]], AnyRule]: ...
def primitive(
    *,
    partials: Callable[..., float | Var] | tuple[CustomPartial, ...],
    at: Iterable[float | tuple[float, ...]],
) -> Callable[[Callable[..., float]], object]:
    """A decorator that makes a plain function of floats an operation that has derivatives.

    ``partials`` has one entry per number the function takes (or is one callable, for a function of
    one number): ``p(y, *xs)`` of the result and the numbers, written with ``tapegrad.math`` and
    operators so that derivatives of it can be taken in turn; a number where the slope is constant;
    None where the function is flat. Numbers beyond them keep their defaults.

    The decorated function runs as it is on floats, element by element on arrays, and is one entry
    of a recording on traced numbers or arrays. Where it is nan, so are the derivatives that
    functions give. At the points ``at`` each partial is compared with differences of the function
    when it is defined, and one that is wrong by more than ten times their error, and by more than
    one part in 10^9, is refused. ``checked``
    holds the outcomes. A point that does not decide (the slope is 0 there, values underflow, there
    is a kink) refuses nothing: give another one, too. Exceptions of the function are passed on.

    Raises:
        PrimitiveError: when a partial disagrees with the differences, when there are too few or
            too many, and, later, when a derivative is asked for that they cannot give.
        RecordingError: later, when a global number that the function or a partial reads is another
            one where a recording is replayed or differentiated.
        InputError: when it is called on something else than numbers, or the wrong number of them.
        OutputError: when the function returns anything but a number.
        TracedNumberError: when the function reads a traced number that is not among its numbers.

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
    given = partials if isinstance(partials, tuple) else (partials,)
    points = [point if isinstance(point, tuple) else (point,) for point in at]

    return lambda f: Rule(f, given, points)


@final
class Rule:
    """A function that ``primitive`` made an operation: ``row`` is its row of the table."""

    __name__: str
    __qualname__: str

    def __init__(
        self,
        f: Callable[..., float],
        partials: tuple[CustomPartial, ...],
        points: Iterable[tuple[float, ...]],
    ) -> None:
        self.__name__ = self.__qualname__ = type(f).__qualname__
        functools.update_wrapper(self, f, updated=())
        self._f = f
        self._partials = tuple(map(_constant_or_function, repeat(name_of(f)), partials))
        self._operands = _operand_names(f, partials)
        self._latest: tuple[Snapshot, Primitive] = self._made()
        numbers = [cast("tuple[float, ...]", self._numbers(point)) for point in points]
        self.checked: Final = tuple(
            check_partial(self.__name__, self.row, index, operand, xs)
            for xs in numbers
            for index, operand in enumerate(self._operands)
        )

    def __call__(self, *xs: float | Var, **named: float | Var) -> float | Var:
        """The function on these numbers: an entry, where one of them is traced."""
        if named:
            xs = bind(self._f, inspect.signature(self._f), xs, named).args
        return cast("float | Var", self.row(*self._numbers(xs)))

    @property
    def row(self) -> Primitive:
        """The row of the table for the function and its partials as they are now.

        It holds the variables of the functions around them, such as those of a loop.
        """
        if not self._latest[0].is_current():
            self._latest = self._made()
        return self._latest[1]

    def _made(self) -> tuple[Snapshot, Primitive]:
        """The row, under a name that no row of the library has, and what it holds."""
        snapshot = Snapshot.of((self._f, *self._partials))
        f, *partials = map(opened, snapshot.held)
        name = self.__name__
        if name in ops.TABLE:
            name = f"{self.__module__}.{self.__qualname__}"
        doc = (self.__doc__ or name).partition("\n")[0]

        def value(*xs: float) -> float:
            self._require_same(snapshot)
            return self._value(cast("Callable[..., float]", f), xs)

        slopes = zip(self._operands, cast("list[CustomPartial]", partials), strict=True)
        rules = tuple(self._partial(operand, given, snapshot) for operand, given in slopes)
        return snapshot, Primitive(
            name, value, rules, doc, module=self.__module__, reference=self.__qualname__
        )

    def _require_same(self, snapshot: Snapshot) -> None:
        """Raises where a row is used again and reads another number than when it was applied."""
        if reason := snapshot.changed():
            raise RecordingError(
                f"{self.__name__} ({here()}) is called again and reads {reason}: "
                "make it one of its numbers"
            )

    def _numbers(self, xs: tuple[object, ...]) -> tuple[Operand, ...]:
        """The arguments of a call as operands.

        Raises:
            InputError: when there are too few or too many, or one is not a number.
        """
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
        return cast("tuple[Operand, ...]", numbers)

    def _value(self, f: Callable[..., float], xs: tuple[float, ...]) -> float:
        y: object = f(*xs)
        number = as_number(y)
        if isinstance(y, Traced):
            raise TracedNumberError(
                f"{self.__name__} ({here()}) reads a traced number that is not among its numbers, "
                "and primitive would drop its derivative: pass it as one of them"
            )
        if number is None:
            raise OutputError(f"{self.__name__} ({here()}) returned {describe(y)}: return a float")
        return number

    def _partial(self, operand: str, given: CustomPartial, snapshot: Snapshot) -> Partial:
        """The partial in an operand, which checks what the user's function takes and returns.

        Where the function is nan, so is its derivative.
        """
        if not callable(given):
            return given

        def partial(y: Operand, *xs: Operand) -> Operand:
            self._require_same(snapshot)
            if any(map(is_array, (y, *xs))) and not any(isinstance(x, Traced) for x in (y, *xs)):
                found = serving("ops.array_passes").each(partial, y, *xs)
                return cast(Operand, found.astype(float))
            if not isinstance(y, Traced) and isnan(y):
                return nan
            try:
                found = lifted(given, y, *xs)
            except TypeError as misfit:
                if _takes(given, 1 + len(xs)) and not any(map(_depth, (y, *xs))):
                    raise
                raise self._misfit(operand, y, *xs) from misfit
            number = found if isinstance(found, Traced) else as_number(found)
            if number is None:
                raise PrimitiveError(
                    f"the partial of {self.__name__} in {operand} ({here()}) returned "
                    f"{describe(found)}: return a number"
                )
            return ops.mul(number, ops.where(ops.eq(y, y), 1.0, nan)) if _depth(y) else number

        return partial

    def _misfit(self, operand: str, *numbers: Operand) -> PrimitiveError:
        """The error for a partial that does not take the numbers that it is called with."""
        order = 1 + max(map(_depth, numbers))
        partial = f"the partial of {self.__name__} in {operand} ({here()})"
        if order == 1:
            return PrimitiveError(
                f"{partial} does not take {len(numbers)} numbers: "
                f"take the result and then {', '.join(self._operands)}"
            )
        return PrimitiveError(
            f"{partial} takes plain numbers only, so there is no derivative of order {order}, nor "
            f"a recorded one of order {order - 1}: write it with tapegrad.math and operators"
        )

    def __repr__(self) -> str:
        return f"<primitive {self.__name__}({', '.join(self._operands)})>"

    def __reduce__(self) -> str:
        return self.__qualname__


def _constant_or_function(name: str, partial: CustomPartial) -> CustomPartial:
    """A partial as it was given, a constant as a float.

    Raises:
        PrimitiveError: when it is neither a number, nor a function, nor None.
    """
    if partial is None or callable(partial):
        return partial
    number = as_number(partial)
    if number is None:
        raise PrimitiveError(
            f"a partial of {name} ({here()}) is {describe(partial)}: pass a function of the result "
            "and the numbers, a number where the slope is constant, or None where it is 0"
        )
    return number


def _operand_names(f: Callable[..., float], partials: tuple[CustomPartial, ...]) -> tuple[str, ...]:
    """The names that the function gives the numbers that there are partials for.

    Raises:
        PrimitiveError: when there are too few or too many partials.
    """
    count = len(partials)
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


def _takes(function: Callable[..., object], count: int) -> bool:
    """Whether a function may be called with ``count`` arguments."""
    try:
        inspect.signature(function).bind(*range(count))
    except (TypeError, ValueError):
        return False
    return True


def _depth(operand: Operand) -> int:
    """The number of recordings and readings that trace an operand."""
    if isinstance(operand, Var):
        return 1 + len(operand._recorder.outers)
    return 1 if isinstance(operand, Traced) else 0


def lifted(f: Callable[..., object], *operands: Operand) -> object:
    """``f`` on operands of any kind, where ``f`` itself takes floats and ``Var``s only.

    For other operands (such as the numbers with tangents of a second-order sweep) ``f`` is recorded
    on their plain numbers, and the recording is replayed on the operands. It is a function of
    numbers: where it computes with arrays inside, these are taken apart, and it is recorded on one
    number of each operand that is an array.
    """
    if all(isinstance(operand, float | Var) for operand in operands):
        return f(*operands)
    given = tuple(map(primal, operands))
    traced = _recorded(f, tuple(map(_one_number, given)))
    if traced.columns.on_arrays:
        tape = tape_of(f, traced).expanded()
        columns, outputs = tape.columns, tape.outputs
    else:
        if any(map(shape_of, given)):
            traced = _recorded(f, given)
        columns, outputs = traced.columns, traced.outputs
    values = replay(columns, operands, str)
    return values[outputs[0]] if len(outputs) == 1 else None


def _recorded(f: Callable[..., object], numbers: tuple[Operand, ...]) -> Trace:
    return trace(lambda given: f(*given), numbers, {})


def _one_number(operand: Operand) -> float:
    """The first number of an array, or a number itself."""
    parts: Any = operand
    return next(iter(parts.flat), nan) if shape_of(operand) else parts
