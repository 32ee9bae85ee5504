"""What every transform shares: one traced call of the user's function, and its readings."""

from __future__ import annotations

import functools
from array import array
from collections.abc import Callable, Mapping
from typing import Generic, NamedTuple, NoReturn, TypeAlias, TypeVar, cast

import attrs

from tapegrad._support.argument_checks import name_of
from tapegrad._support.source_position import here, resolve
from tapegrad.entries.columns import freeze as freeze_columns
from tapegrad.errors import InputError, OutputError
from tapegrad.ops.primitive import Operand
from tapegrad.pytree.containers import declare_numbers
from tapegrad.pytree.key_paths import parameter_names
from tapegrad.pytree.structure import Branch, Leaf, build, describe_structure
from tapegrad.recording.trace import Trace, trace
from tapegrad.tape import Tape

__all__ = [
    "Data",
    "ValueAndGrad",
    "differentiate",
    "freeze",
    "gathered",
    "like",
    "pull",
    "push",
    "returned",
    "scalar",
]

A = TypeVar("A")

Data: TypeAlias = Mapping[int | str, object]
"""The arguments after the first: those given by position under 0, 1, ..., and those by name."""


class ValueAndGrad(NamedTuple, Generic[A]):
    """A value and the gradient at the same point."""

    value: float
    grad: A


declare_numbers(ValueAndGrad)


def like(
    f: Callable[..., object], transform: str, inner: Callable[[object, Data], object]
) -> Callable[..., object]:
    """``inner`` with the calling convention of ``f``, and a name that tells both."""

    def transformed(*args: object, **kwargs: object) -> object:
        if not args:
            _refuse_keywords(transform, kwargs)
        return inner(args[0], gathered(args[1:], kwargs))

    functools.update_wrapper(transformed, f, updated=())
    transformed.__name__ = f"{transform}({getattr(f, '__name__', 'f')})"
    return transformed


def gathered(args: tuple[object, ...], kwargs: Mapping[str, object]) -> Data:
    """The arguments after the first, as ``trace`` takes them."""
    return dict([*enumerate(args), *kwargs.items()])


def _refuse_keywords(transform: str, kwargs: Mapping[str, object]) -> NoReturn:
    given = f"only {', '.join(kwargs)} by name" if kwargs else "nothing"
    raise InputError(
        f"{transform} differentiates the first argument, which goes by position, and was given "
        f"{given} ({here()}): pass it first, or use partials for arguments by name"
    )


def differentiate(
    f: Callable[..., object], x: object, data: Data, *, has_aux: bool = False
) -> tuple[object, object]:
    """The value and the gradient of one call, which are traced numbers in an outer recording.

    With ``has_aux`` the value is the pair that ``f`` returned.
    """
    traced = trace(f, x, data, blocks=True, has_aux=has_aux)
    output = scalar_of_pair(f, traced) if has_aux else scalar(f, traced)
    bars = pull(traced, {output: 1.0})
    gradient = build(traced.parameters, (0.0 if bar is None else bar for bar in bars))
    return returned(traced), gradient


def returned(traced: Trace) -> object:
    """What the recorded function returned, outside the recording."""
    values = traced.columns.values
    return build(traced.result, (values[slot] for slot in traced.outputs))


def scalar(f: Callable[..., object], traced: Trace) -> int:
    """The slot of the one number that ``f`` returned.

    Raises:
        OutputError: when it returned anything else.
    """
    if isinstance(traced.result, Leaf):
        return traced.outputs[0]
    several = ", or use jacobian for a function of several" * isinstance(traced.result, Branch)
    raise OutputError(
        f"{name_of(f)} ({here()}) returned {describe_structure(traced.result)}, and a gradient "
        f"needs one number: return one{several}"
    )


def scalar_of_pair(f: Callable[..., object], traced: Trace) -> int:
    """The slot of the number in the pair that ``f`` returned.

    Raises:
        OutputError: when it returned anything but a number and something else beside it.
    """
    result = traced.result
    is_pair = isinstance(result, Branch) and result.kind is tuple and len(result.keys) == _PAIR
    if is_pair and isinstance(cast(Branch, result).children[0], Leaf):
        return traced.outputs[0]
    raise OutputError(
        f"{name_of(f)} ({here()}) returned {describe_structure(result)}, and has_aux=True needs a "
        "pair: return (number, anything)"
    )


_PAIR = 2


def pull(traced: Trace, seeds: Mapping[int, Operand]) -> list[Operand | None]:
    """The cotangents of the differentiated inputs, given some of the outputs'."""
    from tapegrad.sweep.reverse import cotangents

    with traced.recorder.attributing() as pin:
        return cotangents(traced.columns, seeds, pin)[: traced.width]


def push(traced: Trace, seeds: Mapping[int, Operand]) -> list[Operand | None]:
    """The tangents of every slot, given some of the inputs'.

    Where they are traced, only those of the outputs mean something on every replay.
    """
    from tapegrad.sweep.forward import tangents

    with traced.recorder.attributing() as pin:
        return tangents(traced.columns, seeds, pin, traced.outputs)


def freeze(f: Callable[..., object], traced: Trace) -> Tape[object, ..., object]:
    """The tape of a traced call of ``f``.

    Raises:
        InputError: when two inputs would have the same path.
    """
    recorder = traced.recorder
    keys = cast(Branch, traced.data).keys
    names = parameter_names(f, 1 + sum(isinstance(key, int) for key in keys))
    data = attrs.evolve(
        cast(Branch, traced.data),
        keys=tuple(names[key + 1] if isinstance(key, int) else key for key in keys),
    )
    sites, site_of = resolve(recorder.marks or ())
    tape: Tape[object, ..., object] = Tape(
        **freeze_columns(traced.columns),
        parameters=traced.parameters,
        data=data,
        names=names,
        result=traced.result,
        outputs=traced.outputs,
        labels=tuple(sorted(recorder.labels.items())),
        scopes=tuple(recorder.scopes),
        holds_gradient=recorder.holds_gradient,
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
