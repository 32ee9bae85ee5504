"""``record``: the tape of a call."""

# Of the overloads the more precise come first.
# mypy: disable-error-code="overload-overlap"

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeAlias, TypeVar, cast, overload

import attrs

from tapegrad._support.argument_checks import name_of
from tapegrad._support.source_position import here, resolve
from tapegrad.entries.columns import freeze
from tapegrad.errors import InputError
from tapegrad.pytree.key_paths import parameter_names
from tapegrad.pytree.matching import unshared_statics
from tapegrad.pytree.structure import Branch
from tapegrad.recording.recorder import Real, Var
from tapegrad.recording.trace import Trace, trace_kept
from tapegrad.tape import Tape
from tapegrad.transforms.static_arguments import ArgumentNames, static_arguments
from tapegrad.transforms.traced_call import Data, transformed

if TYPE_CHECKING:
    from tapegrad.recording.signatures import OfUntyped, Untyped, UntypedResult

__all__ = ["AnyTape", "record", "tape_of"]

A = TypeVar("A")
P = ParamSpec("P")
R = TypeVar("R")

AnyTape: TypeAlias = Tape[Any, ..., Any]
"""A tape of whatever function."""


@overload
def record(
    f: Callable[Concatenate[Untyped, P], UntypedResult], /, *, static_argnames: ArgumentNames = ()
) -> OfUntyped[Any, P, Tape[Any, P, Any]]: ...
@overload
def record(
    f: Callable[Concatenate[A, P], float], /, *, static_argnames: ArgumentNames = ()
) -> Callable[Concatenate[A, P], Tape[A, P, float]]: ...
@overload
def record(
    f: Callable[Concatenate[A, P], Real], /, *, static_argnames: ArgumentNames = ()
) -> Callable[Concatenate[A, P], Tape[A, P, Real]]: ...
@overload
def record(
    f: Callable[Concatenate[A, P], float | Var], /, *, static_argnames: ArgumentNames = ()
) -> Callable[Concatenate[A, P], Tape[A, P, float]]: ...
@overload
def record(
    f: Callable[Concatenate[A, P], R], /, *, static_argnames: ArgumentNames = ()
) -> Callable[Concatenate[A, P], Tape[A, P, R]]: ...
@overload
def record(
    f: Callable[Concatenate[A, P], UntypedResult], /, *, static_argnames: ArgumentNames = ()
) -> OfUntyped[A, P, Tape[A, P, Any]]: ...
def record(
    f: Callable[Concatenate[A, P], object], /, *, static_argnames: ArgumentNames = ()
) -> Callable[Concatenate[A, P], Tape[A, P, Any]]:
    """The tape of a call of ``f``: what it computed on these arguments, entry by entry.

    ``f`` may return any number of numbers, in any containers. The floats in its other arguments are
    inputs, too, so that a replay may change them, but for those that ``static_argnames`` names.

    Raises:
        InputError: when the first argument holds anything but numbers, two inputs would have the
            same path, or ``static_argnames`` has a name that is unknown or the first argument's.
        OutputError: when ``f`` returns a condition.

    >>> from tapegrad import Real, record
    >>> def f(x: Real) -> Real:
    ...     return x * x + 1.0
    >>> tape = record(f)(3.0)
    >>> tape.value, tape.gradient(), len(tape)
    (10.0, 6.0, 4)
    """
    static = static_arguments(f, static_argnames)

    def recorded(x: A, data: Data) -> Tape[A, P, Any]:
        inputs = [key for key in data if key not in static]
        traced = trace_kept(f, x, data, inputs, positions=True, arrays=True)
        return cast("Tape[A, P, Any]", tape_of(f, traced))

    return transformed(f, record, recorded, differentiates=False, static_argnames=static_argnames)


def tape_of(f: Callable[..., object], traced: Trace) -> AnyTape:
    """The tape of a traced call of ``f``.

    Raises:
        InputError: when two inputs would have the same path.
    """
    recorder = traced.recorder
    keys = cast(Branch, traced.data).keys
    names = parameter_names(f, 1 + sum(isinstance(key, int) for key in keys))
    data = attrs.evolve(
        cast(Branch, unshared_statics(traced.data)),
        keys=tuple(names[key + 1] if isinstance(key, int) else key for key in keys),
    )
    sites, site_of = resolve(recorder.marks or ())
    tape: AnyTape = Tape(
        **freeze(traced.columns),
        parameters=unshared_statics(traced.parameters),
        data=data,
        names=names,
        result=unshared_statics(traced.result),
        outputs=traced.outputs,
        labels=tuple(sorted(recorder.labels.items())),
        scopes=recorder.ended_scopes,
        holds_gradient=recorder.holds_gradient,
        sites=sites,
        site_of=array("i", site_of).tobytes(),
        function=name_of(f),
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
