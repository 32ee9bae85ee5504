"""Functions to functions: recording, gradients."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Concatenate, Literal, ParamSpec, TypeVar, cast, overload

from tapegrad._support.argument_checks import bind, name_of
from tapegrad._support.source_position import here
from tapegrad.errors import InputError
from tapegrad.pytree.key_paths import key_path
from tapegrad.pytree.structure import Branch, Leaf, Role, describe_structure, flatten
from tapegrad.recording.recorder import Var
from tapegrad.recording.trace import trace
from tapegrad.tape import Tape
from tapegrad.transforms.traced_call import Data, ValueAndGrad, differentiate, freeze, like

__all__ = ["grad", "partials", "record", "value_and_grad"]

A = TypeVar("A")
P = ParamSpec("P")
R = TypeVar("R")
X = TypeVar("X")


@overload
def grad(f: Callable[Concatenate[A, P], float], /) -> Callable[Concatenate[A, P], A]: ...
@overload
def grad(f: Callable[Concatenate[A, P], float | Var], /) -> Callable[Concatenate[A, P], A]: ...
@overload
def grad(
    f: Callable[Concatenate[A, P], tuple[float, X]], /, *, has_aux: Literal[True]
) -> Callable[Concatenate[A, P], tuple[A, X]]: ...
@overload
def grad(
    f: Callable[Concatenate[A, P], tuple[float | Var, X]], /, *, has_aux: Literal[True]
) -> Callable[Concatenate[A, P], tuple[A, X]]: ...
def grad(f: Callable[Concatenate[A, P], object], /, *, has_aux: bool = False) -> object:
    """The gradient of ``f`` in its first argument, in that argument's own shape.

    ``grad(f)(x, *data)`` takes what ``f`` takes. The first argument may be a number or nested
    dicts, lists, tuples, named tuples, attrs classes and dataclasses of them; the others are data.
    An input that the result does not depend on has the gradient 0.0.

    With ``has_aux=True`` the function returns a pair ``(value, aux)`` and the gradient function a
    pair ``(gradient, aux)``; traced numbers in aux come out as plain ones.

    Raises:
        InputError: when the first argument holds anything but numbers; the message names it.
        OutputError: when ``f`` returns anything but one number.

    >>> from collections.abc import Mapping
    >>> from tapegrad import Real, grad
    >>> def loss(p: Mapping[str, Real]) -> Real:
    ...     return (p["w"] * 3.0 + p["b"] - 1.0) ** 2
    >>> grad(loss)({"w": 2.0, "b": -1.0})
    {'w': 24.0, 'b': 8.0}
    """

    def gradient(x: object, data: Data) -> object:
        value, slope = differentiate(f, x, data, has_aux=has_aux)
        return (slope, cast("tuple[float, object]", value)[1]) if has_aux else slope

    return like(f, "grad", gradient)


@overload
def value_and_grad(
    f: Callable[Concatenate[A, P], float], /
) -> Callable[Concatenate[A, P], ValueAndGrad[A]]: ...
@overload
def value_and_grad(
    f: Callable[Concatenate[A, P], float | Var], /
) -> Callable[Concatenate[A, P], ValueAndGrad[A]]: ...
@overload
def value_and_grad(
    f: Callable[Concatenate[A, P], tuple[float, X]], /, *, has_aux: Literal[True]
) -> Callable[Concatenate[A, P], tuple[tuple[float, X], A]]: ...
@overload
def value_and_grad(
    f: Callable[Concatenate[A, P], tuple[float | Var, X]], /, *, has_aux: Literal[True]
) -> Callable[Concatenate[A, P], tuple[tuple[float, X], A]]: ...
def value_and_grad(f: Callable[Concatenate[A, P], object], /, *, has_aux: bool = False) -> object:
    """The value of ``f`` and its gradient from one recording, as a named tuple, value first.

    With ``has_aux=True`` the function returns a pair ``(value, aux)``, and the answer is the plain
    tuple ``((value, aux), gradient)``.

    Takes and raises what ``grad(f)`` does.

    >>> from tapegrad import Real, value_and_grad
    >>> def f(x: Real) -> Real:
    ...     return 3.0 * x**2 - 4.0 * x + 5.0
    >>> value_and_grad(f)(3.0)
    ValueAndGrad(value=20.0, grad=14.0)
    """

    def both(x: object, data: Data) -> object:
        value, slope = differentiate(f, x, data, has_aux=has_aux)
        return (value, slope) if has_aux else ValueAndGrad(cast(float, value), slope)

    return like(f, "value_and_grad", both)


@overload
def partials(f: Callable[P, float], /) -> Callable[P, dict[str, float]]: ...
@overload
def partials(f: Callable[P, float | Var], /) -> Callable[P, dict[str, float]]: ...
def partials(f: Callable[P, float | Var], /) -> Callable[P, dict[str, float]]:
    """The partial derivatives of ``f`` in every argument, by the parameter's name.

    Each argument must be a number, given by position or by name; parameters left to their
    defaults are not differentiated.

    Raises:
        InputError: when an argument is anything but a number.
        OutputError: when ``f`` returns anything but one number.

    >>> from tapegrad import Real, partials
    >>> def f(a: Real, b: Real) -> Real:
    ...     return a * b + (a if a > b else b)
    >>> partials(f)(a=-4.0, b=2.0)
    {'a': 2.0, 'b': -3.0}
    """
    signature = inspect.signature(f)

    @functools.wraps(f)
    def derivatives(*args: P.args, **kwargs: P.kwargs) -> dict[str, float]:
        bound = bind(f, signature, args, kwargs)
        _require_numbers(bound.arguments)

        def of_arguments(arguments: dict[str, object]) -> object:
            call = inspect.BoundArguments(signature, arguments)
            return f(*call.args, **call.kwargs)

        of_arguments.__qualname__ = name_of(f)
        _, found = differentiate(of_arguments, dict(bound.arguments), {})
        return cast(dict[str, float], found)

    return derivatives


def _require_numbers(arguments: Mapping[str, object]) -> None:
    structure, _ = flatten(dict(arguments), Role.PARAMETERS, key_path)
    for name, part in zip(arguments, cast(Branch, structure).children, strict=True):
        if not isinstance(part, Leaf):
            raise InputError(
                f"{name} is {describe_structure(part)}, and partials takes numbers ({here()}): "
                "use grad, which takes containers of them"
            )


def record(f: Callable[Concatenate[A, P], R], /) -> Callable[Concatenate[A, P], Tape[A, P, R]]:
    """The tape of a call of ``f``: what it computed on these arguments, entry by entry.

    ``f`` may return any number of numbers, in any containers.

    Raises:
        InputError: when the first argument holds anything but numbers, or two inputs would have
            the same path.
        OutputError: when ``f`` returns a condition.

    >>> from tapegrad import Real, record
    >>> def f(x: Real) -> Real:
    ...     return x * x + 1.0
    >>> tape = record(f)(3.0)
    >>> tape.value, tape.gradient(), len(tape)
    (10.0, 6.0, 4)
    """

    def recorded(x: object, data: Data) -> object:
        return freeze(f, trace(f, x, data, positions=True))

    return cast(Callable[Concatenate[A, P], Tape[A, P, R]], like(f, "record", recorded))
