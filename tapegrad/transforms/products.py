"""The derivative as a linear map: forward, in reverse, and once more along a direction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Concatenate, ParamSpec, TypeVar, cast, overload

from tapegrad._support.source_position import here
from tapegrad.errors import InputError
from tapegrad.ops.primitive import Operand
from tapegrad.pytree.key_paths import Keys, key_path
from tapegrad.pytree.matching import numbers_as
from tapegrad.pytree.structure import Structure, build
from tapegrad.recording.recorder import Var
from tapegrad.recording.trace import Trace, trace
from tapegrad.transforms.grad import grad
from tapegrad.transforms.traced_call import gathered, pull, push, returned, scalar

__all__ = ["hessian_along", "hvp", "jvp", "linearize", "vjp"]

A = TypeVar("A")
P = ParamSpec("P")
R = TypeVar("R")


def vjp(
    f: Callable[Concatenate[A, P], R], x: A, /, *args: P.args, **kwargs: P.kwargs
) -> tuple[R, Callable[[R], A]]:
    """The value of ``f`` and the pullback of cotangents: (x) -> (y, y_bar -> x_bar).

    The pullback takes a cotangent in the shape of the value and gives one in the shape of ``x``;
    it may be called any number of times.

    Raises:
        InputError: for what cannot be an input, or a cotangent whose structure is not the value's.

    >>> from tapegrad import Real, vjp
    >>> def polar(p: tuple[Real, Real]) -> tuple[Real, Real]:
    ...     return p[0] * p[1], p[0] - p[1]
    >>> value, pullback = vjp(polar, (3.0, 2.0))
    >>> value, pullback((1.0, 10.0))
    ((6.0, 1.0), (12.0, -7.0))
    """
    traced = trace(f, x, gathered(args, kwargs), blocks=True)

    def pullback(y_bar: R) -> A:
        seeds = _seeds(traced.result, traced.outputs, y_bar, "the cotangent")
        bars = pull(traced, seeds)
        return cast(A, build(traced.parameters, (0.0 if bar is None else bar for bar in bars)))

    return cast(R, returned(traced)), pullback


def jvp(
    f: Callable[Concatenate[A, P], R], x: A, x_dot: A, /, *args: P.args, **kwargs: P.kwargs
) -> tuple[R, R]:
    """The value of ``f`` and its derivative along ``x_dot``: (x, x_dot) -> (y, y_dot).

    Raises:
        InputError: for what cannot be an input, or a tangent whose structure is not that of ``x``;
            the message names the path.

    >>> from tapegrad import Real, jvp
    >>> def area(p: tuple[Real, Real]) -> Real:
    ...     return p[0] * p[1]
    >>> jvp(area, (3.0, 2.0), (1.0, 10.0))
    (6.0, 32.0)
    """
    value, pushforward = linearize(f, x, *args, **kwargs)
    return value, pushforward(x_dot)


def linearize(
    f: Callable[Concatenate[A, P], R], x: A, /, *args: P.args, **kwargs: P.kwargs
) -> tuple[R, Callable[[A], R]]:
    """The value of ``f`` and its derivative as a linear map: (x) -> (y, x_dot -> y_dot).

    ``f`` is recorded once; each direction costs one sweep of the recording.

    Raises:
        InputError: for what cannot be an input, or a tangent whose structure is not that of ``x``.

    >>> from tapegrad import Real, linearize
    >>> def area(p: tuple[Real, Real]) -> Real:
    ...     return p[0] * p[1]
    >>> value, derivative = linearize(area, (3.0, 2.0))
    >>> derivative((1.0, 0.0)), derivative((0.0, 1.0))
    (2.0, 3.0)
    """
    traced = trace(f, x, gathered(args, kwargs))

    def pushforward(x_dot: A) -> R:
        seeds = _seeds(traced.parameters, tuple(range(traced.width)), x_dot, "the tangent")
        dots = push(traced, seeds)
        tangents = (dots[slot] for slot in traced.outputs)
        return cast(R, build(traced.result, (0.0 if dot is None else dot for dot in tangents)))

    return cast(R, returned(traced)), pushforward


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
    data = gathered(args, kwargs)
    traced = trace(f, x, data)
    output = scalar(f, traced)
    seeds = _seeds(traced.parameters, tuple(range(traced.width)), v, "the direction")
    if traced.columns.traced or not all(isinstance(seed, float) for seed in seeds.values()):
        return jvp(grad(f), x, v, *args, **kwargs)[1]
    along = hessian_along(traced, output, cast("Mapping[int, float]", seeds))
    return cast(A, build(traced.parameters, along))


def hessian_along(traced: Trace, output: int, seeds: Mapping[int, float]) -> list[float]:
    """The Hessian of one output on floats times the direction that ``seeds`` gives."""
    from tapegrad.sweep.second_order import second_order

    dots = cast("list[float | None]", push(traced, seeds))
    _, bar_dots = second_order(traced.columns, dots, {output: 1.0})
    return [dot or 0.0 for dot in bar_dots[: traced.width]]


def _seeds(
    structure: Structure, slots: tuple[int, ...], given: object, what: str
) -> dict[int, Operand]:
    """A cotangent or a tangent, slot by slot."""

    def name(keys: Keys) -> str:
        return f"{what} at {key_path(keys)}" if keys else what

    leaves, path = numbers_as(structure, given, name)
    if path is not None:
        raise InputError(
            f"{name(path)} has not the structure of what it belongs to ({here()}): "
            "give one number for each number there"
        )
    seeds: dict[int, Operand] = {}
    for slot, leaf in zip(slots, leaves, strict=True):
        seeds[slot] = seeds[slot] + leaf if slot in seeds else leaf  # type: ignore[operator]  # numbers
    return seeds
