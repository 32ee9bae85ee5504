"""Functions to functions: recording, gradients."""

from __future__ import annotations

import functools
import inspect
from array import array
from collections.abc import Callable, Mapping
from typing import Concatenate, Generic, NamedTuple, NoReturn, ParamSpec, TypeVar, cast, overload

import attrs

from tapegrad.errors import InputError, OutputError
from tapegrad.positions import here, resolve
from tapegrad.primitive import Operand
from tapegrad.recording import Trace, Var, trace
from tapegrad.structure import (
    Branch,
    Leaf,
    Role,
    build,
    describe_structure,
    flatten,
    join,
    parameter_names,
)
from tapegrad.tape import Tape, freeze_values

__all__ = ["ValueAndGrad", "grad", "partials", "record", "value_and_grad"]

A = TypeVar("A")
P = ParamSpec("P")
R = TypeVar("R")


class ValueAndGrad(NamedTuple, Generic[A]):
    """A value and the gradient at the same point."""

    value: float
    grad: A


@overload
def grad(f: Callable[Concatenate[A, P], float], /) -> Callable[Concatenate[A, P], A]: ...
@overload
def grad(f: Callable[Concatenate[A, P], float | Var], /) -> Callable[Concatenate[A, P], A]: ...
def grad(f: Callable[Concatenate[A, P], float | Var], /) -> Callable[Concatenate[A, P], A]:
    """The gradient of ``f`` in its first argument, in that argument's own shape.

    ``grad(f)(x, *data)`` takes what ``f`` takes. The first argument may be a number or nested
    dicts, lists, tuples, named tuples, attrs classes and dataclasses of them; the others are data.
    An input that the result does not depend on has the gradient 0.0.

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

    @_like(f, "grad")
    def gradient(x: object, data: Mapping[int | str, object]) -> object:
        return _differentiate(f, x, data).grad

    return cast(Callable[Concatenate[A, P], A], gradient)


@overload
def value_and_grad(
    f: Callable[Concatenate[A, P], float], /
) -> Callable[Concatenate[A, P], ValueAndGrad[A]]: ...
@overload
def value_and_grad(
    f: Callable[Concatenate[A, P], float | Var], /
) -> Callable[Concatenate[A, P], ValueAndGrad[A]]: ...
def value_and_grad(
    f: Callable[Concatenate[A, P], float | Var], /
) -> Callable[Concatenate[A, P], ValueAndGrad[A]]:
    """The value of ``f`` and its gradient from one recording, as a named tuple, value first.

    Takes and raises what ``grad(f)`` does.

    >>> from tapegrad import Real, value_and_grad
    >>> def f(x: Real) -> Real:
    ...     return 3.0 * x**2 - 4.0 * x + 5.0
    >>> value_and_grad(f)(3.0)
    ValueAndGrad(value=20.0, grad=14.0)
    """

    @_like(f, "value_and_grad")
    def both(x: object, data: Mapping[int | str, object]) -> object:
        return _differentiate(f, x, data)

    return cast(Callable[Concatenate[A, P], ValueAndGrad[A]], both)


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

    >>> from tapegrad import Real, math, partials
    >>> def f(a: Real, b: Real) -> Real:
    ...     return math.tanh(a * b) + (a if a > b else b)
    >>> partials(f)(a=-0.5, b=2.0)
    {'a': 0.8399486832280524, 'b': 0.790012829192987}
    """
    signature = inspect.signature(f)

    @functools.wraps(f)
    def derivatives(*args: P.args, **kwargs: P.kwargs) -> dict[str, float]:
        bound = signature.bind(*args, **kwargs)
        _require_numbers(bound.arguments)

        def of_arguments(arguments: dict[str, object]) -> object:
            call = inspect.BoundArguments(signature, arguments)
            return f(*call.args, **call.kwargs)

        found = _differentiate(of_arguments, dict(bound.arguments), {}).grad
        return cast(dict[str, float], found)

    return derivatives


def _require_numbers(arguments: Mapping[str, object]) -> None:
    structure, _ = flatten(dict(arguments), Role.PARAMETERS, join)
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

    @_like(f, "record")
    def recorded(x: object, data: Mapping[int | str, object]) -> object:
        return _tape(f, trace(f, x, data, positions=True))

    return cast(Callable[Concatenate[A, P], Tape[A, P, R]], recorded)


def _like(
    f: Callable[..., object], transform: str
) -> Callable[[Callable[[object, Mapping[int | str, object]], object]], Callable[..., object]]:
    """Give the inner function the calling convention of ``f`` and a name that tells both."""

    def decorate(inner: Callable[[object, Mapping[int | str, object]], object]) -> object:
        def transformed(*args: object, **kwargs: object) -> object:
            if not args:
                _refuse_keywords(transform, kwargs)
            return inner(args[0], dict([*enumerate(args[1:]), *kwargs.items()]))

        functools.update_wrapper(transformed, f)
        transformed.__name__ = f"{transform}({getattr(f, '__name__', 'f')})"
        return transformed

    return cast(
        "Callable[[Callable[[object, Mapping[int | str, object]], object]], Callable[..., object]]",
        decorate,
    )


def _refuse_keywords(transform: str, kwargs: Mapping[str, object]) -> NoReturn:
    given = f"only {', '.join(kwargs)} by name" if kwargs else "nothing"
    raise InputError(
        f"{transform} differentiates the first argument, which goes by position, and was given "
        f"{given} ({here()}): pass it first, or use partials for arguments by name"
    )


def _differentiate(
    f: Callable[..., object], x: object, data: Mapping[int | str, object]
) -> ValueAndGrad[object]:
    """The value and the gradient of one call, which are traced numbers in an outer recording."""
    traced = trace(f, x, data)
    output = _scalar(f, traced)
    value = traced.columns.values[output]
    bars = _pull(traced, {output: 1.0})
    gradient = build(traced.parameters, (0.0 if bar is None else bar for bar in bars))
    return ValueAndGrad(cast(float, value), gradient)


def _scalar(f: Callable[..., object], traced: Trace) -> int:
    """The slot of the one number that ``f`` returned."""
    if isinstance(traced.result, Leaf):
        return traced.outputs[0]
    where = f"{getattr(f, '__qualname__', 'the function')} ({here()})"
    got = describe_structure(traced.result)
    raise OutputError(f"{where} returned {got}; a gradient needs one number: return one number")


def _pull(traced: Trace, seeds: Mapping[int, Operand]) -> list[Operand | None]:
    """The cotangents of the differentiated inputs."""
    from tapegrad.interpret.reverse import cotangents

    recorder = traced.recorder
    if not traced.columns.traced:
        return cotangents(traced.columns, seeds)[: traced.width]
    try:
        return cotangents(traced.columns, seeds, recorder.pin)[: traced.width]
    finally:
        recorder.unpin()


def _tape(f: Callable[..., object], traced: Trace) -> Tape[object, ..., object]:
    recorder, columns = traced.recorder, traced.columns
    keys = cast(Branch, traced.data).keys
    count = 1 + sum(isinstance(key, int) for key in keys)
    names = parameter_names(f, count)
    data = attrs.evolve(
        cast(Branch, traced.data),
        keys=tuple(names[key + 1] if isinstance(key, int) else key for key in keys),
    )
    sites, site_of = resolve(recorder.marks or ())
    tape: Tape[object, ..., object] = Tape(
        table=columns.table,
        codes=bytes(columns.codes),
        left=array("i", columns.left).tobytes(),
        right=array("i", columns.right).tobytes(),
        stored=freeze_values(columns.values),
        pool=array("i", columns.pool).tobytes(),
        statics=tuple(columns.statics),
        parameters=traced.parameters,
        data=data,
        names=names,
        result=traced.result,
        outputs=traced.outputs,
        labels=tuple(sorted(recorder.labels.items())),
        scopes=tuple(recorder.scopes),
        sites=sites,
        site_of=array("i", site_of).tobytes(),
    )
    _require_unique(tape.paths)
    return tape


def _require_unique(names: tuple[str, ...]) -> None:
    if len(set(names)) == len(names):
        return
    twice = next(name for index, name in enumerate(names) if name in names[:index])
    raise InputError(
        f"two inputs would both be called {twice} ({here()}): rename the parameter or the key"
    )
