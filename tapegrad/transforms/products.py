"""Derivatives as linear maps of a direction: ``jvp``, ``linearize``, ``vjp``, ``hvp``."""

# Of the overloads the more precise come first.
# mypy: disable-error-code="overload-overlap"

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast, final, overload

from tapegrad._support.argument_checks import require_callable
from tapegrad._support.source_position import here
from tapegrad.errors import InputError
from tapegrad.ops.array_support import serving
from tapegrad.ops.primitive import Operand, Traced, shape_of
from tapegrad.pytree.containers import keys_and_parts
from tapegrad.pytree.key_paths import Keys, key_path
from tapegrad.pytree.matching import numbers_as
from tapegrad.pytree.structure import Branch, Leaf, Structure, build, describe_structure
from tapegrad.recording.recorder import Real, Var
from tapegrad.recording.trace import Trace, trace
from tapegrad.sweep.forward import tangents
from tapegrad.sweep.second_order import second_order
from tapegrad.transforms.grad import grad
from tapegrad.transforms.traced_call import (
    Data,
    curved,
    data_of,
    pull,
    push,
    require_numbers,
    result_of,
    scalar_output,
    spendable,
)  # fmt: skip

if TYPE_CHECKING:
    from tapegrad.recording.signatures import Untyped, UntypedResult

__all__ = ["HessianProduct", "hvp", "jvp", "linearize", "vjp"]

A = TypeVar("A")
P = ParamSpec("P")
R = TypeVar("R")


@overload
def vjp(
    f: Callable[Concatenate[Untyped, P], UntypedResult], x: A, /, *args: P.args, **kwargs: P.kwargs
) -> tuple[Any, Callable[[Any], A]]: ...
@overload
def vjp(
    f: Callable[Concatenate[A, P], float], x: A, /, *args: P.args, **kwargs: P.kwargs
) -> tuple[float, Callable[[float], A]]: ...
@overload
def vjp(
    f: Callable[Concatenate[A, P], Real], x: A, /, *args: P.args, **kwargs: P.kwargs
) -> tuple[Real, Callable[[Real], A]]: ...
@overload
def vjp(
    f: Callable[Concatenate[Var, P], float | Var], x: Var, /, *args: P.args, **kwargs: P.kwargs
) -> tuple[float | Var, Callable[[float | Var], Var]]: ...
@overload
def vjp(
    f: Callable[Concatenate[A, P], float | Var], x: A, /, *args: P.args, **kwargs: P.kwargs
) -> tuple[float, Callable[[float], A]]: ...
@overload
def vjp(
    f: Callable[Concatenate[A, P], R], x: A, /, *args: P.args, **kwargs: P.kwargs
) -> tuple[R, Callable[[R], A]]: ...
def vjp(
    f: Callable[..., object], x: A, /, *args: object, **kwargs: object
) -> tuple[object, Callable[..., A]]:
    """The value of ``f`` and the pullback of cotangents: (x) -> (y, y_bar -> x_bar).

    The pullback takes a cotangent in the shape of the value and gives one in the shape of ``x``;
    it may be called any number of times.

    Raises:
        InputError: for what cannot be an input, or a cotangent whose structure is not the value's.
        OutputError: when ``f`` returns no number.

    >>> from tapegrad import Real, vjp
    >>> def polar(p: tuple[Real, Real]) -> tuple[Real, Real]:
    ...     return p[0] * p[1], p[0] - p[1]
    >>> value, pullback = vjp(polar, (3.0, 2.0))
    >>> value, pullback((1.0, 10.0))
    ((6.0, 1.0), (12.0, -7.0))
    """
    require_callable(f, "vjp")
    traced = trace(f, x, data_of(args, kwargs), blocks=True)
    require_numbers(f, traced.result, "vjp")

    def pullback(y_bar: object) -> A:
        seeds = _seeds(traced.result, traced.outputs, y_bar, "the cotangent")
        return cast(A, build(traced.parameters, pull(traced, seeds)))

    return result_of(traced), pullback


@overload
def jvp(
    f: Callable[Concatenate[Untyped, P], UntypedResult],
    x: A,
    x_dot: A,
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> tuple[Any, Any]: ...
@overload
def jvp(
    f: Callable[Concatenate[A, P], float], x: A, x_dot: A, /, *args: P.args, **kwargs: P.kwargs
) -> tuple[float, float]: ...
@overload
def jvp(
    f: Callable[Concatenate[A, P], Real], x: A, x_dot: A, /, *args: P.args, **kwargs: P.kwargs
) -> tuple[Real, Real]: ...
@overload
def jvp(
    f: Callable[Concatenate[Var, P], float | Var],
    x: Var,
    x_dot: Var,
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> tuple[float | Var, float | Var]: ...
@overload
def jvp(
    f: Callable[Concatenate[A, P], float | Var],
    x: A,
    x_dot: A,
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> tuple[float, float]: ...
@overload
def jvp(
    f: Callable[Concatenate[A, P], R], x: A, x_dot: A, /, *args: P.args, **kwargs: P.kwargs
) -> tuple[R, R]: ...
def jvp(
    f: Callable[..., object], x: A, x_dot: A, /, *args: object, **kwargs: object
) -> tuple[object, object]:
    """The value of ``f`` and its derivative along ``x_dot``: (x, x_dot) -> (y, y_dot).

    Raises:
        InputError: for what cannot be an input, or a tangent whose structure is not that of ``x``;
            the message names the path.
        OutputError: when ``f`` returns no number.

    >>> from tapegrad import Real, jvp
    >>> def area(p: tuple[Real, Real]) -> Real:
    ...     return p[0] * p[1]
    >>> jvp(area, (3.0, 2.0), (1.0, 10.0))
    (6.0, 32.0)
    """
    require_callable(f, "jvp")
    value, pushforward = _linearized(f, x, data_of(args, kwargs), "jvp")
    return value, pushforward(x_dot)


@overload
def linearize(
    f: Callable[Concatenate[Untyped, P], UntypedResult], x: A, /, *args: P.args, **kwargs: P.kwargs
) -> tuple[Any, Callable[[A], Any]]: ...
@overload
def linearize(
    f: Callable[Concatenate[A, P], float], x: A, /, *args: P.args, **kwargs: P.kwargs
) -> tuple[float, Callable[[A], float]]: ...
@overload
def linearize(
    f: Callable[Concatenate[A, P], Real], x: A, /, *args: P.args, **kwargs: P.kwargs
) -> tuple[Real, Callable[[A], Real]]: ...
@overload
def linearize(
    f: Callable[Concatenate[Var, P], float | Var], x: Var, /, *args: P.args, **kwargs: P.kwargs
) -> tuple[float | Var, Callable[[Var], float | Var]]: ...
@overload
def linearize(
    f: Callable[Concatenate[A, P], float | Var], x: A, /, *args: P.args, **kwargs: P.kwargs
) -> tuple[float, Callable[[A], float]]: ...
@overload
def linearize(
    f: Callable[Concatenate[A, P], R], x: A, /, *args: P.args, **kwargs: P.kwargs
) -> tuple[R, Callable[[A], R]]: ...
def linearize(
    f: Callable[..., object], x: A, /, *args: object, **kwargs: object
) -> tuple[object, Callable[[A], object]]:
    """The value of ``f`` and its derivative as a linear map: (x) -> (y, x_dot -> y_dot).

    ``f`` is recorded once; each direction costs one sweep of the recording.

    Raises:
        InputError: for what cannot be an input, or a tangent whose structure is not that of ``x``.
        OutputError: when ``f`` returns no number.

    >>> from tapegrad import Real, linearize
    >>> def area(p: tuple[Real, Real]) -> Real:
    ...     return p[0] * p[1]
    >>> value, derivative = linearize(area, (3.0, 2.0))
    >>> derivative((1.0, 0.0)), derivative((0.0, 1.0))
    (2.0, 3.0)
    """
    require_callable(f, "linearize")
    return _linearized(f, x, data_of(args, kwargs), "linearize")


def _linearized(
    f: Callable[..., R], x: A, data: Data, transform: str
) -> tuple[R, Callable[[A], R]]:
    traced = trace(f, x, data, lends=transform == "jvp")
    require_numbers(f, traced.result, transform)

    def pushforward(x_dot: A) -> R:
        seeds = _seeds(traced.parameters, tuple(range(traced.width)), x_dot, "the tangent")
        return cast(R, build(traced.result, push(traced, seeds)))

    return cast(R, result_of(traced)), pushforward


@overload
def hvp(
    f: Callable[Concatenate[A, P], float], x: A, v: A, /, *args: P.args, **kwargs: P.kwargs
) -> A: ...
@overload
def hvp(
    f: Callable[Concatenate[A, P], float | Var], x: A, v: A, /, *args: P.args, **kwargs: P.kwargs
) -> A: ...
def hvp(
    f: Callable[Concatenate[A, P], float | Var], x: A, v: A, /, *args: P.args, **kwargs: P.kwargs
) -> A:
    """The Hessian of ``f`` at ``x`` times ``v``, in the shape of ``x``, without the Hessian.

    One recording, one forward sweep, and one reverse sweep that carries tangents.

    Raises:
        InputError: for what cannot be an input, or a ``v`` whose structure is not that of ``x``.
        OutputError: when ``f`` returns anything but one number.

    >>> from tapegrad import Real, hvp
    >>> def f(p: tuple[Real, Real]) -> Real:
    ...     return p[0] ** 2 * p[1]
    >>> hvp(f, (3.0, 2.0), (1.0, 0.0))
    (4.0, 6.0)
    """
    require_callable(f, "hvp")
    second = HessianProduct(f, x, data_of(args, kwargs))
    structure, width = second.traced.parameters, second.traced.width
    seeds = _seeds(structure, tuple(range(width)), v, "the direction")
    return cast(A, build(structure, second.along(seeds, spendable(second.traced))))


@final
class HessianProduct:
    """The Hessian of ``f`` at one point as a linear map; ``traced`` is the recorded call."""

    traced: Trace
    output: int

    def __init__(self, f: Callable[..., object], x: object, data: Data) -> None:
        self._call = f, x, data
        self._gradient: Trace | None = None
        self.traced = trace(f, x, data, lends=True)
        self.output = scalar_output(f, self.traced)

    def along(self, seeds: Mapping[int, Operand], spent: Collection[int] = ()) -> list[Operand]:
        """The Hessian times the direction whose numbers ``seeds`` holds by input.

        Where values in slots may be ``spent``, this is the last direction.
        """
        traced, columns = self.traced, self.traced.columns
        is_plain = not (columns.traced or any(isinstance(x, Traced) for x in seeds.values()))
        if is_plain and not columns.on_arrays:
            floats = cast("Mapping[int, float]", seeds)
            dots = cast("list[float | None]", tangents(columns, floats))
            _, bar_dots = second_order(columns, dots, {self.output: 1.0})
            return [dot or 0.0 for dot in bar_dots[: traced.width]]
        if is_plain and columns.table is serving("ops.array_table").ARRAY_TABLE:
            return curved(traced, seeds, self.output, spent)
        if self._gradient is None:
            # Not a cached_property: its frame would be taken for the user's line.
            f, x, data = self._call
            self._gradient = trace(grad(cast("Callable[..., float]", f)), x, data, lends=True)
        return push(self._gradient, seeds)


def _seeds(
    structure: Structure, slots: tuple[int, ...], given: object, what: str
) -> dict[int, Operand]:
    """The numbers of a cotangent or a tangent by slot.

    Raises:
        InputError: when it is not built as ``structure`` is.
    """

    def name(keys: Keys) -> str:
        return f"{what} at {key_path(keys)}" if keys else what

    leaves, path = numbers_as(structure, given, name)
    if path is not None:
        _require_shape(structure, given, path, name(path))
        raise InputError(
            f"{name(path)} has not the structure of what it belongs to ({here()}): "
            "give one number for each number there"
        )
    seeds: dict[int, Operand] = {}
    for slot, leaf in zip(slots, leaves, strict=True):
        seeds[slot] = seeds[slot] + leaf if slot in seeds else leaf  # type: ignore[operator]  # numbers
    return seeds


def _require_shape(structure: Structure, given: object, keys: Keys, name: str) -> None:
    """Raises where a number or an array stands for one of another shape."""
    part = structure
    for key in keys:
        parts = keys_and_parts(given)
        if parts is None or not isinstance(part, Branch):
            return
        if key not in part.keys or key not in parts[0]:
            return
        part, given = part.children[part.keys.index(key)], parts[1][parts[0].index(key)]
    if isinstance(part, Leaf) and (isinstance(given, float | int) or hasattr(given, "shape")):
        own = Leaf(shape_of(given))
        if own != part:
            raise InputError(
                f"{name} is {describe_structure(own)}, and belongs to {describe_structure(part)} "
                f"({here()}): give it that shape"
            )
