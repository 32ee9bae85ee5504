"""``grad`` and ``value_and_grad``: the gradient in the first argument."""

# Of the overloads the more precise come first.
# mypy: disable-error-code="overload-overlap"

from __future__ import annotations

from collections.abc import Callable
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    Literal,
    NamedTuple,
    ParamSpec,
    Protocol,
    TypeVar,
    cast,
    overload,
)

from tapegrad._support.argument_checks import refuse_options
from tapegrad.pytree.containers import declare_numbers
from tapegrad.recording.recorder import Var
from tapegrad.transforms.traced_call import Data, differentiate, result_of, transformed

__all__ = ["ValueAndGrad", "grad", "value_and_grad"]

A = TypeVar("A")
P = ParamSpec("P")
X = TypeVar("X")


class ValueAndGrad(NamedTuple, Generic[A]):
    """A value and the gradient at the same point."""

    value: float
    grad: A


declare_numbers(ValueAndGrad)


if TYPE_CHECKING:
    from tapegrad.recording.signatures import Slope, Untyped

    class ValueAndSlope(Protocol[P]):
        """``Slope`` with the value."""

        @overload
        def __call__(
            self, x: float, /, *args: P.args, **kwargs: P.kwargs
        ) -> ValueAndGrad[float]: ...
        @overload
        def __call__(
            self, x: float | Var, /, *args: P.args, **kwargs: P.kwargs
        ) -> ValueAndGrad[float | Var]: ...


@overload
def grad(
    f: Slope[P],
    /,
    *,
    has_aux: Literal[False] = False,
    exact: bool = False,
) -> Slope[P]: ...
@overload
def grad(
    f: Callable[Concatenate[A, P], float],
    /,
    *,
    has_aux: Literal[False] = False,
    exact: bool = False,
) -> Callable[Concatenate[A, P], A]: ...
@overload
def grad(
    f: Callable[Concatenate[Untyped, P], float | Var],
    /,
    *,
    has_aux: Literal[False] = False,
    exact: bool = False,
) -> Callable[Concatenate[Any, P], Any]: ...
@overload
def grad(
    f: Callable[Concatenate[float | Var, P], float | Var],
    /,
    *,
    has_aux: Literal[False] = False,
    exact: bool = False,
) -> Slope[P]: ...
@overload
def grad(
    f: Callable[Concatenate[A, P], float | Var],
    /,
    *,
    has_aux: Literal[False] = False,
    exact: bool = False,
) -> Callable[Concatenate[A, P], A]: ...
@overload
def grad(
    f: Callable[Concatenate[A, P], tuple[float, X]],
    /,
    *,
    has_aux: Literal[True],
    exact: bool = False,
) -> Callable[Concatenate[A, P], tuple[A, X]]: ...
@overload
def grad(
    f: Callable[Concatenate[A, P], tuple[float | Var, X]],
    /,
    *,
    has_aux: Literal[True],
    exact: bool = False,
) -> Callable[Concatenate[A, P], tuple[A, X]]: ...
def grad(
    f: Callable[Concatenate[A, P], object],
    /,
    *,
    has_aux: bool = False,
    exact: bool = False,
    **options: object,
) -> object:
    """The gradient of ``f`` in its first argument, in that argument's own shape.

    ``grad(f)(x, *data)`` takes what ``f`` takes. The first argument may be a number or nested
    dicts, lists, tuples, named tuples, attrs classes and dataclasses of them; the others are data,
    which ``f`` gets as they are.
    An input that the result does not depend on has the gradient 0.0.

    With ``has_aux=True`` the function returns a pair ``(value, aux)`` and the gradient function a
    pair ``(gradient, aux)``; traced numbers in aux come out as plain ones.

    A number that several operations use gets a share of its derivative from each. With
    ``exact=True`` the shares are summed as with twice the digits, so that they may cancel.

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
    refuse_options("grad", options)

    def run(x: object, data: Data) -> object:
        traced, gradient = differentiate(f, x, data, has_aux=has_aux, exact=exact)
        if not has_aux:
            return gradient
        _, aux = cast("tuple[float, object]", result_of(traced))
        return gradient, aux

    return transformed(f, grad, run, has_aux=has_aux, exact=exact)


@overload
def value_and_grad(
    f: Slope[P],
    /,
    *,
    has_aux: Literal[False] = False,
    exact: bool = False,
) -> ValueAndSlope[P]: ...
@overload
def value_and_grad(
    f: Callable[Concatenate[A, P], float],
    /,
    *,
    has_aux: Literal[False] = False,
    exact: bool = False,
) -> Callable[Concatenate[A, P], ValueAndGrad[A]]: ...
@overload
def value_and_grad(
    f: Callable[Concatenate[Untyped, P], float | Var],
    /,
    *,
    has_aux: Literal[False] = False,
    exact: bool = False,
) -> Callable[Concatenate[Any, P], Any]: ...
@overload
def value_and_grad(
    f: Callable[Concatenate[float | Var, P], float | Var],
    /,
    *,
    has_aux: Literal[False] = False,
    exact: bool = False,
) -> ValueAndSlope[P]: ...
@overload
def value_and_grad(
    f: Callable[Concatenate[A, P], float | Var],
    /,
    *,
    has_aux: Literal[False] = False,
    exact: bool = False,
) -> Callable[Concatenate[A, P], ValueAndGrad[A]]: ...
@overload
def value_and_grad(
    f: Callable[Concatenate[A, P], tuple[float, X]],
    /,
    *,
    has_aux: Literal[True],
    exact: bool = False,
) -> Callable[Concatenate[A, P], tuple[tuple[float, X], A]]: ...
@overload
def value_and_grad(
    f: Callable[Concatenate[A, P], tuple[float | Var, X]],
    /,
    *,
    has_aux: Literal[True],
    exact: bool = False,
) -> Callable[Concatenate[A, P], tuple[tuple[float, X], A]]: ...
def value_and_grad(
    f: Callable[Concatenate[A, P], object],
    /,
    *,
    has_aux: bool = False,
    exact: bool = False,
    **options: object,
) -> object:
    """The value of ``f`` and its gradient from one recording, as a named tuple, value first.

    With ``has_aux=True`` the function returns a pair ``(value, aux)``, and the answer is the plain
    tuple ``((value, aux), gradient)``. With ``exact=True`` sums of shares are as in ``grad``.

    Takes and raises what ``grad(f)`` does.

    >>> from tapegrad import Real, value_and_grad
    >>> def f(x: Real) -> Real:
    ...     return 3.0 * x**2 - 4.0 * x + 5.0
    >>> value_and_grad(f)(3.0)
    ValueAndGrad(value=20.0, grad=14.0)
    """
    refuse_options("value_and_grad", options)

    def run(x: object, data: Data) -> object:
        traced, gradient = differentiate(f, x, data, has_aux=has_aux, exact=exact)
        value = result_of(traced)
        return (value, gradient) if has_aux else ValueAndGrad(cast(float, value), gradient)

    return transformed(f, value_and_grad, run, has_aux=has_aux, exact=exact)
